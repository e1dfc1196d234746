//! A replica's storage without Raft, for tests: the real log writer, database and snapshots over a disk in memory, one step at a time.
//!
//! Decides: what is put in, in which order, and when a group is written; what was acknowledged is known exactly.
//! Trusts: nothing. Out of scope: agreement (`tests/`); it is compiled for tests only (feature `faults`). Protocol section 5.1.

pub mod corrupt;
pub mod crash;
pub mod model;
mod tally;

pub use tally::Tally;

use crate::charter::Charter;
use crate::disk::Disk as _;
use crate::disk::authentic::Authentic;
use crate::disk::memory::MemoryDisk;
use crate::fence::Fence;
use crate::ground::Ground;
use crate::log::store::LogStore;
use crate::log::writer::Job;
use crate::machine::raft::{self, SnapshotFile};
use crate::machine::replicated::ReplicatedState;
use crate::machine::snapshot::Capture;
use crate::types::{self, Entry, Types};
use crate::workers::Stepped;
use bytes::Bytes;
use futures_util::FutureExt as _;
use openraft::storage::{IOFlushed, RaftLogStorage as _};
use openraft::type_config::TypeConfigExt as _;
use ringwall_wire::command::Outcome;
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::peer::{Ballot, LogEntry, LogPosition};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;

/// Where an exercise keeps its files.
pub const FOLDER: &str = "/replica";

type Told = Box<dyn FnMut() -> Option<bool> + Send>;

/// One replica's storage.
pub struct Exercise {
    disk: MemoryDisk,
    workers: Stepped,
    ground: Ground,
    log: LogStore,
    state: ReplicatedState,
    /// For each thing that is acknowledged by itself, in order: whether it was.
    waiting: Vec<Told>,
    answered: Vec<bool>,
    snapshot: Option<SnapshotFile>,
}

impl Exercise {
    /// Makes the files of an empty replica.
    pub fn new(disk: &MemoryDisk, segment_bytes: u64, tail_bytes: usize) -> io::Result<Self> {
        let workers = Stepped::default();
        let ground = Ground::on(Arc::new(disk.clone()), Arc::new(workers.clone()), Path::new(FOLDER));
        ground.disk.make_folder(&ground.dir)?;
        let log = LogStore::create(ground.clone(), segment_bytes, tail_bytes)?;
        let store = crate::machine::store::Store::create(ground.clone(), 8 * 1024)?;
        let state = ReplicatedState::new(store, Charter::plain(ClusterId([9; 32])));
        let (waiting, answered) = (Vec::new(), Vec::new());
        Ok(Exercise { disk: disk.clone(), workers, ground, log, state, waiting, answered, snapshot: None })
    }

    /// Queues entries; they are acknowledged as one.
    pub fn append(&mut self, entries: Vec<LogEntry>) -> io::Result<()> {
        let entries: Vec<Entry> = entries.into_iter().map(types::entry_in).collect::<Result<_, _>>().map_err(io::Error::other)?;
        let (told, heard) = Types::oneshot();
        let mut heard = Some(heard);
        self.waiting.push(Box::new(move || poll(&mut heard)));
        self.log.append(entries, IOFlushed::signal(told)).now_or_never().unwrap_or_else(|| Err(io::Error::other("append waits")))
    }

    /// Queues a vote.
    pub fn vote(&mut self, ballot: Ballot) -> io::Result<()> {
        let (told, heard) = oneshot::channel();
        let mut heard = Some(heard);
        self.waiting.push(Box::new(move || poll(&mut heard)));
        self.log.queue(Job::Vote(ballot, told))
    }

    /// Queues that everything after `last` is void.
    pub fn truncate(&mut self, last: LogPosition) -> io::Result<()> {
        let done = self.log.truncate_after(Some(types::log_id(&last))).now_or_never();
        done.unwrap_or_else(|| Err(io::Error::other("truncate waits")))
    }

    /// Queues that everything up to `to` is gone.
    pub fn purge(&mut self, to: LogPosition) -> io::Result<()> {
        self.log.purge(types::log_id(&to)).now_or_never().unwrap_or_else(|| Err(io::Error::other("purge waits")))
    }

    /// Notes what is committed.
    pub fn commit(&mut self, at: LogPosition) -> io::Result<()> {
        let done = self.log.save_committed(Some(types::log_id(&at))).now_or_never();
        done.unwrap_or_else(|| Err(io::Error::other("commit waits")))
    }

    /// Does everything that waits: one group is written.
    pub fn step(&mut self) {
        self.workers.run_all();
    }

    /// How many things were acknowledged, from the first on, without a gap.
    pub fn acknowledged(&mut self) -> usize {
        while let Some(waiting) = self.waiting.first_mut() {
            match waiting() {
                None => break,
                Some(good) => {
                    self.answered.push(good);
                    drop(self.waiting.remove(0));
                }
            }
        }
        self.answered.iter().take_while(|good| **good).count()
    }

    /// Applies entries and shows readers what came of them, as a replica does once they are committed. Gives their outcomes.
    pub fn apply(&mut self, entries: Vec<LogEntry>) -> io::Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for entry in entries {
            let entry = types::entry_in(entry).map_err(io::Error::other)?;
            outcomes.extend(self.state.apply(&entry)?.outcomes);
        }
        self.state.store.publish();
        Ok(outcomes)
    }

    /// Puts a row into the state, as applying would.
    pub fn put_row(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.state.store.put(key, Some(Bytes::from(value)));
        self.state.store.publish();
    }

    /// The digest a snapshot as of `at` would have now.
    pub fn digest(&mut self, at: LogPosition) -> io::Result<Digest> {
        self.state.applied = Some(types::log_id(&at));
        Capture::of(&self.state).digest()
    }

    /// Writes a snapshot of the state as of `at` and makes the database durable, as a replica does, and removes the one before.
    pub fn snapshot(&mut self, at: LogPosition) -> io::Result<Digest> {
        self.state.applied = Some(types::log_id(&at));
        let built = raft::build(&Capture::of(&self.state), &self.ground)?;
        let old = self.snapshot.replace(built.snapshot.clone());
        if let Some(old) = old.filter(|old| old.path != built.snapshot.path) {
            self.ground.disk.remove(&old.path)?;
        }
        self.state.store.sync_base()?;
        Ok(built.snapshot.digest)
    }

    /// Why this replica is out.
    pub fn fenced(&self) -> Option<String> {
        self.ground.fence.reason().map(str::to_owned)
    }

    /// Bytes of memory the digests take.
    pub fn tag_bytes(&self) -> u64 {
        self.ground.account.bytes()
    }

    /// Reads entries as replication does.
    pub fn read(&self, range: (u64, u64)) -> io::Result<Vec<LogEntry>> {
        let entries = self.ground.fence.watch("log read", self.log.read_here(range))?;
        entries.iter().map(types::entry_out).collect::<Result<_, _>>().map_err(io::Error::other)
    }

    /// Reads rows as readers do.
    pub fn rows(&self, start: &[u8], end: &[u8], limit: usize) -> io::Result<Vec<(Vec<u8>, Bytes)>> {
        self.state.store.snapshot().range(start, end, limit).map(|(rows, _)| rows)
    }

    /// The disk.
    pub fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// The file that was made as, or renamed to, `path`, over its contents on another disk and with a fence of its own.
    fn over(&self, path: &Path, disk: &MemoryDisk, fence: &Fence) -> io::Result<Option<Authentic>> {
        let made = self.ground.made.lock().unwrap_or_else(PoisonError::into_inner);
        let temporary = path.with_extension("tmp");
        let known = made.iter().filter(|(name, _)| name == path || *name == temporary).find_map(|(_, file)| file.upgrade());
        known.map(|known| Ok(known.over(disk.open_to_read(path)?, fence))).transpose()
    }
}

/// Whether something was acknowledged or refused; none while it is open. A sender that is gone refused.
fn poll<E>(heard: &mut Option<impl Future<Output = Result<io::Result<()>, E>> + Unpin>) -> Option<bool> {
    let answer = heard.as_mut()?.now_or_never()?;
    *heard = None;
    Some(matches!(answer, Ok(Ok(()))))
}
