//! Handshakes fail unless both sides agree about everything, and give keys nobody can compute from static keys alone.
//!
//! Protocol section 3 (SB3, SB4, SB6), T-A2.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::world;

use ringwall_channel::client::{MSG1_BYTES, MSG2_BYTES};
use ringwall_channel::peer;
use ringwall_channel::{
    ChannelError, ClientDial, ClientPrologue, NodeSecrets, PeerAnswer, PeerDial, PeerPrologue, answer_client, web_socket_binding,
    web_transport_binding,
};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClusterId, Epoch, KemPublic, NoisePublic, Slot};
use ringwall_wire::session::{NodeDescriptor, PeerPurpose};
use world::{Cluster, request, rng};

#[test]
fn sizes_are_the_documented_ones() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (dial, msg1) = ClientDial::start(&cluster.descriptor(&node), &cluster.client_prologue(), &mut rng(2)).unwrap();
    let (msg2, served) = answer_client(&node.secrets, &cluster.client_prologue(), &msg1, &mut rng(3)).unwrap();
    assert_eq!((msg1.len(), msg2.len()), (MSG1_BYTES, MSG2_BYTES));
    let session = dial.finish(&msg2).unwrap();
    assert_eq!(session.handshake(), served.handshake());
    assert_eq!(session.remote_noise(), Some(&node.secrets.public().noise));
    assert_eq!(served.remote_noise(), None);
}

#[test]
fn clients_and_nodes_that_disagree_do_not_finish() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let good = cluster.client_prologue();
    let others = [
        ("cluster", ClientPrologue { cluster_id: ClusterId([9; 32]), ..good }),
        ("epoch", ClientPrologue { epoch: Epoch(2), ..good }),
        ("version", ClientPrologue { version: 2, ..good }),
        ("transport binding", ClientPrologue { transport_binding: &[8; 32], ..good }),
        ("no transport binding", ClientPrologue { transport_binding: &[], ..good }),
    ];
    for (what, other) in others {
        let (_, msg1) = ClientDial::start(&cluster.descriptor(&node), &good, &mut rng(2)).unwrap();
        let got = answer_client(&node.secrets, &other, &msg1, &mut rng(3)).map(|_| ());
        assert_eq!(got, Err(ChannelError::HandshakeNotAuthentic { message: 1 }), "{what}");
    }
}

#[test]
fn nodes_that_disagree_do_not_finish() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let good = cluster.peer_prologue();
    let others = [
        ("cluster", PeerPrologue { cluster_id: ClusterId([9; 32]), ..good.clone() }),
        ("epoch", PeerPrologue { epoch: Epoch(2), ..good.clone() }),
        ("version", PeerPrologue { version: 2, ..good.clone() }),
        ("purpose", PeerPrologue { purpose: PeerPurpose::Join, ..good.clone() }),
        ("dialler's slot", PeerPrologue { from: Slot(3), ..good.clone() }),
        ("answering slot", PeerPrologue { to: Slot(3), ..good.clone() }),
        ("slots exchanged", PeerPrologue { from: good.to, to: good.from, ..good.clone() }),
        ("transport binding", PeerPrologue { transport_binding: &[8; 32], ..good.clone() }),
    ];
    for (what, other) in others {
        let (dial, msg1) = PeerDial::start(&one.secrets, &good, &mut rng(3)).unwrap();
        let (_, msg2) = PeerAnswer::start(&two.secrets, &other, &msg1, &mut rng(4)).unwrap();
        let got = dial.finish(&msg2).map(|_| ());
        assert_eq!(got, Err(ChannelError::HandshakeNotAuthentic { message: 2 }), "{what}");
    }
}

#[test]
fn a_swapped_encapsulation_key_or_ciphertext_fails() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let attacker = NodeSecrets::generate(&mut rng(99));
    let prologue = cluster.client_prologue();
    // The attacker puts its own encapsulation key into the descriptor; the node decapsulates to another secret.
    let descriptor = NodeDescriptor { kem: attacker.public().kem, ..cluster.descriptor(&node) };
    let (dial, msg1) = ClientDial::start(&descriptor, &prologue, &mut rng(2)).unwrap();
    let (msg2, _) = answer_client(&node.secrets, &prologue, &msg1, &mut rng(3)).unwrap();
    assert_eq!(dial.finish(&msg2).map(|_| ()), Err(ChannelError::HandshakeNotAuthentic { message: 2 }));

    // Ciphertext or ephemeral of another client's message 1.
    let (_, one) = ClientDial::start(&cluster.descriptor(&node), &prologue, &mut rng(4)).unwrap();
    let (_, two) = ClientDial::start(&cluster.descriptor(&node), &prologue, &mut rng(5)).unwrap();
    let transplanted = [&one[..32], &two[32..]].concat();
    let got = answer_client(&node.secrets, &prologue, &transplanted, &mut rng(6)).map(|_| ());
    assert_eq!(got, Err(ChannelError::HandshakeNotAuthentic { message: 1 }));
}

#[test]
fn a_descriptor_with_another_nodes_key_fails() {
    let cluster = Cluster::new();
    let (node, other) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let descriptor = NodeDescriptor { noise: other.secrets.public().noise, ..cluster.descriptor(&node) };
    let (_, msg1) = ClientDial::start(&descriptor, &cluster.client_prologue(), &mut rng(2)).unwrap();
    let got = answer_client(&node.secrets, &cluster.client_prologue(), &msg1, &mut rng(3)).map(|_| ());
    assert_eq!(got, Err(ChannelError::HandshakeNotAuthentic { message: 1 }));
}

#[test]
fn every_damaged_byte_of_a_client_handshake_is_refused() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let prologue = cluster.client_prologue();
    let (_, msg1) = ClientDial::start(&cluster.descriptor(&node), &prologue, &mut rng(2)).unwrap();
    for byte in (0..msg1.len()).filter(|byte| *byte < 64 || *byte > msg1.len() - 40 || byte % 37 == 0) {
        let mut bad = msg1.clone();
        bad[byte] ^= 1;
        assert!(answer_client(&node.secrets, &prologue, &bad, &mut rng(3)).is_err(), "message 1, byte {byte}");
    }
    for byte in 0..MSG2_BYTES {
        let (dial, msg1) = ClientDial::start(&cluster.descriptor(&node), &prologue, &mut rng(2)).unwrap();
        let (mut msg2, _) = answer_client(&node.secrets, &prologue, &msg1, &mut rng(3)).unwrap();
        msg2[byte] ^= 1;
        assert!(dial.finish(&msg2).is_err(), "message 2, byte {byte}");
    }
}

/// X25519 ignores bit 255 of a public key, but the handshake hash does not: flipping it in transit fails as well.
#[test]
fn the_ignored_bit_of_a_key_is_not_ignored_by_the_handshake() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let (_, mut msg1) = ClientDial::start(&cluster.descriptor(&node), &cluster.client_prologue(), &mut rng(2)).unwrap();
    msg1[31] ^= 0x80;
    let got = answer_client(&node.secrets, &cluster.client_prologue(), &msg1, &mut rng(3)).map(|_| ());
    assert_eq!(got, Err(ChannelError::HandshakeNotAuthentic { message: 1 }));
}

#[test]
fn every_damaged_byte_between_nodes_is_refused() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let prologue = cluster.peer_prologue();
    for (message, len) in [(1, peer::MSG1_BYTES), (2, peer::MSG2_BYTES), (3, peer::MSG3_BYTES)] {
        for byte in 0..len {
            let flip = |mut bytes: Vec<u8>, this: usize| {
                if this == message {
                    bytes[byte] ^= 1;
                }
                bytes
            };
            let (dial, msg1) = PeerDial::start(&one.secrets, &prologue, &mut rng(3)).unwrap();
            let finished = PeerAnswer::start(&two.secrets, &prologue, &flip(msg1, 1), &mut rng(4)).and_then(|(answer, msg2)| {
                let (msg3, _) = dial.finish(&flip(msg2, 2))?;
                answer.finish(&flip(msg3, 3))
            });
            assert!(finished.is_err(), "message {message}, byte {byte}");
        }
    }
}

#[test]
fn messages_of_another_length_are_refused_by_name() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    for got in [0, 1, 31, MSG1_BYTES - 1, MSG1_BYTES + 1, 70_000] {
        let refused = answer_client(&node.secrets, &cluster.client_prologue(), &vec![1; got], &mut rng(3)).map(|_| ());
        assert_eq!(refused, Err(ChannelError::HandshakeLength { message: 1, expected: MSG1_BYTES, got }));
        let refused = PeerAnswer::start(&node.secrets, &cluster.peer_prologue(), &vec![1; got], &mut rng(3)).map(|_| ());
        match got {
            peer::MSG1_BYTES => assert!(refused.is_ok()),
            _ => assert_eq!(refused, Err(ChannelError::HandshakeLength { message: 1, expected: peer::MSG1_BYTES, got })),
        }
    }
}

/// Points of small order on Curve25519 and its twist, and non-canonical spellings of them.
fn low_order_points() -> Vec<[u8; 32]> {
    let hex = |text: &str| ringwall_wire::text::read_hex::<32>(text).unwrap();
    let one = core::array::from_fn(|byte| u8::from(byte == 0));
    vec![
        [0; 32],
        one,
        hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ]
}

#[test]
fn low_order_keys_abort_every_handshake() {
    let cluster = Cluster::new();
    let (node, other) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    for point in low_order_points() {
        let descriptor = NodeDescriptor { noise: NoisePublic(point), ..cluster.descriptor(&node) };
        let got = ClientDial::start(&descriptor, &cluster.client_prologue(), &mut rng(2)).map(|_| ());
        assert_eq!(got, Err(ChannelError::WeakKey { message: 1 }), "static key in a descriptor");

        let mut msg1 = vec![0; MSG1_BYTES];
        msg1[..32].copy_from_slice(&point);
        let got = answer_client(&node.secrets, &cluster.client_prologue(), &msg1, &mut rng(3)).map(|_| ());
        assert_eq!(got, Err(ChannelError::WeakKey { message: 1 }), "ephemeral key of a client");

        let (dial, _) = ClientDial::start(&cluster.descriptor(&node), &cluster.client_prologue(), &mut rng(2)).unwrap();
        let mut msg2 = vec![0; MSG2_BYTES];
        msg2[..32].copy_from_slice(&point);
        assert_eq!(dial.finish(&msg2).map(|_| ()), Err(ChannelError::WeakKey { message: 2 }), "ephemeral key of a node");

        let got = PeerAnswer::start(&other.secrets, &cluster.peer_prologue(), &point, &mut rng(4)).map(|_| ());
        assert_eq!(got, Err(ChannelError::WeakKey { message: 2 }), "ephemeral key of a dialling node");
    }
}

#[test]
fn a_malformed_encapsulation_key_is_refused() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let descriptor = NodeDescriptor { kem: KemPublic([0xff; 1184]), ..cluster.descriptor(&node) };
    let got = ClientDial::start(&descriptor, &cluster.client_prologue(), &mut rng(2)).map(|_| ());
    assert_eq!(got, Err(ChannelError::MalformedKemKey));
}

/// A recorded session stays closed to whoever gets the node's static keys later: replaying message 1 to them gives other keys, because
/// the node's ephemeral is gone. The same ephemeral (the same generator) is shown to open it, so the refusal means something.
#[test]
fn static_keys_do_not_open_recorded_traffic() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let prologue = cluster.client_prologue();
    let (dial, msg1) = ClientDial::start(&cluster.descriptor(&node), &prologue, &mut rng(2)).unwrap();
    let (msg2, mut live) = answer_client(&node.secrets, &prologue, &msg1, &mut rng(3)).unwrap();
    let mut client = dial.finish(&msg2).unwrap();
    let recorded = client.seal_attest_req(&request(5)).unwrap();
    assert_eq!(live.open_attest_req(&recorded).unwrap().encode(), request(5).encode());

    let (_, mut with_statics) = answer_client(&node.secrets, &prologue, &msg1, &mut rng(4)).unwrap();
    assert_ne!(with_statics.handshake(), live.handshake());
    assert_eq!(with_statics.open_attest_req(&recorded), Err(ChannelError::RecordNotAuthentic { counter: 0 }));

    let (_, mut with_ephemeral) = answer_client(&node.secrets, &prologue, &msg1, &mut rng(3)).unwrap();
    assert!(with_ephemeral.open_attest_req(&recorded).is_ok());
}

#[test]
fn two_sessions_of_the_same_nodes_share_no_keys() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let (mut first, _) = cluster.peer_session(&one, &two, 10);
    let (_, mut second) = cluster.peer_session(&one, &two, 20);
    assert_ne!(first.handshake(), second.handshake());
    let sealed = first.seal_attest_req(&request(5)).unwrap();
    assert_eq!(second.open_attest_req(&sealed), Err(ChannelError::RecordNotAuthentic { counter: 0 }));
}

/// A side that gets its own record back does not take it for the other side's.
#[test]
fn a_reflected_record_is_refused() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("genoa-1", 1, 1), cluster.node("tdx-1", 2, 2));
    let (mut dialled, _) = cluster.peer_session(&one, &two, 10);
    let sealed = dialled.seal_attest_req(&request(5)).unwrap();
    assert_eq!(dialled.open_attest_req(&sealed), Err(ChannelError::RecordNotAuthentic { counter: 0 }));
}

#[test]
fn a_session_of_one_door_is_none_of_another() {
    let cluster = Cluster::new();
    let node = cluster.node("genoa-1", 1, 1);
    let bindings = [web_transport_binding(&[1; 32]), web_transport_binding(&[2; 32]), web_socket_binding(), [1; 32]];
    for dialled in &bindings {
        for answered in &bindings {
            let (dialler, answerer) = (prologue(&cluster, dialled), prologue(&cluster, answered));
            let (_, msg1) = ClientDial::start(&cluster.descriptor(&node), &dialler, &mut rng(2)).unwrap();
            let agreed = answer_client(&node.secrets, &answerer, &msg1, &mut rng(3)).is_ok();
            assert_eq!(agreed, dialled == answered);
        }
    }
}

fn prologue<'a>(cluster: &Cluster, transport_binding: &'a [u8; 32]) -> ClientPrologue<'a> {
    ClientPrologue { cluster_id: cluster.id, epoch: Epoch(1), version: 1, transport_binding }
}
