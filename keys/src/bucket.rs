//! Size buckets: what a holder of the disk learns about the length of a name or value.
//!
//! Decides: lengths are rounded up to 64, 256, 1 Ki, 4 Ki and then powers of two. Layout of a padded plaintext: `u32` length, the bytes,
//! zeros up to `4 + bucket`. Unpadding accepts exactly what padding writes: the smallest bucket, and zeros only.
//! Trusts: nothing. Out of scope: the limits of names and values (`wire`). Protocol section 7.

use alloc::vec::Vec;
use ringwall_wire::without::{Defence, left_out};

/// Bytes of the length in front.
const LENGTH_BYTES: usize = 4;
/// The small buckets, bytes.
const SMALL: [usize; 4] = [64, 256, 1024, 4096];

/// The bucket `len` bytes fall into.
pub fn bucket(len: usize) -> usize {
    if left_out(Defence::Padding) {
        return len;
    }
    SMALL.into_iter().find(|size| len <= *size).unwrap_or_else(|| len.next_power_of_two())
}

/// Pads `bytes`, with room left for `extra` bytes to follow. The caller wipes the result once it is sealed (or seals it in place).
pub(crate) fn pad(bytes: &[u8], extra: usize) -> Vec<u8> {
    let size = bucket(bytes.len()).saturating_add(LENGTH_BYTES);
    let len = u32::try_from(bytes.len()).expect("names and values are far below 4 GiB");
    let mut out = Vec::with_capacity(size.saturating_add(extra));
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    out.resize(size, 0);
    out
}

/// Removes the padding in place; `false` when it is not what [`pad`] writes.
#[must_use]
pub(crate) fn unpad(padded: &mut Vec<u8>) -> bool {
    let Some((len, rest)) = padded.split_first_chunk::<LENGTH_BYTES>() else { return false };
    let len = u32::from_be_bytes(*len) as usize;
    let Some((_, zeros)) = rest.split_at_checked(len) else { return false };
    if rest.len() != bucket(len) || zeros.iter().any(|byte| *byte != 0) {
        return false;
    }
    padded.copy_within(LENGTH_BYTES..LENGTH_BYTES.saturating_add(len), 0);
    padded.truncate(len);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_the_documented_ones() {
        let cases = [(0, 64), (64, 64), (65, 256), (257, 1024), (1025, 4096), (4097, 8192), (8193, 16384), (1 << 20, 1 << 20)];
        for (len, want) in cases {
            assert_eq!(bucket(len), want, "bucket of {len}");
        }
    }

    #[test]
    fn unpadding_accepts_only_what_padding_writes() {
        for len in [0, 1, 63, 64, 65, 256, 300, 5000] {
            let bytes = alloc::vec![7; len];
            let mut padded = pad(&bytes, 16);
            assert_eq!(padded.len(), 4 + bucket(len));
            assert!(unpad(&mut padded));
            assert_eq!(padded, bytes);
        }
        let mut dirty = pad(b"abc", 0);
        *dirty.last_mut().expect("not empty") = 1;
        assert!(!unpad(&mut dirty), "padding that is not zero");
        let mut loose = pad(b"abc", 0);
        loose.resize(4 + 256, 0);
        assert!(!unpad(&mut loose), "a larger bucket than needed");
        let mut long = pad(b"abc", 0);
        long.splice(..4, 65u32.to_be_bytes());
        assert!(!unpad(&mut long), "a length above what is there");
        assert!(!unpad(&mut alloc::vec![0; 3]), "shorter than a length");
    }
}
