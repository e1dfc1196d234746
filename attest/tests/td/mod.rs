//! Predicted registers of TDs against a boot that hardware signed and against other programs; and artefacts nobody meant well with.
//!
//! Decides: that MRTD, hand-off block, variables, kernel and payload are predicted as README.md beside this file says they were computed elsewhere,
//! that everything measured counts, and that damaged artefacts are refused by name.
//! Trusts: the vectors. Out of scope: SNP (`launch.rs`).

mod image;

use super::shelf;
use image::{IMAGE_BYTES, SIGNED_KERNEL, SUFFIX, VOLUME_BYTES, image};
use proptest::prelude::*;
use ringwall_attest::launch::td::{
    AcpiFiles, HeaderFill, PageOrder, TdError as E, TdFirmware, TdSectionKind, first_events, kernel_as_handed_over, kernel_digest,
    kernel_events, machine_events, payload_events, register,
};
use ringwall_attest::launch::{Firmware, LaunchError, SECTIONS};
use ringwall_wire::policy::MeasurementRegister;
use ringwall_wire::text::{read_hex, read_hex_vec};
use serde_json::Value;

/// Where the metadata begins, from the end of the image; its sections are 32 bytes each, 16 bytes behind that.
const METADATA: usize = 0x9c0;
const GIB: u64 = 1 << 30;

/// The image with other bytes in its metadata.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = image();
    let at = IMAGE_BYTES - METADATA + at;
    image[at..at + bytes.len()].copy_from_slice(bytes);
    image
}

/// One field of one section: offset, bytes, address (8), memory (8), type, attributes.
fn section(index: usize, field: usize, bytes: &[u8]) -> Vec<u8> {
    with(16 + 32 * index + field, bytes)
}

fn hex(text: &str) -> MeasurementRegister {
    text.parse().unwrap()
}

fn acpi() -> AcpiFiles {
    AcpiFiles { loader: MeasurementRegister([1; 48]), rsdp: MeasurementRegister([2; 48]), tables: MeasurementRegister([3; 48]) }
}

/// The events of one register of the boot that was recorded, and what the hardware signed for it.
fn recorded(vector: &Value, register: u64) -> (Vec<MeasurementRegister>, MeasurementRegister) {
    let events: Value = serde_json::from_str(vector["data"]["event_log"].as_str().unwrap()).unwrap();
    let of = events.as_array().unwrap().iter().filter(|event| event["imr"].as_u64() == Some(register));
    let quote = read_hex_vec(vector["data"]["quote"].as_str().unwrap()).unwrap();
    let at = 48 + 328 + 48 * usize::try_from(register).unwrap();
    let signed = MeasurementRegister(quote[at..at + 48].try_into().unwrap());
    (of.map(|event| MeasurementRegister(read_hex(event["digest"].as_str().unwrap()).unwrap())).collect(), signed)
}

#[test]
fn mrtd_is_what_another_program_computes() {
    let image = image();
    let firmware = TdFirmware::parse(&image).unwrap();
    let kinds: Vec<TdSectionKind> = firmware.sections().iter().map(|section| section.kind).collect();
    use TdSectionKind::{BootVolume, HandOff, Memory, Variables};
    assert_eq!(kinds, [BootVolume, Variables, Memory, Memory, HandOff, Memory]);
    for (order, expected) in [
        (PageOrder::Interleaved, "210dac558b49d636ac0955f81724deafe7ec2e5785df3cd126f9c54ea685ffa4a3158f1032fe4d9c9273df4325dc34ee"),
        (PageOrder::AddedFirst, "16d769a73034358654be84b08f4cc92adcaeed5b1db0060b4a5a18d960d4aa904262f8a3003f21bf28705b2e13752f35"),
    ] {
        assert_eq!(firmware.mrtd(order), hex(expected), "{order:?}");
    }
    // The same image serves SNP guests: one build, two sets of metadata.
    assert!(Firmware::parse(&image).is_ok());
}

#[test]
fn a_boot_that_hardware_signed_is_predicted() {
    let Some(vector) = shelf::json("measurement/tdx-rtmr-replay-dstack.json") else { return };
    let config: Value = serde_json::from_str(vector["data"]["vm_config"].as_str().unwrap()).unwrap();
    let memory = config["memory_size"].as_u64().unwrap();
    assert_eq!(memory, 64 * GIB);
    // OVMF of that year had its stack one page lower.
    let mut image = section(2, 8, &0x81_0000u64.to_le_bytes());
    let size = IMAGE_BYTES - METADATA + 16 + 32 * 2 + 16;
    image[size..size + 8].copy_from_slice(&0x1_0000u64.to_le_bytes());
    let firmware = TdFirmware::parse(&image).unwrap();
    let (machine, signed) = recorded(&vector, 0);
    let acpi = AcpiFiles { loader: machine[8], rsdp: machine[9], tables: machine[10] };
    let predicted = machine_events(&firmware, memory, &acpi).unwrap();
    assert_eq!(predicted, machine);
    assert_eq!(register(&predicted), signed);
    assert_eq!(first_events(&firmware, memory).unwrap(), machine[..2]);
    let (kernel, signed) = recorded(&vector, 1);
    assert_eq!(kernel_events(kernel[0])[..], kernel);
    assert_eq!(register(&kernel_events(kernel[0])), signed);
    let (payload, signed) = recorded(&vector, 2);
    let predicted = payload_events("console=ttyS0", Some(payload[1])).unwrap();
    assert_eq!((predicted.len(), predicted[1]), (payload.len(), payload[1]));
    assert_eq!(register(&payload), signed);
}

#[test]
fn kernel_and_payload_are_measured_as_other_programs_do() {
    let kernel = &SIGNED_KERNEL[..SIGNED_KERNEL.len() - 24];
    let mut unsigned = kernel.to_vec();
    unsigned[0x58 + 144..0x58 + 152].fill(0);
    let expected = hex("7a0b97570bc29373a8696bca5810393159a5fa7409758479eea0c984e13c0ced4391a9a9fcb481e9410bb5f74447de21");
    assert_eq!(kernel_digest(SIGNED_KERNEL), Ok(expected));
    assert_eq!(kernel_digest(&unsigned), Ok(expected));
    let rtmr1 = "8e3d69e2826ab0e86d540c762fcfba5f6d6bd0c365793488a77cf7ab2bb4aaa1f60cb9b7c5cdd8ad62feaba2c9d03b5b";
    assert_eq!(register(&kernel_events(expected)), hex(rtmr1));
    let initrd = hex("b2965750fc1bf609f8f355fa0e7d549349aacce68634abbeed91d9cefe4fa7248044d46bfd81abe1629ea699f3a0cc20");
    let rtmr2 = "1bee61e3878958b9b39f3c2a31a829ffb1adea281cc78659b36eb83cc3aa5b63c3ef8cc3f47074f61818e68cce092be3";
    assert_eq!(register(&payload_events("console=ttyS0 ro quiet", Some(initrd)).unwrap()), hex(rtmr2));
    // Checksum and place of the signature do not count, everything else does.
    for at in 0..unsigned.len() {
        let mut changed = unsigned.clone();
        changed[at] ^= 1;
        let counts = !(0x58 + 64..0x58 + 68).contains(&at) && !(0x58 + 144..0x58 + 152).contains(&at);
        match kernel_digest(&changed) {
            Ok(digest) => assert_eq!(digest != expected, counts, "{at:#x}"),
            Err(error) => assert!(matches!(error, E::Kernel { .. }), "{at:#x}: {error}"),
        }
    }
}

#[test]
fn an_older_qemu_fills_the_setup_header_in() {
    let fill = HeaderFill { memory: 4 * GIB, initrd_bytes: 0x1_2345, cmdline: "quiet" };
    let handed = kernel_as_handed_over(SIGNED_KERNEL, &fill).unwrap();
    let word = |at: usize| u32::from_le_bytes(handed[at..at + 4].try_into().unwrap());
    assert_eq!((handed[0x210], handed[0x211], word(0x228)), (0xb0, 0x81, 0x2_0000));
    // 2 GiB less what is kept for ACPI, less one byte, less the initrd, rounded down to a page.
    assert_eq!((word(0x218), word(0x21c)), ((0x8000_0000u32 - 0x2_8000 - 1 - 0x1_2345) & !0xfff, 0x1_2345));
    assert_ne!(kernel_digest(&handed), kernel_digest(SIGNED_KERNEL));
    let without = kernel_as_handed_over(SIGNED_KERNEL, &HeaderFill { initrd_bytes: 0, ..fill }).unwrap();
    assert_eq!(without[0x218..0x220], [0; 8]);
    let refused = |kernel: &[u8], fill: HeaderFill<'_>| kernel_as_handed_over(kernel, &fill).unwrap_err();
    assert!(matches!(refused(SIGNED_KERNEL, HeaderFill { initrd_bytes: 4 * GIB, ..fill }), E::InitrdLength { .. }));
    assert!(matches!(refused(SIGNED_KERNEL, HeaderFill { memory: 0, ..fill }), E::InitrdLength { .. }));
    assert!(matches!(refused(SIGNED_KERNEL, HeaderFill { cmdline: "vga=1", ..fill }), E::Kernel { .. }));
    assert!(matches!(refused(&[0; 4_096], fill), E::Kernel { .. }));
    assert!(matches!(refused(&SIGNED_KERNEL[..0x210], fill), E::Kernel { .. }));
}

#[test]
fn everything_measured_counts_in_its_register() {
    let honest = image();
    let firmware = TdFirmware::parse(&honest).unwrap();
    let mrtd = firmware.mrtd(PageOrder::Interleaved);
    // Code counts in MRTD; variables do not, they are the firmware's to measure, into RTMR0.
    for (at, in_mrtd) in [(VOLUME_BYTES, true), (IMAGE_BYTES - 1, true), (0x7_0000, false)] {
        let mut changed = honest.clone();
        changed[at] ^= 1;
        let changed = TdFirmware::parse(&changed).unwrap();
        assert_eq!(changed.mrtd(PageOrder::Interleaved) != mrtd, in_mrtd, "{at:#x}");
        assert_eq!(first_events(&changed, GIB) != first_events(&firmware, GIB), !in_mrtd, "{at:#x}");
    }
    let moved = section(2, 8, &0x82_0000u64.to_le_bytes());
    assert_ne!(TdFirmware::parse(&moved).unwrap().mrtd(PageOrder::Interleaved), mrtd);
    let mut seen: Vec<MeasurementRegister> = Vec::new();
    for memory in [GIB, 2 * GIB, 3 * GIB, 4 * GIB] {
        seen.push(register(&machine_events(&firmware, memory, &acpi()).unwrap()));
    }
    for change in [
        |files: &mut AcpiFiles| files.loader.0[0] ^= 1,
        |files: &mut AcpiFiles| files.rsdp.0[0] ^= 1,
        |files: &mut AcpiFiles| files.tables.0[0] ^= 1,
    ] {
        let mut files = acpi();
        change(&mut files);
        seen.push(register(&machine_events(&firmware, GIB, &files).unwrap()));
    }
    let initrd = Some(MeasurementRegister([4; 48]));
    for (cmdline, initrd) in [("quiet", initrd), ("quiet ", initrd), ("quiet", None), ("quiet", Some(MeasurementRegister([5; 48])))] {
        seen.push(register(&payload_events(cmdline, initrd).unwrap()));
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "two inputs share a register");
}

#[test]
fn damaged_images_are_refused_by_name() {
    let refused = |image: &[u8]| TdFirmware::parse(image).unwrap_err();
    assert!(matches!(refused(&[0; 100]), E::Image(LaunchError::ImageLength { .. })));
    assert_eq!(refused(&[0; 4_096]), E::Image(LaunchError::FooterMissing));
    for (at, bytes, reason) in [(0, &b"TDVG"[..], "signature"), (4, &[209], "length"), (8, &[2], "version"), (12, &[7], "length")] {
        let error = refused(&with(at, bytes));
        assert!(matches!(&error, E::MetadataMalformed { reason: why } if why.contains(reason)), "{at}: {error:?}");
    }
    assert!(matches!(refused(&with(12, &[65])), E::TooManySections { got: 65, max: SECTIONS }));
    assert_eq!(refused(&section(1, 24, &[4])), E::SectionType { index: 1, got: 4 });
    assert_eq!(refused(&section(3, 28, &[2])), E::SectionAttributes { index: 3, got: 2 });
    for (index, field, bytes, reason) in [
        (2, 8, &[1][..], "whole pages"),
        (2, 16, &[0, 0, 0], "whole pages"),
        (2, 16, &[0, 0, 0, 0, 1], "below 4 GiB"),
        (2, 8, &[0, 0, 0x80], "overlaps"),
        (0, 4, &[0, 0xb0], "fill its pages"),
        (2, 4, &[1], "no contents"),
        (2, 28, &[1], "no contents"),
    ] {
        let error = refused(&section(index, field, bytes));
        assert!(matches!(&error, E::SectionPlace { reason: why, .. } if why.contains(reason)), "{index} {field}: {error:?}");
    }
    // The code alone, without its variables, is what some packages call the firmware.
    assert!(matches!(refused(&image()[VOLUME_BYTES..]), E::SectionContents { index: 0, .. }));
    let count = |error: &E, name: &str| matches!(error, E::SectionCount { what, .. } if *what == name);
    assert!(count(&refused(&section(0, 28, &[0])), "boot volumes"));
    assert!(count(&refused(&section(0, 24, &[1])), "volumes of variables"));
    assert!(count(&refused(&section(2, 24, &[2])), "places for the hand-off block"));
    assert!(matches!(refused(&section(2, 16, &[0, 0, 0, 0x20])), E::TooManyPages { .. }));
}

#[test]
fn what_cannot_be_predicted_is_said() {
    let mut set = image();
    set[0x70] = 0;
    let firmware = TdFirmware::parse(&set).unwrap();
    assert!(matches!(first_events(&firmware, GIB), Err(E::Variables { reason }) if reason.contains("are set")));
    let mut other = image();
    other[0x10] ^= 1;
    assert!(matches!(first_events(&TdFirmware::parse(&other).unwrap(), GIB), Err(E::Variables { .. })));
    let image = image();
    let firmware = TdFirmware::parse(&image).unwrap();
    for memory in [0, 8 << 20, GIB + 1, !0xfff] {
        assert!(matches!(first_events(&firmware, memory), Err(E::Memory { got, .. }) if got == memory));
    }
    assert_eq!(payload_events("caf\u{e9}", None), Err(E::CmdlineByte { at: 3 }));
    assert_eq!(payload_events("a\nb", None), Err(E::CmdlineByte { at: 1 }));
    assert!(payload_events(&"a".repeat(2_047), None).is_ok());
    assert!(matches!(payload_events(&"a".repeat(2_047), Some(MeasurementRegister([0; 48]))), Err(E::CmdlineLength { got: 2_062, .. })));
    for (kernel, reason) in [
        (&b"\x7fELF"[..], "no EFI program"),
        (&SIGNED_KERNEL[..0x403], "multiple of 8"),
        (&SIGNED_KERNEL[..0x400], "ends behind"),
        (&SIGNED_KERNEL[..0x38], "header is cut"),
    ] {
        let error = kernel_digest(kernel).unwrap_err();
        assert!(matches!(&error, E::Kernel { reason: why } if why.contains(reason)), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever the metadata holds, parsing ends with firmware that can be measured, or with an error.
    #[test]
    fn no_image_panics_the_parser(changes in proptest::collection::vec((0usize..208, any::<u8>()), 1..8), memory in any::<u64>()) {
        let mut small = vec![0; 4_096];
        small.copy_from_slice(SUFFIX);
        // Volumes of one page, so that a case takes no time.
        let base = 4_096 - METADATA + 16;
        small[base..base + 24].copy_from_slice(&[0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0xf0, 0xff, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]);
        small[base + 32..base + 56].copy_from_slice(&[0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]);
        prop_assert!(TdFirmware::parse(&small).is_ok());
        changes.iter().for_each(|(at, byte)| small[4_096 - METADATA + at] = *byte);
        if let Ok(firmware) = TdFirmware::parse(&small) {
            let _ = (firmware.mrtd(PageOrder::Interleaved), machine_events(&firmware, memory, &acpi()));
        }
    }

    #[test]
    fn no_kernel_panics_the_parser(changes in proptest::collection::vec((0usize..0x260, any::<u8>()), 1..8), memory in any::<u64>(), initrd_bytes in any::<u64>()) {
        let mut kernel = SIGNED_KERNEL.to_vec();
        changes.iter().for_each(|(at, byte)| kernel[*at] = *byte);
        let _ = kernel_digest(&kernel);
        let _ = kernel_as_handed_over(&kernel, &HeaderFill { memory, initrd_bytes, cmdline: "" });
    }
}
