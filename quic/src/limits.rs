//! Every limit of the outer pipe, with its unit and its reason.
//!
//! Decides: how much memory and time a stranger costs before anything about them is known, and how much a judged peer may use.
//! Trusts: nothing. Out of scope: how many connections a node takes (`node`, operational). Explained in docs/limits.md.

use std::time::Duration;

/// Connections whose first packet waits for a decision: beyond this new first packets are dropped.
pub const INCOMING_WAITING: usize = 256;
/// Bytes kept of one connection before it is accepted: a client hello and its padding fit many times.
pub const INCOMING_BYTES: u64 = 64 * 1024;
/// Bytes kept of all connections before they are accepted.
pub const INCOMING_TOTAL_BYTES: u64 = 8 * 1024 * 1024;
/// Streams a stranger may open: one carries handshake and session.
pub const STRANGER_STREAMS: u32 = 1;
/// Streams a client may open after its session is ready: one long stream, and room for one that replaces it.
pub const CLIENT_STREAMS: u32 = 4;
/// Streams a member may open after both attested: the handshake stream, four classes, and their replacements.
pub const PEER_STREAMS: u32 = 16;
/// Streams a page has in both directions: its request for WebTransport, and the one that carries handshake and session.
pub const WEB_STREAMS: u32 = 2;
/// Streams in one direction that may be open where pages are let in: HTTP/3's own three. Which protocol is spoken is only known after QUIC has said this, so
/// a native stranger may open them as well; what it sends on them counts in its window, and is never read.
pub const WEB_ONE_WAY_STREAMS: u32 = 3;
/// Bytes of datagrams kept, and of the largest one: HTTP/3 wants that datagrams could be sent for WebTransport; one that comes ends the connection.
pub const WEB_DATAGRAM_BYTES: usize = 1_200;
/// Bytes a stranger may have in flight to us: an attestation answer as they are; one of the full size takes two turns of it.
pub const STRANGER_WINDOW_BYTES: u32 = 640 * 1024;
/// Bytes a client may have in flight to us: two requests of the full size.
pub const CLIENT_WINDOW_BYTES: u32 = 3 * 1024 * 1024;
/// Bytes a member may have in flight to us: two messages of the full size, beside a snapshot chunk.
pub const PEER_WINDOW_BYTES: u32 = 20 * 1024 * 1024;
/// Bytes one stream may have in flight to us: one message between members of the full size.
pub const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024 + 64 * 1024;
/// Bytes we keep unacknowledged towards a stranger or a client: two replies of the full size, for each of thousands that read nothing.
pub const CLIENT_SEND_WINDOW_BYTES: u64 = 3 * 1024 * 1024;
/// Bytes we keep unacknowledged towards a judged member, or as a dialler.
pub const SEND_WINDOW_BYTES: u64 = 20 * 1024 * 1024;
/// Silence after which a client connection is dead.
pub const CLIENT_IDLE: Duration = Duration::from_secs(30);
/// Silence after which a connection between members is dead: several heartbeats, and short enough that a dead peer frees its place.
pub const PEER_IDLE: Duration = Duration::from_secs(4);
/// How often a dialler shows that it is alive: well below the idle time of its kind.
pub const CLIENT_KEEP_ALIVE: Duration = Duration::from_secs(8);
/// The same between members.
pub const PEER_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Round trip assumed before one was measured: sets how soon a lost first packet is sent again.
pub const INITIAL_RTT: Duration = Duration::from_millis(60);
/// Bytes a new connection may have unacknowledged: ten datagrams of the largest size (RFC 9002, 7.2), so that a probe for that size in
/// flight never holds back what follows it; a connection that closes right then would otherwise go without a word.
pub const INITIAL_CONGESTION_BYTES: u64 = 10 * UDP_PAYLOAD_BYTES as u64;
/// Largest UDP payload probed for: jumbo frames and loopback; ordinary networks settle at about 1,450.
pub const UDP_PAYLOAD_BYTES: u16 = 8_952;
/// Bytes asked of the kernel for each socket buffer: one burst of a full window's share without loss.
pub const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
