//! What a change of a policy tightens and what it loosens.
//!
//! Decides: the kind of every difference. A change is a *loosening* when it may make some evidence acceptable that was not, or let more
//! people change the policy, or sooner: such a change waits for the old policy's delay. In doubt it is one: an exact value that changes
//! accepts what was refused, whichever way it moves. Every record is taken apart in full, so that no new field is forgotten. Where entries are repeated
//! or builds overlap, the first one decides, as it does when evidence is judged; whose signed statement evidence needs is `statements.rs`.
//! Trusts: nothing. Out of scope: who approved the change (`approval.rs`). Protocol section 8.

use super::names::{Bits, GUEST_POLICY, MITIGATIONS, Named, PLATFORM_INFO, TD_ATTRIBUTES, XFAM};
use super::statements;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt::Display;
use ringwall_wire::codec::Field;
use ringwall_wire::ids::TrustDomain;
use ringwall_wire::policy::{
    EndorseRule, Governance, Measurement, PlatformUnseal, PolicyDoc, ReleaseRule, ReleaseSigners, RevocationRule, SessionRules, SlotRule,
    SnpProductRule, SnpRules, SnpTcb, TdxReplay, TdxRules,
};
use sha2::{Digest as _, Sha256};

/// The edition of these rules. Replicas judge a change while they apply it and clients judge it again for ever, so builds whose answers differ must not
/// take themselves for the same: it rises with whatever gives some change another kind, or refuses or permits one it did not
/// ([`crate::governance::judge_change`]). `attest/tests/governance/kinds.rs` has the kinds of this edition.
pub const COMPARE_RULES: u16 = 2;

/// What a difference does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing about what is accepted.
    Neutral,
    /// Less is accepted.
    Tightening,
    /// More may be accepted.
    Loosening,
}

impl Change {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Change::Neutral => "neutral",
            Change::Tightening => "tightening",
            Change::Loosening => "loosening",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Path of the field.
    pub field: String,
    /// What it does.
    pub change: Change,
    /// For people.
    pub says: String,
}

/// Every difference from `old` to `new`, in the order of the document. The change as a whole is of the greatest kind among them.
pub fn compare(old: &PolicyDoc, new: &PolicyDoc) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    let PolicyDoc { version, trust_domain, measurements, min_svn, snp, tdx, slots, endorse, session, platform_unseal, release, governance } =
        old;
    let note = ": a version must rise, or an old policy could come back";
    match new.version.cmp(version) {
        Ordering::Greater => found.when(true, "version", Change::Neutral, || format!("{version} becomes {}", new.version)),
        Ordering::Less => found.when(true, "version", Change::Loosening, || format!("{version} becomes {}{note}", new.version)),
        Ordering::Equal => found.when(old != new, "version", Change::Neutral, || format!("stays {version}{note}")),
    }
    found.exact("trust_domain", &trust_domain.name(), &new.trust_domain.name());
    found.least("min_svn", *min_svn, new.min_svn);
    found.builds((measurements, *min_svn), (&new.measurements, new.min_svn));
    if let (ReleaseRule::Demanded(_), ReleaseRule::Demanded(_)) = (release, &new.release) {
        // Where no statement was demanded before, one that is demanded now takes nothing back.
        let moved = statements::moved((measurements, *min_svn), (&new.measurements, new.min_svn));
        moved.into_iter().for_each(|says| found.when(true, "measurements", Change::Loosening, || says));
    }
    found.snp(snp, &new.snp);
    found.tdx(tdx, &new.tdx);
    found.slots(slots, &new.slots);
    let EndorseRule { min_endorsers, other_vendor } = endorse;
    found.least("endorse.min_endorsers", *min_endorsers, new.endorse.min_endorsers);
    found.demand("endorse.other_vendor", *other_vendor, new.endorse.other_vendor);
    let SessionRules { reattest_s, standing_period_s } = session;
    found.most("session.reattest_s", *reattest_s, new.session.reattest_s);
    found.most("session.standing_period_s", *standing_period_s, new.session.standing_period_s);
    found.unseal(*platform_unseal, new.platform_unseal);
    found.release(release, &new.release, new.trust_domain);
    let Governance { keys, threshold, timelock_s, lease_s } = governance;
    found.set("governance.keys", keys, &new.governance.keys, |key| key.to_string());
    found.least("governance.threshold", *threshold, new.governance.threshold);
    found.least("governance.timelock_s", *timelock_s, new.governance.timelock_s);
    found.lease(*lease_s, new.governance.lease_s);
    if found.0.iter().all(|difference| difference.field == "version") {
        let plain = |policy: &PolicyDoc| PolicyDoc { version: *version, ..policy.clone() };
        found.when(plain(old) != plain(new), "order", Change::Neutral, || "entries stand in another order".into());
    }
    found.0
}

/// What the change from `old` to `new` does as a whole: the greatest kind among its differences.
pub fn change(old: &PolicyDoc, new: &PolicyDoc) -> Change {
    compare(old, new).into_iter().map(|difference| difference.change).max().unwrap_or(Change::Neutral)
}

struct Found(Vec<Difference>);

impl Found {
    fn when(&mut self, differs: bool, field: impl Into<String>, change: Change, says: impl FnOnce() -> String) {
        if differs {
            self.0.push(Difference { field: field.into(), change, says: says() });
        }
    }

    /// A value that must match exactly: any other one accepts what was refused.
    fn exact<T: PartialEq + Display>(&mut self, field: &str, old: &T, new: &T) {
        self.when(old != new, field, Change::Loosening, || format!("{old} becomes {new}"));
    }

    /// A least value.
    fn least<T: PartialOrd + Display + Copy>(&mut self, field: &str, old: T, new: T) {
        let change = if new < old { Change::Loosening } else { Change::Tightening };
        self.when(old != new, field, change, || format!("{old} becomes {new}"));
    }

    /// A greatest value.
    fn most<T: PartialOrd + Display + Copy>(&mut self, field: &str, old: T, new: T) {
        let change = if new > old { Change::Loosening } else { Change::Tightening };
        self.when(old != new, field, change, || format!("{old} becomes {new}"));
    }

    /// A demand that is on or off.
    fn demand(&mut self, field: &str, old: bool, new: bool) {
        let change = if new { Change::Tightening } else { Change::Loosening };
        self.when(old != new, field, change, || format!("{old} becomes {new}"));
    }

    /// An allowance that is on or off.
    fn allowance(&mut self, field: &str, old: bool, new: bool) {
        let change = if new { Change::Loosening } else { Change::Tightening };
        self.when(old != new, field, change, || format!("{old} becomes {new}"));
    }

    /// Who may open the keys after a total outage.
    fn unseal(&mut self, old: PlatformUnseal, new: PlatformUnseal) {
        let change = if new == PlatformUnseal::Never { Change::Tightening } else { Change::Loosening };
        self.when(old != new, "platform_unseal", change, || format!("{} becomes {}", old.name(), new.name()));
    }

    /// How long members grant keys without a word of the governors; 0 is for ever.
    fn lease(&mut self, old: u32, new: u32) {
        let most = |seconds: u32| if seconds == 0 { u64::MAX } else { u64::from(seconds) };
        let change = if most(new) > most(old) { Change::Loosening } else { Change::Tightening };
        self.when(old != new, "governance.lease_s", change, || format!("{old} becomes {new}"));
    }

    /// A list of what is accepted.
    fn set<T>(&mut self, field: &str, old: &[T], new: &[T], name: impl Fn(&T) -> String) {
        let (old, new): (Vec<String>, Vec<String>) = (old.iter().map(&name).collect(), new.iter().map(&name).collect());
        for gone in old.iter().filter(|item| !new.contains(item)) {
            self.when(true, field, Change::Tightening, || format!("{gone} is taken off"));
        }
        for added in new.iter().filter(|item| !old.contains(item)) {
            self.when(true, field, Change::Loosening, || format!("{added} is added"));
        }
    }

    /// A list of what is refused.
    fn denied<T>(&mut self, field: &str, old: &[T], new: &[T], name: impl Fn(&T) -> String) {
        let (old, new): (Vec<String>, Vec<String>) = (old.iter().map(&name).collect(), new.iter().map(&name).collect());
        for gone in old.iter().filter(|item| !new.contains(item)) {
            self.when(true, field, Change::Loosening, || format!("{gone} no longer refuses"));
        }
        for added in new.iter().filter(|item| !old.contains(item)) {
            self.when(true, field, Change::Tightening, || format!("{added} refuses now"));
        }
    }

    /// Bits that must be set.
    fn required(&mut self, field: &str, old: u64, new: u64, names: &Bits) {
        for name in names.names(old & !new) {
            self.when(true, field, Change::Loosening, || format!("{name} is no longer demanded"));
        }
        for name in names.names(new & !old) {
            self.when(true, field, Change::Tightening, || format!("{name} is demanded now"));
        }
    }

    /// Bits that may be set.
    fn allowed(&mut self, field: &str, old: u64, new: u64, names: &Bits) {
        for name in names.names(old & !new) {
            self.when(true, field, Change::Tightening, || format!("{name} is no longer allowed"));
        }
        for name in names.names(new & !old) {
            self.when(true, field, Change::Loosening, || format!("{name} is allowed now"));
        }
    }

    /// Builds by what they accept: a digest counts when its build is new enough.
    fn builds(&mut self, old: (&[Measurement], u32), new: (&[Measurement], u32)) {
        let (accepted_old, accepted_new) = (accepted(old.0, old.1), accepted(new.0, new.1));
        for (vendor, entry, id) in accepted_old.iter().filter(|entry| !holds(&accepted_new, entry)) {
            let says = || format!("{vendor} measurement {entry} of build \"{id}\" is no longer accepted");
            self.when(true, "measurements", Change::Tightening, says);
        }
        for (vendor, entry, id) in accepted_new.iter().filter(|entry| !holds(&accepted_old, entry)) {
            let says = || format!("{vendor} measurement {entry} of build \"{id}\" is accepted now");
            self.when(true, "measurements", Change::Loosening, says);
        }
        let (shadows_old, shadows_new) = (Shadows::of(old.0, old.1), Shadows::of(new.0, new.1));
        self.when(shadows_old.give_way_to(&shadows_new), "measurements", Change::Loosening, || {
            "entries of builds below the least security version no longer stand before tables of boot events that are accepted".into()
        });
        // What is left are names and versions of builds without an effect today.
        let plain = |builds: &[Measurement]| builds.iter().map(|build| (build.id.to_string(), build.svn)).collect::<Vec<_>>();
        let (before, after) = (plain(old.0), plain(new.0));
        for (id, svn) in after.iter().filter(|build| !before.contains(build)) {
            self.when(true, "measurements", Change::Neutral, || format!("build \"{id}\" is listed with security version {svn}"));
        }
        for (id, svn) in before.iter().filter(|build| !after.contains(build)) {
            let says = || format!("build \"{id}\" with security version {svn} is no longer listed");
            self.when(true, "measurements", Change::Neutral, says);
        }
    }

    fn snp(&mut self, old: &SnpRules, new: &SnpRules) {
        let SnpRules {
            report_versions,
            products,
            chips,
            denied_chips,
            vmpl,
            policy_required,
            policy_allowed,
            min_abi_major,
            min_abi_minor,
            platform_required,
            platform_allowed,
            id_key_digest,
            author_key_digest,
            family_id,
            image_id,
            allow_vlek,
            revocation,
        } = old;
        let hex = |id: &[u8; 16]| ringwall_wire::text::hex(id);
        self.set("snp.report_versions", report_versions, &new.report_versions, u32::to_string);
        self.products(products, &new.products);
        self.set("snp.chips", chips, &new.chips, ToString::to_string);
        self.denied("snp.denied_chips", denied_chips, &new.denied_chips, ToString::to_string);
        self.exact("snp.vmpl", vmpl, &new.vmpl);
        self.required("snp.policy_required", *policy_required, new.policy_required, &GUEST_POLICY);
        self.allowed("snp.policy_allowed", *policy_allowed, new.policy_allowed, &GUEST_POLICY);
        let (before, after) = ((min_abi_major, min_abi_minor), (&new.min_abi_major, &new.min_abi_minor));
        let change = if after < before { Change::Loosening } else { Change::Tightening };
        self.when(before != after, "snp.min_abi_major", change, || format!("{}.{} becomes {}.{}", before.0, before.1, after.0, after.1));
        self.required("snp.platform_required", *platform_required, new.platform_required, &PLATFORM_INFO);
        self.allowed("snp.platform_allowed", *platform_allowed, new.platform_allowed, &PLATFORM_INFO);
        self.exact("snp.id_key_digest", id_key_digest, &new.id_key_digest);
        self.exact("snp.author_key_digest", author_key_digest, &new.author_key_digest);
        self.exact("snp.family_id", &hex(family_id), &hex(&new.family_id));
        self.exact("snp.image_id", &hex(image_id), &hex(&new.image_id));
        self.allowance("snp.allow_vlek", *allow_vlek, new.allow_vlek);
        let change = if new.revocation == RevocationRule::Required { Change::Tightening } else { Change::Loosening };
        let says = || format!("{} becomes {}", revocation.name(), new.revocation.name());
        self.when(*revocation != new.revocation, "snp.revocation", change, says);
    }

    fn products(&mut self, old: &[SnpProductRule], new: &[SnpProductRule]) {
        self.set("snp.products", old, new, |rule| rule.product.name().into());
        for SnpProductRule { product, min_tcb, required_mitigations } in old {
            let Some(after) = new.iter().find(|rule| rule.product == *product) else { continue };
            let SnpTcb { fmc, boot_loader, tee, snp, microcode } = min_tcb;
            for (part, old, new) in [
                ("fmc", fmc, after.min_tcb.fmc),
                ("boot_loader", boot_loader, after.min_tcb.boot_loader),
                ("tee", tee, after.min_tcb.tee),
                ("snp", snp, after.min_tcb.snp),
                ("microcode", microcode, after.min_tcb.microcode),
            ] {
                self.least(&format!("snp.products.{}.min_tcb.{part}", product.name()), *old, new);
            }
            let field = format!("snp.products.{}.required_mitigations", product.name());
            self.required(&field, *required_mitigations, after.required_mitigations, &MITIGATIONS);
        }
    }

    fn tdx(&mut self, old: &TdxRules, new: &TdxRules) {
        let TdxRules {
            fmspcs,
            platforms,
            denied_platforms,
            min_tcb_evaluation,
            statuses,
            denied_advisories,
            mr_seams,
            attributes_required,
            attributes_allowed,
            xfam_allowed,
            rtmr3,
            mr_owner,
            mr_owner_config,
            allow_dynamic_platform,
            allow_cached_keys,
            allow_smt,
        } = old;
        self.set("tdx.fmspcs", fmspcs, &new.fmspcs, ToString::to_string);
        self.set("tdx.platforms", platforms, &new.platforms, ToString::to_string);
        self.denied("tdx.denied_platforms", denied_platforms, &new.denied_platforms, ToString::to_string);
        self.least("tdx.min_tcb_evaluation", *min_tcb_evaluation, new.min_tcb_evaluation);
        self.set("tdx.statuses", statuses, &new.statuses, |status| status.name().into());
        self.denied("tdx.denied_advisories", denied_advisories, &new.denied_advisories, |advisory| advisory.to_ascii_uppercase());
        match (mr_seams.is_empty(), new.mr_seams.is_empty()) {
            (false, true) => self.when(true, "tdx.mr_seams", Change::Loosening, || "any TDX module Intel lists is accepted now".into()),
            (true, false) => self.when(true, "tdx.mr_seams", Change::Tightening, || "only listed TDX modules are accepted now".into()),
            _ => self.set("tdx.mr_seams", mr_seams, &new.mr_seams, ToString::to_string),
        }
        self.required("tdx.attributes_required", *attributes_required, new.attributes_required, &TD_ATTRIBUTES);
        self.allowed("tdx.attributes_allowed", *attributes_allowed, new.attributes_allowed, &TD_ATTRIBUTES);
        self.allowed("tdx.xfam_allowed", *xfam_allowed, new.xfam_allowed, &XFAM);
        self.exact("tdx.rtmr3", rtmr3, &new.rtmr3);
        self.exact("tdx.mr_owner", mr_owner, &new.mr_owner);
        self.exact("tdx.mr_owner_config", mr_owner_config, &new.mr_owner_config);
        self.allowance("tdx.allow_dynamic_platform", *allow_dynamic_platform, new.allow_dynamic_platform);
        self.allowance("tdx.allow_cached_keys", *allow_cached_keys, new.allow_cached_keys);
        self.allowance("tdx.allow_smt", *allow_smt, new.allow_smt);
    }

    fn slots(&mut self, old: &[SlotRule], new: &[SlotRule]) {
        self.set("slots", old, new, |slot| format!("place {}", slot.slot));
        for SlotRule { slot, vendors, failure_domain } in old {
            let Some(after) = new.iter().find(|rule| rule.slot == *slot) else { continue };
            self.set(&format!("slots.{slot}.vendors"), vendors, &after.vendors, ToString::to_string);
            let moved = *failure_domain != after.failure_domain;
            let says = || format!("\"{failure_domain}\" becomes \"{}\"", after.failure_domain);
            self.when(moved, format!("slots.{slot}.failure_domain"), Change::Neutral, says);
        }
    }

    fn release(&mut self, old: &ReleaseRule, new: &ReleaseRule, domain: TrustDomain) {
        let demanded = |rule: &ReleaseRule| matches!(rule, ReleaseRule::Demanded(_));
        // Production accepts nothing where no proof is demanded.
        if domain == TrustDomain::Production && !demanded(old) && demanded(new) {
            self.when(true, "release.demanded", Change::Loosening, || "evidence is accepted at all now, with a proof of release".into());
        } else {
            self.demand("release.demanded", demanded(old), demanded(new));
        }
        let (ReleaseRule::Demanded(old), ReleaseRule::Demanded(new)) = (old, new) else { return };
        let ReleaseSigners { signers, signer_threshold, trusted_root, witnesses, witness_threshold, log, max_checkpoint_age_s } = old;
        self.set("release.signers", signers, &new.signers, ToString::to_string);
        self.least("release.signer_threshold", *signer_threshold, new.signer_threshold);
        let root = |root: &Option<_>| root.map_or_else(|| String::from("none"), |digest: ringwall_wire::ids::Digest| digest.to_string());
        self.exact("release.trusted_root", &root(trusted_root), &root(&new.trusted_root));
        self.set("release.witnesses", witnesses, &new.witnesses, ToString::to_string);
        self.least("release.witness_threshold", *witness_threshold, new.witness_threshold);
        self.exact("release.log", log, &new.log);
        self.most("release.max_checkpoint_age_s", *max_checkpoint_age_s, new.max_checkpoint_age_s);
    }
}

/// A measurement that is accepted: vendor, digest or tuple, name of its build.
type Accepted = (&'static str, String, String);

/// What these builds accept: of several entries for one thing the first one's build decides.
fn accepted(builds: &[Measurement], min_svn: u32) -> Vec<Accepted> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for Measurement { id, svn, snp, tdx, tdx_replays } in builds {
        let snp = snp.iter().map(|digest| ("AMD", digest.to_string()));
        let tdx = tdx.iter().map(|registers| ("Intel", ringwall_wire::text::hex(&registers.to_bytes())));
        for (vendor, entry) in snp.chain(tdx).chain(tdx_replays.iter().map(|table| ("Intel", boot_table(table)))) {
            if seen.insert((vendor, entry.clone())) && *svn >= min_svn {
                found.push((vendor, entry, id.to_string()));
            }
        }
    }
    found
}

/// What a build below the least security version refuses although a table of another build would accept it: its tuples, which are looked for before
/// all tables, and its tables, which are looked at in the order of the document.
struct Shadows {
    tuples: BTreeSet<Vec<u8>>,
    /// Every table in order, and whether it is accepted.
    tables: Vec<(Vec<u8>, bool)>,
}

impl Shadows {
    fn of(builds: &[Measurement], min_svn: u32) -> Self {
        let below = builds.iter().filter(|build| build.svn < min_svn);
        let tuples = below.flat_map(|build| build.tdx.iter().map(Field::to_bytes)).collect();
        let of_build = |build: &Measurement| -> Vec<(Vec<u8>, bool)> {
            build.tdx_replays.iter().map(|table| (Sha256::digest(table.to_bytes()).to_vec(), build.svn >= min_svn)).collect()
        };
        Shadows { tuples, tables: builds.iter().flat_map(of_build).collect() }
    }

    fn place(&self, table: &[u8]) -> Option<usize> {
        self.tables.iter().position(|(known, _)| known == table)
    }

    /// Whether something stood before an accepted table of `new` and no longer does. That a table is added or accepted anew is told elsewhere.
    fn give_way_to(&self, new: &Shadows) -> bool {
        let accepted: Vec<&[u8]> = new.tables.iter().filter(|(_, accepted)| *accepted).map(|(table, _)| table.as_slice()).collect();
        if accepted.is_empty() {
            return false;
        }
        let moved = |table: &[u8]| {
            let (before, after) = (self.place(table), new.place(table));
            accepted.iter().any(|other| self.place(other) > before && new.place(other) < after)
        };
        let refused = self.tables.iter().filter(|(_, accepted)| !accepted).map(|(table, _)| table.as_slice());
        let gives_way = |table: &[u8]| !new.tables.iter().any(|(known, accepted)| known == table && !accepted) || moved(table);
        !self.tuples.is_subset(&new.tuples) || refused.into_iter().any(gives_way)
    }
}

/// A table of boot events, short for people and different for different tables.
fn boot_table(table: &TdxReplay) -> String {
    let digest = Sha256::digest(table.to_bytes());
    format!("MRTD {} with a table of {} boot events (SHA-256 {})", table.mrtd, table.events.len(), ringwall_wire::text::hex(&digest))
}

fn holds(list: &[Accepted], entry: &&Accepted) -> bool {
    list.iter().any(|(vendor, bytes, _)| (vendor, bytes) == (&entry.0, &entry.1))
}
