//! Records that are one message with its SHA-256 behind it.
//!
//! Decides: the layout, and that a checksum is looked at before its message. The checksum finds damage and nothing else:
//! whoever can write the file can write the checksum too. What to call a file that is none, its reader decides ([`Unread`]).
//! Trusts: nothing in a file; what a message says is judged by whoever reads it. Out of scope: files (`client`). docs/formats.md,
//! "Receipts" and "Saved exchange".

use ringwall_wire::codec::{DecodeError, Message};
use sha2::{Digest as _, Sha256};

const CHECKSUM_BYTES: usize = 32;

/// Why there is no message.
#[derive(Debug)]
pub enum Unread {
    /// It is longer than any of its kind.
    TooLarge,
    /// Its checksum is another one, or it is too short to have one.
    Damaged,
    /// It is as it was written, and is another thing.
    Malformed(DecodeError),
}

/// The bytes of a file of it.
pub fn to_bytes(message: &impl Message) -> Vec<u8> {
    sealed(message.encode())
}

/// The bytes of a file with this body.
pub fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let checksum = Sha256::digest(&body);
    body.extend_from_slice(&checksum);
    body
}

/// The message of a file that has these bytes and may have `most`, the checksum counted.
pub fn from_bytes<M: Message>(bytes: &[u8], most: usize) -> Result<M, Unread> {
    M::decode(body(bytes, most)?).map_err(Unread::Malformed)
}

/// The body of a file that has these bytes and may have `most`, the checksum counted.
pub fn body(bytes: &[u8], most: usize) -> Result<&[u8], Unread> {
    if bytes.len() > most {
        return Err(Unread::TooLarge);
    }
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Unread::Damaged)?;
    if Sha256::digest(body).as_slice() == checksum { Ok(body) } else { Err(Unread::Damaged) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::bounded::Blob;
    use ringwall_wire::release::LogHead;

    fn head() -> LogHead {
        LogHead { note: Blob::new(b"log\n10\nAAAA\n".to_vec()).unwrap(), since_s: 5 }
    }

    #[test]
    fn a_message_survives_its_file_and_every_damage_is_told() {
        let bytes = to_bytes(&head());
        assert_eq!(bytes.len(), head().encode().len() + CHECKSUM_BYTES);
        assert_eq!(from_bytes::<LogHead>(&bytes, bytes.len()).unwrap(), head());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(matches!(from_bytes::<LogHead>(&damaged, bytes.len()), Err(Unread::Damaged)), "byte {at}");
            assert!(matches!(from_bytes::<LogHead>(&bytes[..at], bytes.len()), Err(Unread::Damaged)), "{at} bytes");
        }
    }

    #[test]
    fn what_is_too_large_and_what_is_something_else_are_told_apart() {
        let bytes = to_bytes(&head());
        assert!(matches!(from_bytes::<LogHead>(&bytes, bytes.len() - 1), Err(Unread::TooLarge)));
        let other = [b"no head".as_slice(), Sha256::digest(b"no head").as_slice()].concat();
        assert!(matches!(from_bytes::<LogHead>(&other, 1_024), Err(Unread::Malformed(_))));
    }
}
