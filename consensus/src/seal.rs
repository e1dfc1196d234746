//! Seals: keyed tags over what a life writes, by which whoever recovers with the master keys knows a disk of a member from one a host made up.
//!
//! Decides: a running digest over every frame of the log, from the first; each group ends with a tag over it and over its place, so that the last one
//! vouches for all before it. A snapshot has a tag over its position and digest in a file beside it. The key is the caller's: this crate sees a closure.
//! Trusts: the closure to hold master keys. A seal says that a member wrote this, never that it is the newest it wrote (DR5 asks others for that).
//! Out of scope: keys (`ringwall-keys`), what counts (`recovery`). Protocol section 6.2, DR3; layout: docs/formats.md, "Log segments".

use crate::disk::{Disk, read_exact, write_whole};
use crate::ground::Ground;
use ringwall_wire::codec::{Field as _, enc};
use ringwall_wire::counted::{Primitive, count};
use ringwall_wire::ids::{ClusterId, Digest, Incarnation, KeyEpoch};
use ringwall_wire::label::Label;
use ringwall_wire::peer::LogPosition;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the running digest begins.
pub(crate) const CHAIN_START: Digest = Digest([0; 32]);
/// Bytes a seal takes in the log: its header, and room for what it holds.
pub(crate) const SEAL_FRAME_BYTES: u64 = 96;
/// Bytes of a snapshot's seal file that are looked at: a real one has under 100.
const SEAL_FILE_BYTES: u64 = 256;

ringwall_wire::record! {
    /// A keyed tag, and the master key whose log key made it.
    #[derive(Copy)]
    pub struct Seal {
        /// Generation.
        pub key_epoch: KeyEpoch,
        /// The tag.
        pub mac: [u8; 32],
    }
}

ringwall_wire::record! {
    /// What stands beside a snapshot.
    #[derive(Copy)]
    pub struct SnapshotSeal {
        /// Its last entry.
        pub last: Option<LogPosition>,
        /// Bytes.
        pub bytes: u64,
        /// SHA-256 of them.
        pub digest: Digest,
        /// The tag over all that.
        pub seal: Seal,
    }
}

/// Makes a seal over words, with a master key the log names.
pub type Sealer = Arc<dyn Fn(&[u8]) -> Seal + Send + Sync>;
/// Whether a seal over words is one a holder of the master keys made.
pub type SealJudge<'a> = &'a (dyn Fn(&[u8], &Seal) -> bool + Send + Sync);

/// Whose writing is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Cluster.
    pub cluster_id: ClusterId,
    /// The life.
    pub incarnation: Incarnation,
}

/// A life that seals what it writes.
#[derive(Clone)]
pub(crate) struct Sealing {
    pub(crate) owner: Owner,
    pub(crate) sealer: Sealer,
}

impl fmt::Debug for Sealing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sealing({})", self.owner.incarnation)
    }
}

/// The running digest after one more frame.
pub(crate) fn chained(chain: &Digest, frame: &[u8]) -> Digest {
    count(Primitive::Hash);
    Digest(Sha256::new().chain_update(chain.0).chain_update(frame).finalize().into())
}

impl Owner {
    /// What is sealed of a log that ends before offset `at` of `segment`.
    pub(crate) fn log_words(&self, (segment, at): (u64, u64), chain: &Digest) -> Vec<u8> {
        let place = [segment.to_be_bytes(), at.to_be_bytes()].concat();
        enc(Label::LogSealed, &[&self.cluster_id.0, &self.incarnation.0.to_be_bytes(), &place, &chain.0])
    }

    /// What is sealed of a snapshot.
    pub(crate) fn snapshot_words(&self, last: &Option<LogPosition>, bytes: u64, digest: &Digest) -> Vec<u8> {
        let fields: [&[u8]; 5] = [&self.cluster_id.0, &self.incarnation.0.to_be_bytes(), &last.to_bytes(), &bytes.to_be_bytes(), &digest.0];
        enc(Label::SnapshotSealed, &fields)
    }
}

impl Sealing {
    /// The seal of a log that ends here.
    pub(crate) fn log(&self, place: (u64, u64), chain: &Digest) -> Seal {
        (self.sealer)(&self.owner.log_words(place, chain))
    }
}

/// Where the seal of a snapshot lies.
pub(crate) fn seal_path(snapshot: &Path) -> PathBuf {
    snapshot.with_extension("seal")
}

/// Puts the seal beside a snapshot that is about to get the name `snapshot`: temporary file, fsync, rename. Gives
/// the generation it is sealed under; none where nothing is sealed.
pub(crate) fn seal_snapshot(
    ground: &Ground,
    snapshot: &Path,
    last: Option<LogPosition>,
    bytes: u64,
    digest: Digest,
) -> io::Result<Option<KeyEpoch>> {
    let Some(sealing) = &ground.sealing else { return Ok(None) };
    let seal = (sealing.sealer)(&sealing.owner.snapshot_words(&last, bytes, &digest));
    let key_epoch = seal.key_epoch;
    let text = SnapshotSeal { last, bytes, digest, seal }.to_bytes();
    let temporary = snapshot.with_extension("sealing");
    let file = ground.disk.create_empty(&temporary)?;
    write_whole(file.as_ref(), 0, &text)?;
    file.sync()?;
    ground.disk.rename(&temporary, &seal_path(snapshot)).map(|()| Some(key_epoch))
}

/// Reads the seal of a snapshot; none where there is none, or something that is no seal.
pub(crate) fn read_seal(disk: &dyn Disk, snapshot: &Path) -> io::Result<Option<SnapshotSeal>> {
    let file = match disk.open_to_read(&seal_path(snapshot)) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let size = file.size()?;
    if size > SEAL_FILE_BYTES {
        return Ok(None);
    }
    let mut bytes = vec![0; size as usize];
    read_exact(file.as_ref(), 0, &mut bytes)?;
    Ok(SnapshotSeal::from_bytes(&bytes).ok())
}
