//! Memory and files of each node over time, and how fast they grow.
//!
//! Decides: a slope is the least-squares line through the samples of each life, all lives of a slot with one slope and a height of their own; the first
//! seconds of a life, in which it fills its caches, do not count. Trusts: `/proc` and the file system.
//! Out of scope: how fast is too fast.

use crate::bench::measure::process_cost;
use ringwall_sim::cluster::LocalCluster;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pause between two samples.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// Seconds at the beginning of a life that do not count.
const WARM_UP_S: f64 = 5.0;

/// Growth of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Growth {
    /// Its slot.
    pub slot: u8,
    /// Processes that stood in it.
    pub lives: usize,
    /// Samples that count.
    pub samples: usize,
    /// Resident memory at the end, MiB.
    pub rss_mib: f64,
    /// Bytes a minute by which resident memory grew.
    pub rss_bytes_per_minute: f64,
    /// Size of the data folder at the end, MiB.
    pub files_mib: f64,
    /// Bytes a minute by which the data folder grew.
    pub file_bytes_per_minute: f64,
}

/// Samples of one process.
#[derive(Debug, Default)]
struct Life {
    pid: u32,
    /// Seconds since the first sample, resident bytes, bytes of files.
    points: Vec<(f64, f64, f64)>,
    begun_s: f64,
}

/// Samples of all nodes.
#[derive(Debug)]
pub(crate) struct Samples {
    begun: Instant,
    last: Option<Instant>,
    nodes: Vec<Vec<Life>>,
}

impl Samples {
    pub(crate) fn start(nodes: usize) -> Self {
        Samples { begun: Instant::now(), last: None, nodes: (0..nodes).map(|_| Vec::new()).collect() }
    }

    /// Takes a sample of every node, unless the last one is too young.
    pub(crate) fn take(&mut self, cluster: &LocalCluster) {
        if self.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        let now_s = self.begun.elapsed().as_secs_f64();
        for (slot, lives) in cluster.slots().zip(&mut self.nodes) {
            let Some(pid) = cluster.pid(slot) else { continue };
            let rss = process_cost(pid).rss_mib * f64::from(1 << 20);
            if rss == 0.0 {
                continue;
            }
            let files = size_of(&cluster.data_folder(slot)) as f64;
            if lives.last().is_none_or(|life| life.pid != pid) {
                lives.push(Life { pid, points: Vec::new(), begun_s: now_s });
            }
            let life = lives.last_mut().expect("there is one now");
            life.points.push((now_s, rss, files));
        }
    }

    /// Growth of every node.
    pub(crate) fn growth(&self) -> Vec<Growth> {
        let nodes = self.nodes.iter().enumerate();
        nodes.map(|(number, lives)| growth(number as u8 + 1, lives)).collect()
    }
}

fn growth(slot: u8, lives: &[Life]) -> Growth {
    let counted = |value: fn(&(f64, f64, f64)) -> f64| -> Vec<Vec<(f64, f64)>> {
        let life = |life: &Life| {
            let warm = life.points.iter().filter(|point| point.0 - life.begun_s >= WARM_UP_S);
            warm.map(|point| (point.0 / 60.0, value(point))).collect()
        };
        lives.iter().map(life).collect()
    };
    let (rss, files) = (counted(|point| point.1), counted(|point| point.2));
    let last = lives.last().and_then(|life| life.points.last()).copied().unwrap_or_default();
    let mib = f64::from(1 << 20);
    Growth {
        slot,
        lives: lives.len(),
        samples: rss.iter().map(Vec::len).sum(),
        rss_mib: last.1 / mib,
        rss_bytes_per_minute: slope(&rss),
        files_mib: last.2 / mib,
        file_bytes_per_minute: slope(&files),
    }
}

/// One slope for several lines of points, each with a height of its own; 0 when there are too few.
fn slope(lines: &[Vec<(f64, f64)>]) -> f64 {
    let (mut xy, mut xx) = (0.0, 0.0);
    for line in lines.iter().filter(|line| line.len() > 1) {
        let count = line.len() as f64;
        let (x, y) = line.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
        for point in line {
            xy += (point.0 - x) * (point.1 - y);
            xx += (point.0 - x) * (point.0 - x);
        }
    }
    if xx > 0.0 { xy / xx } else { 0.0 }
}

/// Bytes of all files below a folder, as far as they are there.
fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size_of(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_share_a_slope_and_not_a_height() {
        let life = |pid, begun_s: f64, height: f64| Life {
            pid,
            begun_s,
            // The first five seconds are wild.
            points: (0..30)
                .map(|second| {
                    let wild = if second < 5 { 9e9 } else { 0.0 };
                    (begun_s + f64::from(second), height + f64::from(second) * 100.0 + wild, 7.0)
                })
                .collect(),
        };
        let grown = growth(2, &[life(1, 0.0, 1_000.0), life(2, 100.0, 90_000.0)]);
        assert_eq!((grown.slot, grown.lives, grown.samples), (2, 2, 50));
        assert!((grown.rss_bytes_per_minute - 6_000.0).abs() < 1e-3, "{grown:?}");
        assert!(grown.file_bytes_per_minute.abs() < 1e-6);
        assert_eq!(growth(1, &[]).rss_bytes_per_minute, 0.0);
    }
}
