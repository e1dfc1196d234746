//! Bytes as words of the BIP-39 English list, with four words of checksum.
//!
//! Decides: 11 bits a word, the highest first, the last word filled up with zeros; a Reed-Solomon code over GF(2^11) (x^11 + x^2 + 1, roots a^1 to
//! a^4 of a = x) whose codeword opens with the purpose's bytes, which are not written down. It finds every error in up to four words. One wrong
//! word, or two neighbours that changed places, is located. A word is known by its first four letters.
//! Trusts: the list (its SHA-256 is tested). Out of scope: mending. Bytes: docs/formats.md, "Shares as text".

use super::TEXT_BYTES;
use alloc::string::String;
use alloc::vec::Vec;
use zeroize::{Zeroize, Zeroizing};

/// The English word list of BIP 39: 2,048 words, sorted, one a line, told apart by their first four letters (MIT licence, copyright its authors).
const LIST: &str = include_str!("words.txt");
/// Words of checksum.
pub const CHECKSUM_WORDS: usize = 4;
/// Bits of a word.
const WORD_BITS: usize = 11;
/// x^11 + x^2 + 1, which has x as a generator.
const POLYNOMIAL: u32 = 0x805;

/// Why words are not what was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordFault {
    /// A word is not on the list.
    #[error("word {place} is not on the list: look at its spelling")]
    Unknown {
        /// Which, from 1.
        place: usize,
    },
    /// There are too many or too few.
    #[error("{got} words, wanted {wanted}")]
    Count {
        /// How many there are.
        got: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// One word is another than was written.
    #[error("word {place} is not the one that was written down; all others are right")]
    Wrong {
        /// Which, from 1.
        place: usize,
    },
    /// Two neighbours changed places.
    #[error("words {place} and the next one have changed places")]
    Swapped {
        /// The first of the two, from 1.
        place: usize,
    },
    /// More than one word is wrong.
    #[error("more than one word is wrong, or these words are of another kind; compare all of them")]
    Several,
    /// The checksum fits and the bits that fill up the last word are not zero.
    #[error("the words do not end as this version ends them")]
    Ending,
}

/// The list, in its order: for whoever looks what a wrong word may have been.
pub fn list() -> impl Iterator<Item = &'static str> {
    LIST.lines()
}

/// How many words `bytes` bytes take.
pub const fn count(bytes: usize) -> usize {
    (bytes * 8).div_ceil(WORD_BITS) + CHECKSUM_WORDS
}

/// Words for `bytes`, separated by spaces.
///
/// # Panics
/// When there are more than [`TEXT_BYTES`] bytes: nothing here is as long.
pub fn spell(purpose: &str, bytes: &[u8]) -> Zeroizing<String> {
    assert!(bytes.len() <= TEXT_BYTES, "a secret is short");
    let mut symbols = symbols_of(bytes);
    let mut checksum = checksum(purpose, &symbols);
    symbols.extend_from_slice(&checksum);
    let words: Vec<&str> = LIST.lines().collect();
    let mut text = Zeroizing::new(String::with_capacity(symbols.len().saturating_mul(9)));
    for symbol in &symbols {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(words.get(usize::from(*symbol)).expect("a symbol has 11 bits, the list 2,048 words"));
    }
    symbols.zeroize();
    checksum.zeroize();
    text
}

/// The `len` bytes that were spelled with this purpose.
pub fn read(purpose: &str, text: &str, len: usize) -> Result<Zeroizing<Vec<u8>>, WordFault> {
    let wanted = count(len.min(TEXT_BYTES));
    let got = text.split_whitespace().take(wanted.saturating_mul(2)).count();
    if got != wanted {
        return Err(WordFault::Count { got, wanted });
    }
    let known = LIST.lines().collect::<Vec<_>>();
    let mut symbols: Zeroizing<Vec<u16>> = Zeroizing::new(Vec::with_capacity(wanted));
    for (at, word) in text.split_whitespace().enumerate() {
        let place = at.saturating_add(1);
        symbols.push(symbol_of(&known, word).ok_or(WordFault::Unknown { place })?);
    }
    match fault(purpose, &symbols) {
        Some(fault) => Err(fault),
        None => bytes_of(&symbols, len),
    }
}

/// The place of a word on the list, by its first four letters; a longer word has to be the whole one.
fn symbol_of(known: &[&str], word: &str) -> Option<u16> {
    let word = Zeroizing::new(word.to_ascii_lowercase());
    let fits = |listed: &&str| *listed == word.as_str() || (word.len() == 4 && listed.starts_with(word.as_str()));
    let at = known.iter().position(fits)?;
    u16::try_from(at).ok()
}

/// Eleven bits a word, the highest first, the last word filled up with zeros.
pub(crate) fn symbols_of(bytes: &[u8]) -> Vec<u16> {
    let mut symbols = Vec::with_capacity(count(bytes.len()));
    let (mut held, mut bits) = (0_u32, 0_usize);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        if bits >= WORD_BITS {
            bits -= WORD_BITS;
            symbols.push((held >> bits & 0x7ff) as u16);
        }
    }
    if bits > 0 {
        symbols.push((held << (WORD_BITS - bits) & 0x7ff) as u16);
    }
    symbols
}

/// The bytes of these words, and the bits that are left over.
pub(crate) fn unpacked(symbols: &[u16]) -> (Zeroizing<Vec<u8>>, u32) {
    let mut bytes = Zeroizing::new(Vec::with_capacity((symbols.len() * WORD_BITS).div_ceil(8)));
    let (mut held, mut bits) = (0_u32, 0_usize);
    for symbol in symbols {
        held = held << WORD_BITS | u32::from(*symbol);
        bits += WORD_BITS;
        while bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    (bytes, held & ((1 << bits) - 1))
}

fn bytes_of(symbols: &[u16], len: usize) -> Result<Zeroizing<Vec<u8>>, WordFault> {
    let message = symbols.len().saturating_sub(CHECKSUM_WORDS);
    let (mut bytes, rest) = unpacked(symbols.get(..message).unwrap_or_default());
    let over = bytes.iter().skip(len).any(|byte| *byte != 0);
    if rest != 0 || over {
        return Err(WordFault::Ending);
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// Product in GF(2^11).
fn mul(one: u16, other: u16) -> u16 {
    let (one, other) = (u32::from(one), u32::from(other));
    let mut product = (0..WORD_BITS).fold(0, |product, bit| product ^ ((one << bit) * (other >> bit & 1)));
    for over in (WORD_BITS..2 * WORD_BITS - 1).rev() {
        product ^= (POLYNOMIAL << (over - WORD_BITS)) * (product >> over & 1);
    }
    product as u16
}

/// a^power.
fn power(power: usize) -> u16 {
    (0..power).fold(1, |value, _| mul(value, 2))
}

/// The code's generator: the product of `(z - a^i)`, i from 1 to 4, without its leading 1, the highest power first.
fn generator() -> [u16; CHECKSUM_WORDS] {
    let mut generator = [0; CHECKSUM_WORDS];
    let mut product: Vec<u16> = alloc::vec![1];
    for root in (1..=CHECKSUM_WORDS).map(power) {
        let mut next: Vec<u16> = product.clone();
        next.push(0);
        for (at, part) in product.iter().enumerate() {
            if let Some(slot) = next.get_mut(at.saturating_add(1)) {
                *slot ^= mul(*part, root);
            }
        }
        product = next;
    }
    for (slot, part) in generator.iter_mut().zip(product.iter().skip(1)) {
        *slot = *part;
    }
    generator
}

/// What makes purpose, `symbols` and this a codeword.
fn checksum(purpose: &str, symbols: &[u16]) -> [u16; CHECKSUM_WORDS] {
    let generator = generator();
    let mut rest = [0_u16; CHECKSUM_WORDS];
    for symbol in purpose.bytes().map(u16::from).chain(symbols.iter().copied()) {
        let [first, others @ ..] = rest;
        let over = first ^ symbol;
        let [a, b, c] = others;
        rest = [a, b, c, 0];
        for (slot, part) in rest.iter_mut().zip(generator) {
            *slot ^= mul(over, part);
        }
    }
    rest
}

/// The received word at a^1 to a^4: all zero for a codeword.
fn syndromes(purpose: &str, symbols: &[u16]) -> [u16; CHECKSUM_WORDS] {
    let mut found = [0; CHECKSUM_WORDS];
    for (slot, root) in found.iter_mut().zip((1..=CHECKSUM_WORDS).map(power)) {
        let all = purpose.bytes().map(u16::from).chain(symbols.iter().copied());
        *slot = all.fold(0, |value, symbol| mul(value, root) ^ symbol);
    }
    found
}

/// What is wrong with the words, if anything is.
fn fault(purpose: &str, symbols: &[u16]) -> Option<WordFault> {
    let found = syndromes(purpose, symbols);
    if found == [0; CHECKSUM_WORDS] {
        return None;
    }
    // One wrong symbol of size e at a^p: the syndromes are e*a^p, e*a^2p, e*a^3p, e*a^4p.
    let [first, second, third, fourth] = found;
    for (at, place) in (1..=symbols.len()).enumerate() {
        let locator = power(symbols.len().saturating_sub(place));
        let fits = mul(first, locator) == second && mul(second, locator) == third && mul(third, locator) == fourth;
        if first != 0 && fits {
            return Some(WordFault::Wrong { place: at.saturating_add(1) });
        }
    }
    for place in 1..symbols.len() {
        let mut swapped = Zeroizing::new(symbols.to_vec());
        swapped.swap(place.saturating_sub(1), place);
        if syndromes(purpose, &swapped) == [0; CHECKSUM_WORDS] {
            return Some(WordFault::Swapped { place });
        }
    }
    Some(WordFault::Several)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwall_wire::text::hex;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn the_list_is_the_one_of_bip_39() {
        assert_eq!(hex(&Sha256::digest(LIST)), "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda");
        let mut heads: Vec<&str> = LIST.lines().map(|word| word.get(..4).unwrap_or(word)).collect();
        heads.sort_unstable();
        heads.dedup();
        assert_eq!(heads.len(), 2_048, "four letters tell words apart");
    }

    #[test]
    fn the_field_has_x_as_a_generator() {
        let mut value = 1;
        for power in 1..=2_047 {
            value = mul(value, 2);
            assert_eq!(value == 1, power == 2_047, "x^{power}");
        }
    }
}
