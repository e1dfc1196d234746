//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod program;
mod saved;

#[path = "anchor.rs"]
mod anchor;
#[path = "backup.rs"]
mod backup;
#[path = "custodian.rs"]
mod custodian;
#[path = "explain.rs"]
mod explain;
#[path = "hostile.rs"]
mod hostile;
#[path = "policy_cli.rs"]
mod policy_cli;
#[path = "policy_meaning.rs"]
mod policy_meaning;
#[path = "policy_toml.rs"]
mod policy_toml;
#[path = "rollback.rs"]
mod rollback;
#[path = "slot_cli.rs"]
mod slot_cli;
#[path = "verify_held.rs"]
mod verify_held;
