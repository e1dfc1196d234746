//! Client writes on their way into the log: many sessions, few entries.
//!
//! Decides: everything that waits becomes one entry (bounded in count and bytes), a few entries are in flight at once, and a sealed write is
//! tried again unchanged until it has an outcome or its time is up: `Once` inside it makes that safe. A write forwarded by another member
//! is proposed here or refused at once; it is never forwarded twice, and its own member goes on trying. Below the disk reserve nothing
//! that takes space is queued, whether a client or another member brings it.
//! Trusts: the log to report an outcome only when it is durable on a quorum. Out of scope: sealing (`requests.rs`). Protocol section 3, step 7.

use crate::clock;
use crate::front::limits::{BATCH_BYTES, BATCHES_IN_FLIGHT, QUEUE_BYTES, RETRY_FIRST, RETRY_MOST, WRITE_PATIENCE};
use crate::front::outbox::{Charge, Item, Outbox};
use crate::front::refusals::{fenced, leaving, no_room, refusal, told, unavailable};
use crate::room::Room;
use futures_util::stream::{FuturesUnordered, StreamExt};
use ringwall_consensus::{Applied, ProposeError, Replica};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Field as _;
use ringwall_wire::command::{CommandBody, Outcome, Outcomes, SealedChange, SealedWrite, SharedWrites};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::limits::ENTRY_WRITES;
use ringwall_wire::peer::{ForwardCall, PeerAnswer};
use ringwall_wire::request::{Answer, Reply};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// What the batcher needs of a replica.
pub(crate) trait Log: Send + Sync + 'static {
    /// Proposes writes wherever the leader is.
    fn write(&self, writes: SharedWrites) -> impl Future<Output = Result<Applied, ProposeError>> + Send;
    /// Proposes writes if this member leads.
    fn propose_here(&self, writes: SharedWrites) -> impl Future<Output = Result<Applied, ProposeError>> + Send;
}

impl Log for Replica {
    async fn write(&self, writes: SharedWrites) -> Result<Applied, ProposeError> {
        self.write_shared(writes).await
    }

    async fn propose_here(&self, writes: SharedWrites) -> Result<Applied, ProposeError> {
        self.propose(CommandBody::Writes(writes)).await
    }
}

/// One sealed write that waits for its outcome.
#[derive(Debug)]
pub(crate) struct Pending {
    write: SealedWrite,
    bytes: usize,
    since: Instant,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Session { outbox: Arc<Outbox>, number: u64, charge: Charge },
    Forwarded { group: Arc<Group>, place: usize },
    Awaited { told: oneshot::Sender<Result<Outcome, Refusal>> },
}

impl Pending {
    /// A write of a session; its answer goes to `outbox` under `number`.
    pub(crate) fn of_session(write: SealedWrite, outbox: Arc<Outbox>, number: u64, charge: Charge) -> Self {
        Pending { bytes: size(&write), write, since: clock::now(), origin: Origin::Session { outbox, number, charge } }
    }

    /// A write somebody in this member waits for.
    pub(crate) fn awaited(write: SealedWrite, told: oneshot::Sender<Result<Outcome, Refusal>>) -> Self {
        Pending { bytes: size(&write), write, since: clock::now(), origin: Origin::Awaited { told } }
    }

    fn refuse(self, refusal: Refusal) {
        match self.origin {
            // Whoever waited may have stopped.
            Origin::Awaited { told } => drop(told.send(Err(refusal))),
            Origin::Session { outbox, number, charge } => outbox.answer(number, Answer::Refused(refusal), charge),
            Origin::Forwarded { group, .. } => group.refuse(refusal),
        }
    }
}

/// Bytes of an encoded write: exact or a little more.
fn size(write: &SealedWrite) -> usize {
    match write {
        SealedWrite::OpenSpace(_) => 192,
        SealedWrite::Erase(spaces) => spaces.len().saturating_mul(16).saturating_add(64),
        SealedWrite::User(_) => 1_024,
        SealedWrite::Workload(write) => write.to_bytes().len().saturating_add(16),
        SealedWrite::Change(change) => change.mutations.iter().fold(64, |sum: usize, mutation| {
            let sealed = match &mutation.change {
                SealedChange::Put(put) => put.record.name.len().saturating_add(put.record.value.len()).saturating_add(96),
                SealedChange::Delete | SealedChange::Keep => 0,
            };
            sum.saturating_add(32).saturating_add(sealed)
        }),
    }
}

/// Whether a write takes disk space that no later compaction gives back: all but deletes and bare conditions.
fn takes_space(write: &SealedWrite) -> bool {
    match write {
        SealedWrite::OpenSpace(_) | SealedWrite::Workload(_) | SealedWrite::User(_) => true,
        SealedWrite::Erase(_) => false,
        SealedWrite::Change(change) => change.mutations.iter().any(|mutation| matches!(mutation.change, SealedChange::Put(_))),
    }
}

/// Writes another member forwarded together: answered together.
#[derive(Debug)]
struct Group {
    inner: Mutex<GroupInner>,
}

#[derive(Debug)]
struct GroupInner {
    outcomes: Vec<Option<Outcome>>,
    left: usize,
    index: u64,
    done: Option<oneshot::Sender<Result<Outcomes, Refusal>>>,
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, GroupInner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn applied(&self, place: usize, outcome: Outcome, index: u64) {
        let mut inner = self.lock();
        if let Some(slot) = inner.outcomes.get_mut(place) {
            *slot = Some(outcome);
        }
        inner.index = inner.index.max(index);
        inner.left = inner.left.saturating_sub(1);
        if inner.left > 0 {
            return;
        }
        let outcomes = inner.outcomes.iter().copied().collect::<Option<Vec<_>>>().and_then(|outcomes| List::new(outcomes).ok());
        let answer = outcomes.map(|outcomes| Outcomes { index: inner.index, outcomes }).ok_or_else(unavailable);
        if let Some(done) = inner.done.take() {
            // The caller may have stopped waiting; then nobody is told.
            let _ = done.send(answer);
        }
    }

    fn refuse(&self, refusal: Refusal) {
        if let Some(done) = self.lock().done.take() {
            let _ = done.send(Err(refusal));
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    bytes: usize,
    leaving: bool,
}

/// The queue of writes and the loop that empties it.
pub(crate) struct Writes<L> {
    log: L,
    leader: watch::Receiver<Option<Incarnation>>,
    /// How long a write is tried.
    patience: Duration,
    room: Room,
    queue: Mutex<Queue>,
    wake: Notify,
}

/// Writes proposed together.
#[derive(Debug)]
struct Batch {
    writes: SharedWrites,
    origins: Vec<(Origin, Instant)>,
}

impl<L: Log> Writes<L> {
    /// An empty queue in front of `log`; `leader` tells who leads, `room` whether the disk can take more.
    pub(crate) fn new(log: L, leader: watch::Receiver<Option<Incarnation>>, room: Room) -> Self {
        Writes { log, leader, patience: WRITE_PATIENCE, room, queue: Mutex::default(), wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Queues writes in order; each one gets an answer, at the latest when its time is up. What does not fit is refused as busy.
    pub(crate) fn submit(&self, writes: impl IntoIterator<Item = Pending>) {
        let mut refused = Vec::new();
        let short = self.room.is_short();
        {
            let mut queue = self.lock();
            for pending in writes {
                if queue.leaving {
                    refused.push((pending, leaving()));
                } else if short && takes_space(&pending.write) {
                    refused.push((pending, no_room()));
                } else if queue.bytes.saturating_add(pending.bytes) > QUEUE_BYTES {
                    refused
                        .push((pending, refusal(RefusalCode::Busy, "too many writes wait on this member: not applied, try again later")));
                } else {
                    queue.bytes = queue.bytes.saturating_add(pending.bytes);
                    queue.waiting.push_back(pending);
                }
            }
        }
        self.wake.notify_one();
        for (pending, refusal) in refused {
            pending.refuse(refusal);
        }
    }

    /// Proposes what another member forwarded, and answers when all of it has an outcome.
    pub(crate) async fn forwarded(&self, call: ForwardCall) -> PeerAnswer {
        let writes = Arc::unwrap_or_clone(call.writes).into_vec();
        if writes.is_empty() {
            return PeerAnswer::Outcomes(Outcomes { index: 0, outcomes: List::default() });
        }
        // All or nothing: the group gets one answer.
        if self.room.is_short() && writes.iter().any(takes_space) {
            return PeerAnswer::Refused(no_room());
        }
        let (done, answer) = oneshot::channel();
        let inner = GroupInner { outcomes: vec![None; writes.len()], left: writes.len(), index: 0, done: Some(done) };
        let group = Arc::new(Group { inner: Mutex::new(inner) });
        let since = clock::now();
        self.submit(writes.into_iter().enumerate().map(|(place, write)| Pending {
            bytes: size(&write),
            write,
            since,
            origin: Origin::Forwarded { group: group.clone(), place },
        }));
        match timeout(self.patience, answer).await {
            Ok(Ok(Ok(outcomes))) => PeerAnswer::Outcomes(outcomes),
            // The reserve was reached in between: others of the group may be proposed already.
            Ok(Ok(Err(refusal))) if refusal.code == RefusalCode::NoRoom => PeerAnswer::Refused(unavailable()),
            Ok(Ok(Err(refusal))) => PeerAnswer::Refused(refusal),
            Ok(Err(_)) | Err(_) => PeerAnswer::Refused(unavailable()),
        }
    }

    /// Takes no more writes; [`Writes::run`] returns when those it has are answered.
    pub(crate) fn leave(&self) {
        self.lock().leaving = true;
        self.wake.notify_one();
    }

    /// Empties the queue until [`Writes::leave`]; run it in one task.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut flights = FuturesUnordered::new();
        loop {
            while flights.len() < BATCHES_IN_FLIGHT
                && let Some(batch) = self.next_batch()
            {
                flights.push(self.fly(batch));
            }
            let (oldest, leaving) = {
                let queue = self.lock();
                (queue.waiting.front().map(|pending| pending.since), queue.leaving)
            };
            if leaving && oldest.is_none() && flights.is_empty() {
                return;
            }
            let overdue = oldest.map_or_else(clock::now, |since| since + self.patience);
            tokio::select! {
                Some(()) = flights.next(), if !flights.is_empty() => {}
                () = self.wake.notified() => {}
                () = sleep_until(overdue), if oldest.is_some() => self.drop_overdue(),
            }
        }
    }

    fn next_batch(&self) -> Option<Batch> {
        let mut queue = self.lock();
        let first = queue.waiting.pop_front()?;
        let mut bytes = first.bytes;
        let (mut writes, mut origins) = (vec![first.write], vec![(first.origin, first.since)]);
        while writes.len() < ENTRY_WRITES
            && queue.waiting.front().is_some_and(|next| bytes.saturating_add(next.bytes) <= BATCH_BYTES)
            && let Some(next) = queue.waiting.pop_front()
        {
            bytes = bytes.saturating_add(next.bytes);
            writes.push(next.write);
            origins.push((next.origin, next.since));
        }
        queue.bytes = queue.bytes.saturating_sub(bytes);
        Some(Batch { writes: shared(writes), origins })
    }

    fn drop_overdue(&self) {
        let mut overdue = Vec::new();
        {
            let mut queue = self.lock();
            while queue.waiting.front().is_some_and(|pending| pending.since.elapsed() >= self.patience)
                && let Some(pending) = queue.waiting.pop_front()
            {
                queue.bytes = queue.bytes.saturating_sub(pending.bytes);
                overdue.push(pending);
            }
        }
        for pending in overdue {
            pending.refuse(unavailable());
        }
    }

    /// Brings one batch to its outcomes, or gives it up when its time is over.
    async fn fly(&self, mut batch: Batch) {
        let mut pause = RETRY_FIRST;
        let mut first = true;
        let mut leader = self.leader.clone();
        loop {
            leader.mark_unchanged();
            let tried = tokio::select! {
                biased;
                tried = self.attempt(&batch) => tried,
                // A call to a dead leader may hang; the new one knows what the old one applied.
                Ok(()) = leader.changed() => Err(ProposeError::Unknown),
            };
            match tried {
                Ok(applied) if applied.outcomes.len() == batch.writes.len() => return batch.deliver(&applied, first),
                Ok(_) => return batch.refuse(&unavailable()),
                Err(ProposeError::Fenced(_)) => return batch.refuse(&fenced()),
                Err(ProposeError::TooLarge { .. }) => {
                    return batch
                        .refuse(&refusal(RefusalCode::TooLarge, "the sealed write is above the size of one log entry: not applied"));
                }
                // The leader took nothing of the batch: what needs no room is tried again alone.
                Err(ProposeError::NoRoom) if first => {
                    batch.refuse_where(|write, _, _| takes_space(write), &no_room());
                    if batch.writes.is_empty() {
                        return;
                    }
                    continue;
                }
                Err(ProposeError::NoRoom) => batch.refuse_where(|write, _, _| takes_space(write), &unavailable()),
                Err(ProposeError::NotLeader { .. } | ProposeError::Transient | ProposeError::Unknown) => {}
            }
            // An attempt that failed may have reached a leader all the same: "not applied" can no longer be promised.
            first = false;
            let given_up = |_: &SealedWrite, origin: &Origin, since: &Instant| {
                matches!(origin, Origin::Forwarded { .. }) || since.elapsed() >= self.patience
            };
            batch.refuse_where(given_up, &unavailable());
            if batch.writes.is_empty() {
                return;
            }
            tokio::select! {
                () = sleep(pause) => pause = pause.saturating_mul(2).min(RETRY_MOST),
                Ok(()) = leader.changed() => {}
            }
        }
    }

    async fn attempt(&self, batch: &Batch) -> Result<Applied, ProposeError> {
        let oldest = batch.origins.iter().map(|(_, since)| *since).min().unwrap_or_else(clock::now);
        let left = self.patience.saturating_sub(oldest.elapsed());
        let forwarded = batch.origins.iter().any(|(origin, _)| matches!(origin, Origin::Forwarded { .. }));
        let writes = Arc::clone(&batch.writes);
        let tried = match forwarded {
            true => timeout(left, self.log.propose_here(writes)).await,
            false => timeout(left, self.log.write(writes)).await,
        };
        tried.unwrap_or(Err(ProposeError::Unknown))
    }
}

impl Batch {
    /// Tells everybody; `first`: this was the only attempt.
    fn deliver(self, applied: &Applied, first: bool) {
        let mut sleeping: Vec<Arc<Outbox>> = Vec::new();
        for (((origin, _), outcome), write) in self.origins.into_iter().zip(&applied.outcomes).zip(self.writes.iter()) {
            match origin {
                Origin::Session { outbox, number, charge } => {
                    let body = told(*outcome, matches!(write, SealedWrite::OpenSpace(_)), first);
                    let charge = Charge { index: applied.index, ..charge };
                    if outbox.push(Item::Ready(Reply { number, body }), charge) {
                        sleeping.push(outbox);
                    }
                }
                Origin::Forwarded { group, place } => group.applied(place, *outcome, applied.index),
                Origin::Awaited { told } => drop(told.send(Ok(*outcome))),
            }
        }
        // Woken only now, so that one flush carries all replies of a session.
        for outbox in sleeping {
            outbox.wake();
        }
    }

    fn refuse(self, refusal: &Refusal) {
        for (write, (origin, since)) in Arc::unwrap_or_clone(self.writes).into_vec().into_iter().zip(self.origins) {
            Pending { write, bytes: 0, since, origin }.refuse(refusal.clone());
        }
    }

    /// Refuses and removes the writes `gone` names.
    fn refuse_where(&mut self, gone: impl Fn(&SealedWrite, &Origin, &Instant) -> bool, refusal: &Refusal) {
        if !self.writes.iter().zip(&self.origins).any(|(write, (origin, since))| gone(write, origin, since)) {
            return;
        }
        let writes = Arc::unwrap_or_clone(std::mem::take(&mut self.writes)).into_vec();
        let origins = std::mem::take(&mut self.origins);
        let mut left = Vec::with_capacity(writes.len());
        for (write, (origin, since)) in writes.into_iter().zip(origins) {
            match gone(&write, &origin, &since) {
                true => Pending { write, bytes: 0, since, origin }.refuse(refusal.clone()),
                false => {
                    left.push(write);
                    self.origins.push((origin, since));
                }
            }
        }
        self.writes = shared(left);
    }
}

fn shared(writes: Vec<SealedWrite>) -> SharedWrites {
    Arc::new(List::new(writes).expect("a batch has at most `ENTRY_WRITES` writes"))
}

#[cfg(test)]
mod tests;
