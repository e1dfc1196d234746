//! `ringwall custodian` as it is shipped: folders, cards and passphrases, and that nothing simulated is believed.
//!
//! Decides: that the shipped program acknowledges and releases nothing under simulated roots, that no option takes a secret, and how a folder begins.
//! Trusts: nothing. Out of scope: ceremonies that end well (`sim/tests/custodian.rs`, with the same command line under simulated roots).
//! Protocol section 6.1.
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_client::custodian::keys::read_cards;
use ringwall_sim::custody::{Custody, policy};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::GenesisTemplate;
use ringwall_wire::ids::Digest;
use ringwall_wire::recovery::RecoveryPurpose;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const CHIP: &str = "tdx-1";
/// 2026-11-24 12:00:00 UTC.
const NOW_S: u64 = 1_795_521_600;

/// Runs the program with a passphrase on its standard input.
fn custodian(folder: &Path, line: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwall"));
    command.current_dir(folder).env("RINGWALL_CUSTODIAN", "home").env_remove("RINGWALL_CARD");
    command.args(["custodian", "--passphrase-fd", "0"]).args(line.split_whitespace());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses early does not read.
    let _ = child.stdin.take().unwrap().write_all(b"correct horse battery staple\n");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn the_shipped_program_believes_nothing_simulated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(custodian(folder, "init --name Ana").0, 0);
    assert_eq!(custodian(folder, "card --out ana.toml").0, 0);
    let card = read_cards(&std::fs::read_to_string(folder.join("ana.toml")).unwrap()).unwrap();
    let other = ringwall_client::custodian::keys::CustodianKeys::make(Text::new("Ben").unwrap()).public();
    let policy = policy(CHIP);
    let template = GenesisTemplate {
        trust_domain: policy.trust_domain,
        name: Text::new("shipped").unwrap(),
        custodians: List::new(vec![card[0].clone(), other]).unwrap(),
        custody_threshold: 2,
        slots: policy.slots.clone(),
        policy: Digest(policy.digest()),
    };
    let cluster = Custody::found(template, policy, CHIP, 1, NOW_S);
    let dealing = cluster.deal(1, Digest([0; 32]));
    std::fs::write(folder.join("card"), cluster.card.encode()).unwrap();
    std::fs::write(folder.join("dealt"), dealing.dealt[0].encode()).unwrap();
    std::fs::write(folder.join("offer"), cluster.offer(&dealing, RecoveryPurpose::Outage, 9, 899).signed.encode()).unwrap();
    assert_eq!(custodian(folder, "pull --card card --from dealt").0, 0);
    for (line, file) in [("accept --out ack --explain", "ack"), ("submit offer --out share --yes --explain", "share")] {
        let (code, text) = custodian(folder, line);
        assert!(code == 3 && text.contains("[FAILED] Root of trust"), "{line}: {code} {text}");
        assert!(!folder.join(file).exists(), "{line}");
    }
    let (code, text) = custodian(folder, "drill");
    assert!(code == 4 && text.contains("no share of cluster"), "nothing was accepted: {code} {text}");
}

#[test]
fn a_folder_is_made_once_and_no_option_takes_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, text) = custodian(folder, "status");
    assert!(code == 10 && text.contains("`ringwall custodian init` makes one"), "{code} {text}");
    for line in ["init --name Ana --passphrase secret", "init --name Ana secret", "import --words secret", "relock secret"] {
        assert_eq!(custodian(folder, line).0, 2, "{line}");
    }
    let (code, text) = custodian(folder, "init --name Ana --json");
    assert_eq!(code, 0, "{text}");
    let (code, text) = custodian(folder, "init --name Ana");
    assert!(code == 10 && text.contains("not overwritten"), "{code} {text}");
    let (code, text) = custodian(folder, "status --json");
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, status["name"].as_str(), status["locked"].as_str()), (0, Some("Ana"), Some("a passphrase")));
    let (code, text) = custodian(folder, "pull");
    assert!(code == 4 && text.contains("with the cluster's card"), "{code} {text}");
    let keys = std::fs::read(folder.join("home/keys")).unwrap();
    assert!(!String::from_utf8_lossy(&keys).contains("correct horse"));
    // One that was being made when the machine stopped is made again, with other keys.
    std::fs::remove_file(folder.join("home/keys")).unwrap();
    std::fs::write(folder.join("home/keys.new"), &keys[..100]).unwrap();
    let (code, text) = custodian(folder, "init --name Ana");
    assert_eq!(code, 0, "{text}");
    assert!(!folder.join("home/keys.new").exists());
}
