//! Who is listened to: the gate before Raft, as the model has it.
//!
//! Decides: rules V1 to V3 for each kind of message. An honest sender is a member; a rogue one opens sessions and says what it likes.
//! Trusts: that a session shows who speaks. Out of scope: what a message does (`raft`). Protocol section 4.4, as `consensus/src/gate.rs` does it.

use crate::cluster::rules::{Rule, Rules};
use crate::cluster::world::{Life, Standing, World};

/// The epoch a lineage lives in.
pub fn epoch(rules: Rules, lineage: u8) -> u8 {
    if rules.keep(Rule::Dr7) { lineage } else { 0 }
}

/// V3 and the half of V2 and V1 that asks whether a name is known: `consensus/src/gate.rs::known`.
fn known(rules: Rules, world: &World, me: &Life, sender: &Life, asks_known: bool) -> bool {
    if epoch(rules, me.lineage) != epoch(rules, sender.lineage) && rules.keep(Rule::V3Epoch) {
        return false;
    }
    match world.standing(&me.log, usize::from(me.commit), sender.name) {
        Standing::Out => !rules.keep(Rule::V3Out),
        Standing::Live => true,
        Standing::Unknown if world.voters_of(me).contains(sender.name) => true,
        // It was admitted further on than is applied here, and can show it.
        Standing::Unknown if !sender.rogue => true,
        // It says so, and cannot show it.
        Standing::Unknown => !rules.keep(Rule::AdmissionProof) || !asks_known,
    }
}

/// V2: whether an append of `sender` reaches Raft.
pub fn hears_append(rules: Rules, world: &World, me: &Life, sender: &Life) -> bool {
    known(rules, world, me, sender, rules.keep(Rule::V2))
}

/// V1, receiving: whether a candidate's request reaches Raft.
pub fn hears_candidate(rules: Rules, world: &World, me: &Life, candidate: &Life) -> bool {
    if !rules.keep(Rule::V1) || !rules.keep(Rule::V1Gate) {
        return true;
    }
    if !known(rules, world, me, candidate, true) {
        return false;
    }
    let voters = world.voters_of(me);
    candidate.position() > me.position() || (voters.contains(me.name) && voters.contains(candidate.name))
}
