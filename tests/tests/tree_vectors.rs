//! Trees against the vectors of transparency-dev/merkle.
//!
//! Decides: what other implementations accept is accepted, what they refuse is refused. Our consistency paths open with the subtree RFC 9162 leaves
//! out at powers of two; it is put there first. Trusts: the vectors' own verdicts. Vectors: `$RINGWALL_VECTORS` or `../shared/vectors` beside
//! the workspace. Out of scope: making paths (wire/tests/tree.rs).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use ringwall_wire::ids::Digest;
use ringwall_wire::tree::{inclusion_root, is_consistent};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn vectors(name: &str) -> Vec<Value> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = std::env::var_os("RINGWALL_VECTORS").map_or(beside, PathBuf::from);
    let path = folder.join("tlog").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    serde_json::from_str::<Value>(&text).unwrap()["vectors"].as_array().unwrap().clone()
}

/// Base64 with padding; none for a hash that is not 32 bytes.
fn hash(value: &Value) -> Option<Digest> {
    let mut bytes = Vec::new();
    let mut held = (0_u32, 0);
    for letter in value.as_str()?.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held.0 << 6 | u32::from(six), held.1 + 6);
        if held.1 >= 8 {
            held.1 -= 8;
            bytes.push((held.0 >> held.1) as u8);
        }
    }
    bytes.try_into().ok().map(Digest)
}

fn path(vector: &Value) -> Option<Vec<Digest>> {
    match &vector["proof"] {
        Value::Null => Some(Vec::new()),
        hashes => hashes.as_array()?.iter().map(hash).collect(),
    }
}

/// Whether the vector is accepted here.
fn includes(vector: &Value) -> Option<bool> {
    let (leaf, root, path) = (hash(&vector["leafHash"])?, hash(&vector["root"])?, path(vector)?);
    Some(inclusion_root(&leaf, vector["leafIdx"].as_u64()?, vector["treeSize"].as_u64()?, &path) == Some(root))
}

fn consistent(vector: &Value) -> Option<bool> {
    let (first, second) = (vector["size1"].as_u64()?, vector["size2"].as_u64()?);
    let (first_root, second_root, mut path) = (hash(&vector["root1"])?, hash(&vector["root2"])?, path(vector)?);
    if first.is_power_of_two() && first < second {
        path.insert(0, first_root);
    }
    Some(is_consistent(first, &first_root, second, &second_root, &path))
}

fn run(name: &str, accepts: fn(&Value) -> Option<bool>, least: usize) {
    let (mut good, mut bad) = (0, 0);
    for vector in vectors(name) {
        let wanted = vector["wantErr"] == false;
        let got = accepts(&vector) == Some(true);
        assert_eq!(got, wanted, "{name}: {} ({})", vector["_name"], vector["desc"]);
        if got { good += 1 } else { bad += 1 }
    }
    assert!(good >= 2 && good + bad >= least, "{name}: only {good} good and {bad} bad vectors were looked at");
    println!("{name}: {good} accepted, {bad} refused");
}

#[test]
fn inclusion() {
    run("merkle-inclusion.json", includes, 50);
}

#[test]
fn consistency() {
    run("merkle-consistency.json", consistent, 50);
}
