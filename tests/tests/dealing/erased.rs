//! A user erases a namespace, and an adversary who kept everything else tries to open it.
//!
//! Decides: with what was kept from before (every disk, a backup) and all that is left afterwards (every disk, every member's memory, what the shares of
//! the next dealing open) nothing opens what was erased, although sessions and a watch that had it open go on in silence; the same attempts succeed before
//! the erasure, and the one exception that docs/limits.md states is real: shares that were not destroyed open old disks.
//! Trusts: the kernel's view of memory. Out of scope: that it is refused at once (`rotations_under_load_lose_nothing`). Protocol section 7.5.
#![allow(clippy::print_stderr)]

use super::*;
use ringwall_client::{Credential, KeyMode, WatchError};
use ringwall_keys::custody::{GoodShare, RecoveryKey, combine};
use ringwall_keys::derive::{Purpose, expand};
use ringwall_keys::{Keyring, OpenError};
use ringwall_sim::canary::{Canaries, Found as Hits};
use ringwall_tests::custodian::Governors;
use ringwall_tests::memory::{Memory, candidates};
use ringwall_tests::plunder::on_disks;
use ringwall_wire::codec::Field as _;
use ringwall_wire::command::{OpenSpace, SealedChange, SealedRecord, SpaceChange};
use ringwall_wire::ids::{ClusterId, Epoch, KeyTag, SpaceTag};
use ringwall_wire::secret::Secret;
use std::path::{Path, PathBuf};

/// What is stored and erased.
const SECRET: [u8; 40] = [0xA7; 40];

/// What was erased, as old disks have it.
struct Erased {
    cluster: ClusterId,
    space: SpaceTag,
    row: OpenSpace,
    key: KeyTag,
    record: SealedRecord,
}

impl Erased {
    fn on(disks: &[PathBuf], cluster: ClusterId, space: SpaceTag) -> Self {
        let row = on_disks(disks, &space, |open: &OpenSpace| open.mode == KeyMode::Cluster).expect("its data key is on a disk");
        let put = |change: &SpaceChange| matches!(change.mutations.first().map(|first| &first.change), Some(SealedChange::Put(_)));
        let change = on_disks(disks, &space, put).expect("its record is on a disk");
        let first = change.mutations.into_vec().remove(0);
        let SealedChange::Put(put) = first.change else { panic!("a put was looked for") };
        Erased { cluster, space, row, key: first.key, record: put.record }
    }

    /// With the cluster's keys, the way a member does it.
    fn opened_by(&self, ring: &Keyring) -> Result<Vec<u8>, OpenError> {
        let keys = ring.unwrap_space_key(&self.space, KeyMode::Cluster, &self.row.dek)?;
        keys.open(&self.key, &self.record).map(|(_, value)| value)
    }

    fn kek(&self, master: &Secret<32>) -> Secret<32> {
        expand(master, Purpose::Kek, &[&self.cluster.0, &self.row.dek.key_epoch.0.to_be_bytes()])
    }

    /// Whether these 32 bytes are its master key, the key of keys, its data key, or the parent of its record keys.
    fn opens(&self, candidate: &[u8; 32]) -> bool {
        let candidate = Secret::new(*candidate);
        let wraps = |kek: &Secret<32>| expand::<64>(kek, Purpose::WrapKeys, &[&self.row.dek.iv]).expose().ends_with(&self.row.dek.commit);
        let commits =
            |parent: &Secret<32>| expand::<96>(parent, Purpose::RecordKeys, &[&self.record.iv]).expose().ends_with(&self.record.commit);
        let mode = KeyMode::Cluster.to_bytes();
        let fields: [&[u8]; 3] = [&self.cluster.0, &self.space.0, &mode];
        wraps(&self.kek(&candidate))
            || wraps(&candidate)
            || commits(&candidate)
            || commits(&expand(&candidate, Purpose::SpaceRecords, &fields))
    }

    /// How many places of a node's memory open it.
    fn keys_in(&self, kept: &Kept, slot: u8) -> usize {
        let dump = Memory::open(kept.cluster.pid(slot).unwrap()).unwrap().dump().unwrap();
        candidates(&dump).filter(|candidate| self.opens(candidate)).count()
    }
}

impl Kept {
    /// Shares of a dealing that waits, acknowledged by all; returns when it is active and on every disk.
    async fn accepted(&self, numbers: &[usize]) -> Vec<GoodShare> {
        let first = numbers[0];
        let until = Instant::now() + PATIENCE;
        while self.dial(first, 1).await.status().await.is_none_or(|status| status.waiting.0 == 0) {
            assert!(Instant::now() < until, "nothing is dealt\n{}", local::logs(&self.cluster));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut shares = Vec::new();
        let mut manifest = Digest([0; 32]);
        for number in numbers {
            let dealt = self.acknowledge(*number, 1).await;
            manifest = Digest(dealt.manifest.manifest.digest());
            shares.push(self.holder(*number).open(&self.cluster.card().genesis.cluster_id(), &dealt).unwrap());
        }
        for slot in 1..=3 {
            self.file_where(slot, |file| Digest(file.manifest.manifest.digest()) == manifest).await;
        }
        shares
    }

    async fn session(&self, credential: &Credential, slot: u8) -> Client {
        let mut options = local::options(&self.cluster);
        options.credential = credential.clone();
        options.addresses = vec![self.cluster.address(slot).to_string()];
        Client::connect(options).await.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(&self.cluster)))
    }

    fn disks(&self) -> Vec<PathBuf> {
        self.cluster.slots().map(|slot| self.cluster.data_folder(slot)).collect()
    }

    /// Which kinds of canaries are in the memory of a node.
    fn in_memory(&self, slot: u8, canaries: &Canaries) -> Vec<&'static str> {
        let mut found = Hits::new();
        assert!(Memory::open(self.cluster.pid(slot).unwrap()).unwrap().search(canaries, &mut found).unwrap() > 1 << 20);
        canaries.by_kind(&found).into_keys().collect()
    }
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => copied(&entry.path(), &to.join(entry.file_name())),
            // A file of a running node may be gone by now.
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name()))),
        }
    }
}

fn recovered(file: &RecoveryFile, shares: &[GoodShare]) -> RecoveryKey {
    combine(&file.manifest.manifest, shares).unwrap_or_else(|fault| panic!("{fault}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_opens_with_nothing_that_is_left() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "memory of a node is read as root");
        eprintln!("NOT RUN: only root can read a node's memory");
        return;
    }
    let (owner, ops, governors) = (Credential::generate(), Credential::generate(), Governors::default());
    // A rotation a second after an erasure, and none besides.
    let options = LocalOptions {
        rotate_s: Some((RARELY.0, 1)),
        governance: Some(governors.governance()),
        backup_users: vec![ops.user().to_string()],
        ..LocalOptions::default()
    };
    let kept = Kept::start_with(options).await;
    let cluster = kept.cluster.card().genesis.cluster_id();
    let shares = kept.accepted(&[1, 2, 3]).await;
    let (one, two, three) = (kept.session(&owner, 1).await, kept.session(&owner, 2).await, kept.session(&owner, 3).await);
    let gone = one.namespace("gone").await.unwrap();
    gone.put("k", SECRET.to_vec()).await.unwrap();
    one.namespace("stays").await.unwrap().put("k", SECRET.to_vec()).await.unwrap();
    assert_eq!(two.existing_namespace("gone").unwrap().get("k").await.unwrap().unwrap().value, SECRET);
    let mut watch = three.existing_namespace("gone").unwrap().watch("", three.revision()).await.unwrap();
    assert_eq!(three.existing_namespace("gone").unwrap().get("k").await.unwrap().unwrap().value, SECRET);

    let vault = tempfile::tempdir().unwrap();
    let (erased, canaries, olds) = taken(&kept, vault.path(), (&owner, ops), &shares).await;
    let before = blob_file::read(&kept.cluster.data_folder(1)).unwrap().unwrap();

    gone.erase().await.unwrap();
    // One session says nothing more, another one only watches: both forget.
    let mut told = Some(Ok(()));
    for _ in 0..4 {
        // What was written before is told first.
        told = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().map(|told| told.map(drop));
        if !matches!(told, Some(Ok(()))) {
            break;
        }
    }
    assert!(matches!(told, Some(Err(WatchError::NoNamespace { .. }))), "{told:?}");
    for slot in 1..=3 {
        let until = Instant::now() + PATIENCE;
        while !kept.in_memory(slot, &canaries).is_empty() {
            assert!(Instant::now() < until, "node {slot} holds {:?}\n{}", kept.in_memory(slot, &canaries), local::logs(&kept.cluster));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(erased.keys_in(&kept, slot), 0, "32 bytes of node {slot} open it");
    }

    // The next dealing: its shares, and every recovery file there is or was.
    redeal(&kept, &governors, cluster).await;
    let shares = kept.accepted(&[2, 1, 3]).await;
    let after = blob_file::read(&kept.cluster.data_folder(1)).unwrap().unwrap();
    let key = recovered(&after, &shares);
    let now = key.open(&after.manifest.manifest, &after.recovery).unwrap();
    assert_eq!(erased.opened_by(&now), Err(OpenError::UnknownKeyEpoch { wanted: erased.row.dek.key_epoch }));
    assert!(now.granted().iter().all(|granted| !erased.opens(granted.key.expose())));
    assert!(key.open(&before.manifest.manifest, &before.recovery).is_err(), "a new share opens no earlier recovery file");
    let mut disks = kept.disks();
    disks.extend(olds);
    let on_disk = canaries.search_files(disks.iter().map(PathBuf::as_path)).unwrap();
    assert!(on_disk.found.is_empty(), "{:?}", on_disk.hits);
    assert_eq!(one.existing_namespace("stays").unwrap().get("k").await.unwrap().unwrap().value, SECRET);
    drop((one, two, three));
}

/// What the adversary keeps from before: the disks, a backup, and what to look for. With the keys of the day it opens: the attempts are the right ones.
async fn taken(
    kept: &Kept,
    vault: &Path,
    (owner, ops): (&Credential, Credential),
    shares: &[GoodShare],
) -> (Erased, Canaries, Vec<PathBuf>) {
    let mut olds: Vec<PathBuf> = (1..=3).map(|slot| vault.join(format!("old-{slot}"))).collect();
    kept.disks().iter().zip(&olds).for_each(|(disk, old)| copied(disk, old));
    let mut of_ops = local::options(&kept.cluster);
    of_ops.credential = ops;
    let client = Client::connect(of_ops.clone()).await.unwrap();
    let backup = vault.join("backup");
    ringwall_client::backup::fetch(&of_ops, &client, &backup, |_| {}).await.unwrap_or_else(|fault| panic!("{fault}"));
    client.close().await;
    let file = blob_file::read(&kept.cluster.data_folder(1)).unwrap().unwrap();
    let ring = recovered(&file, shares).open(&file.manifest.manifest, &file.recovery).unwrap();
    let erased = Erased::on(&olds, kept.cluster.card().genesis.cluster_id(), ring.space_tag(&owner.user(), "gone"));
    assert_eq!(erased.opened_by(&ring).unwrap(), SECRET, "shares that were not destroyed open an old disk");
    let mut wrapped = Canaries::default();
    wrapped.add_raw("its data key, wrapped", &erased.row.dek.ciphertext);
    assert_eq!(wrapped.search_files([backup.as_path()]).unwrap().found.len(), 1, "the backup has it, as disks have");
    let canaries = keys_of(&erased, &ring);
    for slot in 1..=3 {
        let held = kept.in_memory(slot, &canaries);
        assert!(
            ["master key", "records key", "key of seals"].iter().all(|kind| held.contains(kind)),
            "node {slot} holds {held:?} while it is open"
        );
    }
    assert!(erased.keys_in(kept, 1) > 0, "trying every 32 bytes of memory finds its keys");
    olds.push(backup);
    (erased, canaries, olds)
}

/// The keys that open it, from the master key downwards.
fn keys_of(erased: &Erased, ring: &Keyring) -> Canaries {
    let wanted = erased.row.dek.key_epoch;
    let master = ring.granted_key(wanted).expect("the generation of that day").key;
    let kek = erased.kek(&master);
    let dek = unwrapped(erased, &kek);
    let mode = KeyMode::Cluster.to_bytes();
    let fields: [&[u8]; 3] = [&erased.cluster.0, &erased.space.0, &mode];
    let records = expand::<32>(&dek, Purpose::SpaceRecords, &fields);
    let mut canaries = Canaries::default();
    for (kind, key) in [("master key", &master), ("key of keys", &kek), ("data key", &dek), ("records key", &records)] {
        assert!(erased.opens(key.expose()), "{kind}");
        canaries.add(kind, key.expose());
    }
    // It opens no data, and stands beside the master key for as long.
    let seals = expand::<32>(&master, Purpose::LogSeal, &[&erased.cluster.0, &wanted.0.to_be_bytes()]);
    canaries.add("key of seals", seals.expose());
    canaries
}

/// The data key, as whoever has the key of keys unwraps it.
fn unwrapped(erased: &Erased, kek: &Secret<32>) -> Secret<32> {
    use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Tag};
    let row = &erased.row.dek;
    let keys = expand::<64>(kek, Purpose::WrapKeys, &[&row.iv]);
    let (key, commit) = keys.expose().split_at(32);
    assert_eq!(commit, row.commit);
    let fields: [&[u8]; 4] = [&erased.cluster.0, &erased.space.0, &KeyMode::Cluster.to_bytes(), &row.key_epoch.0.to_be_bytes()];
    let aad = ringwall_wire::codec::enc(ringwall_wire::label::Label::WrappedKey, &fields);
    let (body, tag) = row.ciphertext.split_at(32);
    let mut dek: [u8; 32] = body.try_into().unwrap();
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    cipher.decrypt_inout_detached(&[0; 12].into(), &aad, dek.as_mut_slice().into(), &Tag::try_from(tag).unwrap()).unwrap();
    Secret::new(dek)
}

/// The governors have shares dealt anew: the same people in another order are another list.
async fn redeal(kept: &Kept, governors: &Governors, cluster: ClusterId) {
    let order = {
        let [one, two, three] = [1, 2, 3].map(|number| kept.holder(number));
        governors.other_custodians((cluster, Epoch(1)), &[one, two, three], &[two, one, three], 2)
    };
    let answer = kept.dial(1, 1).await.ask(CustodianOp::Change(Box::new(order))).await;
    assert!(matches!(answer, CustodianAnswer::Noted(_)), "{answer:?}\n{}", local::logs(&kept.cluster));
}
