//! Properties of session batches: every leaf is provable, nothing else is.
//!
//! Decides: that roots and paths have RFC 6962's shape (against a recursive transcription of the RFC), that each session's own path leads to the
//! root, and that no other leaf, index, count, or damaged path does. Trusts: SHA-256. Out of scope: what the leaves bind (`session.rs`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use ringwall_attest::batch::{fold, leaf, standing_leaf};
use ringwall_attest::{Batch, BatchError};
use ringwall_wire::bounded::List;
use ringwall_wire::evidence::BatchPath;
use ringwall_wire::ids::{Digest, Nonce, SigPublic};
use sha2::{Digest as _, Sha256};

/// RFC 6962 section 2.1, MTH, over leaf hashes.
fn reference_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => panic!("no leaves"),
        [one] => *one,
        many => {
            let split = many.len().next_power_of_two() / 2;
            let (left, right) = (reference_root(&many[..split]), reference_root(&many[split..]));
            Digest(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
        }
    }
}

fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|at| leaf(&Digest([7; 32]), &Nonce(Sha256::digest(at.to_be_bytes()).into()))).collect()
}

#[test]
fn roots_and_paths_of_every_small_size() {
    for count in 1..=70 {
        let leaves = leaves(count);
        let batch = Batch::new(leaves.clone()).unwrap();
        assert_eq!(batch.root(), reference_root(&leaves), "{count} leaves");
        assert_eq!(batch.leaves(), count);
        for (at, leaf) in leaves.iter().enumerate() {
            let path = batch.path(at).unwrap();
            assert_eq!(fold(leaf, &path), Some(batch.root()), "leaf {at} of {count}");
            assert!(path.siblings.len() <= 12);
            let other = leaves[(at + 1) % count];
            assert!(count == 1 || fold(&other, &path) != Some(batch.root()));
        }
        assert!(batch.path(count).is_none());
    }
}

#[test]
fn a_full_batch_fits_its_limit_and_no_more() {
    let batch = Batch::new(leaves(4_096)).unwrap();
    assert_eq!(batch.path(4_095).unwrap().siblings.len(), 12);
    assert_eq!(fold(&leaves(4_096)[4_095], &batch.path(4_095).unwrap()), Some(batch.root()));
    assert_eq!(Batch::new(leaves(4_097)).unwrap_err(), BatchError::TooMany { got: 4_097, max: 4_096 });
    assert_eq!(Batch::new(Vec::new()).unwrap_err(), BatchError::Empty);
}

#[test]
fn a_leaf_is_neither_a_node_nor_a_period_key() {
    let (handshake, nonce) = (Digest([1; 32]), Nonce([2; 32]));
    assert_ne!(leaf(&handshake, &nonce), leaf(&Digest(nonce.0), &Nonce(handshake.0)));
    assert_ne!(leaf(&handshake, &nonce), standing_leaf(&SigPublic(handshake.0), 0));
    assert_ne!(standing_leaf(&SigPublic([1; 32]), 1), standing_leaf(&SigPublic([1; 32]), 2));
    // an inner node of two leaves cannot stand in for a leaf of a smaller tree: its preimage opens with another byte
    let two = Batch::new(leaves(2)).unwrap();
    assert_ne!(two.root(), leaf(&leaves(2)[0], &Nonce(leaves(2)[1].0)));
}

proptest! {
    #[test]
    fn a_damaged_path_never_leads_to_the_root(count in 1usize..200, at in 0usize..200, bit in 0usize..256, which in 0usize..12, extra in any::<bool>()) {
        let at = at % count;
        let leaves = leaves(count);
        let batch = Batch::new(leaves.clone()).unwrap();
        let path = batch.path(at).unwrap();

        let mut other = leaves[at];
        other.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(fold(&other, &path), Some(batch.root()));

        let mut siblings = path.siblings.to_vec();
        if extra {
            if siblings.len() < 12 {
                siblings.push(Digest([0; 32]));
                prop_assert_eq!(fold(&leaves[at], &BatchPath { siblings: List::new(siblings).unwrap(), ..path.clone() }), None);
            }
        } else if !siblings.is_empty() {
            let which = which % siblings.len();
            let removed = siblings.remove(which);
            prop_assert_eq!(fold(&leaves[at], &BatchPath { siblings: List::new(siblings.clone()).unwrap(), ..path.clone() }), None);
            let mut damaged = removed;
            damaged.0[bit / 8] ^= 1 << (bit % 8);
            siblings.insert(which, damaged);
            prop_assert_ne!(fold(&leaves[at], &BatchPath { siblings: List::new(siblings).unwrap(), ..path.clone() }), Some(batch.root()));
        }
    }

    #[test]
    fn any_path_at_all_is_handled(leaves in any::<u32>(), index in any::<u32>(), hashes in 0usize..=12) {
        let siblings = List::new(vec![Digest([3; 32]); hashes]).unwrap();
        let folded = fold(&Digest([1; 32]), &BatchPath { leaves, index, siblings });
        prop_assert!(folded.is_none() || (leaves <= 4_096 && index < leaves));
    }
}
