//! The UDP endpoint: which protocols it speaks, how it is bound, how it dials, how connections are limited and closed.
//!
//! Decides: transport settings for strangers (small) and for judged peers ([`admit`] widens them), stable close codes, and what an
//! occupied or foreign address means to a person.
//! Trusts: nothing. Out of scope: which connections to take (`node`), what is said on them. Protocol section 3, SB6.

use crate::tls::PageCertificate;
use crate::{limits, tls};
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// What is spoken on a connection; fixed by the TLS handshake of the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// A client's session.
    Client,
    /// A session between nodes.
    Peer,
    /// HTTP/3, with the session of a client that is a page inside.
    Web,
}

impl Alpn {
    /// All of them; a node that lets no pages in speaks the first two.
    pub const ALL: [Alpn; 3] = [Alpn::Client, Alpn::Peer, Alpn::Web];
    /// Our own, which every node speaks.
    pub const NATIVE: [Alpn; 2] = [Alpn::Client, Alpn::Peer];

    /// The name on the wire.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Alpn::Client => b"ringwall/1",
            Alpn::Peer => b"ringwall-peer/1",
            Alpn::Web => b"h3",
        }
    }
}

/// Why a connection was closed, as its other side sees it. Codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// Nothing more to say.
    Done = 0,
    /// The session was refused; the refusal was sent before.
    Refused = 1,
    /// The node is shutting down: go elsewhere.
    ShuttingDown = 2,
    /// The node takes no more connections.
    Busy = 3,
    /// A handshake took too long.
    TooSlow = 4,
    /// The peer broke the protocol.
    Malformed = 5,
    /// Another session took this one's place.
    Replaced = 6,
}

/// Why the pipe could not be set up; none of it depends on a peer.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The throw-away certificate could not be made.
    #[error("the throw-away certificate of the QUIC endpoint could not be made: {0}")]
    Certificate(String),
    /// rustls refuses the settings, or the certificate that is shown to pages.
    #[error("the TLS settings of the QUIC endpoint are refused: {0}")]
    Tls(#[from] rustls::Error),
    /// The cipher QUIC needs for its first packets is missing.
    #[error("the TLS provider lacks the cipher QUIC starts with: {0}")]
    NoInitialCipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process holds it.
    #[error("UDP address {address} is in use by another process; stop that process or choose another listen address")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// It is not an address of this machine.
    #[error("UDP address {address} does not belong to this machine; use one of its own addresses, or 0.0.0.0 or [::] for all")]
    NotHere {
        /// The address.
        address: SocketAddr,
    },
    /// The process may not.
    #[error("no permission to bind UDP address {address}; choose a port above 1023 or grant CAP_NET_BIND_SERVICE")]
    Denied {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("UDP address {address} cannot be bound: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answered in time.
    #[error("{address} did not answer within {within:?}")]
    NoAnswer {
        /// The address.
        address: SocketAddr,
        /// How long we waited.
        within: Duration,
    },
    /// The endpoint cannot dial (closed, or an address of another family).
    #[error("cannot dial {address}: {source}")]
    Impossible {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: quinn::ConnectError,
    },
    /// The other side, or the network, ended the attempt.
    #[error("{address} ended the connection: {source}")]
    Ended {
        /// The address.
        address: SocketAddr,
        /// How.
        source: ConnectionError,
    },
}

/// Settings of the answering side, for our own protocols: those of a stranger. [`admit`] widens them.
pub fn server_config() -> Result<ServerConfig, PipeError> {
    answering(None)
}

/// The same where pages are let in too, who are shown this certificate. [`narrow`] belongs to it.
pub fn server_config_with_pages(shown: &PageCertificate) -> Result<ServerConfig, PipeError> {
    answering(Some(shown))
}

fn answering(shown: Option<&PageCertificate>) -> Result<ServerConfig, PipeError> {
    let crypto = QuicServerConfig::try_from(tls::server(shown)?)?;
    let mut settings = transport(limits::CLIENT_IDLE, None, limits::STRANGER_WINDOW_BYTES, limits::STRANGER_STREAMS);
    settings.send_window(limits::CLIENT_SEND_WINDOW_BYTES);
    if shown.is_some() {
        let_http(&mut settings);
    }
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .max_incoming(limits::INCOMING_WAITING)
        .incoming_buffer_size(limits::INCOMING_BYTES)
        .incoming_buffer_size_total(limits::INCOMING_TOTAL_BYTES)
        .transport_config(Arc::new(settings));
    Ok(config)
}

/// Settings of the dialling side of one protocol.
pub fn dial_config(alpn: Alpn) -> Result<ClientConfig, PipeError> {
    let crypto = QuicClientConfig::try_from(tls::dialler(alpn)?)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    // The answering side never opens streams.
    let mut settings = match alpn {
        Alpn::Client | Alpn::Web => transport(limits::CLIENT_IDLE, Some(limits::CLIENT_KEEP_ALIVE), limits::PEER_WINDOW_BYTES, 0),
        Alpn::Peer => transport(limits::PEER_IDLE, Some(limits::PEER_KEEP_ALIVE), limits::PEER_WINDOW_BYTES, 0),
    };
    if alpn == Alpn::Web {
        // But for those of HTTP/3 itself.
        let_http(&mut settings);
    }
    config.transport_config(Arc::new(settings));
    Ok(config)
}

/// What HTTP/3 with WebTransport needs of QUIC before it says a word.
fn let_http(settings: &mut TransportConfig) {
    settings
        .max_concurrent_uni_streams(VarInt::from_u32(limits::WEB_ONE_WAY_STREAMS))
        .datagram_receive_buffer_size(Some(limits::WEB_DATAGRAM_BYTES));
}

fn transport(idle: Duration, keep_alive: Option<Duration>, window_bytes: u32, streams: u32) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(limits::UDP_PAYLOAD_BYTES);
    let mut congestion = CubicConfig::default();
    congestion.initial_window(limits::INITIAL_CONGESTION_BYTES);
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(congestion))
        .max_idle_timeout(Some(IdleTimeout::try_from(idle).expect("idle times are seconds, far below 2^62 ms")))
        .keep_alive_interval(keep_alive)
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(window_bytes))
        .send_window(limits::SEND_WINDOW_BYTES)
        .initial_rtt(limits::INITIAL_RTT)
        .mtu_discovery_config(Some(mtu))
        .allow_spin(false);
    config
}

/// Binds `address` and opens an endpoint there; without `server` it only dials. Call inside a tokio runtime.
pub fn bind(address: SocketAddr, server: Option<ServerConfig>) -> Result<Endpoint, BindError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { address },
        io::ErrorKind::PermissionDenied => BindError::Denied { address },
        _ => BindError::Other { address, source },
    };
    let socket = UdpSocket::bind(address).map_err(failed)?;
    let options = socket2::SockRef::from(&socket);
    // A smaller buffer than asked only costs speed, so the kernel's refusal is no error.
    let _ = options.set_recv_buffer_size(limits::SOCKET_BUFFER_BYTES);
    let _ = options.set_send_buffer_size(limits::SOCKET_BUFFER_BYTES);
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(limits::UDP_PAYLOAD_BYTES).expect("the limit is between 1,200 and 65,527");
    Endpoint::new(config, server, socket, Arc::new(TokioRuntime)).map_err(failed)
}

/// Opens a connection to `address`, or gives up after `within`.
pub async fn dial(endpoint: &Endpoint, config: &ClientConfig, address: SocketAddr, within: Duration) -> Result<Connection, DialError> {
    let connecting =
        endpoint.connect_with(config.clone(), address, "ringwall").map_err(|source| DialError::Impossible { address, source })?;
    match tokio::time::timeout(within, connecting).await {
        Ok(outcome) => outcome.map_err(|source| DialError::Ended { address, source }),
        Err(_) => Err(DialError::NoAnswer { address, within }),
    }
}

/// What is spoken on `connection`; none when the handshake picked none of the protocols, which TLS does not let happen.
pub fn alpn(connection: &Connection) -> Option<Alpn> {
    let picked = connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol?;
    Alpn::ALL.into_iter().find(|alpn| alpn.name() == picked)
}

/// 32 bytes that both ends of this QUIC connection share and nobody else has; they go into the Noise prologue.
pub fn transport_binding(connection: &Connection) -> [u8; 32] {
    let mut binding = [0; 32];
    connection.export_keying_material(&mut binding, b"EXPORTER-ringwall/v1", b"").expect("TLS 1.3 exports 32 bytes");
    binding
}

/// Fits the streams of a stranger to what it turned out to speak: called by the answering side after QUIC's handshake, where pages are let in.
pub fn narrow(connection: &Connection, alpn: Alpn) {
    match alpn {
        Alpn::Web => connection.set_max_concurrent_bi_streams(VarInt::from_u32(limits::WEB_STREAMS)),
        // Those it may have opened already are never read.
        Alpn::Client | Alpn::Peer => connection.set_max_concurrent_uni_streams(VarInt::from_u32(0)),
    }
}

/// Gives a judged peer the windows and streams of its kind: called by the answering side once the session is attested or ready.
pub fn admit(connection: &Connection, alpn: Alpn) {
    let (window_bytes, send_bytes, streams) = match alpn {
        Alpn::Client => (limits::CLIENT_WINDOW_BYTES, limits::CLIENT_SEND_WINDOW_BYTES, limits::CLIENT_STREAMS),
        Alpn::Peer => (limits::PEER_WINDOW_BYTES, limits::SEND_WINDOW_BYTES, limits::PEER_STREAMS),
        // Its one session has its stream already.
        Alpn::Web => (limits::CLIENT_WINDOW_BYTES, limits::CLIENT_SEND_WINDOW_BYTES, limits::WEB_STREAMS),
    };
    connection.set_send_window(send_bytes);
    connection.set_receive_window(VarInt::from_u32(window_bytes));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(streams));
}

/// Closes with a stable code and no words.
pub fn close(connection: &Connection, code: CloseCode) {
    connection.close(VarInt::from_u32(code as u32), b"");
}
