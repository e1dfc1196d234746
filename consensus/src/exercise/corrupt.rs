//! Edits of a disk under a running member: is every one of them noticed, or without meaning?
//!
//! Decides: one member's storage, filled once; then any number of copies of its disk with one edit each (a bit, a block zeroed,
//! swapped, put back from an earlier day, written to another place, a file cut off), read by the member's own paths against the
//! digests it has in memory, and by `log/recover.rs`, which has none. Nothing that was not written may come out anywhere.
//! Trusts: the model (`model`). Out of scope: power cuts (`crash`). Protocol section 5.1; register row R5.

use crate::disk::memory::{Chance, MemoryDisk};
use crate::disk::{DiskFault, DiskFile as _, fault};
use crate::exercise::crash::{SEGMENT_BYTES, row_key};
use crate::exercise::model::{Deed, Holds};
use crate::exercise::{Exercise, FOLDER, Tally};
use crate::fence::Fence;
use crate::log::recover::{Ending, recover};
use crate::types;
use ringwall_wire::bounded::SharedBlob;
use ringwall_wire::ids::{Epoch, Incarnation};
use ringwall_wire::peer::{Ballot, EntryPayload, LogEntry, LogPosition};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Groups of entries the member has written.
const GROUPS: u64 = 40;
/// Edits of one member's disk.
const EDITS_EACH: u64 = 5_000;
/// Bytes of a block that is zeroed, swapped, replayed or misdirected.
const BLOCKS: [usize; 2] = [512, 4096];

/// What is done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Flip,
    Zero,
    Swap,
    Replay,
    Misdirect,
    Truncate,
}

const EDITS: [Edit; 6] = [Edit::Flip, Edit::Zero, Edit::Swap, Edit::Replay, Edit::Misdirect, Edit::Truncate];

/// A member whose disk is edited, copy by copy.
pub struct Victim {
    exercise: Exercise,
    /// The disk on earlier days.
    earlier: Vec<MemoryDisk>,
    deeds: Vec<Deed>,
    entries: Vec<Arc<LogEntry>>,
    files: Vec<PathBuf>,
}

/// An edit that left the file as it was; it is not counted as one.
pub const NOTHING_CHANGED: &str = "nothing changed";

/// Judges `count` edits that changed something. Equal seeds, equal edits.
pub fn campaign(seed: u64, count: u64) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut run = seed;
    while tally.judged - tally.of(NOTHING_CHANGED) < count {
        let victim = Victim::new(run)?;
        for number in 0..EDITS_EACH {
            if tally.judged - tally.of(NOTHING_CHANGED) < count {
                victim.judge(run, number, &mut tally);
            }
        }
        run = run.wrapping_add(1);
    }
    Ok(tally)
}

impl Victim {
    /// Fills a log of several segments, none of it in memory, a database and a snapshot.
    pub fn new(seed: u64) -> io::Result<Self> {
        let disk = MemoryDisk::default();
        let mut exercise = Exercise::new(&disk, SEGMENT_BYTES, 0)?;
        let mut chance = Chance::new(seed);
        let (mut earlier, mut deeds, mut index) = (Vec::new(), Vec::new(), 0);
        for group in 0..GROUPS {
            let entries: Vec<LogEntry> =
                (index..index + 1 + chance.below(3)).map(|at| entry(at, &mut chance)).collect::<io::Result<_>>()?;
            index += entries.len() as u64;
            deeds.extend(entries.iter().cloned().map(|entry| Deed::Entry(Arc::new(entry))));
            exercise.append(entries)?;
            if group % 7 == 3 {
                let ballot = Ballot { term: 1, leader: Incarnation::new(Epoch(1), group), committed: true };
                deeds.push(Deed::Vote(ballot));
                exercise.vote(ballot)?;
            }
            for row in 0..6 {
                exercise.put_row(row_key(row * 7 + group % 7), vec![group as u8; 200]);
            }
            exercise.step();
            if group % 10 == 9 {
                exercise.snapshot(LogPosition { term: 1, index: index - 1 })?;
                earlier.push(disk.copy());
            }
        }
        let to = LogPosition { term: 1, index: index / 4 };
        deeds.push(Deed::Purge(to));
        exercise.purge(to)?;
        exercise.step();
        if let Some(why) = exercise.fenced() {
            return Err(io::Error::other(why));
        }
        let mut holds = Holds::default();
        deeds.iter().for_each(|deed| holds.take(deed));
        let (entries, files) = (holds.entries().to_vec(), disk.paths());
        Ok(Victim { exercise, earlier, deeds, entries, files })
    }

    /// Names of the files that are edited.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Makes one edit on a copy of the disk, and says what came of it.
    pub fn judge(&self, seed: u64, number: u64, tally: &mut Tally) {
        let mut chance = Chance::new(seed.rotate_left(17) ^ number);
        let edit = pick(&EDITS, &mut chance).copied().unwrap_or(Edit::Flip);
        let Some(path) = pick(&self.files, &mut chance).cloned() else { return };
        let disk = self.exercise.disk().copy();
        let changed = self.edit(&disk, &path, edit, &mut chance);
        let kind = format!("{edit:?} in {}", class(&path));
        let whence = || format!("seed {seed}, edit {number}: {edit:?} of {} at {changed:?}", path.display());
        match catch_unwind(AssertUnwindSafe(|| self.outcome(&disk, &path, &changed))) {
            Ok(Ok(outcome)) => tally.good(kind, outcome),
            Ok(Err(why)) => tally.bad(kind, "wrong answer", format!("{}: {why}", whence())),
            Err(_) => tally.bad(kind, "panic", format!("{}: panic", whence())),
        }
    }

    /// Gives the ranges that may be different now.
    fn edit(&self, disk: &MemoryDisk, path: &Path, edit: Edit, chance: &mut Chance) -> Vec<Range<u64>> {
        let size = disk.size(path).unwrap_or(0);
        let block = pick(&BLOCKS, chance).copied().unwrap_or(512).min(size as usize);
        let mut place = |step: u64| chance.below(size / step.max(1)) * step.max(1);
        let around = |at: u64| at..at + block as u64;
        match edit {
            Edit::Flip => {
                let at = place(1);
                disk.flip(path, at, (at % 8) as u8);
                std::iter::once(at..at + 1).collect()
            }
            Edit::Zero => {
                let at = place(block as u64);
                disk.edit(path, at, &vec![0; block]);
                vec![around(at)]
            }
            Edit::Swap => {
                let (one, other) = (place(block as u64), place(block as u64));
                disk.swap(path, one, other, block);
                vec![around(one), around(other)]
            }
            Edit::Replay => {
                let at = place(block as u64);
                if let Some(image) = pick(&self.earlier, chance) {
                    disk.replay(image, path, at, block);
                }
                vec![around(at)]
            }
            Edit::Misdirect => {
                let (from, to) = (place(block as u64), place(block as u64));
                disk.misdirect(path, from, to, block);
                vec![around(to)]
            }
            Edit::Truncate => {
                let at = place(1);
                disk.truncate(path, at);
                std::iter::once(at..size).collect()
            }
        }
    }

    fn outcome(&self, disk: &MemoryDisk, path: &Path, changed: &[Range<u64>]) -> Result<&'static str, String> {
        let true_disk = self.exercise.disk();
        if disk.size(path) == true_disk.size(path) && disk.bytes(path) == true_disk.bytes(path) {
            return Ok(NOTHING_CHANGED);
        }
        let log = class(path) == "log";
        let noticed = if log { self.read_log(disk)? } else { self.read_file(disk, path, changed)? };
        let told = if log { self.read_back(disk)? } else { "" };
        Ok(match (noticed, told) {
            (true, _) => "noticed",
            (false, "damaged" | "torn") => "unread by the member, told by recovery",
            (false, "earlier") => "unread by the member, an earlier log to recovery",
            (false, _) => "dead bytes",
        })
    }

    /// All entries, one by one, as replication reads them.
    fn read_log(&self, disk: &MemoryDisk) -> Result<bool, String> {
        let mut noticed = false;
        for wanted in &self.entries {
            match self.exercise.log.read_over(disk, (wanted.at.index, wanted.at.index + 1)) {
                Err(why) if is_fault(&why) => noticed = true,
                Err(why) => return Err(format!("entry {} is refused without a reason: {why}", wanted.at.index)),
                Ok(found) => {
                    let same = found.iter().map(types::entry_out).collect::<Vec<_>>() == [Ok((**wanted).clone())];
                    if !same {
                        return Err(format!("entry {} is another one", wanted.at.index));
                    }
                }
            }
        }
        Ok(noticed)
    }

    /// The blocks around what changed, as the database and snapshots are read. Every change is noticed there.
    fn read_file(&self, disk: &MemoryDisk, path: &Path, changed: &[Range<u64>]) -> Result<bool, String> {
        let fence = Fence::new();
        let file = self.exercise.over(path, disk, &fence).map_err(|why| why.to_string())?;
        let Some(file) = file else { return Ok(false) };
        let size = file.size().map_err(|why| why.to_string())?;
        let (mut noticed, mut bytes) = (false, vec![0; 4096]);
        let blocks = changed.iter().flat_map(|range| range.start / 4096..range.end.div_ceil(4096)).take(64);
        for block in blocks.filter(|block| block * 4096 < size).collect::<BTreeSet<u64>>() {
            match file.read_at(block * 4096, &mut bytes) {
                Err(why) if is_fault(&why) && fence.reason().is_some() => noticed = true,
                Err(why) => return Err(format!("block {block} is refused without a reason: {why}")),
                Ok(len) => {
                    let right = self.exercise.disk().part(path, block * 4096, len);
                    if bytes.split_at(len).0 != right {
                        return Err(format!("block {block} is another one"));
                    }
                }
            }
        }
        match noticed {
            true => Ok(true),
            false => Err("a change went unnoticed".into()),
        }
    }

    /// The log without the member's memory.
    fn read_back(&self, disk: &MemoryDisk) -> Result<&'static str, String> {
        let found = recover(disk, Path::new(FOLDER)).map_err(|why| format!("not read back: {why}"))?;
        let mut holds = Holds::default();
        let mut explained = holds.is(&found).then_some(0);
        for (at, deed) in self.deeds.iter().enumerate() {
            holds.take(deed);
            if holds.is(&found) {
                explained = Some(at + 1);
            }
        }
        if let Ending::Damaged { .. } = found.ending {
            let written = |entry: &LogEntry| self.deeds.iter().any(|deed| matches!(deed, Deed::Entry(other) if **other == *entry));
            return match found.entries.iter().all(written) {
                true => Ok("damaged"),
                false => Err("the damaged log holds an entry nobody wrote".into()),
            };
        }
        match (explained, found.ending) {
            (Some(all), Ending::Clean) if all == self.deeds.len() => Ok("whole"),
            (Some(_), Ending::Torn { .. }) => Ok("torn"),
            (Some(_), _) => Ok("earlier"),
            (None, ending) => Err(format!("recovery makes up a log ({ending:?})")),
        }
    }
}

fn is_fault(why: &io::Error) -> bool {
    matches!(fault::found(why), Some(DiskFault::Changed { .. } | DiskFault::Missing { .. } | DiskFault::Failed { .. }))
}

fn pick<'a, T>(from: &'a [T], chance: &mut Chance) -> Option<&'a T> {
    from.get(chance.below(from.len() as u64) as usize)
}

fn class(path: &Path) -> &'static str {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let classes = [("log-", "log"), ("base-", "database"), ("snapshot-", "snapshot")];
    classes.iter().find(|(start, _)| name.starts_with(start)).map_or("spare segment", |(_, class)| class)
}

fn entry(index: u64, chance: &mut Chance) -> io::Result<LogEntry> {
    let fill = chance.below(256) as u8;
    let payload = EntryPayload::Command(SharedBlob::new(vec![fill; chance.below(900) as usize]).map_err(io::Error::other)?);
    Ok(LogEntry { at: LogPosition { term: 1, index }, payload })
}
