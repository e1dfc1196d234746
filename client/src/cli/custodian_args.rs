//! The command line of `ringwall custodian`: what can be typed.
//!
//! Decides: names and shapes of verbs and options. No secret is an argument: passphrases are typed or come on a descriptor, words come from standard
//! input or a file, what leaves goes to new files. Trusts: nothing. Out of scope: what verbs do (`custodian.rs`, `custodian_paper.rs`).

use clap::{ArgGroup, Args, Subcommand};
use std::path::PathBuf;

pub(crate) const CUSTODIAN_HELP: &str = "\
  ringwall custodian init --name Ana          make keys; the card goes to the founders
  ringwall custodian pull --card CARD         fetch what the cluster dealt (or --from FILE)
  ringwall custodian accept                   verify it, keep the share, say so (or --out FILE)
  ringwall custodian drill                    rehearse: does everything open?
  ringwall custodian submit OFFER --out FILE  after an outage: verify the node, release the share
  ringwall custodian accept-loss OFFER ...    where too few disks are left: read what is given up, accept

Everything is kept in one folder (--home or RINGWALL_CUSTODIAN), readable by its owner alone. All verbs
but prove work on a machine without a network. Passphrases are typed, or read from --passphrase-fd, one
a line; they are never arguments and never in the environment. docs/runbooks/custody.md goes through it all.";

/// A custodian's folder, and what opens its keys.
#[derive(Debug, Args)]
pub(crate) struct FolderOptions {
    /// The custodian's folder
    #[arg(long, global = true, env = "RINGWALL_CUSTODIAN", value_name = "FOLDER")]
    pub(crate) home: Option<PathBuf>,
    /// Read passphrases from this open file descriptor, one a line, instead of the terminal
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) passphrase_fd: Option<u32>,
    /// Identity file of age that opens what was locked for its recipients (a plugin's too)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// The age program
    #[arg(long, global = true, value_name = "PROGRAM", default_value = "age")]
    pub(crate) age: PathBuf,
}

/// Arguments of `custodian`.
#[derive(Debug, Args)]
pub(crate) struct CustodianArgs {
    #[command(flatten)]
    pub(crate) folder: FolderOptions,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: CustodianVerb,
}

/// Verbs of `ringwall custodian`.
#[derive(Debug, Subcommand)]
pub(crate) enum CustodianVerb {
    /// Make keys in a new folder and print the public card for the founding template; never overwrites
    Init(Init),
    /// Print the public card again (no passphrase)
    Card(CardOut),
    /// Fetch the newest dealing and one's own share, from a node or from a file
    Pull(Pull),
    /// Verify the dealing and the share, keep it, and acknowledge: to a node, or into a file
    Accept(Accept),
    /// Prove to a node that the share is still there (needs a network)
    Prove,
    /// Show what this folder holds (no passphrase); with --online, how custody stands in the cluster
    Status(Status),
    /// Rehearse a release: alone, or for a node's drill offer
    #[command(after_help = DRILL_HELP)]
    Drill(Drill),
    /// After an outage: verify the recovering node, read what is authorised, release the share into a file
    #[command(after_help = SUBMIT_HELP)]
    Submit(Submit),
    /// After an outage that left too few disks: verify the recovering node, read what is given up, accept it
    #[command(after_help = LOSS_HELP)]
    AcceptLoss(AcceptLoss),
    /// Write the share (or the keys) down: as words, as a code, as a locked file
    Export(Export),
    /// Take the share back from words, a code or a locked file
    Import(Import),
    /// Lock the keys in another way: another passphrase, or recipients of age
    Relock(LockFor),
}

const DRILL_HELP: &str = "\
Without an offer it opens keys and share, compares the share with what was dealt, and forgets both.
With one (`ringwall drill begin` writes it) it goes through all of `submit`: the node's evidence is
verified, you read what is asked and say yes. What leaves is a share of a key made for that drill, which
opens nothing else; your own share stays closed.";

const SUBMIT_HELP: &str = "\
The offer is a file the recovering node wrote; the submission goes back to it as a file. Before anything is
asked, the node's evidence is verified on this machine. `ringwalld recover start` writes the offer and looks for
submissions in the folder `recovery` of its data folder.

A share of one dealing is released to one recovery session. Another session needs --second-session with a
reason, which the journal keeps.";

const LOSS_HELP: &str = "\
`ringwalld recover status` says `loss` where too few disks, or a backup alone, are left. Offer and progress come from
the folder `recovery` of the recovering node, as for `submit`; the acceptance goes into its inbox. All custodians of the dealing have to accept,
whether or not they released a share. What you saw yourself is never given up: then nothing is signed.";

/// How a new file is locked.
#[derive(Debug, Args)]
pub(crate) struct LockFor {
    /// Lock it for this recipient of age instead of a passphrase; may be repeated, each opens it alone
    #[arg(long, value_name = "RECIPIENT")]
    pub(crate) age_recipient: Vec<String>,
}

/// Arguments of `custodian init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The custodian's name, for people; at most 64 bytes
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) lock: LockFor,
    /// Take the keys from paper instead: words or the text of a code, from this file, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from_paper: Option<PathBuf>,
}

/// Arguments of `custodian card`.
#[derive(Debug, Args)]
pub(crate) struct CardOut {
    /// New file, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `custodian pull`.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// A dealing as a file, instead of a node
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// New file for the dealing as it was fetched, for a machine without a network
    #[arg(long, short, value_name = "FILE", conflicts_with = "from")]
    pub(crate) out: Option<PathBuf>,
}

/// Orders of the governors that named other custodians than the founding record.
#[derive(Debug, Args)]
pub(crate) struct Orders {
    /// Order of the governors that named other custodians (`ringwall custody`); may be repeated, in their sequence. It is judged and kept
    #[arg(long, value_name = "ORDER")]
    pub(crate) order: Vec<PathBuf>,
}

/// Arguments of `custodian accept`.
#[derive(Debug, Args)]
pub(crate) struct Accept {
    #[command(flatten)]
    pub(crate) orders: Orders,
    /// New file for the acknowledgement, instead of sending it to a node
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print the whole chain of reasons, as a tree
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Arguments of `custodian status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Ask a node how custody stands (opens the keys)
    #[arg(long)]
    pub(crate) online: bool,
    /// Print every entry of the journal
    #[arg(long)]
    pub(crate) journal: bool,
}

/// Arguments of `custodian drill`.
#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// Drill offer of a node
    #[arg(requires = "out")]
    pub(crate) offer: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) answer: DrillAnswer,
}

/// What comes of an answer to a drill.
#[derive(Debug, Args)]
pub(crate) struct DrillAnswer {
    /// New file for the submission
    #[arg(long, short, value_name = "FILE", requires = "offer")]
    pub(crate) out: Option<PathBuf>,
    /// What the node told of the progress, as a file: shows who else answered
    #[arg(long, value_name = "FILE", requires = "offer")]
    pub(crate) progress: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the whole chain of reasons, as a tree
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Arguments of `custodian submit`.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// Offer of the recovering node
    pub(crate) offer: PathBuf,
    /// New file for the submission
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// What the node told of the progress, as a file: shows who else answered
    #[arg(long, value_name = "FILE")]
    pub(crate) progress: Option<PathBuf>,
    /// Release to another session than before, for this reason, which the journal keeps; at most 256 bytes
    #[arg(long, value_name = "REASON")]
    pub(crate) second_session: Option<String>,
    /// Do not ask; for scripts that asked somebody themselves
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the whole chain of reasons, as a tree
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Arguments of `custodian accept-loss`.
#[derive(Debug, Args)]
pub(crate) struct AcceptLoss {
    /// Offer of the recovering node
    pub(crate) offer: PathBuf,
    /// What the node told of the progress, as a file: it holds the question
    #[arg(long, value_name = "FILE")]
    pub(crate) progress: PathBuf,
    /// New file for the acceptance
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Answer another session than before, for this reason, which the journal keeps; at most 256 bytes
    #[arg(long, value_name = "REASON")]
    pub(crate) second_session: Option<String>,
    /// Do not ask; for scripts that asked somebody themselves
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the whole chain of reasons, as a tree
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Arguments of `custodian export`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("form").required(true).args(["words", "qr", "svg", "file"]))]
pub(crate) struct Export {
    /// Words for paper, eight a line, each line with a check of its own
    #[arg(long)]
    pub(crate) words: bool,
    /// A code for a camera, drawn with characters
    #[arg(long)]
    pub(crate) qr: bool,
    /// A code for a camera, as an SVG picture
    #[arg(long)]
    pub(crate) svg: bool,
    /// A file locked by a passphrase of its own, or for recipients of age
    #[arg(long)]
    pub(crate) file: bool,
    /// New file (mode 0600); without it, words and codes go to the terminal, and to nothing else
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The keys instead of the share: whoever has them can speak for this custodian
    #[arg(long)]
    pub(crate) keys: bool,
    #[command(flatten)]
    pub(crate) lock: LockFor,
}

/// Arguments of `custodian import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) orders: Orders,
    /// Words, the text of a code, or a locked file; - or nothing for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// The manifest of its dealing, or the dealing itself: public, any node or custodian has it
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
}
