//! The runtime Raft runs on: tokio, and a host that may decide its chance and its pace.
//!
//! Decides: every task of a replica, ours or openraft's, is a task of its [`Host`] where it has one: the host gives the seed of every
//! generator openraft asks for (election timeouts), and may hold a task before any of its steps, as a hypervisor holds a virtual CPU.
//! Without a host this is tokio with the thread's own generator, and tasks are not wrapped.
//! Trusts: the host, which is part of this process. Out of scope: who needs one (a simulator). Protocol section 4.

use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt::{AsyncRuntime, OptionalSend};
use openraft_rt_tokio::TokioRuntime;
use rand_core::{Rng, SeedableRng};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Whoever runs the tasks of one replica.
pub trait Host: Send + Sync + 'static {
    /// Seeds the next generator.
    fn draw(&self) -> u64;
    /// Asked before a task takes a step; a task that is not let through is asked again when its waker is woken.
    fn step(&self, task: &mut Context<'_>) -> Poll<()>;
}

thread_local! {
    /// Whose task takes a step on this thread right now.
    static PRESENT: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
}

/// A task of a host.
struct Hosted<F> {
    host: Arc<dyn Host>,
    task: Pin<Box<F>>,
}

/// Puts the host before this one back, also when a task panics.
struct Restored(Option<Arc<dyn Host>>);

impl Drop for Restored {
    fn drop(&mut self) {
        PRESENT.with(|present| *present.borrow_mut() = self.0.take());
    }
}

impl<F: Future> Future for Hosted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.host.step(context).is_pending() {
            return Poll::Pending;
        }
        let host = Arc::clone(&self.host);
        let _restored = Restored(PRESENT.with(|present| present.borrow_mut().replace(host)));
        self.task.as_mut().poll(context)
    }
}

/// Makes `task`, and every task it starts through [`spawn`] or openraft, a task of `host`.
pub async fn hosted<F: Future>(host: Option<Arc<dyn Host>>, task: F) -> F::Output {
    match host {
        Some(host) => Hosted { host, task: Box::pin(task) }.await,
        None => task.await,
    }
}

fn present() -> Option<Arc<dyn Host>> {
    PRESENT.with(|present| present.borrow().clone())
}

/// Starts a task of the same host.
pub fn spawn<T>(task: T) -> JoinHandle<T::Output>
where
    T: Future + Send + 'static,
    T::Output: Send + 'static,
{
    match present() {
        Some(host) => tokio::spawn(Hosted { host, task: Box::pin(task) }),
        None => tokio::spawn(task),
    }
}

/// openraft's runtime.
#[derive(Debug)]
pub(crate) struct Runtime(TokioRuntime);

/// The generator openraft draws from.
type Dice = <DeterministicRng<TokioRuntime> as AsyncRuntime>::ThreadLocalRng;

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = Dice;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = crate::watch::Channel;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    // tidy: openraft's name for what spreads its timeouts; no key comes from it
    fn thread_rng() -> Dice {
        // tidy: see above
        let seed = present().map_or_else(|| TokioRuntime::thread_rng().next_u64(), |host| host.draw());
        Dice::seed_from_u64(seed)
    }

    fn new(threads: usize) -> Self {
        Runtime(TokioRuntime::new(threads))
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Mutex;
    use std::task::Waker;

    /// Counts draws; holds tasks while it is told to.
    #[derive(Default)]
    struct Counting {
        drawn: Mutex<u64>,
        held: Mutex<Option<Vec<Waker>>>,
    }

    impl Host for Counting {
        fn draw(&self) -> u64 {
            let mut drawn = self.drawn.lock().unwrap();
            *drawn += 1;
            *drawn
        }

        fn step(&self, task: &mut Context<'_>) -> Poll<()> {
            match &mut *self.held.lock().unwrap() {
                Some(waiting) => {
                    waiting.push(task.waker().clone());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            }
        }
    }

    #[tokio::test]
    async fn tasks_of_tasks_draw_from_their_host() {
        let host = Arc::new(Counting::default());
        let first = hosted(Some(host.clone()), async { spawn(async { Runtime::thread_rng().next_u64() }).await.unwrap() }).await;
        assert_eq!(*host.drawn.lock().unwrap(), 1);
        assert_eq!(first, Dice::seed_from_u64(1).next_u64());
        let _ = Runtime::thread_rng();
        assert_eq!(*host.drawn.lock().unwrap(), 1, "outside, nobody is present");
    }

    #[tokio::test]
    async fn a_held_task_takes_no_step_until_it_is_let_go() {
        let host = Arc::new(Counting::default());
        *host.held.lock().unwrap() = Some(Vec::new());
        let task = tokio::spawn(hosted(Some(host.clone()), async {}));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        let waiting = host.held.lock().unwrap().take().unwrap();
        waiting.into_iter().for_each(Waker::wake);
        task.await.unwrap();
    }
}
