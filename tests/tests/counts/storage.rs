//! What one member does with an entry: its log, over the disk in memory, and its state.
//!
//! Decides: one entry of so many puts, and so many entries of one put that wait together. A write and a sync of the log in memory are one write
//! that waits for the disk where the operating system's files are used (`consensus/src/disk/os.rs`). Not here: the seal of a group and what runs
//! through Raft (`cluster.rs`). Trusts: the exercise of `consensus`, which runs the real writer and the real
//! state. Rows of the heap include what the disk in memory keeps, which is each write once more.

use crate::SIZES;
use crate::front::{Notes, VALUE_BYTES};
use crate::table::Counting;
use ringwall_consensus::disk::memory::{Access, Boundary, MemoryDisk};
use ringwall_consensus::exercise::Exercise;
use ringwall_wire::bounded::{List, SharedBlob};
use ringwall_wire::codec::Message;
use ringwall_wire::command::{Command, CommandBody, Outcome, SealedWrite};
use ringwall_wire::peer::{EntryPayload, LogEntry, LogPosition};
use std::collections::VecDeque;

/// Bytes of a log segment: none is filled here.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of entries kept in memory: all of them.
const TAIL_BYTES: usize = 4 * 1024 * 1024;

/// A storage with a namespace in it, and the entries that come next.
struct Shelf {
    disk: MemoryDisk,
    exercise: Exercise,
    notes: Notes,
    next: u64,
}

impl Shelf {
    fn new() -> Self {
        let (disk, notes) = (MemoryDisk::default(), Notes::new());
        let exercise = Exercise::new(&disk, SEGMENT_BYTES, TAIL_BYTES).unwrap();
        let opened = notes.opening();
        let mut shelf = Shelf { disk, exercise, notes, next: 0 };
        let first = [shelf.entry(EntryPayload::Blank), shelf.of_writes(vec![opened])];
        shelf.exercise.append(first.to_vec()).unwrap();
        shelf.exercise.step();
        assert_eq!(shelf.exercise.apply(first.to_vec()).unwrap().len(), 1);
        shelf
    }

    fn entry(&mut self, payload: EntryPayload) -> LogEntry {
        let index = self.next;
        self.next += 1;
        LogEntry { at: LogPosition { term: 1, index }, payload }
    }

    fn of_writes(&mut self, writes: Vec<SealedWrite>) -> LogEntry {
        let command = Command { at_ms: 1, body: CommandBody::Writes(List::new(writes).unwrap().into()) };
        self.entry(EntryPayload::Command(SharedBlob::new(command.encode()).unwrap()))
    }

    /// The next entry, of so many puts.
    fn puts(&mut self, puts: u64) -> LogEntry {
        let writes = (0..puts).map(|_| self.notes.put(VALUE_BYTES)).collect();
        self.of_writes(writes)
    }
}

/// Adds what was done to the log, which is all that may have been.
fn log(counting: &mut Counting, what: &str, size: u64, noted: &[Boundary]) {
    let of_log = |noted: &&Boundary| noted.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
    let done = |access: Access| noted.iter().filter(of_log).filter(move |noted| noted.access == access);
    counting.table.add(format!("{what}: writes"), size, done(Access::Write).count() as u64);
    counting.table.add(format!("{what}: bytes"), size, done(Access::Write).map(|noted| noted.len as u64).sum());
    counting.table.add(format!("{what}: syncs"), size, done(Access::Sync).count() as u64);
    assert!(noted.iter().all(|noted| of_log(&noted)), "what is counted changes other files than the log: {noted:?}");
}

/// One entry, with all its puts.
fn one_entry(counting: &mut Counting, size: u64) {
    let mut shelf = Shelf::new();
    let entries = vec![shelf.puts(size), shelf.puts(size), shelf.puts(size)];
    let mut waiting: VecDeque<Vec<LogEntry>> = entries.iter().map(|entry| vec![entry.clone()]).collect();
    // Buffers that stay have their size after the first.
    shelf.exercise.append(waiting.pop_front().unwrap()).unwrap();
    shelf.exercise.step();
    shelf.disk.note();
    counting.took("one entry of puts: logged", size, || {
        shelf.exercise.append(waiting.pop_front().unwrap()).unwrap();
        shelf.exercise.step();
    });
    log(counting, "one entry of puts: logged", size, &shelf.disk.noted());

    let mut waiting: VecDeque<Vec<LogEntry>> = entries.into_iter().map(|entry| vec![entry]).collect();
    shelf.exercise.apply(waiting.pop_front().unwrap()).unwrap();
    let outcomes = counting.took("one entry of puts: applied", size, || shelf.exercise.apply(waiting.pop_front().unwrap()).unwrap());
    assert_eq!(outcomes.len() as u64, size);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))), "{outcomes:?}");
}

/// Entries of one put each that were queued before the disk was free.
fn one_group(counting: &mut Counting, size: u64) {
    let mut shelf = Shelf::new();
    let entries: Vec<LogEntry> = (0..3 * size).map(|_| shelf.puts(1)).collect();
    let mut waiting: VecDeque<Vec<LogEntry>> = entries.into_iter().map(|entry| vec![entry]).collect();
    let mut group = |exercise: &mut Exercise| {
        for _ in 0..size {
            exercise.append(waiting.pop_front().unwrap()).unwrap();
        }
        exercise.step();
    };
    group(&mut shelf.exercise);
    shelf.disk.note();
    counting.took("entries of one put, waiting together: logged", size, || group(&mut shelf.exercise));
    log(counting, "entries of one put, waiting together: logged", size, &shelf.disk.noted());
}

pub(crate) fn count(counting: &mut Counting) {
    for size in SIZES {
        one_entry(counting, size);
        one_group(counting, size);
    }
}
