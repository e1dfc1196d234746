//! Changes of Raft's membership: learner in, learner to voter, old incarnation out.
//!
//! Decides: only an incarnation the log records as live, with the same keys, becomes a learner; only one that has caught up becomes
//! a voter; every step is guarded by the membership it was decided on; and what governors' words are worth as of now. Trusts: the record of admissions (`machine::roster`).
//! Out of scope: who is admitted (`node`, `machine::roster`). Protocol section 4, step 5.

use crate::answer::Raft;
use crate::charter::Law;
use crate::fence::Fence;
use crate::machine::policy::Governed;
use crate::machine::view::MemberStanding;
use crate::replica::{Replica, member_of};
use crate::report::{MembershipError, Role};
use crate::transport::BoxFuture;
use crate::types::Types;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardReason, RaftError};
use openraft::{ChangeMembers, Precondition};
use ringwall_wire::governance::{PolicyCommand, PolicyOutcome};
use ringwall_wire::ids::{Incarnation, Slot};
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::peer::Member;
use std::collections::{BTreeMap, BTreeSet};

/// Entries a learner may lack when it becomes a voter.
const PROMOTE_LAG: u64 = 64;

impl Replica {
    /// Adds an admitted incarnation as a learner. It must be live in the log with the keys in `member`. Returns when the change is
    /// committed; the learner catches up afterwards ([`crate::Metrics::replication`]). Adding it again is no error.
    pub async fn admit_learner(&self, incarnation: Incarnation, member: Member) -> Result<(), MembershipError> {
        let row = self.inner().readers.published().roster.members.get(&incarnation).cloned();
        let live = row.filter(|row| row.standing == MemberStanding::Live && member_of(&row.cert) == member);
        if live.is_none() {
            return Err(MembershipError::NotAdmitted(incarnation));
        }
        let metrics = self.metrics();
        if metrics.learners.iter().chain(&metrics.voters).any(|known| known.incarnation == incarnation && known.member == member) {
            return self.leads();
        }
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(incarnation, member)])), true).await
    }

    /// Makes a learner that has caught up a voter and removes the incarnation it replaces, through a joint membership. Doing it again
    /// is no error.
    pub async fn promote(&self, incarnation: Incarnation, replaces: Option<Incarnation>) -> Result<(), MembershipError> {
        self.settle_membership().await?;
        let metrics = self.metrics();
        let row = self.inner().readers.published().roster.members.get(&incarnation).cloned();
        let named = metrics.learners.iter().chain(&metrics.voters).find(|known| known.incarnation == incarnation);
        let admitted =
            row.zip(named).is_some_and(|(row, named)| row.standing == MemberStanding::Live && member_of(&row.cert) == named.member);
        if !admitted {
            return Err(MembershipError::NotAdmitted(incarnation));
        }
        let matched = metrics.replication.iter().find(|(id, _)| *id == incarnation).map_or(0, |(_, index)| *index);
        let lag = metrics.last_index.saturating_sub(matched);
        if lag > PROMOTE_LAG {
            return Err(MembershipError::Lagging { incarnation, lag, max: PROMOTE_LAG });
        }
        let before: BTreeSet<Incarnation> = metrics.voters.iter().map(|voter| voter.incarnation).collect();
        let mut voters = before.clone();
        voters.insert(incarnation);
        if let Some(old) = replaces {
            voters.remove(&old);
        }
        if voters == before {
            return Ok(());
        }
        self.change(ChangeMembers::ReplaceAllVoters(voters), false).await
    }

    /// Removes an incarnation, voter or learner, from the membership. Doing it again is no error.
    pub async fn remove(&self, incarnation: Incarnation) -> Result<(), MembershipError> {
        self.settle_membership().await?;
        let metrics = self.metrics();
        if metrics.voters.iter().any(|voter| voter.incarnation == incarnation) {
            return self.change(ChangeMembers::RemoveVoters(BTreeSet::from([incarnation])), false).await;
        }
        if metrics.learners.iter().any(|learner| learner.incarnation == incarnation) {
            return self.change(ChangeMembers::RemoveNodes(BTreeSet::from([incarnation])), false).await;
        }
        Ok(())
    }

    /// Whether the governors' order would let a joiner be proposed for `slot` now, by the state that is applied here. What counts is the
    /// same question when the proposal is applied.
    pub fn order_holds(&self, order: &ReplaceOrder, slot: Slot) -> Result<(), OrderFault> {
        let published = self.inner().readers.published();
        let next = published.applied.saturating_add(1);
        let charter = self.inner().options.charter();
        let law = Law { charter: &charter, policy: published.governed.in_force() };
        published.roster.order_holds(order, slot, next, law)
    }

    /// What a step of governance would give by the state that is applied here, and whether it would change anything; asked before it is proposed, so that
    /// nobody fills the log with what nobody approved. What counts is the same question when it is applied.
    pub fn weigh(&self, command: PolicyCommand) -> (PolicyOutcome, bool) {
        let (inner, published) = (self.inner(), self.inner().readers.published());
        let at = (published.applied.saturating_add(1), inner.now_ms());
        let mut governed = Governed::clone(&published.governed);
        let outcome = governed.take(command, &inner.options.charter(), at);
        (outcome.unwrap_or_else(PolicyOutcome::Refused), governed != *published.governed)
    }

    /// Ends a change of voters whose leader was lost halfway: two voter sets become the newer one. Nothing to do otherwise.
    pub async fn settle_membership(&self) -> Result<(), MembershipError> {
        self.leads()?;
        match self.metrics().joint {
            false => Ok(()),
            true => self.change(ChangeMembers::AddVoterIds(BTreeSet::new()), false).await,
        }
    }

    fn leads(&self) -> Result<(), MembershipError> {
        let metrics = self.metrics();
        match (metrics.fenced, metrics.role) {
            (Some(why), _) => Err(MembershipError::Fenced(why)),
            (None, Role::Leader) => Ok(()),
            (None, _) => Err(MembershipError::NotLeader),
        }
    }

    fn change(&self, change: ChangeMembers<Incarnation, Member>, retain: bool) -> BoxFuture<Result<(), MembershipError>> {
        let replica = self.clone();
        Box::pin(async move { replica.change_here(change, retain).await })
    }

    /// One guarded change: it fails if the membership is not the one it was decided on.
    async fn change_here(&self, change: ChangeMembers<Incarnation, Member>, retain: bool) -> Result<(), MembershipError> {
        self.leads()?;
        let seen = *self.inner().raft.server_metrics().borrow_watched().membership_config.log_id();
        let guard = Precondition::<Types>::LastMembershipLogId { last_membership_log_id: seen };
        let changed = self.inner().raft.change_membership_if(change, retain, [guard]).await;
        changed.map(|_| ()).map_err(|why| match why {
            RaftError::Fatal(why) => MembershipError::Fenced(why.to_string()),
            RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => match forward.reason {
                ForwardReason::NotLeader => MembershipError::NotLeader,
                ForwardReason::LeaseExpired | ForwardReason::LeadershipTransfer => MembershipError::Transient,
            },
            RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => MembershipError::Raced,
            RaftError::APIError(ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_)) => {
                MembershipError::Raced
            }
        })
    }
}

/// Lets this replica stand for election only while it is a voter, and ends Raft when the fence goes up.
pub(crate) async fn elect_when_voter(raft: Raft, fence: Fence, me: Incarnation) {
    let mut changes = raft.server_metrics();
    let mut fenced = fence.subscribe();
    loop {
        let voter = changes.borrow_and_update().membership_config.voter_ids().any(|id| id == me);
        raft.runtime_config().elect(voter);
        tokio::select! {
            biased;
            _ = fenced.wait_for(|fenced| *fenced) => break,
            changed = changes.changed() => if changed.is_err() {
                fence.raise("Raft has ended");
                return;
            },
        }
    }
    raft.runtime_config().elect(false);
    let _ = raft.shutdown().await;
}
