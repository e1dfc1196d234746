//! All tests of this crate that are not beside their code, as one program.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod answering;
mod host;

#[path = "opening.rs"]
mod opening;
#[path = "spoken.rs"]
mod spoken;
#[path = "ways.rs"]
mod ways;
