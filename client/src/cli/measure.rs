//! `ringwall measure`: what a build will measure to, as a policy and a release statement want it.
//!
//! Decides: what is printed and written; files that are written are new. A shape of which something is unknown is named and left out, and the run ends
//! with exit code 10. Trusts: the library. Out of scope: the prediction (`measure.rs`), approving anything.

use super::exit::{Exit, Trouble};
use super::policy::write_new;
use super::{args::SharedOptions, show};
use crate::measure::{Artefact, Incomplete, Origin, Prediction, Role, predict};
use crate::policy::measurement_to_toml;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// Files of so many bytes are read with a bar.
const BAR_BYTES: u64 = 32 * 1024 * 1024;

/// What stands below the options.
pub(super) const MEASURE_HELP: &str = "\
  ringwall measure measure.json                           TOML for `measurements` of a policy
  ringwall measure measure.json --json > set.json         the same for `ringwall release make`
  ringwall measure measure.json --report report.json      besides: what was read, and the like

The build file names firmware, the guest image or its kernel, initrd and command line, and the
shapes of guests; paths are relative to it. docs/measurements.md describes it, and says what can be
predicted and what cannot. Exit code 10: a shape was left out, because something of it is unknown.";

/// Arguments of `measure`.
#[derive(Debug, Args)]
pub(crate) struct Measure {
    /// Build file: artefacts and shapes of guests
    #[arg(value_name = "FILE")]
    build: PathBuf,
    /// New file for the TOML, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// New file for a report in JSON: what was read, by its SHA-256, and where each value comes from
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Predicts, prints, writes.
pub(crate) fn run(shared: &SharedOptions, arguments: &Measure) -> Result<Exit, Trouble> {
    let mut bar = Bar { quiet: shared.json || !std::io::stderr().is_terminal(), role: None, bar: ProgressBar::hidden() };
    let prediction = predict(&arguments.build, &mut |role, done, all| bar.show(role, done, all));
    bar.bar.finish_and_clear();
    let prediction = prediction?;
    let build = prediction.set.to_policy()?;
    let toml = comments(&prediction) + &measurement_to_toml(&build);
    let set =
        serde_json::to_value(&prediction.set).map_err(|fault| Trouble::new("RW-C-OUTPUT", format!("the measurements as JSON: {fault}")))?;
    if let Some(path) = &arguments.report {
        write_new(path, format!("{:#}\n", report(&prediction, &set, &toml)).as_bytes())?;
    }
    if let Some(path) = &arguments.out {
        write_new(path, toml.as_bytes())?;
    }
    match (shared.json, &arguments.out) {
        (true, _) => show::line(set.to_string())?,
        (false, Some(path)) => {
            let (snp, tdx) = (build.snp.len(), build.tdx.len());
            show::line(format!("{}: {} measures to {snp} SNP digest(s) and {tdx} TDX tuple(s)", path.display(), &*build.id))?;
        }
        (false, None) => show::print(toml.as_bytes())?,
    }
    for shape in &prediction.incomplete {
        show::note(&format!(
            "shape {:?} is left out: without `acpi` or an `event_log`, nobody can tell its RTMR0 (docs/measurements.md)",
            shape.shape
        ));
    }
    Ok(if prediction.incomplete.is_empty() { Exit::Done } else { Exit::File })
}

/// One bar, for the file that is being read.
struct Bar {
    quiet: bool,
    role: Option<Role>,
    bar: ProgressBar,
}

impl Bar {
    fn show(&mut self, role: Role, done: u64, all: u64) {
        if self.quiet || all < BAR_BYTES {
            return;
        }
        if self.role != Some(role) {
            self.bar.finish_and_clear();
            let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}");
            self.bar = ProgressBar::new(all)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(format!("hashing the {}", role.name()));
            self.role = Some(role);
        }
        self.bar.set_position(done);
    }
}

/// What stands above the build: from what it was predicted, and which shape has which value.
fn comments(prediction: &Prediction) -> String {
    let mut text = String::from("# Predicted by `ringwall measure` from:\n");
    let mut line = |words: String| writeln!(text, "# {words}").expect("writing to a String does not fail");
    for Artefact { role, path, bytes, sha256 } in &prediction.artefacts {
        let name = show::words(path.display().to_string().as_bytes());
        line(format!("  {:<12} {name}, {bytes} bytes\n#     sha256 {sha256}", role.name()));
    }
    for shape in &prediction.set.snp {
        line(format!("SNP, {} vCPU(s) of type {}:\n#   {}", shape.vcpus, shape.model, shape.digest));
    }
    for (shape, origins) in prediction.set.tdx.iter().zip(&prediction.origins) {
        let [rtmr0, rtmr1, rtmr2] = origins.rtmrs.map(Origin::name);
        line(format!("TDX, {}: mrtd {}, rtmr0 {rtmr0}, rtmr1 {rtmr1}, rtmr2 {rtmr2}", shape.shape, origins.mrtd.name()));
        line(format!("  rtmr0 {}", shape.rtmr0));
    }
    for Incomplete { shape, mrtd, rtmr1, rtmr2 } in &prediction.incomplete {
        line(format!("NOT LISTED, its rtmr0 is not known: TDX, {shape}\n#   mrtd  {mrtd}\n#   rtmr1 {rtmr1}\n#   rtmr2 {rtmr2}"));
    }
    text
}

fn report(prediction: &Prediction, set: &Value, toml: &str) -> Value {
    let artefact = |artefact: &Artefact| {
        let path = artefact.path.display().to_string();
        json!({ "role": artefact.role.name(), "path": path, "bytes": artefact.bytes, "sha256": artefact.sha256.to_string() })
    };
    let origins = prediction.set.tdx.iter().zip(&prediction.origins).map(|(shape, origins)| {
        let [rtmr0, rtmr1, rtmr2] = origins.rtmrs.map(Origin::name);
        json!({ "shape": shape.shape, "mrtd": origins.mrtd.name(), "rtmr0": rtmr0, "rtmr1": rtmr1, "rtmr2": rtmr2 })
    });
    let incomplete = prediction.incomplete.iter().map(|shape| {
        let [mrtd, rtmr1, rtmr2] = [shape.mrtd, shape.rtmr1, shape.rtmr2].map(|register| register.to_string());
        json!({ "shape": shape.shape, "mrtd": mrtd, "rtmr1": rtmr1, "rtmr2": rtmr2 })
    });
    json!({
        "set": set,
        "toml": toml,
        "artefacts": prediction.artefacts.iter().map(artefact).collect::<Vec<_>>(),
        "tdx_origins": origins.collect::<Vec<_>>(),
        "incomplete": incomplete.collect::<Vec<_>>(),
    })
}
