//! A few thousand mutants of valid evidence and of release proofs, each time the same ones. `ringwall-mutants` judges as many as one likes.
//!
//! Decides: that none is believed, none panics, and the oracle's exceptions do occur. Trusts: `ringwall_tests::mutants`, `ringwall_tests::proof_mutants`.
//! Out of scope: edits that are signed again (attest/tests/negative).

use ringwall_tests::mutants::{Dice, Mutant, Verdict, judge, mutant, originals, tally};
use ringwall_tests::proof_mutants;
use serde_json::Value;
use std::sync::atomic::AtomicU64;

const COUNT: u64 = 4_000;
/// Of each original of a release proof.
const SAMPLE: usize = 60;

#[test]
fn no_mutant_is_believed() {
    let tally = tally::run(&originals::all(), 1, 0, COUNT, 2, &AtomicU64::new(0));
    assert!(tally.found.is_empty(), "{} findings:\n{}", tally.findings, tally.found.join("\n"));
    assert!(tally.judged > COUNT - COUNT / 100, "{tally:?}");
    assert!(tally.other_spellings > 0, "the exceptions of the oracle were not seen: {tally:?}");
    assert!(tally.refused.len() > 25, "too few kinds of refusals: {tally:?}");
    assert!(tally.made_from.len() >= originals::minted().len(), "{tally:?}");
}

/// The oracle bites: what verifies and is not its original is a finding.
#[test]
fn another_machine_is_a_finding() {
    let originals = originals::minted();
    let (one, other) = (&originals[1], &originals[2]);
    assert_eq!(one.claims.vendor(), other.claims.vendor());
    let swapped = Mutant { original: one, subject: other.subject.clone(), edits: Vec::new() };
    assert!(matches!(judge(&swapped), Verdict::Finding(why) if why.contains("says something else")));
    let honest = Mutant { original: one, subject: one.subject.clone(), edits: Vec::new() };
    assert_eq!(judge(&honest), Verdict::OtherSpelling);
}

#[test]
fn equal_numbers_make_equal_mutants() {
    let originals = originals::minted();
    for number in 0..50 {
        let made = || mutant(&mut Dice::new(7, number), &originals).map(|mutant| (mutant.subject, mutant.edits));
        assert_eq!(made(), made());
    }
}

#[test]
fn no_mutant_of_a_release_proof_is_believed() {
    let exhibits = proof_mutants::exhibits();
    let tally = proof_mutants::run(&exhibits, 1, Some(SAMPLE));
    assert!(tally.found.is_empty(), "{} findings:\n{}", tally.findings, tally.found.join("\n"));
    assert_eq!(tally.made_from.len(), exhibits.len(), "an original had no mutant: {tally:?}");
    assert!(tally.empty < tally.judged / 10 && tally.refused.len() > 8, "{tally:?}");
    assert!(!tally.no_meaning.is_empty(), "the exceptions of the oracle were not seen: {tally:?}");
}

/// What of a bundle was signed, by whom, and what proves when and where: members as they are written, and of the checkpoint the text alone.
fn signed(bundle: &[u8]) -> Vec<Option<Value>> {
    let bundle: Value = serde_json::from_slice(bundle).expect("a bundle is JSON");
    let at = |path: &str| bundle.pointer(path).cloned();
    let entry = |path: &str| at(&format!("/verificationMaterial/tlogEntries/0/{path}"));
    let checkpoint = entry("inclusionProof/checkpoint/envelope");
    let text = checkpoint.as_ref().and_then(Value::as_str).and_then(|note| note.rsplit_once("\n\n")).expect("a checkpoint is a note").0;
    let material = ["certificate", "x509CertificateChain", "publicKey", "timestampVerificationData"];
    let logged = [
        "canonicalizedBody",
        "inclusionPromise",
        "logIndex",
        "integratedTime",
        "logId",
        "inclusionProof/logIndex",
        "inclusionProof/hashes",
    ];
    let content = ["/messageSignature", "/dsseEnvelope"].into_iter().map(at);
    let material = material.into_iter().map(|name| at(&format!("/verificationMaterial/{name}")));
    content.chain(material).chain(logged.into_iter().map(entry)).chain([Some(Value::from(text))]).collect()
}

/// The oracle bites: another genuine bundle in the place of the one that was asked for is a finding. Only one and the same signature,
/// published again with other cosignatures or under another media type, is none.
#[test]
fn another_genuine_bundle_is_a_finding() {
    let exhibits = proof_mutants::exhibits();
    let bundles: Vec<_> = exhibits.iter().filter(|one| one.name.starts_with("sigstore")).collect();
    let (mut again, mut findings) = (0, 0);
    let pairs = bundles.iter().flat_map(|one| bundles.iter().map(move |other| (one, other)));
    for (one, other) in pairs.filter(|(one, other)| one.name != other.name) {
        let same = signed(one.original()) == signed(other.original());
        let case = format!("{} in the place of {}", other.name, one.name);
        match one.verdict(other.original()) {
            proof_mutants::Verdict::Refused(_) => {}
            proof_mutants::Verdict::NoMeaning => {
                assert!(same, "{case} counts as the same");
                again += usize::from(one.original() != other.original());
            }
            proof_mutants::Verdict::Finding(why) => {
                assert!(!same, "{case}: {why}");
                findings += 1;
            }
        }
    }
    assert!(bundles.is_empty() || findings > 0, "no two bundles are about one artefact under one root");
    assert!(bundles.is_empty() || again > 0, "no signature was published in two bundles");
}
