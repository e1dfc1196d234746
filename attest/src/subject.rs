//! Which endorsements a piece of evidence needs: what to ask its vendor for.
//!
//! Decides: product, chip and firmware of a report; platform family and issuing CA of a quote. Read before anything is verified, so it names
//! what to fetch and proves nothing: whoever fetched endorsements verifies them with the evidence.
//! Trusts: nothing. Out of scope: fetching (`node`), judging (`verify`). Sources: AMD 57230 (VCEK certificate and KDS interface) section 4;
//! Intel PCK certificate specification section 1.3.5; Intel PCS v4. Protocol section 2.2.

use crate::error::{TcbKind, VekKind, VerifyError};
use crate::snp::{product, report::Report};
use crate::tdx::frame::Frame;
use alloc::format;
use dcap_qvl::config::PckCa as IssuingCa;
use dcap_qvl::configs::RustCryptoConfig;
use dcap_qvl::intel;
use dcap_qvl::quote::Quote;
use ringwall_wire::evidence::{SnpEvidence, TdxEvidence};
use ringwall_wire::policy::{ChipId, Fmspc, SnpProduct, SnpTcb};

/// What an SNP report says about the key that signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnpSubject {
    /// The product by CPUID; reports of version 2 have none.
    pub product: Option<SnpProduct>,
    /// VCEK or VLEK.
    pub signed_by: VekKind,
    /// The chip, all zero when masked.
    pub chip_id: ChipId,
    /// The firmware the signing key was derived for, raw: its layout is the product's.
    reported_tcb: u64,
}

impl SnpSubject {
    /// Reads a report of a version this program knows.
    pub fn of(evidence: &SnpEvidence) -> Result<Self, VerifyError> {
        let report = Report::parse(&evidence.report)?;
        Ok(SnpSubject {
            product: report.product(),
            signed_by: report.signed_by(),
            chip_id: report.chip_id(),
            reported_tcb: report.tcb(TcbKind::Reported),
        })
    }

    /// The firmware the signing key was derived for, in the layout of `product`.
    pub fn reported_tcb(&self, product: SnpProduct) -> Result<SnpTcb, VerifyError> {
        product::decode_tcb(product, TcbKind::Reported, self.reported_tcb)
    }
}

/// Bytes of a chip id that name the chip on this product (`hwID`); the rest is zero.
pub fn hardware_id_bytes(product: SnpProduct) -> usize {
    product::hardware_id_bytes(product)
}

/// Which of Intel's CAs issued a platform's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PckCa {
    /// Multi-package platforms; what TDX servers have.
    Platform,
    /// Single-package platforms.
    Processor,
}

/// What a TDX quote says about its platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdxSubject {
    /// Platform family.
    pub fmspc: Fmspc,
    /// Issuer of the platform's key.
    pub ca: PckCa,
}

impl TdxSubject {
    /// Reads the platform's certificate out of a quote of exact length.
    pub fn of(evidence: &TdxEvidence) -> Result<Self, VerifyError> {
        Frame::parse(&evidence.quote)?;
        let read = Quote::parse(&evidence.quote).and_then(|quote| {
            let fmspc = intel::quote_fmspc_with::<RustCryptoConfig>(&quote)?;
            Ok((fmspc, intel::quote_ca_with::<RustCryptoConfig>(&quote)?))
        });
        let (fmspc, ca) = read.map_err(|error| VerifyError::IntelChain { reason: format!("{error:#}") })?;
        let ca = match ca {
            IssuingCa::Platform => PckCa::Platform,
            IssuingCa::Processor => PckCa::Processor,
        };
        Ok(TdxSubject { fmspc: Fmspc(fmspc), ca })
    }
}
