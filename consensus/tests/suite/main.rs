//! Groups of replicas in one process, disks that fail, power cuts: one program, because the engine is compiled anew into every program
//! that starts a replica.
//!
//! Decides: nothing; each module says what it decides. Trusts: the wires of `rig` and the disk in memory.
//! Out of scope: evidence and sessions.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing)]

mod custody;
mod disks;
mod group;
mod log_tree;
mod proofs;
mod recovery;
mod retired;
mod rig;
mod storage;
mod throughput;
