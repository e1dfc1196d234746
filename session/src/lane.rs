//! What is asked, what is unanswered, and what an answer means: the core of a client, without I/O and without a clock.
//!
//! Decides: numbering and windows, which answers settle a question and which mean "ask again here" or "ask another node", that a write
//! is sent again with the very bytes it was first sent with, and when its outcome must be called unknown.
//! Trusts: nothing; an answer to a question nobody asked is a breach. Out of scope: finding nodes (`book.rs`, `rounds.rs`), bytes
//! on the wire (`line.rs`). Protocol section 3, step 7.

use crate::asked::{Ask, Asker, Failure, Reader, Submission};
use crate::chance;
use crate::error::{ConnectError, code_name};
use crate::once::Window;
use crate::watches::{Told, Watches};
use rand_core::CryptoRng;
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClientId, Revision};
use ringwall_wire::limits::{SESSION_IN_FLIGHT, SESSION_PARTS};
use ringwall_wire::request::{Answer, Once, Op, Reply, Request, Unlock, Write};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Bytes of questions that may be unanswered at once: bounds what a client holds for retries. One question may pass it alone.
const FLIGHT_BYTES: usize = 16 * 1024 * 1024;
/// Questions that may wait for a place in flight; beyond this, askers wait where they are.
const WAITING: usize = 1_024;
/// First pause before a question is repeated on the same session; doubled each time.
const AGAIN_FIRST_MS: u64 = 25;
/// Longest such pause.
const AGAIN_MOST_MS: u64 = 400;
/// Times "unavailable" is answered on one session before the client moves on: one pause covers most elections and spares a handshake.
const UNAVAILABLE_HERE: u32 = 2;

/// What the core does after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing special.
    Stay,
    /// Leave this node: it cannot serve now.
    Leave(String),
    /// Leave this node for good: its history went back.
    WentBack { known: Revision, got: Revision },
    /// Leave this node: it broke the protocol.
    Breach(&'static str),
}

#[derive(Debug)]
struct Flight<A> {
    message: Vec<u8>,
    once: Option<Once>,
    /// Newest revision known when it was first sent: the answer to a linearizable question cannot be older.
    known: Revision,
    submissions: u32,
    refusals_here: u32,
    sent: Option<u64>,
    again: Option<u64>,
    deadline_ms: u64,
    asker: A,
}

/// One client's questions.
#[derive(Debug)]
pub(crate) struct Lane<A, R> {
    identity: ClientId,
    stale: bool,
    window: Window,
    waiting: VecDeque<Submission<A>>,
    flight: BTreeMap<u64, Flight<A>>,
    flight_bytes: usize,
    next_number: u64,
    known: Revision,
    progress: Option<u64>,
    settled: u64,
    /// The user's parts of keys, which every session is given before anything else.
    kept: Vec<Unlock>,
    pub(crate) watches: Watches<R>,
}

impl<A: Asker, R: Reader> Lane<A, R> {
    /// A lane nobody asked anything in yet.
    pub(crate) fn new(identity: ClientId) -> Self {
        Lane {
            identity,
            stale: false,
            window: Window::new(),
            waiting: VecDeque::new(),
            flight: BTreeMap::new(),
            flight_bytes: 0,
            next_number: 1,
            known: Revision(0),
            progress: None,
            settled: 0,
            kept: Vec::new(),
            watches: Watches::new(),
        }
    }

    /// The name writes are numbered under.
    pub(crate) fn identity(&self) -> ClientId {
        self.identity
    }

    /// Newest revision any answer named.
    pub(crate) fn known(&self) -> Revision {
        self.known
    }

    /// Notes a revision that a verified node named.
    pub(crate) fn learn(&mut self, revision: Revision) {
        self.known = self.known.max(revision);
    }

    /// Count of questions and watch messages a node answered; grows while a session is of use.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// Whether more submissions are taken.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    /// Whether anybody waits for anything.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.flight.is_empty() || !self.waiting.is_empty() || !self.watches.is_empty()
    }

    /// Whether the cluster forgot this client's name and every write under it is settled: time for a new name and session.
    pub(crate) fn wants_new_identity(&self) -> bool {
        self.stale && self.window.is_idle()
    }

    /// Starts anew under another name. Call only when [`Lane::wants_new_identity`].
    pub(crate) fn renew(&mut self, identity: ClientId) {
        assert!(self.window.is_idle(), "a write under the old name is open");
        self.identity = identity;
        self.window = Window::new();
        self.stale = false;
    }

    /// Keeps the user's part of a namespace's keys for this and later sessions; false when there is no room for another one. Whoever brings it asks
    /// the node in use to take it.
    pub(crate) fn keep(&mut self, unlock: Unlock) -> bool {
        if self.kept.iter().any(|kept| kept.namespace == unlock.namespace) {
            return true;
        }
        let room = self.kept.len() < SESSION_PARTS;
        if room {
            self.kept.push(unlock);
        }
        room
    }

    /// Takes an operation.
    pub(crate) fn submit(&mut self, submission: Submission<A>) {
        self.waiting.push_back(submission);
    }

    /// Lets go of what was not sent and whose asker is gone. What was sent stays: its outcome is not known, and numbers of writes follow from it.
    pub(crate) fn forget_gone(&mut self) {
        self.waiting.retain(|submission| !submission.asker.is_gone());
    }

    /// Questions that are held, sent or not.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.flight.len() + self.waiting.len()
    }

    /// Numbers what fits the window, in order, and appends what has to be sent now to `out`: new questions, and those whose pause is over.
    pub(crate) fn send(&mut self, now: u64, out: &mut Vec<Vec<u8>>) {
        for flight in self.flight.values_mut() {
            if flight.again.is_some_and(|at| at <= now) {
                flight.again = None;
                hand_over(flight, now, out);
            }
        }
        while let Some(first) = self.waiting.front() {
            if first.asker.is_gone() {
                self.waiting.pop_front();
                continue;
            }
            let room = self.flight.len() < SESSION_IN_FLIGHT && (self.flight.is_empty() || self.flight_bytes < FLIGHT_BYTES);
            let numbered = !matches!(first.ask, Ask::Write(..)) || !self.stale && self.window.has_room();
            if !room || !numbered {
                break;
            }
            let first = self.waiting.pop_front().expect("the loop looked at it");
            self.take_off(first, now, out);
        }
        if !out.is_empty() {
            self.progress = self.progress.or(Some(now));
        }
        self.watches.send(&mut self.next_number, out);
    }

    fn take_off(&mut self, submission: Submission<A>, now: u64, out: &mut Vec<Vec<u8>>) {
        let number = self.take_number();
        let (op, once) = match submission.ask {
            Ask::Read(op) => (op, None),
            Ask::Write(namespace, mutations) => {
                let once = self.window.take(self.known).expect("the caller saw room in the window");
                (Op::Write(Write { namespace, once, mutations }), Some(once))
            }
        };
        let message = Request { number, op }.encode();
        self.flight_bytes = self.flight_bytes.saturating_add(message.len());
        let mut flight = Flight {
            message,
            once,
            known: self.known,
            submissions: 0,
            refusals_here: 0,
            sent: None,
            again: None,
            deadline_ms: submission.deadline_ms,
            asker: submission.asker,
        };
        hand_over(&mut flight, now, out);
        self.flight.insert(number, flight);
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        number
    }

    /// The session is gone: nothing that is unanswered is on its way any more.
    pub(crate) fn lost(&mut self) {
        for flight in self.flight.values_mut() {
            flight.sent = None;
            flight.again = None;
            flight.refusals_here = 0;
        }
        self.progress = None;
        self.watches.lost();
    }

    /// A new session is open: gives it the user's parts of keys, and sends everything unanswered again, first what was sent first.
    pub(crate) fn resume(&mut self, now: u64, out: &mut Vec<Vec<u8>>) {
        for unlock in self.kept.clone() {
            // The answer is nobody's: what the node does not take, it refuses again with every question about that namespace.
            let number = self.take_number();
            out.push(Request { number, op: Op::Unlock(unlock) }.encode());
        }
        for flight in self.flight.values_mut() {
            hand_over(flight, now, out);
        }
        self.progress = Some(now);
        self.send(now, out);
    }

    /// Takes one reply.
    pub(crate) fn reply(&mut self, now: u64, reply: Reply, rng: &mut dyn CryptoRng) -> Next {
        self.progress = Some(now);
        if reply.number == 0 {
            return match reply.body {
                Answer::Refused(refusal) => Next::Leave(format!("the session was ended: {}", &*refusal.detail)),
                _ => Next::Breach("an answer without a question"),
            };
        }
        if reply.number >= self.next_number {
            return Next::Breach("an answer to a question that was not asked");
        }
        if self.watches.owns(reply.number) {
            return self.reply_to_watch(reply);
        }
        // Given up meanwhile, a cancelled watch, or answered twice: nobody waits, nothing to do.
        let Some(flight) = self.flight.get_mut(&reply.number) else { return Next::Stay };
        let body = match reply.body {
            Answer::Refused(refusal) => return self.refused(now, reply.number, refusal, rng),
            body => body,
        };
        if let Some(got) = linearizable(&body) {
            let known = flight.known;
            if got < known {
                return Next::WentBack { known, got };
            }
        }
        if let Some(revision) = shows(&body) {
            self.learn(revision);
        }
        self.settled = self.settled.saturating_add(1);
        self.settle(reply.number, Ok(body));
        Next::Stay
    }

    fn reply_to_watch(&mut self, reply: Reply) -> Next {
        match self.watches.reply(reply.number, reply.body) {
            Told::Through(revision) => {
                self.settled = self.settled.saturating_add(1);
                self.learn(revision);
                Next::Stay
            }
            Told::Nothing => Next::Stay,
            Told::Leave(why) => Next::Leave(why),
        }
    }

    fn refused(&mut self, now: u64, number: u64, refusal: Refusal, rng: &mut dyn CryptoRng) -> Next {
        let Some(flight) = self.flight.get_mut(&number) else { return Next::Stay };
        let submissions = flight.submissions;
        match refusal.code {
            RefusalCode::Busy => {
                // Busy means surely not applied: this submission does not count.
                flight.submissions = submissions.saturating_sub(1);
                flight.refusals_here = flight.refusals_here.saturating_add(1);
                flight.pause(now, rng);
                Next::Stay
            }
            RefusalCode::Unavailable => {
                flight.refusals_here = flight.refusals_here.saturating_add(1);
                if flight.refusals_here < UNAVAILABLE_HERE {
                    flight.pause(now, rng);
                    return Next::Stay;
                }
                Next::Leave(format!("unavailable: {}", &*refusal.detail))
            }
            RefusalCode::NotMember | RefusalCode::ShuttingDown | RefusalCode::Fenced => {
                Next::Leave(format!("{}: {}", code_name(refusal.code), &*refusal.detail))
            }
            RefusalCode::ClientForgotten if flight.once.is_some() && submissions <= 1 => {
                self.forgotten(number);
                Next::Stay
            }
            // A node tries again on its own, and so does this client: only the code above, to the first submission, says "surely not".
            RefusalCode::OutcomeUnknown | RefusalCode::ClientForgotten if flight.once.is_some() => {
                self.stale = true;
                let cause = format!("the cluster no longer remembers this client: {}", &*refusal.detail);
                self.settle(number, Err(Failure::OutcomeUnknown { submissions, cause }));
                Next::Stay
            }
            // This try was not applied; an earlier one, whose answer was lost, may have been.
            RefusalCode::NoRoom if submissions > 1 => {
                let cause = format!("an earlier try was not answered, and now {}", &*refusal.detail);
                self.settle(number, Err(Failure::OutcomeUnknown { submissions, cause }));
                Next::Stay
            }
            _ => {
                self.settled = self.settled.saturating_add(1);
                self.settle(number, Err(Failure::Refused(refusal)));
                Next::Stay
            }
        }
    }

    /// The cluster does not know this client any more, the node surely applied nothing, and the write was sent once: it goes back to the front
    /// of the queue and is numbered again under a new name.
    fn forgotten(&mut self, number: u64) {
        self.stale = true;
        let Some(flight) = self.take_flight(number) else { return };
        let request = Request::decode(&flight.message).expect("it was encoded here");
        let Op::Write(write) = request.op else { unreachable!("only writes have a sequence number") };
        self.waiting.push_front(Submission {
            ask: Ask::Write(write.namespace, write.mutations),
            deadline_ms: flight.deadline_ms,
            asker: flight.asker,
        });
    }

    /// Whether somebody's deadline has come.
    pub(crate) fn is_overdue(&self, now: u64) -> bool {
        let deadlines =
            self.flight.values().map(|flight| flight.deadline_ms).chain(self.waiting.iter().map(|submission| submission.deadline_ms));
        deadlines.into_iter().any(|deadline| deadline <= now)
    }

    /// Ends the wait of everybody whose deadline has come. `tried` says what was in the way.
    pub(crate) fn expire(&mut self, now: u64, patience: Duration, trouble: &ConnectError) {
        let late = |deadline_ms: u64| deadline_ms <= now;
        let overdue: Vec<u64> = self.flight.iter().filter(|(_, flight)| late(flight.deadline_ms)).map(|(number, _)| *number).collect();
        for number in overdue {
            self.give_up(number, &format!("no answer within {patience:?}; {trouble}"), trouble);
        }
        let (gone, left) = std::mem::take(&mut self.waiting).into_iter().partition(|submission| late(submission.deadline_ms));
        self.waiting = left;
        let gone: VecDeque<Submission<A>> = gone;
        for submission in gone {
            submission.asker.tell(Err(Failure::Session(trouble.clone())));
        }
    }

    /// Ends every wait: no session will come.
    pub(crate) fn fail(&mut self, trouble: &ConnectError) {
        let numbers: Vec<u64> = self.flight.keys().copied().collect();
        for number in numbers {
            self.give_up(number, &trouble.to_string(), trouble);
        }
        for submission in std::mem::take(&mut self.waiting) {
            submission.asker.tell(Err(Failure::Session(trouble.clone())));
        }
        self.watches.fail(trouble);
    }

    fn give_up(&mut self, number: u64, cause: &str, trouble: &ConnectError) {
        let Some(flight) = self.flight.get(&number) else { return };
        let failure = match (flight.once, flight.submissions) {
            (Some(_), submissions @ 1..) => Failure::OutcomeUnknown { submissions, cause: cause.into() },
            _ => Failure::Session(trouble.clone()),
        };
        self.settle(number, Err(failure));
    }

    fn settle(&mut self, number: u64, outcome: Result<Answer, Failure>) {
        if let Some(flight) = self.take_flight(number) {
            flight.asker.tell(outcome);
        }
        if self.flight.is_empty() {
            self.progress = None;
        }
    }

    fn take_flight(&mut self, number: u64) -> Option<Flight<A>> {
        let flight = self.flight.remove(&number)?;
        self.flight_bytes = self.flight_bytes.saturating_sub(flight.message.len());
        if let Some(once) = flight.once {
            self.window.close(once.seq);
        }
        Some(flight)
    }

    /// Whether the node has been silent for `patience_ms` while questions wait, or let one question wait three times as long.
    pub(crate) fn is_stalled(&self, now: u64, patience_ms: u64) -> bool {
        let silent = self.progress.is_some_and(|at| now.saturating_sub(at) >= patience_ms);
        let oldest = self.flight.values().filter(|flight| flight.again.is_none()).filter_map(|flight| flight.sent).min();
        oldest.is_some_and(|sent| {
            let waits = now.saturating_sub(sent);
            silent && waits >= patience_ms || waits >= patience_ms.saturating_mul(3)
        })
    }

    /// Whether a question was sent at least `patience_ms` ago and waits for its answer.
    pub(crate) fn waits(&self, now: u64, patience_ms: u64) -> bool {
        self.flight.values().filter_map(|flight| flight.sent).any(|sent| now.saturating_sub(sent) >= patience_ms)
    }

    /// When the next paused question is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.flight.values().filter_map(|flight| flight.again).min()
    }
}

impl<A> Flight<A> {
    fn pause(&mut self, now: u64, rng: &mut dyn CryptoRng) {
        let doublings = self.refusals_here.saturating_sub(1).min(8);
        let most = AGAIN_FIRST_MS.saturating_mul(1 << doublings).min(AGAIN_MOST_MS);
        self.sent = None;
        self.again = Some(now.saturating_add(chance::jitter(most, rng)));
    }
}

fn hand_over<A>(flight: &mut Flight<A>, now: u64, out: &mut Vec<Vec<u8>>) {
    flight.submissions = flight.submissions.saturating_add(1);
    flight.sent = Some(now);
    out.push(flight.message.clone());
}

/// The revision of an answer that cannot be older than what was known when the question was sent.
fn linearizable(body: &Answer) -> Option<Revision> {
    match body {
        Answer::Absent(revision) => Some(*revision),
        Answer::Page(page) => Some(page.revision),
        _ => None,
    }
}

/// The newest revision an answer proves to exist.
fn shows(body: &Answer) -> Option<Revision> {
    match body {
        Answer::Opened(revision) | Answer::Written(revision) | Answer::Absent(revision) => Some(*revision),
        Answer::Found(entry) => Some(entry.version),
        Answer::Page(page) => Some(page.revision),
        Answer::Conflict(conflict) => Some(conflict.current),
        Answer::Status(status) => Some(status.revision),
        Answer::Refused(_) | Answer::Events(_) | Answer::Done | Answer::Receipt(_) | Answer::User(_) | Answer::UserRefused(_) => None,
        Answer::Backup(_) | Answer::EscrowKeys(_) | Answer::Governance(_) | Answer::Policy(_) => None,
    }
}
