//! Sealing to a public key: HPKE (RFC 9180), base mode, KEM X-Wing (0x647a), KDF HKDF-SHA-256, AEAD AES-256-GCM.
//!
//! Decides: the one suite, empty associated data, one message a context; what a message is bound to is its `info`, and every `info` here is an
//! encoding with a label of its own. Shares travel to custodians and back to recovering nodes in this form.
//! Trusts: the caller to know whose key it is. Base mode says nothing about the sender: manifests and submissions are signed.
//! Out of scope: recovery blobs (`recovered.rs`), which use the same suite. Protocol sections 6.1, D4 and 6.2, DR1.

use super::draws::Draws;
use alloc::vec::Vec;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::custody::{ShareEnvelope, SharePlain};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{CustodianId, Digest, XWingCiphertext, XWingPublic};
use ringwall_wire::limits::SEALED_SHARE_BYTES;
use ringwall_wire::recovery::ShareSubmission;
use ringwall_wire::secret::{Secret, wash_stack};
use zeroize::Zeroize;

/// Why something sealed to a public key was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes are no X-Wing public key.
    #[error("these {len} bytes are no X-Wing public key (1,216 bytes, each part in range)")]
    BadKey {
        /// How many there are.
        len: usize,
    },
    /// The box does not open here: other key, other purpose, or altered.
    #[error("it does not open with this key for this purpose: it was sealed to somebody else, belongs elsewhere, or was altered")]
    NotSealedHere,
    /// It opens, and what is inside is not what should be.
    #[error("it opens, and what is inside is not what should be: {fault}")]
    NotThat {
        /// What is wrong.
        fault: DecodeError,
    },
}

/// The secret half of an X-Wing key pair: a seed of 32 bytes.
pub struct KemSecret(Secret<32>);

impl core::fmt::Debug for KemSecret {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("KemSecret")
    }
}

impl KemSecret {
    /// The key pair of this seed.
    pub fn from_seed(seed: Secret<32>) -> Self {
        KemSecret(seed)
    }

    /// The seed, for whoever keeps it.
    pub fn seed(&self) -> &Secret<32> {
        &self.0
    }

    /// The public half.
    pub fn public(&self) -> XWingPublic {
        let bytes = XWing::sk_to_pk(&self.private()).to_bytes();
        wash_stack();
        let mut public = [0; 1216];
        public.copy_from_slice(&bytes);
        XWingPublic(public)
    }

    /// Opens what was sealed to the public half.
    #[inline(never)]
    pub(crate) fn open(&self, info: &[u8], kem: &XWingCiphertext, sealed: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        let kem = <XWing as Kem>::EncappedKey::from_bytes(&kem.0).map_err(|_| EnvelopeError::NotSealedHere)?;
        let opened = single_shot_open::<AesGcm256, HkdfSha256, XWing>(&OpModeR::Base, &self.private(), &kem, info, sealed, b"");
        wash_stack();
        opened.map_err(|_| EnvelopeError::NotSealedHere)
    }

    fn private(&self) -> <XWing as Kem>::PrivateKey {
        <XWing as Kem>::PrivateKey::from_bytes(self.0.expose()).expect("32 bytes are a seed")
    }
}

/// Seals `plain` to a public key.
#[inline(never)]
pub(crate) fn seal(
    public: &XWingPublic,
    info: &[u8],
    plain: &[u8],
    draws: &mut Draws<'_>,
) -> Result<(XWingCiphertext, Vec<u8>), EnvelopeError> {
    let bad = EnvelopeError::BadKey { len: public.0.len() };
    let public = <XWing as Kem>::PublicKey::from_bytes(&public.0).map_err(|_| bad.clone())?;
    let sealed = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, XWing>(&OpModeS::Base, &public, info, plain, b"", draws);
    wash_stack();
    let (kem, sealed) = sealed.map_err(|_| bad)?;
    let mut ciphertext = [0; 1120];
    ciphertext.copy_from_slice(&kem.to_bytes());
    Ok((XWingCiphertext(ciphertext), sealed))
}

/// The X-Wing key of a custodian, if what the founding record has is one.
pub fn custodian_key(custodian: &Custodian) -> Result<XWingPublic, EnvelopeError> {
    let bad = EnvelopeError::BadKey { len: custodian.kem.len() };
    let key = XWingPublic(<[u8; 1216]>::try_from(&*custodian.kem).map_err(|_| bad.clone())?);
    match <XWing as Kem>::PublicKey::from_bytes(&key.0) {
        Ok(_) => Ok(key),
        Err(_) => Err(bad),
    }
}

/// Seals a share to its custodian.
pub fn seal_share(
    manifest: &Digest,
    custodian: (&CustodianId, &XWingPublic),
    share: &SharePlain,
    draws: &mut Draws<'_>,
) -> Result<ShareEnvelope, EnvelopeError> {
    let (id, public) = custodian;
    let (kem, sealed) = sealed_share(public, &ShareEnvelope::purpose(manifest, id, share.x), share, draws)?;
    Ok(ShareEnvelope { manifest: *manifest, custodian: *id, x: share.x, kem, sealed })
}

/// Opens an envelope; the share is not judged yet.
pub(crate) fn open_envelope(secret: &KemSecret, envelope: &ShareEnvelope) -> Result<SharePlain, EnvelopeError> {
    let info = ShareEnvelope::purpose(&envelope.manifest, &envelope.custodian, envelope.x);
    opened_share(secret, &info, &envelope.kem, &envelope.sealed)
}

/// Seals a custodian's share to the key of a recovery session whose offer the caller has judged.
pub fn seal_submission(
    kem: &XWingPublic,
    offer: &Digest,
    manifest: &Digest,
    custodian: &CustodianId,
    share: &SharePlain,
    draws: &mut Draws<'_>,
) -> Result<(XWingCiphertext, Blob<SEALED_SHARE_BYTES>), EnvelopeError> {
    sealed_share(kem, &ShareSubmission::purpose(offer, manifest, custodian), share, draws)
}

/// Opens a submission with the session's key; the share is not judged yet.
pub fn open_submission(secret: &KemSecret, submission: &ShareSubmission) -> Result<SharePlain, EnvelopeError> {
    let info = ShareSubmission::purpose(&submission.offer, &submission.manifest, &submission.custodian);
    let share = opened_share(secret, &info, &submission.kem, &submission.sealed);
    wash_stack();
    share
}

fn sealed_share(
    public: &XWingPublic,
    info: &[u8],
    share: &SharePlain,
    draws: &mut Draws<'_>,
) -> Result<(XWingCiphertext, Blob<SEALED_SHARE_BYTES>), EnvelopeError> {
    let mut plain = share.encode();
    let sealed = seal(public, info, &plain, draws);
    plain.zeroize();
    let (kem, sealed) = sealed?;
    Ok((kem, Blob::new(sealed).expect("a share and a tag fit SEALED_SHARE_BYTES")))
}

#[inline(never)]
fn opened_share(secret: &KemSecret, info: &[u8], kem: &XWingCiphertext, sealed: &[u8]) -> Result<SharePlain, EnvelopeError> {
    let mut plain = secret.open(info, kem, sealed)?;
    let share = SharePlain::decode(&plain);
    plain.zeroize();
    share.map_err(|fault| EnvelopeError::NotThat { fault })
}
