//! The command line of `ringwall`: what can be typed.
//!
//! Decides: names and shapes of verbs and options. Values and credentials never travel in arguments, where every user of the machine can
//! read them: values come from standard input or `--file`. Key names may be arguments; `--key-file` is there for names that are secret.
//! Trusts: nothing. Out of scope: what verbs do (`verbs.rs`).

use super::policy_args::PolicyVerb;
use super::receipt::ReceiptVerb;
use super::slot::SlotVerb;
use super::workload_key::WorkloadKeyVerb;
use clap::{ArgGroup, Args, Parser, Subcommand};
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
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Longest time an operation may take
    #[arg(long, global = true, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

fn cluster_id(text: &str) -> Result<ClusterId, String> {
    text.parse().map_err(|_| "a cluster id is 64 lower-case hex digits".into())
}

/// Verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a credential file (mode 0600) and print the user it names; never overwrites
    Init,
    /// Store a value (from standard input or --file)
    Put(Put),
    /// Print a value
    Get(Get),
    /// Remove a key
    Delete(Delete),
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
    /// Write, inspect, explain, sign and verify appraisal policies (no network)
    Policy {
        /// What to do with it.
        #[command(subcommand)]
        verb: PolicyVerb,
    },
    /// Order, as governors, that a node which still answers is replaced (no network)
    #[command(after_help = SLOT_HELP)]
    Slot {
        /// What to do.
        #[command(subcommand)]
        verb: SlotVerb,
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_parses() {
        for line in [
            "ringwall init --credential me",
            "ringwall --card c put notes k --ttl 5 --if-absent",
            "ringwall put notes --key-file f --file v",
            "ringwall get notes k --json --output o",
            "ringwall delete notes k --if-version 3",
            "ringwall list notes a/ --values --limit 5 --after a/b",
            "ringwall cas notes k --expect 0 --file v",
            "ringwall batch notes",
            "ringwall watch notes --after 0 --count 1",
            "ringwall status --timeout 5",
            "ringwall verify --explain --address h:1 --address h:2",
            "ringwall verify --save f --address h:1",
            "ringwall verify --from f --at now --card c --json",
            "ringwall verify --report r --vek v --ask a --crl c --at 1795521600",
            "ringwall verify --quote q --collateral c --explain",
            "ringwall completions bash",
            "ringwall policy new --simulated --out p.toml",
            "ringwall policy explain p.toml --against old.bin --json",
            "ringwall policy sign p.bin --first --key k --out s",
            "ringwall slot order --card c --slot 3 --incumbent 1/17 --last-index 900 --out o",
            "ringwall slot sign o --key k --out s --json",
            "ringwall slot verify s --card c",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err().map(|error| error.to_string()));
        }
    }

    #[test]
    fn wrong_usage_is_told_apart() {
        for (line, kind) in [
            ("ringwall put notes", ErrorKind::MissingRequiredArgument),
            ("ringwall put notes k --key-file f", ErrorKind::ArgumentConflict),
            ("ringwall put notes k --if-absent --if-version 2", ErrorKind::ArgumentConflict),
            ("ringwall put notes k value", ErrorKind::UnknownArgument),
            ("ringwall put notes k --value v", ErrorKind::UnknownArgument),
            ("ringwall status --cluster 12", ErrorKind::ValueValidation),
            ("ringwall cas notes k", ErrorKind::MissingRequiredArgument),
            ("ringwall status --timeout 0", ErrorKind::ValueValidation),
            ("ringwall frobnicate", ErrorKind::InvalidSubcommand),
            ("ringwall verify --from f --save g", ErrorKind::ArgumentConflict),
            ("ringwall verify --from f --quote q --collateral c", ErrorKind::ArgumentConflict),
            ("ringwall verify --report r --vek v", ErrorKind::MissingRequiredArgument),
            ("ringwall verify --quote q", ErrorKind::MissingRequiredArgument),
            ("ringwall verify --crl c", ErrorKind::MissingRequiredArgument),
            ("ringwall verify --at 5", ErrorKind::MissingRequiredArgument),
            ("ringwall verify --from f --at noon", ErrorKind::ValueValidation),
            ("ringwall policy sign p.bin --key k", ErrorKind::MissingRequiredArgument),
            ("ringwall policy sign p.bin --key k --out s --first --against o", ErrorKind::ArgumentConflict),
            ("ringwall policy verify s --against o --threshold 1", ErrorKind::ArgumentConflict),
            ("ringwall policy verify s --threshold 0 --governor 00", ErrorKind::ValueValidation),
            ("ringwall slot order --slot 3 --out o", ErrorKind::MissingRequiredArgument),
            ("ringwall slot order --slot 3 --incumbent 17 --out o", ErrorKind::ValueValidation),
        ] {
            assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
        }
    }

    #[test]
    fn help_fits_a_hundred_columns_and_names_every_exit_code() {
        let help = Arguments::command().render_long_help().to_string();
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        for code in super::super::exit::Exit::ALL {
            assert!(help.contains(&format!("{:>2}  ", *code as u8)), "exit code {code:?} is not in --help");
        }
    }
}
