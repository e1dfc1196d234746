//! Attacks in full: a disk that is rolled back (T-R1), a node that is cloned (T-R2), a leader that comes back over its older disk, a
//! process that sleeps too long, in the order that hurts most.
//!
//! Decides: the order of cuts, images and restarts. With [`Flaw::Resumes`] the restarted or cloned process goes on from its disk under
//! its old name, as a stock replica does; without it the process does what ours does: it joins with new keys and an empty folder.
//! Trusts: nothing. Out of scope: judging. Register R1, R2.

use crate::world::flaws::Flaw;
use crate::world::machines::{SLOTS, SPARES, World, client_address};
use crate::world::pipes::Place;
use crate::world::process::Start;
use crate::world::settings::Guise;
use crate::world::site::address;
use crate::world::strikes::pause;
use ringwall_wire::ids::Slot;
use std::sync::Arc;

/// A drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// T-R1.
    Rollback,
    /// T-R2.
    Clone,
    /// T-R1 at the leader, which is started again before anybody misses it.
    Leader,
    /// A process sleeps while all others are replaced, and wakes while its machine is free.
    Sleeper,
}

/// Carries it out.
pub async fn drill(world: &Arc<World>, drill: Drill) {
    pause(world, 500, 1_500).await;
    let Some((leader, _, _)) = world.leader() else { return };
    let second = leader % SLOTS + 1;
    let third = second % SLOTS + 1;
    match drill {
        Drill::Rollback => rollback(world, leader, second, third).await,
        Drill::Clone => cloned(world, leader, second, third).await,
        Drill::Leader => restored(world, leader).await,
        Drill::Sleeper => sleeper(world, leader).await,
    }
}

fn cut(world: &World, one: Place, other: Place) {
    world.common.wires.cut(one, other);
    world.common.wires.cut(other, one);
}

fn mend(world: &World, one: Place, other: Place) {
    world.common.wires.mend(one, other);
    world.common.wires.mend(other, one);
}

/// How a process is started over these contents.
fn guise(world: &World, place: Place, disk: ringwall_consensus::disk::memory::MemoryDisk) -> Guise {
    let identity = world.running(place).and_then(|running| running.status.member());
    let identity = identity.filter(|_| world.settings.flaws.has(Flaw::Resumes));
    Guise { disk: Some(disk), identity, ..Guise::default() }
}

/// Writes are acknowledged by the leader and a second; the second is restarted over an older disk; the leader is cut off; the second and
/// a third, which never saw the writes, are a majority.
async fn rollback(world: &Arc<World>, leader: Place, second: Place, third: Place) {
    let Some(running) = world.running(second) else { return };
    let image = running.disk.copy();
    cut(world, third, leader);
    cut(world, third, second);
    pause(world, 1_500, 3_000).await;
    let guise = guise(world, second, image);
    world.crash(second);
    world.restart_in(second, u64::MAX / 2);
    world.start(second, Start::Join, guise);
    cut(world, leader, second);
    mend(world, third, second);
    pause(world, 4_000, 6_000).await;
}

/// A leader that nobody who is left knows, and that knows nobody who is left.
async fn sleeper(world: &Arc<World>, leader: Place) {
    let Some(sleeping) = world.set_aside(leader) else { return };
    sleeping.vcpu.pause_after(1);
    world.start(leader, Start::Join, Guise::default());
    whole(world).await;
    for place in 1..=SLOTS {
        world.crash(place);
        world.restart_in(place, 0);
        whole(world).await;
    }
    world.crash(leader);
    world.restart_in(leader, 8_000);
    sleeping.vcpu.resume();
    pause(world, 9_000, 9_500).await;
}

async fn whole(world: &Arc<World>) {
    for _ in 0..100 {
        pause(world, 100, 100).await;
        if world.is_whole() {
            return;
        }
    }
}

/// The leader's process is started again over a copy of its disk, within the time others wait for a leader; writes go on in its term.
async fn restored(world: &Arc<World>, leader: Place) {
    let Some(running) = world.running(leader) else { return };
    let image = running.disk.copy();
    pause(world, 1_000, 2_000).await;
    let guise = guise(world, leader, image);
    world.crash(leader);
    world.restart_in(leader, u64::MAX / 2);
    world.start(leader, Start::Join, guise);
    pause(world, 4_000, 6_000).await;
}

/// The leader and its clone each reach one of the others, and nobody reaches both sides.
async fn cloned(world: &Arc<World>, leader: Place, second: Place, third: Place) {
    let Some(running) = world.running(leader) else { return };
    let guise = guise(world, leader, running.disk.copy());
    let spare = SPARES;
    world.add_machine(spare, Slot(leader), "genoa-2");
    for (one, other) in [(second, third), (leader, third), (spare, second), (spare, leader)] {
        cut(world, one, other);
    }
    world.common.wires.divert(third, &address(Slot(leader)), spare);
    // Some clients are led to the clone.
    for client in 201..=202 {
        world.common.wires.divert(client, &client_address(Slot(leader)), spare);
        world.common.wires.divert(client, &client_address(Slot(second)), spare);
    }
    world.start(spare, Start::Join, guise);
    pause(world, 5_000, 8_000).await;
}
