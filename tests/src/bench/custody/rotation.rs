//! A rotation of the master key under load: how fast data keys move to the new key, and what that costs whoever writes meanwhile.
//!
//! Decides: the last acknowledgement of a first dealing makes it active, and the master key is rotated with it; so the moment is chosen here. Begin and end
//! are what the leader's log says: the new key is named, nothing is wrapped under the old one any more. The same clients write before and during it.
//! Trusts: the nodes' logs. Out of scope: that nothing is lost (`tests/tests/dealing.rs`).

use super::outage::start;
use super::progress;
use crate::bench::load::{Mix, Point, run, run_during};
use crate::bench::measure::{Sample, forget_peak, peak_rss_mib};
use crate::bench::targets::RingwallTarget;
use crate::keepers::Keepers;
use crate::local::{self, PATIENCE};
use ringwall_sim::cluster::{Launch, LocalCluster};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a value.
const VALUE: usize = 256;
/// Users the namespaces belong to.
const USERS: usize = 8;
/// Namespaces one user makes at once.
const MAKING: usize = 16;
/// How often the logs are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// The leader's word that the new key is in use.
const NAMED: &str = "shares are active; the master key was rotated with them";
/// The leader's word that the old one is not.
const OVER: &str = "a master key is over: nothing is wrapped under it";

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Data keys that moved: one a namespace.
    pub data_keys: usize,
    /// From the last acknowledgement to the new key in use.
    pub named_s: f64,
    /// From then on until nothing is wrapped under the old one.
    pub rewrap_s: f64,
    /// Data keys a second.
    pub keys_per_second: f64,
    /// Closed-loop clients that write.
    pub clients: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Writes before it.
    pub before: Sample,
    /// Writes from the last acknowledgement to the end of the old key.
    pub during: Sample,
    /// Writes a second during it over those before.
    pub puts_ratio: f64,
    /// Largest peak of a node before.
    pub peak_before_mib: f64,
    /// Largest peak of a node during it.
    pub peak_during_mib: f64,
}

/// Measures one rotation over `data_keys` namespaces, under the writes of `clients`.
pub async fn measure(launch: &Launch, data_keys: usize, clients: usize, seconds: f64) -> Result<Row, String> {
    let folder = tempfile::tempdir().map_err(|fault| fault.to_string())?;
    let mut keepers = Keepers::new(3);
    let cluster = start(folder.path(), launch, &keepers)?;
    let watcher = local::client(&cluster).await;
    local::voters(&watcher, &cluster, 3).await;
    keepers.dealing(&cluster, 1).await?;
    progress(&format!("{data_keys} namespaces are made"));
    make(&cluster, data_keys).await?;
    let target = Arc::new(RingwallTarget::connect(&cluster, clients).await?);
    let point = Point { mix: Mix::Put, clients, value_bytes: VALUE };
    let pids = cluster.pids();
    let peak = || pids.iter().map(|pid| peak_rss_mib(*pid)).fold(0.0, f64::max);
    for number in 1..=2 {
        keepers.acknowledge(&cluster, number as u8, number).await?;
    }
    progress("writes before the rotation");
    let before = run(target.clone(), point, Duration::from_secs_f64(seconds), &pids).await;
    let peak_before_mib = peak();
    pids.iter().for_each(|pid| forget_peak(*pid));
    progress("writes during the rotation");
    let (during, took) = run_during(target, point, Duration::from_secs_f64(seconds * 0.2), &pids, async {
        keepers.acknowledge(&cluster, 3, 3).await?;
        let begun = Instant::now();
        said(&cluster, NAMED).await?;
        let named = begun.elapsed();
        said(&cluster, OVER).await?;
        Ok::<_, String>((named, begun.elapsed()))
    })
    .await;
    let (named, all) = took?;
    // The load has namespaces of its own.
    let data_keys = data_keys + clients.min(crate::bench::targets::SOCKETS);
    let (named_s, rewrap_s) = (named.as_secs_f64(), (all - named).as_secs_f64());
    let puts_ratio = during.per_second / before.per_second;
    let keys_per_second = data_keys as f64 / rewrap_s;
    let (value_bytes, peak_during_mib) = (VALUE, peak());
    Ok(Row {
        data_keys,
        named_s,
        rewrap_s,
        keys_per_second,
        clients,
        value_bytes,
        before,
        during,
        puts_ratio,
        peak_before_mib,
        peak_during_mib,
    })
}

/// Makes namespaces of several users.
async fn make(cluster: &LocalCluster, count: usize) -> Result<(), String> {
    let mut making = tokio::task::JoinSet::new();
    for user in 0..USERS {
        let client = local::client(cluster).await;
        for lane in 0..MAKING {
            let client = client.clone();
            making.spawn(async move {
                for number in (user * MAKING + lane..count).step_by(USERS * MAKING) {
                    client.namespace(&format!("space-{number}")).await.map_err(|error| error.to_string())?;
                }
                Ok::<(), String>(())
            });
        }
    }
    while let Some(done) = making.join_next().await {
        done.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// Waits until the log of any node says this.
async fn said(cluster: &LocalCluster, text: &str) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    let says = |slot| std::fs::read_to_string(cluster.log(slot)).is_ok_and(|log| log.contains(text));
    while !cluster.slots().any(says) {
        if Instant::now() >= until {
            return Err(format!("no node said {text:?} within {} s\n{}", PATIENCE.as_secs(), local::logs(cluster)));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
