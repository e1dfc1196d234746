//! The command line of `ringwall policy`: what can be typed.
//!
//! Decides: names and shapes of verbs and options. Keys are named by file, never typed. What is written goes to a new file. Verbs that make and read files are one
//! kind, verbs that bring something to the cluster or look at it another: the first need no network, the second no governor's key.
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
    /// Say what a change tightens and what it loosens, against the newest policy of the card or another one
    Diff(Diff),
    /// Approve a policy as a governor
    #[command(visible_alias = "approve")]
    Sign(Sign),
    /// Verify that enough governors approved a policy
    Verify(VerifyPolicy),
    /// Bring an approved policy to the cluster: in force at once if it only tightens, else it waits (network)
    Propose(Propose),
    /// Publish an approved policy in the log of releases of the policy it replaces (network)
    Publish(Publish),
    /// Write the notice that an approved policy was public for the delay (network)
    Notice(Notice),
    /// Make and sign the governors' word that a change shall not come into force, or bring it (--bring: network)
    Withdraw(Withdraw),
    /// Make and sign the governors' word that the policy in force is still wanted, or bring it (--bring: network)
    Lease(Lease),
    /// Show the policy in force, changes that wait and until when, and the lease (network)
    Status,
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

/// Arguments of `policy diff`.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Policy
    pub(crate) file: PathBuf,
    /// Older policy; without it, the newest one of the card
    #[arg(long, value_name = "OLD")]
    pub(crate) against: Option<PathBuf>,
}

/// Arguments of `policy propose`.
#[derive(Debug, Args)]
pub(crate) struct Propose {
    /// Signed policy
    pub(crate) file: PathBuf,
    /// Notice that the change is public (`ringwall policy notice` makes it); without it, the change itself is brought
    #[arg(long, value_name = "NOTICE")]
    pub(crate) notice: Option<PathBuf>,
}

/// A change, and the policy it replaces.
#[derive(Debug, Args)]
pub(crate) struct Step {
    /// Signed policy
    pub(crate) file: PathBuf,
    /// Policy in force, which names the log and its witnesses
    #[arg(long, value_name = "OLD")]
    pub(crate) against: PathBuf,
}

/// Arguments of `policy publish`.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    pub(crate) step: Step,
    /// Address of the log
    #[arg(long, value_name = "URL")]
    pub(crate) log_url: String,
    /// New file for the witnessed checkpoint that has the change
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of `policy notice`.
#[derive(Debug, Args)]
pub(crate) struct Notice {
    #[command(flatten)]
    pub(crate) step: Step,
    /// Checkpoint that `policy publish` wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) published: PathBuf,
    /// Address of the log
    #[arg(long, value_name = "URL")]
    pub(crate) log_url: String,
    /// New file for the notice
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of `policy withdraw`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["key", "bring"]))]
pub(crate) struct Withdraw {
    /// Signed policy to withdraw, or a withdrawal to add a signature to or to bring
    pub(crate) file: PathBuf,
    /// Governor's key file
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(crate) key: Option<PathBuf>,
    /// New file for the withdrawal with this signature
    #[arg(long, short, value_name = "FILE", requires = "key")]
    pub(crate) out: Option<PathBuf>,
    /// Bring it to the cluster
    #[arg(long)]
    pub(crate) bring: bool,
}

/// Arguments of `policy lease`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["key", "bring"]))]
#[command(group = ArgGroup::new("of").required(true).args(["file", "until", "days"]))]
pub(crate) struct Lease {
    /// Lease to add a signature to or to bring
    pub(crate) file: Option<PathBuf>,
    /// Make one until this moment, Unix seconds
    #[arg(long, value_name = "SECONDS", requires = "key")]
    pub(crate) until: Option<u64>,
    /// Make one for so many days from now, by this machine's clock
    #[arg(long, value_name = "COUNT", requires = "key", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) days: Option<u64>,
    /// Policy in force, if it is newer than the newest one of the card
    #[arg(long, value_name = "POLICY", requires = "key")]
    pub(crate) policy: Option<PathBuf>,
    /// Governor's key file
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(crate) key: Option<PathBuf>,
    /// New file for the lease with this signature
    #[arg(long, short, value_name = "FILE", requires = "key")]
    pub(crate) out: Option<PathBuf>,
    /// Bring it to the cluster
    #[arg(long)]
    pub(crate) bring: bool,
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
