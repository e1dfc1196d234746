//! Recovery over real logs: every age of three disks against every age of what somebody has seen, disks that are none, and a lineage that goes on.
//!
//! Decides: T-R3 at the level of disks: with a majority nothing that was seen is lost unnoticed, and a loss is named to the entry; what a host makes up,
//! renames, cuts or mixes is refused by name; a new lineage continues tree, state and exactly-once bookkeeping, and old lives are out.
//! Trusts: the wires of `rig`; seals under a key of this suite. Out of scope: shares and custodians (`node`), the rules by themselves (`src/recovery`).

use crate::rig::*;
use ringwall_consensus::recovery::{Disagreement, Found, Known, NotChosen, SeenBy, Source, Unfit, anchors, choose, compare};
use ringwall_consensus::{Options, Owner, Replica, Seal, Sealer, disk::OsDisk};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{Founding, Outcome};
use ringwall_wire::ids::*;
use ringwall_wire::receipt::{EpochStart, TreeHead, TreePoint};
use ringwall_wire::recovery::{DiskClaim, EpochBegun, RecoveryAccount};
use ringwall_wire::request::Expect;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Ages a disk, or what somebody has seen, can have.
const AGES: usize = 4;

fn mac(key: u8, words: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([key; 32]).chain_update(words).finalize().into()
}

fn sealer(key: u8) -> Sealer {
    Arc::new(move |words| Seal { key_epoch: KeyEpoch(u32::from(key)), mac: mac(key, words) })
}

fn judge(words: &[u8], seal: &Seal) -> bool {
    seal.key_epoch == KeyEpoch(1) && seal.mac == mac(1, words)
}

/// Three voters that seal what they write, with snapshots now and then if that is wanted.
async fn kept(key: u8, snapshots: bool) -> Group {
    kept_by(sealer(key), snapshots).await
}

async fn kept_by(sealer: Sealer, snapshots: bool) -> Group {
    let tune = move |options: &mut Options| {
        options.sealer = Some(Arc::clone(&sealer));
        if snapshots {
            options.snapshot_entries = 40;
            options.keep_entries = 5;
            options.overlay_bytes = 64 * 1024;
        }
    };
    let group = Group::start_with(3, tune).await;
    assert!(matches!(group.write(open_space(SPACE)).await, Outcome::Applied(_)));
    group
}

/// Writes, and waits until every disk has it and nothing moves.
async fn write(group: &Group, from: u64, count: u64) -> TreeHead {
    for seq in from..from + count {
        assert!(matches!(group.write(put(1, seq, seq % 7, &seq.to_be_bytes(), Expect::Any)).await, Outcome::Applied(_)));
    }
    settle(group).await
}

async fn settle(group: &Group) -> TreeHead {
    let leader = group.leader().await;
    let last = leader.metrics().last_index;
    wait_for("every replica has applied all", || {
        group.all().values().all(|replica| replica.applied() == last && replica.metrics().last_index == last)
    })
    .await;
    leader.view().unwrap().tree()
}

/// A copy of one life's folder, as a host could keep one. Zeroed spares and the database, which recovery does not read, are left out.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let copied = || -> std::io::Result<()> {
        for entry in std::fs::read_dir(from)? {
            let path = entry?.path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("log-") || name.starts_with("snapshot-") && !name.contains("tmp") {
                std::fs::copy(&path, to.join(name))?;
            }
        }
        Ok(())
    };
    // A snapshot may be replaced meanwhile.
    assert!((0..100).any(|_| copied().is_ok()), "{} cannot be copied", from.display());
}

/// The same once the disk has what was seen: a majority had it while this member still wrote, or a snapshot took the place of entries between the copies of
/// two files. One that never has it is left as it is, for whoever judges it.
async fn copy_with(group: &Group, incarnation: Incarnation, to: &Path, seen: &TreeHead) {
    let looks = tempfile::tempdir().unwrap();
    for attempt in 0..100 {
        let _ = std::fs::remove_dir_all(to);
        copy(&group.folder(incarnation), to);
        let found = read(&looks, &attempt.to_string(), &source(to, incarnation)).await;
        if found.is_ok_and(|found| found.tree == *seen) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn source(folder: &Path, incarnation: Incarnation) -> Source {
    Source { disk: Arc::new(OsDisk), folder: folder.to_path_buf(), owner: Owner { cluster_id: CLUSTER, incarnation }, backup: None }
}

fn scratch(dir: &tempfile::TempDir, name: &str, incarnation: Incarnation) -> Options {
    Options::new(dir.path().join("scratch").join(name), CLUSTER, incarnation, Arc::new(|| 0))
}

async fn read(dir: &tempfile::TempDir, name: &str, source: &Source) -> Result<Found, Unfit> {
    Found::read(&scratch(dir, name, source.owner.incarnation), source, &judge).await
}

fn claim(found: &Found) -> DiskClaim {
    DiskClaim {
        session: Nonce([1; 32]),
        slot: Slot(1),
        incarnation: found.incarnation,
        membership: found.membership.clone(),
        membership_at: found.membership_at,
        previous: found.previous.clone(),
        last: found.last,
        committed: found.committed,
        tree: found.tree,
        key_epoch: found.key_epoch,
        alive: false,
        by: SigPublic([2; 32]),
        mac: [0; 32],
        signature: Signature([0; 64]),
    }
}

/// Everything one run of a group leaves behind: a copy of each disk at each age, and how far the log was seen then.
struct Archive {
    dir: tempfile::TempDir,
    lives: Vec<Incarnation>,
    seen: Vec<TreeHead>,
}

impl Archive {
    fn folder(&self, life: usize, age: usize) -> PathBuf {
        self.dir.path().join(format!("age-{age}")).join(self.lives[life].to_string())
    }

    async fn make(snapshots: bool, writes: u64) -> Self {
        let group = kept(1, snapshots).await;
        let dir = tempfile::tempdir().unwrap();
        let lives: Vec<Incarnation> = group.all().into_keys().collect();
        let mut archive = Archive { dir, lives, seen: Vec::new() };
        for age in 0..AGES {
            let seen = write(&group, 1 + age as u64 * writes, writes).await;
            archive.seen.push(seen);
            // A majority has it: who lags gets it before its disk is looked at.
            for replica in group.all().values() {
                replica.wait_applied(seen.size - 1).await.unwrap();
            }
            for (life, incarnation) in archive.lives.iter().enumerate() {
                copy_with(&group, *incarnation, &archive.folder(life, age), &seen).await;
            }
        }
        group.stop().await;
        archive
    }
}

/// Every age of every disk, a missing one among them, against every age of what a custodian has seen.
async fn matrix(snapshots: bool, writes: u64) {
    let archive = Archive::make(snapshots, writes).await;
    let mut found: Vec<Vec<Found>> = Vec::new();
    for (life, incarnation) in archive.lives.iter().enumerate() {
        let mut ages = Vec::new();
        for age in 0..AGES {
            let source = source(&archive.folder(life, age), *incarnation);
            let read = read(&archive.dir, &format!("{life}-{age}"), &source).await;
            ages.push(read.unwrap_or_else(|why| panic!("life {life} at age {age}: {why}")));
        }
        found.push(ages);
    }
    for (age, seen) in archive.seen.iter().enumerate() {
        assert!(found.iter().all(|ages| ages[age].tree == *seen), "a disk of age {age} gives the tree of that moment");
    }
    let ages = || (0..AGES).map(Some).chain([None]);
    let mut judged = 0;
    for (first, second, third) in ages().flat_map(|a| ages().flat_map(move |b| ages().map(move |c| (a, b, c)))) {
        let disks: Vec<&Found> =
            [first, second, third].iter().enumerate().filter_map(|(life, age)| age.map(|age| &found[life][age])).collect();
        let claims: Vec<DiskClaim> = disks.iter().map(|found| claim(found)).collect();
        let chosen = match choose(&claims) {
            Err(why) => {
                assert_eq!((why, disks.len()), (NotChosen::NoClaims, 0));
                continue;
            }
            Ok(chosen) => chosen,
        };
        let newest = [first, second, third].into_iter().flatten().max().unwrap();
        assert_eq!(chosen.claim.tree, archive.seen[newest], "the newest disk is chosen: {first:?} {second:?} {third:?}");
        assert_eq!((chosen.majority, usize::from(chosen.missing)), (disks.len() >= 2, 3 - disks.len()));
        let taken = disks.iter().find(|found| found.incarnation == chosen.claim.incarnation).unwrap();
        for (age, seen) in archive.seen.iter().enumerate() {
            let by = SeenBy::Custodian(CustodianId([7; 20]));
            let known = [Known { by, epoch: EPOCH, tree: *seen }];
            let log = anchors::Recovered { epoch: taken.epoch, size: taken.tree.size };
            let told = compare(log, |size| taken.root_at(size), &known).unwrap();
            let lost = Disagreement::Lost { by, known: seen.size, found: archive.seen[newest].size };
            let wanted = if age > newest { vec![lost] } else { Vec::new() };
            assert_eq!(told, wanted, "disks {first:?} {second:?} {third:?}, seen at {age}");
            judged += 1;
        }
    }
    println!("{judged} pairs of disk ages and anchor ages, {} entries at the end", archive.seen[AGES - 1].size);
    assert_eq!(judged, ((AGES + 1).pow(3) - 1) * AGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_age_of_disks_against_every_age_of_anchors() {
    matrix(false, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_logs_that_begin_behind_a_snapshot() {
    matrix(true, 45).await;
}

/// What a host does to a disk.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_member_wrote_is_refused_by_name() {
    let group = kept(1, false).await;
    write(&group, 1, 20).await;
    let lives: Vec<Incarnation> = group.all().into_keys().collect();
    let folders: Vec<PathBuf> = lives.iter().map(|life| group.folder(*life)).collect();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    copy(&folders[0], &at("whole"));
    assert!(read(&dir, "whole", &source(&at("whole"), lives[0])).await.is_ok());
    // Another life's disk under this one's name.
    assert!(matches!(read(&dir, "renamed", &source(&folders[1], lives[0])).await, Err(Unfit::NotAuthentic { .. })));
    // The same disk as one of another cluster.
    let elsewhere = Source { owner: Owner { cluster_id: ClusterId([8; 32]), incarnation: lives[0] }, ..source(&at("whole"), lives[0]) };
    assert!(matches!(read(&dir, "elsewhere", &elsewhere).await, Err(Unfit::NotAuthentic { .. })));
    // A byte in the middle, with the checksum left as it was, and with segments of another life mixed in.
    let log = "log-0000000000000001";
    let whole = std::fs::read(at("whole").join(log)).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    copy(&folders[0], &at("flipped"));
    let mut bytes = whole.clone();
    bytes[end / 2] ^= 1;
    std::fs::write(at("flipped").join(log), &bytes).unwrap();
    assert!(matches!(read(&dir, "flipped", &source(&at("flipped"), lives[0])).await, Err(Unfit::Damaged { segment: 1, .. })));
    // An empty folder, and one that holds no log.
    std::fs::create_dir_all(at("empty")).unwrap();
    assert!(matches!(read(&dir, "empty", &source(&at("empty"), lives[0])).await, Err(Unfit::Empty)));
    group.stop().await;
    // A world of the host's own: another key, and none.
    for (key, sealed) in [(2, true), (1, false)] {
        let tune = move |options: &mut Options| options.sealer = sealed.then(|| sealer(key));
        let forged = Group::start_with(1, tune).await;
        forged.write(open_space(SPACE)).await;
        let life = *forged.all().keys().next().unwrap();
        let read = read(&dir, &format!("forged-{key}-{sealed}"), &source(&forged.folder(life), life)).await;
        match sealed {
            true => assert!(matches!(read, Err(Unfit::NotAuthentic { key_epoch: KeyEpoch(2) })), "{read:?}"),
            false => assert!(matches!(read, Err(Unfit::Unsealed)), "{read:?}"),
        }
        forged.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_cut_off_is_an_earlier_one_and_a_snapshot_that_was_changed_is_none() {
    let group = kept(1, true).await;
    let seen = write(&group, 1, 120).await;
    let lives: Vec<Incarnation> = group.all().into_keys().collect();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    copy_with(&group, lives[0], &at("cut"), &seen).await;
    copy_with(&group, lives[0], &at("changed"), &seen).await;
    group.stop().await;
    let log = std::fs::read_dir(at("cut")).unwrap().map(|entry| entry.unwrap().path());
    let log = log.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("log-")).max().unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end.saturating_sub(900)..].fill(0);
    std::fs::write(&log, &bytes).unwrap();
    let cut = read(&dir, "cut", &source(&at("cut"), lives[0])).await.unwrap();
    assert!(cut.tree.size < seen.size, "authentic, and older: others have to say so");
    let snapshot = std::fs::read_dir(at("changed")).unwrap().map(|entry| entry.unwrap().path());
    let snapshot =
        snapshot.filter(|path| path.extension().is_none() && path.file_name().unwrap().to_string_lossy().starts_with("snapshot-"));
    for path in snapshot {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(matches!(read(&dir, "changed", &source(&at("changed"), lives[0])).await, Err(Unfit::NoSnapshot { .. })));
}

/// Keys are rotated, and the old one is gone from every memory and every recovery file.
#[tokio::test]
async fn a_snapshot_is_sealed_under_the_key_that_is_alive_and_not_under_the_one_it_was_made_under() {
    let dir = tempfile::tempdir().unwrap();
    let key = Arc::new(AtomicU8::new(2));
    let now = Arc::clone(&key);
    let group = kept_by(Arc::new(move |words| sealer(now.load(Ordering::Relaxed))(words)), true).await;
    write(&group, 1, 85).await;
    key.store(1, Ordering::Relaxed);
    write(&group, 86, 3).await;
    for (id, replica) in group.all() {
        let (before, after) = (dir.path().join(format!("{id}-before")), dir.path().join(format!("{id}-after")));
        let folder = group.folder(id);
        copy(&folder, &before);
        let refused = read(&dir, &format!("{id}-1"), &source(&before, id)).await;
        assert!(matches!(refused, Err(Unfit::NoSnapshot { .. })), "the log begins behind a snapshot under the old key: {refused:?}");
        replica.seal_snapshot_under(KeyEpoch(1)).await.unwrap();
        copy(&folder, &after);
        let found = read(&dir, &format!("{id}-2"), &source(&after, id)).await.unwrap();
        assert_eq!((found.last.index, found.key_epoch), (replica.applied(), KeyEpoch(1)));
    }
}

fn begun(previous: TreePoint, chosen: Incarnation, founding: Founding) -> EpochBegun {
    let epoch = founding.incarnation.epoch();
    let account = RecoveryAccount {
        cluster_id: CLUSTER,
        epoch,
        offer: Digest([1; 32]),
        manifest: Digest([2; 32]),
        custodians: List::default(),
        unsealed: None,
        claims: Digest([3; 32]),
        chosen,
        loss: None,
        again: Text::default(),
        audit: Digest([4; 32]),
    };
    let start = EpochStart { cluster_id: CLUSTER, epoch, previous, account: Digest(account.digest()), witnesses: List::default() };
    EpochBegun { start, account, founding }
}

/// Begins an epoch on a copy of a disk.
async fn take_up(from: &Source, chosen: TreePoint, me: Incarnation, folder: &Path) -> Replica {
    let mut options = Options::new(folder, CLUSTER, me, Arc::new(|| 2_000_000));
    options.sealer = Some(sealer(1));
    let cert = cert(1, 900 + u64::from(me.epoch().0));
    let replica = Replica::take_up(options, Arc::new(Nobody), from.clone(), Arc::new(judge), (chosen, cert.clone())).await.unwrap();
    let applied = replica.begin(begun(chosen, from.owner.incarnation, Founding { incarnation: me, cert })).await.unwrap();
    assert_eq!(applied.outcomes, [Outcome::Admitted(me)]);
    replica
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lineage_goes_on_where_the_chosen_log_ends() {
    for snapshots in [false, true] {
        let group = kept(1, snapshots).await;
        let seen = write(&group, 1, 60).await;
        let lives: Vec<Incarnation> = group.all().into_keys().collect();
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        copy_with(&group, lives[1], &disk, &seen).await;
        let (from, chosen) = (source(&disk, lives[1]), TreePoint { size: seen.size, root: seen.root });
        let me = Incarnation::new(Epoch(2), seen.size);
        let replica = take_up(&from, chosen, me, &dir.path().join("first")).await;
        let view = replica.linear_view().await.unwrap();
        assert_eq!((view.epoch(), view.tree_at(seen.size).unwrap()), (Some(Epoch(2)), Some(chosen)), "the tree goes on");
        assert!(view.term() > seen_term(&group).await, "and so do terms");
        assert_eq!(view.epochs_after(EPOCH).len(), 1);
        assert_eq!(view.epochs_after(EPOCH)[0].previous, chosen);
        let standing = |id: Incarnation| view.member(id).unwrap().standing;
        assert!(lives.iter().all(|life| standing(*life) == ringwall_consensus::MemberStanding::Retired), "who was before is out");
        let row = view.get(&SPACE, &key(60 % 7)).unwrap().unwrap();
        assert_eq!(&*row.record.value, &60_u64.to_be_bytes(), "the last acknowledged write is there");
        // The same write again is the same write: bookkeeping of clients goes on as well.
        let again = replica.write(vec![put(1, 60, 60 % 7, &60_u64.to_be_bytes(), Expect::Any)]).await.unwrap();
        assert_eq!(replica.linear_view().await.unwrap().get(&SPACE, &key(60 % 7)).unwrap().unwrap().version, row.version, "{again:?}");
        let next = replica.write(vec![put(1, 61, 3, b"next", Expect::Any)]).await.unwrap();
        assert!(matches!(next.outcomes[..], [Outcome::Applied(_)]));
        let tree = replica.view().unwrap().tree();
        drop(view);
        replica.shutdown().await;

        // All is lost again: the lineage's own disk is evidence like any other, of one voter.
        let own = source(&dir.path().join("first"), me);
        let found = read(&dir, &format!("own-{snapshots}"), &own).await.unwrap();
        assert_eq!((found.epoch, found.tree), (Epoch(2), tree));
        let old = read(&dir, &format!("old-{snapshots}"), &from).await.unwrap();
        let claims = [claim(&old), claim(&found)];
        let second = choose(&claims).unwrap();
        assert_eq!((second.claim.incarnation, second.majority), (me, true), "a disk of the epoch before counts for nothing");
        let third = Incarnation::new(Epoch(3), tree.size);
        let again = take_up(&own, second.tree(), third, &dir.path().join("second")).await;
        let view = again.linear_view().await.unwrap();
        assert_eq!((view.epoch(), view.epochs_after(EPOCH).len()), (Some(Epoch(3)), 2));
        drop(view);
        again.shutdown().await;
        group.stop().await;
    }
}

async fn seen_term(group: &Group) -> u64 {
    group.leader().await.metrics().term
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_changed_after_it_was_chosen_is_not_taken_up_and_no_epoch_begins_twice() {
    use ringwall_consensus::recovery::TakeUpError;
    use ringwall_wire::command::{CommandBody, Denial};
    let group = kept(1, false).await;
    let first = write(&group, 1, 5).await;
    let life = *group.all().keys().next().unwrap();
    let seen = write(&group, 6, 5).await;
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    copy_with(&group, life, &disk, &seen).await;
    let from = source(&disk, life);
    let me = Incarnation::new(Epoch(2), 50);
    let options = |folder: &str| Options::new(dir.path().join(folder), CLUSTER, me, Arc::new(|| 0));
    let chosen = TreePoint { size: first.size, root: first.root };
    let cert = cert(1, 950);
    let other = Replica::take_up(options("changed"), Arc::new(Nobody), from.clone(), Arc::new(judge), (chosen, cert.clone())).await;
    assert!(matches!(other, Err(TakeUpError::Changed { .. })), "{:?}", other.err());
    let now = settle(&group).await;
    let chosen = TreePoint { size: now.size, root: now.root };
    let replica = take_up(&from, chosen, me, &dir.path().join("taken")).await;
    let founding = Founding { incarnation: me, cert };
    let refused = |begun: EpochBegun| {
        let replica = replica.clone();
        async move { replica.propose(CommandBody::Begin(Box::new(begun))).await.unwrap().outcomes }
    };
    let denied = [Outcome::Denied(Denial::NotNextEpoch)];
    assert_eq!(refused(begun(chosen, life, founding.clone())).await, denied, "the epoch began already");
    let next = Founding { incarnation: Incarnation::new(Epoch(3), 60), ..founding };
    let good = begun(chosen, life, next);
    let mut unnamed = good.clone();
    unnamed.account.chosen = me;
    assert_eq!(refused(unnamed).await, denied, "the account is not the one the start names");
    let mut ahead = good.clone();
    ahead.start.previous.size = 1_000_000;
    assert_eq!(refused(ahead).await, denied, "it names a log longer than there is");
    let mut elsewhere = good.clone();
    elsewhere.start.cluster_id = ClusterId([8; 32]);
    assert_eq!(refused(elsewhere).await, denied);
    replica.shutdown().await;
    group.stop().await;
}
