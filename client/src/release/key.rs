//! The managed key of one who signs releases: ECDSA over P-256, as every Sigstore client verifies it.
//!
//! Decides: the key stands in a file of its own for its owner alone, is made once and never overwritten; signatures are deterministic (RFC 6979), so that no
//! generator can give the key away. A policy lists its public half as `key:` and the base64 of its DER.
//! Trusts: the file system to keep permissions. Out of scope: what is signed (`bundle.rs`), keyless signing (`fulcio.rs`).

use crate::entropy;
use crate::seed_file::{self, SeedFileError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use ringwall_wire::secret::Secret;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// First line of a key file.
const HEADER: &str = "ringwall release key 1";
/// Tries of which none failing is as good as certain: one in four thousand million does.
const TRIES: u8 = 16;

/// A key that signs releases.
#[derive(Clone)]
pub struct ReleaseKey {
    seed: Secret<32>,
}

impl core::fmt::Debug for ReleaseKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "ReleaseKey({})", self.signer())
    }
}

impl ReleaseKey {
    /// Takes a seed from elsewhere: 32 uniformly random bytes.
    pub fn from_seed(seed: Secret<32>) -> Self {
        ReleaseKey { seed }
    }

    /// A key for one signature, kept nowhere.
    pub(crate) fn fleeting() -> Self {
        ReleaseKey::from_seed(Secret::from_mut(&mut entropy::bytes()))
    }

    /// Makes a new key in a new file that its owner alone can read, on stable storage when this returns.
    pub fn create(path: &Path) -> Result<Self, SeedFileError> {
        seed_file::create(path, HEADER).map(ReleaseKey::from_seed)
    }

    /// Reads a key file, and refuses one that others can read.
    pub fn read(path: &Path) -> Result<Self, SeedFileError> {
        seed_file::read(path, HEADER).map(ReleaseKey::from_seed)
    }

    /// The public half: DER of a SubjectPublicKeyInfo.
    pub fn public_der(&self) -> Vec<u8> {
        let encoded = self.signing_key().verifying_key().to_public_key_der();
        encoded.expect("a point of the curve has an encoding").as_bytes().to_vec()
    }

    /// The public half as PEM.
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der())
    }

    /// What a policy lists.
    pub fn signer(&self) -> String {
        format!("key:{}", STANDARD.encode(self.public_der()))
    }

    /// What names the key in a bundle: the base64 of the SHA-256 of its DER, as Sigstore's clients write it.
    pub fn hint(&self) -> String {
        STANDARD.encode(Sha256::digest(self.public_der()))
    }

    /// Signs: DER, over the SHA-256 of the words.
    pub fn sign(&self, words: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.signing_key().sign(words);
        signature.as_bytes().to_vec()
    }

    /// The scalar is the first hash of the seed and a count that is one.
    fn signing_key(&self) -> SigningKey {
        let candidates = (0..TRIES).map(|count| {
            let hash = Sha256::new().chain_update(HEADER).chain_update([count]).chain_update(self.seed.expose()).finalize();
            SigningKey::from_slice(&hash).ok()
        });
        candidates.flatten().next().expect("one of sixteen hashes is below the order of the curve, but for one case in 2^512")
    }
}

/// Bytes as PEM, with lines of 64 characters.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use p256::ecdsa::signature::Verifier as _;

    #[test]
    fn a_signature_verifies_under_the_public_half() {
        let key = ReleaseKey::from_seed(Secret::new([7; 32]));
        let der = key.public_der();
        // SubjectPublicKeyInfo of P-256: its prefix never changes.
        assert_eq!((der.len(), der.get(..4)), (91, Some(&[0x30, 0x59, 0x30, 0x13][..])));
        let public = p256::ecdsa::VerifyingKey::from_sec1_bytes(&der[26..]).unwrap();
        let signature = p256::ecdsa::Signature::from_der(&key.sign(b"words")).unwrap();
        public.verify(b"words", &signature).unwrap();
        assert!(public.verify(b"other words", &signature).is_err());
        assert_eq!(key.sign(b"words"), key.sign(b"words"));
        assert!(key.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert_ne!(ReleaseKey::fleeting().public_der(), der);
    }
}
