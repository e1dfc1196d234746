//! The module of conformance, asked as a library: a packed set is judged as a folder is, and a whole answer of a node is believed.
//!
//! Decides: whether there is a difference between a disk and a set, and between the records of `ringwall-conformance` and those of the module, before any of it
//! is compiled for another machine. Trusts: nothing. Out of scope: that machine (`.ci/run wasm`).

#[allow(unreachable_pub, reason = "the root of a library elsewhere")]
#[path = "../examples/conformance.rs"]
mod module;

use ringwall_sim::published::{Packed, run, vectors};
use serde_json::{Value, json};

fn ask(work: fn(&[u8]) -> Vec<u8>, question: &[u8]) -> Value {
    serde_json::from_slice(&work(question)).unwrap()
}

#[test]
fn a_packed_set_is_judged_as_its_folder_is() {
    let Some(folder) = vectors() else { return };
    let on_disk = run(&folder, None).unwrap();
    let opened = ask(module::open, &Packed::pack(&folder).unwrap());
    assert_eq!(opened["cases"], json!(on_disk.records.len()), "{opened}");
    assert_eq!(opened["unreadable"], json!([]));
    assert_eq!(opened["not_judged"].as_array().unwrap().len(), on_disk.not_judged.len());
    for (number, record) in (0_u32..).zip(&on_disk.records) {
        assert_eq!(ask(module::judge, &number.to_le_bytes()), record.json());
    }
    let beyond = u32::try_from(on_disk.records.len()).unwrap();
    for question in [&beyond.to_le_bytes()[..], &[0; 3], &[0; 5]] {
        assert_eq!(ask(module::judge, question), json!({ "error": "there is no such case" }));
    }
    assert!(ask(module::open, &[1])["error"].as_str().unwrap().contains("cut off"));
}

#[test]
fn a_whole_answer_is_believed_cold_and_warm() {
    assert_eq!(ask(module::appraise, b"cold"), json!({ "error": "nothing was minted" }));
    for chip in ["genoa-1", "tdx-1"] {
        let minted = ask(module::mint, chip.as_bytes());
        assert!(minted["release_proof"].as_u64().unwrap() > 4_000, "{minted}");
        for how in ["cold", "warm"] {
            let judged = ask(module::appraise, how.as_bytes());
            assert!(judged["released"] == json!(true) && judged["steps"].as_u64().unwrap() > 5, "{chip} {how}: {judged}");
        }
    }
}
