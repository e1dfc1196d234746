//! The log tree: an RFC 6962 tree with one leaf for every applied entry, from index 0.
//!
//! Decides: nodes are kept in tiles of 256, as transparency logs do: tile `n` of level `l` holds the roots of 256 complete subtrees of
//! `256^l` entries each. A tile under construction is in memory and in snapshots, a complete one is a row. Of the lowest level the newest
//! [`LOG_TREE_TILES`] complete tiles are kept, of the others all: consistency can be proven from any size in the kept ones, and from every
//! multiple of 256 for ever, at 32 bytes for 256 entries.
//! Trusts: rows to come back as they were written. Out of scope: what leaves mean (`ringwall_wire::receipt`). Protocol section 5.2.

use crate::machine::rows;
use crate::machine::store;
use bytes::Bytes;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::DecodeError;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::LOG_TREE_TILES;
use ringwall_wire::receipt::{LANDMARK, TreeHead, TreePoint};
use ringwall_wire::tree::{self, Nodes};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

/// Nodes of a complete tile.
const TILE: usize = LANDMARK as usize;
/// Levels of the tree one tile spans.
const HEIGHT: u32 = TILE.trailing_zeros();
/// Bytes of a complete tile.
pub(crate) const TILE_BYTES: usize = TILE * 32;

ringwall_wire::record! {
    /// A tile under construction, as a snapshot holds it.
    pub struct OpenTile {
        /// Level: 0 holds leaves.
        pub level: u8,
        /// Its nodes so far.
        pub nodes: List<Digest, { TILE - 1 }>,
    }
}

/// A tile under construction, with the complete subtrees inside it.
#[derive(Clone, Debug, Default)]
struct Tile {
    levels: [Vec<Digest>; HEIGHT as usize + 1],
}

impl Tile {
    fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Appends a node. Gives the root when that completes the tile.
    fn push(&mut self, node: Digest) -> Option<Digest> {
        let completes = self.len() + 1 == TILE;
        let mut carry = node;
        for level in &mut self.levels {
            level.push(carry);
            match level.as_slice() {
                [.., left, right] if level.len() % 2 == 0 => carry = tree::parent(left, right),
                _ => break,
            }
        }
        completes.then_some(carry)
    }

    fn bytes(&self) -> Vec<u8> {
        self.levels.iter().take(1).flatten().flat_map(|node| node.0).collect()
    }
}

/// The tree of one replica.
#[derive(Clone, Debug)]
pub(crate) struct LogTree {
    size: u64,
    landmark: Digest,
    tiles: Vec<Arc<Tile>>,
}

/// A row to write: a complete tile, or none for one that is no longer kept.
pub(crate) type TileChange = (Vec<u8>, Option<Bytes>);

impl Default for LogTree {
    fn default() -> Self {
        LogTree { size: 0, landmark: tree::empty_root(), tiles: Vec::new() }
    }
}

/// Complete subtrees that are in memory: those the root is made of, among others.
struct InMemory<'a>(&'a LogTree);

impl Nodes for InMemory<'_> {
    type Fault = Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, Infallible> {
        Ok(self.0.open_node(level, index))
    }
}

impl LogTree {
    /// Leaves.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. Gives the rows that change.
    pub(crate) fn push(&mut self, leaf: Digest) -> Vec<TileChange> {
        let mut changes = Vec::new();
        let mut carry = Some(leaf);
        let mut level = 0_u8;
        while let Some(node) = carry {
            let at = usize::from(level);
            if self.tiles.len() == at {
                self.tiles.push(Arc::default());
            }
            let Some(shared) = self.tiles.get_mut(at) else { break };
            let tile = Arc::make_mut(shared);
            carry = tile.push(node);
            if carry.is_some() {
                let index = self.size >> (HEIGHT * (u32::from(level) + 1));
                changes.push((rows::tile_key(level, index), Some(Bytes::from(tile.bytes()))));
                if let Some(old) = index.checked_sub(LOG_TREE_TILES).filter(|_| level == 0) {
                    changes.push((rows::tile_key(0, old), None));
                }
                *shared = Arc::default();
            }
            level += 1;
        }
        self.size += 1;
        if self.size.is_multiple_of(LANDMARK) {
            self.landmark = self.root();
        }
        changes
    }

    /// The root over all leaves.
    pub(crate) fn root(&self) -> Digest {
        let Ok(root) = tree::root_at(&InMemory(self), self.size);
        root.expect("the subtrees at the right edge are in tiles under construction")
    }

    /// Size and root.
    pub(crate) fn point(&self) -> TreePoint {
        TreePoint { size: self.size, root: self.root() }
    }

    /// Size, root and landmark.
    pub(crate) fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root(), landmark: self.landmark }
    }

    /// The tiles under construction, for a snapshot.
    pub(crate) fn open_tiles(&self) -> impl Iterator<Item = OpenTile> + '_ {
        (0_u8..).zip(&self.tiles).map(|(level, tile)| {
            let nodes = tile.levels.iter().take(1).flatten().copied().collect();
            OpenTile { level, nodes: List::new(nodes).expect("a complete tile is a row") }
        })
    }

    /// Takes in the tile of the next level of a snapshot.
    pub(crate) fn restore(&mut self, open: OpenTile) -> Result<(), DecodeError> {
        let illegal = DecodeError::Illegal { what: "open tile" };
        if usize::from(open.level) != self.tiles.len() || open.level >= 8 {
            return Err(illegal);
        }
        let mut tile = Tile::default();
        for node in open.nodes.iter() {
            let _incomplete = tile.push(*node);
        }
        let nodes = u64::try_from(tile.len()).unwrap_or(u64::MAX);
        self.size = nodes.checked_mul(1 << (HEIGHT * u32::from(open.level))).and_then(|more| self.size.checked_add(more)).ok_or(illegal)?;
        self.tiles.push(Arc::new(tile));
        // The root at the landmark: the same tree without the leaves of its lowest open tile.
        let mut complete = self.clone();
        complete.size = ringwall_wire::receipt::landmark_of(self.size);
        self.landmark = complete.root();
        Ok(())
    }

    fn open_node(&self, level: u32, index: u64) -> Option<Digest> {
        let (tile, inside) = (level / HEIGHT, level % HEIGHT);
        let begins = (self.size >> (HEIGHT * (tile + 1))) << (HEIGHT - inside);
        let open = self.tiles.get(usize::try_from(tile).ok()?)?;
        open.levels.get(inside as usize)?.get(usize::try_from(index.checked_sub(begins)?).ok()?).copied()
    }
}

/// All that is kept of a tree: tiles under construction and rows.
pub(crate) struct Kept<'a> {
    pub(crate) tree: &'a LogTree,
    pub(crate) rows: &'a store::Snapshot,
}

impl Nodes for Kept<'_> {
    type Fault = io::Error;

    fn node(&self, level: u32, index: u64) -> io::Result<Option<Digest>> {
        if let Some(node) = self.tree.open_node(level, index) {
            return Ok(Some(node));
        }
        let (tile, inside) = (level / HEIGHT, level % HEIGHT);
        let (first, Ok(tile)) = (index << inside, u8::try_from(tile)) else { return Ok(None) };
        let start = (first % LANDMARK) as usize * 32;
        let key = rows::tile_key(tile, first / LANDMARK);
        let nodes = self.rows.read(&key, |row| row.map(|row| row.get(start..start + (32 << inside)).map(<[u8]>::to_vec)))?;
        let Some(nodes) = nodes else { return Ok(None) };
        let nodes = nodes.ok_or_else(|| io::Error::other(DecodeError::Illegal { what: "tile" }))?;
        let nodes = nodes.as_chunks::<32>().0.iter().map(|node| Digest(*node)).collect();
        Ok(tree::Levels::new(nodes).map(|levels| levels.root()))
    }
}

#[cfg(test)]
mod tests;
