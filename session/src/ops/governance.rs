//! What governs the cluster, as its members see it, and what steps of it come to.
//!
//! Decides: nothing. A step proves itself by the governors' signatures, every member judges it, and whoever brings it has no say. A step that was brought
//! twice, because an answer was lost, is told by its fault and changes nothing.
//! Trusts: the session's node, which was verified, for what is shown; what a client acts on it verifies itself (`anchor/policies.rs`).
//! Out of scope: making and signing steps (`client`), judging them (`attest`). Protocol section 8.

use super::answer_name;
use crate::asked::{Ask, Failure};
use crate::error::{ConnectError, code_name, refusal_code};
use ringwall_wire::governance::{GovernanceAsk, GovernanceView, PolicyFault, PolicyOutcome};
use ringwall_wire::request::{Answer, Op};
use ringwall_wire::session::Refusal;

/// Why governance was not shown, or a step of it not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GovernanceError {
    /// The rules refuse it; nothing changed.
    #[error("the cluster refuses it: {}", .0.words())]
    Fault(PolicyFault),
    /// No session.
    #[error(transparent)]
    Session(#[from] ConnectError),
    /// The node refused.
    #[error("the node refused with {}: {}", code_name(.0.code), &*.0.detail)]
    Refused(Refusal),
    /// Whether the step was taken is not known.
    #[error("the step was sent and nobody can tell whether it was taken ({cause}): look with `ringwall policy status`")]
    OutcomeUnknown {
        /// Why.
        cause: String,
    },
    /// The node answered something that is no answer to this.
    #[error("the node's answer makes no sense here: {0}; client and node may be of different releases")]
    Nonsense(String),
}

impl GovernanceError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            GovernanceError::Fault(fault) => fault_code(*fault),
            GovernanceError::Session(fault) => fault.code(),
            GovernanceError::Refused(refusal) => refusal_code(refusal.code),
            GovernanceError::OutcomeUnknown { .. } => "RW-C-OUTCOME-UNKNOWN",
            GovernanceError::Nonsense(_) => "RW-C-NONSENSE",
        }
    }
}

/// Faults by what has to be done about them.
fn fault_code(fault: PolicyFault) -> &'static str {
    use PolicyFault as F;
    match fault {
        F::NoGovernors | F::Stranger | F::BadSignature | F::TooFew | F::SignedTwice => "RW-C-GOVERNANCE-NOT-APPROVED",
        F::OtherStep | F::OtherPolicy => "RW-C-GOVERNANCE-OTHER-STEP",
        F::VersionNotHigher | F::SvnFell | F::FloorFell | F::BuildBelowSvn => "RW-C-GOVERNANCE-FALLS",
        F::NoPolicy | F::OtherTrustDomain | F::SlotsChanged | F::OtherCluster => "RW-C-GOVERNANCE-UNFIT",
        F::VersionJump | F::Ungovernable | F::NothingProven => "RW-C-GOVERNANCE-UNFIT",
        F::TooManyPending | F::NoRoom => "RW-C-GOVERNANCE-NO-ROOM",
        F::AlreadyPending | F::NotPending | F::Withdrawn | F::TooEarly => "RW-C-GOVERNANCE-NOT-NOW",
        F::NoticeMissing | F::NoticeNotNeeded | F::NoticeBad | F::NoticeWitnesses | F::NoticeEarly => "RW-C-GOVERNANCE-NOTICE",
        F::NoLease | F::LeaseNotLonger | F::LeaseTooLong => "RW-C-GOVERNANCE-LEASE",
    }
}

/// What is asked.
pub fn governed(ask: GovernanceAsk) -> Ask {
    Ask::Read(Op::Governance(ask))
}

/// What governs the cluster, as an answer shows it.
pub fn view(outcome: Result<Answer, Failure>) -> Result<GovernanceView, GovernanceError> {
    match answered(outcome)? {
        Answer::Governance(view) => Ok(*view),
        other => Err(GovernanceError::Nonsense(answer_name(&other).into())),
    }
}

/// What a step came to.
pub fn outcome(outcome: Result<Answer, Failure>) -> Result<PolicyOutcome, GovernanceError> {
    match answered(outcome)? {
        Answer::Policy(PolicyOutcome::Refused(fault)) => Err(GovernanceError::Fault(fault)),
        Answer::Policy(outcome) => Ok(outcome),
        other => Err(GovernanceError::Nonsense(answer_name(&other).into())),
    }
}

fn answered(outcome: Result<Answer, Failure>) -> Result<Answer, GovernanceError> {
    outcome.map_err(|failure| match failure {
        Failure::Refused(refusal) => GovernanceError::Refused(refusal),
        Failure::Session(fault) => GovernanceError::Session(fault),
        Failure::OutcomeUnknown { cause, .. } => GovernanceError::OutcomeUnknown { cause },
    })
}
