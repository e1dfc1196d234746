//! The command line of `ringwall policy`: what can be typed.
//!
//! Decides: names and shapes of verbs and options. Keys are named by file, never typed. What is written goes to a new file.
//! Trusts: nothing. Out of scope: what verbs do (`policy.rs`).

use clap::{ArgGroup, Args, Subcommand};
use ringwall_wire::ids::SigPublic;
use ringwall_wire::policy::MeasurementRegister;
use std::path::PathBuf;

/// Verbs of `ringwall policy`. Files may hold TOML, canonical bytes or a signed policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Write the commented template to start from
    New(New),
    /// Say whether a policy is complete, and whether it lets anything in
    Check(OneFile),
    /// Write the canonical bytes that nodes and clients read
    Encode(Encode),
    /// Write a policy as TOML
    Show(OneFile),
    /// Print the SHA-256 that names a policy in genesis records and evidence
    Digest(OneFile),
    /// Explain what a policy lets in, and why; or what a change of it does
    Explain(Explain),
    /// Make a table of allowed boot events from the event log of a known Intel guest
    Events(Events),
    /// Make a governor's key file (mode 0600) and print its public half; never overwrites
    Keygen(Keygen),
    /// Approve a policy as a governor
    Sign(Sign),
    /// Verify that enough governors approved a policy
    Verify(VerifyPolicy),
    /// Write the founding template of a cluster under a policy, for `ringwalld found`
    Genesis(Genesis),
}

/// A policy file.
#[derive(Debug, Args)]
pub(crate) struct OneFile {
    /// Policy
    pub(crate) file: PathBuf,
}

/// Arguments of `policy new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// New file, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// For a cluster of simulated TEEs, which protects nothing
    #[arg(long)]
    pub(crate) simulated: bool,
}

/// Arguments of `policy encode`.
#[derive(Debug, Args)]
pub(crate) struct Encode {
    /// Policy
    pub(crate) file: PathBuf,
    /// New file for the canonical bytes
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of `policy explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Policy
    pub(crate) file: PathBuf,
    /// Older policy: say what the change tightens and what it loosens
    #[arg(long, value_name = "OLD")]
    pub(crate) against: Option<PathBuf>,
}

/// Arguments of `policy events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// The log, as the guest has it in /sys/firmware/acpi/tables/data/CCEL
    pub(crate) log: PathBuf,
    /// MRTD of the same boot, 96 hex digits (`ringwalld platform-check` prints it)
    #[arg(long, value_name = "HEX", value_parser = mrtd)]
    pub(crate) mrtd: MeasurementRegister,
}

/// Arguments of `policy keygen`.
#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// New key file
    pub(crate) file: PathBuf,
}

/// Arguments of `policy sign`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("step").args(["against", "first"]))]
pub(crate) struct Sign {
    /// Policy, or a signed policy to add an approval to
    pub(crate) file: PathBuf,
    /// Governor's key file
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// New file for the signed policy
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Policy in force, which this one replaces
    #[arg(long, value_name = "OLD")]
    pub(crate) against: Option<PathBuf>,
    /// It is the first policy of a cluster and replaces none
    #[arg(long)]
    pub(crate) first: bool,
}

/// Arguments of `policy verify`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("authority").required(true).args(["against", "governor"]))]
pub(crate) struct VerifyPolicy {
    /// Signed policy
    pub(crate) file: PathBuf,
    /// Policy in force: its governors decide
    #[arg(long, value_name = "OLD", conflicts_with = "threshold")]
    pub(crate) against: Option<PathBuf>,
    /// Public key of a governor, for a first policy; may be repeated
    #[arg(long, value_name = "HEX", value_parser = governor, requires = "threshold")]
    pub(crate) governor: Vec<SigPublic>,
    /// How many of these governors must have signed
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..), requires = "governor")]
    pub(crate) threshold: Option<u8>,
    /// New file for the canonical bytes of the approved policy
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `policy genesis`.
#[derive(Debug, Args)]
pub(crate) struct Genesis {
    /// Policy
    pub(crate) file: PathBuf,
    /// Name of the cluster, for people; at most 64 bytes
    #[arg(long)]
    pub(crate) name: String,
    /// Cards of all custodians, in the order of their shares (`ringwall custodian card`, one after the other)
    #[arg(long, value_name = "FILE", requires = "custody_threshold")]
    pub(crate) custodians: Option<PathBuf>,
    /// How many custodians together recover the cluster after a total outage
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(2..), requires = "custodians")]
    pub(crate) custody_threshold: Option<u8>,
    /// New file for the founding template
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

fn mrtd(text: &str) -> Result<MeasurementRegister, String> {
    text.parse().map_err(|_| "an MRTD is 96 lower-case hex digits".into())
}

fn governor(text: &str) -> Result<SigPublic, String> {
    text.parse().map_err(|_| "a governor's key is 64 lower-case hex digits".into())
}
