//! Receipts over real processes: every member tells one history, whoever is asked, whoever leads; a client that has seen more than the cluster has
//! finds out by name, and a member that cannot know says so.
//!
//! Decides: T-R3 and T-R4 at the client, as far as they can be made without a recovery: what the client remembers is moved ahead of the cluster,
//! which looks to it exactly as a cluster that went back. Trusts: simulated evidence. Out of scope: lying members (client/tests/rollback.rs).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::anchor::{Anchor, AnchorFiles, AnchorStore, EvidenceFault, InMemory, merge, read_evidence};
use ringwall_client::{Client, ConnectError, Credential, Options};
use ringwall_sim::cluster::LocalCluster;
use ringwall_tests::local;
use ringwall_wire::ids::Digest;
use std::sync::Arc;
use std::time::Duration;
use three::Three;

/// A user whose anchor outlives its clients.
struct User {
    credential: Credential,
    files: AnchorFiles,
    _folder: tempfile::TempDir,
}

impl User {
    fn new(cluster: &LocalCluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = AnchorFiles::beside(&folder.path().join("me"), &cluster.card().genesis.cluster_id());
        User { credential: Credential::generate(), files, _folder: folder }
    }

    fn options(&self, cluster: &LocalCluster, slots: &[u8]) -> Options {
        let mut options = local::options(cluster);
        options.addresses = slots.iter().map(|slot| cluster.address(*slot).to_string()).collect();
        options.credential = self.credential.clone();
        options.anchor = Arc::new(self.files.clone());
        options
    }

    /// One write through one member; what is known afterwards.
    async fn writes(&self, cluster: &LocalCluster, slot: u8, value: &str) -> Anchor {
        let client =
            Client::connect(self.options(cluster, &[slot])).await.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(cluster)));
        client.namespace("notes").await.unwrap().put("k", value).await.unwrap();
        client.close().await;
        self.anchor()
    }

    fn anchor(&self) -> Anchor {
        self.files.load().unwrap().anchor.unwrap()
    }

    /// Remembers something that was not confirmed.
    fn pretend(&self, change: impl FnOnce(&mut Anchor)) {
        let kept = self.files.load().unwrap();
        let mut anchor = kept.anchor.unwrap();
        change(&mut anchor);
        std::fs::remove_file(self.files.path("anchor")).unwrap();
        self.files.save(&anchor, &kept.signers).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_continues_what_any_other_confirmed() {
    let mut three = Three::start().await;
    let (one, two) = (User::new(&three.cluster), User::new(&three.cluster));
    let mut before: Option<Anchor> = None;
    for round in 0..4_u64 {
        for slot in [1, 2, 3] {
            let anchor = one.writes(&three.cluster, slot, &format!("{round} by {slot}")).await;
            let mark = anchor.newest.leaf.spaces.first().unwrap();
            assert_eq!(mark.seq, round * 3 + u64::from(slot), "every write of the namespace is counted, whoever took it");
            if let Some(before) = before {
                assert!(anchor.newest.head.tree.size > before.newest.head.tree.size);
                assert_ne!(anchor.newest.head.incarnation, before.newest.head.incarnation);
            }
            before = Some(anchor);
        }
    }
    let status = local::voters(&three.user, &three.cluster, 3).await;
    let leader = local::leader_slot(&status);
    three.cluster.kill(leader);
    for slot in (1..=3).filter(|slot| *slot != leader) {
        one.writes(&three.cluster, slot, "after the leader died").await;
        two.writes(&three.cluster, slot, "another user").await;
    }
    merge(&one.anchor(), &two.anchor()).expect("two users saw one history");
    // A member that joined later has the tree of those before it.
    three.cluster.restart(leader).unwrap();
    local::replaced(&three.user, &three.cluster, status.leader).await;
    let anchor = one.writes(&three.cluster, leader, "through the newcomer").await;
    assert!(anchor.newest.head.incarnation > status.leader);
    merge(&anchor, &two.anchor()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_has_less_than_was_confirmed_is_a_rollback_and_nothing_is_written() {
    let three = Three::start().await;
    let user = User::new(&three.cluster);
    user.writes(&three.cluster, 1, "a").await;
    // As if the cluster had gone back by a thousand entries.
    user.pretend(|anchor| anchor.newest.head.tree.size += 1_000);
    for slot in [1, 2, 3] {
        let fault = Client::connect(user.options(&three.cluster, &[slot])).await.unwrap_err();
        assert!(matches!(&fault, ConnectError::RollbackDetected { .. }), "{fault}");
    }
    let evidence = read_evidence(&user.files.path("detected")).unwrap();
    let judged = evidence.verify(&ringwall_sim::anchors());
    assert!(matches!(judged, Err(EvidenceFault::Signature { which: "older" })), "nobody signed what this test pretends: {judged:?}");
    let seen = InMemory::default();
    let mut options = user.options(&three.cluster, &[1]);
    options.anchor = Arc::new(seen);
    let found = Client::connect(options).await.unwrap().namespace("notes").await.unwrap().get("k").await.unwrap().unwrap();
    assert_eq!(found.value, b"a");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_at_the_same_place_is_a_fork_and_so_is_another_digest() {
    let three = Three::start().await;
    let user = User::new(&three.cluster);
    user.writes(&three.cluster, 1, "a").await;
    let true_anchor = user.anchor();
    user.pretend(|anchor| anchor.newest.head.tree.root = Digest([9; 32]));
    let fault = Client::connect(user.options(&three.cluster, &[2])).await.unwrap_err();
    assert!(matches!(&fault, ConnectError::ForkDetected { .. }), "{fault}");

    std::fs::remove_file(user.files.path("detected")).unwrap();
    user.pretend(|anchor| {
        *anchor = true_anchor.clone();
        let mut marks = anchor.newest.leaf.spaces.to_vec();
        marks[0].digest = Digest([9; 32]);
        anchor.newest.leaf.spaces = ringwall_wire::bounded::List::new(marks).unwrap();
    });
    let client = Client::connect(user.options(&three.cluster, &[3])).await.unwrap();
    let fault = client.existing_namespace("notes").unwrap().get("k").await.unwrap_err();
    assert!(matches!(&fault, ringwall_client::ReadError::Session(ConnectError::ForkDetected { .. })), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_a_quorum_says_behind_and_accuses_nobody() {
    let three = Three::start().await;
    let user = User::new(&three.cluster);
    let anchor = user.writes(&three.cluster, 1, "a").await;
    user.pretend(|anchor| anchor.newest.head.tree.size += 1_000);
    for slot in [2, 3] {
        three.cluster.signal(slot, rustix::process::Signal::STOP);
    }
    let mut options = user.options(&three.cluster, &[1]);
    options.timeouts.deadline = Duration::from_secs(20);
    options.timeouts.dial = Duration::from_secs(15);
    let fault = Client::connect(options).await.unwrap_err();
    for slot in [2, 3] {
        three.cluster.signal(slot, rustix::process::Signal::CONT);
    }
    assert!(matches!(&fault, ConnectError::Unavailable { .. }) && fault.to_string().contains("BEHIND"), "{fault}");
    assert!(!user.files.path("detected").exists());
    user.pretend(|kept| *kept = anchor);
    user.writes(&three.cluster, 1, "b").await;
}
