//! What never falls, whoever signs: slots, the least security version, firmware floors, and builds below the least security version.
//!
//! Decides: a change that would take any of these back is refused, even one all governors approved: an attacker who holds their keys for a day cannot
//! bring a known hole back. A floor of an AMD family that leaves the policy is forgotten with it; taking the family in again is a loosening that waits.
//! Trusts: both documents to be canonical. Out of scope: approvals (`approval.rs`), kinds of change (`policy/compare.rs`). Protocol section 8, "Changes".

use super::ChangeError;
use crate::policy::names::Named as _;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use ringwall_wire::codec::Field as _;
use ringwall_wire::policy::{Measurement, PolicyDoc, SnpProductRule, SnpTcb};

/// Refuses what would fall.
pub(super) fn judge(in_force: &PolicyDoc, offered: &PolicyDoc) -> Result<(), ChangeError> {
    if offered.slots != in_force.slots {
        return Err(ChangeError::SlotsChanged);
    }
    if offered.min_svn < in_force.min_svn {
        return Err(ChangeError::SvnFell { offered: offered.min_svn, in_force: in_force.min_svn });
    }
    for rule in in_force.snp.products.iter() {
        offered.snp.products.iter().filter(|other| other.product == rule.product).try_for_each(|other| family(rule, other))?;
    }
    floor(|| "tdx.min_tcb_evaluation".into(), in_force.tdx.min_tcb_evaluation, offered.tdx.min_tcb_evaluation)?;
    builds(in_force, offered)
}

fn family(in_force: &SnpProductRule, offered: &SnpProductRule) -> Result<(), ChangeError> {
    let SnpTcb { fmc, boot_loader, tee, snp, microcode } = in_force.min_tcb;
    let parts = [
        ("fmc", fmc, offered.min_tcb.fmc),
        ("boot_loader", boot_loader, offered.min_tcb.boot_loader),
        ("tee", tee, offered.min_tcb.tee),
        ("snp", snp, offered.min_tcb.snp),
        ("microcode", microcode, offered.min_tcb.microcode),
    ];
    let name = |part: &str| format!("snp.products.{}.min_tcb.{part}", in_force.product.name());
    parts.into_iter().try_for_each(|(part, old, new)| floor(|| name(part), u32::from(old), u32::from(new)))
}

fn floor(name: impl FnOnce() -> alloc::string::String, in_force: u32, offered: u32) -> Result<(), ChangeError> {
    match offered >= in_force {
        true => Ok(()),
        false => Err(ChangeError::FloorFell { floor: name(), offered, in_force }),
    }
}

/// No build comes in below the least security version, and none that is below it is called a newer one.
fn builds(in_force: &PolicyDoc, offered: &PolicyDoc) -> Result<(), ChangeError> {
    let min_svn = offered.min_svn;
    let refused = |build: &Measurement| ChangeError::BuildBelowSvn { build: build.id.to_string(), svn: build.svn, min_svn };
    let old = in_force.measurements.iter().filter(|build| build.svn < min_svn).flat_map(entries);
    let below: BTreeSet<Vec<u8>> = old.collect();
    for build in offered.measurements.iter() {
        let known = || entries(build).any(|entry| below.contains(&entry));
        let stays = || in_force.measurements.contains(build);
        if (build.svn < min_svn && !stays()) || (build.svn >= min_svn && known()) {
            return Err(refused(build));
        }
    }
    Ok(())
}

/// What a build is recognised by, each in bytes no other kind has.
fn entries(build: &Measurement) -> impl Iterator<Item = Vec<u8>> {
    let Measurement { id: _, svn: _, snp, tdx, tdx_replays } = build;
    let tagged = |tag: u8, bytes: Vec<u8>| [&[tag], bytes.as_slice()].concat();
    let snp = snp.iter().map(move |digest| tagged(1, digest.to_bytes()));
    let tdx = tdx.iter().map(move |tuple| tagged(2, tuple.to_bytes()));
    snp.chain(tdx).chain(tdx_replays.iter().map(move |table| tagged(3, table.to_bytes())))
}
