//! The receipt a session begins with, from the member that answers to the client that remembers.
//!
//! Decides: nothing of its own: a member does what `welcome` of `node/src/front/session.rs` and `node/src/front/receipts.rs` do for one session, a client holds
//! the receipt against what it kept with the client crate's own `fits` and `against`, over any restart of members. Not run here: receipts of later
//! answers, groups of sessions under one signature, files, evidence. A client that finds a contradiction is a broken rule of the world: no fault
//! of a minority makes one.
//! Trusts: the replica's view (member), nothing (client). Protocol section 5.2.

use crate::world::process::Process;
use ed25519_dalek::VerifyingKey;
use ringwall_channel::user::VerifiedUser;
use ringwall_client::anchor::{Session, against, fits};
use ringwall_wire::bounded::List;
use ringwall_wire::evidence::BatchPath;
use ringwall_wire::ids::{Nonce, Signature};
use ringwall_wire::receipt::{Anchor, KnownPoint, Receipt, ReceiptHead, ReceiptLeaf, Receipted, landmark_of, session_nonce};

/// A member's receipt for a session that has none yet; none while it cannot read.
pub(super) async fn issue(process: &Process, user: &VerifiedUser, nonce: Nonce, known: Option<KnownPoint>) -> Option<Receipted> {
    let cluster = &process.site.common.cluster;
    let known = known.filter(|known| known.epoch == cluster.epoch);
    let behind = |size: u64| size > process.replica.view().map_or(0, |view| view.applied()).saturating_add(1);
    let view = match known.as_ref().is_some_and(|known| behind(known.size)) {
        true => process.replica.linear_view().await.ok()?,
        false => process.replica.view().ok()?,
    };
    let size = known.map_or(0, |known| known.size);
    let from = match size > 0 && size < view.tree().size {
        true if view.consistency(size).ok()?.is_none() => landmark_of(size),
        _ => size,
    };
    let path = if from == 0 || from >= view.tree().size { Vec::new() } else { view.consistency(from).ok()?.unwrap_or_default() };
    let leaf = ReceiptLeaf { user: *user.user(), client: *user.client(), nonce, number: 1, spaces: List::default() };
    let mut head = ReceiptHead {
        cluster_id: cluster.id,
        epoch: cluster.epoch,
        index: view.applied(),
        term: view.term(),
        tree: view.tree(),
        group: leaf.leaf(),
        incarnation: process.incarnation,
        signature: Signature([0; 64]),
    };
    head.signature = process.secrets.sign(&head.words());
    let path_to_group = BatchPath { leaves: 1, index: 0, siblings: List::default() };
    Some(Receipted { covers: 0, receipt: Receipt { head, leaf, path: path_to_group }, from, path: List::new(path).ok()? })
}

/// What a client remembers of all its sessions.
#[derive(Default)]
pub(super) struct Memory(Option<Receipt>);

impl Memory {
    /// How far it has seen.
    pub(super) fn known(&self) -> Option<KnownPoint> {
        self.0.as_ref().map(|receipt| KnownPoint { epoch: receipt.head.epoch, size: receipt.head.tree.size })
    }

    /// The nonce of its next session.
    pub(super) fn nonce(&self, opening: &Nonce) -> Nonce {
        session_nonce(opening, &self.anchor().map(|anchor| anchor.heads()).unwrap_or_default())
    }

    fn anchor(&self) -> Option<Anchor> {
        self.0.clone().map(|newest| Anchor { newest, others: List::default() })
    }

    /// Holds a session's first receipt against what is remembered, and remembers it. Says what is wrong.
    pub(super) fn take(&mut self, session: &Session, got: &Receipted) -> Result<(), String> {
        fits(&got.receipt, session).map_err(|fault| fault.to_string())?;
        let signature = ed25519_dalek::Signature::from_bytes(&got.receipt.head.signature.0);
        let key = VerifyingKey::from_bytes(&session.key.0).map_err(|fault| fault.to_string())?;
        key.verify_strict(&got.receipt.head.words(), &signature).map_err(|fault| format!("the receipt's signature: {fault}"))?;
        if let Some(known) = self.anchor() {
            against(&known, &got.receipt, got.from, &got.path).map_err(|fault| format!("{fault:?}"))?;
        }
        self.0 = Some(got.receipt.clone());
        Ok(())
    }
}
