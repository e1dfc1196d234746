//! What three members do for an entry and for a read: frames and bytes between them, flushes on each disk, calls of primitives in all of them.
//!
//! Decides: a calm world of one seed, in which heartbeats are seconds apart, so that between two of them nothing travels but what is asked for. A frame
//! is one sealed record. Rows are sums over the members they name. Trusts: the world, which runs the real replicas, logs and sessions. Out of scope: the
//! door for clients (`front.rs`, `sessions.rs`), QUIC, which puts several frames into one packet or one frame into several.

use crate::SIZES;
use crate::front::{Notes, VALUE_BYTES};
use crate::table::Counting;
use ringwall_tests::world::disks::Done;
use ringwall_tests::world::machines::World;
use ringwall_tests::world::pipes::{Door, Place, Way};
use ringwall_tests::world::run::calm;
use ringwall_tests::world::settings::Settings;
use ringwall_wire::command::Outcome;
use ringwall_wire::counted::{Primitive, counted};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds between heartbeats: below the idle limit of a pipe, and far above what an entry takes.
const HEARTBEAT_MS: u64 = 2_000;
/// Milliseconds in which what a new cluster does by itself (dealing shares, looking after members) comes to its end.
const SETTLED_MS: u64 = 20_000;
/// Milliseconds after a heartbeat, and after what is counted: answers and commits have arrived.
const CALM_MS: u64 = 300;

/// What was counted up to a moment.
struct Seen {
    sent: BTreeMap<Way, (u64, u64)>,
    disks: BTreeMap<Place, [Done; 2]>,
    calls: [u64; Primitive::ALL.len()],
}

impl Seen {
    fn now(world: &World) -> Self {
        let mut sent = world.common.wires.sent();
        sent.retain(|(door, _, _), _| *door == Door::Peers);
        let disks = world.members().into_iter().map(|(place, running, _)| (place, running.disk.done())).collect();
        Seen { sent, disks, calls: counted() }
    }
}

async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Waits until a heartbeat has passed.
async fn heartbeat(world: &World) {
    let before = world.common.wires.sent();
    for _ in 0..2 * HEARTBEAT_MS {
        if world.common.wires.sent() != before {
            return sleep(CALM_MS).await;
        }
        sleep(1).await;
    }
    panic!("a leader is silent");
}

/// What a stream of members carries.
fn stream(number: u32) -> &'static str {
    match number {
        0 => "opening",
        1 => "append",
        2 => "control",
        3 => "bulk",
        _ => "forward",
    }
}

/// Adds what happened since `before`; `leader` is where the leader runs.
fn told(counting: &mut Counting, what: &str, size: u64, world: &World, (before, leader): (&Seen, Place)) {
    let now = Seen::now(world);
    for (way, (frames, bytes)) in &now.sent {
        let (frames_before, bytes_before) = before.sent.get(way).copied().unwrap_or_default();
        let (_, number, asks) = *way;
        if *frames > frames_before {
            let carried = format!("{what}: {} {}", stream(number), if asks { "calls" } else { "answers" });
            counting.table.add(carried.clone(), size, frames - frames_before);
            counting.table.add(format!("{carried}, bytes"), size, bytes - bytes_before);
        }
    }
    for (who, leads) in [("the leader", true), ("followers", false)] {
        let mut sum = [Done::default(); 2];
        for (place, disk) in now.disks.iter().filter(|(place, _)| (**place == leader) == leads) {
            for ((sum, now), before) in sum.iter_mut().zip(disk).zip(&before.disks[place]) {
                sum.writes += now.writes - before.writes;
                sum.bytes += now.bytes - before.bytes;
                sum.syncs += now.syncs - before.syncs;
            }
        }
        let [log, rest] = sum;
        counting.table.add(format!("{what}: writes of {who}"), size, log.writes);
        counting.table.add(format!("{what}: bytes written by {who}"), size, log.bytes);
        counting.table.add(format!("{what}: syncs of {who}"), size, log.syncs);
        counting.table.add(format!("{what}: other writes and syncs of {who}"), size, rest.writes + rest.syncs);
    }
    for ((primitive, before), now) in Primitive::ALL.into_iter().zip(before.calls).zip(now.calls).filter(|((_, before), now)| now > before)
    {
        counting.table.add(format!("{what}: {}", primitive.name()), size, now - before);
    }
}

async fn counts(counting: &mut Counting, world: &Arc<World>) {
    sleep(SETTLED_MS).await;
    let (place, leader, _) = world.leader().unwrap();
    let (_, _, follower) = world.members().into_iter().find(|(other, _, _)| *other != place).unwrap();
    let mut notes = Notes::new();
    leader.replica.write(vec![notes.opening()]).await.unwrap();
    for (what, process) in [("one entry of puts, at the leader", &leader), ("one entry of puts, at a follower", &follower)] {
        for size in SIZES {
            // Sealed before: what is counted is what members do.
            let writes: Vec<_> = (0..counting.times(what)).map(|_| (0..size).map(|_| notes.put(VALUE_BYTES)).collect::<Vec<_>>()).collect();
            heartbeat(world).await;
            let before = Seen::now(world);
            for writes in writes {
                let applied = process.replica.write(writes).await.unwrap();
                assert_eq!(applied.outcomes.len() as u64, size);
                assert!(applied.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))), "{:?}", applied.outcomes);
            }
            sleep(CALM_MS).await;
            told(counting, what, size, world, (&before, place));
        }
    }
    for (what, process) in [("one round of reads, at the leader", &leader), ("one round of reads, at a follower", &follower)] {
        heartbeat(world).await;
        let before = Seen::now(world);
        for _ in 0..counting.times(what) {
            process.replica.linear_view().await.unwrap();
        }
        sleep(CALM_MS).await;
        told(counting, what, 1, world, (&before, place));
    }
}

pub(crate) fn count(counting: &mut Counting) {
    let settings = Settings { heartbeat_ms: HEARTBEAT_MS, ..Settings::default() };
    calm(1, &settings, async |world| counts(counting, world).await).expect("a calm cluster becomes whole");
}
