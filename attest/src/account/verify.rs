//! The tables of [`VerifyError`]: evidence that is not genuine, or that nobody can tell to be.
//!
//! Decides: stage, finding, advice, found and expected of each variant. What is absent, not in force or of an unknown layout cannot be told;
//! everything else that does not verify is bad.
//! Trusts: the facts in the error. Out of scope: policy (`account/rejection.rs`). Protocol section 2.2.

use super::{Advice, Facts, Finding, Ruling};
use crate::error::{CertName, VerifyError};
use crate::snp::tcb_words;
use crate::step::{Stage, date};
use crate::tdx::refusal;
use alloc::format;
use alloc::string::ToString as _;

/// Where a certificate's own content belongs.
fn of_cert(which: CertName) -> Stage {
    match which {
        CertName::Ark => Stage::Root,
        CertName::Ask | CertName::Vek => Stage::Chain,
    }
}

/// Where a certificate's signature belongs: the root's own signature ends at the intermediate.
fn of_link(which: CertName) -> Stage {
    match which {
        CertName::Ark | CertName::Ask => Stage::Root,
        CertName::Vek => Stage::Chain,
    }
}

impl VerifyError {
    pub(super) fn ruling(&self) -> Ruling {
        use Advice::{CompareClocks, DoNotUse, RefreshEndorsements, UpdateFirmware, UpdateProgram};
        use Finding::{Bad, CannotTell};
        use VerifyError as E;
        match self {
            E::OtherVendor { .. } => (Stage::Chain, CannotTell, RefreshEndorsements),
            E::ReportLength { .. } | E::ReportReserved { .. } => (Stage::Report, Bad, DoNotUse),
            E::SignatureAlgorithm { .. } | E::SignaturePadding { .. } | E::SigningKeyCode { .. } => (Stage::Report, Bad, DoNotUse),
            E::ReportVersion { .. } | E::ProductUnknown { .. } => (Stage::Report, CannotTell, UpdateProgram),
            E::TcbReserved { .. } => (Stage::Tcb, Bad, DoNotUse),
            E::CertMissing { which } => (of_cert(*which), CannotTell, RefreshEndorsements),
            E::CertMalformed { which, .. } | E::CertConstraints { which } => (of_cert(*which), Bad, DoNotUse),
            E::CrlMalformed { .. } | E::CrlIssuer => (Stage::Revocation, Bad, RefreshEndorsements),
            E::QuoteVersion { .. } | E::QuoteKeyType { .. } => (Stage::Report, CannotTell, UpdateProgram),
            E::QuoteBodyType { .. } | E::QuoteCertType { .. } => (Stage::Report, CannotTell, UpdateProgram),
            E::QuoteTeeType { .. } | E::QuoteLength { .. } => (Stage::Report, Bad, DoNotUse),
            E::CollateralMissing { what } if what.ends_with("revocation list") => (Stage::Revocation, CannotTell, RefreshEndorsements),
            E::CollateralMissing { .. } => (Stage::Chain, CannotTell, RefreshEndorsements),
            E::PemText { .. } => (Stage::Chain, Bad, RefreshEndorsements),
            E::CollateralMalformed { .. } => (Stage::Chain, Bad, RefreshEndorsements),
            E::AnchorMissing { .. } => (Stage::Root, CannotTell, UpdateProgram),
            E::CertNamed { which, .. } => (of_cert(*which), Bad, RefreshEndorsements),
            E::CertIssuer { which } | E::CertAlgorithm { which } | E::CertSignature { which } => (of_link(*which), Bad, DoNotUse),
            E::ProductName { .. } => (Stage::Chain, CannotTell, UpdateProgram),
            E::CertExtension { .. } | E::IntelChain { .. } => (Stage::Chain, Bad, DoNotUse),
            E::ProductMismatch { .. } | E::ChipMismatch { .. } => (Stage::Chain, Bad, RefreshEndorsements),
            E::CertTcb { .. } | E::SignerMismatch { .. } => (Stage::Chain, Bad, RefreshEndorsements),
            E::IntelRoot { .. } => (Stage::Root, Bad, DoNotUse),
            E::ReportSignature => (Stage::Report, Bad, DoNotUse),
            E::CrlSignature | E::CertRevoked { .. } => (Stage::Revocation, Bad, DoNotUse),
            E::IntelSignature { reason } => (refusal::stage_of_signature(reason), Bad, DoNotUse),
            E::CertNotYet { which, .. } | E::CertExpired { which, .. } => (of_cert(*which), CannotTell, CompareClocks),
            E::CrlNotYet { .. } => (Stage::Revocation, CannotTell, CompareClocks),
            E::IntelTime { reason, .. } => (refusal::stage_of_time(reason), CannotTell, CompareClocks),
            E::IntelRevocation { reason } if refusal::is_silent(reason) => (Stage::Revocation, CannotTell, RefreshEndorsements),
            E::IntelRevocation { .. } => (Stage::Revocation, Bad, DoNotUse),
            E::TdxTcbBelowAll { .. } | E::TdxTcbRevoked => (Stage::Tcb, Bad, UpdateFirmware),
            E::TdAttributes { .. } => (Stage::Policy, Bad, Advice::ChangeSettings),
        }
    }

    // tidy: a table of one row a variant, clearer in one piece
    pub(super) fn facts(&self) -> Facts {
        use VerifyError as E;
        let pss = "RSASSA-PSS with SHA-384, MGF1 of SHA-384 and 48 bytes of salt";
        match self {
            E::OtherVendor { evidence, endorsements } => {
                (format!("endorsements from {endorsements}"), format!("endorsements from {evidence}, as the evidence"))
            }
            E::ReportLength { got, expected } => (format!("{got} bytes"), format!("{expected} bytes")),
            E::ReportVersion { got } => (format!("layout version {got}"), "layout version 2, 3 or 5".into()),
            E::ReportReserved { offset } => (format!("a byte at {offset:#x} that is not zero"), "zero, since AMD reserves it".into()),
            E::SignatureAlgorithm { got } => (format!("algorithm {got}"), "algorithm 1 (ECDSA P-384 with SHA-384)".into()),
            E::SignaturePadding { offset } => (format!("a padding byte at {offset:#x} that is not zero"), "zero".into()),
            E::SigningKeyCode { got } => (format!("signing key {got}"), "0 (VCEK) or 1 (VLEK)".into()),
            E::ProductUnknown { family, model } => {
                (format!("CPU family {family:#x} model {model:#x}"), "Milan, Genoa or Turin, which this version knows".into())
            }
            E::TcbReserved { which, raw, product } => {
                (format!("{which} TCB {raw:#018x}"), format!("zero in every byte that {product:?} reserves"))
            }
            E::CertMissing { which } => ("nothing".into(), format!("the {which}")),
            E::CertMalformed { which, what } => (format!("{which}: {what}"), "one well-formed certificate".into()),
            E::CrlMalformed { what } => (format!("a list that is {what}"), "AMD's revocation list, or none".into()),
            E::QuoteVersion { got } => (format!("quote version {got}"), "quote version 4 or 5".into()),
            E::QuoteTeeType { got } => (format!("TEE type {got:#x}"), "TEE type 0x81 (TDX)".into()),
            E::QuoteKeyType { got } => (format!("attestation key type {got}"), "key type 2 (ECDSA P-256)".into()),
            E::QuoteBodyType { got } => (format!("body type {got}"), "body type 2, 3 or 4".into()),
            E::QuoteCertType { got, expected } => (format!("certification data of type {got}"), format!("type {expected}")),
            E::QuoteLength { what, announced, got } => (format!("{what} of {got} bytes"), format!("{announced} bytes, as announced")),
            E::CollateralMissing { what } => ("nothing".into(), (*what).into()),
            E::PemText { what, line } => (format!("other text in line {line} of {what}"), "certificates and nothing else".into()),
            E::CollateralMalformed { reason } => (reason.clone(), "Intel's statements as its service gives them".into()),
            E::AnchorMissing { product } => (format!("evidence of {product:?}"), "a product whose root this program pins".into()),
            E::CertNamed { which, got, expected } => (format!("{which} named {got:?}"), format!("{expected:?}")),
            E::CertIssuer { which } => (format!("{which} that names another issuer"), "the certificate above it as its issuer".into()),
            E::CertConstraints { which } => {
                (format!("{which} with other constraints"), "roots and intermediates that sign, keys that do not".into())
            }
            E::ProductName { name } => (format!("product {name:?}"), "Milan, Genoa or Turin, which this version knows".into()),
            E::ProductMismatch { report, certificate } => {
                (format!("a certificate for {certificate:?}"), format!("one for {report:?}, as the report"))
            }
            E::CertExtension { what } => (format!("no usable {what} in the signing certificate"), format!("the {what} extension")),
            E::ChipMismatch { certificate, report } => {
                (format!("a certificate of chip {certificate}"), format!("one of chip {report}, as the report"))
            }
            E::CertTcb { certificate, report } => {
                (format!("a certificate for {}", tcb_words(certificate)), format!("one for {}, as the report", tcb_words(report)))
            }
            E::SignerMismatch { report, certificate } => {
                (format!("a {certificate} certificate"), format!("a {report}, as the report says"))
            }
            E::IntelRoot { presented, pinned } => (format!("root {presented}"), format!("root {pinned}")),
            E::IntelChain { reason } => (reason.clone(), "certificates and identities that fit each other and the pinned root".into()),
            E::CertAlgorithm { which } => (format!("{which} signed in another way"), pss.into()),
            E::CertSignature { which } => {
                (format!("{which} whose signature does not verify"), "a signature by the certificate above it".into())
            }
            E::ReportSignature => {
                ("a signature that does not verify".into(), "a signature over the report by its certificate's key".into())
            }
            E::CrlSignature => ("a list whose signature does not verify".into(), "a list signed by the pinned root".into()),
            E::IntelSignature { reason } => (reason.clone(), "signatures that verify".into()),
            E::CertNotYet { which, from_s, now_s } => {
                (format!("it is {} by the clock used here", date(*now_s)), format!("{} or later, for the {which}", date(*from_s)))
            }
            E::CertExpired { which, until_s, now_s } => {
                (format!("it is {} by the clock used here", date(*now_s)), format!("{} or earlier, for the {which}", date(*until_s)))
            }
            E::CrlNotYet { from_s, now_s } => {
                (format!("it is {} by the clock used here", date(*now_s)), format!("{} or later, for the revocation list", date(*from_s)))
            }
            E::IntelTime { now_s, reason } => {
                (format!("it is {} by the clock used here: {reason}", date(*now_s)), "certificates, lists and statements in force".into())
            }
            E::CertRevoked { which } => (format!("{which} on AMD's revocation list"), "certificates AMD has not revoked".into()),
            E::CrlIssuer => ("a list of another issuer".into(), "a list issued by the pinned root".into()),
            E::IntelRevocation { reason } => (reason.clone(), "Intel's lists, valid, with none of these certificates on them".into()),
            E::TdxTcbBelowAll { reason } => (reason.clone(), "a level that Intel lists for this platform".into()),
            E::TdxTcbRevoked => ("firmware that Intel revoked".into(), "firmware that Intel stands behind".into()),
            E::TdAttributes { attributes, reason } => (
                format!("TD attributes {attributes:#018x}: {reason}"),
                "no debugging, no migration, pending pages that do not fault".to_string(),
            ),
        }
    }
}
