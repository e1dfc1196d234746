//! Budgets of the adversary, with names.
//!
//! Decides: how much happens in one search. `full` is the bound the project promises: two crashes, one disk put back, one clone, one recovery,
//! and the rest of the adversary. The others are parts of it, small enough to be searched to the end, and deep enough for one question.
//! Trusts: nothing. Out of scope: what the moves are (`adversary`). Protocol section 1.1.

use crate::cluster::world::{Budget, Deceived, Vendor};

/// A named budget.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Name.
    pub name: &'static str,
    /// What may happen.
    pub budget: Budget,
    /// Slots of the cluster.
    pub slots: u8,
    /// Whether judges of evidence may be deceived.
    pub deceives: bool,
    /// What it is for.
    pub about: &'static str,
}

/// Nothing.
const NONE: Budget = Budget {
    crashes: 0,
    pauses: 0,
    starts: 0,
    clones: 0,
    rollbacks: 0,
    rogues: 0,
    breaks: 0,
    recoveries: 0,
    elections: 0,
    writes: 0,
    anchors: 0,
};

const fn scope(name: &'static str, budget: Budget, about: &'static str) -> Scope {
    Scope { name, budget, slots: 3, deceives: false, about }
}

const JOIN: Budget = Budget { crashes: 1, starts: 1, elections: 1, writes: 1, ..NONE };
const RECOVER: Budget = Budget { crashes: 2, recoveries: 1, elections: 2, writes: 2, anchors: 1, ..NONE };
const FULL: Budget = Budget {
    crashes: 2,
    pauses: 1,
    starts: 2,
    clones: 1,
    rollbacks: 1,
    rogues: 1,
    breaks: 1,
    recoveries: 1,
    elections: 3,
    writes: 3,
    anchors: 1,
};
/// A paused member is replaced: the new process starts while the old one still holds its keys.
const PAUSED: Budget = Budget { crashes: 0, pauses: 1, clones: 1, ..JOIN };

/// Every budget.
pub const SCOPES: [Scope; 18] = [
    Scope { deceives: true, ..scope("full", FULL, "everything at once") },
    scope("elect", Budget { crashes: 1, pauses: 1, elections: 2, writes: 2, ..NONE }, "elections and writes"),
    scope("restart", Budget { crashes: 1, starts: 1, clones: 1, rollbacks: 1, elections: 2, writes: 1, ..NONE }, "restarts on any disk"),
    scope("clone", Budget { crashes: 1, starts: 1, clones: 1, elections: 1, writes: 1, ..NONE }, "a copy beside its original"),
    scope("admit", Budget { elections: 0, ..JOIN }, "a member is replaced, under one leader"),
    scope("join", JOIN, "a member is replaced"),
    scope("join-paused", PAUSED, "a paused member is replaced and comes back"),
    Scope {
        deceives: true,
        ..scope("join-rogue", Budget { rogues: 1, starts: 0, ..JOIN }, "a rogue asks to join, and some judges are deceived")
    },
    Scope { deceives: true, slots: 5, ..scope("join-five", Budget { rogues: 1, crashes: 1, ..NONE }, "the same among five slots") },
    scope("vote-rogue", Budget { crashes: 1, rogues: 1, elections: 2, writes: 1, ..NONE }, "a rogue has an opinion on elections"),
    scope("rogue", Budget { crashes: 1, rogues: 1, elections: 1, writes: 2, ..NONE }, "a rogue opens sessions and sends appends"),
    scope("break", Budget { pauses: 1, crashes: 1, starts: 2, clones: 1, breaks: 1, ..NONE }, "a member that is out is broken"),
    scope("recover", RECOVER, "recovery from honest disks"),
    scope("recover-rolled", Budget { rollbacks: 1, elections: 1, ..RECOVER }, "recovery with a disk put back"),
    Scope {
        deceives: true,
        ..scope("recover-rogue", Budget { rogues: 1, crashes: 1, writes: 1, elections: 1, ..RECOVER }, "a rogue asks for shares")
    },
    scope("recover-joined", Budget { recoveries: 1, elections: 0, ..JOIN }, "recovery while a member is being replaced"),
    scope("recover-paused", Budget { recoveries: 1, ..PAUSED }, "recovery while a paused member is being replaced"),
    scope("two-epochs", Budget { recoveries: 1, elections: 2, writes: 2, ..NONE }, "a recovery while the old members live"),
];

impl Scope {
    /// The budget of a name.
    pub fn find(name: &str) -> Option<&'static Scope> {
        SCOPES.iter().find(|scope| scope.name == name)
    }

    /// Which judges may be deceived at the start.
    pub fn deceptions(&self) -> Vec<Deceived> {
        let mut found = vec![Deceived::Nobody];
        if self.deceives {
            found.extend((0..self.slots).map(Deceived::Slot));
            found.extend([Vendor::Amd, Vendor::Intel].map(Deceived::Vendor));
        }
        found
    }
}
