//! Total outage and recovery over real processes: every node is killed, some disks are gone, old or made up, custodians send their shares, and the cluster
//! serves again, or says what would be lost.
//!
//! Decides: P13 and T-R3 end to end: the same cluster id, pins and anchors hold, every acknowledged write is there, a bad share is named and costs nobody
//! else, older disks than a custodian has seen are refused with the lost range, one dealing recovers once unless somebody says why. Nothing here
//! depends on how long a step takes; what the automatic part took is printed.
//! Trusts: custodians of this suite that verify offers as their program does. Out of scope: the rules one by one (`consensus`), single refusals (`node`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "recover/losses.rs"]
mod losses;
mod three;

use ringwall_client::anchor::AnchorFiles;
use ringwall_client::{Client, Credential};
use ringwall_keys::custody::GoodShare;
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_tests::custodian::{Holder, Talk};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp, CustodianReply, CustodianRequest, CustodyStatus};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Nonce};
use ringwall_wire::recovery::{CustodyAnchor, LossTerms, SignedOffer};
use serde_json::json;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rotations as good as never, in seconds.
const RARELY: (u32, u32) = (1_000_000, 1_000_000);
const SLOTS: [u8; 3] = [1, 2, 3];
const KEYS: u32 = 8;

/// A cluster of three with three custodians, two of whom recover, and a user whose anchor outlives it all.
struct World {
    cluster: LocalCluster,
    holders: Vec<Holder>,
    shares: Vec<GoodShare>,
    credential: Credential,
    files: AnchorFiles,
    folder: tempfile::TempDir,
    /// Session of the newest offer that was answered.
    session: Nonce,
}

impl World {
    async fn start() -> Self {
        Self::start_with(LocalOptions::default()).await
    }

    async fn start_with(options: LocalOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let holders: Vec<Holder> = (1..=3).map(Holder::numbered).collect();
        let custodians = (holders.iter().map(Holder::public).collect(), 2);
        let credential = Credential::generate();
        let backup_users = vec![credential.user().to_string()];
        let options = LocalOptions { custodians, rotate_s: Some(RARELY), backup_users, ..options };
        let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
        let cluster =
            LocalCluster::start_with(folder.path(), three::launch(), &machines, options).unwrap_or_else(|error| panic!("{error}"));
        let files = AnchorFiles::beside(&folder.path().join("me"), &cluster.card().genesis.cluster_id());
        let mut world = World { cluster, holders, shares: Vec::new(), credential, files, folder, session: Nonce([0; 32]) };
        let client = world.client().await;
        local::voters(&client, &world.cluster, 3).await;
        client.close().await;
        world.accept_shares(1).await;
        world
    }

    fn cluster_id(&self) -> ClusterId {
        self.cluster.card().genesis.cluster_id()
    }

    /// The user, with the anchor that is kept.
    async fn client(&self) -> Client {
        let mut options = local::options(&self.cluster);
        options.credential = self.credential.clone();
        options.anchor = Arc::new(self.files.clone());
        Client::connect(options).await.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(&self.cluster)))
    }

    async fn put(&self, key: &str, value: &str) {
        let client = self.client().await;
        client.namespace("notes").await.unwrap().put(key, value).await.unwrap();
        client.close().await;
    }

    async fn holds(&self, key: &str, value: &str) {
        let client = self.client().await;
        let found = client.namespace("notes").await.unwrap().get(key).await.unwrap();
        assert_eq!(found.map(|found| found.value), Some(value.as_bytes().to_vec()), "{key}\n{}", local::logs(&self.cluster));
        client.close().await;
    }

    async fn dial(&self, number: usize, slot: u8) -> Talk {
        let opened = self.holders[number - 1].dial(self.cluster_id(), self.cluster.address(slot)).await;
        opened.unwrap_or_else(|refusal| panic!("a custodian is refused: {refusal:?}\n{}", local::logs(&self.cluster)))
    }

    async fn status_where(&self, slot: u8, what: &str, wanted: impl Fn(&CustodyStatus) -> bool) -> CustodyStatus {
        let until = Instant::now() + PATIENCE;
        let mut seen = String::from("nothing");
        while Instant::now() < until {
            match self.dial(1, slot).await.status().await {
                Some(status) if wanted(&status) => return status,
                other => seen = format!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("waited {} s for {what}; last seen: {seen}\n{}", PATIENCE.as_secs(), local::logs(&self.cluster));
    }

    /// Every custodian takes the dealing that waits; returns once it is active and on every disk.
    async fn accept_shares(&mut self, slot: u8) {
        let until = Instant::now() + PATIENCE;
        let waits = loop {
            let waits = self.status_where(slot, "a dealing", |status| status.waiting.0 > 0).await;
            // One of an epoch before is dropped for the next at any moment.
            if self.acknowledge_all(slot).await {
                break waits;
            }
            assert!(Instant::now() < until, "a dealing is never acknowledged\n{}", local::logs(&self.cluster));
        };
        self.status_where(slot, "the activation", |status| status.active >= waits.waiting).await;
        for slot in SLOTS {
            let written = || {
                let file = ringwall_node::custody::blob_file::read(&self.cluster.data_folder(slot)).unwrap();
                file.is_some_and(|file| file.manifest.manifest.custody_epoch >= waits.waiting)
            };
            while !written() {
                assert!(Instant::now() < until, "node {slot} has no recovery file of the dealing\n{}", local::logs(&self.cluster));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn acknowledge_all(&mut self, slot: u8) -> bool {
        self.shares.clear();
        let cluster_id = self.cluster_id();
        for number in 1..=3 {
            let mut talk = self.dial(number, slot).await;
            let Some(dealt) = talk.pull().await else { return false };
            let share = self.holders[number - 1].open(&cluster_id, &dealt).unwrap_or_else(|fault| panic!("{fault}"));
            self.shares.push(share);
            let answer = talk.acknowledge(Digest(dealt.manifest.manifest.digest())).await;
            if !matches!(answer, CustodianAnswer::Noted(_)) {
                return false;
            }
        }
        true
    }

    /// Every process dies at once.
    fn kill_all(&mut self) {
        SLOTS.into_iter().for_each(|slot| self.cluster.kill(slot));
    }

    fn papers(&self, slot: u8) -> PathBuf {
        self.cluster.data_folder(slot).join("recovery")
    }

    /// Waits for an offer of a new session, and judges it as every custodian would.
    async fn offer(&mut self, slot: u8) -> SignedOffer {
        let until = Instant::now() + PATIENCE;
        loop {
            let offered = std::fs::read(self.papers(slot).join("offer")).ok().and_then(|bytes| SignedOffer::decode(&bytes).ok());
            if let Some(signed) = offered.filter(|signed| signed.offer.session != self.session) {
                self.holders[0].judge_offer(&self.cluster_id(), &signed).unwrap_or_else(|fault| panic!("{fault}"));
                self.session = signed.offer.session;
                return signed;
            }
            assert!(Instant::now() < until, "node {slot} offers nothing\n{}", local::logs(&self.cluster));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Puts a custodian's answer into the inbox; `share` is whose share it sends.
    fn answer(&self, slot: u8, signed: &SignedOffer, (number, share): (usize, usize), anchor: Option<CustodyAnchor>) {
        let submission = self.holders[number - 1].submission(signed, &self.shares[share - 1], anchor);
        let inbox = self.papers(slot).join("inbox");
        let (beside, path) = (inbox.join(format!("{number}.part")), inbox.join(format!("{number}.answer")));
        std::fs::write(&beside, submission.encode()).unwrap();
        std::fs::rename(beside, path).unwrap();
    }

    fn told(&self, slot: u8) -> serde_json::Value {
        let text = std::fs::read(self.papers(slot).join("status.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    async fn told_where(&self, slot: u8, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let told = self.told(slot);
            if wanted(&told) {
                return told;
            }
            assert!(Instant::now() < until, "waited for {what}; last told: {told}\n{}", local::logs(&self.cluster));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the custodians are asked to accept a loss, and says which.
    async fn loss(&self, slot: u8) -> LossTerms {
        self.told_where(slot, "the question", |told| told["step"] == "loss").await;
        let progress = std::fs::read(self.papers(slot).join("progress")).unwrap();
        let CustodianAnswer::Progress(progress) = CustodianReply::decode(&progress).unwrap().body else { panic!("another answer") };
        progress.loss.unwrap()
    }

    /// Puts a custodian's acceptance of a loss into the inbox.
    fn accept(&self, slot: u8, number: usize, terms: &LossTerms) {
        let word = self.holders[number - 1].accepts(&self.cluster_id(), terms);
        let request = CustodianRequest { number: 1, op: CustodianOp::AcceptLoss(word) };
        let inbox = self.papers(slot).join("inbox");
        std::fs::write(inbox.join(format!("accept-{number}.part")), request.encode()).unwrap();
        std::fs::rename(inbox.join(format!("accept-{number}.part")), inbox.join(format!("accept-{number}"))).unwrap();
    }

    async fn ended_with(&mut self, slot: u8) -> i32 {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(code) = self.cluster.exit_code(slot) {
                return code;
            }
            assert!(Instant::now() < until, "node {slot} goes on\n{}", local::logs(&self.cluster));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A copy of a node's disk, as its host could keep one: what recovery reads.
    fn copy_disk(&self, slot: u8, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        copy(&self.cluster.data_folder(slot), &to);
        to
    }

    fn replace_disk(&self, slot: u8, with: Option<&Path>) {
        let data = self.cluster.data_folder(slot);
        std::fs::remove_dir_all(&data).unwrap();
        if let Some(with) = with {
            copy(with, &data);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name.starts_with("inc-") {
            copy(&path, &to.join(&name));
        } else if ["log-", "snapshot-", "recovery.blob", "cluster.card"].iter().any(|wanted| name.starts_with(wanted)) {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn disks(folders: &[&Path]) -> Vec<OsString> {
    folders.iter().flat_map(|folder| [OsString::from("--disk"), folder.as_os_str().to_owned()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_die_and_two_custodians_bring_the_cluster_back() {
    let mut world = World::start().await;
    for number in 0..KEYS {
        world.put(&format!("key-{number}"), &format!("value {number}")).await;
    }
    let anchor = world.dial(1, 2).await.anchor();
    let before = world.cluster_id();
    world.kill_all();
    // One disk is gone for good; the recovering node has its own and a copy of another one.
    let other = world.copy_disk(2, "copy-2");
    world.replace_disk(3, None);
    world.cluster.recover(1, &disks(&[&other])).unwrap();
    let offer = world.offer(1).await;
    assert_eq!((offer.offer.cluster_id, offer.offer.epoch), (before, Epoch(1)));

    // A custodian sends another's share: it is named, and nobody else's is lost.
    world.answer(1, &offer, (3, 2), None);
    let told = world.told_where(1, "the refusal", |told| told["refused"].as_array().is_some_and(|refused| !refused.is_empty())).await;
    assert_eq!((&told["refused"][0]["custodian"], &told["step"]), (&json!("custodian 3"), &json!("shares")), "{told}");
    world.answer(1, &offer, (1, 1), anchor);
    let told = world.told_where(1, "a share", |told| told["submitted"] == json!(["custodian 1"])).await;
    assert_eq!(told["step"], "shares", "one is not enough: {told}");
    let second = Instant::now();
    world.answer(1, &offer, (2, 2), None);
    world.told_where(1, "service", |told| told["step"] == "serving").await;
    println!("from the second share to serving: {} ms", second.elapsed().as_millis());

    // The same cluster, the same user, the same anchor: nothing is missing.
    for number in 0..KEYS {
        world.holds(&format!("key-{number}"), &format!("value {number}")).await;
    }
    world.put("after", "the outage").await;
    for slot in [2, 3] {
        world.cluster.restart(slot).unwrap();
    }
    let client = world.client().await;
    let status = local::voters(&client, &world.cluster, 3).await;
    assert!(status.voters.iter().all(|voter| voter.incarnation.epoch() == Epoch(2)), "{status:?}");
    client.close().await;
    world.holds("after", "the outage").await;
    world.holds("key-0", "value 0").await;

    recovers_once(&mut world).await;
    // New shares in the new epoch, and what they recover.
    world.accept_shares(2).await;
    world.holds("key-1", "value 1").await;
}

/// The dealing of the first epoch recovers once: all die again before the new dealing is acknowledged.
async fn recovers_once(world: &mut World) {
    world.kill_all();
    let (two, three) = (world.copy_disk(2, "again-2"), world.copy_disk(3, "again-3"));
    world.cluster.recover(1, &disks(&[&two, &three])).unwrap();
    let offer = world.offer(1).await;
    assert_eq!(offer.offer.epoch, Epoch(2));
    world.answer(1, &offer, (1, 1), None);
    world.answer(1, &offer, (3, 3), None);
    assert_eq!(world.ended_with(1).await, 18);
    let told = world.told(1);
    assert!(told["ended"].as_str().is_some_and(|why| why.contains("has opened a recovery before")), "{told}");
    let mut flags = disks(&[&two, &three]);
    flags.extend(["--again".into(), "the second outage came before the custodians".into()]);
    world.cluster.recover(1, &flags).unwrap();
    let offer = world.offer(1).await;
    world.answer(1, &offer, (1, 1), None);
    world.answer(1, &offer, (3, 3), None);
    world.told_where(1, "service", |told| told["step"] == "serving").await;
    world.holds("after", "the outage").await;
    for slot in [2, 3] {
        world.cluster.restart(slot).unwrap();
    }
    let client = world.client().await;
    local::voters(&client, &world.cluster, 3).await;
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_disks_than_somebody_has_seen_are_refused_with_what_would_be_lost() {
    let mut world = World::start().await;
    world.put("first", "kept").await;
    let old: Vec<PathBuf> = SLOTS.iter().map(|slot| world.copy_disk(*slot, &format!("old-{slot}"))).collect();
    for number in 0..5 {
        world.put(&format!("later-{number}"), "confirmed").await;
    }
    let anchor = world.dial(1, 3).await.anchor();
    let seen = anchor.as_ref().unwrap().head.tree.size;
    world.kill_all();
    let (newest, third) = (world.copy_disk(2, "newest-2"), world.copy_disk(3, "newest-3"));
    for (slot, disk) in SLOTS.into_iter().zip(&old) {
        world.replace_disk(slot, Some(disk));
    }
    world.cluster.recover(1, &disks(&[&old[1], &old[2]])).unwrap();
    let offer = world.offer(1).await;
    world.answer(1, &offer, (1, 1), anchor.clone());
    world.answer(1, &offer, (2, 2), None);
    assert_eq!(world.ended_with(1).await, 19, "{}", local::logs(&world.cluster));
    let evidence: serde_json::Value = serde_json::from_slice(&std::fs::read(world.papers(1).join("evidence.json")).unwrap()).unwrap();
    assert_eq!(evidence["verdict"], "ROLLBACK_DETECTED", "{evidence}");
    let lost = &evidence["disagreements"][0];
    assert_eq!((&lost["what"], &lost["to"]), (&json!("lost"), &json!(seen - 1)), "{lost}");
    assert_eq!(lost["from"], evidence["chosen"]["entries"], "{lost}");
    println!("named as lost: entries {} to {}", lost["from"], lost["to"]);

    // A disk that is newer than what was seen: with it, nothing is lost. A life under another's name is refused beside it.
    let forged = world.folder.path().join("forged");
    let lives = ringwall_node::folders::lives(&old[2]).unwrap();
    let ours = ringwall_node::folders::lives(&newest).unwrap();
    copy(&ringwall_node::folders::of(&old[2], *lives.last().unwrap()), &ringwall_node::folders::of(&forged, *ours.last().unwrap()));
    world.cluster.recover(1, &disks(&[&forged, &newest, &third])).unwrap();
    let offer = world.offer(1).await;
    world.answer(1, &offer, (1, 1), anchor);
    world.answer(1, &offer, (2, 2), None);
    world.told_where(1, "service", |told| told["step"] == "serving").await;
    local::log_says(&world.cluster, 1, "a folder is no claim").await;
    world.holds("first", "kept").await;
    for number in 0..5 {
        world.holds(&format!("later-{number}"), "confirmed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_too_few_disks_are_left_every_custodian_has_to_accept_the_loss() {
    let mut world = World::start().await;
    world.put("key", "value").await;
    world.kill_all();
    // Without any disk nobody knows whose shares to ask for.
    let own = world.copy_disk(1, "own");
    SLOTS.into_iter().for_each(|slot| world.replace_disk(slot, None));
    world.cluster.recover(1, &[]).unwrap();
    assert_eq!(world.ended_with(1).await, 18, "{}", local::logs(&world.cluster));
    world.replace_disk(1, Some(&own));
    world.cluster.recover(1, &[]).unwrap();
    let offer = world.offer(1).await;
    world.answer(1, &offer, (2, 2), None);
    world.answer(1, &offer, (3, 3), None);
    let told = world.told_where(1, "the question", |told| told["step"] == "loss").await;
    assert_eq!((&told["loss"]["voters"], &told["loss"]["missing"]), (&json!(3), &json!(2)), "{told}");
    let terms = world.loss(1).await;
    world.accept(1, 1, &terms);
    world.accept(1, 2, &terms);
    let accepted = |told: &serde_json::Value| told["step"] == "loss";
    local::log_says(&world.cluster, 1, "the loss is accepted").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(accepted(&world.told(1)), "two of three custodians are not all: {}", world.told(1));
    world.accept(1, 3, &terms);
    world.told_where(1, "service", |told| told["step"] == "serving").await;
    world.holds("key", "value").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_disks_are_gone_comes_back_from_a_backup_that_every_custodian_accepts() {
    let mut world = World::start().await;
    world.put("key", "value").await;
    let mut options = local::options(&world.cluster);
    options.credential = world.credential.clone();
    let client = Client::connect(options.clone()).await.unwrap();
    let backup = world.folder.path().join("cluster.rwb");
    let fetched = ringwall_client::backup::fetch(&options, &client, &backup, |_| {}).await.unwrap_or_else(|fault| panic!("{fault}"));
    client.close().await;
    world.kill_all();
    // What shares open is no part of a backup: it is kept beside it.
    let kept = world.folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    std::fs::copy(world.cluster.data_folder(1).join("recovery.blob"), kept.join("recovery.blob")).unwrap();
    SLOTS.into_iter().for_each(|slot| world.replace_disk(slot, None));
    std::fs::create_dir_all(world.papers(1).join("backups")).unwrap();
    // A backup alone: nobody knows whose shares to ask for, and they would open nothing of it.
    std::fs::copy(&backup, world.papers(1).join("backups").join("cluster.rwb")).unwrap();
    world.cluster.recover(1, &[]).unwrap();
    assert_eq!(world.ended_with(1).await, 18, "{}", local::logs(&world.cluster));
    copy(&kept, &world.cluster.data_folder(1));
    let mut altered = std::fs::read(&backup).unwrap();
    let at = altered.len() - 100;
    altered[at] ^= 1;
    std::fs::write(world.papers(1).join("backups").join("altered"), altered).unwrap();
    std::fs::copy(&backup, world.papers(1).join("backups").join("cluster.rwb")).unwrap();
    world.cluster.recover(1, &[]).unwrap();
    let offer = world.offer(1).await;
    world.answer(1, &offer, (1, 1), None);
    world.answer(1, &offer, (2, 2), None);
    let terms = world.loss(1).await;
    let proven = &fetched.proven.made.head;
    assert_eq!((terms.voters, terms.missing, terms.chosen.size), (3, 3, proven.tree.size), "a backup is no voter's disk");
    local::log_says(&world.cluster, 1, "its snapshot is not the one that was signed").await;
    (1..=3).for_each(|number| world.accept(1, number, &terms));
    world.told_where(1, "service", |told| told["step"] == "serving").await;
    world.holds("key", "value").await;
}
