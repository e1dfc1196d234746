//! T-K2: shares, envelopes and blobs that are wrong, old, swapped, moved, altered or cut, each refused by its own name.
//!
//! Decides: which error which mistake gets. Trusts: the bench. Out of scope: signatures, which stand before all this. Protocol section 6.

use super::bench::{Bench, rng};
use ringwall_keys::custody::{
    BlobError, CombineError, Draws, EnvelopeError, GoodShare, ShareError, TagKey, combine, open_share, seal_submission, split::PointError,
};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message;
use ringwall_wire::custody::{CustodyManifest, RecoveryBlob, SHARE_VERSION, ShareEnvelope, SharePlain};
use ringwall_wire::ids::{ClusterId, CustodianId, CustodyEpoch, Digest, Epoch, KeyEpoch, PolicyVersion, XWingPublic};
use ringwall_wire::secret::Secret;
use ringwall_wire::text::{hex, read_hex_vec};

/// A fresh copy of the share of custodian `at`.
fn plain(bench: &Bench, dealt: &ringwall_keys::custody::Dealt, at: usize) -> SharePlain {
    SharePlain::decode(&bench.share(dealt, at).share().encode()).unwrap()
}

#[test]
fn every_wrong_share_is_named() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(31);
    let id = bench.custodians[0].id();
    let judged = |share: SharePlain| GoodShare::judge(&dealt.manifest, &id, share).unwrap_err();
    let good = || plain(&bench, &dealt, 0);
    assert!(GoodShare::judge(&dealt.manifest, &id, good()).is_ok());
    assert_eq!(judged(SharePlain { version: 2, ..good() }), ShareError::OtherVersion { got: 2 });
    let (got, wanted) = (ClusterId([9; 32]), dealt.manifest.cluster_id);
    assert_eq!(judged(SharePlain { cluster_id: got, ..good() }), ShareError::OtherCluster { got, wanted });
    let (got, wanted) = (CustodyEpoch(0), CustodyEpoch(1));
    assert_eq!(judged(SharePlain { custody_epoch: got, ..good() }), ShareError::OtherDealing { got, wanted });
    assert_eq!(judged(SharePlain { x: 2, ..good() }), ShareError::OtherPlace { got: 2, wanted: 1 });
    assert_eq!(judged(plain(&bench, &dealt, 1)), ShareError::OtherPlace { got: 2, wanted: 1 }, "somebody else's");
    let stranger = CustodianId([3; 20]);
    let refused = GoodShare::judge(&dealt.manifest, &stranger, good()).unwrap_err();
    assert_eq!(refused, ShareError::NotCustodian { custodian: stranger });
}

#[test]
fn every_altered_byte_of_a_share_breaks_its_commitment() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(32);
    let id = bench.custodians[0].id();
    for byte in 0..32 {
        let altered = |secret: &Secret<32>| {
            let mut bytes = *secret.expose();
            bytes[byte] ^= 0x10;
            Secret::new(bytes)
        };
        let good = plain(&bench, &dealt, 0);
        for share in [SharePlain { y: altered(&good.y), ..good.clone() }, SharePlain { r: altered(&good.r), ..good.clone() }] {
            let refused = GoodShare::judge(&dealt.manifest, &id, share).unwrap_err();
            assert_eq!(refused, ShareError::OtherCommitment { x: 1 }, "byte {byte}");
        }
    }
}

#[test]
fn an_old_share_is_refused_after_a_new_dealing() {
    let mut bench = Bench::new(2, 3);
    let first = bench.deal(33);
    bench.custody_epoch = CustodyEpoch(2);
    let second = bench.deal(34);
    let id = bench.custodians[0].id();
    let refused = GoodShare::judge(&second.manifest, &id, plain(&bench, &first, 0)).unwrap_err();
    assert_eq!(refused, ShareError::OtherDealing { got: CustodyEpoch(1), wanted: CustodyEpoch(2) });
    let relabelled = SharePlain { custody_epoch: CustodyEpoch(2), ..plain(&bench, &first, 0) };
    assert_eq!(GoodShare::judge(&second.manifest, &id, relabelled).unwrap_err(), ShareError::OtherCommitment { x: 1 });
}

#[test]
fn every_wrong_envelope_is_named() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(35);
    let id = bench.custodians[0].id();
    let good = dealt.envelopes[0].clone();
    let open = |envelope: &ShareEnvelope| open_share(&dealt.manifest, &id, envelope, &bench.secrets[0]).unwrap_err();
    let wanted = Digest(dealt.manifest.digest());
    let got = Digest([1; 32]);
    assert_eq!(open(&ShareEnvelope { manifest: got, ..good.clone() }), ShareError::OtherManifest { got, wanted });
    let other = bench.custodians[1].id();
    assert_eq!(open(&dealt.envelopes[1]), ShareError::OtherCustodian { got: other, wanted: id });
    let not_here = ShareError::Envelope(EnvelopeError::NotSealedHere);
    assert_eq!(open(&ShareEnvelope { custodian: id, ..dealt.envelopes[1].clone() }), not_here, "another's envelope under one's own name");
    assert_eq!(open(&ShareEnvelope { x: 2, ..good.clone() }), not_here, "another place");
    let refused = open_share(&dealt.manifest, &id, &good, &bench.secrets[1]).unwrap_err();
    assert_eq!(refused, not_here, "another key");
    for cut in 0..good.sealed.len() {
        let sealed = Blob::new(&good.sealed[..cut]).unwrap();
        assert_eq!(open(&ShareEnvelope { sealed, ..good.clone() }), not_here, "cut to {cut}");
    }
    for byte in 0..good.sealed.len() {
        let mut sealed = good.sealed.to_vec();
        sealed[byte] ^= 1;
        assert_eq!(open(&ShareEnvelope { sealed: Blob::new(sealed).unwrap(), ..good.clone() }), not_here, "byte {byte}");
    }
    for byte in (0..1_120).step_by(61).chain([1_087, 1_088, 1_119]) {
        let mut kem = good.kem;
        kem.0[byte] ^= 1;
        assert_eq!(open(&ShareEnvelope { kem, ..good.clone() }), not_here, "byte {byte} of the encapsulated key");
    }
}

/// The commitment is what the custodian was promised: a dealer that seals another share is caught before anything is acknowledged.
#[test]
fn an_envelope_with_another_share_inside_is_caught() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(36);
    let wrong = SharePlain { y: Secret::new([0; 32]), ..plain(&bench, &dealt, 0) };
    let id = bench.custodians[0].id();
    assert_eq!(GoodShare::judge(&dealt.manifest, &id, wrong).unwrap_err(), ShareError::OtherCommitment { x: 1 });
    let swapped = {
        let mut manifest = dealt.manifest.clone();
        let mut members = manifest.members.clone().into_vec();
        let (one, other) = (members[0].commitment, members[1].commitment);
        members[0].commitment = other;
        members[1].commitment = one;
        manifest.members = ringwall_wire::bounded::List::new(members).unwrap();
        manifest
    };
    let refused = GoodShare::judge(&swapped, &id, plain(&bench, &dealt, 0)).unwrap_err();
    assert_eq!(refused, ShareError::OtherCommitment { x: 1 });
}

#[test]
fn what_is_sealed_and_is_no_share_is_named() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(37);
    let mut generator = rng(38);
    let share = plain(&bench, &dealt, 0);
    let mut draws = Draws::new(&mut generator, &share.r);
    let bad = XWingPublic([0xFF; 1216]);
    let refused = seal_submission(&bad, &Digest([0; 32]), &Digest([0; 32]), &bench.custodians[0].id(), &share, &mut draws);
    assert_eq!(refused.unwrap_err(), EnvelopeError::BadKey { len: 1_216 });
    let bytes = share.encode();
    for cut in [0, 1, bytes.len() - 1] {
        assert!(SharePlain::decode(&bytes[..cut]).is_err());
    }
    assert_eq!(share.version, SHARE_VERSION);
}

#[test]
fn shares_that_do_not_go_together_are_refused() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(39);
    let twice = vec![bench.share(&dealt, 1), bench.share(&dealt, 1)];
    assert_eq!(combine(&dealt.manifest, &twice).unwrap_err(), CombineError::Points(PointError::Twice { x: 2 }));
    assert_eq!(combine(&dealt.manifest, &[]).unwrap_err(), CombineError::TooFew { given: 0, threshold: 2 });
    // A manifest that says another key: every share is good by it, and the key is not.
    for change in [|manifest: &mut CustodyManifest| manifest.kcv[0] ^= 1, |manifest: &mut CustodyManifest| manifest.recovery.0[1_200] ^= 1]
    {
        let mut lying = dealt.manifest.clone();
        change(&mut lying);
        let shares: Vec<GoodShare> =
            (0..2).map(|at| GoodShare::judge(&lying, &bench.custodians[at].id(), plain(&bench, &dealt, at)).unwrap()).collect();
        assert_eq!(combine(&lying, &shares).unwrap_err(), CombineError::OtherKey);
        assert!(matches!(combine(&dealt.manifest, &shares), Err(CombineError::OtherManifest { .. })));
    }
}

#[test]
fn every_altered_part_of_a_blob_breaks_its_tag() {
    let mut bench = Bench::new(2, 3);
    let dealt = bench.deal(40);
    let key = combine(&dealt.manifest, &bench.shares(&dealt, &[0, 1])).unwrap();
    let good = bench.blob(&dealt);
    let open = |blob: &RecoveryBlob| key.open(&dealt.manifest, blob).unwrap_err();
    assert_eq!(open(&RecoveryBlob { epoch: Epoch(2), ..good.clone() }), BlobError::BadTag);
    assert_eq!(open(&RecoveryBlob { policy_version: PolicyVersion(2), ..good.clone() }), BlobError::BadTag);
    assert_eq!(open(&RecoveryBlob { newest_key: KeyEpoch(2), ..good.clone() }), BlobError::BadTag);
    for byte in 0..good.sealed.len() {
        let mut sealed = good.sealed.to_vec();
        sealed[byte] ^= 0x80;
        assert_eq!(open(&RecoveryBlob { sealed: Blob::new(sealed).unwrap(), ..good.clone() }), BlobError::BadTag, "byte {byte}");
    }
    for byte in 0..32 {
        let mut blob = good.clone();
        blob.tag[byte] ^= 1;
        assert_eq!(open(&blob), BlobError::BadTag);
        let mut blob = good.clone();
        blob.kem.0[byte * 35] ^= 1;
        assert_eq!(open(&blob), BlobError::BadTag);
    }
    let got = Digest([1; 32]);
    let wanted = Digest(dealt.manifest.digest());
    assert_eq!(open(&RecoveryBlob { manifest: got, ..good }), BlobError::OtherManifest { got, wanted });
}

/// Known answers, from another program: what a share commits to and what its proof key answers.
#[test]
fn commitments_and_proofs_have_their_known_answers() {
    use ringwall_keys::custody::proof::ProofKey;
    use ringwall_wire::custody::{ShareChallenge, ShareProof};
    use ringwall_wire::ids::{Nonce, Signature};
    let share = SharePlain {
        version: 1,
        cluster_id: ClusterId([0x11; 32]),
        custody_epoch: CustodyEpoch(7),
        x: 3,
        y: Secret::new([0x22; 32]),
        r: Secret::new([0x33; 32]),
    };
    assert_eq!(hex(&share.commitment().0), "a4b29e23227295cb6e6bc8dde0c51e4eea76ab4f4b5342bc443aa1d97934ed32");
    let key = read_hex_vec("bf209b680f2557cfc57532a0b3ad8d2a8166ceecdd2503e9c84b779900f91cc6").unwrap();
    let answer = read_hex_vec("821d42a8e7aec9322ca54b269d6d32ab54578b943a1ee5413196cd35ba38095f").unwrap();
    let challenge = ShareChallenge { manifest: Digest([0x44; 32]), nonce: Nonce([0x66; 32]) };
    let proof = ShareProof {
        manifest: challenge.manifest,
        custodian: CustodianId([0x55; 20]),
        nonce: challenge.nonce,
        handshake: Digest([0x77; 32]),
        answer: answer.try_into().unwrap(),
        signature: Signature([0; 64]),
    };
    let key = ProofKey::new(Secret::new(key.try_into().unwrap()));
    assert_eq!(key.judge(&challenge, &Digest([0x77; 32]), &proof), Ok(()));
    let stranger = TagKey::new(Secret::new([0; 32]));
    assert_eq!(format!("{key:?} {stranger:?}"), "ProofKey TagKey", "keys are not printed");
}
