//! `ringwall-sim`: the `ringwall` command line with the simulated roots of trust, for clusters of `cargo demo --keep`; `ringwall-sim log` and
//! `ringwall-sim witness` are the simulated log of releases and its witnesses.
//!
//! Decides: nothing; it hands its arguments on. Trusts: nothing, protects nothing (the simulated roots are public).
//! Out of scope: everything else.

fn main() -> std::process::ExitCode {
    ringwall_sim::guest::client(std::env::args_os())
}
