//! The chain of reasons: every stage is reached by an accepted peer, in order and with facts; a refusal names its stage, keeps what came before,
//! and says whether the node is bad or nobody can tell.
//!
//! Decides: nothing about evidence. Trusts: minted evidence of `ringwall-sim`. Out of scope: which refusal a lie meets (sim/tests/lies.rs).
#![allow(clippy::unwrap_used, clippy::panic, clippy::result_large_err)]

use ringwall_attest::batch::leaf;
use ringwall_attest::{
    AppraisedPeer, Asked, Batch, Finding, Pinned, PolicyPin, Rejection as R, SessionError as S, Stage, Trace, VerifyError as V,
    appraise_session_traced, report_data,
};
use ringwall_sim::release::Publisher;
use ringwall_sim::{Lie, SimTee, anchors, policy_for, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Endorsements, Role};
use ringwall_wire::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, Nonce, PolicyVersion, SigPublic, Slot};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestMode, AttestResp, SessionProof};

/// 2026-11-24 12:00:00 UTC.
const NOW_S: u64 = 1_795_521_600;
const DAY_S: u64 = 86_400;
const HANDSHAKE: Digest = Digest([0x11; 32]);
const NONCE: Nonce = Nonce([0x22; 32]);
const NOISE: NoisePublic = NoisePublic([1; 32]);

fn machine(chip: &str) -> SimTee {
    SimTee::new(world::machine(chip, world::joining_config(ClusterId([0; 32]), Slot(1))).unwrap(), NOW_S)
}

/// The answer of `chip` in a cluster whose policy `change` edits, and the cluster.
fn answer(chip: &str, lies: &[Lie], change: impl FnOnce(&mut PolicyDoc)) -> (AttestResp, ClusterId) {
    let mut policy = policy_for(&[&machine(chip)]);
    change(&mut policy);
    let genesis = ringwall_sim::genesis_record(&policy, "stages", Nonce([9; 32]));
    let boot = world::joining_config(genesis.cluster_id(), Slot(1));
    let tee = machine(chip).booted(boot.clone()).telling(lies);
    let batch = Batch::new(vec![leaf(&HANDSHAKE, &NONCE)]).unwrap();
    let keys = BootKeys { noise: NOISE, sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) };
    let binding = Binding {
        cluster_id: genesis.cluster_id(),
        epoch: Epoch(1),
        role: Role::ClientServer,
        incarnation: Incarnation::new(Epoch(1), 7),
        keys: keys.clone(),
        boot_config: boot.host_data(),
        policy: Digest(policy.digest()),
        batch_root: batch.root(),
    };
    let answer = AttestResp {
        cluster_id: binding.cluster_id,
        epoch: binding.epoch,
        role: binding.role,
        incarnation: binding.incarnation,
        keys,
        boot_config: Blob::new(boot.encode()).unwrap(),
        genesis,
        policy,
        steps: Default::default(),
        evidence: tee.mint(&report_data(&binding)),
        endorsements: tee.endorse(),
        proof: SessionProof::Batched(batch.path(0).unwrap()),
        release_proof: Blob::default(),
    };
    (answer, binding.cluster_id)
}

fn judge_at(answer: &AttestResp, cluster_id: ClusterId, now_s: u64) -> (Result<AppraisedPeer, S>, Trace) {
    let asked = Asked { handshake: &HANDSHAKE, nonce: &NONCE, role: Role::ClientServer, noise: &NOISE, mode: AttestMode::Batched };
    let roots = anchors();
    let pinned =
        Pinned { cluster_id, policy: PolicyPin::Founding { min_version: PolicyVersion(0) }, anchors: &roots, now_s, last_head: None };
    let mut trace = Trace::new();
    let judged = appraise_session_traced(answer, &asked, &pinned, &mut trace);
    (judged, trace)
}

fn told(chip: &str, lies: &[Lie], change: impl FnOnce(&mut PolicyDoc)) -> (S, Trace) {
    let (answer, cluster_id) = answer(chip, lies, change);
    let (judged, trace) = judge_at(&answer, cluster_id, NOW_S);
    (judged.map(|_| ()).expect_err("a lie was believed"), trace)
}

fn demanding(policy: &mut PolicyDoc) {
    policy.release = Publisher::default().demanded();
}

const CHIPS: [&str; 4] = ["milan-1", "genoa-1", "turin-1", "tdx-1"];

#[test]
fn an_accepted_peer_reaches_every_stage_in_order_with_its_facts() {
    for chip in CHIPS {
        let (answer, cluster_id) = answer(chip, &[], |_| ());
        let (judged, trace) = judge_at(&answer, cluster_id, NOW_S);
        let peer = judged.unwrap_or_else(|error| panic!("{chip}: {error}"));
        let appraised = peer.appraised();
        assert_eq!(appraised.steps(), trace.steps(), "{chip}");
        let stages: Vec<Stage> = trace.steps().iter().map(|step| step.stage()).collect();
        assert!(stages.is_sorted(), "{chip}: {stages:?}");
        for stage in Stage::ALL {
            assert!(stages.contains(&stage) && trace.is_finished(stage), "{chip}: stage {stage} was not reached");
        }
        let words_of = |stage| trace.steps().iter().filter(|step| step.stage() == stage).map(|step| step.as_str()).collect::<String>();
        let facts = [
            (Stage::Root, appraised.claims().root().to_string()),
            (Stage::Policy, Digest(answer.policy.digest()).to_string()),
            (Stage::Policy, appraised.chip().to_string()),
            (Stage::Measurement, appraised.measurement().to_owned()),
            (Stage::Binding, peer.boot_config().host_data().to_string()),
            (Stage::Cluster, cluster_id.to_string()),
        ];
        for (stage, fact) in facts {
            assert!(words_of(stage).contains(&fact), "{chip}: stage {stage} does not say {fact}: {}", words_of(stage));
        }
    }
}

/// How a node falls short, where it is refused, and as what.
type Case = (&'static str, &'static [Lie], fn(&mut PolicyDoc), Stage, Finding);

const NONE: fn(&mut PolicyDoc) = |_| ();
const CASES: &[Case] = &[
    ("genoa-1", &[Lie::ForeignRoot], NONE, Stage::Root, Finding::Bad),
    ("tdx-1", &[Lie::ForeignRoot], NONE, Stage::Root, Finding::Bad),
    ("turin-1", &[Lie::SnpVekOtherTcb], NONE, Stage::Chain, Finding::Bad),
    ("turin-1", &[Lie::SnpVekExpired], NONE, Stage::Chain, Finding::CannotTell),
    ("tdx-1", &[Lie::TdxQeSigner], NONE, Stage::Chain, Finding::Bad),
    ("tdx-1", &[Lie::TdxTcbInfoForged], NONE, Stage::Chain, Finding::Bad),
    ("genoa-1", &[Lie::SnpAskRevoked], NONE, Stage::Revocation, Finding::Bad),
    ("genoa-1", &[Lie::SnpCrlForged], NONE, Stage::Revocation, Finding::Bad),
    ("genoa-1", &[Lie::SnpCrlAbsent], NONE, Stage::Revocation, Finding::CannotTell),
    ("genoa-1", &[Lie::SnpCrlExpired], NONE, Stage::Revocation, Finding::CannotTell),
    ("tdx-1", &[Lie::TdxPckRevoked], NONE, Stage::Revocation, Finding::Bad),
    ("genoa-1", &[Lie::Signature], NONE, Stage::Report, Finding::Bad),
    ("tdx-1", &[Lie::Signature], NONE, Stage::Report, Finding::Bad),
    ("genoa-1", &[Lie::Version], NONE, Stage::Report, Finding::CannotTell),
    ("tdx-1", &[Lie::Version], NONE, Stage::Report, Finding::CannotTell),
    ("turin-1", &[Lie::SnpOldLaunch], NONE, Stage::Tcb, Finding::Bad),
    ("tdx-1", &[Lie::TdxNoLevel], NONE, Stage::Tcb, Finding::Bad),
    ("tdx-1", &[Lie::TdxOutOfDate], NONE, Stage::Tcb, Finding::Bad),
    ("tdx-1", &[Lie::TdxOldEvaluation], NONE, Stage::Tcb, Finding::CannotTell),
    ("genoa-1", &[Lie::SnpDebug], NONE, Stage::Policy, Finding::Bad),
    ("tdx-1", &[Lie::TdxDebug], NONE, Stage::Policy, Finding::Bad),
    ("tdx-1", &[Lie::TdxSeptVe], NONE, Stage::Policy, Finding::Bad),
    ("genoa-1", &[Lie::Build], NONE, Stage::Measurement, Finding::Bad),
    ("tdx-1", &[Lie::Build], NONE, Stage::Measurement, Finding::Bad),
    ("genoa-1", &[Lie::ReportData], NONE, Stage::Binding, Finding::Bad),
    ("tdx-1", &[Lie::BootConfig], NONE, Stage::Binding, Finding::Bad),
    ("genoa-1", &[], demanding, Stage::Release, Finding::CannotTell),
    ("tdx-1", &[], |policy| policy.slots = List::default(), Stage::Cluster, Finding::Bad),
];

#[test]
fn every_stage_can_refuse_and_says_what_is_wrong_and_what_to_do() {
    for (chip, lies, change, stage, finding) in CASES {
        let (error, trace) = told(chip, lies, change);
        assert_eq!((error.stage(), error.finding()), (*stage, *finding), "{chip} {lies:?}: {error}");
        assert!(!trace.is_finished(Stage::Cluster), "{chip} {lies:?}: the last stage was reached");
        assert!(error.found() != error.expected() && !error.found().is_empty() && !error.expected().is_empty(), "{error}");
        assert!(error.advice().words().contains("do not use"), "{error}: {}", error.advice());
    }
    for stage in Stage::ALL {
        assert!(CASES.iter().any(|case| case.3 == stage), "no refusal at {stage}");
    }
}

#[test]
fn what_was_established_before_a_refusal_stays() {
    let finished = |trace: &Trace| Stage::ALL.into_iter().filter(|stage| trace.is_finished(*stage)).collect::<Vec<_>>();
    let verified = [Stage::Root, Stage::Chain, Stage::Revocation, Stage::Report];
    let (_, trace) = told("genoa-1", &[Lie::SnpDebug], NONE);
    assert_eq!(finished(&trace), verified);
    let (_, trace) = told("genoa-1", &[Lie::Build], NONE);
    assert_eq!(finished(&trace), [verified.as_slice(), &[Stage::Tcb, Stage::Policy]].concat());
    let (error, trace) = told("tdx-1", &[Lie::TdxNoLevel], NONE);
    assert!(matches!(error, S::Verify(V::TdxTcbBelowAll { .. })), "{error}");
    assert_eq!(finished(&trace), verified);
    let (error, trace) = told("genoa-1", &[Lie::ReportData], NONE);
    assert!(matches!(error, S::Rejected(R::ReportData { .. })), "{error}");
    assert!(trace.is_finished(Stage::Measurement) && !trace.is_finished(Stage::Binding));
}

/// The library behind us looks at signatures before levels; only because of that may a refusal of a level say that signatures are good.
#[test]
fn a_bad_signature_is_told_before_an_old_level() {
    for lie in [Lie::TdxNoLevel, Lie::TdxRevoked, Lie::TdxMigratable, Lie::TdxSeptVe, Lie::TdxAttributesUnknown] {
        let (error, trace) = told("tdx-1", &[lie, Lie::Signature], NONE);
        assert!(matches!(error, S::Verify(V::IntelSignature { .. })), "{lie:?}: {error}");
        assert!(!trace.is_finished(Stage::Report) && !trace.is_finished(Stage::Chain), "{lie:?}: an unverified signature was called good");
    }
}

#[test]
fn missing_and_untimely_statements_are_no_proof_that_a_node_is_bad() {
    let (honest, cluster_id) = answer("tdx-1", &[], NONE);
    for now_s in [NOW_S - 400 * DAY_S, NOW_S + 400 * DAY_S] {
        let (judged, _) = judge_at(&honest, cluster_id, now_s);
        assert_eq!(judged.map(|_| ()).unwrap_err().finding(), Finding::CannotTell);
    }
    let Endorsements::Tdx(collateral) = &honest.endorsements else { panic!("not Intel") };
    let mut without = [(); 9].map(|()| collateral.clone());
    let [a, b, c, d, e, f, g, h, i] = &mut without;
    (a.pck_crl_issuer_chain, b.root_ca_crl, c.pck_crl) = (Blob::default(), Blob::default(), Blob::default());
    (d.tcb_info_issuer_chain, e.tcb_info, f.tcb_info_signature) = (Blob::default(), Blob::default(), Blob::default());
    (g.qe_identity_issuer_chain, h.qe_identity, i.qe_identity_signature) = (Blob::default(), Blob::default(), Blob::default());
    for collateral in without {
        let (judged, trace) = judge_at(&AttestResp { endorsements: Endorsements::Tdx(collateral), ..honest.clone() }, cluster_id, NOW_S);
        let error = judged.map(|_| ()).unwrap_err();
        assert!(matches!(error, S::Verify(V::CollateralMissing { .. })), "{error}");
        assert_eq!(error.finding(), Finding::CannotTell, "{error}");
        assert!(!trace.is_finished(Stage::Report));
    }
    let (honest, cluster_id) = answer("genoa-1", &[], NONE);
    let Endorsements::Snp(endorsements) = &honest.endorsements else { panic!("not AMD") };
    let mut bare = endorsements.clone();
    bare.vek = Blob::default();
    let (judged, _) = judge_at(&AttestResp { endorsements: Endorsements::Snp(bare), ..honest.clone() }, cluster_id, NOW_S);
    let error = judged.map(|_| ()).unwrap_err();
    assert!(matches!(error, S::Verify(V::CertMissing { .. })) && error.finding() == Finding::CannotTell, "{error}");
}

/// A proof of release that this version cannot verify is neither accepted nor held against the node.
#[test]
fn a_proof_this_version_cannot_verify_cannot_be_told() {
    let (mut answer, cluster_id) = answer("genoa-1", &[], demanding);
    answer.release_proof = Blob::new(b"looks like a proof".to_vec()).unwrap();
    let (judged, trace) = judge_at(&answer, cluster_id, NOW_S);
    let error = judged.map(|_| ()).unwrap_err();
    assert!(matches!(error, S::Rejected(R::NotReleased(_))), "{error}");
    assert_eq!((error.stage(), error.finding()), (Stage::Release, Finding::CannotTell));
    assert!(trace.is_finished(Stage::Binding) && !trace.is_finished(Stage::Release));
}

/// Every lie of the simulated machines: refused with a whole account, and never with every stage finished.
#[test]
fn every_lie_has_an_account() {
    let mut told_of = 0;
    for (chip, lies) in [("turin-1", Lie::SNP), ("tdx-1", Lie::TDX), ("genoa-1", Lie::EITHER), ("tdx-1", Lie::EITHER)] {
        // a machine replays from the second time on, and an ID block is part of the policy: both are told in sim/tests/lies.rs
        for lie in lies.iter().filter(|lie| ![Lie::Replay, Lie::SnpGuestSvn].contains(lie)) {
            let (error, trace) = told(chip, &[*lie], NONE);
            let (stage, found, expected) = (error.stage(), error.found(), error.expected());
            assert!(!trace.is_finished(Stage::Cluster) && !trace.is_finished(Stage::Release), "{lie:?}");
            assert!(found.len() > 1 && expected.len() > 1 && found != expected, "{lie:?} at {stage}: {found:?}, {expected:?}");
            told_of += 1;
        }
    }
    assert!(told_of > 80, "{told_of} lies");
}
