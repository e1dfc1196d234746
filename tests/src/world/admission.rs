//! Admissions in a world: the member that is asked, the leader, the voters, the steward.
//!
//! Decides: nothing of its own. The rules are `node`'s: `agrees`, `join_nonce`, `evidence_digest`, `satisfied`, the signed verdicts and
//! proofs are called there; the order of steps is that of `node/src/join/leader.rs`, `endorse.rs` and `steward.rs`, over this world's
//! sessions. Not run here: those functions of the three files that take a `Node`, which holds a socket.
//! Trusts: nothing. Out of scope: the joiner (`process`). Protocol section 4.3.

use crate::world::flaws::Flaw;
use crate::world::pipes::{Door, Pipe};
use crate::world::process::Process;
use crate::world::sessions::{self, Fault, Greeted, Own, refusal};
use crate::world::site::Wanted;
use ringwall_consensus::defects::Defect;
use ringwall_consensus::{Class, Granted, MemberRow, MemberStanding, MembershipError, Metrics, ProposeError, Transport, member_of};
use ringwall_node::join::endorse::{agrees, evidence_digest, join_nonce, prove_catch_up, verify_catch_up, verify_endorse};
use ringwall_node::join::leader::{live, satisfied};
use ringwall_wire::admission::{
    AdmitCommit, AdmitPropose, Endorse, ForwardedEvidence, IncarnationCert, JoinAnswer, JoinReply, JoinRequest, KeyGrant,
};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::command::{CommandBody, Denial, Outcome};
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{Digest, Incarnation, Nonce, Signature};
use ringwall_wire::peer::{EndorseCall, NamedMember, PeerAnswer, PeerCall};
use ringwall_wire::session::{AttestResp, PeerPurpose, RefusalCode};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

const PROBE: Duration = Duration::from_millis(1_500);
const PROBE_REST: Duration = Duration::from_millis(250);
const PROBE_AGAIN: Duration = Duration::from_millis(100);
const ENDORSE: Duration = Duration::from_secs(5);
const TURN: Duration = Duration::from_secs(5);
const APPLY_WAIT: Duration = Duration::from_secs(3);
const PROOF: Duration = Duration::from_secs(4);
/// Milliseconds between two looks of the steward.
const LOOK_MS: u64 = 500;
/// Milliseconds between two looks while there is work.
const LOOK_SOON_MS: u64 = 20;
/// Entries a learner may lag when it is made a voter.
const LAG: u64 = 64;

/// Serves a joiner.
pub async fn accept(process: &Arc<Process>, mut pipe: Pipe, greeted: Greeted) {
    let site = &process.site;
    let own = Own { site, secrets: &process.secrets, incarnation: process.incarnation, prover: None };
    let opening = site.nonce();
    let opened = sessions::answer(own, &mut pipe, greeted, join_nonce(&opening), |_| true).await;
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(fault) => return site.common.trace.note(format_args!("{} refused a joiner: {fault:?}", process.incarnation)),
    };
    let Some(message) = sessions::receive(&mut opened.opener, &mut pipe, 3_000).await else { return };
    let Ok(request) = JoinRequest::decode(&message) else { return };
    let slot = request.cert.slot;
    let peer = opened.session.peer().expect("an attested session has a peer");
    let answer = match agrees(&request.cert, peer) {
        Err(_) => no(RefusalCode::EvidenceRefused),
        Ok(()) => {
            let asking = Asking { handshake: *opened.session.handshake(), opening, evidence: opened.evidence.encode() };
            admit(process, request.cert, &asking).await.unwrap_or_else(|answer| answer)
        }
    };
    let said = match &answer {
        JoinAnswer::Granted(grant) => format!("granted {}", grant.incarnation),
        JoinAnswer::Elsewhere(address) => format!("sent on to {}", &**address),
        JoinAnswer::Refused(refusal) => format!("refused {:?} {}", refusal.code, &*refusal.detail),
    };
    site.common.trace.note(format_args!("{}: a joiner for slot {} is {said}", process.incarnation, slot.0));
    sessions::tell(&mut opened.sealer, &pipe, &JoinReply { answer }.encode());
    // The joiner closes; nobody waits for it for ever.
    let _ = tokio::time::timeout(Duration::from_millis(500), pipe.recv()).await;
}

struct Asking {
    handshake: Digest,
    opening: Nonce,
    evidence: Vec<u8>,
}

fn no(code: RefusalCode) -> JoinAnswer {
    JoinAnswer::Refused(refusal(code, "see the code"))
}

fn unproposed(fault: ProposeError) -> JoinAnswer {
    match fault {
        ProposeError::NotLeader { leader: Some((_, member)) } => JoinAnswer::Elsewhere(member.peer_address),
        ProposeError::Fenced(_) => no(RefusalCode::Fenced),
        _ => no(RefusalCode::Unavailable),
    }
}

fn denied(denial: Denial) -> JoinAnswer {
    JoinAnswer::Refused(refusal(RefusalCode::Unavailable, &format!("{denial:?}")))
}

async fn admit(process: &Arc<Process>, cert: IncarnationCert, asking: &Asking) -> Result<JoinAnswer, JoinAnswer> {
    let metrics = process.replica.metrics();
    if metrics.leader != Some(process.incarnation) {
        return Err(metrics
            .led_by()
            .map_or(no(RefusalCode::Unavailable), |leader| JoinAnswer::Elsewhere(leader.member.peer_address.clone())));
    }
    let turn = tokio::time::timeout(TURN, process.admitting.lock()).await;
    let _turn = turn.map_err(|_| no(RefusalCode::Busy))?;
    let incumbent = {
        let view = process.replica.view().map_err(|_| no(RefusalCode::Fenced))?;
        let mut live = view.members().into_iter().filter(|row| row.standing == MemberStanding::Live);
        live.rfind(|row| row.cert.slot == cert.slot)
    };
    let incumbent = incumbent.filter(|_| !process.site.common.flaws.has(Flaw::Rule(Defect::NoSlotRule)));
    if let Some(row) = &incumbent
        && alive(process, row).await
    {
        return Err(no(RefusalCode::SlotOccupied));
    }
    let replaces = incumbent.map_or(Incarnation(0), |row| row.incarnation);
    let propose = AdmitPropose { cert, evidence: evidence_digest(&asking.evidence), nonce: asking.opening, replaces, order: None };
    process.admission_begun.notify_waiters();
    let (admit_index, outcome) = decide(process, CommandBody::AdmitPropose(Box::new(propose.clone()))).await?;
    if let Outcome::Denied(denial) = outcome {
        return Err(denied(denial));
    }
    let flaws = &process.site.common.flaws;
    if flaws.has(Flaw::EarlyGrant) {
        return Ok(grant(process, Incarnation::new(process.site.common.cluster.epoch, admit_index)));
    }
    if flaws.has(Flaw::ForgedVerdicts) {
        forged(process, admit_index).await?;
    } else if !flaws.has(Flaw::NoSecondOpinion) {
        endorsements(process, admit_index, &propose, asking).await?;
    }
    let (_, outcome) = decide(process, CommandBody::AdmitCommit(AdmitCommit { admit_index })).await?;
    let incarnation = match outcome {
        Outcome::Admitted(incarnation) => incarnation,
        Outcome::Denied(denial) => return Err(denied(denial)),
        _ => return Err(no(RefusalCode::Unavailable)),
    };
    process.steward.notify_one();
    Ok(grant(process, incarnation))
}

fn grant(process: &Process, incarnation: Incarnation) -> JoinAnswer {
    let Granted { members, voting, admission } = process.replica.grant(incarnation);
    JoinAnswer::Granted(Box::new(KeyGrant {
        incarnation,
        epoch: process.site.common.cluster.epoch,
        master_keys: List::new(process.keyring.granted()).expect("few keys"),
        members: List::new(members).expect("a slot has at most one live incarnation"),
        voting: List::new(voting).expect("each slot once"),
        admission,
    }))
}

/// What a leader that speaks for others would write.
async fn forged(process: &Process, admit_index: u64) -> Result<(), JoinAnswer> {
    for voter in process.replica.metrics().voters {
        let verdict = Endorse { admit_index, by: voter.incarnation, accepts: true, signature: Signature([7; 64]) };
        decide(process, CommandBody::Endorse(verdict)).await?;
    }
    Ok(())
}

async fn decide(process: &Process, body: CommandBody) -> Result<(u64, Outcome), JoinAnswer> {
    let applied = process.replica.propose(body).await.map_err(unproposed)?;
    let outcome = applied.outcomes.first().copied().ok_or_else(|| no(RefusalCode::Unavailable))?;
    Ok((applied.index, outcome))
}

/// Whether the incumbent of a slot still answers.
async fn alive(process: &Arc<Process>, row: &MemberRow) -> bool {
    if row.incarnation == process.incarnation {
        return true;
    }
    if process.site.common.flaws.has(Flaw::NoProbe) {
        return false;
    }
    if process.gone.lock().unwrap_or_else(PoisonError::into_inner).contains(&row.incarnation) {
        return false;
    }
    let answers = answers(process, row);
    tokio::pin!(answers);
    tokio::select! {
        biased;
        () = &mut answers => true,
        () = replaced(process, &row.cert) => tokio::time::timeout(PROBE_REST, answers).await.is_ok(),
        () = tokio::time::sleep(PROBE) => false,
    }
}

async fn answers(process: &Arc<Process>, row: &MemberRow) {
    let member = member_of(&row.cert);
    while process.peers.call(row.incarnation, &member, Class::Control, PeerCall::Alive, PROBE).await.is_err() {
        tokio::time::sleep(PROBE_AGAIN).await;
    }
}

/// Returns when another process was found at the member's address.
async fn replaced(process: &Arc<Process>, cert: &IncarnationCert) {
    let site = &process.site;
    let other = match site.common.wires.dial(site.place, site.process, &cert.peer_address, Door::Peers).await {
        None => false,
        Some(mut pipe) => {
            let prover = process.replica.prover();
            let own = Own { site, secrets: &process.secrets, incarnation: process.incarnation, prover: Some(&prover) };
            match sessions::dial(own, &mut pipe, PeerPurpose::Member, None).await {
                Ok(opened) => opened.session.peer().is_none_or(|peer| peer.keys().noise != cert.keys.noise),
                Err(Fault::Refused(code)) => code == RefusalCode::NotMember,
                Err(_) => false,
            }
        }
    };
    if !other {
        std::future::pending::<()>().await;
    }
}

async fn endorsements(process: &Arc<Process>, admit_index: u64, propose: &AdmitPropose, asking: &Asking) -> Result<(), JoinAnswer> {
    let evidence = ForwardedEvidence::new(asking.evidence.clone()).map_err(|_| no(RefusalCode::TooLarge))?;
    let voters = process.replica.metrics().voters;
    let voters: Vec<NamedMember> = voters.into_iter().filter(|voter| voter.incarnation != propose.replaces).collect();
    let live = live(&process.replica.view().map_err(|_| no(RefusalCode::Fenced))?.members());
    let nonce = join_nonce(&asking.opening);
    let others = voters.iter().filter(|voter| voter.incarnation != process.incarnation);
    let asked = others.map(|voter| {
        let call = EndorseCall { admit_index, handshake: asking.handshake, nonce, evidence: evidence.clone() };
        let answer = process.peers.call(voter.incarnation, &voter.member, Class::Control, PeerCall::Endorse(call), ENDORSE);
        let cluster = process.site.common.cluster.id;
        async move {
            match answer.await {
                Ok(PeerAnswer::Endorsed(endorse))
                    if endorse.by == voter.incarnation && verify_endorse(&endorse, &cluster, propose, &voter.member.sig) =>
                {
                    Some(endorse)
                }
                _ => None,
            }
        }
    });
    let asked: Vec<_> = asked.collect();
    let mut verdicts = vec![endorse(process, admit_index, propose, true)];
    verdicts.extend(futures_util::future::join_all(asked).await.into_iter().flatten());
    verdicts.retain(|verdict| verdict.accepts || live.contains(&verdict.by));
    if verdicts.iter().any(|verdict| !verdict.accepts) {
        for verdict in verdicts.into_iter().filter(|verdict| !verdict.accepts) {
            decide(process, CommandBody::Endorse(verdict)).await?;
        }
        return Err(denied(Denial::Rejected));
    }
    if !satisfied(process.site.policies.now().policy().endorse, &voters, &live, &verdicts, propose.cert.vendor) {
        return Err(denied(Denial::NotEndorsed));
    }
    for verdict in verdicts {
        if let (_, Outcome::Denied(denial)) = decide(process, CommandBody::Endorse(verdict)).await? {
            return Err(denied(denial));
        }
    }
    Ok(())
}

fn endorse(process: &Process, admit_index: u64, propose: &AdmitPropose, accepts: bool) -> Endorse {
    let words = Endorse::signed_bytes(&process.site.common.cluster.id, admit_index, propose, accepts);
    Endorse { admit_index, by: process.incarnation, accepts, signature: process.secrets.sign(&words) }
}

/// Answers a leader that asks for a second opinion.
pub async fn endorse_for(process: &Arc<Process>, call: EndorseCall) -> PeerAnswer {
    let applied = tokio::time::timeout(APPLY_WAIT, process.replica.wait_applied(call.admit_index)).await;
    let proposal = process.replica.view().ok().and_then(|view| view.proposal(call.admit_index));
    let (Ok(Ok(())), Some(proposal)) = (applied, proposal) else {
        return PeerAnswer::Refused(refusal(RefusalCode::Unavailable, "the proposal is not applied here; ask again"));
    };
    // The proposal is judged by the policy the record has in force where it stands in it.
    process.catch_up();
    let accepts = second_opinion(process, &call, &proposal.propose);
    PeerAnswer::Endorsed(endorse(process, call.admit_index, &proposal.propose, accepts))
}

fn second_opinion(process: &Process, call: &EndorseCall, propose: &AdmitPropose) -> bool {
    if evidence_digest(&call.evidence) != propose.evidence || call.nonce != join_nonce(&propose.nonce) {
        return false;
    }
    let Ok(evidence) = AttestResp::decode(&call.evidence) else { return false };
    let noise = &propose.cert.keys.noise;
    let wanted = Wanted { role: Role::JoinInit, handshake: &call.handshake, nonce: &call.nonce, noise };
    process.site.judge(&evidence, &wanted).is_ok_and(|peer| agrees(&propose.cert, &peer).is_ok())
}

/// Shows that the state here is the one every replica has at `index`.
pub async fn caught_up(process: &Arc<Process>, index: u64) -> PeerAnswer {
    let applied = tokio::time::timeout(APPLY_WAIT, process.replica.wait_applied(index)).await;
    let digest = match applied {
        Ok(Ok(())) => process.replica.state_digest_at(index).await.ok().flatten(),
        _ => None,
    };
    let Some(digest) = digest else {
        return PeerAnswer::Refused(refusal(RefusalCode::Unavailable, "that index is not applied here, or its state is not remembered"));
    };
    process.site.common.states.seen(&process.site.common.watch, process.incarnation, index, digest);
    let cluster = &process.site.common.cluster.id;
    PeerAnswer::CatchUp(prove_catch_up(&process.secrets, cluster, process.incarnation, index, digest))
}

/// What a leader does until the membership is what the record of admissions says; for ever.
pub async fn steward(process: Arc<Process>) {
    loop {
        let pause = if round(&process).await { LOOK_SOON_MS } else { LOOK_MS };
        tokio::select! {
            biased;
            () = process.steward.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
        }
    }
}

async fn round(process: &Arc<Process>) -> bool {
    let metrics = process.replica.metrics();
    let Ok(view) = process.replica.view() else { return false };
    let rows = view.members();
    drop(view);
    prune(process, &metrics, &rows);
    if metrics.leader != Some(process.incarnation) {
        return false;
    }
    let mut soon = false;
    for row in rows.iter().filter(|row| row.standing == MemberStanding::Live) {
        let (voter, learner) = place(&metrics, row.incarnation);
        if voter {
            continue;
        }
        soon = true;
        let outcome = match learner {
            false => process.replica.admit_learner(row.incarnation, member_of(&row.cert)).await,
            true => promote(process, &metrics, row).await,
        };
        if outcome.is_ok() {
            let what = if learner { "votes" } else { "learns" };
            process.site.common.trace.note(format_args!("{} {what}", row.incarnation));
        }
    }
    for row in rows.iter().filter(|row| row.standing != MemberStanding::Live) {
        soon |= dismiss(process, &metrics, &rows, row).await;
    }
    soon
}

fn place(metrics: &Metrics, incarnation: Incarnation) -> (bool, bool) {
    let named = |members: &[NamedMember]| members.iter().any(|named| named.incarnation == incarnation);
    (named(&metrics.voters), named(&metrics.learners))
}

async fn promote(process: &Arc<Process>, metrics: &Metrics, row: &MemberRow) -> Result<(), MembershipError> {
    let matched = metrics.replication.iter().find(|(incarnation, _)| *incarnation == row.incarnation).map_or(0, |(_, index)| *index);
    let lag = metrics.last_index.saturating_sub(matched);
    if matched == 0 || lag > LAG {
        return Err(MembershipError::Lagging { incarnation: row.incarnation, lag, max: LAG });
    }
    let applied = process.replica.propose(CommandBody::Mark).await.map_err(|_| MembershipError::Transient)?;
    let call = PeerCall::CatchUp(applied.index);
    let answer = process.peers.call(row.incarnation, &member_of(&row.cert), Class::Control, call, PROOF);
    let (ours, answer) = tokio::join!(biased; process.replica.state_digest_at(applied.index), answer);
    let ours = ours.ok().flatten().ok_or(MembershipError::Transient)?;
    process.site.common.states.seen(&process.site.common.watch, process.incarnation, applied.index, ours);
    let Ok(PeerAnswer::CatchUp(proof)) = answer else { return Err(MembershipError::Transient) };
    let genuine = proof.incarnation == row.incarnation
        && proof.applied_index == applied.index
        && verify_catch_up(&proof, &process.site.common.cluster.id, &row.cert.keys.sig);
    if !genuine || proof.state_digest != ours {
        return Err(MembershipError::NotAdmitted(row.incarnation));
    }
    let old = metrics.voters.iter().find(|voter| voter.member.slot == row.cert.slot).map(|voter| voter.incarnation);
    process.replica.promote(row.incarnation, old).await
}

async fn dismiss(process: &Arc<Process>, metrics: &Metrics, rows: &[MemberRow], row: &MemberRow) -> bool {
    let (voter, learner) = place(metrics, row.incarnation);
    if voter {
        let live = |other: &&MemberRow| other.standing == MemberStanding::Live && other.cert.slot == row.cert.slot;
        if !rows.iter().find(live).is_some_and(|successor| place(metrics, successor.incarnation).0) {
            return false;
        }
    }
    if voter || learner {
        // It is tried again at the next look.
        let _ = process.replica.remove(row.incarnation).await;
        return true;
    }
    if row.standing == MemberStanding::Superseded {
        // It is tried again at the next look.
        let _ = process.replica.propose(CommandBody::Retire(row.incarnation)).await;
        return true;
    }
    false
}

fn prune(process: &Process, metrics: &Metrics, rows: &[MemberRow]) {
    let mut members: Vec<Incarnation> = metrics.voters.iter().chain(&metrics.learners).map(|named| named.incarnation).collect();
    members.extend(rows.iter().filter(|row| row.standing == MemberStanding::Live).map(|row| row.incarnation));
    if !members.is_empty() {
        process.peers.keep_only(&members);
    }
}
