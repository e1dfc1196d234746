//! A cluster with custodians on the day everything is lost: processes are killed, disks copied, put back or taken away, papers carried between the node that
//! recovers and the custodians.
//!
//! Decides: three machines, three custodians of whom two recover; every wait is bounded and says what it waited for. Suites and attacks share it.
//! Trusts: custodians that verify dealings and offers as their program does (`custodian.rs`). Out of scope: what is expected of nodes.

use crate::cluster::{Launch, LocalCluster, LocalOptions, Machine, tail};
use crate::custodian::{Holder, Talk};
use crate::demo::DemoError;
use ringwall_client::{Client, ClusterStatus, Credential, Options, Timeouts};
use ringwall_keys::custody::GoodShare;
use ringwall_node::custody::blob_file;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp, CustodianReply, CustodianRequest, CustodyStatus, Dealt};
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Digest, Nonce};
use ringwall_wire::recovery::{CustodyAnchor, LossTerms, ShareSubmission, SignedOffer};
use serde_json::Value;
use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bound of every wait; far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// The slots.
pub const SLOTS: [u8; 3] = [1, 2, 3];
/// Machines in them; the last is Intel's.
const MACHINES: [&str; 3] = ["genoa-1", "turin-1", "tdx-1"];
/// Shares that recover.
const THRESHOLD: u8 = 2;

/// The cluster, its custodians, and what they hold.
pub struct Guarded {
    /// The nodes.
    pub cluster: LocalCluster,
    /// The custodians.
    pub holders: Vec<Holder>,
    /// Their shares of the dealing that is active, in their order.
    pub shares: Vec<GoodShare>,
    /// What was dealt to each of them.
    pub dealt: Vec<Dealt>,
    /// Their shares of the dealing before; empty while there was none.
    pub former: Vec<GoodShare>,
    /// Session of the newest offer that was answered.
    session: Nonce,
    /// Papers brought so far: no two have one name.
    papers: u32,
}

/// What came of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameTo {
    /// The new epoch serves.
    Serving,
    /// The process ended with this code.
    Ended(i32),
}

/// Files whose bytes somebody else could have kept: what recovery reads of a data folder.
const READ_BY_RECOVERY: [&str; 5] = ["log-", "snapshot-", "recovery.blob", "platform.wrap", "cluster.card"];

/// Copies what recovery reads of a data folder.
pub fn copy_disk(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name.starts_with("inc-") {
            copy_disk(&path, &to.join(&name))?;
        } else if READ_BY_RECOVERY.iter().any(|wanted| name.starts_with(wanted)) {
            copy_file(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// The same bytes; room that was never filled, with which log segments end, is not written out.
fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    let bytes = std::fs::read(from)?;
    let filled = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut file = std::fs::File::create(to)?;
    file.write_all(&bytes[..filled])?;
    file.set_len(bytes.len() as u64)
}

/// The flags that bring these data folders to a recovery.
pub fn disks<P: AsRef<Path>>(folders: &[P]) -> Vec<OsString> {
    folders.iter().flat_map(|folder| [OsString::from("--disk"), folder.as_ref().as_os_str().to_owned()]).collect()
}

fn broken(what: impl Into<String>) -> DemoError {
    DemoError::Broken(what.into())
}

impl Guarded {
    /// Starts the cluster, with these options and its custodians; joining goes on when this returns.
    pub fn start(folder: &Path, launch: Launch, options: LocalOptions) -> Result<Self, DemoError> {
        let holders: Vec<Holder> = (1..=3).map(Holder::numbered).collect();
        let custodians = (holders.iter().map(Holder::public).collect(), THRESHOLD);
        let options = LocalOptions { custodians, ..options };
        let cluster = LocalCluster::start_with(folder, launch, &MACHINES.map(Machine::honest), options)?;
        let (shares, dealt, former) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Guarded { cluster, holders, shares, dealt, former, session: Nonce([0; 32]), papers: 0 })
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster.card().genesis.cluster_id()
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        SLOTS.into_iter().map(|slot| format!("-- node {slot}:\n{}\n", tail(&self.cluster.log(slot)))).collect()
    }

    fn waited(&self, what: &'static str, seen: impl Into<String>) -> DemoError {
        DemoError::Waited { seconds: PATIENCE.as_secs(), what, seen: seen.into(), logs: self.logs() }
    }

    /// Looks until there is something.
    async fn until<T>(&mut self, what: &'static str, mut look: impl FnMut(&mut Self) -> Result<T, String>) -> Result<T, DemoError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match look(self) {
                Ok(found) => return Ok(found),
                Err(seen) if Instant::now() >= until => return Err(self.waited(what, seen)),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// What a user needs to reach the nodes of these slots.
    pub fn options(&self, user: &Credential, slots: &[u8]) -> Result<Options, DemoError> {
        let mut options = Options::from_card(self.cluster.card(), crate::anchors(), user.clone())?;
        options.addresses = slots.iter().map(|slot| self.cluster.address(*slot).to_string()).collect();
        options.timeouts = Timeouts { dial: Duration::from_secs(5), answer: Duration::from_secs(2), deadline: PATIENCE };
        Ok(options)
    }

    /// Waits until all three vote, none learns and one leads.
    pub async fn voters(&self) -> Result<ClusterStatus, DemoError> {
        self.voters_where(&SLOTS, |_| true).await
    }

    /// The same, asking the nodes of these slots, and until it is as wanted besides.
    pub async fn voters_where(&self, slots: &[u8], wanted: impl Fn(&ClusterStatus) -> bool) -> Result<ClusterStatus, DemoError> {
        let watcher = Client::connect(self.options(&Credential::generate(), slots)?).await?;
        let all = |status: &ClusterStatus| status.voters.len() == SLOTS.len() && status.learners.is_empty();
        let until = Instant::now() + PATIENCE;
        let mut seen = String::from("nothing");
        while Instant::now() < until {
            match watcher.status().await {
                Ok(status) if status.leader.0 != 0 && all(&status) && wanted(&status) => return Ok(status),
                Ok(status) => seen = format!("{status:?}"),
                Err(fault) => seen = fault.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(self.waited("three voters", seen))
    }

    /// A custodian's session with the node of `slot`. Custodians are numbered from 1.
    pub async fn dial(&self, number: usize, slot: u8) -> Result<Talk, DemoError> {
        let address: SocketAddr = self.cluster.address(slot);
        let opened = self.holders[number - 1].dial(self.cluster_id(), address).await;
        opened.map_err(|refusal| broken(format!("custodian {number} is refused: {refusal:?}\n{}", self.logs())))
    }

    /// Waits until custody stands so, asking the node of `slot`.
    pub async fn status_where(
        &self,
        slot: u8,
        what: &'static str,
        wanted: impl Fn(&CustodyStatus) -> bool,
    ) -> Result<CustodyStatus, DemoError> {
        let until = Instant::now() + PATIENCE;
        loop {
            // A session ends after some questions, and a node that lost its quorum for a moment refuses.
            let seen = match self.dial(1, slot).await {
                Ok(mut talk) => match talk.status().await {
                    Some(status) if wanted(&status) => return Ok(status),
                    other => format!("{other:?}"),
                },
                Err(refused) => refused.to_string(),
            };
            if Instant::now() >= until {
                return Err(self.waited(what, seen));
            }
            tokio::time::sleep(PAUSE * 2).await;
        }
    }

    /// Every custodian takes the dealing that waits; returns once it is active and on the disks of these slots.
    pub async fn accept_shares(&mut self, slot: u8, on: &[u8]) -> Result<(), DemoError> {
        let until = Instant::now() + PATIENCE;
        let waiting = loop {
            let waits = self.status_where(slot, "a dealing", |status| status.waiting.0 > 0).await?;
            // One of an epoch before is dropped for the next at any moment.
            if let Some((dealt, shares)) = self.acknowledge_all(slot).await? {
                (self.dealt, self.former) = (dealt, std::mem::replace(&mut self.shares, shares));
                break waits.waiting;
            }
            if Instant::now() >= until {
                return Err(self.waited("a dealing that is acknowledged", format!("{waits:?}")));
            }
        };
        self.status_where(slot, "the activation", |status| status.active >= waiting).await?;
        for slot in on {
            self.recovery_file(*slot, waiting).await?;
        }
        Ok(())
    }

    async fn acknowledge_all(&self, slot: u8) -> Result<Option<(Vec<Dealt>, Vec<GoodShare>)>, DemoError> {
        let (mut all, mut shares) = (Vec::new(), Vec::new());
        for (number, holder) in (1..).zip(&self.holders) {
            let mut talk = self.dial(number, slot).await?;
            let Some(dealt) = talk.pull().await else { return Ok(None) };
            shares.push(holder.open(&self.cluster_id(), &dealt).map_err(broken)?);
            let answer = talk.acknowledge(Digest(dealt.manifest.manifest.digest())).await;
            if !matches!(answer, CustodianAnswer::Noted(_)) {
                return Ok(None);
            }
            all.push(dealt);
        }
        Ok(Some((all, shares)))
    }

    async fn recovery_file(&mut self, slot: u8, wanted: CustodyEpoch) -> Result<(), DemoError> {
        let data = self.cluster.data_folder(slot);
        let written = |_: &mut Self| match blob_file::read(&data) {
            Ok(Some(file)) if file.manifest.manifest.custody_epoch >= wanted => Ok(()),
            Ok(other) => Err(format!("node {slot}: {:?}", other.map(|file| file.manifest.manifest.custody_epoch))),
            Err(fault) => Err(fault.to_string()),
        };
        self.until("a recovery file of the dealing", written).await
    }

    /// Every process dies at once.
    pub fn kill_all(&mut self) {
        SLOTS.into_iter().for_each(|slot| self.cluster.kill(slot));
    }

    /// Puts another disk under the node of `slot`, which does not run; none is an empty one.
    pub fn replace_disk(&self, slot: u8, with: Option<&Path>) -> std::io::Result<()> {
        let data = self.cluster.data_folder(slot);
        std::fs::remove_dir_all(&data)?;
        with.map_or(Ok(()), |with| copy_disk(with, &data))
    }

    /// The folder through which a recovering node and people hand papers to each other.
    pub fn papers(&self, slot: u8) -> PathBuf {
        self.cluster.data_folder(slot).join("recovery")
    }

    /// Waits for an offer of a new session, and judges it as every custodian would.
    pub async fn offer(&mut self, slot: u8) -> Result<SignedOffer, DemoError> {
        let path = self.papers(slot).join("offer");
        let offered = |ring: &mut Self| {
            let signed = std::fs::read(&path).ok().and_then(|bytes| SignedOffer::decode(&bytes).ok());
            // The offer comes first, and the status that is there until the next one is another session's.
            let told = ring.told(slot)["session"].as_str().map(str::to_owned);
            let new = |signed: &SignedOffer| signed.offer.session != ring.session && told == Some(signed.offer.session.to_string());
            signed.filter(new).ok_or_else(|| format!("nothing new in {}", path.display()))
        };
        let signed = self.until("an offer", offered).await?;
        self.holders[0].judge_offer(&self.cluster_id(), &signed).map_err(broken)?;
        self.session = signed.offer.session;
        Ok(signed)
    }

    /// Puts a custodian's answer into the inbox; `share` is whose share it sends.
    pub fn answer(
        &mut self,
        slot: u8,
        signed: &SignedOffer,
        (number, share): (usize, usize),
        anchor: Option<CustodyAnchor>,
    ) -> std::io::Result<()> {
        let submission = self.holders[number - 1].submission(signed, &self.shares[share - 1], anchor);
        self.submit(slot, &submission)
    }

    /// Puts an answer into the inbox.
    pub fn submit(&mut self, slot: u8, submission: &ShareSubmission) -> std::io::Result<()> {
        self.bring(slot, "answer", &submission.encode())
    }

    /// Puts a custodian's acceptance of a loss into the inbox.
    pub fn accept(&mut self, slot: u8, number: usize, terms: &LossTerms) -> std::io::Result<()> {
        let word = self.holders[number - 1].accepts(&self.cluster_id(), terms);
        self.bring(slot, "accept", &CustodianRequest { number: 1, op: CustodianOp::AcceptLoss(word) }.encode())
    }

    fn bring(&mut self, slot: u8, what: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.papers += 1;
        let inbox = self.papers(slot).join("inbox");
        let path = inbox.join(format!("{}.{what}", self.papers));
        let beside = path.with_extension("part");
        std::fs::write(&beside, bytes)?;
        std::fs::rename(beside, path)
    }

    /// What the recovering node tells people.
    pub fn told(&self, slot: u8) -> Value {
        let text = std::fs::read(self.papers(slot).join("status.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Waits until it tells something.
    pub async fn told_where(&mut self, slot: u8, what: &'static str, wanted: impl Fn(&Value) -> bool) -> Result<Value, DemoError> {
        let look = |ring: &mut Self| {
            let told = ring.told(slot);
            if wanted(&told) { Ok(told) } else { Err(told.to_string()) }
        };
        self.until(what, look).await
    }

    /// Waits until the custodians are asked to accept a loss, and says which.
    pub async fn loss(&mut self, slot: u8) -> Result<LossTerms, DemoError> {
        self.told_where(slot, "the question about a loss", |told| told["step"] == "loss").await?;
        let reply =
            CustodianReply::decode(&std::fs::read(self.papers(slot).join("progress"))?).map_err(|fault| broken(fault.to_string()))?;
        match reply.body {
            CustodianAnswer::Progress(progress) => progress.loss.ok_or_else(|| broken("no loss is asked about")),
            other => Err(broken(format!("no progress: {other:?}"))),
        }
    }

    /// Waits until the process of `slot` has ended, and says how.
    pub async fn ended_with(&mut self, slot: u8) -> Result<i32, DemoError> {
        self.until("a process to end", |ring| ring.cluster.exit_code(slot).ok_or_else(|| "it goes on".to_owned())).await
    }

    /// Waits until the recovery of the newest offer serves or ends.
    pub async fn came_to(&mut self, slot: u8) -> Result<CameTo, DemoError> {
        let session = self.session.to_string();
        let look = |ring: &mut Self| {
            if let Some(code) = ring.cluster.exit_code(slot) {
                return Ok(CameTo::Ended(code));
            }
            let told = ring.told(slot);
            if told["step"] == "serving" && told["session"] == session { Ok(CameTo::Serving) } else { Err(told.to_string()) }
        };
        self.until("the end of a recovery", look).await
    }
}
