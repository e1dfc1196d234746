//! Boots a policy knows by their events: logs that are missing, damaged or of another boot, and boots the policy's table does not allow.
//!
//! Decides: what names each. Every event dropped, doubled or swapped in real logs is in attest/tests/events.rs.
//! Trusts: the harness; `ringwall-sim` for machines that boot otherwise and sign what they measured. Out of scope: tuples (`policy.rs`).

use crate::harness::{ACCEPTED, NOW_S, Table, machine_under, profile};
use ringwall_sim::{Lie, SimTee, policy_for};
use ringwall_wire::bounded::List;

pub fn rows(table: &mut Table) {
    let honest = SimTee::new(profile("tdx-1"), NOW_S);
    let mut policy = policy_for(&[&honest]);
    policy.measurements = List::new(vec![honest.profile().build.measurement_by_events()]).unwrap();
    assert_eq!(machine_under(&honest, &policy), ACCEPTED);
    for (id, lie, expected) in [
        ("log.missing", Lie::TdxLogAbsent, "R::EventLogMissing"),
        ("log.wrong", Lie::TdxLogGarbled, "R::EventLogMalformed { reason: NoSpecId"),
        ("log.event_missing", Lie::TdxLogDropped, "R::EventLogMismatch { register: Rtmr2"),
        ("log.events_swapped", Lie::TdxLogReordered, "R::EventLogMismatch { register: Rtmr0"),
        ("boot.event_wrong", Lie::TdxEventUnlisted, "R::EventNotAllowed { register: Rtmr2, index: 2"),
        ("boot.event_missing", Lie::TdxEventMissing, "R::EventMissing { register: Rtmr1"),
        ("boot.events_swapped", Lie::TdxEventsSwapped, "R::EventOutOfOrder { register: Rtmr2, index: 0"),
        ("boot.event_twice", Lie::TdxEventTwice, "R::EventOutOfOrder { register: Rtmr2, index: 2"),
        ("boot.memory_size", Lie::TdxMemory, "R::EventNotAllowed { register: Rtmr0, index: 0"),
    ] {
        let liar = honest.clone().telling(&[lie]);
        table.row(format!("tdx.{id}"), expected, machine_under(&liar, &policy));
    }
}
