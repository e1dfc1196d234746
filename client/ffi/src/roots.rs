//! The roots of trust of the shipped library: the vendors' own, and nothing else.
//!
//! Decides: that nothing but the roots compiled into `attest` is believed. The library of the tests has the same files but for this one (`client/ffi/examples/simulated.rs`).
//! Trusts: those roots. Out of scope: everything else.

use ringwall_session::spoken::Spoken;

/// A core that trusts them.
pub(crate) fn spoken() -> Spoken {
    Spoken::production()
}
