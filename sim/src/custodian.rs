//! A custodian that does what it is told: for tests of what nodes answer, and for attacks. It verifies a node before it speaks, as the real one does.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: the custodian's own program (`ringwall custodian`), files, questions to people.
#![allow(clippy::panic)]

use ed25519_dalek::{Signer as _, SigningKey};
use quinn::{Connection, RecvStream, SendStream};
use ringwall_attest::{AppraisedPeer, Asked, Pinned, PolicyPin, SessionError, appraise_session};
use ringwall_channel::{ClientDial, ClientPrologue, Opener, Sealer};
use ringwall_keys::custody::{Draws, GoodShare, KemSecret, ShareError, answer_challenge, open_share, seal_submission};
use ringwall_quic::{Alpn, FrameReader, FrameWriter, transport_binding};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{
    CustodianAnswer, CustodianAuth, CustodianOp, CustodianReady, CustodianReply, CustodianRequest, CustodyStatus, Dealt,
};
use ringwall_wire::custody::{CustodiansOrder, CustodyManifest, ShareAck, ShareEnvelope, SharePlain, ShareProof};
use ringwall_wire::drill::DrillOffer;
use ringwall_wire::evidence::Role;
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{ClusterId, CustodianId, Digest, Epoch, Incarnation, Nonce, PolicyVersion, SigPublic, Signature};
use ringwall_wire::limits::{CUSTODIANS, HANDSHAKE_MESSAGE_BYTES, REQUEST_BYTES};
use ringwall_wire::policy::{Approval, Governance};
use ringwall_wire::receipt::Signer;
use ringwall_wire::recovery::{CustodyAnchor, LossSignature, LossTerms, ShareSubmission, SignedOffer};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp, GetDescriptor, NodeDescriptor, Refusal, SavedExchange};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest wait for one step.
const STEP: Duration = Duration::from_secs(20);
/// Bytes of an attestation answer as a sealed frame.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Keys of one custodian.
pub struct Holder {
    name: String,
    sig: SigningKey,
    kem: KemSecret,
}

/// Governors for the clusters of tests, all of whom must sign.
pub struct Governors(Vec<SigningKey>);

impl Default for Governors {
    /// Two, always the same.
    fn default() -> Self {
        Governors([201, 202].map(|byte| SigningKey::from_bytes(&[byte; 32])).into())
    }
}

impl Governors {
    /// As a policy names them.
    pub fn governance(&self) -> Governance {
        let keys = self.0.iter().map(|key| SigPublic(key.verifying_key().to_bytes())).collect();
        Governance { keys: List::new(keys).expect("a policy names two"), threshold: self.0.len() as u8, timelock_s: 0, lease_s: 0 }
    }

    /// Their order that shares go to `next` instead of `now`, of whom as many recover as did.
    pub fn other_custodians(
        &self,
        (cluster_id, epoch): (ClusterId, Epoch),
        now: &[&Holder],
        next: &[&Holder],
        threshold: u8,
    ) -> CustodiansOrder {
        let list = |holders: &[&Holder]| -> List<Custodian, CUSTODIANS> {
            List::new(holders.iter().map(|holder| holder.public()).collect()).expect("a handful of custodians")
        };
        let replaces = CustodiansOrder::list_digest(&list(now), threshold);
        let mut order = CustodiansOrder { cluster_id, epoch, replaces, custodians: list(next), threshold, signatures: List::default() };
        let words = order.signed_words();
        let sign = |key: &SigningKey| Approval {
            key: SigPublic(key.verifying_key().to_bytes()),
            signature: Signature(key.sign(&words).to_bytes()),
        };
        order.signatures = List::new(self.0.iter().map(sign).collect()).expect("a policy names two");
        order
    }
}

/// A session with a node that was verified.
pub struct Talk {
    who: CustodianId,
    sig: SigningKey,
    cluster_id: ClusterId,
    /// Hash of the session's handshake.
    pub handshake: Digest,
    /// What the node said when it let the custodian in.
    pub ready: CustodianReady,
    exchange: SavedExchange,
    _endpoint: quinn::Endpoint,
    _connection: Connection,
    sealer: Sealer,
    opener: Opener,
    send: SendStream,
    recv: RecvStream,
    number: u64,
}

/// Everything before the custodian's own word.
struct Verified {
    endpoint: quinn::Endpoint,
    connection: Connection,
    sealer: Sealer,
    opener: Opener,
    send: SendStream,
    recv: RecvStream,
    handshake: Digest,
    nonce: Nonce,
    incarnation: Incarnation,
    exchange: SavedExchange,
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_secs()
}

impl Holder {
    /// Keys that are the same for the same number.
    pub fn numbered(number: u8) -> Self {
        let sig = SigningKey::from_bytes(&[number; 32]);
        let kem = KemSecret::from_seed(Secret::new([number ^ 0x80; 32]));
        Holder { name: format!("custodian {number}"), sig, kem }
    }

    /// The seeds of both, one behind the other, as they stand on paper.
    pub fn seeds(&self) -> [u8; 64] {
        let mut seeds = [0; 64];
        seeds[..32].copy_from_slice(&self.sig.to_bytes());
        seeds[32..].copy_from_slice(self.kem.seed().expose());
        seeds
    }

    /// As a founding template names it.
    pub fn public(&self) -> Custodian {
        Custodian {
            name: Text::new(self.name.clone()).expect("short and printable"),
            sig: SigPublic(self.sig.verifying_key().to_bytes()),
            kem: Blob::new(self.kem.public().0.to_vec()).expect("an X-Wing key fits"),
        }
    }

    /// Its name in manifests.
    pub fn id(&self) -> CustodianId {
        self.public().id()
    }

    /// Opens its envelope of a dealing, after the evidence of the dealer was judged for this very manifest.
    pub fn open(&self, cluster_id: &ClusterId, dealt: &Dealt) -> Result<GoodShare, String> {
        let manifest = &dealt.manifest.manifest;
        let peer = author(*cluster_id, &dealt.exchange, &manifest.opening(), Role::Dealing)?;
        if peer.incarnation() != manifest.dealer || peer.keys().sig != manifest.dealer_sig {
            return Err("the evidence is not the dealer's".into());
        }
        signed(&manifest.dealer_sig, &manifest.words(), &dealt.manifest.signature)?;
        open_share(manifest, &self.id(), &dealt.envelope, &self.kem).map_err(|fault| fault.to_string())
    }

    /// Tries its own key on any envelope of a manifest, as whoever holds the disks can.
    pub fn opens(&self, manifest: &CustodyManifest, envelope: &ShareEnvelope) -> Result<GoodShare, ShareError> {
        open_share(manifest, &envelope.custodian, envelope, &self.kem)
    }

    /// Opens its envelope of a drill, after the offer was judged as a recovery's is.
    pub fn open_shadow(&self, cluster_id: &ClusterId, drill: &DrillOffer) -> Result<GoodShare, String> {
        self.judge_offer(cluster_id, &drill.signed)?;
        if drill.signed.offer.manifest != Digest(drill.shadow.digest()) {
            return Err("the shadow is not the offer's".into());
        }
        let envelope = drill.envelopes.iter().find(|envelope| envelope.custodian == self.id()).ok_or("no envelope")?;
        open_share(&drill.shadow, &self.id(), envelope, &self.kem).map_err(|fault| fault.to_string())
    }

    /// Judges what a recovering node offers, as the custodian's own program does: by evidence that is bound to this very offer.
    pub fn judge_offer(&self, cluster_id: &ClusterId, paper: &SignedOffer) -> Result<(), String> {
        let offer = &paper.offer;
        let peer = author(*cluster_id, &paper.exchange, &offer.opening(), Role::Recovery)?;
        if (peer.keys().sig, peer.epoch()) != (offer.sig, offer.epoch) || offer.cluster_id != *cluster_id {
            return Err("the evidence is not of the node that offers".into());
        }
        signed(&offer.sig, &offer.words(), &paper.signature)
    }

    /// Its share for an offer that was judged, with how far it has seen the log.
    pub fn submission(&self, signed: &SignedOffer, share: &GoodShare, anchor: Option<CustodyAnchor>) -> ShareSubmission {
        self.submission_of(signed, share.share(), anchor)
    }

    /// The same with whatever it calls its share.
    pub fn submission_of(&self, signed: &SignedOffer, share: &SharePlain, anchor: Option<CustodyAnchor>) -> ShareSubmission {
        let offer = &signed.offer;
        let entropy = ringwall_node::entropy::system().expect("a generator");
        let mut rng = entropy();
        let mut draws = Draws::new(&mut *rng, &Secret::new([self.name.len() as u8; 32]));
        let (digest, id) = (Digest(offer.digest()), self.id());
        let sealed = seal_submission(&offer.kem, &digest, &offer.manifest, &id, share, &mut draws);
        let (kem, sealed) = sealed.expect("the offer's key is one");
        let last_epoch = anchor.as_ref().map_or(Epoch(1), |anchor| anchor.head.epoch);
        let mut submission = ShareSubmission {
            offer: digest,
            manifest: offer.manifest,
            custodian: id,
            kem,
            sealed,
            last_epoch,
            anchor,
            signature: Signature([0; 64]),
        };
        submission.signature = Signature(self.sig.sign(&submission.words()).to_bytes());
        submission
    }

    /// Its acceptance of a loss.
    pub fn accepts(&self, cluster_id: &ClusterId, terms: &LossTerms) -> LossSignature {
        LossSignature { custodian: self.id(), signature: Signature(self.sig.sign(&terms.words(cluster_id)).to_bytes()) }
    }

    /// Opens a session with the node at `address`; the node's refusal if it wants none of this custodian.
    pub async fn dial(&self, cluster_id: ClusterId, address: SocketAddr) -> Result<Talk, Refusal> {
        let verified = verified(cluster_id, address).await;
        let words = CustodianAuth::words(&cluster_id, &verified.handshake, &verified.nonce, verified.incarnation, &self.id());
        let auth = CustodianAuth { custodian: self.id(), signature: Signature(self.sig.sign(&words).to_bytes()) };
        let Verified { endpoint, connection, sealer, opener, send, recv, handshake, exchange, .. } = verified;
        let ready = CustodianReady { epoch: Epoch(0), head: None, recovered: None };
        let mut talk = Talk {
            who: self.id(),
            sig: self.sig.clone(),
            cluster_id,
            handshake,
            ready,
            exchange,
            _endpoint: endpoint,
            _connection: connection,
            sealer,
            opener,
            send,
            recv,
            number: 0,
        };
        talk.say(&auth.encode()).await;
        let message = talk.hear().await;
        match CustodianReady::decode(&message) {
            Ok(ready) => {
                talk.ready = ready;
                Ok(talk)
            }
            Err(_) => Err(Refusal::decode(&message).unwrap_or_else(|fault| panic!("neither ready nor a refusal: {fault}"))),
        }
    }
}

/// Judges an answer as of now.
fn judged(cluster_id: ClusterId, answer: &AttestResp, asked: &Asked<'_>) -> Result<AppraisedPeer, SessionError> {
    let anchors = crate::anchors();
    let policy = PolicyPin::Founding { min_version: PolicyVersion(1) };
    let pinned = Pinned { cluster_id, policy, anchors: &anchors, now_s: now_s(), last_head: None };
    appraise_session(answer, asked, &pinned)
}

/// Who made a paper, by the evidence that was made for it alone.
fn author(cluster_id: ClusterId, exchange: &[u8], (handshake, nonce): &(Digest, Nonce), role: Role) -> Result<AppraisedPeer, String> {
    let exchange = SavedExchange::decode(exchange).map_err(|fault| fault.to_string())?;
    let answer = AttestResp::decode(&exchange.answer).map_err(|fault| fault.to_string())?;
    let asked = Asked { handshake, nonce, role, noise: &exchange.noise, mode: AttestMode::Single };
    judged(cluster_id, &answer, &asked).map_err(|fault| fault.to_string())
}

/// Whether these words are signed with this key.
fn signed(key: &SigPublic, words: &[u8], signature: &Signature) -> Result<(), String> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key.0).map_err(|fault| fault.to_string())?;
    key.verify_strict(words, &ed25519_dalek::Signature::from_bytes(&signature.0)).map_err(|fault| fault.to_string())
}

/// Dials, shakes hands, and judges the node's evidence.
async fn verified(cluster_id: ClusterId, address: SocketAddr) -> Verified {
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().expect("an address"), None).expect("a free port");
    let config = ringwall_quic::dial_config(Alpn::Client).expect("a client's configuration");
    let connection = ringwall_quic::dial(&endpoint, &config, address, STEP).await.unwrap_or_else(|fault| panic!("{address}: {fault}"));
    let (send, recv) = connection.open_bi().await.expect("a stream");
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let ask = GetDescriptor { versions: List::new(vec![1]).expect("one version") };
    writer.write(&ask.encode(), STEP).await.expect("the node listens");
    let descriptor = reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.expect("a descriptor");
    let descriptor = NodeDescriptor::decode(&descriptor).expect("a descriptor");
    let binding = transport_binding(&connection);
    let prologue = ClientPrologue { cluster_id, epoch: descriptor.epoch, version: 1, transport_binding: &binding };
    let entropy = ringwall_node::entropy::system().expect("a generator");
    let (dial, msg1) = ClientDial::start(&descriptor, &prologue, &mut *entropy()).expect("a well-formed descriptor");
    writer.write(&msg1, STEP).await.expect("the node listens");
    let msg2 = reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.expect("an answer");
    let mut session = dial.finish(&msg2).expect("the node has its keys");
    let nonce = ringwall_node::entropy::nonce(&entropy);
    let ask = AttestReq { nonce, mode: AttestMode::Batched, min_policy_version: PolicyVersion(1), known_policy: None };
    writer.write(&session.seal_attest_req(&ask).expect("sealed"), STEP).await.expect("the node listens");
    let answer = reader.read(ANSWER_BYTES, STEP).await.expect("evidence");
    let answer = session.open_attest_resp(&answer).expect("evidence");
    let (handshake, noise) = (*session.handshake(), *session.remote_noise().expect("a node has a Noise key"));
    let asked = Asked { handshake: &handshake, nonce: &nonce, role: Role::ClientServer, noise: &noise, mode: AttestMode::Batched };
    let peer = judged(cluster_id, &answer, &asked).unwrap_or_else(|fault| panic!("the node is refused: {fault}"));
    let incarnation = peer.incarnation();
    let exchange = SavedExchange {
        cluster_id,
        min_policy_version: PolicyVersion(1),
        handshake,
        nonce,
        noise,
        mode: AttestMode::Batched,
        at_s: now_s(),
        answer: Blob::new(answer.encode()).expect("an answer fits"),
    };
    let (sealer, opener) = session.establish(peer).expect("judged for this session").split(0, REQUEST_BYTES).expect("stream 0");
    let (send, recv) = (writer.into_stream(), reader.into_stream());
    Verified { endpoint, connection, sealer, opener, send, recv, handshake, nonce, incarnation, exchange }
}

impl Talk {
    async fn say(&mut self, message: &[u8]) {
        let mut sealed = Vec::new();
        self.sealer.seal(message, &mut sealed).expect("sealed");
        self.send.write_all(&sealed).await.expect("the node listens");
    }

    async fn hear(&mut self) -> Vec<u8> {
        loop {
            if let Some(message) = self.opener.next().expect("a well-formed record") {
                return message;
            }
            let chunk = tokio::time::timeout(STEP, self.recv.read_chunk(64 * 1024, true)).await.expect("the node answers in time");
            let chunk = chunk.expect("the session goes on").expect("the node answers");
            self.opener.push(&chunk.bytes).expect("a well-formed record");
        }
    }

    /// How far the node let it see the log: what it keeps as its anchor.
    pub fn anchor(&self) -> Option<CustodyAnchor> {
        let head = self.ready.head.clone()?;
        let exchange = Blob::new(self.exchange.encode()).expect("an exchange fits");
        Some(CustodyAnchor { signer: Signer { incarnation: head.incarnation, exchange }, head })
    }

    /// Asks one thing.
    pub async fn ask(&mut self, op: CustodianOp) -> CustodianAnswer {
        self.number += 1;
        let request = CustodianRequest { number: self.number, op };
        self.say(&request.encode()).await;
        let reply = CustodianReply::decode(&self.hear().await).expect("a reply");
        assert_eq!(reply.number, self.number, "the reply to what was asked");
        reply.body
    }

    /// The newest dealing that names this custodian.
    pub async fn pull(&mut self) -> Option<Dealt> {
        match self.ask(CustodianOp::Pull).await {
            CustodianAnswer::Dealt(dealt) => Some(*dealt),
            _ => None,
        }
    }

    /// How custody stands.
    pub async fn status(&mut self) -> Option<CustodyStatus> {
        match self.ask(CustodianOp::Status).await {
            CustodianAnswer::Status(status) => Some(status),
            _ => None,
        }
    }

    /// This custodian's acknowledgement of a manifest.
    pub fn acknowledgement(&self, manifest: Digest) -> ShareAck {
        let words = ShareAck::words(&self.cluster_id, &manifest, &self.who);
        ShareAck { manifest, custodian: self.who, signature: Signature(self.sig.sign(&words).to_bytes()) }
    }

    /// Acknowledges a manifest.
    pub async fn acknowledge(&mut self, manifest: Digest) -> CustodianAnswer {
        let ack = self.acknowledgement(manifest);
        self.ask(CustodianOp::Ack(ack)).await
    }

    /// Proves a share; `spoil` changes the answer before it is signed.
    pub async fn prove(&mut self, share: &GoodShare, spoil: impl FnOnce(&mut ShareProof)) -> CustodianAnswer {
        let challenge = match self.ask(CustodianOp::Challenge).await {
            CustodianAnswer::Challenge(challenge) => challenge,
            other => return other,
        };
        let answer = answer_challenge(share, &challenge, &self.handshake);
        let mut proof = ShareProof {
            manifest: challenge.manifest,
            custodian: self.who,
            nonce: challenge.nonce,
            handshake: self.handshake,
            answer,
            signature: Signature([0; 64]),
        };
        spoil(&mut proof);
        proof.signature = Signature(self.sig.sign(&proof.words(&self.cluster_id)).to_bytes());
        self.ask(CustodianOp::Prove(proof)).await
    }
}
