//! What the host operator does: kill, pause, put a disk back, start copies, break machines, speak as nobody.
//!
//! Decides: each move and its price. With a rule taken out, moves that it forbids appear: a process that resumes from its disk, a second one
//! beside it, an `initialize` from the wire.
//! Trusts: nothing. Out of scope: messages (`raft`), recovery (`recovery`). Protocol section 1.1, register rows R1, R2 and K1.

use crate::cluster::raft::number;
use crate::cluster::rules::{Rule, Rules};
use crate::cluster::world::{Entry, LEADS, LIVES, Lead, Life, NOBODY, Op, Run, Standing, World, only};

/// Kills a member's process. Its disk stays.
pub fn crash(world: &World, at: usize) -> Option<World> {
    let life = world.lives[at];
    if life.name == NOBODY || life.rogue || !life.holds_keys() {
        return None;
    }
    let mut next = *world;
    next.left.crashes = next.left.crashes.checked_sub(1)?;
    let life = &mut next.lives[at];
    (life.run, life.keys, life.leads) = (Run::Dead, false, false);
    Some(next)
}

/// Pauses or cuts off a member.
pub fn pause(world: &World, at: usize) -> Option<World> {
    if !world.lives[at].serves() {
        return None;
    }
    let mut next = *world;
    next.left.pauses = next.left.pauses.checked_sub(1)?;
    next.lives[at].run = Run::Paused;
    Some(next)
}

/// Lets it go on.
pub fn go_on(world: &World, at: usize) -> Option<World> {
    if world.lives[at].run != Run::Paused {
        return None;
    }
    let mut next = *world;
    next.lives[at].run = Run::Up;
    Some(next)
}

/// Puts a dead member's disk back to when it held `len` entries.
pub fn roll_back(world: &World, at: usize, len: usize) -> Option<World> {
    let life = world.lives[at];
    if life.run != Run::Dead || life.name == NOBODY {
        return None;
    }
    let mut next = *world;
    next.left.rollbacks = next.left.rollbacks.checked_sub(1)?;
    next.rolled = true;
    let life = &mut next.lives[at];
    life.log.truncate(len);
    life.commit = life.commit.min(number(len));
    (life.term, life.voted) = (life.log.last().map_or(1, |entry| entry.term), NOBODY);
    Some(next)
}

/// Without fresh incarnations: a dead member resumes from its disk.
pub fn resume(rules: Rules, world: &World, at: usize) -> Option<World> {
    let life = world.lives[at];
    if rules.keep(Rule::FreshIncarnation) || life.run != Run::Dead || life.name == NOBODY {
        return None;
    }
    let mut next = *world;
    next.left.starts = next.left.starts.checked_sub(1)?;
    (next.lives[at].run, next.lives[at].keys) = (Run::Up, true);
    Some(next)
}

/// Without fresh incarnations: a second process from the disk of one that runs.
pub fn double(rules: Rules, world: &World, at: usize) -> Option<World> {
    let life = world.lives[at];
    if rules.keep(Rule::FreshIncarnation) || !life.holds_keys() || life.name == NOBODY || world.lives.is_full() {
        return None;
    }
    let mut next = *world;
    next.left.clones = next.left.clones.checked_sub(1)?;
    next.lives.push(Life { leads: false, run: Run::Up, ..life });
    Some(next)
}

/// Breaks the TEE of an incarnation that is out, once every voter has applied that.
pub fn break_out(world: &World, at: usize) -> Option<World> {
    let life = world.lives[at];
    let history = world.lineages[0].history;
    let out = world.standing(&history, history.len(), life.name) == Standing::Out;
    if life.name == NOBODY || life.rogue || !out || life.lineage != 0 || life.run == Run::Dead {
        return None;
    }
    let voters = world.voters(0, &history, number(history.len()));
    let aware = |other: &Life| world.standing(&other.log, usize::from(other.commit), life.name) == Standing::Out;
    let all = world.lives.iter().filter(|other| voters.contains(other.name) && other.holds_keys() && other.name != life.name).all(aware);
    if !all || voters.contains(life.name) {
        return None;
    }
    let mut next = *world;
    next.left.breaks = next.left.breaks.checked_sub(1)?;
    let life = &mut next.lives[at];
    (life.rogue, life.leads, life.keys, life.run) = (true, false, false, Run::Up);
    Some(next)
}

/// A rogue sends an append under a ballot nobody granted, in a session of its own.
pub fn forge(rules: Rules, world: &World, from: usize, to: usize) -> Option<World> {
    let (rogue, me) = (world.lives[from], world.lives[to]);
    if !rogue.rogue || rogue.run != Run::Up || !me.serves() || holds_forged(&me) {
        return None;
    }
    // One that was never admitted says it was, further on than is applied there.
    let name = if rogue.name == NOBODY { number(from) } else { rogue.name };
    if !super::gate::hears_append(rules, world, &me, &Life { name, lineage: me.lineage, ..rogue }) {
        return None;
    }
    let mut next = *world;
    let me = &mut next.lives[to];
    (me.term, me.voted, me.leads, me.commit) = (me.term + 1, NOBODY, false, 1);
    me.log.truncate(0);
    me.log.push(Entry { term: me.term, op: Op::Forged });
    Some(next)
}

fn holds_forged(life: &Life) -> bool {
    life.log.iter().any(|entry| entry.op == Op::Forged)
}

/// Without V4: a learner that has heard nothing yet is made a group of its own.
pub fn initialize(rules: Rules, world: &World, at: usize) -> Option<World> {
    let life = world.lives[at];
    let pristine = life.serves() && life.log.is_empty() && world.lineages.iter().all(|lineage| lineage.voters & only(life.name) == 0);
    if rules.keep(Rule::V4) || !pristine || world.leads.len() == LEADS {
        return None;
    }
    let mut next = *world;
    let life = &mut next.lives[at];
    (life.term, life.voted, life.leads) = (life.term + 1, life.name, true);
    life.log.push(Entry { term: life.term, op: Op::Init(life.name) });
    let life = *life;
    next.leads.push(Lead {
        lineage: life.lineage,
        term: life.term,
        name: life.name,
        life: number(at),
        votes: only(life.name),
        log: life.log,
        acks: [0; LIVES],
        commit: 0,
    });
    Some(next)
}
