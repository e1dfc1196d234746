//! How a simulated TD boots: what its firmware measures into RTMR0 to RTMR2, and the event log (CCEL) it writes on the way.
//!
//! Decides: the events of a build on a machine of a given memory size, in the order real firmware has them, and the bytes of their log (TCG PC
//! Client Platform Firmware Profile, crypto-agile format, SHA-384).
//! Trusts: nothing; digests derive from names. Out of scope: quotes (`tdx`), which lie is told when (`mint_tdx`). Protocol section 2.2, "TDX".

use crate::seed;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::policy::{BootEvent, MeasurementRegister, Presence, Rtmr};
use sha2::{Digest as _, Sha384};

/// Memory of an ordinary simulated machine, GiB.
pub(crate) const MEMORY_GIB: u32 = 8;
/// Memory sizes a build's table of boot events allows, GiB.
const MEMORY_SIZES_GIB: [u32; 3] = [MEMORY_GIB, 16, 32];

const EV_SEPARATOR: u32 = 0x4;
const EV_PLATFORM_CONFIG_FLAGS: u32 = 0xa;
const EV_IPL: u32 = 0xd;
const EV_EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
const EV_EFI_BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
const EV_EFI_ACTION: u32 = 0x8000_0007;
const EV_EFI_HANDOFF_TABLES2: u32 = 0x8000_000b;

/// What firmware measures, in order: register, type, name, whether the memory size changes it, whether firmware may leave it out.
const COURSE: [(Rtmr, u32, &str, bool, Presence); 9] = [
    (Rtmr::Rtmr0, EV_EFI_HANDOFF_TABLES2, "memory map", true, Presence::Required),
    (Rtmr::Rtmr0, EV_EFI_VARIABLE_DRIVER_CONFIG, "secure boot", false, Presence::Required),
    (Rtmr::Rtmr0, EV_SEPARATOR, "end of firmware", false, Presence::Required),
    (Rtmr::Rtmr0, EV_PLATFORM_CONFIG_FLAGS, "ACPI tables", true, Presence::Required),
    (Rtmr::Rtmr1, EV_EFI_BOOT_SERVICES_APPLICATION, "kernel image", false, Presence::Required),
    (Rtmr::Rtmr1, EV_EFI_ACTION, "retry of exit boot services", false, Presence::Optional),
    (Rtmr::Rtmr1, EV_EFI_ACTION, "exit boot services", false, Presence::Required),
    (Rtmr::Rtmr2, EV_IPL, "command line", false, Presence::Required),
    (Rtmr::Rtmr2, EV_IPL, "initrd", false, Presence::Required),
];

/// One measured event.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) register: Rtmr,
    pub(crate) event_type: u32,
    pub(crate) digest: [u8; 48],
    label: &'static str,
}

/// What the firmware of build `build` measures on a machine with this memory.
pub(crate) fn events(build: &str, memory_gib: u32) -> Vec<Measured> {
    let required = COURSE.into_iter().filter(|(.., presence)| *presence == Presence::Required);
    let event = |(register, event_type, label, varies, _)| Measured {
        register,
        event_type,
        digest: digest(build, label, varies, memory_gib),
        label,
    };
    required.map(event).collect()
}

/// An event no build names.
pub(crate) fn unlisted() -> Measured {
    Measured {
        register: Rtmr::Rtmr2,
        event_type: EV_IPL,
        digest: seed::bytes(&[b"boot event", b"unlisted"]),
        label: "a module nobody listed",
    }
}

/// The table a policy names for the build: every memory size, and what firmware may leave out.
pub(crate) fn table(build: &str) -> Vec<BootEvent> {
    let entry = |(register, event_type, label, varies, presence)| {
        let sizes = if varies { &MEMORY_SIZES_GIB[..] } else { &[MEMORY_GIB] };
        let digests = sizes.iter().map(|size| MeasurementRegister(digest(build, label, varies, *size))).collect();
        let digests = List::new(digests).expect("three fit");
        BootEvent { register, event_type, digests, presence, label: Text::new(label).expect("short") }
    };
    COURSE.into_iter().map(entry).collect()
}

fn digest(build: &str, label: &str, varies: bool, memory_gib: u32) -> [u8; 48] {
    let memory = if varies { memory_gib.to_be_bytes() } else { [0; 4] };
    seed::bytes(&[b"boot event", build.as_bytes(), label.as_bytes(), &memory])
}

/// What a register holds after these events.
pub(crate) fn extended(events: &[Measured], register: Rtmr) -> [u8; 48] {
    let own = events.iter().filter(|event| event.register == register);
    own.fold([0; 48], |held, event| Sha384::digest([held, event.digest].concat()).into())
}

/// The log of these events, with the padding firmware leaves behind it.
pub(crate) fn log(events: &[Measured]) -> Vec<u8> {
    let mut out = Vec::new();
    let words = |out: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    // The opening, in the old format: register, EV_NO_ACTION, an empty SHA-1 digest, and the Spec ID event of version 2.0 with SHA-384 alone.
    words(&mut out, &[1, 3]);
    out.extend_from_slice(&[0; 20]);
    words(&mut out, &[33]);
    out.extend_from_slice(b"Spec ID Event03\0");
    out.extend_from_slice(&[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0c, 0, 48, 0, 0]);
    for event in events {
        let index = match event.register {
            Rtmr::Rtmr0 => 1,
            Rtmr::Rtmr1 => 2,
            Rtmr::Rtmr2 => 3,
            Rtmr::Rtmr3 => 4,
        };
        words(&mut out, &[index, event.event_type, 1]);
        out.extend_from_slice(&[0x0c, 0]);
        out.extend_from_slice(&event.digest);
        words(&mut out, &[u32::try_from(event.label.len()).expect("a label is short")]);
        out.extend_from_slice(event.label.as_bytes());
    }
    out.resize(out.len().saturating_add(64), 0xff);
    out
}
