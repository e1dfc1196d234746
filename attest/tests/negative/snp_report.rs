//! Every field of an SNP report: too low, too high, wrong, missing; signed by the chip's own key unless the signature is the subject.
//!
//! Decides: which rule names each. Not judged, and so without rows: REPORT_ID (a random name of the guest) and the CPU's stepping.
//! Trusts: the harness. Out of scope: certificates (`snp_chain.rs`), what a policy may demand (`policy.rs`). Source: SEV-SNP ABI, ATTESTATION_REPORT.

use crate::harness::{Amd, Table, profile};
use ringwall_sim::TeeProfile;

pub fn rows(table: &mut Table) {
    let (milan, genoa, turin) = (Amd::new("milan-1"), Amd::new("genoa-1"), Amd::new("turin-1"));
    layout(table, &genoa);
    versions(table);
    guest_policy(table, &genoa, &turin);
    platform(table, &genoa);
    key_info(table, &genoa);
    identity(table, &genoa);
    cpu(table, &genoa);
    chip(table, &genoa, &turin);
    firmware(table, &genoa);
    for (name, amd, parts) in [("milan", &milan, MILAN), ("genoa", &genoa, GENOA), ("turin", &turin, TURIN)] {
        tcb(table, name, amd, parts);
    }
    signature(table, &genoa);
}

fn layout(table: &mut Table, amd: &Amd) {
    for version in [0u32, 1, 4, 6, 99, u32::MAX] {
        table.row(
            format!("snp.report.version.{version}"),
            format!("V::ReportVersion {{ got: {version} }}"),
            amd.put(0, &version.to_le_bytes()),
        );
    }
    for len in [0, 1, 0x2a0, 1_183] {
        table.row(
            format!("snp.report.length.{len}"),
            format!("V::ReportLength {{ got: {len}, expected: 1184 }}"),
            amd.unsigned(|report| report.truncate(len)),
        );
    }
    for at in (0x4c..0x50).chain([0x18b, 0x195, 0x19f, 0x1eb, 0x1ef, 0x208, 0x23f, 0x280, 0x29f]) {
        table.row(format!("snp.report.reserved.{at:#x}"), format!("V::ReportReserved {{ offset: {at} }}"), amd.flip(at, 1));
    }
    for algorithm in [0u32, 2, 0x0101, u32::MAX] {
        table.row(
            format!("snp.report.signature_algo.{algorithm:#x}"),
            format!("V::SignatureAlgorithm {{ got: {algorithm} }}"),
            amd.put(0x34, &algorithm.to_le_bytes()),
        );
    }
}

/// What older versions reserve, and what they cannot tell.
fn versions(table: &mut Table) {
    let old = |report_version| Amd::of(TeeProfile { report_version, ..profile("genoa-1") }, |_| ());
    let (second, third) = (old(2), old(3));
    table.row("snp.report.version.2", "R::ReportVersionNotAccepted { reported: 2, accepted: [3, 5] }", second.honest());
    table.row("snp.report.v2.cpuid", "V::ReportReserved { offset: 392 }", second.flip(0x188, 1));
    table.row("snp.report.v2.mitigations", "V::ReportReserved { offset: 504 }", second.flip(0x1f8, 1));
    table.row("snp.report.v3.untold_mitigations", "R::MitigationsUnknown { reported: 3, required: 11 }", third.honest());
    table.row("snp.report.v3.launch_mitigations", "V::ReportReserved { offset: 504 }", third.flip(0x1f8, 1));
    table.row("snp.report.v3.current_mitigations", "V::ReportReserved { offset: 512 }", third.flip(0x200, 1));
}

fn guest_policy(table: &mut Table, genoa: &Amd, turin: &Amd) {
    for (name, amd) in [("genoa", genoa), ("turin", turin)] {
        let flipped = |bit: usize| amd.flip(0x08 + bit / 8, 1 << (bit % 8));
        let mut row = |bit: usize, expected: &str| table.row(format!("snp.report.policy.{name}.bit_{bit}"), expected, flipped(bit));
        row(17, "R::GuestPolicyMustBeOne");
        row(18, "R::MigratableGuest");
        row(19, "R::DebugGuest");
        row(22, "R::GuestPolicyBitsMissing");
        row(23, "R::GuestPolicyBitsMissing");
        // hyper-threading, CXL, and bits AMD has not defined
        for bit in [16, 21, 26, 31, 32, 40, 63] {
            row(bit, "R::GuestPolicyBitsForbidden");
        }
    }
    let policy = |bytes: [u8; 2]| genoa.put(0x08, &bytes);
    table.row("snp.report.policy.abi_minor_low", "R::AbiTooOld { reported: (1, 54), required: (1, 55) }", policy([54, 1]));
    table.row("snp.report.policy.abi_major_low", "R::AbiTooOld { reported: (0, 255), required: (1, 55) }", policy([255, 0]));
    table.row("snp.report.policy.abi_zero", "R::AbiTooOld { reported: (0, 0)", policy([0, 0]));
    table.row("snp.report.policy.zero", "R::GuestPolicyMustBeOne { reported: 0 }", genoa.put(0x08, &[0; 8]));
    table.row("snp.report.policy.ones", "R::DebugGuest { reported: 18446744073709551615 }", genoa.put(0x08, &[0xff; 8]));
    for vmpl in [1u32, 2, 3, u32::MAX] {
        let expected = format!("R::Vmpl {{ reported: {vmpl}, required: 0 }}");
        table.row(format!("snp.report.vmpl.{vmpl}"), expected, genoa.put(0x30, &vmpl.to_le_bytes()));
    }
}

fn platform(table: &mut Table, amd: &Amd) {
    let flipped = |bit: usize| amd.flip(0x40 + bit / 8, 1 << (bit % 8));
    for bit in [3, 5] {
        table.row(format!("snp.report.platform.bit_{bit}"), "R::PlatformBitsMissing", flipped(bit));
    }
    for bit in [0, 6, 7, 8, 31, 32, 63] {
        table.row(format!("snp.report.platform.bit_{bit}"), "R::PlatformBitsForbidden", flipped(bit));
    }
    table.row("snp.report.platform.zero", "R::PlatformBitsMissing { reported: 0", amd.put(0x40, &[0; 8]));
    table.row("snp.report.platform.ones", "R::PlatformBitsForbidden", amd.put(0x40, &[0xff; 8]));
}

fn key_info(table: &mut Table, amd: &Amd) {
    table.row("snp.report.key_info.author_flag_alone", "R::AuthorKeyFlag { used: true", amd.flip(0x48, 1));
    table.row("snp.report.key_info.masked", "R::ChipKeyMasked", amd.flip(0x48, 2));
    table.row("snp.report.key_info.vlek", "V::SignerMismatch { report: Vlek, certificate: Vcek }", amd.flip(0x48, 1 << 2));
    for code in 2u8..=7 {
        let expected = format!("V::SigningKeyCode {{ got: {code} }}");
        table.row(format!("snp.report.key_info.code_{code}"), expected, amd.put(0x48, &[code << 2]));
    }
    for bit in [5, 7, 8, 16, 31] {
        let got = amd.flip(0x48 + bit / 8, 1 << (bit % 8));
        table.row(format!("snp.report.key_info.bit_{bit}"), "V::ReportReserved { offset: 72 }", got);
    }
}

/// First byte, last byte, all ones, all zero (where that is not what the honest report has).
fn bytes_of(table: &mut Table, name: &str, amd: &Amd, at: usize, len: usize, expected: &str) {
    table.row(format!("snp.report.{name}.first"), expected, amd.flip(at, 1));
    table.row(format!("snp.report.{name}.last"), expected, amd.flip(at + len - 1, 0x80));
    table.row(format!("snp.report.{name}.wrong"), expected, amd.put(at, &vec![0x5a; len]));
    if amd.report[at..at + len].iter().any(|byte| *byte != 0) {
        table.row(format!("snp.report.{name}.zero"), expected, amd.put(at, &vec![0; len]));
    }
}

fn identity(table: &mut Table, amd: &Amd) {
    bytes_of(table, "family_id", amd, 0x10, 16, "R::FamilyId");
    bytes_of(table, "image_id", amd, 0x20, 16, "R::ImageId");
    bytes_of(table, "report_data", amd, 0x50, 64, "R::ReportData");
    bytes_of(table, "measurement", amd, 0x90, 48, "R::MeasurementUnknown");
    bytes_of(table, "host_data", amd, 0xc0, 32, "R::HostData");
    bytes_of(table, "id_key_digest", amd, 0xe0, 48, "R::IdKey");
    bytes_of(table, "author_key_digest", amd, 0x110, 48, "R::AuthorKeyFlag { used: false");
    bytes_of(table, "report_id_ma", amd, 0x160, 32, "R::MigrationAgent");
    let authored = |digest: u8| {
        amd.report(|report| {
            report[0x48] |= 1;
            report[0x110..0x140].fill(digest);
        })
    };
    table.row("snp.report.author_key.used", "R::AuthorKey { reported:", authored(1));
    // under an ID key the firmware's word for the guest's security version counts
    let mut launched = profile("genoa-1");
    launched.id_block = true;
    let launched = Amd::of(launched, |policy| policy.snp.id_key_digest = TeeProfile::id_key_digest());
    table.row("snp.report.guest_svn.low", "R::GuestSvnTooLow { reported: 0, required: 1 }", launched.put(0x04, &[0; 4]));
    table.row("snp.report.id_block.other_key", "R::IdKey", launched.flip(0xe0, 1));
    table.row("snp.report.id_block.no_key", "R::IdKey", launched.put(0xe0, &[0; 48]));
}

fn cpu(table: &mut Table, amd: &Amd) {
    for (family, model) in [(0u8, 0u8), (0x17, 0x31), (0x18, 0x11), (0x1b, 0x11), (0xff, 0xff), (0x19, 0x20), (0x19, 0x9f), (0x19, 0xb0)] {
        let expected = format!("V::ProductUnknown {{ family: {family}, model: {model} }}");
        table.row(format!("snp.report.cpu.{family:02x}_{model:02x}"), expected, amd.put(0x188, &[family, model]));
    }
    // Venice, which another verifier answers with a panic
    for model in [0x50u8, 0x57, 0x90, 0xaf, 0xc0, 0xc7, 0x20] {
        let expected = format!("V::ProductUnknown {{ family: 26, model: {model} }}");
        table.row(format!("snp.report.cpu.1a_{model:02x}"), expected, amd.put(0x188, &[0x1a, model]));
    }
    for (family, model, product) in [(0x19u8, 0x01u8, "Milan"), (0x19, 0x0f, "Milan"), (0x1a, 0x02, "Turin"), (0x1a, 0x1f, "Turin")] {
        let expected = format!("V::ProductMismatch {{ report: {product}, certificate: Genoa }}");
        table.row(format!("snp.report.cpu.{family:02x}_{model:02x}"), expected, amd.put(0x188, &[family, model]));
    }
}

fn chip(table: &mut Table, genoa: &Amd, turin: &Amd) {
    bytes_of(table, "genoa.chip_id", genoa, 0x1a0, 64, "V::ChipMismatch");
    bytes_of(table, "turin.chip_id", turin, 0x1a0, 8, "V::ChipMismatch");
    // Turin's ids have 8 bytes; what follows them must be zero
    table.row("snp.report.turin.chip_id.ninth_byte", "V::ChipMismatch", turin.flip(0x1a8, 1));
    table.row("snp.report.turin.chip_id.last_byte", "V::ChipMismatch", turin.flip(0x1df, 1));
}

fn firmware(table: &mut Table, amd: &Amd) {
    for (which, at) in [("current", 0x1e8), ("committed", 0x1ec)] {
        for (part, offset) in [("build", 0), ("minor", 1), ("major", 2)] {
            let honest = amd.report[at + offset];
            for (kind, value) in [("low", honest - 1), ("high", honest + 1), ("zero", 0)] {
                let id = format!("snp.report.{which}_firmware.{part}.{kind}");
                if kind != "zero" || honest != 1 {
                    table.row(id, "R::ProvisionalFirmware", amd.put(at + offset, &[value]));
                }
            }
        }
    }
    for (which, name, at) in [("launch", "Launch", 0x1f8), ("current", "Current", 0x200)] {
        let expected = format!("R::MitigationsMissing {{ which: {name}, reported: ");
        for bit in [0, 1, 3] {
            table.row(format!("snp.report.{which}_mitigations.bit_{bit}"), expected.clone(), amd.flip(at, 1 << bit));
        }
        table.row(format!("snp.report.{which}_mitigations.zero"), format!("{expected}0,"), amd.put(at, &[0; 8]));
    }
}

/// Name of a firmware part and its byte; none where the layout reserves the byte.
type Parts = [Option<&'static str>; 8];
const MILAN: Parts = [Some("boot_loader"), Some("tee"), None, None, None, None, Some("snp"), Some("microcode")];
const GENOA: Parts = MILAN;
const TURIN: Parts = [Some("fmc"), Some("boot_loader"), Some("tee"), Some("snp"), None, None, None, Some("microcode")];

fn tcb(table: &mut Table, name: &str, amd: &Amd, parts: Parts) {
    for (which, offset) in [("Current", 0x38), ("Reported", 0x180), ("Committed", 0x1e0), ("Launch", 0x1f0)] {
        for (at, part) in parts.into_iter().enumerate() {
            let id = format!("snp.report.{name}.{}_tcb", which.to_lowercase());
            let honest = amd.report[offset + at];
            let with = |value: u8| amd.put(offset + at, &[value]);
            match part {
                None => {
                    let expected = format!("V::TcbReserved {{ which: {which}, raw: ");
                    table.row(format!("{id}.reserved_{at}"), expected, with(1));
                }
                // the certificate's key is for exactly one reported TCB
                Some(part) if which == "Reported" => {
                    for (kind, value) in [("low", honest.wrapping_sub(1)), ("high", honest.wrapping_add(1))] {
                        table.row(format!("{id}.{part}.{kind}"), "V::CertTcb", with(value));
                    }
                }
                Some(part) if honest > 0 => {
                    let expected = format!("R::TcbTooOld {{ which: {which}, reported: SnpTcb {{ … {part}: {}", honest - 1);
                    table.row(format!("{id}.{part}.low"), expected, with(honest - 1));
                    if honest > 1 {
                        let expected = format!("R::TcbTooOld {{ which: {which}, reported: SnpTcb {{ … {part}: 0");
                        table.row(format!("{id}.{part}.zero"), expected, with(0));
                    }
                }
                Some(_) => {}
            }
        }
    }
}

/// Order of P-384, little-endian, as AMD writes numbers.
fn group_order() -> [u8; 48] {
    let mut order = [0xff; 48];
    let low: [u8; 24] = [
        0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5,
        0x29, 0x73,
    ];
    for (to, from) in order.iter_mut().zip(low.iter().rev()) {
        *to = *from;
    }
    order
}

fn signature(table: &mut Table, amd: &Amd) {
    const R: usize = 0x2a0;
    const S: usize = R + 72;
    for at in [R + 48, R + 60, R + 71, S + 48, S + 71, 0x330, 0x3ff, 0x49f] {
        let expected = format!("V::SignaturePadding {{ offset: {at} }}");
        table.row(format!("snp.report.signature.padding_{at:#x}"), expected, amd.unsigned(|report| report[at] = 1));
    }
    for (number, at) in [("r", R), ("s", S)] {
        let with = |bytes: [u8; 48]| amd.unsigned(|report| report[at..at + 48].copy_from_slice(&bytes));
        let honest: [u8; 48] = amd.report[at..at + 48].try_into().unwrap();
        let mut low = honest;
        low[0] = low[0].wrapping_sub(1);
        let mut reversed = honest;
        reversed.reverse();
        for (kind, bytes) in [("zero", [0; 48]), ("ones", [0xff; 48]), ("order", group_order()), ("low", low), ("big_endian", reversed)] {
            table.row(format!("snp.report.signature.{number}.{kind}"), "V::ReportSignature", with(bytes));
        }
    }
    let swapped = amd.unsigned(|report| {
        let (r, s) = report[R..].split_at_mut(72);
        r[..48].swap_with_slice(&mut s[..48]);
    });
    table.row("snp.report.signature.swapped", "V::ReportSignature", swapped);
    let both_zero = amd.unsigned(|report| report[R..R + 144].fill(0));
    table.row("snp.report.signature.both_zero", "V::ReportSignature", both_zero);
}
