//! Honest machines: their evidence is genuine under the simulated roots, acceptable to the simulated policy, and nothing anywhere else.
//!
//! Decides: that `ringwall-sim` mints what `ringwall-attest` (and, for quotes, `dcap-qvl` alone) takes for real.
//! Trusts: nothing. Out of scope: lies (`lies.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::judge;

use judge::{NOW_S, Refused, binding, judge_under};
use ringwall_attest::{Anchors, Attester, Claims, Revocation, VerifyError, verify};
use ringwall_sim::{Lie, Platform, QuoteShape, SimTee, TeeProfile, anchors, foreign_anchors, policy_for, world};
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::ids::{ClusterId, Slot};
use ringwall_wire::policy::SnpProduct;

fn machine(chip_name: &str) -> TeeProfile {
    world::machine(chip_name, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap()
}

/// Every format a simulated machine can answer in.
fn formats() -> Vec<TeeProfile> {
    let mut all = Vec::new();
    for chip in ["milan-1", "genoa-1", "turin-1"] {
        for report_version in [3, 5] {
            all.push(TeeProfile { report_version, ..machine(chip) });
        }
    }
    for quote_shape in [QuoteShape::V4, QuoteShape::V5, QuoteShape::V5Td15] {
        all.push(TeeProfile { quote_shape, ..machine("tdx-1") });
    }
    all
}

#[test]
fn honest_machines_are_accepted_in_every_format() {
    for profile in formats() {
        let tee = SimTee::new(profile.clone(), NOW_S);
        let mut policy = policy_for(&[&tee]);
        if profile.report_version == 3 {
            // A report of version 3 cannot tell its mitigations.
            let mut products = policy.snp.products.clone().into_vec();
            products.iter_mut().for_each(|rule| rule.required_mitigations = 0);
            policy.snp.products = ringwall_wire::bounded::List::new(products).unwrap();
        }
        let appraised = judge_under(&tee, &policy, &anchors()).unwrap_or_else(|refused| panic!("{profile:?}: {refused:?}"));
        assert_eq!(appraised.measurement(), world::BUILD);
        assert_eq!(appraised.chip(), tee.chip());
        assert_eq!(appraised.vendor(), tee.vendor());
        match appraised.claims() {
            Claims::Snp(claims) => {
                assert_eq!(Platform::Snp(claims.product), profile.platform);
                assert_eq!(claims.report_version, profile.report_version);
                assert!(matches!(claims.revocation, Revocation::Current { .. }));
            }
            Claims::Tdx(claims) => {
                assert_eq!(claims.quote_version, if profile.quote_shape == QuoteShape::V4 { 4 } else { 5 });
                assert_eq!(claims.body_type, if profile.quote_shape == QuoteShape::V5Td15 { 3 } else { 2 });
            }
        }
    }
}

#[test]
fn version_2_reports_and_provider_keys_are_genuine() {
    let old = SimTee::new(TeeProfile { report_version: 2, ..machine("genoa-1") }, NOW_S);
    let verified = verify(&old.mint(&[1; 64]), &old.endorse(), &anchors(), NOW_S).unwrap();
    assert!(matches!(verified.claims(), Claims::Snp(claims) if claims.report_version == 2 && claims.product == SnpProduct::Genoa));
    for chip in ["milan-1", "genoa-1", "turin-1"] {
        let provider = SimTee::new(machine(chip), NOW_S).telling(&[Lie::SnpVlek]);
        let verified = verify(&provider.mint(&[1; 64]), &provider.endorse(), &anchors(), NOW_S);
        assert!(verified.is_ok(), "{chip}: {:?}", verified.err());
    }
}

#[test]
fn nothing_simulated_is_genuine_under_the_vendors_roots() {
    for profile in formats() {
        let tee = SimTee::new(profile.clone(), NOW_S);
        let refused = verify(&tee.mint(&[1; 64]), &tee.endorse(), &Anchors::production(), NOW_S).unwrap_err();
        match profile.platform {
            Platform::Snp(_) => assert!(matches!(refused, VerifyError::CertSignature { .. } | VerifyError::CertIssuer { .. }), "{refused}"),
            Platform::Tdx => assert!(
                matches!(
                    refused,
                    VerifyError::IntelRoot { .. }
                        | VerifyError::IntelChain { .. }
                        | VerifyError::IntelSignature { .. }
                        | VerifyError::IntelRevocation { .. }
                ),
                "{refused:?}"
            ),
        }
    }
    let mut shared = Anchors::production().amd;
    shared.retain(|(_, root)| anchors().amd.iter().chain(&foreign_anchors().amd).any(|(_, simulated)| simulated == root));
    assert!(shared.is_empty());
}

#[test]
fn a_stranger_is_genuine_under_the_strangers_roots_alone() {
    for chip in ["genoa-1", "tdx-1"] {
        let tee = SimTee::new(machine(chip), NOW_S).telling(&[Lie::ForeignRoot]);
        let (evidence, endorsements) = (tee.mint(&[1; 64]), tee.endorse());
        assert!(verify(&evidence, &endorsements, &foreign_anchors(), NOW_S).is_ok());
        assert!(verify(&evidence, &endorsements, &anchors(), NOW_S).is_err());
    }
}

#[test]
fn chips_differ_and_equal_names_are_equal_machines() {
    let one = SimTee::new(machine("genoa-1"), NOW_S);
    let again = SimTee::new(machine("genoa-1"), NOW_S);
    assert_eq!(one.mint(&[3; 64]), again.mint(&[3; 64]));
    assert_eq!(one.endorse(), again.endorse());
    assert_ne!(one.mint(&[3; 64]), one.mint(&[4; 64]));
    let chips: Vec<_> = world::CHIPS.iter().map(|name| SimTee::new(machine(name), NOW_S).chip()).collect();
    for (at, chip) in chips.iter().enumerate() {
        assert!(!chips.iter().skip(at + 1).any(|other| other == chip));
    }
    // A machine the policy does not name is refused although it is genuine.
    let other = SimTee::new(machine("genoa-9"), NOW_S);
    let refused = judge_under(&other, &policy_for(&[&one]), &anchors()).unwrap_err();
    assert!(matches!(refused, Refused::Rejected(ringwall_attest::Rejection::ChipNotListed { .. })), "{refused:?}");
    let refused = judge_under(&SimTee::new(machine("milan-1"), NOW_S), &world::policy(), &anchors()).unwrap_err();
    assert!(matches!(refused, Refused::Rejected(ringwall_attest::Rejection::ProductNotAccepted { .. })), "{refused:?}");
    let refused = judge_under(&SimTee::new(machine("tdx-9"), NOW_S), &world::policy(), &anchors()).unwrap_err();
    assert!(matches!(refused, Refused::Rejected(ringwall_attest::Rejection::PlatformNotListed { .. })), "{refused:?}");
}

#[test]
fn endorsements_follow_the_clock_and_expire() {
    const DAY_S: u64 = 86_400;
    for chip in ["turin-1", "tdx-1"] {
        let tee = SimTee::new(machine(chip), 0).with_clock(|| NOW_S);
        let (evidence, endorsements) = (tee.mint(&[1; 64]), tee.endorse());
        for day in [0, 28] {
            let verified = verify(&evidence, &endorsements, &anchors(), NOW_S + day * DAY_S);
            assert!(verified.is_ok(), "{chip} after {day} days: {:?}", verified.err());
        }
        let late = verify(&evidence, &endorsements, &anchors(), NOW_S + 31 * DAY_S);
        match late {
            Ok(verified) => match verified.claims() {
                Claims::Snp(claims) => assert!(matches!(claims.revocation, Revocation::Stale { .. })),
                Claims::Tdx(_) => panic!("collateral outlived its time"),
            },
            Err(error) => assert!(matches!(error, VerifyError::IntelTime { .. }), "{error:?}"),
        }
    }
}

#[test]
fn quotes_are_accepted_by_dcap_qvl_alone() {
    use dcap_qvl::{QuoteCollateralV3, QuotePolicy, configs::RustCryptoConfig, verify::QuoteVerifier};
    for quote_shape in [QuoteShape::V4, QuoteShape::V5, QuoteShape::V5Td15] {
        let tee = SimTee::new(TeeProfile { quote_shape, ..machine("tdx-1") }, NOW_S);
        let (Evidence::Tdx(evidence), Endorsements::Tdx(stapled)) = (tee.mint(&[9; 64]), tee.endorse()) else { panic!("an Intel machine") };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let collateral = QuoteCollateralV3 {
            pck_crl_issuer_chain: text(&stapled.pck_crl_issuer_chain),
            root_ca_crl: stapled.root_ca_crl.to_vec(),
            pck_crl: stapled.pck_crl.to_vec(),
            tcb_info_issuer_chain: text(&stapled.tcb_info_issuer_chain),
            tcb_info: text(&stapled.tcb_info),
            tcb_info_signature: stapled.tcb_info_signature.to_vec(),
            qe_identity_issuer_chain: text(&stapled.qe_identity_issuer_chain),
            qe_identity: text(&stapled.qe_identity),
            qe_identity_signature: stapled.qe_identity_signature.to_vec(),
            pck_certificate_chain: None,
        };
        let under = |root: Vec<u8>| {
            let verifier = QuoteVerifier::<RustCryptoConfig>::new_with_config(root);
            verifier.verify_with_policy(&evidence.quote, collateral.clone(), NOW_S, &QuotePolicy::strict(NOW_S))
        };
        let claims = under(anchors().intel_root).unwrap();
        assert_eq!(claims.tcb.status.to_string(), "UpToDate");
        assert!(under(foreign_anchors().intel_root).is_err());
        assert!(under(Anchors::production().intel_root).is_err());
    }
}

#[test]
fn the_trait_and_the_machine_say_the_same() {
    let tee = SimTee::new(machine("turin-1"), NOW_S).with_latency(core::time::Duration::from_millis(20));
    let attester: &dyn Attester = &tee;
    let began = std::time::Instant::now();
    assert_eq!(attester.evidence(&[5; 64]).unwrap(), tee.mint(&[5; 64]));
    assert!(began.elapsed() >= core::time::Duration::from_millis(40));
    assert_eq!(attester.endorsements().unwrap(), tee.endorse());
    assert_eq!(attester.vendor(), tee.vendor());
}

#[test]
fn the_standard_world_holds_together() {
    let policy = world::policy();
    let genesis = world::genesis_record(&policy, "demo", ringwall_wire::ids::Nonce([1; 32]));
    let card = ringwall_wire::genesis::ClusterCard {
        genesis,
        policy: policy.clone(),
        steps: Default::default(),
        addresses: Default::default(),
        web: Default::default(),
    };
    let cluster = card.pinned().unwrap();
    for name in world::CHIPS {
        let profile = world::machine(name, world::joining_config(cluster, Slot(2))).unwrap();
        let tee = SimTee::new(profile, NOW_S);
        let appraised = judge_under(&tee, &policy, &anchors()).unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        assert_eq!(appraised.measurement(), world::BUILD);
    }
    assert!(world::machine("zen-1", world::joining_config(cluster, Slot(2))).is_none());
    // The binding names the policy: evidence made under it counts under no other.
    let tee = SimTee::new(machine("tdx-1"), NOW_S);
    let mut other = policy.clone();
    other.version.0 += 1;
    assert_ne!(binding(&tee, &policy).policy, binding(&tee, &other).policy);
}
