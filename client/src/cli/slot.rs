//! `ringwall slot`: the governors' order to replace the incumbent of a slot although it still answers.
//!
//! Decides: an order is made for the cluster of a card; a governor signs it when its key is one of that cluster's; it is complete when enough
//! of them did. Nothing here talks to anybody; files that are written are new. Whether the order names today's incumbent only the cluster
//! can say. Trusts: the card. Out of scope: carrying the order to the cluster (`ringwalld run --replace-order`). Protocol section 4.3, step 6.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::input::{bounded_file, card};
use super::show;
use super::signing::{self, Sign, Verify, WORD_FILE_BYTES};
use crate::card::newest_policy;
use clap::{Args, Subcommand};
use ringwall_attest::{GovernorsError, verify_order};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::{Epoch, Incarnation, Slot};
use ringwall_wire::order::ReplaceOrder;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Bits of an incarnation that hold its admit index; the epoch is above them.
const ADMIT_INDEX_BITS: u32 = 40;

/// Verbs of `ringwall slot`.
#[derive(Debug, Subcommand)]
pub(crate) enum SlotVerb {
    /// Write an order to replace a slot's incumbent, for governors to sign
    Order(Order),
    /// Sign an order as a governor
    Sign(Sign),
    /// Verify that enough governors signed an order
    Verify(Verify),
}

/// Arguments of `slot order`.
#[derive(Debug, Args)]
pub(crate) struct Order {
    /// Slot
    #[arg(long, value_name = "NUMBER")]
    pub(crate) slot: u8,
    /// Incarnation that has to go, as `ringwall status` shows it: 1/17, or its number
    #[arg(long, value_name = "ID", value_parser = incarnation)]
    pub(crate) incumbent: Incarnation,
    /// Last log index (`applied` of `ringwall status`) at which the order holds; without it, for as long as that incarnation stands there
    #[arg(long, value_name = "INDEX")]
    pub(crate) last_index: Option<u64>,
    /// New file for the order
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// `epoch/admit index`, or the one number both are in.
fn incarnation(text: &str) -> Result<Incarnation, String> {
    let wrong = || "an incarnation is written like 1/17 (as `ringwall status` shows it) or as one number".to_owned();
    let found = match text.split_once('/') {
        Some((epoch, index)) => {
            let (epoch, index) = (epoch.parse::<u32>().map_err(|_| wrong())?, index.parse::<u64>().map_err(|_| wrong())?);
            if epoch >> (64 - ADMIT_INDEX_BITS) != 0 || index >> ADMIT_INDEX_BITS != 0 {
                return Err(wrong());
            }
            Incarnation::new(Epoch(epoch), index)
        }
        None => Incarnation(text.parse().map_err(|_| wrong())?),
    };
    match found.epoch().0 == 0 || found.admit_index() == 0 {
        true => Err(wrong()),
        false => Ok(found),
    }
}

/// Runs one verb.
pub(crate) fn run(shared: &SharedOptions, verb: SlotVerb) -> Result<Exit, Trouble> {
    let card = card(shared)?;
    match verb {
        SlotVerb::Order(order) => begin(&card, &order, shared.json),
        SlotVerb::Sign(arguments) => sign(&card, &arguments, shared.json),
        SlotVerb::Verify(arguments) => verify(&card, &arguments.file, shared.json),
    }
}

fn read(card: &ClusterCard, path: &Path) -> Result<ReplaceOrder, Trouble> {
    let bytes = bounded_file(path, WORD_FILE_BYTES)?;
    let no_order =
        |fault| Trouble::new("RW-C-ORDER-MALFORMED", format!("{}: no order: {fault}; `ringwall slot order` makes one", path.display()));
    let order = ReplaceOrder::decode(&bytes).map_err(no_order)?;
    let ours = card.genesis.cluster_id();
    if order.cluster_id != ours {
        let words = format!("{}: the order is for cluster {}, the card is of {ours}", path.display(), order.cluster_id);
        return Err(Trouble::new("RW-C-ORDER-OTHER-CLUSTER", words));
    }
    known_slot(card, order.slot)?;
    Ok(order)
}

fn known_slot(card: &ClusterCard, slot: Slot) -> Result<(), Trouble> {
    if card.genesis.template.slots.iter().any(|rule| rule.slot == slot) {
        return Ok(());
    }
    let slots: Vec<String> = card.genesis.template.slots.iter().map(|rule| rule.slot.to_string()).collect();
    Err(Trouble::new("RW-C-USAGE", format!("{slot} is no slot of the cluster, which has {}", slots.join(", "))))
}

/// The order in one line.
fn words(order: &ReplaceOrder) -> String {
    let until = order.last_index.map_or_else(|| "for as long as it stands there".into(), |last| format!("until log index {last}"));
    format!("replace incarnation {} in slot {} of cluster {}, {until}", show::short(order.incumbent), order.slot, order.cluster_id)
}

fn object(order: &ReplaceOrder) -> Value {
    json!({
        "cluster": order.cluster_id.to_string(),
        "epoch": order.epoch.0,
        "slot": order.slot.0,
        "incumbent": order.incumbent.0,
        "last_index": order.last_index,
        "signatures": order.signatures.len(),
    })
}

fn begin(card: &ClusterCard, arguments: &Order, json: bool) -> Result<Exit, Trouble> {
    let governance = signing::governed(card, "no order can hold in it")?;
    known_slot(card, Slot(arguments.slot))?;
    let order = ReplaceOrder {
        cluster_id: card.genesis.cluster_id(),
        epoch: arguments.incumbent.epoch(),
        slot: Slot(arguments.slot),
        incumbent: arguments.incumbent,
        last_index: arguments.last_index,
        signatures: List::default(),
    };
    signing::begun(json, &arguments.out, &order, (&words(&order), object(&order)), (&governance, "slot sign"))
}

fn sign(card: &ClusterCard, arguments: &Sign, json: bool) -> Result<Exit, Trouble> {
    let mut order = read(card, &arguments.file)?;
    signing::sign(card, arguments, &mut order)?.say(json, &words(&order), object(&order))
}

fn verify(card: &ClusterCard, file: &Path, json: bool) -> Result<Exit, Trouble> {
    let order = read(card, file)?;
    let not_approved = |fault: GovernorsError| Trouble::new("RW-C-ORDER-NOT-APPROVED", format!("{}: {fault}", file.display()));
    let approved = verify_order(&order, &newest_policy(card).governance).map_err(not_approved)?;
    signing::ordered(json, &words(&order), object(&order), approved.approvers())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_is_read_as_status_writes_it() {
        let wanted = Incarnation::new(Epoch(1), 17);
        assert_eq!(incarnation("1/17"), Ok(wanted));
        assert_eq!(incarnation(&wanted.0.to_string()), Ok(wanted));
        for wrong in ["", "17", "0", "0/17", "1/0", "1/", "/3", "1/17/2", "-1", "16777216/1", "1/1099511627776", "one/17"] {
            assert!(incarnation(wrong).is_err(), "{wrong}");
        }
    }
}
