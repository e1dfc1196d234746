//! Who may be recorded as admitted: verdicts, slots, and how long proposals live.
//!
//! Decides: the rules of protocol section 4 that `apply` itself keeps. Trusts: nothing it tests.
//! Out of scope: signatures of verdicts, which the node verifies before it proposes them.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::machine::tests::Bench;
use crate::types;
use ringwall_wire::admission::{AdmitCommit, AdmitPropose, Endorse, IncarnationCert};
use ringwall_wire::command::*;
use ringwall_wire::ids::*;
use ringwall_wire::sample::{Sample, Source};
use std::collections::BTreeMap;

fn cert(slot: u8, made: u8, vendor: Vendor) -> IncarnationCert {
    let mut cert = IncarnationCert::sample(&mut Source::new(7));
    cert.slot = Slot(slot);
    cert.vendor = vendor;
    cert.keys.noise = NoisePublic([made; 32]);
    cert.keys.sig = SigPublic([made.wrapping_add(100); 32]);
    cert
}

fn propose(bench: &mut Bench, cert: &IncarnationCert, replaces: Incarnation) -> (u64, Outcome) {
    let propose = AdmitPropose { cert: cert.clone(), evidence: Digest([0; 32]), nonce: Nonce([0; 32]), replaces };
    let outcome = bench.apply(0, CommandBody::AdmitPropose(Box::new(propose)))[0];
    (bench.index, outcome)
}

fn endorse(bench: &mut Bench, admit_index: u64, by: Incarnation, accepts: bool) -> Outcome {
    bench.apply(0, CommandBody::Endorse(Endorse { admit_index, by, accepts, signature: Signature([0; 64]) }))[0]
}

fn commit(bench: &mut Bench, admit_index: u64) -> Outcome {
    bench.apply(0, CommandBody::AdmitCommit(AdmitCommit { admit_index }))[0]
}

fn set_voters(bench: &mut Bench, voters: &[(Incarnation, Vendor)]) {
    let mut source = Source::new(3);
    let nodes: BTreeMap<_, _> = voters
        .iter()
        .map(|(id, vendor)| {
            let mut member = ringwall_wire::peer::Member::sample(&mut source);
            member.vendor = *vendor;
            (*id, member)
        })
        .collect();
    let config = vec![nodes.keys().copied().collect()];
    let members = types::RaftMembership::new(config, nodes).unwrap();
    bench.state.membership = types::StoredMembership::new(None, members);
}

#[test]
fn admission_needs_verdicts_of_two_voters_and_of_another_vendor() {
    let mut bench = Bench::new(1 << 20);
    let first = Incarnation::new(Epoch(3), 1);
    let founding = Founding { incarnation: first, cert: cert(1, 1, Vendor::Amd) };
    assert_eq!(bench.apply(0, CommandBody::Found(Box::new(founding.clone())))[0], Outcome::Admitted(first));
    assert_eq!(bench.apply(0, CommandBody::Found(Box::new(founding)))[0], Outcome::Denied(Denial::AlreadyFounded));
    set_voters(&mut bench, &[(first, Vendor::Amd)]);

    let (at, outcome) = propose(&mut bench, &cert(2, 2, Vendor::Intel), Incarnation(0));
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NotEndorsed));
    assert_eq!(endorse(&mut bench, at, Incarnation(9), true), Outcome::Denied(Denial::NotVoter));
    assert_eq!(endorse(&mut bench, at, first, true), Outcome::Done);
    assert_eq!(endorse(&mut bench, at, first, true), Outcome::Denied(Denial::AlreadyEndorsed));
    let second = Incarnation::new(Epoch(3), at);
    assert_eq!(commit(&mut bench, at), Outcome::Admitted(second), "one voter decides alone");
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NoProposal));

    assert_eq!(propose(&mut bench, &cert(2, 3, Vendor::Intel), Incarnation(0)).1, Outcome::Denied(Denial::SlotOccupied));
    assert_eq!(propose(&mut bench, &cert(3, 2, Vendor::Intel), Incarnation(0)).1, Outcome::Denied(Denial::KeysKnown));

    let third = Incarnation(77);
    set_voters(&mut bench, &[(first, Vendor::Amd), (second, Vendor::Intel), (third, Vendor::Amd)]);
    let (at, _) = propose(&mut bench, &cert(4, 4, Vendor::Amd), Incarnation(0));
    endorse(&mut bench, at, first, true);
    endorse(&mut bench, at, third, true);
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NotEndorsed), "two of the joiner's own vendor are not enough");
    endorse(&mut bench, at, second, true);
    assert!(matches!(commit(&mut bench, at), Outcome::Admitted(_)));

    let (at, _) = propose(&mut bench, &cert(5, 5, Vendor::Intel), Incarnation(0));
    for (voter, accepts) in [(first, true), (second, true), (third, false)] {
        endorse(&mut bench, at, voter, accepts);
    }
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::Rejected));
}

#[test]
fn a_slot_has_one_live_incarnation_and_old_proposals_die() {
    let mut bench = Bench::new(1 << 20);
    let first = Incarnation::new(Epoch(1), 1);
    bench.apply(0, CommandBody::Found(Box::new(Founding { incarnation: first, cert: cert(1, 1, Vendor::Amd) })));
    set_voters(&mut bench, &[(first, Vendor::Amd)]);
    let (at, _) = propose(&mut bench, &cert(2, 2, Vendor::Intel), Incarnation(0));
    let (rival, _) = propose(&mut bench, &cert(2, 3, Vendor::Intel), Incarnation(0));
    endorse(&mut bench, at, first, true);
    endorse(&mut bench, rival, first, true);
    let old = Incarnation::new(Epoch(1), at);
    assert_eq!(commit(&mut bench, at), Outcome::Admitted(old));
    assert_eq!(commit(&mut bench, rival), Outcome::Denied(Denial::SlotOccupied), "the rival proposal does not replace it");
    let (at, _) = propose(&mut bench, &cert(2, 4, Vendor::Intel), old);
    endorse(&mut bench, at, first, true);
    let new = Incarnation::new(Epoch(1), at);
    assert_eq!(commit(&mut bench, at), Outcome::Admitted(new));
    let standing = |bench: &Bench, id| bench.view().member(id).unwrap().standing;
    assert_eq!(standing(&bench, old), crate::MemberStanding::Superseded);
    assert_eq!(standing(&bench, new), crate::MemberStanding::Live);
    assert_eq!(bench.apply(0, CommandBody::Retire(old))[0], Outcome::Done);
    assert_eq!(bench.apply(0, CommandBody::Retire(old))[0], Outcome::Denied(Denial::NoMember));
    assert_eq!(bench.installed(1 << 20).digest(), bench.digest());

    let (at, _) = propose(&mut bench, &cert(6, 6, Vendor::Intel), Incarnation(0));
    endorse(&mut bench, at, first, true);
    bench.index += crate::machine::roster::PROPOSAL_ENTRIES;
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NoProposal), "too late");
}
