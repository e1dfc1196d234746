//! Key modes against real node processes: what works in each, what is refused, and what nodes, disks and shares can open afterwards.
//!
//! Decides: in user mode no node ever holds a name, a value or a key of the user; in dual mode, once the sessions are over, the memory of all nodes,
//! all disks and the cluster's own keys (which is all that shares could give back) open nothing, although the very same search succeeds while a
//! session lasts. Keys are looked for as they are, and by trying every 32 bytes of memory as one. Trusts: the kernel's view of memory.
//! Out of scope: pieces of plaintext a node returned to its allocator (docs/limits.md). Protocol sections 7.4 and 12.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "shared with secrets.rs, which uses all of it")]
#[path = "secrets/tapes.rs"]
mod tapes;
use super::three;

use ringwall_client::rekey::{Move, Moved, RekeyError, rekey};
use ringwall_client::{Client, Credential, Expect, KeyMode, NamespaceError, Options, ReadError, UserKey, WriteError};
use ringwall_keys::derive::{Purpose, expand};
use ringwall_keys::user::commitment;
use ringwall_keys::{Keyring, OpenError};
use ringwall_sim::canary::{Canaries, Found};
use ringwall_sim::cluster::{LocalCluster, Machine};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_tests::memory::{self, Memory, candidates};
use ringwall_tests::plunder::on_disks;
use ringwall_wire::codec::Field;
use ringwall_wire::command::{OpenSpace, SealedChange, SealedRecord, SpaceChange};
use ringwall_wire::ids::{ClusterId, KeyTag, SpaceTag};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::RefusalCode;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tapes::Recording;
use three::Three;

const MODES: [KeyMode; 3] = [KeyMode::Cluster, KeyMode::Dual, KeyMode::User];

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn user_key() -> UserKey {
    UserKey::from_seed(Secret::new(random()))
}

/// A session of `credential`, with `key`, at the node of `slot`.
async fn at(cluster: &LocalCluster, slot: u8, credential: &Credential, key: Option<&UserKey>) -> Client {
    let mut options: Options = local::options(cluster);
    options.credential = credential.clone();
    options.user_key = key.cloned();
    options.addresses = vec![cluster.address(slot).to_string()];
    Client::connect(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_works_in_every_mode_from_every_node() {
    let three = Three::start().await;
    let (credential, key) = (Credential::generate(), user_key());
    let one = at(&three.cluster, 1, &credential, Some(&key)).await;
    let two = at(&three.cluster, 2, &credential, Some(&key)).await;
    for mode in MODES {
        let name = format!("{mode:?}");
        assert!(matches!(one.find_with(&name, mode).await, Err(NamespaceError::NoNamespace { .. })));
        let here = one.open_with(&name, mode).await.unwrap();
        let there = two.find_with(&name, mode).await.unwrap();
        let first = here.put("a/1", "one").await.unwrap();
        assert_eq!(there.get("a/1").await.unwrap().unwrap().value, b"one", "{mode:?}");
        let mut watch = there.watch("a/", first).await.unwrap();
        let second = there.compare_and_set("a/1", first, "two").await.unwrap();
        assert!(matches!(here.compare_and_set("a/1", first, "x").await, Err(WriteError::Conflict { current, .. }) if current == second));
        here.batch().put("b/1", "x").unwrap().put("a/2", "three").unwrap().require("c", Expect::Absent).unwrap().commit().await.unwrap();
        let items = here.list("a/").with_values().page_entries(1).all().await.unwrap();
        let listed: Vec<(&[u8], &[u8])> = items.iter().map(|item| (item.key.as_slice(), item.value.as_slice())).collect();
        assert_eq!(listed, [(&b"a/1"[..], &b"two"[..]), (b"a/2", b"three")], "{mode:?}");
        let gone = here.delete("a/1").await.unwrap();
        let mut told = Vec::new();
        while told.last().is_none_or(|(_, revision, _)| *revision < gone) {
            let change = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
            told.push((change.key, change.revision, change.value));
        }
        let keys: Vec<&[u8]> = told.iter().map(|(key, ..)| key.as_slice()).collect();
        assert_eq!(keys, [&b"a/1"[..], b"a/2", b"a/1"], "{mode:?}");
        assert!(here.get("a/1").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_somebody_writes_to_while_it_moves_is_not_erased() {
    let three = Three::start().await;
    let (credential, key, other) = (Credential::generate(), user_key(), user_key());
    let client = at(&three.cluster, 1, &credential, Some(&key)).await;
    let writer = at(&three.cluster, 2, &credential, Some(&key)).await;
    let home = client.open_with("home", KeyMode::User).await.unwrap();
    home.put("a", "one").await.unwrap();
    home.put("b", "two").await.unwrap();
    let late = writer.find_with("home", KeyMode::User).await.unwrap();
    let mut wanted = Move { from: "home".into(), to: "house".into(), mode: KeyMode::User, overwrite: false, erase: true };
    let (runtime, mut written) = (tokio::runtime::Handle::current(), false);
    let moved = rekey(&client, &other, &wanted, |_| {
        if !std::mem::replace(&mut written, true) {
            tokio::task::block_in_place(|| runtime.block_on(late.put("b", "later"))).unwrap();
        }
    });
    assert!(matches!(moved.await, Err(RekeyError::Changed { from }) if from == "home"));
    assert_eq!(home.get("b").await.unwrap().unwrap().value, b"later", "what was written meanwhile is where it was written");
    wanted.overwrite = true;
    assert_eq!(rekey(&client, &other, &wanted, |_| ()).await.unwrap(), Moved { stored: 2, already: 0, erased: true });
    let house = client.with_user_key(other).find_with("house", KeyMode::User).await.unwrap();
    assert_eq!(house.get("b").await.unwrap().unwrap().value, b"later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_is_for_ever_and_another_key_is_noticed() {
    let three = Three::start().await;
    let (credential, key, other) = (Credential::generate(), user_key(), user_key());
    let client = at(&three.cluster, 1, &credential, Some(&key)).await;
    let stranger = at(&three.cluster, 2, &credential, Some(&other)).await;
    let bare = at(&three.cluster, 3, &credential, None).await;
    for mode in MODES {
        let name = format!("{mode:?}");
        client.open_with(&name, mode).await.unwrap().put("k", "v").await.unwrap();
        for wrong in MODES.into_iter().filter(|wrong| *wrong != mode) {
            let opened = client.open_with(&name, wrong).await;
            assert!(matches!(opened, Err(NamespaceError::OtherMode { .. })), "{mode:?} as {wrong:?}: {opened:?}");
            assert!(matches!(client.find_with(&name, wrong).await, Err(NamespaceError::OtherMode { .. })));
        }
        if mode != KeyMode::Cluster {
            assert!(matches!(stranger.open_with(&name, mode).await, Err(NamespaceError::OtherUserKey { .. })), "{mode:?}");
            assert!(matches!(stranger.find_with(&name, mode).await, Err(NamespaceError::OtherUserKey { .. })));
            assert!(matches!(bare.open_with(&name, mode).await, Err(NamespaceError::NoUserKey { .. })));
            // Whoever takes it for one of the cluster's is refused: nothing is stored in the clear, and nothing passes for absent.
            let want = if mode == KeyMode::Dual { RefusalCode::UserKeyNeeded } else { RefusalCode::OtherMode };
            let taken = bare.existing_namespace(&name).unwrap();
            assert!(matches!(taken.get("k").await, Err(ReadError::Refused(refusal)) if refusal.code == want), "{mode:?}");
            assert!(matches!(taken.put("k", "clear").await, Err(WriteError::Refused(refusal)) if refusal.code == want), "{mode:?}");
        }
        assert_eq!(client.find_with(&name, mode).await.unwrap().get("k").await.unwrap().unwrap().value, b"v");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_namespace_is_gone_for_sessions_that_had_it_open_and_others_go_on() {
    let three = Three::start().await;
    let (credential, key) = (Credential::generate(), user_key());
    let one = at(&three.cluster, 1, &credential, Some(&key)).await;
    let two = at(&three.cluster, 2, &credential, Some(&key)).await;
    for mode in MODES {
        let (gone, stays) = (format!("gone-{mode:?}"), format!("stays-{mode:?}"));
        let (here, kept) = (one.open_with(&gone, mode).await.unwrap(), one.open_with(&stays, mode).await.unwrap());
        let (there, theirs) = (two.find_with(&gone, mode).await.unwrap(), two.find_with(&stays, mode).await.unwrap());
        here.put("k", "v").await.unwrap();
        kept.put("k", "v").await.unwrap();
        assert_eq!(there.get("k").await.unwrap().unwrap().value, b"v", "{mode:?}");
        here.erase().await.unwrap();
        for erased in [&here, &there] {
            let found = erased.get("k").await;
            assert!(matches!(found, Ok(None) | Err(ReadError::NoNamespace { .. })), "{mode:?}: {found:?}");
            let written = erased.put("k", "again").await;
            assert!(matches!(written, Err(WriteError::NoNamespace { .. })), "{mode:?}: {written:?}");
        }
        assert!(one.open_with(&gone, mode).await.is_err(), "{mode:?}: the name is not used again");
        for left in [&kept, &theirs] {
            assert_eq!(left.get("k").await.unwrap().unwrap().value, b"v", "{mode:?}: what was not erased goes on in the same session");
        }
    }
}

/// Three nodes whose generators play tapes, and whoever may read memory.
struct World {
    cluster: LocalCluster,
    tapes: Vec<Recording>,
    watcher: Client,
    folder: tempfile::TempDir,
}

impl World {
    /// None where memory of other processes cannot be read.
    async fn start() -> Option<Self> {
        if !memory::may_be_read("key modes: what a node's memory holds") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let tapes: Vec<Recording> = (0..3).map(|number| Recording::new(&folder.path().join("tapes"), number, &random::<32>())).collect();
        let machines: Vec<Machine> = ["genoa-1", "turin-1", "tdx-1"].iter().zip(&tapes).map(|(chip, tape)| tape.machine(chip)).collect();
        let cluster = LocalCluster::start(&folder.path().join("cluster"), three::launch(), &machines).unwrap();
        let watcher = local::client(&cluster).await;
        local::voters(&watcher, &cluster, 3).await;
        Some(World { cluster, tapes, watcher, folder })
    }

    fn memory(&self, slot: u8) -> Memory {
        Memory::open(self.cluster.pid(slot).unwrap()).unwrap()
    }

    /// Which of `canaries` are in the memory of a node, by kind.
    fn in_memory(&self, slot: u8, canaries: &Canaries) -> Vec<&'static str> {
        let mut found = Found::new();
        assert!(self.memory(slot).search(canaries, &mut found).unwrap() > 1 << 20);
        canaries.by_kind(&found).into_keys().collect()
    }

    fn disks(&self) -> Vec<PathBuf> {
        self.cluster.slots().map(|slot| self.cluster.data_folder(slot)).collect()
    }

    /// The cluster's keys: what memory of a running node, or enough shares, give whoever has them.
    fn ring(&self, credential: &Credential, namespace: &str) -> Keyring {
        let (disks, cluster) = (self.disks(), self.cluster.card().genesis.cluster_id());
        let disks: Vec<&Path> = disks.iter().map(PathBuf::as_path).collect();
        let mut rings = self.tapes.iter().filter_map(|tape| tape.ring(cluster, &credential.user(), namespace, &disks));
        rings.next().expect("the founder's tape has the cluster's keys")
    }

    /// A value of type `T` that stands on a disk behind `tag`, for which `wanted` holds.
    fn on_disk<T: Field>(&self, tag: &SpaceTag, wanted: impl Fn(&T) -> bool) -> T {
        on_disks(&self.disks(), tag, wanted).expect("a value of that kind is on some disk")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_user_mode_no_node_ever_holds_what_opens_or_what_was_sealed() {
    let Some(world) = World::start().await else { return };
    let (credential, seed) = (Credential::generate(), random::<32>());
    let key = UserKey::from_seed(Secret::new(seed));
    let mut canaries = Canaries::default();
    canaries.add("the user's key", &seed);
    let planted: Vec<([u8; 32], [u8; 32])> = (0..40).map(|_| (random(), random())).collect();
    for (name, value) in &planted {
        canaries.add("a name", name);
        canaries.add("a value", value);
    }
    let mut clients = Vec::new();
    for slot in world.cluster.slots() {
        let client = at(&world.cluster, slot, &credential, Some(&key)).await;
        let space = client.open_with("vault", KeyMode::User).await.unwrap();
        for (name, value) in &planted {
            space.put(name, value.to_vec()).await.unwrap();
            assert_eq!(space.get(name).await.unwrap().unwrap().value, value);
        }
        assert_eq!(space.list("").with_values().all().await.unwrap().len(), planted.len());
        clients.push((client, space));
    }
    for slot in world.cluster.slots() {
        assert!(world.in_memory(slot, &canaries).is_empty(), "node {slot} holds {:?}", world.in_memory(slot, &canaries));
    }
    let disks = world.disks();
    assert!(canaries.search_files(disks.iter().map(PathBuf::as_path)).unwrap().found.is_empty());

    // The same search finds the same names and values where the cluster can read them.
    let clear = clients[0].0.namespace("clear").await.unwrap();
    for (name, value) in &planted {
        clear.put(name, value.to_vec()).await.unwrap();
        assert!(clear.get(name).await.unwrap().is_some());
    }
    assert!(!world.in_memory(1, &canaries).is_empty(), "the search finds nothing even where there is something");
    drop(world.watcher);
    drop(world.cluster);
    drop(world.folder);
}

/// Everything of a namespace in dual mode that an adversary has, and the one thing they do not.
struct Dual {
    cluster: ClusterId,
    space: SpaceTag,
    ring: Keyring,
    row: OpenSpace,
    key: KeyTag,
    record: SealedRecord,
}

impl Dual {
    /// Whether these 32 bytes are the user's part, or any key between it and the record.
    fn opens(&self, candidate: &[u8; 32]) -> bool {
        let candidate = Secret::new(*candidate);
        let commits = |parent: &Secret<32>| {
            let keys = expand::<96>(parent, Purpose::RecordKeys, &[&self.record.iv]);
            keys.expose().ends_with(&self.record.commit)
        };
        let mode = KeyMode::Dual.to_bytes();
        let fields: [&[u8]; 3] = [&self.cluster.0, &self.space.0, &mode];
        self.row.commit == Some(commitment(&self.cluster, KeyMode::Dual, &candidate))
            || commits(&candidate)
            || commits(&expand(&candidate, Purpose::SpaceRecords, &fields))
    }

    fn opened_with(&self, part: &Secret<32>) -> Result<Vec<u8>, OpenError> {
        let keys = self.ring.unwrap_dual_space_key(&self.space, &self.row.dek, part)?;
        keys.open(&self.key, &self.record).map(|(_, value)| value)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_dual_mode_memory_after_the_session_and_shares_and_disks_open_nothing() {
    let Some(world) = World::start().await else { return };
    let (credential, seed, secret) = (Credential::generate(), random::<32>(), random::<32>());
    let key = UserKey::from_seed(Secret::new(seed));
    let cluster = world.cluster.card().genesis.cluster_id();
    let mut sessions = Vec::new();
    for slot in world.cluster.slots() {
        let client = at(&world.cluster, slot, &credential, Some(&key)).await;
        let space = client.open_with("vault", KeyMode::Dual).await.unwrap();
        for number in 0..20 {
            space.put(format!("{slot}/{number}"), secret.to_vec()).await.unwrap();
        }
        assert_eq!(space.get(format!("{slot}/7")).await.unwrap().unwrap().value, secret);
        assert!(!space.list("").with_values().all().await.unwrap().is_empty());
        let watch = space.watch("", client.revision()).await.unwrap();
        sessions.push((client, space, watch));
    }

    // The adversary: the cluster's keys, every disk. With the user's part they would be in, so the search that follows is the right one.
    let part = key.part(&cluster, &credential.user(), "vault");
    let dual = adversary(&world, &credential, cluster);
    assert_eq!(dual.opened_with(&part).unwrap(), secret);
    assert!(dual.opens(part.expose()));
    let mut canaries = Canaries::default();
    canaries.add("the user's key", &seed);
    canaries.add("the user's part", part.expose());
    let keys = derived(&dual, &part);
    keys.iter().for_each(|(kind, key)| canaries.add(kind, key));
    for slot in world.cluster.slots() {
        let held = world.in_memory(slot, &canaries);
        assert!(held.contains(&"records key") && !held.contains(&"the user's key"), "while a session lasts node {slot} holds {held:?}");
        let live = candidates(&world.memory(slot).dump().unwrap()).filter(|candidate| dual.opens(candidate)).count();
        assert!(live > 0, "trying every 32 bytes finds the keys of a session on node {slot}");
    }

    for (client, space, watch) in sessions {
        drop((space, watch));
        client.close().await;
    }
    for slot in world.cluster.slots() {
        let until = Instant::now() + PATIENCE;
        while !world.in_memory(slot, &canaries).is_empty() {
            assert!(Instant::now() < until, "node {slot} still holds {:?}", world.in_memory(slot, &canaries));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let left = candidates(&world.memory(slot).dump().unwrap()).filter(|candidate| dual.opens(candidate)).count();
        assert_eq!(left, 0, "32 bytes of node {slot} open the namespace after its session");
    }
    let disks = world.disks();
    assert!(canaries.search_files(disks.iter().map(PathBuf::as_path)).unwrap().found.is_empty());
    // The cluster's keys alone: no part, the wrong part, another mode.
    assert!(dual.ring.unwrap_space_key(&dual.space, KeyMode::Dual, &dual.row.dek).is_err());
    assert_eq!(dual.opened_with(&Secret::new(random())).unwrap_err(), OpenError::OtherKey);
    assert_eq!(dual.opened_with(key.seed()).unwrap_err(), OpenError::OtherKey, "the user's key is not its part");
    drop(world.watcher);
}

fn adversary(world: &World, credential: &Credential, cluster: ClusterId) -> Dual {
    let ring = world.ring(credential, "vault");
    let space = ring.space_tag(&credential.user(), "vault");
    let row = world.on_disk(&space, |open: &OpenSpace| open.mode == KeyMode::Dual && open.commit.is_some());
    let put = |change: &SpaceChange| matches!(change.mutations.first().map(|first| &first.change), Some(SealedChange::Put(_)));
    let change = world.on_disk(&space, put);
    let first = change.mutations.into_vec().remove(0);
    let SealedChange::Put(put) = first.change else { panic!("a put was looked for") };
    Dual { cluster, space, ring, row, key: first.key, record: put.record }
}

/// The keys between the user's part and a record.
fn derived(dual: &Dual, part: &Secret<32>) -> Vec<(&'static str, [u8; 32])> {
    let kek = |granted: &ringwall_wire::admission::GrantedKey| {
        expand::<32>(&granted.key, Purpose::Kek, &[&dual.cluster.0, &granted.key_epoch.0.to_be_bytes()])
    };
    let kek = dual.ring.granted().iter().find(|granted| granted.key_epoch == dual.row.dek.key_epoch).map(kek).unwrap();
    let dek = unwrapped(&kek, dual);
    let fields: [&[u8]; 2] = [&dual.cluster.0, &dual.space.0];
    let salt = expand::<32>(&dek, Purpose::MixSalt, &fields);
    let input = ringwall_wire::codec::enc(ringwall_wire::label::Label::Mix, &[dek.expose(), part.expose()]);
    let mixed = ringwall_keys::derive::extract(&salt, &input);
    let mixed = expand::<32>(&mixed, Purpose::DekMix, &fields);
    let mode = KeyMode::Dual.to_bytes();
    let fields: [&[u8]; 3] = [&dual.cluster.0, &dual.space.0, &mode];
    let records = expand::<32>(&mixed, Purpose::SpaceRecords, &fields);
    let index = expand::<32>(&mixed, Purpose::SpaceIndex, &fields);
    vec![("mixed data key", *mixed.expose()), ("records key", *records.expose()), ("index key", *index.expose())]
}

/// The data key, as whoever has the master key unwraps it.
fn unwrapped(kek: &Secret<32>, dual: &Dual) -> Secret<32> {
    use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Tag};
    let row = &dual.row.dek;
    let keys = expand::<64>(kek, Purpose::WrapKeys, &[&row.iv]);
    let (key, commit) = keys.expose().split_at(32);
    assert_eq!(commit, row.commit);
    let fields: [&[u8]; 4] = [&dual.cluster.0, &dual.space.0, &KeyMode::Dual.to_bytes(), &row.key_epoch.0.to_be_bytes()];
    let aad = ringwall_wire::codec::enc(ringwall_wire::label::Label::WrappedKey, &fields);
    let (body, tag) = row.ciphertext.split_at(32);
    let mut dek: [u8; 32] = body.try_into().unwrap();
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    cipher.decrypt_inout_detached(&[0; 12].into(), &aad, dek.as_mut_slice().into(), &Tag::try_from(tag).unwrap()).unwrap();
    Secret::new(dek)
}
