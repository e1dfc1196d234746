//! Recovery from total outage: claims, custodians, the choice, the public epoch start, the new lineage.
//!
//! Decides: rules DR1 to DR7. Nothing asks whether the outage is real: an operator can say so while the old members run. One custodian of
//! three is malicious; the honest one that takes part holds the newest anchor. Claims are every disk not newer than the chosen one, since
//! a claim more never hurts whoever wants that choice; with DR5 taken out, newer ones may be among them.
//! Trusts: nothing. Out of scope: shares and their encryption, the word of all custodians for a loss, backups. Protocol section 6.2. The code is
//! `consensus/src/recovery` and `node/src/recover`; docs/model/README.md says where it has more than this, and in DR6 less.

use crate::cluster::raft::number;
use crate::cluster::rules::{Rule, Rules};
use crate::cluster::world::{Entry, FOUNDED, Life, Log, NOBODY, Names, Op, RECOVERED, Recovery, Run, Voters, World, only};

/// Which custodians send shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Custodians {
    /// The malicious one and an honest one.
    Two,
    /// The malicious one alone.
    Malicious,
}

/// The disks that can be claimed: of members of the founded lineage, dead, fenced or running.
fn disks(world: &World) -> impl Iterator<Item = &Life> {
    world.lives.iter().filter(|life| life.name != NOBODY && !life.rogue && usize::from(life.lineage) == FOUNDED)
}

/// A recovery that chooses the disk of one life.
pub fn recover(rules: Rules, world: &World, chosen: usize, custodians: Custodians) -> Option<World> {
    let claim = world.lives[chosen];
    let claimable = claim.name != NOBODY && !claim.rogue && usize::from(claim.lineage) == FOUNDED;
    if !claimable || !enough_claims(rules, world, &claim) {
        return None;
    }
    begin(rules, world, &claim.log, custodians)
}

/// Without DR3: a recovery from a claim nobody made.
pub fn recover_forged(rules: Rules, world: &World) -> Option<World> {
    if rules.keep(Rule::Dr3) {
        return None;
    }
    let mut log = Log::default();
    log.push(Entry { term: 9, op: Op::Forged });
    begin(rules, world, &log, Custodians::Two)
}

/// DR4 for the choice of `claim`.
fn enough_claims(rules: Rules, world: &World, claim: &Life) -> bool {
    let claims = disks(world).filter(|life| life.position() <= claim.position() || !rules.keep(Rule::Dr5));
    let names: Names = claims.fold(only(claim.name), |names, life| names | only(life.name));
    let mut voters = world.voters_of(claim);
    if !rules.keep(Rule::Dr4Joint) {
        voters = Voters { old: voters.new, new: voters.new };
    }
    if !rules.keep(Rule::Dr4Voters) {
        let slots = |names: Names| (0..8).filter(|name| names & only(*name) != 0).fold(0, |slots, name| slots | only(world.slot_of(name)));
        voters = Voters { old: slots(voters.old), new: slots(voters.new) };
        return voters.majority(slots(names));
    }
    !rules.keep(Rule::Dr4) || voters.majority(names)
}

fn begin(rules: Rules, world: &World, log: &Log, custodians: Custodians) -> Option<World> {
    let written = World::written(log);
    let honest = custodians == Custodians::Two;
    let too_old = world.anchor & !written != 0 && honest && rules.keep(Rule::Dr5Anchor);
    if world.recovery.done || too_old || (!honest && rules.keep(Rule::Dr2)) || world.lives.len() + 2 > crate::cluster::world::LIVES {
        return None;
    }
    let mut next = *world;
    next.left.recoveries = next.left.recoveries.checked_sub(1)?;
    let term = log.last().map_or(1, |entry| entry.term);
    let mut voters = 0;
    for slot in 0..2 {
        let name = number(next.lives.len());
        voters |= only(name);
        let commit = number(log.len());
        let lineage = number(RECOVERED);
        next.lives.push(Life { slot, name, lineage, keys: true, term, log: *log, commit, ..Life::default() });
    }
    next.lineages[RECOVERED].voters = voters;
    next.lineages[RECOVERED].base = number(log.len());
    next.lineages[RECOVERED].history = *log;
    let missing = world.acked_in(FOUNDED) & !written;
    next.recovery = Recovery { done: true, public: rules.keep(Rule::Dr6), lost: missing != 0, behind: world.anchor & !written != 0 };
    Some(next)
}

/// Without DR1: a rogue asks for shares and gets them.
pub fn collect_shares(rules: Rules, world: &World, at: usize) -> Option<World> {
    let life = world.lives[at];
    if rules.keep(Rule::Dr1) || !life.rogue || life.run != Run::Up || world.left.recoveries == 0 || life.keys {
        return None;
    }
    let mut next = *world;
    next.left.recoveries -= 1;
    next.lives[at].keys = true;
    Some(next)
}

/// The honest custodian fetches a checkpoint: what is acknowledged by now.
pub fn anchor(world: &World) -> Option<World> {
    let newest = world.acked_in(FOUNDED);
    if newest == world.anchor {
        return None;
    }
    let mut next = *world;
    next.left.anchors = next.left.anchors.checked_sub(1)?;
    next.anchor = newest;
    Some(next)
}
