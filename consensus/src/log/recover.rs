//! Reads a log back: entries, vote, commit position, and how the log ends.
//!
//! Decides: the log ends at the first frame that is not whole. If nothing behind it was begun later than that frame's group, it was never
//! acknowledged: the end is torn. If something was, the frame was on disk once: the log is damaged there, which is reported.
//! A log cut off at the end of a group is an earlier log; only positions known elsewhere tell (section 6.2, DR5). Read as sealed, a group counts once its
//! seal was read, and the caller judges the last one.
//! Trusts: nothing it reads, and gives nobody a vote: a node never resumes from it (protocol section 4). It serves total-outage
//! recovery (section 6.2, DR3) and tests. Out of scope: deciding which of several logs counts.

use crate::disk::{Disk, DiskFile, read_exact};
use crate::log::frame::{FrameError, Opening, Record, next_whole};
use crate::seal::{Owner, Seal, chained};
use ringwall_wire::ids::Digest;
use ringwall_wire::peer::{Ballot, LogEntry, LogPosition};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a file that is looked at: larger ones are not ours.
const SEGMENT_BYTES: u64 = 1 << 30;

/// How a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After the last whole record there is nothing.
    Clean,
    /// A record was being written when the power went.
    Torn {
        /// Segment.
        segment: u64,
        /// Offset in it.
        at: u64,
    },
    /// A record in the middle is damaged, or one is missing: everything after it is ignored.
    Damaged {
        /// Segment.
        segment: u64,
        /// Offset in it.
        at: u64,
    },
}

/// A log as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Entries after `purged`, consecutive.
    pub entries: Vec<LogEntry>,
    /// Newest vote.
    pub vote: Option<Ballot>,
    /// Newest commit position on disk; the true one may be later.
    pub committed: Option<LogPosition>,
    /// Everything up to here is in a snapshot.
    pub purged: Option<LogPosition>,
    /// How it ends.
    pub ending: Ending,
}

/// The last seal of a log, and what it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSeal {
    /// What was sealed.
    pub words: Vec<u8>,
    /// The seal.
    pub seal: Seal,
}

/// Reads the log in `dir` of a disk. Reads only.
pub fn recover(disk: &dyn Disk, dir: &Path) -> io::Result<Recovered> {
    Ok(recover_from(disk, dir, None)?.told)
}

/// The same, as far as its owner's last seal: groups behind it were never acknowledged. The seal is judged by the caller; none if there is none. With
/// it comes how many records no seal follows.
pub fn recover_sealed(disk: &dyn Disk, dir: &Path, owner: &Owner) -> io::Result<(Recovered, Option<LastSeal>, usize)> {
    let found = recover_from(disk, dir, Some(*owner))?;
    let (last, waiting) = found.sealed.map_or((None, 0), |sealed| (sealed.last, sealed.waiting.len()));
    Ok((found.told, last, waiting))
}

fn recover_from(disk: &dyn Disk, dir: &Path, owner: Option<Owner>) -> io::Result<Reading> {
    let runs = runs(segments(disk, dir)?);
    // A removal may be undone by a crash, and leave old segments before a gap. They are passed over if what follows needs none of them.
    if let Some((last, before)) = runs.split_last()
        && !before.is_empty()
    {
        let found = read_run(disk, last, owner)?;
        if found.begins_after_purge() && found.opened {
            return Ok(found);
        }
    }
    let Some(first) = runs.first() else { return Ok(Reading::new(owner)) };
    let mut found = read_run(disk, first, owner)?;
    let gap = runs.get(1).and_then(|run| run.first()).map(|(number, _)| *number);
    match gap {
        Some(segment) if !matches!(found.told.ending, Ending::Damaged { .. }) => found.told.ending = Ending::Damaged { segment, at: 0 },
        Some(_) => {}
        None if !found.begins_after_purge() && !matches!(found.told.ending, Ending::Damaged { .. }) => {
            let segment = first.first().map_or(0, |(number, _)| *number);
            found.told.ending = Ending::Damaged { segment, at: 0 };
        }
        None => {}
    }
    Ok(found)
}

type Segments = Vec<(u64, PathBuf)>;

fn segments(disk: &dyn Disk, dir: &Path) -> io::Result<Segments> {
    let mut found = Vec::new();
    for path in disk.list(dir)? {
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("log-")).map(str::parse::<u64>);
        if let Some(Ok(number)) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Segments cut where a number is missing.
fn runs(segments: Segments) -> Vec<Segments> {
    let mut runs: Vec<Segments> = Vec::new();
    for (number, path) in segments {
        let follows = |run: &Segments| run.last().is_some_and(|(last, _)| last.checked_add(1) == Some(number));
        match runs.last_mut().filter(|run| follows(run)) {
            Some(run) => run.push((number, path)),
            None => runs.push(vec![(number, path)]),
        }
    }
    runs
}

/// Where a segment stops being readable.
enum End {
    /// Nothing follows.
    Clean(u64),
    /// What follows was never acknowledged.
    Torn(u64),
    /// Something that was acknowledged is missing.
    Damaged(u64),
}

/// A log as far as it was read.
struct Reading {
    told: Recovered,
    /// Whether an opening was read.
    opened: bool,
    /// Segment and offset where the segment before ended.
    before: Option<(u64, u64)>,
    /// How far it is sealed, where that is asked.
    sealed: Option<Sealed>,
}

/// A log that is read seal by seal.
struct Sealed {
    owner: Owner,
    /// Running digest; none before the first frame.
    chain: Option<Digest>,
    /// Records since the last seal.
    waiting: Vec<Record>,
    last: Option<LastSeal>,
}

fn read_run(disk: &dyn Disk, run: &Segments, owner: Option<Owner>) -> io::Result<Reading> {
    let mut found = Reading::new(owner);
    for (at, (number, path)) in run.iter().enumerate() {
        let segment = *number;
        let last = at + 1 == run.len();
        let end = read_segment(segment, disk.open_to_read(path)?.as_ref(), &mut found)?;
        if let Some(damaged) = found.told.damage() {
            found.told.ending = damaged;
            return Ok(found);
        }
        match end {
            // A file that was taken into use and not written to: the one before is the last.
            End::Clean(0) if last => {}
            End::Clean(at) if last || at > 0 => found.before = Some((segment, at)),
            // The first write of a segment was cut off.
            End::Torn(at) if last => {
                found.told.ending = Ending::Torn { segment, at };
                return Ok(found);
            }
            End::Clean(at) | End::Torn(at) | End::Damaged(at) => {
                found.told.ending = Ending::Damaged { segment, at };
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn read_segment(number: u64, file: &dyn DiskFile, found: &mut Reading) -> io::Result<End> {
    let size = file.size()?;
    if size > SEGMENT_BYTES {
        return Ok(End::Damaged(0));
    }
    let mut bytes = vec![0; size as usize];
    read_exact(file, 0, &mut bytes)?;
    let mut at = 0;
    loop {
        let here = at as u64;
        match Record::take(number, here, bytes.get(at..).unwrap_or_default()) {
            Ok((record, _, len)) => {
                if let Record::Opening(opening) = &record
                    && let Some((segment, end)) = found.before.filter(|(_, end)| *end != opening.previous_end)
                {
                    // The segment before went on further than it can be read.
                    found.told.ending = Ending::Damaged { segment, at: end };
                    return Ok(End::Damaged(0));
                }
                let frame = bytes.get(at..at + len).unwrap_or_default();
                if (at == 0) != matches!(record, Record::Opening(_)) || !found.take(record, (number, here), frame) {
                    return Ok(End::Damaged(here));
                }
                found.opened = true;
                at += len;
            }
            Err(why) => {
                // A group is written when the one before is on disk: one that begins after this place proves that the place was.
                let mut from = at;
                while let Some(spot) = next_whole(number, &bytes, from) {
                    if spot.at.saturating_sub(u64::from(spot.back)) > here {
                        return Ok(End::Damaged(here));
                    }
                    from = spot.at as usize + 1;
                }
                return Ok(match why {
                    FrameError::Nothing if from == at => End::Clean(here),
                    FrameError::Nothing | FrameError::Damaged => End::Torn(here),
                });
            }
        }
    }
}

impl Reading {
    fn new(owner: Option<Owner>) -> Self {
        let told = Recovered { entries: Vec::new(), vote: None, committed: None, purged: None, ending: Ending::Clean };
        let sealed = owner.map(|owner| Sealed { owner, chain: None, waiting: Vec::new(), last: None });
        Reading { told, opened: false, before: None, sealed }
    }

    /// Takes the record in `frame`; false when it cannot follow the ones before it.
    fn take(&mut self, record: Record, place: (u64, u64), frame: &[u8]) -> bool {
        let Some(sealed) = &mut self.sealed else { return self.told.take(record) };
        if let Record::Opening(opening) = &record
            && *sealed.chain.get_or_insert(opening.chain) != opening.chain
        {
            return false;
        }
        let Some(chain) = &mut sealed.chain else { return false };
        let before = std::mem::replace(chain, chained(chain, frame));
        let Record::Seal(seal) = record else {
            sealed.waiting.push(record);
            return true;
        };
        sealed.last = Some(LastSeal { words: sealed.owner.log_words(place, &before), seal });
        let waiting = std::mem::take(&mut sealed.waiting);
        waiting.into_iter().all(|record| self.told.take(record))
    }

    fn begins_after_purge(&self) -> bool {
        let next = self.told.purged.map_or(0, |purged| purged.index.saturating_add(1));
        self.told.entries.first().is_none_or(|entry| entry.at.index == next)
    }
}

impl Recovered {
    /// The last position of the log.
    pub fn last(&self) -> Option<LogPosition> {
        self.entries.last().map(|entry| entry.at).or(self.purged)
    }

    fn damage(&self) -> Option<Ending> {
        matches!(self.ending, Ending::Damaged { .. }).then(|| self.ending.clone())
    }

    /// Replays one record; false when it cannot follow the ones before it.
    fn take(&mut self, record: Record) -> bool {
        match record {
            Record::Opening(Opening { vote, committed, purged, previous_end: _, chain: _ }) => {
                self.vote = vote;
                self.committed = committed;
                self.purge(purged);
                true
            }
            Record::Entry(entry) => {
                // The first entry of the oldest segment that is left may stand alone: the record that purged what was before
                // it comes later, and `begins_after_purge` looks at the whole.
                let follows = self.entries.last().is_none_or(|last| Some(entry.at.index) == last.at.index.checked_add(1));
                if follows {
                    self.entries.push(entry);
                }
                follows
            }
            Record::Vote(ballot) => {
                self.vote = Some(ballot);
                true
            }
            Record::Committed(at) => {
                self.committed = at;
                true
            }
            Record::Truncate(at) => {
                self.entries.retain(|entry| at.is_some_and(|at| entry.at.index <= at.index));
                true
            }
            Record::Purge(at) => {
                self.purge(Some(at));
                true
            }
            Record::Seal(_) => true,
        }
    }

    fn purge(&mut self, to: Option<LogPosition>) {
        if let Some(to) = to {
            self.entries.retain(|entry| entry.at.index > to.index);
            self.purged = Some(to);
        }
    }
}
