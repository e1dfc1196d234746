//! The leader's side of an admission: from a joiner's request to its key grant.
//!
//! Decides: a request is admitted when its certificate says what was attested, its slot is free, the slot's incumbent does not answer or the
//! governors ordered it away (`ordered`), and the policy's endorsers accept: `min_endorsers` voters, of which one runs on another vendor's
//! CPU where there is such a voter; with fewer voters than that (founding, the second member) all of them. The incumbent that is replaced
//! does not count, and one that was superseded before is not waited for. Nobody else may refuse.
//! Keys leave this node only after the admission was applied. Followers name the leader instead.
//! Trusts: its own verifier; other voters' signed verdicts, as many as the rule wants. Out of scope: learners and voters (`steward`).
//! Protocol section 4, steps 2 to 6.

use crate::context::Node;
use crate::join::endorse::{self, agrees, evidence_digest};
use crate::join::ordered::{self, Order};
use crate::peers::handshake::{self, Opened, Own, PeerError, refusal};
use crate::peers::pool::resolve;
use ringwall_consensus::{Class, Granted, MemberRow, MemberStanding, ProposeError, Transport, member_of};
use ringwall_wire::admission::{
    AdmitCommit, AdmitPropose, Endorse, ForwardedEvidence, GrantedKey, IncarnationCert, JoinAnswer, JoinRequest, KeyGrant,
};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::command::{CommandBody, Denial, Outcome};
use ringwall_wire::ids::{Digest, Incarnation, Nonce, Vendor};
use ringwall_wire::limits::LIVE_KEYS;
use ringwall_wire::peer::{EndorseCall, Member, NamedMember, PeerAnswer, PeerCall};
use ringwall_wire::policy::EndorseRule;
use ringwall_wire::session::{PeerPurpose, Refusal, RefusalCode};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// Longest wait for an incumbent to show that it is alive.
const PROBE: Duration = Duration::from_millis(1_500);
/// What an incumbent still gets once another process was found at its address.
const PROBE_REST: Duration = Duration::from_millis(250);
/// Pause before an incumbent whose session broke is asked again.
const PROBE_AGAIN: Duration = Duration::from_millis(100);
/// Longest wait for another voter's verdict.
const ENDORSE: Duration = Duration::from_secs(5);
/// How long one admission may wait for another one to finish.
const TURN: Duration = Duration::from_secs(5);

/// What was asked, in the session it was asked in.
pub(crate) struct Asking {
    /// Handshake hash of that session.
    pub(crate) handshake: Digest,
    /// Opens the nonce the joiner was asked with.
    pub(crate) opening: Nonce,
    /// The joiner's encoded attestation answer.
    pub(crate) evidence: Vec<u8>,
}

/// Answers a join request. `opened` is the attested session it came on.
pub(crate) async fn answer(node: &Arc<Node>, opened: &Opened, request: JoinRequest, opening: Nonce) -> JoinAnswer {
    let peer = opened.session.peer().expect("an attested session has a peer");
    let slot = request.cert.slot;
    if let Err(fault) = agrees(&request.cert, peer) {
        warn!(%slot, %fault, "join refused");
        return JoinAnswer::Refused(refusal(RefusalCode::EvidenceRefused, "the certificate does not say what was attested"));
    }
    let asking = Asking { handshake: *opened.session.handshake(), opening, evidence: opened.evidence.encode() };
    match admit(node, request, &asking).await {
        Ok(grant) => JoinAnswer::Granted(Box::new(grant)),
        Err(NotAdmitted::Elsewhere(address)) => JoinAnswer::Elsewhere(address),
        Err(NotAdmitted::Refused(refused)) => {
            info!(%slot, code = ?refused.code, why = %refused.detail, "join refused");
            JoinAnswer::Refused(refused)
        }
    }
}

pub(crate) enum NotAdmitted {
    Elsewhere(Text<128>),
    Refused(Refusal),
}

pub(crate) fn refused(code: RefusalCode, detail: &str) -> NotAdmitted {
    NotAdmitted::Refused(refusal(code, detail))
}

impl From<ProposeError> for NotAdmitted {
    fn from(fault: ProposeError) -> Self {
        match fault {
            ProposeError::NotLeader { leader: Some((_, member)) } => NotAdmitted::Elsewhere(member.peer_address.clone()),
            ProposeError::Fenced(_) => refused(RefusalCode::Fenced, "this node stopped; ask another one"),
            ProposeError::TooLarge { .. } => refused(RefusalCode::TooLarge, "the certificate is too large"),
            ProposeError::NotLeader { leader: None } | ProposeError::Transient | ProposeError::NoRoom | ProposeError::Unknown => {
                refused(RefusalCode::Unavailable, "no leader or no quorum right now; try again, with new keys")
            }
        }
    }
}

fn denied(denial: Denial) -> NotAdmitted {
    match denial {
        Denial::SlotOccupied => refused(RefusalCode::SlotOccupied, "another incarnation was admitted to the slot meanwhile; try again"),
        Denial::Rejected => refused(RefusalCode::EvidenceRefused, "a voter refused the evidence; its log says which rule it broke"),
        Denial::NotEndorsed => refused(RefusalCode::Unavailable, "too few voters endorsed; is a voter of the other vendor down?"),
        Denial::Order(fault) => refused(RefusalCode::OrderRefused, fault.words()),
        Denial::LeaseOver => lease_over(),
        Denial::KeysKnown => refused(RefusalCode::NotMember, "these keys were proposed before; join again with new ones"),
        _ => refused(RefusalCode::Unavailable, "the group refused the admission right now; try again, with new keys"),
    }
}

/// Members grant no keys under a policy that nobody says is still wanted.
fn lease_over() -> NotAdmitted {
    let words = "the lease of the cluster's policy is over: nobody is admitted until its governors renew it (`ringwall policy lease`)";
    refused(RefusalCode::LeaseOver, words)
}

async fn admit(node: &Arc<Node>, request: JoinRequest, asking: &Asking) -> Result<KeyGrant, NotAdmitted> {
    let cert = request.cert;
    let metrics = node.replica.metrics();
    if metrics.leader != Some(node.incarnation) {
        return Err(match metrics.led_by() {
            Some(leader) => NotAdmitted::Elsewhere(leader.member.peer_address.clone()),
            None => refused(RefusalCode::Unavailable, "no leader right now; try again"),
        });
    }
    let view = node.replica.view().map_err(|_| refused(RefusalCode::Fenced, "this node stopped; ask another one"))?;
    // By this node's clock too: an idle group's time stands still, and the proposal would carry it on.
    if view.governance().is_lapsed(node.replica.now_ms()) {
        return Err(lease_over());
    }
    drop(view);
    let turn = tokio::time::timeout(TURN, node.admitting.lock()).await;
    let _turn = turn.map_err(|_| refused(RefusalCode::Busy, "another node is being admitted; try again"))?;
    let incumbent = incumbent(node, &cert)?;
    let order = ordered::judge(node, request.order, cert.slot)?;
    if let Some(row) = &incumbent {
        match &order {
            Order::Holds(_) if row.incarnation == node.incarnation => return Err(ordered::step_aside(node).await),
            Order::Holds(_) => {}
            Order::None | Order::UsedUp => {
                if alive(node, row).await {
                    return Err(order.occupied());
                }
            }
        }
    }
    let replaces = incumbent.map_or(Incarnation(0), |row| row.incarnation);
    let order = order.into_proposal();
    let propose = AdmitPropose { cert, evidence: evidence_digest(&asking.evidence), nonce: asking.opening, replaces, order };
    let (admit_index, outcome) = decide(node, CommandBody::AdmitPropose(Box::new(propose.clone()))).await?;
    if let Outcome::Denied(denial) = outcome {
        return Err(denied(denial));
    }
    info!(admit_index, slot = %propose.cert.slot, %replaces, ordered = propose.order.is_some(), "a joiner is proposed");
    endorsements(node, admit_index, &propose, asking).await?;
    let (_, outcome) = decide(node, CommandBody::AdmitCommit(AdmitCommit { admit_index })).await?;
    let incarnation = match outcome {
        Outcome::Admitted(incarnation) => incarnation,
        Outcome::Denied(denial) => return Err(denied(denial)),
        _ => return Err(refused(RefusalCode::Unavailable, "the admission had no outcome; try again, with new keys")),
    };
    info!(%incarnation, slot = %propose.cert.slot, vendor = %propose.cert.vendor, "admitted");
    node.steward.notify_one();
    Ok(grant(node, incarnation))
}

/// Proposes, and waits until the command is applied here.
async fn decide(node: &Node, body: CommandBody) -> Result<(u64, Outcome), NotAdmitted> {
    let applied = node.replica.propose(body).await?;
    let outcome = applied.outcomes.first().copied();
    Ok((applied.index, outcome.ok_or_else(|| refused(RefusalCode::Unavailable, "the command had no outcome; try again"))?))
}

fn incumbent(node: &Node, cert: &IncarnationCert) -> Result<Option<MemberRow>, NotAdmitted> {
    let view = node.replica.view().map_err(|_| refused(RefusalCode::Fenced, "this node stopped; ask another one"))?;
    let mut live = view.members().into_iter().filter(|row| row.standing == MemberStanding::Live);
    Ok(live.rfind(|row| row.cert.slot == cert.slot))
}

/// Whether the incumbent of a slot still answers. One that said that it leaves does not count; neither does one at whose address
/// another process answers and that stays silent itself.
async fn alive(node: &Arc<Node>, row: &MemberRow) -> bool {
    if row.incarnation == node.incarnation {
        return true;
    }
    if node.gone.lock().unwrap_or_else(PoisonError::into_inner).contains(&row.incarnation) {
        return false;
    }
    let answers = answers(node, row);
    tokio::pin!(answers);
    tokio::select! {
        () = &mut answers => true,
        () = replaced(node, &row.cert) => tokio::time::timeout(PROBE_REST, answers).await.is_ok(),
        () = tokio::time::sleep(PROBE) => false,
    }
}

/// Returns when the member answered; a session that breaks meanwhile is tried again.
async fn answers(node: &Arc<Node>, row: &MemberRow) {
    let member = member_of(&row.cert);
    while node.peers.call(row.incarnation, &member, Class::Control, PeerCall::Alive, PROBE).await.is_err() {
        tokio::time::sleep(PROBE_AGAIN).await;
    }
}

/// Returns when another process was found at the member's address.
async fn replaced(node: &Arc<Node>, cert: &IncarnationCert) {
    let found = async {
        let address = resolve(&cert.peer_address).await?;
        let connection = ringwall_quic::dial(&node.site.endpoint, &node.site.dial, address, PROBE).await?;
        let prover = node.replica.prover();
        let own = Own { site: &node.site, secrets: &node.secrets, incarnation: node.incarnation, prover: Some(&prover) };
        let outcome = handshake::dial(own, &connection, PeerPurpose::Member, None).await;
        ringwall_quic::close(&connection, ringwall_quic::CloseCode::Done);
        outcome
    };
    let other = match found.await {
        Ok(opened) => opened.session.peer().is_none_or(|peer| peer.keys().noise != cert.keys.noise),
        Err(PeerError::Refused(refusal)) => refusal.code == RefusalCode::NotMember,
        Err(_) => false,
    };
    if !other {
        std::future::pending::<()>().await;
    }
}

/// Collects verdicts and puts them into the log.
async fn endorsements(node: &Arc<Node>, admit_index: u64, propose: &AdmitPropose, asking: &Asking) -> Result<(), NotAdmitted> {
    let evidence = ForwardedEvidence::new(asking.evidence.clone())
        .map_err(|_| refused(RefusalCode::TooLarge, "the evidence is larger than can be forwarded"))?;
    let metrics = node.replica.metrics();
    let voters: Vec<NamedMember> = metrics.voters.into_iter().filter(|voter| voter.member.slot != propose.cert.slot).collect();
    let live = live(&node.replica.view().map_err(|_| refused(RefusalCode::Fenced, "this node stopped; ask another one"))?.members());
    let asked: Vec<_> = voters
        .iter()
        .filter(|voter| voter.incarnation != node.incarnation)
        .map(|voter| {
            let call = EndorseCall {
                admit_index,
                handshake: asking.handshake,
                nonce: endorse::join_nonce(&asking.opening),
                evidence: evidence.clone(),
            };
            let (to, member) = (voter.incarnation, voter.member.clone());
            let answer = node.peers.call(to, &member, Class::Control, PeerCall::Endorse(call), ENDORSE);
            async move { verdict(node, to, &member, propose, answer.await) }
        })
        .collect();
    let mut verdicts = vec![endorse::endorse(node, admit_index, propose, true)];
    verdicts.extend(futures_util::future::join_all(asked).await.into_iter().flatten());
    // The word of a voter that was superseded counts for nothing.
    verdicts.retain(|verdict| live.contains(&verdict.by));
    if verdicts.iter().any(|verdict| !verdict.accepts) {
        for verdict in verdicts.into_iter().filter(|verdict| !verdict.accepts) {
            decide(node, CommandBody::Endorse(verdict)).await?;
        }
        return Err(denied(Denial::Rejected));
    }
    if !satisfied(node.site.policy().endorse, &voters, &live, &verdicts, propose.cert.vendor) {
        return Err(denied(Denial::NotEndorsed));
    }
    for verdict in verdicts {
        let (_, outcome) = decide(node, CommandBody::Endorse(verdict)).await?;
        if let Outcome::Denied(denial) = outcome {
            return Err(denied(denial));
        }
    }
    Ok(())
}

/// A voter's answer, if it is the voter's word about this proposal.
fn verdict(
    node: &Node,
    voter: Incarnation,
    member: &Member,
    propose: &AdmitPropose,
    answer: Result<PeerAnswer, ringwall_consensus::TransportError>,
) -> Option<Endorse> {
    match answer {
        Ok(PeerAnswer::Endorsed(endorse))
            if endorse.by == voter && endorse::verify_endorse(&endorse, &node.site.cluster_id, propose, &member.sig) =>
        {
            Some(endorse)
        }
        Ok(_) => {
            warn!(%voter, slot = %member.slot, "a voter gave no verdict");
            None
        }
        Err(fault) => {
            warn!(%voter, slot = %member.slot, %fault, "a voter was not asked");
            None
        }
    }
}

/// Incarnations that were not superseded.
pub fn live(rows: &[MemberRow]) -> Vec<Incarnation> {
    rows.iter().filter(|row| row.standing == MemberStanding::Live).map(|row| row.incarnation).collect()
}

/// The policy's rule; the log has its own, which holds besides. `voters` are those of other slots; of those, one that is not `live` any
/// more is not waited for.
pub fn satisfied(rule: EndorseRule, voters: &[NamedMember], live: &[Incarnation], verdicts: &[Endorse], joiner: Vendor) -> bool {
    let needed = usize::from(rule.min_endorsers).min(voters.len()).max(1);
    let other = |voter: &&NamedMember| voter.member.vendor != joiner;
    let wanted = rule.other_vendor && voters.iter().filter(other).any(|voter| live.contains(&voter.incarnation));
    let crossed = voters.iter().filter(other).any(|voter| verdicts.iter().any(|verdict| verdict.by == voter.incarnation));
    verdicts.len() >= needed && (!wanted || crossed)
}

fn grant(node: &Node, incarnation: Incarnation) -> KeyGrant {
    let Granted { members, voting, admission } = node.replica.grant(incarnation);
    KeyGrant {
        incarnation,
        epoch: node.site.epoch(),
        master_keys: List::new(granted_keys(node)).expect("cut to the limit"),
        members: List::new(members).expect("a slot has at most one live incarnation"),
        voting: List::new(voting).expect("each slot once"),
        admission,
    }
}

/// The live keys, and one the log is about to name, if there is room for it.
fn granted_keys(node: &Node) -> Vec<GrantedKey> {
    let mut keys = node.keyring.now().granted();
    keys.truncate(LIVE_KEYS);
    keys
}
