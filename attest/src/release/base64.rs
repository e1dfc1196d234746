//! Base64 as RFC 4648 section 4 writes it, and nothing else.
//!
//! Decides: padding is there, unused bits are zero, no white space: one text for each byte string.
//! Trusts: nothing. Out of scope: what the bytes are.

use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The bytes `text` is for.
pub(crate) fn read(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The text for `bytes`.
pub(crate) fn write(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
