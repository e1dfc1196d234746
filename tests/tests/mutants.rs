//! A few thousand mutants of valid evidence, each time the same ones. `ringwall-mutants` judges as many as one likes.
//!
//! Decides: that none is believed, none panics, and the oracle's exceptions do occur. Trusts: `ringwall_tests::mutants`.
//! Out of scope: edits that are signed again (attest/tests/negative).

use ringwall_tests::mutants::{Dice, Mutant, Verdict, judge, mutant, originals, tally};
use std::sync::atomic::AtomicU64;

const COUNT: u64 = 4_000;

#[test]
fn no_mutant_is_believed() {
    let tally = tally::run(&originals::all(), 1, 0, COUNT, 2, &AtomicU64::new(0));
    assert!(tally.found.is_empty(), "{} findings:\n{}", tally.findings, tally.found.join("\n"));
    assert!(tally.judged > COUNT - COUNT / 100, "{tally:?}");
    assert!(tally.other_spellings > 0, "the exceptions of the oracle were not seen: {tally:?}");
    assert!(tally.refused.len() > 25, "too few kinds of refusals: {tally:?}");
    assert!(tally.made_from.len() >= originals::minted().len(), "{tally:?}");
}

/// The oracle bites: what verifies and is not its original is a finding.
#[test]
fn another_machine_is_a_finding() {
    let originals = originals::minted();
    let (one, other) = (&originals[1], &originals[2]);
    assert_eq!(one.claims.vendor(), other.claims.vendor());
    let swapped = Mutant { original: one, subject: other.subject.clone(), edits: Vec::new() };
    assert!(matches!(judge(&swapped), Verdict::Finding(why) if why.contains("says something else")));
    let honest = Mutant { original: one, subject: one.subject.clone(), edits: Vec::new() };
    assert_eq!(judge(&honest), Verdict::OtherSpelling);
}

#[test]
fn equal_numbers_make_equal_mutants() {
    let originals = originals::minted();
    for number in 0..50 {
        let made = || mutant(&mut Dice::new(7, number), &originals).map(|mutant| (mutant.subject, mutant.edits));
        assert_eq!(made(), made());
    }
}
