//! A policy in plain words: what it lets in, what it demands, and why each demand is there.
//!
//! Decides: which sentences a person reads, one for each rule, with the field's name so that the rule can be found and changed. Programs
//! get the same as data. Trusts: the policy's meaning as `attest` has it. Out of scope: layout (`cli`), changes (`compare.rs`).
//! Protocol section 2.2.

use super::dangers::{dangers, span};
use super::names::{Bits, GUEST_POLICY, Named as _, PLATFORM_INFO, TD_ATTRIBUTES, XFAM, positions};
use super::obstacles::{GUEST_ALWAYS, Obstacles, obstacles};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, PolicyVersion, TrustDomain};
use ringwall_wire::policy::{
    Measurement, MeasurementRegister, PlatformUnseal, PolicyDoc, ReleaseRule, RevocationRule, SnpProductRule, SnpRules, TdxRules,
};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Path of the field in the document.
    pub field: &'static str,
    /// What the rule says.
    pub says: String,
    /// Why it is there, or what it costs.
    pub why: String,
}

/// Rules that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// For people.
    pub title: &'static str,
    /// In the order of the document.
    pub points: Vec<Point>,
}

/// A whole policy in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// SHA-256 of the canonical bytes: how clusters and evidence name the policy.
    pub digest: Digest,
    /// Its version.
    pub version: PolicyVersion,
    /// Whose roots apply.
    pub trust_domain: TrustDomain,
    /// Why it lets nothing in, where it does not.
    pub obstacles: Obstacles,
    /// Dangerous allowances.
    pub dangers: Vec<Point>,
    /// Its rules.
    pub sections: Vec<Section>,
}

impl Explanation {
    /// What is refused whatever a policy says.
    pub const ALWAYS_REFUSED: &'static [&'static str] = &[
        "evidence that does not lead to a vendor's root, is out of date, or is signed by a revoked key",
        "evidence that is not bound to this very session, cluster, role, boot configuration and policy",
        "guests the host can debug (AMD DEBUG, Intel's debug and profiling bits), and guests that can migrate (AMD MIGRATE_MA or a \
         migration agent, Intel MIGRATABLE)",
        "AMD chips whose id or key the host masks, and firmware that is not committed yet",
        "TDX modules that are not Intel's own, and TDs with a service TD",
        "formats, products and versions this program does not know",
    ];
}

/// Puts a policy into words.
pub fn explain(policy: &PolicyDoc) -> Explanation {
    Explanation {
        digest: Digest(policy.digest()),
        version: policy.version,
        trust_domain: policy.trust_domain,
        obstacles: obstacles(policy),
        dangers: dangers(policy),
        sections: vec![
            Section { title: "Builds", points: builds(policy) },
            Section { title: "AMD SEV-SNP: machines", points: snp_machines(&policy.snp) },
            Section { title: "AMD SEV-SNP: guests", points: snp_guests(&policy.snp) },
            Section { title: "Intel TDX: machines", points: tdx_machines(&policy.tdx) },
            Section { title: "Intel TDX: guests", points: tdx_guests(&policy.tdx) },
            Section { title: "Members and sessions", points: cluster(policy) },
            Section { title: "Releases and changes", points: change(policy) },
        ],
    }
}

fn point(field: &'static str, says: impl Into<String>, why: impl Into<String>) -> Point {
    Point { field, says: says.into(), why: why.into() }
}

/// "1 chip", "2 chips".
fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

/// Names of bits with what they mean, for people.
fn meanings(value: u64, names: &Bits) -> String {
    let one = |at| match names.at(at) {
        Some(bit) => format!("{} ({})", bit.name, bit.meaning),
        None => format!("{} (no meaning known here)", names.name(at)),
    };
    let all: Vec<String> = positions(value).map(one).collect();
    if all.is_empty() { "none".into() } else { all.join("; ") }
}

fn listed(names: Vec<String>) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn builds(policy: &PolicyDoc) -> Vec<Point> {
    let mut points = vec![point(
        "min_svn",
        format!("builds of security version {} and above", policy.min_svn),
        "raising it shuts out builds that turned out to be vulnerable",
    )];
    for Measurement { id, svn, snp, tdx, tdx_replays } in policy.measurements.iter() {
        let (amd, intel) = (count(snp.len(), "AMD launch digest", "AMD launch digests"), count(tdx.len(), "Intel tuple", "Intel tuples"));
        let fate = if *svn < policy.min_svn { ": REFUSED, it is below the least security version" } else { "" };
        let tables = match tdx_replays.len() {
            0 => String::new(),
            tables => format!(", {}", count(tables, "table of boot events", "tables of boot events")),
        };
        let says = format!("build \"{id}\", security version {svn}, {amd}, {intel}{tables}{fate}");
        points.push(point("measurements", says, "code with any other measurement is refused, on genuine hardware too"));
    }
    points
}

fn floor(rule: &SnpProductRule) -> String {
    let tcb = rule.min_tcb;
    let fmc = if tcb.fmc == 0 { String::new() } else { format!("FMC {}, ", tcb.fmc) };
    let fixes = super::names::MITIGATIONS.names(rule.required_mitigations);
    let fixes = if fixes.is_empty() { "no mitigation bits".into() } else { format!("mitigations {}", fixes.join(", ")) };
    format!(
        "{} chips with firmware of at least {fmc}boot loader {}, TEE {}, SNP {}, microcode {}, and {fixes}",
        rule.product.name(),
        tcb.boot_loader,
        tcb.tee,
        tcb.snp,
        tcb.microcode
    )
}

fn snp_machines(rules: &SnpRules) -> Vec<Point> {
    let mut points = Vec::new();
    for rule in rules.products.iter() {
        let why = "older firmware has published holes; the floor holds for running, reported, committed and launch firmware alike";
        points.push(point("snp.products", floor(rule), why));
    }
    let why = "keys of other machines have been stolen; a stolen key of a chip that is not listed opens nothing here";
    let says = match rules.chips.len() {
        0 => "no chip at all".to_owned(),
        chips => format!("{} by CHIP_ID, and no other, genuine or not", count(chips, "chip", "chips")),
    };
    points.push(point("snp.chips", says, why));
    if !rules.denied_chips.is_empty() {
        let says = format!("not {}, refused by CHIP_ID", count(rules.denied_chips.len(), "chip", "chips"));
        points.push(point("snp.denied_chips", says, "these count as broken; AMD's revocation lists cannot name a chip"));
    }
    points.push(match rules.allow_vlek {
        false => point("snp.allow_vlek", "reports signed by the chip's own key (VCEK) only", "it names the chip and is nobody else's"),
        true => point("snp.allow_vlek", "reports signed by the chip (VCEK) or by its provider (VLEK)", "see the warning"),
    });
    points.push(match rules.revocation {
        RevocationRule::Required => {
            point("snp.revocation", "a revocation list of AMD in force must be there", "a key AMD gave up must not serve on")
        }
        RevocationRule::BestEffort => point("snp.revocation", "a missing revocation list is accepted", "see the warning"),
    });
    let why = "settings of the machine that close known ways in";
    points.push(point(
        "snp.platform_required",
        format!("machine settings that must be on: {}", meanings(rules.platform_required, &PLATFORM_INFO)),
        why,
    ));
    let says = format!("may be on besides: {}", listed(PLATFORM_INFO.names(rules.platform_allowed & !rules.platform_required)));
    points.push(point("snp.platform_allowed", says, "any other setting refuses, also one that is not defined yet"));
    points
}

fn snp_guests(rules: &SnpRules) -> Vec<Point> {
    let versions: Vec<String> = rules.report_versions.iter().map(u32::to_string).collect();
    let (required, allowed) = (rules.policy_required & !GUEST_ALWAYS, rules.policy_allowed & !GUEST_ALWAYS);
    let zero = MeasurementRegister([0; 48]);
    let no_block =
        rules.id_key_digest == zero && rules.author_key_digest == zero && rules.family_id == [0; 16] && rules.image_id == [0; 16];
    vec![
        point("snp.report_versions", format!("reports of version {}", listed(versions)), "layouts differ; a wrong one hides facts"),
        point("snp.vmpl", format!("asked for at privilege level {}", rules.vmpl), "0 is the guest's most privileged code"),
        point(
            "snp.policy_required",
            format!("guest flags that must be set: {}", meanings(required, &GUEST_POLICY)),
            "the firmware holds the host to them",
        ),
        point(
            "snp.policy_allowed",
            format!("may be set besides: {}", listed(GUEST_POLICY.names(allowed & !required))),
            "any other flag refuses",
        ),
        point(
            "snp.min_abi_major",
            format!("guests that demand firmware interface {}.{} or newer", rules.min_abi_major, rules.min_abi_minor),
            "older interfaces lack checks the guest relies on",
        ),
        match no_block {
            true => point("snp.id_key_digest", "no ID block", "nothing is signed over the launch but the measurement itself"),
            false => point(
                "snp.id_key_digest",
                format!(
                    "an ID block signed by the key with digest {}, with the exact author key, family and image ids",
                    rules.id_key_digest
                ),
                "the launch was approved by the holder of that key",
            ),
        },
    ]
}

fn tdx_machines(rules: &TdxRules) -> Vec<Point> {
    let statuses: Vec<String> = rules.statuses.iter().map(|status| status.name().to_owned()).collect();
    let yes_no = |allowed: bool| if allowed { "accepted" } else { "refused" };
    let mut points = vec![
        point(
            "tdx.fmspcs",
            format!("platform families (FMSPC): {}", listed(rules.fmspcs.iter().map(ToString::to_string).collect())),
            "a family that is broken as a whole can be left out",
        ),
        point(
            "tdx.platforms",
            match rules.platforms.len() {
                0 => "no platform at all".to_owned(),
                platforms => format!("{} by the hash of the PPID, and no other", count(platforms, "platform", "platforms")),
            },
            "keys of other machines have been stolen; a stolen key of a platform that is not listed opens nothing here",
        ),
        point("tdx.statuses", format!("of which Intel says: {}", listed(statuses)), "any other word means a known weakness"),
        point(
            "tdx.min_tcb_evaluation",
            format!("by documents of evaluation {} or newer", rules.min_tcb_evaluation),
            "an old judgement knows nothing of newer holes",
        ),
    ];
    if !rules.denied_platforms.is_empty() {
        let says = format!("not {}, refused by the hash of the PPID", count(rules.denied_platforms.len(), "platform", "platforms"));
        points.push(point("tdx.denied_platforms", says, "these count as broken"));
    }
    if !rules.denied_advisories.is_empty() {
        let advisories = rules.denied_advisories.iter().map(ToString::to_string).collect();
        let says = format!("not if one of these advisories applies: {}", listed(advisories));
        points.push(point("tdx.denied_advisories", says, "these refuse even where the status is accepted"));
    }
    points.push(match rules.mr_seams.len() {
        0 => point("tdx.mr_seams", "any TDX module Intel lists", "Intel's signed list of modules is verified in any case"),
        modules => point("tdx.mr_seams", format!("{} by measurement", count(modules, "TDX module", "TDX modules")), "no other module"),
    });
    for (field, what, allowed) in [
        ("tdx.allow_dynamic_platform", "platforms that can be extended with more CPU packages", rules.allow_dynamic_platform),
        ("tdx.allow_cached_keys", "platforms whose keys Intel's registration service keeps", rules.allow_cached_keys),
        ("tdx.allow_smt", "platforms with hyper-threading", rules.allow_smt),
    ] {
        let why = if allowed { "see the warning" } else { "a platform whose certificate does not say is refused as well" };
        points.push(point(field, format!("{what}: {}", yes_no(allowed)), why));
    }
    points
}

fn tdx_guests(rules: &TdxRules) -> Vec<Point> {
    let (required, allowed) = (rules.attributes_required, rules.attributes_allowed);
    let zero = MeasurementRegister([0; 48]);
    let register = |name: &str, value: MeasurementRegister| match value == zero {
        true => format!("{name} zero"),
        false => format!("{name} {value}"),
    };
    let exact = [register("RTMR3", rules.rtmr3), register("MROWNER", rules.mr_owner), register("MROWNERCONFIG", rules.mr_owner_config)];
    vec![
        point(
            "tdx.attributes_required",
            format!("attributes that must be set: {}", meanings(required, &TD_ATTRIBUTES)),
            "protections the guest relies on",
        ),
        point(
            "tdx.attributes_allowed",
            format!("may be set besides: {}", listed(TD_ATTRIBUTES.names(allowed & !required))),
            "any other attribute refuses",
        ),
        point("tdx.xfam_allowed", format!("CPU features: {}", listed(XFAM.names(rules.xfam_allowed))), "any other feature refuses"),
        point("tdx.rtmr3", format!("exactly {}", exact.join(", ")), "nothing was added to the guest or said about it besides the build"),
    ]
}

fn cluster(policy: &PolicyDoc) -> Vec<Point> {
    let mut points = Vec::new();
    for slot in policy.slots.iter() {
        let vendors: Vec<String> = slot.vendors.iter().map(ToString::to_string).collect();
        let says = format!("place {}: {}; failure domain \"{}\"", slot.slot, vendors.join(" or "), slot.failure_domain);
        points.push(point("slots", says, "places are part of the cluster's identity"));
    }
    let other = if policy.endorse.other_vendor { ", one of them on the other vendor's CPU where there is one" } else { "" };
    let says = format!(
        "a joiner gets the keys after {} accepted its evidence{other}",
        count(policy.endorse.min_endorsers.into(), "member", "members")
    );
    points.push(point("endorse.min_endorsers", says, "no single member, and no single vendor, lets others in alone"));
    let says = format!("a session attests again after {}", span(policy.session.reattest_s));
    points.push(point("session.reattest_s", says, "a machine that turned bad is noticed within this time"));
    points.push(match policy.session.standing_period_s {
        0 => point(
            "session.standing_period_s",
            "every session is under a quote of its own or its batch's",
            "no key vouches in place of the hardware",
        ),
        period_s => {
            let says = format!("a key under a quote may vouch for sessions, {} long", span(period_s));
            point("session.standing_period_s", says, "for machines where a quote is slow; it binds less")
        }
    });
    points.push(match policy.platform_unseal {
        PlatformUnseal::Never => point(
            "platform_unseal",
            "after a total outage it takes custodians to open the master keys",
            "nobody who runs the machines reopens the cluster alone",
        ),
        PlatformUnseal::SameChips => {
            point("platform_unseal", "after a total outage the cluster's own AMD chips open the master keys, too", "see the warning")
        }
    });
    points
}

fn change(policy: &PolicyDoc) -> Vec<Point> {
    let governance = &policy.governance;
    vec![
        match &policy.release {
            ReleaseRule::NotDemanded => {
                point("release.demanded", "a measurement listed here is enough", "legal in a simulated trust domain only")
            }
            ReleaseRule::Demanded(rule) => point(
                "release.demanded",
                format!(
                    "a build must be published: signed by {} of {} ({}), in log \"{}\" cosigned by {} of {}, as of the last {}",
                    rule.signer_threshold,
                    count(rule.signers.len(), "signer", "signers"),
                    rule.trusted_root.map_or_else(
                        || "all with keys of their own".to_owned(),
                        |root| format!("judged under Sigstore's trusted root {root}")
                    ),
                    rule.log,
                    rule.witness_threshold,
                    count(rule.witnesses.len(), "witness", "witnesses"),
                    span(rule.max_checkpoint_age_s)
                ),
                "an operator cannot run a build that nobody else has seen",
            ),
        },
        point(
            "governance.threshold",
            format!("{} of {} must approve a change", governance.threshold, count(governance.keys.len(), "governor", "governors")),
            "nobody changes these rules alone",
        ),
        point(
            "governance.timelock_s",
            format!("a change that lets more in waits {}", span(governance.timelock_s)),
            "there is time to notice it and to leave",
        ),
        match governance.lease_s {
            0 => point("governance.lease_s", "members grant keys without a lease", "whoever withholds a change keeps this policy in force"),
            seconds => point(
                "governance.lease_s",
                format!("members grant keys for {} after the governors' last word at most", span(seconds)),
                "withholding a revocation does not help for longer",
            ),
        },
    ]
}
