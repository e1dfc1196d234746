//! Real reports and quotes of both vendors through the attester, as the kernel would hand them out, down to the vendors' pinned roots.
//!
//! Decides: that a recorded report with a certificate table of real certificates, and a recorded quote padded as Google pads it, come out of
//! the attester as evidence that verifies; and that recorded evidence is refused where something fresh was asked for.
//! Trusts: the verdicts in case.json. Out of scope: what the verifier thinks of damaged copies (`attest/tests/vectors.rs`).
//! Vectors: `$RINGWALL_VECTORS` or `../shared/vectors` beside the workspace; their absence is a failure in CI.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use super::kernel;

use kernel::{ARK, ASK, Kernel, VCEK, VLEK, table};
use ringwall_attest::cert_table::CertTable;
use ringwall_attest::{Anchors, Attester, Claims, CollectError, verify};
use ringwall_node::platform::derived_keys::NoDerivedKeys;
use ringwall_node::platform::examination::Verdict;
use ringwall_node::platform::examine::{Subject, examine};
use ringwall_node::platform::stapled::Stapled;
use ringwall_node::platform::store::EndorsementStore;
use ringwall_node::platform::surroundings::Surroundings;
use ringwall_sim::published::{Case, Offered, vectors};
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Case, product, signing key.
const REPORTS: [(&str, &str, &str); 6] = [
    ("milan-v2-virtee", "milan", VCEK),
    ("milan-v3-oak-milan-oc-release", "milan", VCEK),
    ("milan-v3-vlek-vmpl1-trustee", "milan", VLEK),
    ("genoa-v5-oak-genoa-oc", "genoa", VCEK),
    ("genoa-v5-attrs-live", "genoa", VCEK),
    ("turin-v5-msft", "turin", VCEK),
];
/// Quotes of version 4 and 5, of Google and others.
const QUOTES: [&str; 3] =
    ["tdx-v4-cos113-google-00806f@2025-10-30", "tdx-v4-phala-v4-b0c06f@2025-06-25", "tdx-v5-v5-google-90c06f@2026-03-01"];

fn now_s(case: &Path) -> u64 {
    let facts: Value = serde_json::from_slice(&std::fs::read(case.join("case.json")).unwrap()).unwrap();
    facts["verify_at"].as_u64().unwrap()
}

/// A recording: what it was made for, when it is judged, and a kernel that plays it whatever it is asked.
fn report(vectors: &Path, (case, product, signer): (&str, &str, &str)) -> ([u8; 64], u64, Arc<Kernel>) {
    let (case, roots) = (vectors.join("snp").join(case), vectors.join("snp/roots").join(product));
    let report = std::fs::read(case.join("report.bin")).unwrap();
    let ask = std::fs::read(roots.join(if signer == VLEK { "asvk.der" } else { "ask.der" })).unwrap();
    let (vek, ark) = (std::fs::read(case.join("vek.der")).unwrap(), std::fs::read(roots.join("ark.der")).unwrap());
    let (asked, aux) = (report[0x50..0x90].try_into().unwrap(), table(&[(ARK, &ark), (ASK, &ask), (signer, &vek)]));
    (asked, now_s(&case), Arc::new(Kernel::new("sev_guest", Box::new(move |_, _| Ok((report.clone(), aux.clone()))))))
}

fn quote(vectors: &Path, case: &str) -> (Vec<u8>, u64, Arc<Kernel>, Recorded) {
    let case = vectors.join("tdx").join(case);
    let quote = std::fs::read(case.join("quote.bin")).unwrap();
    let mut padded = quote.clone();
    padded.resize(8_000, 0);
    let kernel = Arc::new(Kernel::new("tdx_guest", Box::new(move |_, _| Ok((padded.clone(), Vec::new())))));
    let Offered::Whole(offer) = Case::read(&case).unwrap().offer().unwrap() else { panic!("{} lacks something", case.display()) };
    let Endorsements::Tdx(collateral) = offer.endorsements else { panic!("{} is not Intel's", case.display()) };
    (quote, now_s(&case), kernel, Recorded(collateral))
}

/// Where REPORTDATA is in a quote.
fn asked(quote: &[u8]) -> [u8; 64] {
    let body_at = if quote[0] == 5 { 48 + 6 } else { 48 };
    quote[body_at + 520..body_at + 584].try_into().unwrap()
}

/// Intel's collateral of one day.
struct Recorded(TdxEndorsements);

impl EndorsementStore for Recorded {
    fn for_snp(&self, _report: &SnpEvidence, _stapled: Option<&CertTable>) -> Result<SnpEndorsements, CollectError> {
        panic!("an Intel machine")
    }

    fn for_tdx(&self, _quote: &TdxEvidence) -> Result<TdxEndorsements, CollectError> {
        Ok(self.0.clone())
    }
}

#[test]
fn real_reports_with_real_certificate_tables_verify_under_amds_roots() {
    let Some(vectors) = vectors() else { return };
    for case in REPORTS {
        let (asked, now_s, kernel) = report(&vectors, case);
        let attester = kernel.stapled();
        let evidence = attester.evidence(&asked).unwrap();
        let verified = verify(&evidence, &attester.endorsements().unwrap(), &Anchors::production(), now_s);
        let verified = verified.unwrap_or_else(|refused| panic!("{case:?}: {refused}"));
        assert!(matches!(verified.claims(), Claims::Snp(claims) if format!("{:?}", claims.product).to_lowercase() == case.1), "{case:?}");
        let collected = attester.collect(&asked).unwrap();
        assert_eq!(collected.table.unwrap().entries().len(), 3, "{case:?}");
    }
}

#[test]
fn real_padded_quotes_are_cut_and_verify_under_intels_root() {
    let Some(vectors) = vectors() else { return };
    for case in QUOTES {
        let (quote, now_s, kernel, collateral) = quote(&vectors, case);
        let attester = kernel.attester(Arc::new(collateral));
        let collected = attester.collect(&asked(&quote)).unwrap();
        assert!(matches!(&collected.evidence, Evidence::Tdx(evidence) if *evidence.quote == *quote), "{case}");
        assert_eq!(collected.outblob_bytes, 8_000);
        let verified = verify(&collected.evidence, &attester.endorsements().unwrap(), &Anchors::production(), now_s);
        assert!(verified.is_ok(), "{case}: {:?}", verified.err());
    }
}

#[test]
fn a_recording_is_no_answer_to_a_fresh_question() {
    let Some(vectors) = vectors() else { return };
    let fresh = [0x77; 64];
    for case in REPORTS {
        let refused = report(&vectors, case).2.stapled().evidence(&fresh);
        assert!(matches!(&refused, Err(CollectError::Malformed { reason }) if reason.contains("other 64 bytes")), "{case:?}: {refused:?}");
    }
    for case in QUOTES {
        let (_, _, kernel, collateral) = quote(&vectors, case);
        let refused = kernel.attester(Arc::new(collateral)).evidence(&fresh);
        assert!(matches!(&refused, Err(CollectError::Malformed { reason }) if reason.contains("other 64 bytes")), "{case}: {refused:?}");
    }
}

#[test]
fn platform_check_calls_real_evidence_genuine_at_its_time() {
    let Some(vectors) = vectors() else { return };
    let place = tempfile::tempdir().unwrap();
    let walk = |kernel: Arc<Kernel>, store: Arc<dyn EndorsementStore>, asked: [u8; 64], now_s: u64| {
        examine(&Subject {
            surroundings: Surroundings::new(place.path(), place.path()),
            fs: kernel,
            adopted: None,
            store,
            derived_keys: &|vendor| Ok(Box::new(NoDerivedKeys(vendor))),
            anchors: &Anchors::production(),
            now_s,
            asked,
            show_chip_id: false,
        })
    };
    for case in REPORTS {
        let (asked, now_s, kernel) = report(&vectors, case);
        let found = walk(kernel, Arc::new(Stapled), asked, now_s);
        assert_eq!(found.verdict, Verdict::Ready, "{case:?}\n{}", found.to_text());
    }
    for case in QUOTES {
        let (quote, now_s, kernel, collateral) = quote(&vectors, case);
        let found = walk(kernel, Arc::new(collateral), asked(&quote), now_s);
        assert_eq!(found.verdict, Verdict::Ready, "{case}\n{}", found.to_text());
    }
}
