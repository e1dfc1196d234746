//! Sigstore bundles (v0.1, v0.2, v0.3): one signature, who made it, and what proves it.
//!
//! Decides: a bundle has exactly one signature over one content, one certificate or key, and, under a trusted root, exactly one log entry and at
//! least one moment that something of the root signed; every moment must lie within the certificate's life, the authority's, the log's key's, and
//! before now. Unknown or doubled members refuse. Without a trusted root a bundle of a managed key has its signature and nothing else.
//! Trusts: the trusted root, the key, the time it is given. Out of scope: whether that signer may sign (`proof.rs`).
//! Sigstore bundle format; DSSE 1.0.

use super::base64;
use super::sigstore::certificate::{Certificate, issued};
use super::sigstore::entry::{EntryJson, Verifier, logged};
use super::sigstore::key::PublicKey;
pub use super::sigstore::root::TrustedRoot;
use super::sigstore::timestamp::stamped;
use crate::session::CLOCK_TOLERANCE_S;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use ringwall_wire::limits::{BUNDLE_BYTES, SIGSTORE_PARTS};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Why a bundle does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum BundleError {
    /// Its shape.
    #[error("this is no Sigstore bundle that is understood: {what}")]
    Shape { what: &'static str },
    /// The trusted root.
    #[error("this is no trusted root of Sigstore: {what}")]
    Root { what: &'static str },
    /// The certificate.
    #[error("the signer's certificate does not count: {what}")]
    Certificate { what: &'static str },
    /// The signature.
    #[error("the signature does not verify: the signer signed something else, or the bundle was changed")]
    Signature,
    /// The artifact.
    #[error("the bundle is about another artifact")]
    OtherArtifact,
    /// The log entry.
    #[error("the bundle's log entry does not count: {what}")]
    Entry { what: &'static str },
    /// A timestamp.
    #[error("the bundle's timestamp does not count: {what}")]
    Timestamp { what: &'static str },
    /// When it was signed.
    #[error("nothing in the bundle says, under the trusted root, when it was signed")]
    NoTime,
    /// A moment that has not come.
    #[error("the bundle was signed at {signed_s}, it is {now_s} (Unix seconds): is this machine's clock right?")]
    Future { signed_s: u64, now_s: u64 },
    /// A log's key did not count then.
    #[error("the log's key did not count at {at_s} (Unix seconds)")]
    LogKeySpan { at_s: u64 },
    /// There is no trusted root to judge by.
    #[error("the bundle has {what}, and no trusted root is pinned to judge it by")]
    NoRoot { what: &'static str },
    /// A certificate where a key was expected, or the other way round.
    #[error("the bundle names {got}, expected was {expected}")]
    OtherKind { got: &'static str, expected: &'static str },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BundleJson {
    media_type: String,
    verification_material: MaterialJson,
    message_signature: Option<MessageJson>,
    dsse_envelope: Option<EnvelopeJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MaterialJson {
    public_key: Option<HintJson>,
    x509_certificate_chain: Option<ChainJson>,
    certificate: Option<RawJson>,
    #[serde(default)]
    tlog_entries: Vec<EntryJson>,
    timestamp_verification_data: Option<TimestampsJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HintJson {
    #[serde(default, rename = "hint")]
    _hint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainJson {
    certificates: Vec<RawJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawJson {
    raw_bytes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimestampsJson {
    #[serde(default, rename = "rfc3161Timestamps")]
    timestamps: Vec<TimestampJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TimestampJson {
    signed_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageJson {
    message_digest: Option<DigestJson>,
    signature: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestJson {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvelopeJson {
    payload: String,
    payload_type: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    sig: String,
    #[serde(default, rename = "keyid")]
    _keyid: String,
}

/// What was signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// An artifact, by its SHA-256.
    Message { hash: [u8; 32], signature: Vec<u8> },
    /// An envelope.
    Envelope { kind: String, payload: Vec<u8>, signature: Vec<u8> },
}

impl Content {
    pub(crate) fn signature(&self) -> &[u8] {
        match self {
            Content::Message { signature, .. } | Content::Envelope { signature, .. } => signature,
        }
    }

    /// What a log entry over a hash has: that of the artifact, or that of what was signed for an envelope.
    pub(crate) fn hash(&self) -> [u8; 32] {
        match self {
            Content::Message { hash, .. } => *hash,
            Content::Envelope { kind, payload, .. } => Sha256::digest(envelope_words(kind, payload)).into(),
        }
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        match self {
            Content::Message { .. } => None,
            Content::Envelope { payload, .. } => Some(payload),
        }
    }

    pub(crate) fn payload_type(&self) -> Option<&String> {
        match self {
            Content::Message { .. } => None,
            Content::Envelope { kind, .. } => Some(kind),
        }
    }

    fn verified(&self, key: &PublicKey) -> Result<(), BundleError> {
        let good = match self {
            // Keys that are not ECDSA do not sign hashes.
            Content::Message { hash, signature } => key.verify_prehashed(hash, signature),
            // Some tools sign SHA-256 with P-384, too.
            Content::Envelope { kind, payload, signature } => {
                key.verify_usual(&envelope_words(kind, payload), signature).or_else(|| key.verify_prehashed(&self.hash(), signature))
            }
        };
        good.ok_or(BundleError::Signature)
    }
}

/// DSSE's pre-authentication encoding: what is signed for an envelope.
pub fn envelope_words(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut words = alloc::format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    words.extend_from_slice(payload);
    words
}

/// Who may have signed, as the bundle names it; not verified.
enum Named {
    Certificate(Vec<u8>),
    Key,
}

/// A bundle, well-formed and not yet verified.
pub struct Bundle {
    named: Named,
    content: Content,
    entries: Vec<EntryJson>,
    timestamps: Vec<Vec<u8>>,
}

impl core::fmt::Debug for Bundle {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Bundle({} entries, {} timestamps)", self.entries.len(), self.timestamps.len())
    }
}

/// A keyless signature that verified: who signed, and when at the earliest known moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict nobody uses protects nobody"]
pub struct Certified {
    /// Who identified the signer.
    pub issuer: String,
    /// The signer.
    pub identity: String,
    /// When, Unix seconds, as something of the trusted root signed it.
    pub at_s: u64,
}

impl Bundle {
    /// Reads a bundle.
    pub fn parse(json: &[u8]) -> Result<Bundle, BundleError> {
        let wrong = |what| BundleError::Shape { what };
        if json.len() > BUNDLE_BYTES {
            return Err(wrong("it is too long"));
        }
        let bundle: BundleJson = serde_json::from_slice(json).map_err(|_| wrong("it is no JSON of that shape"))?;
        let version = version(&bundle.media_type).ok_or(wrong("its version is none of 0.1, 0.2 and 0.3"))?;
        let MaterialJson { public_key, x509_certificate_chain, certificate, tlog_entries, timestamp_verification_data } =
            bundle.verification_material;
        let named = match (public_key, x509_certificate_chain, certificate) {
            (Some(_), None, None) => Named::Key,
            (None, Some(chain), None) if version < 3 => {
                let [leaf] = chain.certificates.as_slice() else { return Err(wrong("it must bring exactly one certificate")) };
                Named::Certificate(base64::read(&leaf.raw_bytes).ok_or(wrong("its certificate is no base64"))?)
            }
            (None, None, Some(leaf)) if version == 3 => {
                Named::Certificate(base64::read(&leaf.raw_bytes).ok_or(wrong("its certificate is no base64"))?)
            }
            _ => return Err(wrong("it must name exactly one key, or one certificate in the way of its version")),
        };
        let content = match (bundle.message_signature, bundle.dsse_envelope) {
            (Some(message), None) => message_content(&message),
            (None, Some(envelope)) => envelope_content(envelope),
            _ => None,
        };
        let content = content.ok_or(wrong("it must have exactly one signature over exactly one content"))?;
        let timestamps = timestamp_verification_data.map_or_else(Vec::new, |data| data.timestamps);
        if timestamps.len() > SIGSTORE_PARTS || tlog_entries.len() > 1 {
            return Err(wrong("it has too many log entries or timestamps"));
        }
        let timestamps = timestamps.iter().map(|one| base64::read(&one.signed_timestamp)).collect::<Option<_>>();
        let timestamps = timestamps.ok_or(wrong("a timestamp is no base64"))?;
        Ok(Bundle { named, content, entries: tlog_entries, timestamps })
    }

    /// The payload of its envelope, when it is an in-toto statement. Not verified.
    pub fn statement(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Envelope { kind, payload, .. } if kind == IN_TOTO => Some(payload),
            Content::Envelope { .. } | Content::Message { .. } => None,
        }
    }

    /// Whether the bundle names a certificate, and not a managed key.
    pub fn is_keyless(&self) -> bool {
        matches!(self.named, Named::Certificate(_))
    }

    /// Whether it is about an artifact with this SHA-256: as its message, or as a subject of its statement.
    pub fn is_about(&self, artifact: &[u8; 32]) -> bool {
        match &self.content {
            Content::Message { hash, .. } => hash == artifact,
            Content::Envelope { .. } => self.statement().is_some_and(|statement| super::statement::names(statement, artifact)),
        }
    }

    /// Verifies a keyless signature under a trusted root.
    pub fn verify_keyless(&self, root: &TrustedRoot, now_s: u64) -> Result<Certified, BundleError> {
        let Named::Certificate(der) = &self.named else {
            return Err(BundleError::OtherKind { got: "a key", expected: "a certificate" });
        };
        let wrong = |what| BundleError::Certificate { what };
        let leaf = Certificate::read(der).ok_or(wrong("it is no certificate of a shape and key that is known"))?;
        if !leaf.is_for_code() {
            return Err(wrong("it is not for signing code, or has a critical extension that is not understood"));
        }
        self.content.verified(&leaf.key)?;
        let times = self.moments(root, Verifier::Certificate(der), now_s)?;
        let authority = issued(&leaf, &root.authorities, &times)?;
        let chain = authority.chain().ok_or(wrong("its authority's chain is malformed"))?;
        leaf.is_promised(chain.first().ok_or(wrong("its authority has no certificate"))?, &root.certificate_logs)?;
        let identity = leaf.identity().ok_or(wrong("it has not exactly one alternative name, a URI or an address"))?;
        let issuer = leaf.token_issuer().ok_or(wrong("it does not say who identified its holder"))?;
        Ok(Certified { issuer, identity, at_s: times.into_iter().min().unwrap_or(0) })
    }

    /// Verifies the signature of a managed key (DER `SubjectPublicKeyInfo`), under a trusted root when there is one.
    pub fn verify_managed(&self, key: &[u8], root: Option<&TrustedRoot>, now_s: u64) -> Result<(), BundleError> {
        let key = PublicKey::read(key).ok_or(BundleError::Signature)?;
        self.verify_key(&key, root, now_s)
    }

    pub(crate) fn verify_key(&self, key: &PublicKey, root: Option<&TrustedRoot>, now_s: u64) -> Result<(), BundleError> {
        if self.is_keyless() {
            return Err(BundleError::OtherKind { got: "a certificate", expected: "a key" });
        }
        self.content.verified(key)?;
        match root {
            Some(root) => self.moments(root, Verifier::Key(key.der()), now_s).map(|_| ()),
            None if !self.entries.is_empty() => Err(BundleError::NoRoot { what: "a log entry" }),
            None if !self.timestamps.is_empty() => Err(BundleError::NoRoot { what: "a timestamp" }),
            None => Ok(()),
        }
    }

    /// Whether this key made the signature; says nothing about log entries and times.
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        !self.is_keyless() && self.content.verified(key).is_ok()
    }

    /// The log entry and every timestamp verify; the moments they give, at least one.
    fn moments(&self, root: &TrustedRoot, verifier: Verifier<'_>, now_s: u64) -> Result<Vec<u64>, BundleError> {
        let [entry] = self.entries.as_slice() else { return Err(BundleError::Entry { what: "there is none" }) };
        let (log, integrated) = logged(entry, root, &self.content, verifier)?;
        let mut times: Vec<u64> = integrated.into_iter().collect();
        for timestamp in &self.timestamps {
            times.push(stamped(timestamp, self.content.signature(), &root.timestamps)?);
        }
        if times.is_empty() {
            return Err(BundleError::NoTime);
        }
        for &at_s in &times {
            if at_s > now_s.saturating_add(CLOCK_TOLERANCE_S) {
                return Err(BundleError::Future { signed_s: at_s, now_s });
            }
            if !log.valid.covers(at_s) {
                return Err(BundleError::LogKeySpan { at_s });
            }
        }
        Ok(times)
    }
}

/// The minor version a media type names.
fn version(media_type: &str) -> Option<u8> {
    match media_type {
        "application/vnd.dev.sigstore.bundle+json;version=0.1" => Some(1),
        "application/vnd.dev.sigstore.bundle+json;version=0.2" => Some(2),
        "application/vnd.dev.sigstore.bundle+json;version=0.3" | "application/vnd.dev.sigstore.bundle.v0.3+json" => Some(3),
        _ => None,
    }
}

fn message_content(message: &MessageJson) -> Option<Content> {
    let digest = message.message_digest.as_ref().filter(|digest| digest.algorithm == "SHA2_256")?;
    let hash = base64::read(&digest.digest)?.try_into().ok()?;
    Some(Content::Message { hash, signature: base64::read(&message.signature)? })
}

fn envelope_content(envelope: EnvelopeJson) -> Option<Content> {
    let [signature] = envelope.signatures.as_slice() else { return None };
    let signature = base64::read(&signature.sig)?;
    Some(Content::Envelope { payload: base64::read(&envelope.payload)?, kind: envelope.payload_type.to_string(), signature })
}
