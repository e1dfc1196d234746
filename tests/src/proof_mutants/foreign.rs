//! The shared cases of bundles and logs that verify, as originals.
//!
//! Decides: every case that states it is accepted is one, and every piece of it that would come from a stranger. Bundles lend each other parts, notes
//! each other's lines; verifier keys lend nothing: a genuine key in the place of another is another policy. Trusts: the vectors' own verdicts.
//! Out of scope: trusted roots, the keys that notes are judged by, roots of trees: policies and signed checkpoints give them.
//! Vectors: `$RINGWALL_VECTORS` or `../shared/vectors`; their absence is a failure in CI.

use super::{Exhibit, Form, meaning};
use ringwall_sim::published::{Piece, SigstoreCase, TlogCase, find, vectors};
use std::sync::Arc;

/// Originals lend parts to so many others.
const DONORS: usize = 2;

pub(super) fn exhibits() -> Vec<Exhibit> {
    let Some(folder) = vectors() else { return Vec::new() };
    let found = find(&folder, None).expect("the vectors can be read");
    let mut bundles: Vec<Exhibit> = found.bundles.iter().filter(|case| case.is_accepted()).map(bundle).collect();
    let (keys, logs): (Vec<&TlogCase>, Vec<&TlogCase>) =
        found.logs.iter().filter(|case| case.is_accepted()).partition(|case| case.is_key());
    let mut logs: Vec<Exhibit> = logs.into_iter().flat_map(log).collect();
    lend(&mut bundles);
    lend(&mut logs);
    bundles.into_iter().chain(logs).chain(keys.into_iter().flat_map(log)).collect()
}

fn bundle(case: &SigstoreCase) -> Exhibit {
    let (judged, original) = (case.clone(), case.bundle().to_vec());
    let judge = Box::new(move |bytes: &[u8]| judged.judge_other(bytes));
    let meaning = Box::new(move |bytes: &[u8]| meaning::bundle(&original, bytes));
    Exhibit::new(format!("sigstore {}", case.id()), Form::Json, case.bundle().to_vec(), judge, meaning)
}

fn log(case: &TlogCase) -> Vec<Exhibit> {
    let case = Arc::new(case.clone());
    // A path of no hashes has nothing to change.
    let pieces = case.pieces().into_iter().enumerate().filter(|(_, piece)| *piece != Piece::Hashes(Vec::new()));
    pieces
        .map(|(at, piece)| {
            let judged = case.clone();
            let judge = Box::new(move |bytes: &[u8]| judged.judge_other(at, bytes).map(|()| String::new()));
            let name = format!("tlog {} {at}", case.id());
            match piece {
                Piece::Note(bytes, keys) => {
                    Exhibit::new(name, Form::Note, bytes, judge, Box::new(move |bytes: &[u8]| meaning::note(bytes, &keys)))
                }
                Piece::Hashes(bytes) => Exhibit::new(name, Form::Hashes, bytes, judge, Box::new(|bytes: &[u8]| Some(bytes.to_vec()))),
                Piece::Bytes(bytes) => Exhibit::new(name, Form::Bytes, bytes, judge, Box::new(|bytes: &[u8]| Some(bytes.to_vec()))),
            }
        })
        .collect()
}

/// Gives each the next ones of its form as donors.
pub(super) fn lend(all: &mut [Exhibit]) {
    let lent: Vec<(Form, Vec<u8>)> = all.iter().map(|one| (one.form, one.bytes.clone())).collect();
    for (at, one) in all.iter_mut().enumerate() {
        let others = lent.iter().cycle().skip(at.saturating_add(1)).take(lent.len().saturating_sub(1));
        let fit = others.filter(|(form, bytes)| *form == one.form && *bytes != one.bytes);
        one.donors = fit.map(|(_, bytes)| bytes.clone()).take(DONORS).collect();
    }
}
