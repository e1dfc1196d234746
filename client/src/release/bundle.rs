//! Sigstore bundles: a statement, signed, with what its verification needs (v0.3, DSSE).
//!
//! Decides: the words that are signed (DSSE's pre-authentication encoding of the exact statement) and the JSON around them. A bundle of a keyless signer
//! carries its certificate, one of a managed key the key's hint; entries of Sigstore's log and timestamps are added later (`rekor.rs`).
//! Trusts: nothing; our own verifier (`ringwall_attest::release`) judges what is made here. Out of scope: where keys come from.

use super::fulcio::Keyless;
use super::key::ReleaseKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringwall_wire::limits::BUNDLE_BYTES;
use serde_json::{Value, json};

/// What kind of document the payload is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Why a file is no bundle this tool goes on with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BundleFault {
    /// Another shape.
    #[error("this is no Sigstore bundle with a DSSE envelope: {what}")]
    Shape {
        /// What is missing or wrong.
        what: &'static str,
    },
    /// Longer than a proof of release carries.
    #[error("the bundle has {bytes} bytes, at most {BUNDLE_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// What is signed for a statement.
pub fn signed_words(statement: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), statement.len());
    [head.as_bytes(), statement].concat()
}

/// The bundle of a managed key.
pub fn managed(statement: &[u8], key: &ReleaseKey) -> Bundle {
    let material = json!({ "publicKey": { "hint": key.hint() } });
    Bundle::new(statement, &key.sign(&signed_words(statement)), material)
}

/// The bundle of a keyless signer: its key signs once and is forgotten.
pub fn keyless(statement: &[u8], signer: Keyless) -> Bundle {
    let signature = signer.key.sign(&signed_words(statement));
    Bundle::new(statement, &signature, json!({ "certificate": { "rawBytes": STANDARD.encode(&signer.certificate) } }))
}

/// A bundle with one signature over a statement; not verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    json: Value,
}

impl Bundle {
    fn new(statement: &[u8], signature: &[u8], material: Value) -> Self {
        let envelope = json!({
            "payload": STANDARD.encode(statement),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": STANDARD.encode(signature) }],
        });
        Bundle { json: json!({ "mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope }) }
    }

    /// Reads one, whoever made it.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleFault> {
        if bytes.len() > BUNDLE_BYTES {
            return Err(BundleFault::TooLarge { bytes: bytes.len() });
        }
        let json = serde_json::from_slice(bytes).map_err(|_| BundleFault::Shape { what: "it is no JSON" })?;
        let bundle = Bundle { json };
        bundle.statement()?;
        bundle.signature()?;
        match bundle.json.get("verificationMaterial") {
            Some(Value::Object(_)) => Ok(bundle),
            _ => Err(BundleFault::Shape { what: "it has no verification material" }),
        }
    }

    /// Its JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleFault> {
        let bytes = self.json.to_string().into_bytes();
        match bytes.len() > BUNDLE_BYTES {
            true => Err(BundleFault::TooLarge { bytes: bytes.len() }),
            false => Ok(bytes),
        }
    }

    /// The envelope, as it stands.
    pub(crate) fn envelope(&self) -> &Value {
        self.json.get("dsseEnvelope").unwrap_or(&Value::Null)
    }

    /// What verifies it.
    pub(crate) fn material(&self) -> &Value {
        self.json.get("verificationMaterial").unwrap_or(&Value::Null)
    }

    /// The statement, exact bytes.
    pub fn statement(&self) -> Result<Vec<u8>, BundleFault> {
        let payload = self.envelope().get("payload").and_then(Value::as_str).ok_or(BundleFault::Shape { what: "it has no payload" })?;
        STANDARD.decode(payload).map_err(|_| BundleFault::Shape { what: "its payload is no base64" })
    }

    /// The one signature.
    pub(crate) fn signature(&self) -> Result<Vec<u8>, BundleFault> {
        let list = self.envelope().get("signatures").and_then(Value::as_array).map(Vec::as_slice);
        let Some([one]) = list else { return Err(BundleFault::Shape { what: "it has not one signature" }) };
        let text = one.get("sig").and_then(Value::as_str).ok_or(BundleFault::Shape { what: "its signature is no text" })?;
        STANDARD.decode(text).map_err(|_| BundleFault::Shape { what: "its signature is no base64" })
    }

    /// The certificate of a keyless signer.
    pub(crate) fn certificate(&self) -> Option<Vec<u8>> {
        let text = self.material().get("certificate")?.get("rawBytes")?.as_str()?;
        STANDARD.decode(text).ok()
    }

    /// Adds an entry of Sigstore's log, in the form bundles have.
    pub(crate) fn add_entry(&mut self, entry: Value) {
        self.push("tlogEntries", entry);
    }

    /// Adds a timestamp: a whole RFC 3161 response.
    pub(crate) fn add_timestamp(&mut self, response: &[u8]) {
        let stamp = json!({ "signedTimestamp": STANDARD.encode(response) });
        let material = self.json.get_mut("verificationMaterial").and_then(Value::as_object_mut);
        let Some(data) = material.map(|material| material.entry("timestampVerificationData").or_insert_with(|| json!({}))) else { return };
        let stamps = data.as_object_mut().map(|data| data.entry("rfc3161Timestamps").or_insert_with(|| json!([])));
        if let Some(Value::Array(stamps)) = stamps {
            stamps.push(stamp);
        }
    }

    fn push(&mut self, list: &str, item: Value) {
        let material = self.json.get_mut("verificationMaterial").and_then(Value::as_object_mut);
        if let Some(Value::Array(items)) = material.map(|material| material.entry(list).or_insert_with(|| json!([]))) {
            items.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::secret::Secret;

    #[test]
    fn a_bundle_is_read_as_it_was_written() {
        let key = ReleaseKey::from_seed(Secret::new([7; 32]));
        let mut bundle = managed(b"{}", &key);
        bundle.add_entry(json!({ "logIndex": "1" }));
        bundle.add_timestamp(b"stamp");
        let read = Bundle::read(&bundle.to_bytes().unwrap()).unwrap();
        assert_eq!(
            (read.statement().unwrap(), read.signature().unwrap()),
            (b"{}".to_vec(), key.sign(b"DSSEv1 28 application/vnd.in-toto+json 2 {}"))
        );
        assert_eq!(read.material()["tlogEntries"][0]["logIndex"], "1");
        assert_eq!(read.material()["timestampVerificationData"]["rfc3161Timestamps"][0]["signedTimestamp"], STANDARD.encode("stamp"));
        assert_eq!(read.certificate(), None);
    }

    #[test]
    fn other_files_are_no_bundles() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"dsseEnvelope":{"payload":"e30=","signatures":[]},"verificationMaterial":{}}"#,
            r#"{"dsseEnvelope":{"payload":"e30","signatures":[{"sig":"AA=="}]},"verificationMaterial":{}}"#,
            r#"{"dsseEnvelope":{"payload":"e30=","signatures":[{"sig":"AA=="}]}}"#,
        ] {
            assert!(matches!(Bundle::read(bad.as_bytes()), Err(BundleFault::Shape { .. })), "{bad}");
        }
        assert!(matches!(Bundle::read(&vec![b' '; BUNDLE_BYTES + 1]), Err(BundleFault::TooLarge { .. })));
    }
}
