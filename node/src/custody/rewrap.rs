//! Data keys and workload keys that move to the newest master key, and the end of those they left.
//!
//! Decides: in the leader, one bounded entry at a time with a pause after it, so that writes of clients go first; no record is sealed again. A master key
//! that nothing is wrapped under is retired at once: from then on no honest memory has it, and what old disks hold under it is beyond reach.
//! Trusts: the record for what is wrapped how. Out of scope: when to rotate (`schedule`). Protocol section 7.5.

use crate::context::Node;
use crate::custody::rotate;
use ringwall_consensus::View;
use ringwall_keys::{HedgedIvs, WorkloadPlace};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{CommandBody, Outcome};
use ringwall_wire::ids::{KeyEpoch, SpaceTag};
use ringwall_wire::limits::{REWRAP_SPACES, REWRAP_WORKLOADS};
use ringwall_wire::rotation::{KeyCommand, Rewrap, RewrappedDealt, RewrappedSpace, RewrappedWorkload};
use ringwall_wire::without::{Defence, left_out};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// How often the record is looked at when there is nothing to do.
const LOOK: Duration = Duration::from_millis(500);
/// Pause after each entry.
const PAUSE: Duration = Duration::from_millis(20);
/// Namespaces looked at for one entry: most are moved already towards the end.
const LOOKED_AT: usize = 4 * BATCH;
/// Namespaces of one entry: a few milliseconds of work, here and in every replica.
const BATCH: usize = 256;
const _: () = assert!(BATCH <= REWRAP_SPACES, "a batch fits an entry");

/// Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>) {
    let mut after = None;
    let mut ivs = HedgedIvs::new((node.site.entropy)(), node.incarnation);
    loop {
        let pause = match step(&node, &mut after, &mut ivs).await {
            true => PAUSE,
            false => LOOK,
        };
        tokio::select! {
            () = node.custody.wrapping.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One entry at most; true when there is more to do.
async fn step(node: &Arc<Node>, after: &mut Option<SpaceTag>, ivs: &mut HedgedIvs) -> bool {
    if node.replica.metrics().leader != Some(node.incarnation) {
        *after = None;
        return false;
    }
    let Ok(view) = node.replica.view() else { return false };
    let rows = view.key_rows();
    let (Some(oldest), Some(newest)) = (rows.first(), rows.last()) else { return false };
    if oldest.key_epoch == newest.key_epoch {
        return false;
    }
    let command = if rows.iter().any(|row| row.key_epoch != newest.key_epoch && row.spaces > 0) {
        match batch(node, &view, newest.key_epoch, after, ivs) {
            Some(spaces) if spaces.is_empty() => return true,
            Some(spaces) => KeyCommand::Rewrap(Rewrap { to: newest.key_epoch, spaces }),
            None => return false,
        }
    } else if let Some(command) = dealt(node, &view, newest.key_epoch, ivs) {
        command
    } else {
        match workloads(node, &view, newest.key_epoch, ivs) {
            Some(keys) if keys.is_empty() && left_out(Defence::KeyRetirement) => return false,
            Some(keys) if keys.is_empty() => KeyCommand::Retire(oldest.key_epoch),
            Some(keys) => KeyCommand::RewrapWorkloads(keys),
            None => return false,
        }
    };
    drop(view);
    propose(node, command).await
}

async fn propose(node: &Arc<Node>, command: KeyCommand) -> bool {
    let retired = match &command {
        KeyCommand::Retire(key_epoch) => Some(*key_epoch),
        _ => None,
    };
    match node.replica.propose(CommandBody::Keys(Box::new(command))).await {
        Ok(applied) => match (applied.outcomes.first(), retired) {
            (Some(Outcome::Done), Some(key_epoch)) => {
                info!(%key_epoch, "a master key is over: nothing is wrapped under it");
                true
            }
            (Some(Outcome::Done), None) => true,
            (other, _) => {
                debug!(?other, "keys are not moved yet");
                false
            }
        },
        Err(fault) => {
            debug!(%fault, "keys are not moved yet");
            false
        }
    }
}

/// The next namespaces that are not wrapped under the newest; none if the keys to do it are not here.
fn batch(
    node: &Node,
    view: &View,
    newest: KeyEpoch,
    after: &mut Option<SpaceTag>,
    ivs: &mut HedgedIvs,
) -> Option<List<RewrappedSpace, REWRAP_SPACES>> {
    let keyring = node.keyring.now();
    let (page, more) = view.spaces(after.as_ref(), LOOKED_AT).ok()?;
    let mut moved = Vec::new();
    let mut last = None;
    for (space, row) in page {
        if moved.len() == BATCH {
            break;
        }
        last = Some(space);
        if row.dek.key_epoch == newest {
            continue;
        }
        match keyring.rewrap(&space, row.mode, &row.dek, newest, ivs) {
            Ok(dek) => moved.push(RewrappedSpace { space, from: row.dek.key_epoch, dek }),
            Err(fault) => {
                warn!(%space, %fault, "a namespace's data key cannot be wrapped anew: its master key stays");
                return None;
            }
        }
    }
    // From the beginning again once the end was reached: what was made meanwhile may stand anywhere.
    *after = last.filter(|_| more || moved.len() == BATCH);
    List::new(moved).ok()
}

/// The next workload keys that are not wrapped under the newest; none if the keys to do it are not here.
fn workloads(node: &Node, view: &View, newest: KeyEpoch, ivs: &mut HedgedIvs) -> Option<List<RewrappedWorkload, REWRAP_WORKLOADS>> {
    let keyring = node.keyring.now();
    let mut moved = List::default();
    for (name, head) in view.workloads_to_move(REWRAP_WORKLOADS).ok()? {
        let place = WorkloadPlace { name: &name, version: head.version, policy: head.policy };
        match keyring.move_workload_key(&place, &head.key, (&place, newest), ivs) {
            Ok(key) => {
                let from = head.key.key_epoch;
                moved.push(RewrappedWorkload { name, policy: head.policy, from, key }).ok()?;
            }
            Err(fault) => {
                warn!(key = %*name, %fault, "a workload key cannot be wrapped anew: its master key stays");
                return None;
            }
        }
    }
    Some(moved)
}

/// Keys of dealings that are not wrapped under the newest.
fn dealt(node: &Node, view: &View, newest: KeyEpoch, ivs: &mut HedgedIvs) -> Option<KeyCommand> {
    let custody = view.custody();
    let held = custody.waiting.iter().chain(&custody.active).find(|held| held.dealing.keys.tag.key_epoch != newest)?;
    let ring = rotate::live_ring(&node.keyring.now(), &view.key_rows());
    match rotate::dealt_under(&ring, held, ivs) {
        Ok(keys) => Some(KeyCommand::RewrapDealt(Box::new(RewrappedDealt { manifest: held.hash, keys }))),
        Err(fault) => {
            warn!(custody_epoch = %held.custody_epoch(), %fault, "keys of a dealing cannot be wrapped anew");
            None
        }
    }
}
