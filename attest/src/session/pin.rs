//! Which policy an answer is judged by, and how that follows from what the judging side holds.
//!
//! Decides: the answer's policy is the newest one held, or it follows from that by changes that hold, or, for nodes among each other only, it is one that
//! was in force before: then the evidence is judged by the newer one held, while its binding names the older. Whoever holds no more than the cluster
//! id starts from the founding policy, which the founding record names. Nobody goes back: an older policy is never what a client's session stands on.
//! Trusts: what the caller holds. Out of scope: whether changes hold (`governance.rs`), what is in force now. Protocol sections 3 and 8.

use super::{Pinned, SessionError};
use crate::governance::verify_steps;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::Role;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{Digest, PolicyVersion};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::AttestResp;

/// What the judging side knows of the cluster's policy.
#[derive(Clone, Copy, Debug)]
pub enum PolicyPin<'a> {
    /// Nothing but the cluster id: the founding record names the first policy, and the changes shown lead on from it.
    Founding {
        /// Least version of the policy they lead to.
        min_version: PolicyVersion,
    },
    /// The newest policy it has verified.
    From {
        /// The document.
        policy: &'a PolicyDoc,
        /// SHA-256 of policies that were in force before it. A peer may still be bound to one of these; a node that serves clients may not.
        earlier: &'a [Digest],
    },
}

/// The policy an answer is judged by.
pub(super) struct Followed<'a> {
    /// What evidence has to satisfy.
    pub(super) by: Cow<'a, PolicyDoc>,
    /// SHA-256 of the one the node goes by: what its evidence is bound to.
    pub(super) bound: Digest,
    /// The verified changes from the one that was held.
    pub(super) steps: Vec<PolicyStep>,
}

/// Finds the policy to judge an answer by. The answer's founding record is the pinned cluster's already.
pub(super) fn followed<'a>(answer: &'a AttestResp, role: Role, pinned: &Pinned<'a>) -> Result<Followed<'a>, SessionError> {
    let bound = Digest(answer.policy.digest());
    let found = match pinned.policy {
        PolicyPin::Founding { min_version } => from_founding(answer, bound, pinned, min_version)?,
        PolicyPin::From { policy, earlier } => from_held(answer, bound, pinned, policy, (role, earlier))?,
    };
    let template = &answer.genesis.template;
    if found.by.trust_domain != template.trust_domain {
        return Err(SessionError::PolicyContradicts { what: "trust domains" });
    }
    match found.by.slots == template.slots {
        true => Ok(found),
        false => Err(SessionError::PolicyContradicts { what: "slots" }),
    }
}

fn from_founding<'a>(
    answer: &'a AttestResp,
    bound: Digest,
    pinned: &Pinned<'_>,
    min_version: PolicyVersion,
) -> Result<Followed<'a>, SessionError> {
    let named = answer.genesis.template.policy;
    let steps: &[PolicyStep] = match answer.steps.split_first() {
        _ if bound == named => &[],
        None => return Err(SessionError::OtherPolicy { got: bound, named }),
        Some((first, steps)) => {
            let changes = answer.steps.len();
            let founding = first.as_founding().ok_or(SessionError::FoundingPolicyMissing { changes })?;
            let got = Digest(founding.digest());
            if got != named {
                return Err(SessionError::OtherPolicy { got, named });
            }
            leads_to(bound, &founding, steps, pinned)?;
            steps
        }
    };
    let (got, required) = (answer.policy.version, min_version);
    match got >= required {
        true => Ok(Followed { by: Cow::Borrowed(&answer.policy), bound, steps: steps.to_vec() }),
        false => Err(SessionError::PolicyTooOld { got, required }),
    }
}

fn from_held<'a>(
    answer: &'a AttestResp,
    bound: Digest,
    pinned: &Pinned<'_>,
    held: &'a PolicyDoc,
    (role, earlier): (Role, &[Digest]),
) -> Result<Followed<'a>, SessionError> {
    let holds = Digest(held.digest());
    if bound == holds {
        return Ok(Followed { by: Cow::Borrowed(held), bound, steps: Vec::new() });
    }
    // What stands before the policy that is held is nothing this side has to believe.
    if let Some(at) = answer.steps.iter().position(|step| step.signed.replaces == Some(holds)) {
        let steps = answer.steps.get(at..).unwrap_or_default();
        leads_to(bound, held, steps, pinned)?;
        return Ok(Followed { by: Cow::Borrowed(&answer.policy), bound, steps: steps.to_vec() });
    }
    if role != Role::ClientServer && earlier.contains(&bound) {
        return Ok(Followed { by: Cow::Borrowed(held), bound, steps: Vec::new() });
    }
    let (got, required) = (answer.policy.version, held.version);
    match got < required {
        true => Err(SessionError::PolicyTooOld { got, required }),
        false => Err(SessionError::PolicyUnrelated { got: bound, held: holds }),
    }
}

/// The steps hold, and lead to the policy the answer is bound to.
fn leads_to(bound: Digest, from: &PolicyDoc, steps: &[PolicyStep], pinned: &Pinned<'_>) -> Result<(), SessionError> {
    let verified = verify_steps(&pinned.cluster_id, from, steps).map_err(SessionError::Steps)?;
    let lead = Digest(verified.policy().digest());
    match lead == bound {
        true => Ok(()),
        false => Err(SessionError::StepsLeadElsewhere { lead, got: bound }),
    }
}
