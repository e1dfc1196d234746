//! Sessions from handshake to application bytes, with evidence of simulated TEEs; and every way to take a verdict to the wrong session.
//!
//! Protocol section 3, T-A1, T-A2, T-A3, T-U1.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::world;

use ed25519_dalek::{Signer as _, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Infallible, TryCryptoRng, TryRng};
use ringwall_attest::{Asked, SessionError};
use ringwall_channel::session::SESSION_STREAMS;
use ringwall_channel::user::{
    UserBinding, UserError, sign_added, sign_device_request, sign_user, user_signed, user_words, verify_added, verify_device_request,
    verify_user,
};
use ringwall_channel::{ChannelError, ClientDial, NodeSecrets, Opener, Sealer, Session, Unverified, answer_client};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::Role;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{ClientId, ClusterId, CredPublic, Incarnation, Nonce, Signature, UserId};
use ringwall_wire::limits::{ATTEST_MESSAGE_BYTES, REQUEST_BYTES};
use ringwall_wire::policy::SignedPolicy;
use ringwall_wire::session::{AttestMode, NodeDescriptor, Refusal, RefusalCode, UserAuth};
use ringwall_wire::user::AddDevice;
use world::{Cluster, Node, request, rng};

fn pass(sealer: &mut Sealer, opener: &mut Opener, message: &[u8]) -> Result<Option<Vec<u8>>, ChannelError> {
    let mut out = Vec::new();
    sealer.seal(message, &mut out)?;
    opener.push(&out)?;
    opener.next()
}

#[test]
fn a_client_session_from_handshake_to_requests() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (mut client, mut served) = cluster.client_session(&node, 10);
    let req = request(5);
    let sealed = client.seal_attest_req(&req).unwrap();
    let got = served.open_attest_req(&sealed).unwrap();
    let answer = cluster.attest(&node, Role::ClientServer, served.handshake(), &got);
    let sealed = served.seal_attest_resp(&answer).unwrap();
    let answer = client.open_attest_resp(&sealed).unwrap();
    let handshake = *client.handshake();
    let noise = *client.remote_noise().unwrap();
    let asked = Asked { handshake: &handshake, nonce: &req.nonce, role: Role::ClientServer, noise: &noise, mode: AttestMode::Single };
    let peer = cluster.judge(&answer, &asked).unwrap();

    let mut client = client.establish(peer).unwrap();
    let mut served = served.serve().unwrap();
    assert_eq!(client.peer().unwrap().keys(), node.secrets.public());
    assert!(served.peer().is_none());
    // Stream 0 goes on where the attestation messages ended.
    let (mut to_node, mut from_node) = client.split(0, REQUEST_BYTES).unwrap();
    let (mut to_client, mut from_client) = served.split(0, REQUEST_BYTES).unwrap();
    assert_eq!(pass(&mut to_node, &mut from_client, b"request").unwrap().unwrap(), b"request");
    assert_eq!(pass(&mut to_client, &mut from_node, b"reply").unwrap().unwrap(), b"reply");
}

#[test]
fn an_answer_of_the_full_size_is_carried() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (mut client, mut served) = cluster.client_session(&node, 10);
    let sealed = client.seal_attest_req(&request(5)).unwrap();
    let got = served.open_attest_req(&sealed).unwrap();
    let mut answer = cluster.attest(&node, Role::ClientServer, served.handshake(), &got);
    let step = |bytes: usize| {
        let signed = SignedPolicy { replaces: None, policy: Blob::new(vec![7; bytes]).unwrap(), signatures: List::default() };
        PolicyStep { signed, notice: None }
    };
    let mut steps = vec![step(112 * 1024); 8];
    answer.steps = List::new([steps.clone(), vec![step(0)]].concat()).unwrap();
    steps.push(step(ATTEST_MESSAGE_BYTES - answer.encode().len()));
    answer.steps = List::new(steps).unwrap();
    assert_eq!(answer.encode().len(), ATTEST_MESSAGE_BYTES);
    let sealed = served.seal_attest_resp(&answer).unwrap();
    assert!(client.open_attest_resp(&sealed).unwrap() == answer);
}

fn attest_one_way(cluster: &Cluster, asks: &mut Session<Unverified>, answers: &mut Session<Unverified>, node: &Node, role: Role) {
    let sealed = asks.seal_attest_req(&request(5)).unwrap();
    let got = answers.open_attest_req(&sealed).unwrap();
    let answer = cluster.attest(node, role, answers.handshake(), &got);
    let sealed = answers.seal_attest_resp(&answer).unwrap();
    assert_eq!(asks.open_attest_resp(&sealed).unwrap().encode(), answer.encode());
}

#[test]
fn a_session_between_nodes_attests_both_ways() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let (mut dialled, mut answered) = cluster.peer_session(&one, &two, 10);
    assert_eq!(dialled.remote_noise(), Some(&two.secrets.public().noise));
    assert_eq!(answered.remote_noise(), Some(&one.secrets.public().noise));
    attest_one_way(&cluster, &mut dialled, &mut answered, &two, Role::PeerResp);
    attest_one_way(&cluster, &mut answered, &mut dialled, &one, Role::PeerInit);
    let handshake = *dialled.handshake();
    let mut dialled = dialled.establish(cluster.verdict(&two, Role::PeerResp, &handshake)).unwrap();
    let mut answered = answered.establish(cluster.verdict(&one, Role::PeerInit, &handshake)).unwrap();
    for stream in [1, 2, 3, 4, u32::MAX] {
        let (mut send, _) = dialled.split(stream, 1000).unwrap();
        let (_, mut receive) = answered.split(stream, 1000).unwrap();
        assert_eq!(pass(&mut send, &mut receive, b"append").unwrap().unwrap(), b"append");
    }
}

#[test]
fn streams_do_not_mix() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let (dialled, answered) = cluster.peer_session(&one, &two, 10);
    let handshake = *dialled.handshake();
    let mut dialled = dialled.establish(cluster.verdict(&two, Role::PeerResp, &handshake)).unwrap();
    let mut answered = answered.establish(cluster.verdict(&one, Role::PeerInit, &handshake)).unwrap();
    let (mut send_1, mut receive_1) = dialled.split(1, 1000).unwrap();
    let (_, mut opener_2) = answered.split(2, 1000).unwrap();
    assert_eq!(pass(&mut send_1, &mut opener_2, b"x"), Err(ChannelError::RecordNotAuthentic { counter: 0 }), "another stream");
    assert_eq!(pass(&mut send_1, &mut receive_1, b"x"), Err(ChannelError::RecordNotAuthentic { counter: 0 }), "its own direction");
}

#[test]
fn stream_numbers_work_once_and_are_bounded() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (_, served) = cluster.client_session(&node, 10);
    let mut served = served.serve().unwrap();
    for stream in 0..=u32::try_from(SESSION_STREAMS).unwrap() {
        assert!(served.split(stream, 10).is_ok(), "stream {stream}");
    }
    for stream in [0, 1, 77] {
        assert_eq!(served.split(stream, 10).map(|_| ()), Err(ChannelError::StreamUsed { stream }));
    }
    assert_eq!(served.split(5_000, 10).map(|_| ()), Err(ChannelError::TooManyStreams { max: SESSION_STREAMS }));
}

#[test]
fn a_verdict_for_another_session_is_refused() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (first, _) = cluster.client_session(&node, 10);
    let (second, _) = cluster.client_session(&node, 20);
    let (judged, this) = (*first.handshake(), *second.handshake());
    let peer = cluster.verdict(&node, Role::ClientServer, &judged);
    assert_eq!(second.establish(peer).map(|_| ()), Err(ChannelError::OtherSession { judged, this }));
}

/// Diversion (T-A2): the attacker ends the client's handshake with its own keys and has a genuine node attest for that very handshake
/// hash. The verdict is about the genuine node's Noise key, so the session with the attacker does not open.
#[test]
fn a_verdict_about_another_node_is_refused() {
    let cluster = Cluster::new();
    let (genuine, attacker) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let (session, _) = cluster.client_session(&attacker, 10);
    let handshake = *session.handshake();
    let req = request(5);
    let answer = cluster.attest(&genuine, Role::ClientServer, &handshake, &req);
    let noise = *session.remote_noise().unwrap();
    let asked = Asked { handshake: &handshake, nonce: &req.nonce, role: Role::ClientServer, noise: &noise, mode: AttestMode::Single };
    assert!(matches!(cluster.judge(&answer, &asked), Err(SessionError::OtherNoiseKey { .. })), "the judge refuses");
    let peer = cluster.verdict(&genuine, Role::ClientServer, &handshake);
    let (attested, used) = (genuine.secrets.public().noise, attacker.secrets.public().noise);
    assert_eq!(session.establish(peer).map(|_| ()), Err(ChannelError::OtherNoiseKey { attested, used }), "and so does the session");
}

/// Gives chosen bytes first, then those of a seeded generator.
struct Spliced(Vec<u8>, ChaCha20Rng);

impl TryRng for Spliced {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.1.try_next_u32()
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.1.try_next_u64()
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.1.try_fill_bytes(dst)?;
        let len = dst.len().min(self.0.len());
        dst.iter_mut().zip(self.0.drain(..len)).for_each(|(to, from)| *to = from);
        Ok(())
    }
}

impl TryCryptoRng for Spliced {}

/// A node that offers one encapsulation key and attests another, under the same Noise key.
#[test]
fn a_verdict_about_another_encapsulation_key_is_refused() {
    let cluster = Cluster::new();
    let keys = |seed: u64| NodeSecrets::generate(&mut Spliced(vec![77; 32], rng(seed)));
    let attests = Node { secrets: keys(1), ..cluster.node("genoa-1", 1, 1) };
    let offers = Node { secrets: keys(2), ..cluster.node("genoa-1", 1, 1) };
    assert_eq!(attests.secrets.public().noise, offers.secrets.public().noise);
    assert_ne!(attests.secrets.public().kem, offers.secrets.public().kem);
    let (session, _) = cluster.client_session(&offers, 10);
    let handshake = *session.handshake();
    let peer = cluster.verdict(&attests, Role::ClientServer, &handshake);
    assert_eq!(session.establish(peer).map(|_| ()), Err(ChannelError::OtherKemKey));
    let (session, _) = cluster.client_session(&offers, 10);
    assert!(session.establish(cluster.verdict(&offers, Role::ClientServer, &handshake)).is_ok());
}

#[test]
fn only_a_node_facing_a_client_may_serve_and_nobody_attests_a_client() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let (client, served) = cluster.client_session(&one, 10);
    let handshake = *served.handshake();
    assert_eq!(client.serve().map(|_| ()), Err(ChannelError::NotServing), "a client");
    let (dialled, answered) = cluster.peer_session(&one, &two, 20);
    assert_eq!(dialled.serve().map(|_| ()), Err(ChannelError::NotServing), "a dialling node");
    assert_eq!(answered.serve().map(|_| ()), Err(ChannelError::NotServing), "an answering node");
    let peer = cluster.verdict(&two, Role::ClientServer, &handshake);
    assert_eq!(served.establish(peer).map(|_| ()), Err(ChannelError::AnonymousPeer));
}

/// Reflection (T-A3): evidence a node made as one side of a session does not count for the other side.
#[test]
fn reflected_evidence_is_refused() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let (dialled, _) = cluster.peer_session(&one, &two, 10);
    let handshake = *dialled.handshake();
    let mine = cluster.attest(&one, Role::PeerInit, &handshake, &request(5));
    let noise = *dialled.remote_noise().unwrap();
    let asked = Asked { handshake: &handshake, nonce: &Nonce([5; 32]), role: Role::PeerResp, noise: &noise, mode: AttestMode::Single };
    assert!(cluster.judge(&mine, &asked).is_err());
}

#[test]
fn a_refusal_comes_through_by_name() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (mut client, served) = cluster.client_session(&node, 10);
    let refusal = Refusal { code: RefusalCode::NotMember, detail: Text::new("not a member yet").unwrap() };
    let sealed = served.seal_refusal(&refusal).unwrap();
    assert_eq!(client.open_attest_resp(&sealed), Err(ChannelError::Refused(refusal)));
}

#[test]
fn unverified_sessions_take_exactly_one_attestation_message() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (mut client, mut served) = cluster.client_session(&node, 10);
    let two = [client.seal_attest_req(&request(5)).unwrap(), client.seal_attest_req(&request(6)).unwrap()].concat();
    assert_eq!(served.open_attest_req(&two), Err(ChannelError::NotOneMessage));
    let (mut client, mut served) = cluster.client_session(&node, 20);
    let one = client.seal_attest_req(&request(5)).unwrap();
    assert_eq!(served.open_attest_req(&one[..one.len() - 1]), Err(ChannelError::NotOneMessage));
    // A request where an answer belongs.
    let (mut client, mut served) = cluster.client_session(&node, 30);
    let one = client.seal_attest_req(&request(5)).unwrap();
    assert!(matches!(served.open_attest_resp(&one), Err(ChannelError::Decode(_))));
}

/// Relay (T-A2): a descriptor that names the genuine node leads to the genuine node, or nowhere.
#[test]
fn a_relay_can_only_pass_bytes_through() {
    let cluster = Cluster::new();
    let (genuine, relay) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let (dial, msg1) = ClientDial::start(&cluster.descriptor(&genuine), &cluster.client_prologue(), &mut rng(2)).unwrap();
    assert!(answer_client(&relay.secrets, &cluster.client_prologue(), &msg1, &mut rng(3)).is_err());
    let renamed = NodeDescriptor { incarnation: Incarnation(9), ..cluster.descriptor(&genuine) };
    assert!(ClientDial::start(&renamed, &cluster.client_prologue(), &mut rng(2)).is_ok(), "an incarnation is only a hint");
    let (msg2, served) = answer_client(&genuine.secrets, &cluster.client_prologue(), &msg1, &mut rng(3)).unwrap();
    assert_eq!(dial.finish(&msg2).unwrap().handshake(), served.handshake());
}

fn user_key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

#[test]
fn a_users_word_counts_on_its_session_only() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (client, served) = cluster.client_session(&node, 10);
    let (other, _) = cluster.client_session(&node, 20);
    let nonce = Nonce([5; 32]);
    let binding = UserBinding { handshake: client.handshake(), nonce: &nonce, incarnation: node.incarnation };
    let auth = sign_user(&binding, &ClientId([6; 16]), &user_key());
    let auth = UserAuth::decode(&auth.encode()).unwrap();
    let here = UserBinding { handshake: served.handshake(), ..binding };
    let user = verify_user(&auth, &here).unwrap();
    assert_eq!((user.user(), user.client()), (&UserId::of(user.cred()), &ClientId([6; 16])));

    let elsewhere = [
        UserBinding { handshake: other.handshake(), ..here },
        UserBinding { nonce: &Nonce([6; 32]), ..here },
        UserBinding { incarnation: Incarnation(9), ..here },
    ];
    for binding in elsewhere {
        assert_eq!(verify_user(&auth, &binding), Err(UserError::BadSignature));
    }
    let other_client = UserAuth { client: ClientId([7; 16]), ..auth.clone() };
    assert_eq!(verify_user(&other_client, &here), Err(UserError::BadSignature));
    let mut damaged = auth.clone();
    damaged.signature.0[10] ^= 1;
    assert_eq!(verify_user(&damaged, &here), Err(UserError::BadSignature));
}

#[test]
fn a_key_elsewhere_speaks_with_the_same_words_and_not_with_others() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (client, _) = cluster.client_session(&node, 10);
    let binding = UserBinding { handshake: client.handshake(), nonce: &Nonce([5; 32]), incarnation: node.incarnation };
    let id = ClientId([6; 16]);
    let here = sign_user(&binding, &id, &user_key());
    let signed = |words: &[u8]| Signature(user_key().sign(words).to_bytes());
    let words = user_words(&binding, &here.user, &id);
    assert_eq!(user_signed(&binding, (&here.user, &id), &here.cred, signed(&words)), Ok(here.clone()));
    let other = UserBinding { nonce: &Nonce([6; 32]), ..binding };
    let moved = signed(&user_words(&other, &here.user, &id));
    assert_eq!(user_signed(&binding, (&here.user, &id), &here.cred, moved), Err(UserError::BadSignature));
}

#[test]
fn a_credential_speaks_for_its_own_user_only() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (client, _) = cluster.client_session(&node, 10);
    let nonce = Nonce([5; 32]);
    let binding = UserBinding { handshake: client.handshake(), nonce: &nonce, incarnation: node.incarnation };
    let auth = sign_user(&binding, &ClientId([6; 16]), &user_key());
    let claimed = UserId([1; 20]);
    let other = UserAuth { user: claimed, ..auth.clone() };
    assert_eq!(verify_user(&other, &binding), Err(UserError::OtherUser { named: auth.user, claimed }));

    // A credential of small order verifies anything under lax rules: the identity point with R = identity, s = 0.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let cred = CredPublic(identity);
    let weak =
        UserAuth { user: UserId::of(&cred), cred, client: ClientId([6; 16]), signature: Signature(signature), known: None, restore: None };
    assert_eq!(verify_user(&weak, &binding), Err(UserError::BadCredential));
}

#[test]
fn a_device_is_added_under_its_own_word_and_its_authors() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (client, _) = cluster.client_session(&node, 10);
    let nonce = Nonce([5; 32]);
    let binding = UserBinding { handshake: client.handshake(), nonce: &nonce, incarnation: node.incarnation };
    let author = verify_user(&sign_user(&binding, &ClientId([6; 16]), &user_key()), &binding).unwrap();
    let (id, new) = (ClusterId([1; 32]), SigningKey::from_bytes(&[43; 32]));
    let request = sign_device_request(&id, author.user(), Text::new("phone").unwrap(), &new);
    assert_eq!(verify_device_request(&request), Ok(()));
    let added = sign_added(&request, 7, &user_key());
    assert_eq!(verify_added(&added, &id, &author), Ok(()));

    let bad = Err(UserError::BadSignature);
    // The new device never asked, asked somebody else, asked elsewhere, or by another name.
    let other = sign_device_request(&id, &UserId([9; 20]), Text::new("phone").unwrap(), &new);
    assert_eq!(verify_added(&sign_added(&other, 7, &user_key()), &id, &author), bad);
    assert_eq!(verify_added(&AddDevice { asked: other.signature, ..added.clone() }, &id, &author), bad, "it asked another user");
    assert_eq!(verify_added(&added, &ClusterId([2; 32]), &author), bad);
    let renamed = AddDevice { name: Text::new("laptop").unwrap(), ..added.clone() };
    assert_eq!(verify_added(&renamed, &id, &author), bad);
    // The author added another one, at another place of the record, or did not.
    assert_eq!(verify_added(&AddDevice { seq: 8, ..added.clone() }, &id, &author), bad);
    assert_eq!(verify_added(&AddDevice { signature: added.asked, ..added.clone() }, &id, &author), bad);
    assert_eq!(verify_added(&sign_added(&request, 7, &new), &id, &author), bad, "a device does not add itself");
}
