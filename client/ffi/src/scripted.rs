//! A core and a host that do as they are told, for the tests of what lies between them.
//!
//! Decides: what is answered to which event, enough of docs/core.md for every effect to happen once; and, on demand, a panic, silence, a host that fails.
//! Trusts: nothing. Out of scope: sessions. A real core is driven by the programs in `client/ffi/tests` and by `tests/tests/languages.rs`.

use super::core::{Core, Opening};
use super::frame::{frame, parts, refusal, sequence};
use super::host::{Dial, Host, Received};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    /// All of it.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn effect(head: &Value, payload: &[u8]) -> Vec<u8> {
    sequence(&frame(head.to_string().as_bytes(), payload))
}

/// A core whose one node echoes.
#[derive(Default)]
pub(crate) struct Script {
    events: Events,
    values: BTreeMap<String, Vec<u8>>,
    is_over: bool,
}

impl Script {
    /// Opens one that writes down what it is told.
    pub(crate) fn opening(events: Events) -> Opening {
        Box::new(move |asked| {
            let head: Value = serde_json::from_slice(parts(asked).unwrap().0).unwrap();
            assert!(head["now_ms"].is_u64() && head["now_s"].is_u64() && head["fresh"].as_str().unwrap().len() == 64);
            let script: Box<dyn Core> = Box::new(Script { events, ..Script::default() });
            if head["device"]["seed"].is_null() {
                return (script, refusal("RW-C-CALL-HEAD", "no device"));
            }
            let opened = effect(&json!({ "is": "opened", "client": 7, "cluster": "c", "user": "u" }), b"");
            let dial = json!({ "is": "dial", "dial": 1, "address": "node:1", "over": "native", "certificates": ["aa".repeat(32)] });
            (script, [opened, effect(&dial, b""), effect(&json!({ "is": "wake", "at_ms": 40 }), b"")].concat())
        })
    }

    fn ask(&mut self, ticket: u64, op: &Value, payload: &[u8]) -> Vec<u8> {
        let answer = |answer: Value, payload: &[u8]| effect(&json!({ "is": "answer", "ticket": ticket, "answer": answer }), payload);
        let key = format!("{}{}", op["key"], op["key_hex"]);
        match op["is"].as_str().unwrap() {
            "put" => {
                self.values.insert(key, payload.to_vec());
                answer(json!({ "version": 5 }), b"")
            }
            "get" => match self.values.get(&key) {
                Some(value) => answer(json!({ "found": true, "version": 5 }), value),
                None => answer(json!({ "found": false }), b""),
            },
            "conflict" => effect(&json!({ "is": "answer", "ticket": ticket, "error": { "code": "RW-C-CONFLICT", "words": "w" } }), b""),
            "unknown" => refusal("RW-C-CALL-HEAD", "no such operation"),
            "status" => answer(json!({ "version": "a text", "found": [] }), b""),
            "keep" => [effect(&json!({ "is": "keep" }), b"more"), answer(json!({}), b"")].concat(),
            "send" => [effect(&json!({ "is": "send", "dial": 1 }), payload), answer(json!({}), b"")].concat(),
            "keep and end" => {
                self.is_over = true;
                [effect(&json!({ "is": "keep" }), b"more"), effect(&json!({ "is": "ended" }), b"")].concat()
            }
            "end" => effect(&json!({ "is": "ended", "error": { "code": "RW-C-X", "words": "w" } }), b""),
            "silence" => Vec::new(),
            other => panic!("asked to: {other}"),
        }
    }
}

impl Core for Script {
    fn handle(&mut self, asked: &[u8]) -> Vec<u8> {
        let (head, payload) = parts(asked).unwrap();
        let head: Value = serde_json::from_slice(head).unwrap();
        let event = &head["event"];
        self.events.add(format!("core {}", event["is"].as_str().unwrap()));
        if self.is_over {
            return refusal("RW-C-CALL-CLIENT", "no such client");
        }
        match event["is"].as_str().unwrap() {
            "reached" => {
                assert_eq!(event["binding"], "07".repeat(32));
                let sign = effect(&json!({ "is": "sign", "dial": 1 }), b"words");
                [effect(&json!({ "is": "send", "dial": 1 }), b"hello"), sign].concat()
            }
            "signed" => {
                assert_eq!(payload, [9; 64]);
                let believed = json!({ "is": "believed", "dial": 1, "address": 5, "error": 1, "certificates": "no list" });
                [effect(&believed, b"saved"), effect(&json!({ "is": "keep" }), b"memory")].concat()
            }
            "ask" => self.ask(event["ticket"].as_u64().unwrap(), &event["op"], payload),
            "close" => [effect(&json!({ "is": "hang_up", "dial": 1, "well": true }), b""), effect(&json!({ "is": "ended" }), b"")].concat(),
            "unkept" => effect(&json!({ "is": "ended", "error": { "code": "RW-C-MEMORY-UNKEPT", "words": "w" } }), b""),
            _ => Vec::new(),
        }
    }
}

/// A host that writes down what it does, and fails where it is told to.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) events: Events,
    pub(crate) now_ms: Arc<Mutex<u64>>,
    pub(crate) sent: Arc<Mutex<Vec<u8>>>,
    pub(crate) fails: Option<&'static str>,
}

impl Scripted {
    fn does(&self, what: &str) -> bool {
        self.events.add(format!("host {what}"));
        self.fails != Some(what)
    }
}

impl Host for Scripted {
    fn dial(&mut self, wanted: &Dial<'_>) -> Option<[u8; 32]> {
        assert_eq!((wanted.address, wanted.certificates), ("node:1", &[0xaa; 32][..]));
        self.does("dial").then_some([7; 32])
    }

    fn send(&mut self, _: u64, bytes: &[u8]) -> bool {
        self.sent.lock().unwrap().extend(bytes);
        self.does("send")
    }

    fn receive(&mut self, _: u64, into: &mut [u8], within_ms: u32) -> Received {
        if self.fails == Some("receive") {
            return Received::Lost;
        }
        let mut sent = self.sent.lock().unwrap();
        if sent.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(within_ms.min(2).into()));
            return Received::Nothing;
        }
        let len = sent.len();
        into[..len].copy_from_slice(&sent);
        sent.clear();
        Received::Bytes(len)
    }

    fn hang_up(&mut self, _: u64, well: bool) {
        self.does(if well { "hang_up well" } else { "hang_up" });
    }

    fn now_ms(&mut self) -> u64 {
        let mut now = self.now_ms.lock().unwrap();
        *now += 1;
        *now
    }

    fn now_s(&mut self) -> u64 {
        1_800_000_000
    }

    fn random(&mut self, into: &mut [u8; 32]) -> bool {
        into.fill(3);
        self.fails != Some("random")
    }

    fn keep(&mut self, memory: &[u8]) -> bool {
        self.does(if memory == b"memory" { "keep" } else { "keep more" })
    }

    fn sign(&mut self, words: &[u8]) -> Option<[u8; 64]> {
        assert_eq!(words, b"words");
        self.does("sign").then_some([9; 64])
    }

    fn told(&mut self, frame: &[u8]) {
        self.does(&format!("told {}", super::frame::kind(frame).unwrap()));
    }
}
