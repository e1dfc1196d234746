//! Hundreds of pieces of evidence with one thing wrong in each, and the one variant that must refuse each.
//!
//! Decides: that no row is accepted, that each is refused by what it names, and that the rows together provoke every variant of
//! `VerifyError`, `Rejection` and `SessionError`: the lists of variants are read from the sources, so a new one needs a row.
//! Trusts: minted evidence of `ringwall-sim`, accepted where it is honest; real vectors. Out of scope: several things wrong at once (mutants).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing, dead_code, unreachable_pub)]

mod harness;
mod heard;
mod policy;
mod real;
mod release;
mod session;
#[path = "../shelf/mod.rs"]
mod shelf;
mod snp_chain;
mod snp_report;
#[path = "../strict/mod.rs"]
mod strict;
mod tdx_chains;
mod tdx_collateral;
mod tdx_log;
mod tdx_quote;

use harness::{ACCEPTED, Row, Table};
use std::collections::BTreeSet;

/// Rows the table has at least, with the published vectors.
const ROWS: usize = 1_400;

/// Variants no evidence can provoke today, each with the reason.
const UNPROVOKED: &[(&str, &str)] = &[];

fn all_rows() -> Vec<Row> {
    let files: [fn(&mut Table); 10] = [
        snp_report::rows,
        snp_chain::rows,
        tdx_quote::rows,
        tdx_collateral::rows,
        tdx_chains::rows,
        tdx_log::rows,
        policy::rows,
        session::rows,
        real::rows,
        release::rows,
    ];
    let filled = |rows: fn(&mut Table)| {
        let mut table = Table::default();
        rows(&mut table);
        table.0
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = files.into_iter().map(|rows| scope.spawn(move || filled(rows))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Names of an enum's variants, from its source: the lines of its body that open with a capital letter at its own depth.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let body = source.split_once(&format!("pub enum {name} {{\n")).unwrap().1.split_once("\n}").unwrap().0;
    let names = body.lines().filter_map(|line| {
        let word = line.strip_prefix("    ")?;
        word.starts_with(|first: char| first.is_ascii_uppercase()).then(|| word.split([' ', '(', ',']).next().unwrap().to_owned())
    });
    names.collect()
}

#[test]
fn every_row_is_refused_by_what_it_names_and_every_variant_has_a_row() {
    let rows = all_rows();
    let mut wrong: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| !row.holds()) {
        let what = if row.got == ACCEPTED { "ACCEPTED" } else { "refused otherwise" };
        wrong.push(format!("{}: {what}\n    named {}\n    got   {}", row.id, row.expected, row.got.chars().take(300).collect::<String>()));
    }
    let mut ids = BTreeSet::new();
    wrong.extend(rows.iter().filter(|row| !ids.insert(&row.id)).map(|row| format!("{}: two rows of this name", row.id)));
    assert!(wrong.is_empty(), "{} of {} rows are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));

    let least = if real::there() { ROWS } else { ROWS - 100 };
    eprintln!("{} rows", rows.len());
    assert!(rows.len() >= least, "{} rows, wanted {least}", rows.len());

    let seen: BTreeSet<String> = rows.iter().map(|row| row.variant().to_owned()).collect();
    let mut wanted = BTreeSet::new();
    for (letter, source, name) in [
        ("V", include_str!("../../src/error.rs"), "VerifyError"),
        ("R", include_str!("../../src/rejection.rs"), "Rejection"),
        ("S", include_str!("../../src/session.rs"), "SessionError"),
    ] {
        let of = variants(source, name);
        assert!(of.len() > 15, "{name} was not read: {of:?}");
        wanted.extend(of.into_iter().map(|variant| format!("{letter}::{variant}")));
    }
    if !real::there() {
        // only evidence under a vendor's own root gets that far
        wanted.remove("R::ReleaseRuleMissing");
    }
    for (variant, reason) in UNPROVOKED {
        assert!(wanted.remove(*variant), "{variant} is no variant; its reason was: {reason}");
    }
    let missing: Vec<_> = wanted.difference(&seen).collect();
    assert!(missing.is_empty(), "no row provokes {missing:?}: add one, delete the variant, or say why it cannot be");
    let invented: Vec<_> = seen.difference(&wanted).filter(|variant| !UNPROVOKED.iter().any(|(name, _)| name == variant)).collect();
    assert!(invented.is_empty() || !real::there(), "rows name variants that are not in the sources: {invented:?}");
}

#[test]
fn the_variants_are_read_from_the_sources() {
    let found = variants("x\npub enum It {\n    /// Doc.\n    One { a: u8 },\n    #[error(\"x\")]\n    Two(u8),\n    Three,\n}\n", "It");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["One", "Three", "Two"]);
}
