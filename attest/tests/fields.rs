//! One change for each rule and each byte: what verifying and appraising refuse, and how they name it.
//!
//! Decides: that every rule of a policy bites on evidence that satisfies all the others, that no byte of evidence or endorsement can change
//! unnoticed, and that wrong surroundings (time, roots, vendor, trust domain) are named. What lying machines meet is in sim/tests/lies.rs.
//! Trusts: minted evidence of `ringwall-sim`, whose honest machines are accepted. Out of scope: real evidence (`vectors.rs`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::result_large_err)]

use ringwall_attest::release::ReleaseError;
use ringwall_attest::{Anchors, Appraised, CertName, Expected, Rejection as R, TcbKind, VerifyError as V, appraise, report_data, verify};
use ringwall_sim::release::Publisher;
use ringwall_sim::{Lie, QuoteShape, SimTee, TeeProfile, anchors, foreign_anchors, policy_for, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Endorsements, Evidence, Role, SnpEndorsements, TdxEndorsements, TdxEvidence};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, SigPublic, Slot, TrustDomain};
use ringwall_wire::policy::{MeasurementRegister, PolicyDoc, ReleaseRule};

/// 2026-11-24 12:00:00 UTC.
const NOW_S: u64 = 1_795_521_600;
const DAY_S: u64 = 86_400;

#[derive(Debug)]
#[allow(dead_code, reason = "shown when a test fails")]
enum Refused {
    NotGenuine(V),
    Rejected(R),
}

fn machine(chip_name: &str) -> SimTee {
    SimTee::new(world::machine(chip_name, world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap(), NOW_S)
}

fn with_profile(chip_name: &str, change: impl FnOnce(&mut TeeProfile)) -> SimTee {
    let mut profile = machine(chip_name).profile().clone();
    change(&mut profile);
    SimTee::new(profile, NOW_S)
}

fn binding(boot: &BootConfig, policy: &PolicyDoc) -> Binding {
    Binding {
        cluster_id: ClusterId([7; 32]),
        epoch: Epoch(1),
        role: Role::PeerResp,
        incarnation: Incarnation(3),
        keys: BootKeys { noise: NoisePublic([1; 32]), sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) },
        boot_config: boot.host_data(),
        policy: Digest(policy.digest()),
        batch_root: Digest([4; 32]),
    }
}

/// Evidence of `tee` under `policy`, judged by it.
fn judge(tee: &SimTee, policy: &PolicyDoc) -> Result<Appraised, Refused> {
    let boot = &tee.profile().boot_config;
    let binding = binding(boot, policy);
    let verified = verify(&tee.mint(&report_data(&binding)), &tee.endorse(), &anchors(), NOW_S).map_err(Refused::NotGenuine)?;
    appraise(verified, policy, &Expected { binding: &binding, boot_config: boot, release_proof: &[], now_s: 0, last_head: None })
        .map_err(Refused::Rejected)
}

fn one<T, const MAX: usize>(item: T) -> List<T, MAX> {
    List::new(vec![item]).unwrap()
}

const ONES: MeasurementRegister = MeasurementRegister([1; 48]);

/// A rule: its name, how to make the honest machine break it, and how the refusal must read.
type Rule = (&'static str, fn(&mut PolicyDoc), fn(&R) -> bool);

/// Sets the first product's minimum one above what the machine has, in one part.
fn raise_tcb(policy: &mut PolicyDoc, raise: fn(&mut ringwall_wire::policy::SnpTcb)) {
    let mut products = policy.snp.products.to_vec();
    raise(&mut products[0].min_tcb);
    policy.snp.products = List::new(products).unwrap();
}

const SNP_RULES: &[Rule] = &[
    ("report version", |p| p.snp.report_versions = one(3), |r| matches!(r, R::ReportVersionNotAccepted { reported: 5, .. })),
    ("product", |p| p.snp.products = List::default(), |r| matches!(r, R::ProductNotAccepted { .. })),
    ("chip", |p| p.snp.chips = List::default(), |r| matches!(r, R::ChipNotListed { listed: 0, .. })),
    ("vmpl", |p| p.snp.vmpl = 1, |r| matches!(r, R::Vmpl { reported: 0, required: 1 })),
    ("guest policy must", |p| p.snp.policy_required |= 1 << 16, |r| matches!(r, R::GuestPolicyBitsMissing { .. })),
    ("guest policy may", |p| p.snp.policy_allowed = 0, |r| matches!(r, R::GuestPolicyBitsForbidden { .. })),
    ("abi major", |p| p.snp.min_abi_major += 1, |r| matches!(r, R::AbiTooOld { .. })),
    ("abi minor", |p| p.snp.min_abi_minor += 1, |r| matches!(r, R::AbiTooOld { .. })),
    ("platform must", |p| p.snp.platform_required |= 1, |r| matches!(r, R::PlatformBitsMissing { .. })),
    ("platform may", |p| p.snp.platform_allowed = 0, |r| matches!(r, R::PlatformBitsForbidden { .. })),
    ("fmc", |p| raise_tcb(p, |t| t.fmc += 1), |r| matches!(r, R::TcbTooOld { which: TcbKind::Current, .. })),
    ("boot loader", |p| raise_tcb(p, |t| t.boot_loader += 1), |r| matches!(r, R::TcbTooOld { .. })),
    ("tee", |p| raise_tcb(p, |t| t.tee += 1), |r| matches!(r, R::TcbTooOld { .. })),
    ("snp", |p| raise_tcb(p, |t| t.snp += 1), |r| matches!(r, R::TcbTooOld { .. })),
    ("microcode", |p| raise_tcb(p, |t| t.microcode += 1), |r| matches!(r, R::TcbTooOld { .. })),
    (
        "mitigations",
        |p| {
            let mut products = p.snp.products.to_vec();
            products[0].required_mitigations |= 1 << 50;
            p.snp.products = List::new(products).unwrap();
        },
        |r| matches!(r, R::MitigationsMissing { which: TcbKind::Launch, .. }),
    ),
    ("id key", |p| p.snp.id_key_digest = ONES, |r| matches!(r, R::IdKey { .. })),
    ("author key", |p| p.snp.author_key_digest = ONES, |r| matches!(r, R::AuthorKey { .. })),
    ("family id", |p| p.snp.family_id = [1; 16], |r| matches!(r, R::FamilyId { .. })),
    ("image id", |p| p.snp.image_id = [1; 16], |r| matches!(r, R::ImageId { .. })),
    ("build", |p| p.measurements = List::default(), |r| matches!(r, R::MeasurementUnknown { .. })),
    ("security version", |p| p.min_svn += 1, |r| matches!(r, R::SvnTooLow { reported: 1, required: 2, .. })),
];

const TDX_RULES: &[Rule] = &[
    ("family", |p| p.tdx.fmspcs = List::default(), |r| matches!(r, R::FmspcNotListed { listed: 0, .. })),
    ("platform", |p| p.tdx.platforms = List::default(), |r| matches!(r, R::PlatformNotListed { listed: 0, .. })),
    ("evaluation", |p| p.tdx.min_tcb_evaluation += 1, |r| matches!(r, R::EvaluationTooOld { .. })),
    ("status", |p| p.tdx.statuses = List::default(), |r| matches!(r, R::StatusNotAccepted { .. })),
    ("module", |p| p.tdx.mr_seams = one(ONES), |r| matches!(r, R::SeamNotListed { listed: 1, .. })),
    ("attributes must", |p| p.tdx.attributes_required |= 1 << 30, |r| matches!(r, R::TdAttributesMissing { .. })),
    ("attributes may", |p| p.tdx.attributes_allowed = 0, |r| matches!(r, R::TdAttributesForbidden { .. })),
    ("xfam", |p| p.tdx.xfam_allowed = 0, |r| matches!(r, R::XfamForbidden { .. })),
    ("rtmr3", |p| p.tdx.rtmr3 = ONES, |r| matches!(r, R::Rtmr3 { .. })),
    ("owner", |p| p.tdx.mr_owner = ONES, |r| matches!(r, R::MrOwner { .. })),
    ("owner config", |p| p.tdx.mr_owner_config = ONES, |r| matches!(r, R::MrOwnerConfig { .. })),
    ("build", |p| p.measurements = List::default(), |r| matches!(r, R::TupleUnknown { .. })),
    ("security version", |p| p.min_svn += 1, |r| matches!(r, R::SvnTooLow { .. })),
];

fn every_rule_bites(tee: &SimTee, rules: &[Rule]) {
    let honest = policy_for(&[tee]);
    let appraised = judge(tee, &honest).unwrap_or_else(|refused| panic!("{tee:?} is honest: {refused:?}"));
    assert_eq!((appraised.measurement(), appraised.svn(), appraised.chip()), (world::BUILD, 1, tee.chip()));
    assert_eq!(appraised.vendor(), tee.vendor());
    assert!(appraised.steps().len() >= 6, "{:?}", appraised.steps());
    for (name, break_it, expected) in rules {
        let mut policy = honest.clone();
        break_it(&mut policy);
        match judge(tee, &policy) {
            Err(Refused::Rejected(rejection)) if expected(&rejection) => assert!(rejection.to_string().len() > 20),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn every_rule_for_amd_bites() {
    every_rule_bites(&machine("genoa-1"), SNP_RULES);
    every_rule_bites(&machine("turin-1"), SNP_RULES);
}

#[test]
fn every_rule_for_intel_bites() {
    every_rule_bites(&machine("tdx-1"), TDX_RULES);
    every_rule_bites(&with_profile("tdx-1", |profile| profile.quote_shape = QuoteShape::V5Td15), TDX_RULES);
}

/// Each part of a tuple counts: a known MRTD under a foreign RTMR is no known build.
#[test]
fn registers_are_judged_as_one_tuple() {
    let tee = machine("tdx-1");
    let known = policy_for(&[&tee]);
    for at in 0..4 {
        let mut builds = known.measurements.to_vec();
        let mut tuple = builds[0].tdx[0].clone();
        *[&mut tuple.mrtd, &mut tuple.rtmr0, &mut tuple.rtmr1, &mut tuple.rtmr2][at] = ONES;
        builds[0].tdx = one(tuple);
        let policy = PolicyDoc { measurements: List::new(builds).unwrap(), ..known.clone() };
        assert!(matches!(judge(&tee, &policy), Err(Refused::Rejected(R::TupleUnknown { .. }))));
    }
}

#[test]
fn required_mitigations_need_a_report_that_tells_them() {
    let tee = with_profile("genoa-1", |profile| profile.report_version = 3);
    assert!(matches!(judge(&tee, &policy_for(&[&tee])), Err(Refused::Rejected(R::MitigationsUnknown { reported: 3, .. }))));
}

#[test]
fn guest_svn_counts_under_an_id_key() {
    let tee = with_profile("genoa-1", |profile| profile.id_block = true);
    let mut policy = policy_for(&[&tee]);
    policy.snp.id_key_digest = TeeProfile::id_key_digest();
    assert!(judge(&tee, &policy).is_ok());
    let refused = judge(&tee.telling(&[Lie::SnpGuestSvn]), &policy);
    assert!(matches!(refused, Err(Refused::Rejected(R::GuestSvnTooLow { reported: 0, required: 1 }))), "{refused:?}");
}

/// Rules that hold under every policy, tried under the loosest one that can be written.
#[test]
fn some_rules_no_policy_can_loosen() {
    let loosest = |tee: &SimTee| {
        let mut policy = policy_for(&[tee]);
        policy.snp.policy_allowed = u64::MAX;
        policy.snp.policy_required = 0;
        policy.snp.platform_allowed = u64::MAX;
        policy.snp.allow_vlek = true;
        policy.tdx.attributes_allowed = u64::MAX;
        policy.tdx.attributes_required = 0;
        policy
    };
    type Told = (&'static str, Lie, fn(&R) -> bool);
    let told: [Told; 9] = [
        ("genoa-1", Lie::SnpDebug, |r| matches!(r, R::DebugGuest { .. })),
        ("genoa-1", Lie::SnpMigrateMa, |r| matches!(r, R::MigratableGuest { .. })),
        ("genoa-1", Lie::SnpMustBeOne, |r| matches!(r, R::GuestPolicyMustBeOne { .. })),
        ("genoa-1", Lie::SnpMaskedKey, |r| matches!(r, R::ChipKeyMasked)),
        ("genoa-1", Lie::SnpReportIdMa, |r| matches!(r, R::MigrationAgent)),
        ("turin-1", Lie::SnpProvisional, |r| matches!(r, R::ProvisionalFirmware { .. })),
        ("turin-1", Lie::SnpOldCommitted, |r| matches!(r, R::TcbTooOld { which: TcbKind::Committed, .. })),
        ("tdx-1", Lie::TdxDebug, |r| matches!(r, R::DebugGuest { .. })),
        ("tdx-1", Lie::TdxServiceTd, |r| matches!(r, R::ServiceTd { .. })),
    ];
    for (chip_name, lie, named) in told {
        let tee = machine(chip_name);
        assert!(judge(&tee, &loosest(&tee)).is_ok());
        let outcome = judge(&tee.clone().telling(&[lie]), &loosest(&tee));
        assert!(matches!(&outcome, Err(Refused::Rejected(rejection)) if named(rejection)), "{lie:?}: {outcome:?}");
    }
    let tee = machine("tdx-1");
    for lie in [Lie::TdxMigratable, Lie::TdxSeptVe, Lie::TdxAttributesUnknown] {
        let outcome = judge(&tee.clone().telling(&[lie]), &loosest(&tee));
        assert!(matches!(outcome, Err(Refused::NotGenuine(V::TdAttributes { .. }))), "{lie:?}: {outcome:?}");
    }
}

/// No byte of a report may change: either the layout or the signature notices.
#[test]
fn every_byte_of_a_report_counts() {
    let tee = machine("turin-1");
    let Evidence::Snp(honest) = tee.mint(&[9; 64]) else { panic!("not AMD") };
    let endorsements = tee.endorse();
    for at in 0..honest.report.len() {
        let mut bytes = honest.report.to_vec();
        bytes[at] ^= 0x10;
        let evidence = Evidence::Snp(ringwall_wire::evidence::SnpEvidence { report: Blob::new(bytes).unwrap() });
        let error = verify(&evidence, &endorsements, &anchors(), NOW_S).map(|_| ()).expect_err("a changed byte");
        let named = match at {
            0x00..0x04 => matches!(error, V::ReportVersion { .. }),
            0x34..0x38 => matches!(error, V::SignatureAlgorithm { .. }),
            0x48 => matches!(error, V::SigningKeyCode { got: 4 }),
            0x49..0x50 | 0x18b..0x1a0 | 0x1eb | 0x1ef | 0x208..0x2a0 => matches!(error, V::ReportReserved { .. }),
            // another family, or a model of the same or another product
            0x188 => matches!(error, V::ProductUnknown { .. }),
            0x2d0..0x2e8 | 0x318..0x4a0 => matches!(error, V::SignaturePadding { .. }),
            _ => matches!(error, V::ReportSignature),
        };
        assert!(named, "byte {at:#x}: {error:?}");
    }
}

/// No byte of a quote may change; every 5th is tried, at every offset of the header and body.
#[test]
fn every_byte_of_a_quote_counts() {
    for shape in [QuoteShape::V4, QuoteShape::V5, QuoteShape::V5Td15] {
        let tee = with_profile("tdx-1", |profile| profile.quote_shape = shape);
        let Evidence::Tdx(honest) = tee.mint(&[9; 64]) else { panic!("not Intel") };
        let endorsements = tee.endorse();
        let step = if shape == QuoteShape::V4 { 5 } else { 41 };
        for at in (0..48).chain((48..honest.quote.len()).step_by(step)) {
            let mut bytes = honest.quote.to_vec();
            bytes[at] ^= 0x04;
            let evidence = Evidence::Tdx(TdxEvidence { quote: Blob::new(bytes).unwrap(), event_log: Blob::default() });
            let outcome = verify(&evidence, &endorsements, &anchors(), NOW_S);
            let context = String::from_utf8_lossy(&honest.quote[at.saturating_sub(9)..honest.quote.len().min(at + 9)]);
            assert!(outcome.is_err(), "{shape:?}, byte {at} of {}, in {context:?}", honest.quote.len());
        }
    }
}

fn verify_at(tee: &SimTee, endorsements: &Endorsements, roots: &Anchors, now_s: u64) -> Option<V> {
    verify(&tee.mint(&[9; 64]), endorsements, roots, now_s).err()
}

fn amd_endorsements(tee: &SimTee) -> SnpEndorsements {
    match tee.endorse() {
        Endorsements::Snp(endorsements) => endorsements,
        Endorsements::Tdx(_) => panic!("not AMD"),
    }
}

fn flipped<const MAX: usize>(blob: &Blob<MAX>, at: usize) -> Blob<MAX> {
    let mut bytes = blob.to_vec();
    bytes[at] ^= 1;
    Blob::new(bytes).unwrap()
}

#[test]
fn no_byte_of_amds_endorsements_can_change() {
    let tee = machine("turin-1");
    let honest = amd_endorsements(&tee);
    assert_eq!(verify_at(&tee, &Endorsements::Snp(honest.clone()), &anchors(), NOW_S), None);
    for at in (0..honest.vek.len()).step_by(7) {
        let changed = SnpEndorsements { vek: flipped(&honest.vek, at), ..honest.clone() };
        assert!(verify_at(&tee, &Endorsements::Snp(changed), &anchors(), NOW_S).is_some(), "VEK byte {at}");
    }
    for at in (0..honest.ask.len()).step_by(7) {
        let changed = SnpEndorsements { ask: flipped(&honest.ask, at), ..honest.clone() };
        assert!(verify_at(&tee, &Endorsements::Snp(changed), &anchors(), NOW_S).is_some(), "ASK byte {at}");
    }
    for at in (0..honest.crl.len()).step_by(7) {
        let changed = SnpEndorsements { crl: flipped(&honest.crl, at), ..honest.clone() };
        assert!(verify_at(&tee, &Endorsements::Snp(changed), &anchors(), NOW_S).is_some(), "CRL byte {at}");
    }
}

#[test]
fn wrong_surroundings_of_amd_evidence_are_named() {
    let tee = machine("turin-1");
    let honest = amd_endorsements(&tee);
    let at = |now_s| verify_at(&tee, &Endorsements::Snp(honest.clone()), &anchors(), now_s);
    assert!(matches!(at(NOW_S - 10 * DAY_S), Some(V::CrlNotYet { .. })), "{:?}", at(NOW_S - 10 * DAY_S));
    assert!(matches!(at(0), Some(V::CertNotYet { which: CertName::Ark, .. })), "{:?}", at(0));
    assert!(matches!(at(u64::MAX), Some(V::CertExpired { .. })));

    let with = |endorsements: SnpEndorsements, roots: &Anchors| verify_at(&tee, &Endorsements::Snp(endorsements), roots, NOW_S);
    assert_eq!(with(honest.clone(), &foreign_anchors()), Some(V::CertSignature { which: CertName::Ask }));
    let real = with(honest.clone(), &Anchors::production());
    assert!(matches!(real, Some(V::CertIssuer { which: CertName::Ask } | V::CertSignature { which: CertName::Ask })), "{real:?}");
    let none = Anchors { amd: Vec::new(), ..anchors() };
    assert!(matches!(with(honest.clone(), &none), Some(V::AnchorMissing { .. })));
    let genoa = amd_endorsements(&machine("genoa-1"));
    let crossed = SnpEndorsements { ask: genoa.ask.clone(), ..honest.clone() };
    assert!(matches!(with(crossed, &anchors()), Some(V::CertNamed { which: CertName::Ask, .. })));
    let crossed = SnpEndorsements { crl: genoa.crl, ..honest.clone() };
    assert_eq!(with(crossed, &anchors()), Some(V::CrlIssuer));
    let crossed = SnpEndorsements { vek: genoa.vek, ..honest.clone() };
    assert!(matches!(with(crossed, &anchors()), Some(V::ProductMismatch { .. })));
    let same = SnpEndorsements { ask: honest.vek.clone(), ..honest.clone() };
    assert!(matches!(with(same, &anchors()), Some(V::CertNamed { which: CertName::Ask, .. })));
    let provider = SnpEndorsements { vek: amd_endorsements(&tee.clone().telling(&[Lie::SnpVlek])).vek, ..honest.clone() };
    assert!(with(provider, &anchors()).is_some(), "a VLEK under the ASK");
    for (vek, ask) in [(Blob::default(), honest.ask.clone()), (honest.vek.clone(), Blob::default())] {
        let error = with(SnpEndorsements { vek, ask, ..honest.clone() }, &anchors());
        assert!(matches!(error, Some(V::CertMissing { .. })), "{error:?}");
    }
    for (vek, ask) in [(Blob::new(vec![0x30, 0]).unwrap(), honest.ask.clone()), (honest.vek.clone(), Blob::new(vec![0; 9]).unwrap())] {
        let error = with(SnpEndorsements { vek, ask, ..honest.clone() }, &anchors());
        assert!(matches!(error, Some(V::CertMalformed { .. })), "{error:?}");
    }
    let endorsements = SnpEndorsements { crl: Blob::new(vec![0x30, 0]).unwrap(), ..honest };
    assert!(matches!(with(endorsements, &anchors()), Some(V::CrlMalformed { .. })));
}

#[test]
fn wrong_surroundings_of_intel_evidence_are_named() {
    let tee = machine("tdx-1");
    let Endorsements::Tdx(honest) = tee.endorse() else { panic!("not Intel") };
    let with = |endorsements: TdxEndorsements, roots: &Anchors, now_s| verify_at(&tee, &Endorsements::Tdx(endorsements), roots, now_s);
    assert_eq!(with(honest.clone(), &anchors(), NOW_S), None);
    for now_s in [0, NOW_S - 400 * DAY_S, NOW_S + 32 * DAY_S, u64::MAX] {
        let error = with(honest.clone(), &anchors(), now_s);
        assert!(matches!(error, Some(V::IntelTime { .. })), "{now_s}: {error:?}");
    }
    for roots in [foreign_anchors(), Anchors::production()] {
        let error = with(honest.clone(), &roots, NOW_S);
        assert!(matches!(error, Some(V::IntelRoot { .. })), "{error:?}");
    }
    let error = with(TdxEndorsements { tcb_info: Blob::new(vec![0xff; 9]).unwrap(), ..honest.clone() }, &anchors(), NOW_S);
    assert!(matches!(error, Some(V::CollateralMalformed { .. })), "{error:?}");
    let error = with(TdxEndorsements { qe_identity: Blob::new(*b"{}").unwrap(), ..honest.clone() }, &anchors(), NOW_S);
    assert!(matches!(error, Some(V::CollateralMalformed { .. })), "{error:?}");
    for at in (0..64).step_by(9) {
        let changed = TdxEndorsements { tcb_info_signature: flipped(&honest.tcb_info_signature, at), ..honest.clone() };
        assert!(matches!(with(changed, &anchors(), NOW_S), Some(V::IntelSignature { .. })));
        let changed = TdxEndorsements { qe_identity_signature: flipped(&honest.qe_identity_signature, at), ..honest.clone() };
        assert!(matches!(with(changed, &anchors(), NOW_S), Some(V::IntelSignature { .. })));
    }
}

/// Judges an honest machine whose evidence is bound to `made_for`, while `expected` is what the judge expects.
fn judge_bound(change: impl FnOnce(&mut Binding, &mut BootConfig, &mut PolicyDoc)) -> Option<R> {
    let tee = machine("genoa-1");
    let mut policy = policy_for(&[&tee]);
    let mut boot = tee.profile().boot_config.clone();
    let mut binding = binding(&boot, &policy);
    let evidence = tee.mint(&report_data(&binding));
    change(&mut binding, &mut boot, &mut policy);
    let verified = verify(&evidence, &tee.endorse(), &anchors(), NOW_S).unwrap();
    appraise(verified, &policy, &Expected { binding: &binding, boot_config: &boot, release_proof: &[], now_s: 0, last_head: None }).err()
}

#[test]
fn evidence_counts_only_for_what_it_was_made_for() {
    assert_eq!(judge_bound(|_, _, _| ()), None);
    let changes: [fn(&mut Binding); 9] = [
        |b| b.cluster_id.0[0] ^= 1,
        |b| b.epoch.0 += 1,
        |b| b.role = Role::PeerInit,
        |b| b.incarnation.0 += 1,
        |b| b.keys.noise.0[31] ^= 1,
        |b| b.keys.sig.0[0] ^= 1,
        |b| b.keys.kem.0[1183] ^= 1,
        |b| b.batch_root.0[0] ^= 1,
        |b| b.role = Role::JoinInit,
    ];
    for change in changes {
        assert!(matches!(judge_bound(|binding, _, _| change(binding)), Some(R::ReportData { .. })));
    }
    assert!(matches!(judge_bound(|binding, _, _| binding.boot_config.0[0] ^= 1), Some(R::BoundBootConfig { .. })));
    assert!(matches!(judge_bound(|_, boot, _| boot.slot = Slot(9)), Some(R::BoundBootConfig { .. })));
    assert!(matches!(judge_bound(|binding, _, _| binding.policy.0[0] ^= 1), Some(R::BoundPolicy { .. })));
    assert!(matches!(judge_bound(|_, _, policy| policy.version.0 += 1), Some(R::BoundPolicy { .. })));
    assert!(matches!(judge_bound(|_, boot, _| boot.protocol += 1), Some(R::BootProtocol { .. })));
    assert!(matches!(judge_bound(|_, boot, _| boot.trust_domain = TrustDomain::Production), Some(R::BootTrustDomain { .. })));
}

fn demanding() -> ReleaseRule {
    Publisher::default().demanded()
}

#[test]
fn a_production_cluster_takes_no_simulated_roots() {
    let mut tee = machine("genoa-1");
    let boot = BootConfig { trust_domain: TrustDomain::Production, ..tee.profile().boot_config.clone() };
    tee = tee.booted(boot);
    let mut policy = policy_for(&[&tee]);
    policy.trust_domain = TrustDomain::Production;
    policy.release = demanding();
    assert!(matches!(judge(&tee, &policy), Err(Refused::Rejected(R::RootNotProduction { .. }))));
}

#[test]
fn a_demanded_release_proof_is_never_waved_through() {
    let tee = machine("genoa-1");
    let mut policy = policy_for(&[&tee]);
    policy.release = demanding();
    let boot = &tee.profile().boot_config;
    let binding = binding(boot, &policy);
    let with = |proof: &[u8]| {
        let verified = verify(&tee.mint(&report_data(&binding)), &tee.endorse(), &anchors(), NOW_S).unwrap();
        appraise(verified, &policy, &Expected { binding: &binding, boot_config: boot, release_proof: proof, now_s: 0, last_head: None })
            .err()
    };
    assert_eq!(with(&[]), Some(R::ReleaseProofMissing));
    assert!(matches!(with(b"looks like a proof"), Some(R::NotReleased(error)) if matches!(*error, ReleaseError::Malformed(_))));
}
