//! Backups that were brought to a recovery: claims that are nobody's disk.
//!
//! Decides: a backup counts if a member of this cluster signed its head, of this very snapshot, by the evidence beside it (as of its time), and the state it gives
//! is of that epoch, position and log tree. Its claim is made under a number no life has: it counts in no majority, and is taken up only where all custodians
//! accept the loss. What it holds was committed, so its end is held against every other choice as a disk's is.
//! Trusts: the roots and the pinned cluster. Out of scope: choosing (`ringwall_consensus::recovery`). Protocol sections 6.2 and 9.1.

use crate::context::Site;
use crate::recover::disks::{self, Evidence, Refused};
use crate::recover::heads;
use crate::run::replica_options;
use ringwall_channel::NodeSecrets;
use ringwall_consensus::Owner;
use ringwall_consensus::disk::OsDisk;
use ringwall_consensus::recovery::{BackedUp, Found, OwnedSealJudge, SeenBy, Source, Unfit, of_backup};
use ringwall_keys::Keyring;
use ringwall_wire::backup::{BACKUP_MAGIC, BackupProof};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Epoch, Nonce};
use ringwall_wire::limits::{BACKUP_PROOF_BYTES, BACKUP_STATE_BYTES};
use ringwall_wire::receipt::ReceiptHead;
use ringwall_wire::recovery::CustodyAnchor;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes in front of the proof: magic and length.
const FRONT_BYTES: usize = 8;

/// Reads a backup; its state is computed in `scratch`, which is made and removed with the others.
pub(crate) async fn read(
    site: &Arc<Site>,
    secrets: &NodeSecrets,
    (session, ring, judge): (Nonce, &Keyring, &OwnedSealJudge),
    path: PathBuf,
    scratch: &Path,
) -> Result<Evidence, Refused> {
    let refused = |why| Refused { folder: path.clone(), incarnation: of_backup(Epoch(0)), why };
    let (source, head) = open(site, &path).map_err(|why| refused(Unfit::Backup(why)))?;
    disks::remove(scratch).map_err(|fault| refused(Unfit::Unreadable(fault)))?;
    let options = replica_options(site, scratch.to_path_buf(), source.owner.incarnation);
    let found = Found::read(&options, &source, &**judge).await.map_err(refused)?;
    let said = (head.epoch, head.index, head.term, head.tree);
    if (found.epoch, found.last.index, found.last.term, found.tree) != said {
        return Err(refused(Unfit::Backup("its state is of another moment than the one that was signed".into())));
    }
    let claim = disks::claim(site, secrets, session, ring, &found);
    Ok(Evidence { source, found, claim })
}

/// Judges what stands before the snapshot.
fn open(site: &Site, path: &Path) -> Result<(Source, ReceiptHead), String> {
    let words = |fault: std::io::Error| fault.to_string();
    let mut file = std::fs::File::open(path).map_err(words)?;
    let mut front = [0; FRONT_BYTES];
    file.read_exact(&mut front).map_err(words)?;
    let [m0, m1, m2, m3, length @ ..] = front;
    let len = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if [m0, m1, m2, m3] != BACKUP_MAGIC || len > BACKUP_PROOF_BYTES {
        return Err("it does not begin as a backup".into());
    }
    let mut proof = vec![0; len];
    file.read_exact(&mut proof).map_err(words)?;
    let BackupProof { made, signer } = BackupProof::decode(&proof).map_err(|fault| fault.to_string())?;
    if !made.is_whole() || made.bytes > BACKUP_STATE_BYTES {
        return Err("what was signed is not of this snapshot".into());
    }
    let anchor = CustodyAnchor { head: made.head, signer };
    heads::judge(site, SeenBy::Paper(0), &anchor)?;
    let head = anchor.head;
    let offset = (FRONT_BYTES as u64).saturating_add(len as u64);
    let owner = Owner { cluster_id: site.cluster_id, incarnation: of_backup(head.epoch) };
    let backup = Some(BackedUp { offset, bytes: made.bytes, state: made.state });
    Ok((Source { disk: Arc::new(OsDisk), folder: path.to_path_buf(), owner, backup }, head))
}
