//! What `predict` makes of artefacts on disk, against what other programs computed from the same files.
//!
//! Decides: the digests and registers of a small image agree with `sev-snp-measure` and with the program attest/tests/td/README.md describes, and those of
//! our own image with the former; a log stands in for what is left open and contradicts what is not; build files that make no sense are refused by name.
//! Trusts: those values. Out of scope: registers in depth (attest/tests/td), the command line (client/tests/policy_cli.rs).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../attest/tests/td/image.rs"]
mod image_for_tests;

use super::*;
use image_for_tests::{SIGNED_KERNEL, image};
use ringwall_attest::launch::td::{TdFirmware, kernel_events, payload_events};
use ringwall_attest::launch::{BootHashes, Firmware, Guest, Section, SectionKind, Vmm, digest, vcpu_signature};
use ringwall_sim::published::vectors;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha384};
use std::path::Path;

const CMDLINE: &str = "console=ttyS0 ro quiet";
const INITRD: &[u8] = b"initrd of a test, 0123456789abcdef";
const MRTD: &str = "210dac558b49d636ac0955f81724deafe7ec2e5785df3cd126f9c54ea685ffa4a3158f1032fe4d9c9273df4325dc34ee";
const RTMR0: &str = "a1fe2343077abd121099172223460fa106c9c38ad3b1848e5ce890b3b97ced1e8f662b6b2df117b967897ce7e57dc0e6";
const RTMR1: &str = "8e3d69e2826ab0e86d540c762fcfba5f6d6bd0c365793488a77cf7ab2bb4aaa1f60cb9b7c5cdd8ad62feaba2c9d03b5b";
const RTMR2: &str = "1bee61e3878958b9b39f3c2a31a829ffb1adea281cc78659b36eb83cc3aa5b63c3ef8cc3f47074f61818e68cce092be3";

/// A folder with all artefacts of a build for TDs.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = [("kernel", SIGNED_KERNEL), ("initrd", INITRD), ("loader", b"loader"), ("rsdp", b"rsdp"), ("tables", b"tables")];
    for (name, contents) in files {
        std::fs::write(folder.path().join(name), contents).unwrap();
    }
    std::fs::write(folder.path().join("OVMF.fd"), image()).unwrap();
    folder
}

fn run(folder: &Path, image: &Value) -> Result<Prediction, MeasureError> {
    let path = folder.join("image.json");
    std::fs::write(&path, image.to_string()).unwrap();
    predict(&path, &mut |_, done, all| assert!(done <= all && all > 0))
}

fn td(shape: Value) -> Value {
    let build = json!({ "build_id": "ringwall-test", "svn": 3, "kernel": "kernel", "initrd": "initrd", "cmdline": CMDLINE });
    let mut image = build;
    image["tdx"] = json!({ "firmware": "OVMF.fd", "shapes": [shape] });
    image
}

fn acpi() -> Value {
    json!({ "loader": "loader", "rsdp": "rsdp", "tables": "tables" })
}

/// An event log (TCG crypto-agile format, SHA-384 alone) with these digests for registers 1 to 3, which are RTMR0 to RTMR2.
fn log(events: &[(u32, MeasurementRegister)]) -> Vec<u8> {
    let word = |number: u32| number.to_le_bytes();
    let mut log = [&word(1)[..], &word(3), &[0; 20], &word(33), b"Spec ID Event03\0", &word(0), &[0, 2, 0, 2]].concat();
    log.extend([&word(1)[..], &[0x0c, 0, 48, 0], &[0]].concat());
    for (register, digest) in events {
        log.extend([&word(*register)[..], &word(10), &word(1), &[0x0c, 0], &digest.0, &word(0)].concat());
    }
    log
}

fn sha256(bytes: &[u8]) -> String {
    ringwall_wire::ids::Digest(sha2::Sha256::digest(bytes).into()).to_string()
}

fn hash(bytes: &[u8]) -> MeasurementRegister {
    MeasurementRegister(Sha384::digest(bytes).into())
}

/// The events of the test's build, in the order of a boot.
fn boot(machine: &[MeasurementRegister]) -> Vec<(u32, MeasurementRegister)> {
    let kernel = ringwall_attest::launch::td::kernel_digest(SIGNED_KERNEL).unwrap();
    let of = |register, digests: &[MeasurementRegister]| digests.iter().map(|digest| (register, *digest)).collect::<Vec<_>>();
    [of(1, machine), of(2, &kernel_events(kernel)), of(3, &payload_events(CMDLINE, Some(hash(INITRD))).unwrap())].concat()
}

#[test]
fn launch_digests_are_those_of_another_program() {
    let Some(vectors) = vectors() else { return };
    let folder = folder();
    let firmware = vectors.join("measurement/ovmf_AmdSev_suffix.bin");
    let snp = json!({ "firmware": firmware, "models": ["EPYC-v4", "EPYC-Genoa"], "vcpus": [1, 2, 8] });
    let image = json!({ "build_id": "b", "svn": 1, "kernel": "kernel", "initrd": "initrd", "cmdline": CMDLINE, "snp": snp });
    let prediction = run(folder.path(), &image).unwrap();
    let found: Vec<String> = prediction.set.snp.iter().map(|shape| format!("{} {} {}", shape.model, shape.vcpus, shape.digest)).collect();
    let known = [
        "EPYC-v4 1 677bccc09e4595832b661a1b041dbb959d3dadd2e017390fe76baaa0badade46249366400c6e26eeffae610a2f27e3e3",
        "EPYC-v4 2 89522109a86907b1cea0ba656318ff54ebc937967bc3d16149776fb449fc7b93e7daad10bc3eae5143e9786134ef9f96",
        "EPYC-v4 8 b22abf2a47d8f67333ccb6ac2789caaca8e06fb4f9cf97b71b2e80e3fecf982c67bba145ee4d52bea3f42d5b08fb924f",
        "EPYC-Genoa 1 634465fbb876dc161d19c4daf55ab759df5dd87be8772c118bc19fee91fb9b7c3bac6ce3158eacc5cc8691997e88139c",
        "EPYC-Genoa 2 2d40471c90f4921a40d280ac347deb45cf50877b2fe819e79e6ce2ddf9f34fd7be37aa9da9b884491c152d97f16868ba",
        "EPYC-Genoa 8 3f3779e9a05c027feda030705b75cc9015661f1f550dccc362f54b8a2e795552b52608e53c5b7b8db6b3ab26d0bfc889",
    ];
    assert_eq!(found, known);
    let mut alone = image.clone();
    alone.as_object_mut().unwrap().remove("initrd");
    alone["snp"]["vcpus"] = json!([1]);
    let digest = run(folder.path(), &alone).unwrap().set.snp[0].digest.to_string();
    assert_eq!(digest, "8f5021a4235553371f13f34aea3c9fe1ea4888ec092b9a30e98c7decb4fc27b93e059d0ed661f685af0176056625f95a");
    // Shapes that measure alike stand in a policy once.
    alone["snp"]["models"] = json!(["EPYC-v4", "EPYC-v3", "EPYC-Genoa"]);
    assert_eq!(run(folder.path(), &alone).unwrap().set.to_policy().unwrap().snp.len(), 2);
    alone["snp"]["models"] = json!(["Skylake"]);
    assert!(matches!(run(folder.path(), &alone), Err(MeasureError::Model { name }) if name == "Skylake"));
}

/// Our own image: deploy/image/compare.py gave its artefacts to `sev-snp-measure` and wrote down what that read and computed, with the commands.
#[test]
fn our_own_image_measures_to_what_another_program_computed() {
    let measured: Value = serde_json::from_str(include_str!("../../../deploy/image/measured.json")).unwrap();
    let pins: toml::Table = include_str!("../../../deploy/image/pins.toml").parse().unwrap();
    // Another kernel or command line is another image: `cargo xtask image-test --record` measures it.
    let words: Vec<&str> = pins["command_line"]["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(measured["command_line"], words.join(" "));
    assert_eq!(measured["kernel_package"].as_str(), pins["kernel"]["sha256"].as_str());
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let hash = |name: &str| ringwall_wire::text::read_hex::<32>(measured[name].as_str().unwrap()).unwrap();
    let boot = BootHashes { kernel: hash("kernel"), initrd: hash("initrd"), ..BootHashes::new(&[], &[], &words.join(" ")) };
    let parts = &measured["firmware"];
    let section = |section: &Value| Section {
        gpa: number(&section["gpa"]),
        bytes: number(&section["bytes"]),
        kind: SectionKind::of_code(number(&section["kind"])).unwrap(),
    };
    let sections = parts["sections"].as_array().unwrap().iter().map(section).collect();
    let image = parts["image"].as_str().unwrap().parse().unwrap();
    let firmware = Firmware::from_parts(image, sections, Some(number(&parts["hashes_table"])), Some(number(&parts["ap_entry"]))).unwrap();
    let rows = measured["digests"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    for row in rows {
        let vcpu_signature = vcpu_signature(row["model"].as_str().unwrap()).unwrap();
        let guest = Guest { vmm: Vmm::Qemu, vcpus: number(&row["vcpus"]), vcpu_signature, guest_features: 1, boot: Some(boot.clone()) };
        assert_eq!(digest(&firmware, &guest).unwrap().to_string(), row["digest"].as_str().unwrap(), "{row}");
    }
}

#[test]
fn registers_are_predicted_from_artefacts() {
    let folder = folder();
    let image = td(json!({ "name": "four", "memory_mib": 4096, "acpi": acpi() }));
    let prediction = run(folder.path(), &image).unwrap();
    let [tdx] = &prediction.set.tdx[..] else { panic!("one shape") };
    let found = [tdx.mrtd, tdx.rtmr0, tdx.rtmr1, tdx.rtmr2].map(|register| register.to_string());
    assert_eq!(found, [MRTD, RTMR0, RTMR1, RTMR2]);
    assert_eq!(prediction.origins, [Origins { mrtd: Origin::Predicted, rtmrs: [Origin::Predicted; 3] }]);
    let roles: Vec<Role> = prediction.artefacts.iter().map(|artefact| artefact.role).collect();
    assert_eq!(roles, [Role::Kernel, Role::Initrd, Role::TdxFirmware, Role::AcpiFile, Role::AcpiFile, Role::AcpiFile]);
    assert_eq!(prediction.artefacts[1].sha256.to_string(), "8f773b35720cfbafa3bd837e4f8c801b5739fbef2fcb23948acf265432aa9218");
    let text = serde_json::to_string(&prediction.set).unwrap();
    assert_eq!(serde_json::from_str::<MeasurementSet>(&text).unwrap(), prediction.set);
    assert!(serde_json::from_str::<MeasurementSet>(&text.replace("rtmr0", "rtmr9")).is_err());
    assert!(serde_json::from_str::<MeasurementSet>(&text.replace(MRTD, &MRTD[1..])).is_err());
    let build = prediction.set.to_policy().unwrap();
    assert_eq!((&*build.id, build.svn, build.tdx.len(), build.snp.len()), ("ringwall-test", 3, 1, 0));
    // Other ways of starting it show in exactly the registers they touch.
    let register = |image: &Value| {
        let set = run(folder.path(), image).unwrap().set;
        [set.tdx[0].mrtd, set.tdx[0].rtmr0, set.tdx[0].rtmr1, set.tdx[0].rtmr2]
    };
    let honest = register(&image);
    let differ = |image: Value| {
        let other = register(&image);
        [0, 1, 2, 3].map(|at: usize| other[at] != honest[at])
    };
    let mut other = image.clone();
    other["tdx"]["page_order"] = json!("added-first");
    assert_eq!(differ(other), [true, false, false, false]);
    let mut other = image.clone();
    other["tdx"]["shapes"][0]["memory_mib"] = json!(2048);
    assert_eq!(differ(other), [false, true, false, false]);
    let mut other = image.clone();
    other["tdx"]["kernel_handover"] = json!("filled-in");
    assert_eq!(differ(other), [false, false, true, false]);
    let mut other = image;
    other["cmdline"] = json!("console=ttyS0 ro");
    assert_eq!(differ(other), [false, false, false, true]);
}

#[test]
fn a_log_stands_in_for_what_is_left_open_and_for_nothing_else() {
    let folder = folder();
    let firmware = image();
    let firmware = TdFirmware::parse(&firmware).unwrap();
    let first = ringwall_attest::launch::td::first_events(&firmware, 4 << 30).unwrap();
    let machine = [&first[..], &[hash(b"anything"), hash(b"else")]].concat();
    let honest = boot(&machine);
    let write = |events: &[(u32, MeasurementRegister)]| std::fs::write(folder.path().join("log"), log(events)).unwrap();
    let image = td(json!({ "name": "four", "memory_mib": 4096, "event_log": "log" }));
    write(&honest);
    let prediction = run(folder.path(), &image).unwrap();
    let recorded = ringwall_attest::launch::td::register(&machine);
    assert_eq!((prediction.set.tdx[0].rtmr0, prediction.set.tdx[0].rtmr1.to_string()), (recorded, RTMR1.to_owned()));
    assert_eq!(prediction.origins[0].rtmrs, [Origin::Recorded, Origin::Predicted, Origin::Predicted]);
    // One event of each register that the artefacts determine, one too many, one missing.
    let contradicted = |events: &[(u32, MeasurementRegister)], wanted: &str, index: usize| {
        write(events);
        let refused = run(folder.path(), &image).unwrap_err();
        assert!(matches!(&refused, MeasureError::LogContradicts { register, at, .. } if *register == wanted && *at == index), "{refused}");
        assert_eq!(refused.code(), "RW-C-MEASURE-CONTRADICTION");
    };
    for (place, register, index) in [(0, "RTMR0", 0), (1, "RTMR0", 1), (4, "RTMR1", 0), (8, "RTMR1", 4), (9, "RTMR2", 0), (10, "RTMR2", 1)]
    {
        let mut other = honest.clone();
        other[place].1.0[0] ^= 1;
        contradicted(&other, register, index);
    }
    contradicted(&honest[..10], "RTMR2", 1);
    contradicted(&[&honest[..], &[(2, hash(b"more"))]].concat(), "RTMR1", 5);
    // With the files about the machine, RTMR0 is predicted and the log has to agree with all of it.
    write(&honest);
    let mut both = image.clone();
    both["tdx"]["shapes"][0]["acpi"] = acpi();
    assert!(matches!(run(folder.path(), &both), Err(MeasureError::LogContradicts { register: "RTMR0", at: 2, .. })));
    // Nothing of the boot is known: firmware of others, a disk.
    let mut cloud = json!({ "build_id": "b", "svn": 1, "tdx": { "mrtd": MRTD, "boot": "recorded" } });
    cloud["tdx"]["shapes"] = json!([{ "name": "c3", "memory_mib": 4096, "event_log": "log" }]);
    let prediction = run(folder.path(), &cloud).unwrap();
    assert_eq!(prediction.origins, [Origins { mrtd: Origin::Stated, rtmrs: [Origin::Recorded; 3] }]);
    assert_eq!((prediction.set.tdx[0].mrtd.to_string(), prediction.set.tdx[0].rtmr2.to_string()), (MRTD.into(), RTMR2.into()));
    std::fs::write(folder.path().join("log"), b"no log").unwrap();
    assert!(matches!(run(folder.path(), &cloud), Err(MeasureError::Log { .. })));
    // With neither, the shape is named and left out.
    let prediction = run(folder.path(), &td(json!({ "name": "bare", "memory_mib": 4096 }))).unwrap();
    assert!(prediction.set.tdx.is_empty());
    assert_eq!((&*prediction.incomplete[0].shape, prediction.incomplete[0].rtmr2.to_string()), ("bare", RTMR2.to_owned()));
}

#[test]
fn a_built_image_is_measured_as_it_was_built() {
    let folder = folder();
    let by_hand = td(json!({ "name": "four", "memory_mib": 4096, "acpi": acpi() }));
    let file = |name: &str, contents: &[u8]| json!({ "file": name, "bytes": contents.len(), "sha256": sha256(contents) });
    let built = json!({
        "format": "ringwall-image/1", "kernel": file("kernel", SIGNED_KERNEL), "initrd": file("initrd", INITRD), "command_line": CMDLINE,
        "contents": [{ "path": "/init" }],
    });
    std::fs::create_dir(folder.path().join("out")).unwrap();
    for name in ["kernel", "initrd"] {
        std::fs::copy(folder.path().join(name), folder.path().join("out").join(name)).unwrap();
    }
    let write = |built: &Value| std::fs::write(folder.path().join("out/image.json"), built.to_string()).unwrap();
    let mut image = by_hand.clone();
    for key in ["kernel", "initrd", "cmdline"] {
        image.as_object_mut().unwrap().remove(key);
    }
    image["image"] = json!("out/image.json");
    write(&built);
    assert_eq!(run(folder.path(), &image).unwrap().set, run(folder.path(), &by_hand).unwrap().set);
    for name in ["kernel", "initrd"] {
        let mut other = built.clone();
        other[name]["sha256"] = json!(sha256(b"other"));
        write(&other);
        assert!(matches!(run(folder.path(), &image), Err(MeasureError::OtherArtefact { .. })), "{name}");
    }
    let mut other = built.clone();
    other["format"] = json!("ringwall-image/2");
    write(&other);
    assert!(matches!(run(folder.path(), &image), Err(MeasureError::NotBuilt { .. })));
    let alone = run(folder.path(), &built).unwrap_err();
    assert!(matches!(&alone, MeasureError::Contradiction { reason } if reason.contains("describes a built image")), "{alone}");
    let mut both = by_hand;
    both["image"] = json!("out/image.json");
    let both = run(folder.path(), &both).unwrap_err();
    assert!(matches!(&both, MeasureError::Contradiction { reason } if reason.contains("name one or the others")), "{both}");
}

#[test]
fn build_files_that_make_no_sense_are_refused_by_name() {
    let folder = folder();
    let good = td(json!({ "name": "four", "memory_mib": 4096, "acpi": acpi() }));
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut image = good.clone();
        change(&mut image);
        run(folder.path(), &image).unwrap_err()
    };
    let contradiction = |change: &dyn Fn(&mut Value), words: &str| {
        let error = refused(change);
        assert!(matches!(&error, MeasureError::Contradiction { reason } if reason.contains(words)), "{words}: {error}");
    };
    contradiction(&|image| drop(image.as_object_mut().unwrap().remove("tdx")), "neither");
    contradiction(&|image| drop(image.as_object_mut().unwrap().remove("kernel")), "nor `kernel`");
    contradiction(&|image| image["tdx"]["boot"] = json!("recorded"), "no shape boots");
    contradiction(&|image| image["tdx"]["mrtd"] = json!(MRTD), "exactly one");
    contradiction(&|image| image["tdx"]["firmware"] = Value::Null, "exactly one");
    contradiction(&|image| image["tdx"]["shapes"][0]["name"] = json!("a\nb"), "control characters");
    contradiction(
        &|image| {
            let again = image["tdx"]["shapes"][0].clone();
            image["tdx"]["shapes"].as_array_mut().unwrap().push(again);
        },
        "same name",
    );
    assert!(matches!(refused(&|image| image["surprise"] = json!(1)), MeasureError::NotABuildFile { .. }));
    assert!(matches!(refused(&|image| image["build_id"] = json!("")), MeasureError::BuildId));
    assert!(matches!(refused(&|image| image["tdx"]["shapes"] = json!([])), MeasureError::TooManyShapes { got: 0, .. }));
    assert!(matches!(refused(&|image| image["kernel"] = json!("none")), MeasureError::Io { .. }));
    assert!(matches!(refused(&|image| image["kernel"] = json!(".")), MeasureError::Io { .. }));
    assert!(matches!(refused(&|image| image["kernel"] = json!("initrd")), MeasureError::Tdx(_)));
    assert!(matches!(refused(&|image| image["cmdline"] = json!("a\tb")), MeasureError::Tdx(_)));
    assert!(matches!(refused(&|image| image["tdx"]["firmware"] = json!("kernel")), MeasureError::Tdx(_)));
    assert!(matches!(refused(&|image| image["tdx"]["shapes"][0]["memory_mib"] = json!(u64::MAX)), MeasureError::Tdx(_)));
    std::fs::write(folder.path().join("large"), vec![0; ACPI_FILE_BYTES + 1]).unwrap();
    let large = refused(&|image| image["tdx"]["shapes"][0]["acpi"]["rsdp"] = json!("large"));
    assert!(matches!(large, MeasureError::TooLarge { most, .. } if most == ACPI_FILE_BYTES as u64));
    std::fs::write(folder.path().join("image.json"), vec![b' '; BUILD_FILE_BYTES + 1]).unwrap();
    assert!(matches!(BuildFile::read(&folder.path().join("image.json")), Err(MeasureError::TooLarge { .. })));
}
