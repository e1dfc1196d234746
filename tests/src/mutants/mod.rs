//! Mutants of valid evidence: thousands of structured edits a second, none of which may be believed.
//!
//! Decides: the oracle. A mutant that verifies must say exactly what its original says, and may differ from it only in spelling
//! (`spelling.rs` has the closed list); anything else that verifies is a finding, and so is a panic. Each mutant replays from seed and number.
//! Trusts: the originals, which verify unchanged. Out of scope: evidence that is signed again after an edit (attest/tests/negative).
//! Protocol section 2.2; rows A6 and A10 of the attack register.

mod amd;
mod blunt;
mod dice;
mod intel;
pub mod originals;
mod spelling;
pub mod tally;

pub use dice::Dice;

use ringwall_attest::{Anchors, Claims, Revocation, VerifyError, verify};
use ringwall_sim::forge::QuoteParts;
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Most edits of one mutant.
const EDITS: usize = 4;
/// One in so many mutants is another spelling, so that the oracle's exceptions are seen to be the only ones.
const RESPELLED_ONE_IN: usize = 500;
/// Draws until a mutant differs from its original.
const DRAWS: usize = 16;

/// What is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Report or quote.
    pub evidence: Evidence,
    /// What stands beside it.
    pub endorsements: Endorsements,
}

/// Valid evidence, and what it says.
#[derive(Clone, Debug)]
pub struct Original {
    /// For people.
    pub name: String,
    /// What verifies.
    pub subject: Subject,
    /// Under these roots,
    pub roots: Anchors,
    /// at this time (Unix seconds),
    pub now_s: u64,
    /// saying this.
    pub claims: Claims,
}

/// One mutant.
#[derive(Clone, Debug)]
pub struct Mutant<'a> {
    /// What it was made from.
    pub original: &'a Original,
    /// What it became.
    pub subject: Subject,
    /// What was done to it.
    pub edits: Vec<&'static str>,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This variant of `VerifyError` refused it.
    Refused(String),
    /// It verifies, says the same, and differs in spelling alone.
    OtherSpelling,
    /// It must not have verified, or not without a panic; why.
    Finding(String),
}

/// Replaces a blob where the bytes fit; longer bytes could not travel, so the last that fit stay.
fn store<const MAX: usize>(blob: &mut Blob<MAX>, mut bytes: Vec<u8>) {
    bytes.truncate(MAX);
    if let Ok(fits) = Blob::new(bytes) {
        *blob = fits;
    }
}

fn same_vendor(one: &Original, other: &Original) -> bool {
    one.claims.vendor() == other.claims.vendor()
}

/// The mutant these choices make; none when they undo themselves again and again.
pub fn mutant<'a>(dice: &mut Dice, originals: &'a [Original]) -> Option<Mutant<'a>> {
    let original = dice.pick(originals)?;
    for _ in 0..DRAWS {
        let mut made = Mutant { original, subject: original.subject.clone(), edits: Vec::new() };
        if dice.one_in(RESPELLED_ONE_IN) {
            respell(dice, &mut made);
        } else {
            for _ in 0..=dice.below(EDITS) {
                let others: Vec<&Original> = originals.iter().filter(|other| same_vendor(original, other)).collect();
                let other = dice.pick(&others)?;
                made.edits.push(match original.subject.evidence {
                    Evidence::Snp(_) => amd::edit(dice, &mut made.subject, &other.subject),
                    Evidence::Tdx(_) => intel::edit(dice, &mut made.subject, &other.subject),
                });
            }
        }
        // another original's evidence is genuine: its own claims would be right for it
        let genuine = |other: &Original| other.subject.evidence == made.subject.evidence && other.name != original.name;
        if made.subject != original.subject && !originals.iter().any(genuine) {
            return Some(made);
        }
    }
    None
}

/// Writes the same in another spelling.
fn respell(dice: &mut Dice, made: &mut Mutant<'_>) {
    made.edits.push("another spelling");
    match (&mut made.subject.evidence, &mut made.subject.endorsements) {
        (Evidence::Snp(evidence), Endorsements::Snp(endorsements)) => match dice.below(2) {
            0 => endorsements.crl = Blob::default(),
            _ => {
                let mut report = evidence.report.to_vec();
                spelling::negate_report(&mut report);
                store(&mut evidence.report, report);
            }
        },
        (Evidence::Tdx(evidence), Endorsements::Tdx(endorsements)) => {
            let Some(mut parts) = QuoteParts::of(&evidence.quote) else { return };
            match dice.below(5) {
                0 => spelling::negate_raw(&mut parts.signature),
                1 => spelling::negate_raw(&mut parts.enclave_signature),
                2 => drop(parts.chain.pop()),
                3 => {
                    let mut raw = endorsements.tcb_info_signature.to_vec();
                    spelling::negate_raw(&mut raw);
                    store(&mut endorsements.tcb_info_signature, raw);
                }
                _ => {
                    let mut text = endorsements.pck_crl_issuer_chain.to_vec();
                    text.push(0);
                    store(&mut endorsements.pck_crl_issuer_chain, text);
                }
            }
            store(&mut evidence.quote, parts.assemble());
        }
        _ => {}
    }
}

/// Name of the variant that refused.
pub fn variant(error: &VerifyError) -> String {
    let words = format!("{error:?}");
    words.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// What the original's claims become when the list is left out.
fn without_list(claims: &Claims) -> Claims {
    match claims.clone() {
        Claims::Snp(mut claims) => {
            claims.revocation = Revocation::Absent;
            Claims::Snp(claims)
        }
        other => other,
    }
}

/// Judges a mutant.
pub fn judge(mutant: &Mutant<'_>) -> Verdict {
    let original = mutant.original;
    let verified =
        catch_unwind(AssertUnwindSafe(|| verify(&mutant.subject.evidence, &mutant.subject.endorsements, &original.roots, original.now_s)));
    let claims = match verified {
        Err(_) => return Verdict::Finding("it panicked".to_owned()),
        Ok(Err(error)) => return Verdict::Refused(variant(&error)),
        Ok(Ok(verified)) => verified.claims().clone(),
    };
    let (mut told, mut wanted) = (spelling::canonical(&mutant.subject), spelling::canonical(&original.subject));
    let mut said = original.claims.clone();
    if let (Endorsements::Snp(told), Endorsements::Snp(wanted)) = (&mut told.endorsements, &mut wanted.endorsements)
        && told.crl.is_empty()
    {
        wanted.crl = Blob::default();
        said = without_list(&said);
    }
    match (claims == said, told == wanted) {
        (true, true) => Verdict::OtherSpelling,
        (true, false) => Verdict::Finding("it verifies although bytes differ that nobody may change".to_owned()),
        (false, _) => Verdict::Finding(format!("it verifies and says something else: {claims:?}")),
    }
}
