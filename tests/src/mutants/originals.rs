//! The valid evidence mutants are made from: minted and real, every vendor and generation.
//!
//! Decides: which. Each is verified here first; what it says then is what a mutant's acceptance is compared with.
//! Trusts: `ringwall-sim`; the published vectors. Out of scope: how it is edited. Vectors: `$RINGWALL_VECTORS` or `../shared/vectors`.
#![allow(clippy::panic, reason = "nothing can be judged without originals")]

use super::{Original, Subject};
use ringwall_attest::{Anchors, verify};
use ringwall_sim::published::vectors;
use ringwall_sim::{Lie, QuoteShape, SimTee, TeeProfile, anchors, world};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::ids::{ClusterId, Slot};
use ringwall_wire::text::read_hex_vec;
use serde_json::Value;
use std::path::Path;

/// 2026-11-24 12:00:00 UTC.
const NOW_S: u64 = 1_795_521_600;

/// Minted originals, and real ones where the vectors are.
///
/// # Panics
/// When one of them does not verify.
pub fn all() -> Vec<Original> {
    let mut all = minted();
    match vectors() {
        Some(folder) => all.extend(real(&folder)),
        None => assert!(std::env::var("CI").as_deref() != Ok("true"), "no vectors: set RINGWALL_VECTORS"),
    }
    all
}

/// Minted originals alone: they need no files.
///
/// # Panics
/// When one of them does not verify.
pub fn minted() -> Vec<Original> {
    let profile = |chip: &str| world::machine(chip, world::joining_config(ClusterId([7; 32]), Slot(1))).expect("a known name");
    let amd = |chip: &str, report_version, lies: &[Lie]| TeeProfile { report_version, lies: lies.to_vec(), ..profile(chip) };
    let intel = |chip: &str, quote_shape| TeeProfile { quote_shape, ..profile(chip) };
    [
        amd("milan-1", 3, &[]),
        amd("genoa-1", 2, &[]),
        amd("genoa-2", 5, &[]),
        amd("genoa-3", 5, &[Lie::SnpVlek]),
        amd("turin-1", 5, &[]),
        intel("tdx-1", QuoteShape::V4),
        intel("tdx-2", QuoteShape::V5),
        intel("tdx-3", QuoteShape::V5Td15),
        intel("tdx-4", QuoteShape::V5Td15Extended),
    ]
    .into_iter()
    .map(|profile| {
        let name = format!("{} v{} {:?}", profile.chip_name, profile.report_version, profile.quote_shape);
        let tee = SimTee::new(profile, NOW_S);
        original(name, Subject { evidence: tee.mint(&[9; 64]), endorsements: tee.endorse() }, anchors(), NOW_S)
    })
    .collect()
}

fn original(name: String, subject: Subject, roots: Anchors, now_s: u64) -> Original {
    let verified = verify(&subject.evidence, &subject.endorsements, &roots, now_s);
    let claims = verified.unwrap_or_else(|error| panic!("{name} does not verify: {error}")).claims().clone();
    Original { name, subject, roots, now_s, claims }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).expect("a vector's facts are JSON")
}

fn blob<const MAX: usize>(bytes: Vec<u8>) -> Blob<MAX> {
    Blob::new(bytes).expect("a vector is within the limits")
}

fn real(vectors: &Path) -> Vec<Original> {
    let snp = [("milan-v2-virtee", "milan"), ("genoa-v5-oak-genoa-oc", "genoa"), ("turin-v5-msft", "turin")].map(|(case, chip)| {
        let folder = vectors.join("snp").join(case);
        let crl = vectors.join("snp/crl").join(format!("{chip}.crl.der"));
        let endorsements = SnpEndorsements {
            vek: blob(read(&folder.join("vek.der"))),
            ask: blob(read(&vectors.join("snp/roots").join(chip).join("ask.der"))),
            crl: blob(if crl.exists() { read(&crl) } else { Vec::new() }),
        };
        let evidence = Evidence::Snp(SnpEvidence { report: blob(read(&folder.join("report.bin"))) });
        let subject = Subject { evidence, endorsements: Endorsements::Snp(endorsements) };
        original(case.to_owned(), subject, Anchors::production(), moment(&folder))
    });
    let tdx = ["tdx-v5-v5-google-90c06f@2026-03-01", "tdx-v4-automata-v4-00806f@2025-06-25"].map(|case| {
        let folder = vectors.join("tdx").join(case);
        let evidence = Evidence::Tdx(TdxEvidence { quote: blob(read(&folder.join("quote.bin"))), event_log: Blob::default() });
        let subject = Subject { evidence, endorsements: Endorsements::Tdx(collateral(&folder)) };
        original(case.to_owned(), subject, Anchors::production(), moment(&folder))
    });
    snp.into_iter().chain(tdx).collect()
}

fn moment(folder: &Path) -> u64 {
    json(&folder.join("case.json")).get("verify_at").and_then(Value::as_u64).expect("a case says when")
}

fn collateral(folder: &Path) -> TdxEndorsements {
    let facts = json(&folder.join("collateral.json"));
    let text = |key: &str| facts.get(key).and_then(Value::as_str).expect("a member of the collateral").as_bytes().to_vec();
    let bytes = |key: &str| read_hex_vec(std::str::from_utf8(&text(key)).expect("hex is text")).expect("hex");
    TdxEndorsements {
        pck_crl_issuer_chain: blob(text("pck_crl_issuer_chain")),
        root_ca_crl: blob(bytes("root_ca_crl")),
        pck_crl: blob(bytes("pck_crl")),
        tcb_info_issuer_chain: blob(text("tcb_info_issuer_chain")),
        tcb_info: blob(text("tcb_info")),
        tcb_info_signature: blob(bytes("tcb_info_signature")),
        qe_identity_issuer_chain: blob(text("qe_identity_issuer_chain")),
        qe_identity: blob(text("qe_identity")),
        qe_identity_signature: blob(bytes("qe_identity_signature")),
    }
}
