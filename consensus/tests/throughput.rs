//! How many puts a group in one process commits, with and without digests of the disk in memory: numbers to look at, never to assert on.
//!
//! Decides: what is measured (three replicas, real files, 128 puts of 1 KiB an entry, eight entries under way, several times the overlay,
//! both ways in turn in one run). Run with `--run-ignored only --no-capture`. Trusts: nothing. Out of scope: sessions, sealing, the network.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod rig;

use rig::*;
use ringwall_wire::bounded::List;
use ringwall_wire::command::{CommandBody, Outcome};
use ringwall_wire::request::Expect;
use std::sync::Arc;
use std::time::Instant;

const BATCH: u64 = 128;
const LANES: u64 = 8;
const ROUNDS: u64 = 60;
/// Measurements of each kind.
const TURNS: usize = 5;

/// Puts a second; `bare` is without digests.
async fn measure(bare: bool) -> f64 {
    let mut group = Group::empty(move |options| {
        options.segment_bytes = 32 * 1024 * 1024;
        options.propose_ms = 60_000;
        options.overlay_bytes = 8 * 1024 * 1024;
        options.bare = bare;
    });
    group.wires = Arc::new(Wires { plain: true, ..Wires::default() });
    group.grow(3).await;
    group.write(open_space(SPACE)).await;
    let leader = group.leader().await;
    let start = Instant::now();
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let leader = leader.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let writes = (0..BATCH)
                        .map(|at| put(lane as u8, round * BATCH + at + 1, (lane * ROUNDS + round) * BATCH + at, &[1; 1024], Expect::Any));
                    let applied = leader.propose(CommandBody::Writes(List::new(writes.collect()).unwrap())).await.unwrap();
                    assert!(applied.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))));
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    let took = start.elapsed();
    let puts = LANES * ROUNDS * BATCH;
    let speed = puts as f64 / took.as_secs_f64();
    let bytes: Vec<u64> = group.all().values().map(|replica| replica.tag_bytes()).collect();
    println!(
        "{} {puts} puts of 1 KiB in {} ms: {speed:.0} puts/s, digests {bytes:?} B",
        if bare { "bare" } else { "compared" },
        took.as_millis()
    );
    group.assert_identical().await;
    group.stop().await;
    speed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn puts_in_a_second() {
    let (mut bare, mut compared) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        bare.push(measure(true).await);
        compared.push(measure(false).await);
    }
    for speeds in [&mut bare, &mut compared] {
        speeds.sort_by(f64::total_cmp);
    }
    let (bare, compared) = (bare[TURNS / 2], compared[TURNS / 2]);
    println!("median: bare {bare:.0} puts/s, compared {compared:.0} puts/s, {:+.1} %", (compared / bare - 1.0) * 100.0);
}
