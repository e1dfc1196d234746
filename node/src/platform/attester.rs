//! The attester of this machine: the kernel's report folder on one side, evidence and endorsements on the other.
//!
//! Decides: an answer counts as evidence only when it has the form of the provider's vendor and carries the 64 bytes that were asked for;
//! a quote is cut to its exact length; a certificate table that is none is left out, because certificates can be had elsewhere.
//! Trusts: nothing it read; the node judges its own evidence before anybody else does. Out of scope: the file protocol (`tsm`), fetching
//! (`store`). Protocol section 2.2.

use super::PlatformError;
use super::store::EndorsementStore;
use super::tsm::{Answer, Entry, Provider};
use super::tsm_fs::TsmFs;
use ringwall_attest::cert_table::{self, CertTable, CertTableError};
use ringwall_attest::{Attester, CollectError, exact_quote};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEvidence, TdxEvidence};
use ringwall_wire::ids::Vendor;
use ringwall_wire::limits::{EVENT_LOG_BYTES, SNP_REPORT_BYTES};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Offset of REPORT_DATA in an SNP report.
const SNP_REPORT_DATA_AT: usize = 0x50;

/// Collects evidence from the kernel.
pub struct TsmAttester {
    fs: Arc<dyn TsmFs>,
    adopted: Option<String>,
    provider: Provider,
    store: Arc<dyn EndorsementStore>,
    event_log: Blob<EVENT_LOG_BYTES>,
    last: Mutex<Option<Collected>>,
}

/// One piece of evidence, with what was beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The evidence, made for what was asked.
    pub evidence: Evidence,
    /// The host's certificate table; empty on Intel.
    pub table: Result<CertTable, CertTableError>,
    /// Generation of the entry it came from.
    pub generation: u64,
    /// Privilege level it was asked for; only AMD has them.
    pub privlevel: Option<u32>,
    /// Bytes of the answer, padding included.
    pub outblob_bytes: usize,
    /// Bytes of the certificate table.
    pub auxblob_bytes: usize,
    /// Tries it took.
    pub tries: u32,
}

impl TsmAttester {
    /// Asks the kernel who answers for reports. With `adopted`, the entry of this name is used and left in place; otherwise each request has
    /// an entry of its own.
    pub fn open(fs: Arc<dyn TsmFs>, adopted: Option<String>, store: Arc<dyn EndorsementStore>) -> Result<Self, PlatformError> {
        let provider = entry(fs.as_ref(), adopted.as_deref()).and_then(|entry| entry.provider())?;
        Ok(TsmAttester { fs, adopted, provider, store, event_log: Blob::default(), last: Mutex::new(None) })
    }

    /// The same, sending this log of the firmware's boot events beside each quote. It is the host's to write: whoever judges the quote
    /// compares it with the signed registers.
    #[must_use]
    pub fn with_event_log(self, event_log: Blob<EVENT_LOG_BYTES>) -> Self {
        TsmAttester { event_log, ..self }
    }

    /// Who answers for reports.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Evidence over these 64 bytes, with everything that came with it. Blocks, see [`Entry::report`].
    pub fn collect(&self, report_data: &[u8; 64]) -> Result<Collected, CollectError> {
        let answer = entry(self.fs.as_ref(), self.adopted.as_deref())?.report(report_data)?;
        let mut collected = read_answer(&answer, report_data)?;
        if let Evidence::Tdx(evidence) = &mut collected.evidence {
            evidence.event_log = self.event_log.clone();
        }
        *self.last() = Some(collected.clone());
        Ok(collected)
    }

    /// What the vendor says about the platform this was collected on.
    pub fn endorse(&self, collected: &Collected) -> Result<Endorsements, CollectError> {
        match &collected.evidence {
            Evidence::Snp(report) => {
                let stapled = collected.table.as_ref().ok().filter(|table| !table.is_empty());
                self.store.for_snp(report, stapled).map(Endorsements::Snp)
            }
            Evidence::Tdx(quote) => self.store.for_tdx(quote).map(Endorsements::Tdx),
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Collected>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attester for TsmAttester {
    fn vendor(&self) -> Vendor {
        match self.provider {
            Provider::SevGuest => Vendor::Amd,
            Provider::TdxGuest => Vendor::Intel,
        }
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Evidence, CollectError> {
        let collected = self.collect(report_data)?;
        if let Err(fault) = &collected.table {
            tracing::warn!(%fault, "the host's certificate table is left out");
        }
        Ok(collected.evidence)
    }

    fn endorsements(&self) -> Result<Endorsements, CollectError> {
        // All evidence of one machine needs the same endorsements until its firmware is updated: the newest evidence says which.
        let last = self.last().clone();
        match last {
            Some(collected) => self.endorse(&collected),
            None => self.endorse(&self.collect(&[0; 64])?),
        }
    }
}

impl core::fmt::Debug for TsmAttester {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "TsmAttester({})", self.provider.name())
    }
}

fn entry<'a>(fs: &'a dyn TsmFs, adopted: Option<&str>) -> Result<Entry<'a>, super::tsm_fault::TsmError> {
    match adopted {
        Some(name) => Ok(Entry::adopt(fs, name)),
        None => Entry::make(fs),
    }
}

/// The answer as evidence of the provider's vendor over `report_data`.
fn read_answer(answer: &Answer, report_data: &[u8; 64]) -> Result<Collected, CollectError> {
    let malformed = |reason: String| CollectError::Malformed { reason };
    let (evidence, carried, table) = match answer.provider {
        Provider::SevGuest => {
            if answer.outblob.len() != SNP_REPORT_BYTES {
                return Err(malformed(format!("a report of {} bytes, expected {SNP_REPORT_BYTES}", answer.outblob.len())));
            }
            let carried = answer.outblob.get(SNP_REPORT_DATA_AT..).and_then(|rest| rest.first_chunk::<64>().copied());
            let report = Blob::new(answer.outblob.clone()).map_err(|fault| malformed(fault.to_string()))?;
            (Evidence::Snp(SnpEvidence { report }), carried, cert_table::parse(&answer.auxblob))
        }
        Provider::TdxGuest => {
            let quote = exact_quote(&answer.outblob).map_err(|fault| malformed(fault.to_string()))?;
            let carried = Some(*quote.report_data);
            let quote = Blob::new(quote.bytes).map_err(|fault| malformed(fault.to_string()))?;
            (Evidence::Tdx(TdxEvidence { quote, event_log: Blob::default() }), carried, Ok(CertTable::default()))
        }
    };
    if carried.as_ref() != Some(report_data) {
        return Err(malformed("it was made for other 64 bytes than were asked for; is this a recorded answer?".to_owned()));
    }
    Ok(Collected {
        evidence,
        table,
        generation: answer.generation,
        privlevel: answer.privlevel,
        outblob_bytes: answer.outblob.len(),
        auxblob_bytes: answer.auxblob.len(),
        tries: answer.tries,
    })
}
