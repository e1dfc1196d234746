//! The module of conformance: published evidence judged where there is no process, and how long one whole answer of a node takes there.
//!
//! Decides: what the page can ask: `open` a packed set, `judge` one case of it, `mint` a simulated node's answer, `appraise` that. Answers are JSON.
//! Trusts: nothing. Everything that is judged is judged by `ringwall-attest`, and cases are read and told by `ringwall_sim::published`, which is what
//! `ringwall-conformance` does, too. Out of scope: comparing and timing (`.ci/wasm.py`, the page).

use ringwall_attest::forget_signatures;
use ringwall_sim::answering::{Node, SESSION, judge as judge_answer, released};
use ringwall_sim::published::{Found, Packed, find_in};
use ringwall_wire::session::AttestResp;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

ringwall_web::exported!(open, judge, mint, appraise);

static CASES: Mutex<Option<Found>> = Mutex::new(None);
static NODE: Mutex<Option<(Node, AttestResp)>> = Mutex::new(None);

fn held<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told(answer: &Value) -> Vec<u8> {
    answer.to_string().into_bytes()
}

fn refused(why: impl ToString) -> Vec<u8> {
    told(&json!({ "error": why.to_string() }))
}

/// Reads a packed set and finds its cases: how many, and what cannot be read or is not judged.
pub fn open(set: &[u8]) -> Vec<u8> {
    let found = match Packed::read(set).map(|packed| find_in(&packed.place(), None)) {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return refused(error),
        Err(error) => return refused(error),
    };
    let unreadable = found.unreadable.iter().map(|case| json!({ "id": case.name, "reason": case.error.to_string() }));
    let not_judged = found.not_judged.iter().map(|skipped| json!({ "name": skipped.name, "reason": skipped.why }));
    let answer = json!({
        "cases": found.all().len(),
        "unreadable": unreadable.collect::<Vec<_>>(),
        "not_judged": not_judged.collect::<Vec<_>>(),
    });
    *held(&CASES) = Some(found);
    told(&answer)
}

/// Judges the case of this number (four bytes, little-endian): its record, or why it cannot be read.
pub fn judge(number: &[u8]) -> Vec<u8> {
    let held = held(&CASES);
    let at = number.try_into().ok().and_then(|number| usize::try_from(u32::from_le_bytes(number)).ok());
    let Some(case) = at.and_then(|at| held.as_ref()?.all().get(at).copied()) else { return refused("there is no such case") };
    match case.record() {
        Ok(record) => told(&record.json()),
        Err(unreadable) => refused(format!("{}: {}", unreadable.name, unreadable.error)),
    }
}

/// Mints what the simulated node on the chip of this name answers: evidence, endorsements, a proof of release with its witnesses. The bytes of each.
pub fn mint(chip_name: &[u8]) -> Vec<u8> {
    let Ok(chip_name) = std::str::from_utf8(chip_name) else { return refused("the name of a chip is text") };
    let (node, answer) = released(chip_name);
    let told_sizes = json!({ "evidence": size(&answer.evidence), "endorsements": size(&answer.endorsements), "release_proof": answer.release_proof.len() });
    *held(&NODE) = Some((node, answer));
    told(&told_sizes)
}

fn size(part: &impl ringwall_wire::codec::Field) -> usize {
    part.to_bytes().len()
}

/// Appraises the minted answer as a client does, once. `cold` forgets every signature that was seen before, as in a process's first session.
pub fn appraise(how: &[u8]) -> Vec<u8> {
    if how == b"cold" {
        forget_signatures();
    }
    match held(&NODE).as_ref() {
        None => refused("nothing was minted"),
        Some((node, answer)) => match judge_answer(answer, SESSION, node) {
            Ok(peer) => told(&json!({ "steps": peer.appraised().steps().len(), "released": peer.appraised().released().is_some() })),
            Err(error) => refused(error),
        },
    }
}
