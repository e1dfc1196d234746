//! Governance in the state machine: what is in force when, what waits, what is dropped, and that all replicas agree.
//!
//! Decides: each rule of `policy.rs` bites. Trusts: judges of this test's own, which count signatures and call a step loosening by a mark in it.
//! Out of scope: real signatures, what loosens and what notices prove (`attest`). Protocol section 8, "Changes".

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::charter::{Judges, OtherRules};
use crate::machine::admission_tests::cert;
use crate::machine::tests::{Bench, CLUSTER};
use ringwall_wire::admission::{AdmitCommit, AdmitPropose};
use ringwall_wire::bounded::Blob;
use ringwall_wire::command::{Command, CommandBody, Denial, Founding};
use ringwall_wire::ids::{ClusterId, Epoch, Incarnation, Nonce, Vendor};
use ringwall_wire::limits::POLICY_BYTES;
use ringwall_wire::policy::{Approval, ReleaseRule};
use ringwall_wire::sample::{Sample, Source};

const MINUTE_MS: u64 = 60_000;

/// The policy a bench is founded with: loosening waits a minute, no lease is demanded.
pub(in crate::machine) fn founding() -> PolicyDoc {
    let mut policy = PolicyDoc::sample(&mut Source::new(17));
    policy.version = PolicyVersion(1);
    policy.min_svn = 3;
    // Small, so that as many steps fit as there may be.
    policy.measurements = List::default();
    policy.release = ReleaseRule::NotDemanded;
    policy.governance.timelock_s = 60;
    policy.governance.lease_s = 0;
    policy
}

/// Signed is what has two signatures.
fn enough(signatures: &[Approval]) -> Result<(), OrderFault> {
    (signatures.len() >= 2).then_some(()).ok_or(OrderFault::TooFew)
}

/// As real ones, but for cryptography: fewer endorsers are what loosens here, and a notice holds when it is not the sample's.
fn judges() -> Judges {
    Judges {
        words: Arc::new(|_, signatures, _| enough(signatures)),
        steps: Arc::new(|signed, in_force| {
            if signed.replaces != Some(Digest(in_force.digest())) {
                return Err(PolicyFault::OtherStep);
            }
            let policy = PolicyDoc::decode(&signed.policy).map_err(|_| PolicyFault::NoPolicy)?;
            enough(&signed.signatures).map_err(of_order)?;
            if policy.version <= in_force.version {
                return Err(PolicyFault::VersionNotHigher);
            }
            let loosens = policy.endorse.min_endorsers < in_force.endorse.min_endorsers;
            Ok(JudgedStep { loosens, wants_notice: loosens && in_force.release != ReleaseRule::NotDemanded, policy })
        }),
        notices: Arc::new(|cluster, notice, _, _| {
            assert_eq!(*cluster, CLUSTER);
            (notice.proof.index == 7).then_some(()).ok_or(PolicyFault::NoticeBad)
        }),
        ..Judges::default()
    }
}

/// A founded group of one voter at group time 1 s, whose governors are judged as above.
fn scene(first: PolicyDoc) -> Bench {
    let mut bench = Bench::new(1 << 20);
    bench.state.charter.judges = judges();
    bench.state.charter.policy = Some(Arc::new(first.clone()));
    bench.state.governed = Arc::new(Governed::new(Some(Arc::new(first))));
    let founder = Founding { incarnation: Incarnation::new(Epoch(1), 1), cert: cert(1, 1, Vendor::Amd) };
    bench.apply(1_000, CommandBody::Found(Box::new(founder)));
    bench
}

/// The founding policy of these tests: three endorsers.
fn first() -> PolicyDoc {
    let mut policy = founding();
    policy.endorse.min_endorsers = 3;
    policy
}

/// The policy after `old`, with so many endorsers.
fn next(old: &PolicyDoc, min_endorsers: u8) -> PolicyDoc {
    let mut policy = old.clone();
    policy.version.0 += 1;
    policy.endorse.min_endorsers = min_endorsers;
    policy
}

fn approvals(count: usize) -> Vec<Approval> {
    let mut source = Source::new(4);
    (0..count).map(|_| Approval::sample(&mut source)).collect()
}

fn signed(old: &PolicyDoc, new: &PolicyDoc) -> SignedPolicy {
    let signatures = List::new(approvals(2)).unwrap();
    SignedPolicy { replaces: Some(Digest(old.digest())), policy: Blob::new(new.encode()).unwrap(), signatures }
}

fn take(bench: &mut Bench, at_ms: u64, command: PolicyCommand) -> Result<PolicyOutcome, PolicyFault> {
    match bench.apply(at_ms, CommandBody::Policy(Box::new(command)))[0] {
        Outcome::Policy(PolicyOutcome::Refused(fault)) => Err(fault),
        Outcome::Policy(outcome) => Ok(outcome),
        other => panic!("{other:?}"),
    }
}

fn propose(bench: &mut Bench, at_ms: u64, signed: &SignedPolicy) -> Result<PolicyOutcome, PolicyFault> {
    take(bench, at_ms, PolicyCommand::propose(signed.clone()))
}

fn version(bench: &Bench) -> u64 {
    bench.view().governance().in_force().unwrap().version.0
}

fn in_force(version: u64) -> Result<PolicyOutcome, PolicyFault> {
    Ok(PolicyOutcome::InForce(PolicyVersion(version)))
}

fn withdrawal(change: Digest) -> PolicyWithdrawal {
    PolicyWithdrawal { cluster_id: CLUSTER, change, signatures: List::new(approvals(2)).unwrap() }
}

fn lease(policy: &PolicyDoc, until_s: u64) -> PolicyLease {
    PolicyLease { cluster_id: CLUSTER, policy: Digest(policy.digest()), until_s, signatures: List::new(approvals(2)).unwrap() }
}

/// A notice with this index.
fn notice(change: Digest, index: u64) -> PolicyCommand {
    let mut notice = PolicyNotice::sample(&mut Source::new(6));
    notice.proof.index = index;
    PolicyCommand::Notice(Box::new(NoticeFor { change, notice }))
}

/// The same, but for a change of the policy that was proposed by other rules than the bench's: that one ends a replica (below).
pub(crate) fn by_its_rules(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(mut command) = Command::decode(&bytes) else { return bytes };
    if let CommandBody::Policy(step) = &mut command.body
        && let PolicyCommand::Propose(proposal) = &mut **step
    {
        proposal.rules = 0;
    }
    command.encode()
}

#[test]
fn a_change_that_was_proposed_under_other_rules_is_not_applied() {
    let one = first();
    let mut bench = scene(one.clone());
    bench.state.charter.judges.rules = 1;
    let before = bench.state.governed.clone();
    let proposal = PolicyCommand::propose(signed(&one, &next(&one, 4)));
    let by = |rules| match (Judges { rules, ..Judges::default() }).sign(CommandBody::Policy(Box::new(proposal.clone()))) {
        CommandBody::Policy(command) => *command,
        other => panic!("{other:?}"),
    };
    let fault = bench.state.policy_step(9, by(2)).unwrap_err();
    let fault = fault.get_ref().and_then(|fault| fault.downcast_ref::<OtherRules>()).copied();
    assert_eq!(fault, Some(OtherRules { index: 9, theirs: 2, ours: 1 }));
    assert_eq!(bench.state.governed, before, "this replica ends before it differs");
    assert_eq!(bench.state.policy_step(9, by(1)).unwrap(), Outcome::Policy(PolicyOutcome::InForce(PolicyVersion(2))));
}

#[test]
fn what_tightens_is_in_force_with_its_entry_and_what_does_not_hold_changes_nothing() {
    let one = first();
    let mut bench = scene(one.clone());
    let two = next(&one, 4);
    let before = bench.state.governed.clone();
    let step = signed(&one, &two);
    let unsigned = SignedPolicy { signatures: List::new(approvals(1)).unwrap(), ..step.clone() };
    let elsewhere = SignedPolicy { replaces: Some(Digest([1; 32])), ..step.clone() };
    let garbage = SignedPolicy { policy: Blob::new(b"no policy".to_vec()).unwrap(), ..step.clone() };
    for (wrong, fault) in [
        (unsigned, PolicyFault::TooFew),
        (elsewhere, PolicyFault::OtherStep),
        (garbage, PolicyFault::NoPolicy),
        (signed(&one, &one), PolicyFault::VersionNotHigher),
    ] {
        assert_eq!(propose(&mut bench, 2_000, &wrong), Err(fault));
        assert_eq!(bench.state.governed, before, "nothing changed");
    }
    assert_eq!(propose(&mut bench, 3_000, &step), in_force(2));
    let governed = bench.view().governance();
    assert_eq!((version(&bench), governed.count(), governed.since()), (2, 1, (bench.index, 3_000)));
    assert_eq!(propose(&mut bench, 4_000, &step), in_force(2), "the same again is told the same");
    assert_eq!(bench.view().governance(), governed);
}

#[test]
fn what_loosens_waits_for_the_groups_time() {
    let one = first();
    let mut bench = scene(one.clone());
    let step = signed(&one, &next(&one, 2));
    let (change, ready) = (step.change(), 2_000 + MINUTE_MS);
    assert_eq!(take(&mut bench, 2_000, PolicyCommand::Enact(change)), Err(PolicyFault::NotPending));
    assert_eq!(propose(&mut bench, 2_000, &step), Ok(PolicyOutcome::Pending(ready)));
    assert_eq!(propose(&mut bench, 9_000, &step), Err(PolicyFault::AlreadyPending), "the wait does not begin again");
    assert_eq!((version(&bench), bench.state.governed.pending().count()), (1, 1));
    assert_eq!(take(&mut bench, ready - 1, PolicyCommand::Enact(change)), Err(PolicyFault::TooEarly));
    assert_eq!(take(&mut bench, 0, PolicyCommand::Enact(change)), Err(PolicyFault::TooEarly), "an old clock moves nothing back or on");
    assert_eq!(version(&bench), 1);
    assert_eq!(take(&mut bench, ready, PolicyCommand::Enact(change)), in_force(2));
    assert_eq!((version(&bench), bench.state.governed.pending().count()), (2, 0));
    assert_eq!(take(&mut bench, ready, PolicyCommand::Enact(change)), in_force(2), "twice is once");
    assert_eq!(bench.state.governed.count(), 1);
}

#[test]
fn under_witnesses_it_waits_for_its_notice_too() {
    let mut one = first();
    one.release = ReleaseRule::sample(&mut Source::new(1));
    let mut source = Source::new(2);
    while one.release == ReleaseRule::NotDemanded {
        one.release = ReleaseRule::sample(&mut source);
    }
    let mut bench = scene(one.clone());
    let step = signed(&one, &next(&one, 2));
    let change = step.change();
    let ready = 2_000 + MINUTE_MS;
    assert_eq!(take(&mut bench, 2_000, notice(change, 7)), Err(PolicyFault::NotPending));
    assert_eq!(propose(&mut bench, 2_000, &step), Ok(PolicyOutcome::Pending(ready)));
    let shown = |bench: &Bench| bench.view().governance().shown(9).unwrap().pending[0].notice;
    assert_eq!(shown(&bench), PendingNotice::Missing);
    assert_eq!(take(&mut bench, ready, PolicyCommand::Enact(change)), Err(PolicyFault::NoticeMissing));
    assert_eq!(take(&mut bench, ready, notice(change, 8)), Err(PolicyFault::NoticeBad));
    assert_eq!(take(&mut bench, ready, notice(change, 7)), Ok(PolicyOutcome::Noticed));
    assert_eq!(take(&mut bench, ready, notice(change, 7)), Ok(PolicyOutcome::Noticed));
    assert_eq!(shown(&bench), PendingNotice::There);
    assert_eq!(take(&mut bench, ready, PolicyCommand::Enact(change)), in_force(2));
    assert!(bench.state.governed.steps()[0].notice.is_some(), "the step carries what a stranger needs");
    // A change that needs no notice takes none.
    let two = next(&one, 2);
    let tighter = signed(&two, &next(&two, 9));
    assert_eq!(propose(&mut bench, ready, &tighter), in_force(3));
}

#[test]
fn no_notice_is_taken_where_none_is_wanted() {
    let one = first();
    let mut bench = scene(one.clone());
    let step = signed(&one, &next(&one, 2));
    propose(&mut bench, 2_000, &step).unwrap();
    assert_eq!(take(&mut bench, 2_000, notice(step.change(), 7)), Err(PolicyFault::NoticeNotNeeded));
}

#[test]
fn whatever_comes_into_force_drops_what_waited() {
    let one = first();
    let mut bench = scene(one.clone());
    let waiting: Vec<SignedPolicy> = [2, 1].iter().map(|count| signed(&one, &next(&one, *count))).collect();
    for step in &waiting {
        propose(&mut bench, 2_000, step).unwrap();
    }
    let two = next(&one, 5);
    assert_eq!(propose(&mut bench, 3_000, &signed(&one, &two)), in_force(2));
    assert_eq!(bench.state.governed.pending().count(), 0);
    for step in &waiting {
        assert_eq!(take(&mut bench, 10 * MINUTE_MS, PolicyCommand::Enact(step.change())), Err(PolicyFault::NotPending));
        assert_eq!(propose(&mut bench, 10 * MINUTE_MS, step), Err(PolicyFault::OtherStep), "it replaces what is not in force any more");
    }
}

#[test]
fn few_wait_at_once_and_a_withdrawn_one_does_not_come_back() {
    let one = first();
    let mut bench = scene(one.clone());
    let steps: Vec<SignedPolicy> = (0..=POLICY_PENDING)
        .map(|number| {
            let mut policy = next(&one, 1);
            policy.version.0 += number as u64;
            signed(&one, &policy)
        })
        .collect();
    let (last, waiting) = steps.split_last().unwrap();
    for step in waiting {
        propose(&mut bench, 2_000, step).unwrap();
    }
    assert_eq!(propose(&mut bench, 2_000, last), Err(PolicyFault::TooManyPending));
    let change = waiting[0].change();
    let weak = PolicyWithdrawal { signatures: List::new(approvals(1)).unwrap(), ..withdrawal(change) };
    let foreign = PolicyWithdrawal { cluster_id: ClusterId([1; 32]), ..withdrawal(change) };
    assert_eq!(take(&mut bench, 2_000, PolicyCommand::Withdraw(weak)), Err(PolicyFault::TooFew));
    assert_eq!(take(&mut bench, 2_000, PolicyCommand::Withdraw(foreign)), Err(PolicyFault::OtherCluster));
    for _ in 0..2 {
        assert_eq!(take(&mut bench, 2_000, PolicyCommand::Withdraw(withdrawal(change))), Ok(PolicyOutcome::Withdrawn));
    }
    assert_eq!(take(&mut bench, 9 * MINUTE_MS, PolicyCommand::Enact(change)), Err(PolicyFault::NotPending));
    assert_eq!(propose(&mut bench, 9 * MINUTE_MS, &waiting[0]), Err(PolicyFault::Withdrawn));
    assert!(propose(&mut bench, 9 * MINUTE_MS, last).is_ok(), "there is room again");
    // One that was never proposed, and as many as are remembered.
    for number in 1..POLICY_WITHDRAWN {
        let unknown = withdrawal(Digest([number as u8; 32]));
        assert_eq!(take(&mut bench, 9 * MINUTE_MS, PolicyCommand::Withdraw(unknown)), Ok(PolicyOutcome::Withdrawn));
    }
    let more = PolicyCommand::Withdraw(withdrawal(Digest([200; 32])));
    assert_eq!(take(&mut bench, 9 * MINUTE_MS, more.clone()), Err(PolicyFault::NoRoom));
    // What was withdrawn named the policy it would have replaced: under the next one it is forgotten.
    assert_eq!(propose(&mut bench, 9 * MINUTE_MS, &signed(&one, &next(&one, 4))), in_force(2));
    assert_eq!(take(&mut bench, 9 * MINUTE_MS, more), Ok(PolicyOutcome::Withdrawn));
}

#[test]
fn a_lease_ends_by_the_groups_time_and_is_renewed_by_governors() {
    let mut one = first();
    one.governance.lease_s = 100;
    let mut bench = scene(one.clone());
    // Founded at 1 s: wanted until 101 s.
    assert_eq!(bench.state.governed.lease_until_s(), Some(101));
    assert!(!bench.state.governed.is_lapsed(100_999));
    assert!(bench.state.governed.is_lapsed(101_000));
    for (wrong, fault) in [
        (PolicyLease { cluster_id: ClusterId([1; 32]), ..lease(&one, 130) }, PolicyFault::OtherCluster),
        (lease(&next(&one, 4), 130), PolicyFault::OtherPolicy),
        (PolicyLease { signatures: List::default(), ..lease(&one, 130) }, PolicyFault::TooFew),
        (lease(&one, 101), PolicyFault::LeaseNotLonger),
        (lease(&one, 151), PolicyFault::LeaseTooLong),
    ] {
        assert_eq!(take(&mut bench, 50_000, PolicyCommand::Lease(wrong)), Err(fault));
    }
    for _ in 0..2 {
        assert_eq!(take(&mut bench, 50_000, PolicyCommand::Lease(lease(&one, 150))), Ok(PolicyOutcome::Leased(150)));
    }
    assert!(!bench.state.governed.is_lapsed(149_999) && bench.state.governed.is_lapsed(150_000));

    let admit = |bench: &mut Bench, at_ms| {
        let joiner = cert(2, bench.index as u8 + 2, Vendor::Intel);
        let propose =
            AdmitPropose { cert: joiner, evidence: Digest([0; 32]), nonce: Nonce([0; 32]), replaces: Incarnation(0), order: None };
        bench.apply(at_ms, CommandBody::AdmitPropose(Box::new(propose)))[0]
    };
    assert_eq!(admit(&mut bench, 149_000), Outcome::Done);
    let proposed = bench.index;
    assert_eq!(admit(&mut bench, 150_000), Outcome::Denied(Denial::LeaseOver));
    let commit = CommandBody::AdmitCommit(AdmitCommit { admit_index: proposed });
    assert_eq!(bench.apply(150_000, commit.clone())[0], Outcome::Denied(Denial::LeaseOver), "nor is one that was proposed in time");
    assert_eq!(take(&mut bench, 160_000, PolicyCommand::Lease(lease(&one, 200))), Ok(PolicyOutcome::Leased(200)));
    assert_ne!(bench.apply(160_000, commit)[0], Outcome::Denied(Denial::LeaseOver));
    assert_eq!(admit(&mut bench, 160_000), Outcome::Done);

    // Another policy, another lease: what was said of the first is not said of it.
    let two = next(&one, 4);
    assert_eq!(propose(&mut bench, 170_000, &signed(&one, &two)), in_force(2));
    assert_eq!(bench.state.governed.lease_until_s(), Some(270));
    assert_eq!(take(&mut bench, 175_000, PolicyCommand::Lease(lease(&two, 275))), Ok(PolicyOutcome::Leased(275)));
    let mut short = next(&two, 5);
    short.governance.lease_s = 10;
    assert_eq!(propose(&mut bench, 176_000, &signed(&two, &short)), in_force(3));
    assert_eq!(bench.state.governed.lease_until_s(), Some(186), "a shorter one begins short");
    let mut none = next(&short, 6);
    none.governance.lease_s = 0;
    assert_eq!(propose(&mut bench, 176_000, &signed(&short, &none)), in_force(4));
    assert!(!bench.state.governed.is_lapsed(u64::MAX));
    assert_eq!(take(&mut bench, 176_000, PolicyCommand::Lease(lease(&none, 9_000))), Err(PolicyFault::NoLease));
}

#[test]
fn the_chain_has_room_for_so_many_steps_and_bytes() {
    let mut old = first();
    let mut bench = scene(old.clone());
    for number in 0..POLICY_ROW_STEPS {
        let new = next(&old, 3);
        let outcome = propose(&mut bench, 2_000, &signed(&old, &new));
        assert_eq!(outcome, in_force(new.version.0), "{number}");
        old = new;
        // What loosens leaves the last to what does not.
        if [POLICY_ROW_STEPS - POLICY_RESERVE_STEPS - 1, POLICY_ROW_STEPS - POLICY_RESERVE_STEPS].contains(&(number + 1)) {
            let loosening = propose(&mut bench, 2_000, &signed(&old, &next(&old, 2)));
            let fits = number + 1 < POLICY_ROW_STEPS - POLICY_RESERVE_STEPS;
            assert_eq!(loosening, if fits { Ok(PolicyOutcome::Pending(2_000 + MINUTE_MS)) } else { Err(PolicyFault::NoRoom) });
        }
    }
    assert_eq!(propose(&mut bench, 2_000, &signed(&old, &next(&old, 3))), Err(PolicyFault::NoRoom));
    let governed = &bench.state.governed;
    assert_eq!(governed.count(), POLICY_ROW_STEPS);
    let steps: Vec<PolicyStep> = governed.steps().iter().map(|step| PolicyStep::clone(step)).collect();
    assert_eq!(governed.bytes, steps_bytes(&steps));
    assert_eq!(bench.installed(0).state.governed, *governed, "all of it is in a snapshot");
    // By bytes: the last that fits, and one beyond.
    let step = steps.first().unwrap();
    let bytes = steps_bytes(std::slice::from_ref(step));
    let with = |bytes| Governed { bytes, ..Governed::default() };
    assert_eq!(with(POLICY_ROW_BYTES - bytes).has_room(step), Ok(bytes));
    assert_eq!(with(POLICY_ROW_BYTES - bytes + 1).has_room(step), Err(PolicyFault::NoRoom));
    let most = POLICY_ROW_BYTES - POLICY_RESERVE_BYTES - bytes;
    assert_eq!((with(most).has_room_to_loosen(step), with(most + 1).has_room_to_loosen(step)), (Ok(()), Err(PolicyFault::NoRoom)));
    // One that no answer and no page could carry.
    let mut large = PolicyStep { notice: Some(PolicyNotice::sample(&mut Source::new(6))), ..step.clone() };
    large.signed.policy = Blob::new(vec![0; POLICY_BYTES]).unwrap();
    let notice = large.notice.as_mut().unwrap();
    for note in [&mut notice.published, &mut notice.later] {
        *note = Blob::new(vec![0; ringwall_wire::limits::NOTE_BYTES]).unwrap();
    }
    assert_eq!(with(0).has_room(&large), Err(PolicyFault::NoRoom));
}

#[test]
fn snapshots_carry_all_of_it_and_replicas_agree() {
    let mut one = first();
    one.governance.lease_s = 100;
    let mut bench = scene(one.clone());
    let two = next(&one, 4);
    propose(&mut bench, 2_000, &signed(&one, &two)).unwrap();
    propose(&mut bench, 3_000, &signed(&two, &next(&two, 2))).unwrap();
    take(&mut bench, 3_000, PolicyCommand::Withdraw(withdrawal(Digest([9; 32])))).unwrap();
    take(&mut bench, 3_000, PolicyCommand::Lease(lease(&two, 103))).unwrap();

    let (record, parts) = (bench.state.governed.record(), bench.state.governed.parts().collect::<Vec<_>>());
    let mut restored = Governed::restore(Some(Arc::new(one.clone())), record.clone());
    assert!(parts.iter().all(|part| restored.restore_part(part.clone())));
    assert_eq!(restored, *bench.state.governed);
    // Steps that do not follow one another are no state.
    let mut other = Governed::restore(Some(Arc::new(two)), record.clone());
    assert!(!other.restore_part(parts[0].clone()), "of another founding policy");
    let mut other = Governed::restore(Some(Arc::new(one)), record);
    assert!(!other.restore_part(parts[1].clone()), "what waits replaces what is in force");

    let with = bench.installed(0);
    assert_eq!(with.digest(), bench.digest());
    assert_eq!(with.state.governed, bench.state.governed);
}

#[test]
fn where_nobody_governs_nothing_changes() {
    let one = first();
    let mut bench = Bench::new(1 << 20);
    bench.state.charter.judges = judges();
    bench.state.governed = Arc::new(Governed::new(None));
    assert_eq!(propose(&mut bench, 2_000, &signed(&one, &next(&one, 4))), Err(PolicyFault::NoGovernors));
    assert_eq!(bench.view().governance().shown(0), None);
}
