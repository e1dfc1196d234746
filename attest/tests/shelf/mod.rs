//! How those published vectors are read that more than one test looks at.
//!
//! Decides: nothing; `ringwall_sim::published` finds and reads them.
//! Trusts: nothing. Out of scope: what the vectors say.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, dead_code, unreachable_pub, reason = "each test binary uses a part")]

pub use ringwall_sim::published::vectors;
use ringwall_sim::published::{Case, Offered};
use ringwall_wire::evidence::{Endorsements, Evidence, TdxEndorsements};
use serde_json::Value;

/// One file of them.
pub fn file(path: &str) -> Option<Vec<u8>> {
    vectors().map(|folder| std::fs::read(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// One JSON file of them.
pub fn json(path: &str) -> Option<Value> {
    file(path).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

/// A real quote, Intel's statements about its platform, and when to judge it (Unix seconds).
pub struct Quoted {
    pub quote: Vec<u8>,
    pub endorsements: TdxEndorsements,
    pub now_s: u64,
}

/// The TDX case called `id`.
pub fn quoted(id: &str) -> Option<Quoted> {
    let case = Case::read(&vectors()?.join("tdx").join(id)).unwrap();
    let Offered::Whole(offer) = case.offer().unwrap() else { panic!("{id} cannot be used") };
    let (Evidence::Tdx(evidence), Endorsements::Tdx(endorsements)) = (offer.evidence, offer.endorsements) else {
        panic!("{id} is not Intel's")
    };
    Some(Quoted { quote: evidence.quote.to_vec(), endorsements, now_s: offer.now_s })
}
