//! Total outage and recovery over real processes: every node is killed, some disks are gone, old or made up, custodians send their shares, and the cluster
//! serves again, or says what would be lost.
//!
//! Decides: P13 and T-R3 end to end: the same cluster id, pins and anchors hold, every acknowledged write is there, a bad share is named and costs nobody
//! else, older disks than a custodian has seen are refused with the lost range, one dealing recovers once unless somebody says why. Nothing here
//! depends on how long a step takes; what the automatic part took is printed.
//! Trusts: custodians of this suite that verify offers as their program does. Out of scope: the rules one by one (`consensus`), single refusals (`node`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "recover/interrupted.rs"]
mod interrupted;
#[path = "recover/kept.rs"]
mod kept;
#[path = "recover/losses.rs"]
mod losses;
use super::three;
mod unseal;

use ringwall_client::anchor::AnchorFiles;
use ringwall_client::{Client, Credential};
use ringwall_sim::canary::{Canaries, Found};
use ringwall_sim::cluster::LocalOptions;
use ringwall_sim::custodian::{Holder, Talk};
use ringwall_sim::guarded::{self, Guarded, SLOTS, disks};
use ringwall_tests::dealer::{recovered, split_secret};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_tests::memory::Memory;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp};
use ringwall_wire::ids::Epoch;
use ringwall_wire::recovery::{CustodyAnchor, LossTerms, SignedOffer};
use serde_json::json;
use std::ffi::OsString;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rotations as good as never, in seconds.
const RARELY: (u32, u32) = (1_000_000, 1_000_000);
const KEYS: u32 = 8;

/// A cluster of three with three custodians, two of whom recover, and a user whose anchor outlives it all. What it is waited for in vain ends the test.
struct World {
    guarded: Guarded,
    credential: Credential,
    files: AnchorFiles,
    folder: tempfile::TempDir,
}

impl Deref for World {
    type Target = Guarded;

    fn deref(&self) -> &Guarded {
        &self.guarded
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Guarded {
        &mut self.guarded
    }
}

fn whole<T, F: std::fmt::Display>(result: Result<T, F>) -> T {
    result.unwrap_or_else(|fault| panic!("{fault}"))
}

impl World {
    async fn start() -> Self {
        Self::start_with(LocalOptions::default()).await
    }

    async fn start_with(options: LocalOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let credential = Credential::generate();
        let backup_users = vec![credential.user().to_string()];
        let options = LocalOptions { rotate_s: options.rotate_s.or(Some(RARELY)), backup_users, ..options };
        let guarded = whole(Guarded::start(folder.path(), three::launch(), options));
        let files = AnchorFiles::beside(&folder.path().join("me"), &guarded.cluster_id());
        let mut world = World { guarded, credential, files, folder };
        whole(world.guarded.voters().await);
        world.accept_shares(1).await;
        world
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
        whole(self.guarded.dial(number, slot).await)
    }

    /// Every custodian takes the dealing that waits; returns once it is active and on every disk.
    async fn accept_shares(&mut self, slot: u8) {
        whole(self.guarded.accept_shares(slot, &SLOTS).await);
    }

    /// Waits for an offer of a new session, and judges it as every custodian would.
    async fn offer(&mut self, slot: u8) -> SignedOffer {
        whole(self.guarded.offer(slot).await)
    }

    /// Puts a custodian's answer into the inbox; `share` is whose share it sends.
    fn answer(&mut self, slot: u8, signed: &SignedOffer, (number, share): (usize, usize), anchor: Option<CustodyAnchor>) {
        whole(self.guarded.answer(slot, signed, (number, share), anchor));
    }

    async fn told_where(&mut self, slot: u8, what: &'static str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        whole(self.guarded.told_where(slot, what, wanted).await)
    }

    /// Waits until the custodians are asked to accept a loss, and says which.
    async fn loss(&mut self, slot: u8) -> LossTerms {
        whole(self.guarded.loss(slot).await)
    }

    /// Puts a custodian's acceptance of a loss into the inbox.
    fn accept(&mut self, slot: u8, number: usize, terms: &LossTerms) {
        whole(self.guarded.accept(slot, number, terms));
    }

    async fn ended_with(&mut self, slot: u8) -> i32 {
        whole(self.guarded.ended_with(slot).await)
    }

    /// A copy of a node's disk, as its host could keep one: what recovery reads.
    fn copy_disk(&self, slot: u8, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        copy(&self.cluster.data_folder(slot), &to);
        to
    }

    fn replace_disk(&self, slot: u8, with: Option<&Path>) {
        whole(self.guarded.replace_disk(slot, with));
    }
}

fn copy(from: &Path, to: &Path) {
    whole(guarded::copy_disk(from, to));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_die_and_two_custodians_bring_the_cluster_back() {
    let mut world = World::start().await;
    for number in 0..KEYS {
        world.put(&format!("key-{number}"), &format!("value {number}")).await;
    }
    let anchor = world.dial(1, 2).await.anchor();
    let before = world.cluster_id();
    let secrets = secrets_of(&world);
    nothing_of_a_dealing_is_left(&world, &secrets, &SLOTS);
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
    nothing_of_a_dealing_is_left(&world, &secrets, &[1]);

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

/// The shares that were dealt, what they combine to, and the master keys they open.
fn secrets_of(world: &World) -> Canaries {
    let file = ringwall_node::custody::blob_file::read(&world.cluster.data_folder(1)).unwrap().unwrap();
    let manifest = &file.manifest.manifest;
    let ring = recovered(manifest, &world.shares).unwrap().open(manifest, &file.recovery).unwrap();
    let mut canaries = Canaries::default();
    ring.granted().iter().for_each(|granted| canaries.add("master key", granted.key.expose()));
    for good in &world.shares {
        canaries.add("share", good.share().y.expose());
        canaries.add("share", good.share().r.expose());
    }
    canaries.add("recovery key", split_secret(&world.shares).unwrap().expose());
    canaries
}

/// Nodes hold master keys and nothing of the dealing that recovers them, also those that dealt and that combined; disks, papers and logs hold neither.
fn nothing_of_a_dealing_is_left(world: &World, secrets: &Canaries, slots: &[u8]) {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "memory of a node is read as root");
        println!("NOT RUN: only root can read a node's memory");
        return;
    }
    for slot in slots {
        let mut found = Found::new();
        let bytes = Memory::open(world.cluster.pid(*slot).unwrap()).unwrap().search(secrets, &mut found).unwrap();
        assert!(bytes > 4 << 20, "only {bytes} bytes of memory were read");
        let kinds: Vec<&str> = secrets.by_kind(&found).into_keys().collect();
        assert_eq!(kinds, ["master key"], "in the memory of node {slot}");
    }
    let searched = secrets.search_files([world.folder.path()]).unwrap();
    assert!(searched.bytes > 100_000, "only {} bytes of files were read", searched.bytes);
    assert!(searched.found.is_empty(), "{:?} in {:?}", secrets.by_kind(&searched.found), searched.hits);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_assists_gives_its_disk_and_a_living_member_refuses() {
    let mut world = World::start().await;
    world.put("key", "value").await;
    let flags: Vec<OsString> = vec!["--assist".into(), world.cluster.address(2).to_string().into()];
    world.cluster.recover(1, &flags).unwrap();
    assert_eq!(world.ended_with(1).await, 18, "{}", local::logs(&world.cluster));
    local::log_says(&world.cluster, 1, "this node is a member of the living cluster").await;
    world.kill_all();
    world.replace_disk(3, None);
    world.cluster.assist(2).unwrap();
    world.cluster.recover(1, &flags).unwrap();
    let offer = world.offer(1).await;
    local::log_says(&world.cluster, 1, "an assisting machine's disk is here").await;
    world.answer(1, &offer, (1, 1), None);
    world.answer(1, &offer, (2, 2), None);
    world.told_where(1, "service", |told| told["step"] == "serving").await;
    world.holds("key", "value").await;
    for slot in [2, 3] {
        world.cluster.restart(slot).unwrap();
    }
    let client = world.client().await;
    local::voters(&client, &world.cluster, 3).await;
    client.close().await;
}
