//! One order for everything clients saw: the order of revisions the servers gave, held against real time.
//!
//! Decides: a witness is given (every answer names a revision), so it only has to be verified, in n log n: revisions are unique, later
//! calls see later revisions, a read shows the newest write of its key, a write took effect once, a swap found what it expected.
//! Calls nobody answered may have happened at any time after they were sent, or never. Trusts: the counter that ordered sends and
//! answers; the servers for nothing. Out of scope: histories without revisions (`linear`). IN4, IN9.

use crate::world::judge::Rule;
use crate::world::ops::{Ask, Op, Seen};
use ringwall_wire::ids::Revision;
use std::collections::BTreeMap;

type Broken = Vec<(Rule, String)>;

/// What a key was changed to, by revision: a value, or none for a removal.
type Changes = BTreeMap<Revision, Option<u64>>;

/// Everything wrong with a history.
pub fn judge(ops: &[Op]) -> Broken {
    let mut broken = Broken::new();
    let changes = changes(ops, &mut broken);
    real_time(ops, &mut broken);
    for op in ops {
        placed(op, ops, changes.get(&op.key).unwrap_or(&Changes::new()), &mut broken);
    }
    broken
}

/// Collects what is known of each key's changes; finds contradictions.
fn changes(ops: &[Op], broken: &mut Broken) -> BTreeMap<u32, Changes> {
    let mut by_key: BTreeMap<u32, Changes> = BTreeMap::new();
    let mut by_value: BTreeMap<u64, Revision> = BTreeMap::new();
    let mut by_revision: BTreeMap<Revision, usize> = BTreeMap::new();
    let wrote: BTreeMap<u64, &Op> = ops.iter().filter_map(|op| value(op.ask).map(|value| (value, op))).collect();
    for (place, op) in ops.iter().enumerate() {
        let Some((answered, seen)) = op.seen else { continue };
        let (revision, now) = match seen {
            Seen::Written(revision) => {
                // A removal of what is not there changes nothing and has the revision of the moment.
                if op.ask != Ask::Delete && by_revision.insert(revision, place).is_some() {
                    broken.push((Rule::OneOrder, format!("two writes have revision {revision:?}")));
                }
                (revision, value(op.ask))
            }
            Seen::Found(revision, found) => {
                let writer = wrote.get(&found).filter(|writer| writer.key == op.key && writer.sent < answered);
                if writer.is_none() {
                    broken.push((Rule::OneOrder, format!("key {} shows {found}, which nobody had written", op.key)));
                    continue;
                }
                (revision, Some(found))
            }
            Seen::Conflict(_) | Seen::Absent(_) => continue,
        };
        let before = by_key.entry(op.key).or_default().insert(revision, now);
        if before.is_some_and(|before| before != now) {
            broken.push((Rule::OneOrder, format!("key {} is {before:?} and {now:?} at {revision:?}", op.key)));
        }
        let first = now.map(|now| *by_value.entry(now).or_insert(revision));
        if first.is_some_and(|first| first != revision) {
            broken.push((Rule::Once, format!("key {} became {now:?} at {first:?} and at {revision:?}", op.key)));
        }
    }
    by_key
}

fn value(ask: Ask) -> Option<u64> {
    match ask {
        Ask::Put(value) | Ask::Swap(value, _) => Some(value),
        Ask::Delete | Ask::Get => None,
    }
}

/// What a call tells about how far the state had come: a least revision, and whether it is its own (a write's).
fn told(op: &Op) -> Option<(Revision, bool)> {
    match op.seen?.1 {
        Seen::Written(revision) => Some((revision, true)),
        Seen::Found(revision, _) | Seen::Absent(revision) => Some((revision, false)),
        Seen::Conflict(current) => Some((current, false)),
    }
}

/// Whoever asks later sees later: over all keys where a moment is known exactly, else for its key.
fn real_time(ops: &[Op], broken: &mut Broken) {
    let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(ops.len() * 2);
    for (place, op) in ops.iter().enumerate() {
        if let Some((answered, _)) = op.seen {
            events.extend([(op.sent, false, place), (answered, true, place)]);
        }
    }
    events.sort_unstable();
    let (mut floor, mut key_floor): (Revision, BTreeMap<u32, Revision>) = (Revision(0), BTreeMap::new());
    let mut at_send: BTreeMap<usize, (Revision, Revision)> = BTreeMap::new();
    for (_, is_answer, place) in events {
        let op = &ops[place];
        let own_key = key_floor.entry(op.key).or_default();
        if !is_answer {
            at_send.insert(place, (floor, *own_key));
            continue;
        }
        let (Some((revision, _)), Some((all, key))) = (told(op), at_send.remove(&place)) else { continue };
        let fits = match op.seen {
            Some((_, Seen::Written(revision))) if op.ask == Ask::Delete => revision >= all,
            Some((_, Seen::Written(revision))) => revision > all,
            Some((_, Seen::Absent(revision))) => revision >= all,
            Some((_, Seen::Found(revision, _))) => revision >= key,
            Some((_, Seen::Conflict(Revision(0)))) | None => true,
            Some((_, Seen::Conflict(current))) => current >= key,
        };
        if !fits {
            let rule = if matches!(op.seen, Some((_, Seen::Written(_)))) { Rule::OneOrder } else { Rule::ReadsAcknowledged };
            broken.push((rule, format!("{op:?} although {all:?} (its key: {key:?}) was told before it was sent")));
        }
        floor = floor.max(revision);
        if !matches!(op.seen, Some((_, Seen::Absent(_)))) {
            *own_key = (*own_key).max(revision);
        }
    }
}

/// Whether the answer fits the changes of its key around it.
fn placed(op: &Op, ops: &[Op], changes: &Changes, broken: &mut Broken) {
    let Some((answered, seen)) = op.seen else { return };
    match seen {
        Seen::Absent(at) => {
            let last = changes.range(..=at).next_back();
            if let Some((revision, Some(value))) = last
                && !may_be_deleted(op.key, ops, answered)
            {
                broken.push((Rule::ReadsAcknowledged, format!("key {} is absent at {at:?}, and {value} since {revision:?}", op.key)));
            }
        }
        Seen::Written(revision) => {
            if let Ask::Swap(_, expected) = op.ask {
                let between = (expected < revision).then(|| changes.range(expected..revision).find(|(at, _)| **at > expected)).flatten();
                // A swap that expects nothing follows a removal, or nothing.
                let last = changes.range(..revision).next_back().and_then(|(_, value)| *value);
                let wrong = match expected {
                    Revision(0) => last.is_some() && !may_be_deleted(op.key, ops, answered),
                    _ => between.is_some() || expected >= revision,
                };
                if wrong {
                    broken.push((Rule::OneOrder, format!("{op:?} although the key had changed")));
                }
            }
        }
        Seen::Found(..) | Seen::Conflict(_) => {}
    }
}

/// Whether a removal nobody heard of may have happened before `moment`.
fn may_be_deleted(key: u32, ops: &[Op], moment: u64) -> bool {
    ops.iter().any(|op| op.key == key && op.ask == Ask::Delete && op.seen.is_none() && op.sent < moment)
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
