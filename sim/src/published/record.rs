//! What is told of each case: one record, the same wherever the case was judged.
//!
//! Decides: the order of cases, what a record says, and its JSON. Trusts: `judge.rs`, `measurement.rs`, `sigstore.rs` and `tlog.rs` for the verdict; a panic
//! while one of them judges is a record that agrees with nothing. Out of scope: tables and exit codes. docs/conformance.md.

use super::case::{Case, CaseError, Kind};
use super::folder::{Found, NotJudged, Unreadable, find};
use super::judge::{Judged, Outcome, guarded, judge};
use super::measurement::{self, Measured, MeasurementCase};
use super::sigstore::{self, SigstoreCase};
use super::tlog::{self, TlogCase};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// One line of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The case.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// What it states.
    pub expected: String,
    /// What it got: accept or reject, with the exceptions it needed.
    pub got: String,
    /// Whether it was accepted.
    pub accepted: bool,
    /// Whether the two fit.
    pub agrees: bool,
    /// The layer that refused.
    pub layer: Option<String>,
    /// Name of the refusal.
    pub variant: String,
    /// In words for people.
    pub reason: String,
    /// What the case gives as its own reason.
    pub stated: String,
    /// Exceptions granted.
    pub exceptions: Vec<String>,
    /// Why it is believed, as far as it got.
    pub steps: Vec<String>,
}

impl Record {
    fn of(case: &Case, judged: &Judged) -> Self {
        let exceptions: Vec<String> = judged.exceptions.iter().map(ToString::to_string).collect();
        let accepted = matches!(judged.outcome, Outcome::Accepted);
        let word = match &judged.outcome {
            Outcome::Accepted => "accept",
            Outcome::Panicked(_) => "panic",
            _ => "reject",
        };
        let got = if exceptions.is_empty() { word.to_owned() } else { format!("{word} with {}", exceptions.join(", ")) };
        Record {
            id: case.id().to_owned(),
            kind: case.kind(),
            expected: case.expect().word().to_owned(),
            got,
            accepted,
            agrees: judged.agrees(case.expect()),
            layer: judged.outcome.layer().map(|layer| layer.to_string()),
            variant: judged.outcome.variant(),
            reason: judged.outcome.reason(),
            stated: case.text("reason").to_owned(),
            exceptions,
            steps: judged.steps.clone(),
        }
    }

    fn of_measured(kind: Kind, id: &str, stated: &str, measured: Measured) -> Self {
        let Measured { expected, got, agrees, refusal, reason } = measured;
        Record {
            id: id.to_owned(),
            kind,
            expected,
            got,
            accepted: refusal.is_empty(),
            agrees,
            layer: (!refusal.is_empty()).then(|| kind.name().to_owned()),
            variant: refusal,
            reason,
            stated: stated.to_owned(),
            exceptions: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn of_panic(kind: Kind, id: &str, stated: &str, words: &str) -> Self {
        let reason = format!("judging panicked: {words}");
        let measured =
            Measured { expected: "an answer".to_owned(), got: "panic".to_owned(), agrees: false, refusal: "Panicked".to_owned(), reason };
        Self::of_measured(kind, id, stated, measured)
    }

    fn of_judged(kind: Kind, id: &str, stated: &str, judged: Result<Measured, String>) -> Self {
        match judged {
            Ok(measured) => Self::of_measured(kind, id, stated, measured),
            Err(words) => Self::of_panic(kind, id, stated, &words),
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "kind": self.kind.name(),
            "expected": self.expected,
            "got": self.got,
            "agrees": self.agrees,
            "layer": self.layer,
            "refusal": self.variant,
            "reason": self.reason,
            "stated_reason": self.stated,
            "exceptions": self.exceptions,
            "steps": self.steps,
        })
    }
}

/// A case of any kind.
#[derive(Clone, Copy, Debug)]
pub enum AnyCase<'a> {
    /// Evidence.
    Evidence(&'a Case),
    /// A measurement or an event log.
    Measurement(&'a MeasurementCase),
    /// A Sigstore bundle.
    Bundle(&'a SigstoreCase),
    /// What a transparency log gave.
    Log(&'a TlogCase),
}

impl AnyCase<'_> {
    /// Judges it.
    pub fn record(self) -> Result<Record, Unreadable> {
        match self {
            AnyCase::Evidence(case) => match judge(case) {
                Ok(judged) => Ok(Record::of(case, &judged)),
                Err(error) => Err(Unreadable { name: case.id().to_owned(), error }),
            },
            AnyCase::Measurement(case) => match guarded(|| measurement::judge(case)) {
                Ok(Ok(measured)) => Ok(Record::of_measured(Kind::Measurement, &case.id, &case.stated, measured)),
                Ok(Err(reason)) => {
                    let error = CaseError::Unreadable { path: PathBuf::from(&case.id), reason };
                    Err(Unreadable { name: case.id.clone(), error })
                }
                Err(words) => Ok(Record::of_panic(Kind::Measurement, &case.id, &case.stated, &words)),
            },
            AnyCase::Bundle(case) => Ok(Record::of_judged(Kind::Sigstore, &case.id, &case.stated, guarded(|| sigstore::judge(case)))),
            AnyCase::Log(case) => Ok(Record::of_judged(Kind::Tlog, &case.id, &case.stated, guarded(|| tlog::judge(case)))),
        }
    }
}

impl Found {
    /// Every case, in the order in which they are told.
    pub fn all(&self) -> Vec<AnyCase<'_>> {
        let Found { cases, measurements, bundles, logs, .. } = self;
        let evidence = cases.iter().map(AnyCase::Evidence);
        let others = measurements.iter().map(AnyCase::Measurement).chain(bundles.iter().map(AnyCase::Bundle));
        evidence.chain(others).chain(logs.iter().map(AnyCase::Log)).collect()
    }
}

/// What a whole folder came to.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Judged cases.
    pub records: Vec<Record>,
    /// Cases that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// What this version does not judge.
    pub not_judged: Vec<NotJudged>,
}

/// Judges every case in `folder`, or those of one kind.
pub fn run(folder: &Path, only: Option<Kind>) -> Result<Run, CaseError> {
    let found = find(folder, only)?;
    let mut run = Run { records: Vec::new(), unreadable: found.unreadable.clone(), not_judged: found.not_judged.clone() };
    for case in found.all() {
        match case.record() {
            Ok(record) => run.records.push(record),
            Err(unreadable) => run.unreadable.push(unreadable),
        }
    }
    Ok(run)
}
