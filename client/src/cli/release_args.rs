//! The command line of `ringwall release`: what can be typed.
//!
//! Decides: names and shapes of verbs and options. Keys and tokens are named by file, never typed. What is written goes to a new file, but for `staple`, which
//! replaces a proof by a newer one. Trusts: nothing. Out of scope: what verbs do (`release.rs`, `release_log.rs`, `release_verify.rs`).

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Below the help of `release`.
pub(crate) const RELEASE_HELP: &str = "\
  ringwall release keygen KEY                            a managed key; Sigstore's clients know its kind
  ringwall release make --measurements FILE ... --out STATEMENT
  ringwall release sign STATEMENT --key KEY --out BUNDLE     each signer in turn, the same statement
  ringwall release publish BUNDLE... --log-url URL
  ringwall release staple BUNDLE... --log-url URL --policy POLICY --out PROOF
  ringwall release verify PROOF --policy POLICY          no network: what a client does with it

A proof of release is what nodes hand out (`release_proof` in their configuration). It has to be stapled anew before its
newest checkpoint is as old as the policy allows.";

/// Verbs of `ringwall release`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseVerb {
    /// Make a key file (mode 0600) and print what a policy lists of it; never overwrites
    Keygen(Keygen),
    /// Write the statement about a build: what it measures to, and out of which source
    Make(Make),
    /// Sign a statement, with a managed key or keyless
    Sign(Sign),
    /// Publish a signed release: in its log, or in Sigstore's
    Publish(Publish),
    /// Publish how epochs began after a recovery, and dealings, in the release log; write the proof that nodes show
    PublishEpochs(PublishEpochs),
    /// Read what the release log has of one cluster: its recoveries and dealings; two recoveries of one epoch are told
    Epochs(Epochs),
    /// Add to the list of what was revoked, and bring it to the log
    Revoke(Revoke),
    /// Look at a log once as a witness: cosign its newest checkpoint if it continues the last one
    Witness(Witness),
    /// Put together the proof of release that nodes hand out
    Staple(Staple),
    /// Judge a proof of release, without a network, and show what it says
    Verify(Verify),
    /// Write the record of a release, named by its measurement
    Record(Record),
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyFor {
    /// Signing releases
    Release,
    /// Cosigning checkpoints as a witness
    Witness,
}

/// Arguments of `release keygen`.
#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// New key file
    pub(crate) file: PathBuf,
    /// What the key is for
    #[arg(long = "for", value_enum, default_value_t = KeyFor::Release)]
    pub(crate) purpose: KeyFor,
    /// Name of a witness: an address without a scheme
    #[arg(long, required_if_eq("purpose", "witness"))]
    pub(crate) name: Option<String>,
    /// New file for the public half of a release key (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) public: Option<PathBuf>,
}

/// Arguments of `release make`.
#[derive(Debug, Args)]
pub(crate) struct Make {
    /// What the build measures to, as `ringwall measure --json` prints it
    #[arg(long, value_name = "FILE")]
    pub(crate) measurements: PathBuf,
    /// File of the image (kernel, initrd, firmware, ...), named by its last part; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) artefact: Vec<PathBuf>,
    /// Where the source is
    #[arg(long, value_name = "URL")]
    pub(crate) source: String,
    /// Commit of the source: 40 or 64 hex digits
    #[arg(long, value_name = "HEX", value_parser = commit)]
    pub(crate) commit: String,
    /// The recipe the image was built by (flake.lock, or the lock of another builder): its SHA-256 is stated
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: PathBuf,
    /// Policy whose tables of boot events for this build are published, too
    #[arg(long, value_name = "FILE")]
    pub(crate) replays: Option<PathBuf>,
    /// New file for the statement
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

fn commit(text: &str) -> Result<String, String> {
    let hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match hex && [40, 64].contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err("a commit is named by 40 or 64 lower-case hex digits".into()),
    }
}

/// Arguments of `release sign`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("signer").required(true).args(["key", "fulcio"]))]
#[command(group = ArgGroup::new("identity").args(["identity_token", "oidc"]))]
pub(crate) struct Sign {
    /// Statement
    pub(crate) statement: PathBuf,
    /// Managed key file
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Keyless: address of a Fulcio, which gives a certificate for an identity token
    #[arg(long, value_name = "URL", requires = "identity")]
    pub(crate) fulcio: Option<String>,
    /// File with the identity token
    #[arg(long, value_name = "FILE", requires = "fulcio")]
    pub(crate) identity_token: Option<PathBuf>,
    /// Address that gives this machine an identity token, as a build runner has one
    #[arg(long, value_name = "URL", requires_all = ["fulcio", "oidc_bearer"])]
    pub(crate) oidc: Option<String>,
    /// File with what that address wants to see (a bearer token)
    #[arg(long, value_name = "FILE", requires = "oidc")]
    pub(crate) oidc_bearer: Option<PathBuf>,
    /// New file for the bundle
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of `release publish`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("where").required(true).multiple(true).args(["log_url", "rekor", "tsa"]))]
pub(crate) struct Publish {
    /// Bundles, in the order in which they will be stapled
    #[arg(required = true)]
    pub(crate) bundle: Vec<PathBuf>,
    /// Address of the release log
    #[arg(long, value_name = "URL", conflicts_with_all = ["rekor", "tsa"])]
    pub(crate) log_url: Option<String>,
    /// Address of a Rekor: one bundle gets an entry of it
    #[arg(long, value_name = "URL", requires = "out")]
    pub(crate) rekor: Option<String>,
    /// Version of that Rekor
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) rekor_version: u8,
    /// Address of a timestamp authority: one bundle gets its timestamp
    #[arg(long, value_name = "URL", requires = "out")]
    pub(crate) tsa: Option<String>,
    /// Public half of a managed key (PEM), which its bundle does not hold
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    /// New file for the bundle with what was added
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `release publish-epochs`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["epochs", "member", "dealing"]))]
pub(crate) struct PublishEpochs {
    /// Starts of epochs as recoveries wrote them down: `recovery/epochs.log` in the data folder of the node that recovered
    pub(crate) epochs: Vec<PathBuf>,
    /// Ask a member, which is verified, how the epoch began (needs a card and a credential)
    #[arg(long)]
    pub(crate) member: bool,
    /// A dealing: `recovery.blob` in the data folder of any member
    #[arg(long, value_name = "FILE")]
    pub(crate) dealing: Vec<PathBuf>,
    /// Address of the release log
    #[arg(long, value_name = "URL")]
    pub(crate) log_url: String,
    /// Policy that names the log and its witnesses
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// The proof; one that is there is replaced
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of `release epochs`.
#[derive(Debug, Args)]
pub(crate) struct Epochs {
    /// Address of the release log
    #[arg(long, value_name = "URL")]
    pub(crate) log_url: String,
    /// Policy that names the log and its witnesses
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// Starts of epochs that are known, as `recovery/epochs.log`: says of each whether the log has it
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Vec<PathBuf>,
    /// New file for the proof, should the log have two recoveries of one epoch
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Option<PathBuf>,
}

/// Arguments of `release revoke`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["build", "snp"]))]
pub(crate) struct Revoke {
    /// The list; it is made if there is none, and is only ever added to
    #[arg(long, value_name = "FILE")]
    pub(crate) list: PathBuf,
    /// Name of the build
    #[arg(long, value_name = "ID")]
    pub(crate) build: Option<String>,
    /// SNP launch digest: 96 hex digits
    #[arg(long, value_name = "HEX")]
    pub(crate) snp: Option<String>,
    /// Why, for people; at most 256 bytes
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Address of the log it is brought to
    #[arg(long, value_name = "URL")]
    pub(crate) log_url: Option<String>,
}

/// Arguments of `release witness`.
#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// Key file of the witness
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Its name
    #[arg(long)]
    pub(crate) name: String,
    /// Verifier key of the log
    #[arg(long, value_name = "KEY")]
    pub(crate) log: String,
    /// Address of the log
    #[arg(long, value_name = "URL")]
    pub(crate) log_url: String,
    /// Folder with what was cosigned last: it must come back as it was left
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Bring the cosignature to the log, too
    #[arg(long)]
    pub(crate) submit: bool,
}

/// Arguments of `release staple`.
#[derive(Debug, Args)]
pub(crate) struct Staple {
    /// Bundles, in the order in which they were published
    #[arg(required = true)]
    pub(crate) bundle: Vec<PathBuf>,
    /// Address of the release log
    #[arg(long, value_name = "URL")]
    pub(crate) log_url: String,
    /// Policy that demands the proof: it names the log, its witnesses and the signers
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// Sigstore's trusted root (JSON), where the policy pins one
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// Have the log ask its witnesses again first
    #[arg(long)]
    pub(crate) renew: bool,
    /// Write the proof even if it revokes the build, for its nodes to show; that ends with exit code 3 all the same
    #[arg(long)]
    pub(crate) even_revoked: bool,
    /// The proof; one that is there is continued and replaced
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of `release verify`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["proof", "from"]))]
pub(crate) struct Verify {
    /// Proof of release
    pub(crate) proof: Option<PathBuf>,
    /// An exchange with a node, kept with `ringwall verify --save`: its proof, its policy, what its hardware reported
    #[arg(long, value_name = "FILE", conflicts_with_all = ["policy"])]
    pub(crate) from: Option<PathBuf>,
    /// Policy that demands the proof
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    pub(crate) policy: Option<PathBuf>,
    /// Name of the build in the policy; without it, the one the log's entry names
    #[arg(long, value_name = "ID")]
    pub(crate) build: Option<String>,
    /// What this machine's own build of the source measures to (`ringwall measure --json`): must be what the statement says
    #[arg(long, value_name = "FILE")]
    pub(crate) measurements: Option<PathBuf>,
    /// The newest head that was seen: the log must continue it; replaced by the proof's. Made if there is none
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Option<PathBuf>,
    /// The second to judge at, instead of now
    #[arg(long, value_name = "UNIX SECONDS")]
    pub(crate) at: Option<u64>,
    /// New file for the statement
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: Option<PathBuf>,
}

/// Arguments of `release record`.
#[derive(Debug, Args)]
pub(crate) struct Record {
    /// Proof of release, which was verified
    pub(crate) proof: PathBuf,
    /// Folder of records
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}
