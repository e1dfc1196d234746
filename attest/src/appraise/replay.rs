//! Which builds a TD's boot log stands for: the log's events against the policy's tables of allowed ones.
//!
//! Decides: a build is accepted by a table when the quoted MRTD is the table's, the log replays to the quoted registers, every event of the log is
//! in the table under its register, and the events of each register follow the table's order: a required entry is used exactly once, an optional
//! one at most once. The first event that does not fit is named.
//! Trusts: [`BootLog::Replayed`], which only verifying makes. Registers hold digests alone, so an event's type is the host's word: it is compared
//! so that log and table tell one story, and nothing else depends on it. Out of scope: reading logs (`event_log.rs`).
//! Protocol section 2.2, "TDX"; docs/decisions/0011-boot-events-beside-tuples.md.

use super::Rules;
use crate::claims::TdxClaims;
use crate::event_log::{BootLog, Event, EventLog, REGISTERS};
use crate::rejection::Rejection;
use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;
use ringwall_wire::policy::{BootEvent, Measurement, Presence, TdxReplay};

/// Why a log does not fit a table, and how far it did: of several tables the one it fits longest is named.
struct Misfit {
    fitting: usize,
    rejection: Rejection,
}

/// The build whose table the log fits. Called when no tuple of the policy is the quoted one.
pub(super) fn build<'p>(claims: &TdxClaims, policy: Rules<'p>) -> Result<&'p Measurement, Rejection> {
    let all = policy.measurements.iter().flat_map(|build| build.tdx_replays.iter().map(move |table| (build, table)));
    let tables: Vec<_> = all.filter(|(_, table)| table.mrtd == claims.tuple.mrtd).collect();
    if tables.is_empty() {
        return Err(Rejection::TupleUnknown { reported: Box::new(claims.tuple.clone()) });
    }
    let log = match &claims.boot_log {
        BootLog::Replayed(log) => log,
        BootLog::Absent => return Err(Rejection::EventLogMissing { mrtd: claims.tuple.mrtd }),
        BootLog::Malformed(reason) => return Err(Rejection::EventLogMalformed { reason: reason.clone() }),
        BootLog::Mismatch { register, replayed, signed } => {
            return Err(Rejection::EventLogMismatch { register: *register, replayed: *replayed, reported: *signed });
        }
    };
    let mut closest: Option<Misfit> = None;
    for (build, table) in tables {
        match fits(log, table) {
            Ok(()) => return Ok(build),
            Err(misfit) if closest.as_ref().is_none_or(|other| other.fitting < misfit.fitting) => closest = Some(misfit),
            Err(_) => {}
        }
    }
    Err(closest.expect("there was a table, and the log did not fit it").rejection)
}

/// Whether the events of every register follow the table.
fn fits(log: &EventLog, table: &TdxReplay) -> Result<(), Misfit> {
    let mut fitting: usize = 0;
    for register in REGISTERS {
        let events: Vec<&Event> = log.of(register).collect();
        let entries: Vec<&BootEvent> = table.events.iter().filter(|entry| entry.register == register).collect();
        follows(&events, &entries).map_err(|misfit| Misfit { fitting: fitting.saturating_add(misfit.fitting), ..misfit })?;
        fitting = fitting.saturating_add(events.len());
    }
    Ok(())
}

/// Walks one register's events along its entries. Several entries may allow one digest, so all places the walk may have come to are kept:
/// `reached[n]` says that the events so far may have used up the first `n` entries.
fn follows(events: &[&Event], entries: &[&BootEvent]) -> Result<(), Misfit> {
    let mut reached = vec![false; entries.len()];
    reached.insert(0, true);
    for (index, event) in events.iter().enumerate() {
        let next = advance(&reached, event, entries);
        if !next.contains(&true) {
            let later: Vec<&Event> = events.iter().skip(index).copied().collect();
            return Err(Misfit { fitting: index, rejection: stuck(index, event, &later, entries, furthest(&reached)) });
        }
        reached = next;
    }
    match required_after(entries, furthest(&reached)) {
        None => Ok(()),
        Some(entry) => Err(Misfit { fitting: events.len(), rejection: missing(entry) }),
    }
}

/// The places after one more event. Optional entries may be passed over, required ones may not.
fn advance(reached: &[bool], event: &Event, entries: &[&BootEvent]) -> Vec<bool> {
    let mut next = vec![false];
    let mut open = false;
    for (entry, reached) in entries.iter().zip(reached) {
        open |= *reached;
        next.push(open && allows(entry, event));
        open &= entry.presence == Presence::Optional;
    }
    next
}

fn allows(entry: &BootEvent, event: &Event) -> bool {
    entry.register == event.register && entry.event_type == event.event_type && entry.digests.contains(&event.digest)
}

fn furthest(reached: &[bool]) -> usize {
    reached.iter().rposition(|place| *place).unwrap_or(0)
}

fn required_after<'e>(entries: &[&'e BootEvent], used: usize) -> Option<&'e BootEvent> {
    entries.iter().skip(used).find(|entry| entry.presence == Presence::Required).copied()
}

/// Names why `event`, with which `rest` begins, does not fit after `used` entries.
fn stuck(index: usize, event: &Event, rest: &[&Event], entries: &[&BootEvent], used: usize) -> Rejection {
    let Event { register, event_type, digest } = event.clone();
    if !entries.iter().any(|entry| allows(entry, event)) {
        return Rejection::EventNotAllowed { register, index, event_type, digest };
    }
    let later = entries.iter().skip(used).any(|entry| allows(entry, event));
    match required_after(entries, used) {
        Some(entry) if later && !rest.iter().any(|event| allows(entry, event)) => missing(entry),
        _ => Rejection::EventOutOfOrder { register, index, event_type, digest },
    }
}

fn missing(entry: &BootEvent) -> Rejection {
    Rejection::EventMissing { register: entry.register, event_type: entry.event_type, label: entry.label.to_string() }
}

#[cfg(test)]
mod tests;
