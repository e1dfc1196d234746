//! Shares as text: what is written is read, and what is mistyped is pointed at.
//!
//! Decides: each single mistake is located at its place, whatever it is. Trusts: known text from another program.
//! Out of scope: files and questions (`client`). Bytes: docs/formats.md, "Shares as text".

use proptest::prelude::*;
use ringwall_keys::custody::spelled::{PURPOSE, SPELLED_BYTES, SpellFault, read_share, share_line, share_words};
use ringwall_keys::text::line::{self, LineFault};
use ringwall_keys::text::words::{self, WordFault};
use ringwall_wire::custody::SharePlain;
use ringwall_wire::ids::{ClusterId, CustodyEpoch};
use ringwall_wire::secret::Secret;

const CLUSTER: ClusterId = ClusterId([0x11; 32]);
const WORDS: &str = "absurd mass dust capital abandon abandon bright gold captain baby mass dust captain baby mass dust captain baby mass \
                     dust captain baby mass dust captain baby mass dust captain baby match grid creek office smoke grid creek office smoke grid \
                     creek office smoke grid creek office smoke grid creek office smoke grid creek office ginger bunker law spike";
const LINE: &str =
    "rwshare1qyg3zyg3qqqqqpcryg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3rxvenxvenxvenxvenxvenxvenxvenxvenxvenxvenxvenxvenxvcxr3jfc";

fn share() -> SharePlain {
    let (y, r) = (Secret::new([0x22; 32]), Secret::new([0x33; 32]));
    SharePlain { version: 1, cluster_id: CLUSTER, custody_epoch: CustodyEpoch(7), x: 3, y, r }
}

/// A share whose bytes differ from each other.
fn varied() -> SharePlain {
    let (y, r) = (Secret::new(std::array::from_fn(|at| (at * 7 + 3) as u8)), Secret::new(std::array::from_fn(|at| (at * 11 + 91) as u8)));
    SharePlain { y, r, ..share() }
}

#[test]
fn text_is_what_another_program_writes() {
    assert_eq!(*share_words(&share()), WORDS);
    assert_eq!(*share_line(&share()), LINE);
    assert_eq!(words::count(SPELLED_BYTES), 58);
    assert_eq!(line::length(PURPOSE, SPELLED_BYTES), LINE.len());
    for text in [WORDS, LINE, &WORDS.to_ascii_uppercase(), &LINE.to_ascii_uppercase(), &format!("  {LINE}\n")] {
        assert_eq!(read_share(text, &CLUSTER).unwrap(), share());
    }
    let short: Vec<&str> = WORDS.split_whitespace().map(|word| word.get(..4).unwrap_or(word)).collect();
    assert_eq!(read_share(&short.join("\n"), &CLUSTER).unwrap(), share(), "four letters are enough");
}

#[test]
fn a_wrong_word_is_pointed_at() {
    let text = share_words(&varied());
    let good: Vec<&str> = text.split_whitespace().collect();
    for at in 0..good.len() {
        let place = at + 1;
        for other in ["abandon", "zoo", "ocean"] {
            let mut words = good.clone();
            if words[at] != other {
                words[at] = other;
                assert_eq!(read_share(&words.join(" "), &CLUSTER), Err(WordFault::Wrong { place }.into()), "{other} at {place}");
            }
        }
        let mut words = good.clone();
        words[at] = "ringwall";
        assert_eq!(read_share(&words.join(" "), &CLUSTER), Err(WordFault::Unknown { place }.into()));
        let mut words = good.clone();
        words.remove(at);
        assert_eq!(read_share(&words.join(" "), &CLUSTER), Err(WordFault::Count { got: 57, wanted: 58 }.into()));
        if at > 0 && good[at] != good[at - 1] {
            let mut words = good.clone();
            words.swap(at - 1, at);
            assert_eq!(read_share(&words.join(" "), &CLUSTER), Err(WordFault::Swapped { place: at }.into()));
        }
    }
    let mut words = good.clone();
    (words[3], words[40]) = ("abandon", "zoo");
    assert_eq!(read_share(&words.join(" "), &CLUSTER), Err(WordFault::Several.into()));
}

#[test]
fn a_wrong_character_is_pointed_at() {
    let good = share_line(&varied());
    for at in PURPOSE.len() + 1..good.len() {
        for other in ['q', 'l', '7'] {
            let mut letters: Vec<char> = good.chars().collect();
            if letters[at] != other {
                letters[at] = other;
                let text: String = letters.iter().collect();
                assert_eq!(read_share(&text, &CLUSTER), Err(LineFault::Wrong { place: at + 1 }.into()), "{other} at {}", at + 1);
            }
        }
        let mut letters: Vec<char> = good.chars().collect();
        letters[at] = 'b';
        assert_eq!(read_share(&letters.iter().collect::<String>(), &CLUSTER), Err(LineFault::Unknown { place: at + 1 }.into()));
    }
    let cut = &good[..good.len() - 1];
    assert_eq!(read_share(cut, &CLUSTER), Err(LineFault::Length { got: 132, wanted: 133 }.into()));
    let mixed = format!("{}{}", &good[..50], good[50..].to_ascii_uppercase());
    assert_eq!(read_share(&mixed, &CLUSTER), Err(LineFault::Case.into()));
    let other = good.replacen("rwshare", "rwother", 1);
    assert_eq!(read_share(&other, &CLUSTER), Err(LineFault::Prefix { wanted: PURPOSE }.into()));
    assert_eq!(read_share("", &CLUSTER), Err(LineFault::Prefix { wanted: PURPOSE }.into()));
}

#[test]
fn text_of_another_kind_cluster_or_version_is_refused() {
    let other = words::spell("rwuser", &[0; SPELLED_BYTES]);
    assert!(matches!(words::read(PURPOSE, &other, SPELLED_BYTES), Err(WordFault::Several | WordFault::Wrong { .. })));
    let elsewhere = SharePlain { cluster_id: ClusterId([0x12; 32]), ..share() };
    let refused = read_share(&share_line(&elsewhere), &CLUSTER).unwrap_err();
    assert_eq!(refused, SpellFault::OtherCluster { got: [0x12; 4], wanted: [0x11; 4] });
    assert!(refused.to_string().contains("12121212"));
    let newer = SharePlain { version: 2, ..share() };
    assert_eq!(read_share(&share_words(&newer), &CLUSTER), Err(SpellFault::OtherVersion { got: 2 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any bytes survive both forms.
    #[test]
    fn bytes_survive_both_forms(bytes in prop::collection::vec(any::<u8>(), 1..97)) {
        prop_assert_eq!(&*words::read("any", &words::spell("any", &bytes), bytes.len()).unwrap(), &bytes);
        prop_assert_eq!(&*line::read("any", &line::spell("any", &bytes), bytes.len()).unwrap(), &bytes);
    }

    /// Up to four wrong words are always noticed, and two are never taken for one.
    #[test]
    fn up_to_four_wrong_words_are_noticed(places in prop::collection::btree_set(0_usize..58, 2..5), shift in 1_usize..2_048) {
        let list: Vec<&str> = include_str!("../../src/text/words.txt").lines().collect();
        let text = share_words(&varied());
        let mut words: Vec<&str> = text.split_whitespace().collect();
        for place in &places {
            let at = list.iter().position(|word| word == &words[*place]).unwrap();
            words[*place] = list[(at + shift) % list.len()];
        }
        let refused = words::read(PURPOSE, &words.join(" "), SPELLED_BYTES).map(drop);
        prop_assert!(refused.is_err());
        if places.len() == 2 {
            prop_assert!(!matches!(refused, Err(WordFault::Wrong { .. })), "{refused:?}");
        }
    }

    /// Whatever somebody types, reading ends in an answer.
    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}", tail in "[a-z ]{0,400}") {
        prop_assert!(read_share(&text, &CLUSTER).is_err());
        prop_assert!(read_share(&tail, &CLUSTER).is_err());
        let line = format!("rwshare1{tail}");
        prop_assert!(read_share(&line, &CLUSTER).is_err());
    }
}
