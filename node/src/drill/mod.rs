//! Drills: a total loss rehearsed on a living cluster, with shares of a key that was made for the drill and opens nothing else.
//!
//! | file | what it decides |
//! |---|---|
//! | `begin.rs` | the shadow: keys, shares and a sealed copy, and the offer that custodians judge |
//! | `rehearse.rs` | the steps of a recovery on the shadow and on this member's own disk; the receipt |
//!
//! Decides: the leader has the drill, one at a time, in memory alone: it ends with its receipt, with its leader, or when its time is over, and nothing of it
//! is left but what is on record. Who answers is judged by the code that judges answers to a recovery ([`crate::recover`]).
//! Trusts: the member that brings a custodian's words for who asked. Out of scope: how often (`consensus`), recovery itself. Protocol section 6.2, "Drill".

mod begin;
mod rehearse;

use crate::clock;
use crate::context::Node;
use crate::custody::asks;
use crate::peers::handshake::refusal;
use crate::recover::disks;
use crate::recover::session::Session;
use crate::to_leader::{Asked, ToLeader};
use ringwall_wire::command::{CommandBody, Denial, Outcome};
use ringwall_wire::custodian::CustodianAnswer;
use ringwall_wire::custody::{CustodyCommand, CustodyFault, RecoveryBlob};
use ringwall_wire::drill::{DrillAnswer, DrillBegun, DrillCall, DrillOffer, DrillOp};
use ringwall_wire::ids::{CustodianId, Digest, Incarnation};
use ringwall_wire::limits::DRILL_LASTS_S;
use ringwall_wire::peer::{PeerAnswer, PeerCall};
use ringwall_wire::receipt::TreePoint;
use ringwall_wire::recovery::{RecoveryFault, ShareSubmission};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

/// How often a drill is looked at when nobody brings anything.
const LOOK: Duration = Duration::from_secs(1);
/// A custodian's question on its way. Evidence is collected for an offer, and whoever asks again is given it.
const LEADER: ToLeader = ToLeader { patience: Duration::from_secs(10), ..asks::LEADER };
/// Longest wait for a drill that is being judged.
const DESK: Duration = Duration::from_secs(2);
/// Folder the state is computed in, in the data folder.
pub(crate) const SCRATCH: &str = "drill-scratch";

/// The drill that is under way in this member, if it leads.
#[derive(Default)]
pub(crate) struct DrillDesk {
    running: Mutex<Option<Running>>,
    /// Woken when a drill can be concluded.
    work: Notify,
}

impl std::fmt::Debug for DrillDesk {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("DrillDesk")
    }
}

/// A drill.
pub(crate) struct Running {
    session: Session,
    offer: DrillOffer,
    blob: RecoveryBlob,
    /// Where the log stood, and the shadow's seal over it.
    copy: (TreePoint, [u8; 32]),
    begun: DrillBegun,
    /// Log index of the entry that began it.
    index: u64,
    since: Instant,
    begun_at_ms: u64,
    answers: BTreeMap<CustodianId, DrillAnswer>,
}

impl Running {
    fn took_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn progress(&self) -> CustodianAnswer {
        CustodianAnswer::Progress(Box::new(self.session.progress()))
    }

    /// Takes a share in, and remembers who gave one or a wrong one.
    fn submit(&mut self, submission: &ShareSubmission, now_s: u64) -> Result<CustodianId, RecoveryFault> {
        let taken = self.session.submit(submission, now_s);
        let (custodian, took_ms) = (submission.custodian, self.took_ms());
        match taken {
            Ok(_) => drop(self.answers.insert(custodian, DrillAnswer::Given(took_ms))),
            // Judged behind the custodian's own signature: it is to blame, and is named.
            Err(fault @ (RecoveryFault::NotSealedHere | RecoveryFault::NotAShare | RecoveryFault::OtherShare)) => {
                self.answers.entry(custodian).or_insert(DrillAnswer::Refused(fault));
            }
            Err(_) => {}
        }
        taken
    }

    fn ends(&self) -> Option<Option<RecoveryFault>> {
        self.ends_after(self.since.elapsed())
    }

    /// Why it ends after so long, if it does: none inside means that there are enough shares.
    fn ends_after(&self, elapsed: Duration) -> Option<Option<RecoveryFault>> {
        if self.session.is_enough() {
            return Some(None);
        }
        if self.session.is_over() {
            return Some(Some(RecoveryFault::TooManyRefused));
        }
        (elapsed >= Duration::from_secs(DRILL_LASTS_S)).then_some(Some(RecoveryFault::Ended))
    }
}

/// Brings a custodian's question to the leader, wherever that is.
pub(crate) async fn bring(node: &Arc<Node>, call: DrillCall) -> Result<CustodianAnswer, Refusal> {
    match LEADER.ask(node, call, |call| PeerCall::Drill(Box::new(call))).await? {
        Asked::Here(call) => lead(node, call).await,
        Asked::Elsewhere(PeerAnswer::Custodian(answer)) => Ok(*answer),
        Asked::Elsewhere(_) => Err(LEADER.unavailable()),
    }
}

/// Answers another member that brings it.
pub(crate) async fn answer(node: &Arc<Node>, from: Incarnation, call: DrillCall) -> PeerAnswer {
    if !node.replica.may_forward(from) {
        return PeerAnswer::Refused(refusal(RefusalCode::NotMember, "not a member that may bring what custodians ask"));
    }
    if node.replica.metrics().leader != Some(node.incarnation) {
        return PeerAnswer::Refused(LEADER.unavailable());
    }
    match lead(node, call).await {
        Ok(answer) => PeerAnswer::Custodian(Box::new(answer)),
        Err(refusal) => PeerAnswer::Refused(refusal),
    }
}

async fn lead(node: &Arc<Node>, call: DrillCall) -> Result<CustodianAnswer, Refusal> {
    let DrillCall { who, op } = call;
    let mut desk = desk(node).await?;
    if matches!((&op, &*desk), (DrillOp::Begin, None)) {
        return begin(node, &mut desk, who).await;
    }
    let Some(running) = &mut *desk else { return Ok(CustodianAnswer::RecoveryFault(RecoveryFault::NoSession)) };
    Ok(match op {
        DrillOp::Begin | DrillOp::Offer => CustodianAnswer::DrillOffer(Box::new(running.offer.clone())),
        DrillOp::Progress => running.progress(),
        DrillOp::Submit(submission) => {
            let taken = running.submit(&submission, node.site.now_s());
            if running.ends().is_some() {
                node.custody.drill.work.notify_one();
            }
            match taken {
                Ok(custodian) => {
                    let (have, need) = running.session.count();
                    info!(%custodian, have, need, "drill: a good share is in");
                    running.progress()
                }
                Err(fault) => {
                    warn!(custodian = %submission.custodian, "drill: refused: {}", fault.words());
                    CustodianAnswer::RecoveryFault(fault)
                }
            }
        }
        DrillOp::Last => CustodianAnswer::Refused(refusal(RefusalCode::Malformed, "how drills ended is on record: ask any member")),
    })
}

/// The desk, unless a drill is being judged on it.
async fn desk(node: &Node) -> Result<MutexGuard<'_, Option<Running>>, Refusal> {
    let busy = || refusal(RefusalCode::Busy, "the drill is being judged; ask for its receipt in a moment");
    timeout(DESK, node.custody.drill.running.lock()).await.map_err(|_| busy())
}

/// DL0: makes the shadow, puts the beginning on record, and has it under way. A record that refuses forgets it.
async fn begin(node: &Arc<Node>, desk: &mut Option<Running>, who: CustodianId) -> Result<CustodianAnswer, Refusal> {
    let view = node.replica.view().map_err(|_| refusal(RefusalCode::Fenced, "this member stopped; say it to another one"))?;
    let (active, now_ms) = (view.custody().active.clone(), node.replica.now_ms());
    let tree = view.tree();
    let ground = begin::Ground { copy: TreePoint { size: tree.size, root: tree.root }, term: view.term(), index: view.applied() };
    drop(view);
    let Some(active) = active else { return Ok(CustodianAnswer::Fault(CustodyFault::NoDealing)) };
    // Before evidence is collected for nothing; the record decides.
    if let Err(fault) = active.may_drill(&who, now_ms) {
        return Ok(CustodianAnswer::Fault(fault));
    }
    let mut running = begin::make(node, &active, &ground, who).await.map_err(|fault| {
        warn!(%fault, "no drill was begun");
        refusal(RefusalCode::Unavailable, "this member could not begin a drill; its log says why")
    })?;
    let command = CommandBody::Custody(Box::new(CustodyCommand::DrillBegun(running.begun)));
    let applied = node.replica.propose(command).await.map_err(|_| LEADER.unavailable())?;
    match applied.outcomes.first() {
        Some(Outcome::Done) => {}
        Some(Outcome::Denied(Denial::Custody(fault))) => return Ok(CustodianAnswer::Fault(*fault)),
        _ => return Err(LEADER.unavailable()),
    }
    running.index = applied.index;
    info!(session = %running.begun.session, asked_by = %who, custody_epoch = %active.custody_epoch(), "drill: custodians are asked for shares of its shadow");
    let offer = Box::new(running.offer.clone());
    *desk = Some(running);
    Ok(CustodianAnswer::DrillOffer(offer))
}

/// Runs until the node ends: concludes a drill that has enough shares, is over, or lost its leader.
pub(crate) async fn run(node: Arc<Node>) {
    if let Err(fault) = disks::remove(&node.site.config.data.join(SCRATCH)) {
        warn!(%fault, "the folder of a drill's scratch state is left; remove it by hand");
    }
    loop {
        tokio::select! {
            () = node.custody.drill.work.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        look(&node).await;
    }
}

async fn look(node: &Arc<Node>) {
    let mut desk = node.custody.drill.running.lock().await;
    let Some(running) = &mut *desk else { return };
    if node.replica.metrics().leader != Some(node.incarnation) {
        warn!(session = %running.begun.session, "drill: this member leads no more; the drill is over and forgotten, begin another one");
        *desk = None;
        return;
    }
    let Some(fault) = running.ends() else { return };
    let paper = rehearse::conclude(node, running, fault).await;
    let failed = paper.as_ref().map(|paper| format!("{:?}", paper.receipt.outcome));
    *desk = None;
    match paper {
        None => warn!("drill: its receipt is larger than it may be: a defect; report it"),
        Some(paper) => {
            let session = paper.receipt.session;
            let command = CommandBody::Custody(Box::new(CustodyCommand::DrillEnded(Box::new(paper))));
            match node.replica.propose(command).await.map(|applied| applied.outcomes.first().copied()) {
                Ok(Some(Outcome::Done)) => info!(%session, outcome = failed, "drill: the receipt is on record"),
                other => warn!(%session, ?other, "drill: the receipt is not on record; begin another one"),
            }
        }
    }
}

/// Now, for the length of steps.
fn now() -> Instant {
    clock::now()
}

/// Stands for a message.
fn digest_of(message: &impl ringwall_wire::codec::Message) -> Digest {
    Digest(message.digest())
}

#[cfg(test)]
mod tests;
