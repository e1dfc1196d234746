//! Power cuts at every boundary of a workload: is anything that was acknowledged lost?
//!
//! Decides: a workload of votes, appends, truncations, purges, recycled segments, snapshots and database commits; at every boundary,
//! before and after, images of what a power cut leaves; each is read back by `log/recover.rs` and must be a state the log was in, no
//! older than what was acknowledged, with its end told rightly, and with the snapshot that stands for what was purged.
//! Trusts: the model (`model`). Out of scope: disks that lie (`corrupt`). Protocol section 5.1.

use crate::disk::memory::{Access, Boundary, Chance, Crash, MemoryDisk};
use crate::exercise::model::{Deed, Model};
use crate::exercise::{Exercise, FOLDER, Tally};
use crate::log::recover::{Ending, Recovered, recover};
use ringwall_wire::bounded::SharedBlob;
use ringwall_wire::ids::{Digest, Epoch, Incarnation};
use ringwall_wire::peer::{Ballot, EntryPayload, LogEntry, LogPosition};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a segment: small, so that a workload fills many.
pub const SEGMENT_BYTES: u64 = 8 * 1024;
/// Groups of one workload.
const GROUPS: u64 = 24;

/// What a campaign knows while a workload runs.
struct Watch {
    model: Model,
    /// Snapshots that were begun: index, and the digest of the whole.
    snapshots: BTreeMap<u64, Digest>,
    tally: Tally,
    chance: Chance,
    /// Images at each boundary.
    images: u64,
    want: u64,
    seed: u64,
}

/// Judges about `count` images, at least one workload's. Equal seeds, equal images.
pub fn campaign(seed: u64, count: u64, images: u64) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut run = 0;
    while tally.judged < count {
        tally.add(workload(seed.wrapping_add(run), images, count - tally.judged)?);
        run += 1;
    }
    Ok(tally)
}

/// Runs one workload and judges images at every boundary of it, at most `want` of them.
pub fn workload(seed: u64, images: u64, want: u64) -> io::Result<Tally> {
    let disk = MemoryDisk::default();
    let mut exercise = Exercise::new(&disk, SEGMENT_BYTES, 4 * 1024)?;
    let watch = Watch {
        model: Model::default(),
        snapshots: BTreeMap::new(),
        tally: Tally::default(),
        chance: Chance::new(seed),
        images,
        want,
        seed,
    };
    let watch = Arc::new(Mutex::new(watch));
    let (theirs, looked_at) = (Arc::clone(&watch), disk.clone());
    disk.set_hook(Some(Arc::new(move |boundary| {
        if boundary.access != Access::Read {
            lock(&theirs).look(&looked_at, boundary);
        }
    })));
    let mut script = Script { chance: Chance::new(seed ^ 0x5eed), term: 1, rows: 0 };
    for _ in 0..GROUPS {
        script.group(&mut exercise, &watch)?;
    }
    disk.set_hook(None);
    Ok(lock(&watch).tally.clone())
}

fn lock(watch: &Mutex<Watch>) -> std::sync::MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Takes and judges the images of one boundary.
    fn look(&mut self, disk: &MemoryDisk, boundary: &Boundary) {
        for number in 0..self.images {
            if self.tally.judged >= self.want {
                return;
            }
            let crash = match number {
                0 => Crash::Lost,
                1 => Crash::Kept,
                number if number % 2 == 0 => Crash::Torn,
                _ => Crash::Reordered,
            };
            let seed = self.chance.below(u64::MAX);
            let image = disk.crash_image(crash, seed);
            let kind = format!("{:?} {}", boundary.access, if boundary.after { "done" } else { "to come" });
            let judged = catch_unwind(AssertUnwindSafe(|| self.judge(&image)));
            let whence = || format!("workload {}, boundary {} ({boundary:?}), {crash:?} {seed}", self.seed, boundary.number);
            match judged {
                Ok(Ok(outcome)) => self.tally.good(kind, outcome),
                Ok(Err(why)) => {
                    let what = format!("{}: {why}", whence());
                    self.tally.bad(kind, "lost", what);
                }
                Err(_) => {
                    let what = format!("{}: panic", whence());
                    self.tally.bad(kind, "panic", what);
                }
            }
        }
    }

    fn judge(&self, image: &MemoryDisk) -> Result<&'static str, String> {
        let found = recover(image, Path::new(FOLDER)).map_err(|why| format!("not read: {why}"))?;
        if let Ending::Damaged { segment, at } = found.ending {
            return Err(format!("an honest disk is called damaged in segment {segment} at {at}"));
        }
        let Some(more) = self.model.explains(&found) else {
            let (certain, newest) = (self.model.certain.last(), self.model.newest().last());
            return Err(format!("holds up to {:?}, acknowledged {certain:?}, queued {newest:?}: {:?}", found.last(), found.ending));
        };
        if found.committed > self.model.committed {
            return Err(format!("committed {:?}, noted {:?}", found.committed, self.model.committed));
        }
        self.has_snapshot(image, &found)?;
        Ok(match (&found.ending, more) {
            (Ending::Torn { .. }, _) => "torn end told",
            (_, 0) => "what was acknowledged",
            _ => "more than was acknowledged",
        })
    }

    /// What was purged must be in a snapshot that is whole.
    fn has_snapshot(&self, image: &MemoryDisk, found: &Recovered) -> Result<(), String> {
        let Some(purged) = found.purged else { return Ok(()) };
        let whole = self.snapshots.range(purged.index..).any(|(index, digest)| {
            let bytes = image.bytes(&Path::new(FOLDER).join(format!("snapshot-{index:016}")));
            bytes.is_some_and(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)) == digest.0)
        });
        if whole { Ok(()) } else { Err(format!("no snapshot stands for what was purged up to {}", purged.index)) }
    }
}

/// What happens, group after group.
struct Script {
    chance: Chance,
    term: u64,
    rows: u64,
}

impl Script {
    fn group(&mut self, exercise: &mut Exercise, watch: &Mutex<Watch>) -> io::Result<()> {
        for _ in 0..1 + self.chance.below(3) {
            match self.chance.below(10) {
                0 => self.vote(exercise, watch)?,
                1 => self.truncate(exercise, watch)?,
                2 => self.purge(exercise, watch)?,
                _ => self.append(exercise, watch)?,
            }
        }
        exercise.step();
        if let Some(why) = exercise.fenced() {
            return Err(io::Error::other(format!("fenced on an honest disk: {why}")));
        }
        let mut watch = lock(watch);
        // Everything queued was one group: it is on disk, whether or not somebody waited for it.
        exercise.acknowledged();
        watch.model.settle();
        Ok(())
    }

    fn vote(&mut self, exercise: &mut Exercise, watch: &Mutex<Watch>) -> io::Result<()> {
        self.term += 1;
        let ballot = Ballot { term: self.term, leader: Incarnation::new(Epoch(1), 1), committed: self.chance.below(2) == 0 };
        lock(watch).model.open.push(Deed::Vote(ballot));
        exercise.vote(ballot)
    }

    fn append(&mut self, exercise: &mut Exercise, watch: &Mutex<Watch>) -> io::Result<()> {
        let last = lock(watch).model.newest().last();
        let first = last.map_or(0, |last| last.index + 1);
        let count = 1 + self.chance.below(4);
        let entries: Vec<LogEntry> = (first..first + count).map(|index| self.entry(index)).collect::<io::Result<_>>()?;
        let committed = LogPosition { term: self.term, index: first };
        {
            let mut watch = lock(watch);
            watch.model.open.extend(entries.iter().cloned().map(|entry| Deed::Entry(Arc::new(entry))));
            watch.model.committed = watch.model.committed.max(Some(committed));
        }
        exercise.commit(committed)?;
        exercise.append(entries)
    }

    fn entry(&mut self, index: u64) -> io::Result<LogEntry> {
        let len = match self.chance.below(8) {
            0 => 1500 + self.chance.below(2000),
            _ => self.chance.below(400),
        };
        let fill = self.chance.below(256) as u8;
        let payload = EntryPayload::Command(SharedBlob::new(vec![fill; len as usize]).map_err(io::Error::other)?);
        Ok(LogEntry { at: LogPosition { term: self.term, index }, payload })
    }

    /// Takes back entries that nobody counts as committed; later ones have a later term.
    fn truncate(&mut self, exercise: &mut Exercise, watch: &Mutex<Watch>) -> io::Result<()> {
        let holds = lock(watch).model.newest();
        let entries = holds.entries();
        let Some(last) = entries.len().checked_sub(2 + self.chance.below(3) as usize).and_then(|at| entries.get(at)) else {
            return Ok(());
        };
        if Some(last.at) < lock(watch).model.committed {
            return Ok(());
        }
        self.term += 1;
        lock(watch).model.open.push(Deed::Truncate(last.at));
        exercise.truncate(last.at)
    }

    /// Rows, a snapshot of them, and then the purge of what the snapshot holds.
    fn purge(&mut self, exercise: &mut Exercise, watch: &Mutex<Watch>) -> io::Result<()> {
        // A snapshot holds what was applied, which was on disk before.
        let holds = lock(watch).model.certain.clone();
        let open = !lock(watch).model.open.is_empty();
        let Some(to) = holds.entries().get(holds.entries().len() * 2 / 3).map(|entry| entry.at) else { return Ok(()) };
        if open {
            return Ok(());
        }
        for _ in 0..1 + self.chance.below(6) {
            self.rows += 1;
            exercise.put_row(row_key(self.rows % 40), vec![self.rows as u8; self.chance.below(600) as usize]);
        }
        let digest = exercise.digest(to)?;
        lock(watch).snapshots.insert(to.index, digest);
        if exercise.snapshot(to)? != digest {
            return Err(io::Error::other("two snapshots of one moment differ"));
        }
        lock(watch).model.open.push(Deed::Purge(to));
        exercise.purge(to)
    }
}

/// A key in the table of namespaces, which snapshots take in.
pub(crate) fn row_key(number: u64) -> Vec<u8> {
    let mut key = vec![crate::machine::rows::SPACES];
    key.extend_from_slice(&[0; 8]);
    key.extend_from_slice(&number.to_be_bytes());
    key
}
