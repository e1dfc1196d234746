//! `ringwall-dudect`: whether the time of what secrets pass through depends on them (after Reparaz, Balasch, Verbauwhede: dude, is my code constant time?).
//!
//! Decides: for every operation, two classes of inputs (one fixed, one random) in random order, and Welch's t of their times, cropped at several
//! percentiles; the largest counts. Below 4.5 nothing was seen; that is no proof. A control that leaks must be seen, or the machine was too noisy to see
//! anything. Exit code 0 when all is as it should be, 1 when not. No suite runs it: no test asserts on time.
//! Trusts: the clock of the machine. Out of scope: caches and other machines. docs/limits.md.
#![allow(clippy::print_stdout)]

use clap::Parser;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use ringwall_keys::custody::field::{invert, mul};
use ringwall_keys::custody::split::{evaluate, interpolate};
use ringwall_wire::secret::Secret;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

/// Times of operations on shares, for two classes of secrets.
#[derive(Debug, Parser)]
#[command(name = "ringwall-dudect", about, max_term_width = 100)]
struct Arguments {
    /// Measurements of each operation.
    #[arg(long, default_value_t = 1_000_000)]
    samples: usize,
    /// Seed of inputs and order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// |t| from which a difference counts.
const SEEN: f64 = 4.5;
/// Measurements between two draws of inputs.
const ROUND: usize = 4_096;

/// One operation: its name, whether it is meant to leak, and what it does with 32 secret bytes (and 32 known ones).
struct Operation {
    name: &'static str,
    leaks: bool,
    run: fn(&Secret<32>, &Secret<32>) -> u8,
}

const OPERATIONS: [Operation; 6] = [
    Operation { name: "field: product", leaks: false, run: |secret, known| fold(secret, |byte, at| mul(byte, known.expose()[at])) },
    Operation { name: "field: inverse", leaks: false, run: |secret, _| fold(secret, |byte, _| invert(byte)) },
    Operation {
        name: "split: a share of a secret, threshold 3",
        leaks: false,
        run: |secret, known| evaluate(secret, &[known.clone(), secret.clone()], 5).expose()[0],
    },
    Operation {
        name: "combine: a secret from two shares",
        leaks: false,
        run: |secret, known| interpolate(&[(1, secret), (2, known)]).map_or(0, |found| found.expose()[0]),
    },
    Operation { name: "compare: commitments, tags, check values", leaks: false, run: |secret, known| u8::from(secret.same(known)) },
    Operation { name: "control: a comparison that ends early", leaks: true, run: |secret, known| early(secret.expose(), known.expose()) },
];

fn fold(secret: &Secret<32>, with: impl Fn(u8, usize) -> u8) -> u8 {
    secret.expose().iter().enumerate().fold(0, |all, (at, byte)| all ^ with(*byte, at))
}

/// What nobody should write.
fn early(one: &[u8; 32], other: &[u8; 32]) -> u8 {
    for (a, b) in one.iter().zip(other) {
        if black_box(a) != black_box(b) {
            return 0;
        }
    }
    1
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut as_wanted = true;
    for operation in &OPERATIONS {
        let times = measure(operation, arguments.samples, arguments.seed);
        let largest = CROPS.iter().map(|crop| welch(&times, *crop).abs()).fold(0.0, f64::max);
        let fits = (largest >= SEEN) == operation.leaks;
        as_wanted &= fits;
        let verdict = match (operation.leaks, fits) {
            (false, true) => "nothing seen",
            (false, false) => "DEPENDS ON ITS INPUT",
            (true, true) => "seen, as it must be",
            (true, false) => "NOT SEEN: this machine is too noisy now, no figure here counts",
        };
        println!("{:<44} {:>10} measurements   |t| = {largest:>8.2}   {verdict}", operation.name, times.len());
    }
    if as_wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One measurement: its class, and how long it took.
type Times = Vec<(bool, f64)>;

/// Shares of the fastest measurements that are looked at: noise is slow.
const CROPS: [f64; 4] = [1.0, 0.95, 0.75, 0.5];

fn measure(operation: &Operation, samples: usize, seed: u64) -> Times {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let (fixed, known) = (Secret::new([0x5A; 32]), Secret::new([0x5A; 32]));
    let mut times = Vec::with_capacity(samples);
    while times.len() < samples {
        let classes: Vec<bool> = (0..ROUND).map(|_| rng.next_u32() & 1 == 1).collect();
        let inputs: Vec<Secret<32>> = classes.iter().map(|random| input(*random, &fixed, &mut rng)).collect();
        for (class, secret) in classes.into_iter().zip(&inputs).take(samples - times.len()) {
            let begun = Instant::now(); // tidy: time is what this program measures
            for _ in 0..4 {
                black_box((operation.run)(black_box(secret), black_box(&known)));
            }
            times.push((class, begun.elapsed().as_nanos() as f64));
        }
    }
    times
}

/// Both classes are drawn and written in the same way.
fn input(random: bool, fixed: &Secret<32>, rng: &mut ChaCha20Rng) -> Secret<32> {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    let mask = 0_u8.wrapping_sub(u8::from(random));
    for (byte, fixed) in bytes.iter_mut().zip(fixed.expose()) {
        *byte = *byte & mask | *fixed & !mask;
    }
    Secret::new(bytes)
}

/// Welch's t between the two classes, over the fastest measurements.
fn welch(times: &Times, crop: f64) -> f64 {
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * crop) as usize).min(sorted.len().saturating_sub(1));
    let most = sorted.get(at).copied().unwrap_or(f64::MAX);
    let of = |class: bool| {
        let kept: Vec<f64> = times.iter().filter(|(found, time)| *found == class && *time <= most).map(|(_, time)| *time).collect();
        let count = kept.len().max(2) as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let spread = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, spread / count)
    };
    let ((one, one_error), (other, other_error)) = (of(false), of(true));
    (one - other) / (one_error + other_error).sqrt().max(f64::MIN_POSITIVE)
}
