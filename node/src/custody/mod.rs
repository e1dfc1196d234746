//! Master keys that change, and shares of what recovers them: the part of a member that deals, rotates, wraps anew and keeps its ring as the log says.
//!
//! | file | what it decides |
//! |---|---|
//! | `follow.rs` | every member: which keys are on its ring, which blob lies on its disk, what it forgets |
//! | `keys.rs` | how a new master key reaches the members, and who is given one that is asked for |
//! | `rotate.rs`, `rewrap.rs` | the leader: a new generation, data keys under it, the end of an old one |
//! | `dealer.rs`, `schedule.rs` | the leader: when shares are dealt, when a dealing is activated or dropped |
//! | `asks.rs` | what custodians said to any member, on its way into the log |
//! | `blob_file.rs` | the file that recovery looks for |
//! | `platform_wrap.rs` | the same keys wrapped to this node's chip, where the policy wants it |
//!
//! Trusts: the replicated record for what is alive; other members, who attested, for keys whose commitment the record names.
//! Out of scope: cryptography of shares (`ringwall_keys::custody`), custodians' sessions (`front`), recovery. Protocol sections 6.1 and 7.5.

pub(crate) mod asks;
pub mod blob_file;
pub(crate) mod dealer;
mod follow;
pub(crate) mod keys;
pub mod platform_wrap;
pub(crate) mod rewrap;
pub(crate) mod rotate;
pub mod schedule;

use crate::context::Node;
use crate::drill::{self, DrillDesk};
use std::sync::Arc;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

/// What the tasks of custody share.
#[derive(Debug, Default)]
pub(crate) struct CustodyDesk {
    /// Held by whoever changes generations or dealings: one step at a time in a leader.
    pub(crate) turn: Mutex<()>,
    /// Woken when there is something to deal or to activate.
    pub(crate) work: Notify,
    /// Woken when data keys are to be wrapped anew.
    pub(crate) wrapping: Notify,
    /// The drill that is under way here.
    pub(crate) drill: DrillDesk,
}

/// Starts the tasks of a member.
pub(crate) fn spawn(node: &Arc<Node>, tasks: &mut JoinSet<()>) {
    tasks.spawn(follow::run(Arc::clone(node)));
    tasks.spawn(dealer::run(Arc::clone(node)));
    tasks.spawn(rewrap::run(Arc::clone(node)));
    tasks.spawn(drill::run(Arc::clone(node)));
}
