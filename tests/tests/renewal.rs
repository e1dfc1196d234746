//! Sessions that end because their evidence is as old as it may be, over real processes.
//!
//! Decides: sessions are opened anew, with fresh evidence, while clients write, and nobody loses a write or is refused one; a member whose
//! evidence stops being acceptable is out when its sessions end; an operator's word renews all of them at once. Waits are for log
//! lines, bounded. Trusts: the recorded history. Out of scope: the age itself (`node/src/renewal.rs`). Protocol sections 3 (SB5), 4.4.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::Client;
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_tests::load::{Load, read_all};
use ringwall_tests::local::{self, PATIENCE};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use three::launch;

const KEYS: u64 = 8;
const OPENED: &str = "session with member is open";
const REFUSED: &str = "fresh evidence of a member is refused";

/// A cluster whose sessions last so many seconds.
fn cluster(folder: &std::path::Path, machines: &[Machine], reattest_s: Option<u32>) -> LocalCluster {
    let options = LocalOptions { reattest_s, ..LocalOptions::default() };
    LocalCluster::start_with(folder, launch(), machines, options).unwrap_or_else(|error| panic!("{error}"))
}

fn count(cluster: &LocalCluster, slot: u8, text: &str) -> usize {
    std::fs::read_to_string(cluster.log(slot)).unwrap_or_default().matches(text).count()
}

/// Waits until every log says `text` `more` times more often than `before`.
async fn said(cluster: &LocalCluster, text: &str, before: &[usize], more: usize) {
    let until = Instant::now() + PATIENCE;
    while !cluster.slots().zip(before).all(|(slot, before)| count(cluster, slot, text) >= before + more) {
        assert!(Instant::now() < until, "not every node said {text:?} {more} times more\n{}", local::logs(cluster));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

fn counts(cluster: &LocalCluster, text: &str) -> Vec<usize> {
    cluster.slots().map(|slot| count(cluster, slot, text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_opened_anew_under_load_and_no_write_is_lost_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
    let cluster = cluster(folder.path(), &machines, Some(3));
    let client = local::client(&cluster).await;
    let before = local::voters(&client, &cluster, 3).await;
    let namespace = client.namespace("load").await.unwrap();
    let load = Load::start(vec![namespace.clone(); 6], KEYS, Duration::from_millis(3));
    // Every node has to dial its members this often: at least three lives of a session.
    said(&cluster, OPENED, &counts(&cluster, OPENED), 3).await;
    let history = load.finish().await;
    read_all(&namespace, &history, KEYS).await;
    let (all, acknowledged) = history.counts();
    assert!(acknowledged > 100, "only {acknowledged} writes of {all} operations\n{}", local::logs(&cluster));
    assert_eq!(history.unanswered(), 0, "a write was refused, or its outcome is unknown\n{}", local::logs(&cluster));
    assert_eq!(history.violations(), Vec::<String>::new(), "no order explains these keys ({all} operations)");
    let after = local::voters(&client, &cluster, 3).await;
    let names = |status: &ringwall_client::ClusterStatus| status.voters.iter().map(|voter| voter.incarnation).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "nobody had to join again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_of_the_operator_renews_every_session_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
    let cluster = cluster(folder.path(), &machines, None);
    let client = local::client(&cluster).await;
    let before = local::voters(&client, &cluster, 3).await;
    let namespace = client.namespace("word").await.unwrap();
    namespace.put("k", "before").await.unwrap();
    let leader = local::leader_slot(&before);
    let opened = count(&cluster, leader, OPENED);
    cluster.signal(leader, Signal::HUP);
    let until = Instant::now() + PATIENCE;
    // A leader has a session with each of two others, and needs them for every heartbeat.
    while count(&cluster, leader, OPENED) < opened + 2 {
        assert!(Instant::now() < until, "sessions were not opened anew\n{}", local::logs(&cluster));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    namespace.put("k", "after").await.unwrap();
    assert_eq!(namespace.get("k").await.unwrap().unwrap().value, b"after");
    let after = local::voters(&client, &cluster, 3).await;
    assert_eq!(before.voters.len(), after.voters.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_evidence_is_refused_is_out_when_its_sessions_end() {
    let folder = tempfile::tempdir().unwrap();
    let turncoat = Machine { chip: "tdx-1".into(), behaviour: ["--lie", "TdxDebug", "--honest-first", "60"].map(String::from).to_vec() };
    let machines = [Machine::honest("genoa-1"), Machine::honest("turin-1"), turncoat];
    let mut cluster = cluster(folder.path(), &machines, Some(2));
    let client = local::client_of(&cluster, 1).await;
    local::voters(&client, &cluster, 3).await;
    for honest in [1, 2] {
        local::log_says(&cluster, honest, "the other node's evidence is refused: not acceptable").await;
    }
    // Whoever had a session with it when it showed that evidence says that it ends.
    assert!(count(&cluster, 1, REFUSED) + count(&cluster, 2, REFUSED) > 0, "{}", local::logs(&cluster));
    // Two of three go on.
    let namespace = client.namespace("two").await.unwrap();
    namespace.put("k", "while two").await.unwrap();
    assert_eq!(namespace.get("k").await.unwrap().unwrap().value, b"while two");
    // Without the other honest member there is no quorum any more, although the third process runs and would vote.
    cluster.kill(2);
    assert!(cluster.is_running(3));
    let mut options = local::options(&cluster);
    options.addresses = vec![cluster.address(1).to_string(), cluster.address(3).to_string()];
    options.timeouts.deadline = Duration::from_secs(8);
    let alone = match Client::connect(options).await {
        Ok(client) => client.namespace("alone").await.map(|_| ()).map_err(|fault| fault.to_string()),
        Err(fault) => Err(fault.to_string()),
    };
    assert!(alone.is_err(), "one honest member and one that is out made a quorum\n{}", local::logs(&cluster));
}
