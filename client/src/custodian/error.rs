//! Why a step of a custodian did not end well.
//!
//! Decides: one type over the failures of all steps, each with a stable code, its cause and what to do. Whatever it says, nothing that was kept before
//! is lost: a step either ended or can be repeated.
//! Trusts: nothing. Out of scope: exit codes (`cli/exit.rs`).

use super::dealing::{DealingError, EvidenceRefused};
use super::drill::DrillError;
use super::home::HomeError;
use super::journal::JournalError;
use super::keys::CardTextError;
use super::locked::LockError;
use super::loss::LossError;
use super::offer::OfferError;
use super::orders::OrderError;
use super::phrase::PhraseError;
use super::share::ShareFault;
use ringwall_keys::custody::spelled::SpellFault;
use ringwall_keys::text::line::LineFault;
use ringwall_wire::codec::DecodeError;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Epoch, Nonce};
use ringwall_wire::recovery::RecoveryOffer;
use std::path::PathBuf;

/// The failure.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum CustodianError {
    /// The folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A locked file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A dealing.
    #[error(transparent)]
    Dealing(#[from] DealingError),
    /// A share.
    #[error(transparent)]
    Share(#[from] ShareFault),
    /// An offer.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// A drill.
    #[error(transparent)]
    Drill(#[from] DrillError),
    /// Words.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// A line.
    #[error("the line (or code) is not what was written: {0}")]
    Line(#[from] LineFault),
    /// A share as text.
    #[error(transparent)]
    Spelled(SpellFault),
    /// A card.
    #[error(transparent)]
    Card(#[from] CardTextError),
    /// A file in the folder is not what it was.
    #[error("{} is damaged ({source}): put it back from a copy of the folder, or move it away and repeat the step that made it", .path.display())]
    Damaged { path: PathBuf, source: DecodeError },
    /// A file that was given is another one.
    #[error("{what} is not {wanted}: {source}; is it another file, or cut off?")]
    Input { what: String, wanted: &'static str, source: DecodeError },
    /// No cluster is kept.
    #[error("nothing was pulled yet: run `ringwall custodian pull` with the cluster's card")]
    NoCluster,
    /// Several clusters are kept.
    #[error("this folder keeps shares of {} clusters: name one with --cluster or --card ({})", .kept.len(), list(.kept))]
    WhichCluster { kept: Vec<ClusterId> },
    /// The cluster is not kept.
    #[error("this folder keeps nothing of cluster {named}: run `ringwall custodian pull` with its card")]
    UnknownCluster { named: ClusterId },
    /// Nothing was accepted.
    #[error("no share of cluster {cluster_id} was accepted yet: run `ringwall custodian pull`, then `ringwall custodian accept`")]
    NothingAccepted { cluster_id: ClusterId },
    /// Nothing waits.
    #[error("nothing was pulled of cluster {cluster_id}: run `ringwall custodian pull` first")]
    NothingPulled { cluster_id: ClusterId },
    /// The offer wants a share that is not held.
    #[error(
        "the offer wants a share of dealing {wanted} (manifest {manifest:.16}), and this folder holds {}: bring the newest folder or paper; \
         nothing was released", holds(.held)
    )]
    NotHeld { wanted: CustodyEpoch, manifest: String, held: Vec<CustodyEpoch> },
    /// A node asks for a share that is not held.
    #[error("the node asks for a share of manifest {manifest:.16}, and this folder holds {}: pull and accept the newest dealing first", holds(.held))]
    NotAsked { manifest: String, held: Vec<CustodyEpoch> },
    /// Another session of the same dealing was answered before.
    #[error(
        "recovery session {earlier:.16} of this dealing was answered on {when}, this is session {session:.16}: two recoveries of one dealing make two clusters. {}",
        second_words(.replaced)
    )]
    SecondSession { when: String, earlier: String, session: String, replaced: bool },
    /// An order of the governors.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A loss.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// A drill where a recovery was meant, or the other way round.
    #[error("this offer is for {got}; use `ringwall custodian {verb}`")]
    OtherPurpose { got: &'static str, verb: &'static str },
    /// The offer is of an older epoch than the custodian has seen.
    #[error(
        "the offer knows epoch {offered}, you have seen epoch {seen}: the cluster was recovered already and this disk is an old one; \
         do not release, and ask the operators"
    )]
    OldEpoch { offered: Epoch, seen: Epoch },
    /// The custodian said no.
    #[error("not done: you did not answer yes; nothing was written")]
    NotConfirmed,
    /// What was told of the log is less than what was seen.
    #[error(
        "the node shows a log of {got} entries, you have seen {known}: it lags, or the cluster went back. Pull from another node; if all of them \
         say so, tell the operators and the other custodians"
    )]
    Behind { known: u64, got: u64 },
    /// What was told of the log contradicts what was seen.
    #[error(
        "the node shows another log than you have seen ({size} entries, another root): the cluster has two histories. Keep this folder, and tell the operators \
         and the other custodians"
    )]
    Fork { size: u64 },
    /// The imported share is held already.
    #[error("this folder holds the share of {what} already, and it opens: nothing to do")]
    HeldAlready { what: String },
}

/// What to do about a second session: where the node says that it takes the place of the first, asking again is what a crash leads to.
fn second_words(replaced: &bool) -> &'static str {
    match replaced {
        true => {
            "The node says that this session takes the place of that very one, offered in the same slot: a session's key dies with its process, so that after a crash every \
             custodian is asked once more, and the override is expected. Have the operators say that the first process ended; then repeat with --second-session \"why\", which \
             the journal keeps"
        }
        false => "Ask the other custodians. If the first one failed, repeat with --second-session \"why\", which the journal keeps",
    }
}

fn list(kept: &[ClusterId]) -> String {
    kept.iter().map(|id| format!("{:.16}", id.to_string())).collect::<Vec<_>>().join(", ")
}

fn holds(held: &[CustodyEpoch]) -> String {
    match held {
        [] => "none".into(),
        held => format!("those of dealing {}", held.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl CustodianError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            CustodianError::Home(fault) => fault.code(),
            CustodianError::Journal(fault) => fault.code(),
            CustodianError::Lock(fault) => fault.code(),
            CustodianError::Dealing(fault) => fault.code(),
            CustodianError::Share(fault) => fault.code(),
            CustodianError::Offer(fault) => fault.code(),
            CustodianError::Drill(fault) => fault.code(),
            CustodianError::Loss(fault) => fault.code(),
            CustodianError::Order(fault) => fault.code(),
            CustodianError::Phrase(_) => "RW-C-SHARE-WORDS",
            CustodianError::Spelled(SpellFault::OtherCluster { .. }) => "RW-C-SHARE-OTHER-CLUSTER",
            CustodianError::Spelled(SpellFault::OtherVersion { .. }) => "RW-C-SHARE-MALFORMED",
            CustodianError::Spelled(SpellFault::Words(_)) => "RW-C-SHARE-WORDS",
            CustodianError::Spelled(SpellFault::Line(_)) | CustodianError::Line(_) => "RW-C-SHARE-LINE",
            CustodianError::Card(_) => "RW-C-CUSTODIAN-CARD",
            CustodianError::Damaged { .. } => "RW-C-CUSTODIAN-DAMAGED",
            CustodianError::Input { .. } => "RW-C-INPUT",
            CustodianError::NoCluster
            | CustodianError::UnknownCluster { .. }
            | CustodianError::NothingAccepted { .. }
            | CustodianError::NothingPulled { .. } => "RW-C-CUSTODIAN-NOTHING",
            CustodianError::WhichCluster { .. } | CustodianError::OtherPurpose { .. } => "RW-C-USAGE",
            CustodianError::NotHeld { .. } | CustodianError::NotAsked { .. } => "RW-C-SHARE-OTHER-DEALING",
            CustodianError::SecondSession { .. } => "RW-C-SECOND-SESSION",
            CustodianError::OldEpoch { .. } => "RW-C-OLD-EPOCH",
            CustodianError::NotConfirmed => "RW-C-NOT-CONFIRMED",
            CustodianError::Behind { .. } => "RW-C-CUSTODIAN-BEHIND",
            CustodianError::Fork { .. } => "RW-C-FORK-DETECTED",
            CustodianError::HeldAlready { .. } => "RW-C-SHARE-HELD",
        }
    }

    /// The refusal of evidence, if it is one: it can be explained step by step.
    pub fn evidence(&self) -> Option<&EvidenceRefused> {
        match self {
            CustodianError::Dealing(DealingError::Evidence(refused)) | CustodianError::Offer(OfferError::Evidence(refused)) => {
                Some(refused)
            }
            _ => None,
        }
    }

    pub(crate) fn second_session(when_s: u64, earlier: &Nonce, offer: &RecoveryOffer) -> Self {
        CustodianError::SecondSession {
            when: ringwall_attest::date(when_s),
            earlier: earlier.to_string(),
            session: offer.session.to_string(),
            replaced: offer.replaces == Some(*earlier),
        }
    }
}
