//! A question to a model, and its answer in words.
//!
//! Decides: what the arguments mean, in which scope a rule's absence is looked for, and when an outcome is the expected one: nothing broken with
//! all rules; without a rule, what its row says.
//! Trusts: the rows of `cluster::rules` and `session::rules`, which the tests hold to the models. Out of scope: printing, clocks (`main`).

use crate::cluster::scope::SCOPES;
use crate::cluster::{self, Cluster, scope::Scope};
use crate::search::{Bound, Outcome, search};
use crate::session::{self, Session};
use std::fmt::Write as _;

/// Which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Model A.
    Cluster,
    /// Model B.
    Session,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Model.
    pub which: Which,
    /// Rules taken out.
    pub without: Vec<String>,
    /// Scope, where one is named.
    pub scope: Option<String>,
    /// Distinct worlds; 0 for all.
    pub worlds: usize,
    /// Threads, where a number is given.
    pub threads: Option<usize>,
    /// Whether the answer is JSON.
    pub json: bool,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Report {
    /// Question.
    pub question: Question,
    /// Scope that was searched.
    pub scope: &'static str,
    /// Property that was to break.
    pub expected: Option<&'static str>,
    /// Outcome.
    pub outcome: Outcome,
}

impl Question {
    /// Reads arguments.
    ///
    /// # Errors
    /// What makes no sense, in words.
    pub fn parse(arguments: &[String]) -> Result<Question, String> {
        let mut words = arguments.iter().map(String::as_str);
        let which = match words.next() {
            Some("cluster") => Which::Cluster,
            Some("session") => Which::Session,
            other => return Err(format!("no model named {}", other.unwrap_or_default())),
        };
        let mut question = Question { which, without: Vec::new(), scope: None, worlds: 0, threads: None, json: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{word} wants a number, got {text}"));
            match word {
                "--without" => question.without.push(value()?.to_owned()),
                "--scope" => question.scope = Some(value()?.to_owned()),
                "--states" => question.worlds = number(value()?)?,
                "--threads" => question.threads = Some(number(value()?)?.clamp(1, 64)),
                "--json" => question.json = true,
                other => return Err(format!("no argument named {other}")),
            }
        }
        question.sensible()?;
        Ok(question)
    }

    fn sensible(&self) -> Result<(), String> {
        let unknown = self.without.iter().find(|name| match self.which {
            Which::Cluster => cluster::rules::find(name).is_none(),
            Which::Session => session::rules::find(name).is_none(),
        });
        if let Some(name) = unknown {
            return Err(format!("no rule named {name}; `list` names them"));
        }
        if self.which == Which::Cluster && self.without.len() > 1 {
            return Err("of the cluster one rule can be taken out at a time".to_owned());
        }
        let known = self.scope.as_ref().is_none_or(|name| match self.which {
            Which::Cluster => Scope::find(name).is_some(),
            Which::Session => session::SCOPES.iter().any(|scope| scope.name == *name),
        });
        known.then_some(()).ok_or("no scope of that name; `list` names them".to_owned())
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or(if self.without.is_empty() { 2 } else { 1 })
    }
}

/// Searches.
///
/// # Panics
/// When the question names rules or scopes that do not exist, which `Question::parse` refuses.
pub fn answer(question: &Question) -> Report {
    let bound = Bound::new(question.worlds);
    match question.which {
        Which::Cluster => {
            let row = question.without.first().map(|name| cluster::rules::find(name).expect("a rule of that name"));
            let name = question.scope.as_deref().or(row.map(|row| row.scope)).unwrap_or("full");
            let scope = *Scope::find(name).expect("a scope of that name");
            let expected = row.and_then(|row| row.breaks);
            let rules = cluster::rules::Rules { without: row.map(|row| row.rule) };
            let outcome = search(Cluster { rules, scope, bound: bound.clone() }, expected, &bound, question.threads());
            Report { question: question.clone(), scope: scope.name, expected, outcome }
        }
        Which::Session => {
            let rows: Vec<_> = question.without.iter().map(|name| session::rules::find(name).expect("a rule of that name")).collect();
            let name = question.scope.as_deref().or(rows.first().map(|row| row.scope)).unwrap_or("full");
            let scope = *session::SCOPES.iter().find(|scope| scope.name == name).expect("a scope of that name");
            let expected = rows.iter().find_map(|row| row.breaks);
            let rules = session::rules::Rules { without: rows.iter().map(|row| row.rule).collect() };
            let outcome = search(Session { rules, scope, bound: bound.clone() }, expected, &bound, question.threads());
            Report { question: question.clone(), scope: scope.name, expected, outcome }
        }
    }
}

impl Report {
    /// Whether what was expected came: the named property broke, or none did. Where the caller chose scope or several rules, any outcome
    /// with a rule taken out is an answer.
    pub fn as_expected(&self) -> bool {
        let chosen = !self.question.without.is_empty() && (self.question.scope.is_some() || self.question.without.len() > 1);
        chosen || self.outcome.broken.as_ref().map(|(name, _)| *name) == self.expected
    }

    /// For people.
    pub fn text(&self, seconds: f64) -> String {
        let outcome = &self.outcome;
        let mut text = String::new();
        let without =
            if self.question.without.is_empty() { "all rules".to_owned() } else { format!("without {}", self.question.without.join(", ")) };
        let how = match (outcome.complete, outcome.broken.is_some()) {
            (_, true) => "stopped at a counterexample",
            (true, _) => "everything reachable was visited",
            (false, _) => "stopped at the bound",
        };
        let _ = writeln!(
            text,
            "{:?}, scope {}, {without}: {} distinct worlds ({} generated), {} actions deep, {seconds:.1} s; {how}.",
            self.question.which,
            self.scope,
            outcome.worlds,
            outcome.generated,
            outcome.depth.saturating_sub(1)
        );
        for name in &outcome.seen {
            let _ = writeln!(text, "possible: {name}");
        }
        match &outcome.broken {
            None => text.push_str("No property is violated."),
            Some((name, actions)) => {
                let _ = write!(text, "Violated: {name}, after {} actions:", actions.len());
                for (at, action) in actions.iter().enumerate() {
                    let _ = write!(text, "\n  {:2}  {action}", at + 1);
                }
            }
        }
        if !self.as_expected() {
            let _ = write!(
                text,
                "\nNOT AS EXPECTED: {}",
                self.expected.map_or("nothing should break".to_owned(), |name| format!("{name} should break"))
            );
        }
        text
    }

    /// For programs.
    pub fn json(&self, seconds: f64) -> String {
        let outcome = &self.outcome;
        let list = |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
        let seen: Vec<String> = outcome.seen.iter().map(|name| (*name).to_owned()).collect();
        let (violated, trace) = match &outcome.broken {
            Some((name, actions)) => (quoted(name), list(actions)),
            None => ("null".to_owned(), String::new()),
        };
        format!(
            "{{\"model\": {}, \"scope\": {}, \"without\": [{}], \"distinct\": {}, \"generated\": {}, \"depth\": {}, \"complete\": {}, \
             \"violated\": {violated}, \"trace\": [{trace}], \"possible\": [{}], \"as_expected\": {}, \"seconds\": {seconds:.1}}}",
            quoted(&format!("{:?}", self.question.which).to_lowercase()),
            quoted(self.scope),
            list(&self.question.without),
            outcome.worlds,
            outcome.generated,
            outcome.depth.saturating_sub(1),
            outcome.complete,
            list(&seen),
            self.as_expected(),
        )
    }
}

/// A JSON string; names and actions hold printable ASCII.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Rules and scopes.
pub fn list() -> String {
    let mut text = String::from("rules of `cluster` (name, scope, what breaks without it):\n");
    for row in &cluster::rules::RULES {
        let _ = writeln!(text, "  {:<20} {:<16} {:<10} {}", row.name, row.scope, row.breaks.unwrap_or("nothing"), row.says);
    }
    text.push_str("scopes of `cluster`:\n");
    for scope in &SCOPES {
        let _ = writeln!(text, "  {:<16} {}", scope.name, scope.about);
    }
    text.push_str("rules of `session` (name, scope, what breaks without it):\n");
    for row in &session::rules::RULES {
        let _ = writeln!(text, "  {:<20} {:<16} {:<10} {}", row.name, row.scope, row.breaks.unwrap_or("nothing"), row.says);
    }
    text.push_str("scopes of `session`:\n");
    for scope in &session::SCOPES {
        let _ = writeln!(text, "  {:<16} {}", scope.name, scope.about);
    }
    text
}
