//! How words of governors are judged: by every replica while it applies them, and by a node that reads steps from a file or a card.
//!
//! Decides: nothing of its own: `ringwall_attest` judges, by its arguments alone, so that every replica comes to the same answer. Here its verdicts become
//! what the group records. Trusts: nothing that is judged. Out of scope: when a change is in force (`ringwall_consensus`). Protocol section 8, "Changes".

use crate::governance::InForce;
use crate::governance::cell::Unchained;
use ringwall_attest::governance::{StepError, judge_change, verify_notice, verify_row};
use ringwall_attest::policy::COMPARE_RULES;
use ringwall_attest::{verify_order, verify_words};
use ringwall_consensus::{JudgedStep, Judges};
use ringwall_wire::governance::PolicyRow;
use ringwall_wire::ids::ClusterId;
use ringwall_wire::policy::PolicyDoc;
use std::sync::Arc;

/// Why a card leads to no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJudged {
    /// One of them does not hold.
    #[error("its policy changes do not hold: {0}; have a new card made")]
    Step(#[from] StepError),
    /// They do not follow one another.
    #[error("its policy changes do not hold: {0}; have a new card made")]
    Unchained(#[from] Unchained),
    /// Nobody could be shown where they begin.
    #[error(
        "its founding policy takes {bytes} bytes, at most {max} can be shown to clients; found with a smaller one: fewer builds, chips or tables of boot events"
    )]
    TooLarge {
        /// Of the document.
        bytes: usize,
        /// Most bytes.
        max: usize,
    },
}

/// The same in every replica of every cluster: whose words count they are told with each question.
pub fn judges() -> Judges {
    Judges {
        orders: Arc::new(|order, policy| verify_order(order, &policy.governance).map(|_| ()).map_err(|fault| fault.order_fault())),
        words: Arc::new(|words, signatures, policy| {
            verify_words(words, signatures, &policy.governance).map(|_| ()).map_err(|fault| fault.order_fault())
        }),
        steps: Arc::new(|signed, in_force| {
            let judged = judge_change(in_force, signed).map_err(|fault| fault.fault())?;
            let (loosens, wants_notice) = (judged.loosens(), judged.wants_notice());
            Ok(JudgedStep { policy: judged.policy().clone(), loosens, wants_notice })
        }),
        notices: Arc::new(|cluster_id, notice, signed, in_force| {
            verify_notice(cluster_id, signed, notice, in_force).map_err(|fault| fault.fault())
        }),
        rules: COMPARE_RULES,
    }
}

/// What these steps lead to from the founding policy, when every one of them holds.
pub fn walk(cluster_id: &ClusterId, founding: &PolicyDoc, steps: PolicyRow) -> Result<InForce, NotJudged> {
    let _holds = verify_row(cluster_id, founding, &steps)?;
    Ok(InForce::by(founding, steps.into_vec())?)
}
