//! The JSON of the key broker protocol 0.4: request, challenge, attestation, token, errors.
//!
//! Decides: which versions and TEEs are spoken, how the nonce and the guest's public key become the bytes its hardware must have signed
//! (SHA-384 over canonical JSON, zeros up to 64 bytes), and how errors look. Fields this version does not use may stand there, as the protocol
//! lets them; what changes the meaning of evidence may not. Trusts: nothing. Out of scope: evidence (`evidence.rs`), keys (`jwe.rs`).
//! Source: `kbs_attestation_protocol.md`, sections "Payloads" and "HTTP Integration"; kbs-types 0.18.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ringwall_wire::ids::{Nonce, Vendor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha384};

/// The algorithm both sides hash runtime data with.
const HASH: &str = "sha384";
/// What types of errors begin with.
const ERRORS: &str = "https://github.com/confidential-containers/kbs/errors";

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("the body is not the JSON of this request")]
    Malformed,
    #[error("KBS Client Protocol Version Mismatch: expect =0.4.0 while the request is {0}")]
    Version(String),
    #[error("evidence of {0:?} is not taken here; this service takes snp and tdx")]
    Tee(String),
    #[error("runtime data is hashed with {HASH} here, which the client does not offer")]
    Hash,
    #[error("tee-metadata names another primary TEE than the request; send the one that makes the evidence")]
    OtherTee,
    #[error("no attestation policies are selected here, each key has its own; leave attestation-policy-selector out")]
    Selector,
    #[error("evidence of additional devices cannot be verified by this service")]
    Additional,
    #[error("the nonce is not the one of this session's challenge")]
    OtherNonce,
}

/// The first message.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    version: String,
    tee: String,
    /// The API's description lets it be left out, the client's own type does not.
    #[serde(default, rename = "extra-params")]
    extra_params: Value,
}

impl Request {
    /// Reads one; gives the maker of the guest's CPU.
    pub(super) fn read(body: &[u8]) -> Result<Vendor, ProtocolError> {
        let request: Request = serde_json::from_slice(body).map_err(|_| ProtocolError::Malformed)?;
        let shown: String = request.version.chars().take(32).filter(|letter| !letter.is_control()).collect();
        if request.version != "0.4.0" {
            return Err(ProtocolError::Version(shown));
        }
        if let Some(offered) = request.extra_params.get("supported-hash-algorithms").and_then(Value::as_array)
            && !offered.iter().any(|name| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(HASH)))
        {
            return Err(ProtocolError::Hash);
        }
        let extra = |name: &str| request.extra_params.get(name).filter(|value| !value.is_null());
        if extra("tee-metadata").is_some_and(|all| all.pointer("/primary_tee/tee").and_then(Value::as_str) != Some(&*request.tee)) {
            return Err(ProtocolError::OtherTee);
        }
        if extra("attestation-policy-selector").is_some() {
            return Err(ProtocolError::Selector);
        }
        match request.tee.as_str() {
            "snp" => Ok(Vendor::Amd),
            "tdx" => Ok(Vendor::Intel),
            other => Err(ProtocolError::Tee(other.chars().take(32).filter(|letter| !letter.is_control()).collect())),
        }
    }
}

/// The challenge for a nonce.
pub(super) fn challenge(nonce: &Nonce) -> Vec<u8> {
    format!("{{\"nonce\":\"{}\",\"extra-params\":{{\"selected-hash-algorithm\":\"{HASH}\"}}}}", nonce_text(nonce)).into_bytes()
}

/// A nonce as it travels.
pub(super) fn nonce_text(nonce: &Nonce) -> String {
    STANDARD.encode(nonce.0)
}

/// The guest's public key, as a JSON web key. Fields stand in the order of canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum TeeKey {
    Ec { alg: String, crv: String, kty: String, x: String, y: String },
    Rsa { alg: String, e: String, kty: String, n: String },
}

#[derive(Debug, Deserialize)]
struct RuntimeData {
    nonce: String,
    #[serde(rename = "tee-pubkey")]
    tee_pubkey: TeeKey,
}

#[derive(Debug, Deserialize)]
struct CompositeEvidence {
    primary_evidence: Value,
    additional_evidence: String,
}

#[derive(Debug, Deserialize)]
struct AttestationJson {
    #[serde(rename = "runtime-data")]
    runtime_data: RuntimeData,
    #[serde(rename = "tee-evidence")]
    tee_evidence: CompositeEvidence,
}

/// What evidence is bound to. Fields stand in the order of canonical JSON (RFC 8785), which for objects of strings is all there is to it.
#[derive(Serialize)]
struct Bound<'a> {
    #[serde(rename = "additional-evidence")]
    additional_evidence: &'a str,
    nonce: &'a str,
    #[serde(rename = "tee-pubkey")]
    tee_pubkey: &'a TeeKey,
}

/// The third message.
#[derive(Debug)]
pub(super) struct Attestation {
    /// The guest's key, which the evidence vouches for.
    pub(super) key: TeeKey,
    /// The TEE's own evidence, not looked at yet.
    pub(super) evidence: Value,
    /// What it must be bound to.
    pub(super) report_data: [u8; 64],
}

impl Attestation {
    /// Reads the answer to a challenge with this nonce.
    pub(super) fn read(body: &[u8], nonce: &Nonce) -> Result<Self, ProtocolError> {
        let read: AttestationJson = serde_json::from_slice(body).map_err(|_| ProtocolError::Malformed)?;
        let AttestationJson { runtime_data: RuntimeData { nonce: shown, tee_pubkey }, tee_evidence } = read;
        if shown != nonce_text(nonce) {
            return Err(ProtocolError::OtherNonce);
        }
        // Devices would be trusted along with the guest, and nobody verified them.
        if !matches!(tee_evidence.additional_evidence.as_str(), "" | "{}") {
            return Err(ProtocolError::Additional);
        }
        let bound = Bound { additional_evidence: &tee_evidence.additional_evidence, nonce: &shown, tee_pubkey: &tee_pubkey };
        let report_data = report_data(&serde_json::to_vec(&bound).map_err(|_| ProtocolError::Malformed)?);
        Ok(Attestation { key: tee_pubkey, evidence: tee_evidence.primary_evidence, report_data })
    }
}

/// SHA-384, and zeros: attesters pad what they are given to the 64 bytes of the hardware.
fn report_data(canonical: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes.iter_mut().zip(Sha384::digest(canonical)).for_each(|(to, from)| *to = from);
    bytes
}

/// The body of a token.
pub(super) fn token(token: &str) -> Vec<u8> {
    format!("{{\"token\":\"{token}\"}}").into_bytes()
}

/// The body of an error: its kind is one of the protocol's reference service.
pub(super) fn error(kind: &str, detail: &str) -> Vec<u8> {
    let quoted = serde_json::to_string(detail).unwrap_or_else(|_| "\"\"".into());
    format!("{{\"type\":\"{ERRORS}/{kind}\",\"detail\":{quoted}}}").into_bytes()
}

/// Base64 of the URL kind, without padding.
pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of such a text, at most `most`.
pub(super) fn from_base64url(text: &str, most: usize) -> Option<Vec<u8>> {
    if text.len() > most.saturating_mul(4).div_ceil(3) {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A published example without the comments that "must not be used", its placeholders filled.
    fn with_values(published: &str, values: &[(&str, &str)]) -> String {
        let mut pieces = published.split("/*");
        let mut text = pieces.next().unwrap().to_owned();
        pieces.for_each(|piece| text.push_str(piece.split_once("*/").unwrap().1));
        values.iter().fold(text, |text, (from, to)| text.replace(&format!("\"{from}\""), &format!("\"{to}\"")))
    }

    #[test]
    fn the_documents_request_is_read_and_other_versions_are_refused() {
        // Both states of the document's example; of their comments it says that they must not be used.
        let published =
            [include_str!("../../tests/vectors/kbs/request.json"), include_str!("../../tests/vectors/kbs/request-earlier.json")];
        let example =
            |version: &str, tee: &str| with_values(published[0], &[("0.1.1", version), ("$tee", tee), ("$additional_tee", "nvidia")]);
        for published in published {
            assert_eq!(Request::read(published.as_bytes()), Err(ProtocolError::Malformed));
            let values = |version| with_values(published, &[("0.1.1", version), ("$tee", "snp"), ("$additional_tee", "nvidia")]);
            assert_eq!(Request::read(values("0.1.1").as_bytes()), Err(ProtocolError::Version("0.1.1".into())));
            assert_eq!(Request::read(values("0.4.0").as_bytes()), Ok(Vendor::Amd));
        }
        assert_eq!(Request::read(example("0.4.0", "snp").as_bytes()), Ok(Vendor::Amd));
        assert_eq!(Request::read(br#"{"version":"0.4.0","tee":"tdx","extra-params":""}"#), Ok(Vendor::Intel));
        for version in ["0.1.1", "0.3.0", "0.4.1", "0.5.0", "1.0.0", ""] {
            assert_eq!(Request::read(example(version, "snp").as_bytes()), Err(ProtocolError::Version(version.into())));
        }
        assert_eq!(Request::read(example("0.4.0", "sgx").as_bytes()), Err(ProtocolError::Tee("sgx".into())));
        let hashes = |name: &str| format!(r#"{{"version":"0.4.0","tee":"tdx","extra-params":{{"supported-hash-algorithms":["{name}"]}}}}"#);
        assert_eq!(Request::read(hashes("sha384").as_bytes()), Ok(Vendor::Intel));
        assert_eq!(Request::read(hashes("sha256").as_bytes()), Err(ProtocolError::Hash));
        // What the document says of tee-metadata, of the selector, and what the API's description lets be left out.
        let other = example("0.4.0", "snp").replacen("snp", "tdx", 1);
        assert_eq!(Request::read(other.as_bytes()), Err(ProtocolError::OtherTee));
        let selecting = format!(r#"{{"version":"0.4.0","tee":"tdx",{}}}"#, include_str!("../../tests/vectors/kbs/policy-selector.json"));
        assert_eq!(Request::read(selecting.as_bytes()), Err(ProtocolError::Selector));
        for extra in [r#","extra-params":{"tee-metadata":null,"attestation-policy-selector":null}"#, r#","extra-params":{}"#, ""] {
            assert_eq!(Request::read(format!(r#"{{"version":"0.4.0","tee":"tdx"{extra}}}"#).as_bytes()), Ok(Vendor::Intel));
        }
        for wrong in ["", "{}", r#"{"version":"0.4.0"}"#, "[]", r#"{"version":0.4,"tee":"snp","extra-params":""}"#] {
            assert_eq!(Request::read(wrong.as_bytes()), Err(ProtocolError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn messages_are_the_documents_byte_for_byte() {
        assert_eq!(
            String::from_utf8(challenge(&Nonce([0; 32]))).unwrap(),
            r#"{"nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","extra-params":{"selected-hash-algorithm":"sha384"}}"#
        );
        assert_eq!(String::from_utf8(token("a.b.c")).unwrap(), r#"{"token":"a.b.c"}"#);
        assert_eq!(
            String::from_utf8(error("PolicyDeny", "Access \"denied\"")).unwrap(),
            r#"{"type":"https://github.com/confidential-containers/kbs/errors/PolicyDeny","detail":"Access \"denied\""}"#
        );
    }

    #[test]
    fn evidence_is_bound_to_nonce_key_and_additional_evidence_in_canonical_form() {
        let nonce = Nonce([0; 32]);
        // The document's example, whose members do not stand in the order of canonical JSON, and its two forms of a key.
        let published = include_str!("../../tests/vectors/kbs/attestation.json");
        let (start, rest) = published.split_once("\"tee-pubkey\": ").unwrap();
        let (shown, end) = rest.split_once("\n  },").unwrap();
        let values = [("$curve_name", "P-256"), ("$key_algorithm", "ECDH-ES+A256KW"), ("$x_coordinate", "eA"), ("$y_coordinate", "eQ")];
        let ec = with_values(include_str!("../../tests/vectors/kbs/key-ec.json"), &values);
        let spaceless = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(spaceless(&with_values(shown, &values)), spaceless(&ec), "the document shows one form of a key twice");
        let body = |key: &str, additional: &str| {
            let whole = format!("{start}\"tee-pubkey\": {key}\n  }},{end}");
            with_values(&whole, &[("$nonce", &nonce_text(&nonce)), ("{}", additional)])
        };
        let ec = ec.as_str();
        let read = Attestation::read(body(ec, "").as_bytes(), &nonce).unwrap();
        let canonical = format!(
            r#"{{"additional-evidence":"","nonce":"{}","tee-pubkey":{{"alg":"ECDH-ES+A256KW","crv":"P-256","kty":"EC","x":"eA","y":"eQ"}}}}"#,
            nonce_text(&nonce)
        );
        assert_eq!(read.report_data, report_data(canonical.as_bytes()));
        assert_eq!(read.report_data.get(48..), Some(&[0; 16][..]));
        let values = [("$key_algorithm", "RSA-OAEP-256"), ("$pubkey_modulus", "bg"), ("$pubkey_exponent", "AQAB")];
        let rsa = with_values(include_str!("../../tests/vectors/kbs/key-rsa.json"), &values);
        let read = Attestation::read(body(&rsa, "{}").as_bytes(), &nonce).unwrap();
        let canonical = format!(
            r#"{{"additional-evidence":"{{}}","nonce":"{}","tee-pubkey":{{"alg":"RSA-OAEP-256","e":"AQAB","kty":"RSA","n":"bg"}}}}"#,
            nonce_text(&nonce)
        );
        assert_eq!(read.report_data, report_data(canonical.as_bytes()));
        assert_eq!(Attestation::read(body(ec, "").as_bytes(), &Nonce([1; 32])).unwrap_err(), ProtocolError::OtherNonce);
        assert_eq!(Attestation::read(body(ec, r#"{\"nvidia\":{}}"#).as_bytes(), &nonce).unwrap_err(), ProtocolError::Additional);
        let mixed = r#"{"kty": "EC", "alg": "RSA-OAEP-256", "n": "bg", "e": "AQAB", "x": "eA"}"#;
        assert_eq!(Attestation::read(body(mixed, "").as_bytes(), &nonce).unwrap_err(), ProtocolError::Malformed);
        assert_eq!(Attestation::read(b"{}", &nonce).unwrap_err(), ProtocolError::Malformed);
    }
}
