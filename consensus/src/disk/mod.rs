//! The few things a replica asks of a disk, so that a test can be the disk. Nothing else here touches files.
//!
//! Decides: what counts as durable (what was written through a file when [`DiskFile::sync`] returned; a name, when `create`,
//! `create_empty` or `rename` returned; a removal, when the next of them in the same folder returned).
//! Trusts: nothing that is read back: who reads compares first. Out of scope: what is written (`log`, `machine`).
//! Protocol section 5.1.

pub(crate) mod authentic;
#[cfg(test)]
mod authentic_tests;
pub mod fault;
pub(crate) mod flow;
mod keyed;
#[cfg(any(test, feature = "faults"))]
pub mod memory;
mod os;

pub use authentic::TAG_BYTES;
pub use fault::DiskFault;
pub use os::OsDisk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the files of a replica live: log segments, database, snapshots.
pub trait Disk: Send + Sync + 'static {
    /// Makes a folder and those above it; an existing one is fine.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// Everything in a folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes a file of `bytes` zero bytes; contents and name are durable on return. Replaces a file of that name.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes an empty file whose writes may wait for [`DiskFile::sync`]; the name is durable on return. It must not exist.
    fn create_empty(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file within its folder, over one that has the name already; durable on return. What is open stays open.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. What is open stays readable. The removal itself may be undone by a crash.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// One file.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes at an offset, growing the file if need be, and says how many bytes were taken.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;
    /// Reads at an offset and says how many bytes were read; 0 at the end.
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize>;
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts the file off, or makes it longer with zeroes.
    fn set_size(&self, bytes: u64) -> io::Result<()>;
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

/// Writes all of `bytes` in one call: a disk that takes less is a disk that fails.
pub(crate) fn write_whole(file: &dyn DiskFile, at: u64, bytes: &[u8]) -> io::Result<()> {
    match file.write_at(at, bytes)? {
        written if written == bytes.len() => Ok(()),
        taken => Err(DiskFault::Short { taken, wanted: bytes.len() }.into()),
    }
}
