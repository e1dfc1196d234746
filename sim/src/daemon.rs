//! The node daemon on a simulated machine: the same command line as the shipped one, with a software TEE and simulated roots.
//!
//! Decides: which simulated machine a process is (its chip, its build, its lies, its generator), that it ends when its parent does, and that
//! it stands still after the node's end where somebody wants to look at what is left in its memory.
//! Trusts: nothing, protects nothing. Out of scope: everything a node does (`ringwall_node::cli`).

use crate::lie::Lie;
use crate::profile::BuildImage;
use crate::tape::Tape;
use crate::tee::SimTee;
use crate::world;
use clap::Parser;
use ringwall_node::entropy::{self, Entropy, EntropyError};
use ringwall_node::platform::chip_keys::KeySource;
use ringwall_node::platform::derived_keys::DerivedKeyError;
use ringwall_node::platform::store::EndorsementStore;
use ringwall_node::platform::{Anchors, Attester, CollectError, Platform, PlatformError};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::genesis::BootConfig;
use ringwall_wire::ids::Vendor;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a process that stands still says once its node has ended.
pub const ENDED: &str = "ringwalld-sim: the node has ended";

/// A node on a simulated machine. Protects nothing: its roots of trust are public.
#[derive(Debug, Parser)]
#[command(name = "ringwalld-sim")]
struct Arguments {
    /// Name of the chip, opening with genoa-, turin-, milan- or tdx-.
    #[arg(long, required_unless_present = "world")]
    chip: Option<String>,
    /// Write `cluster.policy` and `genesis.template` of the standard world into this folder, and end: what a simulated cluster is founded with.
    #[arg(long, value_name = "FOLDER")]
    world: Option<PathBuf>,
    /// Name of the build that runs.
    #[arg(long, default_value = world::BUILD)]
    build: String,
    /// A way to lie (a variant of `Lie`); may be repeated.
    #[arg(long)]
    lie: Vec<String>,
    /// Name of another chip whose evidence is shown once the honest pieces are used up: the machine says it is listed, and is not.
    #[arg(long)]
    then_chip: Option<String>,
    /// A defence to leave out (see `ringwall-attack list`), or a part whose cost is measured (`cargo bench-cost`); may be repeated.
    #[cfg(feature = "without")]
    #[arg(long)]
    without: Vec<String>,
    /// Pieces of evidence that are honest before the lies begin. A node judges itself first and would not start otherwise; an attacker's
    /// node would not be so kind.
    #[arg(long, default_value_t = 1)]
    honest_first: u32,
    /// Milliseconds evidence takes, as on real hardware.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// End when standard input is closed, so that no node outlives the program that started it.
    #[arg(long)]
    exit_with_parent: bool,
    /// Play this file instead of drawing from the system's generator, so that whoever has the file knows every key.
    #[arg(long, value_name = "FILE")]
    tape: Option<PathBuf>,
    /// Once the node has ended, stand still instead of leaving the process: what it left in memory can be looked at.
    #[arg(long)]
    linger: bool,
    /// Arguments of the node.
    #[arg(last = true)]
    node: Vec<OsString>,
}

struct SimulatedMachine {
    chip: String,
    build: BuildImage,
    lies: Vec<Lie>,
    then_chip: Option<String>,
    honest_first: u32,
    latency: Duration,
    tape: Option<Tape>,
}

/// A machine that is honest for a while.
struct Turncoat {
    honest: SimTee,
    lying: SimTee,
    honest_left: AtomicU32,
    lied: AtomicBool,
}

impl Attester for Turncoat {
    fn vendor(&self) -> Vendor {
        self.honest.vendor()
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Evidence, CollectError> {
        let left = self.honest_left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        self.lied.store(left.is_err(), Ordering::Relaxed);
        let machine = if left.is_ok() { &self.honest } else { &self.lying };
        Ok(machine.mint(report_data))
    }

    fn endorsements(&self) -> Result<Endorsements, CollectError> {
        let machine = if self.lied.load(Ordering::Relaxed) { &self.lying } else { &self.honest };
        Ok(machine.endorse())
    }
}

impl SimulatedMachine {
    fn machine(&self, chip: &str, boot: &BootConfig) -> Result<SimTee, PlatformError> {
        let unusable = || PlatformError::Unusable { reason: format!("no simulated chip can be called {chip:?}") };
        let mut profile = world::machine(chip, boot.clone()).ok_or_else(unusable)?;
        profile.build = self.build.clone();
        Ok(SimTee::new(profile, 0).with_clock(now_s).with_latency(self.latency))
    }
}

impl Platform for SimulatedMachine {
    fn attester(&self, boot: &BootConfig, _store: Arc<dyn EndorsementStore>) -> Result<Arc<dyn Attester>, PlatformError> {
        let honest = self.machine(&self.chip, boot)?;
        let lying = match &self.then_chip {
            None if self.lies.is_empty() => return Ok(Arc::new(honest)),
            None => honest.clone(),
            Some(chip) => self.machine(chip, boot)?,
        };
        let lying = lying.telling(&self.lies);
        Ok(Arc::new(Turncoat { honest, lying, honest_left: AtomicU32::new(self.honest_first), lied: AtomicBool::new(false) }))
    }

    fn anchors(&self) -> Anchors {
        crate::anchors()
    }

    fn chip_keys(&self, boot: &BootConfig) -> KeySource {
        let machine = self.machine(&self.chip, boot).map(|honest| honest.telling(&self.lies));
        Arc::new(move |_| match &machine {
            Ok(machine) => Ok(Box::new(machine.clone())),
            Err(fault) => Err(DerivedKeyError::Device { device: "a simulated chip".into(), cause: fault.to_string() }),
        })
    }

    fn program(&self) -> &'static str {
        "ringwalld-sim"
    }

    fn entropy(&self) -> Result<Entropy, EntropyError> {
        let Some(tape) = self.tape.clone() else { return entropy::system() };
        Ok(Arc::new(move || Box::new(tape.clone())))
    }
}

/// Runs the daemon with `arguments` (the program's name first); returns when it ends.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    if let Some(folder) = &arguments.world {
        return match write_world(folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => refuse(&format!("{}: {fault}", folder.display())),
        };
    }
    let mut lies = Vec::new();
    for name in &arguments.lie {
        match lie_named(name) {
            Some(lie) => lies.push(lie),
            None => return refuse(&format!("no lie is called {name:?}")),
        }
    }
    #[cfg(feature = "without")]
    if let Err(cause) = leave_out(&arguments.without) {
        return refuse(&cause);
    }
    if arguments.exit_with_parent {
        std::thread::spawn(|| {
            let mut byte = [0];
            while matches!(std::io::stdin().read(&mut byte), Ok(read) if read > 0) {}
            std::process::exit(0);
        });
    }
    let tape = match arguments.tape.as_deref().map(Tape::open).transpose() {
        Ok(tape) => tape,
        Err(fault) => return refuse(&format!("the tape cannot be played: {fault}")),
    };
    let machine = SimulatedMachine {
        chip: arguments.chip.unwrap_or_default(),
        build: BuildImage::new(arguments.build, 1),
        lies,
        then_chip: arguments.then_chip,
        honest_first: arguments.honest_first,
        latency: Duration::from_millis(arguments.latency_ms),
        tape,
    };
    let node_arguments = std::iter::once(OsString::from("ringwalld-sim")).chain(arguments.node);
    let code = ringwall_node::cli::run(node_arguments, Arc::new(machine));
    if arguments.linger {
        stand_still(code);
    }
    code
}

/// What a cluster of the standard world is founded with.
fn write_world(folder: &Path) -> std::io::Result<()> {
    let policy = world::policy();
    std::fs::write(folder.join("cluster.policy"), policy.encode())?;
    std::fs::write(folder.join("genesis.template"), world::genesis_template(&policy, "local").encode())
}

/// Says that the node has ended, and with what; then waits to be killed.
#[expect(clippy::print_stderr, reason = "the line the suite waits for")]
fn stand_still(code: ExitCode) -> ! {
    eprintln!("{ENDED}: {code:?}");
    loop {
        std::thread::park();
    }
}

/// Leaves defences out of this process, and says so where nobody overlooks it: this program can, and must not be taken for one that cannot.
#[cfg(feature = "without")]
#[expect(clippy::print_stderr, reason = "the first lines of the log of such a node")]
fn leave_out(names: &[String]) -> Result<(), String> {
    use ringwall_wire::spared::{Part, spare};
    use ringwall_wire::without::{Defence, MARK, leave_out};
    eprintln!("{}", String::from_utf8_lossy(&MARK));
    for name in names {
        match (Defence::named(name), Part::named(name)) {
            (Some(defence), _) => drop(leave_out(defence)),
            (None, Some(part)) => _ = spare(part),
            (None, None) => return Err(format!("no defence is called {name:?}")),
        }
        eprintln!("WITHOUT {name}: this node is for attacks and measurements alone");
    }
    Ok(())
}

/// The lie whose variant is spelled so.
pub(crate) fn lie_named(name: &str) -> Option<Lie> {
    let all = Lie::EITHER.iter().chain(Lie::SNP).chain(Lie::TDX).chain(Lie::TDX_LOG);
    all.copied().find(|lie| format!("{lie:?}") == name)
}

#[expect(clippy::print_stderr, reason = "the one line a person needs when the command line is wrong")]
fn refuse(cause: &str) -> ExitCode {
    eprintln!("ringwalld-sim: {cause}");
    ExitCode::from(2)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
