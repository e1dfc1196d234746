//! The library with simulated roots, for tests and for clusters of the demo. Never shipped: an example is built beside tests, and by nothing that is installed.
//!
//! Decides: that the simulated roots are believed, in place of `client/ffi/src/roots.rs`; every other file is the one of the shipped library.
//! Trusts: nothing, protects nothing (the simulated roots are public). Out of scope: everything else.
#![allow(unreachable_pub, reason = "what the library offers Rust programs is reached from none here")]

#[path = "../src/callbacks.rs"]
mod callbacks;
#[path = "../src/client.rs"]
mod client;
#[path = "../src/core.rs"]
mod core;
#[path = "../src/driver.rs"]
mod driver;
#[path = "../src/exports.rs"]
pub mod exports;
#[path = "../src/fault.rs"]
mod fault;
#[path = "../src/frame.rs"]
mod frame;
#[path = "../src/host.rs"]
mod host;
#[path = "../src/ledger.rs"]
mod ledger;
#[cfg(test)]
#[path = "../src/scripted.rs"]
mod scripted;
#[path = "../src/table.rs"]
mod table;

/// Roots whose keys are public.
mod roots {
    use ringwall_session::spoken::Spoken;

    /// A core that trusts them.
    pub(crate) fn spoken() -> Spoken {
        Spoken::new(ringwall_sim::anchors())
    }
}
