//! `ringwall custody`: orders of the governors about custody: other custodians, or an activation without the acknowledgements that are missing.
//!
//! Decides: an order is made for the cluster of a card, a governor signs it when its key is one of that cluster's, and it is complete when enough of them did; none of that talks to
//! anybody, and files that are written are new. A custodian brings it, on a session with a verified node; whoever brings it decides nothing. A dealing that is to be
//! activated is judged first, as a custodian judges it.
//! Trusts: the card. Out of scope: whether the order follows the list in force, whether enough acknowledged (the cluster's record). Protocol sections 6.1, D6, and 8.

use super::args::SharedOptions;
use super::custodian::{Run, message, unexpected};
use super::custodian_args::{FolderOptions, Orders};
use super::exit::{Exit, Trouble};
use super::input::{bounded_file, card};
use super::policy::{cards, say};
use super::show::with;
use super::signing::{self, Sign, Verify, Word};
use super::{custodian_show as layout, show};
use crate::card::newest_policy;
use crate::custodian::dealing::{Judge, judge_dealing};
use crate::custodian::orders::{Listed, OrderError, follows};
use crate::custodian::shelf::Shelf;
use crate::custodian::{CustodianError, ceremony};
use crate::{Anchors, clock};
use clap::{ArgGroup, Args, Subcommand};
use ringwall_attest::{GovernorsError, verify_words};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp, Dealt};
use ringwall_wire::custody::{ActivateOrder, CustodiansOrder};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{ClusterId, Digest, Epoch, SigPublic};
use ringwall_wire::limits::CUSTODIAN_MESSAGE_BYTES;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(crate) const CUSTODY_HELP: &str = "\
  ringwall custody order --custodians CARDS --custody-threshold 2 --out ORDER    other custodians
  ringwall custody order --activate DEALING --out ORDER                          do without who does not answer
  ringwall custody sign ORDER --key GOVERNOR --out ORDER.1                       each governor in turn
  ringwall custody verify ORDER.2                                                whether enough of them signed
  ringwall custody bring ORDER.2                                                 a custodian brings it to the cluster

The next dealing is for the custodians of the order; the shares before it stay good until that one is active, and open nothing afterwards. Every
custodian gives the order to `ringwall custodian accept --order`. All need the cluster's card (--card); docs/runbooks/custody.md goes through it.";

/// Verbs of `ringwall custody`.
#[derive(Debug, Subcommand)]
pub(crate) enum CustodyVerb {
    /// Write an order for governors to sign: other custodians, or an activation without some acknowledgements (no network)
    Order(Order),
    /// Sign an order as a governor (no network)
    Sign(Sign),
    /// Verify that enough governors signed an order (no network)
    Verify(Verify),
    /// Bring an order to the cluster, as any custodian
    Bring(Bring),
}

/// Arguments of `custody order`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["custodians", "activate"]))]
pub(crate) struct Order {
    /// Cards of all custodians from the next dealing on, in the order of their shares, one after the other
    #[arg(long, value_name = "FILE", requires = "custody_threshold")]
    pub(crate) custodians: Option<PathBuf>,
    /// How many of them together recover the cluster after a total outage
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(2..), requires = "custodians")]
    pub(crate) custody_threshold: Option<u8>,
    /// Dealing to activate although acknowledgements are missing, as `ringwall custodian pull --out` wrote it
    #[arg(long, value_name = "DEALING")]
    pub(crate) activate: Option<PathBuf>,
    /// Order that was carried out before, where the governors named other custodians than the founding record; may be repeated, in their sequence
    #[arg(long, value_name = "ORDER")]
    pub(crate) after: Vec<PathBuf>,
    /// Epoch of the cluster: 1, and one more with each recovery (the first number of an incarnation in `ringwall status`)
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "activate")]
    pub(crate) epoch: u32,
    /// New file for the order
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of `custody bring`.
#[derive(Debug, Args)]
pub(crate) struct Bring {
    #[command(flatten)]
    pub(crate) folder: FolderOptions,
    /// Order
    pub(crate) file: PathBuf,
}

/// An order, of either kind.
#[derive(Debug)]
enum AnyOrder {
    Custodians(CustodiansOrder),
    Activate(ActivateOrder),
}

/// Runs one verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, verb: CustodyVerb) -> Result<Exit, Trouble> {
    let card = || card(shared);
    match verb {
        CustodyVerb::Order(order) => begin(&card()?, &anchors, &order, shared.json),
        CustodyVerb::Sign(arguments) => sign(&card()?, &arguments, shared.json),
        CustodyVerb::Verify(arguments) => verify(&card()?, &arguments.file, shared.json),
        CustodyVerb::Bring(Bring { folder, file }) => bring(&mut Run::new(shared, anchors, folder)?, &file).await,
    }
}

impl AnyOrder {
    fn read(card: &ClusterCard, path: &Path) -> Result<Self, Trouble> {
        let bytes = bounded_file(path, CUSTODIAN_MESSAGE_BYTES)?;
        let order = match (CustodiansOrder::decode(&bytes), ActivateOrder::decode(&bytes)) {
            (Ok(order), _) => AnyOrder::Custodians(order),
            (_, Ok(order)) => AnyOrder::Activate(order),
            (Err(fault), Err(_)) => {
                let words = format!("{}: no order about custody: {fault}; `ringwall custody order` makes one", path.display());
                return Err(Trouble::new("RW-C-ORDER-MALFORMED", words));
            }
        };
        let (got, pinned) = (order.cluster_id(), card.genesis.cluster_id());
        match got == pinned {
            true => Ok(order),
            false => Err(CustodianError::Order(OrderError::OtherCluster { got, pinned }).into()),
        }
    }

    fn cluster_id(&self) -> ClusterId {
        match self {
            AnyOrder::Custodians(order) => order.cluster_id,
            AnyOrder::Activate(order) => order.cluster_id,
        }
    }

    fn epoch(&self) -> Epoch {
        match self {
            AnyOrder::Custodians(order) => order.epoch,
            AnyOrder::Activate(order) => order.epoch,
        }
    }

    fn word(&self) -> &dyn Word {
        match self {
            AnyOrder::Custodians(order) => order,
            AnyOrder::Activate(order) => order,
        }
    }

    fn word_mut(&mut self) -> &mut dyn Word {
        match self {
            AnyOrder::Custodians(order) => order,
            AnyOrder::Activate(order) => order,
        }
    }

    /// The order for people: who signs it reads who will hold shares.
    fn words(&self) -> String {
        match self {
            AnyOrder::Custodians(order) => {
                let named: Vec<String> =
                    order.custodians.iter().map(|custodian| format!("\n  {} {}", custodian.name, custodian.id())).collect();
                format!(
                    "in cluster {}, epoch {}, shares go to these from the next dealing on, and {} of {} recover (in place of list {:.16}):{}",
                    order.cluster_id,
                    order.epoch,
                    order.threshold,
                    order.custodians.len(),
                    order.replaces.to_string(),
                    named.concat()
                )
            }
            AnyOrder::Activate(order) => format!(
                "in cluster {}, epoch {}, activate the dealing of manifest {} without the acknowledgements that are missing",
                order.cluster_id, order.epoch, order.manifest
            ),
        }
    }

    fn object(&self) -> Value {
        let object = match self {
            AnyOrder::Custodians(order) => json!({
                "order": "custodians", "threshold": order.threshold, "replaces": order.replaces.to_string(),
                "list": CustodiansOrder::list_digest(&order.custodians, order.threshold).to_string(),
                "custodians": order.custodians.iter().map(|custodian| json!({ "name": &*custodian.name, "id": custodian.id().to_string() }))
                    .collect::<Vec<_>>(),
            }),
            AnyOrder::Activate(order) => json!({ "order": "activate", "manifest": order.manifest.to_string() }),
        };
        let object = with(with(object, "cluster", self.cluster_id().to_string()), "epoch", self.epoch().0);
        with(object, "signatures", self.word().signatures().len())
    }
}

impl Run<'_> {
    /// Takes in orders of the governors, in their sequence.
    pub(super) fn take_orders(&self, shelf: &Shelf, card: &ClusterCard, orders: &Orders) -> Result<(), Trouble> {
        for path in &orders.order {
            let order = message::<CustodiansOrder>(path, "an order of the governors that names custodians")?;
            let listed = ceremony::take_order(shelf, card, &order)?;
            let (named, threshold) = (listed.custodians().len(), listed.threshold());
            show::note_unless(
                self.shared.json,
                &format!("{}: the governors named {named} custodians, of whom {threshold} recover; it is kept", path.display()),
            );
        }
        Ok(())
    }
}

/// The list that the next order replaces, and the orders that lead to it: the founding record's, or that of the last order in force.
fn in_force(card: &ClusterCard, after: &[PathBuf]) -> Result<(Listed, Vec<CustodiansOrder>), Trouble> {
    let none =
        || Trouble::new("RW-C-ORDER-NO-CUSTODIANS", "the cluster's founding record names no custodians, and none can be named later");
    let mut listed = Listed::founded(card).ok_or_else(none)?;
    let mut orders = Vec::new();
    for path in after {
        let AnyOrder::Custodians(order) = AnyOrder::read(card, path)? else {
            return Err(Trouble::new("RW-C-USAGE", format!("{}: it activates a dealing and names no custodians", path.display())));
        };
        listed = follows(card, &orders, &order).map_err(CustodianError::Order)?;
        orders.push(order);
    }
    Ok((listed, orders))
}

fn begin(card: &ClusterCard, anchors: &Anchors, arguments: &Order, json: bool) -> Result<Exit, Trouble> {
    let governance = signing::governed(card, "no order can hold in it")?;
    let order = match (&arguments.custodians, arguments.custody_threshold, &arguments.activate) {
        (Some(path), Some(threshold), _) => AnyOrder::Custodians(change(card, arguments, path, threshold)?),
        (_, _, Some(path)) => AnyOrder::Activate(activation(card, anchors, arguments, path)?),
        _ => return Err(Trouble::new("RW-C-USAGE", "name the custodians and how many of them recover, or a dealing to activate")),
    };
    let said = (&*order.words(), order.object());
    signing::begun(json, &arguments.out, order.word(), said, (&governance, "custody sign"))
}

fn change(card: &ClusterCard, arguments: &Order, path: &Path, threshold: u8) -> Result<CustodiansOrder, Trouble> {
    let (before, _) = in_force(card, &arguments.after)?;
    let (custodians, threshold) = cards(path, threshold)?;
    let next = Listed::new(custodians.clone(), threshold).map_err(CustodianError::Order)?;
    if next == before {
        return Err(Trouble::new("RW-C-ORDER-SAME", format!("{}: these custodians and this number are in force already", path.display())));
    }
    Ok(CustodiansOrder {
        cluster_id: card.genesis.cluster_id(),
        epoch: Epoch(arguments.epoch),
        replaces: before.digest(),
        custodians,
        threshold,
        signatures: List::default(),
    })
}

fn activation(card: &ClusterCard, anchors: &Anchors, arguments: &Order, path: &Path) -> Result<ActivateOrder, Trouble> {
    let (_, orders) = in_force(card, &arguments.after)?;
    let dealt = message::<Dealt>(path, "a dealing as a node gives it to a custodian")?;
    let judge = Judge { card, anchors, now_s: clock::now_s() };
    let judged = judge_dealing(&judge, &orders, &dealt.manifest, &dealt.exchange).map_err(CustodianError::Dealing)?;
    if dealt.active {
        return Err(Trouble::new("RW-C-ORDER-SAME", format!("{}: this dealing is the active one already", path.display())));
    }
    let manifest = judged.manifest();
    Ok(ActivateOrder {
        cluster_id: manifest.cluster_id,
        epoch: manifest.epoch,
        manifest: Digest(manifest.digest()),
        signatures: List::default(),
    })
}

fn sign(card: &ClusterCard, arguments: &Sign, json: bool) -> Result<Exit, Trouble> {
    let mut order = AnyOrder::read(card, &arguments.file)?;
    signing::sign(card, arguments, order.word_mut())?.say(json, &order.words(), order.object())
}

fn verify(card: &ClusterCard, file: &Path, json: bool) -> Result<Exit, Trouble> {
    let order = AnyOrder::read(card, file)?;
    let governors = complete(card, &order, file)?;
    signing::ordered(json, &order.words(), order.object(), &governors)
}

/// The governors who signed, if they are enough.
fn complete(card: &ClusterCard, order: &AnyOrder, file: &Path) -> Result<Vec<SigPublic>, Trouble> {
    let refused = |fault: GovernorsError| Trouble::new("RW-C-ORDER-NOT-APPROVED", format!("{}: {fault}", file.display()));
    verify_words(&order.word().signed(), order.word().signatures(), &newest_policy(card).governance).map_err(refused)
}

async fn bring(run: &mut Run<'_>, file: &Path) -> Result<Exit, Trouble> {
    let shelf = run.shelf()?;
    let card = run.pinned(&shelf)?;
    let order = AnyOrder::read(&card, file)?;
    // What the cluster would refuse is not carried there.
    complete(&card, &order, file)?;
    let keys = run.unlock(&shelf)?;
    let mut session = run.dial(&card, &keys).await?;
    let (words, object) = (order.words(), order.object());
    let op = match order {
        AnyOrder::Custodians(order) => CustodianOp::Change(Box::new(order)),
        AnyOrder::Activate(order) => CustodianOp::Activate(order),
    };
    let answer = session.ask(op).await;
    let (seen, place) = (session.seen.clone(), session.node.address.clone());
    session.close().await;
    if let Some(seen) = &seen {
        ceremony::keep_anchor(&shelf, seen)?;
    }
    let status = match answer? {
        CustodianAnswer::Noted(status) => status,
        other => return Err(unexpected(other)),
    };
    let object = with(with(with(object, "node", place.as_str()), "active", status.active.0), "waiting", status.waiting.0);
    say(run.shared.json, &format!("on record (told to {place}): {words}\n{}", layout::dealings_words(&status).trim_end()), object)
}
