//! Edits of AMD's evidence and endorsements, aware of fields, certificates and lists.
//!
//! Decides: where to edit a report or a chain. Trusts: nothing. Out of scope: how bytes are damaged (`blunt.rs`).
//! Source: SEV-SNP ABI, ATTESTATION_REPORT.

use super::blunt::{damage, der, field, flip, longer_length};
use super::{Dice, Subject};
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements};

/// Offset and length of every field of a report, signature numbers included.
const FIELDS: &[(usize, usize)] = &[
    (0x00, 4),
    (0x04, 4),
    (0x08, 8),
    (0x10, 16),
    (0x20, 16),
    (0x30, 4),
    (0x34, 4),
    (0x38, 8),
    (0x40, 8),
    (0x48, 4),
    (0x50, 64),
    (0x90, 48),
    (0xc0, 32),
    (0xe0, 48),
    (0x110, 48),
    (0x140, 32),
    (0x160, 32),
    (0x180, 8),
    (0x188, 3),
    (0x1a0, 64),
    (0x1e0, 8),
    (0x1e8, 4),
    (0x1ec, 4),
    (0x1f0, 8),
    (0x1f8, 8),
    (0x200, 8),
    (0x2a0, 48),
    (0x2e8, 48),
];

/// One edit of report or endorsements; says what it did.
pub(super) fn edit(dice: &mut Dice, subject: &mut Subject, other: &Subject) -> &'static str {
    let (Evidence::Snp(evidence), Endorsements::Snp(endorsements)) = (&mut subject.evidence, &mut subject.endorsements) else {
        return "none";
    };
    let (Evidence::Snp(foreign), Endorsements::Snp(stapled)) = (&other.evidence, &other.endorsements) else { return "none" };
    let mut report = evidence.report.to_vec();
    let told = match dice.below(16) {
        0..5 => {
            let (at, len) = *dice.pick(FIELDS).unwrap_or(&(0, 4));
            field(dice, &mut report, &foreign.report, at, len);
            "a field of the report"
        }
        5..7 => {
            let at = dice.below(report.len());
            flip(dice, &mut report, at);
            "a bit of the report"
        }
        7 => {
            damage(dice, &mut report, &foreign.report);
            "bytes of the report"
        }
        _ => endorsed(dice, endorsements, stapled),
    };
    super::store(&mut evidence.report, report);
    told
}

fn endorsed(dice: &mut Dice, all: &mut SnpEndorsements, other: &SnpEndorsements) -> &'static str {
    let mut parts = [all.vek.to_vec(), all.ask.to_vec(), all.crl.to_vec()];
    let foreign = [other.vek.to_vec(), other.ask.to_vec(), other.crl.to_vec()];
    let chosen = dice.below(parts.len());
    let told = match dice.below(8) {
        0..4 => {
            if let (Some(part), Some(foreign)) = (parts.get_mut(chosen), foreign.get(chosen)) {
                der(dice, part, foreign);
            }
            "a value of a certificate or list"
        }
        4 => {
            if let (Some(part), Some(foreign)) = (parts.get_mut(chosen), foreign.get(chosen)) {
                damage(dice, part, foreign);
            }
            "bytes of a certificate or list"
        }
        5 => {
            let with = dice.below(parts.len());
            parts.swap(chosen, with);
            "certificates or list exchanged"
        }
        6 => {
            let from = dice.below(foreign.len());
            if let (Some(part), Some(foreign)) = (parts.get_mut(chosen), foreign.get(from)) {
                part.clone_from(foreign);
            }
            "another machine's certificate or list"
        }
        _ => {
            if let Some(part) = parts.get_mut(chosen) {
                longer_length(part);
            }
            "a length in a longer form"
        }
    };
    let [vek, ask, crl] = parts;
    super::store(&mut all.vek, vek);
    super::store(&mut all.ask, ask);
    super::store(&mut all.crl, crl);
    told
}
