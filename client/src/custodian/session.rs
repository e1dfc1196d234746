//! A custodian's session with a node: verified like every session, then opened by the custodian's signature in the place where a user would speak.
//!
//! Decides: nothing of the custodian leaves before the node's evidence was judged; one question is asked at a time; whatever the node says of the log is
//! kept with who said it (`CustodyAnchor`) only under that node's signature.
//! Trusts: `dial.rs` for the judging. Out of scope: what the answers mean (`ceremony.rs`). Protocol sections 3.1 and 6.1.

use super::dealing::is_signed;
use super::keys::CustodianKeys;
use crate::Exchange;
use crate::Verification;
use crate::client::GOODBYE;
use crate::clock;
use crate::dial::{NodeDialler, Visit};
use crate::error::{Attempt, ConnectError};
use crate::link::DialError;
use crate::options::Options;
use ringwall_channel::{Opener, Sealer};
use ringwall_quic::CloseCode;
use ringwall_session::recovered::tell;
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianAuth, CustodianOp, CustodianReady, CustodianReply, CustodianRequest};
use ringwall_wire::ids::{Digest, Epoch, SigPublic};
use ringwall_wire::keeping::KeptAnchor;
use ringwall_wire::limits::CUSTODIAN_MESSAGE_BYTES;
use ringwall_wire::receipt::Signer;
use ringwall_wire::recovery::CustodyAnchor;
use ringwall_wire::session::{Refusal, RefusalCode};
use tokio::time::Instant;

/// Bytes taken from the network at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// An open session.
pub(crate) struct CustodianSession {
    connection: quinn::Connection,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    sealer: Sealer,
    opener: Opener,
    until: Instant,
    number: u64,
    /// Hash of its handshake: proofs name it.
    pub(crate) handshake: Digest,
    /// What was verified of the node.
    pub(crate) node: Verification,
    /// Epoch the node serves.
    pub(crate) epoch: Epoch,
    /// How far the log is, in the node's signed words.
    pub(crate) seen: Option<KeptAnchor>,
}

impl CustodianSession {
    /// Opens a session with the first node that can be used.
    pub(crate) async fn open(options: &Options, keys: &CustodianKeys) -> Result<Self, ConnectError> {
        if options.addresses.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        let dialler = NodeDialler::new(options.clone())?;
        let started = clock::now();
        let deadline = started + options.timeouts.deadline;
        let mut tried = Vec::new();
        for address in &options.addresses {
            let until = deadline.min(clock::now() + options.timeouts.dial);
            match Self::open_at(&dialler, address, keys, until).await {
                Ok(session) => return Ok(CustodianSession { until: deadline, ..session }),
                Err(DialError::Evidence(error) | DialError::OldPolicy(error)) => {
                    return Err(ConnectError::of_evidence(address.clone(), error, tried));
                }
                Err(DialError::OtherCluster { claimed, pinned }) => {
                    return Err(ConnectError::OtherCluster { address: address.clone(), claimed, pinned, tried });
                }
                Err(fault) => tried.push(Attempt { address: address.clone(), cause: fault.to_string(), refused: false }),
            }
        }
        Err(ConnectError::Unavailable { waited_ms: clock::millis(clock::now().duration_since(started)), tried })
    }

    async fn open_at(dialler: &NodeDialler, address: &str, keys: &CustodianKeys, until: Instant) -> Result<Self, DialError> {
        let visit = dialler.visit(address, until).await?;
        let connection = visit.connection.clone();
        let opened = Self::authenticate(visit, address, keys, until).await;
        if opened.is_err() {
            ringwall_quic::close(&connection, CloseCode::Refused);
        }
        opened
    }

    async fn authenticate(visit: Visit, address: &str, keys: &CustodianKeys, until: Instant) -> Result<Self, DialError> {
        let Visit { connection, mut session, nonce, exchange, send, recv } = visit;
        let handshake = *session.handshake();
        let peer = session.peer().expect("an attested session has a peer");
        let (node, sig, custodian) = (Verification::of(peer, address), peer.keys().sig, keys.id());
        let words = CustodianAuth::words(&peer.cluster_id(), &handshake, &nonce, peer.incarnation(), &custodian);
        let auth = CustodianAuth { custodian, signature: keys.sign(&words) };
        let (sealer, opener) = session.split(0, CUSTODIAN_MESSAGE_BYTES).map_err(DialError::of_channel)?;
        let epoch = node.epoch;
        let mut opened = CustodianSession { connection, send, recv, sealer, opener, until, number: 0, handshake, node, epoch, seen: None };
        opened.say(auth.encode()).await?;
        let word = opened.hear().await?;
        let ready = match (CustodianReady::decode(&word), Refusal::decode(&word)) {
            (Ok(ready), _) => ready,
            (_, Ok(refusal)) if refusal.code == RefusalCode::NotAuthorized => {
                return Err(DialError::NotAuthorized(refusal.detail.to_string()));
            }
            (_, Ok(refusal)) => return Err(DialError::of_refusal(&refusal)),
            (Err(fault), Err(_)) => return Err(DialError::Breach(format!("neither acceptance nor refusal: {fault}"))),
        };
        opened.epoch = ready.epoch;
        opened.node.recovered = tell(&opened.node, &[], ready.recovered.as_ref())?;
        opened.seen = kept(&ready, &opened.node, &sig, &exchange)?;
        Ok(opened)
    }

    /// Asks one question.
    pub(crate) async fn ask(&mut self, op: CustodianOp) -> Result<CustodianAnswer, ConnectError> {
        self.number = self.number.saturating_add(1);
        let request = CustodianRequest { number: self.number, op };
        let asked = async {
            self.say(request.encode()).await?;
            let word = self.hear().await?;
            let reply = CustodianReply::decode(&word).map_err(|fault| DialError::Breach(fault.to_string()))?;
            match reply.number == self.number {
                true => Ok(reply.body),
                false => Err(DialError::Breach(format!("it answered question {}, asked was {}", reply.number, self.number))),
            }
        };
        let answered: Result<CustodianAnswer, DialError> = asked.await;
        answered.map_err(|fault| {
            let attempt = Attempt { address: self.node.address.clone(), cause: fault.to_string(), refused: false };
            ConnectError::Unavailable { waited_ms: 0, tried: vec![attempt] }
        })
    }

    /// Ends the session.
    pub(crate) async fn close(self) {
        ringwall_quic::close(&self.connection, CloseCode::Done);
        tokio::time::sleep(GOODBYE).await;
    }

    async fn say(&mut self, message: Vec<u8>) -> Result<(), DialError> {
        let mut out = Vec::new();
        self.sealer.seal_many(&[message], &mut out).map_err(|fault| DialError::Breach(fault.to_string()))?;
        match tokio::time::timeout_at(self.until, self.send.write_all(&out)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(DialError::Unreachable(fault.to_string())),
            Err(_) => Err(DialError::Unreachable("the node took nothing in time".into())),
        }
    }

    async fn hear(&mut self) -> Result<Vec<u8>, DialError> {
        loop {
            if let Some(message) = self.opener.next().map_err(|fault| DialError::Breach(fault.to_string()))? {
                return Ok(message);
            }
            let chunk = match tokio::time::timeout_at(self.until, self.recv.read_chunk(CHUNK_BYTES, true)).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Err(DialError::Unreachable("the node ended the stream".into())),
                Ok(Err(fault)) => return Err(DialError::Unreachable(fault.to_string())),
                Err(_) => return Err(DialError::Unreachable("the node did not answer in time".into())),
            };
            self.opener.push(&chunk.bytes).map_err(|fault| DialError::Breach(fault.to_string()))?;
        }
    }
}

/// What the node says of the log, with the proof of who says so.
fn kept(ready: &CustodianReady, node: &Verification, sig: &SigPublic, exchange: &Exchange) -> Result<Option<KeptAnchor>, DialError> {
    let Some(head) = &ready.head else { return Ok(None) };
    let fits = head.cluster_id == node.cluster_id && head.incarnation == node.incarnation && head.epoch == ready.epoch;
    if !fits || !is_signed(sig, &head.words(), &head.signature) {
        return Err(DialError::Breach("its word for where the log stands is not signed by it".into()));
    }
    let exchange_bytes = Blob::new(exchange.encode()).map_err(|fault| DialError::Breach(fault.to_string()))?;
    let signer = Signer { incarnation: head.incarnation, exchange: exchange_bytes };
    Ok(Some(KeptAnchor { anchor: CustodyAnchor { head: head.clone(), signer }, seen_at_s: exchange.at_s() }))
}
