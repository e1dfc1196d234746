//! Mutants of release proofs, one for each byte and each part of them, none of which may be believed: shared Sigstore bundles and logs, and our own.
//!
//! Decides: the oracle. A mutant that is accepted must say what its original says and may differ from it only in what carries no meaning
//! (`meaning.rs` has the closed list); anything else is a finding, and so is a panic. Mutants are numbered: the list is the same on every machine, a
//! seed says which bit is flipped and which numbers a sample takes.
//! Trusts: the originals, which are accepted unchanged. Out of scope: what is signed again after an edit (attest/tests/negative). Rows A6 of the register.

mod edits;
mod foreign;
mod meaning;
mod own;

use crate::mutants::Dice;
use serde::Serialize;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Findings that are kept in full.
const KEPT: usize = 20;

/// How an original is written, and so where it has parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Members and elements.
    Json,
    /// Lines.
    Note,
    /// Hashes of 32 bytes.
    Hashes,
    /// Bytes alone.
    Bytes,
}

type Judge = Box<dyn Fn(&[u8]) -> Result<String, String> + Send + Sync>;
type Meaning = Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// Something that is accepted, and how others in its place are judged.
pub struct Exhibit {
    /// For people.
    pub name: String,
    form: Form,
    bytes: Vec<u8>,
    /// Others of its kind, to take parts from.
    donors: Vec<Vec<u8>>,
    /// What is said by whoever accepts it, or the variant that refuses.
    judge: Judge,
    /// What of it carries meaning, given what is accepted.
    meaning: Meaning,
    said: String,
}

impl Exhibit {
    /// # Panics
    /// When the original is not accepted, or has no meaning.
    #[allow(clippy::panic, reason = "nothing can be judged without originals")]
    fn new(name: String, form: Form, bytes: Vec<u8>, judge: Judge, meaning: Meaning) -> Self {
        let said = judge(&bytes).unwrap_or_else(|refusal| panic!("{name} is refused as it stands: {refusal}"));
        assert!(meaning(&bytes).is_some(), "{name} has no meaning");
        Exhibit { name, form, bytes, donors: Vec::new(), judge, meaning, said }
    }

    /// Its bytes.
    pub fn original(&self) -> &[u8] {
        &self.bytes
    }

    /// How many mutants it has: one for each byte, and those of its parts.
    pub fn count(&self) -> usize {
        self.bytes.len().saturating_add(edits::count(self.form, &self.bytes, self.donors.len()))
    }

    /// The mutant of this number and what was done; none when it is the original again.
    pub fn mutant(&self, seed: u64, number: usize) -> Option<(Vec<u8>, String)> {
        let (bytes, done) = match number.checked_sub(self.bytes.len()) {
            None => {
                let bit = Dice::new(seed, u64::try_from(number).unwrap_or(0)).below(8);
                let mut bytes = self.bytes.clone();
                *bytes.get_mut(number)? ^= 1u8.checked_shl(u32::try_from(bit).unwrap_or(0)).unwrap_or(1);
                (bytes, format!("bit {bit} of byte {number} flipped"))
            }
            Some(part) => edits::part(self.form, &self.bytes, &self.donors, part)?,
        };
        (bytes != self.bytes).then_some((bytes, done))
    }

    /// Judges a mutant.
    pub fn verdict(&self, mutant: &[u8]) -> Verdict {
        match catch_unwind(AssertUnwindSafe(|| (self.judge)(mutant))) {
            Err(_) => Verdict::Finding("it panicked".to_owned()),
            Ok(Err(refusal)) => Verdict::Refused(refusal),
            Ok(Ok(said)) if said != self.said => Verdict::Finding(format!("it is accepted and says something else: {said}")),
            Ok(Ok(_)) if (self.meaning)(mutant) == (self.meaning)(&self.bytes) => Verdict::NoMeaning,
            Ok(Ok(_)) => Verdict::Finding("it is accepted although something differs that has a meaning".to_owned()),
        }
    }
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// By this variant.
    Refused(String),
    /// It is accepted, says the same, and differs in what carries no meaning.
    NoMeaning,
    /// It must not have been accepted, or not without a panic; why.
    Finding(String),
}

/// All originals: our own, and the shared ones that verify where the vectors are.
///
/// # Panics
/// When one of them is not accepted.
pub fn exhibits() -> Vec<Exhibit> {
    let mut all = own::exhibits();
    all.extend(foreign::exhibits());
    all
}

/// What became of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Mutants judged.
    pub judged: u64,
    /// Numbers whose edit gives the original again, or nothing.
    pub empty: u64,
    /// Accepted and of the same meaning, by original.
    pub no_meaning: BTreeMap<String, u64>,
    /// Mutants by the variant that refused them.
    pub refused: BTreeMap<String, u64>,
    /// Mutants by original.
    pub made_from: BTreeMap<String, u64>,
    /// How many must not have been accepted.
    pub findings: u64,
    /// The first of them.
    pub found: Vec<String>,
}

fn up(counts: &mut BTreeMap<String, u64>, name: &str) {
    let count = counts.entry(name.to_owned()).or_default();
    *count = count.saturating_add(1);
}

/// Judges every mutant of every original, or `sample` of each original's by `seed`.
pub fn run(exhibits: &[Exhibit], seed: u64, sample: Option<usize>) -> Tally {
    let mut tally = Tally::default();
    for exhibit in exhibits {
        let count = exhibit.count();
        let drawn = sample.filter(|sample| *sample < count);
        for at in 0..drawn.unwrap_or(count) {
            // A sample takes one number of each stretch, so that it reaches every part.
            let number = drawn.map_or(at, |drawn| {
                let border = |at: usize| at.saturating_mul(count).checked_div(drawn).unwrap_or(0);
                let (from, to) = (border(at), border(at.saturating_add(1)));
                from.saturating_add(Dice::new(seed, u64::try_from(from).unwrap_or(0)).below(to.saturating_sub(from)))
            });
            one(exhibit, seed, number, &mut tally);
        }
    }
    tally
}

fn one(exhibit: &Exhibit, seed: u64, number: usize, tally: &mut Tally) {
    let Some((mutant, done)) = exhibit.mutant(seed, number) else {
        tally.empty = tally.empty.saturating_add(1);
        return;
    };
    tally.judged = tally.judged.saturating_add(1);
    up(&mut tally.made_from, &exhibit.name);
    match exhibit.verdict(&mutant) {
        Verdict::Refused(variant) => up(&mut tally.refused, &variant),
        Verdict::NoMeaning => up(&mut tally.no_meaning, &exhibit.name),
        Verdict::Finding(why) => {
            tally.findings = tally.findings.saturating_add(1);
            if tally.found.len() < KEPT {
                tally.found.push(format!("{}, seed {seed}, number {number}: {done}: {why}", exhibit.name));
            }
        }
    }
}
