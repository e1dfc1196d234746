//! Every member's ring and disk, as the applied record wants them.
//!
//! Decides: a master key the record names and the ring lacks is asked for; one that is over, or that another one was named in place of, is dropped and
//! wiped; a blob of an active dealing is written to its file, and the keys are wrapped to the chip where the policy wants it; after an erasure nothing stays unwrapped. All of it looks at the record alone, so
//! whatever was missed is made up for at the next look.
//! Trusts: the record. Out of scope: proposing anything (`rotate`, `dealer`). Protocol sections 6.1 and 7.5.

use crate::context::Node;
use crate::custody::{blob_file, keys, platform_wrap};
use crate::life::Life;
use ringwall_consensus::{KeyRow, View};
use ringwall_keys::Keyring;
use ringwall_wire::ids::KeyEpoch;
use ringwall_wire::rotation::KeyGeneration;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How often the record is looked at when nothing is applied.
const LOOK: Duration = Duration::from_millis(500);
/// Shortest time between two looks: something is applied all the time.
const LOOK_LEAST: Duration = Duration::from_millis(50);

/// The files a recovery looks for.
#[derive(Default)]
struct Files {
    recovery: blob_file::Written,
    wrap: platform_wrap::Wrapped,
}

/// Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>) {
    let mut progress = node.replica.subscribe();
    let mut files = Files::default();
    loop {
        if let Ok(view) = node.replica.view() {
            look(&node, view, &mut files).await;
        }
        tokio::time::sleep(LOOK_LEAST).await;
        // The timeout only bounds the wait.
        let _ = tokio::time::timeout(LOOK, progress.changed()).await;
    }
}

async fn look(node: &Arc<Node>, view: View, files: &mut Files) {
    let (rows, custody, erasures) = (view.key_rows(), view.custody(), view.erasures());
    drop(view);
    drop_what_is_over(node, &rows);
    if let Some(front) = node.front() {
        front.forget_erased(erasures);
    }
    // A learner replays what is long past: its keys were granted, and a file on its disk may be newer than what it has applied.
    if node.site.life.now() == Life::Learner {
        return;
    }
    for generation in missing(&node.keyring.now(), &rows) {
        if !keys::fetch(node, generation).await {
            warn!(key_epoch = %generation.key_epoch, "no member gave a master key that is in use; asking again");
        }
    }
    match files.recovery.follow(&node.site.config.data, &custody).await {
        // Not before: a disk that is sealed under a key it cannot be recovered with would count for nothing.
        Ok(()) => {
            files.wrap.follow(node, &rows, &custody).await;
            seal_under_newest(node, &rows).await;
        }
        Err(fault) => warn!(%fault, "the recovery file is not written: after a total outage this disk is of no use for its keys"),
    }
}

/// What is written from now on is sealed under the newest key the record names and the ring has, and so is the snapshot that was written before: the key it
/// was sealed under may be over by the time somebody has to recover from it.
async fn seal_under_newest(node: &Node, rows: &[KeyRow]) {
    let held = node.keyring.now().generations();
    let named = |held: &&KeyGeneration| {
        rows.iter().any(|row| row.key_epoch == held.key_epoch && row.commit.is_none_or(|commit| commit == held.commit))
    };
    if let Some(newest) = held.iter().rev().find(named) {
        node.keyring.seal_under(newest.key_epoch);
        if let Err(fault) = node.replica.seal_snapshot_under(newest.key_epoch).await {
            warn!(%fault, "the snapshot is not sealed under the newest key");
        }
    }
}

fn drop_what_is_over(node: &Node, rows: &[KeyRow]) {
    let before = node.keyring.now().generations();
    if before.iter().all(|held| is_wanted(held, rows)) {
        return;
    }
    node.keyring.change(|ring| ring.keeping(|held| is_wanted(held, rows)));
    let kept = node.keyring.now().generations();
    if kept.len() < before.len() {
        let kept: Vec<u32> = kept.iter().map(|held| held.key_epoch.0).collect();
        info!(?kept, "master keys that are over were dropped");
    }
}

/// Named by the record and not on the ring.
fn missing(ring: &Keyring, rows: &[KeyRow]) -> Vec<KeyGeneration> {
    let held = ring.generations();
    let named = rows.iter().filter_map(|row| row.commit.map(|commit| KeyGeneration { key_epoch: row.key_epoch, commit }));
    named.filter(|named| !held.contains(named)).collect()
}

/// Alive by the record, or newer than all the record names: offered, and about to be named.
fn is_wanted(held: &KeyGeneration, rows: &[KeyRow]) -> bool {
    let newest = rows.last().map_or(KeyEpoch(0), |row| row.key_epoch);
    held.key_epoch > newest || rows.iter().any(|row| row.names(held))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use ringwall_wire::ids::{ClusterId, Digest};

    fn row(key_epoch: u32, commit: Option<Digest>) -> KeyRow {
        KeyRow { key_epoch: KeyEpoch(key_epoch), commit, spaces: 0 }
    }

    #[test]
    fn a_ring_becomes_what_the_record_names() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let first = Keyring::found(ClusterId([1; 32]), &mut rng);
        let (second, other, third) =
            (first.new_master(KeyEpoch(2), &mut rng), first.new_master(KeyEpoch(2), &mut rng), first.new_master(KeyEpoch(3), &mut rng));
        let named = |key| Some(first.generation_of(key).commit);
        let keeps = |ring: &Keyring, rows: &[KeyRow]| -> Vec<u32> {
            let ring = ring.keeping(|held| is_wanted(held, rows));
            ring.generations().iter().map(|held| held.key_epoch.0).collect()
        };
        let founded = [row(1, None)];
        assert!(missing(&first, &founded).is_empty());
        let offered = first.with(&second);
        assert_eq!(keeps(&offered, &founded), [1, 2], "about to be named");
        let rotated = [row(1, None), row(2, named(&second))];
        assert!(missing(&offered, &rotated).is_empty());
        assert_eq!(missing(&first, &rotated), [first.generation_of(&second)], "it was not reached when the key was offered");
        assert_eq!(missing(&first.with(&other), &rotated), [first.generation_of(&second)], "of a rotation that was given up");
        assert_eq!(keeps(&first.with(&other), &rotated), [1]);
        assert_eq!(keeps(&offered.with(&third), &[row(2, named(&second))]), [2, 3], "the first is over, the third is offered");
    }
}
