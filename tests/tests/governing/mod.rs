//! Governors, their words, and devices that remember: what suites about a policy that changes share.
//!
//! Decides: three governors of whom two must sign; how steps and leases are signed; what a device keeps, and how long a change is waited for.
//! Trusts: the cluster's own word for what is in force, where a test does not look further. Out of scope: what must come of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use ringwall_client::anchor::AnchorFiles;
use ringwall_client::policy::GovernorKey;
use ringwall_client::{Client, Credential, GovernanceError, GovernanceView, Options};
use ringwall_sim::BuildImage;
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{PolicyFault, PolicyLease, PolicyOutcome};
use ringwall_wire::ids::{Digest, PolicyVersion};
use ringwall_wire::policy::{Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::secret::Secret;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A delay as good as for ever, in seconds.
pub const NEVER_S: u32 = 1_000_000;
/// The machines of three nodes.
pub const CHIPS: [&str; 3] = ["genoa-1", "turin-1", "tdx-1"];
/// How often something is looked at.
pub const LOOK: Duration = Duration::from_millis(50);

pub fn governors() -> Vec<GovernorKey> {
    (1..=3).map(|number| GovernorKey::from_seed(Secret::new([number; 32]))).collect()
}

/// Three governors of whom two must sign, and this delay.
pub fn governance(timelock_s: u32) -> LocalOptions {
    let keys = List::new(governors().iter().map(GovernorKey::public).collect()).unwrap();
    LocalOptions { governance: Some(Governance { keys, threshold: 2, timelock_s, lease_s: 0 }), ..LocalOptions::default() }
}

/// The next policy after `old`.
pub fn next(old: &PolicyDoc, change: impl FnOnce(&mut PolicyDoc)) -> PolicyDoc {
    let mut policy = PolicyDoc { version: PolicyVersion(old.version.0 + 1), ..old.clone() };
    change(&mut policy);
    policy
}

/// The step from `old` to `new`, signed by governors (numbered from 1).
pub fn signed(old: &PolicyDoc, new: &PolicyDoc, by: &[usize]) -> SignedPolicy {
    signed_by(&governors(), old, new, by)
}

/// The same, by some of these governors.
pub fn signed_by(governors: &[GovernorKey], old: &PolicyDoc, new: &PolicyDoc, by: &[usize]) -> SignedPolicy {
    let policy = Blob::new(new.encode()).unwrap();
    let mut step = SignedPolicy { replaces: Some(Digest(old.digest())), policy, signatures: List::default() };
    by.iter().for_each(|number| step.signatures.push(governors[number - 1].approve(&step)).unwrap());
    step
}

/// One of a user's devices, with files of its own.
pub struct Device {
    pub options: Options,
    pub files: AnchorFiles,
}

impl Device {
    pub fn new(cluster: &LocalCluster, folder: &Path, name: &str) -> Self {
        let files = AnchorFiles::beside(&folder.join(name), &cluster.card().genesis.cluster_id());
        let options = Options { credential: Credential::generate(), anchor: Arc::new(files.clone()), ..local::options(cluster) };
        Device { options, files }
    }

    pub async fn client(&self, cluster: &LocalCluster) -> Client {
        Client::connect(self.options.clone()).await.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(cluster)))
    }

    /// A session with a node judged by this version.
    pub async fn following(&self, cluster: &LocalCluster, version: u64) -> Client {
        let client = self.client(cluster).await;
        follows(&client, cluster, version).await;
        client
    }

    /// Version of the newest policy it has verified.
    pub fn remembers(&self) -> u64 {
        AnchorFiles::read_policy(&self.files.path("policy")).unwrap().map_or(0, |known| known.policy().unwrap().version.0)
    }
}

/// Looks at what governs until it is as wanted. Each look writes, so that the time of the group goes on.
pub async fn governed_where(
    client: &Client,
    cluster: &LocalCluster,
    what: &str,
    wanted: impl Fn(&GovernanceView) -> bool,
) -> GovernanceView {
    let until = Instant::now() + PATIENCE;
    let mut seen = String::from("nothing");
    while Instant::now() < until {
        if let Ok(space) = client.namespace("clock").await {
            // What was lost is written again by the next look.
            let _ = space.put("tick", "").await;
        }
        match client.governance().await {
            Ok(view) if wanted(&view) => return view,
            Ok(view) => seen = format!("version {}, {} pending, lease {:?}", view.version, view.pending.len(), view.lease_until_s),
            Err(fault) => seen = fault.to_string(),
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("waited {} s for {what}; last seen: {seen}\n{}", PATIENCE.as_secs(), local::logs(cluster));
}

/// Waits until the client's session is with a node judged by this version.
pub async fn follows(client: &Client, cluster: &LocalCluster, version: u64) {
    let until = Instant::now() + PATIENCE;
    while client.verification().policy_version.0 != version {
        assert!(Instant::now() < until, "the client stays with {}\n{}", client.verification().policy_version, local::logs(cluster));
        // An operation on a session that ended opens the next one.
        let _ = client.status().await;
        tokio::time::sleep(LOOK).await;
    }
}

pub fn refused(outcome: Result<PolicyOutcome, GovernanceError>) -> PolicyFault {
    match outcome {
        Err(GovernanceError::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

/// The build that comes after the standard one.
pub fn newer_build() -> BuildImage {
    BuildImage::new("ringwall-sim-2", 2)
}

pub fn running(chip: &str, build: &BuildImage) -> Machine {
    Machine { chip: chip.into(), behaviour: vec!["--build".into(), build.id.clone()] }
}

/// Waits until the process of `slot` ended by itself, and gives its code.
pub async fn ended(cluster: &mut LocalCluster, slot: u8) -> i32 {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(code) = cluster.exit_code(slot) {
            return code;
        }
        assert!(Instant::now() < until, "node {slot} goes on:\n{}", local::logs(cluster));
        tokio::time::sleep(LOOK).await;
    }
}

/// A word of the first two of these governors that `policy` is wanted for as long as it may be said at once.
pub fn wanted(governors: &[GovernorKey], cluster: &LocalCluster, policy: &PolicyDoc, now_ms: u64) -> PolicyLease {
    let (cluster_id, until_s) = (cluster.card().genesis.cluster_id(), now_ms / 1_000 + u64::from(policy.governance.lease_s));
    let mut lease = PolicyLease { cluster_id, policy: Digest(policy.digest()), until_s, signatures: List::default() };
    for governor in &governors[..2] {
        lease.signatures.push(governor.lease(&lease)).unwrap();
    }
    lease
}
