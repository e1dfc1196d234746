//! The operating system's files, the disk of every real node.
//!
//! Decides: log segments are opened so that a write is durable when it returns (`O_DSYNC`): on pre-zeroed files this is one system
//! call a group of entries. Everything else is written to the cache and made durable by `fdatasync`.
//! Trusts: the kernel to try. Out of scope: whether what comes back is what was written. Protocol section 5.1.

use crate::disk::{Disk, DiskFile};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes zeroed at a time when a segment is made.
const ZERO_CHUNK_BYTES: u64 = 1024 * 1024;

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

struct OsFile {
    file: File,
    /// Whether every write waits for the disk by itself.
    direct: bool,
}

impl Disk for OsDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = std::fs::read_dir(folder)?.map(|item| item.map(|item| item.path())).collect::<io::Result<Vec<_>>>()?;
        found.sort();
        Ok(found)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let zeroes = vec![0; ZERO_CHUNK_BYTES as usize];
        let mut at = 0;
        while at < bytes {
            let len = ZERO_CHUNK_BYTES.min(bytes - at);
            file.write_all_at(zeroes.split_at(len as usize).0, at)?;
            at += len;
        }
        file.sync_all()?;
        sync_parent(path)?;
        self.open(path)
    }

    fn create_empty(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        sync_parent(path)?;
        Ok(Arc::new(OsFile { file, direct: false }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let flags = rustix::fs::OFlags::DSYNC.bits() as i32;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        Ok(Arc::new(OsFile { file, direct: true }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile { file: File::open(path)?, direct: false }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)?;
        sync_parent(to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

impl DiskFile for OsFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        match self.direct {
            true => Ok(()), // O_DSYNC: `write_at` returned after the bytes were durable.
            false => self.file.sync_data(),
        }
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(bytes, at) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}

/// Makes the name of a file durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
