//! A cluster of one AMD and one Intel machine, and one of them as a node that answers sessions.
//!
//! Decides: nothing; it answers and lets the caller judge. Trusts: minted evidence of `ringwall-sim`.
//! Out of scope: what must become of an answer (the tests that use it).

use crate::release::Publisher;
use crate::{SimTee, anchors, policy_for, world};
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_attest::batch::{leaf, session_words, standing_leaf};
use ringwall_attest::{Anchors, AppraisedPeer, Asked, Batch, Pinned, PolicyPin, SessionError, appraise_session, report_data};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{BootConfig, GenesisRecord};
use ringwall_wire::ids::{
    BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, Nonce, PolicyVersion, SigPublic, Signature, Slot, Vendor,
};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestMode, AttestResp, SessionProof, StandingProof};

/// 2026-11-24 12:00:00 UTC.
pub const NOW_S: u64 = 1_795_521_600;
/// The incarnation a member attests as.
pub const MEMBER: Incarnation = Incarnation(1 << 40 | 7);

/// A cluster of one AMD and one Intel machine, and one of them as a node.
#[derive(Clone)]
pub struct Node {
    /// Its machine.
    pub tee: SimTee,
    /// Its policy.
    pub policy: PolicyDoc,
    /// Its founding record.
    pub genesis: GenesisRecord,
    /// What it was started with.
    pub boot: BootConfig,
    /// Its boot keys.
    pub keys: BootKeys,
}

/// The machine of this name, at [`NOW_S`] for ever.
///
/// # Panics
/// For a name no chip can have.
pub fn machine(chip_name: &str, boot: BootConfig) -> SimTee {
    SimTee::new(world::machine(chip_name, boot).expect("the name of a chip"), NOW_S)
}

/// The node on `chip_name`, slot 1, of the cluster called `name`; `change` edits the policy before the cluster is founded on it.
pub fn node_of(chip_name: &str, name: &str, change: impl FnOnce(&mut PolicyDoc)) -> Node {
    let nowhere = world::joining_config(ClusterId([0; 32]), Slot(1));
    let all = [machine("genoa-1", nowhere.clone()), machine("tdx-1", nowhere)];
    let mut policy = policy_for(&[&all[0], &all[1]]);
    policy.session.standing_period_s = 600;
    change(&mut policy);
    let genesis = crate::genesis_record(&policy, name, Nonce([9; 32]));
    let boot = world::joining_config(genesis.cluster_id(), Slot(1));
    let keys = BootKeys { noise: NoisePublic([1; 32]), sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) };
    Node { tee: machine(chip_name, boot.clone()), policy, genesis, boot, keys }
}

/// The node on `chip_name` of the plain cluster.
pub fn node(chip_name: &str) -> Node {
    node_of(chip_name, "first", |_| ())
}

/// The node on `chip_name` of a cluster that demands a proof of release, and its answer for [`SESSION`] with one: two signatures, a log's entry, a head with
/// two cosignatures with Ed25519 and one with ML-DSA-44.
///
/// # Panics
/// For a name no chip can have.
pub fn released(chip_name: &str) -> (Node, AttestResp) {
    let mut publisher = Publisher::default();
    let node = node_of(chip_name, "released", |policy| policy.release = publisher.demanded());
    let ran = node.tee.vendor();
    let build = node.policy.measurements.iter().find(|build| match ran {
        Vendor::Amd => !build.snp.is_empty(),
        Vendor::Intel => !build.tdx.is_empty(),
    });
    let proof = publisher.release(build.expect("the policy names the builds of its machines"), NOW_S);
    let mut answer = node.answers(SESSION);
    answer.release_proof = Blob::new(proof).expect("a proof is short");
    (node, answer)
}

/// One side of one handshake.
#[derive(Clone, Copy)]
pub struct Handshake {
    /// Handshake hash.
    pub hash: Digest,
    /// The nonce of the question.
    pub nonce: Nonce,
    /// The key the handshake authenticated.
    pub noise: NoisePublic,
    /// The part that was asked for.
    pub role: Role,
    /// The weakest binding that is accepted.
    pub mode: AttestMode,
}

/// A client's session.
pub const SESSION: Handshake = Handshake {
    hash: Digest([0x11; 32]),
    nonce: Nonce([0x22; 32]),
    noise: NoisePublic([1; 32]),
    role: Role::ClientServer,
    mode: AttestMode::Batched,
};

/// The same, by someone who accepts a standing key.
pub const STANDING: Handshake = Handshake { mode: AttestMode::Standing, ..SESSION };

impl Node {
    /// What the node binds, for a root over sessions.
    pub fn binding(&self, role: Role, incarnation: Incarnation, batch_root: Digest) -> Binding {
        Binding {
            cluster_id: self.genesis.cluster_id(),
            epoch: Epoch(1),
            role,
            incarnation,
            keys: self.keys.clone(),
            boot_config: self.boot.host_data(),
            policy: Digest(self.policy.digest()),
            batch_root,
        }
    }

    /// An answer bound to this root.
    ///
    /// # Panics
    /// Never: what it encodes is short.
    pub fn answer(&self, role: Role, incarnation: Incarnation, root: Digest, proof: SessionProof) -> AttestResp {
        let binding = self.binding(role, incarnation, root);
        AttestResp {
            cluster_id: binding.cluster_id,
            epoch: binding.epoch,
            role,
            incarnation,
            keys: self.keys.clone(),
            boot_config: Blob::new(self.boot.encode()).expect("short"),
            genesis: self.genesis.clone(),
            policy: self.policy.clone(),
            steps: Default::default(),
            evidence: self.tee.mint(&report_data(&binding)),
            endorsements: self.tee.endorse(),
            proof,
            release_proof: Blob::default(),
        }
    }

    /// An answer for this session, third of five in its batch.
    pub fn answers(&self, session: Handshake) -> AttestResp {
        self.answers_as(session, session.role, if session.role == Role::JoinInit { Incarnation(0) } else { MEMBER })
    }

    /// The same, whatever the role and incarnation.
    ///
    /// # Panics
    /// Never: five leaves are a batch.
    pub fn answers_as(&self, session: Handshake, role: Role, incarnation: Incarnation) -> AttestResp {
        let mut leaves: Vec<_> = (0..5).map(|other| leaf(&Digest([other; 32]), &Nonce([other; 32]))).collect();
        *leaves.get_mut(2).expect("there are five") = leaf(&session.hash, &session.nonce);
        let batch = Batch::new(leaves).expect("five leaves");
        self.answer(role, incarnation, batch.root(), SessionProof::Batched(batch.path(2).expect("there are five")))
    }
}

/// Judges an answer for a session, on behalf of someone who pinned this cluster and these roots.
pub fn judge_with(
    answer: &AttestResp,
    session: Handshake,
    cluster_id: ClusterId,
    roots: &Anchors,
    now_s: u64,
) -> Result<AppraisedPeer, SessionError> {
    let asked = Asked { handshake: &session.hash, nonce: &session.nonce, role: session.role, noise: &session.noise, mode: session.mode };
    let pinned =
        Pinned { cluster_id, policy: PolicyPin::Founding { min_version: PolicyVersion(1) }, anchors: roots, now_s, last_head: None };
    appraise_session(answer, &asked, &pinned)
}

/// Judges an answer as a client of the node's cluster does.
pub fn judge(answer: &AttestResp, session: Handshake, node: &Node) -> Result<AppraisedPeer, SessionError> {
    judge_with(answer, session, node.genesis.cluster_id(), &anchors(), NOW_S)
}

/// An answer by a period key that began at `start_s`.
///
/// # Panics
/// Never: two leaves are a batch.
pub fn standing(node: &Node, session: Handshake, start_s: u64) -> AttestResp {
    let key = SigningKey::from_bytes(&[8; 32]);
    let public = SigPublic(key.verifying_key().to_bytes());
    let batch = Batch::new(vec![leaf(&Digest([1; 32]), &Nonce([1; 32])), standing_leaf(&public, start_s)]).expect("two leaves");
    let signature = Signature(key.sign(&session_words(&session.hash, &session.nonce)).to_bytes());
    let proof = StandingProof { key: public, period_start_s: start_s, path: batch.path(1).expect("there are two"), signature };
    node.answer(session.role, MEMBER, batch.root(), SessionProof::Standing(proof))
}
