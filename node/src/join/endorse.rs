//! A voter's own verdict over a joiner, and a learner's proof that it holds the same state.
//!
//! Decides: a voter endorses only what its log proposes: the forwarded evidence hashes to the proposal's digest, was asked with the nonce
//! the proposal opens, satisfies this node's own roots, clock and policy, and says what the proposed certificate says.
//! Trusts: the leader for nothing but carrying bytes. Out of scope: counting verdicts (`consensus`). Protocol section 4, step 3.

use crate::attesting::{Wanted, judge};
use crate::context::Node;
use crate::peers::handshake::refusal;
use ringwall_attest::AppraisedPeer;
use ringwall_wire::admission::{AdmitPropose, CatchUpProof, Endorse, IncarnationCert};
use ringwall_wire::codec::{Field, Message, enc, enc_digest};
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{ClusterId, Digest, Incarnation, Nonce, SigPublic, Signature};
use ringwall_wire::label::Label;
use ringwall_wire::peer::{EndorseCall, PeerAnswer};
use ringwall_wire::session::{AttestResp, RefusalCode};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Longest wait until the proposal, or the index of a proof, is applied here.
const APPLY_WAIT: Duration = Duration::from_secs(3);

/// A certificate says something else than the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate's {field} is not what was attested")]
pub(crate) struct CertMismatch {
    /// Which field.
    pub(crate) field: &'static str,
}

/// Whether the certificate says exactly what was attested. Addresses are hints and are not attested.
pub(crate) fn agrees(cert: &IncarnationCert, peer: &AppraisedPeer) -> Result<(), CertMismatch> {
    let judged = peer.appraised();
    let fields = [
        ("slot", cert.slot == peer.boot_config().slot),
        ("keys", cert.keys == *peer.keys()),
        ("vendor", cert.vendor == judged.vendor()),
        ("chip", cert.chip == judged.chip()),
        ("measurement", &*cert.measurement == judged.measurement()),
        ("boot configuration", cert.boot_config == peer.boot_config().host_data()),
    ];
    match fields.iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(CertMismatch { field }),
        None => Ok(()),
    }
}

/// What a joiner is asked with: opened by the proposal, so that the log shows which question the evidence answers.
pub(crate) fn join_nonce(opening: &Nonce) -> Nonce {
    Nonce(enc_digest(Label::JoinNonce, &[&opening.0]))
}

/// SHA-256 of an encoded attestation answer.
pub(crate) fn evidence_digest(evidence: &[u8]) -> Digest {
    Digest(Sha256::digest(evidence).into())
}

/// What a verdict signs.
fn endorse_words(cluster_id: &ClusterId, admit_index: u64, propose: &AdmitPropose, accepts: bool) -> Vec<u8> {
    let fields: [&[u8]; 5] = [&cluster_id.0, &admit_index.to_be_bytes(), &propose.cert.digest(), &propose.evidence.0, &[u8::from(accepts)]];
    enc(Label::EndorseSigned, &fields)
}

/// What a catch-up proof signs.
fn catch_up_words(cluster_id: &ClusterId, incarnation: Incarnation, applied_index: u64, state_digest: &Digest) -> Vec<u8> {
    let fields: [&[u8]; 4] = [&cluster_id.0, &incarnation.to_bytes(), &applied_index.to_be_bytes(), &state_digest.0];
    enc(Label::CatchUpSigned, &fields)
}

fn signed(key: &SigPublic, words: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    ed25519_dalek::VerifyingKey::from_bytes(&key.0).is_ok_and(|key| key.verify_strict(words, &signature).is_ok())
}

/// Whether a verdict is the word of the voter with this key about this proposal.
pub(crate) fn verify_endorse(endorse: &Endorse, cluster_id: &ClusterId, propose: &AdmitPropose, key: &SigPublic) -> bool {
    signed(key, &endorse_words(cluster_id, endorse.admit_index, propose, endorse.accepts), &endorse.signature)
}

/// Whether a proof is the word of the learner with this key.
pub(crate) fn verify_catch_up(proof: &CatchUpProof, cluster_id: &ClusterId, key: &SigPublic) -> bool {
    signed(key, &catch_up_words(cluster_id, proof.incarnation, proof.applied_index, &proof.state_digest), &proof.signature)
}

/// This node's signed verdict.
pub(crate) fn endorse(node: &Node, admit_index: u64, propose: &AdmitPropose, accepts: bool) -> Endorse {
    let words = endorse_words(&node.site.cluster_id, admit_index, propose, accepts);
    Endorse { admit_index, by: node.incarnation, accepts, signature: node.secrets.sign(&words) }
}

/// Answers a leader that asks for a second opinion.
pub(crate) async fn answer(node: &Arc<Node>, call: EndorseCall) -> PeerAnswer {
    let applied = tokio::time::timeout(APPLY_WAIT, node.replica.wait_applied(call.admit_index)).await;
    let proposal = node.replica.view().ok().and_then(|view| view.proposal(call.admit_index));
    let (Ok(Ok(())), Some(proposal)) = (applied, proposal) else {
        return PeerAnswer::Refused(refusal(RefusalCode::Unavailable, "the proposal is not applied here; ask again"));
    };
    let accepts = match second_opinion(node, &call, &proposal.propose).await {
        Ok(()) => true,
        Err(fault) => {
            warn!(admit_index = call.admit_index, slot = %proposal.propose.cert.slot, %fault, "a joiner is not endorsed");
            false
        }
    };
    info!(admit_index = call.admit_index, slot = %proposal.propose.cert.slot, accepts, "a joiner was judged for the leader");
    PeerAnswer::Endorsed(endorse(node, call.admit_index, &proposal.propose, accepts))
}

/// Why a voter does not endorse.
#[derive(Debug, thiserror::Error)]
enum NotEndorsed {
    #[error("the evidence is not the proposed one")]
    OtherEvidence,
    #[error("the nonce is not the one the proposal opens")]
    OtherNonce,
    #[error("the evidence cannot be read: {0}")]
    Malformed(#[from] ringwall_wire::codec::DecodeError),
    #[error("the evidence is refused: {0}")]
    Evidence(#[from] ringwall_attest::SessionError),
    #[error(transparent)]
    Cert(#[from] CertMismatch),
}

async fn second_opinion(node: &Arc<Node>, call: &EndorseCall, propose: &AdmitPropose) -> Result<(), NotEndorsed> {
    if evidence_digest(&call.evidence) != propose.evidence {
        return Err(NotEndorsed::OtherEvidence);
    }
    if call.nonce != join_nonce(&propose.nonce) {
        return Err(NotEndorsed::OtherNonce);
    }
    let evidence = AttestResp::decode(&call.evidence)?;
    let wanted = Wanted { role: Role::JoinInit, handshake: call.handshake, nonce: call.nonce, noise: propose.cert.keys.noise };
    let peer = judge(&node.site, evidence, wanted).await?;
    Ok(agrees(&propose.cert, &peer)?)
}

/// Shows that the state here is the one every replica has at `index`.
pub(crate) async fn caught_up(node: &Arc<Node>, index: u64) -> PeerAnswer {
    let applied = tokio::time::timeout(APPLY_WAIT, node.replica.wait_applied(index)).await;
    let digest = match applied {
        Ok(Ok(())) => node.replica.state_digest_at(index).await.ok().flatten(),
        _ => None,
    };
    let Some(state_digest) = digest else {
        return PeerAnswer::Refused(refusal(RefusalCode::Unavailable, "that index is not applied here, or its state is not remembered"));
    };
    let words = catch_up_words(&node.site.cluster_id, node.incarnation, index, &state_digest);
    let signature = node.secrets.sign(&words);
    PeerAnswer::CatchUp(CatchUpProof { incarnation: node.incarnation, applied_index: index, state_digest, signature })
}
