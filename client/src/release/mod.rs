//! Releases: making, signing, publishing and proving them, and witnessing their log.
//!
//! | file | what it decides |
//! |---|---|
//! | [`statement`] | what is said about a build |
//! | [`key`], [`fulcio`], [`bundle`] | who says it, and how it is signed |
//! | [`rekor`] | Sigstore's public record of that |
//! | [`tiles`] | the release log, read over HTTP |
//! | [`note`], [`witness`] | cosigning the log's checkpoints |
//! | [`staple`] | the proof of release that nodes carry |
//! | [`publish`] | recoveries and dealings in the log |
//! | [`http`] | how any of this is asked for, bounded |
//!
//! Trusts: nothing fetched. Every verdict about a release is `ringwall_attest::release`'s; a session with a node uses none of this.
//! Out of scope: predicting measurements (`measure`), policies (`policy`). Protocol section 8, "Releases"; docs/runbooks/releases.md.

pub mod bundle;
pub mod fulcio;
pub mod http;
pub mod key;
pub mod note;
pub mod publish;
pub mod rekor;
pub mod staple;
pub mod statement;
pub mod tiles;
pub mod witness;
