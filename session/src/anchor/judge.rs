//! Whether a receipt continues what is known, contradicts it, or is none at all.
//!
//! Decides: rules (a), (b) and (c) of protocol section 5.2, and which of two receipts came later. Everything here is a function of its arguments, so that
//! a client and a third party who reads evidence judge alike.
//! Trusts: nothing; signatures are verified under the key it is given. Out of scope: whose key that is (`attest`), chains of epochs (`epochs.rs`).

use super::epochs::unbroken_epochs;
use ringwall_attest::AppraisedPeer;
use ringwall_wire::ids::{ClientId, ClusterId, Digest, Epoch, Incarnation, Nonce, SigPublic, UserId};
use ringwall_wire::limits::LOG_TREE_TILES;
use ringwall_wire::receipt::{Anchor, EpochStart, LANDMARK, Misdeed, Receipt, TreeHead, landmark_of, session_nonce};
use ringwall_wire::tree;

/// Entries a tree must have grown by before a path from the landmark is taken instead of one from the very size: nodes keep the leaves of so many.
const WINDOW: u64 = (LOG_TREE_TILES - 1) * LANDMARK;

/// Why bytes that were sent as a receipt are none for this session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// Leaf, path and head do not belong together.
    #[error("its parts do not belong together")]
    Torn,
    /// Another cluster, epoch or incarnation than the node proved to be.
    #[error("it speaks for incarnation {got}, the node is {expected}")]
    OtherSigner {
        /// Who the node proved to be.
        expected: Incarnation,
        /// Who the receipt speaks for.
        got: Incarnation,
    },
    /// The signature does not verify.
    #[error("its signature does not verify under the key the node attested")]
    Signature,
    /// It is for another user.
    #[error("it is another user's")]
    OtherUser,
    /// It is for another client process.
    #[error("it is another client's")]
    OtherClient,
    /// It carries another nonce: an old one, or one of another session.
    #[error("it carries the nonce of another session")]
    OtherNonce,
    /// It is not the next one of the session.
    #[error("it is number {got} of the session, number {expected} is next")]
    OtherNumber {
        /// Next.
        expected: u64,
        /// Its own.
        got: u64,
    },
    /// The consistency path starts elsewhere, or does not lead to its root.
    #[error("its path from {from} leaves does not lead to its root at {to}")]
    Path {
        /// Where it starts.
        from: u64,
        /// Where it should lead.
        to: u64,
    },
    /// A reply came that no receipt answers for.
    #[error("a reply came without one")]
    Missing,
}

/// What contradicts what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The log is shorter than it was: entries are lost.
    #[error("entries {got} to {} were confirmed and are gone", .known.saturating_sub(1))]
    LogShrank {
        /// Leaves known.
        known: u64,
        /// Leaves now.
        got: u64,
    },
    /// The log of one size has two roots.
    #[error("the log of {size} entries is another one than it was")]
    LogForked {
        /// The size.
        size: u64,
    },
    /// A namespace has seen fewer changes than before.
    #[error("changes {} to {known} of a namespace were confirmed and are gone", .got.saturating_add(1))]
    SpaceShrank {
        /// Changes known.
        known: u64,
        /// Changes now.
        got: u64,
    },
    /// A namespace saw other changes.
    #[error("the first {seq} changes of a namespace are other ones than they were")]
    SpaceForked {
        /// How many.
        seq: u64,
    },
    /// The epoch is lower than before.
    #[error("epoch {got} is served although epoch {known} was seen")]
    EpochFell {
        /// Epoch known.
        known: Epoch,
        /// Epoch now.
        got: Epoch,
    },
    /// The cluster was recovered from a total outage without something that was confirmed.
    #[error("entries {recovered} to {} were confirmed and are gone: epoch {epoch} began with the log as it was before them", .known.saturating_sub(1))]
    EpochLost {
        /// The epoch that began without them.
        epoch: Epoch,
        /// Leaves known.
        known: u64,
        /// Leaves it began with.
        recovered: u64,
    },
    /// The cluster is another one.
    #[error("cluster {got} answers in place of {known}")]
    OtherCluster {
        /// Cluster known.
        known: ClusterId,
        /// Cluster now.
        got: ClusterId,
    },
}

impl Contradiction {
    /// What it shows.
    pub fn misdeed(&self) -> Misdeed {
        match self {
            Contradiction::LogShrank { .. } | Contradiction::SpaceShrank { .. } | Contradiction::EpochLost { .. } => Misdeed::Rollback,
            Contradiction::LogForked { .. } | Contradiction::SpaceForked { .. } => Misdeed::Fork,
            Contradiction::EpochFell { .. } | Contradiction::OtherCluster { .. } => Misdeed::Fork,
        }
    }

    /// Whether it is one only if the contradicting receipt came later.
    pub fn needs_order(&self) -> bool {
        match self {
            Contradiction::LogShrank { .. } | Contradiction::SpaceShrank { .. } | Contradiction::EpochFell { .. } => true,
            Contradiction::LogForked { .. } | Contradiction::SpaceForked { .. } | Contradiction::OtherCluster { .. } => false,
            // Epochs only rise.
            Contradiction::EpochLost { .. } => false,
        }
    }
}

/// Why a receipt is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no receipt for this session, or its path is no path.
    Fault(ReceiptFault),
    /// It contradicts this receipt.
    Contradicts(Contradiction, Box<Receipt>),
    /// It is of a higher epoch, and what it continues is not proven.
    EpochUnproven {
        /// Epoch known.
        known: Epoch,
        /// Epoch now.
        got: Epoch,
    },
}

/// What a receipt must say to be this session's next.
#[derive(Clone, Debug)]
pub struct Session {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The epoch the node proved.
    pub epoch: Epoch,
    /// The incarnation it proved.
    pub incarnation: Incarnation,
    /// Its signature key.
    pub key: SigPublic,
    /// The user.
    pub user: UserId,
    /// The client process.
    pub client: ClientId,
    /// The session's nonce.
    pub nonce: Nonce,
    /// Number of the next receipt.
    pub number: u64,
}

impl Session {
    /// A session with `peer` that has no receipt yet.
    pub fn new(peer: &AppraisedPeer, user: UserId, client: ClientId, nonce: Nonce) -> Self {
        let (cluster_id, epoch, incarnation, key) = (peer.cluster_id(), peer.epoch(), peer.incarnation(), peer.keys().sig);
        Session { cluster_id, epoch, incarnation, key, user, client, nonce, number: 1 }
    }
}

/// Whether the receipt is the next one of this session. The signature is verified apart: `is_signed`.
pub fn fits(receipt: &Receipt, session: &Session) -> Result<(), ReceiptFault> {
    let Receipt { head, leaf, .. } = receipt;
    if !receipt.is_whole() {
        return Err(ReceiptFault::Torn);
    }
    if (head.cluster_id, head.epoch, head.incarnation) != (session.cluster_id, session.epoch, session.incarnation) {
        return Err(ReceiptFault::OtherSigner { expected: session.incarnation, got: head.incarnation });
    }
    if leaf.user != session.user {
        return Err(ReceiptFault::OtherUser);
    }
    if leaf.client != session.client {
        return Err(ReceiptFault::OtherClient);
    }
    if leaf.nonce != session.nonce {
        return Err(ReceiptFault::OtherNonce);
    }
    match leaf.number == session.number {
        true => Ok(()),
        false => Err(ReceiptFault::OtherNumber { expected: session.number, got: leaf.number }),
    }
}

/// Whether the head is signed with `key`.
pub(crate) fn is_signed(receipt: &Receipt, key: &SigPublic) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&receipt.head.signature.0);
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key.0).ok().filter(|key| !key.is_weak());
    key.is_some_and(|key| key.verify_strict(&receipt.head.words(), &signature).is_ok())
}

/// Whether `got`, which came later, continues everything that is known. `path` leads from the tree of `from` leaves.
pub fn against(known: &Anchor, got: &Receipt, from: u64, path: &[Digest]) -> Result<(), Refused> {
    against_across(known, got, from, path, &[])
}

/// The same, where epochs may have begun in between: `epochs` says how, oldest first.
pub fn against_across(known: &Anchor, got: &Receipt, from: u64, path: &[Digest], epochs: &[EpochStart]) -> Result<(), Refused> {
    log(&known.newest, got, from, path, epochs)?;
    known.receipts().try_for_each(|known| spaces(known, got))
}

fn contradicts(what: Contradiction, known: &Receipt) -> Refused {
    Refused::Contradicts(what, Box::new(known.clone()))
}

/// Compares the logs. The log tree goes on through a recovery, so the same path shows that nothing is missing.
pub(crate) fn log(known: &Receipt, got: &Receipt, from: u64, path: &[Digest], epochs: &[EpochStart]) -> Result<(), Refused> {
    let (old, new) = (&known.head, &got.head);
    if old.cluster_id != new.cluster_id {
        return Err(contradicts(Contradiction::OtherCluster { known: old.cluster_id, got: new.cluster_id }, known));
    }
    if new.epoch < old.epoch {
        return Err(contradicts(Contradiction::EpochFell { known: old.epoch, got: new.epoch }, known));
    }
    if new.epoch == old.epoch {
        return grown(known, got, from, path);
    }
    let lost = epochs.iter().find(|start| start.previous.size < old.tree.size);
    match (grown(known, got, from, path), lost) {
        (Err(Refused::Contradicts(..)), Some(start)) => {
            let what = Contradiction::EpochLost { epoch: start.epoch, known: old.tree.size, recovered: start.previous.size };
            Err(contradicts(what, known))
        }
        (Err(fault @ Refused::Contradicts(..)), None) => Err(fault),
        // A member of a higher epoch that tells nothing of its beginning shows no path either.
        (grown, _) => match unbroken_epochs(old, new.epoch, epochs, &witnessed) {
            Ok(()) => grown,
            Err(_) => Err(Refused::EpochUnproven { known: old.epoch, got: new.epoch }),
        },
    }
}

/// Whether enough witnesses signed the start of an epoch: policies want none yet, and the member that tells of it, which attested, vouches for it.
fn witnessed(_: &EpochStart) -> bool {
    true
}

/// The size at which two heads of one epoch sign different roots: each signs two, that of its whole log and that of its newest landmark.
pub(crate) fn forked_at(one: &TreeHead, other: &TreeHead) -> Option<u64> {
    let signed = |head: &TreeHead| [(head.size, head.root), (landmark_of(head.size), head.landmark)];
    let apart = |(size, root): &(u64, Digest)| signed(other).iter().any(|(at, told)| at == size && told != root);
    signed(one).iter().filter(|(size, _)| *size > 0).find(|told| apart(told)).map(|(size, _)| *size)
}

/// Whether one log continues the other.
fn grown(known: &Receipt, got: &Receipt, from: u64, path: &[Digest]) -> Result<(), Refused> {
    let (old, new) = (&known.head, &got.head);
    let (TreeHead { size, root, landmark }, to) = (old.tree, new.tree.size);
    if let Some(size) = forked_at(&old.tree, &new.tree) {
        return Err(contradicts(Contradiction::LogForked { size }, known));
    }
    if to < size {
        return Err(contradicts(Contradiction::LogShrank { known: size, got: to }, known));
    }
    let fault = Refused::Fault(ReceiptFault::Path { from, to });
    if to == size {
        return if path.is_empty() { Ok(()) } else { Err(fault) };
    }
    let wanted = match from {
        from if from == size => root,
        from if from == landmark_of(size) && from > 0 && to - size >= WINDOW => landmark,
        _ => return Err(fault),
    };
    match tree::consistency_roots(from, to, path) {
        Some((older, newer)) if newer == new.tree.root => match older == wanted {
            true => Ok(()),
            false => Err(contradicts(Contradiction::LogForked { size: from }, known)),
        },
        _ => Err(fault),
    }
}

/// Compares the namespaces both name.
pub(crate) fn spaces(known: &Receipt, got: &Receipt) -> Result<(), Refused> {
    for mark in got.leaf.spaces.iter() {
        let Some(before) = known.leaf.mark(&mark.space) else { continue };
        if mark.seq < before.seq {
            return Err(contradicts(Contradiction::SpaceShrank { known: before.seq, got: mark.seq }, known));
        }
        if mark.seq == before.seq && mark.digest != before.digest {
            return Err(contradicts(Contradiction::SpaceForked { seq: mark.seq }, known));
        }
    }
    Ok(())
}

/// Whether anybody can see that `got` was made after `known`: it is a later one of the same session, or its session's nonce was made from it.
pub fn is_later(known: &Receipt, got: &Receipt, opening: &Nonce, heads: &[Digest]) -> bool {
    use ringwall_wire::codec::Message as _;
    let same = known.leaf.nonce == got.leaf.nonce && known.leaf.client == got.leaf.client && known.leaf.user == got.leaf.user;
    let named = heads.contains(&Digest(known.head.digest()));
    same && known.leaf.number < got.leaf.number || named && got.leaf.nonce == session_nonce(opening, heads)
}
