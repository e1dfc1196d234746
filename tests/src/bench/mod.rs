//! The benchmarks: closed-loop load on three local processes, Ringwall and etcd side by side in one run; custody beside a restart and another Shamir.
//!
//! Decides: what is measured and how it is reported. Trusts: `/proc` and one monotonic clock. Out of scope: assertions on time;
//! tests never make any.

pub mod custody;
pub mod etcd;
pub mod grpc;
pub mod load;
pub mod measure;
pub mod report;
pub mod targets;
