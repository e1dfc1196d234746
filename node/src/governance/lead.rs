//! The leader's part in governance.
//!
//! Decides: a change whose time has come by this node's clock, and whose notice is there if it needs one, is proposed to come into force; the entry carries
//! that clock, and every replica decides by the group's time whether it does. What this node knows to have been in force and the record does not have, since a
//! recovery took up a log that ended before it, is brought again: it proves itself, and waits again where it loosens.
//! What leads elsewhere than the row that is known here is not proposed before what was lost is on record: two rows would come of it.
//! Trusts: nothing: a leader that does none of this delays a loosening and nothing else. Out of scope: what is in force (`consensus`). Protocol section 8.

use crate::context::Node;
use crate::governance::asks;
use ringwall_consensus::Governed;
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{NoticeFor, PolicyCommand, PolicyStep};
use ringwall_wire::ids::Digest;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// How often the leader looks.
const LOOK: Duration = Duration::from_millis(500);

/// Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        // The timeout only bounds the wait.
        let _ = tokio::time::timeout(LOOK, node.governance.work.notified()).await;
        if node.replica.metrics().leader != Some(node.incarnation) {
            continue;
        }
        let Ok(view) = node.replica.view() else { continue };
        let (governed, now_ms) = (view.governance(), node.replica.now_ms());
        drop(view);
        for command in due(&governed, node.site.policies.now().steps(), now_ms) {
            // Only what the record would take: it is looked at again and again.
            if !node.replica.weigh(command.clone()).1 {
                continue;
            }
            if let Err(refused) = asks::lead(&node, command).await {
                debug!(code = ?refused.code, "a step of governance was not proposed; trying again");
            }
        }
    }
}

/// What the leader has to propose now.
fn due(governed: &Governed, known: &[Arc<PolicyStep>], now_ms: u64) -> Vec<PolicyCommand> {
    let in_force = governed.in_force().map(|policy| Digest(policy.digest()));
    let lost = known.iter().find(|step| step.signed.replaces.is_some() && step.signed.replaces == in_force);
    let lost = lost.map(|step| match (governed.pending().find(|pending| pending.change == step.signed.change()), &step.notice) {
        (None, _) => Some(PolicyCommand::propose(step.signed.clone())),
        (Some(pending), Some(notice)) if pending.wants_notice && pending.step.notice.is_none() => {
            Some(PolicyCommand::Notice(Box::new(NoticeFor { change: pending.change, notice: notice.clone() })))
        }
        (Some(_), _) => None,
    });
    let ready = governed.pending().filter(|pending| pending.is_ready(now_ms)).map(|pending| PolicyCommand::Enact(pending.change));
    let ready = ready.filter(|command| !leads_elsewhere(known, governed, command));
    // The oldest first: whatever comes into force drops the others.
    lost.flatten().into_iter().chain(ready.take(1)).collect()
}

/// Whether this would lead the record away from the steps that are known to have been in force: after a recovery whose log lost the newest of them, every
/// member, client and card that knows them would meet another row. The lost step itself has to be on record again first.
pub(super) fn leads_elsewhere(known: &[Arc<PolicyStep>], governed: &Governed, command: &PolicyCommand) -> bool {
    let Some(next) = known.get(governed.count()) else { return false };
    let change = next.signed.change();
    // It was never in force in this row, whatever a file of this node says: nothing is to wait for it.
    if governed.has_withdrawn(&change) {
        return false;
    }
    match command {
        PolicyCommand::Propose(proposal) => proposal.signed.change() != change,
        PolicyCommand::Enact(enacted) => *enacted != change,
        PolicyCommand::Withdraw(word) => word.change == change,
        PolicyCommand::Notice(_) | PolicyCommand::Lease(_) => false,
    }
}
