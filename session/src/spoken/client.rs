//! One client in words: events in, effects out.
//!
//! Decides: whose ticket is whose; that a call which is refused changes nothing; the order of what is told, which is that of the client below. Numbers of the host are
//! kept apart from those used inside, so a ticket can be used again as soon as it is free.
//! Trusts: nothing a host says but time and randomness. Out of scope: operations (`asked.rs`), frames (`frame.rs`). docs/core.md, "Events" and "Effects".

use super::asked::{Asking, Begun, Next, Outcome, Pending};
use super::chance::Chance;
use super::frame::{CallFault, Told, at_most, bare, fault};
use super::heads::{Event, Op, OverHead, bytes, over_name};
use crate::anchor::Misdeed;
use crate::dial::DialError;
use crate::error::ConnectError;
use crate::explain::Explanation;
use crate::opening::Now;
use crate::ops::{Following, escrow};
use crate::shown;
use crate::verification::Examined;
use crate::wired::{Out, Over, Reached, Wired, Word};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, Revision, Signature};
use ringwall_wire::request::Events;
use ringwall_wire::text::hex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// Bytes of a node in one call.
const ARRIVED_BYTES: usize = 1024 * 1024;
/// Questions that are not answered.
const TICKETS: usize = 1_024;
/// Bytes of values in questions that are not answered.
const ASKED_BYTES: usize = 32 * 1024 * 1024;
/// Characters of what a host says of a failure.
const WHY_CHARS: usize = 200;

/// One client.
pub(super) struct Client {
    wired: Wired,
    chance: Chance,
    asking: Asking,
    /// Tickets in use, with the numbers they have inside.
    tickets: BTreeMap<u64, u64>,
    asked: BTreeMap<u64, Asked>,
    watches: BTreeMap<u64, Watched>,
    next_number: u64,
    now_ms: u64,
    /// What was told of the next call that is wanted.
    wake: Option<u64>,
    /// Dials whose judgement was told as a refusal.
    refused: BTreeSet<u64>,
}

struct Asked {
    ticket: u64,
    pending: Box<Pending>,
    bytes: usize,
}

struct Watched {
    ticket: u64,
    following: Following,
}

impl Client {
    pub(super) fn new(wired: Wired, chance: Chance, asking: Asking, now: Now) -> Self {
        Client {
            wired,
            chance,
            asking,
            tickets: BTreeMap::new(),
            asked: BTreeMap::new(),
            watches: BTreeMap::new(),
            next_number: 1,
            now_ms: now.ms,
            wake: None,
            refused: BTreeSet::new(),
        }
    }

    pub(super) fn chance(&self) -> &Chance {
        &self.chance
    }

    /// One call: an event, and everything that is left to do then. The second is true when the client is over. A refused event changed nothing, its time included.
    pub(super) fn handle(&mut self, event: Event, payload: &[u8], told: Now) -> Result<(Vec<Told>, bool), CallFault> {
        // The host's time does not go back.
        let now = Now { ms: self.now_ms.max(told.ms), s: told.s };
        let mut said = self.take(event, payload, now)?;
        self.now_ms = now.ms;
        let over = self.effects(now, &mut said);
        Ok((said, over))
    }

    /// Takes an event; gives what somebody is told at once.
    fn take(&mut self, event: Event, payload: &[u8], now: Now) -> Result<Vec<Told>, CallFault> {
        let mut rng = self.chance.clone();
        if !matches!(event, Event::Arrived { .. } | Event::Signed { .. } | Event::Ask { .. }) {
            bare(payload)?;
        }
        match event {
            Event::Reached { dial, over, certificate, binding } => {
                let how = self.how(dial, over, certificate.map(|it| it.open()), binding.map(|it| it.open()))?;
                if let Some(how) = how {
                    self.wired.reached(dial, how, now, &mut rng);
                }
            }
            Event::Arrived { dial } => {
                at_most("what arrived", payload.len(), ARRIVED_BYTES)?;
                self.wired.arrived(self.known(dial)?, payload, now, &mut rng);
            }
            Event::Written { dial, waiting } => {
                self.wired.written(self.known(dial)?, usize::try_from(waiting).unwrap_or(usize::MAX));
            }
            Event::Unreached { dial, why } | Event::Lost { dial, why } => self.wired.lost(self.known(dial)?, short(&why), now),
            Event::Signed { dial } => {
                let signature =
                    payload.try_into().map(Signature).map_err(|_| CallFault::Frame("has no signature of 64 bytes as its payload"))?;
                self.wired.signed(self.known(dial)?, Ok(signature), now, &mut rng);
            }
            Event::Unsigned { dial, why } => self.wired.signed(self.known(dial)?, Err(short(&why)), now, &mut rng),
            Event::Unkept { why } => self.wired.unkept(&short(&why)),
            Event::Tick {} => self.wired.tick(now),
            Event::Ask { ticket, op } => return self.ask(ticket, op, payload, now),
            Event::Watch { ticket, namespace, prefix, prefix_hex, after } => {
                let prefix = bytes("prefix", prefix, prefix_hex)?.unwrap_or_default();
                return self.watch(ticket, &namespace, &prefix, Revision(after));
            }
            Event::ReadOn { ticket } => {
                if let Some(number) = self.tickets.get(&ticket) {
                    self.wired.worked_off(*number);
                }
            }
            Event::Forget { ticket } => {
                if let Some(number) = self.tickets.remove(&ticket) {
                    self.asked.remove(&number);
                    self.watches.remove(&number);
                    self.wired.forget(number);
                }
            }
            Event::Close {} => self.wired.close(),
        }
        Ok(Vec::new())
    }

    /// A dial that was asked for.
    fn known(&self, dial: u64) -> Result<u64, CallFault> {
        if self.wired.has_dialled(dial) { Ok(dial) } else { Err(CallFault::Dial(dial)) }
    }

    /// How a way came to be open; none for a dial that is over.
    fn how(
        &self,
        dial: u64,
        over: OverHead,
        certificate: Option<[u8; 32]>,
        binding: Option<[u8; 32]>,
    ) -> Result<Option<Reached>, CallFault> {
        let Some(way) = self.wired.way(self.known(dial)?) else { return Ok(None) };
        let wrong = |why: &str| CallFault::Head(format!("dial {dial} was to go over {}: {why}", over_name(way.over)));
        match (Over::from(over), certificate.map(Digest), binding) {
            (over, _, _) if over != way.over => Err(wrong("it was opened another way")),
            (Over::Native, None, Some(binding)) => Ok(Some(Reached::Native(binding))),
            (Over::WebTransport, Some(certificate), None) if way.certificates.contains(&certificate) => {
                Ok(Some(Reached::WebTransport(certificate)))
            }
            (Over::WebSocket, None, None) => Ok(Some(Reached::WebSocket)),
            (Over::Native, _, _) => Err(wrong("`binding` is needed, and nothing else")),
            (Over::WebTransport, _, _) => Err(wrong("`certificate` is needed, one of those it named, and nothing else")),
            (Over::WebSocket, _, _) => Err(wrong("neither `certificate` nor `binding` is known there")),
        }
    }

    /// A number for a new ticket.
    fn number(&mut self, ticket: u64) -> Result<u64, CallFault> {
        if self.tickets.contains_key(&ticket) {
            return Err(CallFault::Ticket { ticket, why: "is in use: use another one, or wait for its answer" });
        }
        if self.tickets.len() >= TICKETS {
            return Err(CallFault::Ticket { ticket, why: "is one too many: 1,024 questions are not answered" });
        }
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        Ok(number)
    }

    fn ask(&mut self, ticket: u64, op: Op, payload: &[u8], now: Now) -> Result<Vec<Told>, CallFault> {
        let number = self.number(ticket)?;
        let waiting: usize = self.asked.values().map(|asked| asked.bytes).sum();
        at_most("values in questions that are not answered", waiting.saturating_add(payload.len()), ASKED_BYTES)?;
        let begun = match op {
            Op::Phrase {} | Op::Anchor {} | Op::Evidence {} => {
                bare(payload)?;
                Begun::Over(Ok(self.at_once(&op)))
            }
            op => {
                let chance = self.chance.clone();
                self.asking.begin(op, payload, || Box::new(chance))?
            }
        };
        match begun {
            Begun::Over(outcome) => Ok(vec![answered(ticket, outcome)]),
            Begun::Asked(pending, ask) => {
                self.tickets.insert(ticket, number);
                self.asked.insert(number, Asked { ticket, pending, bytes: payload.len() });
                self.wired.submit(number, ask, now);
                Ok(Vec::new())
            }
        }
    }

    /// Operations that need no node.
    fn at_once(&mut self, op: &Op) -> (Value, Zeroizing<Vec<u8>>) {
        match op {
            Op::Phrase {} => {
                let phrase = escrow::new_phrase(&mut self.chance.clone());
                (json!({ "words": 24 }), Zeroizing::new(phrase.words().as_bytes().to_vec()))
            }
            Op::Evidence {} => match self.wired.kept().evidence() {
                Some((misdeed, file)) => (json!({ "what": misdeed_name(misdeed) }), Zeroizing::new(file)),
                None => (json!({ "what": null }), Zeroizing::default()),
            },
            _ => (self.anchor(), Zeroizing::default()),
        }
    }

    /// What is remembered of the cluster.
    pub(super) fn anchor(&self) -> Value {
        let memory = self.wired.kept().memory();
        let newest = memory.anchor.as_ref().map(|anchor| {
            let head = &anchor.newest.head;
            json!({
                "epoch": head.epoch.0, "entries": head.tree.size, "index": head.index, "head": hex(&head.digest()),
                "incarnation": head.incarnation.0, "receipts": anchor.receipts().count(),
            })
        });
        let known = newest.is_some();
        let rest = json!({
            "known": known,
            "policy_version": memory.policy.as_ref().and_then(|known| Some(known.policy().ok()?.version.0)),
            "policy_changes": memory.policy.as_ref().map(|known| known.steps.len()),
            "log_head": memory.head.as_ref().and_then(|head| log_head(&head.note)),
            "detected": self.wired.kept().evidence().map(|(misdeed, _)| misdeed_name(misdeed)),
            "unkept_receipts": self.wired.keeps_later(),
        });
        shown::merged(rest, newest.unwrap_or(Value::Null))
    }

    fn watch(&mut self, ticket: u64, namespace: &str, prefix: &[u8], after: Revision) -> Result<Vec<Told>, CallFault> {
        let number = self.number(ticket)?;
        let over = |error: Value| Ok(vec![Told::new("over", json!({ "ticket": ticket, "error": error }))]);
        let space = match self.asking.space(namespace) {
            Ok(space) => space,
            Err(refused) => return over(fault(refused.code(), &refused)),
        };
        let name = space.name().clone();
        let following = Following::new(space, prefix)
            .and_then(|following| self.wired.watch(number, name, following.asked(), after).map(|()| following));
        match following {
            Ok(following) => {
                self.tickets.insert(ticket, number);
                self.watches.insert(number, Watched { ticket, following });
                Ok(Vec::new())
            }
            Err(refused) => over(fault(refused.code(), &refused)),
        }
    }

    /// Everything that is left to do, in order. The second is true when the client is over.
    pub(super) fn effects(&mut self, now: Now, told: &mut Vec<Told>) -> bool {
        let mut rng = self.chance.clone();
        let mut over = false;
        while let Some(out) = self.wired.next(now, &mut rng) {
            over |= matches!(out, Out::Ended(_));
            self.say(out, now, told);
        }
        let wake = self.wired.wake();
        if !over && wake != self.wake {
            self.wake = wake;
            told.push(Told::new("wake", json!({ "at_ms": wake })));
        }
        over
    }

    fn say(&mut self, out: Out, now: Now, told: &mut Vec<Told>) {
        told.push(match out {
            Out::Dial { dial, way, within_ms } => {
                let certificates: Vec<String> = way.certificates.iter().map(ToString::to_string).collect();
                let over = over_name(way.over);
                let head =
                    json!({ "dial": dial, "address": way.address, "over": over, "certificates": certificates, "within_ms": within_ms });
                Told::new("dial", head)
            }
            Out::Send { dial, bytes } => Told::with("send", json!({ "dial": dial }), Zeroizing::new(bytes)),
            Out::Sign { dial, words } => Told::with("sign", json!({ "dial": dial }), Zeroizing::new(words)),
            Out::Keep(bytes) => Told::with("keep", json!({}), Zeroizing::new(bytes)),
            Out::HangUp { dial, well } => Told::new("hang_up", json!({ "dial": dial, "well": well })),
            Out::Judged { dial, judged } => {
                let (exchange, examined) = *judged;
                if examined.verdict.is_err() {
                    self.refused.insert(dial);
                }
                let (is, head) = judged_told(&examined);
                Told::with(is, shown::merged(json!({ "dial": dial }), head), Zeroizing::new(exchange.to_bytes()))
            }
            Out::Unusable { dial, address, fault } => {
                if self.refused.remove(&dial) && matches!(fault, DialError::Evidence(_) | DialError::OldPolicy(_)) {
                    return;
                }
                let (is, error) = unusable(&address, fault);
                Told::new(is, json!({ "dial": dial, "address": address, "error": error }))
            }
            Out::Word(word) => return self.heard(word, now, told),
            Out::Ended(None) => Told::new("ended", json!({})),
            Out::Ended(Some(why)) => Told::new("ended", json!({ "error": of_connect(&why) })),
        });
    }

    fn heard(&mut self, word: Word, now: Now, told: &mut Vec<Told>) {
        match word {
            Word::Outcome(number, outcome) => {
                let Some(asked) = self.asked.get_mut(&number) else { return };
                let chance = self.chance.clone();
                let next = asked.pending.take(&mut self.asking, outcome, || Box::new(chance));
                let outcome = match next {
                    Next::Ask(ask) => return self.wired.submit(number, ask, now),
                    Next::Keep(unlock, ask) => match self.wired.keep(unlock) {
                        true => return self.wired.submit(number, ask, now),
                        false => Err(Pending::no_room()),
                    },
                    Next::Over(outcome) => outcome,
                };
                let ticket = asked.ticket;
                self.asked.remove(&number);
                self.tickets.remove(&ticket);
                told.push(answered(ticket, outcome));
            }
            Word::Events(number, events) => {
                let Some(watched) = self.watches.get(&number) else { return };
                let (ticket, through) = (watched.ticket, events.through);
                match changes(&watched.following, events) {
                    Ok((changes, payload)) => {
                        let head = json!({ "ticket": ticket, "through": through.0, "changes": changes });
                        told.push(Told::with("events", head, payload));
                    }
                    Err(error) => {
                        self.wired.forget(number);
                        self.watch_over(number, Some(error), told);
                    }
                }
            }
            Word::Over(number, refused) => self.watch_over(number, Some(fault(refused.code(), &refused)), told),
        }
    }

    fn watch_over(&mut self, number: u64, error: Option<Value>, told: &mut Vec<Told>) {
        let Some(Watched { ticket, .. }) = self.watches.remove(&number) else { return };
        self.tickets.remove(&ticket);
        told.push(Told::new("over", json!({ "ticket": ticket, "error": error })));
    }
}

/// Changes with their values one after the other.
fn changes(following: &Following, events: Events) -> Result<(Vec<Value>, Zeroizing<Vec<u8>>), Value> {
    let changes = following.changes(events).map_err(|refused| fault(refused.code(), &refused))?;
    // As long as it will be: what grows leaves copies behind.
    let bytes = changes.iter().filter_map(|change| change.value.as_ref()).map(Vec::len).sum();
    let mut payload = Zeroizing::new(Vec::with_capacity(bytes));
    let told = changes.into_iter().map(|change| {
        let mut object = Map::new();
        shown::put_bytes(&mut object, "key", &change.key);
        object.insert("revision".into(), change.revision.0.into());
        match change.value {
            Some(value) => {
                object.insert("bytes".into(), value.len().into());
                payload.extend_from_slice(&value);
            }
            None => drop(object.insert("removed".into(), true.into())),
        }
        Value::Object(object)
    });
    Ok((told.collect(), payload))
}

fn answered(ticket: u64, outcome: Outcome) -> Told {
    match outcome {
        Ok((answer, payload)) => Told::with("answer", json!({ "ticket": ticket, "answer": answer }), payload),
        Err(error) => Told::new("answer", json!({ "ticket": ticket, "error": error })),
    }
}

/// A judgement: what was verified or the refusal, and the chain of reasons.
pub(super) fn judged_told(examined: &Examined) -> (&'static str, Value) {
    let Examined { place, at_s, verdict, trace } = examined;
    let (is, what, explanation) = match verdict {
        Ok(seen) => ("believed", shown::verification(seen), Explanation::accepted(trace, *at_s)),
        Err(error) => {
            let refused = ConnectError::of_evidence(place.clone(), std::sync::Arc::clone(error), Vec::new());
            let what = json!({ "address": place, "error": fault(refused.code(), &refused) });
            ("disbelieved", what, Explanation::refused(trace, *at_s, error))
        }
    };
    (is, shown::merged(what, serde_json::to_value(explanation).expect("an explanation is plain fields and lists")))
}

/// Why a node is not used: because of what it said or proved, or because it was out of reach or would not serve.
fn unusable(address: &str, why: DialError) -> (&'static str, Value) {
    let tried = Vec::new();
    let place = address.to_owned();
    let refused = match why {
        DialError::Evidence(error) | DialError::OldPolicy(error) => ConnectError::of_evidence(place, error, tried),
        DialError::OtherCluster { claimed, pinned } => ConnectError::OtherCluster { address: place, claimed, pinned, tried },
        DialError::WentBack { known, got } => ConnectError::WentBack { address: place, known, got, tried },
        DialError::History(trouble) => ConnectError::of_history(place, trouble, tried),
        DialError::NotAuthorized(detail) => return ("unusable", of_connect(&ConnectError::NotAuthorized { address: place, detail })),
        DialError::DeviceRevoked(detail) => return ("unusable", of_connect(&ConnectError::DeviceRevoked { address: place, detail })),
        DialError::NotRestored(detail) => return ("unusable", of_connect(&ConnectError::NotRestored { address: place, detail })),
        DialError::Unreachable(_) => return ("unusable", fault("RW-C-DIAL-UNREACHABLE", &why)),
        DialError::Refused { .. } => return ("unusable", fault("RW-C-DIAL-REFUSED", &why)),
        DialError::Breach(_) => return ("unusable", fault("RW-C-DIAL-BREACH", &why)),
        DialError::Handshake(_) => return ("unusable", fault("RW-C-DIAL-HANDSHAKE", &why)),
        DialError::Signature(_) => return ("unusable", fault("RW-C-DIAL-SIGNATURE", &why)),
        DialError::OutOfOrder(_) => return ("unusable", fault("RW-C-DIAL-ORDER", &why)),
    };
    ("disbelieved", of_connect(&refused))
}

fn of_connect(refused: &ConnectError) -> Value {
    let tried = refused.tried().iter().map(|one| json!({ "address": one.address, "cause": one.cause, "refused": one.refused }));
    shown::merged(fault(refused.code(), refused), json!({ "tried": tried.collect::<Vec<_>>() }))
}

fn misdeed_name(misdeed: Misdeed) -> &'static str {
    match misdeed {
        Misdeed::Rollback => "rollback",
        Misdeed::Fork => "fork",
    }
}

/// Origin and size of a log's head; none for a note that is none.
fn log_head(note: &[u8]) -> Option<Value> {
    let mut lines = std::str::from_utf8(note).ok()?.lines();
    let (origin, size) = (lines.next()?, lines.next()?.parse::<u64>().ok()?);
    Some(json!({ "origin": origin, "size": size }))
}

/// What a host says of a failure, bounded.
fn short(why: &str) -> String {
    why.chars().filter(|letter| !letter.is_control()).take(WHY_CHARS).collect()
}
