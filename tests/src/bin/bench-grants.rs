//! `cargo bench-grants`: how many workload keys three local nodes grant in a second.
//!
//! Decides: two figures, with closed-loop guests of both vendors in turn: *whole*, where each grant is a fresh session with a verified node, evidence of
//! its own and one key; and *again*, where a guest that attested asks for the key over and over. Each grant is an applied entry in both.
//! Trusts: minted evidence to cost what real evidence costs. Out of scope: pass or fail; it prints what it saw.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line")]

use clap::Parser;
use ringwall_client::Options;
use ringwall_client::policy::GovernorKey;
use ringwall_client::workload::{WorkloadSession, anywhere, request_workload_key};
use ringwall_sim::cluster::{Launch, LocalCluster, LocalOptions, Machine};
use ringwall_sim::guest::{config, guest};
use ringwall_sim::{BuildImage, Platform, world};
use ringwall_tests::bench::measure::{Sample, process_cost, summarize};
use ringwall_tests::local;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, TrustDomain};
use ringwall_wire::policy::{Governance, MeasurementRegister};
use ringwall_wire::workload::{ConfigList, ConfigRule, GrantOrder, GrantPolicy, WorkloadPurpose};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NODE_WORD: &str = "simulated-node";
const NAME: &str = "bench/key/1";
const GUESTS: [&str; 2] = ["genoa-2,build=payments-1,config=bench", "tdx-2,build=payments-1,config=bench"];

/// Measures grants of workload keys by three local Ringwall nodes.
#[derive(Debug, Parser)]
#[command(name = "cargo bench-grants", max_term_width = 100)]
struct Arguments {
    /// Closed-loop guests.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    guests: Vec<usize>,
    /// Seconds of one point.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == NODE_WORD) {
        return ringwall_sim::daemon::run(std::iter::once(NODE_WORD.into()).chain(words));
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("cargo bench-grants: {error}");
    ExitCode::FAILURE
}

fn words(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}

async fn measure(arguments: &Arguments) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(words)?;
    let governor = GovernorKey::create(&folder.path().join("governor")).map_err(words)?;
    let governance = Governance { keys: List::new(vec![governor.public()]).map_err(words)?, threshold: 1, timelock_s: 0, lease_s: 0 };
    let options = LocalOptions { governance: Some(governance), log: Some(("text", "warn")), ..LocalOptions::default() };
    let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
    let launch = Launch::this_program(NODE_WORD).map_err(words)?;
    let cluster = LocalCluster::start_with(folder.path(), launch, &machines, options).map_err(words)?;
    let user = local::client(&cluster).await;
    local::voters(&user, &cluster, 3).await;
    let options = local::options(&cluster);
    let order = order(&cluster, &governor)?;
    anywhere(&options, WorkloadPurpose::Governor, async |session: &mut WorkloadSession| session.order(&order).await)
        .await
        .map_err(words)?;
    if !arguments.json {
        println!("{:<6} {:>7} {:>10} {:>8} {:>8} {:>12}", "", "guests", "grants/s", "p50 ms", "p99 ms", "CPU us/grant");
    }
    for guests in &arguments.guests {
        for whole in [true, false] {
            let sample = point(&cluster, &options, *guests, whole, Duration::from_secs_f64(arguments.seconds)).await?;
            let name = if whole { "whole" } else { "again" };
            match arguments.json {
                true => println!("{}", serde_json::json!({ "kind": name, "guests": guests, "sample": sample })),
                false => println!(
                    "{name:<6} {guests:>7} {:>10.0} {:>8.2} {:>8.2} {:>12.0}",
                    sample.per_second, sample.p50_ms, sample.p99_ms, sample.cpu_us_per_operation
                ),
            }
        }
    }
    Ok(())
}

/// One point: `guests` ask until the time is over, at their own nodes.
async fn point(cluster: &LocalCluster, options: &Options, guests: usize, whole: bool, time: Duration) -> Result<Sample, String> {
    let addresses = cluster.addresses();
    let before: Vec<_> = cluster.pids().into_iter().map(process_cost).collect();
    let begun = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..guests {
        let address = addresses[number % addresses.len()].clone();
        let options = Options { addresses: vec![address], ..options.clone() };
        let line = GUESTS[number % GUESTS.len()];
        asking.spawn(async move { ask(&options, line, whole, begun + time).await });
    }
    let (mut latencies, mut errors) = (Vec::new(), 0);
    while let Some(done) = asking.join_next().await {
        let (seen, failed) = done.map_err(words)??;
        latencies.extend(seen);
        errors += failed;
    }
    let after: Vec<_> = cluster.pids().into_iter().map(process_cost).collect();
    Ok(summarize(latencies, errors, begun.elapsed(), &before, &after))
}

/// One guest; gives the time each grant took, and how many failed.
async fn ask(options: &Options, line: &str, whole: bool, until: Instant) -> Result<(Vec<u32>, u64), String> {
    let machine = Arc::new(guest(line).ok_or("no such guest")?);
    let mut session = match whole {
        true => None,
        false => {
            let address = options.addresses.first().ok_or("no address")?;
            let mut session = WorkloadSession::open(options, address, WorkloadPurpose::Workload).await.map_err(words)?;
            session.attest_with(machine.clone()).await.map_err(words)?;
            Some(session)
        }
    };
    let (mut latencies, mut errors) = (Vec::new(), 0);
    while Instant::now() < until {
        let begun = Instant::now();
        let granted = match &mut session {
            None => request_workload_key(options, machine.clone(), NAME, None).await,
            Some(session) => session.grant(NAME, None).await,
        };
        match granted {
            Ok(_) => latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX)),
            // A session has so many questions and no more.
            Err(_) if session.is_some() => break,
            Err(_) => errors += 1,
        }
    }
    Ok((latencies, errors))
}

/// The first order about the key: both guests, no rate to speak of.
fn order(cluster: &LocalCluster, governor: &GovernorKey) -> Result<GrantOrder, String> {
    let base = world::PolicyBuilder::new().build(&BuildImage::new("payments-1", 1));
    let chips = ["genoa-2", "tdx-2"].into_iter().filter_map(|chip| Platform::of_chip(chip).map(|platform| (platform, chip)));
    let base = chips.fold(base, |base, (platform, chip)| base.machine(platform, chip)).finish();
    let known = config("bench");
    let listed = ConfigList {
        host_data: List::new(vec![Digest(known.host_data)]).map_err(words)?,
        mr_config_id: List::new(vec![MeasurementRegister(known.mr_config_id)]).map_err(words)?,
    };
    let policy = GrantPolicy {
        name: Text::new(NAME).map_err(words)?,
        version: 1,
        trust_domain: TrustDomain::Simulated,
        measurements: base.measurements,
        min_svn: base.min_svn,
        snp: base.snp,
        tdx: base.tdx,
        config: ConfigRule::Listed(listed),
        grants_per_minute: u32::MAX,
    };
    let policy = Blob::new(policy.encode()).map_err(words)?;
    let mut order = GrantOrder { cluster_id: cluster.card().genesis.cluster_id(), replaces: None, policy, signatures: List::default() };
    order.signatures.push(governor.grant(&order)).map_err(words)?;
    Ok(order)
}
