//! The first look at a user: a get at a node whose caches have nothing of theirs, over a get of what was just read.
//!
//! Decides: every user writes through one node and reads through another, one user at a time. The first get of a session, the first get of a namespace in a
//! session that is warm, and warm gets are told apart, so that opening the user's keys is seen by itself.
//! Trusts: that a node unwraps data keys when it is asked and not before (`node/src/front/spaces.rs`). Out of scope: disks that are cold.

use super::progress;
use crate::bench::measure::{forget_peak, median, peak_rss_mib};
use crate::local;
use ringwall_client::{Client, Credential, NamespaceHandle};
use ringwall_sim::cluster::{Launch, LocalCluster, Machine};
use serde::Serialize;
use std::time::Instant;

/// Warm gets of one user.
const WARM: usize = 20;
/// Bytes of a value.
const VALUE: usize = 256;
/// Where users write.
const WRITES: u8 = 1;
/// Where they read.
const READS: u8 = 2;

/// What was seen; medians over users.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Users.
    pub users: usize,
    /// Opening a session: handshake, evidence, the user's word.
    pub session_ms: f64,
    /// The first get of a session.
    pub first_ms: f64,
    /// The first get of another namespace, later in the same session.
    pub cold_ms: f64,
    /// A get of what was read before.
    pub warm_ms: f64,
    /// `first_ms` over `warm_ms`.
    pub first_ratio: f64,
    /// `cold_ms` over `warm_ms`.
    pub cold_ratio: f64,
    /// Peak of the node that was asked.
    pub peak_mib: f64,
}

/// Milliseconds of one user.
struct Seen {
    session: f64,
    first: f64,
    cold: f64,
    warm: f64,
}

/// Measures `users`.
pub async fn measure(launch: &Launch, users: usize) -> Result<Row, String> {
    let folder = tempfile::tempdir().map_err(|fault| fault.to_string())?;
    let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
    let cluster = LocalCluster::start(folder.path(), launch.clone(), &machines).map_err(|error| error.to_string())?;
    let watcher = local::client(&cluster).await;
    local::voters(&watcher, &cluster, 3).await;
    let mut credentials = Vec::new();
    progress(&format!("{users} users write"));
    for _ in 0..users {
        let credential = Credential::generate();
        let client = session(&cluster, WRITES, &credential).await?;
        for name in ["first", "other"] {
            let namespace = client.namespace(name).await.map_err(|error| error.to_string())?;
            namespace.put("key", vec![7; VALUE]).await.map_err(|error| error.to_string())?;
        }
        credentials.push(credential);
    }
    let pid = cluster.pid(READS).ok_or("the node ended")?;
    forget_peak(pid);
    progress("they read at another node");
    let mut all = Vec::new();
    for credential in &credentials {
        all.push(look(&cluster, credential).await?);
    }
    let of = |pick: fn(&Seen) -> f64| median(all.iter().map(pick).collect());
    let (session_ms, first_ms, cold_ms, warm_ms) =
        (of(|seen| seen.session), of(|seen| seen.first), of(|seen| seen.cold), of(|seen| seen.warm));
    let (first_ratio, cold_ratio) = (first_ms / warm_ms, cold_ms / warm_ms);
    Ok(Row { users, session_ms, first_ms, cold_ms, warm_ms, first_ratio, cold_ratio, peak_mib: peak_rss_mib(pid) })
}

async fn look(cluster: &LocalCluster, credential: &Credential) -> Result<Seen, String> {
    let begun = Instant::now();
    let client = session(cluster, READS, credential).await?;
    let opened = begun.elapsed().as_secs_f64() * 1e3;
    let space = |name| client.existing_namespace(name).map_err(|error| error.to_string());
    let (one, other) = (space("first")?, space("other")?);
    let first = get(&one).await?;
    let mut warm = Vec::new();
    for _ in 0..WARM {
        warm.push(get(&one).await?);
    }
    let cold = get(&other).await?;
    Ok(Seen { session: opened, first, cold, warm: median(warm) })
}

/// Milliseconds of a get that finds what was written.
async fn get(namespace: &NamespaceHandle) -> Result<f64, String> {
    let begun = Instant::now();
    let found = namespace.get("key").await.map_err(|error| error.to_string())?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    match found.is_some_and(|found| found.value == [7; VALUE]) {
        true => Ok(took),
        false => Err("what was written is not there".to_owned()),
    }
}

async fn session(cluster: &LocalCluster, slot: u8, credential: &Credential) -> Result<Client, String> {
    let mut options = local::options(cluster);
    options.credential = credential.clone();
    options.addresses = vec![cluster.address(slot).to_string()];
    Client::connect(options).await.map_err(|error| error.to_string())
}
