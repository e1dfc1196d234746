//! A policy from a file, in whichever form it stands there.
//!
//! Decides: canonical bytes begin with a zero byte (the length of their label), which no TOML text does; each form is read strictly, and
//! both refuse repeated entries. Trusts: nothing; at most 1 MiB is read. Out of scope: who approved it (`attest`).

use super::fault::{Place, PolicyFault};
use super::read::{POLICY_FILE_BYTES, fits, from_toml};
use super::repeated::repeated;
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::policy::{PolicyDoc, SignedPolicy};
use std::io::Read as _;
use std::path::Path;

/// What a policy file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyFile {
    /// TOML.
    Text(PolicyDoc),
    /// Canonical bytes.
    Canonical(PolicyDoc),
    /// A signed policy: the document inside, and the whole message. Nothing is said about the signatures.
    Signed(PolicyDoc, SignedPolicy),
}

impl PolicyFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, PolicyFault> {
        let failed = |source| PolicyFault::Io { path: path.into(), source };
        let mut bytes = Vec::new();
        let limit = POLICY_FILE_BYTES as u64 + 1;
        std::fs::File::open(path).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(&bytes)
    }

    /// Reads bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyFault> {
        if bytes.len() > POLICY_FILE_BYTES {
            return Err(PolicyFault::TooLarge { most: POLICY_FILE_BYTES });
        }
        if bytes.first() != Some(&0) {
            let text = std::str::from_utf8(bytes).map_err(|fault| PolicyFault::NotText { at: fault.valid_up_to() })?;
            return from_toml(text).map(PolicyFile::Text);
        }
        match SignedPolicy::decode(bytes) {
            Ok(signed) => Ok(PolicyFile::Signed(canonical(&signed.policy)?, signed)),
            Err(DecodeError::WrongLabel { .. }) => canonical(bytes).map(PolicyFile::Canonical),
            Err(fault) => Err(PolicyFault::NotCanonical(fault)),
        }
    }

    /// The document.
    pub fn policy(&self) -> &PolicyDoc {
        match self {
            PolicyFile::Text(policy) | PolicyFile::Canonical(policy) | PolicyFile::Signed(policy, _) => policy,
        }
    }

    /// The document alone.
    pub fn into_policy(self) -> PolicyDoc {
        match self {
            PolicyFile::Text(policy) | PolicyFile::Canonical(policy) | PolicyFile::Signed(policy, _) => policy,
        }
    }

    /// Which form it has, for people.
    pub fn form(&self) -> &'static str {
        match self {
            PolicyFile::Text(_) => "toml",
            PolicyFile::Canonical(_) => "canonical",
            PolicyFile::Signed(..) => "signed",
        }
    }
}

fn canonical(bytes: &[u8]) -> Result<PolicyDoc, PolicyFault> {
    let policy = PolicyDoc::decode(bytes).map_err(PolicyFault::NotCanonical)?;
    if let Some(again) = repeated(&policy) {
        let place = Place { key: again.key, position: None };
        return Err(PolicyFault::Repeated { place, found: again.found, first: again.first });
    }
    fits(&policy)?;
    Ok(policy)
}
