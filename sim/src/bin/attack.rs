//! `cargo attack`: see `ringwall_sim::attack`.
//!
//! Decides: nothing; it hands its arguments on. Trusts: nothing, protects nothing (the simulated roots are public).
//! Out of scope: everything else.

fn main() -> std::process::ExitCode {
    ringwall_sim::attack::main()
}
