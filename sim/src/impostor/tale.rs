//! What an impostor says of its history: the truth, an older world, another one, or no receipt at all.
//!
//! Decides: the receipts of each tale; all but the plainly broken ones are signed anew, so that they contradict by what they say.
//! Trusts: nothing, protects nothing. Out of scope: sessions (`serving.rs`). Protocol section 5.2; register rows R3, R4.

use crate::ledger::{Ledger, To, resign};
use ringwall_wire::ids::{Digest, Signature};
use ringwall_wire::receipt::{Receipt, Receipted};

/// What it says of its history from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tale {
    /// The truth.
    #[default]
    True,
    /// An older world: the last entries never were.
    Older,
    /// Another entry in the past, and more since.
    Forked,
    /// Another entry in the past, at the same size.
    ForkedInPlace,
    /// A shorter tree, though the namespaces are as they were.
    Shrunk,
    /// A root its path does not lead to.
    WrongRoot,
    /// The namespace has seen as many changes, and other ones.
    WrongDigest,
    /// The namespace has seen fewer changes, though the log went on.
    FewerChanges,
    /// The signature of the receipt before.
    OldSignature,
    /// Another client's receipt.
    OtherClient,
    /// The receipt of another session.
    OtherNonce,
    /// Another user's receipt.
    OtherUser,
    /// The receipt before, once more.
    Repeated,
    /// Replies without any.
    Nothing,
    /// It has not seen as much, and says so.
    Behind,
}

/// Its history, and how it tells it.
pub(super) struct Book {
    pub(super) ledger: Ledger,
    pub(super) tale: Tale,
    pub(super) last: Option<Receipt>,
}

impl Book {
    /// The next receipt of a session, as the tale wants it.
    pub(super) fn receipt(&mut self, to: &mut To, spaces: &[Digest], covers: u16, sign: impl Fn(&[u8]) -> Signature) -> Receipted {
        let Book { ledger, tale, last } = self;
        to.number += 1;
        let mut told = ledger.clone();
        match tale {
            Tale::Older => told.leaves.truncate(4),
            Tale::Shrunk => told.leaves.truncate(told.leaves.len() - 1),
            Tale::Forked => {
                told.grow(3);
                told.rewrite(2);
            }
            Tale::ForkedInPlace => told.rewrite(2),
            Tale::WrongDigest => told.spaces.values_mut().for_each(|(_, digest)| digest.0[9] ^= 1),
            Tale::FewerChanges => {
                told.grow(1);
                told.spaces.values_mut().for_each(|(seq, _)| *seq -= 1);
            }
            Tale::WrongRoot => told.grow(1),
            _ => {}
        }
        let mut given = told.receipt(to, spaces, covers, &sign);
        let receipt = &mut given.receipt;
        match tale {
            Tale::WrongRoot => receipt.head.tree.root.0[0] ^= 1,
            Tale::OtherClient => receipt.leaf.client.0[0] ^= 1,
            Tale::OtherNonce => receipt.leaf.nonce.0[0] ^= 1,
            Tale::OtherUser => receipt.leaf.user.0[0] ^= 1,
            Tale::Repeated => *receipt = last.clone().unwrap_or_else(|| receipt.clone()),
            _ => {}
        }
        if *tale != Tale::Repeated {
            resign(receipt, &sign);
        }
        if let (Tale::OldSignature, Some(last)) = (*tale, &last) {
            receipt.head.signature = last.head.signature;
        }
        to.from = receipt.head.tree.size;
        *last = Some(receipt.clone());
        given
    }
}
