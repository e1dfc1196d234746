//! A whole node that lets pages in: its card, its descriptor, its places over both doors, and what a restart changes.
//! Decides: what of the doors a founder says, and who is let in. Every wait is bounded; nothing is asserted on time.
//! Trusts: the simulated roots. Out of scope: sessions through the doors and hostile pages (`src/web/tests`), browsers.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::joining::{LONG, Running, card_of, config, eventually, free_port, providers};
use ringwall_node::config::{ClusterPart, Config};
use ringwall_node::run::NodeError;
use ringwall_node::web::certificates::SEED_FILE;
use ringwall_node::web::settings::Settings;
use ringwall_quic::{Alpn, FrameReader, FrameWriter, bind, dial, dial_config};
use ringwall_sim::world;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::WebDoor;
use ringwall_wire::ids::Slot;
use ringwall_wire::session::{GetDescriptor, NodeDescriptor};
use sha2::Digest as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(5);
const PER_ADDRESS: usize = 4;

fn founding(folder: &Path, port: u16, socket: u16) -> Config {
    let policy = world::policy();
    let template = world::genesis_template(&policy, "pages");
    let boot = world::founding_config(&template, Slot(1));
    let mut config = config(folder, port, ClusterPart::Found(Box::new(template), Box::new(policy)), boot, &[]);
    config.limits.connections_per_address = PER_ADDRESS;
    config.limits.handshake = Duration::from_millis(1_500);
    let told = Text::new(format!("ws://127.0.0.1:{socket}/ringwall")).unwrap();
    config.web = Some(Settings { transport: Some(folder.join("doors")), socket: Some((SocketAddr::from(([127, 0, 0, 1], socket)), told)) });
    config
}

fn free_tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The hash of the certificate that is shown to whoever speaks this.
async fn shown(port: u16, alpn: Alpn) -> [u8; 32] {
    let endpoint = bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let connection = dial(&endpoint, &dial_config(alpn).unwrap(), ([127, 0, 0, 1], port).into(), SOON).await.unwrap();
    let chain = connection.peer_identity().unwrap().downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().unwrap();
    sha2::Sha256::digest(&chain[0]).into()
}

/// What the node tells strangers, once it does: its card is there before it is ready.
async fn door_of(port: u16) -> Option<WebDoor> {
    for _ in 0..100 {
        if let Ok(descriptor) = NodeDescriptor::decode(&told(port).await) {
            return descriptor.web;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the node never described itself");
}

async fn told(port: u16) -> Vec<u8> {
    let endpoint = bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let connection = dial(&endpoint, &dial_config(Alpn::Client).unwrap(), ([127, 0, 0, 1], port).into(), SOON).await.unwrap();
    let (send, recv) = connection.open_bi().await.unwrap();
    let ask = GetDescriptor { versions: List::new(vec![1]).unwrap() };
    let mut writer = FrameWriter::new(send);
    writer.write(&ask.encode(), SOON).await.unwrap();
    FrameReader::new(recv).read(8_192, SOON).await.unwrap().to_vec()
}

async fn upgraded(socket: u16) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", socket)).await.unwrap();
    let request = "GET /ringwall HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = [0; 12];
    match tokio::time::timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer or an end") {
        Ok(_) => Some(stream).filter(|_| answer == *b"HTTP/1.1 101"),
        Err(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_where_pages_are_let_in_and_counts_them_with_everybody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (port, socket) = (free_port(), free_tcp_port());
    let config = founding(&folder.path().join("one"), port, socket);
    let providers_of = |config: &Config| providers("genoa-1", &config.boot, &[]);
    let node = Running::start(config.clone(), providers_of(&config));
    let card = card_of(&folder.path().join("one")).await;
    let [door] = &card.web[..] else { panic!("{:?}", card.web) };
    assert_eq!((&*door.address, &*door.socket), (&*format!("127.0.0.1:{port}"), &*format!("ws://127.0.0.1:{socket}/ringwall")));
    assert_eq!(door_of(port).await.as_ref(), Some(door), "strangers are told what the card says");
    assert_eq!(shown(port, Alpn::Web).await, door.certificates[0].0);
    assert_ne!(shown(port, Alpn::Client).await, door.certificates[0].0, "native clients see what is thrown away");
    assert_ne!(door.certificates[0], door.certificates[1]);

    // Everybody above is gone; places are given back soon after. Then: as many over both doors together as one address may have.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let endpoint = bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let address = ([127, 0, 0, 1], port).into();
    let mut held = Vec::new();
    for _ in 0..PER_ADDRESS - 2 {
        held.push(dial(&endpoint, &dial_config(Alpn::Client).unwrap(), address, SOON).await.unwrap());
    }
    let (_one, _two) = (upgraded(socket).await.expect("room for a third"), upgraded(socket).await.expect("room for a fourth"));
    assert!(upgraded(socket).await.is_none(), "a fifth over TCP");
    for alpn in [Alpn::Client, Alpn::Web] {
        assert!(dial(&endpoint, &dial_config(alpn).unwrap(), address, SOON).await.is_err(), "a fifth over QUIC");
    }
    // One that leaves makes room at the other door.
    held.pop().unwrap().close(0u8.into(), b"");
    let mut third = None;
    for _ in 0..50 {
        third = upgraded(socket).await;
        if third.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(third.is_some());
    drop((third, held, _one, _two));

    // Another node cannot have its address; a restarted one shows what the card says.
    let taken = founding(&folder.path().join("two"), free_port(), socket);
    let refused = ringwall_node::run::run_node(taken.clone(), providers_of(&taken), std::future::pending()).await.unwrap_err();
    assert!(matches!(refused, NodeError::Listen(_)), "{refused}");
    let seed = folder.path().join("one/doors").join(SEED_FILE);
    assert_eq!(std::fs::read(&seed).unwrap().len(), 32);
    node.leave().await;
    let mut again = founding(&folder.path().join("three"), free_port(), socket);
    std::fs::create_dir_all(folder.path().join("three/doors")).unwrap();
    std::fs::copy(&seed, folder.path().join("three/doors").join(SEED_FILE)).unwrap();
    again.limits.connections_per_address = 64;
    let restarted = Running::start(again.clone(), providers_of(&again));
    let other = card_of(&folder.path().join("three")).await;
    assert_eq!(other.web[0].certificates, door.certificates);
    eventually("the folder is used", || folder.path().join("three/doors").exists()).await;
    tokio::time::timeout(LONG, restarted.leave()).await.unwrap();
}
