//! The writer thread of the log: group commit, segments, recycling.
//!
//! Decides: everything queued when the disk becomes free is one group: one write, then every waiter of the group is told, in the
//! order in which it queued. A write that fails, or is short, raises the fence: nothing is acknowledged afterwards.
//! Trusts: nothing but the order of its queue. Out of scope: reading (`store`). Protocol section 5.1.

use crate::disk::{Disk, DiskFile};
use crate::fence::Fence;
use crate::log::frame::{HEADER_BYTES, Opening, PAYLOAD_BYTES, Record};
use crate::log::store::Shared;
use crate::types::{self, Entry, Types};
use openraft::storage::IOFlushed;
use ringwall_wire::peer::{Ballot, LogPosition};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::JoinHandle;
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
    /// Writes what waits, then ends the thread.
    Stop(oneshot::Sender<()>),
}

/// Whoever waits for a group.
enum Waiter {
    Append(IOFlushed<Types>),
    Vote(oneshot::Sender<io::Result<()>>),
}

/// Where an entry lies.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) segment: u64,
    pub(crate) at: u64,
    pub(crate) len: usize,
}

struct Segment {
    number: u64,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    last_index: u64,
}

/// The writer's own state.
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    fence: Fence,
    shared: Arc<Shared>,
    current: Segment,
    /// Where the next byte goes in the current segment.
    end: u64,
    full: VecDeque<Segment>,
    spares: Vec<PathBuf>,
    /// A spare that another thread is filling with zeroes.
    coming: Option<JoinHandle<io::Result<PathBuf>>>,
    spares_made: u64,
    opening: Opening,
    buffer: Vec<u8>,
    placed: Vec<(LogPosition, Place)>,
}

impl Writer {
    /// Makes the first segment.
    pub(crate) fn create(disk: Arc<dyn Disk>, dir: PathBuf, segment_bytes: u64, fence: Fence, shared: Arc<Shared>) -> io::Result<Self> {
        let path = segment_path(&dir, 1);
        let file = disk.create(&path, segment_bytes)?;
        let current = Segment { number: 1, path, file, last_index: 0 };
        let opening = Opening { vote: None, committed: None, purged: None };
        let mut writer = Writer {
            disk,
            dir,
            segment_bytes,
            fence,
            shared,
            current,
            end: 0,
            full: VecDeque::new(),
            spares: Vec::new(),
            coming: None,
            spares_made: 0,
            opening,
            buffer: Vec::new(),
            placed: Vec::new(),
        };
        writer.put(&Record::Opening(writer.opening.clone()))?;
        writer.flush()?;
        writer.prepare_spare();
        Ok(writer)
    }

    /// Serves the queue until it is told to stop or every sender is gone.
    pub(crate) fn run(mut self, jobs: Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
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
            if let Err(why) = &result {
                self.fence.raise(format!("log: {why}"));
            }
            tell(waiters, &result);
            if let Some(done) = stop {
                drop(self);
                let _ = done.send(());
                return;
            }
            if result.is_err() {
                return self.refuse_all(jobs);
            }
            if let Err(why) = self.recycle() {
                self.fence.raise(format!("log segments: {why}"));
                return self.refuse_all(jobs);
            }
            self.prepare_spare();
        }
    }

    /// After a fault: every later job fails, nothing is written.
    fn refuse_all(self, jobs: Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Append(_, waiter) => waiter.io_completed(Err(self.fence.error())),
                Job::Vote(_, waiter) => drop(waiter.send(Err(self.fence.error()))),
                Job::Truncate(_) | Job::Purge(_) => {}
                Job::Stop(done) => {
                    let _ = done.send(());
                    return;
                }
            }
        }
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
        self.flush()?;
        self.shared.placed(self.placed.drain(..));
        Ok(())
    }

    /// Adds a frame to the group; begins a new segment when this one is full.
    fn put(&mut self, record: &Record) -> io::Result<()> {
        let start = self.buffer.len();
        record.put(self.current.number, &mut self.buffer);
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
        self.note(record, start, len);
        Ok(())
    }

    /// Adds a frame to a segment that was just begun.
    fn put_here(&mut self, record: &Record) -> io::Result<()> {
        let start = self.buffer.len();
        record.put(self.current.number, &mut self.buffer);
        if self.end + self.buffer.len() as u64 > self.segment_bytes {
            return Err(io::Error::other("a segment does not hold one record"));
        }
        self.note(record, start, self.buffer.len() - start);
        Ok(())
    }

    fn note(&mut self, record: &Record, start: usize, len: usize) {
        if let Record::Entry(entry) = record {
            let at = self.end + start as u64;
            let place = Place { file: Arc::clone(&self.current.file), segment: self.current.number, at, len };
            self.current.last_index = self.current.last_index.max(entry.at.index);
            self.placed.push((entry.at, place));
        }
    }

    /// Writes the buffer and makes it durable; a short write is a fault.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.current.file.write_at(self.end, &self.buffer)?;
        if written != self.buffer.len() {
            return Err(io::Error::other(format!("short write: {written} of {} bytes", self.buffer.len())));
        }
        self.current.file.sync()?;
        self.end += written as u64;
        self.buffer.clear();
        Ok(())
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let number = self.current.number + 1;
        let path = segment_path(&self.dir, number);
        let spare = self.spare()?;
        self.disk.rename(&spare, &path)?;
        let file = self.disk.open(&path)?;
        let old = std::mem::replace(&mut self.current, Segment { number, path, file, last_index: 0 });
        self.full.push_back(old);
        self.end = 0;
        self.put_here(&Record::Opening(self.opening.clone()))
    }

    /// Makes sure that a zeroed file waits, or is on its way: filling it takes too long to do between two groups.
    fn prepare_spare(&mut self) {
        if self.spares.is_empty() && self.coming.is_none() {
            self.spares_made += 1;
            let path = self.dir.join(format!("spare-{:08}", self.spares_made));
            let (disk, bytes) = (Arc::clone(&self.disk), self.segment_bytes);
            self.coming = Some(std::thread::spawn(move || disk.create(&path, bytes).map(|_| path)));
        }
    }

    /// A zeroed file for the next segment.
    fn spare(&mut self) -> io::Result<PathBuf> {
        self.prepare_spare();
        if let Some(path) = self.spares.pop() {
            return Ok(path);
        }
        let coming = self.coming.take().expect("a spare waits or is on its way");
        coming.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes segments panicked")))
    }

    /// Takes segments out of use whose entries are all purged; their files wait for reuse, or go.
    fn recycle(&mut self) -> io::Result<()> {
        let Some(purged) = self.opening.purged else { return Ok(()) };
        while self.full.front().is_some_and(|segment| segment.last_index <= purged.index) {
            let Some(segment) = self.full.pop_front() else { break };
            if self.spares.len() < SPARES {
                self.spares_made += 1;
                let path = self.dir.join(format!("spare-{:08}", self.spares_made));
                self.disk.rename(&segment.path, &path)?;
                self.spares.push(path);
            } else {
                self.disk.remove(&segment.path)?;
            }
        }
        Ok(())
    }
}

fn tell(waiters: Vec<Waiter>, result: &io::Result<()>) {
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
