//! Carrying an attempt at one node, and the session after it, over QUIC.
//!
//! Decides: how long is waited, and that nothing blocks the event loop: an attempt is moved to a thread that may block for every step, since steps judge evidence and call
//! the store. What is said to a node, and in which order, `ringwall_session::opening` decides.
//! Trusts: the opening for all of that. Out of scope: which node is tried when (`ringwall_session::core`), keeping in time (`dial/keeping.rs`). Protocol section 3.

mod keeping;

use crate::client::GOODBYE;
use crate::clock;
use crate::entropy::Entropy;
use crate::error::ConnectError;
use crate::link::{Dial, DialError, Link, LinkError, Opened};
use crate::options::Options;
use crate::{Examined, Exchange};
use keeping::Keeping;
use ringwall_channel::{Attested, Session};
use ringwall_quic::{Alpn, CloseCode, FrameError, FrameReader, FrameWriter};
use ringwall_session::line::{CHUNK_BYTES, Line};
use ringwall_session::opening::{Device, Goal, Memory, Now, Opening, Step, Terms, Visited, Wants};
use ringwall_wire::ids::{ClientId, Nonce};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Socket addresses of one name that are tried.
const RESOLVED: usize = 4;

/// Dials real nodes.
pub(crate) struct NodeDialler {
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
    terms: Arc<Terms>,
    keeping: Arc<Keeping>,
}

impl NodeDialler {
    /// Sets up the endpoint; dials nobody yet.
    pub(crate) fn new(options: Options) -> Result<Self, ConnectError> {
        let failed = |cause: String| ConnectError::Endpoint { cause };
        let user = options.user();
        let endpoint = match options.endpoint {
            Some(endpoint) => endpoint,
            None => endpoint()?,
        };
        let memory = Memory::new(options.anchor, &options.cluster_id, options.policy)?;
        let terms = Terms {
            cluster_id: options.cluster_id,
            anchors: options.anchors,
            attest: options.attest,
            min_policy_version: options.min_policy_version,
            user,
            device: Device::Key(options.credential.into_device()),
            restore: options.restore,
        };
        Ok(NodeDialler {
            endpoint,
            config: ringwall_quic::dial_config(Alpn::Client).map_err(|fault| failed(fault.to_string()))?,
            terms: Arc::new(terms),
            keeping: Keeping::of(memory),
        })
    }

    async fn connect(&self, address: &str, until: Instant) -> Result<quinn::Connection, DialError> {
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

    /// Drives an attempt to its end; gives how it ended, and the stream it used.
    async fn attempt(&self, connection: &quinn::Connection, goal: Goal, address: &str, until: Instant) -> Result<(Step, Pipe), DialError> {
        let (memory, terms) = (Arc::clone(self.keeping.memory()), Arc::clone(&self.terms));
        let (address, binding) = (address.to_owned(), ringwall_quic::transport_binding(connection));
        let (mut opening, mut step) =
            off_the_loop(move || Opening::begin((&memory, &terms), goal, &address, binding, now(), &mut Entropy)).await??;
        let mut pipe = Pipe::open(connection, until).await?;
        loop {
            match step {
                Step::Send(frame) => pipe.write(&frame).await?,
                Step::Stream(bytes) => {
                    pipe = pipe.into_stream();
                    pipe.write(&bytes).await?;
                }
                Step::Wait => {}
                // A key that is here signs here.
                Step::Sign(_) => return Err(DialError::OutOfOrder("a signature was asked for that nobody gives")),
                Step::Open(_) | Step::Judged(_) | Step::Visit(_) => return Ok((step, pipe)),
            }
            let got = pipe.read(opening.wants()).await?;
            let keeping = Arc::clone(&self.keeping);
            (opening, step) = off_the_loop(move || {
                let step = opening.take(&got, now(), &mut Entropy);
                keeping.arm();
                step.map(|step| (opening, step))
            })
            .await??;
        }
    }

    /// What a node proves, and what was said on the way; then it is left.
    pub(crate) async fn examine(&self, address: &str, until: Instant) -> Result<(Exchange, Examined), DialError> {
        let connection = self.connect(address, until).await?;
        let seen = match self.attempt(&connection, Goal::Examine, address, until).await {
            Ok((Step::Judged(judged), _)) => Ok(*judged),
            other => Err(ended_otherwise(other)),
        };
        let verified = matches!(&seen, Ok((_, examined)) if examined.verdict.is_ok());
        ringwall_quic::close(&connection, if verified { CloseCode::Done } else { CloseCode::Refused });
        tokio::time::sleep(GOODBYE).await;
        seen
    }

    /// A session with a verified node, of which no user was said anything.
    pub(crate) async fn visit(&self, address: &str, until: Instant) -> Result<Visit, DialError> {
        let connection = self.connect(address, until).await?;
        let visited = match self.attempt(&connection, Goal::Visit, address, until).await {
            Ok((Step::Visit(visited), pipe)) => Ok((visited, pipe.into_streams())),
            other => Err(ended_otherwise(other)),
        };
        match visited {
            Ok((visited, (send, recv))) => {
                let Visited { session, nonce, exchange } = *visited;
                Ok(Visit { connection, session, nonce, exchange, send, recv })
            }
            Err(fault) => {
                ringwall_quic::close(&connection, CloseCode::Refused);
                Err(fault)
            }
        }
    }
}

impl Dial for NodeDialler {
    type Link = NodeLink;
    type Reach = quinn::Connection;

    async fn settle(&self) {
        self.keeping.settle().await;
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
    ) -> Result<(NodeLink, Opened), DialError> {
        match self.attempt(&connection, Goal::User { client }, address, until).await {
            Ok((Step::Open(open), pipe)) => {
                let ((opened, line), (send, recv)) = (*open, pipe.into_streams());
                Ok((NodeLink { connection, send, recv, line, keeping: Arc::clone(&self.keeping) }, opened))
            }
            other => {
                ringwall_quic::close(&connection, CloseCode::Refused);
                Err(ended_otherwise(other))
            }
        }
    }
}

/// An attempt ends as its goal says, or with an error.
fn ended_otherwise<T>(ended: Result<(Step, T), DialError>) -> DialError {
    match ended {
        Ok(_) => DialError::OutOfOrder("an attempt ended in what it was not begun for"),
        Err(fault) => fault,
    }
}

fn now() -> Now {
    Now { ms: clock::now_ms(), s: clock::now_s() }
}

/// Does what may block, or takes long, beside the event loop.
async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, DialError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| DialError::Handshake("the program is ending".into()))
}

/// Opens an endpoint of this process' own: both address families where the machine has them.
fn endpoint() -> Result<quinn::Endpoint, ConnectError> {
    let any = SocketAddr::from(([0u16; 8], 0));
    let any_v4 = SocketAddr::from(([0u8; 4], 0));
    ringwall_quic::bind(any, None)
        .or_else(|_| ringwall_quic::bind(any_v4, None))
        .map_err(|fault| ConnectError::Endpoint { cause: fault.to_string() })
}

/// A session with a verified node and the stream it goes on with.
pub(crate) struct Visit {
    pub(crate) connection: quinn::Connection,
    pub(crate) session: Session<Attested>,
    /// The nonce of its evidence.
    pub(crate) nonce: Nonce,
    /// Its evidence.
    pub(crate) exchange: Exchange,
    pub(crate) send: quinn::SendStream,
    pub(crate) recv: quinn::RecvStream,
}

/// One stream until a deadline: of frames first, of bytes then.
struct Pipe {
    side: Side,
    until: Instant,
}

enum Side {
    Frames(FrameReader, FrameWriter),
    Bytes(quinn::RecvStream, quinn::SendStream),
}

impl Pipe {
    async fn open(connection: &quinn::Connection, until: Instant) -> Result<Self, DialError> {
        match tokio::time::timeout_at(until, connection.open_bi()).await {
            Ok(Ok((send, recv))) => Ok(Pipe { side: Side::Frames(FrameReader::new(recv), FrameWriter::new(send)), until }),
            Ok(Err(fault)) => Err(DialError::Unreachable(fault.to_string())),
            Err(_) => Err(DialError::Unreachable("no stream was granted in time".into())),
        }
    }

    /// The stream itself, for what follows the frames of the opening.
    fn into_streams(self) -> (quinn::SendStream, quinn::RecvStream) {
        match self.side {
            Side::Frames(reader, writer) => (writer.into_stream(), reader.into_stream()),
            Side::Bytes(recv, send) => (send, recv),
        }
    }

    fn into_stream(self) -> Self {
        let until = self.until;
        let (send, recv) = self.into_streams();
        Pipe { side: Side::Bytes(recv, send), until }
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(clock::now())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), DialError> {
        let within = self.left();
        match &mut self.side {
            Side::Frames(_, writer) => writer.write(bytes, within).await.map_err(of_frame),
            Side::Bytes(_, send) => match tokio::time::timeout(within, send.write_all(bytes)).await {
                Ok(wrote) => wrote.map_err(|fault| DialError::Unreachable(fault.to_string())),
                Err(_) => Err(DialError::Unreachable("the node took nothing in time".into())),
            },
        }
    }

    async fn read(&mut self, wants: Wants) -> Result<Vec<u8>, DialError> {
        let within = self.left();
        match (&mut self.side, wants) {
            (Side::Frames(reader, _), Wants::Frame(most)) => reader.read(most, within).await.map_err(of_frame),
            (Side::Bytes(recv, _), Wants::Bytes(most)) => match tokio::time::timeout(within, recv.read_chunk(most, true)).await {
                Ok(Ok(Some(chunk))) => Ok(chunk.bytes.to_vec()),
                Ok(Ok(None)) => Err(DialError::Unreachable("the node ended the stream".into())),
                Ok(Err(fault)) => Err(DialError::Unreachable(fault.to_string())),
                Err(_) => Err(DialError::Unreachable("the user was neither accepted nor refused in time".into())),
            },
            _ => Err(DialError::OutOfOrder("it waits for what this stream does not carry")),
        }
    }
}

/// A session with a verified node.
pub(crate) struct NodeLink {
    connection: quinn::Connection,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    line: Line,
    keeping: Arc<Keeping>,
}

impl Link for NodeLink {
    fn queue(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        self.line.queue(messages)
    }

    fn backlog(&self) -> usize {
        self.line.backlog()
    }

    async fn step(&mut self, arrived: &mut Vec<Vec<u8>>) -> Result<(), LinkError> {
        self.line.goes_on()?;
        let NodeLink { send, recv, line, keeping, .. } = self;
        let wrote = tokio::select! {
            wrote = send.write(line.unsent()), if line.backlog() > 0 => wrote.map_err(|fault| LinkError::Lost(fault.to_string()))?,
            chunk = recv.read_chunk(CHUNK_BYTES, true) => {
                let chunk = chunk.map_err(|fault| LinkError::Lost(fault.to_string()))?;
                let chunk = chunk.ok_or_else(|| LinkError::Lost("the node ended the stream".into()))?;
                line.push(&chunk.bytes)?;
                let drained = line.drain(arrived, clock::now_ms());
                keeping.arm();
                return drained;
            }
        };
        line.sent(wrote);
        Ok(())
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
