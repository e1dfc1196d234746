//! Records whose time has come.
//!
//! Decides: when the leader proposes to remove them; readers do not see them from the moment on, removed or not.
//! Trusts: the time a leader stamps with, for hygiene alone. Out of scope: which records those are (`consensus`). Protocol section 5.

use crate::front::limits::EXPIRY_TICK;
use ringwall_consensus::{Replica, Role};
use ringwall_wire::command::CommandBody;
use tokio::time::{MissedTickBehavior, interval};

/// Looks for ever; run it in one task.
pub(crate) async fn run(replica: Replica) {
    let mut tick = interval(EXPIRY_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // One entry removes a bounded number of records: go on while more are due.
        while replica.metrics().role == Role::Leader
            && replica.view().is_ok_and(|view| view.expired_waiting(replica.now_ms()).unwrap_or(false))
        {
            if let Err(fault) = replica.propose(CommandBody::Expire).await {
                // The next tick, here or on the next leader, tries again.
                tracing::debug!(%fault, "records past their time were not removed yet");
                break;
            }
        }
    }
}
