//! A chain of changes, from a policy that is known to the one that is in force.
//!
//! Decides: every step replaces the policy before it, is approved by the governors of *that* policy and monotone; one that loosens carries its notice
//! where that policy names witnesses. Another one may carry one that holds: it did loosen by the rules of the day it was made, and stays what it was
//! when the rules are corrected. Left out, doubled, reordered or foreign steps do not fit and refuse the chain.
//! Trusts: the policy it starts from. Out of scope: whether the cluster has the last policy in force now; withdrawn changes, which only the group
//! knows. Protocol section 8, "Changes".

use super::notice::{NoticeError, verify_notice};
use super::{ChangeError, judge_change};
use alloc::vec::Vec;
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{PolicyStep, steps_bytes};
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::limits::{POLICY_STEPS, POLICY_STEPS_BYTES};
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
/// most 32 steps with 32 approvals and two notes of 16 witnesses each are verified.
pub fn verify_steps(cluster_id: &ClusterId, from: &PolicyDoc, steps: &[PolicyStep]) -> Result<VerifiedSteps, StepError> {
    if steps.len() > POLICY_STEPS {
        return Err(StepError::TooMany { got: steps.len(), most: POLICY_STEPS });
    }
    let got = steps_bytes(steps);
    if got > POLICY_STEPS_BYTES {
        return Err(StepError::TooLarge { got, most: POLICY_STEPS_BYTES });
    }
    let mut verified = VerifiedSteps { policy: from.clone(), digests: Vec::from([Digest(from.digest())]) };
    for (number, step) in (1..).zip(steps) {
        verified.policy = one(cluster_id, &verified.policy, step).map_err(|error| StepError::Step { number, error })?;
        verified.digests.push(Digest(verified.policy.digest()));
    }
    Ok(verified)
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
