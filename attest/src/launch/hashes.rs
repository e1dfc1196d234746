//! The hashes page: what QEMU tells the firmware about kernel, initrd and command line, so that they are measured too.
//!
//! Decides: the bytes of the table, which QEMU and the firmware must agree on to the last one.
//! Trusts: nothing. Out of scope: where the table lies (`firmware.rs`).
//! Source: QEMU `target/i386/sev.c`, `sev_add_kernel_loader_hashes`; EDK2 `OvmfPkg/AmdSev/BlobVerifierLibSevHashes`.

use super::firmware::guid;
use sha2::{Digest as _, Sha256};

const HEADER: [u8; 16] = guid(0x9438_d606, 0x4f22, 0x4cc9, [0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21]);
const KERNEL: [u8; 16] = guid(0x4de7_9437, 0xabd2, 0x427f, [0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b]);
const INITRD: [u8; 16] = guid(0x44ba_f731, 0x3a2f, 0x4bd7, [0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d]);
const CMDLINE: [u8; 16] = guid(0x97d0_2dd8, 0xbd20, 0x4c94, [0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a]);

/// GUID, length, hash.
const ENTRY_BYTES: u16 = 16 + 2 + 32;
/// GUID, length, three entries.
const LISTED_BYTES: u16 = 16 + 2 + 3 * ENTRY_BYTES;
/// The table, padded to a multiple of 16.
pub(super) const TABLE_BYTES: usize = 176;

/// SHA-256 of what is booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootHashes {
    /// Of the kernel image.
    pub kernel: [u8; 32],
    /// Of the initrd; of nothing when there is none.
    pub initrd: [u8; 32],
    /// Of the command line and its final NUL byte.
    pub cmdline: [u8; 32],
}

impl BootHashes {
    /// Hashes kernel image, initrd (empty when there is none) and command line (without a NUL).
    pub fn new(kernel: &[u8], initrd: &[u8], cmdline: &str) -> Self {
        BootHashes {
            kernel: Sha256::digest(kernel).into(),
            initrd: Sha256::digest(initrd).into(),
            cmdline: Sha256::new().chain_update(cmdline).chain_update([0]).finalize().into(),
        }
    }

    /// The table as QEMU writes it.
    pub(super) fn table(&self) -> [u8; TABLE_BYTES] {
        let mut out = [0; TABLE_BYTES];
        let (listed, entry) = (LISTED_BYTES.to_le_bytes(), ENTRY_BYTES.to_le_bytes());
        let header = HEADER.iter().chain(&listed);
        let cmdline = CMDLINE.iter().chain(&entry).chain(&self.cmdline);
        let initrd = INITRD.iter().chain(&entry).chain(&self.initrd);
        let kernel = KERNEL.iter().chain(&entry).chain(&self.kernel);
        out.iter_mut().zip(header.chain(cmdline).chain(initrd).chain(kernel)).for_each(|(to, from)| *to = *from);
        out
    }
}
