//! Recoveries and dealings in the release log: handing them in, the proof that they are public, and reading what the log has of a cluster.
//!
//! Decides: a proof is put together from one checkpoint, for exactly the entries it is asked for; what is read from a log is what its tiles and a checkpoint with enough
//! cosignatures show. Two records of one epoch are told with both entries: anybody may have an entry added, so that an entry says that somebody published it,
//! and the record whose hash it names says who.
//! Trusts: nothing fetched; whoever uses the proof has it judged (`ringwall_attest::release`). Out of scope: showing it to clients (nodes).
//! Protocol sections 6.2 and 8.

use super::staple::StapleFault;
use super::tiles::TileLog;
use ringwall_attest::release::Rule;
use ringwall_attest::release::log::{Checkpoint, checkpoint, witnessed};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Digest, Epoch};
use ringwall_wire::limits::PUBLISHED_ENTRIES;
use ringwall_wire::release::{LogEntry, LogProof, Logged, LoggedCustody, LoggedEpoch, Note, Published, PublishedEntry};
use std::collections::BTreeMap;

/// The proof that these entries are in the tree of this checkpoint, which came with its cosignatures.
pub fn prove(log: &TileLog, rule: &Rule, note: &str, entries: &[LogEntry]) -> Result<Published, StapleFault> {
    let head = checkpoint(note, rule.log()).map_err(StapleFault::Checkpoint)?;
    let tree = log.tree(head.size, head.root)?;
    let mut shown: BTreeMap<u64, PublishedEntry> = BTreeMap::new();
    for entry in entries {
        let index = tree.find(&entry.leaf())?.map_err(|looked_at| StapleFault::NoEntry { looked_at })?;
        let path = List::new(tree.inclusion(index)?).map_err(|_| StapleFault::TooLarge { what: "the path in the log" })?;
        shown.insert(index, PublishedEntry { entry: entry.clone(), proof: LogProof { index, path } });
    }
    let count = shown.len();
    let entries = List::new(shown.into_values().collect()).map_err(|_| StapleFault::TooManyEntries { count, most: PUBLISHED_ENTRIES })?;
    let checkpoint = Note::new(note.as_bytes()).map_err(|_| StapleFault::TooLarge { what: "the checkpoint" })?;
    Ok(Published { checkpoint, entries })
}

/// What a log has of one cluster.
#[derive(Clone, Debug)]
pub struct OfCluster {
    /// The checkpoint it was read at.
    pub checkpoint: Checkpoint,
    /// The first entry that was looked at.
    pub from: u64,
    /// Recoveries and dealings, with their places.
    pub entries: Vec<(u64, LogEntry)>,
}

impl OfCluster {
    /// Reads the newest entries of the log, at this checkpoint, which enough of the named witnesses must have cosigned.
    pub fn read(log: &TileLog, rule: &Rule, note: &str, cluster_id: &ClusterId) -> Result<Self, StapleFault> {
        let seen = witnessed(note, rule.log(), rule.witnesses(), rule.witness_threshold()).map_err(StapleFault::Checkpoint)?;
        let checkpoint = seen.checkpoint().clone();
        let tree = log.tree(checkpoint.size, checkpoint.root)?;
        let mut entries = Vec::new();
        let from = tree.each(|index, bytes| match LogEntry::decode(bytes) {
            Ok(entry) if is_of(&entry, cluster_id) => entries.push((index, entry)),
            _ => {}
        })?;
        Ok(OfCluster { checkpoint, from, entries })
    }

    /// Epochs for which the log has more than one record, with the entries.
    pub fn conflicts(&self) -> Vec<(Epoch, Vec<LogEntry>)> {
        let mut records: BTreeMap<Epoch, BTreeMap<Digest, LogEntry>> = BTreeMap::new();
        for (_, entry) in &self.entries {
            if let Logged::EpochStart(LoggedEpoch { epoch, record, .. }) = &entry.what {
                records.entry(*epoch).or_default().insert(*record, entry.clone());
            }
        }
        let several = records.into_iter().filter(|(_, records)| records.len() > 1);
        several.map(|(epoch, records)| (epoch, records.into_values().collect())).collect()
    }
}

fn is_of(entry: &LogEntry, cluster: &ClusterId) -> bool {
    match &entry.what {
        Logged::EpochStart(LoggedEpoch { cluster_id, .. }) | Logged::Custody(LoggedCustody { cluster_id, .. }) => cluster_id == cluster,
        Logged::Release(_) | Logged::PolicyChange(_) => false,
    }
}
