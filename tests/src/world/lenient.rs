//! Verifiers that leave one check out, for the proof of the harness.
//!
//! Decides: what evidence would have to say for a check that is not made to find nothing: the part nobody looks at is set right and signed
//! again with the simulated keys, which are public, and the real verifier judges all the rest. Whoever leaves a check out cannot tell what was
//! shown from this. `attest` itself has no such switch, and a verdict has one maker.
//! Trusts: nothing. Out of scope: who shows what (`hostile`, `impostor`). Protocol section 3.

use crate::world::flaws::{Flaw, Flaws};
use crate::world::site::Wanted;
use ringwall_attest::{Batch, batch, report_data};
use ringwall_sim::forge::QuoteParts;
use ringwall_sim::world::{CHIPS, build};
use ringwall_sim::{Platform, SimTee, TeeProfile};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::{Binding, Evidence};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::Digest;
use ringwall_wire::session::{AttestResp, SessionProof};

/// Where a part of the evidence stands: in AMD's report, and in the body of Intel's quote.
struct Part {
    snp: usize,
    tdx: Option<usize>,
}

const REPORT_DATA: Part = Part { snp: 0x50, tdx: Some(520) };
const MEASUREMENT: Part = Part { snp: 0x90, tdx: None };
const BOOT_CONFIG: Part = Part { snp: 0xc0, tdx: Some(184) };
const CHIP_ID: std::ops::Range<usize> = 0x1a0..0x1e0;

/// The flaws this file knows.
const KNOWN: [Flaw; 5] = [Flaw::NoSignature, Flaw::Unbound, Flaw::SelfReported, Flaw::AnyConfig, Flaw::NoDebugRule];

/// What `answer` looks like to a verifier with these flaws: nothing where it has none, else one answer for each chip it may be of.
pub(super) fn as_seen(flaws: &Flaws, answer: &AttestResp, wanted: &Wanted<'_>) -> Vec<AttestResp> {
    let Ok(boot) = BootConfig::decode(&answer.boot_config) else { return Vec::new() };
    if !KNOWN.iter().any(|flaw| flaws.has(*flaw)) {
        return Vec::new();
    }
    let tee = |chip: &&str| Some(SimTee::new(TeeProfile::new(Platform::of_chip(chip)?, *chip, build(), boot.clone()), 0));
    CHIPS.iter().filter_map(tee).filter_map(|tee| bent(flaws, answer, wanted, &boot, &tee)).collect()
}

/// What a quote is to a verifier that does not know its header: the first bytes stand where the body should begin. Nothing for a report, and for whoever
/// reads layouts as they are.
pub(super) fn misread(flaws: &Flaws, answer: &AttestResp) -> Option<AttestResp> {
    let Evidence::Tdx(shown) = answer.evidence.clone() else { return None };
    let mut quote = QuoteParts::of(&shown.quote).filter(|_| flaws.has(Flaw::NoQuoteHeader))?;
    let boot = BootConfig::decode(&answer.boot_config).ok()?;
    let machines =
        CHIPS.iter().filter_map(|chip| Some(SimTee::new(TeeProfile::new(Platform::of_chip(chip)?, *chip, build(), boot.clone()), 0)));
    // The machine that signed: the signature over the misplaced body is right, so that nothing but the layout is wrong.
    let own = |tee: &SimTee| match tee.mint(&[0; 64]) {
        Evidence::Tdx(other) => QuoteParts::of(&other.quote).is_some_and(|other| other.key == quote.key),
        Evidence::Snp(_) => false,
    };
    let tee = machines.into_iter().find(own)?;
    let length = quote.body.len();
    quote.body = [quote.header.as_slice(), &quote.body].concat();
    quote.body.truncate(length);
    tee.sign_quote_again(&mut quote);
    let mut seen = answer.clone();
    seen.evidence = Evidence::Tdx(ringwall_wire::evidence::TdxEvidence { quote: Blob::new(quote.assemble()).ok()?, ..shown });
    Some(seen)
}

fn bent(flaws: &Flaws, answer: &AttestResp, wanted: &Wanted<'_>, boot: &BootConfig, tee: &SimTee) -> Option<AttestResp> {
    let mut seen = answer.clone();
    let mut parts: Vec<(Part, Vec<u8>)> = Vec::new();
    if flaws.has(Flaw::Unbound) {
        let batch = Batch::new(vec![batch::leaf(wanted.handshake, wanted.nonce)]).ok()?;
        seen.proof = SessionProof::Batched(batch.path(0)?);
        let binding = Binding {
            cluster_id: answer.cluster_id,
            epoch: answer.epoch,
            role: wanted.role,
            incarnation: answer.incarnation,
            keys: answer.keys.clone(),
            boot_config: boot.host_data(),
            policy: Digest(answer.policy.digest()),
            batch_root: batch.root(),
        };
        parts.push((REPORT_DATA, report_data(&binding).to_vec()));
    }
    if flaws.has(Flaw::SelfReported) {
        parts.push((MEASUREMENT, build().snp_measurement().0.to_vec()));
    }
    let snp = matches!(answer.evidence, Evidence::Snp(_));
    if flaws.has(Flaw::AnyConfig) {
        parts.push((BOOT_CONFIG, if snp { boot.host_data().0.to_vec() } else { boot.mr_config_id().to_vec() }));
    }
    let debug = |byte: Option<&mut u8>, bit: u8| byte.into_iter().for_each(|byte| *byte &= !(bit * u8::from(flaws.has(Flaw::NoDebugRule))));
    match &mut seen.evidence {
        Evidence::Snp(shown) => {
            let mut report = shown.report.to_vec();
            if report.get(CHIP_ID)? != tee.profile().chip_id()?.0.as_slice() {
                return None;
            }
            parts.iter().for_each(|(part, bytes)| put(&mut report, part.snp, bytes));
            debug(report.get_mut(0x0a), 1 << 3);
            tee.sign_report_again(&mut report);
            shown.report = Blob::new(report).ok()?;
        }
        Evidence::Tdx(shown) => {
            let mut quote = QuoteParts::of(&shown.quote).filter(|_| tee.profile().chip_id().is_none())?;
            parts.iter().filter_map(|(part, bytes)| Some((part.tdx?, bytes))).for_each(|(at, bytes)| put(&mut quote.body, at, bytes));
            debug(quote.body.get_mut(120), 1);
            tee.sign_quote_again(&mut quote);
            shown.quote = Blob::new(quote.assemble()).ok()?;
        }
    }
    Some(seen)
}

fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = into.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
