//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod ceremony;
mod judge;

#[path = "attack_program.rs"]
mod attack_program;
#[path = "custodian.rs"]
mod custodian;
#[path = "custodian_drill.rs"]
mod custodian_drill;
#[path = "custodian_shares.rs"]
mod custodian_shares;
#[path = "derived_keys.rs"]
mod derived_keys;
#[path = "honest.rs"]
mod honest;
#[path = "lies.rs"]
mod lies;
#[path = "web_demo.rs"]
mod web_demo;
