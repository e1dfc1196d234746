//! Public keys of signers, authorities and logs.
//!
//! Decides: which keys are known (ECDSA over P-256 and P-384, Ed25519, RSA of 2,048 to 4,096 bits with PKCS #1 v1.5 and SHA-256) and what a
//! signature under each is; everything else is no key here.
//! Trusts: the `p256`, `p384`, `ed25519-dalek` and `rsa` crates. Out of scope: whose keys they are. RFC 5280, 5480, 8017, 8410.

use super::der::{INTEGER, NULL, OBJECT, SEQUENCE, one};
use crate::memo::{CHAINS, Claimed};
use alloc::boxed::Box;
use alloc::vec::Vec;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::Pkcs1v15Sign;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const CURVE_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const CURVE_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
/// What stands before a SHA-256 in a PKCS #1 v1.5 signature (RFC 8017, 9.2, note 1).
const DIGEST_INFO_SHA256: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
const RSA_MODULUS_BYTES: core::ops::RangeInclusive<usize> = 256..=512;
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

/// A hash an algorithm names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// What an `AlgorithmIdentifier` of a hash names.
    pub(crate) fn named(identifier: &[u8]) -> Option<Hash> {
        let object = one(identifier)?.inside(SEQUENCE)?.first()?.expect(OBJECT)?;
        [(SHA256, Hash::Sha256), (SHA384, Hash::Sha384), (SHA512, Hash::Sha512)]
            .into_iter()
            .find(|(oid, _)| *oid == object)
            .map(|(_, hash)| hash)
    }

    /// The hash of `bytes`.
    pub(crate) fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
            Hash::Sha384 => Sha384::digest(bytes).to_vec(),
            Hash::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// How something was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Ecdsa(Hash),
    Ed25519,
    /// PKCS #1 v1.5 with SHA-256.
    Rsa,
}

impl Scheme {
    /// What an `AlgorithmIdentifier` of a signature names.
    pub(crate) fn named(identifier: &[u8]) -> Option<Scheme> {
        let parts = one(identifier)?.inside(SEQUENCE)?;
        let (object, parameters) = parts.split_first()?;
        let object = object.expect(OBJECT)?;
        if let [null] = parameters {
            return (object == RSA_SHA256 && null.expect(NULL)?.is_empty()).then_some(Scheme::Rsa);
        }
        if !parameters.is_empty() {
            return None;
        }
        match object {
            ECDSA_SHA256 => Some(Scheme::Ecdsa(Hash::Sha256)),
            ECDSA_SHA384 => Some(Scheme::Ecdsa(Hash::Sha384)),
            ECDSA_SHA512 => Some(Scheme::Ecdsa(Hash::Sha512)),
            ED25519 => Some(Scheme::Ed25519),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(Box<rsa::PublicKey>),
}

/// A public key with the bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    kind: Kind,
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo`.
    pub(crate) fn read(der: &[u8]) -> Option<PublicKey> {
        let parts = one(der)?.inside(SEQUENCE)?;
        let [algorithm, key] = parts.as_slice() else { return None };
        let algorithm = algorithm.inside(SEQUENCE)?;
        let key = key.bits()?;
        let (object, parameters) = algorithm.split_first()?;
        let kind = match (object.expect(OBJECT)?, parameters) {
            (EC_PUBLIC_KEY, [curve]) => match curve.expect(OBJECT)? {
                CURVE_P256 => Kind::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?),
                CURVE_P384 => Kind::P384(p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?),
                _ => return None,
            },
            (ED25519, []) => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(&key.try_into().ok()?).ok()?;
                Kind::Ed25519((!key.is_weak()).then_some(key)?)
            }
            (RSA, [null]) if null.expect(NULL)?.is_empty() => {
                let key = rsa::PublicKey::from_pkcs1_der(key).ok().filter(|key| RSA_MODULUS_BYTES.contains(&key.size()));
                Kind::Rsa(Box::new(key?))
            }
            _ => return None,
        };
        Some(PublicKey { kind, der: der.to_vec() })
    }

    /// An Ed25519 key.
    pub(crate) fn ed25519(key: &ed25519_dalek::VerifyingKey) -> PublicKey {
        // RFC 8410, section 4: SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING }.
        let mut der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03][..], ED25519, &[0x03, 0x21, 0x00]].concat();
        der.extend_from_slice(key.as_bytes());
        PublicKey { kind: Kind::Ed25519(*key), der }
    }

    /// Whether both are one key, however each was written: a point has a compressed form and another one.
    pub(crate) fn is(&self, other: &PublicKey) -> bool {
        self.kind == other.kind
    }

    /// The `SubjectPublicKeyInfo` it was read from.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether this is the key's signature by this scheme.
    pub(crate) fn verified(&self, scheme: Scheme, words: &[u8], signature: &[u8]) -> Option<()> {
        let name = match scheme {
            Scheme::Ecdsa(Hash::Sha256) => "Sigstore ECDSA SHA-256",
            Scheme::Ecdsa(Hash::Sha384) => "Sigstore ECDSA SHA-384",
            Scheme::Ecdsa(Hash::Sha512) => "Sigstore ECDSA SHA-512",
            Scheme::Ed25519 => "Sigstore Ed25519",
            Scheme::Rsa => "Sigstore RSA PKCS #1 v1.5 SHA-256",
        };
        let claimed = Claimed { algorithm: name, key: &self.der, message: words, signature };
        CHAINS.verified(&claimed, || self.verify(scheme, words, signature).ok_or(())).ok()
    }

    fn verify(&self, scheme: Scheme, words: &[u8], signature: &[u8]) -> Option<()> {
        match (scheme, &self.kind) {
            (Scheme::Ecdsa(hash), _) => self.verify_prehashed(&hash.of(words), signature),
            (Scheme::Ed25519, Kind::Ed25519(key)) => key.verify_strict(words, &ed25519_dalek::Signature::from_slice(signature).ok()?).ok(),
            (Scheme::Rsa, Kind::Rsa(key)) => {
                let padding = Pkcs1v15Sign { hash_len: Some(32), prefix: Box::new(DIGEST_INFO_SHA256) };
                key.verify(padding, &Sha256::digest(words), signature).ok()
            }
            (Scheme::Ed25519 | Scheme::Rsa, _) => None,
        }
    }

    /// Whether this is the key's ECDSA signature over a hash; none for other keys.
    pub(crate) fn verify_prehashed(&self, hash: &[u8], signature: &[u8]) -> Option<()> {
        match &self.kind {
            Kind::P256(key) => {
                let signature = p256::ecdsa::Signature::from_slice(&scalars::<32>(signature)?.concat()).ok()?;
                key.verify_prehash(hash, &signature).ok()
            }
            Kind::P384(key) => {
                let signature = p384::ecdsa::Signature::from_slice(&scalars::<48>(signature)?.concat()).ok()?;
                key.verify_prehash(hash, &signature).ok()
            }
            Kind::Ed25519(_) | Kind::Rsa(_) => None,
        }
    }

    /// Whether this is the key's signature the way its kind signs: SHA-256 for P-256 and RSA, SHA-384 for P-384, Ed25519 as it is.
    pub(crate) fn verify_usual(&self, words: &[u8], signature: &[u8]) -> Option<()> {
        let scheme = match &self.kind {
            Kind::P256(_) => Scheme::Ecdsa(Hash::Sha256),
            Kind::P384(_) => Scheme::Ecdsa(Hash::Sha384),
            Kind::Ed25519(_) => Scheme::Ed25519,
            Kind::Rsa(_) => Scheme::Rsa,
        };
        self.verified(scheme, words, signature)
    }
}

/// The two numbers of an ECDSA signature, each in `N` bytes.
fn scalars<const N: usize>(signature: &[u8]) -> Option<[[u8; N]; 2]> {
    let parts = one(signature)?.inside(SEQUENCE)?;
    let [r, s] = parts.as_slice() else { return None };
    let fixed = |bytes: &[u8]| {
        let digits = match bytes {
            [0, rest @ ..] => rest,
            [first, ..] if first & 0x80 != 0 => return None, // Negative.
            all => all,
        };
        let mut out = [0; N];
        let at = N.checked_sub(digits.len())?;
        out.split_at_mut_checked(at)?.1.copy_from_slice(digits);
        Some(out)
    };
    Some([fixed(r.expect(INTEGER)?)?, fixed(s.expect(INTEGER)?)?])
}
