//! The closed-loop load generator: every client sends its next operation when the last was answered.
//!
//! Decides: key choice, mix and time; the same code drives both systems. Trusts: nothing it measures: a read must return a value of
//! the written size. Out of scope: what a target does with an operation.

use super::measure::{ProcessCost, Sample, process_cost, summarize};
use serde::Serialize;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Keys the load touches, in all.
pub const KEYS: usize = 10_000;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// Writes.
    Put,
    /// Linearizable reads.
    Get,
    /// 95 reads for 5 writes.
    Mixed,
}

/// One point of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// What is done.
    pub mix: Mix,
    /// Closed-loop clients.
    pub clients: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
}

/// A system under load. `client` picks the connection.
pub trait Target: Send + Sync + 'static {
    /// Sets of keys that belong to different clients (1 = every client uses every key).
    fn partitions(&self) -> usize {
        1
    }
    /// Stores a value.
    fn put(&self, client: usize, key: usize, value: &[u8]) -> impl Future<Output = Result<(), String>> + Send;
    /// Reads a value and returns its size.
    fn get(&self, client: usize, key: usize) -> impl Future<Output = Result<usize, String>> + Send;
}

/// Runs one point for `time` after a short warm-up and returns what it cost.
pub async fn run<T: Target>(target: Arc<T>, point: Point, time: Duration, pids: &[u32]) -> Sample {
    run_during(target, point, time.mul_f64(0.2), pids, async { tokio::time::sleep(time).await }).await.0
}

/// Runs one point after a warm-up for as long as `during` takes; returns what it cost, and what `during` gave.
pub async fn run_during<T: Target, R>(
    target: Arc<T>,
    point: Point,
    warm_up: Duration,
    pids: &[u32],
    during: impl Future<Output = R>,
) -> (Sample, R) {
    let warm_until = Instant::now() + warm_up;
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> =
        (0..point.clients).map(|client| tokio::spawn(drive(target.clone(), point, client, warm_until, over.clone()))).collect();
    tokio::time::sleep_until(warm_until.into()).await;
    let before: Vec<ProcessCost> = pids.iter().map(|pid| process_cost(*pid)).collect();
    let started = Instant::now();
    let given = during.await;
    let after: Vec<ProcessCost> = pids.iter().map(|pid| process_cost(*pid)).collect();
    let took = started.elapsed();
    over.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    let mut errors = 0;
    for task in tasks {
        if let Ok((mut some, failed)) = task.await {
            latencies.append(&mut some);
            errors += failed;
        }
    }
    (summarize(latencies, errors, took, &before, &after), given)
}

async fn drive<T: Target>(target: Arc<T>, point: Point, client: usize, warm_until: Instant, over: Arc<AtomicBool>) -> (Vec<u32>, u64) {
    let mut numbers = Numbers(client as u64 + 1);
    let value: Vec<u8> = (0..point.value_bytes).map(|_| numbers.next() as u8).collect();
    let mut latencies = Vec::new();
    let mut errors = 0;
    while !over.load(Ordering::Relaxed) {
        let parts = target.partitions();
        let key = numbers.next() as usize % (KEYS / parts) * parts + client % parts;
        let write = match point.mix {
            Mix::Put => true,
            Mix::Get => false,
            Mix::Mixed => numbers.next() % 100 < 5,
        };
        let sent = Instant::now();
        let outcome = match write {
            true => target.put(client, key, &value).await,
            false => match target.get(client, key).await {
                Ok(size) if size == point.value_bytes => Ok(()),
                Ok(size) => Err(format!("read {size} bytes, {} were written", point.value_bytes)),
                Err(error) => Err(error),
            },
        };
        let done = Instant::now();
        match outcome {
            Ok(()) if sent >= warm_until && !over.load(Ordering::Relaxed) => {
                latencies.push((done - sent).as_micros().min(u128::from(u32::MAX)) as u32)
            }
            Ok(()) => {}
            Err(_) => {
                errors += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    (latencies, errors)
}

/// Writes every key once, so that reads find values of the point's size.
pub async fn preload<T: Target>(target: Arc<T>, value_bytes: usize) -> Result<(), String> {
    let parts = target.partitions();
    let clients = if parts == 1 { 64 } else { parts };
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let target = target.clone();
            tokio::spawn(async move {
                let value = vec![client as u8; value_bytes];
                for key in (client..KEYS).step_by(clients) {
                    target.put(client, key, &value).await?;
                }
                Ok::<(), String>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
