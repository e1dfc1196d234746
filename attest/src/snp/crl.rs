//! AMD's revocation lists: which intermediates AMD no longer stands behind.
//!
//! Decides: a list that is present must be the pinned root's and verify; a certificate it names is refused for ever, also by an outdated list.
//! A missing or outdated list is a fact for the policy, not a silent pass. Chip certificates all have serial 0, so no list can name one chip:
//! chips are kept out by the policy's allow-list and TCB minima.
//! Trusts: the pinned root. Out of scope: Intel's lists (`tdx.rs`). Evidence notes section 3; protocol section 1.2, A11.

use crate::error::{CertName, VerifyError};
use crate::step::date;
use crate::x509::{Cert, is_pss_sha384, split_signed};
use alloc::format;
use alloc::string::String;
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode as _, Encode as _};
use x509_cert::crl::CertificateList;

const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");

/// What is known about revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// A list in force names none of the certificates.
    Current {
        /// The list's number, when it has one that fits.
        number: Option<u64>,
        /// When AMD issued it, Unix seconds.
        issued_s: u64,
        /// Until when it is in force, Unix seconds.
        next_update_s: u64,
    },
    /// The newest list at hand is outdated; it names none of the certificates.
    Stale {
        /// The list's number, when it has one that fits.
        number: Option<u64>,
        /// Until when it was in force, Unix seconds; 0 when it did not say.
        next_update_s: u64,
    },
    /// There is no list.
    Absent,
}

impl Revocation {
    /// In words for people.
    pub(crate) fn explain(&self, now_s: u64) -> String {
        match self {
            Revocation::Current { number, issued_s, next_update_s } => {
                let number = number.map_or_else(String::new, |number| format!(" no. {number}"));
                let (issued, until) = (date(*issued_s), date(*next_update_s));
                format!("AMD's revocation list{number} of {issued}, in force until {until}, names none of these certificates")
            }
            Revocation::Stale { next_update_s, .. } => {
                let days = now_s.saturating_sub(*next_update_s) / 86_400;
                format!("AMD's revocation list names none of these certificates, but it is {days} days out of date")
            }
            Revocation::Absent => String::from("no revocation list of AMD was at hand"),
        }
    }
}

/// Looks the chain up in a revocation list; `bytes` is empty when there is none.
pub(crate) fn look_up(bytes: &[u8], ark: &Cert<'_>, ask: &Cert<'_>, now_s: u64) -> Result<Revocation, VerifyError> {
    if bytes.is_empty() {
        return Ok(Revocation::Absent);
    }
    let malformed = |what| VerifyError::CrlMalformed { what };
    let signed = split_signed(bytes).ok_or(malformed("not exactly one signed DER structure"))?;
    let list =
        CertificateList::<x509_cert::certificate::Rfc5280>::from_der(bytes).map_err(|_| malformed("not an X.509 revocation list"))?;
    let body = &list.tbs_cert_list;
    if body.signature != list.signature_algorithm || !is_pss_sha384(&body.signature) {
        return Err(malformed("not signed with RSASSA-PSS, SHA-384, salt 48"));
    }
    if body.crl_extensions.iter().flatten().any(|extension| extension.critical) {
        return Err(malformed("it has a critical extension: it may not be the whole list"));
    }
    if body.issuer.to_der().unwrap_or_default() != ark.subject_der() {
        return Err(VerifyError::CrlIssuer);
    }
    signed.verify(ark, VerifyError::CrlSignature)?;
    let revoked = body.revoked_certificates.as_deref().unwrap_or(&[]);
    for (which, cert) in [(CertName::Ark, ark), (CertName::Ask, ask)] {
        if revoked.iter().any(|entry| entry.serial_number.as_bytes() == cert.serial()) {
            return Err(VerifyError::CertRevoked { which });
        }
    }
    let issued_s = body.this_update.to_unix_duration().as_secs();
    if issued_s > now_s {
        return Err(VerifyError::CrlNotYet { from_s: issued_s, now_s });
    }
    let number = body.crl_extensions.iter().flatten().find(|extension| extension.extn_id == CRL_NUMBER).and_then(|extension| {
        let digits = UintRef::from_der(extension.extn_value.as_bytes()).ok()?;
        let bytes = digits.as_bytes();
        (bytes.len() <= 8).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    });
    Ok(match body.next_update.map(|time| time.to_unix_duration().as_secs()) {
        Some(next_update_s) if now_s <= next_update_s => Revocation::Current { number, issued_s, next_update_s },
        next_update_s => Revocation::Stale { number, next_update_s: next_update_s.unwrap_or(0) },
    })
}
