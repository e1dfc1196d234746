//! Evidence that others published, as folders of cases: found, read, judged, and compared with the verdict each case states.
//!
//! A case is a folder with `case.json` and files beside it, in the form of the shared vectors; docs/conformance.md has the schema and every rule
//! for facts that are missing or unknown. [`run`] walks a folder and judges what it finds; [`Packed`] is a folder where there is no disk, with the same
//! rules; [`Case`] is one case for tests that look closer.
//!
//! Decides: what a case hands to the verifier and what its `expect` word demands of the verdict; nothing is keyed on a case's name.
//! Trusts: the verdict that is stated, and roots only as far as a case names them. A case itself is hostile: every file is bounded before it is
//! read, and a panic while judging is caught and counted as a disagreement. Out of scope: how results are shown (tests, `ringwall-conformance`).

mod case;
mod expect;
mod folder;
mod judge;
mod measurement;
mod packed;
mod place;
mod record;
mod shared;
mod sigstore;
mod snp;
mod tdx;
mod tlog;

pub use case::{Case, CaseError, Kind, Offer, Offered};
pub use expect::{Exception, Expect};
pub use folder::{Found, NotJudged, Unreadable, find, find_in};
pub use judge::{Judged, Outcome, judge, judge_with};
pub use measurement::MeasurementCase;
pub use packed::{Packed, PackedError};
pub use place::{Files, Place};
pub use record::{AnyCase, Record, Run, run};
pub use shared::vectors;
pub use sigstore::SigstoreCase;
pub use tlog::{Piece, TlogCase};
