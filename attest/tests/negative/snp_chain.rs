//! AMD's endorsements: each member of VCEK, VLEK, ASK and revocation list, edited and signed again by the authority above.
//!
//! Decides: which rule names each. `chain.rs` has the edits of equal length and their reasons; here every extension and date is walked.
//! Trusts: the harness. Out of scope: the report (`snp_report.rs`). Source: VCEK certificate and KDS interface specification; RFC 5280.

use crate::harness::{
    ALGORITHM, Amd, DAY_S, EXTENSIONS, ISSUER, KEY, NOT_AFTER, NOT_BEFORE, NOW_S, SERIAL, SUBJECT, Table, extension, profile, set,
    with_extension, without_extension,
};
use ringwall_attest::Anchors;
use ringwall_sim::forge::{Signer, Tlv, signed_again};
use ringwall_sim::{Lie, SimTee, foreign_anchors};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, SnpEndorsements};

/// 1.3.6.1.4.1.3704.1.
const AMD: [u8; 8] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

fn amd_oid(tail: &[u8]) -> Vec<u8> {
    [AMD.as_slice(), tail].concat()
}

pub fn rows(table: &mut Table) {
    let (genoa, turin) = (Amd::new("genoa-1"), Amd::new("turin-1"));
    assert_eq!(genoa.vek(|_| ()), "accepted", "signing again changes nothing");
    assert_eq!(genoa.ask(|_| ()), "accepted", "signing again changes nothing");
    assert_eq!(genoa.crl(|_| ()), "accepted", "signing again changes nothing");
    parts(table, "genoa", &genoa, &[("blSPL", &[3, 1]), ("teeSPL", &[3, 2]), ("snpSPL", &[3, 3]), ("ucodeSPL", &[3, 8])]);
    parts(
        table,
        "turin",
        &turin,
        &[("blSPL", &[3, 1]), ("teeSPL", &[3, 2]), ("snpSPL", &[3, 3]), ("ucodeSPL", &[3, 8]), ("fmcSPL", &[3, 9])],
    );
    product_name(table, &genoa);
    chip(table, &genoa, &turin);
    names_and_dates(table, &genoa);
    authority(table, &genoa);
    shape(table, &genoa);
    signatures(table, &genoa);
    revocation(table, &genoa);
    surroundings(table, &genoa, &turin);
    provider(table);
}

fn parts(table: &mut Table, name: &str, amd: &Amd, parts: &[(&'static str, &[u8])]) {
    for (what, tail) in parts {
        let oid = amd_oid(tail);
        let missing = format!("V::CertExtension {{ what: \"{what}\" }}");
        let with = |value: &[u8]| amd.vek(|cert| extension(cert, &oid, |bytes| *bytes = value.to_vec()));
        let moved = |by: u8| {
            amd.vek(|cert| {
                extension(cert, &oid, |bytes| {
                    let value = bytes[bytes.len() - 1].wrapping_add(by) & 0x7f;
                    *bytes = vec![2, 1, value];
                });
            })
        };
        let mut row = |kind: &str, expected: &str, got: String| table.row(format!("snp.vek.{name}.{what}.{kind}"), expected, got);
        row("high", "V::CertTcb", moved(1));
        row("low", "V::CertTcb", moved(0xff));
        row("missing", &missing, amd.vek(|cert| without_extension(cert, &oid)));
        row("empty", &missing, with(&[]));
        row("no_integer", &missing, with(&[4, 1, 1]));
        row("negative", &missing, with(&[2, 1, 0xff]));
        row("too_big", &missing, with(&[2, 2, 1, 0]));
        row("long_form", &missing, with(&[2, 2, 0, 1]));
        row("trailing", &missing, with(&[2, 1, 1, 0]));
        row(
            "twice",
            "V::CertMalformed { which: Vek, what: \"an extension appears twice\" }",
            amd.vek(|cert| {
                with_extension(cert, &oid, false, &[2, 1, 1]);
            }),
        );
    }
}

fn product_name(table: &mut Table, amd: &Amd) {
    let oid = amd_oid(&[2]);
    let with = |value: &[u8]| amd.vek(|cert| extension(cert, &oid, |bytes| *bytes = value.to_vec()));
    let mut row = |kind: &str, expected: &str, got: String| table.row(format!("snp.vek.product_name.{kind}"), expected, got);
    row("other", "V::ProductMismatch { report: Genoa, certificate: Milan }", with(b"\x16\x08Milan-B0"));
    row("newer", "V::ProductMismatch { report: Genoa, certificate: Turin }", with(b"\x16\x05Turin"));
    row("unknown", "V::ProductName { name: \"Venice\" }", with(b"\x16\x06Venice"));
    row("lower_case", "V::ProductName { name: \"genoa\" }", with(b"\x16\x05genoa"));
    row("prefix", "V::ProductName { name: \"GenoaX\" }", with(b"\x16\x06GenoaX"));
    row("no_stepping", "V::ProductName { name: \"Genoa-\" }", with(b"\x16\x06Genoa-"));
    row("two_steppings", "V::ProductName { name: \"Genoa-B0-B1\" }", with(b"\x16\x0bGenoa-B0-B1"));
    row("empty", "V::ProductName { name: \"\" }", with(b"\x16\x00"));
    row("utf8", "V::CertExtension { what: \"productName\" }", with(b"\x0c\x05Genoa"));
    row("not_ascii", "V::CertExtension { what: \"productName\" }", with(b"\x16\x05Geno\xe4"));
    row("raw", "V::CertExtension { what: \"productName\" }", with(b"Genoa"));
    row("missing", "V::CertExtension { what: \"productName\" }", amd.vek(|cert| without_extension(cert, &oid)));
}

fn chip(table: &mut Table, genoa: &Amd, turin: &Amd) {
    let oid = amd_oid(&[4]);
    for (name, amd) in [("genoa", genoa), ("turin", turin)] {
        let with = |edit: fn(&mut Vec<u8>)| amd.vek(|cert| extension(cert, &oid, edit));
        let mut row = |kind: &str, expected: &str, got: String| table.row(format!("snp.vek.{name}.hw_id.{kind}"), expected, got);
        row("first", "V::ChipMismatch", with(|id| id[0] ^= 1));
        row("last", "V::ChipMismatch", with(|id| *id.last_mut().unwrap() ^= 0x80));
        row("zero", "V::ChipMismatch", with(|id| id.fill(0)));
        row("ones", "V::ChipMismatch", with(|id| id.fill(0xff)));
        row("short", "V::CertExtension { what: \"hwID\" }", with(|id| id.truncate(id.len() - 1)));
        row("long", "V::CertExtension { what: \"hwID\" }", with(|id| id.push(0)));
        row("empty", "V::CertExtension { what: \"hwID\" }", with(Vec::clear));
        row("wrapped", "V::CertExtension { what: \"hwID\" }", with(|id| id.splice(0..0, [4, 64]).for_each(drop)));
        row("missing", "V::CertExtension { what: \"hwID or csp_id\" }", amd.vek(|cert| without_extension(cert, &oid)));
        row(
            "and_provider",
            "V::CertExtension { what: \"hwID or csp_id\" }",
            amd.vek(|cert| {
                with_extension(cert, &amd_oid(&[5]), false, b"\x16\x05cloud");
            }),
        );
    }
    // a chip's certificate that calls itself a provider's
    let provider = genoa.vek(|cert| {
        without_extension(cert, &oid);
        with_extension(cert, &amd_oid(&[5]), false, b"\x16\x05cloud");
    });
    table.row(
        "snp.vek.genoa.provider_in_its_place",
        "V::CertNamed { which: Ask, got: \"SEV-Genoa\", expected: \"SEV-VLEK-Genoa\" }",
        provider,
    );
}

/// The common name of a certificate's subject or issuer stands last in AMD's names.
fn common_name(cert: &mut Tlv, whose: &[usize], name: &str) {
    let last = cert.at_mut(whose).unwrap().list_mut().unwrap().last_mut().unwrap();
    *last.at_mut(&[0, 1]).unwrap().bytes_mut().unwrap() = name.as_bytes().to_vec();
}

fn names_and_dates(table: &mut Table, amd: &Amd) {
    for name in ["", "SEV-VLEK", "SEV-VCEK ", "sev-vcek", "SEV-Genoa"] {
        let expected = format!("V::CertNamed {{ which: Vek, got: {name:?}, expected: \"SEV-VCEK\" }}");
        table.row(format!("snp.vek.subject.{name:?}"), expected, amd.vek(|cert| common_name(cert, SUBJECT, name)));
    }
    for name in ["", "SEV-VLEK-Genoa", "SEV-Milan", "SEV-Turin", "ARK-Genoa"] {
        let expected = format!("V::CertNamed {{ which: Ask, got: {name:?}, expected: \"SEV-Genoa\" }}");
        table.row(format!("snp.ask.subject.{name:?}"), expected, amd.ask(|cert| common_name(cert, SUBJECT, name)));
    }
    for name in ["", "SEV-Milan", "ARK-Genoa"] {
        let id = format!("snp.vek.issuer.{name:?}");
        table.row(id, "V::CertIssuer { which: Vek }", amd.vek(|cert| common_name(cert, ISSUER, name)));
        if name != "ARK-Genoa" {
            let id = format!("snp.ask.issuer.{name:?}");
            table.row(id, "V::CertIssuer { which: Ask }", amd.ask(|cert| common_name(cert, ISSUER, name)));
        }
    }
    // 2026-11-24 12:00 is now
    let times: [(&str, &[usize], &[u8], &str); 3] = [
        ("begins_in_a_second", NOT_BEFORE, b"261124120001Z", "V::CertNotYet"),
        ("begins_in_a_century", NOT_BEFORE, b"491231235959Z", "V::CertNotYet"),
        ("ended_a_second_ago", NOT_AFTER, b"261124115959Z", "V::CertExpired"),
    ];
    for (kind, path, time, expected) in times {
        let named = |which: &str| format!("{expected} {{ which: {which}");
        table.row(format!("snp.vek.dates.{kind}"), named("Vek"), amd.vek(|cert| set(cert, path, time)));
        table.row(format!("snp.ask.dates.{kind}"), named("Ask"), amd.ask(|cert| set(cert, path, time)));
    }
    for time in [b"261324120001Z".as_slice(), b"", b"2611241200Z", b"261124120001+0100"] {
        let got = amd.vek(|cert| set(cert, NOT_AFTER, time));
        table.row(format!("snp.vek.dates.{:?}", String::from_utf8_lossy(time)), "V::CertMalformed { which: Vek", got);
    }
}

fn authority(table: &mut Table, amd: &Amd) {
    let constraints = |value: &[u8]| amd.ask(|cert| extension(cert, BASIC_CONSTRAINTS, |bytes| *bytes = value.to_vec()));
    let refused = "V::CertConstraints { which: Ask }";
    table.row("snp.ask.constraints.missing", refused, amd.ask(|cert| without_extension(cert, BASIC_CONSTRAINTS)));
    table.row("snp.ask.constraints.not_ca", refused, constraints(&[0x30, 0]));
    table.row("snp.ask.constraints.false_spelled_out", refused, constraints(&[0x30, 3, 1, 1, 0]));
    table.row("snp.ask.constraints.no_der", refused, constraints(&[0x30, 3, 1, 1]));
    let usage = |value: &[u8]| amd.ask(|cert| extension(cert, KEY_USAGE, |bytes| *bytes = value.to_vec()));
    table.row("snp.ask.key_usage.lists_only", refused, usage(&[3, 2, 1, 2]));
    table.row("snp.ask.key_usage.signatures_only", refused, usage(&[3, 2, 7, 0x80]));
    table.row("snp.ask.key_usage.no_der", refused, usage(&[3, 0]));
    let vek = |value: &'static [u8]| amd.vek(|cert| with_extension(cert, BASIC_CONSTRAINTS, true, value));
    table.row("snp.vek.constraints.ca", "V::CertConstraints { which: Vek }", vek(&[0x30, 3, 1, 1, 0xff]));
    table.row("snp.vek.constraints.no_der", "V::CertConstraints { which: Vek }", vek(&[0x30]));
    let unknown = "V::CertMalformed { which: Vek, what: \"it has a critical extension this program does not know\" }";
    table.row("snp.vek.critical.unknown", unknown, amd.vek(|cert| with_extension(cert, &amd_oid(&[0x63]), true, &[5, 0])));
    let unknown = "V::CertMalformed { which: Ask, what: \"it has a critical extension this program does not know\" }";
    table.row("snp.ask.critical.name_constraints", unknown, amd.ask(|cert| with_extension(cert, &[0x55, 0x1d, 0x1e], true, &[0x30, 0])));
}

/// What is no certificate, or one over a key of another kind.
fn shape(table: &mut Table, amd: &Amd) {
    let vek = |bytes: Vec<u8>| amd.endorsed(SnpEndorsements { vek: Blob::new(bytes).unwrap(), ..amd.endorsements.clone() });
    let ask = |bytes: Vec<u8>| amd.endorsed(SnpEndorsements { ask: Blob::new(bytes).unwrap(), ..amd.endorsements.clone() });
    for (which, place, honest) in [("Vek", "vek", &amd.endorsements.vek.to_vec()), ("Ask", "ask", &amd.endorsements.ask.to_vec())] {
        let judge = |bytes: Vec<u8>| if which == "Vek" { vek(bytes) } else { ask(bytes) };
        let expected = format!("V::CertMalformed {{ which: {which}");
        let cut = |len: usize| honest.iter().copied().take(len).collect::<Vec<u8>>();
        let long_length = [&[0x30, 0x83, 0], &honest[2..]].concat();
        let cases: [(&str, Vec<u8>); 8] = [
            ("empty", Vec::new()),
            ("header_alone", cut(4)),
            ("last_byte_missing", cut(honest.len() - 1)),
            ("trailing", [honest.as_slice(), &[0]].concat()),
            ("set_for_sequence", [&[0x31], &honest[1..]].concat()),
            ("longer_length", long_length),
            ("pem", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_vec()),
            ("four_parts", {
                let mut cert = Tlv::parse(honest).unwrap();
                cert.list_mut().unwrap().push(Tlv::bytes(5, []));
                cert.encode()
            }),
        ];
        for (kind, bytes) in cases {
            let expected = if bytes.is_empty() { format!("V::CertMissing {{ which: {which}") } else { expected.clone() };
            table.row(format!("snp.{place}.shape.{kind}"), expected, judge(bytes));
        }
    }
    let key = |edit: fn(&mut Tlv)| amd.vek(|cert| edit(cert.at_mut(KEY).unwrap()));
    let no_key = "V::CertMalformed { which: Vek, what: \"its key is not on P-384\" }";
    // secp256r1, secp521r1, RSA; a point off the curve, at infinity, of a wrong length, with unused bits
    table.row("snp.vek.key.p256", no_key, key(|key| set(key, &[0, 1], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07])));
    table.row("snp.vek.key.p521", no_key, key(|key| set(key, &[0, 1], &[0x2b, 0x81, 0x04, 0x00, 0x23])));
    table.row("snp.vek.key.rsa", no_key, key(|key| set(key, &[0, 0], &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01])));
    table.row("snp.vek.key.off_curve", no_key, key(|key| key.at_mut(&[1]).unwrap().bytes_mut().unwrap()[96] ^= 1));
    table.row("snp.vek.key.infinity", no_key, key(|key| set(key, &[1], &[0, 0])));
    table.row("snp.vek.key.short", no_key, key(|key| key.at_mut(&[1]).unwrap().bytes_mut().unwrap().truncate(96)));
    table.row("snp.vek.key.other", "V::ReportSignature", {
        let other = Amd::new("genoa-2");
        let mut other = Tlv::parse(&other.endorsements.vek).unwrap();
        let wanted = other.at_mut(KEY).unwrap().clone();
        amd.vek(|cert| *cert.at_mut(KEY).unwrap() = wanted)
    });
    let no_rsa = "V::CertMalformed { which: Ask, what: \"its key is not RSA with 4,096 bits\" }";
    let other = |from: &[u8]| {
        let mut from = Tlv::parse(from).unwrap();
        let key = from.at_mut(KEY).unwrap().clone();
        amd.ask(|cert| *cert.at_mut(KEY).unwrap() = key)
    };
    table.row("snp.ask.key.p384", no_rsa, other(&amd.endorsements.vek));
    table.row("snp.ask.key.other", "V::CertSignature { which: Vek }", other(&Amd::of(profile("genoa-1"), |_| ()).roots.amd[1].1));
    table.row(
        "snp.ask.key.cut",
        no_rsa,
        amd.ask(|cert| cert.at_mut(KEY).unwrap().at_mut(&[1]).unwrap().bytes_mut().unwrap().truncate(400)),
    );
}

fn signatures(table: &mut Table, amd: &Amd) {
    let vek = Tlv::parse(&amd.endorsements.vek).unwrap();
    let ask = Tlv::parse(&amd.endorsements.ask).unwrap();
    let crl = Tlv::parse(&amd.endorsements.crl).unwrap();
    let judge = |place: &str, bytes: Vec<u8>| {
        let mut all = amd.endorsements.clone();
        match place {
            "vek" => all.vek = Blob::new(bytes).unwrap(),
            "ask" => all.ask = Blob::new(bytes).unwrap(),
            _ => all.crl = Blob::new(bytes).unwrap(),
        }
        amd.endorsed(all)
    };
    for (place, document, expected, malformed) in [
        ("vek", &vek, "V::CertSignature { which: Vek }", "V::CertMalformed { which: Vek"),
        ("ask", &ask, "V::CertSignature { which: Ask }", "V::CertMalformed { which: Ask"),
        ("crl", &crl, "V::CrlSignature", "V::CrlMalformed"),
    ] {
        let with = |edit: fn(&mut Vec<u8>)| {
            let mut document = document.clone();
            edit(document.at_mut(&[2]).unwrap().bytes_mut().unwrap());
            judge(place, document.encode())
        };
        let mut row = |kind: &str, expected: &str, got: String| table.row(format!("snp.{place}.signature.{kind}"), expected, got);
        row("flipped", expected, with(|bits| bits[100] ^= 1));
        row("zero", expected, with(|bits| bits.fill(0)));
        row("ones", expected, with(|bits| bits[1..].fill(0xff)));
        row("short", expected, with(|bits| bits.truncate(bits.len() - 1)));
        row("long", expected, with(|bits| bits.push(0)));
        row("empty", expected, with(|bits| bits.truncate(1)));
        row("unused_bits", malformed, with(|bits| bits[0] = 1));
        row("no_bits", malformed, with(Vec::clear));
        for (signer, by) in [("ark", Signer::Ark), ("ask", Signer::Ask), ("asvk", Signer::Asvk), ("stranger", Signer::ForeignArk)] {
            let right = if place == "vek" { Signer::Ask } else { Signer::Ark };
            if by != right {
                row(signer, expected, judge(place, signed_again(document, by)));
            }
        }
    }
    let algorithm = |cert: &mut Tlv, path: &[usize], bytes: &[u8]| {
        for place in [ALGORITHM, &[1]] {
            set(cert, &[place, path].concat(), bytes);
        }
    };
    // [2] salt length; hash; identifier of the scheme
    let salt: &[usize] = &[1, 2, 0];
    for (kind, path, bytes) in [
        ("salt_32", salt, [32u8].as_slice()),
        ("salt_0", salt, &[0]),
        ("sha256", &[1, 0, 0, 0], &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]),
        ("mgf_sha256", &[1, 1, 0, 1, 0], &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]),
        ("pkcs1", &[0], &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c]),
    ] {
        table.row(format!("snp.vek.algorithm.{kind}"), "V::CertAlgorithm { which: Vek }", amd.vek(|cert| algorithm(cert, path, bytes)));
        table.row(format!("snp.ask.algorithm.{kind}"), "V::CertAlgorithm { which: Ask }", amd.ask(|cert| algorithm(cert, path, bytes)));
        let list = amd.crl(|list| {
            set(list, &[&[0, 1], path].concat(), bytes);
            set(list, &[&[1], path].concat(), bytes);
        });
        table.row(format!("snp.crl.algorithm.{kind}"), "V::CrlMalformed", list);
    }
    table.row("snp.vek.algorithm.two", "V::CertMalformed { which: Vek, what: \"it names two signature algorithms\" }", {
        amd.vek(|cert| set(cert, &[1, 1, 2, 0], &[32]))
    });
}

fn revocation(table: &mut Table, amd: &Amd) {
    // version, algorithm, issuer, this update, next update, then revoked ones or extensions
    let entry = |serial: &[u8]| {
        let one = Tlv::parts(0x30, vec![Tlv::bytes(2, serial), Tlv::bytes(0x17, *b"261101000000Z")]);
        Tlv::parts(0x30, vec![one])
    };
    let naming = |serial: &[u8]| {
        let entry = entry(serial);
        amd.crl(|list| list.at_mut(&[0]).unwrap().list_mut().unwrap().insert(5, entry))
    };
    let serial_of = |der: &[u8]| Tlv::parse(der).unwrap().at_mut(SERIAL).unwrap().bytes_mut().unwrap().clone();
    table.row("snp.crl.names.ask", "V::CertRevoked { which: Ask }", naming(&serial_of(&amd.endorsements.ask)));
    table.row("snp.crl.names.ark", "V::CertRevoked { which: Ark }", naming(&serial_of(&amd.roots.amd[1].1)));
    let dated = |path: &[usize], time: &[u8]| amd.crl(|list| set(list, path, time));
    table.row("snp.crl.this_update.in_a_second", "V::CrlNotYet", dated(&[0, 3], b"261124120001Z"));
    table.row("snp.crl.next_update.a_second_ago", "R::RevocationUnknown { found: Stale", dated(&[0, 4], b"261124115959Z"));
    let never = amd.crl(|list| drop(list.at_mut(&[0]).unwrap().list_mut().unwrap().remove(4)));
    table.row("snp.crl.next_update.missing", "R::RevocationUnknown { found: Stale { number: … next_update_s: 0 } }", never);
    let extra = |critical: bool, oid: &[u8]| {
        let mut parts = vec![Tlv::bytes(6, oid)];
        if critical {
            parts.push(Tlv::bytes(1, [0xff]));
        }
        parts.push(Tlv::bytes(4, [0x30, 0]));
        let extra = Tlv::parts(0x30, parts);
        amd.crl(|list| list.at_mut(&[0, 5, 0]).unwrap().list_mut().unwrap().push(extra))
    };
    let partial = "V::CrlMalformed { what: \"it has a critical extension: it may not be the whole list\" }";
    table.row("snp.crl.critical.issuing_point", partial, extra(true, &[0x55, 0x1d, 0x1c]));
    table.row("snp.crl.critical.delta", partial, extra(true, &[0x55, 0x1d, 0x1b]));
    table.row(
        "snp.crl.issuer",
        "V::CrlIssuer",
        amd.crl(|list| {
            let name = list.at_mut(&[0, 2]).unwrap().list_mut().unwrap().last_mut().unwrap();
            set(name, &[0, 1], b"ARK-Milan");
        }),
    );
    let crl = |bytes: Vec<u8>| amd.endorsed(SnpEndorsements { crl: Blob::new(bytes).unwrap(), ..amd.endorsements.clone() });
    let honest = amd.endorsements.crl.to_vec();
    table.row("snp.crl.absent", "R::RevocationUnknown { found: Absent }", crl(Vec::new()));
    table.row("snp.crl.shape.zero", "V::CrlMalformed", crl(vec![0]));
    table.row("snp.crl.shape.empty_sequence", "V::CrlMalformed", crl(vec![0x30, 0]));
    table.row("snp.crl.shape.cut", "V::CrlMalformed", crl(honest[..honest.len() - 1].to_vec()));
    table.row("snp.crl.shape.trailing", "V::CrlMalformed", crl([honest.as_slice(), &[0]].concat()));
    table.row("snp.crl.shape.certificate", "V::CrlMalformed", crl(amd.endorsements.ask.to_vec()));
    let milan = Amd::new("milan-1").endorsements.crl.to_vec();
    table.row("snp.crl.other_product", "V::CrlIssuer", crl(milan));
}

fn surroundings(table: &mut Table, amd: &Amd, turin: &Amd) {
    let at = |now_s| amd.judge_at(amd.report.clone(), amd.endorsements.clone(), now_s);
    table.row("snp.time.zero", "V::CertNotYet { which: Ark", at(0));
    table.row("snp.time.last_week", "V::CrlNotYet", at(NOW_S - 7 * DAY_S));
    table.row("snp.time.in_40_days", "R::RevocationUnknown { found: Stale", at(NOW_S + 40 * DAY_S));
    table.row("snp.time.in_10_years", "V::CertExpired { which: Vek", at(NOW_S + 3_650 * DAY_S));
    table.row("snp.time.for_ever", "V::CertExpired { which: Ark", at(u64::MAX));
    let under = |roots: Anchors| Amd { roots, ..amd.clone() }.honest();
    table.row("snp.roots.none", "V::AnchorMissing { product: Genoa }", under(Anchors { amd: Vec::new(), ..amd.roots.clone() }));
    table.row("snp.roots.stranger", "V::CertSignature { which: Ask }", under(foreign_anchors()));
    table.row("snp.roots.vendor", "V::CertSignature { which: Ask }", under(Anchors::production()));
    let mut crossed = amd.roots.clone();
    crossed.amd[1].1 = crossed.amd[0].1.clone();
    table.row("snp.roots.other_product", "V::CertNamed { which: Ark, got: \"ARK-Milan\", expected: \"ARK-Genoa\" }", under(crossed));
    let mut garbled = amd.roots.clone();
    garbled.amd[1].1.pop();
    table.row("snp.roots.garbled", "V::CertMalformed { which: Ark", under(garbled));
    let swap = |vek: &[u8], ask: &[u8]| {
        amd.endorsed(SnpEndorsements { vek: Blob::new(vek).unwrap(), ask: Blob::new(ask).unwrap(), crl: amd.endorsements.crl.clone() })
    };
    let (own, other) = (&amd.endorsements, &turin.endorsements);
    table.row("snp.swap.vek_of_turin", "V::ProductMismatch { report: Genoa, certificate: Turin }", swap(&other.vek, &own.ask));
    table.row("snp.swap.ask_of_turin", "V::CertNamed { which: Ask, got: \"SEV-Turin\"", swap(&own.vek, &other.ask));
    table.row("snp.swap.ask_twice", "V::CertExtension { what: \"productName\" }", swap(&own.ask, &own.ask));
    table.row("snp.swap.vek_twice", "V::CertNamed { which: Ask, got: \"SEV-VCEK\"", swap(&own.vek, &own.vek));
    table.row("snp.swap.ark_for_ask", "V::CertNamed { which: Ask, got: \"ARK-Genoa\"", swap(&own.vek, &amd.roots.amd[1].1));
    let neighbour = Amd::new("genoa-2").endorsements;
    table.row("snp.swap.vek_of_neighbour", "V::ReportSignature", swap(&neighbour.vek, &own.ask));
    let older = SimTee::new(profile("genoa-1"), NOW_S).telling(&[Lie::SnpOldReported]);
    let Endorsements::Snp(older) = older.endorse() else { panic!("not AMD") };
    table.row("snp.swap.vek_of_older_firmware", "V::ReportSignature", swap(&older.vek, &own.ask));
}

/// A provider's key: its chain, and what it may not stand in for.
fn provider(table: &mut Table) {
    let mut lying = profile("genoa-1");
    lying.lies.push(Lie::SnpVlek);
    let vlek = Amd::of(lying.clone(), |_| ());
    table.row("snp.vlek.not_allowed", "R::VlekNotAccepted", vlek.honest());
    let allowed = Amd::of(lying, |policy| policy.snp.allow_vlek = true);
    assert_eq!(allowed.honest(), "accepted");
    table.row("snp.vlek.masked_chip", "R::ChipIdMasked", allowed.put(0x1a0, &[0; 64]));
    table.row("snp.vlek.other_chip", "R::ChipNotListed", allowed.flip(0x1a0, 1));
    table.row("snp.vlek.report_says_vcek", "V::SignerMismatch { report: Vcek, certificate: Vlek }", allowed.put(0x48, &[0]));
    let ask = Amd::new("genoa-1").endorsements.ask;
    let under_ask = allowed.endorsed(SnpEndorsements { ask, ..allowed.endorsements.clone() });
    table.row("snp.vlek.under_ask", "V::CertNamed { which: Ask, got: \"SEV-Genoa\", expected: \"SEV-VLEK-Genoa\" }", under_ask);
    let provider = |edit: &dyn Fn(&mut Tlv)| {
        let mut cert = Tlv::parse(&allowed.endorsements.vek).unwrap();
        edit(&mut cert);
        allowed.endorsed(SnpEndorsements { vek: Blob::new(signed_again(&cert, Signer::Asvk)).unwrap(), ..allowed.endorsements.clone() })
    };
    assert_eq!(provider(&|_| ()), "accepted");
    table.row(
        "snp.vlek.no_provider",
        "V::CertExtension { what: \"hwID or csp_id\" }",
        provider(&|cert| without_extension(cert, &amd_oid(&[5]))),
    );
    table.row("snp.vlek.named_vcek", "V::CertNamed { which: Vek, got: \"SEV-VCEK\", expected: \"SEV-VLEK\" }", {
        provider(&|cert| common_name(cert, SUBJECT, "SEV-VCEK"))
    });
    table.row("snp.vlek.ended", "V::CertExpired { which: Vek", provider(&|cert| set(cert, NOT_AFTER, b"261124115959Z")));
    table.row("snp.vlek.no_extensions", "V::CertExtension { what: \"productName\" }", {
        provider(&|cert| cert.at_mut(EXTENSIONS).unwrap().list_mut().unwrap().truncate(1))
    });
    for (what, tail) in [("blSPL", &[3, 1]), ("snpSPL", &[3, 3]), ("ucodeSPL", &[3, 8])] {
        let got = provider(&|cert| extension(cert, &amd_oid(tail), |bytes| *bytes = vec![2, 1, 1]));
        table.row(format!("snp.vlek.{what}.low"), "V::CertTcb", got);
    }
}
