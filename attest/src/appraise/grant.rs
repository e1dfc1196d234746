//! Whether a workload may have a key: verified claims against the key's grant policy.
//!
//! Decides: trust domain and roots, then the vendor's fields by the very rules members are judged by, then what the guest was started with, then
//! that the evidence was made for this session; the first broken rule is named, and each has a coded reason ([`GrantFault`]), in a table without a
//! catch-all. What no policy can loosen there (debug and migratable guests, masked chips, foreign modules) nobody can loosen here.
//! Trusts: [`Verified`], which only `verify` makes, and the policy, which the governors signed. Out of scope: rates, what is written down
//! (`consensus`). Protocol section 10.

use super::Rules;
use crate::Verified;
use crate::anchors::is_production_root;
use crate::claims::Claims;
use crate::error::VerifyError;
use crate::rejection::Rejection;
use crate::step::{Step, Trace};
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use ringwall_wire::ids::{Digest, TrustDomain};
use ringwall_wire::policy::MeasurementRegister;
use ringwall_wire::workload::{ConfigRule, GrantFault, GrantPolicy, Subject};

/// What a workload's evidence must be bound to, and where.
#[derive(Clone, Copy, Debug)]
pub struct GrantExpected<'a> {
    /// The 64 bytes it must have had signed.
    pub report_data: &'a [u8; 64],
    /// Trust domain of the cluster.
    pub trust_domain: TrustDomain,
}

/// Why a workload may not have a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum GrantError {
    /// It is not genuine.
    #[error("the evidence is not genuine, or nobody can tell: {0}")]
    NotGenuine(Box<VerifyError>),
    /// The policy is for another trust domain than the cluster.
    #[error("the grant policy is for trust domain {policy:?}, the cluster lives in {cluster:?}")]
    PolicyDomain { policy: TrustDomain, cluster: TrustDomain },
    /// The roots are no vendor's.
    #[error("the evidence leads to root {reported}, which is no vendor's: simulated TEEs are granted nothing in production")]
    Roots { reported: Digest },
    /// HOST_DATA is not accepted (AMD).
    #[error("HOST_DATA is {reported}, which is none of the {listed} configurations the grant policy lists{}", missing(&.reported.0))]
    HostData { reported: Digest, listed: usize },
    /// MRCONFIGID is not accepted (Intel).
    #[error("MRCONFIGID is {reported}, which is none of the {listed} configurations the grant policy lists{}", missing(&.reported.0))]
    MrConfigId { reported: MeasurementRegister, listed: usize },
    /// It was made for something else.
    #[error("the evidence was made for another session, node or purpose: its report data is not what this session asked for")]
    OtherSession,
    /// A rule about the guest or its machine.
    #[error("{0}")]
    Rule(Box<Rejection>),
}

fn missing(reported: &[u8]) -> &'static str {
    match reported.iter().all(|byte| *byte == 0) {
        true => ": the guest was started without one",
        false => "",
    }
}

impl GrantError {
    /// The coded reason.
    pub fn fault(&self) -> GrantFault {
        match self {
            GrantError::NotGenuine(_) => GrantFault::NotGenuine,
            GrantError::PolicyDomain { .. } | GrantError::Roots { .. } => GrantFault::OtherRoots,
            GrantError::HostData { .. } | GrantError::MrConfigId { .. } => GrantFault::HostData,
            GrantError::OtherSession => GrantFault::OtherSession,
            GrantError::Rule(rejection) => fault_of(rejection),
        }
    }
}

impl From<VerifyError> for GrantError {
    fn from(error: VerifyError) -> Self {
        GrantError::NotGenuine(Box::new(error))
    }
}

/// A workload that may have a key under one policy. Made by [`appraise_grant`] alone.
#[derive(Debug)]
#[must_use = "a verdict nobody uses protects nobody"]
pub struct AppraisedWorkload {
    subject: Subject,
    build: String,
    steps: Vec<Step>,
}

impl AppraisedWorkload {
    /// The machine.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// Name of the measured build, as the policy calls it.
    pub fn build(&self) -> &str {
        &self.build
    }

    /// Why it is accepted, in words for people.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Verified {
    /// The machine genuine evidence is of.
    pub fn subject(&self) -> Subject {
        let claims = self.claims();
        let measurement = match claims {
            Claims::Snp(claims) => claims.measurement,
            Claims::Tdx(claims) => claims.tuple.mrtd,
        };
        Subject { vendor: claims.vendor(), chip: claims.chip(), measurement }
    }
}

/// Judges verified evidence by a grant policy; the first broken rule is named. It may be asked for several keys of one session.
pub fn appraise_grant(verified: &Verified, policy: &GrantPolicy, expected: &GrantExpected<'_>) -> Result<AppraisedWorkload, GrantError> {
    let claims = verified.claims();
    if policy.trust_domain != expected.trust_domain {
        return Err(GrantError::PolicyDomain { policy: policy.trust_domain, cluster: expected.trust_domain });
    }
    if policy.trust_domain == TrustDomain::Production && !is_production_root(claims.root()) {
        return Err(GrantError::Roots { reported: *claims.root() });
    }
    let mut trace = Trace::new();
    let build = Rules::of_grant(policy).judge(claims, &mut trace).map_err(|rejection| GrantError::Rule(Box::new(rejection)))?;
    configured(claims, &policy.config)?;
    // Nothing here is secret: a plain comparison tells only what both sides know.
    if claims.report_data() != expected.report_data {
        return Err(GrantError::OtherSession);
    }
    Ok(AppraisedWorkload { subject: verified.subject(), build: build.id.to_string(), steps: trace.steps().to_vec() })
}

fn configured(claims: &Claims, rule: &ConfigRule) -> Result<(), GrantError> {
    let ConfigRule::Listed(list) = rule else { return Ok(()) };
    match claims {
        Claims::Snp(claims) if list.host_data.contains(&claims.host_data) => Ok(()),
        Claims::Snp(claims) => Err(GrantError::HostData { reported: claims.host_data, listed: list.host_data.len() }),
        Claims::Tdx(claims) => {
            let reported = MeasurementRegister(claims.mr_config_id);
            match list.mr_config_id.contains(&reported) {
                true => Ok(()),
                false => Err(GrantError::MrConfigId { reported, listed: list.mr_config_id.len() }),
            }
        }
    }
}

fn fault_of(rejection: &Rejection) -> GrantFault {
    use Rejection as R;
    match rejection {
        R::DebugGuest { .. } => GrantFault::Debug,
        R::TcbTooOld { .. } | R::ProvisionalFirmware { .. } | R::MitigationsUnknown { .. } | R::MitigationsMissing { .. } => {
            GrantFault::TcbTooOld
        }
        R::EvaluationTooOld { .. } | R::StatusNotAccepted { .. } | R::AdvisoryDenied { .. } | R::SeamNotListed { .. } => {
            GrantFault::TcbTooOld
        }
        R::ReportVersionNotAccepted { .. } | R::ProductNotAccepted { .. } | R::VlekNotAccepted | R::ChipKeyMasked | R::ChipIdMasked => {
            GrantFault::Chip
        }
        R::ChipNotListed { .. } | R::ChipDenied { .. } => GrantFault::Chip,
        R::FmspcNotListed { .. } | R::PlatformNotListed { .. } | R::PlatformDenied { .. } => GrantFault::Chip,
        R::MeasurementUnknown { .. } | R::TupleUnknown { .. } | R::SvnTooLow { .. } | R::GuestSvnTooLow { .. } => GrantFault::Measurement,
        R::EventLogMissing { .. } | R::EventLogMalformed { .. } | R::EventLogMismatch { .. } => GrantFault::Measurement,
        R::EventNotAllowed { .. } | R::EventOutOfOrder { .. } | R::EventMissing { .. } => GrantFault::Measurement,
        R::IdKey { .. } | R::AuthorKey { .. } | R::AuthorKeyFlag { .. } | R::FamilyId { .. } | R::ImageId { .. } => GrantFault::Measurement,
        R::Rtmr3 { .. } | R::MrOwner { .. } | R::MrOwnerConfig { .. } => GrantFault::Measurement,
        R::RevocationUnknown { .. } => GrantFault::NotGenuine,
        R::ReportData { .. } | R::BoundBootConfig { .. } | R::BoundPolicy { .. } => GrantFault::OtherSession,
        R::HostData { .. } | R::MrConfigId { .. } => GrantFault::HostData,
        R::BootProtocol { .. } | R::BootTrustDomain { .. } | R::RootNotProduction { .. } => GrantFault::OtherRoots,
        R::ReleaseRuleMissing | R::ReleaseProofMissing | R::NotReleased(_) => GrantFault::Measurement,
        R::Vmpl { .. } | R::GuestPolicyMustBeOne { .. } | R::MigratableGuest { .. } | R::MigrationAgent => GrantFault::Settings,
        R::GuestPolicyBitsMissing { .. } | R::GuestPolicyBitsForbidden { .. } | R::AbiTooOld { .. } => GrantFault::Settings,
        R::PlatformBitsMissing { .. } | R::PlatformBitsForbidden { .. } => GrantFault::Settings,
        R::SeamSigner { .. } | R::SeamAttributes { .. } | R::TdAttributesMissing { .. } => GrantFault::Settings,
        R::TdAttributesForbidden { .. } | R::XfamForbidden { .. } | R::ServiceTd { .. } | R::VmPartition { .. } => GrantFault::Settings,
        R::DevicesAttached { .. } | R::DynamicPlatform { .. } | R::CachedKeys { .. } | R::Smt { .. } => GrantFault::Settings,
    }
}
