//! The client that decides: one state machine of events and effects for everything between the questions of a user and sessions with nodes.
//!
//! Decides: when a session is opened (by [`Core::open`], and after that on the first need), which addresses are tried beside each other, which session is used, when it
//! is left (loss, silence, refusal, breach, a history that went back, age by the policy), and what everybody who waits is told. At most one session is in use.
//! Whoever drives it (the shell) tells it what happened, then calls [`Core::next`] until there is no more effect, and again when [`Core::wake`] has come.
//! Effects are carried out in order, each before the next one is asked for or in a queue that keeps their order:
//! [`Effect::Dial`] begins an attempt, which ends with one of [`Core::opened`] and [`Core::failed`], and says [`Core::reached`] on its way; attempts run beside each
//! other. [`Effect::Abandon`] ends one without a word, and means nothing to one that ended meanwhile. [`Effect::Use`] makes an attempt that was opened the session in use:
//! from here on what arrives on it is told with [`Core::arrived`], its end with [`Core::broke`], and what waits to be written with [`Core::backlog`]; one that was opened
//! and is not used is dropped. [`Effect::Send`] seals messages in order, together, behind what waits. [`Effect::Leave`] closes the session; nothing is read from it any more.
//! [`Effect::Ended`] is the last one. Events of attempts and sessions that are over, or never were, change nothing. While [`Core::has_room`] is false askers wait.
//! Trusts: the shell for time (milliseconds of a clock that only goes forward) and randomness. Out of scope: opening sessions (`opening.rs`), records
//! (`line.rs`), meaning of operations. Protocol section 3, step 7.

#[cfg(test)]
mod random;
mod searching;
mod serving;
#[cfg(test)]
mod stand;
#[cfg(test)]
mod tests;

use crate::asked::{Asker, Failure, Reader, Submission};
use crate::book::Book;
use crate::chance;
use crate::dial::{DialError, LinkError, Opened};
use crate::error::{ConnectError, WatchError};
use crate::lane::Lane;
use crate::timeouts::Timeouts;
use crate::verification::Verification;
use rand_core::CryptoRng;
use ringwall_wire::ids::{ClientId, Revision};
use ringwall_wire::request::{KeyName, Namespace, Unlock};
use searching::Search;
use serving::Serving;
use std::collections::VecDeque;

/// How often deadlines, silence and readers of watches are looked at while anything is wanted.
const LOOK_MS: u64 = 50;

/// Name of one attempt, and of the session it became: never used twice by one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// What the shell has to do.
#[derive(Debug)]
pub enum Effect {
    /// Open, verify and authenticate a session with the node at `address`, before `until_ms`.
    Dial {
        /// Name of this attempt.
        dial: DialId,
        /// Where.
        address: String,
        /// The name writes are numbered under.
        client: ClientId,
        /// When the attempt has failed, milliseconds. A shell that says nothing then is not waited for much longer.
        until_ms: u64,
    },
    /// Drop an attempt: another one won, or nobody waits.
    Abandon {
        /// Which.
        dial: DialId,
    },
    /// The session that attempt opened is in use from here on.
    Use {
        /// Which.
        dial: DialId,
        /// Why its node was believed.
        verification: Box<Verification>,
    },
    /// Seal messages on the session in use. The emptied vector may be given back with [`Core::spent`].
    Send {
        /// The session.
        dial: DialId,
        /// The messages, encoded.
        messages: Vec<Vec<u8>>,
    },
    /// Say goodbye to the session in use.
    Leave {
        /// The session.
        dial: DialId,
        /// Why.
        why: Left,
    },
    /// The client is over: closed, or its first session could not be opened. Everybody who waited was told.
    Ended(Option<Box<ConnectError>>),
}

/// Why a session is left.
#[derive(Clone, Debug)]
pub enum Left {
    /// The node, for a reason.
    Node(DialError),
    /// The client was closed.
    Closed,
    /// The cluster forgot the client's name: the same node will do.
    Renewed,
    /// The policy wants fresh evidence: the same node will do.
    Aged,
}

/// One client.
#[derive(Debug)]
pub struct Core<A, R> {
    lane: Lane<A, R>,
    book: Book,
    timeouts: Timeouts,
    stage: Stage,
    /// Sessions in a row that answered nothing: each one doubles the pause before the next.
    barren: u32,
    dials: u64,
    effects: VecDeque<Effect>,
    spare: Vec<Vec<u8>>,
    look_at: u64,
    /// Something happened since it was last decided what follows.
    stirred: bool,
    wake: Option<u64>,
}

#[derive(Debug)]
enum Stage {
    /// No session, and nobody wants one.
    Idle,
    Searching(Search),
    Serving(Serving),
    Over,
}

impl<A: Asker, R: Reader> Core<A, R> {
    /// A client that may find nodes at these addresses. It dials nobody until it is asked.
    pub fn new(addresses: Vec<String>, timeouts: Timeouts, rng: &mut dyn CryptoRng) -> Self {
        Core {
            lane: Lane::new(ClientId(chance::bytes(rng))),
            book: Book::new(addresses, rng),
            timeouts,
            stage: Stage::Idle,
            barren: 0,
            dials: 0,
            effects: VecDeque::new(),
            spare: Vec::new(),
            look_at: 0,
            stirred: false,
            wake: None,
        }
    }

    /// Opens the first session before anybody asks anything. If none can be opened the client is over. Does nothing where a session is open or sought.
    pub fn open(&mut self, now_ms: u64) {
        if matches!(self.stage, Stage::Idle) {
            self.stage = Stage::Searching(Search::new(true, now_ms, self.timeouts.deadline, 0));
            self.stirred = true;
        }
    }

    /// Takes an operation; its asker is told what came of it, soon after its deadline at the latest.
    pub fn submit(&mut self, submission: Submission<A>) {
        if matches!(self.stage, Stage::Over) {
            return submission.asker.tell(Err(Failure::Session(ConnectError::Closed)));
        }
        self.lane.submit(submission);
        self.stirred = true;
    }

    /// Somebody who asked waits no more: what was not sent yet is let go of now, and not when a session is open. For whoever asks without looking at [`Core::has_room`].
    pub fn forgot(&mut self) {
        self.lane.forget_gone();
        self.stirred = true;
    }

    /// Takes a new watch of a prefix, from the changes after a revision on.
    ///
    /// # Errors
    /// [`WatchError::TooMany`], and [`WatchError::Session`] once the client is over.
    pub fn watch(&mut self, namespace: Namespace, prefix: KeyName, after: Revision, reader: R) -> Result<(), WatchError> {
        if matches!(self.stage, Stage::Over) {
            return Err(WatchError::Session(ConnectError::Closed));
        }
        self.stirred = true;
        self.lane.watches.add(namespace, prefix, after, reader)
    }

    /// Keeps the user's part of a namespace's keys for later sessions, each of which is given it before anything else; false when there is no room
    /// for another one. Whoever brings it asks the node in use to take it.
    #[must_use]
    pub fn keep(&mut self, unlock: Unlock) -> bool {
        self.lane.keep(unlock)
    }

    /// Ends the client: operations under way end with [`ConnectError::Closed`], writes that were sent with an unknown outcome.
    pub fn close(&mut self) {
        self.lane.fail(&ConnectError::Closed);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return,
            Stage::Idle => {}
            Stage::Searching(search) => self.effects.extend(search.abandoned()),
            Stage::Serving(serving) => self.effects.push_back(Effect::Leave { dial: serving.dial, why: Left::Closed }),
        }
        self.effects.push_back(Effect::Ended(None));
        self.stirred = true;
    }

    /// Whether operations should be submitted now: not while too many wait for a place, or too much for the network.
    pub fn has_room(&self) -> bool {
        let clogged = matches!(&self.stage, Stage::Serving(serving) if serving.is_clogged());
        self.lane.has_room() && !clogged
    }

    /// Newest revision any answer or session named.
    pub fn known(&self) -> Revision {
        self.lane.known()
    }

    /// What to do next; none when there is nothing more to do before something happens or [`Core::wake`] comes.
    pub fn next(&mut self, now_ms: u64, rng: &mut dyn CryptoRng) -> Option<Effect> {
        if self.stirred || self.wake.is_some_and(|at| at <= now_ms) {
            self.stirred = false;
            self.serve(now_ms, rng);
            if matches!(self.stage, Stage::Idle) && self.lane.is_wanted() {
                let pause_ms = serving::pause_after(self.barren, rng);
                self.stage = Stage::Searching(Search::new(false, now_ms, self.timeouts.deadline, pause_ms));
            }
            self.search(now_ms, rng);
            self.wake = self.wakes();
        }
        self.effects.pop_front()
    }

    /// When [`Core::next`] has to be called though nothing happened, milliseconds. Good once that said that there is nothing more to do.
    pub fn wake(&self) -> Option<u64> {
        self.wake
    }

    fn wakes(&self) -> Option<u64> {
        let look = self.lane.is_wanted().then_some(self.look_at);
        let at = match &self.stage {
            Stage::Idle | Stage::Over => return None,
            Stage::Searching(search) => search.wake(),
            Stage::Serving(serving) => {
                // While it is clogged nothing could be sent: the backlog's going down is an event.
                let due = self.lane.next_due().filter(|_| !serving.is_clogged());
                due.map_or(serving.reattest_by, |due| due.min(serving.reattest_by))
            }
        };
        Some(look.map_or(at, |look| look.min(at)))
    }

    /// Takes back the vector of an [`Effect::Send`], so that the next one needs no new one.
    pub fn spent(&mut self, mut messages: Vec<Vec<u8>>) {
        messages.clear();
        self.spare = messages;
    }

    /// The node of an attempt answered the transport, and proved nothing yet.
    pub fn reached(&mut self, dial: DialId) {
        if let Stage::Searching(search) = &mut self.stage {
            search.reached(dial);
            self.stirred = true;
        }
    }

    /// An attempt failed.
    pub fn failed(&mut self, dial: DialId, fault: DialError, now_ms: u64) {
        self.attempt_failed(dial, fault, now_ms);
    }

    /// An attempt opened a session. If it is still wanted the next effects are the end of all others and [`Effect::Use`]; else it is to be dropped.
    pub fn opened(&mut self, dial: DialId, opened: Opened, now_ms: u64) {
        self.attempt_opened(dial, opened, now_ms);
    }

    /// Messages arrived on the session in use. They are taken out of `arrived`.
    pub fn arrived(&mut self, dial: DialId, arrived: &mut Vec<Vec<u8>>, now_ms: u64, rng: &mut dyn CryptoRng) {
        self.session_told(dial, arrived, now_ms, rng);
        arrived.clear();
    }

    /// The session in use is no more.
    pub fn broke(&mut self, dial: DialId, fault: LinkError, now_ms: u64) {
        if self.in_use() == Some(dial) {
            self.leave(Left::Node(serving::of_link(fault)), now_ms);
        }
    }

    /// Sealed bytes of the session in use that wait for the network.
    pub fn backlog(&mut self, dial: DialId, bytes: usize) {
        if let Stage::Serving(serving) = &mut self.stage
            && serving.dial == dial
        {
            self.stirred |= serving.waits_for_network(bytes);
        }
    }

    /// A count that grows whenever anything comes from the machine of the session in use, be it only an acknowledgement of the transport. A shell that can tell says it
    /// after [`Effect::Use`] and whenever [`Core::wake`] has come; of one that never does, only answers are expected.
    pub fn heard(&mut self, dial: DialId, count: u64, now_ms: u64) {
        if let Stage::Serving(serving) = &mut self.stage
            && serving.dial == dial
        {
            serving.heard(count, now_ms);
        }
    }

    /// Questions that are held, sent or not.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.lane.held()
    }

    /// The session in use.
    fn in_use(&self) -> Option<DialId> {
        match &self.stage {
            Stage::Serving(serving) => Some(serving.dial),
            _ => None,
        }
    }
}
