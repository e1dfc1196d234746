//! Whether what clients saw of one key can be explained by one order of its operations.
//!
//! Decides: the Wing-Gong search with Lowe's cache over a register that is written and read. A write whose answer never came may have
//! happened at any time after it was sent, or not at all. Trusts: the recorded times, taken by one clock around each call.
//! Out of scope: recording (`history.rs`). It trusts no order the servers report.

use std::collections::HashSet;

/// What one call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Wrote this value.
    Write(u64),
    /// Read this value; none = the key was absent.
    Read(Option<u64>),
    /// Removed the key.
    Remove,
}

/// One call with the times around it, in any unit of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it did.
    pub action: Action,
    /// When it was sent.
    pub sent: u64,
    /// When it was answered; none when the answer never came.
    pub answered: Option<u64>,
}

const END: usize = usize::MAX;

struct Search<'a> {
    operations: &'a [Operation],
    next: Vec<usize>,
    previous: Vec<usize>,
    done: Vec<u64>,
}

/// Whether one order explains the operations of one key that was absent at first.
pub fn is_linearizable(operations: &[Operation]) -> bool {
    let mut search = Search::new(operations);
    let head = operations.len() * 2;
    let mut value = None;
    let mut seen: HashSet<(Vec<u64>, Option<u64>)> = HashSet::new();
    let mut path: Vec<(usize, Option<u64>)> = Vec::new();
    let mut at = search.next[head];
    while search.next[head] != END {
        if at < operations.len() {
            match apply(value, operations[at].action) {
                Some(after) if search.first_time(at, after, &mut seen) => {
                    path.push((at, value));
                    value = after;
                    search.unlink(at);
                    at = search.next[head];
                }
                _ => at = search.next[at],
            }
        } else {
            let Some((last, before)) = path.pop() else { return false };
            value = before;
            search.relink(last);
            at = search.next[last];
        }
    }
    true
}

fn apply(value: Option<u64>, action: Action) -> Option<Option<u64>> {
    match action {
        Action::Write(new) => Some(Some(new)),
        Action::Remove => Some(None),
        Action::Read(seen) => (seen == value).then_some(value),
    }
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        let count = operations.len();
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(count * 2);
        for (id, operation) in operations.iter().enumerate() {
            events.push((operation.sent, false, id));
            events.push((operation.answered.unwrap_or(u64::MAX), true, id + count));
        }
        events.sort_unstable();
        let mut next = vec![END; count * 2 + 1];
        let mut previous = vec![END; count * 2 + 1];
        let mut last = count * 2;
        for (_, _, node) in events {
            next[last] = node;
            previous[node] = last;
            last = node;
        }
        Search { operations, next, previous, done: vec![0; count.div_ceil(64)] }
    }

    fn first_time(&mut self, id: usize, after: Option<u64>, seen: &mut HashSet<(Vec<u64>, Option<u64>)>) -> bool {
        self.done[id / 64] |= 1 << (id % 64);
        let fresh = seen.insert((self.done.clone(), after));
        if !fresh {
            self.done[id / 64] &= !(1 << (id % 64));
        }
        fresh
    }

    fn unlink(&mut self, id: usize) {
        for node in [id, id + self.operations.len()] {
            let (before, after) = (self.previous[node], self.next[node]);
            self.next[before] = after;
            if after != END {
                self.previous[after] = before;
            }
        }
    }

    fn relink(&mut self, id: usize) {
        self.done[id / 64] &= !(1 << (id % 64));
        for node in [id + self.operations.len(), id] {
            let (before, after) = (self.previous[node], self.next[node]);
            self.next[before] = node;
            if after != END {
                self.previous[after] = node;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(value: u64, sent: u64, answered: u64) -> Operation {
        Operation { action: Action::Write(value), sent, answered: Some(answered) }
    }

    fn read(value: Option<u64>, sent: u64, answered: u64) -> Operation {
        Operation { action: Action::Read(value), sent, answered: Some(answered) }
    }

    #[test]
    fn accepts_what_one_order_explains() {
        assert!(is_linearizable(&[]));
        assert!(is_linearizable(&[read(None, 0, 1), write(1, 2, 3), read(Some(1), 4, 5)]));
        // Two concurrent writes, readers agree on an order.
        assert!(is_linearizable(&[write(1, 0, 10), write(2, 0, 10), read(Some(2), 11, 12), read(Some(2), 13, 14)]));
        // An unanswered write may surface late, or never.
        let lost = Operation { action: Action::Write(9), sent: 0, answered: None };
        assert!(is_linearizable(&[lost, write(1, 1, 2), read(Some(1), 3, 4), read(Some(9), 5, 6)]));
        assert!(is_linearizable(&[lost, write(1, 1, 2), read(Some(1), 3, 4)]));
    }

    #[test]
    fn finds_a_lost_write_a_stale_read_and_a_value_from_nowhere() {
        assert!(!is_linearizable(&[write(1, 0, 1), read(None, 2, 3)]));
        assert!(!is_linearizable(&[write(1, 0, 1), write(2, 2, 3), read(Some(1), 4, 5)]));
        assert!(!is_linearizable(&[write(1, 0, 1), read(Some(7), 2, 3)]));
        // Readers that disagree on the order of two writes.
        let split = [write(1, 0, 10), write(2, 0, 10), read(Some(1), 11, 12), read(Some(2), 13, 14), read(Some(1), 15, 16)];
        assert!(!is_linearizable(&split));
    }
}

#[cfg(test)]
#[path = "linearizable_tests.rs"]
mod planted;
