//! Receipts: an incarnation's signed word for where the log and a user's namespaces stood when it answered.
//!
//! Decides: what is signed once for a group of answers (the head), what belongs to one client's answers (the leaf), how the two hang together
//! (a path), and what is kept in files: anchors, signers, evidence. Every function here is pure: hashes and words to sign, no signature.
//! Trusts: nothing; a decoded receipt is well-formed, not genuine. Out of scope: issuing (`node`), judging (`client`).
//! Protocol section 5.2; bytes: docs/formats.md, "Receipts".

use crate::bounded::{Blob, List};
use crate::codec::{Field, Message, enc, enc_digest};
use crate::evidence::BatchPath;
use crate::ids::{ClientId, ClusterId, Digest, Epoch, Incarnation, Nonce, Signature, UserId};
use crate::label::Label;
use crate::limits::{ANCHOR_RECEIPTS, EPOCHS, EXCHANGE_ROW_BYTES, PUBLISHED_BYTES, RECEIPT_SPACES, TREE_PATH};
use crate::request::Namespace;
use crate::{choice, message, record, tree};
use alloc::vec::Vec;

/// Leaves between two landmarks of the log tree: sizes from which consistency can be proven for ever.
pub const LANDMARK: u64 = 256;

record! {
    /// The log tree at one size.
    #[derive(Copy)]
    pub struct TreePoint {
        /// Leaves: one for every entry of the log, from index 0.
        pub size: u64,
        /// Root.
        pub root: Digest,
    }
}

record! {
    /// The log tree at one size, and at the newest landmark not above it.
    #[derive(Copy)]
    pub struct TreeHead {
        /// Leaves.
        pub size: u64,
        /// Root.
        pub root: Digest,
        /// Root at [`landmark_of`] this size.
        pub landmark: Digest,
    }
}

record! {
    /// How far a client has seen the log: what it shows a node on opening a session.
    #[derive(Copy)]
    pub struct KnownPoint {
        /// Epoch of its newest receipt.
        pub epoch: Epoch,
        /// Leaves its log tree had.
        pub size: u64,
    }
}

message! {
    /// Signed once for a group of answers.
    pub struct ReceiptHead = ReceiptHead {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Epoch.
        pub epoch: Epoch,
        /// Index of the last applied entry.
        pub index: u64,
        /// Its term.
        pub term: u64,
        /// The log tree.
        pub tree: TreeHead,
        /// Root over the leaves of the group.
        pub group: Digest,
        /// Who signs.
        pub incarnation: Incarnation,
        /// Signature over [`ReceiptHead::words`].
        pub signature: Signature,
    }
}

record! {
    /// A user's namespace: how many changes it has seen, and the chain over them.
    #[derive(Copy)]
    pub struct SpaceMark {
        /// Which: [`space_name`].
        pub space: Digest,
        /// Changes of keys so far.
        pub seq: u64,
        /// Chain over them: [`chain`].
        pub digest: Digest,
    }
}

message! {
    /// What one client's answers add to a head.
    pub struct ReceiptLeaf = ReceiptLeaf {
        /// The user.
        pub user: UserId,
        /// The client process.
        pub client: ClientId,
        /// The nonce of its session: [`session_nonce`] of what it knew before.
        pub nonce: Nonce,
        /// Receipts of this session so far, this one included.
        pub number: u64,
        /// The namespaces the answers are about.
        pub spaces: List<SpaceMark, RECEIPT_SPACES>,
    }
}

message! {
    /// One receipt: checkable by anybody who has the signer's public key.
    pub struct Receipt = Receipt {
        /// What was signed.
        pub head: ReceiptHead,
        /// What is this client's.
        pub leaf: ReceiptLeaf,
        /// Where the leaf stands in the group.
        pub path: BatchPath,
    }
}

record! {
    /// A receipt on its way to a client.
    pub struct Receipted {
        /// How many of the replies that follow it answers for.
        pub covers: u16,
        /// The receipt.
        pub receipt: Receipt,
        /// Size of the older tree the path starts from: what the client knew, or its landmark.
        pub from: u64,
        /// Consistency path from there; empty when nothing was known, or nothing was added.
        pub path: List<Digest, TREE_PATH>,
    }
}

message! {
    /// What a client remembers of a cluster: the newest receipt, and for every namespace the newest one that names it.
    pub struct Anchor = Anchor {
        /// The newest receipt by epoch and tree size.
        pub newest: Receipt,
        /// Others, where a namespace's newest mark is not in it.
        pub others: List<Receipt, ANCHOR_RECEIPTS>,
    }
}

message! {
    /// Proof of a signer's key: an attestation exchange with it ([`crate::session::SavedExchange`], encoded), judged by whoever reads it.
    pub struct Signer = ReceiptSigner {
        /// Whose.
        pub incarnation: Incarnation,
        /// The exchange.
        pub exchange: Blob<EXCHANGE_ROW_BYTES>,
    }
}

choice! {
    /// What evidence shows.
    #[derive(Copy)]
    pub enum Misdeed {
        /// What had been confirmed is gone.
        1 => Rollback,
        /// There are two histories.
        2 => Fork,
    }
}

message! {
    /// Two receipts of one cluster that cannot both belong to one history, and what is needed to judge them without a network.
    pub struct Evidence = ReceiptEvidence {
        /// What it shows.
        pub misdeed: Misdeed,
        /// The receipt that was known.
        pub known: Receipt,
        /// The receipt that contradicts it.
        pub got: Receipt,
        /// With `heads` it makes the nonce of the session of `got`: shows what was known before that session began.
        pub opening: Nonce,
        /// [`Anchor::heads`] of what was known then.
        pub heads: List<Digest, { ANCHOR_RECEIPTS + 1 }>,
        /// Size of the older tree the path starts from.
        pub from: u64,
        /// The path that came with `got`.
        pub path: List<Digest, TREE_PATH>,
        /// Who signed `known`.
        pub known_signer: Signer,
        /// Who signed `got`.
        pub got_signer: Signer,
        /// How the epochs between the two began, by the word of the member that signed `got`.
        pub epochs: List<EpochStart, EPOCHS>,
    }
}

message! {
    /// How an epoch begins after a total outage: what it continues, in the words of witnesses.
    pub struct EpochStart = EpochStart {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// The epoch that begins.
        pub epoch: Epoch,
        /// The log of the epoch before, as far as it was recovered.
        pub previous: TreePoint,
        /// SHA-256 of the account of the recovery ([`crate::recovery::RecoveryAccount`]): who submitted, what was claimed, what was chosen.
        pub account: Digest,
        /// Signatures of witnesses over [`EpochStart::words`].
        pub witnesses: List<Signature, 16>,
    }
}

record! {
    /// That the epoch of a cluster began with a recovery, in the words of a member.
    pub struct Recovered {
        /// How it began.
        pub start: EpochStart,
        /// When it began, Unix seconds by the time of the state; 0 where that is not known.
        pub began_s: u64,
        /// A proof that this and earlier starts are public ([`crate::release::Published`]); empty where there is none.
        pub published: Blob<PUBLISHED_BYTES>,
    }
}

/// The newest landmark not above `size`.
pub fn landmark_of(size: u64) -> u64 {
    size - size % LANDMARK
}

/// The public name of a namespace: what receipts call it by, for whoever knows user and name.
pub fn space_name(cluster_id: &ClusterId, user: &UserId, namespace: &Namespace) -> Digest {
    Digest(enc_digest(Label::ReceiptSpace, &[&cluster_id.0, &user.0, namespace.as_bytes()]))
}

/// The nonce of a session whose client knew receipts with these heads and drew `opening`: it is as fresh as `opening`, and whoever has both
/// sees that a receipt with this nonce was made after those.
pub fn session_nonce(opening: &Nonce, heads: &[Digest]) -> Nonce {
    let heads: Vec<u8> = heads.iter().flat_map(|head| head.0).collect();
    Nonce(enc_digest(Label::ReceiptNonce, &[&opening.0, &heads]))
}

/// The leaf of a log entry. The leader is not named: a term has one, and the entries of a term are one chain.
pub fn entry_leaf(epoch: Epoch, index: u64, term: u64, payload: &Digest) -> Digest {
    tree::leaf(&enc(Label::Leaf, &[&epoch.0.to_be_bytes(), &index.to_be_bytes(), &term.to_be_bytes(), &payload.0]))
}

/// The next digest of a namespace's chain: `op` is what happened to the key ([`CHAIN_PUT`], ...), by the change number `place` of the log entry whose
/// payload hashes to `payload`. The payload holds the sealed record, so nothing is hashed twice.
pub fn chain(previous: &Digest, op: u8, key: &[u8; 16], payload: &Digest, place: u32, seq: u64) -> Digest {
    Digest(enc_digest(Label::UserDigest, &[&previous.0, &[op], key, &payload.0, &place.to_be_bytes(), &seq.to_be_bytes()]))
}

/// A record was stored.
pub const CHAIN_PUT: u8 = 1;
/// A record was deleted.
pub const CHAIN_DELETE: u8 = 2;
/// A record's time had come.
pub const CHAIN_EXPIRE: u8 = 3;

impl ReceiptHead {
    /// What is signed.
    pub fn words(&self) -> Vec<u8> {
        let numbers = [self.index.to_be_bytes(), self.term.to_be_bytes()].concat();
        enc(
            Label::ReceiptSigned,
            &[
                &self.cluster_id.0,
                &self.epoch.0.to_be_bytes(),
                &numbers,
                &self.tree.to_bytes(),
                &self.group.0,
                &self.incarnation.0.to_be_bytes(),
            ],
        )
    }

    /// Where its log stood.
    pub fn known(&self) -> KnownPoint {
        KnownPoint { epoch: self.epoch, size: self.tree.size }
    }
}

impl ReceiptLeaf {
    /// Its leaf in the group.
    pub fn leaf(&self) -> Digest {
        tree::leaf(&self.encode())
    }

    /// What it says of a namespace.
    pub fn mark(&self, space: &Digest) -> Option<&SpaceMark> {
        self.spaces.iter().find(|mark| mark.space == *space)
    }
}

impl Receipt {
    /// Whether leaf, path and head belong together and the head says one thing: its index is that of the last leaf of its tree.
    pub fn is_whole(&self) -> bool {
        let (index, leaves) = (u64::from(self.path.index), u64::from(self.path.leaves));
        let group = tree::inclusion_root(&self.leaf.leaf(), index, leaves, &self.path.siblings);
        group == Some(self.head.group) && self.head.index.checked_add(1) == Some(self.head.tree.size)
    }
}

impl Anchor {
    /// Its receipts, the newest first.
    pub fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        core::iter::once(&self.newest).chain(self.others.iter())
    }

    /// Digests of the signed heads, the newest first.
    pub fn heads(&self) -> Vec<Digest> {
        self.receipts().map(|receipt| Digest(receipt.head.digest())).collect()
    }
}

impl EpochStart {
    /// What witnesses sign.
    pub fn words(&self) -> Vec<u8> {
        enc(Label::EpochStartSigned, &[&self.cluster_id.0, &self.epoch.0.to_be_bytes(), &self.previous.to_bytes(), &self.account.0])
    }
}
