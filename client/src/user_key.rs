//! What lies beside a credential file: the user's own key, and whose device it is.
//!
//! Decides: where they lie (`CREDENTIAL.userkey`, `CREDENTIAL.user`) and that the key is kept as a credential is: made once, for its owner alone, never
//! overwritten. All devices of a user hold the same one. The user's id is no secret; a first device needs no such file, its credential names the user. Trusts: the file system to keep permissions. Out of scope: what the key gives (`keys`). Protocol section 7.4.

use crate::seed_file::{self, SeedFileError};
use ringwall_keys::UserKey;
use ringwall_wire::ids::UserId;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// First line of a user key file.
const HEADER: &str = "ringwall user key 1";
/// Bytes of the file that says whose device a credential is: 40 hex digits and a line end, with room for a mistake to be seen.
const USER_FILE_BYTES: u64 = 256;

/// Where the key of the user of this credential file lies.
pub fn user_key_path(credential: &Path) -> PathBuf {
    let mut name = OsString::from(credential.as_os_str());
    name.push(".userkey");
    name.into()
}

/// Makes a new key in a new file that its owner alone can read, on stable storage when this returns.
pub fn create_user_key(path: &Path) -> Result<UserKey, SeedFileError> {
    seed_file::create(path, HEADER).map(UserKey::from_seed)
}

/// Writes a key that came from another device, or from an escrow, to a new file.
pub fn keep_user_key(path: &Path, key: &UserKey) -> Result<(), SeedFileError> {
    seed_file::keep(path, HEADER, key.seed())
}

/// Where it stands whose device this credential is.
pub fn user_path(credential: &Path) -> PathBuf {
    let mut name = OsString::from(credential.as_os_str());
    name.push(".user");
    name.into()
}

/// Whose device this credential is; none when there is no such file, and the credential names its user.
pub fn read_user(credential: &Path) -> std::io::Result<Option<UserId>> {
    let mut text = String::new();
    match std::fs::File::open(user_path(credential)) {
        Ok(file) => file.take(USER_FILE_BYTES).read_to_string(&mut text)?,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let user = text.trim().parse().map_err(|_| std::io::Error::other("it should hold one line, a user id of 40 hex digits"))?;
    Ok(Some(user))
}

/// Notes whose device this credential is; what is noted already must be the same.
pub fn write_user(credential: &Path, user: &UserId) -> std::io::Result<()> {
    match read_user(credential)? {
        Some(noted) if noted == *user => return Ok(()),
        Some(noted) => return Err(std::io::Error::other(format!("this credential is noted as a device of user {noted}"))),
        None => {}
    }
    let mut file = std::fs::File::options().write(true).create_new(true).open(user_path(credential))?;
    file.write_all(format!("{user}\n").as_bytes()).and_then(|()| file.sync_all())
}

/// Reads a user key file, and refuses one that others can read.
pub fn read_user_key(path: &Path) -> Result<UserKey, SeedFileError> {
    seed_file::read(path, HEADER).map(UserKey::from_seed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Credential;

    #[test]
    fn a_key_is_kept_beside_its_credential_and_is_no_credential() {
        let folder = tempfile::tempdir().unwrap();
        let credential = folder.path().join("me");
        let path = user_key_path(&credential);
        assert_eq!(path, folder.path().join("me.userkey"));
        let made = create_user_key(&path).unwrap();
        assert!(made.seed().same(read_user_key(&path).unwrap().seed()));
        assert!(matches!(create_user_key(&path), Err(SeedFileError::Exists { .. })));
        assert!(Credential::read(&path).is_err(), "one kind of seed is taken for another");
    }
}
