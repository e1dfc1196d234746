//! Attacks succeed where their defence is left out: in a build made for that, and in no other. Run by `.ci/run without`.
//!
//! Decides: for each defence that can be left out, one attack it answers succeeds against the same code without it, over the real program; the build says
//! what it is; and the mark that the search of shipped programs looks for stands in it. Trusts: nothing. Out of scope: ordinary builds
//! (tests/tests/attacks.rs performs the same attacks and wants them held off).
#![cfg(feature = "without")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ringwall_sim::attack::register::rows;
use ringwall_wire::without::{Defence, MARK};
use serde_json::Value;
use std::process::Command;

/// Performs one attack without one defence; what was won.
fn succeeds(name: &str, defence: Defence) -> Vec<String> {
    let arguments = ["run", name, "--json", "--without", defence.name()];
    let output = Command::new(env!("CARGO_BIN_EXE_ringwall-attack")).args(arguments).output().unwrap();
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(said.contains("THIS PROGRAM CAN LEAVE ITS DEFENCES OUT"), "the build does not say what it is: {said}");
    let told: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name} without {}: {error}\n{text}\n{said}", defence.name()));
    assert_eq!(output.status.code(), Some(1), "{name} without {} did not succeed: {told:#}", defence.name());
    let won = told["won"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert!(!won.is_empty(), "{told:#}");
    won
}

/// The first row that can be shown without this defence; the quickest where there are several.
fn shown_by(defence: Defence) -> &'static str {
    let mut able: Vec<_> = rows().into_iter().filter(|row| row.without().contains(&defence)).collect();
    able.sort_by_key(|row| row.scene());
    able[0].id
}

fn all(defences: &[Defence]) {
    for defence in defences {
        let name = shown_by(*defence);
        println!("{name} without {}: {:?}", defence.name(), succeeds(name, *defence));
    }
}

const QUICK: [Defence; 10] = [
    Defence::HedgedIvs,
    Defence::KeyCommitment,
    Defence::SessionBinding,
    Defence::FirmwareMinimum,
    Defence::BootConfiguration,
    Defence::RevocationLists,
    Defence::PinnedRoots,
    Defence::LeastVersion,
    Defence::Anchor,
    Defence::ApprovalThreshold,
];
const CLUSTERS: [Defence; 7] = [
    Defence::FreshStart,
    Defence::ReadQuorum,
    Defence::EntryDigests,
    Defence::NumberedWrites,
    Defence::DebugRule,
    Defence::ChipList,
    Defence::ClusterPin,
];

#[test]
fn every_defence_is_tried() {
    let mut tried = [&QUICK[..], &CLUSTERS[..]].concat();
    tried.sort_unstable();
    assert_eq!(tried, Defence::ALL);
}

#[test]
fn without_its_defence_each_quick_attack_succeeds() {
    all(&QUICK);
}

#[test]
fn without_its_defence_each_attack_on_processes_succeeds() {
    all(&CLUSTERS);
}

#[test]
fn a_man_in_the_middle_hears_the_secret() {
    let won = succeeds("A2", Defence::SessionBinding);
    assert!(won.iter().any(|line| line.contains("meet me at nine")), "{won:?}");
}

#[test]
fn the_mark_stands_in_a_program_that_can() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_ringwall-attack")).unwrap();
    assert!(program.windows(MARK.len()).any(|window| window == MARK), "the search of shipped programs would find nothing");
}
