//! What a campaign against a disk found, in numbers.
//!
//! Decides: which outcomes there are, and that anything but the good ones is a finding with its seed. Trusts: nothing.
//! Out of scope: how an outcome is told (`crash`, `corrupt`). Protocol section 5.1.

use std::collections::BTreeMap;

/// Findings that are described; more are counted.
const DESCRIBED: usize = 16;

/// The outcomes of a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Images or edits judged.
    pub judged: u64,
    /// By kind and outcome.
    pub outcomes: BTreeMap<(String, &'static str), u64>,
    /// Outcomes that must not be.
    pub findings: u64,
    /// The first of them.
    pub found: Vec<String>,
}

impl Tally {
    /// A good outcome.
    pub(crate) fn good(&mut self, kind: impl Into<String>, outcome: &'static str) {
        self.judged += 1;
        *self.outcomes.entry((kind.into(), outcome)).or_default() += 1;
    }

    /// An outcome that must not be.
    pub(crate) fn bad(&mut self, kind: impl Into<String>, outcome: &'static str, what: String) {
        self.good(kind, outcome);
        self.findings += 1;
        if self.found.len() < DESCRIBED {
            self.found.push(what);
        }
    }

    /// How often an outcome was, over all kinds.
    pub fn of(&self, outcome: &str) -> u64 {
        self.outcomes.iter().filter(|((_, of), _)| *of == outcome).map(|(_, count)| count).sum()
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Tally) {
        self.judged += other.judged;
        self.findings += other.findings;
        for (key, count) in other.outcomes {
            *self.outcomes.entry(key).or_default() += count;
        }
        self.found.extend(other.found);
        self.found.truncate(DESCRIBED);
    }
}
