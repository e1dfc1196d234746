//! The chains beside Intel's statements and lists, pieces of other machines, other roots and other times.
//!
//! Decides: which rule names each. The edits of a chain's text serve the quote's own chain too.
//! Trusts: the harness. Out of scope: what certificates, lists and statements say (`tdx_collateral.rs`).
//! Source: Intel PCS API documentation, issuer chains of its answers.

use crate::harness::{DAY_S, Intel, NOT_AFTER, NOT_BEFORE, NOW_S, Table, extension, profile, set};
use ringwall_attest::Anchors;
use ringwall_sim::forge::{QuoteParts, Signer, Tlv, ders_of, pem_of, signed_again};
use ringwall_sim::{QuoteShape, foreign_anchors};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::TdxEndorsements;

const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// An edit of a chain's text: its name, what must refuse it (`{what}` is the chain), the edit.
type TextEdit = (&'static str, &'static str, &'static dyn Fn(&str) -> String);

pub const TEXT_EDITS: &[TextEdit] = &[
    ("text.empty", "V::PemText { what: \"{what}\", line: 1 }", &|_| String::new()),
    ("text.before", "V::PemText { what: \"{what}\", line: 1 }", &|text| format!("Bag Attributes\n{text}")),
    ("text.space_before", "V::PemText { what: \"{what}\", line: 1 }", &|text| format!(" {text}")),
    ("text.after", "V::PemText { what: \"{what}\"", &|text| format!("{text}comment\n")),
    ("text.between", "V::PemText { what: \"{what}\"", &|text| text.replacen("-----\n-----BEGIN", "-----\n\n-----BEGIN", 1)),
    ("text.crlf", "V::PemText { what: \"{what}\", line: 1 }", &|text| text.replace('\n', "\r\n")),
    ("text.one_line", "V::PemText { what: \"{what}\"", &|text| text.replace('\n', "")),
    ("text.label", "V::PemText { what: \"{what}\", line: 1 }", &|text| text.replace("CERTIFICATE", "X509 CERTIFICATE")),
    ("text.no_end", "V::PemText { what: \"{what}\"", &|text| text.replace("-----END CERTIFICATE-----\n", "")),
    ("text.zeros_after", "V::PemText { what: \"{what}\"", &|text| format!("{text}\0\0")),
    ("text.other_key", "V::PemText { what: \"{what}\"", &|text| {
        format!("{text}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    }),
];

pub fn rows(table: &mut Table) {
    let intel = Intel::new(QuoteShape::V4);
    issuer_chains(table, &intel);
    surroundings(table, &intel);
}

fn issuer_chains(table: &mut Table, intel: &Intel) {
    type Chain = fn(&mut TdxEndorsements) -> &mut Blob<{ ringwall_wire::limits::PEM_CHAIN_BYTES }>;
    let chains: [(&str, &str, Chain); 3] = [
        ("crl", "the revocation list's issuer chain", |all| &mut all.pck_crl_issuer_chain),
        ("tcb_info", "the TCB info's issuer chain", |all| &mut all.tcb_info_issuer_chain),
        ("qe_identity", "the QE identity's issuer chain", |all| &mut all.qe_identity_issuer_chain),
    ];
    for (name, what, chain) in chains {
        let text = |edit: &dyn Fn(&str) -> String| {
            intel.endorsed(|all| {
                let chain = chain(all);
                *chain = Blob::new(edit(std::str::from_utf8(chain).unwrap()).into_bytes()).unwrap();
            })
        };
        for (kind, expected, edit) in TEXT_EDITS {
            // a chain of the collateral that is empty is not there
            let expected = if *kind == "text.empty" { "V::CollateralMissing" } else { expected };
            table.row(format!("tdx.{name}_chain.{kind}"), expected.replace("{what}", what), text(edit));
        }
        let ders = |edit: &dyn Fn(&mut Vec<Vec<u8>>)| {
            text(&|text| {
                let mut chain = ders_of(text.as_bytes());
                edit(&mut chain);
                pem_of(&chain)
            })
        };
        let mut row = |kind: &str, expected: &str, got: String| table.row(format!("tdx.{name}_chain.{kind}"), expected, got);
        let counted = |count: usize| format!("V::IntelChain {{ reason: \"{what}: {count} certificates, expected 2\"");
        row("issuer_alone", &counted(1), ders(&|chain| chain.truncate(1)));
        row("root_twice", &counted(3), ders(&|chain| chain.push(chain[1].clone())));
        let not_root = format!("V::IntelChain {{ reason: \"{what}: it does not end in the pinned root\"");
        row("reversed", &not_root, ders(&|chain| chain.reverse()));
        row("root_byte", &not_root, ders(&|chain| *chain[1].last_mut().unwrap() ^= 1));
        row("stranger", &not_root, ders(&|chain| chain[1] = foreign_anchors().intel_root));
        let issuer = if name == "crl" { "V::IntelChain … another issuer" } else { "V::Intel" };
        row("issuer_byte", issuer, ders(&|chain| *chain[0].last_mut().unwrap() ^= 1));
        row("root_for_issuer", issuer, ders(&|chain| chain[0] = chain[1].clone()));
        if name != "crl" {
            let signed = |by: Signer, edit: &dyn Fn(&mut Tlv)| {
                ders(&|chain| {
                    let mut cert = Tlv::parse(&chain[0]).unwrap();
                    edit(&mut cert);
                    chain[0] = signed_again(&cert, by);
                })
            };
            row("signer_ended", "V::IntelTime", signed(Signer::IntelRoot, &|cert| set(cert, NOT_AFTER, b"261124115959Z")));
            row("signer_not_yet", "V::IntelTime", signed(Signer::IntelRoot, &|cert| set(cert, NOT_BEFORE, b"261124120001Z")));
            row("signer_below_platform_authority", "V::Intel", signed(Signer::IntelPlatform, &|_| ()));
            row(
                "signer_is_ca",
                "V::Intel",
                signed(Signer::IntelRoot, &|cert| {
                    extension(cert, BASIC_CONSTRAINTS, |bytes| *bytes = vec![0x30, 3, 1, 1, 0xff]);
                }),
            );
            let platform = ders_of(&intel.endorsements.pck_crl_issuer_chain)[0].clone();
            row("platform_authority_for_signer", "V::Intel", ders(&|chain| chain[0] = platform.clone()));
        }
    }
}

fn surroundings(table: &mut Table, intel: &Intel) {
    let at = |now_s| intel.judge_at(intel.quote.clone(), intel.endorsements.clone(), now_s);
    for (kind, now_s) in [("zero", 0), ("400_days_ago", NOW_S - 400 * DAY_S), ("in_32_days", NOW_S + 32 * DAY_S), ("for_ever", u64::MAX)] {
        table.row(format!("tdx.time.{kind}"), "V::IntelTime", at(now_s));
    }
    let under = |roots: Anchors| Intel { roots, ..intel.clone() }.honest();
    table.row("tdx.roots.stranger", "V::IntelRoot", under(foreign_anchors()));
    table.row("tdx.roots.vendor", "V::IntelRoot", under(Anchors::production()));
    table.row("tdx.roots.empty", "V::IntelRoot", under(Anchors { intel_root: Vec::new(), ..intel.roots.clone() }));
    let other = Intel::of(profile("tdx-2"), |_| ());
    let mixed = |change: &dyn Fn(&mut QuoteParts, &QuoteParts)| {
        let other = QuoteParts::of(&other.quote).unwrap();
        intel.parts(|parts| change(parts, &other))
    };
    table.row("tdx.splice.body", "V::IntelSignature", mixed(&|parts, other| parts.body = other.body.clone()));
    table.row("tdx.splice.signature", "V::IntelSignature", mixed(&|parts, other| parts.signature = other.signature.clone()));
    table.row("tdx.splice.key", "V::IntelSignature … QE report hash mismatch", mixed(&|parts, other| parts.key = other.key.clone()));
    table.row("tdx.splice.enclave", "V::IntelSignature … qe_report", mixed(&|parts, other| parts.enclave = other.enclave.clone()));
    table.row("tdx.splice.chain", "V::IntelSignature … qe_report", mixed(&|parts, other| parts.chain = other.chain.clone()));
    table.row(
        "tdx.splice.whole_platform",
        "V::IntelSignature",
        mixed(&|parts, other| {
            parts.chain = other.chain.clone();
            parts.enclave = other.enclave.clone();
            parts.enclave_signature = other.enclave_signature.clone();
            parts.key = other.key.clone();
        }),
    );
    table.row("tdx.splice.other_machine", "R::PlatformNotListed", intel.judge_at(other.quote.clone(), other.endorsements.clone(), NOW_S));
}
