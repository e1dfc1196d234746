//! The simulated node daemon as a binary of this package, so that its suites can start it whatever else was built.

fn main() -> std::process::ExitCode {
    ringwall_sim::daemon::run(std::env::args_os())
}
