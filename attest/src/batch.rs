//! One quote for many sessions: a Merkle tree over the sessions that wait for evidence.
//!
//! Decides: a session's leaf is `SHA-256(0x00 || enc("bind", handshake, nonce))`, inner nodes are `SHA-256(0x01 || left || right)`, the shape
//! is RFC 6962's; a path is accepted only when it has exactly the hashes its index and leaf count demand.
//! Trusts: nothing; the number of leaves is bounded before anything is hashed.
//! Out of scope: when a batch is closed (`node`). Protocol section 3, SB2.

use alloc::vec::Vec;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::enc;
use ringwall_wire::evidence::BatchPath;
use ringwall_wire::ids::{Digest, Nonce, SigPublic};
use ringwall_wire::label::Label;
use ringwall_wire::limits::BATCH_LEAVES;
use sha2::{Digest as _, Sha256};

/// The leaf of the session with handshake hash `handshake`, asked with `nonce`.
pub fn leaf(handshake: &Digest, nonce: &Nonce) -> Digest {
    leaf_of(&session_words(handshake, nonce))
}

/// The leaf of a period key: it signs sessions from `period_start_s` (Unix seconds) on.
pub fn standing_leaf(key: &SigPublic, period_start_s: u64) -> Digest {
    leaf_of(&enc(Label::Standing, &[&key.0, &period_start_s.to_be_bytes()]))
}

/// What a leaf hashes, and what a period key signs, for one session: `enc("bind", handshake, nonce)`.
pub fn session_words(handshake: &Digest, nonce: &Nonce) -> Vec<u8> {
    enc(Label::Bind, &[&handshake.0, &nonce.0])
}

fn leaf_of(words: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0x00]).chain_update(words).finalize().into())
}

fn parent(left: &Digest, right: &Digest) -> Digest {
    Digest(Sha256::new().chain_update([0x01]).chain_update(left.0).chain_update(right.0).finalize().into())
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
    /// Level 0 are the leaves, the last level is the root alone. A node without a sibling moves up unchanged, which gives RFC 6962's shape.
    levels: Vec<Vec<Digest>>,
}

impl Batch {
    /// Closes a batch over `leaves`.
    pub fn new(leaves: Vec<Digest>) -> Result<Self, BatchError> {
        if leaves.is_empty() {
            return Err(BatchError::Empty);
        }
        if leaves.len() > BATCH_LEAVES {
            return Err(BatchError::TooMany { got: leaves.len(), max: BATCH_LEAVES });
        }
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let above = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => parent(left, right),
                    alone => *alone.first().expect("chunks are not empty"),
                })
                .collect();
            levels.push(core::mem::replace(&mut level, above));
        }
        levels.push(level);
        Ok(Batch { levels })
    }

    /// The root the evidence binds.
    pub fn root(&self) -> Digest {
        *self.levels.last().and_then(|level| level.first()).expect("a batch has a root")
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// The path of leaf `index`; none when there is no such leaf.
    pub fn path(&self, index: usize) -> Option<BatchPath> {
        if index >= self.leaves() {
            return None;
        }
        let mut at = index;
        let mut siblings = Vec::new();
        for level in &self.levels {
            if let Some(sibling) = level.get(at ^ 1) {
                siblings.push(*sibling);
            }
            at >>= 1;
        }
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
    let mut at = path.index as usize;
    if at >= leaves {
        return None;
    }
    let mut width = leaves;
    let mut hash = *leaf;
    let mut siblings = path.siblings.iter();
    while width > 1 {
        let last = at == width.saturating_sub(1);
        if at & 1 == 1 {
            hash = parent(siblings.next()?, &hash);
        } else if !last {
            hash = parent(&hash, siblings.next()?);
        }
        at >>= 1;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(hash)
}
