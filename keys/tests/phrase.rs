//! Recovery phrases: the words of BIP 39, typing errors that are pointed at, and the escrow a phrase opens.
//!
//! The vectors are those of BIP 39 (24 words) and were compared with another implementation. Protocol section 9.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ringwall_keys::phrase::{EscrowPlace, WORDS};
use ringwall_keys::{HedgedIvs, OpenError, Phrase, PhraseError};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClusterId, CredPublic, Incarnation, UserId};
use ringwall_wire::secret::Secret;
use ringwall_wire::user::{EscrowSecrets, UserEscrow};

fn phrase(byte: u8) -> Phrase {
    Phrase::from_entropy(Secret::new([byte; 32]))
}

/// The words with one of them exchanged.
fn with(text: &str, place: usize, word: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    words[place - 1] = word;
    words.join(" ")
}

#[test]
fn the_published_vectors_hold() {
    let legal = "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave \
                 sausage worth title";
    let letter = "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage \
                  absurd amount doctor acoustic bless";
    let (abandon, zoo) =
        ([["abandon"; 23].as_slice(), &["art"]].concat().join(" "), [["zoo"; 23].as_slice(), &["vote"]].concat().join(" "));
    for (entropy, words) in [(0x00, abandon.as_str()), (0x7f, legal), (0x80, letter), (0xff, zoo.as_str())] {
        assert_eq!(*phrase(entropy).words(), words);
        let read = Phrase::parse(words).unwrap();
        assert!(read.signature_seed().same(&phrase(entropy).signature_seed()));
    }
}

#[test]
fn case_and_spacing_are_forgiven_and_nothing_else() {
    let words = phrase(9).words();
    let loose = format!("  {}\n", words.to_uppercase().replace(' ', " \t\n "));
    assert!(Phrase::parse(&loose).is_ok());
    for got in [0, 12, WORDS - 1, WORDS + 1] {
        let text = vec!["abandon"; got].join(" ");
        assert_eq!(Phrase::parse(&text).unwrap_err(), PhraseError::Count { got });
    }
}

#[test]
fn a_word_that_is_not_of_the_list_is_pointed_at() {
    let words = phrase(9).words();
    for (typed, wanted) in
        [("abandn", "abandon"), ("abondon", "abandon"), ("zooo", "zoo"), ("wnner", "winner"), ("wniner", "winner"), ("acou", "acoustic")]
    {
        let error = Phrase::parse(&with(&words, 7, typed)).unwrap_err();
        let PhraseError::Unknown { place: 7, near } = &error else { panic!("{typed}: {error}") };
        assert!(near.contains(&wanted), "{typed}: {near:?}");
        assert!(error.to_string().contains("word 7") && error.to_string().contains(wanted), "{error}");
    }
    let far = Phrase::parse(&with(&words, 24, "xxxxxxxxxxxx")).unwrap_err();
    assert_eq!(far, PhraseError::Unknown { place: 24, near: Vec::new() });
    let long = Phrase::parse(&with(&words, 1, &"a".repeat(100_000))).unwrap_err();
    assert!(matches!(long, PhraseError::Unknown { place: 1, .. }));
}

#[test]
fn another_word_of_the_list_or_another_order_is_noticed_and_the_place_is_among_the_suspects() {
    // "winner" and "winter" differ by one letter, and so do the places.
    let words = phrase(0x7f).words();
    let error = Phrase::parse(&with(&words, 2, "winter")).unwrap_err();
    let PhraseError::Checksum { suspects } = &error else { panic!("{error}") };
    assert!(suspects.contains(&(2, "winner")), "{suspects:?}");
    assert!(error.to_string().contains("word 2 as \"winner\""), "{error}");
    let exchanged = with(&with(&words, 3, "year"), 4, "thank");
    let error = Phrase::parse(&exchanged).unwrap_err();
    let PhraseError::Checksum { suspects } = &error else { panic!("{error}") };
    assert!(suspects.contains(&(3, "thank")), "{suspects:?}");
}

const PLACE: EscrowPlace = EscrowPlace { cluster_id: ClusterId([1; 32]), user: UserId([2; 20]), key: CredPublic([3; 32]) };

fn escrow(byte: u8) -> UserEscrow {
    let mut ivs = HedgedIvs::new(Box::new(ChaCha20Rng::seed_from_u64(1)), Incarnation(0));
    let secrets = EscrowSecrets { user_key: Some(Secret::new([0x5a; 32])) };
    phrase(byte).seal_escrow(&PLACE, 4, &secrets, &mut ivs)
}

#[test]
fn an_escrow_opens_under_its_phrase_alone_and_as_it_was_made() {
    let made = escrow(1);
    let opened = phrase(1).open_escrow(&made).unwrap();
    assert!(opened.user_key.unwrap().same(&Secret::new([0x5a; 32])));
    assert_eq!(phrase(2).open_escrow(&made).unwrap_err(), OpenError::OtherKey);
    let other = |change: fn(&mut UserEscrow)| {
        let mut other = made.clone();
        change(&mut other);
        phrase(1).open_escrow(&other).unwrap_err()
    };
    assert_eq!(other(|escrow| escrow.user = UserId([9; 20])), OpenError::OtherKey, "another user");
    assert_eq!(other(|escrow| escrow.cluster_id = ClusterId([9; 32])), OpenError::OtherKey, "another cluster");
    assert_eq!(other(|escrow| escrow.seq += 1), OpenError::NotAuthentic);
    assert_eq!(other(|escrow| escrow.key = CredPublic([9; 32])), OpenError::NotAuthentic);
    let bytes = made.encode();
    for cut in 0..bytes.len() {
        assert!(UserEscrow::decode(&bytes[..cut]).is_err(), "{cut} bytes of an escrow");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let opened = UserEscrow::decode(&damaged).map(|escrow| phrase(1).open_escrow(&escrow));
        assert!(!matches!(opened, Ok(Ok(_))), "byte {at}");
    }
    assert!(!bytes.windows(8).any(|window| window == [0x5a; 8]));
}

proptest! {
    #[test]
    fn every_phrase_comes_back(entropy in any::<[u8; 32]>()) {
        let made = Phrase::from_entropy(Secret::new(entropy));
        let read = Phrase::parse(&made.words()).unwrap();
        prop_assert!(read.signature_seed().same(&made.signature_seed()));
    }

    #[test]
    fn no_typed_text_panics(text in "[a-z ]{0,400}") {
        let _ = Phrase::parse(&text);
    }
}
