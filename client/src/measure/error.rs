//! Why nothing can be predicted: one closed enum with stable codes.
//!
//! Decides: the vocabulary of `ringwall measure`; every message says which artefact, what is wrong and what helps.
//! Trusts: nothing; what is quoted from files is escaped by its type. Out of scope: evidence of running guests.

use super::artefact::Role;
use ringwall_attest::EventLogError;
use ringwall_attest::launch::LaunchError;
use ringwall_attest::launch::td::TdError;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::MeasurementRegister;
use std::path::PathBuf;

/// Why a build cannot be measured.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum MeasureError {
    /// The system refused to read a file.
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// A file is larger than any of its kind.
    #[error("{} is longer than {most} bytes, which is the most it can be", .path.display())]
    TooLarge { path: PathBuf, most: u64 },
    /// The build file does not hold together as JSON.
    #[error("the build file is not as docs/measurements.md describes it: {cause}")]
    NotABuildFile { cause: String },
    /// What should describe a built image does not.
    #[error("{} is no description of a built image: {cause}", .path.display())]
    NotBuilt { path: PathBuf, cause: String },
    /// A file of a built image is another one than was built.
    #[error("the {} has SHA-256 {got}, the built image has one with {wanted:?}: build the image anew", .role.name())]
    OtherArtefact { role: Role, got: Digest, wanted: String },
    /// The build file asks for what makes no sense.
    #[error("the build file contradicts itself: {reason}")]
    Contradiction { reason: &'static str },
    /// The name of the build cannot stand in a policy.
    #[error("`build_id` has 1 to 64 bytes and no control characters")]
    BuildId,
    /// A policy lists only so many, and none says nothing.
    #[error("{got} shapes of one vendor, expected 1 to {most}")]
    TooManyShapes { got: usize, most: usize },
    /// The type of a vCPU is not known.
    #[error("{name:?} is no type of vCPU this program knows; QEMU's names are EPYC-v4, EPYC-Milan, EPYC-Genoa, EPYC-Turin and the like")]
    Model { name: String },
    /// An MRTD is none.
    #[error("`mrtd` is 96 lower-case hex digits")]
    Mrtd,
    /// The launch digest cannot be predicted.
    #[error("SNP: {0}")]
    Snp(#[from] LaunchError),
    /// The registers cannot be predicted.
    #[error("TDX: {0}")]
    Tdx(#[from] TdError),
    /// The event log of a shape is none.
    #[error("the event log of shape {shape:?}: {source}")]
    Log { shape: String, source: EventLogError },
    /// The event log is of a boot of something else.
    #[error(
        "the event log of shape {shape:?} has {} as event {at} of {register}, the artefacts predict {}: it is of another build, or of firmware that \
         measures differently than docs/measurements.md says",
        shown(.logged), shown(.predicted)
    )]
    LogContradicts {
        shape: String,
        register: &'static str,
        at: usize,
        predicted: Option<MeasurementRegister>,
        logged: Option<MeasurementRegister>,
    },
}

impl MeasureError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            MeasureError::Io { .. } => "RW-C-MEASURE-IO",
            MeasureError::TooLarge { .. } => "RW-C-MEASURE-TOO-LARGE",
            MeasureError::NotABuildFile { .. }
            | MeasureError::NotBuilt { .. }
            | MeasureError::Contradiction { .. }
            | MeasureError::BuildId
            | MeasureError::TooManyShapes { .. }
            | MeasureError::Model { .. }
            | MeasureError::Mrtd => "RW-C-MEASURE-BUILD-FILE",
            MeasureError::Snp(_) | MeasureError::Tdx(_) | MeasureError::OtherArtefact { .. } => "RW-C-MEASURE-ARTEFACT",
            MeasureError::Log { .. } => "RW-C-MEASURE-LOG",
            MeasureError::LogContradicts { .. } => "RW-C-MEASURE-CONTRADICTION",
        }
    }
}

fn shown(digest: &Option<MeasurementRegister>) -> String {
    digest.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string())
}
