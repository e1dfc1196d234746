//! Disks that fail, fill up, write short and lose power: nothing acknowledged is lost, and nothing is said after a fault.
//!
//! Decides: a replica whose disk failed is fenced; a crash at any write, with any part of it on disk, loses no acknowledged entry.
//! Trusts: the model of a disk in this file. Out of scope: groups (`group.rs`).

#![allow(clippy::unwrap_used, clippy::panic)]

mod rig;

use rig::*;
use ringwall_consensus::disk::{Disk, DiskFile, OsDisk};
use ringwall_consensus::log::recover::{Ending, recover};
use ringwall_consensus::{ProposeError, ReadError};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::command::{Command, CommandBody, Outcome};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::EntryPayload;
use ringwall_wire::request::Expect;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Eio,
    Full,
    Short,
    /// The power goes during the write: so many of its bytes reach the disk, of 4 quarters.
    Crash(usize),
    /// The write is taken, the sync after it fails.
    SyncFails,
}

#[derive(Default)]
struct Image {
    durable: Vec<u8>,
    current: Vec<u8>,
}

#[derive(Default)]
struct Platter {
    files: BTreeMap<PathBuf, Image>,
    writes: usize,
    plan: Option<(usize, Fault)>,
    full: bool,
    dead: bool,
    sync_fails: bool,
}

/// A disk whose log segments are in memory and forget what was not synced; everything else is real.
#[derive(Clone, Default)]
struct TestDisk(Arc<Mutex<Platter>>);

struct TestFile(Arc<Mutex<Platter>>, Mutex<PathBuf>);

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Disk for TestDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        OsDisk.make_folder(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        OsDisk.list(folder)
    }

    fn create_empty(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsDisk.create_empty(path)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsDisk.open_to_read(path)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut platter = self.0.lock().unwrap();
        if platter.dead {
            return Err(eio());
        }
        if platter.full {
            return Err(io::Error::from_raw_os_error(28));
        }
        let zeroes = vec![0; bytes as usize];
        platter.files.insert(path.to_path_buf(), Image { durable: zeroes.clone(), current: zeroes });
        Ok(Arc::new(TestFile(Arc::clone(&self.0), Mutex::new(path.to_path_buf()))))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        match self.0.lock().unwrap().files.contains_key(path) {
            true => Ok(Arc::new(TestFile(Arc::clone(&self.0), Mutex::new(path.to_path_buf())))),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        let Some(image) = platter.files.remove(from) else { return OsDisk.rename(from, to) };
        platter.files.insert(to.to_path_buf(), image);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match self.0.lock().unwrap().files.remove(path) {
            Some(_) => Ok(()),
            None => OsDisk.remove(path),
        }
    }
}

impl DiskFile for TestFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut platter = self.0.lock().unwrap();
        if platter.dead {
            return Err(eio());
        }
        platter.writes += 1;
        let fault = platter.plan.filter(|(write, _)| *write == platter.writes).map(|(_, fault)| fault);
        let at = at as usize;
        let image = platter.files.get_mut(&*self.1.lock().unwrap()).unwrap();
        let keep = match fault {
            Some(Fault::Eio) => return Err(eio()),
            Some(Fault::Full) => return Err(io::Error::from_raw_os_error(28)),
            Some(Fault::Short) => bytes.len() / 2,
            Some(Fault::Crash(quarters)) => bytes.len() * quarters / 4,
            Some(Fault::SyncFails) | None => bytes.len(),
        };
        image.current[at..at + keep].copy_from_slice(&bytes[..keep]);
        if let Some(Fault::Crash(_)) = fault {
            image.durable[at..at + keep].copy_from_slice(&bytes[..keep]);
            platter.dead = true;
            return Err(eio());
        }
        platter.sync_fails |= fault == Some(Fault::SyncFails);
        Ok(keep)
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        if platter.dead || platter.sync_fails {
            return Err(eio());
        }
        let image = platter.files.get_mut(&*self.1.lock().unwrap()).unwrap();
        image.durable.clone_from(&image.current);
        Ok(())
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let platter = self.0.lock().unwrap();
        let image = platter.files.get(&*self.1.lock().unwrap()).ok_or(io::ErrorKind::NotFound)?;
        let from = image.current.get(at as usize..).unwrap_or_default();
        let len = from.len().min(bytes.len());
        bytes[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn set_size(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn size(&self) -> io::Result<u64> {
        let platter = self.0.lock().unwrap();
        Ok(platter.files.get(&*self.1.lock().unwrap()).map_or(0, |image| image.durable.len() as u64))
    }
}

impl TestDisk {
    fn plan(&self, after: usize, fault: Fault) {
        let mut platter = self.0.lock().unwrap();
        platter.plan = Some((platter.writes + after, fault));
    }

    /// Changes one byte in a run of `len` bytes `value`, and mends the checksum of the frame around it.
    fn forge(&self, len: usize, value: u8) -> bool {
        let mut platter = self.0.lock().unwrap();
        for image in platter.files.values_mut() {
            let Some(at) = image.current.windows(len).position(|window| window.iter().all(|byte| *byte == value)) else { continue };
            let Some(frame) = (0..at).rev().find(|start| image.current[*start..].starts_with(b"RWL1")) else { continue };
            image.current[at + 10] ^= 0xff;
            let size = u32::from_be_bytes(image.current[frame + 24..frame + 28].try_into().unwrap()) as usize;
            let crc =
                crc32c::crc32c_append(crc32c::crc32c(&image.current[frame..frame + 28]), &image.current[frame + 32..frame + 32 + size]);
            image.current[frame + 28..frame + 32].copy_from_slice(&crc.to_be_bytes());
            return true;
        }
        false
    }

    /// What a power cut leaves, as files in `dir`.
    fn dump(&self, dir: &Path) {
        for (path, image) in &self.0.lock().unwrap().files {
            std::fs::write(dir.join(path.file_name().unwrap()), &image.durable).unwrap();
        }
    }
}

fn one(seq: u64) -> CommandBody {
    CommandBody::Writes(List::new(vec![put(1, seq, seq, &[seq as u8; 300], Expect::Any)]).unwrap())
}

async fn alone(disk: &TestDisk) -> (Group, ringwall_consensus::Replica) {
    let used = disk.clone();
    let group = Group::empty(move |options| options.disk = Arc::new(used.clone()));
    let replica = group.open(Incarnation::new(EPOCH, 1)).await;
    replica.found(cert(1, 1)).await.unwrap();
    group.write(open_space(SPACE)).await;
    (group, replica)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_fences_for_good() {
    for fault in [Fault::Eio, Fault::Full, Fault::Short, Fault::SyncFails, Fault::Crash(0)] {
        let disk = TestDisk::default();
        let (_group, replica) = alone(&disk).await;
        replica.propose(one(1)).await.unwrap();
        disk.plan(1, fault);
        let failed = replica.propose(one(2)).await;
        assert!(matches!(failed, Err(ProposeError::Fenced(_))), "{fault:?}: {failed:?}");
        {
            let mut platter = disk.0.lock().unwrap();
            (platter.dead, platter.sync_fails) = (false, false);
        }
        assert!(matches!(replica.propose(one(3)).await, Err(ProposeError::Fenced(_))), "{fault:?}: a disk that recovers is not trusted");
        assert!(matches!(replica.read_index().await, Err(ReadError::Fenced(_))));
        assert!(replica.view().is_err());
        assert!(replica.metrics().fenced.is_some());
        replica.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_a_segment_fences() {
    let disk = TestDisk::default();
    let (_group, replica) = alone(&disk).await;
    disk.0.lock().unwrap().full = true;
    let mut failed = None;
    for seq in 1..=40 {
        let body = CommandBody::Writes(List::new(vec![put(1, seq, seq, &vec![1; 900_000], Expect::Any)]).unwrap());
        if let Err(why) = replica.propose(body).await {
            failed = Some(why);
            break;
        }
    }
    assert!(matches!(failed, Some(ProposeError::Fenced(_))), "{failed:?}");
    replica.shutdown().await;
}

/// Runs a small workload until the disk dies; gives what was acknowledged.
async fn workload(disk: &TestDisk) -> (Group, Vec<(u64, CommandBody)>) {
    let used = disk.clone();
    let group = Group::empty(move |options| options.disk = Arc::new(used.clone()));
    let replica = group.open(Incarnation::new(EPOCH, 1)).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_write_loses_nothing_acknowledged() {
    let disk = TestDisk::default();
    let (_, acknowledged) = workload(&disk).await;
    assert_eq!(acknowledged.len(), 8);
    let writes = disk.0.lock().unwrap().writes;
    assert!(writes >= 10, "one write an entry and more: {writes}");
    for at in 2..=writes {
        for quarters in 0..=4 {
            let disk = TestDisk::default();
            disk.plan(at, Fault::Crash(quarters));
            let (_group, acknowledged) = workload(&disk).await;
            let dir = tempfile::tempdir().unwrap();
            disk.dump(dir.path());
            let found = recover(&OsDisk, dir.path()).unwrap();
            assert!(!matches!(found.ending, Ending::Damaged { .. }), "crash at {at}, {quarters}/4: {:?}", found.ending);
            for (index, body) in &acknowledged {
                let entry = found.entries.iter().find(|entry| entry.at.index == *index);
                let Some(EntryPayload::Command(bytes)) = entry.map(|entry| &entry.payload) else {
                    panic!("crash at {at}, {quarters}/4: entry {index} was acknowledged and is gone");
                };
                assert_eq!(&Command::decode(bytes).unwrap().body, body);
            }
            assert!(acknowledged.is_empty() || found.vote.is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_read_back_after_segments_were_recycled() {
    let disk = TestDisk::default();
    let used = disk.clone();
    let group = Group::empty(move |options| {
        options.disk = Arc::new(used.clone());
        options.tail_bytes = 1 << 20;
        options.keep_entries = 5;
        options.snapshot_entries = 10_000;
    });
    let replica = group.open(Incarnation::new(EPOCH, 1)).await;
    replica.found(cert(1, 1)).await.unwrap();
    group.write(open_space(SPACE)).await;
    let mut last = 0;
    for round in 0..3 {
        for seq in round * 20 + 1..=round * 20 + 20 {
            let body = CommandBody::Writes(List::new(vec![put(1, seq, seq, &vec![7; 900_000], Expect::Any)]).unwrap());
            last = replica.propose(body).await.unwrap().index;
        }
        replica.snapshot().await.unwrap();
    }
    replica.propose(one(100)).await.unwrap();
    replica.shutdown().await;
    let dir = tempfile::tempdir().unwrap();
    disk.dump(dir.path());
    let found = recover(&OsDisk, dir.path()).unwrap();
    assert_eq!(found.ending, Ending::Clean);
    let purged = found.purged.unwrap().index;
    assert!(purged > 40 && purged < last, "{purged} of {last}");
    assert_eq!(found.entries.first().unwrap().at.index, purged + 1);
    assert_eq!(found.last().unwrap().index, last + 1);
    let segments =
        std::fs::read_dir(dir.path()).unwrap().filter(|item| item.as_ref().unwrap().file_name().to_string_lossy().starts_with("log-"));
    assert!(segments.count() <= 4, "old segments are reused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_before_the_end_is_reported() {
    let disk = TestDisk::default();
    let (_group, _) = workload(&disk).await;
    let dir = tempfile::tempdir().unwrap();
    disk.dump(dir.path());
    let whole = recover(&OsDisk, dir.path()).unwrap();
    assert_eq!(whole.ending, Ending::Clean);
    let path = dir.path().join("log-0000000000000001");
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (40..end).step_by(61) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&path, &damaged).unwrap();
        let found = recover(&OsDisk, dir.path()).unwrap();
        let shorter = found.entries.len() < whole.entries.len() || found.committed != whole.committed || found.vote != whole.vote;
        assert!(shorter || found.ending != Ending::Clean, "a flipped bit at {at} went unnoticed");
        assert!(whole.entries.starts_with(&found.entries), "and it may shorten the log, never change it");
    }
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
    let disk = TestDisk::default();
    let used = disk.clone();
    let group = Group::start_with(3, move |options| {
        options.tail_bytes = 16 * 1024;
        // The founder has to lead when the entry is read back: elections begin late, so that a busy machine rarely moves the lead.
        options.election_ms = (4_000, 5_000);
        if options.me == Incarnation::new(EPOCH, 1) {
            options.disk = Arc::new(used.clone());
        }
    })
    .await;
    group.write(open_space(SPACE)).await;
    let first = Incarnation::new(EPOCH, 1);
    let follower = group.all().into_keys().find(|other| *other != first).unwrap();
    group.isolate(follower);
    for seq in 1..=40 {
        group.write(put(1, seq, seq, &vec![seq as u8; 5_000], Expect::Any)).await;
    }
    let forged = disk.forge(5_000, 7);
    assert!(forged, "the value of the seventh write was found and changed, checksum and all");
    group.heal();
    let leader = group.get(first);
    let moved = || leader.metrics().leader.is_some_and(|other| other != first);
    wait_for("the leader notices, or no longer leads", || leader.metrics().fenced.is_some() || moved()).await;
    if leader.metrics().fenced.is_none() {
        group.stop().await;
        return false;
    }
    let reason = leader.fenced().await;
    assert!(reason.contains("another one on disk"), "{reason}");
    // The two others go on without it, and with the true value.
    group.kill(first).await;
    let view = linear(&group.leader().await).await;
    assert_eq!(view.get(&SPACE, &key(7)).unwrap().unwrap().record.value.to_vec(), vec![7; 5_000]);
    group.stop().await;
    true
}
