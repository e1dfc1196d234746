//! One attempt at one node: from the first byte to a session with a node that was judged and, where that is wanted, accepted its user.
//!
//! Decides: the order of protocol section 3. Until the node's evidence was appraised with this machine's clock against the pinned cluster, the only things sent are the
//! protocol versions, handshake messages and the request for evidence; the types allow nothing else. What evidence shows of governance is kept before anything is said on
//! the session. The user's signature is good on this session alone, and it is verified here before it is sent, wherever it was made.
//! Whoever drives it carries out each [`Step`] and gives back what [`Opening::wants`] names. The first error is the last: nothing is taken after it.
//! Trusts: `channel` and `attest` for their verdicts, the roots it is given, the driver for time and randomness. Out of scope: carrying bytes, which node is tried when
//! (`core.rs`), records (`line.rs`). Calls may block where the store does. Protocol section 3.1.

mod asking;
mod memory;
mod terms;

pub use memory::Memory;
pub use terms::{Device, Goal, Now, Terms};

use crate::anchor::{self, Begun, Sitting};
use crate::dial::{DialError, Opened};
use crate::exchange::Exchange;
use crate::line::{CHUNK_BYTES, Line};
use crate::recovered;
use crate::verification::{Examined, Verification};
use asking::Asking;
use ed25519_dalek::{Signer as _, SigningKey};
use rand_core::CryptoRng;
use ringwall_attest::Trace;
use ringwall_channel::user::{UserBinding, sign_restore, user_signed, user_words};
use ringwall_channel::{Attested, ClientDial, ClientPrologue, Session};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClientId, Nonce, Signature};
use ringwall_wire::limits::{ATTEST_MESSAGE_BYTES, HANDSHAKE_MESSAGE_BYTES, REATTEST_MOST_S, REQUEST_BYTES};
use ringwall_wire::session::{GetDescriptor, NodeDescriptor, Refusal, RefusalCode, UserAuth, UserReady};
use ringwall_wire::version::SUPPORTED;
use ringwall_wire::without::{Defence, left_out};
use std::sync::Arc;

/// Bytes of a sealed attestation answer: the answer, and what records add.
const SEALED_ATTEST_BYTES: usize = ATTEST_MESSAGE_BYTES + ATTEST_MESSAGE_BYTES / 8;

/// What whoever drives an attempt does next.
#[derive(Debug)]
pub enum Step {
    /// Send these bytes as one frame: its length goes before them.
    Send(Vec<u8>),
    /// Send these bytes as they are. From here on there are no frames: bytes are given as they come.
    Stream(Vec<u8>),
    /// Have the device's key sign these words, and give the signature with [`Opening::signed`].
    Sign(Vec<u8>),
    /// Nothing: what came is not a whole message.
    Wait,
    /// The user was accepted: the session is open.
    Open(Box<(Opened, Line)>),
    /// The node was judged, whichever way that ended; leave it.
    Judged(Box<(Exchange, Examined)>),
    /// The node was judged and believed, and no user was said anything.
    Visit(Box<Visited>),
}

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// One frame of at most so many bytes.
    Frame(usize),
    /// Bytes as they come, at most so many at once.
    Bytes(usize),
    /// The signature that [`Step::Sign`] asked for.
    Signature,
    /// Nothing: it is over.
    Nothing,
}

/// A session with a verified node of which no user was said anything.
#[derive(Debug)]
pub struct Visited {
    /// The session.
    pub session: Session<Attested>,
    /// The nonce of its evidence.
    pub nonce: Nonce,
    /// The evidence, as it was asked for and answered.
    pub exchange: Exchange,
}

/// The attempt.
pub struct Opening {
    memory: Arc<Memory>,
    terms: Arc<Terms>,
    goal: Goal,
    address: String,
    binding: [u8; 32],
    nonce: Nonce,
    /// What was known when the evidence was asked for; none without a user.
    begun: Option<Begun>,
    /// The evidence is younger than this moment, so the session ends no later than the policy says.
    asked_at_ms: u64,
    stage: Stage,
    /// Whether a judgement is told beside the steps, and the one that was made.
    tells: bool,
    judged: Option<Box<(Exchange, Examined)>>,
}

/// How far it is.
enum Stage {
    Descriptor,
    Handshake(Box<ClientDial>),
    Evidence(Box<Asking>),
    Signature(Box<Believed>),
    User(Box<Greeting>),
    Over,
}

/// A judged node whose session a user is about to be named on.
struct Believed {
    session: Session<Attested>,
    exchange: Exchange,
    client: ClientId,
}

/// A session on which the user was named.
struct Greeting {
    line: Line,
    expected: anchor::Session,
    exchange: Exchange,
    verification: Verification,
    reattest_by_ms: u64,
}

impl core::fmt::Debug for Opening {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Opening({}, wants {:?})", self.address, self.wants())
    }
}

impl Opening {
    /// Begins an attempt at the node that was reached at `address`; `binding` ties the session to the transport. With a user, what is remembered is read first, and
    /// after a detection nothing is begun.
    pub fn begin(
        (memory, terms): (&Arc<Memory>, &Arc<Terms>),
        goal: Goal,
        address: &str,
        binding: [u8; 32],
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Step), DialError> {
        let begun = match goal {
            Goal::User { .. } => Some(memory.keeper().begin(rng)?),
            Goal::Examine | Goal::Visit => None,
        };
        let nonce = begun.as_ref().map_or_else(
            || {
                let mut nonce = Nonce([0; 32]);
                rng.fill_bytes(&mut nonce.0);
                nonce
            },
            |begun| begun.nonce,
        );
        let versions = List::new(SUPPORTED.to_vec()).expect("few versions are supported");
        let opening = Opening {
            memory: Arc::clone(memory),
            terms: Arc::clone(terms),
            goal,
            address: address.into(),
            binding,
            nonce,
            begun,
            asked_at_ms: now.ms,
            stage: Stage::Descriptor,
            tells: false,
            judged: None,
        };
        Ok((opening, Step::Send(GetDescriptor { versions }.encode())))
    }

    /// Has every judgement told by [`Opening::judgement`], beside the steps: for whoever shows it to a person.
    #[must_use]
    pub fn telling(mut self) -> Self {
        self.tells = true;
        self
    }

    /// The judgement that the last call made, whichever way it ended, if it made one and [`Opening::telling`] was asked for.
    pub fn judgement(&mut self) -> Option<Box<(Exchange, Examined)>> {
        self.judged.take()
    }

    /// What it waits for.
    pub fn wants(&self) -> Wants {
        match &self.stage {
            Stage::Descriptor | Stage::Handshake(_) => Wants::Frame(HANDSHAKE_MESSAGE_BYTES),
            Stage::Evidence(_) => Wants::Frame(SEALED_ATTEST_BYTES),
            Stage::Signature(_) => Wants::Signature,
            Stage::User(_) => Wants::Bytes(CHUNK_BYTES),
            Stage::Over => Wants::Nothing,
        }
    }

    /// Takes the frame, or the bytes, it waits for.
    ///
    /// # Errors
    /// Whatever ends the attempt, [`DialError::OutOfOrder`] when nothing of the kind was wanted. Nothing is taken afterwards.
    pub fn take(&mut self, got: &[u8], now: Now, rng: &mut dyn CryptoRng) -> Result<Step, DialError> {
        let wants = self.wants();
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if let Wants::Frame(most) | Wants::Bytes(most) = wants
            && got.len() > most
        {
            return Err(DialError::Breach(format!("it sent {} bytes where at most {most} are possible", got.len())));
        }
        match stage {
            Stage::Descriptor => self.described(got, now, rng),
            Stage::Handshake(dial) => self.shaken(*dial, got),
            Stage::Evidence(asking) => self.answered(*asking, got, now),
            Stage::User(greeting) => self.greeted(greeting, got, now),
            Stage::Signature(_) => Err(DialError::OutOfOrder("bytes came while a signature was waited for")),
            Stage::Over => Err(DialError::OutOfOrder("bytes came after its end")),
        }
    }

    /// Takes the signature that [`Step::Sign`] asked for.
    ///
    /// # Errors
    /// [`DialError::Signature`] for one that does not verify, [`DialError::OutOfOrder`] when none was wanted. Nothing is taken afterwards.
    pub fn signed(&mut self, signature: Signature) -> Result<Step, DialError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Signature(believed) => self.speak(*believed, signature),
            _ => Err(DialError::OutOfOrder("a signature came that was not asked for")),
        }
    }

    /// Steps 0 and 1: an untrusted descriptor, and a handshake with whoever holds its keys.
    fn described(&mut self, frame: &[u8], now: Now, mut rng: &mut dyn CryptoRng) -> Result<Step, DialError> {
        let descriptor = NodeDescriptor::decode(frame).map_err(|fault| hint(frame, fault.to_string()))?;
        if !SUPPORTED.contains(&descriptor.version) {
            return Err(DialError::Breach(format!("it picked version {}, which was not offered", descriptor.version)));
        }
        let pinned = self.terms.cluster_id;
        if descriptor.cluster_id != pinned && !left_out(Defence::ClusterPin) {
            return Err(DialError::OtherCluster { claimed: descriptor.cluster_id, pinned });
        }
        if let Some(error) = self.memory.refusal_of(&descriptor.noise, now.ms) {
            return Err(DialError::Evidence(error));
        }
        let prologue = ClientPrologue {
            cluster_id: descriptor.cluster_id,
            epoch: descriptor.epoch,
            version: descriptor.version,
            transport_binding: &self.binding,
        };
        let (dial, msg1) = ClientDial::start(&descriptor, &prologue, &mut rng).map_err(DialError::of_channel)?;
        self.stage = Stage::Handshake(Box::new(dial));
        Ok(Step::Send(msg1))
    }

    /// Step 2; then the first question for evidence.
    fn shaken(&mut self, dial: ClientDial, msg2: &[u8]) -> Result<Step, DialError> {
        let session = dial.finish(msg2).map_err(|fault| hint(msg2, fault.to_string()))?;
        let mut asking = Asking::begin(&self.memory, self.terms.cluster_id, session)?;
        let question = asking.question(&self.terms, &self.nonce)?;
        self.stage = Stage::Evidence(Box::new(asking));
        Ok(Step::Send(question))
    }

    /// Steps 3 to 5: a page is judged and the question asked again; an answer is judged.
    fn answered(&mut self, mut asking: Asking, sealed: &[u8], now: Now) -> Result<Step, DialError> {
        let Some(answered) = asking.heard(&self.memory, sealed, now)? else {
            let question = asking.question(&self.terms, &self.nonce)?;
            self.stage = Stage::Evidence(Box::new(asking));
            return Ok(Step::Send(question));
        };
        let (session, exchange) = asking.exchange(answered, (&self.memory, &self.terms), &self.nonce, now)?;
        let mut trace = Trace::new();
        let judged = self.memory.attest(session, &exchange, &self.terms.anchors, (now, &mut trace));
        if self.tells {
            let verdict = match &judged {
                Ok(session) => Some(Ok(self.verified(session))),
                Err(DialError::Evidence(error) | DialError::OldPolicy(error)) => Some(Err(Arc::clone(error))),
                Err(_) => None,
            };
            let examined = |verdict| Examined { place: self.address.clone(), at_s: exchange.at_s(), verdict, trace: trace.clone() };
            self.judged = verdict.map(|verdict| Box::new((exchange.clone(), examined(verdict))));
        }
        match self.goal {
            Goal::Examine => {
                let verdict = match judged {
                    Ok(session) => Ok(self.verified(&session)),
                    Err(DialError::Evidence(error) | DialError::OldPolicy(error)) => Err(error),
                    Err(fault) => return Err(fault),
                };
                let examined = Examined { place: self.address.clone(), at_s: exchange.at_s(), verdict, trace };
                Ok(Step::Judged(Box::new((exchange, examined))))
            }
            Goal::Visit => Ok(Step::Visit(Box::new(Visited { session: judged?, nonce: self.nonce, exchange }))),
            Goal::User { client } => self.ask_for_signature(Believed { session: judged?, exchange, client }),
        }
    }

    fn verified(&self, session: &Session<Attested>) -> Verification {
        Verification::of(peer_of(session), &self.address)
    }

    fn ask_for_signature(&mut self, believed: Believed) -> Result<Step, DialError> {
        let words = user_words(&binding_of(&believed.session, &self.nonce), &self.terms.user, &believed.client);
        match &self.terms.device {
            Device::Key(credential) => {
                let signature = Signature(credential.signing_key().sign(&words).to_bytes());
                self.speak(believed, signature)
            }
            Device::Elsewhere(_) => {
                self.stage = Stage::Signature(Box::new(believed));
                Ok(Step::Sign(words))
            }
        }
    }

    /// Step 6: the user's word, good on this session alone.
    fn speak(&mut self, believed: Believed, signature: Signature) -> Result<Step, DialError> {
        let Believed { mut session, exchange, client } = believed;
        let binding = binding_of(&session, &self.nonce);
        let (user, cred) = (self.terms.user, self.terms.device.public());
        let auth = user_signed(&binding, (&user, &client), &cred, signature).map_err(|fault| DialError::Signature(fault.to_string()))?;
        let recovery = self.terms.restore.as_ref().map(|seed| SigningKey::from_bytes(seed.expose()));
        let restore = recovery.map(|key| sign_restore(&binding, &user, &cred, &key));
        let auth = UserAuth { restore, known: self.begun.as_ref().and_then(Begun::known), ..auth };
        let peer = peer_of(&session);
        let serves_s = u64::from(peer.policy().session.reattest_s.min(REATTEST_MOST_S));
        let reattest_by_ms = self.asked_at_ms.saturating_add(serves_s.saturating_mul(1_000));
        let expected = anchor::Session::new(peer, user, client, self.nonce);
        let verification = self.verified(&session);
        let (sealer, opener) = session.split(0, REQUEST_BYTES).map_err(DialError::of_channel)?;
        let mut line = Line::new(sealer, opener);
        line.queue(&[auth.encode()])?;
        let bytes = line.unsent().to_vec();
        line.sent(bytes.len());
        self.stage = Stage::User(Box::new(Greeting { line, expected, exchange, verification, reattest_by_ms }));
        Ok(Step::Stream(bytes))
    }

    /// The node's word for the user.
    fn greeted(&mut self, mut greeting: Box<Greeting>, bytes: &[u8], now: Now) -> Result<Step, DialError> {
        let mut arrived = Vec::new();
        greeting.line.push(bytes)?;
        greeting.line.drain(&mut arrived, now.ms)?;
        let word = match arrived.as_slice() {
            [] => {
                self.stage = Stage::User(greeting);
                return Ok(Step::Wait);
            }
            [word] => word,
            _ => return Err(DialError::Breach("more than one answer to one user".into())),
        };
        let ready = ready(word)?;
        let Greeting { mut line, expected, exchange, mut verification, reattest_by_ms } = *greeting;
        let begun = self.begun.take().ok_or(DialError::OutOfOrder("a user was named on a session that was begun without one"))?;
        let first = (&ready.receipt, &ready.epochs);
        line.sit(Sitting::open(self.memory.keeper(), begun, (expected, exchange), first, now.ms)?);
        verification.recovered = recovered::tell(&verification, &ready.epochs, ready.recovered.as_ref())?;
        Ok(Step::Open(Box::new((Opened { ready, verification, reattest_by_ms }, line))))
    }
}

fn peer_of(session: &Session<Attested>) -> &ringwall_attest::AppraisedPeer {
    session.peer().expect("an attested session has a peer")
}

fn binding_of<'a>(session: &'a Session<Attested>, nonce: &'a Nonce) -> UserBinding<'a> {
    UserBinding { handshake: session.handshake(), nonce, incarnation: peer_of(session).incarnation() }
}

/// What a node says to a user: that it serves them, or why not.
fn ready(word: &[u8]) -> Result<UserReady, DialError> {
    match (UserReady::decode(word), Refusal::decode(word)) {
        (Ok(ready), _) => Ok(ready),
        (_, Ok(refusal)) => Err(match refusal.code {
            RefusalCode::NotAuthorized => DialError::NotAuthorized(refusal.detail.to_string()),
            RefusalCode::DeviceRevoked => DialError::DeviceRevoked(refusal.detail.to_string()),
            RefusalCode::NotRestored => DialError::NotRestored(refusal.detail.to_string()),
            _ => DialError::of_refusal(&refusal),
        }),
        (Err(fault), Err(_)) => Err(DialError::Breach(format!("neither acceptance nor refusal: {fault}"))),
    }
}

/// Before a session is attested a refusal is a hint anybody can send: it is shown and tried again, never final.
fn hint(frame: &[u8], fault: String) -> DialError {
    match Refusal::decode(frame) {
        Ok(refusal) => DialError::of_refusal(&refusal),
        Err(_) => DialError::Breach(fault),
    }
}
