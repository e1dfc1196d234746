//! Intel's endorsements: each member of PCK certificate, revocation lists, TCB info and QE identity, edited and signed again.
//!
//! Decides: which rule names each. Trusts: the harness. Out of scope: the quote (`tdx_quote.rs`), issuer chains (`tdx_chains.rs`).
//! Source: Intel PCK certificate and CRL profile specification; PCS API documentation, TCB info (version 3) and QE identity (version 2).

use crate::harness::{ISSUER, Intel, KEY, NOT_AFTER, NOT_BEFORE, NOW_S, Table, extension, set, with_extension, without_extension};
use ringwall_sim::QuoteShape;
use ringwall_sim::forge::{QuoteParts, Signer, Tlv, ders_of, signed_again, statement_signature};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::TdxEndorsements;

/// 1.2.840.113741.1.13.1.
const SGX: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

pub fn rows(table: &mut Table) {
    let intel = Intel::new(QuoteShape::V4);
    assert_eq!(intel.pck(|_| ()), "accepted", "signing again changes nothing");
    assert_eq!(intel.tcb_info("UpToDate", "UpToDate"), "accepted", "signing again changes nothing");
    assert_eq!(intel.qe_identity("UpToDate", "UpToDate"), "accepted", "signing again changes nothing");
    platform(table, &intel);
    platform_certificate(table, &intel);
    tcb_info(table, &intel);
    tcb_levels(table, &intel);
    qe_identity(table, &intel);
    lists(table, &intel);
    foreign_module(table, &intel);
}

/// The value with this tail in Intel's extension; `edit` gets the pair `{ identifier, value }` and the list it stands in.
fn told(intel: &Intel, path: &[usize], edit: impl FnOnce(&mut Tlv)) -> String {
    intel.pck(|cert| {
        extension(cert, SGX, |bytes| {
            let mut told = Tlv::parse(bytes).unwrap();
            edit(told.at_mut(path).unwrap());
            *bytes = told.encode();
        });
    })
}

/// Platform's own facts: PPID, TCB { components, PCESVN, CPUSVN }, PCEID, FMSPC, SGX type, instance, flags.
fn platform(table: &mut Table, intel: &Intel) {
    let bytes = |path: &[usize], edit: fn(&mut Vec<u8>)| told(intel, path, |value| edit(value.bytes_mut().unwrap()));
    let missing = |path: &[usize], at: usize| told(intel, path, |list| drop(list.list_mut().unwrap().remove(at)));
    let mut row = |kind: &str, expected: &str, got: String| table.row(format!("tdx.pck.{kind}"), expected, got);
    row("ppid.first", "R::PlatformNotListed { … listed: 1 }", bytes(&[0, 1], |id| id[0] ^= 1));
    row("ppid.zero", "R::PlatformNotListed", bytes(&[0, 1], |id| id.fill(0)));
    row("ppid.short", "R::PlatformNotListed", bytes(&[0, 1], |id| id.truncate(id.len() - 1)));
    row("ppid.empty", "R::PlatformNotListed", bytes(&[0, 1], Vec::clear));
    row("ppid.missing", "V::IntelChain … missing", missing(&[], 0));
    for at in 0..8 {
        let zero = [7].contains(&at) || at == 6;
        // the lower level differs in the first component only
        let expected = if at == 0 { "R::StatusNotAccepted { reported: OutOfDate" } else { "V::TdxTcbBelowAll … No matching TCB level" };
        if !zero || at == 7 {
            let got = told(intel, &[1, 1, 17, 1], |svn| svn.bytes_mut().unwrap()[at] -= 1);
            row(&format!("cpu_svn.component_{at}.low"), expected, got);
        }
    }
    row("cpu_svn.zero", "V::TdxTcbBelowAll", bytes(&[1, 1, 17, 1], |svn| svn.fill(0)));
    row("cpu_svn.short", "V::IntelChain … CpuSvn length mismatch", bytes(&[1, 1, 17, 1], |svn| svn.truncate(svn.len() - 1)));
    row("cpu_svn.long", "V::IntelChain … CpuSvn length mismatch", bytes(&[1, 1, 17, 1], |svn| svn.push(0)));
    row("cpu_svn.missing", "V::IntelChain … OID is missing", missing(&[1, 1], 17));
    row("pce_svn.low", "R::StatusNotAccepted { reported: OutOfDate", bytes(&[1, 1, 16, 1], |svn| svn[0] -= 1));
    row("pce_svn.zero", "V::TdxTcbBelowAll … No matching TCB level", bytes(&[1, 1, 16, 1], |svn| svn[0] = 0));
    row("pce_svn.empty", "V::IntelChain … PceSvn length mismatch", bytes(&[1, 1, 16, 1], Vec::clear));
    row("pce_svn.long", "V::IntelChain … PceSvn length mismatch", bytes(&[1, 1, 16, 1], |svn| svn.extend([0, 0])));
    row("pce_svn.missing", "V::IntelChain … OID is missing", missing(&[1, 1], 16));
    row("tcb.missing", "V::IntelChain … OID is missing", missing(&[], 1));
    row(
        "pce_id.wrong",
        "V::IntelChain { reason: \"the TCB info is for PCE 0000, the platform has PCE 0100\" }",
        bytes(&[2, 1], |id| id[0] = 1),
    );
    row("pce_id.short", "V::IntelChain … the platform has PCE 00\"", bytes(&[2, 1], |id| id.truncate(id.len() - 1)));
    row("pce_id.empty", "V::IntelChain … the platform has PCE \"", bytes(&[2, 1], Vec::clear));
    row("pce_id.missing", "V::IntelChain … missing", missing(&[], 2));
    row("fmspc.first", "V::IntelChain … Fmspc mismatch", bytes(&[3, 1], |id| id[0] ^= 1));
    row("fmspc.zero", "V::IntelChain … Fmspc mismatch", bytes(&[3, 1], |id| id.fill(0)));
    row("fmspc.short", "V::IntelChain … Fmspc length mismatch", bytes(&[3, 1], |id| id.truncate(id.len() - 1)));
    row("fmspc.missing", "V::IntelChain … Failed to find Fmspc", missing(&[], 3));
    row("sgx_type.empty", "V::IntelChain … Unexpected ENUMERATED length", bytes(&[4, 1], Vec::clear));
    row("sgx_type.missing", "V::IntelChain … missing", missing(&[], 4));
    for (at, flag, rule) in [(0, "dynamic", "DynamicPlatform"), (1, "cached_keys", "CachedKeys"), (2, "smt", "Smt")] {
        row(&format!("{flag}.true"), &format!("R::{rule} {{ reported: Some(true) }}"), bytes(&[6, 1, at, 1], |flag| flag[0] = 0xff));
        row(&format!("{flag}.loosely_true"), &format!("R::{rule} {{ reported: Some(true) }}"), bytes(&[6, 1, at, 1], |flag| flag[0] = 1));
        row(&format!("{flag}.missing"), &format!("R::{rule} {{ reported: None }}"), missing(&[6, 1], at));
        row(&format!("{flag}.empty"), "V::IntelChain … Unexpected BOOLEAN length: 0", bytes(&[6, 1, at, 1], Vec::clear));
    }
    row("flags.missing", "R::DynamicPlatform { reported: None }", missing(&[], 6));
}

fn platform_certificate(table: &mut Table, intel: &Intel) {
    let mut row = |kind: &str, expected: &str, got: String| table.row(format!("tdx.pck.{kind}"), expected, got);
    row("extension.missing", "V::IntelChain … Intel extension not found", intel.pck(|cert| without_extension(cert, SGX)));
    row("extension.empty", "V::", intel.pck(|cert| extension(cert, SGX, Vec::clear)));
    row("extension.no_sequence", "V::", intel.pck(|cert| extension(cert, SGX, |bytes| *bytes = vec![5, 0])));
    row("extension.twice", "V::", intel.pck(|cert| with_extension(cert, SGX, false, &[0x30, 0])));
    row("extension.critical_unknown", "V::CollateralMalformed … UnsupportedCriticalExtension", {
        intel.pck(|cert| with_extension(cert, &[0x55, 0x1d, 0x63], true, &[5, 0]))
    });
    row("constraints.ca", "V::IntelChain … CaUsedAsEndEntity", {
        intel.pck(|cert| extension(cert, BASIC_CONSTRAINTS, |bytes| *bytes = vec![0x30, 3, 1, 1, 0xff]))
    });
    row("key.other", "V::IntelSignature … qe_report", {
        let other = ders_of(&Intel::new(QuoteShape::V4).endorsements.tcb_info_issuer_chain);
        let key = Tlv::parse(&other[0]).unwrap().at_mut(KEY).unwrap().clone();
        intel.pck(|cert| *cert.at_mut(KEY).unwrap() = key)
    });
    row(
        "issuer",
        "V::",
        intel.pck(|cert| {
            let name = cert.at_mut(ISSUER).unwrap().list_mut().unwrap();
            set(&mut name[0], &[0, 1], b"Intel SGX PCK Processor CA");
        }),
    );
    for (kind, place, by) in [("leaf", 0, Signer::IntelPlatform), ("intermediate", 1, Signer::IntelRoot)] {
        let dated = |path: &[usize], time: &[u8]| {
            let time = time.to_vec();
            intel.quote_certificate(place, by, |cert| set(cert, path, &time))
        };
        // an intermediate that was edited is no longer the one the revocation list's issuer chain names
        let expected = |text: &'static str| if place == 0 { text } else { "V::IntelChain … another issuer" };
        row(&format!("{kind}.begins_in_a_second"), expected("V::IntelTime"), dated(NOT_BEFORE, b"261124120001Z"));
        row(&format!("{kind}.ended_a_second_ago"), expected("V::IntelTime"), dated(NOT_AFTER, b"261124115959Z"));
    }
    for (kind, by) in [("root", Signer::IntelRoot), ("statements", Signer::IntelStatements), ("stranger", Signer::ForeignIntelRoot)] {
        row(&format!("signed_by.{kind}"), "V::Intel", intel.quote_certificate(0, by, |_| ()));
    }
}

fn tcb_info(table: &mut Table, intel: &Intel) {
    let mut row =
        |kind: &str, expected: &str, old: &str, new: &str| table.row(format!("tdx.tcb_info.{kind}"), expected, intel.tcb_info(old, new));
    row("id.sgx", "V::IntelChain … non-TDX TCB info", "\"id\":\"TDX\"", "\"id\":\"SGX\"");
    row("id.empty", "V::IntelChain … non-TDX TCB info", "\"id\":\"TDX\"", "\"id\":\"\"");
    row("id.missing", "V::CollateralMalformed … missing field `id`", "\"id\":\"TDX\",", "");
    row("version.2", "V::IntelChain … non-TDX TCB info", "\"version\":3", "\"version\":2");
    row("version.0", "V::IntelChain … non-TDX TCB info", "\"version\":3", "\"version\":0");
    row("version.text", "V::CollateralMalformed", "\"version\":3", "\"version\":\"3\"");
    row("version.negative", "V::CollateralMalformed", "\"version\":3", "\"version\":-3");
    row("fmspc.other", "V::IntelChain … Fmspc mismatch", "\"fmspc\":\"90C06F000000\"", "\"fmspc\":\"00806F050000\"");
    row("fmspc.no_hex", "V::", "\"fmspc\":\"90C06F000000\"", "\"fmspc\":\"90C06F00000\"");
    row("fmspc.empty", "V::IntelChain … Fmspc mismatch", "\"fmspc\":\"90C06F000000\"", "\"fmspc\":\"\"");
    row("pce_id.other", "V::IntelChain … the TCB info is for PCE 0001", "\"pceId\":\"0000\"", "\"pceId\":\"0001\"");
    row("pce_id.empty", "V::IntelChain … the TCB info is for PCE ,", "\"pceId\":\"0000\"", "\"pceId\":\"\"");
    row("pce_id.missing", "V::CollateralMalformed … missing field `pceId`", "\"pceId\":\"0000\",", "");
    row("tcb_type.missing", "V::CollateralMalformed", "\"tcbType\":0,", "");
    row("evaluation.low", "R::EvaluationTooOld { reported: 17, required: 18 }", "DataNumber\":18", "DataNumber\":17");
    row("evaluation.zero", "R::EvaluationTooOld { reported: 0, required: 18 }", "DataNumber\":18", "DataNumber\":0");
    row("evaluation.negative", "V::CollateralMalformed", "DataNumber\":18", "DataNumber\":-1");
    row("evaluation.missing", "V::CollateralMalformed", "\"tcbEvaluationDataNumber\":18,", "");
    row(
        "issue_date.future",
        "V::IntelTime … TCBInfo issue date is in the future",
        "\"issueDate\":\"2026-11-23",
        "\"issueDate\":\"2026-11-25",
    );
    row("issue_date.no_date", "V::", "\"issueDate\":\"2026-11-23T", "\"issueDate\":\"2026-13-23T");
    row("next_update.past", "V::IntelTime … TCBInfo expired", "\"nextUpdate\":\"2026-12-24", "\"nextUpdate\":\"2026-11-24");
    row("next_update.missing", "V::CollateralMalformed … missing field `nextUpdate`", "\"nextUpdate\":\"2026-12-24T00:00:00Z\",", "");
    row("next_update.no_date", "V::", "\"nextUpdate\":\"2026-12-24T", "\"nextUpdate\":\"soon T");
    row("module.missing", "V::IntelChain … missing tdxModule", "\"tdxModule\":", "\"otherModule\":");
    row("identities.missing", "V::TdxTcbBelowAll … No TDX module identity", "\"tdxModuleIdentities\":", "\"otherIdentities\":");
    row("identity.other", "V::TdxTcbBelowAll … No TDX module identity", "\"id\":\"TDX_01\"", "\"id\":\"TDX_02\"");
    row("member.twice", "V::CollateralMalformed … duplicate field `id`", "\"id\":\"TDX\",", "\"id\":\"TDX\",\"id\":\"TDX\",");
    let text = String::from_utf8(intel.endorsements.tcb_info.to_vec()).unwrap();
    // the identity's own words come after the module's: the last place counts
    let last = |old: &str, new: &str| {
        let at = text.rfind(old).unwrap();
        intel.tcb_info_text(&format!("{}{new}{}", &text[..at], &text[at + old.len()..]))
    };
    let zero = "0".repeat(96);
    let one = format!("{}1", "0".repeat(95));
    let mut row = |kind: &str, expected: &str, got: String| table.row(format!("tdx.tcb_info.{kind}"), expected, got);
    row("identity.mrsigner.other", "V::IntelChain … MRSIGNER mismatch", last(&zero, &one));
    row("identity.mrsigner.short", "V::IntelChain … invalid length", last(&zero, "00"));
    row("identity.attributes.other", "V::IntelChain … SEAMATTRIBUTES mismatch", last("\"attributes\":\"00", "\"attributes\":\"01"));
    row("identity.attributes_mask.short", "V::IntelChain … invalid length", last("\"attributesMask\":\"FF", "\"attributesMask\":\""));
    row("not_json", "V::CollateralMalformed", intel.tcb_info_text("TDX"));
    row("empty", "V::CollateralMissing", intel.tcb_info_text(""));
    row("empty_object", "V::CollateralMalformed", intel.tcb_info_text("{}"));
    row("trailing", "V::CollateralMalformed … trailing characters", intel.tcb_info_text(&format!("{text}}}")));
    row("cut", "V::CollateralMalformed", intel.tcb_info_text(&text[..text.len() - 1]));
    row("wrapped", "V::CollateralMalformed", intel.tcb_info_text(&format!("{{\"tcbInfo\":{text}}}")));
}

fn tcb_levels(table: &mut Table, intel: &Intel) {
    let statuses =
        ["SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"];
    let text = String::from_utf8(intel.endorsements.tcb_info.to_vec()).unwrap();
    // the platform's levels come last; the newest of them says UpToDate
    let newest = |new: &str| {
        let at = text.rfind("\"UpToDate\"").unwrap();
        intel.tcb_info_text(&format!("{}{new}{}", &text[..at], &text[at + "\"UpToDate\"".len()..]))
    };
    for status in statuses {
        let named = status.replace("SW", "Sw");
        table.row(format!("tdx.level.{status}"), format!("R::StatusNotAccepted {{ reported: {named},"), newest(&format!("\"{status}\"")));
    }
    table.row("tdx.level.Revoked", "V::TdxTcbRevoked", newest("\"Revoked\""));
    table.row("tdx.level.TDRelaunchAdvised", "V::IntelChain … Unrecognized TCB status", newest("\"TDRelaunchAdvised\""));
    table.row("tdx.level.unknown", "V::CollateralMalformed", newest("\"Fine\""));
    table.row("tdx.level.lower_case", "V::CollateralMalformed", newest("\"uptodate\""));
    table.row("tdx.level.null", "V::CollateralMalformed", newest("null"));
    table.row(
        "tdx.level.advisory",
        "R::AdvisoryDenied { reported: \"INTEL-SA-99999\" }",
        newest("\"UpToDate\",\"advisoryIDs\":[\"INTEL-SA-99999\"]"),
    );
    table.row(
        "tdx.level.advisory_other_case",
        "R::AdvisoryDenied { reported: \"intel-sa-99999\" }",
        newest("\"UpToDate\",\"advisoryIDs\":[\"intel-sa-99999\"]"),
    );
    let mut row =
        |kind: &str, expected: &str, old: &str, new: &str| table.row(format!("tdx.level.{kind}"), expected, intel.tcb_info(old, new));
    row(
        "module.Revoked",
        "V::TdxTcbRevoked",
        "\"isvsvn\":5},\"tcbDate\":\"2026-05-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"",
        "\"isvsvn\":5},\"tcbDate\":\"2026-05-13T00:00:00Z\",\"tcbStatus\":\"Revoked\"",
    );
    row(
        "module.configuration",
        "V::IntelChain … Unrecognized TCB status",
        "\"isvsvn\":5},\"tcbDate\":\"2026-05-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"",
        "\"isvsvn\":5},\"tcbDate\":\"2026-05-13T00:00:00Z\",\"tcbStatus\":\"ConfigurationNeeded\"",
    );
    row("module.raised", "R::StatusNotAccepted { reported: OutOfDate", "\"isvsvn\":5", "\"isvsvn\":6");
    row("pce_svn.raised", "R::StatusNotAccepted { reported: OutOfDate", "\"pcesvn\":11", "\"pcesvn\":12");
    row("pce_svn.missing", "V::CollateralMalformed", "\"pcesvn\":11,", "");
    row("sgx.first_raised", "R::StatusNotAccepted { reported: OutOfDate", "[{\"svn\":6},{\"svn\":6}", "[{\"svn\":7},{\"svn\":6}");
    row("sgx.all_raised", "V::TdxTcbBelowAll", "\"sgxtcbcomponents\":[{\"svn\":", "\"sgxtcbcomponents\":[{\"svn\":9");
    row("sgx.one_missing", "V::IntelChain … SGX component count mismatch", "\"sgxtcbcomponents\":[{\"svn\":6},", "\"sgxtcbcomponents\":[");
    row("sgx.one_more", "V::IntelChain … SGX component count mismatch", "\"sgxtcbcomponents\":[", "\"sgxtcbcomponents\":[{\"svn\":0},");
    row(
        "tdx.third_raised",
        "V::TdxTcbBelowAll",
        "\"tdxtcbcomponents\":[{\"svn\":5},{\"svn\":1},{\"svn\":3}",
        "\"tdxtcbcomponents\":[{\"svn\":5},{\"svn\":1},{\"svn\":4}",
    );
    row("tdx.one_missing", "V::IntelChain … TDX component count mismatch", "\"tdxtcbcomponents\":[{\"svn\":5},", "\"tdxtcbcomponents\":[");
    row("tdx.missing", "V::IntelChain … TDX component count mismatch", "\"tdxtcbcomponents\"", "\"othertcbcomponents\"");
    row("svn.too_big", "V::CollateralMalformed", "\"tdxtcbcomponents\":[{\"svn\":5}", "\"tdxtcbcomponents\":[{\"svn\":256}");
    let at = text.rfind("\"tcbLevels\":[").unwrap();
    let none = intel.tcb_info_text(&format!("{}\"tcbLevels\":[]}}", &text[..at]));
    table.row("tdx.level.none", "V::TdxTcbBelowAll … No matching TCB level", none);
}

// tidy: a table of one row a field, clearer in one piece
fn qe_identity(table: &mut Table, intel: &Intel) {
    let mut row = |kind: &str, expected: &str, old: &str, new: &str| {
        table.row(format!("tdx.qe_identity.{kind}"), expected, intel.qe_identity(old, new))
    };
    row("id.qe", "V::IntelChain … Unsupported QE Identity", "\"id\":\"TD_QE\"", "\"id\":\"QE\"");
    row("id.qve", "V::IntelChain … Unsupported QE Identity", "\"id\":\"TD_QE\"", "\"id\":\"QVE\"");
    row("id.missing", "V::CollateralMalformed", "\"id\":\"TD_QE\",", "");
    row("version.1", "V::IntelChain … Unsupported QE Identity", "\"version\":2", "\"version\":1");
    row("version.4", "V::IntelChain … Unsupported QE Identity", "\"version\":2", "\"version\":4");
    row(
        "issue_date.future",
        "V::IntelTime … QE Identity issue date is in the future",
        "\"issueDate\":\"2026-11-23",
        "\"issueDate\":\"2026-11-25",
    );
    row("next_update.past", "V::IntelTime … QE Identity expired", "\"nextUpdate\":\"2026-12-24", "\"nextUpdate\":\"2026-11-24");
    row("next_update.no_date", "V::", "\"nextUpdate\":\"2026-12-24T", "\"nextUpdate\":\"soon T");
    row("evaluation.low", "R::EvaluationTooOld { reported: 17, required: 18 }", "DataNumber\":18", "DataNumber\":17");
    row("evaluation.zero", "R::EvaluationTooOld { reported: 0", "DataNumber\":18", "DataNumber\":0");
    row("miscselect.other", "V::IntelChain … QE MISCSELECT mismatch", "\"miscselect\":\"00", "\"miscselect\":\"01");
    row("miscselect.short", "V::CollateralMalformed", "\"miscselect\":\"00", "\"miscselect\":\"");
    row("attributes.other", "V::IntelChain … QE ATTRIBUTES mismatch", "\"attributes\":\"11", "\"attributes\":\"10");
    row("attributes.short", "V::CollateralMalformed", "\"attributes\":\"11", "\"attributes\":\"");
    row("mrsigner.short", "V::CollateralMalformed", "\"mrsigner\":\"", "\"mrsigner\":\"00");
    row("mrsigner.missing", "V::CollateralMalformed", "\"mrsigner\"", "\"mrsinger\"");
    for product in [0, 1, 3] {
        row(
            &format!("isvprodid.{product}"),
            "V::IntelChain … QE ISVPRODID mismatch",
            "\"isvprodid\":2",
            &format!("\"isvprodid\":{product}"),
        );
    }
    row("isvprodid.missing", "V::CollateralMalformed", "\"isvprodid\":2,", "");
    row("level.raised", "V::TdxTcbBelowAll … QE ISVSVN", "\"isvsvn\":4", "\"isvsvn\":5");
    row("level.OutOfDate", "R::StatusNotAccepted { reported: OutOfDate", "\"UpToDate\"", "\"OutOfDate\"");
    row("level.Revoked", "V::TdxTcbRevoked", "\"UpToDate\"", "\"Revoked\"");
    row("level.SWHardeningNeeded", "V::IntelChain … Unrecognized TCB status", "\"UpToDate\"", "\"SWHardeningNeeded\"");
    row("level.unknown", "V::CollateralMalformed", "\"UpToDate\"", "\"Fine\"");
    row("level.none", "V::TdxTcbBelowAll … No TCB levels found", "\"tcbLevels\":[{\"tcb\"", "\"tcbLevels\":[],\"other\":[{\"tcb\"");
    let text = String::from_utf8(intel.endorsements.qe_identity.to_vec()).unwrap();
    table.row("tdx.qe_identity.trailing", "V::CollateralMalformed", intel.qe_identity_text(&format!("{text} x")));
    table.row("tdx.qe_identity.is_tcb_info", "V::CollateralMalformed", {
        let other = String::from_utf8(intel.endorsements.tcb_info.to_vec()).unwrap();
        intel.qe_identity_text(&other)
    });
    for (kind, len) in [("short", 63usize), ("half", 32), ("empty", 0)] {
        let short = |all: &mut Blob<64>| *all = Blob::new(all.to_vec()[..len].to_vec()).unwrap();
        let expected = match len {
            0 => "V::CollateralMissing".to_owned(),
            len => format!("V::CollateralMalformed {{ reason: \"the {{}} has {len} bytes, expected 64\""),
        };
        table.row(
            format!("tdx.tcb_info.signature.{kind}"),
            expected.replace("{}", "TCB info's signature"),
            intel.endorsed(|all| short(&mut all.tcb_info_signature)),
        );
        table.row(
            format!("tdx.qe_identity.signature.{kind}"),
            expected.replace("{}", "QE identity's signature"),
            intel.endorsed(|all| short(&mut all.qe_identity_signature)),
        );
    }
    for (kind, value) in [("zero", 0u8), ("ones", 0xff)] {
        let filled = || Blob::new([value; 64]).unwrap();
        table.row(format!("tdx.tcb_info.signature.{kind}"), "V::IntelSignature", intel.endorsed(|all| all.tcb_info_signature = filled()));
        table.row(
            format!("tdx.qe_identity.signature.{kind}"),
            "V::IntelSignature",
            intel.endorsed(|all| all.qe_identity_signature = filled()),
        );
    }
    table.row(
        "tdx.statements.signatures_swapped",
        "V::IntelSignature",
        intel.endorsed(|all| {
            std::mem::swap(&mut all.tcb_info_signature, &mut all.qe_identity_signature);
        }),
    );
    table.row(
        "tdx.statements.swapped",
        "V::CollateralMalformed",
        intel.endorsed(|all| {
            std::mem::swap(&mut all.tcb_info, &mut all.qe_identity);
            std::mem::swap(&mut all.tcb_info_signature, &mut all.qe_identity_signature);
        }),
    );
    table.row("tdx.tcb_info.not_utf8", "V::CollateralMalformed { reason: \"the TCB info is not UTF-8\"", {
        intel.endorsed(|all| all.tcb_info = Blob::new(vec![0xff, 0xfe]).unwrap())
    });
}

fn lists(table: &mut Table, intel: &Intel) {
    let platform_serial = {
        let parts = QuoteParts::of(&intel.quote).unwrap();
        let serial = |der: &[u8]| Tlv::parse(der).unwrap().at_mut(crate::harness::SERIAL).unwrap().bytes_mut().unwrap().clone();
        let chain = ders_of(&parts.chain);
        [serial(&chain[0]), serial(&chain[1])]
    };
    for (name, by, serial) in [("pck", Signer::IntelPlatform, &platform_serial[0]), ("root", Signer::IntelRoot, &platform_serial[1])] {
        let put = |all: &mut TdxEndorsements, bytes: Vec<u8>| match name {
            "pck" => all.pck_crl = Blob::new(bytes).unwrap(),
            _ => all.root_ca_crl = Blob::new(bytes).unwrap(),
        };
        let honest = if name == "pck" { intel.endorsements.pck_crl.to_vec() } else { intel.endorsements.root_ca_crl.to_vec() };
        let raw = |bytes: Vec<u8>| intel.endorsed(|all| put(all, bytes));
        let edited = |edit: &dyn Fn(&mut Tlv)| {
            let mut list = Tlv::parse(&honest).unwrap();
            edit(&mut list);
            raw(signed_again(&list, by))
        };
        assert_eq!(edited(&|_| ()), "accepted", "signing again changes nothing");
        let mut row = |kind: &str, expected: &str, got: String| table.row(format!("tdx.{name}_crl.{kind}"), expected, got);
        let entry = Tlv::parts(0x30, vec![Tlv::parts(0x30, vec![Tlv::bytes(2, serial.clone()), Tlv::bytes(0x17, *b"261101000000Z")])]);
        row(
            "names_the_chain",
            "V::IntelRevocation … CertRevoked",
            edited(&|list| {
                list.at_mut(&[0]).unwrap().list_mut().unwrap().insert(5, entry.clone());
            }),
        );
        row("ended_a_second_ago", "V::IntelTime", edited(&|list| set(list, &[0, 4], b"261124115959Z")));
        row("no_next_update", "V::IntelRevocation", edited(&|list| drop(list.at_mut(&[0]).unwrap().list_mut().unwrap().remove(4))));
        row(
            "issuer",
            "V::IntelRevocation",
            edited(&|list| {
                let name = list.at_mut(&[0, 2]).unwrap().list_mut().unwrap();
                set(&mut name[0], &[0, 1], b"Intel SGX PCK Processor CA");
            }),
        );
        row(
            "critical",
            "V::IntelRevocation",
            edited(&|list| {
                let extra = Tlv::parts(0x30, vec![Tlv::bytes(6, [0x55, 0x1d, 0x1b]), Tlv::bytes(1, [0xff]), Tlv::bytes(4, [2, 1, 1])]);
                list.at_mut(&[0, 5, 0]).unwrap().list_mut().unwrap().push(extra);
            }),
        );
        row("no_extensions", "V::IntelRevocation", edited(&|list| drop(list.at_mut(&[0]).unwrap().list_mut().unwrap().remove(5))));
        row("version_1", "V::IntelRevocation", edited(&|list| set(list, &[0, 0], &[0])));
        row("empty", "V::CollateralMissing", raw(Vec::new()));
        row("empty_sequence", "V::IntelRevocation", raw(vec![0x30, 0]));
        row("cut", "V::IntelRevocation", raw(honest[..honest.len() - 1].to_vec()));
        row("trailing", "V::IntelRevocation", raw([honest.as_slice(), &[0]].concat()));
        row(
            "signature",
            "V::IntelRevocation",
            raw({
                let mut bytes = honest.clone();
                *bytes.last_mut().unwrap() ^= 1;
                bytes
            }),
        );
        row("stranger", "V::IntelRevocation", raw(signed_again(&Tlv::parse(&honest).unwrap(), Signer::ForeignIntelRoot)));
        row("certificate", "V::IntelRevocation", raw(ders_of(&intel.endorsements.pck_crl_issuer_chain)[0].clone()));
    }
    table.row("tdx.crls.swapped", "V::IntelRevocation", intel.endorsed(|all| std::mem::swap(&mut all.pck_crl, &mut all.root_ca_crl)));
    table.row("tdx.crls.root_twice", "V::IntelRevocation", intel.endorsed(|all| all.pck_crl = all.root_ca_crl.clone()));
}

/// Even where Intel's own statements vouch for another module than Intel's, no policy accepts it.
fn foreign_module(table: &mut Table, intel: &Intel) {
    let text = String::from_utf8(intel.endorsements.tcb_info.to_vec()).unwrap();
    let last = |old: &str, new: &str| {
        let at = text.rfind(old).unwrap();
        format!("{}{new}{}", &text[..at], &text[at + old.len()..])
    };
    let with = |text: String, edit: fn(&mut QuoteParts)| {
        let mut parts = QuoteParts::of(&intel.quote).unwrap();
        edit(&mut parts);
        intel.tee.sign_quote_again(&mut parts);
        let endorsements = TdxEndorsements {
            tcb_info_signature: Blob::new(statement_signature(text.as_bytes())).unwrap(),
            tcb_info: Blob::new(text.into_bytes()).unwrap(),
            ..intel.endorsements.clone()
        };
        intel.judge_at(parts.assemble(), endorsements, NOW_S)
    };
    let zero = "0".repeat(96);
    let signer = with(last(&zero, &format!("01{}", &zero[2..])), |parts| parts.body[64] = 1);
    table.row("tdx.module.vouched_signer", "R::SeamSigner", signer);
    let attributes = with(last("\"attributes\":\"00", "\"attributes\":\"01"), |parts| parts.body[112] = 1);
    table.row("tdx.module.vouched_attributes", "R::SeamAttributes { reported: 1 }", attributes);
}
