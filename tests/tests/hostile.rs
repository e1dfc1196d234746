//! Bytes and peers that mean harm: a node answers with a typed refusal or closes, stays up, and its memory stays bounded.
//!
//! Decides: garbage datagrams, wrong protocols, malformed and oversized frames, silent and flooding peers, wrong configuration,
//! occupied ports, a full disk. Trusts: nothing. Out of scope: lies in evidence (`refusals.rs`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use super::three;

use ringwall_quic::{Alpn, FrameReader, FrameWriter};
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine, tail};
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

/// Mounts a file system of `mib` where the node of slot 1 writes. None where this machine cannot, which in CI is a failure.
fn small_disk(folder: &tempfile::TempDir, mib: u32) -> Option<Unmount> {
    let small = folder.path().join("node-1");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "this machine mounts no tmpfs, and in CI that is a failure");
        println!("SKIPPED: mounting a small tmpfs needs root; the fault-injecting disk of `consensus` covers the same rule");
        return None;
    }
    Some(Unmount(small))
}

/// A value of half a MiB that tells its number.
fn value_of(number: u32) -> Vec<u8> {
    let mut value = vec![number as u8; 512 * 1024];
    value[..4].copy_from_slice(&number.to_be_bytes());
    value
}

async fn reads_back(notes: &ringwall_client::NamespaceHandle, written: std::ops::Range<u32>) {
    for number in written {
        let found = notes.get(number.to_be_bytes()).await.unwrap().unwrap_or_else(|| panic!("acknowledged write {number} is gone"));
        assert_eq!(found.value, value_of(number), "write {number}");
    }
}

/// Puts until one is refused for good, and how many were acknowledged.
async fn put_until_refused(notes: &ringwall_client::NamespaceHandle, most: u32) -> (u32, ringwall_client::WriteError) {
    for number in 0..most {
        if let Err(error) = notes.put(number.to_be_bytes(), value_of(number)).await {
            return (number, error);
        }
    }
    panic!("{most} writes of half a MiB fit a disk that is smaller");
}

/// Users who fill the disk meet the reserve, not the end of the node: puts are refused, the node stays up and lets them make room.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_reserve_refuses_puts_and_the_node_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_unmount) = small_disk(&folder, 320) else { return };
    let machines = [Machine::honest("genoa-1")];
    let reserve = LocalOptions { disk_reserve_mib: Some(128), ..LocalOptions::default() };
    let mut cluster =
        LocalCluster::start_with(folder.path(), three::launch(), &machines, reserve).unwrap_or_else(|error| panic!("{error}"));
    let mut options = local::options(&cluster);
    options.timeouts.deadline = Duration::from_secs(8);
    let client = ringwall_client::Client::connect(options).await.unwrap();
    let notes = client.namespace("full").await.unwrap();
    let (written, error) = put_until_refused(&notes, 800).await;
    assert!(written > 10, "the reserve was reached after {written} writes of half a MiB: {error}");
    assert_eq!(error.code(), "RW-C-NODE-NO-ROOM", "{error}");
    assert!(error.to_string().contains("disk reserve"), "{error}");
    assert!(notes.get(written.to_be_bytes()).await.unwrap().is_none(), "a refused write was applied");
    assert!(client.namespace("another").await.is_err(), "a namespace was opened below the reserve");
    notes.delete(0_u32.to_be_bytes()).await.unwrap_or_else(|error| panic!("a delete was refused: {error}"));
    assert!(notes.get(0_u32.to_be_bytes()).await.unwrap().is_none());
    reads_back(&notes, 1..written).await;
    assert!(cluster.is_running(1), "the node stopped\n{}", tail(&cluster.log(1)));
    let log = std::fs::read_to_string(cluster.log(1)).unwrap();
    assert!(log.contains("disk reserve reached") && !log.contains("panicked"), "{log}");
}

/// Without a reserve a disk that fills fences its node with the reason; the two others serve, and nothing acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fences_one_node_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_unmount) = small_disk(&folder, 160) else { return };
    let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
    let reserve = LocalOptions { disk_reserve_mib: Some(0), ..LocalOptions::default() };
    let mut cluster =
        LocalCluster::start_with(folder.path(), three::launch(), &machines, reserve).unwrap_or_else(|error| panic!("{error}"));
    let user = local::client(&cluster).await;
    local::voters(&user, &cluster, 3).await;
    let notes = user.namespace("full").await.unwrap();
    let mut written = 0_u32;
    while cluster.is_running(1) && written < 800 {
        notes.put(written.to_be_bytes(), value_of(written)).await.unwrap_or_else(|error| panic!("{error}\n{}", local::logs(&cluster)));
        written += 1;
    }
    let log = std::fs::read_to_string(cluster.log(1)).unwrap();
    assert!(!cluster.is_running(1), "the node goes on after {written} writes of half a MiB on a disk of 160 MiB\n{log}");
    assert!(log.contains("No space left") || log.contains("disk"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    notes.put("after", "v").await.unwrap();
    reads_back(&notes, 0..written).await;
    assert!(cluster.is_running(2) && cluster.is_running(3), "{}", local::logs(&cluster));
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
