//! What a simulated machine is: platform, chip, build, boot configuration, lies.
//!
//! Decides: how names become chips and measurements. Equal names give equal machines in every process.
//! Trusts: nothing. Out of scope: minting (`tee`). Protocol sections 2.1 and 2.2.

use crate::boot;
use crate::intel;
use crate::lie::Lie;
use crate::seed;
use crate::snp;
use crate::tdx::QuoteShape;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::{Digest, Vendor};
use ringwall_wire::policy::{ChipId, Fmspc, Measurement, MeasurementRegister, Rtmr, SnpProduct, TdxReplay, TdxTuple};
use sha2::{Digest as _, Sha256};

/// The kind of CPU a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// AMD SEV-SNP.
    Snp(SnpProduct),
    /// Intel TDX.
    Tdx,
}

impl Platform {
    /// Maker of the CPU.
    pub fn vendor(self) -> Vendor {
        match self {
            Platform::Snp(_) => Vendor::Amd,
            Platform::Tdx => Vendor::Intel,
        }
    }

    /// The platform a chip name opens with: `milan-`, `genoa-`, `turin-` or `tdx-`.
    pub fn of_chip(chip_name: &str) -> Option<Platform> {
        let (family, _) = chip_name.split_once('-')?;
        match family {
            "milan" => Some(Platform::Snp(SnpProduct::Milan)),
            "genoa" => Some(Platform::Snp(SnpProduct::Genoa)),
            "turin" => Some(Platform::Snp(SnpProduct::Turin)),
            "tdx" => Some(Platform::Tdx),
            _ => None,
        }
    }
}

/// A published build: its name decides its measurements on both platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildImage {
    /// Name of the release, at most 64 bytes.
    pub id: String,
    /// Its security version, 1 or more.
    pub svn: u32,
}

impl BuildImage {
    /// The build called `id`.
    pub fn new(id: impl Into<String>, svn: u32) -> Self {
        BuildImage { id: id.into(), svn }
    }

    /// What AMD's firmware measures at launch.
    pub fn snp_measurement(&self) -> MeasurementRegister {
        self.register("snp launch")
    }

    /// What Intel's registers hold on an ordinary machine, which has 8 GiB of memory.
    pub fn tdx_tuple(&self) -> TdxTuple {
        let events = boot::events(&self.id, boot::MEMORY_GIB);
        let register = |register| MeasurementRegister(boot::extended(&events, register));
        TdxTuple { mrtd: self.register("mrtd"), rtmr0: register(Rtmr::Rtmr0), rtmr1: register(Rtmr::Rtmr1), rtmr2: register(Rtmr::Rtmr2) }
    }

    /// What its firmware may measure on machines with 8, 16 and 32 GiB of memory.
    ///
    /// # Panics
    /// Never: the table is short.
    pub fn tdx_replay(&self) -> TdxReplay {
        TdxReplay { mrtd: self.register("mrtd"), events: List::new(boot::table(&self.id)).expect("nine fit") }
    }

    /// The build as a policy lists it that knows it by its boot events, not by tuples.
    ///
    /// # Panics
    /// When the name is longer than 64 bytes or holds control characters.
    pub fn measurement_by_events(&self) -> Measurement {
        let tdx_replays = List::new(vec![self.tdx_replay()]).expect("one fits");
        Measurement { tdx: List::default(), tdx_replays, ..self.measurement() }
    }

    /// The build as a policy lists it.
    ///
    /// # Panics
    /// When the name is longer than 64 bytes or holds control characters.
    pub fn measurement(&self) -> Measurement {
        Measurement {
            id: Text::new(self.id.as_str()).expect("a build's name is short and printable"),
            svn: self.svn,
            snp: List::new(vec![self.snp_measurement()]).expect("one fits"),
            tdx: List::new(vec![self.tdx_tuple()]).expect("one fits"),
            tdx_replays: List::default(),
        }
    }

    fn register(&self, which: &str) -> MeasurementRegister {
        MeasurementRegister(seed::bytes(&[b"build", self.id.as_bytes(), which.as_bytes()]))
    }
}

/// A machine and what runs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeeProfile {
    /// Kind of CPU.
    pub platform: Platform,
    /// Name the chip derives from; equal names are the same chip.
    pub chip_name: String,
    /// What was booted.
    pub build: BuildImage,
    /// What the operator told it.
    pub boot_config: BootConfig,
    /// Whether an AMD guest is launched with an ID block, which gives it GUEST_SVN and the digest [`TeeProfile::id_key_digest`].
    pub id_block: bool,
    /// Version of AMD reports: 2, 3 or 5.
    pub report_version: u32,
    /// Version and shape of Intel quotes.
    pub quote_shape: QuoteShape,
    /// Memory of an Intel guest in GiB: part of what its firmware measures.
    pub memory_gib: u32,
    /// What a guest that is no node was started with; none for a node, which was started with its boot configuration.
    pub guest: Option<GuestConfig>,
    /// How it lies; empty for an honest machine.
    pub lies: Vec<Lie>,
}

/// What the host of a workload's guest gave it at launch; zeros where it gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestConfig {
    /// HOST_DATA of an AMD guest.
    pub host_data: [u8; 32],
    /// MRCONFIGID of an Intel guest.
    pub mr_config_id: [u8; 48],
}

impl TeeProfile {
    /// An honest machine with reports of version 5 or quotes of version 4.
    pub fn new(platform: Platform, chip_name: impl Into<String>, build: BuildImage, boot_config: BootConfig) -> Self {
        TeeProfile {
            platform,
            chip_name: chip_name.into(),
            build,
            boot_config,
            id_block: false,
            report_version: 5,
            quote_shape: QuoteShape::V4,
            memory_gib: boot::MEMORY_GIB,
            guest: None,
            lies: Vec::new(),
        }
    }

    /// The AMD chip id a policy lists; `None` on Intel.
    pub fn chip_id(&self) -> Option<ChipId> {
        match self.platform {
            Platform::Snp(product) => Some(ChipId(snp::chip_id(product, &self.chip_name))),
            Platform::Tdx => None,
        }
    }

    /// How a cluster names the machine: SHA-256 of the chip id (AMD) or of the PPID (Intel), as `Appraised::chip` gives it.
    pub fn chip(&self) -> Digest {
        match self.chip_id() {
            Some(id) => Digest(Sha256::digest(id.0).into()),
            None => Digest(Sha256::digest(self.intel_platform().ppid).into()),
        }
    }

    /// Digest of the key that signs ID blocks of simulated guests.
    pub fn id_key_digest() -> MeasurementRegister {
        MeasurementRegister(seed::bytes(&[b"id key digest"]))
    }

    /// Intel's family of simulated platforms.
    pub fn fmspc() -> Fmspc {
        Fmspc([0x90, 0xc0, 0x6f, 0, 0, 0])
    }

    pub(crate) fn tells(&self, lie: Lie) -> bool {
        self.lies.contains(&lie)
    }

    pub(crate) fn intel_platform(&self) -> intel::Platform {
        let chip = self.chip_name.as_bytes();
        intel::Platform {
            ppid: seed::bytes(&[b"tdx platform", chip, b"ppid"]),
            instance: seed::bytes(&[b"tdx platform", chip, b"instance"]),
            fmspc: Self::fmspc().0,
            cpu_svn: intel::CPU_SVN,
            dynamic: self.tells(Lie::TdxDynamicPlatform),
            cached_keys: self.tells(Lie::TdxCachedKeys),
            smt: self.tells(Lie::TdxSmt),
        }
    }
}
