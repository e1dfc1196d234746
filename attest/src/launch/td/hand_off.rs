//! The hand-off block: what QEMU tells the firmware about memory, byte for byte, because the firmware measures it first of all.
//!
//! Decides: the list of memory ranges (those the firmware's sections lie in are accepted already, the rest is not) and its encoding.
//! Trusts: the sections, which `firmware.rs` placed. Out of scope: other hypervisors' lists.
//! Sources: QEMU `hw/i386/tdvf-hob.c`, `target/i386/kvm/tdx.c` (ranges) and `hw/i386/pc_q35.c` (memory below 4 GiB); UEFI PI 1.8 volume 3 (HOBs).

use super::firmware::{TdSection, TdSectionKind};
use super::{TdError, sha384};
use alloc::vec::Vec;
use ringwall_wire::policy::MeasurementRegister;

/// QEMU's q35 machine keeps so much memory below 4 GiB, and less as soon as there is more than that.
const LOW_MOST: u64 = 0xb000_0000;
const LOW_OF_MORE: u64 = 0x8000_0000;
const FOUR_GIB: u64 = 1 << 32;
/// More than any machine has: 52 bits are what page tables can name.
const MEMORY_MOST: u64 = 1 << 52;
const PAGE: u64 = 4_096;

const HANDOFF_TYPE: u16 = 1;
const HANDOFF_BYTES: u16 = 56;
const HANDOFF_VERSION: u32 = 9;
const RESOURCE_TYPE: u16 = 3;
const RESOURCE_BYTES: u16 = 48;
/// The end of the list, which is not measured but counted.
const END_BYTES: u64 = 8;
const SYSTEM_MEMORY: u32 = 0;
const UNACCEPTED_MEMORY: u32 = 7;
/// Present, initialized, tested.
const ATTRIBUTES: u32 = 7;

/// Bytes of memory below 4 GiB of a guest that has `memory` in all.
pub(super) fn low_memory(memory: u64) -> u64 {
    if memory >= LOW_MOST { LOW_OF_MORE } else { memory }
}

/// SHA-384 of the block for a guest with `memory` bytes.
pub(super) fn digest(sections: &[TdSection], memory: u64) -> Result<MeasurementRegister, TdError> {
    let hand_off = sections.iter().find(|section| section.kind == TdSectionKind::HandOff);
    let base = hand_off.ok_or(TdError::SectionCount { what: "places for the hand-off block", got: 0, expected: "one" })?.gpa;
    let mut accepted: Vec<(u64, u64)> = sections
        .iter()
        .filter(|section| matches!(section.kind, TdSectionKind::HandOff | TdSectionKind::Memory))
        .map(|section| (section.gpa, section.gpa.saturating_add(section.memory_bytes)))
        .collect();
    accepted.sort_unstable();
    let used = accepted.last().map_or(0, |(_, end)| *end);
    let low = low_memory(memory);
    if low <= used || memory > MEMORY_MOST || !memory.is_multiple_of(PAGE) {
        return Err(TdError::Memory { got: memory, min: used, max: MEMORY_MOST });
    }
    let mut resources = Vec::new();
    let mut at: u64 = 0;
    for (from, to) in accepted {
        if from > at {
            resource(&mut resources, UNACCEPTED_MEMORY, at, from.saturating_sub(at));
        }
        resource(&mut resources, SYSTEM_MEMORY, from, to.saturating_sub(from));
        at = to;
    }
    resource(&mut resources, UNACCEPTED_MEMORY, at, low.saturating_sub(at));
    if memory > low {
        resource(&mut resources, UNACCEPTED_MEMORY, FOUR_GIB, memory.saturating_sub(low));
    }
    let listed = u64::try_from(resources.len()).expect("a few ranges");
    let end = base.saturating_add(u64::from(HANDOFF_BYTES)).saturating_add(listed).saturating_add(END_BYTES);
    let mut block = header(HANDOFF_TYPE, HANDOFF_BYTES);
    block.extend(HANDOFF_VERSION.to_le_bytes());
    // Boot mode; top and bottom of memory, of free memory: nothing is said of them.
    block.extend([0; 4 + 4 * 8]);
    block.extend(end.to_le_bytes());
    block.extend(resources);
    Ok(sha384(&block))
}

fn header(kind: u16, bytes: u16) -> Vec<u8> {
    let mut header = kind.to_le_bytes().to_vec();
    header.extend(bytes.to_le_bytes());
    header.extend([0; 4]);
    header
}

fn resource(list: &mut Vec<u8>, kind: u32, start: u64, bytes: u64) {
    list.extend(header(RESOURCE_TYPE, RESOURCE_BYTES));
    // Owner: nobody.
    list.extend([0; 16]);
    list.extend(kind.to_le_bytes());
    list.extend(ATTRIBUTES.to_le_bytes());
    list.extend(start.to_le_bytes());
    list.extend(bytes.to_le_bytes());
}
