//! The shipped `ringwall` program: the command line with the vendors' roots of trust.
//!
//! Decides: that nothing but the roots compiled into `attest` is believed. Trusts: those roots. A build in which defences can be left out has no
//! such program: it does not compile.
//! Out of scope: everything else (`ringwall_client::cli`).

use std::process::ExitCode;

const _: () = assert!(!ringwall_wire::without::CAN_LEAVE_OUT, "ringwall is never built with the feature `without`; see CONTRIBUTING.md");

fn main() -> ExitCode {
    ringwall_client::cli::run(std::env::args_os(), ringwall_client::Anchors::production())
}
