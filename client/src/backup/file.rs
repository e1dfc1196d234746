//! A backup as a file, and what must hold of it before anything in it is believed.
//!
//! Decides: `"RWB1"`, length and bytes of the proof, the snapshot, SHA-256 of all before it. A file is good when: its lengths fit together; the proof's head is
//! one of this very snapshot ([`BackupHead::is_whole`]); whoever signed it proves, by evidence judged anew as of when it was shown, to be a member of the
//! pinned cluster, in the head's epoch; the snapshot has the digest that was signed, is whole, and is of the head's epoch, index and term. The checksum at
//! the end finds damage in the proof that no signature covers.
//! Trusts: nothing in the file. A good backup is what a member said the state was at that index: that there is a newer one, it cannot say.
//! Out of scope: fetching (`fetch.rs`), opening records (`import.rs`). Protocol section 9.1; bytes: docs/formats.md, "Backups".

use super::snapshot::{Counted, Snapshot, SnapshotError};
use crate::Exchange;
use ringwall_attest::{Anchors, AppraisedPeer, Finding, SessionError, Trace};
use ringwall_wire::backup::{BACKUP_MAGIC, BackupHead, BackupProof};
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::ids::{ClusterId, PolicyVersion, Revision};
use ringwall_wire::limits::{BACKUP_PROOF_BYTES, BACKUP_STATE_BYTES};
use ringwall_wire::receipt::ReceiptHead;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

/// Bytes in front of the proof: magic and length.
const FRONT_BYTES: usize = 8;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: u64 = 32;
/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Why a backup is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It begins as something else, or its proof is none.
    #[error("{} is no backup: {why}; name a file that `ringwall backup take` wrote", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is shorter or longer than its proof says.
    #[error("{} has {got} bytes where its proof says {wanted}: it was cut off, or something was added; use another copy", .path.display())]
    Length {
        /// Where.
        path: PathBuf,
        /// Bytes it should have.
        wanted: u64,
        /// Bytes it has.
        got: u64,
    },
    /// It belongs to another cluster.
    #[error("the backup is of cluster {got}, wanted is {pinned}")]
    OtherCluster {
        /// Its cluster.
        got: ClusterId,
        /// The one that was named.
        pinned: ClusterId,
    },
    /// The head is not of this snapshot.
    #[error("{}: what was signed is of another snapshot than the one that follows it", .path.display())]
    OtherState {
        /// Where.
        path: PathBuf,
    },
    /// Whoever signed is not proven.
    #[error("the signer of the backup is not proven to be a member: {error}")]
    Signer {
        /// What the appraisal found.
        error: Box<SessionError>,
    },
    /// The signature is not that of the member that attested.
    #[error("{}: its head is not signed by the member that attested", .path.display())]
    Signature {
        /// Where.
        path: PathBuf,
    },
    /// The snapshot, or the file, was altered.
    #[error("{}: {what} is not what was signed or written: the file was altered or is damaged; use another copy", .path.display())]
    Altered {
        /// Where.
        path: PathBuf,
        /// Which part.
        what: &'static str,
    },
    /// The snapshot is none.
    #[error("{}: {source}", .path.display())]
    Snapshot {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: SnapshotError,
    },
}

impl BackupError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            BackupError::Io { .. } => "RW-C-BACKUP-IO",
            BackupError::Malformed { .. } | BackupError::Length { .. } | BackupError::Snapshot { .. } => "RW-C-BACKUP-MALFORMED",
            BackupError::OtherCluster { .. } => "RW-C-BACKUP-OTHER-CLUSTER",
            BackupError::Altered { .. } => "RW-C-BACKUP-ALTERED",
            BackupError::Signer { error } if error.finding() == Finding::CannotTell => "RW-C-CANNOT-TELL",
            BackupError::OtherState { .. } | BackupError::Signer { .. } | BackupError::Signature { .. } => "RW-C-BACKUP-REFUSED",
        }
    }
}

/// What a good backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// What was signed.
    pub made: BackupHead,
    /// When its signer was attested, Unix seconds by the clock of whoever fetched it.
    pub attested_s: u64,
    /// Name of the measured release the signer ran.
    pub measurement: String,
    /// Newest revision.
    pub revision: Revision,
    /// Group time, Unix milliseconds.
    pub time_ms: u64,
    /// What is in it.
    pub counted: Counted,
}

/// Verifies a backup: all of it, without a network. `pinned`: the cluster it has to be of; none takes the file's word for which one, and believes
/// nothing else of it.
pub fn verify(path: &Path, pinned: Option<ClusterId>, anchors: &Anchors) -> Result<Proven, BackupError> {
    let (proof, front, mut file) = open(path)?;
    let (attested_s, peer) = judge(&proof, path, pinned, anchors)?;
    let failed = |source| BackupError::Io { path: path.into(), source };
    let got = file.metadata().map_err(failed)?.len();
    let wanted = (front.len() as u64).saturating_add(proof.made.bytes).saturating_add(CHECKSUM_BYTES);
    if got != wanted {
        return Err(BackupError::Length { path: path.into(), wanted, got });
    }
    file.seek(SeekFrom::Start(front.len() as u64)).map_err(failed)?;
    let (state, whole) = (Sha256::new(), Sha256::new_with_prefix(&front));
    let input = BufReader::with_capacity(BUFFER_BYTES, Hashing { input: file.take(proof.made.bytes), state, whole });
    let of_state = |source| BackupError::Snapshot { path: path.into(), source };
    let mut state = Snapshot::open(input).map_err(of_state)?;
    let counted = state.finish().map_err(of_state)?;
    let start = state.start().clone();
    let Hashing { input, state, whole } = state.into_input().into_inner();
    if state.finalize().as_slice() != proof.made.state.0 {
        return Err(BackupError::Altered { path: path.into(), what: "the snapshot" });
    }
    let head = &proof.made.head;
    let said = start.applied.map(|applied| (applied.index, applied.term));
    if start.epoch != Some(head.epoch) || said != Some((head.index, head.term)) {
        return Err(BackupError::OtherState { path: path.into() });
    }
    let mut checksum = [0; CHECKSUM_BYTES as usize];
    input.into_inner().read_exact(&mut checksum).map_err(failed)?;
    if whole.finalize().as_slice() != checksum {
        return Err(BackupError::Altered { path: path.into(), what: "the file" });
    }
    let measurement = peer.appraised().measurement().into();
    Ok(Proven { made: proof.made, attested_s, measurement, revision: start.revision, time_ms: start.time_ms, counted })
}

/// The snapshot of a backup that was verified, from its front.
pub(super) fn state_of(path: &Path) -> Result<Snapshot<BufReader<Take<File>>>, BackupError> {
    let (proof, front, mut file) = open(path)?;
    file.seek(SeekFrom::Start(front.len() as u64)).map_err(|source| BackupError::Io { path: path.into(), source })?;
    let input = BufReader::with_capacity(BUFFER_BYTES, file.take(proof.made.bytes));
    Snapshot::open(input).map_err(|source| BackupError::Snapshot { path: path.into(), source })
}

/// Reads what stands before the snapshot, and gives those bytes.
pub(super) fn open(path: &Path) -> Result<(BackupProof, Vec<u8>, File), BackupError> {
    let failed = |source| BackupError::Io { path: path.into(), source };
    let malformed = |why: String| BackupError::Malformed { path: path.into(), why };
    let mut file = File::open(path).map_err(failed)?;
    let mut front = [0; FRONT_BYTES];
    file.read_exact(&mut front).map_err(|fault| malformed(format!("it ends within its first bytes ({fault})")))?;
    let [m0, m1, m2, m3, length @ ..] = front;
    if [m0, m1, m2, m3] != BACKUP_MAGIC {
        return Err(malformed("it does not begin as one".into()));
    }
    let len = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if len > BACKUP_PROOF_BYTES {
        return Err(malformed(format!("its proof says it has {len} bytes, at most {BACKUP_PROOF_BYTES}")));
    }
    let mut proof = vec![0; len];
    file.read_exact(&mut proof).map_err(|fault| malformed(format!("it ends within its proof ({fault})")))?;
    let front = [front.as_slice(), &proof].concat();
    let proof = BackupProof::decode(&proof).map_err(|fault: DecodeError| malformed(format!("its proof is none: {fault}")))?;
    match proof.made.bytes <= BACKUP_STATE_BYTES {
        true => Ok((proof, front, file)),
        false => Err(malformed(format!("it says its snapshot has {} bytes, at most {BACKUP_STATE_BYTES}", proof.made.bytes))),
    }
}

/// The bytes in front of a snapshot.
pub(super) fn front(proof: &BackupProof) -> Vec<u8> {
    let proof = proof.encode();
    let len = u32::try_from(proof.len()).unwrap_or(u32::MAX);
    [BACKUP_MAGIC.as_slice(), &len.to_be_bytes(), &proof].concat()
}

/// Whether a member of the pinned cluster signed the head, of a snapshot of that size and digest. Gives when its evidence was shown.
pub(super) fn judge(
    proof: &BackupProof,
    path: &Path,
    pinned: Option<ClusterId>,
    anchors: &Anchors,
) -> Result<(u64, AppraisedPeer), BackupError> {
    let head = &proof.made.head;
    if let Some(pinned) = pinned.filter(|pinned| *pinned != head.cluster_id) {
        return Err(BackupError::OtherCluster { got: head.cluster_id, pinned });
    }
    if !proof.made.is_whole() {
        return Err(BackupError::OtherState { path: path.into() });
    }
    let exchange = Exchange::decode(&proof.signer.exchange)
        .map_err(|fault| BackupError::Malformed { path: path.into(), why: format!("nothing in it proves who signed: {fault}") })?;
    let exchange = exchange.pinned_to(head.cluster_id, PolicyVersion(0));
    let peer = exchange.judge(anchors, &mut Trace::new()).map_err(|error| BackupError::Signer { error: Box::new(error) })?;
    let named = (head.cluster_id, head.epoch, head.incarnation) == (peer.cluster_id(), peer.epoch(), peer.incarnation());
    match named && proof.signer.incarnation == head.incarnation && is_signed(head, &peer) {
        true => Ok((exchange.at_s(), peer)),
        false => Err(BackupError::Signature { path: path.into() }),
    }
}

fn is_signed(head: &ReceiptHead, peer: &AppraisedPeer) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&head.signature.0);
    let key = ed25519_dalek::VerifyingKey::from_bytes(&peer.keys().sig.0).ok().filter(|key| !key.is_weak());
    key.is_some_and(|key| key.verify_strict(&head.words(), &signature).is_ok())
}

/// Hashes what is read: for the snapshot's digest, and for that of the whole file.
struct Hashing<R> {
    input: R,
    state: Sha256,
    whole: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(bytes)?;
        let read = bytes.get(..len).unwrap_or_default();
        self.state.update(read);
        self.whole.update(read);
        Ok(len)
    }
}
