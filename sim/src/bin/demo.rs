//! `cargo demo`: see `ringwall_sim::demo`.

fn main() -> std::process::ExitCode {
    ringwall_sim::demo::main()
}
