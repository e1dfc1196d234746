//! Many mutants on several threads, counted by what refused them.
//!
//! Decides: how the work is shared (every thread takes every n-th number, so the figures do not depend on timing). Trusts: nothing.
//! Out of scope: what counts as a finding (`mod.rs`), printing (the program).

use super::{Dice, Original, Verdict, judge, mutant};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Findings that are kept in full.
const KEPT: usize = 20;

/// What became of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Mutants judged.
    pub judged: u64,
    /// Draws that gave nothing new.
    pub empty: u64,
    /// Other spellings of an original, which verify and say the same.
    pub other_spellings: u64,
    /// Mutants by the variant of `VerifyError` that refused them.
    pub refused: BTreeMap<String, u64>,
    /// Mutants by the original they were made from.
    pub made_from: BTreeMap<String, u64>,
    /// How many must not have verified.
    pub findings: u64,
    /// The first of them.
    pub found: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.judged = self.judged.saturating_add(other.judged);
        self.empty = self.empty.saturating_add(other.empty);
        self.other_spellings = self.other_spellings.saturating_add(other.other_spellings);
        for (name, count) in other.refused {
            count_up(&mut self.refused, name, count);
        }
        for (name, count) in other.made_from {
            count_up(&mut self.made_from, name, count);
        }
        self.findings = self.findings.saturating_add(other.findings);
        self.found.extend(other.found);
        self.found.truncate(KEPT);
    }
}

fn count_up(counts: &mut BTreeMap<String, u64>, name: String, by: u64) {
    let count = counts.entry(name).or_default();
    *count = count.saturating_add(by);
}

/// Judges the mutants `first..first + count` of `seed` on `threads` threads; `done` counts along.
///
/// # Panics
/// When a thread does; mutants that panic are findings.
pub fn run(originals: &[Original], seed: u64, first: u64, count: u64, threads: u64, done: &AtomicU64) -> Tally {
    let threads = threads.max(1);
    let share = |offset: u64| {
        let mut tally = Tally::default();
        let mut number = first.saturating_add(offset);
        while number < first.saturating_add(count) {
            one(originals, seed, number, &mut tally);
            done.fetch_add(1, Ordering::Relaxed);
            number = number.saturating_add(threads);
        }
        tally
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|offset| scope.spawn(move || share(offset))).collect();
        let mut whole = Tally::default();
        for thread in running {
            whole.add(thread.join().expect("a thread that judges mutants does not panic"));
        }
        whole
    })
}

fn one(originals: &[Original], seed: u64, number: u64, tally: &mut Tally) {
    let Some(mutant) = mutant(&mut Dice::new(seed, number), originals) else {
        tally.empty = tally.empty.saturating_add(1);
        return;
    };
    tally.judged = tally.judged.saturating_add(1);
    count_up(&mut tally.made_from, mutant.original.name.clone(), 1);
    match judge(&mutant) {
        Verdict::Refused(variant) => count_up(&mut tally.refused, variant, 1),
        Verdict::OtherSpelling => tally.other_spellings = tally.other_spellings.saturating_add(1),
        Verdict::Finding(why) => {
            tally.findings = tally.findings.saturating_add(1);
            if tally.found.len() < KEPT {
                let what = mutant.edits.join(", ");
                tally.found.push(format!("--seed {seed} --first {number} --count 1: {}: {what}: {why}", mutant.original.name));
            }
        }
    }
}
