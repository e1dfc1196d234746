//! Who waits, by number: questions and watches of whoever has no channels.
//!
//! Decides: what was told is collected in order and given out one by one; a watch is told eight messages ahead of what its reader worked off, then it falls behind.
//! Trusts: nothing. Out of scope: what is told (`core.rs`). Protocol section 3, step 7.

use crate::asked::{Asker, Failure, Handed, Reader};
use crate::error::WatchError;
use ringwall_wire::request::{Answer, Events};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages of one watch that wait for its reader: each is at most one reply.
const AHEAD: usize = 8;

/// What somebody is told.
#[derive(Debug)]
pub(crate) enum Word {
    /// A question's outcome.
    Outcome(u64, Result<Answer, Failure>),
    /// A message of a watch.
    Events(u64, Events),
    /// A watch's end.
    Over(u64, WatchError),
}

#[derive(Debug, Default)]
struct Inner {
    words: VecDeque<Word>,
    asking: BTreeSet<u64>,
    /// Messages each watch was told and has not worked off.
    reading: BTreeMap<u64, usize>,
}

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Desk(Arc<Mutex<Inner>>);

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody asks under this number.
    pub(super) fn asker(&self, number: u64) -> Waiter {
        self.lock().asking.insert(number);
        Waiter { number, desk: self.clone() }
    }

    /// Somebody follows a watch under this number.
    pub(super) fn reader(&self, number: u64) -> Follower {
        self.lock().reading.insert(number, 0);
        Follower { number, desk: self.clone() }
    }

    /// Nobody waits under this number any more.
    pub(super) fn forget(&self, number: u64) {
        let mut inner = self.lock();
        inner.asking.remove(&number);
        inner.reading.remove(&number);
    }

    /// One message was worked off.
    pub(super) fn worked_off(&self, number: u64) {
        if let Some(told) = self.lock().reading.get_mut(&number) {
            *told = told.saturating_sub(1);
        }
    }

    /// The next word, for somebody who still waits.
    pub(super) fn next(&self) -> Option<Word> {
        let mut inner = self.lock();
        loop {
            let word = inner.words.pop_front()?;
            let waits = match &word {
                Word::Outcome(number, _) => inner.asking.remove(number),
                Word::Events(number, _) => inner.reading.contains_key(number),
                Word::Over(number, _) => inner.reading.remove(number).is_some(),
            };
            if waits {
                return Some(word);
            }
        }
    }
}

/// Whoever asked.
#[derive(Debug)]
pub(super) struct Waiter {
    number: u64,
    desk: Desk,
}

impl Asker for Waiter {
    fn is_gone(&self) -> bool {
        !self.desk.lock().asking.contains(&self.number)
    }

    fn tell(self, outcome: Result<Answer, Failure>) {
        self.desk.lock().words.push_back(Word::Outcome(self.number, outcome));
    }
}

/// Whoever follows a watch.
#[derive(Debug)]
pub(super) struct Follower {
    number: u64,
    desk: Desk,
}

impl Reader for Follower {
    fn is_gone(&self) -> bool {
        !self.desk.lock().reading.contains_key(&self.number)
    }

    fn has_room(&self) -> bool {
        self.desk.lock().reading.get(&self.number).is_some_and(|told| *told <= AHEAD / 2)
    }

    fn tell(&mut self, events: Events) -> Handed {
        let mut inner = self.desk.lock();
        let Inner { words, reading, .. } = &mut *inner;
        match reading.get_mut(&self.number) {
            None => Handed::Gone,
            Some(told) if *told >= AHEAD => Handed::Full,
            Some(told) => {
                *told = told.saturating_add(1);
                words.push_back(Word::Events(self.number, events));
                Handed::Taken
            }
        }
    }

    fn last_word(self, fault: WatchError) {
        self.desk.lock().words.push_back(Word::Over(self.number, fault));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::bounded::List;
    use ringwall_wire::ids::Revision;

    fn events() -> Events {
        Events { events: List::default(), through: Revision(1) }
    }

    #[test]
    fn a_reader_falls_behind_after_eight_and_catches_up_at_four() {
        let desk = Desk::default();
        let mut reader = desk.reader(3);
        for _ in 0..AHEAD {
            assert_eq!(reader.tell(events()), Handed::Taken);
        }
        assert_eq!(reader.tell(events()), Handed::Full);
        for left in (0..AHEAD).rev() {
            assert!(matches!(desk.next(), Some(Word::Events(3, _))));
            desk.worked_off(3);
            assert_eq!(reader.has_room(), left <= 4, "{left} are left");
        }
        desk.forget(3);
        assert!(reader.is_gone());
        assert_eq!(reader.tell(events()), Handed::Gone);
        reader.last_word(WatchError::TooMany { most: 1 });
        assert!(desk.next().is_none(), "nobody waits for it");
    }

    #[test]
    fn an_answer_is_told_once_and_to_whoever_still_waits() {
        let desk = Desk::default();
        let (one, other) = (desk.asker(1), desk.asker(2));
        desk.forget(1);
        assert!(one.is_gone() && !other.is_gone());
        one.tell(Ok(Answer::Done));
        other.tell(Ok(Answer::Done));
        assert!(matches!(desk.next(), Some(Word::Outcome(2, Ok(Answer::Done)))));
        assert!(desk.next().is_none());
    }
}
