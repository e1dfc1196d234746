//! A process that holds keys, uses them, and lets go of them when told, while another one looks at its memory.
//!
//! Decides: nothing; it uses the shipped types as a node does, or does one thing with them and nothing after it that could wash the stack. Its
//! generator is a tape, so that whoever started it knows every key. Standard output: `held <handshake> <record> <blocks drawn>`, the first two
//! empty words (`-`) for one thing alone; then, after a line came in, `dropped`. Trusts: nothing.
//! Out of scope: looking (`tests/tests/wiped.rs`).
#![allow(clippy::print_stdout)]

use ringwall_channel::{ClientDial, ClientPrologue, NodeSecrets, PeerAnswer, PeerDial, PeerPrologue, Session, Unverified, answer_client};
use ringwall_keys::custody::spelled::{read_share, share_line, share_words};
use ringwall_keys::custody::{Draws, KemSecret, answer_challenge, open_submission, seal_submission};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, RecordPlace, SpaceKeys};
use ringwall_sim::tape::Tape;
use ringwall_tests::dealer::{CLUSTER, Dealer, recovered};
use ringwall_wire::custody::ShareChallenge;
use ringwall_wire::ids::{ClientTag, ClusterId, Digest, Epoch, Incarnation, Nonce, PolicyVersion, Signature, Slot, SpaceTag};
use ringwall_wire::recovery::ShareSubmission;
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestMode, AttestReq, NodeDescriptor, PeerPurpose};
use ringwall_wire::text::hex;
use std::any::Any;
use std::path::Path;

/// Everything a node and its client hold.
struct Held {
    _ring: Keyring,
    _granted: Keyring,
    _node: NodeSecrets,
    _space: SpaceKeys,
    _ivs: HedgedIvs,
    _dialled: Session<Unverified>,
    _served: Session<Unverified>,
}

fn main() {
    let path = std::env::args_os().nth(1).expect("the tape is named");
    let tape = Tape::open(Path::new(&path)).expect("the tape can be played");
    if let Some(thing) = std::env::args().nth(2) {
        let held = one_thing(&thing, tape.clone());
        println!("held - - {}", tape.position());
        return let_go(held);
    }
    let (held, handshake, record) = hold(tape.clone());
    println!("held {} {} {}", hex(&handshake), hex(&record), tape.position());
    let_go(held);
}

fn let_go<T>(held: T) {
    wait();
    drop(held);
    println!("dropped");
    wait();
}

fn wait() {
    let mut line = String::new();
    // The end of the input is as good as a line.
    let _ = std::io::stdin().read_line(&mut line);
}

/// Makes keys, seals and opens a record, and leads a handshake through its first message.
#[inline(never)]
fn hold(mut tape: Tape) -> (Box<Held>, [u8; 32], Vec<u8>) {
    let (cluster_id, epoch, version) = (ClusterId([1; 32]), Epoch(1), 1);
    let ring = Keyring::found(cluster_id, &mut tape);
    let granted = Keyring::from_grant(cluster_id, &ring.granted()).expect("a ring grants a ring");
    let node = NodeSecrets::generate(&mut tape);
    let mut ivs = HedgedIvs::new(Box::new(tape.clone()), Incarnation(1));
    let (space, wrapped) =
        ring.new_space_key(&SpaceTag([2; 16]), KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).expect("cluster mode needs nothing else");
    let unwrapped = granted.unwrap_space_key(&SpaceTag([2; 16]), KeyMode::Cluster, &wrapped).expect("the granted ring is the same");
    let place = RecordPlace { key: space.key_tag(b"name"), client: ClientTag([3; 16]), seq: 1 };
    let record = space.seal(&place, b"name", b"value", &mut ivs).expect("small");
    assert_eq!(unwrapped.open(&place.key, &record).expect("sealed here").1, b"value");

    let prologue = ClientPrologue { cluster_id, epoch, version, transport_binding: &[7; 32] };
    let (dial, msg1) = ClientDial::start(&described(&node), &prologue, &mut tape).expect("the descriptor is the node's");
    let (msg2, mut served) = answer_client(&node, &prologue, &msg1, &mut tape).expect("message 1 is genuine");
    let mut dialled = dial.finish(&msg2).expect("message 2 is genuine");
    let request = AttestReq { nonce: Nonce([9; 32]), mode: AttestMode::Single, min_policy_version: PolicyVersion(1), known_policy: None };
    let sealed = dialled.seal_attest_req(&request).expect("a first record");
    assert_eq!(served.open_attest_req(&sealed).expect("sealed for it"), request);
    let handshake = dialled.handshake().0;
    let held = Held { _ring: ring, _granted: granted, _node: node, _space: space, _ivs: ivs, _dialled: dialled, _served: served };
    (Box::new(held), handshake, sealed)
}

fn described(node: &NodeSecrets) -> NodeDescriptor {
    let keys = node.public();
    NodeDescriptor {
        version: 1,
        cluster_id: ClusterId([1; 32]),
        epoch: Epoch(1),
        incarnation: Incarnation(1),
        noise: keys.noise,
        kem: keys.kem,
        policy_version: PolicyVersion(1),
        web: None,
    }
}

/// One thing, done last.
#[inline(never)]
fn one_thing(thing: &str, mut tape: Tape) -> Vec<Box<dyn Any>> {
    if let Some(thing) = thing.strip_prefix("custody-") {
        return of_custody(thing, tape);
    }
    let (cluster_id, epoch, version, transport_binding) = (ClusterId([1; 32]), Epoch(1), 1, &[7; 32]);
    let client = ClientPrologue { cluster_id, epoch, version, transport_binding };
    let (from, to, purpose) = (Slot(1), Slot(2), PeerPurpose::Member);
    let peer = PeerPrologue { cluster_id, epoch, version, purpose, from, to, transport_binding };
    match thing {
        "keys-of-a-cluster" => vec![Box::new(Keyring::found(cluster_id, &mut tape))],
        "granted-keys" => {
            let ring = Keyring::found(cluster_id, &mut tape);
            let granted = Keyring::from_grant(cluster_id, &ring.granted()).expect("a ring grants a ring");
            vec![Box::new(ring), Box::new(granted)]
        }
        "keys-of-a-node" => vec![Box::new(NodeSecrets::generate(&mut tape))],
        "key-of-a-namespace" => {
            let ring = Keyring::found(cluster_id, &mut tape);
            let mut ivs = HedgedIvs::new(Box::new(tape), Incarnation(1));
            let made = ring
                .new_space_key(&SpaceTag([2; 16]), KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs)
                .expect("cluster mode needs nothing else");
            vec![Box::new(ring), Box::new(ivs), Box::new(made)]
        }
        "dialled-client" | "answered-client" | "finished-client" => {
            let node = NodeSecrets::generate(&mut tape);
            let (dial, msg1) = ClientDial::start(&described(&node), &client, &mut tape).expect("the descriptor is the node's");
            if thing == "dialled-client" {
                return vec![Box::new(node), Box::new(dial)];
            }
            let (msg2, served) = answer_client(&node, &client, &msg1, &mut tape).expect("message 1 is genuine");
            match thing {
                "answered-client" => vec![Box::new(node), Box::new(dial), Box::new(served)],
                _ => vec![Box::new(node), Box::new(served), Box::new(dial.finish(&msg2).expect("message 2 is genuine"))],
            }
        }
        "finished-member" => {
            let (one, two) = (NodeSecrets::generate(&mut tape), NodeSecrets::generate(&mut tape));
            let (dial, msg1) = PeerDial::start(&one, &peer, &mut tape).expect("a prologue fits");
            let (answer, msg2) = PeerAnswer::start(&two, &peer, &msg1, &mut tape).expect("message 1 is genuine");
            let (msg3, dialled) = dial.finish(&msg2).expect("message 2 is genuine");
            let answered = answer.finish(&msg3).expect("message 3 is genuine");
            vec![Box::new(one), Box::new(two), Box::new(dialled), Box::new(answered)]
        }
        other => unreachable!("nobody does {other}"),
    }
}

/// One thing with shares, done last; whoever plays the tape again has the same shares.
#[inline(never)]
fn of_custody(thing: &str, mut tape: Tape) -> Vec<Box<dyn Any>> {
    let mut dealer = Dealer::on_tape(&tape);
    let dealt = dealer.deal(&mut tape).expect("a plan that fits");
    if thing == "dealt" {
        return vec![Box::new(dealer), Box::new(dealt)];
    }
    let shares = dealer.shares(&dealt).expect("what was dealt is good");
    match thing {
        "opened" => vec![Box::new(shares)],
        "sent" => {
            let session = KemSecret::from_seed(Secret::new([0x77; 32]));
            let (offer, good) = (Digest([1; 32]), &shares[0]);
            let mut draws = Draws::new(&mut tape, &good.share().r);
            let (manifest, custodian) = (*good.manifest(), *good.custodian());
            let (kem, sealed) = seal_submission(&session.public(), &offer, &manifest, &custodian, good.share(), &mut draws).expect("a key");
            let (last_epoch, anchor, signature) = (Epoch(1), None, Signature([0; 64]));
            let submission = ShareSubmission { offer, manifest, custodian, kem, sealed, last_epoch, anchor, signature };
            vec![Box::new(open_submission(&session, &submission).expect("sealed for it"))]
        }
        "spelled" => {
            let (words, line) = (share_words(shares[0].share()), share_line(shares[0].share()));
            for text in [&words, &line] {
                assert!(read_share(text, &CLUSTER).expect("what was spelled") == *shares[0].share());
            }
            vec![Box::new(words), Box::new(line)]
        }
        "combined" => vec![Box::new(recovered(&dealt.manifest, &shares).expect("enough shares"))],
        "recovered" => {
            let blob = dealer.blob(&dealt, &mut tape).expect("few keys");
            let key = recovered(&dealt.manifest, &shares).expect("enough shares");
            vec![Box::new(key.open(&dealt.manifest, &blob).expect("sealed to it"))]
        }
        "members" => {
            let (tag, proof) = (dealer.tag_key(&dealt).expect("wrapped here"), dealer.proof_key(&dealt, 1).expect("wrapped here"));
            let _blob = dealer.blob(&dealt, &mut tape).expect("few keys");
            let challenge = ShareChallenge { manifest: *shares[0].manifest(), nonce: Nonce([5; 32]) };
            let _answer = answer_challenge(&shares[0], &challenge, &Digest([6; 32]));
            vec![Box::new(tag), Box::new(proof)]
        }
        other => unreachable!("nobody does {other}"),
    }
}
