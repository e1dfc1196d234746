//! `cargo bench-cluster`: Ringwall and etcd under the same closed-loop load, in one run.
//!
//! Decides: the points, alternation (one repetition of each system in turn) and where results go. Trusts: nothing it measures.
//! Out of scope: pass or fail; it prints what it saw.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use ringwall_sim::cluster::{Launch, LocalCluster, Machine};
use ringwall_tests::bench::etcd::{EtcdCluster, EtcdError};
use ringwall_tests::bench::load::{Mix, Point, preload, run};
use ringwall_tests::bench::report::{Report, Row, commit, machine, median, mix_name, svg, table};
use ringwall_tests::bench::targets::{EtcdTarget, RingwallTarget};
use ringwall_tests::local;
use ringwall_wire::spared::{Part, spare};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const NODE_WORD: &str = "simulated-node";

/// Measures three local Ringwall nodes and three local etcd members with mutual TLS under the same load.
#[derive(Debug, Parser)]
#[command(name = "cargo bench-cluster", about, max_term_width = 100)]
struct Arguments {
    /// Closed-loop clients.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256,1024")]
    clients: Vec<usize>,
    /// Bytes of a value.
    #[arg(long, value_delimiter = ',', default_value = "256,4096")]
    values: Vec<usize>,
    /// Mixes: put, get, mixed.
    #[arg(long, value_delimiter = ',', default_value = "put,get,mixed")]
    mixes: Vec<String>,
    /// Seconds of one repetition, after a warm-up of a fifth of it.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Repetitions of each point; the median one is reported.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// A short run: 16 clients, 256 bytes, one repetition of one second.
    #[arg(long)]
    quick: bool,
    /// Parts to leave out in members and clients, to see what they cost: receipts, authenticated-disks. Only `cargo bench-cost` can.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    spare: Vec<String>,
    /// Measure Ringwall alone.
    #[arg(long)]
    no_etcd: bool,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Folder for report.json and report.svg.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench-cluster")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == NODE_WORD) {
        return ringwall_sim::daemon::run(std::iter::once(NODE_WORD.into()).chain(words));
    }
    let mut arguments = Arguments::parse();
    if arguments.quick {
        (arguments.clients, arguments.values) = (vec![16], vec![256]);
        (arguments.seconds, arguments.repetitions) = (1.0, 1);
    }
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
    eprintln!("cargo bench-cluster: {error}");
    ExitCode::FAILURE
}

/// Clients are in this process, members in processes of their own.
fn leave_out(names: &[String], launch: &mut Launch) -> Result<(), String> {
    for name in names {
        let part =
            Part::named(name).ok_or_else(|| format!("no part is called {name:?}; there are: {}", Part::ALL.map(Part::name).join(", ")))?;
        if !spare(part) {
            return Err("this program leaves nothing out; build the one that can: cargo bench-cost --spare NAME".into());
        }
        launch.arguments.extend(["--without".into(), part.name().into()]);
    }
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut launch = Launch::this_program(NODE_WORD).map_err(|error| error.to_string())?;
    leave_out(&arguments.spare, &mut launch)?;
    let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
    let cluster = LocalCluster::start(&folder.path().join("ringwall"), launch, &machines).map_err(|error| error.to_string())?;
    let watcher = local::client(&cluster).await;
    local::voters(&watcher, &cluster, 3).await;
    let etcd = match arguments.no_etcd {
        true => Err("not asked for".to_owned()),
        false => match EtcdCluster::start(&folder.path().join("etcd")).await {
            Ok(etcd) => Ok(etcd),
            Err(error @ EtcdError::NotInstalled { .. }) => Err(error.to_string()),
            Err(error) => return Err(error.to_string()),
        },
    };
    if let Err(why) = &etcd {
        eprintln!("etcd is not measured: {why}");
    }
    let mut report = Report {
        at_s: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        commit: commit(),
        machine: machine(),
        etcd: etcd.as_ref().map_or_else(Clone::clone, |etcd| etcd.version.clone()),
        seconds: arguments.seconds,
        repetitions: arguments.repetitions,
        rows: Vec::new(),
    };
    for point in points(arguments)? {
        let row = measure_point(arguments, &cluster, etcd.as_ref().ok(), point).await?;
        if std::io::stderr().is_terminal() {
            eprintln!("{} {} B x{}: {:.0}/s", mix_name(point.mix), point.value_bytes, point.clients, row.ringwall.per_second);
        }
        report.rows.push(row);
        // After every point: a run that is cut off keeps what it measured.
        write(arguments, &report)?;
    }
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?),
        false => println!("{}\nWritten to {}", table(&report), arguments.out.display()),
    }
    Ok(())
}

fn points(arguments: &Arguments) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    for value_bytes in &arguments.values {
        for mix in &arguments.mixes {
            let mix = match mix.as_str() {
                "put" => Mix::Put,
                "get" => Mix::Get,
                "mixed" => Mix::Mixed,
                other => return Err(format!("no mix is called {other:?}; there are put, get and mixed")),
            };
            points.extend(arguments.clients.iter().map(|clients| Point { mix, clients: *clients, value_bytes: *value_bytes }));
        }
    }
    Ok(points)
}

async fn measure_point(arguments: &Arguments, cluster: &LocalCluster, etcd: Option<&EtcdCluster>, point: Point) -> Result<Row, String> {
    let time = Duration::from_secs_f64(arguments.seconds);
    let ours = Arc::new(RingwallTarget::connect(cluster, point.clients).await?);
    preload(ours.clone(), point.value_bytes).await?;
    let theirs = match etcd {
        Some(etcd) => {
            let target = Arc::new(EtcdTarget::connect(etcd, point.clients).await?);
            preload(target.clone(), point.value_bytes).await?;
            Some((target, etcd.pids()))
        }
        None => None,
    };
    let (mut our_samples, mut their_samples) = (Vec::new(), Vec::new());
    for _ in 0..arguments.repetitions.max(1) {
        our_samples.push(run(ours.clone(), point, time, &cluster.pids()).await);
        if let Some((target, pids)) = &theirs {
            their_samples.push(run(target.clone(), point, time, pids).await);
        }
    }
    let (ringwall, spread) = median(our_samples).ok_or("no repetition ran")?;
    Ok(Row { point, ringwall, etcd: median(their_samples).map(|(sample, _)| sample), spread })
}

fn write(arguments: &Arguments, report: &Report) -> Result<(), String> {
    let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&arguments.out).map_err(|error| error.to_string())?;
    std::fs::write(arguments.out.join("report.json"), &json).map_err(|error| error.to_string())?;
    std::fs::write(arguments.out.join("report.svg"), svg(report)).map_err(|error| error.to_string())?;
    std::fs::write(arguments.out.join("report.txt"), table(report)).map_err(|error| error.to_string())
}
