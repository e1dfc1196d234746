//! A stand for a core: time, chance, askers and readers that write down what they are told.
//!
//! Decides: nothing; effects are handed out, events are told, time passes by the core's own wakes. Trusts: the core under test.
//! Compiled for tests only. Out of scope: what must come of it (`tests.rs`, `random.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{Core, DialId, Effect};
use crate::asked::{Ask, Asker, Failure, Handed, Reader, Submission};
use crate::chance::Dice;
use crate::dial::{DialError, Opened};
use crate::error::WatchError;
use crate::timeouts::{Timeouts, millis};
use crate::verification::Verification;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, PolicyVersion, Revision, Slot, TrustDomain, Vendor};
use ringwall_wire::policy::{PlatformUnseal, PolicyDoc};
use ringwall_wire::receipt::Receipted;
use ringwall_wire::request::{
    Answer, Change, Events, Expect, Get, KeyName, Mutation, Namespace, Op, PutValue, Reply, Request, Value, Watch,
};
use ringwall_wire::sample::{Sample as _, Source};
use ringwall_wire::session::{MemberHint, Refusal, RefusalCode, UserReady};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What askers were told, by number.
pub(super) type Outcomes = Rc<RefCell<Vec<(usize, Result<Answer, Failure>)>>>;

#[derive(Debug)]
pub(super) struct Asking {
    number: usize,
    told: Outcomes,
    gone: Rc<Cell<bool>>,
}

impl Asker for Asking {
    fn is_gone(&self) -> bool {
        self.gone.get()
    }

    fn tell(self, outcome: Result<Answer, Failure>) {
        self.told.borrow_mut().push((self.number, outcome));
    }
}

/// A reader that takes `room` messages, and what it was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) room: Rc<Cell<usize>>,
    pub(super) gone: Rc<Cell<bool>>,
    pub(super) told: Rc<RefCell<Vec<Events>>>,
    pub(super) last: Rc<RefCell<Vec<WatchError>>>,
}

impl Reader for Reading {
    fn is_gone(&self) -> bool {
        self.gone.get()
    }

    fn has_room(&self) -> bool {
        self.room.get() > 0
    }

    fn tell(&mut self, events: Events) -> Handed {
        if self.gone.get() {
            return Handed::Gone;
        }
        if self.room.get() == 0 {
            return Handed::Full;
        }
        self.room.set(self.room.get() - 1);
        self.told.borrow_mut().push(events);
        Handed::Taken
    }

    fn last_word(self, fault: WatchError) {
        self.last.borrow_mut().push(fault);
    }
}

pub(super) struct Stand {
    pub(super) core: Core<Asking, Reading>,
    pub(super) dice: Dice,
    pub(super) now: u64,
    pub(super) told: Outcomes,
    pub(super) gone: Vec<Rc<Cell<bool>>>,
}

pub(super) fn timeouts(deadline_ms: u64) -> Timeouts {
    Timeouts { dial: Duration::from_secs(1), answer: Duration::from_secs(2), deadline: Duration::from_millis(deadline_ms) }
}

impl Stand {
    /// A core that was asked nothing yet.
    pub(super) fn new(addresses: &[&str], deadline_ms: u64, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let addresses = addresses.iter().map(|address| (*address).to_string()).collect();
        let core = Core::new(addresses, timeouts(deadline_ms), &mut dice);
        Stand { core, dice, now: 1_000, told: Outcomes::default(), gone: Vec::new() }
    }

    /// Everything the core wants done now; afterwards nothing is overdue.
    pub(super) fn effects(&mut self) -> Vec<Effect> {
        let effects: Vec<Effect> = std::iter::from_fn(|| self.core.next(self.now, &mut self.dice)).take(10_000).collect();
        assert!(effects.len() < 10_000, "there is no end to it");
        assert!(self.core.wake().is_none_or(|at| at > self.now), "it wants to be woken at {:?}, now is {}", self.core.wake(), self.now);
        effects
    }

    /// Lets time pass, with all the core does meanwhile when nothing happens.
    pub(super) fn pass(&mut self, ms: u64) -> Vec<Effect> {
        let until = self.now + ms;
        let mut all = self.effects();
        while let Some(at) = self.core.wake().filter(|at| *at <= until) {
            self.now = at;
            all.extend(self.effects());
        }
        self.now = until;
        all.extend(self.effects());
        all
    }

    pub(super) fn ask(&mut self, ask: Ask) -> usize {
        let (number, gone) = (self.gone.len(), Rc::new(Cell::new(false)));
        self.gone.push(Rc::clone(&gone));
        let asker = Asking { number, told: Rc::clone(&self.told), gone };
        let deadline_ms = self.now + millis(self.core.timeouts.deadline);
        self.core.submit(Submission { ask, deadline_ms, asker });
        number
    }

    pub(super) fn put(&mut self) -> usize {
        let change = Change::Put(PutValue { value: Value::new(*b"v").unwrap(), ttl_s: 0 });
        let mutation = Mutation { key: KeyName::new(*b"k").unwrap(), expect: Expect::Any, change };
        self.ask(Ask::Write(notes(), List::new(vec![mutation]).unwrap()))
    }

    pub(super) fn get(&mut self) -> usize {
        self.ask(Ask::Read(Op::Get(Get { namespace: notes(), key: KeyName::new(*b"k").unwrap() })))
    }

    /// What an asker was told; none while it waits.
    pub(super) fn outcome(&self, number: usize) -> Option<Result<Answer, Failure>> {
        let told = self.told.borrow();
        let mut outcomes = told.iter().filter(|(asked, _)| *asked == number).map(|(_, outcome)| outcome.clone());
        let outcome = outcomes.next();
        assert!(outcomes.next().is_none(), "{number} was told twice");
        outcome
    }

    /// Opens an attempt's session, and gives what is done then.
    pub(super) fn open(&mut self, dial: DialId) -> Vec<Effect> {
        self.core.opened(dial, opened("here", self.now + 1_000_000, &[]), self.now);
        self.effects()
    }

    /// A core with a session in use.
    pub(super) fn serving(addresses: &[&str], deadline_ms: u64) -> (Self, DialId) {
        let mut stand = Stand::new(addresses, deadline_ms, 1);
        stand.core.open(stand.now);
        let (dial, _) = dialled(&stand.effects());
        stand.open(dial);
        (stand, dial)
    }

    pub(super) fn fail(&mut self, dial: DialId, fault: DialError) -> Vec<Effect> {
        self.core.failed(dial, fault, self.now);
        self.effects()
    }

    pub(super) fn reply(&mut self, dial: DialId, number: u64, body: Answer) -> Vec<Effect> {
        self.arrive(dial, Reply { number, body }.encode())
    }

    pub(super) fn refuse(&mut self, dial: DialId, number: u64, code: RefusalCode) -> Vec<Effect> {
        self.reply(dial, number, Answer::Refused(Refusal { code, detail: Text::new("no").unwrap() }))
    }

    pub(super) fn arrive(&mut self, dial: DialId, message: Vec<u8>) -> Vec<Effect> {
        let mut arrived = vec![message];
        self.core.arrived(dial, &mut arrived, self.now, &mut self.dice);
        assert!(arrived.is_empty());
        self.effects()
    }
}

pub(super) fn notes() -> Namespace {
    Namespace::new("notes").unwrap()
}

/// The one address that is dialled.
pub(super) fn dialled(effects: &[Effect]) -> (DialId, String) {
    let mut dials = effects.iter().filter_map(|effect| match effect {
        Effect::Dial { dial, address, .. } => Some((*dial, address.clone())),
        _ => None,
    });
    let found = dials.next().unwrap_or_else(|| panic!("nobody is dialled: {effects:?}"));
    assert!(dials.next().is_none(), "several are dialled at once: {effects:?}");
    found
}

/// The messages that are sent.
pub(super) fn sent(effects: &[Effect]) -> Vec<Vec<u8>> {
    let sends = effects.iter().filter_map(|effect| match effect {
        Effect::Send { messages, .. } => Some(messages.clone()),
        _ => None,
    });
    sends.flatten().collect()
}

/// The requests that are sent.
pub(super) fn requests(effects: &[Effect]) -> Vec<Request> {
    sent(effects).iter().map(|message| Request::decode(message).unwrap()).collect()
}

/// The one question that is sent: its number.
pub(super) fn asked(effects: &[Effect]) -> u64 {
    let requests = requests(effects);
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests[0].number
}

/// The watch among what is sent.
pub(super) fn watched(effects: &[Effect]) -> Option<(u64, Watch)> {
    requests(effects).into_iter().find_map(|request| match request.op {
        Op::Watch(watch) => Some((request.number, watch)),
        _ => None,
    })
}

/// A session of a node at `address` that names these others.
pub(super) fn opened(address: &str, reattest_by_ms: u64, hints: &[&str]) -> Opened {
    static POLICY: OnceLock<Arc<PolicyDoc>> = OnceLock::new();
    static RECEIPT: OnceLock<Receipted> = OnceLock::new();
    let verification = Verification {
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
        policy: Arc::clone(POLICY.get_or_init(|| Arc::new(ringwall_sim::world::policy()))),
        platform_unseal: PlatformUnseal::Never,
        log_began_anew: false,
        recovered: Vec::new(),
        steps: Vec::new(),
    };
    let hint = |address: &&str| MemberHint {
        slot: Slot(1),
        incarnation: Incarnation(1),
        vendor: Vendor::Amd,
        address: Text::new(*address).unwrap(),
    };
    let ready = UserReady {
        revision: Revision(0),
        members: List::new(hints.iter().map(hint).collect()).unwrap(),
        receipt: RECEIPT.get_or_init(|| Receipted::sample(&mut Source::new(1))).clone(),
        epochs: List::default(),
        recovered: None,
    };
    Opened { ready, verification, reattest_by_ms }
}

pub(super) fn down() -> DialError {
    DialError::Unreachable("nobody there".into())
}
