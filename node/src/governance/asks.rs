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
use crate::to_leader::{ToLeader, one, told};
use ringwall_wire::command::{CommandBody, Outcome, Outcomes};
use ringwall_wire::governance::{PolicyCommand, PolicyOutcome};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::{PeerAnswer, PeerCall};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// What governors signed on its way.
const LEADER: ToLeader = ToLeader {
    patience: Duration::from_secs(3),
    no_leader: "no leader or no quorum right now; bring it again, here or to another member",
    stopped: "this member stopped; bring it to another one",
};
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
    Err(LEADER.unavailable())
}

async fn once(node: &Arc<Node>, command: PolicyCommand) -> Result<PolicyOutcome, Refusal> {
    let asked = LEADER.ask(node, command, |command| PeerCall::Policy(Box::new(command))).await?;
    match LEADER.outcome(node, asked, |command| lead(node, command)).await? {
        Outcome::Policy(outcome) => Ok(outcome),
        _ => Err(LEADER.unavailable()),
    }
}

/// Answers another member that brings it.
pub(crate) async fn answer(node: &Arc<Node>, from: Incarnation, command: PolicyCommand) -> PeerAnswer {
    if !node.replica.may_forward(from) {
        return PeerAnswer::Refused(refusal(RefusalCode::NotMember, "not a member that may bring what governors sign"));
    }
    match not_the_leaders(&command) {
        Ok(()) => told(lead(node, command).await),
        Err(refusal) => PeerAnswer::Refused(refusal),
    }
}

/// Proposes it, here.
pub(crate) async fn lead(node: &Arc<Node>, command: PolicyCommand) -> Result<Outcomes, Refusal> {
    let governed = node.replica.view().map_err(|_| refusal(RefusalCode::Fenced, LEADER.stopped))?.governance();
    if leads_elsewhere(node.site.policies.now().steps(), &governed, &command) {
        return Err(refusal(
            RefusalCode::OrderRefused,
            "a change of the policy was in force that this group's record lost; it is brought again, and nothing else may lead elsewhere before: wait until it is in force",
        ));
    }
    let applied = node.replica.propose(CommandBody::Policy(Box::new(command))).await.map_err(|fault| LEADER.not_proposed(&fault))?;
    let outcome = applied.outcomes.first().copied().ok_or_else(|| LEADER.unavailable())?;
    info!(?outcome, "a step of governance is on record");
    node.governance.work.notify_one();
    Ok(one(applied.index, outcome))
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
