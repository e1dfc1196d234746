//! What a replica says of itself and of what was asked of it: outcomes, errors, metrics.
//!
//! Decides: the closed sets of ways a call can end, so that the node can tell "elsewhere" from "again" from "never".
//! Trusts: nothing. Out of scope: refusals on the wire (`ringwall-wire`). Protocol sections 4 and 5.

use ringwall_wire::command::Outcome;
use ringwall_wire::ids::{Incarnation, Revision};
use ringwall_wire::peer::{Member, NamedMember};

/// What came of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Log index of the entry.
    pub index: u64,
    /// In the order of the writes; exactly one for any other command.
    pub outcomes: Vec<Outcome>,
}

/// Why a replica could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder holds something already: an incarnation never resumes.
    #[error("folder {0} is not empty: an incarnation starts with an empty folder and never resumes")]
    NotEmpty(std::path::PathBuf),
    /// The folder or a file in it could not be made.
    #[error("storage cannot be set up: {0}")]
    Storage(#[from] std::io::Error),
    /// The options contradict each other.
    #[error("options are not usable: {0}")]
    Options(String),
}

/// Why a proposal brought no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not proposed: another member leads, or nobody known.
    #[error("this member does not lead; the leader is {leader:?}")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<(Incarnation, Box<Member>)>,
    },
    /// Not proposed; trying again soon is worthwhile (no quorum heard of lately, or a change of members under way).
    #[error("no quorum right now: try again")]
    Transient,
    /// Not proposed: the leader's disk has no room for what takes space.
    #[error("the leader's disk has no room for what takes space")]
    NoRoom,
    /// The entry may or may not be applied: leadership was lost, or the answer. A retry of the same write is safe.
    #[error("the outcome is unknown: a retry of the same write is safe")]
    Unknown,
    /// Not proposed: above the size of one entry.
    #[error("the command takes {bytes} bytes, an entry at most {max}")]
    TooLarge {
        /// Size.
        bytes: usize,
        /// Limit.
        max: usize,
    },
    /// This replica is unfit or shut down; it answers nothing any more.
    #[error("this replica is fenced: {0}")]
    Fenced(String),
}

/// Why a read may not be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader, or no quorum heard of: try again.
    #[error("no quorum right now: try again")]
    Transient,
    /// This replica is unfit or shut down.
    #[error("this replica is fenced: {0}")]
    Fenced(String),
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Only the leader changes members.
    #[error("this member does not lead")]
    NotLeader,
    /// Another change is under way, or came first.
    #[error("another change of members is under way or came first: look again")]
    Raced,
    /// No quorum within reach.
    #[error("no quorum right now: look again")]
    Transient,
    /// The log does not record it as a live member, or records other keys.
    #[error("incarnation {0} is not admitted with these keys")]
    NotAdmitted(Incarnation),
    /// The learner lags too far behind.
    #[error("incarnation {incarnation} lags {lag} entries, at most {max} may be missing")]
    Lagging {
        /// Who.
        incarnation: Incarnation,
        /// Entries.
        lag: u64,
        /// Limit.
        max: u64,
    },
    /// This replica is unfit or shut down.
    #[error("this replica is fenced: {0}")]
    Fenced(String),
}

/// The part a replica plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives the log, has no vote.
    Learner,
    /// Votes.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Fenced or shut down.
    Stopped,
}

/// What the outside may know of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Who this is.
    pub me: Incarnation,
    /// Its part.
    pub role: Role,
    /// Who leads, as far as known.
    pub leader: Option<Incarnation>,
    /// Term.
    pub term: u64,
    /// Last index in the log.
    pub last_index: u64,
    /// Last applied index.
    pub applied: u64,
    /// Voters of the effective membership.
    pub voters: Vec<NamedMember>,
    /// Learners of the effective membership.
    pub learners: Vec<NamedMember>,
    /// Whether two voter sets are in force at once.
    pub joint: bool,
    /// On the leader: how far each member's log matches, last index.
    pub replication: Vec<(Incarnation, u64)>,
    /// Why this replica is fenced, if it is.
    pub fenced: Option<String>,
}

impl Metrics {
    /// The voter that leads, as far as known.
    pub fn led_by(&self) -> Option<&NamedMember> {
        self.voters.iter().find(|named| Some(named.incarnation) == self.leader)
    }
}

/// How far the state has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Last applied index.
    pub applied: u64,
    /// Newest revision.
    pub revision: Revision,
}
