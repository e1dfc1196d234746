//! Releases as real formats have them: a log of tiles and witnesses as pure functions, managed keys, bundles, whole proofs.
//!
//! Decides: what an honest publisher, log and witness write; every key follows from a name. Each part is open, so that a test damages exactly one.
//! Trusts: nothing; every private key is public. Out of scope: servers and files, judging (`ringwall_attest::release`).
//! docs/formats.md, "Releases"; C2SP signed-note, tlog-checkpoint, tlog-cosignature; Sigstore bundle v0.3.

pub mod bundle;
pub mod log;
mod published;

pub use bundle::ManagedKey;
pub use log::{MintedLog, NoteSigner, Witness};
pub use published::{Publisher, statement_of};
