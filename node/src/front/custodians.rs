//! Sessions of custodians: in the place of a user, and with none of a user's rights.
//!
//! Decides: who may speak as a custodian (whoever the terms in force or a dealing on record name, by a signature good on this session alone), and what
//! each question is answered; none of them reads or writes users' data. A proof is looked at here, with the dealing's own keys, before it is
//! put on record; its question was drawn for this session and is used once.
//! Trusts: nothing a custodian says; the record decides on acknowledgements and orders. Out of scope: recovery, which a member that serves has none of.
//! Protocol section 6.1.

use crate::clock;
use crate::context::Node;
use crate::custody::{asks, dealer};
use crate::drill;
use crate::front::Front;
use crate::front::limits::{CUSTODIAN_REQUESTS, CUSTODIAN_SESSION, LEAVING, PROOF_PAUSE_MS, REQUEST_STALL, STEP};
use crate::front::refusals::{awaiting_key, fenced, malformed, refusal, unavailable};
use crate::front::session::Ended;
use crate::web::caller::{Receiving, Sending};
use ringwall_channel::user::UserBinding;
use ringwall_channel::{Opener, Sealer};
use ringwall_consensus::{CustodyTerms, Held, View};
use ringwall_keys::custody::ProofKey;
use ringwall_keys::custody::proof::ProofError;
use ringwall_keys::ring::CustodyUse;
use ringwall_quic::{Sink as _, Source as _};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{Denial, Outcome};
use ringwall_wire::custodian::{
    CustodianAnswer, CustodianAuth, CustodianOp, CustodianReady, CustodianReply, CustodianRequest, CustodianStanding, CustodyStatus, Dealt,
};
use ringwall_wire::custody::{CustodyAsk, CustodyFault, ShareAck, ShareChallenge, ShareProof};
use ringwall_wire::drill::{DrillCall, DrillOp};
use ringwall_wire::ids::{ClusterId, CustodianId, CustodyEpoch, Digest, Nonce, SigPublic};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::Arc;
use tokio::time::{timeout, timeout_at};

/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 * 1024;

/// An open session of a custodian.
pub(crate) struct Custodian {
    pub(crate) who: CustodianId,
    pub(crate) handshake: Digest,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) send: Sending,
    pub(crate) recv: Receiving,
}

/// Whoever the record or the terms in force know by this name, and the key it signs with.
fn key_of(view: &View, terms: Option<&CustodyTerms>, who: &CustodianId) -> Option<SigPublic> {
    let named = terms.and_then(|terms| terms.custodians.iter().find(|custodian| custodian.id() == *who)).map(|custodian| custodian.sig);
    let custody = view.custody();
    let mut held = custody.waiting.iter().chain(&custody.active);
    named.or_else(|| held.find_map(|held| held.manifest().member(who)).map(|member| member.custodian.sig))
}

/// Takes a custodian's word for who it is, and says where the log stands.
pub(crate) fn admit(front: &Front, auth: &CustodianAuth, binding: &UserBinding<'_>) -> Result<(CustodianId, CustodianReady), Refusal> {
    let no = || {
        refusal(
            RefusalCode::NotAuthorized,
            "no custodian of this cluster, or the signature is not of this session; look which key you sign with",
        )
    };
    let node = front.node()?;
    let view = front.replica.view().map_err(|_| fenced())?;
    let terms = dealer::terms(&node, &view);
    let key = key_of(&view, terms.as_deref(), &auth.custodian).ok_or_else(no)?;
    if !is_signed(&key, &front.cluster_id, auth, binding) {
        tracing::info!(custodian = %auth.custodian, "a custodian was refused");
        return Err(no());
    }
    let head = Some(front.receipts.head_alone(&view));
    let recovered = front.published.told(&view).map_err(|_| fenced())?;
    Ok((auth.custodian, CustodianReady { epoch: front.epoch, head, recovered }))
}

fn is_signed(key: &SigPublic, cluster_id: &ClusterId, auth: &CustodianAuth, binding: &UserBinding<'_>) -> bool {
    let words = CustodianAuth::words(cluster_id, binding.handshake, binding.nonce, binding.incarnation, &auth.custodian);
    let signature = ed25519_dalek::Signature::from_bytes(&auth.signature.0);
    ed25519_dalek::VerifyingKey::from_bytes(&key.0).is_ok_and(|key| key.verify_strict(&words, &signature).is_ok())
}

/// Questions and answers, one at a time, until one side ends it or its time is up.
pub(crate) async fn converse(front: &Arc<Front>, mut open: Custodian) -> Ended {
    let by = clock::now() + CUSTODIAN_SESSION;
    let mut leaving = front.leaving.subscribe();
    let mut desk = Desk { front: front.clone(), who: open.who, handshake: open.handshake, challenge: None };
    for _ in 0..CUSTODIAN_REQUESTS {
        let message = tokio::select! {
            message = timeout_at(by, next_message(&mut open.opener, &mut open.recv)) => match message {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return Ended::Left,
                Ok(Err(ended)) => return ended,
                Err(_) => return Ended::TooSlow,
            },
            _ = leaving.wait_for(|leaving| *leaving) => return Ended::Refused { code: RefusalCode::ShuttingDown },
        };
        let (number, body, over) = match CustodianRequest::decode(&message) {
            Ok(request) => (request.number, desk.answer(request.op).await, false),
            Err(_) => (0, CustodianAnswer::Refused(malformed()), true),
        };
        let mut sealed = Vec::new();
        if let Err(fault) = open.sealer.seal(&CustodianReply { number, body }.encode(), &mut sealed) {
            return fault.into();
        }
        match timeout(STEP, open.send.put(&sealed)).await {
            Ok(Ok(())) if !over => {}
            Ok(Ok(())) => {
                // Time for the words to arrive before the connection is closed over them.
                let _ = timeout(LEAVING, open.send.end()).await;
                return Ended::Refused { code: RefusalCode::Malformed };
            }
            Ok(Err(_)) => return Ended::Left,
            Err(_) => return Ended::TooSlow,
        }
    }
    Ended::Refused { code: RefusalCode::Busy }
}

/// The next whole message; none when the custodian left between two.
async fn next_message(opener: &mut Opener, recv: &mut Receiving) -> Result<Option<Vec<u8>>, Ended> {
    loop {
        if let Some(message) = opener.next()? {
            return Ok(Some(message));
        }
        // A message that was begun is finished in time.
        let chunk = match opener.is_idle() {
            true => recv.chunk(READ_BYTES).await?,
            false => timeout(REQUEST_STALL, recv.chunk(READ_BYTES)).await.map_err(|_| Ended::TooSlow)??,
        };
        match chunk {
            Some(chunk) => opener.push(&chunk)?,
            None => return Ok(None),
        }
    }
}

/// One custodian's session.
struct Desk {
    front: Arc<Front>,
    who: CustodianId,
    handshake: Digest,
    /// The question that waits for its answer.
    challenge: Option<ShareChallenge>,
}

impl Desk {
    async fn answer(&mut self, op: CustodianOp) -> CustodianAnswer {
        let answered = match op {
            CustodianOp::Pull => self.pull().await,
            CustodianOp::Status => self.status().await.map(CustodianAnswer::Status),
            CustodianOp::Ack(ack) => self.ack(ack).await,
            CustodianOp::Challenge => self.challenge().await,
            CustodianOp::Prove(proof) => self.prove(proof).await,
            CustodianOp::Activate(order) => self.bring(CustodyAsk::Activate(order)).await,
            CustodianOp::Change(order) => self.bring(CustodyAsk::Change(order)).await,
            CustodianOp::Drill(op) => self.drill(op).await,
            CustodianOp::Offer | CustodianOp::Submit(_) | CustodianOp::AcceptLoss(_) | CustodianOp::Progress => {
                Err(refusal(RefusalCode::ModeNotOffered, "this member serves: no recovery is under way on it"))
            }
        };
        answered.unwrap_or_else(CustodianAnswer::Refused)
    }

    /// The state as of a quorum's word: a custodian is not shown what was replaced.
    async fn view(&self) -> Result<View, Refusal> {
        self.front.reads.barrier().await?;
        self.front.replica.view().map_err(|_| fenced())
    }

    /// The newest dealing that names this custodian.
    async fn pull(&self) -> Result<CustodianAnswer, Refusal> {
        let custody = self.view().await?.custody();
        let waiting = custody.waiting.iter().map(|held| (held, false));
        let mut held = waiting.chain(custody.active.iter().map(|held| (held, true)));
        let found = held.find_map(|(held, active)| {
            let envelope = held.dealing.envelopes.iter().find(|envelope| envelope.custodian == self.who)?;
            Some((held, envelope.clone(), active))
        });
        Ok(match found {
            Some((held, envelope, active)) => CustodianAnswer::Dealt(Box::new(Dealt {
                manifest: held.dealing.manifest.clone(),
                envelope,
                exchange: held.dealing.exchange.clone(),
                active,
            })),
            None => CustodianAnswer::Fault(CustodyFault::NoDealing),
        })
    }

    async fn ack(&self, ack: ShareAck) -> Result<CustodianAnswer, Refusal> {
        match ack.custodian == self.who {
            true => self.bring(CustodyAsk::Ack(ack)).await,
            false => Ok(CustodianAnswer::Fault(CustodyFault::NotCustodian)),
        }
    }

    async fn challenge(&mut self) -> Result<CustodianAnswer, Refusal> {
        let view = self.view().await?;
        let custody = view.custody();
        let Some(active) = custody.active.as_ref().filter(|active| active.manifest().member(&self.who).is_some()) else {
            return Ok(CustodianAnswer::Fault(CustodyFault::NoDealing));
        };
        let proved_ms = active.proofs.get(&self.who).map_or(0, |proof| proof.at_ms);
        if proved_ms != 0 && view.time_ms().saturating_sub(proved_ms) < PROOF_PAUSE_MS {
            return Err(refusal(RefusalCode::Busy, "this custodian has just proved its share, which is on record; that is enough for now"));
        }
        let nonce: Nonce = crate::entropy::nonce(&self.front.entropy);
        let challenge = ShareChallenge { manifest: active.hash, nonce };
        self.challenge = Some(challenge.clone());
        Ok(CustodianAnswer::Challenge(challenge))
    }

    async fn prove(&mut self, proof: ShareProof) -> Result<CustodianAnswer, Refusal> {
        let not_asked = || refusal(RefusalCode::Malformed, "the proof is not the answer to this session's question; ask for another one");
        let asked = self.challenge.take().filter(|_| proof.custodian == self.who).ok_or_else(not_asked)?;
        let custody = self.view().await?.custody();
        let Some(active) = custody.active.as_ref().filter(|active| active.hash == proof.manifest) else {
            return Ok(CustodianAnswer::Fault(CustodyFault::NoDealing));
        };
        match self.proof_key(active)?.judge(&asked, &self.handshake, &proof) {
            Ok(()) => self.bring(CustodyAsk::Proved(proof)).await,
            Err(ProofError::OtherShare) => Ok(CustodianAnswer::Fault(CustodyFault::BadSignature)),
            Err(ProofError::OtherQuestion | ProofError::OtherSession) => Err(not_asked()),
        }
    }

    /// What a proof of this custodian's share is judged with.
    fn proof_key(&self, active: &Held) -> Result<ProofKey, Refusal> {
        let wrapped = active.dealing.keys.proofs.iter().find(|proof| proof.custodian == self.who).ok_or_else(unavailable)?;
        let key = self.front.keyring.now().unwrap_custody(&active.hash, CustodyUse::Proof(&self.who), &wrapped.key);
        key.map(ProofKey::new).map_err(|fault| {
            tracing::warn!(%fault, "the key of a proof did not unwrap");
            awaiting_key()
        })
    }

    /// The leader has the drill; how the last one ended is on record.
    async fn drill(&self, op: DrillOp) -> Result<CustodianAnswer, Refusal> {
        if op == DrillOp::Last {
            let custody = self.view().await?.custody();
            return Ok(CustodianAnswer::Drills(custody.active.as_ref().and_then(|active| active.drills.clone())));
        }
        drill::bring(&self.front.node()?, DrillCall { who: self.who, op }).await
    }

    async fn status(&self) -> Result<CustodyStatus, Refusal> {
        let node = self.front.node()?;
        let view = self.view().await?;
        Ok(status(&view, dealer::terms(&node, &view).as_deref()))
    }

    /// Brings it to the leader and tells what the record said.
    async fn bring(&self, ask: CustodyAsk) -> Result<CustodianAnswer, Refusal> {
        let node: Arc<Node> = self.front.node()?;
        Ok(match asks::bring(&node, ask).await? {
            Outcome::Denied(Denial::Custody(fault)) => CustodianAnswer::Fault(fault),
            Outcome::Done => CustodianAnswer::Noted(self.status().await?),
            _ => return Err(refusal(RefusalCode::Unavailable, "the keys of the cluster changed meanwhile; say it again")),
        })
    }
}

/// How custody stands as of a view.
fn status(view: &View, terms: Option<&CustodyTerms>) -> CustodyStatus {
    let custody = view.custody();
    let named =
        |held: &Option<Arc<Held>>| held.as_ref().map_or((CustodyEpoch(0), Digest([0; 32])), |held| (held.custody_epoch(), held.hash));
    let ((active, active_manifest), (waiting, waiting_manifest)) = (named(&custody.active), named(&custody.waiting));
    let acked = |held: &Option<Arc<Held>>, who: &CustodianId| held.as_ref().is_some_and(|held| held.acks.contains_key(who));
    let standing = |custodian: CustodianId| CustodianStanding {
        custodian,
        holds: acked(&custody.active, &custodian),
        acknowledged: acked(&custody.waiting, &custodian),
        proved_at_ms: custody.active.as_ref().and_then(|held| held.proofs.get(&custodian)).map_or(0, |proof| proof.at_ms),
    };
    let custodians = terms.map_or_else(Vec::new, |terms| terms.custodians.iter().map(|custodian| standing(custodian.id())).collect());
    CustodyStatus {
        active,
        active_manifest,
        waiting,
        waiting_manifest,
        threshold: terms.map_or(0, |terms| terms.threshold),
        dealt_at_ms: custody.active.as_ref().map_or(0, |held| held.dealt_ms),
        custodians: List::new(custodians).expect("terms name no more custodians than a status"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};
    use ringwall_wire::ids::{Incarnation, Signature};

    #[test]
    fn a_custodians_word_is_good_on_one_session_of_one_node_in_one_cluster() {
        let key = SigningKey::from_bytes(&[9; 32]);
        let public = SigPublic(key.verifying_key().to_bytes());
        let (cluster, handshake, nonce, incarnation) = (ClusterId([1; 32]), Digest([2; 32]), Nonce([3; 32]), Incarnation(4));
        let custodian = CustodianId([5; 20]);
        let here = UserBinding { handshake: &handshake, nonce: &nonce, incarnation };
        let words = CustodianAuth::words(&cluster, &handshake, &nonce, incarnation, &custodian);
        let auth = CustodianAuth { custodian, signature: Signature(key.sign(&words).to_bytes()) };
        assert!(is_signed(&public, &cluster, &auth, &here));
        let (other, later) = (Digest([6; 32]), Nonce([7; 32]));
        assert!(!is_signed(&public, &ClusterId([8; 32]), &auth, &here), "another cluster");
        assert!(!is_signed(&public, &cluster, &auth, &UserBinding { handshake: &other, ..here }), "another session");
        assert!(!is_signed(&public, &cluster, &auth, &UserBinding { nonce: &later, ..here }), "another question");
        assert!(!is_signed(&public, &cluster, &auth, &UserBinding { incarnation: Incarnation(9), ..here }), "another node");
        let renamed = CustodianAuth { custodian: CustodianId([6; 20]), ..auth.clone() };
        assert!(!is_signed(&public, &cluster, &renamed, &here), "another custodian");
        let stranger = SigPublic(SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes());
        assert!(!is_signed(&stranger, &cluster, &auth, &here));
    }
}
