//! The file under the database: redb's idea of storage over our idea of a file.
//!
//! Decides: nothing; it translates. Trusts: the file it is given to return what was written or to fail.
//! Out of scope: what the pages mean (`redb`). Protocol section 5.1.

use crate::disk::{DiskFile, read_exact, write_whole};
use std::fmt;
use std::io;
use std::sync::Arc;

/// One database file.
pub(crate) struct Backend(pub(crate) Arc<dyn DiskFile>);

impl fmt::Debug for Backend {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Backend")
    }
}

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact(self.0.as_ref(), at, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_size(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        write_whole(self.0.as_ref(), at, bytes)
    }
}
