//! Evidence about this node, bound to one session, and judging the other side's.
//!
//! Decides: what a node says about itself to another node: always evidence of its own (a batch of one leaf), for one role, one handshake
//! and the asker's nonce. Judging runs off the async threads; both directions use the same `attest` functions as everybody else.
//! Trusts: `attest` for the verdict. Out of scope: batches for clients (`front`). Protocol sections 2.2 and 3.

use crate::config::ClusterPart;
use crate::context::Site;
use crate::entropy;
use crate::stapling::Proof;
use ringwall_attest::release::ReleaseError;
use ringwall_attest::{
    AppraisedPeer, Asked, Batch, CollectError, Pinned, PolicyPin, Rejection, SessionError, appraise_session, batch, report_data,
};
use ringwall_channel::NodeSecrets;
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::governance::PolicySteps;
use ringwall_wire::ids::{BootKeys, Digest, Incarnation, NoisePublic, Nonce};
use ringwall_wire::policy::{PolicyDoc, ReleaseRule};
use ringwall_wire::session::{AttestMode, AttestResp, SessionProof};
use std::sync::Arc;
use std::time::Duration;

/// How often a throttling platform is asked again before evidence is given up.
const COLLECT_TRIES: u32 = 5;
/// Longest wait a platform may ask for between two tries: throttled guests wait two seconds.
const COLLECT_WAIT: Duration = Duration::from_secs(3);

/// What evidence is made for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The part this node plays.
    pub role: Role,
    /// Who this node is; 0 before admission.
    pub incarnation: Incarnation,
    /// Its keys.
    pub keys: BootKeys,
    /// Handshake hash of the session.
    pub handshake: Digest,
    /// The asker's nonce.
    pub nonce: Nonce,
}

/// Everything a stranger needs to judge this node in one session.
pub async fn answer(site: &Arc<Site>, claim: Claim) -> Result<AttestResp, CollectError> {
    let site = Arc::clone(site);
    let mut tries: u32 = 1;
    loop {
        let (site, claim) = (Arc::clone(&site), claim.clone());
        let collected = tokio::task::spawn_blocking(move || collect(&site, claim)).await;
        match collected.unwrap_or_else(|fault| Err(CollectError::Unavailable { reason: fault.to_string() })) {
            Err(CollectError::Throttled { retry_after_ms }) if tries < COLLECT_TRIES => {
                tries = tries.saturating_add(1);
                tokio::time::sleep(Duration::from_millis(retry_after_ms).min(COLLECT_WAIT)).await;
            }
            outcome => return outcome,
        }
    }
}

fn collect(site: &Site, claim: Claim) -> Result<AttestResp, CollectError> {
    let leaf = batch::leaf(&claim.handshake, &claim.nonce);
    let batch = Batch::new(vec![leaf]).expect("one leaf is a legal batch");
    let boot = &site.config.boot;
    let in_force = site.policies.now();
    let binding = Binding {
        cluster_id: site.cluster_id,
        epoch: site.epoch(),
        role: claim.role,
        incarnation: claim.incarnation,
        keys: claim.keys.clone(),
        boot_config: boot.host_data(),
        policy: in_force.digest(),
        batch_root: batch.root(),
    };
    Ok(AttestResp {
        cluster_id: site.cluster_id,
        epoch: site.epoch(),
        role: claim.role,
        incarnation: claim.incarnation,
        keys: claim.keys,
        boot_config: Blob::new(boot.encode()).expect("a boot configuration is under 200 bytes"),
        genesis: site.genesis.clone(),
        policy: PolicyDoc::clone(in_force.policy()),
        steps: in_force.after(None),
        evidence: site.attester.evidence(&report_data(&binding))?,
        endorsements: site.attester.endorsements()?,
        proof: SessionProof::Batched(batch.path(0).expect("the batch has leaf 0")),
        release_proof: site.config.staple.current(),
    })
}

/// Whether this node's evidence would be believed with another proof of release: judged as its first evidence was, before anybody is shown it.
pub(crate) async fn with_proof(site: &Arc<Site>, proof: Proof) -> Result<(), ProofRefused> {
    let secrets = NodeSecrets::generate(&mut *(site.entropy)());
    let (handshake, nonce) = (Digest(entropy::nonce(&site.entropy).0), entropy::nonce(&site.entropy));
    let role = if let ClusterPart::Found(..) = site.config.cluster { Role::Genesis } else { Role::JoinInit };
    let claim = Claim { role, incarnation: Incarnation(0), keys: secrets.public().clone(), handshake, nonce };
    let answered = AttestResp { release_proof: proof, ..answer(site, claim).await? };
    let wanted = Wanted { role, handshake, nonce, noise: secrets.public().noise };
    let judging = Arc::clone(site);
    // What was heard has no say here: a proof that lags is still the newest there is, and one that is good is not exchanged for nothing.
    let judged = tokio::task::spawn_blocking(move || {
        let alone = judge_alone(&judging, &answered, &wanted);
        heed(&judging, &answered, alone.as_ref());
        alone.map(drop)
    });
    judged.await.expect("judging does not panic and is not aborted")?;
    Ok(())
}

/// Why another proof of release is not handed out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofRefused {
    /// No evidence to judge it with.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// It would be refused.
    #[error(transparent)]
    Refused(#[from] SessionError),
}

/// What the judged side must have attested to.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The part the other side plays.
    pub role: Role,
    /// Handshake hash of the session.
    pub handshake: Digest,
    /// The nonce it was asked with.
    pub nonce: Nonce,
    /// The Noise key the handshake authenticated.
    pub noise: NoisePublic,
}

/// Judges an answer, with this node's own roots, clock and cluster. Members accept evidence made for one session alone.
pub async fn judge(site: &Arc<Site>, answer: AttestResp, wanted: Wanted) -> Result<AppraisedPeer, SessionError> {
    judge_from(site, answer, wanted, None).await
}

/// The same for an answer that came after pages of policy changes, which lead to the policy `ahead`.
pub(crate) async fn judge_from(
    site: &Arc<Site>,
    answer: AttestResp,
    wanted: Wanted,
    ahead: Option<PolicyDoc>,
) -> Result<AppraisedPeer, SessionError> {
    let site = Arc::clone(site);
    let judging = tokio::task::spawn_blocking(move || match ahead {
        // The answer has to be bound to where the pages end, or go on from there: nobody is judged by a change that its own evidence does not stand for.
        Some(policy) => remembering(&site, &answer, by(&site, &answer, &wanted, PolicyPin::From { policy: &policy, earlier: &[] })),
        None => judge_here(&site, &answer, &wanted),
    });
    judging.await.expect("judging does not panic and is not aborted")
}

/// Judges an answer that was kept, by the policy that was in force when it was made: a later one may exclude who made it. That policy is one of this node's own row
/// where it has it; else the answer's steps lead to it, from the newest one here or from the founding: an answer that is kept has the newest steps only.
pub(crate) fn judge_kept(site: &Site, answer: &AttestResp, asked: &Asked<'_>, now_s: u64) -> Result<AppraisedPeer, SessionError> {
    let in_force = site.policies.now();
    let goes_on = || answer.steps.iter().any(|step| step.signed.replaces == Some(in_force.digest()));
    let held = in_force.at(&Digest(answer.policy.digest())).or_else(|| goes_on().then(|| PolicyDoc::clone(in_force.policy())));
    let policy = match &held {
        Some(policy) => PolicyPin::From { policy, earlier: &[] },
        None => PolicyPin::Founding { min_version: site.founding.version },
    };
    let pinned = Pinned { cluster_id: site.cluster_id, policy, anchors: &site.anchors, now_s, last_head: None };
    appraise_session(answer, asked, &pinned)
}

/// The same as [`judge`] on this thread: a few milliseconds of public-key arithmetic. What this node heard of the release log, from whomever, counts for
/// every answer; what this one says of the log is heard.
pub fn judge_here(site: &Site, answer: &AttestResp, wanted: &Wanted) -> Result<AppraisedPeer, SessionError> {
    remembering(site, answer, judge_alone(site, answer, wanted))
}

/// The verdict over an answer by itself, with what was heard of the release log.
fn remembering(site: &Site, answer: &AttestResp, alone: Result<AppraisedPeer, SessionError>) -> Result<AppraisedPeer, SessionError> {
    let verdict = alone.and_then(|peer| site.heard.judge(&peer, &answer.release_proof).map(|()| peer));
    heed(site, answer, verdict.as_ref());
    verdict
}

/// Hears what a proof says of the log: one that holds, and one that revokes the build it was shown for. Sessions are opened anew where more was revoked. Under the
/// rule in force here alone: a change that somebody shows may never come into force, and the head of another log would take the place of what was heard.
fn heed(site: &Site, answer: &AttestResp, verdict: Result<&AppraisedPeer, &SessionError>) {
    let in_force = site.policies.now();
    let heeds = match verdict {
        Ok(peer) => peer.policy().release == in_force.policy().release,
        Err(SessionError::Rejected(Rejection::NotReleased(why))) => matches!(**why, ReleaseError::Revoked { .. }),
        Err(_) => false,
    };
    if heeds
        && let ReleaseRule::Demanded(rule) = &in_force.policy().release
        && site.heard.hear(&answer.release_proof, rule) > 0
    {
        site.sessions.renew();
    }
}

fn judge_alone(site: &Site, answer: &AttestResp, wanted: &Wanted) -> Result<AppraisedPeer, SessionError> {
    let in_force = site.policies.now();
    // Whoever asks to join is judged by what is in force here. What it shows beyond that is signed, and may never have come into force.
    let bare = (wanted.role == Role::JoinInit).then(|| AttestResp { steps: PolicySteps::default(), ..answer.clone() });
    let answer = bare.as_ref().unwrap_or(answer);
    // Whoever lags binds its evidence to a policy that was in force before; it is judged by the one that is.
    by(site, answer, wanted, PolicyPin::From { policy: in_force.policy(), earlier: in_force.earlier() })
}

fn by(site: &Site, answer: &AttestResp, wanted: &Wanted, policy: PolicyPin<'_>) -> Result<AppraisedPeer, SessionError> {
    let asked =
        Asked { handshake: &wanted.handshake, nonce: &wanted.nonce, role: wanted.role, noise: &wanted.noise, mode: AttestMode::Single };
    let pinned = Pinned { cluster_id: site.cluster_id, policy, anchors: &site.anchors, now_s: site.now_s(), last_head: None };
    appraise_session(answer, &asked, &pinned)
}
