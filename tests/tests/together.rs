//! The tests of this folder in one program: a program of its own costs each of them more to link than most take to run.
//!
//! Decides: which files belong together; `tests/tests/tidy` holds that none is left out. Trusts: nothing. Out of scope: what they test, said in each.
#![allow(clippy::unwrap_used, clippy::panic)]

mod governing;
mod three;
mod workload;

#[path = "attacks.rs"]
mod attacks;
#[path = "backup.rs"]
mod backup;
#[path = "conformance.rs"]
mod conformance;
#[path = "custodian_line.rs"]
mod custodian_line;
#[path = "custody.rs"]
mod custody;
#[path = "dealing.rs"]
mod dealing;
#[path = "differential.rs"]
mod differential;
#[path = "drill.rs"]
mod drill;
#[path = "failover.rs"]
mod failover;
#[path = "fuzzing.rs"]
mod fuzzing;
#[path = "governance.rs"]
mod governance;
#[path = "hostile.rs"]
mod hostile;
#[path = "kbs.rs"]
mod kbs;
#[path = "languages.rs"]
mod languages;
#[path = "leases.rs"]
mod leases;
#[path = "modes.rs"]
mod modes;
#[path = "mutants.rs"]
mod mutants;
#[path = "operations.rs"]
mod operations;
#[path = "orders.rs"]
mod orders;
#[path = "policy.rs"]
mod policy;
#[path = "receipts.rs"]
mod receipts;
#[path = "recover.rs"]
mod recover;
#[path = "refusals.rs"]
mod refusals;
#[path = "releases.rs"]
mod releases;
#[path = "renewal.rs"]
mod renewal;
#[path = "replacements.rs"]
mod replacements;
#[path = "restarts.rs"]
mod restarts;
#[path = "runbooks.rs"]
mod runbooks;
#[path = "sleepers.rs"]
mod sleepers;
#[path = "tree_vectors.rs"]
mod tree_vectors;
#[path = "users.rs"]
mod users;
#[path = "workloads.rs"]
mod workloads;
