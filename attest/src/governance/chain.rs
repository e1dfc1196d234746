//! A chain of changes, from a policy that is known to the one that is in force.
//!
//! Decides: every step replaces the policy before it, is approved by the governors of *that* policy and monotone; one that loosens carries its notice
//! where that policy names witnesses. Another one may carry one that holds: it did loosen by the rules of the day it was made, and stays what it was
//! when the rules are corrected. Left out, doubled, reordered or foreign steps do not fit and refuse the chain.
//! Trusts: the policy it starts from. Out of scope: whether the cluster has the last policy in force now; withdrawn changes, which only the group
//! knows. Protocol section 8, "Changes".

use super::notice::{NoticeError, verify_notice};
use super::pages::PageError;
use super::{ChangeError, judge_change};
use crate::approval::ApprovalError;
use crate::memo::{Claimed, STEPS};
use alloc::vec::Vec;
use ringwall_wire::codec::{Field as _, Message as _};
use ringwall_wire::governance::{PolicyStep, steps_bytes};
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::limits::{POLICY_ROW_BYTES, POLICY_ROW_STEPS, POLICY_STEPS, POLICY_STEPS_BYTES};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::without::{Defence, left_out};

/// Why a chain of changes does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum StepError {
    /// More than any cluster has.
    #[error("there are {got} changes, at most {most} are read")]
    TooMany { got: usize, most: usize },
    /// Larger than any cluster's.
    #[error("the changes are {got} bytes, at most {most} are read")]
    TooLarge { got: usize, most: usize },
    /// One of them, counted from 1.
    #[error("change {number} does not hold: {error}")]
    Step { number: usize, error: ChangeError },
    /// A page of them.
    #[error(transparent)]
    Page(#[from] PageError),
}

/// A chain that holds: the policies it leads through. Only [`verify_steps`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict nobody uses protects nobody"]
pub struct VerifiedSteps {
    policy: PolicyDoc,
    digests: Vec<Digest>,
}

impl VerifiedSteps {
    /// The policy it leads to; the one it started from where there was no step.
    pub fn policy(&self) -> &PolicyDoc {
        &self.policy
    }

    /// SHA-256 of every policy on the way, the one it started from first, the one it leads to last.
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Gives the policy away.
    pub fn into_policy(self) -> PolicyDoc {
        self.policy
    }
}

/// Verifies that `steps` lead from `from` to another policy of this cluster. A function of its arguments alone: it needs no clock and no network. At
/// most 32 steps with 32 approvals and two notes of 16 witnesses each are verified: as many as one answer carries.
pub fn verify_steps(cluster_id: &ClusterId, from: &PolicyDoc, steps: &[PolicyStep]) -> Result<VerifiedSteps, StepError> {
    verify_at_most(cluster_id, from, steps, (POLICY_STEPS, POLICY_STEPS_BYTES))
}

/// The same for the whole row of a cluster, from a file or a card: at most 1,024 steps of 16 MiB. What this process found to hold before is not verified again.
pub fn verify_row(cluster_id: &ClusterId, from: &PolicyDoc, steps: &[PolicyStep]) -> Result<VerifiedSteps, StepError> {
    verify_at_most(cluster_id, from, steps, (POLICY_ROW_STEPS, POLICY_ROW_BYTES))
}

fn verify_at_most(
    cluster_id: &ClusterId,
    from: &PolicyDoc,
    steps: &[PolicyStep],
    (most, most_bytes): (usize, usize),
) -> Result<VerifiedSteps, StepError> {
    if steps.len() > most {
        return Err(StepError::TooMany { got: steps.len(), most });
    }
    let got = steps_bytes(steps);
    if got > most_bytes {
        return Err(StepError::TooLarge { got, most: most_bytes });
    }
    let mut replaced = Digest(from.digest());
    let mut verified = VerifiedSteps { policy: from.clone(), digests: Vec::from([replaced]) };
    for (number, step) in (1..).zip(steps) {
        verified.policy = remembered(cluster_id, (&replaced, &verified.policy), step).map_err(|error| StepError::Step { number, error })?;
        replaced = Digest(verified.policy.digest());
        verified.digests.push(replaced);
    }
    Ok(verified)
}

/// The policy a step makes, when it holds; what was found to hold before is not judged again.
fn remembered(cluster_id: &ClusterId, (digest, in_force): (&Digest, &PolicyDoc), step: &PolicyStep) -> Result<PolicyDoc, ChangeError> {
    // What holds without a defence is nothing to remember.
    if left_out(Defence::Timelock) {
        return one(cluster_id, in_force, step);
    }
    let bytes = step.to_bytes();
    let claimed = Claimed { algorithm: "policy step", key: &digest.0, message: &bytes, signature: &cluster_id.0 };
    let mut judged = None;
    STEPS.verified(&claimed, || one(cluster_id, in_force, step).map(|policy| judged = Some(policy)))?;
    match judged {
        Some(policy) => Ok(policy),
        // It was found to hold, so its bytes are a policy's.
        None => PolicyDoc::decode(&step.signed.policy).map_err(|fault| ApprovalError::NoPolicy(fault).into()),
    }
}

fn one(cluster_id: &ClusterId, in_force: &PolicyDoc, step: &PolicyStep) -> Result<PolicyDoc, ChangeError> {
    let judged = judge_change(in_force, &step.signed)?;
    match &step.notice {
        Some(notice) => verify_notice(cluster_id, &step.signed, notice, in_force)?,
        None if !judged.wants_notice() || left_out(Defence::Timelock) => {}
        None => return Err(NoticeError::Missing.into()),
    }
    Ok(judged.policy().clone())
}
