//! The whole client over bytes of dials: what a host with any transport and no files drives.
//!
//! Decides: carries out what the core wants with attempts, lines and the kept memory, and gives out what is left to do ([`Out`]): dial, send, sign, keep, hang up. A change
//! of the memory is given out before anything that is given out after it. One way to a place is tried after the other, as one attempt of the core. What was
//! judged is told whichever way it ended. After its memory could not be kept the client ends: without it a rollback would go unnoticed.
//! Trusts: its host for time, randomness and for keeping what it is told to; nothing a node could profit from. Out of scope: names and text (`spoken.rs`), what
//! operations mean (`ops`). Protocol section 3.

mod cutter;
mod desk;
mod effects;
mod roads;

pub(crate) use desk::Word;
pub(crate) use roads::{Over, Way};

use crate::asked::{Ask, Submission};
use crate::card::Card;
use crate::core::{Core, DialId};
use crate::dial::{DialError, LinkError, Opened};
use crate::error::{ConnectError, WatchError};
use crate::exchange::Exchange;
use crate::kept::Kept;
use crate::line::{CHUNK_BYTES, Line};
use crate::opening::{Goal, Memory, Now, Opening, Step, Terms};
use crate::timeouts::{Timeouts, millis};
use crate::verification::Examined;
use cutter::Cutter;
use desk::{Desk, Follower, Waiter};
use rand_core::CryptoRng;
use ringwall_channel::{web_socket_binding, web_transport_binding};
use ringwall_wire::bounded::List;
use ringwall_wire::ids::{ClientId, Digest, Revision, Signature};
use ringwall_wire::request::{KeyName, Namespace, Unlock};
use roads::Roads;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What is left to do.
#[derive(Debug)]
pub(crate) enum Out {
    /// Open a way; [`Wired::reached`] or [`Wired::lost`] is told then. After so many milliseconds it is of no use any more.
    Dial { dial: u64, way: Way, within_ms: u64 },
    /// Send bytes behind those before.
    Send { dial: u64, bytes: Vec<u8> },
    /// Have the device's key sign words.
    Sign { dial: u64, words: Vec<u8> },
    /// Have these bytes on stable storage before anything that follows is done.
    Keep(Vec<u8>),
    /// End a way: after what is to be sent, or at once.
    HangUp { dial: u64, well: bool },
    /// A node was judged.
    Judged { dial: u64, judged: Box<(Exchange, Examined)> },
    /// A node is not used, and why; without a judgement that was told before.
    Unusable { dial: u64, address: String, fault: DialError },
    /// Somebody who waits is told something.
    Word(Word),
    /// The client is over.
    Ended(Option<Box<ConnectError>>),
}

/// How a way came to be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The exporter value of a QUIC connection.
    Native([u8; 32]),
    /// The certificate that was shown.
    WebTransport(Digest),
    /// Nothing binds it.
    WebSocket,
}

/// One way that was asked for.
struct Road {
    /// The attempt it belongs to.
    of: DialId,
    client: ClientId,
    way: Way,
    /// Ways to the same place that were not tried.
    left: VecDeque<Way>,
    address: String,
    /// When the attempt has failed.
    until_ms: u64,
    /// When the next way is tried, unless the node said something on this one; none for the last one, which has what time there is.
    give_up_ms: Option<u64>,
    /// Nothing came from the node since the way is open.
    is_silent: bool,
    at: At,
    cutter: Cutter,
    /// Bytes that were given out and not taken by the transport.
    waiting: usize,
}

impl Road {
    /// Its share of what time the attempt has left, so that each way after it has as much.
    fn share_ms(&self, now: Now) -> u64 {
        let ways = u64::try_from(self.left.len()).unwrap_or(u64::MAX).saturating_add(1);
        self.until_ms.saturating_sub(now.ms).checked_div(ways).unwrap_or_default().max(1)
    }

    /// When it makes room for the next way; none once the node said something.
    fn gives_up_ms(&self) -> Option<u64> {
        self.give_up_ms.filter(|_| self.is_silent)
    }
}

enum At {
    /// It is being opened.
    Asked,
    Opening(Box<Opening>),
    /// A session, in use once the core says so.
    Open {
        line: Box<Line>,
        used: bool,
    },
}

/// The client.
pub(crate) struct Wired {
    core: Core<Waiter, Follower>,
    memory: Arc<Memory>,
    kept: Arc<Kept>,
    terms: Arc<Terms>,
    roads: Roads,
    dials: BTreeMap<u64, Road>,
    next_dial: u64,
    desk: Desk,
    out: VecDeque<Out>,
    timeouts: Timeouts,
    over: bool,
}

impl core::fmt::Debug for Wired {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Wired({:?}, {} ways)", self.terms, self.dials.len())
    }
}

impl Wired {
    /// A client of the cluster a card pins, over these ways, with what was kept. It begins to look for a node.
    pub(crate) fn new(
        (card, over): (&Card, &[Over]),
        terms: Terms,
        kept: Kept,
        timeouts: Timeouts,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, ConnectError> {
        let roads = Roads::new(&card.to_link(), over);
        let addresses = roads.addresses();
        if addresses.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        let kept = Arc::new(kept);
        let memory = Memory::new(Arc::clone(&kept) as _, &terms.cluster_id, card.known_policy())?;
        let mut core = Core::new(addresses, timeouts, rng);
        core.open(now.ms);
        Ok(Wired {
            core,
            memory,
            kept,
            terms: Arc::new(terms),
            roads,
            dials: BTreeMap::new(),
            next_dial: 1,
            desk: Desk::default(),
            out: VecDeque::new(),
            timeouts,
            over: false,
        })
    }

    /// What is remembered.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether something that was confirmed waits to be kept.
    pub(crate) fn keeps_later(&self) -> bool {
        self.memory.due_ms().is_some()
    }

    /// Whether this number was given to a dial.
    pub(crate) fn has_dialled(&self, dial: u64) -> bool {
        (1..self.next_dial).contains(&dial)
    }

    /// How a dial that is being opened was to be opened.
    pub(crate) fn way(&self, dial: u64) -> Option<&Way> {
        self.dials.get(&dial).filter(|road| matches!(road.at, At::Asked)).map(|road| &road.way)
    }

    /// Asks something; the outcome is told under `number`.
    pub(crate) fn submit(&mut self, number: u64, ask: Ask, now: Now) {
        let deadline_ms = now.ms.saturating_add(millis(self.timeouts.deadline));
        self.core.submit(Submission { ask, deadline_ms, asker: self.desk.asker(number) });
    }

    /// Follows a prefix; changes are told under `number`.
    pub(crate) fn watch(&mut self, number: u64, namespace: Namespace, prefix: KeyName, after: Revision) -> Result<(), WatchError> {
        let reader = self.desk.reader(number);
        self.core.watch(namespace, prefix, after, reader).inspect_err(|_| self.desk.forget(number))
    }

    /// Keeps the user's part of a namespace's keys for this and later sessions.
    pub(crate) fn keep(&mut self, unlock: Unlock) -> bool {
        self.core.keep(unlock)
    }

    /// Nobody waits under this number any more: what was not sent is not held either.
    pub(crate) fn forget(&mut self, number: u64) {
        self.desk.forget(number);
        self.core.forgot();
    }

    /// One message of a watch was worked off.
    pub(crate) fn worked_off(&mut self, number: u64) {
        self.desk.worked_off(number);
    }

    /// A way is open.
    pub(crate) fn reached(&mut self, dial: u64, how: Reached, now: Now, rng: &mut dyn CryptoRng) {
        let Some(road) = self.dials.get_mut(&dial).filter(|road| matches!(road.at, At::Asked)) else { return };
        let binding = match how {
            Reached::Native(exporter) => exporter,
            Reached::WebTransport(certificate) => web_transport_binding(&certificate.0),
            Reached::WebSocket => web_socket_binding(),
        };
        self.core.reached(road.of);
        // What time is left is shared anew: this way may have been told late.
        road.give_up_ms = road.give_up_ms.map(|_| now.ms.saturating_add(road.share_ms(now)));
        let goal = Goal::User { client: road.client };
        match Opening::begin((&self.memory, &self.terms), goal, &road.address, binding, now, rng) {
            Ok((opening, step)) => {
                road.at = At::Opening(Box::new(opening.telling()));
                self.step(dial, step, now);
                self.hear(dial, now, rng);
            }
            Err(fault) => self.failed(dial, fault, now),
        }
    }

    /// Bytes of a node.
    pub(crate) fn arrived(&mut self, dial: u64, bytes: &[u8], now: Now, rng: &mut dyn CryptoRng) {
        let Some(road) = self.dials.get_mut(&dial) else { return };
        road.cutter.push(bytes);
        road.is_silent &= bytes.is_empty() || matches!(road.at, At::Asked);
        match road.at {
            // A node has nothing to say before it is spoken to, and what its host is ahead of itself is little.
            At::Asked if road.cutter.is_ahead() => {
                self.failed(dial, DialError::Breach("it sent more than anybody waits for".into()), now);
            }
            _ => self.hear(dial, now, rng),
        }
    }

    /// Uses what arrived, for as long as something can be made of it.
    fn hear(&mut self, dial: u64, now: Now, rng: &mut dyn CryptoRng) {
        loop {
            let Some(road) = self.dials.get_mut(&dial) else { return };
            let opening = match &mut road.at {
                // Its host is ahead of itself: they are heard when it says that the way is open.
                At::Asked => return,
                At::Opening(opening) => opening,
                At::Open { .. } => return self.listen(dial, now, rng),
            };
            let stepped = match road.cutter.next(opening.wants()) {
                Ok(None) => return,
                Ok(Some(got)) => opening.take(&got, now, rng),
                Err(fault) => Err(fault),
            };
            let judged = opening.judgement();
            self.stepped(dial, judged, stepped, now);
        }
    }

    /// Takes what an attempt came to with one step: first what was judged is told, then what follows.
    fn stepped(&mut self, dial: u64, judged: Option<Box<(Exchange, Examined)>>, stepped: Result<Step, DialError>, now: Now) {
        if let Some(judged) = judged {
            self.give(Out::Judged { dial, judged });
        }
        match stepped {
            Ok(step) => self.step(dial, step, now),
            Err(fault) => self.failed(dial, fault, now),
        }
    }

    /// Gives an open session what arrived, and the core what came of it.
    fn listen(&mut self, dial: u64, now: Now, rng: &mut dyn CryptoRng) {
        let Some(Road { of, at: At::Open { line, .. }, cutter, .. }) = self.dials.get_mut(&dial) else { return };
        let of = *of;
        let mut messages = Vec::new();
        let heard = loop {
            let piece = cutter.piece(CHUNK_BYTES);
            if piece.is_empty() {
                break line.goes_on();
            }
            if let Err(fault) = line.push(&piece).and_then(|()| line.drain(&mut messages, now.ms)) {
                break Err(fault);
            }
        };
        if !messages.is_empty() {
            self.core.arrived(of, &mut messages, now.ms, rng);
        }
        if let Err(fault) = heard {
            self.core.broke(of, fault, now.ms);
        }
    }

    /// The transport took bytes; so many wait.
    pub(crate) fn written(&mut self, dial: u64, waiting: usize) {
        if let Some(road) = self.dials.get_mut(&dial) {
            road.waiting = waiting;
            self.core.backlog(road.of, waiting);
        }
    }

    /// A way ended, or could not be opened. Where nothing came of it the next one to the same place is tried.
    pub(crate) fn lost(&mut self, dial: u64, why: String, now: Now) {
        let Some(road) = self.dials.get(&dial) else { return };
        match road.at {
            At::Open { .. } => {
                let of = road.of;
                self.dials.remove(&dial);
                self.core.broke(of, LinkError::Lost(why), now.ms);
            }
            At::Asked => self.another_way(dial, why, now),
            At::Opening(_) if road.is_silent => self.another_way(dial, why, now),
            At::Opening(_) => self.failed(dial, DialError::Unreachable(format!("the connection was lost: {why}")), now),
        }
    }

    /// The signature that was asked for, or why there is none.
    pub(crate) fn signed(&mut self, dial: u64, signature: Result<Signature, String>, now: Now, rng: &mut dyn CryptoRng) {
        let Some(Road { at: At::Opening(opening), .. }) = self.dials.get_mut(&dial) else { return };
        let stepped = signature.map_err(DialError::Signature).and_then(|signature| opening.signed(signature));
        self.stepped(dial, None, stepped, now);
        self.hear(dial, now, rng);
    }

    /// The memory could not be kept: what followed it was not done, so nothing of this client goes on.
    pub(crate) fn unkept(&mut self, why: &str) {
        self.core.close();
        let words = format!(
            "it could not be kept ({why}), and without it a rollback would go unnoticed. Give the program room to keep it, then begin again"
        );
        self.end(Some(Box::new(ConnectError::Anchor { code: "RW-C-MEMORY-UNKEPT", words })));
    }

    /// Ends the client, and what waits to be kept is kept.
    pub(crate) fn close(&mut self) {
        self.memory.settle();
        self.keep_changed();
        self.core.close();
    }

    /// Time went on. What happened before is told before: a way that was opened in time is not ended because somebody was busy.
    pub(crate) fn tick(&mut self, now: Now) {
        self.end_what_is_late(now);
    }

    /// When [`Wired::tick`] is wanted though nothing happened.
    pub(crate) fn wake(&self) -> Option<u64> {
        let late = self.dials.values().filter_map(Road::gives_up_ms).min();
        [self.core.wake(), self.memory.due_ms(), late].into_iter().flatten().min().filter(|_| !self.over)
    }

    /// The next thing to do; none when nothing is left.
    pub(crate) fn next(&mut self, now: Now, rng: &mut dyn CryptoRng) -> Option<Out> {
        if self.memory.due_ms().is_some_and(|due| due <= now.ms) {
            self.memory.settle();
            self.keep_changed();
        }
        loop {
            if let Some(out) = self.out.pop_front() {
                return Some(out);
            }
            if self.over {
                return None;
            }
            if let Some(word) = self.desk.next() {
                self.give(Out::Word(word));
                continue;
            }
            match self.core.next(now.ms, rng) {
                Some(effect) => self.carry_out(effect, now),
                None => {
                    self.end_what_is_in_vain();
                    if let Some(word) = self.desk.next() {
                        self.give(Out::Word(word));
                    }
                    self.keep_changed();
                    if self.out.is_empty() {
                        return None;
                    }
                }
            }
        }
    }

    fn keep_changed(&mut self) {
        if let Some(bytes) = self.kept.take_changed() {
            self.out.push_back(Out::Keep(bytes));
        }
    }

    /// Gives something out; what the memory learned before goes first.
    fn give(&mut self, out: Out) {
        self.keep_changed();
        self.out.push_back(out);
    }

    fn send(&mut self, dial: u64, bytes: Vec<u8>) {
        if let Some(road) = self.dials.get_mut(&dial) {
            road.waiting = road.waiting.saturating_add(bytes.len());
            self.core.backlog(road.of, road.waiting);
        }
        self.give(Out::Send { dial, bytes });
    }

    fn hang_up(&mut self, dial: u64, well: bool) {
        if self.dials.remove(&dial).is_some() {
            self.give(Out::HangUp { dial, well });
        }
    }

    /// What an attempt wants next.
    fn step(&mut self, dial: u64, step: Step, now: Now) {
        match step {
            Step::Send(frame) => {
                let len = u32::try_from(frame.len()).expect("a message of an opening is far below 4 GiB");
                self.send(dial, [&len.to_be_bytes()[..], &frame].concat());
            }
            Step::Stream(bytes) => self.send(dial, bytes),
            Step::Sign(words) => self.give(Out::Sign { dial, words }),
            Step::Wait => {}
            Step::Open(open) => self.opened(dial, *open, now),
            Step::Judged(_) | Step::Visit(_) => {
                self.failed(dial, DialError::OutOfOrder("an attempt ended in what it was not begun for"), now)
            }
        }
    }

    fn opened(&mut self, dial: u64, (mut opened, line): (Opened, Line), now: Now) {
        let Some(road) = self.dials.get_mut(&dial) else { return };
        let members = opened.ready.members.iter().filter(|member| self.roads.leads_to(member)).cloned().collect();
        opened.ready.members = List::new(members).unwrap_or_default();
        road.at = At::Open { line: Box::new(line), used: false };
        self.core.opened(road.of, opened, now.ms);
    }

    /// An attempt failed.
    fn failed(&mut self, dial: u64, fault: DialError, now: Now) {
        let Some(road) = self.dials.remove(&dial) else { return };
        self.give(Out::HangUp { dial, well: false });
        self.ended(dial, road, fault, now);
    }

    fn ended(&mut self, dial: u64, road: Road, fault: DialError, now: Now) {
        self.give(Out::Unusable { dial, address: road.address, fault: fault.clone() });
        self.core.failed(road.of, fault, now.ms);
    }
}

#[cfg(test)]
mod tests;
