//! Sigstore's public record: entries of Rekor (version 1 and 2) and RFC 3161 timestamps, added to a bundle.
//!
//! Decides: what is asked and how an answer becomes the part of a bundle that clients verify. Version 1 takes an envelope as text with the key beside it and
//! answers with hex; version 2 takes and answers the bundle's own form.
//! Trusts: nobody; what is added proves nothing before it is verified (`ringwall_attest::release`). Out of scope: the release log (`tiles.rs`).

use super::bundle::{Bundle, BundleFault};
use super::http::{Http, HttpFault};
use super::key::pem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringwall_wire::limits::BUNDLE_BYTES;
use ringwall_wire::text::read_hex_vec;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// DER of a timestamp request for a SHA-256, up to the hash: version 1, the algorithm; what follows asks for the certificate.
const STAMP_HEAD: [u8; 24] = [
    0x30, 0x39, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];
const STAMP_TAIL: [u8; 3] = [0x01, 0x01, 0xff];
/// Bytes of a timestamp.
const STAMP_BYTES: usize = 32 * 1024;

/// Why a bundle gets no entry.
#[derive(Debug, thiserror::Error)]
pub enum RekorFault {
    /// No answer, or not this one.
    #[error(transparent)]
    Http(#[from] HttpFault),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleFault),
    /// The answer has another shape.
    #[error("{url}: {what}; is this the address of a Rekor of that version, or of a timestamp authority?")]
    Answer {
        /// Who answered.
        url: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A managed key's public half is not in its bundle.
    #[error("a bundle of a managed key does not hold its public half: name it with --public-key FILE (PEM)")]
    NoKey,
}

/// Whose signature a bundle holds, as Rekor is told.
#[derive(Debug)]
pub struct Verifier {
    der: Vec<u8>,
    certificate: bool,
}

impl Verifier {
    /// The certificate in the bundle, or the DER of a managed key.
    pub fn of(bundle: &Bundle, managed: Option<Vec<u8>>) -> Result<Self, RekorFault> {
        match (bundle.certificate(), managed) {
            (Some(der), _) => Ok(Verifier { der, certificate: true }),
            (None, Some(der)) => Ok(Verifier { der, certificate: false }),
            (None, None) => Err(RekorFault::NoKey),
        }
    }
}

/// Has the bundle logged by a Rekor of version 1.
pub fn log_v1(http: &Http, url: &str, bundle: &mut Bundle, verifier: &Verifier) -> Result<(), RekorFault> {
    let label = if verifier.certificate { "CERTIFICATE" } else { "PUBLIC KEY" };
    let asked = json!({
        "apiVersion": "0.0.1", "kind": "dsse",
        "spec": { "proposedContent": { "envelope": bundle.envelope().to_string(), "verifiers": [STANDARD.encode(pem(label, &verifier.der))] } },
    });
    let url = format!("{}/api/v1/log/entries", url.trim_end_matches('/'));
    let answer = http.post(&url, "application/json", asked.to_string().as_bytes(), BUNDLE_BYTES)?.expect(&url, &[200, 201])?;
    let entry = from_v1(&answer).ok_or(RekorFault::Answer { url, what: "the answer is no entry with its proof" })?;
    bundle.add_entry(entry);
    Ok(())
}

/// An entry of version 1 in the form bundles have.
fn from_v1(answer: &[u8]) -> Option<Value> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let (_, entry) = answer.as_object()?.iter().next()?;
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let number = |value: &Value, name: &str| value.get(name)?.as_u64().map(|number| number.to_string());
    let hex = |text: &str| read_hex_vec(text).map(|bytes| STANDARD.encode(bytes));
    let (verification, body) = (entry.get("verification")?, text(entry, "body")?);
    let proof = verification.get("inclusionProof")?;
    let hashes: Option<Vec<String>> = proof.get("hashes")?.as_array()?.iter().map(|hash| hex(hash.as_str()?)).collect();
    let logged: Value = serde_json::from_slice(&STANDARD.decode(&body).ok()?).ok()?;
    Some(json!({
        "logIndex": number(entry, "logIndex")?,
        "logId": { "keyId": hex(&text(entry, "logID")?)? },
        "kindVersion": { "kind": text(&logged, "kind")?, "version": text(&logged, "apiVersion")? },
        "integratedTime": number(entry, "integratedTime")?,
        "inclusionPromise": { "signedEntryTimestamp": text(verification, "signedEntryTimestamp")? },
        "inclusionProof": {
            "logIndex": number(proof, "logIndex")?,
            "rootHash": hex(&text(proof, "rootHash")?)?,
            "treeSize": number(proof, "treeSize")?,
            "hashes": hashes?,
            "checkpoint": { "envelope": text(proof, "checkpoint")? },
        },
        "canonicalizedBody": body,
    }))
}

/// Has the bundle logged by a Rekor of version 2.
pub fn log_in_tiles(http: &Http, url: &str, bundle: &mut Bundle, verifier: &Verifier) -> Result<(), RekorFault> {
    let kind = if verifier.certificate { "x509Certificate" } else { "publicKey" };
    let asked = json!({ "dsseRequestV002": {
        "envelope": bundle.envelope(),
        "verifiers": [{ kind: { "rawBytes": STANDARD.encode(&verifier.der) }, "keyDetails": "PKIX_ECDSA_P256_SHA_256" }],
    } });
    let url = format!("{}/api/v2/log/entries", url.trim_end_matches('/'));
    let answer = http.post(&url, "application/json", asked.to_string().as_bytes(), BUNDLE_BYTES)?.expect(&url, &[200, 201])?;
    let entry: Option<Value> = serde_json::from_slice(&answer).ok();
    let shaped = entry.filter(|entry| entry.get("canonicalizedBody").is_some() && entry.get("inclusionProof").is_some());
    bundle.add_entry(shaped.ok_or(RekorFault::Answer { url, what: "the answer is no entry with its proof" })?);
    Ok(())
}

/// Has a timestamp authority say when the signature existed: what a keyless bundle in a log of version 2 needs.
pub fn stamp(http: &Http, url: &str, bundle: &mut Bundle) -> Result<(), RekorFault> {
    let hash: [u8; 32] = Sha256::digest(bundle.signature()?).into();
    let asked = [STAMP_HEAD.as_slice(), &hash, &STAMP_TAIL].concat();
    let answer = http.post(url, "application/timestamp-query", &asked, STAMP_BYTES)?.expect(url, &[200, 201])?;
    match answer.first() {
        Some(0x30) => {
            bundle.add_timestamp(&answer);
            Ok(())
        }
        _ => Err(RekorFault::Answer { url: url.to_owned(), what: "the answer is no timestamp" }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_entry_of_version_1_becomes_one_of_a_bundle() {
        let body = STANDARD.encode(r#"{"apiVersion":"0.0.1","kind":"dsse","spec":{}}"#);
        let answer = json!({ "24296fb24b8ad77a": {
            "body": body, "integratedTime": 1_700_000_000, "logID": "c0d2", "logIndex": 17,
            "verification": {
                "signedEntryTimestamp": "MEUC",
                "inclusionProof": { "checkpoint": "rekor\n1\n\n", "hashes": ["00ff"], "logIndex": 7, "rootHash": "0102", "treeSize": 8 },
            },
        } });
        let entry = from_v1(answer.to_string().as_bytes()).unwrap();
        assert_eq!(entry["logId"]["keyId"], STANDARD.encode([0xc0, 0xd2]));
        assert_eq!((entry["logIndex"].as_str(), entry["inclusionProof"]["logIndex"].as_str()), (Some("17"), Some("7")));
        assert_eq!(entry["kindVersion"], json!({ "kind": "dsse", "version": "0.0.1" }));
        assert_eq!(entry["inclusionProof"]["hashes"][0], STANDARD.encode([0, 0xff]));
        for bad in ["", "{}", "[]", r#"{"a":{"body":"e30="}}"#] {
            assert!(from_v1(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_timestamp_request_is_the_der_it_says() {
        let request = [STAMP_HEAD.as_slice(), &[0; 32], &STAMP_TAIL].concat();
        assert_eq!(usize::from(request[1]) + 2, request.len());
    }
}
