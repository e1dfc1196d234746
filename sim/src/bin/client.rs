//! `ringwall-sim`: the `ringwall` command line with the simulated roots of trust, for clusters of `cargo demo --keep`.

fn main() -> std::process::ExitCode {
    ringwall_client::cli::run(std::env::args_os(), ringwall_sim::anchors())
}
