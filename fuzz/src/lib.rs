//! The fuzz targets' bodies, built for libFuzzer: the same files the suites run over the committed corpus.
//!
//! Decides: how a target's name becomes its body. Trusts: nothing. Out of scope: oracles (tests/src/fuzzing), mutants (tests/src/mutants).
//! This package stands outside the workspace: it needs sanitizer flags, which a stable toolchain takes only with RUSTC_BOOTSTRAP (`.ci/fuzz`).

#[path = "../../tests/src/fuzzing/mod.rs"]
pub mod fuzzing;
#[path = "../../tests/src/mutants/mod.rs"]
pub mod mutants;

/// Runs the target of this name.
///
/// # Panics
/// When there is none, and when its oracle fails.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, body) = fuzzing::TARGETS.iter().find(|(target, _)| *target == name).expect("a target of this name");
    body(bytes);
}
