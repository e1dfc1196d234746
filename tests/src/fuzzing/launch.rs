//! Target `launch`: artefacts of a build, and the file that names them.
//!
//! Decides: a firmware image that is read has a boot volume that ends with it and counts in MRTD to its last byte; a kernel's digest does not depend on its
//! checksum; nothing that is read makes the arithmetic fail otherwise than by name. Trusts: nothing. Out of scope: how inputs are found.

use ringwall_attest::launch::td::{HeaderFill, PageOrder, TdFirmware, first_events, kernel_as_handed_over, kernel_digest};
use ringwall_attest::launch::{BootHashes, Firmware, Guest, Vmm, digest};
use ringwall_client::measure::BuildFile;

/// The end of a real image, which is all of a small one.
const SUFFIX: &[u8; 4_096] = include_bytes!("../../../attest/tests/td/ovmf_4m_suffix.bin");
const KERNEL: &[u8] = include_bytes!("../../../attest/tests/td/kernel-signed.efi");
const IMAGE: &str =
    r#"{"build_id":"b","svn":1,"kernel":"k","cmdline":"quiet","tdx":{"firmware":"f","shapes":[{"name":"s","memory_mib":64}]}}"#;
/// Where the metadata's first two sections lie in the suffix: both become volumes of one page, at its own place and far below.
const SECTIONS: [(usize, [u8; 4]); 2] = [(0x650, [0, 0xf0, 0xff, 0xff]), (0x670, [0, 0, 0, 0xff])];

/// The first byte says what the rest is.
pub(super) fn launch(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 3 {
        0 => firmware(bytes),
        1 => kernel(bytes),
        _ => drop(BuildFile::parse(bytes)),
    }
}

fn firmware(bytes: &[u8]) {
    if let Ok(firmware) = Firmware::parse(bytes) {
        let boot = Some(BootHashes::new(&[], &[], "quiet"));
        for vmm in [Vmm::Qemu, Vmm::Ec2] {
            let _ = digest(&firmware, &Guest { vmm, vcpus: 2, vcpu_signature: 0x0080_0f12, guest_features: 1, boot: boot.clone() });
        }
    }
    let Ok(firmware) = TdFirmware::parse(bytes) else { return };
    let _ = first_events(&firmware, 4 << 30);
    let mut other = bytes.to_vec();
    if let Some(last) = other.last_mut() {
        *last ^= 1;
    }
    let other = TdFirmware::parse(&other).expect("the last byte is code");
    for order in [PageOrder::Interleaved, PageOrder::AddedFirst] {
        assert_ne!(firmware.mrtd(order), other.mrtd(order), "the last byte counts");
    }
}

fn kernel(bytes: &[u8]) {
    let fill = HeaderFill { memory: 4 << 30, initrd_bytes: 4_097, cmdline: "quiet" };
    if let Ok(handed) = kernel_as_handed_over(bytes, &fill) {
        assert_eq!(handed.len(), bytes.len(), "fields are filled in, nothing is added");
    }
    let Ok(digest) = kernel_digest(bytes) else { return };
    let pe = bytes.get(0x3c..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |at| u32::from_le_bytes(*at));
    let checksum = usize::try_from(pe).unwrap_or(usize::MAX).saturating_add(24 + 64);
    let mut other = bytes.to_vec();
    other.iter_mut().skip(checksum).take(4).for_each(|byte| *byte = !*byte);
    assert_eq!(kernel_digest(&other), Ok(digest), "the checksum does not count");
}

/// Its seeds: name and bytes, the choice in front.
pub(super) fn seeds() -> Vec<(&'static str, u8, Vec<u8>)> {
    let mut small = SUFFIX.to_vec();
    for (at, place) in SECTIONS {
        let section = [&[0, 0, 0, 0, 0, 0x10, 0, 0][..], &place, &[0; 4], &[0, 0x10, 0, 0, 0, 0, 0, 0]].concat();
        small.iter_mut().skip(at).zip(section).for_each(|(to, from)| *to = from);
    }
    vec![("firmware", 0, small), ("kernel", 1, KERNEL.to_vec()), ("image", 2, IMAGE.as_bytes().to_vec())]
}
