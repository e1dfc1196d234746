//! Edits of Intel's evidence and endorsements, aware of the quote's parts, chains, lists and signed statements.
//!
//! Decides: where to edit a quote or its collateral. Trusts: nothing. Out of scope: how bytes are damaged (`blunt.rs`).
//! Source: Intel TDX DCAP quoting library API, "TD quote format".

use super::blunt::{damage, der, field, flip, longer_length};
use super::{Dice, Subject};
use ringwall_sim::forge::{QuoteParts, ders_of, pem_of};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, TdxEndorsements};

/// Offset and length of every field of a TD's report.
const BODY_FIELDS: &[(usize, usize)] = &[
    (0, 16),
    (16, 48),
    (64, 48),
    (112, 8),
    (120, 8),
    (128, 8),
    (136, 48),
    (184, 48),
    (232, 48),
    (280, 48),
    (328, 48),
    (376, 48),
    (424, 48),
    (472, 48),
    (520, 64),
    (584, 16),
    (600, 48),
    (648, 1),
    (681, 48),
    (729, 56),
    (829, 56),
];
const HEADER_FIELDS: &[(usize, usize)] = &[(0, 2), (2, 2), (4, 4), (8, 2), (10, 2), (12, 16), (28, 20)];
const ENCLAVE_FIELDS: &[(usize, usize)] =
    &[(0, 16), (16, 4), (20, 28), (48, 16), (64, 32), (96, 32), (128, 32), (160, 96), (256, 2), (258, 2), (320, 64)];

/// One edit of quote or endorsements; says what it did.
pub(super) fn edit(dice: &mut Dice, subject: &mut Subject, other: &Subject) -> &'static str {
    let (Evidence::Tdx(evidence), Endorsements::Tdx(endorsements)) = (&mut subject.evidence, &mut subject.endorsements) else {
        return "none";
    };
    let (Evidence::Tdx(foreign), Endorsements::Tdx(stapled)) = (&other.evidence, &other.endorsements) else { return "none" };
    if dice.one_in(2) {
        return endorsed(dice, endorsements, stapled);
    }
    let mut quote = evidence.quote.to_vec();
    let told = match (QuoteParts::of(&quote), QuoteParts::of(&foreign.quote), dice.below(8)) {
        (Some(parts), _, 0) => {
            let offset = parts.length_offsets().get(dice.below(4)).copied().unwrap_or(0);
            field(dice, &mut quote, &foreign.quote, offset, 4);
            "a length of the quote"
        }
        (Some(mut parts), Some(foreign), 1..7) => {
            let told = part(dice, &mut parts, &foreign);
            quote = parts.assemble();
            told
        }
        (_, _, 7) => {
            let at = dice.below(quote.len());
            flip(dice, &mut quote, at);
            "a bit of the quote"
        }
        _ => {
            damage(dice, &mut quote, &foreign.quote);
            "bytes of the quote"
        }
    };
    super::store(&mut evidence.quote, quote);
    told
}

fn part(dice: &mut Dice, parts: &mut QuoteParts, other: &QuoteParts) -> &'static str {
    match dice.below(14) {
        0..3 => {
            let (at, len) = *dice.pick(BODY_FIELDS).unwrap_or(&(0, 16));
            field(dice, &mut parts.body, &other.body, at, len);
            "a field of the body"
        }
        3 => {
            let (at, len) = *dice.pick(HEADER_FIELDS).unwrap_or(&(0, 2));
            field(dice, &mut parts.header, &other.header, at, len);
            "a field of the header"
        }
        4 | 5 => {
            let (at, len) = *dice.pick(ENCLAVE_FIELDS).unwrap_or(&(0, 16));
            field(dice, &mut parts.enclave, &other.enclave, at, len);
            "a field of the enclave's report"
        }
        6 => {
            let (what, foreign) = match dice.below(6) {
                0 => (&mut parts.body, &other.body),
                1 => (&mut parts.signature, &other.signature),
                2 => (&mut parts.key, &other.key),
                3 => (&mut parts.enclave, &other.enclave),
                4 => (&mut parts.enclave_signature, &other.enclave_signature),
                _ => (&mut parts.authentication, &other.authentication),
            };
            what.clone_from(foreign);
            "a part of another quote"
        }
        7 | 8 => {
            let (what, foreign) = match dice.below(4) {
                0 => (&mut parts.signature, &other.signature),
                1 => (&mut parts.key, &other.key),
                2 => (&mut parts.enclave_signature, &other.enclave_signature),
                _ => (&mut parts.authentication, &other.authentication),
            };
            let half = dice.below(2).saturating_mul(32);
            field(dice, what, foreign, half, 32);
            "a number of a signature or key"
        }
        9 => {
            let kind = u16::from(dice.byte());
            match dice.below(3) {
                0 => parts.outer_type = kind,
                1 => parts.inner_type = kind,
                _ => parts.body_kind = parts.body_kind.map(|(_, length)| (kind, length)),
            }
            "a type of the quote"
        }
        10 => {
            damage(dice, &mut parts.authentication, &other.authentication);
            "authentication data"
        }
        _ => {
            chain(dice, &mut parts.chain, &other.chain);
            "the quote's chain"
        }
    }
}

/// Edits a chain: its text, its order, or a value of one of its certificates.
fn chain(dice: &mut Dice, text: &mut Vec<u8>, other: &[u8]) {
    let (mut ders, foreign) = (ders_of(text), ders_of(other));
    let chosen = dice.below(ders.len());
    match dice.below(8) {
        0 | 1 => {
            damage(dice, text, other);
            return;
        }
        2 => {
            let at = dice.below(text.len().saturating_add(1));
            let inserted = *dice.pick(&[b'\n', b' ', b'\r', b'=', 0, b'-', b'A']).unwrap_or(&b'\n');
            text.insert(at, inserted);
            return;
        }
        3 => {
            let with = dice.below(ders.len());
            if with < ders.len() && chosen < ders.len() {
                ders.swap(chosen, with);
            }
        }
        4 => {
            let from = dice.below(foreign.len());
            if let (Some(der), Some(foreign)) = (ders.get_mut(chosen), foreign.get(from)) {
                der.clone_from(foreign);
            }
        }
        5 => {
            if let Some(der) = ders.get_mut(chosen) {
                longer_length(der);
            }
        }
        _ => {
            if let Some(value) = ders.get_mut(chosen) {
                der(dice, value, foreign.get(chosen).map_or(&[], Vec::as_slice));
            }
        }
    }
    *text = pem_of(&ders).into_bytes();
}

fn endorsed(dice: &mut Dice, all: &mut TdxEndorsements, other: &TdxEndorsements) -> &'static str {
    match dice.below(12) {
        0..4 => {
            let (text, foreign) = match dice.below(3) {
                0 => (&mut all.pck_crl_issuer_chain, &other.pck_crl_issuer_chain),
                1 => (&mut all.tcb_info_issuer_chain, &other.tcb_info_issuer_chain),
                _ => (&mut all.qe_identity_issuer_chain, &other.qe_identity_issuer_chain),
            };
            stored(text, |text| chain(dice, text, foreign));
            "an issuer chain"
        }
        4 | 5 => {
            let (list, foreign) = match dice.below(2) {
                0 => (&mut all.pck_crl, &other.pck_crl),
                _ => (&mut all.root_ca_crl, &other.root_ca_crl),
            };
            stored(list, |list| match dice.below(4) {
                0 => damage(dice, list, foreign),
                1 => longer_length(list),
                _ => der(dice, list, foreign),
            });
            "a revocation list"
        }
        6..9 => {
            let (text, foreign) = match dice.below(2) {
                0 => (&mut all.tcb_info, &other.tcb_info),
                _ => (&mut all.qe_identity, &other.qe_identity),
            };
            stored(text, |text| statement(dice, text, foreign));
            "a signed statement"
        }
        9 | 10 => {
            let (signature, foreign) = match dice.below(2) {
                0 => (&mut all.tcb_info_signature, &other.tcb_info_signature),
                _ => (&mut all.qe_identity_signature, &other.qe_identity_signature),
            };
            stored(signature, |signature| damage(dice, signature, foreign));
            "a statement's signature"
        }
        _ => {
            match dice.below(5) {
                0 => std::mem::swap(&mut all.pck_crl, &mut all.root_ca_crl),
                1 => std::mem::swap(&mut all.tcb_info, &mut all.qe_identity),
                2 => std::mem::swap(&mut all.tcb_info_signature, &mut all.qe_identity_signature),
                3 => std::mem::swap(&mut all.pck_crl_issuer_chain, &mut all.tcb_info_issuer_chain),
                _ => std::mem::swap(&mut all.pck_crl_issuer_chain, &mut all.qe_identity_issuer_chain),
            }
            "two endorsements exchanged"
        }
    }
}

fn stored<const MAX: usize>(blob: &mut Blob<MAX>, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = blob.to_vec();
    edit(&mut bytes);
    super::store(blob, bytes);
}

/// Edits JSON as a forger would: another status, another number, members moved, space added.
fn statement(dice: &mut Dice, text: &mut Vec<u8>, other: &[u8]) {
    let Ok(mut json) = String::from_utf8(text.clone()) else { return damage(dice, text, other) };
    match dice.below(6) {
        0 => json = json.replacen("\"OutOfDate\"", "\"UpToDate\"", 1usize.saturating_add(dice.below(3))),
        1 => {
            let mut members: Vec<&str> = json.split(',').collect();
            let (one, two) = (dice.below(members.len()), dice.below(members.len()));
            members.swap(one, two);
            json = members.join(",");
        }
        2 => {
            let members: Vec<&str> = json.split(',').collect();
            let out = dice.below(members.len());
            let kept = members.iter().enumerate().filter(|(at, _)| *at != out).map(|(_, member)| *member);
            json = kept.collect::<Vec<_>>().join(",");
        }
        3 => {
            let places: Vec<usize> = json.match_indices([',', ':', '{', '[']).map(|(at, _)| at.saturating_add(1)).collect();
            if let Some(at) = dice.pick(&places) {
                json.insert(*at, *dice.pick(&[' ', '\n', '\t']).unwrap_or(&' '));
            }
        }
        4 => {
            let digits: Vec<usize> = json.match_indices(|letter: char| letter.is_ascii_digit()).map(|(at, _)| at).collect();
            if let Some(at) = dice.pick(&digits) {
                json.replace_range(*at..at.saturating_add(1), &dice.below(10).to_string());
            }
        }
        _ => return damage(dice, text, other),
    }
    *text = json.into_bytes();
}
