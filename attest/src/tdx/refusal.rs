//! Which layer a refusal of `dcap-qvl` belongs to.
//!
//! Decides: only how a refusal is named, never whether there is one: the crate gives prose, our callers match on variants. The table follows
//! the texts of version 0.7.1, which is pinned exactly; a text it does not know counts as a broken chain.
//! Trusts: nothing. Out of scope: everything else.

use crate::error::VerifyError;
use alloc::string::ToString as _;

/// Names the refusal with this text.
pub(crate) fn classify(text: &str, attributes: u64, now_s: u64) -> VerifyError {
    let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    let reason = text.to_string();
    if any(&["TCB status is invalid: Revoked"]) {
        return VerifyError::TdxTcbRevoked;
    }
    if any(&["No matching TCB level", "below minimum required from TDX module", "No TDX module identity", "No matching QE TCB level"]) {
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
