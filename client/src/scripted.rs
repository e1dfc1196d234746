//! Scripted nodes for tests: a small cluster in memory, and nodes that fail in every way a client has to survive.
//!
//! Decides: what a scripted node does with a question. All nodes share one state with exactly-once bookkeeping, as a real cluster does,
//! and write down every dial and every submission. Trusts: nothing. Compiled for tests only. Out of scope: bytes on the wire.
#![allow(clippy::unwrap_used)]

use crate::Verification;
use crate::client::{Client, Principal};
use crate::clock;
use crate::link::{Dial, DialError, Link, LinkError, Opened};
use crate::options::Timeouts;
use ringwall_attest::SessionError;
use ringwall_keys::UserKey;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClientId, ClusterId, Digest, Epoch, Incarnation, PolicyVersion, Revision, Slot, TrustDomain, UserId, Vendor};
use ringwall_wire::receipt::Receipted;
use ringwall_wire::request::{Answer, Change, Conflict, Entry, Event, Events, Expect, Once, Op, Page, Reply, Request, Write};
use ringwall_wire::sample::{Sample as _, Source};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{MemberHint, Refusal, RefusalCode, UserReady};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Serves,
    /// Refuses dials.
    Down,
    /// Says nothing at all when it is dialled, as a machine without power.
    Void,
    /// Answers the transport at once and shows its evidence only after this many milliseconds.
    Throttled(u64),
    /// Shows evidence that is refused.
    BadEvidence,
    /// Does not accept the user.
    NoUser,
    /// Takes questions and says nothing.
    Silent,
    /// Its machine is gone: not even the transport says anything.
    Gone,
    /// Applies the next write and breaks before it answers; then serves.
    LosesAnswer,
    /// Breaks when it is asked; applies nothing.
    Breaks,
    /// Refuses everything.
    Says(RefusalCode),
    /// Refuses this many questions, then serves.
    SaysOnce(RefusalCode, u32),
    /// Answers that every key is absent, as of revision 1.
    Old,
    /// Sends bytes that are no reply.
    Garbage,
    /// Answers a question nobody asked.
    Unasked,
}

/// The cluster.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) nodes: HashMap<String, Mode>,
    pub(crate) hints: Vec<String>,
    pub(crate) dials: Vec<(String, ClientId)>,
    /// Addresses dialled, whether or not anybody answered.
    pub(crate) reached: Vec<String>,
    pub(crate) submissions: Vec<(ClientId, Once, Vec<u8>)>,
    pub(crate) applied: Vec<(ClientId, u64)>,
    pub(crate) watched: Vec<Revision>,
    pub(crate) unanswered: usize,
    heard: u64,
    pub(crate) forgotten: Vec<ClientId>,
    /// How long a session may serve; none is longer than any test.
    pub(crate) reattest: Option<Duration>,
    /// Everything that was asked, and where.
    pub(crate) asked: Vec<(String, Op)>,
    revision: u64,
    pub(crate) keys: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    outcomes: HashMap<(ClientId, u64), Answer>,
    pub(crate) history: Vec<Event>,
    watchers: Vec<(u64, Revision, mpsc::UnboundedSender<Arrival>)>,
}

type Arrival = Result<Vec<u8>, LinkError>;
pub(crate) type Shared = Arc<Mutex<World>>;

/// A world with these nodes.
pub(crate) fn world(nodes: &[(&str, Mode)]) -> Shared {
    let nodes = nodes.iter().map(|(address, mode)| ((*address).to_string(), *mode)).collect();
    Arc::new(Mutex::new(World { nodes, ..World::default() }))
}

pub(crate) fn timeouts(deadline_ms: u64) -> Timeouts {
    Timeouts { dial: Duration::from_millis(200), answer: Duration::from_millis(150), deadline: Duration::from_millis(deadline_ms) }
}

/// Somebody.
pub(crate) fn principal() -> Principal {
    Principal {
        user: UserId([1; 20]),
        cluster_id: ClusterId([0; 32]),
        user_key: Some(UserKey::from_seed(Secret::new([2; 32]))),
        credential: crate::Credential::generate(),
    }
}

/// A client of the world's nodes, in the order of their addresses... from a random one on, as real clients start.
pub(crate) async fn client(world: &Shared, deadline_ms: u64) -> Result<Client, crate::ConnectError> {
    let mut addresses: Vec<String> = world.lock().unwrap().nodes.keys().cloned().collect();
    addresses.sort();
    Client::over(Scripted(Arc::clone(world)), addresses, timeouts(deadline_ms), principal()).await
}

/// A client that starts at `first`.
pub(crate) async fn client_at(world: &Shared, first: &str, deadline_ms: u64) -> Client {
    let later: Vec<String> = world.lock().unwrap().nodes.keys().filter(|address| *address != first).cloned().collect();
    world.lock().unwrap().hints = later;
    let client = Client::over(Scripted(Arc::clone(world)), vec![first.into()], timeouts(deadline_ms), principal());
    client.await.unwrap()
}

pub(crate) struct Scripted(pub(crate) Shared);

pub(crate) struct ScriptedLink {
    world: Shared,
    address: String,
    client: ClientId,
    tell: mpsc::UnboundedSender<Arrival>,
    told: mpsc::UnboundedReceiver<Arrival>,
}

impl Dial for Scripted {
    type Link = ScriptedLink;

    type Reach = ();

    async fn reach(&self, address: &str, until: Instant) -> Result<(), DialError> {
        self.0.lock().unwrap().reached.push(address.into());
        if self.0.lock().unwrap().nodes.get(address) == Some(&Mode::Void) {
            tokio::time::sleep_until(until).await;
            return Err(DialError::Unreachable("silence".into()));
        }
        Ok(())
    }

    async fn open(&self, (): (), address: &str, client: ClientId, _until: Instant) -> Result<(ScriptedLink, Opened), DialError> {
        let mode = self.0.lock().unwrap().nodes.get(address).copied();
        if let Some(Mode::Throttled(ms)) = mode {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let mut world = self.0.lock().unwrap();
        world.dials.push((address.into(), client));
        world.unanswered = 0;
        match world.nodes.get(address).copied().unwrap_or(Mode::Down) {
            Mode::Down => return Err(DialError::Unreachable("nobody there".into())),
            Mode::BadEvidence => return Err(DialError::Evidence(Arc::new(SessionError::StandingSignature))),
            Mode::NoUser => return Err(DialError::NotAuthorized("unknown user".into())),
            _ => {}
        }
        let hint = |address: &String| MemberHint {
            slot: Slot(1),
            incarnation: Incarnation(1),
            vendor: Vendor::Amd,
            address: Text::new(address.clone()).unwrap(),
        };
        let members = List::new(world.hints.iter().map(hint).collect()).unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        let link = ScriptedLink { world: Arc::clone(&self.0), address: address.into(), client, tell, told };
        // Receipts are looked at below this seam, in the link of real nodes.
        let receipt = Receipted::sample(&mut Source::new(1));
        let ready = UserReady { revision: Revision(world.revision), members, receipt, epochs: List::default(), recovered: None };
        let reattest_by_ms = clock::ms(Instant::now() + world.reattest.unwrap_or(Duration::from_secs(86_400)));
        Ok((link, Opened { ready, verification: verification(address), reattest_by_ms }))
    }
}

fn verification(address: &str) -> Verification {
    Verification {
        address: address.into(),
        cluster_id: ClusterId([1; 32]),
        epoch: Epoch(1),
        incarnation: Incarnation(1),
        trust_domain: TrustDomain::Simulated,
        vendor: Vendor::Amd,
        chip: Digest([2; 32]),
        measurement: "build".into(),
        svn: 1,
        policy_version: PolicyVersion(1),
        policy: Arc::new(ringwall_sim::world::policy()),
        platform_unseal: ringwall_wire::policy::PlatformUnseal::Never,
        log_began_anew: false,
        recovered: Vec::new(),
        steps: vec![ringwall_attest::Step::new(ringwall_attest::Stage::Cluster, "scripted")],
    }
}

impl Link for ScriptedLink {
    fn queue(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        for message in messages {
            let request = Request::decode(message).unwrap();
            let mut world = self.world.lock().unwrap();
            if let Op::Write(write) = &request.op {
                world.submissions.push((self.client, write.once, message.clone()));
            }
            world.unanswered += 1;
            let arrival = world.ask(&self.address, self.client, request, &self.tell);
            if let Some(arrival) = arrival {
                world.unanswered -= 1;
                self.tell.send(arrival).unwrap();
            }
        }
        Ok(())
    }

    fn backlog(&self) -> usize {
        0
    }

    async fn step(&mut self, arrived: &mut Vec<Vec<u8>>) -> Result<(), LinkError> {
        arrived.push(self.told.recv().await.expect("this end is held here")?);
        while let Ok(more) = self.told.try_recv() {
            arrived.push(more?);
        }
        Ok(())
    }

    fn heard(&self) -> u64 {
        let mut world = self.world.lock().unwrap();
        if world.nodes.get(&self.address) != Some(&Mode::Gone) {
            world.heard += 1;
        }
        world.heard
    }

    fn close(self) {}
}

fn refusal(number: u64, code: RefusalCode) -> Option<Arrival> {
    let body = Answer::Refused(Refusal { code, detail: Text::new("scripted").unwrap() });
    Some(Ok(Reply { number, body }.encode()))
}

impl World {
    fn ask(&mut self, address: &str, client: ClientId, request: Request, tell: &mpsc::UnboundedSender<Arrival>) -> Option<Arrival> {
        let Request { number, op } = request;
        let mode = self.nodes.get(address).copied().unwrap();
        let opens = matches!(op, Op::OpenNamespace(_) | Op::FindNamespace(_) | Op::Unlock(_));
        self.asked.push((address.into(), op.clone()));
        match mode {
            Mode::Silent | Mode::Gone if !opens => return None,
            Mode::Breaks if !opens => return Some(Err(LinkError::Lost("cut".into()))),
            Mode::Says(code) if !opens => return refusal(number, code),
            Mode::SaysOnce(code, left) if !opens && left > 0 => {
                self.nodes.insert(address.into(), Mode::SaysOnce(code, left - 1));
                return refusal(number, code);
            }
            Mode::LosesAnswer if matches!(op, Op::Write(_)) => {
                self.nodes.insert(address.into(), Mode::Serves);
                self.serve(client, number, op, tell);
                return Some(Err(LinkError::Lost("cut after applying".into())));
            }
            Mode::Old if !opens => return Some(Ok(Reply { number, body: Answer::Absent(Revision(1)) }.encode())),
            Mode::Garbage if !opens => return Some(Ok(vec![0xff; 40])),
            Mode::Unasked if !opens => return Some(Ok(Reply { number: number + 1_000, body: Answer::Done }.encode())),
            _ => {}
        }
        let body = self.serve(client, number, op, tell)?;
        Some(Ok(Reply { number, body }.encode()))
    }

    fn serve(&mut self, client: ClientId, number: u64, op: Op, tell: &mpsc::UnboundedSender<Arrival>) -> Option<Answer> {
        Some(match op {
            Op::OpenNamespace(_) | Op::FindNamespace(_) | Op::Unlock(_) => Answer::Opened(Revision(self.revision)),
            Op::Write(write) => self.write(client, write),
            Op::Get(get) => match self.keys.get(&*get.key) {
                Some((version, value)) => Answer::Found(entry(&get.key, *version, value)),
                None => Answer::Absent(Revision(self.revision)),
            },
            Op::List(list) => {
                let wanted =
                    |key: &&Vec<u8>| key.starts_with(&list.prefix) && list.after.as_ref().is_none_or(|after| key.as_slice() > &**after);
                let found: Vec<&Vec<u8>> = self.keys.keys().filter(wanted).collect();
                let page = found.iter().take(list.limit.into()).map(|key| entry(key, self.keys[*key].0, &self.keys[*key].1));
                let entries = List::new(page.collect()).unwrap();
                Answer::Page(Page { more: found.len() > entries.len(), entries, revision: Revision(self.revision) })
            }
            Op::Watch(watch) => {
                self.watched.push(watch.after);
                self.watchers.push((number, watch.after, tell.clone()));
                self.tell_watchers();
                return None;
            }
            Op::CancelWatch(cancelled) => {
                self.watchers.retain(|(number, ..)| *number != cancelled);
                Answer::Done
            }
            Op::Status | Op::Erase(_) | Op::User(_) | Op::Backup(_) | Op::EscrowKeys(_) | Op::Governance(_) => return None,
        })
    }

    fn write(&mut self, client: ClientId, write: Write) -> Answer {
        if self.forgotten.contains(&client) {
            return Answer::Refused(Refusal { code: RefusalCode::ClientForgotten, detail: Text::new("forgotten").unwrap() });
        }
        if let Some(before) = self.outcomes.get(&(client, write.once.seq)) {
            return before.clone();
        }
        for (at, mutation) in write.mutations.iter().enumerate() {
            let current = self.keys.get(&*mutation.key).map_or(0, |(version, _)| *version);
            let holds = match mutation.expect {
                Expect::Any => true,
                Expect::Absent => current == 0,
                Expect::Present => current != 0,
                Expect::Version(version) => current == version.0,
            };
            if !holds {
                return Answer::Conflict(Conflict { mutation: at as u16, current: Revision(current) });
            }
        }
        self.revision += 1;
        self.applied.push((client, write.once.seq));
        for mutation in write.mutations.iter() {
            let revision = Revision(self.revision);
            let value = match &mutation.change {
                Change::Put(put) => {
                    self.keys.insert(mutation.key.to_vec(), (self.revision, put.value.to_vec()));
                    Some(put.value.clone())
                }
                Change::Delete => {
                    self.keys.remove(&*mutation.key);
                    None
                }
                Change::Keep => continue,
            };
            self.history.push(Event { key: mutation.key.clone(), revision, value });
        }
        let answer = Answer::Written(Revision(self.revision));
        self.outcomes.insert((client, write.once.seq), answer.clone());
        self.tell_watchers();
        answer
    }

    fn tell_watchers(&mut self) {
        let (history, through) = (&self.history, Revision(self.revision));
        self.watchers.retain_mut(|(number, after, tell)| {
            let events: Vec<Event> = history.iter().filter(|event| event.revision > *after).cloned().collect();
            *after = through;
            let body = Answer::Events(Events { events: List::new(events).unwrap(), through });
            tell.send(Ok(Reply { number: *number, body }.encode())).is_ok()
        });
    }
}

fn entry(key: &[u8], version: u64, value: &[u8]) -> Entry {
    use ringwall_wire::request::{KeyName, Value};
    Entry { key: KeyName::new(key).unwrap(), value: Value::new(value).unwrap(), version: Revision(version) }
}
