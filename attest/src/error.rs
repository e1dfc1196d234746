//! Why evidence is not genuine: one closed enum with the facts of each refusal.
//!
//! Decides: the vocabulary of the verifying half (layers parse, chain, signature, time, revocation; for Intel also what its collateral says
//! of a platform nobody may accept). Every variant says what failed, what was expected, and what a person can do.
//! Trusts: nothing. Out of scope: refusals by policy (`rejection.rs`), how a refusal is read (`account.rs`). Protocol section 2.2.

use alloc::boxed::Box;
use alloc::string::String;
use ringwall_wire::ids::{Digest, Vendor};
use ringwall_wire::policy::{ChipId, SnpProduct, SnpTcb};

/// Which part of the judgement refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The bytes are not evidence or endorsements of a known kind.
    Parse,
    /// The certificates do not lead from a pinned root to the key that signed, or name another chip.
    Chain,
    /// A signature does not verify.
    Signature,
    /// Something is not in force at the given time.
    Time,
    /// Something was revoked, or a revocation list cannot be believed.
    Revocation,
    /// The evidence is genuine and was made for something else.
    Binding,
    /// The firmware is too old.
    Tcb,
    /// The policy does not accept what the evidence says.
    Policy,
}

impl core::fmt::Display for Layer {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Layer::Parse => "parse",
            Layer::Chain => "chain",
            Layer::Signature => "signature",
            Layer::Time => "time",
            Layer::Revocation => "revocation",
            Layer::Binding => "binding",
            Layer::Tcb => "tcb",
            Layer::Policy => "policy",
        })
    }
}

/// One of AMD's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertName {
    /// The pinned root.
    Ark,
    /// The intermediate: ASK for chip keys, ASVK for provider keys.
    Ask,
    /// The key that signs reports: VCEK (one chip) or VLEK (a provider).
    Vek,
}

impl core::fmt::Display for CertName {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            CertName::Ark => "AMD root certificate (ARK)",
            CertName::Ask => "AMD intermediate certificate (ASK/ASVK)",
            CertName::Vek => "report-signing certificate (VCEK/VLEK)",
        })
    }
}

/// Which of a report's four firmware version sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcbKind {
    /// What runs now.
    Current,
    /// What the signing key was derived for.
    Reported,
    /// What the firmware can no longer be rolled back below.
    Committed,
    /// What ran when the guest was launched.
    Launch,
}

impl core::fmt::Display for TcbKind {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            TcbKind::Current => "current",
            TcbKind::Reported => "reported",
            TcbKind::Committed => "committed",
            TcbKind::Launch => "launch",
        })
    }
}

/// Which key signs a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VekKind {
    /// Versioned chip endorsement key: one chip.
    Vcek,
    /// Versioned loaded endorsement key: many chips of one provider.
    Vlek,
}

impl core::fmt::Display for VekKind {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            VekKind::Vcek => "VCEK",
            VekKind::Vlek => "VLEK",
        })
    }
}

/// Why evidence does not verify against roots, endorsements and a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum VerifyError {
    /// Evidence and endorsements come from different vendors.
    #[error("the evidence is from {evidence}, the endorsements are from {endorsements}: staple the endorsements of the same vendor")]
    OtherVendor { evidence: Vendor, endorsements: Vendor },
    /// A report is not 1,184 bytes.
    #[error("an SNP report is {expected} bytes, got {got}")]
    ReportLength { got: usize, expected: usize },
    /// A report version this program does not know field by field.
    #[error("report version {got} is not one of 2, 3, 5: this program refuses layouts it does not know")]
    ReportVersion { got: u32 },
    /// A reserved byte of the report is not zero.
    #[error("reserved byte {offset:#x} of the report is not zero")]
    ReportReserved { offset: usize },
    /// The report names another signature algorithm than ECDSA P-384 with SHA-384.
    #[error("the report's signature algorithm is {got}, expected 1 (ECDSA P-384, SHA-384)")]
    SignatureAlgorithm { got: u32 },
    /// A padding byte of the report's signature is not zero.
    #[error("padding byte {offset:#x} of the report's signature is not zero")]
    SignaturePadding { offset: usize },
    /// The report names a signing key that is neither VCEK nor VLEK.
    #[error("the report's signing-key code is {got}, expected 0 (VCEK) or 1 (VLEK)")]
    SigningKeyCode { got: u32 },
    /// The CPU family and model belong to no product this program has a root and a layout for.
    #[error("CPU family {family:#x} model {model:#x} is no product this program knows (Milan, Genoa, Turin): upgrade the program")]
    ProductUnknown { family: u8, model: u8 },
    /// A reserved byte in a TCB version is not zero for this product's layout.
    #[error("the {which} TCB {raw:#018x} has bits set that {product:?} reserves")]
    TcbReserved { which: TcbKind, raw: u64, product: SnpProduct },
    /// A certificate that has to stand beside the evidence is not there.
    #[error("there is no {which} beside the evidence: the node has to staple it")]
    CertMissing { which: CertName },
    /// A certificate is not DER of the expected shape.
    #[error("{which}: {what}")]
    CertMalformed { which: CertName, what: &'static str },
    /// A revocation list is not DER of the expected shape.
    #[error("AMD revocation list: {what}")]
    CrlMalformed { what: &'static str },
    /// The quote has another version than 4 or 5.
    #[error("quote version {got} is not one of 4, 5")]
    QuoteVersion { got: u16 },
    /// The quote is not of a TD.
    #[error("the quote's TEE type is {got:#x}, expected 0x81 (TDX)")]
    QuoteTeeType { got: u32 },
    /// The quote is not signed with ECDSA P-256.
    #[error("the quote's attestation key type is {got}, expected 2 (ECDSA P-256)")]
    QuoteKeyType { got: u16 },
    /// The quote has a body this program does not know.
    #[error("the quote's body type is {got}, expected 2, 3 or 4")]
    QuoteBodyType { got: u16 },
    /// The quote certifies its key in another way than a PCK chain inside a QE report.
    #[error("the quote's certification data is of type {got}, expected {expected}")]
    QuoteCertType { got: u16, expected: u16 },
    /// A part of the quote is shorter or longer than announced.
    #[error("{what} of the quote: {announced} bytes announced, {got} there (cut the quote to its exact length)")]
    QuoteLength { what: &'static str, announced: usize, got: usize },
    /// A part of Intel's collateral is not there.
    #[error("{what} is not beside the evidence: the node has to staple it")]
    CollateralMissing { what: &'static str },
    /// A chain of certificates holds something else.
    #[error("{what} holds something other than certificates in line {line}: cut whatever stands around them")]
    PemText { what: &'static str, line: usize },
    /// Intel's collateral cannot be read.
    #[error("Intel collateral cannot be read: {reason}")]
    CollateralMalformed { reason: String },

    /// No root is pinned for the product.
    #[error("no AMD root is pinned for {product:?}")]
    AnchorMissing { product: SnpProduct },
    /// A certificate has another name than its place in the chain demands.
    #[error("{which} is named {got:?}, expected {expected:?}")]
    CertNamed { which: CertName, got: String, expected: String },
    /// A certificate does not name the one above it as its issuer.
    #[error("{which} was not issued by the certificate above it")]
    CertIssuer { which: CertName },
    /// A certificate that signs others may not do so, or one that must not sign others may.
    #[error("{which}: its basic constraints do not fit its place in the chain")]
    CertConstraints { which: CertName },
    /// The certificate names a product nobody knows.
    #[error("the signing certificate is for product {name:?}, which this program does not know")]
    ProductName { name: String },
    /// The report's CPU and the certificate's product differ.
    #[error("the report comes from {report:?}, its certificate is for {certificate:?}")]
    ProductMismatch { report: SnpProduct, certificate: SnpProduct },
    /// The certificate lacks something the report must be compared with.
    #[error("the signing certificate has no usable {what} extension")]
    CertExtension { what: &'static str },
    /// The certificate is another chip's.
    #[error("the certificate is of chip {certificate}, the report of chip {report}")]
    ChipMismatch { certificate: Box<ChipId>, report: Box<ChipId> },
    /// The certificate is for other firmware than the report.
    #[error("the certificate is for firmware {certificate:?}, the report was signed under {report:?}")]
    CertTcb { certificate: SnpTcb, report: SnpTcb },
    /// The report names one kind of key, the certificate is of the other.
    #[error("the report says {report} signed it, the certificate is a {certificate}")]
    SignerMismatch { report: VekKind, certificate: VekKind },
    /// The quote's chain ends in another root than the pinned one.
    #[error("the quote's chain ends in root {presented}, pinned is {pinned}")]
    IntelRoot { presented: Digest, pinned: Digest },
    /// Intel's certificates do not lead from the pinned root to the quote.
    #[error("Intel's certificates or identities do not fit: {reason}")]
    IntelChain { reason: String },

    /// A signature of the chain is not RSASSA-PSS with SHA-384 and 48 bytes of salt.
    #[error("{which} is not signed with RSASSA-PSS, SHA-384, salt 48")]
    CertAlgorithm { which: CertName },
    /// A certificate's signature does not verify.
    #[error("{which}: its signature does not verify under the certificate above it (is the right root pinned?)")]
    CertSignature { which: CertName },
    /// The report's signature does not verify.
    #[error("the report's signature does not verify under its certificate")]
    ReportSignature,
    /// The revocation list's signature does not verify.
    #[error("the revocation list's signature does not verify under the pinned root")]
    CrlSignature,
    /// A signature in the quote or the collateral does not verify.
    #[error("a signature of the quote or its collateral does not verify: {reason}")]
    IntelSignature { reason: String },

    /// A certificate is not in force yet.
    #[error("{which} is in force from {from_s} (Unix seconds), it is {now_s}: check the clock")]
    CertNotYet { which: CertName, from_s: u64, now_s: u64 },
    /// A certificate has expired.
    #[error("{which} expired at {until_s} (Unix seconds), it is {now_s}: fetch a new one")]
    CertExpired { which: CertName, until_s: u64, now_s: u64 },
    /// A revocation list was issued in the future.
    #[error("the revocation list was issued at {from_s} (Unix seconds), it is {now_s}: check the clock")]
    CrlNotYet { from_s: u64, now_s: u64 },
    /// Intel's collateral or certificates are not in force.
    #[error("Intel's collateral is not in force at {now_s} (Unix seconds): {reason}; fetch fresh collateral")]
    IntelTime { now_s: u64, reason: String },

    /// A certificate was revoked.
    #[error("{which} was revoked by AMD")]
    CertRevoked { which: CertName },
    /// The revocation list is another issuer's.
    #[error("the revocation list was not issued by the pinned root")]
    CrlIssuer,
    /// Intel revoked a certificate, or its revocation lists cannot be believed.
    #[error("Intel's revocation lists refuse: {reason}")]
    IntelRevocation { reason: String },

    /// No TCB level of the collateral describes the platform: older than anything Intel lists.
    #[error("the platform's firmware is below every level Intel lists: {reason}; update it")]
    TdxTcbBelowAll { reason: String },
    /// Intel revoked the platform's firmware version.
    #[error("Intel revoked the platform's firmware version; update it")]
    TdxTcbRevoked,
    /// The TD's attributes are ones no policy can accept.
    #[error("TD attributes {attributes:#018x} are never acceptable: {reason}")]
    TdAttributes { attributes: u64, reason: String },
}

impl VerifyError {
    /// The layer that refused.
    pub fn layer(&self) -> Layer {
        use VerifyError as E;
        match self {
            E::OtherVendor { .. } | E::ReportLength { .. } | E::ReportVersion { .. } | E::ReportReserved { .. } => Layer::Parse,
            E::SignatureAlgorithm { .. } | E::SignaturePadding { .. } | E::SigningKeyCode { .. } => Layer::Parse,
            E::ProductUnknown { .. } | E::TcbReserved { .. } | E::CertMissing { .. } | E::CertMalformed { .. } => Layer::Parse,
            E::CrlMalformed { .. } | E::CollateralMissing { .. } => Layer::Parse,
            E::QuoteVersion { .. } | E::QuoteTeeType { .. } | E::QuoteKeyType { .. } | E::QuoteBodyType { .. } => Layer::Parse,
            E::QuoteCertType { .. } | E::QuoteLength { .. } | E::CollateralMalformed { .. } | E::PemText { .. } => Layer::Parse,
            E::AnchorMissing { .. } | E::CertNamed { .. } | E::CertIssuer { .. } | E::CertConstraints { .. } => Layer::Chain,
            E::ProductName { .. } | E::ProductMismatch { .. } | E::CertExtension { .. } | E::ChipMismatch { .. } => Layer::Chain,
            E::CertTcb { .. } | E::SignerMismatch { .. } | E::IntelRoot { .. } | E::IntelChain { .. } => Layer::Chain,
            E::CertAlgorithm { .. } | E::CertSignature { .. } | E::ReportSignature | E::CrlSignature => Layer::Signature,
            E::IntelSignature { .. } => Layer::Signature,
            E::CertNotYet { .. } | E::CertExpired { .. } | E::CrlNotYet { .. } | E::IntelTime { .. } => Layer::Time,
            E::CertRevoked { .. } | E::CrlIssuer | E::IntelRevocation { .. } => Layer::Revocation,
            E::TdxTcbBelowAll { .. } | E::TdxTcbRevoked => Layer::Tcb,
            E::TdAttributes { .. } => Layer::Policy,
        }
    }
}
