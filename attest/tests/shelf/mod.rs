//! Where the published vectors are, and how those are read that more than one test looks at.
//!
//! Decides: the folder: `$RINGWALL_VECTORS`, or `../shared/vectors` beside the workspace; its absence is a failure in CI.
//! Trusts: nothing. Out of scope: what the vectors say.
#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code, unreachable_pub, reason = "each test binary uses a part")]

use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::TdxEndorsements;
use ringwall_wire::text::read_hex_vec;
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
    let facts = json(&format!("tdx/{id}/case.json"))?;
    let statements = json(&format!("tdx/{id}/collateral.json"))?;
    let text = |key: &str| statements[key].as_str().unwrap().as_bytes().to_vec();
    let bytes = |key: &str| read_hex_vec(statements[key].as_str().unwrap()).unwrap();
    let endorsements = TdxEndorsements {
        pck_crl_issuer_chain: Blob::new(text("pck_crl_issuer_chain")).unwrap(),
        root_ca_crl: Blob::new(bytes("root_ca_crl")).unwrap(),
        pck_crl: Blob::new(bytes("pck_crl")).unwrap(),
        tcb_info_issuer_chain: Blob::new(text("tcb_info_issuer_chain")).unwrap(),
        tcb_info: Blob::new(text("tcb_info")).unwrap(),
        tcb_info_signature: Blob::new(bytes("tcb_info_signature")).unwrap(),
        qe_identity_issuer_chain: Blob::new(text("qe_identity_issuer_chain")).unwrap(),
        qe_identity: Blob::new(text("qe_identity")).unwrap(),
        qe_identity_signature: Blob::new(bytes("qe_identity_signature")).unwrap(),
    };
    let quote = file(&format!("tdx/{id}/quote.bin"))?;
    Some(Quoted { quote, endorsements, now_s: facts["verify_at"].as_u64().unwrap() })
}
