//! Sigstore's trusted root: its authorities and logs, each with the time in which it counts.
//!
//! Decides: what a `trusted_root.json` (version 0.1) says. An entry without a beginning refuses the whole document; keys of kinds unknown here are
//! kept as unknown, so that nothing verifies under them.
//! Trusts: nothing; a policy pins the bytes. Out of scope: where the document comes from (TUF).
//! Sigstore protobuf-specs, `sigstore_trustroot.proto`.

use super::certificate::{Certificate, chain};
use super::der::rfc3339;
use super::key::PublicKey;
use crate::release::base64;
use crate::release::bundle::BundleError;
use alloc::string::String;
use alloc::vec::Vec;
use ringwall_wire::limits::{SIGSTORE_PARTS, TRUSTED_ROOT_BYTES};
use serde::Deserialize;

/// A closed span of time, Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    from_s: u64,
    until_s: Option<u64>,
}

impl Span {
    /// Whether the moment is within.
    pub(crate) fn covers(&self, at_s: u64) -> bool {
        at_s >= self.from_s && self.until_s.is_none_or(|until_s| at_s <= until_s)
    }
}

/// A log's key.
#[derive(Clone, Debug)]
pub(crate) struct LogKey {
    pub(crate) id: [u8; 32],
    pub(crate) key: Option<PublicKey>,
    pub(crate) valid: Span,
}

/// An authority for certificates or timestamps.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    ders: Vec<Vec<u8>>,
    pub(crate) valid: Span,
}

impl Authority {
    /// Its certificates, lowest first.
    pub(crate) fn chain(&self) -> Option<Vec<Certificate<'_>>> {
        chain(&self.ders)
    }
}

/// The trusted root.
#[derive(Clone, Debug)]
pub struct TrustedRoot {
    pub(crate) logs: Vec<LogKey>,
    pub(crate) certificate_logs: Vec<LogKey>,
    pub(crate) authorities: Vec<Authority>,
    pub(crate) timestamps: Vec<Authority>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RootJson {
    media_type: String,
    #[serde(default)]
    tlogs: Vec<LogJson>,
    #[serde(default)]
    ctlogs: Vec<LogJson>,
    #[serde(default)]
    certificate_authorities: Vec<AuthorityJson>,
    #[serde(default)]
    timestamp_authorities: Vec<AuthorityJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogJson {
    public_key: KeyJson,
    log_id: IdJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyJson {
    raw_bytes: String,
    valid_for: SpanJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdJson {
    key_id: String,
}

#[derive(Deserialize)]
struct SpanJson {
    start: String,
    end: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorityJson {
    cert_chain: ChainJson,
    valid_for: SpanJson,
}

#[derive(Deserialize)]
struct ChainJson {
    certificates: Vec<CertificateJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateJson {
    raw_bytes: String,
}

impl TrustedRoot {
    /// Reads a trusted root.
    pub fn parse(json: &[u8]) -> Result<TrustedRoot, BundleError> {
        let wrong = |what| BundleError::Root { what };
        if json.len() > TRUSTED_ROOT_BYTES {
            return Err(wrong("it is too long"));
        }
        let root: RootJson = serde_json::from_slice(json).map_err(|_| wrong("it is no JSON of that shape"))?;
        if !root.media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
            return Err(wrong("its media type is another one"));
        }
        let lens = [root.tlogs.len(), root.ctlogs.len(), root.certificate_authorities.len(), root.timestamp_authorities.len()];
        if lens.into_iter().any(|len| len > SIGSTORE_PARTS) {
            return Err(wrong("it names too many logs or authorities"));
        }
        let logs = |logs: &[LogJson]| logs.iter().map(log).collect::<Option<Vec<_>>>().ok_or(wrong("a log's key, id or span is malformed"));
        let authorities = |all: &[AuthorityJson]| {
            all.iter().map(authority).collect::<Option<Vec<_>>>().ok_or(wrong("an authority's chain or span is malformed"))
        };
        Ok(TrustedRoot {
            logs: logs(&root.tlogs)?,
            certificate_logs: logs(&root.ctlogs)?,
            authorities: authorities(&root.certificate_authorities)?,
            timestamps: authorities(&root.timestamp_authorities)?,
        })
    }
}

fn span(json: &SpanJson) -> Option<Span> {
    let until_s = match &json.end {
        Some(end) => Some(rfc3339(end)?),
        None => None,
    };
    Some(Span { from_s: rfc3339(&json.start)?, until_s })
}

fn log(json: &LogJson) -> Option<LogKey> {
    let id = base64::read(&json.log_id.key_id)?.try_into().ok()?;
    let key = PublicKey::read(&base64::read(&json.public_key.raw_bytes)?);
    Some(LogKey { id, key, valid: span(&json.public_key.valid_for)? })
}

fn authority(json: &AuthorityJson) -> Option<Authority> {
    let chain = &json.cert_chain.certificates;
    if chain.is_empty() || chain.len() > SIGSTORE_PARTS {
        return None;
    }
    let ders = chain.iter().map(|one| base64::read(&one.raw_bytes)).collect::<Option<_>>()?;
    Some(Authority { ders, valid: span(&json.valid_for)? })
}
