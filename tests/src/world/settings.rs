//! What can differ from world to world, and from process to process.
//!
//! Decides: the defaults of a suite, and every way in which a process may be started other than as it should be. Trusts: nothing.
//! Out of scope: what comes of it (`machines`, `hostile`).

use crate::world::drills::Drill;
use crate::world::flaws::Flaws;
use crate::world::governors::BEFORE_CHANGES;
use crate::world::kinds::Kind;
use crate::world::process::Process;
use ringwall_consensus::disk::memory::MemoryDisk;
use ringwall_sim::{BuildImage, Lie};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::session::AttestResp;
use std::sync::Arc;

/// What differs between suites.
#[derive(Clone)]
pub struct Settings {
    /// Milliseconds of faults.
    pub faults_ms: u64,
    /// Milliseconds a world lasts at least: clients go on in peace when it is whole before.
    pub least_ms: u64,
    /// Clients.
    pub clients: u32,
    /// Milliseconds between two operations of a client.
    pub pause_ms: u64,
    /// Print events as they happen.
    pub print: bool,
    /// Keep events.
    pub keep: bool,
    /// Strike with these kinds alone; empty = all.
    pub only: Vec<Kind>,
    /// Kinds the plan knows, the first so many of [`Kind::ALL`]: new ones are added at the end, so that old seeds stay what they were.
    pub kinds: usize,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// Mistakes made on purpose.
    pub flaws: Flaws,
    /// One attack in full, instead of faults from the seed.
    pub drill: Option<Drill>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            faults_ms: 42_000,
            least_ms: 0,
            clients: 3,
            pause_ms: 150,
            print: false,
            keep: false,
            only: Vec::new(),
            kinds: Kind::ALL.len(),
            heartbeat_ms: 50,
            flaws: Flaws::default(),
            drill: None,
        }
    }
}

impl Settings {
    /// Whether the policy of this world may change: the kinds that do so are among those that strike.
    pub fn changes_policy(&self) -> bool {
        let changing = Kind::ALL.get(BEFORE_CHANGES..).unwrap_or_default();
        match self.only.is_empty() {
            true => self.drill.is_none() && self.kinds > BEFORE_CHANGES,
            false => self.only.iter().any(|kind| changing.contains(kind)),
        }
    }

    /// The worlds of the suite and of campaigns: a minute of simulated time, most of it faults.
    pub fn suite() -> Self {
        Settings { least_ms: 60_000, ..Settings::default() }
    }
}

/// How a process is started, where it is not as it should be.
#[derive(Clone, Default)]
pub struct Guise {
    /// Lies of its TEE.
    pub lies: Vec<Lie>,
    /// The chip, if not the machine's.
    pub chip: Option<String>,
    /// The build, if not the machine's.
    pub build: Option<BuildImage>,
    /// Version of its reports, if not today's.
    pub report_version: Option<u32>,
    /// The boot configuration, if not the right one.
    pub boot: Option<BootConfig>,
    /// Evidence of somebody else that it shows.
    pub borrowed: Option<AttestResp>,
    /// Contents of its disk.
    pub disk: Option<MemoryDisk>,
    /// Whether it is not what the policy accepts.
    pub dishonest: bool,
    /// Whether a quote is made before, so that what it shows is old.
    pub primed: bool,
    /// Whether it has memory for almost nothing.
    pub squeezed: bool,
    /// Whether its generator repeats itself from the beginning.
    pub stuck_dice: bool,
    /// Goes on under the name and with the keys of this process: what no process of ours can do.
    pub identity: Option<Arc<Process>>,
}
