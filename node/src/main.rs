//! `ringwalld`: a Ringwall node in a confidential VM, under the vendors' roots of trust.
//!
//! Decides: nothing; the command line is `ringwall_node::cli`, the roots are those of `ringwall_node::platform::Hardware`.

use ringwall_node::{cli, platform::Hardware};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Arc::new(Hardware))
}
