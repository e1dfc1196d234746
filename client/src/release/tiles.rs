//! A tile log, read over HTTP: its checkpoint, its entries, and the proofs that its tiles give (C2SP tlog-tiles).
//!
//! Decides: which tiles a proof needs and where they are; that tiles which do not lead to the checkpoint's root prove nothing and are refused here, before
//! anybody is given a proof out of them. Handing in an entry (`add-entry`, the index comes back), the list of what was revoked (`revocations`) and asking
//! for newer cosignatures are this project's own additions to the specification.
//! Trusts: nothing that comes back but for trying. Out of scope: whose checkpoint it is (`attest`, `witness.rs`). Protocol section 8.

use super::http::{Http, HttpFault};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::NOTE_BYTES;
use ringwall_wire::release::RevocationList;
use ringwall_wire::tree::{Nodes, leaf, parent, prove_consistency, prove_inclusion, root_at};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Hashes of a tile.
pub const TILE_HASHES: u64 = 256;
/// Levels of the tree one tile spans.
const TILE_LEVELS: u32 = 8;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Tiles one proof may need: each edge of a tree of any height, twice.
const TILES: usize = 128;
/// Tiles of leaves that are looked through for an entry: 8,192 leaves.
const TILES_SEARCHED: usize = 32;
/// Bytes of one entry: its length has two bytes.
pub const ENTRY_BYTES: usize = 65_535;
/// Bytes of a bundle of entries.
const ENTRIES_BYTES: usize = 256 * (2 + ENTRY_BYTES);
/// Bytes of a list of revocations: each with the longest words.
pub const REVOCATIONS_BYTES: usize = 256 * 1024;

/// Why a log did not give what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum TilesFault {
    /// No answer, or not this one.
    #[error(transparent)]
    Http(#[from] HttpFault),
    /// The checkpoint is no text.
    #[error("{url}: the checkpoint is no text; is this the address of a tile log?")]
    NoText {
        /// Which log.
        url: String,
    },
    /// A tile has another size than the tree demands.
    #[error("{path}: {bytes} bytes, {wanted} were due; the log serves no tiles of this tree")]
    TileSize {
        /// Which tile.
        path: String,
        /// Its size.
        bytes: usize,
        /// What it should have.
        wanted: usize,
    },
    /// Its tiles are those of another tree than its checkpoint.
    #[error(
        "{url}: its tiles lead to root {found} at {size} leaves, its checkpoint says {wanted}: keep the checkpoint, ask whoever runs the log"
    )]
    OtherTree {
        /// Which log.
        url: String,
        /// Leaves.
        size: u64,
        /// What the tiles lead to.
        found: Digest,
        /// What the checkpoint says.
        wanted: Digest,
    },
    /// The tree has no such leaf, or goes back behind the older one.
    #[error("{what} {index} is none of a tree with {size} leaves")]
    NoSuchLeaf {
        /// What was asked for.
        what: &'static str,
        /// Which.
        index: u64,
        /// Leaves.
        size: u64,
    },
    /// An entry is not where its leaf is.
    #[error("{url}: entry {index} is not what its leaf in the tree names")]
    OtherEntry {
        /// Which log.
        url: String,
        /// Which entry.
        index: u64,
    },
    /// A proof needs more than any does.
    #[error("a proof asked for more than {TILES} tiles, which none needs")]
    TooManyTiles,
    /// The list of revocations is none.
    #[error("{url}: the list of revocations is none: {fault}")]
    Revocations {
        /// Which log.
        url: String,
        /// What is wrong.
        fault: DecodeError,
    },
    /// What came back for an entry is no index.
    #[error("{url}: the log answered {words:?} for an entry, not with its index")]
    NoIndex {
        /// Which log.
        url: String,
        /// What it said.
        words: String,
    },
}

/// A tile log by its address.
#[derive(Clone, Debug)]
pub struct TileLog {
    url: String,
    http: Http,
}

impl TileLog {
    /// The log below this address.
    pub fn new(url: &str, http: Http) -> Self {
        TileLog { url: url.trim_end_matches('/').to_owned(), http }
    }

    /// Its newest checkpoint, as it stands.
    pub fn checkpoint(&self) -> Result<String, TilesFault> {
        self.text("checkpoint")
    }

    /// Its newest checkpoint after it has asked its witnesses again.
    pub fn renewed(&self) -> Result<String, TilesFault> {
        let url = format!("{}/renew", self.url);
        let body = self.http.post(&url, "text/plain", &[], NOTE_BYTES)?.expect(&url, &[200])?;
        String::from_utf8(body).map_err(|_| TilesFault::NoText { url })
    }

    fn text(&self, path: &str) -> Result<String, TilesFault> {
        let url = format!("{}/{path}", self.url);
        let body = self.http.get(&url, NOTE_BYTES)?;
        String::from_utf8(body).map_err(|_| TilesFault::NoText { url })
    }

    /// Hands in an entry; its index comes back. Handed in again it keeps its index.
    pub fn add(&self, entry: &[u8]) -> Result<u64, TilesFault> {
        let url = format!("{}/add-entry", self.url);
        let body = self.http.post(&url, "application/octet-stream", entry, 4_096)?.expect(&url, &[200])?;
        let text = String::from_utf8_lossy(&body);
        text.trim_end_matches('\n').parse().map_err(|_| TilesFault::NoIndex { url, words: super::http::words(&body) })
    }

    /// Hands in the list of what was revoked, which has to continue the one the log has.
    pub fn revoke(&self, list: &RevocationList) -> Result<(), TilesFault> {
        let url = format!("{}/revocations", self.url);
        self.http.post(&url, "application/octet-stream", &list.encode(), 4_096)?.expect(&url, &[200])?;
        Ok(())
    }

    /// Everything that was revoked; a checkpoint names its count and digest.
    pub fn revocations(&self) -> Result<RevocationList, TilesFault> {
        let url = format!("{}/revocations", self.url);
        let bytes = self.http.get(&url, REVOCATIONS_BYTES)?;
        RevocationList::decode(&bytes).map_err(|fault| TilesFault::Revocations { url, fault })
    }

    /// The tree of `size` leaves with this root: what its tiles give is compared with it first.
    pub fn tree(&self, size: u64, root: Digest) -> Result<Tree<'_>, TilesFault> {
        let tree = Tree { log: self, size, tiles: RefCell::default() };
        match root_at(&tree, size)? {
            Some(found) if found == root => Ok(tree),
            found => {
                let found = found.unwrap_or_else(ringwall_wire::tree::empty_root);
                Err(TilesFault::OtherTree { url: self.url.clone(), size, found, wanted: root })
            }
        }
    }
}

/// A tree whose tiles lead to the root it was opened with.
#[derive(Debug)]
pub struct Tree<'a> {
    log: &'a TileLog,
    size: u64,
    tiles: RefCell<BTreeMap<(u32, u64), Vec<Digest>>>,
}

impl Tree<'_> {
    /// The siblings of a leaf, from below.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Digest>, TilesFault> {
        prove_inclusion(self, index, self.size)?.ok_or(TilesFault::NoSuchLeaf { what: "leaf", index, size: self.size })
    }

    /// From the tree of `first` leaves to this one, as `wire::tree` writes such paths; empty for the same size.
    pub fn consistency(&self, first: u64) -> Result<Vec<Digest>, TilesFault> {
        let missing = || TilesFault::NoSuchLeaf { what: "an older tree of size", index: first, size: self.size };
        match first <= self.size {
            true => prove_consistency(self, first, self.size)?.ok_or_else(missing),
            false => Err(missing()),
        }
    }

    /// Where a leaf is, looked for from the newest; how many were looked at, when it is not among them.
    pub fn find(&self, wanted: &Digest) -> Result<Result<u64, u64>, TilesFault> {
        let mut looked_at: u64 = 0;
        for tile in (0..self.size.div_ceil(TILE_HASHES)).rev().take(TILES_SEARCHED) {
            let leaves = self.tile(0, tile)?;
            if let Some(at) = leaves.iter().rposition(|leaf| leaf == wanted) {
                return Ok(Ok(tile.saturating_mul(TILE_HASHES).saturating_add(at as u64)));
            }
            looked_at = looked_at.saturating_add(leaves.len() as u64);
        }
        Ok(Err(looked_at))
    }

    /// An entry, which its leaf names.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, TilesFault> {
        if index >= self.size {
            return Err(TilesFault::NoSuchLeaf { what: "entry", index, size: self.size });
        }
        let (tile, at) = (index / TILE_HASHES, index % TILE_HASHES);
        let bundle = self.bundle(tile)?;
        let other = || TilesFault::OtherEntry { url: self.log.url.clone(), index };
        let entry = entries(&bundle).and_then(|all| all.get(usize::try_from(at).ok()?).map(|entry| entry.to_vec())).ok_or_else(other)?;
        let named = self.tile(0, tile)?.get(usize::try_from(at).unwrap_or(usize::MAX)).copied();
        if named == Some(leaf(&entry)) { Ok(entry) } else { Err(other()) }
    }

    /// Shows `look` every entry with its index, each of which its leaf names, the oldest first: the newest 8,192, and from where on that is.
    pub fn each(&self, mut look: impl FnMut(u64, &[u8])) -> Result<u64, TilesFault> {
        let tiles = self.size.div_ceil(TILE_HASHES);
        let first = tiles.saturating_sub(TILES_SEARCHED as u64);
        for tile in first..tiles {
            let (bundle, leaves, start) = (self.bundle(tile)?, self.tile(0, tile)?, tile.saturating_mul(TILE_HASHES));
            let other = |at: usize| TilesFault::OtherEntry { url: self.log.url.clone(), index: start.saturating_add(at as u64) };
            let found = entries(&bundle).ok_or_else(|| other(0))?;
            for (at, named) in leaves.iter().enumerate() {
                let entry = found.get(at).filter(|entry| leaf(entry) == *named).ok_or_else(|| other(at))?;
                look(start.saturating_add(at as u64), entry);
            }
        }
        Ok(first.saturating_mul(TILE_HASHES))
    }

    /// The entries of a tile, as they are served.
    fn bundle(&self, tile: u64) -> Result<Vec<u8>, TilesFault> {
        let url = format!("{}/tile/entries/{}", self.log.url, self.place(0, tile));
        Ok(self.log.http.get(&url, ENTRIES_BYTES)?)
    }

    /// Hashes there are at a level of tiles.
    fn width(&self, level: u32) -> u64 {
        self.size.checked_shr(level.saturating_mul(TILE_LEVELS)).unwrap_or(0)
    }

    /// Where a tile is below its level: whole, or as wide as this tree has it.
    fn place(&self, level: u32, tile: u64) -> String {
        let hashes = self.width(level).saturating_sub(tile.saturating_mul(TILE_HASHES)).min(TILE_HASHES);
        let place = tile_path(tile);
        if hashes == TILE_HASHES { place } else { format!("{place}.p/{hashes}") }
    }

    fn tile(&self, level: u32, tile: u64) -> Result<Vec<Digest>, TilesFault> {
        if let Some(kept) = self.tiles.borrow().get(&(level, tile)) {
            return Ok(kept.clone());
        }
        if self.tiles.borrow().len() >= TILES {
            return Err(TilesFault::TooManyTiles);
        }
        let hashes = self.width(level).saturating_sub(tile.saturating_mul(TILE_HASHES)).min(TILE_HASHES);
        let wanted = usize::try_from(hashes).unwrap_or(usize::MAX).saturating_mul(HASH_BYTES);
        let path = format!("tile/{level}/{}", self.place(level, tile));
        let bytes = self.log.http.get(&format!("{}/{path}", self.log.url), HASH_BYTES.saturating_mul(TILE_HASHES as usize))?;
        let (found, rest) = bytes.as_chunks::<HASH_BYTES>();
        if bytes.len() != wanted || !rest.is_empty() {
            return Err(TilesFault::TileSize { path, bytes: bytes.len(), wanted });
        }
        let found: Vec<Digest> = found.iter().copied().map(Digest).collect();
        self.tiles.borrow_mut().insert((level, tile), found.clone());
        Ok(found)
    }
}

impl Nodes for Tree<'_> {
    type Fault = TilesFault;

    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, TilesFault> {
        let (of_tiles, above) = (level / TILE_LEVELS, level % TILE_LEVELS);
        let Some(first) = index.checked_shl(above).filter(|first| first >> above == index) else { return Ok(None) };
        let width = 1_u64 << above;
        if first.saturating_add(width) > self.width(of_tiles) {
            return Ok(None);
        }
        // A complete subtree never lies in two tiles.
        let tile = self.tile(of_tiles, first / TILE_HASHES)?;
        let start = usize::try_from(first % TILE_HASHES).unwrap_or(usize::MAX);
        let mut hashes: Vec<Digest> = tile.iter().skip(start).take(usize::try_from(width).unwrap_or(usize::MAX)).copied().collect();
        while hashes.len() > 1 {
            hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| parent(left, right)).collect();
        }
        Ok(hashes.first().copied())
    }
}

/// The number of a tile, in groups of three digits of which all but the last begin with an x.
pub fn tile_path(tile: u64) -> String {
    let mut groups = vec![format!("{:03}", tile % 1_000)];
    let mut rest = tile / 1_000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1_000));
        rest /= 1_000;
    }
    groups.reverse();
    groups.join("/")
}

/// The entries of a bundle: each with its length before it, and nothing behind the last.
fn entries(bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut rest, mut found) = (bundle, Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (entry, next) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        found.push(entry);
        rest = next;
    }
    rest.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tiles_are_where_the_specification_puts_them() {
        assert_eq!(tile_path(0), "000");
        assert_eq!(tile_path(999), "999");
        assert_eq!(tile_path(1_234_067), "x001/x234/067");
        let log = TileLog::new("http://log.example/a/", Http::new());
        // The example of the specification: 70,000 leaves.
        let tree = Tree { log: &log, size: 70_000, tiles: RefCell::default() };
        assert_eq!([0, 1, 2, 3].map(|level| tree.width(level)), [70_000, 273, 1, 0]);
        assert_eq!(tree.place(0, 273), "273.p/112");
        assert_eq!((tree.place(1, 0), tree.place(1, 1), tree.place(2, 0)), ("000".into(), "001.p/17".into(), "000.p/1".into()));
    }

    #[test]
    fn a_bundle_of_entries_is_whole_or_none() {
        let bundle = [0, 1, b'a', 0, 0, 0, 2, b'b', b'c'];
        assert_eq!(entries(&bundle).unwrap(), [&b"a"[..], b"", b"bc"]);
        for cut in [1, 2, 4, 6, 7, 8] {
            assert!(entries(bundle.get(..cut).unwrap()).is_none(), "{cut}");
        }
        assert_eq!(entries(&[]).unwrap().len(), 0);
    }
}
