//! What each kind of fault does to a world.
//!
//! Decides: how a kind is carried out and when it has ended. Kinds that take a voter away for good look first whether all voters are
//! there ([`World::is_whole`]). Kinds are counted where they take effect. Trusts: nothing. Out of scope: which kind when (`plan`);
//! kinds of hosts that show false evidence (`hostile`).

use crate::world::custody;
use crate::world::governors;
use crate::world::hostile;
use crate::world::kinds::{Blame, Kind};
use crate::world::machines::{SLOTS, World};
use crate::world::pipes::{Place, Weather};
use crate::world::process::{Process, Start};
use crate::world::settings::Guise;
use crate::world::site::address;
use ringwall_consensus::runtime::{Host, hosted};
use ringwall_sim::BuildImage;
use ringwall_wire::ids::Slot;
use std::sync::Arc;
use std::time::Duration;

/// Name of the second accepted build.
pub const NEXT_BUILD: &str = "ringwall-sim-2";

/// Carries out one fault, from its beginning to its end.
pub async fn strike(world: Arc<World>, kind: Kind) {
    world.common.trace.note(format_args!("strike: {kind:?}"));
    match kind.blame() {
        Blame::Network => network(&world, kind).await,
        Blame::Process => process(&world, kind).await,
        Blame::Disk => disk(&world, kind).await,
        Blame::Host => host(&world, kind).await,
        Blame::Custody => custody::strike(&world, kind).await,
        Blame::Governor => governors::strike(&world, kind).await,
    }
    world.common.trace.note(format_args!("over: {kind:?}"));
}

/// Sleeps for a simulated time.
pub async fn pause(world: &World, least_ms: u64, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(world.dice.between(least_ms, most_ms))).await;
}

/// One of the official machines.
pub fn any_place(world: &World) -> Place {
    world.dice.between(1, u64::from(SLOTS)) as Place
}

/// Two of them.
fn any_two(world: &World) -> (Place, Place) {
    let first = any_place(world);
    let second = (first + world.dice.between(0, 1) as Place) % SLOTS + 1;
    (first, second)
}

async fn network(world: &Arc<World>, kind: Kind) {
    let wires = Arc::clone(&world.common.wires);
    let mut weather = Weather { latency_ms: (1, 4), ..Weather::default() };
    match kind {
        Kind::Drop => weather.drop = 8,
        Kind::Duplicate => weather.duplicate = 8,
        Kind::Reorder => weather.reorder = 8,
        Kind::CorruptFrame => weather.corrupt = 8,
        Kind::Delay => (weather.delay, weather.latency_ms) = (60, (1, 20)),
        _ => return lines(world, kind).await,
    }
    wires.weather(weather);
    pause(world, 800, 2_500).await;
    wires.weather(Weather { latency_ms: (1, 3), ..Weather::default() });
}

async fn lines(world: &Arc<World>, kind: Kind) {
    let wires = Arc::clone(&world.common.wires);
    let (first, second) = any_two(world);
    match kind {
        Kind::OneWayCut => {
            world.counts.fired(kind);
            wires.cut(first, second);
            pause(world, 500, 5_000).await;
            wires.mend(first, second);
        }
        Kind::FullCut => {
            world.counts.fired(kind);
            let others = || (1..=SLOTS).filter(|other| *other != first);
            others().for_each(|other| {
                wires.cut(first, other);
                wires.cut(other, first);
            });
            pause(world, 500, 6_000).await;
            others().for_each(|other| {
                wires.mend(first, other);
                wires.mend(other, first);
            });
        }
        Kind::Clog => {
            world.counts.fired(kind);
            wires.cut(first, second);
            wires.cut(second, first);
            pause(world, 200, 1_500).await;
            wires.mend(first, second);
            wires.mend(second, first);
        }
        Kind::FlappingLine => {
            world.counts.fired(kind);
            for _ in 0..world.dice.between(3, 6) {
                wires.cut(first, second);
                pause(world, 50, 400).await;
                wires.mend(first, second);
                pause(world, 50, 400).await;
            }
        }
        Kind::SlowLine => {
            world.counts.fired(kind);
            wires.slow(first, second, world.dice.between(30, 300));
            pause(world, 500, 3_000).await;
            wires.slow(first, second, 0);
        }
        Kind::ReplaySession => hostile::replay_session(world).await,
        _ => {
            world.counts.fired(Kind::AddressSwap);
            wires.name(&address(Slot(first)), second);
            wires.name(&address(Slot(second)), first);
            pause(world, 500, 3_000).await;
            (1..=SLOTS).for_each(|place| world.point(place));
        }
    }
}

/// Runs something of a process as one of its own tasks.
fn within(process: &Arc<Process>, host: Arc<dyn Host>, task: impl Future<Output = ()> + Send + 'static) {
    let process = Arc::clone(process);
    tokio::spawn(hosted(Some(host), async move {
        task.await;
        drop(process);
    }));
}

async fn process(world: &Arc<World>, kind: Kind) {
    let place = any_place(world);
    match kind {
        Kind::Crash | Kind::Bounce => {
            if world.is_whole() && world.crash(place).is_some() {
                world.counts.fired(kind);
                let after = if kind == Kind::Crash { world.dice.between(400, 4_000) } else { 0 };
                world.restart_in(place, after);
            }
        }
        Kind::Pause => {
            if let Some(running) = world.running(place) {
                world.counts.fired(kind);
                running.vcpu.pause_after(1);
                pause(world, 300, 4_000).await;
                running.vcpu.resume();
            }
        }
        Kind::SlowCpu => {
            if let Some(running) = world.running(place) {
                world.counts.fired(kind);
                for _ in 0..world.dice.between(10, 30) {
                    running.vcpu.pause_after(1);
                    pause(world, 20, 60).await;
                    running.vcpu.resume();
                    pause(world, 5, 15).await;
                }
            }
        }
        Kind::PanicAtStep => {
            if let Some(running) = world.running(place).filter(|_| world.is_whole()) {
                world.counts.fired(kind);
                running.vcpu.doom();
                running.vcpu.panic_after(world.dice.between(1, 400));
                pause(world, 300, 1_000).await;
                world.crash(place);
                world.restart_in(place, 200);
            }
        }
        Kind::MemorySqueeze => {
            if world.is_whole() && world.crash(place).is_some() {
                world.counts.fired(kind);
                world.squeeze(place, true);
                world.restart_in(place, 300);
            }
        }
        _ => orderly(world, kind).await,
    }
}

async fn orderly(world: &Arc<World>, kind: Kind) {
    match kind {
        Kind::RollingUpgrade => {
            for place in 1..=SLOTS {
                for _ in 0..60 {
                    if world.is_whole() {
                        break;
                    }
                    pause(world, 100, 200).await;
                }
                if world.is_whole() && world.set_build(place, BuildImage::new(NEXT_BUILD, 1)) {
                    world.counts.fired(kind);
                    leave(world, place).await;
                }
            }
        }
        Kind::GracefulLeave => {
            if world.is_whole() {
                world.counts.fired(kind);
                leave(world, any_place(world)).await;
            }
        }
        Kind::HandOver => {
            if let Some((place, process, _)) = world.leader()
                && let Some(running) = world.running(place)
            {
                world.counts.fired(kind);
                let replica = process.replica.clone();
                within(&process, running.vcpu.clone(), async move {
                    // Who cannot hand over goes on leading.
                    let _ = replica.hand_over().await;
                });
            }
        }
        Kind::ForcedSnapshot => {
            for (_, running, process) in world.members() {
                world.counts.fired(kind);
                let replica = process.replica.clone();
                within(&process, running.vcpu.clone(), async move {
                    // One that is fenced meanwhile makes none.
                    let _ = replica.snapshot().await;
                });
            }
        }
        _ => leader_gone(world).await,
    }
}

/// The leader stands still in the middle of an admission.
async fn leader_gone(world: &Arc<World>) {
    let Some((leader, process, _)) = world.leader().filter(|_| world.is_whole()) else { return };
    let place = (1..=SLOTS).find(|place| *place != leader).unwrap_or(1);
    if world.crash(place).is_none() {
        return;
    }
    world.restart_in(place, 100);
    let begun = tokio::time::timeout(Duration::from_secs(8), process.admission_begun.notified()).await;
    if begun.is_ok()
        && let Some(running) = world.running(leader)
    {
        world.counts.fired(Kind::LeaderGoneWhileAdmitting);
        running.vcpu.pause_after(world.dice.between(1, 300));
        pause(world, 800, 2_500).await;
        running.vcpu.resume();
    }
}

/// A node is told to leave in good order.
pub async fn leave(world: &Arc<World>, place: Place) {
    let Some(running) = world.running(place) else { return };
    if let Some(member) = running.status.member() {
        world.common.trace.note(format_args!("process {} is told to leave", running.number));
        running.vcpu.doom();
        member.leaving.notify_one();
    }
}

async fn disk(world: &Arc<World>, kind: Kind) {
    let place = any_place(world);
    let Some(running) = world.running(place) else { return };
    match kind {
        Kind::SlowSync => {
            running.disk.slow(world.dice.between(30, 250));
            pause(world, 500, 3_000).await;
            running.disk.slow(0);
        }
        Kind::ShortRead => {
            running.disk.arm_read(kind);
            pause(world, 500, 2_000).await;
            running.disk.mend();
        }
        // What a crash leaves of writes that were not synced.
        Kind::LostUnsynced | Kind::TornWrite | Kind::ReorderedWrites => {
            if world.is_whole() {
                running.vcpu.doom();
                running.disk.cut_at_sync(kind, Arc::clone(&running.vcpu));
                for _ in 0..world.dice.between(50, 150) {
                    pause(world, 20, 20).await;
                    if running.vcpu.is_stopped() {
                        break;
                    }
                }
                world.crash(place);
                world.restart_in(place, 300);
            }
        }
        _ => {
            if !world.is_whole() {
                return;
            }
            if matches!(kind, Kind::ReadError | Kind::BitFlip) && world.dice.chance(700) {
                return read_back(world, place, kind).await;
            }
            // From now on nobody counts on this voter: what is armed may take it away, now or when something is read much later.
            running.vcpu.doom();
            match kind {
                Kind::ReadError | Kind::BitFlip => running.disk.arm_read(kind),
                Kind::WriteError | Kind::Misdirected => running.disk.arm_write(kind),
                _ => running.disk.fill(),
            }
            pause(world, 300, 2_500).await;
            running.disk.mend();
            world.replace(place, running.number);
        }
    }
}

/// A successor with memory for almost nothing reads everything back from its disk, which fails.
async fn read_back(world: &Arc<World>, place: Place, kind: Kind) {
    world.crash(place);
    world.restart_in(place, u64::MAX / 2);
    let Some(running) = world.start(place, Start::Join, Guise { squeezed: true, ..Guise::default() }) else { return };
    running.vcpu.doom();
    running.disk.arm_read(kind);
    pause(world, 2_500, 5_000).await;
    running.disk.mend();
    world.replace(place, running.number);
}

async fn host(world: &Arc<World>, kind: Kind) {
    let place = any_place(world);
    match kind {
        Kind::ClockFreeze | Kind::ClockJump => {
            let Some(clock) = world.clock(place) else { return };
            world.counts.fired(kind);
            match kind {
                Kind::ClockFreeze => clock.freeze(&world.common.trace, true),
                _ => clock.jump(world.dice.between(0, 4_000_000_000) as i64 - 2_000_000_000),
            }
            pause(world, 1_000, 6_000).await;
            clock.freeze(&world.common.trace, false);
            clock.jump(0);
        }
        Kind::RngRepeat => {
            let Some(running) = world.running(place) else { return };
            world.counts.fired(kind);
            running.dice.stick(true);
            pause(world, 500, 3_000).await;
            running.dice.stick(false);
        }
        Kind::Withholding => {
            let (first, second) = any_two(world);
            let streams = [vec![1], vec![2], vec![3], vec![4], vec![1, 3]];
            let streams = world.dice.pick(&streams).cloned().unwrap_or_default();
            world.common.wires.withhold(first, second, &streams);
            pause(world, 1_000, 5_000).await;
            world.common.wires.withhold(first, second, &[]);
        }
        Kind::PauseAtStep => {
            let Some(running) = world.running(place) else { return };
            world.counts.fired(kind);
            running.vcpu.pause_after(world.dice.between(1, 600));
            pause(world, 1_000, 5_000).await;
            running.vcpu.resume();
        }
        Kind::ZombieResumed => zombie(world).await,
        _ => hostile::strike(world, kind).await,
    }
}

/// A process, best the leader, stands still until its slot has a successor, and goes on after that.
async fn zombie(world: &Arc<World>) {
    let Some((place, _, _)) = world.leader().filter(|_| world.is_whole()) else { return };
    let Some(running) = world.set_aside(place) else { return };
    running.vcpu.pause_after(1);
    world.counts.fired(Kind::ZombieResumed);
    world.start(place, Start::Join, Guise::default());
    for _ in 0..80 {
        pause(world, 100, 100).await;
        if world.is_whole() {
            break;
        }
    }
    running.vcpu.resume();
}
