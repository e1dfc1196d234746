//! The folder in which Linux makes evidence, as a few file operations.
//!
//! Decides: which operations the protocol of `tsm` needs, and what each does on a real machine: one `mkdir`, one `open`, one `write`.
//! Trusts: the guest's kernel. Out of scope: in which order they happen and what their failures mean (`tsm`).
//! Source: Linux `Documentation/ABI/testing/configfs-tsm-report`. Style rule 4.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::time::Duration;

/// Where Linux keeps report entries.
pub const REPORTS: &str = "/sys/kernel/config/tsm/report";

/// Entries of a report folder, each with attributes.
pub trait TsmFs: Send + Sync {
    /// What a person calls an entry or one of its attributes: its path.
    fn place(&self, entry: &str, attribute: &str) -> String;

    /// Makes an entry.
    fn make(&self, entry: &str) -> io::Result<()>;

    /// Removes an entry.
    fn remove(&self, entry: &str) -> io::Result<()>;

    /// Opens an attribute for reading, from its beginning.
    fn open<'a>(&'a self, entry: &str, attribute: &str) -> io::Result<Box<dyn Read + 'a>>;

    /// Writes an attribute with one write and closes it; returns how many bytes were taken. The kernel acts on a binary attribute when it is
    /// closed, and tells nobody when that fails: only the generation shows it.
    fn write(&self, entry: &str, attribute: &str, bytes: &[u8]) -> io::Result<usize>;

    /// Waits before another try.
    fn pause(&self, wait: Duration);
}

/// The folder of this machine, or one that stands for it.
#[derive(Clone, Debug)]
pub struct ReportFolder {
    folder: PathBuf,
}

impl ReportFolder {
    /// The entries of `folder`; nothing is opened yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        ReportFolder { folder: folder.into() }
    }

    fn path(&self, entry: &str, attribute: &str) -> PathBuf {
        let entry = self.folder.join(entry);
        if attribute.is_empty() { entry } else { entry.join(attribute) }
    }
}

impl TsmFs for ReportFolder {
    fn place(&self, entry: &str, attribute: &str) -> String {
        self.path(entry, attribute).display().to_string()
    }

    fn make(&self, entry: &str) -> io::Result<()> {
        std::fs::create_dir(self.path(entry, ""))
    }

    fn remove(&self, entry: &str) -> io::Result<()> {
        std::fs::remove_dir(self.path(entry, ""))
    }

    fn open<'a>(&'a self, entry: &str, attribute: &str) -> io::Result<Box<dyn Read + 'a>> {
        Ok(Box::new(File::open(self.path(entry, attribute))?))
    }

    fn write(&self, entry: &str, attribute: &str, bytes: &[u8]) -> io::Result<usize> {
        OpenOptions::new().write(true).open(self.path(entry, attribute))?.write(bytes)
    }

    fn pause(&self, wait: Duration) {
        std::thread::sleep(wait);
    }
}
