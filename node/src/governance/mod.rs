//! The policy a node goes by, which changes while it runs.
//!
//! | file | what it decides |
//! |---|---|
//! | `cell.rs` | the policy in force as this process knows it, the steps that led to it, and what other nodes and clients are given of them |
//! | `file.rs` | the same in the data folder, for the next start: public, and it proves itself |
//! | `judges.rs` | how signatures, steps and notices are judged, here and by every replica while it applies them |
//! | `follow.rs` | every member: what the record has in force is what this node goes by; one whose machine it excludes ends |
//! | `lead.rs` | the leader: what may come into force by now is proposed; what the record lost in a recovery is brought again |
//! | `asks.rs` | what governors sign, on its way from any session of a user into the log |
//!
//! Trusts: steps that enough governors of the policy before approved; the replicated record for which of them are in force. Out of scope: what a step
//! is worth (`ringwall_attest`), states (`ringwall_consensus`). Protocol section 8, "Changes".

pub(crate) mod asks;
pub mod cell;
pub mod file;
mod follow;
pub mod judges;
mod lead;

pub use cell::{InForce, PolicyCell};
pub(crate) use follow::{catch_up, learn};

use crate::context::Node;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

/// Why a node may not go on under the policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Its own evidence does not satisfy it; the rule that is broken, in words.
    Excluded(String),
    /// The record has other steps in force than this node was shown.
    OtherSteps,
}

/// What the tasks of governance share.
#[derive(Debug, Default)]
pub(crate) struct GovernanceDesk {
    /// Why this node ends; none as long as it fits.
    pub(crate) unfit: OnceLock<Unfit>,
    /// Woken when the leader may have something to propose.
    pub(crate) work: Notify,
    /// Held by whoever takes over what the record has in force.
    turn: Mutex<follow::Written>,
}

/// Starts the tasks of a member.
pub(crate) fn spawn(node: &Arc<Node>, tasks: &mut JoinSet<()>) {
    tasks.spawn(follow::run(Arc::clone(node)));
    tasks.spawn(lead::run(Arc::clone(node)));
}

#[cfg(test)]
pub(crate) mod tests;
