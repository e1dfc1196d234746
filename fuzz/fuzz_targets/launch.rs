//! libFuzzer's entry to the target `launch`.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: the body and its oracle (tests/src/fuzzing/mod.rs).
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringwall_fuzz_targets::run("launch", bytes));
