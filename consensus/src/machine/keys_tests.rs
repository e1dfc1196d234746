//! Generations of the master key and erasure: what `apply` keeps, whatever a leader appends.
//!
//! Decides: generations rise by one and end from the oldest; counts follow every namespace; a rewrap hits only what it saw; what was erased is gone,
//! for snapshots too. Trusts: nothing it tests. Out of scope: whether a wrapped key opens (`keys`), rotations with a dealing (`custody`).

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::machine::admission_tests::{cert, set_voters};
use crate::machine::generations::{Generations, GenerationsRecord, KeyRow};
use crate::machine::rows;
use crate::machine::tests::Bench;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::command::*;
use ringwall_wire::ids::*;
use ringwall_wire::request::{Expect, KeyMode, Once};
use ringwall_wire::rotation::*;

/// A founded group of one voter.
pub(super) fn founded() -> (Bench, Incarnation) {
    let mut bench = Bench::new(1 << 20);
    let first = Incarnation::new(Epoch(1), 1);
    let founding = Founding { incarnation: first, cert: cert(1, 1, Vendor::Amd) };
    assert_eq!(bench.apply(1_000, CommandBody::Found(Box::new(founding)))[0], Outcome::Admitted(first));
    set_voters(&mut bench, &[(first, Vendor::Amd)]);
    (bench, first)
}

pub(super) fn keys(bench: &mut Bench, command: KeyCommand) -> Outcome {
    bench.apply(2_000, CommandBody::Keys(Box::new(command)))[0]
}

pub(super) fn refused(fault: RotationFault) -> Outcome {
    Outcome::Denied(Denial::Keys(fault))
}

pub(super) fn rotation(by: Incarnation, key_epoch: u32) -> KeyRotate {
    let generation = KeyGeneration { key_epoch: KeyEpoch(key_epoch), commit: Digest([key_epoch as u8; 32]) };
    KeyRotate { generation, by, custody: None }
}

fn rotate(bench: &mut Bench, by: Incarnation, key_epoch: u32) -> Outcome {
    keys(bench, KeyCommand::Rotate(Box::new(rotation(by, key_epoch))))
}

fn dek(key_epoch: u32) -> WrappedKey {
    WrappedKey { key_epoch: KeyEpoch(key_epoch), iv: [key_epoch as u8; 24], commit: [1; 32], ciphertext: [2; 48] }
}

fn open(bench: &mut Bench, space: u8, key_epoch: u32) -> Outcome {
    let open = OpenSpace {
        space: SpaceTag([space; 16]),
        mode: KeyMode::Cluster,
        commit: None,
        dek: dek(key_epoch),
        owner: OwnerMark([space; 16]),
    };
    bench.write(2_000, SealedWrite::OpenSpace(open))
}

fn rewrap(bench: &mut Bench, to: u32, spaces: &[(u8, u32)]) -> Outcome {
    let spaces = spaces.iter().map(|(space, from)| RewrappedSpace { space: SpaceTag([*space; 16]), from: KeyEpoch(*from), dek: dek(to) });
    keys(bench, KeyCommand::Rewrap(Rewrap { to: KeyEpoch(to), spaces: List::new(spaces.collect()).unwrap() }))
}

fn retire(bench: &mut Bench, key_epoch: u32) -> Outcome {
    keys(bench, KeyCommand::Retire(KeyEpoch(key_epoch)))
}

fn counts(bench: &Bench) -> Vec<(u32, u64)> {
    bench.view().key_rows().iter().map(|row| (row.key_epoch.0, row.spaces)).collect()
}

fn put(bench: &mut Bench, space: u8, key: u16, ttl_s: u32) -> Outcome {
    let mut tag = [0; 16];
    tag[..2].copy_from_slice(&key.to_be_bytes());
    let sealed = SealedRecord {
        client: ClientTag([0; 16]),
        seq: 0,
        iv: [4; 24],
        commit: [5; 32],
        name: Blob::new(b"name".to_vec()).unwrap(),
        value: Blob::new(b"value".to_vec()).unwrap(),
    };
    let change = SealedChange::Put(SealedPut { record: sealed, ttl_s });
    let mutations = List::new(vec![SealedMutation { key: KeyTag(tag), expect: Expect::Any, change }]).unwrap();
    let once = Once { seq: u64::from(key) + 1, acked: u64::from(key) + 1, since: Revision(u64::MAX) };
    let change = SpaceChange { space: SpaceTag([space; 16]), client: ClientTag([1; 16]), once, mutations };
    bench.write(2_000, SealedWrite::Change(change))
}

/// Records that are stored, seen or not.
fn rows_left(bench: &Bench, space: SpaceTag) -> usize {
    let start = rows::record_key(&space, &KeyTag([0; 16]));
    bench.state.store.range(&start, &rows::records_end(&space), 10_000).unwrap().0.len()
}

#[test]
fn generations_rise_by_one_and_end_from_the_oldest_once_nothing_is_wrapped_under_them() {
    let (mut bench, me) = founded();
    assert_eq!(open(&mut bench, 1, 1), Outcome::Applied(Revision(1)));
    assert_eq!(open(&mut bench, 2, 2), refused(RotationFault::NoGeneration), "a key the log has not named");
    for wrong in [0, 1, 3] {
        assert_eq!(rotate(&mut bench, me, wrong), refused(RotationFault::NotNext));
    }
    assert_eq!(rotate(&mut bench, Incarnation::new(Epoch(1), 9), 2), refused(RotationFault::NotVoter));
    assert_eq!(rotate(&mut bench, me, 2), Outcome::Done);
    assert_eq!(open(&mut bench, 2, 2), Outcome::Applied(Revision(2)));
    assert_eq!(open(&mut bench, 3, 1), Outcome::Applied(Revision(3)), "sealed before its front door heard of the rotation");
    assert_eq!(counts(&bench), [(1, 2), (2, 1)]);
    assert_eq!(bench.view().rotated(), (2_000, None));

    assert_eq!(retire(&mut bench, 1), refused(RotationFault::InUse));
    assert_eq!(retire(&mut bench, 2), refused(RotationFault::InUse), "the newest stays");
    assert_eq!(rewrap(&mut bench, 2, &[(1, 1), (2, 1), (3, 1), (9, 1)]), Outcome::Done);
    assert_eq!(counts(&bench), [(1, 0), (2, 3)]);
    assert_eq!(retire(&mut bench, 7), refused(RotationFault::NoGeneration));
    assert_eq!(retire(&mut bench, 1), Outcome::Done);
    assert_eq!(retire(&mut bench, 1), refused(RotationFault::NoGeneration));
    assert_eq!(open(&mut bench, 4, 1), refused(RotationFault::NoGeneration), "nobody has this key any more");
    assert_eq!(rotate(&mut bench, me, 2), refused(RotationFault::NotNext), "numbers do not come back");
}

#[test]
fn a_rewrap_hits_only_what_its_proposer_saw() {
    let (mut bench, me) = founded();
    open(&mut bench, 1, 1);
    assert_eq!(rewrap(&mut bench, 1, &[(1, 1)]), Outcome::Done);
    assert_eq!(counts(&bench), [(1, 1)], "from the newest to the newest is no move");
    rotate(&mut bench, me, 2);
    let before = bench.view().space(&SpaceTag([1; 16])).unwrap().unwrap();
    assert_eq!(rewrap(&mut bench, 1, &[(1, 1)]), refused(RotationFault::NotNewest));
    assert_eq!(rewrap(&mut bench, 2, &[(1, 2)]), Outcome::Done, "it was wrapped otherwise");
    let other = RewrappedSpace { space: SpaceTag([1; 16]), from: KeyEpoch(1), dek: dek(1) };
    let lying = Rewrap { to: KeyEpoch(2), spaces: List::new(vec![other]).unwrap() };
    assert_eq!(keys(&mut bench, KeyCommand::Rewrap(lying)), Outcome::Done, "it says that it is wrapped under the newest");
    assert_eq!(bench.view().space(&SpaceTag([1; 16])).unwrap().unwrap(), before);
    assert_eq!(rewrap(&mut bench, 2, &[(1, 1)]), Outcome::Done);
    let after = bench.view().space(&SpaceTag([1; 16])).unwrap().unwrap();
    assert_eq!((after.dek, after.revision, after.mode), (dek(2), before.revision, before.mode));
}

#[test]
fn as_many_master_keys_are_alive_as_a_grant_holds() {
    let (mut bench, me) = founded();
    let mut next = 2;
    while rotate(&mut bench, me, next) == Outcome::Done {
        next += 1;
    }
    assert_eq!(next, 16, "15 master keys and the tag key");
    assert_eq!(rotate(&mut bench, me, next), refused(RotationFault::TooMany));
    assert_eq!(retire(&mut bench, 1), Outcome::Done);
    assert_eq!(rotate(&mut bench, me, next), Outcome::Done);
}

#[test]
fn an_erased_namespace_is_gone_at_once_and_its_name_for_good() {
    let (mut bench, me) = founded();
    open(&mut bench, 1, 1);
    open(&mut bench, 2, 1);
    for key in 0..600 {
        assert!(matches!(put(&mut bench, 1, key, u32::from(key % 2)), Outcome::Applied(_)));
    }
    put(&mut bench, 2, 1, 0);
    let chain = bench.view().chain(&SpaceTag([1; 16])).unwrap();
    let revision = bench.view().revision();
    let spaces = || List::new(vec![SpaceTag([1; 16]), SpaceTag([8; 16])]).unwrap();
    assert_eq!(bench.write(2_000, SealedWrite::Erase(spaces())), Outcome::Done);
    assert_eq!(bench.view().space(&SpaceTag([1; 16])).unwrap(), None, "no data key is left");
    assert_eq!(counts(&bench), [(1, 1)]);
    assert_eq!(put(&mut bench, 1, 700, 0), Outcome::NoSpace);
    assert_eq!(open(&mut bench, 1, 1), refused(RotationFault::Erased));
    assert_eq!(open(&mut bench, 8, 1), refused(RotationFault::Erased), "erased before it was made");
    assert_eq!((bench.view().erasures(), bench.view().rotated().1), (2, Some(2_000)));
    assert_eq!(bench.write(2_000, SealedWrite::Erase(spaces())), Outcome::Done);
    assert_eq!(bench.view().erasures(), 2, "once each");

    assert_eq!(rows_left(&bench, SpaceTag([1; 16])), 600);
    assert!(bench.view().get(&SpaceTag([1; 16]), &KeyTag([0; 16])).unwrap().is_none(), "nobody sees what is still to be removed");
    assert!(bench.view().scan(&SpaceTag([1; 16]), None, 10).unwrap().records.is_empty());
    // Records go in bounded steps, those with a time among them, and nobody is told.
    let mut steps = 0;
    while bench.view().expired_waiting(0).unwrap() {
        let left = rows_left(&bench, SpaceTag([1; 16]));
        bench.apply(9_000_000, CommandBody::Expire);
        let now = rows_left(&bench, SpaceTag([1; 16]));
        assert!(left - now <= 256, "{left} to {now} in one entry");
        steps += 1;
        assert!(steps < 20, "the sweep ends");
    }
    assert_eq!(rows_left(&bench, SpaceTag([1; 16])), 0);
    assert_eq!(bench.view().scan(&SpaceTag([2; 16]), None, 10).unwrap().records.len(), 1, "others keep theirs");
    assert_eq!(bench.view().chain(&SpaceTag([1; 16])).unwrap(), chain, "what receipts named stays");
    assert_eq!(bench.view().revision(), revision, "nobody is told");
    rotate(&mut bench, me, 2);
    assert_eq!(bench.view().rotated(), (9_000_000, None), "the next erasure waits for the next rotation");
}

#[test]
fn a_snapshot_holds_generations_and_erasures() {
    let (mut bench, me) = founded();
    open(&mut bench, 1, 1);
    open(&mut bench, 2, 1);
    rotate(&mut bench, me, 2);
    put(&mut bench, 2, 1, 0);
    bench.write(2_000, SealedWrite::Erase(List::new(vec![SpaceTag([2; 16])]).unwrap()));
    let mut other = bench.installed(1 << 20);
    assert_eq!(other.digest(), bench.digest());
    for bench in [&mut bench, &mut other] {
        assert_eq!(counts(bench), [(1, 1), (2, 0)]);
        assert_eq!(open(bench, 2, 2), refused(RotationFault::Erased));
        rewrap(bench, 2, &[(1, 1)]);
        assert_eq!(retire(bench, 1), Outcome::Done);
        bench.apply(3_000, CommandBody::Expire);
    }
    assert_eq!(other.digest(), bench.digest());
}

#[test]
fn nothing_of_keys_goes_back_unseen() {
    let (mut bench, me) = founded();
    let before = bench.state.published();
    rotate(&mut bench, me, 2);
    let after = bench.state.published();
    assert_eq!(before.goes_back(&after), None);
    let older = crate::machine::view::Published { generations: before.generations.clone(), ..after.clone() };
    assert_eq!(after.goes_back(&older), Some("the key epoch"));
    retire(&mut bench, 1);
    let later = bench.state.published();
    let older = crate::machine::view::Published { generations: after.generations.clone(), ..later.clone() };
    assert_eq!(later.goes_back(&older), Some("the oldest key epoch"));
}

#[test]
fn a_generation_ends_in_its_turn_and_a_rewrap_moves_to_the_newest_alone() {
    let (mut bench, me) = founded();
    assert_eq!(retire(&mut bench, 1), refused(RotationFault::InUse), "the only one stays");
    assert_eq!(rotate(&mut bench, me, 2), Outcome::Done);
    assert_eq!(rotate(&mut bench, me, 3), Outcome::Done);
    assert_eq!(retire(&mut bench, 2), refused(RotationFault::InUse), "not before an older one");
    assert_eq!(open(&mut bench, 1, 1), Outcome::Applied(Revision(1)));
    // A leader that says that it moves keys to the newest, and wraps one under another.
    let moved = RewrappedSpace { space: SpaceTag([1; 16]), from: KeyEpoch(1), dek: dek(2) };
    let rewrap = Rewrap { to: KeyEpoch(3), spaces: List::new(vec![moved]).unwrap() };
    assert_eq!(keys(&mut bench, KeyCommand::Rewrap(rewrap)), Outcome::Done);
    assert_eq!(counts(&bench), [(1, 1), (2, 0), (3, 0)]);
}

#[test]
fn generations_of_a_snapshot_are_without_gaps() {
    let row = |key_epoch: u32| KeyRow { key_epoch: KeyEpoch(key_epoch), commit: None, spaces: 0 };
    let restored = |live: &[u32]| {
        let live = List::new(live.iter().copied().map(row).collect()).unwrap();
        Generations::restore(GenerationsRecord { live, rotated_ms: 0, erased_ms: None, erasures: 0 }).is_some()
    };
    assert!(restored(&[4, 5, 6]));
    for wrong in [&[][..], &[4, 6], &[5, 4], &[4, 4]] {
        assert!(!restored(wrong), "{wrong:?}");
    }
}
