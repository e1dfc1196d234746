//! The attack table is complete, its page is true to it, and every attack that can be performed is performed and held off.
//!
//! Decides: docs/protocol.md, section 1.2, and the register of `ringwall_sim::attack` have the same rows; the rows that may be planned are a closed list here,
//! each with a reason, so that no word in a page excuses another one. docs/attacks.md is what the register makes (`RINGWALL_BLESS=1` writes it).
//! Trusts: each attack to be what its row says; that it is none when its defence is gone is shown in sim/tests/without.rs.
//! Out of scope: the attacks themselves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use ringwall_sim::attack::register::{Row, Scene, Shown, rows};
use ringwall_sim::attack::{Stage, page};
use ringwall_sim::cluster::Launch;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Rows whose target does not exist, and why. A row leaves this list with the code it attacks; none comes onto it without somebody's saying so here.
const PLANNED: [(&str, &str); 0] = [];

/// Rows of the register in the protocol: name, and whether its state is "planned".
fn protocol_rows(protocol: &str) -> BTreeMap<String, bool> {
    let (_, section) = protocol.split_once("### 1.2 ").unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    let cells = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let rows = cells.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
    rows.filter(|cells| cells[0] != "id").map(|cells| (cells[0].clone(), cells.last().unwrap() == "planned")).collect()
}

/// What is wrong with the register and the protocol, beside the rows that may be planned.
fn complaints(protocol: &str, rows: &[Row]) -> Vec<String> {
    complaints_beside(protocol, rows, &PLANNED)
}

fn complaints_beside(protocol: &str, rows: &[Row], may_be_planned: &[(&str, &str)]) -> Vec<String> {
    let wanted = protocol_rows(protocol);
    let mut found = Vec::new();
    for (id, says_planned) in &wanted {
        let may_be = may_be_planned.iter().any(|(planned, _)| planned == id);
        match rows.iter().find(|row| row.id == id) {
            None => found.push(format!("row {id} of the protocol has no attack")),
            Some(row) if row.is_performed() && may_be => found.push(format!("{id} is performed: take it off the list of planned rows")),
            Some(row) if !row.is_performed() && !may_be => found.push(format!("{id} has no attack that is performed: write it")),
            Some(_) => {}
        }
        if *says_planned != may_be {
            found.push(format!("{id}: the protocol's state is not that of the list of planned rows"));
        }
    }
    found.extend(rows.iter().filter(|row| !wanted.contains_key(row.id)).map(|row| format!("{} is no row of the protocol", row.id)));
    found.extend(
        may_be_planned
            .iter()
            .filter(|(id, _)| !wanted.contains_key(*id))
            .map(|(id, _)| format!("{id} is on the list and no row of the protocol")),
    );
    found
}

#[test]
fn every_row_of_the_protocol_has_an_attack_and_a_closed_list_is_planned() {
    let protocol = read("docs/protocol.md");
    assert!(protocol_rows(&protocol).len() > 40, "the register is read");
    assert_eq!(complaints(&protocol, &rows()), Vec::<String>::new());
    assert!(PLANNED.iter().all(|(_, why)| !why.is_empty()));
}

#[test]
fn a_table_that_lags_behind_is_noticed() {
    let protocol = read("docs/protocol.md");
    let with_state = |id: &str, from: &str, to: &str| -> String {
        let opening = format!("| {id} |");
        protocol.lines().map(|line| if line.starts_with(&opening) { line.replace(from, to) } else { line.into() } + "\n").collect()
    };
    let planned = |id: &str| -> Vec<Row> {
        rows().into_iter().map(|row| if row.id == id { Row { code: &[], shown: Shown::Planned("later"), ..row } } else { row }).collect()
    };
    let state = |id: &str| format!("{id}: the protocol's state is not that of the list of planned rows");
    // The page that both are edited in excuses nothing.
    assert_eq!(complaints(&with_state("K2", "built", "planned"), &rows()), [state("K2")]);
    assert_eq!(
        complaints(&with_state("K2", "built", "planned"), &planned("K2")),
        ["K2 has no attack that is performed: write it".to_owned(), state("K2")]
    );
    assert_eq!(complaints(&with_state("A14", "built", "planned"), &rows()), [state("A14")]);
    let without: Vec<Row> = rows().into_iter().filter(|row| row.id != "R7").collect();
    assert_eq!(complaints(&protocol, &without), ["row R7 of the protocol has no attack"]);
    let more = protocol.replace("| R7 |", "| R7 | a | b | c | built |\n| R99 |");
    assert_eq!(complaints(&more, &rows()), ["row R99 of the protocol has no attack"]);
    let listed = complaints_beside(&with_state("G3", "built", "planned"), &rows(), &[("G3", "there is no log")]);
    assert_eq!(listed, ["G3 is performed: take it off the list of planned rows"]);
}

#[test]
fn the_page_is_what_the_register_makes() {
    let path = root().join("docs/attacks.md");
    if std::env::var_os("RINGWALL_BLESS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    assert!(read("docs/attacks.md") == page(), "docs/attacks.md is not what the register makes; `RINGWALL_BLESS=1` writes it anew");
}

#[test]
fn places_a_row_names_exist_and_scenes_have_their_tests() {
    for row in rows() {
        for path in row.code {
            assert!(root().join(path).is_file(), "{}: {path}", row.id);
        }
    }
    let own = read("tests/tests/attacks.rs");
    for scene in Scene::ALL {
        assert!(own.contains(&format!("async fn {}()", scene.test())), "{scene:?}");
    }
}

/// Performs every attack of a scene, one after the other on one stage.
async fn held_off(scene: Scene) {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch { program: env!("CARGO_BIN_EXE_sim-node").into(), arguments: Vec::new() };
    let mut stage = Stage::new(launch, folder.path());
    let mut performed = 0;
    for row in rows() {
        let Shown::Performed { scene: of, perform, .. } = row.shown else { continue };
        if of != scene {
            continue;
        }
        let begun = Instant::now();
        let report = perform(&mut stage).await.unwrap_or_else(|fault| panic!("{} could not be performed: {fault}", row.id));
        println!("{} after {:.1} s\n{}", row.id, begun.elapsed().as_secs_f64(), report.lines().join("\n"));
        assert!(report.held(), "{}: the attack succeeded: {:?}", row.id, report.winnings());
        assert!(!report.answers().is_empty(), "{}: nothing answered", row.id);
        performed += 1;
    }
    assert!(performed > 0, "{scene:?} has attacks");
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_on_the_verifier_and_on_keys_are_held_off() {
    held_off(Scene::Verifier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn false_nodes_are_held_off() {
    held_off(Scene::FalseNode).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_on_a_cluster_that_stays_as_it_was_are_held_off() {
    held_off(Scene::Cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_that_need_a_cluster_of_their_own_are_held_off() {
    held_off(Scene::OwnCluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_on_custody_and_recovery_are_held_off() {
    held_off(Scene::Outage).await;
}
