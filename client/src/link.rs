//! What the core asks of a connection: two small traits, so that failover is tested against scripted nodes.
//!
//! Decides: a link exists only after its node was verified and the user was accepted; before that there is nothing to send requests on.
//! Trusts: nothing. Out of scope: how links are made (`dial.rs`), which node is next (`seek.rs`). Protocol section 3.

use crate::anchor::Trouble;
use crate::verification::Verification;
use ringwall_attest::{Finding, SessionError};
use ringwall_wire::ids::{ClientId, ClusterId, Revision};
use ringwall_wire::session::UserReady;
use std::future::Future;
use std::sync::Arc;
use tokio::time::Instant;

/// A session with a verified node that accepted the user.
pub(crate) trait Link: Send + 'static {
    /// Seals messages behind those that wait to be written. Does not wait.
    fn queue(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError>;
    /// Sealed bytes that wait to be written.
    fn backlog(&self) -> usize;
    /// Writes and reads until at least one message arrived or the backlog is written. Dropping the future loses nothing.
    fn step(&mut self, arrived: &mut Vec<Vec<u8>>) -> impl Future<Output = Result<(), LinkError>> + Send;
    /// A count that grows whenever anything comes from the other machine, be it only an acknowledgement of the transport.
    fn heard(&self) -> u64;
    /// Says goodbye.
    fn close(self);
}

/// Why a link is no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// The connection is gone.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The bytes were not what the session's keys sealed, or passed a limit.
    #[error("the node broke the protocol: {0}")]
    Breach(String),
    /// What it says of the cluster's history does not stand, or could not be kept.
    #[error(transparent)]
    History(#[from] Trouble),
}

/// Makes links.
pub(crate) trait Dial: Send + Sync + 'static {
    /// What it makes.
    type Link: Link;
    /// A node that answers the transport, and proved nothing yet.
    type Reach: Send;
    /// Reaches the node at `address` before `until`.
    fn reach(&self, address: &str, until: Instant) -> impl Future<Output = Result<Self::Reach, DialError>> + Send;
    /// Opens, verifies and authenticates a session with a node that was reached, before `until`.
    fn open(
        &self,
        reach: Self::Reach,
        address: &str,
        client: ClientId,
        until: Instant,
    ) -> impl Future<Output = Result<Opened<Self::Link>, DialError>> + Send;
    /// Keeps what is remembered, before the client ends.
    fn settle(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// A fresh link.
#[derive(Debug)]
pub(crate) struct Opened<L> {
    /// The link.
    pub(crate) link: L,
    /// What the node said on opening.
    pub(crate) ready: UserReady,
    /// Why the node was believed.
    pub(crate) verification: Verification,
    /// When its node must have been judged anew, by the policy it was judged by: nothing is sent on it from then on.
    pub(crate) reattest_by: Instant,
}

/// Why one address gave no link.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// Nobody answered, the connection broke, or it took too long.
    #[error("{0}")]
    Unreachable(String),
    /// The node cannot serve now, or no client like this.
    #[error("the node refused with {code}: {detail}")]
    Refused { code: &'static str, detail: String },
    /// The node did not follow the protocol.
    #[error("the node broke the protocol: {0}")]
    Breach(String),
    /// The handshake failed: the node does not hold the keys it showed, or something in the middle changed bytes.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// The node serves another cluster.
    #[error("it serves cluster {claimed}, pinned is {pinned}")]
    OtherCluster { claimed: ClusterId, pinned: ClusterId },
    /// The evidence was refused, now or when this node was tried before.
    #[error("its evidence was refused: {0}")]
    Evidence(Arc<SessionError>),
    /// It follows an older policy than is known, or one that does not follow from it. It may only not have caught up, so it is asked again.
    #[error("{0}")]
    OldPolicy(Arc<SessionError>),
    /// Its history went back when it was used before.
    #[error("it answered as of revision {got} after {known} had been confirmed")]
    WentBack { known: Revision, got: Revision },
    /// What it says of the cluster's history does not stand, or could not be kept.
    #[error(transparent)]
    History(#[from] Trouble),
    /// The user was not accepted.
    #[error("it does not accept this credential: {0}")]
    NotAuthorized(String),
    /// The user revoked this device.
    #[error("it does not serve this device: {0}")]
    DeviceRevoked(String),
    /// The user was not restored, or not yet.
    #[error("it did not restore the user: {0}")]
    NotRestored(String),
}

impl DialError {
    /// Whether nobody can tell what the node is: it is not used, and it is not called bad.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self, DialError::Evidence(error) if error.finding() == Finding::CannotTell)
    }

    /// Whether the node is one that must not be used.
    pub(crate) fn is_final_for_node(&self) -> bool {
        matches!(self, DialError::OtherCluster { .. } | DialError::Evidence(_) | DialError::WentBack { .. } | DialError::History(_))
    }
}
