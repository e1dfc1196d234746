//! Bytes and peers that mean harm: a node answers with a typed refusal or closes, stays up, and its memory stays bounded.
//!
//! Decides: garbage datagrams, wrong protocols, malformed and oversized frames, silent and flooding peers, wrong configuration,
//! occupied ports, a full disk. Trusts: nothing. Out of scope: lies in evidence (`refusals.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

mod three;

use ringwall_quic::{Alpn, FrameReader, FrameWriter};
use ringwall_sim::cluster::{LocalCluster, Machine, tail};
use ringwall_tests::bench::measure::process_cost;
use ringwall_tests::local;
use ringwall_wire::codec::Message as _;
use ringwall_wire::session::{GetDescriptor, NodeDescriptor, Refusal, RefusalCode};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// Memory a flood may cost a node, MiB.
const FLOOD_MIB: f64 = 96.0;
const WITHIN: Duration = Duration::from_secs(20);

fn one(folder: &tempfile::TempDir) -> LocalCluster {
    LocalCluster::start(folder.path(), three::launch(), &[Machine::honest("genoa-1")]).unwrap_or_else(|error| panic!("{error}"))
}

async fn still_serves(cluster: &LocalCluster) {
    let notes = local::client(cluster).await.namespace("alive").await.unwrap();
    notes.put("k", "v").await.unwrap();
    assert_eq!(notes.get("k").await.unwrap().unwrap().value, b"v");
}

async fn stranger(cluster: &LocalCluster, alpn: Alpn) -> (quinn::Endpoint, quinn::Connection) {
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let config = ringwall_quic::dial_config(alpn).unwrap();
    let connection = ringwall_quic::dial(&endpoint, &config, cluster.address(1), WITHIN).await.unwrap();
    (endpoint, connection)
}

/// Sends one frame and returns what came back, if anything did.
async fn ask(connection: &quinn::Connection, frame: &[u8]) -> Option<Vec<u8>> {
    let (send, receive) = connection.open_bi().await.ok()?;
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(receive));
    writer.write(frame, WITHIN).await.ok()?;
    reader.read(1 << 20, WITHIN).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_datagrams_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = one(&folder);
    still_serves(&cluster).await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut noise = vec![0; 1_400];
    for number in 0..20_000_usize {
        getrandom::fill(&mut noise[..64]).unwrap();
        // Every other one looks like a QUIC long header.
        noise[0] = if number % 2 == 0 { 0xc3 } else { noise[0] };
        let _ = socket.send_to(&noise[..1 + number % 1_400], cluster.address(1)).await;
    }
    still_serves(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_first_messages_are_refused_by_type() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = one(&folder);
    still_serves(&cluster).await;
    for frame in [vec![], vec![0; 7], vec![0xff; 4_096], b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let (_endpoint, connection) = stranger(&cluster, Alpn::Client).await;
        if let Some(answer) = ask(&connection, &frame).await {
            let refusal = Refusal::decode(&answer).unwrap_or_else(|error| panic!("not a refusal: {error}"));
            assert!(matches!(refusal.code, RefusalCode::Malformed | RefusalCode::TooLarge), "{refusal:?}");
        }
    }
    // A version nobody speaks.
    let (_endpoint, connection) = stranger(&cluster, Alpn::Client).await;
    let unknown = GetDescriptor { versions: ringwall_wire::bounded::List::new(vec![999, 998]).unwrap() };
    let answer = ask(&connection, &unknown.encode()).await.expect("an unknown version is answered");
    assert_eq!(Refusal::decode(&answer).unwrap().code, RefusalCode::UnsupportedVersion);
    // A handshake message that is none, after a genuine descriptor.
    let (_endpoint, connection) = stranger(&cluster, Alpn::Client).await;
    let (send, receive) = connection.open_bi().await.unwrap();
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(receive));
    let known = GetDescriptor { versions: ringwall_wire::bounded::List::new(ringwall_wire::version::SUPPORTED.to_vec()).unwrap() };
    writer.write(&known.encode(), WITHIN).await.unwrap();
    NodeDescriptor::decode(&reader.read(1 << 20, WITHIN).await.unwrap()).unwrap();
    writer.write(&[0x5a; 1_200], WITHIN).await.unwrap();
    if let Ok(answer) = reader.read(1 << 20, WITHIN).await {
        assert_eq!(Refusal::decode(&answer).unwrap().code, RefusalCode::Malformed);
    }
    // Members are no more patient.
    let (_endpoint, connection) = stranger(&cluster, Alpn::Peer).await;
    if let Some(answer) = ask(&connection, &[0x77; 300]).await {
        assert_eq!(Refusal::decode(&answer).unwrap().code, RefusalCode::Malformed);
    }
    still_serves(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_gigabyte_is_refused_before_it_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = one(&folder);
    still_serves(&cluster).await;
    let before = process_cost(cluster.pid(1).unwrap()).rss_mib;
    let mut held = Vec::new();
    for _ in 0..64 {
        let (endpoint, connection) = stranger(&cluster, Alpn::Client).await;
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(&(1_u32 << 30).to_be_bytes()).await.unwrap();
        // As much as flow control lets through, bounded.
        let _ = tokio::time::timeout(Duration::from_millis(50), send.write_all(&vec![1; 4 << 20])).await;
        held.push((endpoint, connection, send, receive));
    }
    let after = process_cost(cluster.pid(1).unwrap()).rss_mib;
    assert!(after - before < FLOOD_MIB, "memory went from {before:.0} to {after:.0} MiB");
    still_serves(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_strangers_do_not_keep_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = one(&folder);
    still_serves(&cluster).await;
    let before = process_cost(cluster.pid(1).unwrap()).rss_mib;
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let config = ringwall_quic::dial_config(Alpn::Client).unwrap();
    let mut held = Vec::new();
    for _ in 0..300 {
        if let Ok(connection) = ringwall_quic::dial(&endpoint, &config, cluster.address(1), WITHIN).await {
            let stream = connection.open_bi().await;
            held.push((connection, stream));
        }
    }
    assert!(held.len() > 50, "only {} connections were opened", held.len());
    still_serves(&cluster).await;
    let after = process_cost(cluster.pid(1).unwrap()).rss_mib;
    assert!(after - before < FLOOD_MIB, "memory went from {before:.0} to {after:.0} MiB");
}

fn daemon(arguments: &[&str]) -> std::process::Output {
    let launch = three::launch();
    Command::new(launch.program).args(["--chip", "genoa-1", "--"]).args(arguments).stdin(std::process::Stdio::null()).output().unwrap()
}

fn says(output: &std::process::Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "it succeeded: {text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn wrong_configuration_is_named_with_file_field_and_fix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    let file = path.to_str().unwrap();
    says(&daemon(&["run", "--config", file]), &["node.toml", "cannot be read"]);
    std::fs::write(&path, "data = \"x\"\nslott = 1\n").unwrap();
    says(&daemon(&["run", "--config", file]), &["node.toml", "slott"]);
    std::fs::write(&path, "data = \"x\"\nslot = 1\nlisten = \"nonsense\"\n[cluster]\ncard = \"c\"\n").unwrap();
    says(&daemon(&["run", "--config", file]), &["listen"]);
    std::fs::write(&path, "data = \"x\"\nslot = 1\nlisten = \"127.0.0.1:7400\"\n[cluster]\ncard = \"missing.card\"\n").unwrap();
    says(&daemon(&["run", "--config", file]), &["missing.card"]);
    std::fs::write(folder.path().join("bad.card"), "not a card").unwrap();
    std::fs::write(&path, "data = \"x\"\nslot = 1\nlisten = \"127.0.0.1:7400\"\n[cluster]\ncard = \"bad.card\"\n").unwrap();
    says(&daemon(&["run", "--config", file]), &["bad.card"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occupied_port_and_a_used_folder_are_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = one(&folder);
    still_serves(&cluster).await;
    let config = folder.path().join("node-1.toml");
    let config = config.to_str().unwrap().to_owned();
    let again = tokio::task::spawn_blocking({
        let config = config.clone();
        move || daemon(&["found", "--config", &config])
    });
    // The folder already belongs to a cluster: founding again would make another one.
    says(&again.await.unwrap(), &["already"]);
    let occupied: SocketAddr = cluster.address(1);
    let second = tokio::task::spawn_blocking(move || daemon(&["run", "--config", &config]));
    says(&second.await.unwrap(), &[&occupied.to_string(), "in use"]);
}

/// A file system of a few megabytes fills up under a node: it stops serving with a reason and never acknowledges what is not durable.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fences_the_node_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("node-1");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=160m", "tmpfs"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "this machine mounts no tmpfs, and in CI that is a failure");
        println!("SKIPPED: mounting a small tmpfs needs root; the fault-injecting disk of `consensus` covers the same rule");
        return;
    }
    let _unmount = Unmount(small.clone());
    let mut cluster = one(&folder);
    let mut options = local::options(&cluster);
    options.timeouts.deadline = Duration::from_secs(10);
    let notes = ringwall_client::Client::connect(options).await.unwrap().namespace("full").await.unwrap();
    let mut refused = None;
    for number in 0..400_u32 {
        if let Err(error) = notes.put(number.to_be_bytes(), vec![number as u8; 512 * 1024]).await {
            refused = Some(error);
            break;
        }
    }
    assert!(refused.is_some(), "200 MiB were acknowledged on a file system of 160 MiB");
    let until = std::time::Instant::now() + local::PATIENCE;
    while cluster.is_running(1) && std::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = tail(&cluster.log(1));
    assert!(!cluster.is_running(1), "the node goes on without a disk\n{log}");
    assert!(log.contains("No space left") || log.contains("disk"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
