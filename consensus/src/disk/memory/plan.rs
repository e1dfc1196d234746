//! Faults a test plans for a disk in memory, and the boundaries at which it can look.
//!
//! Decides: which calls a plan meets (what is done, to which file, the how-manieth time) and what then happens to them.
//! Trusts: the test. Out of scope: what a power cut leaves (`crash`), edits behind the process's back (`hostile`).
//! Protocol section 5.1.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// A file and its name are made.
    Create,
    /// Bytes are written.
    Write,
    /// A file is cut off or grows.
    SetSize,
    /// What was written becomes durable.
    Sync,
    /// A name is changed.
    Rename,
    /// A name is removed.
    Remove,
    /// Bytes are read.
    Read,
}

/// A place between two states of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Counts everything but reads, from 1.
    pub number: u64,
    /// What is done.
    pub access: Access,
    /// To which file.
    pub path: PathBuf,
    /// Where in it.
    pub at: u64,
    /// How many bytes.
    pub len: usize,
    /// Whether it is done already.
    pub after: bool,
}

/// What happens instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with EIO; a write leaves nothing.
    Error,
    /// The call fails with ENOSPC.
    Full,
    /// Half of the bytes are written or read, and the call says so.
    Short,
    /// The write is said to be done; only so many of its 512-byte sectors are.
    Torn(usize),
    /// The write is said to be done, and is not.
    Lost,
    /// The write goes to so many bytes further on in the same file, and is said to be done.
    Misdirected(u64),
    /// One bit of what is written or read is another one. Counts bits from the front, round and round.
    Flipped(u64),
    /// The call fails, and so does every later one.
    Dead,
}

/// A fault and the calls it meets.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What has to be done.
    pub access: Access,
    /// How the name of the file begins; an empty text is any file.
    pub file: String,
    /// How many such calls pass first.
    pub skip: u64,
    /// How many are met then.
    pub times: u64,
    /// What happens to them.
    pub fault: Fault,
}

impl Plan {
    /// The next such call, once.
    pub fn next(access: Access, file: &str, fault: Fault) -> Self {
        Plan { access, file: file.to_owned(), skip: 0, times: 1, fault }
    }

    /// Whether this call is met; counts it.
    pub(crate) fn meets(&mut self, access: Access, path: &Path) -> bool {
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&self.file));
        if self.access != access || !named || self.times == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// Called at every boundary, before and after, with nothing locked: it may look, wait, or take an image.
pub type Hook = Arc<dyn Fn(&Boundary) + Send + Sync>;
