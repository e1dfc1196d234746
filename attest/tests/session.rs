//! Whole attestation answers: the honest one opens a session, and every way to stand between, replay, reflect or pretend is named.
//!
//! Decides: rows A1, A2, A3, A12, A13 and G2, G4 of the attack register at the level of one answer, and standing keys.
//! Trusts: minted evidence of `ringwall-sim`. Out of scope: the handshake that gives hash and key (`channel`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::result_large_err)]

use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_attest::batch::{leaf, session_words};
use ringwall_attest::{
    Anchors, AppraisedPeer, Asked, Batch, CLOCK_TOLERANCE_S, Layer, Pinned, PolicyPin, Rejection as R, SessionError as S, VerifyError as V,
    appraise_session,
};
use ringwall_sim::answering::{Handshake, MEMBER, NOW_S, Node, SESSION, STANDING, judge, judge_with, node, node_of, standing};
use ringwall_sim::{Lie, anchors, foreign_anchors, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::Role;
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::{
    ClusterId, Digest, Epoch, Incarnation, NoisePublic, Nonce, PolicyVersion, SigPublic, Signature, Slot, TrustDomain, Vendor,
};
use ringwall_wire::session::{AttestMode, AttestResp, SessionProof};

#[track_caller]
fn refused(outcome: Result<AppraisedPeer, S>, layer: Layer, named: fn(&S) -> bool) {
    match outcome {
        Err(error) if named(&error) => {
            assert_eq!(error.layer(), layer, "{error}");
            assert!(error.to_string().len() > 15);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_honest_answer_opens_a_session() {
    for chip in ["genoa-1", "tdx-1"] {
        let node = node(chip);
        let peer = judge(&node.answers(SESSION), SESSION, &node).unwrap();
        assert_eq!(peer.handshake(), &SESSION.hash);
        assert_eq!((peer.cluster_id(), peer.epoch(), peer.incarnation()), (node.genesis.cluster_id(), Epoch(1), MEMBER));
        assert_eq!((peer.keys(), peer.boot_config(), peer.policy(), peer.genesis()), (&node.keys, &node.boot, &node.policy, &node.genesis));
        assert_eq!((peer.role(), peer.appraised().vendor()), (Role::ClientServer, node.tee.vendor()));
        let words: Vec<_> = peer.appraised().steps().iter().map(|step| step.as_str()).collect();
        assert!(words.iter().any(|step| step.contains("one of those this evidence was made for")), "{words:?}");
    }
}

#[test]
fn every_role_opens_its_session_and_no_other() {
    let node = node("genoa-1");
    let roles = [Role::ClientServer, Role::PeerInit, Role::PeerResp, Role::JoinInit, Role::JoinResp];
    for wanted in roles {
        let session = Handshake { role: wanted, ..SESSION };
        let honest = node.answers(session);
        assert!(judge(&honest, session, &node).is_ok(), "{wanted:?}");
        for claimed in roles.into_iter().filter(|role| *role != wanted) {
            // the answer says another role
            let other = node.answers(Handshake { role: claimed, ..SESSION });
            refused(judge(&other, session, &node), Layer::Binding, |e| matches!(e, S::OtherRole { .. }));
            // it says the wanted role, the evidence was made for another
            let relabelled = AttestResp { role: wanted, incarnation: honest.incarnation, ..other };
            refused(judge(&relabelled, session, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
        }
    }
}

#[test]
fn replayed_evidence_is_refused() {
    let node = node("genoa-1");
    let old = node.answers(SESSION);
    // another nonce, another handshake: the leaf of the old session leads nowhere
    for session in [Handshake { nonce: Nonce([0x23; 32]), ..SESSION }, Handshake { hash: Digest([0x12; 32]), ..SESSION }] {
        refused(judge(&old, session, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
        // with a fresh path beside the stale evidence
        let fresh = node.answers(session);
        let mixed = AttestResp { proof: fresh.proof, ..old.clone() };
        refused(judge(&mixed, session, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
    }
    // a machine that replays
    let replaying = Node { tee: node.tee.clone().telling(&[Lie::Replay]), ..node.clone() };
    assert!(judge(&replaying.answers(SESSION), SESSION, &node).is_ok(), "the first is honest");
    let next = Handshake { nonce: Nonce([0x24; 32]), ..SESSION };
    refused(judge(&replaying.answers(next), next, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
}

/// A host without a TEE answers with a genuine node's evidence for the attacker's own session.
#[test]
fn relayed_evidence_is_refused() {
    let node = node("tdx-1");
    let between = Handshake { hash: Digest([0x55; 32]), noise: NoisePublic([0x66; 32]), ..SESSION };
    // the genuine answer names the genuine key, the handshake authenticated the attacker's
    refused(judge(&node.answers(between), between, &node), Layer::Binding, |e| matches!(e, S::OtherNoiseKey { .. }));
    // the attacker writes its own key into the answer
    let mut rewritten = node.answers(between);
    rewritten.keys.noise = between.noise;
    refused(judge(&rewritten, between, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
    // the session with the client has another hash than the one the genuine node saw
    let leaked_key = Handshake { hash: Digest([0x56; 32]), ..SESSION };
    refused(judge(&node.answers(SESSION), leaked_key, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
}

/// My own evidence, sent back to me.
#[test]
fn reflected_evidence_is_refused() {
    let node = node("genoa-1");
    let mine = Handshake { role: Role::PeerInit, ..SESSION };
    let wanted = Handshake { role: Role::PeerResp, noise: NoisePublic([0x77; 32]), ..SESSION };
    let own = node.answers(mine);
    refused(judge(&own, wanted, &node), Layer::Binding, |e| matches!(e, S::OtherRole { .. }));
    let relabelled = AttestResp { role: Role::PeerResp, ..own };
    refused(judge(&relabelled, wanted, &node), Layer::Binding, |e| matches!(e, S::OtherNoiseKey { .. }));
    let mut rewritten = relabelled;
    rewritten.keys.noise = wanted.noise;
    refused(judge(&rewritten, wanted, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
}

#[test]
fn another_cluster_is_refused() {
    let (node, other) = (node("genoa-1"), node_of("genoa-1", "second", |_| ()));
    let foreign = other.answers(SESSION);
    refused(judge(&foreign, SESSION, &node), Layer::Binding, |e| matches!(e, S::OtherCluster { .. }));
    let renamed = AttestResp { cluster_id: node.genesis.cluster_id(), ..foreign.clone() };
    refused(judge(&renamed, SESSION, &node), Layer::Binding, |e| matches!(e, S::OtherCluster { .. }));
    let with_record = AttestResp { genesis: node.genesis.clone(), ..renamed };
    refused(judge(&with_record, SESSION, &node), Layer::Binding, |e| matches!(e, S::BootCluster { .. }));
    let with_boot = AttestResp { boot_config: Blob::new(node.boot.encode()).unwrap(), ..with_record };
    refused(judge(&with_boot, SESSION, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
    let claims_other = AttestResp { cluster_id: other.genesis.cluster_id(), ..node.answers(SESSION) };
    refused(judge(&claims_other, SESSION, &node), Layer::Binding, |e| matches!(e, S::OtherCluster { .. }));
}

#[test]
fn another_policy_is_refused() {
    let node = node("genoa-1");
    let mut loose = node.answers(SESSION);
    loose.policy.min_svn = 0;
    refused(judge(&loose, SESSION, &node), Layer::Binding, |e| matches!(e, S::OtherPolicy { .. }));
    let asked = Asked { handshake: &SESSION.hash, nonce: &SESSION.nonce, role: SESSION.role, noise: &SESSION.noise, mode: SESSION.mode };
    let roots = anchors();
    let newer = Pinned {
        cluster_id: node.genesis.cluster_id(),
        policy: PolicyPin::Founding { min_version: PolicyVersion(2) },
        anchors: &roots,
        now_s: NOW_S,
        last_head: None,
    };
    refused(appraise_session(&node.answers(SESSION), &asked, &newer), Layer::Policy, |e| matches!(e, S::PolicyTooOld { .. }));
}

/// A founding record whose policy contradicts it can only be an attacker's, so it has its own identity; pinning that one does not help.
#[test]
fn a_contradicting_founding_record_is_refused() {
    let mut node = node("genoa-1");
    node.genesis.template.slots = List::default();
    let pinned = node.genesis.cluster_id();
    let outcome = judge_with(&node.answers(SESSION), SESSION, pinned, &anchors(), NOW_S);
    refused(outcome, Layer::Policy, |e| matches!(e, S::PolicyContradicts { what: "slots" }));
    node.genesis.template.slots = node.policy.slots.clone();
    node.genesis.template.trust_domain = TrustDomain::Production;
    let pinned = node.genesis.cluster_id();
    let outcome = judge_with(&node.answers(SESSION), SESSION, pinned, &anchors(), NOW_S);
    refused(outcome, Layer::Policy, |e| matches!(e, S::PolicyContradicts { what: "trust domains" }));
}

#[test]
fn another_build_a_debug_guest_and_another_configuration_are_refused() {
    for chip in ["genoa-1", "tdx-1"] {
        let node = node(chip);
        let telling = |lie| judge(&Node { tee: node.tee.clone().telling(&[lie]), ..node.clone() }.answers(SESSION), SESSION, &node);
        refused(telling(Lie::Build), Layer::Policy, |e| matches!(e, S::Rejected(R::MeasurementUnknown { .. } | R::TupleUnknown { .. })));
        let debug = if chip == "tdx-1" { Lie::TdxDebug } else { Lie::SnpDebug };
        refused(telling(debug), Layer::Policy, |e| matches!(e, S::Rejected(R::DebugGuest { .. })));
        refused(telling(Lie::BootConfig), Layer::Binding, |e| matches!(e, S::Rejected(R::HostData { .. } | R::MrConfigId { .. })));
    }
}

#[test]
fn simulated_roots_are_refused_under_production_roots() {
    let amd = node("genoa-1");
    let outcome = judge_with(&amd.answers(SESSION), SESSION, amd.genesis.cluster_id(), &Anchors::production(), NOW_S);
    refused(outcome, Layer::Signature, |e| matches!(e, S::Verify(V::CertSignature { .. })));
    let intel = node("tdx-1");
    for roots in [Anchors::production(), foreign_anchors()] {
        let outcome = judge_with(&intel.answers(SESSION), SESSION, intel.genesis.cluster_id(), &roots, NOW_S);
        refused(outcome, Layer::Chain, |e| matches!(e, S::Verify(V::IntelRoot { .. })));
    }
}

#[test]
fn incarnations_fit_their_role() {
    let node = node("genoa-1");
    let as_incarnation = |role, incarnation| {
        let session = Handshake { role, ..SESSION };
        judge(&node.answers_as(session, role, incarnation), session, &node)
    };
    for (role, incarnation) in [
        (Role::ClientServer, Incarnation(0)),
        (Role::PeerInit, Incarnation(0)),
        (Role::JoinResp, Incarnation(0)),
        (Role::JoinInit, MEMBER),
        (Role::ClientServer, Incarnation::new(Epoch(2), 7)),
    ] {
        refused(as_incarnation(role, incarnation), Layer::Binding, |e| matches!(e, S::IncarnationUnfit { .. }));
    }
    let mut other = node.answers(SESSION);
    other.incarnation.0 += 1;
    refused(judge(&other, SESSION, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
}

/// The node, honestly started with `boot`.
fn started(node: &Node, boot: BootConfig) -> Node {
    Node { tee: node.tee.clone().booted(boot.clone()), boot, ..node.clone() }
}

#[test]
fn boot_configurations_name_this_cluster_and_a_slot_of_this_vendor() {
    let node = node("genoa-1");
    let founding = started(&node, world::founding_config(&node.genesis.template, Slot(1)));
    assert!(judge(&founding.answers(SESSION), SESSION, &node).is_ok(), "the founder names the template");
    let elsewhere = started(&node, world::joining_config(ClusterId([4; 32]), Slot(1)));
    refused(judge(&elsewhere.answers(SESSION), SESSION, &node), Layer::Binding, |e| matches!(e, S::BootCluster { .. }));
    let nowhere = started(&node, world::joining_config(node.genesis.cluster_id(), Slot(200)));
    refused(judge(&nowhere.answers(SESSION), SESSION, &node), Layer::Policy, |e| matches!(e, S::SlotUnknown { got: Slot(200) }));
    let production = started(&node, BootConfig { trust_domain: TrustDomain::Production, ..node.boot.clone() });
    refused(judge(&production.answers(SESSION), SESSION, &node), Layer::Binding, |e| matches!(e, S::OtherTrustDomain { .. }));
    let mut garbled = node.answers(SESSION);
    garbled.boot_config = Blob::new(vec![0; 9]).unwrap();
    refused(judge(&garbled, SESSION, &node), Layer::Parse, |e| matches!(e, S::BootConfig(_)));
    // the answer tells another slot than the machine was started for
    let mut moved = node.answers(SESSION);
    moved.boot_config = Blob::new(BootConfig { slot: Slot(2), ..node.boot.clone() }.encode()).unwrap();
    refused(judge(&moved, SESSION, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));

    let intel_only = node_of("genoa-1", "first", |policy| {
        let mut slots = policy.slots.to_vec();
        slots.first_mut().unwrap().vendors = List::new(vec![Vendor::Intel]).unwrap();
        policy.slots = List::new(slots).unwrap();
    });
    let outcome = judge(&intel_only.answers(SESSION), SESSION, &intel_only);
    refused(outcome, Layer::Policy, |e| matches!(e, S::SlotVendor { slot: Slot(1), got: Vendor::Amd }));
}

#[test]
fn a_malformed_path_is_refused() {
    let node = node("genoa-1");
    let mut answer = node.answers(SESSION);
    if let SessionProof::Batched(path) = &mut answer.proof {
        path.index = path.leaves;
    }
    refused(judge(&answer, SESSION, &node), Layer::Parse, |e| matches!(e, S::BatchPath { .. }));
}

/// A client may ask for more than the cheapest binding; a node that gives less is refused, one that gives more is not.
#[test]
fn a_binding_weaker_than_asked_is_refused() {
    let node = node("genoa-1");
    let batch = Batch::new(vec![leaf(&SESSION.hash, &SESSION.nonce)]).unwrap();
    let alone = node.answer(Role::ClientServer, MEMBER, batch.root(), SessionProof::Batched(batch.path(0).unwrap()));
    let answers = [
        (alone, AttestMode::Single),
        (node.answers(SESSION), AttestMode::Batched),
        (standing(&node, SESSION, NOW_S), AttestMode::Standing),
    ];
    for (answer, got) in &answers {
        for asked in [AttestMode::Single, AttestMode::Batched, AttestMode::Standing] {
            let outcome = judge(answer, Handshake { mode: asked, ..SESSION }, &node);
            let strong = match asked {
                AttestMode::Single => *got == AttestMode::Single,
                AttestMode::Batched => *got != AttestMode::Standing,
                AttestMode::Standing => true,
            };
            match outcome {
                Ok(_) => assert!(strong, "{got:?} was accepted by one who asked for {asked:?}"),
                Err(error) => {
                    assert!(!strong, "{got:?} for {asked:?}: {error}");
                    assert_eq!(error, S::WeakerMode { asked, got: *got });
                    assert_eq!(error.layer(), Layer::Binding);
                }
            }
        }
    }
}

#[test]
fn a_standing_key_serves_its_period() {
    let node = node("genoa-1");
    for start_s in [NOW_S, NOW_S - 600, NOW_S + CLOCK_TOLERANCE_S] {
        let peer = judge(&standing(&node, STANDING, start_s), STANDING, &node).unwrap();
        assert!(peer.appraised().steps().iter().any(|step| step.as_str().contains("weaker")));
    }
    for start_s in [NOW_S - 601, NOW_S + CLOCK_TOLERANCE_S + 1, 0, u64::MAX] {
        let outcome = judge(&standing(&node, STANDING, start_s), STANDING, &node);
        refused(outcome, Layer::Time, |e| matches!(e, S::StandingPeriod { .. }));
    }
    let none = node_of("genoa-1", "first", |policy| policy.session.standing_period_s = 0);
    let outcome = judge(&standing(&none, STANDING, NOW_S), STANDING, &none);
    refused(outcome, Layer::Policy, |e| matches!(e, S::StandingNotOffered));
    let peer = Handshake { role: Role::PeerResp, ..STANDING };
    let outcome = judge(&standing(&node, peer, NOW_S), peer, &node);
    refused(outcome, Layer::Policy, |e| matches!(e, S::StandingForRole { role: Role::PeerResp }));
}

#[test]
fn a_standing_key_must_be_in_the_evidence_and_sign_this_session() {
    let node = node("genoa-1");
    // it signed another session
    let other = standing(&node, Handshake { hash: Digest([0x99; 32]), ..STANDING }, NOW_S);
    refused(judge(&other, STANDING, &node), Layer::Signature, |e| matches!(e, S::StandingSignature));
    // a key that is not under the root
    let foreign = SigningKey::from_bytes(&[7; 32]);
    let mut answer = standing(&node, STANDING, NOW_S);
    if let SessionProof::Standing(proof) = &mut answer.proof {
        proof.key = SigPublic(foreign.verifying_key().to_bytes());
        proof.signature = Signature(foreign.sign(&session_words(&STANDING.hash, &STANDING.nonce)).to_bytes());
    }
    refused(judge(&answer, STANDING, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
    // a period stretched after the evidence was made
    let mut answer = standing(&node, STANDING, NOW_S - 601);
    if let SessionProof::Standing(proof) = &mut answer.proof {
        proof.period_start_s = NOW_S;
    }
    refused(judge(&answer, STANDING, &node), Layer::Binding, |e| matches!(e, S::Rejected(R::ReportData { .. })));
    // no key at all
    let mut answer = standing(&node, STANDING, NOW_S);
    if let SessionProof::Standing(proof) = &mut answer.proof {
        proof.key = SigPublic([0xff; 32]);
    }
    refused(judge(&answer, STANDING, &node), Layer::Signature, |e| matches!(e, S::StandingSignature));
}
