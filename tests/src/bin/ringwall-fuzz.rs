//! `ringwall-fuzz`: writes the seeds of the fuzz targets, or runs a target for a while without coverage.
//!
//! Decides: nothing. The loop here edits seeds blindly: it finds what any edit finds. libFuzzer (`.ci/fuzz`) looks where it has not been.
//! Trusts: nothing. Out of scope: oracles (`ringwall_tests::fuzzing`).
#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use ringwall_tests::fuzzing::{TARGETS, corpus};
use ringwall_tests::mutants::Dice;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs fuzz targets without a fuzzer, and makes their corpus.
#[derive(Debug, Parser)]
#[command(name = "ringwall-fuzz", about, max_term_width = 100)]
struct Arguments {
    /// Write every seed under this folder, and end.
    #[arg(long, value_name = "FOLDER")]
    make_corpus: Option<PathBuf>,
    /// Run this target alone.
    #[arg(long)]
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Equal seeds make equal inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// List the targets, and end.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        TARGETS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = &arguments.make_corpus {
        return match corpus::write(folder) {
            Ok(count) => {
                println!("{count} seeds in {}", folder.display());
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("the seeds cannot be written to {}: {error}", folder.display());
                ExitCode::FAILURE
            }
        };
    }
    let wanted = |name: &str| arguments.target.as_deref().is_none_or(|target| target == name);
    let seeds = corpus::seeds();
    let mut ran = 0usize;
    for (name, body) in TARGETS.iter().filter(|(name, _)| wanted(name)) {
        let own: Vec<&Vec<u8>> = seeds.iter().filter(|(target, _, _)| target == name).map(|(_, _, bytes)| bytes).collect();
        let until = Duration::from_secs(arguments.seconds);
        let begun = Instant::now(); // tidy: how long to run is what was asked
        let mut executions = 0u64;
        while begun.elapsed() < until {
            let mut dice = Dice::new(arguments.seed, executions);
            let mut input = dice.pick(&own).map_or_else(Vec::new, |bytes| (*bytes).clone());
            for _ in 0..=dice.below(4) {
                edit(&mut dice, &mut input);
            }
            body(&input);
            executions = executions.saturating_add(1);
        }
        println!("{name}: {executions} executions without coverage in {} s, no finding", arguments.seconds);
        ran = ran.saturating_add(1);
    }
    match ran {
        0 => {
            eprintln!("no target of this name: see --list");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn edit(dice: &mut Dice, input: &mut Vec<u8>) {
    let at = dice.below(input.len());
    match (dice.below(5), input.get_mut(at)) {
        (0 | 1, Some(byte)) => *byte ^= dice.byte(),
        (2, Some(_)) => input.truncate(at),
        (3, Some(_)) => drop(input.remove(at)),
        _ => input.insert(at.min(input.len()), dice.byte()),
    }
}
