//! What suites over real processes need around a local cluster: clients, and bounded waits for a state.
//!
//! Decides: patience, and that a failed wait shows the nodes' logs. Trusts: nothing. Out of scope: processes (`ringwall_sim::cluster`).
#![allow(clippy::panic)]

use ringwall_client::{Client, ClusterStatus, ConnectError, Credential, Options, Timeouts};
use ringwall_sim::cluster::{LocalCluster, tail};
use ringwall_wire::ids::Incarnation;
use std::time::{Duration, Instant};

/// Bound of every wait; far above what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Options of a fresh user for the nodes of `cluster`.
pub fn options(cluster: &LocalCluster) -> Options {
    let mut options =
        Options::from_card(cluster.card(), ringwall_sim::anchors(), Credential::generate()).expect("the card a node wrote is consistent");
    options.addresses = cluster.addresses();
    options.timeouts = Timeouts { dial: Duration::from_secs(5), answer: Duration::from_secs(2), deadline: PATIENCE };
    options
}

/// A session of a fresh user with any node.
pub async fn client(cluster: &LocalCluster) -> Client {
    connect(cluster, options(cluster)).await
}

/// A session of a fresh user with the node of `slot` alone.
pub async fn client_of(cluster: &LocalCluster, slot: u8) -> Client {
    let mut options = options(cluster);
    options.addresses = vec![cluster.address(slot).to_string()];
    connect(cluster, options).await
}

async fn connect(cluster: &LocalCluster, options: Options) -> Client {
    match Client::connect(options).await {
        Ok(client) => client,
        Err(error) => panic!("no session: {error}\n{}", logs(cluster)),
    }
}

/// Tries a session once, without patience: what a refusal test wants.
pub async fn try_client(mut options: Options) -> Result<Client, ConnectError> {
    options.timeouts.deadline = Duration::from_secs(8);
    Client::connect(options).await
}

/// Waits until `client` sees `count` voters, no learners and a leader.
pub async fn voters(client: &Client, cluster: &LocalCluster, count: usize) -> ClusterStatus {
    status_where(client, cluster, "all voters", |status| status.voters.len() == count && status.learners.is_empty()).await
}

/// Waits until the status of the cluster satisfies `wanted` and there is a leader.
pub async fn status_where(client: &Client, cluster: &LocalCluster, what: &str, wanted: impl Fn(&ClusterStatus) -> bool) -> ClusterStatus {
    let until = Instant::now() + PATIENCE;
    let mut seen = String::from("nothing");
    while Instant::now() < until {
        match client.status().await {
            Ok(status) if status.leader.0 != 0 && wanted(&status) => return status,
            Ok(status) => seen = format!("{status:?}"),
            Err(error) => seen = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    panic!("waited {} s for {what}; last seen: {seen}\n{}", PATIENCE.as_secs(), logs(cluster));
}

/// Waits until three vote and `old` is none of them: what a restart of its node comes to. Who waits for three voters alone may see the old one still, and
/// restart another node too early.
pub async fn replaced(client: &Client, cluster: &LocalCluster, old: Incarnation) -> ClusterStatus {
    status_where(client, cluster, "a replacement", |now| {
        now.voters.len() == 3 && now.learners.is_empty() && now.voters.iter().all(|voter| voter.incarnation != old)
    })
    .await
}

/// Who votes for a slot.
pub fn voter_of(status: &ClusterStatus, slot: u8) -> Incarnation {
    status.voters.iter().find(|voter| voter.slot.0 == slot).expect("every slot has a voter").incarnation
}

/// Slot of the leader.
pub fn leader_slot(status: &ClusterStatus) -> u8 {
    let leader = status.voters.iter().find(|voter| voter.incarnation == status.leader);
    leader.expect("the status was waited for until its leader is a voter").slot.0
}

/// The ends of all logs.
pub fn logs(cluster: &LocalCluster) -> String {
    cluster.slots().map(|slot| format!("-- node {slot}:\n{}\n", tail(&cluster.log(slot)))).collect()
}

/// Waits until the log of `slot` contains `text`.
pub async fn log_says(cluster: &LocalCluster, slot: u8, text: &str) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if std::fs::read_to_string(cluster.log(slot)).unwrap_or_default().contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    panic!("the log of node {slot} never said {text:?}\n{}", logs(cluster));
}
