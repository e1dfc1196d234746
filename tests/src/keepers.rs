//! Custodians of a local cluster: they take their shares, and bring them when every node has died.
//!
//! Decides: patience, and what is waited for. Trusts: nothing; a custodian judges dealings and offers as its program does (`custodian.rs`).
//! Out of scope: custodians that misbehave (`tests/tests/recover.rs`, `tests/tests/dealing.rs`), processes (`ringwall_sim::cluster`).

use crate::custodian::Holder;
use crate::local::{PATIENCE, logs};
use ringwall_keys::custody::GoodShare;
use ringwall_node::custody::blob_file;
use ringwall_sim::cluster::LocalCluster;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodyStatus};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{CustodyEpoch, Digest};
use ringwall_wire::recovery::SignedOffer;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often a state is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Custodians and the shares they took.
pub struct Keepers {
    holders: Vec<Holder>,
    shares: Vec<Option<GoodShare>>,
}

impl Keepers {
    /// So many of them.
    pub fn new(count: u8) -> Self {
        Keepers { holders: (1..=count).map(Holder::numbered).collect(), shares: (0..count).map(|_| None).collect() }
    }

    /// As a founding template names them.
    pub fn public(&self) -> Vec<Custodian> {
        self.holders.iter().map(Holder::public).collect()
    }

    /// Their numbers, from 1.
    pub fn numbers(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.holders.len()
    }

    /// Waits until custody stands as wanted, asking the node of `slot`.
    pub async fn status_where(
        &self,
        cluster: &LocalCluster,
        slot: u8,
        what: &str,
        wanted: impl Fn(&CustodyStatus) -> bool,
    ) -> Result<CustodyStatus, String> {
        let until = Instant::now() + PATIENCE;
        let mut seen = String::from("nothing");
        while Instant::now() < until {
            // A session ends after some questions, and a node that lost its quorum for a moment refuses.
            match self.holders[0].dial(cluster.card().genesis.cluster_id(), cluster.address(slot)).await {
                Ok(mut talk) => match talk.status().await {
                    Some(status) if wanted(&status) => return Ok(status),
                    other => seen = format!("{other:?}"),
                },
                Err(refusal) => seen = format!("{refusal:?}"),
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("waited {} s for {what}; last seen: {seen}\n{}", PATIENCE.as_secs(), logs(cluster)))
    }

    /// Waits for a dealing that is to be acknowledged.
    pub async fn dealing(&self, cluster: &LocalCluster, slot: u8) -> Result<CustodyEpoch, String> {
        Ok(self.status_where(cluster, slot, "a dealing", |status| status.waiting.0 > 0).await?.waiting)
    }

    /// Custodian `number` takes its share and acknowledges it.
    pub async fn acknowledge(&mut self, cluster: &LocalCluster, slot: u8, number: usize) -> Result<(), String> {
        let (holder, cluster_id) = (&self.holders[number - 1], cluster.card().genesis.cluster_id());
        let mut talk = holder.dial(cluster_id, cluster.address(slot)).await.map_err(|refusal| format!("{refusal:?}"))?;
        let dealt = talk.pull().await.ok_or("no dealing names this custodian")?;
        let share = holder.open(&cluster_id, &dealt)?;
        match talk.acknowledge(Digest(dealt.manifest.manifest.digest())).await {
            CustodianAnswer::Noted(_) => {
                self.shares[number - 1] = Some(share);
                Ok(())
            }
            other => Err(format!("custodian {number} is told {other:?}\n{}", logs(cluster))),
        }
    }

    /// Everybody takes the dealing that waits; returns once every disk can be recovered from with it.
    pub async fn accept(&mut self, cluster: &LocalCluster, slot: u8) -> Result<(), String> {
        let waits = self.dealing(cluster, slot).await?;
        for number in self.numbers() {
            self.acknowledge(cluster, slot, number).await?;
        }
        for slot in cluster.slots() {
            let folder = cluster.data_folder(slot);
            let written = || blob_file::read(&folder).ok().flatten().is_some_and(|file| file.manifest.manifest.custody_epoch >= waits);
            wait(cluster, &format!("the recovery file of node {slot}"), || written().then_some(())).await?;
        }
        Ok(())
    }

    /// Waits for the offer of a recovering node, and judges it.
    pub async fn offer(&self, cluster: &LocalCluster, slot: u8) -> Result<SignedOffer, String> {
        let path = papers(cluster, slot).join("offer");
        let read = || std::fs::read(&path).ok().and_then(|bytes| SignedOffer::decode(&bytes).ok());
        let signed = wait(cluster, "an offer", read).await?;
        self.holders[0].judge_offer(&cluster.card().genesis.cluster_id(), &signed)?;
        Ok(signed)
    }

    /// Puts the share of custodian `number` into the inbox of the node that offers.
    pub fn submit(&self, cluster: &LocalCluster, slot: u8, signed: &SignedOffer, number: usize) -> Result<(), String> {
        let share = self.shares[number - 1].as_ref().ok_or("this custodian has no share")?;
        let submission = self.holders[number - 1].submission(signed, share, None);
        let inbox = papers(cluster, slot).join("inbox");
        let (beside, path) = (inbox.join(format!("{number}.part")), inbox.join(format!("{number}.answer")));
        let put = std::fs::write(&beside, submission.encode()).and_then(|()| std::fs::rename(beside, path));
        put.map_err(|fault| format!("the inbox: {fault}"))
    }

    /// Waits until a recovering node tells what is wanted.
    pub async fn told_where(
        &self,
        cluster: &LocalCluster,
        slot: u8,
        what: &str,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<serde_json::Value, String> {
        let path = papers(cluster, slot).join("status.json");
        let told = || {
            let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
            wanted(&told).then_some(told)
        };
        wait(cluster, what, told).await
    }
}

/// The folder through which a recovering node is spoken to.
fn papers(cluster: &LocalCluster, slot: u8) -> PathBuf {
    cluster.data_folder(slot).join("recovery")
}

async fn wait<T>(cluster: &LocalCluster, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= until {
            return Err(format!("waited {} s for {what}\n{}", PATIENCE.as_secs(), logs(cluster)));
        }
        tokio::time::sleep(LOOK).await;
    }
}
