//! `cargo sim`: many deterministic worlds, or one of them with everything that happens in it.
//!
//! Decides: which seeds, for how long, and that a seed that breaks a rule is appended to the file of regressions, which the tests run
//! again. Trusts: nothing. Out of scope: what a world is (`ringwall_tests::world`).
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for people

use clap::Parser;
use ringwall_tests::world::campaign::{self, Sum};
use ringwall_tests::world::drills::Drill;
use ringwall_tests::world::proof::{CASES, prove};
use ringwall_tests::world::run::run;
use ringwall_tests::world::settings::Settings;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    #[arg(long, default_value_t = 42)]
    faults: u64,
    /// Threads, each with worlds of its own.
    #[arg(long, default_value_t = 1)]
    threads: u64,
    /// Make each mistake on purpose in up to this many worlds, and print which were noticed.
    #[arg(long, value_name = "WORLDS")]
    proof: Option<u64>,
    /// Run the attack in full instead of faults from the seed: `rollback` or `clone`.
    #[arg(long)]
    drill: Option<String>,
    /// Where seeds that broke a rule are kept.
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let drill = match arguments.drill.as_deref() {
        None => None,
        Some("rollback") => Some(Drill::Rollback),
        Some("clone") => Some(Drill::Clone),
        Some(other) => {
            eprintln!("--drill {other}: there are `rollback` and `clone`");
            return ExitCode::from(2);
        }
    };
    let settings = Settings { faults_ms: arguments.faults * 1_000, print: arguments.trace, drill, ..Settings::default() };
    match (arguments.proof, arguments.seed) {
        (Some(worlds), _) => prove_all(worlds),
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

fn prove_all(worlds: u64) -> ExitCode {
    let mut missed: u64 = 0;
    println!("{:<45} {:<10} {:<20} what", "mistake", "noticed", "rule");
    for case in CASES {
        let proof = prove(case, worlds);
        match (proof.noticed, case.held_by) {
            (Some((seed, rule, what)), _) => {
                let words: String = what.chars().filter(|letter| *letter != '\n').take(90).collect();
                println!(
                    "{:<45} {:<10} {:<20} seed {seed}: {words}",
                    case.mistake,
                    format!("{} worlds", proof.worlds),
                    format!("{rule:?}")
                );
            }
            (None, Some(by)) => println!("{:<45} {:<10} {:<20} {by}", case.mistake, "no", "held by another"),
            (None, None) => {
                missed += u64::from(case.seen);
                println!("{:<45} {:<10}", case.mistake, "MISSED");
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(arguments: &Arguments, settings: &Settings) -> ExitCode {
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from + arguments.seeds;
    let sum = Mutex::new((Sum::default(), Duration::ZERO));
    let limit_ms = arguments.hours.map_or(u64::MAX, |hours| (hours * 3_600_000.0) as u64);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let before = campaign::cpu();
                    if seed >= end || sum.lock().is_ok_and(|sum| sum.0.simulated_ms >= limit_ms) {
                        return;
                    }
                    let report = run(seed, settings);
                    let cpu = campaign::cpu() - before;
                    if let Some(first) = report.violations.first() {
                        eprintln!("seed {seed}: {first}");
                        keep(arguments, seed, &first.to_string());
                    }
                    if let Ok(mut sum) = sum.lock() {
                        sum.0.add(&report);
                        sum.1 += cpu;
                        if sum.0.worlds.is_multiple_of(100) {
                            eprintln!("{} worlds, {} failed", sum.0.worlds, sum.0.failed.len());
                        }
                    }
                }
            });
        }
    });
    let Ok((sum, cpu)) = sum.into_inner() else { return ExitCode::FAILURE };
    println!("{}", sum.table(cpu));
    if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn keep(arguments: &Arguments, seed: u64, why: &str) {
    let Some(path) = &arguments.keep else { return };
    let file = std::fs::File::options().create(true).append(true).open(path);
    let kept = file.and_then(|mut file| writeln!(file, "{seed} # {}", why.lines().next().unwrap_or_default()));
    if let Err(fault) = kept {
        eprintln!("{}: the seed is not kept: {fault}", path.display());
    }
}
