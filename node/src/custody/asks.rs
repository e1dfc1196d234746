//! What custodians said to a member, on its way into the log.
//!
//! Decides: the member a custodian talks to hands it to the leader; the leader proposes it and gives back what the record said. An order to do without
//! acknowledgements makes the leader activate at once, since an activation comes with a rotation that only it prepares.
//! Trusts: nothing in it: every replica verifies every signature while applying; that a proof's answer is right its first member looked at.
//! Out of scope: sessions of custodians (`front`), states (`consensus`). Protocol section 6.1.

use crate::context::Node;
use crate::custody::dealer::{self, NotDealt};
use crate::custody::rotate::NotRotated;
use crate::peers::handshake::refusal;
use ringwall_consensus::{Class, ProposeError, Transport};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{CommandBody, Denial, Outcome, Outcomes};
use ringwall_wire::custody::{ActivateOrder, CustodyAsk, CustodyCommand, CustodyFault};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::{PeerAnswer, PeerCall};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Longest wait for the leader: an activation asks every member first.
const LEADER: Duration = Duration::from_secs(10);

/// Brings it to the leader, wherever that is; what the record said of it.
pub(crate) async fn bring(node: &Arc<Node>, ask: CustodyAsk) -> Result<Outcome, Refusal> {
    let metrics = node.replica.metrics();
    let outcomes = match metrics.voters.iter().find(|named| Some(named.incarnation) == metrics.leader) {
        None => return Err(no_leader()),
        Some(leader) if leader.incarnation == node.incarnation => lead(node, ask).await?,
        Some(leader) => {
            let call = PeerCall::Custody(Box::new(ask));
            match node.peers.call(leader.incarnation, &leader.member, Class::Control, call, LEADER).await {
                Ok(PeerAnswer::Outcomes(outcomes)) => {
                    // What the custodian asks next on this session is to show it.
                    if node.replica.wait_applied(outcomes.index).await.is_err() {
                        return Err(no_leader());
                    }
                    outcomes
                }
                Ok(PeerAnswer::Refused(refusal)) => return Err(refusal),
                Ok(_) | Err(_) => return Err(no_leader()),
            }
        }
    };
    outcomes.outcomes.first().copied().ok_or_else(no_leader)
}

/// Answers another member that brings it.
pub(crate) async fn answer(node: &Arc<Node>, from: Incarnation, ask: CustodyAsk) -> PeerAnswer {
    if !node.replica.may_forward(from) {
        return PeerAnswer::Refused(refusal(RefusalCode::NotMember, "not a member that may bring what custodians say"));
    }
    match lead(node, ask).await {
        Ok(outcomes) => PeerAnswer::Outcomes(outcomes),
        Err(refusal) => PeerAnswer::Refused(refusal),
    }
}

async fn lead(node: &Arc<Node>, ask: CustodyAsk) -> Result<Outcomes, Refusal> {
    let command = match ask {
        CustodyAsk::Ack(ack) => CustodyCommand::Ack(ack),
        CustodyAsk::Proved(proof) => CustodyCommand::Proved(proof),
        CustodyAsk::Change(order) => CustodyCommand::Change(order),
        CustodyAsk::Activate(order) => return ordered(node, order).await,
    };
    let applied = node.replica.propose(CommandBody::Custody(Box::new(command))).await.map_err(|fault| not_proposed(&fault))?;
    let outcome = applied.outcomes.first().copied().ok_or_else(no_leader)?;
    if outcome == Outcome::Done {
        node.custody.work.notify_one();
    }
    Ok(Outcomes { index: applied.index, outcomes: one(outcome) })
}

/// The governors do without some: the leader activates now, or says why it may not.
async fn ordered(node: &Arc<Node>, order: ActivateOrder) -> Result<Outcomes, Refusal> {
    let _turn = node.custody.turn.lock().await;
    let view = node.replica.view().map_err(|_| no_leader())?;
    let index = view.applied();
    let waiting = view.custody().waiting.clone().filter(|waiting| waiting.hash == order.manifest);
    drop(view);
    let Some(waiting) = waiting else {
        return Ok(Outcomes { index, outcomes: one(Outcome::Denied(Denial::Custody(CustodyFault::NoDealing))) });
    };
    // Before a key is drawn for nothing.
    if !waiting.recovers() {
        return Ok(Outcomes { index, outcomes: one(Outcome::Denied(Denial::Custody(CustodyFault::NotAcknowledged))) });
    }
    let outcome = match dealer::activate(node, &waiting, Some(order)).await {
        Ok(()) => Outcome::Done,
        Err(NotDealt::NotApplied(NotRotated::Denied(denial))) => Outcome::Denied(denial),
        Err(fault) => {
            warn!(%fault, "the governors' order was not carried out");
            return Err(no_leader());
        }
    };
    info!(?outcome, "the governors ordered an activation");
    Ok(Outcomes { index: node.replica.applied(), outcomes: one(outcome) })
}

fn one(outcome: Outcome) -> List<Outcome, { ringwall_wire::limits::ENTRY_WRITES }> {
    List::new(vec![outcome]).expect("one fits")
}

fn no_leader() -> Refusal {
    refusal(RefusalCode::Unavailable, "no leader or no quorum right now; say it again, here or to another member")
}

fn not_proposed(fault: &ProposeError) -> Refusal {
    match fault {
        ProposeError::Fenced(_) => refusal(RefusalCode::Fenced, "this member stopped; say it to another one"),
        ProposeError::TooLarge { .. } => refusal(RefusalCode::TooLarge, "this does not fit an entry"),
        ProposeError::NotLeader { .. } | ProposeError::Transient | ProposeError::NoRoom | ProposeError::Unknown => no_leader(),
    }
}
