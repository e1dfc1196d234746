//! The one task of a client: carries out what the core says, over connections, and tells it what came of it.
//!
//! Decides: nothing but the order in which what happened is told. One task writes and reads, so many askers part records and wake-ups; attempts at nodes
//! are futures of the same task, beside each other.
//! Trusts: the core (`ringwall_session::core`) for everything that is decided, the dialler for verification. Out of scope: both. Protocol section 3, step 7.

use crate::client::Shared;
use crate::clock;
use crate::entropy::Entropy;
use crate::error::{ConnectError, WatchError};
use crate::link::{Dial, DialError, Link, LinkError, Opened};
use crate::options::Timeouts;
use crate::waiting::{Follower, Waiter};
use ringwall_session::asked::Submission;
use ringwall_session::core::{Core, DialId, Effect};
use ringwall_wire::ids::{ClientId, Revision};
use ringwall_wire::request::{KeyName, Namespace, Unlock};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

/// Commands taken from the channel at once.
const COMMANDS: usize = 256;

/// What askers send to the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// An operation.
    Ask(Submission<Waiter>),
    /// A watch.
    Watch { namespace: Namespace, prefix: KeyName, after: Revision, reader: Follower, taken: oneshot::Sender<Result<(), WatchError>> },
    /// Give every node in use the user's part of a namespace's keys; tells whether there is room for another one.
    Keep { unlock: Unlock, taken: oneshot::Sender<bool> },
    /// End the client for everybody.
    Close,
}

/// The task.
pub(crate) struct Driver<D: Dial> {
    core: Core<Waiter, Follower>,
    dialler: Arc<D>,
    attempts: Vec<Attempt<D>>,
    /// What an attempt opened, until the core uses it.
    fresh: Option<(DialId, D::Link)>,
    link: Option<(DialId, D::Link)>,
    /// A session was in use.
    begun: bool,
    /// A session was left just now.
    left: bool,
    inbox: mpsc::Receiver<Command>,
    commands: Vec<Command>,
    arrived: Vec<Vec<u8>>,
    alarm: Pin<Box<Sleep>>,
    shared: Arc<Shared>,
}

/// An attempt at a node: dropping it ends it.
struct Attempt<D: Dial> {
    dial: DialId,
    address: String,
    client: ClientId,
    until: Instant,
    progress: Pin<Box<dyn Future<Output = Progress<D>> + Send>>,
}

enum Progress<D: Dial> {
    Reached(D::Reach),
    Opened(D::Link, Box<Opened>),
    Failed(DialError),
}

impl<D: Dial> Driver<D> {
    /// A task that is not running yet. Must be called inside a tokio runtime.
    pub(crate) fn new(dialler: D, addresses: Vec<String>, timeouts: Timeouts, inbox: mpsc::Receiver<Command>, shared: Arc<Shared>) -> Self {
        Driver {
            core: Core::new(addresses, timeouts, &mut Entropy),
            dialler: Arc::new(dialler),
            attempts: Vec::new(),
            fresh: None,
            link: None,
            begun: false,
            left: false,
            inbox,
            commands: Vec::with_capacity(COMMANDS),
            arrived: Vec::new(),
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            shared,
        }
    }

    /// Opens the first session, for whoever made the client.
    pub(crate) async fn open(&mut self) -> Result<(), ConnectError> {
        self.core.open(clock::now_ms());
        loop {
            if let Some(why) = self.carry_out() {
                return Err(why.map_or(ConnectError::Closed, |why| *why));
            }
            if self.begun {
                return Ok(());
            }
            self.wait().await;
        }
    }

    /// Runs until the client is gone.
    pub(crate) async fn run(mut self) {
        while self.carry_out().is_none() {
            if std::mem::take(&mut self.left) {
                // Until the timer's next tick: a node that breaks whatever it is sent does not keep this task from giving way.
                tokio::time::sleep(Duration::ZERO).await;
            }
            self.wait().await;
        }
        self.dialler.settle().await;
    }

    /// Does everything the core wants done now. Some when the client is over, with the reason if it never began.
    fn carry_out(&mut self) -> Option<Option<Box<ConnectError>>> {
        let now = clock::now_ms();
        if self.core.wake().is_some_and(|at| at <= now) {
            self.tell_heard(now);
        }
        while let Some(effect) = self.core.next(now, &mut Entropy) {
            match effect {
                Effect::Dial { dial, address, client, until_ms } => self.dial(dial, address, client, clock::at(until_ms)),
                Effect::Abandon { dial } => self.attempts.retain(|attempt| attempt.dial != dial),
                Effect::Use { dial: _, verification } => {
                    self.link = self.fresh.take();
                    self.begun = true;
                    self.shared.verified(*verification);
                    self.shared.revision(self.core.known());
                    self.tell_heard(now);
                }
                Effect::Send { dial, messages } => self.send(dial, messages, now),
                Effect::Leave { .. } => {
                    self.left = true;
                    if let Some((_, link)) = self.link.take() {
                        link.close();
                    }
                }
                Effect::Ended(why) => return Some(why),
            }
        }
        if let Some((_, link)) = self.fresh.take() {
            // Nobody waits for it any more.
            link.close();
        }
        None
    }

    fn tell_heard(&mut self, now: u64) {
        if let Some((dial, link)) = &self.link {
            self.core.heard(*dial, link.heard(), now);
        }
    }

    fn dial(&mut self, dial: DialId, address: String, client: ClientId, until: Instant) {
        let (dialler, at) = (Arc::clone(&self.dialler), address.clone());
        let progress = Box::pin(async move {
            match dialler.reach(&at, until).await {
                Ok(reach) => Progress::Reached(reach),
                Err(fault) => Progress::Failed(fault),
            }
        });
        self.attempts.push(Attempt { dial, address, client, until, progress });
    }

    fn send(&mut self, dial: DialId, messages: Vec<Vec<u8>>, now: u64) {
        if let Some((_, link)) = self.link.as_mut().filter(|(in_use, _)| *in_use == dial) {
            match link.queue(&messages) {
                Ok(()) => self.core.backlog(dial, link.backlog()),
                Err(fault) => self.core.broke(dial, fault, now),
            }
        }
        self.core.spent(messages);
    }

    /// Waits until something happened, and tells the core.
    async fn wait(&mut self) {
        let Driver { core, attempts, link, inbox, commands, arrived, alarm, .. } = self;
        let wake = core.wake();
        if let Some(at) = wake.map(clock::at)
            && (at < alarm.deadline() || alarm.is_elapsed())
        {
            alarm.as_mut().reset(at);
        }
        tokio::select! {
            count = inbox.recv_many(commands, COMMANDS), if core.has_room() => {
                if count == 0 {
                    core.close();
                }
                for command in commands.drain(..) {
                    take(core, command);
                }
            }
            (dial, stepped) = stepped(link, arrived) => {
                let now = clock::now_ms();
                if !arrived.is_empty() {
                    core.arrived(dial, arrived, now, &mut Entropy);
                    self.shared.revision(core.known());
                }
                if let Err(fault) = stepped {
                    core.broke(dial, fault, now);
                }
                if let Some((_, link)) = link {
                    core.backlog(dial, link.backlog());
                }
            }
            (at, progress) = progressed(attempts) => self.attempt(at, progress),
            // It may be early: what it was set for happened before.
            () = alarm, if wake.is_some() => {}
        }
    }

    /// An attempt came so far.
    fn attempt(&mut self, at: usize, progress: Progress<D>) {
        let Some(attempt) = self.attempts.get_mut(at) else { return };
        let (dial, now) = (attempt.dial, clock::now_ms());
        match progress {
            Progress::Reached(reach) => {
                let (dialler, address, client, until) = (Arc::clone(&self.dialler), attempt.address.clone(), attempt.client, attempt.until);
                attempt.progress = Box::pin(async move {
                    match dialler.open(reach, &address, client, until).await {
                        Ok((link, opened)) => Progress::Opened(link, Box::new(opened)),
                        Err(fault) => Progress::Failed(fault),
                    }
                });
                self.core.reached(dial);
            }
            Progress::Opened(link, opened) => {
                self.attempts.swap_remove(at);
                self.fresh = Some((dial, link));
                self.core.opened(dial, *opened, now);
            }
            Progress::Failed(fault) => {
                self.attempts.swap_remove(at);
                self.core.failed(dial, fault, now);
            }
        }
    }
}

fn take(core: &mut Core<Waiter, Follower>, command: Command) {
    match command {
        Command::Ask(submission) => core.submit(submission),
        Command::Watch { namespace, prefix, after, reader, taken } => {
            // A caller who stopped waiting drops its end of the watch too; it is removed when readers are next looked at.
            let _ = taken.send(core.watch(namespace, prefix, after, reader));
        }
        Command::Keep { unlock, taken } => {
            // A caller who stopped waiting asks for nothing in that namespace.
            let _ = taken.send(core.keep(unlock));
        }
        Command::Close => core.close(),
    }
}

/// One step of the link in use; waits for ever where none is.
async fn stepped<L: Link>(link: &mut Option<(DialId, L)>, arrived: &mut Vec<Vec<u8>>) -> (DialId, Result<(), LinkError>) {
    match link {
        Some((dial, link)) => (*dial, link.step(arrived).await),
        None => std::future::pending().await,
    }
}

/// Waits for any of the attempts: which one, and how far it came.
async fn progressed<D: Dial>(attempts: &mut [Attempt<D>]) -> (usize, Progress<D>) {
    poll_fn(|context| {
        let polled = attempts.iter_mut().enumerate().find_map(|(at, attempt)| match attempt.progress.as_mut().poll(context) {
            Poll::Ready(progress) => Some((at, progress)),
            Poll::Pending => None,
        });
        polled.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
