//! Recent changes, for watchers who were away for a moment.
//!
//! Decides: how far back history goes: a number of events and a number of bytes, both functions of the log, so that every replica
//! can continue every watch. Trusts: nothing. Out of scope: who may watch what (`node`). Protocol section 5; limits.rs, HISTORY.

use crate::machine::view::ChangeEvent;
use ringwall_wire::command::SealedRecord;
use ringwall_wire::ids::{KeyTag, Revision, SpaceTag};
use ringwall_wire::limits::HISTORY_EVENTS;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of sealed records history may hold: memory of every replica, and part of every snapshot.
pub(crate) const HISTORY_BYTES: usize = 16 * 1024 * 1024;
/// Bytes an event weighs beside name and value.
const EVENT_BYTES: usize = 160;

ringwall_wire::record! {
    /// An event, as a snapshot holds it.
    pub struct EventRecord {
        /// Revision.
        pub revision: Revision,
        /// Where.
        pub space: SpaceTag,
        /// Key.
        pub key: KeyTag,
        /// Whether it was removed.
        pub removed: bool,
        /// The record.
        pub record: SealedRecord,
    }
}

/// The ring of events.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    events: VecDeque<ChangeEvent>,
    bytes: usize,
    /// Events up to this revision may be gone.
    floor: Revision,
}

fn weight(event: &ChangeEvent) -> usize {
    EVENT_BYTES + event.record.name.len() + event.record.value.len()
}

impl History {
    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    pub(crate) fn set_floor(&mut self, floor: Revision) {
        self.floor = floor;
    }

    pub(crate) fn push(&mut self, event: ChangeEvent) {
        self.bytes += weight(&event);
        self.events.push_back(event);
        while self.events.len() > HISTORY_EVENTS || self.bytes > HISTORY_BYTES {
            let Some(gone) = self.events.pop_front() else { break };
            self.bytes -= weight(&gone);
            self.floor = gone.revision;
        }
    }

    /// Events of `space` in `(after, through]`; see [`crate::View::changes`].
    pub(crate) fn changes(
        &self,
        space: &SpaceTag,
        after: Revision,
        through: Revision,
        limit: usize,
    ) -> Option<(Vec<ChangeEvent>, Revision)> {
        if after < self.floor {
            return None;
        }
        let start = self.events.partition_point(|event| event.revision <= after);
        let mut found: Vec<ChangeEvent> = Vec::new();
        for event in self.events.iter().skip(start).take_while(|event| event.revision <= through) {
            if event.space != *space {
                continue;
            }
            let told = found.last().map(|last| last.revision);
            if found.len() >= limit && told != Some(event.revision) {
                return Some((found, told.unwrap_or(after)));
            }
            found.push(event.clone());
        }
        Some((found, through.max(after)))
    }

    /// Everything, in order, for a snapshot.
    pub(crate) fn records(&self) -> impl Iterator<Item = EventRecord> + '_ {
        self.events.iter().map(|event| EventRecord {
            revision: event.revision,
            space: event.space,
            key: event.key,
            removed: event.removed,
            record: event.record.as_ref().clone(),
        })
    }

    /// Takes one record of a snapshot in.
    pub(crate) fn restore(&mut self, record: EventRecord) {
        let EventRecord { revision, space, key, removed, record } = record;
        let event = ChangeEvent { revision, space, key, removed, record: Arc::new(record) };
        self.bytes += weight(&event);
        self.events.push_back(event);
    }
}
