//! Workers that do nothing by themselves: a test looks at what waits, picks, and has it done on its own thread.
//!
//! Decides: everything waits in the order in which it was asked for until it is picked; a service is offered while it was woken and
//! has not said that it is idle. Trusts: one thread plays. Out of scope: which piece is picked. Protocol section 5.1.

use crate::workers::{Service, Step, Wake, Work, Workers};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// One thing that can be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A short piece that a task waits for.
    Soon(&'static str),
    /// A long piece.
    Beside(&'static str),
    /// A group of a service's queue.
    Service(&'static str),
}

/// Work that waits to be picked; clones are the same.
#[derive(Clone, Default)]
pub struct Stepped {
    held: Arc<Mutex<Held>>,
    arrived: Arc<Notify>,
}

#[derive(Default)]
struct Held {
    work: VecDeque<(Waiting, Work)>,
    services: Vec<Serving>,
}

struct Serving {
    name: &'static str,
    /// None while it is at work.
    service: Option<Box<dyn Service>>,
    woken: Arc<AtomicBool>,
}

impl Stepped {
    /// Everything that can be done now: pieces in the order in which they were asked for, then services.
    pub fn waiting(&self) -> Vec<Waiting> {
        let held = self.lock();
        let pieces = held.work.iter().map(|(waiting, _)| *waiting);
        pieces.chain(held.ready().map(|serving| Waiting::Service(serving.name))).collect()
    }

    /// Waits until something may wait: for a player that is a task, so that simulated time does not run ahead of the work.
    pub async fn arrived(&self) {
        while self.waiting().is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Does the `pick`th of [`Stepped::waiting`]; false when there is none.
    pub fn run(&self, pick: usize) -> bool {
        let mut held = self.lock();
        if pick < held.work.len() {
            let work = held.work.remove(pick);
            drop(held); // Work may ask for more work.
            if let Some((_, work)) = work {
                work();
            }
            return true;
        }
        let pick = pick - held.work.len();
        let Some(serving) = held.services.iter_mut().filter(|serving| serving.is_ready()).nth(pick) else { return false };
        let woken = Arc::clone(&serving.woken);
        woken.store(false, Ordering::SeqCst);
        let Some(mut service) = serving.service.take() else { return false };
        drop(held);
        let step = service.step();
        let mut held = self.lock();
        if step == Step::Worked {
            woken.store(true, Ordering::SeqCst);
        }
        match step {
            Step::Ended => held.services.retain(|serving| !Arc::ptr_eq(&serving.woken, &woken)),
            Step::Worked | Step::Idle => {
                if let Some(serving) = held.services.iter_mut().find(|serving| Arc::ptr_eq(&serving.woken, &woken)) {
                    serving.service = Some(service);
                }
            }
        }
        true
    }

    /// Does everything that waits, first come first served, until nothing does. Gives how many pieces were done.
    pub fn run_all(&self) -> usize {
        let mut done = 0;
        while self.run(0) {
            done += 1;
        }
        done
    }

    /// Forgets everything that waits: the process died.
    pub fn clear(&self) {
        let mut held = self.lock();
        let gone = (std::mem::take(&mut held.work), std::mem::take(&mut held.services));
        drop(held); // What is dropped may ask again.
        drop(gone);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn ready(&self) -> impl Iterator<Item = &Serving> {
        self.services.iter().filter(|serving| serving.is_ready())
    }
}

impl Serving {
    fn is_ready(&self) -> bool {
        self.service.is_some() && self.woken.load(Ordering::SeqCst)
    }
}

impl Workers for Stepped {
    fn soon(&self, name: &'static str, work: Work) {
        self.lock().work.push_back((Waiting::Soon(name), work));
        self.arrived.notify_one();
    }

    fn beside(&self, name: &'static str, work: Work) {
        self.lock().work.push_back((Waiting::Beside(name), work));
        self.arrived.notify_one();
    }

    fn serve(&self, name: &'static str, service: Box<dyn Service>) -> io::Result<Wake> {
        let woken = Arc::new(AtomicBool::new(true));
        self.lock().services.push(Serving { name, service: Some(service), woken: Arc::clone(&woken) });
        self.arrived.notify_one();
        let arrived = Arc::clone(&self.arrived);
        Ok(Arc::new(move || {
            woken.store(true, Ordering::SeqCst);
            arrived.notify_one();
        }))
    }
}
