//! Why nothing was recovered, and what to do.
//!
//! Decides: the words of every end of a recovery, each with the facts a person needs and the next step.
//! Trusts: nothing. Out of scope: finding out (`mod.rs`, `takeup.rs`). Protocol section 6.2.

use crate::recover::fetch::NotFetched;
use crate::recover::keeping::{NotGoneOn, NotKept};
use ringwall_attest::{CollectError, SessionError};
use ringwall_consensus::ProposeError;
use ringwall_consensus::recovery::{NotChosen, TakeUpError};
use ringwall_wire::ids::{CustodyEpoch, Epoch, KeyEpoch, PolicyVersion, Slot};
use ringwall_wire::recovery::RecoveryFault;
use std::io;
use std::path::PathBuf;

/// Why nothing was recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The folder for papers.
    #[error("the folder for recovery papers: {0}; check the data folder, its owner and its room")]
    Papers(#[from] io::Error),
    /// A machine that was to assist did not.
    #[error(
        "the disk of the machine at {address} did not arrive: {fault}. What did arrive is kept: start again to go on, or leave out --assist {address}"
    )]
    NotFetched {
        /// Where it was asked for.
        address: String,
        /// Why.
        fault: NotFetched,
    },
    /// A machine that was to keep the session, or keeps one, does not.
    #[error(
        "the machine at {address} does not keep the session: {fault}. Bring it back and start again; without it, leave out --keep {address} and add --anew:          a new session begins, and all custodians answer again"
    )]
    NotKept {
        /// Where it was asked.
        address: String,
        /// Why.
        fault: NotKept,
    },
    /// A session is kept, and not gone on with.
    #[error(transparent)]
    NotGoneOn(#[from] NotGoneOn),
    /// A keeper does not give the word that this process finishes.
    #[error("the keeper in slot {slot} ({address}) does not let this process finish: {}", .why.words())]
    NotSole {
        /// Its place.
        slot: Slot,
        /// Where it was asked.
        address: String,
        /// Why.
        why: RecoveryFault,
    },
    /// No disk tells of a dealing.
    #[error(
        "no disk that was brought tells of a dealing of this cluster's recovery key (recovery.blob): bring the data folder of another node with --disk"
    )]
    NoDealing,
    /// No evidence.
    #[error("this machine gives no evidence: {0}")]
    NoEvidence(#[from] CollectError),
    /// Custodians would refuse the offer.
    #[error("the evidence of the offer is refused by this node's own verifier: {0}")]
    EvidenceRefused(#[from] SessionError),
    /// Something is larger than it may be.
    #[error("{0} is larger than it may be: a defect; report it")]
    TooLarge(&'static str),
    /// The session ended.
    #[error("the session with the custodians ended: {}", .0.words())]
    Ended(RecoveryFault),
    /// No log is chosen.
    #[error(transparent)]
    NotChosen(#[from] NotChosen),
    /// The dealing was used before.
    #[error(
        "dealing {custody_epoch} has opened a recovery before: this cluster is in epoch {epoch}, and the dealing is of epoch {dealt}. A second recovery from the \
         same shares makes two clusters where the first one lives: if it does not, say why with --again"
    )]
    Again {
        /// Which dealing.
        custody_epoch: CustodyEpoch,
        /// Epoch of the newest log.
        epoch: Epoch,
        /// Epoch of the dealing.
        dealt: Epoch,
    },
    /// The newest log names a later dealing than any file.
    #[error(
        "the newest disk's log names a later dealing, {custody_epoch}, whose file was not written when the power went. It is written now: start again, and ask the custodians for their shares of that one"
    )]
    LaterDealing {
        /// Which.
        custody_epoch: CustodyEpoch,
    },
    /// The chip's copy of the keys is older than a disk.
    #[error("the platform wrap holds keys up to generation {wrapped}, and a disk is sealed under generation {named}: the wrap is old")]
    OldWrap {
        /// Newest in the wrap.
        wrapped: KeyEpoch,
        /// What the disk names.
        named: KeyEpoch,
    },
    /// Two rows of approved changes exist.
    #[error(
        "the chosen log has another policy in force than this node knows (version {known}), and both are approved. Nothing was recovered: find out which is the cluster's, \
         and bring its disks and its card alone"
    )]
    OtherPolicy {
        /// What is known here.
        known: PolicyVersion,
    },
    /// What is known beyond the log may never have been in force.
    #[error(
        "this node's card, or policy.steps in a folder that was brought, goes beyond the chosen log to policy version {known} by a change that loosens and that no witness saw wait, or that governors withdrew: \
         it may never have been in force. Nothing was recovered. Bring a newer disk, or take that file away and use an older card; governors can bring the change again"
    )]
    NeverInForce {
        /// What is known here.
        known: PolicyVersion,
    },
    /// The policy does not let a chip open the keys.
    #[error("the policy in force does not let a chip open the keys: custodians have to be asked")]
    ChipForbidden,
    /// Something that was seen is not on any disk.
    #[error("{verdict}: {first}. Nothing was recovered. Every disagreement is in {}; bring newer disks", .evidence.display())]
    Disagrees {
        /// `ROLLBACK_DETECTED` or `FORK_DETECTED`.
        verdict: &'static str,
        /// The gravest.
        first: String,
        /// Where the rest is.
        evidence: PathBuf,
    },
    /// Epochs are used up.
    #[error("this cluster went through as many recoveries as are kept on record; make a new cluster")]
    UsedUp,
    /// The chosen log was not taken up.
    #[error(transparent)]
    TakeUp(#[from] TakeUpError),
    /// The epoch did not begin.
    #[error("the new epoch did not begin: {0}")]
    NotBegun(#[from] ProposeError),
    /// The record refused it.
    #[error("the new epoch did not begin: the record refused it ({0})")]
    Denied(String),
}

impl RecoverError {
    /// Whether what people have seen is not what disks hold.
    pub fn is_disagreement(&self) -> bool {
        matches!(self, RecoverError::Disagrees { .. } | RecoverError::NotChosen(NotChosen::Forked { .. }))
    }
}
