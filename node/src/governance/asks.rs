//! What governors sign, on its way into the log.
//!
//! Decides: any user may bring it, to any member: who brings it decides nothing. What nobody approved, or what would change nothing, is answered from what a
//! quorum confirmed and is not proposed, so that nobody fills the log with it. The member it was brought to hands the rest to the leader, who proposes it and
//! gives back what the record said. `Enact` is the leader's alone: from anybody else it is refused. What leads elsewhere than to the steps the leader knows to
//! have been in force is refused, until those are on record again.
//! Trusts: nothing in it: every replica judges it while applying. Out of scope: sessions (`front`), states (`consensus`). Protocol section 8, "Changes".

use crate::context::Node;
use crate::governance::lead::leads_elsewhere;
use crate::peers::handshake::refusal;
use ringwall_consensus::{Class, ProposeError, Transport};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{CommandBody, Outcome, Outcomes};
use ringwall_wire::governance::{PolicyCommand, PolicyOutcome};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::{PeerAnswer, PeerCall};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// Longest wait for the leader's answer.
const LEADER: Duration = Duration::from_secs(3);
/// How often it is brought.
const TRIES: usize = 8;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(150);

/// Brings it to the leader, wherever that is; what the record said of it. The caller has made a read round.
pub(crate) async fn bring(node: &Arc<Node>, command: PolicyCommand) -> Result<PolicyOutcome, Refusal> {
    not_the_leaders(&command)?;
    for _ in 0..TRIES {
        // Again after each try: a change that comes into force ends the very session its answer would have come on.
        let (outcome, changes) = node.replica.weigh(command.clone());
        if !changes {
            return Ok(outcome);
        }
        match once(node, command.clone()).await {
            Ok(outcome) => return Ok(outcome),
            Err(refusal) if refusal.code == RefusalCode::Unavailable => tokio::time::sleep(PAUSE).await,
            Err(refusal) => return Err(refusal),
        }
    }
    Err(no_leader())
}

async fn once(node: &Arc<Node>, command: PolicyCommand) -> Result<PolicyOutcome, Refusal> {
    let metrics = node.replica.metrics();
    let outcomes = match metrics.voters.iter().find(|named| Some(named.incarnation) == metrics.leader) {
        None => return Err(no_leader()),
        Some(leader) if leader.incarnation == node.incarnation => lead(node, command).await?,
        Some(leader) => {
            let call = PeerCall::Policy(Box::new(command));
            match node.peers.call(leader.incarnation, &leader.member, Class::Control, call, LEADER).await {
                Ok(PeerAnswer::Outcomes(outcomes)) => {
                    // What is asked next on this session is to show it.
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
    match outcomes.outcomes.first() {
        Some(Outcome::Policy(outcome)) => Ok(*outcome),
        _ => Err(no_leader()),
    }
}

/// Answers another member that brings it.
pub(crate) async fn answer(node: &Arc<Node>, from: Incarnation, command: PolicyCommand) -> PeerAnswer {
    if !node.replica.may_forward(from) {
        return PeerAnswer::Refused(refusal(RefusalCode::NotMember, "not a member that may bring what governors sign"));
    }
    let answered = match not_the_leaders(&command) {
        Ok(()) => lead(node, command).await,
        Err(refusal) => Err(refusal),
    };
    match answered {
        Ok(outcomes) => PeerAnswer::Outcomes(outcomes),
        Err(refusal) => PeerAnswer::Refused(refusal),
    }
}

/// Proposes it, here.
pub(crate) async fn lead(node: &Arc<Node>, command: PolicyCommand) -> Result<Outcomes, Refusal> {
    let governed =
        node.replica.view().map_err(|_| refusal(RefusalCode::Fenced, "this member stopped; bring it to another one"))?.governance();
    if leads_elsewhere(node.site.policies.now().steps(), &governed, &command) {
        return Err(refusal(
            RefusalCode::OrderRefused,
            "a change of the policy was in force that this group's record lost; it is brought again, and nothing else may lead elsewhere before: wait until it is in force",
        ));
    }
    let applied = node.replica.propose(CommandBody::Policy(Box::new(command))).await.map_err(|fault| not_proposed(&fault))?;
    let outcome = applied.outcomes.first().copied().ok_or_else(no_leader)?;
    info!(?outcome, "a step of governance is on record");
    node.governance.work.notify_one();
    Ok(Outcomes { index: applied.index, outcomes: List::new(vec![outcome]).expect("one fits") })
}

/// Refuses what nobody but the leader brings.
fn not_the_leaders(command: &PolicyCommand) -> Result<(), Refusal> {
    match command {
        PolicyCommand::Enact(_) => Err(refusal(
            RefusalCode::NotAuthorized,
            "the leader brings a change into force by itself once its time has come; nothing has to be done",
        )),
        _ => Ok(()),
    }
}

fn no_leader() -> Refusal {
    refusal(RefusalCode::Unavailable, "no leader or no quorum right now; bring it again, here or to another member")
}

fn not_proposed(fault: &ProposeError) -> Refusal {
    match fault {
        ProposeError::Fenced(_) => refusal(RefusalCode::Fenced, "this member stopped; bring it to another one"),
        ProposeError::TooLarge { .. } => refusal(RefusalCode::TooLarge, "this does not fit an entry"),
        ProposeError::NotLeader { .. } | ProposeError::Transient | ProposeError::NoRoom | ProposeError::Unknown => no_leader(),
    }
}
