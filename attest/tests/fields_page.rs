//! docs/fields.md against the code: every refusal and every claim has a row, and every row names what exists.
//!
//! Decides: whether the page is complete. Trusts: the declarations in the sources, read as text: one variant or field a line, as rustfmt lays them
//! out. Out of scope: whether the words of a row are true (the tests named after each rule).
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines between `opening` and the brace that closes it at the left margin.
fn body<'a>(source: &'a str, opening: &str) -> Vec<&'a str> {
    let (_, rest) = source.split_once(opening).unwrap_or_else(|| panic!("no `{opening}`"));
    rest.lines().skip(1).take_while(|line| *line != "}").collect()
}

/// Names declared directly in the body: indented once, neither comments nor attributes.
fn names(lines: &[&str], starts: fn(char) -> bool) -> BTreeSet<String> {
    let own = lines.iter().filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with(starts));
    own.map(|line| line.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()).collect()
}

fn variants(path: &str, name: &str) -> BTreeSet<String> {
    let found = names(&body(&read(path), &format!("pub enum {name} {{")), char::is_uppercase);
    assert!(found.len() > 15, "{path}: {found:?}");
    found
}

fn fields(name: &str) -> BTreeSet<String> {
    let source = read("src/claims.rs");
    let lines: Vec<String> =
        body(&source, &format!("pub struct {name} {{")).into_iter().map(|line| line.replacen("    pub ", "    ", 1)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let found = names(&lines, |letter| letter.is_lowercase());
    assert!(found.len() > 25, "{name}: {found:?}");
    found
}

/// Rows of a page: the heading they stand under (level 2), and their cells.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let mut heading = String::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.into();
        }
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        if line.starts_with('|') && !line.starts_with("|---") && cells.len() == 4 {
            rows.push((heading.clone(), cells));
        }
    }
    rows
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What is wrong with a page.
fn complaints(page: &str) -> Vec<String> {
    let enums = [("src/error.rs", "VerifyError"), ("src/rejection.rs", "Rejection"), ("src/session.rs", "SessionError")];
    let refusals: BTreeSet<String> = enums.into_iter().flat_map(|(path, name)| variants(path, name)).collect();
    let claims: BTreeMap<&str, BTreeSet<String>> = [("AMD SEV-SNP", fields("SnpClaims")), ("Intel TDX", fields("TdxClaims"))].into();
    let mut named = BTreeSet::new();
    let mut claimed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut found = Vec::new();
    for (heading, cells) in rows(page) {
        let [field, with, refused, source] = cells.as_slice() else { panic!("rows have four cells") };
        if field == "field" || field == "claim" {
            continue;
        }
        if with.is_empty() || source.is_empty() {
            found.push(format!("{field}: an empty cell"));
        }
        if refused.is_empty() && !with.starts_with("nothing: ") && !with.starts_with("read by ") {
            found.push(format!("{field}: compared with something and never refused"));
        }
        for name in quoted(refused) {
            if !refusals.contains(&name) {
                found.push(format!("{field}: there is no refusal {name}"));
            }
            named.insert(name);
        }
        if let Some((vendor, own)) = claims.get_key_value(heading.as_str()) {
            let words = quoted(field);
            let of_claim = words.iter().filter(|word| own.contains(*word)).cloned();
            claimed.entry(vendor).or_default().extend(of_claim);
            found.extend(words.iter().filter(|word| !own.contains(*word)).map(|word| format!("{heading}: there is no claim {word}")));
        }
    }
    found.extend(refusals.difference(&named).map(|name| format!("refusal {name} has no row")));
    for (vendor, own) in &claims {
        let rows = claimed.remove(vendor).unwrap_or_default();
        found.extend(own.difference(&rows).map(|name| format!("{vendor}: claim {name} has no row")));
    }
    found
}

#[test]
fn every_refusal_and_every_claim_has_a_row_and_no_row_is_left_over() {
    let found = complaints(&read("../docs/fields.md"));
    assert!(found.is_empty(), "docs/fields.md: {} complaints\n  {}", found.len(), found.join("\n  "));
}

#[test]
fn a_page_that_lags_behind_is_noticed() {
    let page = read("../docs/fields.md");
    let changes = [
        ("`ChipNotListed`", "`ChipUnlisted`", "no refusal ChipUnlisted"),
        ("`ChipNotListed`", "", "refusal ChipNotListed has no row"),
        ("| `mr_seam` |", "| `mr_seams` |", "claim mr_seam has no row"),
        ("| `mr_seam` |", "| `mr_seams` |", "no claim mr_seams"),
        ("| `xfam` |", "| |", "claim xfam has no row"),
    ];
    for (from, to, complaint) in changes {
        assert!(page.contains(from), "{from}");
        let found = complaints(&page.replace(from, to));
        assert!(found.iter().any(|found| found.contains(complaint)), "{from} -> {to}: {found:?}");
    }
}
