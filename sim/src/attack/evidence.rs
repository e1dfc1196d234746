//! Attacks with evidence: old, reflected, edited, of another machine, build, configuration or root. The real verifier judges, as a client does.
//!
//! Decides: rows R6, A1, A3 to A6, A8 to A13 and G2 on minted evidence. Every machine is honest first and must be believed, so that a refusal means the
//! thing that was changed and nothing else. Trusts: `answering` to answer as a node does. Out of scope: sessions (`network.rs`), members who judge a
//! joiner (`joiners.rs`). Protocol section 2.2.

use super::report::Report;
use super::stage::Stage;
use crate::answering::{self, Handshake, MEMBER, NOW_S, Node, SESSION};
use crate::demo::DemoError;
use crate::profile::BuildImage;
use crate::{Lie, anchors};
use ringwall_attest::{Anchors, AppraisedPeer, SessionError};
use ringwall_wire::bounded::List;
use ringwall_wire::evidence::{Endorsements, Role};
use ringwall_wire::ids::{Digest, Nonce, PolicyVersion};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::AttestResp;

/// A machine, what it lies about, and what that is called.
type Told = (&'static str, Lie, &'static str);

fn believed(node: &Node) -> Result<AttestResp, DemoError> {
    let answer = node.answers(SESSION);
    match answering::judge(&answer, SESSION, node) {
        Ok(_) => Ok(answer),
        Err(fault) => Err(DemoError::Broken(format!("an honest {:?} is not believed: {fault}", node.tee))),
    }
}

fn judged(node: &Node, answer: &AttestResp) -> Result<AppraisedPeer, SessionError> {
    answering::judge(answer, SESSION, node)
}

/// Tells each lie on an otherwise honest machine.
fn told(report: &mut Report, lies: &[Told]) -> Result<(), DemoError> {
    for (chip, lie, name) in lies {
        let node = answering::node(chip);
        believed(&node)?;
        let liar = Node { tee: node.tee.clone().telling(&[*lie]), ..node.clone() };
        report.tried(&format!("{name} ({chip})"), judged(&node, &liar.answers(SESSION)));
    }
    Ok(())
}

const REMAINS: &str = "the refusal names the field, what it says and what the policy wants; `ringwall verify --explain` shows it in the chain of \
                       reasons, `--save` keeps the answer so that anybody can judge it again";

fn lies(did: &str, lies: &[Told]) -> Result<Report, DemoError> {
    let mut report = Report::new();
    report.did(format!("{did}: {} machines, each honest in everything else", lies.len()));
    told(&mut report, lies)?;
    report.remains(REMAINS);
    report.finished()
}

/// R6. A guest whose memory may be taken along, or restored.
pub(super) async fn migratable(_: &mut Stage) -> Result<Report, DemoError> {
    lies(
        "started guests whose memory a migration agent or the host may move, restore or read",
        &[
            ("genoa-1", Lie::SnpMigrateMa, "a guest that may migrate"),
            ("genoa-1", Lie::SnpReportIdMa, "a guest with a migration agent"),
            ("tdx-1", Lie::TdxMigratable, "a TD that may migrate"),
            ("tdx-1", Lie::TdxServiceTd, "a TD with a service TD bound to it"),
        ],
    )
}

/// A1. An answer of an earlier session, shown again.
pub(super) async fn replayed(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    for chip in ["genoa-1", "tdx-1"] {
        let node = answering::node(chip);
        let recorded = believed(&node)?;
        report.did(format!("recorded a whole answer of {chip}, every byte of it genuine, and gave it to another session"));
        let later = Handshake { hash: Digest([0x44; 32]), nonce: Nonce([0x55; 32]), ..SESSION };
        report.tried(&format!("the answer of an earlier session ({chip})"), answering::judge(&recorded, later, &node));
    }
    report.remains(REMAINS);
    report.finished()
}

/// A3. A member is shown its own evidence.
pub(super) async fn reflected(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let node = answering::node("genoa-1");
    believed(&node)?;
    let dialled = Handshake { role: Role::PeerInit, ..SESSION };
    let mut own = node.answers_as(dialled, Role::PeerInit, MEMBER);
    let wanted = Handshake { role: Role::PeerResp, ..SESSION };
    report.did("sent a member the evidence it had made itself, in the same session");
    report.tried("evidence made for the dialling side", answering::judge(&own, wanted, &node));
    own.role = Role::PeerResp;
    report.did("then with the role in the answer changed to the other side's");
    report.tried("the same with another role written over it", answering::judge(&own, wanted, &node));
    report.remains(REMAINS);
    report.finished()
}

/// A4. A policy in which an expectation is missing.
pub(super) async fn nothing_expected(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    type Emptied = (&'static str, &'static str, fn(&mut PolicyDoc));
    let emptied: [Emptied; 9] = [
        ("genoa-1", "no builds", |policy| policy.measurements = List::default()),
        ("genoa-1", "no chips", |policy| policy.snp.chips = List::default()),
        ("genoa-1", "no families", |policy| policy.snp.products = List::default()),
        ("genoa-1", "no report versions", |policy| policy.snp.report_versions = List::default()),
        ("genoa-1", "no allowed guest settings", |policy| policy.snp.policy_allowed = 0),
        ("tdx-1", "no platforms", |policy| policy.tdx.platforms = List::default()),
        ("tdx-1", "no platform families", |policy| policy.tdx.fmspcs = List::default()),
        ("tdx-1", "no firmware status", |policy| policy.tdx.statuses = List::default()),
        ("tdx-1", "no slots", |policy| policy.slots = List::default()),
    ];
    report.did(format!(
        "left {} expectations empty, one at a time, in policies otherwise in order, and showed honest evidence",
        emptied.len()
    ));
    for (chip, what, empty) in emptied {
        let node = answering::node_of(chip, "emptied", empty);
        report.tried(&format!("a policy with {what}"), judged(&node, &node.answers(SESSION)));
    }
    report.remains("`ringwall policy explain` says of such a policy that it lets nothing in");
    report.finished()
}

/// A5. Fresh words around stale evidence.
pub(super) async fn stale_beside_fresh(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    for chip in ["genoa-1", "tdx-1"] {
        let node = answering::node(chip);
        let fresh = believed(&node)?;
        let earlier = Handshake { hash: Digest([0x66; 32]), nonce: Nonce([0x77; 32]), ..SESSION };
        let stale = node.answers(earlier).evidence;
        report.did(format!(
            "answered with a fresh session leaf, path, keys and nonce, and put evidence of an earlier session beside them ({chip})"
        ));
        report.tried("fresh words beside stale evidence", judged(&node, &AttestResp { evidence: stale, ..fresh }));
    }
    report.remains(REMAINS);
    report.finished()
}

/// A6. A chain nobody vouches for; a build that says it is another one.
pub(super) async fn made_up(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let all: [Told; 5] = [
        ("genoa-1", Lie::SnpVekSelfSigned, "a chip certificate that signed itself"),
        ("genoa-1", Lie::Signature, "a report with another signature"),
        ("tdx-1", Lie::TdxAttestationKey, "a quote under a key nobody vouches for"),
        ("genoa-1", Lie::Build, "another build"),
        ("tdx-1", Lie::Build, "another build"),
    ];
    report.did("made up chains and signatures, and ran other builds");
    told(&mut report, &all)?;
    foreign(&mut report)?;
    report.remains(REMAINS);
    report.finished()
}

/// Evidence under a stranger's root with the vendor's names; the vendor's own revocation list, which is public, beside it.
fn foreign(report: &mut Report) -> Result<(), DemoError> {
    let node = answering::node("genoa-1");
    let genuine = believed(&node)?;
    let liar = Node { tee: node.tee.clone().telling(&[Lie::ForeignRoot]), ..node.clone() };
    let mut answer = liar.answers(SESSION);
    if let (Endorsements::Snp(theirs), Endorsements::Snp(known)) = (&mut answer.endorsements, &genuine.endorsements) {
        theirs.crl = known.crl.clone();
    }
    report.did("signed a whole chain under a root of the attacker's own that has the vendor's names");
    report.tried("a chain that ends in a stranger's root", judged(&node, &answer));
    Ok(())
}

/// A8. Old firmware.
pub(super) async fn downgraded(_: &mut Stage) -> Result<Report, DemoError> {
    lies(
        "put firmware with published faults back, in each of the places where a version stands",
        &[
            ("genoa-1", Lie::SnpOldReported, "an old reported version"),
            ("genoa-1", Lie::SnpOldCommitted, "an old committed version"),
            ("genoa-1", Lie::SnpOldCurrent, "an old running version"),
            ("genoa-1", Lie::SnpOldLaunch, "an old version at launch"),
            ("genoa-1", Lie::SnpProvisional, "firmware that is not committed"),
            ("tdx-1", Lie::TdxOutOfDate, "a platform Intel calls out of date"),
            ("tdx-1", Lie::TdxRevoked, "a platform whose firmware Intel revoked"),
        ],
    )
}

/// A9. A key that is not the chip's.
pub(super) async fn masked(_: &mut Stage) -> Result<Report, DemoError> {
    lies(
        "hid which chip it is",
        &[
            ("genoa-1", Lie::SnpVlek, "signed by the provider's key"),
            ("genoa-1", Lie::SnpMaskedKey, "a masked chip key"),
            ("genoa-1", Lie::SnpZeroChip, "a chip id of zeroes"),
            ("genoa-1", Lie::SnpClonedChip, "the id of a listed chip, on another"),
        ],
    )
}

/// A10. Layouts nobody agreed on.
pub(super) async fn confused(_: &mut Stage) -> Result<Report, DemoError> {
    lies(
        "sent evidence whose layout is not what its version says",
        &[
            ("genoa-1", Lie::Version, "a report of an unknown version"),
            ("genoa-1", Lie::Truncated, "a report that lacks its last byte"),
            ("genoa-1", Lie::SnpReserved, "a report with a reserved byte set"),
            ("genoa-1", Lie::SnpSignatureTail, "a report with bytes nobody signed"),
            ("tdx-1", Lie::Version, "a quote of an unknown version"),
            ("tdx-1", Lie::TdxTrailing, "a quote with a byte behind its end"),
        ],
    )
}

/// A11. What the vendor says, withheld or old.
pub(super) async fn withheld(_: &mut Stage) -> Result<Report, DemoError> {
    lies(
        "withheld revocation lists and statements, or handed out old and forged ones",
        &[
            ("genoa-1", Lie::SnpCrlExpired, "a revocation list that ran out"),
            ("genoa-1", Lie::SnpCrlAbsent, "no revocation list"),
            ("genoa-1", Lie::SnpCrlForged, "a revocation list of a stranger"),
            ("genoa-1", Lie::SnpAskRevoked, "a chain the list names"),
            ("tdx-1", Lie::TdxStale, "statements that ran out"),
            ("tdx-1", Lie::TdxOldEvaluation, "statements older than the policy wants"),
            ("tdx-1", Lie::TdxPckRevoked, "a platform key the list names"),
        ],
    )
}

/// A12. The right image with another configuration.
pub(super) async fn configured(_: &mut Stage) -> Result<Report, DemoError> {
    lies(
        "started the right image with another boot configuration (cluster, slot, trust domain) than the answer shows",
        &[
            ("genoa-1", Lie::BootConfig, "HOST_DATA of another configuration"),
            ("tdx-1", Lie::BootConfig, "MRCONFIGID of another configuration"),
        ],
    )
}

/// A13. Simulated evidence where vendors' roots are pinned, and a stranger's where simulated ones are.
pub(super) async fn simulated(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    report.did("showed flawless simulated evidence, whose keys are public, to a program with the vendors' roots compiled in");
    for chip in ["genoa-1", "tdx-1"] {
        let node = answering::node(chip);
        let answer = believed(&node)?;
        let outcome = answering::judge_with(&answer, SESSION, node.genesis.cluster_id(), &Anchors::production(), NOW_S);
        report.tried(&format!("simulated evidence under production roots ({chip})"), outcome);
    }
    foreign(&mut report)?;
    report.remains("the trust domain in the cluster id; no simulated key is inside a shipped program (tests/tests/tidy.rs searches them)");
    report.finished()
}

/// G2. An old build with known faults; an old policy that still liked it.
pub(super) async fn old_build(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let old = BuildImage::new(crate::world::BUILD, 1).measurement();
    let raised = answering::node_of("genoa-1", "raised", |policy| {
        policy.measurements = List::new(vec![old]).expect("one fits");
        policy.min_svn = 2;
    });
    report.did("ran a genuine build that is older than the least security version, though its measurement is still on the policy's list");
    report.tried("a build of security version 1 where 2 is the least", judged(&raised, &raised.answers(SESSION)));
    let node = answering::node("genoa-1");
    let answer = believed(&node)?;
    report.did("showed an older policy, under which the old build was accepted, to a client that has seen a newer one");
    let (asked, pinned_anchors) = (SESSION, anchors());
    let outcome = ringwall_attest::appraise_session(
        &answer,
        &ringwall_attest::Asked { handshake: &asked.hash, nonce: &asked.nonce, role: asked.role, noise: &asked.noise, mode: asked.mode },
        &ringwall_attest::Pinned {
            cluster_id: node.genesis.cluster_id(),
            policy: ringwall_attest::PolicyPin::Founding { min_version: PolicyVersion(node.policy.version.0 + 1) },
            anchors: &pinned_anchors,
            now_s: NOW_S,
            last_head: None,
        },
    );
    report.tried("a policy older than one already seen", outcome);
    report.remains(REMAINS);
    report.finished()
}
