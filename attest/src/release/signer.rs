//! Who signs releases, as a policy names them.
//!
//! Decides: a signer is `keyless:<issuer> <identity>` (an identity provider and whom it identifies, both exact) or `key:<key>`, where the key is a
//! C2SP verifier key of type 0x01 or the base64 of a DER `SubjectPublicKeyInfo` (P-256, P-384, Ed25519, RSA). A rule whose texts cannot be read, whose
//! thresholds are zero or out of reach, or which names one signer twice, proves nothing and is refused as a whole.
//! Trusts: the policy. Out of scope: what they signed (`proof.rs`). docs/formats.md, "Releases".

use super::base64;
use super::log::distinct;
use super::note::VerifierKey;
use super::sigstore::key::PublicKey;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::ReleaseSigners;

/// Why a rule about releases proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum RuleError {
    /// A signer's text.
    #[error("{text:?} names no signer: {what}; write `keyless:<issuer> <identity>` or `key:<verifier key or base64 of a DER public key>`")]
    Signer { text: String, what: &'static str },
    /// The log's or a witness's text.
    #[error("{text:?} names no {whose}: {what}")]
    Key { text: String, whose: &'static str, what: String },
    /// The same signer twice.
    #[error("signer {text:?} is named twice: it would count twice")]
    Twice { text: String },
    /// A threshold of nobody, or of more than there are.
    #[error("{threshold} of {named} {whose} must sign: give at least 1 and at most as many as there are")]
    Threshold { whose: &'static str, threshold: u8, named: usize },
    /// Keyless signers without a root.
    #[error("signer {text:?} is keyless, and no trusted root of Sigstore is pinned to judge its certificates by")]
    NoRoot { text: String },
}

/// A signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    text: String,
    pub(crate) kind: SignerKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignerKind {
    Keyless { issuer: String, identity: String },
    Key(PublicKey),
}

impl Signer {
    /// Reads a policy's text.
    pub fn parse(text: &str) -> Result<Signer, RuleError> {
        let wrong = |what| RuleError::Signer { text: text.to_string(), what };
        let kind = if let Some(rest) = text.strip_prefix("keyless:") {
            let (issuer, identity) = rest.split_once(' ').ok_or(wrong("there is no space between issuer and identity"))?;
            if issuer.is_empty() || identity.is_empty() || identity.contains(' ') {
                return Err(wrong("issuer and identity are one word each"));
            }
            SignerKind::Keyless { issuer: issuer.to_string(), identity: identity.to_string() }
        } else if let Some(rest) = text.strip_prefix("key:") {
            let named = VerifierKey::parse(rest).ok();
            let key = match named.as_ref().and_then(VerifierKey::plain) {
                Some(key) => Some(PublicKey::ed25519(key)),
                None => base64::read(rest).and_then(|der| PublicKey::read(&der)),
            };
            SignerKind::Key(key.ok_or(wrong("the key is neither a verifier key of type 0x01 nor a DER key of a known kind"))?)
        } else {
            return Err(wrong("it begins with neither `keyless:` nor `key:`"));
        };
        Ok(Signer { text: text.to_string(), kind })
    }

    /// As the policy writes it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The DER of its key; none for a keyless signer.
    pub fn key_der(&self) -> Option<&[u8]> {
        match &self.kind {
            SignerKind::Keyless { .. } => None,
            SignerKind::Key(key) => Some(key.der()),
        }
    }

    fn is(&self, other: &Signer) -> bool {
        match (&self.kind, &other.kind) {
            (SignerKind::Key(own), SignerKind::Key(other)) => own.is(other),
            (own, other) => own == other,
        }
    }
}

/// A policy's rule about releases, read.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) signers: Vec<Signer>,
    pub(crate) signer_threshold: u8,
    pub(crate) trusted_root: Option<Digest>,
    pub(crate) witnesses: Vec<VerifierKey>,
    pub(crate) witness_threshold: u8,
    pub(crate) log: VerifierKey,
    pub(crate) max_age_s: u64,
}

impl Rule {
    /// Reads a rule, whole.
    pub fn read(rule: &ReleaseSigners) -> Result<Rule, RuleError> {
        let ReleaseSigners { signers, signer_threshold, trusted_root, witnesses, witness_threshold, log, max_checkpoint_age_s } = rule;
        let signers = signers.iter().map(|text| Signer::parse(text)).collect::<Result<Vec<_>, _>>()?;
        for (at, signer) in signers.iter().enumerate() {
            if signers.iter().take(at).any(|other| other.is(signer)) {
                return Err(RuleError::Twice { text: signer.text.clone() });
            }
            if trusted_root.is_none() && matches!(signer.kind, SignerKind::Keyless { .. }) {
                return Err(RuleError::NoRoot { text: signer.text.clone() });
            }
        }
        reachable("signers", *signer_threshold, signers.len())?;
        let key = |text: &str, whose| {
            VerifierKey::parse(text).map_err(|error| RuleError::Key { text: text.to_string(), whose, what: error.to_string() })
        };
        let witnesses = witnesses.iter().map(|text| key(text, "witness")).collect::<Result<Vec<_>, _>>()?;
        reachable("witnesses", *witness_threshold, witnesses.len())?;
        let log_key = key(log, "log")?;
        if log_key.is_cosigner() {
            return Err(RuleError::Key { text: log.to_string(), whose: "log", what: "it is a witness's key".into() });
        }
        distinct(&log_key, &witnesses).map_err(|error| RuleError::Key {
            text: log.to_string(),
            whose: "log with witnesses",
            what: error.to_string(),
        })?;
        Ok(Rule {
            signers,
            signer_threshold: *signer_threshold,
            trusted_root: *trusted_root,
            witnesses,
            witness_threshold: *witness_threshold,
            log: log_key,
            max_age_s: u64::from(*max_checkpoint_age_s),
        })
    }

    /// The log's key.
    pub fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The witnesses' keys.
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// How many witnesses must have cosigned.
    pub fn witness_threshold(&self) -> u8 {
        self.witness_threshold
    }

    /// The signers.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }
}

fn reachable(whose: &'static str, threshold: u8, named: usize) -> Result<(), RuleError> {
    match threshold == 0 || usize::from(threshold) > named {
        true => Err(RuleError::Threshold { whose, threshold, named }),
        false => Ok(()),
    }
}
