//! `ringwalld-sim`: the node daemon on a simulated machine; see `ringwall_sim::daemon`.
//!
//! Decides: nothing; it hands its arguments on. Trusts: nothing, protects nothing (the simulated roots are public).
//! Out of scope: everything else.

fn main() -> std::process::ExitCode {
    ringwall_sim::daemon::run(std::env::args_os())
}
