//! When an incarnation is out for good.
//!
//! Decides: a fault of its storage, a newer incarnation in its slot, its retirement or its removal from the membership end it: keys are
//! wiped with the process, and it says why. A learner nobody leads any more ends too; only a new life can ask again.
//! Trusts: the replicated record as of what is applied here. Out of scope: ending (`run`). Protocol section 4, FENCED and IN8.

use crate::clock;
use crate::context::Node;
use ringwall_consensus::{MemberStanding, Metrics};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the record is looked at when no metric changes.
const LOOK: Duration = Duration::from_millis(500);
/// Shortest time between two looks: metrics change with every entry.
const LOOK_LEAST: Duration = Duration::from_millis(20);
/// How long a learner waits for a leader that goes on with it.
const STRANDED: Duration = Duration::from_secs(60);

/// Why an incarnation is out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FenceReason {
    /// Its storage failed.
    #[error(
        "its storage failed: {0}; nothing acknowledged is lost while a majority lives; when this is mended, start the node again: it joins anew"
    )]
    Storage(String),
    /// Another incarnation was admitted to its slot.
    #[error("a newer incarnation was admitted to its slot; start it again only if that other node is gone")]
    Superseded,
    /// The group removed it.
    #[error("the group removed it; start it again to join as a new incarnation")]
    Removed,
    /// Nobody led it on to become a voter.
    #[error("no leader made it a voter within {} s; start it again to join as a new incarnation", STRANDED.as_secs())]
    Stranded,
}

/// What was seen of this incarnation so far.
#[derive(Debug)]
struct Seen {
    was_member: bool,
    progress: (u64, bool),
    since: Instant,
}

/// Waits until this incarnation is out, and says why.
pub(crate) async fn out(node: Arc<Node>) -> FenceReason {
    let mut replica = node.replica.clone();
    let mut seen = Seen { was_member: false, progress: (0, false), since: clock::now() };
    loop {
        if let Some(reason) = look(&node, &mut seen) {
            return reason;
        }
        tokio::time::sleep(LOOK_LEAST).await;
        // The timeout only bounds the wait.
        let _ = tokio::time::timeout(LOOK, replica.metrics_changed()).await;
    }
}

fn look(node: &Node, seen: &mut Seen) -> Option<FenceReason> {
    let metrics = node.replica.metrics();
    if let Some(fault) = metrics.fenced {
        return Some(FenceReason::Storage(fault));
    }
    let standing = match node.replica.view() {
        Ok(view) => view.member(node.incarnation).map(|row| row.standing),
        Err(fault) => return Some(FenceReason::Storage(fault.to_string())),
    };
    match standing {
        Some(MemberStanding::Superseded) => return Some(FenceReason::Superseded),
        Some(MemberStanding::Retired) => return Some(FenceReason::Removed),
        Some(MemberStanding::Live) | None => {}
    }
    let (voter, learner) = (is_named(&metrics, node, true), is_named(&metrics, node, false));
    if !voter && !learner && seen.was_member {
        return Some(FenceReason::Removed);
    }
    seen.was_member |= voter || learner;
    if voter || seen.progress != (metrics.applied, learner) {
        seen.progress = (metrics.applied, learner);
        seen.since = clock::now();
    }
    (seen.since.elapsed() > STRANDED).then_some(FenceReason::Stranded)
}

fn is_named(metrics: &Metrics, node: &Node, voter: bool) -> bool {
    let members = if voter { &metrics.voters } else { &metrics.learners };
    members.iter().any(|named| named.incarnation == node.incarnation)
}
