//! Lower-case hexadecimal, the one text form of byte strings people see.
//!
//! Decides: hex is lower-case and of exact length; anything else is refused. Trusts: nothing.
//! Out of scope: every other text encoding.

use alloc::string::String;
use alloc::vec::Vec;

/// Writes `bytes` as lower-case hex.
pub fn write_hex(bytes: &[u8], out: &mut impl core::fmt::Write) -> core::fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

/// `bytes` as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    write_hex(bytes, &mut out).expect("writing to a String does not fail");
    out
}

/// Reads exactly `N` bytes of lower-case hex.
pub fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    read_hex_vec(text)?.try_into().ok()
}

/// Reads lower-case hex of any length.
pub fn read_hex_vec(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
