//! What a build will measure to, predicted from its artefacts before it runs anywhere.
//!
//! - [`MeasurementSet`]: the prediction as a record: what a release statement carries and a policy lists.
//!
//! Decides: the shape of the record. Digests are lower-case hex of 48 bytes; unknown fields are refused.
//! Trusts: nothing. Out of scope: whether a running guest has these values (`attest` judges evidence by a policy). docs/measurements.md.

use ringwall_wire::policy::MeasurementRegister;
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
