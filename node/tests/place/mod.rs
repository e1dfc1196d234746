//! Sites of the simulated world, honest pairs of nodes, and a hostile answering node that shows whatever evidence it likes.
//! Decides: one honest setting that each test bends in one place.
//! Trusts: `ringwall-sim` to mint evidence. Out of scope: what is asserted.
#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use ringwall_channel::{NodeSecrets, PeerAnswer, PeerDial, PeerPrologue};
use ringwall_node::attesting::{self, Claim};
use ringwall_node::config::{ClusterPart, Config, Limits, LogConfig, Timing};
use ringwall_node::context::Site;
use ringwall_node::governance::PolicyCell;
use ringwall_node::life::LifeCell;
use ringwall_node::peers::handshake::{self, Expected, Opened, Own, PeerError, Turn};
use ringwall_node::{clock, entropy};
use ringwall_quic::{Alpn, FrameReader, FrameWriter, transport_binding};
use ringwall_sim::{Lie, SimTee, world as sim_world};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::{ClusterCard, GenesisRecord};
use ringwall_wire::ids::{BootKeys, Digest, Incarnation, NoisePublic, Nonce, Slot};
use ringwall_wire::limits::{ATTEST_MESSAGE_BYTES, HANDSHAKE_MESSAGE_BYTES};
use ringwall_wire::peer::PeerReply;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp, PeerHello, PeerPurpose, PeerReady};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub(crate) type Dialled = Result<Opened, PeerError>;
pub(crate) type Answered = Result<Opened, PeerError>;
/// Makes what a dialler expects from the key the other side really has.
pub(crate) type Expect = Box<dyn FnOnce(NoisePublic) -> Expected>;

const SOON: Duration = Duration::from_secs(20);

/// The founding record of the test cluster.
pub(crate) fn world(nonce: Nonce) -> GenesisRecord {
    world_under(&sim_world::policy(), nonce)
}

fn world_under(policy: &PolicyDoc, nonce: Nonce) -> GenesisRecord {
    ringwall_sim::genesis_record(policy, "refusals", nonce)
}

/// A node on this machine, in this slot, telling these lies.
pub(crate) fn site_of(chip: &str, slot: u8, lies: &[Lie]) -> Arc<Site> {
    site_under(sim_world::policy(), (chip, slot), lies)
}

/// The same in a cluster that was founded with this policy.
pub(crate) fn site_under(policy: PolicyDoc, (chip, slot): (&str, u8), lies: &[Lie]) -> Arc<Site> {
    let genesis = world_under(&policy, Nonce([4; 32]));
    let boot = sim_world::joining_config(genesis.cluster_id(), Slot(slot));
    let clock = clock::system();
    let now = Arc::clone(&clock);
    let tee = SimTee::new(sim_world::machine(chip, boot.clone()).unwrap(), 0).with_clock(move || now() / 1_000).telling(lies);
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), Some(ringwall_quic::server_config().unwrap())).unwrap();
    let listen = endpoint.local_addr().unwrap();
    let address = Text::new(listen.to_string()).unwrap();
    let card = ClusterCard {
        genesis: genesis.clone(),
        policy: policy.clone(),
        steps: Default::default(),
        addresses: Default::default(),
        web: Default::default(),
    };
    let config = Config {
        data: std::env::temp_dir(),
        listen,
        advertise_peers: address.clone(),
        advertise_clients: address,
        cluster: ClusterPart::Join(Box::new(card)),
        peers: Vec::new(),
        log: LogConfig::default(),
        limits: Limits {
            connections: 64,
            connections_per_address: 64,
            handshake: Duration::from_secs(10),
            disk_reserve_bytes: 0,
            reattest: Duration::from_secs(86_400),
        },
        timing: Timing { heartbeat_ms: 50, election_ms: (250, 500) },
        endorsements: Default::default(),
        boot,
        custody: ringwall_node::custody::schedule::Timetable::default(),
        replace_order: None,
        kbs: None,
        web: None,
        backup_users: Vec::new(),
        staple: ringwall_node::stapling::Staple::none(),
    };
    Arc::new(Site {
        cluster_id: genesis.cluster_id(),
        sessions: ringwall_node::renewal::Sessions::new(&policy.session, Duration::from_secs(86_400)),
        epochs: ringwall_node::context::EpochCell::new(ringwall_node::found::FIRST_EPOCH),
        genesis,
        founding: policy.clone(),
        policies: Arc::new(PolicyCell::founding(policy)),
        heard: ringwall_node::heard::HeardCell::default(),
        published: Arc::default(),
        card_addresses: Vec::new(),
        config,
        attester: Arc::new(tee),
        chip_keys: ringwall_node::platform::chip_keys::ChipKeys::none(),
        anchors: ringwall_sim::anchors(),
        clock,
        entropy: entropy::system().unwrap(),
        endpoint,
        web: Arc::default(),
        dial: ringwall_quic::dial_config(Alpn::Peer).unwrap(),
        life: LifeCell::default(),
        leaving: tokio::sync::watch::Sender::new(false),
    })
}

/// Changes a site nobody else holds yet.
pub(crate) fn change(site: &mut Arc<Site>, change: impl FnOnce(&mut Site)) {
    change(Arc::get_mut(site).unwrap());
}

/// Both sides of one session; the answering side knows everybody.
pub(crate) async fn between(
    dialler: (&Arc<Site>, Incarnation),
    answerer: (&Arc<Site>, Incarnation),
    purpose: PeerPurpose,
    expect: Option<Expect>,
) -> (Dialled, Answered) {
    both(dialler, answerer, purpose, expect, true, Turn::Free).await
}

/// Both sides of a session between members; the answering side knows nobody.
pub(crate) async fn unknown(dialler: (&Arc<Site>, Incarnation), answerer: (&Arc<Site>, Incarnation)) -> (Dialled, Answered) {
    both(dialler, answerer, PeerPurpose::Member, None, false, Turn::Free).await
}

/// Both sides of a session between members; the answering side makes no quote now.
pub(crate) async fn crowded(dialler: (&Arc<Site>, Incarnation), answerer: (&Arc<Site>, Incarnation)) -> (Dialled, Answered) {
    both(dialler, answerer, PeerPurpose::Member, None, true, Turn::Crowded).await
}

async fn both(
    (dialler, dialler_name): (&Arc<Site>, Incarnation),
    (answerer, answerer_name): (&Arc<Site>, Incarnation),
    purpose: PeerPurpose,
    expect: Option<Expect>,
    known: bool,
    turn: Turn,
) -> (Dialled, Answered) {
    let (dialler_keys, answerer_keys) = (keys(dialler), keys(answerer));
    let expected = expect.map(|expect| expect(answerer_keys.public().noise));
    let dialling = async {
        let connection = ringwall_quic::dial(&dialler.endpoint, &dialler.dial, answerer.config.listen, SOON).await?;
        let own = Own { site: dialler, secrets: &dialler_keys, incarnation: dialler_name, prover: None };
        let opened = handshake::dial(own, &connection, purpose, expected).await;
        // Kept until the other side is done too.
        Ok::<_, PeerError>((opened?, connection))
    };
    let answering = async {
        let connection = answerer.endpoint.accept().await.unwrap().await.unwrap();
        let own = Own { site: answerer, secrets: &answerer_keys, incarnation: answerer_name, prover: None };
        let greeted = handshake::greet(answerer, &connection).await?;
        let nonce = entropy::nonce(&answerer.entropy);
        let mut opened = handshake::answer(own, &connection, greeted, nonce, |_| turn, |_| known).await?;
        if purpose == PeerPurpose::Member {
            let word = PeerReply { number: 0, answer: ringwall_wire::peer::PeerAnswer::Done };
            opened.records.send(&word, SOON).await?;
        }
        Ok::<_, PeerError>((opened, connection))
    };
    let (dialled, answered) = tokio::time::timeout(SOON, async { tokio::join!(dialling, answering) }).await.unwrap();
    // Connections end only here, so that neither side mistakes the other's test for a broken network.
    let (dialled, _dialled_kept) = dialled.map_or_else(|fault| (Err(fault), None), |(opened, kept)| (Ok(opened), Some(kept)));
    let (answered, _answered_kept) = answered.map_or_else(|fault| (Err(fault), None), |(opened, kept)| (Ok(opened), Some(kept)));
    (dialled, answered)
}

fn keys(site: &Site) -> NodeSecrets {
    NodeSecrets::generate(&mut *(site.entropy)())
}

/// The keys of both sides, as a hostile answerer knows them.
pub(crate) struct Keys {
    pub(crate) dialler: BootKeys,
    pub(crate) answerer: BootKeys,
}

/// Dials a hostile node that finishes the handshake honestly and then shows the evidence `show` makes.
pub(crate) async fn dial_hostile<F, Fut>(dialler: (&Arc<Site>, Incarnation), hostile: &Arc<Site>, show: F) -> Dialled
where
    F: FnOnce(Digest, Nonce, Keys) -> Fut,
    Fut: Future<Output = AttestResp>,
{
    hostile_session(dialler, hostile, (0, hostile.slot()), show).await
}

/// The same with keys of the hostile node that are equal for equal `seed`, 0 for fresh ones, and the slot it says it stands in.
pub(crate) async fn hostile_session<F, Fut>(
    (dialler, name): (&Arc<Site>, Incarnation),
    hostile: &Arc<Site>,
    (seed, said): (u64, Slot),
    show: F,
) -> Dialled
where
    F: FnOnce(Digest, Nonce, Keys) -> Fut,
    Fut: Future<Output = AttestResp>,
{
    let dialler_keys = keys(dialler);
    let hostile_keys = match seed {
        0 => keys(hostile),
        seed => NodeSecrets::generate(&mut seeded(seed)),
    };
    let both = Keys { dialler: dialler_keys.public().clone(), answerer: hostile_keys.public().clone() };
    let dialling = async {
        let connection = ringwall_quic::dial(&dialler.endpoint, &dialler.dial, hostile.config.listen, SOON).await?;
        let own = Own { site: dialler, secrets: &dialler_keys, incarnation: name, prover: None };
        handshake::dial(own, &connection, PeerPurpose::Member, None).await
    };
    let hostile_side = async {
        let connection = hostile.endpoint.accept().await.unwrap().await.unwrap();
        answer_with((hostile, said), &hostile_keys, &connection, both, show).await;
        // Kept open: the dialler decides.
        connection.closed().await;
    };
    tokio::select! {
        dialled = dialling => dialled,
        () = hostile_side => panic!("the dialler left without a verdict"),
        () = tokio::time::sleep(SOON) => panic!("no verdict in time"),
    }
}

async fn answer_with<F, Fut>(
    (hostile, said): (&Arc<Site>, Slot),
    secrets: &NodeSecrets,
    connection: &quinn::Connection,
    both: Keys,
    show: F,
) where
    F: FnOnce(Digest, Nonce, Keys) -> Fut,
    Fut: Future<Output = AttestResp>,
{
    let (send, recv) = connection.accept_bi().await.unwrap();
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let hello = PeerHello::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, SOON).await.unwrap()).unwrap();
    let ready = PeerReady { version: hello.versions[0], epoch: hello.epoch, slot: said };
    writer.write(&ready.encode(), SOON).await.unwrap();
    let prologue = PeerPrologue {
        cluster_id: hello.cluster_id,
        epoch: hello.epoch,
        version: ready.version,
        purpose: hello.purpose,
        from: hello.from,
        to: said,
        transport_binding: &transport_binding(connection),
    };
    let msg1 = reader.read(HANDSHAKE_MESSAGE_BYTES, SOON).await.unwrap();
    let (noise, msg2) = PeerAnswer::start(secrets, &prologue, &msg1, &mut *(hostile.entropy)()).unwrap();
    writer.write(&msg2, SOON).await.unwrap();
    let mut session = noise.finish(&reader.read(HANDSHAKE_MESSAGE_BYTES, SOON).await.unwrap()).unwrap();
    let asked = session.open_attest_req(&reader.read(HANDSHAKE_MESSAGE_BYTES, SOON).await.unwrap()).unwrap();
    let shown = show(*session.handshake(), asked.nonce, both).await;
    writer.write(&session.seal_attest_resp(&shown).unwrap(), SOON).await.unwrap();
    let ask = AttestReq {
        nonce: entropy::nonce(&hostile.entropy),
        mode: AttestMode::Single,
        min_policy_version: hostile.policy().version,
        known_policy: None,
    };
    writer.write(&session.seal_attest_req(&ask).unwrap(), SOON).await.unwrap();
    // A dialler that accepted shows its own evidence, and waits for the first word.
    let Ok(frame) = reader.read(2 * ATTEST_MESSAGE_BYTES, SOON).await else { return };
    let Ok(evidence) = session.open_attest_resp(&frame) else { return };
    let wanted = ringwall_node::attesting::Wanted {
        role: ringwall_wire::evidence::Role::PeerInit,
        handshake: *session.handshake(),
        nonce: ask.nonce,
        noise: *session.remote_noise().unwrap(),
    };
    let peer = ringwall_node::attesting::judge(hostile, evidence, wanted).await.unwrap();
    let mut session = session.establish(peer).unwrap();
    let (mut sealer, _opener) = session.split(0, HANDSHAKE_MESSAGE_BYTES).unwrap();
    let mut out = Vec::new();
    sealer.seal(&PeerReply { number: 0, answer: ringwall_wire::peer::PeerAnswer::Done }.encode(), &mut out).unwrap();
    writer.into_stream().write_all(&out).await.unwrap();
}

/// A generator that repeats; for keys that must be equal in two sessions of a test.
fn seeded(seed: u64) -> impl rand_core::CryptoRng {
    use rand_core::SeedableRng;
    rand_chacha::ChaCha20Rng::seed_from_u64(seed)
}

/// What an answering node makes of a joiner that is honest, but for the slot in its hello.
pub(crate) async fn misplaced(joiner: &Arc<Site>, said: Slot, answerer: (&Arc<Site>, Incarnation)) -> Answered {
    let (site, incarnation) = answerer;
    let (joiner_keys, answerer_keys) = (keys(joiner), keys(site));
    let answering = async {
        let connection = site.endpoint.accept().await.unwrap().await.unwrap();
        let own = Own { site, secrets: &answerer_keys, incarnation, prover: None };
        let greeted = handshake::greet(site, &connection).await?;
        handshake::answer(own, &connection, greeted, entropy::nonce(&site.entropy), |_| Turn::Free, |_| true).await
    };
    let joining = async {
        let connection = ringwall_quic::dial(&joiner.endpoint, &joiner.dial, site.config.listen, SOON).await.unwrap();
        let (send, recv) = connection.open_bi().await.unwrap();
        let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
        let (cluster_id, epoch, purpose) = (joiner.cluster_id, joiner.epoch(), PeerPurpose::Join);
        let versions = List::new(ringwall_wire::version::SUPPORTED.to_vec()).unwrap();
        writer.write(&PeerHello { versions, cluster_id, epoch, purpose, from: said }.encode(), SOON).await.unwrap();
        let PeerReady { version, slot: to, .. } = PeerReady::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, SOON).await.unwrap()).unwrap();
        let transport_binding = &transport_binding(&connection);
        let prologue = PeerPrologue { cluster_id, epoch, version, purpose, from: said, to, transport_binding };
        let (noise, msg1) = PeerDial::start(&joiner_keys, &prologue, &mut *(joiner.entropy)()).unwrap();
        writer.write(&msg1, SOON).await.unwrap();
        let (msg3, mut session) = noise.finish(&reader.read(HANDSHAKE_MESSAGE_BYTES, SOON).await.unwrap()).unwrap();
        writer.write(&msg3, SOON).await.unwrap();
        let ask = AttestReq {
            nonce: entropy::nonce(&joiner.entropy),
            mode: AttestMode::Single,
            min_policy_version: joiner.policy().version,
            known_policy: None,
        };
        writer.write(&session.seal_attest_req(&ask).unwrap(), SOON).await.unwrap();
        session.open_attest_resp(&reader.read(2 * ATTEST_MESSAGE_BYTES, SOON).await.unwrap()).unwrap();
        let asked = session.open_attest_req(&reader.read(HANDSHAKE_MESSAGE_BYTES, SOON).await.unwrap()).unwrap();
        let (role, handshake) = (ringwall_wire::evidence::Role::JoinInit, *session.handshake());
        let claim = Claim { role, incarnation: Incarnation(0), keys: joiner_keys.public().clone(), handshake, nonce: asked.nonce };
        let shown = attesting::answer(joiner, claim).await.unwrap();
        writer.write(&session.seal_attest_resp(&shown).unwrap(), SOON).await.unwrap();
        // Kept open: the answering side decides.
        connection.closed().await;
    };
    tokio::pin!(answering);
    tokio::select! {
        answered = &mut answering => answered,
        _ = joining => answering.await,
        () = tokio::time::sleep(SOON) => panic!("no verdict in time"),
    }
}
