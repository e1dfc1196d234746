//! The Python example's own rules, without a cluster.
//!
//! Decides: nothing; `python_rules.py` does. Trusts: `python3`, which `.ci/run` requires; elsewhere its absence is told, and in CI it fails. Out of scope: sessions
//! (`tests/tests/languages.rs`).

use std::path::Path;
use std::process::Command;

#[test]
fn the_python_example_keeps_its_rules() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_rules.py");
    let Ok(ended) = Command::new("python3").arg("-B").arg(&rules).output() else {
        eprintln!("NOT TESTED: python3 is missing");
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        return;
    };
    assert!(ended.status.success(), "{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
}
