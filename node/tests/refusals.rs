//! Two nodes in one process with software TEEs: who is let in, and for which exact reason everybody else is not.
//! Decides: one refusal for each way to be wrong, by its exact variant.
//! Trusts: the simulated roots. Out of scope: field-level lies (`attest`). Protocol sections 1.2 and 3.
#![allow(clippy::unwrap_used, clippy::panic)]

mod place;

use ed25519_dalek::{Signer as _, SigningKey};
use place::{Answered, Dialled, between, crowded, dial_hostile, hostile_session, site_of};
use ringwall_attest::governance::StepError;
use ringwall_attest::{Attester, CollectError, Rejection, SessionError, VerifyError};
use ringwall_node::attesting::{self, Claim};
use ringwall_node::governance::InForce;
use ringwall_node::peers::handshake::{Expected, PeerError};
use ringwall_node::platform::Anchors;
use ringwall_sim::Lie;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Endorsements, Evidence, Role};
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{Digest, Epoch, Incarnation, Nonce, SigPublic, Signature, Slot, Vendor};
use ringwall_wire::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::session::{PeerPurpose, RefusalCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const FIRST: Incarnation = Incarnation((1 << 40) | 1);
const SECOND: Incarnation = Incarnation((1 << 40) | 7);

fn evidence_error(answered: Answered) -> SessionError {
    match answered {
        Err(PeerError::Evidence(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

fn refused_code(dialled: Dialled) -> RefusalCode {
    match dialled {
        Err(PeerError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_nodes_of_both_vendors_open_sessions() {
    let (amd, intel) = (site_of("genoa-1", 1, &[]), site_of("tdx-1", 3, &[]));
    let (dialled, answered) = between((&amd, Incarnation(0)), (&intel, FIRST), PeerPurpose::Join, None).await;
    let (dialled, answered) = (dialled.unwrap(), answered.unwrap());
    assert_eq!(dialled.session.handshake(), answered.session.handshake());
    assert_eq!(dialled.session.peer().unwrap().incarnation(), FIRST);
    assert_eq!(dialled.session.peer().unwrap().boot_config().slot, Slot(3));
    assert_eq!(answered.session.peer().unwrap().incarnation(), Incarnation(0));
    assert_eq!(answered.session.peer().unwrap().boot_config().slot, Slot(1));

    let (dialled, answered) = between((&amd, SECOND), (&intel, FIRST), PeerPurpose::Member, None).await;
    assert_eq!(dialled.unwrap().session.peer().unwrap().incarnation(), FIRST);
    assert_eq!(answered.unwrap().session.peer().unwrap().incarnation(), SECOND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_turn_gets_no_quote_and_is_told_busy() {
    let dialler = site_of("genoa-1", 1, &[]);
    let mut answerer = site_of("tdx-1", 3, &[]);
    let quotes = Arc::new(Counting { inner: answerer.attester.clone(), made: AtomicUsize::new(0) });
    place::change(&mut answerer, |site| site.attester = quotes.clone());
    let (dialled, answered) = crowded((&dialler, SECOND), (&answerer, FIRST)).await;
    assert_eq!(refused_code(dialled), RefusalCode::Busy);
    assert!(matches!(answered, Err(PeerError::Crowded)), "{answered:?}");
    assert_eq!(quotes.made.load(Ordering::Relaxed), 0, "a quote was made for a stranger out of turn");
}

/// Counts the quotes of an attester.
struct Counting {
    inner: Arc<dyn Attester>,
    made: AtomicUsize,
}

impl Attester for Counting {
    fn vendor(&self) -> Vendor {
        self.inner.vendor()
    }
    fn evidence(&self, report_data: &[u8; 64]) -> Result<Evidence, CollectError> {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.inner.evidence(report_data)
    }
    fn endorsements(&self) -> Result<Endorsements, CollectError> {
        self.inner.endorsements()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_is_refused_by_name_and_by_evidence() {
    let ours = site_of("genoa-1", 1, &[]);
    let mut theirs = site_of("tdx-1", 3, &[]);
    let other = place::world(Nonce([9; 32]));
    place::change(&mut theirs, |site| {
        site.genesis = other.clone();
        site.cluster_id = other.cluster_id();
    });
    let (dialled, answered) = between((&theirs, Incarnation(0)), (&ours, FIRST), PeerPurpose::Join, None).await;
    assert!(matches!(&answered, Err(PeerError::OtherCluster { got, ours }) if *got == other.cluster_id() && got != ours), "{answered:?}");
    assert_eq!(refused_code(dialled), RefusalCode::OtherCluster);

    // The same node lying about the name in its hello and prologue: its evidence still names its own founding record.
    let our_id = ours.cluster_id;
    place::change(&mut theirs, |site| site.cluster_id = our_id);
    let (dialled, answered) = between((&theirs, Incarnation(0)), (&ours, FIRST), PeerPurpose::Join, None).await;
    // The dialler judges first, and finds that we are not of the cluster it means.
    drop(dialled);
    assert!(matches!(answered, Err(PeerError::Evidence(SessionError::OtherCluster { .. }) | PeerError::Refused(_))), "{answered:?}");

    let mut late = site_of("tdx-1", 3, &[]);
    place::change(&mut late, |site| site.epochs = ringwall_node::context::EpochCell::new(Epoch(2)));
    let (dialled, answered) = between((&late, Incarnation::new(Epoch(2), 3)), (&ours, FIRST), PeerPurpose::Member, None).await;
    assert!(matches!(answered, Err(PeerError::OtherCluster { .. })), "{answered:?}");
    assert_eq!(refused_code(dialled), RefusalCode::OtherCluster);
    // A joiner cannot know the epoch: it is told, and both sides are bound to it.
    let (dialled, answered) = between((&late, Incarnation(0)), (&ours, FIRST), PeerPurpose::Join, None).await;
    assert!(dialled.is_ok() && answered.is_ok(), "{dialled:?} {answered:?}");
    assert_eq!(late.epoch(), ours.epoch());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_that_lies_is_refused_for_that_lie() {
    let ours = site_of("genoa-1", 1, &[]);
    type Right = fn(&SessionError) -> bool;
    let cases: [(&str, Lie, Right); 9] = [
        ("turin-1", Lie::Build, |e| matches!(e, SessionError::Rejected(Rejection::MeasurementUnknown { .. }))),
        ("tdx-1", Lie::Build, |e| matches!(e, SessionError::Rejected(Rejection::TupleUnknown { .. }))),
        ("turin-1", Lie::SnpDebug, |e| matches!(e, SessionError::Rejected(Rejection::DebugGuest { .. }))),
        ("tdx-1", Lie::TdxDebug, |e| matches!(e, SessionError::Rejected(_) | SessionError::Verify(VerifyError::TdAttributes { .. }))),
        ("turin-1", Lie::BootConfig, |e| matches!(e, SessionError::Rejected(Rejection::HostData { .. }))),
        ("tdx-1", Lie::BootConfig, |e| matches!(e, SessionError::Rejected(Rejection::MrConfigId { .. }))),
        ("turin-1", Lie::ReportData, |e| matches!(e, SessionError::Rejected(Rejection::ReportData { .. }))),
        ("turin-1", Lie::ForeignRoot, |e| matches!(e, SessionError::Verify(_))),
        ("tdx-1", Lie::ForeignRoot, |e| matches!(e, SessionError::Verify(_))),
    ];
    for (chip, lie, right) in cases {
        let liar = site_of(chip, 2, &[lie]);
        let (dialled, answered) = between((&liar, Incarnation(0)), (&ours, FIRST), PeerPurpose::Join, None).await;
        let fault = evidence_error(answered);
        assert!(right(&fault), "{chip} {lie:?}: {fault:?}");
        // The liar is told a code and nothing else.
        match dialled {
            // A joiner is open once it has attested: it finds the refusal where its answer would be.
            Ok(mut opened) => {
                let answer = opened.records.receive::<ringwall_wire::admission::JoinReply>(std::time::Duration::from_secs(5)).await;
                assert!(matches!(&answer, Err(PeerError::Refused(refusal)) if refusal.code == RefusalCode::EvidenceRefused), "{answer:?}");
            }
            Err(PeerError::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::EvidenceRefused),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lies_is_refused_by_the_dialler() {
    let ours = site_of("genoa-1", 1, &[]);
    for (chip, lie) in [("turin-1", Lie::SnpDebug), ("tdx-1", Lie::Build)] {
        let liar = site_of(chip, 2, &[lie]);
        let (dialled, answered) = between((&ours, FIRST), (&liar, SECOND), PeerPurpose::Member, None).await;
        assert!(matches!(dialled, Err(PeerError::Evidence(SessionError::Rejected(_) | SessionError::Verify(_)))), "{dialled:?}");
        match answered {
            Err(PeerError::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::EvidenceRefused),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_evidence_is_nothing_under_the_vendors_roots() {
    let mut ours = site_of("genoa-1", 1, &[]);
    place::change(&mut ours, |site| site.anchors = Anchors::production());
    for chip in ["turin-1", "tdx-1"] {
        let simulated = site_of(chip, 2, &[]);
        let (_dialled, answered) = between((&simulated, Incarnation(0)), (&ours, FIRST), PeerPurpose::Join, None).await;
        let fault = evidence_error(answered);
        assert!(matches!(&fault, SessionError::Verify(_)), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_evidence_shown_back_is_refused() {
    let ours = site_of("genoa-1", 1, &[]);
    let hostile = site_of("turin-1", 2, &[]);
    // What the hostile side shows is the dialler's own evidence, freshly made for this very handshake and nonce: the most it can get.
    for (role, right) in [(Role::PeerResp, "OtherNoiseKey"), (Role::PeerInit, "OtherRole")] {
        let victim = Arc::clone(&ours);
        let dialled = dial_hostile((&ours, FIRST), &hostile, move |handshake, nonce, own_keys| {
            let victim = Arc::clone(&victim);
            async move {
                attesting::answer(&victim, Claim { role, incarnation: FIRST, keys: own_keys.dialler, handshake, nonce }).await.unwrap()
            }
        })
        .await;
        match dialled {
            Err(PeerError::Evidence(fault)) => assert!(format!("{fault:?}").starts_with(right), "{role:?}: {fault:?}"),
            other => panic!("{other:?}"),
        }
    }
    // The keys swapped for the hostile side's: now the hardware's signature covers other keys.
    let victim = Arc::clone(&ours);
    let dialled = dial_hostile((&ours, FIRST), &hostile, move |handshake, nonce, own_keys| {
        let victim = Arc::clone(&victim);
        async move {
            let claim = Claim { role: Role::PeerResp, incarnation: FIRST, keys: own_keys.dialler, handshake, nonce };
            let mut answer = attesting::answer(&victim, claim).await.unwrap();
            answer.keys = own_keys.answerer;
            answer
        }
    })
    .await;
    let fault = match dialled {
        Err(PeerError::Evidence(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert!(matches!(fault, SessionError::Rejected(Rejection::ReportData { .. })), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_an_earlier_session_is_refused() {
    let ours = site_of("genoa-1", 1, &[]);
    let hostile = site_of("turin-1", 2, &[]);
    let captured = Arc::new(Mutex::new(None));
    for round in 0..2 {
        let (site, kept) = (Arc::clone(&hostile), Arc::clone(&captured));
        // The same keys in both sessions, so that only the handshake and the nonce differ.
        let dialled = hostile_session((&ours, FIRST), &hostile, (77, Slot(2)), move |handshake, nonce, own_keys| {
            let (site, kept) = (Arc::clone(&site), Arc::clone(&kept));
            async move {
                let earlier = kept.lock().unwrap().clone();
                if let Some(earlier) = earlier {
                    return earlier;
                }
                let claim = Claim { role: Role::PeerResp, incarnation: SECOND, keys: own_keys.answerer, handshake, nonce };
                let fresh = attesting::answer(&site, claim).await.unwrap();
                *kept.lock().unwrap() = Some(fresh.clone());
                fresh
            }
        })
        .await;
        match (round, dialled) {
            (0, Ok(_)) => {}
            (1, Err(PeerError::Evidence(SessionError::Rejected(Rejection::ReportData { .. })))) => {}
            (_, other) => panic!("round {round}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_node_that_is_not_the_one_meant_is_refused() {
    let (ours, theirs) = (site_of("genoa-1", 1, &[]), site_of("turin-1", 2, &[]));
    let expected = |incarnation, slot| move |noise| Expected { incarnation, slot: Slot(slot), noise };
    let (dialled, _) =
        between((&ours, FIRST), (&theirs, SECOND), PeerPurpose::Member, Some(Box::new(expected(Incarnation((1 << 40) | 5), 2)))).await;
    assert!(matches!(dialled, Err(PeerError::OtherIncarnation { got: SECOND, .. })), "{dialled:?}");
    let (dialled, _) = between((&ours, FIRST), (&theirs, SECOND), PeerPurpose::Member, Some(Box::new(expected(SECOND, 3)))).await;
    assert!(matches!(dialled, Err(PeerError::OtherSlot { got: Slot(2), expected: Slot(3) })), "{dialled:?}");
    let other_key = move |_| Expected { incarnation: SECOND, slot: Slot(2), noise: ringwall_wire::ids::NoisePublic([7; 32]) };
    let (dialled, _) = between((&ours, FIRST), (&theirs, SECOND), PeerPurpose::Member, Some(Box::new(other_key))).await;
    assert!(matches!(dialled, Err(PeerError::NotMember { incarnation: SECOND, .. })), "{dialled:?}");
    let (dialled, answered) = between((&ours, FIRST), (&theirs, SECOND), PeerPurpose::Member, Some(Box::new(expected(SECOND, 2)))).await;
    assert!(dialled.is_ok() && answered.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_the_slot_its_evidence_shows() {
    let (ours, theirs) = (site_of("genoa-1", 1, &[]), site_of("turin-1", 2, &[]));
    let answered = place::misplaced(&theirs, Slot(5), (&ours, FIRST)).await;
    assert!(matches!(answered, Err(PeerError::OtherSlot { got: Slot(2), expected: Slot(5) })), "{answered:?}");
    assert!(place::misplaced(&theirs, Slot(2), (&ours, FIRST)).await.is_ok());

    for said in [5, 2] {
        let site = Arc::clone(&theirs);
        let dialled = hostile_session((&ours, FIRST), &theirs, (0, Slot(said)), move |handshake, nonce, keys| {
            let site = Arc::clone(&site);
            async move {
                let claim = Claim { role: Role::PeerResp, incarnation: SECOND, keys: keys.answerer, handshake, nonce };
                attesting::answer(&site, claim).await.unwrap()
            }
        })
        .await;
        match said {
            2 => assert!(dialled.is_ok(), "{dialled:?}"),
            _ => assert!(matches!(dialled, Err(PeerError::OtherSlot { got: Slot(2), expected: Slot(5) })), "{dialled:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_node_the_membership_does_not_know_is_refused_and_told() {
    let (ours, theirs) = (site_of("genoa-1", 1, &[]), site_of("turin-1", 2, &[]));
    let (dialled, answered) = place::unknown((&theirs, SECOND), (&ours, FIRST)).await;
    assert!(matches!(answered, Err(PeerError::NotMember { incarnation: SECOND, .. })), "{answered:?}");
    assert_eq!(refused_code(dialled), RefusalCode::NotMember);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_name_is_no_member_and_a_member_does_not_join() {
    let (ours, theirs) = (site_of("genoa-1", 1, &[]), site_of("turin-1", 2, &[]));
    let (_, answered) = between((&theirs, Incarnation(0)), (&ours, FIRST), PeerPurpose::Member, None).await;
    assert!(matches!(evidence_error(answered), SessionError::IncarnationUnfit { .. }));
    let (_, answered) = between((&theirs, SECOND), (&ours, FIRST), PeerPurpose::Join, None).await;
    assert!(matches!(evidence_error(answered), SessionError::IncarnationUnfit { .. }));
}

/// A cluster with one governor, and the row of so many changes since.
fn long_row(changes: usize) -> (PolicyDoc, InForce) {
    let key = SigningKey::from_bytes(&[9; 32]);
    let public = SigPublic(key.verifying_key().to_bytes());
    let governance = Governance { keys: List::new(vec![public]).unwrap(), threshold: 1, timelock_s: 60, lease_s: 0 };
    let founding = PolicyDoc { governance, ..ringwall_sim::world::policy() };
    let mut in_force = InForce::founding(founding.clone());
    for _ in 0..changes {
        let mut new = PolicyDoc::clone(in_force.policy());
        new.version.0 += 1;
        new.session.reattest_s -= 1;
        let policy = Blob::new(new.encode()).unwrap();
        let mut signed = SignedPolicy { replaces: Some(in_force.digest()), policy, signatures: List::default() };
        let signature = Signature(key.sign(&signed.signed_words()).to_bytes());
        signed.signatures.push(Approval { key: public, signature }).unwrap();
        in_force = in_force.then([PolicyStep { signed, notice: None }]).unwrap();
    }
    (founding, in_force)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_further_apart_than_an_answer_carries_lead_each_other_along() {
    let (founding, newest) = long_row(75);
    let site = |chip, slot| place::site_under(founding.clone(), (chip, slot), &[]);
    let ahead = site("genoa-1", 1);
    assert!(ahead.policies.go_on(newest.clone()));
    // Who joins with the founding card is led along before it shows anything, and goes by the newest policy from then on.
    let joiner = site("tdx-1", 3);
    let (dialled, answered) = between((&joiner, Incarnation(0)), (&ahead, FIRST), PeerPurpose::Join, None).await;
    assert_eq!(dialled.unwrap().session.peer().unwrap().policy(), &**newest.policy());
    answered.unwrap();
    assert_eq!(joiner.policies.now().row(), newest.row());
    // A member that lags by as much and is dialled is led along to judge who dials, and learns nothing by that.
    let lags = site("turin-1", 2);
    let (dialled, answered) = between((&ahead, FIRST), (&lags, SECOND), PeerPurpose::Member, None).await;
    assert_eq!(answered.unwrap().session.peer().unwrap().policy(), &**newest.policy());
    dialled.unwrap();
    assert_eq!(lags.policies.now().digest(), Digest(founding.digest()));
    // Who asks to join leads nobody.
    let (dialled, answered) = between((&ahead, Incarnation(0)), (&lags, FIRST), PeerPurpose::Join, None).await;
    assert!(matches!(evidence_error(answered), SessionError::PolicyUnrelated { .. }), "{dialled:?}");
    assert_eq!(lags.policies.now().digest(), Digest(founding.digest()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_nobody_approved_is_refused_page_by_page_and_leads_nowhere() {
    let (founding, newest) = long_row(40);
    let site = |chip, slot| place::site_under(founding.clone(), (chip, slot), &[]);
    let (liar, dialler) = (site("genoa-1", 1), site("tdx-1", 3));
    let forged = newest.steps().iter().map(|step| {
        let mut step = PolicyStep::clone(step);
        step.signed.signatures = List::default();
        step
    });
    assert!(liar.policies.go_on(InForce::by(&founding, forged).unwrap()));
    let (dialled, _) = between((&dialler, SECOND), (&liar, FIRST), PeerPurpose::Member, None).await;
    assert!(matches!(evidence_error(dialled), SessionError::Steps(StepError::Step { number: 1, .. })));
    let (dialled, _) = crowded((&dialler, SECOND), (&liar, FIRST)).await;
    assert_eq!(refused_code(dialled), RefusalCode::Busy, "out of turn nobody is shown a page: each is held in memory until it is read");
    assert_eq!(dialler.policies.now().digest(), Digest(founding.digest()));
}
