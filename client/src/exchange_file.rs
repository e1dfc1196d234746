//! Reading a saved exchange from a file.
//!
//! Decides: a file is read to its limit and no further, and what is said of one that holds no exchange. Trusts: nothing in the file; whoever reads it judges the
//! evidence inside anew. Out of scope: what an exchange is, and its judging (`ringwall_session::exchange`). docs/formats.md, "Saved exchange".

use crate::checksummed::{self, NotRead, Unread};
use ringwall_session::exchange::{EXCHANGE_FILE_BYTES, Exchange};
use ringwall_wire::codec::DecodeError;
use std::path::{Path, PathBuf};

/// Why a file holds no exchange.
#[derive(Debug, thiserror::Error)]
pub enum ReadExchangeError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is larger than any exchange.
    #[error("{} is larger than any saved exchange ({most} bytes); is it another file?", .path.display())]
    TooLarge {
        /// Where.
        path: PathBuf,
        /// Most bytes.
        most: usize,
    },
    /// Its checksum is another one.
    #[error("{} is damaged: its checksum does not fit; save the exchange again", .path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// It is no exchange.
    #[error("{} is no saved exchange: {source}; make one with `ringwall verify --save`", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
}

impl ReadExchangeError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        "RW-C-INPUT"
    }
}

/// Reads a file that `ringwall verify --save` made.
pub fn read_exchange(path: &Path) -> Result<Exchange, ReadExchangeError> {
    let most = EXCHANGE_FILE_BYTES;
    let saved = checksummed::read_body(path, most).and_then(|body| Exchange::decode(&body).map_err(|why| Unread::Malformed(why).into()));
    saved.map_err(|why| match why {
        NotRead::Io(source) => ReadExchangeError::Io { path: path.into(), source },
        NotRead::Unread(Unread::TooLarge) => ReadExchangeError::TooLarge { path: path.into(), most },
        NotRead::Unread(Unread::Damaged) => ReadExchangeError::Damaged { path: path.into() },
        NotRead::Unread(Unread::Malformed(source)) => ReadExchangeError::Malformed { path: path.into(), source },
    })
}
