//! Which session is gone on with, and what ends one, without a network.
//!
//! Decides: KS2 case by case, and that what keepers hand over is one session or nothing. Trusts: samples. Out of scope: sessions with keepers (`tests/tests/recover`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::governance::InForce;
use crate::governance::tests::{founding, step, steps};
use crate::join::endorse::place;
use ringwall_wire::ids::{SigPublic, XWingPublic};
use ringwall_wire::keeper::KeptOffer;
use ringwall_wire::sample::{Sample as _, Source};
use ringwall_wire::secret::Secret;

fn keeper(number: u8) -> Keeper {
    Keeper { slot: Slot(number), sig: SigPublic([number; 32]) }
}

fn offer(keepers: &[Keeper], earlier: &[Digest]) -> RecoveryOffer {
    RecoveryOffer {
        keepers: List::new(keepers.to_vec()).unwrap(),
        earlier: List::new(earlier.to_vec()).unwrap(),
        ..RecoveryOffer::sample(&mut Source::new(1))
    }
}

#[test]
fn ks2_a_session_is_gone_on_with_where_every_keeper_of_it_has_it_and_given_up_at_a_word_alone() {
    let both = [keeper(2), keeper(3)];
    let kept = offer(&both, &[]);
    let newer = offer(&both, &[Digest(kept.digest())]);
    let what = |found: &[(Keeper, Option<&RecoveryOffer>)], anew| {
        let found: Vec<_> = found.iter().map(|(keeper, offer)| (*keeper, offer.cloned())).collect();
        what_is_kept(&found, anew)
    };
    let (two, three) = (both[0], both[1]);
    assert_eq!(what(&[], false), Ok(None));
    assert_eq!(what(&[(two, None), (three, None)], false), Ok(None));
    assert_eq!(what(&[(two, Some(&kept)), (three, Some(&kept))], false), Ok(Some(kept.clone())));
    assert_eq!(what(&[(two, Some(&newer)), (three, Some(&kept))], false), Ok(Some(newer)), "its process died before the other keeper knew");
    assert_eq!(what(&[(two, Some(&kept)), (three, Some(&kept))], true), Ok(None), "given up");
    assert_eq!(what(&[(two, Some(&kept))], false), Err(NotGoneOn::Missing { slot: Slot(3) }), "left out, or gone");
    assert_eq!(what(&[(two, Some(&kept)), (three, None)], false), Err(NotGoneOn::Missing { slot: Slot(3) }));
    let started_anew = Keeper { sig: SigPublic([9; 32]), ..three };
    assert_eq!(what(&[(two, Some(&kept)), (started_anew, None)], false), Err(NotGoneOn::Stranger { slot: Slot(3) }));
    let other = RecoveryOffer { session: Nonce([9; 32]), ..kept.clone() };
    assert!(matches!(what(&[(two, Some(&kept)), (three, Some(&other))], false), Err(NotGoneOn::Different { .. })));
    assert_eq!(what(&[(two, None), (two, None)], false), Err(NotGoneOn::Twice(Slot(2))));
    let often: Vec<Digest> = (0..SUCCESSIONS as u8).map(|number| Digest([number; 32])).collect();
    let last = offer(&[two], &often);
    assert_eq!(what(&[(two, Some(&last))], false), Err(NotGoneOn::TooOften), "whoever holds it may go on");
    for fault in [NotGoneOn::Missing { slot: Slot(3) }, NotGoneOn::Stranger { slot: Slot(3) }] {
        assert!(fault.to_string().contains("--anew") && fault.to_string().contains("slot 3"), "{fault}");
    }
}

#[test]
fn what_is_handed_over_is_one_session_with_every_offer_that_was_answered() {
    let seed = Secret::new([4; 32]);
    let kem = KemSecret::from_seed(seed.clone()).public();
    let first = RecoveryOffer { kem, ..offer(&[keeper(2), keeper(3)], &[]) };
    let second = RecoveryOffer { sig: SigPublic([8; 32]), earlier: List::new(vec![Digest(first.digest())]).unwrap(), ..first.clone() };
    let kept = |offer: &RecoveryOffer| KeptSession { offer: offer.clone(), seed: seed.clone() };
    let taken = joined(vec![kept(&first), kept(&second)]).unwrap();
    assert_eq!((taken.offer, taken.kem.public()), (second.clone(), first.kem));
    assert_eq!(taken.earlier.as_ref(), [Digest(first.digest()), Digest(second.digest())]);
    let other = KeptSession { seed: Secret::new([5; 32]), ..kept(&first) };
    assert!(matches!(joined(vec![kept(&first), other.clone()]), Err(NotGoneOn::Other { .. })));
    assert!(matches!(joined(vec![other]), Err(NotGoneOn::Other { .. })), "not the key of the offer");
    let foreign = RecoveryOffer { kem: XWingPublic([0; 1216]), ..first.clone() };
    assert!(matches!(joined(vec![kept(&first), kept(&foreign)]), Err(NotGoneOn::Other { .. })));
    let often: Vec<Digest> = (0..SUCCESSIONS as u8).map(|number| Digest([number; 32])).collect();
    let last = RecoveryOffer { earlier: List::new(often).unwrap(), ..first };
    assert!(matches!(joined(vec![kept(&last)]), Err(NotGoneOn::TooOften)));
}

#[test]
fn a_holder_learns_that_it_was_superseded_or_that_the_session_is_lost() {
    let kept =
        |session, yours| KeepAnswer::Kept(Box::new(KeptOffer { offer: RecoveryOffer { session, ..offer(&[keeper(2)], &[]) }, yours }));
    let (ours, other) = (Nonce([1; 32]), Nonce([2; 32]));
    assert_eq!(stands(&kept(ours, true), &ours), Ok(()));
    assert_eq!(stands(&kept(ours, false), &ours), Err(KeepFault::Superseded));
    assert_eq!(stands(&kept(other, true), &ours), Err(KeepFault::Unknown), "it was given another one");
    assert_eq!(stands(&KeepAnswer::Nothing, &ours), Err(KeepFault::Unknown));
    let mut place = Place { address: "node-2:7000".into(), keeper: keeper(2), told: String::new(), gave: false };
    let ends = |place: &mut Place, fault: NotKept| place.passes(fault).err();
    for fault in [KeepFault::Superseded, KeepFault::Spent] {
        let ended = ends(&mut place, NotKept::Refused(fault));
        assert!(matches!(ended, Some(RecoverError::NotSole { why: RecoveryFault::Superseded, .. })), "{ended:?}");
    }
    for fault in [NotKept::OtherProcess, NotKept::Refused(KeepFault::Unknown)] {
        let ended = ends(&mut place, fault).unwrap();
        assert!(matches!(ended, RecoverError::NotSole { why: RecoveryFault::KeeperLost, .. }), "{ended:?}");
        assert!(ended.to_string().contains("slot 2") && ended.to_string().contains("custodians answer again"), "{ended}");
    }
    assert!(ends(&mut place, NotKept::Peer(PeerError::Stream("no such host".into()))).is_none(), "that may pass");
    // Plain words and bad evidence come from whoever answers at the address; a route that is bent must not cost every custodian's answer.
    let refused = handshake::refusal(RefusalCode::EvidenceRefused, "no");
    for fault in [PeerError::Refused(refused), PeerError::Version { offered: vec![9] }] {
        assert!(NotKept::Peer(fault).is_final(), "before anything is offered it is told at once");
    }
    let refused = handshake::refusal(RefusalCode::OtherCluster, "no");
    for fault in [PeerError::Refused(refused), PeerError::Version { offered: vec![9] }] {
        assert!(ends(&mut place, NotKept::Peer(fault)).is_none(), "it ends no session that custodians answered");
    }
    assert!(place.told.contains("cannot be finished") && place.told.contains("--anew"), "{}", place.told);
}

#[tokio::test(flavor = "multi_thread")]
async fn ks3_a_keeper_goes_by_the_policy_of_the_process_it_keeps_for() {
    let first = founding(60);
    let site = |chip, slot| place::site_under(first.clone(), (chip, slot), &[]);
    let (maker, keeper, excluded) = (site("genoa-1", 1), site("turin-1", 2), site("tdx-1", 3));
    let (second, to_second) = step(&first, |policy| policy.tdx.platforms = List::default());
    assert!(maker.policies.go_on(InForce::by(&first, steps(&[&to_second]).into_vec()).unwrap()));
    let none = Incarnation(0);
    let asks = async |by: &Arc<Site>| place::between((by, none), (&keeper, none), PeerPurpose::Keep, None).await.1.map(drop);
    assert!(asks(&excluded).await.is_ok(), "an old disk knows of no exclusion");
    assert!(asks(&maker).await.is_ok());
    assert_eq!(keeper.policy().version, second.version, "what it keeps is for machines of this policy");
    let refused = asks(&excluded).await;
    assert!(matches!(refused, Err(PeerError::Evidence(_))), "an old disk is no way to the key: {refused:?}");
}
