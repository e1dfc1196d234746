//! A file that holds one secret seed: a user's credential, a governor's key.
//!
//! Decides: such a file is made once, for its owner alone (mode 0600), is never overwritten, is on stable storage when made, and is refused
//! when others can read it; its first line says what the seed is for, so that one kind is not taken for another.
//! Trusts: the file system to keep permissions. Out of scope: what the seed signs (`credential.rs`, `policy/governor.rs`).

use crate::entropy;
use crate::private::{private, sync_folder};
use ringwall_wire::secret::Secret;
use ringwall_wire::text::{hex, read_hex};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a seed file: the header, 64 hex digits, two line ends, and room for a comment.
const FILE_BYTES: u64 = 4096;

/// Why a seed file was not made or not read.
#[derive(Debug, thiserror::Error)]
pub enum SeedFileError {
    /// There is a file already.
    #[error("{} exists and is not overwritten: a lost key cannot be made again. Move it away first, or name another file", .path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:03o}); run: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is another kind of file.
    #[error("{} is no such key file: it should hold the line \"{header}\" and a line of 64 hex digits", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
        /// First line that is wanted.
        header: &'static str,
    },
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SeedFileError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SeedFileError::Exists { .. } => "RW-C-KEY-EXISTS",
            SeedFileError::Exposed { .. } => "RW-C-KEY-EXPOSED",
            SeedFileError::Malformed { .. } => "RW-C-KEY-MALFORMED",
            SeedFileError::Io { .. } => "RW-C-KEY-IO",
        }
    }
}

/// Makes a fresh seed in a new file that its owner alone can read, on stable storage when this returns.
pub(crate) fn create(path: &Path, header: &'static str) -> Result<Secret<32>, SeedFileError> {
    let seed: Secret<32> = Secret::from_mut(&mut entropy::bytes());
    keep(path, header, &seed)?;
    Ok(seed)
}

/// Writes a seed from elsewhere to a new file, in the same way.
pub(crate) fn keep(path: &Path, header: &'static str, seed: &Secret<32>) -> Result<(), SeedFileError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::AlreadyExists => SeedFileError::Exists { path: path.into() },
        _ => SeedFileError::Io { path: path.into(), source },
    };
    let mut file = private().write(true).create_new(true).open(path).map_err(failed)?;
    let text = Zeroizing::new(format!("{header}\n{}\n", *Zeroizing::new(hex(seed.expose()))));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    sync_folder(path).map_err(failed)
}

/// Reads a seed file, and refuses one that others can read.
pub(crate) fn read(path: &Path, header: &'static str) -> Result<Secret<32>, SeedFileError> {
    let failed = |source| SeedFileError::Io { path: path.into(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SeedFileError::Exposed { path: path.into(), mode });
        }
    }
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES as usize));
    file.take(FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    parse(&text, header).ok_or_else(|| SeedFileError::Malformed { path: path.into(), header })
}

fn parse(text: &str, header: &str) -> Option<Secret<32>> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    if lines.next()? != header {
        return None;
    }
    let mut bytes: [u8; 32] = read_hex(lines.next()?)?;
    let seed = Secret::from_mut(&mut bytes);
    bytes.zeroize();
    lines.all(|line| line.trim().is_empty()).then_some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_else_is_malformed() {
        const HEADER: &str = "ringwall example 1";
        let digits = "00".repeat(32);
        assert!(parse(&format!("{HEADER}\n{digits}\n"), HEADER).is_some());
        assert!(parse(&format!("# mine\n{HEADER}\n{digits}\n\n"), HEADER).is_some());
        for bad in ["", HEADER, "ringwall example 9\n", &format!("{HEADER}\n{digits}00\n"), &format!("{HEADER}\n{digits}\nmore\n")] {
            assert!(parse(bad, HEADER).is_none(), "{bad:?}");
        }
    }
}
