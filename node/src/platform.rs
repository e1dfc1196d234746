//! Which TEE a daemon runs in, and which roots it believes.
//!
//! Decides: the one interface through which evidence reaches the node; a software TEE is another implementation of it with other
//! roots, in another program, and nothing here knows of it. [`Hardware`] pins the vendors' roots.
//! Trusts: the guest's own device files to be the firmware's. Out of scope: collecting from hardware, which this release does not do
//! yet and says so. Style rule 4; protocol section 0, decision 8.

pub use ringwall_attest::{Anchors, Attester, CollectError};
use ringwall_wire::genesis::BootConfig;
use std::path::Path;
use std::sync::Arc;

/// A TEE and its roots.
pub trait Platform {
    /// Makes the collector of evidence for a node with this boot configuration. On hardware the configuration was measured at launch
    /// and this only opens the device.
    fn attester(&self, boot: &BootConfig) -> Result<Arc<dyn Attester>, PlatformError>;

    /// The roots this program believes.
    fn anchors(&self) -> Anchors;

    /// Name of the program, for help and logs.
    fn program(&self) -> &'static str;
}

/// Why there is no evidence on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// No attestation device.
    #[error(
        "no attestation device: looked for {}; run inside an AMD SEV-SNP or Intel TDX guest whose kernel has the guest driver, or use the \
         simulated daemon of `cargo demo` (which protects nothing against its host)",
        looked_for.join(", ")
    )]
    NoDevice {
        /// Paths that were looked for.
        looked_for: Vec<&'static str>,
    },
    /// There is a device and this release cannot use it.
    #[error("{device} is there, and this release does not collect evidence from hardware yet; use a release that does")]
    NotYet {
        /// The device.
        device: &'static str,
    },
    /// The TEE could not be opened.
    #[error("the attestation device cannot be opened: {reason}")]
    Unusable {
        /// What went wrong.
        reason: String,
    },
}

/// Where Linux guests show their attestation device.
pub const DEVICES: [&str; 3] = ["/dev/sev-guest", "/dev/tdx_guest", "/sys/kernel/config/tsm/report"];

/// A confidential VM of AMD or Intel, under the vendors' roots.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hardware;

impl Platform for Hardware {
    fn attester(&self, _boot: &BootConfig) -> Result<Arc<dyn Attester>, PlatformError> {
        match DEVICES.into_iter().find(|device| Path::new(device).exists()) {
            Some(device) => Err(PlatformError::NotYet { device }),
            None => Err(PlatformError::NoDevice { looked_for: DEVICES.to_vec() }),
        }
    }

    fn anchors(&self) -> Anchors {
        Anchors::production()
    }

    fn program(&self) -> &'static str {
        "ringwalld"
    }
}
