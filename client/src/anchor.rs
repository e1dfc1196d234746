//! What a client remembers of a cluster, and how it notices that the cluster forgot.
//!
//! Decides: where it is kept, for one user and several processes (`files.rs`), and how proofs of what was detected are read (`proofs.rs`). The rules are the
//! core's, `ringwall_session::anchor`, and are named here as well.
//! Not to be confused with trust anchors, the vendors' roots (`ringwall_attest::Anchors`). Trusts: the file system. Out of scope: the rules. Protocol section 5.2.

mod files;
mod proofs;

pub use files::AnchorFiles;
pub use proofs::{ReadEvidenceError, read_evidence, read_log_fork};
pub(crate) use ringwall_session::anchor::verified;
pub use ringwall_session::anchor::{
    Anchor, AnchorError, AnchorStore, Contradiction, EpochFault, EpochTrust, EvidenceFault, EvidenceFile, Findings, InMemory, KeptAnchor,
    KeptGovernance, KnownPolicy, LogForkFault, LogForkFile, Misdeed, Pair, PoliciesForked, Receipt, ReceiptFault, Refused, Session,
    against, against_across, continues_epochs, fits, is_later, merge, newer_head, newer_policy, unbroken_epochs,
};
