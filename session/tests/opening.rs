//! One attempt at one node, without a byte of network: what an honest node comes to, and what every departure from the protocol comes to.
//!
//! Decides: an attempt ends where the protocol says, with the error that says why, and takes nothing afterwards. Trusts: the node in memory (`answering`), which is
//! honest until a test alters what it says. Out of scope: the judging of evidence (`attest`), QUIC (`client`). Protocol section 3.1.

use crate::answering::{BINDING, CLIENT, FRAMES, Home, NOW, Node, Serving, carry, credential, governor, rng};
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_attest::SessionError;
use ringwall_channel::{ClientPrologue, answer_client};
use ringwall_session::anchor::{
    Anchor, AnchorError, AnchorStore, EvidenceFile, InMemory, KeptAnchor, KeptGovernance, KnownPolicy, LogForkFile, ReceiptFault, Trouble,
};
use ringwall_session::dial::{DialError, LinkError};
use ringwall_session::opening::{Device, Goal, Now, Opening, Step, Wants};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{CredPublic, Digest, Epoch, Revision, Signature};
use ringwall_wire::limits::{ATTEST_MESSAGE_BYTES, HANDSHAKE_MESSAGE_BYTES};
use ringwall_wire::policy::{Approval, Governance, SignedPolicy};
use ringwall_wire::receipt::Signer;
use ringwall_wire::release::LogHead;
use ringwall_wire::request::{Answer, Reply};
use ringwall_wire::session::{NodeDescriptor, Refusal, RefusalCode, UserAuth};
use std::sync::Arc;

/// Nothing is taken after an error.
fn is_over(opening: &mut Opening) {
    assert_eq!(opening.wants(), Wants::Nothing);
    assert!(matches!(opening.take(b"more", NOW, &mut rng(1)), Err(DialError::OutOfOrder(_))));
    assert!(matches!(opening.signed(Signature([0; 64])), Err(DialError::OutOfOrder(_))));
}

/// The error of an attempt at `node` whose answers are altered so.
fn fault_of(home: &Home, node: &Node, alter: impl FnMut(usize, Vec<u8>) -> Vec<u8>) -> DialError {
    let (mut opening, step) = home.user(7);
    let fault = carry(&mut opening, step, &mut node.visit(), alter).expect_err("it was taken");
    is_over(&mut opening);
    fault
}

#[test]
fn a_node_that_is_what_it_says_is_judged_and_serves_its_user() {
    let node = Node::new();
    let home = Home::of(&node);
    let mut serving = node.visit();
    let (opened, mut line) = home.open(&mut serving, 5).unwrap();
    assert_eq!((opened.ready.revision, opened.verification.cluster_id), (Revision(5), node.cluster_id()));
    assert_eq!(opened.verification.address, "node:1");
    let serves_ms = u64::from(node.member.policy.session.reattest_s) * 1_000;
    assert_eq!(opened.reattest_by_ms, NOW.ms + serves_ms, "counted from before the evidence was asked for");
    assert_eq!(home.memory.due_ms(), Some(NOW.ms + 1_000), "what the receipt adds is kept within a second");
    home.memory.settle();
    assert_eq!(home.memory.due_ms(), None);

    line.queue(&[b"question".to_vec()]).unwrap();
    let bytes = line.unsent().to_vec();
    line.sent(bytes.len());
    assert_eq!((serving.opens(&bytes).as_slice(), line.backlog()), (b"question".as_slice(), 0));
    let reply = Reply { number: 1, body: Answer::Absent(Revision(6)) }.encode();
    let receipt = Box::new(serving.receipt(&node.ledger, 2, 1));
    let receipt = Reply { number: 0, body: Answer::Receipt(receipt) }.encode();
    let mut arrived = Vec::new();
    line.push(&serving.says(&[receipt, reply.clone()])).unwrap();
    line.drain(&mut arrived, NOW.ms).unwrap();
    assert_eq!(arrived, std::slice::from_ref(&reply), "the receipt is looked at and not passed on");
    line.push(&serving.says(&[reply])).unwrap();
    let fault = line.drain(&mut arrived, NOW.ms).unwrap_err();
    assert_eq!(fault, LinkError::History(Trouble::Receipt(ReceiptFault::Missing)), "no receipt answers for this one");
}

#[test]
fn an_attempt_ends_in_what_it_was_begun_for() {
    let node = Node::new();
    let home = Home::of(&node);
    let (mut opening, step) = home.begin(Goal::Examine, 3).unwrap();
    let Ok(Step::Judged(judged)) = carry(&mut opening, step, &mut node.visit(), |_, answer| answer) else { panic!("not judged") };
    let (exchange, examined) = *judged;
    assert_eq!((examined.at_s, exchange.at_s(), examined.place.as_str()), (NOW.s, NOW.s, "node:1"));
    assert_eq!(examined.verdict.unwrap().policy.version, node.member.policy.version);
    is_over(&mut opening);
    let (mut opening, step) = home.begin(Goal::Visit, 4).unwrap();
    let Ok(Step::Visit(visited)) = carry(&mut opening, step, &mut node.visit(), |_, answer| answer) else { panic!("no visit") };
    assert_eq!(visited.session.peer().unwrap().cluster_id(), node.cluster_id());
    is_over(&mut opening);
    assert_eq!(home.memory.due_ms(), None, "nobody was told of receipts");
    // A refusal is a judgement too.
    let other = Node { replays: Some(Digest([4; 32])), ..Node::new() };
    let (mut opening, step) = Home::of(&other).begin(Goal::Examine, 3).unwrap();
    let Ok(Step::Judged(judged)) = carry(&mut opening, step, &mut other.visit(), |_, answer| answer) else { panic!("not judged") };
    assert!(judged.1.verdict.is_err() && !judged.1.trace.steps().is_empty());
}

#[test]
fn frames_that_are_none_end_the_attempt() {
    let node = Node::new();
    let refusal = Refusal { code: RefusalCode::Busy, detail: Text::new("later").unwrap() }.encode();
    let most: [usize; FRAMES] = [HANDSHAKE_MESSAGE_BYTES, HANDSHAKE_MESSAGE_BYTES, ATTEST_MESSAGE_BYTES + ATTEST_MESSAGE_BYTES / 8];
    for (at, most) in most.into_iter().enumerate() {
        let home = Home::of(&node);
        let instead = |with: Vec<u8>| fault_of(&home, &node, |turn, answer| if turn == at { with.clone() } else { answer });
        assert!(matches!(instead(vec![0x42; most + 1]), DialError::Breach(_)), "too long, {at}");
        for with in [Vec::new(), vec![0x42; 48], node.descriptor().encode()] {
            let fault = if at == 0 && with.len() > 48 { continue } else { instead(with) };
            match at {
                2 => assert!(matches!(fault, DialError::Handshake(_)), "{at}: {fault}"),
                _ => assert!(matches!(fault, DialError::Breach(_)), "{at}: {fault}"),
            }
        }
        match (at, instead(refusal.clone())) {
            // Where records are sealed already, only a sealed one is a refusal.
            (2, DialError::Handshake(_)) => {}
            (_, DialError::Refused { code: "BUSY", detail }) => assert_eq!(detail, "later"),
            (at, other) => panic!("{at}: {other}"),
        }
        let fault = fault_of(&home, &node, |turn, mut answer| {
            if turn == at {
                let middle = answer.len() / 2;
                answer[middle] ^= 1;
            }
            answer
        });
        assert!(!matches!(fault, DialError::OutOfOrder(_)), "{at}: {fault}");
    }
}

#[test]
fn a_node_of_another_cluster_is_told_at_once_and_one_that_says_otherwise_by_its_evidence() {
    let (mut node, pinned) = (Node::of("another", |_| ()), Node::new());
    let home = Home::of(&pinned);
    let fault = fault_of(&home, &node, |_, answer| answer);
    assert!(
        matches!(fault, DialError::OtherCluster { claimed, pinned: ours } if (claimed, ours) == (node.cluster_id(), pinned.cluster_id()))
    );
    node.claims = pinned.cluster_id();
    let fault = fault_of(&home, &node, |_, answer| answer);
    assert!(matches!(fault, DialError::Evidence(_)) && fault.is_final_for_node(), "{fault}");
    // It is remembered by its key: not even a handshake is begun with it for a while.
    let mut turns = 0;
    let fault = fault_of(&home, &node, |_, answer| {
        turns += 1;
        answer
    });
    assert!(matches!(fault, DialError::Evidence(_)) && turns == 1, "{turns}: {fault}");
    let (mut opening, _) = home.user(9);
    let later = Now { ms: NOW.ms + 60_000, ..NOW };
    assert!(matches!(opening.take(&node.descriptor().encode(), later, &mut rng(3)), Ok(Step::Send(_))), "and then it is asked again");
}

#[test]
fn a_version_nobody_offered_and_keys_nobody_holds_are_refused() {
    let node = Node::new();
    let home = Home::of(&node);
    let version = NodeDescriptor { version: 9, ..node.descriptor() }.encode();
    assert!(matches!(fault_of(&home, &node, |_, _| version.clone()), DialError::Breach(_)));
    let (mut opening, _) = home.user(7);
    let borrowed = NodeDescriptor { noise: Node::of("stranger's", |_| ()).descriptor().noise, ..node.descriptor() };
    assert!(matches!(opening.take(&borrowed.encode(), NOW, &mut rng(1)), Ok(Step::Send(_))));
    // Whoever does not hold it cannot read message 1, and has nothing to answer it with.
    assert!(matches!(opening.take(&[0x33; 48], NOW, &mut rng(1)), Err(DialError::Breach(_))));
    is_over(&mut opening);
}

#[test]
fn evidence_of_another_session_or_under_another_policy_is_refused() {
    let pinned = Node::new();
    let replaying = Node { replays: Some(Digest([4; 32])), ..Node::new() };
    assert!(matches!(fault_of(&Home::of(&pinned), &replaying, |_, answer| answer), DialError::Evidence(_)));
    let mut other = Node::new();
    other.member.policy.session.reattest_s -= 1;
    let fault = fault_of(&Home::of(&pinned), &other, |_, answer| answer);
    assert!(matches!(fault, DialError::Evidence(_) | DialError::OldPolicy(_)), "{fault}");
    let mut home = Home::of(&pinned);
    let terms = Arc::get_mut(&mut home.terms).unwrap();
    terms.min_policy_version.0 = pinned.member.policy.version.0 + 1;
    let fault = fault_of(&home, &pinned, |_, answer| answer);
    assert!(matches!(&fault, DialError::OldPolicy(error) if matches!(**error, SessionError::PolicyTooOld { .. })), "{fault}");
    assert!(!fault.is_final_for_node(), "it may only not have caught up");
}

#[test]
fn a_node_says_why_it_does_not_serve_a_user() {
    let mut node = Node::new();
    let home = Home::of(&node);
    for code in [RefusalCode::NotAuthorized, RefusalCode::DeviceRevoked, RefusalCode::NotRestored, RefusalCode::Behind] {
        node.refuses = Some(code);
        let fault = fault_of(&home, &node, |_, answer| answer);
        match code {
            RefusalCode::NotAuthorized => assert!(matches!(fault, DialError::NotAuthorized(_)), "{fault}"),
            RefusalCode::DeviceRevoked => assert!(matches!(fault, DialError::DeviceRevoked(_)), "{fault}"),
            RefusalCode::NotRestored => assert!(matches!(fault, DialError::NotRestored(_)), "{fault}"),
            _ => assert!(matches!(fault, DialError::Refused { .. }), "{fault}"),
        }
    }
}

/// An attempt that named its user, and the honest node's word for them.
fn named(home: &Home, serving: &mut Serving<'_>) -> (Opening, Vec<u8>) {
    let (mut opening, mut step) = home.user(7);
    loop {
        match step {
            Step::Send(said) => step = opening.take(&serving.hear(&said), NOW, &mut rng(1)).unwrap(),
            Step::Stream(said) => return (opening, serving.hear(&said)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_words_for_one_user_or_an_altered_one_open_nothing_and_one_in_pieces_does() {
    let node = Node::new();
    let home = Home::of(&node);
    let mut serving = node.visit();
    let (mut opening, word) = named(&home, &mut serving);
    let again = serving.ready().encode();
    let twice = [word, serving.says(&[again])].concat();
    assert!(matches!(opening.take(&twice, NOW, &mut rng(1)), Err(DialError::Breach(_))), "two words");
    is_over(&mut opening);
    // The honest word is lost on the way, and another one stands in its place.
    let (mut opening, mut word) = named(&home, &mut node.visit());
    let last = word.len() - 1;
    word[last] ^= 1;
    assert!(matches!(opening.take(&word, NOW, &mut rng(1)), Err(DialError::Breach(_))), "a record that was altered");
    is_over(&mut opening);
    let mut serving = node.visit();
    let (mut opening, word) = named(&home, &mut serving);
    let (first, rest) = word.split_at(word.len() / 2);
    assert!(matches!(opening.take(first, NOW, &mut rng(1)), Ok(Step::Wait)), "half a record is no word");
    assert_eq!(opening.wants(), Wants::Bytes(128 * 1024));
    assert!(matches!(opening.take(rest, NOW, &mut rng(1)), Ok(Step::Open(_))));
    is_over(&mut opening);
}

#[test]
fn a_receipt_that_is_not_the_nodes_is_refused() {
    let mut node = Node::new();
    let home = Home::of(&node);
    node.forges = true;
    let fault = fault_of(&home, &node, |_, answer| answer);
    assert!(matches!(fault, DialError::History(Trouble::Receipt(ReceiptFault::Signature))), "{fault}");
    assert_eq!(home.memory.due_ms(), None, "and nothing of it is kept");
    node.forges = false;
    node.ledger.incarnation.0 += 1;
    let fault = fault_of(&home, &node, |_, answer| answer);
    assert!(matches!(fault, DialError::History(Trouble::Receipt(ReceiptFault::OtherSigner { .. }))), "{fault}");
}

#[test]
fn what_was_confirmed_and_is_gone_is_told_and_ends_this_client_for_good() {
    let mut node = Node::new();
    let store = Arc::new(InMemory::default());
    let home = Home::over(&node, Arc::clone(&store) as Arc<dyn AnchorStore>, Device::Key(credential()));
    let (_, line) = home.open(&mut node.visit(), 5).unwrap();
    home.memory.settle();
    node.ledger.leaves.truncate(9);
    let fault = home.open(&mut node.visit(), 6).unwrap_err();
    assert!(matches!(fault, DialError::History(Trouble::Detected(_))), "{fault}");
    assert!(matches!(line.goes_on(), Err(LinkError::History(Trouble::Detected(_)))), "the session that was open ends");
    let fault = home.begin(Goal::User { client: CLIENT }, 7).err();
    assert!(matches!(fault, Some(DialError::History(Trouble::Detected(_)))), "nothing is begun");
    let later = Home::over(&node, store, Device::Key(credential()));
    assert!(later.begin(Goal::User { client: CLIENT }, 7).is_err(), "nor in a later process");
}

#[test]
fn a_key_elsewhere_signs_the_words_a_key_here_would_sign() {
    let node = Node::new();
    let store = || Arc::new(InMemory::default()) as Arc<dyn AnchorStore>;
    let home = Home::over(&node, store(), Device::Elsewhere(credential().public()));
    let mut serving = node.visit();
    let (mut opening, step) = home.user(5);
    let Ok(Step::Sign(words)) = carry(&mut opening, step, &mut serving, |_, answer| answer) else { panic!("no signature asked for") };
    assert_eq!(opening.wants(), Wants::Signature);
    let signature = Signature(credential().signing_key().sign(&words).to_bytes());
    let step = opening.signed(signature).unwrap();
    assert!(matches!(step, Step::Stream(_)));
    let Ok(Step::Open(_)) = carry(&mut opening, step, &mut serving, |_, answer| answer) else { panic!("not served") };
    is_over(&mut opening);

    // Another key's, one of another session, and none at all: nothing is sent, and it is over.
    let asked = |seed| {
        let (mut opening, step) = home.user(seed);
        let Ok(Step::Sign(words)) = carry(&mut opening, step, &mut node.visit(), |_, answer| answer) else {
            panic!("no signature asked for")
        };
        (opening, words)
    };
    let (mut opening, words) = asked(6);
    let other = SigningKey::from_bytes(&[7; 32]);
    assert!(matches!(opening.signed(Signature(other.sign(&words).to_bytes())), Err(DialError::Signature(_))));
    is_over(&mut opening);
    let (mut opening, _) = asked(6);
    assert!(matches!(opening.signed(signature), Err(DialError::Signature(_))), "of another session");
    is_over(&mut opening);
    let (mut opening, words) = asked(8);
    assert!(matches!(opening.take(&words, NOW, &mut rng(1)), Err(DialError::OutOfOrder(_))), "bytes in place of a signature");
    is_over(&mut opening);
    let weak = Home::over(&node, store(), Device::Elsewhere(CredPublic([0; 32])));
    let (mut opening, step) = weak.user(9);
    let Ok(Step::Sign(_)) = carry(&mut opening, step, &mut node.visit(), |_, answer| answer) else { panic!("no signature asked for") };
    assert!(matches!(opening.signed(Signature([0; 64])), Err(DialError::Signature(_))), "a key anybody signs for");
    let (mut opening, _) = home.user(10);
    assert!(matches!(opening.signed(signature), Err(DialError::OutOfOrder(_))), "before anything came");
    is_over(&mut opening);
}

#[test]
fn what_came_is_not_taken_twice() {
    let node = Node::new();
    let home = Home::of(&node);
    for again in 1..=FRAMES {
        let mut before = Vec::new();
        let fault = fault_of(&home, &node, |turn, answer| {
            let given = if turn == again { std::mem::take(&mut before) } else { answer };
            before.clone_from(&given);
            given
        });
        assert!(matches!(fault, DialError::Breach(_) | DialError::Handshake(_)), "{again}: {fault}");
    }
}

#[test]
fn garbage_at_any_place_is_an_error_and_never_more() {
    let node = Node::new();
    let home = Home::of(&node);
    let mut source = ringwall_wire::sample::Source::new(11);
    for round in 0..64usize {
        let at = round % (FRAMES + 1);
        let garbage: Vec<u8> = (0..source.below(3_000)).map(|_| source.next() as u8).collect();
        let (mut opening, step) = home.user(round as u64);
        let came = carry(&mut opening, step, &mut node.visit(), |turn, answer| if turn == at { garbage.clone() } else { answer });
        // A few bytes may be the beginning of a record.
        assert!(came.is_err() || matches!(came, Ok(Step::Wait)), "{round}");
    }
}

/// A store on which nothing about governance can be kept.
#[derive(Default)]
struct Full(InMemory);

impl AnchorStore for Full {
    fn load(&self) -> Result<KeptAnchor, AnchorError> {
        self.0.load()
    }
    fn save(&self, anchor: &Anchor, signers: &[Signer]) -> Result<(), AnchorError> {
        self.0.save(anchor, signers)
    }
    fn detected(&self, evidence: &EvidenceFile) -> Result<String, AnchorError> {
        self.0.detected(evidence)
    }
    fn governed(&self) -> Result<KeptGovernance, AnchorError> {
        self.0.governed()
    }
    fn save_policy(&self, _: &KnownPolicy) -> Result<KnownPolicy, AnchorError> {
        Err(AnchorError::Malformed { path: "full".into() })
    }
    fn save_head(&self, head: &LogHead) -> Result<(), AnchorError> {
        self.0.save_head(head)
    }
    fn log_lied(&self, proof: &LogForkFile) -> Result<String, AnchorError> {
        self.0.log_lied(proof)
    }
}

#[test]
fn what_cannot_be_kept_of_governance_ends_the_attempt_before_the_user_is_named() {
    let node = Node::new();
    let home = Home::over(&node, Arc::new(Full::default()), Device::Key(credential()));
    let mut turns = 0;
    let fault = fault_of(&home, &node, |_, answer| {
        turns += 1;
        answer
    });
    assert!(matches!(fault, DialError::History(Trouble::Store { code: "RW-C-ANCHOR-MALFORMED", .. })), "{fault}");
    assert_eq!(turns, FRAMES, "something was said after the evidence");
}

/// A node after so many changes of its policy.
fn changed(changes: usize) -> Node {
    let (key, public) = governor();
    let governance = Governance { keys: List::new(vec![public]).unwrap(), threshold: 1, timelock_s: 60, lease_s: 0 };
    let mut node = Node::of("governed", |policy| policy.governance = governance);
    for _ in 0..changes {
        let before = &node.member.policy;
        let mut policy = before.clone();
        policy.version.0 += 1;
        policy.session.reattest_s -= 1;
        let document = Blob::new(policy.encode()).unwrap();
        let mut signed = SignedPolicy { replaces: Some(Digest(before.digest())), policy: document, signatures: List::default() };
        let signature = Signature(key.sign(&signed.signed_words()).to_bytes());
        signed.signatures.push(Approval { key: public, signature }).unwrap();
        node.changes.push(PolicyStep { signed, notice: None });
        node.member.policy = policy;
    }
    node
}

#[test]
fn whoever_is_behind_is_led_by_pages_and_an_attempt_that_broke_off_is_gone_on_with() {
    let node = changed(5);
    let home = Home::of(&node);
    let mut questions = 0;
    let (mut opening, step) = home.user(5);
    let ended = carry(&mut opening, step, &mut node.visit(), |_, answer| {
        questions += 1;
        answer
    });
    let Ok(Step::Open(open)) = ended else { panic!("{ended:?}") };
    assert_eq!((questions, open.0.verification.policy_version), (2 + 5 + 1 + 1, node.member.policy.version));

    // The connection breaks after three pages: they were judged, and the next attempt begins where they end.
    let home = Home::of(&node);
    let mut serving = node.visit();
    let (mut opening, mut step) = home.user(6);
    for _ in 0..5 {
        let Step::Send(said) = step else { panic!("{step:?}") };
        step = opening.take(&serving.hear(&said), NOW, &mut rng(1)).unwrap();
    }
    drop(opening);
    let mut questions = 0;
    let (mut opening, step) = home.user(7);
    let ended = carry(&mut opening, step, &mut node.visit(), |_, answer| {
        questions += 1;
        answer
    });
    assert!(matches!(ended, Ok(Step::Open(_))), "{ended:?}");
    assert_eq!(questions, 2 + 2 + 1 + 1, "three of five changes were known");
}

#[test]
fn a_page_that_does_not_hold_makes_its_sender_a_node_that_is_refused() {
    let mut node = changed(2);
    node.changes[1].signed.signatures = List::default();
    let home = Home::of(&node);
    let fault = fault_of(&home, &node, |_, answer| answer);
    assert!(matches!(&fault, DialError::Evidence(error) if matches!(**error, SessionError::Steps(_))), "{fault}");
    let mut turns = 0;
    let fault = fault_of(&home, &node, |_, answer| {
        turns += 1;
        answer
    });
    assert!(matches!(fault, DialError::Evidence(_)) && turns == 1, "it is remembered: {fault}");
}

#[test]
fn a_session_is_tied_to_its_transport() {
    let node = Node::new();
    let home = Home::of(&node);
    let elsewhere = [BINDING[0] ^ 1; 32];
    let goal = Goal::User { client: CLIENT };
    let (mut opening, step) = Opening::begin((&home.memory, &home.terms), goal, "node:1", elsewhere, NOW, &mut rng(5)).unwrap();
    assert!(matches!(step, Step::Send(_)));
    let Ok(Step::Send(msg1)) = opening.take(&node.descriptor().encode(), NOW, &mut rng(1)) else { panic!("no handshake") };
    let answered = |transport_binding| {
        let prologue = ClientPrologue { cluster_id: node.claims, epoch: Epoch(1), version: 1, transport_binding };
        answer_client(&node.secrets, &prologue, &msg1, &mut rng(2)).map(|_| ())
    };
    assert!(answered(&elsewhere).is_ok());
    assert!(answered(&BINDING).is_err(), "a node that sees another transport cannot read the handshake");
}

#[test]
fn what_the_user_says_is_for_this_session_and_names_what_is_known() {
    let node = Node::new();
    let home = Home::of(&node);
    drop(home.open(&mut node.visit(), 5).unwrap());
    let mut serving = node.visit();
    let (mut opening, mut step) = home.user(6);
    let said = loop {
        match step {
            Step::Send(said) => step = opening.take(&serving.hear(&said), NOW, &mut rng(1)).unwrap(),
            Step::Stream(said) => break said,
            other => panic!("{other:?}"),
        }
    };
    let auth = UserAuth::decode(&serving.opens(&said)).unwrap();
    assert_eq!((auth.user, auth.cred, auth.client), (credential().user(), credential().public(), CLIENT));
    assert_eq!(auth.known.map(|known| known.size), Some(node.ledger.size()), "the first session's receipt, kept before the second began");
    assert!(auth.restore.is_none());
}
