//! The order judge against histories that are right, and the same with one thing planted.
//!
//! Decides: 200 of 200 plants of seven kinds are found, and no right history is refused. Trusts: the generator below, which gives each
//! call one moment within its interval. Out of scope: worlds.

use super::*;
use crate::world::dice::Dice;

/// A right history of `count` calls on three keys: each takes effect at one moment, its interval is wider.
fn right(dice: &Dice, count: u64) -> Vec<Op> {
    let mut keys: BTreeMap<u32, Option<(Revision, u64)>> = BTreeMap::new();
    let mut revision = Revision(10);
    let mut ops = Vec::new();
    for step in 1..=count {
        let key = dice.below(3) as u32;
        let now = keys.get(&key).copied().flatten();
        let (ask, seen) = match dice.below(10) {
            0..=3 => {
                revision.0 += 1;
                keys.insert(key, Some((revision, step)));
                (Ask::Put(step), Seen::Written(revision))
            }
            4 => {
                let expected = if dice.chance(500) { now.map_or(Revision(0), |(version, _)| version) } else { Revision(3) };
                match expected == now.map_or(Revision(0), |(version, _)| version) {
                    true => {
                        revision.0 += 1;
                        keys.insert(key, Some((revision, step)));
                        (Ask::Swap(step, expected), Seen::Written(revision))
                    }
                    false => (Ask::Swap(step, expected), Seen::Conflict(now.map_or(Revision(0), |(version, _)| version))),
                }
            }
            5 => {
                revision.0 += u64::from(now.is_some());
                keys.insert(key, None);
                (Ask::Delete, Seen::Written(revision))
            }
            _ => (Ask::Get, now.map_or(Seen::Absent(revision), |(version, value)| Seen::Found(version, value))),
        };
        let moment = step * 100;
        let (sent, answered) = (moment - dice.below(250).min(moment - 1), moment + dice.below(250));
        let unanswered = dice.chance(30) && !matches!(ask, Ask::Get | Ask::Delete);
        ops.push(Op { client: 0, key, ask, sent, seen: (!unanswered).then_some((answered, seen)) });
    }
    ops
}

fn written(ops: &[Op]) -> Vec<usize> {
    let put = |op: &Op| matches!((op.ask, op.seen), (Ask::Put(_), Some((_, Seen::Written(_)))));
    ops.iter().enumerate().filter(|(_, op)| put(op)).map(|(place, _)| place).collect()
}

/// Plants one thing that must not be. None where the history has no place for it.
fn plant(kind: u64, dice: &Dice, ops: &mut Vec<Op>) -> Option<()> {
    let end = ops.iter().filter_map(|op| op.seen).map(|(answered, _)| answered).max()? + 1_000;
    let place = *dice.pick(&written(ops))?;
    let op = ops[place];
    let (Ask::Put(value), Some((answered, Seen::Written(revision)))) = (op.ask, op.seen) else { return None };
    let newest = ops.iter().filter(|other| other.key == op.key).filter_map(told).map(|(revision, _)| revision).max()?;
    let read = |seen| Op { client: 9, key: op.key, ask: Ask::Get, sent: end, seen: Some((end + 1, seen)) };
    match kind {
        // An acknowledged write is gone: a later reader sees one before it.
        0 if revision < newest => ops.push(read(Seen::Found(revision, value))),
        // A key is told to be absent although it is not.
        1 => ops.push(read(Seen::Absent(Revision(revision.0 - 1)))),
        // A value from nowhere.
        2 => ops.push(read(Seen::Found(Revision(newest.0 + 1), 999_999))),
        // Two writes with one revision.
        3 => ops.push(Op { client: 9, ask: Ask::Put(888_888), sent: end, seen: Some((end + 1, Seen::Written(revision))), ..op }),
        // One write took effect twice.
        4 => ops.push(read(Seen::Found(Revision(newest.0 + 5), value))),
        // A later write has an earlier revision.
        5 => ops.push(Op { client: 9, ask: Ask::Put(777_777), sent: end, seen: Some((end + 1, Seen::Written(Revision(1)))), ..op }),
        // A read shows a write that was sent after the read was answered.
        6 => {
            let early = Op {
                client: 9,
                key: op.key,
                ask: Ask::Get,
                sent: 0,
                seen: Some((op.sent.saturating_sub(1), Seen::Found(revision, value))),
            };
            ops.push(early);
        }
        _ => return None,
    }
    let _ = answered;
    Some(())
}

#[test]
fn finds_every_planted_violation_and_refuses_no_right_history() {
    let (mut planted, mut found, mut seed) = (0, 0, 0);
    while planted < 200 {
        seed += 1;
        let dice = Dice::new(seed, "history", 0);
        let mut ops = right(&dice, 300);
        let before = judge(&ops);
        assert!(before.is_empty(), "seed {seed}: a right history was refused: {before:?}");
        if plant(seed % 7, &dice, &mut ops).is_some() && ops.len() > 300 {
            planted += 1;
            found += usize::from(!judge(&ops).is_empty());
        }
    }
    assert_eq!((planted, found), (200, 200));
}
