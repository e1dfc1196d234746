//! Entries of Sigstore's log (Rekor, version 1 and 2): the log has this signature, and perhaps says since when.
//!
//! Decides: an entry counts when a log of the trusted root signed a checkpoint whose tree has the entry's body, and the body is of exactly the
//! signature, the signed bytes and the key or certificate of the bundle. A signed entry timestamp, when there is one, must verify; only then
//! the entry has a time.
//! Trusts: the trusted root. Out of scope: whether the log is honest about what it holds (nobody witnesses it here). Rekor's types
//! `hashedrekord`, `dsse` and `intoto`.

use super::key::PublicKey;
use super::root::{LogKey, TrustedRoot};
use crate::release::base64;
use crate::release::bundle::{BundleError, Content};
use crate::release::log::{Checkpoint, included};
use crate::release::note::SignedNote;
use alloc::string::String;
use alloc::vec::Vec;
use ringwall_wire::bounded::List;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::LOG_PATH;
use ringwall_wire::release::LogProof;
use ringwall_wire::text::{hex, read_hex};
use ringwall_wire::tree::leaf;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// A number, which protocol buffers write as text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Text(String),
    Number(u64),
}

/// What protobuf's JSON means by leaving a number out.
impl Default for Number {
    fn default() -> Self {
        Number::Number(0)
    }
}

impl Number {
    fn value(&self) -> Option<u64> {
        match self {
            Number::Number(value) => Some(*value),
            Number::Text(text) => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten(),
        }
    }
}

/// An entry, as a bundle brings it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EntryJson {
    #[serde(default)]
    log_index: Number,
    log_id: LogIdJson,
    kind_version: KindJson,
    integrated_time: Option<Number>,
    inclusion_promise: Option<PromiseJson>,
    inclusion_proof: Option<ProofJson>,
    canonicalized_body: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogIdJson {
    key_id: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindJson {
    kind: String,
    version: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PromiseJson {
    signed_entry_timestamp: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProofJson {
    #[serde(default)]
    log_index: Number,
    root_hash: String,
    tree_size: Number,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: Option<CheckpointJson>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointJson {
    envelope: String,
}

/// What verifies the signature in question, exact DER.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verifier<'a> {
    Certificate(&'a [u8]),
    Key(&'a [u8]),
}

fn wrong<T>(what: &'static str) -> Result<T, BundleError> {
    Err(BundleError::Entry { what })
}

/// Judges an entry; the second its log signed for it, if it did.
pub(crate) fn logged(
    entry: &EntryJson,
    root: &TrustedRoot,
    content: &Content,
    verifier: Verifier<'_>,
) -> Result<(LogKey, Option<u64>), BundleError> {
    let id = base64::read(&entry.log_id.key_id);
    let Some(log) = root.logs.iter().find(|log| id.as_deref() == Some(&log.id[..])) else {
        return wrong("its log is none of the trusted root's");
    };
    let Some(key) = &log.key else { return wrong("its log has a key of an unknown kind") };
    let Some(body) = base64::read(&entry.canonicalized_body) else { return wrong("its body is no base64") };
    is_in_tree(entry, log, key, &body)?;
    let time = promised(entry, log, key)?;
    match body::is_of(&entry.kind_version.kind, &entry.kind_version.version, &body, content, verifier) {
        Some(true) => Ok((log.clone(), time)),
        Some(false) => wrong("it is about another signature"),
        None => wrong("its kind or body is unknown"),
    }
}

/// The body is a leaf of a tree whose root the log signed.
fn is_in_tree(entry: &EntryJson, log: &LogKey, key: &PublicKey, body: &[u8]) -> Result<(), BundleError> {
    let Some(proof) = &entry.inclusion_proof else { return wrong("it has no inclusion proof") };
    let Some(checkpoint) = &proof.checkpoint else { return wrong("its inclusion proof has no checkpoint") };
    let note = SignedNote::parse(&checkpoint.envelope).map_err(|_| BundleError::Entry { what: "its checkpoint is no signed note" })?;
    let [first, second, third, fourth, ..] = log.id;
    let mut signed = false;
    for signature in note.raw(u32::from_be_bytes([first, second, third, fourth])) {
        if key.verify_usual(note.text().as_bytes(), signature).is_none() {
            return wrong("its checkpoint's signature does not verify");
        }
        signed = true;
    }
    if !signed {
        return wrong("its log did not sign its checkpoint");
    }
    let checkpoint = Checkpoint::read(note.text()).map_err(|_| BundleError::Entry { what: "its checkpoint is malformed" })?;
    let hash = |text: &String| base64::read(text).and_then(|bytes| bytes.try_into().ok()).map(Digest);
    if proof.tree_size.value() != Some(checkpoint.size) || hash(&proof.root_hash) != Some(checkpoint.root) {
        return wrong("its inclusion proof is for another tree than its checkpoint");
    }
    if proof.hashes.len() > LOG_PATH {
        return wrong("its inclusion proof is too long");
    }
    let path = proof.hashes.iter().map(hash).collect::<Option<Vec<_>>>();
    let (Some(index), Some(Ok(path))) = (proof.log_index.value(), path.map(List::new)) else {
        return wrong("its inclusion proof is malformed");
    };
    included(&leaf(body), &LogProof { index, path }, &checkpoint).map_err(|_| BundleError::Entry { what: "it is not in its log's tree" })
}

/// The second the log signed, when there is a signed entry timestamp.
fn promised(entry: &EntryJson, log: &LogKey, key: &PublicKey) -> Result<Option<u64>, BundleError> {
    let Some(promise) = &entry.inclusion_promise else { return Ok(None) };
    let (Some(time), Some(index)) = (entry.integrated_time.as_ref().and_then(Number::value), entry.log_index.value()) else {
        return wrong("its signed entry timestamp has no time or no index");
    };
    let Some(signature) = base64::read(&promise.signed_entry_timestamp) else { return wrong("its signed entry timestamp is no base64") };
    // RFC 8785 of these four members: names in order, no white space; base64 and hex need no escapes.
    let words = alloc::format!(
        "{{\"body\":\"{}\",\"integratedTime\":{time},\"logID\":\"{}\",\"logIndex\":{index}}}",
        entry.canonicalized_body,
        hex(&log.id)
    );
    match key.verify_usual(words.as_bytes(), &signature) {
        Some(()) => Ok(Some(time)),
        None => wrong("its signed entry timestamp does not verify"),
    }
}

/// What the body of an entry says, kind by kind.
mod body {
    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<T> {
        api_version: String,
        kind: String,
        spec: T,
    }

    #[derive(Deserialize)]
    struct HexHash {
        algorithm: String,
        value: String,
    }

    #[derive(Deserialize)]
    struct Text {
        content: String,
    }

    #[derive(Deserialize)]
    struct Rekord1 {
        data: RekordData1,
        signature: RekordSignature1,
    }

    #[derive(Deserialize)]
    struct RekordData1 {
        hash: HexHash,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RekordSignature1 {
        content: String,
        public_key: Text,
    }

    #[derive(Deserialize)]
    struct RawHash {
        algorithm: String,
        digest: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        raw_bytes: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Verifier2 {
        x509_certificate: Option<Raw>,
        public_key: Option<Raw>,
    }

    #[derive(Deserialize)]
    struct Signature2 {
        content: String,
        verifier: Verifier2,
    }

    #[derive(Deserialize)]
    struct Rekord2 {
        #[serde(rename = "hashedRekordV002")]
        rekord: RekordSpec2,
    }

    #[derive(Deserialize)]
    struct RekordSpec2 {
        data: RawHash,
        signature: Signature2,
    }

    #[derive(Deserialize)]
    struct Dsse2 {
        #[serde(rename = "dsseV002")]
        dsse: DsseSpec2,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct DsseSpec2 {
        payload_hash: RawHash,
        signatures: Vec<Signature2>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Dsse1 {
        payload_hash: HexHash,
        signatures: Vec<DsseSignature1>,
    }

    #[derive(Deserialize)]
    struct DsseSignature1 {
        signature: String,
        verifier: String,
    }

    #[derive(Deserialize)]
    struct Intoto2 {
        content: IntotoContent2,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct IntotoContent2 {
        envelope: IntotoEnvelope2,
        payload_hash: HexHash,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct IntotoEnvelope2 {
        payload_type: String,
        signatures: Vec<IntotoSignature2>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct IntotoSignature2 {
        public_key: String,
        sig: String,
    }

    fn spec<T: for<'de> Deserialize<'de>>(body: &[u8], kind: &str, version: &str) -> Option<T> {
        let body: Body<T> = serde_json::from_slice(body).ok()?;
        (body.kind == kind && body.api_version == version).then_some(body.spec)
    }

    /// Whether the body is about exactly this signature; none when the kind is unknown or the body is not of it.
    pub(super) fn is_of(kind: &str, version: &str, body: &[u8], content: &Content, by: Verifier<'_>) -> Option<bool> {
        match (kind, version) {
            ("hashedrekord", "0.0.1") => {
                let Rekord1 { data, signature } = spec(body, kind, version)?;
                Some(
                    is_hex(&data.hash, &content.hash())
                        && is_base64(&signature.content, content.signature())
                        && is_pem(&signature.public_key.content, by),
                )
            }
            ("hashedrekord", "0.0.2") => {
                let Rekord2 { rekord } = spec(body, kind, version)?;
                Some(is_raw(&rekord.data, &content.hash()) && is_signature(&rekord.signature, content, by))
            }
            ("dsse", "0.0.1") => {
                let Dsse1 { payload_hash, signatures } = spec(body, kind, version)?;
                let [one] = signatures.as_slice() else { return Some(false) };
                let payload = content.payload()?;
                Some(
                    is_hex(&payload_hash, &Sha256::digest(payload).into())
                        && is_base64(&one.signature, content.signature())
                        && is_pem(&one.verifier, by),
                )
            }
            ("dsse", "0.0.2") => {
                let Dsse2 { dsse } = spec(body, kind, version)?;
                let [one] = dsse.signatures.as_slice() else { return Some(false) };
                let payload = content.payload()?;
                Some(is_raw(&dsse.payload_hash, &Sha256::digest(payload).into()) && is_signature(one, content, by))
            }
            ("intoto", "0.0.2") => {
                let Intoto2 { content: logged } = spec(body, kind, version)?;
                let [one] = logged.envelope.signatures.as_slice() else { return Some(false) };
                let payload = content.payload()?;
                let signature = base64::read(&one.sig).and_then(|text| String::from_utf8(text).ok());
                Some(
                    is_hex(&logged.payload_hash, &Sha256::digest(payload).into())
                        && content.payload_type() == Some(&logged.envelope.payload_type)
                        && signature.is_some_and(|text| is_base64(&text, content.signature()))
                        && is_pem(&one.public_key, by),
                )
            }
            _ => None,
        }
    }

    fn is_signature(logged: &Signature2, content: &Content, by: Verifier<'_>) -> bool {
        let raw = |raw: &Option<Raw>| raw.as_ref().and_then(|raw| base64::read(&raw.raw_bytes));
        let (certificate, key) = (raw(&logged.verifier.x509_certificate), raw(&logged.verifier.public_key));
        let same = match by {
            Verifier::Certificate(der) => certificate.as_deref() == Some(der) && key.is_none(),
            Verifier::Key(der) => key.as_deref() == Some(der) && certificate.is_none(),
        };
        same && is_base64(&logged.content, content.signature())
    }

    fn is_base64(text: &str, bytes: &[u8]) -> bool {
        base64::read(text).as_deref() == Some(bytes)
    }

    fn is_hex(hash: &HexHash, expected: &[u8; 32]) -> bool {
        hash.algorithm == "sha256" && read_hex(&hash.value) == Some(*expected)
    }

    fn is_raw(hash: &RawHash, expected: &[u8; 32]) -> bool {
        hash.algorithm == "SHA2_256" && is_base64(&hash.digest, expected)
    }

    /// The base64 of a PEM block of exactly this certificate or key.
    fn is_pem(text: &str, by: Verifier<'_>) -> bool {
        let block = base64::read(text).and_then(|pem| pem::parse(pem).ok());
        let (tag, der) = match by {
            Verifier::Certificate(der) => ("CERTIFICATE", der),
            Verifier::Key(der) => ("PUBLIC KEY", der),
        };
        block.is_some_and(|block| block.tag() == tag && block.contents() == der)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Protobuf's JSON leaves out what is zero or empty: the first entry of a log has no index, and its proof neither index nor hashes.
    #[test]
    fn what_is_left_out_is_zero_and_nothing_else_may_be() {
        let text = r#"{"logId":{"keyId":"AA=="},"kindVersion":{"kind":"dsse","version":"0.0.2"},"canonicalizedBody":"e30=",
            "inclusionProof":{"rootHash":"AA==","treeSize":"1","checkpoint":{"envelope":"x"}}}"#;
        let entry: EntryJson = serde_json::from_str(text).unwrap();
        let proof = entry.inclusion_proof.as_ref().unwrap();
        assert_eq!((entry.log_index.value(), proof.log_index.value(), proof.hashes.len()), (Some(0), Some(0), 0));
        for needed in ["\"treeSize\":\"1\",", "\"rootHash\":\"AA==\",", ",\"canonicalizedBody\":\"e30=\"", "\"kind\":\"dsse\","] {
            assert!(serde_json::from_str::<EntryJson>(&text.replacen(needed, "", 1)).is_err(), "{needed}");
        }
    }
}
