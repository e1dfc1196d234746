//! Room on the disk: whether this node may take writes that make its data folder grow.
//!
//! Decides: below the reserve of `[limits] disk_reserve_mib` puts and new namespaces are refused, so that users cannot fill the disks of
//! all replicas, which would fence together. What frees space, what reads, and membership go on: the reserve is for them. A file system
//! that cannot be asked counts as full.
//! Trusts: what the system says is free. Out of scope: a disk that fills all the same (`consensus` fences). Protocol section 3, step 7.

use crate::clock;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// How long an answer of the file system is believed: at full speed the log grows by far less than any sensible reserve in it.
const BELIEVED: Duration = Duration::from_millis(250);

/// The free space of one folder's file system against a reserve.
#[derive(Debug)]
pub struct Room {
    folder: PathBuf,
    reserve_bytes: u64,
    looked: Mutex<Looked>,
}

#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    short: bool,
}

impl Room {
    /// Watches the file system of `folder`; `reserve_bytes` 0 watches nothing.
    pub fn new(folder: PathBuf, reserve_bytes: u64) -> Self {
        Room { folder, reserve_bytes, looked: Mutex::default() }
    }

    /// Whether less than the reserve is free.
    pub fn is_short(&self) -> bool {
        if self.reserve_bytes == 0 {
            return false;
        }
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.at.is_some_and(|at| at.elapsed() < BELIEVED) {
            return looked.short;
        }
        looked.at = Some(clock::now());
        let free = self.free_bytes();
        let short = free.is_none_or(|free| free < self.reserve_bytes);
        match (looked.short, short) {
            (false, true) => {
                warn!(folder = %self.folder.display(), ?free, reserve = self.reserve_bytes, "disk reserve reached: what takes space is refused until more is free; make room or enlarge the disk");
            }
            (true, false) => info!(folder = %self.folder.display(), ?free, "disk reserve is free again: writes are taken"),
            (true, true) | (false, false) => {}
        }
        looked.short = short;
        short
    }

    /// Bytes an unprivileged process may still write; none when the system does not say.
    fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.folder)
    }
}

/// Bytes an unprivileged process may still write to this folder's file system; none when the system does not say.
pub(crate) fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    rustix::fs::statvfs(folder).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_reserve_decides_and_an_unknown_disk_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let short = |folder: PathBuf, reserve| Room::new(folder, reserve).is_short();
        assert!(!short(folder.path().to_owned(), 1));
        assert!(short(folder.path().to_owned(), u64::MAX));
        assert!(!short(folder.path().join("missing"), 0), "no reserve, no question");
        assert!(short(folder.path().join("missing"), 1));
    }

    #[test]
    fn an_answer_is_believed_for_a_moment_only() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        let room = Room::new(inside.clone(), 1);
        assert!(!room.is_short());
        std::fs::remove_dir(&inside).unwrap();
        assert!(!room.is_short(), "asked again too soon");
        std::thread::sleep(BELIEVED);
        assert!(room.is_short());
    }
}
