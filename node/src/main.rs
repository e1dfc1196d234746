//! `ringwalld`: a Ringwall node in a confidential VM, under the vendors' roots of trust.
//!
//! Decides: nothing; the command line is `ringwall_node::cli`, the roots are those of `ringwall_node::platform::Hardware`. A build in which defences
//! can be left out has no such program: it does not compile.

use ringwall_node::{cli, platform::Hardware};
use std::process::ExitCode;
use std::sync::Arc;

const _: () = assert!(!ringwall_wire::without::CAN_LEAVE_OUT, "ringwalld is never built with the feature `without`; see CONTRIBUTING.md");

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Arc::new(Hardware))
}
