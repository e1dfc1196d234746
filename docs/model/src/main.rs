//! `ringwall-model`: searches a model, with all its rules or without some, and says what it found.
//!
//! Decides: arguments, output, the exit status: 0 when the outcome is the expected one, 1 when it is not, 2 when the question makes no sense.
//! Trusts: nothing. Out of scope: what is searched (`ringwall_model`). `docs/model/README.md` shows what it prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use ringwall_model::ask::{Question, answer, list};
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "\
ringwall-model cluster|session [--without RULE]... [--scope NAME] [--states N] [--threads N] [--json]
ringwall-model list            rules and scopes, with what is expected of each

  --without RULE  takes a rule out; the search then stops at a counterexample. For `session` more than once.
  --scope NAME    how much may happen; default: `full`, or the scope in which the absence of RULE shows
  --states N      stops after N distinct worlds; 0, the default, visits all there are (of `full` there are too many)
  --threads N     default 2; with 1 a counterexample is the same each time. Default with --without: 1
  --json          one object instead of text

Exit status: 0 as expected, 1 not as expected, 2 the arguments make no sense.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        None | Some("--help" | "-h" | "help") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some("list") => {
            println!("{}", list());
            return ExitCode::SUCCESS;
        }
        Some(_) => {}
    }
    let question = match Question::parse(&arguments) {
        Ok(question) => question,
        Err(why) => {
            eprintln!("{why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let report = answer(&question);
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}", if question.json { report.json(seconds) } else { report.text(seconds) });
    if report.as_expected() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
