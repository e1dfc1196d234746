//! Submissions that count and those that do not, over real dealings; no network, no disk.
//!
//! Decides: that each refusal is given for its own reason, names its custodian where there is one, and takes nothing from the others.
//! Trusts: `ringwall_keys::custody` for dealings. Out of scope: files, evidence.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use ed25519_dalek::{Signer as _, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use ringwall_keys::HedgedIvs;
use ringwall_keys::custody::{DealPlan, Dealt, Draws, TagKey, deal, open_share, seal_keys, seal_submission};
use ringwall_keys::ring::CustodyUse;
use ringwall_wire::bounded::{Blob, Text};
use ringwall_wire::custody::SharePlain;
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Incarnation, Nonce, PolicyVersion, Slot};
use ringwall_wire::receipt::TreePoint;
use ringwall_wire::recovery::RecoveryPurpose;
use ringwall_wire::secret::Secret;

const CLUSTER: ClusterId = ClusterId([7; 32]);

pub(crate) fn signing(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

pub(crate) fn box_of(number: u8) -> KemSecret {
    KemSecret::from_seed(Secret::new([number ^ 0x80; 32]))
}

pub(crate) fn custodian(number: u8) -> Custodian {
    Custodian {
        name: Text::new(format!("custodian {number}")).unwrap(),
        sig: SigPublic(signing(number).verifying_key().to_bytes()),
        kem: Blob::new(box_of(number).public().0.to_vec()).unwrap(),
    }
}

/// A cluster's keys, and what was dealt of them to custodians 1 to 3.
struct World {
    ring: Keyring,
    dealt: Dealt,
}

impl World {
    fn of(cluster: ClusterId, custody_epoch: u32) -> Self {
        let seed = [custody_epoch as u8 ^ cluster.0[0]; 32];
        let mut rng = ChaCha20Rng::from_seed(seed);
        let ring = Keyring::found(cluster, &mut rng);
        let custodians: Vec<Custodian> = (1..=3).map(custodian).collect();
        let plan = DealPlan {
            epoch: Epoch(1),
            custody_epoch: CustodyEpoch(custody_epoch),
            threshold: 2,
            custodians: &custodians,
            previous: Digest([0; 32]),
            policy: Digest([1; 32]),
            policy_version: PolicyVersion(1),
            dealer: Incarnation::new(Epoch(1), 1),
            dealer_sig: SigPublic([9; 32]),
        };
        let mut ivs = HedgedIvs::new(Box::new(ChaCha20Rng::from_seed(seed)), plan.dealer);
        let dealt = deal(&ring, &plan, &mut rng, &mut ivs).unwrap();
        World { ring, dealt }
    }

    fn share(&self, number: u8) -> SharePlain {
        let envelope = &self.dealt.envelopes[usize::from(number) - 1];
        let good = open_share(&self.dealt.manifest, &custodian(number).id(), envelope, &box_of(number)).unwrap();
        good.share().clone()
    }

    /// The master keys, sealed as members do; `planted` with the tag of a stranger.
    fn blob(&self, planted: bool) -> RecoveryBlob {
        let hash = Digest(self.dealt.manifest.digest());
        let tag = self.ring.unwrap_custody(&hash, CustodyUse::Tag, &self.dealt.keys.tag).unwrap();
        let tag = TagKey::new(if planted { Secret::new([3; 32]) } else { tag });
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        let mut draws = Draws::new(&mut rng, &Secret::new([6; 32]));
        seal_keys(&self.ring, &self.dealt.manifest, &tag, Epoch(1), PolicyVersion(1), &mut draws).unwrap()
    }

    fn session(&self, name: u8) -> Session {
        let kem = KemSecret::from_seed(Secret::new([name; 32]));
        let secrets = Arc::new(NodeSecrets::generate(&mut ChaCha20Rng::from_seed([name; 32])));
        let offer = RecoveryOffer {
            cluster_id: self.dealt.manifest.cluster_id,
            epoch: Epoch(1),
            purpose: RecoveryPurpose::Outage,
            custody_epoch: self.dealt.manifest.custody_epoch,
            manifest: Digest(self.dealt.manifest.digest()),
            session: Nonce([name; 32]),
            kem: kem.public(),
            slot: Slot(1),
            sig: secrets.public().sig,
            inventory: List::default(),
            replaces: None,
            keepers: List::default(),
            earlier: List::default(),
        };
        Session::new(offer, self.dealt.manifest.clone(), kem, secrets, 1)
    }
}

/// What custodian `number` sends for `offer`: any share, sealed and signed as its own.
fn submission(offer: &RecoveryOffer, number: u8, share: &SharePlain) -> ShareSubmission {
    let mut rng = ChaCha20Rng::from_seed([number; 32]);
    let mut draws = Draws::new(&mut rng, &Secret::new([8; 32]));
    let (digest, id) = (Digest(offer.digest()), custodian(number).id());
    let (kem, sealed) = seal_submission(&offer.kem, &digest, &offer.manifest, &id, share, &mut draws).unwrap();
    let unsigned = ShareSubmission {
        offer: digest,
        manifest: offer.manifest,
        custodian: id,
        kem,
        sealed,
        last_epoch: Epoch(1),
        anchor: None,
        signature: Signature([0; 64]),
    };
    signed(unsigned, number)
}

fn signed(mut submission: ShareSubmission, number: u8) -> ShareSubmission {
    submission.signature = Signature(signing(number).sign(&submission.words()).to_bytes());
    submission
}

#[test]
fn any_two_custodians_give_the_keys_and_one_does_not() {
    let world = World::of(CLUSTER, 1);
    for pair in [[1, 2], [3, 1], [2, 3]] {
        let mut session = world.session(1);
        assert!(!session.is_enough());
        for (count, number) in (1..).zip(pair) {
            let sent = submission(session.offer(), number, &world.share(number));
            assert_eq!(session.submit(&sent, 2), Ok(custodian(number).id()));
            assert_eq!(session.count(), (count, 2));
        }
        let opened = session.open(&[world.blob(false)], 3).unwrap();
        assert_eq!(opened.generations(), world.ring.generations());
        assert_eq!(session.count().0, 0, "the shares are gone");
        assert!(session.open_newer(&world.blob(false)).is_ok(), "a blob the log held");
        assert_eq!(session.open_newer(&world.blob(true)).unwrap_err(), NotOpened(RecoveryFault::BadBlob));
        session.forget();
        assert_eq!(session.open_newer(&world.blob(false)).unwrap_err(), NotOpened(RecoveryFault::NoSession), "the key is gone");
    }
    let mut alone = world.session(1);
    alone.submit(&submission(alone.offer(), 1, &world.share(1)), 2).unwrap();
    assert_eq!(alone.open(&[world.blob(false)], 3).unwrap_err(), NotOpened(RecoveryFault::OtherKey));
}

#[test]
fn whatever_does_not_count_is_refused_for_its_own_reason_and_takes_nothing_away() {
    let (world, other, older) = (World::of(CLUSTER, 2), World::of(ClusterId([8; 32]), 2), World::of(CLUSTER, 1));
    let mut session = world.session(1);
    let offer = session.offer().clone();
    session.submit(&submission(&offer, 2, &world.share(2)), 2).unwrap();
    let another = world.session(9);
    let drill = RecoveryOffer { purpose: RecoveryPurpose::Drill, ..offer.clone() };
    let good = submission(&offer, 1, &world.share(1));
    let mut altered = world.share(1);
    altered.y = Secret::new([1; 32]);
    let mut forged = good.clone();
    forged.last_epoch = Epoch(9);
    let resealed = ShareSubmission { sealed: submission(another.offer(), 1, &world.share(1)).sealed, ..good.clone() };
    let cases = [
        ("another session's", submission(another.offer(), 1, &world.share(1)), RecoveryFault::OtherSession),
        ("a drill's", submission(&drill, 1, &world.share(1)), RecoveryFault::OtherSession),
        ("another manifest's", signed(ShareSubmission { manifest: Digest([5; 32]), ..good.clone() }, 1), RecoveryFault::OtherManifest),
        ("a stranger's", submission(&offer, 9, &world.share(1)), RecoveryFault::NotCustodian),
        ("changed on its way", forged, RecoveryFault::BadSignature),
        ("signed by another custodian", signed(good.clone(), 3), RecoveryFault::BadSignature),
        ("the same again", submission(&offer, 2, &world.share(2)), RecoveryFault::Already),
        ("sealed elsewhere", signed(resealed, 1), RecoveryFault::NotSealedHere),
        ("somebody else's share", submission(&offer, 1, &world.share(3)), RecoveryFault::OtherShare),
        ("an altered share", submission(&offer, 1, &altered), RecoveryFault::OtherShare),
        ("another cluster's share", submission(&offer, 1, &other.share(1)), RecoveryFault::NotAShare),
    ];
    for (what, sent, fault) in &cases {
        assert_eq!(session.submit(sent, 3), Err(*fault), "{what}");
        assert_eq!(session.count(), (1, 2), "{what} costs nobody else");
    }
    // Four of them are a custodian's own fault, and named; the fifth ends the session.
    let blamed = |session: &Session| {
        let refused = session.audit.events().iter().filter(|event| matches!(event.what, AuditWhat::Refused(_)));
        refused.count()
    };
    assert_eq!(blamed(&session), 4);
    assert_eq!(session.submit(&cases[9].1, 4), Err(RecoveryFault::OtherShare), "brought again by whoever");
    assert!(!session.is_over(), "the same one is refused once");
    let mut going_on = world.session(1);
    for (_, sent, _) in &cases {
        let _ = going_on.submit(sent, 3);
    }
    assert_eq!(going_on.submit(&good, 4), Ok(custodian(1).id()), "a custodian that erred may still be right");
    let old = submission(&offer, 1, &older.share(1));
    assert_eq!(session.submit(&old, 5), Err(RecoveryFault::NotAShare), "a share of the dealing before");
    assert!(session.is_over());
    assert_eq!(session.submit(&good, 6), Err(RecoveryFault::TooManyRefused));
    assert_eq!(session.progress().step, RecoveryStep::Ended);
}

#[test]
fn an_answer_to_an_offer_of_the_same_session_before_counts_and_to_another_one_does_not() {
    let world = World::of(CLUSTER, 1);
    let first = world.session(1);
    let kem = KemSecret::from_seed(Secret::new([1; 32]));
    let secrets = Arc::new(NodeSecrets::generate(&mut ChaCha20Rng::from_seed([2; 32])));
    let earlier = List::new(vec![Digest(first.offer().digest())]).unwrap();
    let offer = RecoveryOffer { slot: Slot(2), sig: secrets.public().sig, earlier, ..first.offer().clone() };
    let unnamed = RecoveryOffer { slot: Slot(3), ..first.offer().clone() };
    let mut session = Session::new(offer.clone(), world.dealt.manifest.clone(), kem, secrets, 1);
    assert_eq!(session.submit(&submission(&unnamed, 3, &world.share(3)), 2), Err(RecoveryFault::OtherSession), "sealed to the same key");
    assert_eq!(session.submit(&submission(first.offer(), 1, &world.share(1)), 2), Ok(custodian(1).id()));
    assert_eq!(session.submit(&submission(&offer, 1, &world.share(1)), 2), Err(RecoveryFault::Already), "both were answered");
    assert_eq!(session.submit(&submission(&offer, 2, &world.share(2)), 2), Ok(custodian(2).id()));
    assert!(session.open(&[world.blob(false)], 3).is_ok());
}

#[test]
fn keys_a_host_planted_are_passed_over() {
    let world = World::of(CLUSTER, 1);
    let opened = |blobs: &[RecoveryBlob]| {
        let mut session = world.session(1);
        for number in [1, 2] {
            session.submit(&submission(session.offer(), number, &world.share(number)), 2).unwrap();
        }
        session.open(blobs, 3)
    };
    assert_eq!(opened(&[world.blob(true)]).unwrap_err(), NotOpened(RecoveryFault::BadBlob));
    assert_eq!(opened(&[]).unwrap_err(), NotOpened(RecoveryFault::NoBlob));
    assert!(opened(&[world.blob(true), world.blob(false)]).is_ok());
}

#[test]
fn a_loss_needs_every_custodian_and_the_very_same_terms() {
    let world = World::of(CLUSTER, 1);
    let mut session = world.session(1);
    let terms = |size| LossTerms {
        session: Nonce([1; 32]),
        claims: Digest([2; 32]),
        chosen: TreePoint { size, root: Digest([3; 32]) },
        missing: 2,
        voters: 3,
    };
    let word = |number: u8, terms: &LossTerms| LossSignature {
        custodian: custodian(number).id(),
        signature: Signature(signing(number).sign(&terms.words(&CLUSTER)).to_bytes()),
    };
    let asked = |size| LossAsked { terms: terms(size), taken: Incarnation::new(Epoch(1), 2), absent: List::default(), known: size };
    assert_eq!(session.accept_loss(&word(1, &terms(10)), 1), Err(RecoveryFault::NoSession), "nobody asked");
    session.ask_loss(asked(10), 1);
    session.ask_loss(asked(10), 2);
    assert_eq!(session.progress().loss, Some(terms(10)));
    let told = |session: &Session| -> Vec<u64> {
        let events = session.audit.events().iter();
        events
            .filter_map(|event| if let AuditWhat::LossAsked(asked) = &event.what { Some(asked.terms.chosen.size) } else { None })
            .collect()
    };
    assert_eq!(told(&session), [10], "asked twice, it is one question, under the node's signature");
    for number in [1, 2] {
        session.accept_loss(&word(number, &terms(10)), 1).unwrap();
    }
    assert_eq!(session.accepted_loss(), None, "the threshold is not everybody");
    assert_eq!(session.accept_loss(&word(2, &terms(10)), 1), Err(RecoveryFault::Already));
    assert_eq!(session.accept_loss(&word(9, &terms(10)), 1), Err(RecoveryFault::NotCustodian));
    assert_eq!(session.accept_loss(&word(3, &terms(11)), 1), Err(RecoveryFault::BadSignature), "of another loss");
    session.accept_loss(&word(3, &terms(10)), 1).unwrap();
    let accepted = session.accepted_loss().unwrap();
    assert_eq!((accepted.terms, accepted.signatures.len()), (terms(10), 3));
    session.ask_loss(asked(12), 2);
    assert_eq!(told(&session), [10, 12]);
    assert_eq!(session.accepted_loss(), None, "more disks came: what was accepted was something else");
}

#[test]
fn the_audit_is_one_signed_chain() {
    let world = World::of(CLUSTER, 1);
    let mut session = world.session(1);
    for number in [1, 2] {
        session.submit(&submission(session.offer(), number, &world.share(number)), 2).unwrap();
    }
    session.open(&[world.blob(false)], 3).unwrap();
    let progress = session.progress();
    let mut previous = Digest([0; 32]);
    for (number, event) in (1_u64..).zip(progress.audit.iter()) {
        assert_eq!((event.number, event.previous, event.session), (number, previous, progress.session));
        assert!(is_signed(&session.offer().sig, &event.words(&CLUSTER), &event.signature));
        previous = Digest(event.digest());
    }
    assert_eq!((progress.audit.len(), previous), (4, session.audit.last()), "offered, two shares, opened");
    for _ in 0..1_000 {
        session.audit.note(4, AuditWhat::Offered(Digest([1; 32])));
    }
    session.end(5, RecoveryFault::Ended);
    let progress = session.progress();
    assert!(matches!(progress.audit.last().unwrap().what, AuditWhat::Ended(RecoveryFault::Ended)), "how it ended is always told");
}
