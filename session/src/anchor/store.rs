//! Where an anchor is kept.
//!
//! Decides: the interface, and the store of clients that were given none: memory, which notices a rollback between the sessions of one client
//! and forgets with it. Trusts: a store to return what it was given. Out of scope: files (`client`). Protocol section 5.2.

use super::evidence::EvidenceFile;
use super::heads::{LogForkFile, newer_head};
use super::merge::{Pair, merge};
use super::policies::{PoliciesForked, newer_policy};
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::receipt::{Anchor, Misdeed, Signer};
use ringwall_wire::release::LogHead;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What a store has.
#[derive(Clone, Debug, Default)]
pub struct KeptAnchor {
    /// The anchor.
    pub anchor: Option<Anchor>,
    /// Proofs of who signed its receipts.
    pub signers: Vec<Signer>,
    /// What was detected before, and where its evidence lies.
    pub detected: Option<(Misdeed, String)>,
}

/// What a store has of how the cluster is governed.
#[derive(Clone, Debug, Default)]
pub struct KeptGovernance {
    /// The newest policy that was verified, and how it came about.
    pub policy: Option<KnownPolicy>,
    /// The newest head of the release log that was verified.
    pub head: Option<LogHead>,
    /// That the log was seen to lie, and where the proof is.
    pub detected: Option<(Misdeed, String)>,
}

/// Why an anchor was not kept or not found.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no anchor: it was damaged, or is another file.
    #[error(
        "{} is no anchor: it remembers what this cluster confirmed, so without it a rollback goes unnoticed. Restore it from a copy; \
         moving it away begins anew",
        .path.display()
    )]
    Malformed {
        /// Where.
        path: PathBuf,
    },
    /// Another process of this user saw another history.
    #[error("two processes of this user were shown two histories: {}", .0.0)]
    Contradiction(Pair),
    /// Another process of this user, or another device, was shown another policy.
    #[error(transparent)]
    PoliciesForked(#[from] PoliciesForked),
}

impl AnchorError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            AnchorError::Io { .. } => "RW-C-ANCHOR-IO",
            AnchorError::Malformed { .. } => "RW-C-ANCHOR-MALFORMED",
            AnchorError::Contradiction(_) => "RW-C-FORK-DETECTED",
            AnchorError::PoliciesForked(_) => "RW-C-POLICIES-FORKED",
        }
    }
}

/// Keeps a user's anchor of one cluster. Calls may block; clients make them off their event loops.
pub trait AnchorStore: Send + Sync {
    /// What is kept.
    fn load(&self) -> Result<KeptAnchor, AnchorError>;
    /// Keeps what `anchor` adds to what is kept, on stable storage when this returns, with proofs of who signed it. A crash before that loses
    /// nothing: the older anchor is only weaker.
    fn save(&self, anchor: &Anchor, signers: &[Signer]) -> Result<(), AnchorError>;
    /// Keeps evidence, on stable storage when this returns, and says where; [`AnchorStore::load`] names it from now on.
    fn detected(&self, evidence: &EvidenceFile) -> Result<String, AnchorError>;
    /// What is kept of how the cluster is governed.
    fn governed(&self) -> Result<KeptGovernance, AnchorError>;
    /// Keeps `policy` if it goes on where the one that is kept ends, on stable storage when this returns; gives what is kept then, which is never less.
    fn save_policy(&self, policy: &KnownPolicy) -> Result<KnownPolicy, AnchorError>;
    /// Keeps a head of the release log if it is newer than the one that is kept, on stable storage when this returns.
    fn save_head(&self, head: &LogHead) -> Result<(), AnchorError>;
    /// Keeps the proof that the log lied, on stable storage when this returns, and says where; [`AnchorStore::governed`] names it from now on.
    fn log_lied(&self, proof: &LogForkFile) -> Result<String, AnchorError>;
}

/// Keeps it in memory.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<KeptAnchor>, Mutex<KeptGovernance>);

impl InMemory {
    fn lock(&self) -> std::sync::MutexGuard<'_, KeptAnchor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn governance(&self) -> std::sync::MutexGuard<'_, KeptGovernance> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AnchorStore for InMemory {
    fn load(&self) -> Result<KeptAnchor, AnchorError> {
        Ok(self.lock().clone())
    }

    fn save(&self, anchor: &Anchor, signers: &[Signer]) -> Result<(), AnchorError> {
        let mut kept = self.lock();
        let merged = match &kept.anchor {
            Some(before) => merge(before, anchor).map_err(AnchorError::Contradiction)?,
            None => anchor.clone(),
        };
        kept.signers.extend_from_slice(signers);
        kept.signers.dedup_by_key(|signer| signer.incarnation);
        kept.signers.retain(|signer| merged.receipts().any(|receipt| receipt.head.incarnation == signer.incarnation));
        kept.anchor = Some(merged);
        Ok(())
    }

    fn detected(&self, evidence: &EvidenceFile) -> Result<String, AnchorError> {
        let place =
            format!("the memory of this client only ({} bytes; give it an anchor file to keep such evidence)", evidence.to_bytes().len());
        Ok(self.lock().detected.get_or_insert((evidence.0.misdeed, place)).1.clone())
    }

    fn governed(&self) -> Result<KeptGovernance, AnchorError> {
        Ok(self.governance().clone())
    }

    fn save_policy(&self, policy: &KnownPolicy) -> Result<KnownPolicy, AnchorError> {
        let mut kept = self.governance();
        let newest = match &kept.policy {
            Some(before) => newer_policy(before, policy)?,
            None => policy.clone(),
        };
        Ok(kept.policy.insert(newest).clone())
    }

    fn save_head(&self, head: &LogHead) -> Result<(), AnchorError> {
        let mut kept = self.governance();
        let newest = kept.head.as_ref().map_or(head, |before| newer_head(before, head)).clone();
        kept.head = Some(newest);
        Ok(())
    }

    fn log_lied(&self, proof: &LogForkFile) -> Result<String, AnchorError> {
        let place =
            format!("the memory of this client only ({} bytes; give it an anchor file to keep such evidence)", proof.to_bytes().len());
        Ok(self.governance().detected.get_or_insert((proof.misdeed(), place)).1.clone())
    }
}
