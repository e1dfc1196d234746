//! Whatever newly accepts some evidence is loosening: pairs of policies, evidence of many machines, and the real appraisal.
//!
//! Decides: that no change the comparison calls neutral or tightening makes evidence acceptable that was not; and, so that this says something, that the
//! pairs really turn refusals into acceptances, by most of the rules one by one. Trusts: simulated machines, honest and lying. Out of scope: proofs of
//! release, and rules that are not about evidence (client/tests/policy_meaning.rs goes through every field).

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use ringwall_attest::policy::{Change, change};
use ringwall_attest::{Claims, Expected, Rejection, appraise, verify};
use ringwall_sim::answering::NOW_S;
use ringwall_sim::{BuildImage, Lie, Platform, SimTee, TeeProfile, anchors, world};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Endorsements, Evidence, Role};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::{
    BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, PolicyVersion, SigPublic, Slot, TrustDomain,
};
use ringwall_wire::policy::{
    ChipId, Fmspc, Measurement, MeasurementRegister, PolicyDoc, RevocationRule, SnpProduct, SnpProductRule, TdxTcbStatus, TdxTuple,
};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Accepted by tuples and digests.
const NEW: &str = "new";
/// Accepted by its boot events.
const TABLES: &str = "tables";
/// Accepted by tuples and digests, with a lower security version.
const OLD: &str = "old";

/// Evidence of one machine.
struct Shown {
    name: String,
    evidence: Evidence,
    endorsements: Endorsements,
    boot: BootConfig,
}

fn boot() -> BootConfig {
    world::joining_config(ClusterId([5; 32]), Slot(1))
}

fn machine(chip: &str, build: &str, change: impl FnOnce(&mut TeeProfile)) -> TeeProfile {
    let svn = if build == OLD { 1 } else { 2 };
    let mut profile = TeeProfile::new(Platform::of_chip(chip).unwrap(), chip, BuildImage::new(build, svn), boot());
    change(&mut profile);
    profile
}

/// Every machine whose evidence is genuine: whether it is acceptable is the policy's word.
fn pool() -> &'static [Shown] {
    static POOL: OnceLock<Vec<Shown>> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut machines = Vec::new();
        for chip in ["genoa-1", "turin-1", "tdx-1"] {
            machines.extend([NEW, TABLES, OLD].map(|build| (format!("{chip} {build}"), machine(chip, build, |_| ()))));
        }
        machines.push(("tdx-1 tables 16 GiB".into(), machine("tdx-1", TABLES, |profile| profile.memory_gib = 16)));
        machines.push(("genoa-1 report 3".into(), machine("genoa-1", NEW, |profile| profile.report_version = 3)));
        machines.push(("genoa-1 ID block".into(), machine("genoa-1", NEW, |profile| profile.id_block = true)));
        for (chip, lies) in [("genoa-1", Lie::SNP), ("tdx-1", Lie::TDX)] {
            machines.extend(lies.iter().map(|lie| (format!("{chip} {lie:?}"), machine(chip, NEW, |profile| profile.lies.push(*lie)))));
        }
        let shown = machines.into_iter().map(|(name, profile)| {
            let boot = profile.boot_config.clone();
            let tee = SimTee::new(profile, NOW_S);
            Shown { name, evidence: tee.mint(&[0; 64]), endorsements: tee.endorse(), boot }
        });
        shown.filter(|shown| verify(&shown.evidence, &shown.endorsements, &anchors(), NOW_S).is_ok()).collect()
    })
}

/// Whether every rule of `policy` holds: the evidence is bound to nothing, and that is what is left to refuse.
fn accepts(policy: &PolicyDoc, shown: &Shown) -> bool {
    let verified = verify(&shown.evidence, &shown.endorsements, &anchors(), NOW_S).unwrap();
    let binding = Binding {
        cluster_id: ClusterId([5; 32]),
        epoch: Epoch(1),
        role: Role::ClientServer,
        incarnation: Incarnation(1),
        keys: BootKeys { noise: NoisePublic([1; 32]), sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) },
        boot_config: shown.boot.host_data(),
        policy: Digest(policy.digest()),
        batch_root: Digest([4; 32]),
    };
    let expected = Expected { binding: &binding, boot_config: &shown.boot, release_proof: &[], now_s: NOW_S, last_head: None };
    matches!(appraise(verified, policy, &expected), Err(Rejection::ReportData { .. }))
}

/// Accepts as much as a policy can.
fn lenient() -> PolicyDoc {
    let honest = ["genoa-1", "turin-1", "tdx-1"].map(|chip| SimTee::new(machine(chip, NEW, |_| ()), NOW_S));
    let mut policy = ringwall_sim::policy_for(&[&honest[0], &honest[1], &honest[2]]);
    let builds = vec![
        BuildImage::new(NEW, 2).measurement(),
        BuildImage::new(TABLES, 2).measurement_by_events(),
        BuildImage::new(OLD, 1).measurement(),
    ];
    policy.measurements = List::new(builds).unwrap();
    policy.min_svn = 1;
    let rules = &mut policy.snp;
    rules.report_versions = List::new(vec![2, 3, 5]).unwrap();
    rules.products = each_rule(&rules.products, |rule| (rule.min_tcb, rule.required_mitigations) = (Default::default(), 0));
    (rules.policy_required, rules.policy_allowed, rules.platform_required, rules.platform_allowed) = (0, u64::MAX, 0, u64::MAX);
    (rules.min_abi_major, rules.min_abi_minor, rules.allow_vlek, rules.revocation) = (0, 0, true, RevocationRule::BestEffort);
    let rules = &mut policy.tdx;
    (rules.min_tcb_evaluation, rules.denied_advisories) = (0, List::default());
    use TdxTcbStatus as T;
    let statuses = vec![T::UpToDate, T::SwHardeningNeeded, T::ConfigurationNeeded, T::ConfigurationAndSwHardeningNeeded, T::OutOfDate];
    rules.statuses = List::new(statuses).unwrap();
    (rules.attributes_required, rules.attributes_allowed, rules.xfam_allowed) = (0, u64::MAX, u64::MAX);
    (rules.allow_dynamic_platform, rules.allow_cached_keys, rules.allow_smt) = (true, true, true);
    policy
}

fn each_rule(rules: &[SnpProductRule], change: impl Fn(&mut SnpProductRule)) -> List<SnpProductRule, 8> {
    let mut rules = rules.to_vec();
    rules.iter_mut().for_each(change);
    List::new(rules).unwrap()
}

fn rules(policy: &mut PolicyDoc, change: impl Fn(&mut SnpProductRule)) {
    policy.snp.products = each_rule(&policy.snp.products, change);
}

fn builds(policy: &mut PolicyDoc, change: impl FnOnce(&mut Vec<Measurement>)) {
    let mut builds = policy.measurements.to_vec();
    change(&mut builds);
    policy.measurements = List::new(builds).unwrap();
}

fn without(policy: &mut PolicyDoc, name: &str) {
    builds(policy, |builds| builds.retain(|build| &*build.id != name));
}

/// A build below every least version that claims what others are measured as.
fn shadow(snp: Vec<MeasurementRegister>, tdx: Vec<TdxTuple>, tables: bool) -> Measurement {
    let mut table = BuildImage::new(TABLES, 2).tdx_replay();
    let mut events = table.events.to_vec();
    events[0].label = Text::new("the same, called otherwise").unwrap();
    table.events = List::new(events).unwrap();
    let replays = if tables { vec![table] } else { Vec::new() };
    let (snp, tdx, tdx_replays) = (List::new(snp).unwrap(), List::new(tdx).unwrap(), List::new(replays).unwrap());
    Measurement { id: Text::new("shadow").unwrap(), svn: 0, snp, tdx, tdx_replays }
}

/// The tuple of the machine with 16 GiB, which only a table accepts.
fn large_tuple() -> TdxTuple {
    let shown = pool().iter().find(|shown| shown.name == "tdx-1 tables 16 GiB").unwrap();
    let verified = verify(&shown.evidence, &shown.endorsements, &anchors(), NOW_S).unwrap();
    match verified.claims() {
        Claims::Tdx(claims) => claims.tuple.clone(),
        Claims::Snp(_) => panic!("an Intel machine"),
    }
}

type Edit = fn(&mut PolicyDoc);

/// Each makes a policy refuse something, or refuse it no longer; on top of one another in this order.
const EDITS: &[Edit] = &[
    |policy| policy.min_svn = 2,
    |policy| without(policy, NEW),
    |policy| without(policy, TABLES),
    |policy| without(policy, OLD),
    |policy| builds(policy, |builds| builds.iter_mut().filter(|build| &*build.id == NEW).for_each(|build| build.svn = 0)),
    |policy| builds(policy, |builds| builds.insert(0, shadow(vec![BuildImage::new(NEW, 2).snp_measurement()], vec![], false))),
    |policy| builds(policy, |builds| builds.push(shadow(vec![BuildImage::new(OLD, 1).snp_measurement()], vec![], false))),
    |policy| builds(policy, |builds| builds.insert(0, shadow(vec![], vec![BuildImage::new(NEW, 2).tdx_tuple()], false))),
    |policy| builds(policy, |builds| builds.push(shadow(vec![], vec![large_tuple()], false))),
    |policy| builds(policy, |builds| builds.insert(0, shadow(vec![], vec![], true))),
    |policy| builds(policy, |builds| builds.push(shadow(vec![], vec![], true))),
    |policy| builds(policy, |builds| builds.reverse()),
    |policy| policy.snp.report_versions = List::new(vec![5]).unwrap(),
    |policy| {
        policy.snp.products =
            List::new(policy.snp.products.iter().filter(|rule| rule.product != SnpProduct::Genoa).cloned().collect()).unwrap()
    },
    |policy| policy.snp.products = List::new(policy.snp.products.iter().rev().cloned().collect()).unwrap(),
    |policy| rules(policy, |rule| rule.min_tcb.boot_loader = 1),
    |policy| rules(policy, |rule| rule.min_tcb.snp = u8::MAX),
    |policy| rules(policy, |rule| rule.min_tcb.microcode = 1),
    |policy| rules(policy, |rule| rule.min_tcb.fmc = 1),
    |policy| rules(policy, |rule| rule.required_mitigations = 1),
    |policy| rules(policy, |rule| rule.required_mitigations = 1 << 40),
    |policy| policy.snp.chips = List::new(policy.snp.chips.iter().skip(1).copied().collect()).unwrap(),
    |policy| policy.snp.chips.push(ChipId([9; 64])).unwrap(),
    |policy| policy.snp.denied_chips = policy.snp.chips.clone(),
    |policy| policy.snp.vmpl = 1,
    |policy| policy.snp.policy_required |= 1 << 22,
    |policy| policy.snp.policy_required |= 1 << 23,
    |policy| policy.snp.policy_required |= 1 << 40,
    |policy| policy.snp.policy_allowed &= !(1 << 16),
    |policy| policy.snp.policy_allowed &= 1 << 17,
    |policy| policy.snp.min_abi_major = 1,
    |policy| policy.snp.min_abi_minor = 60,
    |policy| policy.snp.platform_required |= 1 << 5,
    |policy| policy.snp.platform_required |= 1,
    |policy| policy.snp.platform_allowed &= !1,
    |policy| policy.snp.platform_allowed &= 0xff,
    |policy| policy.snp.id_key_digest = TeeProfile::id_key_digest(),
    |policy| policy.snp.author_key_digest.0[0] = 1,
    |policy| policy.snp.family_id[0] = 1,
    |policy| policy.snp.image_id[0] = 1,
    |policy| policy.snp.allow_vlek = false,
    |policy| policy.snp.revocation = RevocationRule::Required,
    |policy| policy.tdx.fmspcs = List::new(vec![Fmspc([1; 6])]).unwrap(),
    |policy| policy.tdx.platforms = List::default(),
    |policy| policy.tdx.denied_platforms = policy.tdx.platforms.clone(),
    |policy| policy.tdx.min_tcb_evaluation = 1_000,
    |policy| policy.tdx.statuses = List::new(vec![TdxTcbStatus::UpToDate]).unwrap(),
    |policy| policy.tdx.statuses = List::new(vec![TdxTcbStatus::OutOfDate]).unwrap(),
    |policy| policy.tdx.denied_advisories = world::policy().tdx.denied_advisories,
    |policy| policy.tdx.mr_seams = List::new(vec![MeasurementRegister([7; 48])]).unwrap(),
    |policy| policy.tdx.attributes_required |= 1 << 28,
    |policy| policy.tdx.attributes_allowed &= 1 << 28,
    |policy| policy.tdx.attributes_allowed = 0,
    |policy| policy.tdx.xfam_allowed = 3,
    |policy| policy.tdx.rtmr3.0[0] = 1,
    |policy| policy.tdx.mr_owner.0[0] = 1,
    |policy| policy.tdx.mr_owner_config.0[0] = 1,
    |policy| policy.tdx.allow_dynamic_platform = false,
    |policy| policy.tdx.allow_cached_keys = false,
    |policy| policy.tdx.allow_smt = false,
    |policy| policy.trust_domain = TrustDomain::Production,
];

fn policy_of(edits: &BTreeSet<usize>, version: u64) -> PolicyDoc {
    let mut policy = PolicyDoc { version: PolicyVersion(version), ..lenient() };
    EDITS.iter().enumerate().filter(|(at, _)| edits.contains(at)).for_each(|(_, edit)| edit(&mut policy));
    policy
}

/// Whether some evidence is acceptable under `new` that was not under `old`, among these machines.
fn flips<'a>(old: &PolicyDoc, new: &PolicyDoc, machines: impl Iterator<Item = &'a Shown>) -> Option<&'a str> {
    let mut machines = machines.filter(|shown| accepts(new, shown) && !accepts(old, shown));
    machines.next().map(|shown| shown.name.as_str())
}

#[test]
fn each_rule_taken_back_is_a_loosening_when_it_lets_evidence_in() {
    let verdicts = |policy: &PolicyDoc| pool().iter().map(|shown| accepts(policy, shown)).collect::<Vec<_>>();
    let all = policy_of(&BTreeSet::new(), 2);
    let by_all = verdicts(&all);
    let mut flipped = 0;
    for at in 0..EDITS.len() {
        let one = policy_of(&BTreeSet::from([at]), 2);
        let by_one = verdicts(&one);
        for (old, new, before, after) in [(&one, &all, &by_one, &by_all), (&all, &one, &by_all, &by_one)] {
            let Some(let_in) = before.iter().zip(after).position(|(before, after)| !before && *after) else { continue };
            flipped += 1;
            assert_eq!(change(old, new), Change::Loosening, "edit {at} lets {} in", pool()[let_in].name);
        }
    }
    assert!(flipped >= 40, "most rules decide about some machine: {flipped} flips of {} rules", EDITS.len());
    assert!(pool().len() >= 30, "{} machines", pool().len());
}

#[test]
fn whatever_newly_accepts_some_evidence_is_loosening() {
    let config = ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (flipped, quiet) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let edits = |least: usize, most: usize| proptest::collection::btree_set(0..EDITS.len(), least..most);
    let ran = runner.run(&(edits(0, 4), edits(1, 3), 0..pool().len()), |(before, turned, first)| {
        // Half of these take back one of the few rules there are; the others add some.
        let turned = turned.into_iter().chain(before.iter().copied().take(first % 2)).collect::<BTreeSet<_>>();
        let (old, new) = (policy_of(&before, 2), policy_of(&before.symmetric_difference(&turned).copied().collect(), 3));
        let kind = change(&old, &new);
        // Where nothing must be let in more are asked; elsewhere it is only counted.
        let asked = if kind == Change::Loosening { 12 } else { 30 };
        let machines = (0..asked).map(|at| &pool()[(first + at * 7) % pool().len()]);
        match flips(&old, &new, machines) {
            Some(name) => {
                prop_assert!(kind == Change::Loosening, "{kind:?}, and {name} is let in: {before:?}, turned {turned:?}");
                flipped.set(flipped.get() + 1);
            }
            None => quiet.set(quiet.get() + usize::from(kind != Change::Loosening)),
        }
        Ok(())
    });
    ran.unwrap();
    assert!(flipped.get() >= 15, "{} of 160 pairs let evidence in", flipped.get());
    assert!(quiet.get() >= 15, "{} of 160 pairs are no loosening", quiet.get());
}
