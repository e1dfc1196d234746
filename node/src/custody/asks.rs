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
use crate::to_leader::{ToLeader, one, told};
use ringwall_wire::command::{CommandBody, Denial, Outcome, Outcomes};
use ringwall_wire::custody::{ActivateOrder, CustodyAsk, CustodyCommand, CustodyFault};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::{PeerAnswer, PeerCall};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// What a custodian said on its way. An activation asks every member first.
pub(crate) const LEADER: ToLeader = ToLeader {
    patience: Duration::from_secs(10),
    no_leader: "no leader or no quorum right now; say it again, here or to another member",
    stopped: "this member stopped; say it to another one",
};

/// Brings it to the leader, wherever that is; what the record said of it.
pub(crate) async fn bring(node: &Arc<Node>, ask: CustodyAsk) -> Result<Outcome, Refusal> {
    let asked = LEADER.ask(node, ask, |ask| PeerCall::Custody(Box::new(ask))).await?;
    LEADER.outcome(node, asked, |ask| lead(node, ask)).await
}

/// Answers another member that brings it.
pub(crate) async fn answer(node: &Arc<Node>, from: Incarnation, ask: CustodyAsk) -> PeerAnswer {
    if !node.replica.may_forward(from) {
        return PeerAnswer::Refused(refusal(RefusalCode::NotMember, "not a member that may bring what custodians say"));
    }
    told(lead(node, ask).await)
}

async fn lead(node: &Arc<Node>, ask: CustodyAsk) -> Result<Outcomes, Refusal> {
    let command = match ask {
        CustodyAsk::Ack(ack) => CustodyCommand::Ack(ack),
        CustodyAsk::Proved(proof) => CustodyCommand::Proved(proof),
        CustodyAsk::Change(order) => CustodyCommand::Change(order),
        CustodyAsk::Activate(order) => return ordered(node, order).await,
    };
    let applied = node.replica.propose(CommandBody::Custody(Box::new(command))).await.map_err(|fault| LEADER.not_proposed(&fault))?;
    let outcome = applied.outcomes.first().copied().ok_or_else(|| LEADER.unavailable())?;
    if outcome == Outcome::Done {
        node.custody.work.notify_one();
    }
    Ok(one(applied.index, outcome))
}

/// The governors do without some: the leader activates now, or says why it may not.
async fn ordered(node: &Arc<Node>, order: ActivateOrder) -> Result<Outcomes, Refusal> {
    let _turn = node.custody.turn.lock().await;
    let view = node.replica.view().map_err(|_| LEADER.unavailable())?;
    let index = view.applied();
    let waiting = view.custody().waiting.clone().filter(|waiting| waiting.hash == order.manifest);
    drop(view);
    let Some(waiting) = waiting else {
        return Ok(one(index, Outcome::Denied(Denial::Custody(CustodyFault::NoDealing))));
    };
    // Before a key is drawn for nothing.
    if !waiting.recovers() {
        return Ok(one(index, Outcome::Denied(Denial::Custody(CustodyFault::NotAcknowledged))));
    }
    let outcome = match dealer::activate(node, &waiting, Some(order)).await {
        Ok(()) => Outcome::Done,
        Err(NotDealt::NotApplied(NotRotated::Denied(denial))) => Outcome::Denied(denial),
        Err(fault) => {
            warn!(%fault, "the governors' order was not carried out");
            return Err(LEADER.unavailable());
        }
    };
    info!(?outcome, "the governors ordered an activation");
    Ok(one(node.replica.applied(), outcome))
}
