//! Sigstore's own formats: its trusted root, certificates of its authority, timestamps, entries of its log.
//!
//! Decides: whether each part of a bundle is genuine under one trusted root. Our own code and not a crate: time is an argument here, nothing is
//! tried that was not asked for, and the same code runs without an operating system (docs/decisions/0040-release-proofs.md).
//! Trusts: the trusted root, which a policy pins by its hash. Out of scope: who may sign what (`proof.rs`), fetching a root.
//! Sigstore client specification; RFC 5280, 6962 and 3161 as far as Sigstore uses them.

pub(crate) mod certificate;
pub(crate) mod der;
pub(crate) mod entry;
pub(crate) mod key;
pub(crate) mod root;
pub(crate) mod timestamp;
