//! The benchmark of custody: what a recovery takes, what a rotation costs, what the first look at a user costs, what dealing shares takes.
//!
//! Decides: what is measured, and beside what in the same run: a recovery beside a plain restart of the same node over the same state, a rotation beside
//! the same load before it, a cold read beside warm ones, splitting and combining beside `vsss-rs`. Memory is the peak of the process that does it.
//! Trusts: `/proc` and one monotonic clock. Out of scope: assertions on time in the suites; the program says whether [`PROMISED_S`] held.

pub mod cold;
pub mod dealing;
pub mod outage;
pub mod rotation;

use serde::Serialize;
use std::fmt::Write as _;

/// Most seconds from the share that completes the threshold to service, for [`PROMISED_MIB`] of state.
pub const PROMISED_S: f64 = 30.0;
/// State for which that is promised; less must not take longer.
pub const PROMISED_MIB: u64 = 100;

/// A whole run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// When, Unix seconds.
    pub at_s: u64,
    /// Commit of the sources, when known.
    pub commit: String,
    /// Cores and CPU model.
    pub machine: String,
    /// Recoveries, by size of the state.
    pub outages: Vec<outage::Row>,
    /// A rotation under load.
    pub rotation: Option<rotation::Row>,
    /// First looks at users.
    pub cold: Option<cold::Row>,
    /// Dealings.
    pub dealings: Vec<dealing::Row>,
}

impl Report {
    /// Whether every recovery for which something is promised kept to it.
    pub fn is_promise_kept(&self) -> bool {
        self.outages.iter().all(|row| row.state_mib > PROMISED_MIB || row.serving_s <= PROMISED_S)
    }
}

/// Says what is measured now, on a terminal alone.
pub(crate) fn progress(what: &str) {
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        // Nobody to tell is no reason to stop.
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{what}\n"));
    }
}

/// The tables, at most 120 columns but for the name of the machine.
pub fn table(report: &Report) -> String {
    let mut out = format!("{} | commit {}\n", report.machine, report.commit);
    if !report.outages.is_empty() {
        outages(&mut out, report);
    }
    if let Some(row) = &report.rotation {
        rotation(&mut out, row);
    }
    if let Some(row) = &report.cold {
        cold(&mut out, row);
    }
    if !report.dealings.is_empty() {
        dealings(&mut out, &report.dealings);
    }
    out
}

fn outages(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "\nRecovery after a total outage; beside it a plain restart of the same node, which is given the same state by the others"
    );
    let _ = writeln!(
        out,
        "{:>9} {:>8} {:>8} | {:>7} {:>9} {:>7} | {:>9} {:>7} | {:>6}",
        "", "", "", "until", "share to", "peak", "restart", "peak", ""
    );
    let _ = writeln!(
        out,
        "{:>9} {:>8} {:>8} | {:>7} {:>9} {:>7} | {:>9} {:>7} | {:>6}",
        "state MiB", "records", "disk MiB", "offer s", "serving s", "RSS MiB", "to vote s", "RSS MiB", "ratio"
    );
    for row in &report.outages {
        let _ = writeln!(
            out,
            "{:>9} {:>8} {:>8.1} | {:>7.2} {:>9.2} {:>7.0} | {:>9.2} {:>7.0} | {:>6.2}",
            row.state_mib,
            row.records,
            row.disk_mib,
            row.offer_s,
            row.serving_s,
            row.recovering_mib,
            row.restart_s,
            row.restarted_mib,
            row.ratio
        );
    }
    let kept = if report.is_promise_kept() { "kept" } else { "NOT KEPT" };
    let _ = writeln!(out, "at most {PROMISED_S:.0} s from share to serving, up to {PROMISED_MIB} MiB: {kept}");
}

fn rotation(out: &mut String, row: &rotation::Row) {
    let _ = writeln!(out, "\nRotation of the master key under load ({} clients, {} B)", row.clients, row.value_bytes);
    let _ = writeln!(
        out,
        "{} data keys in {:.2} s: {:.0}/s; until the new key was named: {:.2} s",
        row.data_keys, row.rewrap_s, row.keys_per_second, row.named_s
    );
    let (before, during) = (&row.before, &row.during);
    let _ = writeln!(out, "{:>8} {:>9} {:>8} {:>8} {:>9} {:>7}", "", "puts/s", "p50 ms", "p99 ms", "us/put", "errors");
    for (name, sample) in [("before", before), ("during", during)] {
        let _ = writeln!(
            out,
            "{name:>8} {:>9.0} {:>8.2} {:>8.2} {:>9.0} {:>7}",
            sample.per_second, sample.p50_ms, sample.p99_ms, sample.cpu_us_per_operation, sample.errors
        );
    }
    let _ = writeln!(
        out,
        "puts during over before: {:.2}; peak RSS of a node: {:.0} MiB before, {:.0} MiB during",
        row.puts_ratio, row.peak_before_mib, row.peak_during_mib
    );
}

fn cold(out: &mut String, row: &cold::Row) {
    let _ = writeln!(out, "\nThe first look at a user at a node that has seen nothing of them ({} users; medians)", row.users);
    let _ = writeln!(out, "{:>38} {:>8} {:>8}", "", "ms", "ratio");
    let lines = [
        ("a warm get", row.warm_ms, 1.0),
        ("first get of a namespace, keys cold", row.cold_ms, row.cold_ratio),
        ("first get of a session, keys cold", row.first_ms, row.first_ratio),
        ("the session itself, with its evidence", row.session_ms, row.session_ms / row.warm_ms),
    ];
    for (name, ms, ratio) in lines {
        let _ = writeln!(out, "{name:>38} {ms:>8.3} {ratio:>8.2}");
    }
    let _ = writeln!(out, "peak RSS of that node: {:.0} MiB", row.peak_mib);
}

fn dealings(out: &mut String, rows: &[dealing::Row]) {
    let _ = writeln!(out, "\nDealing in one process; splitting and combining beside {}", dealing::PEER);
    let _ = writeln!(out, "{:>8} {:>28} {:>11} {:>11} {:>7} {:>8}", "", "", "us", "peer us", "ratio", "peak MiB");
    for row in rows {
        let peer = row.peer_us.map_or_else(String::new, |us| format!("{us:.1}"));
        let ratio = row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let _ = writeln!(out, "{:>8} {:>28} {:>11.1} {peer:>11} {ratio:>7} {:>8.0}", row.shares, row.step, row.us, row.peak_mib);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(state_mib: u64, serving_s: f64) -> outage::Row {
        outage::Row { state_mib, serving_s, ..outage::Row::default() }
    }

    #[test]
    fn a_promise_is_kept_up_to_its_size_and_not_beyond() {
        let report = |outages| Report { outages, ..Report::default() };
        assert!(report(vec![outage(1, 1.0), outage(100, 30.0)]).is_promise_kept());
        assert!(!report(vec![outage(1, 1.0), outage(100, 30.1)]).is_promise_kept());
        assert!(!report(vec![outage(1, 30.1)]).is_promise_kept(), "less state is no excuse");
        assert!(report(vec![outage(101, 90.0)]).is_promise_kept(), "nothing is promised for it");
        assert!(table(&report(vec![outage(100, 31.0)])).contains("NOT KEPT"));
    }

    #[test]
    fn a_table_has_what_was_measured_and_no_line_is_too_long() {
        let dealing =
            dealing::Row { shares: "9 of 16".into(), step: "split".into(), us: 12.0, peer_us: Some(6.0), ratio: Some(2.0), peak_mib: 3.0 };
        let report = Report { outages: vec![outage(1, 1.0)], dealings: vec![dealing], ..Report::default() };
        let table = table(&report);
        assert!(table.contains("9 of 16") && table.contains("2.00") && !table.contains("Rotation"));
        assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    }
}
