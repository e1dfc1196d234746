//! The session in use: what is sent on it, and when it is left.
//!
//! Decides: silence of a machine while questions wait, questions that are not answered, age by the policy and a forgotten name each end a session; everything unanswered
//! is then asked on the next one, with the same bytes. New questions wait while too much waits for the network. Sessions that answer nothing are
//! followed by growing pauses.
//! Trusts: nothing of a node. Out of scope: what answers mean (`lane.rs`). Protocol section 3, step 7.

use super::{Core, DialId, Effect, LOOK_MS, Left, Stage};
use crate::asked::{Asker, Reader};
use crate::chance;
use crate::dial::{DialError, LinkError};
use crate::lane::Next;
use crate::timeouts::millis;
use rand_core::CryptoRng;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::ClientId;
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::request::Reply;

/// Pause after the first session that answered nothing.
const BARREN_FIRST_MS: u64 = 40;
/// Longest such pause.
const BARREN_MOST_MS: u64 = 2_000;
/// Time without a single datagram from the node, while a question waits, after which its machine counts as gone: transports acknowledge
/// within 25 ms, so this is many times a round trip. Leaving a node too early costs a handshake and nothing else.
pub(super) const QUIET_MS: u64 = 600;
/// Sealed bytes that may wait for the network before new questions have to.
pub(super) const BACKLOG_BYTES: usize = 4 * REQUEST_BYTES;

/// The session in use.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) dial: DialId,
    address: String,
    /// From this moment on nothing is sent on it.
    pub(super) reattest_by: u64,
    settled_before: u64,
    /// What was heard of its machine, and since when nothing more; none where nobody can tell.
    heard: Option<(u64, u64)>,
    backlog: usize,
    /// It was given what was unanswered before.
    resumed: bool,
}

impl Serving {
    pub(super) fn new(dial: DialId, address: String, reattest_by: u64, settled_before: u64) -> Self {
        Serving { dial, address, reattest_by, settled_before, heard: None, backlog: 0, resumed: false }
    }

    /// Whether new questions have to wait for the network.
    pub(super) fn is_clogged(&self) -> bool {
        self.backlog >= BACKLOG_BYTES
    }

    /// Notes the backlog; true where questions need not wait for it any more.
    pub(super) fn waits_for_network(&mut self, bytes: usize) -> bool {
        let clogged = self.is_clogged();
        self.backlog = bytes;
        clogged && !self.is_clogged()
    }

    pub(super) fn heard(&mut self, count: u64, now: u64) {
        if self.heard.is_none_or(|(before, _)| before != count) {
            self.heard = Some((count, now));
        }
    }
}

impl<A: Asker, R: Reader> Core<A, R> {
    /// Goes on with the session in use, if there is one: leaves it, or sends what is due.
    pub(super) fn serve(&mut self, now: u64, rng: &mut dyn CryptoRng) {
        let Stage::Serving(serving) = &self.stage else { return };
        if now >= serving.reattest_by {
            return self.leave(Left::Aged, now);
        }
        if now >= self.look_at && self.lane.is_wanted() {
            self.look_at = now.saturating_add(LOOK_MS);
            if let Some(fault) = self.look(now) {
                return self.leave(Left::Node(fault), now);
            }
        }
        if self.lane.wants_new_identity() {
            self.leave(Left::Renewed, now);
            return self.lane.renew(ClientId(chance::bytes(rng)));
        }
        self.send(now);
    }

    /// Deadlines, silence and readers. Says why the node is of no use, if so.
    fn look(&mut self, now: u64) -> Option<DialError> {
        let Stage::Serving(serving) = &self.stage else { return None };
        let quiet = serving.heard.is_some_and(|(_, at)| now.saturating_sub(at) >= QUIET_MS);
        if quiet && self.lane.waits(now, QUIET_MS) {
            return Some(DialError::Unreachable(format!("nothing came from it for {QUIET_MS}ms")));
        }
        let why = DialError::Unreachable("connected, and questions are not answered".into());
        if self.lane.is_overdue(now) {
            self.book.note(&serving.address, why.clone(), now);
            let trouble = self.book.trouble(millis(self.timeouts.deadline));
            self.book.clear(&serving.address);
            self.lane.expire(now, self.timeouts.deadline, &trouble);
        }
        self.lane.watches.tidy();
        self.lane.is_stalled(now, millis(self.timeouts.answer)).then_some(why)
    }

    fn send(&mut self, now: u64) {
        let Stage::Serving(serving) = &mut self.stage else { return };
        let mut messages = std::mem::take(&mut self.spare);
        if !serving.resumed {
            serving.resumed = true;
            self.lane.resume(now, &mut messages);
        } else if !serving.is_clogged() {
            self.lane.send(now, &mut messages);
        }
        match messages.is_empty() {
            true => self.spare = messages,
            false => self.effects.push_back(Effect::Send { dial: serving.dial, messages }),
        }
    }

    pub(super) fn session_told(&mut self, dial: DialId, arrived: &mut Vec<Vec<u8>>, now: u64, rng: &mut dyn CryptoRng) {
        if self.in_use() != Some(dial) {
            return;
        }
        self.stirred = true;
        for message in arrived.drain(..) {
            let Ok(reply) = Reply::decode(&message) else {
                return self.leave(Left::Node(DialError::Breach("a message that is no reply".into())), now);
            };
            let fault = match self.lane.reply(now, reply, rng) {
                Next::Stay => continue,
                Next::Leave(why) => DialError::Unreachable(why),
                Next::WentBack { known, got } => DialError::WentBack { known, got },
                Next::Breach(why) => DialError::Breach(why.into()),
            };
            return self.leave(Left::Node(fault), now);
        }
    }

    /// Leaves the session in use, if there is one. What was unanswered is asked on the next one.
    pub(super) fn leave(&mut self, why: Left, now: u64) {
        let Stage::Serving(serving) = std::mem::replace(&mut self.stage, Stage::Idle) else { return };
        self.stirred = true;
        self.barren = match self.lane.settled() == serving.settled_before {
            true => self.barren.saturating_add(1),
            false => 0,
        };
        if let Left::Node(fault) = &why {
            self.book.leave(&serving.address, fault.clone(), now);
        }
        self.lane.lost();
        self.effects.push_back(Effect::Leave { dial: serving.dial, why });
    }
}

/// The pause before the next search, after so many sessions in a row that answered nothing.
pub(super) fn pause_after(barren: u32, rng: &mut dyn CryptoRng) -> u64 {
    match barren {
        0 => 0,
        more => chance::jitter(BARREN_FIRST_MS.saturating_mul(1 << more.saturating_sub(1).min(8)).min(BARREN_MOST_MS), rng),
    }
}

pub(super) fn of_link(fault: LinkError) -> DialError {
    match fault {
        LinkError::Lost(why) => DialError::Unreachable(format!("the connection was lost: {why}")),
        LinkError::Breach(why) => DialError::Breach(why),
        LinkError::History(trouble) => DialError::History(trouble),
    }
}
