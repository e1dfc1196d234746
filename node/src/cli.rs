//! The command line every node program has, whatever TEE it is built for.
//!
//! Decides: `found`, `run`, `completions`; what ends the process gives its exit code. Trusts: the platform it is called with.
//! Out of scope: what a node does (`run`).

use crate::config::{self, Flags, Purpose};
use crate::platform::Platform;
use crate::run::{NodeError, Providers, run_node};
use crate::{clock, entropy, hardening, logging};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
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
  12  this machine's evidence is refused by the cluster's policy
  13  listen address
  14  data folder
  15  founding
  16  no usable generator, or memory cannot be protected
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
    /// Print shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the program with `arguments` (its name first) on `platform`; returns when it ends.
pub fn run(arguments: impl IntoIterator<Item = OsString>, platform: Arc<dyn Platform>) -> ExitCode {
    let program = platform.program();
    let command = Arguments::command().name(program).bin_name(program);
    let parsed = command.clone().try_get_matches_from(arguments).and_then(|matches| Arguments::from_arg_matches(&matches));
    let (flags, purpose) = match parsed {
        Ok(Arguments { command: Command::Found(flags) }) => (flags, Purpose::Found),
        Ok(Arguments { command: Command::Run(flags) }) => (flags, Purpose::Join),
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
    match serve(&flags, purpose, platform.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{program}: {fault}");
            ExitCode::from(fault.exit_code())
        }
    }
}

fn serve(flags: &Flags, purpose: Purpose, platform: &dyn Platform) -> Result<(), NodeError> {
    hardening::protect_memory()?;
    let config = config::load(flags, purpose)?;
    logging::start(&config.log);
    let entropy = entropy::system()?;
    let attester = platform.attester(&config.boot)?;
    let providers = Providers { attester, anchors: platform.anchors(), clock: clock::system(), entropy };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(NodeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeError::Runtime)?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        run_node(config, providers, stop).await
    });
    // Dropping what tasks hold wipes the keys of this incarnation.
    runtime.shutdown_timeout(WIND_DOWN);
    outcome
}
