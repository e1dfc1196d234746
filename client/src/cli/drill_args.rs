//! The command line of `ringwall drill`: what can be typed.
//!
//! Decides: names and shapes of verbs and options; a custodian's folder is named and opened as `ringwall custodian` does it.
//! Trusts: nothing. Out of scope: what verbs do (`drill.rs`).

use super::custodian_args::FolderOptions;
use clap::{Args, Subcommand};
use std::path::PathBuf;

pub(crate) const DRILL_HELP: &str = "\
  ringwall drill begin --out DRILL            ask the cluster for a drill; DRILL goes to every custodian
  ringwall custodian drill DRILL --out ANSWER each custodian, on a machine of their own
  ringwall drill submit ANSWER...             bring the answers, whoever's
  ringwall drill status --out RECEIPT         how far it is, and the receipt of the last one
  ringwall drill verify RECEIPT               judge a receipt, without a network

Shares of a drill are of a key made for it: nothing of the real one leaves a custodian's folder. A drill
begins at most every ten minutes, ends by itself after a day, and is over if the leader changes: then begin
another one. docs/runbooks/custody.md goes through it all.";

/// Arguments of `drill`.
#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    #[command(flatten)]
    pub(crate) folder: FolderOptions,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: DrillVerb,
}

/// Verbs of `ringwall drill`.
#[derive(Debug, Subcommand)]
pub(crate) enum DrillVerb {
    /// Have the cluster begin a drill, or fetch the one that is under way
    Begin(DrillOut),
    /// Fetch the drill that is under way
    Offer(DrillOut),
    /// Bring custodians' answers; whoever brings them decides nothing
    Submit {
        /// Answers of `ringwall custodian drill`
        #[arg(required = true)]
        answers: Vec<PathBuf>,
    },
    /// Show the drill that is under way, and how the last one ended
    Status {
        /// New file for the receipt of the last one
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Judge a receipt (no network): with --card, or by the card a custodian's folder keeps
    Verify {
        /// The receipt
        file: PathBuf,
    },
}

/// Where a drill goes.
#[derive(Debug, Args)]
pub(crate) struct DrillOut {
    /// New file for the drill, for the custodians
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}
