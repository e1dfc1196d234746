//! Model A: the life of a cluster of three slots, from its founding through restarts, joins and a recovery.
//!
//! Decides: which actions there are, in which order they are offered. Each action names in its comment the file that does the same.
//! Trusts: `stateright` to visit what is reachable. Out of scope: sessions (`session`), bytes, time: any message may be late for ever.
//! Protocol sections 4 and 6.

pub mod admission;
pub mod adversary;
pub mod gate;
pub mod properties;
pub mod raft;
pub mod recovery;
pub mod rules;
pub mod scope;
pub mod world;

use crate::search::Bound;
use raft::number;
use recovery::Custodians;
use rules::Rules;
use scope::Scope;
use stateright::{Model, Property};
use world::{Run, World};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are places in `World::lives` and `World::leads`")]
pub enum Action {
    /// A leader takes a client's write: `node/src/front/writes.rs`.
    Write { lead: u8 },
    /// An append arrives: `consensus/src/answer.rs`.
    Deliver { lead: u8, to: u8 },
    /// A leader counts acknowledgements and answers clients: openraft, `consensus/src/replica.rs`.
    Commit { lead: u8 },
    /// An election succeeds with the votes of these lives (bits): openraft, `consensus/src/network.rs`.
    Elect { life: u8, with: u8 },
    /// A leader serves a read that misses an acknowledged write: `node/src/front/reads.rs`.
    ReadStale { lead: u8 },
    /// A process starts: `node/src/run.rs`.
    Start { slot: u8, rogue: bool },
    /// A joiner is proposed: `node/src/join/leader.rs`.
    Propose { lead: u8, joiner: u8 },
    /// A voter accepts it: `node/src/join/endorse.rs`.
    Endorse { voter: u8, joiner: u8 },
    /// It is admitted: `consensus/src/machine/roster.rs`.
    Admit { lead: u8, joiner: u8 },
    /// It is granted keys: `node/src/join/leader.rs`.
    Grant { lead: u8, joiner: u8 },
    /// It takes its slot's vote: `node/src/join/steward.rs`.
    Swap { lead: u8, joiner: u8 },
    /// A process is killed.
    Crash { life: u8 },
    /// A process is paused or cut off.
    Pause { life: u8 },
    /// It goes on.
    GoOn { life: u8 },
    /// A dead process's disk is put back to this many entries.
    RollBack { life: u8, entries: u8 },
    /// Without fresh incarnations: it resumes from its disk.
    Resume { life: u8 },
    /// Without fresh incarnations: a copy starts beside it.
    Double { life: u8 },
    /// A member that is out is broken.
    Break { life: u8 },
    /// A rogue sends an append.
    Forge { from: u8, to: u8 },
    /// Without V4: a learner is told to be a group of its own.
    Initialize { life: u8 },
    /// The honest custodian fetches an anchor. Planned, as all that follows: protocol section 6.
    Anchor,
    /// A recovery chooses this life's disk.
    Recover { chosen: u8, alone: bool },
    /// Without DR3: a recovery from an invented claim.
    RecoverForged,
    /// Without DR1: a rogue collects shares.
    CollectShares { life: u8 },
}

/// The model: rules, budget, bound.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Rules in force.
    pub rules: Rules,
    /// What may happen.
    pub scope: Scope,
    /// When to stop expanding.
    pub bound: Bound,
}

impl Model for Cluster {
    // tidy: stateright's name
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        self.scope.deceptions().into_iter().map(|deceived| World::founded(self.scope.slots, self.scope.budget, deceived)).collect()
    }

    fn actions(&self, world: &World, found: &mut Vec<Action>) {
        if !self.bound.more() {
            return;
        }
        self.of_members(world, found);
        self.of_joiners(world, found);
        self.of_operator(world, found);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let rules = self.rules;
        let mut next = *world;
        match action {
            Action::Write { lead } => raft::write(rules, &mut next, lead.into()),
            Action::Elect { life, with } => raft::elect(&mut next, life, with),
            Action::Deliver { lead, to } => return raft::deliver(rules, world, lead.into(), to.into()),
            Action::Commit { lead } => return raft::advance(rules, world, lead.into()),
            Action::ReadStale { lead } => return raft::stale_read(rules, world, lead.into()),
            Action::Start { slot, rogue } => return admission::start(world, slot, rogue),
            Action::Propose { lead, joiner } => return admission::propose(rules, world, lead.into(), joiner.into()),
            Action::Endorse { voter, joiner } => return admission::endorse(world, voter.into(), joiner.into()),
            Action::Admit { lead, joiner } => return admission::admit(rules, world, lead.into(), joiner.into()),
            Action::Grant { lead, joiner } => return admission::grant(rules, world, lead.into(), joiner.into()),
            Action::Swap { lead, joiner } => return admission::swap(rules, world, lead.into(), joiner.into()),
            Action::Crash { life } => return adversary::crash(world, life.into()),
            Action::Pause { life } => return adversary::pause(world, life.into()),
            Action::GoOn { life } => return adversary::go_on(world, life.into()),
            Action::RollBack { life, entries } => return adversary::roll_back(world, life.into(), entries.into()),
            Action::Resume { life } => return adversary::resume(rules, world, life.into()),
            Action::Double { life } => return adversary::double(rules, world, life.into()),
            Action::Break { life } => return adversary::break_out(world, life.into()),
            Action::Forge { from, to } => return adversary::forge(rules, world, from.into(), to.into()),
            Action::Initialize { life } => return adversary::initialize(rules, world, life.into()),
            Action::Anchor => return recovery::anchor(world),
            Action::Recover { chosen, alone } => {
                let custodians = if alone { Custodians::Malicious } else { Custodians::Two };
                return recovery::recover(rules, world, chosen.into(), custodians);
            }
            Action::RecoverForged => return recovery::recover_forged(rules, world),
            Action::CollectShares { life } => return recovery::collect_shares(rules, world, life.into()),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Cluster {
    fn of_members(&self, world: &World, found: &mut Vec<Action>) {
        for lead in 0..number(world.leads.len()) {
            let held = &world.leads[usize::from(lead)];
            for to in 0..number(world.lives.len()) {
                found.push(Action::Deliver { lead, to });
            }
            if world.lead_of(held.life) != Some(lead.into()) {
                continue;
            }
            if world.left.writes > 0 && !held.log.is_full() {
                found.push(Action::Write { lead });
            }
            found.extend([Action::Commit { lead }, Action::ReadStale { lead }]);
        }
        found.extend(raft::elections(self.rules, world).into_iter().map(|(life, with)| Action::Elect { life, with }));
    }

    fn of_joiners(&self, world: &World, found: &mut Vec<Action>) {
        for joiner in 0..number(world.lives.len()) {
            let life = &world.lives[usize::from(joiner)];
            if life.run != Run::Up {
                continue;
            }
            for lead in (0..number(world.leads.len()))
                .filter(|lead| world.lead_of(world.leads[usize::from(*lead)].life) == Some(usize::from(*lead)))
            {
                match life.name {
                    world::NOBODY => {
                        found.extend([Action::Propose { lead, joiner }, Action::Admit { lead, joiner }, Action::Grant { lead, joiner }])
                    }
                    _ => found.push(Action::Swap { lead, joiner }),
                }
            }
            if life.asked {
                found.extend((0..number(world.lives.len())).map(|voter| Action::Endorse { voter, joiner }));
            }
        }
    }

    fn of_operator(&self, world: &World, found: &mut Vec<Action>) {
        let left = &world.left;
        for slot in 0..self.scope.slots {
            found.extend((left.starts > 0).then_some(Action::Start { slot, rogue: false }));
            found.extend((left.rogues > 0).then_some(Action::Start { slot, rogue: true }));
        }
        found.extend((left.anchors > 0).then_some(Action::Anchor));
        found.extend((left.recoveries > 0).then_some(Action::RecoverForged));
        for life in 0..number(world.lives.len()) {
            let held = &world.lives[usize::from(life)];
            found.extend((left.crashes > 0).then_some(Action::Crash { life }));
            found.extend((left.pauses > 0).then_some(Action::Pause { life }));
            found.push(Action::GoOn { life });
            if left.rollbacks > 0 && held.run == Run::Dead {
                found.extend((0..=number(held.log.len())).map(|entries| Action::RollBack { life, entries }));
            }
            found.extend([Action::Resume { life }, Action::Double { life }, Action::Initialize { life }]);
            found.extend((left.breaks > 0).then_some(Action::Break { life }));
            if held.rogue {
                found.extend((0..number(world.lives.len())).map(|to| Action::Forge { from: life, to }));
                found.push(Action::CollectShares { life });
            }
            if left.recoveries > 0 {
                found.extend([false, true].map(|alone| Action::Recover { chosen: life, alone }));
            }
        }
    }
}
