//! Many worlds: seeds in a row or for a time, kept failures, and what they add up to.
//!
//! Decides: what a suite counts, and which seeds are kept as regressions. Trusts: nothing. Out of scope: one world (`run`).

use crate::world::kinds::{self, Kind};
use crate::world::run::{Report, run};
use crate::world::settings::Settings;
use std::collections::BTreeMap;
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

    /// As people read it.
    pub fn table(&self, cpu: Duration) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
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
        let _ = writeln!(out, "kinds fired          {:>12}  of {}", self.kinds.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let count = self.kinds.get(kind).copied().unwrap_or(0);
            let _ = writeln!(out, "  {:<26} {:>9}", format!("{kind:?}"), count);
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

/// Runs worlds of these seeds one after the other on this thread; `told` hears of each.
pub fn sweep(seeds: impl Iterator<Item = u64>, settings: &Settings, mut told: impl FnMut(&Report) -> bool) -> Sum {
    let mut sum = Sum::default();
    for seed in seeds {
        let report = run(seed, settings);
        sum.add(&report);
        if !told(&report) {
            break;
        }
    }
    sum
}

/// Seeds in a file of regressions: one a line, `#` begins a comment.
pub fn regressions(text: &str) -> Vec<u64> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn regressions_are_numbers_and_comments() {
        assert_eq!(super::regressions("# seeds\n7 # lost a write\n\n19\n"), [7, 19]);
    }
}
