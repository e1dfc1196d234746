//! A front door over a real replica, real QUIC and minted evidence, with a client that verifies, and one that misbehaves.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: several members (the suites over real processes).
#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::front::FrontParts;
use crate::renewal::Sessions;
use crate::ring::Ring;
use crate::room::Room;
use ed25519_dalek::SigningKey;
use ringwall_attest::{Asked, Pinned, PolicyPin, appraise_session};
use ringwall_channel::user::sign_user;
use ringwall_channel::{ClientDial, NodeSecrets};
use ringwall_consensus::{BoxFuture, Class, Options, Replica, Transport, TransportError};
use ringwall_keys::Keyring;
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
struct House {
    front: Arc<Front>,
    cluster_id: ClusterId,
    endpoint: quinn::Endpoint,
    address: std::net::SocketAddr,
    _folder: tempfile::TempDir,
}

async fn house() -> House {
    house_under(world::policy()).await
}

async fn house_under(policy: PolicyDoc) -> House {
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
    });
    let endpoint = ringwall_quic::bind("127.0.0.1:0".parse().unwrap(), Some(ringwall_quic::server_config().unwrap())).unwrap();
    let (address, serving, accepting) = (endpoint.local_addr().unwrap(), front.clone(), endpoint.clone());
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let front = serving.clone();
            tokio::spawn(async move { front.serve(incoming.await.unwrap()).await });
        }
    });
    House { front, cluster_id, endpoint, address, _folder: folder }
}

/// The user of a client with this seed.
fn user(seed: u8) -> UserId {
    UserId::of(&CredPublic(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()))
}

struct Client {
    _connection: Connection,
    sealer: Sealer,
    opener: Opener,
    send: SendStream,
    recv: RecvStream,
    ready: Option<UserReady>,
    covered: u16,
    number: u64,
    kept: VecDeque<Reply>,
}

impl House {
    async fn dial(&self) -> (Connection, FrameReader, FrameWriter) {
        let config = ringwall_quic::dial_config(Alpn::Client).unwrap();
        let connection = ringwall_quic::dial(&self.endpoint, &config, self.address, STEP).await.unwrap();
        let (send, recv) = connection.open_bi().await.unwrap();
        (connection, FrameReader::new(recv), FrameWriter::new(send))
    }

    /// Everything a client does before its first request.
    async fn client(&self, seed: u8, name: u8) -> Client {
        let entropy = crate::entropy::system().unwrap();
        let (connection, mut reader, mut writer) = self.dial().await;
        writer.write(&GetDescriptor { versions: List::new(vec![1]).unwrap() }.encode(), STEP).await.unwrap();
        let descriptor = NodeDescriptor::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.unwrap()).unwrap();
        let binding = transport_binding(&connection);
        let prologue = ClientPrologue { cluster_id: self.cluster_id, epoch: Epoch(1), version: 1, transport_binding: &binding };
        let (dial, msg1) = ClientDial::start(&descriptor, &prologue, &mut *entropy()).unwrap();
        writer.write(&msg1, STEP).await.unwrap();
        let mut session = dial.finish(&reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.unwrap()).unwrap();
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
        let mut client =
            Client { _connection: connection, sealer, opener, send, recv, ready: None, covered: 0, number: 0, kept: VecDeque::new() };
        client.send(&auth.encode()).await;
        client.ready = Some(UserReady::decode(&client.message().await.unwrap()).unwrap());
        client
    }
}

impl Client {
    async fn send(&mut self, message: &[u8]) {
        let mut sealed = Vec::new();
        self.sealer.seal(message, &mut sealed).unwrap();
        self.send.write_all(&sealed).await.unwrap();
    }

    async fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.opener.next().unwrap() {
                return Some(message);
            }
            let chunk = timeout(STEP, self.recv.read_chunk(1 << 16, true)).await.unwrap().ok()??;
            self.opener.push(&chunk.bytes).unwrap();
        }
    }

    async fn start(&mut self, op: Op) -> u64 {
        self.number += 1;
        self.send(&Request { number: self.number, op }.encode()).await;
        self.number
    }

    /// The next reply to `number`; others are kept.
    async fn reply(&mut self, number: u64) -> Answer {
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

    async fn ask(&mut self, op: Op) -> Answer {
        let number = self.start(op).await;
        self.reply(number).await
    }
}

fn notes() -> Namespace {
    Text::new("notes").unwrap()
}

fn key(name: &str) -> KeyName {
    Blob::new(name).unwrap()
}

fn open_notes() -> Op {
    Op::OpenNamespace(OpenNamespace { namespace: notes(), mode: KeyMode::Cluster, commit: None })
}

fn put(seq: u64, name: &str, value: &[u8], expect: Expect) -> Op {
    let change = Change::Put(PutValue { value: Blob::new(value).unwrap(), ttl_s: 0 });
    write(seq, vec![Mutation { key: key(name), expect, change }])
}

fn write(seq: u64, mutations: Vec<Mutation>) -> Op {
    let once = Once { seq, acked: seq - 1, since: Revision(0) };
    Op::Write(Write { namespace: notes(), once, mutations: List::new(mutations).unwrap() })
}

fn get(name: &str) -> Op {
    Op::Get(Get { namespace: notes(), key: key(name) })
}

fn list(prefix: &str, after: Option<&str>, limit: u16) -> Op {
    Op::List(ListKeys { namespace: notes(), prefix: key(prefix), after: after.map(key), limit, values: true })
}

fn watch(prefix: &str, after: Revision) -> Op {
    Op::Watch(Watch { namespace: notes(), prefix: key(prefix), after })
}

fn code(answer: &Answer) -> RefusalCode {
    match answer {
        Answer::Refused(refusal) => refusal.code,
        other => panic!("not a refusal: {other:?}"),
    }
}

fn value(answer: Answer) -> Vec<u8> {
    match answer {
        Answer::Found(entry) => entry.value.to_vec(),
        other => panic!("nothing found: {other:?}"),
    }
}

fn revision(answer: &Answer) -> Revision {
    match answer {
        Answer::Written(revision) => *revision,
        other => panic!("not written: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_session_writes_reads_lists_and_watches() {
    let house = house().await;
    let mut client = house.client(1, 1).await;
    assert_eq!(client.ready.as_ref().unwrap().members.len(), 1);
    assert_eq!(code(&client.ask(get("a")).await), RefusalCode::NoNamespace);
    let dual = Op::OpenNamespace(OpenNamespace { namespace: notes(), mode: KeyMode::Dual, commit: None });
    assert_eq!(code(&client.ask(dual).await), RefusalCode::Malformed, "a mode that needs the user's key comes with a commitment to it");
    assert!(matches!(client.ask(open_notes()).await, Answer::Opened(_)));
    assert!(matches!(client.ask(open_notes()).await, Answer::Opened(_)));
    assert!(matches!(client.ask(get("a")).await, Answer::Absent(_)));

    let first = revision(&client.ask(put(1, "b/1", b"one", Expect::Absent)).await);
    assert_eq!(client.ask(put(1, "b/1", b"one", Expect::Absent)).await, Answer::Written(first), "a retry is applied once");
    assert!(matches!(client.ask(put(2, "b/1", b"two", Expect::Absent)).await, Answer::Conflict(_)));
    revision(&client.ask(put(3, "a", b"three", Expect::Any)).await);
    revision(&client.ask(put(4, "b/0", &vec![7; 300_000], Expect::Any)).await);
    assert_eq!(value(client.ask(get("b/1")).await), b"one");
    assert_eq!(value(client.ask(get("b/0")).await).len(), 300_000);

    let Answer::Page(page) = client.ask(list("", None, 2)).await else { panic!("no page") };
    assert_eq!(
        (page.entries.iter().map(|entry| entry.key.to_vec()).collect::<Vec<_>>(), page.more),
        (vec![b"a".to_vec(), b"b/0".to_vec()], true)
    );
    let Answer::Page(page) = client.ask(list("b/", Some("b/0"), 10)).await else { panic!("no page") };
    assert_eq!((page.entries.len(), page.more, page.entries[0].value.to_vec()), (1, false, b"one".to_vec()));

    let watching = client.start(watch("b/", first)).await;
    let Answer::Events(events) = client.reply(watching).await else { panic!("no events") };
    assert_eq!(events.events.iter().map(|event| event.key.to_vec()).collect::<Vec<_>>(), [b"b/0".to_vec()]);
    let delete = |name: &str| Mutation { key: key(name), expect: Expect::Any, change: Change::Delete };
    let gone = revision(&client.ask(write(5, vec![delete("a"), delete("b/1")])).await);
    let Answer::Events(events) = client.reply(watching).await else { panic!("no events") };
    assert_eq!(events.events.to_vec(), [Event { key: key("b/1"), revision: gone, value: None }]);
    assert_eq!(events.through, gone);
    assert_eq!(client.ask(Op::CancelWatch(watching)).await, Answer::Done);
    let Answer::Page(page) = client.ask(list("", None, 10)).await else { panic!("no page") };
    assert_eq!(page.entries.iter().map(|entry| entry.key.to_vec()).collect::<Vec<_>>(), [b"b/0".to_vec()]);
    let Answer::Status(status) = client.ask(Op::Status).await else { panic!("no status") };
    assert_eq!((status.incarnation, status.leader, status.voters.len()), (status.leader, status.incarnation, 1));
    house.front.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_do_not_see_each_other_and_pipelined_requests_are_all_answered() {
    let house = house().await;
    let (mut alice, mut bob) = (house.client(1, 1).await, house.client(2, 1).await);
    alice.ask(open_notes()).await;
    assert_eq!(code(&bob.ask(get("a")).await), RefusalCode::NoNamespace);
    bob.ask(open_notes()).await;
    let mut numbers = Vec::new();
    for seq in 1..=200 {
        numbers.push(alice.start(put(seq, &format!("k{}", seq % 50), &seq.to_be_bytes(), Expect::Any)).await);
        numbers.push(alice.start(get(&format!("k{}", seq % 50))).await);
    }
    for number in numbers {
        let answer = alice.reply(number).await;
        assert!(matches!(answer, Answer::Written(_) | Answer::Found(_) | Answer::Absent(_)), "{answer:?}");
    }
    assert_eq!(value(alice.ask(get("k7")).await), 157u64.to_be_bytes());
    assert!(matches!(bob.ask(get("k7")).await, Answer::Absent(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_asks_for_more_than_it_reads_is_slowed_down_and_loses_nothing() {
    let house = house().await;
    let mut client = house.client(1, 1).await;
    client.ask(open_notes()).await;
    client.ask(put(1, "large", &vec![9; 1 << 20], Expect::Any)).await;
    let mut numbers = Vec::new();
    for _ in 0..600 {
        numbers.push(client.start(get("large")).await);
    }
    for number in numbers.into_iter().take(40) {
        assert_eq!(value(client.reply(number).await).len(), 1 << 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_legal_ends_the_session_with_a_refusal() {
    let house = house().await;
    let mut client = house.client(1, 1).await;
    client.send(b"not a request").await;
    let last = Reply::decode(&client.message().await.unwrap()).unwrap();
    assert_eq!((last.number, code(&last.body)), (0, RefusalCode::Malformed));
    assert!(client.message().await.is_none(), "nothing follows the last word");

    let (_connection, mut reader, mut writer) = house.dial().await;
    writer.write(b"garbage", STEP).await.unwrap();
    let refusal = Refusal::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.unwrap()).unwrap();
    assert_eq!(refusal.code, RefusalCode::Malformed);
    let (_connection, mut reader, mut writer) = house.dial().await;
    writer.write(&GetDescriptor { versions: List::new(vec![99]).unwrap() }.encode(), STEP).await.unwrap();
    let refusal = Refusal::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.unwrap()).unwrap();
    assert_eq!(refusal.code, RefusalCode::UnsupportedVersion);
    let (_connection, mut reader, mut writer) = house.dial().await;
    writer.write(&GetDescriptor { versions: List::new(vec![1]).unwrap() }.encode(), STEP).await.unwrap();
    reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.unwrap();
    writer.write(&[0; 1_136], STEP).await.unwrap();
    let refusal = Refusal::decode(&reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await.unwrap()).unwrap();
    assert_eq!(refusal.code, RefusalCode::Malformed);
    // The door is still open.
    house.client(3, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_answers_what_was_asked_and_says_goodbye() {
    let house = house().await;
    let mut client = house.client(1, 1).await;
    client.ask(open_notes()).await;
    let number = client.start(put(1, "a", b"x", Expect::Any)).await;
    // Once the first answer is here, the session is idle in its loop.
    revision(&client.reply(number).await);
    let began = Instant::now();
    house.front.shutdown().await;
    assert!(began.elapsed() < LEAVING * 2, "took {:?}", began.elapsed());
    let last = Reply::decode(&client.message().await.unwrap()).unwrap();
    assert_eq!((last.number, code(&last.body)), (0, RefusalCode::ShuttingDown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_ends_sessions_of_clients_too() {
    let house = house().await;
    let mut client = house.client(1, 1).await;
    client.ask(open_notes()).await;
    // Answered, so it is idle in its loop.
    house.front.lasting.renew();
    let last = Reply::decode(&client.message().await.unwrap()).unwrap();
    assert_eq!((last.number, code(&last.body)), (0, RefusalCode::Unavailable));
    assert!(client.message().await.is_none(), "nothing follows the last word");
    house.client(1, 1).await.ask(Op::Status).await;
}

/// A client that asks without a pause keeps the stream readable: its time is up all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_never_quiet_ends_when_it_has_to_attest_again() {
    let mut policy = world::policy();
    policy.session.reattest_s = 1;
    let house = house_under(policy).await;
    let Client { mut sealer, mut opener, mut send, mut recv, _connection, .. } = house.client(1, 1).await;
    // Tells whether the node ended the session; gives up by itself long after it should have.
    let asking = tokio::spawn(async move {
        let give_up = Instant::now() + Duration::from_secs(60);
        for number in (1..).step_by(500) {
            let mut sealed = Vec::new();
            for number in number..number + 500 {
                sealer.seal(&Request { number, op: Op::Status }.encode(), &mut sealed).unwrap();
            }
            if send.write_all(&sealed).await.is_err() {
                return true;
            }
            if Instant::now() > give_up {
                return false;
            }
        }
        false
    });
    let mut last = None;
    while let Ok(Some(chunk)) = recv.read_chunk(1 << 16, true).await {
        opener.push(&chunk.bytes).unwrap();
        while let Some(message) = opener.next().unwrap() {
            last = Some(Reply::decode(&message).unwrap());
        }
    }
    assert!(asking.await.unwrap(), "the session went on for as long as it was asked");
    // The closing word may be cut off behind a flood of answers; if it came, it says why.
    let last = last.unwrap();
    assert!(last.number != 0 || code(&last.body) == RefusalCode::Unavailable, "{last:?}");
}

#[tokio::test]
async fn a_snapshot_is_given_to_whoever_may_have_it_and_is_what_was_signed() {
    use ringwall_wire::backup::{BackupAsk, BackupPlace, BackupTold};
    let house = house().await;
    let (mut named, mut other) = (house.client(1, 1).await, house.client(2, 2).await);
    assert_eq!(code(&other.ask(Op::Backup(BackupAsk::Begin(None))).await), RefusalCode::NotAuthorized);
    named.ask(open_notes()).await;
    revision(&named.ask(put(1, "k", &[7; 900_000], Expect::Any)).await);
    let (mut from, mut ready, mut tries) = (None, None, 0..60);
    while ready.is_none() && tries.next().is_some() {
        let Answer::Backup(told) = named.ask(Op::Backup(BackupAsk::Begin(from))).await else { panic!("no snapshot") };
        match *told {
            BackupTold::Ready(made) => ready = Some(made),
            BackupTold::Making(index) => from = Some(index),
            other => panic!("{other:?}"),
        }
    }
    let made = ready.expect("a snapshot is made in time");
    assert!(made.is_whole() && made.bytes > 900_000);
    let (index, state) = (made.head.index, made.state);
    let place = |offset| BackupPlace { index, state, offset };
    assert_eq!(code(&other.ask(Op::Backup(BackupAsk::Part(place(0)))).await), RefusalCode::NotAuthorized);
    assert_eq!(code(&named.ask(Op::Backup(BackupAsk::Part(place(made.bytes)))).await), RefusalCode::Malformed);
    let other = Op::Backup(BackupAsk::Part(BackupPlace { index: index + 1, ..place(0) }));
    assert_eq!(named.ask(other).await, Answer::Backup(Box::new(BackupTold::Gone)));
    let mut whole = Vec::new();
    for _ in 0..made.bytes.div_ceil(ringwall_wire::limits::BACKUP_PART_BYTES as u64) {
        let Answer::Backup(told) = named.ask(Op::Backup(BackupAsk::Part(place(whole.len() as u64)))).await else { panic!("no part") };
        let BackupTold::Part(bytes) = *told else { panic!("no part") };
        whole.extend_from_slice(&bytes);
    }
    assert_eq!(<[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&whole)), state.0);
    assert!(!whole.windows(64).any(|window| window == [7; 64]), "it is sealed");
    assert!(named.ask(Op::Backup(BackupAsk::Begin(Some(index)))).await == Answer::Backup(Box::new(BackupTold::Ready(made))), "signed once");
}

#[tokio::test]
async fn data_keys_are_sealed_to_what_the_recovery_key_on_record_signed_alone() {
    use ringwall_channel::user::{sign_escrow_key, sign_recovery};
    use ringwall_wire::backup::{EscrowAsk, EscrowKey};
    use ringwall_wire::user::{UserAsk, UserFault};
    let (house, phrase) = (house().await, ringwall_keys::Phrase::from_entropy(ringwall_wire::secret::Secret::new([7; 32])));
    let (mut client, mut other) = (house.client(1, 1).await, house.client(2, 2).await);
    tokio::join!(client.ask(open_notes()), other.ask(open_notes()));
    let (cluster, signer) = (house.cluster_id, SigningKey::from_bytes(phrase.signature_seed().expose()));
    let pair = phrase.escrow_pair(&cluster, &user(1));
    let to = sign_escrow_key(&cluster, &user(1), pair.public(), &signer);
    let ask =
        |to: &EscrowKey| Op::EscrowKeys(Box::new(EscrowAsk { to: to.clone(), names: List::new(vec![notes()]).unwrap(), after: None }));
    assert_eq!(client.ask(ask(&to)).await, Answer::UserRefused(UserFault::NoRecovery));
    client.ask(Op::User(Box::new(UserAsk::Enrol(Text::new("one").unwrap())))).await;
    client.ask(Op::User(Box::new(UserAsk::SetRecovery(sign_recovery(&cluster, &user(1), 1, 0, &signer))))).await;
    let stolen = sign_escrow_key(&cluster, &user(1), pair.public(), &SigningKey::from_bytes(&[1; 32]));
    let exchanged = EscrowKey { kem: phrase.escrow_pair(&cluster, &user(2)).public(), ..to.clone() };
    for wrong in [stolen, exchanged] {
        assert_eq!(client.ask(ask(&wrong)).await, Answer::UserRefused(UserFault::BadSignature));
    }
    let Answer::EscrowKeys(page) = client.ask(ask(&to)).await else { panic!("no keys") };
    let opened = ringwall_keys::escrow::open_page(&pair, &cluster, &user(1), &to, &page).unwrap();
    assert_eq!(opened.iter().map(|secret| secret.name().cloned()).collect::<Vec<_>>(), [Some(notes())], "one namespace, the user's own");
}
