//! The gate: which messages of other members may reach Raft.
//!
//! Decides: rules V1 to V4 of protocol section 4, before openraft is called. A message is for Raft only if it speaks for its sender,
//! its sender is a member this group knows of, and, for votes, if both sides have a vote.
//! Trusts: that `from` is the attested identity of the session. Out of scope: Raft's own rules.

use crate::defects::{self, Defect};
use crate::machine::view::{MemberRow, MemberStanding, Published};
use crate::recognition::{Recognition, Unrecognized};
use crate::shown::{Granted, Occupant, Shown};
use crate::types::StoredMembership;
use ringwall_wire::ids::{Incarnation, NoisePublic};
use ringwall_wire::peer::{Ballot, LogPosition, PeerCall};

/// Why a message was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The sender is of another epoch than this replica.
    #[error("the sender is of epoch {sender}, this member of epoch {ours}")]
    OtherEpoch {
        /// Its epoch.
        sender: u32,
        /// Ours.
        ours: u32,
    },
    /// The sender was superseded or retired.
    #[error("the sender {0} is out: a newer incarnation took its slot, or it was retired")]
    Out(Incarnation),
    /// Its admission lies beyond what this replica has applied, and it did not show it.
    #[error("the admission of {0} lies beyond what is applied here, and it was not shown")]
    Unproven(Incarnation),
    /// Older than this replica, and not among the members its key grant named.
    #[error("{0} is older than this member, whose key grant does not name it")]
    NotNamed(Incarnation),
    /// No admission on record, although this replica's record goes that far.
    #[error("the sender {0} was never admitted")]
    Unknown(Incarnation),
    /// The message speaks for somebody else.
    #[error("the message speaks for {spoken}, the sender is {sender}")]
    NotItself {
        /// Whom it speaks for.
        spoken: Incarnation,
        /// Who sent it.
        sender: Incarnation,
    },
    /// An append, snapshot or transfer under a ballot no quorum granted.
    #[error("the ballot was not granted by a quorum")]
    NotGranted,
    /// This replica has no vote.
    #[error("this member has no vote")]
    NotVoter,
    /// The sender has no vote.
    #[error("the sender {0} has no vote")]
    SenderNotVoter(Incarnation),
    /// Only members may ask this.
    #[error("the sender {0} is not in the membership")]
    NotMember(Incarnation),
    /// The message is not for this layer.
    #[error("not a message for the replica")]
    NotOurs,
}

/// What the gate judges by.
pub(crate) struct Known<'a> {
    pub(crate) me: Incarnation,
    pub(crate) effective: &'a StoredMembership,
    pub(crate) published: &'a Published,
    /// Last entry in our log.
    pub(crate) last: Option<LogPosition>,
    /// What came with our keys; none for a founder.
    pub(crate) granted: Option<&'a Granted>,
    /// Whose admission was shown.
    pub(crate) shown: &'a Shown,
}

impl Known<'_> {
    /// Lets `call` of `from` pass, or says why not.
    pub(crate) fn pass(&self, from: Incarnation, call: &PeerCall) -> Result<(), Stopped> {
        self.known(from)?;
        match call {
            PeerCall::Vote(call) | PeerCall::PreVote(call) => {
                itself(from, &call.ballot)?;
                self.both_vote(from, call.last)
            }
            PeerCall::Append(call) => leads(from, &call.ballot),
            PeerCall::SnapshotBegin(call) => leads(from, &call.ballot),
            PeerCall::Transfer(call) => leads(from, &call.ballot),
            PeerCall::SnapshotPart(_) => Ok(()), // Continues what `SnapshotBegin` of the same sender opened, or is refused there.
            PeerCall::ReadIndex | PeerCall::Forward(_) => self.asks(from),
            _ => Err(Stopped::NotOurs), // The node's own messages, and any that are to come.
        }
    }

    /// Whether `from` may have reads and writes done: it is no stranger, and in the membership.
    pub(crate) fn asks(&self, from: Incarnation) -> Result<(), Stopped> {
        self.known(from)?;
        match self.effective.get_node(&from) {
            Some(_) => Ok(()),
            None => Err(Stopped::NotMember(from)),
        }
    }

    /// V3 and V2: of this epoch, and a member as far as this replica can know. Whoever was admitted later than the last entry applied here
    /// must have shown it: a follower that lags must be able to follow a leader it has not heard of yet. So must it whoever is proposed
    /// and may still be admitted: its session already matched the proposal's key.
    pub(crate) fn known(&self, from: Incarnation) -> Result<(), Stopped> {
        if defects::on(Defect::NoStandingRule) {
            return Ok(());
        }
        self.believed(from).map(|_| ())
    }

    /// The same, with what is believed of it.
    pub(crate) fn believed(&self, from: Incarnation) -> Result<Occupant, Stopped> {
        let vouched = self.vouched(from);
        let (Err(Stopped::Unproven(_)), Some(row)) = (&vouched, self.published.roster.proposals.get(&from.admit_index())) else {
            return vouched;
        };
        // The proposal is applied here, the decision is still to come: the sender may be the leader that sends it.
        Ok(Occupant::from(&row.propose.cert))
    }

    /// Whom a session with this key belongs to. One that was superseded keeps its session, to be told so on it; one that was retired is
    /// told that it is, and nothing else.
    pub(crate) fn recognise(&self, who: Incarnation, noise: &NoisePublic) -> Recognition {
        let was = |wanted: MemberStanding| {
            let row = self.published.roster.members.get(&who);
            row.is_some_and(|row: &MemberRow| row.standing == wanted && row.cert.keys.noise == *noise)
        };
        match self.believed(who) {
            Ok(held) if held.noise == *noise => Recognition::Member,
            Ok(_) => Recognition::Refused(Unrecognized::OtherKey(who)),
            Err(Stopped::Unproven(_)) => Recognition::Unproven { after: self.through() },
            Err(Stopped::Out(_)) if was(MemberStanding::Superseded) => Recognition::Member,
            Err(Stopped::Out(_)) if was(MemberStanding::Retired) => Recognition::Out,
            Err(stopped) => Recognition::Refused(Unrecognized::Stopped(stopped)),
        }
    }

    /// V1: a vote is asked among voters. Whoever has a longer log than ours may know a membership we have yet to hear of, in which it
    /// or we became voters; to refuse it could leave a group without a leader for ever. Its vote is then Raft's to judge.
    fn both_vote(&self, from: Incarnation, last: Option<LogPosition>) -> Result<(), Stopped> {
        if last > self.last || defects::on(Defect::NoVotersRule) {
            return Ok(());
        }
        let (mut mine, mut theirs) = (false, false);
        for voter in self.effective.voter_ids() {
            mine |= voter == self.me;
            theirs |= voter == from;
        }
        match (mine, theirs) {
            (false, _) => Err(Stopped::NotVoter),
            (_, false) => Err(Stopped::SenderNotVoter(from)),
            (true, true) => Ok(()),
        }
    }
}

fn itself(from: Incarnation, ballot: &Ballot) -> Result<(), Stopped> {
    match ballot.leader == from {
        true => Ok(()),
        false => Err(Stopped::NotItself { spoken: ballot.leader, sender: from }),
    }
}

/// V2: a leader speaks for itself, under a ballot a quorum granted.
fn leads(from: Incarnation, ballot: &Ballot) -> Result<(), Stopped> {
    if defects::on(Defect::NoLeaderRule) {
        return Ok(());
    }
    itself(from, ballot)?;
    match ballot.committed {
        true => Ok(()),
        false => Err(Stopped::NotGranted),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::machine::roster::{PROPOSAL_ENTRIES, Roster};
    use crate::machine::view::{MemberRow, ProposalRow};
    use crate::types::{self, RaftMembership};
    use ringwall_wire::admission::{AdmitPropose, Endorse, IncarnationCert};
    use ringwall_wire::bounded::List;
    use ringwall_wire::ids::{Epoch, Signature};
    use ringwall_wire::peer::{AppendCall, Member, VoteCall};
    use ringwall_wire::sample::{Sample, Source};
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    const AT: Option<LogPosition> = Some(LogPosition { term: 2, index: 50 });

    fn id(index: u64) -> Incarnation {
        Incarnation::new(Epoch(1), index)
    }

    fn setting(voters: &[u64], learners: &[u64], roster: &[(u64, MemberStanding)]) -> (StoredMembership, Published) {
        let mut source = Source::new(5);
        let ids = voters.iter().chain(learners).map(|index| (id(*index), Member::sample(&mut source)));
        let nodes: BTreeMap<Incarnation, Member> = ids.collect();
        let voters: BTreeSet<Incarnation> = voters.iter().map(|index| id(*index)).collect();
        let members = RaftMembership::new(vec![voters], nodes).unwrap();
        let membership = StoredMembership::new(AT.map(|at| types::log_id(&at)), members);
        let mut known = Roster { epoch: Some(Epoch(1)), ..Roster::default() };
        for (index, standing) in roster {
            let row =
                MemberRow { incarnation: id(*index), cert: IncarnationCert::sample(&mut source), standing: *standing, admission: None };
            known.members.insert(id(*index), row);
        }
        (membership, Published { applied: 50, roster: Arc::new(known), ..Published::default() })
    }

    fn vote(leader: u64, last: Option<LogPosition>) -> PeerCall {
        PeerCall::Vote(VoteCall { ballot: Ballot { term: 3, leader: id(leader), committed: false }, last, transfer: false })
    }

    fn append(leader: u64, committed: bool) -> PeerCall {
        let ballot = Ballot { term: 3, leader: id(leader), committed };
        PeerCall::Append(AppendCall { ballot, previous: None, entries: List::default(), committed: None, tree: None })
    }

    fn pass(me: u64, from: Incarnation, call: &PeerCall) -> Result<(), Stopped> {
        use MemberStanding::{Live, Retired, Superseded};
        let roster = [(1, Live), (3, Live), (9, Live), (20, Live), (4, Superseded), (5, Retired)];
        let (effective, published) = setting(&[1, 3, 9], &[20], &roster);
        Known { me: id(me), effective: &effective, published: &published, last: AT, granted: None, shown: &Shown::default() }
            .pass(from, call)
    }

    #[test]
    fn votes_are_asked_among_voters() {
        assert_eq!(pass(1, id(3), &vote(3, AT)), Ok(()));
        assert_eq!(pass(20, id(3), &vote(3, AT)), Err(Stopped::NotVoter));
        assert_eq!(pass(1, id(20), &vote(20, AT)), Err(Stopped::SenderNotVoter(id(20))));
        assert_eq!(pass(1, id(3), &vote(9, AT)), Err(Stopped::NotItself { spoken: id(9), sender: id(3) }));
    }

    #[test]
    fn a_longer_log_may_know_a_newer_membership() {
        let longer = Some(LogPosition { term: 2, index: 51 });
        assert_eq!(pass(20, id(3), &vote(3, longer)), Ok(()));
        assert_eq!(pass(1, id(20), &vote(20, longer)), Ok(()));
        assert_eq!(pass(1, id(5), &vote(5, longer)), Err(Stopped::Out(id(5))), "but nobody who is out comes back by it");
    }

    #[test]
    fn who_is_out_or_unknown_is_stopped_with_everything() {
        for call in [vote(4, AT), append(4, true), PeerCall::ReadIndex] {
            assert_eq!(pass(1, id(4), &call), Err(Stopped::Out(id(4))));
        }
        assert_eq!(pass(1, id(5), &append(5, true)), Err(Stopped::Out(id(5))));
        assert_eq!(pass(1, id(6), &append(6, true)), Err(Stopped::Unknown(id(6))), "index 6 is applied, and admitted nobody");
        assert_eq!(
            pass(1, id(60), &append(60, true)),
            Err(Stopped::Unproven(id(60))),
            "admitted later than we have applied: it must show it"
        );
        let other = Incarnation::new(Epoch(2), 3);
        assert_eq!(pass(1, other, &append(3, true)), Err(Stopped::OtherEpoch { sender: 2, ours: 1 }));
    }

    #[test]
    fn a_leader_whose_admission_is_half_applied_here_is_followed() {
        let mut source = Source::new(6);
        let refusing = Endorse { admit_index: 46, by: id(1), accepts: false, signature: Signature([0; 64]) };
        let (effective, mut published) = setting(&[1, 3], &[], &[(1, MemberStanding::Live), (3, MemberStanding::Live)]);
        let roster = Arc::make_mut(&mut published.roster);
        for (admit_index, endorsements) in [(45, Vec::new()), (46, vec![refusing])] {
            roster.proposals.insert(admit_index, ProposalRow { admit_index, propose: AdmitPropose::sample(&mut source), endorsements });
        }
        let passes = |from: u64, applied: u64| {
            let published = Published { applied, ..published.clone() };
            let shown = Shown::default();
            let known = Known { me: id(1), effective: &effective, published: &published, last: AT, granted: None, shown: &shown };
            known.pass(id(from), &append(from, true))
        };
        assert_eq!(passes(48, 44), Err(Stopped::Unproven(id(48))), "not heard of");
        assert_eq!(passes(45, 50), Ok(()), "proposed, not yet admitted");
        assert_eq!(passes(46, 50), Err(Stopped::Unknown(id(46))), "a voter refused it: it will never be admitted");
        assert_eq!(passes(47, 50), Err(Stopped::Unknown(id(47))), "no proposal");
        assert_eq!(passes(45, 45 + PROPOSAL_ENTRIES), Ok(()));
        assert_eq!(passes(45, 46 + PROPOSAL_ENTRIES), Err(Stopped::Unknown(id(45))), "its proposal died");
        let shown = Shown::default();
        let known = Known { me: id(1), effective: &effective, published: &published, last: AT, granted: None, shown: &shown };
        assert_eq!(known.asks(id(45)), Err(Stopped::NotMember(id(45))), "but it may not have anything written");
    }

    #[test]
    fn leaders_speak_for_themselves_under_a_granted_ballot() {
        assert_eq!(pass(1, id(3), &append(3, true)), Ok(()));
        assert_eq!(pass(1, id(3), &append(3, false)), Err(Stopped::NotGranted));
        assert_eq!(pass(1, id(3), &append(9, true)), Err(Stopped::NotItself { spoken: id(9), sender: id(3) }));
    }

    #[test]
    fn only_members_ask_for_reads_and_writes() {
        assert_eq!(pass(1, id(20), &PeerCall::ReadIndex), Ok(()));
        assert_eq!(pass(1, id(60), &PeerCall::ReadIndex), Err(Stopped::Unproven(id(60))));
        assert_eq!(pass(1, id(3), &PeerCall::Leaving), Err(Stopped::NotOurs));
    }
}
