//! How a replica stands, in one look at what openraft says of itself.
//!
//! Decides: which of openraft's words the node sees, and that a replica whose Raft ended is one that stopped. Trusts: openraft's metrics to be of one
//! moment. Out of scope: the type ([`Metrics`]), waiting for a change of it (`replica`). Protocol section 4.1.

use crate::replica::Inner;
use crate::report::{Metrics, Role};
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver as _;
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::NamedMember;

impl Inner {
    pub(crate) fn metrics(&self) -> Metrics {
        let watched = self.raft.metrics();
        let raft = watched.borrow_watched();
        let membership = raft.membership_config.membership();
        let voters: std::collections::BTreeSet<Incarnation> = membership.voter_ids().collect();
        let named = |voting: bool| {
            let members = membership.nodes().filter(|(id, _)| voters.contains(id) == voting);
            members.map(|(id, member)| NamedMember { incarnation: *id, member: member.clone() }).collect()
        };
        let replication = raft.replication.iter().flatten().map(|(id, at)| (*id, at.map_or(0, |at| at.index))).collect();
        let fenced = self.fence.reason().map(str::to_owned).or_else(|| raft.running_state.as_ref().err().map(ToString::to_string));
        let role = match (raft.state, &fenced) {
            (_, Some(_)) | (ServerState::Shutdown, _) => Role::Stopped,
            (ServerState::Learner, None) => Role::Learner,
            (ServerState::Follower, None) => Role::Follower,
            (ServerState::Candidate, None) => Role::Candidate,
            (ServerState::Leader, None) => Role::Leader,
        };
        Metrics {
            me: self.options.me,
            role,
            leader: raft.current_leader,
            term: raft.current_term,
            last_index: raft.last_log_index.unwrap_or(0),
            applied: self.readers.published().applied,
            voters: named(true),
            learners: named(false),
            joint: membership.get_joint_config().len() > 1,
            replication,
            fenced,
        }
    }
}
