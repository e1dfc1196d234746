//! Allowances of a policy that weaken what it protects, called out by name.
//!
//! Decides: what counts as dangerous, and the sentence a person is told: what is accepted, and what that costs. The template has none but
//! those it says itself. Trusts: nothing. Out of scope: what is refused whatever a policy says (`explain.rs`), rules no machine satisfies
//! (`obstacles.rs`). Protocol sections 1.3 and 2.2.

use super::explain::Point;
use super::names::{Bits, GUEST_POLICY, Named as _, PLATFORM_INFO, TD_ATTRIBUTES, XFAM};
use super::obstacles::{TELLS_MITIGATIONS, ungovernable};
use ringwall_wire::ids::TrustDomain;
use ringwall_wire::policy::{PlatformUnseal, PolicyDoc, ReleaseRule, RevocationRule, SnpProduct, SnpRules, SnpTcb, TdxRules, TdxTcbStatus};

/// Longest time between two attestations that is no matter of note: one day, in seconds.
const DAY_S: u32 = 86_400;
/// Longest standing period that is no matter of note, in seconds.
const STANDING_S: u32 = 600;
/// Shortest delay of a loosening that is no matter of note: one day, in seconds.
const TIMELOCK_S: u32 = DAY_S;

/// Every dangerous allowance, in the order of the document.
pub fn dangers(policy: &PolicyDoc) -> Vec<Point> {
    let mut found = Vec::new();
    domain(policy, &mut found);
    snp(&policy.snp, &mut found);
    firmware(&policy.snp, &mut found);
    tdx(&policy.tdx, &mut found);
    cluster(policy, &mut found);
    change(policy, &mut found);
    found
}

fn tell(found: &mut Vec<Point>, holds: bool, field: &'static str, says: impl Into<String>, why: &str) {
    if holds {
        found.push(Point { field, says: says.into(), why: why.into() });
    }
}

fn domain(policy: &PolicyDoc, found: &mut Vec<Point>) {
    let simulated = policy.trust_domain == TrustDomain::Simulated;
    let why = "whoever runs the machine reads everything on it; use it for tests only";
    tell(found, simulated, "trust_domain", "accepts simulated TEEs, which protect nothing", why);
    let why = "a build found to be vulnerable cannot be shut out by raising this number";
    tell(found, policy.min_svn == 0, "min_svn", "sets no least security version", why);
}

/// Bits that may be set and have no name.
fn unknown(found: &mut Vec<Point>, field: &'static str, value: u64, names: &Bits) {
    let bits = names.unnamed(value);
    let says = format!("accepts {}, which the vendor had not defined when this program was made", names.names(bits).join(", "));
    tell(found, bits != 0, field, says, "nobody here knows what such a bit gives to the host");
}

fn snp(rules: &SnpRules, found: &mut Vec<Point>) {
    let allows = |at: u32| rules.policy_allowed >> at & 1 == 1;
    let demands = |at: u32| rules.policy_required >> at & 1 == 1;
    let platform = |bits: u64, at: u32| bits >> at & 1 == 1;
    let says = "accepts VLEK: the cloud provider, not the chip, holds the signing key";
    tell(
        found,
        rules.allow_vlek,
        "snp.allow_vlek",
        says,
        "the provider can sign for any machine, and the report does not tell which one it is",
    );
    let milan = rules.products.iter().any(|rule| rule.product == SnpProduct::Milan);
    let why = "one such chip in anybody's hands can sign any report under its own id; leave the family out";
    tell(found, milan, "snp.products", "accepts Milan, whose attestation keys can be extracted by software", why);
    let best_effort = rules.revocation == RevocationRule::BestEffort;
    let why = "who keeps the list away keeps a revoked key in use";
    tell(found, best_effort, "snp.revocation", "accepts evidence without a revocation list in force", why);
    let why = "the code that asked is not the most privileged one in the guest; what stands below it can read and change it";
    tell(found, rules.vmpl != 0, "snp.vmpl", format!("demands VMPL {}, not 0", rules.vmpl), why);
    let why = "a neighbour on the same core can measure what the guest computes";
    tell(found, allows(16), "snp.policy_allowed", "accepts guests that may run with hyper-threading (SMT)", why);
    let why = "the guest's memory may lie on a device outside the CPU's own memory";
    tell(found, allows(21), "snp.policy_allowed", "accepts guests with memory on CXL devices (CXL_ALLOW)", why);
    let why = "the older mode repeats ciphertext, which tells when memory returns to a value";
    tell(found, !demands(22), "snp.policy_required", "does not demand AES-256-XTS memory encryption (MEM_AES_256_XTS)", why);
    let why = "power readings tell what is computed";
    tell(found, !demands(23), "snp.policy_required", "does not demand that power readings are off (RAPL_DIS)", why);
    unknown(found, "snp.policy_allowed", rules.policy_allowed & !0xffff, &GUEST_POLICY);
    let why = "a memory module that lies about its size lets the host write to the guest's memory (BadRAM, AMD-SB-3015)";
    let required = rules.platform_required;
    tell(found, !platform(required, 5), "snp.platform_required", "does not demand the memory alias check (ALIAS_CHECK_COMPLETE)", why);
    let why = "a neighbour on the same core can measure what the guest computes";
    tell(found, platform(rules.platform_allowed, 0), "snp.platform_allowed", "accepts machines with hyper-threading (SMT_EN)", why);
    let why = "devices inside the guest's trust are attested by nobody here";
    tell(found, platform(rules.platform_allowed, 7), "snp.platform_allowed", "accepts machines with trusted devices (TIO_EN)", why);
    unknown(found, "snp.platform_allowed", rules.platform_allowed, &PLATFORM_INFO);
}

fn firmware(rules: &SnpRules, found: &mut Vec<Point>) {
    for rule in rules.products.iter() {
        let name = rule.product.name();
        let why = "firmware with published holes is accepted, and with it keys that were extracted through them";
        tell(found, rule.min_tcb == SnpTcb::default(), "snp.products", format!("sets no firmware floor for {name}"), why);
        let why = "whether the fixes behind these bits are in place is not asked";
        let says = format!("demands no mitigations of {name}");
        tell(found, rule.required_mitigations == 0, "snp.products", says, why);
    }
    let old = rules.report_versions.iter().any(|version| *version < 3);
    let why = "the report does not name the CPU, so its family is told by the certificate alone";
    tell(found, old, "snp.report_versions", "accepts reports of version 2", why);
    let undemanding = rules.products.iter().any(|rule| rule.required_mitigations == 0);
    let silent = undemanding && rules.report_versions.iter().any(|version| *version < TELLS_MITIGATIONS);
    let why = "such reports do not tell which fixes are in place";
    tell(found, silent, "snp.report_versions", "accepts reports of versions below 5", why);
}

/// What it means to accept a status of Intel's.
fn status_cost(status: TdxTcbStatus) -> &'static str {
    match status {
        TdxTcbStatus::UpToDate => "nothing is known against the platform",
        TdxTcbStatus::SwHardeningNeeded => "a known weakness has to be closed by the software inside, which nobody verifies",
        TdxTcbStatus::ConfigurationNeeded => "a known weakness stays open until the host changes its settings",
        TdxTcbStatus::ConfigurationAndSwHardeningNeeded => "known weaknesses stay open in settings and in software",
        TdxTcbStatus::OutOfDate | TdxTcbStatus::OutOfDateConfigurationNeeded => "the firmware has published holes that an update closes",
        TdxTcbStatus::RelaunchAdvised | TdxTcbStatus::RelaunchAdvisedConfigurationNeeded => {
            "the guest was launched under a module with known holes and has to be launched again"
        }
    }
}

fn tdx(rules: &TdxRules, found: &mut Vec<Point>) {
    for status in rules.statuses.iter().filter(|status| **status != TdxTcbStatus::UpToDate) {
        tell(found, true, "tdx.statuses", format!("accepts platforms of which Intel says {}", status.name()), status_cost(*status));
    }
    let why = "a judgement from before the newest holes were known passes as current";
    tell(found, rules.min_tcb_evaluation == 0, "tdx.min_tcb_evaluation", "accepts documents of Intel of any age in evaluation", why);
    let blind = rules.attributes_required >> 28 & 1 == 0;
    let why = "the host can surprise the guest with exceptions on its own pages";
    tell(found, blind, "tdx.attributes_required", "does not demand SEPT_VE_DISABLE", why);
    let perfmon = rules.attributes_allowed >> 63 & 1 == 1;
    let why = "performance counters of the TD can be measured by others";
    tell(found, perfmon, "tdx.attributes_allowed", "accepts TDs with performance counters (PERFMON)", why);
    unknown(found, "tdx.attributes_allowed", rules.attributes_allowed, &TD_ATTRIBUTES);
    unknown(found, "tdx.xfam_allowed", rules.xfam_allowed, &XFAM);
    let why = "CPU packages can be added later, so the platform that was judged is not the one that runs for ever";
    tell(found, rules.allow_dynamic_platform, "tdx.allow_dynamic_platform", "accepts platforms that can be extended", why);
    let why = "Intel's registration service keeps keys of the platform";
    tell(found, rules.allow_cached_keys, "tdx.allow_cached_keys", "accepts platforms with cached keys", why);
    let why = "a neighbour on the same core can measure what the TD computes";
    tell(found, rules.allow_smt, "tdx.allow_smt", "accepts platforms with hyper-threading", why);
}

fn cluster(policy: &PolicyDoc, found: &mut Vec<Point>) {
    let slots = &policy.slots;
    let unseals = policy.platform_unseal == PlatformUnseal::SameChips;
    let why = "whoever runs the machines can bring back an older state of all disks with nobody asked; clients notice what they have seen, and old keys stay within \
               reach of the chips";
    tell(found, unseals, "platform_unseal", "lets the cluster's own AMD chips open its keys after a total outage, without custodians", why);
    let few = (1..3).contains(&slots.len());
    let why = "with fewer than three members, the loss of one stops the cluster, and with all memories lost the data is gone";
    tell(found, few, "slots", format!("has places for {} member(s) only", slots.len()), why);
    let mut vendors: Vec<_> = slots.iter().flat_map(|slot| slot.vendors.iter().map(|vendor| vendor.name())).collect();
    vendors.sort_unstable();
    vendors.dedup();
    let why = "a break of that vendor's attestation is a break of the whole cluster";
    tell(found, vendors.len() == 1, "slots", "has places for one vendor's CPUs only", why);
    let alone = policy.endorse.min_endorsers < 2;
    let says = format!("lets a joiner in on the word of {} member(s)", policy.endorse.min_endorsers);
    tell(found, alone, "endorse.min_endorsers", says, "one bad member can admit others alone");
    let same = !policy.endorse.other_vendor;
    let why = "a break of one vendor's attestation admits members without the other vendor's word";
    tell(found, same, "endorse.other_vendor", "does not ask a member on the other vendor's CPU", why);
    let session = &policy.session;
    let why = "a machine that turned bad is noticed that much later";
    tell(found, session.reattest_s > DAY_S, "session.reattest_s", format!("lets sessions run {}", span(session.reattest_s)), why);
    let standing = session.standing_period_s;
    let why = "who gets hold of such a key serves until its period ends";
    tell(found, standing > STANDING_S, "session.standing_period_s", format!("lets a standing key serve {}", span(standing)), why);
}

fn change(policy: &PolicyDoc, found: &mut Vec<Point>) {
    match &policy.release {
        ReleaseRule::NotDemanded => {
            let why = "a build nobody published runs when its measurement is listed here";
            tell(found, true, "release.demanded", "does not demand that builds were published", why);
        }
        ReleaseRule::Demanded(rule) => {
            let why = "anybody may write to a public log; only signatures of named people say that a build is good";
            tell(found, rule.signer_threshold == 0, "release.signer_threshold", "accepts builds nobody signed", why);
            let why = "a log can show different people different entries";
            tell(found, rule.witness_threshold == 0, "release.witness_threshold", "accepts a log without witnesses", why);
            let (threshold, witnesses) = (rule.witness_threshold, rule.witnesses.len());
            let halves = threshold != 0 && 2 * usize::from(threshold) <= witnesses;
            let says = format!("accepts a log that {threshold} of {witnesses} witnesses vouch for, no more than half");
            let why = "two histories can each have their own witnesses, and none of these has to lie";
            tell(found, halves, "release.witness_threshold", says, why);
        }
    }
    let governance = &policy.governance;
    let governors = governance.keys.len();
    let threshold = governance.threshold;
    let never = ungovernable(governance);
    let says = format!("can never be changed: {threshold} of {} governors must sign", never.unwrap_or(governors));
    tell(found, never.is_some(), "governance.threshold", says, "a chip, a build or a floor can then only change with a new cluster");
    let alone = threshold == 1 && governors > 0;
    tell(found, alone, "governance.threshold", "lets one governor change everything alone", "one stolen key loosens the policy");
    let why = "nobody has time to notice a loosening before it counts";
    let says = match governance.timelock_s {
        0 => "lets a loosening count at once".to_owned(),
        wait_s => format!("lets a loosening count after {}", span(wait_s)),
    };
    tell(found, governance.timelock_s < TIMELOCK_S, "governance.timelock_s", says, why);
}

/// Seconds as people say them.
pub(super) fn span(seconds: u32) -> String {
    match seconds {
        0 => "0 seconds".into(),
        seconds if seconds % DAY_S == 0 => count(seconds / DAY_S, "day"),
        seconds if seconds % 3_600 == 0 => count(seconds / 3_600, "hour"),
        seconds if seconds % 60 == 0 => count(seconds / 60, "minute"),
        seconds => count(seconds, "second"),
    }
}

fn count(number: u32, unit: &str) -> String {
    match number {
        1 => format!("1 {unit}"),
        number => format!("{number} {unit}s"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_sim::release::Publisher;
    use ringwall_wire::bounded::List;
    use ringwall_wire::ids::SigPublic;

    fn says(policy: &PolicyDoc, field: &str) -> Vec<String> {
        dangers(policy).into_iter().filter(|point| point.field == field).map(|point| point.says).collect()
    }

    #[test]
    fn witnesses_that_can_vouch_for_two_histories_without_a_lie_are_called_out() {
        let mut rule = Publisher::default().rule();
        for (threshold, witnesses, called_out) in [(2, 3, false), (1, 3, true), (1, 2, true), (2, 2, false), (1, 1, false)] {
            rule.witness_threshold = threshold;
            let all = Publisher::default().rule().witnesses;
            rule.witnesses = List::new(all[..witnesses].to_vec()).unwrap();
            let policy = PolicyDoc { release: ReleaseRule::Demanded(rule.clone()), ..ringwall_sim::world::policy() };
            let told = says(&policy, "release.witness_threshold");
            assert_eq!(told.iter().any(|told| told.contains("no more than half")), called_out, "{threshold} of {witnesses}: {told:?}");
        }
    }

    #[test]
    fn a_governor_listed_twice_is_one() {
        let mut policy = ringwall_sim::world::policy();
        (policy.governance.keys, policy.governance.threshold) = (List::new(vec![SigPublic([1; 32]); 2]).unwrap(), 2);
        assert_eq!(says(&policy, "governance.threshold"), ["can never be changed: 2 of 1 governors must sign"]);
        policy.governance.keys.push(SigPublic([2; 32])).unwrap();
        assert!(says(&policy, "governance.threshold").is_empty());
    }
}
