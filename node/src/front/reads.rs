//! Linearizable reads: all that arrived before a round share one question to the quorum.
//!
//! Decides: a read may be answered from this member's state once an index that was asked of the leader after the read arrived is applied
//! here. No lease, no clock. Trusts: the replica's read index. Out of scope: what is read (`outbox.rs`, `lists.rs`). Protocol sections 0 and 3.

use crate::clock;
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
use tokio::time::{sleep, timeout};

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
        let began = clock::now();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::front::testing::space;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// A quorum that takes a while and fails at first.
    #[derive(Default)]
    struct Fake {
        asked: AtomicU64,
        failures: u64,
        fenced: bool,
        committed: AtomicU64,
        applied: AtomicU64,
    }

    impl Quorum for Arc<Fake> {
        async fn read_index(&self) -> Result<u64, ReadError> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            let index = self.committed.load(Ordering::SeqCst);
            sleep(Duration::from_millis(20)).await;
            match (self.fenced, asked < self.failures) {
                (true, _) => Err(ReadError::Fenced(String::new())),
                (false, true) => Err(ReadError::Transient),
                (false, false) => Ok(index),
            }
        }
        async fn wait_applied(&self, index: u64) -> Result<(), ReadError> {
            self.applied.fetch_max(index, Ordering::SeqCst);
            Ok(())
        }
    }

    fn rounds(fake: Fake) -> (Arc<Fake>, Arc<Rounds<Arc<Fake>>>) {
        let fake = Arc::new(fake);
        let rounds = Arc::new(Rounds::new(fake.clone()));
        tokio::spawn(rounds.clone().run());
        (fake, rounds)
    }

    #[tokio::test]
    async fn reads_that_arrive_together_share_a_question() {
        let (fake, rounds) = rounds(Fake::default());
        let outbox = Arc::new(Outbox::default());
        let (space, key) = (space(), ringwall_wire::ids::KeyTag([1; 16]));
        for batch in 0..10u64 {
            let read =
                |number: u64| (outbox.clone(), ReadKey { number: batch * 10 + number, space: space.clone(), key }, Charge::default());
            rounds.submit((0..10).map(read));
            tokio::task::yield_now().await;
        }
        let mut got = 0;
        while got < 100 {
            got += outbox.take().await.unwrap().items.iter().filter(|(item, _)| matches!(item, Item::Read(_))).count();
        }
        assert!(fake.asked.load(Ordering::SeqCst) <= 4, "{:?} questions for 100 reads", fake.asked);
    }

    #[tokio::test]
    async fn a_read_never_rides_on_a_question_asked_before_it_arrived() {
        let (fake, rounds) = rounds(Fake::default());
        // As many rounds as may fly have asked before the late reader comes.
        let mut early = Vec::new();
        for _ in 0..ROUNDS_IN_FLIGHT {
            let rounds = rounds.clone();
            early.push(tokio::spawn(async move { rounds.barrier().await }));
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(fake.asked.load(Ordering::SeqCst), ROUNDS_IN_FLIGHT as u64);
        // What is committed now must be seen by whoever asks now.
        fake.committed.store(7, Ordering::SeqCst);
        rounds.barrier().await.unwrap();
        assert_eq!(fake.applied.load(Ordering::SeqCst), 7);
        for early in early {
            early.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_lost_quorum_is_asked_again_and_a_fence_is_final() {
        let (fake, rounds_) = rounds(Fake { failures: 3, ..Fake::default() });
        rounds_.barrier().await.unwrap();
        assert_eq!(fake.asked.load(Ordering::SeqCst), 4);
        let (_, fenced) = rounds(Fake { fenced: true, ..Fake::default() });
        assert_eq!(fenced.barrier().await.unwrap_err().code, ringwall_wire::session::RefusalCode::Fenced);
    }

    #[tokio::test]
    async fn leaving_answers_what_waits_and_takes_nothing_new() {
        let (_, rounds) = rounds(Fake::default());
        let waiting = tokio::spawn({
            let rounds = rounds.clone();
            async move { rounds.barrier().await }
        });
        tokio::task::yield_now().await;
        rounds.leave();
        assert!(waiting.await.unwrap().is_ok());
        assert_eq!(rounds.barrier().await.unwrap_err().code, ringwall_wire::session::RefusalCode::ShuttingDown);
    }
}
