//! What pages promise to have been done: rows of docs/recovery.md, and the commands of docs/runbooks.
//!
//! Decides: a row ("lost this, still have that") names tests that exist, one of them over real processes, or says *nothing* with a reason; nothing is planned.
//! A page of docs/runbooks is followed by `tests/tests/runbooks.rs`, all of it: it has no block that the reader of pages does not run, and no step of others
//! that the program does not know. Trusts: that program to run every step it reads. Out of scope: whether the test does what the row says.

use crate::documents::Tree;
use ringwall_tests::runbook::{Step, read};

/// The page of losses.
pub(crate) const LOSSES: &str = "docs/recovery.md";
/// Pages that are followed.
pub(crate) const RUNBOOKS: &str = "docs/runbooks/";
/// What follows them.
pub(crate) const FOLLOWER: &str = "tests/tests/runbooks.rs";
/// Words of the last column of a table of losses.
const SHOWN: &str = "shown by";
/// How a row begins that says what cannot be done.
const NOTHING: &str = "nothing: ";
/// Words of the shortest reason.
const REASON_WORDS: usize = 5;

/// Rows of a table whose last column says what shows them, with their lines.
fn rows(page: &str) -> Vec<(usize, Vec<&str>)> {
    let (mut found, mut inside) = (Vec::new(), false);
    for (line, text) in (1..).zip(page.lines()) {
        let Some(text) = text.trim().strip_prefix('|').and_then(|text| text.strip_suffix('|')) else {
            inside = false;
            continue;
        };
        let cells: Vec<&str> = text.split('|').map(str::trim).collect();
        if cells.last() == Some(&SHOWN) {
            inside = true;
        } else if inside && !cells.iter().all(|cell| cell.len() > 1 && cell.trim_matches('-').is_empty()) {
            found.push((line, cells));
        }
    }
    found
}

/// Rows of losses that promise in vain; how many rows there are.
pub(crate) fn losses(page: &str, tree: &Tree<'_>) -> (usize, Vec<String>) {
    let rows = rows(page);
    let mut found = Vec::new();
    for (line, cells) in &rows {
        let complaint = match cells.as_slice() {
            [_, _, _, _] if cells.iter().any(|cell| cell.is_empty()) => Some("a row has four cells, and none is empty".to_owned()),
            [_, _, does, "-"] => no_reason(does),
            [_, _, _, shown] => vain(shown, tree),
            _ => Some("a row has four cells: lost, still there, do, shown by".into()),
        };
        let planned = cells.iter().any(|cell| cell.to_lowercase().contains("planned")).then(|| "nothing is planned here".to_owned());
        found.extend(complaint.into_iter().chain(planned).map(|why| format!("{LOSSES}:{line}: {why}")));
    }
    (rows.len(), found)
}

fn no_reason(does: &str) -> Option<String> {
    let reason = does.strip_prefix(NOTHING).unwrap_or_default();
    (reason.split_whitespace().count() < REASON_WORDS).then(|| format!("no test: then it says \"{NOTHING}\" and why"))
}

/// What is wrong with the tests a row names.
fn vain(shown: &str, tree: &Tree<'_>) -> Option<String> {
    let spans: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
    if !spans.iter().any(|span| span.starts_with("tests/tests/")) {
        return Some("names no test over real processes (`tests/tests/...::name`), and no \"-\"".into());
    }
    spans.into_iter().find_map(|span| match span.split_once("::") {
        Some((file, name)) if tree.files.contains(file) && is_test(&(tree.read)(file).unwrap_or_default(), name) => None,
        _ => Some(format!("`{span}` is no test")),
    })
}

/// Whether a file has a test of that name, one that is run with all others.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declares = |line: &str| {
        line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ").is_some_and(|rest| rest.starts_with(&format!("{name}(")))
    };
    lines.iter().enumerate().filter(|(_, line)| declares(line)).any(|(at, _)| {
        let marks: Vec<&&str> = lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).collect();
        marks.iter().any(|mark| mark.starts_with("#[test]") || mark.starts_with("#[tokio::test"))
            && !marks.iter().any(|mark| mark.starts_with("#[ignore"))
    })
}

/// What is wrong with a page that is to be followed, as its follower has it.
pub(crate) fn runbook(path: &str, page: &str, follower: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !follower.contains(&format!("include_str!(\"../../{path}\")")) {
        found.push(format!("{path}: {FOLLOWER} does not follow it"));
    }
    match read(page) {
        Err(fault) => found.push(format!("{path}: {fault}")),
        Ok(steps) => {
            if !steps.iter().any(|step| matches!(step, Step::Run(_))) {
                found.push(format!("{path}: there is nothing to run on it"));
            }
            let strangers = steps.iter().filter_map(|step| match step {
                Step::Then { line, what } if !follower.contains(&format!("\"{what}\"")) => {
                    Some(format!("{path}:{line}: {FOLLOWER} does not do this: {what}"))
                }
                _ => None,
            });
            found.extend(strangers);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const FILE: &str = "#[test]\nfn one() {}\n#[tokio::test(flavor = \"x\")]\nasync fn two() {}\nfn three() {}\n#[test]\n#[ignore = \"long\"]\nfn four() {}\n";

    fn judged(rows: &str) -> Vec<String> {
        let files: BTreeSet<String> = ["tests/tests/a.rs", "keys/tests/a.rs"].map(str::to_owned).into();
        let tree = Tree { files: &files, read: &|_| Some(FILE.to_owned()) };
        let page = format!("| a | b |\n|---|---|\n| planned | - |\n\n| lost | still there | do | shown by |\n|---|---|---|---|\n{rows}");
        let (count, complaints) = losses(&page, &tree);
        assert_eq!(count, rows.lines().count(), "{rows}");
        complaints
    }

    #[test]
    fn rows_that_are_shown_pass() {
        let good = "| a | b | c | `tests/tests/a.rs::one` |\n| a | b | c | `keys/tests/a.rs::two`, `tests/tests/a.rs::two` |\n| a | b | nothing: no key to it is left anywhere | - |\n";
        assert_eq!(judged(good), Vec::<String>::new());
    }

    #[test]
    fn rows_that_promise_in_vain_bite() {
        for bad in [
            "| a | b | c | `tests/tests/a.rs::none` |",
            "| a | b | c | `tests/tests/a.rs::three` |",
            "| a | b | c | `tests/tests/a.rs::four` |",
            "| a | b | c | `tests/tests/b.rs::one` |",
            "| a | b | c | `keys/tests/a.rs::one` |",
            "| a | b | c | `tests/tests/a.rs` |",
            "| a | b | c | the same |",
            "| a | b | c | - |",
            "| a | b | nothing: too bad | - |",
            "| a | b | c | *planned* `tests/tests/a.rs::one` |",
            "| a | b | `tests/tests/a.rs::one` |",
            "| a |  | c | `tests/tests/a.rs::one` |",
        ] {
            assert_eq!(judged(bad).len(), 1, "{bad}: {:?}", judged(bad));
        }
    }

    #[test]
    fn pages_nobody_follows_bite() {
        let follower = "include_str!(\"../../docs/runbooks/a.md\") \"others do this\"";
        let page = "```sh\n$ one\n```\n<!-- others do this -->\n";
        assert_eq!(runbook("docs/runbooks/a.md", page, follower), Vec::<String>::new());
        assert_eq!(runbook("docs/runbooks/b.md", page, follower).len(), 1);
        for bad in ["```\none\n```\n", "text\n", "```sh\n$ one\n```\n<!-- others do that -->\n", "- text\n  ```sh\n  $ one\n  ```\n"] {
            assert_eq!(runbook("docs/runbooks/a.md", bad, follower).len(), 1, "{bad}");
        }
    }
}
