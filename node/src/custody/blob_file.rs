//! The recovery file: what a node whose memory is gone needs beside shares, as a plain file in the data folder.
//!
//! Decides: the file of the active dealing stands outside the folders of lives, which are removed; it is replaced whole, by a rename, each time the record
//! has another blob. What it holds is sealed and public alike: the signed manifest and the master keys under the recovery key.
//! Trusts: nothing in it: a reader judges manifest, evidence and tag. Out of scope: reading it (recovery). Protocol section 6.1; layout: docs/formats.md.

use crate::folders;
use ringwall_consensus::{Custody, Held};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::custody::RecoveryFile;
use ringwall_wire::ids::{Digest, KeyEpoch};
use ringwall_wire::limits::RECOVERY_FILE_BYTES;
use std::path::{Path, PathBuf};

/// Its name in the data folder.
pub const RECOVERY_FILE: &str = ringwall_wire::assist::RECOVERY_NAME;
/// The next one while it is written.
const BESIDE: &str = "recovery.blob.new";

/// Why the file is not there, or no recovery file.
#[derive(Debug, thiserror::Error)]
pub enum BlobFileError {
    /// The system.
    #[error("{path}: {cause}; check the data folder, its owner and its room", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Larger than any such file.
    #[error("{path}: above {max} bytes; this is no recovery file", path = path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// Not one of ours.
    #[error("{path}: {cause}; this is no recovery file, or it was damaged: take the one of another node", path = path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: DecodeError,
    },
}

/// What was written last by this process.
#[derive(Debug, Default)]
pub(crate) struct Written(Option<(Digest, KeyEpoch)>);

impl Written {
    /// Writes the file again if the record has another blob than it holds.
    pub(crate) async fn follow(&mut self, data: &Path, custody: &Custody) -> Result<(), BlobFileError> {
        let Some((held, recovery)) = custody.active.as_ref().and_then(|held| Some((held, held.recovery.as_ref()?))) else {
            return Ok(());
        };
        let now = (held.hash, recovery.newest_key);
        if self.0 == Some(now) {
            return Ok(());
        }
        let (path, file) = (data.join(RECOVERY_FILE), of(held, recovery.clone()));
        let beside = data.join(BESIDE);
        let writing = tokio::task::spawn_blocking(move || {
            folders::replace(&folders::anew(), &beside, &path, &file.encode()).map_err(|cause| BlobFileError::Io { path, cause })
        });
        writing.await.unwrap_or_else(|fault| {
            let cause = std::io::Error::other(fault.to_string());
            Err(BlobFileError::Io { path: data.join(RECOVERY_FILE), cause })
        })?;
        self.0 = Some(now);
        tracing::info!(custody_epoch = %held.custody_epoch(), key_epoch = %now.1, "the recovery file is written");
        Ok(())
    }
}

/// What the file of an active dealing holds.
pub(crate) fn of(held: &Held, recovery: ringwall_wire::custody::RecoveryBlob) -> RecoveryFile {
    RecoveryFile { manifest: held.dealing.manifest.clone(), exchange: held.dealing.exchange.clone(), recovery }
}

/// Writes a file into a folder that is made for it.
pub(crate) fn put(folder: &Path, file: &RecoveryFile) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    folders::replace(&folders::anew(), &folder.join(BESIDE), &folder.join(RECOVERY_FILE), &file.encode())
}

/// Reads the file of a data folder; none if there is none.
pub fn read(data: &Path) -> Result<Option<RecoveryFile>, BlobFileError> {
    let path = data.join(RECOVERY_FILE);
    let io = |cause| BlobFileError::Io { path: path.clone(), cause };
    let Some(bytes) = folders::read_most(&path, RECOVERY_FILE_BYTES).map_err(io)? else { return Ok(None) };
    if bytes.len() > RECOVERY_FILE_BYTES {
        return Err(BlobFileError::TooLarge { path, max: RECOVERY_FILE_BYTES });
    }
    RecoveryFile::decode(&bytes).map(Some).map_err(|cause| BlobFileError::NotOurs { path, cause })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use ringwall_wire::sample::{Sample as _, Source};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn active(seed: u64) -> Custody {
        let mut source = Source::new(seed);
        let dealing = ringwall_wire::custody::Dealing::sample(&mut source);
        let recovery = Some(ringwall_wire::custody::RecoveryBlob::sample(&mut source));
        let hash = Digest(dealing.manifest.manifest.digest());
        let held = Held { hash, dealing, dealt_ms: 0, recovery, acks: BTreeMap::new(), proofs: BTreeMap::new(), drills: None };
        Custody { active: Some(Arc::new(held)), ..Custody::default() }
    }

    #[tokio::test]
    async fn the_file_is_that_of_the_active_dealing_and_is_replaced_whole() {
        let data = tempfile::tempdir().unwrap();
        assert!(read(data.path()).unwrap().is_none());
        let mut written = Written::default();
        written.follow(data.path(), &Custody::default()).await.unwrap();
        assert!(read(data.path()).unwrap().is_none(), "nothing is active");
        for seed in [1, 2] {
            let custody = active(seed);
            written.follow(data.path(), &custody).await.unwrap();
            let held = custody.active.as_ref().unwrap();
            let file = read(data.path()).unwrap().unwrap();
            assert_eq!(file, of(held, held.recovery.clone().unwrap()));
        }
        assert!(!data.path().join(BESIDE).exists());
        // A file that is there already is not written at every look.
        std::fs::remove_file(data.path().join(RECOVERY_FILE)).unwrap();
        written.follow(data.path(), &active(2)).await.unwrap();
        assert!(read(data.path()).unwrap().is_none());
    }

    #[test]
    fn what_is_no_recovery_file_is_refused_by_name() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(RECOVERY_FILE);
        std::fs::write(&path, b"garbage").unwrap();
        assert!(matches!(read(data.path()), Err(BlobFileError::NotOurs { .. })));
        std::fs::write(&path, vec![0; RECOVERY_FILE_BYTES + 1]).unwrap();
        assert!(matches!(read(data.path()), Err(BlobFileError::TooLarge { .. })));
    }
}
