//! What disks hold: every life's folder in every data folder, read with the recovered keys (DR3).
//!
//! Decides: which folders are looked at, and that each is read as the life it is named after: a seal names its life, so a folder under another name is
//! refused. A claim is made by this process, with the log key and with its own signature. Of two folders of one life both are read: the rules take the greater.
//! Trusts: `ringwall_consensus::recovery` for what is authentic. Out of scope: choosing. Protocol section 6.2.

use crate::context::Site;
use crate::folders;
use crate::run::replica_options;
use ringwall_channel::NodeSecrets;
use ringwall_consensus::recovery::{Found, Known, OwnedSealJudge, SeenBy, Source, Unfit};
use ringwall_consensus::{Owner, disk::OsDisk};
use ringwall_keys::Keyring;
use ringwall_wire::ids::{Epoch, Incarnation, Nonce, Signature, Slot};
use ringwall_wire::receipt::{TreeHead, landmark_of};
use ringwall_wire::recovery::{DiskClaim, DiskNote};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Lives of one data folder that are looked at, the newest: a node keeps two.
const LIVES: usize = 4;

/// A life's folder that is evidence.
pub(crate) struct Evidence {
    pub(crate) source: Source,
    pub(crate) found: Found,
    pub(crate) claim: DiskClaim,
}

/// A life's folder, and why it is none.
pub(crate) struct Refused {
    pub(crate) folder: PathBuf,
    pub(crate) incarnation: Incarnation,
    pub(crate) why: Unfit,
}

/// The lives in these data folders.
pub(crate) fn lives(data: &[PathBuf]) -> Vec<(PathBuf, Incarnation)> {
    let mut all = Vec::new();
    for folder in data {
        let found = folders::lives(folder).unwrap_or_else(|fault| {
            tracing::warn!(folder = %folder.display(), %fault, "a data folder cannot be listed and is left aside");
            Vec::new()
        });
        let newest = found.iter().rev().take(LIVES);
        all.extend(newest.map(|incarnation| (folders::of(folder, *incarnation), *incarnation)));
    }
    all
}

/// The newest epoch these data folders know by the names of lives in them.
pub(crate) fn newest_epoch(data: &[PathBuf]) -> Option<Epoch> {
    lives(data).into_iter().map(|(_, incarnation)| incarnation.epoch()).max()
}

/// What there seems to be, for people: no key is there to judge it with yet.
pub(crate) fn notes(data: &[PathBuf], slot: Slot, custody_epoch: ringwall_wire::ids::CustodyEpoch) -> Vec<DiskNote> {
    let note = |(folder, incarnation): (PathBuf, Incarnation)| {
        let log = ringwall_consensus::log::recover::recover(&OsDisk, &folder).ok()?;
        Some(DiskNote { slot, incarnation, last: log.last()?, custody_epoch })
    };
    lives(data).into_iter().filter_map(note).take(ringwall_wire::limits::SLOTS).collect()
}

/// Judges seals with these keys.
pub(crate) fn judge_of(ring: Keyring) -> OwnedSealJudge {
    Arc::new(move |words, seal| ring.has_sealed(seal.key_epoch, words, &seal.mac))
}

/// Reads one life's folder; its state is computed in `scratch`, which is made and removed.
pub(crate) async fn read(
    site: &Arc<Site>,
    secrets: &NodeSecrets,
    (session, ring, judge): (Nonce, &Keyring, &OwnedSealJudge),
    (folder, incarnation): (PathBuf, Incarnation),
    scratch: &Path,
) -> Result<Evidence, Refused> {
    let refused = |why| Refused { folder: folder.clone(), incarnation, why };
    let owner = Owner { cluster_id: site.cluster_id, incarnation };
    let source = Source { disk: Arc::new(OsDisk), folder: folder.clone(), owner, backup: None };
    let clean = |fault: io::Error| Unfit::Unreadable(fault);
    remove(scratch).map_err(|fault| refused(clean(fault)))?;
    let options = replica_options(site, scratch.to_path_buf(), incarnation);
    let found = Found::read(&options, &source, &**judge).await.map_err(refused)?;
    let claim = claim(site, secrets, session, ring, &found);
    Ok(Evidence { source, found, claim })
}

/// Removes a folder, if it is there.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

/// What was found, as a claim.
pub(crate) fn claim(site: &Site, secrets: &NodeSecrets, session: Nonce, ring: &Keyring, found: &Found) -> DiskClaim {
    // The place of the life, as its own record has it; a life that is not there is refused before.
    let slot = found.view().member(found.incarnation).map_or(site.slot(), |row| row.cert.slot);
    let mut claim = DiskClaim {
        session,
        slot,
        incarnation: found.incarnation,
        membership: found.membership.clone(),
        membership_at: found.membership_at,
        previous: found.previous.clone(),
        last: found.last,
        committed: found.committed,
        tree: found.tree,
        key_epoch: found.key_epoch,
        alive: false,
        by: secrets.public().sig,
        mac: [0; 32],
        signature: Signature([0; 64]),
    };
    let words = claim.words(&site.cluster_id);
    claim.mac = ring.seal_log(ring.newest(), &words).expect("a ring has its newest key");
    claim.signature = secrets.sign(&words);
    claim
}

/// What the owner of a disk knew to be committed: nobody may take up a log without it.
pub(crate) fn known(evidence: &Evidence) -> io::Result<Option<Known>> {
    let Some(point) = evidence.found.committed_tree()? else { return Ok(None) };
    let landmark = evidence.found.root_at(landmark_of(point.size))?.unwrap_or(point.root);
    let tree = TreeHead { size: point.size, root: point.root, landmark };
    Ok(Some(Known { by: SeenBy::Disk(evidence.found.incarnation), epoch: evidence.found.epoch, tree }))
}
