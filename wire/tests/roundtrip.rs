//! The canonical encoding, attacked from outside: every message and record, random values, every damage.
//!
//! Decides: `decode(encode(x)) = x`; nothing shorter, longer or spelled differently decodes; arbitrary bytes never panic; a length
//! above its limit refuses. Trusts: the samplers to reach every variant (asserted below).
//! Out of scope: golden bytes (golden.rs), memory (memory.rs). Spec: docs/formats.md, "Canonical encoding".
#![allow(clippy::unwrap_used, clippy::panic)]

use super::cases;

use cases::{FIELDS, MESSAGES};
use proptest::prelude::*;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::{DecodeError, Field, Reader, enc, enc_digest, take_opening};
use ringwall_wire::ids::{Epoch, Incarnation, UserId};
use ringwall_wire::label::Label;
use ringwall_wire::sample::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

type Draw = fn(&mut Source) -> Vec<u8>;
type Again = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

/// Messages and fields under one roof: name, how to draw one, how to decode and encode again.
fn everything() -> impl Iterator<Item = (String, Draw, Again)> {
    let fields = FIELDS.iter().map(|case| (format!("field {}", case.name), case.draw, case.again));
    let messages = MESSAGES.iter().map(|case| (format!("message {}", case.name), case.draw, case.again));
    fields.chain(messages)
}

#[test]
fn thousands_of_values_survive_encoding() {
    for (name, draw, _) in everything() {
        let mut source = Source::new(0xB0A7);
        for round in 0..400 {
            let bytes = draw(&mut source);
            assert!(!bytes.is_empty(), "{name} round {round}: nothing encodes to nothing");
        }
    }
    for case in MESSAGES {
        let mut source = Source::new(7);
        (0..2_000).for_each(|_| drop((case.draw)(&mut source)));
    }
}

#[test]
fn every_strict_prefix_is_refused() {
    for (name, draw, again) in everything() {
        let mut source = Source::new(1);
        for _ in 0..3 {
            let bytes = draw(&mut source);
            for end in 0..bytes.len() {
                assert!(again(&bytes[..end]).is_err(), "{name}: {end} of {} bytes decoded", bytes.len());
            }
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for (name, draw, again) in everything() {
        let mut source = Source::new(2);
        for _ in 0..64 {
            let mut bytes = draw(&mut source);
            for extra in [0x00, 0x01, 0xff] {
                bytes.push(extra);
                assert!(again(&bytes).is_err(), "{name}: a trailing {extra:#04x} was accepted");
                bytes.pop();
            }
        }
    }
}

#[test]
fn a_changed_byte_is_refused_or_is_another_value() {
    for (name, draw, again) in everything() {
        let mut source = Source::new(3);
        for _ in 0..4 {
            let original = draw(&mut source);
            let step = original.len() / 1_024 + 1;
            let start = source.below(step);
            for at in (start..original.len()).step_by(step) {
                for change in [0x01, 0x80, 1 + source.below(255) as u8] {
                    let mut bytes = original.clone();
                    bytes[at] ^= change;
                    if let Ok(encoded) = again(&bytes) {
                        assert_eq!(encoded, bytes, "{name}: byte {at} changed by {change:#04x} decodes but is not canonical");
                    }
                }
            }
        }
    }
}

#[test]
fn removed_and_inserted_bytes_never_break_canonicity() {
    for (name, draw, again) in everything() {
        let mut source = Source::new(4);
        for _ in 0..40 {
            let mut bytes = draw(&mut source);
            match source.below(3) {
                0 => drop(bytes.remove(source.below(bytes.len()))),
                1 => bytes.insert(source.below(bytes.len() + 1), source.next() as u8),
                _ => {
                    let (a, b) = (source.below(bytes.len()), source.below(bytes.len()));
                    bytes.swap(a, b);
                }
            }
            if let Ok(encoded) = again(&bytes) {
                assert_eq!(encoded, bytes, "{name} is not canonical");
            }
        }
    }
}

#[test]
fn labels_are_distinct_and_none_opens_another() {
    let texts: BTreeSet<&str> = Label::ALL.iter().map(|label| label.as_str()).collect();
    assert_eq!(texts.len(), Label::ALL.len(), "two labels share their text");
    for one in Label::ALL {
        assert!(one.as_str().starts_with("ringwall/v1/"), "{one:?}");
        assert!(one.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/-".contains(&byte)), "{one:?}");
        for other in Label::ALL.iter().filter(|other| *other != one) {
            let (one_bytes, other_bytes) = (enc(*one, &[]), enc(*other, &[]));
            let opening = &one_bytes[..one_bytes.len() - 2];
            assert!(!other_bytes.starts_with(opening), "{one:?} opens {other:?}");
        }
    }
}

#[test]
fn each_message_has_its_own_label_and_refuses_all_others() {
    let labels: BTreeSet<Label> = MESSAGES.iter().map(|case| case.label).collect();
    assert_eq!(labels.len(), MESSAGES.len(), "two messages share a label");
    let mut source = Source::new(5);
    for case in MESSAGES {
        let bytes = (case.draw)(&mut source);
        for other in MESSAGES.iter().filter(|other| other.label != case.label) {
            match (other.again)(&bytes) {
                Err(DecodeError::WrongLabel { expected }) => assert_eq!(expected, other.label.as_str()),
                got => panic!("{} read as {}: {got:?}", case.name, other.name),
            }
        }
    }
}

#[test]
fn another_number_of_fields_is_another_message() {
    let mut source = Source::new(6);
    for case in MESSAGES {
        let mut bytes = (case.draw)(&mut source);
        let at = 2 + case.label.as_str().len() + 1;
        bytes[at] = bytes[at].wrapping_add(1);
        assert!(matches!((case.again)(&bytes), Err(DecodeError::FieldCount { .. })), "{}", case.name);
    }
}

#[test]
fn another_protocol_version_is_refused_by_its_label() {
    let mut source = Source::new(8);
    for case in MESSAGES {
        let mut bytes = (case.draw)(&mut source);
        let at = 2 + "ringwall/v".len();
        assert_eq!(bytes[at], b'1');
        bytes[at] = b'2';
        assert_eq!((case.again)(&bytes), Err(DecodeError::WrongLabel { expected: case.label.as_str() }));
    }
}

/// Names declared by the macros in the sources, and those of them that are messages.
fn declared() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut messages) = (BTreeSet::new(), BTreeSet::new());
    let mut paths = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()));
            continue;
        }
        if path.ends_with("shape.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut open: Option<&str> = None;
        for line in text.lines().map(str::trim) {
            if let Some(name) = ["record", "choice", "message"].into_iter().find(|name| line == format!("{name}! {{")) {
                open = Some(name);
            } else if let (Some(kind), Some(rest)) = (open, line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum "))) {
                let name = rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap().to_owned();
                if kind == "message" {
                    messages.insert(name.clone());
                }
                all.insert(name);
                open = None;
            }
        }
        for part in text.split("_name!(").skip(1) {
            let line = part.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("///")).unwrap();
            all.insert(line.split(',').next().unwrap().to_owned());
        }
    }
    (all, messages)
}

#[test]
fn the_table_is_complete() {
    let (all, messages) = declared();
    let fields: BTreeSet<String> = FIELDS.iter().map(|case| case.name.to_owned()).collect();
    let tabled: BTreeSet<String> = MESSAGES.iter().map(|case| case.name.to_owned()).collect();
    assert!(all.len() > 100, "the scan of the sources found only {}", all.len());
    let odd: Vec<&String> = all.symmetric_difference(&fields).chain(messages.symmetric_difference(&tabled)).collect();
    assert!(odd.is_empty(), "only in src/, or only in tests/cases/mod.rs: {odd:?}");
}

#[test]
fn the_samplers_reach_every_variant() {
    // The first byte of a choice is its tag; tags run from 1 without gaps.
    let choices: BTreeMap<&str, usize> = [
        ("Op", 7),
        ("Answer", 10),
        ("PeerCall", 11),
        ("PeerAnswer", 9),
        ("CommandBody", 10),
        ("RefusalCode", 18),
        ("Role", 8),
        ("CustodyCommand", 8),
        ("CustodianOp", 12),
        ("CustodianAnswer", 11),
        ("RecoveryFault", 20),
    ]
    .into();
    for (name, least) in choices {
        let case = FIELDS.iter().find(|case| case.name == name).unwrap();
        let mut source = Source::new(9);
        let tags: BTreeSet<u8> = (0..2_000).map(|_| (case.draw)(&mut source)[0]).collect();
        assert!(tags.len() >= least, "{name}: only {tags:?} were drawn");
        assert_eq!(tags.iter().copied().collect::<Vec<_>>(), (1..=tags.len() as u8).collect::<Vec<_>>(), "{name}: tags have gaps");
        assert!(matches!((case.again)(&[0]), Err(DecodeError::UnknownTag { tag: 0, .. })), "{name}");
        assert!(matches!((case.again)(&[200]), Err(DecodeError::UnknownTag { tag: 200, .. })), "{name}");
    }
}

fn announced(len: u32, rest: &[u8]) -> Vec<u8> {
    [&len.to_be_bytes(), rest].concat()
}

#[test]
fn lengths_above_the_limit_refuse_by_name() {
    let blob = Blob::<16>::from_bytes(&announced(17, &[0; 17]));
    assert_eq!(blob, Err(DecodeError::TooLong { what: "byte string", len: 17, max: 16 }));
    let text = Text::<16>::from_bytes(&announced(u32::MAX, b"x"));
    assert_eq!(text, Err(DecodeError::TooLong { what: "text", len: u32::MAX as usize, max: 16 }));
    let list = List::<u64, 3>::from_bytes(&announced(4, &[0; 32]));
    assert_eq!(list, Err(DecodeError::TooLong { what: "list", len: 4, max: 3 }));
    assert!(Blob::<16>::new([0; 17]).is_err());
    assert!(Text::<16>::new("a".repeat(17)).is_err());
    assert!(List::<u8, 3>::new(vec![0; 4]).is_err());
    let mut full = List::<u8, 1>::default();
    assert!(full.push(1).is_ok());
    assert!(full.push(2).is_err());
    assert_eq!(&*full, &[1]);
}

#[test]
fn sizes_at_the_limit_are_accepted() {
    assert!(Blob::<16>::from_bytes(&announced(16, &[7; 16])).is_ok());
    assert!(Text::<16>::from_bytes(&announced(16, &[b'a'; 16])).is_ok());
    assert!(List::<u8, 3>::from_bytes(&announced(3, &[1, 2, 3])).is_ok());
}

#[test]
fn text_is_printable_utf8() {
    for bad in [&b"a\nb"[..], b"\x00", b"\x7f", b"\xff\xfe", b"\xc3\x28", "\u{85}".as_bytes()] {
        assert!(Text::<64>::from_bytes(&announced(bad.len() as u32, bad)).is_err(), "{bad:?}");
    }
    assert_eq!(&*Text::<64>::from_bytes(&announced(6, "grün!".as_bytes())).unwrap(), "grün!");
}

#[test]
fn one_spelling_of_bool_and_option() {
    assert_eq!(bool::from_bytes(&[2]), Err(DecodeError::Illegal { what: "bool" }));
    assert_eq!(Option::<u8>::from_bytes(&[2, 0]), Err(DecodeError::UnknownTag { what: "option", tag: 2 }));
    assert_eq!(Option::<u8>::from_bytes(&[0, 0]), Err(DecodeError::Trailing { extra: 1 }));
}

#[test]
fn hex_has_one_spelling() {
    assert_eq!("00ff".repeat(10).parse::<UserId>().map(|id| id.to_string()), Ok("00ff".repeat(10)));
    for bad in ["00FF".repeat(10), "00f".repeat(10), String::new(), format!("0x{}", "00".repeat(19)), "0g".repeat(20)] {
        assert!(bad.parse::<UserId>().is_err(), "{bad:?}");
    }
}

#[test]
fn incarnations_carry_their_epoch() {
    let incarnation = Incarnation::new(Epoch(3), 77);
    assert_eq!(incarnation.0, (3 << 40) | 77);
    assert_eq!(incarnation.epoch(), Epoch(3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// No decoder panics on, or is loose about, bytes nobody encoded.
    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for (name, _, again) in everything() {
            if let Ok(encoded) = again(&bytes) {
                prop_assert_eq!(&encoded, &bytes, "{}", name);
            }
        }
    }

    /// The same, with a genuine opening so that the bytes reach the fields.
    #[test]
    fn arbitrary_fields_are_refused_or_canonical(pick in 0..MESSAGES.len(), count in 0_u8..16, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let case = &MESSAGES[pick];
        let mut input = enc(case.label, &[]);
        let last = input.len() - 1;
        input[last] = count;
        input.extend_from_slice(&bytes);
        if let Ok(encoded) = (case.again)(&input) {
            prop_assert_eq!(encoded, input);
        }
    }

    /// `enc` is injective: what was put in can be read back, label, count and every field.
    #[test]
    fn enc_frames_every_field(pick in 0..Label::ALL.len(), fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let label = Label::ALL[pick];
        let parts: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let bytes = enc(label, &parts);
        let mut input = Reader::new(&bytes);
        take_opening(&mut input, label, fields.len()).unwrap();
        for field in &fields {
            let len = input.length("field", usize::MAX).unwrap();
            prop_assert_eq!(input.bytes(len).unwrap(), field.as_slice());
        }
        prop_assert!(input.finish().is_ok());
    }

    /// Moving a byte from one field to the next changes what is hashed.
    #[test]
    fn field_borders_are_hashed(bytes in prop::collection::vec(any::<u8>(), 1..40), cut in 0_usize..40) {
        let cut = cut % bytes.len();
        let (head, tail) = bytes.split_at(cut);
        let (longer, shorter) = bytes.split_at(cut + 1);
        prop_assert_ne!(enc_digest(Label::Bind, &[head, tail]), enc_digest(Label::Bind, &[longer, shorter]));
        prop_assert_ne!(enc_digest(Label::Bind, &[&bytes]), enc_digest(Label::Report, &[&bytes]));
    }
}
