//! The way of a question to the leader, from whichever member it was brought to.
//!
//! Decides: the leader is the voter this member takes for it; a member that leads does not ask itself. What another member put on record is applied here before its
//! answer is given, so that what is asked next on the same session shows it. A member that is silent or answers something else is no leader.
//! Trusts: the leader, like any member, for no more than its answer. Out of scope: what is brought and who may (`governance/asks.rs`, `custody/asks.rs`,
//! `drill`), writes (`front/writes.rs`, which retries). Protocol sections 6 and 8.

use crate::context::Node;
use crate::peers::handshake::refusal;
use ringwall_consensus::{Class, ProposeError, Transport};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{Outcome, Outcomes};
use ringwall_wire::peer::{PeerAnswer, PeerCall};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::Arc;
use std::time::Duration;

/// How one kind of question travels.
pub(crate) struct ToLeader {
    /// Longest wait for the leader's answer.
    pub(crate) patience: Duration,
    /// What is said when nobody leads, or the leader does not answer.
    pub(crate) no_leader: &'static str,
    /// What is said when this member stopped.
    pub(crate) stopped: &'static str,
}

/// Where the leader is.
pub(crate) enum Asked<T> {
    /// Here: the question is given back.
    Here(T),
    /// Elsewhere; it answered.
    Elsewhere(PeerAnswer),
}

impl ToLeader {
    /// Asks the leader, unless this member is it.
    pub(crate) async fn ask<T>(&self, node: &Arc<Node>, what: T, call: impl FnOnce(T) -> PeerCall) -> Result<Asked<T>, Refusal> {
        let metrics = node.replica.metrics();
        let leader = metrics.led_by().ok_or_else(|| self.unavailable())?;
        if leader.incarnation == node.incarnation {
            return Ok(Asked::Here(what));
        }
        match node.peers.call(leader.incarnation, &leader.member, Class::Control, call(what), self.patience).await {
            Ok(PeerAnswer::Refused(refusal)) => Err(refusal),
            Ok(answer) => Ok(Asked::Elsewhere(answer)),
            Err(_) => Err(self.unavailable()),
        }
    }

    /// The first outcome of what the leader put on record: itself in `lead`, if this member is it.
    pub(crate) async fn outcome<T, F>(&self, node: &Arc<Node>, asked: Asked<T>, lead: impl FnOnce(T) -> F) -> Result<Outcome, Refusal>
    where
        F: Future<Output = Result<Outcomes, Refusal>>,
    {
        let outcomes = match asked {
            Asked::Here(what) => lead(what).await?,
            Asked::Elsewhere(PeerAnswer::Outcomes(outcomes)) => {
                node.replica.wait_applied(outcomes.index).await.map_err(|_| self.unavailable())?;
                outcomes
            }
            Asked::Elsewhere(_) => return Err(self.unavailable()),
        };
        outcomes.outcomes.first().copied().ok_or_else(|| self.unavailable())
    }

    /// Nobody leads right now.
    pub(crate) fn unavailable(&self) -> Refusal {
        refusal(RefusalCode::Unavailable, self.no_leader)
    }

    /// Why the leader could not propose it.
    pub(crate) fn not_proposed(&self, fault: &ProposeError) -> Refusal {
        match fault {
            ProposeError::Fenced(_) => refusal(RefusalCode::Fenced, self.stopped),
            ProposeError::TooLarge { .. } => refusal(RefusalCode::TooLarge, "this does not fit an entry"),
            ProposeError::NotLeader { .. } | ProposeError::Transient | ProposeError::NoRoom | ProposeError::Unknown => self.unavailable(),
        }
    }
}

/// One outcome, as of this log index.
pub(crate) fn one(index: u64, outcome: Outcome) -> Outcomes {
    Outcomes { index, outcomes: List::new(vec![outcome]).expect("one fits") }
}

/// What a member that asked is told.
pub(crate) fn told(outcomes: Result<Outcomes, Refusal>) -> PeerAnswer {
    match outcomes {
        Ok(outcomes) => PeerAnswer::Outcomes(outcomes),
        Err(refusal) => PeerAnswer::Refused(refusal),
    }
}
