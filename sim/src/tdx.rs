//! TDX quotes, byte for byte in Intel's layout: versions 4 and 5.
//!
//! Decides: what the simulated TDX module and quoting enclave write and sign (Intel TDX DCAP quoting library, quote formats 4 and 5).
//! Trusts: nothing. Out of scope: certificates and collateral (`intel`), which lie is told when (`tee`).

use crate::intel::{CPU_SVN, QE_SVN, qe_signer};
use crate::snp::put;
use p256::ecdsa::signature::Signer;
use sha2::{Digest as _, Sha256};

/// TD attribute bits.
pub(crate) mod attributes {
    pub(crate) const DEBUG: u64 = 1;
    pub(crate) const SEPT_VE_DISABLE: u64 = 1 << 28;
    pub(crate) const MIGRATABLE: u64 = 1 << 29;
    pub(crate) const PERFMON: u64 = 1 << 63;
    /// Reserved by Intel.
    pub(crate) const UNKNOWN: u64 = 1 << 40;
}

/// XFAM of simulated TDs: FP, SSE, AVX, AVX-512, PKRU, AMX.
pub(crate) const XFAM: u64 = 0x0006_00e7;

/// Version of a quote and shape of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuoteShape {
    /// Version 4, TDX 1.0 body of 584 bytes: what clouds return today.
    #[default]
    V4,
    /// Version 5, TDX 1.0 body.
    V5,
    /// Version 5, TDX 1.5 body of 648 bytes.
    V5Td15,
    /// Version 5, extended TDX 1.5 body of 885 bytes.
    V5Td15Extended,
}

/// The fields of a TD report, as Intel names them.
#[derive(Clone, Debug)]
pub(crate) struct TdReport {
    pub(crate) tee_tcb_svn: [u8; 16],
    pub(crate) mr_seam: [u8; 48],
    pub(crate) mr_signer_seam: [u8; 48],
    pub(crate) seam_attributes: u64,
    pub(crate) td_attributes: u64,
    pub(crate) xfam: u64,
    pub(crate) mr_td: [u8; 48],
    pub(crate) mr_config_id: [u8; 48],
    pub(crate) mr_owner: [u8; 48],
    pub(crate) mr_owner_config: [u8; 48],
    pub(crate) rtmr: [[u8; 48]; 4],
    pub(crate) report_data: [u8; 64],
    /// What runs now; only in a TDX 1.5 body.
    pub(crate) tee_tcb_svn2: [u8; 16],
    /// Only in a TDX 1.5 body.
    pub(crate) mr_service_td: [u8; 48],
}

/// Who signs a quote.
pub(crate) struct Quoting<'a> {
    /// Signs the quote.
    pub(crate) attestation: &'a p256::ecdsa::SigningKey,
    /// The key the quoting enclave vouches for; the one above, unless it lies.
    pub(crate) vouched: &'a p256::ecdsa::SigningKey,
    /// Signs the quoting enclave's report.
    pub(crate) pck: &'a p256::ecdsa::SigningKey,
    /// PEM.
    pub(crate) pck_chain: &'a str,
    /// MRSIGNER of the quoting enclave.
    pub(crate) qe_signer: [u8; 32],
}

impl TdReport {
    /// The quote over this report; `version` normally is the one of `shape`.
    pub(crate) fn quote(&self, shape: QuoteShape, version: u16, by: &Quoting<'_>) -> Vec<u8> {
        let body = self.body(shape);
        let mut quote = header(version);
        if shape != QuoteShape::V4 {
            let kind: u16 = match shape {
                QuoteShape::V4 | QuoteShape::V5 => 2,
                QuoteShape::V5Td15 => 3,
                QuoteShape::V5Td15Extended => 4,
            };
            quote.extend_from_slice(&kind.to_le_bytes());
            quote.extend_from_slice(&length(&body));
        }
        quote.extend_from_slice(&body);
        let signature: p256::ecdsa::Signature = by.attestation.sign(&quote);
        let tail = by.tail(&signature);
        quote.extend_from_slice(&length(&tail));
        quote.extend_from_slice(&tail);
        quote
    }

    fn body(&self, shape: QuoteShape) -> Vec<u8> {
        let mut out = Vec::with_capacity(885);
        out.extend_from_slice(&self.tee_tcb_svn);
        out.extend_from_slice(&self.mr_seam);
        out.extend_from_slice(&self.mr_signer_seam);
        for word in [self.seam_attributes, self.td_attributes, self.xfam] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for register in [&self.mr_td, &self.mr_config_id, &self.mr_owner, &self.mr_owner_config] {
            out.extend_from_slice(register);
        }
        out.extend_from_slice(self.rtmr.as_flattened());
        out.extend_from_slice(&self.report_data);
        if [QuoteShape::V5Td15, QuoteShape::V5Td15Extended].contains(&shape) {
            out.extend_from_slice(&self.tee_tcb_svn2);
            out.extend_from_slice(&self.mr_service_td);
        }
        if shape == QuoteShape::V5Td15Extended {
            // VM index, TD id, device information, service TD at creation (hash, attributes)
            out.push(0);
            out.extend_from_slice(&[0x1d; 32]);
            out.extend_from_slice(&[0; 48 + 48 + 8]);
            // CPU, module and family at creation
            out.extend_from_slice(&CPU_SVN);
            out.extend_from_slice(&self.tee_tcb_svn);
            out.extend_from_slice(&[0; 12]);
            // service TD now (hash, attributes)
            out.extend_from_slice(&[0; 48 + 8]);
        }
        out
    }
}

impl Quoting<'_> {
    /// Signature, attestation key and certification parts.
    fn tail(&self, signature: &p256::ecdsa::Signature) -> Vec<u8> {
        let authentication: [u8; 32] = core::array::from_fn(|at| u8::try_from(at).expect("below 32"));
        let vouched = Sha256::digest([public(self.vouched).as_slice(), &authentication].concat());
        let report = qe_report(self.qe_signer, &vouched);
        let report_signature: p256::ecdsa::Signature = self.pck.sign(&report);

        let mut inner = report.to_vec();
        inner.extend_from_slice(&report_signature.to_bytes());
        inner.extend_from_slice(&32u16.to_le_bytes());
        inner.extend_from_slice(&authentication);
        // Certification data 5: the PCK chain as PEM.
        inner.extend_from_slice(&5u16.to_le_bytes());
        inner.extend_from_slice(&length(self.pck_chain.as_bytes()));
        inner.extend_from_slice(self.pck_chain.as_bytes());

        let mut tail = signature.to_bytes().to_vec();
        tail.extend_from_slice(&public(self.attestation));
        // Certification data 6: the quoting enclave's report and what certifies it.
        tail.extend_from_slice(&6u16.to_le_bytes());
        tail.extend_from_slice(&length(&inner));
        tail.extend_from_slice(&inner);
        tail
    }
}

/// Ordinary quoting enclave.
pub(crate) fn ordinary_qe() -> [u8; 32] {
    qe_signer()
}

fn header(version: u16) -> Vec<u8> {
    let mut out = version.to_le_bytes().to_vec();
    // Attestation key type 2: ECDSA P-256.
    out.extend_from_slice(&2u16.to_le_bytes());
    // TEE type: TDX.
    out.extend_from_slice(&0x81u32.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    // Intel's quoting enclave vendor id.
    out.extend_from_slice(&[0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07]);
    out.extend_from_slice(&[0; 20]);
    out
}

/// An enclave report of 384 bytes, as the quoting enclave makes it.
fn qe_report(signer: [u8; 32], report_data: &[u8]) -> [u8; 384] {
    let mut out = [0; 384];
    put(&mut out, 0, &CPU_SVN);
    // ATTRIBUTES: INIT, 64-bit, provision key; XFRM.
    put(&mut out, 48, &[0x15, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0]);
    put(&mut out, 64, &crate::seed::bytes::<32>(&[b"qe mrenclave"]));
    put(&mut out, 128, &signer);
    // ISVPRODID 2: the TD quoting enclave.
    put(&mut out, 256, &2u16.to_le_bytes());
    put(&mut out, 258, &QE_SVN.to_le_bytes());
    put(&mut out, 320, report_data);
    out
}

/// Public key as x and y.
fn public(key: &p256::ecdsa::SigningKey) -> [u8; 64] {
    let mut out = [0; 64];
    let point = key.verifying_key().to_sec1_point(false);
    put(&mut out, 0, point.as_bytes().split_at(1).1);
    out
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("a part is short").to_le_bytes()
}
