//! Mutants of genuine evidence that know its structure: fields, lengths, certificates, collateral, times, parts of other machines.
//!
//! Decides: what is bent and how, from a seed alone. Most mutants bend one thing, some two; a few are bent back by chance and stay genuine.
//! Trusts: nothing. Out of scope: judging them.

use super::Subject;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use ringwall_sim::published::{Kind, Offer};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements, TdxEndorsements};

/// A field: where it begins and how many bytes it has.
type Field = (usize, usize);

/// Every field of a report, reserved ones included. Source: AMD SEV-SNP ABI, ATTESTATION_REPORT.
const REPORT: &[Field] = &[
    (0x00, 4),    // VERSION
    (0x04, 4),    // GUEST_SVN
    (0x08, 8),    // POLICY
    (0x10, 16),   // FAMILY_ID
    (0x20, 16),   // IMAGE_ID
    (0x30, 4),    // VMPL
    (0x34, 4),    // SIGNATURE_ALGO
    (0x38, 8),    // CURRENT_TCB
    (0x40, 8),    // PLATFORM_INFO
    (0x48, 4),    // KEY_INFO
    (0x4c, 4),    // reserved
    (0x50, 64),   // REPORT_DATA
    (0x90, 48),   // MEASUREMENT
    (0xc0, 32),   // HOST_DATA
    (0xe0, 48),   // ID_KEY_DIGEST
    (0x110, 48),  // AUTHOR_KEY_DIGEST
    (0x140, 32),  // REPORT_ID
    (0x160, 32),  // REPORT_ID_MA
    (0x180, 8),   // REPORTED_TCB
    (0x188, 3),   // CPUID family, model, stepping
    (0x18b, 21),  // reserved
    (0x1a0, 64),  // CHIP_ID
    (0x1e0, 8),   // COMMITTED_TCB
    (0x1e8, 8),   // versions
    (0x1f0, 8),   // LAUNCH_TCB
    (0x1f8, 16),  // mitigation vectors
    (0x208, 152), // reserved
    (0x2a0, 48),  // R
    (0x2d0, 24),  // padding of R
    (0x2e8, 48),  // S
    (0x318, 24),  // padding of S
    (0x330, 368), // reserved, unsigned
];

/// Fields of a quote's header; the body follows.
const QUOTE_HEADER: &[Field] = &[(0, 2), (2, 2), (4, 4), (8, 2), (10, 2), (12, 16), (28, 20)];
/// Fields of a TD report, from its beginning. Source: Intel TDX DCAP quoting library API, "TD quote body".
const TD_REPORT: &[Field] =
    &[(0, 16), (16, 48), (64, 48), (112, 8), (120, 8), (128, 8), (136, 48), (184, 48), (232, 48), (280, 48), (328, 192), (520, 64)];
const TD_REPORT_BYTES: usize = 584;
const TD15_REPORT_BYTES: usize = 648;
/// From the end of the body: length, signature, key, type and length, QE report, its signature, length and data, type and length, chain.
const SIGNATURE_DATA: &[Field] =
    &[(0, 4), (4, 64), (68, 64), (132, 2), (134, 4), (138, 384), (522, 64), (586, 2), (588, 32), (620, 2), (622, 4)];
const CHAIN_AT: usize = 626;

/// The order of P-384's group, little-endian: what R and S must be below.
const P384_ORDER: [u8; 48] = [
    0x73, 0x29, 0xc5, 0xcc, 0x6a, 0x19, 0xec, 0xec, 0x7a, 0xa7, 0xb0, 0x48, 0xb2, 0x0d, 0x1a, 0x58, 0xdf, 0x2d, 0x37, 0xf4, 0x81, 0x4d,
    0x63, 0xc7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff,
];

/// `count` mutants of `bases`.
pub(crate) fn breed(bases: &[&Subject], seed: u64, count: usize) -> Vec<Subject> {
    let mut dice = Dice(ChaCha20Rng::seed_from_u64(seed));
    let mut mutants = Vec::with_capacity(count);
    for number in 0..count {
        let base = dice.of(bases);
        let mut offer = base.offer.clone();
        let mut how = Vec::new();
        for _ in 0..if dice.below(5) == 0 { 2 } else { 1 } {
            how.push(bend(&mut offer, base.kind, bases, &mut dice));
        }
        let name = format!("mutant {number} of {} ({})", base.name, how.join(", then "));
        mutants.push(Subject { name, kind: base.kind, offer });
    }
    mutants
}

/// Seeded choices.
struct Dice(ChaCha20Rng);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(bound).unwrap()).unwrap()
    }
    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
    fn byte(&mut self) -> u8 {
        self.0.next_u64().to_le_bytes()[0]
    }
}

fn bend(offer: &mut Offer, kind: Kind, bases: &[&Subject], dice: &mut Dice) -> String {
    if dice.below(16) == 0 {
        return another_time(offer, dice);
    }
    match kind {
        Kind::Snp => bend_snp(offer, bases, dice),
        _ => bend_tdx(offer, bases, dice),
    }
}

fn another_time(offer: &mut Offer, dice: &mut Dice) -> String {
    let day = 86_400;
    let days = dice.below(4_000) as u64;
    offer.now_s = match dice.below(4) {
        0 => 0,
        1 => offer.now_s.saturating_sub(days * day),
        2 => offer.now_s + days * day,
        _ => u64::from(u32::MAX) * 2,
    };
    format!("at {}", offer.now_s)
}

/// Bends one field of fixed length.
fn bend_field(bytes: &mut [u8], (at, len): Field, dice: &mut Dice) -> String {
    let Some(field) = bytes.get_mut(at..at + len) else { return format!("nothing at {at:#x}") };
    let how = match dice.below(6) {
        0 | 1 => {
            let bit = dice.below(field.len() * 8);
            field[bit / 8] ^= 1 << (bit % 8);
            "one bit"
        }
        2 => {
            field.fill(0);
            "zeros"
        }
        3 => {
            field.fill(0xff);
            "ones"
        }
        4 => {
            field[0] = field[0].wrapping_add(1);
            "one more"
        }
        _ => {
            field.iter_mut().for_each(|byte| *byte = dice.byte());
            "random"
        }
    };
    format!("{how} at {at:#x}")
}

/// Bends bytes of no fixed form: a bit, a byte more, a byte less, cut, doubled.
fn bend_bytes(bytes: &mut Vec<u8>, dice: &mut Dice) -> &'static str {
    if bytes.is_empty() {
        bytes.push(dice.byte());
        return "a byte out of nothing";
    }
    let at = dice.below(bytes.len());
    match dice.below(8) {
        0..=3 => {
            bytes[at] ^= 1 << dice.below(8);
            "one bit"
        }
        4 => {
            bytes.insert(at, dice.byte());
            "a byte more"
        }
        5 => {
            bytes.remove(at);
            "a byte less"
        }
        6 => {
            bytes.truncate(at);
            "cut"
        }
        _ => {
            let tail = bytes[at..].to_vec();
            bytes.extend_from_slice(&tail[..tail.len().min(64)]);
            "bytes after the end"
        }
    }
}

/// The same for a bounded container; what no longer fits leaves it as it was.
fn bend_blob<const MAX: usize>(blob: &mut Blob<MAX>, dice: &mut Dice) -> &'static str {
    let mut bytes = blob.to_vec();
    let how = bend_bytes(&mut bytes, dice);
    if let Ok(bent) = Blob::new(bytes) {
        *blob = bent;
    }
    how
}

fn snp_parts(offer: &mut Offer) -> (&mut Evidence, &mut SnpEndorsements) {
    let Endorsements::Snp(endorsements) = &mut offer.endorsements else { panic!("not AMD") };
    (&mut offer.evidence, endorsements)
}

fn bend_snp(offer: &mut Offer, bases: &[&Subject], dice: &mut Dice) -> String {
    let mut other = dice.of(bases).offer.clone();
    let (stranger, strange) = snp_parts(&mut other);
    let (stranger, strange) = (stranger.clone(), strange.clone());
    let (evidence, endorsements) = snp_parts(offer);
    match dice.below(16) {
        0 => {
            endorsements.vek = strange.vek;
            "another's signing certificate".to_owned()
        }
        1 => {
            endorsements.ask = strange.ask;
            "another's intermediate".to_owned()
        }
        2 => {
            *evidence = stranger;
            "another's report".to_owned()
        }
        3 => {
            offer.anchors = other.anchors;
            "another's root".to_owned()
        }
        4 => format!("signing certificate: {}", bend_blob(&mut endorsements.vek, dice)),
        5 => format!("intermediate: {}", bend_blob(&mut endorsements.ask, dice)),
        6 => format!("revocation list: {}", bend_blob(&mut endorsements.crl, dice)),
        choice => {
            let Evidence::Snp(evidence) = evidence else { panic!("not AMD") };
            let mut report = evidence.report.to_vec();
            let how = bend_report(&mut report, choice, dice);
            // one byte too many is the case of a case folder: the container holds no more than a report
            evidence.report = Blob::new(report).unwrap_or_else(|_| evidence.report.clone());
            how
        }
    }
}

fn bend_report(report: &mut Vec<u8>, choice: usize, dice: &mut Dice) -> String {
    match choice {
        7 => format!("report: {}", bend_bytes(report, dice)),
        8 => {
            // R or S at the edges of what is a signature
            let at = *dice.of(&[0x2a0, 0x2e8]);
            let mut scalar = P384_ORDER;
            match dice.below(4) {
                0 => scalar = [0; 48],
                1 => scalar = [0xff; 48],
                2 => scalar[0] -= 1,
                _ => {}
            }
            if let Some(field) = report.get_mut(at..at + 48) {
                field.copy_from_slice(&scalar);
            }
            format!("an edge of the group at {at:#x}")
        }
        9 => {
            // the twin every ECDSA signature has: (r, n - s)
            negate_s(report);
            "the signature's twin".to_owned()
        }
        10 => {
            // CPUs of other families, the one that panics another verifier among them
            let [family, model] =
                *dice.of(&[[0x1a, 0x50], [0x1a, 0x90], [0x1a, 0xc0], [0x19, 0x01], [0x19, 0x11], [0x1a, 0x02], [0x17, 0x31]]);
            if let Some(cpu) = report.get_mut(0x188..0x18a) {
                cpu.copy_from_slice(&[family, model]);
            }
            format!("a CPU of family {family:#x} model {model:#x}")
        }
        11 => {
            let version = *dice.of(&[0u8, 1, 2, 3, 4, 5, 6, 99]);
            report[0] = version;
            format!("version {version}")
        }
        _ => bend_field(report, *dice.of(REPORT), dice),
    }
}

fn negate_s(report: &mut [u8]) {
    let Some(field) = report.get_mut(0x2e8..0x2e8 + 48) else { return };
    let mut borrow = false;
    for (digit, order) in field.iter_mut().zip(P384_ORDER) {
        let (less, one) = order.overflowing_sub(*digit);
        let (less, two) = less.overflowing_sub(u8::from(borrow));
        (*digit, borrow) = (less, one || two);
    }
}

fn tdx_parts(offer: &mut Offer) -> (&mut Evidence, &mut TdxEndorsements) {
    let Endorsements::Tdx(endorsements) = &mut offer.endorsements else { panic!("not Intel") };
    (&mut offer.evidence, endorsements)
}

fn bend_tdx(offer: &mut Offer, bases: &[&Subject], dice: &mut Dice) -> String {
    let mut other = dice.of(bases).offer.clone();
    let (stranger, strange) = tdx_parts(&mut other);
    let (stranger, strange) = (stranger.clone(), strange.clone());
    let (evidence, endorsements) = tdx_parts(offer);
    match dice.below(16) {
        0 => {
            *evidence = stranger;
            "another's quote".to_owned()
        }
        1 => format!("root: {}", bend_bytes(&mut offer.anchors.intel_root, dice)),
        2 | 3 => swap_collateral(endorsements, strange, dice),
        4..=6 => bend_collateral(endorsements, dice),
        choice => {
            let Evidence::Tdx(evidence) = evidence else { panic!("not Intel") };
            let mut quote = evidence.quote.to_vec();
            let how = bend_quote(&mut quote, choice, dice);
            evidence.quote = Blob::new(quote).unwrap_or_else(|_| evidence.quote.clone());
            how
        }
    }
}

fn swap_collateral(mine: &mut TdxEndorsements, strange: TdxEndorsements, dice: &mut Dice) -> String {
    let what = match dice.below(7) {
        0 => {
            (mine.tcb_info, mine.tcb_info_signature) = (strange.tcb_info, strange.tcb_info_signature);
            "TCB info"
        }
        1 => {
            (mine.qe_identity, mine.qe_identity_signature) = (strange.qe_identity, strange.qe_identity_signature);
            "QE identity"
        }
        2 => {
            mine.pck_crl = strange.pck_crl;
            "PCK revocation list"
        }
        3 => {
            mine.root_ca_crl = strange.root_ca_crl;
            "root revocation list"
        }
        4 => {
            mine.tcb_info_signature = strange.tcb_info_signature;
            "signature of the TCB info"
        }
        5 => {
            mine.pck_crl.clone_from(&mine.root_ca_crl);
            return "the root's list in the place of the PCK list".to_owned();
        }
        _ => {
            mine.tcb_info_issuer_chain.clone_from(&mine.pck_crl_issuer_chain);
            return "the PCK chain in the place of the TCB info's".to_owned();
        }
    };
    format!("another's {what}")
}

fn bend_collateral(mine: &mut TdxEndorsements, dice: &mut Dice) -> String {
    let edits: [(&[u8], &[u8]); 4] =
        [(b"OutOfDate", b"UpToDate"), (b"\"version\":3", b"\"version\":2"), (b"TDX", b"SGX"), (b"\"tcbStatus\"", b"\"tcbstatus\"")];
    let (what, how) = match dice.below(10) {
        0 => ("TCB info", bend_blob(&mut mine.tcb_info, dice)),
        1 => ("signature of the TCB info", bend_blob(&mut mine.tcb_info_signature, dice)),
        2 => ("QE identity", bend_blob(&mut mine.qe_identity, dice)),
        3 => ("signature of the QE identity", bend_blob(&mut mine.qe_identity_signature, dice)),
        4 => ("PCK revocation list", bend_blob(&mut mine.pck_crl, dice)),
        5 => ("root revocation list", bend_blob(&mut mine.root_ca_crl, dice)),
        6 => ("chain of the TCB info", bend_blob(&mut mine.tcb_info_issuer_chain, dice)),
        7 => ("chain of the QE identity", bend_blob(&mut mine.qe_identity_issuer_chain, dice)),
        8 => ("chain of the PCK revocation list", bend_blob(&mut mine.pck_crl_issuer_chain, dice)),
        _ => {
            let (from, to) = *dice.of(&edits);
            let text = mine.tcb_info.to_vec();
            if let Some(at) = text.windows(from.len()).position(|window| window == from) {
                let edited = [&text[..at], to, &text[at + from.len()..]].concat();
                mine.tcb_info = Blob::new(edited).unwrap();
            }
            ("TCB info", "edited text")
        }
    };
    format!("{what}: {how}")
}

fn bend_quote(quote: &mut Vec<u8>, choice: usize, dice: &mut Dice) -> String {
    let (body_at, body_bytes) = if quote[0] == 5 { (54, TD15_REPORT_BYTES) } else { (48, TD_REPORT_BYTES) };
    let signature_at = body_at + body_bytes;
    let moved = |(at, len): Field, from: usize| (at + from, len);
    match choice {
        7 => bend_field(quote, *dice.of(QUOTE_HEADER), dice),
        8..=10 => bend_field(quote, moved(*dice.of(TD_REPORT), body_at), dice),
        11 | 12 => bend_field(quote, moved(*dice.of(SIGNATURE_DATA), signature_at), dice),
        13 => {
            let chain_at = signature_at + CHAIN_AT;
            let mut chain = quote.split_off(chain_at.min(quote.len()));
            let how = bend_bytes(&mut chain, dice);
            quote.extend_from_slice(&chain);
            format!("platform's chain: {how}")
        }
        14 => {
            let more = 1 + dice.below(64);
            quote.extend(std::iter::repeat_n(0, more));
            format!("{more} zeros after the end")
        }
        _ => format!("quote: {}", bend_bytes(quote, dice)),
    }
}
