//! What collects evidence: the trait behind which hardware and software TEEs stand.
//!
//! Decides: the interface between a node and whatever makes its evidence, and what may go wrong there. Collecting, verifying and appraising
//! are three functions; a collector's word counts for nothing until its evidence was verified and appraised.
//! Trusts: nothing. Out of scope: how a platform makes evidence (`node` for hardware, `sim` for software). Style rule 4.

use alloc::string::String;
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::ids::Vendor;

/// Makes evidence about the machine it runs on.
pub trait Attester: Send + Sync {
    /// The platform's vendor.
    fn vendor(&self) -> Vendor;

    /// Evidence over these 64 bytes. Slow (milliseconds to seconds) and limited in rate by the platform: batch callers.
    fn evidence(&self, report_data: &[u8; 64]) -> Result<Evidence, CollectError>;

    /// What the vendor says about this platform, as fresh as the node could get it.
    fn endorsements(&self) -> Result<Endorsements, CollectError>;
}

/// Why there is no evidence or no endorsement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// The platform offers no attestation, or refuses it.
    #[error("the platform gave no evidence: {reason}; is this a confidential VM, and may this process use its attestation device?")]
    Unavailable {
        /// What the platform said.
        reason: String,
    },
    /// The platform asks to wait.
    #[error("the platform asks to wait {retry_after_ms} ms before the next evidence")]
    Throttled {
        /// Milliseconds.
        retry_after_ms: u64,
    },
    /// What the platform gave is not evidence, or is above the limits of the protocol.
    #[error("the platform's answer cannot be used: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The vendor's certificates or collateral could not be had.
    #[error("no endorsements: {reason}; the node fetches them from the vendor or a cache, check that it may")]
    NoEndorsements {
        /// What went wrong.
        reason: String,
    },
}
