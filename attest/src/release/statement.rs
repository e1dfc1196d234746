//! The statement the signers of a release sign: an in-toto statement with a predicate of our own.
//!
//! Decides: its exact shape (`https://ringwall.dev/release/v1`): the build's name, security version, source commit, recipe, and every measurement
//! hardware can report of it. Unknown and doubled members refuse: what a signer did not mean to say is not there.
//! Trusts: nothing; it is read after its signature was verified. Out of scope: who signed it (`proof.rs`), how measurements are predicted.
//! docs/formats.md, "Releases"; in-toto attestation framework, statement v1.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use ringwall_wire::bounded::Text;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::STATEMENT_SHAPES;
use ringwall_wire::policy::{MeasurementRegister, TdxTuple};
use ringwall_wire::text::{hex, read_hex, read_hex_vec};
use serde::{Deserialize, Serialize};

/// Type of the statement.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Type of the predicate.
pub const PREDICATE: &str = "https://ringwall.dev/release/v1";

/// Why a payload is no statement about a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum StatementError {
    /// Its shape.
    #[error("what was signed is no statement about a release: {what}")]
    Shape { what: &'static str },
    /// It is about something else.
    #[error("what was signed is a statement of type {got:?}, expected is {PREDICATE}: it is about another product, or of a newer version")]
    OtherPredicate { got: String },
}

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Its name.
    pub name: String,
    /// Its SHA-256.
    pub digest: Digest,
}

/// What AMD's hardware reports of one shape of guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpShape {
    /// Model of the virtual CPU, as QEMU names it: part of what is measured.
    pub cpu: String,
    /// Number of virtual CPUs.
    pub vcpus: u32,
    /// The launch digest.
    pub digest: MeasurementRegister,
}

/// What Intel's hardware reports of one shape of guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxShape {
    /// The shape, for people.
    pub shape: String,
    /// The registers.
    pub tuple: TdxTuple,
}

/// A statement about a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The files.
    pub subjects: Vec<Artefact>,
    /// Name of the build, as policies name it.
    pub build: String,
    /// Its security version.
    pub svn: u32,
    /// Where the source is.
    pub source: String,
    /// The commit, lower-case hex.
    pub commit: String,
    /// SHA-256 of the recipe it was built by.
    pub recipe: Digest,
    /// SNP launch digests.
    pub snp: Vec<SnpShape>,
    /// TDX register tuples.
    pub tdx: Vec<TdxShape>,
    /// SHA-256 of the encodings of tables of allowed boot events (a policy's `TdxReplay`).
    pub tdx_replays: Vec<Digest>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StatementJson {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<SubjectJson>,
    predicate_type: String,
    predicate: PredicateJson,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SubjectJson {
    name: String,
    digest: Sha256Json,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sha256Json {
    sha256: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PredicateJson {
    build: String,
    svn: u32,
    source: String,
    commit: String,
    recipe: String,
    snp: Vec<SnpJson>,
    tdx: Vec<TdxJson>,
    tdx_replays: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SnpJson {
    cpu: String,
    vcpus: u32,
    digest: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TdxJson {
    shape: String,
    mrtd: String,
    rtmr0: String,
    rtmr1: String,
    rtmr2: String,
}

/// The type of any statement; looked at first, so that another product's is named and not called malformed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KindJson {
    predicate_type: String,
}

impl Statement {
    /// Reads the payload of an envelope.
    pub fn parse(payload: &[u8]) -> Result<Statement, StatementError> {
        let wrong = |what| StatementError::Shape { what };
        let kind: KindJson = serde_json::from_slice(payload).map_err(|_| wrong("it is no in-toto statement"))?;
        if kind.predicate_type != PREDICATE {
            let got = kind.predicate_type.chars().filter(|c| !c.is_control()).take(128).collect();
            return Err(StatementError::OtherPredicate { got });
        }
        let json: StatementJson =
            serde_json::from_slice(payload).map_err(|_| wrong("a member is missing, doubled, unknown or of another kind"))?;
        if json.kind != STATEMENT {
            return Err(wrong("its version is not statement v1"));
        }
        Statement::read(json)
    }

    fn read(json: StatementJson) -> Result<Statement, StatementError> {
        let wrong = |what| StatementError::Shape { what };
        if !is_printable(&json) {
            return Err(wrong("a text is too long or not printable"));
        }
        let predicate = json.predicate;
        let lens = [json.subject.len(), predicate.snp.len(), predicate.tdx.len(), predicate.tdx_replays.len()];
        if lens.into_iter().any(|len| len > STATEMENT_SHAPES) {
            return Err(wrong("it names too many files or measurements"));
        }
        if Text::<64>::new(predicate.build.as_str()).is_err() || predicate.build.is_empty() {
            return Err(wrong("its build has no printable name of at most 64 bytes"));
        }
        if !matches!(predicate.commit.len(), 40 | 64) || read_hex_vec(&predicate.commit).is_none() {
            return Err(wrong("its commit is no git object name in full"));
        }
        let digest = |text: &String| read_hex::<32>(text).map(Digest).ok_or(wrong("a SHA-256 is not 64 lower-case hex digits"));
        let register =
            |text: &String| read_hex::<48>(text).map(MeasurementRegister).ok_or(wrong("a measurement is not 96 lower-case hex digits"));
        let subject =
            |one: SubjectJson| -> Result<Artefact, StatementError> { Ok(Artefact { digest: digest(&one.digest.sha256)?, name: one.name }) };
        let snp = |one: SnpJson| -> Result<SnpShape, StatementError> {
            Ok(SnpShape { digest: register(&one.digest)?, cpu: one.cpu, vcpus: one.vcpus })
        };
        let tdx = |one: TdxJson| -> Result<TdxShape, StatementError> {
            let (mrtd, rtmr0) = (register(&one.mrtd)?, register(&one.rtmr0)?);
            let (rtmr1, rtmr2) = (register(&one.rtmr1)?, register(&one.rtmr2)?);
            Ok(TdxShape { shape: one.shape, tuple: TdxTuple { mrtd, rtmr0, rtmr1, rtmr2 } })
        };
        Ok(Statement {
            subjects: json.subject.into_iter().map(subject).collect::<Result<_, _>>()?,
            build: predicate.build,
            svn: predicate.svn,
            source: predicate.source,
            commit: predicate.commit,
            recipe: digest(&predicate.recipe)?,
            snp: predicate.snp.into_iter().map(snp).collect::<Result<_, _>>()?,
            tdx: predicate.tdx.into_iter().map(tdx).collect::<Result<_, _>>()?,
            tdx_replays: predicate.tdx_replays.iter().map(digest).collect::<Result<_, _>>()?,
        })
    }

    /// The payload to sign: JSON in one fixed order of members. What [`Statement::parse`] reads back when it is well-formed.
    pub fn write(&self) -> Vec<u8> {
        let snp = self.snp.iter().map(|one| SnpJson { cpu: one.cpu.clone(), vcpus: one.vcpus, digest: one.digest.to_string() });
        let tdx = self.tdx.iter().map(|one| TdxJson {
            shape: one.shape.clone(),
            mrtd: one.tuple.mrtd.to_string(),
            rtmr0: one.tuple.rtmr0.to_string(),
            rtmr1: one.tuple.rtmr1.to_string(),
            rtmr2: one.tuple.rtmr2.to_string(),
        });
        let subject = |one: &Artefact| SubjectJson { name: one.name.clone(), digest: Sha256Json { sha256: hex(&one.digest.0) } };
        let json = StatementJson {
            kind: STATEMENT.into(),
            subject: self.subjects.iter().map(subject).collect(),
            predicate_type: PREDICATE.into(),
            predicate: PredicateJson {
                build: self.build.clone(),
                svn: self.svn,
                source: self.source.clone(),
                commit: self.commit.clone(),
                recipe: hex(&self.recipe.0),
                snp: snp.collect(),
                tdx: tdx.collect(),
                tdx_replays: self.tdx_replays.iter().map(|digest| hex(&digest.0)).collect(),
            },
        };
        serde_json::to_vec(&json).expect("texts and numbers become JSON")
    }
}

/// Every text is short and printable.
fn is_printable(json: &StatementJson) -> bool {
    let predicate = &json.predicate;
    let texts = [&predicate.source, &predicate.commit].into_iter().chain(json.subject.iter().map(|one| &one.name));
    let shapes = predicate.snp.iter().map(|one| &one.cpu).chain(predicate.tdx.iter().map(|one| &one.shape));
    texts.chain(shapes).all(|text| Text::<256>::new(text.as_str()).is_ok())
}

#[derive(Deserialize)]
struct AnyJson {
    #[serde(default)]
    subject: Vec<AnySubjectJson>,
}

#[derive(Deserialize)]
struct AnySubjectJson {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// Whether an in-toto statement of any type has an artifact of this SHA-256 among its subjects.
pub(crate) fn names(statement: &[u8], artifact: &[u8; 32]) -> bool {
    let statement: Result<AnyJson, _> = serde_json::from_slice(statement);
    statement.is_ok_and(|any| any.subject.iter().any(|one| one.digest.get("sha256").and_then(|text| read_hex(text)) == Some(*artifact)))
}
