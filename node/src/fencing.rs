//! When an incarnation is out for good.
//!
//! Decides: a fault of its storage, a newer incarnation in its slot, its retirement or its removal from the membership end it: keys are
//! wiped with the process, and it says why. One that stood still meanwhile hears of it from a member that retired it, and believes its
//! successor's admission, never a word. A policy that excludes its machine or build ends it, too. A learner nobody leads any more ends too; only a new life can ask again.
//! Trusts: the replicated record as of what is applied here; `peers` for what was shown. Out of scope: ending (`run`). Protocol section
//! 4, FENCED, 4.6 and IN8.

use crate::clock;
use crate::context::Node;
use crate::governance::Unfit;
use ringwall_consensus::{MemberStanding, Metrics, View};
use ringwall_wire::ids::Incarnation;
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
    /// Its storage failed, or an entry came that this build judges by other rules than whoever proposed it.
    #[error(
        "its replica cannot go on: {0}; nothing acknowledged is lost while a majority lives; when this is mended, start the node again: it joins anew"
    )]
    Storage(String),
    /// Another incarnation was admitted to its slot.
    #[error("a newer incarnation was admitted to its slot; start it again only if that other node is gone")]
    Superseded,
    /// A member that retired it showed its successor's admission.
    #[error(
        "it stood still while incarnation {0} was admitted to its slot, and was retired; start it again only if that other node is gone"
    )]
    Succeeded(Incarnation),
    /// The group removed it.
    #[error("the group removed it; start it again to join as a new incarnation")]
    Removed,
    /// It holds the cluster's keys, and the record says that it was never admitted (IN6).
    #[error("the record has no admission of it, although its keys were granted; this must not happen: keep its log, and start it again")]
    NeverAdmitted,
    /// The policy in force excludes this machine or its build.
    #[error("the policy in force excludes it ({0}); start it with a build and on a machine that the policy accepts")]
    Excluded(String),
    /// The record has other steps of the policy in force than it was shown.
    #[error(
        "the record has another policy in force than this node was shown before, and both are approved: find out which of the two is the cluster's before it is started again"
    )]
    OtherPolicy,
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
        // The timeout only bounds the wait; what there is to see after the end is seen above.
        let _ = tokio::time::timeout(LOOK, replica.metrics_changed()).await;
    }
}

fn look(node: &Node, seen: &mut Seen) -> Option<FenceReason> {
    let metrics = node.replica.metrics();
    if let Some(fault) = metrics.fenced {
        return Some(FenceReason::Storage(fault));
    }
    match node.governance.unfit.get() {
        Some(Unfit::Excluded(rule)) => return Some(FenceReason::Excluded(rule.clone())),
        Some(Unfit::OtherSteps) => return Some(FenceReason::OtherPolicy),
        None => {}
    }
    if let Some(successor) = node.peers.successor() {
        return Some(FenceReason::Succeeded(successor));
    }
    let view = match node.replica.view() {
        Ok(view) => view,
        Err(fault) => return Some(FenceReason::Storage(fault.to_string())),
    };
    if let Err(reason) = admitted(&view, node.incarnation) {
        return Some(reason);
    }
    let standing = view.member(node.incarnation).map(|row| row.standing);
    drop(view);
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

/// IN6: keys imply an admission. It lies before what is applied here, or is still to be decided by what follows.
fn admitted(view: &View, me: Incarnation) -> Result<(), FenceReason> {
    let index = me.admit_index();
    let founded = view.epoch().is_some();
    match !founded || view.applied() < index || view.member(me).is_some() || view.proposal(index).is_some() {
        true => Ok(()),
        false => Err(FenceReason::NeverAdmitted),
    }
}

fn is_named(metrics: &Metrics, node: &Node, voter: bool) -> bool {
    let members = if voter { &metrics.voters } else { &metrics.learners };
    members.iter().any(|named| named.incarnation == node.incarnation)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::join::endorse::place;
    use crate::join::joiner::{OwnEvidence, cert};
    use crate::peers::pool::PeerPool;
    use crate::peers::serve::gate_tests::alone;
    use ringwall_channel::NodeSecrets;
    use ringwall_consensus::{Options, Replica, Transport};
    use ringwall_wire::bounded::Text;
    use ringwall_wire::command::CommandBody;
    use ringwall_wire::ids::{Digest, Vendor};

    #[tokio::test]
    async fn keys_without_an_admission_on_record_fence() {
        let folder = tempfile::tempdir().unwrap();
        let site = place::site_of("genoa-1", 1, &[]);
        let secrets = Arc::new(NodeSecrets::generate(&mut *(site.entropy)()));
        let me = Incarnation::new(site.epoch(), 1);
        let transport: Arc<dyn Transport> = PeerPool::new(Arc::clone(&site), Arc::clone(&secrets), me);
        let options = Options::new(folder.path().join("inc"), site.cluster_id, me, Arc::clone(&site.clock));
        let replica = Replica::open(options, transport).await.unwrap();
        let other = |index| Incarnation::new(site.epoch(), index);
        assert_eq!(admitted(&replica.view().unwrap(), other(0)), Ok(()), "before the founding nobody is on record");
        let own = OwnEvidence { vendor: Vendor::Amd, chip: Digest([0; 32]), measurement: Text::default() };
        replica.found(cert(&site, &secrets, &own)).await.unwrap();
        let view = replica.view().unwrap();
        assert_eq!(admitted(&view, me), Ok(()));
        assert_eq!(admitted(&view, other(view.applied() + 1)), Ok(()), "its admission may follow");
        assert_eq!(admitted(&view, other(view.applied())), Err(FenceReason::NeverAdmitted));
        drop(view);
        replica.shutdown().await;
    }

    #[tokio::test]
    async fn a_look_ends_whom_the_record_does_not_know_and_who_is_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut node = alone(folder.path()).await;
        let me = node.incarnation;
        let fresh = || Seen { was_member: false, progress: (0, false), since: clock::now() };
        assert_eq!(look(&node, &mut fresh()), None);
        let applied = node.replica.view().unwrap().applied();
        // The same process, called by a number whose admission would have to be on record, and by one whose admission may follow.
        Arc::get_mut(&mut node).unwrap().incarnation = Incarnation::new(me.epoch(), applied);
        assert_eq!(look(&node, &mut fresh()), Some(FenceReason::NeverAdmitted));
        Arc::get_mut(&mut node).unwrap().incarnation = Incarnation::new(me.epoch(), applied + 1);
        let mut seen = fresh();
        assert_eq!(look(&node, &mut seen), None);
        assert_eq!(
            look(&node, &mut Seen { was_member: true, ..fresh() }),
            Some(FenceReason::Removed),
            "it was a member, and is none any more"
        );
        seen.since -= 2 * STRANDED;
        assert_eq!(look(&node, &mut seen), Some(FenceReason::Stranded));
        Arc::get_mut(&mut node).unwrap().incarnation = me;
        node.replica.propose(CommandBody::Retire(me)).await.unwrap();
        assert_eq!(look(&node, &mut fresh()), Some(FenceReason::Removed), "retired, and still named by the membership");
        node.replica.shutdown().await;
        assert!(matches!(look(&node, &mut fresh()), Some(FenceReason::Storage(_))));
    }
}
