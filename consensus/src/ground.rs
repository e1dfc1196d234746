//! What everything that stores stands on: a folder, a disk, workers, and the fence that goes up when one of them fails.
//!
//! Decides: that all files of a replica go through one disk and all its blocking work through one set of workers.
//! Trusts: the caller to pass parts that belong together. Out of scope: what is stored. Protocol section 5.1.

use crate::disk::Disk;
use crate::fence::Fence;
use crate::options::Options;
use crate::workers::{self, Workers};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Clones stand on the same ground.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) workers: Arc<dyn Workers>,
    pub(crate) fence: Fence,
}

impl Ground {
    pub(crate) fn of(options: &Options, fence: Fence) -> Self {
        let (disk, workers) = (Arc::clone(&options.disk), Arc::clone(&options.workers));
        Ground { dir: options.dir.clone(), disk, workers, fence }
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
    pub(crate) fn real(dir: &std::path::Path) -> Self {
        Ground { dir: dir.to_path_buf(), disk: Arc::new(crate::disk::OsDisk), workers: Arc::new(workers::Threads), fence: Fence::new() }
    }
}
