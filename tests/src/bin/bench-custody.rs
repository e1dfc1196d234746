//! `cargo bench-custody`: what recoveries, rotations, first looks at users and dealings take; `cargo bench-constant-time`: whether times depend on secrets.
//!
//! Decides: what runs and how it is printed. Exit code 0 when the promised time of a recovery was kept, 1 when not or when something failed. For constant
//! time: 0 when what leaks on purpose was seen and nothing else, 1 when something depends on its input, 2 when the machine was too noisy to see anything.
//! Trusts: nothing it measures. Out of scope: how (`ringwall_tests::bench::custody`, `ringwall_tests::timing`). No suite runs it: no test asserts on time.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line")]

use clap::{Parser, ValueEnum};
use ringwall_sim::cluster::Launch;
use ringwall_tests::bench::custody::{Report, cold, dealing, outage, rotation, table};
use ringwall_tests::bench::report::{commit, machine};
use ringwall_tests::timing::operations::OPERATIONS;
use ringwall_tests::timing::{Finding, Verdict, largest, measure as times_of, verdict};
use std::io::IsTerminal as _;
use std::process::ExitCode;

const NODE_WORD: &str = "simulated-node";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From the last share to service, by size of the state.
    Outage,
    /// A rotation of the master key under load.
    Rotation,
    /// The first look at a user.
    Cold,
    /// Dealing and combining shares.
    Dealing,
}

/// Measures custody of keys on three local Ringwall nodes, and in one process.
#[derive(Debug, Parser)]
#[command(name = "cargo bench-custody", max_term_width = 100)]
struct Arguments {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "dealing,cold,rotation,outage")]
    only: Vec<Part>,
    /// State of a recovery, MiB.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    sizes: Vec<u64>,
    /// Namespaces whose data keys a rotation moves.
    #[arg(long, default_value_t = 10_000)]
    namespaces: usize,
    /// Closed-loop clients during a rotation.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Seconds of load before a rotation.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Users that are looked at for the first time.
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Turns of each contender in dealing; the median counts.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// A short run: 1 MiB, 200 namespaces, 8 users, one turn.
    #[arg(long)]
    quick: bool,
    /// Measure whether times depend on secrets, and nothing else.
    #[arg(long)]
    constant_time: bool,
    /// Measurements of each operation, for --constant-time.
    #[arg(long, default_value_t = 1_000_000)]
    samples: usize,
    /// Seed of inputs and order, for --constant-time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == NODE_WORD) {
        return ringwall_sim::daemon::run(std::iter::once(NODE_WORD.into()).chain(words));
    }
    let mut arguments = Arguments::parse();
    if arguments.constant_time {
        return constant_time(&arguments);
    }
    if arguments.quick {
        (arguments.sizes, arguments.namespaces, arguments.clients, arguments.seconds) = (vec![1], 200, 4, 0.5);
        (arguments.users, arguments.turns) = (8, 1);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(measure(&arguments)).and_then(|report| print(&arguments, &report)) {
        Ok(kept) => ExitCode::from(u8::from(!kept)),
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("cargo bench-custody: {error}");
    ExitCode::FAILURE
}

async fn measure(arguments: &Arguments) -> Result<Report, String> {
    let launch = Launch::this_program(NODE_WORD).map_err(|error| error.to_string())?;
    let at_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut report = Report { at_s, commit: commit(), machine: machine(), ..Report::default() };
    let wanted = |part| arguments.only.contains(&part);
    if wanted(Part::Dealing) {
        report.dealings = dealing::measure(arguments.turns)?;
    }
    if wanted(Part::Cold) {
        report.cold = Some(cold::measure(&launch, arguments.users.max(1)).await?);
    }
    if wanted(Part::Rotation) {
        let (namespaces, clients) = (arguments.namespaces, arguments.clients.max(1));
        report.rotation = Some(rotation::measure(&launch, namespaces, clients, arguments.seconds).await?);
    }
    if wanted(Part::Outage) {
        for state_mib in &arguments.sizes {
            report.outages.push(outage::measure(&launch, *state_mib).await?);
        }
    }
    Ok(report)
}

/// Whether the promise was kept.
fn print(arguments: &Arguments, report: &Report) -> Result<bool, String> {
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(report).map_err(|error| error.to_string())?),
        false => print!("{}", table(report)),
    }
    Ok(report.is_promise_kept())
}

fn constant_time(arguments: &Arguments) -> ExitCode {
    let mut findings = Vec::new();
    for operation in &OPERATIONS {
        if std::io::stderr().is_terminal() {
            eprintln!("{}", operation.name);
        }
        let times = times_of(operation, arguments.samples, arguments.seed);
        let finding = Finding { operation: operation.name, leaks: operation.leaks, measurements: times.len(), difference: largest(&times) };
        if !arguments.json {
            let (difference, words) = (&finding.difference, finding.words());
            let place = if difference.spread { "in the spread".to_owned() } else { format!("fastest {:>3.0} %", difference.kept * 100.0) };
            println!(
                "{:<42} {:>9} measurements   |t| = {:>9.2}   {place:<13}   {words}",
                finding.operation, finding.measurements, difference.t
            );
        }
        findings.push(finding);
    }
    let verdict = verdict(&findings);
    if arguments.json {
        println!("{}", serde_json::json!({ "machine": machine(), "commit": commit(), "verdict": verdict, "findings": findings }));
    }
    match verdict {
        Verdict::NothingSeen => ExitCode::SUCCESS,
        Verdict::Depends => ExitCode::from(1),
        Verdict::TooNoisy => ExitCode::from(2),
    }
}
