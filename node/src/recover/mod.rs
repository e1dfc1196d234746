//! Recovery from total outage: one node takes up the newest of the disks that are left, with custodians' shares, and begins a new epoch with it.
//!
//! | file | what it decides |
//! |---|---|
//! | `unseal.rs` | whether this machine's own chip opens the keys, where the policy allows it, and nobody has to be asked |
//! | `dealing.rs`, `earlier.rs`, `offering.rs` | whose shares are wanted: the newest dealing that disks tell of; which session the new one takes the place of; the offer |
//! | `session.rs`, `audit.rs` | which submissions count, and what is told of it; no I/O |
//! | `policy.rs`, `papers.rs` | which policy it goes by, and that the chosen log agrees; the folder through which people and the node hand papers to each other |
//! | `disks.rs`, `backups.rs`, `heads.rs` | what disks and backups hold and what others have seen, as far as it is authentic |
//! | `assist.rs`, `fetch.rs`; `keeper.rs`, `keeping.rs` | a machine that gives its disk over the network or keeps the session, and the node that takes it, goes on, and finishes alone |
//! | `takeup.rs`, `verdict.rs`, `status.rs`, `error.rs` | claims, choice, anchors; the account and the start of the epoch; the new lineage; how it is told, and why it ended |
//!
//! Keys exist in this process from the moment the threshold of shares is in, or the chip opened them; shares, recovery key and session key are wiped then, master keys if it ends.
//! Trusts: evidence, signatures and seals; no folder, no operator's word beyond what to look at. Out of scope: the rules of claims and anchors
//! (`ringwall_consensus::recovery`), drills (`crate::drill`). Protocol section 6.2.

pub(crate) mod assist;
mod audit;
mod backups;
mod dealing;
pub(crate) mod disks;
mod earlier;
mod error;
pub mod fetch;
pub(crate) mod heads;
pub(crate) mod keeper;
pub mod keeping;
mod offering;
pub mod papers;
mod policy;
pub mod session;
pub mod status;
mod takeup;
pub mod unseal;
mod verdict;

use crate::context::{Node, Site};
use crate::join::joiner::OwnEvidence;
use crate::recover::dealing::Dealing;
use crate::recover::keeping::{Keepers, NotGoneOn, Sole};
use crate::recover::offering::{Ground, Offered};
use crate::recover::papers::{Brought, Paper, Papers};
use crate::recover::session::Session;
use crate::recover::status::Standing;
use crate::recover::takeup::{OpenedBy, TakeUp};
use crate::recover::unseal::NotUnsealed;
use ringwall_channel::NodeSecrets;
use ringwall_consensus::recovery::NotChosen;
use ringwall_keys::Keyring;
use ringwall_wire::bounded::Text;
use ringwall_wire::custodian::RecoveryStep;
use ringwall_wire::recovery::{AuditWhat, RecoveryFault};
use ringwall_wire::secret::wash_stack;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

pub use error::RecoverError;
pub(crate) use offering::{session_key, vouch};
pub(crate) use takeup::reason;

/// How often the inbox is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Pause before keepers that do not answer are asked for their word again.
const PAUSE: Duration = Duration::from_secs(1);

/// What the operator says.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Data folders of other nodes, beside this node's own.
    pub disks: Vec<PathBuf>,
    /// Addresses of machines that give theirs.
    pub assist: Vec<String>,
    /// Addresses of machines that keep the session.
    pub keep: Vec<String>,
    /// Whether a session that they keep is given up.
    pub anew: bool,
    /// Why a dealing that opened a recovery before is used again; none refuses that.
    pub again: Option<Text<256>>,
}

/// What the steps of a recovery share.
pub(crate) struct Recovery {
    pub(crate) site: Arc<Site>,
    pub(crate) plan: Plan,
    pub(crate) secrets: Arc<NodeSecrets>,
    pub(crate) papers: Papers,
    pub(crate) session: Session,
    pub(crate) keepers: Keepers,
    /// Whether the chip opened the keys, or why not; for people.
    pub(crate) unseal: String,
}

/// Recovers, and gives the first member of the new epoch; it serves when the caller opens its door.
pub(crate) async fn run(site: &Arc<Site>, own_evidence: &OwnEvidence, plan: &Plan) -> Result<Arc<Node>, RecoverError> {
    let secrets = Arc::new(NodeSecrets::generate(&mut *(site.entropy)()));
    // Before the folder is cleared: where a keeper does not answer, nothing has changed.
    let (mut keepers, kept) = keeping::look(site, &secrets, plan).await?;
    let left = earlier::left(&site.config.data);
    let forgotten = left.as_ref().filter(|_| kept.is_none() && !plan.anew).and_then(|left| {
        let newest = disks::newest_epoch(std::slice::from_ref(&site.config.data));
        left.keepers(&site.cluster_id, newest).iter().find(|keeper| !keepers.is_in(keeper.slot))
    });
    if let Some(keeper) = forgotten {
        return Err(NotGoneOn::Missing { slot: keeper.slot }.into());
    }
    let papers = Papers::open(&site.config.data)?;
    for address in &plan.assist {
        papers.replace(status::FILE, &status::fetching(address))?;
        let fetched = fetch::fetch(site, &papers.root().join(papers::ASSISTED), address).await;
        fetched.map_err(|fault| RecoverError::NotFetched { address: address.clone(), fault })?;
    }
    let folders = data_folders(site, plan, &papers)?;
    policy::learn(site, &folders);
    let dealing = dealing::newest(site, &folders).ok_or(RecoverError::NoDealing)?;
    let ground = Ground { site, secrets: &secrets, dealing: &dealing, folders: &folders };
    let Offered { signed, kem, after } = match &kept {
        Some(kept) => offering::go_on(ground, kept, &mut keepers).await?,
        None => {
            let replaces = left.and_then(|left| left.replaced(site, &dealing.manifest));
            offering::fresh(ground, replaces, &mut keepers).await?
        }
    };
    papers.answers(after.is_some())?;
    papers.offer(&signed)?;
    let manifest = dealing.manifest.clone();
    let mut session = Session::new(signed.offer, manifest, kem, Arc::clone(&secrets), site.now_s());
    if let Some(after) = after {
        session.audit.note(site.now_s(), AuditWhat::WentOn(after));
    }
    let mut recovery = Recovery { site: Arc::clone(site), plan: plan.clone(), secrets, papers, session, keepers, unseal: String::new() };
    recovery.tell(None)?;
    let outcome = recovery.recover(own_evidence, dealing).await;
    if let Err(fault) = &outcome {
        let now_s = site.now_s();
        recovery.session.end(now_s, fault_of(fault));
        recovery.tell(Some(fault.to_string()))?;
    }
    outcome
}

impl Recovery {
    async fn recover(&mut self, own_evidence: &OwnEvidence, dealing: Dealing) -> Result<Arc<Node>, RecoverError> {
        let node = match self.reopen(own_evidence, &dealing).await? {
            Some(node) => node,
            None => self.ask(own_evidence, &dealing).await?,
        };
        self.session.reach(RecoveryStep::Serving);
        self.tell(None)?;
        Ok(node)
    }

    /// By this machine's chip, where it opens the keys and they reach; none where custodians have to be asked.
    async fn reopen(&mut self, own_evidence: &OwnEvidence, dealing: &Dealing) -> Result<Option<Arc<Node>>, RecoverError> {
        let lap = laps();
        let opened = unseal::open(&self.site, dealing).await;
        wash_stack();
        let ring = match opened {
            Ok(ring) => ring,
            Err(NotUnsealed::Never) => {
                self.unseal = NotUnsealed::Never.to_string();
                return Ok(None);
            }
            Err(fault) => {
                self.unseal = fault.to_string();
                warn!(%fault, "recovery: this machine's chip opens nothing");
                return Ok(None);
            }
        };
        self.unseal = format!("this machine's chip opened the master keys, up to generation {}", ring.newest());
        self.session.unsealed(ring.newest(), self.site.now_s());
        self.tell(None)?;
        lap("this machine's chip opened the master keys: no custodian is asked");
        match TakeUp::new(self, own_evidence, (ring, OpenedBy::Chip)).run(&lap).await {
            Ok(node) => {
                lap("the new epoch is on record");
                Ok(Some(node))
            }
            Err(fault) if shares_reach_further(&fault) => {
                self.unseal = fault.to_string();
                warn!(%fault, "recovery: what this machine's chip opened does not reach");
                self.session.reach(RecoveryStep::Shares);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// By the shares of custodians.
    async fn ask(&mut self, own_evidence: &OwnEvidence, dealing: &Dealing) -> Result<Arc<Node>, RecoverError> {
        self.tell(None)?;
        info!(
            session = %self.session.offer().session,
            custody_epoch = %self.session.offer().custody_epoch,
            threshold = self.session.manifest().threshold,
            papers = %self.papers.root().display(),
            "recovery: custodians are asked for their shares: give them `offer` and put their answers into `inbox`"
        );
        self.collect().await?;
        let lap = laps();
        let ring = self.open(dealing)?;
        lap("the shares gave the recovery key, which opened the master keys");
        let node = TakeUp::new(self, own_evidence, (ring, OpenedBy::Custodians)).run(&lap).await?;
        lap("the new epoch is on record");
        Ok(node)
    }

    /// Waits for shares until they are enough.
    async fn collect(&mut self) -> Result<(), RecoverError> {
        let mut leaving = self.site.leaving.subscribe();
        while !self.session.is_enough() {
            self.look()?;
            self.ask_keepers().await?;
            if self.session.is_over() {
                return Err(RecoverError::Ended(RecoveryFault::TooManyRefused));
            }
            if self.session.is_enough() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = leaving.wait_for(|leaving| *leaving) => return Err(RecoverError::Ended(RecoveryFault::Ended)),
            }
        }
        Ok(())
    }

    /// Whether keepers still have the session for this process, where it is time to ask; told when that changes.
    async fn ask_keepers(&mut self) -> Result<(), RecoverError> {
        if !self.keepers.is_due() {
            return Ok(());
        }
        let (told, session) = (self.keepers.told(), self.session.offer().session);
        self.keepers.all_keep(&self.site, &self.secrets, &session).await?;
        if self.keepers.told() != told {
            self.tell(None)?;
        }
        Ok(())
    }

    /// KS5: waits until every keeper has given its word that this process finishes, and no other.
    pub(crate) async fn finish(&mut self) -> Result<Sole, RecoverError> {
        let mut leaving = self.site.leaving.subscribe();
        let session = self.session.offer().session;
        loop {
            if let Some(sole) = self.keepers.sole(&self.site, &self.secrets, &session).await? {
                let keepers = self.keepers.count();
                if keepers > 0 {
                    self.session.audit.note(self.site.now_s(), AuditWhat::Sole(keepers));
                    info!(keepers, "recovery: every keeper gave its word: this process finishes, and no other");
                }
                return Ok(sole);
            }
            self.tell(None)?;
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = leaving.wait_for(|leaving| *leaving) => return Err(RecoverError::Ended(RecoveryFault::Ended)),
            }
        }
    }

    /// Takes in what was put into the inbox; true when something was.
    pub(crate) fn look(&mut self) -> Result<bool, RecoverError> {
        let brought = self.papers.take()?;
        let any = !brought.is_empty();
        for Paper { name: paper, brought } in brought {
            let now_s = self.site.now_s();
            let outcome = match &brought {
                Brought::Share(submission) => self.session.submit(submission, now_s).map(|custodian| (custodian, "a good share is in")),
                Brought::Loss(word) => {
                    let custodian = word.custodian;
                    self.session.accept_loss(word, now_s).map(|()| (custodian, "the loss is accepted"))
                }
                Brought::Nonsense => {
                    self.papers.settle(&paper, None)?;
                    warn!(paper, "recovery: a paper in the inbox is neither a submission nor an acceptance of a loss; it was taken away");
                    continue;
                }
            };
            // What counts is kept for a process that goes on with this session; it is sealed to the session alone.
            let kept = match &brought {
                Brought::Share(submission) if outcome.is_ok() && self.keepers.count() > 0 => Some(submission.as_ref()),
                _ => None,
            };
            self.papers.settle(&paper, kept)?;
            let (have, need) = self.session.count();
            match outcome {
                Ok((custodian, what)) => info!(paper, %custodian, name = %self.name(&custodian), have, need, "recovery: {what}"),
                Err(fault) => warn!(paper, have, need, "recovery: refused: {}", fault.words()),
            }
        }
        if any {
            self.tell(None)?;
        }
        Ok(any)
    }

    fn name(&self, custodian: &ringwall_wire::ids::CustodianId) -> String {
        self.session.manifest().member(custodian).map_or_else(|| "a stranger".into(), |member| member.custodian.name.to_string())
    }

    /// Combines the shares. What was combined is wiped when this returns.
    fn open(&mut self, dealing: &Dealing) -> Result<Keyring, RecoverError> {
        let now_s = self.site.now_s();
        let opened = self.session.open(&dealing.blobs, now_s);
        wash_stack();
        let ring = opened.map_err(|fault| RecoverError::Ended(fault.0))?;
        self.tell(None)?;
        Ok(ring)
    }

    /// Shows how far it is, to custodians and to people.
    pub(crate) fn tell(&self, fault: Option<String>) -> io::Result<()> {
        let progress = self.session.progress();
        let standing = Standing::of(&self.session, &progress, (&self.unseal, self.keepers.told()), fault);
        // First what custodians are sent: whoever reads in the status that they are asked something has the paper that asks it.
        self.papers.progress(progress)?;
        self.papers.replace(status::FILE, &standing.to_bytes())
    }

    /// The data folders that are there now.
    pub(crate) fn data_folders(&self) -> io::Result<Vec<PathBuf>> {
        data_folders(&self.site, &self.plan, &self.papers)
    }
}

fn data_folders(site: &Site, plan: &Plan, papers: &Papers) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![site.config.data.clone()];
    folders.extend(plan.disks.iter().cloned());
    folders.extend(papers.disks()?);
    folders.extend(papers.assisted()?);
    folders.dedup();
    Ok(folders)
}

/// Says what is done, and how long it took since.
fn laps() -> impl Fn(&str) + Sync {
    let since = crate::clock::now();
    move |what: &str| info!(after_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX), "recovery: {what}")
}

/// Whether it failed for want of keys that shares give: no verdict about disks or anchors is asked for twice.
fn shares_reach_further(fault: &RecoverError) -> bool {
    matches!(
        fault,
        RecoverError::OldWrap { .. }
            | RecoverError::ChipForbidden
            | RecoverError::NotChosen(NotChosen::NoClaims)
            | RecoverError::Ended(RecoveryFault::NoSession)
    )
}

fn fault_of(fault: &RecoverError) -> RecoveryFault {
    match fault {
        RecoverError::Ended(fault) | RecoverError::NotSole { why: fault, .. } => *fault,
        RecoverError::Disagrees { verdict, .. } if *verdict == "ROLLBACK_DETECTED" => RecoveryFault::Rollback,
        RecoverError::Disagrees { .. } | RecoverError::NotChosen(NotChosen::Forked { .. }) => RecoveryFault::Fork,
        RecoverError::NotChosen(NotChosen::NoClaims) => RecoveryFault::TooFewClaims,
        RecoverError::NoDealing => RecoveryFault::NoBlob,
        RecoverError::Again { .. } => RecoveryFault::OldEpoch,
        _ => RecoveryFault::Ended,
    }
}

#[cfg(test)]
mod kept_tests;
