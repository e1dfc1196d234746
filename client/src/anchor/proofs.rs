//! Reading proofs of what a cluster or a release log did from files.
//!
//! Decides: a file is read to its limit and no further, and what is said of one that holds no proof. Trusts: nothing in the file: who reads it verifies it.
//! Out of scope: what a proof must show (`ringwall_session::anchor`), writing (`files.rs`). docs/formats.md, "Receipts".

use crate::checksummed::{self, NotRead};
use ringwall_session::anchor::{EvidenceFile, LogForkFile};
use ringwall_wire::limits::{FORK_PROOF_BYTES, RECEIPT_EVIDENCE_BYTES};
use std::path::{Path, PathBuf};

/// Why a file holds no evidence.
#[derive(Debug, thiserror::Error)]
pub enum ReadEvidenceError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is too large, its checksum does not fit, or it is another file.
    #[error("{} is no evidence file, or it is damaged: get another copy of it", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
    },
}

impl ReadEvidenceError {
    fn of(path: &Path, why: NotRead) -> Self {
        match why {
            NotRead::Io(source) => ReadEvidenceError::Io { path: path.into(), source },
            NotRead::Unread(_) => ReadEvidenceError::Malformed { path: path.into() },
        }
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        "RW-C-INPUT"
    }
}

/// Reads evidence of a rollback or a fork.
pub fn read_evidence(path: &Path) -> Result<EvidenceFile, ReadEvidenceError> {
    checksummed::read(path, RECEIPT_EVIDENCE_BYTES).map(EvidenceFile).map_err(|why| ReadEvidenceError::of(path, why))
}

/// Reads the proof that a release log lied.
pub fn read_log_fork(path: &Path) -> Result<LogForkFile, ReadEvidenceError> {
    checksummed::read(path, FORK_PROOF_BYTES).map(LogForkFile).map_err(|why| ReadEvidenceError::of(path, why))
}
