//! The tree in tiles against the tree in one piece.
//!
//! Decides: roots, landmarks and paths are those of RFC 6962 at every size, before and after a snapshot, and old leaves go while landmarks stay.
//! Trusts: `ringwall_wire::tree`, which is held to the definition there. Out of scope: entries.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::ground::Ground;
use crate::machine::store::Store;
use ringwall_wire::receipt::landmark_of;

struct Bench {
    tree: LogTree,
    store: Store,
    /// Frontier of the whole, the plain way: complete subtrees with their widths.
    peaks: Vec<(u64, Digest)>,
    roots: Vec<Digest>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(Ground::real(dir.path()), 1 << 30).unwrap();
        Bench { tree: LogTree::default(), store, peaks: Vec::new(), roots: vec![tree::empty_root()], _dir: dir }
    }

    fn grow(&mut self, to: u64) {
        for at in self.tree.size()..to {
            let leaf = tree::leaf(&at.to_be_bytes());
            self.tree.push(leaf).into_iter().for_each(|(key, value)| self.store.put(key, value));
            self.peaks.push((1, leaf));
            while let [.., (left, one), (right, two)] = self.peaks.as_slice()
                && left == right
            {
                let joined = (left + right, tree::parent(one, two));
                self.peaks.truncate(self.peaks.len() - 2);
                self.peaks.push(joined);
            }
            let root = self.peaks.iter().rev().map(|(_, peak)| *peak).reduce(|right, left| tree::parent(&left, &right));
            self.roots.push(root.unwrap());
        }
        self.store.publish();
    }

    fn proves(&self, tree: &LogTree, from: u64) -> Option<bool> {
        let rows = self.store.snapshot();
        let path = tree::prove_consistency(&Kept { tree, rows: &rows }, from, tree.size()).unwrap()?;
        Some(tree::is_consistent(from, &self.roots[from as usize], tree.size(), &tree.root(), &path))
    }
}

#[test]
fn roots_and_landmarks_are_those_of_the_whole_tree_at_every_size() {
    let mut bench = Bench::new();
    for size in (0..1_100).chain(65_500..65_600) {
        bench.grow(size);
        let head = bench.tree.head();
        assert_eq!((head.size, head.root), (size, bench.roots[size as usize]));
        assert_eq!(head.landmark, bench.roots[landmark_of(size) as usize], "landmark at {size}");
    }
}

#[test]
fn consistency_is_proven_from_every_size_and_a_snapshot_changes_nothing() {
    let mut bench = Bench::new();
    for size in [1, 2, 255, 256, 257, 511, 512, 700, 1_025, 66_000] {
        bench.grow(size);
        let mut restored = LogTree::default();
        bench.tree.open_tiles().for_each(|open| restored.restore(open).unwrap());
        assert_eq!(restored.head(), bench.tree.head(), "size {size}");
        let step = if size > 2_000 { 97 } else { 1 };
        for from in (1..=size).rev().step_by(step) {
            assert_eq!(bench.proves(&bench.tree, from), Some(true), "{from} to {size}");
            assert_eq!(bench.proves(&restored, from), Some(true), "{from} to {size}, restored");
        }
    }
}

#[test]
fn old_leaves_go_and_landmarks_stay() {
    let mut bench = Bench::new();
    let window = LOG_TREE_TILES * LANDMARK;
    bench.grow(window + 3 * LANDMARK + 5);
    assert_eq!(bench.proves(&bench.tree, LANDMARK + 7), None, "its leaves are gone");
    for from in [LANDMARK, 2 * LANDMARK, 3 * LANDMARK + 1, bench.tree.size() - window, bench.tree.size() - 1] {
        assert_eq!(bench.proves(&bench.tree, from), Some(true), "{from}");
    }
    let rows = bench.store.snapshot();
    let (kept, more) = rows.range(&rows::tile_key(0, 0), &rows::tile_key(1, 0), 2_000).unwrap();
    assert_eq!((kept.len() as u64, more), (LOG_TREE_TILES, false), "rows of the lowest level are bounded");
}

#[test]
fn tiles_of_a_snapshot_come_in_order() {
    let open = |level, nodes| OpenTile { level, nodes: List::new(vec![Digest([1; 32]); nodes]).unwrap() };
    assert!(LogTree::default().restore(open(1, 3)).is_err());
    let mut tree = LogTree::default();
    tree.restore(open(0, 3)).unwrap();
    assert!(tree.restore(open(0, 3)).is_err());
    tree.restore(open(1, 2)).unwrap();
    assert_eq!(tree.size(), 515);
}

#[test]
fn a_snapshot_has_no_more_levels_than_a_log_can_fill() {
    let mut tree = LogTree::default();
    let empty = |level| OpenTile { level, nodes: List::default() };
    (0..8).for_each(|level| tree.restore(empty(level)).unwrap());
    assert!(tree.restore(empty(8)).is_err());
}

#[test]
fn a_snapshot_whose_tree_is_not_of_its_log_is_refused() {
    use crate::machine::snapshot::{Capture, read};
    use crate::machine::tests::{Bench, open};
    let mut bench = Bench::new(1 << 20);
    bench.write(1, open());
    let taken_in = |bench: &Bench| {
        let mut file = Vec::new();
        Capture::of(&bench.state).write(&mut file).unwrap();
        Bench::new(1 << 20).state.store.prepare(1, |base| read(file.as_slice(), base, None)).map(|_| ())
    };
    assert!(taken_in(&bench).is_ok());
    bench.state.tree.push(tree::leaf(b"one more"));
    assert!(taken_in(&bench).unwrap_err().to_string().contains("size of the log tree"));
}
