//! What governs the cluster, as its members see it, and steps of it that are brought to them.
//!
//! Decides: nothing. A step proves itself by the governors' signatures, every member judges it, and whoever brings it has no say. A step that was brought
//! twice, because an answer was lost, is told by its fault and changes nothing.
//! Trusts: the session's node, which was verified, for what is shown; what a client acts on it verifies itself (`anchor/policies.rs`).
//! Out of scope: making and signing steps (`policy`), judging them (`attest`). Protocol section 8.

use crate::client::{Client, answer_name};
use crate::error::{ConnectError, code_name, refusal_code};
use ringwall_session::asked::{Ask, Failure};
use ringwall_wire::governance::{
    GovernanceAsk, GovernanceView, NoticeFor, PolicyCommand, PolicyFault, PolicyLease, PolicyOutcome, PolicyWithdrawal,
};
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::SignedPolicy;
use ringwall_wire::request::{Answer, Op};
use ringwall_wire::session::Refusal;
use sha2::{Digest as _, Sha256};

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

impl Client {
    /// The policy in force, the changes that wait and until when, and the lease, as the member in use sees them.
    pub async fn governance(&self) -> Result<GovernanceView, GovernanceError> {
        match self.ask_governance(GovernanceAsk::View).await? {
            Answer::Governance(view) => Ok(*view),
            other => Err(GovernanceError::Nonsense(answer_name(&other).into())),
        }
    }

    /// Brings a change that governors approved: it is in force at once if it only tightens, and waits otherwise.
    pub async fn propose_policy(&self, signed: SignedPolicy) -> Result<PolicyOutcome, GovernanceError> {
        let makes = Digest(Sha256::digest(&*signed.policy).into());
        let told = self.submit_policy(PolicyCommand::propose(signed)).await;
        let Err(GovernanceError::Fault(PolicyFault::OtherStep | PolicyFault::VersionNotHigher)) = told else { return told };
        // A change that is in force ends sessions, this one's too: it may have been brought by a try whose answer was lost.
        match self.governance().await {
            Ok(view) if view.in_force == makes => Ok(PolicyOutcome::InForce(view.version)),
            _ => told,
        }
    }

    /// Brings the proof that a change which waits was public.
    pub async fn give_notice(&self, notice: NoticeFor) -> Result<PolicyOutcome, GovernanceError> {
        self.submit_policy(PolicyCommand::Notice(Box::new(notice))).await
    }

    /// Brings the governors' word that a change shall not come into force.
    pub async fn withdraw_policy(&self, withdrawal: PolicyWithdrawal) -> Result<PolicyOutcome, GovernanceError> {
        self.submit_policy(PolicyCommand::Withdraw(withdrawal)).await
    }

    /// Brings the governors' word that the policy in force is still wanted.
    pub async fn renew_lease(&self, lease: PolicyLease) -> Result<PolicyOutcome, GovernanceError> {
        self.submit_policy(PolicyCommand::Lease(lease)).await
    }

    async fn submit_policy(&self, command: PolicyCommand) -> Result<PolicyOutcome, GovernanceError> {
        match self.ask_governance(GovernanceAsk::Submit(Box::new(command))).await? {
            Answer::Policy(PolicyOutcome::Refused(fault)) => Err(GovernanceError::Fault(fault)),
            Answer::Policy(outcome) => Ok(outcome),
            other => Err(GovernanceError::Nonsense(answer_name(&other).into())),
        }
    }

    async fn ask_governance(&self, ask: GovernanceAsk) -> Result<Answer, GovernanceError> {
        match self.ask(Ask::Read(Op::Governance(ask))).await {
            Ok(answer) => Ok(answer),
            Err(Failure::Refused(refusal)) => Err(GovernanceError::Refused(refusal)),
            Err(Failure::Session(fault)) => Err(GovernanceError::Session(fault)),
            Err(Failure::OutcomeUnknown { cause, .. }) => Err(GovernanceError::OutcomeUnknown { cause }),
        }
    }
}
