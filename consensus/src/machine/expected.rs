//! The log trees leaders said they have, compared with this replica's own.
//!
//! Decides: a tree of a size applied here is compared at once, and entries that come with another one are refused; a larger one is remembered
//! and compared when applying reaches its size, before anybody sees the state: another root there means that this replica was given, or read back,
//! other entries than the leader committed, which fences it.
//! Trusts: the gate, for who may say so. Out of scope: which of two trees is right; nobody can tell from here. Protocol section 5.2.

use crate::machine::log_tree::LogTree;
use crate::machine::view::View;
use crate::report::ReadError;
use ringwall_wire::ids::Digest;
use ringwall_wire::receipt::TreePoint;
use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Trees remembered: more than appends under way. The smallest goes first, since a larger one covers it.
const REMEMBERED: usize = 64;

/// Trees that are not reached yet.
#[derive(Debug)]
pub(crate) struct Expected {
    trees: Mutex<BTreeMap<u64, Digest>>,
    /// Smallest of their sizes, so that applying need not lock.
    next: AtomicU64,
}

/// Why entries are not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OtherTree {
    /// Another root at a size applied here.
    #[error("the log tree of {size} leaves has another root here: {here}, there {there}")]
    Root { size: u64, here: Digest, there: Digest },
    /// Two leaders, or one, said two roots of one size.
    #[error("two log trees of {size} leaves were announced: {before} and {now}")]
    Announced { size: u64, before: Digest, now: Digest },
    /// The tree could not be read here.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

impl Default for Expected {
    fn default() -> Self {
        Expected { trees: Mutex::default(), next: AtomicU64::new(u64::MAX) }
    }
}

impl Expected {
    /// Compares what a leader said with what `view` shows, or remembers it.
    pub(crate) fn compare(&self, tree: &TreePoint, view: impl Fn() -> View) -> Result<(), OtherTree> {
        if known(tree, &view())? {
            return Ok(());
        }
        {
            let mut trees = self.trees.lock().expect("nobody panics with the lock held");
            if let Some(before) = trees.insert(tree.size, tree.root).filter(|before| *before != tree.root) {
                trees.insert(tree.size, before);
                return Err(OtherTree::Announced { size: tree.size, before, now: tree.root });
            }
            while trees.len() > REMEMBERED {
                trees.pop_first();
            }
            self.note(&trees);
        }
        // Applying may have passed that size between the look and the note.
        known(tree, &view()).map(|_| ())
    }

    /// Compares the tree with what is expected at its size, and forgets what it has passed.
    pub(crate) fn met(&self, tree: &LogTree) -> io::Result<()> {
        if tree.size() < self.next.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut trees = self.trees.lock().expect("nobody panics with the lock held");
        let above = trees.split_off(&(tree.size() + 1));
        let wanted = trees.get(&tree.size()).copied();
        *trees = above;
        self.note(&trees);
        match wanted.filter(|wanted| *wanted != tree.root()) {
            None => Ok(()),
            Some(there) => Err(io::Error::other(OtherTree::Root { size: tree.size(), here: tree.root(), there })),
        }
    }

    fn note(&self, trees: &BTreeMap<u64, Digest>) {
        self.next.store(trees.keys().next().copied().unwrap_or(u64::MAX), Ordering::Release);
    }
}

/// Whether `view` has come so far, and then has the same tree. What is no longer kept is not compared.
fn known(tree: &TreePoint, view: &View) -> Result<bool, OtherTree> {
    if tree.size > view.tree().size {
        return Ok(false);
    }
    match view.tree_at(tree.size)? {
        Some(here) if here.root != tree.root => Err(OtherTree::Root { size: tree.size, here: here.root, there: tree.root }),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests;
