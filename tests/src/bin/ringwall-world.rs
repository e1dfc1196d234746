//! `cargo sim`: many deterministic worlds, or one of them with everything that happens in it.
//!
//! Decides: which seeds and for how long. A seed that breaks a rule is appended to the file of `--keep`, by default the one the tests run again where the
//! program finds it. Trusts: nothing. Out of scope: what a world is (`ringwall_tests::world`).
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for people

use clap::Parser;
use ringwall_tests::world::campaign;
use ringwall_tests::world::drills::Drill;
use ringwall_tests::world::kinds::Kind;
use ringwall_tests::world::proof::{CASES, Case, prove_all};
use ringwall_tests::world::run::run;
use ringwall_tests::world::settings::Settings;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds of faults in the worlds of the suite.
const FAULTS_S: u64 = 42;

/// Runs worlds of seeds, each a whole cluster on simulated time with faults from its seed.
#[derive(Parser)]
#[command(name = "ringwall-world")]
struct Arguments {
    /// How many worlds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One world alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Print what happens, as it happens.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Stop after this many simulated hours.
    #[arg(long)]
    hours: Option<f64>,
    /// Seconds of faults in each world.
    #[arg(long, default_value_t = FAULTS_S)]
    faults: u64,
    /// Threads, each with worlds of its own.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Make each mistake on purpose in up to this many worlds, and print which were noticed.
    #[arg(long, value_name = "WORLDS")]
    proof: Option<u64>,
    /// Of these mistakes only those with these words.
    #[arg(long, requires = "proof", value_name = "WORDS")]
    mistake: Option<String>,
    /// Only faults of these kinds (`BuildRevoked`, ...); may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Run the attack in full instead of faults from the seed: `rollback`, `clone`, `leader` or `sleeper`.
    #[arg(long)]
    drill: Option<String>,
    /// Where seeds of many worlds that broke a rule are appended.
    #[arg(long, default_value = "tests/tests/world/regressions.txt")]
    keep: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let drill = match arguments.drill.as_deref() {
        None => None,
        Some("rollback") => Some(Drill::Rollback),
        Some("clone") => Some(Drill::Clone),
        Some("leader") => Some(Drill::Leader),
        Some("sleeper") => Some(Drill::Sleeper),
        Some(other) => {
            eprintln!("--drill {other}: there are `rollback`, `clone`, `leader` and `sleeper`");
            return ExitCode::from(2);
        }
    };
    let mut settings = Settings { faults_ms: arguments.faults * 1_000, print: arguments.trace, drill, ..Settings::suite() };
    for wanted in &arguments.only {
        match Kind::ALL.iter().find(|kind| format!("{kind:?}") == *wanted) {
            Some(kind) => settings.only.push(*kind),
            None => {
                eprintln!("--only {wanted}: no kind has that name; tests/src/world/kinds.rs has them");
                return ExitCode::from(2);
            }
        }
    }
    match (arguments.proof, arguments.seed) {
        (Some(worlds), _) => proof(worlds, arguments.threads, arguments.mistake.as_deref().unwrap_or_default()),
        (None, Some(seed)) => one(seed, &settings),
        (None, None) => many(&arguments, &settings),
    }
}

fn one(seed: u64, settings: &Settings) -> ExitCode {
    let before = campaign::cpu();
    let report = run(seed, settings);
    let cpu = campaign::cpu() - before;
    let (hash, events) = report.hash;
    println!("seed {seed}: {events} events, hash {hash:016x}, {} ms simulated in {:.2} CPU s", report.simulated_ms, cpu.as_secs_f64());
    println!("operations {:?}, searched {:?}, watched {:?}", report.ops, report.searched, report.watched);
    report.violations.iter().for_each(|violation| println!("{violation}"));
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn proof(worlds: u64, threads: usize, mistake: &str) -> ExitCode {
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.mistake.contains(mistake)).collect();
    if cases.is_empty() {
        eprintln!("--mistake {mistake}: no row of the table has these words; `--proof 1` without it prints all rows");
        return ExitCode::from(2);
    }
    let talks = std::io::stderr().is_terminal();
    let (table, missed) = prove_all(&cases, worlds, threads, |row| {
        if talks {
            eprint!("{row}");
        }
    });
    println!("{table}");
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(arguments: &Arguments, settings: &Settings) -> ExitCode {
    let limit_ms = arguments.hours.map_or(u64::MAX, |hours| (hours * 3_600_000.0) as u64);
    let (worlds, lived_ms) = (AtomicU64::new(0), AtomicU64::new(0));
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let sum = campaign::sweep(seeds, settings, arguments.threads, |report| {
        if let Some(first) = report.violations.first() {
            eprintln!("seed {}: {first}", report.seed);
            keep(arguments, report.seed, &first.to_string());
        }
        if (worlds.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(100) {
            eprintln!("{} worlds", worlds.load(Ordering::Relaxed));
        }
        lived_ms.fetch_add(report.simulated_ms, Ordering::Relaxed) + report.simulated_ms < limit_ms
    });
    println!("{}", sum.table());
    if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn keep(arguments: &Arguments, seed: u64, why: &str) {
    let path = &arguments.keep;
    let why = why.lines().next().unwrap_or_default();
    // Worlds of another length than the suite's are other worlds: the tests would not find again what these did.
    if arguments.faults != FAULTS_S || arguments.drill.is_some() || !arguments.only.is_empty() {
        eprintln!("seed {seed} is not kept: the tests run seeds with {FAULTS_S} s of faults and without a drill");
        return;
    }
    let file = std::fs::File::options().create(true).append(true).open(path);
    if let Err(fault) = file.and_then(|mut file| writeln!(file, "{seed} of {} # {why}", Kind::ALL.len())) {
        eprintln!("{}: the seed is not kept: {fault}; name a file with --keep", path.display());
    }
}
