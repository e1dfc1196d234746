//! Disks that fail, fill up, write short and lose power: nothing acknowledged is lost, and nothing is said after a fault.
//!
//! Decides: a replica whose disk failed is fenced; a crash at any write, with any part of it on disk, loses no acknowledged entry.
//! Trusts: the disk in memory. Out of scope: groups (`group.rs`), many images (`disks.rs`).

use crate::rig::*;
use ringwall_consensus::disk::memory::{Access, Boundary, Crash, Fault, MemoryDisk, Plan};
use ringwall_consensus::log::recover::{Ending, recover};
use ringwall_consensus::{ProposeError, ReadError};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::command::{Command, CommandBody, Outcome};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::{AppendCall, Ballot, EntryPayload, ForwardCall, LogEntry, LogPosition, PeerAnswer, PeerCall, VoteCall};
use ringwall_wire::request::Expect;
use ringwall_wire::session::RefusalCode;
use std::sync::Arc;

/// Changes one byte in a run of `len` bytes `value` of a log segment, and mends the checksum of the frame around it.
fn forge(disk: &MemoryDisk, len: usize, value: u8) -> bool {
    for path in disk.paths().iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("log-")) {
        let mut bytes = disk.bytes(path).unwrap();
        let Some(at) = bytes.windows(len).position(|window| window.iter().all(|byte| *byte == value)) else { continue };
        let Some(frame) = (0..at).rev().find(|start| bytes[*start..].starts_with(b"RWL1")) else { continue };
        bytes[at + 10] ^= 0xff;
        let size = u32::from_be_bytes(bytes[frame + 24..frame + 28].try_into().unwrap()) as usize;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&(frame as u64).to_be_bytes()), &bytes[frame..frame + 28]);
        let crc = crc32c::crc32c_append(crc, &bytes[frame + 32..frame + 32 + size]);
        bytes[frame + 28..frame + 32].copy_from_slice(&crc.to_be_bytes());
        return disk.edit(path, frame as u64, &bytes[frame..frame + 32 + size]);
    }
    false
}

fn first() -> Incarnation {
    Incarnation::new(EPOCH, 1)
}

fn empty(disk: &MemoryDisk) -> Group {
    let used = disk.clone();
    Group::empty(move |options| options.disk = Arc::new(used.clone()))
}

fn one(seq: u64) -> CommandBody {
    CommandBody::Writes(List::new(vec![put(1, seq, seq, &[seq as u8; 300], Expect::Any)]).unwrap().into())
}

async fn alone(disk: &MemoryDisk) -> (Group, ringwall_consensus::Replica) {
    let group = empty(disk);
    let replica = group.open(first()).await;
    replica.found(cert(1, 1)).await.unwrap();
    group.write(open_space(SPACE)).await;
    (group, replica)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_fences_for_good() {
    let cases = [
        (Access::Write, Fault::Error, "replace the disk"),
        (Access::Write, Fault::Full, "make room"),
        (Access::Write, Fault::Short, "a write took"),
        (Access::Sync, Fault::Error, "replace the disk"),
        (Access::Write, Fault::Dead, "replace the disk"),
    ];
    for (access, fault, words) in cases {
        let disk = MemoryDisk::default();
        let (_group, replica) = alone(&disk).await;
        replica.propose(one(1)).await.unwrap();
        disk.plan(Plan::next(access, "log-", fault));
        let failed = replica.propose(one(2)).await;
        assert!(matches!(failed, Err(ProposeError::Fenced(_))), "{access:?} {fault:?}: {failed:?}");
        disk.heal();
        assert!(matches!(replica.propose(one(3)).await, Err(ProposeError::Fenced(_))), "{fault:?}: a disk that recovers is not trusted");
        assert!(matches!(replica.read_index().await, Err(ReadError::Fenced(_))));
        assert!(replica.view().is_err());
        let reason = replica.metrics().fenced.unwrap();
        assert!(reason.contains(words), "{access:?} {fault:?}: {reason}");
        let mut waiting = replica.clone();
        let to_the_end = async move { while waiting.metrics_changed().await {} };
        let told = tokio::time::timeout(std::time::Duration::from_secs(30), to_the_end).await;
        assert!(told.is_ok(), "who waits for a change spins instead of being told that there will be none");
        replica.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_while_the_disk_is_slow() {
    let disk = MemoryDisk::default();
    let (_group, replica) = alone(&disk).await;
    let (let_go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    disk.set_hook(Some(Arc::new(move |boundary: &Boundary| {
        let log = boundary.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
        if boundary.access == Access::Sync && log && !boundary.after {
            let _ = gate.lock().unwrap().recv(); // Ends when the test lets go of its end.
        }
    })));
    let proposing = replica.clone();
    let mut proposed = tokio::spawn(async move { proposing.propose(one(1)).await });
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut proposed).await;
    assert!(early.is_err(), "acknowledged before the disk had it: {early:?}");
    drop(let_go);
    proposed.await.unwrap().unwrap();
    disk.set_hook(None);
    replica.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_a_segment_fences() {
    let disk = MemoryDisk::default();
    let (_group, replica) = alone(&disk).await;
    disk.plan(Plan { access: Access::Create, file: "spare".into(), skip: 0, times: u64::MAX, fault: Fault::Full });
    let mut failed = None;
    for seq in 1..=40 {
        let body = CommandBody::Writes(List::new(vec![put(1, seq, seq, &vec![1; 900_000], Expect::Any)]).unwrap().into());
        if let Err(why) = replica.propose(body).await {
            failed = Some(why);
            break;
        }
    }
    assert!(matches!(&failed, Some(ProposeError::Fenced(why)) if why.contains("make room")), "{failed:?}");
    replica.shutdown().await;
}

/// Runs a small workload until the disk dies; gives what was acknowledged.
async fn workload(disk: &MemoryDisk) -> (Group, Vec<(u64, CommandBody)>) {
    let group = empty(disk);
    let replica = group.open(first()).await;
    let mut acknowledged = Vec::new();
    if replica.found(cert(1, 1)).await.is_ok() {
        for seq in 1..=8 {
            match replica.propose(one(seq)).await {
                Ok(applied) => acknowledged.push((applied.index, one(seq))),
                Err(_) => break,
            }
        }
    }
    replica.shutdown().await;
    (group, acknowledged)
}

fn is_log(boundary: &Boundary) -> bool {
    boundary.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_write_loses_nothing_acknowledged() {
    let disk = MemoryDisk::default();
    disk.note();
    let (_, acknowledged) = workload(&disk).await;
    assert_eq!(acknowledged.len(), 8);
    let writes = disk.noted().iter().filter(|boundary| boundary.access == Access::Write && is_log(boundary)).count() as u64;
    assert!(writes >= 10, "one write an entry and more: {writes}");
    for at in 1..writes {
        for (access, crash) in [(Access::Write, Crash::Lost), (Access::Sync, Crash::Torn), (Access::Sync, Crash::Kept)] {
            let disk = MemoryDisk::default();
            disk.plan(Plan { access, file: "log-".into(), skip: at, times: 1, fault: Fault::Dead });
            let (group, acknowledged) = workload(&disk).await;
            let found = recover(&disk.crash_image(crash, at), &group.folder(first())).unwrap();
            assert!(!matches!(found.ending, Ending::Damaged { .. }), "crash at {at}, {crash:?}: {:?}", found.ending);
            for (index, body) in &acknowledged {
                let entry = found.entries.iter().find(|entry| entry.at.index == *index);
                let Some(EntryPayload::Command(bytes)) = entry.map(|entry| &entry.payload) else {
                    panic!("crash at {at}, {crash:?}: entry {index} was acknowledged and is gone");
                };
                assert_eq!(&Command::decode(bytes).unwrap().body, body);
            }
            assert!(acknowledged.is_empty() || found.vote.is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_read_back_after_segments_were_recycled() {
    let disk = MemoryDisk::default();
    let used = disk.clone();
    let group = Group::empty(move |options| {
        options.disk = Arc::new(used.clone());
        options.tail_bytes = 1 << 20;
        options.keep_entries = 5;
        options.snapshot_entries = 10_000;
    });
    let replica = group.open(first()).await;
    replica.found(cert(1, 1)).await.unwrap();
    group.write(open_space(SPACE)).await;
    let mut last = 0;
    for round in 0..3 {
        for seq in round * 20 + 1..=round * 20 + 20 {
            let body = CommandBody::Writes(List::new(vec![put(1, seq, seq, &vec![7; 900_000], Expect::Any)]).unwrap().into());
            last = replica.propose(body).await.unwrap().index;
        }
        replica.snapshot().await.unwrap();
    }
    replica.propose(one(100)).await.unwrap();
    replica.shutdown().await;
    let image = disk.crash_image(Crash::Lost, 1);
    let found = recover(&image, &group.folder(first())).unwrap();
    assert_eq!(found.ending, Ending::Clean);
    let purged = found.purged.unwrap().index;
    assert!(purged > 40 && purged < last, "{purged} of {last}");
    assert_eq!(found.entries.first().unwrap().at.index, purged + 1);
    assert_eq!(found.last().unwrap().index, last + 1);
    let segments = image.paths().into_iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("log-"));
    assert!(segments.count() <= 4, "old segments are reused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_before_the_end_is_reported() {
    let disk = MemoryDisk::default();
    let (group, _) = workload(&disk).await;
    let folder = group.folder(first());
    let whole = recover(&disk, &folder).unwrap();
    assert_eq!(whole.ending, Ending::Clean);
    let path = folder.join("log-0000000000000001");
    let end = disk.bytes(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..end).step_by(61) {
        let image = disk.copy();
        image.flip(&path, at as u64, 6);
        let found = recover(&image, &folder).unwrap();
        // A last frame whose header is no header any more looks like the end of an earlier log.
        assert!(found != whole, "a flipped bit at {at} went unnoticed");
        assert!(whole.entries.starts_with(&found.entries), "and it may shorten the log, never change it");
        let before_the_last = at + 2_000 < end;
        assert!(!before_the_last || matches!(found.ending, Ending::Damaged { .. }), "at {at} of {end}: {:?}", found.ending);
    }
}

/// A member alone, whose host kept its database of yesterday.
struct Yesterday {
    group: Group,
    replica: ringwall_consensus::Replica,
    disk: MemoryDisk,
    before: MemoryDisk,
}

impl Yesterday {
    async fn make() -> Self {
        let disk = MemoryDisk::default();
        let used = disk.clone();
        let group = Group::empty(move |options| {
            options.disk = Arc::new(used.clone());
            options.overlay_bytes = 2;
            options.cache_bytes = 0;
        });
        let replica = group.open(first()).await;
        replica.found(cert(1, 1)).await.unwrap();
        group.write(open_space(SPACE)).await;
        for seq in 1..40 {
            group.write(put(1, seq, seq, &[1; 300], Expect::Any)).await;
        }
        replica.snapshot().await.unwrap();
        let before = disk.copy();
        group.write(put(1, 40, 7, &[2; 300], Expect::Any)).await;
        for seq in 41..50 {
            group.write(put(1, seq, 100 + seq, &[3; 300], Expect::Any)).await;
        }
        replica.snapshot().await.unwrap();
        Yesterday { group, replica, disk, before }
    }

    fn read(&self) -> Result<Vec<u8>, ReadError> {
        let found = self.replica.view()?.get(&SPACE, &key(7)).map_err(|why| ReadError::Fenced(why.to_string()));
        found.map(|found| found.unwrap().record.value.to_vec())
    }

    /// The host puts it back, block for block, while the member runs; the next read is asked for. Why the member stopped.
    async fn put_back(&self) -> String {
        let base = self.group.folder(first()).join("base-0.redb");
        self.disk.edit(&base, 0, &self.before.bytes(&base).unwrap());
        match self.read() {
            Ok(found) => panic!("yesterday's database was read: {found:?}"),
            Err(_) => self.replica.fenced().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_put_back_on_disk_is_never_read() {
    let place = Yesterday::make().await;
    assert_eq!(place.read().unwrap(), vec![2; 300]);
    let reason = place.put_back().await;
    assert!(reason.contains("base-0.redb") && reason.contains("not the ones this member wrote"), "{reason}");
    assert!(matches!(place.replica.propose(one(50)).await, Err(ProposeError::Fenced(_))));
    place.replica.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_member_answers_nothing() {
    // IN8. What was at fault is its database. Raft in it is ended by and by; nothing may depend on when.
    let place = Yesterday::make().await;
    let stranger = Incarnation::new(EPOCH, 1 << 40);
    let metrics = place.replica.metrics();
    let ballot = |leader, committed| Ballot { term: metrics.term, leader, committed };
    let at = |index| Some(LogPosition { term: metrics.term, index });
    let append = |previous, indexes: &[u64]| {
        let entry = |index: &u64| LogEntry { at: LogPosition { term: metrics.term, index: *index }, payload: EntryPayload::Blank };
        let entries = List::new(indexes.iter().map(entry).collect()).unwrap();
        PeerCall::Append(AppendCall { ballot: ballot(first(), true), previous, entries, committed: None, tree: None })
    };
    let vote = PeerCall::PreVote(VoteCall { ballot: ballot(first(), false), last: None, transfer: false });
    let answers = || async {
        let calls = [
            (first(), PeerCall::ReadIndex),
            (first(), vote.clone()),
            (first(), PeerCall::Forward(ForwardCall { writes: List::new(vec![put(1, 51, 51, b"late", Expect::Any)]).unwrap().into() })),
            (first(), append(at(metrics.last_index + 1), &[metrics.last_index + 2, metrics.last_index + 4])),
            (stranger, PeerCall::ReadIndex),
        ];
        let mut answers = Vec::new();
        for (from, call) in calls {
            answers.push(match place.replica.answer(from, call).await {
                PeerAnswer::Refused(refusal) => Some(refusal.code),
                _ => None,
            });
        }
        answers
    };
    let (malformed, not_member) = (Some(RefusalCode::Malformed), Some(RefusalCode::NotMember));
    assert_eq!(
        answers().await,
        [None, None, None, malformed, not_member],
        "entries of a message follow each other, a stranger asks nothing"
    );
    assert!(place.replica.may_forward(first()));
    place.put_back().await;
    assert_eq!(answers().await, [Some(RefusalCode::Fenced); 5], "to nobody, and not even why it would not have answered");
    assert!(!place.replica.may_forward(first()));
    place.replica.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_come_back_from_disk_for_a_follower_that_lags() {
    let group = Group::start_with(3, |options| options.tail_bytes = 64 * 1024).await;
    group.write(open_space(SPACE)).await;
    let leader = group.leader().await.metrics().me;
    let follower = group.all().into_keys().find(|other| *other != leader).unwrap();
    group.isolate(follower);
    for seq in 1..=100 {
        let outcome = group.write(put(1, seq, seq, &vec![seq as u8; 20_000], Expect::Any)).await;
        assert!(matches!(outcome, Outcome::Applied(_)));
    }
    group.heal();
    group.assert_identical().await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_the_host_replaced_on_disk_fences_the_leader() {
    // On a machine that stops for seconds the lead moves, and nobody reads the entry back: then the story starts over.
    for _ in 0..4 {
        if the_founder_reads_a_replaced_entry().await {
            return;
        }
    }
    panic!("the founder never led for as long as it takes");
}

/// Whether the founder led throughout; what it must do then is asserted.
async fn the_founder_reads_a_replaced_entry() -> bool {
    // A host that knows the format can make a frame with the right position and checksum: only memory knows better.
    let disk = MemoryDisk::default();
    let used = disk.clone();
    let group = Group::start_with(3, move |options| {
        options.tail_bytes = 16 * 1024;
        // The founder has to lead when the entry is read back: elections begin late, so that a busy machine rarely moves the lead.
        options.election_ms = (4_000, 5_000);
        if options.me == first() {
            options.disk = Arc::new(used.clone());
        }
    })
    .await;
    group.write(open_space(SPACE)).await;

    let follower = group.all().into_keys().find(|other| *other != first()).unwrap();
    group.isolate(follower);
    for seq in 1..=40 {
        group.write(put(1, seq, seq, &vec![seq as u8; 5_000], Expect::Any)).await;
    }
    let forged = forge(&disk, 5_000, 7);
    assert!(forged, "the value of the seventh write was found and changed, checksum and all");
    // A try that is under way has read the true entry already; those after it have not.
    tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
    group.heal();
    let leader = group.get(first());
    let moved = || leader.metrics().leader.is_some_and(|other| other != first());
    let notices = || leader.metrics().fenced.is_some() || moved();
    for _ in 0..TRIES {
        if notices() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(notices(), "{:?}", group.all().values().map(|replica| summary(&replica.metrics())).collect::<Vec<_>>());
    if leader.metrics().fenced.is_none() {
        group.stop().await;
        return false;
    }
    let reason = leader.fenced().await;
    assert!(reason.contains("not the ones this member wrote"), "{reason}");
    // The two others go on without it, and with the true value.
    group.kill(first()).await;
    let view = linear(&group.leader().await).await;
    assert_eq!(view.get(&SPACE, &key(7)).unwrap().unwrap().record.value.to_vec(), vec![7; 5_000]);
    group.stop().await;
    true
}
