//! The outer form of a quote: header, body and nested lengths, every byte accounted for.
//!
//! Decides: quotes of version 4 and 5, of TDs, signed with ECDSA P-256, whose parts have exactly the announced lengths: bytes after the quote
//! or after any nested part are refused here, because `dcap-qvl` ignores them and nobody signed them.
//! Trusts: nothing. Out of scope: signatures (`tdx.rs`). Source: Intel TDX DCAP quoting library API, "TD quote format".
//! Protocol section 1.2, A10; evidence notes section 2.2, trap (b).

use crate::error::VerifyError;

const TEE_TYPE_TDX: u32 = 0x81;
const KEY_TYPE_ECDSA_P256: u16 = 2;
/// Certification data: a QE report that certifies the key.
const CERT_TYPE_QE_REPORT: u16 = 6;
/// Certification data: a PCK chain, PEM.
const CERT_TYPE_PCK_CHAIN: u16 = 5;
const HEADER_BYTES: usize = 48;
/// Offset of the TD attributes in every body.
const TD_ATTRIBUTES_AT: usize = 120;
/// Signature and attestation key.
const SIGNATURE_AND_KEY_BYTES: usize = 64 + 64;
/// QE report and its signature.
const QE_REPORT_AND_SIGNATURE_BYTES: usize = 384 + 64;

/// What the outer form says; not yet believed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// 2, 3 or 4.
    pub(crate) body_type: u16,
    /// TDATTRIBUTES.
    pub(crate) td_attributes: u64,
}

/// A cursor that names what it lacks.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], VerifyError> {
        let got = self.0.len();
        let (head, tail) = self.0.split_at_checked(len).ok_or(VerifyError::QuoteLength { what, announced: len, got })?;
        self.0 = tail;
        Ok(head)
    }

    fn number(&mut self, what: &'static str, len: usize) -> Result<u64, VerifyError> {
        let bytes = self.take(what, len)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, VerifyError> {
        Ok(u16::try_from(self.number(what, 2)?).expect("two bytes"))
    }

    /// A part that must fill what is left exactly.
    fn last(&mut self, what: &'static str, announced: u64) -> Result<Rest<'a>, VerifyError> {
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if self.0.len() != announced {
            return Err(VerifyError::QuoteLength { what, announced, got: self.0.len() });
        }
        Ok(Rest(core::mem::take(&mut self.0)))
    }
}

impl Frame {
    /// Reads the outer form of `quote`, which must have no byte too many or too few.
    pub(crate) fn parse(quote: &[u8]) -> Result<Self, VerifyError> {
        let (frame, _, rest) = Self::opening(quote)?;
        Self::signature_fills(rest)?;
        Ok(frame)
    }

    /// The quote's exact length, as its header and its signature data announce it, and its body; what follows the body is not looked at.
    pub(super) fn announced(quote: &[u8]) -> Result<(usize, &[u8]), VerifyError> {
        let (_, body, mut rest) = Self::opening(quote)?;
        let signature = usize::try_from(rest.number("signature data length", 4)?).unwrap_or(usize::MAX);
        let before = quote.len().saturating_sub(rest.0.len());
        Ok((before.saturating_add(signature), body))
    }

    /// Header and body; the rest begins with the signature data's length.
    fn opening(quote: &[u8]) -> Result<(Self, &[u8], Rest<'_>), VerifyError> {
        let mut rest = Rest(quote);
        let mut header = Rest(rest.take("header", HEADER_BYTES)?);
        let version = header.u16("version")?;
        if ![4, 5].contains(&version) {
            return Err(VerifyError::QuoteVersion { got: version });
        }
        match header.u16("attestation key type")? {
            KEY_TYPE_ECDSA_P256 => {}
            got => return Err(VerifyError::QuoteKeyType { got }),
        }
        match u32::try_from(header.number("TEE type", 4)?).expect("four bytes") {
            TEE_TYPE_TDX => {}
            got => return Err(VerifyError::QuoteTeeType { got }),
        }
        let body_type = if version == 5 { rest.u16("body type")? } else { 2 };
        let body_bytes = match body_type {
            2 => 584,
            3 => 648,
            4 => 885,
            got => return Err(VerifyError::QuoteBodyType { got }),
        };
        if version == 5 {
            let announced = usize::try_from(rest.number("body length", 4)?).unwrap_or(usize::MAX);
            if announced != body_bytes {
                return Err(VerifyError::QuoteLength { what: "body", announced, got: body_bytes });
            }
        }
        let body = rest.take("body", body_bytes)?;
        let mut fields = Rest(body);
        fields.take("body", TD_ATTRIBUTES_AT)?;
        let td_attributes = fields.number("TD attributes", 8)?;
        Ok((Frame { body_type, td_attributes }, body, rest))
    }

    /// Signature data, certification data and the PCK chain inside must each end where the next outer part ends.
    fn signature_fills(mut rest: Rest<'_>) -> Result<(), VerifyError> {
        let announced = rest.number("signature data length", 4)?;
        let mut signature = rest.last("signature data", announced)?;
        signature.take("signature and key", SIGNATURE_AND_KEY_BYTES)?;
        let mut qe = Self::certification(&mut signature, CERT_TYPE_QE_REPORT, "QE certification data")?;
        qe.take("QE report and signature", QE_REPORT_AND_SIGNATURE_BYTES)?;
        let auth_bytes = usize::from(qe.u16("QE authentication data length")?);
        qe.take("QE authentication data", auth_bytes)?;
        Self::certification(&mut qe, CERT_TYPE_PCK_CHAIN, "PCK chain")?;
        Ok(())
    }

    fn certification<'a>(rest: &mut Rest<'a>, expected: u16, what: &'static str) -> Result<Rest<'a>, VerifyError> {
        match rest.u16("certification data type")? {
            got if got == expected => {}
            got => return Err(VerifyError::QuoteCertType { got, expected }),
        }
        let announced = rest.number("certification data length", 4)?;
        rest.last(what, announced)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    /// The smallest quote with every part.
    pub(in crate::tdx) fn quote(version: u16) -> Vec<u8> {
        let mut chain = vec![5, 0, 3, 0, 0, 0];
        chain.extend_from_slice(b"pem");
        let mut qe = vec![0; QE_REPORT_AND_SIGNATURE_BYTES];
        qe.extend_from_slice(&[2, 0, 7, 7]);
        qe.extend_from_slice(&chain);
        let mut signature = vec![0; SIGNATURE_AND_KEY_BYTES];
        signature.extend_from_slice(&[6, 0]);
        signature.extend_from_slice(&u32::try_from(qe.len()).expect("short").to_le_bytes());
        signature.extend_from_slice(&qe);
        let mut quote = vec![0; HEADER_BYTES];
        quote[..8].copy_from_slice(&[version.to_le_bytes()[0], 0, 2, 0, 0x81, 0, 0, 0]);
        if version == 5 {
            quote.extend_from_slice(&[3, 0, 136, 2, 0, 0]);
        }
        quote.extend_from_slice(&vec![0; if version == 5 { 648 } else { 584 }]);
        quote.extend_from_slice(&u32::try_from(signature.len()).expect("short").to_le_bytes());
        quote.extend_from_slice(&signature);
        quote
    }

    #[test]
    fn exact_quotes_pass_and_every_other_length_is_refused() {
        for version in [4, 5] {
            let exact = quote(version);
            assert!(Frame::parse(&exact).is_ok());
            for len in 0..exact.len() {
                assert!(Frame::parse(&exact[..len]).is_err(), "version {version}, {len} bytes");
            }
            for extra in [1, 8, 4_000] {
                let mut longer = exact.clone();
                longer.resize(exact.len() + extra, 0);
                let error = Frame::parse(&longer);
                assert!(matches!(error, Err(VerifyError::QuoteLength { what: "signature data", .. })), "{error:?}");
            }
        }
    }

    #[test]
    fn nested_parts_must_fill_their_frame() {
        let mut quote = quote(4);
        let chain_length_at = quote.len() - 7;
        quote[chain_length_at] = 2;
        assert_eq!(Frame::parse(&quote), Err(VerifyError::QuoteLength { what: "PCK chain", announced: 2, got: 3 }));
    }

    #[test]
    fn other_kinds_of_quote_are_named() {
        let with = |at: usize, byte: u8| {
            let mut quote = quote(5);
            quote[at] = byte;
            Frame::parse(&quote)
        };
        assert_eq!(with(0, 3), Err(VerifyError::QuoteVersion { got: 3 }));
        assert_eq!(with(2, 3), Err(VerifyError::QuoteKeyType { got: 3 }));
        assert_eq!(with(4, 0), Err(VerifyError::QuoteTeeType { got: 0 }));
        assert_eq!(with(48, 1), Err(VerifyError::QuoteBodyType { got: 1 }));
        assert_eq!(with(50, 0), Err(VerifyError::QuoteLength { what: "body", announced: 512, got: 648 }));
    }
}
