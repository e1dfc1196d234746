//! Attacks succeed where their defence is left out: in a build made for that, and in no other. Run by `.ci/run without`.
//!
//! Decides: each row of the register that one defence answers succeeds against the same code without that defence, over the real program, once for every
//! such defence; the build says what it is; and the mark that the search of shipped programs looks for stands in it. Trusts: nothing. Out of scope:
//! ordinary builds (tests/tests/attacks.rs performs the same attacks and wants them held off), rows no single defence decides (`register::ALONE`).
#![cfg(feature = "without")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use ringwall_sim::attack::register::{Scene, rows};
use ringwall_wire::without::{Defence, MARK};
use serde_json::Value;
use std::process::Command;

/// Performs one attack without one defence: what was won, or why it was not.
fn won(name: &str, defence: Defence) -> Result<Vec<String>, String> {
    let arguments = ["run", name, "--json", "--without", defence.name()];
    let output = Command::new(env!("CARGO_BIN_EXE_ringwall-attack")).args(arguments).output().unwrap();
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let which = format!("{name} without {}", defence.name());
    if !said.contains("THIS PROGRAM CAN LEAVE ITS DEFENCES OUT") {
        return Err(format!("{which}: the build does not say what it is: {said}"));
    }
    let told: Value = serde_json::from_str(&text).map_err(|error| format!("{which}: {error}\n{text}\n{said}"))?;
    let won: Vec<String> = told["won"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    match output.status.code() {
        Some(1) if !won.is_empty() => {
            println!("{which} after {:.1} s: {won:?}", told["seconds"].as_f64().unwrap_or_default());
            Ok(won)
        }
        code => Err(format!("{which} did not succeed ({code:?}): {told:#}")),
    }
}

/// Every row performed against one of these, without each of its defences; all are tried before the first that did not succeed is told.
fn all(scenes: &[Scene]) {
    let rows = rows().into_iter().filter(|row| row.scene().is_some_and(|scene| scenes.contains(&scene)));
    let pairs: Vec<_> = rows.flat_map(|row| row.without().iter().map(move |defence| (row.id, *defence))).collect();
    assert!(pairs.len() > 5, "{scenes:?} have attacks");
    let failed: Vec<String> = pairs.into_iter().filter_map(|(row, defence)| won(row, defence).err()).collect();
    assert!(failed.is_empty(), "{} did not succeed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn without_its_defence_each_quick_attack_succeeds() {
    all(&[Scene::Verifier, Scene::FalseNode]);
}

#[test]
fn without_its_defence_each_attack_on_processes_succeeds() {
    all(&[Scene::Cluster, Scene::OwnCluster]);
}

#[test]
fn without_its_defence_each_attack_on_custody_and_recovery_succeeds() {
    all(&[Scene::Outage]);
}

#[test]
fn a_man_in_the_middle_hears_the_secret() {
    let won = won("A2", Defence::SessionBinding).unwrap_or_else(|why| panic!("{why}"));
    assert!(won.iter().any(|line| line.contains("meet me at nine")), "{won:?}");
}

#[test]
fn the_mark_stands_in_a_program_that_can() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_ringwall-attack")).unwrap();
    assert!(program.windows(MARK.len()).any(|window| window == MARK), "the search of shipped programs would find nothing");
}
