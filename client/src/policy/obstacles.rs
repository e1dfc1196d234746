//! Why a policy lets nothing in.
//!
//! Decides: which rules no machine at all can satisfy, because a list is empty or two rules contradict each other. An operator who forgot
//! a list learns it here and not from a cluster that refuses to found, or to change to it. Nothing found does not mean that a given machine is let in.
//! Trusts: the rules of `attest`, which these sentences follow. Out of scope: allowances that are dangerous (`dangers.rs`).
//! Protocol section 2.2.

use super::names::{Bits, GUEST_POLICY, PLATFORM_INFO, TD_ATTRIBUTES, XFAM};
use ringwall_attest::release::{Rule, RuleError};
use ringwall_wire::ids::{TrustDomain, Vendor};
use ringwall_wire::policy::{ChipId, Governance, PolicyDoc, ReleaseRule, SnpRules, TdxRules};
use std::collections::BTreeSet;

/// Guest policy bits no machine may have: DEBUG, MIGRATE_MA.
pub(super) const GUEST_REFUSED: u64 = 1 << 19 | 1 << 18;
/// The guest policy bit every machine has, whatever is allowed.
pub(super) const GUEST_ALWAYS: u64 = 1 << 17;
/// TD attribute bits no machine may have: the debug and profiling group, MIGRATABLE.
pub(super) const TD_REFUSED: u64 = 0xff | 1 << 29;
/// XFAM bits every TD has: X87, SSE.
pub(super) const XFAM_ALWAYS: u64 = 0b11;
/// First report version that tells mitigations.
pub(super) const TELLS_MITIGATIONS: u32 = 5;
/// Report versions the verifier reads.
const READABLE: [u32; 3] = [2, 3, 5];

/// What stands in the way of any machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// For machines of either vendor.
    pub either: Vec<String>,
    /// For AMD's.
    pub amd: Vec<String>,
    /// For Intel's.
    pub intel: Vec<String>,
}

impl Obstacles {
    /// Whether the document itself lets no machine in.
    pub fn lets_nothing_in(&self) -> bool {
        !self.either.is_empty() || (!self.amd.is_empty() && !self.intel.is_empty())
    }
}

/// Looks for rules that no machine can satisfy.
pub fn obstacles(policy: &PolicyDoc) -> Obstacles {
    let mut found = Obstacles { amd: snp(policy), intel: tdx(policy), ..Obstacles::default() };
    match (&policy.release, policy.trust_domain) {
        (ReleaseRule::NotDemanded, TrustDomain::Simulated) => {}
        (ReleaseRule::NotDemanded, TrustDomain::Production) => {
            found.either.push("`release.demanded` is false: a production policy without a proof of release is refused".into());
        }
        (ReleaseRule::Demanded(rule), _) => {
            for (what, list, threshold) in
                [("signer", rule.signers.len(), rule.signer_threshold), ("witness", rule.witnesses.len(), rule.witness_threshold)]
            {
                if usize::from(threshold) > list {
                    found.either.push(format!("`release.{what}_threshold` is {threshold} and {list} are listed: no proof can have them"));
                }
            }
            let counted = |error: &RuleError| matches!(error, RuleError::Threshold { threshold: 1.., .. });
            if let Some(error) = Rule::read(rule).err().filter(|error| !counted(error)) {
                found.either.push(format!("`release` proves nothing, so all evidence is refused: {error}"));
            }
        }
    }
    if policy.slots.is_empty() {
        found.either.push("`slots` is empty: the cluster has no place for any machine".into());
    }
    for (vendor, list) in [(Vendor::Amd, &mut found.amd), (Vendor::Intel, &mut found.intel)] {
        if !policy.slots.is_empty() && !policy.slots.iter().any(|slot| slot.vendors.contains(&vendor)) {
            list.push(format!("no slot may hold {vendor}"));
        }
    }
    found
}

/// Distinct keys of governors, when these can never approve anything. It is no obstacle to machines, and as a change members refuse it.
pub(super) fn ungovernable(governance: &Governance) -> Option<usize> {
    let distinct = governance.keys.iter().collect::<BTreeSet<_>>().len();
    (governance.threshold == 0 || usize::from(governance.threshold) > distinct).then_some(distinct)
}

/// The sentence for required bits that are not allowed, if there are any.
fn contradiction(field: &str, required: u64, allowed: u64, names: &Bits) -> Option<String> {
    let forbidden = required & !allowed;
    (forbidden != 0).then(|| format!("`{field}_required` demands {} which `{field}_allowed` forbids", names.names(forbidden).join(", ")))
}

/// The sentence for required bits that are always refused, if there are any.
fn refused(field: &str, required: u64, refused: u64, names: &Bits) -> Option<String> {
    let both = required & refused;
    (both != 0).then(|| format!("`{field}_required` demands {}, with which every machine is refused", names.names(both).join(", ")))
}

fn empty(field: &str, is_empty: bool, nothing: &str) -> Option<String> {
    is_empty.then(|| format!("`{field}` is empty: {nothing}"))
}

fn snp(policy: &PolicyDoc) -> Vec<String> {
    let rules = &policy.snp;
    let SnpRules { report_versions, products, chips, denied_chips, policy_required, policy_allowed, .. } = rules;
    let known = |version: &u32| READABLE.contains(version);
    let tells = report_versions.iter().any(|version| *version >= TELLS_MITIGATIONS && known(version));
    let newest = policy.measurements.iter().filter(|build| !build.snp.is_empty()).map(|build| build.svn).max();
    let below = |svn: u32| svn < policy.min_svn;
    let real = chips.iter().any(|chip| *chip != ChipId([0; 64]) && !denied_chips.contains(chip));
    let too_low = policy_required & 0xffff != 0;
    [
        empty("snp.report_versions", report_versions.is_empty(), "no report is read"),
        (!report_versions.is_empty() && !report_versions.iter().any(known))
            .then(|| format!("`snp.report_versions` names none of {READABLE:?}, the ones that are read")),
        empty("snp.products", products.is_empty(), "no family of chips is accepted"),
        empty("snp.chips", chips.is_empty(), "no chip is accepted"),
        (!chips.is_empty() && !real)
            .then(|| "every chip of `snp.chips` is refused: the masked chip id always, others by `snp.denied_chips`".into()),
        newest.is_none().then(|| "no build in `measurements` has an AMD launch digest".into()),
        newest.filter(|svn| below(*svn)).map(|svn| format!("the newest build has svn {svn}, `min_svn` is {}", policy.min_svn)),
        (!products.is_empty() && !tells && products.iter().all(|rule| rule.required_mitigations != 0))
            .then(|| "every product demands mitigations, and no report version that tells them (5) is accepted".into()),
        too_low.then(|| "`snp.policy_required` demands bits 0 to 15, which hold the version and are no flags".into()),
        contradiction("snp.policy", *policy_required & !0xffff, *policy_allowed | GUEST_ALWAYS, &GUEST_POLICY),
        refused("snp.policy", *policy_required, GUEST_REFUSED, &GUEST_POLICY),
        contradiction("snp.platform", rules.platform_required, rules.platform_allowed, &PLATFORM_INFO),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn tdx(policy: &PolicyDoc) -> Vec<String> {
    let rules = &policy.tdx;
    let TdxRules { fmspcs, platforms, statuses, attributes_required, attributes_allowed, xfam_allowed, .. } = rules;
    let newest =
        policy.measurements.iter().filter(|build| !build.tdx.is_empty() || !build.tdx_replays.is_empty()).map(|build| build.svn).max();
    let missing = XFAM_ALWAYS & !xfam_allowed;
    [
        empty("tdx.fmspcs", fmspcs.is_empty(), "no family of platforms is accepted"),
        empty("tdx.platforms", platforms.is_empty(), "no platform is accepted"),
        empty("tdx.statuses", statuses.is_empty(), "nothing Intel says of a platform is accepted"),
        newest.is_none().then(|| "no build in `measurements` has Intel register tuples or boot events".into()),
        newest.filter(|svn| *svn < policy.min_svn).map(|svn| format!("the newest build has svn {svn}, `min_svn` is {}", policy.min_svn)),
        contradiction("tdx.attributes", *attributes_required, *attributes_allowed, &TD_ATTRIBUTES),
        refused("tdx.attributes", *attributes_required, TD_REFUSED, &TD_ATTRIBUTES),
        (missing != 0).then(|| format!("`tdx.xfam_allowed` lacks {}, which every TD has", XFAM.names(missing).join(", "))),
    ]
    .into_iter()
    .flatten()
    .collect()
}
