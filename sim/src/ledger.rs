//! A log of a few entries that gives receipts, true ones and others.
//!
//! Decides: how histories are made: grow, cut, rewrite. Everything is recomputed from the leaves, by the definition. Trusts: nothing,
//! protects nothing. Out of scope: sessions.

use core::convert::Infallible;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::BatchPath;
use ringwall_wire::ids::{ClientId, ClusterId, Digest, Epoch, Incarnation, Nonce, Signature, UserId};
use ringwall_wire::receipt::{Receipt, ReceiptHead, ReceiptLeaf, Receipted, SpaceMark, TreeHead, landmark_of};
use ringwall_wire::tree::{self, Nodes};
use std::collections::BTreeMap;

/// For whom a receipt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct To {
    /// The user.
    pub user: UserId,
    /// The client process.
    pub client: ClientId,
    /// The session's nonce.
    pub nonce: Nonce,
    /// Number of the last receipt of the session.
    pub number: u64,
    /// Where the consistency path starts.
    pub from: u64,
}

/// A history.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The epoch.
    pub epoch: Epoch,
    /// Who signs.
    pub incarnation: Incarnation,
    /// One for each entry.
    pub leaves: Vec<Digest>,
    /// Count and digest of the changes of each namespace.
    pub spaces: BTreeMap<[u8; 32], (u64, Digest)>,
}

struct Cut<'a>(&'a [Digest]);

impl Nodes for Cut<'_> {
    type Fault = Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, Infallible> {
        let (start, end) = ((index << level) as usize, ((index + 1) << level) as usize);
        Ok(self.0.get(start..end).and_then(|leaves| tree::Levels::new(leaves.to_vec())).map(|levels| levels.root()))
    }
}

impl Ledger {
    /// A history of so many entries.
    pub fn new(cluster_id: ClusterId, epoch: Epoch, entries: u64) -> Self {
        let mut ledger = Ledger { cluster_id, epoch, incarnation: Incarnation::new(epoch, 1), leaves: Vec::new(), spaces: BTreeMap::new() };
        ledger.grow(entries);
        ledger
    }

    /// More entries.
    pub fn grow(&mut self, entries: u64) {
        for _ in 0..entries {
            self.leaves.push(tree::leaf(&(self.leaves.len() as u64).to_be_bytes()));
        }
    }

    /// A write in a namespace.
    pub fn write(&mut self, space: &Digest) {
        self.grow(1);
        let (seq, digest) = self.spaces.entry(space.0).or_insert((0, Digest([0; 32])));
        *seq += 1;
        digest.0[0] = digest.0[0].wrapping_add(1);
    }

    /// Another entry in place of one.
    ///
    /// # Panics
    /// Where there is none.
    pub fn rewrite(&mut self, index: usize) {
        self.leaves[index] = tree::leaf(b"another entry");
    }

    /// Entries.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn root(&self, size: u64) -> Digest {
        let Ok(root) = tree::root_at(&Cut(&self.leaves), size);
        root.expect("a tree of leaves has a root at each of its sizes")
    }

    /// A true receipt.
    ///
    /// # Panics
    /// For more namespaces than a receipt may name.
    pub fn receipt(&self, to: &To, spaces: &[Digest], covers: u16, sign: impl Fn(&[u8]) -> Signature) -> Receipted {
        let size = self.size();
        let tree = TreeHead { size, root: self.root(size), landmark: self.root(landmark_of(size)) };
        let mark = |space: &Digest| {
            let (seq, digest) = self.spaces.get(&space.0).copied().unwrap_or((0, Digest([0; 32])));
            SpaceMark { space: *space, seq, digest }
        };
        let spaces = List::new(spaces.iter().map(mark).collect()).expect("a receipt names few namespaces");
        let leaf = ReceiptLeaf { user: to.user, client: to.client, nonce: to.nonce, number: to.number, spaces };
        let Ledger { cluster_id, epoch, incarnation, .. } = *self;
        let signature = Signature([0; 64]);
        let head = ReceiptHead { cluster_id, epoch, index: size - 1, term: 3, tree, group: leaf.leaf(), incarnation, signature };
        let path = BatchPath { leaves: 1, index: 0, siblings: List::default() };
        let mut receipt = Receipt { head, leaf, path };
        resign(&mut receipt, &sign);
        let Ok(steps) = tree::prove_consistency(&Cut(&self.leaves), to.from, size);
        let steps = if to.from > size { Vec::new() } else { steps.expect("no step is missing up to the size") };
        Receipted { covers, receipt, from: to.from, path: List::new(steps).expect("a path is short") }
    }
}

/// Makes the head true to its leaf, and signs it.
pub fn resign(receipt: &mut Receipt, sign: &impl Fn(&[u8]) -> Signature) {
    receipt.head.group = tree::leaf(&receipt.leaf.encode());
    receipt.head.signature = sign(&receipt.head.words());
}
