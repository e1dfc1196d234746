//! `ringwall-disks`: any number of power cuts and edited disks against a replica's storage, and what came of them.
//!
//! Decides: nothing; it counts, prints and fails when there is a finding. Trusts: nothing.
//! Out of scope: what is done to a disk and when that is a finding (`ringwall_consensus::exercise`).
#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use ringwall_consensus::exercise::{Tally, corrupt, crash};
use std::process::ExitCode;

/// Cuts the power at every boundary of workloads, and edits disks under a running member; nothing acknowledged may be lost, nothing
/// false may be read.
#[derive(Debug, Parser)]
#[command(name = "ringwall-disks", about, max_term_width = 100)]
struct Arguments {
    /// How many images of power cuts, and as many edits.
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// Equal seeds make equal images and edits.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Images at one boundary: none synced, all synced, then torn and reordered ones in turn.
    #[arg(long, default_value_t = 20)]
    images: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads = arguments.threads.max(1);
    // Seeds of different threads lie far apart: a workload takes the next one.
    let seeds: Vec<u64> = (0..threads).map(|thread| arguments.seed.wrapping_add(thread << 32)).collect();
    let share = arguments.count.div_ceil(threads);
    let cuts = spread(&seeds, |seed| crash::campaign(seed, share, arguments.images.max(2)));
    let edits = spread(&seeds, |seed| corrupt::campaign(seed, share));
    let (cuts, edits) = match (cuts, edits) {
        (Ok(cuts), Ok(edits)) => (cuts, edits),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("a workload did not run: {why}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.json {
        let both = serde_json::json!({ "seed": arguments.seed, "power_cuts": figures(&cuts), "edits": figures(&edits) });
        println!("{}", serde_json::to_string_pretty(&both).expect("figures encode"));
    } else {
        print("power cuts", arguments.seed, &cuts);
        print("edits", arguments.seed, &edits);
    }
    if cuts.findings + edits.findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a campaign for each seed at the same time and adds up.
fn spread(seeds: &[u64], campaign: impl Fn(u64) -> std::io::Result<Tally> + Sync) -> std::io::Result<Tally> {
    let campaign = &campaign;
    std::thread::scope(|scope| {
        let running: Vec<_> = seeds.iter().map(|seed| scope.spawn(move || campaign(*seed))).collect();
        let mut sum = Tally::default();
        for run in running {
            sum.add(run.join().map_err(|_| std::io::Error::other("a campaign panicked"))??);
        }
        Ok(sum)
    })
}

fn figures(tally: &Tally) -> serde_json::Value {
    let outcomes: Vec<_> = tally
        .outcomes
        .iter()
        .map(|((kind, outcome), count)| serde_json::json!({ "kind": kind, "outcome": outcome, "count": count }))
        .collect();
    serde_json::json!({ "judged": tally.judged, "findings": tally.findings, "found": tally.found, "outcomes": outcomes })
}

fn print(what: &str, seed: u64, tally: &Tally) {
    println!("{} {what}, seed {seed}", tally.judged);
    for ((kind, outcome), count) in &tally.outcomes {
        println!("{count:>9}  {kind}: {outcome}");
    }
    println!("{:>9}  lost, false or panicked", tally.findings);
    for found in &tally.found {
        println!("FINDING {found}");
    }
}
