//! The software TEE: answers where real firmware would, with evidence under the simulated roots.
//!
//! Decides: when evidence is made, from which clock its endorsements are dated, how long it takes.
//! Trusts: nothing, and offers no protection: its keys derive from names. Out of scope: what the evidence says (`mint_snp`, `mint_tdx`).

use crate::lie::Lie;
use crate::profile::{Platform, TeeProfile};
use crate::{mint_snp, mint_tdx};
use core::time::Duration;
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::{Digest, Vendor};
use std::sync::{Arc, Mutex, PoisonError};

/// Gives the time a machine believes, Unix seconds.
type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A software TEE; cheap to clone. Clones share what a replaying machine remembers.
#[derive(Clone)]
pub struct SimTee {
    profile: TeeProfile,
    clock: Clock,
    latency: Duration,
    first: Arc<Mutex<Option<Evidence>>>,
}

impl SimTee {
    /// A machine whose endorsements are dated around `now_s` (Unix seconds) for ever.
    pub fn new(profile: TeeProfile, now_s: u64) -> Self {
        SimTee { profile, clock: Arc::new(move || now_s), latency: Duration::ZERO, first: Arc::default() }
    }

    /// The same machine, dated by `clock` (Unix seconds): revocation lists, TCB info and QE identity begin at the start of its yesterday
    /// and end 31 days later; certificates are good from 2025 to 2035 whatever it says.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The same machine, blocking the caller of [`SimTee::mint`] for `latency` each time, as firmware does (an SNP report takes about
    /// 8 ms, a TDX quote 4 ms to 1 s).
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// The same machine, lying: adds `lies`.
    #[must_use]
    pub fn telling(mut self, lies: &[Lie]) -> Self {
        self.profile.lies.extend_from_slice(lies);
        self.first = Arc::default();
        self
    }

    /// The same machine, booted with another configuration.
    #[must_use]
    pub fn booted(mut self, boot_config: BootConfig) -> Self {
        self.profile.boot_config = boot_config;
        self.first = Arc::default();
        self
    }

    /// What the machine is.
    pub fn profile(&self) -> &TeeProfile {
        &self.profile
    }

    /// Maker of its CPU.
    pub fn vendor(&self) -> Vendor {
        self.profile.platform.vendor()
    }

    /// How a cluster names it; see [`TeeProfile::chip`].
    pub fn chip(&self) -> Digest {
        self.profile.chip()
    }

    /// Evidence over `report_data`: 1,184 bytes of report or a quote of about 5 KiB.
    pub fn mint(&self, report_data: &[u8; 64]) -> Evidence {
        if !self.latency.is_zero() {
            std::thread::sleep(self.latency);
        }
        let mut asked = *report_data;
        if self.profile.tells(Lie::ReportData) {
            asked.iter_mut().for_each(|byte| *byte ^= 0xff);
        }
        let fresh = match self.profile.platform {
            Platform::Snp(product) => Evidence::Snp(mint_snp::evidence(&self.profile, product, &asked)),
            Platform::Tdx => Evidence::Tdx(mint_tdx::evidence(&self.profile, &asked)),
        };
        if !self.profile.tells(Lie::Replay) {
            return fresh;
        }
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fresh).clone()
    }

    /// What the vendor says about this machine today.
    pub fn endorse(&self) -> Endorsements {
        let now_s = (self.clock)();
        match self.profile.platform {
            Platform::Snp(product) => Endorsements::Snp(mint_snp::endorsements(&self.profile, product, now_s)),
            Platform::Tdx => Endorsements::Tdx(mint_tdx::endorsements(&self.profile, now_s)),
        }
    }
}

impl core::fmt::Debug for SimTee {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "SimTee({}, {:?}, lies {:?})", self.profile.chip_name, self.profile.platform, self.profile.lies)
    }
}
