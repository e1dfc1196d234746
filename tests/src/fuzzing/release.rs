//! The target of releases: verifier keys, notes, checkpoints, bundles, trusted roots, statements, whole proofs, published entries.
//!
//! Decides: what is read is written back the same where it has one form; a proof that counts says what the minted one says; nothing else of these
//! bytes verifies under the minted keys. Trusts: `ringwall_sim::release`. Out of scope: how inputs are found.

use ringwall_attest::release::{
    Bundle, Heard, LogError, Ran, Released, Rule, SignedNote, Signer, Statement, TrustedRoot, VerifierKey, log, verify_fork,
    verify_published, verify_release,
};
use ringwall_sim::release::{Publisher, statement_of};
use ringwall_sim::{SimTee, policy_for, world};
use ringwall_wire::codec::Message as _;
use ringwall_wire::policy::{Measurement, ReleaseSigners};
use ringwall_wire::release::{ForkProof, ReleaseProof};
use std::sync::LazyLock;

/// Unix seconds of the minted proof.
const NOW_S: u64 = 1_795_521_600;

/// A minted release and what it is judged by.
pub(super) struct Minted {
    build: Measurement,
    rule: ReleaseSigners,
    /// Exact bytes.
    pub(super) proof: Vec<u8>,
    honest: Released,
}

impl Minted {
    fn new() -> Self {
        let boot = ringwall_sim::strict::boot_config();
        let tee = SimTee::new(world::machine("genoa-1", boot).expect("a machine of the world"), NOW_S);
        let build = policy_for(&[&tee]).measurements.first().expect("a policy names a build").clone();
        let mut publisher = Publisher::default();
        let rule = publisher.rule();
        let proof = publisher.publish(&statement_of(&build), NOW_S).encode();
        let honest = judge(&proof, &rule, &build).expect("an honest proof counts");
        Minted { build, rule, proof, honest }
    }
}

pub(super) static RELEASE: LazyLock<Minted> = LazyLock::new(Minted::new);

fn judge(proof: &[u8], rule: &ReleaseSigners, build: &Measurement) -> Option<Released> {
    let ran = Ran::Snp(*build.snp.first()?);
    verify_release(proof, rule, build, &ran, NOW_S, None).ok()
}

/// The first byte says which; the rest is that.
pub(super) fn release(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let rule = || Rule::read(&RELEASE.rule).expect("a rule of our own");
    match which % 8 {
        0 => {
            let Ok(text) = core::str::from_utf8(bytes) else { return };
            drop(VerifierKey::parse(text));
            drop(Signer::parse(text));
        }
        1 => {
            let Ok(text) = core::str::from_utf8(bytes) else { return };
            let rule = rule();
            if let Ok(note) = SignedNote::parse(text) {
                assert!(text.starts_with(note.text()) && note.text().ends_with('\n'), "a note's text is its beginning");
            }
            if let Ok(checkpoint) = log::checkpoint(text, rule.log()) {
                assert_eq!(&checkpoint, RELEASE.honest.checkpoint(), "the minted log signed one checkpoint");
            }
            if let Ok(witnessed) = log::witnessed(text, rule.log(), rule.witnesses(), 1) {
                assert!(witnessed.times().is_sorted_by(|later, earlier| later >= earlier) && witnessed.since(1) == NOW_S);
            }
        }
        2 => {
            let Ok(bundle) = Bundle::parse(bytes) else { return };
            for signer in rule().signers() {
                let Some(key) = signer.key_der() else { continue };
                if bundle.verify_managed(key, None, NOW_S).is_ok() {
                    let statement = bundle.statement().and_then(|payload| Statement::parse(payload).ok());
                    assert_eq!(statement.as_ref(), Some(RELEASE.honest.statement()), "the minted keys signed one statement");
                }
            }
        }
        3 => drop(TrustedRoot::parse(bytes)),
        4 => {
            let Ok(statement) = Statement::parse(bytes) else { return };
            assert_eq!(Statement::parse(&statement.write()), Ok(statement), "what is read is written");
        }
        5 => {
            let Ok(fork) = ForkProof::decode(bytes) else { return };
            if let Err(LogError::Forked { .. } | LogError::Shrank { .. }) = verify_fork(&fork, &rule()) {
                assert_ne!(fork.older, fork.newer, "one head is one history");
            }
        }
        6 => {
            if let Ok(proof) = ReleaseProof::decode(bytes) {
                assert_eq!(proof.encode(), bytes, "one value, one encoding");
            }
            if let Some(released) = judge(bytes, &RELEASE.rule, &RELEASE.build) {
                let said = (released.statement(), released.checkpoint());
                assert_eq!(said, (RELEASE.honest.statement(), RELEASE.honest.checkpoint()), "another proof counts");
            }
            if let Ok(heard) = Heard::of(bytes, &RELEASE.rule) {
                assert_eq!((heard.checkpoint(), heard.revoked()), (RELEASE.honest.checkpoint(), 0), "the minted log signed one checkpoint");
            }
        }
        _ => {
            if let Ok(published) = verify_published(bytes, &RELEASE.rule) {
                assert_eq!(published.checkpoint(), RELEASE.honest.checkpoint(), "the minted log signed one checkpoint");
                assert!(published.entries().len() <= 2, "it has two entries");
            }
        }
    }
}
