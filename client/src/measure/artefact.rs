//! Artefacts as files: read once, bounded, hashed while they are read.
//!
//! Decides: how much of a file is read, and that it is a regular file (a pipe would never end). Large ones are hashed in pieces and never held.
//! Trusts: nothing. Out of scope: what the bytes mean.

use super::error::MeasureError;
use ringwall_attest::launch::FIRMWARE_BYTES;
use ringwall_attest::launch::td::KERNEL_BYTES;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::EVENT_LOG_BYTES;
use ringwall_wire::policy::MeasurementRegister;
use sha2::{Digest as _, Sha256, Sha384};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of an initrd: those of distributions have up to 200 MiB, one with a whole system in it a few times that.
pub const INITRD_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of a file with which QEMU describes a machine: 128 KiB, more with hundreds of devices.
pub const ACPI_FILE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that are read at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// What an artefact is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Firmware of SNP guests.
    SnpFirmware,
    /// Firmware of TDs.
    TdxFirmware,
    /// The kernel.
    Kernel,
    /// The initrd.
    Initrd,
    /// One of QEMU's files about the machine.
    AcpiFile,
    /// An event log.
    EventLog,
}

impl Role {
    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Role::SnpFirmware => "SNP firmware",
            Role::TdxFirmware => "TDX firmware",
            Role::Kernel => "kernel",
            Role::Initrd => "initrd",
            Role::AcpiFile => "ACPI file",
            Role::EventLog => "event log",
        }
    }

    /// Most bytes of one that is held whole.
    fn most(self) -> usize {
        match self {
            Role::SnpFirmware | Role::TdxFirmware => FIRMWARE_BYTES,
            Role::Kernel | Role::Initrd => KERNEL_BYTES,
            Role::AcpiFile => ACPI_FILE_BYTES,
            Role::EventLog => EVENT_LOG_BYTES,
        }
    }
}

/// A file that was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// What it is for.
    pub role: Role,
    /// As the build file names it.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its contents, to compare it with what others built.
    pub sha256: Digest,
}

/// An initrd, as both platforms hash it.
pub(super) struct Streamed {
    pub(super) artefact: Artefact,
    pub(super) sha384: MeasurementRegister,
}

/// Reads an artefact whole.
pub(super) fn whole(
    role: Role,
    folder: &Path,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Artefact, Vec<u8>), MeasureError> {
    let contents = read_bounded(&folder.join(path), role.most(), progress)?;
    let sha256 = Digest(Sha256::digest(&contents).into());
    let artefact = Artefact { role, path: path.to_owned(), bytes: contents.len() as u64, sha256 };
    Ok((artefact, contents))
}

/// Reads an artefact piece by piece.
pub(super) fn streamed(role: Role, folder: &Path, path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Streamed, MeasureError> {
    let (mut short, mut long) = (Sha256::new(), Sha384::new());
    let bytes = pieces(&folder.join(path), INITRD_BYTES, progress, &mut |piece| {
        short.update(piece);
        long.update(piece);
    })?;
    let artefact = Artefact { role, path: path.to_owned(), bytes, sha256: Digest(short.finalize().into()) };
    Ok(Streamed { artefact, sha384: MeasurementRegister(long.finalize().into()) })
}

/// Reads a regular file of at most `most` bytes.
pub(super) fn read_bounded(path: &Path, most: usize, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<u8>, MeasureError> {
    let mut contents = Vec::new();
    pieces(path, most as u64, progress, &mut |piece| contents.extend_from_slice(piece))?;
    Ok(contents)
}

fn pieces(path: &Path, most: u64, progress: &mut dyn FnMut(u64, u64), each: &mut dyn FnMut(&[u8])) -> Result<u64, MeasureError> {
    let failed = |source| MeasureError::Io { path: path.to_owned(), source };
    let too_large = || MeasureError::TooLarge { path: path.to_owned(), most };
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    if found.len() > most {
        return Err(too_large());
    }
    let mut file = File::open(path).map_err(failed)?.take(most.saturating_add(1));
    let mut piece = vec![0; PIECE_BYTES];
    let mut done: u64 = 0;
    loop {
        let read = file.read(&mut piece).map_err(failed)?;
        if read == 0 {
            return Ok(done);
        }
        done = done.saturating_add(read as u64);
        if done > most {
            return Err(too_large());
        }
        each(piece.get(..read).expect("no more is read than there is room for"));
        progress(done, found.len().max(done));
    }
}
