//! The chain of a namespace: what it tells apart.
//!
//! Decides: other records, another order and another change of one entry are other digests. Trusts: nothing it tests.
//! Out of scope: receipts over chains (`node`). Protocol section 5.2.

#![allow(clippy::unwrap_used)]

use crate::machine::tests::{Bench, SPACE, change, key, once, open, put_change};
use ringwall_wire::ids::Digest;
use ringwall_wire::receipt;
use ringwall_wire::request::Expect;

/// The entry's bytes are in a namespace's chain, and which of its changes it was.
#[test]
fn a_chain_tells_other_records_and_other_changes_apart() {
    let mutations = |values: [&[u8]; 2]| values.map(|value| (1, Expect::Any, put_change(value, 0))).to_vec();
    let chain = |values: [&[u8]; 2]| {
        let mut bench = Bench::new(0);
        bench.write(1, open());
        bench.write(2, change(1, once(1), mutations(values)));
        bench.view().chain(&SPACE).unwrap()
    };
    assert_eq!(chain([b"a", b"b"]), chain([b"a", b"b"]));
    assert_eq!(chain([b"a", b"b"]).0, 2);
    assert_ne!(chain([b"a", b"b"]).1, chain([b"a", b"c"]).1);
    assert_ne!(chain([b"a", b"b"]).1, chain([b"b", b"a"]).1);
    let [one, other] = [0, 1].map(|place| receipt::chain(&Digest([0; 32]), receipt::CHAIN_PUT, &key(1).0, &Digest([1; 32]), place, 1));
    assert_ne!(one, other, "two changes of one entry");
}
