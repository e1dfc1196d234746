//! What a member says of the cluster: to clients that ask, and as hints where else to go.
//!
//! Decides: nothing; a status is this member's own view, as of now, and promises nothing. Trusts: the replica's own figures.
//! Out of scope: health of the machine. Protocol section 3.

use ringwall_consensus::{Metrics, Replica};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::ids::{Incarnation, Revision, Slot};
use ringwall_wire::limits::SLOTS;
use ringwall_wire::peer::NamedMember;
use ringwall_wire::request::ClusterStatus;
use ringwall_wire::session::MemberHint;

/// The cluster as this member sees it.
pub(crate) fn cluster_status(slot: Slot, replica: &Replica) -> ClusterStatus {
    let metrics = replica.metrics();
    ClusterStatus {
        slot,
        incarnation: metrics.me,
        leader: metrics.leader.unwrap_or(Incarnation(0)),
        term: metrics.term,
        applied: metrics.applied,
        revision: replica.view().map_or(Revision(0), |view| view.revision()),
        voters: hints(&metrics.voters),
        learners: hints(&metrics.learners),
    }
}

/// Where the members answer clients.
pub(crate) fn member_hints(metrics: &Metrics) -> List<MemberHint, SLOTS> {
    hints(&metrics.voters)
}

fn hints(members: &[NamedMember]) -> List<MemberHint, SLOTS> {
    let hint = |named: &NamedMember| MemberHint {
        slot: named.member.slot,
        incarnation: named.incarnation,
        vendor: named.member.vendor,
        address: Text::new(named.member.client_address.to_string()).unwrap_or_default(),
    };
    List::new(members.iter().take(SLOTS).map(hint).collect()).unwrap_or_default()
}
