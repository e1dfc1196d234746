//! Who is refused, and for which reason: by clients, and by members facing a joiner.
//!
//! Decides: nodes that lie in their evidence never become members, and members say why; clients refuse what they did not pin.
//! Trusts: `attest`'s own tests for the hundred field-level lies; here each kind goes over real processes once.
//! Out of scope: hostile bytes (`hostile.rs`). Register rows A1-A3, A6, A7, A12, A13.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::{Anchors, ConnectError};
use ringwall_sim::cluster::{LocalCluster, Machine};
use ringwall_sim::impostor::relay;
use ringwall_tests::local;
use ringwall_wire::ids::ClusterId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A founding node alone: enough to be asked.
fn one(folder: &tempfile::TempDir) -> LocalCluster {
    LocalCluster::start(folder.path(), three::launch(), &[Machine::honest("genoa-1")]).unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_refuses_another_cluster_and_other_roots() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = one(&folder);
    local::client(&cluster).await;
    let mut options = local::options(&cluster);
    options.cluster_id = ClusterId([7; 32]);
    let refused = local::try_client(options).await.unwrap_err();
    assert!(matches!(&refused, ConnectError::OtherCluster { pinned, .. } if *pinned == ClusterId([7; 32])), "{refused}");

    let mut options = local::options(&cluster);
    options.anchors = Arc::new(Anchors::production());
    let refused = local::try_client(options).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Evidence { .. }), "{refused}");
    assert!(refused.to_string().contains("nothing was sent"), "{refused}");
}

/// Starts an honest founder and a liar beside it; the founder's log must give the reason, and the liar must not become a member.
async fn liar_is_refused(chip: &str, behaviour: &[&str], reason: &str) {
    let folder = tempfile::tempdir().unwrap();
    let liar = Machine { chip: chip.into(), behaviour: behaviour.iter().map(|word| (*word).to_owned()).collect() };
    let cluster = LocalCluster::start(folder.path(), three::launch(), &[Machine::honest("genoa-1"), liar]).unwrap();
    local::log_says(&cluster, 1, reason).await;
    let status = local::client_of(&cluster, 1).await.status().await.unwrap();
    assert_eq!((status.voters.len(), status.learners.len()), (1, 0), "{behaviour:?} was let in\n{}", local::logs(&cluster));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_refuse_debug_guests_of_either_vendor() {
    tokio::join!(
        liar_is_refused("turin-1", &["--lie", "SnpDebug"], "the guest may be debugged"),
        liar_is_refused("tdx-1", &["--lie", "TdxDebug"], "debug"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn members_refuse_other_builds_and_other_configurations() {
    tokio::join!(
        liar_is_refused("turin-1", &["--lie", "Build"], "measure"),
        liar_is_refused("turin-1", &["--lie", "BootConfig"], "HOST_DATA"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn members_refuse_evidence_for_another_session_and_of_another_chip() {
    tokio::join!(
        liar_is_refused("turin-1", &["--lie", "ReportData"], "made for another session"),
        liar_is_refused("turin-1", &["--lie", "SnpClonedChip"], "chip"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn members_refuse_strangers_roots() {
    tokio::join!(
        liar_is_refused("turin-1", &["--lie", "ForeignRoot"], "certificate"),
        liar_is_refused("tdx-1", &["--lie", "ForeignRoot"], "root"),
    );
}

/// An honest node on a machine the policy does not list says so itself and does not start.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_an_unlisted_chip_says_so_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = LocalCluster::start(folder.path(), three::launch(), &["genoa-1", "turin-9"].map(Machine::honest)).unwrap();
    local::log_says(&cluster, 2, "refused by the cluster's policy").await;
    let until = std::time::Instant::now() + local::PATIENCE;
    while cluster.is_running(2) && std::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!cluster.is_running(2));
}

/// A man in the middle with a TLS of his own relays every frame to a genuine node. The handshake is bound to the outer connection, so
/// it fails at the client, and the client sends nothing after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_gets_no_session_and_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = one(&folder);
    local::client(&cluster).await;
    let frames = Arc::new(AtomicUsize::new(0));
    let address = relay::start(cluster.address(1), Arc::clone(&frames)).await.unwrap();
    let mut options = local::options(&cluster);
    options.addresses = vec![address.to_string()];
    let refused = local::try_client(options).await.unwrap_err();
    let passed = frames.load(Ordering::Relaxed);
    assert!(passed >= 2, "the relay was not used");
    assert_eq!(passed % 2, 0, "the client sent a frame after the handshake failed: {refused}");
}
