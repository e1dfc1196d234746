//! What a replica is opened with: its folder, its name, its timers, its bounds and its clock.
//!
//! Decides: the defaults, each with its unit and reason. Trusts: the caller, who is this node's own program.
//! Out of scope: where the values come from (`node`). Protocol sections 4 and 5.1.

use crate::charter::{Charter, CustodyTerms, Judges};
use crate::defects::{self, Defect};
use crate::disk::{Disk, OsDisk};
use crate::report::OpenError;
use crate::runtime::Host;
use crate::seal::{Owner, Sealer, Sealing};
use crate::shown::Granted;
use crate::workers::{Threads, Workers};
use openraft::{Config, SnapshotPolicy};
use ringwall_wire::ids::{ClusterId, Incarnation};
use ringwall_wire::limits::{APPEND_ENTRIES, ENTRY_BYTES};
use ringwall_wire::policy::PolicyDoc;
use std::path::PathBuf;
use std::sync::Arc;

/// Reads the clock: Unix time in milliseconds. Nothing safe rests on it.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How to open a replica.
#[derive(Clone)]
pub struct Options {
    /// Folder of this incarnation; it must be empty or absent.
    pub dir: PathBuf,
    /// The cluster whose verdicts count: their signatures name it. The same in every replica.
    pub cluster_id: ClusterId,
    /// The founding policy; none where nobody governs. The same in every replica.
    pub policy: Option<Arc<PolicyDoc>>,
    /// How words of governors are judged while they are applied. The same in every replica; as it comes, nothing holds.
    pub judges: Judges,
    /// Who has to hold shares at first; none where the founding record names nobody. The same in every replica.
    pub custody: Option<Arc<CustodyTerms>>,
    /// Who this replica is.
    pub me: Incarnation,
    /// The clock that stamps proposals, Unix milliseconds; where the group's time is ahead of it, that time goes on instead.
    pub clock: Clock,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// Election timeout, milliseconds: at least and at most.
    pub election_ms: (u64, u64),
    /// Milliseconds a call to another member may take.
    pub call_ms: u64,
    /// Milliseconds a proposal may take before its outcome is called unknown.
    pub propose_ms: u64,
    /// Bytes of one log segment.
    pub segment_bytes: u64,
    /// Bytes of entries kept in memory for followers that lag a little.
    pub tail_bytes: usize,
    /// Bytes of changes kept in memory before they must be in the database.
    pub overlay_bytes: usize,
    /// Bytes of its file the database may keep in memory.
    pub cache_bytes: usize,
    /// Entries between two snapshots.
    pub snapshot_entries: u64,
    /// Entries kept in the log although a snapshot holds them, so that a short absence needs no snapshot.
    pub keep_entries: u64,
    /// Seals what is written, so that it counts in a recovery; none where nobody recovers.
    pub sealer: Option<Sealer>,
    /// What came with the keys of a joiner; none for a founder.
    pub granted: Option<Arc<Granted>>,
    /// Whoever decides the chance and the pace of this replica's tasks; none for tokio and the thread's generator.
    pub host: Option<Arc<dyn Host>>,
    /// The disk all files are on.
    pub disk: Arc<dyn Disk>,
    /// Who does work that blocks.
    pub workers: Arc<dyn Workers>,
    /// Whether files go without digests in memory: to measure what those cost, in builds for tests.
    #[cfg(any(test, feature = "faults"))]
    pub bare: bool,
}

impl Options {
    /// The defaults for a real cluster.
    pub fn new(dir: impl Into<PathBuf>, cluster_id: ClusterId, me: Incarnation, clock: Clock) -> Self {
        Options {
            dir: dir.into(),
            cluster_id,
            policy: None,
            judges: Judges::default(),
            custody: None,
            me,
            clock,
            heartbeat_ms: 50,
            election_ms: (250, 500),
            call_ms: 2_000,
            propose_ms: 10_000,
            segment_bytes: 32 * 1024 * 1024,
            tail_bytes: 16 * 1024 * 1024,
            overlay_bytes: 32 * 1024 * 1024,
            cache_bytes: 32 * 1024 * 1024,
            snapshot_entries: 20_000,
            keep_entries: 5_000,
            sealer: None,
            granted: None,
            host: None,
            disk: Arc::new(OsDisk),
            workers: Arc::new(Threads),
            #[cfg(any(test, feature = "faults"))]
            bare: false,
        }
    }

    /// Who this replica seals as.
    pub(crate) fn sealing(&self) -> Option<Sealing> {
        let owner = Owner { cluster_id: self.cluster_id, incarnation: self.me };
        self.sealer.clone().map(|sealer| Sealing { owner, sealer })
    }

    pub(crate) fn charter(&self) -> Charter {
        Charter { cluster_id: self.cluster_id, policy: self.policy.clone(), judges: self.judges.clone(), custody: self.custody.clone() }
    }

    /// The same in openraft's form; fails with what does not fit together.
    pub(crate) fn raft(&self) -> Result<Config, OpenError> {
        let (least, most) = self.election_ms;
        if self.segment_bytes < 2 * ENTRY_BYTES as u64 {
            return Err(OpenError::Options(format!("a log segment must hold {} bytes", 2 * ENTRY_BYTES)));
        }
        let config = Config {
            cluster_name: format!("ringwall-{}", self.me.epoch()),
            heartbeat_interval: self.heartbeat_ms,
            election_timeout_min: least,
            election_timeout_max: most,
            install_snapshot_timeout: 600_000,
            max_payload_entries: APPEND_ENTRIES as u64,
            replication_lag_threshold: self.keep_entries + self.snapshot_entries,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_entries),
            max_in_snapshot_log_to_keep: self.keep_entries,
            purge_batch_size: 1,
            enable_elect: false, // Until this replica is a voter: protocol section 4, V4.
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(defects::on(Defect::RestoresLeader)),
            allow_log_reversion: None,
            ..Config::default()
        };
        config.validate().map_err(|why| OpenError::Options(why.to_string()))
    }
}
