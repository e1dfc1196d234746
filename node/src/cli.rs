//! The command line every node program has, whatever TEE it is built for.
//!
//! Decides: `found`, `run`, `recover`, `platform-check`, `completions`; what ends the process gives its exit code. Trusts: the platform it is called
//! with. Out of scope: what a node does (`run`), what is examined (`platform::examine`).

use crate::config::{self, Flags, Purpose};
use crate::endorsements::cli::ServiceFlags;
use crate::endorsements::settings::Origin;
use crate::entropy::Entropy;
use crate::platform::examine::{Subject, examine};
use crate::platform::stapled::Stapled;
use crate::platform::store::EndorsementStore;
use crate::platform::surroundings::Surroundings;
use crate::platform::tsm_fs::{REPORTS, ReportFolder};
use crate::platform::{Hardware, Platform};
use crate::recover::Plan;
use crate::run::{Errand, NodeError, Providers, run_from};
use crate::{afterwards, clock, endorsements, entropy, hardening, logging, recover};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use ringwall_attest::Anchors;
use ringwall_wire::bounded::Text;
use ringwall_wire::secret::wash_stack;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Time tasks get to end, and to wipe what they hold, once the node has.
const WIND_DOWN: Duration = Duration::from_secs(2);

const EXIT_CODES: &str = "Exit codes:
  0   left in good order (SIGTERM, SIGINT)
  2   wrong command line
  10  configuration
  11  no evidence from this machine
  12  this machine's evidence is refused (by the cluster's policy; by platform-check: under the vendor's roots)
  13  listen address
  14  data folder
  15  founding
  16  no usable generator, or memory cannot be protected
  17  endorsements could not be fetched, read or kept
  18  nothing was recovered
  19  nothing was recovered: what was seen of this cluster is not on the disks that were brought (ROLLBACK_DETECTED, FORK_DETECTED)
  20  this incarnation is out (storage fault, superseded, removed): start again to join as a new one
  70  internal";

#[derive(Debug, Parser)]
#[command(version, about = "A Ringwall node", after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Found a cluster: this node is its first member. Writes the cluster card to the data folder.
    Found(Flags),
    /// Join the cluster of the card, as a new incarnation. Also after every restart.
    Run(Flags),
    /// Recover the cluster of the card from a total outage, with the custodians' shares and the disks that are left.
    #[command(subcommand)]
    Recover(RecoverVerb),
    /// Look whether this machine can make evidence, and say step by step what was found. Nothing printed is secret.
    #[command(name = "platform-check")]
    Examine(ExamineFlags),
    /// Look at, fetch or carry what the vendors say about machines.
    #[command(subcommand)]
    Endorsements(endorsements::cli::Action),
    /// Print shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum RecoverVerb {
    /// Ask custodians for their shares, take up the newest disk, and serve as the first member of a new epoch. One node does this; the others `run` afterwards.
    Start(RecoverFlags),
    /// Give this machine's disk, over an attested session, to the node that recovers. It has no keys and becomes no member; stop it when the cluster serves, and `run` it.
    Assist(Flags),
    /// Say how the recovery in the data folder stands.
    Status(Flags),
}

#[derive(Debug, clap::Args)]
struct RecoverFlags {
    #[command(flatten)]
    flags: Flags,
    /// Data folder of another node of the cluster, copied or mounted here; may be repeated. More can be put into `recovery/disks` later.
    #[arg(long, value_name = "FOLDER")]
    disk: Vec<PathBuf>,
    /// Address (host:port) of a machine of the cluster that was started with `recover assist`: its disk is fetched from there; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    assist: Vec<String>,
    /// Address of a machine of the cluster that was started with `recover assist`: it keeps the session with the custodians, so that their answers count when this process
    /// dies and one like it is started with the same --keep; may be repeated. All that are named are needed until the cluster serves.
    #[arg(long, value_name = "ADDRESS")]
    keep: Vec<String>,
    /// Give up the session that the machines named with --keep keep, and begin another one: all custodians answer again.
    #[arg(long)]
    anew: bool,
    /// Use a dealing that opened a recovery before, for this reason, which goes on record.
    #[arg(long, value_name = "REASON", value_parser = crate::recover::reason)]
    again: Option<Text<256>>,
}

#[derive(Debug, clap::Args)]
struct ExamineFlags {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Show the chip's id, which names this very machine, and not only its digest.
    #[arg(long)]
    show_chip_id: bool,
    #[command(flatten)]
    services: ServiceFlags,
    /// Take endorsements from this folder, as `endorsements fetch` writes them; no service is asked.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["amd", "intel", "intel_root_crl"])]
    from: Option<PathBuf>,
    /// Ask no service: only what the host hands over counts.
    #[arg(long, conflicts_with_all = ["from", "amd", "intel", "intel_root_crl"])]
    offline: bool,
    /// Use this entry of the report folder instead of making one.
    #[arg(long, value_name = "NAME", value_parser = entry_name)]
    tsm_entry: Option<String>,
    /// Another folder than the kernel's, for tests.
    #[arg(long, value_name = "FOLDER", hide = true)]
    tsm_root: Option<PathBuf>,
}

fn entry_name(name: &str) -> Result<String, &'static str> {
    match name.is_empty() || name.contains('/') || name.starts_with('.') {
        true => Err("an entry is named by one word without slashes"),
        false => Ok(name.to_owned()),
    }
}

/// Runs the program with `arguments` (its name first) on `platform`; returns when it ends.
pub fn run(arguments: impl IntoIterator<Item = OsString>, platform: Arc<dyn Platform>) -> ExitCode {
    let program = platform.program();
    let command = Arguments::command().name(program).bin_name(program);
    let parsed = command.clone().try_get_matches_from(arguments).and_then(|matches| Arguments::from_arg_matches(&matches));
    let (flags, purpose, errand) = match parsed {
        Ok(Arguments { command: Command::Found(flags) }) => (flags, Purpose::Found, Errand::Serve),
        Ok(Arguments { command: Command::Run(flags) }) => (flags, Purpose::Join, Errand::Serve),
        Ok(Arguments { command: Command::Recover(RecoverVerb::Start(RecoverFlags { flags, disk, assist, keep, anew, again })) }) => {
            (flags, Purpose::Join, Errand::Recover(Plan { disks: disk, assist, keep, anew, again }))
        }
        Ok(Arguments { command: Command::Recover(RecoverVerb::Assist(flags)) }) => (flags, Purpose::Join, Errand::Assist),
        Ok(Arguments { command: Command::Recover(RecoverVerb::Status(flags)) }) => return afterwards::follow(standing(&flags, program)),
        Ok(Arguments { command: Command::Examine(flags) }) => return look(flags, platform.as_ref()),
        Ok(Arguments { command: Command::Endorsements(action) }) => return endorsements(&action, program),
        Ok(Arguments { command: Command::Completions { shell } }) => {
            clap_complete::generate(shell, &mut command.clone(), program, &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
        Err(fault) => {
            // Help and version go to standard output with code 0, mistakes to standard error with code 2.
            let _ = fault.print();
            return ExitCode::from(u8::try_from(fault.exit_code()).unwrap_or(2));
        }
    };
    let ended = match serve(&flags, (purpose, errand), platform.as_ref()) {
        Ok(()) => 0,
        Err(fault) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{program}: {fault}");
            fault.exit_code()
        }
    };
    afterwards::follow(ended)
}

/// `platform-check`.
fn look(flags: ExamineFlags, platform: &dyn Platform) -> ExitCode {
    let complain = |fault: &dyn std::fmt::Display, code: u8| {
        let _ = writeln!(std::io::stderr(), "{}: {fault}", platform.program());
        ExitCode::from(code)
    };
    let entropy = match entropy::system() {
        Ok(entropy) => entropy,
        Err(fault) => return complain(&fault.to_string(), NodeError::Entropy(fault).exit_code()),
    };
    let mut asked = [0; 64];
    entropy().fill_bytes(&mut asked);
    let store = match store_for(&flags, platform.anchors(), entropy) {
        Ok(store) => store,
        Err(fault) => return complain(&fault, 2),
    };
    let reports = flags.tsm_root.unwrap_or_else(|| PathBuf::from(REPORTS));
    let found = examine(&Subject {
        fs: Arc::new(ReportFolder::new(&reports)),
        surroundings: Surroundings::new("/", reports),
        adopted: flags.tsm_entry,
        store,
        derived_keys: &Hardware::derived_keys,
        anchors: &platform.anchors(),
        now_s: clock::system()() / 1_000,
        asked,
        show_chip_id: flags.show_chip_id,
    });
    let shown = if flags.json { found.to_json() } else { found.to_text() };
    // Nobody is left to tell when standard output is gone; the exit code still says it.
    let _ = std::io::stdout().write_all(shown.as_bytes());
    ExitCode::from(found.verdict.exit_code())
}

/// Where `platform-check` gets endorsements: as a node would, with nothing kept, unless told otherwise.
fn store_for(flags: &ExamineFlags, anchors: Anchors, entropy: Entropy) -> Result<Arc<dyn EndorsementStore>, endorsements::cli::CliError> {
    if flags.offline {
        return Ok(Arc::new(Stapled));
    }
    let mut settings = flags.services.settings()?;
    if let Some(folder) = &flags.from {
        settings.origin = Origin::Folder(folder.clone());
    } else if std::io::stderr().is_terminal() {
        let _ = writeln!(
            std::io::stderr(),
            "asking {} where the host hands over too little ...",
            endorsements::source(&settings.origin).name()
        );
    }
    // Without a cache the data folder is not looked at.
    let place = |cause| endorsements::cli::CliError::Folder { place: PathBuf::new(), cause };
    Ok(Arc::new(endorsements::open(&settings, Path::new(""), anchors, clock::system(), entropy).map_err(place)?))
}

/// `endorsements`.
fn endorsements(action: &endorsements::cli::Action, program: &str) -> ExitCode {
    match endorsements::cli::run(action, &clock::system(), &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{program}: {fault}");
            ExitCode::from(17)
        }
    }
}

/// `recover status`.
fn standing(flags: &Flags, program: &str) -> u8 {
    let complain = |fault: &dyn std::fmt::Display, code: u8| {
        let _ = writeln!(std::io::stderr(), "{program}: {fault}");
        code
    };
    let data = match config::load(flags, Purpose::Join) {
        Ok(config) => config.data,
        Err(fault) => {
            let fault = NodeError::Config(fault);
            return complain(&fault, fault.exit_code());
        }
    };
    match recover::status::read(&data) {
        Ok(Some(text)) => {
            // Nobody is left to tell when standard output is gone.
            let _ = std::io::stdout().write_all(text.as_bytes());
            0
        }
        Ok(None) => complain(&format!("no recovery was begun in {}; begin one with `recover start`", data.display()), 18),
        Err(fault) => complain(&fault, 14),
    }
}

fn serve(flags: &Flags, (purpose, errand): (Purpose, Errand), platform: &dyn Platform) -> Result<(), NodeError> {
    hardening::protect_memory()?;
    let config = config::load(flags, purpose)?;
    logging::start(&config.log);
    let entropy = platform.entropy()?;
    let (clock, anchors) = (clock::system(), platform.anchors());
    let folder = |cause| NodeError::Folder { folder: endorsements::folder(&config.data), cause };
    let keeper = endorsements::open(&config.endorsements, &config.data, anchors.clone(), Arc::clone(&clock), Arc::clone(&entropy));
    let keeper = Arc::new(keeper.map_err(folder)?);
    let store: Arc<dyn EndorsementStore> = keeper.clone();
    let attester = platform.attester(&config.boot, store)?;
    let chip_keys = platform.chip_keys(&config.boot);
    let providers = Providers { attester, chip_keys, anchors, clock, entropy };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(NodeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let refreshing = tokio::spawn(endorsements::keeper::refresh(keeper));
        let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeError::Runtime)?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let outcome = run_from(config, providers, errand, stop).await;
        refreshing.abort();
        outcome
    });
    // Dropping what tasks hold wipes the keys of this incarnation; what calls left on this thread's stack goes besides.
    runtime.shutdown_timeout(WIND_DOWN);
    wash_stack();
    outcome
}
