//! Predicted launch digests against published ones, one of them signed by hardware; and images nobody meant well with.
//!
//! Decides: that `launch::digest` agrees with every digest of the shared vectors, that everything measured counts, and that damaged images are
//! refused by name. Digests marked "second program" were computed with `sev-snp-measure` 0.0.13, which shares no code with us.
//! Trusts: the vectors. Out of scope: evidence (`vectors.rs`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use super::shelf;
mod td;

use proptest::prelude::*;
use ringwall_attest::launch::{
    BootHashes, FIRMWARE_BYTES, Firmware, Guest, LaunchError as E, SECTIONS, Section, SectionKind, VCPUS, Vmm, digest, vcpu_signature,
};
use ringwall_wire::policy::MeasurementRegister;
use serde_json::Value;

const PAGE: usize = 4_096;

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

fn guest(vmm: Vmm, vcpus: u32, vcpu: &str, guest_features: u64, boot: Option<BootHashes>) -> Guest {
    Guest { vmm, vcpus, vcpu_signature: vcpu_signature(vcpu).unwrap(), guest_features, boot }
}

/// Kernel and initrd of the upstream tests are empty files.
fn booting(cmdline: &str) -> Option<BootHashes> {
    Some(BootHashes::new(&[], &[], cmdline))
}

fn amd_sev() -> Option<Vec<u8>> {
    shelf::file("measurement/ovmf_AmdSev_suffix.bin")
}

#[test]
fn every_published_digest_is_predicted() {
    let Some(vectors) = shelf::json("measurement/snp-launch-digest-virtee.json") else { return };
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let text = |key: &str| case[key].as_str();
        let name = text("name").unwrap();
        let mut firmware = Firmware::parse(&shelf::file(&format!("measurement/{}", text("ovmf").unwrap())).unwrap()).unwrap();
        if let Some(known) = text("ovmf_hash") {
            let sections = firmware.sections().to_vec();
            firmware = Firmware::from_parts(known.parse().unwrap(), sections, firmware.hashes_table(), firmware.ap_entry()).unwrap();
        }
        let vmm = match text("vmm").unwrap() {
            "QEMU" => Vmm::Qemu,
            "EC2" => Vmm::Ec2Until2026,
            other => panic!("{name}: unknown hypervisor {other}"),
        };
        assert_eq!(text("vcpu_type"), Some("CpuType::EpycV4"), "{name}");
        let features = u64::from_str_radix(text("guest_features").unwrap().trim_start_matches("0x"), 16).unwrap();
        let boot = text("kernel").and_then(|_| booting(text("cmdline").unwrap_or("")));
        let predicted = digest(&firmware, &guest(vmm, number(&case["vcpus"]), "EPYC-v4", features, boot));
        match text("expected").unwrap() {
            "ERROR" => assert!(matches!(predicted, Err(E::HashesUnsupported { .. })), "{name}: {predicted:?}"),
            expected => assert_eq!(predicted, Ok(expected.parse().unwrap()), "{name}"),
        }
    }
    eprintln!("{} launch digests as published", cases.len());
}

#[test]
fn a_digest_that_hardware_signed_is_predicted() {
    let Some(vector) = shelf::json("measurement/snp-launch-real-dstack.json") else { return };
    let inputs = &vector["inputs"];
    let text = |key: &str| inputs[key].as_str().unwrap();
    let sections = inputs["ovmf_sections"].as_array().unwrap().iter().map(|section| Section {
        gpa: number(&section["gpa"]),
        bytes: number(&section["size"]),
        kind: SectionKind::of_code(number(&section["type"])).unwrap(),
    });
    let hashes_table = Some(number(&inputs["hashes_table_gpa"]));
    let ap_entry = Some(number(&inputs["reset_eip"]));
    let firmware = Firmware::from_parts(text("ovmf_hash").parse().unwrap(), sections.collect(), hashes_table, ap_entry).unwrap();
    let hash = |key: &str| ringwall_wire::text::read_hex(text(key)).unwrap();
    let boot = BootHashes { kernel: hash("kernel_hash"), initrd: hash("initrd_hash"), ..BootHashes::new(&[], &[], text("cmdline")) };
    let guest = guest(Vmm::Qemu, number(&inputs["vcpus"]), text("vcpu_type"), u64::from(number(&inputs["guest_features"])), Some(boot));
    let predicted = digest(&firmware, &guest).unwrap();
    assert_eq!(predicted, text("expected_measurement").parse().unwrap());
    // The report of that guest, whose signature vectors.rs verifies.
    let report = shelf::file("snp/milan-v3-dstack-outofdate/report.bin").unwrap();
    assert_eq!(report[0x90..0xc0], predicted.0);
    // The configured type of vCPU counts, not the chip: this was a Milan.
    let other = Guest { vcpu_signature: vcpu_signature("EPYC-Milan").unwrap(), ..guest };
    assert_ne!(digest(&firmware, &other).unwrap(), predicted);
}

#[test]
fn other_vcpu_types_and_todays_ec2_agree_with_a_second_program() {
    let Some(image) = amd_sev() else { return };
    let firmware = Firmware::parse(&image).unwrap();
    let known = [
        (
            Vmm::Qemu,
            3,
            "EPYC-Milan",
            1,
            "quiet",
            "d921cd590e74fd7f68a8f6b3019278f0a072e7cce9743235eca1ba3cc1f1c8cf6b36ba67d02e3cc43c21e6c3592eba42",
        ),
        (
            Vmm::Qemu,
            3,
            "EPYC-Genoa",
            1,
            "quiet",
            "58f67972b3757436005e4685ce58a00006097a1080d65d465f20c90b9593fc171da60c9ac17ea1ab33431858172bdd60",
        ),
        (
            Vmm::Qemu,
            3,
            "EPYC-Turin",
            1,
            "quiet",
            "01cb98a12ac5726dd6f01b0078a174bdf126689c1af369b81f6ca53810827dba1cc91780f17f9b2cc9a0cb7d3c42676f",
        ),
        (
            Vmm::Qemu,
            3,
            "EPYC-Rome",
            1,
            "quiet",
            "2db2394b9caa38e25f793795c815f34b3de5fe49bd361812135f608e52b2d901fa9068188e87325a79b306fd2de51b67",
        ),
        (Vmm::Ec2, 1, "EPYC-v4", 1, "", "0883bd0eeb716e65b7b977a321c278d1e51b33b5c655fab985443bbcc65c086b9c15e8a0bd8811050dec7e24964e5056"),
        (
            Vmm::Ec2,
            1,
            "EPYC-v4",
            0x21,
            "",
            "0ce9ccc06bab55eebe8abc234f3df6514883977a68a591b71052498ab52b2f1aa415db338033946ef93aa8278c0d67fb",
        ),
    ];
    for (vmm, vcpus, vcpu, features, cmdline, expected) in known {
        let predicted = digest(&firmware, &guest(vmm, vcpus, vcpu, features, booting(cmdline)));
        assert_eq!(predicted, Ok(expected.parse().unwrap()), "{vmm:?} {vcpu} {features:#x}");
    }
}

#[test]
fn everything_measured_counts() {
    let Some(image) = amd_sev() else { return };
    let firmware = Firmware::parse(&image).unwrap();
    let shape = guest(Vmm::Qemu, 2, "EPYC-v4", 1, booting("quiet"));
    let honest = digest(&firmware, &shape).unwrap();
    let mut seen = vec![honest];
    let changes: [fn(&mut Guest); 7] = [
        |g| g.vcpus = 3,
        |g| g.vcpu_signature ^= 1,
        |g| g.guest_features |= 0x20,
        |g| g.boot = None,
        |g| g.boot = Some(BootHashes::new(b"kernel", &[], "quiet")),
        |g| g.boot = Some(BootHashes::new(&[], b"initrd", "quiet")),
        |g| g.boot = Some(BootHashes::new(&[], &[], "quiet init=/bin/sh")),
    ];
    for change in changes {
        let mut other = shape.clone();
        change(&mut other);
        seen.push(digest(&firmware, &other).unwrap());
    }
    let mut longer = vec![0; PAGE];
    longer.extend_from_slice(&image);
    for at in [0, PAGE / 2] {
        let mut changed = longer.clone();
        changed[at] ^= 1;
        seen.push(digest(&Firmware::parse(&changed).unwrap(), &shape).unwrap());
    }
    seen.push(digest(&Firmware::parse(&longer).unwrap(), &shape).unwrap());
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "two inputs share a digest");
}

fn with(image: &[u8], at: usize, bytes: &[u8]) -> Result<Firmware, E> {
    let mut changed = image.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    Firmware::parse(&changed)
}

#[test]
fn damaged_images_are_refused_by_name() {
    let Some(image) = amd_sev() else { return };
    for len in [0, 1, PAGE - 1, PAGE + 1, FIRMWARE_BYTES + PAGE] {
        assert!(matches!(Firmware::parse(&vec![0; len]), Err(E::ImageLength { got, .. }) if got == len));
    }
    assert_eq!(Firmware::parse(&vec![0; PAGE]), Err(E::FooterMissing));
    // The table ends 32 bytes before the end; its entries are, from the end: AP entry, secret, hashes table, metadata, another.
    let footer = PAGE - 32 - 18;
    for (length, reason) in [(17u16, "shorter than its own"), (0xffff, "begins before the image"), (18 + 10, "no room")] {
        let refused = with(&image, footer, &length.to_le_bytes());
        assert!(matches!(&refused, Err(E::FooterMalformed { reason: why }) if why.contains(reason)), "{refused:?}");
    }
    let ap_entry = footer - 18;
    for (length, reason) in [(3u16, "an entry is shorter"), (0x7fff, "an entry begins before")] {
        let refused = with(&image, ap_entry, &length.to_le_bytes());
        assert!(matches!(&refused, Err(E::FooterMalformed { reason: why }) if why.contains(reason)), "{refused:?}");
    }
    let metadata_entry = footer - 22 - 26 - 26 - 18;
    assert_eq!(with(&image, metadata_entry + 2, &[0; 16]), Err(E::MetadataMissing));
    let hashes_guid: [u8; 16] = image[footer - 22 - 26 - 16..footer - 22 - 26].try_into().unwrap();
    let twice = with(&image, footer - 22 - 26 - 26 - 16, &hashes_guid);
    assert_eq!(twice, Err(E::EntryTwice { entry: "the hashes table" }));
    // The metadata lies 0x554 bytes before the end: "ASEV", length, version, count, then 12 bytes for each section.
    let metadata = PAGE - 0x554;
    assert_eq!(&image[metadata..metadata + 4], b"ASEV");
    for (at, bytes, reason) in [
        (metadata, &b"BSEV"[..], "signature"),
        (metadata + 4, &[101], "length"),
        (metadata + 8, &[2], "version"),
        (metadata + 12, &[8], "length"),
        (metadata_entry - 4, &[8, 0, 0, 0], "header is cut"),
        (metadata_entry - 4, &[0, 0, 1, 0], "begins before"),
    ] {
        let refused = with(&image, at, bytes);
        assert!(matches!(&refused, Err(E::MetadataMalformed { reason: why }) if why.contains(reason)), "{at}: {refused:?}");
    }
    assert!(matches!(with(&image, metadata + 12, &[65]), Err(E::TooManySections { got: 65, max: SECTIONS })));
    let first = metadata + 16;
    assert_eq!(with(&image, first + 8, &[9]), Err(E::SectionType { index: 0, got: 9 }));
    for (at, bytes, reason) in [
        (first, &[1][..], "whole pages"),
        (first + 4, &[0, 0, 0, 0], "whole pages"),
        (first + 4, &[0, 0xb0, 0, 0], "overlaps"),
        (first + 2 * 12 + 4, &[0, 0x20], "one page"),
        (first, &[0, 0x80, 0xff, 0xff], "below the firmware"),
    ] {
        let refused = with(&image, at, bytes);
        assert!(matches!(&refused, Err(E::SectionPlace { reason: why, .. }) if why.contains(reason)), "{at}: {refused:?}");
    }
    // The last section alone may grow into the empty space below the image, up to a limit.
    assert!(matches!(with(&image, first + 6 * 12 + 4, &[0, 0, 0, 0x10]), Err(E::TooManyPages { .. })));
}

#[test]
fn impossible_guests_are_refused_by_name() {
    let Some(image) = amd_sev() else { return };
    let firmware = Firmware::parse(&image).unwrap();
    let shape = guest(Vmm::Qemu, 2, "EPYC-v4", 1, booting(""));
    let refused = |firmware: &Firmware, change: fn(&mut Guest)| {
        let mut other = shape.clone();
        change(&mut other);
        digest(firmware, &other).unwrap_err()
    };
    assert_eq!(refused(&firmware, |g| g.vcpus = 0), E::Vcpus { got: 0, max: VCPUS });
    assert_eq!(refused(&firmware, |g| g.vcpus = VCPUS + 1), E::Vcpus { got: VCPUS + 1, max: VCPUS });
    assert_eq!(refused(&firmware, |g| g.guest_features = 0x20), E::SnpInactive { got: 0x20 });
    let parts = |sections: &[Section], table, entry| Firmware::from_parts(firmware.image_digest(), sections.to_vec(), table, entry);
    let all = firmware.sections();
    let no_entry = parts(all, firmware.hashes_table(), None).unwrap();
    assert_eq!(refused(&no_entry, |_| ()), E::ApEntryMissing { vcpus: 2 });
    assert!(digest(&no_entry, &Guest { vcpus: 1, ..shape.clone() }).is_ok());
    let elsewhere = |table| refused(&parts(all, table, firmware.ap_entry()).unwrap(), |_| ());
    let unsupported = |error: &E, what: &str| matches!(error, E::HashesUnsupported { reason } if reason.contains(what));
    assert!(unsupported(&elsewhere(None), "does not say where"));
    assert!(unsupported(&elsewhere(Some(0x80_fc00)), "different pages"));
    assert!(unsupported(&elsewhere(Some(0x81_1000)), "different pages"));
    assert!(unsupported(&elsewhere(Some(0x81_0f51)), "ends before the table"));
    assert!(parts(all, Some(0x81_0f50), firmware.ap_entry()).is_ok_and(|edge| digest(&edge, &shape).is_ok()));
    let without: Vec<Section> = all.iter().filter(|section| section.kind != SectionKind::KernelHashes).cloned().collect();
    assert!(unsupported(&refused(&parts(&without, None, None).unwrap(), |_| ()), "reserves no page"));
    let mut wide = without.clone();
    wide.insert(0, Section { gpa: 0x90_0000, bytes: 0x2000, kind: SectionKind::KernelHashes });
    assert!(unsupported(&refused(&parts(&wide, Some(0x90_0000), None).unwrap(), |_| ()), "more than one page"));
    assert_eq!(vcpu_signature("EPYC-v4"), Some(0x0080_0f12));
    assert_eq!(vcpu_signature("Skylake"), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever the image holds, parsing ends with firmware that can be measured, or with an error.
    #[test]
    fn no_image_panics_the_parser(changes in proptest::collection::vec((PAGE - 0x600..PAGE, any::<u8>()), 1..12), vcpus in 0u32..5) {
        let Some(mut image) = amd_sev() else { return Ok(()) };
        changes.iter().for_each(|(at, byte)| image[*at] = *byte);
        if let Ok(firmware) = Firmware::parse(&image) {
            for vmm in [Vmm::Qemu, Vmm::Ec2] {
                let _ = digest(&firmware, &guest(vmm, vcpus, "EPYC-v4", 1, booting("")));
            }
        }
    }

    #[test]
    fn random_images_are_refused(mut image in proptest::collection::vec(any::<u8>(), 2 * PAGE)) {
        prop_assert_eq!(Firmware::parse(&image), Err(E::FooterMissing));
        image.truncate(2 * PAGE - 1);
        let refused = matches!(Firmware::parse(&image), Err(E::ImageLength { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn an_image_digest_depends_on_every_byte(at in 0..PAGE - 0x600, flip in 1u8..) {
        let Some(mut image) = amd_sev() else { return Ok(()) };
        let honest: MeasurementRegister = Firmware::parse(&image).unwrap().image_digest();
        image[at] ^= flip;
        prop_assert_ne!(Firmware::parse(&image).unwrap().image_digest(), honest);
    }
}
