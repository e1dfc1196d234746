//! WebSocket: a stream of bytes each way, as binary messages, for pages whose browser or network has no WebTransport.
//!
//! Decides: one path; how long an upgrade may take; binary messages of a bounded size are the next bytes, whatever their borders; text, unmasked frames
//! and longer messages end the connection. Whoever is silent for as long as a dead QUIC connection is gone. There is no TLS here: the session inside needs
//! none, and a proxy in front may add one for pages that were loaded over https.
//! Trusts: nothing. Out of scope: sessions; what the proxy sees: sealed records and their sizes. Protocol section 3.5.

use crate::clock;
use crate::web::PATH;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use ringwall_quic::limits::{CLIENT_IDLE, CLIENT_KEEP_ALIVE};
use ringwall_quic::{CloseCode, FrameError};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as SocketCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// Bytes of one message, in either direction: a page cuts what is longer, since nobody knows yet who it is when the first bytes come.
pub(crate) const MESSAGE_BYTES: usize = 64 * 1024;
/// Bytes read from the kernel at once, kept for each connection.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// Bytes asked of the kernel for what one connection has not read yet, and for what it sent and nobody read.
const KERNEL_BYTES: u32 = 256 * 1024;
/// Connections that wait to be taken.
const BACKLOG: u32 = 256;
/// What our codes begin at: those below are the protocol's own.
const CODES_FROM: u16 = 4_000;
/// Time a client has to read the last word, and to close its side.
const LAST_WORD: Duration = Duration::from_millis(500);
/// Bytes that are read and thrown away meanwhile: unread ones would make the kernel throw away our last word.
const LAST_BYTES: usize = 1024 * 1024;

type Stream = WebSocketStream<TcpStream>;

/// Binds the TCP address; what is accepted there has small buffers in the kernel.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(KERNEL_BYTES)?;
    socket.set_recv_buffer_size(KERNEL_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Why a connection was not upgraded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    /// It took too long.
    #[error("no complete upgrade to WebSocket within {within:?}")]
    TooSlow {
        /// How long we waited.
        within: Duration,
    },
    /// It asks for something else.
    #[error("not a request for WebSocket at /ringwall")]
    Refused,
}

/// A connection that speaks WebSocket.
pub struct Socket {
    sink: Arc<tokio::sync::Mutex<SplitSink<Stream, Message>>>,
    stream: Arc<Mutex<Option<SplitStream<Stream>>>>,
    beat: AbortHandle,
}

impl core::fmt::Debug for Socket {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("Socket")
    }
}

impl Socket {
    /// Upgrades a connection that was just taken, within `within`.
    pub(crate) async fn upgrade(stream: TcpStream, within: Duration) -> Result<Self, UpgradeError> {
        // Records leave when they are ready; a kernel that refuses only makes them wait.
        let _ = stream.set_nodelay(true);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * MESSAGE_BYTES)
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES))
            .accept_unmasked_frames(false);
        let upgrading = accept_hdr_async_with_config(stream, at_our_path, Some(config));
        let upgraded = timeout(within, upgrading).await.map_err(|_| UpgradeError::TooSlow { within })?;
        upgraded.map(Socket::over).map_err(|_| UpgradeError::Refused)
    }

    /// Goes on with what was upgraded.
    pub(crate) fn over(stream: Stream) -> Self {
        let (sink, stream) = stream.split();
        let sink = Arc::new(tokio::sync::Mutex::new(sink));
        let beat = tokio::spawn(beat(Arc::clone(&sink))).abort_handle();
        Socket { sink, stream: Arc::new(Mutex::new(Some(stream))), beat }
    }

    /// The two halves. Asked for once.
    pub(crate) fn streams(&mut self) -> Result<(SocketWriter, SocketReader), FrameError> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = stream.ok_or(FrameError::Ended { inside: true })?;
        let reader = SocketReader { stream: Some(stream), back: Arc::clone(&self.stream), left: Bytes::new(), heard: clock::now() };
        Ok((SocketWriter { sink: Arc::clone(&self.sink) }, reader))
    }

    /// Says goodbye with a code, and gives it time to arrive.
    pub(crate) async fn close(self, code: CloseCode) {
        self.beat.abort();
        let code = SocketCode::from(CODES_FROM.saturating_add(code as u16));
        let goodbye = Message::Close(Some(CloseFrame { code, reason: "".into() }));
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let parting = async {
            let mut sink = self.sink.lock().await;
            if sink.send(goodbye).await.is_err() {
                return;
            }
            let (mut stream, mut read) = (stream, 0usize);
            while let Some(stream) = &mut stream
                && let Some(Ok(message)) = stream.next().await
                && read < LAST_BYTES
            {
                read = read.saturating_add(message.len()).saturating_add(1);
            }
        };
        // Whether it was heard changes nothing for us.
        let _ = timeout(LAST_WORD, parting).await;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

#[allow(clippy::result_large_err, reason = "the type is the library's")]
fn at_our_path(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    match request.uri().path_and_query().is_some_and(|asked| asked.as_str() == PATH) {
        true => Ok(response),
        false => {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = StatusCode::NOT_FOUND;
            Err(refused)
        }
    }
}

/// Makes the other side answer now and then, so that a dead one is noticed.
async fn beat(sink: Arc<tokio::sync::Mutex<SplitSink<Stream, Message>>>) {
    loop {
        sleep(CLIENT_KEEP_ALIVE).await;
        if sink.lock().await.send(Message::Ping(Bytes::new())).await.is_err() {
            return;
        }
    }
}

/// What is sent.
pub(crate) struct SocketWriter {
    sink: Arc<tokio::sync::Mutex<SplitSink<Stream, Message>>>,
}

impl core::fmt::Debug for SocketWriter {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("SocketWriter")
    }
}

impl SocketWriter {
    /// Takes all of it, as fast as the kernel does.
    pub(crate) async fn put_whole(&mut self, mut bytes: Bytes) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let message = bytes.split_to(bytes.len().min(MESSAGE_BYTES));
            // Not held from one message to the next: a sign of life fits between.
            self.sink.lock().await.send(Message::Binary(message)).await.map_err(|fault| named(&fault))?;
        }
        Ok(())
    }
}

/// What is received.
pub(crate) struct SocketReader {
    stream: Option<SplitStream<Stream>>,
    back: Arc<Mutex<Option<SplitStream<Stream>>>>,
    left: Bytes,
    heard: Instant,
}

impl core::fmt::Debug for SocketReader {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("SocketReader")
    }
}

impl SocketReader {
    /// The next bytes, at most `most`; none when the other side said goodbye.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Option<Bytes>, FrameError> {
        while self.left.is_empty() {
            let Some(stream) = &mut self.stream else { return Ok(None) };
            let message = timeout_at(self.heard + CLIENT_IDLE, stream.next()).await;
            let message = message.map_err(|_| FrameError::Gone { why: "nothing was heard for too long".into() })?;
            self.heard = clock::now();
            match message {
                Some(Ok(Message::Binary(bytes))) => self.left = bytes,
                Some(Ok(Message::Text(_))) => return Err(FrameError::Illegal { what: "a text message" }),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Err(fault)) => return Err(named(&fault)),
            }
        }
        Ok(Some(self.left.split_to(most.min(self.left.len()))))
    }
}

impl Drop for SocketReader {
    fn drop(&mut self) {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}

/// A fault in our words: those of the library may repeat what the other side sent.
fn named(fault: &Error) -> FrameError {
    match fault {
        Error::Capacity(_) => FrameError::Illegal { what: "a message of more than 64 KiB" },
        Error::Protocol(ProtocolError::UnmaskedFrameFromClient) => FrameError::Illegal { what: "an unmasked frame" },
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => FrameError::Gone { why: "it ended without a goodbye".into() },
        Error::Protocol(_) | Error::Utf8(_) => FrameError::Illegal { what: "a frame that is not one" },
        Error::Io(fault) => FrameError::Gone { why: fault.kind().to_string() },
        _ => FrameError::Gone { why: "WebSocket ended".into() },
    }
}
