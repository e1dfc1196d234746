//! Admission: a process is started, proposed, endorsed, admitted, granted keys, and takes its slot's place among the voters.
//!
//! Decides: the steps of protocol section 4.3 and the rules they wait for. Verdicts are kept with the joiner: they are signed, so who carries
//! them does not matter; a refusal can be withheld, so only acceptances are kept. Joins happen in the founded lineage.
//! Trusts: nothing. Out of scope: what a judge looks at; a rogue's evidence is acceptable to a deceived judge, and to no other. As
//! `node/src/join/leader.rs`, `node/src/join/endorse.rs`, `node/src/join/steward.rs` and `consensus/src/machine/roster.rs` do it.

use crate::cluster::raft::{append, number};
use crate::cluster::rules::{Rule, Rules};
use crate::cluster::world::{Deceived, FOUNDED, Life, NOBODY, Names, Op, Run, Standing, World, holds, only, vendor};

/// Starts a process in a slot: with our program, or the adversary's.
pub fn start(world: &World, slot: u8, rogue: bool) -> Option<World> {
    let beside = world.lives.iter().any(|life| life.slot == slot && life.holds_keys() && life.lineage == 0);
    let mut next = *world;
    let left = &mut next.left;
    let allowed = match world.deceived {
        Deceived::Vendor(broken) if rogue => vendor(slot) == broken,
        _ => true,
    };
    let budget = if rogue { &mut left.rogues } else { &mut left.starts };
    *budget = budget.checked_sub(1)?;
    if beside && !rogue {
        left.clones = left.clones.checked_sub(1)?;
    }
    if world.lives.is_full() || !allowed {
        return None;
    }
    next.lives.push(Life { slot, rogue, foreign: rogue, ..Life::default() });
    Some(next)
}

/// Whether the judge that runs on `slot` accepts a joiner.
fn accepts(world: &World, slot: u8, joiner: &Life) -> bool {
    let deceived = match world.deceived {
        Deceived::Nobody => false,
        Deceived::Slot(fooled) => fooled == slot,
        Deceived::Vendor(broken) => vendor(slot) == broken && vendor(joiner.slot) == broken,
    };
    !joiner.rogue || deceived
}

fn stranger(life: &Life) -> bool {
    life.run == Run::Up && life.name == NOBODY
}

/// `AdmitPropose`: the leader judged the joiner, and asked whether the incumbent answers.
pub fn propose(rules: Rules, world: &World, lead: usize, joiner: usize) -> Option<World> {
    let (held, asking) = (world.leads[lead], world.lives[joiner]);
    if usize::from(held.lineage) != FOUNDED || !stranger(&asking) || asking.asked || !accepts(world, world.slot_of(held.name), &asking) {
        return None;
    }
    let incumbent = world.incumbent(&held.log, asking.slot);
    let answers = world.lives.iter().any(|life| life.name == incumbent && life.serves());
    if answers && rules.keep(Rule::Occupied) {
        return None;
    }
    let mut next = *world;
    let asking = &mut next.lives[joiner];
    (asking.asked, asking.replaces, asking.evicts) = (true, incumbent, answers);
    asking.verdicts = only(held.name);
    Some(next)
}

/// `Endorse`: a voter judges for itself.
pub fn endorse(world: &World, voter: usize, joiner: usize) -> Option<World> {
    let (me, asking) = (world.lives[voter], world.lives[joiner]);
    let votes = me.serves() && usize::from(me.lineage) == FOUNDED && world.voters_of(&me).contains(me.name);
    let waits = asking.asked && stranger(&asking);
    if !votes || !waits || asking.verdicts & only(me.name) != 0 || !accepts(world, me.slot, &asking) {
        return None;
    }
    let mut next = *world;
    next.lives[joiner].verdicts |= only(me.name);
    Some(next)
}

/// `AdmitCommit`: proposed when it will count, as the log of every replica decides it.
pub fn admit(rules: Rules, world: &World, lead: usize, joiner: usize) -> Option<World> {
    let (held, asking) = (world.leads[lead], world.lives[joiner]);
    let waits = asking.asked && stranger(&asking) && !holds(&held.log, Op::Admit(number(joiner)));
    let same_incumbent = world.incumbent(&held.log, asking.slot) == asking.replaces;
    if usize::from(held.lineage) != FOUNDED || !waits || !same_incumbent || held.log.is_full() || !endorsed(rules, world, lead, &asking) {
        return None;
    }
    let mut next = *world;
    append(&mut next, lead, Op::Admit(number(joiner)));
    next.evicted |= asking.evicts;
    Some(next)
}

/// `consensus/src/machine/roster.rs::endorsed`.
fn endorsed(rules: Rules, world: &World, lead: usize, asking: &Life) -> bool {
    let held = world.leads[lead];
    let voters: Names = world.voters(held.lineage, &held.log, held.commit).new & !only(asking.replaces);
    let accepted = voters & asking.verdicts;
    let other = |names: Names| world.lives.iter().any(|life| names & only(life.name) != 0 && vendor(life.slot) != vendor(asking.slot));
    let enough = accepted.count_ones() >= voters.count_ones().clamp(1, 2) || !rules.keep(Rule::Endorsements);
    let crossed = !other(voters) || other(accepted) || !rules.keep(Rule::OtherVendor);
    enough && crossed
}

/// `KeyGrant`: on the joiner's own session.
pub fn grant(rules: Rules, world: &World, lead: usize, joiner: usize) -> Option<World> {
    let (held, asking) = (world.leads[lead], world.lives[joiner]);
    let applied = world.standing(&held.log, held.commit.into(), number(joiner)) == Standing::Live;
    if usize::from(held.lineage) != FOUNDED || !stranger(&asking) || !asking.asked || (!applied && rules.keep(Rule::GrantAfterCommit)) {
        return None;
    }
    let mut next = *world;
    let granted = &mut next.lives[joiner];
    (granted.name, granted.keys, granted.lineage, granted.asked, granted.verdicts) = (number(joiner), true, held.lineage, false, 0);
    Some(next)
}

/// The learner takes its slot's place among the voters.
pub fn swap(rules: Rules, world: &World, lead: usize, joiner: usize) -> Option<World> {
    let (held, learner) = (world.leads[lead], world.lives[joiner]);
    let voters = world.voters(held.lineage, &held.log, held.commit);
    let admitted = learner.name == number(joiner) && holds(&held.log[..usize::from(held.commit)], Op::Admit(learner.name));
    if !admitted || voters.old != voters.new || voters.contains(learner.name) || held.log.is_full() {
        return None;
    }
    // The proof of the learner's state: what it holds is what the leader holds.
    let caught_up = learner.serves() && usize::from(held.acks[joiner]) == held.log.len() && learner.log == held.log;
    if !caught_up && rules.keep(Rule::CatchUp) {
        return None;
    }
    let out = (0..8).find(|name| voters.contains(*name) && world.slot_of(*name) == learner.slot)?;
    let mut next = *world;
    append(&mut next, lead, Op::Swap { out, into: learner.name });
    Some(next)
}
