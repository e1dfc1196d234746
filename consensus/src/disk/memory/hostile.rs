//! What whoever controls a disk can do to it behind the process's back: edits, replays, swaps, older worlds.
//!
//! Decides: every edit is durable at once and seen by files that are open. Trusts: nothing.
//! Out of scope: what the process notices. Protocol section 5.1; register rows R1, R2 and R5.

use crate::disk::memory::{Content, MemoryDisk};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

impl MemoryDisk {
    /// The same contents on another disk: a clone of the machine's, without plans and hooks.
    pub fn copy(&self) -> MemoryDisk {
        let mut platter = self.lock().clone();
        (platter.plans, platter.hook, platter.noted) = (Vec::new(), None, None);
        MemoryDisk { platter: Arc::new(Mutex::new(platter)) }
    }

    /// Puts back everything `image` holds. Files that are open stay open, over their contents of then.
    pub fn roll_back(&self, image: &MemoryDisk) {
        let image = image.lock().clone();
        let mut held = self.lock();
        held.names = image.names;
        held.durable_names = image.durable_names;
        held.folders = image.folders;
        held.files = image.files;
    }

    /// Names of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }

    /// The bytes of a file as the process sees them.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let held = self.lock();
        let file = held.names.get(path)?;
        held.files.get(file).map(|content| content.seen.to_vec())
    }

    /// Size of a file as the process sees it.
    pub fn size(&self, path: &Path) -> Option<u64> {
        let held = self.lock();
        let file = held.names.get(path)?;
        held.files.get(file).map(|content| content.seen.len())
    }

    /// Some bytes of a file, zeroes beyond its end.
    pub fn part(&self, path: &Path, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let held = self.lock();
        if let Some(content) = held.names.get(path).and_then(|file| held.files.get(file)) {
            content.seen.read(at, &mut bytes);
        }
        bytes
    }

    /// Puts bytes into a file.
    pub fn edit(&self, path: &Path, at: u64, bytes: &[u8]) -> bool {
        self.change(path, |content| {
            content.seen.write(at, bytes);
            content.durable.write(at, bytes);
        })
    }

    /// Turns one bit round.
    pub fn flip(&self, path: &Path, at: u64, bit: u8) -> bool {
        let mut byte = self.part(path, at, 1);
        byte.iter_mut().for_each(|byte| *byte ^= 1 << (bit % 8));
        self.edit(path, at, &byte)
    }

    /// Puts the block at `from` to `to` as well: a misdirected write, or a replay within a file.
    pub fn misdirect(&self, path: &Path, from: u64, to: u64, len: usize) -> bool {
        self.edit(path, to, &self.part(path, from, len))
    }

    /// Swaps two blocks.
    pub fn swap(&self, path: &Path, one: u64, other: u64, len: usize) -> bool {
        let (first, second) = (self.part(path, one, len), self.part(path, other, len));
        self.edit(path, one, &second) && self.edit(path, other, &first)
    }

    /// Puts a block back as it was in an earlier image.
    pub fn replay(&self, image: &MemoryDisk, path: &Path, at: u64, len: usize) -> bool {
        self.edit(path, at, &image.part(path, at, len))
    }

    /// Cuts a file off.
    pub fn truncate(&self, path: &Path, len: u64) -> bool {
        self.change(path, |content| {
            content.seen.set_len(len);
            content.durable.set_len(len);
        })
    }

    fn change(&self, path: &Path, change: impl FnOnce(&mut Content)) -> bool {
        let mut held = self.lock();
        let Some(file) = held.names.get(path).copied() else { return false };
        let Some(content) = held.files.get_mut(&file) else { return false };
        change(content);
        true
    }
}
