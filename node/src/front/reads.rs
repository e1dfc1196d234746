//! Linearizable reads: all that arrived before a round share one question to the quorum.
//!
//! Decides: a read may be answered from this member's state once an index that was asked of the leader after the read arrived is applied
//! here. No lease, no clock. Trusts: the replica's read index. Out of scope: what is read (`outbox.rs`, `lists.rs`). Protocol sections 0 and 3.

use crate::front::limits::{READ_PATIENCE, RETRY_FIRST, RETRY_MOST, ROUNDS_IN_FLIGHT};
use crate::front::outbox::{Charge, Item, Outbox, ReadKey};
use crate::front::refusals::{fenced, leaving, unavailable, unreadable};
use futures_util::stream::{FuturesUnordered, StreamExt};
use ringwall_consensus::{ReadError, Replica, View};
use ringwall_wire::bounded::Blob;
use ringwall_wire::request::{Answer, Entry};
use ringwall_wire::session::Refusal;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// What a round needs of a replica.
pub(crate) trait Quorum: Send + Sync + 'static {
    /// The index a read that begins now must wait for.
    fn read_index(&self) -> impl Future<Output = Result<u64, ReadError>> + Send;
    /// Waits until it is applied here.
    fn wait_applied(&self, index: u64) -> impl Future<Output = Result<(), ReadError>> + Send;
}

impl Quorum for Replica {
    async fn read_index(&self) -> Result<u64, ReadError> {
        Replica::read_index(self).await
    }
    async fn wait_applied(&self, index: u64) -> Result<(), ReadError> {
        Replica::wait_applied(self, index).await
    }
}

/// Who waits for a round.
#[derive(Debug)]
enum Waiter {
    Read { outbox: Arc<Outbox>, read: ReadKey, charge: Charge },
    Signal(oneshot::Sender<Result<(), Refusal>>),
}

#[derive(Debug, Default)]
struct Gathering {
    waiters: Vec<Waiter>,
    leaving: bool,
}

/// The reads that gather for the next round, and the loop that runs the rounds.
pub(crate) struct Rounds<Q> {
    quorum: Q,
    gathering: Mutex<Gathering>,
    wake: Notify,
}

impl<Q: Quorum> Rounds<Q> {
    /// Rounds over `quorum`.
    pub(crate) fn new(quorum: Q) -> Self {
        Rounds { quorum, gathering: Mutex::default(), wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Gathering> {
        self.gathering.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Queues reads of single keys; after their round they go to their session's outbox.
    pub(crate) fn submit(&self, reads: impl IntoIterator<Item = (Arc<Outbox>, ReadKey, Charge)>) {
        let refused: Vec<_> = {
            let mut gathering = self.lock();
            let reads = reads.into_iter().map(|(outbox, read, charge)| Waiter::Read { outbox, read, charge });
            match gathering.leaving {
                true => reads.collect(),
                false => {
                    gathering.waiters.extend(reads);
                    Vec::new()
                }
            }
        };
        self.wake.notify_one();
        tell(refused, &Err(leaving()));
    }

    /// Waits for a round that begins after this call: then this member's state is fresh enough.
    pub(crate) async fn barrier(&self) -> Result<(), Refusal> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut gathering = self.lock();
            if gathering.leaving {
                return Err(leaving());
            }
            gathering.waiters.push(Waiter::Signal(sender));
        }
        self.wake.notify_one();
        receiver.await.unwrap_or_else(|_| Err(leaving()))
    }

    /// Takes no more reads; [`Rounds::run`] returns when those it has are answered.
    pub(crate) fn leave(&self) {
        self.lock().leaving = true;
        self.wake.notify_one();
    }

    /// Runs rounds until [`Rounds::leave`]; run it in one task.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut flights = FuturesUnordered::new();
        loop {
            let leaving = {
                let mut gathering = self.lock();
                if flights.len() < ROUNDS_IN_FLIGHT && !gathering.waiters.is_empty() {
                    flights.push(self.round(std::mem::take(&mut gathering.waiters)));
                }
                gathering.leaving && gathering.waiters.is_empty()
            };
            if leaving && flights.is_empty() {
                return;
            }
            tokio::select! {
                Some(()) = flights.next(), if !flights.is_empty() => {}
                () = self.wake.notified() => {}
            }
        }
    }

    async fn round(&self, waiters: Vec<Waiter>) {
        let outcome = self.ask().await;
        tell(waiters, &outcome);
    }

    async fn ask(&self) -> Result<(), Refusal> {
        let began = Instant::now();
        let mut pause = RETRY_FIRST;
        loop {
            let tried = timeout(READ_PATIENCE.saturating_sub(began.elapsed()), async {
                let index = self.quorum.read_index().await?;
                self.quorum.wait_applied(index).await
            });
            match tried.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(ReadError::Fenced(_))) => return Err(fenced()),
                Ok(Err(ReadError::Transient)) if began.elapsed() < READ_PATIENCE => sleep(pause).await,
                Ok(Err(ReadError::Transient)) | Err(_) => return Err(unavailable()),
            }
            pause = pause.saturating_mul(2).min(RETRY_MOST);
        }
    }
}

fn tell(waiters: Vec<Waiter>, outcome: &Result<(), Refusal>) {
    let mut sleeping: Vec<Arc<Outbox>> = Vec::new();
    for waiter in waiters {
        match (waiter, outcome) {
            (Waiter::Read { outbox, read, charge }, Ok(())) => {
                if outbox.push(Item::Read(read), charge) {
                    sleeping.push(outbox);
                }
            }
            (Waiter::Read { outbox, read, charge }, Err(refusal)) => outbox.answer(read.number, Answer::Refused(refusal.clone()), charge),
            // Whoever waited may be gone.
            (Waiter::Signal(sender), outcome) => drop(sender.send(outcome.clone())),
        }
    }
    for outbox in sleeping {
        outbox.wake();
    }
}

/// Reads one key from `view`.
pub(crate) fn read_key(view: &View, read: &ReadKey) -> Answer {
    let stored = match view.get(read.space.tag(), &read.key) {
        Ok(Some(stored)) => stored,
        Ok(None) => return Answer::Absent(view.revision()),
        Err(_) => return Answer::Refused(fenced()),
    };
    let Ok((name, value)) = read.space.keys().open(&read.key, &stored.record) else {
        tracing::error!(space = %read.space.tag(), "a stored record did not open");
        return Answer::Refused(unreadable());
    };
    match (Blob::new(name), Blob::new(value)) {
        (Ok(key), Ok(value)) => Answer::Found(Entry { key, value, version: stored.version }),
        _ => Answer::Refused(unreadable()),
    }
}
