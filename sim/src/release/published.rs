//! A publisher: two signers, a log, three witnesses, and the proof of a release that they give together.
//!
//! Decides: what an honest proof of release has, for a policy of this module's making. Trusts: its caller.
//! Out of scope: damaging it (tests do). Protocol section 8, "Releases".

use super::{ManagedKey, MintedLog, Witness};
use ringwall_attest::release::{Artefact, SnpShape, Statement, TdxShape};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::{Field as _, Message as _};
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{Measurement, ReleaseRule, ReleaseSigners};
use ringwall_wire::release::{LogEntry, LogHead, Logged, LoggedRelease, ReleaseProof, bundles_digest};
use sha2::{Digest as _, Sha256};

/// The statement an honest publisher makes about a build a policy names.
pub fn statement_of(build: &Measurement) -> Statement {
    let named = |text: &str| Digest(Sha256::digest(text).into());
    Statement {
        subjects: vec![Artefact { name: "ringwalld".into(), digest: named("ringwalld") }],
        build: build.id.to_string(),
        svn: build.svn,
        source: "git+https://ringwall.dev/ringwall".into(),
        commit: "1f".repeat(20),
        recipe: named("recipe"),
        snp: build.snp.iter().map(|digest| SnpShape { cpu: "EPYC-v4".into(), vcpus: 4, digest: *digest }).collect(),
        tdx: build.tdx.iter().map(|tuple| TdxShape { shape: "4 virtual CPUs".into(), tuple: tuple.clone() }).collect(),
        tdx_replays: build.tdx_replays.iter().map(|table| Digest(Sha256::digest(table.to_bytes()).into())).collect(),
    }
}

/// Whoever publishes releases in a simulated world.
#[derive(Clone)]
pub struct Publisher {
    /// Those who sign.
    pub signers: Vec<ManagedKey>,
    /// The log.
    pub log: MintedLog,
    /// Its witnesses.
    pub witnesses: Vec<Witness>,
    /// How many of them cosign.
    pub cosigning: usize,
}

impl Default for Publisher {
    fn default() -> Self {
        let mut log = MintedLog::new("log.example/releases");
        log.append_leaf(Digest([1; 32])); // Nobody's releases are the first of a log.
        Publisher {
            signers: vec![ManagedKey::p256("first"), ManagedKey::ed25519("second")],
            log,
            witnesses: vec![
                Witness::new("witness.example/w1"),
                Witness::new("witness.example/w2"),
                Witness::post_quantum("witness.example/w3"),
            ],
            cosigning: 3,
        }
    }
}

impl Publisher {
    /// The rule that names all of them: both signers, two of three witnesses, a checkpoint of the last day.
    pub fn rule(&self) -> ReleaseSigners {
        let text = |text: String| Text::new(text).expect("a short text");
        ReleaseSigners {
            signers: List::new(self.signers.iter().map(|key| text(key.signer())).collect()).expect("few signers"),
            signer_threshold: 2,
            trusted_root: None,
            witnesses: List::new(self.witnesses.iter().map(|witness| Text::new(witness.vkey()).expect("a short text")).collect())
                .expect("few witnesses"),
            witness_threshold: 2,
            log: text(self.log.vkey()),
            max_checkpoint_age_s: 86_400,
        }
    }

    /// The rule, demanded.
    pub fn demanded(&self) -> ReleaseRule {
        ReleaseRule::Demanded(self.rule())
    }

    /// Signs and logs a statement; the proof, whose head is witnessed at `at_s`.
    pub fn publish(&mut self, statement: &Statement, at_s: u64) -> ReleaseProof {
        let payload = statement.write();
        let bundles = self.signers.iter().map(|key| key.bundle(&payload)).collect::<Vec<_>>();
        let entry = LogEntry {
            what: Logged::Release(LoggedRelease {
                statement: Digest(Sha256::digest(&payload).into()),
                build: Text::new(statement.build.clone()).expect("a short name"),
                svn: statement.svn,
                bundles: bundles_digest(&bundles),
            }),
        };
        let index = self.log.append(&entry);
        let size = self.log.size();
        let mut proof = ReleaseProof {
            trusted_root: None,
            bundles: List::new(bundles).expect("few bundles"),
            entry,
            inclusion: self.log.inclusion(index, size),
            checkpoint: self.log.head(&[], at_s),
            consistency: List::default(),
            head: self.log.head(&[], at_s),
            revocations: self.log.revocations(),
            known: List::default(),
        };
        self.refresh(&mut proof, size, &[], at_s);
        proof
    }

    /// Gives a proof the newest head, witnessed at `at_s`; `from` is the size of its checkpoint, `known` are sizes clients may remember.
    pub fn refresh(&self, proof: &mut ReleaseProof, from: u64, known: &[u64], at_s: u64) {
        let cosigning = self.witnesses.get(..self.cosigning).expect("as many witnesses");
        proof.consistency = self.log.consistency(from, self.log.size());
        proof.head = self.log.head(cosigning, at_s);
        proof.revocations = self.log.revocations();
        proof.known = List::new(self.log.known(known)).expect("few heads");
    }

    /// A release of `build` as a policy names it: the exact bytes a node staples.
    pub fn release(&mut self, build: &Measurement, at_s: u64) -> Vec<u8> {
        self.publish(&statement_of(build), at_s).encode()
    }

    /// The newest head as a client remembers it.
    pub fn remembered(&self, at_s: u64) -> LogHead {
        LogHead { note: self.log.head(&self.witnesses, at_s), since_s: at_s }
    }
}
