//! The folder a custodian keeps: who may read it, and how its files are written.
//!
//! Decides: folder and files are their owner's alone (0700 and 0600) and are not used when others can read them; every file is put in place whole
//! (written beside, synced, renamed, folder synced), so that a run that is cut off at any moment leaves the file of before or the new one, and
//! what it left beside is removed by the next; one run at a time, by a lock. Everything read is bounded.
//! Trusts: the file system to keep files, permissions and locks. Out of scope: what is in the files. docs/formats.md, "Files of a custodian".

use super::cut;
use crate::private::{private, sync_folder};
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Ending of a file that is being written.
const BESIDE: &str = ".new";
/// Name of the file the lock is on.
const LOCK: &str = "lock";
/// Permission bits of others than the owner.
const OTHERS: u32 = 0o077;

/// Why the folder or a file in it was not used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is no such folder.
    #[error("{} is no folder of a custodian: `ringwall custodian init` makes one", .path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{} holds a custodian's keys already and they are not overwritten: name another folder with --home", .path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:03o}); run: chmod {wanted:03o} {}", .path.display(), .path.display())]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The bits it should have.
        wanted: u32,
    },
    /// Another run uses it.
    #[error("{} is in use by another run of ringwall; wait until it has ended", .path.display())]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// A file is larger than it can be.
    #[error("{} is longer than {most} bytes, which is the most it can be; is it another file?", .path.display())]
    TooLarge {
        /// Where.
        path: PathBuf,
        /// Most bytes.
        most: usize,
    },
    /// The system refused.
    #[error("{}: {source}; what was kept before is still there: put that right and run the same command again", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl HomeError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            HomeError::Missing { .. } => "RW-C-CUSTODIAN-NO-HOME",
            HomeError::Exists { .. } => "RW-C-CUSTODIAN-EXISTS",
            HomeError::Exposed { .. } => "RW-C-CUSTODIAN-EXPOSED",
            HomeError::InUse { .. } => "RW-C-CUSTODIAN-IN-USE",
            HomeError::TooLarge { .. } => "RW-C-CUSTODIAN-TOO-LARGE",
            HomeError::Io { .. } => "RW-C-CUSTODIAN-IO",
        }
    }
}

/// The folder, locked for this run.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    /// Makes the folder, or takes one whose making was cut off.
    pub fn create(path: &Path) -> Result<Self, HomeError> {
        let failed = |source| HomeError::Io { path: path.into(), source };
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(failed)?;
        sync_folder(path).map_err(failed)?;
        Self::open(path)
    }

    /// Opens the folder.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let about = match std::fs::metadata(path) {
            Ok(about) if about.is_dir() => about,
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(HomeError::Io { path: path.into(), source }),
            _ => return Err(HomeError::Missing { path: path.into() }),
        };
        its_owners_alone(path, &about, 0o700)?;
        let lock_path = path.join(LOCK);
        let failed = |source| HomeError::Io { path: lock_path.clone(), source };
        let lock = private().write(true).create(true).truncate(false).open(&lock_path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(HomeError::InUse { path: path.into() }),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Home { path: path.into(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of it is.
    pub fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether there is such a file.
    pub fn has(&self, name: &str) -> bool {
        self.place(name).exists()
    }

    /// A file of at most `most` bytes; none when there is none.
    pub fn read(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>, HomeError> {
        let path = self.place(name);
        let failed = |source| HomeError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(failed(fault)),
        };
        its_owners_alone(&path, &file.metadata().map_err(failed)?, 0o600)?;
        let mut bytes = Vec::new();
        file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        match bytes.len() > most {
            true => Err(HomeError::TooLarge { path, most }),
            false => Ok(Some(bytes)),
        }
    }

    /// Puts a file in place of what is there, whole or not at all, on stable storage when this returns. Folders on the way are made.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let path = self.place(name);
        let failed = |source| HomeError::Io { path: path.clone(), source };
        self.make_folders(name).map_err(failed)?;
        replace(&path, bytes).map_err(failed)
    }

    /// The same, unless these very bytes are there already.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        match self.read(name, bytes.len()) {
            Ok(Some(kept)) if kept == bytes => Ok(()),
            Ok(_) | Err(HomeError::TooLarge { .. }) => self.replace(name, bytes),
            Err(fault) => Err(fault),
        }
    }

    /// Adds to the end of a file, on stable storage when this returns; first cuts it to `from` bytes, where a run that was cut off left more.
    pub fn append(&self, name: &str, from: u64, bytes: &[u8]) -> Result<(), HomeError> {
        let path = self.place(name);
        let failed = |source| HomeError::Io { path: path.clone(), source };
        let mut file = private().append(true).create(true).open(&path).map_err(failed)?;
        cut::here().map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > from {
            file.set_len(from).map_err(failed)?;
        }
        write_in_parts(&mut file, bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        cut::here().map_err(failed)?;
        sync_folder(&path).map_err(failed)
    }

    /// Names of folders in a folder of it, in order; none where there is no such folder.
    pub fn folders(&self, name: &str) -> Result<Vec<String>, HomeError> {
        let path = self.place(name);
        let failed = |source| HomeError::Io { path: path.clone(), source };
        let listed = match std::fs::read_dir(&path) {
            Ok(listed) => listed,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(fault) => return Err(failed(fault)),
        };
        let mut names = Vec::new();
        for entry in listed {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn make_folders(&self, name: &str) -> io::Result<()> {
        let Some((folders, _)) = name.rsplit_once('/') else { return Ok(()) };
        let mut path = self.path.clone();
        for folder in folders.split('/') {
            path.push(folder);
            let mut builder = DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(&path) {
                Ok(()) => sync_folder(&path)?,
                Err(fault) if fault.kind() == ErrorKind::AlreadyExists => {}
                Err(fault) => return Err(fault),
            }
            cut::here()?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn its_owners_alone(path: &Path, about: &std::fs::Metadata, wanted: u32) -> Result<(), HomeError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = about.permissions().mode() & 0o777;
    match mode & OTHERS {
        0 => Ok(()),
        _ => Err(HomeError::Exposed { path: path.into(), mode, wanted }),
    }
}

#[cfg(not(unix))]
fn its_owners_alone(_: &Path, _: &std::fs::Metadata, _: u32) -> Result<(), HomeError> {
    Ok(())
}

/// Puts a file in place, whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(BESIDE);
    let beside = PathBuf::from(beside);
    // What a run that was cut off left there belongs to nobody: this run has the lock.
    match std::fs::remove_file(&beside) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    cut::here()?;
    let mut file = private().write(true).create_new(true).open(&beside)?;
    write_in_parts(&mut file, bytes)?;
    file.sync_all()?;
    cut::here()?;
    std::fs::rename(&beside, path)?;
    cut::here()?;
    sync_folder(path)
}

/// Two writes, so that a test can cut a run off between them.
fn write_in_parts(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    cut::here()?;
    file.write_all(rest)?;
    cut::here()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn everything_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(&folder.path().join("me")).unwrap();
        home.replace("a/b/c", b"one").unwrap();
        home.append("journal", 0, b"two").unwrap();
        for (name, wanted) in [("", 0o700), ("a", 0o700), ("a/b", 0o700), ("a/b/c", 0o600), ("journal", 0o600), ("lock", 0o600)] {
            assert_eq!(mode(&home.place(name)), wanted, "{name}");
        }
        assert_eq!(home.folders("a").unwrap(), ["b"]);
        assert_eq!(home.folders("none").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_others_can_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me");
        let home = Home::create(&path).unwrap();
        home.replace("key", b"secret").unwrap();
        for bits in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(home.place("key"), std::fs::Permissions::from_mode(bits)).unwrap();
            assert!(matches!(home.read("key", 64), Err(HomeError::Exposed { mode, wanted: 0o600, .. }) if mode == bits));
        }
        drop(home);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(Home::open(&path), Err(HomeError::Exposed { mode: 0o750, wanted: 0o700, .. })));
    }

    #[test]
    fn one_run_at_a_time_and_nothing_larger_than_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me");
        let home = Home::create(&path).unwrap();
        assert!(matches!(Home::open(&path), Err(HomeError::InUse { .. })));
        home.replace("large", &[7; 65]).unwrap();
        assert!(matches!(home.read("large", 64), Err(HomeError::TooLarge { most: 64, .. })));
        assert_eq!(home.read("large", 65).unwrap().unwrap().len(), 65);
        assert!(home.read("none", 1).unwrap().is_none());
        drop(home);
        Home::open(&path).unwrap();
        assert!(matches!(Home::open(&folder.path().join("none")), Err(HomeError::Missing { .. })));
    }

    #[test]
    fn a_write_that_is_cut_off_leaves_the_old_file_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(&folder.path().join("me")).unwrap();
        home.replace("file", b"before").unwrap();
        let mut cuts = 0;
        for at in 0..64 {
            let whole = cut::after(at, || home.replace("file", b"after!"));
            let found = home.read("file", 64).unwrap().unwrap();
            assert!(found == b"before" || found == b"after!", "cut {at}: {found:?}");
            if whole.is_ok() {
                cuts = at;
                break;
            }
            home.replace("file", b"before").unwrap();
        }
        assert!(cuts >= 5, "only {cuts} places to cut at");
        assert_eq!(home.read("file", 64).unwrap().unwrap(), b"after!");
    }
}
