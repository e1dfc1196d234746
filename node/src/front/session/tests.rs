//! What sessions answer, and what ends them, over a real front door and a client that verifies, and one that misbehaves.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: several members (the suites over real processes).
#![allow(clippy::unwrap_used, clippy::panic)]
use super::house::*;
use super::*;
use ed25519_dalek::SigningKey;
use ringwall_sim::world;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::request::*;
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
    let Client { mut sealer, mut opener, mut send, mut recv, connection: _connection, .. } = house.client(1, 1).await;
    // Tells whether the node ended the session; gives up by itself long after it should have.
    let asking = tokio::spawn(async move {
        let give_up = Instant::now() + Duration::from_secs(60);
        for number in (1..).step_by(500) {
            let mut sealed = Vec::new();
            for number in number..number + 500 {
                sealer.seal(&Request { number, op: Op::Status }.encode(), &mut sealed).unwrap();
            }
            if send.put(&sealed).await.is_err() {
                return true;
            }
            if Instant::now() > give_up {
                return false;
            }
        }
        false
    });
    let mut last = None;
    while let Ok(Some(chunk)) = recv.chunk(1 << 16).await {
        opener.push(&chunk).unwrap();
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
