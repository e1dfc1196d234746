//! Who may be recorded as admitted: verdicts, slots, and how long proposals live.
//!
//! Decides: the rules of protocol section 4 that `apply` itself keeps, whatever a leader appends. Trusts: nothing it tests.
//! Out of scope: the evidence a verdict is about, which voters judge before they sign.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::machine::tests::{Bench, CLUSTER};
use crate::machine::view::MemberRow;
use crate::{MemberStanding, types};
use ed25519_dalek::{Signer, SigningKey};
use ringwall_wire::admission::{AdmitCommit, AdmitPropose, Endorse, IncarnationCert};
use ringwall_wire::bounded::List;
use ringwall_wire::command::*;
use ringwall_wire::ids::*;
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::policy::{Approval, PolicyDoc};
use ringwall_wire::sample::{Sample, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn cert(slot: u8, made: u8, vendor: Vendor) -> IncarnationCert {
    let mut cert = IncarnationCert::sample(&mut Source::new(7));
    cert.slot = Slot(slot);
    cert.vendor = vendor;
    cert.keys.noise = NoisePublic([made; 32]);
    cert.keys.sig = SigPublic(signing(&cert).verifying_key().to_bytes());
    cert
}

pub(super) fn signing(cert: &IncarnationCert) -> SigningKey {
    SigningKey::from_bytes(&cert.keys.noise.0)
}

/// Puts a member on record without an admission.
pub(super) fn enrol(bench: &mut Bench, incarnation: Incarnation, cert: IncarnationCert) {
    let row = MemberRow { incarnation, cert, standing: MemberStanding::Live, admission: None };
    Arc::make_mut(&mut bench.state.roster).members.insert(incarnation, row);
}

/// The verdict of `by`, signed by it if it is on record.
fn verdict(bench: &Bench, admit_index: u64, by: Incarnation, accepts: bool) -> Endorse {
    let proposed = bench.state.roster.proposals.get(&admit_index).unwrap();
    let words = Endorse::signed_bytes(&CLUSTER, admit_index, &proposed.propose, accepts);
    let member = bench.state.roster.members.get(&by);
    let signature = member.map_or(Signature([0; 64]), |row| Signature(signing(&row.cert).sign(&words).to_bytes()));
    Endorse { admit_index, by, accepts, signature }
}

fn give(bench: &mut Bench, verdict: Endorse) -> Outcome {
    bench.apply(0, CommandBody::Endorse(verdict))[0]
}

fn propose(bench: &mut Bench, cert: &IncarnationCert, replaces: Incarnation) -> (u64, Outcome) {
    propose_ordered(bench, cert, replaces, None)
}

fn propose_ordered(bench: &mut Bench, cert: &IncarnationCert, replaces: Incarnation, order: Option<ReplaceOrder>) -> (u64, Outcome) {
    let propose = AdmitPropose { cert: cert.clone(), evidence: Digest([0; 32]), nonce: Nonce([0; 32]), replaces, order };
    let outcome = bench.apply(0, CommandBody::AdmitPropose(Box::new(propose)))[0];
    (bench.index, outcome)
}

fn endorse(bench: &mut Bench, admit_index: u64, by: Incarnation, accepts: bool) -> Outcome {
    let verdict = verdict(bench, admit_index, by, accepts);
    give(bench, verdict)
}

fn commit(bench: &mut Bench, admit_index: u64) -> Outcome {
    bench.apply(0, CommandBody::AdmitCommit(AdmitCommit { admit_index }))[0]
}

pub(super) fn set_voters(bench: &mut Bench, voters: &[(Incarnation, Vendor)]) {
    let mut source = Source::new(3);
    let nodes: BTreeMap<_, _> = voters
        .iter()
        .map(|(id, vendor)| {
            let mut member = ringwall_wire::peer::Member::sample(&mut source);
            member.vendor = *vendor;
            member.slot = bench.state.roster.members.get(id).unwrap().cert.slot;
            member.sig = bench.state.roster.members.get(id).unwrap().cert.keys.sig;
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
    enrol(&mut bench, third, cert(7, 77, Vendor::Amd));
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
    bench.pass(crate::machine::roster::PROPOSAL_ENTRIES);
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NoProposal), "too late");
}

#[test]
fn nobody_is_admitted_without_a_verdict_from_another_slot() {
    let mut bench = Bench::new(1 << 20);
    let first = Incarnation::new(Epoch(1), 1);
    bench.apply(0, CommandBody::Found(Box::new(Founding { incarnation: first, cert: cert(1, 1, Vendor::Amd) })));
    set_voters(&mut bench, &[(first, Vendor::Amd)]);
    let (at, outcome) = propose(&mut bench, &cert(1, 2, Vendor::Amd), first);
    assert_eq!(outcome, Outcome::Done);
    endorse(&mut bench, at, first, true);
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NotEndorsed), "the one voter stands in the joiner's own slot");
    assert_eq!(bench.view().member(first).unwrap().standing, MemberStanding::Live);
}

#[test]
fn proposals_are_bounded_and_both_keys_of_each_are_fresh() {
    let mut bench = Bench::new(1 << 20);
    let first = cert(1, 1, Vendor::Amd);
    let founding = Founding { incarnation: Incarnation::new(Epoch(1), 1), cert: first.clone() };
    bench.apply(0, CommandBody::Found(Box::new(founding)));
    let (mut noise, mut sig) = (cert(2, 2, Vendor::Intel), cert(2, 2, Vendor::Intel));
    (noise.keys.noise, sig.keys.sig) = (first.keys.noise, first.keys.sig);
    for lent in [noise, sig] {
        assert_eq!(propose(&mut bench, &lent, Incarnation(0)).1, Outcome::Denied(Denial::KeysKnown));
    }
    let most = 2 * ringwall_wire::limits::SLOTS as u8;
    (0..most).for_each(|made| assert_eq!(propose(&mut bench, &cert(2, 10 + made, Vendor::Intel), Incarnation(0)).1, Outcome::Done));
    assert_eq!(propose(&mut bench, &cert(2, 9, Vendor::Intel), Incarnation(0)).1, Outcome::Denied(Denial::TooManyProposals));
}

#[test]
fn a_leader_cannot_speak_for_other_voters() {
    let mut bench = Bench::new(1 << 20);
    let leader = Incarnation::new(Epoch(1), 1);
    bench.apply(0, CommandBody::Found(Box::new(Founding { incarnation: leader, cert: cert(1, 1, Vendor::Amd) })));
    let other = Incarnation(77);
    enrol(&mut bench, other, cert(7, 77, Vendor::Intel));
    let voters = [(leader, Vendor::Amd), (other, Vendor::Intel)];
    set_voters(&mut bench, &voters);
    let (rival, _) = propose(&mut bench, &cert(3, 3, Vendor::Amd), Incarnation(0));
    let (at, _) = propose(&mut bench, &cert(2, 2, Vendor::Amd), Incarnation(0));
    assert_eq!(endorse(&mut bench, at, leader, true), Outcome::Done);

    let (own, refusing, of_rival) = (
        Endorse { by: other, ..verdict(&bench, at, leader, true) },
        verdict(&bench, at, other, false),
        verdict(&bench, rival, other, true),
    );
    let signed_elsewhere = {
        let proposed = bench.state.roster.proposals.get(&at).unwrap();
        let words = Endorse::signed_bytes(&ClusterId([8; 32]), at, &proposed.propose, true);
        Signature(signing(&cert(7, 77, Vendor::Intel)).sign(&words).to_bytes())
    };
    let true_one = verdict(&bench, at, other, true);
    let before = (*bench.state.roster).clone();
    for (what, forged) in [
        ("none", Signature([0; 64])),
        ("the leader's", own.signature),
        ("of a refusal", refusing.signature),
        ("over another proposal", of_rival.signature),
        ("of another cluster", signed_elsewhere),
    ] {
        let forged = Endorse { signature: forged, ..true_one.clone() };
        assert_eq!(give(&mut bench, forged), Outcome::Denied(Denial::BadSignature), "{what}");
        assert_eq!(*bench.state.roster, before, "{what}: nothing changed");
    }
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NotEndorsed));

    // A membership entry is the leader's word too: a key it wrote there for another voter is not that voter's.
    bench.state.membership = {
        let mut nodes: BTreeMap<_, _> = bench.state.membership.nodes().map(|(id, member)| (*id, member.clone())).collect();
        nodes.get_mut(&other).unwrap().sig = cert(1, 1, Vendor::Amd).keys.sig;
        let members = types::RaftMembership::new(vec![nodes.keys().copied().collect()], nodes).unwrap();
        types::StoredMembership::new(None, members)
    };
    assert_eq!(give(&mut bench, own), Outcome::Denied(Denial::NotVoter));
    set_voters(&mut bench, &voters);
    assert_eq!(give(&mut bench, true_one), Outcome::Done, "its own word counts, after whatever was forged");
    assert!(matches!(commit(&mut bench, at), Outcome::Admitted(_)));
}

/// Two voters on AMD and one on Intel, in slots 1 to 3.
fn three(bench: &mut Bench) -> [Incarnation; 3] {
    let first = Incarnation::new(Epoch(1), 1);
    bench.apply(0, CommandBody::Found(Box::new(Founding { incarnation: first, cert: cert(1, 1, Vendor::Amd) })));
    let (second, third) = (Incarnation::new(Epoch(1), 71), Incarnation::new(Epoch(1), 72));
    enrol(bench, second, cert(2, 71, Vendor::Amd));
    enrol(bench, third, cert(3, 72, Vendor::Intel));
    set_voters(bench, &[(first, Vendor::Amd), (second, Vendor::Amd), (third, Vendor::Intel)]);
    [first, second, third]
}

#[test]
fn a_dead_voter_that_was_superseded_is_not_waited_for() {
    let mut bench = Bench::new(1 << 20);
    let [first, second, third] = three(&mut bench);
    // The only Intel voter dies. Its successor is admitted, and dies too before it becomes a voter: the first one still is.
    let (at, _) = propose(&mut bench, &cert(3, 5, Vendor::Intel), third);
    endorse(&mut bench, at, first, true);
    endorse(&mut bench, at, second, true);
    let successor = Incarnation::new(Epoch(1), at);
    assert_eq!(commit(&mut bench, at), Outcome::Admitted(successor));

    // Nobody else is on another vendor's CPU than the next machine, and the dead voter cannot say anything.
    let (at, _) = propose(&mut bench, &cert(3, 6, Vendor::Amd), successor);
    assert_eq!(endorse(&mut bench, at, first, true), Outcome::Done);
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NotEndorsed), "two of the other slots must accept");
    assert_eq!(endorse(&mut bench, at, second, true), Outcome::Done);
    assert!(matches!(commit(&mut bench, at), Outcome::Admitted(_)), "the slot is not lost");
}

#[test]
fn the_word_of_a_voter_that_was_superseded_counts_for_nothing() {
    let mut bench = Bench::new(1 << 20);
    let [first, second, third] = three(&mut bench);
    let (at, _) = propose(&mut bench, &cert(3, 5, Vendor::Intel), third);
    assert_eq!(endorse(&mut bench, at, third, false), Outcome::Done);
    endorse(&mut bench, at, first, true);
    endorse(&mut bench, at, second, true);
    let successor = Incarnation::new(Epoch(1), at);
    assert_eq!(commit(&mut bench, at), Outcome::Admitted(successor), "the one that is replaced has no say");

    // Superseded and alive: neither its yes nor its no counts, and it is still among those of whom two must accept.
    for (machine, accepts) in [(6, false), (7, true)] {
        let (at, _) = propose(&mut bench, &cert(2, machine, Vendor::Amd), second);
        endorse(&mut bench, at, first, true);
        endorse(&mut bench, at, third, accepts);
        assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::NotEndorsed), "{accepts}");
    }
    set_voters(&mut bench, &[(first, Vendor::Amd), (second, Vendor::Amd), (successor, Vendor::Intel)]);
    let (at, _) = propose(&mut bench, &cert(2, 9, Vendor::Amd), second);
    endorse(&mut bench, at, first, true);
    endorse(&mut bench, at, successor, true);
    assert!(matches!(commit(&mut bench, at), Outcome::Admitted(_)), "its successor's does, once that votes");

    // A live voter's refusal counts as ever.
    let (at, _) = propose(&mut bench, &cert(4, 8, Vendor::Intel), Incarnation(0));
    endorse(&mut bench, at, first, false);
    endorse(&mut bench, at, successor, true);
    assert_eq!(commit(&mut bench, at), Outcome::Denied(Denial::Rejected));
}

/// An order for slot 3 with so many signatures; here they are counted and not looked at.
fn order(incumbent: Incarnation, signatures: u8) -> ReplaceOrder {
    let approvals = (0..signatures).map(|number| Approval { key: SigPublic([number; 32]), signature: Signature([0; 64]) });
    ReplaceOrder {
        cluster_id: CLUSTER,
        epoch: Epoch(1),
        slot: Slot(3),
        incumbent,
        last_index: None,
        signatures: List::new(approvals.collect()).unwrap(),
    }
}

/// Lets orders with two signatures hold.
fn govern(bench: &mut Bench) {
    bench.state.charter.judges.orders = Arc::new(|order: &ReplaceOrder, _: &PolicyDoc| match order.signatures.len() {
        0 | 1 => Err(OrderFault::TooFew),
        _ => Ok(()),
    });
}

#[test]
fn an_order_holds_in_its_cluster_epoch_slot_and_until_its_end() {
    let mut bench = Bench::new(1 << 20);
    let [_, second, third] = three(&mut bench);
    let joiner = cert(3, 5, Vendor::Intel);
    let good = order(third, 2);
    let refused = |bench: &mut Bench, order: ReplaceOrder| {
        let before = (*bench.state.roster).clone();
        let (_, outcome) = propose_ordered(bench, &joiner, third, Some(order));
        assert_eq!(*bench.state.roster, before, "nothing changed");
        outcome
    };
    assert_eq!(refused(&mut bench, good.clone()), Outcome::Denied(Denial::Order(OrderFault::NoGovernors)), "as it comes, none holds");
    govern(&mut bench);
    let elsewhere = |change: &dyn Fn(&mut ReplaceOrder)| {
        let mut order = good.clone();
        change(&mut order);
        order
    };
    let ended = bench.index;
    for (order, fault) in [
        (elsewhere(&|order| order.cluster_id = ClusterId([8; 32])), OrderFault::OtherCluster),
        (elsewhere(&|order| order.epoch = Epoch(2)), OrderFault::OtherEpoch),
        (elsewhere(&|order| order.slot = Slot(2)), OrderFault::OtherSlot),
        (elsewhere(&|order| order.incumbent = second), OrderFault::OtherIncumbent),
        (elsewhere(&|order| order.incumbent = Incarnation(0)), OrderFault::OtherIncumbent),
        (elsewhere(&|order| order.last_index = Some(ended)), OrderFault::Expired),
        (order(third, 1), OrderFault::TooFew),
    ] {
        assert_eq!(refused(&mut bench, order), Outcome::Denied(Denial::Order(fault)));
    }
    let last = elsewhere(&|order| order.last_index = Some(bench.index + 1));
    let (at, outcome) = propose_ordered(&mut bench, &joiner, third, Some(last.clone()));
    assert_eq!(outcome, Outcome::Done, "at its last index it still holds");
    assert_eq!(bench.view().proposal(at).unwrap().propose.order, Some(last));
    assert_eq!(bench.installed(1 << 20).digest(), bench.digest(), "a snapshot keeps it");
}

#[test]
fn an_order_is_used_up_by_what_it_orders() {
    let mut bench = Bench::new(1 << 20);
    let [first, second, third] = three(&mut bench);
    govern(&mut bench);
    let good = order(third, 2);
    let (at, _) = propose_ordered(&mut bench, &cert(3, 5, Vendor::Intel), third, Some(good.clone()));
    let (rival, outcome) = propose_ordered(&mut bench, &cert(3, 6, Vendor::Intel), third, Some(good.clone()));
    assert_eq!(outcome, Outcome::Done, "until somebody is admitted it may be tried again, with new keys");
    for admit_index in [at, rival] {
        endorse(&mut bench, admit_index, first, true);
        endorse(&mut bench, admit_index, second, true);
    }
    let successor = Incarnation::new(Epoch(1), at);
    assert_eq!(commit(&mut bench, at), Outcome::Admitted(successor));
    assert_eq!(bench.view().member(third).unwrap().standing, MemberStanding::Superseded);
    assert_eq!(commit(&mut bench, rival), Outcome::Denied(Denial::SlotOccupied), "one admission for one order");
    for replaces in [third, successor] {
        let (_, outcome) = propose_ordered(&mut bench, &cert(3, 7, Vendor::Intel), replaces, Some(good.clone()));
        assert_eq!(outcome, Outcome::Denied(Denial::Order(OrderFault::OtherIncumbent)), "replacing {replaces}");
    }
}
