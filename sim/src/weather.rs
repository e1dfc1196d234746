//! What a network does to datagrams at one tap: lets them through, loses, delays, repeats, reorders, withholds answers, or cuts somebody off.
//!
//! Decides: the fate of each datagram, from a seed and its number. Counts what it did, so that whoever runs it can demand that it happened.
//! Trusts: nothing. Out of scope: moving datagrams (`tap.rs`); when the weather changes (attacks, suites). Register row R10.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happens to one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives once, after a while.
    Once(Duration),
    /// It arrives twice: after one while, and after another.
    Twice(Duration, Duration),
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the node behind the tap.
    In,
    /// From it.
    Out,
}

/// How bad it is; of a thousand datagrams each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Lost.
    pub lost: u32,
    /// Sent twice.
    pub repeated: u32,
    /// Held back until later ones have passed.
    pub reordered: u32,
    /// Milliseconds every datagram takes longer.
    pub delay_ms: u32,
}

impl Forecast {
    /// Datagrams come in another order, and old ones come again.
    pub const RESTLESS: Forecast = Forecast { lost: 0, repeated: 300, reordered: 300, delay_ms: 0 };
}

/// How many datagrams met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All that came.
    pub seen: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Not passed because of a partition.
    pub cut: u64,
    /// Sent twice.
    pub repeated: u64,
    /// Held back.
    pub reordered: u64,
    /// Delayed.
    pub delayed: u64,
}

impl Tally {
    /// Adds another tap's.
    pub fn add(&mut self, other: Tally) {
        self.seen += other.seen;
        self.lost += other.lost;
        self.cut += other.cut;
        self.repeated += other.repeated;
        self.reordered += other.reordered;
        self.delayed += other.delayed;
    }
}

/// How long a reordered datagram is held back.
const HELD_BACK: Duration = Duration::from_millis(12);

/// The weather at one tap.
#[derive(Debug)]
pub struct Weather {
    seed: u64,
    lost: AtomicU32,
    repeated: AtomicU32,
    reordered: AtomicU32,
    delay_ms: AtomicU32,
    everything_cut: AtomicU32,
    cut: Mutex<BTreeSet<SocketAddr>>,
    /// Who alone hears the node; none while everybody does.
    hearing: Mutex<Option<BTreeSet<SocketAddr>>>,
    tally: Mutex<Tally>,
    number: AtomicU64,
}

impl Weather {
    /// Fair weather; what chance decides later comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Weather {
            seed,
            lost: AtomicU32::new(0),
            repeated: AtomicU32::new(0),
            reordered: AtomicU32::new(0),
            delay_ms: AtomicU32::new(0),
            everything_cut: AtomicU32::new(0),
            cut: Mutex::default(),
            hearing: Mutex::default(),
            tally: Mutex::default(),
            number: AtomicU64::new(0),
        }
    }

    /// Changes the weather.
    pub fn set(&self, forecast: Forecast) {
        self.lost.store(forecast.lost, Ordering::Relaxed);
        self.repeated.store(forecast.repeated, Ordering::Relaxed);
        self.reordered.store(forecast.reordered, Ordering::Relaxed);
        self.delay_ms.store(forecast.delay_ms, Ordering::Relaxed);
    }

    /// Passes nothing any more, or everything again.
    pub fn cut_all(&self, cut: bool) {
        self.everything_cut.store(u32::from(cut), Ordering::Relaxed);
    }

    /// Passes nothing between the node and `other` any more.
    pub fn cut(&self, other: SocketAddr) {
        locked(&self.cut).insert(other);
    }

    /// Withholds what the node says from everybody but these.
    pub fn withhold_from_all_but(&self, spared: &[SocketAddr]) {
        *locked(&self.hearing) = Some(spared.iter().copied().collect());
    }

    /// Ends every partition and every fault.
    pub fn clear(&self) {
        self.set(Forecast::default());
        self.cut_all(false);
        locked(&self.cut).clear();
        *locked(&self.hearing) = None;
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        *locked(&self.tally)
    }

    /// The fate of the next datagram between the node and `other`.
    pub fn fate(&self, other: SocketAddr, way: Way) -> Fate {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let deaf = way == Way::Out && locked(&self.hearing).as_ref().is_some_and(|hearing| !hearing.contains(&other));
        let is_cut = deaf || self.everything_cut.load(Ordering::Relaxed) != 0 || locked(&self.cut).contains(&other);
        let mut tally = locked(&self.tally);
        tally.seen += 1;
        if is_cut {
            tally.cut += 1;
            return Fate::Lost;
        }
        let drawn = mixed(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let chance = |shift: u32, of: &AtomicU32| ((drawn >> shift) % 1_000) < u64::from(of.load(Ordering::Relaxed));
        if chance(0, &self.lost) {
            tally.lost += 1;
            return Fate::Lost;
        }
        let mut after = Duration::from_millis(self.delay_ms.load(Ordering::Relaxed).into());
        tally.delayed += u64::from(!after.is_zero());
        if chance(16, &self.reordered) {
            tally.reordered += 1;
            after += HELD_BACK;
        }
        if chance(32, &self.repeated) {
            tally.repeated += 1;
            return Fate::Twice(after, after + HELD_BACK);
        }
        Fate::Once(after)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number with every bit of `word` in every bit (the finalizer of SplitMix64).
pub fn mixed(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fair_weather_passes_everything_and_bad_weather_does_what_was_forecast() {
        let other: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let weather = Weather::new(3);
        assert!((0..1_000).all(|_| weather.fate(other, Way::In) == Fate::Once(Duration::ZERO)));
        weather.set(Forecast { lost: 200, repeated: 100, reordered: 100, delay_ms: 5 });
        for _ in 0..10_000 {
            let _ = weather.fate(other, Way::In);
        }
        let tally = weather.tally();
        assert_eq!(tally.seen, 11_000);
        assert!((1_700..2_300).contains(&tally.lost), "{tally:?}");
        assert!((600..1_000).contains(&tally.repeated) && (600..1_000).contains(&tally.reordered), "{tally:?}");
        assert_eq!(tally.delayed, 10_000 - tally.lost);
    }

    #[test]
    fn a_partition_cuts_whom_it_names_until_it_is_healed() {
        let (one, two): (SocketAddr, SocketAddr) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let weather = Weather::new(1);
        weather.cut(one);
        assert_eq!((weather.fate(one, Way::In), weather.fate(two, Way::Out)), (Fate::Lost, Fate::Once(Duration::ZERO)));
        weather.cut_all(true);
        assert_eq!(weather.fate(two, Way::Out), Fate::Lost);
        weather.clear();
        assert_eq!(weather.fate(one, Way::In), Fate::Once(Duration::ZERO));
        weather.withhold_from_all_but(&[one]);
        let heard = [one, two].map(|other| [Way::In, Way::Out].map(|way| weather.fate(other, way) != Fate::Lost));
        assert_eq!(heard, [[true, true], [true, false]]);
        assert_eq!(weather.tally().cut, 3);
    }
}
