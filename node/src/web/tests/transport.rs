//! WebTransport, spoken by hand over a QUIC connection to a real front door.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: browsers, WebSocket.
#![allow(clippy::unwrap_used, clippy::panic)]
use crate::front::house::*;
use crate::web::caller::{Caller, Receiving, Sending};
use crate::web::certificates::{Certificates, Shown};
use crate::web::transport::Page;
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use ringwall_channel::web_transport_binding;
use ringwall_quic::{Alpn, CloseCode, FrameReader, FrameWriter, alpn, narrow};
use ringwall_wire::ids::Digest;
use ringwall_wire::request::{Answer, Expect};
use sha2::Digest as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use web_transport_proto::{ConnectRequest, ConnectResponse, Frame, Settings, StreamUni, VarInt};

const SOON: Duration = Duration::from_secs(10);
/// Time for a page to be let in: short, for those that dawdle.
const OPENING: Duration = Duration::from_millis(1_500);

/// The door of a house, and what it shows.
struct Door {
    house: House,
    dialler: quinn::Endpoint,
    address: SocketAddr,
    shown: Arc<Shown>,
    _folder: tempfile::TempDir,
}

fn shown_in(folder: &std::path::Path) -> Arc<Shown> {
    Certificates::of(folder, crate::clock::system(), &crate::entropy::system().unwrap()).now().unwrap()
}

async fn door() -> Door {
    let (house, folder) = (house().await, tempfile::tempdir().unwrap());
    let shown = shown_in(folder.path());
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), Some((*shown.config).clone())).unwrap();
    let (address, front, certificate) = (endpoint.local_addr().unwrap(), house.front.clone(), shown.now);
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let front = front.clone();
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                assert_eq!(alpn(&connection), Some(Alpn::Web));
                narrow(&connection, Alpn::Web);
                if let Ok(page) = Page::open(connection, certificate, OPENING).await {
                    front.serve(Caller::Page(Box::new(page))).await;
                }
            });
        }
    });
    let dialler = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    Door { house, dialler, address, shown, _folder: folder }
}

/// A page's side of HTTP/3.
struct Browser {
    connection: Connection,
    held: Vec<SendStream>,
}

fn good_settings() -> Vec<u8> {
    let mut settings = Settings::default();
    settings.enable_webtransport(1);
    let mut bytes = Vec::new();
    settings.encode(&mut bytes);
    bytes
}

fn request(url: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    ConnectRequest::new(url.parse::<url::Url>().unwrap()).encode(&mut bytes).unwrap();
    bytes
}

fn varints(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    numbers.iter().for_each(|number| VarInt::from_u64(*number).unwrap().encode(&mut bytes));
    bytes
}

impl Browser {
    async fn dial(dialler: &quinn::Endpoint, address: SocketAddr) -> Browser {
        let config = ringwall_quic::dial_config(Alpn::Web).unwrap();
        Browser { connection: ringwall_quic::dial(dialler, &config, address, SOON).await.unwrap(), held: Vec::new() }
    }

    /// Opens a stream in one direction with these bytes, and keeps it open.
    async fn one_way(&mut self, bytes: &[u8]) {
        let mut stream = tokio::time::timeout(SOON, self.connection.open_uni()).await.unwrap().unwrap();
        // It may be refused meanwhile.
        let _ = stream.write_all(bytes).await;
        self.held.push(stream);
    }

    /// Sends a request; its halves.
    async fn ask(&mut self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, recv) = self.connection.open_bi().await.unwrap();
        let _ = send.write_all(bytes).await;
        (send, recv)
    }

    /// Is let in; the answer to its request is read.
    async fn enter(&mut self) -> RecvStream {
        self.one_way(&good_settings()).await;
        let (send, mut recv) = self.ask(&request("https://node.example:1/ringwall")).await;
        self.held.push(send);
        tokio::time::timeout(SOON, ConnectResponse::read(&mut recv)).await.unwrap().unwrap();
        recv
    }

    async fn session(&mut self, header: &[u8]) -> (FrameReader<Receiving>, FrameWriter<Sending>) {
        let (mut send, recv) = tokio::time::timeout(SOON, self.connection.open_bi()).await.unwrap().unwrap();
        send.write_all(header).await.unwrap();
        (FrameReader::new(Receiving::Quic(recv)), FrameWriter::new(Sending::Quic(send)))
    }

    /// The code of HTTP/3 the connection was ended with, and the words.
    async fn ended(&self) -> (u64, String) {
        match tokio::time::timeout(SOON, self.connection.closed()).await.expect("the connection ends") {
            ConnectionError::ApplicationClosed(closed) => {
                (closed.error_code.into_inner(), String::from_utf8(closed.reason.to_vec()).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What a stream of the session begins with.
fn session_header() -> Vec<u8> {
    varints(&[Frame::WEBTRANSPORT.0.into_inner(), 0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_attests_the_node_and_puts_and_gets_through_webtransport() {
    let door = door().await;
    let mut browser = Browser::dial(&door.dialler, door.address).await;
    let shown = browser.connection.peer_identity().unwrap().downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().unwrap();
    assert_eq!(Digest(sha2::Sha256::digest(&shown[0]).into()), door.shown.now);
    // What browsers send beside: streams for headers, and kinds that nobody knows.
    browser.one_way(&varints(&[StreamUni::QPACK_ENCODER.0.into_inner()])).await;
    browser.one_way(&varints(&[StreamUni::QPACK_DECODER.0.into_inner()])).await;
    let _answer = browser.enter().await;
    let pipe = browser.session(&session_header()).await;
    let binding = web_transport_binding(&door.shown.now.0);
    let mut client = door.house.client_over(pipe, &binding, (1, 1)).await.unwrap();
    client.ask(open_notes()).await;
    revision(&client.ask(put(1, "a", &vec![7; 300_000], Expect::Absent)).await);
    assert_eq!(value(client.ask(get("a")).await), vec![7; 300_000]);
    // A native client sees the same.
    let mut native = door.house.client(1, 2).await;
    assert_eq!(value(native.ask(get("a")).await).len(), 300_000);
    // The goodbye is one that pages see: nothing of HTTP/3's own is let go before it, which would be the end of the connection for them.
    let settings = browser.held.remove(2);
    let settings = tokio::spawn(async move { settings.stopped().await });
    door.house.front.shutdown().await;
    while client.message().await.is_some() {}
    let mut capsule = vec![0x00, 0x07];
    capsule.extend(varints(&[0x2843, 4]));
    capsule.extend((CloseCode::ShuttingDown as u32).to_be_bytes());
    capsule[1] = u8::try_from(capsule.len() - 2).unwrap();
    let mut answer = _answer;
    let told = tokio::time::timeout(SOON, answer.read_to_end(64)).await.unwrap().unwrap();
    assert_eq!(told, capsule);
    let settings = tokio::time::timeout(SOON, settings).await.unwrap().unwrap();
    assert!(matches!(settings, Err(quinn::StoppedError::ConnectionLost(_))), "{settings:?}");
}

/// A machine in the middle that has a certificate of its own: the page pins another one; a native program that does not look fails in the handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_bound_to_the_certificate_that_was_shown() {
    let door = door().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = shown_in(elsewhere.path());
    assert_ne!(other.now, door.shown.now);
    let wrong = [
        web_transport_binding(&other.now.0),
        web_transport_binding(&door.shown.next.0),
        ringwall_channel::web_socket_binding(),
        door.shown.now.0,
        [0; 32],
    ];
    for binding in wrong {
        let mut browser = Browser::dial(&door.dialler, door.address).await;
        let _answer = browser.enter().await;
        let pipe = browser.session(&session_header()).await;
        assert!(door.house.client_over(pipe, &binding, (1, 1)).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_none_are_refused() {
    let door = door().await;
    let control = StreamUni::CONTROL.0.into_inner();
    let settings = Frame::SETTINGS.0.into_inner();
    let mut garbage = varints(&[control, settings, 40]);
    garbage.extend([0xff; 40]);
    let cases = [
        (garbage, 0x109),
        // A frame of another kind first; no WebTransport; half a number.
        (varints(&[control, 0x0d, 1, 0]), 0x109),
        (varints(&[control, settings, 2, 0x6, 0]), 0x109),
        ([varints(&[control, settings, 1]), vec![0xc0]].concat(), 0x109),
        // Longer than any, announced and never sent: no memory, no waiting.
        (varints(&[control, settings, 1 << 40]), 0x107),
    ];
    for (bytes, code) in cases {
        let mut browser = Browser::dial(&door.dialler, door.address).await;
        let _held = browser.ask(&request("https://node.example/ringwall")).await;
        browser.one_way(&bytes).await;
        assert_eq!(browser.ended().await.0, code, "{bytes:02x?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_but_the_one_is_refused() {
    let door = door().await;
    let get = {
        // :method GET, :scheme https, :path /, :authority by name: all but the last from the static table.
        let mut headers = vec![0, 0, 0xd1, 0xd7, 0xc1, 0x50, 4];
        headers.extend(b"node");
        [varints(&[1, headers.len() as u64]), headers].concat()
    };
    let mut large = varints(&[Frame::HEADERS.0.into_inner(), 1 << 20]);
    large.extend(vec![0; 1 << 20]);
    let cases = [
        (get, 0x10b),
        (request("https://node.example/other"), 0x10b),
        (request("https://node.example/ringwall/"), 0x10b),
        (request("https://node.example/ringwall?x"), 0x10b),
        (large, 0x107),
        (varints(&[Frame::DATA.0.into_inner(), 3, 1, 1, 1]), 0x10e),
        (varints(&[Frame::HEADERS.0.into_inner(), 3, 9, 9, 9]), 0x10e),
        // The session's stream before there is a session.
        (session_header(), 0x10e),
    ];
    for (bytes, code) in cases {
        let mut browser = Browser::dial(&door.dialler, door.address).await;
        browser.one_way(&good_settings()).await;
        let _held = browser.ask(&bytes).await;
        let (got, words) = browser.ended().await;
        assert_eq!(got, code, "{words}: {:02x?}", bytes.get(..16));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dawdles_is_gone_in_time() {
    let door = door().await;
    let began = std::time::Instant::now();
    // Nothing at all; settings alone; a request alone; a request a byte at a time.
    let mut silent = Browser::dial(&door.dialler, door.address).await;
    let mut settled = Browser::dial(&door.dialler, door.address).await;
    settled.one_way(&good_settings()).await;
    let mut asked = Browser::dial(&door.dialler, door.address).await;
    let _held = asked.ask(&request("https://node.example/ringwall")).await;
    let mut dripping = Browser::dial(&door.dialler, door.address).await;
    dripping.one_way(&good_settings()).await;
    let (mut send, _recv) = dripping.connection.open_bi().await.unwrap();
    let drip = tokio::spawn(async move {
        for byte in varints(&[Frame::HEADERS.0.into_inner(), 16_000]).into_iter().chain(std::iter::repeat_n(0, 1_000)) {
            if send.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    for browser in [&mut silent, &mut settled, &mut asked, &mut dripping] {
        assert_eq!(browser.ended().await.0, 0x107);
    }
    assert!(began.elapsed() < OPENING * 3, "{:?}", began.elapsed());
    drip.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pages_have_no_use_for_ends_the_connection() {
    let door = door().await;
    let once = StreamUni::CONTROL.0.into_inner();
    for (bytes, code) in [
        (varints(&[StreamUni::PUSH.0.into_inner(), 1]), 0x103),
        (varints(&[StreamUni::WEBTRANSPORT.0.into_inner(), 0]), 0x103),
        (varints(&[once]), 0x103),
        ([varints(&[StreamUni::QPACK_ENCODER.0.into_inner()]), vec![0x3f; 20_000]].concat(), 0x107),
    ] {
        let mut browser = Browser::dial(&door.dialler, door.address).await;
        let _answer = browser.enter().await;
        browser.one_way(&bytes).await;
        assert_eq!(browser.ended().await.0, code, "{:02x?}", bytes.get(..4));
    }
    // A second request, after the session's stream: streams are in order, so the session is what came first.
    let mut browser = Browser::dial(&door.dialler, door.address).await;
    let _answer = browser.enter().await;
    let pipe = browser.session(&session_header()).await;
    let binding = web_transport_binding(&door.shown.now.0);
    let client = door.house.client_over(pipe, &binding, (1, 1)).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), browser.connection.open_bi()).await.is_err(), "QUIC gives no third stream");
    // Datagrams.
    browser.connection.send_datagram(bytes::Bytes::from_static(&[0, 1])).unwrap();
    assert_eq!(browser.ended().await.0, 0x33);
    drop(client);
    // A flood of streams nobody knows, each over as soon as it began.
    let mut browser = Browser::dial(&door.dialler, door.address).await;
    let _answer = browser.enter().await;
    for _ in 0..40 {
        let Ok(Ok(mut stream)) = tokio::time::timeout(Duration::from_secs(2), browser.connection.open_uni()).await else { break };
        let _ = stream.write_all(&varints(&[0x21 + 0x1f])).await;
        let _ = stream.finish();
    }
    assert_eq!(browser.ended().await.0, 0x107);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_another_session_or_kind_is_none() {
    let door = door().await;
    let kind = Frame::WEBTRANSPORT.0.into_inner();
    for header in [varints(&[kind, 4]), varints(&[kind, 1 << 40]), varints(&[0x42, 0]), request("https://node.example/ringwall")] {
        let mut browser = Browser::dial(&door.dialler, door.address).await;
        let mut answer = browser.enter().await;
        let _pipe = browser.session(&header).await;
        let told = tokio::time::timeout(SOON, answer.read_to_end(64)).await.unwrap().unwrap();
        assert_eq!(told.last(), Some(&(CloseCode::Malformed as u8)), "{header:02x?}");
        browser.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_ends_its_request_has_left() {
    let door = door().await;
    let mut browser = Browser::dial(&door.dialler, door.address).await;
    let _answer = browser.enter().await;
    let pipe = browser.session(&session_header()).await;
    let binding = web_transport_binding(&door.shown.now.0);
    let mut client = door.house.client_over(pipe, &binding, (1, 1)).await.unwrap();
    assert!(matches!(client.ask(open_notes()).await, Answer::Opened(_)));
    browser.held.last_mut().unwrap().finish().unwrap();
    assert_eq!(browser.ended().await.0, 0x100);
}
