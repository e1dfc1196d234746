//! Reading a cluster card: the file that pins a cluster.
//!
//! Decides: a card is bounded, canonical, and consistent before anything in it is used. Trusts: whoever handed over the file; a cluster
//! id given beside it (`--cluster`) must match. Out of scope: how cards are made (`node`). Protocol section 2.1.

use ringwall_attest::governance::{StepError, verify_row};
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::genesis::{CardError, ClusterCard};
use ringwall_wire::ids::ClusterId;
use ringwall_wire::limits::CARD_BYTES;
use ringwall_wire::policy::PolicyDoc;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a card file.
pub const CARD_FILE_BYTES: usize = CARD_BYTES;

/// Why a card was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadCardError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is larger than any card.
    #[error("{} is larger than any cluster card ({most} bytes); is it another file?", .path.display())]
    TooLarge {
        /// Where.
        path: PathBuf,
        /// Most bytes.
        most: usize,
    },
    /// It is no card.
    #[error("{} is no cluster card: {source}; ask the founders for the file cluster.card", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
    /// Its parts contradict each other.
    #[error("{} contradicts itself: {source}; ask the founders for a good one", .path.display())]
    Contradiction {
        /// Where.
        path: PathBuf,
        /// How.
        source: CardError,
    },
    /// Its changes of the policy do not hold.
    #[error("the changes of the policy in {} do not hold: {source}; ask whoever runs the cluster for a good card", .path.display())]
    Changes {
        /// Where.
        path: PathBuf,
        /// Which, and why.
        source: StepError,
    },
    /// It is another cluster's.
    #[error("{} is the card of cluster {got}, expected {expected}; use the card of the cluster you mean", .path.display())]
    OtherCluster {
        /// Where.
        path: PathBuf,
        /// Cluster of the card.
        got: ClusterId,
        /// Cluster that was asked for.
        expected: ClusterId,
    },
}

impl ReadCardError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ReadCardError::Io { .. } => "RW-C-CARD-IO",
            ReadCardError::TooLarge { .. } => "RW-C-CARD-TOO-LARGE",
            ReadCardError::Malformed { .. } => "RW-C-CARD-MALFORMED",
            ReadCardError::Contradiction { .. } => "RW-C-CARD-CONTRADICTION",
            ReadCardError::Changes { .. } => "RW-C-CARD-POLICY",
            ReadCardError::OtherCluster { .. } => "RW-C-CARD-OTHER-CLUSTER",
        }
    }
}

/// The policies of a card, oldest first: the founding one and what each change made. A card that was read is whole, so none is left out.
pub fn policies(card: &ClusterCard) -> impl Iterator<Item = PolicyDoc> {
    let changed = card.steps.iter().filter_map(|step| PolicyDoc::decode(&step.signed.policy).ok());
    std::iter::once(card.policy.clone()).chain(changed)
}

/// The newest policy a card pins.
pub fn newest_policy(card: &ClusterCard) -> PolicyDoc {
    policies(card).last().unwrap_or_else(|| card.policy.clone())
}

/// Reads a card file and compares it with the expected cluster, if one is given.
pub fn read_card(path: &Path, expected: Option<ClusterId>) -> Result<ClusterCard, ReadCardError> {
    let failed = |source| ReadCardError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    let most = CARD_FILE_BYTES;
    std::fs::File::open(path).map_err(failed)?.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        return Err(ReadCardError::TooLarge { path: path.into(), most });
    }
    let card = ClusterCard::decode(&bytes).map_err(|source| ReadCardError::Malformed { path: path.into(), source })?;
    let got = card.pinned().map_err(|source| ReadCardError::Contradiction { path: path.into(), source })?;
    if let Err(source) = verify_row(&got, &card.policy, &card.steps) {
        return Err(ReadCardError::Changes { path: path.into(), source });
    }
    match expected {
        Some(expected) if expected != got => Err(ReadCardError::OtherCluster { path: path.into(), got, expected }),
        _ => Ok(card),
    }
}
