//! The command line of `ringwall`: what can be typed.
//!
//! Decides: names and shapes of verbs and options. Values and credentials never travel in arguments, where every user of the machine can
//! read them: values come from standard input or `--file`. Key names may be arguments; `--key-file` is there for names that are secret.
//! Trusts: nothing. Out of scope: what verbs do (`verbs.rs`).

use super::backup::BackupVerb;
use super::custodian_args::{CUSTODIAN_HELP, CustodianArgs};
use super::custody::{CUSTODY_HELP, CustodyVerb};
use super::drill_args::{DRILL_HELP, DrillArgs};
use super::erase::Erase;
use super::governance::ClusterVerb;
use super::measure::{MEASURE_HELP, Measure};
use super::policy_args::PolicyVerb;
use super::receipt::ReceiptVerb;
use super::recovery::{RecoveryVerb, Restore};
use super::release_args::{RELEASE_HELP, ReleaseVerb};
use super::slot::SlotVerb;
use super::user::{DeviceVerb, UserVerb};
use super::workload_key::WorkloadKeyVerb;
use crate::KeyMode;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ringwall_wire::ids::ClusterId;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Exit codes:
   0  done                              6  no node could be used in time
   1  output or another local failure   7  a write was sent, its outcome is not known
   2  wrong usage                       8  credential or workload not accepted
   3  a node's evidence was refused     9  too large or too long; nothing was sent
   4  not found                        10  card, credential or input file unusable
   5  a precondition did not hold      11  refused by the node for another reason
  13  a rollback or a fork was detected 12  nobody can tell whether a node is good

Values are read from standard input or --file, never from arguments, which other users of the
machine can see. Key names may be arguments; use --key-file where a name is itself a secret.";

/// Confidential state, served only by nodes that prove what they are.
#[derive(Debug, Parser)]
#[command(name = "ringwall", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Options of every verb.
    #[command(flatten)]
    pub(crate) shared: SharedOptions,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub(crate) struct SharedOptions {
    /// Cluster card: pins the cluster and says where its nodes are
    #[arg(long, global = true, env = "RINGWALL_CARD", value_name = "FILE")]
    pub(crate) card: Option<PathBuf>,
    /// Cluster id to pin; must match the card when there is one
    #[arg(long, global = true, value_name = "HEX", value_parser = cluster_id)]
    pub(crate) cluster: Option<ClusterId>,
    /// Where a node may be found (host:port), instead of the card's addresses; may be repeated
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) address: Vec<String>,
    /// Credential file of the user
    #[arg(long, global = true, env = "RINGWALL_CREDENTIAL", value_name = "FILE")]
    pub(crate) credential: Option<PathBuf>,
    /// The user's own key, for dual and user mode; default: CREDENTIAL.userkey, where there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) user_key: Option<PathBuf>,
    /// Key mode of the namespace: fixed when it is made
    #[arg(long, global = true, value_enum, default_value_t = Mode::Cluster)]
    pub(crate) mode: Mode,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Longest time an operation may take
    #[arg(long, global = true, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

/// Key modes, as they are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// The cluster can read what is stored, for its user
    Cluster,
    /// The cluster can read it while its user's session lasts
    Dual,
    /// The user alone can read it
    User,
}

impl From<Mode> for KeyMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Cluster => KeyMode::Cluster,
            Mode::Dual => KeyMode::Dual,
            Mode::User => KeyMode::User,
        }
    }
}

fn cluster_id(text: &str) -> Result<ClusterId, String> {
    text.parse().map_err(|_| "a cluster id is 64 lower-case hex digits".into())
}

/// Verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a credential file (mode 0600) and print the user it names; never overwrites
    Init,
    /// Make what a user needs, beside the credential; show the user's record and what was done with it
    #[command(after_help = USER_HELP)]
    User {
        /// What to do.
        #[command(subcommand)]
        verb: UserVerb,
    },
    /// Add and revoke devices of a user
    #[command(after_help = DEVICE_HELP)]
    Device {
        /// What to do.
        #[command(subcommand)]
        verb: DeviceVerb,
    },
    /// Create and test a recovery phrase, stop a restoration
    #[command(after_help = RECOVERY_HELP)]
    Recovery {
        /// What to do.
        #[command(subcommand)]
        verb: RecoveryVerb,
    },
    /// Restore a user on this device, with the recovery phrase (from standard input)
    #[command(after_help = RECOVERY_HELP)]
    Restore(Restore),
    /// Fetch, verify and show backups: the whole state, sealed as it is, with its proof
    #[command(after_help = BACKUP_HELP)]
    Backup {
        /// What to do.
        #[command(subcommand)]
        verb: BackupVerb,
    },
    /// Store a value (from standard input or --file)
    Put(Put),
    /// Print a value
    Get(Get),
    /// Remove a key
    Delete(Delete),
    /// Destroy the keys of a namespace, or of all of the user's: what they hold is gone for ever
    Erase(Erase),
    /// List keys in order
    List(List),
    /// Store a value if the key has a version (0: if it does not exist)
    Cas(Cas),
    /// Apply changes all or none, from a JSON array (standard input or --file)
    #[command(after_help = BATCH_HELP)]
    Batch(Batch),
    /// Follow changes
    Watch(Watch),
    /// Show members, leader and revision
    Status,
    /// Verify nodes without telling them who asks; or judge saved evidence, without a network
    #[command(after_help = VERIFY_HELP)]
    Verify(Verify),
    /// Show, compare and verify receipts: what the cluster confirmed (no network)
    #[command(after_help = RECEIPT_HELP)]
    Receipt {
        /// What to do.
        #[command(subcommand)]
        verb: ReceiptVerb,
    },
    /// Write, inspect, explain, sign and verify appraisal policies; change the one of a running cluster
    #[command(after_help = POLICY_HELP)]
    Policy {
        /// What to do with it.
        #[command(subcommand)]
        verb: PolicyVerb,
    },
    /// Show how a cluster is and what governs it; write its card anew
    Cluster {
        /// What to do.
        #[command(subcommand)]
        verb: ClusterVerb,
    },
    /// Predict what a build will measure to, from its artefacts (no network)
    #[command(after_help = MEASURE_HELP)]
    Measure(Measure),
    /// Order, as governors, that a node which still answers is replaced (no network)
    #[command(after_help = SLOT_HELP)]
    Slot {
        /// What to do.
        #[command(subcommand)]
        verb: SlotVerb,
    },
    /// Keep a share of the recovery key: make keys, accept, prove, rehearse, release
    #[command(after_help = CUSTODIAN_HELP)]
    Custodian(CustodianArgs),
    /// Order, as governors, that others hold shares or that a dealing is activated; bring such an order
    #[command(after_help = CUSTODY_HELP)]
    Custody {
        /// What to do.
        #[command(subcommand)]
        verb: CustodyVerb,
    },
    /// Rehearse a recovery on the living cluster, with shares of a key made for it; verify its receipt
    #[command(after_help = DRILL_HELP)]
    Drill(DrillArgs),
    /// Make, sign, publish, witness, staple and verify releases
    #[command(after_help = RELEASE_HELP)]
    Release {
        /// What to do.
        #[command(subcommand)]
        verb: ReleaseVerb,
    },
    /// Keys granted to programs in TEEs of their own: order, bring, ask for, audit
    WorkloadKey {
        /// What to do.
        #[command(subcommand)]
        verb: WorkloadKeyVerb,
    },
    /// Print shell completions
    Completions {
        /// For which shell
        shell: Shell,
    },
}

const USER_HELP: &str = "\
The user key (CREDENTIAL.userkey) is for namespaces in two of the three key modes:
  --mode cluster   the cluster can read what is stored, for its user (default)
  --mode dual      it can while a session of the user lasts, and with the user's key alone nobody can
  --mode user      only the user can: names and values are sealed on this machine
What is stored in dual or user mode is lost with the user key: keep a copy in a safe place.

  ringwall user rekey --mode user --new FILE --erase notes=notes-2    another user key, namespace by namespace";

const DEVICE_HELP: &str = "\
  ringwall device request --user ID --name phone    on the new device: makes a credential, prints a code
  ringwall device add CODE                          on a device of the user
  ringwall device revoke phone                      on a device of the user

The user key file (CREDENTIAL.userkey) is not carried over by this: copy it yourself, or restore with the phrase.";

const RECOVERY_HELP: &str = "\
  ringwall recovery create --escrow FILE            prints 24 words once; FILE is ciphertext, keep copies anywhere
  ringwall recovery test --escrow FILE              whether the words you wrote down open it
  ringwall recovery keys --escrow FILE              FILE.keys anew, when namespaces were made: for `ringwall user import`
  ringwall restore --escrow FILE                    on a new device: waits as long as was chosen, then run it again
  ringwall recovery stop                            on another device: stops a restoration that waits";

const BACKUP_HELP: &str = "\
  ringwall backup take FILE        from a cluster that serves; broken off, run it again and it goes on
  ringwall backup verify FILE      signer, signature, every byte and item (no network)
  ringwall backup show FILE        the same, and what is in it
  ringwall user import             on a new cluster: stores what the recovery phrase opens

A backup is sealed as the members' disks are: keep copies anywhere. It opens for a user with the phrase
and the files of `ringwall recovery`, and for a cluster with its custodians.";

const BATCH_HELP: &str = "\
Changes are objects with an \"op\" and a key:
  [ {\"op\": \"put\", \"key\": \"a\", \"value\": \"text\", \"ttl_s\": 60, \"expect\": \"absent\"},
    {\"op\": \"put\", \"key_hex\": \"00ff\", \"value_hex\": \"0102\", \"expect\": {\"version\": 7}},
    {\"op\": \"delete\", \"key\": \"b\", \"expect\": \"present\"},
    {\"op\": \"require\", \"key\": \"c\", \"expect\": \"absent\"} ]";

const VERIFY_HELP: &str = "\
Three ways:
  ringwall verify                      every node of the card (or of --address)
  ringwall verify --from FILE          an exchange kept with --save, judged again
  ringwall verify --report FILE ...    a vendor's own files (also --quote), as far as they go

A node that is bad ends with 3, one of which nobody can tell with 12; neither is used.";

const RECEIPT_HELP: &str = "\
A client remembers what the cluster confirmed, in CREDENTIAL.CLUSTER.anchor beside the credential file.
When the cluster later shows less, or something else, it writes nothing more and keeps the proof in
CREDENTIAL.CLUSTER.detected, which anybody can verify with `ringwall receipt verify`.";

const POLICY_HELP: &str = "\
  ringwall policy diff next.toml                            what it tightens, what it loosens
  ringwall policy approve next.toml --against old --key GOVERNOR --out step.1     each governor
  ringwall policy propose step.2                            anybody brings it to the cluster
  ringwall policy status                                    in force, waiting, the lease
  ringwall policy withdraw step.2 --key GOVERNOR --out no.1 each governor, then --bring
  ringwall policy lease --days 30 --key GOVERNOR --out l.1  each governor, then --bring

A change that only tightens is in force at once; one that loosens waits as long as the policy it
replaces says, where everybody can see it. docs/runbooks/policy.md goes through it.";

const SLOT_HELP: &str = "\
  ringwall slot order --slot 3 --incumbent 1/17 --out order     names who has to go
  ringwall slot sign order --key GOVERNOR --out order.1         each governor in turn
  ringwall slot verify order.1                                  whether enough of them signed
  ringwalld run --config FILE --replace-order order.1           on the machine that takes the place

All need the cluster's card (--card). An order is used up when it is carried out.";

/// A namespace and a key.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("name").required(true).args(["key", "key_file"]))]
pub(crate) struct Place {
    /// Namespace
    pub(crate) namespace: String,
    /// Key (visible to other users of this machine)
    pub(crate) key: Option<String>,
    /// File whose exact bytes are the key
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Arguments of `put`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("condition").args(["if_absent", "if_present", "if_version"]))]
pub(crate) struct Put {
    #[command(flatten)]
    pub(crate) place: Place,
    /// File with the value, instead of standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Seconds the value lives; 0 = for ever
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) ttl: u32,
    /// Only if the key does not exist
    #[arg(long)]
    pub(crate) if_absent: bool,
    /// Only if the key exists
    #[arg(long)]
    pub(crate) if_present: bool,
    /// Only if the key has this version
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) if_version: Option<u64>,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Write the value to a new file (mode 0600) instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only if the key has this version
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) if_version: Option<u64>,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Namespace
    pub(crate) namespace: String,
    /// Only keys that start so
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    /// Print values too
    #[arg(long)]
    pub(crate) values: bool,
    /// Only keys after this one
    #[arg(long, value_name = "KEY")]
    pub(crate) after: Option<String>,
    /// At most this many keys
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
}

/// Arguments of `cas`.
#[derive(Debug, Args)]
pub(crate) struct Cas {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Version the key must have; 0 if it must not exist
    #[arg(long = "expect", value_name = "VERSION")]
    pub(crate) expected: u64,
    /// File with the value, instead of standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Arguments of `batch`.
#[derive(Debug, Args)]
pub(crate) struct Batch {
    /// Namespace
    pub(crate) namespace: String,
    /// File with the changes, instead of standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Namespace
    pub(crate) namespace: String,
    /// Only keys that start so
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    /// Changes after this revision; without it, changes from now on
    #[arg(long, value_name = "REVISION")]
    pub(crate) after: Option<u64>,
    /// End after this many changes
    #[arg(long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
}

/// As of when something is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// This machine's clock.
    Now,
    /// Unix seconds.
    Seconds(u64),
}

fn at(text: &str) -> Result<At, String> {
    match (text, text.parse()) {
        ("now", _) => Ok(At::Now),
        (_, Ok(seconds)) => Ok(At::Seconds(seconds)),
        (_, Err(_)) => Err("a moment is a number of Unix seconds, or the word now".into()),
    }
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("offline").args(["from", "report", "quote"]))]
pub(crate) struct Verify {
    /// Print the whole chain of reasons, as a tree
    #[arg(long)]
    pub(crate) explain: bool,
    /// Keep what was asked and answered in a new file, whichever way the judgement ends
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    pub(crate) save: Option<PathBuf>,
    /// Judge an exchange that was kept with --save; no network is used
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Judge as of this moment (default: when the exchange was made; for raw files, now)
    #[arg(long, value_name = "SECONDS|now", value_parser = at, requires = "offline")]
    pub(crate) at: Option<At>,
    /// Judge a raw SNP report (1,184 bytes); needs --vek and --ask
    #[arg(long, value_name = "FILE", requires_all = ["vek", "ask"])]
    pub(crate) report: Option<PathBuf>,
    /// VCEK or VLEK certificate, DER
    #[arg(long, value_name = "FILE", requires = "report")]
    pub(crate) vek: Option<PathBuf>,
    /// ASK or ASVK certificate, DER
    #[arg(long, value_name = "FILE", requires = "report")]
    pub(crate) ask: Option<PathBuf>,
    /// AMD's revocation list of the product, DER
    #[arg(long, value_name = "FILE", requires = "report")]
    pub(crate) crl: Option<PathBuf>,
    /// Judge a raw TDX quote, cut to its exact length; needs --collateral
    #[arg(long, value_name = "FILE", requires = "collateral")]
    pub(crate) quote: Option<PathBuf>,
    /// Intel's collateral as JSON with the fields of docs/explain.md
    #[arg(long, value_name = "FILE", requires = "quote")]
    pub(crate) collateral: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
