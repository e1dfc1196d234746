//! One life's folder, read as evidence: its log as far as it is sealed, its snapshot, and the state both give.
//!
//! Decides: what a disk claims (DR3). The log's last seal must be one that a holder of the master keys made for this very life, and vouches for every frame
//! before it; a snapshot counts by its own seal and is copied behind a keyed hash before anything of it is parsed. State is computed by applying, so
//! that tree and membership are what they were. A folder that is damaged, cut in the middle, or another life's is refused by name. A backup's snapshot counts by
//! the digest that a member signed, which the caller has found.
//! Trusts: the judge of seals. The newest seal is the newest *here*: an older copy of the same disk is as authentic. Out of scope: what counts
//! (`claims.rs`), other people's word (`anchors.rs`). Protocol section 6.2.

use crate::disk::authentic::STREAM_BLOCK_BYTES;
use crate::disk::{Disk, DiskFile, read_exact, write_whole};
use crate::fence::Fence;
use crate::ground::Ground;
use crate::log::recover::{Ending, LastSeal, Recovered, recover_sealed};
use crate::machine::raft::{Machine, Readers};
use crate::machine::view::View;
use crate::options::Options;
use crate::report::OpenError;
use crate::seal::{Owner, SealJudge, read_seal};
use crate::types::{self, Entry, EntryPayload};
use ringwall_wire::codec::DecodeError;
use ringwall_wire::ids::{Digest, Epoch, Incarnation, KeyEpoch};
use ringwall_wire::peer::{LogPosition, Membership};
use ringwall_wire::receipt::{TreeHead, TreePoint};
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes copied at once.
const COPY_BYTES: usize = STREAM_BLOCK_BYTES;

/// The copy of a snapshot, while it is read.
const COPY_NAME: &str = "recovered.tmp";

/// A folder of one life, on any disk.
#[derive(Clone)]
pub struct Source {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The folder.
    pub folder: PathBuf,
    /// Whose it says it is.
    pub owner: Owner,
    /// Where `folder` is no folder but a file of a backup: what the caller found a member to have signed.
    pub backup: Option<BackedUp>,
}

/// The snapshot inside a backup's file, as it was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Where it begins.
    pub offset: u64,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub state: Digest,
}

/// Why a folder is no claim.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The system.
    #[error("it cannot be read: {0}; copy it again, or bring another disk")]
    Unreadable(#[from] io::Error),
    /// Nothing of a log is there.
    #[error("no log is in it; bring the data folder of another node")]
    Empty,
    /// A place in the middle is not what was written.
    #[error("the log is damaged in segment {segment} at byte {at}, with more behind it; bring the disk of another node")]
    Damaged {
        /// Segment.
        segment: u64,
        /// Offset.
        at: u64,
    },
    /// Its owner sealed nothing.
    #[error("nothing in it is sealed: a life of an older version, or no member's log at all")]
    Unsealed,
    /// The seal is nobody's who holds the keys.
    #[error(
        "its last seal (key epoch {key_epoch}) is not one that a holder of the recovered keys made for this life: the log was altered, is another life's, or is older than every recovered key"
    )]
    NotAuthentic {
        /// Which key it names.
        key_epoch: KeyEpoch,
    },
    /// A backup is none.
    #[error("the backup is of no use: {0}; bring another copy of it")]
    Backup(String),
    /// Entries before the log are in no snapshot here.
    #[error("the log begins after entry {purged}, and no sealed snapshot reaches it; bring the disk of another node")]
    NoSnapshot {
        /// Index of the last entry before the log.
        purged: u64,
    },
    /// What was sealed does not fit together.
    #[error("what it holds does not fit together ({0}): a defect; bring the disk of another node and report this")]
    Nonsense(String),
    /// The life is in its own record nowhere.
    #[error("this life was never admitted as far as its own log goes: it has acknowledged nothing and counts for nothing")]
    NotAdmitted,
}

impl From<OpenError> for Unfit {
    fn from(fault: OpenError) -> Self {
        match fault {
            OpenError::Storage(cause) => Unfit::Unreadable(cause),
            fault => Unfit::Unreadable(io::Error::other(fault.to_string())),
        }
    }
}

impl From<DecodeError> for Unfit {
    fn from(fault: DecodeError) -> Self {
        Unfit::Nonsense(fault.to_string())
    }
}

/// What a folder holds.
pub struct Found {
    /// Whose it is.
    pub incarnation: Incarnation,
    /// The epoch its state is in.
    pub epoch: Epoch,
    /// The membership the log ends with.
    pub membership: Membership,
    /// Where that was decided.
    pub membership_at: LogPosition,
    /// The one before, where the log does not know the newest to be committed.
    pub previous: Option<Membership>,
    /// End of the log.
    pub last: LogPosition,
    /// Last index the log knows to be committed.
    pub committed: u64,
    /// Newest master key it is sealed under.
    pub key_epoch: KeyEpoch,
    /// The log tree at the end.
    pub tree: TreeHead,
    readers: Arc<Readers>,
    _machine: Machine,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Found({}, {} entries)", self.incarnation, self.tree.size)
    }
}

impl Found {
    /// Reads a folder. `scratch` names an empty folder the state is computed in, and the charter it is computed by; its sealer is not asked.
    pub async fn read(scratch: &Options, source: &Source, judge: SealJudge<'_>) -> Result<Self, Unfit> {
        let fence = Fence::new();
        let ground = Ground { sealing: None, ..Ground::of(scratch, fence) };
        ground.disk.make_folder(&ground.dir)?;
        let (mut machine, readers) = Machine::create(ground.clone(), scratch.overlay_bytes, scratch.charter())?;
        let revived = revive(&mut machine, &ground, source, judge).await?;
        machine.publish();
        let state = machine.replicated();
        let known = source.backup.is_some() || state.roster.members.contains_key(&source.owner.incarnation);
        let epoch = state.roster.epoch.filter(|_| known);
        let epoch = epoch.ok_or(Unfit::NotAdmitted)?;
        let nowhere = || Unfit::Nonsense("a log without a membership".into());
        let (membership_at, last) =
            (types::positions(state.membership.log_id()).ok_or_else(nowhere)?, types::positions(&state.applied).ok_or_else(nowhere)?);
        Ok(Found {
            incarnation: source.owner.incarnation,
            epoch,
            membership: types::membership_out(state.membership.membership())?,
            membership_at,
            previous: revived.previous.filter(|_| membership_at.index > revived.committed),
            last,
            committed: revived.committed,
            key_epoch: revived.key_epoch,
            tree: state.tree.head(),
            readers,
            _machine: machine,
        })
    }

    /// The state.
    pub fn view(&self) -> View {
        self.readers.view()
    }

    /// Root of its log tree at a size; none where it is larger than this log, or its leaves are not kept.
    pub fn root_at(&self, size: u64) -> io::Result<Option<Digest>> {
        let point = self.view().tree_at(size).map_err(|fault| io::Error::other(fault.to_string()))?;
        Ok(point.map(|point| point.root))
    }

    /// The log tree as far as this log knows it to be committed; none where its leaves are not kept.
    pub fn committed_tree(&self) -> io::Result<Option<TreePoint>> {
        let size = self.committed.saturating_add(1).min(self.tree.size);
        Ok(self.root_at(size)?.map(|root| TreePoint { size, root }))
    }
}

/// What reviving a state gave beside it.
pub(crate) struct Revived {
    pub(crate) committed: u64,
    pub(crate) previous: Option<Membership>,
    pub(crate) key_epoch: KeyEpoch,
}

/// Computes the state a folder holds, in an empty machine.
pub(crate) async fn revive(machine: &mut Machine, ground: &Ground, source: &Source, judge: SealJudge<'_>) -> Result<Revived, Unfit> {
    if let Some(backup) = source.backup {
        return revive_backup(machine, ground, source, backup).await;
    }
    let from = source.clone();
    let reading = ground.done("recover", move || recover_sealed(from.disk.as_ref(), &from.folder, &from.owner));
    let (log, last, unsealed) = reading.await?;
    let LastSeal { words, seal } = match (&log.ending, last) {
        (Ending::Damaged { segment, at }, _) => return Err(Unfit::Damaged { segment: *segment, at: *at }),
        (_, Some(last)) => last,
        (_, None) if unsealed == 0 => return Err(Unfit::Empty),
        (_, None) => return Err(Unfit::Unsealed),
    };
    if !judge(&words, &seal) {
        return Err(Unfit::NotAuthentic { key_epoch: seal.key_epoch });
    }
    if log.last().is_none() {
        return Err(Unfit::Empty);
    }
    let begun = begin(machine, ground, source, &log, judge).await?;
    let entries = log.entries.into_iter().filter(|entry| begun.is_none_or(|begun| entry.at.index > begun));
    let entries: Vec<Entry> = entries.map(types::entry_in).collect::<Result<_, _>>()?;
    let committed = log.committed.map_or(0, |at| at.index).max(begun.unwrap_or(0));
    let previous = replay(machine, &entries).await?;
    Ok(Revived { committed, previous, key_epoch: seal.key_epoch })
}

/// The state of a backup: a snapshot whose digest the caller found to be signed takes the place of one that is sealed, and there is no log behind it.
async fn revive_backup(machine: &mut Machine, ground: &Ground, source: &Source, backup: BackedUp) -> Result<Revived, Unfit> {
    let (from, to) = (source.clone(), ground.clone());
    let copied = move || copy(from.disk.open_to_read(&from.folder)?.as_ref(), &to, (backup.offset, backup.bytes));
    let (file, found) = ground.done("recover", copied).await?;
    if found != backup.state {
        return Err(Unfit::Backup("its snapshot is not the one that was signed".into()));
    }
    machine.begin_from(file).await.map_err(|fault| Unfit::Backup(fault.to_string()))?;
    ground.disk.remove(&ground.dir.join(COPY_NAME))?;
    let state = machine.replicated();
    let applied = types::positions(&state.applied).ok_or_else(|| Unfit::Backup("nothing was applied in it".into()))?;
    // What a snapshot holds was committed.
    Ok(Revived { committed: applied.index, previous: None, key_epoch: state.generations.newest() })
}

/// Applies the entries; gives the membership before the newest one.
async fn replay(machine: &mut Machine, entries: &[Entry]) -> Result<Option<Membership>, Unfit> {
    let nonsense = |fault: io::Error| Unfit::Nonsense(fault.to_string());
    let mut previous = None;
    let mut from = 0;
    for (at, _) in entries.iter().enumerate().filter(|(_, entry)| matches!(entry.payload, EntryPayload::Membership(_))) {
        machine.replay(entries.get(from..at).unwrap_or_default()).await.map_err(nonsense)?;
        from = at;
        let before = &machine.replicated().membership;
        previous = before.log_id().is_some().then(|| types::membership_out(before.membership())).transpose()?;
    }
    machine.replay(entries.get(from..).unwrap_or_default()).await.map_err(nonsense)?;
    Ok(previous)
}

/// Takes in the newest sealed snapshot that the log needs or goes on from; none where the log begins at the beginning.
async fn begin(
    machine: &mut Machine,
    ground: &Ground,
    source: &Source,
    log: &Recovered,
    judge: SealJudge<'_>,
) -> Result<Option<u64>, Unfit> {
    let least = log.purged.map(|purged| purged.index);
    let mut newest: Option<(PathBuf, LogPosition, u64, Digest)> = None;
    for path in source.disk.list(&source.folder)? {
        let named = path.extension().is_none() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snapshot-"));
        let Some(found) = named.then(|| read_seal(source.disk.as_ref(), &path)).transpose()?.flatten() else { continue };
        // One that goes further than the log was taken in a moment before the log was to follow.
        let Some(last) = found.last.filter(|last| least.is_none_or(|least| last.index >= least)) else { continue };
        let words = source.owner.snapshot_words(&found.last, found.bytes, &found.digest);
        if judge(&words, &found.seal) && newest.as_ref().is_none_or(|(_, known, ..)| *known < last) {
            newest = Some((path, last, found.bytes, found.digest));
        }
    }
    let Some((path, last, bytes, digest)) = newest else {
        return match least {
            None => Ok(None),
            Some(purged) => Err(Unfit::NoSnapshot { purged }),
        };
    };
    let (from, to) = (source.clone(), ground.clone());
    let copied = ground.done("recover", move || copy(from.disk.open_to_read(&path)?.as_ref(), &to, (0, bytes))).await?;
    let (file, found) = copied;
    if found != digest {
        return Err(least.map_or(Unfit::Empty, |purged| Unfit::NoSnapshot { purged }));
    }
    machine.begin_from(file).await.map_err(|fault| Unfit::Nonsense(fault.to_string()))?;
    ground.disk.remove(&ground.dir.join(COPY_NAME))?;
    match types::positions(&machine.replicated().applied) == Some(last) {
        true => Ok(Some(last.index)),
        false => Err(Unfit::Nonsense("a snapshot of another position than its seal".into())),
    }
}

/// Copies a part of a file behind a keyed hash, so that it stays what is compared now; gives its digest.
fn copy(from: &dyn DiskFile, ground: &Ground, (offset, bytes): (u64, u64)) -> io::Result<(Arc<dyn DiskFile>, Digest)> {
    let copy = ground.create(&ground.dir.join(COPY_NAME), STREAM_BLOCK_BYTES)?;
    let mut hash = Sha256::new();
    let (mut at, mut buffer) = (0_u64, vec![0; COPY_BYTES]);
    while at < bytes {
        let len = usize::try_from(bytes - at).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
        let part = buffer.get_mut(..len).unwrap_or_default();
        read_exact(from, offset.saturating_add(at), part)?;
        hash.update(&*part);
        write_whole(copy.as_ref(), at, part)?;
        at += len as u64;
    }
    copy.sync()?;
    Ok((copy, Digest(hash.finalize().into())))
}
