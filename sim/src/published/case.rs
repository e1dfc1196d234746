//! One case: what `case.json` says, and what is handed to the verifier.
//!
//! Decides: which kind a case is, which verdict it states, at which time it is judged, and what happens when it does not say.
//! Trusts: nothing. Out of scope: evidence of each vendor (`snp.rs`, `tdx.rs`), judging (`judge.rs`). docs/conformance.md, "case.json".

use super::expect::Expect;
use super::place::Place;
use super::{snp, tdx};
use ringwall_attest::Anchors;
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::text::read_hex;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// When a case that does not say is judged: the day the shared vectors use, 2026-06-01, Unix seconds.
const JUDGED_AT_S: u64 = 1_780_272_000;
/// Bytes of `case.json`.
const CASE_BYTES: usize = 256 * 1024;

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An AMD report with its certificates.
    Snp,
    /// An Intel quote with its collateral; SGX quotes too, which are always refused.
    Tdx,
    /// Measured inputs or an event log, and the digests they lead to.
    Measurement,
    /// A Sigstore bundle with a trusted root.
    Sigstore,
    /// Signed notes, verifier keys and proofs of transparency logs.
    Tlog,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Snp, Kind::Tdx, Kind::Measurement, Kind::Sigstore, Kind::Tlog];

    /// Name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Snp => "snp",
            Kind::Tdx => "tdx",
            Kind::Measurement => "measurement",
            Kind::Sigstore => "sigstore",
            Kind::Tlog => "tlog",
        }
    }

    /// The kind whose folder has this name.
    pub fn of_folder(name: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name.trim()))
    }

    /// The kind a `kind` word of case.json names.
    fn of_word(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "snp-report" | "snp" => Some(Kind::Snp),
            "tdx-quote" | "sgx-quote" | "tdx" => Some(Kind::Tdx),
            "tdx-rtmr-replay" | "measurement" => Some(Kind::Measurement),
            "sigstore-bundle" | "sigstore" => Some(Kind::Sigstore),
            _ => None,
        }
    }

    /// The kind the files of a case tell.
    fn of_files(folder: &Place) -> Option<Self> {
        let has = |name| folder.named(name).is_some();
        if has("bundle.sigstore.json") {
            return Some(Kind::Sigstore);
        }
        match (has("report.bin"), has("quote.bin"), has("ccel.bin")) {
            (true, false, false) => Some(Kind::Snp),
            (false, true, false) => Some(Kind::Tdx),
            (_, _, true) => Some(Kind::Measurement),
            _ => None,
        }
    }
}

/// Why a case cannot be judged at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// A file or folder cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// `case.json` is not a JSON object.
    #[error("{}: not a JSON object: {reason}", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// A folder of cases has one without `case.json`.
    #[error("{}: no case.json", path.display())]
    NoFacts {
        /// The folder.
        path: PathBuf,
    },
    /// The kind is not one of the schema's, and neither are folder and files.
    #[error("{}: unknown kind {kind:?}, known are snp-report, tdx-quote, sgx-quote, tdx-rtmr-replay, sigstore-bundle", path.display())]
    UnknownKind {
        /// The case's folder.
        path: PathBuf,
        /// What it says.
        kind: String,
    },
    /// The verdict is not one of the schema's.
    #[error("{}: unknown verdict {expect:?}, known are accept, reject, accept-with-policy, reject-or-accept, parse-only", path.display())]
    UnknownExpect {
        /// The case's folder.
        path: PathBuf,
        /// What it says.
        expect: String,
    },
    /// A file the case cannot do without is missing.
    #[error("{}: no {name}", path.display())]
    Missing {
        /// The case's folder.
        path: PathBuf,
        /// What was looked for.
        name: String,
    },
    /// A fact has a value that cannot be used.
    #[error("{}: {key} is {value}, wanted {wanted}", path.display())]
    BadFact {
        /// The case's folder.
        path: PathBuf,
        /// Its key in `case.json`.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

/// What a verifier is given.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Report or quote.
    pub evidence: Evidence,
    /// Certificates or collateral.
    pub endorsements: Endorsements,
    /// The roots the case trusts.
    pub anchors: Anchors,
    /// When it is judged, Unix seconds.
    pub now_s: u64,
}

/// What a case comes to before any verifier sees it.
#[derive(Clone, Debug)]
pub enum Offered {
    /// Evidence with endorsements.
    Whole(Box<Offer>),
    /// Bytes above the protocol's limits or collateral that is no JSON: it cannot even travel, so it is refused.
    Unusable(String),
}

/// A case of evidence.
#[derive(Clone, Debug)]
pub struct Case {
    id: String,
    kind: Kind,
    expect: Expect,
    folder: Place,
    facts: Value,
    words: String,
}

impl Case {
    /// Reads `case.json` in `folder`; nothing else is read yet.
    pub fn read(folder: &Path) -> Result<Self, CaseError> {
        let folder = Place::on_disk(folder);
        let facts = facts(&folder)?;
        let kind = kind_of(&folder, &facts)?;
        Self::of(&folder, kind, facts)
    }

    pub(super) fn of(folder: &Place, kind: Kind, facts: Value) -> Result<Self, CaseError> {
        let word = facts.get("expect").and_then(Value::as_str).unwrap_or_default();
        let unknown = || CaseError::UnknownExpect { path: folder.path().to_owned(), expect: word.to_owned() };
        let expect = Expect::of_word(word).ok_or_else(unknown)?;
        let name = folder.name();
        let id = facts.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).unwrap_or(&name).to_owned();
        let words = words(&facts);
        Ok(Case { id, kind, expect, folder: folder.clone(), facts, words })
    }

    /// Its name: `id`, else the folder's. Shown, never looked at.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The verdict it states.
    pub fn expect(&self) -> Expect {
        self.expect
    }

    /// Where it lies.
    pub fn folder(&self) -> &Place {
        &self.folder
    }

    /// A fact that is text; empty when it is not there.
    pub fn text(&self, key: &str) -> &str {
        self.facts.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A fact that is a number, written as one or as decimal or `0x` text.
    pub fn number(&self, key: &str) -> Option<u64> {
        number(self.facts.get(key)?)
    }

    /// A fact that is eight bytes in hex, as they stand in the evidence.
    pub(super) fn little_endian(&self, key: &str) -> Option<u64> {
        read_hex::<8>(&self.text(key).trim().to_ascii_lowercase()).map(u64::from_le_bytes)
    }

    /// Everything the case says about itself but its name and where it comes from, in small letters.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// When it is judged, Unix seconds: `verify_at`, else 2026-06-01.
    pub fn now_s(&self) -> Result<u64, CaseError> {
        match self.facts.get("verify_at") {
            None | Some(Value::Null) => Ok(JUDGED_AT_S),
            Some(value) => number(value).ok_or_else(|| CaseError::BadFact {
                path: self.folder.path().to_owned(),
                key: "verify_at",
                value: value.to_string().chars().take(80).collect(),
                wanted: "Unix seconds",
            }),
        }
    }

    /// The bytes of a file of the case.
    pub fn file(&self, name: &str) -> Result<Vec<u8>, CaseError> {
        let missing = || CaseError::Missing { path: self.folder.path().to_owned(), name: name.to_owned() };
        self.folder.first(&[name])?.ok_or_else(missing)
    }

    /// What the case hands to a verifier.
    pub fn offer(&self) -> Result<Offered, CaseError> {
        match self.kind {
            Kind::Snp => snp::offer(self),
            Kind::Tdx => tdx::offer(self),
            other @ (Kind::Measurement | Kind::Sigstore | Kind::Tlog) => {
                Err(CaseError::UnknownKind { path: self.folder.path().to_owned(), kind: other.name().to_owned() })
            }
        }
    }
}

/// The object in `case.json`.
pub(super) fn facts(folder: &Place) -> Result<Value, CaseError> {
    let file = folder.named("case.json").ok_or_else(|| CaseError::NoFacts { path: folder.path().to_owned() })?;
    let bytes = file.read()?;
    let not_json = |reason: String| CaseError::NotJson { path: file.path().to_owned(), reason };
    if bytes.len() > CASE_BYTES {
        return Err(not_json(format!("more than {CASE_BYTES} bytes")));
    }
    let facts: Value = serde_json::from_slice(&bytes).map_err(|error| not_json(error.to_string()))?;
    match facts.is_object() {
        true => Ok(facts),
        false => Err(not_json("another JSON value".to_owned())),
    }
}

/// The kind a case says it is; when it does not say, its files, then the folder it lies in.
pub(super) fn kind_of(folder: &Place, facts: &Value) -> Result<Kind, CaseError> {
    let said = facts.get("kind").and_then(Value::as_str).unwrap_or_default();
    let parent = || folder.above().and_then(|above| Kind::of_folder(&above.name()));
    let found = match said {
        "" => Kind::of_files(folder).or_else(parent),
        said => Kind::of_word(said),
    };
    found.ok_or_else(|| CaseError::UnknownKind { path: folder.path().to_owned(), kind: said.to_owned() })
}

/// A number, or text that is one.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.trim().strip_prefix("0x").or_else(|| text.trim().strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.trim().parse().ok(),
        },
        _ => None,
    }
}

fn words(facts: &Value) -> String {
    let told = facts.as_object().into_iter().flatten();
    let told = told.filter(|(key, _)| !["id", "source", "collateral_source", "origin"].contains(&key.as_str()));
    told.map(|(_, value)| value.to_string().to_ascii_lowercase()).collect::<Vec<_>>().join("\n")
}
