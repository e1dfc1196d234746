//! The node's side of an opening, in memory: honest, with simulated evidence, over the node's half of `channel`.
//!
//! Decides: what an honest node answers to each frame, and how a test departs from it: every answer may be altered before it is given back. Trusts: nothing,
//! protects nothing. Out of scope: what must come of it (`opening.rs`).

use ed25519_dalek::Signer as _;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use ringwall_attest::Batch;
use ringwall_attest::batch::leaf;
use ringwall_channel::user::{UserBinding, verify_user};
use ringwall_channel::{ClientPrologue, NodeSecrets, Opener, Sealer, Session, Unverified, answer_client};
use ringwall_session::anchor::{AnchorStore, InMemory};
use ringwall_session::credential::Credential;
use ringwall_session::dial::{DialError, Opened};
use ringwall_session::line::Line;
use ringwall_session::opening::{Device, Goal, Memory, Now, Opening, Step, Terms};
use ringwall_sim::answering::{NOW_S, Node as Member, node_of};
use ringwall_sim::ledger::{Ledger, To};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::Role;
use ringwall_wire::governance::{Founded, PolicyPage, PolicyStep};
use ringwall_wire::ids::{ClientId, ClusterId, Digest, Epoch, Incarnation, Nonce, PolicyVersion, Revision, SigPublic, Signature};
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::receipt::Receipted;
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestMode, GetDescriptor, NodeDescriptor, Refusal, RefusalCode, SessionProof, UserAuth, UserReady};
use std::sync::Arc;

pub(crate) const BINDING: [u8; 32] = [0x44; 32];
pub(crate) const CLIENT: ClientId = ClientId([4; 16]);
pub(crate) const SPACE: Digest = Digest([1; 32]);
pub(crate) const NOW: Now = Now { ms: 50_000, s: NOW_S };
/// Frames an honest opening has, until bytes follow.
pub(crate) const FRAMES: usize = 3;

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A member of a cluster of its own.
pub(crate) struct Node {
    pub(crate) member: Member,
    pub(crate) secrets: NodeSecrets,
    pub(crate) ledger: Ledger,
    /// The cluster it says it serves.
    pub(crate) claims: ClusterId,
    /// Changes of the policy before those of an answer; given page by page to whoever asks from earlier.
    pub(crate) changes: Vec<PolicyStep>,
    /// The founding policy, where it was changed.
    pub(crate) founding: PolicyDoc,
    /// Whose word a user hears.
    pub(crate) refuses: Option<RefusalCode>,
    /// Its receipts are signed by somebody else.
    pub(crate) forges: bool,
    /// The handshake its evidence is made for, in place of the session's own.
    pub(crate) replays: Option<Digest>,
}

impl Node {
    pub(crate) fn of(name: &str, change: impl FnOnce(&mut PolicyDoc)) -> Self {
        let mut member = node_of("genoa-1", name, change);
        let secrets = NodeSecrets::generate(&mut rng(name.len() as u64));
        member.keys = secrets.public().clone();
        let claims = member.genesis.cluster_id();
        let mut ledger = Ledger::new(claims, Epoch(1), 20);
        ledger.write(&SPACE);
        let founding = member.policy.clone();
        Node { member, secrets, ledger, claims, changes: Vec::new(), founding, refuses: None, forges: false, replays: None }
    }

    pub(crate) fn new() -> Self {
        Self::of("opening", |_| ())
    }

    pub(crate) fn cluster_id(&self) -> ClusterId {
        self.member.genesis.cluster_id()
    }

    pub(crate) fn visit(&self) -> Serving<'_> {
        Serving { node: self, stage: Stage::Asked, nonce: Nonce([0; 32]), to: None, handshake: Digest([0; 32]) }
    }

    pub(crate) fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor {
            version: 1,
            cluster_id: self.claims,
            epoch: Epoch(1),
            incarnation: Incarnation::new(Epoch(1), 1),
            noise: self.secrets.public().noise,
            kem: self.secrets.public().kem,
            policy_version: self.member.policy.version,
            web: None,
        }
    }
}

enum Stage {
    Asked,
    Shaking,
    Attesting(Session<Unverified>),
    Serving(Sealer, Opener),
    Gone,
}

/// One session of it.
pub(crate) struct Serving<'a> {
    node: &'a Node,
    stage: Stage,
    nonce: Nonce,
    to: Option<To>,
    handshake: Digest,
}

impl Serving<'_> {
    /// Takes what the client sent, and gives what an honest node says to it.
    pub(crate) fn hear(&mut self, got: &[u8]) -> Vec<u8> {
        match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Asked => {
                GetDescriptor::decode(got).unwrap();
                self.stage = Stage::Shaking;
                self.node.descriptor().encode()
            }
            Stage::Shaking => {
                let prologue = ClientPrologue { cluster_id: self.node.claims, epoch: Epoch(1), version: 1, transport_binding: &BINDING };
                let (msg2, session) = answer_client(&self.node.secrets, &prologue, got, &mut rng(77)).unwrap();
                self.handshake = *session.handshake();
                self.stage = Stage::Attesting(session);
                msg2
            }
            Stage::Attesting(session) => self.attest(session, got),
            Stage::Serving(sealer, opener) => self.serve(sealer, opener, got),
            Stage::Gone => panic!("the node is gone"),
        }
    }

    fn attest(&mut self, mut session: Session<Unverified>, got: &[u8]) -> Vec<u8> {
        let request = session.open_attest_req(got).unwrap();
        self.nonce = request.nonce;
        let newest = Digest(self.node.member.policy.digest());
        if !self.node.changes.is_empty() && request.known_policy != Some(newest) {
            let page = self.page(request.known_policy);
            let sealed = session.seal_policy_page(&page).unwrap();
            self.stage = Stage::Attesting(session);
            return sealed;
        }
        let handshake = self.node.replays.unwrap_or(*session.handshake());
        let batch = Batch::new(vec![leaf(&handshake, &self.nonce)]).unwrap();
        let proof = SessionProof::Batched(batch.path(0).unwrap());
        let answer = self.node.member.answer(Role::ClientServer, Incarnation::new(Epoch(1), 1), batch.root(), proof);
        let sealed = session.seal_attest_resp(&answer).unwrap();
        let (sealer, opener) = session.serve().unwrap().split(0, 2 * REQUEST_BYTES).unwrap();
        self.stage = Stage::Serving(sealer, opener);
        sealed
    }

    /// One change a page.
    fn page(&self, known: Option<Digest>) -> PolicyPage {
        let Node { changes, founding, member, .. } = self.node;
        let from = changes.iter().position(|step| step.signed.replaces == known.or(Some(Digest(founding.digest())))).unwrap();
        let founded = known.is_none().then(|| Founded { genesis: member.genesis.clone(), policy: founding.clone() });
        let left = u16::try_from(changes.len() - from - 1).unwrap();
        PolicyPage { founded, steps: List::new(vec![changes[from].clone()]).unwrap(), left }
    }

    fn serve(&mut self, mut sealer: Sealer, mut opener: Opener, got: &[u8]) -> Vec<u8> {
        opener.push(got).unwrap();
        let auth = UserAuth::decode(&opener.next().unwrap().unwrap()).unwrap();
        let binding = UserBinding { handshake: &self.handshake, nonce: &self.nonce, incarnation: Incarnation::new(Epoch(1), 1) };
        let verified = verify_user(&auth, &binding).unwrap();
        assert_eq!(verified.user(), &auth.user);
        let from = auth.known.map_or(0, |known| known.size);
        self.to = Some(To { user: auth.user, client: auth.client, nonce: self.nonce, number: 0, from });
        let word = match self.node.refuses {
            Some(code) => Refusal { code, detail: Text::new("no such user").unwrap() }.encode(),
            None => self.ready().encode(),
        };
        let mut out = Vec::new();
        sealer.seal(&word, &mut out).unwrap();
        self.stage = Stage::Serving(sealer, opener);
        out
    }

    fn sign(&self, words: &[u8]) -> Signature {
        let stranger = ed25519_dalek::SigningKey::from_bytes(&[6; 32]);
        if self.node.forges { Signature(stranger.sign(words).to_bytes()) } else { self.node.secrets.sign(words) }
    }

    pub(crate) fn ready(&self) -> UserReady {
        let to = To { number: 1, ..self.to.unwrap() };
        let receipt = self.node.ledger.receipt(&to, &[], 0, |words| self.sign(words));
        UserReady { revision: Revision(5), members: List::default(), receipt, epochs: List::default(), recovered: None }
    }

    /// A later receipt, which answers for so many replies.
    pub(crate) fn receipt(&self, ledger: &Ledger, number: u64, covers: u16) -> Receipted {
        let to = To { number, from: self.node.ledger.size(), ..self.to.unwrap() };
        ledger.receipt(&to, &[SPACE], covers, |words| self.sign(words))
    }

    /// Any messages, sealed.
    pub(crate) fn says(&mut self, messages: &[Vec<u8>]) -> Vec<u8> {
        let Stage::Serving(sealer, _) = &mut self.stage else { panic!("no records yet") };
        let mut out = Vec::new();
        sealer.seal_many(messages, &mut out).unwrap();
        out
    }

    /// Everything the client said with these bytes, opened.
    pub(crate) fn all(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let Stage::Serving(_, opener) = &mut self.stage else { panic!("no records yet") };
        opener.push(bytes).unwrap();
        std::iter::from_fn(|| opener.next().unwrap()).collect()
    }

    /// What the client said last, opened.
    pub(crate) fn opens(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Stage::Serving(_, opener) = &mut self.stage else { panic!("no records yet") };
        opener.push(bytes).unwrap();
        opener.next().unwrap().unwrap()
    }
}

/// A client of one cluster.
pub(crate) struct Home {
    pub(crate) memory: Arc<Memory>,
    pub(crate) terms: Arc<Terms>,
}

pub(crate) fn credential() -> Credential {
    Credential::from_seed(Secret::new([0x21; 32]))
}

impl Home {
    pub(crate) fn of(node: &Node) -> Self {
        Self::over(node, Arc::new(InMemory::default()), Device::Key(credential()))
    }

    pub(crate) fn over(node: &Node, store: Arc<dyn AnchorStore>, device: Device) -> Self {
        let terms = Terms {
            cluster_id: node.cluster_id(),
            anchors: Arc::new(ringwall_sim::anchors()),
            attest: AttestMode::Batched,
            min_policy_version: PolicyVersion(0),
            user: credential().user(),
            device,
            restore: None,
        };
        Home { memory: Memory::new(store, &node.cluster_id(), None).unwrap(), terms: Arc::new(terms) }
    }

    pub(crate) fn begin(&self, goal: Goal, seed: u64) -> Result<(Opening, Step), DialError> {
        Opening::begin((&self.memory, &self.terms), goal, "node:1", BINDING, NOW, &mut rng(seed))
    }

    pub(crate) fn user(&self, seed: u64) -> (Opening, Step) {
        self.begin(Goal::User { client: CLIENT }, seed).unwrap()
    }

    /// A user's session with an honest node.
    pub(crate) fn open(&self, serving: &mut Serving<'_>, seed: u64) -> Result<(Opened, Line), DialError> {
        let (mut opening, step) = self.begin(Goal::User { client: CLIENT }, seed)?;
        match carry(&mut opening, step, serving, |_, answer| answer)? {
            Step::Open(open) => Ok(*open),
            other => panic!("no session: {other:?}"),
        }
    }
}

/// Carries frames and bytes between the two until the attempt is over or wants a signature; `alter` has the answer to each, by its number.
pub(crate) fn carry(
    opening: &mut Opening,
    mut step: Step,
    serving: &mut Serving<'_>,
    mut alter: impl FnMut(usize, Vec<u8>) -> Vec<u8>,
) -> Result<Step, DialError> {
    for turn in 0..100 {
        let said = match step {
            Step::Send(said) | Step::Stream(said) => said,
            _ => return Ok(step),
        };
        let answer = alter(turn, serving.hear(&said));
        step = opening.take(&answer, NOW, &mut rng(1_000 + turn as u64))?;
    }
    panic!("an opening without an end");
}

/// A key that governs.
pub(crate) fn governor() -> (ed25519_dalek::SigningKey, SigPublic) {
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let public = SigPublic(key.verifying_key().to_bytes());
    (key, public)
}
