//! `ringwall-conformance` as it is run on folders nobody here has seen: verdicts, JSON, exit codes, hostile folders.
//!
//! Decides: whether the program agrees with every shared vector, and notices what it must not pass over: a wrong verdict, a broken case, an
//! unknown schema. Trusts: the verdicts in the vectors. Out of scope: the layers in which damage is refused (attest/tests/vectors.rs).
//! Vectors: `$RINGWALL_VECTORS` or `../shared/vectors` beside the workspace; their absence is a failure in CI.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing)]

use ringwall_sim::published::vectors;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What is broken, and how.
type Breakage<'a> = (&'a str, &'a dyn Fn(&Path));

/// What the program said of a folder.
struct Said {
    code: i32,
    json: Value,
    words: String,
}

impl Said {
    fn case(&self, id: &str) -> &Value {
        self.json["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("no {id}: {}", self.words))
    }
}

fn say(folder: &Path, more: &[&str]) -> Said {
    let program = env!("CARGO_BIN_EXE_ringwall-conformance");
    let output = Command::new(program).arg(folder).args(["--json", "-"]).args(more).output().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Said { code: output.status.code().unwrap(), json, words: String::from_utf8(output.stderr).unwrap() }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        // read and written, so that a copy of a read-only file can be changed
        fs::write(to.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
    }
}

/// A folder of its own with copies of some cases, under names that say nothing.
fn copies(of: &[(&str, &str)]) -> Option<tempfile::TempDir> {
    let vectors = vectors()?;
    let folder = tempfile::tempdir().unwrap();
    for (case, name) in of {
        let kind = case.split('/').next().unwrap();
        copy(&vectors.join(case), &folder.path().join(kind).join(name));
    }
    Some(folder)
}

/// Edits one fact of a copied case; null takes it away.
fn edit(case: &Path, key: &str, value: Value) {
    let path = case.join("case.json");
    let mut facts: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    match value {
        Value::Null => drop(facts.as_object_mut().unwrap().remove(key)),
        value => facts[key] = value,
    }
    fs::write(path, facts.to_string()).unwrap();
}

const MILAN: &str = "snp/milan-v2-virtee";
const TURIN: &str = "snp/turin-v5-msft";
const VLEK: &str = "snp/milan-v3-vlek-vmpl1-trustee";
const QUOTE: &str = "tdx/tdx-v5-v5-google-90c06f@2026-03-01";
const OUT_OF_DATE: &str = "tdx/tdx-v4-automata-v4-00806f@2025-06-25";

#[test]
fn every_shared_vector_agrees() {
    let Some(folder) = vectors() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    let program = env!("CARGO_BIN_EXE_ringwall-conformance");
    let output = Command::new(program).arg(&folder).arg("--json").arg(file.path()).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}");
    let json: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
    for (kind, least) in [("snp", 83), ("tdx", 79), ("measurement", 12), ("sigstore", 49), ("tlog", 120)] {
        let counts = &json["kinds"][kind];
        assert!(counts["cases"].as_u64().unwrap() >= least, "{kind}: {counts}");
        assert_eq!(counts["cases"], counts["agree"], "{kind}");
        assert!(counts["accepted"].as_u64().unwrap() > 5 && counts["refused"].as_u64().unwrap() > 0, "{kind}: {counts}");
    }
    let cases = json["cases"].as_array().unwrap();
    assert_eq!(cases.len() as u64, json["all"]["cases"].as_u64().unwrap());
    assert_eq!(json["all"]["disagree"], 0);
    assert_eq!(json["unreadable"], json!([]));
    for kind in ["noise", "shamir"] {
        let told = json["not_judged"].as_array().unwrap().iter().any(|skipped| skipped["name"] == kind);
        assert!(told && table.contains(&format!("{kind}: not judged by this version")), "{kind}");
    }
    // one line a case, every refusal with its layer and name
    for case in cases {
        let id = case["id"].as_str().unwrap();
        assert!(table.lines().any(|line| line.starts_with(id)), "{id} has no line");
        let refused = !["accept", "match"].iter().any(|word| case["got"].as_str().unwrap().contains(word));
        let digest = case["kind"] == "measurement" && case["got"] != "error";
        assert_eq!(refused && !digest, case["layer"].is_string() && case["refusal"] != "", "{case}");
    }
}

#[test]
fn a_wrong_verdict_is_noticed_on_either_side() {
    let Some(folder) = copies(&[(MILAN, "a"), (QUOTE, "b"), ("snp/derived-milan-v2-virtee-sig-s-flip", "c")]) else { return };
    assert_eq!(say(folder.path(), &[]).code, 0);
    for (case, wrong) in [("snp/a", "reject"), ("tdx/b", "reject"), ("snp/c", "accept"), ("snp/a", "parse-only")] {
        let path = folder.path().join(case);
        let before = fs::read(path.join("case.json")).unwrap();
        edit(&path, "expect", json!(wrong));
        let said = say(folder.path(), &[]);
        assert_eq!((said.code, said.json["all"]["disagree"].as_u64()), (1, Some(1)), "{case} {wrong}: {}", said.words);
        assert!(said.words.contains("  NO "), "{}", said.words);
        fs::write(path.join("case.json"), before).unwrap();
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let breakages: [Breakage<'_>; 8] = [
        ("not a JSON object", &|case| fs::write(case.join("case.json"), "{").unwrap()),
        ("not a JSON object", &|case| fs::write(case.join("case.json"), "[".repeat(100_000)).unwrap()),
        ("not a JSON object", &|case| fs::write(case.join("case.json"), vec![b' '; 8 << 20]).unwrap()),
        ("no case.json", &|case| fs::remove_file(case.join("case.json")).unwrap()),
        ("unknown verdict \"perhaps\"", &|case| edit(case, "expect", json!("perhaps"))),
        ("unknown kind \"nitro-document\"", &|case| edit(case, "kind", json!("nitro-document"))),
        ("verify_at is \"tomorrow\"", &|case| edit(case, "verify_at", json!("tomorrow"))),
        ("no report.bin", &|case| fs::remove_file(case.join("report.bin")).unwrap()),
    ];
    for (wanted, breakage) in breakages {
        let Some(folder) = copies(&[(MILAN, "broken"), (TURIN, "whole")]) else { return };
        breakage(&folder.path().join("snp/broken"));
        let said = say(folder.path(), &[]);
        assert_eq!(said.code, 2, "{wanted}: {}", said.words);
        assert!(said.words.contains(wanted), "{wanted}: {}", said.words);
        assert_eq!(said.json["cases"].as_array().unwrap().len(), 1, "the other case is judged all the same");
    }
    let Some(folder) = copies(&[]) else { return };
    assert_eq!(say(folder.path(), &[]).code, 2, "an empty folder is no set of cases");
    assert_eq!(say(&folder.path().join("nowhere"), &[]).code, 2);
}

#[test]
fn a_set_a_kind_and_a_case_are_all_folders() {
    let Some(folder) = copies(&[(TURIN, "one"), (MILAN, "two"), (QUOTE, "three")]) else { return };
    let count = |inside: &str, more: &[&str]| {
        let said = say(&folder.path().join(inside), more);
        assert_eq!(said.code, 0, "{}", said.words);
        said.json["cases"].as_array().unwrap().len()
    };
    assert_eq!(count("", &[]), 3);
    assert_eq!(count("", &["--only", "snp"]), 2);
    assert_eq!(count("", &["--only", "tdx"]), 1);
    assert_eq!(count("snp", &[]), 2);
    assert_eq!(count("snp/one", &[]), 1);
    assert_eq!(count("tdx/three", &["--verbose"]), 1);
}

#[test]
fn facts_that_are_missing_are_found_elsewhere() {
    let Some(folder) = copies(&[(MILAN, "a"), (TURIN, "b"), ("snp/milan-v3-vlek-expired-trustee", "c"), (QUOTE, "d")]) else { return };
    for (case, fact) in
        [("snp/a", "chip"), ("snp/b", "chip"), ("snp/b", "trust"), ("snp/c", "signer"), ("tdx/d", "trust"), ("tdx/d", "kind")]
    {
        edit(&folder.path().join(case), fact, Value::Null);
    }
    for case in ["snp/a", "snp/b"] {
        edit(&folder.path().join(case), "id", Value::Null);
        edit(&folder.path().join(case), "kind", Value::Null);
    }
    let said = say(folder.path(), &[]);
    assert_eq!(said.code, 0, "{}", said.words);
    // had the wrong intermediate been offered, the refusal would be one of the chain
    let expired = said.json["cases"].as_array().unwrap().iter().find(|case| case["refusal"] != "").unwrap();
    assert_eq!((expired["layer"].as_str(), expired["refusal"].as_str()), (Some("time"), Some("CertExpired")));
    assert_eq!(said.case("a")["expected"], "accept");

    // other letters, other number formats, no certificate at all
    let case = folder.path().join("snp/a");
    fs::rename(case.join("report.bin"), case.join("REPORT.BIN")).unwrap();
    edit(&case, "verify_at", json!("1780272000"));
    edit(&case, "chip", json!("MILAN"));
    edit(&case, "expect", json!("Accept"));
    assert_eq!(say(&case, &[]).code, 0);
    fs::remove_file(case.join("vek.der")).unwrap();
    let said = say(&case, &[]);
    assert!(said.code == 1 && said.case("a")["refusal"].as_str().unwrap().starts_with("Cert"), "{}", said.words);
}

#[test]
fn a_case_trusts_the_root_it_names() {
    let Some(folder) = copies(&[(TURIN, "own"), (TURIN, "missing"), (QUOTE, "own")]) else { return };
    let roots = vectors().unwrap().join("snp/roots");
    let own = folder.path().join("snp/own");
    edit(&own, "trust", json!("own ark.der/ask.der in this folder"));
    for name in ["ark.der", "ask.der"] {
        fs::write(own.join(name), fs::read(roots.join("genoa").join(name)).unwrap()).unwrap();
    }
    edit(&folder.path().join("snp/missing"), "trust", json!("own"));
    edit(&folder.path().join("tdx/own"), "trust", json!("own root.der in this folder"));
    fs::write(folder.path().join("tdx/own/root.der"), b"no certificate").unwrap();
    let said = say(&own, &[]);
    assert_eq!((said.code, said.json["cases"][0]["layer"].as_str()), (1, Some("chain")), "{}", said.words);
    let said = say(&folder.path().join("snp/missing"), &[]);
    assert!(said.code == 2 && said.words.contains("ark.der"), "{}", said.words);
    let said = say(&folder.path().join("tdx/own"), &[]);
    assert_eq!((said.code, said.json["cases"][0]["refusal"].as_str()), (1, Some("IntelRoot")), "{}", said.words);
}

#[test]
fn a_policy_decides_only_by_what_the_case_states() {
    let Some(folder) = copies(&[(OUT_OF_DATE, "late"), (VLEK, "provider"), (TURIN, "damaged")]) else { return };
    let late = folder.path().join("tdx/late");
    assert_eq!(say(&late, &[]).json["cases"][0]["got"], "reject", "a case that states reject gets no exception");
    edit(&late, "expect", json!("accept-with-policy"));
    let said = say(&late, &[]);
    assert_eq!((said.code, &said.json["cases"][0]["got"]), (0, &json!("accept with status OutOfDate")), "{}", said.words);
    for (fact, value) in
        [("reason", json!("a grace period of this operator")), ("dcap_qvl_0_7_1", Value::Null), ("independent_check", Value::Null)]
    {
        edit(&late, fact, value);
    }
    let said = say(&late, &[]);
    assert_eq!((said.code, said.json["cases"][0]["refusal"].as_str()), (1, Some("StatusNotAccepted")), "{}", said.words);

    let said = say(&folder.path().join("snp/provider"), &[]);
    let case = &said.json["cases"][0];
    assert_eq!((said.code, &case["exceptions"], &case["refusal"]), (0, &json!(["VLEK"]), &json!("ChipIdMasked")), "{}", said.words);

    let damaged = folder.path().join("snp/damaged");
    edit(&damaged, "expect", json!("accept-with-policy"));
    let mut report = fs::read(damaged.join("report.bin")).unwrap();
    report[0x90] ^= 1;
    fs::write(damaged.join("report.bin"), report).unwrap();
    assert_eq!(say(&damaged, &[]).code, 1, "no policy makes a damaged report genuine");
}

#[test]
fn hostile_files_are_refused_and_bounded() {
    let Some(folder) = copies(&[(TURIN, "report"), (QUOTE, "quote"), (QUOTE, "collateral"), (QUOTE, "hex"), (TURIN, "climb")]) else {
        return;
    };
    let of = |case: &str| folder.path().join(case);
    fs::write(of("snp/report/report.bin"), vec![0; 64 << 20]).unwrap();
    fs::write(of("tdx/quote/quote.bin"), vec![0xff; 64 << 20]).unwrap();
    fs::write(of("tdx/collateral/collateral.json"), "[".repeat(1 << 20)).unwrap();
    let collateral = fs::read_to_string(of("tdx/hex/collateral.json")).unwrap();
    fs::write(of("tdx/hex/collateral.json"), collateral.replacen("\"root_ca_crl\": \"", "\"root_ca_crl\": \"zz", 1)).unwrap();
    edit(&of("snp/climb"), "trust", json!("../../../../etc"));
    edit(&of("snp/climb"), "crl", json!("../../../../etc/passwd"));
    for case in ["snp/report", "tdx/quote", "tdx/collateral", "tdx/hex"] {
        edit(&of(case), "expect", json!("reject"));
    }
    let said = say(folder.path(), &[]);
    assert_eq!(said.code, 0, "{}", said.words);
    let unusable = said.json["cases"].as_array().unwrap().iter().filter(|case| case["refusal"] == "Unusable").count();
    assert_eq!(unusable, 4, "{}", said.words);
}
