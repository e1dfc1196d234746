//! The exact bytes of one value of every top-level message, kept beside the code.
//!
//! Decides: whether this build still writes the bytes it wrote before. A difference is a change of the wire format: say so in
//! CHANGELOG.md, raise the version if a release had the old bytes, then write them anew with
//! `RINGWALL_BLESS=1 cargo test -p ringwall-wire golden::`.
//! Trusts: the sampler; a change of the sampler changes the values and is blessed the same way.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::cases;

use cases::MESSAGES;
use ringwall_wire::sample::Source;
use ringwall_wire::text::{hex, read_hex_vec};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SEED: u64 = 0x5249_4e47;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn name_of(label: &str) -> String {
    format!("{}.hex", label.trim_start_matches("ringwall/v1/"))
}

/// Hex in lines of 32 bytes, for people who compare two of them.
fn lines(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|chunk| hex(chunk) + "\n").collect()
}

#[test]
fn every_message_has_its_golden_bytes() {
    let bless = std::env::var_os("RINGWALL_BLESS").is_some();
    for case in MESSAGES {
        let path = folder().join(name_of(case.label.as_str()));
        let bytes = (case.draw)(&mut Source::new(SEED));
        if bless {
            std::fs::write(&path, lines(&bytes)).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; see the top of golden.rs", path.display()));
        let golden = read_hex_vec(&text.replace('\n', "")).expect("golden files hold lower-case hex");
        assert!(golden == bytes, "{} writes other bytes than {}; see the top of golden.rs", case.name, path.display());
        assert_eq!((case.again)(&golden).as_deref(), Ok(golden.as_slice()), "{} reads its golden bytes", case.name);
    }
}

#[test]
fn no_golden_file_is_left_over() {
    let wanted: BTreeSet<String> = MESSAGES.iter().map(|case| name_of(case.label.as_str())).collect();
    let found: BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(wanted, found);
}
