//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "header.rs"]
mod header;
#[path = "programs.rs"]
mod programs;
#[path = "python.rs"]
mod python;
