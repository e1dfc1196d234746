//! Every lie a simulated machine can tell, and the refusal that names it.
//!
//! Decides: that each lie is in the bytes, and that the verifier refuses exactly the thing that was bent. A lie without an entry in the
//! tables below fails its test. Protocol section 1.2: R6, A1, A5-A13, G2.
//! Trusts: nothing. Out of scope: honest machines (`honest.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::judge;

use judge::{NOW_S, Refused, judge_under};
use ringwall_attest::{CertName, EventLogError, Rejection as R, Revocation, TcbKind, VerifyError as V};
use ringwall_sim::{Lie, Platform, SimTee, TeeProfile, anchors, policy_for, world};
use ringwall_wire::bounded::List;
use ringwall_wire::ids::{ClusterId, Slot};
use ringwall_wire::policy::{PolicyDoc, Rtmr, SnpProduct, TdxTcbStatus};

fn machine(chip_name: &str) -> SimTee {
    SimTee::new(world::machine(chip_name, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap(), NOW_S)
}

/// Whether `refused` names what `lie` bent.
fn names(lie: Lie, refused: &Refused, platform: Platform) -> bool {
    match refused {
        Refused::NotGenuine(error) => names_error(lie, error, platform),
        Refused::Rejected(rejection) => names_rejection(lie, rejection, platform),
    }
}

fn names_error(lie: Lie, error: &V, platform: Platform) -> bool {
    let amd = matches!(platform, Platform::Snp(_));
    match lie {
        Lie::ForeignRoot if amd => matches!(error, V::CertSignature { which: CertName::Ask }),
        Lie::ForeignRoot => {
            matches!(error, V::IntelRoot { .. } | V::IntelRevocation { .. } | V::IntelSignature { .. } | V::IntelChain { .. })
        }
        Lie::Truncated if amd => matches!(error, V::ReportLength { got: 1183, expected: 1184 }),
        Lie::Truncated | Lie::TdxTrailing => matches!(error, V::QuoteLength { .. }),
        Lie::Signature if amd => matches!(error, V::ReportSignature),
        Lie::Signature => matches!(error, V::IntelSignature { .. }),
        Lie::Version if amd => matches!(error, V::ReportVersion { got: 99 }),
        Lie::Version => matches!(error, V::QuoteVersion { got: 6 }),
        Lie::SnpZeroChip | Lie::SnpClonedChip => matches!(error, V::ChipMismatch { .. }),
        Lie::SnpOtherVek => matches!(error, V::ReportSignature),
        Lie::SnpReserved => matches!(error, V::ReportReserved { offset: 0x280 }),
        Lie::SnpSignatureAlgorithm => matches!(error, V::SignatureAlgorithm { got: 2 }),
        Lie::SnpSignatureTail => matches!(error, V::SignaturePadding { offset: 0x330 }),
        Lie::SnpSignaturePadding => matches!(error, V::SignaturePadding { offset: 0x2d0 }),
        Lie::SnpVekExpired => matches!(error, V::CertExpired { which: CertName::Vek, .. }),
        Lie::SnpVekSelfSigned => matches!(error, V::CertAlgorithm { which: CertName::Vek }),
        Lie::SnpVekOtherTcb => matches!(error, V::CertTcb { .. }),
        Lie::SnpVekNoChip => matches!(error, V::CertExtension { .. }),
        Lie::SnpVekOtherProduct => matches!(error, V::ProductMismatch { .. }),
        Lie::SnpAskRevoked => matches!(error, V::CertRevoked { which: CertName::Ask }),
        Lie::SnpCrlForged => matches!(error, V::CrlSignature),
        Lie::TdxSeptVe | Lie::TdxMigratable | Lie::TdxAttributesUnknown => matches!(error, V::TdAttributes { .. }),
        Lie::TdxMrSignerSeam | Lie::TdxSeamAttributes | Lie::TdxQeSigner | Lie::TdxOtherCollateral => {
            matches!(error, V::IntelChain { .. })
        }
        Lie::TdxRevoked => matches!(error, V::TdxTcbRevoked),
        Lie::TdxNoLevel => matches!(error, V::TdxTcbBelowAll { .. }),
        Lie::TdxPckRevoked | Lie::TdxCaRevoked => matches!(error, V::IntelRevocation { .. }),
        Lie::TdxStale => matches!(error, V::IntelTime { .. }),
        Lie::TdxAttestationKey | Lie::TdxTcbInfoForged => matches!(error, V::IntelSignature { .. }),
        _ => false,
    }
}

fn names_rejection(lie: Lie, rejection: &R, platform: Platform) -> bool {
    let amd = matches!(platform, Platform::Snp(_));
    let tcb = |wanted| matches!(rejection, R::TcbTooOld { which, .. } if *which == wanted);
    let status = |wanted| matches!(rejection, R::StatusNotAccepted { reported, .. } if *reported == wanted);
    match lie {
        Lie::ReportData | Lie::Replay => matches!(rejection, R::ReportData { .. }),
        Lie::BootConfig if amd => matches!(rejection, R::HostData { .. }),
        Lie::BootConfig => matches!(rejection, R::MrConfigId { .. }),
        Lie::Build if amd => matches!(rejection, R::MeasurementUnknown { .. }),
        Lie::Build | Lie::TdxRtmr2 => matches!(rejection, R::TupleUnknown { .. }),
        Lie::SnpDebug | Lie::TdxDebug => matches!(rejection, R::DebugGuest { .. }),
        Lie::SnpMigrateMa => matches!(rejection, R::MigratableGuest { .. }),
        Lie::SnpCxl | Lie::SnpPolicySmt | Lie::SnpPolicyUnknown => matches!(rejection, R::GuestPolicyBitsForbidden { .. }),
        Lie::SnpMustBeOne => matches!(rejection, R::GuestPolicyMustBeOne { .. }),
        Lie::SnpXtsOff | Lie::SnpRaplOn => matches!(rejection, R::GuestPolicyBitsMissing { .. }),
        Lie::SnpAbi => matches!(rejection, R::AbiTooOld { reported: (0, 0), .. }),
        Lie::SnpVmpl => matches!(rejection, R::Vmpl { reported: 1, required: 0 }),
        Lie::SnpGuestSvn => matches!(rejection, R::GuestSvnTooLow { reported: 0, required: 1 }),
        Lie::SnpPlatformSmt | Lie::SnpPlatformUnknown => matches!(rejection, R::PlatformBitsForbidden { .. }),
        Lie::SnpAliasCheck => matches!(rejection, R::PlatformBitsMissing { .. }),
        Lie::SnpOldReported => tcb(TcbKind::Reported),
        Lie::SnpOldCommitted => tcb(TcbKind::Committed),
        Lie::SnpOldCurrent => tcb(TcbKind::Current),
        Lie::SnpOldLaunch => tcb(TcbKind::Launch),
        Lie::SnpProvisional => matches!(rejection, R::ProvisionalFirmware { .. }),
        Lie::SnpMitigations => matches!(rejection, R::MitigationsMissing { .. }),
        Lie::SnpMaskedKey => matches!(rejection, R::ChipKeyMasked),
        Lie::SnpVlek => matches!(rejection, R::VlekNotAccepted),
        Lie::SnpReportIdMa => matches!(rejection, R::MigrationAgent),
        Lie::SnpIdKey => matches!(rejection, R::IdKey { .. }),
        Lie::SnpAuthorKey => matches!(rejection, R::AuthorKey { .. }),
        Lie::SnpFamilyId => matches!(rejection, R::FamilyId { .. }),
        Lie::SnpImageId => matches!(rejection, R::ImageId { .. }),
        Lie::SnpCrlExpired => matches!(rejection, R::RevocationUnknown { found: Revocation::Stale { .. } }),
        Lie::SnpCrlAbsent => matches!(rejection, R::RevocationUnknown { found: Revocation::Absent }),
        Lie::TdxPerfmon => matches!(rejection, R::TdAttributesForbidden { .. }),
        Lie::TdxXfam => matches!(rejection, R::XfamForbidden { .. }),
        Lie::TdxRtmr3 => matches!(rejection, R::Rtmr3 { .. }),
        Lie::TdxMrOwner => matches!(rejection, R::MrOwner { .. }),
        Lie::TdxMrOwnerConfig => matches!(rejection, R::MrOwnerConfig { .. }),
        Lie::TdxServiceTd => matches!(rejection, R::ServiceTd { .. }),
        Lie::TdxSwHardening => status(TdxTcbStatus::SwHardeningNeeded),
        Lie::TdxConfiguration => status(TdxTcbStatus::ConfigurationNeeded),
        Lie::TdxConfigurationAndSwHardening => status(TdxTcbStatus::ConfigurationAndSwHardeningNeeded),
        Lie::TdxOutOfDate | Lie::TdxQeOld => status(TdxTcbStatus::OutOfDate),
        Lie::TdxOutOfDateConfiguration => status(TdxTcbStatus::OutOfDateConfigurationNeeded),
        Lie::TdxRelaunch => status(TdxTcbStatus::RelaunchAdvised),
        Lie::TdxRelaunchConfiguration => status(TdxTcbStatus::RelaunchAdvisedConfigurationNeeded),
        Lie::TdxOldEvaluation => matches!(rejection, R::EvaluationTooOld { .. }),
        Lie::TdxFamily => matches!(rejection, R::FmspcNotListed { .. }),
        Lie::TdxAdvisory => matches!(rejection, R::AdvisoryDenied { .. }),
        Lie::TdxDynamicPlatform => matches!(rejection, R::DynamicPlatform { reported: Some(true) }),
        Lie::TdxCachedKeys => matches!(rejection, R::CachedKeys { reported: Some(true) }),
        Lie::TdxSmt => matches!(rejection, R::Smt { reported: Some(true) }),
        Lie::TdxLogAbsent => matches!(rejection, R::EventLogMissing { .. }),
        Lie::TdxLogGarbled => matches!(rejection, R::EventLogMalformed { reason: EventLogError::NoSpecId }),
        Lie::TdxLogDropped => matches!(rejection, R::EventLogMismatch { register: Rtmr::Rtmr2, .. }),
        Lie::TdxLogReordered => matches!(rejection, R::EventLogMismatch { register: Rtmr::Rtmr0, .. }),
        Lie::TdxEventUnlisted => matches!(rejection, R::EventNotAllowed { register: Rtmr::Rtmr2, index: 2, .. }),
        Lie::TdxEventMissing => matches!(rejection, R::EventMissing { register: Rtmr::Rtmr1, label, .. } if label == "kernel image"),
        Lie::TdxEventsSwapped => matches!(rejection, R::EventOutOfOrder { register: Rtmr::Rtmr2, index: 0, .. }),
        Lie::TdxEventTwice => matches!(rejection, R::EventOutOfOrder { register: Rtmr::Rtmr2, index: 2, .. }),
        Lie::TdxMemory => matches!(rejection, R::EventNotAllowed { register: Rtmr::Rtmr0, index: 0, .. }),
        _ => false,
    }
}

/// The policy that accepts the machine when it is honest.
fn policy(honest: &SimTee, lie: Lie) -> PolicyDoc {
    let mut policy = policy_for(&[honest]);
    if lie == Lie::SnpGuestSvn {
        policy.snp.id_key_digest = TeeProfile::id_key_digest();
    }
    if Lie::TDX_LOG.contains(&lie) {
        policy.measurements = List::new(vec![honest.profile().build.measurement_by_events()]).unwrap();
    }
    policy
}

fn every_lie_is_told_and_named(chip_name: &str, lies: &[&[Lie]]) {
    let mut wrong = Vec::new();
    for lie in lies.concat() {
        let mut profile = machine(chip_name).profile().clone();
        profile.id_block = lie == Lie::SnpGuestSvn;
        let honest = SimTee::new(profile, NOW_S);
        let policy = policy(&honest, lie);
        if let Err(refused) = judge_under(&honest, &policy, &anchors()) {
            panic!("{chip_name} is honest, got {refused:?}");
        }
        let liar = honest.clone().telling(&[lie]);
        match lie {
            Lie::Replay => assert_eq!(liar.mint(&[1; 64]), liar.mint(&[2; 64])),
            _ => assert_ne!((liar.mint(&[1; 64]), liar.endorse()), (honest.mint(&[1; 64]), honest.endorse()), "{lie:?} is not told"),
        }
        match judge_under(&liar, &policy, &anchors()) {
            Ok(_) => wrong.push(format!("{lie:?} is accepted")),
            Err(refused) if !names(lie, &refused, honest.profile().platform) => wrong.push(format!("{lie:?} is refused as {refused:?}")),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{chip_name}:\n{}", wrong.join("\n"));
}

#[test]
fn a_genoa_machine_cannot_lie() {
    every_lie_is_told_and_named("genoa-1", &[Lie::EITHER, Lie::SNP]);
}

#[test]
fn a_turin_machine_cannot_lie() {
    every_lie_is_told_and_named("turin-1", &[Lie::EITHER, Lie::SNP]);
}

#[test]
fn a_tdx_machine_cannot_lie() {
    every_lie_is_told_and_named("tdx-1", &[Lie::EITHER, Lie::TDX, Lie::TDX_LOG]);
}

/// A policy that knows the build's tuple alone refuses a boot that was measured otherwise, and reads no log.
#[test]
fn a_tuple_leaves_no_choice_and_needs_no_log() {
    let honest = machine("tdx-1");
    let policy = policy_for(&[&honest]);
    for lie in Lie::TDX_LOG {
        let outcome = judge_under(&honest.clone().telling(&[*lie]), &policy, &anchors());
        match lie {
            Lie::TdxLogAbsent | Lie::TdxLogGarbled | Lie::TdxLogDropped | Lie::TdxLogReordered => assert!(outcome.is_ok(), "{lie:?}"),
            _ => assert!(matches!(outcome, Err(Refused::Rejected(R::TupleUnknown { .. }))), "{lie:?}: {outcome:?}"),
        }
    }
}

/// What tuples cannot say: three memory sizes, one table, and no fourth.
#[test]
fn machines_of_every_listed_shape_are_accepted_by_one_table() {
    for memory_gib in [8, 16, 32, 64] {
        let mut profile = machine("tdx-1").profile().clone();
        profile.memory_gib = memory_gib;
        let tee = SimTee::new(profile, NOW_S);
        let mut policy = policy_for(&[&tee]);
        assert_eq!(judge_under(&tee, &policy, &anchors()).is_ok(), memory_gib == 8, "{memory_gib} GiB by tuple");
        policy.measurements = List::new(vec![tee.profile().build.measurement_by_events()]).unwrap();
        match judge_under(&tee, &policy, &anchors()) {
            Ok(appraised) => {
                assert!(memory_gib < 64 && appraised.measurement() == world::BUILD);
                assert!(appraised.steps().iter().any(|step| step.as_str().contains("(8 boot events)")), "{:?}", appraised.steps());
            }
            Err(refused) => {
                let named = matches!(refused, Refused::Rejected(R::EventNotAllowed { register: Rtmr::Rtmr0, index: 0, .. }));
                assert!(memory_gib == 64 && named, "{memory_gib} GiB: {refused:?}");
            }
        }
    }
}

/// A clone of another chip's identity does not help even with that chip's genuine certificate, and a listed chip's key signs for itself only.
#[test]
fn a_stolen_identity_with_its_certificate_is_refused() {
    let liar = machine("genoa-1").telling(&[Lie::SnpClonedChip, Lie::SnpOtherVek]);
    let refused = judge_under(&liar, &policy_for(&[&liar]), &anchors()).unwrap_err();
    assert!(matches!(refused, Refused::NotGenuine(V::ReportSignature)), "{refused:?}");
}

/// Lies of the other vendor change nothing, so that a table of both can be told to any machine.
#[test]
fn lies_of_the_other_vendor_are_not_told() {
    let (amd, intel) = (machine("turin-1"), machine("tdx-1"));
    assert!(matches!(amd.profile().platform, Platform::Snp(SnpProduct::Turin)));
    assert_eq!(amd.mint(&[1; 64]), amd.clone().telling(Lie::TDX).telling(Lie::TDX_LOG).mint(&[1; 64]));
    assert_eq!(intel.mint(&[1; 64]), intel.clone().telling(Lie::SNP).mint(&[1; 64]));
}
