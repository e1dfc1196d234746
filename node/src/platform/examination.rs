//! What `platform-check` found, step by step, as text and as JSON that a person can paste into a report.
//!
//! Decides: the form. One line a step, a verdict at the end; nothing in it is secret: no key, and of the chip only a digest unless its id
//! was asked for.
//! Trusts: nothing. Out of scope: finding (`examine`).

use serde::Serialize;

/// Columns text is wrapped at.
const COLUMNS: usize = 110;
/// Columns of the mark and the name of a step.
const INDENT: usize = 28;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Good,
    /// Worth knowing, and no obstacle by itself.
    Note,
    /// An obstacle.
    Bad,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Which step, in one or two stable words.
    pub step: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, in words.
    pub says: String,
}

/// What follows from all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Evidence was made here and is genuine under the pinned roots.
    Ready,
    /// No evidence can be made here.
    NoEvidence,
    /// Evidence was made, and its endorsements could not be had.
    NoEndorsements,
    /// Evidence was made, and what there is does not say whether it is genuine: dates, missing lists, formats of another time.
    CannotTell,
    /// Evidence was made, and does not verify under the pinned roots.
    NotGenuine,
}

impl Verdict {
    /// Exit code of the process; the same numbers as a node ends with.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Ready => 0,
            Verdict::NoEvidence => 11,
            Verdict::NoEndorsements | Verdict::CannotTell | Verdict::NotGenuine => 12,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Verdict::Ready => {
                "READY: this machine makes evidence that is genuine under the vendor's pinned roots. Whether a cluster accepts it is for that \
                 cluster's policy to say."
            }
            Verdict::NoEvidence => "NOT READY: this machine makes no evidence. A node does not start here.",
            Verdict::NoEndorsements => "NOT READY: there is evidence, and the vendor's endorsements for it could not be had.",
            Verdict::CannotTell => {
                "NOT READY: there is evidence, and whether it is genuine cannot be told from what is there. That is no sign of a forgery; the \
                 line marked BAD says what is missing."
            }
            Verdict::NotGenuine => "NOT READY: there is evidence, and it does not verify under the vendor's pinned roots.",
        }
    }
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// Version of the program.
    pub version: &'static str,
    /// The steps, in order.
    pub steps: Vec<Found>,
    /// What follows.
    pub verdict: Verdict,
}

impl Examination {
    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for found in &self.steps {
            let mark = match found.outcome {
                Outcome::Good => "ok  ",
                Outcome::Note => "note",
                Outcome::Bad => "BAD ",
            };
            let name = format!("{mark}  {:<width$}", found.step, width = INDENT - 6);
            out.push_str(&wrapped(&name, &found.says));
        }
        out.push('\n');
        out.push_str(&wrapped("", self.verdict.words()));
        out
    }

    /// For programs: one JSON object, keys stable.
    pub fn to_json(&self) -> String {
        let mut out = serde_json::to_string_pretty(self).expect("strings and lists are JSON");
        out.push('\n');
        out
    }
}

/// `text` behind `opening`, further lines as far in as the first.
fn wrapped(opening: &str, text: &str) -> String {
    let indent = opening.chars().count();
    let (mut out, mut column) = (opening.to_owned(), indent);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > COLUMNS {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examination(verdict: Verdict) -> Examination {
        let long = "word ".repeat(60);
        let found = |step, outcome, says: &str| Found { step, outcome, says: says.to_owned() };
        let steps = vec![found("kernel", Outcome::Good, "6.12.1"), found("reports", Outcome::Bad, &long)];
        Examination { version: "0.0.0", steps, verdict }
    }

    #[test]
    fn text_is_aligned_and_ends_with_the_verdict() {
        let text = examination(Verdict::NoEvidence).to_text();
        let (first, second) = ("ok    kernel                6.12.1", "BAD   reports               word word");
        assert!(text.starts_with(&format!("{first}\n{second}")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.lines().last().unwrap().starts_with("NOT READY: this machine makes no evidence"), "{text}");
    }

    #[test]
    fn json_keys_are_stable() {
        let json: serde_json::Value = serde_json::from_str(&examination(Verdict::NotGenuine).to_json()).unwrap();
        assert_eq!(json["verdict"], "not-genuine");
        assert_eq!(json["steps"][0], serde_json::json!({"step": "kernel", "outcome": "good", "says": "6.12.1"}));
        assert_eq!(json["version"], "0.0.0");
    }

    #[test]
    fn verdicts_have_the_exit_codes_of_a_node() {
        let verdicts = [Verdict::Ready, Verdict::NoEvidence, Verdict::NoEndorsements, Verdict::CannotTell, Verdict::NotGenuine];
        assert_eq!(verdicts.map(Verdict::exit_code), [0, 11, 12, 12, 12]);
    }
}
