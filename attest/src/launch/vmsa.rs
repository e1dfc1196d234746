//! The register values a vCPU starts with, as a page: they are measured, so each hypervisor's habits are part of the digest.
//!
//! Decides: the page of the first vCPU (reset vector) and of the others (the entry the firmware names).
//! Trusts: nothing. Out of scope: how pages are hashed (`chain.rs`).
//! Sources: AMD64 APM volume 2, Table B-4 (VMSA layout); KVM and QEMU for the values; for EC2 what guests there were measured with.

use super::chain::PAGE_BYTES;
use super::{Guest, Vmm};

/// Where the first vCPU starts.
const RESET_VECTOR: u32 = 0xffff_fff0;

/// Names of QEMU's EPYC vCPU types with family, model and stepping.
const TYPES: [(&str, u32, u32, u32); 17] = [
    ("EPYC", 23, 1, 2),
    ("EPYC-v1", 23, 1, 2),
    ("EPYC-v2", 23, 1, 2),
    ("EPYC-IBPB", 23, 1, 2),
    ("EPYC-v3", 23, 1, 2),
    ("EPYC-v4", 23, 1, 2),
    ("EPYC-Rome", 23, 49, 0),
    ("EPYC-Rome-v1", 23, 49, 0),
    ("EPYC-Rome-v2", 23, 49, 0),
    ("EPYC-Rome-v3", 23, 49, 0),
    ("EPYC-Milan", 25, 1, 1),
    ("EPYC-Milan-v1", 25, 1, 1),
    ("EPYC-Milan-v2", 25, 1, 1),
    ("EPYC-Genoa", 25, 17, 0),
    ("EPYC-Genoa-v1", 25, 17, 0),
    ("EPYC-Turin", 26, 0, 0),
    ("EPYC-Turin-v1", 26, 0, 0),
];

/// CPUID signature (Fn0000_0001 EAX) of a vCPU type of QEMU, by its name there; none for a name that is not known.
pub fn vcpu_signature(name: &str) -> Option<u32> {
    let (_, family, model, stepping) = TYPES.iter().find(|(known, ..)| *known == name)?;
    // AMD CPUID Specification 25481: families above 15 are 15 and the rest, models are two nibbles in two places.
    let extended_family = family.checked_sub(15).expect("every EPYC is above family 15");
    Some(extended_family << 20 | (model >> 4) << 16 | 0xf << 8 | (model & 0xf) << 4 | stepping)
}

/// The page of the first vCPU.
pub(super) fn first(guest: &Guest) -> [u8; PAGE_BYTES] {
    page(guest, RESET_VECTOR)
}

/// The page of every other vCPU, which starts at `entry`.
pub(super) fn other(guest: &Guest, entry: u32) -> [u8; PAGE_BYTES] {
    page(guest, entry)
}

/// What hypervisors set differently.
struct Habits {
    cs: u16,
    ss: u16,
    tr: u16,
    rdx: u64,
    mxcsr: u32,
    x87_fcw: u16,
}

fn habits(guest: &Guest, entry: u32) -> Habits {
    let ec2 = |rdx| Habits { cs: if entry == RESET_VECTOR { 0x9a } else { 0x9b }, ss: 0x92, tr: 0x83, rdx, mxcsr: 0, x87_fcw: 0 };
    match guest.vmm {
        Vmm::Qemu => Habits { cs: 0x9b, ss: 0x93, tr: 0x8b, rdx: u64::from(guest.vcpu_signature), mxcsr: 0x1f80, x87_fcw: 0x37f },
        Vmm::Ec2Until2026 => ec2(0),
        Vmm::Ec2 => ec2(0x600),
    }
}

fn page(guest: &Guest, entry: u32) -> [u8; PAGE_BYTES] {
    let habits = habits(guest, entry);
    let mut page = Page([0; PAGE_BYTES]);
    // ES, CS, SS, DS, FS, GS, GDTR, LDTR, IDTR, TR
    page.segment(0x00, 0, 0x93, 0);
    page.segment(0x10, 0xf000, habits.cs, entry & 0xffff_0000);
    page.segment(0x20, 0, habits.ss, 0);
    page.segment(0x30, 0, 0x93, 0);
    page.segment(0x40, 0, 0x93, 0);
    page.segment(0x50, 0, 0x93, 0);
    page.segment(0x60, 0, 0, 0);
    page.segment(0x70, 0, 0x82, 0);
    page.segment(0x80, 0, 0, 0);
    page.segment(0x90, 0, habits.tr, 0);
    // EFER: KVM sets SVME
    page.put(0xd0, &0x1000u64.to_le_bytes());
    // CR4 (KVM sets MCE), CR0, DR7, DR6, RFLAGS, RIP
    page.put(0x148, &0x40u64.to_le_bytes());
    page.put(0x158, &0x10u64.to_le_bytes());
    page.put(0x160, &0x400u64.to_le_bytes());
    page.put(0x168, &0xffff_0ff0u64.to_le_bytes());
    page.put(0x170, &2u64.to_le_bytes());
    page.put(0x178, &u64::from(entry & 0xffff).to_le_bytes());
    // G_PAT as after reset
    page.put(0x268, &0x0007_0406_0007_0406u64.to_le_bytes());
    page.put(0x310, &habits.rdx.to_le_bytes());
    page.put(0x3b0, &guest.guest_features.to_le_bytes());
    // XCR0, MXCSR, x87 control word
    page.put(0x3e8, &1u64.to_le_bytes());
    page.put(0x408, &habits.mxcsr.to_le_bytes());
    page.put(0x410, &habits.x87_fcw.to_le_bytes());
    page.0
}

struct Page([u8; PAGE_BYTES]);

impl Page {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    }

    fn segment(&mut self, at: usize, selector: u16, attributes: u16, base: u32) {
        self.put(at, &selector.to_le_bytes());
        self.put(at.saturating_add(2), &attributes.to_le_bytes());
        // Tables without attributes have the same limit of 64 KiB.
        self.put(at.saturating_add(4), &0xffffu32.to_le_bytes());
        self.put(at.saturating_add(8), &u64::from(base).to_le_bytes());
    }
}
