//! Whether genuine evidence is acceptable: claims against the policy and against what they must be bound to.
//!
//! Decides: every rule of the field checklist, in a fixed order (trust domain, vendor's fields, binding, release), the first broken one named;
//! nothing is optional and nothing has a default.
//! Some rules no policy can loosen: debug and migratable guests, masked chips, a hidden must-be-one bit, foreign TDX modules, production
//! evidence under roots that are no vendor's.
//! Trusts: [`Verified`], which only `verify` makes. Out of scope: signatures; the session around the evidence (`session.rs`).
//! Protocol section 2.2.

mod snp;
mod tdx;

use crate::anchors::is_production_root;
use crate::binding::report_data;
use crate::claims::Claims;
use crate::rejection::{Rejection, ReportData};
use crate::step::Step;
use crate::{Appraised, Verified};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString as _;
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::Binding;
use ringwall_wire::genesis::{BootConfig, PROTOCOL_VERSION};
use ringwall_wire::ids::{Digest, TrustDomain};
use ringwall_wire::policy::{Measurement, MeasurementRegister, PolicyDoc, ReleaseRule};

/// What evidence must be bound to; every part is given by the caller, who knows what it asked for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Hashed into the 64 bytes the hardware signed.
    pub binding: &'a Binding,
    /// The boot configuration the node says it was started with.
    pub boot_config: &'a BootConfig,
    /// Proof of release, exact bytes; empty when there is none.
    pub release_proof: &'a [u8],
}

/// Judges verified evidence by `policy`; the first broken rule is named.
pub fn appraise(verified: Verified, policy: &PolicyDoc, expected: &Expected<'_>) -> Result<Appraised, Rejection> {
    let Verified { claims, mut steps } = verified;
    trust_domain(&claims, policy, expected.boot_config)?;
    let build = match &claims {
        Claims::Snp(claims) => snp::appraise(claims, policy)?,
        Claims::Tdx(claims) => tdx::appraise(claims, policy)?,
    };
    let (measurement, svn) = (build.id.to_string(), build.svn);
    steps.push(Step::new("chip, firmware versions, guest settings and platform settings satisfy the policy: no debugging, no migration"));
    steps.push(Step::new(format!("the measured build is {measurement} (security version {svn}), which the policy accepts")));
    bound(&claims, policy, expected)?;
    steps.push(Step::new("the hardware signed exactly this session, node, role, boot configuration and policy"));
    steps.push(Step::new("the machine was started with this boot configuration, as the hardware recorded at launch"));
    released(policy, expected.release_proof)?;
    Ok(Appraised { claims, measurement, svn, steps })
}

fn trust_domain(claims: &Claims, policy: &PolicyDoc, boot: &BootConfig) -> Result<(), Rejection> {
    if boot.protocol != PROTOCOL_VERSION {
        return Err(Rejection::BootProtocol { reported: boot.protocol, required: PROTOCOL_VERSION });
    }
    if boot.trust_domain != policy.trust_domain {
        return Err(Rejection::BootTrustDomain { reported: boot.trust_domain, required: policy.trust_domain });
    }
    if policy.trust_domain == TrustDomain::Simulated {
        return Ok(());
    }
    if !is_production_root(claims.root()) {
        return Err(Rejection::RootNotProduction { reported: *claims.root() });
    }
    match policy.release {
        ReleaseRule::Demanded(_) => Ok(()),
        ReleaseRule::NotDemanded => Err(Rejection::ReleaseRuleMissing),
    }
}

fn bound(claims: &Claims, policy: &PolicyDoc, expected: &Expected<'_>) -> Result<(), Rejection> {
    let (bound, given) = (expected.binding.boot_config, expected.boot_config.host_data());
    if bound != given {
        return Err(Rejection::BoundBootConfig { bound, given });
    }
    let (bound, given) = (expected.binding.policy, Digest(policy.digest()));
    if bound != given {
        return Err(Rejection::BoundPolicy { bound, given });
    }
    let (reported, required) = (*claims.report_data(), report_data(expected.binding));
    if reported != required {
        return Err(Rejection::ReportData { reported: Box::new(ReportData(reported)), expected: Box::new(ReportData(required)) });
    }
    match claims {
        Claims::Snp(claims) => {
            let (reported, required) = (claims.host_data, expected.boot_config.host_data());
            demand(reported == required, || Rejection::HostData { reported, required })
        }
        Claims::Tdx(claims) => {
            let reported = MeasurementRegister(claims.mr_config_id);
            let required = MeasurementRegister(expected.boot_config.mr_config_id());
            demand(reported == required, || Rejection::MrConfigId { reported, required })
        }
    }
}

fn released(policy: &PolicyDoc, proof: &[u8]) -> Result<(), Rejection> {
    match &policy.release {
        ReleaseRule::NotDemanded => Ok(()),
        ReleaseRule::Demanded(_) if proof.is_empty() => Err(Rejection::ReleaseProofMissing),
        ReleaseRule::Demanded(_) => Err(Rejection::ReleaseProofNotVerifiable { bytes: proof.len() }),
    }
}

/// Fails when the build's security version is below the policy's.
fn new_enough(build: &Measurement, policy: &PolicyDoc) -> Result<(), Rejection> {
    match build.svn >= policy.min_svn {
        true => Ok(()),
        false => Err(Rejection::SvnTooLow { release: build.id.to_string(), reported: build.svn, required: policy.min_svn }),
    }
}

/// `Ok` when `holds`, else the rejection.
fn demand(holds: bool, rejection: impl FnOnce() -> Rejection) -> Result<(), Rejection> {
    match holds {
        true => Ok(()),
        false => Err(rejection()),
    }
}
