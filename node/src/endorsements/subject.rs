//! What this node needs endorsements for: its newest evidence, and the documents that evidence asks for.
//!
//! Decides: the list of parts, out of the report or quote itself.
//! Trusts: the node's own evidence to name what to ask for, and nothing more. Out of scope: getting it (`keeper`). Protocol section 2.2.

use super::part::Part;
use ringwall_attest::subject::{SnpSubject, TdxSubject};
use ringwall_attest::{VekKind, VerifyError};
use ringwall_wire::evidence::Evidence;
use ringwall_wire::policy::{ChipId, SnpProduct};

/// This machine, as its evidence shows it.
#[derive(Clone, Debug)]
pub struct Subject {
    evidence: Evidence,
    parts: Vec<Part>,
}

/// Why evidence does not say what it needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It is no evidence.
    #[error(transparent)]
    Evidence(#[from] VerifyError),
    /// A report of version 2.
    #[error("the report does not name its product (version 2); set endorsements.amd_product to milan, genoa or turin")]
    ProductUnknown,
    /// The host hides which chip this is.
    #[error("the host masks the chip id, so AMD cannot be asked for the chip's certificate; let the host unmask it (MASK_CHIP_ID)")]
    ChipMasked,
}

impl Subject {
    /// Reads `evidence`; `assumed` is the product of reports that do not name it.
    pub fn of(evidence: &Evidence, assumed: Option<SnpProduct>) -> Result<Self, SubjectError> {
        let parts = match evidence {
            Evidence::Snp(evidence) => snp_parts(&SnpSubject::of(evidence)?, assumed)?,
            Evidence::Tdx(evidence) => {
                let TdxSubject { fmspc, ca } = TdxSubject::of(evidence)?;
                vec![Part::IntelTcbInfo { fmspc }, Part::IntelQeIdentity, Part::IntelPckCrl { ca }, Part::IntelRootCrl]
            }
        };
        Ok(Subject { evidence: evidence.clone(), parts })
    }

    /// The evidence.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What it needs, in the order it is fetched.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

fn snp_parts(subject: &SnpSubject, assumed: Option<SnpProduct>) -> Result<Vec<Part>, SubjectError> {
    let product = subject.product.or(assumed).ok_or(SubjectError::ProductUnknown)?;
    let tcb = subject.reported_tcb(product)?;
    let key = match subject.signed_by {
        VekKind::Vcek if subject.chip_id == ChipId([0; 64]) => return Err(SubjectError::ChipMasked),
        VekKind::Vcek => Part::AmdVcek { product, chip: subject.chip_id, tcb },
        VekKind::Vlek => Part::AmdVlek { product, tcb },
    };
    Ok(vec![key, Part::AmdIntermediate { product, kind: subject.signed_by }, Part::AmdCrl { product }])
}
