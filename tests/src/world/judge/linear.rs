//! Histories of single keys, judged without a word of the servers.
//!
//! Decides: which calls go into the search: reads, writes and removals as they are; a swap that was applied is a write, one that was not
//! is left out (what it saw is judged by `order`). Trusts: the search in `linearizable.rs`, which finds 200 of 200 planted violations of twelve shapes.
//! Out of scope: revisions. IN9.

use crate::linearizable::{Action, Operation, is_linearizable};
use crate::world::client::KEYS;
use crate::world::judge::Rule;
use crate::world::ops::{Ask, Op, Seen};

/// Calls of one key above which its history is cut: the search is exponential at worst.
const LONGEST: usize = 1_500;

/// One key's history as the search wants it.
pub fn history(ops: &[Op], key: u32) -> Vec<Operation> {
    let of_key: Vec<&Op> = ops.iter().filter(|op| op.key == key).collect();
    // Cut where nothing after the cut can have been seen before it.
    let cut = of_key.get(LONGEST).map_or(u64::MAX, |op| op.sent);
    let before = |op: &&&Op| op.sent < cut && (op.ask != Ask::Get || op.seen.is_none_or(|(answered, _)| answered < cut));
    let operations = of_key.iter().filter(before).filter_map(|op| {
        let answered = op.seen.map(|(answered, _)| answered);
        let action = match (op.ask, op.seen.map(|(_, seen)| seen)) {
            (_, Some(Seen::Conflict(_))) => return None,
            (Ask::Put(value) | Ask::Swap(value, _), _) => Action::Write(value),
            (Ask::Delete, _) => Action::Remove,
            (Ask::Get, Some(Seen::Found(_, value))) => Action::Read(Some(value)),
            (Ask::Get, Some(Seen::Absent(_))) => Action::Read(None),
            (Ask::Get, _) => return None,
        };
        Some(Operation { action, sent: op.sent, answered })
    });
    operations.collect()
}

/// Histories searched, calls in them, and what is wrong.
pub fn judge(ops: &[Op]) -> (usize, usize, Vec<(Rule, String)>) {
    let histories: Vec<(u32, Vec<Operation>)> = (0..KEYS as u32).map(|key| (key, history(ops, key))).collect();
    let calls = histories.iter().map(|(_, history)| history.len()).sum();
    let wrong = histories.iter().filter(|(_, history)| !is_linearizable(history));
    let broken = wrong.map(|(key, _)| (Rule::Linearizable, format!("no order explains the history of key {key}"))).collect();
    (histories.len(), calls, broken)
}
