//! What an attested session costs: each end by itself, with evidence of each kind of chip, and what travels.
//!
//! Decides: a client that has verified one machine of this kind before dials a node, verifies it, and says who it is; the steps are those of
//! `node/src/front/session.rs` and of the client, with one quote for this session alone (many sessions share one in a node, which makes it: that is
//! not counted). The receipt is a first one. Bytes are those of messages, without a frame's length and without QUIC. Verifications are those of
//! signatures in evidence and of the user; hashing inside a certificate or a quote is not counted. The client's judging of receipts is not run.
//! Trusts: `ringwall-sim` for evidence of real form. Out of scope: times (`cargo bench-evidence`).

use crate::table::{Counting, Took};
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use ringwall_attest::batch::leaf;
use ringwall_attest::{Anchors, AppraisedPeer, Asked, Batch, Pinned, PolicyPin, appraise_session, report_data};
use ringwall_channel::user::{UserBinding, sign_user, verify_user};
use ringwall_channel::{Attested, ClientDial, ClientPrologue, NodeSecrets, Opener, Sealer, Serving, Session, answer_client};
use ringwall_sim::{SimTee, anchors, genesis_record, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::{BatchPath, Binding, Role};
use ringwall_wire::genesis::{BootConfig, GenesisRecord};
use ringwall_wire::ids::{ClientId, ClusterId, Digest, Epoch, Incarnation, Nonce, PolicyVersion, Revision, Signature, Slot};
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::receipt::{Receipt, ReceiptHead, ReceiptLeaf, Receipted, TreeHead};
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp, GetDescriptor, NodeDescriptor, SessionProof, UserAuth, UserReady};
use ringwall_wire::version;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// When it takes place, Unix seconds.
const NOW_S: u64 = 1_790_000_000;
const NONCE: Nonce = Nonce([3; 32]);

/// The first member of the first epoch.
fn me() -> Incarnation {
    Incarnation::new(Epoch(1), 1)
}

/// A generator that repeats itself.
pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A cluster and one node of it.
struct Site {
    policy: PolicyDoc,
    genesis: GenesisRecord,
    id: ClusterId,
    anchors: Anchors,
    secrets: NodeSecrets,
    tee: SimTee,
    boot: BootConfig,
}

impl Site {
    fn new(chip: &str) -> Self {
        let policy = world::policy();
        let genesis = genesis_record(&policy, "counts", Nonce([1; 32]));
        let id = genesis.cluster_id();
        let boot = world::joining_config(id, Slot(1));
        let tee = SimTee::new(world::machine(chip, boot.clone()).unwrap(), NOW_S);
        Site { policy, genesis, id, anchors: anchors(), secrets: NodeSecrets::generate(&mut rng(1)), tee, boot }
    }

    fn descriptor(&self) -> NodeDescriptor {
        let keys = self.secrets.public();
        NodeDescriptor {
            version: 1,
            cluster_id: self.id,
            epoch: Epoch(1),
            incarnation: me(),
            noise: keys.noise,
            kem: keys.kem,
            policy_version: self.policy.version,
            web: None,
        }
    }

    fn prologue(&self) -> ClientPrologue<'static> {
        ClientPrologue { cluster_id: self.id, epoch: Epoch(1), version: 1, transport_binding: &[7; 32] }
    }

    /// Evidence for one session.
    fn attest(&self, handshake: &Digest, nonce: &Nonce) -> AttestResp {
        let batch = Batch::new(vec![leaf(handshake, nonce)]).unwrap();
        let binding = Binding {
            cluster_id: self.id,
            epoch: Epoch(1),
            role: Role::ClientServer,
            incarnation: me(),
            keys: self.secrets.public().clone(),
            boot_config: self.boot.host_data(),
            policy: Digest(self.policy.digest()),
            batch_root: batch.root(),
        };
        AttestResp {
            cluster_id: self.id,
            epoch: Epoch(1),
            role: Role::ClientServer,
            incarnation: me(),
            keys: self.secrets.public().clone(),
            boot_config: Blob::new(self.boot.encode()).unwrap(),
            genesis: self.genesis.clone(),
            policy: self.policy.clone(),
            steps: Default::default(),
            evidence: self.tee.mint(&report_data(&binding)),
            endorsements: self.tee.endorse(),
            proof: SessionProof::Batched(batch.path(0).unwrap()),
            release_proof: Blob::default(),
        }
    }

    fn judge(&self, answer: &AttestResp, handshake: &Digest) -> AppraisedPeer {
        let noise = self.secrets.public().noise;
        let asked = Asked { handshake, nonce: &NONCE, role: Role::ClientServer, noise: &noise, mode: AttestMode::Single };
        let policy = PolicyPin::Founding { min_version: PolicyVersion(1) };
        let pinned = Pinned { cluster_id: self.id, policy, anchors: &self.anchors, now_s: NOW_S, last_head: None };
        appraise_session(answer, &asked, &pinned).unwrap()
    }

    /// Both ends of a session; counts what each does, and what travels.
    fn open(&self, ends: &mut Ends) -> (Session<Attested>, Session<Serving>) {
        // No session is like another: what was verified before is not verified again.
        static SESSIONS: AtomicU64 = AtomicU64::new(1_000);
        let seed = SESSIONS.fetch_add(2, Ordering::Relaxed);
        let asked = ends.client.does(|| GetDescriptor { versions: List::new(version::SUPPORTED.to_vec()).unwrap() }.encode());
        ends.travels(&asked);
        let descriptor = ends.node.does(|| self.descriptor().encode());
        ends.travels(&descriptor);
        let (dial, msg1) = ends.client.does(|| {
            let descriptor = NodeDescriptor::decode(&descriptor).unwrap();
            ClientDial::start(&descriptor, &self.prologue(), &mut rng(seed)).unwrap()
        });
        ends.travels(&msg1);
        let (msg2, mut served) = ends.node.does(|| answer_client(&self.secrets, &self.prologue(), &msg1, &mut rng(seed + 1)).unwrap());
        ends.travels(&msg2);
        let mut dialled = ends.client.does(|| dial.finish(&msg2).unwrap());
        let request = AttestReq { nonce: NONCE, mode: AttestMode::Single, min_policy_version: PolicyVersion(1), known_policy: None };
        let asked = ends.client.does(|| dialled.seal_attest_req(&request).unwrap());
        ends.travels(&asked);
        let asked = ends.node.does(|| served.open_attest_req(&asked).unwrap());
        let answer = self.attest(served.handshake(), &asked.nonce);
        let sealed = ends.node.does(|| served.seal_attest_resp(&answer).unwrap());
        ends.travels(&sealed);
        ends.evidence = sealed.len() as u64;
        let dialled = ends.client.does(|| {
            let answer = dialled.open_attest_resp(&sealed).unwrap();
            let handshake = *dialled.handshake();
            dialled.establish(self.judge(&answer, &handshake)).unwrap()
        });
        (dialled, ends.node.does(|| served.serve().unwrap()))
    }

    /// The user's word on an open session, and the first receipt.
    fn welcome(&self, ends: &mut Ends, (mut dialled, mut served): (Session<Attested>, Session<Serving>)) {
        let handshake = *dialled.handshake();
        let binding = UserBinding { handshake: &handshake, nonce: &NONCE, incarnation: me() };
        let user = SigningKey::from_bytes(&[5; 32]);
        let mut client = ends.client.does(|| dialled.split(0, REQUEST_BYTES).unwrap());
        let mut node = ends.node.does(|| served.split(0, REQUEST_BYTES).unwrap());
        let said = ends.client.does(|| sealed(&mut client.0, &sign_user(&binding, &ClientId([2; 16]), &user).encode()));
        ends.travels(&said);
        let auth = ends.node.does(|| {
            let auth = UserAuth::decode(&opened(&mut node.1, &said)).unwrap();
            drop(verify_user(&auth, &binding).unwrap());
            auth
        });
        let ready = ends.node.does(|| {
            let receipt = self.receipt(&auth);
            sealed(
                &mut node.0,
                &UserReady { revision: Revision(1), members: List::default(), receipt, epochs: List::default(), recovered: None }.encode(),
            )
        });
        ends.travels(&ready);
        ends.client.does(|| UserReady::decode(&opened(&mut client.1, &ready)).unwrap());
    }

    /// A receipt for one session whose client has seen nothing.
    fn receipt(&self, auth: &UserAuth) -> Receipted {
        let leaf = ReceiptLeaf { user: auth.user, client: auth.client, nonce: NONCE, number: 1, spaces: List::default() };
        let mut head = ReceiptHead {
            cluster_id: self.id,
            epoch: Epoch(1),
            index: 999,
            term: 1,
            tree: TreeHead { size: 1_000, root: Digest([8; 32]), landmark: Digest([9; 32]) },
            group: leaf.leaf(),
            incarnation: me(),
            signature: Signature([0; 64]),
        };
        head.signature = self.secrets.sign(&head.words());
        let path = BatchPath { leaves: 1, index: 0, siblings: List::default() };
        Receipted { covers: 0, receipt: Receipt { head, leaf, path }, from: 0, path: List::default() }
    }
}

fn sealed(sealer: &mut Sealer, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    sealer.seal(message, &mut out).unwrap();
    out
}

fn opened(opener: &mut Opener, sealed: &[u8]) -> Vec<u8> {
    opener.push(sealed).unwrap();
    opener.next().unwrap().unwrap()
}

/// What one end did.
#[derive(Default)]
struct End(Took);

impl End {
    fn does<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.0.add(work)
    }
}

/// What both ends did, and what travelled.
#[derive(Default)]
struct Ends {
    client: End,
    node: End,
    messages: u64,
    bytes: u64,
    evidence: u64,
}

impl Ends {
    fn travels(&mut self, message: &[u8]) {
        (self.messages, self.bytes) = (self.messages + 1, self.bytes + message.len() as u64);
    }
}

/// Both ends of stream 0 of an open session: what seals there and what opens there.
pub(crate) struct Pair {
    pub(crate) client: (Sealer, Opener),
    pub(crate) node: (Sealer, Opener),
}

impl Pair {
    /// A session, opened without counting.
    pub(crate) fn new() -> Self {
        static SITE: LazyLock<Site> = LazyLock::new(|| Site::new("genoa-1"));
        let (mut dialled, mut served) = SITE.open(&mut Ends::default());
        Pair { client: dialled.split(0, REQUEST_BYTES).unwrap(), node: served.split(0, REQUEST_BYTES).unwrap() }
    }
}

pub(crate) fn count(counting: &mut Counting) {
    for (what, chip) in [("session with SNP", "genoa-1"), ("session with TDX", "tdx-1")] {
        let site = Site::new(chip);
        // What a client remembers between two sessions with machines of one kind: the vendor's signatures over its chains.
        drop(site.open(&mut Ends::default()));
        let mut ends = Ends::default();
        for _ in 0..counting.times(what) {
            let open = site.open(&mut ends);
            site.welcome(&mut ends, open);
        }
        // Signatures in a quote are turned into DER, which is a byte shorter or longer.
        counting.add_calls(&format!("{what}: client"), 1, &ends.client.0);
        counting.add(&format!("{what}: node"), 1, &ends.node.0);
        counting.table.add(format!("{what}: messages"), 1, ends.messages);
        counting.table.add(format!("{what}: bytes"), 1, ends.bytes);
        counting.table.add(format!("{what}: bytes of evidence"), 1, ends.evidence);
    }
}
