//! Target `custody`: shares as text, and what carries them.
//!
//! Decides: text that is read is spelled again as the same share; no bytes are a good share of a dealing nobody made, open with a key nobody sealed to, or
//! pass for a member's blob. Trusts: nothing. Out of scope: how inputs are found. Protocol section 6.

use super::message;
use ringwall_keys::custody::spelled::{read_share, share_line, share_words};
use ringwall_keys::custody::{GoodShare, KemSecret, open_share, open_submission};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, ManifestMember, ShareEnvelope, SharePlain};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{
    ClusterId, CustodyEpoch, Digest, Epoch, Incarnation, KeyEpoch, PolicyVersion, SigPublic, XWingCiphertext, XWingPublic,
};
use ringwall_wire::recovery::ShareSubmission;
use ringwall_wire::secret::Secret;
use std::sync::LazyLock;

const CLUSTER: ClusterId = ClusterId([0x11; 32]);

/// A dealing nobody made: its commitment is of no share that can be found.
static MANIFEST: LazyLock<CustodyManifest> = LazyLock::new(|| {
    let custodian = Custodian { name: Default::default(), sig: SigPublic([1; 32]), kem: Blob::default() };
    CustodyManifest {
        cluster_id: CLUSTER,
        epoch: Epoch(1),
        custody_epoch: CustodyEpoch(7),
        threshold: 2,
        members: List::new(vec![ManifestMember { custodian, x: 3, commitment: Digest([0; 32]) }]).expect("one"),
        kcv: [0; 16],
        recovery: XWingPublic([0; 1216]),
        previous: Digest([0; 32]),
        policy: Digest([0; 32]),
        policy_version: PolicyVersion(1),
        oldest_key: KeyEpoch(1),
        newest_key: KeyEpoch(1),
        dealer: Incarnation::new(Epoch(1), 1),
        dealer_sig: SigPublic([2; 32]),
    }
});

/// The first byte says what the rest is.
pub(super) fn custody(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let (secret, id) = (KemSecret::from_seed(Secret::new([5; 32])), MANIFEST.members.first().expect("one").id());
    match which % 4 {
        0 => {
            let Ok(share) = read_share(&String::from_utf8_lossy(bytes), &CLUSTER) else { return };
            for text in [share_words(&share), share_line(&share)] {
                assert_eq!(read_share(&text, &CLUSTER).as_ref(), Ok(&share), "what is read is spelled the same");
            }
        }
        1 => {
            let Some(share) = message::<SharePlain>(bytes) else { return };
            assert!(GoodShare::judge(&MANIFEST, &id, share).is_err(), "nobody dealt this share");
        }
        2 => {
            let Some(envelope) = message::<ShareEnvelope>(bytes) else { return };
            let here = ShareEnvelope { manifest: Digest(MANIFEST.digest()), custodian: id, ..envelope };
            assert!(open_share(&MANIFEST, &id, &here, &secret).is_err(), "nobody sealed this to the key");
        }
        _ => {
            let Some(submission) = message::<ShareSubmission>(bytes) else { return };
            assert!(open_submission(&secret, &submission).is_err(), "nobody sealed this to the key");
        }
    }
}

/// Its seeds: name and bytes, the choice in front.
pub(super) fn seeds() -> Vec<(&'static str, u8, Vec<u8>)> {
    let share = SharePlain {
        version: 1,
        cluster_id: CLUSTER,
        custody_epoch: CustodyEpoch(7),
        x: 3,
        y: Secret::new([0x22; 32]),
        r: Secret::new([0x33; 32]),
    };
    let kem = XWingCiphertext([0x44; 1120]);
    let sealed = || Blob::new([0x55; 200]).expect("short");
    let custodian = MANIFEST.members.first().expect("one").id();
    let envelope = ShareEnvelope { manifest: Digest([0x66; 32]), custodian, x: 3, kem, sealed: sealed() };
    let submission = ShareSubmission {
        offer: Digest([0x77; 32]),
        manifest: Digest([0x66; 32]),
        custodian,
        kem,
        sealed: sealed(),
        last_epoch: Epoch(1),
        anchor: None,
        signature: ringwall_wire::ids::Signature([0x88; 64]),
    };
    vec![
        ("words", 0, share_words(&share).as_bytes().to_vec()),
        ("line", 0, share_line(&share).as_bytes().to_vec()),
        ("share", 1, share.encode()),
        ("envelope", 2, envelope.encode()),
        ("submission", 3, submission.encode()),
    ]
}
