//! How results are shown: a table for people, JSON for programs, an SVG plot.
//!
//! Decides: what is printed; figures are those of the run, never a goal. Trusts: the samples. Out of scope: measuring.

use super::load::{Mix, Point};
use super::measure::Sample;
use serde::Serialize;
use std::fmt::Write as _;

/// One point, both systems, every repetition.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub point: Point,
    /// Ringwall, median repetition by operations per second.
    pub ringwall: Sample,
    /// etcd, median repetition; absent when etcd could not be had.
    pub etcd: Option<Sample>,
    /// Largest over smallest operations per second among Ringwall's repetitions.
    pub spread: f64,
}

impl Row {
    /// Ringwall's operations per second over etcd's.
    pub fn speed_ratio(&self) -> Option<f64> {
        Some(self.ringwall.per_second / self.etcd.as_ref()?.per_second)
    }

    /// etcd's CPU for an operation over Ringwall's.
    pub fn cpu_ratio(&self) -> Option<f64> {
        Some(self.etcd.as_ref()?.cpu_us_per_operation / self.ringwall.cpu_us_per_operation)
    }
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When, Unix seconds.
    pub at_s: u64,
    /// Commit of the sources, when known.
    pub commit: String,
    /// Cores and CPU model.
    pub machine: String,
    /// The etcd that was measured, or why none was.
    pub etcd: String,
    /// Seconds of one repetition.
    pub seconds: f64,
    /// Repetitions of each point and system, alternating.
    pub repetitions: usize,
    /// The points.
    pub rows: Vec<Row>,
}

/// Commit of the sources, when known.
pub fn commit() -> String {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output.ok().and_then(|output| String::from_utf8(output.stdout).ok()).map_or_else(String::new, |text| text.trim().to_owned())
}

/// Cores and CPU model.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(": "));
    format!("{cores} cores, {}", model.map_or("unknown CPU", |(_, name)| name))
}

/// Picks the repetition with the median speed, and the spread of all.
pub fn median(mut samples: Vec<Sample>) -> Option<(Sample, f64)> {
    samples.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let spread = samples.last()?.per_second / samples.first()?.per_second;
    let middle = samples.len() / 2;
    Some((samples.swap_remove(middle), spread))
}

/// Name of a mix, for people.
pub fn mix_name(mix: Mix) -> &'static str {
    match mix {
        Mix::Put => "put",
        Mix::Get => "get",
        Mix::Mixed => "95:5",
    }
}

/// The table, at most 100 columns.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} | etcd: {} | {} x {:.0} s", report.machine, report.etcd, report.repetitions, report.seconds);
    let _ = writeln!(out, "                    |        Ringwall              |          etcd                | ratio (>1: ahead)");
    let _ = writeln!(out, "mix  bytes clients |     op/s   p50   p99  us/op  |     op/s   p50   p99  us/op  | speed   CPU   RSS");
    for row in &report.rows {
        let _ =
            write!(out, "{:<4} {:>5} {:>7} |{}", mix_name(row.point.mix), row.point.value_bytes, row.point.clients, cells(&row.ringwall));
        match &row.etcd {
            Some(etcd) => {
                let memory = etcd.rss_mib.iter().sum::<f64>() / row.ringwall.rss_mib.iter().sum::<f64>();
                let (speed, cpu) = (row.speed_ratio().unwrap_or(f64::NAN), row.cpu_ratio().unwrap_or(f64::NAN));
                let _ = writeln!(out, "|{}|{speed:>6.2} {cpu:>5.1} {memory:>5.1}", cells(etcd));
            }
            None => out.push_str("| -\n"),
        }
    }
    out.push_str("\n                    |   Ringwall, by node             |   etcd, by node\n");
    out.push_str("mix  bytes clients |  CPU (cores)      RSS (MiB)     |  CPU (cores)      RSS (MiB)\n");
    for row in &report.rows {
        let _ =
            write!(out, "{:<4} {:>5} {:>7} |{}", mix_name(row.point.mix), row.point.value_bytes, row.point.clients, by_node(&row.ringwall));
        let _ = writeln!(out, "|{}", row.etcd.as_ref().map_or_else(|| " -".to_owned(), by_node));
    }
    out
}

fn by_node(sample: &Sample) -> String {
    let cpu: String = sample.cpu_cores.iter().map(|cores| format!("{cores:>5.2}")).collect();
    let rss: String = sample.rss_mib.iter().map(|mib| format!("{mib:>5.0}")).collect();
    format!("{cpu} {rss}  ")
}

fn cells(sample: &Sample) -> String {
    let errors = if sample.errors > 0 { "!" } else { " " };
    format!("{:>9.0} {:>5.1} {:>6.1} {:>5.0} {errors}", sample.per_second, sample.p50_ms, sample.p99_ms, sample.cpu_us_per_operation)
}

/// A bar chart of the speed ratios; the line at 1 is etcd.
pub fn svg(report: &Report) -> String {
    let rows: Vec<(&Row, f64)> = report.rows.iter().filter_map(|row| Some((row, row.speed_ratio()?))).collect();
    let top = rows.iter().map(|(_, ratio)| *ratio).fold(2.0_f64, f64::max);
    let (width, height, left) = (60.0 + rows.len() as f64 * 34.0, 320.0, 46.0);
    let floor = 230.0;
    let scale = 190.0 / top;
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"10\">"
    );
    let _ = write!(out, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/><text x=\"{left}\" y=\"16\" font-size=\"13\">");
    let _ = write!(out, "Operations per second, Ringwall over etcd (same run; line = etcd)</text>");
    for (at, (row, ratio)) in rows.iter().enumerate() {
        let x = left + at as f64 * 34.0;
        let y = floor - ratio * scale;
        let color = match row.point.mix {
            Mix::Put => "#2b6cb0",
            Mix::Get => "#2f855a",
            Mix::Mixed => "#975a16",
        };
        let _ = write!(out, "<rect x=\"{x}\" y=\"{y:.1}\" width=\"24\" height=\"{:.1}\" fill=\"{color}\"/>", ratio * scale);
        let _ = write!(out, "<text x=\"{x}\" y=\"{:.1}\">{ratio:.1}</text>", y - 4.0);
        let label = format!("{} {}B x{}", mix_name(row.point.mix), row.point.value_bytes, row.point.clients);
        let (tx, ty) = (x + 12.0, floor + 10.0);
        let _ = write!(out, "<text x=\"{tx}\" y=\"{ty}\" transform=\"rotate(60 {tx} {ty})\">{label}</text>");
    }
    let one = floor - scale;
    let _ = write!(out, "<line x1=\"{left}\" x2=\"{width}\" y1=\"{one:.1}\" y2=\"{one:.1}\" stroke=\"#c53030\"/></svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(per_second: f64) -> Sample {
        Sample {
            operations: 1,
            errors: 0,
            seconds: 1.0,
            per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
            cpu_cores: vec![0.1; 3],
            cpu_us_per_operation: 10.0,
            rss_mib: vec![10.0; 3],
        }
    }

    #[test]
    fn table_fits_and_shows_the_ratio() {
        let point = Point { mix: Mix::Put, clients: 1024, value_bytes: 4096 };
        let row = Row { point, ringwall: sample(200_000.0), etcd: Some(sample(100_000.0)), spread: 1.0 };
        let report = Report {
            at_s: 0,
            commit: "c".into(),
            machine: "2 cores".into(),
            etcd: "etcd 3".into(),
            seconds: 1.0,
            repetitions: 3,
            rows: vec![row],
        };
        let text = table(&report);
        assert!(text.contains("2.00"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
        assert!(svg(&report).ends_with("</svg>"));
    }

    #[test]
    fn median_is_the_middle_one() {
        let (middle, spread) = median(vec![sample(3.0), sample(1.0), sample(2.0)]).unwrap();
        assert_eq!((middle.per_second, spread), (2.0, 3.0));
    }
}
