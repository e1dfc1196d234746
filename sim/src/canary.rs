//! Planted secrets and the search for them.
//!
//! Decides: a secret is found when its bytes, or their hex in either case, occur anywhere. Trusts: nothing; the search proves itself by
//! finding a secret it was handed. Out of scope: planting.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Bytes by which a candidate is recognised before it is compared in full.
const PREFIX: usize = 8;

/// A searcher for many secrets at once.
pub struct Canaries {
    /// First two bytes of any pattern.
    likely: Vec<bool>,
    patterns: HashMap<[u8; PREFIX], Vec<Vec<u8>>>,
}

impl Canaries {
    /// Searches for each of `secrets` (8 bytes or more), raw and in hex.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut canaries = Canaries { likely: vec![false; 1 << 16], patterns: HashMap::new() };
        for secret in secrets {
            let lower = ringwall_wire::text::hex(secret);
            canaries.add(secret.to_vec());
            canaries.add(lower.to_uppercase().into_bytes());
            canaries.add(lower.into_bytes());
        }
        canaries
    }

    fn add(&mut self, pattern: Vec<u8>) {
        let prefix: [u8; PREFIX] = pattern.first_chunk().copied().expect("a secret has eight bytes or more");
        self.likely[usize::from(u16::from_be_bytes([prefix[0], prefix[1]]))] = true;
        self.patterns.entry(prefix).or_default().push(pattern);
    }

    /// How often any secret occurs in `bytes`.
    pub fn count(&self, bytes: &[u8]) -> usize {
        let mut found = 0;
        for at in 0..bytes.len().saturating_sub(PREFIX - 1) {
            if !self.likely[usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))] {
                continue;
            }
            let Some(prefix) = bytes[at..].first_chunk::<PREFIX>() else { break };
            if let Some(patterns) = self.patterns.get(prefix) {
                found += patterns.iter().filter(|pattern| bytes[at..].starts_with(pattern)).count();
            }
        }
        found
    }

    /// Files below `folder` that hold any secret, how many files were read and how many bytes.
    pub fn search(&self, folder: &Path) -> std::io::Result<(Vec<PathBuf>, usize, u64)> {
        let (mut hits, mut files, mut bytes) = (Vec::new(), 0, 0);
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                // A node may remove a file between the listing and the reading.
                let Ok(content) = std::fs::read(&path) else { continue };
                files += 1;
                bytes += content.len() as u64;
                if self.count(&content) > 0 {
                    hits.push(path);
                }
            }
        }
        Ok((hits, files, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_planted_in_any_spelling() {
        let secret = *b"0123456789abcdefghijklmnopqrstuv";
        let canaries = Canaries::new([&secret[..]]);
        let mut bytes = vec![7_u8; 1000];
        assert_eq!(canaries.count(&bytes), 0);
        bytes.extend_from_slice(&secret);
        bytes.extend_from_slice(ringwall_wire::text::hex(&secret).as_bytes());
        bytes.extend_from_slice(ringwall_wire::text::hex(&secret).to_uppercase().as_bytes());
        assert!(canaries.count(&bytes) >= 3);
        assert_eq!(canaries.count(&secret[..31]), 0);
    }
}
