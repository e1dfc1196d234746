//! What a client remembers of a cluster, and how it notices that the cluster forgot.
//!
//! | file | what it decides |
//! |---|---|
//! | `judge.rs` | whether a receipt continues what is known, or contradicts it |
//! | `merge.rs` | what is kept of several receipts |
//! | `keeper.rs` | when a client looks, remembers, and stops for good |
//! | `store.rs` | where it is kept: a value that is called and returns when it is kept |
//! | `evidence.rs` | how a third party verifies what was found, offline |
//! | `epochs.rs` | what may begin a higher epoch |
//! | `governed.rs` | what is remembered of how the cluster is governed, and when |
//! | `policies.rs`, `heads.rs` | which policy, and which head of the release log, is the newer one; proof that a log lied |
//!
//! Not to be confused with trust anchors, the vendors' roots (`ringwall_attest::Anchors`). Protocol section 5.2.

mod epochs;
mod evidence;
mod governed;
mod heads;
mod judge;
mod keeper;
mod merge;
mod policies;
mod store;

pub use epochs::{EpochFault, EpochTrust, continues_epochs, unbroken_epochs};
pub use evidence::{EvidenceFault, EvidenceFile, Findings};
pub use governed::{Governed, Newest, Remembered, log_lied, verified};
pub use heads::{LogForkFault, LogForkFile, newer_head};
pub use judge::{Contradiction, ReceiptFault, Refused, Session, against, against_across, fits, is_later};
pub use keeper::{Begun, Detected, Keeper, Sitting, Trouble};
pub use merge::{Pair, merge};
pub use policies::{PoliciesForked, newer_policy};
pub use ringwall_wire::known::KnownPolicy;
pub use ringwall_wire::receipt::{Anchor, Misdeed, Receipt};
pub use store::{AnchorError, AnchorStore, InMemory, KeptAnchor, KeptGovernance};
