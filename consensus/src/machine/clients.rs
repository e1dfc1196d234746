//! Exactly-once bookkeeping: what each client's recent writes gave.
//!
//! Decides: whether a write is new, a repeat, too old to know, or outside its client's window; and which client is forgotten when
//! there are too many: the one that was active longest ago, first of the namespace that has too many, then of all. Everything is a
//! function of the log. Trusts: nothing. Out of scope: applying the writes (`apply`). Protocol section 5; limits.rs, DEDUP.

use crate::defects::{self, Defect};
use ringwall_wire::bounded::List;
use ringwall_wire::command::Outcome;
use ringwall_wire::ids::{ClientTag, Revision, SpaceTag};
use ringwall_wire::limits::{DEDUP_CLIENTS, DEDUP_CLIENTS_PER_SPACE, DEDUP_OUTCOMES};
use ringwall_wire::request::Once;
use std::collections::{BTreeMap, BTreeSet};

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    /// Clients in all.
    pub(crate) clients: usize,
    /// Clients of one namespace.
    pub(crate) clients_per_space: usize,
    /// Outcomes in all: clients that never acknowledge must not cost the memory of all clients times the window.
    pub(crate) outcomes: usize,
    /// Outcomes of one namespace.
    pub(crate) outcomes_per_space: usize,
}

/// What every replica uses; changing it changes the state of the same log.
pub(crate) const LIMITS: ClientLimits = ClientLimits {
    clients: DEDUP_CLIENTS,
    clients_per_space: DEDUP_CLIENTS_PER_SPACE,
    outcomes: DEDUP_CLIENTS * 16,
    outcomes_per_space: DEDUP_CLIENTS_PER_SPACE * 16,
};

ringwall_wire::record! {
    /// One remembered outcome.
    #[derive(Copy)]
    pub struct Remembered {
        /// Which write.
        pub seq: u64,
        /// What it gave.
        pub outcome: Outcome,
    }
}

ringwall_wire::record! {
    /// A client's bookkeeping, as a snapshot holds it.
    pub struct ClientRecord {
        /// Its namespace.
        pub space: SpaceTag,
        /// The client.
        pub client: ClientTag,
        /// Writes below are answered.
        pub acked: u64,
        /// The namespace's evict floor when this bookkeeping began.
        pub floor: Revision,
        /// Log index of its newest write.
        pub active: u64,
        /// Revision at its newest write.
        pub revision: Revision,
        /// Outcomes, by sequence number.
        pub outcomes: List<Remembered, DEDUP_OUTCOMES>,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    acked: u64,
    floor: Revision,
    active: u64,
    revision: Revision,
    outcomes: BTreeMap<u64, Outcome>,
}

#[derive(Clone, Debug, Default)]
struct Space {
    by_age: BTreeSet<(u64, ClientTag)>,
    outcomes: usize,
}

/// Whether a write is to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is new.
    Fresh,
    /// Not to be applied: answer this.
    Answer(Outcome),
}

/// A client that was forgotten: its namespace must remember how recent it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) space: SpaceTag,
    pub(crate) revision: Revision,
}

/// All bookkeeping.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    limits: ClientLimits,
    rows: BTreeMap<(SpaceTag, ClientTag), Row>,
    by_age: BTreeSet<(u64, SpaceTag, ClientTag)>,
    spaces: BTreeMap<SpaceTag, Space>,
    outcomes: usize,
}

impl Clients {
    pub(crate) fn new(limits: ClientLimits) -> Self {
        Clients { limits, rows: BTreeMap::new(), by_age: BTreeSet::new(), spaces: BTreeMap::new(), outcomes: 0 }
    }

    /// Looks at a write before it is applied. `floor` is the namespace's evict floor.
    pub(crate) fn admit(&mut self, space: SpaceTag, client: ClientTag, once: &Once, floor: Revision) -> Admission {
        let window = DEDUP_OUTCOMES as u64;
        if once.seq < once.acked || once.seq == 0 {
            return Admission::Answer(Outcome::OutOfWindow);
        }
        let Some(row) = self.rows.get_mut(&(space, client)) else {
            return match once.since < floor || once.seq - once.acked >= window {
                true if once.since < floor => Admission::Answer(Outcome::ClientForgotten),
                true => Admission::Answer(Outcome::OutOfWindow),
                false => Admission::Fresh,
            };
        };
        if let Some(outcome) = row.outcomes.get(&once.seq).filter(|_| !defects::on(Defect::NoDedup)) {
            return Admission::Answer(*outcome);
        }
        if once.since < row.floor {
            return Admission::Answer(Outcome::ClientForgotten);
        }
        let acked = row.acked.max(once.acked);
        match once.seq < acked || once.seq - acked >= window {
            true => Admission::Answer(Outcome::OutOfWindow),
            false => Admission::Fresh,
        }
    }

    /// Remembers what a fresh write gave, and forgets whom there is no room for.
    #[must_use]
    pub(crate) fn record(&mut self, who: (SpaceTag, ClientTag), once: &Once, outcome: Outcome, at: At) -> Vec<Evicted> {
        let (space, client) = who;
        let totals = self.spaces.entry(space).or_default();
        let row = self.rows.entry(who).or_insert_with(|| Row {
            acked: once.acked,
            floor: at.floor,
            active: u64::MAX,
            revision: at.revision,
            outcomes: BTreeMap::new(),
        });
        if row.active != at.index {
            self.by_age.remove(&(row.active, space, client));
            totals.by_age.remove(&(row.active, client));
            row.active = at.index;
            self.by_age.insert((at.index, space, client));
            totals.by_age.insert((at.index, client));
        }
        row.revision = at.revision;
        row.acked = row.acked.max(once.acked);
        let before = row.outcomes.len();
        // Acknowledged ones are the first: they go one by one, where splitting would build the rest anew for every write.
        while row.outcomes.first_key_value().is_some_and(|(seq, _)| *seq < row.acked) {
            row.outcomes.pop_first();
        }
        row.outcomes.insert(once.seq, outcome);
        let after = row.outcomes.len();
        totals.outcomes = totals.outcomes + after - before;
        self.outcomes = self.outcomes + after - before;
        self.evict(space)
    }

    fn evict(&mut self, space: SpaceTag) -> Vec<Evicted> {
        let mut evicted = Vec::new();
        while let Some(totals) = self.spaces.get(&space) {
            let over = totals.by_age.len() > self.limits.clients_per_space || totals.outcomes > self.limits.outcomes_per_space;
            let Some((_, client)) = totals.by_age.first().copied().filter(|_| over) else { break };
            evicted.extend(self.forget(space, client));
        }
        while self.rows.len() > self.limits.clients || self.outcomes > self.limits.outcomes {
            let Some((_, space, client)) = self.by_age.first().copied() else { break };
            evicted.extend(self.forget(space, client));
        }
        evicted
    }

    fn forget(&mut self, space: SpaceTag, client: ClientTag) -> Option<Evicted> {
        let row = self.rows.remove(&(space, client))?;
        self.by_age.remove(&(row.active, space, client));
        self.outcomes -= row.outcomes.len();
        if let Some(totals) = self.spaces.get_mut(&space) {
            totals.by_age.remove(&(row.active, client));
            totals.outcomes -= row.outcomes.len();
            if totals.by_age.is_empty() {
                self.spaces.remove(&space);
            }
        }
        Some(Evicted { space, revision: row.revision })
    }

    /// Everything, in order, for a snapshot.
    pub(crate) fn records(&self) -> impl Iterator<Item = ClientRecord> + '_ {
        self.rows.iter().map(|((space, client), row)| {
            let outcomes = row.outcomes.iter().map(|(seq, outcome)| Remembered { seq: *seq, outcome: *outcome }).collect();
            ClientRecord {
                space: *space,
                client: *client,
                acked: row.acked,
                floor: row.floor,
                active: row.active,
                revision: row.revision,
                outcomes: List::new(outcomes).expect("the window bounds a client's outcomes"),
            }
        })
    }

    /// Takes one record of a snapshot in.
    pub(crate) fn restore(&mut self, record: ClientRecord) {
        let outcomes: BTreeMap<u64, Outcome> = record.outcomes.iter().map(|one| (one.seq, one.outcome)).collect();
        let totals = self.spaces.entry(record.space).or_default();
        totals.by_age.insert((record.active, record.client));
        totals.outcomes += outcomes.len();
        self.outcomes += outcomes.len();
        self.by_age.insert((record.active, record.space, record.client));
        let row = Row { acked: record.acked, floor: record.floor, active: record.active, revision: record.revision, outcomes };
        self.rows.insert((record.space, record.client), row);
    }
}

/// When a write is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// Log index of its entry.
    pub(crate) index: u64,
    /// Revision after it.
    pub(crate) revision: Revision,
    /// The namespace's evict floor.
    pub(crate) floor: Revision,
}
