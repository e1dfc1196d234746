//! What can be wrong with a disk, in words for the operator: what happened, and what to do.
//!
//! Decides: which faults mean a broken or full disk and which mean that somebody changed it. Each ends the member for good.
//! Trusts: the system's error numbers to say no more than that something failed. Out of scope: raising the fence (`fence`).
//! Protocol sections 4 and 5.1.

use std::io;

/// A fault that comparing found, or that no error number of the system stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskFault {
    /// Bytes came back that are not the ones written last: damage, an earlier block, or another one.
    #[error("{file}: the bytes at {at} are not the ones this member wrote last")]
    Changed {
        /// File name.
        file: String,
        /// Offset of the block or frame.
        at: u64,
    },
    /// The file ends before bytes that were written.
    #[error("{file}: the file ends before the bytes at {at}, which this member wrote")]
    Missing {
        /// File name.
        file: String,
        /// Offset of the block or frame.
        at: u64,
    },
    /// A write was taken in part.
    #[error("a write took {taken} of {wanted} bytes")]
    Short {
        /// Bytes taken.
        taken: usize,
        /// Bytes given.
        wanted: usize,
    },
    /// The file failed before: what it holds is unknown.
    #[error("{file}: it failed before and is not used again")]
    Failed {
        /// File name.
        file: String,
    },
    /// The digests in memory have reached their bound.
    #[error("{file}: the digests of what is on the disk would take more than {max} bytes of memory")]
    TooLarge {
        /// File name.
        file: String,
        /// Bound in bytes.
        max: u64,
    },
}

const CHANGED: &str = "the disk, or whoever controls it, gave back something else: look for hardware errors, and suspect the host if there are \
                       none; start again on another disk, and on another host if it happens twice";
const FULL: &str =
    "the file system of the data folder is full: make room or enlarge it, and look at disk_reserve_mib, which refuses writes before";
const BROKEN: &str = "the disk reported an error: look into the system's log, replace the disk";
const READ_ONLY: &str =
    "the file system of the data folder is mounted read-only, which systems do after an error: look into the system's log";
const SHORT: &str = "the disk is full or broken: look at its free space and into the system's log";
const DENIED: &str = "somebody changed owner or rights in the data folder: restore them";
const GONE: &str = "somebody removed a file of a running member: leave its folder alone";
const LARGE: &str = "the state is larger than this member's memory can vouch for: remove records, or give the cluster less to hold";

impl From<DiskFault> for io::Error {
    fn from(fault: DiskFault) -> Self {
        let kind = match fault {
            DiskFault::Changed { .. } => io::ErrorKind::InvalidData,
            DiskFault::Missing { .. } => io::ErrorKind::UnexpectedEof,
            DiskFault::Short { .. } => io::ErrorKind::WriteZero,
            DiskFault::Failed { .. } | DiskFault::TooLarge { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, fault)
    }
}

/// The fault inside an error, if it is one of ours.
pub fn found(why: &io::Error) -> Option<&DiskFault> {
    why.get_ref().and_then(|inner| inner.downcast_ref())
}

/// What the operator should do about an error of the storage; none for an error that says nothing about the disk.
pub(crate) fn advice(why: &io::Error) -> Option<&'static str> {
    if let Some(fault) = found(why) {
        return Some(match fault {
            DiskFault::Changed { .. } | DiskFault::Missing { .. } => CHANGED,
            DiskFault::Short { .. } => SHORT,
            DiskFault::Failed { .. } => BROKEN,
            DiskFault::TooLarge { .. } => LARGE,
        });
    }
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Some(FULL),
        io::ErrorKind::ReadOnlyFilesystem => Some(READ_ONLY),
        io::ErrorKind::PermissionDenied => Some(DENIED),
        io::ErrorKind::NotFound => Some(GONE),
        _ if why.raw_os_error().is_some() => Some(BROKEN),
        _ => None,
    }
}
