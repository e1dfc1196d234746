//! A new generation of the master key, made in the leader.
//!
//! Decides: a new key is drawn here, given to a majority of the voters in attested sessions, and only then named by the log; its bytes are never in an
//! entry, wrapped or not, so a disk and old shares or old keys do not give it. Where a dealing is active, or becomes active with it, the same entry
//! carries all live keys sealed to that dealing's recovery key.
//! Trusts: the record. A rotation that was given up half-way leaves a key on some rings that nothing is wrapped under; the next one takes its number.
//! Out of scope: when (`schedule`), data keys (`rewrap`). Protocol section 7.5.

use crate::context::Node;
use crate::custody::keys::{self, TooFewHolders};
use ringwall_consensus::{Held, KeyRow, ProposeError};
use ringwall_keys::custody::{BlobError, Draws, TagKey, seal_keys};
use ringwall_keys::ring::CustodyUse;
use ringwall_keys::{HedgedIvs, Keyring, OpenError};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{CommandBody, Denial, Outcome, WrappedKey};
use ringwall_wire::custody::{DealtKeys, WrappedProofKey};
use ringwall_wire::ids::KeyEpoch;
use ringwall_wire::rotation::{KeyCommand, KeyRotate, RotatedCustody};
use std::sync::Arc;
use tracing::info;

/// Why the master key was not rotated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRotated {
    /// Too few voters have it.
    #[error(transparent)]
    TooFewHolders(#[from] TooFewHolders),
    /// The keys of the dealing do not unwrap.
    #[error("the dealing's keys: {0}")]
    Unwrapped(#[from] OpenError),
    /// Nothing can be sealed to the dealing's recovery key.
    #[error("the recovery blob: {0}")]
    Blob(#[from] BlobError),
    /// The replica.
    #[error(transparent)]
    Proposal(#[from] ProposeError),
    /// The record changed meanwhile.
    #[error("the group refused it: {0:?}")]
    Denied(Denial),
    /// The replica stopped.
    #[error("this member stopped")]
    Stopped,
    /// No number is left.
    #[error("key epochs are used up")]
    UsedUp,
}

/// Rotates the master key; the active dealing goes with it. The caller has the turn.
pub(crate) async fn rotate(node: &Arc<Node>) -> Result<KeyEpoch, NotRotated> {
    let active = node.replica.view().map_err(|_| NotRotated::Stopped)?.custody().active.clone();
    let rotate = prepare(node, active.as_deref()).await?;
    let key_epoch = rotate.generation.key_epoch;
    propose(node, CommandBody::Keys(Box::new(KeyCommand::Rotate(Box::new(rotate))))).await?;
    info!(%key_epoch, "the master key was rotated");
    node.custody.wrapping.notify_one();
    Ok(key_epoch)
}

/// Draws the next key, hands it out, and seals what custodians of `held` can recover from then on.
pub(crate) async fn prepare(node: &Arc<Node>, held: Option<&Held>) -> Result<KeyRotate, NotRotated> {
    let rows = node.replica.view().map_err(|_| NotRotated::Stopped)?.key_rows();
    let newest = rows.last().map_or(KeyEpoch(0), |row| row.key_epoch);
    let next = KeyEpoch(newest.0.checked_add(1).ok_or(NotRotated::UsedUp)?);
    let key = node.keyring.now().new_master(next, &mut *(node.site.entropy)());
    let generation = keys::hand_out(node, &key).await?;
    let custody = match held {
        None => None,
        Some(held) => {
            // What recovers and what wraps: the live keys and this one, and nothing that was handed out for a rotation that was given up.
            let ring = live_ring(&node.keyring.now(), &rows).with(&key);
            Some(carried(node, &ring, held)?)
        }
    };
    Ok(KeyRotate { generation, by: node.incarnation, custody })
}

/// The keys the record calls alive, of those on a ring.
pub(crate) fn live_ring(ring: &Keyring, rows: &[KeyRow]) -> Keyring {
    ring.keeping(|held| rows.iter().any(|row| row.names(held)))
}

/// What a rotation to the newest key of `ring` changes of a dealing.
fn carried(node: &Node, ring: &Keyring, held: &Held) -> Result<RotatedCustody, NotRotated> {
    let tag = TagKey::new(ring.unwrap_custody(&held.hash, CustodyUse::Tag, &held.dealing.keys.tag)?);
    let mut rng = (node.site.entropy)();
    let mut draws = Draws::new(&mut *rng, &ring.custody_salt(held.custody_epoch()));
    let recovery = seal_keys(ring, held.manifest(), &tag, node.site.epoch(), node.site.policy().version, &mut draws)?;
    let mut ivs = HedgedIvs::new((node.site.entropy)(), node.incarnation);
    Ok(RotatedCustody { recovery, keys: dealt_under(ring, held, &mut ivs)? })
}

/// The keys of a dealing, wrapped under the newest key of `ring`.
pub(crate) fn dealt_under(ring: &Keyring, held: &Held, ivs: &mut HedgedIvs) -> Result<DealtKeys, OpenError> {
    let mut move_key = |purpose: CustodyUse<'_>, wrapped: &WrappedKey| -> Result<WrappedKey, OpenError> {
        let key = ring.unwrap_custody(&held.hash, purpose, wrapped)?;
        Ok(ring.wrap_custody(&held.hash, purpose, &key, ivs))
    };
    let tag = move_key(CustodyUse::Tag, &held.dealing.keys.tag)?;
    let mut proofs = List::default();
    for WrappedProofKey { custodian, key } in held.dealing.keys.proofs.iter() {
        let key = move_key(CustodyUse::Proof(custodian), key)?;
        proofs.push(WrappedProofKey { custodian: *custodian, key }).expect("as many as before");
    }
    Ok(DealtKeys { tag, proofs })
}

/// Proposes, and waits until it is applied here.
pub(crate) async fn propose(node: &Node, body: CommandBody) -> Result<u64, NotRotated> {
    let applied = node.replica.propose(body).await?;
    match applied.outcomes.first() {
        Some(Outcome::Denied(denial)) => Err(NotRotated::Denied(*denial)),
        _ => Ok(applied.index),
    }
}
