//! A voter's own verdict over a joiner, and a learner's proof that it holds the same state.
//!
//! Decides: a voter endorses only what its log proposes: the forwarded evidence hashes to the proposal's digest, was asked with the nonce
//! the proposal opens, satisfies this node's own roots, clock and policy, and says what the proposed certificate says.
//! Trusts: the leader for nothing but carrying bytes. Out of scope: counting verdicts (`consensus`). Protocol section 4, step 3.

use crate::attesting::{Wanted, judge};
use crate::context::{Node, Site};
use crate::governance;
use crate::peers::handshake::refusal;
use ringwall_attest::AppraisedPeer;
use ringwall_channel::NodeSecrets;
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
pub struct CertMismatch {
    /// Which field.
    pub field: &'static str,
}

/// Whether the certificate says exactly what was attested. Addresses are hints and are not attested.
pub fn agrees(cert: &IncarnationCert, peer: &AppraisedPeer) -> Result<(), CertMismatch> {
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
pub fn join_nonce(opening: &Nonce) -> Nonce {
    Nonce(enc_digest(Label::JoinNonce, &[&opening.0]))
}

/// SHA-256 of an encoded attestation answer.
pub fn evidence_digest(evidence: &[u8]) -> Digest {
    Digest(Sha256::digest(evidence).into())
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
pub fn verify_endorse(endorse: &Endorse, cluster_id: &ClusterId, propose: &AdmitPropose, key: &SigPublic) -> bool {
    signed(key, &Endorse::signed_bytes(cluster_id, endorse.admit_index, propose, endorse.accepts), &endorse.signature)
}

/// A learner's signed word that it holds this state.
pub fn prove_catch_up(
    secrets: &NodeSecrets,
    cluster_id: &ClusterId,
    incarnation: Incarnation,
    applied_index: u64,
    state_digest: Digest,
) -> CatchUpProof {
    let signature = secrets.sign(&catch_up_words(cluster_id, incarnation, applied_index, &state_digest));
    CatchUpProof { incarnation, applied_index, state_digest, signature }
}

/// Whether a proof is the word of the learner with this key.
pub fn verify_catch_up(proof: &CatchUpProof, cluster_id: &ClusterId, key: &SigPublic) -> bool {
    signed(key, &catch_up_words(cluster_id, proof.incarnation, proof.applied_index, &proof.state_digest), &proof.signature)
}

/// This node's signed verdict.
pub(crate) fn endorse(node: &Node, admit_index: u64, propose: &AdmitPropose, accepts: bool) -> Endorse {
    let words = Endorse::signed_bytes(&node.site.cluster_id, admit_index, propose, accepts);
    Endorse { admit_index, by: node.incarnation, accepts, signature: node.secrets.sign(&words) }
}

/// Answers a leader that asks for a second opinion.
pub(crate) async fn answer(node: &Arc<Node>, call: EndorseCall) -> PeerAnswer {
    let applied = tokio::time::timeout(APPLY_WAIT, node.replica.wait_applied(call.admit_index)).await;
    let proposal = node.replica.view().ok().and_then(|view| view.proposal(call.admit_index));
    let (Ok(Ok(())), Some(proposal)) = (applied, proposal) else {
        return PeerAnswer::Refused(refusal(RefusalCode::Unavailable, "the proposal is not applied here; ask again"));
    };
    // What was in force when it was proposed is what this node judges by, at least.
    governance::catch_up(node).await;
    let accepts = match second_opinion(&node.site, &call, &proposal.propose).await {
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

async fn second_opinion(site: &Arc<Site>, call: &EndorseCall, propose: &AdmitPropose) -> Result<(), NotEndorsed> {
    if evidence_digest(&call.evidence) != propose.evidence {
        return Err(NotEndorsed::OtherEvidence);
    }
    if call.nonce != join_nonce(&propose.nonce) {
        return Err(NotEndorsed::OtherNonce);
    }
    let evidence = AttestResp::decode(&call.evidence)?;
    let wanted = Wanted { role: Role::JoinInit, handshake: call.handshake, nonce: call.nonce, noise: propose.cert.keys.noise };
    let peer = judge(site, evidence, wanted).await?;
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
    PeerAnswer::CatchUp(prove_catch_up(&node.secrets, &node.site.cluster_id, node.incarnation, index, state_digest))
}

#[cfg(test)]
#[path = "../../tests/place/mod.rs"]
pub(crate) mod place;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::attesting::{self, Claim};
    use crate::join::joiner::{OwnEvidence, cert};
    use ringwall_sim::Lie;
    use ringwall_wire::bounded::Text;
    use ringwall_wire::ids::Slot;
    use ringwall_wire::sample::{Sample, Source};

    fn secrets(site: &Site) -> NodeSecrets {
        NodeSecrets::generate(&mut *(site.entropy)())
    }

    #[test]
    fn a_verdict_counts_for_its_voter_its_proposal_and_its_word_alone() {
        let entropy = crate::entropy::system().unwrap();
        let (voter, other) = (NodeSecrets::generate(&mut *entropy()), NodeSecrets::generate(&mut *entropy()));
        let mut source = Source::new(21);
        let cluster = ClusterId::sample(&mut source);
        let propose = AdmitPropose::sample(&mut source);
        let signature = voter.sign(&Endorse::signed_bytes(&cluster, 9, &propose, true));
        let verdict = Endorse { admit_index: 9, by: Incarnation(1), accepts: true, signature };
        let key = voter.public().sig;
        assert!(verify_endorse(&verdict, &cluster, &propose, &key));
        assert!(!verify_endorse(&verdict, &cluster, &propose, &other.public().sig));
        assert!(!verify_endorse(&verdict, &ClusterId::sample(&mut source), &propose, &key));
        assert!(!verify_endorse(&Endorse { admit_index: 10, ..verdict.clone() }, &cluster, &propose, &key));
        assert!(!verify_endorse(&Endorse { accepts: false, ..verdict.clone() }, &cluster, &propose, &key));
        let mut changed = propose.clone();
        changed.evidence = Digest::sample(&mut source);
        assert!(!verify_endorse(&verdict, &cluster, &changed, &key));
        let mut changed = propose;
        changed.cert.slot = Slot(changed.cert.slot.0 ^ 1);
        assert!(!verify_endorse(&verdict, &cluster, &changed, &key));
    }

    #[test]
    fn a_catch_up_proof_counts_for_its_learner_index_and_state_alone() {
        let entropy = crate::entropy::system().unwrap();
        let learner = NodeSecrets::generate(&mut *entropy());
        let mut source = Source::new(22);
        let (cluster, state_digest) = (ClusterId::sample(&mut source), Digest::sample(&mut source));
        let signature = learner.sign(&catch_up_words(&cluster, Incarnation(5), 77, &state_digest));
        let proof = CatchUpProof { incarnation: Incarnation(5), applied_index: 77, state_digest, signature };
        let key = learner.public().sig;
        assert!(verify_catch_up(&proof, &cluster, &key));
        assert!(!verify_catch_up(&proof, &ClusterId::sample(&mut source), &key));
        for changed in [
            CatchUpProof { incarnation: Incarnation(6), ..proof.clone() },
            CatchUpProof { applied_index: 78, ..proof.clone() },
            CatchUpProof { state_digest: Digest::sample(&mut source), ..proof.clone() },
        ] {
            assert!(!verify_catch_up(&changed, &cluster, &key));
        }
    }

    /// What a leader would propose of a joiner on this machine, and the call to another voter.
    async fn proposed(joiner: &Arc<Site>) -> (EndorseCall, AdmitPropose) {
        let keys = secrets(joiner);
        let opening = crate::entropy::nonce(&joiner.entropy);
        let (handshake, nonce) = (Digest([3; 32]), join_nonce(&opening));
        let claim = Claim { role: Role::JoinInit, incarnation: Incarnation(0), keys: keys.public().clone(), handshake, nonce };
        let evidence = attesting::answer(joiner, claim).await.unwrap();
        let wanted = Wanted { role: Role::JoinInit, handshake, nonce, noise: keys.public().noise };
        // A liar is proposed with what an honest leader would have seen of the honest machine.
        let own = match judge(joiner, evidence.clone(), wanted).await {
            Ok(peer) => OwnEvidence {
                vendor: peer.appraised().vendor(),
                chip: peer.appraised().chip(),
                measurement: Text::new(peer.appraised().measurement()).unwrap(),
            },
            Err(_) => OwnEvidence { vendor: joiner.attester.vendor(), chip: Digest([0; 32]), measurement: Text::default() },
        };
        let evidence = evidence.encode();
        let propose = AdmitPropose {
            cert: cert(joiner, &keys, &own),
            evidence: evidence_digest(&evidence),
            nonce: opening,
            replaces: Incarnation(0),
            order: None,
        };
        let evidence = ringwall_wire::admission::ForwardedEvidence::new(evidence).unwrap();
        (EndorseCall { admit_index: 4, handshake, nonce, evidence }, propose)
    }

    #[tokio::test]
    async fn a_voter_endorses_what_it_judged_itself_and_nothing_else() {
        let voter = place::site_of("tdx-1", 3, &[]);
        let joiner = place::site_of("genoa-1", 1, &[]);
        let (call, propose) = proposed(&joiner).await;
        second_opinion(&voter, &call, &propose).await.unwrap();

        let other_nonce = EndorseCall { nonce: Nonce([1; 32]), ..call.clone() };
        assert!(matches!(second_opinion(&voter, &other_nonce, &propose).await, Err(NotEndorsed::OtherNonce)));
        let other_handshake = EndorseCall { handshake: Digest([1; 32]), ..call.clone() };
        assert!(matches!(second_opinion(&voter, &other_handshake, &propose).await, Err(NotEndorsed::Evidence(_))));
        let (other, _) = proposed(&joiner).await;
        let other_evidence = EndorseCall { evidence: other.evidence, ..call.clone() };
        assert!(matches!(second_opinion(&voter, &other_evidence, &propose).await, Err(NotEndorsed::OtherEvidence)));

        let mut lied = propose.clone();
        lied.cert.slot = Slot(2);
        assert!(matches!(second_opinion(&voter, &call, &lied).await, Err(NotEndorsed::Cert(CertMismatch { field: "slot" }))));
        let mut lied = propose.clone();
        lied.cert.chip = Digest([8; 32]);
        assert!(matches!(second_opinion(&voter, &call, &lied).await, Err(NotEndorsed::Cert(CertMismatch { field: "chip" }))));
        let mut lied = propose.clone();
        lied.cert.keys.sig = secrets(&voter).public().sig;
        assert!(matches!(second_opinion(&voter, &call, &lied).await, Err(NotEndorsed::Cert(CertMismatch { field: "keys" }))));
        let mut lied = propose;
        lied.cert.measurement = Text::new("another build").unwrap();
        assert!(matches!(second_opinion(&voter, &call, &lied).await, Err(NotEndorsed::Cert(CertMismatch { field: "measurement" }))));
    }

    #[tokio::test]
    async fn a_voter_does_not_endorse_a_liar_whatever_the_leader_says() {
        let voter = place::site_of("genoa-1", 1, &[]);
        for (chip, lie) in [("turin-1", Lie::SnpDebug), ("tdx-1", Lie::Build), ("turin-1", Lie::ForeignRoot)] {
            let (call, propose) = proposed(&place::site_of(chip, 2, &[lie])).await;
            let opinion = second_opinion(&voter, &call, &propose).await;
            assert!(matches!(opinion, Err(NotEndorsed::Evidence(_))), "{lie:?}: {opinion:?}");
        }
    }
}
