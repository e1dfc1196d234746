//! A small simulated world for the channel's tests: one cluster, one node that attests, one client that judges.
//! Decides: one honest setting that each test bends in one place.
//! Trusts: `ringwall-sim` to mint honest evidence. Out of scope: what is asserted.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)]

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ringwall_attest::batch::leaf;
use ringwall_attest::{Anchors, AppraisedPeer, Asked, Batch, Pinned, PolicyPin, SessionError, appraise_session, report_data};
use ringwall_channel::{ClientDial, ClientPrologue, NodeSecrets, PeerAnswer, PeerDial, PeerPrologue, Session, Unverified, answer_client};
use ringwall_sim::{SimTee, anchors, genesis_record, world};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{BootConfig, GenesisRecord};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, Nonce, PolicyVersion, Slot};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp, NodeDescriptor, PeerPurpose, SessionProof};

/// When the tests take place, Unix seconds.
pub const NOW_S: u64 = 1_790_000_000;
/// Transport binding of the tests' one connection.
pub const BINDING: &[u8] = &[7; 32];

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub struct Cluster {
    pub policy: PolicyDoc,
    pub genesis: GenesisRecord,
    pub id: ClusterId,
    pub anchors: Anchors,
}

pub struct Node {
    pub secrets: NodeSecrets,
    pub tee: SimTee,
    pub boot: BootConfig,
    pub incarnation: Incarnation,
}

impl Cluster {
    pub fn new() -> Self {
        let policy = world::policy();
        let genesis = genesis_record(&policy, "test", Nonce([1; 32]));
        let id = genesis.cluster_id();
        Cluster { policy, genesis, id, anchors: anchors() }
    }

    pub fn node(&self, chip: &str, slot: u8, seed: u64) -> Node {
        let boot = world::joining_config(self.id, Slot(slot));
        let tee = SimTee::new(world::machine(chip, boot.clone()).unwrap(), NOW_S);
        Node { secrets: NodeSecrets::generate(&mut rng(seed)), tee, boot, incarnation: Incarnation::new(Epoch(1), u64::from(slot)) }
    }

    pub fn descriptor(&self, node: &Node) -> NodeDescriptor {
        let keys = node.secrets.public();
        NodeDescriptor {
            version: 1,
            cluster_id: self.id,
            epoch: Epoch(1),
            incarnation: node.incarnation,
            noise: keys.noise,
            kem: keys.kem,
            policy_version: self.policy.version,
            web: None,
        }
    }

    pub fn client_prologue(&self) -> ClientPrologue<'static> {
        ClientPrologue { cluster_id: self.id, epoch: Epoch(1), version: 1, transport_binding: BINDING }
    }

    pub fn peer_prologue(&self) -> PeerPrologue<'static> {
        PeerPrologue {
            cluster_id: self.id,
            epoch: Epoch(1),
            version: 1,
            purpose: PeerPurpose::Member,
            from: Slot(1),
            to: Slot(2),
            transport_binding: BINDING,
        }
    }

    /// A client's session with `node`, both ends.
    pub fn client_session(&self, node: &Node, seed: u64) -> (Session<Unverified>, Session<Unverified>) {
        let (dial, msg1) = ClientDial::start(&self.descriptor(node), &self.client_prologue(), &mut rng(seed)).unwrap();
        let (msg2, served) = answer_client(&node.secrets, &self.client_prologue(), &msg1, &mut rng(seed + 1)).unwrap();
        (dial.finish(&msg2).unwrap(), served)
    }

    /// A session between two nodes, both ends.
    pub fn peer_session(&self, dialler: &Node, answerer: &Node, seed: u64) -> (Session<Unverified>, Session<Unverified>) {
        let (dial, msg1) = PeerDial::start(&dialler.secrets, &self.peer_prologue(), &mut rng(seed)).unwrap();
        let (answer, msg2) = PeerAnswer::start(&answerer.secrets, &self.peer_prologue(), &msg1, &mut rng(seed + 1)).unwrap();
        let (msg3, dialled) = dial.finish(&msg2).unwrap();
        (dialled, answer.finish(&msg3).unwrap())
    }

    /// What `node` answers to an attestation request of the session with handshake hash `handshake`.
    pub fn attest(&self, node: &Node, role: Role, handshake: &Digest, request: &AttestReq) -> AttestResp {
        let batch = Batch::new(vec![leaf(handshake, &request.nonce)]).unwrap();
        let binding = Binding {
            cluster_id: self.id,
            epoch: Epoch(1),
            role,
            incarnation: node.incarnation,
            keys: node.secrets.public().clone(),
            boot_config: node.boot.host_data(),
            policy: Digest(self.policy.digest()),
            batch_root: batch.root(),
        };
        AttestResp {
            cluster_id: self.id,
            epoch: Epoch(1),
            role,
            incarnation: node.incarnation,
            keys: node.secrets.public().clone(),
            boot_config: Blob::new(node.boot.encode()).unwrap(),
            genesis: self.genesis.clone(),
            policy: self.policy.clone(),
            steps: Default::default(),
            evidence: node.tee.mint(&report_data(&binding)),
            endorsements: node.tee.endorse(),
            proof: SessionProof::Batched(batch.path(0).unwrap()),
            release_proof: Blob::default(),
        }
    }

    pub fn judge(&self, answer: &AttestResp, asked: &Asked<'_>) -> Result<AppraisedPeer, SessionError> {
        let pinned = Pinned {
            cluster_id: self.id,
            policy: PolicyPin::Founding { min_version: PolicyVersion(1) },
            anchors: &self.anchors,
            now_s: NOW_S,
            last_head: None,
        };
        appraise_session(answer, asked, &pinned)
    }

    /// A verdict over `node`, made for a session with this handshake hash and this remote key.
    pub fn verdict(&self, node: &Node, role: Role, handshake: &Digest) -> AppraisedPeer {
        let request = request(3);
        let answer = self.attest(node, role, handshake, &request);
        let asked = Asked { handshake, nonce: &request.nonce, role, noise: &node.secrets.public().noise, mode: AttestMode::Single };
        self.judge(&answer, &asked).unwrap()
    }
}

pub fn request(nonce: u8) -> AttestReq {
    AttestReq { nonce: Nonce([nonce; 32]), mode: AttestMode::Single, min_policy_version: PolicyVersion(1), known_policy: None }
}
