//! The handle of one replica: open, found, propose, read, answer, change members, leave.
//!
//! Decides: how outcomes and faults of Raft look to the node. Trusts: the caller that `from` of [`Replica::answer`] was attested.
//! Out of scope: coalescing client writes into commands (`node`). Protocol sections 4 and 5.

use crate::machine::view::View;
use crate::options::Options;
use crate::transport::{BoxFuture, Transport};
use ringwall_wire::admission::IncarnationCert;
use ringwall_wire::command::{CommandBody, Outcome, SealedWrite};
use ringwall_wire::ids::{Digest, Incarnation, Revision};
use ringwall_wire::peer::{Member, NamedMember, PeerAnswer, PeerCall};
use std::sync::Arc;
use tokio::sync::watch;

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

/// How far the state has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Last applied index.
    pub applied: u64,
    /// Newest revision.
    pub revision: Revision,
}

/// Handle of one replica; clones are the same replica.
#[derive(Clone)]
pub struct Replica {}

impl Replica {
    /// Opens an empty replica in an empty folder. It waits to be founded, or to be added by a leader.
    pub async fn open(_options: Options, _transport: Arc<dyn Transport>) -> Result<Self, OpenError> {
        todo!()
    }

    /// Makes this replica the only voter of a new group, waits until it leads, and records `cert` as its first member.
    pub async fn found(&self, _cert: IncarnationCert) -> Result<Applied, ProposeError> {
        todo!()
    }

    /// Proposes one command and waits until it is applied here. Only on the leader.
    pub async fn propose(&self, _body: CommandBody) -> Result<Applied, ProposeError> {
        todo!()
    }

    /// Proposes writes here, or forwards them to the leader (`PeerCall::Forward`), and waits for their outcomes. The state here may
    /// lag behind `index`: use [`Replica::wait_applied`] before reading.
    pub async fn write(&self, _writes: Vec<SealedWrite>) -> Result<Applied, ProposeError> {
        todo!()
    }

    /// The index a linearizable read must wait for: one quorum round, shared by all who ask at once; asks the leader when another
    /// member leads.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        todo!()
    }

    /// Waits until `index` is applied here.
    pub async fn wait_applied(&self, _index: u64) -> Result<(), ReadError> {
        todo!()
    }

    /// A look at the state as of now; for a linearizable one after [`Replica::read_index`] and [`Replica::wait_applied`].
    pub fn view(&self) -> Result<View, ReadError> {
        todo!()
    }

    /// `read_index`, `wait_applied` and `view` in one.
    pub async fn linear_view(&self) -> Result<View, ReadError> {
        todo!()
    }

    /// Handles a call of the attested member `from`. Appends take their place in the order in which this function is called, not in
    /// which its future is polled: call it as the messages arrive, await the futures later, and answer in the same order.
    ///
    /// Handles `Append`, `Vote`, `PreVote`, `Transfer`, `SnapshotBegin`, `SnapshotPart`, `ReadIndex` and `Forward`; the others are
    /// the node's, and are answered with `Refused(Malformed)` here.
    pub fn answer(&self, _from: Incarnation, _call: PeerCall) -> BoxFuture<PeerAnswer> {
        todo!()
    }

    /// Told after each applied batch of entries.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        todo!()
    }

    /// As of now.
    pub fn metrics(&self) -> Metrics {
        todo!()
    }

    /// Waits until something in [`Replica::metrics`] may have changed since the last call on this handle.
    pub async fn metrics_changed(&mut self) {
        todo!()
    }

    /// Adds an admitted incarnation as a learner. It must be live in the log with the keys in `member`. Returns when the change is
    /// committed; the learner catches up afterwards ([`Metrics::replication`]).
    pub async fn admit_learner(&self, _incarnation: Incarnation, _member: Member) -> Result<(), MembershipError> {
        todo!()
    }

    /// Makes a learner that has caught up a voter and removes the incarnation it replaces, through a joint membership.
    pub async fn promote(&self, _incarnation: Incarnation, _replaces: Option<Incarnation>) -> Result<(), MembershipError> {
        todo!()
    }

    /// Removes an incarnation, voter or learner, from the membership.
    pub async fn remove(&self, _incarnation: Incarnation) -> Result<(), MembershipError> {
        todo!()
    }

    /// Digest of the state at the applied index it names: equal on every replica at equal index.
    pub async fn state_digest(&self) -> Result<(u64, Digest), ReadError> {
        todo!()
    }

    /// The digest at exactly `index`, if it is the applied index now or was remembered.
    pub async fn state_digest_at(&self, _index: u64) -> Result<Option<Digest>, ReadError> {
        todo!()
    }

    /// Makes a snapshot now and waits until it is on disk; returns the index it ends at.
    pub async fn snapshot(&self) -> Result<u64, ReadError> {
        todo!()
    }

    /// Asks another voter to lead, and waits (bounded) until this replica does not. Nothing to do when it does not lead.
    pub async fn hand_over(&self) -> Result<(), ReadError> {
        todo!()
    }

    /// Stops for good: nothing is answered afterwards. Files are closed when this returns.
    pub async fn shutdown(&self) {
        todo!()
    }
}
