//! A host of the core in words, for tests: carries out effects against nodes in memory, and writes down what it was told.
//!
//! Decides: effects are carried out in their order; what is sent is given to the node in memory, which answers from one small store of keys. Trusts: nothing, protects
//! nothing. Out of scope: what must come of it (`spoken.rs`). docs/core.md.

use crate::answering::{BINDING, NOW, Node, Serving, credential};
use ed25519_dalek::Signer as _;
use ringwall_session::spoken::Spoken;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::{ClusterCard, WebDoor};
use ringwall_wire::ids::{Digest, Epoch, Incarnation, Revision, Slot};
use ringwall_wire::request::{Answer, Change, ClusterStatus, Conflict, Entry, Event, Events, Expect, Op, Page, Reply, Request, Write};
use ringwall_wire::text::hex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// What was told: a head and its payload.
pub(crate) type Said = (Value, Vec<u8>);

pub(crate) fn frame(head: Value, payload: &[u8]) -> Vec<u8> {
    let head = head.to_string().into_bytes();
    [&u32::try_from(head.len()).unwrap().to_le_bytes()[..], &head, payload].concat()
}

fn take<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
    let (taken, left) = rest.split_at(u32::from_le_bytes(*len) as usize);
    *bytes = left;
    taken
}

/// The frames of an answer.
pub(crate) fn heads(mut answer: &[u8]) -> Vec<Said> {
    let mut told = Vec::new();
    while !answer.is_empty() {
        let mut whole = take(&mut answer);
        let head = serde_json::from_slice(take(&mut whole)).unwrap();
        told.push((head, whole.to_vec()));
    }
    told
}

pub(crate) fn one(answer: &[u8]) -> Said {
    let mut told = heads(answer);
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

/// The code of a call that was refused.
pub(crate) fn error_code(answer: &[u8]) -> String {
    let (head, payload) = one(answer);
    assert_eq!((head["is"].clone(), payload.len()), (json!("error"), 0), "{head}");
    head["error"]["code"].as_str().unwrap().into()
}

/// A call of `handle` at the usual time.
pub(crate) fn call(client: &Value, event: Value, payload: &[u8]) -> Vec<u8> {
    let fresh = "ab".repeat(32);
    frame(json!({ "client": client, "now_ms": NOW.ms, "now_s": NOW.s, "fresh": fresh, "event": event }), payload)
}

/// Which doors a card names.
#[derive(Clone, Copy)]
pub(crate) enum Placed {
    Native,
    Web,
}

/// The bytes of a node's card.
pub(crate) fn card_of(node: &Node, placed: Placed) -> Vec<u8> {
    let text = |text: &str| Text::new(text).unwrap();
    let certificates = List::new(vec![Digest([1; 32])]).unwrap();
    let door = WebDoor { address: text("127.0.0.1:7001"), certificates, socket: text("ws://127.0.0.1:7002/ringwall") };
    let card = ClusterCard {
        genesis: node.member.genesis.clone(),
        policy: node.member.policy.clone(),
        steps: List::default(),
        addresses: List::new(vec![Text::new("node:1").unwrap()]).unwrap(),
        web: match placed {
            Placed::Native => List::default(),
            Placed::Web => List::new(vec![door]).unwrap(),
        },
    };
    card.encode()
}

/// A node's keys, and which revision is next.
#[derive(Default)]
struct Store {
    keys: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
    revision: u64,
}

impl Store {
    fn answer(&mut self, op: Op) -> Answer {
        let now = Revision(self.revision.max(5));
        match op {
            Op::OpenNamespace(_) => Answer::Opened(now),
            Op::Write(write) => self.write(write),
            Op::Get(get) => match self.keys.get(&*get.key) {
                Some(_) => Answer::Found(self.entry(&get.key)),
                None => Answer::Absent(now),
            },
            Op::List(list) => {
                let keys: Vec<Vec<u8>> = self.keys.keys().filter(|key| key.starts_with(&list.prefix)).cloned().collect();
                let entries = List::new(keys.iter().map(|key| self.entry(key)).collect()).unwrap();
                Answer::Page(Page { entries, more: false, revision: now })
            }
            Op::Watch(watch) => {
                let changed = self.keys.iter().filter(|(key, (_, at))| key.starts_with(&watch.prefix) && *at > watch.after.0);
                let event = |(key, (value, at)): (&Vec<u8>, &(Vec<u8>, u64))| Event {
                    key: Blob::new(key.clone()).unwrap(),
                    revision: Revision(*at),
                    value: Some(Blob::new(value.clone()).unwrap()),
                };
                Answer::Events(Events { events: List::new(changed.map(event).collect()).unwrap(), through: now })
            }
            Op::Status => Answer::Status(ClusterStatus {
                slot: Slot(1),
                incarnation: Incarnation::new(Epoch(1), 1),
                leader: Incarnation::new(Epoch(1), 1),
                term: 2,
                applied: 20,
                revision: now,
                voters: List::default(),
                learners: List::default(),
            }),
            other => panic!("the node in memory does not know {other:?}"),
        }
    }

    fn entry(&self, key: &[u8]) -> Entry {
        let (value, version) = self.keys.get(key).unwrap();
        Entry { key: Blob::new(key).unwrap(), value: Blob::new(value.clone()).unwrap(), version: Revision(*version) }
    }

    fn write(&mut self, write: Write) -> Answer {
        let mutation = &write.mutations[0];
        let current = self.keys.get(&*mutation.key).map_or(0, |(_, version)| *version);
        let holds = match mutation.expect {
            Expect::Any => true,
            Expect::Absent => current == 0,
            Expect::Present => current != 0,
            Expect::Version(version) => current == version.0,
        };
        if !holds {
            return Answer::Conflict(Conflict { mutation: 0, current: Revision(current) });
        }
        self.revision = self.revision.max(5) + 1;
        match &mutation.change {
            Change::Put(put) => drop(self.keys.insert(mutation.key.to_vec(), (put.value.to_vec(), self.revision))),
            Change::Delete => drop(self.keys.remove(&*mutation.key)),
            Change::Keep => {}
        }
        Answer::Written(Revision(self.revision))
    }
}

struct Way<'a> {
    serving: Serving<'a>,
    node: &'a Node,
    turn: usize,
    receipts: u64,
}

/// The host.
pub(crate) struct Host<'a> {
    pub(crate) spoken: Spoken,
    pub(crate) opened: Value,
    pub(crate) kept: Vec<u8>,
    /// What is signed in place of the device's own signature.
    pub(crate) signs: Option<Vec<u8>>,
    todo: VecDeque<Said>,
    log: Vec<Said>,
    ways: BTreeMap<u64, Way<'a>>,
    store: Store,
    now_ms: u64,
}

impl<'a> Host<'a> {
    /// The call `open` with the usual fields, or others in their place.
    pub(crate) fn try_open_at(spoken: &mut Spoken, node: &Node, placed: Placed, kept: &[u8], more: Value) -> Vec<u8> {
        let card = card_of(node, placed);
        let mut head = json!({
            "now_ms": NOW.ms, "now_s": NOW.s, "fresh": "cd".repeat(32), "card_bytes": card.len(), "over": ["native"],
            "device": { "seed": "21".repeat(32) },
        });
        head.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spoken.open(&frame(head, &[card, kept.to_vec()].concat()))
    }

    pub(crate) fn try_open(spoken: &mut Spoken, node: &Node, kept: &[u8], more: Value) -> Vec<u8> {
        Host::try_open_at(spoken, node, Placed::Native, kept, more)
    }

    pub(crate) fn open(spoken: Spoken, node: &Node, kept: &[u8]) -> Self {
        Host::open_with(spoken, node, kept, json!({}))
    }

    pub(crate) fn open_as(spoken: Spoken, node: &Node, device: Value) -> Self {
        Host::open_with(spoken, node, &[], json!({ "device": device }))
    }

    pub(crate) fn open_with(mut spoken: Spoken, node: &Node, kept: &[u8], more: Value) -> Self {
        let mut told: VecDeque<Said> = heads(&Host::try_open(&mut spoken, node, kept, more)).into();
        let opened = told.pop_front().unwrap().0;
        assert_eq!(opened["is"], json!("opened"), "{opened}");
        let (log, ways, store) = (Vec::new(), BTreeMap::new(), Store::default());
        Host { spoken, opened, kept: Vec::new(), signs: None, todo: told, log, ways, store, now_ms: NOW.ms }
    }

    /// The public half of the device's key.
    pub(crate) fn public() -> String {
        hex(&credential().public().0)
    }

    /// One call, and nothing of its answer carried out.
    pub(crate) fn raw(&mut self, event: Value, payload: &[u8]) -> Vec<u8> {
        let head = json!({
            "client": self.opened["client"], "now_ms": self.now_ms, "now_s": NOW.s, "fresh": "ab".repeat(32), "event": event,
        });
        self.spoken.handle(&frame(head, payload))
    }

    /// One event; what is to be done is noted.
    pub(crate) fn event(&mut self, event: Value, payload: &[u8]) {
        let told = heads(&self.raw(event.clone(), payload));
        assert!(told.iter().all(|one| one.0["is"] != "error"), "{event}: {told:?}");
        self.todo.extend(told);
    }

    pub(crate) fn ask(&mut self, ticket: u64, op: Value, payload: &[u8]) {
        self.event(json!({ "is": "ask", "ticket": ticket, "op": op }), payload);
    }

    /// Time goes on.
    pub(crate) fn tick(&mut self, after_ms: u64) {
        self.now_ms = NOW.ms + after_ms;
        self.event(json!({ "is": "tick" }), b"");
        self.note();
    }

    /// Every way ends.
    pub(crate) fn lose(&mut self, why: &str) {
        for dial in std::mem::take(&mut self.ways).into_keys() {
            self.event(json!({ "is": "lost", "dial": dial, "why": why }), b"");
        }
    }

    /// Writes down what is to be done and needs no node.
    fn note(&mut self) {
        for said in std::mem::take(&mut self.todo) {
            match said.0["is"].as_str().unwrap() {
                "dial" | "send" | "sign" | "hang_up" => self.todo.push_back(said),
                _ => self.done(said),
            }
        }
    }

    fn done(&mut self, said: Said) {
        if said.0["is"] == "keep" {
            self.kept.clone_from(&said.1);
        }
        self.log.push(said);
    }

    /// The names of everything that was told, in order.
    pub(crate) fn said(&self) -> Vec<String> {
        let all = self.log.iter().chain(&self.todo);
        all.map(|said| said.0["is"].as_str().unwrap().to_owned()).collect()
    }

    /// The last of what was told under this name.
    pub(crate) fn find(&self, is: &str) -> Said {
        let found = self.log.iter().chain(&self.todo).rev().find(|said| said.0["is"] == is);
        found.unwrap_or_else(|| panic!("no {is} in {:?}", self.said())).clone()
    }

    /// The answer to a question.
    pub(crate) fn answer(&self, ticket: u64) -> Said {
        let found = self.log.iter().chain(&self.todo).find(|said| said.0["is"] == "answer" && said.0["ticket"] == ticket);
        found.unwrap_or_else(|| panic!("{ticket} is not answered: {:?}", self.said())).clone()
    }

    /// The names the node in memory has.
    pub(crate) fn names(&self) -> Vec<Vec<u8>> {
        self.store.keys.keys().cloned().collect()
    }

    /// Opens the first way that is asked for, and says nothing on it.
    pub(crate) fn reach(&mut self) -> u64 {
        let dial = self.find("dial").0["dial"].as_u64().unwrap();
        self.event(json!({ "is": "reached", "dial": dial, "over": "native", "binding": hex(&BINDING) }), b"");
        dial
    }

    /// Carries everything out, with `node` at the end of every way that is opened; how many were.
    pub(crate) fn serve(&mut self, node: &'a Node) -> usize {
        let mut dials = 0;
        for _ in 0..10_000 {
            let Some((head, payload)) = self.todo.pop_front() else { return dials };
            let dial = head["dial"].as_u64().unwrap_or(0);
            match head["is"].as_str().unwrap() {
                "dial" => {
                    dials += 1;
                    self.ways.insert(dial, Way { serving: node.visit(), node, turn: 0, receipts: 1 });
                    self.event(json!({ "is": "reached", "dial": dial, "over": "native", "binding": hex(&BINDING) }), b"");
                }
                "send" => self.sent(dial, &payload),
                "sign" => {
                    let signature = credential().signing_key().sign(&payload).to_bytes().to_vec();
                    let signed = self.signs.clone().map_or(signature, |other| [other, vec![0; 64]].concat()[..64].to_vec());
                    self.event(json!({ "is": "signed", "dial": dial }), &signed);
                }
                "hang_up" => drop(self.ways.remove(&dial)),
                _ => {}
            }
            self.done((head, payload));
        }
        panic!("there is always something more to do");
    }

    fn sent(&mut self, dial: u64, bytes: &[u8]) {
        let Some(way) = self.ways.get_mut(&dial) else { return };
        way.turn += 1;
        let answer = match way.turn {
            1..=3 => {
                let (len, frame) = bytes.split_first_chunk::<4>().unwrap();
                assert_eq!(u32::from_be_bytes(*len) as usize, frame.len());
                let said = way.serving.hear(frame);
                [&u32::try_from(said.len()).unwrap().to_be_bytes()[..], &said].concat()
            }
            4 => way.serving.hear(bytes),
            _ => {
                let mut replies = Vec::new();
                for message in way.serving.all(bytes) {
                    let request = Request::decode(&message).unwrap();
                    way.receipts += 1;
                    let receipt = Box::new(way.serving.receipt(&way.node.ledger, way.receipts, 1));
                    replies.push(Reply { number: 0, body: Answer::Receipt(receipt) }.encode());
                    replies.push(Reply { number: request.number, body: self.store.answer(request.op) }.encode());
                }
                way.serving.says(&replies)
            }
        };
        self.event(json!({ "is": "written", "dial": dial, "waiting": 0 }), b"");
        // Cut anywhere.
        let middle = answer.len() / 2;
        for piece in [&answer[..middle], &answer[middle..]] {
            self.event(json!({ "is": "arrived", "dial": dial }), piece);
        }
    }
}
