//! placeholder
mod amd;
mod lie;
mod pki;
mod seed;
mod snp;
pub use lie::Lie;
