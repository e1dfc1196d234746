//! Disks that other machines give over the network (`--assist`), in place of folders that people copy.
//!
//! Decides: what arrives is put into a folder of its own under `recovery/assisted`, and counts as a data folder once it is whole: names are checked before a path is made of
//! them, sizes before a byte is asked for (more than the disk has room for is refused), each file by its SHA-256 at its end. What was begun goes on where it stopped, in this
//! process and in a later one. A member of a living cluster, and anybody who is not attested for this part, gives nothing.
//! Trusts: nothing in the files: seals and lineage are judged with every other disk's (`disks`). Out of scope: giving (`assist`). Protocol section 6.2, DR3.

use crate::context::Site;
use crate::peers::handshake::{self, Own, PeerError};
use crate::peers::pool::resolve;
use crate::peers::records::Records;
use crate::recover::assist::{digest_of, place_of};
use crate::room;
use ringwall_channel::NodeSecrets;
use ringwall_quic::{CloseCode, close};
use ringwall_wire::assist::{AssistAnswer, AssistAsk, AssistFile, AssistFolder, AssistOp, AssistPart, AssistReply};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::session::{PeerPurpose, RefusalCode};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Longest time to open a connection.
const DIAL: Duration = Duration::from_secs(5);
/// Longest wait for an answer: the other side may hash a whole file for it.
const ANSWER: Duration = Duration::from_secs(600);
/// Tries without a file more, after which an address is given up.
const TRIES: u32 = 5;
/// Pause before another try.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes after which progress is told.
const TOLD_BYTES: u64 = 64 * 1024 * 1024;
/// How a folder is called that is not whole yet.
const PART: &str = "part";

/// Why a disk did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// No session.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// This machine's disk.
    #[error("what arrives cannot be kept: {0}; check the data folder, its owner and its room")]
    Io(#[from] io::Error),
    /// It is no data folder.
    #[error("the assisting node gives no data folder ({0}); copy the folder by hand")]
    Nonsense(&'static str),
    /// There is no room.
    #[error("it has {bytes} bytes, and {free} are free beside the reserve; make room")]
    NoRoom {
        /// Of all files.
        bytes: u64,
        /// On this disk.
        free: u64,
    },
    /// The other side cannot read it.
    #[error("the assisting node cannot read its file {name}; look at its log, or copy what is readable by hand")]
    Unreadable {
        /// Which.
        name: String,
    },
    /// It is not what the other side has.
    #[error("file {name} arrived as another one than the assisting node has; it is asked for again")]
    Differs {
        /// Which.
        name: String,
    },
}

impl NotFetched {
    /// Whether trying again cannot help.
    fn is_final(&self) -> bool {
        match self {
            NotFetched::Peer(PeerError::Refused(refusal)) => !matches!(refusal.code, RefusalCode::Busy | RefusalCode::Unavailable),
            NotFetched::Peer(PeerError::Evidence(_) | PeerError::OtherCluster { .. } | PeerError::Version { .. }) => true,
            NotFetched::Peer(_) | NotFetched::Differs { .. } => false,
            NotFetched::Io(_) | NotFetched::Nonsense(_) | NotFetched::NoRoom { .. } | NotFetched::Unreadable { .. } => true,
        }
    }
}

/// Whoever answers questions about a data folder.
pub(crate) trait Giver {
    /// One question.
    async fn ask(&mut self, op: AssistOp) -> Result<AssistAnswer, NotFetched>;
}

impl Giver for Records {
    async fn ask(&mut self, op: AssistOp) -> Result<AssistAnswer, NotFetched> {
        self.send(&AssistAsk { op }, ANSWER).await?;
        let reply: AssistReply = self.receive(ANSWER).await?;
        Ok(reply.answer)
    }
}

/// Where the disk of an address is kept: a name without the letters of a path.
fn folder_of(root: &Path, address: &str) -> PathBuf {
    let name: String = address.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    root.join(name)
}

/// Fetches the disk of the machine at `address` into a folder below `root`.
pub(crate) async fn fetch(site: &Arc<Site>, root: &Path, address: &str) -> Result<PathBuf, NotFetched> {
    let whole = folder_of(root, address);
    let part = whole.with_extension(PART);
    let (mut tries, mut before) = (0, 0);
    loop {
        let fault = match attempt(site, address, (&whole, &part)).await {
            Ok(()) => return Ok(whole),
            Err(fault) => fault,
        };
        let now = held(&part);
        tries = if now > before { 0 } else { tries + 1 };
        before = before.max(now);
        if fault.is_final() || tries >= TRIES {
            return Err(fault);
        }
        warn!(address, %fault, "recovery: an assisting machine's disk did not arrive yet; it goes on where it stopped");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Bytes below a folder, two levels deep as it is laid out.
fn held(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |path: PathBuf| match path.is_dir() {
        true => std::fs::read_dir(path).map_or(0, |inner| inner.flatten().map(|entry| entry.metadata().map_or(0, |kept| kept.len())).sum()),
        false => path.metadata().map_or(0, |kept| kept.len()),
    };
    entries.flatten().map(|entry| size(entry.path())).sum()
}

async fn attempt(site: &Arc<Site>, address: &str, folders: (&Path, &Path)) -> Result<(), NotFetched> {
    let secrets = NodeSecrets::generate(&mut *(site.entropy)());
    let own = Own { site, secrets: &secrets, incarnation: Incarnation(0), prover: None };
    let connection = ringwall_quic::dial(&site.endpoint, &site.dial, resolve(address).await?, DIAL).await.map_err(PeerError::from)?;
    let mut opened = handshake::dial(own, &connection, PeerPurpose::Assist, None).await?;
    let taken = take(&mut opened.records, address, folders, site.config.limits.disk_reserve_bytes).await;
    close(&connection, CloseCode::Done);
    taken
}

/// Takes a whole folder from whoever gives it.
pub(crate) async fn take(giver: &mut impl Giver, address: &str, (whole, part): (&Path, &Path), reserve: u64) -> Result<(), NotFetched> {
    let AssistAnswer::Folder(folder) = giver.ask(AssistOp::List).await? else {
        return Err(NotFetched::Nonsense("another answer than a list"));
    };
    let bytes = listed(&folder)?;
    for note in folder.notes.iter() {
        info!(address, incarnation = %note.incarnation, slot = %note.slot, last = note.last.index, "recovery: an assisting machine has the log of a life");
    }
    if whole.exists() && !part.exists() {
        // What an earlier try brought is compared once more, and goes on being used if it is the same.
        std::fs::rename(whole, part)?;
    }
    std::fs::create_dir_all(part)?;
    forget_others(part, &folder)?;
    let (have, free) = (held(part), room::free_bytes(part).unwrap_or(0).saturating_sub(reserve));
    if bytes.saturating_sub(have) > free {
        return Err(NotFetched::NoRoom { bytes, free });
    }
    let mut told = Told { address, of: bytes, done: 0, next: TOLD_BYTES };
    for (number, file) in (0..).zip(folder.files.iter()) {
        take_file(giver, (number, file), &place_of(part, file), &mut told).await?;
    }
    if whole.exists() {
        std::fs::remove_dir_all(whole)?;
    }
    std::fs::rename(part, whole)?;
    File::open(whole.parent().unwrap_or(whole))?.sync_all()?;
    info!(address, bytes, files = folder.files.len(), folder = %whole.display(), "recovery: an assisting machine's disk is here");
    Ok(())
}

/// Looks at every word of a list; gives the bytes of all files.
fn listed(folder: &AssistFolder) -> Result<u64, NotFetched> {
    let (mut bytes, mut seen) = (0_u64, BTreeSet::new());
    for file in folder.files.iter() {
        if !file.is_named_well() {
            return Err(NotFetched::Nonsense("a file under a name that no node writes"));
        }
        if !seen.insert((file.life, file.name.to_string())) {
            return Err(NotFetched::Nonsense("one file twice"));
        }
        bytes = bytes.checked_add(file.bytes).ok_or(NotFetched::Nonsense("more bytes than there are"))?;
    }
    match folder.files.is_empty() {
        true => Err(NotFetched::Nonsense("no file that a recovery reads")),
        false => Ok(bytes),
    }
}

/// Removes what an earlier try left of files that are not listed (any more), or are longer than they may be.
fn forget_others(part: &Path, folder: &AssistFolder) -> io::Result<()> {
    let wanted: BTreeSet<PathBuf> = folder.files.iter().map(|file| place_of(part, file)).collect();
    for entry in std::fs::read_dir(part)? {
        let path = entry?.path();
        if path.is_dir() {
            for inner in std::fs::read_dir(&path)? {
                let inner = inner?.path();
                if !wanted.contains(&inner) {
                    std::fs::remove_file(&inner)?;
                }
            }
            if std::fs::read_dir(&path)?.next().is_none() {
                std::fs::remove_dir(&path)?;
            }
        } else if !wanted.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    for file in folder.files.iter() {
        let path = place_of(part, file);
        if path.metadata().is_ok_and(|kept| kept.len() > file.bytes) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// How far it is, for people.
struct Told<'a> {
    address: &'a str,
    of: u64,
    done: u64,
    next: u64,
}

impl Told<'_> {
    fn more(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        if self.done >= self.next {
            self.next = self.done.saturating_add(TOLD_BYTES);
            info!(address = self.address, bytes = self.done, of = self.of, "recovery: an assisting machine's disk arrives");
        }
    }
}

async fn take_file(giver: &mut impl Giver, (number, file): (u32, &AssistFile), path: &Path, told: &mut Told<'_>) -> Result<(), NotFetched> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut kept = File::options().create(true).append(true).open(path)?;
    let mut offset = kept.metadata()?.len();
    told.more(offset);
    while offset < file.bytes {
        let bytes = match giver.ask(AssistOp::Part(AssistPart { file: number, offset })).await? {
            AssistAnswer::Bytes(bytes) => bytes,
            AssistAnswer::Unreadable => return Err(NotFetched::Unreadable { name: file.name.to_string() }),
            _ => return Err(NotFetched::Nonsense("another answer than bytes")),
        };
        let length = bytes.len() as u64;
        if length == 0 || length > file.bytes - offset {
            return Err(NotFetched::Nonsense("a file that is not as long as it was listed"));
        }
        kept.write_all(&bytes)?;
        offset += length;
        told.more(length);
    }
    kept.sync_all()?;
    drop(kept);
    let theirs = match giver.ask(AssistOp::Digest(number)).await? {
        AssistAnswer::Digest(digest) => digest,
        AssistAnswer::Unreadable => return Err(NotFetched::Unreadable { name: file.name.to_string() }),
        _ => return Err(NotFetched::Nonsense("another answer than a digest")),
    };
    if digest_of(path)? != theirs {
        // From its beginning, at the next try.
        std::fs::remove_file(path)?;
        return Err(NotFetched::Differs { name: file.name.to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
