//! Planted secrets and the search for them: many at once, in every spelling, in bytes of any length.
//!
//! Decides: a secret is found when its bytes, their hex in either case, or their base64 (either alphabet, at any of the three places a
//! byte string can have inside a longer one) occur anywhere. Trusts: nothing; whoever searches proves the search by planting one more.
//! Out of scope: planting, and reading what is searched (`memory.rs`, `tap.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes by which a candidate is recognised before it is compared in full.
const PREFIX: usize = 8;
/// Bits of the table that tells at once that nothing begins here.
const FILTER_BITS: u32 = 24;
/// Bytes searched at a time.
pub const CHUNK: usize = 1 << 20;
/// Letters of base64, and the two that differ between its alphabets.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ALPHABETS: [[u8; 2]; 2] = [*b"+/", *b"-_"];

/// What is looked for, and the number of its secret.
type Pattern = (Box<[u8]>, u32);

/// A searcher for many secrets at once.
pub struct Canaries {
    filter: Vec<u64>,
    /// By their first bytes.
    patterns: HashMap<[u8; PREFIX], Vec<Pattern>>,
    /// Kind of each secret, by number.
    kinds: Vec<&'static str>,
    longest: usize,
}

/// Numbers of the secrets that were found.
pub type Found = BTreeSet<u32>;

/// What a search went through, and what it found.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// Secrets found.
    pub found: Found,
    /// Files in which one was found.
    pub hits: Vec<PathBuf>,
    /// Files read.
    pub files: usize,
    /// Bytes read.
    pub bytes: u64,
}

impl Default for Canaries {
    fn default() -> Self {
        Canaries { filter: vec![0; 1 << (FILTER_BITS - 6)], patterns: HashMap::new(), kinds: Vec::new(), longest: PREFIX }
    }
}

impl Canaries {
    /// Adds a secret of 12 bytes or more in every spelling.
    pub fn add(&mut self, kind: &'static str, secret: &[u8]) {
        let number = self.number(kind);
        let lower = ringwall_wire::text::hex(secret);
        let mut spellings = BTreeSet::from([secret.to_vec(), lower.to_uppercase().into_bytes(), lower.into_bytes()]);
        spellings.extend((0..3).flat_map(|place| ALPHABETS.map(|last| base64_inside(secret, place, last))));
        for spelling in spellings {
            self.pattern(number, spelling);
        }
    }

    /// Adds a secret as it is, and in no other spelling.
    pub fn add_raw(&mut self, kind: &'static str, secret: &[u8]) {
        let number = self.number(kind);
        self.pattern(number, secret.to_vec());
    }

    fn number(&mut self, kind: &'static str) -> u32 {
        self.kinds.push(kind);
        self.kinds.len() as u32 - 1
    }

    fn pattern(&mut self, number: u32, pattern: Vec<u8>) {
        let prefix: [u8; PREFIX] = pattern.first_chunk().copied().expect("a secret has twelve bytes or more in every spelling");
        let bit = slot_of([prefix[0], prefix[1], prefix[2], prefix[3]]);
        self.filter[bit / 64] |= 1 << (bit % 64);
        self.longest = self.longest.max(pattern.len());
        self.patterns.entry(prefix).or_default().push((pattern.into(), number));
    }

    /// How many secrets were added.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Adds to `found` what occurs in `bytes`.
    pub fn search(&self, bytes: &[u8], found: &mut Found) {
        for (at, window) in bytes.windows(PREFIX).enumerate() {
            let bit = slot_of([window[0], window[1], window[2], window[3]]);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            let Some(patterns) = window.first_chunk().and_then(|prefix: &[u8; PREFIX]| self.patterns.get(prefix)) else { continue };
            found.extend(patterns.iter().filter(|(pattern, _)| bytes[at..].starts_with(pattern)).map(|(_, number)| *number));
        }
    }

    /// What occurs in `bytes`.
    pub fn of(&self, bytes: &[u8]) -> Found {
        let mut found = Found::new();
        self.search(bytes, &mut found);
        found
    }

    /// Adds to `found` what occurs in a stream of any length; gives its length.
    pub fn search_stream(&self, mut stream: impl Read, found: &mut Found) -> std::io::Result<u64> {
        let keep = self.longest - 1;
        let mut window = vec![0; CHUNK + keep];
        let (mut held, mut bytes) = (0, 0);
        loop {
            let read = stream.read(&mut window[held..])?;
            if read == 0 {
                return Ok(bytes);
            }
            bytes += read as u64;
            self.search(&window[..held + read], found);
            // The end of this window may be the beginning of a secret.
            let rest = (held + read).min(keep);
            window.copy_within(held + read - rest..held + read, 0);
            held = rest;
        }
    }

    /// Goes through all files below `folders`.
    pub fn search_files<'a>(&self, folders: impl IntoIterator<Item = &'a Path>) -> std::io::Result<Searched> {
        let mut searched = Searched::default();
        let mut open: Vec<PathBuf> = folders.into_iter().map(Path::to_owned).collect();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?.into_iter().map(|entry| entry.path()));
                continue;
            }
            // A node may remove a file between the listing and the reading.
            let Ok(file) = std::fs::File::open(&path) else { continue };
            let mut found = Found::new();
            searched.bytes += self.search_stream(file, &mut found)?;
            searched.files += 1;
            if !found.is_empty() {
                searched.hits.push(path);
                searched.found.append(&mut found);
            }
        }
        Ok(searched)
    }

    /// How many secrets of each kind are among the found ones.
    pub fn by_kind(&self, found: &Found) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for number in found {
            *counts.entry(self.kinds[*number as usize]).or_insert(0) += 1;
        }
        counts
    }
}

/// Place of four bytes in the filter.
fn slot_of(bytes: [u8; 4]) -> usize {
    (u32::from_le_bytes(bytes).wrapping_mul(0x9e37_79b1) >> (32 - FILTER_BITS)) as usize
}

/// The letters of base64 that `secret` alone decides when it stands `place` bytes after a multiple of three.
fn base64_inside(secret: &[u8], place: usize, last: [u8; 2]) -> Vec<u8> {
    let bits = |at: usize| -> Option<u8> {
        // Six bits from bit `at` of `place` unknown bytes and the secret; none unless all of them are the secret's.
        let (first, shift) = (at / 8, at % 8);
        let high = *secret.get(first.checked_sub(place)?)?;
        let low = if shift > 2 { *secret.get(first + 1 - place)? } else { 0 };
        Some((u16::from_be_bytes([high, low]) >> (10 - shift)) as u8 & 0x3f)
    };
    let all = 0..(place + secret.len()).div_ceil(3) * 4;
    let letters = all.filter_map(|letter| bits(letter * 6));
    letters.map(|bits| LETTERS.get(usize::from(bits)).copied().unwrap_or_else(|| last[usize::from(bits) - 62])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = *b"0123456789abcdefghij\xff\xfe\xfdnopqrstuv";

    /// Base64 as anybody writes it.
    fn base64(bytes: &[u8], last: [u8; 2]) -> Vec<u8> {
        let mut out = Vec::new();
        for group in bytes.chunks(3) {
            let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            for at in 0..=group.len() {
                let bits = (word >> (18 - 6 * at) & 0x3f) as usize;
                out.push(LETTERS.get(bits).copied().unwrap_or_else(|| last[bits - 62]));
            }
        }
        out
    }

    #[test]
    fn every_spelling_is_found_at_every_place_and_half_a_secret_is_not() {
        let mut canaries = Canaries::default();
        canaries.add("planted", &SECRET);
        let around = |inside: &[u8]| [b"some text ", inside, b" more"].concat();
        let hex = ringwall_wire::text::hex(&SECRET);
        for spelling in [SECRET.to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()] {
            assert_eq!(canaries.by_kind(&canaries.of(&around(&spelling))), BTreeMap::from([("planted", 1)]));
            assert!(canaries.of(&around(&spelling[..spelling.len() - 1])).is_empty());
        }
        for before in 0..7 {
            let longer = [&vec![b'x'; before][..], &SECRET, b"after"].concat();
            for last in ALPHABETS {
                assert_eq!(canaries.of(&base64(&longer, last)).len(), 1, "{before} bytes before");
                let cut = [&longer[..before + 10], &longer[before + 16..]].concat();
                assert!(canaries.of(&base64(&cut, last)).is_empty(), "{before} bytes before");
            }
        }
    }

    #[test]
    fn a_stream_hides_nothing_where_it_is_cut() {
        struct Drops<'a>(&'a [u8]);
        impl Read for Drops<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let len = self.0.len().min(buffer.len()).min(7);
                buffer[..len].copy_from_slice(&self.0[..len]);
                self.0 = &self.0[len..];
                Ok(len)
            }
        }
        let mut canaries = Canaries::default();
        canaries.add_raw("planted", &SECRET);
        canaries.add_raw("other", &[9; 32]);
        for before in 0..40 {
            let stream = [&vec![1; before][..], &SECRET, &[2; 50]].concat();
            let mut found = Found::new();
            assert_eq!(canaries.search_stream(Drops(&stream), &mut found).expect("memory is read"), stream.len() as u64);
            assert_eq!(canaries.by_kind(&found), BTreeMap::from([("planted", 1)]), "{before} bytes before");
        }
    }
}
