//! What clients saw, recorded by one clock, and the two questions asked of it.
//!
//! Decides: how operations of many tasks are collected; that an acknowledged write is never lost and that each key's history has one
//! order. Trusts: one process, one monotonic clock. Out of scope: the search itself (`linearizable.rs`).

use crate::linearizable::{Action, Operation, is_linearizable};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// A recorder shared by the tasks of a test.
pub struct History {
    start: Instant,
    keys: Mutex<BTreeMap<String, Vec<Operation>>>,
}

impl Default for History {
    fn default() -> Self {
        History { start: Instant::now(), keys: Mutex::default() }
    }
}

impl History {
    /// Now, in nanoseconds of this history's clock.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Records an operation that was sent at `sent` and answered now, or never.
    pub fn record(&self, key: &str, action: Action, sent: u64, answered: bool) {
        let operation = Operation { action, sent, answered: answered.then(|| self.now()) };
        self.keys.lock().expect("no test task panicked while recording").entry(key.to_owned()).or_default().push(operation);
    }

    /// Operations recorded, and writes among them that were acknowledged.
    pub fn counts(&self) -> (usize, usize) {
        let keys = self.keys.lock().expect("no test task panicked while recording");
        let all = keys.values().map(Vec::len).sum();
        let acknowledged = keys
            .values()
            .flatten()
            .filter(|operation| matches!(operation.action, Action::Write(_)) && operation.answered.is_some())
            .count();
        (all, acknowledged)
    }

    /// Shows each key with its operations.
    pub fn each(&self, mut look: impl FnMut(&str, &[Operation])) {
        let keys = self.keys.lock().expect("no test task panicked while recording");
        keys.iter().for_each(|(key, operations)| look(key, operations));
    }

    /// Writes that were refused, or whose outcome nobody knows.
    pub fn unanswered(&self) -> usize {
        let keys = self.keys.lock().expect("no test task panicked while recording");
        let lost = |operation: &&Operation| matches!(operation.action, Action::Write(_)) && operation.answered.is_none();
        keys.values().flatten().filter(lost).count()
    }

    /// Keys whose history no order explains.
    pub fn violations(&self) -> Vec<String> {
        let keys = self.keys.lock().expect("no test task panicked while recording");
        keys.iter().filter(|(_, operations)| !is_linearizable(operations)).map(|(key, _)| key.clone()).collect()
    }
}
