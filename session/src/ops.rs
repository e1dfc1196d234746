//! Operations without waiting: what each asks, and what its answer means.
//!
//! Decides: nothing of its own; its files do. What is refused before anything is sent, and how answers about one namespace become typed results: `space.rs`; which keys
//! a namespace is opened with: `enter.rs`; what a batch may hold: `batch.rs`; how pages follow each other, and in whose order: `listing.rs`; what is sealed before a question and
//! opened after an answer: `user_mode.rs`; what the reader of a watch sees: `following.rs`; in which steps a user's record is changed: `users.rs`; what a phrase opens:
//! `escrow.rs`; what steps of governance come to: `governance.rs`. Whoever waits (a task of a runtime, a page) asks what these give and hands them the outcome.
//! Trusts: nothing. Out of scope: waiting, numbers and retries (`lane.rs`). Protocol section 3, step 7.

mod batch;
mod enter;
pub mod escrow;
mod following;
mod governance;
mod listing;
mod space;
mod user_mode;
mod users;

pub use batch::{BATCH_BYTES, Mutations};
pub use enter::{Entering, Owner, enter, entered};
pub use following::{Change, Following};
pub use governance::{GovernanceError, governed, outcome, view};
pub use listing::{Item, Pages, Want};
pub use space::{Found, PutOptions, Space, Wanted, expect_version, namespace_name, read_key, written};
pub use user_mode::UserMode;
pub use users::{Changing, Told, UserError, told};

use crate::asked::Failure;
use crate::error::ReadError;
use ringwall_wire::request::{Answer, ClusterStatus};
use ringwall_wire::session::RefusalCode;

/// How the cluster is.
pub fn status(outcome: Result<Answer, Failure>) -> Result<ClusterStatus, ReadError> {
    match outcome {
        Ok(Answer::Status(status)) => Ok(status),
        other => Err(read_error(other)),
    }
}

/// Any outcome that is no answer to a read.
pub fn read_error(outcome: Result<Answer, Failure>) -> ReadError {
    match outcome {
        Ok(other) => ReadError::Nonsense(answer_name(&other).into()),
        Err(Failure::Refused(refusal)) if refusal.code == RefusalCode::NoNamespace => {
            ReadError::NoNamespace { detail: refusal.detail.to_string() }
        }
        Err(Failure::Refused(refusal)) => ReadError::Refused(refusal),
        Err(Failure::Session(fault)) => ReadError::Session(fault),
        Err(Failure::OutcomeUnknown { cause, .. }) => ReadError::Nonsense(cause),
    }
}

/// Name of an answer, for messages.
pub fn answer_name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Refused(_) => "a refusal",
        Answer::Opened(_) => "an opened namespace",
        Answer::Written(_) => "a confirmed write",
        Answer::Conflict(_) => "a conflict",
        Answer::Found(_) => "a value",
        Answer::Absent(_) => "an absent key",
        Answer::Page(_) => "a page",
        Answer::Events(_) => "events",
        Answer::Status(_) => "a status",
        Answer::Done => "nothing",
        Answer::Receipt(_) => "a receipt",
        Answer::User(_) => "a user's record",
        Answer::UserRefused(_) => "a refused change of a user's record",
        Answer::Backup(_) => "a word about a backup",
        Answer::EscrowKeys(_) => "escrowed data keys",
        Answer::Governance(_) => "what governs the cluster",
        Answer::Policy(_) => "the outcome of a step of governance",
    }
}
