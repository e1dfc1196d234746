//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shelf;
mod strict;

#[path = "approval.rs"]
mod approval;
#[path = "batch.rs"]
mod batch;
#[path = "chain.rs"]
mod chain;
#[path = "events.rs"]
mod events;
#[path = "fields.rs"]
mod fields;
#[path = "fields_page.rs"]
mod fields_page;
#[path = "grants.rs"]
mod grants;
#[path = "launch.rs"]
mod launch;
#[path = "session.rs"]
mod session;
#[path = "stages.rs"]
mod stages;
#[path = "vectors.rs"]
mod vectors;
