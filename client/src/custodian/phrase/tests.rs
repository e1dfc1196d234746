//! Words as people type them: every slip is pointed at where it happened, and what was written comes back.
//!
//! Decides: nothing shipped. Trusts: nothing. Out of scope: the checksum itself (`keys`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use proptest::prelude::*;

const PURPOSE: &str = "rwtest";
const LEN: usize = 74;

fn secret() -> Vec<u8> {
    (0..LEN).map(|byte| (byte * 37 + 11) as u8).collect()
}

fn written() -> Vec<String> {
    lay_out(&words::spell(PURPOSE, &secret())).lines().map(str::to_owned).collect()
}

fn typed(lines: &[String]) -> Result<Vec<u8>, PhraseError> {
    read(PURPOSE, &lines.join("\n"), LEN).map(|secret| secret.to_vec())
}

/// The paper with this word (from 1) of this line (from 1) changed.
fn with(line: usize, word: usize, change: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = written();
    let words: Vec<&str> = lines[line - 1].split_whitespace().collect();
    let changed: Vec<String> = words.iter().enumerate().map(|(at, of)| if at == word { change(of) } else { (*of).to_owned() }).collect();
    lines[line - 1] = changed.join(" ");
    lines
}

fn word(line: usize, word: usize) -> String {
    written()[line - 1].split_whitespace().nth(word).unwrap().to_owned()
}

#[test]
fn it_is_read_in_every_way_people_type_it() {
    let lines = written();
    assert!(lines.iter().take(lines.len() - 1).all(|line| line.split_whitespace().count() == 1 + LINE_WORDS), "{lines:?}");
    assert_eq!(typed(&lines).unwrap(), secret());
    let bare = |line: &String| line.split_whitespace().skip(1).collect::<Vec<_>>().join("   ").to_uppercase();
    let bare: Vec<String> = lines.iter().map(bare).collect();
    assert_eq!(typed(&bare).unwrap(), secret());
    assert_eq!(typed(&[bare.join(" ")]).unwrap(), secret(), "all in one line");
    let short = |line: &String| line.split_whitespace().map(|word| word.chars().take(4).collect::<String>()).collect::<Vec<_>>().join(" ");
    assert_eq!(typed(&lines.iter().map(short).collect::<Vec<_>>()).unwrap(), secret(), "four letters of each");
    let commented = [&["# my share".to_owned(), String::new()], lines.as_slice()].concat();
    assert_eq!(typed(&commented).unwrap(), secret());
}

#[test]
fn a_word_that_is_none_is_pointed_at_with_what_it_was() {
    for (line, place) in [(1, 1), (3, 5), (7, 8)] {
        let fault = typed(&with(line, place, |word| format!("{word}q"))).unwrap_err();
        let wanted = PhraseError::Unknown {
            line,
            word: place,
            typed: format!("{}q", word(line, place)),
            suggestions: vec![words::list().find(|listed| *listed == word(line, place)).unwrap()],
        };
        assert_eq!(fault, wanted);
    }
    let fault = typed(&with(2, 3, |_| "xyzzyxyzzy".into())).unwrap_err();
    assert_eq!(fault.to_string(), "line 2, word 3: \"xyzzyxyzzy\" is not a word of the list; look at the paper again");
}

#[test]
fn another_word_of_the_list_is_pointed_at_and_only_what_fits_is_suggested() {
    let mut seen = 0;
    for line in 1..=7 {
        for place in 1..=LINE_WORDS {
            let right = word(line, place);
            let Some(slip) = near(&right).first().copied() else { continue };
            match typed(&with(line, place, |_| slip.into())).unwrap_err() {
                PhraseError::Wrong { line: at, word, typed, suggestions } => {
                    assert_eq!((at, word, typed.as_str(), suggestions.as_slice()), (line, place, slip, &[right.as_str()][..]));
                    seen += 1;
                }
                other => panic!("{line} {place}: {other}"),
            }
        }
    }
    assert!(seen > 20, "only {seen} words have a neighbour");
}

#[test]
fn places_and_numbers_of_words_are_told() {
    let mut lines = written();
    let words: Vec<&str> = lines[3].split_whitespace().collect();
    lines[3] = [words[0], words[1], words[3], words[2], words[4], words[5], words[6], words[7], words[8]].join(" ");
    assert_eq!(typed(&lines), Err(PhraseError::Swapped { line: 4, word: 2 }));
    let missing = with(5, 6, |_| String::new());
    let wanted = words::count(LEN);
    assert_eq!(typed(&missing), Err(PhraseError::Count { got: wanted - 1, wanted, line: Some((5, 7)) }));
    assert!(typed(&missing).unwrap_err().to_string().contains("line 5 has 7"));
    assert!(matches!(typed(&written()[1..]), Err(PhraseError::Count { line: None, .. })));
    let mut moved = written();
    moved.swap(0, 2);
    assert!(matches!(typed(&moved), Err(PhraseError::Words(WordFault::Several))));
    assert!(matches!(typed(&[]), Err(PhraseError::Count { got: 0, .. })));
    assert_eq!(typed(&["word ".repeat(PHRASE_BYTES)]), Err(PhraseError::TooLong));
    let other = read("rwother", &written().join("\n"), LEN).unwrap_err();
    assert!(matches!(other, PhraseError::Words(WordFault::Several)), "words of another kind: {other}");
}

proptest! {
    #[test]
    fn every_secret_comes_back(secret in proptest::collection::vec(any::<u8>(), LEN)) {
        let read = read(PURPOSE, &lay_out(&words::spell(PURPOSE, &secret)), LEN).unwrap();
        prop_assert_eq!(read.to_vec(), secret);
    }

    #[test]
    fn nothing_typed_makes_it_panic(typed in "[a-zé0-9 .\\n#]{0,400}") {
        let _ = read(PURPOSE, &typed, LEN);
    }
}
