//! How the demo speaks: lines of at most 100 columns for people, one JSON object for programs, a spinner on a terminal.
//!
//! Decides: wrapping, progress, what goes to which stream. Trusts: nothing. Out of scope: what is said.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the demo's whole output passes here")]

use super::DemoError;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

/// Columns of a line.
const WIDTH: usize = 100;

/// The demo's voice.
pub(super) struct Say {
    json: bool,
    terminal: bool,
}

impl Say {
    pub(super) fn new(json: bool) -> Self {
        Say { json, terminal: std::io::stdout().is_terminal() && !json }
    }

    /// A heading.
    pub(super) fn heading(&self, text: &str) {
        if !self.json {
            let (on, off) = if self.terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            println!("\n{on}== {text}{off}");
        }
    }

    /// A line, wrapped.
    pub(super) fn line(&self, text: &str) {
        if !self.json {
            for line in text.lines() {
                wrap(line).into_iter().for_each(|line| println!("{line}"));
            }
        }
    }

    /// The machine-readable end.
    pub(super) fn result(&self, value: &serde_json::Value) {
        if self.json {
            println!("{value}");
        }
    }

    /// A spinner with a text; nothing when piped.
    pub(super) fn working(&self, text: &str) -> ProgressBar {
        if !self.terminal {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(text.to_owned());
        bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is well-formed"));
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// Why it ended early.
    pub(super) fn failed(&self, error: &DemoError) -> ExitCode {
        match self.json {
            true => println!("{}", serde_json::json!({ "ok": false, "error": error.to_string() })),
            false => eprintln!("\nThe demo stopped: {error}"),
        }
        ExitCode::FAILURE
    }
}

fn wrap(line: &str) -> Vec<String> {
    let indent = line.len() - line.trim_start().len();
    let hang = " ".repeat(indent + if line.trim_start().starts_with("- ") { 2 } else { 0 });
    let mut lines = vec![String::new()];
    let mut current = line[..indent].to_owned();
    for word in line.trim_start().split(' ') {
        if current.trim().is_empty() {
            current.push_str(word);
        } else if current.chars().count() + 1 + word.chars().count() <= WIDTH {
            current.push(' ');
            current.push_str(word);
        } else {
            lines.push(std::mem::replace(&mut current, format!("{hang}{word}")));
        }
    }
    lines.push(current);
    lines.remove(0);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_the_width_and_keeps_the_indent() {
        let text = format!("  - {}", "word ".repeat(60).trim_end());
        let lines = wrap(&text);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert!(lines[1].starts_with("    word"));
    }
}
