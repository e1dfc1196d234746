//! The registers of a TD, predicted: MRTD, and what OVMF extends RTMR0, RTMR1 and RTMR2 with when QEMU starts a kernel directly.
//!
//! Decides: which events a boot consists of, in their order, and what each one is extended with. [`TdFirmware`] gives MRTD from the image alone;
//! RTMR1 follows from the kernel, RTMR2 from command line and initrd, RTMR0 from the image, the size of memory and three files of QEMU's.
//! Trusts: nothing about the artefacts. That a host starts a guest so is not decided here: the prediction is an expected value for a policy.
//! Out of scope: boots from a disk, secure boot with enrolled keys, firmware that is not OVMF, hypervisors of clouds: their boots are taken from a
//! recorded event log (`event_log.rs`). Sources: Intel TDX module 1.5 ABI (TDH.MEM.PAGE.ADD, TDH.MR.EXTEND); EDK2 OvmfPkg (TDVF design guide,
//! TdxMetadata.asm, the measuring of hand-off block, volume, variables and ACPI files); Linux 6.9 EFI stub. docs/measurements.md says what was compared.

mod error;
mod firmware;
mod hand_off;
mod kernel;

pub use error::TdError;
pub use firmware::{PageOrder, TdFirmware, TdSection, TdSectionKind};
pub use kernel::{HeaderFill, KERNEL_BYTES, kernel_as_handed_over, kernel_digest};

use super::firmware::guid;
use crate::event_log::extended;
use alloc::vec::Vec;
use ringwall_wire::policy::MeasurementRegister;
use sha2::{Digest as _, Sha384};

/// Bytes of a command line: what Linux on x86 keeps of one, with its end.
pub const CMDLINE_BYTES: usize = 2_048;

const GLOBAL_VARIABLES: [u8; 16] = guid(0x8be4_df61, 0x93ca, 0x11d2, [0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c]);
const IMAGE_SECURITY: [u8; 16] = guid(0xd719_b2cb, 0x3d3a, 0x4596, [0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f]);
/// The firmware's volume that holds its setup program, and that program.
const SETUP_VOLUME: [u8; 16] = guid(0x7cb8_bdc9, 0xf8eb, 0x4f34, [0xaa, 0xea, 0x3e, 0xe4, 0xaf, 0x65, 0x16, 0xa1]);
const SETUP_PROGRAM: [u8; 16] = guid(0x462c_aa21, 0x7614, 0x4503, [0x83, 0x6e, 0x8a, 0xb6, 0xf4, 0x66, 0x23, 0x31]);
/// Type and length of a device path node: a volume of the firmware, a file in it, the end.
const VOLUME_NODE: [u8; 4] = [0x04, 0x07, 0x14, 0x00];
const FILE_NODE: [u8; 4] = [0x04, 0x06, 0x14, 0x00];
const END_NODE: [u8; 4] = [0x7f, 0xff, 0x04, 0x00];
/// LOAD_OPTION_ACTIVE, LOAD_OPTION_HIDDEN, LOAD_OPTION_CATEGORY_APP.
const SETUP_ATTRIBUTES: u32 = 0x109;
const SETUP_PATH_BYTES: u16 = 0x2c;

/// SHA-384 of the three files with which QEMU tells the firmware about the machine: they depend on every device of the guest, on the number of its
/// vCPUs and on QEMU's version. A guest reads them in `/sys/firmware/qemu_fw_cfg/by_name/etc/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcpiFiles {
    /// `etc/table-loader`.
    pub loader: MeasurementRegister,
    /// `etc/acpi/rsdp`.
    pub rsdp: MeasurementRegister,
    /// `etc/acpi/tables`.
    pub tables: MeasurementRegister,
}

/// The events of RTMR0: hand-off block, volume of variables, secure boot's variables (none is set), separator, ACPI files, boot order, boot option.
///
/// It holds for OVMF up to 2025.02 with an empty volume of variables. `memory` is the guest's memory in bytes.
pub fn machine_events(firmware: &TdFirmware<'_>, memory: u64, acpi: &AcpiFiles) -> Result<Vec<MeasurementRegister>, TdError> {
    let [hand_off, variables] = first_events(firmware, memory)?;
    let mut events = alloc::vec![hand_off, variables];
    events.extend(["SecureBoot", "PK", "KEK"].map(|name| unset_variable(&GLOBAL_VARIABLES, name)));
    events.extend(["db", "dbx"].map(|name| unset_variable(&IMAGE_SECURITY, name)));
    events.extend([sha384(&SEPARATOR), acpi.loader, acpi.rsdp, acpi.tables]);
    // BootOrder names the option 0000 alone, which is the setup program; a kernel that is started directly comes before it and is no option.
    events.extend([sha384(&[0, 0]), sha384(&setup_option())]);
    Ok(events)
}

/// The first two events of RTMR0, which no ACPI file is needed for: hand-off block and volume of variables.
pub fn first_events(firmware: &TdFirmware<'_>, memory: u64) -> Result<[MeasurementRegister; 2], TdError> {
    Ok([hand_off::digest(firmware.sections(), memory)?, sha384(firmware.blank_variables()?)])
}

/// The events of RTMR1: the kernel ([`kernel_digest`]), its start, and that it takes over from the firmware.
pub fn kernel_events(kernel: MeasurementRegister) -> [MeasurementRegister; 5] {
    [
        kernel,
        sha384(b"Calling EFI Application from Boot Option"),
        sha384(&SEPARATOR),
        sha384(b"Exit Boot Services Invocation"),
        sha384(b"Exit Boot Services Returned with Success"),
    ]
}

/// The events of RTMR2, which the kernel itself extends (Linux 6.9 and later): command line, as the firmware passes it on, and initrd.
///
/// `initrd` is its SHA-384; none when there is none.
pub fn payload_events(cmdline: &str, initrd: Option<MeasurementRegister>) -> Result<Vec<MeasurementRegister>, TdError> {
    let added = if initrd.is_some() { " initrd=initrd" } else { "" };
    let bytes = cmdline.len().saturating_add(added.len()).saturating_add(1);
    if bytes > CMDLINE_BYTES {
        return Err(TdError::CmdlineLength { got: bytes, max: CMDLINE_BYTES });
    }
    if let Some(at) = cmdline.bytes().position(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err(TdError::CmdlineByte { at });
    }
    let options = utf16(cmdline).chain(utf16(added)).chain([0, 0]).collect::<Vec<u8>>();
    Ok(core::iter::once(sha384(&options)).chain(initrd).collect())
}

/// What a register holds after these events.
pub fn register(events: &[MeasurementRegister]) -> MeasurementRegister {
    extended(events.iter().copied())
}

/// Ends what the firmware measures before it looks for something to boot.
const SEPARATOR: [u8; 4] = [0; 4];

fn sha384(bytes: &[u8]) -> MeasurementRegister {
    MeasurementRegister(Sha384::digest(bytes).into())
}

fn utf16(text: &str) -> impl Iterator<Item = u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes)
}

/// A variable that does not exist is measured by its name (UEFI_VARIABLE_DATA without data).
fn unset_variable(vendor: &[u8; 16], name: &'static str) -> MeasurementRegister {
    let chars = u64::try_from(name.len()).expect("names are short");
    let mut data = vendor.to_vec();
    data.extend(chars.to_le_bytes());
    data.extend(0u64.to_le_bytes());
    data.extend(utf16(name));
    sha384(&data)
}

/// The boot option of the firmware's setup program (EFI_LOAD_OPTION, UEFI 2.10 section 3.1.3).
fn setup_option() -> Vec<u8> {
    let mut option = SETUP_ATTRIBUTES.to_le_bytes().to_vec();
    option.extend(SETUP_PATH_BYTES.to_le_bytes());
    option.extend(utf16("UiApp\0"));
    option.extend(VOLUME_NODE.iter().chain(&SETUP_VOLUME).chain(&FILE_NODE).chain(&SETUP_PROGRAM).chain(&END_NODE));
    option
}
