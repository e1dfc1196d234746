//! Where attacks are performed: clusters of real processes, each behind the network's taps, and the people who use them.
//!
//! Decides: one cluster of three is shared by all attacks that leave it as it was, one with custodians by those on custody and recovery; the others get one
//! of their own; everything ends with the stage, and every wait has a bound. Trusts: `cluster` to start nodes. Out of scope: what is done to them.

use super::ward::Ward;
use crate::cluster::{Launch, LocalCluster, LocalOptions, Machine, tail};
use crate::demo::DemoError;
use crate::tap::Tap;
use ringwall_client::{Client, ClusterStatus, Credential, Options, Timeouts};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Machines of the three slots; the last is Intel's.
pub(super) const MACHINES: [&str; 3] = ["genoa-1", "turin-1", "tdx-1"];
/// Bound of every wait for a cluster.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// A cluster of three behind its taps.
pub(super) struct Ground {
    pub(super) cluster: LocalCluster,
    taps: Vec<Tap>,
}

/// Everything attacks need.
pub struct Stage {
    launch: Launch,
    folder: PathBuf,
    shared: Option<Ground>,
    ward: Option<Ward>,
    made: u32,
}

impl Stage {
    /// A stage whose nodes are started so, and whose files are below `folder`.
    pub fn new(launch: Launch, folder: &Path) -> Self {
        Stage { launch, folder: folder.to_owned(), shared: None, ward: None, made: 0 }
    }

    /// A new folder.
    pub(super) fn scratch(&mut self, name: &str) -> Result<PathBuf, DemoError> {
        self.made += 1;
        let folder = self.folder.join(format!("{name}-{}", self.made));
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The cluster attacks share that leave it as it was. All three vote.
    pub(super) async fn shared(&mut self) -> Result<&mut Ground, DemoError> {
        let ground = match self.shared.take() {
            Some(ground) => ground,
            None => self.own("cluster").await?,
        };
        Ok(self.shared.insert(ground))
    }

    /// The cluster with custodians that attacks on custody and recovery share, as the last of them left it.
    pub(super) async fn ward(&mut self) -> Result<&mut Ward, DemoError> {
        let ward = match self.ward.take() {
            Some(ward) => ward,
            None => Ward::start(&self.scratch("custody")?, self.launch.clone(), LocalOptions::default()).await?,
        };
        Ok(self.ward.insert(ward))
    }

    /// The same, and no recovery has begun an epoch of it yet.
    pub(super) async fn fresh_ward(&mut self) -> Result<&mut Ward, DemoError> {
        self.ward = None;
        self.ward().await
    }

    /// A cluster of one's own. All three vote.
    pub(super) async fn own(&mut self, name: &str) -> Result<Ground, DemoError> {
        let taps = vec![Tap::new().await?, Tap::new().await?, Tap::new().await?];
        let options = LocalOptions { advertise: taps.iter().map(|tap| tap.address).collect(), ..LocalOptions::default() };
        self.start(name, taps, options).await
    }

    /// A cluster of one's own without taps, which lose datagrams when much is written, and with these timers (see `LocalOptions`).
    pub(super) async fn plain(&mut self, name: &str, timing: (u64, u64, u64)) -> Result<Ground, DemoError> {
        let options = LocalOptions { timing: Some(timing), ..LocalOptions::default() };
        self.start(name, Vec::new(), options).await
    }

    async fn start(&mut self, name: &str, taps: Vec<Tap>, options: LocalOptions) -> Result<Ground, DemoError> {
        let folder = self.scratch(name)?;
        let cluster = LocalCluster::start_with(&folder, self.launch.clone(), &MACHINES.map(Machine::honest), options)?;
        let ground = Ground { cluster, taps };
        ground.fair();
        ground.voters().await?;
        Ok(ground)
    }

    /// A cluster of one node, founded by somebody else.
    pub(super) fn founded(&mut self, name: &str) -> Result<LocalCluster, DemoError> {
        let folder = self.scratch(name)?;
        Ok(LocalCluster::start(&folder, self.launch.clone(), &[Machine::honest("genoa-2")])?)
    }
}

impl Ground {
    /// The tap before the node of this slot.
    pub(super) fn tap(&self, slot: u8) -> &Tap {
        &self.taps[usize::from(slot) - 1]
    }

    /// Every node where it is, every datagram on its way.
    pub(super) fn fair(&self) {
        for (slot, tap) in self.cluster.slots().zip(&self.taps) {
            tap.aim(self.cluster.address(slot));
            tap.weather().clear();
        }
    }

    /// Slots other than this one.
    pub(super) fn others(&self, slot: u8) -> Vec<u8> {
        self.cluster.slots().filter(|other| *other != slot).collect()
    }

    /// Addresses of nodes as the network has them.
    pub(super) fn through_taps(&self, slots: &[u8]) -> Vec<SocketAddr> {
        let tapped = |slot: &u8| self.taps.get(usize::from(*slot) - 1).map_or_else(|| self.cluster.address(*slot), |tap| tap.address);
        slots.iter().map(tapped).collect()
    }

    /// What a user needs to reach these addresses.
    pub(super) fn options(&self, user: &Credential, addresses: &[SocketAddr], patience: Duration) -> Result<Options, DemoError> {
        let mut options = Options::from_card(self.cluster.card(), crate::anchors(), user.clone())?;
        options.addresses = addresses.iter().map(SocketAddr::to_string).collect();
        options.timeouts = Timeouts { dial: Duration::from_secs(3), answer: Duration::from_millis(1_500), deadline: patience };
        Ok(options)
    }

    /// A session of a user with any of these nodes, through the network.
    pub(super) async fn client(&self, user: &Credential, slots: &[u8]) -> Result<Client, DemoError> {
        Ok(Client::connect(self.options(user, &self.through_taps(slots), PATIENCE)?).await?)
    }

    /// What a user reads who is new to this device, asking these nodes and waiting no longer than `patience`.
    pub(super) async fn ask(&self, user: &Credential, slots: &[u8], patience: Duration) -> Result<Option<Vec<u8>>, String> {
        let options = self.options(user, &self.through_taps(slots), patience).map_err(|fault| fault.to_string())?;
        let client = Client::connect(options).await.map_err(|fault| fault.to_string())?;
        let found = client.existing_namespace(super::SPACE).map_err(|fault| fault.to_string())?.get(super::KEY).await;
        found.map(|found| found.map(|found| found.value)).map_err(|fault| fault.to_string())
    }

    /// Waits until all three vote, none learns and one leads.
    pub(super) async fn voters(&self) -> Result<ClusterStatus, DemoError> {
        let slots: Vec<u8> = self.cluster.slots().collect();
        let watcher = self.client(&Credential::generate(), &slots).await?;
        self.status_where(&watcher, "three voters", |status| status.voters.len() == slots.len() && status.learners.is_empty()).await
    }

    /// Waits for a state of the cluster.
    pub(super) async fn status_where(
        &self,
        watcher: &Client,
        what: &'static str,
        wanted: impl Fn(&ClusterStatus) -> bool,
    ) -> Result<ClusterStatus, DemoError> {
        let until = Instant::now() + PATIENCE;
        let mut seen = String::from("nothing");
        while Instant::now() < until {
            match watcher.status().await {
                Ok(status) if status.leader.0 != 0 && wanted(&status) => return Ok(status),
                Ok(status) => seen = format!("{status:?}"),
                Err(error) => seen = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(DemoError::Waited { seconds: PATIENCE.as_secs(), what, seen, logs: self.logs() })
    }

    /// The ends of all logs.
    pub(super) fn logs(&self) -> String {
        self.cluster.slots().map(|slot| format!("-- node {slot}:\n{}\n", tail(&self.cluster.log(slot)))).collect()
    }

    /// Puts an honest machine back into a slot and waits until it votes, as a new incarnation.
    pub(super) async fn heal(&mut self, slot: u8) -> Result<(), DemoError> {
        let watcher = self.client(&Credential::generate(), &self.others(slot)).await?;
        let before = watcher.status().await?;
        let old = before.voters.iter().find(|voter| voter.slot.0 == slot).map(|voter| voter.incarnation);
        self.cluster.restart_on(slot, Machine::honest(MACHINES[usize::from(slot) - 1]))?;
        let healed = |status: &ClusterStatus| {
            let here = status.voters.iter().find(|voter| voter.slot.0 == slot);
            status.learners.is_empty() && here.is_some_and(|voter| Some(voter.incarnation) != old)
        };
        self.status_where(&watcher, "the honest machine to vote", healed).await.map(drop)
    }
}

/// Slot of the leader.
pub(super) fn leader_slot(status: &ClusterStatus) -> Result<u8, DemoError> {
    let leader = status.voters.iter().find(|voter| voter.incarnation == status.leader);
    leader.map(|leader| leader.slot.0).ok_or_else(|| DemoError::Broken("the leader is not a voter".into()))
}

/// The first line of a log, after its first `from` bytes, that holds one of these words; waits for it as long as `patience`.
pub(super) async fn line_of(log: &Path, from: usize, words: &[&str], patience: Duration) -> Option<String> {
    let until = Instant::now() + patience;
    loop {
        let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned());
        let text = text.unwrap_or_default();
        if let Some(line) = text.lines().find(|line| words.iter().any(|word| line.contains(word))) {
            return Some(line.to_owned());
        }
        if Instant::now() >= until {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Bytes a log has now.
pub(super) fn length_of(log: &Path) -> usize {
    std::fs::metadata(log).map_or(0, |found| usize::try_from(found.len()).unwrap_or(usize::MAX))
}

/// What a line of a node's log says, without its date.
pub(super) fn said(line: &str) -> String {
    line.split_once("  ").map_or(line, |(_, rest)| rest).trim().to_owned()
}
