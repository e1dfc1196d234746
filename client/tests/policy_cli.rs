//! `ringwall policy` as an operator types it: the real program, files, exit codes, and the exact words of its explanations.
//!
//! Decides: the flow of docs/policy.md works from beginning to end; nothing is overwritten; secrets stay in files of mode 0600. The words
//! are kept in client/tests/policy (hashes left out); `RINGWALL_BLESS=1` writes them anew.
//! Trusts: nothing. Out of scope: parsing in depth (policy_toml.rs), what rules mean (policy_meaning.rs).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::program;

use program::{done, fails, json, run};
use ringwall_client::policy::{PolicyFile, from_toml, simulated_template, to_toml};
use ringwall_sim::published::vectors;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::GenesisTemplate;
use ringwall_wire::ids::{Digest, PolicyVersion, SigPublic};
use ringwall_wire::policy::{PolicyDoc, SignedPolicy};
use ringwall_wire::text::hex;
use std::path::Path;

/// Text without hashes and keys, which say nothing to a reader of golden files.
fn masked(text: &str) -> String {
    let is_hash = |word: &str| word.len() >= 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let line = |line: &str| line.split(' ').map(|word| if is_hash(word) { "<hex>" } else { word }).collect::<Vec<_>>().join(" ");
    text.lines().map(|text| line(text) + "\n").collect()
}

#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy").join(name);
    let text = masked(text);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    if std::env::var_os("RINGWALL_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{} differs; see the top of this file. Now:\n{text}", path.display());
}

/// The template filled in: one build, one chip, one platform, three places.
fn filled() -> String {
    let (chip, platform, register) = ("a1".repeat(64), "b2".repeat(32), "c3".repeat(48));
    let place = |slot: u8| format!("[[slots]]\nslot = {slot}\nvendors = [\"amd\", \"intel\"]\nfailure_domain = \"rack {slot}\"\n");
    let build = format!(
        "[[measurements]]\nid = \"ringwall-1.0.0\"\nsvn = 1\nsnp = [\"{register}\"]\ntdx_replays = []\n[[measurements.tdx]]\n\
         mrtd = \"{register}\"\nrtmr0 = \"{register}\"\nrtmr1 = \"{register}\"\nrtmr2 = \"{register}\"\n"
    );
    let text = simulated_template()
        .replacen("measurements = []\n", "", 1)
        .replacen("slots = []\n", "", 1)
        .replacen("chips = []", &format!("chips = [\"{chip}\"]"), 1)
        .replacen("platforms = []", &format!("platforms = [\"{platform}\"]"), 1)
        .replacen("fmspcs = []", "fmspcs = [\"90c06f000000\"]", 1);
    let tables = format!("{build}{}{}{}[snp]\n", place(1), place(2), place(3));
    text.replacen("[snp]\n", &tables, 1)
}

fn governed(policy: PolicyDoc, keys: Vec<SigPublic>) -> PolicyDoc {
    let mut policy = policy;
    policy.governance.keys = List::new(keys).unwrap();
    policy
}

/// A policy that allows everything it should not.
fn reckless() -> PolicyDoc {
    let mut policy = from_toml(&filled()).unwrap();
    policy.min_svn = 0;
    policy.snp.report_versions.push(2).unwrap();
    policy.snp.allow_vlek = true;
    policy.snp.revocation = ringwall_wire::policy::RevocationRule::BestEffort;
    policy.snp.vmpl = 2;
    policy.snp.policy_required = 0;
    policy.snp.policy_allowed |= 1 << 16 | 1 << 21 | 1 << 40;
    policy.snp.platform_required = 0;
    policy.snp.platform_allowed |= 1 | 1 << 7 | 1 << 41;
    let mut products = policy.snp.products.to_vec();
    products[0].product = ringwall_wire::policy::SnpProduct::Milan;
    products[0].min_tcb = Default::default();
    products[0].required_mitigations = 0;
    policy.snp.products = List::new(products).unwrap();
    policy.tdx.statuses.push(ringwall_wire::policy::TdxTcbStatus::OutOfDate).unwrap();
    policy.tdx.min_tcb_evaluation = 0;
    policy.tdx.attributes_required = 0;
    policy.tdx.attributes_allowed |= 1 << 63 | 1 << 41;
    policy.tdx.xfam_allowed |= 1 << 42;
    (policy.tdx.allow_dynamic_platform, policy.tdx.allow_cached_keys, policy.tdx.allow_smt) = (true, true, true);
    policy.slots = List::new(policy.slots[..1].to_vec()).unwrap();
    (policy.endorse.min_endorsers, policy.endorse.other_vendor) = (1, false);
    (policy.session.reattest_s, policy.session.standing_period_s) = (604_800, 3_600);
    policy.governance.timelock_s = 0;
    policy.platform_unseal = ringwall_wire::policy::PlatformUnseal::SameChips;
    policy.version = PolicyVersion(2);
    policy
}

#[test]
fn an_operators_flow() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "policy new --simulated --out cluster.toml");
    fails(folder, "policy new --out cluster.toml", 1, "name a file that does not exist yet");
    assert_eq!(std::fs::read_to_string(folder.join("cluster.toml")).unwrap(), simulated_template());
    let (code, out, _) = run(folder, "policy check cluster.toml");
    assert_eq!(code, 10, "{out}");
    assert!(out.contains("THIS POLICY LETS NOTHING IN, because") && out.contains("`snp.chips` is empty"), "{out}");
    std::fs::write(folder.join("cluster.toml"), filled()).unwrap();
    let out = done(folder, "policy check cluster.toml");
    assert!(out.starts_with("cluster.toml: a complete policy (toml form,") && !out.contains("NOTHING"), "{out}");
    done(folder, "policy encode cluster.toml --out cluster.policy");
    let policy = PolicyDoc::decode(&std::fs::read(folder.join("cluster.policy")).unwrap()).unwrap();
    assert_eq!(policy, from_toml(&filled()).unwrap());
    assert_eq!(done(folder, "policy show cluster.policy"), to_toml(&policy));
    for file in ["cluster.toml", "cluster.policy"] {
        assert_eq!(done(folder, &format!("policy digest {file}")), format!("{}\n", Digest(policy.digest())));
    }
    done(folder, "policy genesis cluster.policy --name mine --out genesis.template");
    let template = GenesisTemplate::decode(&std::fs::read(folder.join("genesis.template")).unwrap()).unwrap();
    assert_eq!((template.policy, &template.slots, &*template.name), (Digest(policy.digest()), &policy.slots, "mine"));
}

#[test]
fn governors_approve_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut keys = Vec::new();
    for name in ["alice", "bob", "carol", "mallory"] {
        let made = json(&done(folder, &format!("policy keygen {name}.governor --json")));
        keys.push(made["governor"].as_str().unwrap().parse::<SigPublic>().unwrap());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(folder.join(format!("{name}.governor"))).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
    fails(folder, "policy keygen alice.governor", 10, "RW-C-KEY-EXISTS");
    let old = governed(from_toml(&filled()).unwrap(), keys[..3].to_vec());
    let new = PolicyDoc { version: PolicyVersion(2), min_svn: 0, ..old.clone() };
    std::fs::write(folder.join("old.policy"), old.encode()).unwrap();
    std::fs::write(folder.join("new.toml"), to_toml(&new)).unwrap();
    fails(folder, "policy sign new.toml --key alice.governor --out x", 2, "--against");
    fails(folder, "policy sign new.toml --against old.policy --key mallory.governor --out x", 10, "is none of the policy in force");
    done(folder, "policy sign new.toml --against old.policy --key alice.governor --out one");
    fails(folder, "policy verify one --against old.policy", 10, "1 of the governors signed, 2 must");
    fails(folder, "policy sign one --key alice.governor --out x", 10, "signed it already");
    done(folder, "policy sign one --key bob.governor --out two");
    let out = done(folder, "policy verify two --against old.policy --out next.policy");
    assert!(out.contains("is approved by:") && out.contains("The change LOOSENS: it waits 259200 seconds"), "{out}");
    assert_eq!(std::fs::read(folder.join("next.policy")).unwrap(), new.encode());
    fails(folder, "policy verify two --against next.policy", 10, "was signed to replace");
    fails(folder, "policy verify new.toml --against old.policy", 10, "policy without signatures");
    assert!(!folder.join("x").exists(), "a refused approval writes nothing");
    // A byte of the document, changed under the signatures.
    let PolicyFile::Signed(_, mut signed) = PolicyFile::read(&folder.join("two")).unwrap() else { panic!("two is signed") };
    let looser = PolicyDoc { endorse: ringwall_wire::policy::EndorseRule { min_endorsers: 0, other_vendor: false }, ..new };
    signed.policy = ringwall_wire::bounded::Blob::new(looser.encode()).unwrap();
    std::fs::write(folder.join("forged"), SignedPolicy::encode(&signed)).unwrap();
    fails(folder, "policy verify forged --against old.policy", 10, "does not verify over this");
}

#[test]
fn a_first_policy_is_approved_by_named_governors() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("p.toml"), filled()).unwrap();
    let key = done(folder, "policy keygen alice.governor").trim().trim_start_matches("governor ").to_owned();
    done(folder, "policy sign p.toml --first --key alice.governor --out p.signed");
    let approved = json(&done(folder, &format!("policy verify p.signed --governor {key} --threshold 1 --json")));
    assert_eq!(approved["governors"][0].as_str().unwrap(), key);
    assert!(approved["change"].is_null());
    let other = "00".repeat(32);
    fails(folder, &format!("policy verify p.signed --governor {other} --threshold 1"), 10, "is none of the governors");
    fails(folder, &format!("policy verify p.signed --governor {key} --threshold 2"), 10, "nothing can ever be approved");
    fails(folder, "policy verify p.signed", 2, "--against");
}

#[cfg(unix)]
#[test]
fn a_key_others_can_read_signs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("p.toml"), filled()).unwrap();
    done(folder, "policy keygen k");
    std::fs::set_permissions(folder.join("k"), std::fs::Permissions::from_mode(0o644)).unwrap();
    fails(folder, "policy sign p.toml --first --key k --out s", 10, "can be read by others (mode 644); run: chmod 600");
}

#[test]
fn mistakes_name_the_file_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("p.toml"), filled().replacen("vmpl = 0", "vmpl = \"zero\"", 1)).unwrap();
    fails(folder, "policy explain p.toml", 10, "p.toml: line ");
    let (_, _, err) = run(folder, "policy encode p.toml --out o --json");
    let told = json(&err);
    assert_eq!((told["error"]["code"].as_str().unwrap(), told["error"]["exit"].as_u64().unwrap()), ("RW-C-POLICY-MALFORMED", 10));
    assert!(told["error"]["message"].as_str().unwrap().contains("`snp.vmpl` is a string, wanted is a whole number"));
    assert!(!folder.join("o").exists());
    fails(folder, "policy show none.toml", 10, "none.toml: ");
}

#[test]
fn explanations_are_these_words() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "policy new --out template.toml");
    golden("template.txt", &done(folder, "policy explain template.toml"));
    std::fs::write(folder.join("filled.toml"), filled()).unwrap();
    golden("filled.txt", &done(folder, "policy explain filled.toml"));
    std::fs::write(folder.join("reckless.policy"), reckless().encode()).unwrap();
    golden("reckless.txt", &done(folder, "policy explain reckless.policy"));
    let (code, out, _) = run(folder, "policy check reckless.policy");
    assert_eq!(code, 0, "dangerous is not empty: {out}");
    golden("change.txt", &cut(&done(folder, "policy explain reckless.policy --against filled.toml")));
}

/// A comparison without the explanation below it.
fn cut(text: &str) -> String {
    text.split("\n\n").take(2).collect::<Vec<_>>().join("\n\n") + "\n"
}

/// Programs get every sentence people get.
#[test]
fn json_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("old.toml"), filled()).unwrap();
    std::fs::write(folder.join("new.policy"), reckless().encode()).unwrap();
    let plain: String = done(folder, "policy explain new.policy --against old.toml").split_whitespace().collect();
    let object = json(&done(folder, "policy explain new.policy --against old.toml --json"));
    let mut sentences = 0;
    let mut told = |value: &serde_json::Value, key: &str| {
        let sentence: String = value[key].as_str().unwrap().split_whitespace().collect();
        assert!(plain.contains(&sentence), "{sentence}");
        sentences += 1;
    };
    for section in object["sections"].as_array().unwrap() {
        section["points"].as_array().unwrap().iter().for_each(|point| ["field", "says", "why"].iter().for_each(|key| told(point, key)));
    }
    object["warnings"].as_array().unwrap().iter().for_each(|point| ["field", "says", "why"].iter().for_each(|key| told(point, key)));
    let differences = object["change"]["differences"].as_array().unwrap();
    differences.iter().for_each(|difference| ["field", "change", "says"].iter().for_each(|key| told(difference, key)));
    assert!(sentences > 200, "{sentences}");
    assert_eq!((object["change"]["kind"].as_str(), object["change"]["wait_s"].as_u64()), (Some("loosening"), Some(259_200)));
    let checked = json(&run(folder, "policy check old.toml --json").1);
    assert_eq!((checked["lets_nothing_in"].as_bool(), checked["form"].as_str()), (Some(false), Some("toml")));
}

#[test]
fn a_known_boot_becomes_a_table_that_fits_its_quote() {
    let Some(case) = vectors().map(|folder| folder.join("measurement/ccel-cos113")) else { return };
    let folder = tempfile::tempdir().unwrap();
    // Version 4: a header of 48 bytes, then the report: MRTD at 136, RTMR0 to RTMR3 from 328.
    let quote = std::fs::read(case.join("quote.bin")).unwrap();
    let register = |at: usize| hex(quote.get(48 + at..96 + at).unwrap());
    let line = format!("policy events {} --mrtd {}", case.join("ccel.bin").display(), register(136));
    let text = done(folder.path(), &line);
    for (name, at) in [("rtmr0", 328), ("rtmr1", 376), ("rtmr2", 424)] {
        assert!(text.contains(&format!("#   {name} {}\n", register(at))), "{name}: {text}");
    }
    // It stands where the page says, and is read as it was meant.
    let start = text.find("[[measurements.tdx_replays]]").unwrap();
    let whole =
        filled().replacen("tdx_replays = []\n", "", 1).replacen("\n[[slots]]\n", &format!("\n{}\n[[slots]]\n", text.split_at(start).1), 1);
    let policy = from_toml(&whole).unwrap();
    let [build] = &policy.measurements[..] else { panic!("one build") };
    let [table] = &build.tdx_replays[..] else { panic!("one table") };
    assert_eq!(table.mrtd.to_string(), register(136));
    let object = json(&done(folder.path(), &format!("--json {line}")));
    assert_eq!((object["events"].as_u64(), object["rtmr1"].as_str()), (Some(table.events.len() as u64), Some(register(376).as_str())));
    assert!(table.events.len() > 20 && table.events.iter().all(|event| event.digests.len() == 1), "{object}");
    // What is no log is refused with its reason.
    std::fs::write(folder.path().join("short"), &std::fs::read(case.join("ccel.bin")).unwrap()[..100]).unwrap();
    std::fs::write(folder.path().join("long"), vec![0; 70_000]).unwrap();
    fails(folder.path(), &format!("policy events short --mrtd {}", register(136)), 10, "short: ");
    fails(folder.path(), &format!("policy events long --mrtd {}", register(136)), 10, "longer than 65536 bytes");
    fails(folder.path(), "policy events short --mrtd 00", 2, "96 lower-case hex digits");
}

#[test]
fn a_build_is_measured_for_a_policy() {
    let Some(vectors) = vectors() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::copy(vectors.join("measurement/ovmf_AmdSev_suffix.bin"), folder.join("firmware")).unwrap();
    std::fs::write(folder.join("kernel"), [7; 4_096]).unwrap();
    let shapes = r#""snp": { "firmware": "firmware", "models": ["EPYC-v4"], "vcpus": [1, 2] }"#;
    let image = format!(r#"{{ "build_id": "ringwall-2", "svn": 2, "kernel": "kernel", "cmdline": "quiet", {shapes} }}"#);
    std::fs::write(folder.join("measure.json"), &image).unwrap();
    let toml = done(folder, "measure measure.json");
    let told = done(folder, "measure measure.json --out build.toml --report report.json");
    assert_eq!(told, "build.toml: ringwall-2 measures to 2 SNP digest(s) and 0 TDX tuple(s)\n");
    assert_eq!(std::fs::read_to_string(folder.join("build.toml")).unwrap(), toml);
    fails(folder, "measure measure.json --out build.toml", 1, "name a file that does not exist yet");
    // `ringwall release make` reads what is printed.
    let printed = done(folder, "measure measure.json --json");
    let set: ringwall_client::measure::MeasurementSet = serde_json::from_str(&printed).unwrap();
    let report = json(&std::fs::read_to_string(folder.join("report.json")).unwrap());
    assert_eq!((&report["set"], &report["toml"]), (&json(&printed), &serde_json::Value::from(toml.as_str())));
    assert_eq!(report["artefacts"][0]["role"], "kernel");
    // The text stands in a policy as it is.
    let old = filled();
    let from = old.find("\n[[measurements]]").unwrap();
    let to = old.find("\n[[slots]]").unwrap();
    let policy = from_toml(&format!("{}{toml}{}", &old[..from], &old[to..])).unwrap();
    assert_eq!(policy.measurements.to_vec(), [set.to_policy().unwrap()]);
    std::fs::write(folder.join("measure.json"), image.replace("quiet", "a\\tb")).unwrap();
    fails(folder, "measure measure.json", 10, "RW-C-MEASURE-ARTEFACT");
}
