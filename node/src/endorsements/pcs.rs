//! Intel's provisioning certification service, or a caching service (PCCS) before it.
//!
//! Decides: which address has which document; how an answer is taken apart: the signed JSON stays as it was sent, byte for byte, because the
//! signature covers exactly these bytes; lists come as DER or, from caching services, as hex; issuers come in a header, percent-encoded.
//! Trusts: nothing of the answer beyond its form. Out of scope: whether it is genuine (`shelf`). Source: Intel SGX and TDX PCS API v4;
//! Intel SGX DCAP PCCS design guide, section "REST API".

use super::document::{Document, DocumentError};
use super::http::{Answer, Http};
use super::limits::{REPLY_CRL_BYTES, REPLY_JSON_BYTES};
use super::part::{Part, ca_name};
use super::source::{FetchError, Source};
use percent_encoding::percent_decode_str;
use ringwall_wire::text::{hex, read_hex_vec};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Headers with the issuers of TCB info: today's name, and that of earlier caching services.
const TCB_CHAIN: [&str; 2] = ["TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"];
const QE_CHAIN: [&str; 1] = ["SGX-Enclave-Identity-Issuer-Chain"];
const CRL_CHAIN: [&str; 1] = ["SGX-PCK-CRL-Issuer-Chain"];

/// Intel's service at one address, and its root's list at another.
#[derive(Clone, Debug)]
pub struct Pcs {
    http: Http,
    base: String,
    root_crl: String,
}

impl Pcs {
    /// The service at `base` (no slash at its end), the root's list at exactly `root_crl`.
    pub fn new(http: Http, base: impl Into<String>, root_crl: impl Into<String>) -> Self {
        Pcs { http, base: base.into(), root_crl: root_crl.into() }
    }

    fn address(&self, part: &Part) -> Option<String> {
        let base = &self.base;
        match part {
            Part::IntelTcbInfo { fmspc } => Some(format!("{base}/tdx/certification/v4/tcb?fmspc={}", hex(&fmspc.0))),
            Part::IntelQeIdentity => Some(format!("{base}/tdx/certification/v4/qe/identity")),
            Part::IntelPckCrl { ca } => Some(format!("{base}/sgx/certification/v4/pckcrl?ca={}&encoding=der", ca_name(*ca))),
            Part::IntelRootCrl => Some(self.root_crl.clone()),
            _ => None,
        }
    }
}

impl Source for Pcs {
    fn fetch(&self, part: &Part) -> Result<Document, FetchError> {
        let Some(url) = self.address(part) else {
            return Err(FetchError::NotServed { part: part.to_string(), source_name: self.name(), fix: "it is AMD's" });
        };
        let max = if matches!(part, Part::IntelTcbInfo { .. } | Part::IntelQeIdentity) { REPLY_JSON_BYTES } else { REPLY_CRL_BYTES };
        let answer = self.http.get(&url, max)?;
        read(part, &answer).map_err(|cause| FetchError::Document { url, cause })
    }

    fn name(&self) -> String {
        self.base.clone()
    }
}

fn read(part: &Part, answer: &Answer) -> Result<Document, DocumentError> {
    match part {
        Part::IntelTcbInfo { .. } => {
            let Ok(TcbInfoBody { tcb_info, signature }) = serde_json::from_slice(&answer.body) else { return Err(not_signed_json()) };
            signed(part, tcb_info, signature, chain(answer, &TCB_CHAIN)?)
        }
        Part::IntelQeIdentity => {
            let Ok(QeIdentityBody { enclave_identity, signature }) = serde_json::from_slice(&answer.body) else {
                return Err(not_signed_json());
            };
            signed(part, enclave_identity, signature, chain(answer, &QE_CHAIN)?)
        }
        Part::IntelPckCrl { .. } => Document::new(part, list(&answer.body), Vec::new(), chain(answer, &CRL_CHAIN)?),
        _ => Document::der(part, list(&answer.body)),
    }
}

fn not_signed_json() -> DocumentError {
    DocumentError::Malformed { what: "it is not one signed JSON document: the document and its signature, each once, nothing else" }
}

/// A repeated or unknown field is refused; the document is the slice between the braces as it was sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TcbInfoBody<'a> {
    #[serde(borrow)]
    tcb_info: &'a RawValue,
    signature: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct QeIdentityBody<'a> {
    #[serde(borrow)]
    enclave_identity: &'a RawValue,
    signature: &'a str,
}

fn signed(part: &Part, json: &RawValue, signature: &str, chain: Vec<u8>) -> Result<Document, DocumentError> {
    let signature = read_hex_vec(&signature.to_ascii_lowercase()).ok_or(DocumentError::Malformed { what: "its signature is not hex" })?;
    Document::new(part, json.get().as_bytes().to_vec(), signature, chain)
}

/// A list as DER, whichever way it was written. Hex never begins like DER of more than a few bytes: its second byte is a digit.
fn list(body: &[u8]) -> Vec<u8> {
    let text = core::str::from_utf8(body).ok().and_then(|text| read_hex_vec(&text.trim().trim_matches('"').to_ascii_lowercase()));
    text.filter(|der| !der.is_empty()).unwrap_or_else(|| body.to_vec())
}

/// The issuers out of the first of these headers that is there.
fn chain(answer: &Answer, names: &[&str]) -> Result<Vec<u8>, DocumentError> {
    let header = names.iter().find_map(|name| answer.header(name));
    let header = header.ok_or(DocumentError::Malformed { what: "the header with its issuer chain is missing, repeated or not text" })?;
    Ok(percent_decode_str(header).collect())
}
