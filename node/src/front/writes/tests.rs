//! The batcher against a log that fails in every way a real one can.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: the real log (`consensus`, and the suites over real processes).

#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::front::outbox::Taken;
use crate::front::testing::{seq_of, write, write_of};
use futures_util::FutureExt as _;
use ringwall_wire::ids::Revision;
use std::collections::BTreeMap;
use tokio::sync::watch::{Sender, channel};

/// How long writes are tried in these tests.
const PATIENCE: Duration = Duration::from_millis(400);

type Script = dyn Fn(usize, bool) -> Step + Send + Sync;

/// What the log does with one attempt.
enum Step {
    Apply(Duration),
    /// Applied, but the answer is lost.
    ApplyAndLose,
    Fail(ProposeError),
    /// Answered: the bookkeeping of the client is gone.
    Forget,
    Hang,
}

/// A log that applies each write once, whatever is tried again.
struct FakeLog {
    script: Box<Script>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    attempts: Vec<Vec<u64>>,
    applied: BTreeMap<u64, Revision>,
    flying: usize,
    most_flying: usize,
}

impl FakeLog {
    fn apply(&self, writes: &[SealedWrite]) -> Applied {
        let mut inner = self.inner.lock().unwrap();
        let outcomes = writes
            .iter()
            .map(|write| {
                let next = Revision(inner.applied.len() as u64 + 1);
                Outcome::Applied(*inner.applied.entry(seq_of(write)).or_insert(next))
            })
            .collect();
        Applied { index: inner.attempts.len() as u64, outcomes }
    }

    async fn attempt(&self, writes: SharedWrites, here: bool) -> Result<Applied, ProposeError> {
        let attempt = {
            let mut inner = self.inner.lock().unwrap();
            inner.attempts.push(writes.iter().map(seq_of).collect());
            inner.flying += 1;
            inner.most_flying = inner.most_flying.max(inner.flying);
            inner.attempts.len()
        };
        let outcome = match (self.script)(attempt, here) {
            Step::Apply(after) => {
                sleep(after).await;
                Ok(self.apply(&writes))
            }
            Step::ApplyAndLose => {
                self.apply(&writes);
                Err(ProposeError::Unknown)
            }
            Step::Fail(fault) => Err(fault),
            Step::Forget => Ok(Applied { index: 1, outcomes: vec![Outcome::ClientForgotten; writes.len()] }),
            Step::Hang => std::future::pending().await,
        };
        self.inner.lock().unwrap().flying -= 1;
        outcome
    }
}

impl Log for Arc<FakeLog> {
    async fn write(&self, writes: SharedWrites) -> Result<Applied, ProposeError> {
        self.attempt(writes, false).await
    }
    async fn propose_here(&self, writes: SharedWrites) -> Result<Applied, ProposeError> {
        self.attempt(writes, true).await
    }
}

struct World {
    log: Arc<FakeLog>,
    writes: Arc<Writes<Arc<FakeLog>>>,
    leader: Sender<Option<Incarnation>>,
}

fn world(script: impl Fn(usize, bool) -> Step + Send + Sync + 'static) -> World {
    world_in(Room::new(std::env::temp_dir(), 0), script)
}

fn world_in(room: Room, script: impl Fn(usize, bool) -> Step + Send + Sync + 'static) -> World {
    let log = Arc::new(FakeLog { script: Box::new(script), inner: Mutex::default() });
    let (leader, known) = channel(Some(Incarnation(1)));
    let mut writes = Writes::new(log.clone(), known, room);
    writes.patience = PATIENCE;
    let writes = Arc::new(writes);
    tokio::spawn(writes.clone().run());
    World { log, writes, leader }
}

fn pending(outbox: &Arc<Outbox>, seq: u64) -> Pending {
    Pending::of_session(write(seq), outbox.clone(), seq, Charge::default())
}

/// Answers by request number, once `count` came.
async fn answers(outbox: &Outbox, count: usize) -> BTreeMap<u64, Answer> {
    let mut got = BTreeMap::new();
    while got.len() < count {
        let Taken { items, .. } = outbox.take().await.unwrap();
        for (item, _) in items {
            let Item::Ready(reply) = item else { panic!("a write was answered with a read") };
            assert!(got.insert(reply.number, reply.body).is_none(), "answered twice");
        }
    }
    got
}

fn code(answer: &Answer) -> RefusalCode {
    match answer {
        Answer::Refused(refusal) => refusal.code,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn what_waits_shares_an_entry_and_few_entries_fly() {
    let world = world(|_, _| Step::Apply(Duration::from_millis(5)));
    let outbox = Arc::new(Outbox::default());
    for seq in 1..=1_000 {
        world.writes.submit([pending(&outbox, seq)]);
        if seq % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let got = answers(&outbox, 1_000).await;
    assert!(got.values().all(|answer| matches!(answer, Answer::Written(_))));
    let inner = world.log.inner.lock().unwrap();
    assert!(inner.attempts.len() <= 10, "{} entries for 1,000 writes", inner.attempts.len());
    assert_eq!(inner.most_flying, BATCHES_IN_FLIGHT);
    let order: Vec<u64> = inner.attempts.iter().flatten().copied().collect();
    assert_eq!(order, (1..=1_000).collect::<Vec<_>>(), "the order of arrival is kept");
}

#[tokio::test]
async fn an_entry_is_cut_at_its_limits() {
    let world = world(|_, _| Step::Apply(Duration::from_millis(5)));
    let outbox = Arc::new(Outbox::default());
    let large: Vec<Pending> =
        (1..=9).map(|seq| Pending::of_session(write_of(seq, 1 << 20), outbox.clone(), seq, Charge::default())).collect();
    world.writes.submit(large);
    answers(&outbox, 9).await;
    world.writes.submit((10..=10 + ENTRY_WRITES as u64).map(|seq| pending(&outbox, seq)).collect::<Vec<_>>());
    answers(&outbox, ENTRY_WRITES + 1).await;
    let inner = world.log.inner.lock().unwrap();
    assert!(inner.attempts.iter().all(|attempt| attempt.len() <= ENTRY_WRITES));
    assert_eq!(inner.attempts[0].len(), 3, "three sealed values of 1 MiB fit an entry of 4 MiB");
}

#[tokio::test]
async fn the_size_of_a_write_is_never_guessed_too_small() {
    for bytes in [0, 1, 64, 65, 4_096, 100_000, 1 << 20] {
        let write = write_of(1, bytes);
        let (real, guess) = (write.to_bytes().len(), size(&write));
        assert!(real <= guess && guess <= real + 256, "{real} bytes, guessed {guess}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_retried_with_the_same_write_and_applied_once() {
    let world = world(|attempt, _| match attempt {
        1 => Step::ApplyAndLose,
        2 => Step::Fail(ProposeError::Transient),
        3 => Step::Fail(ProposeError::NotLeader { leader: None }),
        _ => Step::Apply(Duration::ZERO),
    });
    let outbox = Arc::new(Outbox::default());
    world.writes.submit([pending(&outbox, 1)]);
    assert_eq!(answers(&outbox, 1).await[&1], Answer::Written(Revision(1)));
    let inner = world.log.inner.lock().unwrap();
    assert_eq!(inner.attempts, [[1], [1], [1], [1]]);
    assert_eq!(inner.applied.len(), 1);
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up_when_another_leads() {
    let world = world(|attempt, _| if attempt == 1 { Step::Hang } else { Step::Apply(Duration::ZERO) });
    let outbox = Arc::new(Outbox::default());
    let began = Instant::now();
    world.writes.submit([pending(&outbox, 1)]);
    sleep(Duration::from_millis(100)).await;
    world.leader.send_replace(Some(Incarnation(2)));
    assert!(matches!(answers(&outbox, 1).await[&1], Answer::Written(_)));
    assert!(began.elapsed() < PATIENCE - Duration::from_millis(50), "took {:?}", began.elapsed());
}

#[tokio::test]
async fn every_write_is_answered_when_the_group_is_gone() {
    let world = world(|_, _| Step::Hang);
    let outbox = Arc::new(Outbox::default());
    for seq in 1..=20 {
        world.writes.submit([pending(&outbox, seq)]);
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let got = answers(&outbox, 20).await;
    assert!(got.values().all(|answer| code(answer) == RefusalCode::Unavailable));
    assert!(began.elapsed() < PATIENCE * 3, "took {:?}", began.elapsed());
}

#[tokio::test]
async fn too_much_at_once_is_busy_and_never_proposed() {
    let world = world(|_, _| Step::Hang);
    let outbox = Arc::new(Outbox::default());
    let mut filler: Vec<Pending> = (1..=2).map(|seq| pending(&outbox, seq)).collect();
    filler[1].bytes = QUEUE_BYTES;
    world.writes.submit(filler);
    assert_eq!(code(&answers(&outbox, 1).await[&2]), RefusalCode::Busy);
    assert!(world.log.inner.lock().unwrap().attempts.iter().flatten().all(|seq| *seq != 2));
}

#[tokio::test]
async fn leaving_answers_what_waits_and_takes_nothing_new() {
    let world = world(|_, _| Step::Apply(Duration::from_millis(50)));
    let outbox = Arc::new(Outbox::default());
    world.writes.submit([pending(&outbox, 1)]);
    world.writes.leave();
    world.writes.submit([pending(&outbox, 2)]);
    let got = answers(&outbox, 2).await;
    assert!(matches!(got[&1], Answer::Written(_)));
    assert_eq!(code(&got[&2]), RefusalCode::ShuttingDown);
}

#[tokio::test]
async fn a_fenced_log_refuses_at_once() {
    let world = world(|_, _| Step::Fail(ProposeError::Fenced(String::new())));
    let outbox = Arc::new(Outbox::default());
    world.writes.submit([pending(&outbox, 1)]);
    assert_eq!(code(&answers(&outbox, 1).await[&1]), RefusalCode::Fenced);
}

fn call(seqs: std::ops::RangeInclusive<u64>) -> ForwardCall {
    ForwardCall { writes: List::new(seqs.map(write).collect()).unwrap().into() }
}

#[tokio::test]
async fn forwarded_writes_share_entries_and_keep_their_outcomes() {
    let world = world(|attempt, _| Step::Apply(Duration::from_millis(10 * attempt as u64)));
    let outbox = Arc::new(Outbox::default());
    let (first, second) = tokio::join!(world.writes.forwarded(call(1..=50)), async {
        world.writes.submit([pending(&outbox, 1_000)]);
        world.writes.forwarded(call(51..=60)).await
    });
    let PeerAnswer::Outcomes(first) = first else { panic!("{first:?}") };
    let PeerAnswer::Outcomes(second) = second else { panic!("{second:?}") };
    assert_eq!((first.outcomes.len(), second.outcomes.len()), (50, 10));
    let applied = world.log.inner.lock().unwrap().applied.clone();
    for (seq, outcome) in (1..=50).zip(&*first.outcomes).chain((51..=60).zip(&*second.outcomes)) {
        assert_eq!(*outcome, Outcome::Applied(applied[&seq]));
    }
}

#[tokio::test]
async fn forwarded_writes_are_not_forwarded_again_and_own_ones_go_on() {
    let world = world(|_, here| match here {
        true => Step::Fail(ProposeError::NotLeader { leader: None }),
        false => Step::Apply(Duration::ZERO),
    });
    let outbox = Arc::new(Outbox::default());
    // Both wait before the batcher runs, so that they share an entry.
    world.writes.submit([pending(&outbox, 1_000)]);
    let answer = world.writes.forwarded(call(1..=5)).await;
    assert!(matches!(answer, PeerAnswer::Refused(_)), "{answer:?}");
    assert!(matches!(answers(&outbox, 1).await[&1_000], Answer::Written(_)));
    let inner = world.log.inner.lock().unwrap();
    assert_eq!(inner.applied.keys().copied().collect::<Vec<_>>(), [1_000]);
    assert!(matches!(
        world.writes.forwarded(ForwardCall { writes: SharedWrites::default() }).now_or_never(),
        Some(PeerAnswer::Outcomes(_))
    ));
}

#[tokio::test]
async fn without_room_nothing_that_takes_space_is_proposed_and_deletes_are() {
    let world = world_in(Room::new(std::env::temp_dir(), u64::MAX), |_, _| Step::Apply(Duration::ZERO));
    let outbox = Arc::new(Outbox::default());
    let put = Pending::of_session(write_of(1, 10), outbox.clone(), 1, Charge::default());
    world.writes.submit([put, pending(&outbox, 2)]);
    let got = answers(&outbox, 2).await;
    assert_eq!(code(&got[&1]), RefusalCode::NoRoom);
    let Answer::Refused(refusal) = &got[&1] else { panic!("{got:?}") };
    assert!(refusal.detail.contains("disk reserve") && refusal.detail.contains("not applied"), "{refusal:?}");
    assert!(matches!(got[&2], Answer::Written(_)), "{got:?}");
    // The same for what another member brings, all of it or nothing.
    let mixed = ForwardCall { writes: List::new(vec![write(3), write_of(4, 10)]).unwrap().into() };
    let PeerAnswer::Refused(refusal) = world.writes.forwarded(mixed).await else { panic!("a forwarded put was taken") };
    assert_eq!(refusal.code, RefusalCode::NoRoom);
    assert!(matches!(world.writes.forwarded(call(5..=6)).await, PeerAnswer::Outcomes(_)));
    assert_eq!(world.log.inner.lock().unwrap().applied.keys().copied().collect::<Vec<_>>(), [2, 5, 6]);
}

#[tokio::test]
async fn a_leader_without_room_refuses_what_takes_space_and_the_rest_goes_on() {
    for (lost, told) in [(0, RefusalCode::NoRoom), (1, RefusalCode::Unavailable)] {
        let world = world(move |attempt, _| match attempt {
            attempt if attempt <= lost => Step::Fail(ProposeError::Unknown),
            attempt if attempt == lost + 1 => Step::Fail(ProposeError::NoRoom),
            _ => Step::Apply(Duration::ZERO),
        });
        let outbox = Arc::new(Outbox::default());
        let put = Pending::of_session(write_of(1, 10), outbox.clone(), 1, Charge::default());
        world.writes.submit([put, pending(&outbox, 2)]);
        let got = answers(&outbox, 2).await;
        assert_eq!(code(&got[&1]), told, "after {lost} lost attempts: {got:?}");
        assert!(matches!(got[&2], Answer::Written(_)), "{got:?}");
        assert_eq!(world.log.inner.lock().unwrap().applied.keys().copied().collect::<Vec<_>>(), [2]);
    }
}

#[tokio::test]
async fn a_forgotten_client_is_told_not_applied_only_after_the_first_attempt() {
    for (lost, told) in [(0, RefusalCode::ClientForgotten), (1, RefusalCode::OutcomeUnknown)] {
        let world = world(move |attempt, _| if attempt <= lost { Step::Fail(ProposeError::Unknown) } else { Step::Forget });
        let outbox = Arc::new(Outbox::default());
        world.writes.submit([pending(&outbox, 1)]);
        assert_eq!(code(&answers(&outbox, 1).await[&1]), told, "after {lost} lost attempts");
    }
}
