//! One quote for many sessions: a Merkle tree over the sessions that wait for evidence.
//!
//! Decides: a session's leaf is the tree leaf of `enc("bind", handshake, nonce)`; a path is accepted only when it has exactly the hashes its index
//! and leaf count demand. The tree is the one of `ringwall_wire::tree`.
//! Trusts: nothing; the number of leaves is bounded before anything is hashed.
//! Out of scope: when a batch is closed (`node`). Protocol section 3, SB2.

use alloc::vec::Vec;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::enc;
use ringwall_wire::evidence::BatchPath;
use ringwall_wire::ids::{Digest, Nonce, SigPublic};
use ringwall_wire::label::Label;
use ringwall_wire::limits::BATCH_LEAVES;
use ringwall_wire::tree::{self, Levels};

/// The leaf of the session with handshake hash `handshake`, asked with `nonce`.
pub fn leaf(handshake: &Digest, nonce: &Nonce) -> Digest {
    tree::leaf(&session_words(handshake, nonce))
}

/// The leaf of a period key: it signs sessions from `period_start_s` (Unix seconds) on.
pub fn standing_leaf(key: &SigPublic, period_start_s: u64) -> Digest {
    tree::leaf(&enc(Label::Standing, &[&key.0, &period_start_s.to_be_bytes()]))
}

/// What a leaf hashes, and what a period key signs, for one session: `enc("bind", handshake, nonce)`.
pub fn session_words(handshake: &Digest, nonce: &Nonce) -> Vec<u8> {
    enc(Label::Bind, &[&handshake.0, &nonce.0])
}

/// Why leaves do not make a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// No session waits.
    #[error("a batch has at least one leaf")]
    Empty,
    /// Too many sessions for one quote.
    #[error("a batch has at most {max} leaves, got {got}: start another")]
    TooMany {
        /// Leaves given.
        got: usize,
        /// Limit.
        max: usize,
    },
}

/// A closed batch: its root goes into the evidence, each session gets its path.
#[derive(Clone, Debug)]
pub struct Batch {
    levels: Levels,
}

impl Batch {
    /// Closes a batch over `leaves`.
    pub fn new(leaves: Vec<Digest>) -> Result<Self, BatchError> {
        if leaves.len() > BATCH_LEAVES {
            return Err(BatchError::TooMany { got: leaves.len(), max: BATCH_LEAVES });
        }
        Ok(Batch { levels: Levels::new(leaves).ok_or(BatchError::Empty)? })
    }

    /// The root the evidence binds.
    pub fn root(&self) -> Digest {
        self.levels.root()
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.levels.leaves()
    }

    /// The path of leaf `index`; none when there is no such leaf.
    pub fn path(&self, index: usize) -> Option<BatchPath> {
        let siblings = self.levels.siblings(index)?;
        Some(BatchPath {
            leaves: u32::try_from(self.leaves()).expect("at most 4,096 leaves"),
            index: u32::try_from(index).expect("below 4,096"),
            siblings: List::new(siblings).expect("a tree of 4,096 leaves is 12 levels high"),
        })
    }
}

/// The root `leaf` leads to along `path`; none when the path has not exactly the hashes its index and leaf count demand.
pub fn fold(leaf: &Digest, path: &BatchPath) -> Option<Digest> {
    let leaves = usize::try_from(path.leaves).ok().filter(|leaves| *leaves <= BATCH_LEAVES)?;
    tree::inclusion_root(leaf, u64::from(path.index), leaves as u64, &path.siblings)
}
