//! The shipped `ringwall` program: the command line with the vendors' roots of trust.
//!
//! Decides: that nothing but the roots compiled into `attest` is believed. Trusts: those roots.
//! Out of scope: everything else (`ringwall_client::cli`).

use std::process::ExitCode;

fn main() -> ExitCode {
    ringwall_client::cli::run(std::env::args_os(), ringwall_client::Anchors::production())
}
