//! What everything that stores stands on: a folder, a disk, workers, and the fence that goes up when one of them fails.
//!
//! Decides: that all files of a replica go through one disk and all its blocking work through one set of workers.
//! Trusts: the caller to pass parts that belong together. Out of scope: what is stored. Protocol section 5.1.

use crate::disk::authentic::{Account, Authentic};
use crate::disk::{Disk, DiskFile};
use crate::fence::Fence;
use crate::options::Options;
use crate::seal::Sealing;
use crate::workers::{self, Workers};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Clones stand on the same ground.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) workers: Arc<dyn Workers>,
    pub(crate) fence: Fence,
    /// Who seals what is written, if anybody does.
    pub(crate) sealing: Option<Sealing>,
    /// Memory that the digests of its files take.
    pub(crate) account: Account,
    /// Whether files go without digests: to measure what those cost.
    #[cfg(any(test, feature = "faults"))]
    pub(crate) bare: bool,
    /// Bytes the database may keep in memory.
    pub(crate) cache_bytes: usize,
    /// The files made, under the names they were made with: so that a test can try other disks against their digests.
    #[cfg(any(test, feature = "faults"))]
    pub(crate) made: Made,
}

/// Files that are compared with memory, by name.
#[cfg(any(test, feature = "faults"))]
pub(crate) type Made = Arc<std::sync::Mutex<Vec<(PathBuf, std::sync::Weak<Authentic>)>>>;

impl Ground {
    pub(crate) fn of(options: &Options, fence: Fence) -> Self {
        let (disk, workers) = (Arc::clone(&options.disk), Arc::clone(&options.workers));
        Ground {
            dir: options.dir.clone(),
            disk,
            workers,
            fence,
            sealing: options.sealing(),
            account: Account::default(),
            #[cfg(any(test, feature = "faults"))]
            bare: options.bare,
            cache_bytes: options.cache_bytes,
            #[cfg(any(test, feature = "faults"))]
            made: Made::default(),
        }
    }

    /// Makes an empty file that is compared with memory, `block` bytes at a time, whenever it is read.
    pub(crate) fn create(&self, path: &Path, block: usize) -> io::Result<Arc<dyn DiskFile>> {
        #[cfg(any(test, feature = "faults"))]
        if self.bare {
            return self.disk.create_empty(path);
        }
        let file = Arc::new(Authentic::create(self.disk.as_ref(), path, block, &self.fence, &self.account)?);
        #[cfg(any(test, feature = "faults"))]
        self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((path.to_path_buf(), Arc::downgrade(&file)));
        Ok(file)
    }

    /// Does a short piece of blocking work elsewhere and waits for it.
    pub(crate) async fn done<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        workers::done(self.workers.as_ref(), name, work).await
    }

    /// Real files and threads in `dir`.
    #[cfg(test)]
    pub(crate) fn real(dir: &Path) -> Self {
        Ground::on(Arc::new(crate::disk::OsDisk), Arc::new(workers::Threads), dir)
    }

    /// Any disk and any workers.
    #[cfg(any(test, feature = "faults"))]
    pub(crate) fn on(disk: Arc<dyn Disk>, workers: Arc<dyn Workers>, dir: &Path) -> Self {
        Ground {
            dir: dir.to_path_buf(),
            disk,
            workers,
            fence: Fence::new(),
            sealing: None,
            account: Account::default(),
            bare: false,
            cache_bytes: 0,
            made: Made::default(),
        }
    }
}
