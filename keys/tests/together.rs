//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "custody.rs"]
mod custody;
#[path = "labels.rs"]
mod labels;
#[path = "phrase.rs"]
mod phrase;
#[path = "primitives.rs"]
mod primitives;
#[path = "roll.rs"]
mod roll;
#[path = "rotation.rs"]
mod rotation;
#[path = "sealing.rs"]
mod sealing;
#[path = "user.rs"]
mod user;
#[path = "workload.rs"]
mod workload;
