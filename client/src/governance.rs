//! What governs the cluster, as its members see it, and steps of it that are brought to them.
//!
//! Decides: nothing; the core says what a step comes to (`ringwall_session::ops`). A step that was brought twice, because an answer was lost, is told by its fault and
//! changes nothing. Trusts: the session's node, which was verified, for what is shown; what a client acts on it verifies itself.
//! Out of scope: making and signing steps (`policy`), judging them (`attest`). Protocol section 8.

use crate::client::Client;
use ringwall_session::ops;
pub use ringwall_session::ops::GovernanceError;
use ringwall_wire::governance::{
    GovernanceAsk, GovernanceView, NoticeFor, PolicyCommand, PolicyFault, PolicyLease, PolicyOutcome, PolicyWithdrawal,
};
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::SignedPolicy;
use sha2::{Digest as _, Sha256};

impl Client {
    /// The policy in force, the changes that wait and until when, and the lease, as the member in use sees them.
    pub async fn governance(&self) -> Result<GovernanceView, GovernanceError> {
        ops::view(self.ask(ops::governed(GovernanceAsk::View)).await)
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
        ops::outcome(self.ask(ops::governed(GovernanceAsk::Submit(Box::new(command)))).await)
    }
}
