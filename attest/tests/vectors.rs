//! Real evidence of every vendor and generation, and damaged copies of it, against the verdict each case states.
//!
//! Decides: whether verifier and appraiser agree with every SNP and TDX case of the shared vectors. "Accept" means that everything verifies and
//! satisfies a strict policy, so that the one thing left to refuse is that the evidence was not made for us (`Rejection::ReportData`).
//! Trusts: the verdicts in case.json. Out of scope: evidence of our own making (`fields.rs`).
//! Vectors: `$RINGWALL_VECTORS` or `../shared/vectors` beside the workspace; their absence is a failure in CI.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing)]

mod strict;

use ringwall_attest::{Anchors, Claims, Expected, Layer, Rejection, Revocation, TcbKind, Verified, VerifyError, appraise, verify};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::policy::{PolicyDoc, RevocationRule, SnpProduct, TdxTcbStatus};
use ringwall_wire::text::read_hex_vec;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The vectors' folder, or none outside CI.
fn vectors() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = std::env::var_os("RINGWALL_VECTORS").map_or(beside, PathBuf::from);
    if folder.join("README.md").exists() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no vectors at {}", folder.display());
    eprintln!("SKIPPED: no vectors at {}; set RINGWALL_VECTORS", folder.display());
    None
}

struct Case {
    id: String,
    folder: PathBuf,
    facts: Value,
}

impl Case {
    fn text(&self, key: &str) -> &str {
        self.facts[key].as_str().unwrap_or("")
    }
    fn now_s(&self) -> u64 {
        self.facts["verify_at"].as_u64().unwrap_or(1_780_272_000)
    }
    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap_or_else(|error| panic!("{}: {name}: {error}", self.id))
    }
    fn derived(&self) -> bool {
        self.id.starts_with("derived-")
    }
}

fn cases(kind: &str) -> Vec<Case> {
    let Some(folder) = vectors() else { return Vec::new() };
    let mut cases: Vec<Case> = fs::read_dir(folder.join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("case.json").exists())
        .map(|path| {
            let facts: Value = serde_json::from_slice(&fs::read(path.join("case.json")).unwrap()).unwrap();
            Case { id: path.file_name().unwrap().to_string_lossy().into_owned(), folder: path, facts }
        })
        .collect();
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    assert!(cases.len() > 70, "{} {kind} cases", cases.len());
    cases
}

/// What became of a case.
#[derive(Debug)]
enum Outcome {
    /// Above the protocol's size limits, so it cannot even travel.
    TooLong,
    NotGenuine(VerifyError),
    Rejected(Rejection),
}

impl Outcome {
    fn layer(&self) -> Layer {
        match self {
            Outcome::TooLong => Layer::Parse,
            Outcome::NotGenuine(error) => error.layer(),
            Outcome::Rejected(rejection) => rejection.layer(),
        }
    }
    /// Genuine and acceptable in every respect but that it was not made for us.
    fn only_unbound(&self) -> bool {
        matches!(self, Outcome::Rejected(Rejection::ReportData { .. }))
    }
}

fn judge(verified: Verified, change: impl FnOnce(&mut PolicyDoc, &Claims)) -> Outcome {
    let mut policy = strict::policy(verified.claims());
    change(&mut policy, verified.claims());
    let boot_config = strict::boot_config();
    let binding = strict::binding(&policy, &boot_config);
    let expected = Expected { binding: &binding, boot_config: &boot_config, release_proof: &[] };
    Outcome::Rejected(appraise(verified, &policy, &expected).map(|_| ()).expect_err("real evidence was never made for us"))
}

fn snp_verify(case: &Case) -> Result<Verified, Outcome> {
    let chip = match case.text("chip") {
        "" => "milan",
        chip => chip,
    };
    let roots = vectors().unwrap().join("snp/roots");
    let product = [("milan", SnpProduct::Milan), ("genoa", SnpProduct::Genoa), ("turin", SnpProduct::Turin)];
    let (mut anchors, mut ask) = (Anchors::production(), None);
    if case.text("trust").starts_with("own") {
        let product = product.iter().find(|(name, _)| *name == chip).unwrap().1;
        anchors.amd = vec![(product, case.file("ark.der"))];
        ask = Some(case.file("ask.der"));
    }
    let intermediate = if case.text("signer") == "vlek" { "asvk.der" } else { "ask.der" };
    let ask = ask.unwrap_or_else(|| fs::read(roots.join(chip).join(intermediate)).unwrap());
    let report = Blob::new(case.file("report.bin")).map_err(|_| Outcome::TooLong)?;
    let vek = if case.folder.join("vek.der").exists() { case.file("vek.der") } else { Vec::new() };
    let evidence = Evidence::Snp(SnpEvidence { report });
    let endorsements = SnpEndorsements { vek: Blob::new(vek).unwrap(), ask: Blob::new(ask).unwrap(), crl: Blob::default() };
    verify(&evidence, &Endorsements::Snp(endorsements), &anchors, case.now_s()).map_err(Outcome::NotGenuine)
}

fn collateral(case: &Case) -> TdxEndorsements {
    let json: Value = serde_json::from_slice(&case.file("collateral.json")).unwrap();
    let text = |key: &str| json[key].as_str().unwrap().as_bytes().to_vec();
    let bytes = |key: &str| read_hex_vec(json[key].as_str().unwrap()).unwrap();
    TdxEndorsements {
        pck_crl_issuer_chain: Blob::new(text("pck_crl_issuer_chain")).unwrap(),
        root_ca_crl: Blob::new(bytes("root_ca_crl")).unwrap(),
        pck_crl: Blob::new(bytes("pck_crl")).unwrap(),
        tcb_info_issuer_chain: Blob::new(text("tcb_info_issuer_chain")).unwrap(),
        tcb_info: Blob::new(text("tcb_info")).unwrap(),
        tcb_info_signature: Blob::new(bytes("tcb_info_signature")).unwrap(),
        qe_identity_issuer_chain: Blob::new(text("qe_identity_issuer_chain")).unwrap(),
        qe_identity: Blob::new(text("qe_identity")).unwrap(),
        qe_identity_signature: Blob::new(bytes("qe_identity_signature")).unwrap(),
    }
}

fn tdx_verify_with(case: &Case, quote: Vec<u8>, endorsements: TdxEndorsements, now_s: u64) -> Result<Verified, Outcome> {
    let mut anchors = Anchors::production();
    if case.text("trust").starts_with("own") {
        anchors.intel_root = case.file("root.der");
    }
    let evidence = Evidence::Tdx(TdxEvidence { quote: Blob::new(quote).map_err(|_| Outcome::TooLong)? });
    verify(&evidence, &Endorsements::Tdx(endorsements), &anchors, now_s).map_err(Outcome::NotGenuine)
}

fn tdx_verify(case: &Case) -> Result<Verified, Outcome> {
    tdx_verify_with(case, case.file("quote.bin"), collateral(case), case.now_s())
}

/// Layer in which a damaged copy must be refused, by the end of its name.
const DAMAGE: &[(&str, Layer)] = &[
    ("-chipid-flip", Layer::Signature),
    ("-debug-set", Layer::Signature),
    ("-measurement-flip", Layer::Signature),
    ("-reportdata-flip", Layer::Signature),
    ("-reportedtcb-flip", Layer::Signature),
    ("-sig-r-flip", Layer::Signature),
    ("-sig-s-flip", Layer::Signature),
    ("-sig-zero", Layer::Signature),
    ("-sig-rpad-nonzero", Layer::Parse),
    ("-sig-tail-nonzero", Layer::Parse),
    ("-sigalgo-2", Layer::Parse),
    ("-trailing", Layer::Parse),
    ("-truncated", Layer::Parse),
    ("-version-1", Layer::Parse),
    ("-version-99", Layer::Parse),
    ("-vcek-other-chip", Layer::Signature),
    ("-vcek-sig-flip", Layer::Signature),
    ("-root-genoa", Layer::Chain),
    ("-ak-flip", Layer::Signature),
    ("-early-400d", Layer::Time),
    ("-late-400d", Layer::Time),
    ("-hdr-flip", Layer::Signature),
    ("-issuerchain-swapped", Layer::Chain),
    ("-mrtd-flip", Layer::Signature),
    // the other family's TCB info is of another month: whichever is noticed first
    ("@2026-03-01-other-fmspc", Layer::Time),
    ("-other-fmspc", Layer::Chain),
    ("-pckcrl-is-rootcrl", Layer::Revocation),
    ("-pckcrl-sig-flip", Layer::Revocation),
    ("-pckleaf-char", Layer::Signature),
    ("-qeauth-flip", Layer::Signature),
    ("-qeidsig-flip", Layer::Signature),
    ("-qereport-flip", Layer::Signature),
    ("-qesig-flip", Layer::Signature),
    ("-root-other", Layer::Chain),
    ("-rootcrl-sig-flip", Layer::Revocation),
    ("-rtmr3-flip", Layer::Signature),
    ("-sig-flip", Layer::Signature),
    ("-tcb-status-forged", Layer::Signature),
    ("-tcbsig-flip", Layer::Signature),
    ("-trunc", Layer::Parse),
];

/// Compares every case of a kind with its verdict; returns how many were accepted and refused.
fn agree(kind: &str, verify_case: fn(&Case) -> Result<Verified, Outcome>) -> (usize, usize) {
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in cases(kind) {
        let outcome = verify_case(&case).map_or_else(|outcome| outcome, |verified| judge(verified, |_, _| ()));
        let agrees = match case.text("expect") {
            "accept" => outcome.only_unbound(),
            // either verdict is defensible by the letter; ours is the strict one
            "reject" | "reject-or-accept" | "parse-only" => !outcome.only_unbound(),
            // crypto fine; the strict policy refuses or accepts by rules that `a_stated_policy_decides` looks at one by one
            "accept-with-policy" => !matches!(outcome, Outcome::NotGenuine(_) | Outcome::TooLong),
            other => panic!("{}: unknown verdict {other}", case.id),
        };
        if !agrees {
            wrong.push(format!("{}: expected {}, got {outcome:?}", case.id, case.text("expect")));
        }
        if case.derived() {
            let (_, layer) = DAMAGE.iter().find(|(end, _)| case.id.ends_with(end)).unwrap_or_else(|| panic!("{}: unknown damage", case.id));
            if outcome.layer() != *layer {
                wrong.push(format!("{}: expected a refusal in layer {layer}, got {outcome:?}", case.id));
            }
        }
        match outcome.only_unbound() {
            true => accepted += 1,
            false => refused += 1,
        }
    }
    assert!(wrong.is_empty(), "{} disagree:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{kind}: {accepted} accepted, {refused} refused, all as stated");
    (accepted, refused)
}

#[test]
fn every_snp_case_gets_its_verdict() {
    if vectors().is_none() {
        return;
    }
    let (accepted, refused) = agree("snp", snp_verify);
    assert_eq!(accepted, 13, "12 real ones, and one whose reported TCB a policy may accept");
    assert_eq!(refused, 70, "all others");
}

#[test]
fn every_tdx_case_gets_its_verdict() {
    if vectors().is_none() {
        return;
    }
    let (accepted, refused) = agree("tdx", tdx_verify);
    assert_eq!(accepted, 9, "real TDX cases that are UpToDate");
    assert_eq!(refused, 70, "all others");
}

fn snp_case(id: &str) -> Option<Case> {
    vectors().map(|_| cases("snp").into_iter().find(|case| case.id == id).unwrap())
}

fn tdx_case(id: &str) -> Option<Case> {
    vectors().map(|_| cases("tdx").into_iter().find(|case| case.id == id).unwrap())
}

#[test]
fn real_evidence_of_every_generation_is_accepted() {
    if vectors().is_none() {
        return;
    }
    let mut seen = Vec::new();
    for case in cases("snp").iter().filter(|case| case.text("expect") == "accept") {
        let verified = snp_verify(case).unwrap_or_else(|outcome| panic!("{}: {outcome:?}", case.id));
        let Claims::Snp(claims) = verified.claims() else { panic!("not AMD") };
        assert_eq!(claims.revocation, Revocation::Absent);
        assert!(verified.steps().iter().any(|step| step.as_str().contains("pinned by this program")));
        seen.push(format!("{:?} v{}", claims.product, claims.report_version));
    }
    for case in cases("tdx").iter().filter(|case| case.text("expect") == "accept") {
        let verified = tdx_verify(case).unwrap_or_else(|outcome| panic!("{}: {outcome:?}", case.id));
        let Claims::Tdx(claims) = verified.claims() else { panic!("not Intel") };
        seen.push(format!("TDX v{} body {}", claims.quote_version, claims.body_type));
    }
    for generation in ["Milan v2", "Milan v3", "Genoa v3", "Genoa v5", "Turin v5", "TDX v4 body 2", "TDX v5 body 3"] {
        assert!(seen.iter().any(|found| found == generation), "{generation} not among {seen:?}");
    }
}

#[test]
fn a_stated_policy_decides() {
    let Some(case) = snp_case("milan-v3-dstack-outofdate") else { return };
    let outcome = judge(snp_verify(&case).unwrap(), |policy, claims| {
        let Claims::Snp(claims) = claims else { panic!("not AMD") };
        let mut products = policy.snp.products.to_vec();
        products[0].min_tcb = claims.current_tcb;
        policy.snp.products = strict::list(products);
    });
    assert!(matches!(outcome, Outcome::Rejected(Rejection::TcbTooOld { which: TcbKind::Reported, .. })), "{outcome:?}");

    let case = snp_case("milan-v3-vlek-vmpl1-trustee").unwrap();
    let outcome = judge(snp_verify(&case).unwrap(), |_, _| ());
    assert!(matches!(outcome, Outcome::Rejected(Rejection::VlekNotAccepted)), "{outcome:?}");
    let outcome = judge(snp_verify(&case).unwrap(), |policy, _| policy.snp.allow_vlek = true);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::ChipIdMasked)), "{outcome:?}");

    let case = snp_case("milan-v2-debug-gosevguest").unwrap();
    let outcome = judge(snp_verify(&case).unwrap(), |policy, _| policy.snp.policy_allowed = u64::MAX);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::DebugGuest { .. })), "no policy allows debug: {outcome:?}");
}

#[test]
fn expired_certificates_and_unknown_versions_are_named() {
    let Some(case) = snp_case("milan-v3-vlek-expired-trustee") else { return };
    assert!(matches!(snp_verify(&case), Err(Outcome::NotGenuine(VerifyError::CertExpired { .. }))));
    let case = snp_case("milan-v4-gce-openpcc-parseonly").unwrap();
    assert!(matches!(snp_verify(&case), Err(Outcome::NotGenuine(VerifyError::ReportVersion { got: 4 }))));
}

#[test]
fn amds_own_revocation_lists_verify_and_age() {
    let Some(case) = snp_case("genoa-v5-oak-genoa-oc") else { return };
    let folder = vectors().unwrap().join("snp");
    let crl = |name: &str| fs::read(folder.join("crl").join(name)).unwrap();
    let with = |list: Vec<u8>, now_s: u64| {
        let endorsements = SnpEndorsements {
            vek: Blob::new(case.file("vek.der")).unwrap(),
            ask: Blob::new(fs::read(folder.join("roots/genoa/ask.der")).unwrap()).unwrap(),
            crl: Blob::new(list).unwrap(),
        };
        let evidence = Evidence::Snp(SnpEvidence { report: Blob::new(case.file("report.bin")).unwrap() });
        verify(&evidence, &Endorsements::Snp(endorsements), &Anchors::production(), now_s)
    };
    let revocation = |verified: &Verified| match verified.claims() {
        Claims::Snp(claims) => claims.revocation,
        Claims::Tdx(_) => panic!("not AMD"),
    };
    // the VCEK is of August 2025, Genoa's list ran out in November 2025
    let current = with(crl("genoa.crl.der"), 1_760_000_000).unwrap();
    assert!(matches!(revocation(&current), Revocation::Current { number: Some(4), .. }), "{:?}", revocation(&current));
    let stale = with(crl("genoa.crl.der"), case.now_s()).unwrap();
    assert!(matches!(revocation(&stale), Revocation::Stale { number: Some(4), next_update_s: 1_762_131_600 }), "{:?}", revocation(&stale));
    let outcome = judge(stale, |policy, _| policy.snp.revocation = RevocationRule::Required);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::RevocationUnknown { found: Revocation::Stale { .. } })), "{outcome:?}");
    let outcome = judge(with(Vec::new(), case.now_s()).unwrap(), |policy, _| policy.snp.revocation = RevocationRule::Required);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::RevocationUnknown { found: Revocation::Absent })), "{outcome:?}");

    assert_eq!(with(crl("milan.crl.der"), case.now_s()).map(|_| ()), Err(VerifyError::CrlIssuer));
    let mut forged = crl("genoa.crl.der");
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(with(forged, case.now_s()).map(|_| ()), Err(VerifyError::CrlSignature));
    let mut longer = crl("genoa.crl.der");
    longer.push(0);
    assert!(matches!(with(longer, case.now_s()), Err(VerifyError::CrlMalformed { .. })));
}

// The traps of the quote verifier below, one test each.

const GOOD_QUOTE: &str = "tdx-v5-v5-google-90c06f@2026-03-01";

#[test]
fn trap_a_platform_flags_reach_the_policy() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    let verified = tdx_verify(&case).unwrap();
    let Claims::Tdx(claims) = verified.claims() else { panic!("not Intel") };
    assert_eq!((claims.dynamic_platform, claims.cached_keys), (Some(true), Some(true)));
    let outcome = judge(verified, |policy, _| policy.tdx.allow_dynamic_platform = false);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::DynamicPlatform { reported: Some(true) })), "{outcome:?}");
    let outcome = judge(tdx_verify(&case).unwrap(), |policy, _| policy.tdx.allow_cached_keys = false);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::CachedKeys { reported: Some(true) })), "{outcome:?}");
}

#[test]
fn trap_b_bytes_after_the_quote_are_refused() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    for tail in [vec![0; 1], vec![0; 3_000], b"GARBAGE".to_vec()] {
        let mut quote = case.file("quote.bin");
        quote.extend_from_slice(&tail);
        let outcome = tdx_verify_with(&case, quote, collateral(&case), case.now_s());
        assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::QuoteLength { what: "signature data", .. }))), "{outcome:?}");
    }
}

#[test]
fn trap_c_an_old_evaluation_is_refused() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    let outcome = judge(tdx_verify(&case).unwrap(), |policy, _| policy.tdx.min_tcb_evaluation += 1);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::EvaluationTooOld { .. })), "{outcome:?}");
}

#[test]
fn trap_d_below_every_level_is_an_error_of_its_own() {
    let Some(case) = tdx_case("tdx-v5-trustee-q5-90c06f@2026-03-20") else { return };
    let outcome = tdx_verify(&case);
    assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::TdxTcbBelowAll { .. }))), "{outcome:?}");
}

#[test]
fn trap_e_collateral_runs_out_after_a_month() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    let outcome = tdx_verify_with(&case, case.file("quote.bin"), collateral(&case), case.now_s() + 31 * 86_400);
    assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::IntelTime { .. }))), "{outcome:?}");
}

#[test]
fn trap_f_a_revocation_list_that_cannot_be_read_is_refused() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    for damaged in [Blob::default(), Blob::new(vec![0x30, 0x00]).unwrap()] {
        let endorsements = TdxEndorsements { pck_crl: damaged, ..collateral(&case) };
        let outcome = tdx_verify_with(&case, case.file("quote.bin"), endorsements, case.now_s());
        assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::IntelRevocation { .. }))), "{outcome:?}");
    }
}

#[test]
fn trap_g_a_status_is_judged_by_the_policy_not_hidden() {
    let Some(case) = tdx_case("tdx-v4-automata-v4-00806f@2025-06-25") else { return };
    let outcome = judge(tdx_verify(&case).unwrap(), |_, _| ());
    assert!(matches!(outcome, Outcome::Rejected(Rejection::StatusNotAccepted { reported: TdxTcbStatus::OutOfDate, .. })), "{outcome:?}");
    let outcome = judge(tdx_verify(&case).unwrap(), |policy, _| policy.tdx.statuses.push(TdxTcbStatus::OutOfDate).unwrap());
    assert!(outcome.only_unbound(), "a named exception accepts: {outcome:?}");
    let outcome = judge(tdx_verify(&case).unwrap(), |policy, _| {
        policy.tdx.statuses.push(TdxTcbStatus::OutOfDate).unwrap();
        policy.tdx.denied_advisories = strict::list(vec![ringwall_wire::bounded::Text::new("intel-sa-00960").unwrap()]);
    });
    assert!(matches!(outcome, Outcome::Rejected(Rejection::AdvisoryDenied { .. })), "{outcome:?}");
}

#[test]
fn debug_and_unprotected_tds_are_refused_whatever_the_policy() {
    let Some(case) = tdx_case("tdx-v4-trustee-q4-50806f@2023-06-30") else { return };
    let outcome = judge(tdx_verify(&case).unwrap(), |policy, _| policy.tdx.attributes_allowed = u64::MAX);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::DebugGuest { .. })), "{outcome:?}");
    let case = tdx_case("tdx-v4-azure-trustee-00806f@2025-06-25").unwrap();
    assert!(matches!(tdx_verify(&case), Err(Outcome::NotGenuine(VerifyError::TdAttributes { attributes: 0, .. }))));
}

#[test]
fn evidence_beside_the_other_vendors_endorsements_is_refused() {
    let (Some(amd), Some(intel)) = (snp_case("turin-v5-msft"), tdx_case(GOOD_QUOTE)) else { return };
    let evidence = Evidence::Snp(SnpEvidence { report: Blob::new(amd.file("report.bin")).unwrap() });
    let crossed = verify(&evidence, &Endorsements::Tdx(collateral(&intel)), &Anchors::production(), amd.now_s());
    assert!(matches!(crossed, Err(VerifyError::OtherVendor { .. })));
}
