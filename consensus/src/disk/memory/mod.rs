//! A whole disk in memory, for tests: it forgets what was not synced, and it can be a bad or a hostile disk.
//!
//! Decides: what a running process sees, and apart from it what a power cut leaves. Deterministic: equal calls, equal contents.
//! Trusts: nothing. Out of scope: real files (`os`); it is compiled for tests only (feature `faults`). Protocol section 5.1.

mod sheet;

use crate::disk::{Disk, DiskFile};
use sheet::Sheet;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A disk in memory; clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    platter: Arc<Mutex<Platter>>,
}

/// Everything on it.
#[derive(Clone, Default)]
struct Platter {
    /// Names as the process sees them.
    names: BTreeMap<PathBuf, u64>,
    /// Names after a power cut.
    durable_names: BTreeMap<PathBuf, u64>,
    folders: std::collections::BTreeSet<PathBuf>,
    files: BTreeMap<u64, Content>,
    made: u64,
}

/// One file, whatever its names.
#[derive(Clone, Default)]
struct Content {
    seen: Sheet,
    durable: Sheet,
}

struct MemoryFile {
    platter: Arc<Mutex<Platter>>,
    file: u64,
    writable: bool,
}

impl MemoryDisk {
    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: u64, writable: bool) -> Arc<dyn DiskFile> {
        Arc::new(MemoryFile { platter: Arc::clone(&self.platter), file, writable })
    }

    /// What a power cut now would leave if everything not synced were lost: another disk.
    pub fn durable_image(&self) -> MemoryDisk {
        let platter = self.lock();
        let mut image = platter.clone();
        drop(platter);
        image.names.clone_from(&image.durable_names);
        for content in image.files.values_mut() {
            content.seen.clone_from(&content.durable);
        }
        MemoryDisk { platter: Arc::new(Mutex::new(image)) }
    }

    /// The same contents on another disk.
    pub fn copy(&self) -> MemoryDisk {
        MemoryDisk { platter: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// Puts back everything `image` holds. Files that are open stay open, over the contents of then.
    pub fn roll_back(&self, image: &MemoryDisk) {
        let image = image.lock().clone();
        let mut platter = self.lock();
        let made = platter.made;
        *platter = image;
        platter.made = made.max(platter.made);
    }

    /// Names of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }

    /// The bytes of a file as the process sees them.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let platter = self.lock();
        let file = platter.names.get(path)?;
        platter.files.get(file).map(|content| content.seen.to_vec())
    }

    /// Changes bytes behind the process's back, durably.
    pub fn edit(&self, path: &Path, at: u64, bytes: &[u8]) -> bool {
        let mut platter = self.lock();
        let Some(file) = platter.names.get(path).copied() else { return false };
        let Some(content) = platter.files.get_mut(&file) else { return false };
        content.seen.write(at, bytes);
        content.durable.write(at, bytes);
        true
    }
}

impl Platter {
    fn look_up(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A new file under a name; both durable.
    fn make(&mut self, path: &Path, bytes: u64) -> u64 {
        self.made += 1;
        let sheet = Sheet::zeroes(bytes);
        self.files.insert(self.made, Content { seen: sheet.clone(), durable: sheet });
        self.names.insert(path.to_path_buf(), self.made);
        self.sync_names(path);
        self.made
    }

    /// Makes the names in the folder of `path` durable.
    fn sync_names(&mut self, path: &Path) {
        let folder = path.parent();
        self.durable_names.retain(|other, _| other.parent() != folder);
        let here = self.names.iter().filter(|(other, _)| other.parent() == folder);
        self.durable_names.extend(here.map(|(other, file)| (other.clone(), *file)));
    }
}

impl Disk for MemoryDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut platter = self.lock();
        platter.folders.extend(folder.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let platter = self.lock();
        let inside = |path: &&PathBuf| path.parent() == Some(folder);
        let mut found: Vec<PathBuf> = platter.names.keys().filter(inside).cloned().collect();
        found.extend(platter.folders.iter().filter(inside).cloned());
        if found.is_empty() && !platter.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        found.sort();
        Ok(found)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.lock().make(path, bytes);
        Ok(self.file(file, true))
    }

    fn create_empty(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut platter = self.lock();
        if platter.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = platter.make(path, 0);
        drop(platter);
        Ok(self.file(file, true))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.lock().look_up(path)?;
        Ok(self.file(file, true))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.lock().look_up(path)?;
        Ok(self.file(file, false))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.lock();
        let file = platter.look_up(from)?;
        platter.names.remove(from);
        platter.names.insert(to.to_path_buf(), file);
        platter.sync_names(to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.lock();
        platter.look_up(path)?;
        platter.names.remove(path);
        Ok(())
    }
}

impl MemoryFile {
    fn with<T>(&self, look: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        let mut platter = self.platter.lock().unwrap_or_else(PoisonError::into_inner);
        // After a roll back to a time before the file was made there is nothing behind the handle.
        let content = platter.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
        look(content)
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.with(|content| {
            content.seen.write(at, bytes);
            Ok(bytes.len())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|content| {
            content.durable.clone_from(&content.seen);
            Ok(())
        })
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.with(|content| Ok(content.seen.read(at, bytes)))
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|content| Ok(content.seen.len()))
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.with(|content| {
            content.seen.set_len(bytes);
            Ok(())
        })
    }
}
