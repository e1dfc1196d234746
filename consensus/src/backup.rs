//! Snapshots for whoever backs the state up: the newest one of this replica, held open for as long as it is read.
//!
//! Decides: a backup is a snapshot as Raft takes it, with nothing added: the bytes are a function of the applied index alone, the file's blocks are compared
//! with digests in memory when they are read (as for a member that is sent one), and reading goes on after a newer snapshot took its place.
//! Trusts: this replica's state machine. Out of scope: who may have one, how often one is made, and signing (`node`). Protocol section 9.1.

use crate::disk::read_exact;
use crate::ground::Ground;
use crate::machine::raft::SnapshotFile;
use crate::replica::Replica;
use crate::report::ReadError;
use crate::transport::BoxFuture;
use crate::types;
use ringwall_wire::ids::Digest;
use ringwall_wire::peer::LogPosition;
use ringwall_wire::receipt::TreePoint;
use std::fmt;
use std::sync::Arc;

/// A snapshot that stays readable while this lives. Its space on the disk is taken for as long.
#[derive(Clone)]
pub struct HeldSnapshot {
    applied: LogPosition,
    file: SnapshotFile,
    ground: Ground,
}

impl fmt::Debug for HeldSnapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "HeldSnapshot(index {}, {} bytes)", self.applied.index, self.file.bytes)
    }
}

impl HeldSnapshot {
    /// The last entry it holds.
    pub fn applied(&self) -> LogPosition {
        self.applied
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.file.bytes
    }

    /// Its SHA-256.
    pub fn digest(&self) -> Digest {
        self.file.digest
    }

    /// The log tree up to its last entry.
    pub fn tree(&self) -> TreePoint {
        self.file.tree
    }

    /// At most `most` bytes from `offset` on; none at the end and beyond.
    pub fn part(&self, offset: u64, most: usize) -> BoxFuture<Result<Vec<u8>, ReadError>> {
        let HeldSnapshot { file, ground, .. } = self.clone();
        Box::pin(async move {
            let len = file.bytes.saturating_sub(offset).min(most as u64);
            let opened = Arc::clone(&file.file);
            let read = ground.done("backup part", move || {
                let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
                read_exact(opened.as_ref(), offset, &mut bytes).map(|()| bytes)
            });
            ground.fence.watch("snapshot", read.await).map_err(|why| ReadError::Fenced(why.to_string()))
        })
    }
}

impl Replica {
    /// The newest snapshot of this replica; none before the first.
    pub fn newest_snapshot(&self) -> Result<Option<HeldSnapshot>, ReadError> {
        let inner = self.inner();
        inner.alive()?;
        let held = inner.readers.current_snapshot().and_then(|(applied, file)| {
            let applied = types::positions(&applied)?;
            Some(HeldSnapshot { applied, file, ground: inner.ground.clone() })
        });
        Ok(held)
    }

    /// Has a snapshot of what is applied here made, beside everything else; does not wait for it. While one is being made this changes nothing.
    pub fn make_snapshot(&self) -> BoxFuture<Result<(), ReadError>> {
        let replica = self.clone();
        Box::pin(async move {
            replica.inner().alive()?;
            replica.inner().raft.trigger().snapshot().await.map_err(|why| ReadError::Fenced(why.to_string()))
        })
    }
}
