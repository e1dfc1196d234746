//! Releases: is the build that runs one that its named makers published, in a log that named witnesses watch?
//!
//! `note.rs` and `log.rs` read signed notes and checkpoints, `sigstore` judges bundles, `statement.rs` reads what was signed, `proof.rs` puts
//! it together. Each takes keys and times as arguments; nothing is fetched.
//! Trusts: the policy. Out of scope: evidence (`appraise.rs`), publishing, where proofs are kept. Protocol section 8, "Releases".

mod base64;
pub mod log;
mod ml_dsa;
pub mod note;

pub use log::{Checkpoint, LogError, Witnessed};
pub use note::{NoteError, SignedNote, VerifierKey};
