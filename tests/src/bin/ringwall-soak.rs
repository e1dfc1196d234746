//! `cargo soak`: real node processes under load for minutes or days, while they are killed, stopped and cut off and their disks are swapped.
//!
//! Decides: where everything is kept, how the report is shown, and that a run in which anything was wrong ends with 1 and keeps its folder.
//! Trusts: nothing. Out of scope: what is done and judged (`ringwall_tests::soak`).
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for people

use clap::Parser;
use ringwall_sim::cluster::Launch;
use ringwall_tests::soak::machine::{self, Allowed};
use ringwall_tests::soak::slopes::Growth;
use ringwall_tests::soak::{Report, Settings, Until, plan, run};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// First argument that makes this program a node.
const NODE_WORD: &str = "node";

/// Runs a cluster of real processes under load and faults; nothing acknowledged may be lost, and after every fault the cluster must be whole again.
#[derive(Debug, Parser)]
#[command(name = "ringwall-soak", about, max_term_width = 100)]
struct Arguments {
    /// How long: four fifths with faults, one fifth without.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Equal seeds give equal schedules.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=5))]
    nodes: u8,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Print this many rounds of the schedule, and run nothing.
    #[arg(long, value_name = "ROUNDS")]
    plan: Option<usize>,
    /// Where to keep disks and logs; without it a scratch folder, which goes when nothing was wrong.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let rest: Vec<OsString> = words.collect();
    if rest.first().is_some_and(|word| word == NODE_WORD) {
        return ringwall_sim::daemon::run(std::iter::once(program).chain(rest.into_iter().skip(1)));
    }
    let arguments = Arguments::parse();
    if let Some(rounds) = arguments.plan {
        for (number, round) in plan::schedule(arguments.seed).take(rounds).enumerate() {
            println!("{number:>4}  {} for {} ms, {} weather", round.strike, round.hold.as_millis(), round.weather);
        }
        return ExitCode::SUCCESS;
    }
    match soak(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("seed {}: {why}", arguments.seed);
            ExitCode::FAILURE
        }
    }
}

fn soak(arguments: &Arguments) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let scratch = tempfile::tempdir().map_err(|error| text(&error))?;
    let folder = arguments.folder.clone().unwrap_or_else(|| scratch.path().to_owned());
    let settings = Settings {
        folder: folder.clone(),
        launch: Launch::this_program(NODE_WORD).map_err(|error| text(&error))?,
        nodes: arguments.nodes.into(),
        seed: arguments.seed,
        until: Until::Time(Duration::from_secs(arguments.minutes * 60)),
        talkative: true,
    };
    let allowed = machine::try_out();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| text(&error))?;
    match runtime.block_on(run(settings)) {
        Ok(report) if arguments.json => {
            let both = serde_json::json!({ "report": report, "machine": allowed });
            println!("{}", serde_json::to_string_pretty(&both).expect("figures encode"));
            Ok(())
        }
        Ok(report) => {
            print(&report, &allowed);
            Ok(())
        }
        Err(error) => {
            let kept = scratch.keep();
            let place = arguments.folder.clone().unwrap_or(kept);
            Err(format!("{error}\ndisks and logs are kept in {}", place.display()))
        }
    }
}

fn print(report: &Report, allowed: &Allowed) {
    println!("{} nodes, seed {}, {:.0} s, {} rounds", report.nodes, report.seed, report.seconds, report.rounds);
    for (strike, times) in &report.strikes {
        println!("{times:>9}  {strike} ({} took effect)", report.took_effect.get(strike).copied().unwrap_or(0));
    }
    let sky = &report.datagrams;
    println!(
        "{:>9}  datagrams: {} lost, {} cut, {} delayed, {} reordered, {} doubled",
        sky.seen, sky.lost, sky.cut, sky.delayed, sky.reordered, sky.repeated
    );
    println!("{:>9}  operations, {} writes acknowledged, none lost; every history has one order", report.operations, report.acknowledged);
    println!("{:>9}  values of earlier rounds read again", report.read_again);
    println!("{:>9}  statuses watched over {} terms; one leader each", report.statuses, report.terms);
    println!("{:>9.1}  s at most until the cluster was whole again", report.longest_recovery_s);
    grown("with faults", &report.growth);
    grown("quiet", &report.quiet);
    println!("machine: network namespaces {}; netem {}", allowed.namespaces, allowed.netem);
}

fn grown(part: &str, growth: &[Growth]) {
    for node in growth {
        println!(
            "{part}: node {}: {} lives, memory {:.1} MiB ({:+.0} B/min), files {:.1} MiB ({:+.0} B/min), {} samples",
            node.slot, node.lives, node.rss_mib, node.rss_bytes_per_minute, node.files_mib, node.file_bytes_per_minute, node.samples
        );
    }
}
