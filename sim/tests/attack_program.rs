//! `ringwall-attack` as people and programs use it: its words, its JSON, its exit codes, its refusal to leave anything out.
//!
//! Decides: that an ordinary build holds off what it performs and says how to build one that does not; that evidence it leaves is verified by the command
//! people have. Trusts: nothing. Out of scope: every attack (tests/tests/attacks.rs), attacks that succeed (without.rs).
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ringwall_sim::attack::page;
use serde_json::Value;
use std::process::Command;

fn attack(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringwall-attack")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn attacks_are_listed_for_people_and_programs() {
    let (code, text, _) = attack(&["list"]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("R7 ")
            && text.contains("--without: read-quorum")
            && text.contains("A14")
            && text.contains("performed apart: deploy/image/test.py"),
        "{text}"
    );
    let (code, text, _) = attack(&["list", "--json"]);
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(0));
    let of = |name: &str| all.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!((&of("R7")["performed"], &of("A14")["performed"]), (&Value::Bool(true), &Value::Bool(true)));
}

#[test]
fn an_attack_is_told_in_steps_and_ends_with_its_outcome() {
    let (code, text, _) = attack(&["run", "a1"]);
    assert_eq!(code, Some(0), "{text}");
    for words in ["== A1: the attacker shows recorded evidence", "  did ", "  answered ", "  remains ", "HELD"] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let (code, text, _) = attack(&["run", "K6", "--json"]);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &told["held"], &told["name"]), (Some(0), &Value::Bool(true), &Value::String("K6".into())));
    assert!(told["did"].as_array().unwrap().len() > 1 && !told["answered"].as_array().unwrap().is_empty());
    let (code, text, _) = attack(&["run", "A14"]);
    assert!(code == Some(0) && text.contains("APART: performed by deploy/image/test.py"), "{text}");
}

#[test]
fn evidence_of_a_rollback_is_verified_by_the_command_people_have() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text, _) = attack(&["run", "R3", "--folder", folder.path().to_str().unwrap()]);
    assert!(code == Some(0) && text.contains("ROLLBACK_DETECTED"), "{text}");
    let start = text.find("the evidence, ").map(|at| at + "the evidence, ".len()).unwrap_or_else(|| panic!("no path in {text}"));
    let path: String = text[start..].chars().take_while(|letter| !letter.is_whitespace() && *letter != ':' && *letter != ';').collect();
    let verify = |file: &str| Command::new(env!("CARGO_BIN_EXE_ringwall-sim")).args(["receipt", "verify", file]).output().unwrap();
    let output = verify(&path);
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("ROLLBACK_DETECTED"));
}

#[test]
fn what_nobody_can_do_is_refused_with_words() {
    for (arguments, words) in
        [(&["run", "R99"][..], "no attack is called"), (&["run", "R7", "--without", "gravity"], "no defence is called")]
    {
        let (code, _, said) = attack(arguments);
        assert!(code == Some(2) && said.contains(words), "{said}");
    }
    let (code, _, said) = attack(&["run", "R7", "--without", "hedged-ivs"]);
    assert!(code == Some(2) && said.contains("is not what R7 is about") && said.contains("read-quorum"), "{said}");
}

#[test]
#[cfg(not(feature = "without"))]
fn an_ordinary_build_leaves_nothing_out_and_says_how_to_build_one_that_can() {
    let (code, text, said) = attack(&["run", "R11", "--without", "hedged-ivs"]);
    assert!(code == Some(2) && text.is_empty() && said.contains("cargo attack-without"), "{said}");
    let program = std::fs::read(env!("CARGO_BIN_EXE_ringwall-attack")).unwrap();
    let switch = b"WITHOUT fresh-start: this node goes on from its disk";
    assert!(!program.windows(switch.len()).any(|window| window == switch), "an ordinary build holds what only a build for attacks has");
}

#[test]
fn the_program_prints_the_page() {
    assert_eq!(attack(&["page"]).1, page());
}
