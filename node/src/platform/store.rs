//! Where a hardware attester gets endorsements from.
//!
//! Decides: the interface between an attester, which knows its own evidence and what the host stapled to it, and whatever keeps and
//! fetches the vendors' certificates and collateral.
//! Trusts: nothing; whoever verifies judges endorsements, wherever they came from. Out of scope: fetching and caching. Protocol
//! section 2.2.

use ringwall_attest::CollectError;
use ringwall_attest::cert_table::CertTable;
use ringwall_wire::evidence::{SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};

/// Keeps what the vendors say about this machine. Called from threads that may block; answers within seconds.
pub trait EndorsementStore: Send + Sync {
    /// The certificates for this report: VCEK or VLEK as the report says, its issuer, and the product's revocation list (empty when it
    /// could not be had). `stapled` is the host's certificate table when there is a well-formed one; a certificate of it may be used where it
    /// fits the report and need not be.
    fn for_snp(&self, report: &SnpEvidence, stapled: Option<&CertTable>) -> Result<SnpEndorsements, CollectError>;

    /// The collateral for this quote, whose length is exact.
    fn for_tdx(&self, quote: &TdxEvidence) -> Result<TdxEndorsements, CollectError>;
}
