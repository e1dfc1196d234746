//! Why there is no session with any node.
//!
//! Decides: how a node that is out of reach, one that proved itself bad, and one of which nobody can tell are told apart; the last two are
//! never used. Trusts: nothing. Out of scope: exit codes (`client`), the judging (`attest`).

use crate::anchor::{Detected, Misdeed, ReceiptFault, Trouble};
use ringwall_attest::{Finding, SessionError};
use ringwall_wire::ids::{ClusterId, Epoch, Revision};
use std::sync::Arc;

/// One address that was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The address.
    pub address: String,
    /// What happened, for people.
    pub cause: String,
    /// Whether the node was refused (evidence, cluster or history), as opposed to being out of reach.
    pub refused: bool,
}

/// Whether a node was refused because it follows an older policy than is known, or one that does not follow from that.
pub fn went_back(error: &SessionError) -> bool {
    matches!(error, SessionError::PolicyTooOld { .. } | SessionError::PolicyUnrelated { .. })
}

/// Addresses and causes on one line each, for messages.
fn tried_lines(tried: &[Attempt]) -> String {
    tried.iter().map(|attempt| format!("\n  {}: {}", attempt.address, attempt.cause)).collect()
}

/// Why there is no session with any node.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The options name nobody to talk to.
    #[error("no address to connect to; give a cluster card with addresses, or addresses beside the pinned cluster id")]
    NoAddress,
    /// This machine cannot open a UDP socket or set up QUIC.
    #[error("no QUIC endpoint on this machine: {cause}; check its network and its limits on open files")]
    Endpoint {
        /// What the system said.
        cause: String,
    },
    /// A node's evidence was judged and refused; nothing was sent to it. It is not asked again.
    #[error(
        "the evidence of {address} was refused: {error}; nothing was sent to it. What to do: {}", .error.advice()
    )]
    Evidence {
        /// The node.
        address: String,
        /// What the appraisal found.
        error: Arc<SessionError>,
        /// All addresses that were tried.
        tried: Vec<Attempt>,
    },
    /// A node's evidence was judged and nobody can tell whether it is good: something is missing, out of date, or unknown to this version.
    /// Nothing was sent to it.
    #[error(
        "whether {address} is what it says cannot be told: {error}; nothing was sent to it. This does not say that the node is bad, and it is \
         not used: {}", .error.advice()
    )]
    CannotTell {
        /// The node.
        address: String,
        /// What the appraisal lacks.
        error: Arc<SessionError>,
        /// All addresses that were tried.
        tried: Vec<Attempt>,
    },
    /// A node says it serves another cluster than the pinned one.
    #[error(
        "{address} serves cluster {claimed}, pinned is {pinned}; nothing was sent to it. Compare the card with the one you were given \
         by the founders"
    )]
    OtherCluster {
        /// The node.
        address: String,
        /// What it claims.
        claimed: ClusterId,
        /// What is pinned.
        pinned: ClusterId,
        /// All addresses that were tried.
        tried: Vec<Attempt>,
    },
    /// An attested node answered with an older revision than it, or another, had confirmed before: a rollback or a fork.
    #[error(
        "{address} answered as of revision {got} although revision {known} had been confirmed: its history was rolled back or forked; \
         keep this message and tell the operators"
    )]
    WentBack {
        /// The node.
        address: String,
        /// Newest revision known when the question was sent.
        known: Revision,
        /// Revision of the answer.
        got: Revision,
        /// All addresses that were tried.
        tried: Vec<Attempt>,
    },
    /// What the cluster had confirmed is gone. Nothing was written, and nothing will be until the matter is settled.
    #[error(
        "ROLLBACK_DETECTED: {what}. Nothing was written and nothing will be. Evidence: {evidence}; anybody can verify it with `ringwall receipt \
         verify`. Tell the operators and the other users; when the matter is settled, move that file away"
    )]
    RollbackDetected {
        /// What is lost.
        what: String,
        /// Where the evidence lies.
        evidence: String,
    },
    /// The cluster shows two histories. Nothing was written, and nothing will be until the matter is settled.
    #[error(
        "FORK_DETECTED: {what}. Nothing was written and nothing will be. Evidence: {evidence}; anybody can verify it with `ringwall receipt \
         verify`. Tell the operators and the other users; when the matter is settled, move that file away"
    )]
    ForkDetected {
        /// What differs.
        what: String,
        /// Where the evidence lies.
        evidence: String,
    },
    /// A node follows an older policy than the newest one this client has verified: it was rolled back, or has not caught up. Nothing was sent to it.
    #[error(
        "{address} follows an older policy than this client knows to be in force: {error}; nothing was sent to it. If it only has not caught up, try again;          if it stays so, the cluster was rolled back: tell the operators and the governors"
    )]
    PolicyWentBack {
        /// The node.
        address: String,
        /// What the appraisal found.
        error: Arc<SessionError>,
        /// All addresses that were tried.
        tried: Vec<Attempt>,
    },
    /// The card's changes of the policy do not hold.
    #[error("the cluster card's policy cannot be used: {cause}; ask the founders, or whoever runs the cluster, for a good card")]
    CardPolicy {
        /// What is wrong.
        cause: String,
    },
    /// An attested node sent something in place of a receipt.
    #[error("{address} is not used: its receipt is refused: {fault}; tell the operators")]
    Receipt {
        /// The node.
        address: String,
        /// What is wrong.
        fault: ReceiptFault,
        /// All addresses that were tried.
        tried: Vec<Attempt>,
    },
    /// The cluster was recovered into a higher epoch, and nothing proves that this kept what was confirmed.
    #[error(
        "{address} serves epoch {got}; epoch {known} was seen before, and nothing proves what became of it: it tells no unbroken row of recoveries. \
         Ask the operators and custodians"
    )]
    EpochUnproven {
        /// The node.
        address: String,
        /// Epoch known.
        known: Epoch,
        /// Epoch served.
        got: Epoch,
        /// All addresses that were tried.
        tried: Vec<Attempt>,
    },
    /// The anchor could not be read or kept: without it a rollback would go unnoticed.
    #[error("the anchor that remembers what was confirmed is of no use: {words}")]
    Anchor {
        /// Stable code.
        code: &'static str,
        /// What is wrong.
        words: String,
    },
    /// An attested node does not accept the user.
    #[error("{address} does not accept this credential: {detail}; use the credential the data was written with")]
    NotAuthorized {
        /// The node.
        address: String,
        /// The node's words.
        detail: String,
    },
    /// The user revoked this device.
    #[error("{address} does not serve this device: {detail}")]
    DeviceRevoked {
        /// The node.
        address: String,
        /// The node's words.
        detail: String,
    },
    /// The user was not restored, or not yet.
    #[error("{address} did not restore the user: {detail}")]
    NotRestored {
        /// The node.
        address: String,
        /// The node's words.
        detail: String,
    },
    /// The key that signs for this device did not sign the session it was shown: another key, or other words. Nothing of the user was sent.
    #[error(
        "this device did not sign the session with its own key: {cause}; nothing of the user was sent. Sign in with the key of this device"
    )]
    DeviceSignature {
        /// What is wrong.
        cause: String,
    },
    /// No node could be used before the deadline.
    #[error("no node could be used within {waited_ms} ms:{}\nCheck that a majority of the nodes runs and can be reached", tried_lines(.tried))]
    Unavailable {
        /// How long was waited, milliseconds.
        waited_ms: u64,
        /// All addresses that were tried last, with causes.
        tried: Vec<Attempt>,
    },
    /// The client was closed.
    #[error("the client was closed; make a new one")]
    Closed,
}

impl ConnectError {
    /// A refusal of the node at `address`, by what it says of the node.
    pub fn of_evidence(address: String, error: Arc<SessionError>, tried: Vec<Attempt>) -> Self {
        if went_back(&error) {
            return ConnectError::PolicyWentBack { address, error, tried };
        }
        match error.finding() {
            Finding::Bad => ConnectError::Evidence { address, error, tried },
            Finding::CannotTell => ConnectError::CannotTell { address, error, tried },
        }
    }

    /// What a node's receipts came to.
    pub fn of_history(address: String, trouble: Trouble, tried: Vec<Attempt>) -> Self {
        match trouble {
            Trouble::Detected(found) => {
                let Detected { misdeed, what, evidence } = (*found).clone();
                match misdeed {
                    Misdeed::Rollback => ConnectError::RollbackDetected { what, evidence },
                    Misdeed::Fork => ConnectError::ForkDetected { what, evidence },
                }
            }
            Trouble::Receipt(fault) => ConnectError::Receipt { address, fault, tried },
            Trouble::Epoch { known, got } => ConnectError::EpochUnproven { address, known, got, tried },
            Trouble::Store { code, words } => ConnectError::Anchor { code, words },
        }
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ConnectError::NoAddress => "RW-C-NO-ADDRESS",
            ConnectError::Endpoint { .. } => "RW-C-ENDPOINT",
            ConnectError::Evidence { .. } => "RW-C-EVIDENCE",
            ConnectError::CannotTell { .. } => "RW-C-CANNOT-TELL",
            ConnectError::OtherCluster { .. } => "RW-C-OTHER-CLUSTER",
            ConnectError::WentBack { .. } => "RW-C-WENT-BACK",
            ConnectError::RollbackDetected { .. } => "RW-C-ROLLBACK-DETECTED",
            ConnectError::ForkDetected { .. } => "RW-C-FORK-DETECTED",
            ConnectError::PolicyWentBack { .. } => "RW-C-POLICY-WENT-BACK",
            ConnectError::CardPolicy { .. } => "RW-C-CARD-POLICY",
            ConnectError::Receipt { .. } => "RW-C-RECEIPT",
            ConnectError::EpochUnproven { .. } => "RW-C-EPOCH-UNPROVEN",
            ConnectError::Anchor { code, .. } => code,
            ConnectError::NotAuthorized { .. } => "RW-C-NOT-AUTHORIZED",
            ConnectError::DeviceRevoked { .. } => "RW-C-DEVICE-REVOKED",
            ConnectError::NotRestored { .. } => "RW-C-NOT-RESTORED",
            ConnectError::DeviceSignature { .. } => "RW-C-DEVICE-SIGNATURE",
            ConnectError::Unavailable { .. } => "RW-C-UNAVAILABLE",
            ConnectError::Closed => "RW-C-CLOSED",
        }
    }

    /// The addresses that were tried, where the error concerns several.
    pub fn tried(&self) -> &[Attempt] {
        match self {
            ConnectError::Evidence { tried, .. }
            | ConnectError::CannotTell { tried, .. }
            | ConnectError::OtherCluster { tried, .. }
            | ConnectError::WentBack { tried, .. }
            | ConnectError::PolicyWentBack { tried, .. }
            | ConnectError::Receipt { tried, .. }
            | ConnectError::EpochUnproven { tried, .. }
            | ConnectError::Unavailable { tried, .. } => tried,
            _ => &[],
        }
    }

    /// Whether a node was refused for what it proved, or failed to prove, to be.
    pub fn is_refused_evidence(&self) -> bool {
        match self {
            ConnectError::Evidence { .. } | ConnectError::CannotTell { .. } => true,
            ConnectError::OtherCluster { .. } | ConnectError::WentBack { .. } | ConnectError::PolicyWentBack { .. } => true,
            ConnectError::RollbackDetected { .. } | ConnectError::ForkDetected { .. } => true,
            ConnectError::Receipt { .. } | ConnectError::EpochUnproven { .. } => true,
            ConnectError::NoAddress | ConnectError::Endpoint { .. } | ConnectError::NotAuthorized { .. } => false,
            ConnectError::Anchor { .. } | ConnectError::DeviceRevoked { .. } | ConnectError::NotRestored { .. } => false,
            ConnectError::Unavailable { .. } | ConnectError::Closed | ConnectError::CardPolicy { .. } => false,
            ConnectError::DeviceSignature { .. } => false,
        }
    }
}
