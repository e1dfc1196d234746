//! Fifty nodes die and are replaced, one after the other, while clients write and read.
//!
//! Decides: at every moment at most one of three is away; the victim and its next machine vary; afterwards every key's history must have
//! one order, every acknowledged write included. Trusts: the recorded history. Out of scope: speed. Protocol section 0, decision 1.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_sim::cluster::Machine;
use ringwall_tests::load::{Load, read_all};
use ringwall_tests::local;
use std::time::Duration;
use three::Three;

const ROUNDS: usize = 50;
const KEYS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_replacements_under_load_lose_nothing() {
    let mut three = Three::start().await;
    let client = local::client(&three.cluster).await;
    let namespace = client.namespace("load").await.unwrap();
    let load = Load::start(vec![namespace.clone(); 6], KEYS, Duration::from_millis(4));
    let mut spares = vec!["tdx-2", "genoa-2", "turin-2"];
    for round in 0..ROUNDS {
        let before = local::voters(&three.user, &three.cluster, 3).await;
        // Every third victim is the leader.
        let slot = if round % 3 == 0 { local::leader_slot(&before) } else { (round % 3 + 1) as u8 };
        let old = before.voters.iter().find(|voter| voter.slot.0 == slot).unwrap().incarnation;
        let chip = three.cluster.chip(slot).to_owned();
        three.cluster.kill(slot);
        let next = spares.remove(round % spares.len()).to_owned();
        three.cluster.restart_on(slot, Machine::honest(&next)).unwrap();
        spares.push(["genoa-1", "turin-1", "tdx-1", "tdx-2", "genoa-2", "turin-2"].into_iter().find(|name| *name == chip).unwrap());
        local::status_where(&three.user, &three.cluster, "the replacement", |now| {
            now.voters.len() == 3 && now.learners.is_empty() && now.voters.iter().all(|voter| voter.incarnation != old)
        })
        .await;
    }
    let history = load.finish().await;
    read_all(&namespace, &history, KEYS).await;
    let (all, acknowledged) = history.counts();
    assert!(acknowledged > ROUNDS * 20, "only {acknowledged} writes of {all} operations");
    assert_eq!(history.violations(), Vec::<String>::new(), "no order explains these keys ({all} operations)");
}
