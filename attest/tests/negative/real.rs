//! Real evidence of both vendors, changed in one place: nobody here can sign it again, so the layout or a signature must notice.
//!
//! Decides: which rule names each. Trusts: the published vectors, which verify unchanged (`vectors.rs`).
//! Out of scope: edits that need signing again (the other files). Vectors: `$RINGWALL_VECTORS` or `../shared/vectors`.

use crate::harness::{Table, not_genuine, rejected};
use crate::shelf::{self, Quoted, vectors};
use ringwall_attest::{Anchors, Expected, appraise, verify};
use ringwall_sim::forge::{QuoteParts, Tlv};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::ids::TrustDomain;
use ringwall_wire::policy::ReleaseRule;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Whether the vectors are there.
pub fn there() -> bool {
    vectors().is_some()
}

pub fn rows(table: &mut Table) {
    let Some(folder) = vectors() else { return };
    for (case, chip) in [("milan-v2-virtee", "milan"), ("genoa-v5-oak-genoa-oc", "genoa"), ("turin-v5-msft", "turin")] {
        report(table, &folder, case, chip);
    }
    quote(table, "tdx-v5-v5-google-90c06f@2026-03-01");
}

fn moment(folder: &Path) -> u64 {
    let facts: Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    facts["verify_at"].as_u64().unwrap()
}

fn report(table: &mut Table, vectors: &Path, case: &str, chip: &str) {
    let folder = vectors.join("snp").join(case);
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let honest = read(folder.join("report.bin"));
    let (vek, ask) = (read(folder.join("vek.der")), read(vectors.join("snp/roots").join(chip).join("ask.der")));
    let now_s = moment(&folder);
    let judge = |report: &[u8], vek: &[u8], ask: &[u8]| {
        let evidence = Evidence::Snp(SnpEvidence { report: Blob::new(report).unwrap() });
        let endorsements = SnpEndorsements { vek: Blob::new(vek).unwrap(), ask: Blob::new(ask).unwrap(), crl: Blob::default() };
        match verify(&evidence, &Endorsements::Snp(endorsements), &Anchors::production(), now_s) {
            Err(error) => not_genuine(&error),
            Ok(verified) => {
                let mut policy = crate::strict::policy(verified.claims());
                policy.trust_domain = TrustDomain::Production;
                policy.release = ReleaseRule::NotDemanded;
                let mut boot_config = crate::strict::boot_config();
                boot_config.trust_domain = TrustDomain::Production;
                let binding = crate::strict::binding(&policy, &boot_config);
                let expected = Expected { binding: &binding, boot_config: &boot_config, release_proof: &[], now_s: 0, last_head: None };
                appraise(verified, &policy, &expected).map_or_else(|rejection| rejected(&rejection), |_| "accepted".into())
            }
        }
    };
    let id = format!("real.{chip}");
    // a production policy without a rule for releases is refused before anything else of the evidence
    table.row(format!("{id}.no_release_rule"), "R::ReleaseRuleMissing", judge(&honest, &vek, &ask));
    let fields = [
        ("guest_svn", 0x04),
        ("policy", 0x0a),
        ("family_id", 0x10),
        ("image_id", 0x20),
        ("vmpl", 0x30),
        ("current_tcb", 0x3f),
        ("platform_info", 0x40),
        ("report_data", 0x50),
        ("measurement", 0x90),
        ("host_data", 0xc0),
        ("id_key_digest", 0xe0),
        ("author_key_digest", 0x110),
        ("report_id", 0x140),
        ("report_id_ma", 0x160),
        ("reported_tcb", 0x187),
        ("chip_id", 0x1a0),
        ("committed_tcb", 0x1e7),
        ("launch_tcb", 0x1f7),
        ("signature.r", 0x2a0),
        ("signature.s", 0x2e8),
    ];
    for (field, at) in fields {
        let mut report = honest.clone();
        report[at] ^= 1;
        table.row(format!("{id}.{field}"), "V::ReportSignature", judge(&report, &vek, &ask));
    }
    let certificate = |der: &[u8], path: &[usize]| {
        let mut cert = Tlv::parse(der).unwrap();
        *cert.at_mut(path).unwrap().bytes_mut().unwrap().last_mut().unwrap() ^= 1;
        cert.encode()
    };
    table.row(format!("{id}.vek.signature"), "V::CertSignature { which: Vek }", judge(&honest, &certificate(&vek, &[2]), &ask));
    table.row(format!("{id}.vek.serial"), "V::CertSignature { which: Vek }", judge(&honest, &certificate(&vek, &[0, 1]), &ask));
    table.row(format!("{id}.ask.signature"), "V::CertSignature { which: Ask }", judge(&honest, &vek, &certificate(&ask, &[2])));
    table.row(format!("{id}.ask.serial"), "V::CertSignature { which: Ask }", judge(&honest, &vek, &certificate(&ask, &[0, 1])));
    table.row(format!("{id}.vek_for_ask"), "V::CertNamed { which: Ask", judge(&honest, &vek, &vek));
}

fn quote(table: &mut Table, case: &str) {
    let Quoted { quote, endorsements: collateral, now_s } = shelf::quoted(case).unwrap();
    let judge = |quote: Vec<u8>, collateral: TdxEndorsements| {
        let evidence = Evidence::Tdx(TdxEvidence { quote: Blob::new(quote).unwrap(), event_log: Blob::default() });
        verify(&evidence, &Endorsements::Tdx(collateral), &Anchors::production(), now_s)
            .map_or_else(|error| not_genuine(&error), |_| "accepted".into())
    };
    assert_eq!(judge(quote.clone(), collateral.clone()), "accepted");
    let parts = |edit: &dyn Fn(&mut QuoteParts)| {
        let mut parts = QuoteParts::of(&quote).unwrap();
        edit(&mut parts);
        judge(parts.assemble(), collateral.clone())
    };
    for (field, at) in [
        ("tee_tcb_svn", 0),
        ("mr_seam", 16),
        ("td_attributes", 120),
        ("xfam", 128),
        ("mrtd", 136),
        ("mr_config_id", 184),
        ("rtmr0", 328),
        ("rtmr3", 472),
        ("report_data", 520),
        ("tee_tcb_svn2", 584),
        ("mr_service_td", 600),
    ] {
        table.row(format!("real.tdx.{field}"), "V::IntelSignature", parts(&|parts| parts.body[at] ^= 1));
    }
    table.row("real.tdx.signature", "V::IntelSignature", parts(&|parts| parts.signature[0] ^= 1));
    table.row("real.tdx.key", "V::IntelSignature … QE report hash mismatch", parts(&|parts| parts.key[0] ^= 1));
    table.row("real.tdx.enclave", "V::IntelSignature … qe_report", parts(&|parts| parts.enclave[64] ^= 1));
    table.row("real.tdx.authentication", "V::IntelSignature … QE report hash mismatch", parts(&|parts| parts.authentication[0] ^= 1));
    table.row("real.tdx.chain_text", "V::PemText { what: \"the quote's chain\", line: 1 }", parts(&|parts| parts.chain.insert(0, b'#')));
    let stapled = |edit: &dyn Fn(&mut TdxEndorsements)| {
        let mut collateral = collateral.clone();
        edit(&mut collateral);
        judge(quote.clone(), collateral)
    };
    table.row(
        "real.tdx.status_forged",
        "V::",
        stapled(&|all| {
            let text = String::from_utf8(all.tcb_info.to_vec()).unwrap();
            assert!(text.contains("\"OutOfDate\""));
            all.tcb_info = Blob::new(text.replace("\"OutOfDate\"", "\"UpToDate\"").into_bytes()).unwrap();
        }),
    );
    table.row(
        "real.tdx.white_space",
        "V::IntelSignature",
        stapled(&|all| {
            let text = String::from_utf8(all.qe_identity.to_vec()).unwrap();
            all.qe_identity = Blob::new(text.replacen(':', ": ", 1).into_bytes()).unwrap();
        }),
    );
    table.row(
        "real.tdx.crl_chain_of_statements",
        "V::IntelChain … another issuer",
        stapled(&|all| {
            all.pck_crl_issuer_chain = all.tcb_info_issuer_chain.clone();
        }),
    );
}
