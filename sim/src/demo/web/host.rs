//! The host of the demo for the browser: whoever owns the machines, disks and addresses, and does with them what he likes.
//!
//! Decides: what can be done and undone: a node killed, all disks put back to the hour the demo began and the cluster recovered from them with custodians who have not
//! looked since (row R3 of the attacks), a proof of release with too few witnesses. Everything is genuine afterwards as well: only whoever remembers sees it.
//! Trusts: `attack::ward` to carry papers. Out of scope: who may order it (`serve.rs`), what a page makes of it. Protocol sections 5.2 and 6.2.

use super::desk::Deed;
use super::doors::{door, is_meant};
use super::releases::Releases;
use crate::attack::ward::Ward;
use crate::cluster::{Launch, LocalCluster, LocalOptions};
use crate::demo::DemoError;
use crate::guarded::{CameTo, SLOTS};
use ringwall_client::{ClusterStatus, Credential, Exchange, examine_node};
use ringwall_wire::genesis::WebDoor;
use ringwall_wire::ids::Incarnation;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long nodes may take to hand out a new proof, and the pause between two looks.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(100);
/// Witnesses of the full proof, and of the one that has too few.
const WITNESSES: (usize, usize) = (3, 1);

/// The host, and what he has done so far.
pub(super) struct Host {
    ward: Ward,
    releases: Releases,
    /// The disks as they were when the world was last in order.
    early: Vec<PathBuf>,
    /// The disks as they were when older ones were put in their place.
    newest: Option<Vec<PathBuf>>,
    /// Where nodes let pages in, by slot, as they said last.
    doors: BTreeMap<u8, WebDoor>,
    /// Nodes that were killed: slot, and who stood there.
    down: BTreeMap<u8, Incarnation>,
}

impl Host {
    /// Starts three nodes with doors for pages, custodians who hold their shares, and a release with all its witnesses.
    pub(super) async fn start(folder: &Path, launch: Launch) -> Result<Self, DemoError> {
        std::fs::create_dir_all(folder)?;
        let mut releases = Releases::new(&folder.join("release.proof"));
        releases.staple(WITNESSES.0)?;
        let (policy, release_proof) = (Some(releases.policy()), Some(releases.path().to_owned()));
        let options = LocalOptions { web: true, policy, release_proof, ..LocalOptions::default() };
        let mut ward = Ward::start(folder, launch, options).await?;
        let early = ward.copy_all()?;
        let mut host = Host { ward, releases, early, newest: None, doors: BTreeMap::new(), down: BTreeMap::new() };
        host.asks_for_doors().await?;
        Ok(host)
    }

    /// Asks every node that serves where it lets pages in.
    async fn asks_for_doors(&mut self) -> Result<(), DemoError> {
        for slot in self.serving() {
            if let Some(door) = door(self.cluster().address(slot)).await? {
                self.doors.insert(slot, door);
            }
        }
        Ok(())
    }

    /// Where nodes let pages in, also those that do not run.
    pub(super) fn doors(&self) -> Vec<WebDoor> {
        self.doors.values().cloned().collect()
    }

    /// The nodes.
    pub(super) fn cluster(&self) -> &LocalCluster {
        &self.ward.guarded.cluster
    }

    /// Slots whose nodes run and serve.
    pub(super) fn serving(&self) -> Vec<u8> {
        self.ward.running().iter().copied().filter(|slot| !self.down.contains_key(slot)).collect()
    }

    /// Does it; words for whoever ordered it.
    pub(super) async fn does(&mut self, deed: Deed) -> Result<String, DemoError> {
        let words = match deed {
            Deed::Kill(address) => self.kills(address).await,
            Deed::Rewind => self.rewinds().await,
            Deed::Unwitness => self.unwitnesses().await,
            Deed::Restore => self.restores().await,
        }?;
        self.asks_for_doors().await?;
        Ok(words)
    }

    async fn status(&self) -> Result<ClusterStatus, DemoError> {
        self.ward.guarded.voters_where(&self.serving(), |_| true).await
    }

    async fn kills(&mut self, address: Option<String>) -> Result<String, DemoError> {
        if self.newest.is_some() || !self.down.is_empty() {
            return Err(refused("one node of three may be missing, and not while the world is an older one: restore it first"));
        }
        let status = self.status().await?;
        let named = |slot: &u8| match &address {
            Some(named) => {
                self.cluster().address(*slot).to_string() == *named || self.doors.get(slot).is_some_and(|door| is_meant(door, named))
            }
            None => status.voters.iter().any(|voter| voter.slot.0 == *slot && voter.incarnation == status.leader),
        };
        let slot = SLOTS.into_iter().find(named).ok_or_else(|| refused("no node of this cluster has that address"))?;
        let stood = status.voters.iter().find(|voter| voter.slot.0 == slot).map(|voter| voter.incarnation);
        self.ward.guarded.cluster.kill(slot);
        self.down.insert(slot, stood.unwrap_or(Incarnation(0)));
        Ok(format!("node {slot} was killed, as a power cut would; two of three go on"))
    }

    async fn rewinds(&mut self) -> Result<String, DemoError> {
        if self.newest.is_some() {
            return Err(refused("the world is an older one already: restore it first"));
        }
        self.ward.kill_all();
        self.down.clear();
        self.newest = Some(self.ward.copy_all()?);
        let early = self.early.clone();
        self.ward.put_back(&early)?;
        // Custodian 1 would be asked what it has seen; the host asks those who have not looked.
        self.recovers(&early, [2, 3]).await?;
        Ok("every node was killed, every disk put back to the hour this demo began, and the cluster recovered from them: genuine machines, genuine \
            evidence, genuine signatures, and nothing in it of what was written since"
            .into())
    }

    async fn recovers(&mut self, disks: &[PathBuf], custodians: [usize; 2]) -> Result<(), DemoError> {
        let answering = custodians.map(|number| (number, None));
        match self.ward.recovers(disks.get(1..).unwrap_or_default(), &answering).await? {
            CameTo::Serving => Ok(()),
            CameTo::Ended(code) => Err(DemoError::Broken(format!("the recovery ended with code {code}\n{}", self.ward.guarded.logs()))),
        }
    }

    async fn unwitnesses(&mut self) -> Result<String, DemoError> {
        self.staples(WITNESSES.1).await?;
        Ok(format!("nodes hand out a proof of release that {} of {} witnesses cosigned, where two are demanded", WITNESSES.1, WITNESSES.0))
    }

    /// Puts a proof in place, and waits until every node that serves hands it out.
    async fn staples(&mut self, cosigning: usize) -> Result<(), DemoError> {
        self.releases.staple(cosigning)?;
        let proof = std::fs::read(self.releases.path())?;
        for slot in self.serving() {
            let until = Instant::now() + PATIENCE;
            while self.exchange(slot).await?.release_proof() != proof {
                if Instant::now() >= until {
                    let (seen, logs) = (format!("another one from node {slot}"), self.ward.guarded.logs());
                    return Err(DemoError::Waited { seconds: PATIENCE.as_secs(), what: "a proof to be handed out", seen, logs });
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// What a node is asked and answers now, whatever is to be thought of it.
    pub(super) async fn exchange(&self, slot: u8) -> Result<Exchange, DemoError> {
        let options = self.ward.guarded.options(&Credential::generate(), &[slot])?;
        Ok(examine_node(&options, &self.cluster().address(slot).to_string()).await?.0)
    }

    async fn restores(&mut self) -> Result<String, DemoError> {
        self.staples(WITNESSES.0).await?;
        if let Some(newest) = self.newest.clone() {
            self.ward.kill_all();
            self.ward.put_back(&newest)?;
            self.recovers(&newest, [1, 2]).await?;
            self.ward.whole().await?;
            self.newest = None;
            // Custodians hold shares of a new dealing: what is older could not be recovered any more.
            self.early = self.ward.copy_all()?;
            return Ok("the newest disks are back under all nodes, and the cluster was recovered from them".into());
        }
        for slot in self.down.keys() {
            self.ward.guarded.cluster.restart(*slot)?;
        }
        let down = std::mem::take(&mut self.down);
        let awake: Vec<u8> = SLOTS.into_iter().filter(|slot| !down.contains_key(slot)).collect();
        let replaced = |status: &ClusterStatus| status.voters.iter().all(|voter| down.get(&voter.slot.0) != Some(&voter.incarnation));
        self.ward.guarded.voters_where(&awake, replaced).await?;
        Ok("all three nodes vote, and hand out the proof of release with all its witnesses".into())
    }
}

fn refused(words: &str) -> DemoError {
    DemoError::Refused(words.into())
}
