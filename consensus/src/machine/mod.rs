//! The state machine: what committed commands do.
//!
//! Decides: the state after each entry, as a pure function of the entries before it. Trusts: nothing in an entry.
//! Out of scope: how entries are agreed on. Protocol sections 4 and 5.

#[cfg(test)]
mod admission_tests;
pub(crate) mod backend;
pub(crate) mod base;
#[cfg(test)]
mod chain_tests;
pub(crate) mod clients;
pub mod custody;
pub(crate) mod expected;
pub mod generations;
pub(crate) mod history;
pub(crate) mod keys;
#[cfg(test)]
mod keys_tests;
pub(crate) mod log_tree;
pub mod policy;
pub(crate) mod raft;
pub(crate) mod replicated;
pub(crate) mod roster;
pub(crate) mod rows;
pub(crate) mod snapshot;
pub(crate) mod store;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;
pub(crate) mod users;
pub mod view;
pub(crate) mod workloads;
#[cfg(test)]
mod workloads_tests;
