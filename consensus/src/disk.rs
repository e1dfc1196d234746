//! The few things the log asks of a disk, so that a test can be the disk.
//!
//! Decides: what counts as durable (what was written through a file of [`OsDisk`] when `write_at` returned; a name, when `create`
//! or `rename` returned). Trusts: the kernel. Out of scope: what is written (`log`). Protocol section 5.1.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// Bytes zeroed at a time when a segment is made.
const ZERO_CHUNK_BYTES: u64 = 1024 * 1024;

/// Where log segments live.
pub trait Disk: Send + Sync + 'static {
    /// Makes a file of `bytes` zero bytes; contents and name are durable on return. Replaces a file of that name.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file within its folder; durable on return.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// One file.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes at an offset and says how many bytes were taken.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;
    /// Reads at an offset and says how many bytes were read; 0 at the end.
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize>;
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// The operating system's files, opened so that a write is durable when it returns (`O_DSYNC`): on pre-zeroed files this is one
/// system call a group of entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

struct OsFile(File);

impl Disk for OsDisk {
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

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let flags = rustix::fs::OFlags::DSYNC.bits() as i32;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        Ok(Arc::new(OsFile(file)))
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
        self.0.write_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(()) // O_DSYNC: `write_at` returned after the data was durable.
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(bytes, at)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Makes the name of a file durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads exactly `bytes.len()` bytes; an early end is an error.
pub(crate) fn read_exact(file: &dyn DiskFile, mut at: u64, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let len = file.read_at(at, bytes)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += len as u64;
        bytes = bytes.split_at_mut(len).1;
    }
    Ok(())
}
