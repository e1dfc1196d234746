//! The SNP launch digest, predicted: what AMD's firmware will measure when a given image is started in a given shape.
//!
//! Decides: the order and the contents of everything that is measured before a guest runs: pages of the firmware image, the sections its metadata
//! asks for, the page with the hashes of kernel, initrd and command line, and the first register values of every vCPU.
//! Trusts: nothing about the image: every length in it is compared with what is there, and how much may be hashed is bounded. The prediction is
//! an expected value for a policy; whether a guest was measured so is for `verify` and `appraise`.
//! The registers of an Intel TD are predicted in [`td`].
//! Out of scope: SEV and SEV-ES guests, SVSM modules, Google's hypervisor (no vector to compare with). Sources: AMD SEV-SNP Firmware ABI 56860,
//! SNP_LAUNCH_UPDATE (PAGE_INFO); QEMU `target/i386/sev.c`; EDK2 `OvmfPkg/ResetVector`.

mod chain;
mod error;
mod firmware;
mod hashes;
pub mod td;
mod vmsa;

pub use error::LaunchError;
pub use firmware::{FIRMWARE_BYTES, Firmware, SECTION_PAGES, SECTIONS, Section, SectionKind};
pub use hashes::BootHashes;
pub use vmsa::vcpu_signature;

use chain::{Chain, PAGE_BYTES};
use hashes::TABLE_BYTES;
use ringwall_wire::policy::MeasurementRegister;

/// vCPUs of one guest: twice the threads of the largest machines.
pub const VCPUS: u32 = 1_024;
/// SEV_FEATURES bit 0: SNP is active. A guest without it is none.
const SNP_ACTIVE: u64 = 1;

/// Whose hypervisor starts the guest: each prepares vCPUs and pages a little differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vmm {
    /// QEMU with KVM.
    Qemu,
    /// Amazon EC2, as it launched guests until April 2026.
    Ec2Until2026,
    /// Amazon EC2 since then: another value in RDX.
    Ec2,
}

impl Vmm {
    fn is_ec2(self) -> bool {
        self != Vmm::Qemu
    }
}

/// The shape of a guest, as far as it is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Who starts it.
    pub vmm: Vmm,
    /// How many vCPUs it has, 1 to [`VCPUS`].
    pub vcpus: u32,
    /// CPUID signature of its vCPUs (Fn0000_0001 EAX), which QEMU puts into RDX; see [`vcpu_signature`]. It is the configured type, not the
    /// chip's: one chip gives other digests for `EPYC-v4` and `EPYC-Milan`.
    pub vcpu_signature: u32,
    /// SEV_FEATURES; bit 0 must be set. Newer KVM may set others (debug swap), which changes the digest.
    pub guest_features: u64,
    /// What is booted directly, if anything is (`-kernel` with `kernel-hashes=on`).
    pub boot: Option<BootHashes>,
}

/// The launch digest of `firmware` started as `guest`. Hashes a page each of at most [`SECTION_PAGES`] pages and [`VCPUS`] vCPUs.
pub fn digest(firmware: &Firmware, guest: &Guest) -> Result<MeasurementRegister, LaunchError> {
    if guest.vcpus == 0 || guest.vcpus > VCPUS {
        return Err(LaunchError::Vcpus { got: guest.vcpus, max: VCPUS });
    }
    if guest.guest_features & SNP_ACTIVE == 0 {
        return Err(LaunchError::SnpInactive { got: guest.guest_features });
    }
    let hashes = guest.boot.as_ref().map(|boot| hashes_page(firmware, boot)).transpose()?;
    let mut chain = Chain::from(firmware.image_digest());
    for section in firmware.sections() {
        measure(&mut chain, section, hashes.as_ref(), guest.vmm);
    }
    if guest.vmm.is_ec2() {
        firmware.sections().iter().filter(|section| section.kind == SectionKind::Cpuid).for_each(|section| chain.cpuid(section.gpa));
    }
    chain.vmsa(&vmsa::first(guest));
    if guest.vcpus > 1 {
        let entry = firmware.ap_entry().ok_or(LaunchError::ApEntryMissing { vcpus: guest.vcpus })?;
        let page = vmsa::other(guest, entry);
        (1..guest.vcpus).for_each(|_| chain.vmsa(&page));
    }
    Ok(chain.finish())
}

fn measure(chain: &mut Chain, section: &Section, hashes: Option<&[u8; PAGE_BYTES]>, vmm: Vmm) {
    match (section.kind, hashes) {
        (SectionKind::Memory | SectionKind::SvsmCallingArea, _) | (SectionKind::KernelHashes, None) => {
            chain.zeros(section.gpa, section.bytes)
        }
        (SectionKind::KernelHashes, Some(page)) => chain.normal(section.gpa, page),
        (SectionKind::Secrets, _) => chain.secrets(section.gpa),
        // EC2 adds these pages after all others.
        (SectionKind::Cpuid, _) if vmm.is_ec2() => {}
        (SectionKind::Cpuid, _) => chain.cpuid(section.gpa),
    }
}

/// The page that holds the hashes table, at the place the firmware reserved.
fn hashes_page(firmware: &Firmware, boot: &BootHashes) -> Result<[u8; PAGE_BYTES], LaunchError> {
    let refuse = |reason| LaunchError::HashesUnsupported { reason };
    let mut sections = firmware.sections().iter().filter(|section| section.kind == SectionKind::KernelHashes);
    let section = sections.next().ok_or(refuse("its metadata reserves no page for them"))?;
    let place = firmware.hashes_table().ok_or(refuse("its footer table does not say where they belong"))?;
    let page_bytes = u32::try_from(PAGE_BYTES).expect("a page is small");
    let offset = place.checked_sub(section.gpa).filter(|offset| *offset < page_bytes);
    let offset = offset.ok_or(refuse("footer table and metadata name different pages"))?;
    if section.bytes != page_bytes || sections.next().is_some() {
        return Err(refuse("its metadata reserves more than one page for them"));
    }
    let at = usize::try_from(offset).expect("an offset in a page is small");
    let mut page = [0; PAGE_BYTES];
    let target = page.get_mut(at..at.saturating_add(TABLE_BYTES)).ok_or(refuse("the page ends before the table does"))?;
    target.copy_from_slice(&boot.table());
    Ok(page)
}
