//! What no edit of evidence can provoke: rules of the policy, trust domains, proofs of release, and the binding's own parts.
//!
//! Decides: which rule names each. The walk over every rule of a policy is in `fields.rs`; here are those whose facts the policy holds.
//! Trusts: the harness. Out of scope: fields of evidence (the other files).

use crate::harness::{Amd, Intel, NOW_S, Table, binding, not_genuine, profile, rejected};
use ringwall_attest::{Expected, Rejection, appraise, report_data, verify};
use ringwall_sim::release::Publisher;
use ringwall_sim::{QuoteShape, anchors, policy_for};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::evidence::{Binding, Endorsements, Evidence, Role, SnpEvidence};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::{Digest, Slot, TrustDomain};
use ringwall_wire::policy::{ChipId, PolicyDoc, ReleaseRule};

pub fn rows(table: &mut Table) {
    let amd = Amd::new("genoa-1");
    let intel = Intel::new(QuoteShape::V4);
    lists(table, &amd, &intel);
    floors(table, &amd, &intel);
    releases(table, &amd);
    bindings(table);
    let crossed = |evidence: &Amd, endorsements: &Intel| {
        let evidence = Evidence::Snp(SnpEvidence { report: Blob::new(evidence.report.clone()).unwrap() });
        verify(&evidence, &Endorsements::Tdx(endorsements.endorsements.clone()), &anchors(), NOW_S)
            .map_or_else(|error| not_genuine(&error), |_| "accepted".into())
    };
    table.row("vendor.amd_under_intel", "V::OtherVendor { evidence: Amd, endorsements: Intel }", crossed(&amd, &intel));
}

fn lists(table: &mut Table, amd: &Amd, intel: &Intel) {
    let chip: ChipId = amd.tee.profile().chip_id().unwrap();
    let denied = amd.under(|policy| policy.snp.denied_chips = List::new(vec![ChipId([9; 64]), chip]).unwrap());
    table.row("policy.snp.chip.denied", "R::ChipDenied", denied);
    assert_eq!(amd.under(|policy| policy.snp.denied_chips = List::new(vec![ChipId([9; 64])]).unwrap()), "accepted");
    table.row(
        "policy.snp.chip.unlisted_and_denied",
        "R::ChipDenied",
        amd.under(|policy| {
            policy.snp.chips = List::default();
            policy.snp.denied_chips = List::new(vec![chip]).unwrap();
        }),
    );
    table.row("policy.snp.chip.none", "R::ChipNotListed { … listed: 0 }", amd.under(|policy| policy.snp.chips = List::default()));
    table.row("policy.snp.product.none", "R::ProductNotAccepted { reported: Genoa, accepted: [] }", {
        amd.under(|policy| policy.snp.products = List::default())
    });
    table.row("policy.snp.version.none", "R::ReportVersionNotAccepted { reported: 5, accepted: [] }", {
        amd.under(|policy| policy.snp.report_versions = List::default())
    });
    table.row("policy.snp.build.none", "R::MeasurementUnknown", amd.under(|policy| policy.measurements = List::default()));

    let platform: Digest = intel.tee.chip();
    let denied = intel.under(|policy| policy.tdx.denied_platforms = List::new(vec![Digest([9; 32]), platform]).unwrap());
    table.row("policy.tdx.platform.denied", "R::PlatformDenied", denied);
    table.row(
        "policy.tdx.platform.none",
        "R::PlatformNotListed { … listed: 0 }",
        intel.under(|policy| policy.tdx.platforms = List::default()),
    );
    table.row("policy.tdx.family.none", "R::FmspcNotListed { … listed: 0 }", intel.under(|policy| policy.tdx.fmspcs = List::default()));
    table.row("policy.tdx.status.none", "R::StatusNotAccepted { reported: UpToDate, accepted: [] }", {
        intel.under(|policy| policy.tdx.statuses = List::default())
    });
    table.row("policy.tdx.build.none", "R::TupleUnknown", intel.under(|policy| policy.measurements = List::default()));
}

fn floors(table: &mut Table, amd: &Amd, intel: &Intel) {
    let svn = |policy: &mut PolicyDoc| policy.min_svn += 1;
    table.row("policy.snp.svn", "R::SvnTooLow { … reported: 1, required: 2 }", amd.under(svn));
    table.row("policy.tdx.svn", "R::SvnTooLow { … reported: 1, required: 2 }", intel.under(svn));
    table.row("policy.snp.svn.max", "R::SvnTooLow { … required: 4294967295 }", amd.under(|policy| policy.min_svn = u32::MAX));
    table.row("policy.tdx.evaluation.max", "R::EvaluationTooOld { reported: 18, required: 4294967295 }", {
        intel.under(|policy| policy.tdx.min_tcb_evaluation = u32::MAX)
    });
    table.row("policy.tdx.attributes_required", "R::TdAttributesMissing", intel.under(|policy| policy.tdx.attributes_required |= 1 << 30));
    let tcb = |part: fn(&mut ringwall_wire::policy::SnpTcb)| {
        amd.under(|policy| {
            let mut products = policy.snp.products.to_vec();
            part(&mut products[0].min_tcb);
            policy.snp.products = List::new(products).unwrap();
        })
    };
    let expected = "R::TcbTooOld { which: Current";
    table.row("policy.snp.min_tcb.fmc", expected, tcb(|tcb| tcb.fmc = 1));
    table.row("policy.snp.min_tcb.boot_loader", expected, tcb(|tcb| tcb.boot_loader += 1));
    table.row("policy.snp.min_tcb.tee", expected, tcb(|tcb| tcb.tee += 1));
    table.row("policy.snp.min_tcb.snp", expected, tcb(|tcb| tcb.snp += 1));
    table.row("policy.snp.min_tcb.microcode", expected, tcb(|tcb| tcb.microcode += 1));
    table.row("policy.snp.min_tcb.all", expected, tcb(|tcb| tcb.boot_loader = 255));
}

fn demanding() -> ReleaseRule {
    Publisher::default().demanded()
}

fn releases(table: &mut Table, amd: &Amd) {
    let demands = Amd::of(amd.tee.profile().clone(), |policy| policy.release = demanding());
    table.row("policy.release.no_proof", "R::ReleaseProofMissing", demands.with_proof(&[]));
    for len in [1, 100, 4_000] {
        table.row(format!("policy.release.proof_{len}"), "R::NotReleased(Malformed…", demands.with_proof(&vec![7; len]));
    }
    let mut production = profile("genoa-1");
    production.boot_config.trust_domain = TrustDomain::Production;
    let production = Amd::of(production, |policy| {
        policy.trust_domain = TrustDomain::Production;
        policy.release = demanding();
    });
    table.row("policy.production.simulated_root", "R::RootNotProduction", production.honest());
    let mut crossed = profile("genoa-1");
    crossed.boot_config.trust_domain = TrustDomain::Production;
    table.row("policy.domain.boot_production", "R::BootTrustDomain { reported: Production, required: Simulated }", {
        Amd::of(crossed, |_| ()).honest()
    });
    table.row("policy.domain.policy_production", "R::BootTrustDomain { reported: Simulated, required: Production }", {
        amd.under(|policy| policy.trust_domain = TrustDomain::Production)
    });
    for protocol in [0u16, 2, u16::MAX] {
        let mut other = profile("genoa-1");
        other.boot_config.protocol = protocol;
        table.row(
            format!("policy.boot.protocol_{protocol}"),
            format!("R::BootProtocol {{ reported: {protocol}"),
            Amd::of(other, |_| ()).honest(),
        );
    }
}

/// Judges an honest machine whose evidence was made before `change`.
fn judge_bound(chip_name: &str, change: impl FnOnce(&mut Binding, &mut BootConfig, &mut PolicyDoc)) -> String {
    let tee = ringwall_sim::SimTee::new(profile(chip_name), NOW_S);
    let mut policy = policy_for(&[&tee]);
    let mut boot = tee.profile().boot_config.clone();
    let mut binding = binding(&tee, &policy);
    let evidence = tee.mint(&report_data(&binding));
    change(&mut binding, &mut boot, &mut policy);
    let verified = verify(&evidence, &tee.endorse(), &anchors(), NOW_S).unwrap();
    let outcome =
        appraise(verified, &policy, &Expected { binding: &binding, boot_config: &boot, release_proof: &[], now_s: 0, last_head: None });
    outcome.map_or_else(|rejection: Rejection| rejected(&rejection), |_| "accepted".into())
}

fn bindings(table: &mut Table) {
    type Change = fn(&mut Binding);
    let fields: [(&str, Change); 13] = [
        ("cluster_id.first", |b| b.cluster_id.0[0] ^= 1),
        ("cluster_id.zero", |b| b.cluster_id.0 = [0; 32]),
        ("epoch.low", |b| b.epoch.0 -= 1),
        ("epoch.high", |b| b.epoch.0 += 1),
        ("role.peer_init", |b| b.role = Role::PeerInit),
        ("role.client_server", |b| b.role = Role::ClientServer),
        ("role.recovery", |b| b.role = Role::Recovery),
        ("incarnation.low", |b| b.incarnation.0 -= 1),
        ("incarnation.zero", |b| b.incarnation.0 = 0),
        ("noise_key.last", |b| b.keys.noise.0[31] ^= 1),
        ("signature_key.first", |b| b.keys.sig.0[0] ^= 1),
        ("encapsulation_key.last", |b| b.keys.kem.0[1183] ^= 1),
        ("batch_root.first", |b| b.batch_root.0[0] ^= 1),
    ];
    for chip_name in ["genoa-1", "tdx-1"] {
        assert_eq!(judge_bound(chip_name, |_, _, _| ()), "accepted");
        let mut row = |kind: &str, expected: &str, got: String| table.row(format!("binding.{chip_name}.{kind}"), expected, got);
        for (field, change) in fields {
            row(field, "R::ReportData", judge_bound(chip_name, |binding, _, _| change(binding)));
        }
        row("boot_config.bound", "R::BoundBootConfig", judge_bound(chip_name, |binding, _, _| binding.boot_config.0[0] ^= 1));
        row("boot_config.given", "R::BoundBootConfig", judge_bound(chip_name, |_, boot, _| boot.slot = Slot(9)));
        row("policy.bound", "R::BoundPolicy", judge_bound(chip_name, |binding, _, _| binding.policy.0[31] ^= 1));
        row("policy.given", "R::BoundPolicy", judge_bound(chip_name, |_, _, policy| policy.version.0 += 1));
        row("boot_config.protocol", "R::BootProtocol", judge_bound(chip_name, |_, boot, _| boot.protocol += 1));
        row("boot_config.domain", "R::BootTrustDomain", judge_bound(chip_name, |_, boot, _| boot.trust_domain = TrustDomain::Production));
    }
}
