//! Reading files that are one message with its SHA-256 behind it.
//!
//! Decides: a file is read to its limit and no further. Trusts: nothing in a file. Out of scope: the layout (`ringwall_session::checksummed`), how files are
//! replaced (`anchor/files.rs`), what to call a file that is none: its reader decides. docs/formats.md, "Receipts" and "Saved exchange".

use ringwall_session::checksummed::body;
pub(crate) use ringwall_session::checksummed::{Unread, to_bytes};
use ringwall_wire::codec::Message;
use std::io::Read as _;
use std::path::Path;

/// Why there is no message.
#[derive(Debug)]
pub(crate) enum NotRead {
    /// The system refused.
    Io(std::io::Error),
    /// The file is none.
    Unread(Unread),
}

impl From<Unread> for NotRead {
    fn from(why: Unread) -> Self {
        NotRead::Unread(why)
    }
}

/// The message of a file that may have `most` bytes, the checksum counted.
pub(crate) fn read<M: Message>(path: &Path, most: usize) -> Result<M, NotRead> {
    M::decode(&read_body(path, most)?).map_err(|why| Unread::Malformed(why).into())
}

/// The body of a file that may have `most` bytes, the checksum counted.
pub(crate) fn read_body(path: &Path, most: usize) -> Result<Vec<u8>, NotRead> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(NotRead::Io)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(NotRead::Io)?;
    let whole = body(&bytes, most)?.len();
    bytes.truncate(whole);
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::bounded::Blob;
    use ringwall_wire::release::LogHead;

    #[test]
    fn a_file_is_read_to_its_limit() {
        let head = LogHead { note: Blob::new(b"log\n10\nAAAA\n".to_vec()).unwrap(), since_s: 5 };
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = (folder.path().join("head"), to_bytes(&head));
        assert!(matches!(read::<LogHead>(&path, bytes.len()), Err(NotRead::Io(_))), "there is none");
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read::<LogHead>(&path, bytes.len()).unwrap(), head);
        std::fs::write(&path, vec![0; bytes.len() + 9]).unwrap();
        assert!(matches!(read::<LogHead>(&path, bytes.len()), Err(NotRead::Unread(Unread::TooLarge))));
    }
}
