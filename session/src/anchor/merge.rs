//! What is kept of several receipts: the newest of all, and the newest for each namespace.
//!
//! Decides: the order of receipts (epoch, then tree size), and what two anchors of one user say that cannot both be true. A change that several
//! processes or devices saw is kept once. Trusts: receipts that were accepted. Out of scope: accepting them (`judge.rs`). Protocol section 5.2.

use super::judge::{Contradiction, forked_at};
use ringwall_wire::bounded::List;
use ringwall_wire::limits::ANCHOR_RECEIPTS;
use ringwall_wire::receipt::{Anchor, Receipt};

/// Two receipts that contradict each other.
pub type Pair = (Contradiction, Box<(Receipt, Receipt)>);

fn rank(receipt: &Receipt) -> (u32, u64) {
    (receipt.head.epoch.0, receipt.head.tree.size)
}

/// One anchor that says what both say.
pub fn merge(one: &Anchor, other: &Anchor) -> Result<Anchor, Pair> {
    compare(one, other)?;
    let mut all: Vec<&Receipt> = one.receipts().chain(other.receipts()).collect();
    all.sort_by_key(|receipt| std::cmp::Reverse(rank(receipt)));
    let mut kept: Vec<&Receipt> = Vec::new();
    for receipt in all {
        // The newest is always kept; another one only for a namespace in which nothing kept is as far.
        let adds = |kept: &[&Receipt]| {
            let far = |mark: &ringwall_wire::receipt::SpaceMark| {
                kept.iter().filter_map(|kept| kept.leaf.mark(&mark.space)).any(|known| known.seq >= mark.seq)
            };
            receipt.leaf.spaces.iter().any(|mark| !far(mark))
        };
        if kept.is_empty() || kept.len() <= ANCHOR_RECEIPTS && adds(&kept) {
            kept.push(receipt);
        }
    }
    let mut kept = kept.into_iter().cloned();
    let newest = kept.next().unwrap_or_else(|| one.newest.clone());
    Ok(Anchor { newest, others: List::new(kept.collect()).unwrap_or_default() })
}

/// Looks for receipts of the two that cannot belong to one history. Sizes may differ: either may have seen more; then the landmarks of both decide,
/// where they are the same size, and a fork after it shows only when the older one connects.
pub(crate) fn compare(one: &Anchor, other: &Anchor) -> Result<(), Pair> {
    for left in one.receipts() {
        for right in other.receipts() {
            if let Some(what) = pair(left, right) {
                return Err((what, Box::new((left.clone(), right.clone()))));
            }
        }
    }
    Ok(())
}

fn pair(left: &Receipt, right: &Receipt) -> Option<Contradiction> {
    let (one, two) = (&left.head, &right.head);
    if one.cluster_id != two.cluster_id {
        return Some(Contradiction::OtherCluster { known: one.cluster_id, got: two.cluster_id });
    }
    if one.epoch != two.epoch {
        return None;
    }
    if let Some(size) = forked_at(&one.tree, &two.tree) {
        return Some(Contradiction::LogForked { size });
    }
    left.leaf.spaces.iter().find_map(|mark| {
        let same = right.leaf.mark(&mark.space).filter(|other| other.seq == mark.seq)?;
        (same.digest != mark.digest).then_some(Contradiction::SpaceForked { seq: mark.seq })
    })
}
