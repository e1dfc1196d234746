//! The log: entries, vote and commit position in one append-only file of segments.
//!
//! Decides: when something counts as durable, and that the first failed write ends this replica. One writer thread collects what is
//! queued, writes it in one piece, and only then tells those who wait, in order.
//! Trusts: the disk for as long as the process lives; nothing it finds there later ([`recover`] is for total outages and tests).
//! Out of scope: what entries mean. Protocol section 5.1.

pub(crate) mod frame;
pub mod recover;
pub(crate) mod store;
pub(crate) mod writer;
