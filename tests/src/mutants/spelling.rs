//! What one meaning may be spelled in several ways, so that a difference in it alone is no damage.
//!
//! Decides: the closed list. (1) An ECDSA signature `(r, s)` verifies as `(r, n - s)` too: that is the scheme, and neither AMD's nor Intel's
//! firmware keeps to the lower one. It stands in a report, twice in a quote, and beside each of Intel's statements. (2) The text of a chain
//! may end in a line feed more or less, or in a zero byte. Both have one consequence: no hash of raw evidence may be an identity.
//! (3) AMD's list may be left out, which a policy may refuse. Trusts: nothing. Out of scope: judging (`mod.rs`).

use super::Subject;
use ringwall_sim::forge::QuoteParts;
use ringwall_wire::evidence::{Endorsements, Evidence};

/// Offset of S in a report, little-endian.
const REPORT_S: usize = 0x2a0 + 72;
/// Half of the order of P-384, rounded down, big-endian.
const P384_HALF: [u8; 48] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xe3, 0xb1, 0xa6, 0xc0, 0xfa, 0x1b, 0x96, 0xef, 0xac, 0x0d, 0x06, 0xd9, 0x24, 0x58, 0x53, 0xbd, 0x76, 0x76, 0x0c, 0xb5,
    0x66, 0x62, 0x94, 0xb9,
];
/// Half of the order of P-256, rounded down, big-endian.
const P256_HALF: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b,
    0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// `order - number` for the odd order `2 * half + 1`, big-endian; none when the number is above the order.
fn negated(number: &[u8], half: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut borrow) = (Vec::new(), 0i16);
    let mut double = Vec::new();
    let mut carry = 1u16;
    for digit in half.iter().rev() {
        let sum = u16::from(*digit).wrapping_mul(2).wrapping_add(carry);
        double.push(sum.to_le_bytes()[0]);
        carry = sum >> 8;
    }
    for (from, digit) in double.iter().zip(number.iter().rev()) {
        let mut rest = i16::from(*from).wrapping_sub(i16::from(*digit)).wrapping_sub(borrow);
        borrow = i16::from(rest < 0);
        rest = rest.rem_euclid(256);
        out.push(u8::try_from(rest).unwrap_or(0));
    }
    out.reverse();
    (borrow == 0).then_some(out)
}

/// The lower of the two numbers that verify alike, in place.
fn lower(number: &mut [u8], half: &[u8]) {
    if let Some(other) = negated(number, half)
        && other.as_slice() < &*number
    {
        number.copy_from_slice(&other);
    }
}

/// The other of the two numbers that verify alike, in place.
pub(super) fn negate_raw(signature: &mut [u8]) {
    if let Some((_, s)) = signature.split_at_checked(32)
        && let Some(other) = negated(s, &P256_HALF)
    {
        signature.iter_mut().skip(32).zip(other).for_each(|(to, from)| *to = from);
    }
}

/// The same for the S of a report.
pub(super) fn negate_report(report: &mut [u8]) {
    if let Some(s) = report.get_mut(REPORT_S..REPORT_S + 48) {
        s.reverse();
        if let Some(other) = negated(s, &P384_HALF) {
            s.copy_from_slice(&other);
        }
        s.reverse();
    }
}

fn canonical_raw(signature: &mut [u8]) {
    if let Some((_, s)) = signature.split_at_mut_checked(32)
        && s.len() == 32
    {
        lower(s, &P256_HALF);
    }
}

fn without_end(text: &[u8]) -> Vec<u8> {
    let kept = text.iter().rposition(|byte| ![b'\n', 0].contains(byte)).map_or(0, |last| last.saturating_add(1));
    text.iter().take(kept).copied().collect()
}

/// The subject in its one spelling: subjects that differ in spelling alone become equal.
pub(super) fn canonical(subject: &Subject) -> Subject {
    let mut subject = subject.clone();
    match &mut subject.evidence {
        Evidence::Snp(evidence) => {
            let mut report = evidence.report.to_vec();
            if let Some(s) = report.get_mut(REPORT_S..REPORT_S + 48) {
                s.reverse();
                lower(s, &P384_HALF);
                s.reverse();
            }
            super::store(&mut evidence.report, report);
        }
        Evidence::Tdx(evidence) => {
            if let Some(mut parts) = QuoteParts::of(&evidence.quote) {
                canonical_raw(&mut parts.signature);
                canonical_raw(&mut parts.enclave_signature);
                parts.chain = without_end(&parts.chain);
                super::store(&mut evidence.quote, parts.assemble());
            }
        }
    }
    if let Endorsements::Tdx(all) = &mut subject.endorsements {
        for chain in [&mut all.pck_crl_issuer_chain, &mut all.tcb_info_issuer_chain, &mut all.qe_identity_issuer_chain] {
            let text = without_end(chain);
            super::store(chain, text);
        }
        for signature in [&mut all.tcb_info_signature, &mut all.qe_identity_signature] {
            let mut raw = signature.to_vec();
            canonical_raw(&mut raw);
            super::store(signature, raw);
        }
    }
    subject
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negating_twice_changes_nothing() {
        let number: Vec<u8> = (1..=32).collect();
        let other = negated(&number, &P256_HALF).unwrap();
        assert_ne!(other, number);
        assert_eq!(negated(&other, &P256_HALF), Some(number.clone()));
        assert_eq!(negated(&[0xff; 32], &P256_HALF), None);
        let (mut one, mut two) = (number, other);
        lower(&mut one, &P256_HALF);
        lower(&mut two, &P256_HALF);
        assert_eq!(one, two);
        assert_eq!(without_end(b"ab\n\n\0"), b"ab");
    }
}
