//! Secrets as text for people: words on paper ([`words`]), one line for machines and codes to scan ([`line`](mod@line)); words a wrong one may have been ([`near`](mod@near)).
//!
//! Decides: both carry a checksum that finds every error of a few letters or words, says *where* a single one is, and never mends it by itself: what is
//! mended silently may be the wrong secret. A purpose is mixed into the checksum, so that text of one kind is not taken for another.
//! Errors name places, never contents. Trusts: the machine it runs on, its owner's: lookups here are not in constant time.
//! Out of scope: what the bytes mean (`custody/spelled.rs`). Bytes: docs/formats.md, "Shares as text".

pub mod line;
pub mod near;
pub mod words;

/// Bytes either form takes at most.
pub const TEXT_BYTES: usize = 256;
