//! The steps of a recovery, on a drill's shadow and on this member's own disk; and the receipt (DL3, DL4).
//!
//! Decides: shares are combined and open the shadow, which vouches for the copy; the disk this member writes is read by the very functions a recovery
//! reads disks with, seals judged by the live keys, state computed anew; a log is chosen, held against all custodians have seen, against the copy,
//! and against the dealing in force. The first step that fails is the outcome. The claim carries the shadow's MAC: it is no claim in a recovery.
//! Trusts: this member's ring. Out of scope: other members' disks, taking anything up. Protocol section 6.2, "Drill".

use super::{Running, SCRATCH, digest_of, now};
use crate::context::Node;
use crate::folders;
use crate::recover::disks::{self, Evidence};
use crate::recover::heads;
use ringwall_consensus::recovery::anchors::Recovered;
use ringwall_consensus::recovery::{Chosen, Disagreement, Known, NotChosen, OwnedSealJudge, SeenBy, choose, compare};
use ringwall_keys::Keyring;
use ringwall_wire::bounded::List;
use ringwall_wire::custodian::RecoveryStep;
use ringwall_wire::drill::{
    DrillAnswer, DrillCompared, DrillLap, DrillOutcome, DrillPaper, DrillReceipt, DrillStep, DrillWord, shadow_copy,
};
use ringwall_wire::ids::{CustodianId, Signature};
use ringwall_wire::receipt::TreePoint;
use ringwall_wire::recovery::{AuditWhat, RecoveryFault};
use ringwall_wire::secret::wash_stack;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::warn;

/// Longest time for one reading of the disk.
const READ: Duration = Duration::from_secs(120);
/// Readings that are tried: a log that goes on while it is read can look torn in the middle, and a snapshot can go away.
const TRIES: usize = 3;

/// Times of the steps that were taken.
struct Laps {
    since: Instant,
    taken: Vec<DrillLap>,
}

impl Laps {
    fn lap(&mut self, step: DrillStep) {
        let took_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.taken.push(DrillLap { step, took_ms });
        self.since = now();
    }
}

/// Takes the steps, unless `fault` says why not, and signs how it went. None if the receipt does not fit.
pub(super) async fn conclude(node: &Arc<Node>, running: &mut Running, fault: Option<RecoveryFault>) -> Option<DrillPaper> {
    let mut laps = Laps { since: running.since, taken: Vec::new() };
    let outcome = match fault {
        Some(fault) => Err(fault),
        None => {
            laps.lap(DrillStep::Shares);
            steps(node, running, &mut laps).await
        }
    };
    running.session.forget();
    if let Err(fault) = disks::remove(&node.site.config.data.join(SCRATCH)) {
        warn!(%fault, "the folder of a drill's scratch state is left; remove it by hand");
    }
    let now_s = node.site.now_s();
    let outcome = match outcome {
        Ok(compared) => {
            running.session.reach(RecoveryStep::Drilled);
            running.session.audit.note(now_s, AuditWhat::Drilled);
            DrillOutcome::Passed(compared)
        }
        Err(fault) => {
            warn!("drill: it did not end well: {}", fault.words());
            running.session.end(now_s, fault);
            DrillOutcome::Failed(fault)
        }
    };
    let receipt = receipt(node, running, laps.taken, outcome)?;
    Some(DrillPaper { receipt, offer: running.offer.signed.clone() })
}

async fn steps(node: &Arc<Node>, running: &mut Running, laps: &mut Laps) -> Result<DrillCompared, RecoveryFault> {
    let ring = opened(node, running)?;
    laps.lap(DrillStep::Opened);
    let evidence = read(node, running, &ring).await?;
    laps.lap(DrillStep::Read);
    let compared = held_against(node, running, &evidence)?;
    laps.lap(DrillStep::Compared);
    Ok(compared)
}

/// Combines the shares; gives the shadow's keys once they vouched for the copy.
fn opened(node: &Node, running: &mut Running) -> Result<Keyring, RecoveryFault> {
    let opened = running.session.open(std::slice::from_ref(&running.blob), node.site.now_s());
    wash_stack();
    let ring = opened.map_err(|fault| fault.0)?;
    running.session.forget();
    let (copy, seal) = &running.copy;
    match ring.has_sealed(ring.newest(), &shadow_copy(ring.cluster_id(), copy), seal) {
        true => Ok(ring),
        false => Err(RecoveryFault::BadBlob),
    }
}

/// Reads this member's own disk, as it is now: what a power cut at this moment would leave.
async fn read(node: &Arc<Node>, running: &Running, shadow: &Keyring) -> Result<Evidence, RecoveryFault> {
    let (site, incarnation) = (&node.site, node.incarnation);
    let folder = folders::of(&site.config.data, incarnation);
    let judge: OwnedSealJudge = disks::judge_of((*node.keyring.now()).clone());
    for number in 1..=TRIES {
        let scratch = site.config.data.join(SCRATCH).join(number.to_string());
        let wanted = (running.begun.session, shadow, &judge);
        match timeout(READ, disks::read(site, &node.secrets, wanted, (folder.clone(), incarnation), &scratch)).await {
            Ok(Ok(evidence)) => return Ok(evidence),
            Ok(Err(refused)) => warn!(number, why = %refused.why, "drill: this member's own disk is no claim"),
            Err(_) => {
                warn!(seconds = READ.as_secs(), "drill: reading this member's own disk took too long");
                return Err(RecoveryFault::BadClaim);
            }
        }
    }
    Err(RecoveryFault::BadClaim)
}

/// DR4 and DR5 over the one claim there is.
fn held_against(node: &Node, running: &mut Running, evidence: &Evidence) -> Result<DrillCompared, RecoveryFault> {
    let now_s = node.site.now_s();
    let claims = [evidence.claim.clone()];
    running.session.audit.note(now_s, AuditWhat::Claimed(digest_of(&evidence.claim)));
    let chosen: Chosen<'_> = choose(&claims).map_err(|fault| match fault {
        NotChosen::NoClaims => RecoveryFault::TooFewClaims,
        NotChosen::Forked { .. } => RecoveryFault::Fork,
    })?;
    running.session.audit.note(now_s, AuditWhat::Chosen(chosen.tree()));
    let found = &evidence.found;
    let mut known = seen_by_custodians(node, running);
    let anchors = u8::try_from(known.len()).unwrap_or(u8::MAX);
    known.extend(disks::known(evidence).map_err(|_| RecoveryFault::BadClaim)?);
    if running.session.words().any(|(_, word)| word.last_epoch > found.epoch) {
        return Err(RecoveryFault::OldEpoch);
    }
    let log = Recovered { epoch: found.epoch, size: found.tree.size };
    let disagreements = compare(log, |size| found.root_at(size), &known).map_err(|_| RecoveryFault::BadClaim)?;
    disagreements.iter().for_each(|what| warn!("drill: {what}"));
    if !disagreements.is_empty() {
        let rollback = disagreements.iter().any(Disagreement::is_loss);
        return Err(if rollback { RecoveryFault::Rollback } else { RecoveryFault::Fork });
    }
    let copy = running.copy.0;
    match found.root_at(copy.size).map_err(|_| RecoveryFault::BadClaim)? {
        Some(root) if root == copy.root => {}
        Some(_) => return Err(RecoveryFault::Fork),
        None => return Err(RecoveryFault::Rollback),
    }
    // The state, not the log alone: what it says of custody must be what the drill began from.
    if found.view().custody().active.as_ref().map(|active| active.hash) != Some(running.begun.active) {
        return Err(RecoveryFault::OtherManifest);
    }
    Ok(DrillCompared {
        disk: evidence.claim.incarnation,
        claim: digest_of(&evidence.claim),
        copy,
        found: TreePoint { size: found.tree.size, root: found.tree.root },
        voters: chosen.voters,
        unread: chosen.missing,
        anchors,
    })
}

/// Signed heads of the custodians that answered; one that does not hold is left aside, as in a recovery.
fn seen_by_custodians(node: &Node, running: &Running) -> Vec<Known> {
    let shown = running.session.words().filter_map(|(id, word)| Some((SeenBy::Custodian(*id), word.anchor.as_ref()?)));
    shown
        .filter_map(|(by, anchor)| {
            heads::judge(&node.site, by, anchor).inspect_err(|fault| warn!(%by, fault, "drill: a signed head does not hold")).ok()
        })
        .collect()
}

fn receipt(node: &Node, running: &Running, laps: Vec<DrillLap>, outcome: DrillOutcome) -> Option<DrillReceipt> {
    let offer = &running.offer.signed.offer;
    let word =
        |custodian: CustodianId| DrillWord { custodian, answer: running.answers.get(&custodian).copied().unwrap_or(DrillAnswer::Silent) };
    let custodians = running.session.manifest().members.iter().map(|member| word(member.id())).collect();
    let mut receipt = DrillReceipt {
        cluster_id: offer.cluster_id,
        epoch: offer.epoch,
        custody_epoch: offer.custody_epoch,
        active: running.begun.active,
        threshold: running.session.manifest().threshold,
        session: offer.session,
        offer: running.begun.offer,
        by: node.incarnation,
        index: running.index,
        begun_at_ms: running.begun_at_ms,
        ended_at_ms: (node.site.clock)(),
        custodians: List::new(custodians).ok()?,
        laps: List::new(laps).ok()?,
        outcome,
        audit: running.session.audit.last(),
        signature: Signature([0; 64]),
    };
    receipt.signature = node.secrets.sign(&receipt.words());
    Some(receipt)
}
