//! Where a case lies: a path on a disk, or in a set that somebody read before.
//!
//! Decides: how much of a file and of a folder is looked at, and that names count whatever the case of their letters. The rules of cases ask a [`Place`] and
//! never a disk, so that they are the same where there is none. Trusts: nothing; a case may hold links, pipes and files of any size.
//! Out of scope: what the bytes mean; sets in memory (`packed.rs`).

use super::case::CaseError;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Entries of a folder that are looked at: the shared vectors have under a hundred a kind.
pub(super) const FOLDER_ENTRIES: usize = 10_000;
/// Bytes of any file of a case: the largest honest one is collateral of about 100 KiB.
pub(super) const FILE_BYTES: usize = 2 * 1024 * 1024;

/// What holds files.
pub trait Files: Debug + Send + Sync {
    /// Whether a regular file is there.
    fn is_file(&self, path: &Path) -> bool;
    /// Whether a folder is there.
    fn is_dir(&self, path: &Path) -> bool;
    /// What is in a folder, in any order, and no more than `most`.
    fn list(&self, folder: &Path, most: usize) -> io::Result<Vec<PathBuf>>;
    /// A file's first `most` bytes.
    fn read(&self, path: &Path, most: usize) -> io::Result<Vec<u8>>;
}

/// This machine's files.
#[derive(Clone, Copy, Debug)]
struct Disk;

impl Files for Disk {
    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, folder: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.take(most).map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn read(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A path, and what holds the files it leads to.
#[derive(Clone, Debug)]
pub struct Place {
    files: Arc<dyn Files>,
    path: PathBuf,
}

impl Place {
    /// A path among these files.
    pub fn new(files: Arc<dyn Files>, path: PathBuf) -> Self {
        Place { files, path }
    }

    /// A path on this machine, as it is written.
    pub fn on_disk(path: &Path) -> Self {
        Self::new(Arc::new(Disk), path.to_owned())
    }

    /// A folder on this machine, whatever links lead to it.
    pub(super) fn found_on_disk(path: &Path) -> Result<Self, CaseError> {
        let whole = fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self::on_disk(&whole))
    }

    fn at(&self, path: PathBuf) -> Self {
        Self::new(Arc::clone(&self.files), path)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its last part; empty for a set's own folder.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The folder it is in.
    pub(super) fn above(&self) -> Option<Self> {
        self.path.parent().map(|path| self.at(path.to_owned()))
    }

    /// What is called `inside` in it.
    pub(super) fn join(&self, inside: impl AsRef<Path>) -> Self {
        self.at(self.path.join(inside))
    }

    /// Whether a regular file is here.
    pub(super) fn is_file(&self) -> bool {
        self.files.is_file(&self.path)
    }

    /// Whether a folder is here.
    pub(super) fn is_dir(&self) -> bool {
        self.files.is_dir(&self.path)
    }

    /// The file called `name` in this folder: by exactly this name, else by the same letters in another case.
    pub(super) fn named(&self, name: &str) -> Option<Self> {
        let exact = self.join(name);
        if exact.is_file() {
            return Some(exact);
        }
        let listed = self.files.list(&self.path, FOLDER_ENTRIES).ok()?;
        let inside = listed.into_iter().map(|path| self.at(path));
        inside.filter(|place| place.name().eq_ignore_ascii_case(name) && place.is_file()).min_by(|a, b| a.path.cmp(&b.path))
    }

    /// All bytes of this regular file, or its first `FILE_BYTES` + 1, which no container takes.
    pub(super) fn read(&self) -> Result<Vec<u8>, CaseError> {
        // a pipe would never end, and opening one waits
        if !self.is_file() {
            return Err(CaseError::Unreadable { path: self.path.clone(), reason: "not a regular file".to_owned() });
        }
        self.files.read(&self.path, FILE_BYTES.saturating_add(1)).map_err(|error| unreadable(&self.path, &error))
    }

    /// The bytes of the first of `names` that is in this folder.
    pub(super) fn first(&self, names: &[&str]) -> Result<Option<Vec<u8>>, CaseError> {
        names.iter().find_map(|name| self.named(name)).map(|place| place.read()).transpose()
    }

    /// Folders in which shared files of a case are looked for: its own, then up to three above, each also under the name of its kind.
    pub(super) fn around(&self, kind: &str) -> Vec<Self> {
        self.path.ancestors().take(4).flat_map(|above| [self.at(above.to_owned()), self.at(above.join(kind))]).collect()
    }

    /// What is in this folder, by name.
    pub(super) fn entries(&self) -> Result<Vec<Self>, CaseError> {
        let mut listed = self.files.list(&self.path, FOLDER_ENTRIES.saturating_add(1)).map_err(|error| unreadable(&self.path, &error))?;
        if listed.len() > FOLDER_ENTRIES {
            return Err(CaseError::Unreadable { path: self.path.clone(), reason: format!("more than {FOLDER_ENTRIES} entries") });
        }
        listed.sort();
        Ok(listed.into_iter().map(|path| self.at(path)).collect())
    }

    /// The folders in this one, by name.
    pub(super) fn folders(&self) -> Result<Vec<Self>, CaseError> {
        Ok(self.entries()?.into_iter().filter(Self::is_dir).collect())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> CaseError {
    CaseError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

/// A path of a case as it stands in `case.json`: below the folder it is joined to, never above or elsewhere.
pub(super) fn below(text: &str) -> Option<PathBuf> {
    let path = Path::new(text.trim());
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !path.as_os_str().is_empty()).then(|| path.to_owned())
}
