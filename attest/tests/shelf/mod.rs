//! Where the published vectors are, and how those are read that more than one test looks at.
//!
//! Decides: the folder: `$RINGWALL_VECTORS`, or `../shared/vectors` beside the workspace; its absence is a failure in CI.
//! Trusts: nothing. Out of scope: what the vectors say.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, dead_code, unreachable_pub, reason = "each test binary uses a part")]

use ringwall_sim::published::{Case, Offered};
use ringwall_wire::evidence::{Endorsements, Evidence, TdxEndorsements};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The vectors' folder, or none outside CI.
pub fn vectors() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = std::env::var_os("RINGWALL_VECTORS").map_or(beside, PathBuf::from);
    if folder.join("README.md").exists() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no vectors at {}", folder.display());
    eprintln!("SKIPPED: no vectors at {}; set RINGWALL_VECTORS", folder.display());
    None
}

/// One file of them.
pub fn file(path: &str) -> Option<Vec<u8>> {
    vectors().map(|folder| std::fs::read(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// One JSON file of them.
pub fn json(path: &str) -> Option<Value> {
    file(path).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

/// A real quote, Intel's statements about its platform, and when to judge it (Unix seconds).
pub struct Quoted {
    pub quote: Vec<u8>,
    pub endorsements: TdxEndorsements,
    pub now_s: u64,
}

/// The TDX case called `id`.
pub fn quoted(id: &str) -> Option<Quoted> {
    let case = Case::read(&vectors()?.join("tdx").join(id)).unwrap();
    let Offered::Whole(offer) = case.offer().unwrap() else { panic!("{id} cannot be used") };
    let (Evidence::Tdx(evidence), Endorsements::Tdx(endorsements)) = (offer.evidence, offer.endorsements) else {
        panic!("{id} is not Intel's")
    };
    Some(Quoted { quote: evidence.quote.to_vec(), endorsements, now_s: offer.now_s })
}
