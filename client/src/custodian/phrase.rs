//! Words on paper as people write and type them: numbered lines of eight, and what to look at when a word is wrong.
//!
//! Decides: how the words of a secret are laid out, that numbers, comments and line breaks do not matter when they are typed back, and which words of the
//! list a wrong one may have been: only such that differ by a slip and with which everything fits. Nothing is mended silently.
//! Trusts: `keys` for the words themselves and their checksum. Out of scope: what the bytes mean (`custodian_paper.rs`). docs/formats.md, "Shares as text".

use ringwall_keys::text::near as nearness;
use ringwall_keys::text::words::{self, WordFault};
use zeroize::Zeroizing;

/// Words of a line on paper.
pub const LINE_WORDS: usize = 8;
/// Characters of the longest phrase as typed, with room for numbers, comments and spaces.
pub const PHRASE_BYTES: usize = 8 * 1024;
/// Suggestions for one word.
const SUGGESTIONS: usize = 4;
/// Letters of a wrong word that are shown.
const WORD_LETTERS: usize = 32;

/// Why typed words are not what was written down. Lines and words are counted from 1, as they were typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// A word is not on the list.
    #[error("line {line}, word {word}: \"{typed}\" is not a word of the list{}", did_you_mean(.suggestions))]
    Unknown {
        /// Line.
        line: usize,
        /// Word of the line.
        word: usize,
        /// What was typed.
        typed: String,
        /// Words it may have been.
        suggestions: Vec<&'static str>,
    },
    /// One word of the list is another than was written.
    #[error("line {line}, word {word}: \"{typed}\" is not the word that was written down, all others are right{}", did_you_mean(.suggestions))]
    Wrong {
        /// Line.
        line: usize,
        /// Word of the line.
        word: usize,
        /// What was typed.
        typed: String,
        /// Words it may have been.
        suggestions: Vec<&'static str>,
    },
    /// Two neighbours changed places.
    #[error("line {line}: word {word} and the next one have changed places")]
    Swapped {
        /// Line.
        line: usize,
        /// The first of the two.
        word: usize,
    },
    /// There are too many or too few.
    #[error("{got} words were typed, there should be {wanted}{}", short_line(.line))]
    Count {
        /// Typed.
        got: usize,
        /// On the paper.
        wanted: usize,
        /// The first line that is not of eight words, before the last.
        line: Option<(usize, usize)>,
    },
    /// Anything else.
    #[error("{0}")]
    Words(WordFault),
    /// It is longer than any phrase.
    #[error("this is longer than any phrase ({PHRASE_BYTES} characters)")]
    TooLong,
}

fn did_you_mean(suggestions: &[&str]) -> String {
    match suggestions {
        [] => "; look at the paper again".into(),
        some => format!("; did you mean {}?", some.join(" or ")),
    }
}

fn short_line(line: &Option<(usize, usize)>) -> String {
    line.map_or_else(String::new, |(line, words)| format!("; line {line} has {words}, a line of the paper has {LINE_WORDS}"))
}

/// Words in numbered lines.
pub fn lay_out(words: &str) -> Zeroizing<String> {
    let words: Vec<&str> = words.split(' ').collect();
    let mut text = Zeroizing::new(String::with_capacity(PHRASE_BYTES));
    for (number, line) in (1..).zip(words.chunks(LINE_WORDS)) {
        let number = format!("{number:>2}. ");
        text.push_str(&number);
        for (at, word) in line.iter().enumerate() {
            if at > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
        text.push('\n');
    }
    text
}

/// The typed words, each with its line and its place there.
struct Typed<'a>(Vec<(usize, usize, &'a str)>);

impl<'a> Typed<'a> {
    fn of(text: &'a str) -> Self {
        let is_number = |word: &&str| word.trim_end_matches(['.', ':', ')']).parse::<u8>().is_ok();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let words = (1..).zip(lines).flat_map(|(line, text)| {
            (1..)
                .zip(text.split_whitespace().filter(|word| !is_number(word)).collect::<Vec<_>>())
                .map(move |(word, typed)| (line, word, typed))
        });
        Typed(words.collect())
    }

    /// All of them, with the word at `place` (from 1) replaced.
    fn with(&self, place: usize, by: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PHRASE_BYTES));
        for (at, (_, _, typed)) in (1..).zip(&self.0) {
            if at > 1 {
                text.push(' ');
            }
            text.push_str(if at == place { by } else { typed });
        }
        text
    }

    /// Line, word and text of a place.
    fn at(&self, place: usize) -> (usize, usize, &'a str) {
        self.0.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The first line, before the last, that is not of eight words.
    fn odd_line(&self) -> Option<(usize, usize)> {
        let last = self.0.last()?.0;
        (1..last).map(|line| (line, self.0.iter().filter(|(of, ..)| *of == line).count())).find(|(_, count)| *count != LINE_WORDS)
    }
}

/// What was typed without numbers, comments and line breaks.
pub fn plain(text: &str) -> Zeroizing<String> {
    Typed::of(text).with(0, "")
}

/// The `len` bytes whose words were typed.
pub fn read(purpose: &str, text: &str, len: usize) -> Result<Zeroizing<Vec<u8>>, PhraseError> {
    if text.len() > PHRASE_BYTES {
        return Err(PhraseError::TooLong);
    }
    let typed = Typed::of(text);
    let reads = |text: &str| words::read(purpose, text, len);
    reads(&typed.with(0, "")).map_err(|fault| explained(fault, &typed, &reads))
}

/// Reads words of one purpose and length.
type Reads<'a> = dyn Fn(&str) -> Result<Zeroizing<Vec<u8>>, WordFault> + 'a;

fn explained(fault: WordFault, typed: &Typed<'_>, reads: &Reads<'_>) -> PhraseError {
    match fault {
        WordFault::Unknown { place } => {
            let (line, word, text) = typed.at(place);
            let near = near(text);
            let fitting: Vec<&str> = near.iter().copied().filter(|candidate| reads(&typed.with(place, candidate)).is_ok()).collect();
            // Where something else is wrong, too, nothing fits; then what is near has to do.
            let mut suggestions = if fitting.is_empty() { near } else { fitting };
            suggestions.truncate(SUGGESTIONS);
            PhraseError::Unknown { line, word, typed: cut(text), suggestions }
        }
        WordFault::Wrong { place } => {
            let (line, word, text) = typed.at(place);
            let fitting = near(text).into_iter().filter(|candidate| reads(&typed.with(place, candidate)).is_ok());
            PhraseError::Wrong { line, word, typed: cut(text), suggestions: fitting.collect() }
        }
        WordFault::Swapped { place } => {
            let (line, word, _) = typed.at(place);
            PhraseError::Swapped { line, word }
        }
        WordFault::Count { got, wanted } => PhraseError::Count { got, wanted, line: typed.odd_line() },
        fault => PhraseError::Words(fault),
    }
}

fn cut(word: &str) -> String {
    word.chars().filter(|letter| !letter.is_control()).take(WORD_LETTERS).collect()
}

/// Words of the list that `typed` may have been, the nearest first.
fn near(typed: &str) -> Vec<&'static str> {
    let same = typed.to_lowercase();
    nearness::near(typed).into_iter().filter(|word| *word != same).collect()
}

#[cfg(test)]
mod tests;
