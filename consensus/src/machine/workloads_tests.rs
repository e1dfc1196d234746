//! Workload keys in the state machine: what is set, granted, refused and written down, and that all replicas agree.
//!
//! Decides: each rule of `workloads.rs` bites; the chain continues over dropped entries, snapshots and repeats. Trusts: a judge of signatures of
//! this test's own. Out of scope: real signatures (`attest/tests/approval.rs`), evidence (`attest/tests/grants.rs`). Protocol section 10.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::charter::GovernorsJudge;
use crate::machine::keys_tests::{founded, keys, refused, rotation};
use crate::machine::policy::Governed;
use crate::machine::policy::tests::founding;
use crate::machine::rows::WORKLOAD_AUDIT_ROWS;
use crate::machine::tests::{Bench, CLUSTER};
use crate::machine::workloads::{AuditValue, is_row};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::{Field as _, Message};
use ringwall_wire::command::{CommandBody, Outcome, SealedWrite, WrappedKey};
use ringwall_wire::ids::{ClusterId, Digest, Incarnation, KeyEpoch, TrustDomain, Vendor};
use ringwall_wire::limits::{AUDIT_PAGE, WORKLOAD_AUDIT, WORKLOAD_KEYS, WORKLOAD_REFUSALS_PER_MINUTE};
use ringwall_wire::order::OrderFault;
use ringwall_wire::policy::MeasurementRegister;
use ringwall_wire::rotation::{KeyCommand, RewrappedWorkload, RotationFault};
use ringwall_wire::sample::{Sample, Source};
use ringwall_wire::workload::*;
use std::sync::Arc;

/// Signed is what has signatures at all.
fn judge() -> GovernorsJudge {
    Arc::new(|_, signatures, _| (!signatures.is_empty()).then_some(()).ok_or(OrderFault::TooFew))
}

fn bench() -> Bench {
    let mut bench = Bench::new(1 << 20);
    bench.state.charter.judges.words = judge();
    bench
}

fn policy(name: &str, version: u64, grants_per_minute: u32) -> GrantPolicy {
    let mut source = Source::new(3);
    let drawn = GrantPolicy::sample(&mut source);
    let trust_domain = TrustDomain::Simulated;
    GrantPolicy { name: Text::new(name).unwrap(), version, grants_per_minute, config: ConfigRule::Any, trust_domain, ..drawn }
}

fn wrapped(byte: u8) -> WrappedKey {
    WrappedKey { key_epoch: KeyEpoch(1), iv: [byte; 24], commit: [byte; 32], ciphertext: [byte; 48] }
}

fn set(policy: &GrantPolicy, replaces: Option<Digest>, byte: u8) -> WorkloadSet {
    let mut source = Source::new(5);
    let signatures = List::new(vec![Sample::sample(&mut source)]).unwrap();
    let order = GrantOrder { cluster_id: CLUSTER, replaces, policy: Blob::new(policy.encode()).unwrap(), signatures };
    WorkloadSet { order, key: wrapped(byte), by: Incarnation(7) }
}

fn digest(policy: &GrantPolicy) -> Digest {
    Digest(policy.digest())
}

fn attempt(request: u64, policy: &GrantPolicy, fault: Option<GrantFault>) -> GrantAttempt {
    let mut name = [0; 32];
    name[..8].copy_from_slice(&request.to_be_bytes());
    let subject = Subject { vendor: Vendor::Amd, chip: Digest([2; 32]), measurement: MeasurementRegister([3; 48]) };
    GrantAttempt {
        request: Digest(name),
        name: policy.name.clone(),
        policy: Some(digest(policy)),
        fault,
        subject: Some(subject),
        user: None,
        by: Incarnation(7),
    }
}

fn apply(bench: &mut Bench, at_ms: u64, write: WorkloadWrite) -> WorkloadOutcome {
    match bench.write(at_ms, SealedWrite::Workload(Box::new(write))) {
        Outcome::Workload(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

/// All kept entries, each chained to the one before and to the head.
fn audit(bench: &Bench) -> Vec<AuditEntry> {
    let view = bench.view();
    let mut all: Vec<AuditEntry> = Vec::new();
    let mut digest = None;
    loop {
        let page = view.workload_audit(all.last().map_or(0, |entry| entry.seq)).unwrap();
        let mut at = page.before;
        assert!(digest.is_none_or(|digest| digest == at), "pages do not join");
        for entry in page.entries.iter() {
            assert_eq!(entry.seq, all.last().map_or(page.first_kept, |last| last.seq + 1));
            at = audit_chain(&at, entry);
            all.push(entry.clone());
        }
        digest = Some(at);
        if page.entries.len() < AUDIT_PAGE {
            assert_eq!(at, page.head, "the chain does not lead to its head");
            assert_eq!(all.last().map_or(page.count, |last| last.seq), page.count);
            return all;
        }
    }
}

#[test]
fn a_policy_must_be_signed_for_here_and_follow_the_one_in_force() {
    let mut bench = bench();
    let (one, two) = (policy("db/key/1", 1, 9), policy("db/key/1", 2, 9));
    let unsigned = WorkloadSet { order: GrantOrder { signatures: List::default(), ..set(&one, None, 1).order }, ..set(&one, None, 1) };
    let foreign = GrantOrder { cluster_id: ClusterId([1; 32]), ..set(&one, None, 1).order };
    let garbage = GrantOrder { policy: Blob::new(b"no policy".to_vec()).unwrap(), ..set(&one, None, 1).order };
    let of = |order| WorkloadSet { order, ..set(&one, None, 1) };
    for (what, wrong, fault) in [
        ("unsigned", unsigned, SetFault::Order(OrderFault::TooFew)),
        ("foreign", of(foreign), SetFault::Order(OrderFault::OtherCluster)),
        ("garbage", of(garbage), SetFault::Malformed),
        ("second first", set(&two, None, 1), SetFault::NotNext),
        ("changes nothing", set(&two, Some(digest(&one)), 1), SetFault::NoKey),
    ] {
        assert_eq!(apply(&mut bench, 1, WorkloadWrite::Set(wrong)), WorkloadOutcome::NotSet(fault), "{what}");
    }
    assert_eq!(bench.view().workload("db/key/1").unwrap(), None);
    assert_eq!(apply(&mut bench, 1, WorkloadWrite::Set(set(&one, None, 1))), WorkloadOutcome::Set(1));
    // Whoever comes second with the same order finds the first key.
    assert_eq!(apply(&mut bench, 1, WorkloadWrite::Set(set(&one, None, 2))), WorkloadOutcome::Set(1));
    assert_eq!(bench.view().workload("db/key/1").unwrap().unwrap().key, wrapped(1));
    let three = policy("db/key/1", 3, 9);
    for wrong in [set(&three, Some(digest(&one)), 3), set(&two, Some(digest(&three)), 3), set(&policy("db/key/1", 1, 8), None, 3)] {
        assert_eq!(apply(&mut bench, 1, WorkloadWrite::Set(wrong)), WorkloadOutcome::NotSet(SetFault::NotNext));
    }
    assert_eq!(apply(&mut bench, 1, WorkloadWrite::Set(set(&two, Some(digest(&one)), 4))), WorkloadOutcome::Set(2));
    let row = bench.view().workload("db/key/1").unwrap().unwrap();
    assert_eq!((row.version, row.policy_digest, row.key), (2, digest(&two), wrapped(4)));
    let events: Vec<AuditEvent> = audit(&bench).iter().map(|entry| entry.event).collect();
    assert_eq!(events, [AuditEvent::Created(digest(&one)), AuditEvent::PolicySet(digest(&two))]);
}

#[test]
fn without_governors_no_key_is_made() {
    let mut bench = Bench::new(1 << 20);
    let refused = WorkloadOutcome::NotSet(SetFault::Order(OrderFault::NoGovernors));
    assert_eq!(apply(&mut bench, 1, WorkloadWrite::Set(set(&policy("a", 1, 9), None, 1))), refused);
}

#[test]
fn a_grant_is_for_the_policy_in_force_and_once_for_a_request() {
    let mut bench = bench();
    let (one, two) = (policy("a", 1, 9), policy("a", 2, 9));
    let absent = apply(&mut bench, 1, WorkloadWrite::Attempt(attempt(1, &one, None)));
    assert_eq!(absent, WorkloadOutcome::Refused(GrantFault::NoKey));
    apply(&mut bench, 1, WorkloadWrite::Set(set(&one, None, 1)));
    let granted = apply(&mut bench, 1, WorkloadWrite::Attempt(attempt(2, &one, None)));
    assert_eq!(granted, WorkloadOutcome::Granted(3));
    assert_eq!(apply(&mut bench, 1, WorkloadWrite::Attempt(attempt(2, &one, None))), granted, "a repeat has the same entry");
    for fault in GrantFault::ALL {
        let refused = apply(&mut bench, 1, WorkloadWrite::Attempt(attempt(100 + fault as u64, &one, Some(fault))));
        assert_eq!(refused, WorkloadOutcome::Refused(fault));
    }
    apply(&mut bench, 1, WorkloadWrite::Set(set(&two, Some(digest(&one)), 2)));
    let stale = apply(&mut bench, 1, WorkloadWrite::Attempt(attempt(3, &one, None)));
    assert_eq!(stale, WorkloadOutcome::Refused(GrantFault::PolicyChanged));
    let entries = audit(&bench);
    assert_eq!(entries.len(), 3 + GrantFault::ALL.len() + 2);
    assert_eq!(entries[0].event, AuditEvent::Refused(GrantFault::NoKey));
    assert!(entries.iter().skip(2).all(|entry| entry.by == Incarnation(7)));
}

#[test]
fn grants_and_recorded_refusals_of_a_minute_are_limited() {
    let mut bench = bench();
    let (one, other) = (policy("a", 1, 3), policy("b", 1, 3));
    apply(&mut bench, 0, WorkloadWrite::Set(set(&one, None, 1)));
    apply(&mut bench, 0, WorkloadWrite::Set(set(&other, None, 1)));
    let mut request = 0;
    let mut ask = |bench: &mut Bench, at_ms, policy: &GrantPolicy, fault| {
        request += 1;
        apply(bench, at_ms, WorkloadWrite::Attempt(attempt(request, policy, fault)))
    };
    for _ in 0..3 {
        assert!(matches!(ask(&mut bench, 60_000, &one, None), WorkloadOutcome::Granted(_)));
    }
    assert_eq!(ask(&mut bench, 119_999, &one, None), WorkloadOutcome::Refused(GrantFault::RateLimited));
    assert!(matches!(ask(&mut bench, 119_999, &other, None), WorkloadOutcome::Granted(_)), "another key has its own count");
    assert!(matches!(ask(&mut bench, 120_000, &one, None), WorkloadOutcome::Granted(_)), "another minute begins");
    assert!(matches!(ask(&mut bench, 0, &one, None), WorkloadOutcome::Granted(_)), "a proposer's clock that is behind begins no other one");
    // Refusals never use up grants, and a flood of them is counted, not written down.
    for _ in 0..WORKLOAD_REFUSALS_PER_MINUTE + 5 {
        assert_eq!(ask(&mut bench, 120_000, &one, Some(GrantFault::Chip)), WorkloadOutcome::Refused(GrantFault::Chip));
    }
    let before = audit(&bench).len();
    assert!(matches!(ask(&mut bench, 120_000, &one, None), WorkloadOutcome::Granted(_)));
    let entries = audit(&bench);
    assert_eq!((entries.len(), entries.last().unwrap().unrecorded), (before + 1, 5));
    // Names that are none share one count.
    for number in 0..WORKLOAD_REFUSALS_PER_MINUTE + 5 {
        let nobody = policy(&format!("x{number}"), 1, 3);
        assert_eq!(ask(&mut bench, 120_000, &nobody, None), WorkloadOutcome::Refused(GrantFault::NoKey));
    }
    assert_eq!(audit(&bench).len(), before + 1 + WORKLOAD_REFUSALS_PER_MINUTE as usize);
}

#[test]
fn the_oldest_entries_go_and_the_chain_still_leads_to_its_head() {
    let mut bench = bench();
    let one = policy("a", 1, u32::MAX);
    apply(&mut bench, 0, WorkloadWrite::Set(set(&one, None, 1)));
    let first = audit(&bench)[0].clone();
    let requests: Vec<u64> = (0..WORKLOAD_AUDIT + 9).collect();
    for chunk in requests.chunks(1_000) {
        let write = |request: &u64| SealedWrite::Workload(Box::new(WorkloadWrite::Attempt(attempt(*request, &one, None))));
        bench.apply(0, CommandBody::Writes(List::new(chunk.iter().map(write).collect()).unwrap().into()));
    }
    let entries = audit(&bench);
    assert_eq!(entries.len() as u64, WORKLOAD_AUDIT);
    assert_ne!(entries[0], first);
    // A request whose entry is gone is a new one.
    let again = apply(&mut bench, 0, WorkloadWrite::Attempt(attempt(0, &one, None)));
    assert_eq!(again, WorkloadOutcome::Granted(WORKLOAD_AUDIT + 11));
}

#[test]
fn a_cluster_has_so_many_keys_and_no_more() {
    let mut bench = bench();
    for number in 0..WORKLOAD_KEYS {
        assert_eq!(apply(&mut bench, 0, WorkloadWrite::Set(set(&policy(&format!("k{number}"), 1, 1), None, 1))), WorkloadOutcome::Set(1));
    }
    let full = apply(&mut bench, 0, WorkloadWrite::Set(set(&policy("one-more", 1, 1), None, 1)));
    assert_eq!(full, WorkloadOutcome::NotSet(SetFault::TooManyKeys));
}

#[test]
fn a_snapshot_carries_keys_meters_and_chain() {
    let mut bench = bench();
    let one = policy("a", 1, 2);
    apply(&mut bench, 0, WorkloadWrite::Set(set(&one, None, 1)));
    for request in 0..3 {
        apply(&mut bench, 0, WorkloadWrite::Attempt(attempt(request, &one, None)));
    }
    let mut other = bench.installed(1 << 20);
    assert_eq!(other.digest(), bench.digest());
    assert_eq!(audit(&other), audit(&bench));
    assert_eq!(other.view().workload("a").unwrap(), bench.view().workload("a").unwrap());
    let late = apply(&mut other, 0, WorkloadWrite::Attempt(attempt(50, &one, None)));
    assert_eq!(late, WorkloadOutcome::Refused(GrantFault::RateLimited), "what was granted before counts");
    assert_eq!(apply(&mut other, 0, WorkloadWrite::Attempt(attempt(1, &one, None))), WorkloadOutcome::Granted(3));
}

/// Rows of a snapshot are looked at one by one before any of them counts.
#[test]
fn an_entry_of_the_audit_under_another_number_is_no_row() {
    let mut bench = bench();
    apply(&mut bench, 0, WorkloadWrite::Set(set(&policy("a", 1, 2), None, 1)));
    let entry = audit(&bench).remove(0);
    let key = |seq: u64| [vec![WORKLOAD_AUDIT_ROWS], seq.to_be_bytes().to_vec()].concat();
    let value = AuditValue { digest: Digest([1; 32]), entry: entry.clone() }.to_bytes();
    assert!(is_row(&key(entry.seq), &value).unwrap());
    assert!(!is_row(&key(entry.seq + 1), &value).unwrap());
    assert!(!is_row(&key(entry.seq)[..8], &value).unwrap());
    assert!(is_row(&key(entry.seq), &value[..value.len() - 1]).is_err());
}

/// One move, as a leader proposes it.
fn moved(policy: &GrantPolicy, from: u32, to: u32) -> KeyCommand {
    let key = WrappedKey { key_epoch: KeyEpoch(to), ..wrapped(77) };
    let moved = RewrappedWorkload { name: policy.name.clone(), policy: digest(policy), from: KeyEpoch(from), key };
    KeyCommand::RewrapWorkloads(List::new(vec![moved]).unwrap())
}

#[test]
fn keys_move_with_the_master_key_and_hold_back_its_end() {
    let (mut bench, me) = founded();
    bench.state.charter.judges.words = judge();
    let (one, two) = (policy("a", 1, 9), policy("a", 2, 9));
    assert_eq!(apply(&mut bench, 0, WorkloadWrite::Set(set(&one, None, 1))), WorkloadOutcome::Set(1));
    let ahead = WorkloadSet { key: WrappedKey { key_epoch: KeyEpoch(2), ..wrapped(1) }, ..set(&policy("b", 1, 9), None, 1) };
    let refused_set = WorkloadOutcome::NotSet(SetFault::OtherMasterKey);
    assert_eq!(apply(&mut bench, 0, WorkloadWrite::Set(ahead.clone())), refused_set, "no entry named this master key");
    assert_eq!(bench.view().workloads_to_move(9).unwrap(), []);
    assert_eq!(keys(&mut bench, KeyCommand::Rotate(Box::new(rotation(me, 2)))), Outcome::Done);
    assert_eq!(apply(&mut bench, 0, WorkloadWrite::Set(ahead)), WorkloadOutcome::Set(1));

    let waiting = bench.view().workloads_to_move(9).unwrap();
    assert_eq!(waiting.iter().map(|(name, head)| (&**name, head.version)).collect::<Vec<_>>(), [("a", 1)]);
    assert_eq!(keys(&mut bench, KeyCommand::Retire(KeyEpoch(1))), refused(RotationFault::InUse), "a workload key is under it");
    let before = bench.view().workload("a").unwrap().unwrap();
    for (what, wrong) in [
        ("it is under another one", moved(&one, 2, 2)),
        ("it says that it is under an older one", moved(&one, 1, 1)),
        ("it is for another policy", moved(&two, 1, 2)),
        ("there is no such key", moved(&policy("c", 1, 9), 1, 2)),
    ] {
        assert_eq!(keys(&mut bench, wrong), Outcome::Done);
        assert_eq!(bench.view().workload("a").unwrap().unwrap(), before, "{what}");
    }

    // A policy that was set while the move was on its way has the key wrapped for itself: the move is for the old one, and must not take its place.
    let set_two = WorkloadSet { order: set(&two, Some(digest(&one)), 2).order, ..set(&two, None, 2) };
    assert_eq!(apply(&mut bench, 0, WorkloadWrite::Set(set_two)), WorkloadOutcome::Set(2));
    assert_eq!(keys(&mut bench, moved(&one, 1, 2)), Outcome::Done);
    assert_eq!(bench.view().workload("a").unwrap().unwrap().key, wrapped(2));
    assert_eq!(keys(&mut bench, moved(&two, 1, 2)), Outcome::Done);
    let after = bench.view().workload("a").unwrap().unwrap();
    assert_eq!((after.version, after.policy_digest, after.key.key_epoch, after.key.iv), (2, digest(&two), KeyEpoch(2), [77; 24]));
    assert_eq!(keys(&mut bench, KeyCommand::Retire(KeyEpoch(1))), Outcome::Done);
    let over = WorkloadSet { key: wrapped(1), ..set(&policy("d", 1, 9), None, 1) };
    assert_eq!(apply(&mut bench, 0, WorkloadWrite::Set(over)), refused_set, "nobody has this master key any more");
}

#[test]
fn no_key_is_granted_past_the_lease_of_the_clusters_policy_and_that_is_written_down() {
    let mut bench = bench();
    let mut first = founding();
    first.governance.lease_s = 10;
    bench.state.governed = Arc::new(Governed::new(Some(Arc::new(first))));
    let one = policy("a", 1, 9);
    assert_eq!(apply(&mut bench, 1_000, WorkloadWrite::Set(set(&one, None, 1))), WorkloadOutcome::Set(1));
    let mut ask = |at_ms, request, fault| apply(&mut bench, at_ms, WorkloadWrite::Attempt(attempt(request, &one, fault)));
    assert_eq!(ask(9_999, 1, None), WorkloadOutcome::Granted(2));
    assert_eq!(ask(10_000, 2, None), WorkloadOutcome::Refused(GrantFault::LeaseOver));
    assert_eq!(
        ask(10_000, 3, Some(GrantFault::Chip)),
        WorkloadOutcome::Refused(GrantFault::Chip),
        "what is wrong with the asker comes first"
    );
    let events: Vec<AuditEvent> = audit(&bench).into_iter().map(|entry| entry.event).collect();
    assert_eq!(events[2..], [AuditEvent::Refused(GrantFault::LeaseOver), AuditEvent::Refused(GrantFault::Chip)]);
}
