//! Software TEEs that mint evidence in the vendors' real formats, for tests and demonstrations. Never shipped, protects nothing.
//!
//! A [`SimTee`] answers where firmware would: 1,184-byte SNP reports (versions 2, 3, 5; Milan, Genoa, Turin; VCEK or VLEK) and TDX quotes
//! (versions 4, 5), with certificates, revocation lists and collateral under generated roots. The verifier has no branch for them: only the
//! trust anchors differ, and the trust domain, which is part of the cluster identity. Every chip, key and measurement derives from a
//! name, so all processes see one world; every way to lie that evidence can express is a [`Lie`]. Beside them stands what others published:
//! the module `published` reads folders of real evidence and judges them by the policy of [`strict`].
//!
//! Trusts: nothing; every private key is public. Out of scope: verifying (`ringwall-attest`). Protocol section 0, decision 8.

mod amd;
pub mod answering;
#[cfg(feature = "demo")]
pub mod attack;
mod attester;
mod boot;
#[cfg(feature = "demo")]
pub mod canary;
#[cfg(feature = "demo")]
pub mod cluster;
#[cfg(feature = "demo")]
pub mod custodian;
#[cfg(feature = "demo")]
pub mod custody;
#[cfg(feature = "demo")]
pub mod daemon;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "demo")]
mod derived_keys;
pub mod forge;
#[cfg(feature = "demo")]
pub mod guarded;
#[cfg(feature = "demo")]
pub mod guest;
#[cfg(feature = "demo")]
pub mod impostor;
mod intel;
pub mod ledger;
mod lie;
#[cfg(feature = "demo")]
pub mod logs;
mod mint_snp;
mod mint_tdx;
mod minted;
mod pki;
mod profile;
#[cfg(feature = "published")]
pub mod published;
pub mod release;
#[cfg(feature = "demo")]
pub mod salamander;
mod seed;
mod snp;
pub mod strict;
#[cfg(feature = "demo")]
pub mod stuck;
#[cfg(feature = "demo")]
pub mod tap;
#[cfg(feature = "demo")]
pub mod tape;
mod tdx;
mod tee;
#[cfg(feature = "demo")]
pub mod weather;
pub mod world;

pub use attester::{anchors, foreign_anchors};
pub use lie::Lie;
pub use profile::{BuildImage, GuestConfig, Platform, TeeProfile};
pub use tdx::QuoteShape;
pub use tee::SimTee;
pub use world::{PolicyBuilder, genesis_record, genesis_template, policy_for};
