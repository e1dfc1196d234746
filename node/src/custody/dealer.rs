//! The leader's part in custody: shares are dealt, dealings activated or dropped, the master key rotated.
//!
//! Decides: one step at a time, each from the record alone. The recovery key exists in this process while it is split and sealed, and nowhere afterwards;
//! what a later leader needs to activate the dealing is wrapped in the record. The evidence of the dealer is bound to the manifest, and judged here
//! before anything is proposed: what custodians would refuse is not dealt.
//! Trusts: the record, `ringwall_keys::custody` for the shares. Out of scope: what is due (`schedule`), what custodians say (`asks`). Protocol section 6.1.

use crate::attesting::{self, Claim, Wanted};
use crate::context::Node;
use crate::custody::rotate::{self, NotRotated};
use crate::custody::schedule::{Due, Seen, Why};
use ringwall_attest::{CollectError, SessionError};
use ringwall_consensus::{Custody, CustodyTerms, Held, KeyRow, View};
use ringwall_keys::HedgedIvs;
use ringwall_keys::custody::{DealError, DealPlan, Dealt, deal};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::CommandBody;
use ringwall_wire::custody::{Activate, ActivateOrder, CustodyCommand, CustodyManifest, Dealing, SignedManifest};
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{CustodyEpoch, Digest};
use ringwall_wire::session::{AttestMode, SavedExchange};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How often the record is looked at when nothing calls for it.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after a step that failed: quotes are throttled, and members may be away for a while.
const AGAIN: Duration = Duration::from_secs(5);

/// Why nothing was dealt.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDealt {
    /// The shares.
    #[error(transparent)]
    Shares(#[from] DealError),
    /// The TEE gives no evidence.
    #[error("this machine gives no evidence of the dealing: {0}")]
    NoEvidence(#[from] CollectError),
    /// Custodians would refuse it.
    #[error("the evidence of the dealing is refused by this node's own verifier: {0}")]
    EvidenceRefused(#[from] SessionError),
    /// The evidence is larger than what is kept of it.
    #[error("the evidence of the dealing is larger than an exchange may be")]
    TooLarge,
    /// The group, or the keys.
    #[error(transparent)]
    NotApplied(#[from] NotRotated),
}

/// Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        let pause = match step(&node).await {
            Ok(()) => LOOK,
            Err(fault) => {
                warn!(%fault, "custody: tried again soon");
                AGAIN
            }
        };
        tokio::select! {
            () = node.custody.work.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One look, and what it says is due.
async fn step(node: &Arc<Node>) -> Result<(), NotDealt> {
    if node.replica.metrics().leader != Some(node.incarnation) {
        return Ok(());
    }
    let _turn = node.custody.turn.lock().await;
    let view = node.replica.view().map_err(|_| NotRotated::Stopped)?;
    if view.epoch().is_none() {
        return Ok(());
    }
    let (custody, terms) = (view.custody(), terms(node, &view));
    let now_ms = node.replica.now_ms();
    let seen = Seen { custody: &custody, terms: terms.as_deref(), epoch: view.epoch(), rotated: view.rotated(), now_ms };
    let due = node.site.config.custody.due(&seen);
    let rows = view.key_rows();
    drop(view);
    match (due, terms.as_deref(), &custody.waiting) {
        (Due::Drop, _, Some(waiting)) => drop_waiting(node, waiting).await,
        (Due::Activate, _, Some(waiting)) => activate(node, waiting, None).await,
        (Due::Deal(why), Some(terms), _) => deal_now(node, &custody, terms, &rows, why).await,
        (Due::Rotate, ..) => rotate::rotate(node).await.map(|_| ()).map_err(NotDealt::from),
        _ => Ok(()),
    }
}

/// Who has to hold shares as of a view.
pub(crate) fn terms(node: &Node, view: &View) -> Option<Arc<CustodyTerms>> {
    let changed = view.custody().custodians.clone();
    changed.or_else(|| CustodyTerms::of(&node.site.genesis.template).map(Arc::new))
}

async fn drop_waiting(node: &Node, waiting: &Held) -> Result<(), NotDealt> {
    rotate::propose(node, CommandBody::Custody(Box::new(CustodyCommand::Abort(waiting.hash)))).await?;
    warn!(custody_epoch = %waiting.custody_epoch(), "a dealing that waited was dropped; the one before it stays good");
    Ok(())
}

/// Makes the dealing that waits the active one, with a new master key. The caller has the turn.
pub(crate) async fn activate(node: &Arc<Node>, waiting: &Held, order: Option<ActivateOrder>) -> Result<(), NotDealt> {
    let rotate = rotate::prepare(node, Some(waiting)).await?;
    let key_epoch = rotate.generation.key_epoch;
    let activate = Activate { manifest: waiting.hash, order, rotate };
    rotate::propose(node, CommandBody::Custody(Box::new(CustodyCommand::Activate(Box::new(activate))))).await?;
    info!(custody_epoch = %waiting.custody_epoch(), %key_epoch, "shares are active; the master key was rotated with them");
    node.custody.wrapping.notify_one();
    Ok(())
}

async fn deal_now(node: &Arc<Node>, custody: &Custody, terms: &CustodyTerms, rows: &[KeyRow], why: Why) -> Result<(), NotDealt> {
    let dealt = {
        let mut ivs = HedgedIvs::new((node.site.entropy)(), node.incarnation);
        let ring = rotate::live_ring(&node.keyring.now(), rows);
        deal(&ring, &plan(node, custody, terms)?, &mut *(node.site.entropy)(), &mut ivs)?
    };
    let manifest = &dealt.manifest;
    let exchange = vouched(node, manifest).await?;
    let dealing = assemble(node, dealt, &exchange)?;
    let custody_epoch = dealing.manifest.manifest.custody_epoch;
    rotate::propose(node, CommandBody::Custody(Box::new(CustodyCommand::Deal(Box::new(dealing))))).await?;
    info!(%custody_epoch, custodians = terms.custodians.len(), threshold = terms.threshold, ?why, "shares are dealt and wait for acknowledgements");
    Ok(())
}

fn plan<'a>(node: &Node, custody: &Custody, terms: &'a CustodyTerms) -> Result<DealPlan<'a>, NotRotated> {
    let in_force = node.site.policies.now();
    let custody_epoch = CustodyEpoch(custody.newest.0.checked_add(1).ok_or(NotRotated::UsedUp)?);
    Ok(DealPlan {
        epoch: node.site.epoch(),
        custody_epoch,
        threshold: terms.threshold,
        custodians: &terms.custodians,
        previous: custody.active.as_ref().map_or(Digest([0; 32]), |active| active.hash),
        policy: in_force.digest(),
        policy_version: in_force.policy().version,
        dealer: node.incarnation,
        dealer_sig: node.secrets.public().sig,
    })
}

/// The evidence that this TEE made this manifest, as custodians will judge it.
async fn vouched(node: &Arc<Node>, manifest: &CustodyManifest) -> Result<SavedExchange, NotDealt> {
    let (handshake, nonce) = manifest.opening();
    let keys = node.secrets.public().clone();
    let noise = keys.noise;
    let claim = Claim { role: Role::Dealing, incarnation: node.incarnation, keys, handshake, nonce };
    let answer = attesting::answer(&node.site, claim).await?;
    let encoded = Blob::new(answer.encode()).map_err(|_| NotDealt::TooLarge)?;
    let wanted = Wanted { role: Role::Dealing, handshake, nonce, noise };
    // The verdict opens nothing: it only says that nobody else would refuse.
    let _accepted = attesting::judge(&node.site, answer, wanted).await?;
    Ok(SavedExchange {
        cluster_id: node.site.cluster_id,
        min_policy_version: node.site.policy().version,
        handshake,
        nonce,
        noise,
        mode: AttestMode::Single,
        at_s: node.site.now_s(),
        answer: encoded,
    })
}

fn assemble(node: &Node, dealt: Dealt, exchange: &SavedExchange) -> Result<Dealing, NotDealt> {
    let Dealt { manifest, envelopes, keys } = dealt;
    let signature = node.secrets.sign(&manifest.words());
    let exchange = Blob::new(exchange.encode()).map_err(|_| NotDealt::TooLarge)?;
    Ok(Dealing { manifest: SignedManifest { manifest, signature }, envelopes, keys, exchange })
}
