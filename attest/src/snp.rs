//! AMD SEV-SNP: from raw report and certificates to claims.
//!
//! Decides: whether a report is genuine: strict layout, pinned root, chain, dates, revocation, chip and firmware of the certificate equal to
//! the report's, and the report's own signature. In this order nothing of the report is believed before its signature was verified; the
//! product is taken from the report (version 3 and later) and must agree with the certificate.
//! Trusts: the given anchors and time. Out of scope: whether the claims are acceptable (`appraise`). Protocol section 2.2, "SNP".

pub mod cert_table;
mod chain;
mod crl;
pub(crate) mod product;
pub(crate) mod report;

pub use crl::Revocation;
pub use report::FirmwareVersion;

use crate::anchors::{Anchors, root_digest};
use crate::claims::SnpClaims;
use crate::error::{TcbKind, VerifyError};
use crate::step::{Stage, Trace};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use ringwall_wire::evidence::{SnpEndorsements, SnpEvidence};
use ringwall_wire::policy::SnpTcb;

/// Verifies a report; returns what it says and writes down why it is believed.
pub(crate) fn verify(
    evidence: &SnpEvidence,
    endorsements: &SnpEndorsements,
    anchors: &Anchors,
    now_s: u64,
    trace: &mut Trace,
) -> Result<SnpClaims, VerifyError> {
    let report = report::Report::parse(&evidence.report)?;
    trace.note(Stage::Report, format!("the report is {} bytes of AMD's layout, every reserved byte zero", evidence.report.len()));
    let chain = chain::verify(endorsements, anchors, report.product(), now_s, trace)?;
    if chain.kind != report.signed_by() {
        return Err(VerifyError::SignerMismatch { report: report.signed_by(), certificate: chain.kind });
    }
    let product = chain.product;
    report.verify_signature(&chain.key)?;
    trace.finish(Stage::Report, format!("the {} of the certificate signed this report (ECDSA P-384 over its first 672 bytes)", chain.kind));
    if let Some(chip) = chain.chip
        && chip != report.chip_id()
    {
        return Err(VerifyError::ChipMismatch { certificate: Box::new(chip), report: Box::new(report.chip_id()) });
    }
    let tcb = |which| product::decode_tcb(product, which, report.tcb(which));
    let (current_tcb, reported_tcb) = (tcb(TcbKind::Current)?, tcb(TcbKind::Reported)?);
    let (committed_tcb, launch_tcb) = (tcb(TcbKind::Committed)?, tcb(TcbKind::Launch)?);
    if chain.tcb != reported_tcb {
        return Err(VerifyError::CertTcb { certificate: chain.tcb, report: reported_tcb });
    }
    trace.finish(
        Stage::Chain,
        match chain.chip {
            Some(_) => "the certificate names the same chip and firmware versions as the report",
            None => "the certificate names the same firmware versions as the report; it is the provider's and names no chip",
        },
    );
    trace.note(Stage::Tcb, format!("the report says it comes from {product:?} with this firmware: {}", tcb_words(&reported_tcb)));

    let root = root_digest(anchors.ark(product).expect("the chain was verified under it"));
    Ok(report.claims(product, root, chain.revocation, [current_tcb, reported_tcb, committed_tcb, launch_tcb]))
}

/// Firmware versions as people read them; a part only Turin has is left out where it is zero.
pub(crate) fn tcb_words(tcb: &SnpTcb) -> String {
    let SnpTcb { fmc, boot_loader, tee, snp, microcode } = tcb;
    let first = if *fmc == 0 { String::new() } else { format!("FMC {fmc}, ") };
    format!("{first}boot loader {boot_loader}, TEE {tee}, SNP {snp}, microcode {microcode}")
}
