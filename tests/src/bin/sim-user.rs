//! The `ringwall` command line with the simulated roots of trust, as a binary of this package, so that its suites can type commands.
//!
//! Decides: nothing; it hands its arguments on. Trusts: nothing, protects nothing (the simulated roots are public).
//! Out of scope: everything else.

fn main() -> std::process::ExitCode {
    ringwall_client::cli::run(std::env::args_os(), ringwall_sim::anchors())
}
