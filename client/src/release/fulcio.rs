//! Keyless signing: a certificate for a key that signs once, from an authority that looked at an identity token (Sigstore's Fulcio).
//!
//! Decides: what the authority is asked (a certificate signing request by a fresh key, and the token) and what counts as an answer: one certificate for that
//! very key. The token is a secret until it expires: it is read from a file or asked of an issuer, never typed, and leaves over TLS alone.
//! Trusts: nobody; who signed is judged by certificate and policy (`ringwall_attest::release`). Out of scope: logging it (`rekor.rs`).

use super::http::{Http, HttpFault, words};
use super::key::{ReleaseKey, pem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{BitString, ObjectIdentifier};
use der::{Decode as _, Encode as _};
use ringwall_wire::limits::CERT_BYTES;
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

/// Bytes of an authority's answer: a chain of a few certificates.
const ANSWER_BYTES: usize = 64 * 1024;
/// Bytes of an identity token.
pub const TOKEN_BYTES: usize = 16 * 1024;
/// ecdsa-with-SHA256.
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum KeylessFault {
    /// No answer, or not this one.
    #[error(transparent)]
    Http(#[from] HttpFault),
    /// The answer has another shape.
    #[error("{url}: {what}; is this the address of a Fulcio, or of an issuer of identity tokens?")]
    Answer {
        /// Who answered.
        url: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The certificate is for another key.
    #[error("{url}: the certificate is for another key than the one that asked")]
    OtherKey {
        /// Who answered.
        url: String,
    },
    /// The request could not be written.
    #[error("the certificate signing request cannot be encoded: {0}")]
    Request(der::Error),
}

/// A key that signs once, and the certificate that says for whom.
#[derive(Debug)]
pub struct Keyless {
    pub(crate) key: ReleaseKey,
    pub(crate) certificate: Vec<u8>,
}

impl Keyless {
    /// Asks the authority at `url` for a certificate, for whoever `token` names.
    pub fn ask(http: &Http, url: &str, token: &str) -> Result<Self, KeylessFault> {
        let key = ReleaseKey::fleeting();
        let request = pem("CERTIFICATE REQUEST", &request(&key).map_err(KeylessFault::Request)?);
        let asked = json!({
            "credentials": { "oidcIdentityToken": token },
            "certificateSigningRequest": STANDARD.encode(request),
        });
        let asked = Zeroizing::new(asked.to_string());
        let url = format!("{}/api/v2/signingCert", url.trim_end_matches('/'));
        let answer = http.post_secret(&url, "application/json", asked.as_bytes(), ANSWER_BYTES)?.expect(&url, &[200, 201])?;
        let certificate = certificate(&answer).map_err(|what| KeylessFault::Answer { url: url.clone(), what })?;
        let parsed = Certificate::from_der(&certificate);
        let parsed = parsed.map_err(|_| KeylessFault::Answer { url: url.clone(), what: "the certificate is none" })?;
        let named = parsed.tbs_certificate().subject_public_key_info().to_der().map_err(KeylessFault::Request)?;
        match named == key.public_der() {
            true => Ok(Keyless { key, certificate }),
            false => Err(KeylessFault::OtherKey { url }),
        }
    }
}

/// An identity token from the issuer of the machine this runs on (the form of GitHub's runners: `GET URL&audience=sigstore` with a bearer).
pub fn ambient_token(http: &Http, url: &str, bearer: &str) -> Result<Zeroizing<String>, KeylessFault> {
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}audience=sigstore");
    let answer = Zeroizing::new(http.get_as(&url, bearer, TOKEN_BYTES)?);
    let parsed: Option<Value> = serde_json::from_slice(&answer).ok();
    let token =
        parsed.as_ref().and_then(|answer| answer.get("value")).and_then(Value::as_str).map(|token| Zeroizing::new(token.to_owned()));
    token.ok_or(KeylessFault::Answer { url, what: "the answer has no token in `value`" })
}

/// A PKCS#10 request: no name, the key, signed by it.
fn request(key: &ReleaseKey) -> Result<Vec<u8>, der::Error> {
    let public_key = SubjectPublicKeyInfoOwned::from_der(&key.public_der())?;
    let info = CertReqInfo { version: Version::V1, subject: Default::default(), public_key, attributes: Default::default() };
    let signature = BitString::from_bytes(&key.sign(&info.to_der()?))?;
    CertReq { info, algorithm: AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None }, signature }.to_der()
}

/// The first certificate of an answer, with its embedded or detached timestamp.
fn certificate(answer: &[u8]) -> Result<Vec<u8>, &'static str> {
    let parsed: Value = serde_json::from_slice(answer).map_err(|_| "the answer is no JSON")?;
    let signed = parsed.get("signedCertificateEmbeddedSct").ok_or("the answer has no certificate with an embedded timestamp of a log")?;
    let chain = signed.get("chain").and_then(|chain| chain.get("certificates")).and_then(Value::as_array);
    let first = chain.and_then(|chain| chain.first()).and_then(Value::as_str).ok_or("the answer has no chain")?;
    let der = pem::parse(first).map_err(|_| "the certificate is no PEM")?.into_contents();
    if der.len() > CERT_BYTES { Err("the certificate is longer than any") } else { Ok(der) }
}

/// The beginning of what a token claims, for people: nothing secret, and not verified.
pub fn claimed(token: &str) -> String {
    let claims = token.split('.').nth(1).and_then(|part| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Value = claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or_default();
    let named = claims.get("email").or_else(|| claims.get("sub")).and_then(Value::as_str).unwrap_or("somebody");
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or("somewhere");
    format!("{} of {}", words(named.as_bytes()), words(issuer.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::secret::Secret;

    #[test]
    fn a_request_is_signed_by_the_key_it_names() {
        use p256::ecdsa::signature::Verifier as _;
        let key = ReleaseKey::from_seed(Secret::new([7; 32]));
        let request = CertReq::from_der(&request(&key).unwrap()).unwrap();
        assert_eq!(request.info.public_key.to_der().unwrap(), key.public_der());
        let public = p256::ecdsa::VerifyingKey::from_sec1_bytes(&key.public_der()[26..]).unwrap();
        let signature = p256::ecdsa::Signature::from_der(request.signature.as_bytes().unwrap()).unwrap();
        public.verify(&request.info.to_der().unwrap(), &signature).unwrap();
    }

    #[test]
    fn answers_have_a_certificate_or_a_reason() {
        assert_eq!(certificate(b"<html>"), Err("the answer is no JSON"));
        for bad in [json!({}), json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": [] } } })] {
            assert!(certificate(bad.to_string().as_bytes()).is_err(), "{bad}");
        }
        let good = json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": [pem("CERTIFICATE", b"abc")] } } });
        assert_eq!(certificate(good.to_string().as_bytes()).unwrap(), b"abc");
    }

    #[test]
    fn what_a_token_claims_is_told_without_it() {
        let part = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"iss":"https://issuer.example","email":"ana@example.org"}"#);
        assert_eq!(claimed(&format!("e30.{part}.secret")), "ana@example.org of https://issuer.example");
        assert_eq!(claimed("secret"), "somebody of somewhere");
    }
}
