//! Pages through both doors: whole attested sessions, and everything a hostile page, or a machine in the middle, may try.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: browsers (`.ci/web.py`), whole nodes (`node/tests/pages.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

mod socket;
mod transport;
