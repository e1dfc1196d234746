//! What must hold in every world the model can reach, and what must be possible at all.
//!
//! Decides: the invariants IN1 to IN9 as far as they are modelled, one history an epoch, and what recovery promises. IN10 has nothing to speak
//! of here: no version changes in the model. The possibilities show that a search is not empty.
//! Trusts: the ghosts of `world`. Out of scope: how worlds come about. Protocol sections 4.6, 6.2.

use crate::cluster::Cluster;
use crate::cluster::gate::epoch;
use crate::cluster::raft::number;
use crate::cluster::world::{Entry, FOUNDED, Life, NOBODY, Op, RECOVERED, Run, Standing, World, holds, only};
use stateright::Property;

/// All of them.
pub fn all() -> Vec<Property<Cluster>> {
    vec![
        Property::<Cluster>::always("IN1", |_, world: &World| one_vote(world)),
        Property::always("IN2", |_, world: &World| one_holder(world)),
        Property::always("IN3", |_, world: &World| committed_stays(world)),
        Property::always("IN4", |_, world: &World| leaders_hold_what_was_acknowledged(world)),
        Property::always("IN5", |_, world: &World| equal_index_equal_entries(world)),
        Property::always("IN6", |_, world: &World| world.lives.iter().enumerate().all(|(at, life)| may_hold_keys(world, at, life))),
        Property::always("IN7", |_, world: &World| admissions_are_of_ours(world)),
        Property::always("IN8", |_, world: &World| !world.lives.iter().any(|life| speaks_though_out(world, life))),
        Property::always("IN9", |_, world: &World| !world.stale),
        Property::always("SLOT", |_, world: &World| !world.evicted),
        Property::always("EPOCH", one_history),
        Property::always("LOST", |_, world: &World| world.rolled || !world.recovery.lost),
        Property::always("ANCHOR", |_, world: &World| !world.recovery.behind),
        Property::always("DETECT", |_, world: &World| !world.recovery.lost || world.recovery.public),
        Property::always("LINEAGES", |_, world: &World| !(leads(world, FOUNDED) && leads(world, RECOVERED)) || world.recovery.public),
        Property::sometimes("a second leader acknowledges", |_, world: &World| world.acked.iter().flatten().any(|acked| *acked == (0, 2))),
        Property::sometimes("a joiner becomes a voter", |_, world: &World| joined(world)),
        Property::sometimes("a recovered cluster acknowledges", |_, world: &World| world.acked_in(RECOVERED) != 0),
    ]
}

/// IN1: no name votes for two in one term of one lineage.
fn one_vote(world: &World) -> bool {
    let rivals = |at: usize| {
        let lead = &world.leads[at];
        world.leads[at + 1..].iter().any(|other| (other.lineage, other.term) == (lead.lineage, lead.term) && other.votes & lead.votes != 0)
    };
    !(0..world.leads.len()).any(rivals)
}

/// IN2: no two processes that run hold one incarnation's keys.
fn one_holder(world: &World) -> bool {
    let mut seen = 0;
    for life in world.lives.iter().filter(|life| life.holds_keys() && life.name != NOBODY) {
        if seen & only(life.name) != 0 {
            return false;
        }
        seen |= only(life.name);
    }
    true
}

/// Whether it is among the voters of what its lineage committed.
fn votes(world: &World, life: &Life) -> bool {
    let history = world.lineages[usize::from(life.lineage)].history;
    world.voters(life.lineage, &history, number(history.len())).contains(life.name)
}

/// What somebody believes to be committed; none when its log does not reach that far any more, which is wrong in itself.
fn believed(log: &[Entry], commit: u8) -> Option<&[Entry]> {
    log.get(..usize::from(commit))
}

fn agree(one: Option<&[Entry]>, other: Option<&[Entry]>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    one.iter().zip(other).all(|(one, other)| one == other)
}

/// IN3: what a voter believes committed is what was committed; learners may be told anything, and vote only after their proof.
fn committed_stays(world: &World) -> bool {
    let history = |lineage: u8| Some(&world.lineages[usize::from(lineage)].history[..]);
    let mut voters = world.lives.iter().filter(|life| life.holds_keys() && !life.rogue && votes(world, life));
    voters.all(|life| agree(believed(&life.log, life.commit), history(life.lineage)))
        && world.leads.iter().all(|lead| agree(believed(&lead.log, lead.commit), history(lead.lineage)))
}

/// IN4: what was acknowledged in a term is in the log of every leader of a later term of that lineage.
fn leaders_hold_what_was_acknowledged(world: &World) -> bool {
    let acked = (0..world.acked.len()).filter_map(|write| world.acked[write].map(|at| (write, at)));
    acked.into_iter().all(|(write, (lineage, term))| {
        let later = world.leads.iter().filter(|lead| lead.lineage == lineage && lead.term > term);
        later.into_iter().all(|lead| holds(&lead.log, Op::Write(number(write))))
    })
}

/// IN5: voters that applied as much applied the same.
fn equal_index_equal_entries(world: &World) -> bool {
    let voters: Vec<&Life> = world.lives.iter().filter(|life| life.holds_keys() && !life.rogue && votes(world, life)).collect();
    voters.iter().enumerate().all(|(at, one)| {
        let mut others = voters[at + 1..].iter().filter(|other| other.lineage == one.lineage);
        others.all(|other| agree(believed(&one.log, one.commit), believed(&other.log, other.commit)))
    })
}

/// IN6: who holds keys founded, recovered, or was admitted by what is committed.
fn may_hold_keys(world: &World, at: usize, life: &Life) -> bool {
    let first = world.lineages.iter().any(|lineage| lineage.voters & only(life.name) != 0);
    let admitted = holds(&world.lineages[FOUNDED].history, Op::Admit(number(at)));
    !life.holds_keys() || (!life.rogue && (first || admitted))
}

/// IN7: no machine of the adversary was admitted, whoever was deceived.
fn admissions_are_of_ours(world: &World) -> bool {
    let admitted = world.lineages.iter().flat_map(|lineage| lineage.history.iter().copied());
    !admitted.into_iter().any(|entry| match entry.op {
        Op::Admit(name) => world.lives[usize::from(name)].foreign,
        _ => false,
    })
}

/// IN8: nobody who has applied its own supersession goes on.
fn speaks_though_out(world: &World, life: &Life) -> bool {
    life.serves() && world.standing(&life.log, usize::from(life.commit), life.name) == Standing::Out
}

/// One history an epoch: two lineages of one epoch committed nothing different.
fn one_history(cluster: &Cluster, world: &World) -> bool {
    let (one, other) = (&world.lineages[FOUNDED].history, &world.lineages[RECOVERED].history);
    let shared = one.len().min(other.len());
    epoch(cluster.rules, number(RECOVERED)) != epoch(cluster.rules, number(FOUNDED)) || one[..shared] == other[..shared]
}

/// Whether a lineage has a leader that a quorum of running members can follow.
fn leads(world: &World, lineage: usize) -> bool {
    let followers = |term: u8| {
        let running = world.lives.iter().filter(|life| life.serves() && usize::from(life.lineage) == lineage && life.term <= term);
        running.fold(0, |names, life| names | only(life.name))
    };
    let mut leading = world.lives.iter().filter(|life| life.leads && life.run == Run::Up && usize::from(life.lineage) == lineage);
    leading.any(|life| world.voters_of(life).majority(followers(life.term)))
}

fn joined(world: &World) -> bool {
    world.lineages[FOUNDED].history.iter().any(|entry| matches!(entry.op, Op::Swap { .. }))
}
