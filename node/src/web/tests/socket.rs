//! WebSocket, spoken by a client of the same library and by hand, to a real front door.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: browsers, WebTransport.
#![allow(clippy::unwrap_used, clippy::panic)]
use crate::front::house::*;
use crate::web::caller::{Caller, Receiving, Sending};
use crate::web::socket::{MESSAGE_BYTES, Socket, listen};
use futures_util::{SinkExt as _, StreamExt as _};
use ringwall_channel::web_socket_binding;
use ringwall_quic::{CloseCode, FrameReader, FrameWriter};
use ringwall_wire::request::Expect;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

const SOON: Duration = Duration::from_secs(10);
/// Time for an upgrade: short, for those that dawdle.
const OPENING: Duration = Duration::from_millis(500);

async fn door() -> (House, SocketAddr) {
    let house = house().await;
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, front) = (listener.local_addr().unwrap(), house.front.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let front = front.clone();
            tokio::spawn(async move {
                if let Ok(socket) = Socket::upgrade(stream, OPENING).await {
                    front.serve(Caller::Socket(Box::new(socket))).await;
                }
            });
        }
    });
    (house, address)
}

async fn dial(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    client_async(format!("ws://{address}/ringwall"), stream).await.unwrap().0
}

/// The code a connection was ended with.
async fn ended(stream: &mut WebSocketStream<TcpStream>) -> u16 {
    loop {
        match tokio::time::timeout(SOON, stream.next()).await.expect("the connection ends") {
            Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
            Some(Ok(_)) => {}
            other => panic!("no goodbye: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_attests_the_node_and_puts_and_gets_through_a_socket() {
    let (house, address) = door().await;
    let mut socket = Socket::over(dial(address).await);
    let (writer, reader) = socket.streams().unwrap();
    let pipe = (FrameReader::new(Receiving::Socket(reader)), FrameWriter::new(Sending::Socket(writer)));
    let mut client = house.client_over(pipe, &web_socket_binding(), (1, 1)).await.unwrap();
    client.ask(open_notes()).await;
    revision(&client.ask(put(1, "a", &vec![7; 300_000], Expect::Absent)).await);
    assert_eq!(value(client.ask(get("a")).await), vec![7; 300_000]);
    // More than a reader takes at once is held back, and nothing of it is lost.
    let mut numbers = Vec::new();
    for _ in 0..40 {
        numbers.push(client.start(get("a")).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for number in numbers {
        assert_eq!(value(client.reply(number).await).len(), 300_000);
    }
    // Another binding is another door's.
    let mut socket = Socket::over(dial(address).await);
    let (writer, reader) = socket.streams().unwrap();
    let pipe = (FrameReader::new(Receiving::Socket(reader)), FrameWriter::new(Sending::Socket(writer)));
    assert!(house.client_over(pipe, &[0; 32], (1, 1)).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_long_messages_end_the_connection() {
    let (_house, address) = door().await;
    let malformed = 4_000 + CloseCode::Malformed as u16;
    let mut page = dial(address).await;
    page.send(Message::text("hello")).await.unwrap();
    assert_eq!(ended(&mut page).await, malformed);
    let mut page = dial(address).await;
    // It may be gone before all of it was sent.
    let _ = page.send(Message::binary(vec![0; MESSAGE_BYTES + 1])).await;
    let gone = tokio::time::timeout(SOON, async { while let Some(Ok(_)) = page.next().await {} }).await;
    assert!(gone.is_ok());
    // As long as is legal, in pieces that end anywhere: an announced frame that is too long is refused by the session, not by the socket.
    let mut page = dial(address).await;
    page.send(Message::binary(vec![])).await.unwrap();
    page.send(Message::binary(vec![0xff])).await.unwrap();
    page.send(Message::binary(vec![0xff; MESSAGE_BYTES])).await.unwrap();
    assert_eq!(ended(&mut page).await, malformed);
}

/// Sends bytes over TCP; what comes back until the other side ends it.
async fn raw(address: SocketAddr, pieces: &[&[u8]], pause: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    for piece in pieces {
        // The other side may have ended it.
        let _ = stream.write_all(piece).await;
        tokio::time::sleep(pause).await;
    }
    let mut got = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut got)).await.expect("the connection ends");
    got
}

fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://evil.example\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_paths_other_requests_and_those_who_dawdle_are_refused() {
    let (_house, address) = door().await;
    let none = Duration::ZERO;
    let began = std::time::Instant::now();
    for path in ["/", "/ringwall/", "/ringwall?x=1", "/ringwal"] {
        let got = raw(address, &[upgrade(path).as_bytes()], none).await;
        assert!(got.starts_with(b"HTTP/1.1 404"), "{path}: {}", String::from_utf8_lossy(&got));
    }
    assert!(!raw(address, &[b"GET /ringwall HTTP/1.1\r\nHost: node\r\n\r\n"], none).await.starts_with(b"HTTP/1.1 101"));
    assert!(!raw(address, &[b"POST /ringwall HTTP/1.1\r\n\r\n"], none).await.starts_with(b"HTTP/1.1 101"));
    assert!(raw(address, &[&[0x16; 600]], none).await.is_empty() || began.elapsed() < SOON);
    // Headers without an end, as fast as they are taken.
    let endless = format!("GET /ringwall HTTP/1.1\r\nX: {}", "y".repeat(1 << 20));
    assert!(!raw(address, &[endless.as_bytes()], none).await.starts_with(b"HTTP/1.1 101"));
    // One byte at a time: gone when its time is up.
    let request = upgrade("/ringwall");
    let drops: Vec<&[u8]> = request.as_bytes().chunks(1).take(60).collect();
    let began = std::time::Instant::now();
    assert!(raw(address, &drops, Duration::from_millis(20)).await.is_empty());
    assert!(began.elapsed() < OPENING * 6, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unmasked_frames_and_announced_giants_are_refused_before_they_come() {
    let (_house, address) = door().await;
    let unmasked = [0x82, 4, 0, 0, 0, 1];
    let giant = [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
    let reserved = [0xf2, 0x80, 1, 2, 3, 4];
    for frame in [&unmasked[..], &giant, &reserved] {
        let began = std::time::Instant::now();
        let got = raw(address, &[upgrade("/ringwall").as_bytes(), frame], Duration::from_millis(50)).await;
        assert!(got.starts_with(b"HTTP/1.1 101"), "whatever its origin is, it is let in");
        assert!(began.elapsed() < Duration::from_secs(4), "{frame:02x?}: {:?}", began.elapsed());
    }
}
