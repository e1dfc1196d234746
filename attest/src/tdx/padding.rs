//! Cutting a quote out of the buffer a host filled.
//!
//! Decides: where the quote ends, by its own framing, and that nothing but zeros follows. Some hosts (Google's) hand out a buffer of 8,000
//! bytes whatever the quote's length; what is kept and sent is the quote alone, so that one quote has one spelling.
//! Trusts: nothing. Out of scope: whether the quote is genuine (`verify`). Evidence notes section 2.2, trap (b).

use super::frame::Frame;
use crate::error::VerifyError;

/// Offset of REPORTDATA in every body.
const REPORT_DATA_AT: usize = 520;

/// A quote without padding, not yet believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactQuote<'a> {
    /// The quote.
    pub bytes: &'a [u8],
    /// The 64 bytes it was made for.
    pub report_data: &'a [u8; 64],
}

/// Why there is no quote in a buffer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaddingError {
    /// What the buffer begins with is no quote this program knows.
    #[error(transparent)]
    NoQuote(#[from] VerifyError),
    /// Something other than zeros follows.
    #[error("byte {offset} after the quote's {length} bytes is not zero: a quote is padded with zeros or with nothing")]
    NotZero {
        /// Place in the buffer.
        offset: usize,
        /// Bytes of the quote.
        length: usize,
    },
}

/// Cuts `padded` to the quote it begins with. The outer form is read in full by the verifier; here it only says where the quote ends.
pub fn exact_quote(padded: &[u8]) -> Result<ExactQuote<'_>, PaddingError> {
    let (length, body) = Frame::announced(padded)?;
    let (bytes, padding) =
        padded.split_at_checked(length).ok_or(VerifyError::QuoteLength { what: "signature data", announced: length, got: padded.len() })?;
    if let Some(at) = padding.iter().position(|byte| *byte != 0) {
        return Err(PaddingError::NotZero { offset: length.saturating_add(at), length });
    }
    Frame::parse(bytes)?;
    let report_data = body.get(REPORT_DATA_AT..).and_then(|rest| rest.first_chunk()).expect("every body has its 584 bytes");
    Ok(ExactQuote { bytes, report_data })
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::quote;
    use super::*;
    use alloc::vec::Vec;

    /// A quote over bytes that can be told apart.
    fn asked(version: u16) -> (Vec<u8>, [u8; 64]) {
        let mut quote = quote(version);
        let at = if version == 5 { 48 + 6 + 520 } else { 48 + 520 };
        let report_data = core::array::from_fn(|at| u8::try_from(at).unwrap() + 1);
        quote[at..at + 64].copy_from_slice(&report_data);
        (quote, report_data)
    }

    #[test]
    fn zeros_after_a_quote_are_cut_and_nothing_else() {
        for version in [4, 5] {
            let (quote, report_data) = asked(version);
            for zeros in [0, 1, 64, 3_000] {
                let mut padded = quote.clone();
                padded.resize(quote.len() + zeros, 0);
                assert_eq!(exact_quote(&padded), Ok(ExactQuote { bytes: &quote, report_data: &report_data }), "{zeros} zeros");
                for at in quote.len()..padded.len().min(quote.len() + 64) {
                    padded[at] = 1;
                    assert_eq!(exact_quote(&padded), Err(PaddingError::NotZero { offset: at, length: quote.len() }));
                    padded[at] = 0;
                }
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_lies_about_its_length_is_no_quote() {
        let (whole, _) = asked(4);
        for len in 0..whole.len() {
            assert!(matches!(exact_quote(&whole[..len]), Err(PaddingError::NoQuote(VerifyError::QuoteLength { .. }))), "{len} bytes");
        }
        let length_at = 48 + 584;
        for announced in [0, 1, u32::MAX, u32::MAX - 700] {
            let mut lying = whole.clone();
            lying[length_at..length_at + 4].copy_from_slice(&announced.to_le_bytes());
            assert!(exact_quote(&lying).is_err(), "{announced} bytes announced");
        }
        // One byte less than there is: a zero byte would be left over, and the parts inside no longer fill their frame.
        let mut short = whole.clone();
        short[length_at] -= 1;
        short.push(0);
        assert!(exact_quote(&short).is_err());
    }
}
