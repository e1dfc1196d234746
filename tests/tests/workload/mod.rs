//! A governed cluster and guests that ask it for keys, for the suites about workload keys.
//!
//! Decides: who the governors are, which workloads the standard grant policy accepts, and how files about keys are made.
//! Trusts: nothing. Out of scope: what the suites expect.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

pub mod broker;

use crate::three;
use ringwall_client::policy::GovernorKey;
use ringwall_client::workload::{Audit, WorkloadError, WorkloadSession, anywhere, request_workload_key};
use ringwall_client::{Client, Options, UserId};
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_sim::guest::{config, guest};
use ringwall_sim::{BuildImage, Platform, world};
use ringwall_tests::local;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, TrustDomain};
use ringwall_wire::policy::{Governance, MeasurementRegister};
use ringwall_wire::workload::{ConfigList, ConfigRule, GrantOrder, GrantPolicy, Granted, WorkloadPurpose};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An AMD workload the standard policy accepts.
pub const AMD: &str = "genoa-2,build=payments-1,config=region=eu";
/// An Intel workload the standard policy accepts.
pub const INTEL: &str = "tdx-2,build=payments-1,config=region=eu";
/// Name of the standard key.
pub const NAME: &str = "payments/db/1";

/// Which workloads are granted the key `name`: build `payments-1` on two chips of either vendor, configured for the region.
pub fn policy(name: &str, version: u64, grants_per_minute: u32) -> GrantPolicy {
    let base = world::PolicyBuilder::new().build(&BuildImage::new("payments-1", 1));
    let chips = ["genoa-2", "turin-2", "tdx-1", "tdx-2"];
    let base = chips.iter().fold(base, |base, chip| base.machine(Platform::of_chip(chip).unwrap(), chip)).finish();
    let known = config("region=eu");
    let listed = ConfigList {
        host_data: List::new(vec![Digest(known.host_data)]).unwrap(),
        mr_config_id: List::new(vec![MeasurementRegister(known.mr_config_id)]).unwrap(),
    };
    GrantPolicy {
        name: Text::new(name).unwrap(),
        version,
        trust_domain: TrustDomain::Simulated,
        measurements: base.measurements,
        min_svn: base.min_svn,
        snp: base.snp,
        tdx: base.tdx,
        config: ConfigRule::Listed(listed),
        grants_per_minute,
    }
}

/// A cluster of three with three governors, of whom two must sign.
pub struct Governed {
    pub cluster: LocalCluster,
    pub user: Client,
    pub folder: tempfile::TempDir,
    pub governors: Vec<GovernorKey>,
}

impl Governed {
    pub async fn start() -> Self {
        Self::start_with(LocalOptions::default()).await
    }

    pub async fn start_with(options: LocalOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let governors: Vec<GovernorKey> =
            (1..=3).map(|number| GovernorKey::create(&folder.path().join(format!("governor-{number}"))).unwrap()).collect();
        let keys = governors.iter().map(GovernorKey::public).collect();
        let governance = Governance { keys: List::new(keys).unwrap(), threshold: 2, timelock_s: 0, lease_s: 0 };
        let options = LocalOptions { governance: Some(governance), ..options };
        let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
        let started = LocalCluster::start_with(folder.path(), three::launch(), &machines, options);
        let cluster = started.unwrap_or_else(|error| panic!("{error}"));
        let user = local::client(&cluster).await;
        local::voters(&user, &cluster, 3).await;
        Governed { cluster, user, folder, governors }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn options(&self) -> Options {
        local::options(&self.cluster)
    }

    /// Options for the node of one slot alone.
    pub fn options_of(&self, slot: u8) -> Options {
        Options { addresses: vec![self.cluster.address(slot).to_string()], ..self.options() }
    }

    /// An order under the signatures of these governors.
    pub fn order(&self, policy: &GrantPolicy, replaces: Option<&GrantPolicy>, governors: &[usize]) -> GrantOrder {
        let mut order = GrantOrder {
            cluster_id: self.cluster.card().genesis.cluster_id(),
            replaces: replaces.map(|old| Digest(old.digest())),
            policy: Blob::new(policy.encode()).unwrap(),
            signatures: List::default(),
        };
        for governor in governors {
            order.signatures.push(self.governors[*governor].grant(&order)).unwrap();
        }
        order
    }

    pub async fn bring(&self, order: &GrantOrder) -> Result<u64, WorkloadError> {
        anywhere(&self.options(), WorkloadPurpose::Governor, async |session: &mut WorkloadSession| session.order(order).await).await
    }

    /// Makes a key under the standard policy.
    pub async fn create(&self, name: &str) -> GrantPolicy {
        let policy = policy(name, 1, 1_000);
        assert_eq!(self.bring(&self.order(&policy, None, &[0, 1])).await.unwrap(), 1);
        policy
    }

    /// What a guest is told by the node of `slot`, or by any.
    pub async fn ask(&self, slot: Option<u8>, line: &str, name: &str, user: Option<UserId>) -> Result<Granted, WorkloadError> {
        let options = slot.map_or_else(|| self.options(), |slot| self.options_of(slot));
        let machine = guest(line).unwrap_or_else(|| panic!("no guest is described as {line}"));
        request_workload_key(&options, Arc::new(machine), name, user).await
    }

    /// The code a guest is refused with.
    pub async fn refused(&self, line: &str, name: &str) -> String {
        match self.ask(None, line, name, None).await {
            Err(WorkloadError::NotGranted { fault, .. }) => fault.code().to_owned(),
            other => panic!("{line}: {other:?}\n{}", local::logs(&self.cluster)),
        }
    }

    pub async fn audit(&self) -> Audit {
        let (governor, options) = (&self.governors[2], self.options());
        let read = anywhere(&options, WorkloadPurpose::Governor, async |session: &mut WorkloadSession| session.audit(governor).await);
        read.await.unwrap_or_else(|error| panic!("{error}\n{}", local::logs(&self.cluster)))
    }
}

/// The `ringwall` command line of this package, in a guest or in none.
pub fn ringwall(folder: &Path, guest: Option<&str>, words: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sim-ringwall"));
    command.args(words).current_dir(folder).env_remove(ringwall_sim::guest::GUEST);
    if let Some(line) = guest {
        command.env(ringwall_sim::guest::GUEST, line);
    }
    command.output().unwrap()
}
