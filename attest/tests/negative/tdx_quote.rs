//! Every field of a TDX quote: too low, too high, wrong, missing; signed again by attestation key and platform unless that is the subject.
//!
//! Decides: which rule names each. Not judged, and so without rows: the enclave versions and user data of the header, the TD's own id, what
//! the TD was created under (its present firmware is judged), CPUSVN and MRENCLAVE of the quoting enclave (its signer and version are).
//! Trusts: the harness. Out of scope: collateral (`tdx_collateral.rs`). Source: Intel TDX DCAP quoting library API, "TD quote format".

use crate::harness::{Intel, Table};
use ringwall_sim::QuoteShape;
use ringwall_sim::forge::QuoteParts;
use ringwall_wire::bounded::List;
use ringwall_wire::policy::MeasurementRegister;

/// An edit of a part of a quote.
type Fill = fn(&mut Vec<u8>);

pub fn rows(table: &mut Table) {
    let old = Intel::new(QuoteShape::V4);
    let new = Intel::new(QuoteShape::V5);
    let larger = Intel::new(QuoteShape::V5Td15);
    let extended = Intel::new(QuoteShape::V5Td15Extended);
    for (name, intel) in [("v4", &old), ("v5", &new), ("td15", &larger), ("td15x", &extended)] {
        assert_eq!(intel.honest(), "accepted", "{name}");
        assert_eq!(intel.td(|_| ()), "accepted", "signing again changes nothing");
        assert_eq!(intel.enclave(|_| ()), "accepted", "signing again changes nothing");
    }
    header(table, &old, &new);
    body_kind(table, &new, &larger);
    module(table, &old);
    attributes(table, &old);
    registers(table, "v4", &old);
    registers(table, "td15", &larger);
    service_tds(table, &larger, &extended);
    lengths(table, &old, &extended);
    enclave(table, &old);
    signatures(table, &old);
    chain_text(table, &old);
}

fn header(table: &mut Table, old: &Intel, new: &Intel) {
    let number = |at: usize, bytes: &[u8]| old.td(|parts| parts.header[at..at + bytes.len()].copy_from_slice(bytes));
    for version in [0u16, 1, 2, 3, 6, 0x0104, u16::MAX] {
        let expected = format!("V::QuoteVersion {{ got: {version} }}");
        table.row(format!("tdx.header.version.{version}"), expected, number(0, &version.to_le_bytes()));
    }
    for key_type in [0u16, 1, 3, u16::MAX] {
        let expected = format!("V::QuoteKeyType {{ got: {key_type} }}");
        table.row(format!("tdx.header.key_type.{key_type}"), expected, number(2, &key_type.to_le_bytes()));
    }
    for tee in [0u32, 1, 0x80, 0x82, 0x8100, u32::MAX] {
        let expected = format!("V::QuoteTeeType {{ got: {tee} }}");
        table.row(format!("tdx.header.tee_type.{tee:#x}"), expected, number(4, &tee.to_le_bytes()));
    }
    let vendor = "V::IntelChain … Unknown QE vendor ID";
    table.row("tdx.header.qe_vendor.zero", vendor, number(12, &[0; 16]));
    table.row("tdx.header.qe_vendor.first", vendor, old.td(|parts| parts.header[12] ^= 1));
    table.row("tdx.header.qe_vendor.last", vendor, old.td(|parts| parts.header[27] ^= 1));
    // a body of one version under the header of the other
    table.row("tdx.header.version.4_for_5", "V::QuoteLength", new.raw(|quote| quote[0] = 4));
    table.row("tdx.header.version.5_for_4", "V::QuoteBodyType", old.raw(|quote| quote[0] = 5));
    for (at, what) in [(8, "qe_svn"), (10, "pce_svn"), (28, "user_data"), (47, "user_data_end")] {
        let got = old.parts(|parts| parts.header[at] ^= 1);
        table.row(format!("tdx.header.{what}.unsigned"), "V::IntelSignature", got);
    }
}

fn body_kind(table: &mut Table, new: &Intel, larger: &Intel) {
    let kind = |intel: &Intel, kind: u16| intel.td(|parts| parts.body_kind = parts.body_kind.map(|(_, length)| (kind, length)));
    for wrong in [0u16, 1, 5, 0x0200, u16::MAX] {
        let expected = format!("V::QuoteBodyType {{ got: {wrong} }}");
        table.row(format!("tdx.body_kind.{wrong}"), expected, kind(new, wrong));
    }
    table.row("tdx.body_kind.3_for_2", "V::QuoteLength { what: \"body\", announced: 584, got: 648 }", kind(new, 3));
    table.row("tdx.body_kind.4_for_3", "V::QuoteLength { what: \"body\", announced: 648, got: 885 }", kind(larger, 4));
    table.row("tdx.body_kind.2_for_3", "V::QuoteLength { what: \"body\", announced: 648, got: 584 }", kind(larger, 2));
    for length in [0u32, 583, 585, 648, u32::MAX] {
        let expected = format!("V::QuoteLength {{ what: \"body\", announced: {length}, got: 584 }}");
        let got = new.raw(|quote| quote[50..54].copy_from_slice(&length.to_le_bytes()));
        table.row(format!("tdx.body_length.{length}"), expected, got);
    }
}

fn module(table: &mut Table, intel: &Intel) {
    let listed = |change: fn(&mut QuoteParts)| {
        let mr_seam: [u8; 48] = QuoteParts::of(&intel.quote).unwrap().body[16..64].try_into().unwrap();
        let picky = Intel::of(intel.tee.profile().clone(), |policy| {
            policy.tdx.mr_seams = List::new(vec![MeasurementRegister(mr_seam)]).unwrap();
        });
        assert_eq!(picky.honest(), "accepted");
        picky.td(change)
    };
    table.row("tdx.body.mr_seam.zero", "R::SeamNotListed { … listed: 1 }", listed(|parts| parts.body[16..64].fill(0)));
    table.row("tdx.body.mr_seam.first", "R::SeamNotListed", listed(|parts| parts.body[16] ^= 1));
    table.row("tdx.body.mr_seam.last", "R::SeamNotListed", listed(|parts| parts.body[63] ^= 1));
    for (kind, at) in [("first", 64), ("last", 111)] {
        table.row(format!("tdx.body.mr_signer_seam.{kind}"), "V::IntelChain … TDX module MRSIGNER mismatch", intel.flip(at, 1));
    }
    for at in 112..120 {
        let expected = "V::IntelChain … TDX module SEAMATTRIBUTES mismatch";
        table.row(format!("tdx.body.seam_attributes.byte_{}", at - 112), expected, intel.flip(at, 1));
    }
    let svn = |at: usize, value: u8| intel.put(at, &[value]);
    table.row("tdx.body.tee_tcb_svn.module_low", "R::StatusNotAccepted { reported: OutOfDate", svn(0, 4));
    table.row("tdx.body.tee_tcb_svn.module_below_all", "V::TdxTcbBelowAll … is below minimum required", svn(0, 3));
    table.row("tdx.body.tee_tcb_svn.module_zero", "V::TdxTcbBelowAll", svn(0, 0));
    table.row("tdx.body.tee_tcb_svn.unknown_module", "V::TdxTcbBelowAll … No TDX module identity", svn(1, 2));
    table.row("tdx.body.tee_tcb_svn.module_1_0_low", "V::TdxTcbBelowAll … No matching TCB level", intel.put(0, &[4, 0]));
    table.row("tdx.body.tee_tcb_svn.third_low", "V::TdxTcbBelowAll … No matching TCB level", svn(2, 2));
    table.row("tdx.body.tee_tcb_svn.zero", "V::TdxTcbBelowAll", intel.put(0, &[0; 16]));
}

fn attributes(table: &mut Table, intel: &Intel) {
    let flipped = |bit: usize| intel.flip(120 + bit / 8, 1 << (bit % 8));
    let mut row = |bit: usize, expected: &str| table.row(format!("tdx.body.td_attributes.bit_{bit}"), expected, flipped(bit));
    row(0, "R::DebugGuest");
    for bit in [4, 5, 6] {
        row(bit, "R::DebugGuest");
    }
    // bits Intel reserves
    for bit in [1, 3, 7, 15, 23, 26, 32, 61] {
        row(bit, "V::TdAttributes");
    }
    row(28, "V::TdAttributes { attributes: 0, … SEPT_VE_DISABLE");
    row(29, "V::TdAttributes { … migration");
    row(17, "V::TdAttributes { … SERVTD_EXT");
    for bit in [16, 18, 22, 27, 30, 31, 62, 63] {
        row(bit, "R::TdAttributesForbidden");
    }
    table.row("tdx.body.td_attributes.zero", "V::TdAttributes { attributes: 0", intel.put(120, &[0; 8]));
    table.row("tdx.body.td_attributes.ones", "V::TdAttributes { attributes: 18446744073709551615", intel.put(120, &[0xff; 8]));
    for bit in [3, 8, 16, 19, 62, 63] {
        table.row(format!("tdx.body.xfam.bit_{bit}"), "R::XfamForbidden", intel.flip(128 + bit / 8, 1 << (bit % 8)));
    }
    table.row("tdx.body.xfam.ones", "R::XfamForbidden { reported: 18446744073709551615", intel.put(128, &[0xff; 8]));
}

fn registers(table: &mut Table, name: &str, intel: &Intel) {
    let body = QuoteParts::of(&intel.quote).unwrap().body;
    let fields = [
        ("mrtd", 136, 48, "R::TupleUnknown"),
        ("mr_config_id", 184, 48, "R::MrConfigId"),
        ("mr_owner", 232, 48, "R::MrOwner {"),
        ("mr_owner_config", 280, 48, "R::MrOwnerConfig"),
        ("rtmr0", 328, 48, "R::TupleUnknown"),
        ("rtmr1", 376, 48, "R::TupleUnknown"),
        ("rtmr2", 424, 48, "R::TupleUnknown"),
        ("rtmr3", 472, 48, "R::Rtmr3"),
        ("report_data", 520, 64, "R::ReportData"),
    ];
    for (field, at, len, expected) in fields {
        let id = format!("tdx.{name}.{field}");
        table.row(format!("{id}.first"), expected, intel.flip(at, 1));
        table.row(format!("{id}.last"), expected, intel.flip(at + len - 1, 0x80));
        table.row(format!("{id}.wrong"), expected, intel.put(at, &vec![0x5a; len]));
        if body[at..at + len].iter().any(|byte| *byte != 0) {
            table.row(format!("{id}.zero"), expected, intel.put(at, &vec![0; len]));
        }
    }
    // two registers of one build exchanged
    let exchanged = intel.td(|parts| {
        let (first, second) = parts.body[328..424].split_at_mut(48);
        first.swap_with_slice(second);
    });
    table.row(format!("tdx.{name}.rtmr0_for_rtmr1"), "R::TupleUnknown", exchanged);
}

fn service_tds(table: &mut Table, larger: &Intel, extended: &Intel) {
    for (name, intel) in [("td15", larger), ("td15x", extended)] {
        table.row(format!("tdx.{name}.tee_tcb_svn2.unknown_module"), "V::TdxTcbBelowAll … TEE_TCB_SVN2", intel.put(585, &[9]));
        table.row(format!("tdx.{name}.tee_tcb_svn2.third_low"), "V::TdxTcbBelowAll … TEE_TCB_SVN2", intel.put(586, &[2]));
        table.row(format!("tdx.{name}.tee_tcb_svn2.zero"), "V::TdxTcbBelowAll … TEE_TCB_SVN2", intel.put(584, &[0; 16]));
        table.row(format!("tdx.{name}.tee_tcb_svn.relaunch"), "R::StatusNotAccepted { reported: RelaunchAdvised,", intel.put(0, &[4]));
        table.row(format!("tdx.{name}.mr_service_td.first"), "R::ServiceTd", intel.flip(600, 1));
        table.row(format!("tdx.{name}.mr_service_td.last"), "R::ServiceTd", intel.flip(647, 1));
        table.row(format!("tdx.{name}.servtd_ext"), "R::TdAttributesForbidden", intel.flip(122, 2));
    }
    for vm in [1u8, 3, 255] {
        table.row(format!("tdx.td15x.vm_index.{vm}"), format!("R::VmPartition {{ reported: {vm} }}"), extended.put(648, &[vm]));
    }
    for (field, at, len, expected) in [
        ("device_information", 681, 48, "R::DevicesAttached"),
        ("init_service_td_hash", 729, 48, "R::ServiceTd"),
        ("init_service_td_attributes", 777, 8, "R::ServiceTd"),
        ("cur_service_td_hash", 829, 48, "R::ServiceTd"),
        ("cur_service_td_attributes", 877, 8, "R::ServiceTd"),
    ] {
        table.row(format!("tdx.td15x.{field}.first"), expected, extended.flip(at, 1));
        table.row(format!("tdx.td15x.{field}.last"), expected, extended.flip(at + len - 1, 0x80));
    }
}

fn lengths(table: &mut Table, old: &Intel, extended: &Intel) {
    for (name, intel) in [("v4", old), ("td15x", extended)] {
        let parts = QuoteParts::of(&intel.quote).unwrap();
        let names = ["signature data", "QE certification data", "QE authentication data", "PCK chain"];
        for ((what, at), width) in names.into_iter().zip(parts.length_offsets()).zip([4, 4, 2, 4]) {
            for (kind, by) in [("less", u32::MAX), ("more", 1)] {
                let got = intel.raw(|quote| {
                    let mut number = [0; 4];
                    number[..width].copy_from_slice(&quote[at..at + width]);
                    let number = u32::from_le_bytes(number).wrapping_add(by).to_le_bytes();
                    quote[at..at + width].copy_from_slice(&number[..width]);
                });
                // a wrong length of the authentication data moves what follows it
                let expected = if width == 2 { "V::QuoteCertType".into() } else { format!("V::QuoteLength {{ what: \"{what}\"") };
                table.row(format!("tdx.{name}.length.{what}.{kind}"), expected, got);
            }
            for (kind, value) in [("zero", 0), ("max", 0xff)] {
                let got = intel.raw(|quote| quote[at..at + width].fill(value));
                let expected = if width == 2 && value == 0 { "V::QuoteCertType" } else { "V::QuoteLength" };
                table.row(format!("tdx.{name}.length.{what}.{kind}"), expected, got);
            }
        }
        let end = intel.quote.len();
        let body_end = parts.length_offsets()[0];
        for cut in [0, 1, 47, 48, body_end - 1, body_end, body_end + 3, body_end + 4, body_end + 131, body_end + 137, end - 1] {
            let got = intel.raw(|quote| quote.truncate(cut));
            table.row(format!("tdx.{name}.cut.{cut}"), "V::QuoteLength", got);
        }
        for tail in [vec![0], vec![0; 3_000], b"GARBAGE".to_vec()] {
            let got = intel.raw(|quote| quote.extend_from_slice(&tail));
            table.row(format!("tdx.{name}.trailing.{}", tail.len()), "V::QuoteLength { what: \"signature data\"", got);
        }
    }
    for outer in [0u16, 1, 4, 5, 7, u16::MAX] {
        let expected = format!("V::QuoteCertType {{ got: {outer}, expected: 6 }}");
        table.row(format!("tdx.certification.outer.{outer}"), expected, old.parts(|parts| parts.outer_type = outer));
    }
    for inner in [0u16, 1, 2, 3, 4, 6, 7, u16::MAX] {
        let expected = format!("V::QuoteCertType {{ got: {inner}, expected: 5 }}");
        table.row(format!("tdx.certification.inner.{inner}"), expected, old.parts(|parts| parts.inner_type = inner));
    }
}

fn enclave(table: &mut Table, intel: &Intel) {
    let put = |at: usize, bytes: &[u8]| intel.enclave(|parts| parts.enclave[at..at + bytes.len()].copy_from_slice(bytes));
    let flip = |at: usize, bits: u8| intel.enclave(|parts| parts.enclave[at] ^= bits);
    let mut row = |kind: &str, expected: &str, got: String| table.row(format!("tdx.enclave.{kind}"), expected, got);
    for at in 16..20 {
        row(&format!("miscselect.byte_{}", at - 16), "V::IntelChain … QE MISCSELECT mismatch", flip(at, 1));
    }
    row("attributes.debug", "V::IntelChain … Debug mode is enabled", flip(48, 2));
    row("attributes.not_initialized", "V::IntelChain … QE ATTRIBUTES mismatch", flip(48, 1));
    row("attributes.no_provision_key", "V::IntelChain … QE ATTRIBUTES mismatch", flip(48, 0x10));
    row("attributes.reserved", "V::IntelChain … QE ATTRIBUTES mismatch", flip(55, 0x80));
    row("attributes.zero", "V::IntelChain … QE ATTRIBUTES mismatch", put(48, &[0; 16]));
    row("mr_signer.zero", "V::IntelChain … QE MRSIGNER mismatch", put(128, &[0; 32]));
    row("mr_signer.first", "V::IntelChain … QE MRSIGNER mismatch", flip(128, 1));
    row("mr_signer.last", "V::IntelChain … QE MRSIGNER mismatch", flip(159, 1));
    for product in [0u16, 1, 3, u16::MAX] {
        row(&format!("isv_prod_id.{product}"), "V::IntelChain … QE ISVPRODID mismatch", put(256, &product.to_le_bytes()));
    }
    for svn in [0u16, 3] {
        row(&format!("isv_svn.{svn}"), "V::TdxTcbBelowAll … QE ISVSVN", put(258, &svn.to_le_bytes()));
    }
    row("report_data.zero", "V::IntelSignature … QE report hash mismatch", put(320, &[0; 64]));
    row("report_data.first", "V::IntelSignature … QE report hash mismatch", flip(320, 1));
    row("report_data.last", "V::IntelSignature … QE report hash mismatch", flip(351, 1));
    row("authentication.first", "V::IntelSignature … QE report hash mismatch", intel.enclave(|parts| parts.authentication[0] ^= 1));
    for len in [0usize, 31, 33, 64] {
        let got = intel.enclave(|parts| {
            parts.authentication.resize(len, 0);
            parts.vouch();
        });
        row(&format!("authentication.length_{len}"), "V::IntelChain … Invalid QE auth data length", got);
    }
    // the platform's key signs what the certificate of another platform certifies
    let at = [0, 20, 64, 96, 160, 260, 352, 383];
    for at in at {
        row(&format!("unsigned.byte_{at}"), "V::IntelSignature … qe_report", intel.parts(|parts| parts.enclave[at] ^= 1));
    }
}

fn signatures(table: &mut Table, intel: &Intel) {
    let fills: [(&str, Fill); 6] = [
        ("zero", |bytes| bytes.fill(0)),
        ("ones", |bytes| bytes.fill(0xff)),
        ("r_flipped", |bytes| bytes[31] ^= 1),
        ("s_flipped", |bytes| bytes[63] ^= 1),
        ("r_zero", |bytes| bytes[..32].fill(0)),
        ("swapped", |bytes| bytes.rotate_left(32)),
    ];
    for (kind, edit) in fills {
        table.row(format!("tdx.signature.{kind}"), "V::IntelSignature", intel.parts(|parts| edit(&mut parts.signature)));
        table.row(format!("tdx.enclave.signature.{kind}"), "V::IntelSignature", intel.parts(|parts| edit(&mut parts.enclave_signature)));
        // the key itself: the enclave vouches for another one, or vouches for this one, which is no key or not the one that signed
        table.row(format!("tdx.key.{kind}"), "V::IntelSignature … QE report hash mismatch", intel.parts(|parts| edit(&mut parts.key)));
        let vouched = intel.enclave(|parts| {
            edit(&mut parts.key);
            parts.vouch();
        });
        table.row(format!("tdx.key.{kind}.vouched"), "V::IntelSignature", vouched);
    }
}

/// The chain inside the quote is signed by nobody: it must hold three certificates and nothing else.
fn chain_text(table: &mut Table, intel: &Intel) {
    let text =
        |edit: &dyn Fn(&str) -> String| intel.parts(|parts| parts.chain = edit(std::str::from_utf8(&parts.chain).unwrap()).into_bytes());
    for (kind, expected, edit) in crate::tdx_chains::TEXT_EDITS {
        table.row(format!("tdx.chain.{kind}"), expected.replace("{what}", "the quote's chain"), text(edit));
    }
    let ders = |edit: &dyn Fn(&mut Vec<Vec<u8>>)| {
        intel.parts(|parts| {
            let mut chain = ringwall_sim::forge::ders_of(&parts.chain);
            edit(&mut chain);
            parts.chain = ringwall_sim::forge::pem_of(&chain).into_bytes();
        })
    };
    let mut row = |kind: &str, expected: &str, got: String| table.row(format!("tdx.chain.{kind}"), expected, got);
    row("leaf_alone", "V::IntelChain … 1 certificates, expected 3", ders(&|chain| chain.truncate(1)));
    row("without_root", "V::IntelChain … 2 certificates, expected 3", ders(&|chain| chain.truncate(2)));
    row("root_twice", "V::IntelChain … 4 certificates, expected 3", ders(&|chain| chain.push(chain[2].clone())));
    row("reversed", "V::IntelRoot", ders(&|chain| chain.reverse()));
    row("leaf_for_root", "V::IntelRoot", ders(&|chain| chain[2] = chain[0].clone()));
    row("root_for_intermediate", "V::IntelChain … another issuer", ders(&|chain| chain[1] = chain[2].clone()));
    row("intermediate_for_leaf", "V::Intel", ders(&|chain| chain[0] = chain[1].clone()));
    row("root_byte", "V::IntelRoot", ders(&|chain| *chain[2].last_mut().unwrap() ^= 1));
    row("leaf_byte", "V::Intel", ders(&|chain| *chain[0].last_mut().unwrap() ^= 1));
    row("intermediate_byte", "V::IntelChain … another issuer", ders(&|chain| *chain[1].last_mut().unwrap() ^= 1));
}
