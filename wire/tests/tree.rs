//! Trees of every small shape against the recursive definition of RFC 6962.
//!
//! Decides: that paths made here are accepted here, with exactly the right hashes, and that no damaged one is. The vectors of other
//! implementations are in `tests/tests/tree_vectors.rs`. Trusts: the definition, written out below. Out of scope: speed.
#![allow(clippy::unwrap_used)]

use core::convert::Infallible;
use ringwall_wire::ids::Digest;
use ringwall_wire::tree::*;

const SIZES: u64 = 70;

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|at| leaf(&at.to_be_bytes())).collect()
}

/// RFC 6962, 2.1.
fn defined(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        more => {
            let mut split = 1;
            while split * 2 < more.len() {
                split *= 2;
            }
            let (left, right) = more.split_at(split);
            parent(&defined(left), &defined(right))
        }
    }
}

struct All(Vec<Digest>);

impl Nodes for All {
    type Fault = Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, Infallible> {
        let (start, end) = ((index << level) as usize, ((index + 1) << level) as usize);
        Ok(self.0.get(start..end).map(defined))
    }
}

#[test]
fn roots_and_levels_follow_the_definition() {
    let all = leaves(SIZES);
    for size in 0..=SIZES {
        let some = all.get(..size as usize).unwrap();
        assert_eq!(root_at(&All(some.to_vec()), size).unwrap(), Some(defined(some)), "{size}");
        assert_eq!(Levels::new(some.to_vec()).map_or_else(empty_root, |levels| levels.root()), defined(some), "{size}");
    }
}

#[test]
fn every_inclusion_path_leads_to_the_root_and_no_other_does() {
    for size in 1..=SIZES {
        let all = leaves(size);
        let levels = Levels::new(all.clone()).unwrap();
        for (index, leaf) in all.iter().enumerate() {
            let path = levels.siblings(index).unwrap();
            assert_eq!(inclusion_root(leaf, index as u64, size, &path), Some(levels.root()));
            assert_eq!(prove_inclusion(&All(all.clone()), index as u64, size).unwrap().as_ref(), Some(&path), "from subtrees, the same");
            let mut longer = path.clone();
            longer.push(*leaf);
            assert_eq!(inclusion_root(leaf, index as u64, size, &longer), None);
            if let Some((_, shorter)) = path.split_last() {
                assert_eq!(inclusion_root(leaf, index as u64, size, shorter), None);
            }
        }
        assert!(levels.siblings(all.len()).is_none());
        assert!(prove_inclusion(&All(all.clone()), size, size).unwrap().is_none());
        assert_eq!(inclusion_root(&empty_root(), size, size, &[]), None);
    }
}

#[test]
fn every_consistency_path_is_accepted_and_no_damaged_one() {
    let all = leaves(SIZES);
    for second in 1..=SIZES {
        let nodes = All(all.get(..second as usize).unwrap().to_vec());
        let second_root = defined(&nodes.0);
        assert!(!is_consistent(0, &empty_root(), second, &second_root, &[]), "says nothing");
        for first in 1..=second {
            let first_root = defined(all.get(..first as usize).unwrap());
            let path = prove_consistency(&nodes, first, second).unwrap().unwrap();
            assert!(is_consistent(first, &first_root, second, &second_root, &path), "{first} to {second}");
            assert!(!is_consistent(first, &second_root, second, &second_root, &path) || first_root == second_root);
            for at in 0..path.len() {
                let mut damaged = path.clone();
                damaged.get_mut(at).unwrap().0[7] ^= 1;
                assert!(!is_consistent(first, &first_root, second, &second_root, &damaged), "{first} to {second}, hash {at}");
                let mut shorter = path.clone();
                shorter.remove(at);
                assert!(!is_consistent(first, &first_root, second, &second_root, &shorter), "{first} to {second}, without {at}");
            }
            let mut longer = path;
            longer.push(second_root);
            assert!(!is_consistent(first, &first_root, second, &second_root, &longer), "{first} to {second}, longer");
        }
    }
}

#[test]
fn a_path_of_another_history_shows_its_older_root() {
    let ours = leaves(40);
    let mut theirs = ours.clone();
    *theirs.get_mut(9).unwrap() = leaf(b"another entry");
    for first in 10..40_u64 {
        let path = prove_consistency(&All(theirs.clone()), first, 40).unwrap().unwrap();
        let (older, newer) = consistency_roots(first, 40, &path).unwrap();
        assert_eq!(newer, defined(&theirs), "the path belongs to the newer tree");
        assert_ne!(older, defined(ours.get(..first as usize).unwrap()), "and proves another history at {first}");
    }
}

#[test]
fn what_is_not_kept_is_said_not_guessed() {
    struct Gone;
    impl Nodes for Gone {
        type Fault = Infallible;
        fn node(&self, _: u32, _: u64) -> Result<Option<Digest>, Infallible> {
            Ok(None)
        }
    }
    assert_eq!(root_at(&Gone, 5), Ok(None));
    assert_eq!(prove_consistency(&Gone, 3, 5), Ok(None));
    assert_eq!(consistency_roots(3, 5, &[]), None);
    assert_eq!(consistency_roots(u64::MAX - 1, u64::MAX, &[empty_root(); 3]), None, "no panic at the edge");
}
