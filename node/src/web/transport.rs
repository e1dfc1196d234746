//! WebTransport: the little of HTTP/3 that a page's one session needs.
//!
//! Decides: settings both ways, one request for WebTransport at one path, then one stream in both directions with the session's bytes; every step bounded
//! in bytes before memory is reserved, and all of them together in time. Everything else (other requests, a second one, pushes, streams in one direction
//! for the page, datagrams, floods of HTTP/3's own streams) ends the connection with a code of HTTP/3.
//! Trusts: nothing. Out of scope: the session (`front/session.rs`), which has the raw stream. Protocol section 3.5; RFC 9114, RFC 9220, WebTransport over HTTP/3.

use crate::web::PATH;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt as QuicInt};
use ringwall_quic::{CloseCode, FrameError};
use ringwall_wire::ids::Digest;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use web_transport_proto::{Capsule, ConnectError, ConnectRequest, ConnectResponse, Frame, Settings, StreamUni, VarInt};

/// Bytes of the other side's settings: browsers send under 100.
const SETTINGS_BYTES: u64 = 4 * 1024;
/// Bytes of the request's headers: browsers send under 500. What we announce to take of them decoded is the library's limit, 16 KiB.
const REQUEST_BYTES: u64 = 16 * 1024;
/// Bytes of anything else on HTTP/3's own streams and behind the request, which is read and thrown away.
const IGNORED_BYTES: usize = 16 * 1024;
/// Streams in one direction, ever: three of HTTP/3, and some of kinds nobody knows, which are to be ignored.
const ONE_WAY_STREAMS: usize = 8;
/// Time for the goodbye to arrive.
const LAST_WORD: Duration = Duration::from_millis(500);
/// HTTP/3's code for the end of what went well.
const NO_ERROR: u32 = 0x100;
/// And for a stream nobody wants.
const STREAM_CREATION_ERROR: u32 = 0x103;

/// Why a page was not let in, or its connection was ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageFault {
    /// It is gone.
    #[error("the connection is gone: {0}")]
    Lost(#[from] ConnectionError),
    /// The page ended its session.
    #[error("the page left")]
    Left,
    /// It took too long.
    #[error("no request for WebTransport within {within:?}")]
    TooSlow {
        /// How long we waited.
        within: Duration,
    },
    /// A stream ended, or was reset, where something had to follow.
    #[error("a stream ended where {what} had to follow")]
    Cut {
        /// What.
        what: &'static str,
    },
    /// Something is longer than it may be.
    #[error("{what} of more than {most} bytes")]
    TooLong {
        /// What.
        what: &'static str,
        /// Limit.
        most: u64,
    },
    /// What opens the control stream is no settings, or they do not offer WebTransport.
    #[error("settings that are none, or that do not offer WebTransport")]
    Settings,
    /// The request cannot be read.
    #[error("a request that cannot be read")]
    Request,
    /// It is another request.
    #[error("a request for something else than WebTransport at /ringwall")]
    OtherRequest,
    /// There were a request and a stream for the session already.
    #[error("a further request or stream")]
    Further,
    /// A kind of stream that there is once, again.
    #[error("a second stream of a kind that there is once")]
    Repeated,
    /// A stream in one direction that is not HTTP/3's own.
    #[error("a push, or a stream in one direction")]
    OneWay,
    /// Too many of them.
    #[error("more than {ONE_WAY_STREAMS} streams in one direction")]
    Flood,
    /// A datagram.
    #[error("a datagram")]
    Datagram,
}

impl PageFault {
    /// HTTP/3's code for it.
    fn code(&self) -> u32 {
        match self {
            PageFault::Lost(_) | PageFault::Left => NO_ERROR,
            PageFault::Cut { .. } => 0x104,
            PageFault::OneWay | PageFault::Repeated => STREAM_CREATION_ERROR,
            PageFault::TooSlow { .. } | PageFault::TooLong { .. } | PageFault::Flood => 0x107,
            PageFault::Settings => 0x109,
            PageFault::OtherRequest | PageFault::Further => 0x10b,
            PageFault::Request => 0x10e,
            PageFault::Datagram => 0x33,
        }
    }
}

/// Ends a connection with the fault's code and words, which hold nothing of what the page sent.
pub(crate) fn refuse(connection: &Connection, fault: &PageFault) {
    connection.close(QuicInt::from_u32(fault.code()), fault.to_string().as_bytes());
}

/// A page that was let in.
#[derive(Debug)]
pub struct Page {
    connection: Connection,
    certificate: Digest,
    /// The answering half of its request: the session lasts as long as it.
    request: SendStream,
    /// Ours, with the settings; its end would be a fault of ours.
    _control: SendStream,
    session: Option<oneshot::Receiver<(SendStream, RecvStream)>>,
    watching: AbortHandle,
}

impl Page {
    /// Lets a page in that was shown `certificate`, or says why not. Afterwards the connection is watched for what is not legal.
    pub(crate) async fn open(connection: Connection, certificate: Digest, within: Duration) -> Result<Page, PageFault> {
        let opened = timeout(within, open(connection.clone(), certificate)).await;
        let opened = opened.unwrap_or(Err(PageFault::TooSlow { within }));
        if let Err(fault) = &opened {
            refuse(&connection, fault);
        }
        opened
    }

    /// The session's stream, once the page opened it: the bytes after its header. Asked for once.
    pub(crate) async fn streams(&mut self) -> Result<(SendStream, RecvStream), FrameError> {
        let session = self.session.take().ok_or(FrameError::Ended { inside: true })?;
        let gone = |_| FrameError::Gone { why: "the page left, or broke HTTP/3's rules".into() };
        let (send, mut recv) = session.await.map_err(gone)?;
        let mut header = [0; 2];
        for place in &mut header {
            *place = VarInt::read(&mut recv).await.map_err(|_| FrameError::Ended { inside: true })?.into_inner();
        }
        match header == [Frame::WEBTRANSPORT.0.into_inner(), QuicInt::from(self.request.id()).into_inner()] {
            true => Ok((send, recv)),
            false => Err(FrameError::Illegal { what: "a stream of another session" }),
        }
    }

    /// SHA-256 of the certificate it was shown.
    pub(crate) fn certificate(&self) -> &Digest {
        &self.certificate
    }

    /// The connection under it.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends the session with a code the page sees, then the connection.
    pub(crate) async fn close(mut self, code: CloseCode) {
        // It is watched until it is closed: what reads the page's streams is part of that, and letting them go would end the session before the goodbye is sent.
        let mut capsule = Vec::new();
        Capsule::CloseWebTransportSession { code: code as u32, reason: String::new() }.encode(&mut capsule);
        let goodbye = framed(Frame::DATA, &capsule);
        let parting = async {
            if self.request.write_all(&goodbye).await.is_ok() && self.request.finish().is_ok() {
                // Whether it arrived changes nothing for us.
                let _ = self.request.stopped().await;
            }
        };
        let _ = timeout(LAST_WORD, parting).await;
        self.connection.close(QuicInt::from_u32(NO_ERROR), b"");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn open(connection: Connection, certificate: Digest) -> Result<Page, PageFault> {
    let mut settings = Settings::default();
    settings.enable_webtransport(1);
    let mut told = Vec::new();
    settings.encode(&mut told);
    let mut control = connection.open_uni().await?;
    control.write_all(&told).await.map_err(|_| PageFault::Cut { what: "our settings" })?;
    let (settled, heard) = watch::channel(false);
    let mut one_way =
        OneWay { connection: connection.clone(), settled: Arc::new(settled), seen: Arc::default(), count: 0, open: JoinSet::new() };
    let (mut request, rest) = tokio::select! {
        fault = one_way.watch() => return Err(fault),
        fault = datagrams(&connection) => return Err(fault),
        asked = asked(&connection, heard) => asked?,
    };
    let mut answer = Vec::new();
    ConnectResponse::OK.encode(&mut answer).map_err(|_| PageFault::Request)?;
    request.write_all(&answer).await.map_err(|_| PageFault::Left)?;
    let (give, session) = oneshot::channel();
    // Held until the connection was ended: whoever waits for the session's stream ends it too, with another code, as soon as there will be none.
    let mut give = Some(give);
    let watched = connection.clone();
    let watching = tokio::spawn(async move {
        let fault = tokio::select! {
            fault = one_way.watch() => fault,
            fault = datagrams(&watched) => fault,
            fault = sessions(&watched, &mut give) => fault,
            fault = ignored(rest, IGNORED_BYTES) => fault,
        };
        tracing::debug!(%fault, "a page's connection ended");
        refuse(&watched, &fault);
    });
    Ok(Page { connection, certificate, request, _control: control, session: Some(session), watching: watching.abort_handle() })
}

/// The request, read and found good, once the settings are known.
async fn asked(connection: &Connection, mut settled: watch::Receiver<bool>) -> Result<(SendStream, RecvStream), PageFault> {
    let (send, mut recv) = connection.accept_bi().await?;
    let headers = loop {
        // Kinds nobody knows may come first; all of them together are bounded by the time there is.
        match frame(&mut recv, "the request", REQUEST_BYTES).await? {
            (Frame::HEADERS, headers) => break headers,
            (kind, _) if kind.is_grease() => {}
            _ => return Err(PageFault::Request),
        }
    };
    let request = ConnectRequest::decode(&mut framed(Frame::HEADERS, &headers).as_slice()).map_err(|fault| match fault {
        ConnectError::WrongMethod(_) | ConnectError::WrongProtocol(_) | ConnectError::WrongScheme(_) | ConnectError::WrongPath => {
            PageFault::OtherRequest
        }
        ConnectError::FieldSectionTooLarge => PageFault::TooLong { what: "headers", most: REQUEST_BYTES },
        _ => PageFault::Request,
    })?;
    if request.url.path() != PATH || request.url.query().is_some() {
        return Err(PageFault::OtherRequest);
    }
    // Its other end is held by whoever reads the settings, who ends the connection where there are none.
    settled.wait_for(|settled| *settled).await.map_err(|_| PageFault::Settings)?;
    Ok((send, recv))
}

/// Hands on the first stream, which is the session's; there is no second.
async fn sessions(connection: &Connection, give: &mut Option<oneshot::Sender<(SendStream, RecvStream)>>) -> PageFault {
    match connection.accept_bi().await {
        Ok(streams) => {
            // Whoever waited for it may be gone; the connection ends with it.
            let _ = give.take().map(|give| give.send(streams));
        }
        Err(fault) => return fault.into(),
    }
    match connection.accept_bi().await {
        Ok(_) => PageFault::Further,
        Err(fault) => fault.into(),
    }
}

async fn datagrams(connection: &Connection) -> PageFault {
    match connection.read_datagram().await {
        Ok(_) => PageFault::Datagram,
        Err(fault) => fault.into(),
    }
}

/// Streams in one direction.
struct OneWay {
    connection: Connection,
    settled: Arc<watch::Sender<bool>>,
    /// Kinds that there is one of: a bit each.
    seen: Arc<AtomicU8>,
    count: usize,
    open: JoinSet<Option<PageFault>>,
}

impl OneWay {
    /// Returns with what ends the connection. Whoever gives up waiting may wait again.
    async fn watch(&mut self) -> PageFault {
        loop {
            tokio::select! {
                accepted = self.connection.accept_uni() => match accepted {
                    Ok(stream) => {
                        self.count = self.count.saturating_add(1);
                        if self.count > ONE_WAY_STREAMS {
                            return PageFault::Flood;
                        }
                        self.open.spawn(one_way(stream, Arc::clone(&self.settled), Arc::clone(&self.seen)));
                    }
                    Err(fault) => return fault.into(),
                },
                Some(ended) = self.open.join_next(), if !self.open.is_empty() => match ended {
                    Ok(None) => {}
                    Ok(Some(fault)) => return fault,
                    Err(_) => return PageFault::Cut { what: "a stream of HTTP/3" },
                },
            }
        }
    }
}

/// One of them; none when it is of no interest.
async fn one_way(mut stream: RecvStream, settled: Arc<watch::Sender<bool>>, seen: Arc<AtomicU8>) -> Option<PageFault> {
    let Ok(kind) = VarInt::read(&mut stream).await else { return None };
    let bit = match StreamUni(kind) {
        StreamUni::CONTROL => 1,
        StreamUni::QPACK_ENCODER => 2,
        StreamUni::QPACK_DECODER => 4,
        StreamUni::PUSH | StreamUni::WEBTRANSPORT => return Some(PageFault::OneWay),
        _ => {
            // RFC 9114, 6.2: kinds nobody knows are not read, and are no fault.
            let _ = stream.stop(QuicInt::from_u32(STREAM_CREATION_ERROR));
            return None;
        }
    };
    if seen.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Some(PageFault::Repeated);
    }
    if bit == 1 {
        match settings(&mut stream).await {
            Ok(()) => settled.send_replace(true),
            Err(fault) => return Some(fault),
        };
    }
    match ignored(stream, IGNORED_BYTES).await {
        // These last as long as the connection.
        PageFault::Left => Some(PageFault::Cut { what: "more of HTTP/3" }),
        fault => Some(fault),
    }
}

async fn settings(stream: &mut RecvStream) -> Result<(), PageFault> {
    let (kind, payload) = frame(stream, "settings", SETTINGS_BYTES).await?;
    if kind != Frame::SETTINGS {
        return Err(PageFault::Settings);
    }
    let mut whole = Vec::new();
    StreamUni::CONTROL.encode(&mut whole);
    whole.extend(framed(kind, &payload));
    let settings = Settings::decode(&mut whole.as_slice()).map_err(|_| PageFault::Settings)?;
    match settings.supports_webtransport() {
        0 => Err(PageFault::Settings),
        _ => Ok(()),
    }
}

/// A frame of at most `most` bytes: a longer one is refused before memory is reserved.
async fn frame(stream: &mut RecvStream, what: &'static str, most: u64) -> Result<(Frame, Vec<u8>), PageFault> {
    let cut = |_| PageFault::Cut { what };
    let kind = Frame(VarInt::read(stream).await.map_err(cut)?);
    let len = VarInt::read(stream).await.map_err(cut)?.into_inner();
    if len > most {
        return Err(PageFault::TooLong { what, most });
    }
    let mut payload = Vec::new();
    let read = stream.take(len).read_to_end(&mut payload).await.map_err(|_| PageFault::Cut { what })?;
    match read as u64 == len {
        true => Ok((kind, payload)),
        false => Err(PageFault::Cut { what }),
    }
}

/// A frame as it travels.
fn framed(kind: Frame, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len().saturating_add(16));
    kind.encode(&mut bytes);
    VarInt::from_u32(u32::try_from(payload.len()).expect("what is framed here has under 64 KiB")).encode(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads and throws away; returns when the stream has ended, or brought more than `most` bytes.
async fn ignored(mut stream: RecvStream, most: usize) -> PageFault {
    let mut left = most;
    loop {
        match stream.read_chunk(IGNORED_BYTES, true).await {
            Ok(Some(chunk)) => match left.checked_sub(chunk.bytes.len()) {
                Some(rest) => left = rest,
                None => return PageFault::TooLong { what: "what is ignored", most: most as u64 },
            },
            Ok(None) => return PageFault::Left,
            Err(quinn::ReadError::ConnectionLost(fault)) => return fault.into(),
            Err(_) => return PageFault::Left,
        }
    }
}
