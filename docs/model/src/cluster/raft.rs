//! Raft among members: elections, appends, commits, writes, reads.
//!
//! Decides: one election is one action (for three slots a candidate needs one other vote, two during a change: waiting between them adds no
//! behaviour, the README says why); an append carries all its leader has; an acknowledgement is never lost, but may be used late. Messages
//! of the dead remain: `World::leads` holds them for ever, so loss, delay, repetition and reordering are choices of when an action is taken.
//! Trusts: openraft for nothing but being Raft. Out of scope: who may join (`admission`). Protocol sections 4.4, 4.5 and 5.1.

use crate::cluster::gate::{epoch, hears_append, hears_candidate};
use crate::cluster::rules::{Rule, Rules};
use crate::cluster::world::{Entry, LEADS, LIVES, Lead, Life, NOBODY, Names, Op, Run, Voters, World, holds, only};

/// The elections that can succeed now: who is elected, and which lives vote for it (one bit each).
pub fn elections(rules: Rules, world: &World) -> Vec<(u8, u8)> {
    let mut found = Vec::new();
    if world.left.elections == 0 || world.leads.len() == LEADS {
        return found;
    }
    for (at, candidate) in world.lives.iter().enumerate().filter(|(_, life)| life.serves() && !life.leads) {
        let voters = world.voters_of(candidate);
        if !voters.contains(candidate.name) && rules.keep(Rule::V4Campaign) {
            continue;
        }
        let granting: Vec<usize> = (0..world.lives.len()).filter(|other| *other != at && grants(rules, world, *other, candidate)).collect();
        let mut sets: Vec<u8> = granting.iter().map(|first| 1 << first).collect();
        sets.extend(
            granting
                .iter()
                .flat_map(|first| granting.iter().filter(move |second| *second > first).map(move |second| 1 << first | 1 << second)),
        );
        sets.push(0);
        let wins = |set: &u8| elects(rules, world, voters, candidate.name, *set);
        found.extend(sets.into_iter().filter(wins).map(|set| (number(at), set)));
    }
    found
}

/// A place as a number.
pub fn number(at: usize) -> u8 {
    u8::try_from(at).expect("there are at most eight lives")
}

fn grants(rules: Rules, world: &World, voter: usize, candidate: &Life) -> bool {
    let me = &world.lives[voter];
    if me.rogue || me.name == NOBODY {
        // Whoever is no member says yes to anything; V1 sees to it that it does not count.
        return me.run == Run::Up && !rules.keep(Rule::V1);
    }
    let term = candidate.term + 1;
    let free = me.term < term || (me.term == term && (me.voted == NOBODY || me.voted == candidate.name));
    me.serves()
        && me.name != candidate.name
        && (me.lineage == candidate.lineage || epoch(rules, me.lineage) == epoch(rules, candidate.lineage))
        && free
        && me.position() <= candidate.position()
        && hears_candidate(rules, world, me, candidate)
}

/// Whether these votes elect: a majority of the candidate's own voters, each known by its session.
fn elects(rules: Rules, world: &World, voters: Voters, name: u8, set: u8) -> bool {
    if !rules.keep(Rule::V1) {
        return set.count_ones() + 1 > voters.new.count_ones() / 2;
    }
    majority(rules, voters, names_of(world, set) | only(name))
}

fn names_of(world: &World, set: u8) -> Names {
    let voted = world.lives.iter().enumerate().filter(|(at, _)| set & only(number(*at)) != 0);
    voted.fold(0, |names, (_, life)| names | only(life.name))
}

/// A majority, of both sides of a change as long as the rule holds.
pub fn majority(rules: Rules, voters: Voters, names: Names) -> bool {
    let counted = if rules.keep(Rule::Joint) { voters } else { Voters { old: voters.new, new: voters.new } };
    counted.majority(names)
}

/// An election.
pub fn elect(world: &mut World, candidate: u8, set: u8) {
    let (at, term) = (usize::from(candidate), world.lives[usize::from(candidate)].term + 1);
    let name = world.lives[at].name;
    for voter in (0..world.lives.len()).filter(|voter| set & only(number(*voter)) != 0 || *voter == at) {
        let life = &mut world.lives[voter];
        if life.name != NOBODY {
            (life.term, life.voted, life.leads) = (term, name, voter == at);
        }
    }
    let elected = world.lives[at];
    let votes = names_of(world, set | only(candidate));
    world.leads.push(Lead {
        lineage: elected.lineage,
        term,
        name,
        life: candidate,
        votes,
        log: elected.log,
        acks: [0; LIVES],
        commit: elected.commit,
    });
    world.left.elections -= 1;
}

/// A leader appends an entry.
pub fn append(world: &mut World, lead: usize, op: Op) {
    let entry = Entry { term: world.leads[lead].term, op };
    let leader = usize::from(world.leads[lead].life);
    world.lives[leader].log.push(entry);
    world.leads[lead].log.push(entry);
}

/// A leader takes a client's write.
pub fn write(rules: Rules, world: &mut World, lead: usize) {
    let write = world.left.writes - 1;
    world.left.writes = write;
    append(world, lead, Op::Write(write));
    if !rules.keep(Rule::Durable) {
        world.acked[usize::from(write)] = Some((world.leads[lead].lineage, world.leads[lead].term));
    }
}

/// An append arrives; none when it changes nothing.
pub fn deliver(rules: Rules, world: &World, lead: usize, to: usize) -> Option<World> {
    let (sent, me) = (world.leads[lead], world.lives[to]);
    let sender = Life { lineage: sent.lineage, name: sent.name, ..world.lives[usize::from(sent.life)] };
    let addressed = world.voters(sent.lineage, &sent.log, sent.commit).contains(me.name) || holds(&sent.log, Op::Admit(me.name));
    let foreign = sent.lineage != me.lineage;
    if !me.serves() || usize::from(sent.life) == to || sent.name == me.name || sent.term < me.term || !(addressed || foreign) {
        return None;
    }
    // What a broken member says is another action; what it sent before it was broken is in `sent`.
    if !hears_append(rules, world, &me, &Life { rogue: false, ..sender }) {
        return None;
    }
    let mut next = *world;
    let life = &mut next.lives[to];
    if sent.term > life.term {
        (life.term, life.voted, life.leads) = (sent.term, NOBODY, false);
    }
    if !life.log.starts_with(&sent.log) {
        life.log = sent.log;
    }
    life.commit = life.commit.max(sent.commit.min(number(sent.log.len())));
    let ack = &mut next.leads[lead].acks[usize::from(me.name)];
    *ack = (*ack).max(number(sent.log.len()));
    fence(rules, &mut next, to);
    (next != *world).then_some(next)
}

/// A leader counts acknowledgements; none when nothing more is committed.
pub fn advance(rules: Rules, world: &World, lead: usize) -> Option<World> {
    let held = world.leads[lead];
    let voters = world.voters(held.lineage, &held.log, held.commit);
    let own = |len: &usize| held.log[*len - 1].term == held.term;
    let enough = |len: &usize| {
        let acked = (0..LIVES).filter(|name| usize::from(held.acks[*name]) >= *len).fold(0, |names, name| names | only(number(name)));
        majority(rules, voters, acked | only(held.name))
    };
    let len = (usize::from(held.commit) + 1..=held.log.len()).rev().filter(own).find(enough)?;
    let mut next = *world;
    next.leads[lead].commit = number(len);
    next.lives[usize::from(held.life)].commit = number(len);
    let history = &mut next.lineages[usize::from(held.lineage)].history;
    if held.log[..len].starts_with(history) {
        for entry in &held.log[history.len()..len] {
            history.push(*entry);
        }
    }
    for number in (0..world.acked.len()).filter(|number| World::written(&held.log[..len]) & 1 << number != 0) {
        next.acked[number].get_or_insert((held.lineage, held.term));
    }
    fence(rules, &mut next, usize::from(held.life));
    Some(next)
}

/// A member that has applied its own supersession ends: `node/src/fencing.rs`.
fn fence(rules: Rules, world: &mut World, at: usize) {
    let life = world.lives[at];
    let out = world.standing(&life.log, usize::from(life.commit), life.name) == crate::cluster::world::Standing::Out;
    if out && rules.keep(Rule::Fencing) {
        let life = &mut world.lives[at];
        (life.run, life.keys, life.leads) = (Run::Fenced, false, false);
    }
}

/// A read through a leader; some when it misses what was acknowledged before.
pub fn stale_read(rules: Rules, world: &World, lead: usize) -> Option<World> {
    let held = world.leads[lead];
    let mut confirming = only(held.name);
    for life in world.lives.iter().filter(|life| life.serves() && life.lineage == held.lineage && life.term <= held.term) {
        confirming |= only(life.name);
    }
    let committed = &held.log[..usize::from(held.commit)];
    let current = held.term == 1 || committed.last().is_some_and(|entry| entry.term == held.term);
    let confirmed = current && world.voters(held.lineage, &held.log, held.commit).majority(confirming);
    if !confirmed && rules.keep(Rule::ReadQuorum) {
        return None;
    }
    let missed = world.acked_in(usize::from(held.lineage)) & !World::written(committed);
    (missed != 0 && !world.stale).then_some(World { stale: true, ..*world })
}
