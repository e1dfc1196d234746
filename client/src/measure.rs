//! What a build will measure to, predicted from its artefacts before it runs anywhere.
//!
//! - [`predict`]: from a build file and the artefacts it names.
//! - [`MeasurementSet`]: the prediction as a record: what a release statement carries; [`MeasurementSet::to_policy`] is what a policy lists.
//!
//! Decides: which artefact enters which register (the arithmetic is `attest`'s), what is predicted and what is taken from a recorded event log, and the
//! shape of the record. Digests are lower-case hex of 48 bytes; unknown fields are refused.
//! Trusts: nothing it reads: files are bounded, and a log that contradicts what the artefacts predict is refused. Whoever runs it trusts the machine it
//! runs on. Out of scope: whether a running guest has these values (`attest` judges evidence by a policy). docs/measurements.md.

mod artefact;
mod build_file;
mod error;
mod predict;

pub use artefact::{ACPI_FILE_BYTES, Artefact, INITRD_BYTES, Role};
pub use build_file::{AcpiPaths, BUILD_FILE_BYTES, Boot, BuildFile, Handover, Order, SHAPES, ShapeFile, SnpImage, TdxImage, VmmName};
pub use error::MeasureError;
pub use predict::{Incomplete, Origin, Origins, Prediction, Progress, predict};

use ringwall_wire::bounded::{List, Text};
use ringwall_wire::policy::{Measurement, MeasurementRegister, TdxTuple};
use serde::{Deserialize, Serialize};

/// What a build measures to in every shape of guest it is meant for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasurementSet {
    /// Name of the build, 1 to 64 bytes: the `id` of its measurement in policies.
    pub build_id: String,
    /// Its security version.
    pub svn: u32,
    /// SNP launch digests, at most 32.
    pub snp: Vec<SnpMeasurement>,
    /// TDX register tuples, at most 32.
    pub tdx: Vec<TdxMeasurement>,
}

/// The launch digest of one shape of an SNP guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpMeasurement {
    /// How many vCPUs it has.
    pub vcpus: u32,
    /// Their type, by QEMU's name.
    pub model: String,
    /// MEASUREMENT of its report.
    #[serde(with = "register")]
    pub digest: MeasurementRegister,
}

/// The registers of one shape of a TD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxMeasurement {
    /// What the shape is called, for people; at most 64 bytes.
    pub shape: String,
    /// MRTD.
    #[serde(with = "register")]
    pub mrtd: MeasurementRegister,
    /// RTMR0.
    #[serde(with = "register")]
    pub rtmr0: MeasurementRegister,
    /// RTMR1.
    #[serde(with = "register")]
    pub rtmr1: MeasurementRegister,
    /// RTMR2.
    #[serde(with = "register")]
    pub rtmr2: MeasurementRegister,
}

impl MeasurementSet {
    /// The set as a policy lists it. Shapes that measure alike stand in it once.
    pub fn to_policy(&self) -> Result<Measurement, MeasureError> {
        let id = Text::new(self.build_id.as_str()).ok().filter(|id| !id.is_empty());
        let mut snp = Vec::new();
        self.snp.iter().map(|shape| shape.digest).for_each(|digest| push_new(&mut snp, digest));
        let mut tdx = Vec::new();
        for TdxMeasurement { shape: _, mrtd, rtmr0, rtmr1, rtmr2 } in &self.tdx {
            push_new(&mut tdx, TdxTuple { mrtd: *mrtd, rtmr0: *rtmr0, rtmr1: *rtmr1, rtmr2: *rtmr2 });
        }
        let too_many = |got| move |_| MeasureError::TooManyShapes { got, most: SHAPES };
        let (of_snp, of_tdx) = (snp.len(), tdx.len());
        Ok(Measurement {
            id: id.ok_or(MeasureError::BuildId)?,
            svn: self.svn,
            snp: List::new(snp).map_err(too_many(of_snp))?,
            tdx: List::new(tdx).map_err(too_many(of_tdx))?,
            tdx_replays: List::default(),
        })
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// A register as hex.
mod register {
    use ringwall_wire::policy::MeasurementRegister;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(register: &MeasurementRegister, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(register)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MeasurementRegister, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| serde::de::Error::custom("a register is 96 lower-case hex digits"))
    }
}

#[cfg(test)]
mod tests;
