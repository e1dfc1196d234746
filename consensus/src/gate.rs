//! The gate: which messages of other members may reach Raft.
//!
//! Decides: rules V1 to V4 of protocol section 4, before openraft is called. A message is for Raft only if it speaks for its sender,
//! its sender is a member this group knows of, and, for votes, if both sides have a vote.
//! Trusts: that `from` is the attested identity of the session. Out of scope: Raft's own rules.

use crate::machine::view::{MemberStanding, Published};
use crate::types::StoredMembership;
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::{Ballot, PeerCall};

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
}

impl Known<'_> {
    /// Lets `call` of `from` pass, or says why not.
    pub(crate) fn pass(&self, from: Incarnation, call: &PeerCall) -> Result<(), Stopped> {
        self.known(from)?;
        match call {
            PeerCall::Vote(call) | PeerCall::PreVote(call) => {
                itself(from, &call.ballot)?;
                self.both_vote(from)
            }
            PeerCall::Append(call) => leads(from, &call.ballot),
            PeerCall::SnapshotBegin(call) => leads(from, &call.ballot),
            PeerCall::Transfer(call) => leads(from, &call.ballot),
            PeerCall::SnapshotPart(_) => Ok(()), // Continues what `SnapshotBegin` of the same sender opened, or is refused there.
            PeerCall::ReadIndex | PeerCall::Forward(_) => match self.effective.get_node(&from) {
                Some(_) => Ok(()),
                None => Err(Stopped::NotMember(from)),
            },
            _ => Err(Stopped::NotOurs), // The node's own messages, and any that are to come.
        }
    }

    /// V3: of this epoch, and admitted, as far as this replica can know. Whoever was admitted later than the last entry applied here
    /// passes: a follower that lags must be able to follow a leader it has not heard of yet.
    pub(crate) fn known(&self, from: Incarnation) -> Result<(), Stopped> {
        if from.epoch() != self.me.epoch() {
            return Err(Stopped::OtherEpoch { sender: from.epoch().0, ours: self.me.epoch().0 });
        }
        match self.published.roster.members.get(&from).map(|row| row.standing) {
            Some(MemberStanding::Live) => Ok(()),
            Some(MemberStanding::Superseded | MemberStanding::Retired) => Err(Stopped::Out(from)),
            None if self.effective.get_node(&from).is_some() => Ok(()),
            None if admit_index(from) > self.published.applied => Ok(()),
            None => Err(Stopped::Unknown(from)),
        }
    }

    /// V1: a vote is asked among voters.
    fn both_vote(&self, from: Incarnation) -> Result<(), Stopped> {
        let voters: std::collections::BTreeSet<Incarnation> = self.effective.voter_ids().collect();
        match (voters.contains(&self.me), voters.contains(&from)) {
            (false, _) => Err(Stopped::NotVoter),
            (_, false) => Err(Stopped::SenderNotVoter(from)),
            (true, true) => Ok(()),
        }
    }
}

fn admit_index(incarnation: Incarnation) -> u64 {
    incarnation.0 & ((1 << 40) - 1)
}

fn itself(from: Incarnation, ballot: &Ballot) -> Result<(), Stopped> {
    match ballot.leader == from {
        true => Ok(()),
        false => Err(Stopped::NotItself { spoken: ballot.leader, sender: from }),
    }
}

/// V2: a leader speaks for itself, under a ballot a quorum granted.
fn leads(from: Incarnation, ballot: &Ballot) -> Result<(), Stopped> {
    itself(from, ballot)?;
    match ballot.committed {
        true => Ok(()),
        false => Err(Stopped::NotGranted),
    }
}
