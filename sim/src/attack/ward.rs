//! The cluster with custodians that attacks on custody and recovery share, and what its host does to it again and again: everything dies, disks are put back, one
//! node recovers. The demo for browsers has its cluster from here as well.
//!
//! Decides: each attack leaves something a later one can begin with: [`Ward::ready`] brings it up again, with as little as is needed. A cluster that was
//! recovered is one voter until [`Ward::whole`] starts the other nodes.
//! Trusts: `guarded` to carry papers. Out of scope: what is tried (`worlds.rs`, `shares.rs`, `returning.rs`). Protocol section 6.2.

use crate::cluster::{Launch, LocalOptions};
use crate::demo::DemoError;
use crate::guarded::{CameTo, Guarded, SLOTS, copy_disk, disks};
use ringwall_client::custodian::CustodianError;
use ringwall_client::custodian::ceremony::{accept, pull, release, verify, weigh};
use ringwall_client::custodian::dealing::Judge;
use ringwall_client::custodian::keys::CustodianKeys;
use ringwall_client::custodian::shelf::Shelf;
use ringwall_client::{Client, Credential};
use ringwall_wire::bounded::Text;
use ringwall_wire::custodian::Dealt;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::recovery::{CustodyAnchor, ShareSubmission, SignedOffer};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The slot whose node recovers.
pub(crate) const FIRST: u8 = 1;
/// Seconds from an erasure to the rotation that follows it; on their own, master keys are as good as never rotated.
const ROTATE_S: (u32, u32) = (1_000_000, 1);

/// The cluster, and how it stands.
pub(crate) struct Ward {
    pub(crate) guarded: Guarded,
    folder: PathBuf,
    copies: u32,
    /// All three vote.
    whole: bool,
    /// Custodians hold shares of the active dealing.
    held: bool,
    /// Nobody serves.
    dead: bool,
}

/// Who answers an offer with which anchor, by number.
pub(crate) type Answering = [(usize, Option<CustodyAnchor>)];

impl Ward {
    /// Starts it; all three vote and all custodians hold their shares.
    pub(crate) async fn start(folder: &Path, launch: Launch, options: LocalOptions) -> Result<Self, DemoError> {
        let options = LocalOptions { rotate_s: Some(ROTATE_S), ..options };
        let guarded = Guarded::start(folder, launch, options)?;
        let mut ward = Ward { guarded, folder: folder.to_owned(), copies: 0, whole: true, held: false, dead: false };
        ward.guarded.voters().await?;
        ward.hold().await?;
        Ok(ward)
    }

    /// Slots whose nodes run.
    pub(crate) fn running(&self) -> &'static [u8] {
        if self.whole { &SLOTS } else { &[FIRST] }
    }

    /// It serves, by one node at least, and custodians hold the shares of what is active.
    pub(crate) async fn ready(&mut self) -> Result<(), DemoError> {
        if self.dead {
            let others = self.others();
            match self.recovers(&others, &[(1, None), (2, None)]).await? {
                CameTo::Serving => {}
                CameTo::Ended(code) => return Err(DemoError::Broken(format!("no recovery: code {code}\n{}", self.guarded.logs()))),
            }
        }
        self.hold().await
    }

    /// The same by all three nodes.
    pub(crate) async fn whole(&mut self) -> Result<(), DemoError> {
        self.ready().await?;
        if !self.whole {
            for slot in &SLOTS[1..] {
                self.guarded.cluster.restart(*slot)?;
            }
            self.guarded.voters().await?;
            self.whole = true;
        }
        Ok(())
    }

    async fn hold(&mut self) -> Result<(), DemoError> {
        if !self.held {
            self.guarded.accept_shares(FIRST, self.running()).await?;
            self.held = true;
        }
        Ok(())
    }

    /// Every process dies at once.
    pub(crate) fn kill_all(&mut self) {
        self.guarded.kill_all();
        self.dead = true;
    }

    /// The data folders of the other nodes.
    pub(crate) fn others(&self) -> Vec<PathBuf> {
        SLOTS.into_iter().filter(|slot| *slot != FIRST).map(|slot| self.guarded.cluster.data_folder(slot)).collect()
    }

    /// Copies of all disks as they are now, by slot.
    pub(crate) fn copy_all(&mut self) -> Result<Vec<PathBuf>, DemoError> {
        self.copies += 1;
        let mut copies = Vec::new();
        for slot in SLOTS {
            let to = self.folder.join(format!("copy-{}-of-{slot}", self.copies));
            copy_disk(&self.guarded.cluster.data_folder(slot), &to)?;
            copies.push(to);
        }
        Ok(copies)
    }

    /// Puts these copies back under the nodes, which do not run.
    pub(crate) fn put_back(&self, copies: &[PathBuf]) -> Result<(), DemoError> {
        for (slot, copy) in SLOTS.into_iter().zip(copies) {
            self.guarded.replace_disk(slot, Some(copy))?;
        }
        Ok(())
    }

    /// Starts a recovery in the first slot, over its own disk and these; gives the offer.
    pub(crate) async fn offers(&mut self, others: &[PathBuf]) -> Result<SignedOffer, DemoError> {
        self.kill_all();
        self.guarded.cluster.recover(FIRST, &disks(others))?;
        self.guarded.offer(FIRST).await
    }

    /// The same, and these custodians answer; what it came to.
    pub(crate) async fn recovers(&mut self, others: &[PathBuf], answering: &Answering) -> Result<CameTo, DemoError> {
        let offer = self.offers(others).await?;
        for (number, anchor) in answering {
            self.guarded.answer(FIRST, &offer, (*number, *number), anchor.clone())?;
        }
        self.came_to().await
    }

    /// What the recovery under way comes to.
    pub(crate) async fn came_to(&mut self) -> Result<CameTo, DemoError> {
        let came_to = self.guarded.came_to(FIRST).await?;
        self.dead = came_to != CameTo::Serving;
        if came_to == CameTo::Serving {
            (self.whole, self.held) = (false, false);
            // It says so before its door is open: a client waits for that.
            Client::connect(self.guarded.options(&Credential::generate(), &[FIRST])?).await?.close().await;
        }
        Ok(came_to)
    }
}

/// The custodian's own program, without its questions: everything it would do between them.
pub(crate) struct Program {
    shelf: Shelf,
    keys: CustodianKeys,
    card: ClusterCard,
}

/// Seconds since 1970, as a custodian's machine has them.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Program {
    /// A folder for the custodian with these seeds, and the card it was given.
    pub(crate) fn new(folder: &Path, name: &str, seeds: &[u8; 64], card: &ClusterCard) -> Result<Self, CustodianError> {
        let keys = CustodianKeys::from_seeds(Text::new(name).unwrap_or_default(), seeds);
        let shelf = Shelf::vacant(folder)?;
        shelf.pin(card)?;
        Ok(Program { shelf, keys, card: card.clone() })
    }

    /// Takes a dealing in, judges it and acknowledges it.
    pub(crate) fn accepts(&mut self, dealt: &Dealt) -> Result<(), CustodianError> {
        let (anchors, now_s) = (crate::anchors(), now_s());
        let name = pull(&mut self.shelf, &self.card, dealt, now_s)?;
        let nothing = CustodianError::NothingPulled { cluster_id: name.cluster_id };
        let held = self.shelf.held(&name)?.ok_or(nothing)?;
        let judge = Judge { card: &self.card, anchors: &anchors, now_s };
        let verified = verify(&self.shelf, &held, &judge, &self.keys)?;
        accept(&mut self.shelf, &verified, &self.keys, now_s).map(drop)
    }

    /// Judges an offer and answers it with the share; `reason` is what it is told of a second one.
    pub(crate) fn answers(&mut self, offer: &SignedOffer, reason: Option<&str>) -> Result<ShareSubmission, CustodianError> {
        let (anchors, now_s) = (crate::anchors(), now_s());
        let judge = Judge { card: &self.card, anchors: &anchors, now_s };
        let request = weigh(&self.shelf, &judge, offer, "a node that recovers", None)?;
        let reason = reason.map(|reason| Text::new(reason).unwrap_or_default());
        release(&mut self.shelf, &request, &self.keys, reason.as_ref(), now_s)
    }
}
