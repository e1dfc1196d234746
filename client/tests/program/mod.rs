//! `ringwall` run as a person types it, in a folder, with what it printed.
//!
//! Decides: the environment of a run: the card is the file `card` of that folder, where a suite makes one; there is no credential. Trusts: nothing.
//! Out of scope: what is typed, and what is expected.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "shared by test programs")]

use std::path::Path;
use std::process::Command;

/// Runs the program in `folder`: exit code, standard output, standard error.
pub fn run(folder: &Path, line: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwall"));
    command.current_dir(folder).env("RINGWALL_CARD", "card").env_remove("RINGWALL_CREDENTIAL");
    let output = command.args(line.split_whitespace()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[track_caller]
pub fn done(folder: &Path, line: &str) -> String {
    let (code, out, err) = run(folder, line);
    assert_eq!(code, 0, "{line}: {out}{err}");
    out
}

#[track_caller]
pub fn fails(folder: &Path, line: &str, code: i32, words: &str) {
    let (got, out, err) = run(folder, line);
    assert_eq!(got, code, "{line}: {out}{err}");
    assert!(err.contains(words), "{line}: {err}");
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|fault| panic!("{fault}: {text}"))
}
