//! A P-256 key that signs certificates, the same way every time.
//!
//! Decides: signatures are deterministic (RFC 6979), so that equal keys, names and dates give equal bytes, wherever and whenever a certificate is made.
//! Trusts: whoever made the key. Out of scope: where keys come from and what certificates say (`kbs/identity.rs`, `web/certificates.rs`).

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use rustls::pki_types::{PrivateKeyDer, PrivateSec1KeyDer};
use zeroize::Zeroizing;

/// What SEC 1 puts around a P-256 key: version, the scalar's head.
const SEC1_HEAD: [u8; 7] = [0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
/// The curve's name, and the point's head.
const SEC1_MIDDLE: [u8; 16] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42];

/// A key, and its point.
pub(crate) struct Signer {
    key: SigningKey,
    point: Vec<u8>,
}

impl Signer {
    /// Signs with `key`.
    pub(crate) fn new(key: SigningKey) -> Self {
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Signer { key, point }
    }

    /// Its public key, uncompressed.
    pub(crate) fn point(&self) -> &[u8] {
        &self.point
    }

    /// Its private key, for TLS.
    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        let scalar = Zeroizing::new(self.key.to_bytes());
        let mut der = Zeroizing::new(Vec::with_capacity(121));
        for part in [&SEC1_HEAD[..], scalar.as_slice(), &SEC1_MIDDLE, &[0], &self.point] {
            der.extend_from_slice(part);
        }
        PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der.to_vec()))
    }
}

impl rcgen::PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.key.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}
