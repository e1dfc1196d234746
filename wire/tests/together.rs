//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cases;

#[path = "card_text.rs"]
mod card_text;
#[path = "golden.rs"]
mod golden;
#[path = "identity.rs"]
mod identity;
#[path = "roundtrip.rs"]
mod roundtrip;
#[path = "tree.rs"]
mod tree;
