//! Questions and answers: what the program understands, and that it says no when the outcome is not the expected one.
//!
//! Decides: nothing of the models; small scopes stand for them. Trusts: `search`. Out of scope: printing, exit status (`main`).
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_model::ask::{Question, Which, answer};

fn parse(line: &str) -> Result<Question, String> {
    Question::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

#[test]
fn arguments_are_understood_or_refused() {
    let question = parse("session --without role --without static-key --states 5 --threads 3 --scope member --json").unwrap();
    assert_eq!((question.which, question.worlds, question.threads, question.json), (Which::Session, 5, Some(3), true));
    assert_eq!(question.without, ["role", "static-key"]);
    for bad in [
        "castle",
        "cluster --without role",
        "session --without v1",
        "cluster --without v1 --without v2",
        "cluster --scope member",
        "cluster --states many",
        "cluster --states",
        "cluster --fast",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_counterexample_where_one_is_due_is_told_without_an_idle_step() {
    let report = answer(&parse("cluster --without grant-after-commit").unwrap());
    let (broken, actions) = report.outcome.broken.clone().unwrap();
    assert!(report.as_expected());
    assert_eq!((broken, actions.len()), ("IN6", 4), "{actions:?}");
    assert!(report.json(0.0).contains("\"violated\": \"IN6\", \"trace\": [\"Crash"), "{}", report.json(0.0));
    assert!(report.text(0.0).contains("Violated: IN6, after 4 actions"), "{}", report.text(0.0));
}

#[test]
fn an_outcome_nobody_expected_is_told_as_such() {
    let mut report = answer(&parse("cluster --scope join-five").unwrap());
    assert!(report.as_expected() && report.outcome.complete);
    report.outcome.broken = Some(("IN3", Vec::new()));
    assert!(!report.as_expected());
    assert!(report.text(0.0).contains("NOT AS EXPECTED"));
    let mut report = answer(&parse("cluster --without v4").unwrap());
    report.outcome.broken = None;
    assert!(!report.as_expected(), "a rule that suddenly does not matter is news");
}

#[test]
fn a_bound_stops_a_search_and_is_not_called_complete() {
    let report = answer(&parse("cluster --states 2000").unwrap());
    assert!(report.outcome.worlds >= 2_000 && !report.outcome.complete, "{:?}", report.outcome);
}
