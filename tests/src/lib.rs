//! What the cross-crate suites and the benchmark share.
//!
//! Decides: how histories are recorded and judged, how a benchmark point is measured. Trusts: nothing it tests.
//! Out of scope: starting clusters (`ringwall_sim::cluster`), which the demo shares.

pub use ringwall_sim::custodian;

pub mod bench;
pub mod dealer;
pub mod fuzzing;
pub mod history;
pub mod keepers;
pub mod linearizable;
pub mod load;
pub mod local;
pub mod memory;
pub mod mutants;
pub mod plunder;
pub mod proof_mutants;
pub mod runbook;
pub mod soak;
pub mod timing;
pub mod visibility;
pub mod world;
