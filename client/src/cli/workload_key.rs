//! `ringwall workload-key`: the governors' orders about workload keys, bringing them to the cluster, asking for a key, reading the audit chain.
//!
//! Decides: an order is made from a grant policy for the cluster of a card; a governor signs it when its key is one of that cluster's. `create` and
//! `policy` carry it, which anybody may. `grant` runs in a guest and writes the key to a file of its owner or to standard output, once.
//! Trusts: the card. Out of scope: judging evidence and counting signatures (the cluster's). Protocol section 10; docs/runbooks/workloads.md.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::input::{bounded_file, card, endorsement_files};
use super::policy::{say, write_new, write_template};
use super::show::with;
use super::signing::{self, Sign, WORD_FILE_BYTES};
use super::verbs::options;
use super::workload_audit;
use super::{show, verbs};
use crate::card::newest_policy;
use crate::guest::KernelGuest;
use crate::policy::{GrantFile, PolicyFault, grant_template, grant_to_toml};
use crate::workload::{WorkloadError, anywhere, request_workload_key};
use crate::{Anchors, Credential};
use clap::{Args, Subcommand};
use ringwall_attest::{Attester, verify_grant_order};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{Digest, UserId};
use ringwall_wire::limits::POLICY_BYTES;
use ringwall_wire::text::hex;
use ringwall_wire::workload::{GrantOrder, GrantPolicy, WorkloadPurpose};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of an order file: a policy of the full size, signatures, and its frame.
const ORDER_FILE_BYTES: usize = POLICY_BYTES + WORD_FILE_BYTES;

/// Verbs of `ringwall workload-key`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkloadKeyVerb {
    /// Print or write a grant policy to fill in, every field explained (no network)
    New(New),
    /// Write an order from a grant policy, for governors to sign (no network)
    Order(Order),
    /// Sign an order as a governor (no network)
    Sign(Sign),
    /// Verify that enough governors signed an order (no network)
    Verify(One),
    /// Print the grant policy of a file or an order as TOML (no network)
    Show(One),
    /// Bring the first order of a key to the cluster: makes the key
    Create(One),
    /// Bring an order that changes the grant policy of a key
    Policy(One),
    /// Ask for a key, from inside the guest it is for
    Grant(Grant),
    /// Print the certificate of the key broker protocol, for guests that speak it to pin
    Certificate(Certificate),
    /// Read and verify the audit chain of all workload keys, as a governor
    Audit(workload_audit::AuditArguments),
}

/// Arguments of `workload-key new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// For clusters of simulated TEEs, which protect nothing
    #[arg(long)]
    pub(crate) simulated: bool,
    /// New file; without it, standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `workload-key order`.
#[derive(Debug, Args)]
pub(crate) struct Order {
    /// Grant policy in TOML
    pub(crate) file: PathBuf,
    /// It makes the key
    #[arg(long, conflicts_with = "against", required_unless_present = "against")]
    pub(crate) first: bool,
    /// Grant policy in force (its TOML or its order), which this one replaces
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// New file for the order
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of verbs about one file.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Order (or, for `show`, a grant policy)
    pub(crate) file: PathBuf,
}

/// Arguments of `workload-key certificate`.
#[derive(Debug, Args)]
pub(crate) struct Certificate {
    /// New file; without it, standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `workload-key grant`.
#[derive(Debug, Args)]
pub(crate) struct Grant {
    /// Name of the key
    pub(crate) name: String,
    /// The user whose own key is wanted, derived from this one: 40 hex digits
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<UserId>,
    /// New file for the 32 bytes of the key (mode 0600); without it, their hex goes to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// AMD: the chip's VCEK (or VLEK) certificate, DER
    #[arg(long, value_name = "FILE", requires = "ask")]
    pub(crate) vek: Option<PathBuf>,
    /// AMD: the ASK (or ASVK) certificate, DER
    #[arg(long, value_name = "FILE", requires = "vek")]
    pub(crate) ask: Option<PathBuf>,
    /// AMD: the revocation list of the family, DER
    #[arg(long, value_name = "FILE", requires = "vek")]
    pub(crate) crl: Option<PathBuf>,
    /// Intel: collateral as JSON (docs/explain.md)
    #[arg(long, value_name = "FILE", conflicts_with = "vek")]
    pub(crate) collateral: Option<PathBuf>,
}

/// Runs one verb. `guest` is where evidence comes from; none for the kernel of this machine.
pub(crate) async fn run(
    shared: &SharedOptions,
    anchors: Anchors,
    guest: Option<Arc<dyn Attester>>,
    verb: WorkloadKeyVerb,
) -> Result<Exit, Trouble> {
    match verb {
        WorkloadKeyVerb::New(new) => begin(&new, shared.json),
        WorkloadKeyVerb::Order(order) => draft(&card(shared)?, &order, shared.json),
        WorkloadKeyVerb::Sign(arguments) => sign(&card(shared)?, &arguments, shared.json),
        WorkloadKeyVerb::Verify(one) => verify(&card(shared)?, &one.file, shared.json),
        WorkloadKeyVerb::Show(one) => {
            let toml = grant_to_toml(read(&one.file)?.policy());
            match shared.json {
                true => say(true, "", json!({ "toml": toml })),
                false => show::print(toml.as_bytes()).map(|()| Exit::Done),
            }
        }
        WorkloadKeyVerb::Create(one) => bring(shared, anchors, &one.file, true).await,
        WorkloadKeyVerb::Policy(one) => bring(shared, anchors, &one.file, false).await,
        WorkloadKeyVerb::Grant(arguments) => grant(shared, anchors, guest, &arguments).await,
        WorkloadKeyVerb::Certificate(arguments) => certificate(shared, anchors, &arguments).await,
        WorkloadKeyVerb::Audit(arguments) => workload_audit::run(shared, anchors, &arguments).await,
    }
}

fn read(path: &Path) -> Result<GrantFile, Trouble> {
    GrantFile::read(path).map_err(|fault| match &fault {
        PolicyFault::Io { .. } => Trouble::new(fault.code(), fault.to_string()),
        _ => Trouble::new(fault.code(), format!("{}: {fault}", path.display())),
    })
}

fn order(path: &Path) -> Result<(GrantPolicy, GrantOrder), Trouble> {
    bounded_file(path, ORDER_FILE_BYTES)?;
    match read(path)? {
        GrantFile::Order(policy, order) => Ok((policy, order)),
        GrantFile::Text(_) => {
            let words = format!("{}: a grant policy, not an order; `ringwall workload-key order` makes one", path.display());
            Err(Trouble::new("RW-C-ORDER-MALFORMED", words))
        }
    }
}

/// What an order is, for people and for programs.
fn words(policy: &GrantPolicy, order: &GrantOrder) -> String {
    let what = match order.replaces {
        None => "makes the key".to_owned(),
        Some(old) => format!("replaces grant policy {old}"),
    };
    format!(
        "workload key {} in cluster {}: grant policy {} (version {}) {what}",
        &*policy.name,
        order.cluster_id,
        order.policy_digest(),
        policy.version
    )
}

fn object(policy: &GrantPolicy, order: &GrantOrder) -> Value {
    json!({
        "name": &*policy.name,
        "version": policy.version,
        "cluster": order.cluster_id.to_string(),
        "policy": order.policy_digest().to_string(),
        "replaces": order.replaces.map(|old| old.to_string()),
        "signatures": order.signatures.len(),
    })
}

fn begin(new: &New, json: bool) -> Result<Exit, Trouble> {
    let next = |path: &str| format!("ringwall workload-key order {path} --first --out ORDER");
    write_template(&grant_template(new.simulated), new.out.as_deref(), next, json)
}

fn draft(card: &ClusterCard, arguments: &Order, json: bool) -> Result<Exit, Trouble> {
    let governance = signing::governed(card, "workload keys cannot be created in it")?;
    let policy = read(&arguments.file)?.policy().clone();
    let refused = |words: String| Trouble::new("RW-C-POLICY-NOT-NEXT", format!("{}: {words}", arguments.file.display()));
    if policy.trust_domain != card.policy.trust_domain {
        return Err(refused("its trust domain is not the cluster's: it would never grant anything".into()));
    }
    let old = arguments.against.as_deref().map(read).transpose()?;
    match &old {
        None if policy.version != 1 => {
            return Err(refused(format!("the first grant policy of a key has version 1, this one {}", policy.version)));
        }
        Some(old) if old.policy().name != policy.name => {
            return Err(refused(format!("it is for another key than {}", &*old.policy().name)));
        }
        Some(old) if old.policy().version.checked_add(1) != Some(policy.version) => {
            return Err(refused(format!("its version must be {}, one more than the one in force", old.policy().version.saturating_add(1))));
        }
        _ => {}
    }
    let order = GrantOrder {
        cluster_id: card.genesis.cluster_id(),
        replaces: old.map(|old| Digest(old.policy().digest())),
        policy: Blob::new(policy.encode()).map_err(|fault| refused(fault.to_string()))?,
        signatures: List::default(),
    };
    let said = (&*words(&policy, &order), object(&policy, &order));
    signing::begun(json, &arguments.out, &order, said, (&governance, "workload-key sign"))
}

fn sign(card: &ClusterCard, arguments: &Sign, json: bool) -> Result<Exit, Trouble> {
    let (policy, mut order) = order(&arguments.file)?;
    let ours = card.genesis.cluster_id();
    if order.cluster_id != ours {
        let words = format!("{}: the order is for cluster {}, the card is of {ours}", arguments.file.display(), order.cluster_id);
        return Err(Trouble::new("RW-C-ORDER-NOT-SIGNED", words));
    }
    signing::sign(card, arguments, &mut order)?.say(json, &words(&policy, &order), object(&policy, &order))
}

fn verify(card: &ClusterCard, file: &Path, json: bool) -> Result<Exit, Trouble> {
    let (policy, order) = order(file)?;
    let not_approved = |words: &str| Trouble::new("RW-C-ORDER-NOT-APPROVED", format!("{}: {words}", file.display()));
    let judged = verify_grant_order(&order, &card.genesis.cluster_id(), &newest_policy(card).governance);
    let approved = judged.map_err(|fault| not_approved(fault.words()))?;
    signing::ordered(json, &words(&policy, &order), object(&policy, &order), approved.approvers())
}

async fn bring(shared: &SharedOptions, anchors: Anchors, file: &Path, first: bool) -> Result<Exit, Trouble> {
    let (policy, order) = order(file)?;
    match (first, order.replaces.is_none()) {
        (true, false) => return Err(Trouble::new("RW-C-USAGE", "the order changes a key; bring it with: ringwall workload-key policy")),
        (false, true) => return Err(Trouble::new("RW-C-USAGE", "the order makes a key; bring it with: ringwall workload-key create")),
        _ => {}
    }
    let options = options(shared, anchors, Credential::generate())?;
    let spinner = verbs::spinner(shared, "bringing the order");
    let version = anywhere(&options, WorkloadPurpose::Governor, async |session| session.order(&order).await).await;
    spinner.finish_and_clear();
    let version = version.map_err(trouble)?;
    let done = if first { "created" } else { "policy set" };
    let text = format!("workload key {}: {done}, grant policy version {version} is in force", &*policy.name);
    say(shared.json, &text, with(object(&policy, &order), "in_force", version))
}

async fn certificate(shared: &SharedOptions, anchors: Anchors, arguments: &Certificate) -> Result<Exit, Trouble> {
    let options = options(shared, anchors, Credential::generate())?;
    let der = anywhere(&options, WorkloadPurpose::Governor, async |session| session.certificate().await).await.map_err(trouble)?;
    let text = pem::encode(&pem::Pem::new("CERTIFICATE", der));
    match &arguments.out {
        Some(path) => {
            write_new(path, text.as_bytes())?;
            let shown = path.display().to_string();
            say(shared.json, &format!("{shown}: certificate of the cluster's key broker protocol"), json!({ "written": shown }))
        }
        None if shared.json => say(true, "", json!({ "pem": text })),
        None => show::print(text.as_bytes()).map(|()| Exit::Done),
    }
}

async fn grant(shared: &SharedOptions, anchors: Anchors, guest: Option<Arc<dyn Attester>>, arguments: &Grant) -> Result<Exit, Trouble> {
    let guest = match guest {
        Some(guest) => guest,
        None => Arc::new(KernelGuest::new(endorsement_files(arguments)?)),
    };
    let options = options(shared, anchors, Credential::generate())?;
    let spinner = verbs::spinner(shared, "asking for the key");
    let granted = request_workload_key(&options, guest, &arguments.name, arguments.user).await;
    spinner.finish_and_clear();
    let granted = granted.map_err(trouble)?;
    let mut object = json!({ "name": arguments.name, "policy_version": granted.policy_version, "audit_entry": granted.seq });
    match &arguments.out {
        Some(path) => {
            verbs::write_new(path, granted.key.expose())?;
            let shown = path.display().to_string();
            object = with(object, "written", shown.as_str());
            say(shared.json, &format!("{shown}: workload key {}, audit entry {}", arguments.name, granted.seq), object)
        }
        None => {
            let key = hex(granted.key.expose());
            say(shared.json, &key, with(object, "key_hex", key.as_str()))
        }
    }
}

/// A failure on its way out.
pub(crate) fn trouble(fault: WorkloadError) -> Trouble {
    Trouble::new(fault.code(), fault.to_string())
}
