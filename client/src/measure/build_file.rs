//! The build file: which artefacts a build consists of, and in which shapes of guest it will run.
//!
//! Decides: the fields of the file, all of them known, paths relative to the file; and which combinations make sense.
//! Trusts: nothing; at most 64 KiB are read. Out of scope: what the artefacts hold (`predict.rs`).

use super::artefact::{Artefact, read_bounded};
use super::error::MeasureError;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Bytes of a build file: 32 shapes with five paths each.
pub const BUILD_FILE_BYTES: usize = 64 * 1024;
/// Shapes of guests of one vendor: as many as a policy lists for one build.
pub const SHAPES: usize = 32;

/// What a build file says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildFile {
    /// Name of the build.
    pub build_id: String,
    /// Its security version.
    pub svn: u32,
    /// What `deploy/image/build.py` wrote about the image it made: kernel, initrd and command line are that image's, by their digests.
    #[serde(default)]
    pub image: Option<PathBuf>,
    /// Kernel that is started directly, where no [`Self::image`] is named.
    #[serde(default)]
    pub kernel: Option<PathBuf>,
    /// Its initrd.
    #[serde(default)]
    pub initrd: Option<PathBuf>,
    /// Its command line.
    #[serde(default)]
    pub cmdline: String,
    /// Shapes of SNP guests.
    #[serde(default)]
    pub snp: Option<SnpImage>,
    /// Shapes of TDs.
    #[serde(default)]
    pub tdx: Option<TdxImage>,
}

/// SNP guests: every model with every number of vCPUs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpImage {
    /// An AmdSev build of OVMF, which has a place for the hashes of kernel, initrd and command line.
    pub firmware: PathBuf,
    /// Whose hypervisor starts the guest.
    #[serde(default)]
    pub vmm: VmmName,
    /// SEV_FEATURES; 1 is SNP alone.
    #[serde(default = "snp_alone")]
    pub guest_features: u64,
    /// Types of vCPUs, by QEMU's names.
    pub models: Vec<String>,
    /// Numbers of vCPUs.
    pub vcpus: Vec<u32>,
}

fn snp_alone() -> u64 {
    1
}

/// Hypervisors, as a build file names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmmName {
    /// QEMU with KVM.
    #[default]
    Qemu,
    /// Amazon EC2.
    Ec2,
    /// Amazon EC2 until April 2026.
    #[serde(rename = "ec2-until-2026")]
    Ec2Until2026,
}

/// TDs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxImage {
    /// OVMF with code and variables in one file; or [`Self::mrtd`].
    #[serde(default)]
    pub firmware: Option<PathBuf>,
    /// MRTD of firmware that is not at hand, such as a cloud's, as its publisher names it.
    #[serde(default)]
    pub mrtd: Option<String>,
    /// In which order pages are added and measured.
    #[serde(default)]
    pub page_order: Order,
    /// What is booted.
    #[serde(default)]
    pub boot: Boot,
    /// Whether the firmware gets the kernel as it is.
    #[serde(default)]
    pub kernel_handover: Handover,
    /// The shapes.
    pub shapes: Vec<ShapeFile>,
}

/// Orders of adding and measuring pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Linux 6.16 and later.
    #[default]
    Interleaved,
    /// Intel's patches before that.
    AddedFirst,
}

/// What a TD boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// The kernel of the build file, directly: RTMR1 and RTMR2 are predicted.
    #[default]
    Kernel,
    /// Something else, such as a disk: RTMR1 and RTMR2 come from the event log.
    Recorded,
}

/// What the firmware gets as the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handover {
    /// The file: QEMU 10.0 and OVMF 2025.05, or newer.
    #[default]
    AsIs,
    /// The file with its setup header filled in: older ones.
    FilledIn,
}

/// One shape of a TD.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeFile {
    /// What it is called, for people.
    pub name: String,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// What QEMU tells the firmware about the machine.
    #[serde(default)]
    pub acpi: Option<AcpiPaths>,
    /// Event log of a boot of this shape (CCEL), from a machine whose quote was verified.
    #[serde(default)]
    pub event_log: Option<PathBuf>,
}

/// Three files of a guest of this shape, from `/sys/firmware/qemu_fw_cfg/by_name/etc/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcpiPaths {
    /// `table-loader`.
    pub loader: PathBuf,
    /// `acpi/rsdp`.
    pub rsdp: PathBuf,
    /// `acpi/tables`.
    pub tables: PathBuf,
}

/// A built image, as far as it is measured; what else its maker says about it is not read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct BuiltImage {
    format: String,
    pub(super) kernel: ImagePart,
    pub(super) initrd: ImagePart,
    pub(super) command_line: String,
}

/// One file of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ImagePart {
    /// Beside the description.
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What the maker of images calls the form of its description.
const BUILT_FORMAT: &str = "ringwall-image/1";
/// Bytes of a description: it lists every file of the image.
const BUILT_BYTES: usize = 1024 * 1024;

impl BuiltImage {
    /// Reads a description.
    pub(super) fn read(path: &Path) -> Result<Self, MeasureError> {
        let bytes = read_bounded(path, BUILT_BYTES, &mut |_, _| ())?;
        let other = |cause: String| MeasureError::NotBuilt { path: path.to_owned(), cause };
        let built: Self = serde_json::from_slice(&bytes).map_err(|fault| other(fault.to_string()))?;
        match built.format == BUILT_FORMAT {
            true => Ok(built),
            false => Err(other(format!("its format is {:?}, expected {BUILT_FORMAT:?}", built.format))),
        }
    }
}

impl ImagePart {
    /// Whether the artefact is the one that was built.
    pub(super) fn is(&self, artefact: &Artefact) -> Result<(), MeasureError> {
        match self.bytes == artefact.bytes && self.sha256 == artefact.sha256.to_string() {
            true => Ok(()),
            false => Err(MeasureError::OtherArtefact {
                role: artefact.role,
                got: artefact.sha256,
                wanted: self.sha256.chars().take(64).collect(),
            }),
        }
    }
}

impl BuildFile {
    /// Reads a build file.
    pub fn read(path: &Path) -> Result<Self, MeasureError> {
        Self::parse(&read_bounded(path, BUILD_FILE_BYTES, &mut |_, _| ())?)
    }

    /// Reads the text of one.
    pub fn parse(bytes: &[u8]) -> Result<Self, MeasureError> {
        let image: Self = serde_json::from_slice(bytes).map_err(|fault| match serde_json::from_slice::<BuiltImage>(bytes) {
            Ok(_) => MeasureError::Contradiction {
                reason: "it describes a built image, which says nothing about guests: name it as `image` in a file with firmware and shapes",
            },
            Err(_) => MeasureError::NotABuildFile { cause: fault.to_string() },
        })?;
        image.makes_sense()?;
        Ok(image)
    }

    fn makes_sense(&self) -> Result<(), MeasureError> {
        if self.build_id.is_empty() || self.build_id.len() > 64 || self.build_id.chars().any(char::is_control) {
            return Err(MeasureError::BuildId);
        }
        let shapes =
            [self.snp.as_ref().map(|snp| snp.models.len().saturating_mul(snp.vcpus.len())), self.tdx.as_ref().map(|tdx| tdx.shapes.len())];
        for got in shapes.into_iter().flatten() {
            if got == 0 || got > SHAPES {
                return Err(MeasureError::TooManyShapes { got, most: SHAPES });
            }
        }
        if shapes == [None, None] {
            return Err(MeasureError::Contradiction { reason: "it names neither `snp` nor `tdx`" });
        }
        let direct = self.snp.is_some() || self.tdx.as_ref().is_some_and(|tdx| tdx.boot == Boot::Kernel);
        let by_hand = self.kernel.is_some() || self.initrd.is_some() || !self.cmdline.is_empty();
        if self.image.is_some() && by_hand {
            return Err(MeasureError::Contradiction {
                reason: "`image` says what `kernel`, `initrd` and `cmdline` are: name one or the others",
            });
        }
        match (direct, self.kernel.as_ref().or(self.image.as_ref())) {
            // Without a kernel nothing but the firmware would be measured, and the guest would run whatever the host gives it.
            (true, None) => Err(MeasureError::Contradiction {
                reason: "it names neither `image` nor `kernel`: the guest would run what the host gives it",
            }),
            (false, Some(_)) => Err(MeasureError::Contradiction { reason: "it names a `kernel` that no shape boots" }),
            _ if self.kernel.is_none() && self.initrd.is_some() => {
                Err(MeasureError::Contradiction { reason: "it names an `initrd` without a `kernel`" })
            }
            _ => self.tdx.as_ref().map_or(Ok(()), TdxImage::makes_sense),
        }
    }
}

impl TdxImage {
    fn makes_sense(&self) -> Result<(), MeasureError> {
        let wrong = |reason| Err(MeasureError::Contradiction { reason });
        if self.firmware.is_some() == self.mrtd.is_some() {
            return wrong("`tdx` names the `firmware`, or its `mrtd` where it is not at hand: exactly one of them");
        }
        for (at, shape) in self.shapes.iter().enumerate() {
            if shape.name.is_empty() || shape.name.len() > 64 || shape.name.chars().any(char::is_control) {
                return wrong("the name of a shape has 1 to 64 bytes and no control characters");
            }
            if self.shapes.iter().take(at).any(|other| other.name == shape.name) {
                return wrong("two shapes have the same name");
            }
            if shape.event_log.is_none() && (self.boot == Boot::Recorded || self.mrtd.is_some()) {
                return wrong("without `firmware`, or with `boot` \"recorded\", every shape needs an `event_log`");
            }
            if shape.acpi.is_some() && self.mrtd.is_some() {
                return wrong("RTMR0 is predicted from `acpi` and the `firmware`, which is not named");
            }
        }
        Ok(())
    }
}
