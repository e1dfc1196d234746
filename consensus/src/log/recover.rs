//! Reads a log back: entries, vote, commit position, and how the log ends.
//!
//! Decides: the log ends at the first frame that is not whole; what follows a torn frame in the last segment was never acknowledged.
//! A damaged frame with a later segment after it is reported, not skipped.
//! Trusts: nothing it reads, and gives nobody a vote: a node never resumes from it (protocol section 4). It serves total-outage
//! recovery (section 6.1, DR3) and tests. Out of scope: deciding which of several logs counts.

use crate::disk::{Disk, DiskFile, read_exact};
use crate::log::frame::{FrameError, Opening, Record};
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

/// Reads the log in `dir` of a disk. Reads only.
pub fn recover(disk: &dyn Disk, dir: &Path) -> io::Result<Recovered> {
    let mut found = Recovered { entries: Vec::new(), vote: None, committed: None, purged: None, ending: Ending::Clean };
    let segments = segments(disk, dir)?;
    let last = segments.last().map(|(number, _)| *number);
    let mut expected = None;
    let first = segments.first().map_or(0, |(number, _)| *number);
    for (number, path) in segments {
        if expected.is_some_and(|expected| expected != number) {
            found.ending = Ending::Damaged { segment: number, at: 0 };
            return Ok(found);
        }
        expected = number.checked_add(1);
        match read_segment(number, disk.open_to_read(&path)?.as_ref(), &mut found)? {
            None => {}
            Some(at) if Some(number) == last => {
                found.ending = Ending::Torn { segment: number, at };
                return Ok(found);
            }
            Some(at) => {
                found.ending = Ending::Damaged { segment: number, at };
                return Ok(found);
            }
        }
    }
    if !found.begins_after_purge() {
        found.ending = Ending::Damaged { segment: first, at: 0 };
    }
    Ok(found)
}

fn segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
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

/// Gives the offset of the frame that could not be read, if the segment does not end cleanly.
fn read_segment(number: u64, file: &dyn DiskFile, found: &mut Recovered) -> io::Result<Option<u64>> {
    let size = file.size()?;
    if size > SEGMENT_BYTES {
        return Ok(Some(0));
    }
    let mut bytes = vec![0; size as usize];
    read_exact(file, 0, &mut bytes)?;
    let mut at = 0;
    loop {
        match Record::take(number, bytes.get(at..).unwrap_or_default()) {
            Ok((record, len)) => {
                if !found.take(record, at == 0) {
                    return Ok(Some(at as u64));
                }
                at += len;
            }
            Err(FrameError::Nothing) => return Ok(None),
            Err(FrameError::Damaged) => return Ok(Some(at as u64)),
        }
    }
}

impl Recovered {
    /// The last position of the log.
    pub fn last(&self) -> Option<LogPosition> {
        self.entries.last().map(|entry| entry.at).or(self.purged)
    }

    fn begins_after_purge(&self) -> bool {
        let next = self.purged.map_or(0, |purged| purged.index.saturating_add(1));
        self.entries.first().is_none_or(|entry| entry.at.index == next)
    }

    /// Replays one record; false when it cannot follow the ones before it.
    fn take(&mut self, record: Record, first: bool) -> bool {
        match record {
            Record::Opening(Opening { vote, committed, purged }) => {
                self.vote = vote;
                self.committed = committed;
                self.purge(purged);
                first
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
        }
    }

    fn purge(&mut self, to: Option<LogPosition>) {
        if let Some(to) = to {
            self.entries.retain(|entry| entry.at.index > to.index);
            self.purged = Some(to);
        }
    }
}
