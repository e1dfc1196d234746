//! What the template lets in, and what a change does, judged by the real verifier over simulated machines.
//!
//! Decides: the template, completed with one machine's own chip and build, accepts that machine when it is honest and refuses everything
//! the protocol says it must; and whatever makes refused evidence acceptable is called a loosening. Rows A7 to A9, R6, G5.
//! Trusts: `ringwall-sim` for machines that lie in one thing each. Out of scope: bytes of the policy (policy_toml.rs).
#![allow(clippy::unwrap_used, clippy::panic, clippy::result_large_err)]

use ringwall_attest::{Expected, Rejection as R, TcbKind, VerifyError, appraise, report_data, verify};
use ringwall_client::policy::{Change, Difference, compare, dangers, from_toml, obstacles, simulated_template, template};
use ringwall_sim::{Lie, SimTee, TeeProfile, anchors, world};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::ids::{
    BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, PolicyVersion, SigPublic, Slot, TrustDomain, Vendor,
};
use ringwall_wire::policy::{
    ChipId, PlatformUnseal, PolicyDoc, RevocationRule, SlotRule, SnpProduct, SnpProductRule, SnpTcb, TdxTcbStatus,
};

/// 2026-11-24 12:00:00 UTC.
const NOW_S: u64 = 1_795_521_600;

fn machine(chip_name: &str) -> SimTee {
    SimTee::new(world::machine(chip_name, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap(), NOW_S)
}

/// The template with what an operator fills in: this machine's chip and build, and three places.
fn completed(tee: &SimTee) -> PolicyDoc {
    let mut policy = from_toml(&simulated_template()).unwrap();
    let profile = tee.profile();
    policy.measurements = List::new(vec![profile.build.measurement()]).unwrap();
    policy.snp.chips = List::new(profile.chip_id().into_iter().collect()).unwrap();
    if profile.chip_id().is_none() {
        policy.tdx.platforms = List::new(vec![tee.chip()]).unwrap();
        policy.tdx.fmspcs = List::new(vec![TeeProfile::fmspc()]).unwrap();
    }
    let place = |slot| SlotRule {
        slot: Slot(slot),
        vendors: List::new(vec![Vendor::Amd, Vendor::Intel]).unwrap(),
        failure_domain: Text::new(format!("rack {slot}")).unwrap(),
    };
    policy.slots = List::new((1..=3).map(place).collect()).unwrap();
    policy.governance.keys = List::new((1..=3).map(|number| SigPublic([number; 32])).collect()).unwrap();
    policy
}

#[derive(Debug)]
enum Refused {
    NotGenuine(VerifyError),
    Rejected(R),
}

fn judge(tee: &SimTee, policy: &PolicyDoc) -> Result<(), Refused> {
    let binding = Binding {
        cluster_id: ClusterId([7; 32]),
        epoch: Epoch(1),
        role: Role::PeerResp,
        incarnation: Incarnation(3),
        keys: BootKeys { noise: NoisePublic([1; 32]), sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) },
        boot_config: tee.profile().boot_config.host_data(),
        policy: Digest(policy.digest()),
        batch_root: Digest([4; 32]),
    };
    let evidence = tee.mint(&report_data(&binding));
    let verified = verify(&evidence, &tee.endorse(), &anchors(), NOW_S).map_err(Refused::NotGenuine)?;
    let expected = Expected { binding: &binding, boot_config: &tee.profile().boot_config, release_proof: &[], now_s: 0, last_head: None };
    appraise(verified, policy, &expected).map(|_| ()).map_err(Refused::Rejected)
}

fn rejected(tee: &SimTee) -> R {
    match judge(tee, &completed(tee)) {
        Err(Refused::Rejected(rejection)) => rejection,
        other => panic!("{tee:?}: {other:?}"),
    }
}

#[test]
fn honest_current_machines_of_both_vendors_are_let_in() {
    for name in ["genoa-1", "turin-1", "tdx-1"] {
        let tee = machine(name);
        assert!(judge(&tee, &completed(&tee)).is_ok(), "{name}: {:?}", judge(&tee, &completed(&tee)));
    }
}

#[test]
fn the_bare_template_lets_nothing_in_and_says_why() {
    for text in [template().to_owned(), simulated_template()] {
        let found = obstacles(&from_toml(&text).unwrap());
        assert!(found.lets_nothing_in());
        for (list, field) in
            [(&found.amd, "`snp.chips`"), (&found.intel, "`tdx.platforms`"), (&found.intel, "`tdx.fmspcs`"), (&found.either, "`slots`")]
        {
            assert!(list.iter().any(|reason| reason.starts_with(field)), "{field}: {found:?}");
        }
    }
    let bare = from_toml(&simulated_template()).unwrap();
    for name in ["genoa-1", "turin-1", "tdx-1"] {
        assert!(judge(&machine(name), &bare).is_err(), "{name}");
    }
    let done = obstacles(&completed(&machine("genoa-1")));
    assert!(!done.lets_nothing_in() && done.amd.is_empty(), "{done:?}");
}

/// The refusals the template is there for, each by its own name.
#[test]
fn what_the_template_refuses() {
    assert!(matches!(rejected(&machine("milan-1")), R::ProductNotAccepted { reported: SnpProduct::Milan, .. }));
    let told = |name: &str, lie| rejected(&machine(name).telling(&[lie]));
    for name in ["genoa-1", "turin-1"] {
        assert!(matches!(told(name, Lie::SnpVlek), R::VlekNotAccepted));
        assert!(matches!(told(name, Lie::SnpDebug), R::DebugGuest { .. }));
        assert!(matches!(told(name, Lie::SnpMigrateMa), R::MigratableGuest { .. }));
        assert!(matches!(told(name, Lie::SnpReportIdMa), R::MigrationAgent));
        assert!(matches!(told(name, Lie::SnpPolicySmt), R::GuestPolicyBitsForbidden { .. }));
        assert!(matches!(told(name, Lie::SnpCxl), R::GuestPolicyBitsForbidden { .. }));
        assert!(matches!(told(name, Lie::SnpPolicyUnknown), R::GuestPolicyBitsForbidden { .. }));
        assert!(matches!(told(name, Lie::SnpXtsOff), R::GuestPolicyBitsMissing { .. }));
        assert!(matches!(told(name, Lie::SnpRaplOn), R::GuestPolicyBitsMissing { .. }));
        assert!(matches!(told(name, Lie::SnpPlatformSmt), R::PlatformBitsForbidden { .. }));
        assert!(matches!(told(name, Lie::SnpPlatformUnknown), R::PlatformBitsForbidden { .. }));
        assert!(matches!(told(name, Lie::SnpAliasCheck), R::PlatformBitsMissing { .. }));
        assert!(matches!(told(name, Lie::SnpMitigations), R::MitigationsMissing { .. }));
        assert!(matches!(told(name, Lie::SnpProvisional), R::ProvisionalFirmware { .. }));
        assert!(matches!(told(name, Lie::SnpVmpl), R::Vmpl { .. }));
        assert!(matches!(told(name, Lie::SnpAbi), R::AbiTooOld { .. }));
        assert!(matches!(told(name, Lie::SnpCrlAbsent), R::RevocationUnknown { .. }));
        assert!(matches!(told(name, Lie::SnpIdKey), R::IdKey { .. }));
        assert!(matches!(told(name, Lie::Build), R::MeasurementUnknown { .. }));
    }
    assert!(matches!(told("turin-1", Lie::SnpOldReported), R::TcbTooOld { which: TcbKind::Reported, .. }));
    assert!(matches!(told("tdx-1", Lie::TdxDebug), R::DebugGuest { .. }));
    assert!(matches!(told("tdx-1", Lie::TdxServiceTd), R::ServiceTd { .. }));
    assert!(matches!(told("tdx-1", Lie::TdxPerfmon), R::TdAttributesForbidden { .. }));
    assert!(matches!(told("tdx-1", Lie::TdxXfam), R::XfamForbidden { .. }));
    assert!(matches!(told("tdx-1", Lie::TdxSwHardening), R::StatusNotAccepted { .. }));
    assert!(matches!(told("tdx-1", Lie::TdxOldEvaluation), R::EvaluationTooOld { .. }));
    assert!(matches!(told("tdx-1", Lie::TdxDynamicPlatform), R::DynamicPlatform { .. }));
    assert!(matches!(told("tdx-1", Lie::TdxCachedKeys), R::CachedKeys { .. }));
    assert!(matches!(told("tdx-1", Lie::TdxSmt), R::Smt { .. }));
    let migratable = machine("tdx-1").telling(&[Lie::TdxMigratable]);
    assert!(matches!(judge(&migratable, &completed(&migratable)), Err(Refused::NotGenuine(VerifyError::TdAttributes { .. }))));
}

/// A report of an older layout cannot tell mitigations, so the template refuses it.
#[test]
fn reports_that_do_not_tell_mitigations_are_refused() {
    let mut profile = machine("genoa-1").profile().clone();
    profile.report_version = 3;
    assert!(matches!(rejected(&SimTee::new(profile.clone(), NOW_S)), R::MitigationsUnknown { reported: 3, .. }));
    profile.report_version = 2;
    assert!(matches!(rejected(&SimTee::new(profile, NOW_S)), R::ReportVersionNotAccepted { reported: 2, .. }));
}

/// The template is for hardware: simulated roots are refused under it, whatever an operator fills in.
#[test]
fn the_production_template_refuses_simulated_machines() {
    let mut profile = machine("genoa-1").profile().clone();
    profile.boot_config.trust_domain = TrustDomain::Production;
    let tee = SimTee::new(profile, NOW_S);
    let simulated = completed(&tee);
    let hardware = from_toml(template()).unwrap();
    let policy = PolicyDoc { trust_domain: hardware.trust_domain, release: hardware.release, ..simulated };
    assert!(matches!(judge(&tee, &policy), Err(Refused::Rejected(R::RootNotProduction { .. }))));
    let either = obstacles(&policy).either;
    assert!(either.iter().any(|line| line.contains("`release` proves nothing") || line.contains("release.signer_threshold")), "{either:?}");
}

#[test]
fn the_completed_template_has_no_danger_but_what_it_says() {
    let fields: Vec<&str> = dangers(&completed(&machine("genoa-1"))).iter().map(|danger| danger.field).collect();
    assert_eq!(fields, ["trust_domain", "release.demanded"], "of a simulated cluster; a production policy has none");
}

type Edit = fn(&mut PolicyDoc);

/// Edits that make a lie acceptable: field, machine, lie, edit.
const OPENINGS: &[(&str, &str, Lie, Edit)] = &[
    ("snp.allow_vlek", "genoa-1", Lie::SnpVlek, |policy| policy.snp.allow_vlek = true),
    ("snp.policy_allowed", "genoa-1", Lie::SnpPolicySmt, |policy| policy.snp.policy_allowed |= 1 << 16),
    ("snp.policy_allowed", "genoa-1", Lie::SnpCxl, |policy| policy.snp.policy_allowed |= 1 << 21),
    ("snp.policy_allowed", "genoa-1", Lie::SnpPolicyUnknown, |policy| policy.snp.policy_allowed |= 1 << 40),
    ("snp.policy_required", "genoa-1", Lie::SnpXtsOff, |policy| policy.snp.policy_required &= !(1 << 22)),
    ("snp.policy_required", "genoa-1", Lie::SnpRaplOn, |policy| policy.snp.policy_required = 0),
    ("snp.platform_allowed", "genoa-1", Lie::SnpPlatformSmt, |policy| policy.snp.platform_allowed |= 1),
    ("snp.platform_required", "genoa-1", Lie::SnpAliasCheck, |policy| policy.snp.platform_required &= !(1 << 5)),
    ("snp.min_abi_major", "genoa-1", Lie::SnpAbi, |policy| (policy.snp.min_abi_major, policy.snp.min_abi_minor) = (0, 0)),
    ("snp.vmpl", "genoa-1", Lie::SnpVmpl, |policy| policy.snp.vmpl = 1),
    ("snp.revocation", "genoa-1", Lie::SnpCrlAbsent, |policy| policy.snp.revocation = RevocationRule::BestEffort),
    ("snp.author_key_digest", "genoa-1", Lie::SnpAuthorKey, |policy| policy.snp.author_key_digest.0 = [1; 48]),
    ("snp.family_id", "genoa-1", Lie::SnpFamilyId, |policy| policy.snp.family_id = [1; 16]),
    ("snp.image_id", "genoa-1", Lie::SnpImageId, |policy| policy.snp.image_id = [1; 16]),
    ("snp.products.Turin.min_tcb.microcode", "turin-1", Lie::SnpOldLaunch, |policy| rule(policy, |rule| rule.min_tcb.microcode = 80)),
    ("snp.products.Turin.required_mitigations", "turin-1", Lie::SnpMitigations, |policy| {
        rule(policy, |rule| rule.required_mitigations = 0)
    }),
    ("tdx.statuses", "tdx-1", Lie::TdxSwHardening, |policy| policy.tdx.statuses.push(TdxTcbStatus::SwHardeningNeeded).unwrap()),
    ("tdx.attributes_allowed", "tdx-1", Lie::TdxPerfmon, |policy| policy.tdx.attributes_allowed |= 1 << 63),
    ("tdx.xfam_allowed", "tdx-1", Lie::TdxXfam, |policy| policy.tdx.xfam_allowed |= 1 << 63),
    ("tdx.rtmr3", "tdx-1", Lie::TdxRtmr3, |policy| policy.tdx.rtmr3.0 = [1; 48]),
    ("tdx.mr_owner", "tdx-1", Lie::TdxMrOwner, |policy| policy.tdx.mr_owner.0 = [1; 48]),
    ("tdx.mr_owner_config", "tdx-1", Lie::TdxMrOwnerConfig, |policy| policy.tdx.mr_owner_config.0 = [1; 48]),
    ("tdx.min_tcb_evaluation", "tdx-1", Lie::TdxOldEvaluation, |policy| policy.tdx.min_tcb_evaluation = 17),
    ("tdx.allow_dynamic_platform", "tdx-1", Lie::TdxDynamicPlatform, |policy| policy.tdx.allow_dynamic_platform = true),
    ("tdx.allow_cached_keys", "tdx-1", Lie::TdxCachedKeys, |policy| policy.tdx.allow_cached_keys = true),
    ("tdx.allow_smt", "tdx-1", Lie::TdxSmt, |policy| policy.tdx.allow_smt = true),
];

/// Edits the last product rule, which is Turin's.
fn rule(policy: &mut PolicyDoc, edit: impl Fn(&mut SnpProductRule)) {
    let mut rules = policy.snp.products.to_vec();
    edit(rules.last_mut().unwrap());
    policy.snp.products = List::new(rules).unwrap();
}

fn raised(policy: &PolicyDoc, edit: Edit) -> PolicyDoc {
    let mut new = policy.clone();
    new.version = PolicyVersion(policy.version.0 + 1);
    edit(&mut new);
    new
}

fn kind(differences: &[Difference]) -> Change {
    differences.iter().map(|difference| difference.change).max().unwrap_or(Change::Neutral)
}

/// What the judge says of a change, and what `compare` says of it, agree.
#[test]
fn whatever_opens_the_door_is_called_a_loosening() {
    for (field, name, lie, edit) in OPENINGS {
        let tee = machine(name).telling(&[*lie]);
        let old = completed(&tee);
        let new = raised(&old, *edit);
        assert!(matches!(judge(&tee, &old), Err(Refused::Rejected(_))), "{lie:?} is refused before");
        assert!(judge(&tee, &new).is_ok(), "{lie:?} is accepted after {field}: {:?}", judge(&tee, &new));
        let differences = compare(&old, &new);
        assert_eq!(kind(&differences), Change::Loosening, "{field}: {differences:?}");
        let named = differences.iter().any(|difference| difference.field == *field && difference.change == Change::Loosening);
        assert!(named, "{field}: {differences:?}");
    }
}

/// Every other field: edit, what it is, and what taking it back is.
const EDITS: &[(&str, Edit, Change, Change)] = {
    use Change::{Loosening as L, Neutral as N, Tightening as T};
    &[
        ("min_svn", |policy| policy.min_svn = 0, L, T),
        ("platform_unseal", |policy| policy.platform_unseal = PlatformUnseal::SameChips, L, T),
        ("measurements", |policy| policy.measurements = List::default(), T, L),
        ("snp.report_versions", |policy| policy.snp.report_versions.push(2).unwrap(), L, T),
        ("snp.chips", |policy| policy.snp.chips = List::default(), T, L),
        ("snp.denied_chips", |policy| policy.snp.denied_chips.push(ChipId([7; 64])).unwrap(), T, L),
        ("tdx.denied_platforms", |policy| policy.tdx.denied_platforms.push(Digest([7; 32])).unwrap(), T, L),
        ("snp.id_key_digest", |policy| policy.snp.id_key_digest.0[0] = 1, L, L),
        ("snp.products", |policy| policy.snp.products.push(MILAN).unwrap(), L, T),
        ("snp.products.Turin.min_tcb.fmc", |policy| rule(policy, |rule| rule.min_tcb.fmc = 0), L, T),
        ("snp.products.Turin.min_tcb.boot_loader", |policy| rule(policy, |rule| rule.min_tcb.boot_loader = 2), T, L),
        ("snp.products.Turin.min_tcb.tee", |policy| rule(policy, |rule| rule.min_tcb.tee = 2), T, L),
        ("snp.products.Turin.min_tcb.snp", |policy| rule(policy, |rule| rule.min_tcb.snp = 5), T, L),
        ("tdx.fmspcs", |policy| policy.tdx.fmspcs.push(TeeProfile::fmspc()).unwrap(), L, T),
        ("tdx.platforms", |policy| policy.tdx.platforms.push(Digest([1; 32])).unwrap(), L, T),
        ("tdx.denied_advisories", |policy| policy.tdx.denied_advisories.push(Text::new("INTEL-SA-1").unwrap()).unwrap(), T, L),
        ("tdx.mr_seams", |policy| policy.tdx.mr_seams.push(policy.tdx.rtmr3).unwrap(), T, L),
        ("tdx.attributes_required", |policy| policy.tdx.attributes_required = 0, L, T),
        ("slots", |policy| policy.slots = List::new(policy.slots[..2].to_vec()).unwrap(), T, L),
        ("slots.3.vendors", |policy| slot(policy, |slot| slot.vendors = List::new(vec![Vendor::Amd]).unwrap()), T, L),
        ("slots.3.failure_domain", |policy| slot(policy, |slot| slot.failure_domain = Text::default()), N, N),
        ("endorse.min_endorsers", |policy| policy.endorse.min_endorsers = 1, L, T),
        ("endorse.other_vendor", |policy| policy.endorse.other_vendor = false, L, T),
        ("session.reattest_s", |policy| policy.session.reattest_s = 90_000, L, T),
        ("session.standing_period_s", |policy| policy.session.standing_period_s = 600, L, T),
        ("governance.keys", |policy| policy.governance.keys.push(SigPublic([9; 32])).unwrap(), L, T),
        ("governance.threshold", |policy| policy.governance.threshold = 3, T, L),
        ("governance.timelock_s", |policy| policy.governance.timelock_s = 0, L, T),
        ("governance.lease_s", |policy| policy.governance.lease_s = 60, T, L),
        ("trust_domain", |policy| policy.trust_domain = TrustDomain::Production, L, L),
        ("release.demanded", |policy| policy.release = from_toml(template()).unwrap().release, T, L),
        ("order", |policy| policy.measurements = List::new(policy.measurements.iter().rev().cloned().collect()).unwrap(), N, N),
    ]
};

const MILAN: SnpProductRule = SnpProductRule {
    product: SnpProduct::Milan,
    min_tcb: SnpTcb { fmc: 0, boot_loader: 4, tee: 0, snp: 24, microcode: 219 },
    required_mitigations: 0,
};

fn slot(policy: &mut PolicyDoc, edit: impl Fn(&mut SlotRule)) {
    let mut slots = policy.slots.to_vec();
    edit(slots.last_mut().unwrap());
    policy.slots = List::new(slots).unwrap();
}

#[test]
fn every_field_has_its_kind_in_both_directions() {
    let tee = machine("genoa-1");
    let mut old = completed(&tee);
    old.measurements.push(ringwall_sim::BuildImage::new("another", 1).measurement()).unwrap();
    for (field, edit, there, back) in EDITS {
        let new = raised(&old, *edit);
        let again = PolicyDoc { version: PolicyVersion(new.version.0 + 1), ..old.clone() };
        for (from, to, wanted) in [(&old, &new, there), (&new, &again, back)] {
            let differences = compare(from, to);
            assert_eq!(kind(&differences), *wanted, "{field}: {differences:?}");
            let named = |difference: &Difference| difference.field == *field && difference.change == *wanted;
            assert!(differences.iter().any(named), "{field}: {differences:?}");
        }
    }
}

/// No field of the document is without an entry in the two tables above.
#[test]
fn the_tables_name_every_field() {
    let text = ringwall_client::policy::to_toml(&completed(&machine("genoa-1")));
    let mut table = String::new();
    let tables: Vec<&str> = OPENINGS.iter().map(|opening| opening.0).chain(EDITS.iter().map(|edit| edit.0)).collect();
    let skipped = ["version", "snp.min_abi_minor"];
    let mut fields = 0;
    for line in text.lines() {
        match line.split_once(" = ") {
            _ if line.starts_with('[') => table = line.trim_matches(['[', ']']).to_owned(),
            Some((key, _)) if !line.starts_with(' ') => {
                let field = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
                let whole = |name: &&str| field == **name || field.starts_with(&format!("{name}."));
                let listed = |name: &&str| ["measurements", "slots", "snp.products"].contains(name);
                let known = tables.contains(&field.as_str()) || tables.iter().any(|name| listed(name) && whole(name));
                assert!(known || skipped.contains(&field.as_str()), "{field} is in neither table");
                fields += 1;
            }
            _ => {}
        }
    }
    assert!(fields > 55, "{fields} fields");
}

#[test]
fn versions_only_rise() {
    let old = completed(&machine("genoa-1"));
    assert_eq!(compare(&old, &old), []);
    let lower = PolicyDoc { version: PolicyVersion(0), ..old.clone() };
    assert_eq!(kind(&compare(&old, &lower)), Change::Loosening);
    let same = PolicyDoc { min_svn: 9, ..old.clone() };
    assert!(compare(&old, &same)[0].says.contains("a version must rise"));
    assert_eq!(kind(&compare(&old, &raised(&old, |_| ()))), Change::Neutral);
}
