//! How Ringwall fills in openraft's type parameters, and the two-way translation to our own messages.
//!
//! Decides: textbook Raft (one leader a term), node ids are incarnations, nodes are members, entries are opaque bytes. No layout of
//! openraft's is ever written to disk or wire: everything goes through `ringwall-wire`.
//! Trusts: nothing. Out of scope: behaviour. Protocol section 4.

use openraft::impls::leader_id_std;
use openraft::type_config::alias::{CommittedLeaderIdOf, EntryOf, LogIdOf, StoredMembershipOf, VoteOf};
use ringwall_wire::bounded::{List, SharedBlob};
use ringwall_wire::codec::{DecodeError, Field as _};
use ringwall_wire::command::Outcome;
use ringwall_wire::counted::{Primitive, count};
use ringwall_wire::ids::{Digest, Incarnation};
use ringwall_wire::limits::ENTRY_BYTES;
use ringwall_wire::peer::{self, Ballot, LogEntry, LogPosition, Member, NamedMember};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The type parameters of Raft, written out because openraft's macro cannot express a generic responder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl openraft::RaftTypeConfig for Types {
    type D = Payload;
    type R = Answers;
    type NodeId = Incarnation;
    type Node = Member;
    type Term = u64;
    type LeaderId = leader_id_std::LeaderId<u64, Incarnation>;
    type Vote = openraft::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Payload, Incarnation, Member>;
    type Entry = openraft::Entry<CommittedLeaderIdOf<Self>, Self::Payload>;
    type AsyncRuntime = crate::runtime::Runtime;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::AnyError;
}

pub(crate) type Vote = VoteOf<Types>;
pub(crate) type LogId = LogIdOf<Types>;
pub(crate) type Entry = EntryOf<Types>;
pub(crate) type EntryPayload = openraft::EntryPayload<Payload, Incarnation, Member>;
pub(crate) type StoredMembership = StoredMembershipOf<Types>;
pub(crate) type RaftMembership = openraft::Membership<Incarnation, Member>;

/// An encoded command; cloning shares the bytes, from the proposal to the log and to every follower's message.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Payload(pub(crate) SharedBlob<ENTRY_BYTES>);

impl std::fmt::Debug for Payload {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} bytes", self.0.len())
    }
}

impl std::fmt::Display for Payload {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} bytes", self.0.len())
    }
}

/// What applying an entry gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(pub(crate) Vec<Outcome>);

pub(crate) fn ballot(vote: &Vote) -> Ballot {
    Ballot { term: vote.leader_id.term, leader: vote.leader_id.voted_for, committed: vote.committed }
}

pub(crate) fn vote(ballot: &Ballot) -> Vote {
    match ballot.committed {
        true => Vote::new_committed(ballot.term, ballot.leader),
        false => Vote::new(ballot.term, ballot.leader),
    }
}

pub(crate) fn position(id: &LogId) -> LogPosition {
    LogPosition { term: id.leader_id.term, index: id.index }
}

pub(crate) fn log_id(at: &LogPosition) -> LogId {
    LogId::new(CommittedLeaderIdOf::<Types>::new(at.term), at.index)
}

pub(crate) fn positions(id: &Option<LogId>) -> Option<LogPosition> {
    id.as_ref().map(position)
}

pub(crate) fn log_ids(at: &Option<LogPosition>) -> Option<LogId> {
    at.as_ref().map(log_id)
}

/// Spells a membership in our own terms; fails only above the limits of [`peer::Membership`].
pub(crate) fn membership_out(membership: &RaftMembership) -> Result<peer::Membership, DecodeError> {
    let configs =
        membership.get_joint_config().iter().map(|voters| List::new(voters.iter().copied().collect())).collect::<Result<Vec<_>, _>>()?;
    let members = membership.nodes().map(|(id, member)| NamedMember { incarnation: *id, member: member.clone() }).collect();
    Ok(peer::Membership { configs: List::new(configs)?, members: List::new(members)? })
}

/// Reads a membership; refuses one whose voters are not all members, or whose voter sets are empty.
pub(crate) fn membership_in(membership: &peer::Membership) -> Result<RaftMembership, DecodeError> {
    let configs: Vec<BTreeSet<Incarnation>> = membership.configs.iter().map(|voters| voters.iter().copied().collect()).collect();
    let nodes: BTreeMap<Incarnation, Member> = membership.members.iter().map(|named| (named.incarnation, named.member.clone())).collect();
    if configs.is_empty() && nodes.is_empty() {
        return Ok(RaftMembership::default());
    }
    RaftMembership::new(configs, nodes).map_err(|_| DecodeError::Illegal { what: "membership" })
}

/// Spells an entry in our own terms.
pub(crate) fn entry_out(entry: &Entry) -> Result<LogEntry, DecodeError> {
    let payload = match &entry.payload {
        EntryPayload::Blank => peer::EntryPayload::Blank,
        EntryPayload::Normal(bytes) => peer::EntryPayload::Command(bytes.0.clone()),
        EntryPayload::Membership(membership) => peer::EntryPayload::Membership(membership_out(membership)?),
    };
    Ok(LogEntry { at: position(&entry.log_id), payload })
}

/// SHA-256 of a payload's encoding: what the log tree holds of it.
pub(crate) fn payload_digest(payload: &EntryPayload) -> std::io::Result<Digest> {
    count(Primitive::Hash);
    let hash = match payload {
        EntryPayload::Normal(bytes) => {
            // `peer::EntryPayload::Command`, without a copy of the bytes.
            let len = u32::try_from(bytes.0.len()).map_err(std::io::Error::other)?;
            Sha256::new().chain_update([2]).chain_update(len.to_be_bytes()).chain_update(&*bytes.0).finalize()
        }
        EntryPayload::Blank => Sha256::digest(peer::EntryPayload::Blank.to_bytes()),
        EntryPayload::Membership(membership) => {
            let membership = membership_out(membership).map_err(std::io::Error::other)?;
            Sha256::digest(peer::EntryPayload::Membership(membership).to_bytes())
        }
    };
    Ok(Digest(hash.into()))
}

/// Reads an entry.
pub(crate) fn entry_in(entry: LogEntry) -> Result<Entry, DecodeError> {
    let payload = match entry.payload {
        peer::EntryPayload::Blank => EntryPayload::Blank,
        peer::EntryPayload::Command(bytes) => EntryPayload::Normal(Payload(bytes)),
        peer::EntryPayload::Membership(membership) => EntryPayload::Membership(membership_in(&membership)?),
    };
    Ok(Entry { log_id: log_id(&entry.at), payload })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_entry_is_spelled_without_a_copy_of_its_bytes() {
        let bytes = SharedBlob::new(vec![7; 300]).unwrap();
        let entry = Entry { log_id: log_id(&LogPosition { term: 1, index: 4 }), payload: EntryPayload::Normal(Payload(bytes.clone())) };
        let again = entry_in(entry_out(&entry).unwrap()).unwrap();
        let EntryPayload::Normal(Payload(spelled)) = &again.payload else { unreachable!("a command") };
        assert!(std::ptr::eq(spelled.as_ptr(), bytes.as_ptr()));
    }

    #[test]
    fn the_digest_of_a_command_is_that_of_its_encoding() {
        let bytes = vec![7; 300];
        let bytes = SharedBlob::new(bytes).unwrap();
        let encoded = peer::EntryPayload::Command(bytes.clone()).to_bytes();
        let payload = EntryPayload::Normal(Payload(bytes));
        assert_eq!(payload_digest(&payload).unwrap().0, <[u8; 32]>::from(Sha256::digest(encoded)));
    }
}
