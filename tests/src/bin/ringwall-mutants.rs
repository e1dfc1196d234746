//! `ringwall-mutants`: judges any number of mutants of valid evidence, or every one of release proofs, and says what refused them.
//!
//! Decides: nothing; it counts, prints and fails when there is a finding. Trusts: nothing.
//! Out of scope: what a mutant is, and when one is a finding (`ringwall_tests::mutants`, `ringwall_tests::proof_mutants`).
#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use ringwall_tests::mutants::{originals, tally};
use ringwall_tests::proof_mutants;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Makes mutants of valid evidence of every vendor and generation; none may be believed.
#[derive(Debug, Parser)]
#[command(name = "ringwall-mutants", about, max_term_width = 100)]
struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// Equal seeds make equal mutants.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of the first one; a finding names its own.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Every mutant of release proofs instead: one for each byte, and those of each part.
    #[arg(long, conflicts_with_all = ["count", "first", "threads"])]
    proofs: bool,
    /// With --proofs: at most so many of each original.
    #[arg(long, requires = "proofs")]
    sample: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.proofs {
        return proofs(&arguments);
    }
    let originals = originals::all();
    let done = AtomicU64::new(0);
    let show = std::io::stderr().is_terminal();
    let tally = std::thread::scope(|scope| {
        let progress = scope.spawn(|| {
            while done.load(Ordering::Relaxed) < arguments.count {
                std::thread::sleep(Duration::from_millis(200));
                if show {
                    eprint!("\r{} of {} mutants", done.load(Ordering::Relaxed), arguments.count);
                }
            }
            if show {
                eprintln!();
            }
        });
        let tally = tally::run(&originals, arguments.seed, arguments.first, arguments.count, arguments.threads, &done);
        done.store(arguments.count, Ordering::Relaxed);
        progress.join().expect("progress does not panic");
        tally
    });
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&tally).expect("figures encode"));
    } else {
        print(&arguments, &tally);
    }
    match tally.findings {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn proofs(arguments: &Arguments) -> ExitCode {
    let tally = proof_mutants::run(&proof_mutants::exhibits(), arguments.seed, arguments.sample);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&tally).expect("figures encode"));
    } else {
        println!("{} mutants of {} originals, seed {}", tally.judged, tally.made_from.len(), arguments.seed);
        tally.refused.iter().for_each(|(variant, count)| println!("{count:>9}  {variant}"));
        tally.no_meaning.iter().for_each(|(name, count)| println!("{count:>9}  accepted: what differs carries no meaning ({name})"));
        println!("{:>9}  accepted and must not be", tally.findings);
        tally.found.iter().for_each(|found| println!("FINDING {found}"));
    }
    if tally.findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(arguments: &Arguments, tally: &tally::Tally) {
    println!("{} mutants of {} originals, seed {}", tally.judged, tally.made_from.len(), arguments.seed);
    let mut refused: Vec<_> = tally.refused.iter().collect();
    refused.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (variant, count) in refused {
        println!("{count:>9}  {variant}");
    }
    println!("{:>9}  verify and say the same: another spelling of an original", tally.other_spellings);
    println!("{:>9}  verify and must not", tally.findings);
    for found in &tally.found {
        println!("FINDING {found}");
    }
}
