//! How many puts a group in one process commits: a number to look at, never to assert on.
//!
//! Decides: what is measured (three replicas, real files, 128 puts of 1 KiB an entry, eight entries under way). Run with
//! `--run-ignored only --no-capture`. Trusts: nothing. Out of scope: sessions, sealing, the network.

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn puts_in_a_second() {
    let mut group = Group::empty(|options| {
        options.segment_bytes = 32 * 1024 * 1024;
        options.propose_ms = 60_000;
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
    println!("{puts} puts of 1 KiB in {} ms: {:.0} puts/s", took.as_millis(), puts as f64 / took.as_secs_f64());
    group.assert_identical().await;
    group.stop().await;
}
