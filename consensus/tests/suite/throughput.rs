//! How many puts a group in one process commits, with and without digests of the disk in memory: numbers to look at, never to assert on.
//!
//! Decides: what is measured (three replicas, real files, 128 puts of 1 KiB an entry, eight entries under way, several times the overlay,
//! both ways in turn in one run). Run with `--run-ignored only --no-capture`. Trusts: nothing. Out of scope: sessions, sealing, the network.

use crate::rig::*;
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

/// Milliseconds of processors this process has used: what other programs on the machine do hardly changes it.
fn processor_ms() -> u64 {
    let line = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = line.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|field| fields[*field].parse::<u64>().unwrap()).sum();
    ticks * 10
}

/// Puts a second, and a second of processor; `bare` is without digests.
async fn measure(bare: bool) -> (f64, f64) {
    let mut group = Group::empty(move |options| {
        options.segment_bytes = 32 * 1024 * 1024;
        options.propose_ms = 60_000;
        options.election_ms = (5_000, 6_000); // A busy machine must not move the lead.
        options.overlay_bytes = 8 * 1024 * 1024;
        options.bare = bare;
    });
    group.wires = Arc::new(Wires { plain: true, ..Wires::default() });
    group.grow(3).await;
    group.write(open_space(SPACE)).await;
    let leader = group.leader().await;
    let (start, worked) = (Instant::now(), processor_ms());
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let leader = leader.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let writes = (0..BATCH)
                        .map(|at| put(lane as u8, round * BATCH + at + 1, (lane * ROUNDS + round) * BATCH + at, &[1; 1024], Expect::Any));
                    let applied = leader.propose(CommandBody::Writes(List::new(writes.collect()).unwrap().into())).await.unwrap();
                    assert!(applied.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))));
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    let (took, worked) = (start.elapsed(), processor_ms() - worked);
    let puts = LANES * ROUNDS * BATCH;
    let speeds = (puts as f64 / took.as_secs_f64(), puts as f64 * 1e3 / worked.max(1) as f64);
    let bytes: Vec<u64> = group.all().values().map(|replica| replica.tag_bytes()).collect();
    let kind = if bare { "bare" } else { "compared" };
    let rate = speeds.0;
    println!("{kind} {puts} puts of 1 KiB in {} ms, {worked} ms of processors: {rate:.0} puts/s, digests {bytes:?} B", took.as_millis());
    group.assert_identical().await;
    group.stop().await;
    speeds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn puts_in_a_second() {
    let (mut bare, mut compared) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        bare.push(measure(true).await);
        compared.push(measure(false).await);
    }
    for (what, of) in [("puts a second", 0), ("puts a second of processors", 1)] {
        let median = |measured: &[(f64, f64)]| {
            let mut speeds: Vec<f64> = measured.iter().map(|speeds| if of == 0 { speeds.0 } else { speeds.1 }).collect();
            speeds.sort_by(f64::total_cmp);
            speeds[TURNS / 2]
        };
        let (bare, compared) = (median(&bare), median(&compared));
        println!("median {what}: bare {bare:.0}, compared {compared:.0}, {:+.1} %", (compared / bare - 1.0) * 100.0);
    }
}
