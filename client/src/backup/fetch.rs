//! A backup fetched from a cluster that serves.
//!
//! Decides: the proof is judged before the first byte of the snapshot is kept; what arrives is written to `FILE.partial` behind it, which is put in the place of
//! `FILE` after all of it was verified, and never earlier. A partial file is gone on with where it ends, if a member still has that very snapshot (same index,
//! same digest: any member's bytes will do); otherwise it is begun anew, and that is said. Memory holds a few parts.
//! Trusts: the session's member as far as its signature reaches. Out of scope: what makes a file good (`file.rs`). Protocol section 9.1.

use super::file::{self, BackupError, Proven, front, judge};
use crate::Exchange;
use crate::client::Client;
use crate::error::{ConnectError, refusal_code};
use crate::examine::examine_node;
use crate::options::Options;
use crate::private::private;
use futures_util::{StreamExt, stream};
use ringwall_session::asked::{Ask, Failure};
use ringwall_session::ops::answer_name;
use ringwall_wire::backup::{BackupAsk, BackupHead, BackupPlace, BackupProof, BackupTold};
use ringwall_wire::bounded::Blob;
use ringwall_wire::ids::Incarnation;
use ringwall_wire::limits::BACKUP_PART_BYTES;
use ringwall_wire::receipt::Signer;
use ringwall_wire::request::{Answer, Op};
use ringwall_wire::session::Refusal;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Parts that are asked for at once.
const AHEAD: usize = 4;
/// How often it is asked whether the snapshot is there: an hour of waiting, at a second each.
const TRIES: usize = 3_600;
/// Pause between two such questions.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a fetch is begun anew because its snapshot is no longer to be had.
const BEGINNINGS: usize = 5;

/// Why a backup was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What is there, or what came, is not what it should be.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// No session.
    #[error(transparent)]
    Session(#[from] ConnectError),
    /// The node refused.
    #[error("the node refused: {}", &*.0.detail)]
    Refused(Refusal),
    /// The node answered something that is no answer to this.
    #[error("the node's answer makes no sense here: {0}; client and node may be of different releases")]
    Nonsense(String),
    /// The member that signed was gone before it could be attested for the file.
    #[error("member {incarnation}, which made the snapshot, could not be attested at any address; begin again")]
    NoSigner {
        /// Which.
        incarnation: Incarnation,
    },
    /// No member could give one snapshot to its end.
    #[error("the snapshot was replaced {BEGINNINGS} times before it was fetched; the connection is too slow, or members restart")]
    Gone,
    /// No snapshot was made.
    #[error("no snapshot was made within an hour; look at the members' logs and disks")]
    NeverMade,
}

impl FetchError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            FetchError::Backup(fault) => fault.code(),
            FetchError::Session(fault) => fault.code(),
            FetchError::Refused(refusal) => refusal_code(refusal.code),
            FetchError::Nonsense(_) => "RW-C-NONSENSE",
            FetchError::NoSigner { .. } | FetchError::Gone | FetchError::NeverMade => "RW-C-UNAVAILABLE",
        }
    }
}

/// What is told while a backup is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A member makes the snapshot.
    Making,
    /// A snapshot of this index is fetched; so many bytes were there already.
    Begun {
        /// Index.
        index: u64,
        /// Bytes in all.
        bytes: u64,
        /// Bytes that an earlier run had fetched.
        had: u64,
    },
    /// What an earlier run had fetched is no longer to be had: it begins anew.
    Anew,
    /// So many bytes are there.
    At(u64),
    /// All are there, and verified.
    Verifying,
}

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// What it was found to be.
    pub proven: Proven,
    /// Bytes that an earlier run had fetched.
    pub had: u64,
    /// How often it was begun anew.
    pub anew: usize,
}

/// The name of what is not whole yet.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Fetches a backup into `path`, over one that is there.
pub async fn fetch(options: &Options, client: &Client, path: &Path, mut told: impl FnMut(Progress)) -> Result<Fetched, FetchError> {
    let partial = partial_path(path);
    let mut resumed = Partial::resume(&partial, options)?;
    let mut anew = 0_usize;
    for _ in 0..BEGINNINGS {
        let mut held = match resumed.take() {
            Some(held) => held,
            None => begin(options, client, &partial, &mut told).await?,
        };
        let had = held.had;
        told(Progress::Begun { index: held.proof.made.head.index, bytes: held.proof.made.bytes, had });
        if !held.fill(client, &mut told).await? {
            anew = anew.saturating_add(1);
            told(Progress::Anew);
            continue;
        }
        told(Progress::Verifying);
        held.seal()?;
        let (cluster, anchors, place) = (options.cluster_id, options.anchors.clone(), partial.clone());
        let verified = tokio::task::spawn_blocking(move || file::verify(&place, Some(cluster), &anchors)).await;
        let proven = match verified.map_err(|fault| FetchError::Nonsense(fault.to_string()))? {
            Ok(proven) => proven,
            Err(fault) => {
                // Nothing can be gone on with that was once found to be wrong.
                let _ = std::fs::remove_file(&partial);
                return Err(fault.into());
            }
        };
        put_in_place(&partial, path)?;
        return Ok(Fetched { proven, had, anew });
    }
    Err(FetchError::Gone)
}

fn put_in_place(partial: &Path, path: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Io { path: path.into(), source };
    std::fs::rename(partial, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// A file that is not whole yet, behind a proof that was judged.
struct Partial {
    path: PathBuf,
    file: File,
    proof: BackupProof,
    /// Hash of all that is in it.
    whole: Sha256,
    /// Bytes of the snapshot in it.
    bytes: u64,
    /// Of those, from an earlier run.
    had: u64,
}

impl Partial {
    /// What an earlier run left, if it can be gone on with. One of another cluster is not touched: it is somebody's.
    fn resume(path: &Path, options: &Options) -> Result<Option<Self>, BackupError> {
        if !path.exists() {
            return Ok(None);
        }
        let (proof, front, _) = match file::open(path) {
            Ok(opened) => opened,
            // Cut off within the proof: nothing was fetched yet.
            Err(BackupError::Malformed { .. }) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let _member = judge(&proof, path, Some(options.cluster_id), &options.anchors)?;
        let failed = |source| BackupError::Io { path: path.into(), source };
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        file.seek(SeekFrom::Start(front.len() as u64)).map_err(failed)?;
        let mut whole = Sha256::new_with_prefix(&front);
        let bytes = copy_into(&mut whole, &mut file, proof.made.bytes).map_err(failed)?;
        // A checksum that was written before the end came is written again.
        file.set_len((front.len() as u64).saturating_add(bytes)).map_err(failed)?;
        Ok(Some(Partial { path: path.into(), file, proof, whole, bytes, had: bytes }))
    }

    fn create(path: &Path, proof: BackupProof) -> Result<Self, BackupError> {
        let failed = |source| BackupError::Io { path: path.into(), source };
        let mut file = private().read(true).write(true).create(true).truncate(true).open(path).map_err(failed)?;
        let front = front(&proof);
        file.write_all(&front).map_err(failed)?;
        Ok(Partial { path: path.into(), file, proof, whole: Sha256::new_with_prefix(&front), bytes: 0, had: 0 })
    }

    /// Fetches what is missing. False when no member has the snapshot any more.
    async fn fill(&mut self, client: &Client, told: &mut impl FnMut(Progress)) -> Result<bool, FetchError> {
        let BackupHead { head, bytes: all, state } = &self.proof.made;
        let (index, state, all, from) = (head.index, *state, *all, self.bytes);
        let offsets = stream::iter((from..all).step_by(BACKUP_PART_BYTES));
        let asked = offsets.map(move |offset| async move { (offset, part(client, BackupPlace { index, state, offset }).await) });
        let mut parts = std::pin::pin!(asked.buffered(AHEAD));
        while let Some((offset, part)) = parts.next().await {
            let Some(part) = part? else { return Ok(false) };
            let wanted = all.saturating_sub(offset).min(BACKUP_PART_BYTES as u64);
            if part.len() as u64 != wanted || offset != self.bytes {
                return Err(FetchError::Nonsense(format!("a part of {} bytes where {wanted} were asked for", part.len())));
            }
            self.file.write_all(&part).map_err(|source| BackupError::Io { path: self.path.clone(), source })?;
            self.whole.update(&*part);
            self.bytes = self.bytes.saturating_add(wanted);
            told(Progress::At(self.bytes));
        }
        Ok(true)
    }

    /// Writes the checksum; all is on stable storage when this returns.
    fn seal(&mut self) -> Result<(), BackupError> {
        let checksum = std::mem::take(&mut self.whole).finalize();
        let written = self.file.write_all(&checksum).and_then(|()| self.file.sync_all());
        written.map_err(|source| BackupError::Io { path: self.path.clone(), source })
    }
}

/// Hashes at most `most` bytes of what follows in a file, and leaves it behind them.
fn copy_into(hash: &mut Sha256, file: &mut File, most: u64) -> io::Result<u64> {
    let (mut left, mut read, mut buffer) = (most, 0_u64, vec![0; 256 * 1024]);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let len = file.read(buffer.get_mut(..want).unwrap_or_default())?;
        if len == 0 {
            break;
        }
        hash.update(buffer.get(..len).unwrap_or_default());
        read = read.saturating_add(len as u64);
        left = left.saturating_sub(len as u64);
    }
    Ok(read)
}

/// Has a snapshot made and signed, and begins a file for it.
async fn begin(options: &Options, client: &Client, partial: &Path, told: &mut impl FnMut(Progress)) -> Result<Partial, FetchError> {
    let made = made(client, told).await?;
    let exchange = signer(options, client, made.head.incarnation).await?;
    let signer = Signer { incarnation: made.head.incarnation, exchange: Blob::new(exchange.encode_whole()).unwrap_or_default() };
    let proof = BackupProof { made, signer };
    let _member = judge(&proof, partial, Some(options.cluster_id), &options.anchors)?;
    Ok(Partial::create(partial, proof)?)
}

async fn made(client: &Client, told: &mut impl FnMut(Progress)) -> Result<BackupHead, FetchError> {
    let mut from = None;
    for _ in 0..TRIES {
        match ask(client, BackupAsk::Begin(from)).await? {
            BackupTold::Ready(made) => return Ok(*made),
            BackupTold::Making(index) => from = Some(index),
            other => return Err(FetchError::Nonsense(format!("{} was asked for", told_name(&other)))),
        }
        told(Progress::Making);
        tokio::time::sleep(PAUSE).await;
    }
    Err(FetchError::NeverMade)
}

/// An attestation exchange with the member that signed: the one in use, if the session is still with it, otherwise whoever it is.
async fn signer(options: &Options, client: &Client, incarnation: Incarnation) -> Result<Exchange, FetchError> {
    let first = client.verification().address.clone();
    let named = client.status().await.map(|status| status.voters.into_vec()).unwrap_or_default();
    let named = named.into_iter().filter(|member| member.incarnation == incarnation).map(|member| member.address.to_string());
    let addresses = std::iter::once(first).chain(named).chain(options.addresses.iter().cloned());
    for address in addresses {
        if let Ok((exchange, examined)) = examine_node(options, &address).await
            && examined.verdict.is_ok_and(|seen| seen.incarnation == incarnation)
        {
            return Ok(exchange);
        }
    }
    Err(FetchError::NoSigner { incarnation })
}

async fn part(client: &Client, place: BackupPlace) -> Result<Option<Blob<BACKUP_PART_BYTES>>, FetchError> {
    match ask(client, BackupAsk::Part(place)).await? {
        BackupTold::Part(bytes) => Ok(Some(bytes)),
        BackupTold::Gone => Ok(None),
        other => Err(FetchError::Nonsense(format!("{} in place of a part", told_name(&other)))),
    }
}

async fn ask(client: &Client, ask: BackupAsk) -> Result<BackupTold, FetchError> {
    match client.ask(Ask::Read(Op::Backup(ask))).await {
        Ok(Answer::Backup(told)) => Ok(*told),
        Ok(other) => Err(FetchError::Nonsense(answer_name(&other).into())),
        Err(Failure::Refused(refusal)) => Err(FetchError::Refused(refusal)),
        Err(Failure::Session(fault)) => Err(FetchError::Session(fault)),
        Err(Failure::OutcomeUnknown { cause, .. }) => Err(FetchError::Nonsense(cause)),
    }
}

fn told_name(told: &BackupTold) -> &'static str {
    match told {
        BackupTold::Making(_) => "a promise",
        BackupTold::Ready(_) => "a head",
        BackupTold::Part(_) => "a part",
        BackupTold::Gone => "nothing",
    }
}
