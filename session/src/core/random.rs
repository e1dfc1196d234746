//! Events by chance, sensible and senseless, and what must hold whatever happens.
//!
//! Decides: the invariants: at most one session in use; every operation is told exactly once, and in time; something is sent only between the use of a session and
//! its end; a write has one encoding; nobody is woken for nothing. Trusts: the stand (`stand.rs`). Compiled for tests only.
//! Out of scope: single promises (`tests.rs`). Protocol section 3, step 7.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::stand::{Reading, Stand, down, notes, opened};
use super::{DialId, Effect};
use crate::anchor::Trouble;
use crate::dial::{DialError, LinkError};
use proptest::prelude::*;
use ringwall_attest::SessionError;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClientId, Revision};
use ringwall_wire::request::{Answer, Events, KeyName, Op, Reply, Request, Unlock};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{Refusal, RefusalCode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ADDRESSES: [&str; 3] = ["a", "b", "c"];
const DEADLINE_MS: u64 = 3_000;

#[derive(Clone, Debug)]
enum Happens {
    Put,
    Get,
    Watch(u64),
    Keep(u8),
    AskerGone(usize),
    Passes(u64),
    Reached(usize),
    Opened(usize, u64),
    Failed(usize, u8),
    /// A reply to a question that is on its way, by its place, of a kind.
    Answered(usize, u8),
    Told(usize, Vec<u8>),
    Broke(usize, bool),
    Heard(usize, u64),
    Backlog(usize, usize),
    Close,
}

fn happens() -> impl Strategy<Value = Happens> {
    let dial = 0_usize..4;
    prop_oneof![
        8 => Just(Happens::Put),
        5 => Just(Happens::Get),
        2 => (0..3_u64).prop_map(Happens::Watch),
        1 => (0..40_u8).prop_map(Happens::Keep),
        1 => (0..40_usize).prop_map(Happens::AskerGone),
        6 => (0..700_u64).prop_map(Happens::Passes),
        4 => dial.clone().prop_map(Happens::Reached),
        9 => (dial.clone(), 0..4_000_u64).prop_map(|(dial, ms)| Happens::Opened(dial, ms)),
        4 => (dial.clone(), 0..9_u8).prop_map(|(dial, kind)| Happens::Failed(dial, kind)),
        14 => (0..8_usize, 0..14_u8).prop_map(|(place, kind)| Happens::Answered(place, kind)),
        1 => (dial.clone(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(dial, bytes)| Happens::Told(dial, bytes)),
        2 => (dial.clone(), any::<bool>()).prop_map(|(dial, breach)| Happens::Broke(dial, breach)),
        2 => (dial.clone(), 0..3_u64).prop_map(|(dial, count)| Happens::Heard(dial, count)),
        2 => (dial, prop_oneof![Just(0_usize), Just(usize::MAX)]).prop_map(|(dial, bytes)| Happens::Backlog(dial, bytes)),
        1 => Just(Happens::Close),
    ]
}

/// What the effects so far come to.
#[derive(Default)]
struct Seen {
    dials: Vec<(DialId, String, ClientId)>,
    trying: BTreeMap<DialId, String>,
    /// Attempts that were told to have opened.
    opened: BTreeSet<DialId>,
    /// Attempts whose end was told, and that are not in use.
    ended: BTreeSet<DialId>,
    in_use: Option<(DialId, ClientId)>,
    /// Questions on the session in use.
    asked: Vec<u64>,
    writes: BTreeMap<(ClientId, u64), Vec<u8>>,
    over: bool,
}

impl Seen {
    fn take(&mut self, effects: Vec<Effect>, now: u64) {
        for effect in effects {
            assert!(!self.over, "{effect:?} after the end");
            match effect {
                Effect::Dial { dial, address, client, until_ms } => {
                    assert!(self.in_use.is_none() && until_ms > now.saturating_sub(5_000));
                    assert!(self.dials.iter().all(|(known, ..)| *known != dial), "a name is used twice");
                    assert!(self.trying.values().all(|trying| *trying != address), "{address} is tried twice at once");
                    self.trying.insert(dial, address.clone());
                    self.dials.push((dial, address, client));
                }
                // Its end may have been told before this was asked for.
                Effect::Abandon { dial } => assert!(self.trying.remove(&dial).is_some() || self.ended.remove(&dial), "{dial:?} was over"),
                Effect::Use { dial, .. } => {
                    assert!(self.opened.contains(&dial) && self.ended.remove(&dial) && self.in_use.is_none());
                    let client = self.dials.iter().find(|(known, ..)| *known == dial).unwrap().2;
                    self.in_use = Some((dial, client));
                    self.asked.clear();
                    assert!(self.trying.is_empty(), "attempts go on beside a session: {:?}", self.trying);
                }
                Effect::Send { dial, messages } => {
                    let (in_use, client) = self.in_use.expect("something is sent without a session");
                    assert!(dial == in_use && !messages.is_empty());
                    messages.iter().for_each(|message| self.sent(client, message));
                }
                Effect::Leave { dial, .. } => assert_eq!(self.in_use.take().map(|(in_use, _)| in_use), Some(dial)),
                Effect::Ended(_) => {
                    assert!(self.trying.is_empty() && self.in_use.is_none());
                    self.over = true;
                }
            }
        }
    }

    fn sent(&mut self, client: ClientId, message: &[u8]) {
        let request = Request::decode(message).unwrap();
        self.asked.push(request.number);
        if let Op::Write(write) = &request.op {
            let before = self.writes.entry((client, write.once.seq)).or_insert_with(|| message.to_vec());
            assert_eq!(before, message, "one write has two encodings");
        }
    }

    /// One of the attempts so far, the newest first, or one that never was.
    fn dial(&self, place: usize) -> DialId {
        self.dials.iter().rev().nth(place).map_or(DialId(u64::MAX), |(dial, ..)| *dial)
    }
}

fn fault(kind: u8) -> DialError {
    match kind {
        0 => DialError::NotAuthorized("no".into()),
        1 => DialError::Evidence(Arc::new(SessionError::StandingSignature)),
        2 => DialError::History(Trouble::Store { code: "RW-C-ANCHOR-IO", words: "disk".into() }),
        3 => DialError::Breach("nonsense".into()),
        4 => DialError::OldPolicy(Arc::new(SessionError::StandingSignature)),
        _ => down(),
    }
}

fn body(kind: u8, revision: u64) -> Answer {
    let refused = |code| Answer::Refused(Refusal { code, detail: ringwall_wire::bounded::Text::new("no").unwrap() });
    match kind {
        0 => refused(RefusalCode::Busy),
        1 => refused(RefusalCode::Unavailable),
        2 => refused(RefusalCode::ClientForgotten),
        3 => refused(RefusalCode::OutcomeUnknown),
        4 => refused(RefusalCode::NoRoom),
        5 => refused(RefusalCode::NoNamespace),
        6 => refused(RefusalCode::ShuttingDown),
        7 => Answer::Events(Events { events: ringwall_wire::bounded::List::default(), through: Revision(revision) }),
        8 => Answer::Absent(Revision(revision)),
        _ => Answer::Written(Revision(revision)),
    }
}

fn happen(stand: &mut Stand, seen: &mut Seen, what: Happens, step: u64) {
    let now = stand.now;
    match what {
        Happens::Put => drop(stand.put()),
        Happens::Get => drop(stand.get()),
        Happens::Watch(after) => {
            let reading = Reading::default();
            reading.room.set(usize::try_from(after).unwrap());
            let _ = stand.core.watch(notes(), KeyName::default(), Revision(after), reading);
        }
        Happens::Keep(number) => {
            let namespace = ringwall_wire::request::Namespace::new(format!("n{number}")).unwrap();
            let _ = stand.core.keep(Unlock { namespace, part: Secret::new([number; 32]) });
        }
        Happens::AskerGone(number) => {
            if let Some(gone) = stand.gone.get(number) {
                gone.set(true);
            }
        }
        Happens::Passes(ms) => seen.take(stand.pass(ms), now),
        Happens::Reached(place) => stand.core.reached(seen.dial(place)),
        Happens::Opened(place, ms) => {
            let dial = seen.dial(place);
            if seen.trying.remove(&dial).is_some() {
                seen.opened.insert(dial);
                seen.ended.insert(dial);
            }
            stand.core.opened(dial, opened("here", now + ms, &["b", "d"]), now);
        }
        Happens::Failed(place, kind) => {
            let dial = seen.dial(place);
            if seen.trying.remove(&dial).is_some() {
                seen.ended.insert(dial);
            }
            stand.core.failed(dial, fault(kind), now);
        }
        Happens::Answered(place, kind) => {
            let Some((dial, _)) = seen.in_use else { return };
            let number = seen.asked.iter().rev().nth(place).copied().unwrap_or(place as u64 + step);
            let reply = Reply { number, body: body(kind, step) }.encode();
            stand.core.arrived(dial, &mut vec![reply], now, &mut stand.dice);
        }
        Happens::Told(place, bytes) => stand.core.arrived(seen.dial(place), &mut vec![bytes], now, &mut stand.dice),
        Happens::Broke(place, breach) => {
            let fault = if breach { LinkError::Breach("nonsense".into()) } else { LinkError::Lost("cut".into()) };
            stand.core.broke(seen.dial(place), fault, now);
        }
        Happens::Heard(place, count) => stand.core.heard(seen.dial(place), count, now),
        Happens::Backlog(place, bytes) => stand.core.backlog(seen.dial(place), bytes),
        Happens::Close => stand.core.close(),
    }
}

/// Everybody was told, once.
fn all_told(stand: &Stand) {
    for number in 0..stand.gone.len() {
        assert!(stand.outcome(number).is_some() || stand.gone[number].get(), "{number} waits for ever");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_happens_the_invariants_hold(seed: u64, opens: bool, events in prop::collection::vec((happens(), any::<bool>()), 0..120)) {
        let (mut stand, mut seen) = (Stand::new(&ADDRESSES, DEADLINE_MS, seed), Seen::default());
        if opens {
            stand.core.open(stand.now);
        }
        for (step, (what, at_once)) in events.into_iter().enumerate() {
            happen(&mut stand, &mut seen, what, step as u64 + 1);
            if at_once {
                let effects = stand.effects();
                seen.take(effects, stand.now);
            }
        }
        // Nobody answers any more: every deadline comes.
        let now = stand.now;
        let effects = stand.pass(DEADLINE_MS + 100);
        seen.take(effects, now);
        all_told(&stand);
        stand.core.close();
        let effects = stand.effects();
        seen.take(effects, stand.now);
        assert!(seen.over && stand.core.wake().is_none());
        all_told(&stand);
    }
}
