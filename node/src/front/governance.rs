//! What governs the cluster, as a user is shown it; and what governors sign, brought by a user.
//!
//! Decides: both are of the state as of a read round, so that nobody is shown a policy that was replaced. What is shown is public; whoever brings a step decides
//! nothing, and needs no right but a session. Trusts: nothing that is brought. Out of scope: its way into the log (`crate::governance::asks`).
//! Protocol section 8, "Changes".

use crate::front::Front;
use crate::front::refusals::{fenced, refusal};
use crate::governance::asks;
use ringwall_wire::governance::{GovernanceAsk, GovernanceView};
use ringwall_wire::request::Answer;
use ringwall_wire::session::{Refusal, RefusalCode};
use std::sync::Arc;

/// Answers one question.
pub(crate) async fn answer(front: &Arc<Front>, ask: GovernanceAsk) -> Answer {
    let answered = async {
        front.reads.barrier().await?;
        match ask {
            GovernanceAsk::View => view(front).map(|view| Answer::Governance(Box::new(view))),
            GovernanceAsk::Submit(command) => asks::bring(&front.node()?, *command).await.map(Answer::Policy),
        }
    };
    answered.await.unwrap_or_else(Answer::Refused)
}

fn view(front: &Front) -> Result<GovernanceView, Refusal> {
    let view = front.replica.view().map_err(|_| fenced())?;
    let shown = view.governance().shown(view.time_ms());
    shown.ok_or_else(|| refusal(RefusalCode::Unavailable, "nobody governs this cluster"))
}
