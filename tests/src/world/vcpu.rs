//! The virtual CPU of a process, in the hands of its host: it can be paused at any step of any task, slowed, and stopped for ever.
//!
//! Decides: every task of a process, openraft's too, asks here before each step. A stopped process never takes another step: that is
//! what a crash is. A pause may be set for a step counted from now: a pause at a chosen await.
//! Trusts: nothing. Out of scope: when (`faults`). Register R7.

use crate::world::dice::Dice;
use ringwall_consensus::runtime::Host;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

/// The CPU of one process.
pub struct Vcpu {
    dice: Dice,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    steps: u64,
    stopped: bool,
    doomed: bool,
    paused: bool,
    pause_at: Option<u64>,
    panic_at: Option<u64>,
    waiting: Vec<Waker>,
    /// When somebody first saw it run again.
    seen_awake_ms: Option<u64>,
}

impl Vcpu {
    /// Runs; its process draws from `dice`.
    pub fn new(dice: Dice) -> Self {
        Vcpu { dice, inner: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes no step any more.
    pub fn stop(&self) {
        self.lock().stopped = true;
    }

    /// Its process will be gone soon: nobody counts on it any more.
    pub fn doom(&self) {
        self.lock().doomed = true;
    }

    /// Whether its process will be gone soon.
    pub fn is_doomed(&self) -> bool {
        self.lock().doomed
    }

    /// Whether it was stopped for ever.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Whether it is paused right now.
    pub fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// Pauses before the step that comes `steps` from now.
    pub fn pause_after(&self, steps: u64) {
        let mut inner = self.lock();
        inner.pause_at = Some(inner.steps + steps);
    }

    /// The task that takes the step `steps` from now panics.
    pub fn panic_after(&self, steps: u64) {
        let mut inner = self.lock();
        inner.panic_at = Some(inner.steps + steps);
    }

    /// Goes on.
    pub fn resume(&self) {
        let waiting = {
            let mut inner = self.lock();
            inner.paused = false;
            inner.pause_at = None;
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether it has run for this long since it was first asked.
    pub fn awake_for(&self, ms: u64, now_ms: u64) -> bool {
        let mut inner = self.lock();
        let since = *inner.seen_awake_ms.get_or_insert(now_ms);
        now_ms >= since + ms
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }
}

impl Host for Vcpu {
    fn draw(&self) -> u64 {
        self.dice.word()
    }

    fn step(&self, task: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.stopped {
            return Poll::Pending;
        }
        inner.steps += 1;
        if inner.pause_at.is_some_and(|at| inner.steps >= at) {
            inner.pause_at = None;
            inner.paused = true;
        }
        if inner.paused {
            inner.waiting.push(task.waker().clone());
            return Poll::Pending;
        }
        if inner.panic_at.is_some_and(|at| inner.steps >= at) {
            inner.panic_at = None;
            drop(inner);
            #[expect(clippy::panic, reason = "the fault this plants is a panic")]
            std::panic::panic_any(Planted);
        }
        Poll::Ready(())
    }
}

/// What a planted panic carries, so that it is told from a real one.
#[derive(Debug)]
pub struct Planted;
