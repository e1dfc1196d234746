//! The second half of DR5: does the chosen log hold everything that somebody is known to have seen of this cluster's log?
//!
//! Decides: whoever has seen a signed head, a disk whose owner knew a position to be committed, a receipt: the chosen log must be as long, and have the same
//! root at that size. What is shorter is a rollback, and the lost entries are named by index, with who saw them; what differs is a fork. One is enough
//! to end the recovery: clients that saw the same would refuse what comes of it.
//! Trusts: that heads are authentic. Pure: the tree is asked through a closure. Out of scope: signatures and evidence of heads (`node`), what no one
//! saw. Protocol section 6.2.

use ringwall_wire::ids::{CustodianId, Digest, Epoch, Incarnation};
use ringwall_wire::receipt::{TreeHead, landmark_of};
use std::fmt;
use std::io;

/// Who has seen a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeenBy {
    /// A custodian, in a session with a member.
    Custodian(CustodianId),
    /// A life that knew it to be committed, by its own disk.
    Disk(Incarnation),
    /// Whoever gave the operator a receipt, or a checkpoint: the how-manieth.
    Paper(usize),
}

impl fmt::Display for SeenBy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeenBy::Custodian(id) => write!(out, "custodian {id}"),
            SeenBy::Disk(incarnation) => write!(out, "the disk of incarnation {incarnation}"),
            SeenBy::Paper(number) => write!(out, "paper number {number} that was handed in"),
        }
    }
}

/// A position somebody has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who.
    pub by: SeenBy,
    /// In which epoch.
    pub epoch: Epoch,
    /// The log tree there.
    pub tree: TreeHead,
}

/// How the chosen log fails somebody who has seen more, or another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// Entries are lost.
    #[error("{by} has seen {known} entries and the newest disk holds {found}: entries {found} to {} are lost", .known.saturating_sub(1))]
    Lost {
        /// Who has seen them.
        by: SeenBy,
        /// Entries seen.
        known: u64,
        /// Entries found.
        found: u64,
    },
    /// The cluster was recovered into a newer epoch already.
    #[error(
        "{by} has seen epoch {known} and the newest disk is of epoch {found}: everything since epoch {known} began is lost, and another recovery may be alive"
    )]
    NewerEpoch {
        /// Who has seen it.
        by: SeenBy,
        /// Epoch seen.
        known: Epoch,
        /// Epoch found.
        found: Epoch,
    },
    /// The histories differ.
    #[error("{by} has seen another log of {size} entries than the newest disk holds: one of the two is of another history")]
    Forked {
        /// Who has seen the other one.
        by: SeenBy,
        /// At which size.
        size: u64,
    },
}

impl Disagreement {
    /// Whether entries are gone, as opposed to being other ones.
    pub fn is_loss(&self) -> bool {
        !matches!(self, Disagreement::Forked { .. })
    }
}

/// What the recovered log is.
#[derive(Clone, Copy, Debug)]
pub struct Recovered {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its entries.
    pub size: u64,
}

/// Holds the chosen log against everything that was seen; `root_at` tells its root at a size, none where its leaves are no longer kept. Gives every
/// disagreement, those of losses first, the greatest in front.
pub fn compare(
    chosen: Recovered,
    mut root_at: impl FnMut(u64) -> io::Result<Option<Digest>>,
    seen: &[Known],
) -> io::Result<Vec<Disagreement>> {
    let mut found = Vec::new();
    for Known { by, epoch, tree } in seen.iter().copied() {
        if epoch > chosen.epoch {
            found.push(Disagreement::NewerEpoch { by, known: epoch, found: chosen.epoch });
            continue;
        }
        if tree.size > chosen.size {
            found.push(Disagreement::Lost { by, known: tree.size, found: chosen.size });
            continue;
        }
        // Leaves far behind are not kept, landmarks are, for ever.
        let (size, wanted, root) = match root_at(tree.size)? {
            Some(root) => (tree.size, tree.root, Some(root)),
            None => (landmark_of(tree.size), tree.landmark, root_at(landmark_of(tree.size))?),
        };
        if root != Some(wanted) {
            found.push(Disagreement::Forked { by, size });
        }
    }
    found.sort_by_key(|what| match what {
        Disagreement::NewerEpoch { .. } => (0, 0),
        Disagreement::Lost { known, .. } => (1, u64::MAX - known),
        Disagreement::Forked { size, .. } => (2, *size),
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The root of a log of this size, in one history or another.
    fn root(history: u8, size: u64) -> Digest {
        Digest([history ^ size as u8; 32])
    }

    fn seen(by: u8, epoch: u32, size: u64, history: u8) -> Known {
        let tree = TreeHead { size, root: root(history, size), landmark: root(history, landmark_of(size)) };
        Known { by: SeenBy::Custodian(CustodianId([by; 20])), epoch: Epoch(epoch), tree }
    }

    fn judged(seen: &[Known]) -> Vec<Disagreement> {
        compare(Recovered { epoch: Epoch(2), size: 1_000 }, |size| Ok(Some(root(0, size))), seen).unwrap()
    }

    #[test]
    fn what_was_seen_must_be_there_and_be_the_same() {
        assert_eq!(judged(&[]), []);
        assert_eq!(judged(&[seen(1, 2, 1_000, 0), seen(2, 2, 1, 0), seen(3, 1, 400, 0)]), [], "an older epoch's log is the same log");
        let (first, by) = (seen(1, 2, 1_001, 0), |by: u8| SeenBy::Custodian(CustodianId([by; 20])));
        assert_eq!(judged(&[first]), [Disagreement::Lost { by: by(1), known: 1_001, found: 1_000 }]);
        assert_eq!(judged(&[seen(2, 2, 999, 7)]), [Disagreement::Forked { by: by(2), size: 999 }]);
        assert_eq!(judged(&[seen(3, 3, 10, 0)]), [Disagreement::NewerEpoch { by: by(3), known: Epoch(3), found: Epoch(2) }]);
    }

    #[test]
    fn every_disagreement_is_told_the_gravest_first() {
        let by = |by: u8| SeenBy::Custodian(CustodianId([by; 20]));
        let found = judged(&[seen(1, 2, 5, 9), seen(2, 2, 1_010, 0), seen(3, 2, 1_500, 0), seen(4, 3, 1, 0), seen(5, 2, 7, 0)]);
        let told = [
            Disagreement::NewerEpoch { by: by(4), known: Epoch(3), found: Epoch(2) },
            Disagreement::Lost { by: by(3), known: 1_500, found: 1_000 },
            Disagreement::Lost { by: by(2), known: 1_010, found: 1_000 },
            Disagreement::Forked { by: by(1), size: 5 },
        ];
        assert_eq!(found, told);
        assert!(found[1].to_string().contains("entries 1000 to 1499 are lost"), "{}", found[1]);
    }

    #[test]
    fn where_leaves_are_gone_the_landmark_is_compared() {
        let kept = |size: u64| Ok((size.is_multiple_of(256)).then(|| root(0, size)));
        let log = Recovered { epoch: Epoch(2), size: 1_000 };
        assert_eq!(compare(log, kept, &[seen(1, 2, 700, 0)]).unwrap(), []);
        let other = Known { tree: TreeHead { landmark: root(9, 512), ..seen(1, 2, 700, 0).tree }, ..seen(1, 2, 700, 0) };
        assert_eq!(compare(log, kept, &[other]).unwrap(), [Disagreement::Forked { by: other.by, size: 512 }]);
    }
}
