//! Evidence and endorsements taken apart, edited and signed again with the simulated authorities' keys.
//!
//! Decides: which authority signs what. A [`Lie`](crate::Lie) bends what a machine says in a sensible way; this bends any byte, so that a test
//! can show which rule refuses it rather than the signature over it.
//! Trusts: nothing; every private key is public. Out of scope: what must refuse an edit (the tests that make it). Evidence notes section 4.

mod quote;
mod tlv;

pub use quote::QuoteParts;
pub use tlv::{Content, Tlv};

use crate::profile::Platform;
use crate::tee::SimTee;
use crate::{amd, intel, mint_snp, snp};
use der::pem::LineEnding;

/// A simulated authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// AMD's root.
    Ark,
    /// AMD's intermediate for chip keys.
    Ask,
    /// AMD's intermediate for provider keys.
    Asvk,
    /// A stranger with AMD's names.
    ForeignArk,
    /// Intel's root.
    IntelRoot,
    /// Intel's authority for platforms.
    IntelPlatform,
    /// Intel's signer of statements.
    IntelStatements,
    /// A stranger with the name of Intel's root.
    ForeignIntelRoot,
}

/// The certificate or revocation list `{ body, algorithm, signature }` with the body signed again, DER. A list of other parts stays as it is.
pub fn signed_again(document: &Tlv, by: Signer) -> Vec<u8> {
    let mut document = document.clone();
    if let Some([body, _, signature]) = document.parts_mut() {
        let bits = authority(by).sign(&body.encode());
        *signature = Tlv::parse(&crate::pki::encoded(&bits)).expect("a bit string is one value");
    }
    document.encode()
}

/// Raw r and s of Intel's signer of statements over exactly this text.
pub fn statement_signature(text: &[u8]) -> [u8; 64] {
    intel::service().signature(text)
}

/// PEM of DER certificates, in this order.
pub fn pem_of(chain: &[Vec<u8>]) -> String {
    let armored = |der: &Vec<u8>| der::pem::encode_string("CERTIFICATE", LineEnding::LF, der).expect("a certificate encodes");
    chain.iter().map(armored).collect()
}

/// DER of the certificates of a PEM chain; what is no certificate is left out.
pub fn ders_of(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let blocks = text.split_inclusive("-----END CERTIFICATE-----\n");
    blocks.filter_map(|block| der::pem::decode_vec(block.as_bytes()).ok().map(|(_, der)| der)).collect()
}

impl SimTee {
    /// Signs the first 672 bytes of a report again, with the key this machine's VCEK (or VLEK) certificate is for. Shorter input stays.
    pub fn sign_report_again(&self, report: &mut [u8]) {
        if let Platform::Snp(product) = self.profile().platform
            && report.len() >= snp::SIGNED_BYTES
        {
            snp::sign_in_place(report, &mint_snp::endorsed_key(self.profile(), product));
        }
    }

    /// Signs header and body of a quote again, with this machine's attestation key.
    pub fn sign_quote_again(&self, parts: &mut QuoteParts) {
        parts.sign_body(&crate::mint_tdx::attestation_key(self.profile()));
    }

    /// Signs the quoting enclave's report again, with the key of this machine's PCK certificate.
    pub fn sign_enclave_again(&self, parts: &mut QuoteParts) {
        parts.sign_enclave(&intel::pck_key(&self.profile().intel_platform()));
    }
}

fn authority(by: Signer) -> crate::pki::Authority {
    match by {
        Signer::Ark => amd::key_of(amd::Issuer::Ark),
        Signer::Ask => amd::key_of(amd::Issuer::Ask),
        Signer::Asvk => amd::key_of(amd::Issuer::Asvk),
        Signer::ForeignArk => amd::key_of(amd::Issuer::Foreign),
        Signer::IntelRoot => intel::service().root_key(),
        Signer::IntelPlatform => intel::service().platform_key(),
        Signer::IntelStatements => intel::service().statement_key(),
        Signer::ForeignIntelRoot => intel::foreign().root_key(),
    }
}
