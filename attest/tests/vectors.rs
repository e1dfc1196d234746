//! Real evidence of every vendor and generation, and damaged copies of it, against the verdict each case states.
//!
//! Decides: whether verifier and appraiser agree with every SNP and TDX case of the shared vectors, and refuse each damaged copy in the layer
//! its damage belongs to; then the traps of the vendors' formats, one test each. Cases are read and judged by `ringwall_sim::published`.
//! Trusts: the verdicts in case.json. Out of scope: evidence of our own making (`fields.rs`).
//! Vectors: `$RINGWALL_VECTORS` or `../shared/vectors` beside the workspace; their absence is a failure in CI.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing)]

use super::strict;

use ringwall_attest::{Anchors, Claims, Layer, Rejection, Revocation, TcbKind, Verified, VerifyError, verify};
use ringwall_sim::published::{Case, Expect, Kind, Offer, Offered, Outcome, find, judge, judge_with, vectors};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, TdxEndorsements};
use ringwall_wire::policy::{RevocationRule, SnpProduct, TdxTcbStatus};
use std::fs;

fn cases(kind: Kind) -> Vec<Case> {
    let Some(folder) = vectors() else { return Vec::new() };
    let found = find(&folder, Some(kind)).unwrap();
    assert!(found.unreadable.is_empty(), "{:?}", found.unreadable);
    assert!(found.cases.len() > 70, "{} {kind:?} cases", found.cases.len());
    found.cases
}

fn offer(case: &Case) -> Offer {
    match case.offer().unwrap_or_else(|error| panic!("{error}")) {
        Offered::Whole(offer) => *offer,
        Offered::Unusable(what) => panic!("{}: {what}", case.id()),
    }
}

fn genuine(case: &Case) -> Verified {
    offer(case).verify().unwrap_or_else(|outcome| panic!("{}: {outcome:?}", case.id()))
}

/// The case with other collateral, or at another time.
fn tdx_verify(case: &Case, change: impl FnOnce(&mut TdxEndorsements, &mut u64)) -> Result<Verified, Outcome> {
    let mut offer = offer(case);
    let Endorsements::Tdx(endorsements) = &mut offer.endorsements else { panic!("not Intel") };
    change(endorsements, &mut offer.now_s);
    offer.verify()
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
fn agree(kind: Kind) -> (usize, usize) {
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in cases(kind) {
        let judged = judge(&case).unwrap_or_else(|error| panic!("{error}"));
        // either verdict is defensible by the letter; ours is the strict one
        let expect = if case.expect() == Expect::RejectOrAccept { Expect::Reject } else { case.expect() };
        if !judged.agrees(expect) {
            wrong.push(format!("{}: expected {}, got {judged:?}", case.id(), expect.word()));
        }
        if case.id().starts_with("derived-") {
            let damage = DAMAGE.iter().find(|(end, _)| case.id().ends_with(end));
            let (_, layer) = damage.unwrap_or_else(|| panic!("{}: unknown damage", case.id()));
            if judged.outcome.layer() != Some(*layer) {
                wrong.push(format!("{}: expected a refusal in layer {layer}, got {judged:?}", case.id()));
            }
        }
        match judged.outcome {
            Outcome::Accepted => accepted += 1,
            _ => refused += 1,
        }
    }
    assert!(wrong.is_empty(), "{} disagree:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{}: {accepted} accepted, {refused} refused, all as stated", kind.name());
    (accepted, refused)
}

#[test]
fn every_snp_case_gets_its_verdict() {
    if vectors().is_none() {
        return;
    }
    let (accepted, refused) = agree(Kind::Snp);
    assert_eq!(accepted, 13, "12 real ones, and one whose reported TCB a policy may accept");
    assert_eq!(refused, 70, "all others");
}

#[test]
fn every_tdx_case_gets_its_verdict() {
    if vectors().is_none() {
        return;
    }
    let (accepted, refused) = agree(Kind::Tdx);
    assert_eq!(accepted, 9, "real TDX cases that are UpToDate");
    assert_eq!(refused, 70, "all others");
}

fn case(kind: Kind, id: &str) -> Option<Case> {
    vectors().map(|_| cases(kind).into_iter().find(|case| case.id() == id).unwrap())
}

fn snp_case(id: &str) -> Option<Case> {
    case(Kind::Snp, id)
}

fn tdx_case(id: &str) -> Option<Case> {
    case(Kind::Tdx, id)
}

#[test]
fn real_evidence_of_every_generation_is_accepted() {
    if vectors().is_none() {
        return;
    }
    let mut seen = Vec::new();
    for case in cases(Kind::Snp).iter().filter(|case| case.expect() == Expect::Accept) {
        let verified = genuine(case);
        let Claims::Snp(claims) = verified.claims() else { panic!("not AMD") };
        // there is no shared list for Turin; the others are of 2024 and 2025, and in force for some cases only
        assert!(
            (claims.product == SnpProduct::Turin) == (claims.revocation == Revocation::Absent),
            "{}: {:?}",
            case.id(),
            claims.revocation
        );
        assert!(verified.steps().iter().any(|step| step.as_str().contains("pinned by this program")));
        seen.push(format!("{:?} v{}", claims.product, claims.report_version));
    }
    for case in cases(Kind::Tdx).iter().filter(|case| case.expect() == Expect::Accept) {
        let verified = genuine(case);
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
    let outcome = judge_with(genuine(&case), |policy, claims| {
        let Claims::Snp(claims) = claims else { panic!("not AMD") };
        let mut products = policy.snp.products.to_vec();
        products[0].min_tcb = claims.current_tcb;
        policy.snp.products = strict::list(products);
    });
    assert!(matches!(outcome, Outcome::Rejected(Rejection::TcbTooOld { which: TcbKind::Reported, .. })), "{outcome:?}");

    let case = snp_case("milan-v3-vlek-vmpl1-trustee").unwrap();
    let outcome = judge_with(genuine(&case), |_, _| ());
    assert!(matches!(outcome, Outcome::Rejected(Rejection::VlekNotAccepted)), "{outcome:?}");
    let outcome = judge_with(genuine(&case), |policy, _| policy.snp.allow_vlek = true);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::ChipIdMasked)), "{outcome:?}");

    let case = snp_case("milan-v2-debug-gosevguest").unwrap();
    let outcome = judge_with(genuine(&case), |policy, _| policy.snp.policy_allowed = u64::MAX);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::DebugGuest { .. })), "no policy allows debug: {outcome:?}");
}

#[test]
fn expired_certificates_and_unknown_versions_are_named() {
    let Some(case) = snp_case("milan-v3-vlek-expired-trustee") else { return };
    assert!(matches!(offer(&case).verify(), Err(Outcome::NotGenuine(VerifyError::CertExpired { .. }))));
    let case = snp_case("milan-v4-gce-openpcc-parseonly").unwrap();
    assert!(matches!(offer(&case).verify(), Err(Outcome::NotGenuine(VerifyError::ReportVersion { got: 4 }))));
}

#[test]
fn amds_own_revocation_lists_verify_and_age() {
    let Some(case) = snp_case("genoa-v5-oak-genoa-oc") else { return };
    let folder = vectors().unwrap().join("snp");
    let now_s = case.now_s().unwrap();
    let crl = |name: &str| fs::read(folder.join("crl").join(name)).unwrap();
    let with = |list: Vec<u8>, now_s: u64| {
        let offer = offer(&case);
        let Endorsements::Snp(endorsements) = offer.endorsements else { panic!("not AMD") };
        let endorsements = SnpEndorsements { crl: Blob::new(list).unwrap(), ..endorsements };
        verify(&offer.evidence, &Endorsements::Snp(endorsements), &Anchors::production(), now_s)
    };
    let revocation = |verified: &Verified| match verified.claims() {
        Claims::Snp(claims) => claims.revocation,
        Claims::Tdx(_) => panic!("not AMD"),
    };
    // the VCEK is of August 2025, Genoa's list ran out in November 2025
    let current = with(crl("genoa.crl.der"), 1_760_000_000).unwrap();
    assert!(matches!(revocation(&current), Revocation::Current { number: Some(4), .. }), "{:?}", revocation(&current));
    let stale = with(crl("genoa.crl.der"), now_s).unwrap();
    assert!(matches!(revocation(&stale), Revocation::Stale { number: Some(4), next_update_s: 1_762_131_600 }), "{:?}", revocation(&stale));
    let outcome = judge_with(stale, |policy, _| policy.snp.revocation = RevocationRule::Required);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::RevocationUnknown { found: Revocation::Stale { .. } })), "{outcome:?}");
    let outcome = judge_with(with(Vec::new(), now_s).unwrap(), |policy, _| policy.snp.revocation = RevocationRule::Required);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::RevocationUnknown { found: Revocation::Absent })), "{outcome:?}");

    assert_eq!(with(crl("milan.crl.der"), now_s).map(|_| ()), Err(VerifyError::CrlIssuer));
    let mut forged = crl("genoa.crl.der");
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(with(forged, now_s).map(|_| ()), Err(VerifyError::CrlSignature));
    let mut longer = crl("genoa.crl.der");
    longer.push(0);
    assert!(matches!(with(longer, now_s), Err(VerifyError::CrlMalformed { .. })));
}

// The traps of the quote verifier below, one test each.

const GOOD_QUOTE: &str = "tdx-v5-v5-google-90c06f@2026-03-01";

#[test]
fn trap_a_platform_flags_reach_the_policy() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    let verified = genuine(&case);
    let Claims::Tdx(claims) = verified.claims() else { panic!("not Intel") };
    assert_eq!((claims.dynamic_platform, claims.cached_keys), (Some(true), Some(true)));
    let outcome = judge_with(verified, |policy, _| policy.tdx.allow_dynamic_platform = false);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::DynamicPlatform { reported: Some(true) })), "{outcome:?}");
    let outcome = judge_with(genuine(&case), |policy, _| policy.tdx.allow_cached_keys = false);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::CachedKeys { reported: Some(true) })), "{outcome:?}");
}

#[test]
fn trap_b_bytes_after_the_quote_are_refused() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    for tail in [vec![0; 1], vec![0; 3_000], b"GARBAGE".to_vec()] {
        let mut offer = offer(&case);
        let Evidence::Tdx(evidence) = &mut offer.evidence else { panic!("not Intel") };
        evidence.quote = Blob::new([&evidence.quote[..], &tail].concat()).unwrap();
        let outcome = offer.verify();
        assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::QuoteLength { what: "signature data", .. }))), "{outcome:?}");
    }
}

#[test]
fn trap_c_an_old_evaluation_is_refused() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    let outcome = judge_with(genuine(&case), |policy, _| policy.tdx.min_tcb_evaluation += 1);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::EvaluationTooOld { .. })), "{outcome:?}");
}

#[test]
fn trap_d_below_every_level_is_an_error_of_its_own() {
    let Some(case) = tdx_case("tdx-v5-trustee-q5-90c06f@2026-03-20") else { return };
    let outcome = offer(&case).verify();
    assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::TdxTcbBelowAll { .. }))), "{outcome:?}");
}

#[test]
fn trap_e_collateral_runs_out_after_a_month() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    let outcome = tdx_verify(&case, |_, now_s| *now_s += 31 * 86_400);
    assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::IntelTime { .. }))), "{outcome:?}");
}

#[test]
fn trap_f_a_revocation_list_that_cannot_be_read_is_refused() {
    let Some(case) = tdx_case(GOOD_QUOTE) else { return };
    let with = |pck_crl| tdx_verify(&case, |collateral, _| collateral.pck_crl = pck_crl);
    let outcome = with(Blob::new(vec![0x30, 0x00]).unwrap());
    assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::IntelRevocation { .. }))), "{outcome:?}");
    let outcome = with(Blob::default());
    assert!(matches!(outcome, Err(Outcome::NotGenuine(VerifyError::CollateralMissing { .. }))), "{outcome:?}");
}

#[test]
fn trap_g_a_status_is_judged_by_the_policy_not_hidden() {
    let Some(case) = tdx_case("tdx-v4-automata-v4-00806f@2025-06-25") else { return };
    let outcome = judge_with(genuine(&case), |_, _| ());
    assert!(matches!(outcome, Outcome::Rejected(Rejection::StatusNotAccepted { reported: TdxTcbStatus::OutOfDate, .. })), "{outcome:?}");
    let outcome = judge_with(genuine(&case), |policy, _| policy.tdx.statuses.push(TdxTcbStatus::OutOfDate).unwrap());
    assert!(matches!(outcome, Outcome::Accepted), "a named exception accepts: {outcome:?}");
    let outcome = judge_with(genuine(&case), |policy, _| {
        policy.tdx.statuses.push(TdxTcbStatus::OutOfDate).unwrap();
        policy.tdx.denied_advisories = strict::list(vec![ringwall_wire::bounded::Text::new("intel-sa-00960").unwrap()]);
    });
    assert!(matches!(outcome, Outcome::Rejected(Rejection::AdvisoryDenied { .. })), "{outcome:?}");
}

#[test]
fn debug_and_unprotected_tds_are_refused_whatever_the_policy() {
    let Some(case) = tdx_case("tdx-v4-trustee-q4-50806f@2023-06-30") else { return };
    let outcome = judge_with(genuine(&case), |policy, _| policy.tdx.attributes_allowed = u64::MAX);
    assert!(matches!(outcome, Outcome::Rejected(Rejection::DebugGuest { .. })), "{outcome:?}");
    let case = tdx_case("tdx-v4-azure-trustee-00806f@2025-06-25").unwrap();
    assert!(matches!(offer(&case).verify(), Err(Outcome::NotGenuine(VerifyError::TdAttributes { attributes: 0, .. }))));
}

#[test]
fn evidence_beside_the_other_vendors_endorsements_is_refused() {
    let (Some(amd), Some(intel)) = (snp_case("turin-v5-msft"), tdx_case(GOOD_QUOTE)) else { return };
    let (amd, intel) = (offer(&amd), offer(&intel));
    let crossed = verify(&amd.evidence, &intel.endorsements, &Anchors::production(), amd.now_s);
    assert!(matches!(crossed, Err(VerifyError::OtherVendor { .. })));
}
