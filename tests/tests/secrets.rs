//! A thousand planted secrets must be found nowhere an operator can look: data folders, logs, datagrams.
//!
//! Decides: every datagram between clients and nodes and among nodes passes a tap; secrets are key names, values and credentials.
//! Trusts: the search, which first proves that it finds a planted secret. Out of scope: memory of the processes. Rows T-K, S2.
#![allow(clippy::unwrap_used, clippy::panic)]

mod three;

use ringwall_client::{Client, Credential};
use ringwall_sim::canary::Canaries;
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_sim::tap::Tap;
use ringwall_tests::local;
use ringwall_wire::secret::Secret;

const SECRETS: usize = 1_000;
const USERS: usize = 10;

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_secrets_are_found_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let taps = [Tap::new().await.unwrap(), Tap::new().await.unwrap(), Tap::new().await.unwrap()];
    let options = LocalOptions { advertise: taps.iter().map(|tap| tap.address).collect(), ..LocalOptions::default() };
    let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
    let mut cluster = LocalCluster::start_with(folder.path(), three::launch(), &machines, options).unwrap();
    for (slot, tap) in cluster.slots().zip(&taps) {
        tap.aim(cluster.address(slot));
    }
    let watcher = local::client(&cluster).await;
    local::voters(&watcher, &cluster, 3).await;

    let mut planted: Vec<[u8; 32]> = Vec::new();
    for _ in 0..USERS {
        let seed = random();
        planted.push(seed);
        let mut options = local::options(&cluster);
        options.credential = Credential::from_seed(Secret::new(seed));
        let notes = Client::connect(options).await.unwrap().namespace("vault").await.unwrap();
        for _ in 0..SECRETS / USERS / 2 {
            let (name, value) = (random(), random());
            notes.put(name, value).await.unwrap();
            assert_eq!(notes.get(name).await.unwrap().unwrap().value, value);
            planted.extend([name, value]);
        }
        assert_eq!(notes.list("").with_values().all().await.unwrap().len(), SECRETS / USERS / 2);
    }
    assert!(planted.len() >= SECRETS);
    // A replacement receives everything as a snapshot or as log.
    cluster.restart_on(2, Machine::honest("tdx-2")).unwrap();
    local::status_where(&watcher, &cluster, "the replacement", |now| {
        now.voters.len() == 3 && now.voters.iter().any(|voter| voter.slot.0 == 2 && voter.vendor == ringwall_wire::ids::Vendor::Intel)
    })
    .await;

    let canaries = Canaries::new(planted.iter().map(|secret| &secret[..]));
    // The search bites: a secret written to a file beside the nodes' is found.
    let bait = folder.path().join("bait");
    std::fs::write(&bait, planted[planted.len() / 2]).unwrap();
    assert_eq!(canaries.search(folder.path()).unwrap().0, std::slice::from_ref(&bait));
    std::fs::remove_file(&bait).unwrap();

    let (hits, files, bytes) = canaries.search(folder.path()).unwrap();
    assert!(hits.is_empty(), "secrets in {hits:?}");
    assert!(files >= 9 && bytes > 100_000, "only {files} files, {bytes} bytes were searched");
    let mut captured = 0;
    for tap in &taps {
        let datagrams = tap.captured();
        captured += datagrams.len();
        assert_eq!(canaries.count(&datagrams), 0, "a secret crossed the network in the clear");
    }
    assert!(captured > SECRETS * 64, "only {captured} bytes passed the taps");
}
