//! What the clients of a world did and saw, in the order in which it was sent and answered.
//!
//! Decides: one counter orders all sends and answers of a world, finer than its milliseconds. Values never repeat. Trusts: one thread.
//! Out of scope: judging (`judge::order`, `judge::linear`).

use ringwall_wire::ids::Revision;
use std::sync::Mutex;

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Store this value.
    Put(u64),
    /// Store this value if the key has this version.
    Swap(u64, Revision),
    /// Remove the key.
    Delete,
    /// Read the key.
    Get,
}

/// What it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The write was applied at this revision.
    Written(Revision),
    /// The precondition failed; the key had this version, 0 for none. Nothing was changed.
    Conflict(Revision),
    /// The key has this version and value.
    Found(Revision, u64),
    /// The key is not there, as of this revision.
    Absent(Revision),
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Which client.
    pub client: u32,
    /// Which key.
    pub key: u32,
    /// What was asked.
    pub ask: Ask,
    /// When it was first sent.
    pub sent: u64,
    /// When it was answered and what was seen; none when nobody knows.
    pub seen: Option<(u64, Seen)>,
}

#[derive(Default)]
struct Inner {
    at: u64,
    ops: Vec<Op>,
}

/// All operations of a world.
#[derive(Default)]
pub struct Ops(Mutex<Inner>);

impl Ops {
    /// An operation is sent; gives its place.
    pub fn send(&self, client: u32, key: u32, ask: Ask) -> usize {
        let mut inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.at += 1;
        let sent = inner.at;
        inner.ops.push(Op { client, key, ask, sent, seen: None });
        inner.ops.len() - 1
    }

    /// It was answered.
    pub fn answer(&self, place: usize, seen: Seen) {
        let mut inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.at += 1;
        let at = inner.at;
        if let Some(op) = inner.ops.get_mut(place) {
            op.seen = Some((at, seen));
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Op> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).ops.clone()
    }

    /// How many, how many answered, how many writes acknowledged.
    pub fn counts(&self) -> (usize, usize, usize) {
        let inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let answered = inner.ops.iter().filter(|op| op.seen.is_some()).count();
        let written = inner.ops.iter().filter(|op| matches!(op.seen, Some((_, Seen::Written(_))))).count();
        (inner.ops.len(), answered, written)
    }
}
