//! Whether times depend on secrets: two classes of inputs, one fixed and one random, in random order (after Reparaz, Balasch, Verbauwhede: dude, is my
//! code constant time?).
//!
//! Decides: Welch's t between the times of the classes: over all of them, over the fastest ones up to each of a hundred percentiles (noise is slow), and
//! over squared distances from the class's mean (times that spread without shifting). The largest |t| counts; from [`SEEN`] on it is a difference.
//! Below that nothing was seen, which is no proof. What leaks on purpose must be seen, or the machine was too noisy to see anything.
//! Trusts: the clock of the machine. Out of scope: caches, other machines, what is measured (`operations.rs`), and the suites: no test asserts on time.

pub mod operations;

use operations::{Bench, Operation};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// |t| from which a difference counts.
pub const SEEN: f64 = 4.5;
/// Percentiles at which times are cropped.
pub const CROPS: u32 = 100;
/// Measurements of a class below which nothing is said.
const ENOUGH: f64 = 500.0;
/// Measurements between two draws of inputs.
const ROUND: usize = 4_096;

/// What a measurement was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same bytes every time.
    Fixed,
    /// Fresh random bytes.
    Random,
}

/// One measurement, in nanoseconds.
pub type Time = (Class, f64);

/// Count, mean and variance of a class, taken in one at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes a value in (Welford).
    pub fn push(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    /// Of these values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut moments = Moments::default();
        values.into_iter().for_each(|value| moments.push(value));
        moments
    }

    /// Square of the mean's standard error.
    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Welch's t of two classes; 0 where one has fewer than two values, or nothing differs at all.
pub fn welch(one: &Moments, other: &Moments) -> f64 {
    let (off, error) = (one.mean - other.mean, one.error() + other.error());
    match one.count < 2.0 || other.count < 2.0 || off == 0.0 {
        true => 0.0,
        // Two classes without any spread and with different means cannot be more different: infinity.
        false => off / error.sqrt(),
    }
}

/// The largest difference that was found.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Difference {
    /// Its |t|.
    pub t: f64,
    /// Share of the fastest measurements it was found in.
    pub kept: f64,
    /// Whether it lies in the spread, not in the mean.
    pub spread: bool,
}

/// Shares of the fastest measurements that are looked at: denser towards all of them, as dudect has it.
pub fn crops() -> impl Iterator<Item = f64> {
    (1..=CROPS).map(|at| 1.0 - 0.5_f64.powf(10.0 * f64::from(at) / f64::from(CROPS)))
}

/// The largest difference between the classes of `times`.
pub fn largest(times: &[Time]) -> Difference {
    let (means, spread) = (in_means(times), in_spread(times));
    if spread.t > means.t { spread } else { means }
}

/// The largest difference of means, over all times and over the fastest ones.
fn in_means(times: &[Time]) -> Difference {
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let mut found = Difference { t: 0.0, kept: 1.0, spread: false };
    for kept in crops().chain([1.0]) {
        let at = (sorted.len() as f64 * kept) as usize;
        let most = sorted.get(at).copied().unwrap_or(f64::INFINITY);
        let of = |class| Moments::of(times.iter().filter(|(of, time)| *of == class && *time <= most).map(|(_, time)| *time));
        let t = said(&of(Class::Fixed), &of(Class::Random));
        if t > found.t {
            found = Difference { t, kept, spread: false };
        }
    }
    found
}

/// The difference of squared distances from the class's mean.
fn in_spread(times: &[Time]) -> Difference {
    let off = |class| {
        let all = || times.iter().filter(move |(of, _)| *of == class).map(|(_, time)| *time);
        let mean = Moments::of(all()).mean;
        Moments::of(all().map(|time| (time - mean).powi(2)))
    };
    Difference { t: said(&off(Class::Fixed), &off(Class::Random)), kept: 1.0, spread: true }
}

/// |t|, where there is enough to say anything.
fn said(fixed: &Moments, random: &Moments) -> f64 {
    match fixed.count >= ENOUGH && random.count >= ENOUGH {
        true => welch(fixed, random).abs(),
        false => 0.0,
    }
}

/// Times of one operation for both classes, in random order.
pub fn measure(operation: &Operation, samples: usize, seed: u64) -> Vec<Time> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut bench = Bench::new(&mut rng);
    let fixed = (operation.fixed)(&bench);
    let mut times = Vec::with_capacity(samples);
    while times.len() < samples {
        let classes: Vec<bool> = (0..ROUND).map(|_| rng.next_u32() & 1 == 1).collect();
        let inputs: Vec<[u8; 32]> = classes.iter().map(|random| input(*random, &fixed, &mut rng)).collect();
        for (random, bytes) in classes.into_iter().zip(&inputs).take(samples - times.len()) {
            (operation.set)(&mut bench, bytes);
            let begun = Instant::now(); // tidy: time is what this measures
            for _ in 0..operation.repeats {
                black_box((operation.run)(black_box(&bench)));
            }
            let took = begun.elapsed().as_nanos() as f64;
            times.push((if random { Class::Random } else { Class::Fixed }, took));
        }
    }
    times
}

/// Both classes are drawn and written in the same way.
fn input(random: bool, fixed: &[u8; 32], rng: &mut ChaCha20Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    let mask = 0_u8.wrapping_sub(u8::from(random));
    for (byte, fixed) in bytes.iter_mut().zip(fixed) {
        *byte = *byte & mask | *fixed & !mask;
    }
    bytes
}

/// What was found about one operation.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which.
    pub operation: &'static str,
    /// Whether it leaks on purpose.
    pub leaks: bool,
    /// How often it was measured.
    pub measurements: usize,
    /// The largest difference.
    pub difference: Difference,
}

/// What findings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What leaks on purpose was seen, and nothing else.
    NothingSeen,
    /// What leaks on purpose was not seen: the machine was too noisy for any figure to count.
    TooNoisy,
    /// Something that must not depend on its input does.
    Depends,
}

impl Finding {
    /// Whether a difference was seen.
    pub fn is_seen(&self) -> bool {
        self.difference.t >= SEEN
    }

    /// In words.
    pub fn words(&self) -> &'static str {
        match (self.leaks, self.is_seen()) {
            (false, false) => "nothing seen",
            (false, true) => "DEPENDS ON ITS INPUT",
            (true, true) => "seen, as it must be",
            (true, false) => "NOT SEEN: too noisy now, no figure here counts",
        }
    }
}

/// The verdict over all findings. Without an operation that leaks on purpose nothing counts.
pub fn verdict(findings: &[Finding]) -> Verdict {
    let (controls, others): (Vec<&Finding>, Vec<&Finding>) = findings.iter().partition(|finding| finding.leaks);
    if others.iter().any(|finding| finding.is_seen()) {
        return Verdict::Depends;
    }
    match !controls.is_empty() && controls.iter().all(|control| control.is_seen()) {
        true => Verdict::NothingSeen,
        false => Verdict::TooNoisy,
    }
}

#[cfg(test)]
mod tests;
