//! What may begin a higher epoch: rule (b) of protocol section 5.2.
//!
//! Decides: a chain of epoch starts leads from the known epoch to the one that answers, each next to the last and witnessed; the first says where
//! the known epoch's log was taken up again, and that is not before what the client has seen. Policies want no witnesses yet: whoever tells the chain
//! attested, and the log tree shows the rest.
//! Trusts: what it is given to verify witnesses with. Out of scope: witnesses themselves.

use ringwall_wire::ids::{Digest, Epoch};
use ringwall_wire::receipt::{EpochStart, ReceiptHead};
use ringwall_wire::tree;

/// Whether enough witnesses signed the start of an epoch.
pub type EpochTrust<'a> = &'a dyn Fn(&EpochStart) -> bool;

/// Why a chain does not prove a higher epoch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochFault {
    /// No chain, one of another cluster, or one with a gap.
    #[error("no unbroken chain of epoch starts leads from epoch {known} to epoch {got}")]
    Broken {
        /// Epoch known.
        known: Epoch,
        /// Epoch that answers.
        got: Epoch,
    },
    /// Witnesses are missing.
    #[error("the start of epoch {0} is not witnessed")]
    NotWitnessed(Epoch),
    /// The recovered log ends before what was seen: entries are lost.
    #[error("epoch {epoch} took up the log at {recovered} entries, {known} were confirmed")]
    Lost {
        /// The epoch that began.
        epoch: Epoch,
        /// Entries recovered.
        recovered: u64,
        /// Entries known.
        known: u64,
    },
    /// The recovered log is another one.
    #[error("epoch {0} took up another log than the one that was seen")]
    Forked(Epoch),
}

/// Whether `chain` leads from `known` to epoch `got`; `path` leads from the tree of `known` to the one the first start names.
pub fn continues_epochs(
    known: &ReceiptHead,
    got: Epoch,
    chain: &[EpochStart],
    path: &[Digest],
    trust: EpochTrust<'_>,
) -> Result<(), EpochFault> {
    unbroken_epochs(known, got, chain, trust)?;
    let first = chain.first().ok_or(EpochFault::Broken { known: known.epoch, got })?;
    let (seen, taken) = (&known.tree, &first.previous);
    match tree::is_consistent(seen.size, &seen.root, taken.size, &taken.root, path) {
        true => Ok(()),
        false => Err(EpochFault::Forked(first.epoch)),
    }
}

/// Whether `chain` leads from `known` to epoch `got` and none of its epochs began without something known.
pub fn unbroken_epochs(known: &ReceiptHead, got: Epoch, chain: &[EpochStart], trust: EpochTrust<'_>) -> Result<(), EpochFault> {
    let broken = EpochFault::Broken { known: known.epoch, got };
    let mut epoch = known.epoch;
    for start in chain {
        if start.cluster_id != known.cluster_id || Some(start.epoch.0) != epoch.0.checked_add(1) {
            return Err(broken);
        }
        if !trust(start) {
            return Err(EpochFault::NotWitnessed(start.epoch));
        }
        epoch = start.epoch;
    }
    if epoch != got {
        return Err(broken);
    }
    let lost = chain.iter().find(|start| start.previous.size < known.tree.size);
    lost.map_or(Ok(()), |start| Err(EpochFault::Lost { epoch: start.epoch, recovered: start.previous.size, known: known.tree.size }))
}
