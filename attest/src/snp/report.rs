//! The attestation report: 1,184 raw bytes, versions 2, 3 and 5, read field by field.
//!
//! Decides: a report with any other length or version, a reserved byte that is not zero, or a padded signature is refused, so that one meaning
//! has one spelling. Fields are read from the signed bytes themselves; the guest policy stays raw so that no bit can hide.
//! Trusts: nothing until `verify_signature`. Out of scope: the product's TCB layout (`product.rs`), judging (`appraise`).
//! Source: AMD SEV-SNP ABI, ATTESTATION_REPORT; docs/formats.md. Protocol section 1.2, A10.

use super::crl::Revocation;
use super::product;
use crate::claims::SnpClaims;
use crate::error::{TcbKind, VekKind, VerifyError};
use p384::ecdsa::signature::hazmat::PrehashVerifier as _;
use ringwall_wire::counted::{Primitive, count};
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::SNP_REPORT_BYTES;
use ringwall_wire::policy::{ChipId, MeasurementRegister, SnpProduct, SnpTcb};
use ringwall_wire::without::{Defence, left_out};
use sha2::{Digest as _, Sha384};

/// Bytes the signature covers.
const SIGNED_BYTES: usize = 0x2a0;
/// R and S are 48-byte numbers, little-endian, in fields of 72 bytes.
const SCALAR_BYTES: usize = 48;
const SCALAR_FIELD_BYTES: usize = 72;

/// A firmware version: ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirmwareVersion {
    /// Major part.
    pub major: u8,
    /// Minor part.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

impl core::fmt::Display for FirmwareVersion {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// A well-formed report, not yet believed.
pub(crate) struct Report<'a> {
    bytes: &'a [u8; SNP_REPORT_BYTES],
    product: Option<SnpProduct>,
    signed_by: VekKind,
}

impl<'a> Report<'a> {
    /// Reads a report of a known version.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let bytes: &[u8; SNP_REPORT_BYTES] =
            bytes.try_into().map_err(|_| VerifyError::ReportLength { got: bytes.len(), expected: SNP_REPORT_BYTES })?;
        let mut report = Report { bytes, product: None, signed_by: VekKind::Vcek };
        let version = report.version();
        if ![2, 3, 5].contains(&version) {
            return Err(VerifyError::ReportVersion { got: version });
        }
        if !left_out(Defence::ReservedBytes) {
            report.reserved_is_zero()?;
        }
        match report.u32_at(0x34) {
            1 => {}
            got => return Err(VerifyError::SignatureAlgorithm { got }),
        }
        report.signed_by = match report.u32_at(0x48) >> 2 & 0b111 {
            0 => VekKind::Vcek,
            1 => VekKind::Vlek,
            got => return Err(VerifyError::SigningKeyCode { got }),
        };
        if version >= 3 {
            report.product = Some(product::of_cpu(report.byte(0x188), report.byte(0x189))?);
        }
        Ok(report)
    }

    /// Every byte the ABI reserves for this version, and every padding byte of the signature, must be zero.
    fn reserved_is_zero(&self) -> Result<(), VerifyError> {
        let version = self.version();
        let cpuid = if version >= 3 { 0x18b..0x1a0 } else { 0x188..0x1a0 };
        let tail = if version >= 5 { 0x208..SIGNED_BYTES } else { 0x1f8..SIGNED_BYTES };
        // KEY_INFO has five defined bits
        if self.u32_at(0x48) >> 5 != 0 {
            return Err(VerifyError::ReportReserved { offset: 0x48 });
        }
        for range in [0x4c..0x50, cpuid, 0x1eb..0x1ec, 0x1ef..0x1f0, tail] {
            if let Some(offset) = range.into_iter().find(|at| self.byte(*at) != 0) {
                return Err(VerifyError::ReportReserved { offset });
            }
        }
        let r_padding = SIGNED_BYTES + SCALAR_BYTES..SIGNED_BYTES + SCALAR_FIELD_BYTES;
        let s_padding = SIGNED_BYTES + SCALAR_FIELD_BYTES + SCALAR_BYTES..SNP_REPORT_BYTES;
        for range in [r_padding, s_padding] {
            if let Some(offset) = range.into_iter().find(|at| self.byte(*at) != 0) {
                return Err(VerifyError::SignaturePadding { offset });
            }
        }
        Ok(())
    }

    /// Fails unless `key` signed the report.
    pub(crate) fn verify_signature(&self, key: &p384::ecdsa::VerifyingKey) -> Result<(), VerifyError> {
        let scalar = |at: usize| {
            let mut bytes: [u8; SCALAR_BYTES] = self.array(at);
            bytes.reverse();
            bytes
        };
        let signature = p384::ecdsa::Signature::from_scalars(scalar(SIGNED_BYTES), scalar(SIGNED_BYTES + SCALAR_FIELD_BYTES))
            .map_err(|_| VerifyError::ReportSignature)?;
        let (signed, _) = self.bytes.split_at(SIGNED_BYTES);
        count(Primitive::Verify);
        key.verify_prehash(&Sha384::digest(signed), &signature).map_err(|_| VerifyError::ReportSignature)
    }

    /// The product by CPUID; reports of version 2 have none.
    pub(crate) fn product(&self) -> Option<SnpProduct> {
        self.product
    }

    /// Which key the report says signed it.
    pub(crate) fn signed_by(&self) -> VekKind {
        self.signed_by
    }

    /// The chip, zero when masked.
    pub(crate) fn chip_id(&self) -> ChipId {
        ChipId(self.array(0x1a0))
    }

    /// A raw TCB version.
    pub(crate) fn tcb(&self, which: TcbKind) -> u64 {
        self.u64_at(match which {
            TcbKind::Current => 0x38,
            TcbKind::Reported => 0x180,
            TcbKind::Committed => 0x1e0,
            TcbKind::Launch => 0x1f0,
        })
    }

    /// Everything the report says; `tcb` holds current, reported, committed and launch versions.
    pub(crate) fn claims(&self, product: SnpProduct, root: Digest, revocation: Revocation, tcb: [SnpTcb; 4]) -> SnpClaims {
        let [current_tcb, reported_tcb, committed_tcb, launch_tcb] = tcb;
        let firmware = |at: usize| FirmwareVersion { major: self.byte(at + 2), minor: self.byte(at + 1), build: self.byte(at) };
        let key_flags = self.u32_at(0x48);
        let mitigations = |at: usize| (self.version() >= 5).then(|| self.u64_at(at));
        SnpClaims {
            product,
            root,
            revocation,
            report_version: self.version(),
            guest_svn: self.u32_at(0x04),
            guest_policy: self.u64_at(0x08),
            family_id: self.array(0x10),
            image_id: self.array(0x20),
            vmpl: self.u32_at(0x30),
            platform_bits: self.u64_at(0x40),
            signed_by: self.signed_by,
            author_key_used: key_flags & 1 != 0,
            chip_key_masked: key_flags & 2 != 0,
            report_data: self.array(0x50),
            measurement: MeasurementRegister(self.array(0x90)),
            host_data: Digest(self.array(0xc0)),
            id_key_digest: MeasurementRegister(self.array(0xe0)),
            author_key_digest: MeasurementRegister(self.array(0x110)),
            report_id: self.array(0x140),
            report_id_ma: self.array(0x160),
            chip_id: self.chip_id(),
            current_tcb,
            reported_tcb,
            committed_tcb,
            launch_tcb,
            current_version: firmware(0x1e8),
            committed_version: firmware(0x1ec),
            launch_mitigations: mitigations(0x1f8),
            current_mitigations: mitigations(0x200),
        }
    }

    fn version(&self) -> u32 {
        self.u32_at(0)
    }

    fn byte(&self, at: usize) -> u8 {
        *self.bytes.get(at).expect("offsets are constants below the length")
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let field = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
        *field.expect("offsets are constants below the length")
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }
}
