//! Power cuts and edited disks, many of them: the campaigns of `consensus/src/exercise`, at the size of a test.
//!
//! Decides: how many images and edits a test run judges, and that every kind of both happened. Trusts: the campaigns.
//! Out of scope: larger campaigns (`ringwall-disks`). Protocol section 5.1; register row R5.

use ringwall_consensus::disk::memory::MemoryDisk;
use ringwall_consensus::exercise::{Exercise, FOLDER, Tally, corrupt, crash};
use ringwall_consensus::log::recover::{Ending, recover};
use ringwall_wire::bounded::SharedBlob;
use ringwall_wire::ids::{Epoch, Incarnation};
use ringwall_wire::peer::{Ballot, EntryPayload, LogEntry, LogPosition};
use std::path::Path;

const IMAGES: u64 = 100_000;
const EDITS: u64 = 10_000;

fn show(tally: &Tally) {
    for ((kind, outcome), count) in &tally.outcomes {
        println!("{count:>9}  {kind}: {outcome}");
    }
    for what in &tally.found {
        println!("FINDING {what}");
    }
}

#[test]
fn a_power_cut_at_any_boundary_loses_nothing_acknowledged() {
    let tally = crash::campaign(1, IMAGES, 20).unwrap();
    show(&tally);
    assert_eq!((tally.judged, tally.findings), (IMAGES, 0));
    for access in ["Create", "Write", "SetSize", "Sync", "Rename", "Remove"] {
        let met = tally.outcomes.keys().any(|(kind, _)| kind.starts_with(access));
        assert!(met, "no power cut at a boundary of the kind {access}");
    }
    for outcome in ["what was acknowledged", "more than was acknowledged", "torn end told"] {
        assert!(tally.of(outcome) > 1_000, "{outcome}: {}", tally.of(outcome));
    }
}

#[test]
fn an_edited_disk_is_noticed_or_means_nothing() {
    let tally = corrupt::campaign(1, EDITS).unwrap();
    show(&tally);
    assert_eq!((tally.judged - tally.of(corrupt::NOTHING_CHANGED), tally.findings), (EDITS, 0));
    for edit in ["Flip", "Zero", "Swap", "Replay", "Misdirect", "Truncate"] {
        for class in ["log", "database", "snapshot"] {
            let kind = format!("{edit} in {class}");
            assert!(tally.outcomes.keys().any(|(of, outcome)| *of == kind && *outcome == "noticed"), "never noticed: {kind}");
        }
    }
}

#[test]
fn a_truncation_lost_at_the_end_of_a_segment_is_damage() {
    // Without the truncation the log would show entries that were void, together with votes that came later.
    let disk = MemoryDisk::default();
    let mut exercise = Exercise::new(&disk, crash::SEGMENT_BYTES, 0).unwrap();
    let at = |index| LogPosition { term: 1, index };
    let payload = || EntryPayload::Command(SharedBlob::new(vec![7; 1_000]).unwrap());
    exercise.append((0..6).map(|index| LogEntry { at: at(index), payload: payload() }).collect()).unwrap();
    exercise.step();
    exercise.truncate(at(3)).unwrap();
    exercise.step();
    let (first, second) = (segment(1), segment(2));
    for term in 2..200 {
        exercise.vote(Ballot { term, leader: Incarnation::new(Epoch(1), 1), committed: false }).unwrap();
        exercise.step();
        if disk.size(&second).is_some() {
            break;
        }
    }
    exercise.vote(Ballot { term: 300, leader: Incarnation::new(Epoch(1), 1), committed: false }).unwrap();
    exercise.step();
    let whole = recover(&disk, Path::new(FOLDER)).unwrap();
    assert_eq!((whole.ending, whole.entries.len(), whole.vote.unwrap().term), (Ending::Clean, 4, 300));
    let bytes = disk.bytes(&first).unwrap();
    let truncation = bytes.windows(5).position(|window| window == b"RWL1\x05").unwrap();
    disk.edit(&first, truncation as u64, &vec![0; bytes.len() - truncation]);
    let found = recover(&disk, Path::new(FOLDER)).unwrap();
    assert_eq!(found.ending, Ending::Damaged { segment: 1, at: truncation as u64 });
    assert_ne!(found.vote.map(|vote| vote.term), Some(300), "nothing after the damage counts");
}

/// Offsets of the frames of a segment.
fn frames(disk: &MemoryDisk, path: &Path) -> Vec<u64> {
    let bytes = disk.bytes(path).unwrap();
    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"RWL1")).map(|at| at as u64).collect()
}

fn segment(number: u64) -> std::path::PathBuf {
    Path::new(FOLDER).join(format!("log-{number:016}"))
}

#[test]
fn recovery_says_exactly_where_a_log_is_damaged_and_where_it_is_only_torn() {
    let disk = MemoryDisk::default();
    let mut exercise = Exercise::new(&disk, crash::SEGMENT_BYTES, 0).unwrap();
    let entry =
        |index| LogEntry { at: LogPosition { term: 1, index }, payload: EntryPayload::Command(SharedBlob::new(vec![7; 700]).unwrap()) };
    for group in 0..10 {
        exercise.append((group * 3..group * 3 + 3).map(entry).collect()).unwrap();
        exercise.step();
    }
    let segments = disk.paths().iter().filter(|path| path.to_string_lossy().contains("/log-")).count() as u64;
    assert!(segments >= 3);
    for number in 1..=segments {
        let frames = frames(&disk, &segment(number));
        for (which, at) in frames.iter().enumerate() {
            let image = disk.copy();
            image.flip(&segment(number), at + 34, 0); // In the payload.
            let ending = recover(&image, Path::new(FOLDER)).unwrap().ending;
            // The last group is three entries.
            let in_the_last_group = number == segments && which + 3 >= frames.len();
            let wanted = match in_the_last_group {
                true => Ending::Torn { segment: number, at: *at },
                false => Ending::Damaged { segment: number, at: *at },
            };
            assert_eq!(ending, wanted, "frame {which} of {} in segment {number} of {segments}", frames.len());
        }
    }
}

#[test]
fn a_frame_counts_in_its_place_only() {
    // An older vote over a newer one of the same length: the checksum is a good one, elsewhere.
    let disk = MemoryDisk::default();
    let mut exercise = Exercise::new(&disk, crash::SEGMENT_BYTES, 0).unwrap();
    for term in 2..6 {
        exercise.vote(Ballot { term, leader: Incarnation::new(Epoch(1), 1), committed: false }).unwrap();
        exercise.step();
    }
    let frames = frames(&disk, &segment(1));
    let (older, newest) = (frames[frames.len() - 3], frames[frames.len() - 1]);
    disk.misdirect(&segment(1), older, newest, (frames[frames.len() - 2] - older) as usize);
    let found = recover(&disk, Path::new(FOLDER)).unwrap();
    assert_eq!(found.ending, Ending::Torn { segment: 1, at: newest });
    assert_eq!(found.vote.unwrap().term, 4);
}
