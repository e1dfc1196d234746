//! The escrow file: what restores a user beside the phrase.
//!
//! Decides: an escrow is read bounded and whole, belongs to one cluster and user, and opens under one phrase; each of the ways it can be the wrong one has
//! its name. It is ciphertext: any place will do for a copy. Trusts: `keys`. Out of scope: what a restored device may do (the cluster). Protocol section 9.

use crate::entropy::Entropy;
use crate::private::private;
use ringwall_keys::{Phrase, UserKey};
use ringwall_session::ops;
use ringwall_session::ops::escrow::OtherPhrase;
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClusterId, UserId};
use ringwall_wire::user::UserEscrow;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of an escrow file.
const ESCROW_FILE_BYTES: u64 = 4 * 1024;

/// Why an escrow is of no use.
#[derive(Debug, thiserror::Error)]
pub enum EscrowError {
    /// It is none: cut off, altered, or another file.
    #[error("{} is no escrow: it is cut off, altered, or another file. Use another copy of it", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
    },
    /// It belongs to another cluster.
    #[error("the escrow is of cluster {got}, pinned is {pinned}")]
    OtherCluster {
        /// Its cluster.
        got: ClusterId,
        /// The pinned one.
        pinned: ClusterId,
    },
    /// It belongs to another user.
    #[error("the escrow is of user {got}, wanted is {wanted}")]
    OtherUser {
        /// Its user.
        got: UserId,
        /// The one that was named.
        wanted: UserId,
    },
    /// It opens under another phrase, or was altered.
    #[error("the escrow does not open under this phrase: it belongs to another one, perhaps an earlier one, or was altered")]
    OtherPhrase,
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl EscrowError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            EscrowError::Malformed { .. } => "RW-C-ESCROW-MALFORMED",
            EscrowError::OtherCluster { .. } => "RW-C-ESCROW-OTHER-CLUSTER",
            EscrowError::OtherUser { .. } => "RW-C-ESCROW-OTHER-USER",
            EscrowError::OtherPhrase => "RW-C-ESCROW-OTHER-PHRASE",
            EscrowError::Io { .. } => "RW-C-ESCROW-IO",
        }
    }
}

/// A new phrase.
pub(crate) fn new_phrase() -> Phrase {
    ops::escrow::new_phrase(&mut Entropy)
}

/// Seals what restores `user` under `phrase`.
pub(crate) fn make(phrase: &Phrase, cluster_id: ClusterId, user: UserId, seq: u64, user_key: Option<&UserKey>) -> UserEscrow {
    ops::escrow::make(phrase, (cluster_id, user), seq, user_key, Box::new(Entropy))
}

/// Opens an escrow: the user's own key, if it holds one.
pub(crate) fn open(phrase: &Phrase, escrow: &UserEscrow) -> Result<Option<UserKey>, EscrowError> {
    ops::escrow::open(phrase, escrow).map_err(|_: OtherPhrase| EscrowError::OtherPhrase)
}

/// Reads an escrow file.
pub fn read_escrow(path: &Path) -> Result<UserEscrow, EscrowError> {
    let failed = |source| EscrowError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(ESCROW_FILE_BYTES).read_to_end(&mut bytes)).map_err(failed)?;
    UserEscrow::decode(&bytes).map_err(|_| EscrowError::Malformed { path: path.into() })
}

/// Writes an escrow to a new file, on stable storage when this returns.
pub fn write_escrow(path: &Path, escrow: &UserEscrow) -> Result<(), EscrowError> {
    let failed = |source| EscrowError::Io { path: path.into(), source };
    let mut file = private().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(&escrow.encode()).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::secret::Secret;

    #[test]
    fn an_escrow_comes_back_from_its_file_and_a_cut_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("escrow");
        let (phrase, key) = (new_phrase(), UserKey::from_seed(Secret::new([7; 32])));
        write_escrow(&path, &make(&phrase, ClusterId([1; 32]), UserId([2; 20]), 3, Some(&key))).unwrap();
        let opened = open(&phrase, &read_escrow(&path).unwrap()).unwrap().unwrap();
        assert!(opened.seed().same(key.seed()));
        assert!(matches!(open(&new_phrase(), &read_escrow(&path).unwrap()), Err(EscrowError::OtherPhrase)));
        assert!(matches!(write_escrow(&path, &read_escrow(&path).unwrap()), Err(EscrowError::Io { .. })), "an escrow is not overwritten");
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read_escrow(&path), Err(EscrowError::Malformed { .. })), "{length} bytes");
        }
        std::fs::write(&path, [whole.as_slice(), &[0]].concat()).unwrap();
        assert!(matches!(read_escrow(&path), Err(EscrowError::Malformed { .. })));
    }
}
