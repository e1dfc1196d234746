//! The field checklist for AMD evidence.
//!
//! Decides: chip, product, guest settings, platform settings, firmware, mitigations and build of an SNP report against the policy.
//! GUEST_SVN is compared only where the policy names an ID key: without an ID block the field has no signer and is zero; the security
//! version of the build then comes from the policy's own table of measurements.
//! Trusts: the claims. Out of scope: binding and release (`appraise.rs`). Protocol section 2.2, "SNP".

use super::{Rules, accepts, build_accepted, demand, new_enough};
use crate::claims::SnpClaims;
use crate::error::{TcbKind, VekKind};
use crate::rejection::Rejection;
use crate::snp::{Revocation, tcb_words};
use crate::step::{Stage, Trace};
use alloc::format;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{ChipId, Measurement, MeasurementRegister, RevocationRule, SnpProductRule, SnpRules, SnpTcb};
use ringwall_wire::without::{Defence, left_out};
use sha2::{Digest as _, Sha256};

const POLICY_MUST_BE_ONE: u64 = 1 << 17;
const POLICY_MIGRATE_MA: u64 = 1 << 18;
const POLICY_DEBUG: u64 = 1 << 19;
/// Bits 16 and up are flags; below is the least ABI version.
const POLICY_FLAGS: u64 = !0xffff;

/// Judges the claims and writes down what it establishes; returns the build they measure.
pub(super) fn appraise<'p>(claims: &SnpClaims, policy: Rules<'p>, trace: &mut Trace) -> Result<&'p Measurement, Rejection> {
    let rules = policy.snp;
    let product = chip(claims, rules)?;
    let (chip, listed) = (Digest(Sha256::digest(claims.chip_id.0).into()), rules.chips.len());
    trace.note(
        Stage::Policy,
        format!("the chip (SHA-256 of its id {chip}) is one of the {listed} the policy lists; {:?} is an accepted family", claims.product),
    );
    guest(claims, rules)?;
    let [minor, major, ..] = claims.guest_policy.to_le_bytes();
    trace.note(
        Stage::Policy,
        format!(
            "the guest's settings ({:#x}, least ABI {major}.{minor}) allow no debugging and no migration; the report was made at VMPL {}",
            claims.guest_policy, claims.vmpl
        ),
    );
    platform(claims, rules)?;
    trace.finish(
        Stage::Policy,
        format!(
            "the machine's settings ({:#x}) have every bit of {:#x} and none outside {:#x}",
            claims.platform_bits, rules.platform_required, rules.platform_allowed
        ),
    );
    firmware(claims, product)?;
    trace.note(
        Stage::Tcb,
        format!("what runs, is reported, is committed and ran at launch reaches the policy's minimum: {}", tcb_words(&product.min_tcb)),
    );
    trace.finish(
        Stage::Tcb,
        format!("firmware {} runs and is committed; every mitigation of {:#x} is on", claims.current_version, product.required_mitigations),
    );
    revocation(claims, rules)?;
    trace.finish(
        Stage::Revocation,
        match rules.revocation {
            RevocationRule::Required => "the policy demands a list in force, and there is one",
            RevocationRule::BestEffort => "the policy accepts what a list, if there is one, does not name",
        },
    );
    let build = build(claims, policy)?;
    identity(claims, policy)?;
    build_accepted(build, policy, trace);
    trace.finish(
        Stage::Measurement,
        format!("the launch measurement is {}; ID key, author key, family and image id are what the policy names", claims.measurement),
    );
    Ok(build)
}

fn chip<'p>(claims: &SnpClaims, rules: &'p SnpRules) -> Result<&'p SnpProductRule, Rejection> {
    let reported = claims.report_version;
    demand(accepts(&rules.report_versions, &reported), || Rejection::ReportVersionNotAccepted {
        reported,
        accepted: rules.report_versions.to_vec(),
    })?;
    let product = rules.products.iter().find(|rule| rule.product == claims.product).ok_or_else(|| Rejection::ProductNotAccepted {
        reported: claims.product,
        accepted: rules.products.iter().map(|rule| rule.product).collect(),
    })?;
    let any_key = left_out(Defence::ChipKey);
    demand(claims.signed_by == VekKind::Vcek || rules.allow_vlek || any_key, || Rejection::VlekNotAccepted)?;
    demand(!claims.chip_key_masked || any_key, || Rejection::ChipKeyMasked)?;
    demand(claims.chip_id != ChipId([0; 64]) || any_key, || Rejection::ChipIdMasked)?;
    demand(!rules.denied_chips.contains(&claims.chip_id), || Rejection::ChipDenied { reported: claims.chip_id })?;
    let listed = accepts(&rules.chips, &claims.chip_id) || left_out(Defence::ChipList);
    demand(listed, || Rejection::ChipNotListed { reported: claims.chip_id, listed: rules.chips.len() })?;
    Ok(product)
}

fn guest(claims: &SnpClaims, rules: &SnpRules) -> Result<(), Rejection> {
    demand(claims.vmpl == rules.vmpl, || Rejection::Vmpl { reported: claims.vmpl, required: rules.vmpl })?;
    let excused = |rule: Defence, bits: u64| if left_out(rule) { bits } else { 0 };
    let excused = excused(Defence::DebugRule, POLICY_DEBUG) | excused(Defence::MigrationRule, POLICY_MIGRATE_MA);
    let reported = claims.guest_policy & !excused;
    demand(reported & POLICY_MUST_BE_ONE != 0, || Rejection::GuestPolicyMustBeOne { reported })?;
    demand(reported & POLICY_DEBUG == 0, || Rejection::DebugGuest { reported })?;
    demand(reported & POLICY_MIGRATE_MA == 0, || Rejection::MigratableGuest { reported })?;
    let flags = reported & POLICY_FLAGS;
    let (required, allowed) = (rules.policy_required, rules.policy_allowed);
    demand(flags & required == required, || Rejection::GuestPolicyBitsMissing { reported, required })?;
    demand(flags & !(allowed | POLICY_MUST_BE_ONE) == 0, || Rejection::GuestPolicyBitsForbidden { reported, allowed })?;
    let [minor, major, ..] = reported.to_le_bytes();
    let (reported, required) = ((major, minor), (rules.min_abi_major, rules.min_abi_minor));
    demand(reported >= required, || Rejection::AbiTooOld { reported, required })?;
    demand(claims.report_id_ma == [0xff; 32] || left_out(Defence::MigrationRule), || Rejection::MigrationAgent)
}

fn platform(claims: &SnpClaims, rules: &SnpRules) -> Result<(), Rejection> {
    let reported = claims.platform_bits;
    let (required, allowed) = (rules.platform_required, rules.platform_allowed);
    demand(reported & required == required, || Rejection::PlatformBitsMissing { reported, required })?;
    demand(reported & !allowed == 0, || Rejection::PlatformBitsForbidden { reported, allowed })
}

fn firmware(claims: &SnpClaims, rule: &SnpProductRule) -> Result<(), Rejection> {
    let minimum = rule.min_tcb;
    for (which, reported) in [
        (TcbKind::Current, claims.current_tcb),
        (TcbKind::Reported, claims.reported_tcb),
        (TcbKind::Committed, claims.committed_tcb),
        (TcbKind::Launch, claims.launch_tcb),
    ] {
        demand(reaches(&reported, &minimum) || left_out(Defence::FirmwareMinimum), || Rejection::TcbTooOld { which, reported, minimum })?;
    }
    let (current, committed) = (claims.current_version, claims.committed_version);
    demand(current == committed, || Rejection::ProvisionalFirmware { current, committed })?;
    let required = rule.required_mitigations;
    if required == 0 {
        return Ok(());
    }
    for (which, vector) in [(TcbKind::Launch, claims.launch_mitigations), (TcbKind::Current, claims.current_mitigations)] {
        let reported = vector.ok_or(Rejection::MitigationsUnknown { reported: claims.report_version, required })?;
        demand(reported & required == required, || Rejection::MitigationsMissing { which, reported, required })?;
    }
    Ok(())
}

/// Every part of `tcb` is at least that of `minimum`; the parts are not ordered against each other.
fn reaches(tcb: &SnpTcb, minimum: &SnpTcb) -> bool {
    tcb.fmc >= minimum.fmc
        && tcb.boot_loader >= minimum.boot_loader
        && tcb.tee >= minimum.tee
        && tcb.snp >= minimum.snp
        && tcb.microcode >= minimum.microcode
}

fn revocation(claims: &SnpClaims, rules: &SnpRules) -> Result<(), Rejection> {
    match (rules.revocation, claims.revocation) {
        (RevocationRule::BestEffort, _) | (RevocationRule::Required, Revocation::Current { .. }) => Ok(()),
        _ if left_out(Defence::RevocationLists) => Ok(()),
        (RevocationRule::Required, found) => Err(Rejection::RevocationUnknown { found }),
    }
}

fn build<'p>(claims: &SnpClaims, policy: Rules<'p>) -> Result<&'p Measurement, Rejection> {
    let reported = claims.measurement;
    let known = policy.measurements.iter().find(|build| build.snp.contains(&reported));
    let build = known.ok_or(Rejection::MeasurementUnknown { reported })?;
    new_enough(build, policy)?;
    Ok(build)
}

fn identity(claims: &SnpClaims, policy: Rules<'_>) -> Result<(), Rejection> {
    let rules = policy.snp;
    let (reported, required) = (claims.id_key_digest, rules.id_key_digest);
    demand(reported == required, || Rejection::IdKey { reported, required })?;
    let (used, reported) = (claims.author_key_used, claims.author_key_digest);
    demand(used == (reported != MeasurementRegister([0; 48])), || Rejection::AuthorKeyFlag { used, reported })?;
    let (reported, required) = (claims.author_key_digest, rules.author_key_digest);
    demand(reported == required, || Rejection::AuthorKey { reported, required })?;
    let (reported, required) = (claims.family_id, rules.family_id);
    demand(reported == required, || Rejection::FamilyId { reported, required })?;
    let (reported, required) = (claims.image_id, rules.image_id);
    demand(reported == required, || Rejection::ImageId { reported, required })?;
    let (reported, required) = (claims.guest_svn, policy.min_svn);
    let id_block_used = rules.id_key_digest != MeasurementRegister([0; 48]);
    demand(!id_block_used || reported >= required, || Rejection::GuestSvnTooLow { reported, required })
}
