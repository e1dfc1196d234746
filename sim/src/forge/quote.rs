//! A quote in parts: each can be edited, and lengths and signatures follow only when asked.
//!
//! Decides: where the parts of a quote of version 4 or 5 begin and end. Trusts: nothing.
//! Out of scope: what the parts say (`tdx`). Source: Intel TDX DCAP quoting library API, "TD quote format".

use crate::snp::put;
use p256::ecdsa::signature::Signer as _;
use sha2::{Digest as _, Sha256};

const HEADER_BYTES: usize = 48;
const ENCLAVE_REPORT_BYTES: usize = 384;
/// Offset of REPORTDATA in an enclave report.
const ENCLAVE_REPORT_DATA_AT: usize = 320;

/// The parts of a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteParts {
    /// 48 bytes.
    pub header: Vec<u8>,
    /// Type and announced length of the body; only in version 5.
    pub body_kind: Option<(u16, u32)>,
    /// The TD's report.
    pub body: Vec<u8>,
    /// r and s over all of the above.
    pub signature: Vec<u8>,
    /// The attestation key, x and y.
    pub key: Vec<u8>,
    /// Type of the outer certification data, 6 in real quotes.
    pub outer_type: u16,
    /// The quoting enclave's report.
    pub enclave: Vec<u8>,
    /// r and s of the platform's key over it.
    pub enclave_signature: Vec<u8>,
    /// What the quoting enclave hashes beside the attestation key.
    pub authentication: Vec<u8>,
    /// Type of the inner certification data, 5 in real quotes.
    pub inner_type: u16,
    /// The platform's chain, PEM.
    pub chain: Vec<u8>,
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }
    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }
}

impl QuoteParts {
    /// Takes a quote apart; none when it does not have this form.
    pub fn of(quote: &[u8]) -> Option<QuoteParts> {
        let mut rest = Rest(quote);
        let header = rest.take(HEADER_BYTES)?.to_vec();
        let body_kind = match header.first()? {
            5 => Some((rest.u16()?, rest.u32()?)),
            _ => None,
        };
        let body_bytes = body_kind.map_or(Some(584), |(_, len)| usize::try_from(len).ok())?;
        let body = rest.take(body_bytes)?.to_vec();
        let _signature_bytes = rest.length()?;
        let (signature, key) = (rest.take(64)?.to_vec(), rest.take(64)?.to_vec());
        let (outer_type, _outer_bytes) = (rest.u16()?, rest.length()?);
        let (enclave, enclave_signature) = (rest.take(ENCLAVE_REPORT_BYTES)?.to_vec(), rest.take(64)?.to_vec());
        let authentication_bytes = usize::from(rest.u16()?);
        let authentication = rest.take(authentication_bytes)?.to_vec();
        let (inner_type, chain_bytes) = (rest.u16()?, rest.length()?);
        let chain = rest.take(chain_bytes)?.to_vec();
        let parts = QuoteParts {
            header,
            body_kind,
            body,
            signature,
            key,
            outer_type,
            enclave,
            enclave_signature,
            authentication,
            inner_type,
            chain,
        };
        rest.0.is_empty().then_some(parts)
    }

    /// The quote, with lengths that fit.
    pub fn assemble(&self) -> Vec<u8> {
        let length = |len: usize| u32::try_from(len).expect("a part is short").to_le_bytes();
        let mut inner = [self.enclave.as_slice(), &self.enclave_signature].concat();
        inner.extend_from_slice(&u16::try_from(self.authentication.len()).unwrap_or(u16::MAX).to_le_bytes());
        inner.extend_from_slice(&self.authentication);
        inner.extend_from_slice(&self.inner_type.to_le_bytes());
        inner.extend_from_slice(&length(self.chain.len()));
        inner.extend_from_slice(&self.chain);
        let mut tail = [self.signature.as_slice(), &self.key].concat();
        tail.extend_from_slice(&self.outer_type.to_le_bytes());
        tail.extend_from_slice(&length(inner.len()));
        tail.extend_from_slice(&inner);
        let mut quote = self.signed();
        quote.extend_from_slice(&length(tail.len()));
        quote.extend_from_slice(&tail);
        quote
    }

    /// Where the length of the signature data stands in the assembled quote, and then, in order, those of the certification data, of the
    /// authentication data (two bytes) and of the chain.
    pub fn length_offsets(&self) -> [usize; 4] {
        let signature = self.signed().len();
        let outer = signature.saturating_add(4 + 64 + 64 + 2);
        let authentication = outer.saturating_add(4 + ENCLAVE_REPORT_BYTES + 64);
        [signature, outer, authentication, authentication.saturating_add(2 + 2).saturating_add(self.authentication.len())]
    }

    /// Writes the hash of attestation key and authentication data into the enclave's report, as an honest quoting enclave does.
    pub fn vouch(&mut self) {
        let vouched = Sha256::digest([self.key.as_slice(), &self.authentication].concat());
        put(&mut self.enclave, ENCLAVE_REPORT_DATA_AT, &vouched);
    }

    pub(crate) fn sign_body(&mut self, key: &p256::ecdsa::SigningKey) {
        let signature: p256::ecdsa::Signature = key.sign(&self.signed());
        self.signature = signature.to_bytes().to_vec();
    }

    pub(crate) fn sign_enclave(&mut self, key: &p256::ecdsa::SigningKey) {
        let signature: p256::ecdsa::Signature = key.sign(&self.enclave);
        self.enclave_signature = signature.to_bytes().to_vec();
    }

    /// What the quote's signature covers.
    fn signed(&self) -> Vec<u8> {
        let mut signed = self.header.clone();
        if let Some((kind, length)) = self.body_kind {
            signed.extend_from_slice(&kind.to_le_bytes());
            signed.extend_from_slice(&length.to_le_bytes());
        }
        signed.extend_from_slice(&self.body);
        signed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{QuoteShape, SimTee, TeeProfile, world};
    use ringwall_wire::evidence::Evidence;
    use ringwall_wire::ids::{ClusterId, Slot};

    #[test]
    fn parts_assemble_and_sign_to_the_same_quote() {
        for quote_shape in [QuoteShape::V4, QuoteShape::V5, QuoteShape::V5Td15, QuoteShape::V5Td15Extended] {
            let profile = world::machine("tdx-1", world::joining_config(ClusterId([7; 32]), Slot(1))).expect("a known name");
            let tee = SimTee::new(TeeProfile { quote_shape, ..profile }, 1_795_521_600);
            let Evidence::Tdx(evidence) = tee.mint(&[9; 64]) else { panic!("an Intel machine") };
            let parts = QuoteParts::of(&evidence.quote).expect("a quote");
            assert_eq!(parts.assemble(), evidence.quote.to_vec());
            let mut again = parts.clone();
            again.vouch();
            tee.sign_enclave_again(&mut again);
            tee.sign_quote_again(&mut again);
            assert_eq!(again, parts);
            for (offset, bytes) in parts.length_offsets().into_iter().zip([4, 4, 2, 4]) {
                assert_ne!(evidence.quote.get(offset..offset + bytes), None);
            }
            assert_eq!(QuoteParts::of(&evidence.quote[1..]), None);
        }
    }
}
