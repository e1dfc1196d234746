//! Endorsements out of what the host handed over with the report, and nothing else.
//!
//! Decides: which certificates of a table fit a report: the signing key's as the report names it, AMD's intermediate, and the list if there
//! is one. Machines whose hosts hand out certificates need no network for them.
//! Trusts: nothing; the certificates are judged with the report like any others. Out of scope: fetching and caching. Protocol section 2.2.

use super::store::EndorsementStore;
use ringwall_attest::CollectError;
use ringwall_attest::cert_table::{CertTable, Guid};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{SnpEndorsements, SnpEvidence, TdxEndorsements, TdxEvidence};

/// Offset of KEY_INFO in an SNP report: bits 2 to 4 name the signing key, 1 for a VLEK.
const KEY_INFO_AT: usize = 0x48;

/// The table's certificates for this report, when both are there. The list is empty when the table has none.
pub fn from_table(report: &SnpEvidence, table: &CertTable) -> Option<SnpEndorsements> {
    let signed_by = report.report.get(KEY_INFO_AT).map(|flags| flags >> 2 & 0b111)?;
    let vek = table.get(if signed_by == 1 { Guid::VLEK } else { Guid::VCEK })?;
    let ask = table.get(Guid::ASK)?;
    let crl = table.get(Guid::CRL).unwrap_or_default();
    Some(SnpEndorsements { vek: Blob::new(vek).ok()?, ask: Blob::new(ask).ok()?, crl: Blob::new(crl).ok()? })
}

/// A store of nothing: only what is stapled counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stapled;

impl EndorsementStore for Stapled {
    fn for_snp(&self, report: &SnpEvidence, stapled: Option<&CertTable>) -> Result<SnpEndorsements, CollectError> {
        let found = stapled.and_then(|table| from_table(report, table));
        found.ok_or_else(|| CollectError::NoEndorsements {
            reason: "the host handed over no certificates for this report, and nothing is fetched here".to_owned(),
        })
    }

    fn for_tdx(&self, _quote: &TdxEvidence) -> Result<TdxEndorsements, CollectError> {
        Err(CollectError::NoEndorsements { reason: "a quote comes without Intel's collateral, and nothing is fetched here".to_owned() })
    }
}
