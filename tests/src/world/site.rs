//! What a process of a world is booted with, and its evidence.
//!
//! Decides: what a node says about itself and how it judges others, step by step as `node/src/attesting.rs` does it, on the thread of
//! the world: `collect` and `judge_here` there take a `Site` that holds a socket, so their few lines stand here again. The clock and
//! the generator are the machine's, which is to say the host's. The policy it goes by is kept in node's own cell, and goes on as in `governance/follow.rs`.
//! Trusts: nothing. Out of scope: sessions. Protocol sections 2.2, 3 and 8.

use crate::world::dice::Dice;
use crate::world::flaws::{Flaw, Flaws};
use crate::world::governors::Docket;
use crate::world::judge::Rule;
use crate::world::judge::replicas::States;
use crate::world::judge::watch::Watch;
use crate::world::lenient;
use crate::world::pipes::{Place, Wires};
use crate::world::trace::Trace;
use ringwall_attest::{
    Anchors, AppraisedPeer, Asked, Attester, Batch, Pinned, PolicyPin, SessionError, appraise_session, batch, report_data,
};
use ringwall_node::governance::{InForce, PolicyCell};
use ringwall_sim::SimTee;
use ringwall_wire::bounded::{Blob, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{BootConfig, GenesisRecord, GenesisTemplate};
use ringwall_wire::governance::{PolicyStep, PolicySteps};
use ringwall_wire::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, NoisePublic, Nonce, Slot};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestMode, AttestResp, SessionProof};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Unix milliseconds at which every world begins: 2026-03-01.
pub const BIRTH_MS: u64 = 1_772_323_200_000;

/// What all machines of a world share.
pub struct Common {
    /// The network.
    pub wires: Arc<Wires>,
    /// Events.
    pub trace: Arc<Trace>,
    /// What is watched over.
    pub watch: Arc<Watch>,
    /// Digests of states.
    pub states: States,
    /// The cluster.
    pub cluster: Cluster,
    /// Answers of genuine nodes as a host may keep them, to show them again.
    pub seen: Mutex<Vec<AttestResp>>,
    /// Mistakes made on purpose.
    pub flaws: Flaws,
    /// Whether nothing but second copies of nodes disturbs this world, so that every incumbent answers.
    pub calm: bool,
    /// Initialization vectors used.
    pub ivs: Mutex<BTreeSet<[u8; 24]>>,
    /// What governors brought.
    pub docket: Docket,
}

impl Common {
    /// Notes an initialization vector; each is used once in a world.
    pub fn fresh_iv(&self, iv: &[u8; 24]) {
        if !self.ivs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(*iv) {
            self.watch.broken(Rule::FreshIv, "an initialization vector was used twice");
        }
    }

    /// Judges an answer by a clock, on behalf of someone who holds this policy, with the mistakes of this world.
    pub fn judge(&self, now_s: u64, answer: &AttestResp, wanted: &Wanted<'_>, held: PolicyPin<'_>) -> Result<AppraisedPeer, SessionError> {
        let cluster = &self.cluster;
        let judge = |anchors: &Anchors, answer: &AttestResp| judge(cluster, (anchors, now_s, held), answer, wanted);
        let misread = lenient::misread(&self.flaws, answer);
        let answer = misread.as_ref().unwrap_or(answer);
        judge(&cluster.anchors, answer).or_else(|fault| {
            if self.flaws.has(Flaw::OtherRoots) {
                return judge(&ringwall_sim::foreign_anchors(), answer);
            }
            let seen = lenient::as_seen(&self.flaws, answer, wanted);
            seen.iter().find_map(|seen| judge(&cluster.anchors, seen).ok()).ok_or(fault)
        })
    }

    /// Keeps an answer of a genuine node, as a host that reads its own machine's traffic before it is sealed could not, but one that
    /// asks the node as a client does can.
    pub fn keep_seen(&self, answer: &AttestResp) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if seen.len() >= 8 {
            seen.remove(0);
        }
        seen.push(answer.clone());
    }
}

/// What everybody knows of the cluster.
pub struct Cluster {
    /// Its identity.
    pub id: ClusterId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its founding record.
    pub genesis: GenesisRecord,
    /// What its founders agreed on.
    pub template: GenesisTemplate,
    /// The policy it was founded with.
    pub policy: PolicyDoc,
    /// Roots of trust.
    pub anchors: Anchors,
}

/// A machine's clock: the world's, as the host shows it.
#[derive(Default)]
pub struct MachineClock {
    offset_ms: AtomicI64,
    frozen_ms: AtomicU64,
}

impl MachineClock {
    /// Unix milliseconds as this machine believes.
    pub fn now_ms(&self, trace: &Trace) -> u64 {
        let frozen = self.frozen_ms.load(Ordering::Relaxed);
        let truth = BIRTH_MS + if frozen == 0 { trace.now_ms() } else { frozen };
        truth.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Stands still from now on, or goes again.
    pub fn freeze(&self, trace: &Trace, frozen: bool) {
        self.frozen_ms.store(if frozen { trace.now_ms().max(1) } else { 0 }, Ordering::Relaxed);
    }

    /// Jumps.
    pub fn jump(&self, by_ms: i64) {
        self.offset_ms.store(by_ms, Ordering::Relaxed);
    }
}

/// What one process is booted with.
pub struct Site {
    /// What it shares with the others.
    pub common: Arc<Common>,
    /// Its machine.
    pub place: Place,
    /// Its number among the processes of the world.
    pub process: u64,
    /// Its TEE.
    pub tee: SimTee,
    /// What its operator told it.
    pub boot: BootConfig,
    /// Its clock.
    pub clock: Arc<MachineClock>,
    /// Its generator.
    pub dice: Dice,
    /// Shows this answer of somebody else instead of evidence of its own.
    pub borrowed: Option<AttestResp>,
    /// The policy it goes by.
    pub policies: PolicyCell,
}

/// What evidence is made for.
pub struct Claim<'a> {
    /// The part this node plays.
    pub role: Role,
    /// Who it is; 0 before admission.
    pub incarnation: Incarnation,
    /// Its keys.
    pub keys: &'a BootKeys,
    /// Handshake hash of the session.
    pub handshake: &'a Digest,
    /// The asker's nonce.
    pub nonce: &'a Nonce,
}

/// What the judged side must have attested to.
pub struct Wanted<'a> {
    /// The part the other side plays.
    pub role: Role,
    /// Handshake hash of the session.
    pub handshake: &'a Digest,
    /// The nonce it was asked with.
    pub nonce: &'a Nonce,
    /// The key the handshake authenticated.
    pub noise: &'a NoisePublic,
}

/// The name of a slot's address.
pub fn address(slot: Slot) -> Text<128> {
    Text::new(format!("slot-{}", slot.0)).expect("short")
}

impl Site {
    /// The slot it was started for.
    pub fn slot(&self) -> Slot {
        self.boot.slot
    }

    /// Unix milliseconds as the machine believes.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms(&self.common.trace)
    }

    /// A nonce.
    pub fn nonce(&self) -> Nonce {
        let mut nonce = [0; 32];
        self.dice.fill(&mut nonce);
        Nonce(nonce)
    }

    /// Everything a stranger needs to judge this node in one session.
    pub fn collect(&self, claim: &Claim<'_>) -> AttestResp {
        if let Some(borrowed) = &self.borrowed {
            // Where nobody compares them with what was signed, its own keys are named beside the other's evidence.
            let (role, incarnation, keys) = (claim.role, claim.incarnation, claim.keys.clone());
            return match self.common.flaws.has(Flaw::Unbound) {
                true => AttestResp { role, incarnation, keys, ..borrowed.clone() },
                false => borrowed.clone(),
            };
        }
        let batch = Batch::new(vec![batch::leaf(claim.handshake, claim.nonce)]).expect("one leaf is a legal batch");
        let (cluster, in_force) = (&self.common.cluster, self.policies.now());
        let binding = Binding {
            cluster_id: cluster.id,
            epoch: cluster.epoch,
            role: claim.role,
            incarnation: claim.incarnation,
            keys: claim.keys.clone(),
            boot_config: self.boot.host_data(),
            policy: in_force.digest(),
            batch_root: batch.root(),
        };
        AttestResp {
            cluster_id: cluster.id,
            epoch: cluster.epoch,
            role: claim.role,
            incarnation: claim.incarnation,
            keys: claim.keys.clone(),
            boot_config: Blob::new(self.boot.encode()).expect("short"),
            genesis: cluster.genesis.clone(),
            policy: PolicyDoc::clone(in_force.policy()),
            steps: in_force.after(None),
            evidence: self.tee.evidence(&report_data(&binding)).expect("a simulated TEE answers"),
            endorsements: self.tee.endorsements().expect("a simulated TEE answers"),
            proof: SessionProof::Batched(batch.path(0).expect("the batch has leaf 0")),
            release_proof: Blob::default(),
        }
    }

    /// Judges an answer with this node's own roots, clock and cluster, by the policy it goes by, as `judge_here` of node's `attesting.rs`.
    pub fn judge(&self, answer: &AttestResp, wanted: &Wanted<'_>) -> Result<AppraisedPeer, SessionError> {
        let in_force = self.policies.now();
        let bare = (wanted.role == Role::JoinInit && !answer.steps.is_empty())
            .then(|| AttestResp { steps: PolicySteps::default(), ..answer.clone() });
        let held = PolicyPin::From { policy: in_force.policy(), earlier: in_force.earlier() };
        self.common.judge(self.now_ms() / 1_000, bare.as_ref().unwrap_or(answer), wanted, held)
    }

    /// Goes on by these steps, where they lead on from what it goes by: node's `governance::learn`.
    pub fn learn(&self, steps: &[PolicyStep]) {
        if steps.is_empty() {
            return;
        }
        if let Ok(next) = InForce::clone(&self.policies.now()).then(steps.iter().cloned()) {
            self.go_on(next);
        }
    }

    /// Puts this one in the place of what it goes by; one that does not follow from that is not taken.
    pub fn go_on(&self, next: InForce) {
        let version = next.policy().version;
        if !self.common.flaws.has(Flaw::OldPolicy) && self.policies.go_on(next) {
            self.common.trace.note(format_args!("process {} goes by policy version {version}", self.process));
        }
    }

    /// Which policy it goes by: sessions end when this is another number.
    pub fn generation(&self) -> usize {
        self.policies.now().steps().len()
    }

    /// The policy an asker holds, as it is named in a question; none where it is the founding one.
    pub fn held(&self) -> Option<Digest> {
        let in_force = self.policies.now();
        (!in_force.steps().is_empty()).then(|| in_force.digest())
    }
}

fn judge(
    cluster: &Cluster,
    (anchors, now_s, policy): (&Anchors, u64, PolicyPin<'_>),
    answer: &AttestResp,
    wanted: &Wanted<'_>,
) -> Result<AppraisedPeer, SessionError> {
    let asked =
        Asked { handshake: wanted.handshake, nonce: wanted.nonce, role: wanted.role, noise: wanted.noise, mode: AttestMode::Single };
    let pinned = Pinned { cluster_id: cluster.id, policy, anchors, now_s, last_head: None };
    appraise_session(answer, &asked, &pinned)
}
