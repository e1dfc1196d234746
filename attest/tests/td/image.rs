//! A firmware image for TDs and a kernel, small enough to stand beside the tests that measure them.
//!
//! Decides: nothing; README.md says where the parts come from. Trusts: nothing. Out of scope: what they measure to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, dead_code, unreachable_pub, reason = "each test program uses a part")]

use ringwall_wire::text::read_hex_vec;

/// The end of a real image.
pub const SUFFIX: &[u8; 4_096] = include_bytes!("ovmf_4m_suffix.bin");
/// A kernel with something where a signature stands.
pub const SIGNED_KERNEL: &[u8] = include_bytes!("kernel-signed.efi");
pub const IMAGE_BYTES: usize = 4 << 20;
pub const VOLUME_BYTES: usize = 0x8_4000;

/// The volume of variables as OVMF is built with it: headers of volume and store, and of the area for unfinished writes.
pub fn volume() -> Vec<u8> {
    let header = "000000000000000000000000000000008d2bf1ff96768b4ca9852747075b4f5000400800000000005f465648fffe04004800afb80000000284\
                  000000001000000000000000000000782cf3aa7b949a43a1802e144ec37792b8ff03005afe000000000000";
    let writes = "2b29589e687c7d49a0ce6500fd9f1b952caf2c64feffffffe00f000000000000";
    let mut volume = vec![0xff; VOLUME_BYTES];
    for (at, hex) in [(0, header), (0x4_1000, writes)] {
        let bytes = read_hex_vec(hex).unwrap();
        volume[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    volume
}

/// Empty variables, pages of a pattern in place of code, and the end of a real image.
pub fn image() -> Vec<u8> {
    let mut image = volume();
    image.extend((VOLUME_BYTES..IMAGE_BYTES).map(|at| u8::try_from((at / 4_096) & 0xff).unwrap()));
    image[IMAGE_BYTES - SUFFIX.len()..].copy_from_slice(SUFFIX);
    image
}
