//! How long one piece of evidence takes: verifying and appraising here, verifying alone in `sev` and `dcap-qvl`, the same bytes in one run.
//!
//! Decides: contenders take turns (A B A B), medians count, ratios are what is claimed. "cold" forgets every signature seen before, as in the
//! first session of a process; "warm" is every later session with the same vendor chain. Memory is the most heap one verification held.
//! Trusts: minted evidence to cost what real evidence costs (same formats, same key sizes). Out of scope: verdicts (the suites).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line")]

use clap::Parser;
use peak_alloc::PeakAlloc;
use ringwall_attest::{Anchors, Expected, appraise, forget_signatures, report_data, verify};
use ringwall_sim::{SimTee, anchors, policy_for, world};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Endorsements, Evidence, Role};
use ringwall_wire::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, SigPublic, Slot};
use ringwall_wire::policy::PolicyDoc;
use serde::Serialize;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// 2026-11-24 12:00:00 UTC.
const NOW_S: u64 = 1_795_521_600;

/// Measures verification and appraisal of evidence beside other verifiers.
#[derive(Debug, Parser)]
#[command(name = "cargo bench-evidence")]
struct Arguments {
    /// Verifications in one turn.
    #[arg(long, default_value_t = 50)]
    turn: u32,
    /// Turns of each contender; the median counts.
    #[arg(long, default_value_t = 9)]
    turns: usize,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    evidence: String,
    contender: &'static str,
    microseconds: f64,
    /// Slowest turn over fastest.
    spread: f64,
    peak_heap_bytes: usize,
    /// Time over that of the other verifier; below 1 is faster.
    time_ratio: Option<f64>,
    heap_ratio: Option<f64>,
}

/// One verification; fails with words when the evidence is refused.
type Work<'a> = Box<dyn Fn() -> Result<(), String> + 'a>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut rows = Vec::new();
    for chip in ["genoa-1", "turin-1", "tdx-1"] {
        match measure(chip, &arguments) {
            Ok(measured) => rows.extend(measured),
            Err(why) => {
                eprintln!("cargo bench-evidence: {chip}: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&rows).unwrap_or_default()),
        false => print_table(&rows),
    }
    ExitCode::SUCCESS
}

/// Evidence with everything needed to judge it.
struct Subject {
    evidence: Evidence,
    endorsements: Endorsements,
    anchors: Anchors,
    policy: PolicyDoc,
    binding: Binding,
    tee: SimTee,
}

impl Subject {
    fn new(chip: &str) -> Option<Self> {
        let tee = SimTee::new(world::machine(chip, world::joining_config(ClusterId([7; 32]), Slot(1)))?, NOW_S);
        let policy = policy_for(&[&tee]);
        let binding = Binding {
            cluster_id: ClusterId([7; 32]),
            epoch: Epoch(1),
            role: Role::PeerResp,
            incarnation: Incarnation(3),
            keys: BootKeys { noise: NoisePublic([1; 32]), sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) },
            boot_config: tee.profile().boot_config.host_data(),
            policy: Digest(policy.digest()),
            batch_root: Digest([4; 32]),
        };
        Some(Subject { evidence: tee.mint(&report_data(&binding)), endorsements: tee.endorse(), anchors: anchors(), policy, binding, tee })
    }

    fn ours(&self) -> Result<(), String> {
        let verified = verify(&self.evidence, &self.endorsements, &self.anchors, NOW_S).map_err(|error| error.to_string())?;
        let expected = Expected {
            binding: &self.binding,
            boot_config: &self.tee.profile().boot_config,
            release_proof: &[],
            now_s: 0,
            last_head: None,
        };
        appraise(verified, &self.policy, &expected).map(|_| ()).map_err(|rejection| rejection.to_string())
    }
}

fn measure(chip: &str, arguments: &Arguments) -> Result<Vec<Row>, String> {
    let subject = Subject::new(chip).ok_or("no such machine")?;
    let (name, peer) = peer(&subject)?;
    let contenders: [(&'static str, Work<'_>); 3] = [
        (
            "ringwall, cold",
            Box::new(|| {
                forget_signatures();
                subject.ours()
            }),
        ),
        ("ringwall, warm", Box::new(|| subject.ours())),
        (name, peer),
    ];
    let mut turns = [const { Vec::new() }; 3];
    let mut heap = [0; 3];
    for turn in 0..arguments.turns.max(1) {
        for (at, (_, work)) in contenders.iter().enumerate() {
            work()?;
            let before = HEAP.current_usage();
            HEAP.reset_peak_usage();
            work()?;
            heap[at] = HEAP.peak_usage().saturating_sub(before);
            let started = Instant::now();
            for _ in 0..arguments.turn.max(1) {
                work()?;
            }
            turns[at].push(started.elapsed().as_secs_f64() * 1e6 / f64::from(arguments.turn.max(1)));
        }
        if std::io::stderr().is_terminal() {
            eprintln!("{chip}: turn {} of {}", turn + 1, arguments.turns.max(1));
        }
    }
    for times in &mut turns {
        times.sort_by(f64::total_cmp);
    }
    let middle = |at: usize| turns[at][turns[at].len() / 2];
    let row = |(at, (contender, _)): (usize, &(&'static str, Work<'_>))| Row {
        evidence: chip.trim_end_matches("-1").to_owned(),
        contender,
        microseconds: middle(at),
        spread: turns[at][turns[at].len() - 1] / turns[at][0],
        peak_heap_bytes: heap[at],
        time_ratio: (at < 2).then(|| middle(at) / middle(2)),
        heap_ratio: (at < 2).then(|| heap[at] as f64 / heap[2] as f64),
    };
    Ok(contenders.iter().enumerate().map(row).collect())
}

/// The other verifier of the same bytes: signatures and chain only, it has no policy of ours to judge by.
fn peer(subject: &Subject) -> Result<(&'static str, Work<'_>), String> {
    match (&subject.evidence, &subject.endorsements) {
        (Evidence::Snp(evidence), Endorsements::Snp(endorsements)) => {
            let report: [u8; 1184] = evidence.report.to_vec().try_into().map_err(|_| "not a report")?;
            let arks = subject.anchors.amd.iter().map(|(_, der)| der.clone()).collect::<Vec<_>>();
            let (ask, vek) = (endorsements.ask.to_vec(), endorsements.vek.to_vec());
            let ark = arks.into_iter().find(|ark| sev_verify(ark, &ask, &vek, &report).is_ok()).ok_or("sev refuses the evidence")?;
            Ok(("sev 8.0.0", Box::new(move || sev_verify(&ark, &ask, &vek, &report))))
        }
        (Evidence::Tdx(evidence), Endorsements::Tdx(endorsements)) => {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string());
            let collateral = dcap_qvl::QuoteCollateralV3 {
                pck_crl_issuer_chain: text(&endorsements.pck_crl_issuer_chain)?,
                root_ca_crl: endorsements.root_ca_crl.to_vec(),
                pck_crl: endorsements.pck_crl.to_vec(),
                tcb_info_issuer_chain: text(&endorsements.tcb_info_issuer_chain)?,
                tcb_info: text(&endorsements.tcb_info)?,
                tcb_info_signature: endorsements.tcb_info_signature.to_vec(),
                qe_identity_issuer_chain: text(&endorsements.qe_identity_issuer_chain)?,
                qe_identity: text(&endorsements.qe_identity)?,
                qe_identity_signature: endorsements.qe_identity_signature.to_vec(),
                pck_certificate_chain: None,
            };
            let root = subject.anchors.intel_root.clone();
            let quote = evidence.quote.to_vec();
            Ok((
                "dcap-qvl 0.7.1 (RustCrypto)",
                Box::new(move || {
                    type Verifier = dcap_qvl::verify::QuoteVerifier<dcap_qvl::configs::RustCryptoConfig>;
                    let policy = dcap_qvl::QuotePolicy::claims_only(NOW_S);
                    let verified = Verifier::new_with_config(root.clone()).verify_with_policy(&quote, collateral.clone(), NOW_S, &policy);
                    verified.map(|_| ()).map_err(|error| format!("{error:#}"))
                }),
            ))
        }
        _ => Err("evidence of one vendor, endorsements of the other".to_owned()),
    }
}

fn sev_verify(ark: &[u8], ask: &[u8], vek: &[u8], report: &[u8; 1184]) -> Result<(), String> {
    use sev::certs::snp::{Certificate, Chain, Verifiable as _, ca};
    use sev::parser::ByteParser as _;
    let read = |der: &[u8]| Certificate::from_der(der).map_err(|error| error.to_string());
    let chain = Chain { ca: ca::Chain { ark: read(ark)?, ask: read(ask)? }, vek: read(vek)? };
    let report = sev::firmware::guest::AttestationReport::from_bytes(report).map_err(|error| error.to_string())?;
    (&chain, &report).verify().map(|_| ()).map_err(|error| error.to_string())
}

fn print_table(rows: &[Row]) {
    println!("{:<10} {:<28} {:>10} {:>7} {:>12} {:>10} {:>10}", "evidence", "verifier", "µs", "spread", "peak heap B", "time x", "heap x");
    let ratio = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    for row in rows {
        println!(
            "{:<10} {:<28} {:>10.0} {:>7.2} {:>12} {:>10} {:>10}",
            row.evidence,
            row.contender,
            row.microseconds,
            row.spread,
            row.peak_heap_bytes,
            ratio(row.time_ratio),
            ratio(row.heap_ratio)
        );
    }
}
