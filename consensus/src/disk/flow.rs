//! A file as a stream: written from the front, read from the front.
//!
//! Decides: a position of its own for each reader and writer. Trusts: the file. Out of scope: durability. Protocol section 5.1.

use crate::disk::{DiskFile, write_whole};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A place in a file where the next bytes go, or come from.
pub(crate) struct Flow {
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl Flow {
    /// From the front.
    pub(crate) fn of(file: Arc<dyn DiskFile>) -> Self {
        Flow { file, at: 0 }
    }
}

impl Write for Flow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_whole(self.file.as_ref(), self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Flow {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(self.at, bytes)?;
        self.at += len as u64;
        Ok(len)
    }
}
