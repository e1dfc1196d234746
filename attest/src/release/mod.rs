//! Releases: is the build that runs one that its named makers published, in a log that named witnesses watch?
//!
//! `note.rs` and `log.rs` read signed notes and checkpoints, `sigstore` judges bundles, `statement.rs` reads what was signed, `proof.rs` puts
//! it together. Each takes keys and times as arguments; nothing is fetched.
//! Trusts: the policy. Out of scope: evidence (`appraise.rs`), publishing, where proofs are kept. Protocol section 8, "Releases".

mod base64;
pub mod bundle;
pub mod heard;
pub mod log;
mod ml_dsa;
pub mod note;
pub mod proof;
pub mod published;
pub mod signer;
mod sigstore;
pub mod statement;

pub use bundle::{Bundle, BundleError, Certified, TrustedRoot, envelope_words};
pub use heard::Heard;
pub use log::{Checkpoint, LogError, Witnessed};
pub use note::{NoteError, SignedNote, VerifierKey};
pub use proof::{Ran, ReleaseError, Released, verify_fork, verify_release};
pub use published::{Publication, verify_published};
pub use signer::{Rule, RuleError, Signer};
pub use statement::{Artefact, SnpShape, Statement, StatementError, TdxShape};
