//! Many worlds: seeds in a row or for a time, on one thread or several, and what they add up to.
//!
//! Decides: what a suite counts, what it must have seen, and which seeds are kept as regressions. Each world has one thread for itself; threads
//! share caches alone, so a seed gives the same world on any of them. Trusts: nothing. Out of scope: one world (`run`).

use crate::world::kinds::{self, Blame, Kind};
use crate::world::run::{Report, run};
use crate::world::settings::Settings;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What many worlds add up to.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// Worlds.
    pub worlds: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Operations, answered ones, acknowledged writes.
    pub ops: (u64, u64, u64),
    /// Histories and calls searched without revisions.
    pub searched: (u64, u64),
    /// Messages of members watched, log entries, states compared.
    pub watched: (u64, u64, u64),
    /// Longest recovery, milliseconds.
    pub slowest_recovery_ms: u64,
    /// Kinds that fired.
    pub kinds: BTreeMap<Kind, u64>,
    /// Seeds that broke a rule, with the first one they broke.
    pub failed: Vec<(u64, String)>,
    /// CPU time of the threads that ran them.
    pub cpu: Duration,
}

impl Sum {
    /// Adds a world.
    pub fn add(&mut self, report: &Report) {
        self.worlds += 1;
        self.simulated_ms += report.simulated_ms;
        let (asked, answered, written) = report.ops;
        self.ops = (self.ops.0 + asked as u64, self.ops.1 + answered as u64, self.ops.2 + written as u64);
        self.searched = (self.searched.0 + report.searched.0 as u64, self.searched.1 + report.searched.1 as u64);
        let (messages, entries, states) = report.watched;
        self.watched = (self.watched.0 + messages, self.watched.1 + entries as u64, self.watched.2 + states as u64);
        self.slowest_recovery_ms = self.slowest_recovery_ms.max(report.recovered_ms);
        kinds::add(&mut self.kinds, &report.kinds);
        if let Some(first) = report.violations.first() {
            self.failed.push((report.seed, first.to_string()));
        }
    }

    /// Kinds of the plan that fired, and how many kinds of a hostile host's did.
    pub fn fired(&self) -> (usize, usize) {
        let planned = self.kinds.keys().filter(|kind| !kinds::BESIDE.contains(kind)).count();
        let hostile = self.kinds.keys().filter(|kind| kind.blame() == Blame::Host).count();
        (planned, hostile)
    }

    /// As people read it.
    pub fn table(&self) -> String {
        use std::fmt::Write as _;
        let (mut out, cpu) = (String::new(), self.cpu);
        let seconds = self.simulated_ms as f64 / 1_000.0;
        let _ = writeln!(out, "worlds               {:>12}", self.worlds);
        let _ = writeln!(out, "simulated hours      {:>12.2}", seconds / 3_600.0);
        let _ = writeln!(out, "CPU seconds          {:>12.1}", cpu.as_secs_f64());
        let _ = writeln!(out, "simulated s / CPU s  {:>12.1}", seconds / cpu.as_secs_f64().max(0.001));
        let _ = writeln!(out, "operations           {:>12}  answered {}  writes acknowledged {}", self.ops.0, self.ops.1, self.ops.2);
        let _ = writeln!(out, "histories searched   {:>12}  calls in them {}", self.searched.0, self.searched.1);
        let _ = writeln!(
            out,
            "messages watched     {:>12}  log entries {}  states compared {}",
            self.watched.0, self.watched.1, self.watched.2
        );
        let _ = writeln!(out, "slowest recovery ms  {:>12}", self.slowest_recovery_ms);
        let ((planned, hostile), all) = (self.fired(), Kind::ALL.len());
        let kinds = self.kinds.len();
        let _ = writeln!(out, "kinds fired          {kinds:>12}  of {all}; {planned} are of the plan's 51, {hostile} a hostile host's");
        for kind in Kind::ALL {
            let count = self.kinds.get(kind).copied().unwrap_or(0);
            let _ = writeln!(out, "  {:<8} {:<26} {:>9}", format!("{:?}", kind.blame()), format!("{kind:?}"), count);
        }
        let _ = writeln!(out, "left out: {}", kinds::LEFT_OUT.join(", "));
        let _ = writeln!(out, "failed               {:>12}", self.failed.len());
        for (seed, why) in &self.failed {
            let _ = writeln!(out, "  seed {seed}: {why}");
        }
        out
    }
}

/// CPU time of this thread so far, as Linux counts it; zero elsewhere.
pub fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Runs worlds of these seeds on `threads` threads, each seed on whichever is free; `told` hears of each and says whether to go on.
pub fn sweep(seeds: impl Iterator<Item = u64> + Send, settings: &Settings, threads: usize, told: impl Fn(&Report) -> bool + Sync) -> Sum {
    let (seeds, sum, over) = (Mutex::new(seeds), Mutex::new(Sum::default()), AtomicU64::new(0));
    let next = || seeds.lock().expect("no world holds it").next();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let before = cpu();
                while over.load(Ordering::Relaxed) == 0
                    && let Some(seed) = next()
                {
                    let report = run(seed, settings);
                    sum.lock().expect("no world holds it").add(&report);
                    over.fetch_add(u64::from(!told(&report)), Ordering::Relaxed);
                }
                sum.lock().expect("no world holds it").cpu += cpu() - before;
            });
        }
    });
    let mut sum = sum.into_inner().expect("no world holds it");
    sum.failed.sort();
    sum
}

/// Seeds in a file of regressions, each with how many kinds a world knew when it was written down: with more it would be another world. One a line,
/// `SEED of KINDS`; `#` begins a comment.
pub fn regressions(text: &str) -> Vec<(u64, usize)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let seed = |line: &str| line.split_once(" of ").and_then(|(seed, kinds)| Some((seed.parse().ok()?, kinds.parse().ok()?)));
    lines.filter_map(seed).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn regressions_are_numbers_and_comments() {
        assert_eq!(super::regressions("# seeds\n7 of 53 # lost a write\n\n19 of 54\n"), [(7, 53), (19, 54)]);
    }
}
