//! When the next address is tried.
//!
//! Decides: at once after a failure, beside an attempt that has been silent too long, and after a growing, jittered pause when every address had its
//! turn. An address is never tried twice at the same time, and a silent one holds nobody up.
//! Trusts: nothing. Out of scope: which addresses there are (`book.rs`), dials (whoever carries out what `core.rs` says). Protocol section 3.

use crate::chance;
use rand_core::CryptoRng;
use std::collections::VecDeque;

/// Pause after the first round in which every address failed; doubled each round.
const ROUND_FIRST_MS: u64 = 40;
/// Longest such pause.
const ROUND_MOST_MS: u64 = 2_000;
/// Time after which an address that said nothing at all no longer delays the next one: many round trips, and little beside an election.
pub(crate) const SILENT_MS: u64 = 250;
/// The same for a node that answered the transport and is busy with its evidence: a throttled guest waits up to 2 s for its quote, and
/// asking every node at once would only make that worse.
pub(crate) const ATTESTING_MS: u64 = 2_500;

/// The rounds of one search.
#[derive(Debug)]
pub(crate) struct Rounds {
    waiting: VecDeque<String>,
    trying: Vec<String>,
    /// The newest attempt, while nothing has failed since.
    newest: Option<Newest>,
    /// When the next round begins, once this one is over.
    again: Option<u64>,
    pause_ms: u64,
    now: u64,
}

#[derive(Debug)]
struct Newest {
    address: String,
    began: u64,
    /// Whether its node answered the transport.
    reached: bool,
}

impl Rounds {
    /// The first round begins at `begin`.
    pub(crate) fn new(begin: u64) -> Self {
        Rounds { waiting: VecDeque::new(), trying: Vec::new(), newest: None, again: Some(begin), pause_ms: ROUND_FIRST_MS, now: begin }
    }

    /// Whether a new round begins now.
    pub(crate) fn is_due(&mut self, now: u64, rng: &mut dyn CryptoRng) -> bool {
        self.now = now;
        if self.again.is_none() && self.waiting.is_empty() && self.turn() <= now {
            self.again = Some(now.saturating_add(chance::jitter(self.pause_ms, rng)));
            self.pause_ms = self.pause_ms.saturating_mul(2).min(ROUND_MOST_MS);
        }
        self.again.is_some_and(|again| again <= now)
    }

    /// Begins a round with these addresses, but for those that are being tried.
    pub(crate) fn begin(&mut self, usable: Vec<String>) {
        let trying = &self.trying;
        self.waiting = usable.into_iter().filter(|address| !trying.contains(address)).collect();
        self.again = None;
    }

    /// The address to try now.
    pub(crate) fn next(&mut self, now: u64) -> Option<String> {
        if self.turn() > now {
            return None;
        }
        let address = self.waiting.pop_front()?;
        self.newest = Some(Newest { address: address.clone(), began: now, reached: false });
        self.trying.push(address.clone());
        Some(address)
    }

    /// The node at `address` answered the transport.
    pub(crate) fn reached(&mut self, address: &str) {
        if let Some(newest) = self.newest.as_mut().filter(|newest| newest.address == address) {
            newest.reached = true;
        }
    }

    /// The attempt at `address` is over.
    pub(crate) fn ended(&mut self, address: &str, now: u64) {
        self.trying.retain(|trying| trying != address);
        self.newest = None;
        self.now = now;
    }

    /// When the newest attempt no longer holds up what comes next.
    fn turn(&self) -> u64 {
        match &self.newest {
            Some(newest) => newest.began.saturating_add(if newest.reached { ATTESTING_MS } else { SILENT_MS }),
            None => self.now,
        }
    }

    /// When there may be something to do even if nothing happens.
    pub(crate) fn wake(&self) -> u64 {
        self.again.unwrap_or_else(|| self.turn())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Dice;

    fn begun(now: u64, addresses: &[&str]) -> Rounds {
        let mut rounds = Rounds::new(now);
        assert!(rounds.is_due(now, &mut Dice(1)));
        rounds.begin(addresses.iter().map(|address| (*address).to_string()).collect());
        rounds
    }

    #[test]
    fn a_failure_makes_way_at_once_and_silence_after_a_while() {
        let mut rounds = begun(0, &["a", "b", "c"]);
        assert_eq!(rounds.next(0).as_deref(), Some("a"));
        assert_eq!((rounds.next(SILENT_MS - 1), rounds.wake()), (None, SILENT_MS));
        rounds.ended("a", 10);
        assert_eq!(rounds.next(10).as_deref(), Some("b"));
        assert_eq!(rounds.next(10 + SILENT_MS).as_deref(), Some("c"), "silence holds up the next address");
    }

    #[test]
    fn a_node_that_was_reached_is_given_time_for_its_evidence() {
        let mut rounds = begun(0, &["a", "b"]);
        assert_eq!(rounds.next(0).as_deref(), Some("a"));
        rounds.reached("b");
        assert_eq!(rounds.wake(), SILENT_MS, "another node's answer counts");
        rounds.reached("a");
        assert_eq!((rounds.next(ATTESTING_MS - 1), rounds.wake()), (None, ATTESTING_MS));
        assert_eq!(rounds.next(ATTESTING_MS).as_deref(), Some("b"));
    }

    #[test]
    fn rounds_are_apart_by_growing_pauses_and_nothing_is_tried_twice_at_once() {
        let (mut rounds, mut dice) = (begun(0, &["a", "b"]), Dice(1));
        assert_eq!(rounds.next(0).as_deref(), Some("a"));
        assert_eq!(rounds.next(SILENT_MS).as_deref(), Some("b"));
        rounds.ended("b", SILENT_MS);
        let (mut now, mut pauses) = (SILENT_MS, Vec::new());
        for _ in 0..8 {
            assert!(!rounds.is_due(now, &mut dice), "no pause");
            pauses.push(rounds.wake() - now);
            now = rounds.wake();
            assert!(rounds.is_due(now, &mut dice));
            rounds.begin(vec!["a".into(), "b".into()]);
            assert_eq!(rounds.next(now).as_deref(), Some("b"), "the first one is still being tried");
            assert_eq!(rounds.next(now), None);
            rounds.ended("b", now);
        }
        assert!(pauses[0] <= ROUND_FIRST_MS && pauses[7] >= ROUND_MOST_MS / 2 && pauses[7] <= ROUND_MOST_MS, "{pauses:?}");
    }
}
