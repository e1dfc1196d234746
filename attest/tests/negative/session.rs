//! A row for every way a whole answer fails to be the answer to this session. `attest/tests/session.rs` tells the stories behind them.
//!
//! Decides: which rule names each. Trusts: the node of `ringwall_sim::answering`, whose honest answers are accepted here first.
//! Out of scope: fields of evidence (the other files).

use crate::harness::{Table, no_peer};
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_attest::{CLOCK_TOLERANCE_S, Pinned, PolicyPin, appraise_session};
use ringwall_sim::answering::{Handshake, MEMBER, NOW_S, Node, SESSION, STANDING, judge, judge_with, node, node_of, standing};
use ringwall_sim::{Lie, anchors, foreign_anchors, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Endorsements, Role};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{
    ClusterId, Digest, Epoch, Incarnation, NoisePublic, Nonce, PolicyVersion, SigPublic, Signature, Slot, TrustDomain, Vendor,
};
use ringwall_wire::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::session::{AttestMode, AttestResp, SessionProof};

pub fn rows(table: &mut Table) {
    let amd = node("genoa-1");
    cluster(table, &amd);
    policy_changes(table);
    this_session(table, &amd);
    boot(table, &amd);
    proofs(table, &amd);
    standing_keys(table, &amd);
    evidence(table, &amd, &node("tdx-1"));
}

fn got(answer: &AttestResp, session: Handshake, node: &Node) -> String {
    judge(answer, session, node).map_or_else(|error| no_peer(&error), |_| "accepted".into())
}

/// The honest answer, changed.
fn changed(node: &Node, change: impl FnOnce(&mut AttestResp)) -> String {
    let mut answer = node.answers(SESSION);
    assert_eq!(got(&answer, SESSION, node), "accepted");
    change(&mut answer);
    got(&answer, SESSION, node)
}

fn cluster(table: &mut Table, node: &Node) {
    let other = node_of("genoa-1", "second", |_| ());
    table.row("session.cluster.other", "S::OtherCluster", got(&other.answers(SESSION), SESSION, node));
    table.row("session.cluster.renamed", "S::OtherCluster", changed(node, |answer| answer.cluster_id = ClusterId([4; 32])));
    table.row("session.genesis.nonce", "S::OtherCluster", changed(node, |answer| answer.genesis.nonce.0[0] ^= 1));
    table.row("session.policy.other", "S::OtherPolicy", changed(node, |answer| answer.policy.min_svn = 0));
    table.row("session.policy.version", "S::OtherPolicy", changed(node, |answer| answer.policy.version.0 += 1));
    let asked = |session: &Handshake, least: u64| {
        let answer = node.answers(SESSION);
        let asked = ringwall_attest::Asked {
            handshake: &session.hash,
            nonce: &session.nonce,
            role: session.role,
            noise: &session.noise,
            mode: session.mode,
        };
        let roots = anchors();
        let pinned = Pinned {
            cluster_id: node.genesis.cluster_id(),
            policy: PolicyPin::Founding { min_version: PolicyVersion(least) },
            anchors: &roots,
            now_s: NOW_S,
            last_head: None,
        };
        appraise_session(&answer, &asked, &pinned).map_or_else(|error| no_peer(&error), |_| "accepted".into())
    };
    table.row("session.policy.too_old", "S::PolicyTooOld", asked(&SESSION, 2));
    let contradicting = {
        let mut node = node.clone();
        node.genesis.template.slots = List::default();
        node.boot = world::joining_config(node.genesis.cluster_id(), Slot(1));
        node.tee = node.tee.booted(node.boot.clone());
        node
    };
    table.row("session.policy.contradicts", "S::PolicyContradicts", got(&contradicting.answers(SESSION), SESSION, &contradicting));
}

/// Answers under a policy that was changed since the founding, by one governor of one.
fn policy_changes(table: &mut Table) {
    let governor = SigningKey::from_bytes(&[5; 32]);
    let key = SigPublic(governor.verifying_key().to_bytes());
    let governance = Governance { keys: List::new(vec![key]).unwrap(), threshold: 1, timelock_s: 0, lease_s: 0 };
    let founded = node_of("genoa-1", "governed", |policy| policy.governance = governance.clone());
    let first = founded.policy.clone();
    let mut second = first.clone();
    (second.version.0, second.session.reattest_s) = (2, second.session.reattest_s / 2);
    let step = |replaces: &PolicyDoc, signed: bool| {
        let policy = Blob::new(second.encode()).unwrap();
        let mut change = SignedPolicy { replaces: Some(Digest(replaces.digest())), policy, signatures: List::default() };
        let signature = Signature(governor.sign(&change.signed_words()).to_bytes());
        change.signatures = List::new(if signed { vec![Approval { key, signature }] } else { vec![] }).unwrap();
        PolicyStep { signed: change, notice: None }
    };
    let changed = Node { policy: second.clone(), ..founded.clone() };
    let judged = |node: &Node, steps: Vec<PolicyStep>, policy: PolicyPin<'_>| {
        let answer = AttestResp { steps: List::new(steps).unwrap(), ..node.answers(SESSION) };
        let Handshake { hash, nonce, role, noise, mode } = SESSION;
        let asked = ringwall_attest::Asked { handshake: &hash, nonce: &nonce, role, noise: &noise, mode };
        let roots = anchors();
        let pinned = Pinned { cluster_id: node.genesis.cluster_id(), policy, anchors: &roots, now_s: NOW_S, last_head: None };
        appraise_session(&answer, &asked, &pinned).map_or_else(|error| no_peer(&error), |_| "accepted".into())
    };
    let founding = PolicyPin::Founding { min_version: PolicyVersion(1) };
    let (of_first, of_second) = (PolicyPin::From { policy: &first, earlier: &[] }, PolicyPin::From { policy: &second, earlier: &[] });
    let before = PolicyStep::founding(&first).unwrap();
    assert_eq!(judged(&changed, vec![step(&first, true)], of_first), "accepted");
    assert_eq!(judged(&changed, vec![before.clone(), step(&first, true)], founding), "accepted");
    table.row("session.steps.none", "S::PolicyUnrelated", judged(&changed, vec![], of_first));
    table.row("session.steps.unsigned", "S::Steps(Step { number: 1 … TooFew", judged(&changed, vec![step(&first, false)], of_first));
    table.row("session.steps.of_another_policy", "S::PolicyUnrelated", judged(&changed, vec![step(&second, true)], of_first));
    let elsewhere = judged(&founded_under(&founded, 3), vec![step(&first, true)], of_first);
    table.row("session.steps.lead_elsewhere", "S::StepsLeadElsewhere", elsewhere);
    table.row(
        "session.steps.founding_missing",
        "S::FoundingPolicyMissing { changes: 1 }",
        judged(&changed, vec![step(&first, true)], founding),
    );
    let other = PolicyStep::founding(&second).unwrap();
    table.row("session.steps.founding_other", "S::OtherPolicy", judged(&changed, vec![other, step(&first, true)], founding));
    table.row("session.steps.unsigned_from_founding", "S::Steps(Step", judged(&changed, vec![before, step(&first, false)], founding));
    table.row("session.policy.went_back", "S::PolicyTooOld", judged(&founded, vec![], of_second));
}

/// The node as it goes by a policy of this version.
fn founded_under(node: &Node, version: u64) -> Node {
    let mut node = node.clone();
    node.policy.version.0 = version;
    node
}

fn this_session(table: &mut Table, node: &Node) {
    for role in [Role::PeerInit, Role::PeerResp, Role::JoinInit, Role::JoinResp, Role::Recovery, Role::Genesis, Role::Dealing] {
        table.row(format!("session.role.{role:?}"), "S::OtherRole", changed(node, |answer| answer.role = role));
    }
    table.row("session.noise_key", "S::OtherNoiseKey", changed(node, |answer| answer.keys.noise = NoisePublic([0x66; 32])));
    table.row("session.incarnation.none", "S::IncarnationUnfit", changed(node, |answer| answer.incarnation = Incarnation(0)));
    table.row(
        "session.incarnation.epoch",
        "S::IncarnationUnfit",
        changed(node, |answer| answer.incarnation = Incarnation::new(Epoch(2), 7)),
    );
    table.row("session.incarnation.other", "S::Rejected R::ReportData", changed(node, |answer| answer.incarnation.0 += 1));
    let joining = Handshake { role: Role::JoinInit, ..SESSION };
    let member = node.answers_as(joining, Role::JoinInit, MEMBER);
    table.row("session.incarnation.stranger_with_one", "S::IncarnationUnfit", got(&member, joining, node));
    table.row("session.signature_key", "S::Rejected R::ReportData", changed(node, |answer| answer.keys.sig.0[0] ^= 1));
    table.row("session.encapsulation_key", "S::Rejected R::ReportData", changed(node, |answer| answer.keys.kem.0[9] ^= 1));
    let old = node.answers(SESSION);
    for (kind, session) in
        [("nonce", Handshake { nonce: Nonce([0x23; 32]), ..SESSION }), ("handshake", Handshake { hash: Digest([0x12; 32]), ..SESSION })]
    {
        table.row(format!("session.replayed.{kind}"), "S::Rejected R::ReportData", got(&old, session, node));
    }
}

fn boot(table: &mut Table, node: &Node) {
    let started = |boot: BootConfig| Node { tee: node.tee.clone().booted(boot.clone()), boot, ..node.clone() };
    let judged = |boot: BootConfig| got(&started(boot).answers(SESSION), SESSION, node);
    let honest = &node.boot;
    table.row("session.boot.elsewhere", "S::BootCluster", judged(world::joining_config(ClusterId([4; 32]), Slot(1))));
    table.row("session.boot.other_template", "S::BootCluster", {
        let mut template = node.genesis.template.clone();
        template.custody_threshold += 1;
        judged(world::founding_config(&template, Slot(1)))
    });
    for slot in [0, 3, 200] {
        let expected = format!("S::SlotUnknown {{ got: Slot({slot}) }}");
        table.row(format!("session.boot.slot_{slot}"), expected, judged(BootConfig { slot: Slot(slot), ..honest.clone() }));
    }
    table.row("session.boot.production", "S::OtherTrustDomain { got: Production, required: Simulated }", {
        judged(BootConfig { trust_domain: TrustDomain::Production, ..honest.clone() })
    });
    for (kind, bytes) in [("empty", Vec::new()), ("zeros", vec![0; 9]), ("trailing", [honest.encode(), vec![0]].concat())] {
        let got = changed(node, |answer| answer.boot_config = Blob::new(bytes.clone()).unwrap());
        table.row(format!("session.boot.{kind}"), "S::BootConfig(", got);
    }
    table.row(
        "session.boot.told_another_slot",
        "S::Rejected R::ReportData",
        changed(node, |answer| {
            answer.boot_config = Blob::new(BootConfig { slot: Slot(2), ..honest.clone() }.encode()).unwrap();
        }),
    );
    let intel_only = node_of("genoa-1", "first", |policy| {
        let mut slots = policy.slots.to_vec();
        slots[0].vendors = List::new(vec![Vendor::Intel]).unwrap();
        policy.slots = List::new(slots).unwrap();
    });
    let judged = got(&intel_only.answers(SESSION), SESSION, &intel_only);
    table.row("session.slot.vendor", "S::SlotVendor { slot: Slot(1), got: Amd }", judged);
}

fn proofs(table: &mut Table, node: &Node) {
    let path = |edit: &dyn Fn(&mut ringwall_wire::evidence::BatchPath)| {
        changed(node, |answer| {
            if let SessionProof::Batched(path) = &mut answer.proof {
                edit(path);
            }
        })
    };
    let mut row = |kind: &str, expected: &str, got: String| table.row(format!("session.path.{kind}"), expected, got);
    row("index_high", "S::BatchPath { index: 5, leaves: 5", path(&|path| path.index = path.leaves));
    row("index_max", "S::BatchPath", path(&|path| path.index = u32::MAX));
    row("no_leaves", "S::BatchPath { index: 2, leaves: 0", path(&|path| path.leaves = 0));
    row("leaves_max", "S::BatchPath", path(&|path| path.leaves = u32::MAX));
    row("fewer_hashes", "S::BatchPath", path(&|path| path.siblings = List::new(path.siblings[1..].to_vec()).unwrap()));
    row("more_hashes", "S::BatchPath", path(&|path| path.siblings.push(Digest([0; 32])).unwrap()));
    row("index_other", "S::Rejected R::ReportData", path(&|path| path.index ^= 1));
    // a leaf count of the same shape gives the same root: the count is worth what the shape is, and one leaf has no siblings
    row("leaves_fewer", "S::BatchPath { index: 2, leaves: 3", path(&|path| path.leaves = 3));
    row("leaves_more", "S::BatchPath { index: 2, leaves: 9", path(&|path| path.leaves = 9));
    row("one_leaf", "S::BatchPath { index: 0, leaves: 1", path(&|path| (path.index, path.leaves) = (0, 1)));
    row(
        "hash",
        "S::Rejected R::ReportData",
        path(&|path| {
            let mut siblings = path.siblings.to_vec();
            siblings[0].0[0] ^= 1;
            path.siblings = List::new(siblings).unwrap();
        }),
    );
    let batched = node.answers(SESSION);
    let single = Handshake { mode: AttestMode::Single, ..SESSION };
    row("weaker_than_single", "S::WeakerMode { asked: Single, got: Batched }", got(&batched, single, node));
    let stood = standing(node, SESSION, NOW_S);
    row("weaker_than_batched", "S::WeakerMode { asked: Batched, got: Standing }", got(&stood, SESSION, node));
}

fn standing_keys(table: &mut Table, node: &Node) {
    for start_s in [NOW_S - 601, NOW_S + CLOCK_TOLERANCE_S + 1, 0, u64::MAX] {
        let expected = format!("S::StandingPeriod {{ start_s: {start_s},");
        table.row(format!("session.standing.period_{start_s}"), expected, got(&standing(node, STANDING, start_s), STANDING, node));
    }
    let none = node_of("genoa-1", "first", |policy| policy.session.standing_period_s = 0);
    table.row("session.standing.not_offered", "S::StandingNotOffered", got(&standing(&none, STANDING, NOW_S), STANDING, &none));
    for role in [Role::PeerInit, Role::PeerResp, Role::JoinResp] {
        let session = Handshake { role, ..STANDING };
        let expected = format!("S::StandingForRole {{ role: {role:?} }}");
        table.row(format!("session.standing.role_{role:?}"), expected, got(&standing(node, session, NOW_S), session, node));
    }
    let edited = |edit: &dyn Fn(&mut ringwall_wire::session::StandingProof)| {
        let mut answer = standing(node, STANDING, NOW_S);
        if let SessionProof::Standing(proof) = &mut answer.proof {
            edit(proof);
        }
        got(&answer, STANDING, node)
    };
    table.row("session.standing.signature", "S::StandingSignature", edited(&|proof| proof.signature.0[0] ^= 1));
    table.row("session.standing.signature_zero", "S::StandingSignature", edited(&|proof| proof.signature.0 = [0; 64]));
    table.row("session.standing.key", "S::StandingSignature", edited(&|proof| proof.key.0 = [0xff; 32]));
    table.row("session.standing.start_moved", "S::Rejected R::ReportData", edited(&|proof| proof.period_start_s -= 1));
}

fn evidence(table: &mut Table, amd: &Node, intel: &Node) {
    let telling = |node: &Node, lie| {
        let liar = Node { tee: node.tee.clone().telling(&[lie]), ..node.clone() };
        got(&liar.answers(SESSION), SESSION, node)
    };
    table.row("session.lie.debug", "S::Rejected R::DebugGuest", telling(amd, Lie::SnpDebug));
    table.row("session.lie.host_data", "S::Rejected R::HostData", telling(amd, Lie::BootConfig));
    table.row("session.lie.mr_config_id", "S::Rejected R::MrConfigId", telling(intel, Lie::BootConfig));
    table.row("session.lie.signature", "S::Verify V::ReportSignature", telling(amd, Lie::Signature));
    table.row("session.lie.quote_signature", "S::Verify V::IntelSignature", telling(intel, Lie::Signature));
    let mut crossed = amd.answers(SESSION);
    crossed.endorsements = intel.tee.endorse();
    table.row(
        "session.vendor.amd_under_intel",
        "S::Verify V::OtherVendor { evidence: Amd, endorsements: Intel }",
        got(&crossed, SESSION, amd),
    );
    let mut crossed = intel.answers(SESSION);
    crossed.endorsements = amd.tee.endorse();
    assert!(matches!(crossed.endorsements, Endorsements::Snp(_)));
    table.row(
        "session.vendor.intel_under_amd",
        "S::Verify V::OtherVendor { evidence: Intel, endorsements: Amd }",
        got(&crossed, SESSION, intel),
    );
    for (name, node, expected) in [("amd", amd, "S::Verify V::CertSignature { which: Ask }"), ("intel", intel, "S::Verify V::IntelRoot")] {
        let outcome = judge_with(&node.answers(SESSION), SESSION, node.genesis.cluster_id(), &foreign_anchors(), NOW_S);
        let got = outcome.map_or_else(|error| no_peer(&error), |_| "accepted".into());
        table.row(format!("session.roots.{name}"), expected, got);
    }
}
