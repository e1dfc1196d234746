//! The one task of a client: moves questions and answers between askers and the node in use, and changes the node when it has to.
//!
//! Decides: when a session is opened (on the first need), left (silence, loss, refusal, breach, age by the policy), and what happens to everything
//! unanswered then: the lane sends it again, with the same bytes. One task writes and reads, so many askers part records and wake-ups.
//! Trusts: the lane for meaning, the dialler for verification. Out of scope: both. Protocol section 3, step 7.

use crate::client::Shared;
use crate::error::{ConnectError, WatchError};
use crate::lane::{Lane, Next, Submission};
use crate::link::{Dial, DialError, Link, LinkError, Opened};
use crate::options::Timeouts;
use crate::seek::Seeker;
use crate::watches::WatchSender;
use crate::{clock, entropy};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClientId, Revision};
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::request::{KeyName, Namespace, Reply, Unlock};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How often deadlines, silence and watch readers are looked at while anything is wanted.
const TICK: Duration = Duration::from_millis(50);
/// Pause after the first session that answered nothing.
const BARREN_FIRST: Duration = Duration::from_millis(40);
/// Longest such pause.
const BARREN_MOST: Duration = Duration::from_secs(2);
/// Time without a single datagram from the node, while a question waits, after which its machine counts as gone: transports acknowledge
/// within 25 ms, so this is many times a round trip. Leaving a node too early costs a handshake and nothing else.
const QUIET: Duration = Duration::from_millis(600);
/// Sealed bytes that may wait for the network before new questions have to.
const BACKLOG_BYTES: usize = 4 * REQUEST_BYTES;
/// Commands taken from the channel at once.
const COMMANDS: usize = 256;

/// What askers send to the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// An operation.
    Ask(Submission),
    /// A watch.
    Watch { namespace: Namespace, prefix: KeyName, after: Revision, reader: WatchSender, taken: oneshot::Sender<Result<(), WatchError>> },
    /// Give every node in use the user's part of a namespace's keys; tells whether there is room for another one.
    Keep { unlock: Unlock, taken: oneshot::Sender<bool> },
    /// Leave the node in use and verify another session, if anybody wants one.
    Close,
}

/// The task.
pub(crate) struct Driver<D: Dial> {
    seeker: Seeker<D>,
    lane: Lane,
    timeouts: Timeouts,
    inbox: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    closing: bool,
    /// Sessions in a row that answered nothing: each one doubles the pause before the next.
    barren: u32,
}

/// Why the task left a session.
enum Left {
    /// The node, for a reason.
    Node(DialError),
    /// Nobody holds the client any more.
    Closed,
    /// The client's name was forgotten: the same node will do.
    Renewed,
    /// The policy wants fresh evidence: the same node will do.
    Aged,
}

impl<D: Dial> Driver<D> {
    /// A task that is not running yet.
    pub(crate) fn new(seeker: Seeker<D>, timeouts: Timeouts, inbox: mpsc::Receiver<Command>, shared: Arc<Shared>) -> Self {
        let lane = Lane::new(ClientId(entropy::bytes()));
        Driver { seeker, lane, timeouts, inbox, shared, closing: false, barren: 0 }
    }

    /// Opens the first session, for whoever made the client.
    pub(crate) async fn open(&mut self) -> Result<(String, Opened<D::Link>), ConnectError> {
        self.seeker.seek(self.lane.identity(), clock::now() + self.timeouts.deadline, Duration::ZERO).await
    }

    /// Runs until the client is gone.
    pub(crate) async fn run(mut self, first: (String, Opened<D::Link>)) {
        let mut open = Some(first);
        loop {
            let (address, opened) = match open.take() {
                Some(found) => found,
                None => match self.find().await {
                    Some(found) => found,
                    None => return self.seeker.settle().await,
                },
            };
            let before = self.lane.settled();
            let left = self.serve(&address, opened).await;
            self.barren = match self.lane.settled() == before {
                true => self.barren.saturating_add(1),
                false => 0,
            };
            match left {
                Left::Closed => return self.seeker.settle().await,
                Left::Renewed => self.lane.renew(ClientId(entropy::bytes())),
                Left::Aged => {}
                Left::Node(trouble) => self.seeker.book(|book| book.leave(&address, trouble)),
            }
            self.lane.lost();
        }
    }

    /// Waits until somebody wants something, then finds a node for it. None when the client is gone.
    async fn find(&mut self) -> Option<(String, Opened<D::Link>)> {
        loop {
            while !self.lane.is_wanted() {
                let command = self.inbox.recv().await?;
                self.take(command);
                if self.closing {
                    return None;
                }
            }
            let began = clock::now();
            let until = began + self.timeouts.deadline;
            match self.seek_and_listen(began, until).await? {
                Ok(found) => return Some(found),
                Err(trouble) => self.lane.fail(&trouble),
            }
        }
    }

    /// Searches, while new operations are taken and old ones expire.
    async fn seek_and_listen(&mut self, began: Instant, until: Instant) -> Option<Result<(String, Opened<D::Link>), ConnectError>> {
        let pause = pause_after(self.barren);
        let Driver { seeker, lane, timeouts, inbox, .. } = self;
        let mut search = std::pin::pin!(seeker.seek(lane.identity(), until, pause));
        loop {
            let command = tokio::select! {
                found = &mut search => return Some(found),
                command = inbox.recv(), if lane.has_room() => command?,
                () = tokio::time::sleep(TICK) => {
                    let now = clock::now();
                    if lane.is_overdue(now) {
                        let trouble = seeker.book(|book| book.trouble(clock::millis(now.saturating_duration_since(began))));
                        lane.expire(now, timeouts.deadline, &trouble);
                    }
                    lane.watches.tidy();
                    continue;
                }
            };
            match command {
                Command::Ask(submission) => lane.submit(submission),
                Command::Watch { namespace, prefix, after, reader, taken } => {
                    let _ = taken.send(lane.watches.add(namespace, prefix, after, reader));
                }
                Command::Keep { unlock, taken } => {
                    let _ = taken.send(lane.keep(unlock));
                }
                Command::Close => {
                    lane.fail(&ConnectError::Closed);
                    return None;
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Ask(submission) => self.lane.submit(submission),
            Command::Watch { namespace, prefix, after, reader, taken } => {
                // A caller who stopped waiting drops its end of the watch too; the next tidy removes it.
                let _ = taken.send(self.lane.watches.add(namespace, prefix, after, reader));
            }
            Command::Keep { unlock, taken } => {
                // A caller who stopped waiting asks for nothing in that namespace.
                let _ = taken.send(self.lane.keep(unlock));
            }
            Command::Close => {
                self.lane.fail(&ConnectError::Closed);
                self.closing = true;
            }
        }
    }

    /// Uses one session until it ends.
    async fn serve(&mut self, address: &str, opened: Opened<D::Link>) -> Left {
        let Opened { mut link, ready, verification, reattest_by } = opened;
        self.shared.verified(verification);
        self.lane.learn(ready.revision);
        let mut messages = Vec::new();
        self.lane.resume(clock::now(), &mut messages);
        let left = self.exchange(address, &mut link, messages, reattest_by).await;
        link.close();
        left
    }

    async fn exchange(&mut self, address: &str, link: &mut D::Link, mut messages: Vec<Vec<u8>>, reattest_by: Instant) -> Left {
        let mut heard = (link.heard(), clock::now());
        let mut alarm = std::pin::pin!(tokio::time::sleep(TICK));
        let mut aged = std::pin::pin!(tokio::time::sleep_until(reattest_by));
        let mut commands = Vec::with_capacity(COMMANDS);
        let mut arrived = Vec::new();
        loop {
            if clock::now() >= reattest_by {
                return Left::Aged;
            }
            if !messages.is_empty() {
                if let Err(fault) = link.queue(&messages) {
                    return Left::Node(of_link(fault));
                }
                messages.clear();
            }
            let takes = self.lane.has_room() && link.backlog() < BACKLOG_BYTES;
            if let Some(due) = self.lane.next_due().filter(|due| *due < alarm.deadline()) {
                alarm.as_mut().reset(due);
            }
            let wanted = self.lane.is_wanted();
            tokio::select! {
                () = &mut aged => return Left::Aged,
                count = self.inbox.recv_many(&mut commands, COMMANDS), if takes => {
                    if count == 0 {
                        return Left::Closed;
                    }
                    for command in commands.drain(..) {
                        self.take(command);
                    }
                    if self.closing {
                        return Left::Closed;
                    }
                }
                stepped = link.step(&mut arrived) => {
                    if let Some(left) = self.arrived(&mut arrived) {
                        return left;
                    }
                    if let Err(fault) = stepped {
                        return Left::Node(of_link(fault));
                    }
                }
                () = &mut alarm, if wanted => {
                    alarm.as_mut().reset(clock::now() + TICK);
                    if let Some(left) = self.tick(address, link, &mut heard) {
                        return left;
                    }
                }
            }
            if self.lane.wants_new_identity() {
                return Left::Renewed;
            }
            if link.backlog() < BACKLOG_BYTES {
                self.lane.send(clock::now(), &mut messages);
            }
        }
    }

    fn arrived(&mut self, arrived: &mut Vec<Vec<u8>>) -> Option<Left> {
        let now = clock::now();
        for message in arrived.drain(..) {
            let Ok(reply) = Reply::decode(&message) else {
                return Some(Left::Node(DialError::Breach("a message that is no reply".into())));
            };
            match self.lane.reply(now, reply) {
                Next::Stay => {}
                Next::Leave(why) => return Some(Left::Node(DialError::Unreachable(why))),
                Next::WentBack { known, got } => return Some(Left::Node(DialError::WentBack { known, got })),
                Next::Breach(why) => return Some(Left::Node(DialError::Breach(why.into()))),
            }
        }
        self.shared.revision(self.lane.known());
        None
    }

    fn tick(&mut self, address: &str, link: &D::Link, heard: &mut (u64, Instant)) -> Option<Left> {
        let now = clock::now();
        if link.heard() != heard.0 {
            *heard = (link.heard(), now);
        }
        let quiet = now.saturating_duration_since(heard.1) >= QUIET && self.lane.waits(now, QUIET);
        if quiet {
            return Some(Left::Node(DialError::Unreachable(format!("nothing came from it for {QUIET:?}"))));
        }
        let why = DialError::Unreachable("connected, and questions are not answered".into());
        if self.lane.is_overdue(now) {
            let trouble = self.seeker.book(|book| {
                book.note(address, Some(why.clone()));
                let trouble = book.trouble(clock::millis(self.timeouts.deadline));
                book.note(address, None);
                trouble
            });
            self.lane.expire(now, self.timeouts.deadline, &trouble);
        }
        self.lane.watches.tidy();
        match self.lane.is_stalled(now, self.timeouts.answer) {
            true => Some(Left::Node(why)),
            false => None,
        }
    }
}

fn pause_after(barren: u32) -> Duration {
    match barren {
        0 => Duration::ZERO,
        more => entropy::jitter(BARREN_FIRST.saturating_mul(1 << more.saturating_sub(1).min(8)).min(BARREN_MOST)),
    }
}

fn of_link(fault: LinkError) -> DialError {
    match fault {
        LinkError::Lost(why) => DialError::Unreachable(format!("the connection was lost: {why}")),
        LinkError::Breach(why) => DialError::Breach(why),
        LinkError::History(trouble) => DialError::History(trouble),
    }
}
