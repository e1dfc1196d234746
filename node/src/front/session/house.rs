//! A front door over a real replica, real QUIC and minted evidence, with a client that verifies, over any stream there is.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: what is asked (`tests.rs`, `web/tests.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::front::FrontParts;
use crate::renewal::Sessions;
use crate::ring::Ring;
use crate::room::Room;
use ed25519_dalek::SigningKey;
use quinn::Connection;
use ringwall_attest::{Asked, Pinned, PolicyPin, appraise_session};
use ringwall_channel::user::sign_user;
use ringwall_channel::{ClientDial, NodeSecrets};
use ringwall_consensus::{BoxFuture, Class, Options, Replica, Transport, TransportError};
use ringwall_keys::Keyring;
use ringwall_quic::{Alpn, transport_binding};
use ringwall_sim::{SimTee, anchors, genesis_record, world};
use ringwall_wire::admission::IncarnationCert;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{ClientId, ClusterId, CredPublic, Epoch, Incarnation, PolicyVersion, Revision, Slot, UserId, Vendor};
use ringwall_wire::peer::{Member, PeerAnswer, PeerCall};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::request::*;
use ringwall_wire::session::{AttestMode, AttestReq, NodeDescriptor};
use std::collections::VecDeque;

struct Nobody;

impl Transport for Nobody {
    fn call(&self, to: Incarnation, _: &Member, _: Class, _: PeerCall, _: Duration) -> BoxFuture<Result<PeerAnswer, TransportError>> {
        Box::pin(async move { Err(TransportError::Unreachable { to, why: String::new() }) })
    }
}

/// A cluster of one member and its front door.
pub(crate) struct House {
    pub(crate) front: Arc<Front>,
    pub(crate) cluster_id: ClusterId,
    pub(crate) endpoint: quinn::Endpoint,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) _folder: tempfile::TempDir,
}

pub(crate) async fn house() -> House {
    house_under(world::policy()).await
}

pub(crate) async fn house_under(policy: PolicyDoc) -> House {
    let entropy = crate::entropy::system().unwrap();
    let clock = crate::clock::system();
    let genesis = genesis_record(&policy, "test", Nonce([5; 32]));
    let boot_config = world::founding_config(&genesis.template, Slot(1));
    let tee = SimTee::new(world::machine("genoa-1", boot_config.clone()).unwrap(), clock() / 1_000);
    let (cluster_id, epoch) = (genesis.cluster_id(), Epoch(1));
    let incarnation = Incarnation::new(epoch, 1);
    let secrets = Arc::new(NodeSecrets::generate(&mut *entropy()));
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(folder.path().join("inc"), cluster_id, incarnation, clock.clone());
    let replica = Replica::open(options, Arc::new(Nobody)).await.unwrap();
    let cert = IncarnationCert {
        slot: Slot(1),
        keys: secrets.public().clone(),
        vendor: Vendor::Amd,
        chip: tee.chip(),
        measurement: Text::new(world::BUILD).unwrap(),
        boot_config: boot_config.host_data(),
        peer_address: Text::default(),
        client_address: Text::new("127.0.0.1:1").unwrap(),
    };
    replica.found(cert).await.unwrap();
    let keyring = Ring::new(Keyring::found(cluster_id, &mut *entropy()));
    let sessions = Sessions::new(&policy.session, Duration::from_secs(86_400));
    let front = Front::start(FrontParts {
        cluster_id,
        epoch,
        incarnation,
        slot: Slot(1),
        secrets,
        attester: Arc::new(tee),
        anchors: Arc::new(ringwall_sim::anchors()),
        keyring,
        replica,
        genesis,
        policies: Arc::new(crate::governance::PolicyCell::founding(policy)),
        boot_config,
        staple: crate::stapling::Staple::none(),
        published: Arc::default(),
        clock,
        entropy,
        room: Room::new(folder.path().to_owned(), 0),
        sessions,
        node: std::sync::Weak::new(),
        kbs: None,
        backup_users: vec![user(1)],
        web: Arc::default(),
    });
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), Some(ringwall_quic::server_config().unwrap())).unwrap();
    let (address, serving, accepting) = (endpoint.local_addr().unwrap(), front.clone(), endpoint.clone());
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let front = serving.clone();
            tokio::spawn(async move { front.serve(incoming.await.unwrap().into()).await });
        }
    });
    House { front, cluster_id, endpoint, address, _folder: folder }
}

/// The user of a client with this seed.
pub(crate) fn user(seed: u8) -> UserId {
    UserId::of(&CredPublic(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()))
}

pub(crate) struct Client {
    /// Kept open; none where the stream keeps it.
    pub(crate) connection: Option<Connection>,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) send: Sending,
    pub(crate) recv: Receiving,
    pub(crate) ready: Option<UserReady>,
    pub(crate) covered: u16,
    pub(crate) number: u64,
    pub(crate) kept: VecDeque<Reply>,
}

impl House {
    pub(crate) async fn dial(&self) -> (Connection, FrameReader<Receiving>, FrameWriter<Sending>) {
        let config = ringwall_quic::dial_config(Alpn::Client).unwrap();
        let connection = ringwall_quic::dial(&self.endpoint, &config, self.address, STEP).await.unwrap();
        let (send, recv) = connection.open_bi().await.unwrap();
        (connection, FrameReader::new(Receiving::Quic(recv)), FrameWriter::new(Sending::Quic(send)))
    }

    /// Everything a client does before its first request.
    pub(crate) async fn client(&self, seed: u8, name: u8) -> Client {
        let (connection, reader, writer) = self.dial().await;
        let binding = transport_binding(&connection);
        let mut client = self.client_over((reader, writer), &binding, (seed, name)).await.expect("a session");
        client.connection = Some(connection);
        client
    }

    /// The same over a stream that was opened already; none when the handshake fails.
    pub(crate) async fn client_over(
        &self,
        (mut reader, mut writer): (FrameReader<Receiving>, FrameWriter<Sending>),
        binding: &[u8; 32],
        (seed, name): (u8, u8),
    ) -> Option<Client> {
        let entropy = crate::entropy::system().unwrap();
        writer.write(&GetDescriptor { versions: List::new(vec![1]).unwrap() }.encode(), STEP).await.unwrap();
        let descriptor = NodeDescriptor::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.unwrap()).unwrap();
        let prologue = ClientPrologue { cluster_id: self.cluster_id, epoch: Epoch(1), version: 1, transport_binding: binding };
        let (dial, msg1) = ClientDial::start(&descriptor, &prologue, &mut *entropy()).unwrap();
        writer.write(&msg1, STEP).await.unwrap();
        let mut session = dial.finish(&reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.ok()?).ok()?;
        let nonce = Nonce([seed; 32]);
        let ask = AttestReq { nonce, mode: AttestMode::Batched, min_policy_version: PolicyVersion(1), known_policy: None };
        writer.write(&session.seal_attest_req(&ask).unwrap(), STEP).await.unwrap();
        let answer = session.open_attest_resp(&reader.read(1 << 20, STEP).await.unwrap()).unwrap();
        let (handshake, noise) = (*session.handshake(), *session.remote_noise().unwrap());
        let asked = Asked { handshake: &handshake, nonce: &nonce, role: Role::ClientServer, noise: &noise, mode: AttestMode::Batched };
        let (anchors, now_s, policy) = (anchors(), crate::clock::system()() / 1_000, PolicyPin::Founding { min_version: PolicyVersion(1) });
        let pinned = Pinned { cluster_id: self.cluster_id, policy, anchors: &anchors, now_s, last_head: None };
        let peer = appraise_session(&answer, &asked, &pinned).unwrap();
        let binding = UserBinding { handshake: &handshake, nonce: &nonce, incarnation: peer.incarnation() };
        let auth = sign_user(&binding, &ClientId([name; 16]), &SigningKey::from_bytes(&[seed; 32]));
        let (sealer, opener) = session.establish(peer).unwrap().split(0, REQUEST_BYTES).unwrap();
        let (send, recv) = (writer.into_stream(), reader.into_stream());
        let mut client = Client { connection: None, sealer, opener, send, recv, ready: None, covered: 0, number: 0, kept: VecDeque::new() };
        client.send(&auth.encode()).await;
        client.ready = Some(UserReady::decode(&client.message().await.unwrap()).unwrap());
        Some(client)
    }
}

impl Client {
    pub(crate) async fn send(&mut self, message: &[u8]) {
        let mut sealed = Vec::new();
        self.sealer.seal(message, &mut sealed).unwrap();
        self.send.put(&sealed).await.unwrap();
    }

    pub(crate) async fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.opener.next().unwrap() {
                return Some(message);
            }
            let chunk = timeout(STEP, self.recv.chunk(1 << 16)).await.unwrap().ok()??;
            self.opener.push(&chunk).unwrap();
        }
    }

    pub(crate) async fn start(&mut self, op: Op) -> u64 {
        self.number += 1;
        self.send(&Request { number: self.number, op }.encode()).await;
        self.number
    }

    /// The next reply to `number`; others are kept.
    pub(crate) async fn reply(&mut self, number: u64) -> Answer {
        loop {
            if let Some(at) = self.kept.iter().position(|reply| reply.number == number) {
                return self.kept.remove(at).unwrap().body;
            }
            let message = self.message().await.expect("the session goes on");
            let reply = Reply::decode(&message).unwrap();
            match &reply.body {
                Answer::Receipt(receipted) => {
                    assert_eq!(self.covered, 0, "the receipt before answers for replies that never came");
                    self.covered = receipted.covers;
                    continue;
                }
                Answer::Refused(_) => self.covered = self.covered.saturating_sub(1),
                _ => self.covered = self.covered.checked_sub(1).expect("a receipt comes before what it answers for"),
            }
            self.kept.push_back(reply);
        }
    }

    pub(crate) async fn ask(&mut self, op: Op) -> Answer {
        let number = self.start(op).await;
        self.reply(number).await
    }
}

pub(crate) fn notes() -> Namespace {
    Text::new("notes").unwrap()
}

pub(crate) fn key(name: &str) -> KeyName {
    Blob::new(name).unwrap()
}

pub(crate) fn open_notes() -> Op {
    Op::OpenNamespace(OpenNamespace { namespace: notes(), mode: KeyMode::Cluster, commit: None })
}

pub(crate) fn put(seq: u64, name: &str, value: &[u8], expect: Expect) -> Op {
    let change = Change::Put(PutValue { value: Blob::new(value).unwrap(), ttl_s: 0 });
    write(seq, vec![Mutation { key: key(name), expect, change }])
}

pub(crate) fn write(seq: u64, mutations: Vec<Mutation>) -> Op {
    let once = Once { seq, acked: seq - 1, since: Revision(0) };
    Op::Write(Write { namespace: notes(), once, mutations: List::new(mutations).unwrap() })
}

pub(crate) fn get(name: &str) -> Op {
    Op::Get(Get { namespace: notes(), key: key(name) })
}

pub(crate) fn list(prefix: &str, after: Option<&str>, limit: u16) -> Op {
    Op::List(ListKeys { namespace: notes(), prefix: key(prefix), after: after.map(key), limit, values: true })
}

pub(crate) fn watch(prefix: &str, after: Revision) -> Op {
    Op::Watch(Watch { namespace: notes(), prefix: key(prefix), after })
}

pub(crate) fn code(answer: &Answer) -> RefusalCode {
    match answer {
        Answer::Refused(refusal) => refusal.code,
        other => panic!("not a refusal: {other:?}"),
    }
}

pub(crate) fn value(answer: Answer) -> Vec<u8> {
    match answer {
        Answer::Found(entry) => entry.value.to_vec(),
        other => panic!("nothing found: {other:?}"),
    }
}

pub(crate) fn revision(answer: &Answer) -> Revision {
    match answer {
        Answer::Written(revision) => *revision,
        other => panic!("not written: {other:?}"),
    }
}
