//! A client's session without sockets, files, clocks or threads: the one core of the native client, of the page and of the C interface.
//!
//! Decides: everything of protocol section 3 between the bytes of a network and the questions of a user: what is said to a node before it is believed, how it is
//! judged, what is remembered of a cluster, which questions are numbered, repeated or given up, and which node is next. Time is an argument (milliseconds of a clock
//! that only goes forward, Unix seconds for evidence), randomness is an argument, a store is a value.
//! Trusts: whoever drives it for time and randomness, and for nothing that a node could profit from. Out of scope: sockets, files, runtimes (`client`), pages
//! (`client/web`), other languages (`client/ffi`). Protocol section 3.

pub mod anchor;
pub mod asked;
mod book;
pub mod card;
mod chance;
pub mod checksummed;
pub mod core;
pub mod credential;
pub mod dial;
pub mod error;
pub mod exchange;
pub mod explain;
pub mod kept;
mod lane;
pub mod line;
mod once;
pub mod opening;
pub mod ops;
pub mod recovered;
pub mod refused;
mod rounds;
pub mod shown;
pub mod spoken;
pub mod timeouts;
pub mod verification;
mod watches;
mod wired;

pub use explain::{Explanation, Mark, RefusalAccount, StageAccount, Verdict};
