//! Our verifier beside others: `sev` and `omne-attest` for AMD, `dcap-qvl` without our frame for Intel.
//!
//! Decides: that on real evidence, on thousands of seeded mutants of it and on minted lies that are properly signed nobody refuses what we accept,
//! except where the table in `known.rs` says why; and that what we refuse and others accept falls into the classes listed there.
//! Trusts: nobody in particular; a difference names its case or its seed. Results: `differential.json` in cargo's folder for tests.
//! Out of scope: which verdict is right where all agree (`conformance.rs`).
//! Vectors: `$RINGWALL_VECTORS` or `../shared/vectors` beside the workspace; their absence is a failure in CI.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing)]

#[path = "differential/foreign.rs"]
mod foreign;
#[path = "differential/known.rs"]
mod known;
#[path = "differential/mutants.rs"]
mod mutants;

use foreign::{Foreign, Word};
use known::{LOOSER, STRICTER};
use ringwall_attest::VerifyError;
use ringwall_sim::published::{Kind, Offer, Offered, Outcome, find, judge_with, vectors};
use ringwall_sim::{Lie, SimTee, anchors, world};
use ringwall_wire::ids::{ClusterId, Slot};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Seed of all mutants: another one is as good, this one makes a failure come back.
const SEED: u64 = 0x5eed_0007;
/// Mutants of AMD and of Intel evidence: a few seconds each on two cores.
const MUTANTS: [(Kind, usize); 2] = [(Kind::Snp, 2_400), (Kind::Tdx, 1_200)];
/// When minted evidence is judged, Unix seconds.
const MINTED_AT_S: u64 = 1_780_000_000;

/// Evidence to judge, with a name that finds it again.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) offer: Offer,
}

/// Every case that can travel.
fn published(folder: &Path) -> Vec<Subject> {
    let cases = find(folder, None).unwrap().cases;
    let subjects = cases.iter().filter_map(|case| match case.offer().unwrap() {
        Offered::Whole(offer) => Some(Subject { name: case.id().to_owned(), kind: case.kind(), offer: *offer }),
        Offered::Unusable(_) => None,
    });
    subjects.collect()
}

/// Simulated machines, honest ones and one for each lie: signed by keys that lead to the simulated roots, so that a lie is met behind the
/// signature.
fn minted() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for chip in ["milan-1", "genoa-1", "turin-1", "tdx-1"] {
        let kind = if chip == "tdx-1" { Kind::Tdx } else { Kind::Snp };
        let profile = world::machine(chip, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap();
        let honest = SimTee::new(profile, MINTED_AT_S);
        let lies = Lie::EITHER.iter().chain(if kind == Kind::Snp { Lie::SNP } else { Lie::TDX });
        for lie in std::iter::once(None).chain(lies.map(Some)) {
            let tee = lie.map_or_else(|| honest.clone(), |lie| honest.clone().telling(&[*lie]));
            let offer = Offer { evidence: tee.mint(&[1; 64]), endorsements: tee.endorse(), anchors: anchors(), now_s: MINTED_AT_S };
            subjects.push(Subject { name: format!("{chip} {lie:?}"), kind, offer });
        }
    }
    subjects
}

/// What we and one other say of many subjects.
#[derive(Default)]
struct Tally {
    both_accept: usize,
    both_refuse: usize,
    /// Where the other panicked, which counts as a refusal.
    panics: Vec<String>,
    /// By the reason of the table.
    explained: BTreeMap<&'static str, usize>,
    /// By our refusal.
    looser: BTreeMap<String, usize>,
    unexplained: Vec<String>,
    unlisted: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.both_accept += other.both_accept;
        self.both_refuse += other.both_refuse;
        self.panics.extend(other.panics);
        other.explained.into_iter().for_each(|(reason, count)| *self.explained.entry(reason).or_default() += count);
        other.looser.into_iter().for_each(|(class, count)| *self.looser.entry(class).or_default() += count);
        self.unexplained.extend(other.unexplained);
        self.unlisted.extend(other.unlisted);
    }

    /// Files one pair of words.
    fn file(&mut self, other: &Foreign, subject: &Subject, ours: &Result<(), Outcome>, theirs: Word) {
        if theirs.panicked {
            self.panics.push(format!("{}: {}", subject.name, theirs.refusal.as_deref().unwrap_or_default()));
        }
        match (ours, theirs.refusal) {
            (Ok(()), None) => self.both_accept += 1,
            (Err(_), Some(_)) => self.both_refuse += 1,
            (Ok(()), Some(words)) => {
                let known = STRICTER.iter().find(|known| known.other == other.name && (known.when)(subject, &words));
                match known {
                    Some(known) => *self.explained.entry(known.reason).or_default() += 1,
                    None => self.unexplained.push(format!("{}: we accept, {} refuses: {words}", subject.name, other.name)),
                }
            }
            (Err(outcome), None) => {
                let class = outcome.variant();
                if !LOOSER.iter().any(|(name, known, _)| *name == other.name && *known == class) {
                    let words = outcome.reason();
                    self.unlisted.push(format!("{}: we refuse ({class}: {words}), {} accepts", subject.name, other.name));
                }
                *self.looser.entry(class).or_default() += 1;
            }
        }
    }
}

type Tallies = BTreeMap<&'static str, Tally>;

/// Our own verdict: genuine, or acceptable to the strict policy as well.
fn ours(offer: &Offer) -> (Result<(), Outcome>, Result<(), Outcome>) {
    match offer.verify() {
        Err(outcome) => {
            let again = match &outcome {
                Outcome::NotGenuine(error) => Outcome::NotGenuine(VerifyError::clone(error)),
                other => Outcome::Unusable(other.reason()),
            };
            (Err(outcome), Err(again))
        }
        Ok(verified) => match judge_with(verified, |_, _| ()) {
            Outcome::Accepted => (Ok(()), Ok(())),
            outcome => (Ok(()), Err(outcome)),
        },
    }
}

fn compare(subjects: &[Subject]) -> Tallies {
    let mut tallies = Tallies::new();
    for subject in subjects {
        let (genuine, acceptable) = ours(&subject.offer);
        for other in foreign::ALL.iter().filter(|other| other.kind == subject.kind) {
            let ours = if other.acceptable { &acceptable } else { &genuine };
            tallies.entry(other.name).or_default().file(other, subject, ours, other.ask(&subject.offer));
        }
    }
    tallies
}

/// Compares on both cores.
fn compare_all(subjects: &[Subject]) -> Tallies {
    let (one, two) = subjects.split_at(subjects.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| compare(two));
        let mut tallies = compare(one);
        for (name, tally) in other.join().unwrap() {
            tallies.entry(name).or_default().add(tally);
        }
        tallies
    })
}

fn shown(corpus: &str, subjects: usize, tallies: &Tallies) -> serde_json::Value {
    eprintln!("\n{corpus}: {subjects} subjects");
    eprintln!("  {:20} {:>8} {:>8} {:>10} {:>10} {:>7}", "", "both yes", "both no", "we stricter", "explained", "panics");
    let mut rows = serde_json::Map::new();
    for (name, tally) in tallies {
        let (looser, explained) = (tally.looser.values().sum::<usize>(), tally.explained.values().sum::<usize>());
        eprintln!("  {name:20} {:>8} {:>8} {looser:>10} {explained:>10} {:>7}", tally.both_accept, tally.both_refuse, tally.panics.len());
        tally.looser.iter().for_each(|(class, count)| eprintln!("      we refuse, {name} accepts: {class} {count}"));
        tally.explained.iter().for_each(|(reason, count)| eprintln!("      we accept, {name} refuses: {reason}: {count}"));
        tally.panics.iter().take(3).for_each(|panic| eprintln!("      {name} panics: {panic}"));
        let row = json!({
            "both_accept": tally.both_accept, "both_refuse": tally.both_refuse, "panics": tally.panics,
            "we_refuse_they_accept": tally.looser, "we_accept_they_refuse": tally.explained, "unexplained": tally.unexplained,
        });
        rows.insert((*name).to_owned(), row);
    }
    json!({ "corpus": corpus, "subjects": subjects, "others": rows })
}

#[test]
fn nobody_refuses_what_we_accept_without_a_reason_we_know() {
    let Some(folder) = vectors() else { return };
    foreign::quiet_panics();
    let real = published(&folder);
    let mut corpora = vec![("minted lies".to_owned(), minted())];
    for (kind, count) in MUTANTS {
        let bases: Vec<&Subject> = real.iter().filter(|subject| subject.kind == kind && subject.offer.verify().is_ok()).collect();
        assert!(bases.len() >= 9, "{} genuine {kind:?} cases to start from", bases.len());
        corpora.push((format!("{} mutants, seed {SEED:#x}", kind.name()), mutants::breed(&bases, SEED, count)));
    }
    corpora.insert(0, ("published".to_owned(), real));
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (corpus, subjects) in &corpora {
        let tallies = compare_all(subjects);
        rows.push(shown(corpus, subjects.len(), &tallies));
        for tally in tallies.into_values() {
            wrong.extend(tally.unexplained);
            wrong.extend(tally.unlisted);
        }
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.json");
    std::fs::write(&file, format!("{:#}\n", json!({ "seed": SEED, "corpora": rows }))).unwrap();
    eprintln!("\nwritten to {}", file.display());
    assert!(wrong.is_empty(), "{} differences nobody explained:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

#[test]
fn the_table_of_known_differences_is_not_a_wildcard() {
    // a class stands for one refusal of ours, not for any
    for (other, class, reason) in LOOSER {
        assert!(foreign::ALL.iter().any(|known| known.name == *other), "{other} is nobody");
        assert!(!class.is_empty() && reason.len() > 10, "{other} {class}");
        assert_eq!(LOOSER.iter().filter(|row| (row.0, row.1) == (*other, *class)).count(), 1, "{other} {class} stands twice");
    }
    assert!(STRICTER.iter().all(|known| known.reason.len() > 10));
}
