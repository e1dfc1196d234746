//! Judging a dealing: was it dealt inside a genuine node of the pinned cluster, to custodians that were named, and is my share in it?
//!
//! Decides: the order. First the dealer's evidence, bound to the hash of the manifest; then that the manifest is that dealer's word; then that it
//! says what the founding record says of custodians, or an order that replaced it. Only then is the envelope opened and its share compared with its commitment.
//! Trusts: the pinned cluster card, the roots of trust, this machine's clock. Whether the dealing becomes the active one the cluster decides.
//! Out of scope: keeping and acknowledging (`ceremony.rs`). Protocol section 6.1.

use super::orders::as_named;
use crate::Exchange;
use crate::Verification;
use crate::card::newest_policy;
use ed25519_dalek::VerifyingKey;
use ringwall_attest::{Anchors, AppraisedPeer, SessionError, Trace};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::custody::{CustodiansOrder, CustodyManifest, SignedManifest};
use ringwall_wire::evidence::Role;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{ClusterId, Digest, Nonce, SigPublic, Signature};
use ringwall_wire::known::KnownPolicy;
use std::sync::Arc;

/// What whoever judges holds.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// The cluster.
    pub card: &'a ClusterCard,
    /// Roots of trust.
    pub anchors: &'a Anchors,
    /// As of when, Unix seconds.
    pub now_s: u64,
}

/// A refusal of evidence, with what was established before it.
#[derive(Clone, Debug)]
pub struct EvidenceRefused {
    /// Why.
    pub error: Arc<SessionError>,
    /// What was established.
    pub trace: Trace,
    /// As of when it was judged.
    pub at_s: u64,
}

/// Why a dealing is not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum DealingError {
    /// It is of another cluster.
    #[error("it was dealt in cluster {got}, pinned is {pinned}; look which card was given")]
    OtherCluster { got: ClusterId, pinned: ClusterId },
    /// The dealer's evidence cannot be read.
    #[error("the dealer's evidence cannot be read: {0}; pull again from another node")]
    Exchange(DecodeError),
    /// The dealer's evidence is refused.
    #[error("the dealer's evidence is refused: {}. What to do: {}", .0.error, .0.error.advice())]
    Evidence(EvidenceRefused),
    /// The manifest is not that dealer's.
    #[error("the manifest is not the word of the node whose evidence came with it: another {what}; pull again from another node")]
    NotDealer { what: &'static str },
    /// The signature does not verify.
    #[error("the dealer's signature does not verify over this manifest: it was changed; pull again from another node")]
    Signature,
    /// It was dealt under another policy.
    #[error("it was dealt under another policy than the node's evidence names; pull again from another node")]
    OtherPolicy,
    /// The founding record names no custodians.
    #[error("the founding record of this cluster names no custodians: nothing can be dealt in it; look which card was given")]
    NoCustodians,
    /// It was dealt to others.
    #[error(
        "it was not dealt as the founding record, or an order of the governors that was given, says: {what}; do not acknowledge it, and ask the other custodians what they \
         were given. If the governors named other custodians, have their order and give it with --order"
    )]
    OtherCustodians { what: String },
}

impl DealingError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            DealingError::OtherCluster { .. } => "RW-C-OTHER-CLUSTER",
            DealingError::Exchange(_) => "RW-C-DEALING-MALFORMED",
            DealingError::Evidence(refused) => refused.code(),
            _ => "RW-C-DEALING-REFUSED",
        }
    }
}

impl EvidenceRefused {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self.error.finding() {
            ringwall_attest::Finding::Bad => "RW-C-EVIDENCE",
            ringwall_attest::Finding::CannotTell => "RW-C-CANNOT-TELL",
        }
    }
}

/// Evidence that was judged for words in place of a session.
#[derive(Debug)]
pub(crate) struct Vouched {
    pub(crate) peer: AppraisedPeer,
    pub(crate) verification: Verification,
    pub(crate) trace: Trace,
}

/// Judges evidence that is bound to `opening` and made for `role`.
pub(crate) fn vouched(judge: &Judge<'_>, bytes: &[u8], role: Role, opening: &(Digest, Nonce), place: &str) -> Result<Vouched, VouchError> {
    let cluster_id = judge.card.genesis.cluster_id();
    let exchange = Exchange::decode(bytes).map_err(VouchError::Malformed)?;
    let card = judge.card;
    let exchange = exchange.pinned_to(cluster_id, newest_policy(card).version).as_of(judge.now_s);
    // A dealing carries no more of the newest changes than an answer does; the card may lead to where they begin.
    let known = KnownPolicy { cluster_id, founding: card.policy.clone(), steps: card.steps.clone() };
    let exchange = exchange.held_against(&known);
    let mut trace = Trace::new();
    match exchange.judge_unasked(role, opening, judge.anchors, &mut trace) {
        Ok(peer) => Ok(Vouched { verification: Verification::of(&peer, place), peer, trace }),
        Err(error) => Err(VouchError::Refused(EvidenceRefused { error: Arc::new(error), trace, at_s: judge.now_s })),
    }
}

/// Why evidence vouches for nothing.
#[derive(Clone, Debug)]
pub(crate) enum VouchError {
    Malformed(DecodeError),
    Refused(EvidenceRefused),
}

/// Whether `key` signed `words`.
pub(crate) fn is_signed(key: &SigPublic, words: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    VerifyingKey::from_bytes(&key.0).and_then(|key| key.verify_strict(words, &signature)).is_ok()
}

/// A dealing that was judged. Nothing is said of the share yet.
#[derive(Debug)]
#[must_use = "a judged dealing is kept or acknowledged"]
pub struct JudgedDealing {
    manifest: CustodyManifest,
    verification: Verification,
    trace: Trace,
}

impl JudgedDealing {
    /// What was dealt.
    pub fn manifest(&self) -> &CustodyManifest {
        &self.manifest
    }

    /// Who dealt.
    pub fn dealer(&self) -> &Verification {
        &self.verification
    }

    /// Why it is believed.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// Judges a dealing by its dealer's evidence; `orders` of the governors may have named other custodians than the founding record.
pub fn judge_dealing(
    judge: &Judge<'_>,
    orders: &[CustodiansOrder],
    signed: &SignedManifest,
    exchange: &[u8],
) -> Result<JudgedDealing, DealingError> {
    let manifest = &signed.manifest;
    let pinned = judge.card.genesis.cluster_id();
    if manifest.cluster_id != pinned {
        return Err(DealingError::OtherCluster { got: manifest.cluster_id, pinned });
    }
    let vouched = vouched(judge, exchange, Role::Dealing, &manifest.opening(), "the dealer").map_err(|fault| match fault {
        VouchError::Malformed(fault) => DealingError::Exchange(fault),
        VouchError::Refused(refused) => DealingError::Evidence(refused),
    })?;
    let peer = &vouched.peer;
    let facts = [
        ("incarnation", peer.incarnation() == manifest.dealer),
        ("key", peer.keys().sig == manifest.dealer_sig),
        ("epoch", peer.epoch() == manifest.epoch),
    ];
    if let Some((what, _)) = facts.into_iter().find(|(_, same)| !same) {
        return Err(DealingError::NotDealer { what });
    }
    if !is_signed(&manifest.dealer_sig, &manifest.words(), &signed.signature) {
        return Err(DealingError::Signature);
    }
    if Digest(peer.policy().digest()) != manifest.policy || peer.policy().version != manifest.policy_version {
        return Err(DealingError::OtherPolicy);
    }
    as_named(judge.card, orders, manifest)?;
    Ok(JudgedDealing { manifest: manifest.clone(), verification: vouched.verification, trace: vouched.trace })
}
