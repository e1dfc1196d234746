//! The recovery key: what good shares give, and what it opens.
//!
//! Decides: shares of one manifest, at distinct places, as many as the threshold, give a key; it is the dealing's if its check value and its public
//! half are the manifest's. Master keys are sealed to the public half, so that members need not keep what opens them, and carry a tag that only
//! members can make, so that a host cannot plant keys of its own. The tag is compared before anything is opened.
//! Trusts: nothing but the manifest. Out of scope: claims, choice, epoch start (`node`). Protocol sections 6.1, D4 and 6.2, DR2.

use super::draws::Draws;
use super::envelope::{EnvelopeError, KemSecret, seal};
use super::share::GoodShare;
use super::split::{PointError, interpolate};
use crate::derive::{Purpose, expand};
use crate::ring::{Keyring, KeyringError};
use alloc::vec::Vec;
use hmac::{Hmac, KeyInit, Mac};
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::custody::{CustodyManifest, RecoveryBlob, RecoveryKeys};
use ringwall_wire::ids::{ClusterId, CustodianId, CustodyEpoch, Digest, Epoch, KeyEpoch, PolicyVersion, XWingPublic};
use ringwall_wire::secret::{Secret, wash_stack};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Why shares give no recovery key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// A share was judged against another manifest.
    #[error("the share of custodian {custodian} was judged against another manifest")]
    OtherManifest {
        /// Whose.
        custodian: CustodianId,
    },
    /// There are too few.
    #[error("{given} good shares, {threshold} are needed")]
    TooFew {
        /// How many there are.
        given: usize,
        /// How many are needed.
        threshold: u8,
    },
    /// They do not go together.
    #[error(transparent)]
    Points(#[from] PointError),
    /// They gave another key than the one that was dealt, although each is the share that was dealt: whoever dealt did not split one key.
    #[error("the shares gave another key than the manifest's: the dealing itself was wrong")]
    OtherKey,
}

/// Why a recovery blob was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// It is of another dealing.
    #[error("the blob belongs to manifest {got}, wanted is {wanted}")]
    OtherManifest {
        /// Manifest it names.
        got: Digest,
        /// Manifest of the shares.
        wanted: Digest,
    },
    /// No member made it, or it was altered.
    #[error("the blob's tag is not a member's: it was altered, or somebody else made it")]
    BadTag,
    /// It does not open, or holds something else.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// What it holds is no ring of keys.
    #[error("what the blob holds is no ring of keys: {0}")]
    Keyring(#[from] KeyringError),
    /// The newest key inside is not the one outside.
    #[error("the blob holds keys up to generation {inside} and says {outside}")]
    OtherKeys {
        /// Newest inside.
        inside: KeyEpoch,
        /// What it says.
        outside: KeyEpoch,
    },
    /// More keys are alive than a blob holds.
    #[error("{alive} keys are alive, a blob holds fewer")]
    TooManyKeys {
        /// How many.
        alive: usize,
    },
}

/// The recovery key of one dealing. Exists while shares are dealt or combined; wiped when dropped.
pub struct RecoveryKey {
    cluster_id: ClusterId,
    custody_epoch: CustodyEpoch,
    key: Secret<32>,
}

impl core::fmt::Debug for RecoveryKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "RecoveryKey({})", self.custody_epoch)
    }
}

/// What members make the tags of recovery blobs with.
pub struct TagKey(Secret<32>);

impl core::fmt::Debug for TagKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("TagKey")
    }
}

impl TagKey {
    /// Takes the key that [`Keyring::unwrap_custody`] gave.
    pub fn new(key: Secret<32>) -> Self {
        TagKey(key)
    }

    /// The key, to be wrapped.
    pub fn expose(&self) -> &Secret<32> {
        &self.0
    }

    fn tag(&self, blob: &RecoveryBlob, cluster_id: &ClusterId) -> [u8; 32] {
        mac(&self.0, &blob.tagged(cluster_id))
    }
}

impl RecoveryKey {
    pub(crate) fn new(cluster_id: ClusterId, custody_epoch: CustodyEpoch, key: Secret<32>) -> Self {
        RecoveryKey { cluster_id, custody_epoch, key }
    }

    pub(crate) fn expose(&self) -> &Secret<32> {
        &self.key
    }

    fn derive<const N: usize>(&self, purpose: Purpose) -> Secret<N> {
        expand(&self.key, purpose, &[&self.cluster_id.0, &self.custody_epoch.0.to_be_bytes()])
    }

    /// Tells this key from another one.
    pub fn kcv(&self) -> [u8; 16] {
        *self.derive::<16>(Purpose::CustodyKcv).expose()
    }

    /// What master keys are sealed to.
    pub fn public(&self) -> XWingPublic {
        self.pair().public()
    }

    /// What the tags of blobs are made with.
    pub fn tag_key(&self) -> TagKey {
        TagKey(self.derive(Purpose::RecoveryTag))
    }

    /// Opens a blob of this dealing: tag first.
    pub fn open(&self, manifest: &CustodyManifest, blob: &RecoveryBlob) -> Result<Keyring, BlobError> {
        let wanted = Digest(manifest.digest());
        if blob.manifest != wanted {
            return Err(BlobError::OtherManifest { got: blob.manifest, wanted });
        }
        if !bool::from(self.tag_key().tag(blob, &self.cluster_id).ct_eq(&blob.tag)) {
            return Err(BlobError::BadTag);
        }
        let info = RecoveryBlob::purpose(&self.cluster_id, &wanted, blob.epoch, blob.policy_version, blob.newest_key);
        let mut plain = self.pair().open(&info, &blob.kem, &blob.sealed)?;
        let keys = RecoveryKeys::decode(&plain);
        plain.zeroize();
        let keys = keys.map_err(|fault: DecodeError| EnvelopeError::NotThat { fault })?;
        let ring = Keyring::from_grant(self.cluster_id, &keys.keys)?;
        match ring.newest() == blob.newest_key {
            true => Ok(ring),
            false => Err(BlobError::OtherKeys { inside: ring.newest(), outside: blob.newest_key }),
        }
    }

    fn pair(&self) -> KemSecret {
        KemSecret::from_seed(self.derive(Purpose::RecoverySeed))
    }
}

/// Combines good shares of one manifest.
pub fn combine(manifest: &CustodyManifest, shares: &[GoodShare]) -> Result<RecoveryKey, CombineError> {
    let combined = combined(manifest, shares);
    wash_stack();
    combined
}

#[inline(never)]
fn combined(manifest: &CustodyManifest, shares: &[GoodShare]) -> Result<RecoveryKey, CombineError> {
    let hash = Digest(manifest.digest());
    if let Some(other) = shares.iter().find(|share| *share.manifest() != hash) {
        return Err(CombineError::OtherManifest { custodian: *other.custodian() });
    }
    if shares.len() < usize::from(manifest.threshold) {
        return Err(CombineError::TooFew { given: shares.len(), threshold: manifest.threshold });
    }
    let points: Vec<(u8, &Secret<32>)> = shares.iter().map(|good| (good.share().x, &good.share().y)).collect();
    let key = RecoveryKey::new(manifest.cluster_id, manifest.custody_epoch, interpolate(&points)?);
    let fits = key.kcv().ct_eq(&manifest.kcv) & key.public().0.as_slice().ct_eq(manifest.recovery.0.as_slice());
    match bool::from(fits) {
        true => Ok(key),
        false => Err(CombineError::OtherKey),
    }
}

/// Seals all live keys of `ring` to the dealing's public recovery key: at a dealing, and again at every rotation while it is active.
pub fn seal_keys(
    ring: &Keyring,
    manifest: &CustodyManifest,
    tag_key: &TagKey,
    epoch: Epoch,
    policy_version: PolicyVersion,
    draws: &mut Draws<'_>,
) -> Result<RecoveryBlob, BlobError> {
    let granted: Vec<GrantedKey> = ring.granted();
    let alive = granted.len();
    let keys = List::new(granted).map_err(|_| BlobError::TooManyKeys { alive })?;
    let mut plain = RecoveryKeys { keys }.encode();
    let (hash, newest_key) = (Digest(manifest.digest()), ring.newest());
    let info = RecoveryBlob::purpose(ring.cluster_id(), &hash, epoch, policy_version, newest_key);
    let sealed = seal(&manifest.recovery, &info, &plain, draws);
    plain.zeroize();
    let (kem, sealed) = sealed?;
    let sealed = Blob::new(sealed).expect("LIVE_KEYS keys fit SEALED_KEYS_BYTES");
    let mut blob = RecoveryBlob { manifest: hash, epoch, policy_version, newest_key, kem, sealed, tag: [0; 32] };
    blob.tag = tag_key.tag(&blob, ring.cluster_id());
    Ok(blob)
}

/// HMAC-SHA-256, and nothing of the key left on the stack.
pub(crate) fn mac(key: &Secret<32>, words: &[u8]) -> [u8; 32] {
    let tag = hmac(key, words);
    wash_stack();
    tag
}

#[inline(never)]
fn hmac(key: &Secret<32>, words: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    mac.update(words);
    mac.finalize().into_bytes().into()
}
