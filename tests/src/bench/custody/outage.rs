//! From the share that completes the threshold to service, by size of the state; beside it a plain restart.
//!
//! Decides: three nodes are filled, die at once, and the first comes back from two disks and two shares of three. What is measured is the part nobody has a
//! hand in; the state is read afterwards, so that no time is given for a recovery of nothing. The peer: the same node is stopped when all vote again, and
//! started, until it votes: it attests, joins, and is given the same state by the others.
//! Trusts: nothing. Out of scope: what people do in a recovery, refusals (`tests/tests/recover.rs`).

use super::progress;
use crate::bench::measure::peak_rss_mib;
use crate::keepers::Keepers;
use crate::local;
use ringwall_client::{Client, Credential, NamespaceHandle};
use ringwall_sim::cluster::{Launch, LocalCluster, LocalOptions, Machine};
use serde::Serialize;
use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

/// Bytes of a record.
const VALUE: usize = 16 * 1024;
/// Writes in flight.
const WRITERS: u64 = 32;
/// Records read after a recovery, spread over all.
const READ: u64 = 128;
/// The node that recovers.
const FIRST: u8 = 1;
/// Rotations as good as never, in seconds.
const RARELY: (u32, u32) = (1_000_000, 1_000_000);

/// One size.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// Values that were written, MiB.
    pub state_mib: u64,
    /// Records they are in.
    pub records: u64,
    /// What the recovering node's disk holds, MiB.
    pub disk_mib: f64,
    /// From the start of the process to the offer.
    pub offer_s: f64,
    /// From the share that completes the threshold to service.
    pub serving_s: f64,
    /// Peak of the recovering process.
    pub recovering_mib: f64,
    /// From the start of a restarted process to its vote.
    pub restart_s: f64,
    /// Its peak.
    pub restarted_mib: f64,
    /// `serving_s` over `restart_s`.
    pub ratio: f64,
}

/// A cluster of three whose shares three custodians hold, two of whom recover.
pub(super) fn start(folder: &Path, launch: &Launch, keepers: &Keepers) -> Result<LocalCluster, String> {
    let options = LocalOptions { custodians: (keepers.public(), 2), rotate_s: Some(RARELY), ..LocalOptions::default() };
    let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
    LocalCluster::start_with(folder, launch.clone(), &machines, options).map_err(|error| error.to_string())
}

/// Measures one size.
pub async fn measure(launch: &Launch, state_mib: u64) -> Result<Row, String> {
    let folder = tempfile::tempdir().map_err(|fault| fault.to_string())?;
    let mut keepers = Keepers::new(3);
    let mut cluster = start(folder.path(), launch, &keepers)?;
    let credential = Credential::generate();
    let client = session(&cluster, &credential).await?;
    local::voters(&client, &cluster, 3).await;
    keepers.accept(&cluster, FIRST).await?;
    let records = state_mib * 1024 * 1024 / VALUE as u64;
    progress(&format!("{state_mib} MiB: {records} records are written"));
    fill(&client, records).await?;
    client.close().await;

    cluster.slots().for_each(|slot| cluster.kill(slot));
    let disk_mib = folder_bytes(&cluster.data_folder(FIRST)) as f64 / 1024.0 / 1024.0;
    let other = [OsString::from("--disk"), cluster.data_folder(2).into_os_string()];
    let begun = Instant::now();
    cluster.recover(FIRST, &other).map_err(|error| error.to_string())?;
    let signed = keepers.offer(&cluster, FIRST).await?;
    let offer_s = begun.elapsed().as_secs_f64();
    keepers.submit(&cluster, FIRST, &signed, 1)?;
    let in_already = |told: &serde_json::Value| told["submitted"].as_array().is_some_and(|names| !names.is_empty());
    keepers.told_where(&cluster, FIRST, "the first share", in_already).await?;
    let begun = Instant::now();
    keepers.submit(&cluster, FIRST, &signed, 2)?;
    keepers.told_where(&cluster, FIRST, "service", |told| told["step"] == "serving").await?;
    let serving_s = begun.elapsed().as_secs_f64();
    let recovering_mib = cluster.pid(FIRST).map_or(0.0, peak_rss_mib);
    progress(&format!("{state_mib} MiB: served after {serving_s:.2} s"));
    let client = session(&cluster, &credential).await?;
    read_back(&client, records).await?;

    let (restart_s, restarted_mib) = restart(&mut cluster, &client).await?;
    client.close().await;
    Ok(Row { state_mib, records, disk_mib, offer_s, serving_s, recovering_mib, restart_s, restarted_mib, ratio: serving_s / restart_s })
}

/// The peer, once all three vote again.
async fn restart(cluster: &mut LocalCluster, client: &Client) -> Result<(f64, f64), String> {
    for slot in cluster.slots().filter(|slot| *slot != FIRST) {
        cluster.restart(slot).map_err(|error| error.to_string())?;
    }
    let old = local::voter_of(&local::voters(client, cluster, 3).await, FIRST);
    // It leads, and an election is no part of a restart.
    cluster.stop(FIRST, local::PATIENCE);
    local::status_where(client, cluster, "another leader", |status| status.leader != old).await;
    let begun = Instant::now();
    cluster.restart(FIRST).map_err(|error| error.to_string())?;
    local::replaced(client, cluster, old).await;
    Ok((begun.elapsed().as_secs_f64(), cluster.pid(FIRST).map_or(0.0, peak_rss_mib)))
}

async fn session(cluster: &LocalCluster, credential: &Credential) -> Result<Client, String> {
    let mut options = local::options(cluster);
    options.credential = credential.clone();
    Client::connect(options).await.map_err(|error| error.to_string())
}

/// Writes records `0..records`, many at once.
async fn fill(client: &Client, records: u64) -> Result<(), String> {
    let namespace = client.namespace("state").await.map_err(|error| error.to_string())?;
    let mut writing = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let namespace = namespace.clone();
        writing.spawn(async move {
            for number in (writer..records).step_by(WRITERS as usize) {
                namespace.put(name(number), value(number)).await.map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(done) = writing.join_next().await {
        done.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// Reads some of them, to the last byte.
async fn read_back(client: &Client, records: u64) -> Result<(), String> {
    let namespace: NamespaceHandle = client.existing_namespace("state").map_err(|error| error.to_string())?;
    let apart = usize::try_from((records / READ).max(1)).unwrap_or(usize::MAX);
    for number in (0..records).step_by(apart).chain([records.saturating_sub(1)]) {
        let found = namespace.get(name(number)).await.map_err(|error| error.to_string())?;
        if found.is_none_or(|found| found.value != value(number)) {
            return Err(format!("record {number} of {records} is not what was written before the outage"));
        }
    }
    Ok(())
}

fn name(number: u64) -> String {
    format!("record/{number:09}")
}

/// Bytes that differ from record to record and do not compress.
fn value(number: u64) -> Vec<u8> {
    let mut mixed = number + 1;
    let word = |_| {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (mixed ^ mixed >> 29).to_be_bytes()
    };
    (0..VALUE / 8).flat_map(word).collect()
}

/// Bytes of all files below a folder.
fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
