//! Which TEE a daemon runs in, and which roots it believes.
//!
//! Decides: the one interface through which evidence reaches the node; a software TEE is another implementation of it with other
//! roots, in another program, and nothing here knows of it. [`Hardware`] collects from the guest's kernel and pins the vendors' roots.
//! `tsm_fs`, `tsm`, `tsm_fault`, `attester`: evidence. `store`, `stapled`: endorsements. `derived_keys`, `sev_guest`, `chip_keys`: keys of the
//! chip.
//! `surroundings`, `examine`, `examination`: what a person is told.
//! Trusts: the guest's kernel to pass on what the firmware said. Out of scope: believing it (`attest`). Style rule 4; protocol section 0,
//! decision 8.

pub mod attester;
pub mod chip_keys;
pub mod derived_keys;
pub mod examination;
pub mod examine;
pub mod sev_guest;
pub mod stapled;
pub mod store;
pub mod surroundings;
pub mod tsm;
pub mod tsm_fault;
pub mod tsm_fs;

use crate::entropy::{self, Entropy, EntropyError};
use attester::TsmAttester;
use chip_keys::KeySource;
use derived_keys::{DerivedKeyError, DerivedKeys, NoDerivedKeys};
pub use ringwall_attest::{Anchors, Attester, CollectError};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::Vendor;
use std::path::Path;
use std::sync::Arc;
use store::EndorsementStore;
use surroundings::{Presence, Surroundings};
use tsm::Provider;
use tsm_fs::{REPORTS, ReportFolder};

/// A TEE and its roots.
pub trait Platform {
    /// Makes the collector of evidence for a node with this boot configuration. On hardware the configuration was measured at launch
    /// and this only opens the device.
    /// `store` has what the vendor says about this machine; a software TEE says that itself.
    fn attester(&self, boot: &BootConfig, store: Arc<dyn EndorsementStore>) -> Result<Arc<dyn Attester>, PlatformError>;

    /// The roots this program believes.
    fn anchors(&self) -> Anchors;

    /// Keys that the machine's chip derives for a guest with this boot configuration. On hardware nothing is opened before the first question.
    fn chip_keys(&self, boot: &BootConfig) -> KeySource;

    /// Name of the program, for help and logs.
    fn program(&self) -> &'static str;

    /// The machine's generator: the operating system's, everywhere a guest really runs.
    fn entropy(&self) -> Result<Entropy, EntropyError> {
        entropy::system()
    }
}

/// Why there is no evidence on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// No attestation device.
    #[error(
        "no attestation device: looked for {}; {}. Run inside an AMD SEV-SNP or Intel TDX guest whose kernel has the guest driver (`ringwalld \
         platform-check` looks closer), or use the simulated daemon of `cargo demo` (which protects nothing against its host)",
        looked_for.join(", "),
        hints.join("; ")
    )]
    NoDevice {
        /// Paths that were looked for.
        looked_for: Vec<&'static str>,
        /// What follows from what else was found.
        hints: Vec<String>,
    },
    /// The TEE could not be opened.
    #[error("the attestation device cannot be opened: {reason}")]
    Unusable {
        /// What went wrong.
        reason: String,
    },
}

/// Where Linux guests show that they can attest.
pub const DEVICES: [&str; 3] = [REPORTS, surroundings::DEVICES[0], surroundings::DEVICES[1]];

/// A confidential VM of AMD or Intel, under the vendors' roots.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hardware;

impl Hardware {
    /// Opens the attester of the machine whose files are below `surroundings`.
    pub fn open(surroundings: &Surroundings, store: Arc<dyn EndorsementStore>) -> Result<TsmAttester, PlatformError> {
        let found = surroundings.look();
        if found.reports == Presence::Absent {
            return Err(PlatformError::NoDevice { looked_for: DEVICES.to_vec(), hints: found.hints() });
        }
        let attester = TsmAttester::open(Arc::new(ReportFolder::new(surroundings.reports())), None, store)?;
        Ok(match attester.provider() {
            Provider::SevGuest => attester,
            Provider::TdxGuest => attester.with_event_log(surroundings.event_log()),
        })
    }

    /// Keys this machine's chip derives; Intel's derives none.
    pub fn derived_keys(vendor: Vendor) -> Result<Box<dyn DerivedKeys>, DerivedKeyError> {
        match vendor {
            Vendor::Amd => Ok(Box::new(sev_guest::SevGuest::open(Path::new(sev_guest::DEVICE))?)),
            Vendor::Intel => Ok(Box::new(NoDerivedKeys(vendor))),
        }
    }
}

impl Platform for Hardware {
    fn attester(&self, _boot: &BootConfig, store: Arc<dyn EndorsementStore>) -> Result<Arc<dyn Attester>, PlatformError> {
        Ok(Arc::new(Hardware::open(&Surroundings::new("/", REPORTS), store)?))
    }

    fn anchors(&self) -> Anchors {
        Anchors::production()
    }

    fn chip_keys(&self, _boot: &BootConfig) -> KeySource {
        Arc::new(Hardware::derived_keys)
    }

    fn program(&self) -> &'static str {
        "ringwalld"
    }
}
