//! Entries that stand in a policy twice.
//!
//! Decides: a repeated entry is a mistake, never a second vote: of two rules for one product, or two builds with one digest, only the
//! first would count, and a person who edits the other would not notice. Applies to both forms of a policy.
//! Trusts: nothing. Out of scope: refusing (`read.rs`, `file.rs`).

use super::fault::quoted;
use super::names::Named as _;
use ringwall_wire::policy::{PolicyDoc, ReleaseRule};
use ringwall_wire::text::hex;
use std::collections::HashMap;

/// One entry that stands twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Again {
    /// Path of the later one.
    pub(super) key: String,
    /// What it is.
    pub(super) found: String,
    /// Path of the earlier one.
    pub(super) first: String,
}

/// The first repeated entry of `items`, given as path and the text that tells entries apart.
fn again(items: impl IntoIterator<Item = (String, String)>) -> Option<Again> {
    let mut seen: HashMap<String, String> = HashMap::new();
    for (key, entry) in items {
        if let Some(first) = seen.get(&entry) {
            return Some(Again { key, found: quoted(&entry), first: first.clone() });
        }
        seen.insert(entry, key);
    }
    None
}

/// The same for one list.
pub(super) fn within<T>(path: &str, items: &[T], entry: impl Fn(&T) -> String) -> Option<Again> {
    again(items.iter().enumerate().map(|(at, item)| (format!("{path}[{at}]"), entry(item))))
}

/// The first entry that stands twice.
pub(super) fn repeated(policy: &PolicyDoc) -> Option<Again> {
    let (snp, tdx) = (&policy.snp, &policy.tdx);
    let builds = || policy.measurements.iter().enumerate();
    // One digest names one build, so digests are compared across builds.
    let launches = builds().flat_map(|(at, build)| {
        let path = move |nth| format!("measurements[{at}].snp[{nth}]");
        build.snp.iter().enumerate().map(move |(nth, digest)| (path(nth), digest.to_string())).collect::<Vec<_>>()
    });
    let tuples = builds().flat_map(|(at, build)| {
        let path = move |nth| format!("measurements[{at}].tdx[{nth}]");
        let entry = |tuple| hex(&ringwall_wire::codec::Field::to_bytes(tuple));
        build.tdx.iter().enumerate().map(move |(nth, tuple)| (path(nth), entry(tuple))).collect::<Vec<_>>()
    });
    within("measurements", &policy.measurements, |build| build.id.to_string())
        .or_else(|| again(launches))
        .or_else(|| again(tuples))
        .or_else(|| within("slots", &policy.slots, |slot| slot.slot.to_string()))
        .or_else(|| {
            let mut slots = policy.slots.iter().enumerate();
            slots.find_map(|(at, slot)| within(&format!("slots[{at}].vendors"), &slot.vendors, |vendor| vendor.name().into()))
        })
        .or_else(|| within("snp.report_versions", &snp.report_versions, u32::to_string))
        .or_else(|| within("snp.products", &snp.products, |rule| rule.product.name().into()))
        .or_else(|| within("snp.chips", &snp.chips, ToString::to_string))
        .or_else(|| within("snp.denied_chips", &snp.denied_chips, ToString::to_string))
        .or_else(|| within("tdx.denied_platforms", &tdx.denied_platforms, ToString::to_string))
        .or_else(|| within("tdx.fmspcs", &tdx.fmspcs, ToString::to_string))
        .or_else(|| within("tdx.platforms", &tdx.platforms, ToString::to_string))
        .or_else(|| within("tdx.statuses", &tdx.statuses, |status| status.name().into()))
        .or_else(|| within("tdx.denied_advisories", &tdx.denied_advisories, |advisory| advisory.to_ascii_uppercase()))
        .or_else(|| within("tdx.mr_seams", &tdx.mr_seams, ToString::to_string))
        .or_else(|| match &policy.release {
            ReleaseRule::NotDemanded => None,
            ReleaseRule::Demanded(rule) => within("release.signers", &rule.signers, ToString::to_string)
                .or_else(|| within("release.witnesses", &rule.witnesses, ToString::to_string)),
        })
        .or_else(|| within("governance.keys", &policy.governance.keys, ToString::to_string))
}
