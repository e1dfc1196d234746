//! The primitives under `dcap-qvl`: its audited pure-Rust ones, with good signatures remembered.
//!
//! Decides: that the backend is named here and not by whatever feature another crate switches on; that a signature found good is not computed
//! again (`memo.rs` says why that is sound).
//! Trusts: `dcap-qvl`'s RustCrypto backend. Out of scope: what is signed by whom.

use crate::memo::{CHAINS, Claimed};
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::configs::RustCryptoConfig;
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

type Audited = <RustCryptoConfig as Config>::Crypto;

/// `dcap-qvl`'s pure-Rust configuration, remembering.
#[derive(Debug)]
pub(crate) struct Remembering;

impl Config for Remembering {
    type X509 = <RustCryptoConfig as Config>::X509;
    type SigEncoder = <RustCryptoConfig as Config>::SigEncoder;
    type Crypto = Remembering;
}

impl CryptoProvider for Remembering {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &Remembering
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        Audited::sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        Audited::sha384(data)
    }
}

impl SignatureVerificationAlgorithm for Remembering {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let claimed = Claimed { algorithm: "ECDSA-P256-SHA256-DER", key, message, signature };
        CHAINS.verified(&claimed, || Audited::sig_algo().verify_signature(key, message, signature))
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        Audited::sig_algo().public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        Audited::sig_algo().signature_alg_id()
    }
}
