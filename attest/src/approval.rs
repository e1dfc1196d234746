//! Whether the governors approved a policy, an order to replace a node, or one about a workload key.
//!
//! Decides: an approval counts when a distinct governor of the policy in force signed exactly this step (the old policy's hash and the new
//! policy's bytes) or exactly this order, strictly by Ed25519; enough of them make an [`ApprovedPolicy`] or an [`ApprovedOrder`]. One bad or
//! foreign signature refuses the whole message, so that nothing travels in it that nobody vouched for, and in a policy so does a repeated one.
//! Versions rise, by no more than `POLICY_VERSION_JUMP` at once; the trust domain stays.
//! Trusts: the policy in force, or the keys it is given for a first policy. Out of scope: whether the change is wise, its delay, the
//! cluster that would apply it; whether an order's slot and incumbent are those of now (`consensus`). Protocol sections 4.3 and 8.

use alloc::vec::Vec;
use ed25519_dalek::{Signature, VerifyingKey};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::ids::{ClusterId, Digest, PolicyVersion, SigPublic, TrustDomain};
use ringwall_wire::limits::POLICY_VERSION_JUMP;
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::without::{Defence, left_out};
use ringwall_wire::workload::{GrantOrder, GrantPolicy, SetFault, is_name};

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

/// Why signatures are not those of enough governors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum GovernorsError {
    /// Nobody is needed, so nothing can be shown.
    #[error("the threshold is 0, which no signature at all would meet: nothing is approved under it; give at least 1")]
    NoThreshold,
    /// There are not as many governors.
    #[error("{threshold} governors must sign and there are {governors}: under such a policy nothing can ever be approved")]
    Unreachable { threshold: u8, governors: usize },
    /// Somebody signed who may not.
    #[error("key {key} signed and is none of the governors: sign again without it")]
    Stranger { key: SigPublic },
    /// A signature does not verify.
    #[error("the signature of governor {key} does not verify over this: it signed something else, or the file was changed")]
    BadSignature { key: SigPublic },
    /// Too few signed.
    #[error("{approved} of the governors signed, {threshold} must: ask more of them")]
    TooFew { approved: usize, threshold: u8 },
}

impl GovernorsError {
    /// The same, as replicas and joiners are told.
    pub fn order_fault(&self) -> OrderFault {
        match self {
            GovernorsError::NoThreshold | GovernorsError::Unreachable { .. } => OrderFault::NoGovernors,
            GovernorsError::Stranger { .. } => OrderFault::Stranger,
            GovernorsError::BadSignature { .. } => OrderFault::BadSignature,
            GovernorsError::TooFew { .. } => OrderFault::TooFew,
        }
    }
}

/// Why a policy is not approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum ApprovalError {
    /// The signatures.
    #[error(transparent)]
    Governors(#[from] GovernorsError),
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
    /// The version rises too far.
    #[error(
        "policy version {offered} is more than {most} above {in_force}: no change may use up the versions of later ones; take the next one"
    )]
    VersionJump { offered: PolicyVersion, in_force: PolicyVersion, most: u64 },
    /// A governor's signature is there twice.
    #[error("the signature of a governor stands there twice ({signatures} signatures of {governors} governors): leave the second one out")]
    SignedTwice { signatures: usize, governors: usize },
    /// The trust domain is the cluster's for ever.
    #[error("the policy is for trust domain {offered:?}, in force is {in_force:?}: that is another cluster")]
    OtherTrustDomain { offered: TrustDomain, in_force: TrustDomain },
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
    let governors = Governors::new(keys, threshold)?;
    let policy = step(signed, in_force)?;
    let approvers = governors.approvers(&signed.signed_words(), &signed.signatures)?;
    // The chain of changes is kept for ever, so nothing is in it that says nothing.
    match (signed.signatures.len(), approvers.len()) {
        (signatures, governors) if signatures != governors => Err(ApprovalError::SignedTwice { signatures, governors }),
        _ => Ok(ApprovedPolicy { policy, approvers }),
    }
}

/// An order enough governors signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an approval nobody uses approves nothing"]
pub struct ApprovedOrder {
    order: ReplaceOrder,
    approvers: Vec<SigPublic>,
}

impl ApprovedOrder {
    /// The order.
    pub fn order(&self) -> &ReplaceOrder {
        &self.order
    }

    /// The governors who signed, each once, in ascending order.
    pub fn approvers(&self) -> &[SigPublic] {
        &self.approvers
    }
}

/// Verifies that enough of these governors signed an order. A function of its arguments alone. At most 32 signatures are verified, about
/// 50 µs each.
pub fn verify_order(order: &ReplaceOrder, governance: &Governance) -> Result<ApprovedOrder, GovernorsError> {
    let governors = Governors::new(&governance.keys, governance.threshold)?;
    let approvers = governors.approvers(&order.signed_words(), &order.signatures)?;
    Ok(ApprovedOrder { order: order.clone(), approvers })
}

/// Verifies that enough of these governors signed these words, whatever they order, and gives who signed, each once, in ascending order. The words
/// name their label and their cluster, so a signature is good for one kind of order in one cluster.
pub fn verify_words(words: &[u8], signatures: &[Approval], governance: &Governance) -> Result<Vec<SigPublic>, GovernorsError> {
    Governors::new(&governance.keys, governance.threshold)?.approvers(words, signatures)
}

/// A grant policy enough governors signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an approval nobody uses approves nothing"]
pub struct ApprovedGrant {
    policy: GrantPolicy,
    approvers: Vec<SigPublic>,
}

impl ApprovedGrant {
    /// The grant policy.
    pub fn policy(&self) -> &GrantPolicy {
        &self.policy
    }

    /// The governors who signed, each once, in ascending order.
    pub fn approvers(&self) -> &[SigPublic] {
        &self.approvers
    }
}

/// Verifies that enough of the governors of `cluster_id` signed an order about a workload key. A function of its arguments alone; whether it
/// follows the grant policy in force only the cluster can say.
pub fn verify_grant_order(order: &GrantOrder, cluster_id: &ClusterId, governance: &Governance) -> Result<ApprovedGrant, SetFault> {
    if order.cluster_id != *cluster_id {
        return Err(SetFault::Order(OrderFault::OtherCluster));
    }
    let approvers = verify_words(&order.signed_words(), &order.signatures, governance);
    let approvers = approvers.map_err(|fault| SetFault::Order(fault.order_fault()))?;
    match GrantPolicy::decode(&order.policy) {
        Ok(policy) if is_name(&policy.name) => Ok(ApprovedGrant { policy, approvers }),
        _ => Err(SetFault::Malformed),
    }
}

/// Whether one governor signed these words: to read what governors alone may read.
pub fn is_governor(words: &[u8], approval: &Approval, governance: &Governance) -> bool {
    let one = Governors::new(&governance.keys, 1);
    one.is_ok_and(|governors| governors.approvers(words, core::slice::from_ref(approval)).is_ok())
}

/// Whether these governors can ever approve anything: enough distinct keys that can sign.
pub(crate) fn can_approve(governance: &Governance) -> Result<(), GovernorsError> {
    let usable = |key: &&SigPublic| VerifyingKey::from_bytes(&key.0).is_ok_and(|key| !key.is_weak());
    let keys: Vec<SigPublic> = governance.keys.iter().filter(usable).copied().collect();
    Governors::new(&keys, governance.threshold).map(|_| ())
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
    if policy.version.0.saturating_sub(in_force.version.0) > POLICY_VERSION_JUMP {
        return Err(ApprovalError::VersionJump { offered: policy.version, in_force: in_force.version, most: POLICY_VERSION_JUMP });
    }
    match policy.trust_domain == in_force.trust_domain {
        true => Ok(policy),
        false => Err(ApprovalError::OtherTrustDomain { offered: policy.trust_domain, in_force: in_force.trust_domain }),
    }
}

/// Those whose signatures count, each once, and how many it takes.
struct Governors {
    keys: Vec<SigPublic>,
    threshold: u8,
}

impl Governors {
    fn new(keys: &[SigPublic], threshold: u8) -> Result<Self, GovernorsError> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        if threshold == 0 {
            return Err(GovernorsError::NoThreshold);
        }
        if usize::from(threshold) > keys.len() {
            return Err(GovernorsError::Unreachable { threshold, governors: keys.len() });
        }
        Ok(Governors { keys, threshold })
    }

    /// Who signed these words, when enough did and nobody else.
    fn approvers(&self, words: &[u8], approvals: &[Approval]) -> Result<Vec<SigPublic>, GovernorsError> {
        let mut approvers = Vec::new();
        for Approval { key, signature } in approvals.iter().copied() {
            if !self.keys.contains(&key) {
                return Err(GovernorsError::Stranger { key });
            }
            let signature = Signature::from_bytes(&signature.0);
            let verified = VerifyingKey::from_bytes(&key.0).and_then(|key| key.verify_strict(words, &signature));
            verified.map_err(|_| GovernorsError::BadSignature { key })?;
            approvers.push(key);
        }
        approvers.sort_unstable();
        approvers.dedup();
        match approvers.len() >= usize::from(self.threshold) || left_out(Defence::ApprovalThreshold) {
            true => Ok(approvers),
            false => Err(GovernorsError::TooFew { approved: approvers.len(), threshold: self.threshold }),
        }
    }
}
