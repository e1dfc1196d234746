//! The kernel image, as firmware measures it before it starts it: the Authenticode digest of an EFI program, with SHA-384.
//!
//! Decides: which bytes of the image count (not its checksum, not its signature), and what older versions of QEMU write into its setup header first.
//! Trusts: nothing; every offset is compared with what is there, and an image whose digest programs compute differently is refused.
//! Out of scope: whether its signature is good. Sources: Microsoft "Windows Authenticode Portable Executable Signature Format", "Calculating the PE
//! Image Hash"; EDK2 `MeasurePeImageAndExtend`; Linux `Documentation/arch/x86/boot.rst`; QEMU 9 `hw/i386/x86-common.c`.

use super::hand_off::low_memory;
use super::{MeasurementRegister, TdError};
use alloc::vec::Vec;
use sha2::{Digest as _, Sha384};

/// Bytes of a kernel image: distributions' have 10 to 20 MiB, one with its initrd inside may have more.
pub const KERNEL_BYTES: usize = 128 * 1024 * 1024;

/// Sections of an image: kernels have 3 to 6.
const SECTIONS: usize = 96;
const SECTION_BYTES: usize = 40;
/// Signature and file header.
const FILE_HEADER_BYTES: usize = 4 + 20;
const PE32_PLUS: u16 = 0x20b;
/// Offsets in the optional header: size of headers, checksum, number of directories, directories; the fifth one is the certificate table.
const HEADERS_SIZE_AT: usize = 60;
const CHECKSUM_AT: usize = 64;
const DIRECTORIES_AT: usize = 108;
const CERTIFICATES_AT: usize = 112 + 4 * 8;

/// The digest firmware extends RTMR1 with for this kernel.
pub fn kernel_digest(image: &[u8]) -> Result<MeasurementRegister, TdError> {
    let refuse = |reason| TdError::Kernel { reason };
    if image.len() > KERNEL_BYTES {
        return Err(TdError::KernelLength { got: image.len(), max: KERNEL_BYTES });
    }
    if image.get(..2) != Some(b"MZ") {
        return Err(refuse("it is no EFI program: build the kernel with CONFIG_EFI_STUB"));
    }
    // Signing programs pad an image to 8 bytes before they hash it, firmware does not.
    if !image.len().is_multiple_of(8) {
        return Err(refuse("its size is no multiple of 8, of which programs make different digests"));
    }
    let pe = long(image, 0x3c).ok_or(refuse("its header is cut"))?;
    if image.get(pe..pe.saturating_add(4)) != Some(b"PE\0\0") {
        return Err(refuse("it has no PE header"));
    }
    let optional = pe.saturating_add(FILE_HEADER_BYTES);
    let field = |at: usize| long(image, optional.saturating_add(at)).ok_or(refuse("its optional header is cut"));
    let optional_bytes = short(image, pe.saturating_add(20)).map(usize::from).ok_or(refuse("its file header is cut"))?;
    if short(image, optional) != Some(PE32_PLUS) || field(DIRECTORIES_AT)? < 5 || optional_bytes < CERTIFICATES_AT.saturating_add(8) {
        return Err(refuse("it is no 64-bit program with a place for a signature"));
    }
    let headers = field(HEADERS_SIZE_AT)?;
    let (certificates, certificate_bytes) = (field(CERTIFICATES_AT)?, field(CERTIFICATES_AT.saturating_add(4))?);
    let mut stream = Sha384::new();
    let after_checksum = optional.saturating_add(CHECKSUM_AT).saturating_add(4);
    let directory = optional.saturating_add(CERTIFICATES_AT);
    for (from, to) in [(0, optional.saturating_add(CHECKSUM_AT)), (after_checksum, directory), (directory.saturating_add(8), headers)] {
        stream.update(image.get(from..to).ok_or(refuse("its headers do not hold together"))?);
    }
    let table = optional.saturating_add(optional_bytes);
    let count = short(image, pe.saturating_add(6)).map(usize::from).ok_or(refuse("its file header is cut"))?;
    let mut hashed = headers;
    for (from, to) in sections(image, table, count, headers)? {
        stream.update(image.get(from..to).ok_or(refuse("a section ends behind the image"))?);
        hashed = hashed.saturating_add(to.saturating_sub(from));
    }
    let signed =
        image.len().checked_sub(certificate_bytes).filter(|end| *end >= hashed).ok_or(refuse("its signature overlaps its sections"))?;
    if certificate_bytes != 0 && certificates != signed {
        return Err(refuse("its signature is not at its end"));
    }
    stream.update(image.get(hashed..signed).ok_or(refuse("its sections overlap"))?);
    Ok(MeasurementRegister(stream.finalize().into()))
}

/// Where the sections with contents lie, in order of place: apart from each other, behind the headers.
fn sections(image: &[u8], table: usize, count: usize, headers: usize) -> Result<Vec<(usize, usize)>, TdError> {
    let refuse = |reason| TdError::Kernel { reason };
    if count > SECTIONS {
        return Err(refuse("it has more than 96 sections"));
    }
    let end = table.saturating_add(count.saturating_mul(SECTION_BYTES));
    let listed = image.get(table..end).filter(|_| end <= headers).ok_or(refuse("its list of sections is cut"))?;
    let (listed, _) = listed.as_chunks::<SECTION_BYTES>();
    let mut places = Vec::new();
    for section in listed {
        let (Some(bytes), Some(from)) = (long(section, 16), long(section, 20)) else { return Err(refuse("its list of sections is cut")) };
        if bytes != 0 {
            places.push((from, from.saturating_add(bytes)));
        }
    }
    places.sort_unstable();
    let mut free = headers;
    for (from, to) in &places {
        if *from < free {
            return Err(refuse("its sections overlap"));
        }
        free = *to;
    }
    Ok(places)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))?;
    usize::try_from(number).ok()
}

/// What QEMU before 10.0, and any QEMU under OVMF before 2025.05, knows when it fills the kernel's setup header in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderFill<'a> {
    /// Bytes of the guest's memory.
    pub memory: u64,
    /// Bytes of the initrd; 0 for none.
    pub initrd_bytes: u64,
    /// The command line.
    pub cmdline: &'a str,
}

/// Where QEMU puts real-mode code and command line of a kernel that is loaded high.
const REAL_MODE: u32 = 0x1_0000;
const CMDLINE: u32 = 0x2_0000;
/// What QEMU keeps free for ACPI at the end of low memory.
const ACPI_BYTES: u64 = 0x2_8000;
/// Boot protocol 2.12 (Linux 3.8): older kernels are filled in differently.
const PROTOCOL: u16 = 0x20c;

/// The kernel as such a QEMU hands it to the firmware, which then measures it so: its setup header says who loads it, and where command line and initrd
/// are. With QEMU 10.0 and OVMF 2025.05 or newer the firmware gets the file as it is.
pub fn kernel_as_handed_over(kernel: &[u8], fill: &HeaderFill<'_>) -> Result<Vec<u8>, TdError> {
    let refuse = |reason| TdError::Kernel { reason };
    if kernel.len() > KERNEL_BYTES {
        return Err(TdError::KernelLength { got: kernel.len(), max: KERNEL_BYTES });
    }
    if kernel.get(0x202..0x206) != Some(b"HdrS") {
        return Err(refuse("it has no setup header of Linux"));
    }
    let (protocol, flags) = (short(kernel, 0x206), kernel.get(0x211).copied());
    let (Some(protocol), Some(flags), Some(extended)) = (protocol, flags, short(kernel, 0x236)) else {
        return Err(refuse("its setup header is cut"));
    };
    if protocol < PROTOCOL || flags & 1 == 0 {
        return Err(refuse("its boot protocol is older than 2.12"));
    }
    // QEMU would read a video mode out of it.
    if fill.cmdline.contains("vga=") {
        return Err(refuse("its command line sets a video mode (vga=), which this program does not fill in"));
    }
    let mut handed = kernel.to_vec();
    let mut put = |at: usize, bytes: &[u8]| handed.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    // Loader: QEMU. The heap may be used, up to the command line.
    put(0x210, &[0xb0, flags | 0x80]);
    let heap_end = CMDLINE.saturating_sub(REAL_MODE).saturating_sub(0x200);
    put(0x224, &u16::try_from(heap_end).expect("a difference of constants").to_le_bytes());
    put(0x228, &CMDLINE.to_le_bytes());
    if fill.initrd_bytes > 0 {
        let above = extended & 2 != 0;
        let limit = if above { u64::from(u32::MAX) } else { long(kernel, 0x22c).map_or(0, |limit| limit as u64) };
        let low = low_memory(fill.memory).saturating_sub(ACPI_BYTES);
        let most = if limit >= low { low.saturating_sub(1) } else { limit };
        let place = most.checked_sub(fill.initrd_bytes).filter(|place| *place > 0);
        let place = place.ok_or(TdError::InitrdLength { got: fill.initrd_bytes, most })? & !0xfff;
        let word = |number: u64| u32::try_from(number).expect("below 4 GiB").to_le_bytes();
        put(0x218, &word(place));
        put(0x21c, &word(fill.initrd_bytes));
    }
    Ok(handed)
}
