//! What a power cut leaves of a disk in memory: everything synced, and of the rest what chance decides.
//!
//! Decides: sectors of 512 bytes are written whole or not at all, in any order; a size may or may not have changed; a removal may or
//! may not have happened, each by itself. A name that was made or changed is there, because the call returned.
//! Trusts: the seed. Out of scope: faults while the power is on (`plan`). Protocol section 5.1.

use crate::disk::memory::sheet::Sheet;
use crate::disk::memory::{Content, MemoryDisk, Pending, Platter};
use std::sync::{Arc, Mutex};

/// Bytes a disk writes at once.
const SECTOR: usize = 512;

/// Which of the writes not synced reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// None.
    Lost,
    /// All.
    Kept,
    /// The first ones, up to a sector somewhere in one of them.
    Torn,
    /// Any sectors of any of them.
    Reordered,
}

/// A small generator: equal seeds, equal images.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`; 0 when there is nothing below it.
    pub fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        if bound == 0 { 0 } else { mixed % bound }
    }

    fn half(&mut self) -> bool {
        self.below(2) == 0
    }
}

impl MemoryDisk {
    /// What a power cut now would leave: another disk. This one goes on.
    pub fn crash_image(&self, crash: Crash, seed: u64) -> MemoryDisk {
        let platter = {
            let held = self.lock();
            Platter {
                names: held.names.clone(),
                durable_names: held.durable_names.clone(),
                folders: held.folders.clone(),
                files: held.files.clone(),
                made: held.made,
                life: held.life + 1,
                ..Platter::default()
            }
        };
        MemoryDisk { platter: Arc::new(Mutex::new(after(platter, crash, &mut Chance::new(seed)))) }
    }

    /// The power goes: what is left stays on this disk, and every file that was open is dead.
    pub fn crash(&self, crash: Crash, seed: u64) {
        let image = self.crash_image(crash, seed);
        let image = image.lock().clone();
        let mut held = self.lock();
        held.names = image.names;
        held.durable_names = image.durable_names;
        held.files = image.files;
        held.life += 1;
        held.dead = false;
    }
}

fn after(mut platter: Platter, crash: Crash, chance: &mut Chance) -> Platter {
    for (path, file) in &platter.durable_names {
        // A name only the durable folder has was removed, and the removal may not have happened.
        let back = match crash {
            Crash::Lost => true,
            Crash::Kept => false,
            Crash::Torn | Crash::Reordered => chance.half(),
        };
        if back {
            platter.names.entry(path.clone()).or_insert(*file);
        }
    }
    platter.durable_names.clone_from(&platter.names);
    for content in platter.files.values_mut().filter(|content| !content.pending.is_empty()) {
        let left = survivor(content, crash, chance);
        *content = Content { seen: left.clone(), durable: left, ..Content::default() };
    }
    platter
}

fn survivor(content: &Content, crash: Crash, chance: &mut Chance) -> Sheet {
    let mut sheet = content.durable.clone();
    let pending = &content.pending;
    match crash {
        Crash::Lost => {}
        Crash::Kept => sheet.clone_from(&content.seen),
        Crash::Torn => {
            let whole = chance.below(pending.len() as u64) as usize;
            for pending in pending.iter().take(whole) {
                apply(&mut sheet, pending, |_| true);
            }
            if let Some(torn) = pending.get(whole) {
                let sectors = chance.below(torn.sectors() as u64 + 1) as usize;
                apply(&mut sheet, torn, |sector| sector < sectors);
            }
        }
        Crash::Reordered => {
            for pending in pending.iter() {
                apply(&mut sheet, pending, |_| chance.half());
            }
        }
    }
    sheet
}

impl Pending {
    fn sectors(&self) -> usize {
        match self {
            Pending::Size(_) => 1,
            Pending::Bytes(at, bytes) => parts(*at, bytes.len()).count(),
        }
    }
}

/// Applies those sectors of a write that `keep` names by their number in it.
fn apply(sheet: &mut Sheet, pending: &Pending, mut keep: impl FnMut(usize) -> bool) {
    match pending {
        Pending::Size(len) if keep(0) => sheet.set_len(*len),
        Pending::Size(_) => {}
        Pending::Bytes(at, bytes) => {
            for (sector, part) in parts(*at, bytes.len()).enumerate() {
                if keep(sector) {
                    sheet.write(at + part.start as u64, bytes.split_at(part.start).1.split_at(part.len()).0);
                }
            }
        }
    }
}

/// A run of bytes cut where sectors of the disk end.
fn parts(at: u64, len: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let within = (at as usize + done) % SECTOR;
        let part = (SECTOR - within).min(len - done);
        done += part;
        Some(done - part..done)
    })
}
