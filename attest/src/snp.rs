//! AMD SEV-SNP: from raw report and certificates to claims.
//!
//! Decides: whether a report is genuine: strict layout, pinned root, chain, dates, revocation, chip and firmware of the certificate equal to
//! the report's, and the report's own signature. In this order nothing of the report is believed before its signature was verified; the
//! product is taken from the report (version 3 and later) and must agree with the certificate.
//! Trusts: the given anchors and time. Out of scope: whether the claims are acceptable (`appraise`). Protocol section 2.2, "SNP".

mod chain;
mod crl;
mod product;
mod report;

pub use crl::Revocation;
pub use report::FirmwareVersion;

use crate::anchors::{Anchors, root_digest};
use crate::claims::SnpClaims;
use crate::error::{TcbKind, VerifyError};
use crate::step::Step;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use ringwall_wire::evidence::{SnpEndorsements, SnpEvidence};

/// Verifies a report; returns what it says and why it is believed.
pub(crate) fn verify(
    evidence: &SnpEvidence,
    endorsements: &SnpEndorsements,
    anchors: &Anchors,
    now_s: u64,
) -> Result<(SnpClaims, Vec<Step>), VerifyError> {
    let report = report::Report::parse(&evidence.report)?;
    let mut steps = Vec::new();
    let chain = chain::verify(endorsements, anchors, report.product(), now_s)?;
    if chain.kind != report.signed_by() {
        return Err(VerifyError::SignerMismatch { report: report.signed_by(), certificate: chain.kind });
    }
    let product = chain.product;
    steps.push(Step::new(format!("AMD root certificate (ARK-{product:?}) pinned by this program signed AMD's intermediate certificate")));
    steps.push(Step::new(format!("AMD's intermediate certificate signed the {} certificate; all are in force", chain.kind)));
    steps.push(Step::new(chain.revocation.explain(now_s)));

    report.verify_signature(&chain.key)?;
    steps.push(Step::new("the chip's key signed this report (ECDSA P-384 over its first 672 bytes)"));
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
    steps.push(Step::new("the certificate names the same chip and firmware versions as the report"));

    let root = root_digest(anchors.ark(product).expect("the chain was verified under it"));
    let claims = report.claims(product, root, chain.revocation, [current_tcb, reported_tcb, committed_tcb, launch_tcb]);
    Ok((claims, steps))
}
