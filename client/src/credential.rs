//! A user's credential: an Ed25519 seed, its file, and what it signs.
//!
//! Decides: a credential file is made once, for its owner alone (mode 0600), is never overwritten, and is refused when others can read
//! it. The user's id follows from the public half.
//! Trusts: the file system to keep permissions. Out of scope: enrolment of further devices, recovery keys. Protocol section 9.

use crate::entropy;
use crate::seed_file::{self, SeedFileError};
use ed25519_dalek::SigningKey;
use ringwall_wire::ids::{CredPublic, UserId};
use ringwall_wire::secret::Secret;
use std::path::{Path, PathBuf};

/// First line of a credential file.
const HEADER: &str = "ringwall credential 1";

/// An Ed25519 credential. Dropped, it leaves no trace in memory.
#[derive(Clone)]
pub struct Credential {
    seed: Secret<32>,
}

impl core::fmt::Debug for Credential {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Credential({})", self.user())
    }
}

/// Why a credential file was not made or not read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// There is a file already.
    #[error("{} exists and is not overwritten: a lost credential is lost data. Move it away first, or name another file", .path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:03o}); run: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no credential.
    #[error("{} is no credential file: it should hold the line \"{HEADER}\" and a line of 64 hex digits", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl CredentialError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            CredentialError::Exists { .. } => "RW-C-CREDENTIAL-EXISTS",
            CredentialError::Exposed { .. } => "RW-C-CREDENTIAL-EXPOSED",
            CredentialError::Malformed { .. } => "RW-C-CREDENTIAL-MALFORMED",
            CredentialError::Io { .. } => "RW-C-CREDENTIAL-IO",
        }
    }
}

impl Credential {
    /// Makes a new one.
    pub fn generate() -> Self {
        Credential { seed: Secret::from_mut(&mut entropy::bytes()) }
    }

    /// Takes a seed from elsewhere: 32 uniformly random bytes.
    pub fn from_seed(seed: Secret<32>) -> Self {
        Credential { seed }
    }

    /// The same, for the core.
    pub(crate) fn into_device(self) -> ringwall_session::credential::Credential {
        ringwall_session::credential::Credential::from_seed(self.seed)
    }

    /// The public half.
    pub fn public(&self) -> CredPublic {
        CredPublic(self.signing_key().verifying_key().to_bytes())
    }

    /// The user it names.
    pub fn user(&self) -> UserId {
        UserId::of(&self.public())
    }

    /// The key that signs; wiped by its own type when dropped.
    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(self.seed.expose())
    }

    /// Makes a new credential in a new file that its owner alone can read, on stable storage when this returns.
    pub fn create(path: &Path) -> Result<Self, CredentialError> {
        Ok(Credential { seed: seed_file::create(path, HEADER)? })
    }

    /// Reads a credential file, and refuses one that others can read.
    pub fn read(path: &Path) -> Result<Self, CredentialError> {
        Ok(Credential { seed: seed_file::read(path, HEADER)? })
    }
}

impl From<SeedFileError> for CredentialError {
    fn from(fault: SeedFileError) -> Self {
        match fault {
            SeedFileError::Exists { path } => CredentialError::Exists { path },
            SeedFileError::Exposed { path, mode } => CredentialError::Exposed { path, mode },
            SeedFileError::Malformed { path, .. } => CredentialError::Malformed { path },
            SeedFileError::Io { path, source } => CredentialError::Io { path, source },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_round_trips_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me");
        let made = Credential::create(&path).unwrap();
        let read = Credential::read(&path).unwrap();
        assert_eq!(made.public(), read.public());
        assert_eq!(made.user(), UserId::of(&made.public()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me");
        let made = Credential::create(&path).unwrap();
        assert!(matches!(Credential::create(&path), Err(CredentialError::Exists { .. })));
        assert_eq!(Credential::read(&path).unwrap().public(), made.public(), "the first credential is still there");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me");
        Credential::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(Credential::read(&path), Err(CredentialError::Exposed { mode: got, .. }) if got == mode));
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me");
        Credential::create(&path).unwrap();
        std::fs::write(&path, "ringwall credential 9\n").unwrap();
        assert!(matches!(Credential::read(&path), Err(CredentialError::Malformed { .. })));
    }

    #[test]
    fn nothing_printed_holds_the_seed() {
        let credential = Credential::from_seed(Secret::new([0xab; 32]));
        assert!(!format!("{credential:?}").contains("abab"));
    }
}
