//! Model B: attested sessions of clients and members, before an attacker who is the network, holds leaked static keys, and owns genuine TEEs.
//!
//! Decides: which actions there are, and how many runs. The attacker's TEEs are a chip the policy does not list, a listed chip with another
//! image, and a node with our image in a cluster of the attacker's own.
//! Trusts: `stateright` to visit what is reachable. Out of scope: admission (`cluster`), bytes. Protocol section 3.

pub mod moves;
pub mod properties;
pub mod rules;
pub mod terms;

use crate::list::List;
use crate::search::Bound;
use rules::Rules;
use stateright::{Model, Property};
use terms::{ATTACKER, Evidence, Kind, Leaked, Party, RUNS, Run};

/// How much happens.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Name.
    pub name: &'static str,
    /// Runs of clients.
    pub clients: usize,
    /// Runs of a member that dials.
    pub members: usize,
    /// Runs of nodes that answer.
    pub answers: usize,
    /// Whether static keys may have leaked.
    pub leaks: bool,
    /// Whether the client's ephemeral keys repeat.
    pub repeats: bool,
    /// What it is for.
    pub about: &'static str,
}

/// Every scope.
pub const SCOPES: [Scope; 7] = [
    Scope { name: "full", clients: 2, members: 1, answers: 3, leaks: true, repeats: false, about: "two clients and a member dial" },
    Scope { name: "pair", clients: 1, members: 1, answers: 2, leaks: true, repeats: false, about: "a client and a member dial" },
    Scope { name: "client", clients: 2, members: 0, answers: 1, leaks: true, repeats: false, about: "a client dials twice" },
    Scope { name: "member", clients: 0, members: 1, answers: 2, leaks: true, repeats: false, about: "a member dials" },
    Scope { name: "sealed", clients: 0, members: 1, answers: 2, leaks: false, repeats: false, about: "the same, and no key leaked" },
    Scope {
        name: "sealed-answer",
        clients: 0,
        members: 0,
        answers: 2,
        leaks: false,
        repeats: false,
        about: "members answer, and no key leaked",
    },
    Scope {
        name: "repeats",
        clients: 2,
        members: 0,
        answers: 1,
        leaks: true,
        repeats: true,
        about: "a client whose ephemeral keys repeat dials twice",
    },
];

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are places in `Scene::runs`, and keys by their owner")]
pub enum Action {
    /// A client dials by a descriptor: `client/src/dial.rs`, `channel/src/client.rs`.
    DialClient { sr: Party, kem: Party },
    /// A member dials another: `node/src/peers/handshake.rs`.
    DialMember,
    /// A node answers an honest first message: `node/src/accept.rs`.
    Answer { who: Party, dialler: u8 },
    /// A node answers the attacker.
    AnswerAttacker { who: Party, kind: Kind, si: Party },
    /// A dialler takes an honest answer: `channel/src/client.rs`, `channel/src/peer.rs`.
    Finish { dialler: u8, answerer: u8 },
    /// A dialler takes the attacker's answer.
    FinishAttacker { dialler: u8, sr: Party },
    /// A node attests: `node/src/attesting.rs`, `node/src/front/quotes.rs`.
    Attest { run: u8, nonce: u8 },
    /// Evidence is accepted: `attest/src/session.rs`, `channel/src/session.rs`.
    Accept { run: u8, shown: Evidence },
    /// The first message of an application: `client/src/driver.rs`.
    Speak { run: u8 },
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scene {
    /// Runs so far.
    pub runs: List<Run, RUNS>,
    /// What leaked before it began.
    pub leaked: Leaked,
}

/// The model: rules, runs, bound.
#[derive(Clone, Debug)]
pub struct Session {
    /// Rules in force.
    pub rules: Rules,
    /// How much happens.
    pub scope: Scope,
    /// When to stop expanding.
    pub bound: Bound,
}

impl Session {
    pub(crate) fn leaked(&self, scene: &Scene) -> Leaked {
        scene.leaked
    }
}

impl Model for Session {
    // tidy: stateright's name
    type State = Scene;
    type Action = Action;

    fn init_states(&self) -> Vec<Scene> {
        let none = Leaked::default();
        let mut leaks = vec![none];
        if self.scope.leaks {
            leaks.extend([
                Leaked { of_a: true, ..none },
                Leaked { of_b: true, ..none },
                Leaked { of_a: true, of_b: true, of_foreign: true },
            ]);
        }
        leaks.into_iter().map(|leaked| Scene { runs: List::default(), leaked }).collect()
    }

    fn actions(&self, scene: &Scene, found: &mut Vec<Action>) {
        if !self.bound.more() {
            return;
        }
        const NODES: [Party; 3] = [Party::A, Party::B, Party::Foreign];
        for sr in [Party::A, Party::B, Party::Foreign, Party::Attacker] {
            found.push(Action::DialClient { sr, kem: sr });
            if sr != Party::Attacker {
                found.push(Action::DialClient { sr, kem: Party::Attacker });
            }
        }
        found.push(Action::DialMember);
        let runs = u8::try_from(scene.runs.len()).unwrap_or(ATTACKER);
        for who in NODES {
            found.extend((0..runs).map(|dialler| Action::Answer { who, dialler }));
            found.push(Action::AnswerAttacker { who, kind: Kind::Client, si: Party::Client });
            if (self.scope.members > 0 || self.scope.clients == 0) && who != Party::Foreign {
                let keys = [Party::A, Party::B, Party::Attacker];
                found.extend(keys.map(|si| Action::AnswerAttacker { who, kind: Kind::Member, si }));
            }
        }
        for run in 0..runs {
            found.extend((0..runs).map(|answerer| Action::Finish { dialler: run, answerer }));
            found.extend([Party::A, Party::B, Party::Foreign, Party::Attacker].map(|sr| Action::FinishAttacker { dialler: run, sr }));
            let nonces = || (0..runs).chain([ATTACKER]);
            found.extend(nonces().map(|nonce| Action::Attest { run, nonce }));
            let made = (0..runs).flat_map(|run| nonces().map(move |nonce| Evidence::Made { run, nonce }));
            found.extend(made.chain([Evidence::Unlisted, Evidence::OtherImage]).map(|shown| Action::Accept { run, shown }));
            found.push(Action::Speak { run });
        }
    }

    fn next_state(&self, scene: &Scene, action: Action) -> Option<Scene> {
        match action {
            Action::DialClient { sr, kem } => self.dial_client(scene, sr, kem),
            Action::DialMember => self.dial_member(scene),
            Action::Answer { who, dialler } => self.answer(scene, who, dialler),
            Action::AnswerAttacker { who, kind, si } => self.answer_attacker(scene, who, kind, si),
            Action::Finish { dialler, answerer } => self.finish(scene, dialler, answerer),
            Action::FinishAttacker { dialler, sr } => self.finish_attacker(scene, dialler, sr),
            Action::Attest { run, nonce } => self.attest(scene, run, nonce),
            Action::Accept { run, shown } => self.judge(scene, run, shown),
            Action::Speak { run } => self.speak(scene, run),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
