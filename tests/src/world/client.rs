//! A client of a world: it verifies, then speaks, asks again elsewhere with the same bytes, and records what it saw.
//!
//! Decides: nothing of its own in the protocol: dial, Noise NK, evidence, verdict, signature and numbers are those of
//! `session/src/opening.rs` and `once.rs` over a pipe. Not run here: lanes, batches and watches (`session/src/core.rs`).
//! Trusts: its own clock, which no host turns. Out of scope: judging what was seen (`judge`). Protocol sections 3.1 and 5.3.

use crate::world::dice::Dice;
use crate::world::flaws::Flaw;
use crate::world::judge::Rule;
use crate::world::ops::{Ask, Ops, Seen};
use crate::world::pipes::{Door, Pipe, Place};
use crate::world::receipts::Memory;
use crate::world::sessions;
use crate::world::site::{BIRTH_MS, Common, Wanted};
use ed25519_dalek::SigningKey;
use ringwall_attest::{AppraisedPeer, PolicyPin};
use ringwall_channel::user::{UserBinding, sign_user};
use ringwall_channel::{ClientDial, ClientPrologue, Opener, Sealer};
use ringwall_client::anchor;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{ClientId, Nonce, Revision, UserId};
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::request::{
    Answer, Change, Expect, Get, KeyMode, KeyName, Mutation, Namespace, Once, Op, OpenNamespace, PutValue, Reply, Request, Write,
};
use ringwall_wire::session::{AttestMode, AttestReq, GetDescriptor, NodeDescriptor, UserReady};
use ringwall_wire::version;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Milliseconds a client waits for an answer before it goes elsewhere.
const PATIENCE_MS: u64 = 1_500;
/// Keys all clients touch.
pub const KEYS: u64 = 6;

/// What all clients of a world share.
pub struct Crowd {
    /// The world.
    pub common: Arc<Common>,
    /// What they saw.
    pub ops: Ops,
    /// Where nodes answer.
    pub addresses: Vec<Text<128>>,
    /// The user they all act for.
    pub user: SigningKey,
    /// Told to stop asking new things.
    pub stop: AtomicBool,
    /// Told to give up what is under way, too.
    pub give_up: AtomicBool,
    /// Next value.
    pub values: AtomicU64,
    /// Milliseconds between two operations of one client, about.
    pub pause_ms: AtomicU64,
}

/// One client process.
pub struct Client {
    crowd: Arc<Crowd>,
    number: u32,
    place: Place,
    id: ClientId,
    dice: Dice,
    seq: u64,
    revision: Revision,
    known: [Revision; KEYS as usize],
    session: Option<Talk>,
    requests: u64,
    /// The newest receipt.
    memory: Mutex<Memory>,
    /// The newest policy it has verified, and how that came about.
    policy: Mutex<KnownPolicy>,
}

struct Talk {
    pipe: Pipe,
    sealer: Sealer,
    opener: Opener,
}

/// The namespace all clients use, but where names are close.
fn namespace() -> Namespace {
    Namespace::new("world").expect("short")
}

/// How a key is named: all in one namespace; or, where names are close, every second one in another, so that run together two are the same.
fn named(close: bool, key: u32) -> (Namespace, KeyName) {
    let (namespace, name) = match (close, key % 2) {
        (false, _) => (namespace(), format!("key-{key}")),
        (true, 0) => (namespace(), format!("-1:{key}")),
        (true, _) => (Namespace::new("world-1").expect("short"), format!(":{}", key - 1)),
    };
    (namespace, KeyName::new(name.into_bytes()).expect("short"))
}

impl Client {
    /// The client `number`, on a device of its own.
    pub fn new(crowd: Arc<Crowd>, number: u32, dice: Dice) -> Self {
        let mut id = [0; 16];
        dice.fill(&mut id);
        let place = 200 + number as u8;
        let known = [Revision(0); KEYS as usize];
        let cluster = &crowd.common.cluster;
        let policy = KnownPolicy { cluster_id: cluster.id, founding: cluster.policy.clone(), steps: List::default() };
        Client {
            crowd,
            number,
            place,
            id: ClientId(id),
            dice,
            seq: 0,
            revision: Revision(0),
            known,
            session: None,
            requests: 0,
            memory: Mutex::default(),
            policy: Mutex::new(policy),
        }
    }

    /// Asks until told to stop.
    pub async fn run(mut self) {
        self.open_namespace().await;
        while !self.crowd.stop.load(Ordering::Relaxed) {
            let key = self.dice.below(KEYS) as u32;
            let value = || self.crowd.values.fetch_add(1, Ordering::Relaxed);
            let ask = match self.dice.below(100) {
                0..=44 => Ask::Put(value()),
                45..=54 => Ask::Swap(value(), self.known[key as usize]),
                55..=61 => Ask::Delete,
                _ => Ask::Get,
            };
            self.operate(key, ask).await;
            let pause = self.crowd.pause_ms.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(self.dice.between(pause / 2, pause * 3 / 2))).await;
        }
    }

    /// Reads every key once.
    pub async fn read_all(&mut self) {
        for key in 0..KEYS as u32 {
            self.operate(key, Ask::Get).await;
        }
    }

    /// Writes one value; true when it was acknowledged.
    pub async fn write_once(&mut self, key: u32) -> bool {
        let value = self.crowd.values.fetch_add(1, Ordering::Relaxed);
        self.operate(key, Ask::Put(value)).await
    }

    /// Makes the namespace, or finds it; both where there are two.
    pub async fn open_namespace(&mut self) {
        let close = self.crowd.common.flaws.has(Flaw::CloseNames);
        for key in 0..=u32::from(close) {
            self.open_one(named(close, key).0).await;
        }
    }

    async fn open_one(&mut self, namespace: Namespace) {
        let ask = Op::OpenNamespace(OpenNamespace { namespace, mode: KeyMode::Cluster, commit: None });
        while !self.gives_up() {
            match self.ask(ask.clone()).await {
                Some(Answer::Opened(_)) => return,
                Some(_) => self.session = None,
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(self.dice.between(20, 100))).await;
        }
    }

    fn gives_up(&self) -> bool {
        self.crowd.give_up.load(Ordering::Relaxed)
    }

    async fn operate(&mut self, key: u32, ask: Ask) -> bool {
        let place = self.crowd.ops.send(self.number, key, ask);
        let op = self.spell(key, ask);
        // A client forgets some of its writes, as a process that is killed would.
        let abandons = self.dice.chance(20) && !matches!(ask, Ask::Get);
        let mut tries = 0;
        while !(self.gives_up() || abandons && tries > 0) {
            tries += 1;
            let op = if tries > 1 && self.crowd.common.flaws.has(Flaw::NewNumberOnRetry) { self.spell(key, ask) } else { op.clone() };
            match self.ask(op).await {
                Some(answer) => {
                    let seen = match answer {
                        Answer::Written(revision) => Seen::Written(revision),
                        Answer::Conflict(conflict) => Seen::Conflict(conflict.current),
                        Answer::Found(entry) => Seen::Found(entry.version, number_of(&entry.value)),
                        Answer::Absent(revision) => Seen::Absent(revision),
                        Answer::Refused(refusal) => {
                            self.crowd.common.trace.note(format_args!("client {} is refused {:?}", self.number, refusal.code));
                            if refusal.code == ringwall_wire::session::RefusalCode::ClientForgotten {
                                return false;
                            }
                            self.session = None;
                            tokio::time::sleep(Duration::from_millis(self.dice.between(10, 60))).await;
                            continue;
                        }
                        _ => return false,
                    };
                    self.learn(key, seen);
                    self.crowd.ops.answer(place, seen);
                    self.crowd.common.trace.note(format_args!("client {} key {key} {ask:?} -> {seen:?}", self.number));
                    return true;
                }
                None => tokio::time::sleep(Duration::from_millis(self.dice.between(10, 60))).await,
            }
        }
        false
    }

    fn learn(&mut self, key: u32, seen: Seen) {
        let (known, revision) = match seen {
            Seen::Written(revision) | Seen::Found(revision, _) => (revision, revision),
            Seen::Conflict(current) => (current, current),
            Seen::Absent(revision) => (Revision(0), revision),
        };
        self.known[key as usize] = known;
        self.revision = self.revision.max(revision);
    }

    fn spell(&mut self, key: u32, ask: Ask) -> Op {
        let (namespace, name) = named(self.crowd.common.flaws.has(Flaw::CloseNames), key);
        let put = |value: u64| Change::Put(PutValue { value: Blob::new(value.to_be_bytes().to_vec()).expect("short"), ttl_s: 0 });
        let (expect, change) = match ask {
            Ask::Get => return Op::Get(Get { namespace, key: name }),
            Ask::Put(value) => (Expect::Any, put(value)),
            Ask::Swap(value, Revision(0)) => (Expect::Absent, put(value)),
            Ask::Swap(value, version) => (Expect::Version(version), put(value)),
            Ask::Delete => (Expect::Any, Change::Delete),
        };
        self.seq += 1;
        let once = Once { seq: self.seq, acked: self.seq, since: self.revision };
        let mutations = List::new(vec![Mutation { key: name, expect, change }]).expect("one fits");
        Op::Write(Write { namespace, once, mutations })
    }

    /// One request and its answer; none when there is no session, or no answer in time.
    async fn ask(&mut self, op: Op) -> Option<Answer> {
        if self.session.is_none() {
            let address = self.dice.pick(&self.crowd.addresses)?.clone();
            let opened = tokio::time::timeout(Duration::from_secs(4), self.open(&address)).await.ok()??;
            self.session = Some(opened);
        }
        self.requests += 1;
        let number = self.requests;
        let request = Request { number, op }.encode();
        let answered = async {
            let talk = self.session.as_mut()?;
            sessions::tell(&mut talk.sealer, &talk.pipe, &request);
            loop {
                let message = sessions::receive(&mut talk.opener, &mut talk.pipe, PATIENCE_MS).await?;
                let reply = Reply::decode(&message).ok()?;
                if reply.number == number {
                    return Some(reply.body);
                }
            }
        };
        let answer = tokio::time::timeout(Duration::from_millis(PATIENCE_MS), answered).await.ok().flatten();
        if answer.is_none() {
            self.session = None;
        }
        answer
    }

    /// Dials and verifies; speaks only after that.
    async fn open(&self, address: &str) -> Option<Talk> {
        let common = &self.crowd.common;
        let mut pipe = common.wires.dial(self.place, 1_000_000 + u64::from(self.number), address, Door::Clients).await?;
        pipe.write(GetDescriptor { versions: List::new(version::SUPPORTED.to_vec()).ok()? }.encode());
        let descriptor = NodeDescriptor::decode(&pipe.read(PATIENCE_MS).await?).ok()?;
        let cluster = &common.cluster;
        if descriptor.cluster_id != cluster.id {
            return None;
        }
        let binding = pipe.binding;
        let prologue =
            ClientPrologue { cluster_id: cluster.id, epoch: descriptor.epoch, version: descriptor.version, transport_binding: &binding };
        let (dial, msg1) = ClientDial::start(&descriptor, &prologue, &mut self.dice.clone()).ok()?;
        pipe.write(msg1);
        let mut session = dial.finish(&pipe.read(PATIENCE_MS).await?).ok()?;
        let mut opening = [0; 32];
        self.dice.fill(&mut opening);
        let nonce = self.memory.lock().unwrap_or_else(PoisonError::into_inner).nonce(&Nonce(opening));
        let known = self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let held = known.policy().ok()?;
        let known_policy = (!known.steps.is_empty()).then(|| known.digest());
        let floor = held.version.0.max(common.watch.policy_of(descriptor.incarnation));
        let request = AttestReq { nonce, mode: AttestMode::Single, min_policy_version: cluster.policy.version, known_policy };
        pipe.write(session.seal_attest_req(&request).ok()?);
        let answer = session.open_attest_resp(&pipe.read(PATIENCE_MS).await?).ok()?;
        let noise = *session.remote_noise()?;
        let handshake = *session.handshake();
        let wanted = Wanted { role: Role::ClientServer, handshake: &handshake, nonce: &nonce, noise: &noise };
        let now_s = (BIRTH_MS + common.trace.now_ms()) / 1_000;
        let policy = PolicyPin::From { policy: &held, earlier: &[] };
        let peer = match common.judge(now_s, &answer, &wanted, policy) {
            Ok(peer) => peer,
            Err(fault) => {
                common.trace.note(format_args!("client {} refuses {address}: {fault}", self.number));
                return None;
            }
        };
        if !common.watch.is_genuine(&peer.keys().sig) {
            common.watch.broken(Rule::GenuineServer, format!("client {} took somebody at {address} for a member", self.number));
        }
        self.learn_policy(&known, &peer);
        let incarnation = peer.incarnation();
        let floor = if incarnation == descriptor.incarnation { floor } else { held.version.0 };
        common.watch.opened(format_args!("client {}", self.number), floor, peer.policy().version.0);
        let mut expected = anchor::Session::new(&peer, UserId([0; 20]), self.id, nonce);
        let mut session = session.establish(peer).ok()?;
        let user = UserBinding { handshake: &handshake, nonce: &nonce, incarnation };
        let mut auth = sign_user(&user, &self.id, &self.crowd.user);
        auth.known = self.memory.lock().unwrap_or_else(PoisonError::into_inner).known();
        expected.user = auth.user;
        let (mut sealer, mut opener) = session.split(0, REQUEST_BYTES).ok()?;
        sessions::tell(&mut sealer, &pipe, &auth.encode());
        let ready = UserReady::decode(&sessions::receive(&mut opener, &mut pipe, PATIENCE_MS).await?).ok()?;
        if let Err(fault) = self.memory.lock().unwrap_or_else(PoisonError::into_inner).take(&expected, &ready.receipt) {
            common.watch.broken(Rule::NeverForgets, format!("client {} at {address}: {fault}", self.number));
            return None;
        }
        Some(Talk { pipe, sealer, opener })
    }
}

impl Client {
    /// Keeps the newest policy, as the client crate does: it goes on along one row, and never back.
    fn learn_policy(&self, known: &KnownPolicy, peer: &AppraisedPeer) {
        let mut newest = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = known.followed_by(peer.steps()).map_err(|fault| fault.to_string());
        match shown.and_then(|shown| anchor::newer_policy(&newest, &shown).map_err(|fork| fork.to_string())) {
            Ok(merged) => *newest = merged,
            Err(why) => self.crowd.common.watch.broken(Rule::NewestPolicy, format!("client {}: {why}", self.number)),
        }
    }
}

fn number_of(value: &[u8]) -> u64 {
    value.try_into().map_or(u64::MAX, u64::from_be_bytes)
}
