//! From the policy document to TOML.
//!
//! Decides: one layout, every field in it, nothing left out because it is empty; reading the text gives the same document again.
//! Every record is taken apart in full, so that a field added to the wire does not compile until it is written here.
//! Trusts: the document's own bounds. Out of scope: comments (`template.toml` has them).

use super::names::{Bits, GUEST_POLICY, MITIGATIONS, Named, PLATFORM_INFO, TD_ATTRIBUTES, XFAM};
use ringwall_wire::policy::{
    BootEvent, EndorseRule, Governance, Measurement, PolicyDoc, ReleaseRule, ReleaseSigners, SessionRules, SlotRule, SnpProductRule,
    SnpRules, SnpTcb, TdxReplay, TdxRules, TdxTuple,
};
use ringwall_wire::text::hex;
use ringwall_wire::workload::{ConfigList, ConfigRule, GrantPolicy};
use std::fmt::{Display, Write as _};

/// Longest array that stands on one line, in characters.
const ONE_LINE: usize = 90;

/// A policy as TOML. [`from_toml`](super::from_toml) gives the same document, as long as it repeats no entry.
pub fn to_toml(policy: &PolicyDoc) -> String {
    let PolicyDoc { version, trust_domain, measurements, min_svn, snp, tdx, slots, endorse, session, platform_unseal, release, governance } =
        policy;
    let mut page = Page(String::from("# Ringwall appraisal policy. `ringwall policy new` explains every field.\n\n"));
    page.value("version", version);
    page.quoted("trust_domain", trust_domain.name());
    page.value("min_svn", min_svn);
    page.quoted("platform_unseal", platform_unseal.name());
    // An empty list of tables has no header, so it stands before the first one.
    page.empty_tables("measurements", measurements.is_empty());
    page.empty_tables("slots", slots.is_empty());
    for build in measurements.iter() {
        page.measurement(build);
    }
    for slot in slots.iter() {
        let SlotRule { slot, vendors, failure_domain } = slot;
        page.header("[[slots]]");
        page.value("slot", slot);
        page.array("vendors", vendors.iter().map(|vendor| string(vendor.name())));
        page.quoted("failure_domain", failure_domain);
    }
    page.snp(snp);
    page.tdx(tdx);
    let EndorseRule { min_endorsers, other_vendor } = endorse;
    page.header("[endorse]");
    page.value("min_endorsers", min_endorsers);
    page.value("other_vendor", other_vendor);
    let SessionRules { reattest_s, standing_period_s } = session;
    page.header("[session]");
    page.value("reattest_s", reattest_s);
    page.value("standing_period_s", standing_period_s);
    page.release(release);
    let Governance { keys, threshold, timelock_s, lease_s } = governance;
    page.header("[governance]");
    page.array("keys", keys.iter().map(quote));
    page.value("threshold", threshold);
    page.value("timelock_s", timelock_s);
    page.value("lease_s", lease_s);
    page.0
}

/// One table of boot events as TOML, to stand behind the measurement it belongs to.
pub fn replay_to_toml(replay: &TdxReplay) -> String {
    let mut page = Page(String::new());
    page.replay(replay);
    page.0
}

/// One build as TOML, to stand among the `measurements` of a policy.
pub fn measurement_to_toml(build: &Measurement) -> String {
    let mut page = Page(String::new());
    page.measurement(build);
    page.0
}

/// A TOML string.
fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value that is shown as hex, in quotes.
fn quote(bytes: impl Display) -> String {
    format!("\"{bytes}\"")
}

pub(super) struct Page(String);

impl Page {
    /// A page that begins with these words.
    pub(super) fn new(words: &str) -> Self {
        Page(words.to_owned())
    }

    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// What a grant policy has in front of its rules.
    pub(super) fn opening(&mut self, policy: &GrantPolicy) {
        let GrantPolicy { name, version, trust_domain, measurements, min_svn, grants_per_minute, config: _, snp: _, tdx: _ } = policy;
        self.quoted("name", name);
        self.value("version", version);
        self.quoted("trust_domain", trust_domain.name());
        self.value("min_svn", min_svn);
        self.value("grants_per_minute", grants_per_minute);
        self.empty_tables("measurements", measurements.is_empty());
        measurements.iter().for_each(|build| self.measurement(build));
    }

    /// What a workload must have been started with.
    pub(super) fn config(&mut self, rule: &ConfigRule) {
        self.header("[config]");
        let ConfigRule::Listed(ConfigList { host_data, mr_config_id }) = rule else { return self.value("listed", false) };
        self.value("listed", true);
        self.array("host_data", host_data.iter().map(quote));
        self.array("mr_config_id", mr_config_id.iter().map(quote));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to a String does not fail");
        self.0.push('\n');
    }

    fn header(&mut self, text: &str) {
        self.line(format_args!("\n{text}"));
    }

    fn value(&mut self, key: &str, value: impl Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn quoted(&mut self, key: &str, text: &str) {
        self.line(format_args!("{key} = {}", string(text)));
    }

    fn array(&mut self, key: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.collect();
        let line = format!("{key} = [{}]", items.join(", "));
        match line.chars().count() <= ONE_LINE {
            true => self.line(format_args!("{line}")),
            false => self.line(format_args!("{key} = [\n    {},\n]", items.join(",\n    "))),
        }
    }

    fn bits(&mut self, key: &str, known: &Bits, value: u64) {
        self.array(key, known.names(value).iter().map(|name| string(name)));
    }

    fn empty_tables(&mut self, key: &str, empty: bool) {
        if empty {
            self.value(key, "[]");
        }
    }

    fn measurement(&mut self, build: &Measurement) {
        let Measurement { id, svn, snp, tdx, tdx_replays } = build;
        self.header("[[measurements]]");
        self.quoted("id", id);
        self.value("svn", svn);
        self.array("snp", snp.iter().map(quote));
        self.empty_tables("tdx", tdx.is_empty());
        self.empty_tables("tdx_replays", tdx_replays.is_empty());
        for TdxTuple { mrtd, rtmr0, rtmr1, rtmr2 } in tdx.iter() {
            self.header("[[measurements.tdx]]");
            for (key, register) in [("mrtd", mrtd), ("rtmr0", rtmr0), ("rtmr1", rtmr1), ("rtmr2", rtmr2)] {
                self.value(key, quote(register));
            }
        }
        tdx_replays.iter().for_each(|replay| self.replay(replay));
    }

    fn replay(&mut self, TdxReplay { mrtd, events }: &TdxReplay) {
        self.header("[[measurements.tdx_replays]]");
        self.value("mrtd", quote(mrtd));
        self.empty_tables("events", events.is_empty());
        for BootEvent { register, event_type, digests, presence, label } in events.iter() {
            self.header("[[measurements.tdx_replays.events]]");
            self.quoted("register", register.name());
            self.value("event_type", format!("{event_type:#x}"));
            self.array("digests", digests.iter().map(quote));
            self.quoted("presence", presence.name());
            self.quoted("label", label);
        }
    }

    pub(super) fn snp(&mut self, rules: &SnpRules) {
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
        } = rules;
        self.header("[snp]");
        self.array("report_versions", report_versions.iter().map(u32::to_string));
        self.array("chips", chips.iter().map(quote));
        self.array("denied_chips", denied_chips.iter().map(quote));
        self.value("vmpl", vmpl);
        self.bits("policy_required", &GUEST_POLICY, *policy_required);
        self.bits("policy_allowed", &GUEST_POLICY, *policy_allowed);
        self.value("min_abi_major", min_abi_major);
        self.value("min_abi_minor", min_abi_minor);
        self.bits("platform_required", &PLATFORM_INFO, *platform_required);
        self.bits("platform_allowed", &PLATFORM_INFO, *platform_allowed);
        self.value("id_key_digest", quote(id_key_digest));
        self.value("author_key_digest", quote(author_key_digest));
        self.value("family_id", quote(hex(family_id)));
        self.value("image_id", quote(hex(image_id)));
        self.value("allow_vlek", allow_vlek);
        self.quoted("revocation", revocation.name());
        self.empty_tables("products", products.is_empty());
        for SnpProductRule { product, min_tcb, required_mitigations } in products.iter() {
            let SnpTcb { fmc, boot_loader, tee, snp, microcode } = min_tcb;
            self.header("[[snp.products]]");
            self.quoted("product", product.name());
            let tcb = format!("{{ fmc = {fmc}, boot_loader = {boot_loader}, tee = {tee}, snp = {snp}, microcode = {microcode} }}");
            self.value("min_tcb", tcb);
            self.bits("required_mitigations", &MITIGATIONS, *required_mitigations);
        }
    }

    pub(super) fn tdx(&mut self, rules: &TdxRules) {
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
        } = rules;
        self.header("[tdx]");
        self.array("fmspcs", fmspcs.iter().map(quote));
        self.array("platforms", platforms.iter().map(quote));
        self.array("denied_platforms", denied_platforms.iter().map(quote));
        self.value("min_tcb_evaluation", min_tcb_evaluation);
        self.array("statuses", statuses.iter().map(|status| string(status.name())));
        self.array("denied_advisories", denied_advisories.iter().map(|advisory| string(advisory)));
        self.array("mr_seams", mr_seams.iter().map(quote));
        self.bits("attributes_required", &TD_ATTRIBUTES, *attributes_required);
        self.bits("attributes_allowed", &TD_ATTRIBUTES, *attributes_allowed);
        self.bits("xfam_allowed", &XFAM, *xfam_allowed);
        self.value("rtmr3", quote(rtmr3));
        self.value("mr_owner", quote(mr_owner));
        self.value("mr_owner_config", quote(mr_owner_config));
        self.value("allow_dynamic_platform", allow_dynamic_platform);
        self.value("allow_cached_keys", allow_cached_keys);
        self.value("allow_smt", allow_smt);
    }

    fn release(&mut self, rule: &ReleaseRule) {
        self.header("[release]");
        let ReleaseRule::Demanded(rule) = rule else { return self.value("demanded", false) };
        let ReleaseSigners { signers, signer_threshold, trusted_root, witnesses, witness_threshold, log, max_checkpoint_age_s } = rule;
        self.value("demanded", true);
        self.array("signers", signers.iter().map(|signer| string(signer)));
        self.value("signer_threshold", signer_threshold);
        self.value("trusted_root", quote(trusted_root.map_or_else(String::new, |digest| digest.to_string())));
        self.array("witnesses", witnesses.iter().map(|witness| string(witness)));
        self.value("witness_threshold", witness_threshold);
        self.quoted("log", log);
        self.value("max_checkpoint_age_s", max_checkpoint_age_s);
    }
}
