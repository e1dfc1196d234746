//! The state machine against a model, against itself, and against nonsense.
//!
//! Decides: equal logs give equal digests whatever was flushed, installed or read meanwhile; a plain map agrees with every outcome;
//! apply is total. Trusts: nothing. Out of scope: Raft.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::charter::Charter;
use crate::ground::Ground;
use crate::machine::clients::{Admission, At, ClientLimits, Clients};
use crate::machine::policy::tests::{by_its_rules, founding};
use crate::machine::raft::Machine;
use crate::machine::replicated::ReplicatedState;
use crate::machine::snapshot::{self, Capture};
use crate::machine::store::Store;
use crate::machine::view::View;
use crate::types::{self, Entry, EntryPayload, Payload};
use proptest::prelude::*;
use ringwall_wire::bounded::{Blob, List, SharedBlob};
use ringwall_wire::codec::Message;
use ringwall_wire::command::*;
use ringwall_wire::ids::*;
use ringwall_wire::limits::{DEDUP_OUTCOMES, HISTORY_EVENTS};
use ringwall_wire::peer::LogPosition;
use ringwall_wire::request::{Conflict, Expect, KeyMode, Once};
use ringwall_wire::sample::{Sample, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const CLUSTER: ClusterId = ClusterId([9; 32]);
pub(super) const SPACE: SpaceTag = SpaceTag([1; 16]);

pub(super) struct Bench {
    pub(super) state: ReplicatedState,
    pub(super) index: u64,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new(overlay_bytes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(Ground::real(dir.path()), overlay_bytes).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Somebody governs; as it comes, no judge takes their word.
        let charter = Charter { policy: Some(Arc::new(founding())), ..Charter::plain(CLUSTER) };
        let mut state = ReplicatedState::new(store, charter);
        let first = types::log_id(&LogPosition { term: 1, index: 0 });
        state.apply(&Entry { log_id: first, payload: EntryPayload::Blank }).unwrap();
        Bench { state, index: 0, runtime, _dir: dir }
    }

    pub(super) fn bytes(&mut self, bytes: Vec<u8>) -> Vec<Outcome> {
        self.index += 1;
        let log_id = types::log_id(&LogPosition { term: 1, index: self.index });
        let entry = Entry { log_id, payload: EntryPayload::Normal(Payload(SharedBlob::new(bytes).unwrap())) };
        let effect = self.state.apply(&entry).unwrap();
        self.state.store.publish();
        self.runtime.block_on(self.state.store.wait_for_room()).unwrap();
        effect.outcomes
    }

    /// Entries that change nothing.
    pub(super) fn pass(&mut self, entries: u64) {
        for _ in 0..entries {
            self.index += 1;
            let log_id = types::log_id(&LogPosition { term: 1, index: self.index });
            self.state.apply(&Entry { log_id, payload: EntryPayload::Blank }).unwrap();
        }
    }

    pub(super) fn apply(&mut self, at_ms: u64, body: CommandBody) -> Vec<Outcome> {
        self.bytes(Command { at_ms, body }.encode())
    }

    pub(super) fn write(&mut self, at_ms: u64, write: SealedWrite) -> Outcome {
        self.apply(at_ms, CommandBody::Writes(List::new(vec![write]).unwrap().into()))[0]
    }

    pub(super) fn digest(&self) -> Digest {
        Capture::of(&self.state).digest().unwrap()
    }

    pub(super) fn view(&self) -> View {
        View { published: self.state.published(), rows: self.state.store.snapshot(), history: Arc::clone(&self.state.history) }
    }

    /// A machine that got this one's state as a snapshot.
    pub(super) fn installed(&self, overlay_bytes: usize) -> Bench {
        let mut file = Vec::new();
        Capture::of(&self.state).write(&mut file).unwrap();
        let mut other = Bench::new(overlay_bytes);
        let (base, restored) =
            other.state.store.prepare(1, |base| snapshot::read(file.as_slice(), base, self.state.charter.policy.clone())).unwrap();
        other.state.store.adopt(base).unwrap();
        other.state.applied = types::log_ids(&restored.meta.applied);
        let members = types::membership_in(&restored.meta.membership).unwrap();
        other.state.membership = types::StoredMembership::new(types::log_ids(&restored.meta.membership_at), members);
        other.state.revision = restored.meta.revision;
        other.state.time_ms = restored.meta.time_ms;
        other.state.roster = Arc::new(restored.roster);
        other.state.generations = Arc::new(restored.generations);
        other.state.custody = Arc::new(restored.custody);
        other.state.governed = Arc::new(restored.governed);
        other.state.clients = restored.clients;
        other.state.tree = restored.tree;
        *other.state.history.write().unwrap() = restored.history;
        other.index = self.index;
        other
    }
}

pub(super) fn key(name: u8) -> KeyTag {
    KeyTag([name; 16])
}

pub(super) fn open() -> SealedWrite {
    let dek = WrappedKey { key_epoch: KeyEpoch(1), iv: [0; 24], commit: [1; 32], ciphertext: [2; 48] };
    SealedWrite::OpenSpace(OpenSpace { space: SPACE, mode: KeyMode::Cluster, commit: None, dek, owner: OwnerMark([0; 16]) })
}

fn record(value: &[u8]) -> SealedRecord {
    let value = Blob::new(value.to_vec()).unwrap();
    SealedRecord { client: ClientTag([0; 16]), seq: 0, iv: [4; 24], commit: [5; 32], name: Blob::new(b"name".to_vec()).unwrap(), value }
}

pub(super) fn put_change(value: &[u8], ttl_s: u32) -> SealedChange {
    SealedChange::Put(SealedPut { record: record(value), ttl_s })
}

pub(super) fn change(client: u8, once: Once, mutations: Vec<(u8, Expect, SealedChange)>) -> SealedWrite {
    let mutations = mutations.into_iter().map(|(name, expect, change)| SealedMutation { key: key(name), expect, change }).collect();
    SealedWrite::Change(SpaceChange { space: SPACE, client: ClientTag([client; 16]), once, mutations: List::new(mutations).unwrap() })
}

pub(super) fn once(seq: u64) -> Once {
    Once { seq, acked: seq, since: Revision(u64::MAX) }
}

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<(u8, u8, u16, u8, bool)>),
    Expire,
    Pass(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mutation = (0_u8..12, 0_u8..5, 0_u16..900, 0_u8..4, any::<bool>());
    let step = prop_oneof![
        8 => prop::collection::vec(mutation, 1..5).prop_map(Step::Batch),
        1 => Just(Step::Expire),
        2 => (0_u16..3_000).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..60)
}

/// A plain map that does the same.
#[derive(Default)]
struct Model {
    rows: BTreeMap<u8, (u64, Vec<u8>, u64)>,
    revision: u64,
    now_ms: u64,
}

impl Model {
    fn seen(&self, name: u8) -> Option<&(u64, Vec<u8>, u64)> {
        self.rows.get(&name).filter(|(_, _, expires)| *expires == 0 || *expires > self.now_ms)
    }

    fn batch(&mut self, mutations: &[(u8, Expect, SealedChange)]) -> Outcome {
        for (at, (name, expect, _)) in mutations.iter().enumerate() {
            let version = self.seen(*name).map(|row| row.0);
            let holds = match expect {
                Expect::Any => true,
                Expect::Absent => version.is_none(),
                Expect::Present => version.is_some(),
                Expect::Version(wanted) => version == Some(wanted.0),
            };
            if !holds {
                return Outcome::Conflict(Conflict { mutation: at as u16, current: Revision(version.unwrap_or(0)) });
            }
        }
        let mut changed = false;
        for (name, _, change) in mutations {
            match change {
                SealedChange::Put(put) => {
                    let expires = if put.ttl_s == 0 { 0 } else { self.now_ms + u64::from(put.ttl_s) * 1_000 };
                    self.rows.insert(*name, (self.revision + 1, put.record.value.to_vec(), expires));
                    changed = true;
                }
                SealedChange::Delete => {
                    if self.seen(*name).is_some() {
                        self.rows.remove(name);
                        changed = true;
                    }
                }
                SealedChange::Keep => {}
            }
        }
        self.revision += u64::from(changed);
        Outcome::Applied(Revision(self.revision))
    }

    fn expire(&mut self) {
        let before = self.rows.len();
        let now = self.now_ms;
        self.rows.retain(|_, (_, _, expires)| *expires == 0 || *expires > now);
        self.revision += u64::from(self.rows.len() != before);
    }
}

fn mutations(model: &Model, batch: &[(u8, u8, u16, u8, bool)]) -> Vec<(u8, Expect, SealedChange)> {
    let one = |(name, what, size, expect, near): &(u8, u8, u16, u8, bool)| {
        let expect = match expect {
            0 => Expect::Absent,
            1 => Expect::Present,
            2 => Expect::Version(Revision(model.rows.get(name).map_or(3, |row| row.0 + u64::from(!near)))),
            _ => Expect::Any,
        };
        let change = match what {
            0 => SealedChange::Delete,
            1 => SealedChange::Keep,
            2 => put_change(&vec![*name; usize::from(*size)], 1 + u32::from(*near)),
            _ => put_change(&vec![*name; usize::from(*size)], 0),
        };
        (*name, expect, change)
    };
    batch.iter().map(one).collect()
}

fn compare(bench: &Bench, model: &Model) {
    let view = bench.view();
    let page = view.scan(&SPACE, None, 1_000).unwrap();
    let found: Vec<_> =
        page.records.iter().map(|(tag, row)| (tag.0[0], row.version.0, row.record.value.to_vec(), row.expires_at_ms)).collect();
    let wanted: Vec<_> = model.rows.keys().filter_map(|name| model.seen(*name).map(|row| (*name, row.0, row.1.clone(), row.2))).collect();
    assert_eq!(found, wanted);
    for name in 0..12 {
        let got = view.get(&SPACE, &key(name)).unwrap().map(|row| row.version.0);
        assert_eq!(got, model.seen(name).map(|row| row.0));
    }
    let mut paged = Vec::new();
    let mut after = None;
    for _ in 0..20 {
        let page = view.scan(&SPACE, after.as_ref(), 2).unwrap();
        after = page.records.last().map(|(tag, _)| *tag);
        paged.extend(page.records.iter().map(|(tag, _)| tag.0[0]));
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, found.iter().map(|row| row.0).collect::<Vec<_>>(), "pages of two are the whole");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_map_agrees_and_so_do_replicas(steps in steps()) {
        let mut model = Model::default();
        let (mut large, mut small) = (Bench::new(64 << 20), Bench::new(4_096));
        let mut third: Option<Bench> = None;
        for bench in [&mut large, &mut small] {
            bench.write(0, open());
        }
        model.revision = 1;
        for (at, step) in steps.iter().enumerate() {
            let held = small.view();
            let before = held.scan(&SPACE, None, 1_000).unwrap();
            let body = match step {
                Step::Batch(batch) => {
                    let mutations = mutations(&model, batch);
                    let write = change(1, once(at as u64 + 1), mutations.clone());
                    let wanted = model.batch(&mutations);
                    prop_assert_eq!(large.write(model.now_ms, write.clone()), wanted);
                    CommandBody::Writes(List::new(vec![write]).unwrap().into())
                }
                Step::Expire => {
                    model.expire();
                    large.apply(model.now_ms, CommandBody::Expire);
                    CommandBody::Expire
                }
                Step::Pass(ms) => {
                    model.now_ms += u64::from(*ms);
                    large.apply(model.now_ms, CommandBody::Mark);
                    CommandBody::Mark
                }
            };
            small.apply(model.now_ms, body.clone());
            if let Some(third) = &mut third {
                third.apply(model.now_ms, body);
            }
            prop_assert_eq!(held.scan(&SPACE, None, 1_000).unwrap(), before, "a view does not move");
            if at == steps.len() / 2 {
                third = Some(large.installed(2_048));
            }
        }
        compare(&large, &model);
        compare(&small, &model);
        prop_assert_eq!(large.digest(), small.digest());
        if let Some(third) = third {
            compare(&third, &model);
            prop_assert_eq!(large.digest(), third.digest());
        }
    }

    #[test]
    fn apply_is_total(seed in any::<u64>(), cut in any::<u16>()) {
        let mut source = Source::new(seed);
        let mut bench = Bench::new(4_096);
        bench.write(0, open());
        for _ in 0..12 {
            let mut bytes = Command::sample(&mut source).encode();
            bench.bytes(by_its_rules(bytes.clone()));
            let at = usize::from(cut) % bytes.len();
            bytes[at] ^= source.next() as u8;
            bench.bytes(by_its_rules(bytes.clone()));
            bytes.truncate(at);
            bench.bytes(by_its_rules(bytes));
        }
        let again = bench.installed(4_096);
        prop_assert_eq!(again.digest(), bench.digest(), "and whatever came of it survives a snapshot");
    }
}

#[test]
fn hostile_bytes_change_nothing_but_the_index() {
    let mut bench = Bench::new(1 << 20);
    bench.write(0, open());
    let (revision, time) = (bench.state.revision, bench.state.time_ms);
    assert!(bench.bytes(b"no command".to_vec()).is_empty());
    assert!(bench.bytes(Vec::new()).is_empty());
    assert_eq!((bench.state.revision, bench.state.time_ms), (revision, time));
    assert_eq!(bench.state.applied.unwrap().index, bench.index);
}

#[test]
fn a_repeat_gives_the_recorded_outcome_and_changes_nothing() {
    let mut bench = Bench::new(1 << 20);
    bench.write(0, open());
    let write = |seq, acked| change(1, Once { seq, acked, since: Revision(1) }, vec![(1, Expect::Absent, put_change(b"x", 0))]);
    assert_eq!(bench.write(0, write(1, 1)), Outcome::Applied(Revision(2)));
    assert_eq!(bench.write(0, write(1, 1)), Outcome::Applied(Revision(2)), "not a conflict with itself");
    let conflict = Outcome::Conflict(Conflict { mutation: 0, current: Revision(2) });
    assert_eq!(bench.write(0, write(2, 1)), conflict);
    bench.write(0, change(2, once(1), vec![(1, Expect::Any, SealedChange::Delete)]));
    assert_eq!(bench.write(0, write(2, 1)), conflict, "a conflict is remembered too");
    assert_eq!(bench.write(0, write(3, 3)), Outcome::Applied(Revision(4)));
    assert_eq!(bench.write(0, write(2, 1)), Outcome::OutOfWindow, "answered long ago");
    assert_eq!(bench.write(0, write(3 + DEDUP_OUTCOMES as u64, 3)), Outcome::OutOfWindow);
    assert_eq!(bench.write(0, write(0, 0)), Outcome::OutOfWindow);
}

#[test]
fn without_a_namespace_nothing_is_written() {
    let mut bench = Bench::new(1 << 20);
    assert_eq!(bench.write(0, change(1, once(1), vec![(1, Expect::Any, put_change(b"x", 0))])), Outcome::NoSpace);
    assert_eq!(bench.write(0, open()), Outcome::Applied(Revision(1)));
    assert_eq!(bench.write(0, open()), Outcome::Applied(Revision(1)), "the first one wins, later ones find it");
    let SealedWrite::OpenSpace(other) = open() else { panic!() };
    assert_eq!(bench.write(0, SealedWrite::OpenSpace(OpenSpace { mode: KeyMode::User, ..other })), Outcome::OtherMode);
    let SealedWrite::OpenSpace(other) = open() else { panic!() };
    let keyed = |space: u8, commit: Option<u8>| {
        let (space, commit) = (SpaceTag([space; 16]), commit.map(|byte| Digest([byte; 32])));
        SealedWrite::OpenSpace(OpenSpace { space, mode: KeyMode::Dual, commit, ..other.clone() })
    };
    assert_eq!(bench.write(0, keyed(77, Some(1))), Outcome::Applied(Revision(2)));
    assert_eq!(bench.write(0, keyed(77, Some(1))), Outcome::Applied(Revision(2)));
    assert_eq!(bench.write(0, keyed(77, Some(2))), Outcome::OtherUserKey, "another key of the user opened the namespace");
    assert_eq!(bench.write(0, keyed(77, None)), Outcome::OtherUserKey);
    assert_eq!(bench.write(0, change(1, once(1), vec![(1, Expect::Any, put_change(b"x", 0))])), Outcome::Applied(Revision(3)));
}

#[test]
fn group_time_never_goes_back_and_ends_records() {
    let mut bench = Bench::new(1 << 20);
    bench.write(10_000, open());
    bench.write(5_000, change(1, once(1), vec![(1, Expect::Any, put_change(b"x", 2))]));
    assert_eq!(bench.view().get(&SPACE, &key(1)).unwrap().unwrap().expires_at_ms, 12_000, "counted from the group's time");
    bench.apply(11_999, CommandBody::Mark);
    assert!(bench.view().get(&SPACE, &key(1)).unwrap().is_some());
    assert!(!bench.view().expired_waiting(0).unwrap());
    bench.apply(12_000, CommandBody::Mark);
    assert!(bench.view().get(&SPACE, &key(1)).unwrap().is_none(), "gone at once");
    assert!(bench.view().expired_waiting(0).unwrap());
    let (told, _) = bench.view().changes(&SPACE, Revision(2), 10).unwrap();
    assert!(told.is_empty());
    bench.apply(0, CommandBody::Expire);
    let (told, through) = bench.view().changes(&SPACE, Revision(2), 10).unwrap();
    assert_eq!((told.len(), told[0].removed, told[0].revision, through), (1, true, Revision(3), Revision(3)));
    assert!(!bench.view().expired_waiting(0).unwrap());
    bench.write(0, change(1, once(2), vec![(1, Expect::Any, put_change(b"y", 1))]));
    bench.write(0, change(1, once(3), vec![(1, Expect::Any, put_change(b"z", 0))]));
    bench.apply(99_000, CommandBody::Expire);
    assert!(bench.view().get(&SPACE, &key(1)).unwrap().is_some(), "a later put without an end takes the old end away");
}

#[test]
fn history_continues_a_watch_or_says_that_it_cannot() {
    let mut bench = Bench::new(64 << 20);
    bench.write(0, open());
    for seq in 1..=10 {
        bench.write(0, change(1, once(seq), vec![(1, Expect::Any, put_change(b"x", 0)), (2, Expect::Any, put_change(b"y", 0))]));
    }
    let view = bench.view();
    let (told, through) = view.changes(&SPACE, Revision(9), 100).unwrap();
    assert_eq!((told.len(), through), (4, Revision(11)));
    let (told, through) = view.changes(&SPACE, Revision(1), 3).unwrap();
    assert_eq!((told.len(), through), (4, Revision(3)), "a revision is never cut in two");
    let (told, through) = view.changes(&SpaceTag([9; 16]), Revision(1), 3).unwrap();
    assert_eq!((told.len(), through), (0, Revision(11)), "another namespace hears nothing of it");
    for seq in 11..=(11 + HISTORY_EVENTS as u64 / 100) {
        let many = (0..100).map(|name| (name, Expect::Any, put_change(b"x", 0))).collect();
        bench.write(0, change(1, once(seq), many));
    }
    assert!(bench.view().changes(&SPACE, Revision(1), 3).is_none(), "too far back");
    assert_eq!(
        view.changes(&SPACE, Revision(11), 3),
        Some((Vec::new(), Revision(11))).filter(|_| bench.view().changes(&SPACE, Revision(11), 3).is_some())
    );
    assert_eq!(bench.installed(1 << 20).view().changes(&SPACE, Revision(1), 3), None, "a snapshot knows it too");
}

#[test]
fn clients_are_forgotten_oldest_first_and_their_retries_refused() {
    let limits = ClientLimits { clients: 4, clients_per_space: 3, outcomes: 100, outcomes_per_space: 100 };
    let mut clients = Clients::new(limits);
    let (mine, other) = (SpaceTag([1; 16]), SpaceTag([2; 16]));
    let tag = |name: u8| ClientTag([name; 16]);
    let write = |seq, since| Once { seq, acked: 1, since: Revision(since) };
    let at = |index| At { index, revision: Revision(index), floor: Revision(0) };
    let mut floors = Vec::new();
    for index in 1..=4 {
        assert_eq!(clients.admit(mine, tag(index as u8), &write(1, 0), Revision(0)), Admission::Fresh);
        floors.extend(clients.record((mine, tag(index as u8)), &write(1, 0), Outcome::Applied(Revision(index)), at(index)));
    }
    assert_eq!(floors.iter().map(|evicted| evicted.revision).collect::<Vec<_>>(), [Revision(1)], "the fourth pushes the first out");
    assert_eq!(clients.admit(mine, tag(1), &write(1, 0), Revision(1)), Admission::Answer(Outcome::ClientForgotten), "its retry may be old");
    assert_eq!(clients.admit(mine, tag(1), &write(2, 1), Revision(1)), Admission::Fresh, "what it sends knowing the floor is new");
    // Others push out by age over all namespaces, the one's own first.
    assert!(clients.record((other, tag(9)), &write(1, 0), Outcome::NoSpace, at(5)).is_empty());
    let evicted = clients.record((other, tag(8)), &write(1, 0), Outcome::NoSpace, at(6));
    assert_eq!(evicted.iter().map(|evicted| (evicted.space, evicted.revision)).collect::<Vec<_>>(), [(mine, Revision(2))]);
    // A client that is kept still remembers from which floor on it can be trusted.
    let again = At { index: 7, revision: Revision(7), floor: Revision(5) };
    let _ = clients.record((mine, tag(1)), &write(9, 6), Outcome::Applied(Revision(7)), again);
    assert_eq!(clients.admit(mine, tag(1), &write(5, 0), Revision(0)), Admission::Answer(Outcome::ClientForgotten));
}

#[test]
fn clients_that_acknowledge_nothing_are_bounded_too() {
    let limits = ClientLimits { clients: 100, clients_per_space: 100, outcomes: 1_000, outcomes_per_space: 20 };
    let mut clients = Clients::new(limits);
    let (mine, other) = (SpaceTag([1; 16]), SpaceTag([2; 16]));
    let write = |seq| Once { seq, acked: 1, since: Revision(0) };
    let at = |index| At { index, revision: Revision(index), floor: Revision(0) };
    assert!(clients.record((other, ClientTag([1; 16])), &write(1), Outcome::NoSpace, at(1)).is_empty());
    for seq in 1..=15 {
        assert!(clients.record((mine, ClientTag([1; 16])), &write(seq), Outcome::NoSpace, at(2)).is_empty());
    }
    let mut evicted = Vec::new();
    for seq in 1..=15 {
        evicted.extend(clients.record((mine, ClientTag([2; 16])), &write(seq), Outcome::NoSpace, at(3)));
    }
    assert_eq!(evicted.len(), 1, "its own namespace pays, not the other");
    assert_eq!(evicted[0].space, mine);
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let mut bench = Bench::new(1 << 20);
    bench.write(0, open());
    for seq in 1..20 {
        bench.write(0, change(1, once(seq), vec![(seq as u8, Expect::Any, put_change(b"x", 5))]));
    }
    let mut file = Vec::new();
    Capture::of(&bench.state).write(&mut file).unwrap();
    let read = |bytes: &[u8]| Bench::new(4_096).state.store.prepare(1, |base| snapshot::read(bytes, base, None).map(|_| ())).is_ok();
    assert!(read(&file));
    for cut in [0, 3, 40, file.len() / 2, file.len() - 1] {
        assert!(!read(&file[..cut]), "cut at {cut}");
    }
    assert!(!read(&[file.as_slice(), b"x"].concat()), "nothing may follow the end");
}

#[test]
fn a_machine_shows_readers_what_was_applied_before_clients_hear_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (machine, readers) = Machine::create(Ground::real(dir.path()), 1 << 20, Charter::plain(CLUSTER)).unwrap();
    assert_eq!(readers.view().applied(), 0);
    assert_eq!(machine.capture().applied, None);
}
