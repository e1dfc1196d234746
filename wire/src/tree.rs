//! RFC 6962 trees: hashes of leaves and nodes, roots, inclusion and consistency.
//!
//! Decides: a leaf is `SHA-256(0x00 || words)`, an inner node `SHA-256(0x01 || left || right)`, the shape is RFC 6962's; a path counts only
//! when it has exactly the hashes its sizes demand. A consistency path here always opens with the subtree the older tree ends in, also where RFC 9162
//! leaves it out (a size that is a power of two): so the older root follows from the path and the newer root alone, and a path that leads to
//! another older root proves to anybody that the newer tree holds another history.
//! Trusts: nothing. Out of scope: where nodes are kept (`consensus`), what leaves mean. Protocol sections 3 (SB2) and 5.2.

use crate::counted::{Primitive, count};
use crate::ids::Digest;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

/// The hash of a leaf.
pub fn leaf(words: &[u8]) -> Digest {
    count(Primitive::Hash);
    Digest(Sha256::new().chain_update([0x00]).chain_update(words).finalize().into())
}

/// The hash of an inner node.
pub fn parent(left: &Digest, right: &Digest) -> Digest {
    count(Primitive::Hash);
    Digest(Sha256::new().chain_update([0x01]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The root of the tree without leaves.
pub fn empty_root() -> Digest {
    Digest(Sha256::digest([]).into())
}

/// The root `leaf` leads to along `siblings` as leaf `index` of `size`; none when the path has not exactly the hashes these demand.
pub fn inclusion_root(leaf: &Digest, index: u64, size: u64, siblings: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    let (mut at, mut width, mut hash) = (index, size, *leaf);
    let mut siblings = siblings.iter();
    while width > 1 {
        if at & 1 == 1 {
            hash = parent(siblings.next()?, &hash);
        } else if at < width - 1 {
            hash = parent(&hash, siblings.next()?);
        }
        at >>= 1;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(hash)
}

/// The roots at `first` and at `second` leaves that `path` leads to; none when it has not exactly the hashes these sizes demand.
/// `0 < first < second`.
pub fn consistency_roots(first: u64, second: u64, path: &[Digest]) -> Option<(Digest, Digest)> {
    if first == 0 || first >= second {
        return None;
    }
    let (seed, rest) = path.split_first()?;
    // RFC 9162, 2.1.4.2: the last leaf of the older tree walks up, from the root of the complete subtree it ends.
    let (mut older, mut newer) = (first - 1, second - 1);
    let skip = older.trailing_ones();
    older = older.checked_shr(skip).unwrap_or(0);
    newer = newer.checked_shr(skip).unwrap_or(0);
    let (mut first_root, mut second_root) = (*seed, *seed);
    for hash in rest {
        if newer == 0 {
            return None;
        }
        if older & 1 == 1 || older == newer {
            first_root = parent(hash, &first_root);
            second_root = parent(hash, &second_root);
            while older & 1 == 0 && older != 0 {
                older >>= 1;
                newer >>= 1;
            }
        } else {
            second_root = parent(&second_root, hash);
        }
        older >>= 1;
        newer >>= 1;
    }
    (newer == 0).then_some((first_root, second_root))
}

/// Whether the tree of `second` leaves continues that of `first`, by a path of this module.
pub fn is_consistent(first: u64, first_root: &Digest, second: u64, second_root: &Digest, path: &[Digest]) -> bool {
    match first {
        0 => false, // Every tree continues the empty one; asking is a mistake.
        _ if first == second => path.is_empty() && first_root == second_root,
        _ => consistency_roots(first, second, path) == Some((*first_root, *second_root)),
    }
}

/// The levels of a small tree, leaves first, the root alone last. A node without a sibling moves up unchanged.
#[derive(Clone, Debug)]
pub struct Levels {
    levels: Vec<Vec<Digest>>,
}

impl Levels {
    /// Builds the tree; none over no leaf.
    pub fn new(leaves: Vec<Digest>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let pairs = level.chunks(2).filter_map(|pair| match pair {
                [left, right] => Some(parent(left, right)),
                alone => alone.first().copied(),
            });
            let above = pairs.collect();
            levels.push(core::mem::replace(&mut level, above));
        }
        levels.push(level);
        Some(Levels { levels })
    }

    /// The root.
    pub fn root(&self) -> Digest {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or_else(empty_root)
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// The siblings of leaf `index`, from below; none when there is no such leaf.
    pub fn siblings(&self, index: usize) -> Option<Vec<Digest>> {
        if index >= self.leaves() {
            return None;
        }
        let with_levels = self.levels.iter().enumerate();
        Some(with_levels.filter_map(|(height, level)| level.get((index >> height) ^ 1).copied()).collect())
    }
}

/// Where complete subtrees of a long tree are looked up.
pub trait Nodes {
    /// Why a look failed.
    type Fault;
    /// The root of the complete subtree over leaves `index << level` to `(index + 1) << level`; none when it is no longer kept.
    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, Self::Fault>;
}

/// The root over the first `size` leaves; none when what it needs is no longer kept.
pub fn root_at<N: Nodes>(nodes: &N, size: u64) -> Result<Option<Digest>, N::Fault> {
    match size {
        0 => Ok(Some(empty_root())),
        size => range_root(nodes, 0, size),
    }
}

/// The path from the tree of `first` leaves to that of `second`; none when what it needs is no longer kept. Empty for `first` 0 and
/// for equal sizes. `first <= second`.
pub fn prove_consistency<N: Nodes>(nodes: &N, first: u64, second: u64) -> Result<Option<Vec<Digest>>, N::Fault> {
    if first == 0 || first >= second {
        return Ok(Some(Vec::new()));
    }
    // RFC 9162, 2.1.4.1, without its omission: collected from above, then turned around.
    let (mut start, mut end) = (0, second);
    let mut path = Vec::new();
    while first != end {
        let split = start + split_of(end - start);
        let other = match first <= split {
            true => {
                let right = range_root(nodes, split, end)?;
                end = split;
                right
            }
            false => {
                let left = range_root(nodes, start, split)?;
                start = split;
                left
            }
        };
        let Some(other) = other else { return Ok(None) };
        path.push(other);
    }
    let Some(seed) = range_root(nodes, start, end)? else { return Ok(None) };
    path.push(seed);
    path.reverse();
    Ok(Some(path))
}

/// The siblings that lead from leaf `index` to the root of the tree of `size` leaves, from below; none when there is no such leaf or what it needs is no
/// longer kept.
pub fn prove_inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Option<Vec<Digest>>, N::Fault> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let split = start + split_of(end - start);
        let sibling = match index < split {
            true => range_root(nodes, split, core::mem::replace(&mut end, split))?,
            false => range_root(nodes, core::mem::replace(&mut start, split), split)?,
        };
        let Some(sibling) = sibling else { return Ok(None) };
        path.push(sibling);
    }
    path.reverse();
    Ok(Some(path))
}

/// Largest power of two below `width`, which is at least 2.
fn split_of(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

/// The root over leaves `start..end`, where `start` is a multiple of a power of two that is at least the width.
fn range_root<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Option<Digest>, N::Fault> {
    // The complete subtrees from the left, each smaller than the one before; then folded from the right.
    let mut peaks = Vec::new();
    let mut at = start;
    while at < end {
        let level = 63 - (end - at).leading_zeros();
        let Some(node) = nodes.node(level, at >> level)? else { return Ok(None) };
        peaks.push(node);
        at += 1 << level;
    }
    Ok(peaks.into_iter().rev().reduce(|right, left| parent(&left, &right)))
}
