//! The writer of the log: group commit, segments, recycling.
//!
//! Decides: everything queued when the disk becomes free is one group: one write, then every waiter of the group is told, in the
//! order in which it queued. A write that fails, or is short, raises the fence: nothing is acknowledged afterwards.
//! Trusts: nothing but the order of its queue. Out of scope: reading (`store`). Protocol section 5.1.

use crate::defects::{self, Defect};
use crate::disk::keyed::Tag;
use crate::disk::{DiskFile, write_whole};
use crate::ground::Ground;
use crate::log::frame::{HEADER_BYTES, Opening, PAYLOAD_BYTES, Record, Spot};
use crate::log::store::Shared;
use crate::seal::{CHAIN_START, SEAL_FRAME_BYTES, chained};
use crate::types::{self, Entry, Types};
use crate::workers::{Ahead, Service, Step};
use openraft::storage::IOFlushed;
use ringwall_wire::ids::Digest;
use ringwall_wire::peer::{Ballot, LogPosition};
use ringwall_wire::spared::{Part, spared};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use tokio::sync::oneshot;

/// Bytes after which a group is written though more is queued: bounds the buffer and the time others wait.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Spare segments kept for reuse: one is always ready, one is on its way back.
const SPARES: usize = 2;

/// Work for the writer.
pub(crate) enum Job {
    Append(Vec<Entry>, IOFlushed<Types>),
    Vote(Ballot, oneshot::Sender<io::Result<()>>),
    Truncate(Option<LogPosition>),
    Purge(LogPosition),
    /// Writes what waits, then ends the writer.
    Stop(oneshot::Sender<()>),
}

/// Whoever waits for a group.
enum Waiter {
    Append(IOFlushed<Types>),
    Vote(oneshot::Sender<io::Result<()>>),
}

/// Where an entry lies, and how its frame is known again: the disk is the host's, and a checksum the host can make.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) spot: Spot,
    pub(crate) len: usize,
    /// Tag of the frame under the log's own key.
    pub(crate) tag: Tag,
}

struct Segment {
    number: u64,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    last_index: u64,
}

/// The writer's own state.
pub(crate) struct Writer {
    ground: Ground,
    segment_bytes: u64,
    shared: Arc<Shared>,
    current: Segment,
    /// Where the next byte goes in the current segment.
    end: u64,
    full: VecDeque<Segment>,
    spares: Vec<PathBuf>,
    /// A spare that is being filled with zeroes beside.
    coming: Option<Ahead<PathBuf>>,
    spares_made: u64,
    opening: Opening,
    /// Running digest over all frames so far, where they are sealed.
    chain: Digest,
    buffer: Vec<u8>,
    placed: Vec<(LogPosition, Place)>,
}

impl Writer {
    /// Makes the first segment.
    pub(crate) fn create(ground: Ground, segment_bytes: u64, shared: Arc<Shared>) -> io::Result<Self> {
        let path = segment_path(&ground.dir, 1);
        let file = ground.disk.create(&path, segment_bytes)?;
        let current = Segment { number: 1, path, file, last_index: 0 };
        let opening = Opening { vote: None, committed: None, purged: None, previous_end: 0, chain: CHAIN_START };
        let mut writer = Writer {
            ground,
            segment_bytes,
            shared,
            current,
            end: 0,
            full: VecDeque::new(),
            spares: Vec::new(),
            coming: None,
            spares_made: 0,
            opening,
            chain: CHAIN_START,
            buffer: Vec::new(),
            placed: Vec::new(),
        };
        writer.put(&Record::Opening(writer.opening.clone()))?;
        writer.seal()?;
        writer.flush()?;
        writer.prepare_spare();
        Ok(writer)
    }

    /// Writes everything that is queued as one group, and tells who waited. Gives who waits for the writer's end, if anybody does.
    fn group(&mut self, first: Job, jobs: &Receiver<Job>) -> io::Result<Option<oneshot::Sender<()>>> {
        let mut waiters = Vec::new();
        let mut stop = None;
        let mut result = self.take(first, &mut waiters, &mut stop);
        while result.is_ok() && stop.is_none() && self.buffer.len() < GROUP_BYTES {
            match jobs.try_recv() {
                Ok(job) => result = self.take(job, &mut waiters, &mut stop),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let result = result.and_then(|()| self.finish_group());
        let result = self.ground.fence.watch("log", result);
        tell(waiters, &result);
        if stop.is_some() {
            return Ok(stop);
        }
        result?;
        let recycled = self.recycle();
        self.ground.fence.watch("log segments", recycled)?;
        self.prepare_spare();
        Ok(None)
    }

    fn take(&mut self, job: Job, waiters: &mut Vec<Waiter>, stop: &mut Option<oneshot::Sender<()>>) -> io::Result<()> {
        match job {
            Job::Append(entries, waiter) => {
                waiters.push(Waiter::Append(waiter));
                for entry in entries {
                    let entry = types::entry_out(&entry).map_err(io::Error::other)?;
                    self.put(&Record::Entry(entry))?;
                }
                Ok(())
            }
            Job::Vote(ballot, waiter) => {
                waiters.push(Waiter::Vote(waiter));
                self.opening.vote = Some(ballot);
                self.put(&Record::Vote(ballot))
            }
            Job::Truncate(at) => self.put(&Record::Truncate(at)),
            Job::Purge(at) => {
                self.opening.purged = Some(at);
                self.put(&Record::Purge(at))
            }
            Job::Stop(done) => {
                *stop = Some(done);
                Ok(())
            }
        }
    }

    /// Adds the commit position if it moved, writes, and publishes where the entries lie.
    fn finish_group(&mut self) -> io::Result<()> {
        let committed = self.shared.committed();
        if committed != self.opening.committed {
            self.opening.committed = committed;
            self.put(&Record::Committed(committed))?;
        }
        self.seal()?;
        self.flush()?;
        self.shared.placed(self.placed.drain(..));
        Ok(())
    }

    /// Ends a group with a seal over every frame so far, where this life seals.
    fn seal(&mut self) -> io::Result<()> {
        let Some(sealing) = self.ground.sealing.clone().filter(|_| !self.buffer.is_empty() && !spared(Part::AuthenticatedDisks)) else {
            return Ok(());
        };
        // A seal names the place it stands in: it is made once that is certain.
        if self.end + self.buffer.len() as u64 + SEAL_FRAME_BYTES > self.segment_bytes {
            self.flush()?;
            self.next_segment()?;
        }
        let spot = self.spot();
        let seal = sealing.log((spot.segment, spot.at), &self.chain);
        self.put(&Record::Seal(seal))
    }

    /// Adds a frame to the group; begins a new segment when this one is full.
    fn put(&mut self, record: &Record) -> io::Result<()> {
        let start = self.buffer.len();
        let spot = self.spot();
        record.put(spot, &mut self.buffer);
        let len = self.buffer.len() - start;
        if len > HEADER_BYTES + PAYLOAD_BYTES {
            return Err(io::Error::other(format!("a record of {len} bytes")));
        }
        if self.end + self.buffer.len() as u64 > self.segment_bytes {
            self.buffer.truncate(start);
            self.flush()?;
            self.next_segment()?;
            return self.put_here(record);
        }
        self.note(record, spot, start);
        Ok(())
    }

    /// Adds a frame to a segment that was just begun.
    fn put_here(&mut self, record: &Record) -> io::Result<()> {
        let start = self.buffer.len();
        let spot = self.spot();
        record.put(spot, &mut self.buffer);
        if self.end + self.buffer.len() as u64 > self.segment_bytes {
            return Err(io::Error::other("a segment does not hold one record"));
        }
        self.note(record, spot, start);
        Ok(())
    }

    /// Where the next frame of this group goes.
    fn spot(&self) -> Spot {
        // A group is at most `GROUP_BYTES` and one record: `back` fits its three bytes.
        Spot { segment: self.current.number, at: self.end + self.buffer.len() as u64, back: self.buffer.len() as u32 }
    }

    /// Takes notice of a frame that stays where it is: `start` is where it begins in the buffer.
    fn note(&mut self, record: &Record, spot: Spot, start: usize) {
        let frame = self.buffer.get(start..).unwrap_or_default();
        if self.ground.sealing.is_some() && !spared(Part::AuthenticatedDisks) {
            self.chain = chained(&self.chain, frame);
        }
        if let Record::Entry(entry) = record {
            let place = Place { file: Arc::clone(&self.current.file), spot, len: frame.len(), tag: self.shared.key.tag(frame) };
            self.current.last_index = self.current.last_index.max(entry.at.index);
            self.placed.push((entry.at, place));
        }
    }

    /// Writes the buffer and makes it durable; a short write is a fault.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        write_whole(self.current.file.as_ref(), self.end, &self.buffer)?;
        self.current.file.sync()?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let number = self.current.number + 1;
        let path = segment_path(&self.ground.dir, number);
        let spare = self.spare()?;
        self.ground.disk.rename(&spare, &path)?;
        let file = self.ground.disk.open(&path)?;
        let old = std::mem::replace(&mut self.current, Segment { number, path, file, last_index: 0 });
        self.full.push_back(old);
        self.opening.previous_end = self.end;
        self.opening.chain = self.chain;
        self.end = 0;
        self.put_here(&Record::Opening(self.opening.clone()))
    }

    /// Makes sure that a zeroed file waits, or is on its way: filling it takes too long to do between two groups.
    fn prepare_spare(&mut self) {
        if self.spares.is_empty() && self.coming.is_none() {
            self.spares_made += 1;
            let path = self.ground.dir.join(format!("spare-{:08}", self.spares_made));
            let (disk, bytes) = (Arc::clone(&self.ground.disk), self.segment_bytes);
            let make = move || disk.create(&path, bytes).map(|_| path);
            self.coming = Some(Ahead::begin(self.ground.workers.as_ref(), "log-segment", make));
        }
    }

    /// A zeroed file for the next segment.
    fn spare(&mut self) -> io::Result<PathBuf> {
        self.prepare_spare();
        if let Some(path) = self.spares.pop() {
            return Ok(path);
        }
        self.coming.take().expect("a spare waits or is on its way").take()
    }

    /// Takes segments out of use whose entries are all purged; their files wait for reuse, or go.
    fn recycle(&mut self) -> io::Result<()> {
        let Some(purged) = self.opening.purged else { return Ok(()) };
        while self.full.front().is_some_and(|segment| segment.last_index <= purged.index) {
            let Some(segment) = self.full.pop_front() else { break };
            if self.spares.len() < SPARES {
                self.spares_made += 1;
                let path = self.ground.dir.join(format!("spare-{:08}", self.spares_made));
                self.ground.disk.rename(&segment.path, &path)?;
                self.spares.push(path);
            } else {
                self.ground.disk.remove(&segment.path)?;
            }
        }
        Ok(())
    }
}

/// The writer with its queue, as workers drive it.
pub(crate) struct LogService {
    /// None once it has ended.
    writer: Option<Writer>,
    jobs: Receiver<Job>,
    /// What a waiting thread was woken by.
    first: Option<Job>,
    /// After a fault every later job fails, and nothing is written.
    failed: bool,
}

impl LogService {
    pub(crate) fn new(writer: Writer, jobs: Receiver<Job>) -> Self {
        LogService { writer: Some(writer), jobs, first: None, failed: false }
    }

    fn refuse(writer: &Writer, job: Job) -> Option<oneshot::Sender<()>> {
        match job {
            Job::Append(_, waiter) => waiter.io_completed(Err(writer.ground.fence.error())),
            Job::Vote(_, waiter) => drop(waiter.send(Err(writer.ground.fence.error()))),
            Job::Truncate(_) | Job::Purge(_) => {}
            Job::Stop(done) => return Some(done),
        }
        None
    }
}

impl Service for LogService {
    fn step(&mut self) -> Step {
        let Some(writer) = self.writer.as_mut() else { return Step::Ended };
        let job = match self.first.take().map_or_else(|| self.jobs.try_recv(), Ok) {
            Ok(job) => job,
            Err(TryRecvError::Empty) => return Step::Idle,
            Err(TryRecvError::Disconnected) => {
                self.writer = None;
                return Step::Ended;
            }
        };
        let stop = match self.failed {
            true => Self::refuse(writer, job),
            false => writer.group(job, &self.jobs).unwrap_or_else(|_| {
                self.failed = true;
                None
            }),
        };
        match stop {
            None => Step::Worked,
            Some(done) => {
                self.writer = None; // Its files are closed before anybody hears that it has ended.
                let _ = done.send(());
                Step::Ended
            }
        }
    }

    fn wait(&mut self) {
        match self.jobs.recv() {
            Ok(job) => self.first = Some(job),
            Err(_) => self.writer = None,
        }
    }
}

fn tell(mut waiters: Vec<Waiter>, result: &io::Result<()>) {
    if defects::on(Defect::NewestLost) {
        waiters.pop_if(|newest| matches!(newest, Waiter::Append(_)));
    }
    if defects::on(Defect::NewestFirst) {
        waiters.reverse();
    }
    for waiter in waiters {
        let answer = match result {
            Ok(()) => Ok(()),
            Err(why) => Err(io::Error::new(why.kind(), why.to_string())),
        };
        match waiter {
            Waiter::Append(waiter) => waiter.io_completed(answer),
            Waiter::Vote(waiter) => drop(waiter.send(answer)),
        }
    }
}

/// Where segment `number` lies.
pub(crate) fn segment_path(dir: &std::path::Path, number: u64) -> PathBuf {
    dir.join(format!("log-{number:016}"))
}
