//! Shares are dealt, acknowledged, activated and proved, and the master key is rotated, over real processes.
//!
//! Decides: nothing is active before everybody has acknowledged; the last acknowledgement makes the dealing active with a new master key and puts the
//! recovery file on every disk; a leader that is killed in between costs nothing; rotations under load lose no write; wrong words are refused by name.
//! Trusts: the recorded history, custodians of this suite that verify nodes as clients do. Out of scope: each clause by itself
//! (`consensus/src/machine/custody/tests.rs`), the shares (`keys`). Protocol sections 6.1 and 7.5.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "dealing/erased.rs"]
mod erased;
use super::three;

use ringwall_client::{Client, Found, NamespaceHandle, ReadError};
use ringwall_node::custody::blob_file;
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_tests::custodian::{Holder, Talk};
use ringwall_tests::load::{Load, read_all};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp, CustodyStatus, Dealt};
use ringwall_wire::custody::{CustodyFault, RecoveryFile, ShareProof};
use ringwall_wire::ids::{CustodyEpoch, Digest, Signature};
use ringwall_wire::session::RefusalCode;
use std::time::{Duration, Instant};

const KEYS: u64 = 8;
/// Rotations as good as never, in seconds: what these tests see of them is theirs.
const RARELY: (u32, u32) = (1_000_000, 1_000_000);

/// A cluster of three with three custodians, two of whom recover.
struct Kept {
    cluster: LocalCluster,
    user: Client,
    holders: Vec<Holder>,
    _folder: tempfile::TempDir,
}

impl Kept {
    async fn start(rotate_s: (u32, u32)) -> Self {
        Self::start_with(LocalOptions { rotate_s: Some(rotate_s), ..LocalOptions::default() }).await
    }

    async fn start_with(options: LocalOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let holders: Vec<Holder> = (1..=3).map(Holder::numbered).collect();
        let custodians = (holders.iter().map(Holder::public).collect(), 2);
        let options = LocalOptions { custodians, ..options };
        let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
        let cluster =
            LocalCluster::start_with(folder.path(), three::launch(), &machines, options).unwrap_or_else(|error| panic!("{error}"));
        let user = local::client(&cluster).await;
        local::voters(&user, &cluster, 3).await;
        Kept { cluster, user, holders, _folder: folder }
    }

    fn holder(&self, number: usize) -> &Holder {
        &self.holders[number - 1]
    }

    async fn dial(&self, number: usize, slot: u8) -> Talk {
        let cluster_id = self.cluster.card().genesis.cluster_id();
        let opened = self.holder(number).dial(cluster_id, self.cluster.address(slot)).await;
        opened.unwrap_or_else(|refusal| panic!("a custodian is refused: {refusal:?}\n{}", local::logs(&self.cluster)))
    }

    /// Waits until custody stands as wanted, asking the node of `slot`.
    async fn status_where(&self, slot: u8, what: &str, wanted: impl Fn(&CustodyStatus) -> bool) -> CustodyStatus {
        let until = Instant::now() + PATIENCE;
        let mut seen = String::from("nothing");
        while Instant::now() < until {
            // A session ends after some questions, and a node that lost its quorum for a moment refuses.
            let status = self.dial(1, slot).await.status().await;
            match status {
                Some(status) if wanted(&status) => return status,
                other => seen = format!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("waited {} s for {what}; last seen: {seen}\n{}", PATIENCE.as_secs(), local::logs(&self.cluster));
    }

    /// What a custodian does with a dealing: looks at everything, then acknowledges.
    async fn acknowledge(&self, number: usize, slot: u8) -> Dealt {
        let mut talk = self.dial(number, slot).await;
        let dealt = talk.pull().await.expect("a dealing waits");
        let cluster_id = self.cluster.card().genesis.cluster_id();
        let _held =
            self.holder(number).open(&cluster_id, &dealt).unwrap_or_else(|fault| panic!("the dealing is not what it should be: {fault}"));
        let answer = talk.acknowledge(Digest(dealt.manifest.manifest.digest())).await;
        assert!(matches!(answer, CustodianAnswer::Noted(_)), "{answer:?}\n{}", local::logs(&self.cluster));
        dealt
    }

    /// Whoever leads dies, another one leads, and the first comes back as a newcomer. Gives a slot that was there all along.
    async fn leader_dies(&mut self) -> u8 {
        let status = local::voters(&self.user, &self.cluster, 3).await;
        let leader = local::leader_slot(&status);
        self.cluster.kill(leader);
        self.cluster.restart(leader).unwrap();
        local::replaced(&self.user, &self.cluster, status.leader).await;
        (1..=3).find(|slot| *slot != leader).unwrap()
    }

    /// Waits until the disk of `slot` has a recovery file that fits.
    async fn file_where(&self, slot: u8, wanted: impl Fn(&RecoveryFile) -> bool) -> RecoveryFile {
        let until = Instant::now() + PATIENCE;
        loop {
            let file = blob_file::read(&self.cluster.data_folder(slot)).unwrap();
            match file {
                Some(file) if wanted(&file) => return file,
                other => assert!(Instant::now() < until, "node {slot} has {other:?}\n{}", local::logs(&self.cluster)),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dealing_is_active_once_all_custodians_hold_their_shares() {
    let mut kept = Kept::start(RARELY).await;
    let first = kept.status_where(1, "the first dealing", |status| status.waiting.0 > 0).await;
    assert_eq!((first.active, first.threshold, first.custodians.len()), (CustodyEpoch(0), 2, 3));
    let namespace = kept.user.namespace("before").await.unwrap();
    namespace.put("key", b"value").await.unwrap();

    // Two of three: the threshold, and not everybody. The words of others count for nothing.
    let dealt = kept.acknowledge(1, 2).await;
    let manifest = Digest(dealt.manifest.manifest.digest());
    let mut talk = kept.dial(2, 3).await;
    let forged = kept.dial(1, 3).await.acknowledgement(manifest);
    assert_eq!(talk.ask(CustodianOp::Ack(forged.clone())).await, CustodianAnswer::Fault(CustodyFault::NotCustodian));
    let mut spoiled = talk.acknowledgement(manifest);
    spoiled.signature = Signature(forged.signature.0);
    assert_eq!(talk.ask(CustodianOp::Ack(spoiled)).await, CustodianAnswer::Fault(CustodyFault::BadSignature));
    assert_eq!(talk.acknowledge(Digest([9; 32])).await, CustodianAnswer::Fault(CustodyFault::NoDealing));
    kept.acknowledge(2, 3).await;
    let waits =
        kept.status_where(3, "two acknowledgements", |status| status.custodians.iter().filter(|one| one.acknowledged).count() == 2).await;
    assert_eq!((waits.active, waits.waiting), (CustodyEpoch(0), first.waiting), "one is missing");
    for slot in 1..=3 {
        assert!(blob_file::read(&kept.cluster.data_folder(slot)).unwrap().is_none(), "nothing is sealed to shares nobody has");
    }

    // The leader goes before the last one comes: whoever leads next goes on with the same dealing.
    let leader = local::leader_slot(&local::voters(&kept.user, &kept.cluster, 3).await);
    kept.cluster.kill(leader);
    let other = (1..=3).find(|slot| *slot != leader).unwrap();
    local::status_where(&kept.user, &kept.cluster, "another leader", |status| {
        status.voters.iter().any(|voter| voter.incarnation == status.leader && voter.slot.0 != leader)
    })
    .await;
    kept.acknowledge(3, other).await;
    let active = kept.status_where(other, "the activation", |status| status.active == first.waiting).await;
    assert_eq!((active.waiting, active.active_manifest), (CustodyEpoch(0), manifest));
    assert!(active.custodians.iter().all(|one| one.holds));

    // The node that was killed comes back to the same; every disk has the file of this dealing, with the new master key in it.
    kept.cluster.restart(leader).unwrap();
    local::voters(&kept.user, &kept.cluster, 3).await;
    for slot in 1..=3 {
        let file = kept.file_where(slot, |file| file.recovery.newest_key.0 == 2).await;
        assert_eq!(Digest(file.manifest.manifest.digest()), manifest);
    }
    assert_eq!(namespace.get("key").await.unwrap().unwrap().value, b"value", "sealed before the rotation, read after it");
    let after = kept.user.namespace("after").await.unwrap();
    after.put("key", b"value").await.unwrap();
    assert_eq!(after.get("key").await.unwrap().unwrap().value, b"value");
    prove(&kept, manifest).await;
}

/// Shares are proved, and what is no proof is refused.
async fn prove(kept: &Kept, manifest: Digest) {
    let cluster_id = kept.cluster.card().genesis.cluster_id();
    let dealt = kept.dial(1, 1).await.pull().await.expect("the active dealing");
    assert!(dealt.active);
    let share = kept.holder(1).open(&cluster_id, &dealt).unwrap();
    let other = kept.dial(2, 1).await.pull().await.expect("the active dealing");
    let others = kept.holder(2).open(&cluster_id, &other).unwrap();
    let mut talk = kept.dial(1, 2).await;
    assert_eq!(talk.prove(&others, |_| {}).await, CustodianAnswer::Fault(CustodyFault::BadSignature), "another share");
    let spoils: [fn(&mut ShareProof); 2] = [|proof| proof.nonce.0[0] ^= 1, |proof| proof.handshake.0[0] ^= 1];
    for spoil in spoils {
        match talk.prove(&share, spoil).await {
            CustodianAnswer::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::Malformed),
            other => panic!("{other:?}"),
        }
    }
    let answer = talk.prove(&share, |_| {}).await;
    let CustodianAnswer::Noted(status) = answer else { panic!("{answer:?}\n{}", local::logs(&kept.cluster)) };
    assert_eq!(status.active_manifest, manifest);
    let proved: Vec<bool> = status.custodians.iter().map(|one| one.proved_at_ms > 0).collect();
    assert_eq!(proved, [true, false, false]);
    match talk.prove(&share, |_| {}).await {
        CustodianAnswer::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::Busy, "once is enough"),
        other => panic!("{other:?}"),
    }
    // Everybody sees who proved, whichever node is asked.
    kept.status_where(3, "the proof", |status| status.custodians.iter().any(|one| one.proved_at_ms > 0)).await;
    let stranger = Holder::numbered(9);
    let refused = stranger.dial(cluster_id, kept.cluster.address(1)).await;
    assert_eq!(refused.err().map(|refusal| refusal.code), Some(RefusalCode::NotAuthorized));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_after_any_step_of_a_dealing_costs_nothing() {
    // Who dies between the acknowledgements is the test above.
    let mut kept = Kept::start(RARELY).await;
    let first = kept.status_where(1, "the first dealing", |status| status.waiting.0 > 0).await;
    let namespace = kept.user.namespace("before").await.unwrap();
    namespace.put("key", b"value").await.unwrap();
    // It has dealt, and nobody has acknowledged: the dealing is in the log, its key in nobody's memory.
    let other = kept.leader_dies().await;
    let waits = kept.status_where(other, "the dealing", |status| status.waiting.0 > 0).await;
    assert_eq!((waits.waiting, waits.active), (first.waiting, CustodyEpoch(0)), "it is still the same one");
    let mut manifest = None;
    for number in 1..=3 {
        manifest = Some(Digest(kept.acknowledge(number, other).await.manifest.manifest.digest()));
    }
    // All have: whether it has made the dealing active or not when it dies, the next one goes on from there.
    let other = kept.leader_dies().await;
    let active = kept.status_where(other, "the activation", |status| status.active.0 > 0).await;
    assert_eq!((active.active, active.waiting, Some(active.active_manifest)), (first.waiting, CustodyEpoch(0), manifest));
    // It is active, with a new master key: whoever moves data keys to that one dies as well.
    let other = kept.leader_dies().await;
    for slot in 1..=3 {
        let file = kept.file_where(slot, |file| file.recovery.newest_key.0 == 2).await;
        assert_eq!(Some(Digest(file.manifest.manifest.digest())), manifest, "node {slot}");
    }
    assert_eq!(namespace.get("key").await.unwrap().unwrap().value, b"value");
    let after = kept.user.namespace("after").await.unwrap();
    after.put("key", b"value").await.unwrap();
    assert_eq!(after.get("key").await.unwrap().unwrap().value, b"value");
    let now = kept.status_where(other, "one dealing", |status| status.waiting.0 == 0).await;
    assert_eq!((now.active, now.active_manifest), (active.active, active.active_manifest), "and nothing was dealt anew");
}

/// A user erases one namespace, then all: they are gone on every node, for good, and others keep theirs.
async fn erase(kept: &Kept, namespaces: &[NamespaceHandle], of_another: &NamespaceHandle) {
    namespaces[0].erase().await.unwrap();
    let gone = |found: &Result<Option<Found>, ReadError>| matches!(found, Ok(None) | Err(ReadError::NoNamespace { .. }));
    assert!(gone(&namespaces[0].get("kept").await));
    assert!(kept.user.namespace("many-0").await.is_err(), "the name is not used again");
    assert!(namespaces[1].get("kept").await.unwrap().is_some());
    kept.user.erase_everything().await.unwrap();
    for namespace in namespaces {
        let found = namespace.get("kept").await;
        assert!(gone(&found), "{found:?}\n{}", local::logs(&kept.cluster));
    }
    let answered = of_another.get("k0").await;
    assert!(answered.is_ok(), "another user's namespace: {answered:?}");
    kept.user.erase_everything().await.unwrap();
    assert!(kept.user.namespace("new").await.is_ok(), "an erased user is not banned");
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_under_load_lose_nothing() {
    // Every two seconds, whoever leads.
    let mut kept = Kept::start((2, 2)).await;
    for number in 1..=3 {
        kept.status_where(1, "a dealing", |status| status.waiting.0 > 0).await;
        kept.acknowledge(number, number as u8).await;
    }
    kept.status_where(1, "the activation", |status| status.active.0 > 0).await;
    let namespaces = {
        let mut namespaces = Vec::new();
        for number in 0..20 {
            namespaces.push(kept.user.namespace(&format!("many-{number}")).await.unwrap());
        }
        namespaces
    };
    for namespace in &namespaces {
        namespace.put("kept", b"from the beginning").await.unwrap();
    }
    let client = local::client(&kept.cluster).await;
    let namespace = client.namespace("load").await.unwrap();
    let load = Load::start(vec![namespace.clone(); 4], KEYS, Duration::from_millis(4));
    let before = kept.file_where(1, |_| true).await.recovery.newest_key;
    kept.file_where(1, |file| file.recovery.newest_key.0 >= before.0 + 3).await;
    // A leader dies in the middle of it, and comes back without a key.
    let leader = local::leader_slot(&local::voters(&kept.user, &kept.cluster, 3).await);
    kept.cluster.kill(leader);
    let other = (1..=3).find(|slot| *slot != leader).unwrap();
    let at = kept.file_where(other, |_| true).await.recovery.newest_key;
    kept.file_where(other, |file| file.recovery.newest_key.0 >= at.0 + 2).await;
    kept.cluster.restart(leader).unwrap();
    local::voters(&kept.user, &kept.cluster, 3).await;
    let at = kept.file_where(leader, |_| true).await.recovery.newest_key;
    kept.file_where(leader, |file| file.recovery.newest_key.0 >= at.0 + 2).await;
    let history = load.finish().await;
    read_all(&namespace, &history, KEYS).await;
    let (all, acknowledged) = history.counts();
    assert!(acknowledged > 100, "{acknowledged} of {all} operations were answered\n{}", local::logs(&kept.cluster));
    assert_eq!(history.violations(), Vec::<String>::new(), "no order explains these keys ({all} operations)");
    for namespace in &namespaces {
        let found = namespace.get("kept").await.unwrap().unwrap();
        assert_eq!(found.value, b"from the beginning", "{}", local::logs(&kept.cluster));
    }
    erase(&kept, &namespaces, &namespace).await;
    // Keys that were left are over everywhere: no more are alive than are being moved.
    local::log_says(&kept.cluster, other, "master keys that are over were dropped").await;
}
