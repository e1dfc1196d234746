//! Policies as TOML: lossless both ways, complete or refused, and every mistake told with its line, its key and what is allowed.
//!
//! Decides: that no field of the document can be left out, mistyped, repeated or invented. Trusts: the sampler of the wire for documents.
//! Out of scope: what a policy lets in (policy_meaning.rs). Spec: docs/policy.md.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use ringwall_client::policy::{PolicyFault, PolicyFile, from_toml, template, to_toml};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::policy::{BootEvent, MeasurementRegister, PolicyDoc, Presence, ReleaseRule, Rtmr, SignedPolicy, TdxReplay};
use ringwall_wire::sample::{Sample as _, Source};
use std::collections::BTreeSet;

fn distinct<T: Clone, K: PartialEq, const MAX: usize>(list: &mut List<T, MAX>, key: impl Fn(&T) -> K) {
    let mut kept: Vec<T> = Vec::new();
    for item in list.iter() {
        if !kept.iter().any(|other| key(other) == key(item)) {
            kept.push(item.clone());
        }
    }
    *list = List::new(kept).unwrap();
}

/// A random document that repeats nothing.
fn document(seed: u64) -> PolicyDoc {
    let mut policy = PolicyDoc::sample(&mut Source::new(seed));
    distinct(&mut policy.measurements, |build| build.id.clone());
    distinct(&mut policy.slots, |slot| slot.slot);
    let mut slots = policy.slots.to_vec();
    slots.iter_mut().for_each(|slot| distinct(&mut slot.vendors, |vendor| *vendor));
    policy.slots = List::new(slots).unwrap();
    distinct(&mut policy.snp.report_versions, |version| *version);
    distinct(&mut policy.snp.products, |rule| rule.product);
    distinct(&mut policy.snp.denied_chips, |chip| *chip);
    distinct(&mut policy.tdx.denied_platforms, |platform| *platform);
    distinct(&mut policy.tdx.statuses, |status| *status);
    distinct(&mut policy.tdx.denied_advisories, |advisory| advisory.to_string());
    if let ReleaseRule::Demanded(rule) = &mut policy.release {
        distinct(&mut rule.signers, |signer| signer.to_string());
        distinct(&mut rule.witnesses, |witness| witness.to_string());
    }
    policy
}

/// A document in which no list is empty and a proof of release is demanded.
fn full() -> PolicyDoc {
    let complete = |policy: &PolicyDoc| {
        let builds = !policy.measurements.is_empty();
        builds
            && policy.measurements.iter().all(|build| !build.snp.is_empty() && !build.tdx.is_empty())
            && !policy.slots.is_empty()
            && !policy.snp.products.is_empty()
            && matches!(&policy.release, ReleaseRule::Demanded(_))
    };
    let mut policy = (0..100_000).map(document).find(complete).expect("one of many random documents is full");
    let digest = MeasurementRegister([7; 48]);
    let event = BootEvent {
        register: Rtmr::Rtmr0,
        event_type: 0x8000_0001,
        digests: List::new(vec![digest]).unwrap(),
        presence: Presence::Optional,
        label: Text::new("variable PK").unwrap(),
    };
    let table = TdxReplay { mrtd: digest, events: List::new(vec![event]).unwrap() };
    let mut builds = policy.measurements.to_vec();
    builds.iter_mut().for_each(|build| build.tdx_replays = List::new(vec![table.clone()]).unwrap());
    policy.measurements = List::new(builds).unwrap();
    policy
}

proptest! {
    #[test]
    fn text_and_document_say_the_same(seed: u64) {
        let policy = document(seed);
        let text = to_toml(&policy);
        let back = from_toml(&text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
        prop_assert_eq!(&back, &policy);
        prop_assert_eq!(to_toml(&back), text);
    }

    #[test]
    fn any_text_survives(name in proptest::collection::vec(any::<char>(), 0..16)) {
        let name: String = name.into_iter().filter(|letter| !letter.is_control()).collect();
        let mut policy = from_toml(template()).unwrap();
        if let (Ok(log), ReleaseRule::Demanded(rule)) = (Text::new(name), &mut policy.release) {
            rule.log = log;
        }
        prop_assert_eq!(from_toml(&to_toml(&policy)).unwrap(), policy);
    }

    #[test]
    fn damaged_text_is_refused_or_means_something(at: prop::sample::Index, with: u8, gone in 0usize..4) {
        let mut bytes = to_toml(&full()).into_bytes();
        let at = at.index(bytes.len());
        let end = (at + gone).min(bytes.len());
        bytes.splice(at..end, [with]);
        if let Ok(file) = PolicyFile::parse(&bytes) {
            prop_assert_eq!(&from_toml(&to_toml(file.policy())).unwrap(), file.policy());
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(PolicyFile::parse(&bytes).is_err());
    }
}

/// The text cut into entries: a key with its value, or the header of a table with the keys below it.
fn entries(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let key = line.split_once(" = ").map(|(key, _)| key).filter(|key| !key.starts_with([' ', '#', ']']));
        match key {
            Some(key) => found.push((key.to_owned(), format!("{line}\n"))),
            None if line.starts_with('[') => found.push((String::new(), format!("{line}\n"))),
            None => match found.last_mut() {
                Some((_, entry)) => entry.push_str(&format!("{line}\n")),
                None => found.push((String::new(), format!("{line}\n"))),
            },
        }
    }
    found
}

#[test]
fn no_field_can_be_left_out() {
    let text = to_toml(&full());
    let all = entries(&text);
    assert_eq!(from_toml(&all.iter().map(|(_, entry)| entry.as_str()).collect::<String>()).unwrap(), full());
    let mut left_out = BTreeSet::new();
    for (at, (key, _)) in all.iter().enumerate().filter(|(_, (key, _))| !key.is_empty()) {
        let rest: String = all.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, (_, entry))| entry.as_str()).collect();
        match from_toml(&rest).unwrap_err() {
            PolicyFault::Missing { missing, .. } => assert_eq!(missing, key),
            other => panic!("{key}: {other}"),
        }
        left_out.insert(key.clone());
    }
    assert!(left_out.len() > 55, "only {} keys were found: {left_out:?}", left_out.len());
}

#[test]
fn no_table_can_be_left_out() {
    for (table, below) in [("[endorse]", 2), ("[session]", 2), ("[release]", 6), ("[governance]", 3), ("[snp]", 15), ("[tdx]", 15)] {
        let lines: Vec<&str> = template().lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let at = lines.iter().position(|line| *line == table).unwrap();
        let end =
            (at + 1..lines.len()).find(|next| lines[*next].starts_with('[') && !lines[*next].starts_with("[[snp")).unwrap_or(lines.len());
        assert!(end - at > below, "{table}");
        let rest = [&lines[..at], &lines[end..]].concat().join("\n");
        let fault = from_toml(&rest).unwrap_err();
        let name = table.trim_matches(['[', ']']);
        assert!(matches!(fault, PolicyFault::Missing { missing, .. } if missing == name), "{table}: {fault}");
    }
}

/// The template with one piece replaced.
fn edited(from: &str, to: &str) -> (PolicyFault, usize) {
    assert!(template().contains(from), "the template lacks {from:?}");
    let at = template().find(from).unwrap();
    let line = template()[..at].matches('\n').count() + 1;
    (from_toml(&template().replacen(from, to, 1)).expect_err(to), line)
}

/// Each mistake with the words a person is told; every one names line and key.
#[test]
// tidy: a table, clearer in one piece
fn mistakes_are_told_with_line_and_key() {
    let zero = "0".repeat(96);
    let long = format!("failure_domain = \"{}\"", "x".repeat(65));
    let slot = |rest: &str| format!("slots = [{{ slot = 1, vendors = [\"amd\"], {rest} }}]");
    for (from, to, key, words) in [
        ("version = 1", "version = \"1\"", "version", "is a string, wanted is a whole number"),
        ("version = 1", "version = -1", "version", "is -1, allowed is a whole number from 0 to 18446744073709551615"),
        ("min_svn = 1", "min_svn = 4294967296", "min_svn", "is 4294967296, allowed is a whole number from 0 to 4294967295"),
        ("min_svn = 1", "min_svn = 1.5", "min_svn", "is a fraction, wanted is a whole number"),
        ("min_abi_major = 1", "min_abi_major = 256", "snp.min_abi_major", "is 256, allowed is a whole number from 0 to 255"),
        ("\"production\"\n", "\"prod\"\n", "trust_domain", "is \"prod\", allowed are \"production\", \"simulated\""),
        ("allow_vlek = false", "allow_vlek = 0", "snp.allow_vlek", "is a number, wanted is true or false"),
        (
            "allow_vlek = false",
            "allow_vleks = false",
            "snp.allow_vleks",
            "is no field of a policy; here are allowed: report_versions, products",
        ),
        (
            "revocation = \"required\"",
            "revocation = \"Required\"",
            "snp.revocation",
            "is \"Required\", allowed are \"required\", \"best-effort\"",
        ),
        ("chips = []", "chips = {}", "snp.chips", "is a table, wanted is an array"),
        ("chips = []", "chips = [\"00\"]", "snp.chips[0]", "is \"00\" (2 characters), wanted are 128 lower-case hex digits (64 bytes)"),
        ("fmspcs = []", "fmspcs = [\"90C06F000000\"]", "tdx.fmspcs[0]", "wanted are 12 lower-case hex digits"),
        ("[\"MEM_AES_256_XTS\", \"RAPL_DIS\"]", "[\"MEM_AES\"]", "snp.policy_required[0]", "is \"MEM_AES\", allowed are SMT, MUST_BE_ONE"),
        ("[\"MEM_AES_256_XTS\", \"RAPL_DIS\"]", "[\"bit19\"]", "snp.policy_required[0]", "is \"bit19\", allowed are SMT"),
        ("[\"MEM_AES_256_XTS\", \"RAPL_DIS\"]", "[\"bit64\"]", "snp.policy_required[0]", "bits without a name"),
        (
            "[\"MEM_AES_256_XTS\", \"RAPL_DIS\"]",
            "[\"SMT\", \"SMT\"]",
            "snp.policy_required[1]",
            "repeats \"SMT\", which `snp.policy_required[0]` has",
        ),
        ("[\"MEM_AES_256_XTS\", \"RAPL_DIS\"]", "0x400000", "snp.policy_required", "is a number, wanted is an array"),
        (
            "product = \"Genoa\"",
            "product = \"Venice\"",
            "snp.products[0].product",
            "is \"Venice\", allowed are \"Milan\", \"Genoa\", \"Turin\"",
        ),
        ("product = \"Turin\"", "product = \"Genoa\"", "snp.products[1]", "repeats \"Genoa\", which `snp.products[0]` has"),
        ("microcode = 84 }", "microcode = 84, extra = 1 }", "snp.products[0].min_tcb.extra", "is no field of a policy"),
        ("[\"UpToDate\"]", "[\"Revoked\"]", "tdx.statuses[0]", "is \"Revoked\", allowed are \"UpToDate\", \"SWHardeningNeeded\""),
        ("[\"UpToDate\"]", "[\"UpToDate\", \"UpToDate\"]", "tdx.statuses[1]", "repeats \"UpToDate\", which `tdx.statuses[0]` has"),
        ("denied_advisories = []", "denied_advisories = [\"a\", \"A\"]", "tdx.denied_advisories[1]", "repeats \"A\""),
        (
            "report_versions = [3, 5]",
            "report_versions = [1,2,3,4,5,6,7,8,9]",
            "snp.report_versions",
            "has 9 elements, at most 8 are allowed",
        ),
        (
            "report_versions = [3, 5]",
            "report_versions = [3, 3]",
            "snp.report_versions[1]",
            "repeats \"3\", which `snp.report_versions[0]` has",
        ),
        ("slots = []", slot(&long).as_str(), "slots[0].failure_domain", "allowed are at most 64 bytes of text"),
        ("slots = []", slot("failure_domain = \"a\\u0007b\"").as_str(), "slots[0].failure_domain", "without control characters"),
        ("demanded = true", "demanded = false", "release.", "is no field of a policy; here are allowed: demanded"),
        (zero.as_str(), "x", "snp.id_key_digest", "wanted are 96 lower-case hex digits (48 bytes)"),
        ("reattest_s = 86400", "reattest_s = 1979-05-27", "session.reattest_s", "is a date, wanted is a whole number"),
    ] {
        let (fault, line) = edited(from, to);
        let told = fault.to_string();
        assert!(told.contains(words) && told.contains(&format!("`{key}")), "{to}: {told}");
        // A rule as a whole stands at its header, above the line that was edited; a key of the release rule that is one too many, below.
        let line = if key == "snp.products[1]" { line - 1 } else { line };
        assert!(key == "release." || told.starts_with(&format!("line {line}, column ")), "{to} on line {line}: {told}");
        assert_eq!(fault.code(), "RW-C-POLICY-MALFORMED");
    }
}

#[test]
fn a_missing_key_names_its_table_and_what_is_no_toml_its_place() {
    let (fault, _) = edited("vmpl = 0\n", "");
    assert!(fault.to_string().contains("`snp` lacks `vmpl`; every field must be there"), "{fault}");
    assert!(fault.to_string().starts_with("line "), "{fault}");
    let (fault, _) = edited("min_svn = 1\n", "");
    assert!(fault.to_string().contains("the document lacks `min_svn`"), "{fault}");
    let (fault, line) = edited("vmpl = 0", "vmpl = ");
    assert!(matches!(fault, PolicyFault::Syntax { .. }) && fault.to_string().starts_with(&format!("line {line}, ")), "{fault}");
    let (fault, _) = edited("vmpl = 0", "vmpl = 0\nvmpl = 1");
    assert!(matches!(fault, PolicyFault::Syntax { .. }), "{fault}");
}

#[test]
fn one_digest_names_one_build() {
    let digest = "11".repeat(48);
    let build = |id: &str| format!("[[measurements]]\nid = \"{id}\"\nsvn = 1\nsnp = [\"{digest}\"]\ntdx = []\ntdx_replays = []\n");
    let text = to_toml(&from_toml(template()).unwrap()).replacen("measurements = []\n", "", 1);
    let (head, rest) = text.split_once("[snp]").unwrap();
    let both = |first: &str, second: &str| from_toml(&format!("{head}{}{}[snp]{rest}", build(first), build(second))).unwrap_err();
    assert!(both("a", "a").to_string().contains("`measurements[1]` repeats \"a\", which `measurements[0]` has"));
    assert!(both("a", "b").to_string().contains("`measurements[1].snp[0]` repeats"));
}

#[test]
fn size_is_bounded_before_anything_is_read() {
    let long = format!("{}\n#{}", template(), "x".repeat(1024 * 1024));
    assert!(matches!(from_toml(&long), Err(PolicyFault::TooLarge { most: 1_048_576 })));
    assert!(matches!(PolicyFile::parse(&vec![0; 1024 * 1024 + 1]), Err(PolicyFault::TooLarge { .. })));
    let deep = format!("version = {}", "[".repeat(100_000));
    assert!(matches!(from_toml(&deep), Err(PolicyFault::Syntax { .. })));
    let keys = format!("{} = 1", vec!["a"; 100_000].join("."));
    assert!(from_toml(&keys).is_err());
}

/// A document can be within every list's limit and still be larger than nodes and clients read.
#[test]
fn a_document_nobody_would_read_is_refused() {
    let mut policy = from_toml(template()).unwrap();
    for number in 0..64u8 {
        let snp =
            (0..32u8).map(|nth| ringwall_wire::policy::MeasurementRegister([[number, nth]; 24].concat().try_into().unwrap())).collect();
        let tdx = (0..32u8)
            .map(|nth| {
                let register = ringwall_wire::policy::MeasurementRegister([[number, nth]; 24].concat().try_into().unwrap());
                ringwall_wire::policy::TdxTuple { mrtd: register, rtmr0: register, rtmr1: register, rtmr2: register }
            })
            .collect();
        let mut build = ringwall_wire::policy::Measurement::sample(&mut Source::new(1));
        (build.id, build.svn) = (Text::new(format!("build {number}")).unwrap(), 1);
        (build.snp, build.tdx) = (List::new(snp).unwrap(), List::new(tdx).unwrap());
        policy.measurements.push(build).unwrap();
    }
    let fault = PolicyFile::parse(&policy.encode()).unwrap_err();
    assert!(matches!(fault, PolicyFault::DocumentTooLarge { most: 131_072, .. }), "{fault}");
}

#[test]
fn every_form_of_a_file_gives_the_same_document() {
    let policy = full();
    let signed =
        SignedPolicy { replaces: None, policy: ringwall_wire::bounded::Blob::new(policy.encode()).unwrap(), signatures: List::default() };
    for (bytes, form) in [(to_toml(&policy).into_bytes(), "toml"), (policy.encode(), "canonical"), (signed.encode(), "signed")] {
        let file = PolicyFile::parse(&bytes).unwrap();
        assert_eq!((file.form(), file.policy()), (form, &policy));
    }
}

#[test]
fn canonical_bytes_are_as_strict_as_text() {
    let mut policy = full();
    let first = policy.snp.products[0].clone();
    policy.snp.products = List::new(vec![first.clone(), first]).unwrap();
    let told = PolicyFile::parse(&policy.encode()).unwrap_err().to_string();
    assert!(told.contains("`snp.products[1]` repeats") && !told.contains("line"), "{told}");
    let bytes = full().encode();
    for end in 1..bytes.len() {
        assert!(matches!(PolicyFile::parse(&bytes[..end]), Err(PolicyFault::NotCanonical(_))), "{end} bytes");
    }
    assert!(matches!(PolicyFile::parse(b"\xff\xfe"), Err(PolicyFault::NotText { at: 0 })));
    assert!(matches!(PolicyFile::parse(b""), Err(PolicyFault::Missing { .. })));
}
