//! Attacks by strangers: they look for secrets wherever an operator can look, and send what no parser should have to read.
//!
//! Decides: S2 and S3 against three real processes. Trusts: the search, which first proves that it finds a secret. Out of scope: what sizes and times say.
//! Protocol sections 0 and 11.

use super::SPACE;
use super::report::Report;
use super::stage::{Ground, Stage};
use crate::canary::{Canaries, Searched};
use crate::demo::DemoError;
use ringwall_attest::verify;
use ringwall_client::{Client, Credential};
use ringwall_quic::{Alpn, FrameReader, FrameWriter};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Evidence, SnpEvidence, TdxEvidence};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{Refusal, RefusalCode};
use std::net::SocketAddr;
use std::time::Duration;

/// Secrets that are planted.
const SECRETS: usize = 60;
/// Memory a flood may cost a node, KiB.
const FLOOD_KIB: u64 = 96 * 1024;
const WITHIN: Duration = Duration::from_secs(10);
/// Connections that announce a GiB each.
const GREEDY: usize = 32;
/// Datagrams of noise.
const NOISE: usize = 4_000;

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system's generator works");
    bytes
}

/// S2. Secrets are planted as names, values and credentials, and looked for on disks, in logs and in every datagram.
pub(super) async fn searched(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ground = stage.shared().await?;
    ground.voters().await?;
    let seed = random();
    let mut planted = vec![seed];
    let user = Credential::from_seed(Secret::new(seed));
    let slots: Vec<u8> = ground.cluster.slots().collect();
    let vault = ground.client(&user, &slots).await?.namespace(SPACE).await?;
    while planted.len() < SECRETS {
        let (name, value) = (random(), random());
        vault.put(name, value).await?;
        if vault.get(name).await?.is_none_or(|found| found.value != value) {
            return Err(DemoError::Broken("a secret does not come back".into()));
        }
        planted.extend([name, value]);
    }
    report.did(format!("had a user keep {} secrets, as names of keys, as values and as the seed of a credential", planted.len()));
    let mut canaries = Canaries::default();
    planted.iter().for_each(|secret| canaries.add("planted", secret));
    let folder = ground.cluster.data_folder(1).parent().map(std::path::Path::to_owned).unwrap_or_default();
    let bait = folder.join("bait");
    std::fs::write(&bait, planted[0])?;
    let found = canaries.search_files([folder.as_path()])?.hits;
    std::fs::remove_file(&bait)?;
    if !found.contains(&bait) {
        return Err(DemoError::Broken(format!("the search does not find the bait, only {found:?}")));
    }
    let Searched { hits, files, bytes, .. } = canaries.search_files([folder.as_path()])?;
    let captured: Vec<Vec<u8>> = slots.iter().map(|slot| ground.tap(*slot).captured()).collect();
    let on_wires: usize = captured.iter().map(|datagrams| canaries.of(datagrams).len()).sum();
    let all: usize = captured.iter().map(Vec::len).sum();
    report.did(format!(
        "searched {files} files ({bytes} bytes) of all nodes, logs among them, and {all} bytes of datagrams, raw, in hex and in base64"
    ));
    match (hits.len(), on_wires) {
        (0, 0) => report.answered("a bait was found; of the secrets none"),
        (_, count) => report.won(format!("secrets in {hits:?}, {count} in datagrams")),
    }
    report.remains("nothing: that is the point");
    report.finished()
}

async fn stranger(address: SocketAddr) -> Option<(quinn::Endpoint, quinn::Connection)> {
    let endpoint = ringwall_quic::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).ok()?;
    let config = ringwall_quic::dial_config(Alpn::Client).ok()?;
    let connection = ringwall_quic::dial(&endpoint, &config, address, WITHIN).await.ok()?;
    Some((endpoint, connection))
}

/// Sends one frame; what came back, if anything did.
async fn ask(connection: &quinn::Connection, frame: &[u8]) -> Option<Vec<u8>> {
    let (send, receive) = connection.open_bi().await.ok()?;
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(receive));
    writer.write(frame, WITHIN).await.ok()?;
    reader.read(1 << 20, WITHIN).await.ok()
}

/// Memory a process holds, KiB.
fn memory_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

async fn serves(ground: &Ground, slot: u8) -> Result<(), DemoError> {
    let address = ground.cluster.address(slot);
    let client = Client::connect(ground.options(&Credential::generate(), &[address], WITHIN)?).await?;
    client.namespace(SPACE).await?.put("alive", "yes").await?;
    Ok(())
}

/// S3. Garbage, malformed and oversized messages at a member's door; garbage in place of evidence.
pub(super) async fn exhausted(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ground = stage.shared().await?;
    ground.voters().await?;
    let (slot, missing) = (1, || DemoError::Broken("the node is not running".into()));
    let pid = ground.cluster.pid(slot).ok_or_else(missing)?;
    let before = memory_kib(pid).ok_or_else(missing)?;
    let address = ground.cluster.address(slot);
    noise(address).await?;
    report.did(format!("sent {NOISE} datagrams of noise, half of them with the first byte of a QUIC handshake"));
    for frame in [vec![], vec![0; 7], vec![0xff; 4_096], b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let Some((_endpoint, connection)) = stranger(address).await else { continue };
        let answer = ask(&connection, &frame).await;
        report.did(format!("sent a first message of {} bytes that is none", frame.len()));
        match answer.map(|answer| Refusal::decode(&answer)) {
            None => report.answered("the stream was closed"),
            Some(Ok(refusal)) if matches!(refusal.code, RefusalCode::Malformed | RefusalCode::TooLarge) => {
                report.answered(format!("refused by type: {:?}, {:?}", refusal.code, &*refusal.detail));
            }
            Some(other) => report.won(format!("an answer that is no such refusal: {other:?}")),
        }
    }
    let held = greedy(address).await;
    let grown = memory_kib(pid).ok_or_else(missing)?.saturating_sub(before);
    report.did(format!("announced a message of a GiB on each of {} connections, and sent as much of it as was taken", held.len()));
    match grown < FLOOD_KIB {
        true => report.answered(format!("the node holds {grown} KiB more than before: lengths are limited before memory is reserved")),
        false => report.won(format!("the node holds {grown} KiB more than before")),
    }
    drop(held);
    let (judged, believed) = garbage_evidence();
    report.did(format!("gave the verifier {judged} pieces of garbage of every length in place of reports and quotes"));
    match believed {
        0 => report.answered("each was refused, none by a panic"),
        count => report.won(format!("{count} were believed")),
    }
    match serves(ground, slot).await {
        Ok(()) => report.answered("the node serves clients as before"),
        Err(fault) => report.won(format!("the node does not serve any more: {fault}")),
    }
    report.remains("refusals with codes; closed connections; a counter of connections that were turned away");
    report.finished()
}

async fn noise(address: SocketAddr) -> Result<(), DemoError> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    let mut noise = vec![0; 1_400];
    for number in 0..NOISE {
        noise[..32].copy_from_slice(&random());
        noise[0] = if number % 2 == 0 { 0xc3 } else { noise[0] };
        let _ = socket.send_to(&noise[..1 + number % 1_400], address).await;
    }
    Ok(())
}

async fn greedy(address: SocketAddr) -> Vec<(quinn::Endpoint, quinn::Connection, quinn::SendStream, quinn::RecvStream)> {
    let mut held = Vec::new();
    for _ in 0..GREEDY {
        let Some((endpoint, connection)) = stranger(address).await else { continue };
        let Ok((mut send, receive)) = connection.open_bi().await else { continue };
        let _ = send.write_all(&(1_u32 << 30).to_be_bytes()).await;
        // As much as flow control lets through, bounded.
        let _ = tokio::time::timeout(Duration::from_millis(50), send.write_all(&vec![1; 4 << 20])).await;
        held.push((endpoint, connection, send, receive));
    }
    held
}

/// How many pieces of garbage were judged, and how many were believed.
fn garbage_evidence() -> (usize, usize) {
    let node = crate::answering::node("genoa-1");
    let (anchors, endorsements, now_s) = (crate::anchors(), node.tee.endorse(), crate::answering::NOW_S);
    let (mut judged, mut believed) = (0, 0);
    for len in [0, 1, 47, 48, 49, 631, 1_183, 1_184, 4_096, 16 * 1024] {
        for fill in [0x00, 0xff, 0x04, 0x81] {
            let bytes = vec![fill; len];
            let report = Blob::new(bytes.clone()).map(|report| Evidence::Snp(SnpEvidence { report }));
            let quote = Blob::new(bytes).map(|quote| Evidence::Tdx(TdxEvidence { quote, event_log: Blob::default() }));
            for evidence in [report, quote].into_iter().flatten() {
                judged += 1;
                believed += usize::from(verify(&evidence, &endorsements, &anchors, now_s).is_ok());
            }
        }
    }
    (judged, believed)
}
