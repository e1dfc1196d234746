//! What a client sees when nodes fail: nothing acknowledged is lost, two of three go on, a replacement joins by attestation alone.
//!
//! Decides: kill, pause, orderly stop, and return on another vendor, over real processes under load. Trusts: the recorded history.
//! Out of scope: hostile disks and clocks. Protocol section 4.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::Client;
use ringwall_sim::cluster::Machine;
use ringwall_tests::load::{Load, read_all};
use ringwall_tests::local;
use std::time::Duration;
use three::Three;

const KEYS: u64 = 8;

async fn start_load(three: &Three, tasks: usize) -> (Load, Client) {
    let client = local::client(&three.cluster).await;
    let namespace = client.namespace("load").await.unwrap();
    let load = Load::start(vec![namespace; tasks], KEYS, Duration::from_millis(2));
    tokio::time::sleep(Duration::from_millis(500)).await;
    (load, client)
}

async fn judge(three: &Three, load: Load, client: &Client, least_acknowledged: usize) {
    let history = load.finish().await;
    read_all(&client.namespace("load").await.unwrap(), &history, KEYS).await;
    let (all, acknowledged) = history.counts();
    assert!(acknowledged >= least_acknowledged, "only {acknowledged} writes of {all} operations\n{}", local::logs(&three.cluster));
    assert_eq!(history.violations(), Vec::<String>::new(), "no order explains these keys ({all} operations)");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_killed_under_load_and_comes_back_on_the_other_vendor() {
    let mut three = Three::start().await;
    let (load, client) = start_load(&three, 8).await;
    let status = local::voters(&three.user, &three.cluster, 3).await;
    let slot = local::leader_slot(&status);
    three.cluster.kill(slot);
    let two = local::status_where(&three.user, &three.cluster, "a new leader", |now| now.leader != status.leader).await;
    assert_ne!(local::leader_slot(&two), slot);
    // Two of three serve.
    let other = local::client(&three.cluster).await.namespace("while-two").await.unwrap();
    other.put("k", "v").await.unwrap();
    assert_eq!(other.get("k").await.unwrap().unwrap().value, b"v");

    let chip = if three.cluster.chip(slot).starts_with("tdx") { "genoa-2" } else { "tdx-2" };
    let old = status.leader;
    three.cluster.restart_on(slot, Machine::honest(chip)).unwrap();
    let wanted = |now: &ringwall_client::ClusterStatus| now.voters.len() == 3 && now.voters.iter().all(|voter| voter.incarnation != old);
    let healed = local::status_where(&three.user, &three.cluster, "the replacement to vote", wanted).await;
    let newcomer = healed.voters.iter().find(|voter| voter.slot.0 == slot).unwrap();
    assert_ne!(newcomer.vendor, status.voters.iter().find(|voter| voter.slot.0 == slot).unwrap().vendor);
    assert!(newcomer.incarnation > old);
    // The newcomer itself serves what was written before it existed.
    let through = local::client_of(&three.cluster, slot).await;
    assert_eq!(through.status().await.unwrap().incarnation, newcomer.incarnation);
    judge(&three, load, &client, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_stands_still_does_not_stop_the_others() {
    let three = Three::start().await;
    let (load, client) = start_load(&three, 4).await;
    let status = local::voters(&three.user, &three.cluster, 3).await;
    let follower = status.voters.iter().find(|voter| voter.incarnation != status.leader).unwrap().slot.0;
    three.cluster.signal(follower, rustix::process::Signal::STOP);
    let other = local::client(&three.cluster).await.namespace("meanwhile").await.unwrap();
    for number in 0..50 {
        other.put("k", number.to_string()).await.unwrap();
    }
    three.cluster.signal(follower, rustix::process::Signal::CONT);
    let resumed = local::client_of(&three.cluster, follower).await.namespace("meanwhile").await.unwrap();
    assert!(resumed.get("k").await.unwrap().is_none(), "another user's key");
    judge(&three, load, &client, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_leader_serves_no_stale_read_when_it_wakes() {
    let three = Three::start().await;
    let (load, client) = start_load(&three, 6).await;
    for _ in 0..3 {
        let status = local::voters(&three.user, &three.cluster, 3).await;
        let slot = local::leader_slot(&status);
        three.cluster.signal(slot, rustix::process::Signal::STOP);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        three.cluster.signal(slot, rustix::process::Signal::CONT);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    judge(&three, load, &client, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_hands_over_and_ends_by_itself() {
    let mut three = Three::start().await;
    let (load, client) = start_load(&three, 4).await;
    let status = local::voters(&three.user, &three.cluster, 3).await;
    let slot = local::leader_slot(&status);
    assert!(three.cluster.stop(slot, local::PATIENCE), "SIGTERM did not end node {slot}\n{}", local::logs(&three.cluster));
    local::status_where(&three.user, &three.cluster, "another leader", |now| now.leader != status.leader).await;
    three.cluster.restart(slot).unwrap();
    local::status_where(&three.user, &three.cluster, "three voters again", |now| {
        now.voters.len() == 3 && now.voters.iter().all(|voter| voter.incarnation != status.leader)
    })
    .await;
    judge(&three, load, &client, 20).await;
}
