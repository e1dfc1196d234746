//! The tables of [`Rejection`]: genuine evidence that is not acceptable, or of which a rule cannot be judged.
//!
//! Decides: stage, finding, advice, found and expected of each variant. A rule whose fact is absent, outdated or not verifiable by this version
//! cannot be told; a fact that breaks its rule is bad.
//! Trusts: the facts in the rejection. Out of scope: whether evidence is genuine (`account/verify.rs`). Protocol section 2.2.

use super::{Advice, Facts, Finding, Ruling};
use crate::rejection::Rejection;
use crate::snp::{Revocation, tcb_words};
use crate::step::{Stage, date};
use alloc::format;
use alloc::string::{String, ToString as _};
use ringwall_wire::text::hex;

fn flag(flag: Option<bool>) -> String {
    match flag {
        Some(true) => "yes".into(),
        Some(false) => "no".into(),
        None => "the platform's certificate does not say".into(),
    }
}

/// A flag that must be false: told to be true it is bad, left out it cannot be told.
fn of_flag(flag: Option<bool>) -> Ruling {
    match flag {
        Some(_) => (Stage::Policy, Finding::Bad, Advice::UpdatePolicy),
        None => (Stage::Policy, Finding::CannotTell, Advice::UpdatePolicy),
    }
}

fn revocation(found: &Revocation) -> String {
    match found {
        Revocation::Current { next_update_s, .. } => format!("a list in force until {}", date(*next_update_s)),
        Revocation::Stale { next_update_s: 0, .. } => "a list that does not say until when it is in force".into(),
        Revocation::Stale { next_update_s, .. } => format!("a list that ran out at {}", date(*next_update_s)),
        Revocation::Absent => "no list".into(),
    }
}

impl Rejection {
    pub(super) fn ruling(&self) -> Ruling {
        use Advice::{
            AskForProof, ChangeSettings, DoNotUse, RefreshEndorsements, UpdateBuild, UpdateFirmware, UpdatePolicy, UpdateProgram,
        };
        use Finding::{Bad, CannotTell};
        use Rejection as R;
        match self {
            R::ReportData { .. } | R::BoundBootConfig { .. } | R::BoundPolicy { .. } => (Stage::Binding, Bad, DoNotUse),
            R::HostData { .. } | R::MrConfigId { .. } => (Stage::Binding, Bad, ChangeSettings),
            R::BootProtocol { .. } => (Stage::Cluster, CannotTell, UpdateProgram),
            R::BootTrustDomain { .. } => (Stage::Cluster, Bad, Advice::CompareCard),
            R::RootNotProduction { .. } => (Stage::Root, Bad, DoNotUse),
            R::ReleaseRuleMissing => (Stage::Release, Bad, UpdatePolicy),
            R::ReleaseProofMissing => (Stage::Release, CannotTell, AskForProof),
            R::NotReleased(error) => error.ruling(),
            R::ReportVersionNotAccepted { .. } | R::ProductNotAccepted { .. } => (Stage::Policy, Bad, UpdatePolicy),
            R::VlekNotAccepted | R::ChipNotListed { .. } => (Stage::Policy, Bad, UpdatePolicy),
            R::ChipDenied { .. } | R::PlatformDenied { .. } => (Stage::Policy, Bad, DoNotUse),
            R::VmPartition { .. } | R::DevicesAttached { .. } => (Stage::Policy, Bad, ChangeSettings),
            R::AuthorKeyFlag { .. } => (Stage::Measurement, Bad, DoNotUse),
            R::ChipKeyMasked | R::ChipIdMasked => (Stage::Policy, Bad, ChangeSettings),
            R::Vmpl { .. } | R::DebugGuest { .. } | R::MigratableGuest { .. } => (Stage::Policy, Bad, ChangeSettings),
            R::GuestPolicyMustBeOne { .. } => (Stage::Policy, Bad, DoNotUse),
            R::GuestPolicyBitsMissing { .. } | R::GuestPolicyBitsForbidden { .. } => (Stage::Policy, Bad, ChangeSettings),
            R::AbiTooOld { .. } | R::MigrationAgent => (Stage::Policy, Bad, ChangeSettings),
            R::PlatformBitsMissing { .. } | R::PlatformBitsForbidden { .. } => (Stage::Policy, Bad, ChangeSettings),
            R::TcbTooOld { .. } | R::ProvisionalFirmware { .. } => (Stage::Tcb, Bad, UpdateFirmware),
            R::MitigationsUnknown { .. } => (Stage::Tcb, CannotTell, UpdateFirmware),
            R::MitigationsMissing { .. } => (Stage::Tcb, Bad, UpdateFirmware),
            R::MeasurementUnknown { .. } | R::TupleUnknown { .. } => (Stage::Measurement, Bad, UpdatePolicy),
            R::EventLogMissing { .. } => (Stage::Measurement, CannotTell, ChangeSettings),
            R::EventLogMalformed { .. } | R::EventLogMismatch { .. } => (Stage::Measurement, Bad, DoNotUse),
            R::EventNotAllowed { .. } | R::EventOutOfOrder { .. } | R::EventMissing { .. } => (Stage::Measurement, Bad, UpdatePolicy),
            R::SvnTooLow { .. } | R::GuestSvnTooLow { .. } => (Stage::Measurement, Bad, UpdateBuild),
            R::IdKey { .. } | R::AuthorKey { .. } => (Stage::Measurement, Bad, ChangeSettings),
            R::FamilyId { .. } | R::ImageId { .. } => (Stage::Measurement, Bad, ChangeSettings),
            R::RevocationUnknown { .. } => (Stage::Revocation, CannotTell, RefreshEndorsements),
            R::FmspcNotListed { .. } | R::PlatformNotListed { .. } => (Stage::Policy, Bad, UpdatePolicy),
            R::EvaluationTooOld { .. } => (Stage::Tcb, CannotTell, RefreshEndorsements),
            R::StatusNotAccepted { .. } | R::AdvisoryDenied { .. } => (Stage::Tcb, Bad, UpdateFirmware),
            R::SeamSigner { .. } | R::SeamAttributes { .. } => (Stage::Tcb, Bad, DoNotUse),
            R::SeamNotListed { .. } => (Stage::Tcb, Bad, UpdatePolicy),
            R::TdAttributesMissing { .. } | R::TdAttributesForbidden { .. } => (Stage::Policy, Bad, ChangeSettings),
            R::XfamForbidden { .. } => (Stage::Policy, Bad, ChangeSettings),
            R::Rtmr3 { .. } | R::MrOwner { .. } | R::MrOwnerConfig { .. } => (Stage::Measurement, Bad, ChangeSettings),
            R::ServiceTd { .. } => (Stage::Policy, Bad, DoNotUse),
            R::DynamicPlatform { reported } | R::CachedKeys { reported } | R::Smt { reported } => of_flag(*reported),
        }
    }

    // tidy: a table of one row a variant, clearer in one piece
    pub(super) fn facts(&self) -> Facts {
        use Rejection as R;
        match self {
            R::ReportData { reported, expected } => (format!("evidence bound to {reported}"), format!("evidence bound to {expected}")),
            R::BoundBootConfig { bound, given } => {
                (format!("a binding to boot configuration {bound}"), format!("{given}, of the given one"))
            }
            R::BoundPolicy { bound, given } => (format!("a binding to policy {bound}"), format!("{given}, of the given one")),
            R::HostData { reported, required } => (format!("HOST_DATA {reported}"), format!("{required}, of the boot configuration")),
            R::MrConfigId { reported, required } => (format!("MRCONFIGID {reported}"), format!("{required}, of the boot configuration")),
            R::BootProtocol { reported, required } => {
                (format!("protocol {reported}"), format!("protocol {required}, which this version speaks"))
            }
            R::BootTrustDomain { reported, required } => (format!("trust domain {reported:?}"), format!("trust domain {required:?}")),
            R::RootNotProduction { reported } => (format!("root {reported}"), "a root of AMD or Intel".into()),
            R::ReleaseRuleMissing => ("a production policy that demands no proof of release".into(), "one that demands it".into()),
            R::ReleaseProofMissing => ("no proof of release".into(), "a proof that the build was published".into()),
            R::NotReleased(error) => error.facts(),
            R::ReportVersionNotAccepted { reported, accepted } => (format!("report version {reported}"), format!("one of {accepted:?}")),
            R::ProductNotAccepted { reported, accepted } => (format!("{reported:?}"), format!("one of {accepted:?}")),
            R::VlekNotAccepted => ("a VLEK, which many chips of one provider share".into(), "a VCEK, which one chip holds".into()),
            R::ChipKeyMasked => ("MASK_CHIP_KEY is set".into(), "a chip key that is not masked".into()),
            R::ChipIdMasked => ("CHIP_ID zero".into(), "the chip's identifier".into()),
            R::ChipNotListed { reported, listed } => (format!("chip {reported}"), format!("one of the {listed} chips of the policy")),
            R::ChipDenied { reported } => (format!("chip {reported}"), "a chip the policy does not refuse by name".into()),
            R::PlatformDenied { reported } => (format!("platform {reported}"), "a platform the policy does not refuse by name".into()),
            R::VmPartition { reported } => (format!("virtual machine {reported} inside a partitioned TD"), "0, the whole TD".into()),
            R::DevicesAttached { reported } => (format!("device information {reported}"), "zero: no device attached".into()),
            R::AuthorKeyFlag { used, reported } => (
                format!("author key used: {used}, its digest {reported}"),
                "a digest that is zero exactly when no author key was used".into(),
            ),
            R::Vmpl { reported, required } => (format!("VMPL {reported}"), format!("VMPL {required}")),
            R::GuestPolicyMustBeOne { reported } => (format!("guest policy {reported:#x}"), "bit 17 set".into()),
            R::DebugGuest { reported } => {
                (format!("attributes {reported:#x}, which let the host read the guest's memory"), "no debugging".into())
            }
            R::MigratableGuest { reported } => (format!("attributes {reported:#x}, which let the guest be moved"), "no migration".into()),
            R::GuestPolicyBitsMissing { reported, required } => {
                (format!("guest policy {reported:#x}"), format!("every bit of {required:#x} set"))
            }
            R::GuestPolicyBitsForbidden { reported, allowed } => {
                (format!("guest policy {reported:#x}"), format!("no bit outside {allowed:#x}"))
            }
            R::AbiTooOld { reported, required } => {
                (format!("least ABI {}.{}", reported.0, reported.1), format!("least ABI {}.{} or later", required.0, required.1))
            }
            R::PlatformBitsMissing { reported, required } => {
                (format!("platform bits {reported:#x}"), format!("every bit of {required:#x} set"))
            }
            R::PlatformBitsForbidden { reported, allowed } => {
                (format!("platform bits {reported:#x}"), format!("no bit outside {allowed:#x}"))
            }
            R::TcbTooOld { which, reported, minimum } => {
                (format!("{which} firmware: {}", tcb_words(reported)), format!("at least: {}", tcb_words(minimum)))
            }
            R::ProvisionalFirmware { current, committed } => {
                (format!("firmware {current} runs, {committed} is committed"), "the running firmware committed".into())
            }
            R::MitigationsUnknown { reported, required } => {
                (format!("a report of version {reported}, which tells no mitigations"), format!("mitigations {required:#x}"))
            }
            R::MitigationsMissing { which, reported, required } => {
                (format!("{which} mitigations {reported:#x}"), format!("every bit of {required:#x} set"))
            }
            R::MigrationAgent => ("a migration agent".into(), "none (REPORT_ID_MA all ones)".into()),
            R::MeasurementUnknown { reported } => (format!("launch measurement {reported}"), "one of a build of the policy".into()),
            R::TupleUnknown { reported } => (
                format!("MRTD {}, RTMR0 {}, RTMR1 {}, RTMR2 {}", reported.mrtd, reported.rtmr0, reported.rtmr1, reported.rtmr2),
                "the registers of one build of the policy".into(),
            ),
            R::EventLogMissing { mrtd } => (format!("MRTD {mrtd} and no event log"), "an event log beside the quote".into()),
            R::EventLogMalformed { reason } => {
                (format!("an event log that cannot be read: {reason}"), "an event log of the TCG's format".into())
            }
            R::EventLogMismatch { register, replayed, reported } => {
                (format!("an event log that replays to {register} {replayed}"), format!("{reported}, which the hardware signed"))
            }
            R::EventNotAllowed { register, index, event_type, digest } => {
                (format!("event {index} of {register}, type {event_type:#x}, digest {digest}"), "an event the policy's table allows".into())
            }
            R::EventOutOfOrder { register, index, event_type, digest } => (
                format!("event {index} of {register}, type {event_type:#x}, digest {digest}"),
                "each event once, in the order of the policy's table".into(),
            ),
            R::EventMissing { register, event_type, label } => {
                (format!("no such event in {register}"), format!("the event {label:?} (type {event_type:#x}), which the policy demands"))
            }
            R::SvnTooLow { release, reported, required } => {
                (format!("build {release} of security version {reported}"), format!("security version {required} or later"))
            }
            R::GuestSvnTooLow { reported, required } => (format!("GUEST_SVN {reported}"), format!("{required} or later")),
            R::IdKey { reported, required } => (format!("ID key digest {reported}"), required.to_string()),
            R::AuthorKey { reported, required } => (format!("author key digest {reported}"), required.to_string()),
            R::FamilyId { reported, required } => (format!("FAMILY_ID {}", hex(reported)), hex(required)),
            R::ImageId { reported, required } => (format!("IMAGE_ID {}", hex(reported)), hex(required)),
            R::RevocationUnknown { found } => (revocation(found), "a revocation list of AMD in force".into()),
            R::FmspcNotListed { reported, listed } => {
                (format!("platform family {reported}"), format!("one of the {listed} families of the policy"))
            }
            R::PlatformNotListed { reported, listed } => {
                (format!("platform {reported}"), format!("one of the {listed} platforms of the policy"))
            }
            R::EvaluationTooOld { reported, required } => {
                (format!("Intel's statements of evaluation {reported}"), format!("{required} or later"))
            }
            R::StatusNotAccepted { reported, accepted } => {
                (format!("Intel says {reported:?} of this platform"), format!("one of {accepted:?}"))
            }
            R::AdvisoryDenied { reported } => (format!("advisory {reported} applies"), "none that the policy refuses".into()),
            R::SeamSigner { reported } => (format!("a TDX module signed by {reported}"), "zero, which stands for Intel".into()),
            R::SeamAttributes { reported } => (format!("TDX module attributes {reported:#x}"), "none".into()),
            R::SeamNotListed { reported, listed } => {
                (format!("TDX module {reported}"), format!("one of the {listed} modules of the policy"))
            }
            R::TdAttributesMissing { reported, required } => {
                (format!("TD attributes {reported:#x}"), format!("every bit of {required:#x} set"))
            }
            R::TdAttributesForbidden { reported, allowed } => {
                (format!("TD attributes {reported:#x}"), format!("no bit outside {allowed:#x}"))
            }
            R::XfamForbidden { reported, allowed } => (format!("XFAM {reported:#x}"), format!("no bit outside {allowed:#x}")),
            R::Rtmr3 { reported, required } => (format!("RTMR3 {reported}"), required.to_string()),
            R::MrOwner { reported, required } => (format!("MROWNER {reported}"), required.to_string()),
            R::MrOwnerConfig { reported, required } => (format!("MROWNERCONFIG {reported}"), required.to_string()),
            R::ServiceTd { reported } => (format!("service TD {reported}"), "none".into()),
            R::DynamicPlatform { reported } => (format!("dynamic platform: {}", flag(*reported)), "no".into()),
            R::CachedKeys { reported } => (format!("cached keys: {}", flag(*reported)), "no".into()),
            R::Smt { reported } => (format!("hyper-threading: {}", flag(*reported)), "no".into()),
        }
    }
}
