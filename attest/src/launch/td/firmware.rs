//! An OVMF image as far as a TD's registers need it: the sections of its TDX metadata, MRTD, and its volume of variables.
//!
//! Decides: which images are read. Volumes fill their pages and lie whole in the image, the boot volume ends with it at 4 GiB, sections do not
//! overlap, memory has no contents; and the one stream of records MRTD is the digest of.
//! Trusts: nothing; every offset and length is compared with what is there. Out of scope: RTMRs (`td.rs`, `hand_off.rs`).
//! Sources: EDK2 `OvmfPkg/ResetVector/X64/OvmfTdxMetadata.asm`; QEMU `hw/i386/tdvf.c`, whose refusals are kept; Linux `arch/x86/kvm/vmx/tdx.c` for the
//! order of adding and measuring; UEFI PI 1.8 volume 3 (firmware volumes).

use super::super::chain::PAGE_BYTES;
use super::super::firmware::{SECTION_PAGES, SECTIONS, entries, guid, number, pages};
use super::TdError;
use alloc::vec::Vec;
use ringwall_wire::policy::MeasurementRegister;
use sha2::{Digest as _, Sha384};

const HEADER_BYTES: usize = 16;
const SECTION_BYTES: usize = 32;
const FOUR_GIB: u64 = 1 << 32;
/// A page is measured in pieces of so many bytes (TDH.MR.EXTEND).
const CHUNK_BYTES: usize = 256;
const RECORD_BYTES: usize = 128;
/// Attribute bit 0: the contents are measured.
const MR_EXTEND: u32 = 1;

/// A volume of variables: its file system, and the store of authenticated variables behind its header.
const VARIABLE_VOLUME: [u8; 16] = guid(0xfff1_2b8d, 0x7696, 0x4c8b, [0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50]);
const VARIABLE_STORE: [u8; 16] = guid(0xaaf3_2c78, 0x947b, 0x439a, [0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92]);
const STORE_HEADER_BYTES: usize = 28;

/// In which order a hypervisor adds a section's pages and measures what they hold: it shows in MRTD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOrder {
    /// Every page is measured as soon as it was added: KVM since TDX is in Linux (6.16).
    Interleaved,
    /// All pages of a section are added first: KVM with Intel's patches before that.
    AddedFirst,
}

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TdSectionKind {
    /// The firmware itself.
    BootVolume,
    /// Its variables.
    Variables,
    /// Where the hypervisor says which memory there is.
    HandOff,
    /// Memory the firmware uses before it accepts more.
    Memory,
}

/// A piece of memory that is there when the TD starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdSection {
    /// Where its contents begin in the image.
    pub offset: u32,
    /// Bytes of its contents.
    pub bytes: u32,
    /// Guest physical address.
    pub gpa: u64,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// What it is for.
    pub kind: TdSectionKind,
    /// Whether its contents are measured into MRTD; its place always is.
    pub measured: bool,
}

/// A firmware image that supports TDX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdFirmware<'a> {
    image: &'a [u8],
    sections: Vec<TdSection>,
}

impl<'a> TdFirmware<'a> {
    /// Reads an image: code and variables in one file, which ends at 4 GiB.
    pub fn parse(image: &'a [u8]) -> Result<Self, TdError> {
        pages(image)?;
        let from_end = entries(image)?.tdx_metadata.and_then(number).ok_or(TdError::MetadataMissing)?;
        let sections = sections(image, from_end)?;
        placed(image, &sections)?;
        counted(image, &sections)?;
        Ok(TdFirmware { image, sections })
    }

    /// Its sections, in the order of the metadata.
    pub fn sections(&self) -> &[TdSection] {
        &self.sections
    }

    /// MRTD: SHA-384 over a record for each page that is added and for each piece of 256 bytes that is measured, which follows its record.
    /// Hashes one and a half times the image.
    pub fn mrtd(&self, order: PageOrder) -> MeasurementRegister {
        let mut stream = Sha384::new();
        for section in &self.sections {
            let end = section.gpa.saturating_add(section.memory_bytes);
            let places = || (section.gpa..end).step_by(PAGE_BYTES);
            let (contents, _) = if section.measured { self.contents(section) } else { &[] }.as_chunks::<PAGE_BYTES>();
            match order {
                PageOrder::Interleaved => places().enumerate().for_each(|(at, gpa)| {
                    stream.update(record(b"MEM.PAGE.ADD", gpa));
                    contents.get(at).into_iter().for_each(|page| extend(&mut stream, gpa, page));
                }),
                PageOrder::AddedFirst => {
                    places().for_each(|gpa| stream.update(record(b"MEM.PAGE.ADD", gpa)));
                    places().zip(contents).for_each(|(gpa, page)| extend(&mut stream, gpa, page));
                }
            }
        }
        MeasurementRegister(stream.finalize().into())
    }

    /// The volume of variables, if none is set in it.
    pub(super) fn blank_variables(&self) -> Result<&'a [u8], TdError> {
        let refuse = |reason| TdError::Variables { reason };
        let section = self.sections.iter().find(|section| section.kind == TdSectionKind::Variables).ok_or(refuse("there is none"))?;
        let volume = self.contents(section);
        let header = volume.get(..64).ok_or(refuse("its header is cut"))?;
        let field = |at: usize, len: usize| header.get(at..at.saturating_add(len));
        if field(16, 16) != Some(&VARIABLE_VOLUME) || field(40, 4) != Some(b"_FVH") {
            return Err(refuse("it is no volume of variables"));
        }
        let length = header.get(48..).and_then(|rest| rest.first_chunk::<2>()).map_or(0, |bytes| usize::from(u16::from_le_bytes(*bytes)));
        let (_, store) = volume.split_at_checked(length).ok_or(refuse("its header ends behind it"))?;
        let (name, rest) = store.split_first_chunk::<16>().ok_or(refuse("it has no store"))?;
        let bytes = number(rest).and_then(|bytes| usize::try_from(bytes).ok()).ok_or(refuse("its store has no length"))?;
        if *name != VARIABLE_STORE {
            return Err(refuse("its store is of another kind"));
        }
        let variables = store.get(STORE_HEADER_BYTES..bytes).ok_or(refuse("its store ends behind it"))?;
        match variables.iter().all(|byte| *byte == 0xff) {
            true => Ok(volume),
            false => Err(refuse("variables are set in it")),
        }
    }

    /// `parse` compared the range with the image.
    fn contents(&self, section: &TdSection) -> &'a [u8] {
        range(section).and_then(|(from, to)| self.image.get(from..to)).unwrap_or_default()
    }
}

fn range(section: &TdSection) -> Option<(usize, usize)> {
    let from = usize::try_from(section.offset).ok()?;
    Some((from, from.checked_add(usize::try_from(section.bytes).ok()?)?))
}

/// Name in the first 16 bytes, address in the next 8, zeros.
fn record(name: &[u8], gpa: u64) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    record.iter_mut().skip(16).zip(gpa.to_le_bytes()).for_each(|(to, from)| *to = from);
    record
}

fn extend(stream: &mut Sha384, gpa: u64, page: &[u8; PAGE_BYTES]) {
    let (chunks, _) = page.as_chunks::<CHUNK_BYTES>();
    for (place, chunk) in (gpa..).step_by(CHUNK_BYTES).zip(chunks) {
        stream.update(record(b"MR.EXTEND", place));
        stream.update(chunk);
    }
}

/// The sections of the metadata, which begins `from_end` bytes before the end of the image.
fn sections(image: &[u8], from_end: u32) -> Result<Vec<TdSection>, TdError> {
    let malformed = |reason| TdError::MetadataMalformed { reason };
    let from_end = usize::try_from(from_end).unwrap_or(usize::MAX);
    let start = image.len().checked_sub(from_end).ok_or(malformed("it begins before the image"))?;
    let (_, metadata) = image.split_at(start);
    let (header, listed) = metadata.split_first_chunk::<HEADER_BYTES>().ok_or(malformed("its header is cut"))?;
    let (words, _) = header.as_chunks::<4>();
    let [signature, bytes, version, count] = words else { return Err(malformed("its header is cut")) };
    let number = |word: &[u8; 4]| usize::try_from(u32::from_le_bytes(*word)).unwrap_or(usize::MAX);
    if signature != b"TDVF" {
        return Err(malformed("its signature is not TDVF"));
    }
    if number(version) != 1 {
        return Err(malformed("its version is not 1"));
    }
    let count = number(count);
    if count > SECTIONS {
        return Err(TdError::TooManySections { got: count, max: SECTIONS });
    }
    let listed_bytes = count.saturating_mul(SECTION_BYTES);
    if number(bytes) != listed_bytes.saturating_add(HEADER_BYTES) {
        return Err(malformed("its length does not fit its number of sections"));
    }
    let (listed, _) = listed.split_at_checked(listed_bytes).ok_or(malformed("its sections are cut"))?;
    let (listed, _) = listed.as_chunks::<SECTION_BYTES>();
    listed.iter().enumerate().map(|(index, section)| read_section(index, section)).collect()
}

fn read_section(index: usize, bytes: &[u8; SECTION_BYTES]) -> Result<TdSection, TdError> {
    let (words, _) = bytes.as_chunks::<4>();
    let [offset, contents, gpa, gpa_high, memory, memory_high, kind, attributes] = words else {
        return Err(TdError::MetadataMalformed { reason: "its sections are cut" });
    };
    let short = |word: &[u8; 4]| u32::from_le_bytes(*word);
    let long = |low: &[u8; 4], high: &[u8; 4]| u64::from(short(low)) | u64::from(short(high)) << 32;
    let kind = match short(kind) {
        0 => TdSectionKind::BootVolume,
        1 => TdSectionKind::Variables,
        2 => TdSectionKind::HandOff,
        3 => TdSectionKind::Memory,
        got => return Err(TdError::SectionType { index, got }),
    };
    let measured = match short(attributes) {
        0 => false,
        MR_EXTEND => true,
        got => return Err(TdError::SectionAttributes { index, got }),
    };
    let (gpa, memory_bytes) = (long(gpa, gpa_high), long(memory, memory_high));
    Ok(TdSection { offset: short(offset), bytes: short(contents), gpa, memory_bytes, kind, measured })
}

/// Sections must be whole pages below 4 GiB, apart from each other; volumes fill theirs with bytes of the image, memory has none.
fn placed(image: &[u8], sections: &[TdSection]) -> Result<(), TdError> {
    let page = u64::try_from(PAGE_BYTES).expect("a page is small");
    let span = |section: &TdSection| (section.gpa, section.gpa.saturating_add(section.memory_bytes));
    for (index, section) in sections.iter().enumerate() {
        let place = |reason| TdError::SectionPlace { index, gpa: section.gpa, bytes: section.memory_bytes, reason };
        if section.memory_bytes == 0 || !section.gpa.is_multiple_of(page) || !section.memory_bytes.is_multiple_of(page) {
            return Err(place("expected whole pages"));
        }
        let (from, to) = span(section);
        if to > FOUR_GIB {
            return Err(place("expected an end at or below 4 GiB"));
        }
        if sections.iter().take(index).map(span).any(|(start, stop)| from < stop && start < to) {
            return Err(place("it overlaps another section"));
        }
        match section.kind {
            TdSectionKind::BootVolume | TdSectionKind::Variables if u64::from(section.bytes) != section.memory_bytes => {
                return Err(place("a volume must fill its pages"));
            }
            TdSectionKind::BootVolume | TdSectionKind::Variables => {
                let end = u64::from(section.offset).saturating_add(u64::from(section.bytes));
                if !usize::try_from(end).is_ok_and(|end| end <= image.len()) {
                    return Err(TdError::SectionContents { index, end, got: image.len() });
                }
            }
            TdSectionKind::HandOff | TdSectionKind::Memory if section.bytes != 0 || section.measured => {
                return Err(place("memory has no contents in the image that could be measured"));
            }
            TdSectionKind::HandOff | TdSectionKind::Memory => {}
        }
    }
    Ok(())
}

/// One boot volume, measured, which ends where the image and the address space of 32 bits end; one of the others at most, and bounded memory.
fn counted(image: &[u8], sections: &[TdSection]) -> Result<(), TdError> {
    let of = |kind| sections.iter().filter(move |section| section.kind == kind);
    for (kind, what) in [(TdSectionKind::Variables, "volumes of variables"), (TdSectionKind::HandOff, "places for the hand-off block")] {
        let got = of(kind).count();
        if got > 1 {
            return Err(TdError::SectionCount { what, got, expected: "one at most" });
        }
    }
    let at_the_end = |section: &&TdSection| {
        let ends = range(section).is_some_and(|(_, end)| end == image.len());
        section.measured && ends && section.gpa.saturating_add(section.memory_bytes) == FOUR_GIB
    };
    let (volumes, whole) = (of(TdSectionKind::BootVolume).count(), of(TdSectionKind::BootVolume).filter(at_the_end).count());
    if (volumes, whole) != (1, 1) {
        return Err(TdError::SectionCount {
            what: "boot volumes",
            got: volumes,
            expected: "one, measured, from somewhere in the image to its end at 4 GiB",
        });
    }
    let memory =
        of(TdSectionKind::HandOff).chain(of(TdSectionKind::Memory)).map(|section| section.memory_bytes).fold(0, u64::saturating_add);
    let got = usize::try_from(memory).unwrap_or(usize::MAX) / PAGE_BYTES;
    match got <= SECTION_PAGES {
        true => Ok(()),
        false => Err(TdError::TooManyPages { got, max: SECTION_PAGES }),
    }
}
