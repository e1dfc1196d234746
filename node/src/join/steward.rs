//! What a leader does until the membership is what the log of admissions says it should be.
//!
//! Decides: an admitted incarnation becomes a learner; a learner that lags little and proves that it holds the leader's state becomes a
//! voter in place of its slot's old incarnation; whoever was superseded leaves and is retired. Every step looks at the replicated record
//! alone, so a new leader goes on where the old one stopped.
//! Trusts: the learner's signature over its proof, compared with this node's own digest. Out of scope: admission (`leader`).
//! Protocol section 4, steps 5 and 6.

use crate::context::Node;
use crate::join::endorse::verify_catch_up;
use ringwall_consensus::{Class, MemberRow, MemberStanding, MembershipError, Metrics, Transport, member_of};
use ringwall_wire::command::CommandBody;
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::{PeerAnswer, PeerCall};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// How often the record is looked at when nothing calls for it.
const LOOK: Duration = Duration::from_millis(500);
/// How often while a learner catches up.
const LOOK_SOON: Duration = Duration::from_millis(20);
/// Entries a learner may lag when it is made a voter.
const LAG: u64 = 64;
/// Longest wait for a catch-up proof.
const PROOF: Duration = Duration::from_secs(4);

/// Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>) {
    let mut said = Said::new();
    loop {
        let pause = match work(&node, &mut said).await {
            true => LOOK_SOON,
            false => LOOK,
        };
        tokio::select! {
            () = node.steward.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What was last logged about each incarnation, so that a wait is told once and not at every look.
type Said = BTreeMap<Incarnation, String>;

/// Logs a wait whose reason is new.
fn wait(said: &mut Said, incarnation: Incarnation, fault: &MembershipError) {
    let reason = match fault {
        // Only the numbers change while a learner catches up.
        MembershipError::Lagging { .. } => "it lags".to_owned(),
        other => other.to_string(),
    };
    if said.get(&incarnation) != Some(&reason) {
        info!(%incarnation, %fault, "membership not changed yet");
        said.insert(incarnation, reason);
    }
}

/// One round; true when there is more to do soon.
async fn work(node: &Arc<Node>, said: &mut Said) -> bool {
    let metrics = node.replica.metrics();
    let Ok(view) = node.replica.view() else { return false };
    let rows = view.members();
    drop(view);
    prune(node, &metrics, &rows);
    if metrics.leader != Some(node.incarnation) {
        return false;
    }
    let mut soon = false;
    for row in rows.iter().filter(|row| row.standing == MemberStanding::Live) {
        let (voter, learner) = place(&metrics, row.incarnation);
        if voter {
            continue;
        }
        soon = true;
        let outcome = match learner {
            false => node.replica.admit_learner(row.incarnation, member_of(&row.cert)).await,
            true => promote(node, &metrics, row).await,
        };
        match outcome {
            Ok(()) => {
                said.remove(&row.incarnation);
                info!(incarnation = %row.incarnation, slot = %row.cert.slot, was_learner = learner, "membership changed");
            }
            Err(fault) => wait(said, row.incarnation, &fault),
        }
    }
    for row in rows.iter().filter(|row| row.standing != MemberStanding::Live) {
        soon |= dismiss(node, &metrics, &rows, row).await;
    }
    soon
}

/// Whether it is a voter, and whether it is a learner.
fn place(metrics: &Metrics, incarnation: Incarnation) -> (bool, bool) {
    let named = |members: &[ringwall_wire::peer::NamedMember]| members.iter().any(|named| named.incarnation == incarnation);
    (named(&metrics.voters), named(&metrics.learners))
}

/// Makes a learner a voter once it lags little and has shown that it holds the same state.
async fn promote(node: &Arc<Node>, metrics: &Metrics, row: &MemberRow) -> Result<(), MembershipError> {
    let matched = metrics.replication.iter().find(|(incarnation, _)| *incarnation == row.incarnation).map_or(0, |(_, index)| *index);
    let lag = metrics.last_index.saturating_sub(matched);
    if matched == 0 || lag > LAG {
        return Err(MembershipError::Lagging { incarnation: row.incarnation, lag, max: LAG });
    }
    let applied = node.replica.propose(CommandBody::Mark).await.map_err(|_| MembershipError::Transient)?;
    let call = PeerCall::CatchUp(applied.index);
    let answer = node.peers.call(row.incarnation, &member_of(&row.cert), Class::Control, call, PROOF);
    let (ours, answer) = tokio::join!(node.replica.state_digest_at(applied.index), answer);
    let ours = ours.ok().flatten().ok_or(MembershipError::Transient)?;
    let proof = match answer {
        Ok(PeerAnswer::CatchUp(proof)) => proof,
        other => {
            debug!(incarnation = %row.incarnation, index = applied.index, ?other, "a learner gave no proof");
            return Err(MembershipError::Transient);
        }
    };
    let genuine = proof.incarnation == row.incarnation
        && proof.applied_index == applied.index
        && verify_catch_up(&proof, &node.site.cluster_id, &row.cert.keys.sig);
    if !genuine || proof.state_digest != ours {
        warn!(incarnation = %row.incarnation, index = applied.index, genuine, "a learner does not hold the leader's state");
        return Err(MembershipError::NotAdmitted(row.incarnation));
    }
    let old = metrics.voters.iter().find(|voter| voter.member.slot == row.cert.slot).map(|voter| voter.incarnation);
    node.replica.promote(row.incarnation, old).await
}

/// Sees to it that an incarnation that was superseded or retired leaves; true when there is more to do. A superseded voter stays until
/// its successor is one, so that the group keeps its size.
async fn dismiss(node: &Arc<Node>, metrics: &Metrics, rows: &[MemberRow], row: &MemberRow) -> bool {
    let (voter, learner) = place(metrics, row.incarnation);
    if voter {
        let live = |other: &&MemberRow| other.standing == MemberStanding::Live && other.cert.slot == row.cert.slot;
        let succeeded = rows.iter().find(live).is_some_and(|successor| place(metrics, successor.incarnation).0);
        if !succeeded {
            return false;
        }
    }
    if voter || learner {
        if let Err(fault) = node.replica.remove(row.incarnation).await {
            debug!(incarnation = %row.incarnation, %fault, "an old incarnation is not removed yet");
        }
        return true;
    }
    if row.standing == MemberStanding::Superseded {
        match node.replica.propose(CommandBody::Retire(row.incarnation)).await {
            Ok(_) => info!(incarnation = %row.incarnation, slot = %row.cert.slot, "retired"),
            Err(fault) => debug!(incarnation = %row.incarnation, %fault, "not retired yet"),
        }
        return true;
    }
    false
}

/// Closes sessions to whoever is no member any more.
fn prune(node: &Node, metrics: &Metrics, rows: &[MemberRow]) {
    let mut members: Vec<Incarnation> = metrics.voters.iter().chain(&metrics.learners).map(|named| named.incarnation).collect();
    members.extend(rows.iter().filter(|row| row.standing == MemberStanding::Live).map(|row| row.incarnation));
    if !members.is_empty() {
        node.peers.keep_only(&members);
    }
}
