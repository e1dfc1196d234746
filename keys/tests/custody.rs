//! Custody from outside: splits, dealings, shares, recovery blobs, proofs, text.
//!
//! Decides: enough shares give the key and fewer say nothing; everything that was changed, moved or mixed up is refused by its own name.
//! Trusts: known answers computed by another program (Python), and the field's own tests. Out of scope: another implementation of the scheme
//! (`tests/tests/custody.rs`), timing (`tests/src/timing.rs`). Protocol section 6.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "custody/bench.rs"]
mod bench;
#[path = "custody/refusals.rs"]
mod refusals;
#[path = "custody/spelling.rs"]
mod spelling;
#[path = "custody/splitting.rs"]
mod splitting;

use bench::{Bench, CLUSTER, rng};
use ringwall_keys::custody::proof::ProofKey;
use ringwall_keys::custody::{BlobError, DealError, Draws, TagKey, answer_challenge, combine, open_submission, seal_keys, seal_submission};
use ringwall_keys::{CustodyUse, Keyring};
use ringwall_sim::stuck::Stuck;
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::{Field, Message};
use ringwall_wire::custody::{ShareChallenge, ShareProof};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{CustodyEpoch, Digest, Epoch, KeyEpoch, Nonce, PolicyVersion, SigPublic, Signature};
use ringwall_wire::recovery::ShareSubmission;
use ringwall_wire::secret::Secret;
use std::collections::BTreeSet;

/// Whether two rings hold the same keys.
fn same(one: &Keyring, other: &Keyring) -> bool {
    one.granted() == other.granted()
}

#[test]
fn any_two_of_three_recover_every_key_and_one_does_not() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(3);
    for pair in [[0, 1], [1, 2], [2, 0]] {
        let key = combine(&dealt.manifest, &bench.shares(&dealt, &pair)).unwrap();
        assert!(same(&key.open(&dealt.manifest, &bench.blob(&dealt)).unwrap(), &bench.ring), "{pair:?}");
    }
    assert!(combine(&dealt.manifest, &bench.shares(&dealt, &[0, 1, 2])).is_ok(), "more than enough is enough");
    for alone in 0..3 {
        let refused = combine(&dealt.manifest, &bench.shares(&dealt, &[alone])).unwrap_err();
        assert_eq!(refused, ringwall_keys::custody::CombineError::TooFew { given: 1, threshold: 2 });
    }
}

#[test]
fn any_threshold_of_any_number_is_dealt_and_recovered() {
    for (threshold, count) in [(2, 2), (3, 5), (5, 5), (2, 16), (16, 16)] {
        let mut bench = Bench::new(threshold, count);
        let dealt = bench.deal(u64::from(threshold));
        let last: Vec<usize> = (usize::from(count - threshold)..usize::from(count)).collect();
        let key = combine(&dealt.manifest, &bench.shares(&dealt, &last)).unwrap();
        assert!(same(&key.open(&dealt.manifest, &bench.blob(&dealt)).unwrap(), &bench.ring), "{threshold} of {count}");
        assert!(combine(&dealt.manifest, &bench.shares(&dealt, &last[1..])).is_err());
    }
}

#[test]
fn nothing_a_disk_and_one_custodian_have_holds_a_key_or_another_share() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(4);
    let mut seen = dealt.manifest.encode();
    dealt.envelopes.iter().for_each(|envelope| seen.extend(envelope.encode()));
    seen.extend(bench.blob(&dealt).encode());
    seen.extend(dealt.keys.to_bytes());
    let own = bench.share(&dealt, 0);
    seen.extend(own.share().encode());
    let held = |needle: &[u8]| seen.windows(needle.len()).any(|window| window == needle);
    assert!(held(own.share().y.expose()), "the search finds what is there");
    for GrantedKey { key_epoch, key } in bench.ring.granted() {
        assert!(!held(&key.expose()[..16]) && !held(&key.expose()[16..]), "key {key_epoch}");
    }
    for other in [1, 2] {
        let share = bench.share(&dealt, other);
        assert!(!held(&share.share().y.expose()[..16]) && !held(&share.share().r.expose()[..16]), "share {other}");
    }
}

#[test]
fn a_rotation_needs_no_recovery_key_and_custodians_recover_the_new_one() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(5);
    let manifest = Digest(dealt.manifest.digest());
    let mut granted = bench.ring.granted();
    granted.push(GrantedKey { key_epoch: KeyEpoch(2), key: Secret::new([0xAB; 32]) });
    let rotated = Keyring::from_grant(CLUSTER, &granted).unwrap();
    let tag = TagKey::new(bench.ring.unwrap_custody(&manifest, CustodyUse::Tag, &dealt.keys.tag).unwrap());
    let mut generator = rng(6);
    let mut draws = Draws::new(&mut generator, &rotated.custody_salt(CustodyEpoch(1)));
    let blob = seal_keys(&rotated, &dealt.manifest, &tag, Epoch(1), PolicyVersion(2), &mut draws).unwrap();
    let key = combine(&dealt.manifest, &bench.shares(&dealt, &[0, 2])).unwrap();
    assert!(same(&key.open(&dealt.manifest, &blob).unwrap(), &rotated));
    assert!(same(&key.open(&dealt.manifest, &bench.blob(&dealt)).unwrap(), &bench.ring), "the earlier blob is still what it was");
}

#[test]
fn keys_a_stranger_sealed_to_the_public_key_are_refused() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(7);
    let planted = Keyring::found(CLUSTER, &mut rng(8));
    let mut generator = rng(9);
    let mut draws = Draws::new(&mut generator, &Secret::new([1; 32]));
    let stranger = TagKey::new(Secret::new([2; 32]));
    let blob = seal_keys(&planted, &dealt.manifest, &stranger, Epoch(1), PolicyVersion(1), &mut draws).unwrap();
    let key = combine(&dealt.manifest, &bench.shares(&dealt, &[0, 1])).unwrap();
    assert_eq!(key.open(&dealt.manifest, &blob).unwrap_err(), BlobError::BadTag);
}

/// T-R11 for custody: a generator that stands still repeats no draw and gives no key away.
#[test]
fn a_generator_that_stands_still_repeats_no_draw() {
    let mut seen = BTreeSet::new();
    for custody_epoch in 1..4 {
        let mut bench = Bench::new(2, 3);
        bench.custody_epoch = CustodyEpoch(custody_epoch);
        let dealt = bench.try_deal(&mut Stuck(0)).unwrap();
        for share in bench.shares(&dealt, &[0, 1, 2]) {
            assert!(seen.insert(*share.share().y.expose()) && seen.insert(*share.share().r.expose()));
        }
        dealt.envelopes.iter().for_each(|envelope| assert!(seen.insert(envelope.kem.0[..32].try_into().unwrap())));
    }
    let (mut one, mut other) = (Stuck(7), Stuck(7));
    let salts = [Secret::new([1; 32]), Secret::new([2; 32])];
    let draws = [Draws::new(&mut one, &salts[0]).next_secret(), Draws::new(&mut other, &salts[1]).next_secret()];
    assert!(!draws[0].same(&draws[1]), "who lacks the salt cannot compute a draw");
}

#[test]
fn a_plan_that_cannot_hold_is_refused_before_anything_is_drawn() {
    let refused = |change: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::new(2, 3);
        change(&mut bench);
        bench.try_deal(&mut rng(1)).unwrap_err()
    };
    assert_eq!(refused(&|bench| bench.custodians.clear()), DealError::NoCustodians);
    for threshold in [0, 1, 4] {
        assert_eq!(refused(&|bench| bench.threshold = threshold), DealError::Threshold { threshold, custodians: 3 });
    }
    let more = |bench: &mut Bench| bench.custodians.extend(std::iter::repeat_n(bench.custodians[0].clone(), 14));
    assert_eq!(refused(&more), DealError::TooMany { named: 17 });
    let alike = |change: &dyn Fn(&mut Custodian, &Custodian)| {
        refused(&|bench| {
            let first = bench.custodians[0].clone();
            change(&mut bench.custodians[2], &first);
        })
    };
    assert!(matches!(alike(&|third, first| third.sig = first.sig), DealError::Alike { .. }));
    assert!(matches!(alike(&|third, first| third.kem = first.kem.clone()), DealError::Alike { .. }));
    for bad in [vec![], vec![0; 1_215], vec![0; 1_217], vec![0xFF; 1_216]] {
        let refused = refused(&|bench| bench.custodians[1].kem = Blob::new(bad.clone()).unwrap());
        assert!(matches!(refused, DealError::BadKey { .. }), "{} bytes: {refused:?}", bad.len());
    }
}

#[test]
fn a_submission_opens_for_its_offer_alone() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(11);
    let good = bench.share(&dealt, 1);
    let session = ringwall_keys::custody::KemSecret::from_seed(Secret::new([0x5E; 32]));
    let (offer, manifest) = (Digest([1; 32]), *good.manifest());
    let mut generator = rng(12);
    let mut draws = Draws::new(&mut generator, &good.share().r);
    let (kem, sealed) = seal_submission(&session.public(), &offer, &manifest, good.custodian(), good.share(), &mut draws).unwrap();
    let submission = ShareSubmission {
        offer,
        manifest,
        custodian: *good.custodian(),
        kem,
        sealed,
        last_epoch: Epoch(1),
        anchor: None,
        signature: Signature([0; 64]),
    };
    assert_eq!(open_submission(&session, &submission).unwrap(), *good.share());
    let moved = [
        ShareSubmission { offer: Digest([2; 32]), ..submission.clone() },
        ShareSubmission { manifest: Digest([2; 32]), ..submission.clone() },
        ShareSubmission { custodian: bench.custodians[0].id(), ..submission.clone() },
    ];
    for moved in moved {
        assert!(open_submission(&session, &moved).is_err());
    }
    let other = ringwall_keys::custody::KemSecret::from_seed(Secret::new([0x5F; 32]));
    assert!(open_submission(&other, &submission).is_err(), "another session, a drill for instance");
}

#[test]
fn a_share_is_proven_on_its_session_and_for_its_question() {
    use ringwall_keys::custody::proof::ProofError;
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(13);
    let (good, stranger) = (bench.share(&dealt, 0), bench.share(&dealt, 1));
    let wrapped = &dealt.keys.proofs[0];
    let unwrap = |id| bench.ring.unwrap_custody(good.manifest(), CustodyUse::Proof(id), &wrapped.key);
    let key = ProofKey::new(unwrap(&wrapped.custodian).unwrap());
    assert!(unwrap(stranger.custodian()).is_err(), "a proof key is unwrapped for its custodian alone");
    assert!(bench.ring.unwrap_custody(good.manifest(), CustodyUse::Tag, &wrapped.key).is_err());
    assert!(bench.ring.unwrap_custody(&Digest([3; 32]), CustodyUse::Proof(&wrapped.custodian), &wrapped.key).is_err());

    let (challenge, handshake) = (ShareChallenge { manifest: *good.manifest(), nonce: Nonce([5; 32]) }, Digest([6; 32]));
    let proof = ShareProof {
        manifest: *good.manifest(),
        custodian: *good.custodian(),
        nonce: challenge.nonce,
        handshake,
        answer: answer_challenge(&good, &challenge, &handshake),
        signature: Signature([0; 64]),
    };
    assert_eq!(key.judge(&challenge, &handshake, &proof), Ok(()));
    let other = ShareChallenge { nonce: Nonce([7; 32]), ..challenge.clone() };
    assert_eq!(key.judge(&other, &handshake, &proof), Err(ProofError::OtherQuestion));
    assert_eq!(key.judge(&challenge, &Digest([8; 32]), &proof), Err(ProofError::OtherSession));
    let answered = ShareProof { answer: answer_challenge(&stranger, &challenge, &handshake), ..proof.clone() };
    assert_eq!(key.judge(&challenge, &handshake, &answered), Err(ProofError::OtherShare));
    for byte in 0..32 {
        let mut answer = proof.answer;
        answer[byte] ^= 1;
        assert_eq!(key.judge(&challenge, &handshake, &ShareProof { answer, ..proof.clone() }), Err(ProofError::OtherShare));
    }
}

#[test]
fn two_dealings_of_the_same_keys_have_nothing_in_common() {
    let mut bench = Bench::new(2, 3);
    let first = bench.deal(14);
    bench.custody_epoch = CustodyEpoch(2);
    let second = bench.deal(14);
    assert_ne!(first.manifest.kcv, second.manifest.kcv);
    assert_ne!(first.manifest.recovery, second.manifest.recovery);
    let mixed = vec![bench.share(&first, 0), bench.share(&second, 1)];
    assert!(matches!(combine(&second.manifest, &mixed), Err(ringwall_keys::custody::CombineError::OtherManifest { .. })));
    let key = combine(&second.manifest, &bench.shares(&second, &[0, 1])).unwrap();
    assert!(matches!(key.open(&second.manifest, &bench.blob(&first)), Err(BlobError::OtherManifest { .. })));
    let custodian = bench.custodians[0].id();
    assert_eq!(custodian, Custodian { name: first.manifest.members[1].custodian.name.clone(), ..bench.custodians[0].clone() }.id());
    assert_ne!(custodian, Custodian { sig: SigPublic([0; 32]), ..bench.custodians[0].clone() }.id());
}
