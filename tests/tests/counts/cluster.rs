//! What three members do for an entry and for a read: frames and bytes between them, flushes on each disk, calls of primitives in all of them.
//!
//! Decides: a calm world of one seed, in which heartbeats are seconds apart, so that between two of them nothing travels but what is asked for. A
//! frame is what one message is sealed to. Rows are sums over the members they name; what did not happen has no row. Trusts: the world, which runs the
//! real replicas, logs and sessions. Out of scope: the door for clients (`front.rs`, `sessions.rs`), and QUIC, which puts several frames into one
//! packet or one frame into several.

use crate::SIZES;
use crate::front::{Notes, VALUE_BYTES};
use crate::table::Counting;
use ringwall_tests::world::disks::Done;
use ringwall_tests::world::machines::World;
use ringwall_tests::world::pipes::{Door, Place, Way};
use ringwall_tests::world::process::Process;
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
        let rows = [
            ("writes of", log.writes),
            ("bytes written by", log.bytes),
            ("syncs of", log.syncs),
            ("other writes and syncs of", rest.writes + rest.syncs),
        ];
        for (done, count) in rows.into_iter().filter(|(_, count)| *count > 0) {
            counting.table.add(format!("{what}: {done} {who}"), size, count);
        }
    }
    for ((primitive, before), now) in Primitive::ALL.into_iter().zip(before.calls).zip(now.calls).filter(|((_, before), now)| now > before)
    {
        counting.table.add(format!("{what}: {}", primitive.name()), size, now - before);
    }
}

/// A member of a cluster that has come to rest, where the leader runs, and a namespace made through that member.
async fn member(world: &Arc<World>, leads: bool) -> (Arc<Process>, Place, Notes) {
    sleep(SETTLED_MS).await;
    let (place, leader, _) = world.leader().unwrap();
    let follower = world.members().into_iter().find(|(other, _, _)| *other != place).map(|(_, _, process)| process);
    let (process, notes) = (if leads { leader } else { follower.unwrap() }, Notes::new());
    process.replica.write(vec![notes.opening()]).await.unwrap();
    process.replica.linear_view().await.unwrap();
    (process, place, notes)
}

/// Entries of so many puts, proposed at a member.
async fn puts(counting: &mut Counting, what: &str, world: &Arc<World>, leads: bool) {
    let (process, place, mut notes) = member(world, leads).await;
    for size in SIZES {
        // Sealed before: what is counted is what members do.
        let puts = |_| (0..size).map(|_| notes.put(VALUE_BYTES)).collect::<Vec<_>>();
        let entries: Vec<Vec<_>> = (0..counting.times(what)).map(puts).collect();
        heartbeat(world).await;
        let before = Seen::now(world);
        for writes in entries {
            let applied = process.replica.write(writes).await.unwrap();
            assert_eq!(applied.outcomes.len() as u64, size);
            assert!(applied.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))), "{:?}", applied.outcomes);
        }
        sleep(CALM_MS).await;
        told(counting, what, size, world, (&before, place));
    }
}

/// One round for reads, asked for by a member: all reads that wait share it.
async fn reads(counting: &mut Counting, what: &str, world: &Arc<World>, leads: bool) {
    let (process, place, _) = member(world, leads).await;
    heartbeat(world).await;
    let before = Seen::now(world);
    for _ in 0..counting.times(what) {
        process.replica.linear_view().await.unwrap();
    }
    sleep(CALM_MS).await;
    told(counting, what, 1, world, (&before, place));
}

pub(crate) fn count(counting: &mut Counting) {
    let settings = Settings { heartbeat_ms: HEARTBEAT_MS, ..Settings::default() };
    // A cluster for each: what one leaves in memory does not reach the disk while another is counted.
    for (at, leads) in [("the leader", true), ("a follower", false)] {
        let what = format!("one entry of puts, at {at}");
        calm(1, &settings, async |world| puts(counting, &what, world, leads).await).expect("a calm cluster becomes whole");
        let what = format!("one round of reads, at {at}");
        calm(1, &settings, async |world| reads(counting, &what, world, leads).await).expect("a calm cluster becomes whole");
    }
}
