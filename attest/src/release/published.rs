//! Whether entries of the release log are public: recoveries and dealings, beside releases and policy changes.
//!
//! Decides: each entry is in the tree of one checkpoint, which the policy's log signed and enough of its witnesses cosigned; entries are at distinct places,
//! ascending. However old: what is in a log stays in it. Nothing follows for a session from an entry that is missing: a cluster whose log is down must
//! be recoverable, so that this is shown to people and demanded by nobody (decision 0049).
//! Trusts: the policy. Out of scope: whose word an entry is (anybody may have one added; the record it names says it), publishing (`client`).
//! Protocol sections 6.2 and 8.

use super::log::{Checkpoint, included, witnessed};
use super::proof::{ReleaseError, text};
use super::signer::Rule;
use alloc::vec::Vec;
use ringwall_wire::codec::Message as _;
use ringwall_wire::policy::ReleaseSigners;
use ringwall_wire::release::{LogEntry, Published, PublishedEntry};

/// Entries that are public, and the checkpoint that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict nobody uses protects nobody"]
pub struct Publication {
    checkpoint: Checkpoint,
    since_s: u64,
    entries: Vec<(u64, LogEntry)>,
}

impl Publication {
    /// What the checkpoint says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// By when enough witnesses had seen the entries, Unix seconds.
    pub fn since_s(&self) -> u64 {
        self.since_s
    }

    /// The entries with their places, ascending.
    pub fn entries(&self) -> &[(u64, LogEntry)] {
        &self.entries
    }

    /// Where an entry is, if it is among them.
    pub fn place_of(&self, entry: &LogEntry) -> Option<u64> {
        self.entries.iter().find(|(_, found)| found == entry).map(|(place, _)| *place)
    }
}

/// Judges a proof (exact bytes) that entries are public, by the log and the witnesses a policy names.
pub fn verify_published(proof: &[u8], rule: &ReleaseSigners) -> Result<Publication, ReleaseError> {
    let rule = Rule::read(rule).map_err(ReleaseError::Rule)?;
    let Published { checkpoint, entries } = Published::decode(proof).map_err(ReleaseError::Malformed)?;
    let seen = witnessed(text(&checkpoint)?, &rule.log, &rule.witnesses, rule.witness_threshold)?;
    let mut found: Vec<(u64, LogEntry)> = Vec::new();
    for PublishedEntry { entry, proof } in entries.iter() {
        if found.last().is_some_and(|(last, _)| *last >= proof.index) {
            return Err(ReleaseError::OtherEntry { what: "its place: entries are listed by their places, each once" });
        }
        included(&entry.leaf(), proof, seen.checkpoint())?;
        found.push((proof.index, entry.clone()));
    }
    Ok(Publication { checkpoint: seen.checkpoint().clone(), since_s: seen.since(rule.witness_threshold), entries: found })
}
