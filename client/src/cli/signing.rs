//! What governors sign on the command line: orders about slots, workload keys and custody, policies, and words about them.
//!
//! Decides: a governor signs once, as one of the cluster's, into a new file; what is said of an order that was begun, signed or verified.
//! Trusts: the card for who governs. Out of scope: what each order says (the verbs), whether enough signed (`attest`). Protocol section 8.

use super::exit::{Exit, Trouble};
use super::policy::{say, write_new};
use super::show::{note_unless, with};
use crate::card::newest_policy;
use crate::policy::GovernorKey;
use clap::Args;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{ActivateOrder, CustodiansOrder};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::governance::{PolicyLease, PolicyWithdrawal};
use ringwall_wire::ids::SigPublic;
use ringwall_wire::limits::GOVERNORS;
use ringwall_wire::order::ReplaceOrder;
use ringwall_wire::policy::{Approval, Governance, SignedPolicy};
use ringwall_wire::workload::GrantOrder;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Bytes of a file of a few facts and their signatures: 96 a signature, and its frame.
pub(super) const WORD_FILE_BYTES: usize = 96 * GOVERNORS + 1_024;

/// Arguments of `slot sign`, `workload-key sign` and `custody sign`.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// Order
    pub(crate) file: PathBuf,
    /// Governor's key file
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// New file for the order with this signature
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Arguments of `slot verify` and `custody verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Order
    pub(crate) file: PathBuf,
}

/// What governors sign, with the signatures it has.
pub(super) trait Word {
    /// What each of them signs.
    fn signed(&self) -> Vec<u8>;
    /// The bytes of its file.
    fn to_bytes(&self) -> Vec<u8>;
    fn signatures(&self) -> &List<Approval, GOVERNORS>;
    fn signatures_mut(&mut self) -> &mut List<Approval, GOVERNORS>;
}

macro_rules! words {
    ($($word:ident),+) => { $(
        impl Word for $word {
            fn signed(&self) -> Vec<u8> {
                self.signed_words()
            }
            fn to_bytes(&self) -> Vec<u8> {
                self.encode()
            }
            fn signatures(&self) -> &List<Approval, GOVERNORS> {
                &self.signatures
            }
            fn signatures_mut(&mut self) -> &mut List<Approval, GOVERNORS> {
                &mut self.signatures
            }
        }
    )+ };
}

words!(SignedPolicy, PolicyWithdrawal, PolicyLease, ReplaceOrder, GrantOrder, CustodiansOrder, ActivateOrder);

/// Why a signature was not added.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAdded {
    /// It has that governor's.
    #[error("governor {0} signed it already")]
    Already(SigPublic),
    /// There is no room for it.
    #[error("it has as many signatures as a cluster can have governors")]
    Full,
}

/// Adds a governor's signature.
pub(super) fn add(word: &mut dyn Word, key: &GovernorKey) -> Result<(), NotAdded> {
    let public = key.public();
    if word.signatures().iter().any(|approval| approval.key == public) {
        return Err(NotAdded::Already(public));
    }
    let approval = key.sign(&word.signed());
    word.signatures_mut().push(approval).map_err(|_| NotAdded::Full)
}

/// Who governs the cluster, if anybody can; `impossible` is what cannot be done otherwise.
pub(super) fn governed(card: &ClusterCard, impossible: &str) -> Result<Governance, Trouble> {
    let governance = newest_policy(card).governance;
    if governance.threshold == 0 || usize::from(governance.threshold) > governance.keys.len() {
        let words = format!("the cluster's policy names no governors, or fewer than must sign: {impossible}");
        return Err(Trouble::new("RW-C-ORDER-NO-GOVERNORS", words));
    }
    Ok(governance)
}

/// Writes an order nobody signed yet; `next` is the command that signs it.
pub(super) fn begun(
    json: bool,
    out: &Path,
    order: &dyn Word,
    (words, object): (&str, Value),
    (governance, next): (&Governance, &str),
) -> Result<Exit, Trouble> {
    write_new(out, &order.to_bytes())?;
    let shown = out.display().to_string();
    say(json, &format!("{shown}: {words}"), with(object, "written", shown.as_str()))?;
    note_unless(json, &format!("{} of {} governors must sign it: ringwall {next}", governance.threshold, governance.keys.len()));
    Ok(Exit::Done)
}

/// An order that was signed.
pub(super) struct Signed {
    written: String,
    governor: String,
    signatures: usize,
}

/// Adds the signature of one of the cluster's governors to an order, and writes it into a new file.
pub(super) fn sign(card: &ClusterCard, arguments: &Sign, order: &mut dyn Word) -> Result<Signed, Trouble> {
    let key = GovernorKey::read(&arguments.key)?;
    let governor = key.public();
    let refused = |words: String| Trouble::new("RW-C-ORDER-NOT-SIGNED", format!("{}: {words}", arguments.file.display()));
    if !newest_policy(card).governance.keys.contains(&governor) {
        return Err(refused(format!("key {governor} is no governor of this cluster; the order would be refused")));
    }
    add(order, &key).map_err(|no| refused(no.to_string()))?;
    write_new(&arguments.out, &order.to_bytes())?;
    let (written, signatures) = (arguments.out.display().to_string(), order.signatures().len());
    Ok(Signed { written, governor: governor.to_string(), signatures })
}

impl Signed {
    /// Says it; `words` and `object` are what the order says.
    pub(super) fn say(self, json: bool, words: &str, object: Value) -> Result<Exit, Trouble> {
        let Signed { written, governor, signatures } = self;
        let text = format!("{written}: {words}\nsigned by governor {governor}, {signatures} signature(s) in all");
        say(json, &text, with(with(object, "written", written), "governor", governor))
    }
}

/// Says who ordered it.
pub(super) fn ordered(json: bool, words: &str, object: Value, governors: &[SigPublic]) -> Result<Exit, Trouble> {
    let governors: Vec<String> = governors.iter().map(ToString::to_string).collect();
    let mut text = format!("{words}\nis ordered by:");
    governors.iter().for_each(|governor| text.push_str(&format!("\n  governor {governor}")));
    say(json, &text, with(object, "governors", governors))
}
