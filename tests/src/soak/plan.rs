//! Which fault comes when: a schedule from a seed.
//!
//! Decides: every strike and every weather comes once in each lap, in an order of its own; how long each lasts and whom it meets. Equal seeds
//! give equal schedules. Trusts: nothing. Out of scope: doing it (`strikes.rs`).

use ringwall_sim::weather::{Forecast, mixed};
use std::fmt;
use std::time::Duration;

/// What is done to a node, its disk or its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strike {
    /// SIGKILL, and a new process on another machine.
    KillLeader,
    /// The same to a follower.
    KillFollower,
    /// SIGSTOP, later SIGCONT.
    PauseLeader,
    /// The same to a follower.
    PauseFollower,
    /// Nothing passes between one node and anybody.
    IsolateLeader,
    /// The same for a follower.
    IsolateFollower,
    /// A replaced process finds the disk of another node.
    ForeignDisk,
    /// A replaced process finds an older copy of its own disk.
    OlderDisk,
    /// The disk of a running node is copied and booted twice beside it.
    TwoCopies,
}

impl Strike {
    /// All of them.
    pub const ALL: [Strike; 9] = [
        Strike::KillLeader,
        Strike::KillFollower,
        Strike::PauseLeader,
        Strike::PauseFollower,
        Strike::IsolateLeader,
        Strike::IsolateFollower,
        Strike::ForeignDisk,
        Strike::OlderDisk,
        Strike::TwoCopies,
    ];

    /// Whether it meets the leader.
    pub fn meets_leader(self) -> bool {
        matches!(self, Strike::KillLeader | Strike::PauseLeader | Strike::IsolateLeader)
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Strike::KillLeader => "kill the leader",
            Strike::KillFollower => "kill a follower",
            Strike::PauseLeader => "pause the leader",
            Strike::PauseFollower => "pause a follower",
            Strike::IsolateLeader => "isolate the leader",
            Strike::IsolateFollower => "isolate a follower",
            Strike::ForeignDisk => "another node's disk",
            Strike::OlderDisk => "an older disk",
            Strike::TwoCopies => "a copied disk booted twice",
        })
    }
}

/// What the network is like during a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sky {
    /// Every datagram arrives.
    Fair,
    /// Some are lost.
    Lossy,
    /// All take longer.
    Slow,
    /// Some come twice.
    Doubling,
    /// Some come late.
    Shuffling,
    /// All of it.
    Storm,
}

impl Sky {
    /// All of them.
    pub const ALL: [Sky; 6] = [Sky::Fair, Sky::Lossy, Sky::Slow, Sky::Doubling, Sky::Shuffling, Sky::Storm];

    /// In numbers.
    pub fn forecast(self) -> Forecast {
        let fair = Forecast::default();
        match self {
            Sky::Fair => fair,
            Sky::Lossy => Forecast { lost: 50, ..fair },
            Sky::Slow => Forecast { delay_ms: 15, ..fair },
            Sky::Doubling => Forecast { repeated: 100, ..fair },
            Sky::Shuffling => Forecast { reordered: 100, ..fair },
            Sky::Storm => Forecast { lost: 30, repeated: 50, reordered: 50, delay_ms: 5 },
        }
    }
}

impl fmt::Display for Sky {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Sky::Fair => "fair",
            Sky::Lossy => "lossy",
            Sky::Slow => "slow",
            Sky::Doubling => "doubling",
            Sky::Shuffling => "shuffling",
            Sky::Storm => "stormy",
        })
    }
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// What is done.
    pub strike: Strike,
    /// In which weather.
    pub weather: Sky,
    /// How long until everything is healed.
    pub hold: Duration,
    /// Whom it meets, among those it may meet.
    pub victim: u64,
    /// On which machine a replacement runs, among those that are free.
    pub machine: u64,
}

/// Shortest and longest hold, milliseconds.
const HOLD_MS: (u64, u64) = (1_500, 3_500);

/// The rounds of a seed, without end.
pub fn schedule(seed: u64) -> impl Iterator<Item = Round> {
    let mut drawn = 0_u64;
    let mut draw = move || {
        drawn += 1;
        mixed(seed.wrapping_add(drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    };
    let (mut strikes, mut skies) = (Vec::new(), Vec::new());
    std::iter::from_fn(move || {
        if strikes.is_empty() {
            strikes = shuffled(Strike::ALL.to_vec(), &mut draw);
        }
        if skies.is_empty() {
            skies = shuffled(Sky::ALL.to_vec(), &mut draw);
        }
        let hold = Duration::from_millis(HOLD_MS.0 + draw() % (HOLD_MS.1 - HOLD_MS.0));
        Some(Round { strike: strikes.pop()?, weather: skies.pop()?, hold, victim: draw(), machine: draw() })
    })
}

fn shuffled<T>(mut items: Vec<T>, draw: &mut impl FnMut() -> u64) -> Vec<T> {
    for last in (1..items.len()).rev() {
        items.swap(last, (draw() % (last as u64 + 1)) as usize);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn equal_seeds_give_equal_schedules_and_every_lap_has_everything() {
        let rounds = |seed| schedule(seed).take(36).collect::<Vec<_>>();
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
        for seed in 0..50 {
            let rounds = rounds(seed);
            for lap in rounds.chunks(Strike::ALL.len()) {
                assert_eq!(lap.iter().map(|round| round.strike).collect::<BTreeSet<_>>().len(), Strike::ALL.len());
            }
            for lap in rounds.chunks(Sky::ALL.len()) {
                assert_eq!(lap.iter().map(|round| round.weather).collect::<BTreeSet<_>>().len(), Sky::ALL.len());
            }
        }
    }
}
