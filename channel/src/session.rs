//! The states of a session, and what each of them may carry.
//!
//! Decides: [`Unverified`] carries attestation messages, and in place of an answer pages of policy changes, on stream 0 and nothing else (SB1: no method takes other bytes, and the states are
//! sealed). [`Session::establish`] consumes a verdict that was made for this handshake and these keys; [`Session::serve`] lets a
//! node face an anonymous client. Only then do streams exist, each number once.
//! Trusts: `attest` to make an [`AppraisedPeer`] only from evidence that satisfied the policy.
//! Out of scope: judging; membership; the order of attestation messages beyond one at a time. Protocol section 3.

use crate::error::ChannelError;
use crate::noise::Shake;
use crate::record::{INBOX_BYTES, Opener, Sealer};
use crate::schedule::{KeyChain, Side};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use ringwall_attest::AppraisedPeer;
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::governance::PolicyPage;
use ringwall_wire::ids::{Digest, KemPublic, NoisePublic};
use ringwall_wire::limits::{ATTEST_MESSAGE_BYTES, HANDSHAKE_MESSAGE_BYTES};
use ringwall_wire::secret::{Secret, wash_stack};
use ringwall_wire::session::{AttestReq, AttestResp, Refusal};

/// Streams one session may use, besides stream 0; bounds the bookkeeping. A member uses four at a time.
pub const SESSION_STREAMS: usize = 1_024;

mod sealed {
    pub trait Sealed {}
}

/// A state a session can be in.
pub trait SessionState: sealed::Sealed {}

/// A state in which a session carries application bytes.
pub trait Open: SessionState {
    /// The attested other side; `None` for a client that does not attest.
    fn peer(&self) -> Option<&AppraisedPeer>;
}

/// What answers an attestation request.
#[derive(Debug)]
pub enum Answered {
    /// The answer.
    Answer(Box<AttestResp>),
    /// Changes of the policy, since the asker is behind by more than an answer carries: it judges them and asks again. They prove nothing about this node.
    Page(Box<PolicyPage>),
}

/// The handshake is done; who the other side is, nobody knows.
#[derive(Debug)]
pub struct Unverified(());

/// The other side's evidence satisfied the policy and is bound to this session.
pub struct Attested(Box<AppraisedPeer>);

/// The other side is an anonymous client that does not attest.
#[derive(Debug)]
pub struct Serving(());

impl sealed::Sealed for Unverified {}
impl sealed::Sealed for Attested {}
impl sealed::Sealed for Serving {}
impl SessionState for Unverified {}
impl SessionState for Attested {}
impl SessionState for Serving {}

impl Open for Attested {
    fn peer(&self) -> Option<&AppraisedPeer> {
        Some(&self.0)
    }
}

impl Open for Serving {
    fn peer(&self) -> Option<&AppraisedPeer> {
        None
    }
}

/// A session after its handshake.
#[must_use]
pub struct Session<S: SessionState> {
    core: Core,
    state: S,
}

/// What does not depend on the state.
struct Core {
    handshake: Digest,
    side: Side,
    remote: Remote,
    send: Secret<32>,
    receive: Secret<32>,
    /// Stream 0, until it is split off.
    first: Option<(Sealer, Opener)>,
    used: BTreeSet<u32>,
}

/// What the handshake says of the other side.
pub(crate) enum Remote {
    /// A client without a static key.
    Client,
    /// A node: its static key, and the encapsulation key that was used where one was.
    Node {
        /// Static key the handshake authenticated.
        noise: NoisePublic,
        /// Encapsulation key from its descriptor.
        kem: Option<Box<KemPublic>>,
    },
}

impl<S: SessionState> core::fmt::Debug for Session<S> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Session<{}>({})", core::any::type_name::<S>().rsplit("::").next().unwrap_or_default(), self.core.handshake)
    }
}

impl<S: SessionState> Session<S> {
    /// The handshake hash `h`: what evidence and signatures are bound to.
    pub fn handshake(&self) -> &Digest {
        &self.core.handshake
    }

    /// The static key the handshake authenticated; `None` at a node that faces a client.
    pub fn remote_noise(&self) -> Option<&NoisePublic> {
        match &self.core.remote {
            Remote::Client => None,
            Remote::Node { noise, .. } => Some(noise),
        }
    }
}

impl Session<Unverified> {
    /// Takes the keys of a finished handshake.
    #[inline(never)]
    pub(crate) fn new(mut finished: Shake, side: Side, remote: Remote) -> Self {
        assert!(finished.is_handshake_finished(), "a session starts after its handshake");
        let handshake = Digest(finished.get_handshake_hash().try_into().expect("the hash is SHA-256"));
        let (mut dialled, mut answered) = finished.dangerously_get_raw_split();
        let (dialled, answered) = (Secret::from_mut(&mut dialled), Secret::from_mut(&mut answered));
        let (send, receive) = match side {
            Side::Dial => (dialled, answered),
            Side::Answer => (answered, dialled),
        };
        let mut core = Core { handshake, side, remote, send, receive, first: None, used: BTreeSet::new() };
        core.first = Some(core.stream(0, HANDSHAKE_MESSAGE_BYTES));
        Session { core, state: Unverified(()) }
    }

    /// Seals an attestation request.
    pub fn seal_attest_req(&mut self, request: &AttestReq) -> Result<Vec<u8>, ChannelError> {
        self.core.seal_first(&request.encode(), HANDSHAKE_MESSAGE_BYTES)
    }

    /// Seals an attestation answer.
    pub fn seal_attest_resp(&mut self, answer: &AttestResp) -> Result<Vec<u8>, ChannelError> {
        self.core.seal_first(&answer.encode(), ATTEST_MESSAGE_BYTES)
    }

    /// Seals a page of policy changes in place of an attestation answer; the other side asks again.
    pub fn seal_policy_page(&mut self, page: &PolicyPage) -> Result<Vec<u8>, ChannelError> {
        self.core.seal_first(&page.encode(), ATTEST_MESSAGE_BYTES)
    }

    /// Seals a refusal; the session is over.
    pub fn seal_refusal(mut self, refusal: &Refusal) -> Result<Vec<u8>, ChannelError> {
        self.core.seal_first(&refusal.encode(), HANDSHAKE_MESSAGE_BYTES)
    }

    /// Opens an attestation request from exactly the bytes that carry it; [`ChannelError::Refused`] if the other side refused instead.
    pub fn open_attest_req(&mut self, bytes: &[u8]) -> Result<AttestReq, ChannelError> {
        self.core.open_first(bytes, HANDSHAKE_MESSAGE_BYTES)
    }

    /// Opens an attestation answer from exactly the bytes that carry it; [`ChannelError::Refused`] if the other side refused instead.
    pub fn open_attest_resp(&mut self, bytes: &[u8]) -> Result<AttestResp, ChannelError> {
        self.core.open_first(bytes, ATTEST_MESSAGE_BYTES)
    }

    /// Opens what answers an attestation request from exactly the bytes that carry it; [`ChannelError::Refused`] if the other side refused instead.
    pub fn open_answer(&mut self, bytes: &[u8]) -> Result<Answered, ChannelError> {
        let message = self.core.open_one(bytes, ATTEST_MESSAGE_BYTES)?;
        match PolicyPage::decode(&message) {
            Ok(page) => Ok(Answered::Page(Box::new(page))),
            Err(DecodeError::WrongLabel { .. }) => message_or_refusal(&message).map(|answer| Answered::Answer(Box::new(answer))),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the session to application bytes, with the verdict over the other side's evidence. Refuses a verdict made for another
    /// session or about other keys.
    pub fn establish(self, peer: AppraisedPeer) -> Result<Session<Attested>, ChannelError> {
        let Remote::Node { noise, kem } = &self.core.remote else { return Err(ChannelError::AnonymousPeer) };
        if *peer.handshake() != self.core.handshake {
            return Err(ChannelError::OtherSession { judged: *peer.handshake(), this: self.core.handshake });
        }
        if peer.keys().noise != *noise {
            return Err(ChannelError::OtherNoiseKey { attested: peer.keys().noise, used: *noise });
        }
        if kem.as_deref().is_some_and(|kem| *kem != peer.keys().kem) {
            return Err(ChannelError::OtherKemKey);
        }
        Ok(Session { core: self.core, state: Attested(Box::new(peer)) })
    }

    /// Opens the session to application bytes at a node that faces an anonymous client. Refused anywhere else: between nodes both
    /// sides attest, and a client never talks to a node that did not.
    pub fn serve(self) -> Result<Session<Serving>, ChannelError> {
        match self.core.remote {
            Remote::Client => Ok(Session { core: self.core, state: Serving(()) }),
            Remote::Node { .. } => Err(ChannelError::NotServing),
        }
    }
}

impl<S: Open> Session<S> {
    /// The attested other side; `None` for a client that does not attest.
    pub fn peer(&self) -> Option<&AppraisedPeer> {
        self.state.peer()
    }

    /// The two directions of a numbered stream, for messages of at most `limit` bytes each. Every number works once in a session; 0 is
    /// the stream the attestation messages went over and goes on after them.
    pub fn split(&mut self, stream: u32, limit: usize) -> Result<(Sealer, Opener), ChannelError> {
        if stream == 0 {
            let (mut sealer, mut opener) = self.core.first.take().ok_or(ChannelError::StreamUsed { stream })?;
            sealer.set_limit(limit);
            opener.set_limit(limit);
            return Ok((sealer, opener));
        }
        if self.core.used.contains(&stream) {
            return Err(ChannelError::StreamUsed { stream });
        }
        if self.core.used.len() >= SESSION_STREAMS {
            return Err(ChannelError::TooManyStreams { max: SESSION_STREAMS });
        }
        self.core.used.insert(stream);
        let both = self.core.stream(stream, limit);
        wash_stack();
        Ok(both)
    }
}

impl Core {
    /// Both directions of a stream nobody used before.
    #[inline(never)]
    fn stream(&self, stream: u32, limit: usize) -> (Sealer, Opener) {
        let send = KeyChain::new(&self.send, &self.handshake, self.side, stream);
        let receive = KeyChain::new(&self.receive, &self.handshake, self.side.other(), stream);
        (Sealer::new(send, limit), Opener::new(receive, limit))
    }

    fn seal_first(&mut self, message: &[u8], limit: usize) -> Result<Vec<u8>, ChannelError> {
        let (sealer, _) = self.first.as_mut().expect("stream 0 is split off in open states only");
        sealer.set_limit(limit);
        let mut out = Vec::new();
        let sealed = sealer.seal(message, &mut out);
        wash_stack();
        sealed.map(|()| out)
    }

    fn open_first<M: Message>(&mut self, bytes: &[u8], limit: usize) -> Result<M, ChannelError> {
        message_or_refusal(&self.open_one(bytes, limit)?)
    }

    fn open_one(&mut self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, ChannelError> {
        let (_, opener) = self.first.as_mut().expect("stream 0 is split off in open states only");
        opener.set_limit(limit);
        // In pieces: the largest answer, sealed, is more than an opener lets wait.
        let (mut pieces, mut message) = (bytes.chunks(INBOX_BYTES / 2), None);
        while message.is_none() {
            let Some(piece) = pieces.next() else { break };
            opener.push(piece)?;
            message = opener.next()?;
        }
        // Deriving the record's key left it below, and nothing that follows is sure to reach as deep.
        wash_stack();
        let message = message.ok_or(ChannelError::NotOneMessage)?;
        if pieces.next().is_some() || !opener.is_idle() {
            return Err(ChannelError::NotOneMessage);
        }
        Ok(message)
    }
}

/// The message, or the refusal in its place.
fn message_or_refusal<M: Message>(message: &[u8]) -> Result<M, ChannelError> {
    match M::decode(message) {
        Ok(message) => Ok(message),
        Err(error @ DecodeError::WrongLabel { .. }) => match Refusal::decode(message) {
            Ok(refusal) => Err(ChannelError::Refused(refusal)),
            Err(_) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}
