//! The chain AMD's firmware computes while a guest is launched: one hash of a PAGE_INFO structure for each page.
//!
//! Decides: the bytes of PAGE_INFO and the contents each type of page counts with.
//! Trusts: the caller for order and addresses. Out of scope: what the pages hold.
//! Source: AMD SEV-SNP Firmware ABI 56860, SNP_LAUNCH_UPDATE, "Layout of the PAGE_INFO structure" and "Page types".

use ringwall_wire::policy::MeasurementRegister;
use sha2::{Digest as _, Sha384};

/// Bytes of a page.
pub(super) const PAGE_BYTES: usize = 4_096;
const PAGE_INFO_BYTES: u16 = 0x70;
/// Where the RMP records pages of vCPU registers: -1, cut to a page address of 52 bits.
const VMSA_GPA: u64 = 0xffff_ffff_f000;
const ZEROS: [u8; 48] = [0; 48];

#[derive(Clone, Copy)]
enum PageType {
    Normal = 1,
    Vmsa = 2,
    Zero = 3,
    Secrets = 5,
    Cpuid = 6,
}

/// The launch digest so far.
pub(super) struct Chain([u8; 48]);

impl Chain {
    /// Nothing measured yet.
    pub(super) fn new() -> Self {
        Chain(ZEROS)
    }

    /// Goes on after pages that were measured before.
    pub(super) fn from(digest: MeasurementRegister) -> Self {
        Chain(digest.0)
    }

    /// The digest after all pages.
    pub(super) fn finish(self) -> MeasurementRegister {
        MeasurementRegister(self.0)
    }

    /// A page with these contents.
    pub(super) fn normal(&mut self, gpa: u32, page: &[u8; PAGE_BYTES]) {
        self.extend(PageType::Normal, u64::from(gpa), Sha384::digest(page).into());
    }

    /// Pages of zeros; `bytes` is a multiple of a page.
    pub(super) fn zeros(&mut self, gpa: u32, bytes: u32) {
        let end = u64::from(gpa).saturating_add(u64::from(bytes));
        (u64::from(gpa)..end).step_by(PAGE_BYTES).for_each(|page| self.extend(PageType::Zero, page, ZEROS));
    }

    /// The page into which the firmware puts secrets.
    pub(super) fn secrets(&mut self, gpa: u32) {
        self.extend(PageType::Secrets, u64::from(gpa), ZEROS);
    }

    /// The page into which the firmware puts the CPUID it vouches for.
    pub(super) fn cpuid(&mut self, gpa: u32) {
        self.extend(PageType::Cpuid, u64::from(gpa), ZEROS);
    }

    /// The register values of one vCPU.
    pub(super) fn vmsa(&mut self, page: &[u8; PAGE_BYTES]) {
        self.extend(PageType::Vmsa, VMSA_GPA, Sha384::digest(page).into());
    }

    fn extend(&mut self, kind: PageType, gpa: u64, contents: [u8; 48]) {
        let info = Sha384::new().chain_update(self.0).chain_update(contents).chain_update(PAGE_INFO_BYTES.to_le_bytes());
        // Type, "is IMI", permissions of VMPL 3, 2 and 1, reserved.
        let info = info.chain_update([kind as u8, 0, 0, 0, 0, 0]).chain_update(gpa.to_le_bytes());
        self.0 = info.finalize().into();
    }
}
