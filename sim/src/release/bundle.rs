//! Bundles of managed keys: an in-toto statement in a DSSE envelope, in Sigstore's JSON.
//!
//! Decides: how a key follows from its name, and what its bundle looks like: version 0.3, a key's hint, no log entry. Bundles of Sigstore's own log
//! and authority are not minted here: real ones are in the shared vectors.
//! Trusts: its caller. Out of scope: keyless signing. Sigstore bundle format; DSSE 1.0.

use super::log::base64;
use ed25519_dalek::Signer as _;
use p256::pkcs8::EncodePublicKey as _;
use ringwall_attest::release::{bundle::IN_TOTO, envelope_words};
use ringwall_wire::release::BundleBytes;
use sha2::{Digest as _, Sha256};

#[derive(Clone)]
enum Kind {
    P256(Box<p256::ecdsa::SigningKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// A key that signs releases.
#[derive(Clone)]
pub struct ManagedKey {
    kind: Kind,
}

impl ManagedKey {
    /// The P-256 key of this name.
    pub fn p256(name: &str) -> Self {
        let seed = Sha256::new().chain_update("ringwall simulated release signer ").chain_update(name).finalize();
        ManagedKey { kind: Kind::P256(Box::new(p256::ecdsa::SigningKey::from_slice(&seed).expect("a hash is below the order"))) }
    }

    /// The Ed25519 key of this name.
    pub fn ed25519(name: &str) -> Self {
        let seed: [u8; 32] = Sha256::new().chain_update("ringwall simulated release signer ").chain_update(name).finalize().into();
        ManagedKey { kind: Kind::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed))) }
    }

    /// Its public key, DER.
    pub fn der(&self) -> Vec<u8> {
        match &self.kind {
            Kind::P256(key) => key.verifying_key().to_public_key_der().expect("a public key has a DER form").as_bytes().to_vec(),
            Kind::Ed25519(key) => {
                // RFC 8410, section 4.
                let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
                [&head[..], key.verifying_key().as_bytes()].concat()
            }
        }
    }

    /// How a policy names it.
    pub fn signer(&self) -> String {
        format!("key:{}", base64(&self.der()))
    }

    /// Its signature over these words.
    pub fn sign(&self, words: &[u8]) -> Vec<u8> {
        match &self.kind {
            Kind::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(words);
                signature.as_bytes().to_vec()
            }
            Kind::Ed25519(key) => key.sign(words).to_bytes().to_vec(),
        }
    }

    /// Its bundle over a statement.
    pub fn bundle(&self, statement: &[u8]) -> BundleBytes {
        self.bundle_of(IN_TOTO, statement)
    }

    /// Its bundle over a payload of any type.
    pub fn bundle_of(&self, kind: &str, payload: &[u8]) -> BundleBytes {
        let signature = base64(&self.sign(&envelope_words(kind, payload)));
        let hint = base64(&Sha256::digest(self.der()));
        let json = format!(
            "{{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"verificationMaterial\":{{\"publicKey\":{{\"hint\":\"{hint}\"}}}},\
             \"dsseEnvelope\":{{\"payload\":\"{}\",\"payloadType\":\"{kind}\",\"signatures\":[{{\"sig\":\"{signature}\"}}]}}}}",
            base64(payload)
        );
        BundleBytes::new(json.into_bytes()).expect("a bundle is short")
    }
}
