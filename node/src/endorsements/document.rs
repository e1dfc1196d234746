//! A document of a vendor as it is kept and served: its exact bytes, and which edition they are.
//!
//! Decides: bytes become a [`Document`] only when they are what their part looks like, in size, form and subject; from then on number, dates and
//! lengths are known. Two editions of one part have an order, so that an older one is never taken for news.
//! Trusts: nothing; a well-formed document is not a genuine one (`shelf` verifies). Sources: RFC 5280 sections 4.1.2.5, 5.1.2 and 5.2.3;
//! Intel PCS v4, "TCB info v3" and "enclave identity v2". Protocol section 2.2.

use super::part::{Form, Part};
use der::asn1::{ObjectIdentifier, UintRef};
use der::{DateTime, Decode as _};
use ringwall_wire::limits::PEM_CHAIN_BYTES;
use ringwall_wire::text::hex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use x509_cert::Certificate;
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;

const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
/// Bytes of an ECDSA P-256 signature, r and s.
const SIGNATURE_BYTES: usize = 64;
/// Certificates of an issuer chain: real ones have two.
const CHAIN_CERTS: usize = 4;

/// Which edition of a part a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition {
    /// CRL number, or evaluation data number; 0 for certificates, which have none. Intel leaves its CRL numbers at 1.
    pub number: u64,
    /// When it was issued, Unix seconds.
    pub issued_s: u64,
    /// Until when it is in force, Unix seconds.
    pub expires_s: u64,
}

impl Edition {
    /// Whether this one is older than `other`: a lower number, or the same number and issued earlier.
    pub fn is_older_than(&self, other: &Edition) -> bool {
        (self.number, self.issued_s) < (other.number, other.issued_s)
    }

    /// Whether it has run out.
    pub fn is_over(&self, now_s: u64) -> bool {
        now_s > self.expires_s
    }
}

/// One document, well-formed and not yet believed.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    bytes: Vec<u8>,
    signature: Vec<u8>,
    chain: Vec<u8>,
    edition: Edition,
}

/// Why bytes are not the document they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Above the limit of its part, or of its chain.
    #[error("{what} has {bytes} bytes, at most {max}")]
    TooLarge {
        /// Which piece.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// Limit.
        max: usize,
    },
    /// Not of the form it must have.
    #[error("{what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// A document about something else.
    #[error("it is about {got}, asked for was {asked}")]
    OtherSubject {
        /// What it says of itself.
        got: String,
        /// What was wanted.
        asked: String,
    },
}

fn malformed(what: &'static str) -> DocumentError {
    DocumentError::Malformed { what }
}

impl Document {
    /// A certificate or revocation list, DER.
    pub fn der(part: &Part, bytes: Vec<u8>) -> Result<Self, DocumentError> {
        Document::new(part, bytes, Vec::new(), Vec::new())
    }

    /// Any document. `signature` is r and s of signed JSON and empty otherwise; `chain` is the PEM of the issuers where the vendor sends one.
    pub fn new(part: &Part, bytes: Vec<u8>, signature: Vec<u8>, chain: Vec<u8>) -> Result<Self, DocumentError> {
        within("the document", bytes.len(), part.limit())?;
        within("its issuer chain", chain.len(), PEM_CHAIN_BYTES)?;
        if needs_chain(part) == chain.is_empty() {
            return Err(malformed(if chain.is_empty() {
                "it came without its issuer chain"
            } else {
                "it has an issuer chain nobody asked for"
            }));
        }
        if !chain.is_empty() {
            pem_certs(&chain)?;
        }
        let wanted = if part.form() == Form::Json { SIGNATURE_BYTES } else { 0 };
        if signature.len() != wanted {
            return Err(malformed("its signature does not have 64 bytes"));
        }
        let edition = match part.form() {
            Form::Cert => cert_edition(&bytes)?,
            Form::Crl => crl_edition(&bytes)?,
            Form::Json => json_edition(part, &bytes)?,
        };
        Ok(Document { bytes, signature, chain, edition })
    }

    /// The exact bytes: DER, or the JSON that was signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Signature of signed JSON.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Issuer chain, PEM.
    pub fn chain(&self) -> &[u8] {
        &self.chain
    }

    /// Which edition it is.
    pub fn edition(&self) -> Edition {
        self.edition
    }
}

impl core::fmt::Debug for Document {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Document({} bytes, {:?})", self.bytes.len(), self.edition)
    }
}

fn within(what: &'static str, bytes: usize, max: usize) -> Result<(), DocumentError> {
    if bytes > max { Err(DocumentError::TooLarge { what, bytes, max }) } else { Ok(()) }
}

/// Whether the vendor sends the issuers beside the document.
pub(crate) fn needs_chain(part: &Part) -> bool {
    matches!(part, Part::IntelTcbInfo { .. } | Part::IntelQeIdentity | Part::IntelPckCrl { .. })
}

/// The certificates of a PEM chain, DER; a few at most.
pub(crate) fn pem_certs(pem: &[u8]) -> Result<Vec<Vec<u8>>, DocumentError> {
    let certs = CertificateDer::pem_slice_iter(pem).take(CHAIN_CERTS.saturating_add(1));
    let certs: Vec<Vec<u8>> = certs
        .map(|cert| cert.map(|cert| cert.as_ref().to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| malformed("the chain is not PEM"))?;
    match certs.len() {
        0 => Err(malformed("the chain holds no certificate")),
        count if count > CHAIN_CERTS => Err(malformed("the chain holds more than four certificates")),
        _ => Ok(certs),
    }
}

fn cert_edition(bytes: &[u8]) -> Result<Edition, DocumentError> {
    let cert = Certificate::from_der(bytes).map_err(|_| malformed("it is not an X.509 certificate in DER"))?;
    let validity = cert.tbs_certificate().validity();
    Ok(Edition {
        number: 0,
        issued_s: validity.not_before.to_unix_duration().as_secs(),
        expires_s: validity.not_after.to_unix_duration().as_secs(),
    })
}

fn crl_edition(bytes: &[u8]) -> Result<Edition, DocumentError> {
    let list = CertificateList::<Rfc5280>::from_der(bytes).map_err(|_| malformed("it is not an X.509 revocation list in DER"))?;
    let body = &list.tbs_cert_list;
    let number = body.crl_extensions.iter().flatten().find(|extension| extension.extn_id == CRL_NUMBER);
    let number = number.and_then(|extension| UintRef::from_der(extension.extn_value.as_bytes()).ok());
    let number = number.filter(|digits| digits.as_bytes().len() <= 8);
    let number = number.ok_or(malformed("the revocation list has no number (CRL number) of at most 64 bits"))?;
    let expires = body.next_update.ok_or(malformed("the revocation list does not say until when it is in force"))?;
    Ok(Edition {
        number: number.as_bytes().iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        issued_s: body.this_update.to_unix_duration().as_secs(),
        expires_s: expires.to_unix_duration().as_secs(),
    })
}

/// What is read of Intel's signed JSON; a repeated field is refused by the reader.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    id: &'a str,
    version: u32,
    issue_date: &'a str,
    next_update: &'a str,
    tcb_evaluation_data_number: u32,
    fmspc: Option<&'a str>,
}

fn json_edition(part: &Part, bytes: &[u8]) -> Result<Edition, DocumentError> {
    let head: Head<'_> = serde_json::from_slice(bytes).map_err(|_| malformed("it is not the JSON it should be"))?;
    let (id, version, fmspc) = match part {
        Part::IntelTcbInfo { fmspc } => ("TDX", 3, Some(hex(&fmspc.0))),
        _ => ("TD_QE", 2, None),
    };
    let got_fmspc = head.fmspc.map(str::to_ascii_lowercase);
    if (head.id, head.version, &got_fmspc) != (id, version, &fmspc) {
        let said = |id: &str, version: u32, fmspc: &Option<String>| {
            let family = fmspc.as_ref().map(|fmspc| format!(" of {}", fmspc.chars().take(12).collect::<String>())).unwrap_or_default();
            format!("{} version {version}{family}", id.chars().take(16).collect::<String>())
        };
        return Err(DocumentError::OtherSubject { got: said(head.id, head.version, &got_fmspc), asked: said(id, version, &fmspc) });
    }
    let time = |text: &str| text.parse::<DateTime>().map(|time| time.unix_duration().as_secs());
    let dates = (time(head.issue_date), time(head.next_update));
    let (Ok(issued_s), Ok(expires_s)) = dates else { return Err(malformed("its dates are not written like 2026-03-16T22:06:09Z")) };
    Ok(Edition { number: u64::from(head.tcb_evaluation_data_number), issued_s, expires_s })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwall_wire::policy::Fmspc;

    const FAMILY: Part = Part::IntelTcbInfo { fmspc: Fmspc([0x90, 0xc0, 0x6f, 0, 0, 0]) };
    const GOOD: &str = r#"{"id":"TDX","version":3,"issueDate":"2026-03-16T22:06:09Z","nextUpdate":"2026-04-15T22:06:09Z","fmspc":"90C06F000000","tcbEvaluationDataNumber":18,"tcbLevels":[]}"#;

    #[test]
    fn editions_of_signed_json_are_read_and_everything_else_is_refused() {
        let good = json_edition(&FAMILY, GOOD.as_bytes());
        assert_eq!(good, Ok(Edition { number: 18, issued_s: 1_773_698_769, expires_s: 1_776_290_769 }));
        for (from, to) in [
            ("\"version\":3", "\"version\":2"),
            ("\"TDX\"", "\"SGX\""),
            ("90C06F000000", "00806f050000"),
            (":18", ":18,\"tcbEvaluationDataNumber\":19"),
            (":18", ":-1"),
            (":18", ":4294967296"),
            ("2026-04-15T22:06:09Z", "2026-04-15"),
            ("2026-04-15T22:06:09Z", "2026-13-15T22:06:09Z"),
            ("\"tcbLevels\":[]}", "\"tcbLevels\":[]"),
        ] {
            let bad = GOOD.replace(from, to);
            assert_ne!(bad, GOOD);
            assert!(json_edition(&FAMILY, bad.as_bytes()).is_err(), "{from} -> {to}");
        }
        assert!(matches!(json_edition(&Part::IntelQeIdentity, GOOD.as_bytes()), Err(DocumentError::OtherSubject { .. })));
    }

    #[test]
    fn editions_have_an_order() {
        let edition = |number, issued_s| Edition { number, issued_s, expires_s: 0 };
        assert!(edition(1, 9).is_older_than(&edition(2, 1)));
        assert!(edition(2, 1).is_older_than(&edition(2, 2)));
        assert!(!edition(2, 2).is_older_than(&edition(2, 2)));
        assert!(!edition(3, 1).is_older_than(&edition(2, 2)));
    }

    #[test]
    fn sizes_signatures_and_chains_are_demanded() {
        let make = |part: &Part, bytes: usize, signature: usize, chain: &[u8]| {
            Document::new(part, vec![b' '; bytes], vec![0; signature], chain.to_vec()).expect_err("none of these is a document")
        };
        assert!(matches!(make(&FAMILY, FAMILY.limit() + 1, 64, b""), DocumentError::TooLarge { .. }));
        assert!(matches!(make(&FAMILY, 9, 64, &vec![b'x'; PEM_CHAIN_BYTES + 1]), DocumentError::TooLarge { .. }));
        for error in [
            make(&FAMILY, 9, 64, b""),
            make(&FAMILY, 9, 64, b"no PEM"),
            make(&Part::IntelRootCrl, 9, 0, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            make(&Part::IntelRootCrl, 9, 64, b""),
            make(&Part::IntelRootCrl, 9, 0, b""),
        ] {
            assert!(matches!(error, DocumentError::Malformed { .. }), "{error}");
        }
    }
}
