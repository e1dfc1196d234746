//! Bytes as one line: Bech32m (BIP 350), for clipboards, files and codes to scan.
//!
//! Decides: prefix, `1`, five bits a character, six characters of checksum, one case. Lines here are longer than the 90 characters up to which Bech32m
//! promises to find any four errors; it finds every single one up to 1,023, and a wrong character by which the checksum would fit is named.
//! Trusts: nothing. Out of scope: mending. Bytes: docs/formats.md, "Shares as text".

use super::TEXT_BYTES;
use alloc::string::String;
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// The alphabet: a character's place is its value.
const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// What a good checksum leaves.
const GOOD: u32 = 0x2bc8_30a3;
/// Characters of checksum.
const CHECKSUM: usize = 6;

/// Why a line is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// It opens with something else.
    #[error("the line is of another kind: it should open with {wanted}1")]
    Prefix {
        /// What it should open with.
        wanted: &'static str,
    },
    /// Upper and lower case are mixed.
    #[error("upper and lower case are mixed")]
    Case,
    /// It is too long or too short.
    #[error("{got} characters, wanted {wanted}")]
    Length {
        /// How many there are.
        got: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// A character is not of the alphabet.
    #[error("character {place} is none that is used here (1, b, i and o are not)")]
    Unknown {
        /// Which, from 1.
        place: usize,
    },
    /// One character is another than was written.
    #[error("character {place} is not the one that was written; if only one is wrong, it is this one")]
    Wrong {
        /// Which, from 1.
        place: usize,
    },
    /// More than one character is wrong.
    #[error("more than one character is wrong; compare the whole line")]
    Several,
    /// The checksum fits and the bits that fill up the last character are not zero.
    #[error("the line does not end as this version ends it")]
    Ending,
}

/// Characters of a line of `bytes` bytes.
pub const fn length(prefix: &str, bytes: usize) -> usize {
    prefix.len() + 1 + (bytes * 8).div_ceil(5) + CHECKSUM
}

/// The line of `bytes`.
///
/// # Panics
/// When there are more than [`TEXT_BYTES`] bytes: nothing here is as long.
pub fn spell(prefix: &'static str, bytes: &[u8]) -> Zeroizing<String> {
    assert!(bytes.len() <= TEXT_BYTES, "a secret is short");
    let mut values = values_of(bytes);
    let rest = GOOD ^ values.iter().chain(&[0; CHECKSUM]).fold(opened(prefix), |rest, value| step(rest, *value));
    for at in (0..CHECKSUM).rev() {
        values.push((rest >> (5 * at) & 31) as u8);
    }
    let mut text = Zeroizing::new(String::with_capacity(length(prefix, bytes.len())));
    text.push_str(prefix);
    text.push('1');
    for value in values.iter() {
        text.push(char::from(*ALPHABET.get(usize::from(*value)).expect("a value has 5 bits")));
    }
    text
}

/// The `len` bytes of a line with this prefix.
pub fn read(prefix: &'static str, text: &str, len: usize) -> Result<Zeroizing<Vec<u8>>, LineFault> {
    let text = text.trim();
    let wanted = length(prefix, len.min(TEXT_BYTES));
    if text.bytes().any(|letter| letter.is_ascii_lowercase()) && text.bytes().any(|letter| letter.is_ascii_uppercase()) {
        return Err(LineFault::Case);
    }
    let start = prefix.len().saturating_add(1);
    let opening = text.as_bytes().get(..start).and_then(|opening| opening.split_last());
    if !opening.is_some_and(|(last, opening)| *last == b'1' && opening.eq_ignore_ascii_case(prefix.as_bytes())) {
        return Err(LineFault::Prefix { wanted: prefix });
    }
    if text.len() != wanted {
        return Err(LineFault::Length { got: text.len(), wanted });
    }
    let mut values = Zeroizing::new(Vec::with_capacity(wanted));
    for (at, letter) in text.bytes().enumerate().skip(start) {
        let value = ALPHABET.iter().position(|known| *known == letter.to_ascii_lowercase());
        values.push(value.ok_or(LineFault::Unknown { place: at.saturating_add(1) })? as u8);
    }
    let rest = values.iter().fold(opened(prefix), |rest, value| step(rest, *value));
    match rest == GOOD {
        true => bytes_of(&values, len),
        false => Err(located(prefix, &mut values)),
    }
}

/// The checksum's state after the prefix.
fn opened(prefix: &str) -> u32 {
    let high = prefix.bytes().map(|letter| letter >> 5);
    let low = prefix.bytes().map(|letter| letter & 31);
    high.chain(core::iter::once(0)).chain(low).fold(1, step)
}

fn step(rest: u32, value: u8) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = rest >> 25;
    let next = (rest & 0x01ff_ffff) << 5 ^ u32::from(value);
    GENERATOR.iter().enumerate().fold(next, |next, (bit, part)| next ^ part * (top >> bit & 1))
}

/// Tries every other character at every place: below 1,024 of them at most one fits.
fn located(prefix: &str, values: &mut [u8]) -> LineFault {
    for at in 0..values.len() {
        for change in 1..32 {
            flip(values, at, change);
            let fits = values.iter().fold(opened(prefix), |rest, value| step(rest, *value)) == GOOD;
            flip(values, at, change);
            if fits {
                return LineFault::Wrong { place: prefix.len().saturating_add(at).saturating_add(2) };
            }
        }
    }
    LineFault::Several
}

fn flip(values: &mut [u8], at: usize, change: u8) {
    if let Some(value) = values.get_mut(at) {
        *value ^= change;
    }
}

fn values_of(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut values = Zeroizing::new(Vec::with_capacity((bytes.len() * 8).div_ceil(5).saturating_add(CHECKSUM)));
    let (mut held, mut bits) = (0_u32, 0_usize);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            values.push((held >> bits & 31) as u8);
        }
    }
    if bits > 0 {
        values.push((held << (5 - bits) & 31) as u8);
    }
    values
}

fn bytes_of(values: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, LineFault> {
    let message = values.len().saturating_sub(CHECKSUM);
    let mut bytes = Zeroizing::new(Vec::with_capacity(len));
    let (mut held, mut bits) = (0_u32, 0_usize);
    for value in values.iter().take(message) {
        held = held << 5 | u32::from(*value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    match held & ((1 << bits) - 1) {
        0 => Ok(bytes),
        _ => Err(LineFault::Ending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Valid strings of BIP 350 leave the good rest in our arithmetic, and invalid ones do not.
    #[test]
    fn the_checksum_is_bip_350s() {
        let rest = |text: &str| {
            let text = text.to_ascii_lowercase();
            let (prefix, values) = text.rsplit_once('1').unwrap();
            let values = values.bytes().map(|letter| ALPHABET.iter().position(|known| *known == letter).unwrap() as u8);
            values.fold(opened(prefix), step)
        };
        for good in [
            "A1LQFN3A",
            "a1lqfn3a",
            "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
            "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
            "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
            "?1v759aa",
        ] {
            assert_eq!(rest(good), GOOD, "{good}");
        }
        for bad in ["A1LQFN3B", "split1checkupstagehandshakeupstreamerranterredcaperredlc445w", "a12uel5l"] {
            assert_ne!(rest(bad), GOOD, "{bad}");
        }
    }
}
