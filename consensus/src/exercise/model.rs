//! What a log must hold after each of its records: the model that images are compared with.
//!
//! Decides: the meaning of append, vote, truncate and purge, once more and more simply than the log does. Trusts: nothing.
//! Out of scope: where records lie. Protocol section 5.1.

use crate::log::recover::Recovered;
use ringwall_wire::peer::{Ballot, LogEntry, LogPosition};
use std::sync::Arc;

/// One record, as it was queued.
#[derive(Clone, Debug)]
pub enum Deed {
    /// One entry.
    Entry(Arc<LogEntry>),
    /// A vote.
    Vote(Ballot),
    /// Everything after the position is void.
    Truncate(LogPosition),
    /// Everything up to the position is gone.
    Purge(LogPosition),
}

/// What the log holds.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    entries: Vec<Arc<LogEntry>>,
    vote: Option<Ballot>,
    purged: Option<LogPosition>,
}

impl Holds {
    /// After one more record.
    pub fn take(&mut self, deed: &Deed) {
        match deed {
            Deed::Entry(entry) => self.entries.push(Arc::clone(entry)),
            Deed::Vote(ballot) => self.vote = Some(*ballot),
            Deed::Truncate(last) => self.entries.retain(|entry| entry.at.index <= last.index),
            Deed::Purge(to) => {
                self.entries.retain(|entry| entry.at.index > to.index);
                self.purged = Some(*to);
            }
        }
    }

    /// Whether a log that was read back holds exactly this.
    pub fn is(&self, found: &Recovered) -> bool {
        self.vote == found.vote
            && self.purged == found.purged
            && self.entries.len() == found.entries.len()
            && self.entries.iter().zip(&found.entries).all(|(mine, theirs)| **mine == *theirs)
    }

    /// The last position.
    pub fn last(&self) -> Option<LogPosition> {
        self.entries.last().map(|entry| entry.at).or(self.purged)
    }

    /// The entries.
    pub fn entries(&self) -> &[Arc<LogEntry>] {
        &self.entries
    }

    /// Everything up to here is gone.
    pub fn purged(&self) -> Option<LogPosition> {
        self.purged
    }
}

/// All records so far, and how many of them must not be lost.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// What is certain.
    pub certain: Holds,
    /// Queued after that, not acknowledged.
    pub open: Vec<Deed>,
    /// Commit positions that were noted.
    pub committed: Option<LogPosition>,
}

impl Model {
    /// What the log will hold when everything queued is written.
    pub fn newest(&self) -> Holds {
        let mut holds = self.certain.clone();
        self.open.iter().for_each(|deed| holds.take(deed));
        holds
    }

    /// Everything queued so far was acknowledged, or comes before something that was.
    pub fn settle(&mut self) {
        for deed in self.open.drain(..) {
            self.certain.take(&deed);
        }
    }

    /// How many records after the certain ones a log that was read back holds; none if it is no state the log was ever in.
    pub fn explains(&self, found: &Recovered) -> Option<usize> {
        let mut holds = self.certain.clone();
        if holds.is(found) {
            return Some(0);
        }
        for (at, deed) in self.open.iter().enumerate() {
            holds.take(deed);
            if holds.is(found) {
                return Some(at + 1);
            }
        }
        None
    }
}
