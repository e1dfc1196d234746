//! What one attempt at one node comes to, and what ends a session.
//!
//! Decides: which failures say something of the node, which of the user, and which of nothing but the road to it.
//! Trusts: nothing. Out of scope: the attempt (`opening.rs`), which node is next (`core.rs`). Protocol section 3.

use crate::anchor::Trouble;
use crate::error::code_name;
use crate::verification::Verification;
use ringwall_attest::{Finding, SessionError};
use ringwall_channel::ChannelError;
use ringwall_wire::ids::{ClusterId, Revision};
use ringwall_wire::session::{Refusal, UserReady};
use std::sync::Arc;

/// Why a session is no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
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

/// A session that was opened.
#[derive(Debug)]
pub struct Opened {
    /// What the node said on opening.
    pub ready: UserReady,
    /// Why the node was believed.
    pub verification: Verification,
    /// When its node must have been judged anew, by the policy it was judged by: nothing is sent on it from then on. Milliseconds of the driver's clock.
    pub reattest_by_ms: u64,
}

/// Why one address gave no session.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answered, the connection broke, or it took too long.
    #[error("{0}")]
    Unreachable(String),
    /// The node cannot serve now, or no client like this.
    #[error("the node refused with {code}: {detail}")]
    Refused {
        /// Name of the refusal.
        code: &'static str,
        /// The node's words.
        detail: String,
    },
    /// The node did not follow the protocol.
    #[error("the node broke the protocol: {0}")]
    Breach(String),
    /// The handshake failed: the node does not hold the keys it showed, or something in the middle changed bytes.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// The node serves another cluster.
    #[error("it serves cluster {claimed}, pinned is {pinned}")]
    OtherCluster {
        /// What it claims.
        claimed: ClusterId,
        /// What is pinned.
        pinned: ClusterId,
    },
    /// The evidence was refused, now or when this node was tried before.
    #[error("its evidence was refused: {0}")]
    Evidence(Arc<SessionError>),
    /// It follows an older policy than is known, or one that does not follow from it. It may only not have caught up, so it is asked again.
    #[error("{0}")]
    OldPolicy(Arc<SessionError>),
    /// Its history went back when it was used before.
    #[error("it answered as of revision {got} after {known} had been confirmed")]
    WentBack {
        /// Newest revision known when the question was sent.
        known: Revision,
        /// Revision of the answer.
        got: Revision,
    },
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
    /// The signature that was asked for outside does not verify: another key's, or made over other words. Nothing of the user was sent.
    #[error("the device did not sign this session with the key it was opened for: {0}")]
    Signature(String),
    /// Whoever drives the attempt called out of order. Nothing is taken any more.
    #[error("the attempt was driven out of order: {0}")]
    OutOfOrder(&'static str),
}

impl DialError {
    /// Whether nobody can tell what the node is: it is not used, and it is not called bad.
    pub fn is_undecided(&self) -> bool {
        matches!(self, DialError::Evidence(error) if error.finding() == Finding::CannotTell)
    }

    /// Whether the node is one that must not be used.
    pub fn is_final_for_node(&self) -> bool {
        matches!(self, DialError::OtherCluster { .. } | DialError::Evidence(_) | DialError::WentBack { .. } | DialError::History(_))
    }

    /// What a failed step of a channel comes to.
    pub fn of_channel(fault: ChannelError) -> Self {
        match fault {
            ChannelError::Refused(refusal) => DialError::of_refusal(&refusal),
            fault => DialError::Handshake(fault.to_string()),
        }
    }

    /// A node's word that it does not serve.
    pub fn of_refusal(refusal: &Refusal) -> Self {
        DialError::Refused { code: code_name(refusal.code), detail: refusal.detail.to_string() }
    }
}

impl From<LinkError> for DialError {
    fn from(fault: LinkError) -> Self {
        match fault {
            LinkError::Lost(why) => DialError::Unreachable(why),
            LinkError::Breach(why) => DialError::Breach(why),
            LinkError::History(trouble) => DialError::History(trouble),
        }
    }
}
