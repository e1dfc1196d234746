//! Drills on record: who may begin one and when, whose receipt ends it, and that a snapshot holds both.
//!
//! Decides: protocol section 6.2, "Drill", DL0 and DL4, as far as `apply` keeps it, whatever a leader appends. Trusts: nothing it tests.
//! Out of scope: whether a receipt tells the truth (its member is attested), evidence (custodians judge it).

use super::*;
use ringwall_wire::drill::{DrillBegun, DrillPaper, DrillReceipt};
use ringwall_wire::recovery::{RecoveryOffer, SignedOffer};

fn begun(active: Digest, by: Incarnation, session: u8) -> (DrillBegun, RecoveryOffer) {
    let offer = RecoveryOffer { session: Nonce([session; 32]), ..RecoveryOffer::sample(&mut Source::new(8)) };
    let asked_by = custodian(1).id();
    (DrillBegun { session: offer.session, offer: Digest(offer.digest()), active, asked_by, by }, offer)
}

/// The receipt the member of a drill would sign; `change` comes before the signature.
fn paper(bench: &Bench, of: &(DrillBegun, RecoveryOffer), change: impl FnOnce(&mut DrillReceipt)) -> Box<DrillPaper> {
    let (begun, offer) = of;
    let mut receipt = DrillReceipt::sample(&mut Source::new(9));
    (receipt.session, receipt.offer, receipt.active, receipt.by) = (begun.session, begun.offer, begun.active, begun.by);
    change(&mut receipt);
    let key = signing(&bench.state.roster.members.get(&begun.by).unwrap().cert);
    receipt.signature = Signature(key.sign(&receipt.words()).to_bytes());
    let signed = SignedOffer { offer: offer.clone(), ..SignedOffer::sample(&mut Source::new(10)) };
    Box::new(DrillPaper { receipt, offer: signed })
}

#[test]
fn drills_are_far_apart_and_end_with_the_receipt_of_their_own_member() {
    let (mut bench, me) = scene();
    let at = |bench: &mut Bench, ms: u64, command: CustodyCommand| bench.apply(ms, CommandBody::Custody(Box::new(command)))[0];
    let early = begun(Digest([9; 32]), me, 1).0;
    assert_eq!(step(&mut bench, CustodyCommand::DrillBegun(early)), refused(CustodyFault::NoDealing), "nothing is active");
    let hash = active(&mut bench, me);
    let first = begun(hash, me, 1);
    let elsewhere = begun(Digest([9; 32]), me, 1).0;
    assert_eq!(
        step(&mut bench, CustodyCommand::DrillBegun(elsewhere)),
        refused(CustodyFault::NoDealing),
        "of a dealing that is not active"
    );
    let stranger = DrillBegun { asked_by: custodian(9).id(), ..first.0 };
    assert_eq!(step(&mut bench, CustodyCommand::DrillBegun(stranger)), refused(CustodyFault::NotCustodian));
    let nobody = DrillBegun { by: Incarnation::new(Epoch(1), 9), ..first.0 };
    assert_eq!(step(&mut bench, CustodyCommand::DrillBegun(nobody)), refused(CustodyFault::NotDealer));
    let never = paper(&bench, &first, |_| {});
    assert_eq!(step(&mut bench, CustodyCommand::DrillEnded(never)), refused(CustodyFault::NoDrill));
    assert_eq!(at(&mut bench, 10_000, CustodyCommand::DrillBegun(first.0)), Outcome::Done);
    // The one that is under way is not pushed out by another at once, and is by a later one: its member may be gone.
    let second = begun(hash, me, 2);
    assert_eq!(at(&mut bench, 10_000 + DRILL_PAUSE_MS - 1, CustodyCommand::DrillBegun(second.0)), refused(CustodyFault::TooSoon));
    assert_eq!(at(&mut bench, 10_000 + DRILL_PAUSE_MS, CustodyCommand::DrillBegun(second.0)), Outcome::Done);
    let later = 20_000 + DRILL_PAUSE_MS;
    let end = |bench: &mut Bench, paper| at(bench, later, CustodyCommand::DrillEnded(paper));
    let old = paper(&bench, &first, |_| {});
    assert_eq!(end(&mut bench, old), refused(CustodyFault::NoDrill), "the first one's member comes too late");
    let other = paper(&bench, &second, |receipt| receipt.offer = Digest([7; 32]));
    assert_eq!(end(&mut bench, other), refused(CustodyFault::NoDrill), "of another offer");
    let mut beside = paper(&bench, &second, |_| {});
    beside.offer.offer.session = Nonce([9; 32]);
    assert_eq!(end(&mut bench, beside), refused(CustodyFault::NoDrill), "with another offer beside it");
    let elsewhere = paper(&bench, &second, |receipt| receipt.by = Incarnation::new(Epoch(1), 9));
    assert_eq!(end(&mut bench, elsewhere), refused(CustodyFault::NoDrill), "in another member's name");
    let mut forged = paper(&bench, &second, |_| {});
    forged.receipt.threshold ^= 1;
    assert_eq!(end(&mut bench, forged), refused(CustodyFault::BadSignature));
    assert!(bench.view().custody().active.as_ref().unwrap().drills.as_ref().unwrap().last.is_none());
    let good = paper(&bench, &second, |_| {});
    assert_eq!(end(&mut bench, good.clone()), Outcome::Done);
    assert_eq!(end(&mut bench, good.clone()), refused(CustodyFault::NoDrill), "it has its receipt");
    let row = bench.view().custody().active.as_ref().unwrap().drills.clone().unwrap();
    assert_eq!((row.ended, row.begun, row.last), (true, second.0, Some(good.clone())));
    // The last receipt stays until there is a newer one.
    let third = begun(hash, me, 3);
    assert_eq!(at(&mut bench, 10_000 + 2 * DRILL_PAUSE_MS, CustodyCommand::DrillBegun(third.0)), Outcome::Done);
    let row = bench.view().custody().active.as_ref().unwrap().drills.clone().unwrap();
    assert_eq!((row.ended, row.begun, row.last), (false, third.0, Some(good)));
    let other = bench.installed(1 << 20);
    assert_eq!(other.view().custody().active, bench.view().custody().active, "a snapshot holds it");
}
