//! How an explanation is laid out for people: a tree in plain ASCII, one branch a question, within 100 columns.
//!
//! Decides: layout alone. The branch that refused carries what was found, what was expected and what to do; words longer than a line (digests)
//! are broken. No colour and no control character is printed, on a terminal or elsewhere.
//! Trusts: the explanation. Out of scope: what it says (`explain.rs`).

use super::{Explanation, Mark, StageAccount};

/// Widest line.
const COLUMNS: usize = 100;

/// The tree; every line is indented by two columns.
pub(super) fn tree(explanation: &Explanation) -> String {
    let mut text = String::new();
    let count = explanation.stages.len();
    for (at, stage) in explanation.stages.iter().enumerate() {
        let (branch, stem) = if at.saturating_add(1) == count { ("  `-- ", "      ") } else { ("  +-- ", "  |   ") };
        let mark = mark(stage);
        put(&mut text, branch, stem, &format!("[{mark}] {}: {}", stage.title, stage.asks));
        let item = |text: &mut String, words: &str| put(text, &format!("{stem}  - "), &format!("{stem}    "), words);
        for step in &stage.steps {
            item(&mut text, step);
        }
        if let Some(because) = &stage.because {
            put(&mut text, &format!("{stem}  "), &format!("{stem}  "), &format!("({mark}: {because})"));
        }
        let refused_here = matches!(stage.mark, Mark::Failed | Mark::CannotTell);
        if let Some(refusal) = explanation.refusal.as_ref().filter(|_| refused_here) {
            let names =
                [("!", &refusal.message), ("expected", &refusal.expected), ("found", &refusal.found), ("what to do", &refusal.to_do)];
            for (name, words) in names {
                let colon = if name == "!" { "" } else { ":" };
                put(&mut text, &format!("{stem}  {:<12}", format!("{name}{colon}")), &format!("{stem}  {:<12}", ""), words);
            }
        }
    }
    text
}

fn mark(stage: &StageAccount) -> &'static str {
    match stage.mark {
        Mark::Ok => "ok",
        Mark::Failed => "FAILED",
        Mark::CannotTell => "cannot tell",
        Mark::InPart => "in part",
        Mark::NotReached => "not reached",
    }
}

/// Appends `words`, broken to lines: the first opens with `first`, the others with `rest`.
fn put(text: &mut String, first: &str, rest: &str, words: &str) {
    let room = COLUMNS.saturating_sub(first.chars().count().max(rest.chars().count())).max(1);
    let mut line = String::new();
    let mut opening = first;
    let mut end = |line: &mut String| {
        text.push_str(format!("{opening}{line}").trim_end());
        text.push('\n');
        opening = rest;
        line.clear();
    };
    for piece in words.split_whitespace().flat_map(|word| pieces(word, room)) {
        let piece: String = piece.iter().collect();
        let width = line.chars().count();
        if width > 0 && width.saturating_add(1).saturating_add(piece.chars().count()) > room {
            end(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(piece.chars().map(|letter| if letter.is_control() { '?' } else { letter }));
    }
    end(&mut line);
}

fn pieces(word: &str, room: usize) -> Vec<Vec<char>> {
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(room).map(<[char]>::to_vec).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::explain::{RefusalAccount, Verdict};

    fn stage(name: &str, mark: Mark, steps: &[String]) -> StageAccount {
        let because = (mark == Mark::NotReached).then(|| "the judgement had ended before".to_owned());
        StageAccount { stage: name.into(), title: "Title".into(), asks: "Asked?".into(), mark, steps: steps.to_vec(), because }
    }

    fn refused() -> Explanation {
        let stages = vec![
            stage("root", Mark::Ok, &["word ".repeat(60), "f".repeat(130)]),
            stage("chain", Mark::Failed, &["a step".into()]),
            stage("revocation", Mark::NotReached, &[]),
        ];
        let refusal = RefusalAccount {
            stage: "chain".into(),
            finding: "bad".into(),
            message: "it does not fit".into(),
            expected: "this\u{1b}[31m".into(),
            found: "that".into(),
            advice: "do-not-use".into(),
            to_do: "leave it".into(),
        };
        Explanation { verdict: Verdict::Refused, at_s: 0, stages, refusal: Some(refusal) }
    }

    #[test]
    fn a_tree_fits_a_hundred_columns_and_holds_no_control_character() {
        let text = tree(&refused());
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text}");
        let hex: String = text.chars().filter(|letter| *letter == 'f').collect();
        assert!(hex.len() >= 130, "a digest lost digits");
    }

    #[test]
    fn the_refusal_stands_under_the_branch_that_refused() {
        let text = tree(&refused());
        let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is not in\n{text}"));
        assert!(at("[ok]") < at("[FAILED]") && at("[FAILED]") < at("what to do:") && at("what to do:") < at("[not reached]"));
        assert!(at("`-- [not reached]") > at("+-- [FAILED]"));
    }
}
