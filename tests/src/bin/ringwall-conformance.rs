//! `ringwall-conformance DIR`: judges a folder of published evidence and says where the verdict is not the stated one; `--pack FILE` writes the folder as one file
//! for where there is no disk.
//!
//! Decides: how results are shown, and the exit code: 0 when all agree, 1 when one does not, 2 when something cannot be read.
//! Trusts: `ringwall_sim::published`, which reads and judges. Out of scope: what a verdict means (docs/conformance.md).
#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use ringwall_sim::published::{self, Kind, Packed, Record, Run};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Judges published evidence (AMD reports, Intel quotes, launch measurements, event logs, Sigstore bundles, transparency logs) and compares each verdict with the stated one.
#[derive(Debug, Parser)]
#[command(name = "ringwall-conformance", about, max_term_width = 100)]
struct Arguments {
    /// Folder of cases: a whole set, the folder of one kind, or one case.
    dir: PathBuf,
    /// Write the result as JSON to this file; `-` is standard output, and the table then goes to standard error.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Judge one kind alone.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    only: Option<Kind>,
    /// Write the folder's files to this one instead, as a set that a module in a page or under node reads. Nothing is judged.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "only", "verbose"])]
    pack: Option<PathBuf>,
    /// Show the reason of every case, why it is believed, and what the case gives as its reason.
    #[arg(long)]
    verbose: bool,
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::of_folder(name).ok_or_else(|| "one of snp, tdx, measurement, sigstore, tlog".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(file) = &arguments.pack {
        return match Packed::pack(&arguments.dir).and_then(|set| std::fs::write(file, set)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => cannot(&format!("{} cannot be packed to {}: {error}", arguments.dir.display(), file.display())),
        };
    }
    let run = match published::run(&arguments.dir, arguments.only) {
        Ok(run) => run,
        Err(error) => return cannot(&error.to_string()),
    };
    let to_stdout = arguments.json.as_deref() == Some(Path::new("-"));
    let shown = table(&run, arguments.verbose);
    let printed = if to_stdout { std::io::stderr().write_all(shown.as_bytes()) } else { std::io::stdout().write_all(shown.as_bytes()) };
    let written = match &arguments.json {
        None => Ok(()),
        Some(_) if to_stdout => writeln!(std::io::stdout(), "{:#}", summary(&run)),
        Some(file) => std::fs::write(file, format!("{:#}\n", summary(&run))),
    };
    if let Err(error) = printed.and(written) {
        return cannot(&format!("the result cannot be written: {error}"));
    }
    if run.records.is_empty() && run.unreadable.is_empty() {
        return cannot(&format!("{}: no case of a known kind (snp, tdx, measurement, sigstore, tlog) in it", arguments.dir.display()));
    }
    match (run.unreadable.is_empty(), run.records.iter().all(|record| record.agrees)) {
        (false, _) => ExitCode::from(2),
        (true, false) => ExitCode::from(1),
        (true, true) => ExitCode::SUCCESS,
    }
}

fn cannot(words: &str) -> ExitCode {
    eprintln!("ringwall-conformance: {words}");
    ExitCode::from(2)
}

/// One line a case, then the counts.
fn table(run: &Run, verbose: bool) -> String {
    let width = |of: fn(&Record) -> &str, least: usize| run.records.iter().map(|record| of(record).chars().count()).chain([least]).max();
    let id = width(|record| &record.id, 4).unwrap_or_default();
    let expected = width(|record| &record.expected, 8).unwrap_or_default();
    let got = width(|record| &record.got, 3).unwrap_or_default();
    let mut out = String::new();
    line(&mut out, &format!("{:id$}  {:11}  {:expected$}  {:got$}  agrees  layer/refusal", "case", "kind", "expected", "got"));
    for record in &run.records {
        let agrees = if record.agrees { "yes" } else { "NO" };
        let layer = record.layer.as_deref().unwrap_or("-");
        let refusal = if record.variant.is_empty() { layer.to_owned() } else { format!("{layer}/{}", record.variant) };
        let Record { id: name, expected: wanted, got: given, .. } = record;
        let kind = record.kind.name();
        line(&mut out, &format!("{name:id$}  {kind:11}  {wanted:expected$}  {given:got$}  {agrees:6}  {refusal}"));
        if verbose || !record.agrees {
            detail(&mut out, record);
        }
    }
    for unreadable in &run.unreadable {
        line(&mut out, &format!("CANNOT BE READ {}: {}", unreadable.name, unreadable.error));
    }
    for skipped in &run.not_judged {
        line(&mut out, &format!("{}: {}", skipped.name, skipped.why));
    }
    for kind in Kind::ALL {
        let counts = Counts::of(run, Some(kind));
        if counts.cases > 0 {
            line(&mut out, &format!("{}: {}", kind.name(), counts.words()));
        }
    }
    line(&mut out, &format!("all: {}, {} cannot be read", Counts::of(run, None).words(), run.unreadable.len()));
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("writing to a String does not fail");
}

fn detail(out: &mut String, record: &Record) {
    line(out, &format!("    verdict: {}", record.reason));
    if !record.stated.is_empty() {
        line(out, &format!("    case:    {}", record.stated));
    }
    record.steps.iter().for_each(|step| line(out, &format!("    because: {step}")));
}

/// Counts of one kind, or of all.
struct Counts {
    cases: usize,
    agree: usize,
    accepted: usize,
}

impl Counts {
    fn of(run: &Run, kind: Option<Kind>) -> Self {
        let records = || run.records.iter().filter(|record| kind.is_none_or(|kind| record.kind == kind));
        Counts {
            cases: records().count(),
            agree: records().filter(|record| record.agrees).count(),
            accepted: records().filter(|record| record.accepted).count(),
        }
    }

    fn disagree(&self) -> usize {
        self.cases.saturating_sub(self.agree)
    }

    fn refused(&self) -> usize {
        self.cases.saturating_sub(self.accepted)
    }

    fn words(&self) -> String {
        let Counts { cases, agree, accepted } = self;
        format!("{cases} cases, {agree} agree, {} disagree; {accepted} accepted, {} refused", self.disagree(), self.refused())
    }

    fn json(&self) -> Value {
        json!({
            "cases": self.cases, "agree": self.agree, "disagree": self.disagree(),
            "accepted": self.accepted, "refused": self.refused(),
        })
    }
}

fn summary(run: &Run) -> Value {
    let cases: Vec<Value> = run.records.iter().map(Record::json).collect();
    let unreadable = run.unreadable.iter().map(|case| json!({ "id": case.name, "reason": case.error.to_string() }));
    let not_judged = run.not_judged.iter().map(|skipped| json!({ "name": skipped.name, "reason": skipped.why }));
    let mut kinds = serde_json::Map::new();
    for kind in Kind::ALL {
        kinds.insert(kind.name().to_owned(), Counts::of(run, Some(kind)).json());
    }
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "all": Counts::of(run, None).json(),
        "kinds": kinds,
        "cases": cases,
        "unreadable": unreadable.collect::<Vec<_>>(),
        "not_judged": not_judged.collect::<Vec<_>>(),
    })
}
