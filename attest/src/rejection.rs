//! Why genuine evidence is not accepted: one variant for each rule, with what was reported and what was required.
//!
//! Decides: the vocabulary of the appraising half (layers binding, tcb, policy). A test exists for each variant (attest/tests/fields.rs).
//! Trusts: nothing. Out of scope: whether evidence is genuine (`error.rs`). Protocol section 2.2.

use crate::error::{Layer, TcbKind};
use crate::event_log::EventLogError;
use crate::release::ReleaseError;
use crate::snp::{FirmwareVersion, Revocation};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use ringwall_wire::ids::{Digest, TrustDomain};
use ringwall_wire::policy::{ChipId, Fmspc, MeasurementRegister, Rtmr, SnpProduct, SnpTcb, TdxTcbStatus, TdxTuple};

/// The 64 bytes a guest has signed, shown as hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReportData(pub [u8; 64]);

impl core::fmt::Display for ReportData {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        ringwall_wire::text::write_hex(&self.0, out)
    }
}

impl core::fmt::Debug for ReportData {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, out)
    }
}

/// Why a policy does not accept evidence that is genuine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum Rejection {
    /// The evidence was made for something else.
    #[error("the evidence is bound to {reported}, this session needs {expected}: it was made for another session, node or purpose")]
    ReportData { reported: Box<ReportData>, expected: Box<ReportData> },
    /// The binding names another boot configuration than the one given.
    #[error("the binding names boot configuration {bound}, the given one hashes to {given}")]
    BoundBootConfig { bound: Digest, given: Digest },
    /// The binding names another policy than the one given.
    #[error("the binding names policy {bound}, the given one hashes to {given}")]
    BoundPolicy { bound: Digest, given: Digest },
    /// The node was started with another boot configuration (AMD).
    #[error("HOST_DATA is {reported}, the boot configuration hashes to {required}: the node was started with another configuration")]
    HostData { reported: Digest, required: Digest },
    /// The node was started with another boot configuration (Intel).
    #[error("MRCONFIGID is {reported}, the boot configuration hashes to {required}: the node was started with another configuration")]
    MrConfigId { reported: MeasurementRegister, required: MeasurementRegister },
    /// The boot configuration speaks another protocol.
    #[error("the boot configuration is for protocol {reported}, this program speaks {required}")]
    BootProtocol { reported: u16, required: u16 },
    /// The boot configuration is for another trust domain.
    #[error("the boot configuration is for trust domain {reported:?}, the policy for {required:?}")]
    BootTrustDomain { reported: TrustDomain, required: TrustDomain },
    /// Evidence of a production cluster leads to a root that is not a vendor's own.
    #[error("the evidence leads to root {reported}, which is no vendor's: simulated TEEs are refused in a production cluster")]
    RootNotProduction { reported: Digest },
    /// A production policy does not demand a proof of release.
    #[error("a production policy must demand a proof of release: this one is not acceptable")]
    ReleaseRuleMissing,
    /// The policy demands a proof of release and there is none.
    #[error("the policy demands a proof of release, the node gave none: nobody can tell whether its build was published")]
    ReleaseProofMissing,
    /// The proof of release does not prove it.
    #[error(transparent)]
    NotReleased(Box<ReleaseError>),

    /// The report's layout version is not accepted.
    #[error("report version {reported} is not among {accepted:?}")]
    ReportVersionNotAccepted { reported: u32, accepted: Vec<u32> },
    /// The product is not accepted.
    #[error("{reported:?} is not among the accepted products {accepted:?}")]
    ProductNotAccepted { reported: SnpProduct, accepted: Vec<SnpProduct> },
    /// A provider's key signed, not the chip's.
    #[error("a VLEK signed the report, which does not tell which chip it comes from; the policy accepts VCEK only")]
    VlekNotAccepted,
    /// The chip's key is masked.
    #[error("MASK_CHIP_KEY is set: the host hides which chip signed")]
    ChipKeyMasked,
    /// The chip's name is masked.
    #[error("CHIP_ID is zero: the host hides which chip this is")]
    ChipIdMasked,
    /// The chip is not on the list.
    #[error("chip {reported} is not among the {listed} accepted ones: add it to the policy if it is yours")]
    ChipNotListed { reported: ChipId, listed: usize },
    /// The chip is on the list of refused ones.
    #[error("chip {reported} is one the policy refuses by name: it counts as broken")]
    ChipDenied { reported: ChipId },
    /// The report was made at another privilege level.
    #[error("the report was made at VMPL {reported}, required {required}")]
    Vmpl { reported: u32, required: u32 },
    /// The bit that must be one is zero.
    #[error("bit 17 of the guest policy must be one, the policy is {reported:#x}")]
    GuestPolicyMustBeOne { reported: u64 },
    /// The host may read the guest's memory.
    #[error("the guest may be debugged (attributes {reported:#x}): the host can read its memory")]
    DebugGuest { reported: u64 },
    /// The guest may be moved away by another guest.
    #[error("the guest may be migrated (attributes {reported:#x}): its memory can leave the machine")]
    MigratableGuest { reported: u64 },
    /// A required bit of the guest policy is zero.
    #[error("guest policy {reported:#x} lacks required bits {required:#x}")]
    GuestPolicyBitsMissing { reported: u64, required: u64 },
    /// A bit of the guest policy is set that may not be.
    #[error("guest policy {reported:#x} has bits outside {allowed:#x}")]
    GuestPolicyBitsForbidden { reported: u64, allowed: u64 },
    /// The guest tolerates older firmware than it may.
    #[error("the guest policy demands ABI {}.{} only, required {}.{}", reported.0, reported.1, required.0, required.1)]
    AbiTooOld { reported: (u8, u8), required: (u8, u8) },
    /// A required bit of PLATFORM_INFO is zero.
    #[error("platform bits {reported:#x} lack required bits {required:#x}: a protection is off in this machine's firmware settings")]
    PlatformBitsMissing { reported: u64, required: u64 },
    /// A bit of PLATFORM_INFO is set that may not be.
    #[error("platform bits {reported:#x} have bits outside {allowed:#x}")]
    PlatformBitsForbidden { reported: u64, allowed: u64 },
    /// A firmware part is too old.
    #[error("the {which} TCB {reported:?} is below the minimum {minimum:?}: update the machine's firmware")]
    TcbTooOld { which: TcbKind, reported: SnpTcb, minimum: SnpTcb },
    /// Firmware runs that can still be taken back.
    #[error("firmware {current} runs, {committed} is committed: provisional firmware is refused, commit or reboot it")]
    ProvisionalFirmware { current: FirmwareVersion, committed: FirmwareVersion },
    /// The policy demands mitigations and the report's version cannot tell.
    #[error("a report of version {reported} does not tell its mitigations, {required:#x} are required")]
    MitigationsUnknown { reported: u32, required: u64 },
    /// A required mitigation is missing.
    #[error("the {which} mitigation vector {reported:#x} lacks bits of {required:#x}: update the machine's firmware")]
    MitigationsMissing { which: TcbKind, reported: u64, required: u64 },
    /// The guest has a migration agent.
    #[error("the guest has a migration agent (REPORT_ID_MA is not all ones)")]
    MigrationAgent,
    /// The launch measurement is of no accepted build.
    #[error("measurement {reported} is of no build the policy accepts")]
    MeasurementUnknown { reported: MeasurementRegister },
    /// The registers are of no accepted build.
    #[error("registers MRTD {}, RTMR0 {}, RTMR1 {}, RTMR2 {} together are of no build the policy accepts", reported.mrtd, reported.rtmr0, reported.rtmr1, reported.rtmr2)]
    TupleUnknown { reported: Box<TdxTuple> },
    /// The firmware is one whose boot events the policy lists, and there is no log of them.
    #[error("MRTD {mrtd} is accepted with an event log only and the node sent none: let it read the CCEL table of its firmware")]
    EventLogMissing { mrtd: MeasurementRegister },
    /// The event log is none.
    #[error("the node's event log cannot be read: {reason}")]
    EventLogMalformed { reason: EventLogError },
    /// The event log is of another boot, or was changed.
    #[error("the event log replays to {register} {replayed}, the hardware signed {reported}: the log was changed or is of another boot")]
    EventLogMismatch { register: Rtmr, replayed: MeasurementRegister, reported: MeasurementRegister },
    /// Something was measured that the policy does not know.
    #[error("event {index} of {register} (type {event_type:#x}, digest {digest}) is not among the events the policy allows")]
    EventNotAllowed { register: Rtmr, index: usize, event_type: u32, digest: MeasurementRegister },
    /// Something was measured too early, too late or twice.
    #[error(
        "event {index} of {register} (type {event_type:#x}, digest {digest}) is repeated or out of order: the policy allows it elsewhere"
    )]
    EventOutOfOrder { register: Rtmr, index: usize, event_type: u32, digest: MeasurementRegister },
    /// Something was not measured.
    #[error("{register} lacks the event the policy calls {label:?} (type {event_type:#x})")]
    EventMissing { register: Rtmr, event_type: u32, label: String },
    /// The build is too old.
    #[error("build {release} has security version {reported}, required at least {required}")]
    SvnTooLow { release: String, reported: u32, required: u32 },
    /// The ID block names too old a build.
    #[error("GUEST_SVN is {reported}, required at least {required}")]
    GuestSvnTooLow { reported: u32, required: u32 },
    /// Another ID key was used.
    #[error("the ID key's digest is {reported}, required {required}")]
    IdKey { reported: MeasurementRegister, required: MeasurementRegister },
    /// Another author key was used.
    #[error("the author key's digest is {reported}, required {required}")]
    AuthorKey { reported: MeasurementRegister, required: MeasurementRegister },
    /// Whether an author key was used and its digest contradict each other.
    #[error("the report says author key used = {used}, its author key digest is {reported}: these contradict each other")]
    AuthorKeyFlag { used: bool, reported: MeasurementRegister },
    /// Another family id.
    #[error("FAMILY_ID is {reported:?}, required {required:?}")]
    FamilyId { reported: [u8; 16], required: [u8; 16] },
    /// Another image id.
    #[error("IMAGE_ID is {reported:?}, required {required:?}")]
    ImageId { reported: [u8; 16], required: [u8; 16] },
    /// The policy demands a revocation list in force.
    #[error("the policy demands a revocation list of AMD in force, found: {found:?}")]
    RevocationUnknown { found: Revocation },

    /// The platform family is not accepted.
    #[error("platform family {reported} is not among the {listed} accepted ones")]
    FmspcNotListed { reported: Fmspc, listed: usize },
    /// The platform is not on the list.
    #[error("platform {reported} is not among the {listed} accepted ones: add it to the policy if it is yours")]
    PlatformNotListed { reported: Digest, listed: usize },
    /// The platform is on the list of refused ones.
    #[error("platform {reported} is one the policy refuses by name: it counts as broken")]
    PlatformDenied { reported: Digest },
    /// The collateral is from an old evaluation.
    #[error("Intel's statements are of evaluation {reported}, required at least {required}: fetch newer ones")]
    EvaluationTooOld { reported: u32, required: u32 },
    /// Intel's word for the platform is not accepted.
    #[error("Intel says {reported:?} of this platform, accepted are {accepted:?}: update its firmware or settings")]
    StatusNotAccepted { reported: TdxTcbStatus, accepted: Vec<TdxTcbStatus> },
    /// An advisory applies that the policy refuses.
    #[error("advisory {reported} applies to this platform, the policy refuses it")]
    AdvisoryDenied { reported: String },
    /// The TDX module is not Intel's.
    #[error("the TDX module was signed by {reported}, required Intel (zero)")]
    SeamSigner { reported: MeasurementRegister },
    /// The TDX module has attributes.
    #[error("the TDX module has attributes {reported:#x}, required none")]
    SeamAttributes { reported: u64 },
    /// The TDX module is not accepted.
    #[error("TDX module {reported} is not among the {listed} accepted ones")]
    SeamNotListed { reported: MeasurementRegister, listed: usize },
    /// A required attribute of the TD is missing.
    #[error("TD attributes {reported:#x} lack required bits {required:#x}")]
    TdAttributesMissing { reported: u64, required: u64 },
    /// The TD has an attribute it may not have.
    #[error("TD attributes {reported:#x} have bits outside {allowed:#x}")]
    TdAttributesForbidden { reported: u64, allowed: u64 },
    /// The TD may use extended features it may not have.
    #[error("XFAM {reported:#x} has bits outside {allowed:#x}")]
    XfamForbidden { reported: u64, allowed: u64 },
    /// RTMR3 differs.
    #[error("RTMR3 is {reported}, required {required}")]
    Rtmr3 { reported: MeasurementRegister, required: MeasurementRegister },
    /// MROWNER differs.
    #[error("MROWNER is {reported}, required {required}")]
    MrOwner { reported: MeasurementRegister, required: MeasurementRegister },
    /// MROWNERCONFIG differs.
    #[error("MROWNERCONFIG is {reported}, required {required}")]
    MrOwnerConfig { reported: MeasurementRegister, required: MeasurementRegister },
    /// Service TDs are bound to the TD.
    #[error("service TD {reported} is bound to this TD: it can act on it")]
    ServiceTd { reported: MeasurementRegister },
    /// The report is of a part of a partitioned TD.
    #[error("the quote is of virtual machine {reported} inside a partitioned TD, required 0 (the whole TD)")]
    VmPartition { reported: u8 },
    /// Devices may reach the TD's memory.
    #[error("devices are attached to this TD (device information {reported}): they can reach its memory")]
    DevicesAttached { reported: MeasurementRegister },
    /// The platform can be extended after provisioning, or does not say.
    #[error("the platform's certificate says dynamic platform = {reported:?}, the policy demands false")]
    DynamicPlatform { reported: Option<bool> },
    /// Intel keeps the platform's keys, or the certificate does not say.
    #[error("the platform's certificate says cached keys = {reported:?}, the policy demands false")]
    CachedKeys { reported: Option<bool> },
    /// Hyper-threading is on, or the certificate does not say.
    #[error("the platform's certificate says hyper-threading = {reported:?}, the policy demands false")]
    Smt { reported: Option<bool> },
}

impl Rejection {
    /// The layer that refused.
    pub fn layer(&self) -> Layer {
        use Rejection as R;
        match self {
            R::ReportData { .. } | R::BoundBootConfig { .. } | R::BoundPolicy { .. } | R::HostData { .. } | R::MrConfigId { .. } => {
                Layer::Binding
            }
            R::TcbTooOld { .. } | R::ProvisionalFirmware { .. } | R::MitigationsUnknown { .. } | R::MitigationsMissing { .. } => Layer::Tcb,
            R::EvaluationTooOld { .. } | R::StatusNotAccepted { .. } | R::AdvisoryDenied { .. } | R::SeamNotListed { .. } => Layer::Tcb,
            R::RevocationUnknown { .. } => Layer::Revocation,
            _ => Layer::Policy,
        }
    }
}
