//! Power cuts and edited disks, many of them: the campaigns of `consensus/src/exercise`, at the size of a test.
//!
//! Decides: how many images and edits a test run judges, and that every kind of both happened. Trusts: the campaigns.
//! Out of scope: larger campaigns (`ringwall-disks`). Protocol section 5.1; register row R5.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use ringwall_consensus::exercise::{Tally, corrupt, crash};

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
    assert_eq!((tally.judged, tally.findings), (EDITS, 0));
    for edit in ["Flip", "Zero", "Swap", "Replay", "Misdirect", "Truncate"] {
        for class in ["log", "database", "snapshot"] {
            let kind = format!("{edit} in {class}");
            assert!(tally.outcomes.keys().any(|(of, outcome)| *of == kind && *outcome == "noticed"), "never noticed: {kind}");
        }
    }
}
