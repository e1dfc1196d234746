//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kernel;
mod vendors;

#[path = "attester.rs"]
mod attester;
#[path = "boot_log.rs"]
mod boot_log;
#[path = "config.rs"]
mod config;
#[path = "endorsements_cache.rs"]
mod endorsements_cache;
#[path = "endorsements_http.rs"]
mod endorsements_http;
#[path = "endorsements_keeper.rs"]
mod endorsements_keeper;
#[path = "examine.rs"]
mod examine;
#[path = "joining.rs"]
mod joining;
#[path = "pages.rs"]
mod pages;
#[path = "recorded.rs"]
mod recorded;
#[path = "refusals.rs"]
mod refusals;
