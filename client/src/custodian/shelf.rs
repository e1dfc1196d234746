//! What stands in a custodian's folder, by cluster and dealing, and how it is found again.
//!
//! Decides: names of files, and that a dealing is kept by the hash of its manifest: one that takes the place of another never overwrites it, for nobody here
//! knows which of the two the cluster made active. A share is kept sealed to the custodian's own key and never in the clear.
//! Trusts: the folder to be the custodian's own. Out of scope: judging what is kept. docs/formats.md, "Files of a custodian".

use super::error::CustodianError;
use super::home::Home;
use super::journal::Journal;
use super::locked::{LOCKED_FILE_BYTES, decode};
use super::orders::ORDERS_MOST;
use crate::card::CARD_FILE_BYTES;
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::custodian::Dealt;
use ringwall_wire::custody::{CustodiansOrder, CustodyManifest, ShareAck, ShareEnvelope, SignedManifest};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Digest, Nonce};
use ringwall_wire::keeping::{DealingName, JournalEntry, JournalEvent, KeptAnchor, LockedFile, LockedKind};
use ringwall_wire::limits::{CUSTODIAN_MESSAGE_BYTES, EXCHANGE_BYTES};
use ringwall_wire::recovery::ShareSubmission;
use std::path::Path;

const KEYS: &str = "keys";
const CLUSTERS: &str = "clusters";
/// Dealings of one cluster that are looked through: one every few weeks for a decade.
const DEALINGS_MOST: usize = 1_024;

/// The folder and its journal.
#[derive(Debug)]
pub struct Shelf {
    /// The folder.
    pub home: Home,
    /// The journal.
    pub journal: Journal,
}

/// One dealing, as it is kept.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its name.
    pub name: DealingName,
    /// What was dealt.
    pub manifest: SignedManifest,
    /// The custodian's share, sealed to its keys.
    pub envelope: ShareEnvelope,
    /// The dealer's evidence; none where the share came back from paper.
    pub exchange: Option<Vec<u8>>,
    /// The acknowledgement, once it was made.
    pub ack: Option<ShareAck>,
}

/// The name of a manifest's dealing.
pub fn name_of(manifest: &CustodyManifest) -> DealingName {
    DealingName { cluster_id: manifest.cluster_id, custody_epoch: manifest.custody_epoch, manifest: Digest(manifest.digest()) }
}

fn cluster_folder(cluster_id: &ClusterId) -> String {
    format!("{CLUSTERS}/{cluster_id}")
}

fn dealing_folder(name: &DealingName) -> String {
    let manifest = name.manifest.to_string();
    format!("{}/dealings/{:08}-{manifest:.32}", cluster_folder(&name.cluster_id), name.custody_epoch.0)
}

impl Shelf {
    /// Opens a folder that has keys.
    pub fn open(path: &Path) -> Result<Self, CustodianError> {
        let home = Home::open(path)?;
        if !home.has(KEYS) {
            return Err(super::home::HomeError::Missing { path: path.into() }.into());
        }
        let journal = Journal::read(&home)?;
        Ok(Shelf { home, journal })
    }

    /// Makes a folder with these keys; one that has keys is not touched.
    pub fn create(path: &Path, keys: &LockedFile, at_s: u64, id: ringwall_wire::ids::CustodianId) -> Result<Self, CustodianError> {
        let mut shelf = Self::vacant(path)?;
        shelf.home.replace(KEYS, &keys.encode())?;
        shelf.note(at_s, JournalEvent::Made(id))?;
        Ok(shelf)
    }

    /// A folder without keys, made where there is none.
    pub fn vacant(path: &Path) -> Result<Self, CustodianError> {
        let home = Home::create(path)?;
        if home.has(KEYS) {
            return Err(super::home::HomeError::Exists { path: path.into() }.into());
        }
        let journal = Journal::read(&home)?;
        Ok(Shelf { home, journal })
    }

    /// The locked keys.
    pub fn keys(&self) -> Result<LockedFile, CustodianError> {
        let missing = || super::home::HomeError::Missing { path: self.home.path().into() };
        let bytes = self.home.read(KEYS, LOCKED_FILE_BYTES)?.ok_or_else(missing)?;
        Ok(decode(&bytes, LockedKind::Keys)?)
    }

    /// Puts the same keys in place, locked in another way.
    pub fn relock(&mut self, keys: &LockedFile, at_s: u64) -> Result<(), CustodianError> {
        self.home.replace(KEYS, &keys.encode())?;
        self.note(at_s, JournalEvent::Relocked)
    }

    /// Adds to the journal.
    pub fn note(&mut self, at_s: u64, event: JournalEvent) -> Result<(), CustodianError> {
        Ok(self.journal.add(&self.home, at_s, event)?)
    }

    /// When something was noted first.
    pub fn noted(&self, event: &JournalEvent) -> Option<u64> {
        self.journal.entries().iter().find(|entry| entry.event == *event).map(|entry| entry.at_s)
    }

    /// The number of the newest entry that says that this dealing was taken in.
    pub fn pulled_at(&self, name: &DealingName) -> Option<u64> {
        let is_it = |entry: &&JournalEntry| entry.event == JournalEvent::Pulled(*name);
        self.journal.entries().iter().rev().find(is_it).map(|entry| entry.number)
    }

    /// Notes that a dealing was taken in, unless it was the last one that was.
    pub fn note_pulled(&mut self, at_s: u64, name: DealingName) -> Result<(), CustodianError> {
        let last = self.journal.entries().iter().rev().find(|entry| matches!(entry.event, JournalEvent::Pulled(_)));
        match last {
            Some(entry) if entry.event == JournalEvent::Pulled(name) => Ok(()),
            _ => self.note(at_s, JournalEvent::Pulled(name)),
        }
    }

    /// Adds to the journal, unless it is there already: a run that was cut off behind it is repeated.
    pub fn note_once(&mut self, at_s: u64, event: JournalEvent) -> Result<(), CustodianError> {
        match self.noted(&event) {
            Some(_) => Ok(()),
            None => self.note(at_s, event),
        }
    }

    /// Clusters that are kept.
    pub fn clusters(&self) -> Result<Vec<ClusterId>, CustodianError> {
        Ok(self.home.folders(CLUSTERS)?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The one cluster that is meant: the one that is named, or the only one.
    pub fn cluster(&self, named: Option<ClusterId>) -> Result<ClusterId, CustodianError> {
        let kept = self.clusters()?;
        match (named, kept.as_slice()) {
            (Some(named), _) if kept.contains(&named) => Ok(named),
            (Some(named), _) => Err(CustodianError::UnknownCluster { named }),
            (None, [only]) => Ok(*only),
            (None, []) => Err(CustodianError::NoCluster),
            (None, _) => Err(CustodianError::WhichCluster { kept }),
        }
    }

    /// Keeps a cluster's card: the first one pins the cluster.
    pub fn pin(&self, card: &ClusterCard) -> Result<(), CustodianError> {
        let name = format!("{}/card", cluster_folder(&card.genesis.cluster_id()));
        Ok(self.home.keep(&name, &card.encode())?)
    }

    /// A kept card.
    pub fn card(&self, cluster_id: &ClusterId) -> Result<ClusterCard, CustodianError> {
        let name = format!("{}/card", cluster_folder(cluster_id));
        let unknown = CustodianError::UnknownCluster { named: *cluster_id };
        let card: ClusterCard = self.message(&name, CARD_FILE_BYTES)?.ok_or(unknown)?;
        match card.pinned() {
            Ok(pinned) if pinned == *cluster_id => Ok(card),
            _ => Err(self.damaged(&name, DecodeError::Illegal { what: "ClusterCard" })),
        }
    }

    /// How far the log was seen.
    pub fn anchor(&self, cluster_id: &ClusterId) -> Result<Option<KeptAnchor>, CustodianError> {
        self.message(&format!("{}/anchor", cluster_folder(cluster_id)), EXCHANGE_BYTES + 8 * 1024)
    }

    /// Keeps how far the log was seen.
    pub fn keep_anchor(&self, anchor: &KeptAnchor) -> Result<(), CustodianError> {
        let name = format!("{}/anchor", cluster_folder(&anchor.anchor.head.cluster_id));
        Ok(self.home.keep(&name, &anchor.encode())?)
    }

    /// Orders of the governors that are kept, in no particular order.
    pub fn orders(&self, cluster_id: &ClusterId) -> Result<Vec<CustodiansOrder>, CustodianError> {
        let folder = format!("{}/orders", cluster_folder(cluster_id));
        let mut found = Vec::new();
        for name in self.home.folders(&folder)?.into_iter().take(ORDERS_MOST) {
            found.extend(self.message(&format!("{folder}/{name}/order"), CUSTODIAN_MESSAGE_BYTES)?);
        }
        Ok(found)
    }

    /// Keeps an order of the governors that was judged.
    pub fn keep_order(&self, order: &CustodiansOrder) -> Result<(), CustodianError> {
        let (cluster, digest) = (cluster_folder(&order.cluster_id), Digest(order.digest()).to_string());
        Ok(self.home.keep(&format!("{cluster}/orders/{digest:.32}/order"), &order.encode())?)
    }

    /// Keeps a dealing as it was given. Judging it is another step.
    pub fn keep_dealt(&self, dealt: &Dealt) -> Result<DealingName, CustodianError> {
        let name = name_of(&dealt.manifest.manifest);
        self.home.keep(&format!("{}/dealt", dealing_folder(&name)), &dealt.encode())?;
        Ok(name)
    }

    /// Keeps a share that came back from paper, sealed to the custodian's keys.
    pub fn keep_returned(&self, manifest: &SignedManifest, envelope: &ShareEnvelope) -> Result<DealingName, CustodianError> {
        let name = name_of(&manifest.manifest);
        // The manifest alone is no share: whoever looks finds both or nothing.
        self.home.keep(&format!("{}/manifest", dealing_folder(&name)), &manifest.encode())?;
        self.home.keep(&format!("{}/envelope", dealing_folder(&name)), &envelope.encode())?;
        Ok(name)
    }

    /// Keeps an acknowledgement: from now on the share is held.
    pub fn keep_ack(&self, name: &DealingName, ack: &ShareAck) -> Result<(), CustodianError> {
        Ok(self.home.keep(&format!("{}/ack", dealing_folder(name)), &ack.encode())?)
    }

    /// One dealing.
    pub fn held(&self, name: &DealingName) -> Result<Option<Held>, CustodianError> {
        self.held_in(&dealing_folder(name))
    }

    /// Every dealing of a cluster that is kept, the oldest first.
    pub fn all_held(&self, cluster_id: &ClusterId) -> Result<Vec<Held>, CustodianError> {
        let folder = format!("{}/dealings", cluster_folder(cluster_id));
        let mut found = Vec::new();
        for name in self.home.folders(&folder)?.into_iter().take(DEALINGS_MOST) {
            found.extend(self.held_in(&format!("{folder}/{name}"))?);
        }
        Ok(found)
    }

    /// The newest dealing that was accepted, or that came back from paper.
    pub fn newest_accepted(&self, cluster_id: &ClusterId) -> Result<Held, CustodianError> {
        let mut accepted: Vec<Held> =
            self.all_held(cluster_id)?.into_iter().filter(|held| held.ack.is_some() || held.exchange.is_none()).collect();
        accepted.sort_by_key(|held| held.name.custody_epoch);
        accepted.pop().ok_or(CustodianError::NothingAccepted { cluster_id: *cluster_id })
    }

    /// A released submission, by its session.
    pub fn submission(&self, cluster_id: &ClusterId, session: &Nonce) -> Result<Option<ShareSubmission>, CustodianError> {
        self.message(&submission_name(cluster_id, session), EXCHANGE_BYTES + 16 * 1024)
    }

    /// Keeps a released submission.
    pub fn keep_submission(&self, cluster_id: &ClusterId, session: &Nonce, submission: &ShareSubmission) -> Result<(), CustodianError> {
        Ok(self.home.replace(&submission_name(cluster_id, session), &submission.encode())?)
    }

    fn held_in(&self, folder: &str) -> Result<Option<Held>, CustodianError> {
        let dealt: Option<Dealt> = self.message(&format!("{folder}/dealt"), CUSTODIAN_MESSAGE_BYTES)?;
        let (manifest, envelope, exchange) = match dealt {
            Some(dealt) => (dealt.manifest, dealt.envelope, Some(dealt.exchange.into_vec())),
            None => {
                let manifest: Option<SignedManifest> = self.message(&format!("{folder}/manifest"), CUSTODIAN_MESSAGE_BYTES)?;
                let envelope: Option<ShareEnvelope> = self.message(&format!("{folder}/envelope"), CUSTODIAN_MESSAGE_BYTES)?;
                let (Some(manifest), Some(envelope)) = (manifest, envelope) else { return Ok(None) };
                (manifest, envelope, None)
            }
        };
        let name = name_of(&manifest.manifest);
        let ack = self.message(&format!("{folder}/ack"), CUSTODIAN_MESSAGE_BYTES)?;
        match dealing_folder(&name) == folder {
            true => Ok(Some(Held { name, manifest, envelope, exchange, ack })),
            false => Err(self.damaged(&format!("{folder}/dealt"), DecodeError::Illegal { what: "manifest" })),
        }
    }

    fn message<T: Message>(&self, name: &str, most: usize) -> Result<Option<T>, CustodianError> {
        let Some(bytes) = self.home.read(name, most)? else { return Ok(None) };
        T::decode(&bytes).map(Some).map_err(|source| self.damaged(name, source))
    }

    fn damaged(&self, name: &str, source: DecodeError) -> CustodianError {
        CustodianError::Damaged { path: self.home.place(name), source }
    }
}

fn submission_name(cluster_id: &ClusterId, session: &Nonce) -> String {
    format!("{}/submissions/{session}", cluster_folder(cluster_id))
}

/// The shares of one dealing for people: `dealing 3 of cluster 0123456789abcdef`.
pub fn words(cluster_id: &ClusterId, custody_epoch: CustodyEpoch) -> String {
    format!("dealing {custody_epoch} of cluster {:.16}", cluster_id.to_string())
}
