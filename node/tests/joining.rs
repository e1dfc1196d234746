//! Whole lives of nodes with software TEEs, over real loopback sockets and real folders: founding, joining, leaving, returning.
//! Decides: what a cluster must look like after each life. Every wait is bounded; nothing is asserted on time.
//! Trusts: the simulated roots. Out of scope: separate processes (the suites of `tests/`). Protocol section 4.
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_node::config::{ClusterPart, Config, Limits, LogConfig, LogFormat, LogLevel, Timing};
use ringwall_node::found::CARD_FILE;
use ringwall_node::run::{NodeError, Providers, run_node};
use ringwall_node::{clock, entropy, folders};
use ringwall_sim::{Lie, SimTee, world};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::{BootConfig, ClusterCard};
use ringwall_wire::ids::{Incarnation, Slot};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn config(folder: &Path, port: u16, cluster: ClusterPart, boot: BootConfig, peers: &[u16]) -> Config {
    let address = Text::new(format!("127.0.0.1:{port}")).unwrap();
    Config {
        data: folder.to_path_buf(),
        listen: address.parse().unwrap(),
        advertise_peers: address.clone(),
        advertise_clients: address,
        cluster,
        peers: peers.iter().map(|port| Text::new(format!("127.0.0.1:{port}")).unwrap()).collect(),
        log: LogConfig { format: LogFormat::Text, level: LogLevel::Debug },
        limits: Limits {
            connections: 256,
            connections_per_address: 256,
            handshake: Duration::from_secs(5),
            disk_reserve_bytes: 0,
            reattest: Duration::from_secs(86_400),
        },
        timing: Timing { heartbeat_ms: 100, election_ms: (600, 1_200) },
        endorsements: Default::default(),
        boot,
        custody: ringwall_node::custody::schedule::Timetable::default(),
        replace_order: None,
        kbs: None,
        web: None,
        backup_users: Vec::new(),
        staple: ringwall_node::stapling::Staple::none(),
    }
}

pub(crate) fn providers(chip: &str, boot: &BootConfig, lies: &[Lie]) -> Providers {
    let clock = clock::system();
    let now = Arc::clone(&clock);
    let tee = SimTee::new(world::machine(chip, boot.clone()).unwrap(), 0).with_clock(move || now() / 1_000).telling(lies);
    let machine = tee.clone();
    let chip_keys: ringwall_node::platform::chip_keys::KeySource = Arc::new(move |_| Ok(Box::new(machine.clone())));
    Providers { attester: Arc::new(tee), chip_keys, anchors: ringwall_sim::anchors(), clock, entropy: entropy::system().unwrap() }
}

/// A node on a runtime of its own, so that it can be killed: its tasks, sockets and files end at once.
pub(crate) struct Running {
    folder: PathBuf,
    runtime: Option<tokio::runtime::Runtime>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Result<(), NodeError>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Running {
    pub(crate) fn start(config: Config, providers: Providers) -> Running {
        ringwall_node::logging::start(&config.log);
        let folder = config.data.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(run_node(config, providers, async move {
            let _ = stopped.await;
        }));
        Running { folder, runtime: Some(runtime), stop: Some(stop), task: Some(task) }
    }

    fn founder(folder: &Path, chip: &str, port: u16) -> Running {
        let policy = world::policy();
        let template = world::genesis_template(&policy, "joining");
        let boot = world::founding_config(&template, Slot(1));
        let part = ClusterPart::Found(Box::new(template), Box::new(policy));
        Running::start(config(folder, port, part, boot.clone(), &[]), providers(chip, &boot, &[]))
    }

    fn joiner(folder: &Path, chip: &str, slot: u8, port: u16, card: &ClusterCard, peers: &[u16]) -> Running {
        let boot = world::joining_config(card.genesis.cluster_id(), Slot(slot));
        let part = ClusterPart::Join(Box::new(card.clone()));
        Running::start(config(folder, port, part, boot.clone(), peers), providers(chip, &boot, &[]))
    }

    pub(crate) async fn leave(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(LONG, self.task.take().unwrap()).await.unwrap().unwrap().unwrap();
    }

    fn lives(&self) -> Vec<Incarnation> {
        folders::lives(&self.folder).unwrap_or_default()
    }
}

pub(crate) async fn card_of(folder: &Path) -> ClusterCard {
    let path = folder.join(CARD_FILE);
    eventually("the card is written", || path.exists()).await;
    ClusterCard::decode(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How a node answers a stranger that asks for its descriptor: whether it serves clients.
async fn serves(port: u16) -> bool {
    use ringwall_quic::{Alpn, FrameReader, FrameWriter};
    use ringwall_wire::session::{GetDescriptor, NodeDescriptor};
    let within = Duration::from_secs(2);
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let dial = ringwall_quic::dial_config(Alpn::Client).unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let Ok(connection) = ringwall_quic::dial(&endpoint, &dial, address, within).await else { return false };
    let (send, recv) = connection.open_bi().await.unwrap();
    let ask = GetDescriptor { versions: ringwall_wire::bounded::List::new(vec![1]).unwrap() };
    // Kept open until the answer is here: a node that sees the stream end closes.
    let mut writer = FrameWriter::new(send);
    writer.write(&ask.encode(), within).await.unwrap();
    let answer = FrameReader::new(recv).read(8 * 1024, within).await;
    ringwall_quic::close(&connection, ringwall_quic::CloseCode::Done);
    endpoint.wait_idle().await;
    answer.is_ok_and(|frame| NodeDescriptor::decode(&frame).is_ok())
}

async fn serving(port: u16) {
    let begun = Instant::now();
    while !serves(port).await {
        assert!(begun.elapsed() < LONG, "the node on port {port} does not serve in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_of_both_vendors_become_one_cluster_and_one_of_them_returns() {
    let place = tempfile::tempdir().unwrap();
    let folder = |slot: u8| place.path().join(format!("node-{slot}"));
    let ports = [free_port(), free_port(), free_port()];
    let first = Running::founder(&folder(1), "genoa-1", ports[0]);
    let card = card_of(&folder(1)).await;
    assert_eq!(card.pinned().unwrap(), card.genesis.cluster_id());
    serving(ports[0]).await;

    // The card names the founder alone: where the others are, nobody needs to know.
    let second = Running::joiner(&folder(2), "turin-1", 2, ports[1], &card, &[]);
    serving(ports[1]).await;
    let third = Running::joiner(&folder(3), "tdx-1", 3, ports[2], &card, &[]);
    serving(ports[2]).await;
    assert_eq!(first.lives(), [Incarnation((1 << 40) | 1)]);
    assert_eq!((second.lives().len(), third.lives().len()), (1, 1));

    // A member leaves in good order and returns on a machine of the other vendor, as somebody else, through whoever answers.
    let before = third.lives();
    third.leave().await;
    eventually("the port of the node that left is free", || UdpSocket::bind(("127.0.0.1", ports[2])).is_ok()).await;
    let third = Running::joiner(&folder(3), "turin-2", 3, ports[2], &card, &ports[..2]);
    serving(ports[2]).await;
    let after = third.lives();
    assert_eq!(after.len(), 2, "the newest old life is kept as a cache");
    assert!(after.last() > before.last());

    // The founder is killed, not asked; the others go on, and it returns by attestation like everybody.
    drop(first);
    eventually("the killed node's port is free", || UdpSocket::bind(("127.0.0.1", ports[0])).is_ok()).await;
    let begun = Instant::now();
    let first = Running::joiner(&folder(1), "genoa-1", 1, ports[0], &card, &ports[1..]);
    serving(ports[0]).await;
    println!("killed founder serves again after {:?}", begun.elapsed());
    assert_eq!(first.lives().len(), 2);
    for node in [first, second, third] {
        node.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occupied_slot_is_not_given_away() {
    let place = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port(), free_port()];
    let first = Running::founder(&place.path().join("1"), "genoa-1", ports[0]);
    let card = card_of(&place.path().join("1")).await;
    serving(ports[0]).await;
    let second = Running::joiner(&place.path().join("2"), "tdx-1", 2, ports[1], &card, &[]);
    serving(ports[1]).await;
    // Once for the leader's own slot, once for that of a member the leader has to ask.
    for slot in [1, 2] {
        let usurper = Running::joiner(&place.path().join("u"), "turin-1", slot, ports[2], &card, &[]);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(usurper.lives().is_empty(), "the incumbent of slot {slot} answers, and its slot was given away");
        assert!(!usurper.task.as_ref().unwrap().is_finished(), "it keeps asking");
        usurper.leave().await;
        eventually("the usurper's port is free", || UdpSocket::bind(("127.0.0.1", ports[2])).is_ok()).await;
    }
    assert_eq!(second.lives().len(), 1);
    second.leave().await;
    first.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_evidence_is_refused_does_not_even_start() {
    let place = tempfile::tempdir().unwrap();
    let policy = world::policy();
    let template = world::genesis_template(&policy, "joining");
    let boot = world::founding_config(&template, Slot(1));
    for (chip, lie) in [("genoa-1", Lie::SnpDebug), ("tdx-1", Lie::Build), ("genoa-1", Lie::BootConfig)] {
        let part = ClusterPart::Found(Box::new(template.clone()), Box::new(policy.clone()));
        let config = config(place.path(), free_port(), part, boot.clone(), &[]);
        let outcome = run_node(config, providers(chip, &boot, &[lie]), std::future::pending()).await;
        let fault = outcome.unwrap_err();
        assert!(matches!(fault, NodeError::EvidenceRefused(_)), "{lie:?}: {fault}");
        assert_eq!(fault.exit_code(), 12);
        assert!(!place.path().join(CARD_FILE).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occupied_port_and_a_used_folder_are_named() {
    let place = tempfile::tempdir().unwrap();
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let policy = world::policy();
    let template = world::genesis_template(&policy, "joining");
    let boot = world::founding_config(&template, Slot(1));
    let part = || ClusterPart::Found(Box::new(template.clone()), Box::new(policy.clone()));
    let port = held.local_addr().unwrap().port();
    let refused =
        run_node(config(place.path(), port, part(), boot.clone(), &[]), providers("genoa-1", &boot, &[]), std::future::pending()).await;
    let fault = refused.unwrap_err();
    assert!(matches!(&fault, NodeError::Bind(ringwall_quic::BindError::InUse { address }) if address.port() == port), "{fault}");
    assert_eq!(fault.exit_code(), 13);

    std::fs::write(place.path().join(CARD_FILE), b"").unwrap();
    let refused =
        run_node(config(place.path(), free_port(), part(), boot.clone(), &[]), providers("genoa-1", &boot, &[]), std::future::pending())
            .await;
    let fault = refused.unwrap_err();
    assert!(matches!(fault, NodeError::Found(ringwall_node::found::FoundError::AlreadyFounded { .. })), "{fault}");
    assert_eq!(fault.exit_code(), 15);

    let file = place.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let refused =
        run_node(config(&file, free_port(), part(), boot.clone(), &[]), providers("genoa-1", &boot, &[]), std::future::pending()).await;
    assert_eq!(refused.unwrap_err().exit_code(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_so_many_connections_and_places_come_back() {
    let place = tempfile::tempdir().unwrap();
    let policy = world::policy();
    let template = world::genesis_template(&policy, "joining");
    let boot = world::founding_config(&template, Slot(1));
    let part = ClusterPart::Found(Box::new(template), Box::new(policy));
    let port = free_port();
    let mut config = config(place.path(), port, part, boot.clone(), &[]);
    config.limits.connections_per_address = 3;
    let node = Running::start(config, providers("genoa-1", &boot, &[]));
    card_of(place.path()).await;
    serving(port).await;

    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let dial = ringwall_quic::dial_config(ringwall_quic::Alpn::Client).unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let within = Duration::from_secs(5);
    let mut held = Vec::new();
    let begun = Instant::now();
    // The connections that asked whether it serves may still be counted for a moment.
    while held.len() < 3 {
        if let Ok(connection) = ringwall_quic::dial(&endpoint, &dial, address, within).await {
            held.push(connection);
        }
        assert!(begun.elapsed() < LONG, "places did not come back");
    }
    let refused = ringwall_quic::dial(&endpoint, &dial, address, within).await.unwrap_err();
    assert!(matches!(refused, ringwall_quic::DialError::Ended { .. }), "{refused}");
    ringwall_quic::close(&held.pop().unwrap(), ringwall_quic::CloseCode::Done);
    let begun = Instant::now();
    while ringwall_quic::dial(&endpoint, &dial, address, within).await.is_err() {
        assert!(begun.elapsed() < LONG, "the place of a closed connection did not come back");
    }
    node.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_to_join_tells_clients_and_nodes_that_it_is_no_member() {
    use ringwall_quic::{Alpn, FrameReader, FrameWriter};
    use ringwall_wire::session::{GetDescriptor, PeerHello, PeerPurpose, Refusal, RefusalCode};
    let place = tempfile::tempdir().unwrap();
    let policy = world::policy();
    let genesis = ringwall_sim::genesis_record(&policy, "nowhere", ringwall_wire::ids::Nonce([2; 32]));
    let card = ClusterCard { genesis, policy, steps: Default::default(), addresses: Default::default(), web: Default::default() };
    let port = free_port();
    let node = Running::joiner(place.path(), "genoa-1", 1, port, &card, &[free_port()]);
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let within = Duration::from_secs(5);
    let ask = GetDescriptor { versions: ringwall_wire::bounded::List::new(vec![1]).unwrap() };
    let hello = PeerHello {
        versions: ringwall_wire::bounded::List::new(vec![1]).unwrap(),
        cluster_id: card.genesis.cluster_id(),
        epoch: ringwall_node::found::FIRST_EPOCH,
        purpose: PeerPurpose::Member,
        from: Slot(2),
    };
    for (alpn, words) in [(Alpn::Client, ask.encode()), (Alpn::Peer, hello.encode())] {
        let begun = Instant::now();
        let dial = ringwall_quic::dial_config(alpn).unwrap();
        let connection = loop {
            match ringwall_quic::dial(&endpoint, &dial, address, within).await {
                Ok(connection) => break connection,
                Err(fault) => assert!(begun.elapsed() < LONG, "{fault}"),
            }
        };
        let (send, recv) = connection.open_bi().await.unwrap();
        let mut writer = FrameWriter::new(send);
        writer.write(&words, within).await.unwrap();
        let frame = FrameReader::new(recv).read(8 * 1024, within).await.unwrap();
        assert_eq!(Refusal::decode(&frame).unwrap().code, RefusalCode::NotMember);
    }
    node.leave().await;
}
