//! Chains of changes: what holds, and every way not to, by name. Rows G2, G5 of the register.
//!
//! Decides: that steps which are reordered, doubled, left out, foreign, unapproved, falling, unpublished, published too late or for another cluster refuse
//! the chain, each for its own reason; that witnesses below the threshold cannot shorten the wait. Trusts: the fixtures. Out of scope: sessions.

use super::*;
use ringwall_attest::ApprovalError as A;
use ringwall_attest::governance::{ChangeError as C, NoticeError as N, NoticePart, StepError, judge_change, verify_lease, verify_notice};
use ringwall_attest::governance::{verify_steps, verify_withdrawal};
use ringwall_attest::policy::Change;
use ringwall_attest::release::{LogError, SignedNote, VerifierKey};
use ringwall_wire::bounded::Text;
use ringwall_wire::governance::{PolicyFault as F, PolicyLease, PolicyWithdrawal};
use ringwall_wire::ids::{Slot, TrustDomain};
use ringwall_wire::limits::{POLICY_STEPS, POLICY_STEPS_BYTES};
use ringwall_wire::policy::{Measurement, ReleaseRule, SnpTcb};

/// The error of the first step that does not hold.
fn refused(from: &PolicyDoc, steps: &[PolicyStep]) -> (usize, C) {
    match verify_steps(&CLUSTER, from, steps) {
        Err(StepError::Step { number, error }) => (number, error),
        other => panic!("{other:?}"),
    }
}

fn refused_change(from: &PolicyDoc, change: impl FnOnce(&mut PolicyDoc)) -> C {
    let (number, error) = refused(from, &[step(from, &next(from, change))]);
    assert_eq!(number, 1);
    error
}

#[test]
fn a_chain_leads_from_one_policy_to_another() {
    let (first, mut log) = (watched(), Public::new());
    let second = tightened(&first);
    let third = loosened(&second, "next");
    let steps = [step(&first, &second), noticed(&mut log, &second, &third)];
    let verified = verify_steps(&CLUSTER, &first, &steps).unwrap();
    assert_eq!(verified.policy(), &third);
    assert_eq!(verified.digests(), [&first, &second, &third].map(|policy| Digest(policy.digest())));
    assert_eq!(verify_steps(&CLUSTER, &second, &steps[1..]).unwrap().policy(), &third);
    let none = verify_steps(&CLUSTER, &first, &[]).unwrap();
    assert_eq!((none.policy(), none.digests().len()), (&first, 1));
    // Without witnesses a loosening shows no more than its approvals; the group's own delay is all there is.
    let unwatched = founding();
    let judged = judge_change(&unwatched, &step(&unwatched, &loosened(&unwatched, "next")).signed).unwrap();
    assert_eq!((judged.change(), judged.loosens(), judged.wants_notice(), judged.approvers().len()), (Change::Loosening, true, false, 2));
    let judged = judge_change(&first, &steps[0].signed).unwrap();
    assert_eq!((judged.change(), judged.loosens(), judged.wants_notice()), (Change::Tightening, false, false));
    verify_steps(&CLUSTER, &unwatched, &[step(&unwatched, &loosened(&unwatched, "next"))]).unwrap().policy();
}

#[test]
fn steps_in_another_order_doubled_left_out_or_foreign_do_not_fit() {
    let first = founding();
    let (second, other) = (tightened(&first), next(&first, |policy| policy.endorse.other_vendor = true));
    let third = tightened(&second);
    let (one, two) = (step(&first, &second), step(&second, &third));
    let of_other = step(&other, &tightened(&other));
    let misfits: [(&str, usize, Vec<PolicyStep>); 5] = [
        ("reordered", 1, vec![two.clone(), one.clone()]),
        ("doubled", 2, vec![one.clone(), one.clone(), two.clone()]),
        ("left out", 1, vec![two.clone()]),
        ("foreign", 2, vec![one.clone(), of_other]),
        ("aside", 2, vec![one.clone(), step(&first, &other)]),
    ];
    for (what, at, steps) in misfits {
        let (number, error) = refused(&first, &steps);
        assert!(number == at && matches!(error, C::Approval(A::OtherStep { .. })), "{what}: {number} {error}");
        assert_eq!(error.fault(), F::OtherStep);
    }
    let many = vec![one.clone(); POLICY_STEPS + 1];
    assert_eq!(verify_steps(&CLUSTER, &first, &many).unwrap_err(), StepError::TooMany { got: POLICY_STEPS + 1, most: POLICY_STEPS });
    let mut large = one;
    large.signed.policy = Blob::new(vec![0; POLICY_STEPS_BYTES / 2]).unwrap();
    let large = [large.clone(), large];
    assert!(matches!(verify_steps(&CLUSTER, &first, &large).unwrap_err(), StepError::TooLarge { most: POLICY_STEPS_BYTES, .. }));
}

#[test]
fn approvals_are_those_of_the_policy_that_is_replaced() {
    let first = founding();
    let taken = next(&first, |policy| policy.governance.keys = List::new(vec![public(9)]).unwrap());
    let taken = PolicyDoc { governance: Governance { threshold: 1, ..taken.governance.clone() }, ..taken };
    let by = |numbers: &[u8]| PolicyStep { signed: signed_by(&first, &taken, numbers), notice: None };
    let fault = |step: PolicyStep| refused(&first, &[step]).1.fault();
    assert_eq!(fault(by(&[9])), F::Stranger);
    assert_eq!(fault(by(&[1])), F::TooFew);
    assert_eq!(fault(by(&[1, 1])), F::TooFew);
    let mut bent = by(&[1, 2]);
    bent.signed.signatures = signed_by(&first, &tightened(&first), &[1, 2]).signatures;
    assert_eq!(fault(bent), F::BadSignature);
    // Once it holds, its own governors decide about the next one, and nobody else.
    let after = tightened(&taken);
    let steps = [by(&[1, 2]), PolicyStep { signed: signed_by(&taken, &after, &[1, 2]), notice: None }];
    assert_eq!((refused(&first, &steps).0, refused(&first, &steps).1.fault()), (2, F::Stranger));
    let steps = [by(&[1, 2]), PolicyStep { signed: signed_by(&taken, &after, &[9]), notice: None }];
    assert_eq!(verify_steps(&CLUSTER, &first, &steps).unwrap().policy(), &after);
    let nobody = PolicyDoc { governance: Governance { keys: List::default(), ..governance() }, ..founding() };
    assert_eq!(refused(&nobody, &[step(&nobody, &tightened(&nobody))]).1.fault(), F::NoGovernors);
    let mut no_policy = step(&first, &tightened(&first));
    no_policy.signed.policy = Blob::new(vec![1, 2, 3]).unwrap();
    assert_eq!(fault(no_policy), F::NoPolicy);
}

#[test]
fn what_must_not_fall_does_not_whoever_signs() {
    let mut first = founding();
    first.min_svn = 1;
    assert!(matches!(refused_change(&first, |policy| policy.version = first.version), C::Approval(A::VersionNotHigher { .. })));
    let moved = refused_change(&first, |policy| policy.trust_domain = TrustDomain::Production);
    assert!(matches!(moved, C::Approval(A::OtherTrustDomain { .. })) && moved.fault() == F::OtherTrustDomain);
    let slots = refused_change(&first, |policy| policy.slots = List::new(policy.slots.iter().skip(1).cloned().collect()).unwrap());
    assert_eq!((slots.clone(), slots.fault()), (C::SlotsChanged, F::SlotsChanged));
    let renamed = |policy: &mut PolicyDoc| {
        let mut slots = policy.slots.to_vec();
        slots[0].slot = Slot(9);
        policy.slots = List::new(slots).unwrap();
    };
    assert_eq!(refused_change(&first, renamed), C::SlotsChanged);
    assert_eq!(refused_change(&first, |policy| policy.min_svn = 0), C::SvnFell { offered: 0, in_force: 1 });
    assert_eq!(refused_change(&first, |policy| policy.min_svn = 0).fault(), F::SvnFell);
    let fell = refused_change(&first, |policy| policy.tdx.min_tcb_evaluation -= 1);
    assert!(matches!(&fell, C::FloorFell { floor, .. } if floor == "tdx.min_tcb_evaluation") && fell.fault() == F::FloorFell, "{fell}");
    let parts: [(&str, fn(&mut SnpTcb)); 5] = [
        ("fmc", |tcb| tcb.fmc -= 1),
        ("boot_loader", |tcb| tcb.boot_loader -= 1),
        ("tee", |tcb| tcb.tee -= 1),
        ("snp", |tcb| tcb.snp -= 1),
        ("microcode", |tcb| tcb.microcode -= 1),
    ];
    let mut ample = first.clone();
    let mut rules = ample.snp.products.to_vec();
    rules.iter_mut().for_each(|rule| rule.min_tcb = SnpTcb { fmc: 7, boot_loader: 7, tee: 7, snp: 7, microcode: 7 });
    ample.snp.products = List::new(rules).unwrap();
    for (part, lower) in parts {
        let fell = refused_change(&ample, |policy| {
            let mut rules = policy.snp.products.to_vec();
            lower(&mut rules.last_mut().unwrap().min_tcb);
            policy.snp.products = List::new(rules).unwrap();
        });
        assert!(matches!(&fell, C::FloorFell { floor, .. } if floor.ends_with(part)), "{part}: {fell}");
    }
}

#[test]
fn builds_below_the_least_security_version_do_not_come_in() {
    let mut first = founding();
    let old = BuildImage::new("old", 2).measurement();
    first.min_svn = 3;
    first.measurements = List::new(vec![old.clone(), BuildImage::new("now", 3).measurement()]).unwrap();
    let with = |build: Measurement| refused_change(&first, |policy| policy.measurements.push(build).unwrap());
    let below = with(BuildImage::new("older", 1).measurement());
    assert_eq!((below.clone(), below.fault()), (C::BuildBelowSvn { build: "older".into(), svn: 1, min_svn: 3 }, F::BuildBelowSvn));
    // The old build under a new name and version is still the old build, by any of its measurements.
    for renamed in [
        Measurement { id: Text::new("new").unwrap(), svn: 9, ..old.clone() },
        Measurement { id: Text::new("new").unwrap(), svn: 9, snp: List::default(), ..old.clone() },
        Measurement { id: Text::new("new").unwrap(), svn: 9, tdx: List::default(), ..old.clone() },
    ] {
        assert_eq!(with(renamed).fault(), F::BuildBelowSvn);
    }
    // What is below may stay listed, and builds fall below as the least version rises.
    let raised = next(&first, |policy| policy.min_svn = 4);
    assert_eq!(verify_steps(&CLUSTER, &first, &[step(&first, &raised)]).unwrap().policy(), &raised);
    let relabelled = refused(
        &raised,
        &[step(
            &raised,
            &next(&raised, |policy| {
                let mut builds = policy.measurements.to_vec();
                builds[1].svn = 4;
                policy.measurements = List::new(builds).unwrap();
            }),
        )],
    );
    assert_eq!(relabelled.1.fault(), F::BuildBelowSvn);
}

/// What a bent notice is refused for.
fn bent(bend: impl FnOnce(&mut PolicyNotice, &mut Public, (u64, u64))) -> N {
    let (first, mut log) = (watched(), Public::new());
    let signed = step(&first, &loosened(&first, "next")).signed;
    let sizes = log.publish(CLUSTER, &signed);
    let mut notice = log.notice(sizes, PUBLISHED_S + u64::from(DELAY_S));
    assert_eq!(verify_notice(&CLUSTER, &signed, &notice, &first), Ok(()));
    bend(&mut notice, &mut log, sizes);
    verify_notice(&CLUSTER, &signed, &notice, &first).unwrap_err()
}

#[test]
fn a_notice_shows_this_change_in_a_witnessed_log_for_the_whole_delay() {
    let full = PUBLISHED_S + u64::from(DELAY_S);
    let early = bent(|notice, log, sizes| *notice = log.notice(sizes, full - 1));
    assert_eq!(early, N::Early { published_s: PUBLISHED_S, later_s: full - 1, delay_s: DELAY_S });
    assert_eq!(early.fault(), F::NoticeEarly);
    let at = |part, error: &N| matches!(error, N::Part { part: of, .. } if *of == part);
    let few = bent(|notice, log, (size, _)| notice.published = log.note(size, &[(0, PUBLISHED_S)]));
    assert!(at(NoticePart::Published, &few) && few.fault() == F::NoticeWitnesses, "{few}");
    let few = bent(|notice, log, (_, later)| notice.later = log.note(later, &[(2, full)]));
    assert!(at(NoticePart::Later, &few) && few.fault() == F::NoticeWitnesses, "{few}");
    let elsewhere = bent(|notice, _, _| notice.proof.index += 1);
    assert!(at(NoticePart::Entry, &elsewhere) && elsewhere.fault() == F::NoticeBad, "{elsewhere}");
    let gone = bent(|notice, log, (size, later)| {
        log.log.lose(size - 1);
        (0..=later - size).for_each(|other| log.log.append_leaf(Digest([other as u8 + 100; 32])));
        notice.later = log.note(later, &[(0, full), (1, full)]);
    });
    assert!(at(NoticePart::Continuation, &gone) && gone.fault() == F::NoticeBad, "{gone}");
    let shrunk = bent(|notice, log, (size, _)| notice.later = log.note(size - 1, &[(0, full), (1, full)]));
    assert!(matches!(shrunk, N::Part { part: NoticePart::Continuation, error: LogError::Shrank { .. } }), "{shrunk}");
    let foreign = bent(|notice, log, (size, _)| {
        log.log = MintedLog::new("log.example/another");
        (0..size).for_each(|_| log.log.append_leaf(Digest([3; 32])));
        notice.published = log.note(size, &[(0, PUBLISHED_S), (1, PUBLISHED_S)]);
    });
    assert!(at(NoticePart::Published, &foreign) && foreign.fault() == F::NoticeBad, "{foreign}");
    let no_text = bent(|notice, _, _| notice.later = Note::new(vec![0xff; 40]).unwrap());
    assert_eq!((no_text.clone(), no_text.fault()), (N::NoText { part: NoticePart::Later }, F::NoticeBad));
    // One tree both times: nobody else published anything, and the witnesses still saw it later.
    let (first, mut log) = (watched(), Public::new());
    let signed = step(&first, &loosened(&first, "next")).signed;
    let (size, _) = log.publish(CLUSTER, &signed);
    assert_eq!(verify_notice(&CLUSTER, &signed, &log.notice((size, size), full), &first), Ok(()));
}

#[test]
fn a_notice_has_the_lines_of_the_policys_keys_alone_in_one_form() {
    let full = PUBLISHED_S + u64::from(DELAY_S);
    let padded = |note: &mut Note, line: &str| *note = Note::new([&**note, line.as_bytes()].concat()).unwrap();
    let stranger = |log: &Public, size| Witness::new("witness.example/nobody").cosign(&log.log.checkpoint_at(size), 1);
    let refused = [
        bent(|notice, log, (size, _)| padded(&mut notice.published, &stranger(log, size))),
        bent(|notice, log, (_, later)| padded(&mut notice.later, &stranger(log, later))),
        bent(|notice, log, (size, _)| notice.published = log.note(size, &[(1, PUBLISHED_S), (0, PUBLISHED_S)])),
        bent(|notice, log, (_, later)| notice.later = log.note(later, &[(2, full), (1, full)])),
    ];
    use NoticePart::{Later, Published};
    for (error, part) in refused.iter().zip([Published, Later, Published, Later]) {
        assert_eq!((error, error.fault()), (&N::Foreign { part }, F::NoticeBad));
    }
    // What is left when the foreign lines go is what the policy's own keys wrote, and it is good.
    let (first, mut log) = (watched(), Public::new());
    let signed = step(&first, &loosened(&first, "next")).signed;
    let sizes = log.publish(CLUSTER, &signed);
    let mut notice = log.notice(sizes, full);
    let plain = notice.published.clone();
    padded(&mut notice.published, &stranger(&log, sizes.0));
    let rule = Publisher::default().rule();
    let names = std::iter::once(&*rule.log).chain(rule.witnesses.iter().map(|key| &**key));
    let keys: Vec<_> = names.map(|key| VerifierKey::parse(key).unwrap()).collect();
    let bare = SignedNote::parse_bytes(&notice.published).unwrap().only_of(&keys);
    assert_eq!(bare.as_bytes(), &*plain);
    notice.published = Note::new(bare.into_bytes()).unwrap();
    assert_eq!(verify_notice(&CLUSTER, &signed, &notice, &first), Ok(()));
}

#[test]
fn no_change_ends_governance_or_all_evidence_at_once() {
    let first = watched();
    let governed = |change: &dyn Fn(&mut Governance)| refused_change(&first, |policy| change(&mut policy.governance));
    let no_points: Vec<SigPublic> = (0..=u8::MAX).map(|byte| SigPublic([byte; 32])).filter(|key| !is_point(key)).take(2).collect();
    let ends: [&dyn Fn(&mut Governance); 5] = [
        &|governance| governance.threshold = 0,
        &|governance| governance.threshold = 4,
        &|governance| governance.keys = List::new(vec![public(1)]).unwrap(),
        &|governance| governance.keys = List::new(vec![public(1), public(1)]).unwrap(),
        &|governance| governance.keys = List::new([&[public(1)][..], &no_points].concat()).unwrap(),
    ];
    for (at, change) in ends.iter().enumerate() {
        let error = governed(change);
        assert!(matches!(error, C::Ungovernable(_)) && error.fault() == F::Ungovernable, "{at}: {error}");
    }
    let with = |from: &PolicyDoc, change: &dyn Fn(&mut ringwall_wire::policy::ReleaseSigners)| {
        let ReleaseRule::Demanded(mut rule) = from.release.clone() else { panic!("a rule") };
        change(&mut rule);
        next(from, |policy| policy.release = ReleaseRule::Demanded(rule))
    };
    let cut: [&dyn Fn(&mut ringwall_wire::policy::ReleaseSigners); 4] =
        [&|rule| rule.signer_threshold = 3, &|rule| rule.witness_threshold = 4, &|rule| rule.witness_threshold = 0, &|rule| {
            rule.log = Text::new("no key").unwrap()
        }];
    for (at, change) in cut.iter().enumerate() {
        let bad = with(&first, change);
        let error = refused(&first, &[step(&first, &bad)]).1;
        assert!(matches!(error, C::NothingProven(_)) && error.fault() == F::NothingProven, "{at}: {error}");
        // Whoever was founded under such a rule is not kept there, and may change the rest.
        let [mended, tighter] = [next(&bad, |policy| policy.release = first.release.clone()), tightened(&bad)];
        judge_change(&bad, &signed_by(&bad, &mended, &[1, 2])).unwrap().policy();
        judge_change(&bad, &signed_by(&bad, &tighter, &[1, 2])).unwrap().policy();
    }
    let bare = founding();
    let bad = PolicyDoc { version: PolicyVersion(bare.version.0 + 1), release: with(&first, cut[0]).release, ..bare.clone() };
    assert_eq!(refused(&bare, &[step(&bare, &bad)]).1.fault(), F::NothingProven);
}

fn is_point(key: &SigPublic) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(&key.0).is_ok_and(|key| !key.is_weak())
}

#[test]
fn witnesses_below_the_threshold_make_the_wait_no_shorter() {
    let full = PUBLISHED_S + u64::from(DELAY_S);
    // One of two that count says it saw the change long ago; or that it is late already.
    let backdated = bent(|notice, log, (size, later)| {
        notice.published = log.note(size, &[(0, 1), (1, PUBLISHED_S + 500)]);
        notice.later = log.note(later, &[(0, full), (1, full)]);
    });
    assert_eq!(backdated, N::Early { published_s: PUBLISHED_S + 500, later_s: full, delay_s: DELAY_S });
    let ahead = bent(|notice, log, (_, later)| notice.later = log.note(later, &[(0, full + 1_000_000), (1, PUBLISHED_S + 10)]));
    assert_eq!(ahead, N::Early { published_s: PUBLISHED_S, later_s: PUBLISHED_S + 10, delay_s: DELAY_S });
    // All three: the one that lies is outvoted.
    let outvoted = bent(|notice, log, (size, later)| {
        notice.published = log.note(size, &[(0, 1), (1, PUBLISHED_S), (2, PUBLISHED_S)]);
        notice.later = log.note(later, &[(0, full + 1_000_000), (1, full - 1), (2, full - 1)]);
    });
    assert_eq!(outvoted, N::Early { published_s: PUBLISHED_S, later_s: full - 1, delay_s: DELAY_S });
}

#[test]
fn a_notice_is_there_exactly_where_it_is_needed() {
    let (first, mut log) = (watched(), Public::new());
    let new = loosened(&first, "next");
    assert_eq!(refused(&first, &[step(&first, &new)]).1, C::Notice(N::Missing));
    let good = noticed(&mut log, &first, &new);
    assert_eq!(verify_steps(&CLUSTER, &first, std::slice::from_ref(&good)).unwrap().policy(), &new);
    // Of this cluster, and of this change.
    let elsewhere = verify_steps(&ClusterId([0x62; 32]), &first, std::slice::from_ref(&good)).unwrap_err();
    let entry = |error: &StepError| matches!(error, StepError::Step { error: C::Notice(N::Part { part: NoticePart::Entry, .. }), .. });
    assert!(entry(&elsewhere), "replayed from another cluster: {elsewhere}");
    let other = PolicyStep { notice: good.notice.clone(), ..step(&first, &loosened(&first, "another")) };
    assert!(entry(&verify_steps(&CLUSTER, &first, &[other]).unwrap_err()), "of another change");
    let adorned = PolicyStep { notice: good.notice.clone(), ..step(&first, &tightened(&first)) };
    let adorned = refused(&first, &[adorned]).1;
    assert!(matches!(&adorned, C::Notice(N::Part { part: NoticePart::Entry, .. })) && adorned.fault() == F::NoticeBad, "{adorned}");
    // One that holds stays what it was, should its change be no loosening by later rules.
    let tighter = tightened(&first);
    let superfluous = noticed(&mut log, &first, &tighter);
    assert_eq!(verify_steps(&CLUSTER, &first, &[superfluous]).unwrap().policy(), &tighter);
    let unwatched = founding();
    let adorned = PolicyStep { notice: good.notice.clone(), ..step(&unwatched, &loosened(&unwatched, "next")) };
    assert_eq!(refused(&unwatched, &[adorned]).1, C::Notice(N::NotNeeded));
    // A policy that names witnesses badly cannot be loosened.
    let bend = |bend: &dyn Fn(&mut ringwall_wire::policy::ReleaseSigners)| {
        let mut rule = Publisher::default().rule();
        bend(&mut rule);
        let policy = PolicyDoc { release: ReleaseRule::Demanded(rule), ..first.clone() };
        let step = PolicyStep { notice: good.notice.clone(), ..step(&policy, &loosened(&policy, "next")) };
        refused(&policy, &[step]).1.fault()
    };
    assert_eq!(bend(&|rule| rule.witness_threshold = 0), F::NoticeWitnesses);
    assert_eq!(bend(&|rule| rule.log = Text::new("no key").unwrap()), F::NoticeBad);
}

#[test]
fn words_about_changes_and_leases_are_of_this_cluster_and_its_governors() {
    let policy = founding();
    let mut word = PolicyWithdrawal { cluster_id: CLUSTER, change: Digest([8; 32]), signatures: List::default() };
    word.signatures = List::new(approvals(&word.signed_words(), &[2, 3])).unwrap();
    assert_eq!(verify_withdrawal(&word, &CLUSTER, &policy), Ok(Digest([8; 32])));
    assert_eq!(verify_withdrawal(&word, &ClusterId([1; 32]), &policy), Err(F::OtherCluster));
    let moved = PolicyWithdrawal { change: Digest([9; 32]), ..word.clone() };
    assert_eq!(verify_withdrawal(&moved, &CLUSTER, &policy), Err(F::BadSignature));
    let alone = PolicyWithdrawal { signatures: List::new(word.signatures[..1].to_vec()).unwrap(), ..word };
    assert_eq!(verify_withdrawal(&alone, &CLUSTER, &policy), Err(F::TooFew));

    let mut lease = PolicyLease { cluster_id: CLUSTER, policy: Digest(policy.digest()), until_s: 77, signatures: List::default() };
    lease.signatures = List::new(approvals(&lease.signed_words(), &[1, 2])).unwrap();
    assert_eq!(verify_lease(&lease, &CLUSTER, &policy), Ok(77));
    assert_eq!(verify_lease(&lease, &ClusterId([1; 32]), &policy), Err(F::OtherCluster));
    assert_eq!(verify_lease(&lease, &CLUSTER, &tightened(&policy)), Err(F::OtherPolicy));
    assert_eq!(verify_lease(&PolicyLease { until_s: 78, ..lease.clone() }, &CLUSTER, &policy), Err(F::BadSignature));
    let mut free = policy.clone();
    free.governance.lease_s = 0;
    assert_eq!(verify_lease(&PolicyLease { policy: Digest(free.digest()), ..lease }, &CLUSTER, &free), Err(F::NoLease));
    // Until when members grant keys: the length of a lease from the beginning, or what is on record.
    let lease_s = u64::from(policy.governance.lease_s);
    assert_eq!(policy.governance.lease_until_s(5_000, None), Some(5 + lease_s));
    assert_eq!(policy.governance.lease_until_s(5_000, Some(9)), Some(5 + lease_s));
    assert_eq!(policy.governance.lease_until_s(5_000, Some(9_000)), Some(9_000));
    assert_eq!(free.governance.lease_until_s(5_000, Some(9_000)), None);
}
