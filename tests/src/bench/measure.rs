//! What a run cost: CPU time and memory of the server processes, and latency of the operations.
//!
//! Decides: how percentiles and costs are computed. Trusts: `/proc`. Out of scope: what is run.

use serde::Serialize;
use std::time::Duration;

/// CPU time and memory of one process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ProcessCost {
    /// User and system time since its start, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory in MiB.
    pub rss_mib: f64,
}

/// Reads `/proc/<pid>`; zero when the process is gone.
pub fn process_cost(pid: u32) -> ProcessCost {
    let ticks = rustix::param::clock_ticks_per_second();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let tick = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    ProcessCost { cpu_ms: (tick(11) + tick(12)) * 1000 / ticks, rss_mib: status_mib(pid, "VmRSS:") }
}

/// Most memory a process had resident since its start, or since [`forget_peak`], in MiB; zero when the process is gone.
pub fn peak_rss_mib(pid: u32) -> f64 {
    status_mib(pid, "VmHWM:")
}

/// Lets a process's peak begin anew, where the kernel can; where it cannot, the peak stays that since the start.
pub fn forget_peak(pid: u32) {
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn status_mib(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let rest = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = rest.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    kib as f64 / 1024.0
}

/// One measured point.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Operations that were answered.
    pub operations: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Seconds measured.
    pub seconds: f64,
    /// Operations per second.
    pub per_second: f64,
    /// Median latency, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// CPU of each server, in cores.
    pub cpu_cores: Vec<f64>,
    /// CPU of all servers for one operation, microseconds.
    pub cpu_us_per_operation: f64,
    /// Memory of each server after the run, MiB.
    pub rss_mib: Vec<f64>,
}

/// Costs before and after, and every latency in microseconds.
pub fn summarize(mut latencies_us: Vec<u32>, errors: u64, took: Duration, before: &[ProcessCost], after: &[ProcessCost]) -> Sample {
    latencies_us.sort_unstable();
    let seconds = took.as_secs_f64();
    let operations = latencies_us.len() as u64;
    let cpu_ms: Vec<f64> = before.iter().zip(after).map(|(a, b)| b.cpu_ms.saturating_sub(a.cpu_ms) as f64).collect();
    Sample {
        operations,
        errors,
        seconds,
        per_second: operations as f64 / seconds,
        p50_ms: percentile(&latencies_us, 0.50),
        p99_ms: percentile(&latencies_us, 0.99),
        cpu_cores: cpu_ms.iter().map(|ms| ms / 1000.0 / seconds).collect(),
        cpu_us_per_operation: cpu_ms.iter().sum::<f64>() * 1000.0 / (operations.max(1) as f64),
        rss_mib: after.iter().map(|cost| cost.rss_mib).collect(),
    }
}

/// The value in the middle; NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn percentile(sorted_us: &[u32], share: f64) -> f64 {
    let last = sorted_us.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted_us.get(at).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_from_sorted_latencies() {
        let latencies: Vec<u32> = (1..=101).rev().map(|n| n * 1000).collect();
        let zero = [ProcessCost::default()];
        let after = [ProcessCost { cpu_ms: 500, rss_mib: 3.0 }];
        let sample = summarize(latencies, 0, Duration::from_secs(1), &zero, &after);
        assert_eq!(sample.p50_ms, 51.0);
        assert_eq!(sample.p99_ms, 100.0);
        assert_eq!(sample.cpu_cores, vec![0.5]);
        assert_eq!(sample.operations, 101);
    }

    #[test]
    fn reads_its_own_cost() {
        let me = std::process::id();
        assert!(process_cost(me).rss_mib > 0.5);
        assert!(peak_rss_mib(me) >= process_cost(me).rss_mib / 2.0);
        assert_eq!(peak_rss_mib(u32::MAX), 0.0);
    }
}
