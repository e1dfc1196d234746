//! Which layer a refusal of `dcap-qvl` belongs to.
//!
//! Decides: only how a refusal is named and at which question it stands, never whether there is one: the crate gives prose, our callers match
//! on variants. The tables follow the texts and the order of version 0.7.1, which is pinned exactly; a text they do not know counts as a broken
//! chain. Trusts: nothing. Out of scope: everything else.

use crate::error::VerifyError;
use crate::step::Stage;
use alloc::string::ToString as _;

/// Names the refusal with this text.
pub(crate) fn classify(text: &str, attributes: u64, now_s: u64) -> VerifyError {
    let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    let reason = text.to_string();
    if any(&["TCB status is invalid: Revoked"]) {
        return VerifyError::TdxTcbRevoked;
    }
    if any(&["QE report validation failed"]) {
        return VerifyError::IntelChain { reason };
    }
    if any(&["No matching TCB level", "is below minimum required", "No TDX module identity", "No TCB levels found"]) {
        return VerifyError::TdxTcbBelowAll { reason };
    }
    if any(&["TD attributes", "SEPT_VE_DISABLE", "TD migration", "SERVTD_EXT", "Debug mode", "TD profiling", "MR service TD"]) {
        return VerifyError::TdAttributes { attributes, reason };
    }
    if any(&["CertRevoked"]) {
        return VerifyError::IntelRevocation { reason };
    }
    if any(&["expired", "Expired", "in the future", "NotValidYet"]) {
        return VerifyError::IntelTime { now_s, reason };
    }
    if any(&["CRL", "Crl", "RevocationStatus"]) {
        return VerifyError::IntelRevocation { reason };
    }
    if any(&["ignature is invalid", "InvalidSignature", "QE report hash mismatch"]) {
        return VerifyError::IntelSignature { reason };
    }
    if any(&["Failed to decode", "Failed to parse", "Failed to extract", "BadDer"]) {
        return VerifyError::CollateralMalformed { reason };
    }
    VerifyError::IntelChain { reason }
}

/// Whether a refusal with this text comes after every chain, list and signature of the quote was verified. The quoting enclave's own level is
/// looked at before the quote's signature, so a refusal of it is not among them.
pub(crate) fn comes_after_signatures(text: &str) -> bool {
    const AFTER: [&str; 7] = [
        "TCB status is invalid: Revoked",
        "No matching TCB level",
        "below minimum required from TDX module",
        "No TDX module identity",
        "Reserved bits in TD attributes are set",
        "TD migration is enabled",
        "SEPT_VE_DISABLE is not enabled",
    ];
    AFTER.iter().any(|needle| text.contains(needle))
}

/// The question at which a signature stands: the quote's own, or one of its surroundings.
pub(crate) fn stage_of_signature(reason: &str) -> Stage {
    match ["qe_report in quote", "ISV enclave report", "QE report hash"].iter().any(|needle| reason.contains(needle)) {
        true => Stage::Report,
        false => Stage::Chain,
    }
}

/// The question at which something out of date stands.
pub(crate) fn stage_of_time(reason: &str) -> Stage {
    match reason.contains("Crl") || reason.contains("CRL") {
        true => Stage::Revocation,
        false => Stage::Chain,
    }
}

/// Whether no list says anything about a certificate, as opposed to a list that names it or cannot be believed.
pub(crate) fn is_silent(reason: &str) -> bool {
    reason.contains("UnknownRevocationStatus")
}
