//! A generator that plays a file of random bytes: whoever holds the file knows every key a simulated node ever makes.
//!
//! Decides: each draw begins at a multiple of [`BLOCK`] bytes, so that a tape is a list of blocks; bytes go from the file to where they are
//! wanted and leave no copy on the way, as with the system's own generator. Two draws never give the same bytes.
//! Trusts: whoever wrote the file to have used a good generator. Protects nothing: suites use it to look for keys in places where they must
//! not be. Out of scope: what is drawn, looking.

use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every draw begins at a multiple of this many bytes.
pub const BLOCK: usize = 32;

/// A tape being played; clones go on where the others are.
#[derive(Clone, Debug)]
pub struct Tape {
    file: Arc<File>,
    next: Arc<AtomicU64>,
}

impl Tape {
    /// Plays the file from its beginning.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Self::open_at(path, 0)
    }

    /// Plays the file from a block on.
    pub fn open_at(path: &Path, block: u64) -> std::io::Result<Self> {
        let next = block.saturating_mul(BLOCK as u64);
        Ok(Tape { file: Arc::new(File::open(path)?), next: Arc::new(AtomicU64::new(next)) })
    }

    /// The block the next draw begins with.
    pub fn position(&self) -> u64 {
        self.next.load(Ordering::Relaxed) / BLOCK as u64
    }
}

impl TryRng for Tape {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        let len = dst.len().next_multiple_of(BLOCK) as u64;
        let at = self.next.fetch_add(len, Ordering::Relaxed);
        // A simulated machine without a generator is no machine; the suite gave it too short a tape.
        self.file.read_exact_at(dst, at).expect("the tape is long enough for this life");
        Ok(())
    }
}

impl TryCryptoRng for Tape {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand_core::Rng;

    #[test]
    fn draws_begin_at_blocks_and_clones_go_on() {
        let path = std::env::temp_dir().join(format!("ringwall-tape-{}", std::process::id()));
        let bytes: Vec<u8> = (0..=255).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut tape = Tape::open(&path).unwrap();
        let mut drawn = [0; 33];
        tape.fill_bytes(&mut drawn);
        assert_eq!(drawn, bytes[..33]);
        assert_eq!(tape.clone().next_u32(), u32::from_le_bytes([64, 65, 66, 67]));
        assert_eq!(tape.position(), 3);
        Tape::open_at(&path, 3).unwrap().fill_bytes(&mut drawn[..1]);
        assert_eq!(drawn[0], 96);
        std::fs::remove_file(path).unwrap();
    }
}
