//! Whether the governors approved a policy.
//!
//! Decides: an approval counts when a distinct governor of the policy in force signed exactly this step (the old policy's hash and the new
//! policy's bytes), strictly by Ed25519; enough of them make an [`ApprovedPolicy`]. One bad or foreign signature refuses the whole message,
//! so that nothing travels in it that nobody vouched for. Versions rise, the trust domain stays.
//! Trusts: the policy in force, or the keys it is given for a first policy. Out of scope: whether the change is wise, its delay, and the
//! cluster that would apply it. Protocol section 8.

use alloc::vec::Vec;
use ed25519_dalek::{Signature, VerifyingKey};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::ids::{Digest, PolicyVersion, SigPublic, TrustDomain};
use ringwall_wire::policy::{PolicyDoc, SignedPolicy};
use ringwall_wire::without::{Defence, left_out};

/// Who may approve.
#[derive(Clone, Copy, Debug)]
pub enum Authority<'a> {
    /// A first policy, which replaces none: its verifier knows the governors by other means.
    First {
        /// Their keys.
        keys: &'a [SigPublic],
        /// How many of them must have signed.
        threshold: u8,
    },
    /// A change of this policy, by the governors it names itself.
    Change(&'a PolicyDoc),
}

/// Why a policy is not approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum ApprovalError {
    /// Nobody is needed, so nothing can be shown.
    #[error("the threshold is 0, which no signature at all would meet: nothing is approved under it; give at least 1")]
    NoThreshold,
    /// There are not as many governors.
    #[error("{threshold} governors must sign and there are {governors}: such a policy can never be changed")]
    Unreachable { threshold: u8, governors: usize },
    /// The approval is for another step.
    #[error(
        "it was signed to replace {}, in force is {}: sign the policy again for the one in force",
        named(.signed_for), named(.in_force)
    )]
    OtherStep { signed_for: Option<Digest>, in_force: Option<Digest> },
    /// What was signed is no policy.
    #[error("what was signed is no policy document: {0}; sign the canonical bytes of one")]
    NoPolicy(DecodeError),
    /// The version does not rise.
    #[error("policy version {offered} does not follow {in_force}: versions only rise, so that an old policy cannot come back")]
    VersionNotHigher { offered: PolicyVersion, in_force: PolicyVersion },
    /// The trust domain is the cluster's for ever.
    #[error("the policy is for trust domain {offered:?}, in force is {in_force:?}: that is another cluster")]
    OtherTrustDomain { offered: TrustDomain, in_force: TrustDomain },
    /// Somebody signed who may not.
    #[error("key {key} signed and is none of the governors: sign again without it")]
    Stranger { key: SigPublic },
    /// A signature does not verify.
    #[error("the signature of governor {key} does not verify over this policy: it signed something else, or the file was changed")]
    BadSignature { key: SigPublic },
    /// Too few signed.
    #[error("{approved} of the governors signed, {threshold} must: ask more of them")]
    TooFew { approved: usize, threshold: u8 },
}

fn named(policy: &Option<Digest>) -> alloc::string::String {
    policy.map_or_else(|| "no policy (a first one)".into(), |digest| alloc::format!("policy {digest}"))
}

/// A policy enough governors approved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an approval nobody uses approves nothing"]
pub struct ApprovedPolicy {
    policy: PolicyDoc,
    approvers: Vec<SigPublic>,
}

impl ApprovedPolicy {
    /// The document.
    pub fn policy(&self) -> &PolicyDoc {
        &self.policy
    }

    /// The governors who signed, each once, in ascending order.
    pub fn approvers(&self) -> &[SigPublic] {
        &self.approvers
    }
}

/// Verifies the approval of a policy. At most 32 signatures are verified, about 50 µs each.
pub fn verify_approval(signed: &SignedPolicy, authority: Authority<'_>) -> Result<ApprovedPolicy, ApprovalError> {
    let (keys, threshold, in_force) = match authority {
        Authority::First { keys, threshold } => (keys, threshold, None),
        Authority::Change(policy) => (&*policy.governance.keys, policy.governance.threshold, Some(policy)),
    };
    let mut governors = keys.to_vec();
    governors.sort_unstable();
    governors.dedup();
    if threshold == 0 {
        return Err(ApprovalError::NoThreshold);
    }
    if usize::from(threshold) > governors.len() {
        return Err(ApprovalError::Unreachable { threshold, governors: governors.len() });
    }
    let policy = step(signed, in_force)?;
    let approvers = approvers(signed, &governors)?;
    match approvers.len() >= usize::from(threshold) || left_out(Defence::ApprovalThreshold) {
        true => Ok(ApprovedPolicy { policy, approvers }),
        false => Err(ApprovalError::TooFew { approved: approvers.len(), threshold }),
    }
}

/// The signed document, when it may follow the one in force.
fn step(signed: &SignedPolicy, in_force: Option<&PolicyDoc>) -> Result<PolicyDoc, ApprovalError> {
    let digest = in_force.map(|policy| Digest(policy.digest()));
    if signed.replaces != digest {
        return Err(ApprovalError::OtherStep { signed_for: signed.replaces, in_force: digest });
    }
    let policy = PolicyDoc::decode(&signed.policy).map_err(ApprovalError::NoPolicy)?;
    let Some(in_force) = in_force else { return Ok(policy) };
    if policy.version <= in_force.version {
        return Err(ApprovalError::VersionNotHigher { offered: policy.version, in_force: in_force.version });
    }
    match policy.trust_domain == in_force.trust_domain {
        true => Ok(policy),
        false => Err(ApprovalError::OtherTrustDomain { offered: policy.trust_domain, in_force: in_force.trust_domain }),
    }
}

fn approvers(signed: &SignedPolicy, governors: &[SigPublic]) -> Result<Vec<SigPublic>, ApprovalError> {
    let words = signed.signed_words();
    let mut approvers = Vec::new();
    for approval in signed.signatures.iter() {
        let key = approval.key;
        if !governors.contains(&key) {
            return Err(ApprovalError::Stranger { key });
        }
        let signature = Signature::from_bytes(&approval.signature.0);
        let verified = VerifyingKey::from_bytes(&key.0).and_then(|key| key.verify_strict(&words, &signature));
        verified.map_err(|_| ApprovalError::BadSignature { key })?;
        approvers.push(key);
    }
    approvers.sort_unstable();
    approvers.dedup();
    Ok(approvers)
}
