//! Announced trees against applied ones.
//!
//! Decides: a tree that was announced must be there when its size is reached, not before and not after; two words about one size are one too many.
//! Trusts: the bench of the state machine's tests. Out of scope: who announces.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::machine::tests::{Bench, open};

#[test]
fn a_tree_that_was_announced_must_be_there_when_its_size_is_reached() {
    for (lie, at_once) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut bench = Bench::new(1 << 20);
        let mut other = Bench::new(1 << 20);
        for _ in 0..3 {
            other.write(1, open());
        }
        let mut told = other.state.tree.point();
        told.root.0[0] ^= u8::from(lie);
        let expected = Expected::default();
        if at_once {
            for _ in 0..3 {
                bench.write(1, open());
            }
            let outcome = expected.compare(&told, || bench.view());
            assert_eq!(outcome.is_err(), lie, "applied already: {outcome:?}");
            continue;
        }
        expected.compare(&told, || bench.view()).unwrap();
        let mut outcomes = Vec::new();
        for _ in 0..4 {
            bench.write(1, open());
            outcomes.push(expected.met(&bench.state.tree).is_ok());
        }
        assert_eq!(outcomes, [true, true, !lie, true], "said of {} leaves", told.size);
        let again = expected.compare(&TreePoint { size: 100, root: Digest([1; 32]) }, || bench.view());
        assert_eq!(again, Ok(()));
        let two = expected.compare(&TreePoint { size: 100, root: Digest([2; 32]) }, || bench.view());
        assert!(matches!(two, Err(OtherTree::Announced { size: 100, .. })));
    }
}

#[test]
fn a_tree_that_is_reached_while_it_is_noted_is_compared_all_the_same() {
    let mut bench = Bench::new(1 << 20);
    let before = bench.view();
    bench.write(1, open());
    let mut told = bench.state.tree.point();
    told.root.0[0] ^= 1;
    let looks = std::cell::RefCell::new(vec![bench.view(), before]);
    let outcome = Expected::default().compare(&told, || looks.borrow_mut().pop().unwrap());
    assert!(matches!(outcome, Err(OtherTree::Root { .. })), "{outcome:?}");
}

#[test]
fn trees_that_wait_are_bounded_and_the_largest_stay() {
    let bench = Bench::new(1 << 20);
    let expected = Expected::default();
    for size in 100..300 {
        expected.compare(&TreePoint { size, root: Digest([1; 32]) }, || bench.view()).unwrap();
    }
    let trees = expected.trees.lock().unwrap();
    assert_eq!((trees.len(), trees.last_key_value()), (REMEMBERED, Some((&299, &Digest([1; 32])))));
}
