//! What one performed attack comes to: steps for people, the same as facts for programs.
//!
//! Decides: an attack *held off* is one in which a defence answered and nothing was won; a report that shows neither is refused, so that an attack that
//! did not happen is not taken for one that failed. Trusts: whoever performs the attack to write down what happened and nothing else.
//! Out of scope: printing (`mod.rs`).

use crate::demo::DemoError;
use serde_json::{Value, json};

/// What an attack did, what answered, what remains.
#[derive(Clone, Debug, Default)]
pub struct Report {
    did: Vec<String>,
    answered: Vec<String>,
    remains: Vec<String>,
    won: Vec<String>,
}

impl Report {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A step of the attacker's.
    pub fn did(&mut self, what: impl Into<String>) {
        self.did.push(one_line(what));
    }

    /// What a defence said or did about it.
    pub fn answered(&mut self, what: impl Into<String>) {
        self.answered.push(one_line(what));
    }

    /// What can be looked at afterwards.
    pub fn remains(&mut self, what: impl Into<String>) {
        self.remains.push(one_line(what));
    }

    /// What the attacker got.
    pub fn won(&mut self, what: impl Into<String>) {
        self.won.push(one_line(what));
    }

    /// One thing that was tried: the refusal that answered it, or what was won when there was none.
    pub fn tried<T, E: std::fmt::Display>(&mut self, name: &str, outcome: Result<T, E>) {
        match outcome {
            Err(refusal) => self.answered(format!("{name}: {refusal}")),
            Ok(_) => self.won(format!("{name}: accepted")),
        }
    }

    /// Whether every defence held.
    pub fn held(&self) -> bool {
        self.won.is_empty()
    }

    /// What the attacker got.
    pub fn winnings(&self) -> &[String] {
        &self.won
    }

    /// What defences said.
    pub fn answers(&self) -> &[String] {
        &self.answered
    }

    /// The report, unless it shows nothing.
    pub fn finished(self) -> Result<Self, DemoError> {
        let ended = !self.answered.is_empty() || !self.won.is_empty();
        let shows = ended && !self.did.is_empty();
        match shows && (!self.held() || !self.remains.is_empty()) {
            true => Ok(self),
            false => Err(DemoError::Broken(format!("the attack shows nothing: {self:?}"))),
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let parts = [("did", &self.did), ("won", &self.won), ("answered", &self.answered), ("remains", &self.remains)];
        let mut lines = Vec::new();
        for (name, part) in parts {
            lines.extend(part.iter().map(|line| format!("  {name:<9} {line}")));
        }
        lines
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({ "did": self.did, "answered": self.answered, "remains": self.remains, "won": self.won, "held": self.held() })
    }
}

fn one_line(text: impl Into<String>) -> String {
    text.into().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_shows_nothing_is_refused() {
        let mut report = Report::new();
        assert!(report.clone().finished().is_err(), "nothing was done");
        report.did("knocked");
        assert!(report.clone().finished().is_err(), "nobody answered, nothing was won");
        report.answered("no");
        assert!(report.clone().finished().is_err(), "nothing remains");
        report.remains("a line\nin a log");
        let finished = report.clone().finished().expect("all three are there");
        assert!(finished.held() && finished.lines().last().is_some_and(|line| line.ends_with("a line in a log")));
        report.tried("the door", Ok::<_, DemoError>(()));
        assert!(!report.finished().expect("it shows what was won").held());
    }
}
