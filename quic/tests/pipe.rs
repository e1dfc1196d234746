//! The outer pipe over real loopback sockets: binding, protocols, exporter, limits, frames, hostile bytes.
//! Decides: what the pipe must do before any handshake of ours begins.
//! Trusts: nothing it tests. Out of scope: what frames mean. Protocol section 3, SB6.
#![allow(clippy::unwrap_used, clippy::panic)]

use quinn::{Connection, Endpoint};
use ringwall_quic::{
    Alpn, BindError, CloseCode, DialError, FrameError, FrameReader, FrameWriter, PageCertificate, admit, alpn, bind, close, dial,
    dial_config, limits, narrow, server_config, server_config_with_pages, transport_binding,
};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);
const LOOPBACK: &str = "127.0.0.1:0";

fn endpoint() -> (Endpoint, SocketAddr) {
    let endpoint = bind(LOOPBACK.parse().unwrap(), Some(server_config().unwrap())).unwrap();
    let address = endpoint.local_addr().unwrap();
    (endpoint, address)
}

/// A certificate as browsers want them.
fn shown() -> PageCertificate {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    PageCertificate { certificate: certificate.der().clone(), key: Arc::new(key.into()) }
}

async fn pair(kind: Alpn) -> (Endpoint, Connection, Endpoint, Connection) {
    pair_at(endpoint(), kind).await
}

/// The same at an endpoint that lets pages in, with what they are shown.
async fn pair_with_pages(kind: Alpn) -> (Endpoint, Connection, Endpoint, Connection, PageCertificate) {
    let shown = shown();
    let endpoint = bind(LOOPBACK.parse().unwrap(), Some(server_config_with_pages(&shown).unwrap())).unwrap();
    let address = endpoint.local_addr().unwrap();
    let (dialler, dialled, server, accepted) = pair_at((endpoint, address), kind).await;
    (dialler, dialled, server, accepted, shown)
}

async fn pair_at((server, address): (Endpoint, SocketAddr), kind: Alpn) -> (Endpoint, Connection, Endpoint, Connection) {
    let dialler = bind(LOOPBACK.parse().unwrap(), None).unwrap();
    let config = dial_config(kind).unwrap();
    let accept = async { server.accept().await.unwrap().await.unwrap() };
    let (dialled, accepted) = tokio::join!(dial(&dialler, &config, address, SOON), accept);
    (dialler, dialled.unwrap(), server, accepted)
}

#[tokio::test]
async fn both_protocols_are_told_apart_and_share_an_exporter_value() {
    for kind in Alpn::NATIVE {
        let (_keep, dialled, _server, accepted) = pair(kind).await;
        assert_eq!(alpn(&accepted), Some(kind));
        assert_eq!(transport_binding(&dialled), transport_binding(&accepted));
        let (_keep2, other, _server2, _accepted2) = pair(kind).await;
        assert_ne!(transport_binding(&dialled), transport_binding(&other));
    }
}

fn seen(connection: &Connection) -> Vec<u8> {
    let shown = connection.peer_identity().unwrap().downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().unwrap();
    assert_eq!(shown.len(), 1);
    shown[0].to_vec()
}

#[tokio::test]
async fn the_certificate_is_chosen_by_the_protocol() {
    for kind in Alpn::ALL {
        let (_keep, dialled, _server, accepted, shown) = pair_with_pages(kind).await;
        assert_eq!(alpn(&accepted), Some(kind));
        assert_eq!(seen(&dialled) == shown.certificate.to_vec(), kind == Alpn::Web, "{kind:?}");
    }
}

#[tokio::test]
async fn a_node_that_lets_no_pages_in_speaks_no_http() {
    let (server, address) = endpoint();
    let dialler = bind(LOOPBACK.parse().unwrap(), None).unwrap();
    let accepting = tokio::spawn(async move {
        let incoming = server.accept().await.unwrap();
        (incoming.await.is_err(), server)
    });
    let refused = dial(&dialler, &dial_config(Alpn::Web).unwrap(), address, SOON).await.unwrap_err();
    assert!(matches!(refused, DialError::Ended { .. }), "{refused:?}");
    assert!(accepting.await.unwrap().0);
}

#[tokio::test]
async fn a_native_stranger_gains_three_unread_streams_where_pages_are_let_in_and_a_page_two_of_its_own() {
    let soon = Duration::from_millis(200);
    let (_keep, dialled, _server, accepted, _) = pair_with_pages(Alpn::Client).await;
    narrow(&accepted, Alpn::Client);
    for _ in 0..limits::WEB_ONE_WAY_STREAMS {
        dialled.open_uni().await.unwrap().finish().unwrap();
    }
    assert!(tokio::time::timeout(soon, dialled.open_uni()).await.is_err(), "finished streams made room for more");
    let _first = dialled.open_bi().await.unwrap();
    assert!(tokio::time::timeout(soon, dialled.open_bi()).await.is_err(), "a second stream was given");

    let (_keep, dialled, _server, accepted, _) = pair_with_pages(Alpn::Web).await;
    let _first = dialled.open_bi().await.unwrap();
    assert!(tokio::time::timeout(soon, dialled.open_bi()).await.is_err(), "a second stream before the protocol is known");
    narrow(&accepted, Alpn::Web);
    let _second = tokio::time::timeout(SOON, dialled.open_bi()).await.unwrap().unwrap();
    assert!(tokio::time::timeout(soon, dialled.open_bi()).await.is_err(), "a third stream was given");
    let largest = dialled.max_datagram_size().unwrap();
    assert!(largest <= limits::WEB_DATAGRAM_BYTES, "{largest}");
}

#[tokio::test]
async fn an_occupied_address_is_named() {
    let (_endpoint, address) = endpoint();
    let refused = bind(address, None).unwrap_err();
    assert!(matches!(refused, BindError::InUse { address: held } if held == address), "{refused:?}");
    assert!(refused.to_string().contains("in use"));
    let foreign = bind("192.0.2.7:4000".parse().unwrap(), None).unwrap_err();
    assert!(matches!(foreign, BindError::NotHere { .. }), "{foreign:?}");
}

#[tokio::test]
async fn a_silent_address_is_given_up_in_time() {
    let silent = UdpSocket::bind(LOOPBACK).unwrap();
    let dialler = bind(LOOPBACK.parse().unwrap(), None).unwrap();
    let begun = Instant::now();
    let within = Duration::from_millis(300);
    let refused = dial(&dialler, &dial_config(Alpn::Peer).unwrap(), silent.local_addr().unwrap(), within).await.unwrap_err();
    assert!(matches!(refused, DialError::NoAnswer { .. }), "{refused:?}");
    assert!(begun.elapsed() < SOON);
}

#[tokio::test]
async fn frames_arrive_and_are_bounded() {
    let (_keep, dialled, _server, accepted) = pair(Alpn::Client).await;
    let (send, _recv) = dialled.open_bi().await.unwrap();
    let mut writer = FrameWriter::new(send);
    writer.write(b"one", SOON).await.unwrap();
    writer.write(b"", SOON).await.unwrap();
    writer.write(&[7; 300_000], SOON).await.unwrap();
    writer.write(&[7; 101], SOON).await.unwrap();
    let (_send, recv) = accepted.accept_bi().await.unwrap();
    let mut reader = FrameReader::new(recv);
    assert_eq!(reader.read(3, SOON).await.unwrap(), b"one");
    assert_eq!(reader.read(3, SOON).await.unwrap(), b"");
    assert_eq!(reader.read(300_000, SOON).await.unwrap(), vec![7; 300_000]);
    let refused = reader.read(100, SOON).await.unwrap_err();
    assert!(matches!(refused, FrameError::TooLong { len: 101, max: 100 }), "{refused:?}");
}

#[tokio::test]
async fn a_frame_that_does_not_come_or_stops_half_way_is_noticed() {
    let (_keep, dialled, _server, accepted) = pair(Alpn::Client).await;
    let (mut send, _recv) = dialled.open_bi().await.unwrap();
    send.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
    let (_send, recv) = accepted.accept_bi().await.unwrap();
    let mut reader = FrameReader::new(recv);
    let slow = reader.read(100, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(slow, FrameError::TooSlow { .. }), "{slow:?}");

    let (_keep, dialled, _server, accepted) = pair(Alpn::Client).await;
    let (mut send, _recv) = dialled.open_bi().await.unwrap();
    send.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
    send.finish().unwrap();
    let (_send, recv) = accepted.accept_bi().await.unwrap();
    let cut = FrameReader::new(recv).read(100, SOON).await.unwrap_err();
    assert!(matches!(cut, FrameError::Ended { inside: true }), "{cut:?}");
}

#[tokio::test]
async fn a_stranger_has_one_stream_until_admitted() {
    let (_keep, dialled, _server, accepted) = pair(Alpn::Peer).await;
    let _first = dialled.open_bi().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), dialled.open_bi()).await.is_err(), "a second stream was given");
    admit(&accepted, Alpn::Peer);
    let mut held = Vec::new();
    for _ in 1..limits::PEER_STREAMS {
        held.push(tokio::time::timeout(SOON, dialled.open_bi()).await.unwrap().unwrap());
    }
    assert!(tokio::time::timeout(Duration::from_millis(200), dialled.open_bi()).await.is_err(), "more streams than the limit");
    assert!(tokio::time::timeout(Duration::from_millis(200), dialled.open_uni()).await.is_err(), "a one-way stream was given");
}

/// Bytes the answering side takes from its caller for a dialler that has died silently: no acknowledgement ever comes.
fn buffered_for_the_dead(kind: Alpn, judged: bool) -> u64 {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, theirs) = (runtime(), runtime());
    let (server, address) = ours.block_on(async { endpoint() });
    let accepting = std::thread::spawn(move || {
        ours.block_on(async {
            let accepted = server.accept().await.unwrap().await.unwrap();
            let (mut send, _recv) = accepted.accept_bi().await.unwrap();
            if judged {
                admit(&accepted, kind);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            let mut taken = 0;
            while let Ok(Ok(bytes)) = tokio::time::timeout(Duration::from_millis(300), send.write(&[7; 64 * 1024])).await {
                taken += bytes as u64;
            }
            taken
        })
    });
    let _silent = theirs.block_on(async {
        let dialler = bind(LOOPBACK.parse().unwrap(), None).unwrap();
        let connection = dial(&dialler, &dial_config(kind).unwrap(), address, SOON).await.unwrap();
        let mut stream = connection.open_bi().await.unwrap();
        stream.0.write_all(b"here").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        (dialler, connection, stream)
    });
    // From here on nobody drives the dialler.
    accepting.join().unwrap()
}

#[test]
fn little_is_buffered_for_strangers_and_clients() {
    for (kind, judged) in [(Alpn::Client, false), (Alpn::Client, true), (Alpn::Peer, false)] {
        let taken = buffered_for_the_dead(kind, judged);
        assert!(taken > 0 && taken <= limits::CLIENT_SEND_WINDOW_BYTES, "{taken} bytes for {kind:?}, judged: {judged}");
    }
    let taken = buffered_for_the_dead(Alpn::Peer, true);
    assert!(taken > limits::CLIENT_SEND_WINDOW_BYTES, "only {taken} bytes for a member");
}

#[tokio::test]
async fn a_close_code_reaches_the_other_side() {
    let (_keep, dialled, _server, accepted) = pair(Alpn::Client).await;
    close(&accepted, CloseCode::ShuttingDown);
    match dialled.closed().await {
        quinn::ConnectionError::ApplicationClosed(closed) => assert_eq!(closed.error_code, quinn::VarInt::from_u32(2)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn garbage_datagrams_are_ignored() {
    let (server, address) = endpoint();
    let hostile = UdpSocket::bind(LOOPBACK).unwrap();
    for len in [0usize, 1, 20, 1_200, 8_000] {
        for fill in [0x00u8, 0x40, 0xc0, 0xff] {
            hostile.send_to(&vec![fill; len], address).unwrap();
        }
    }
    let dialler = bind(LOOPBACK.parse().unwrap(), None).unwrap();
    let config = dial_config(Alpn::Client).unwrap();
    let accept = async {
        loop {
            if let Ok(connection) = server.accept().await.unwrap().await {
                break connection;
            }
        }
    };
    let (dialled, accepted) = tokio::join!(dial(&dialler, &config, address, SOON), accept);
    assert_eq!(transport_binding(&dialled.unwrap()), transport_binding(&accepted));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_close_of_a_young_connection_reaches_the_answering_side() {
    for round in 0..20 {
        let (dialler, dialled, server, accepted) = pair(Alpn::Client).await;
        let (send, recv) = dialled.open_bi().await.unwrap();
        let mut writer = FrameWriter::new(send);
        writer.write(b"ask", SOON).await.unwrap();
        let serving = tokio::spawn(async move {
            let (send, recv) = accepted.accept_bi().await.unwrap();
            let mut reader = FrameReader::new(recv);
            reader.read(8, SOON).await.unwrap();
            let mut answer = FrameWriter::new(send);
            answer.write(&[7; 1_300], SOON).await.unwrap();
            let begun = Instant::now();
            let _ = tokio::time::timeout(SOON, accepted.closed()).await;
            begun.elapsed()
        });
        FrameReader::new(recv).read(2_000, SOON).await.unwrap();
        close(&dialled, CloseCode::Done);
        dialler.wait_idle().await;
        drop((dialled, dialler));
        let took = serving.await.unwrap();
        assert!(took < Duration::from_secs(1), "round {round}: {took:?}");
        drop(server);
    }
}
