//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "conformance.rs"]
mod conformance;
#[path = "door.rs"]
mod door;
#[path = "words.rs"]
mod words;
