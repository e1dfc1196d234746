//! The `ringwall` command line with simulated roots as a binary of this package, so that its suites can type commands whatever else was built.
//!
//! Decides: nothing; it hands its arguments on. Trusts: nothing, protects nothing (the simulated roots are public).
//! Out of scope: everything else.

fn main() -> std::process::ExitCode {
    ringwall_sim::guest::client(std::env::args_os())
}
