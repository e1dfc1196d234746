//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

#[path = "handshake.rs"]
mod handshake;
#[path = "primitives.rs"]
mod primitives;
#[path = "session.rs"]
mod session;
#[path = "states.rs"]
mod states;
