//! Where work that blocks is done: threads by default, or a schedule that a test plays step by step.
//!
//! Decides: which work there is (a short piece that a task waits for, a long piece that nobody waits for, a service with a queue)
//! and that none of it depends on being alone: a piece that is needed before it was begun is done by whoever needs it.
//! Trusts: the workers to do everything they are given, once. Out of scope: what the work is. Protocol section 5.1.

#[cfg(any(test, feature = "faults"))]
mod stepped;

#[cfg(any(test, feature = "faults"))]
pub use stepped::{Stepped, Waiting};

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::oneshot;

/// A piece of work.
pub type Work = Box<dyn FnOnce() + Send>;

/// Tells a service that something was put into its queue.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What a service found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It did something, and there may be more.
    Worked,
    /// Its queue was empty.
    Idle,
    /// It was told to end, or nobody can reach it any more.
    Ended,
}

/// Something that serves a queue.
pub trait Service: Send {
    /// Does what waits in the queue, as far as one group goes, without waiting for more.
    fn step(&mut self) -> Step;
    /// Waits until the queue holds something, or its senders are gone. Only threads call this.
    fn wait(&mut self);
}

/// Does work that blocks.
pub trait Workers: Send + Sync + 'static {
    /// Does a short piece that a task waits for. Called within a runtime.
    fn soon(&self, name: &'static str, work: Work);
    /// Does a long piece. Called from anywhere.
    fn beside(&self, name: &'static str, work: Work);
    /// Keeps a service going until it has ended. Whoever queues something calls what this gives.
    fn serve(&self, name: &'static str, service: Box<dyn Service>) -> io::Result<Wake>;
}

/// Threads: tokio's for short pieces, one of its own for everything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Workers for Threads {
    fn soon(&self, _: &'static str, work: Work) {
        drop(tokio::task::spawn_blocking(work));
    }

    fn beside(&self, name: &'static str, work: Work) {
        // A system that gives no thread makes the caller wait instead.
        let slot = Arc::new(Mutex::new(Some(work)));
        let taken = Arc::clone(&slot);
        let run = move |slot: &Mutex<Option<Work>>| {
            let work = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(work) = work {
                work();
            }
        };
        if std::thread::Builder::new().name(name.into()).spawn(move || run(&taken)).is_err() {
            run(&slot);
        }
    }

    fn serve(&self, name: &'static str, mut service: Box<dyn Service>) -> io::Result<Wake> {
        std::thread::Builder::new().name(name.into()).spawn(move || {
            loop {
                match service.step() {
                    Step::Worked => {}
                    Step::Idle => service.wait(),
                    Step::Ended => return,
                }
            }
        })?;
        Ok(Arc::new(|| {})) // The queue wakes its thread.
    }
}

/// Does `work` where it may block, and waits for what it gives.
pub(crate) async fn done<T: Send + 'static>(
    workers: &dyn Workers,
    name: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (give, given) = oneshot::channel();
    workers.soon(name, Box::new(move || drop(give.send(work()))));
    given.await.unwrap_or_else(|_| Err(io::Error::other(format!("{name}: the work did not end"))))
}

/// A long piece of work whose result is needed later; by then it is done, under way, or done by who needs it.
pub(crate) struct Ahead<T>(Arc<Shared<T>>);

struct Shared<T> {
    stage: Mutex<Stage<T>>,
    changed: Condvar,
}

enum Stage<T> {
    Waiting(Box<dyn FnOnce() -> io::Result<T> + Send>),
    UnderWay,
    Done(io::Result<T>),
    Taken,
}

impl<T: Send + 'static> Ahead<T> {
    /// Has `work` done beside everything else.
    pub(crate) fn begin(workers: &dyn Workers, name: &'static str, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Self {
        let shared = Arc::new(Shared { stage: Mutex::new(Stage::Waiting(Box::new(work))), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        workers.beside(name, Box::new(move || theirs.run()));
        Ahead(shared)
    }

    /// The result. Does the work here if nobody began it; waits for who did.
    pub(crate) fn take(self) -> io::Result<T> {
        self.0.run();
        let mut stage = self.0.lock();
        loop {
            match std::mem::replace(&mut *stage, Stage::Taken) {
                Stage::Done(result) => return result,
                other => *stage = other,
            }
            stage = self.0.changed.wait(stage).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Stage<T>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut stage = self.lock();
        let work = match std::mem::replace(&mut *stage, Stage::UnderWay) {
            Stage::Waiting(work) => work,
            other => {
                *stage = other;
                return;
            }
        };
        drop(stage);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        *self.lock() = Stage::Done(caught.unwrap_or_else(|_| Err(io::Error::other("work done ahead panicked"))));
        self.changed.notify_all();
    }
}
