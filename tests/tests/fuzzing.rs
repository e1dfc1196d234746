//! Every fuzz target over its committed corpus, and over small damage of each seed.
//!
//! Decides: that the corpus is what the code makes, stays small, and that no target fails on it. Trusts: `ringwall_tests::fuzzing`.
//! Out of scope: finding new inputs (`.ci/fuzz`).
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_tests::fuzzing::{TARGETS, corpus};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Bytes the whole corpus may have.
const CORPUS_BYTES: u64 = 1 << 20;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn files(target: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder().join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_target_holds_over_its_corpus() {
    for (target, body) in TARGETS {
        let files = files(target);
        assert!(!files.is_empty(), "{target} has no corpus");
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            body(&bytes);
            for cut in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                body(&bytes[..cut.min(bytes.len())]);
            }
            body(&[bytes.as_slice(), &[0]].concat());
            for at in (0..bytes.len()).step_by(bytes.len() / 7 + 1) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x41;
                body(&damaged);
            }
        }
    }
}

#[test]
fn the_corpus_is_what_the_code_makes_and_small() {
    let mut wanted = BTreeSet::new();
    for (target, name, bytes) in corpus::seeds() {
        let file = folder().join(target).join(&name);
        let found = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(
            found == bytes,
            "{target}/{name} is out of date: cargo run -p ringwall-tests --bin ringwall-fuzz -- --make-corpus fuzz/corpus"
        );
        assert!(TARGETS.iter().any(|(known, _)| *known == target), "{target} is no target");
        wanted.insert(file);
    }
    let all = TARGETS.iter().flat_map(|(target, _)| files(target));
    let bytes: u64 = all.map(|file| std::fs::metadata(file).unwrap().len()).sum();
    assert!(bytes < CORPUS_BYTES, "the corpus has {bytes} bytes, at most {CORPUS_BYTES}");
}

/// Targets of the fuzz package and of the list are the same.
#[test]
fn every_target_is_built_for_libfuzzer() {
    let manifest = std::fs::read_to_string(folder().join("../Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not in fuzz/Cargo.toml");
        let program = std::fs::read_to_string(folder().join(format!("../fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("\"{target}\"")), "{target}.rs runs another target");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}
