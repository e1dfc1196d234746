//! The log as Raft sees it: entries readable at once, acknowledged when durable, read back from memory or disk.
//!
//! Decides: which entries stay in memory (the newest, up to a bound; everything that is not on disk yet). A vote is durable before
//! `save_vote` returns. Trusts: Raft to call in order. Out of scope: writing (`writer`). Protocol section 5.1.

use crate::defects::{self, Defect};
use crate::disk::keyed::BlockKey;
use crate::disk::{DiskFault, read_exact};
use crate::ground::Ground;
use crate::log::frame::{Record, Spot};
use crate::log::writer::{Job, LogService, Place, Writer};
use crate::types::{self, Entry, EntryPayload, LogId, Types, Vote};
use crate::workers::Wake;
use futures_util::{Stream, StreamExt, stream};
use openraft::base::BoxStream;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::{LogState, OptionalSend};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::limits::ENTRY_BYTES;
use ringwall_wire::peer::{Ballot, LogPosition};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// Bytes of entries one append or one step of applying takes: one entry of the full size always fits.
const READ_BYTES: usize = ENTRY_BYTES;

/// What an entry weighs beside its payload.
const ENTRY_OVERHEAD_BYTES: usize = 96;

struct Slot {
    id: LogId,
    bytes: usize,
    /// In memory, unless only the disk has it.
    entry: Option<Entry>,
    /// On disk, once it is.
    place: Option<Place>,
}

#[derive(Default)]
struct Inner {
    /// Consecutive; the first has index `first`.
    slots: VecDeque<Slot>,
    first: u64,
    purged: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    cached_bytes: usize,
    /// Slots before this one are not in memory.
    cached_from: u64,
}

/// What readers, Raft and the writer share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    tail_bytes: usize,
    /// Frames are known again by their tags under it.
    pub(crate) key: BlockKey,
}

/// The log.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    wake: Wake,
    ground: Ground,
}

impl LogStore {
    /// Makes an empty log and starts its writer.
    pub(crate) fn create(ground: Ground, segment_bytes: u64, tail_bytes: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { inner: Mutex::new(Inner::default()), tail_bytes, key: BlockKey::draw()? });
        let writer = Writer::create(ground.clone(), segment_bytes, Arc::clone(&shared))?;
        let (jobs, queue) = channel();
        let wake = ground.workers.serve("log-writer", Box::new(LogService::new(writer, queue)))?;
        Ok(LogStore { shared, jobs, wake, ground })
    }

    /// Goes on from what was found, as a store does that trusts its disk.
    #[cfg(any(feature = "defects", feature = "without"))]
    pub(crate) fn resume(&self, found: crate::log::recover::Recovered) -> io::Result<()> {
        let entries = found.entries.into_iter().map(types::entry_in).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        {
            let mut inner = self.shared.lock();
            for entry in &entries {
                inner.push(entry.clone())?;
            }
            inner.vote = found.vote.as_ref().map(types::vote);
            inner.committed = types::log_ids(&found.committed);
        }
        if let Some(ballot) = found.vote {
            self.queue(Job::Vote(ballot, oneshot::channel().0))?;
        }
        self.queue(Job::Append(entries, IOFlushed::noop()))
    }

    /// The newest vote of a log that goes on at terms above `term`, before anything is in it.
    pub(crate) fn begin_above(&self, term: u64, me: Incarnation) -> io::Result<()> {
        let ballot = Ballot { term, leader: me, committed: false };
        self.shared.lock().vote = Some(types::vote(&ballot));
        self.queue(Job::Vote(ballot, oneshot::channel().0))
    }

    /// Writes what waits and ends the writer.
    pub(crate) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.jobs.send(Job::Stop(done)).is_ok() {
            (self.wake)();
            let _ = stopped.await;
        }
    }

    /// Position of the last entry.
    pub(crate) fn last(&self) -> Option<LogPosition> {
        types::positions(&self.shared.lock().last())
    }

    pub(crate) fn queue(&self, job: Job) -> io::Result<()> {
        if self.ground.fence.reason().is_some() {
            return Err(self.ground.fence.error());
        }
        self.jobs.send(job).map_err(|_| io::Error::other("the log writer has ended"))?;
        (self.wake)();
        Ok(())
    }

    /// Reads the entries of `range` that exist, here and now.
    #[cfg(any(test, feature = "faults"))]
    pub(crate) fn read_here(&self, range: (u64, u64)) -> io::Result<Vec<Entry>> {
        self.shared.fetch(self.shared.look_up(range, usize::MAX))
    }

    /// What is known of the entries, over the segments of another disk: so that a test can try many disks against one memory.
    #[cfg(any(test, feature = "faults"))]
    pub(crate) fn read_over(&self, disk: &dyn crate::disk::Disk, range: (u64, u64)) -> io::Result<Vec<Entry>> {
        let mut found = self.shared.look_up(range, usize::MAX);
        for place in found.iter_mut().filter_map(|found| found.place.as_mut()) {
            place.file = disk.open_to_read(&crate::log::writer::segment_path(&self.ground.dir, place.spot.segment))?;
        }
        self.shared.fetch(found)
    }

    /// Reads the entries of `range` that exist, at most `limit` bytes of them but at least one.
    async fn read(&self, range: (u64, u64), limit: usize) -> io::Result<Vec<Entry>> {
        let found = self.shared.look_up(range, limit);
        if found.iter().all(|slot| slot.entry.is_some()) {
            return Ok(found.into_iter().filter_map(|slot| slot.entry).collect());
        }
        let shared = Arc::clone(&self.shared);
        let read = self.ground.done("log read", move || shared.fetch(found)).await;
        self.ground.fence.watch("log read", read)
    }
}

struct Found {
    id: LogId,
    entry: Option<Entry>,
    place: Option<Place>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics with the lock held")
    }

    pub(crate) fn committed(&self) -> Option<LogPosition> {
        types::positions(&self.lock().committed)
    }

    /// Notes where entries lie, and lets go of the oldest ones in memory.
    pub(crate) fn placed(&self, placed: impl Iterator<Item = (LogPosition, Place)>) {
        let mut inner = self.lock();
        for (at, place) in placed {
            if let Some(slot) = inner.slot_mut(at.index).filter(|slot| slot.id.leader_id.term == at.term) {
                slot.place = Some(place);
            }
        }
        inner.shrink(self.tail_bytes);
    }

    fn look_up(&self, (start, end): (u64, u64), limit: usize) -> Vec<Found> {
        let inner = self.lock();
        let mut bytes = 0;
        let mut found = Vec::new();
        let skip = start.saturating_sub(inner.first) as usize;
        let slots = inner.slots.iter().skip(skip).take_while(|slot| slot.id.index < end);
        for slot in slots {
            bytes += slot.bytes;
            if bytes > limit && !found.is_empty() {
                break;
            }
            found.push(Found { id: slot.id, entry: slot.entry.clone(), place: slot.place.clone() });
        }
        found
    }

    /// Fetches from disk what memory lacks. What was purged meanwhile is left out.
    fn fetch(&self, found: Vec<Found>) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(found.len());
        for slot in found {
            match (slot.entry, slot.place) {
                (Some(entry), _) => entries.push(entry),
                (None, Some(place)) => match read_entry(&self.key, &place) {
                    Ok(entry) => entries.push(entry),
                    Err(_) if self.lock().purged.is_some_and(|purged| slot.id.index <= purged.index) => {}
                    Err(why) => return Err(why),
                },
                (None, None) => return Err(io::Error::other(format!("entry {} is nowhere", slot.id))),
            }
        }
        Ok(entries)
    }
}

impl Inner {
    fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        let at = index.checked_sub(self.first)?;
        self.slots.get_mut(at as usize)
    }

    fn last(&self) -> Option<LogId> {
        self.slots.back().map(|slot| slot.id).or(self.purged)
    }

    fn push(&mut self, entry: Entry) -> io::Result<()> {
        let next = self.last().map_or(0, |last| last.index.saturating_add(1));
        if entry.log_id.index != next {
            return Err(io::Error::other(format!("entry {} does not follow: {next} is next", entry.log_id)));
        }
        if self.slots.is_empty() {
            self.first = next;
            self.cached_from = next;
        }
        let bytes = weight(&entry);
        self.cached_bytes += bytes;
        self.slots.push_back(Slot { id: entry.log_id, bytes, entry: Some(entry), place: None });
        Ok(())
    }

    fn truncate_after(&mut self, last: Option<u64>) {
        while self.slots.back().is_some_and(|slot| last.is_none_or(|last| slot.id.index > last)) {
            self.forget_back();
        }
    }

    fn forget_back(&mut self) {
        if let Some(slot) = self.slots.pop_back() {
            self.cached_bytes -= slot.entry.map_or(0, |_| slot.bytes);
        }
    }

    fn purge(&mut self, to: LogId) {
        while self.slots.front().is_some_and(|slot| slot.id.index <= to.index) {
            if let Some(slot) = self.slots.pop_front() {
                self.cached_bytes -= slot.entry.map_or(0, |_| slot.bytes);
            }
        }
        self.purged = Some(to);
        self.first = to.index.saturating_add(1);
        self.cached_from = self.cached_from.max(self.first);
    }

    /// Lets go of the oldest entries in memory that are on disk.
    fn shrink(&mut self, tail_bytes: usize) {
        while self.cached_bytes > tail_bytes {
            let at = self.cached_from.max(self.first);
            let Some(slot) = self.slot_mut(at) else { return };
            if slot.place.is_none() {
                return;
            }
            slot.entry = None;
            let freed = slot.bytes;
            self.cached_bytes -= freed;
            self.cached_from = at + 1;
        }
    }
}

/// IN1, of what this replica promises: terms rise, and within one it votes once; it may still follow whom a quorum elected in it.
fn one_vote(before: Option<Ballot>, next: Ballot) -> io::Result<()> {
    let Some(before) = before else { return Ok(()) };
    match next.term > before.term || (next.term == before.term && (next.leader == before.leader || next.committed)) {
        true => Ok(()),
        false => Err(io::Error::other(format!("a second vote, which IN1 forbids: {next:?} after {before:?}"))),
    }
}

/// IN3: what is committed is not taken back.
fn prefix_stays(committed: Option<LogId>, last: Option<LogId>) -> io::Result<()> {
    match committed.map(|committed| committed.index) <= last.map(|last| last.index) {
        true => Ok(()),
        false => Err(io::Error::other(format!("entries after {last:?} would be void, and {committed:?} is committed, which IN3 forbids"))),
    }
}

fn weight(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        EntryPayload::Normal(bytes) => bytes.0.len(),
        EntryPayload::Blank => 0,
        EntryPayload::Membership(membership) => membership.nodes().count() * 512,
    };
    payload + ENTRY_OVERHEAD_BYTES
}

/// Reads an entry back. Bytes that are not, one by one, what was written are refused before anything looks into them.
fn read_entry(key: &BlockKey, place: &Place) -> io::Result<Entry> {
    let Spot { segment, at, .. } = place.spot;
    let file = || format!("log segment {segment}");
    let mut frame = vec![0; place.len];
    match read_exact(place.file.as_ref(), at, &mut frame) {
        Ok(()) => {}
        Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Err(DiskFault::Missing { file: file(), at }.into()),
        Err(why) => return Err(why),
    }
    if key.tag(&frame) != place.tag && !defects::on(Defect::AnyEntry) {
        return Err(DiskFault::Changed { file: file(), at }.into());
    }
    match Record::take(segment, at, &frame) {
        Ok((Record::Entry(entry), ..)) => types::entry_in(entry).map_err(io::Error::other),
        _ => Err(io::Error::other(format!("{}: a frame of this member does not decode", file()))),
    }
}

/// `[start, end)` of a range.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(&mut self, range: R) -> io::Result<Vec<Entry>> {
        self.read(bounds(&range), usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read((start, end), READ_BYTES).await
    }

    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        // Step by step, so that a long backlog is not in memory at once.
        let (start, end) = bounds(&range);
        let steps = stream::unfold((self.clone(), start), move |(store, next)| async move {
            if next >= end {
                return None;
            }
            let step: Vec<io::Result<Entry>> = match store.read((next, end), READ_BYTES).await {
                Ok(entries) if entries.is_empty() => return None,
                Ok(entries) => entries.into_iter().map(Ok).collect(),
                Err(why) => vec![Err(why)],
            };
            let next = step.last().and_then(|last| last.as_ref().ok()).map_or(u64::MAX, |last| last.log_id.index + 1);
            Some((stream::iter(step), (store, next)))
        });
        let stream: BoxStream<'static, io::Result<Entry>> = Box::pin(steps.flatten());
        stream
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.lock().vote)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let inner = self.shared.lock();
        Ok(LogState { last_purged_log_id: inner.purged, last_log_id: inner.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let before = self.shared.lock().vote.as_ref().map(types::ballot);
        self.ground.fence.watch("vote", one_vote(before, types::ballot(vote)))?;
        let (done, saved) = oneshot::channel();
        self.queue(Job::Vote(types::ballot(vote), done))?;
        saved.await.unwrap_or_else(|_| Err(self.ground.fence.error()))?;
        self.shared.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        // Rides with the next group: losing it costs a recovery nothing but the knowledge of what was decided last.
        self.shared.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        {
            let mut inner = self.shared.lock();
            for entry in &entries {
                self.ground.fence.watch("log append", inner.push(entry.clone()))?;
            }
        }
        self.queue(Job::Append(entries, callback))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let committed = self.shared.lock().committed;
        self.ground.fence.watch("log", prefix_stays(committed, last))?;
        self.shared.lock().truncate_after(last.map(|last| last.index));
        self.queue(Job::Truncate(types::positions(&last)))
    }

    async fn purge(&mut self, to: LogId) -> io::Result<()> {
        self.shared.lock().purge(to);
        self.queue(Job::Purge(types::position(&to)))
    }
}

#[cfg(test)]
mod tests;
