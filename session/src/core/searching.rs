//! The search for a usable node: attempts beside each other until one opened, a final answer came, or time is over.
//!
//! Decides: what an attempt's failure means for the search; what no other node would make better ends it; the first attempt that opened a session wins, and all others
//! are dropped. An attempt whose end nobody tells is dropped too. Operations go on expiring meanwhile.
//! Trusts: nothing. Out of scope: the order of addresses (`book.rs`), when each is tried (`rounds.rs`). Protocol section 3.

use super::serving::Serving;
use super::{Core, DialId, Effect, LOOK_MS, Stage};
use crate::anchor::Trouble;
use crate::asked::{Asker, Reader};
use crate::dial::{DialError, Opened};
use crate::error::ConnectError;
use crate::rounds::Rounds;
use crate::timeouts::millis;
use rand_core::CryptoRng;
use std::time::Duration;

/// Time after its end within which the shell says what came of an attempt: what was read in time may still be judged, for a second where many
/// governors and witnesses sign.
const LATE_MS: u64 = 2_000;

/// A search.
#[derive(Debug)]
pub(super) struct Search {
    /// It is for whoever makes the client.
    first: bool,
    began: u64,
    until: u64,
    rounds: Rounds,
    attempts: Vec<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    dial: DialId,
    address: String,
    until: u64,
    reached: bool,
}

impl Attempt {
    fn silence(&self) -> DialError {
        let said = if self.reached { "it was reached, and opened no session in time" } else { "nothing came from it in time" };
        DialError::Unreachable(said.into())
    }
}

impl Search {
    /// A search that takes at most `deadline`, and begins after a pause.
    pub(super) fn new(first: bool, now: u64, deadline: Duration, pause_ms: u64) -> Self {
        let until = now.saturating_add(millis(deadline));
        Search { first, began: now, until, rounds: Rounds::new(now.saturating_add(pause_ms).min(until)), attempts: Vec::new() }
    }

    /// When there may be something to do even if nothing happens.
    pub(super) fn wake(&self) -> u64 {
        let late = self.attempts.iter().map(|attempt| attempt.until.saturating_add(LATE_MS)).min();
        late.map_or(self.until, |late| late.min(self.until)).min(self.rounds.wake())
    }

    pub(super) fn reached(&mut self, dial: DialId) {
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.dial == dial) {
            attempt.reached = true;
            self.rounds.reached(&attempt.address);
        }
    }

    /// The end of every attempt.
    pub(super) fn abandoned(self) -> impl Iterator<Item = Effect> {
        self.attempts.into_iter().map(|attempt| Effect::Abandon { dial: attempt.dial })
    }

    fn take(&mut self, wanted: impl Fn(&Attempt) -> bool, now: u64) -> Option<Attempt> {
        let at = self.attempts.iter().position(wanted)?;
        let attempt = self.attempts.swap_remove(at);
        self.rounds.ended(&attempt.address, now);
        Some(attempt)
    }
}

impl<A: Asker, R: Reader> Core<A, R> {
    /// Goes on with the search, if there is one.
    pub(super) fn search(&mut self, now: u64, rng: &mut dyn CryptoRng) {
        let Stage::Searching(search) = &mut self.stage else { return };
        let waited_ms = now.saturating_sub(search.began);
        if now >= search.until {
            for attempt in &search.attempts {
                self.book.failed(&attempt.address, attempt.silence(), true, now);
            }
            return self.give_up(&self.book.trouble(waited_ms));
        }
        if now >= self.look_at {
            self.look_at = now.saturating_add(LOOK_MS);
            if self.lane.is_overdue(now) {
                self.lane.expire(now, self.timeouts.deadline, &self.book.trouble(waited_ms));
            }
            self.lane.watches.tidy();
        }
        while let Some(attempt) = search.take(|attempt| attempt.until.saturating_add(LATE_MS) <= now, now) {
            self.book.failed(&attempt.address, attempt.silence(), false, now);
            self.effects.push_back(Effect::Abandon { dial: attempt.dial });
        }
        loop {
            if search.rounds.is_due(now, rng) {
                let usable = self.book.round(now);
                if usable.is_empty() && search.attempts.is_empty() {
                    let trouble = if self.book.is_empty() { ConnectError::NoAddress } else { self.book.trouble(waited_ms) };
                    return self.give_up(&trouble);
                }
                search.rounds.begin(usable);
            }
            if let Some(address) = search.rounds.next(now) {
                let dial = DialId(self.dials);
                self.dials = self.dials.saturating_add(1);
                let until = search.until.min(now.saturating_add(millis(self.timeouts.dial)));
                search.attempts.push(Attempt { dial, address: address.clone(), until, reached: false });
                self.effects.push_back(Effect::Dial { dial, address, client: self.lane.identity(), until_ms: until });
            }
            // A round that begins with nobody to try is over at once; the next one is later than now.
            if search.rounds.wake() > now {
                return;
            }
        }
    }

    /// No session will come: tells everybody who waits.
    fn give_up(&mut self, trouble: &ConnectError) {
        let Stage::Searching(search) = std::mem::replace(&mut self.stage, Stage::Idle) else { return };
        let first = search.first;
        self.effects.extend(search.abandoned());
        self.lane.fail(trouble);
        if first {
            self.stage = Stage::Over;
            self.effects.push_back(Effect::Ended(Some(Box::new(trouble.clone()))));
        }
    }

    /// An attempt ended: what is known of it, if it was one.
    fn attempt(&mut self, dial: DialId, now: u64) -> Option<Attempt> {
        let Stage::Searching(search) = &mut self.stage else { return None };
        let attempt = search.take(|attempt| attempt.dial == dial, now)?;
        self.stirred = true;
        Some(attempt)
    }

    pub(super) fn attempt_failed(&mut self, dial: DialId, fault: DialError, now: u64) {
        let Some(Attempt { address, .. }) = self.attempt(dial, now) else { return };
        let ended = match fault {
            // No other node would make it better.
            DialError::History(trouble @ (Trouble::Detected(_) | Trouble::Store { .. })) => {
                ConnectError::of_history(address, trouble, self.book.tried())
            }
            DialError::NotAuthorized(detail) => ConnectError::NotAuthorized { address, detail },
            DialError::DeviceRevoked(detail) => ConnectError::DeviceRevoked { address, detail },
            DialError::NotRestored(detail) => ConnectError::NotRestored { address, detail },
            DialError::Signature(cause) => ConnectError::DeviceSignature { cause },
            fault => {
                let cut = matches!(&self.stage, Stage::Searching(search) if now >= search.until);
                return self.book.failed(&address, fault, cut, now);
            }
        };
        self.give_up(&ended);
    }

    pub(super) fn attempt_opened(&mut self, dial: DialId, opened: Opened, now: u64) {
        let Some(Attempt { address, .. }) = self.attempt(dial, now) else { return };
        let Opened { ready, verification, reattest_by_ms } = opened;
        self.book.found(&address, &ready.members);
        self.lane.learn(ready.revision);
        let serving = Serving::new(dial, address, reattest_by_ms, self.lane.settled());
        if let Stage::Searching(search) = std::mem::replace(&mut self.stage, Stage::Serving(serving)) {
            self.effects.extend(search.abandoned());
        }
        self.effects.push_back(Effect::Use { dial, verification: Box::new(verification) });
    }
}
