//! The field checklist for Intel evidence.
//!
//! Decides: platform, firmware status, TDX module, TD attributes, registers and platform flags of a TDX quote against the policy. A flag the
//! platform's certificate leaves out counts as unknown, and unknown does not satisfy a rule.
//! Trusts: the claims. Out of scope: builds named by their boot events (`replay.rs`), binding and release (`appraise.rs`). Protocol section 2.2, "TDX".

use super::{Rules, accepts, build_accepted, demand, new_enough, replay};
use crate::claims::TdxClaims;
use crate::rejection::Rejection;
use crate::step::{Stage, Trace};
use alloc::format;
use ringwall_wire::policy::{Measurement, MeasurementRegister, TdxRules};
use ringwall_wire::without::{Defence, left_out};

/// TUD group: the TD is under debug.
const ATTRIBUTES_UNDER_DEBUG: u64 = 0xff;
const ATTRIBUTE_MIGRATABLE: u64 = 1 << 29;
const ZERO: MeasurementRegister = MeasurementRegister([0; 48]);

/// Judges the claims and writes down what it establishes; returns the build they measure.
pub(super) fn appraise<'p>(claims: &TdxClaims, policy: Rules<'p>, trace: &mut Trace) -> Result<&'p Measurement, Rejection> {
    let rules = policy.tdx;
    platform(claims, rules)?;
    trace.note(
        Stage::Policy,
        format!("platform {} (family {}) is one of the {} the policy lists", claims.platform, claims.fmspc, rules.platforms.len()),
    );
    trace.note(
        Stage::Tcb,
        format!(
            "the policy accepts {:?}, demands evaluation {} or later and refuses none of the advisories that apply",
            claims.status, rules.min_tcb_evaluation
        ),
    );
    module(claims, rules)?;
    trace.finish(
        Stage::Tcb,
        match rules.mr_seams.is_empty() {
            true => "the TDX module is signed by Intel, and Intel's own list of modules decides about it",
            false => "the TDX module is signed by Intel and one the policy lists",
        },
    );
    attributes(claims, rules)?;
    trace.note(
        Stage::Policy,
        format!("the guest's settings ({:#x}) allow no debugging and no migration; no service TD is bound", claims.td_attributes),
    );
    let build = build(claims, policy)?;
    registers(claims, rules)?;
    build_accepted(build, policy, trace);
    trace.finish(
        Stage::Measurement,
        format!(
            "MRTD {} and RTMR0 to RTMR2 are of this build; RTMR3, MROWNER and MROWNERCONFIG are what the policy names",
            claims.tuple.mrtd
        ),
    );
    flags(claims, rules)?;
    trace.finish(
        Stage::Policy,
        "the platform's certificate says nothing the policy excludes (dynamic platform, cached keys, hyper-threading)",
    );
    Ok(build)
}

fn platform(claims: &TdxClaims, rules: &TdxRules) -> Result<(), Rejection> {
    let reported = claims.fmspc;
    demand(accepts(&rules.fmspcs, &reported), || Rejection::FmspcNotListed { reported, listed: rules.fmspcs.len() })?;
    let reported = claims.platform;
    demand(!rules.denied_platforms.contains(&reported), || Rejection::PlatformDenied { reported })?;
    let listed = accepts(&rules.platforms, &reported) || left_out(Defence::ChipList);
    demand(listed, || Rejection::PlatformNotListed { reported, listed: rules.platforms.len() })?;
    let (reported, required) = (claims.tcb_evaluation, rules.min_tcb_evaluation);
    demand(reported >= required, || Rejection::EvaluationTooOld { reported, required })?;
    let reported = claims.status;
    demand(accepts(&rules.statuses, &reported), || Rejection::StatusNotAccepted { reported, accepted: rules.statuses.to_vec() })?;
    let denied = |advisory: &&alloc::string::String| rules.denied_advisories.iter().any(|denied| denied.eq_ignore_ascii_case(advisory));
    match claims.advisories.iter().find(denied) {
        None => Ok(()),
        Some(advisory) => Err(Rejection::AdvisoryDenied { reported: advisory.clone() }),
    }
}

fn module(claims: &TdxClaims, rules: &TdxRules) -> Result<(), Rejection> {
    demand(claims.mr_signer_seam == ZERO, || Rejection::SeamSigner { reported: claims.mr_signer_seam })?;
    demand(claims.seam_attributes == 0, || Rejection::SeamAttributes { reported: claims.seam_attributes })?;
    let reported = claims.mr_seam;
    demand(rules.mr_seams.is_empty() || rules.mr_seams.contains(&reported), || Rejection::SeamNotListed {
        reported,
        listed: rules.mr_seams.len(),
    })
}

fn attributes(claims: &TdxClaims, rules: &TdxRules) -> Result<(), Rejection> {
    let migrates = left_out(Defence::MigrationRule);
    let excused = |left_out: bool, bits: u64| if left_out { bits } else { 0 };
    let excused = excused(left_out(Defence::DebugRule), ATTRIBUTES_UNDER_DEBUG) | excused(migrates, ATTRIBUTE_MIGRATABLE);
    let reported = claims.td_attributes & !excused;
    demand(reported & ATTRIBUTES_UNDER_DEBUG == 0, || Rejection::DebugGuest { reported })?;
    demand(reported & ATTRIBUTE_MIGRATABLE == 0, || Rejection::MigratableGuest { reported })?;
    let (required, allowed) = (rules.attributes_required, rules.attributes_allowed);
    demand(reported & required == required, || Rejection::TdAttributesMissing { reported, required })?;
    demand(reported & !allowed == 0, || Rejection::TdAttributesForbidden { reported, allowed })?;
    if let Some(service) = claims.service_tds.iter().find(|service| **service != ZERO && !migrates) {
        return Err(Rejection::ServiceTd { reported: *service });
    }
    demand(claims.vm_index == 0, || Rejection::VmPartition { reported: claims.vm_index })?;
    let reported = claims.device_information;
    demand(reported == ZERO, || Rejection::DevicesAttached { reported })?;
    let (reported, allowed) = (claims.xfam, rules.xfam_allowed);
    demand(reported & !allowed == 0, || Rejection::XfamForbidden { reported, allowed })
}

fn build<'p>(claims: &TdxClaims, policy: Rules<'p>) -> Result<&'p Measurement, Rejection> {
    let named = policy.measurements.iter().find(|build| build.tdx.contains(&claims.tuple));
    let build = named.map_or_else(|| replay::build(claims, policy), Ok)?;
    new_enough(build, policy)?;
    Ok(build)
}

fn registers(claims: &TdxClaims, rules: &TdxRules) -> Result<(), Rejection> {
    let (reported, required) = (claims.rtmr3, rules.rtmr3);
    demand(reported == required, || Rejection::Rtmr3 { reported, required })?;
    let (reported, required) = (claims.mr_owner, rules.mr_owner);
    demand(reported == required, || Rejection::MrOwner { reported, required })?;
    let (reported, required) = (claims.mr_owner_config, rules.mr_owner_config);
    demand(reported == required, || Rejection::MrOwnerConfig { reported, required })
}

fn flags(claims: &TdxClaims, rules: &TdxRules) -> Result<(), Rejection> {
    let holds = |allowed: bool, reported: Option<bool>| allowed || reported == Some(false);
    let reported = claims.dynamic_platform;
    demand(holds(rules.allow_dynamic_platform, reported), || Rejection::DynamicPlatform { reported })?;
    let reported = claims.cached_keys;
    demand(holds(rules.allow_cached_keys, reported), || Rejection::CachedKeys { reported })?;
    let reported = claims.smt;
    demand(holds(rules.allow_smt, reported), || Rejection::Smt { reported })
}
