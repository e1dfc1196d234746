//! From a policy in TOML to what a node founds with, by the shipped command and the node's own reader.
//!
//! Decides: the files `ringwall policy` writes are the ones `[cluster]` of a node's configuration wants, unchanged; text is not taken for
//! canonical bytes. Trusts: nothing. Out of scope: founding itself (the suites over real processes). Spec: docs/policy.md.
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_client::Anchors;
use ringwall_client::policy::{from_toml, simulated_template};
use ringwall_node::config::{ClusterPart, ConfigError, Flags, Purpose, load};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Slot;
use std::path::Path;
use std::process::ExitCode;

const PLACES: &str = "slots = [\n    { slot = 1, vendors = [\"amd\"], failure_domain = \"a\" },\n\
    { slot = 2, vendors = [\"intel\"], failure_domain = \"b\" },\n]";

fn ringwall(folder: &Path, words: &[&str]) {
    let file = |word: &&str| if word.contains('.') { folder.join(word).into_os_string() } else { (*word).into() };
    let arguments = ["ringwall", "policy"].iter().map(|word| (*word).into()).chain(words.iter().map(file));
    let code = ringwall_client::cli::run(arguments.collect::<Vec<_>>(), Anchors::production());
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS), "{words:?}");
}

fn flags(folder: &Path, policy: &str) -> Flags {
    let config = folder.join("node.toml");
    let text = format!(
        "data = \"data\"\nslot = 2\nlisten = \"127.0.0.1:7402\"\n[cluster]\ntemplate = \"genesis.template\"\npolicy = \"{policy}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    Flags { config, ..Flags::default() }
}

#[test]
fn a_node_founds_with_what_the_command_writes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = simulated_template().replacen("slots = []", PLACES, 1);
    std::fs::write(folder.join("cluster.toml"), &text).unwrap();
    ringwall(folder, &["encode", "cluster.toml", "--out", "cluster.policy"]);
    ringwall(folder, &["genesis", "cluster.toml", "--name", "mine", "--out", "genesis.template"]);
    let config = load(&flags(folder, "cluster.policy"), Purpose::Found).unwrap();
    let ClusterPart::Found(template, policy) = config.cluster else { panic!("founding was asked for") };
    assert_eq!(*policy, from_toml(&text).unwrap());
    assert_eq!((config.boot.slot, &*template.name), (Slot(2), "mine"));
    assert_eq!(template.policy.0, policy.digest());
    // Text in the place of canonical bytes is told apart, never guessed.
    let fault = load(&flags(folder, "cluster.toml"), Purpose::Found).unwrap_err();
    assert!(matches!(fault, ConfigError::Field { field: "cluster.policy", .. }), "{fault}");
}
