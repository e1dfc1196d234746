//! The thread of a connected client: it asks the core, and carries out what the core wants through the host.
//!
//! Decides: the order. Effects are carried out one after the other as they came; what they bring about is told to the core afterwards, in order; a memory that could not be kept
//! ends the batch, and that is told before anything else: before the next question, too. While questions wait it waits for bytes, otherwise for questions; never longer
//! than the core's next time.
//! Trusts: the host for time and randomness. Out of scope: every rule of a session (`ringwall-session`); callers (`client.rs`). docs/core.md, "Effects".

use super::client::{Order, Reply};
use super::core::Core;
use super::frame::{Head, client, digest, frame, frames, head, hex, is_refusal, kind, parts, question, refusal, sequence};
use super::host::{Dial, Host, Over, Received};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;
use zeroize::Zeroizing;

/// Bytes one call of `receive` may bring.
pub const RECEIVE_BYTES: usize = 64 * 1024;
/// Milliseconds a host may take for one way.
pub const DIAL_MS: u32 = 5_000;
/// Milliseconds to wait for bytes while questions wait; a new question waits as long at most.
const RECEIVE_MS: u32 = 20;
/// Milliseconds between two looks for bytes while no question waits.
const LOOK_MS: u64 = 20;
/// Milliseconds between two looks at anything while no way is open.
const IDLE_MS: u64 = 200;
/// Calls that may follow one another before the client is taken to be one that never comes to rest: far above what an opening or a full watch needs.
const ROUNDS: usize = 100_000;

/// Said where the core cannot say it any more.
const UNKEPT: &str =
    "the last memory could not be kept, and without it a rollback would go unnoticed. Give the program room to keep it, then connect again";

/// Event and payload, for the core.
type Event = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// Whether the rest of a batch may be done.
enum Batch {
    GoesOn,
    Ends,
}

/// One client's core, its host, and what is under way between them.
pub(crate) struct Driver {
    core: Box<dyn Core>,
    host: Box<dyn Host>,
    client: u64,
    ways: BTreeSet<u64>,
    wake: Option<u64>,
    waiting: BTreeMap<u64, SyncSender<Reply>>,
    events: VecDeque<Event>,
    over: Option<Vec<u8>>,
    /// Its memory could not be kept: what the core says of that, or, where it had ended with the very same batch, we.
    is_unkept: bool,
}

/// Fields every call brings: when, and 32 new bytes.
pub(crate) fn brought(host: &mut dyn Host) -> Option<Zeroizing<String>> {
    let mut fresh = Zeroizing::new([0; 32]);
    host.random(&mut fresh).then(|| {
        let fresh = hex(&*fresh);
        Zeroizing::new(format!("\"now_ms\":{},\"now_s\":{},\"fresh\":\"{}\"", host.now_ms(), host.now_s(), &**fresh))
    })
}

fn event(value: &Value) -> Event {
    (Zeroizing::new(value.to_string().into_bytes()), Zeroizing::default())
}

impl Driver {
    /// Takes a client that was opened, and the answer of its opening.
    pub(crate) fn new(core: Box<dyn Core>, host: Box<dyn Host>, opened: &[u8]) -> Self {
        let client = client(opened).unwrap_or_default();
        let (ways, waiting) = (BTreeSet::new(), BTreeMap::new());
        let mut driver = Driver { core, host, client, ways, wake: None, waiting, events: VecDeque::new(), over: None, is_unkept: false };
        driver.carry_out_all(opened);
        driver
    }

    /// Goes on until the client is over or nobody wants it any more; the frame that says why it is over.
    pub(crate) fn run(mut self, orders: &Receiver<Order>, is_closing: &dyn Fn() -> bool) -> Vec<u8> {
        let mut room = Zeroizing::new(vec![0; RECEIVE_BYTES]);
        loop {
            self.settle();
            let closing = is_closing();
            if closing {
                self.events.push_back(event(&json!({ "is": "close" })));
                self.settle();
            }
            if closing || self.over.is_some() {
                break;
            }
            let left = self.wake.map(|at| at.saturating_sub(self.host.now_ms()));
            if left == Some(0) {
                self.wake = None;
                self.events.push_back(event(&json!({ "is": "tick" })));
                continue;
            }
            if !self.look(orders, left.unwrap_or(IDLE_MS), &mut room) {
                break;
            }
        }
        for dial in std::mem::take(&mut self.ways) {
            self.host.hang_up(dial, false);
        }
        let over = self.over.take().unwrap_or_else(|| sequence(&frame(b"{\"is\":\"ended\"}", b"")));
        for (_, asker) in std::mem::take(&mut self.waiting) {
            let _ = asker.try_send(Reply::Ended(over.clone()));
        }
        over
    }

    /// Waits for what comes next, at most `left` milliseconds; false when nobody can ask any more.
    fn look(&mut self, orders: &Receiver<Order>, left: u64, room: &mut [u8]) -> bool {
        // One, and then what came of it: where the memory could not be kept, nobody's question is carried out after that.
        if let Ok(order) = orders.try_recv() {
            self.obey(order);
            return true;
        }
        let busy = !self.waiting.is_empty() && !self.ways.is_empty();
        let each = if busy { (RECEIVE_MS / u32::try_from(self.ways.len()).unwrap_or(1)).max(1) } else { 0 };
        let each = each.min(u32::try_from(left).unwrap_or(u32::MAX));
        let mut heard = false;
        for dial in self.ways.clone() {
            heard |= self.hear(dial, each, room);
        }
        if heard || busy {
            return true;
        }
        let pause = if self.ways.is_empty() { IDLE_MS } else { LOOK_MS };
        match orders.recv_timeout(Duration::from_millis(pause.min(left))) {
            Ok(order) => self.obey(order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    /// Bytes of one way, or that it is lost; whether there was anything.
    fn hear(&mut self, dial: u64, within_ms: u32, room: &mut [u8]) -> bool {
        match self.host.receive(dial, room, within_ms) {
            Received::Bytes(len) => {
                let bytes = Zeroizing::new(room[..len.min(room.len())].to_vec());
                self.events.push_back((event(&json!({ "is": "arrived", "dial": dial })).0, bytes));
                true
            }
            Received::Nothing => false,
            Received::Lost => {
                self.lost(dial, "the host lost it");
                true
            }
        }
    }

    fn lost(&mut self, dial: u64, why: &str) {
        if self.ways.remove(&dial) {
            self.events.push_back(event(&json!({ "is": "lost", "dial": dial, "why": why })));
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Ask { ticket, op, payload, reply } => {
                let Some(asked) = question(ticket, &op) else {
                    let words = "the operation is not one JSON value of at most 64 KiB; write it as docs/core.md says";
                    let _ = reply.try_send(Reply::Refused(refusal("RW-C-CALL-HEAD", words)));
                    return;
                };
                self.waiting.insert(ticket, reply);
                let refused = self.say(&asked, &payload).filter(|answer| is_refusal(answer));
                if let Some((refused, asker)) = refused.and_then(|refused| Some((refused, self.waiting.remove(&ticket)?))) {
                    let _ = asker.try_send(Reply::Refused(refused.to_vec()));
                }
            }
            Order::Forget { ticket } => {
                if self.waiting.remove(&ticket).is_some() {
                    self.events.push_back(event(&json!({ "is": "forget", "ticket": ticket })));
                }
            }
            Order::Close => {}
        }
    }

    /// Tells the core everything that waits, and what comes of that.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let Some((told, payload)) = self.events.pop_front().filter(|_| self.over.is_none()) else { return };
            // Only questions may be refused. A host that is refused otherwise, whose clock is none, say, cannot go on.
            if let Some(refused) = self.say(&told, &payload).filter(|answer| is_refusal(answer)) {
                self.over = Some(if self.is_unkept { refusal("RW-C-MEMORY-UNKEPT", UNKEPT) } else { refused.to_vec() });
            }
        }
        self.over = Some(refusal("RW-C-CALL-ENDED", "the client never came to rest; close it and connect again"));
    }

    /// One call of the core, and its effects. `None` where no call was made.
    fn say(&mut self, told: &[u8], payload: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let Some(brought) = brought(&mut *self.host) else {
            let words = "the host's callback for randomness failed; the client is over";
            self.over = Some(refusal("RW-C-CALL-RANDOM", words));
            return None;
        };
        let client = self.client;
        let mut whole = Zeroizing::new(Vec::with_capacity(told.len() + brought.len() + 64));
        whole.extend(format!("{{\"client\":{client},").as_bytes());
        whole.extend(brought.as_bytes());
        whole.extend(b",\"event\":");
        whole.extend(told);
        whole.extend(b"}");
        let answer = Zeroizing::new(self.core.handle(&frame(&whole, payload)));
        self.carry_out_all(&answer);
        Some(answer)
    }

    fn carry_out_all(&mut self, answer: &[u8]) {
        for frame in frames(answer) {
            if let Batch::Ends = self.carry_out(frame) {
                return;
            }
        }
    }

    fn carry_out(&mut self, effect: &[u8]) -> Batch {
        let (Some(kind), Some((_, payload))) = (kind(effect), parts(effect)) else { return Batch::GoesOn };
        match kind.as_str() {
            "believed" | "disbelieved" => {
                self.host.told(effect);
                return Batch::GoesOn;
            }
            "ended" => {
                self.host.told(effect);
                self.over = Some(sequence(effect));
                return Batch::Ends;
            }
            _ => {}
        }
        let Some(told) = head(effect) else { return Batch::GoesOn };
        let dial = told.dial.unwrap_or_default();
        match kind.as_str() {
            "dial" => self.dial(dial, &told),
            "send" if self.ways.contains(&dial) => match self.host.send(dial, payload) {
                true => self.events.push_back(event(&json!({ "is": "written", "dial": dial, "waiting": 0 }))),
                false => self.lost(dial, "the host could not send"),
            },
            "sign" => {
                let signed = match self.host.sign(payload) {
                    Some(signature) => (event(&json!({ "is": "signed", "dial": dial })).0, Zeroizing::new(signature.to_vec())),
                    None => event(&json!({ "is": "unsigned", "dial": dial, "why": "the host did not sign" })),
                };
                self.events.push_back(signed);
            }
            "keep" if !self.host.keep(payload) => {
                self.is_unkept = true;
                self.events.push_front(event(&json!({ "is": "unkept", "why": "the host could not keep it" })));
                return Batch::Ends;
            }
            "hang_up" if self.ways.remove(&dial) => self.host.hang_up(dial, told.well.unwrap_or_default()),
            "answer" => {
                if let Some(asker) = told.ticket.and_then(|ticket| self.waiting.remove(&ticket)) {
                    let answer = sequence(effect);
                    let _ =
                        asker.try_send(if told.error.is_some() { Reply::Refused(answer) } else { Reply::Answered(Zeroizing::new(answer)) });
                }
            }
            "wake" => self.wake = told.at_ms,
            _ => {}
        }
        Batch::GoesOn
    }

    fn dial(&mut self, dial: u64, told: &Head) {
        let over = told.over.as_deref().and_then(Over::of);
        let certificates: Vec<u8> = told.certificates.iter().filter_map(|text| digest(text)).flatten().collect();
        let shown = over.and_then(|over| {
            let address = told.address.as_deref()?;
            let within_ms = told.within_ms.map_or(DIAL_MS, |most| DIAL_MS.min(u32::try_from(most).unwrap_or(DIAL_MS)));
            self.host.dial(&Dial { dial, address, over, certificates: &certificates, within_ms })
        });
        let Some((over, shown)) = over.zip(shown) else {
            self.events.push_back(event(&json!({ "is": "unreached", "dial": dial, "why": "the host could not open it" })));
            return;
        };
        self.ways.insert(dial);
        let mut reached = json!({ "is": "reached", "dial": dial, "over": over.name() });
        let named = match over {
            Over::Native => Some("binding"),
            Over::WebTransport => Some("certificate"),
            Over::WebSocket => None,
        };
        if let Some(name) = named {
            reached[name] = json!(**hex(&shown));
        }
        self.events.push_back(event(&reached));
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Events, Script, Scripted};
    use super::*;
    use std::sync::mpsc::sync_channel;

    fn order(ticket: u64, op: &str, reply: &SyncSender<Reply>) -> Order {
        let (op, payload) = (Zeroizing::new(format!("{{\"is\":\"{op}\"}}").into_bytes()), Zeroizing::new(b"bytes".to_vec()));
        Order::Ask { ticket, op, payload, reply: reply.clone() }
    }

    #[test]
    fn after_a_memory_that_was_not_kept_no_queued_question_is_carried_out() {
        let host = Scripted { fails: Some("keep more"), ..Scripted::default() };
        let events: Events = host.events.clone();
        let asked = json!({ "now_ms": 1, "now_s": 1, "fresh": "03".repeat(32), "device": { "seed": "00" } }).to_string();
        let (core, opened) = Script::opening(events.clone())(&frame(asked.as_bytes(), b""));
        let (orders, inbox) = sync_channel(4);
        let (reply, told) = sync_channel(4);
        for (ticket, op) in [(1, "send"), (2, "keep"), (3, "send")] {
            orders.try_send(order(ticket, op, &reply)).unwrap();
        }
        let over = Driver::new(core, Box::new(host), &opened).run(&inbox, &|| false);
        assert!(String::from_utf8_lossy(&over).contains("RW-C-MEMORY-UNKEPT"));
        let all = events.all();
        let failed = all.iter().position(|event| event == "host keep more").unwrap();
        let sent = all[..failed].iter().filter(|event| *event == "host send").count();
        assert_eq!(sent, 2, "the opening, and the question before it: {all:?}");
        assert_eq!(all[failed + 1..], ["core unkept", "host told ended", "host hang_up"], "and nothing after it");
        assert!(matches!(told.try_recv(), Ok(Reply::Answered(_))) && matches!(told.try_recv(), Ok(Reply::Ended(_))));
        assert!(told.try_recv().is_err() && inbox.try_recv().is_ok(), "the last one was never taken up");
    }

    #[test]
    fn a_last_memory_that_was_not_kept_is_told_though_the_core_has_ended() {
        let host = Scripted { fails: Some("keep more"), ..Scripted::default() };
        let asked = json!({ "now_ms": 1, "now_s": 1, "fresh": "03".repeat(32), "device": { "seed": "00" } }).to_string();
        let (core, opened) = Script::opening(host.events.clone())(&frame(asked.as_bytes(), b""));
        let (orders, inbox) = sync_channel(4);
        let (reply, told) = sync_channel(4);
        orders.try_send(order(1, "keep and end", &reply)).unwrap();
        let over = Driver::new(core, Box::new(host), &opened).run(&inbox, &|| false);
        assert!(String::from_utf8_lossy(&over).contains("RW-C-MEMORY-UNKEPT"), "{}", String::from_utf8_lossy(&over));
        assert!(matches!(told.try_recv(), Ok(Reply::Ended(_))));
    }
}
