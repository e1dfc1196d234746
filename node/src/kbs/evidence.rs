//! Evidence as guests of Confidential Containers send it, made into what the hardware signed; and what the vendor says beside it.
//!
//! Decides: AMD's report travels as the JSON of its fields (`attestation_report`: crate `sev`, 6 to 8) and is put together again byte for byte, with
//! zeros where AMD reserves them: a field that was changed or left out gives other bytes, whose signature does not verify. `cert_chain` is the host's
//! certificate table, entries by name. Intel's is `quote` and `cc_eventlog`, both base64. What the guest does not bring, the operator's folder has:
//! AMD's revocation list, Intel's collateral. Nothing is fetched.
//! Trusts: nothing. Out of scope: verifying (`attest`). Source: guest-components, `attester/src/snp` and `attester/src/tdx`.

use crate::endorsements::cache::{Folder, Kept};
use crate::endorsements::document::Document;
use crate::endorsements::part::Part;
use crate::endorsements::shelf;
use crate::endorsements::source::Source as _;
use crate::endorsements::subject::Subject;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringwall_attest::exact_quote;
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEvidence, TdxEvidence};
use ringwall_wire::ids::Vendor;
use ringwall_wire::limits::{CRL_BYTES, SNP_REPORT_BYTES};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

/// Entries of a certificate table.
const CERTS: usize = 16;
/// CPUID family of Turin, whose TCB versions have another layout.
const TURIN_FAMILY: u8 = 0x1a;

/// Why there is no evidence to judge.
#[derive(Debug, thiserror::Error)]
pub(super) enum EvidenceError {
    #[error("the evidence is not the JSON of {0}'s attester")]
    Malformed(Vendor),
    #[error("the quote is none: {0}")]
    Quote(String),
    #[error(
        "what the vendor says about this machine is not there: {0}; the guest sends it, or the operator puts it into the folder of kbs.endorsements"
    )]
    Endorsements(String),
}

/// Evidence, and endorsements for it.
pub(super) type Shown = (Evidence, Endorsements);

#[derive(Deserialize)]
struct SnpJson {
    attestation_report: Report,
    #[serde(default)]
    cert_chain: Option<Vec<CertEntry>>,
}

#[derive(Deserialize)]
struct CertEntry {
    cert_type: Value,
    data: Vec<u8>,
}

#[derive(Deserialize)]
struct Report {
    version: u32,
    guest_svn: u32,
    policy: u64,
    family_id: Vec<u8>,
    image_id: Vec<u8>,
    vmpl: u32,
    sig_algo: u32,
    current_tcb: Tcb,
    plat_info: u64,
    key_info: u32,
    report_data: Vec<u8>,
    measurement: Vec<u8>,
    host_data: Vec<u8>,
    id_key_digest: Vec<u8>,
    author_key_digest: Vec<u8>,
    report_id: Vec<u8>,
    report_id_ma: Vec<u8>,
    reported_tcb: Tcb,
    cpuid_fam_id: Option<u8>,
    cpuid_mod_id: Option<u8>,
    cpuid_step: Option<u8>,
    chip_id: Vec<u8>,
    committed_tcb: Tcb,
    current: Version,
    committed: Version,
    launch_tcb: Tcb,
    #[serde(default)]
    launch_mit_vector: Option<u64>,
    #[serde(default)]
    current_mit_vector: Option<u64>,
    signature: Signature,
}

#[derive(Deserialize)]
struct Tcb {
    #[serde(default)]
    fmc: Option<u8>,
    bootloader: u8,
    tee: u8,
    snp: u8,
    microcode: u8,
}

#[derive(Deserialize)]
struct Version {
    major: u8,
    minor: u8,
    build: u8,
}

#[derive(Deserialize)]
struct Signature {
    r: Vec<u8>,
    s: Vec<u8>,
}

#[derive(Deserialize)]
struct TdxJson {
    #[serde(default)]
    cc_eventlog: Option<String>,
    quote: String,
}

/// Reads what a guest of `vendor` sent, and finds endorsements for it.
pub(super) fn read(vendor: Vendor, evidence: &Value, folder: Option<&PathBuf>) -> Result<Shown, EvidenceError> {
    // Older attesters send the same JSON as a string.
    let inner = evidence.as_str().and_then(|text| serde_json::from_str(text).ok());
    let evidence = inner.as_ref().unwrap_or(evidence);
    match vendor {
        Vendor::Amd => amd(evidence, folder),
        Vendor::Intel => intel(evidence, folder),
    }
}

fn amd(json: &Value, folder: Option<&PathBuf>) -> Result<Shown, EvidenceError> {
    let malformed = || EvidenceError::Malformed(Vendor::Amd);
    let SnpJson { attestation_report, cert_chain } = SnpJson::deserialize(json).map_err(|_| malformed())?;
    let report = attestation_report.to_bytes().ok_or_else(malformed)?;
    let report = Blob::new(report.to_vec()).map_err(|_| malformed())?;
    let table = cert_chain.unwrap_or_default();
    if table.len() > CERTS {
        return Err(malformed());
    }
    let evidence = Evidence::Snp(SnpEvidence { report });
    let endorsements = endorsed(&evidence, &table, folder)?;
    Ok((evidence, endorsements))
}

fn intel(json: &Value, folder: Option<&PathBuf>) -> Result<Shown, EvidenceError> {
    let malformed = || EvidenceError::Malformed(Vendor::Intel);
    let TdxJson { cc_eventlog, quote } = TdxJson::deserialize(json).map_err(|_| malformed())?;
    let raw = STANDARD.decode(quote).map_err(|_| malformed())?;
    let quote = exact_quote(&raw).map_err(|fault| EvidenceError::Quote(fault.to_string()))?;
    let quote = Blob::new(quote.bytes).map_err(|fault| EvidenceError::Quote(fault.to_string()))?;
    let log = cc_eventlog.map(|text| STANDARD.decode(text).map_err(|_| malformed())).transpose()?.unwrap_or_default();
    let event_log = Blob::new(log).map_err(|_| malformed())?;
    let evidence = Evidence::Tdx(TdxEvidence { quote, event_log });
    let endorsements = endorsed(&evidence, &[], folder)?;
    Ok((evidence, endorsements))
}

/// Every document the evidence needs: from the table that came with it, else from the operator's folder.
fn endorsed(evidence: &Evidence, table: &[CertEntry], folder: Option<&PathBuf>) -> Result<Endorsements, EvidenceError> {
    let missing = |what: String| EvidenceError::Endorsements(what);
    let subject = Subject::of(evidence, None).map_err(|fault| missing(fault.to_string()))?;
    let folder = folder.map(|folder| Folder::new(folder.clone()));
    let mut held = Vec::new();
    for part in subject.parts() {
        let sent = table.iter().find(|entry| entry.cert_type.as_str() == table_name(part) && entry.data.len() <= CRL_BYTES);
        let document = match (sent.and_then(|entry| Document::der(part, entry.data.clone()).ok()), &folder) {
            (Some(document), _) => Some(document),
            (None, Some(folder)) => folder.fetch(part).ok(),
            (None, None) => None,
        };
        held.extend(document.map(|document| Kept { part: part.clone(), document, fetched_s: 0 }));
    }
    shelf::assemble(&held, &subject).map_err(|part| missing(part.to_string()))
}

/// What crate `sev` calls an entry that holds this document.
fn table_name(part: &Part) -> Option<&'static str> {
    match part {
        Part::AmdVcek { .. } => Some("VCEK"),
        Part::AmdVlek { .. } => Some("VLEK"),
        Part::AmdIntermediate { .. } => Some("ASK"),
        Part::AmdCrl { .. } => Some("CRL"),
        Part::IntelTcbInfo { .. } | Part::IntelQeIdentity | Part::IntelPckCrl { .. } | Part::IntelRootCrl => None,
    }
}

/// A report that is being put together.
struct Sheet([u8; SNP_REPORT_BYTES]);

impl Sheet {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    }

    /// A field of exactly `len` bytes.
    fn exact(&mut self, at: usize, bytes: &[u8], len: usize) -> Option<()> {
        (bytes.len() == len).then(|| self.put(at, bytes))
    }
}

impl Report {
    /// The 1,184 bytes (SEV-SNP firmware ABI, "ATTESTATION_REPORT"); none when a field has another length than AMD gave it.
    fn to_bytes(&self) -> Option<[u8; SNP_REPORT_BYTES]> {
        let mut out = Sheet([0; SNP_REPORT_BYTES]);
        let turin = self.cpuid_fam_id == Some(TURIN_FAMILY);
        let tcb = |tcb: &Tcb| match turin {
            true => [tcb.fmc.unwrap_or(0), tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode],
            false => [tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode],
        };
        out.put(0x00, &self.version.to_le_bytes());
        out.put(0x04, &self.guest_svn.to_le_bytes());
        out.put(0x08, &self.policy.to_le_bytes());
        out.exact(0x10, &self.family_id, 16)?;
        out.exact(0x20, &self.image_id, 16)?;
        out.put(0x30, &self.vmpl.to_le_bytes());
        out.put(0x34, &self.sig_algo.to_le_bytes());
        out.put(0x38, &tcb(&self.current_tcb));
        out.put(0x40, &self.plat_info.to_le_bytes());
        out.put(0x48, &self.key_info.to_le_bytes());
        out.exact(0x50, &self.report_data, 64)?;
        out.exact(0x90, &self.measurement, 48)?;
        out.exact(0xc0, &self.host_data, 32)?;
        out.exact(0xe0, &self.id_key_digest, 48)?;
        out.exact(0x110, &self.author_key_digest, 48)?;
        out.exact(0x140, &self.report_id, 32)?;
        out.exact(0x160, &self.report_id_ma, 32)?;
        out.put(0x180, &tcb(&self.reported_tcb));
        for (at, byte) in [(0x188, self.cpuid_fam_id), (0x189, self.cpuid_mod_id), (0x18a, self.cpuid_step)] {
            out.put(at, &[byte.unwrap_or(0)]);
        }
        out.exact(0x1a0, &self.chip_id, 64)?;
        out.put(0x1e0, &tcb(&self.committed_tcb));
        out.put(0x1e8, &[self.current.build, self.current.minor, self.current.major]);
        out.put(0x1ec, &[self.committed.build, self.committed.minor, self.committed.major]);
        out.put(0x1f0, &tcb(&self.launch_tcb));
        out.put(0x1f8, &self.launch_mit_vector.unwrap_or(0).to_le_bytes());
        out.put(0x200, &self.current_mit_vector.unwrap_or(0).to_le_bytes());
        out.exact(0x2a0, &self.signature.r, 72)?;
        out.exact(0x2a0 + 72, &self.signature.s, 72)?;
        Some(out.0)
    }
}
