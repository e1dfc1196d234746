//! Opening a session with one node: descriptor, handshake, attestation, user; then a link that carries records.
//!
//! Decides: the order of protocol section 3. Until the node's evidence was appraised with this machine's clock against the pinned cluster,
//! the only things sent are the protocol versions, handshake messages and the request for evidence; the types allow nothing else.
//! Trusts: `channel` and `attest` for their verdicts, the roots it is given. Out of scope: which node is tried when (`seek.rs`).

mod behind;

use crate::anchor::{self, AnchorStore, Governed, InMemory, Keeper, Sitting, log_lied, verified};
use crate::client::GOODBYE;
use crate::credential::Credential;
use crate::entropy::{self, Entropy};
use crate::error::{ConnectError, code_name, went_back};
use crate::Exchange;
use crate::link::{Dial, DialError, Link, LinkError, Opened};
use crate::options::Options;
use crate::refused::RefusedNodes;
use crate::{Examined, Verification};
use crate::{clock, recovered};
use behind::Ahead;
use ed25519_dalek::SigningKey;
use ringwall_attest::release::Released;
use ringwall_attest::{Anchors, SessionError, Trace};
use ringwall_channel::user::{UserBinding, sign_restore, sign_user_as};
use ringwall_channel::{Attested, ChannelError, ClientDial, ClientPrologue, Opener, Sealer, Session, Unverified};
use ringwall_quic::{Alpn, CloseCode, FrameError, FrameReader, FrameWriter};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClientId, ClusterId, NoisePublic, Nonce, PolicyVersion, UserId};
use ringwall_wire::limits::{ATTEST_MESSAGE_BYTES, HANDSHAKE_MESSAGE_BYTES, REATTEST_MOST_S, REQUEST_BYTES};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestMode, GetDescriptor, NodeDescriptor, Refusal, RefusalCode, UserAuth, UserReady};
use ringwall_wire::version::SUPPORTED;
use ringwall_wire::without::{Defence, left_out};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of a sealed attestation answer: the answer, and what records add.
const SEALED_ATTEST_BYTES: usize = ATTEST_MESSAGE_BYTES + ATTEST_MESSAGE_BYTES / 8;
/// Bytes taken from the network at once: less than an opener lets wait.
const CHUNK_BYTES: usize = 128 * 1024;
/// Socket addresses of one name that are tried.
const RESOLVED: usize = 4;
/// Bytes of a written-out buffer that are kept for the next one.
const KEPT_BYTES: usize = 256 * 1024;

/// Dials real nodes.
pub(crate) struct NodeDialler {
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
    cluster_id: ClusterId,
    anchors: Arc<Anchors>,
    credential: Credential,
    user: UserId,
    restore: Option<Secret<32>>,
    keeper: Arc<Keeper>,
    governed: Arc<Governed>,
    ahead: Ahead,
    attest: AttestMode,
    min_policy_version: PolicyVersion,
    refused: Mutex<RefusedNodes>,
}

impl NodeDialler {
    /// Sets up the endpoint; dials nobody yet.
    pub(crate) fn new(options: Options) -> Result<Self, ConnectError> {
        let failed = |cause: String| ConnectError::Endpoint { cause };
        let user = options.user();
        let anchor: Arc<dyn AnchorStore> = if left_out(Defence::Anchor) { Arc::new(InMemory::default()) } else { options.anchor };
        let endpoint = match options.endpoint {
            Some(endpoint) => endpoint,
            None => endpoint()?,
        };
        let bad_card = |cause: String| ConnectError::CardPolicy { cause };
        let given =
            options.policy.map(|known| verified(known, &options.cluster_id)).transpose().map_err(|fault| bad_card(fault.to_string()))?;
        let governed = Arc::new(Governed::new(Arc::clone(&anchor), given).map_err(|fault| bad_card(fault.to_string()))?);
        Ok(NodeDialler {
            endpoint,
            governed,
            ahead: Ahead::default(),
            config: ringwall_quic::dial_config(Alpn::Client).map_err(|fault| failed(fault.to_string()))?,
            cluster_id: options.cluster_id,
            anchors: options.anchors,
            user,
            restore: options.restore,
            credential: options.credential,
            keeper: Keeper::new(anchor),
            attest: options.attest,
            min_policy_version: options.min_policy_version,
            refused: Mutex::new(RefusedNodes::default()),
        })
    }

    pub(crate) async fn connect(&self, address: &str, until: Instant) -> Result<quinn::Connection, DialError> {
        let resolving = tokio::time::timeout_at(until, tokio::net::lookup_host(address));
        let resolved = match resolving.await {
            Ok(Ok(addresses)) => addresses.take(RESOLVED).collect::<Vec<SocketAddr>>(),
            Ok(Err(fault)) => return Err(DialError::Unreachable(format!("the address cannot be resolved: {fault}"))),
            Err(_) => return Err(DialError::Unreachable("the address was not resolved in time".into())),
        };
        let mut trouble = DialError::Unreachable("the name has no address".into());
        for (tried, target) in resolved.iter().enumerate() {
            // A silent address must not use up the time of the others.
            let left = resolved.len().saturating_sub(tried).max(1);
            let within = until.saturating_duration_since(clock::now()) / u32::try_from(left).unwrap_or(1);
            match ringwall_quic::dial(&self.endpoint, &self.config, *target, within).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => trouble = DialError::Unreachable(fault.to_string()),
            }
        }
        Err(trouble)
    }

    /// Steps 0 to 2: an untrusted descriptor, and a handshake with whoever holds its keys.
    async fn handshake(&self, pipe: &mut Pipe, binding: &[u8; 32]) -> Result<Session<Unverified>, DialError> {
        let versions = List::new(SUPPORTED.to_vec()).expect("few versions are supported");
        pipe.write(&GetDescriptor { versions }.encode()).await?;
        let frame = pipe.read(HANDSHAKE_MESSAGE_BYTES).await?;
        let descriptor = NodeDescriptor::decode(&frame).map_err(|fault| hint(&frame, fault.to_string()))?;
        if !SUPPORTED.contains(&descriptor.version) {
            return Err(DialError::Breach(format!("it picked version {}, which was not offered", descriptor.version)));
        }
        if descriptor.cluster_id != self.cluster_id && !left_out(Defence::ClusterPin) {
            return Err(DialError::OtherCluster { claimed: descriptor.cluster_id, pinned: self.cluster_id });
        }
        if let Some(error) = self.refusal_of(&descriptor.noise) {
            return Err(DialError::Evidence(error));
        }
        let prologue = ClientPrologue {
            cluster_id: descriptor.cluster_id,
            epoch: descriptor.epoch,
            version: descriptor.version,
            transport_binding: binding,
        };
        let (dial, msg1) = ClientDial::start(&descriptor, &prologue, &mut Entropy).map_err(of_channel)?;
        pipe.write(&msg1).await?;
        let msg2 = pipe.read(HANDSHAKE_MESSAGE_BYTES).await?;
        dial.finish(&msg2).map_err(|fault| hint(&msg2, fault.to_string()))
    }

    /// Step 5: the evidence is judged here, and what it shows of governance is kept before anything is sent.
    pub(crate) async fn attest(
        &self,
        session: Session<Unverified>,
        exchange: &Exchange,
        trace: &mut Trace,
    ) -> Result<Session<Attested>, DialError> {
        let judged = exchange.judge(&self.anchors, trace);
        self.ahead.forget();
        let peer = judged.map_err(|error| match log_lied(&error) {
            Some((proof, what)) => DialError::History(self.governed.lied(proof, what)),
            None => self.refuse(session.remote_noise(), error),
        })?;
        let (governed, before, policy) = (Arc::clone(&self.governed), exchange.remembered().clone(), exchange.learned(&peer));
        let head = peer.released().map(Released::head).cloned();
        let kept = tokio::task::spawn_blocking(move || governed.learned(&before, policy, head.as_ref())).await;
        kept.map_err(|_| DialError::Handshake("the program is ending".into()))??;
        session.establish(peer).map_err(of_channel)
    }

    fn refusal_of(&self, noise: &NoisePublic) -> Option<Arc<SessionError>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).of(noise, clock::now())
    }

    /// Remembers a refused node by its key: for a while it is not even asked again.
    fn refuse(&self, noise: Option<&NoisePublic>, error: SessionError) -> DialError {
        let error = Arc::new(error);
        if went_back(&error) {
            return DialError::OldPolicy(error);
        }
        if let Some(noise) = noise {
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).note(*noise, &error, clock::now());
        }
        DialError::Evidence(error)
    }

    /// Step 6: the user's word, good on this session alone.
    fn user_auth(&self, session: &Session<Attested>, nonce: &Nonce, client: ClientId) -> UserAuth {
        let peer = session.peer().expect("an attested session has a peer");
        let binding = UserBinding { handshake: session.handshake(), nonce, incarnation: peer.incarnation() };
        let auth = sign_user_as(&binding, &self.user, &client, &self.credential.signing_key());
        let recovery = self.restore.as_ref().map(|seed| SigningKey::from_bytes(seed.expose()));
        let restore = recovery.map(|key| sign_restore(&binding, &self.user, &auth.cred, &key));
        UserAuth { restore, ..auth }
    }

    /// Steps 0 to 4, with a fresh nonce.
    pub(crate) async fn question(
        &self,
        connection: &quinn::Connection,
        nonce: &Nonce,
        until: Instant,
    ) -> Result<(Pipe, Session<Unverified>, Exchange), DialError> {
        let streams = tokio::time::timeout_at(until, connection.open_bi()).await;
        let (send, recv) = match streams {
            Ok(Ok(streams)) => streams,
            Ok(Err(fault)) => return Err(DialError::Unreachable(fault.to_string())),
            Err(_) => return Err(DialError::Unreachable("no stream was granted in time".into())),
        };
        let mut pipe = Pipe { reader: FrameReader::new(recv), writer: FrameWriter::new(send), until };
        let mut session = self.handshake(&mut pipe, &ringwall_quic::transport_binding(connection)).await?;
        let exchange = self.ask(&mut pipe, &mut session, nonce).await?;
        Ok((pipe, session, exchange))
    }

    /// Steps 0 to 5, and what was said on the way; then the node is left.
    pub(crate) async fn examine(&self, address: &str, until: Instant) -> Result<(Exchange, Examined), DialError> {
        let connection = self.connect(address, until).await?;
        let asked = self.question(&connection, &Nonce(entropy::bytes()), until).await;
        let seen = match asked {
            Ok((_, session, exchange)) => self.judged(session, exchange, address).await,
            Err(fault) => Err(fault),
        };
        let verified = matches!(&seen, Ok((_, examined)) if examined.verdict.is_ok());
        ringwall_quic::close(&connection, if verified { CloseCode::Done } else { CloseCode::Refused });
        tokio::time::sleep(GOODBYE).await;
        seen
    }

    async fn judged(&self, session: Session<Unverified>, exchange: Exchange, address: &str) -> Result<(Exchange, Examined), DialError> {
        let mut trace = Trace::new();
        let verdict = match self.attest(session, &exchange, &mut trace).await {
            Ok(session) => Ok(explain(&session, address)),
            Err(DialError::Evidence(error) | DialError::OldPolicy(error)) => Err(error),
            Err(fault) => return Err(fault),
        };
        let examined = Examined { place: address.into(), at_s: exchange.at_s(), verdict, trace };
        Ok((exchange, examined))
    }

    /// A session with a verified node, of which no user was said anything.
    pub(crate) async fn visit(&self, address: &str, until: Instant) -> Result<Visit, DialError> {
        let connection = self.connect(address, until).await?;
        let asked = self.question(&connection, &Nonce(entropy::bytes()), until).await;
        let attested = match asked {
            Ok((pipe, session, exchange)) => self.attest(session, &exchange, &mut Trace::new()).await.map(|session| (pipe, session)),
            Err(fault) => Err(fault),
        };
        match attested {
            Ok((pipe, session)) => Ok(Visit { connection, session, send: pipe.writer.into_stream(), recv: pipe.reader.into_stream() }),
            Err(fault) => {
                ringwall_quic::close(&connection, CloseCode::Refused);
                Err(fault)
            }
        }
    }

    async fn authenticated(
        &self,
        connection: quinn::Connection,
        address: &str,
        client: ClientId,
        until: Instant,
    ) -> Result<Opened<NodeLink>, DialError> {
        let opening = self.keeper.begin().await?;
        let nonce = opening.nonce;
        // The evidence is younger than this moment, so the session ends no later than the policy says.
        let asked_at = clock::now();
        let (pipe, session, exchange) = self.question(&connection, &nonce, until).await?;
        let mut session = self.attest(session, &exchange, &mut Trace::new()).await?;
        let reattest_by = asked_at + reattest_after(&session);
        let mut verification = explain(&session, address);
        let auth = UserAuth { known: opening.known(), ..self.user_auth(&session, &nonce, client) };
        let peer = session.peer().expect("an attested session has a peer");
        let expected = anchor::Session::new(peer, auth.user, client, nonce);
        let (sealer, opener) = session.split(0, REQUEST_BYTES).map_err(of_channel)?;
        let (send, recv) = pipe.into_streams();
        let mut link = NodeLink { connection, send, recv, sealer, opener, out: Vec::new(), written: 0, sitting: None };
        let ready = link.authenticate(auth, until).await?;
        link.sitting = Some(Sitting::open(&self.keeper, opening, (expected, exchange), (&ready.receipt, &ready.epochs))?);
        verification.recovered = recovered::tell(&verification, &ready.epochs, ready.recovered.as_ref())?;
        Ok(Opened { link, ready, verification, reattest_by })
    }
}

impl Dial for NodeDialler {
    type Link = NodeLink;
    type Reach = quinn::Connection;

    async fn settle(&self) {
        self.keeper.settle().await;
    }

    async fn reach(&self, address: &str, until: Instant) -> Result<quinn::Connection, DialError> {
        self.connect(address, until).await
    }

    async fn open(
        &self,
        connection: quinn::Connection,
        address: &str,
        client: ClientId,
        until: Instant,
    ) -> Result<Opened<NodeLink>, DialError> {
        let opened = self.authenticated(connection.clone(), address, client, until).await;
        if opened.is_err() {
            ringwall_quic::close(&connection, CloseCode::Refused);
        }
        opened
    }
}

/// Opens an endpoint of this process' own: both address families where the machine has them.
pub(crate) fn endpoint() -> Result<quinn::Endpoint, ConnectError> {
    let any = SocketAddr::from(([0u16; 8], 0));
    let any_v4 = SocketAddr::from(([0u8; 4], 0));
    ringwall_quic::bind(any, None)
        .or_else(|_| ringwall_quic::bind(any_v4, None))
        .map_err(|fault| ConnectError::Endpoint { cause: fault.to_string() })
}

/// How long one proof serves: as long as the policy lets it, and a day at most.
fn reattest_after(session: &Session<Attested>) -> Duration {
    let peer = session.peer().expect("an attested session has a peer");
    Duration::from_secs(u64::from(peer.policy().session.reattest_s.min(REATTEST_MOST_S)))
}

fn explain(session: &Session<Attested>, address: &str) -> Verification {
    Verification::of(session.peer().expect("an attested session has a peer"), address)
}

/// A session with a verified node and the stream it goes on with.
pub(crate) struct Visit {
    pub(crate) connection: quinn::Connection,
    pub(crate) session: Session<Attested>,
    pub(crate) send: quinn::SendStream,
    pub(crate) recv: quinn::RecvStream,
}

/// Frames of one stream until a deadline.
pub(crate) struct Pipe {
    reader: FrameReader,
    writer: FrameWriter,
    until: Instant,
}

impl Pipe {
    /// The stream itself, for what follows the frames of the opening.
    pub(crate) fn into_streams(self) -> (quinn::SendStream, quinn::RecvStream) {
        (self.writer.into_stream(), self.reader.into_stream())
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(clock::now())
    }

    async fn write(&mut self, frame: &[u8]) -> Result<(), DialError> {
        let within = self.left();
        self.writer.write(frame, within).await.map_err(of_frame)
    }

    async fn read(&mut self, max: usize) -> Result<Vec<u8>, DialError> {
        let within = self.left();
        self.reader.read(max, within).await.map_err(of_frame)
    }
}

/// A session with a verified node.
pub(crate) struct NodeLink {
    connection: quinn::Connection,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    sealer: Sealer,
    opener: Opener,
    out: Vec<u8>,
    written: usize,
    /// The session's receipts; none before it is open.
    sitting: Option<Sitting>,
}

impl NodeLink {
    async fn authenticate(&mut self, auth: UserAuth, until: Instant) -> Result<UserReady, DialError> {
        self.queue(&[auth.encode()]).map_err(|fault| DialError::Breach(fault.to_string()))?;
        let mut arrived = Vec::new();
        while arrived.is_empty() {
            match tokio::time::timeout_at(until, self.step(&mut arrived)).await {
                Ok(Ok(())) => {}
                Ok(Err(LinkError::Lost(why))) => return Err(DialError::Unreachable(why)),
                Ok(Err(LinkError::Breach(why))) => return Err(DialError::Breach(why)),
                Ok(Err(LinkError::History(trouble))) => return Err(trouble.into()),
                Err(_) => return Err(DialError::Unreachable("the user was neither accepted nor refused in time".into())),
            }
        }
        let [word] = arrived.as_slice() else { return Err(DialError::Breach("more than one answer to one user".into())) };
        match (UserReady::decode(word), Refusal::decode(word)) {
            (Ok(ready), _) => Ok(ready),
            (_, Ok(refusal)) if refusal.code == RefusalCode::NotAuthorized => Err(DialError::NotAuthorized(refusal.detail.to_string())),
            (_, Ok(refusal)) if refusal.code == RefusalCode::DeviceRevoked => Err(DialError::DeviceRevoked(refusal.detail.to_string())),
            (_, Ok(refusal)) if refusal.code == RefusalCode::NotRestored => Err(DialError::NotRestored(refusal.detail.to_string())),
            (_, Ok(refusal)) => Err(of_refusal(&refusal)),
            (Err(fault), Err(_)) => Err(DialError::Breach(format!("neither acceptance nor refusal: {fault}"))),
        }
    }

    /// Takes what was decrypted.
    fn drain(&mut self, arrived: &mut Vec<Vec<u8>>) -> Result<(), LinkError> {
        while let Some(message) = self.opener.next().map_err(|fault| LinkError::Breach(fault.to_string()))? {
            let passes = self.sitting.as_mut().map_or(Ok(true), |sitting| sitting.passes(&message))?;
            if passes {
                arrived.push(message);
            }
        }
        Ok(())
    }
}

impl Link for NodeLink {
    fn queue(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        self.sealer.seal_many(messages, &mut self.out).map_err(|fault| LinkError::Breach(fault.to_string()))
    }

    fn backlog(&self) -> usize {
        self.out.len().saturating_sub(self.written)
    }

    async fn step(&mut self, arrived: &mut Vec<Vec<u8>>) -> Result<(), LinkError> {
        if let Some(sitting) = &self.sitting {
            sitting.goes_on()?;
        }
        let NodeLink { send, recv, out, written, .. } = self;
        let rest = out.get(*written..).unwrap_or_default();
        tokio::select! {
            wrote = send.write(rest), if !rest.is_empty() => {
                let count = wrote.map_err(|fault| LinkError::Lost(fault.to_string()))?;
                *written = written.saturating_add(count);
                if *written >= out.len() {
                    out.clear();
                    out.shrink_to(KEPT_BYTES);
                    *written = 0;
                }
                Ok(())
            }
            chunk = recv.read_chunk(CHUNK_BYTES, true) => {
                let chunk = chunk.map_err(|fault| LinkError::Lost(fault.to_string()))?;
                let chunk = chunk.ok_or_else(|| LinkError::Lost("the node ended the stream".into()))?;
                self.opener.push(&chunk.bytes).map_err(|fault| LinkError::Breach(fault.to_string()))?;
                self.drain(arrived)
            }
        }
    }

    fn heard(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    fn close(self) {
        ringwall_quic::close(&self.connection, CloseCode::Done);
    }
}

fn of_frame(fault: FrameError) -> DialError {
    match fault {
        FrameError::TooLong { .. } | FrameError::Illegal { .. } => DialError::Breach(fault.to_string()),
        FrameError::TooSlow { .. }
        | FrameError::Ended { .. }
        | FrameError::Reset { .. }
        | FrameError::Lost(_)
        | FrameError::Gone { .. } => DialError::Unreachable(fault.to_string()),
    }
}

pub(crate) fn of_channel(fault: ChannelError) -> DialError {
    match fault {
        ChannelError::Refused(refusal) => of_refusal(&refusal),
        fault => DialError::Handshake(fault.to_string()),
    }
}

/// Before a session is attested a refusal is a hint anybody can send: it is shown and tried again, never final.
fn hint(frame: &[u8], fault: String) -> DialError {
    match Refusal::decode(frame) {
        Ok(refusal) => of_refusal(&refusal),
        Err(_) => DialError::Breach(fault),
    }
}

pub(crate) fn of_refusal(refusal: &Refusal) -> DialError {
    DialError::Refused { code: code_name(refusal.code), detail: refusal.detail.to_string() }
}
