//! Hosts that show false evidence, old disks and second copies.
//!
//! Decides: how each attack is set up: always the best the host can do with what it has (genuine chips, the published image, disks of
//! any age, evidence of genuine nodes). Whoever is not what the policy accepts must never be given keys; the watch says so if one is.
//! Trusts: nothing. Out of scope: faults of networks and machines (`strikes`). Register A1, A2, A5, A7 to A9, A12, R1, R2, R5.

use crate::world::impostor;
use crate::world::kinds::Kind;
use crate::world::machines::{SLOTS, SPARES, World, client_address};
use crate::world::pipes::Place;
use crate::world::process::{Stage, Start};
use crate::world::rogue;
use crate::world::settings::Guise;
use crate::world::strikes::{any_place, pause};
use ringwall_sim::world::joining_config;
use ringwall_sim::{BuildImage, Lie};
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::{ClusterId, Slot};
use ringwall_wire::session::AttestResp;
use std::sync::Arc;
use std::time::Duration;

/// Carries out one attack.
pub async fn strike(world: &Arc<World>, kind: Kind) {
    let place = any_place(world);
    match kind {
        Kind::DiskRollback => {
            let image = world.old_image(place).or_else(|| world.running(place).map(|running| running.disk.copy()));
            if world.is_whole() && world.crash(place).is_some() {
                world.counts.fired(kind);
                world.restart_in(place, u64::MAX / 2);
                pause(world, 100, 1_500).await;
                world.start(place, Start::Join, Guise { disk: image, ..Guise::default() });
            }
        }
        Kind::DiskClone | Kind::CloneBoot => {
            let Some(running) = world.running(place) else { return };
            let disk = (kind == Kind::DiskClone).then(|| running.disk.copy());
            world.counts.fired(kind);
            visit(world, place, "genoa-2", Guise { disk, ..Guise::default() }).await;
        }
        Kind::BlockReplay => {
            let Some(running) = world.running(place).filter(|_| world.is_whole()) else { return };
            running.disk.replay_block();
            pause(world, 500, 2_000).await;
            if world.is_whole() && running.disk.replay_block() {
                world.counts.fired(kind);
                running.vcpu.doom();
                pause(world, 500, 3_000).await;
                world.replace(place, running.number);
            }
        }
        Kind::ImpostorToClient => impostor(world, place).await,
        Kind::RogueMember => rogue::strike(world).await,
        _ => liar(world, kind, place).await,
    }
}

/// A machine that is not what the policy accepts asks to join, for a slot that is occupied or was vacated for it.
async fn liar(world: &Arc<World>, kind: Kind, place: Place) {
    // Reports have versions; a quote of another layout is another vendor's.
    let amd = world.dice.chance(500) || kind == Kind::OldLayout;
    let chip = if amd { "turin-2" } else { "tdx-2" };
    let mut guise = Guise { dishonest: true, ..Guise::default() };
    match kind {
        // It says so, or says the right one and was started with another.
        Kind::ConfigSwap if world.dice.chance(500) => guise.boot = Some(joining_config(ClusterId([7; 32]), Slot(place))),
        Kind::ConfigSwap => guise.lies = vec![Lie::BootConfig],
        Kind::ChipSwap => guise.chip = Some(if amd { "genoa-77" } else { "tdx-77" }.into()),
        Kind::StaleQuote => (guise.lies, guise.primed) = (vec![Lie::Replay], true),
        Kind::RelayedQuote => {
            let seen = world.common.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            // Best that of the machine whose slot it wants.
            let own = |shown: &&AttestResp| BootConfig::decode(&shown.boot_config).is_ok_and(|boot| boot.slot == Slot(place));
            let Some(shown) = seen.iter().rfind(own).or(seen.last()).cloned() else { return };
            // It says it is the machine whose evidence it shows.
            guise.chip = world.chip(place);
            guise.borrowed = Some(shown);
        }
        Kind::ForgedVendor => guise.lies = vec![if world.dice.chance(500) { Lie::ForeignRoot } else { Lie::Signature }],
        Kind::TcbDowngrade => guise.lies = vec![if amd { Lie::SnpOldReported } else { Lie::TdxOutOfDate }],
        Kind::OldLayout => guise.report_version = Some(2),
        Kind::OldMeasurement => guise.build = Some(BuildImage::new("ringwall-sim-0", 1)),
        _ => guise.lies = vec![if amd { Lie::SnpDebug } else { Lie::TdxDebug }],
    }
    // The host's best chance: its own node of that slot is gone.
    let vacated = world.is_whole() && world.dice.chance(600) && world.crash(place).is_some();
    if vacated {
        world.restart_in(place, 4_000);
    }
    let refusals = visit(world, place, chip, guise).await;
    if vacated {
        world.restart_in(place, 0);
    }
    if refusals {
        world.counts.fired(kind);
    }
}

/// A process on a spare machine asks to join for a slot, for a few seconds. True when a member judged and refused its evidence, or
/// nobody answered it at all: the attack was tried either way.
async fn visit(world: &Arc<World>, slot: Place, chip: &str, guise: Guise) -> bool {
    let spare = SPARES + world.dice.below(20) as Place;
    if world.running(spare).is_some() {
        return false;
    }
    world.add_machine(spare, Slot(slot), chip);
    let Some(running) = world.start(spare, Start::Join, guise) else { return false };
    pause(world, 1_000, 3_000).await;
    let stage = running.status.stage();
    // One that became a member stays until its slot's own machine takes over again.
    if stage != Stage::Member {
        world.crash(spare);
    }
    stage == Stage::Refused || stage == Stage::Asking
}

async fn impostor(world: &Arc<World>, place: Place) {
    let seen = world.common.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let Some(shown) = world.dice.pick(&seen).cloned() else { return };
    let spare = SPARES + 30 + place;
    let dice = crate::world::dice::Dice::new(world.seed, "impostor", world.dice.word());
    let (common, counts) = (Arc::clone(&world.common), Arc::clone(&world.counts));
    let task = tokio::spawn(impostor::run(common, counts, spare, dice, shown));
    world.common.wires.name(&client_address(Slot(place)), spare);
    pause(world, 1_000, 4_000).await;
    world.point(place);
    task.abort();
    world.common.wires.unplug(impostor::IMPOSTOR);
}

/// Plays an old session to whom it was played before, frame by frame.
pub async fn replay_session(world: &Arc<World>) {
    let recordings = world.common.wires.recordings();
    let Some((door, (_, to), frames)) = world.dice.pick(&recordings).cloned() else { return };
    if to > SLOTS {
        return;
    }
    let Some(mut pipe) = world.common.wires.dial_place((SPARES + 60, impostor::IMPOSTOR + 1), to, door).await else { return };
    world.counts.fired(Kind::ReplaySession);
    for frame in frames {
        pipe.out.send(frame.stream, frame.bytes);
        // What is answered is of no use to whoever has no keys.
        let _ = tokio::time::timeout(Duration::from_millis(20), pipe.recv()).await;
    }
}
