//! `ringwalld-sim`: the node daemon on a simulated machine; see `ringwall_sim::daemon`.

fn main() -> std::process::ExitCode {
    ringwall_sim::daemon::run(std::env::args_os())
}
