//! An OVMF image as far as the launch digest needs it: its pages, its table of entries, its SEV metadata.
//!
//! Decides: which images are read; sections are whole pages below the image that do not overlap, and both their number and their pages are bounded.
//! Trusts: nothing; every offset and length is compared with what is there. Out of scope: the order of measuring (`launch.rs`).
//! Source: EDK2 `OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm` (table of entries, read backwards from 32 bytes before the end) and
//! `OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm`.

use super::chain::{Chain, PAGE_BYTES};
use super::error::LaunchError;
use alloc::vec::Vec;
use ringwall_wire::policy::MeasurementRegister;

/// Bytes of a firmware image: OVMF builds have 2 to 4 MiB, QEMU maps at most 8 MiB of flash unless told otherwise.
pub const FIRMWARE_BYTES: usize = 16 * 1024 * 1024;
/// Sections of the metadata: OVMF has 6 or 7.
pub const SECTIONS: usize = 64;
/// Pages of all sections together (64 MiB): OVMF asks for less than 256 KiB.
pub const SECTION_PAGES: usize = 16_384;

/// What follows the table of entries: the reset vector's code.
const RESET_CODE_BYTES: usize = 32;
/// Length and GUID, at the end of each entry.
const ENTRY_TAIL_BYTES: usize = 2 + 16;
const METADATA_HEADER_BYTES: usize = 16;
const METADATA_SECTION_BYTES: usize = 12;
const FOUR_GIB: u64 = 1 << 32;

const FOOTER: [u8; 16] = guid(0x96b5_82de, 0x1fb2, 0x45f7, [0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d]);
const HASHES_TABLE: [u8; 16] = guid(0x7255_371f, 0x3a3b, 0x4b04, [0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54]);
const AP_ENTRY: [u8; 16] = guid(0x00f7_71de, 0x1a7e, 0x4fcb, [0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e]);
const METADATA: [u8; 16] = guid(0xdc88_6566, 0x984a, 0x4798, [0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc]);
const TDX_METADATA: [u8; 16] = guid(0xe47a_6535, 0x984a, 0x4798, [0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2]);

/// A GUID as it lies in memory: the first three numbers little-endian.
pub(super) const fn guid(first: u32, second: u16, third: u16, rest: [u8; 8]) -> [u8; 16] {
    let ([a, b, c, d], [e, f], [g, h]) = (first.to_le_bytes(), second.to_le_bytes(), third.to_le_bytes());
    let [i, j, k, l, m, n, o, p] = rest;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// What a section is for, which says how its pages are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Memory the firmware uses before it accepts more: pages of zeros.
    Memory,
    /// The page for the platform's secrets.
    Secrets,
    /// The page for the CPUID the platform vouches for.
    Cpuid,
    /// Where a guest calls a module of higher privilege: a page of zeros.
    SvsmCallingArea,
    /// The page with the hashes of kernel, initrd and command line.
    KernelHashes,
}

impl SectionKind {
    /// The kind an image calls `code`.
    pub fn of_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(SectionKind::Memory),
            2 => Some(SectionKind::Secrets),
            3 => Some(SectionKind::Cpuid),
            4 => Some(SectionKind::SvsmCallingArea),
            0x10 => Some(SectionKind::KernelHashes),
            _ => None,
        }
    }
}

/// Memory the firmware wants prepared before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Guest physical address.
    pub gpa: u32,
    /// Length in bytes.
    pub bytes: u32,
    /// What it is for.
    pub kind: SectionKind,
}

/// A firmware image, measured and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    image: MeasurementRegister,
    sections: Vec<Section>,
    hashes_table: Option<u32>,
    ap_entry: Option<u32>,
}

impl Firmware {
    /// Reads and measures an image, which ends at 4 GiB. Hashes every page once (about 10 ms for 4 MiB).
    pub fn parse(image: &[u8]) -> Result<Self, LaunchError> {
        let pages = pages(image)?;
        let entries = entries(image)?;
        let metadata = entries.metadata.and_then(number).ok_or(LaunchError::MetadataMissing)?;
        let sections = sections(image, metadata)?;
        let length = u32::try_from(image.len()).expect("an image is at most 16 MiB");
        let start = u32::MAX.wrapping_sub(length).wrapping_add(1);
        placed(&sections, u64::from(start))?;
        let mut chain = Chain::new();
        for (gpa, page) in (start..=u32::MAX).step_by(PAGE_BYTES).zip(pages) {
            chain.normal(gpa, page);
        }
        Ok(Firmware {
            image: chain.finish(),
            sections,
            hashes_table: entries.hashes_table.and_then(number).filter(|gpa| *gpa != 0),
            ap_entry: entries.ap_entry.and_then(number).filter(|entry| *entry != 0),
        })
    }

    /// Firmware of which these parts are known and the image is not at hand: digest of the image's pages, sections in the order of its metadata,
    /// address of the hashes table and entry of the vCPUs after the first one, where its table names them.
    pub fn from_parts(
        image: MeasurementRegister,
        sections: Vec<Section>,
        hashes_table: Option<u32>,
        ap_entry: Option<u32>,
    ) -> Result<Self, LaunchError> {
        placed(&sections, FOUR_GIB)?;
        Ok(Firmware { image, sections, hashes_table, ap_entry })
    }

    /// The launch digest after the image's pages alone.
    pub fn image_digest(&self) -> MeasurementRegister {
        self.image
    }

    /// What the image wants prepared, in its order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Where the hashes of kernel, initrd and command line belong.
    pub fn hashes_table(&self) -> Option<u32> {
        self.hashes_table
    }

    /// Where vCPUs after the first one start.
    pub fn ap_entry(&self) -> Option<u32> {
        self.ap_entry
    }
}

/// The pages of an image, which must be whole ones and not too many.
pub(super) fn pages(image: &[u8]) -> Result<&[[u8; PAGE_BYTES]], LaunchError> {
    let (pages, rest) = image.as_chunks::<PAGE_BYTES>();
    match pages.is_empty() || !rest.is_empty() || image.len() > FIRMWARE_BYTES {
        true => Err(LaunchError::ImageLength { got: image.len(), max: FIRMWARE_BYTES }),
        false => Ok(pages),
    }
}

/// The number an entry begins with.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Contents of the entries that matter here.
#[derive(Default)]
pub(super) struct Entries<'a> {
    metadata: Option<&'a [u8]>,
    /// Where the metadata for TDX is.
    pub(super) tdx_metadata: Option<&'a [u8]>,
    hashes_table: Option<&'a [u8]>,
    ap_entry: Option<&'a [u8]>,
}

/// Reads the table backwards: each entry ends with its length, which counts the whole entry, and its GUID.
pub(super) fn entries(image: &[u8]) -> Result<Entries<'_>, LaunchError> {
    let malformed = |reason| LaunchError::FooterMalformed { reason };
    let end = image.len().checked_sub(RESET_CODE_BYTES).ok_or(LaunchError::FooterMissing)?;
    let (before, _code) = image.split_at(end);
    let (before, length, name) = entry_tail(before).ok_or(LaunchError::FooterMissing)?;
    if *name != FOOTER {
        return Err(LaunchError::FooterMissing);
    }
    let table_bytes = length.checked_sub(ENTRY_TAIL_BYTES).ok_or(malformed("it is shorter than its own last entry"))?;
    let start = before.len().checked_sub(table_bytes).ok_or(malformed("it begins before the image"))?;
    let (_, mut table) = before.split_at(start);
    let mut found = Entries::default();
    while !table.is_empty() {
        let (rest, length, name) = entry_tail(table).ok_or(malformed("an entry has no room for its length and name"))?;
        let content = length.checked_sub(ENTRY_TAIL_BYTES).ok_or(malformed("an entry is shorter than its length and name"))?;
        let start = rest.len().checked_sub(content).ok_or(malformed("an entry begins before the table"))?;
        let (left, content) = rest.split_at(start);
        table = left;
        let (slot, entry) = match *name {
            METADATA => (&mut found.metadata, "the SEV metadata"),
            TDX_METADATA => (&mut found.tdx_metadata, "the TDX metadata"),
            HASHES_TABLE => (&mut found.hashes_table, "the hashes table"),
            AP_ENTRY => (&mut found.ap_entry, "the entry of further vCPUs"),
            _ => continue,
        };
        if slot.replace(content).is_some() {
            return Err(LaunchError::EntryTwice { entry });
        }
    }
    Ok(found)
}

/// Splits length and GUID off the end.
fn entry_tail(bytes: &[u8]) -> Option<(&[u8], usize, &[u8; 16])> {
    let (bytes, name) = bytes.split_last_chunk::<16>()?;
    let (bytes, length) = bytes.split_last_chunk::<2>()?;
    Some((bytes, usize::from(u16::from_le_bytes(*length)), name))
}

/// The sections of the metadata, which begins `from_end` bytes before the end of the image.
fn sections(image: &[u8], from_end: u32) -> Result<Vec<Section>, LaunchError> {
    let malformed = |reason| LaunchError::MetadataMalformed { reason };
    let from_end = usize::try_from(from_end).unwrap_or(usize::MAX);
    let start = image.len().checked_sub(from_end).ok_or(malformed("it begins before the image"))?;
    let (_, metadata) = image.split_at(start);
    let (header, listed) = metadata.split_first_chunk::<METADATA_HEADER_BYTES>().ok_or(malformed("its header is cut"))?;
    let (words, _) = header.as_chunks::<4>();
    let [signature, bytes, version, count] = words else { return Err(malformed("its header is cut")) };
    let number = |word: &[u8; 4]| usize::try_from(u32::from_le_bytes(*word)).unwrap_or(usize::MAX);
    if signature != b"ASEV" {
        return Err(malformed("its signature is not ASEV"));
    }
    if number(version) != 1 {
        return Err(malformed("its version is not 1"));
    }
    let count = number(count);
    if count > SECTIONS {
        return Err(LaunchError::TooManySections { got: count, max: SECTIONS });
    }
    let listed_bytes = count.saturating_mul(METADATA_SECTION_BYTES);
    if number(bytes) != listed_bytes.saturating_add(METADATA_HEADER_BYTES) {
        return Err(malformed("its length does not fit its number of sections"));
    }
    let (listed, _) = listed.split_at_checked(listed_bytes).ok_or(malformed("its sections are cut"))?;
    let (listed, _) = listed.as_chunks::<METADATA_SECTION_BYTES>();
    listed.iter().enumerate().map(|(index, section)| read_section(index, section)).collect()
}

fn read_section(index: usize, bytes: &[u8; METADATA_SECTION_BYTES]) -> Result<Section, LaunchError> {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
    let code = u32::from_le_bytes([i, j, k, l]);
    let kind = SectionKind::of_code(code).ok_or(LaunchError::SectionType { index, got: code })?;
    Ok(Section { gpa: u32::from_le_bytes([a, b, c, d]), bytes: u32::from_le_bytes([e, f, g, h]), kind })
}

/// Sections must be whole pages below `end`, apart from each other, and few: real firmware refuses to add a page twice.
fn placed(sections: &[Section], end: u64) -> Result<(), LaunchError> {
    if sections.len() > SECTIONS {
        return Err(LaunchError::TooManySections { got: sections.len(), max: SECTIONS });
    }
    let span = |section: &Section| (u64::from(section.gpa), u64::from(section.gpa).saturating_add(u64::from(section.bytes)));
    let mut pages: usize = 0;
    for (index, section) in sections.iter().enumerate() {
        let place = |reason| LaunchError::SectionPlace { index, gpa: section.gpa, bytes: section.bytes, reason };
        let whole = |number: u32| usize::try_from(number).is_ok_and(|number| number.is_multiple_of(PAGE_BYTES));
        if section.bytes == 0 || !whole(section.gpa) || !whole(section.bytes) {
            return Err(place("expected whole pages"));
        }
        let single = matches!(section.kind, SectionKind::Secrets | SectionKind::Cpuid);
        let count = usize::try_from(section.bytes).unwrap_or(usize::MAX) / PAGE_BYTES;
        if single && count != 1 {
            return Err(place("expected one page"));
        }
        let (from, to) = span(section);
        if to > end {
            return Err(place("expected an end below the firmware image"));
        }
        if sections.iter().take(index).map(span).any(|(start, stop)| from < stop && start < to) {
            return Err(place("it overlaps another section"));
        }
        pages = pages.saturating_add(count);
    }
    match pages <= SECTION_PAGES {
        true => Ok(()),
        false => Err(LaunchError::TooManyPages { got: pages, max: SECTION_PAGES }),
    }
}
