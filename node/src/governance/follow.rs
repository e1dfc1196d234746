//! What a member does when another policy is in force.
//!
//! Decides: what the record has in force is what this node goes by from then on. It is written down first, so that the next start does not go back; then it
//! takes the place of the old one, every session ends and is opened anew with evidence bound to it, and this node judges its own evidence by it as others
//! will: one that is refused ends this incarnation, but for a proof of release that the new policy does not take, which is a paper beside the machine and is
//! replaced while it runs; a build that is revoked ends it. All of it looks at the record alone, so whatever was missed is made up for at the next look. A record
//! with other steps than this node was shown ends it too: two approved rows exist, and it cannot know which is the cluster's.
//! Trusts: the record. Out of scope: proposing (`lead`), ending (`fencing`), judging others (`attesting`). Protocol section 8, "Changes".

use crate::attesting::{self, Claim, Wanted};
use crate::clock;
use crate::context::{Node, Site};
use crate::entropy;
use crate::governance::cell::Unchained;
use crate::governance::file;
use crate::governance::{InForce, Unfit};
use ringwall_attest::release::ReleaseError;
use ringwall_attest::{Finding, Rejection, SessionError};
use ringwall_wire::evidence::Role;
use ringwall_wire::governance::{PolicyRow, PolicyStep};
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::POLICY_ROW_STEPS;
use ringwall_wire::policy::PolicyDoc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// How often the record is looked at when nothing of it changes: what was not written or not judged is tried again.
const LOOK: Duration = Duration::from_millis(500);

/// How long this node's evidence is not judged again after nobody could accept it yet: each time costs a quote.
const AGAIN: Duration = Duration::from_secs(10);

/// What this node's own evidence was judged by.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// It satisfied the policy so many steps lead to.
    steps: usize,
    /// Not again before this, and by which steps.
    again: Option<(Instant, usize)>,
}

/// How many steps are in the file.
#[derive(Debug, Default)]
pub(crate) struct Written(usize);

/// Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>) {
    let mut changes = node.replica.governance();
    let mut judged = Judged::default();
    loop {
        catch_up(&node).await;
        judge(&node, &mut judged).await;
        // The timeout only bounds the wait.
        let _ = tokio::time::timeout(LOOK, changes.changed()).await;
    }
}

/// Goes by what the record has in force; called besides by whoever judges something the record was applied for.
pub(crate) async fn catch_up(node: &Arc<Node>) {
    let mut written = node.governance.turn.lock().await;
    let Ok(view) = node.replica.view() else { return };
    let governed = view.governance();
    drop(view);
    let now = node.site.policies.now();
    if governed.count() > now.steps().len() || governed.policy().is_some_and(|policy| !now.holds(&policy)) {
        match followed_by(&now, &node.site.founding, governed.steps()) {
            Ok(next) if next.is_of_one_row_with(&now) => take_over(node, next, &mut written).await,
            Ok(_) => differs(node),
            Err(fault) => {
                error!(%fault, "the record's steps of the policy do not follow one another");
                differs(node);
            }
        }
    }
    write(node, &mut written).await;
}

/// What the record has in force. Where it goes on from what is known here only what is new is read; else all of it, to see what it is.
fn followed_by(now: &InForce, founding: &PolicyDoc, record: &[Arc<PolicyStep>]) -> Result<InForce, Unchained> {
    match record.get(..now.steps().len()) {
        Some(known) if known == now.steps() => now.clone().then(record.iter().skip(known.len()).cloned()),
        _ => InForce::by(founding, record.iter().cloned()),
    }
}

fn differs(node: &Node) {
    error!("the record has another policy in force than this node was shown: this node ends");
    node.governance.unfit.get_or_init(|| Unfit::OtherSteps);
}

async fn take_over(node: &Arc<Node>, next: InForce, written: &mut Written) {
    let (version, digest, steps) = (next.policy().version, next.digest(), next.row());
    // First what the next start goes by.
    if write_steps(node, steps).await {
        written.0 = next.steps().len();
    }
    let rules = next.policy().session;
    if !node.site.policies.go_on(next) {
        return;
    }
    info!(%version, policy = %digest, "another policy is in force: all sessions are opened anew");
    node.site.sessions.follow(&rules);
    node.site.sessions.renew();
    node.steward.notify_one();
}

/// Goes by the policy that whoever was dialled proved to be in force there, in an answer that was judged: these are the steps that lead there from what is known
/// here. A process that is no member yet has nothing else to go by. A member hears of it sooner than from its record, and one that is excluded hears of it at
/// all: nobody who knows the newer policy sends it the entry. Only a member that was dialled under its key on record is heeded for that.
/// A machine that assists heeds whoever asks it to, as that one heeds the machine: neither is a member.
pub(crate) fn learn(site: &Site, steps: &[PolicyStep]) {
    if steps.is_empty() {
        return;
    }
    let known = site.policies.now();
    // What leads beyond any record is nothing to go by: no file could hold it.
    let fits = known.steps().len().saturating_add(steps.len()) <= POLICY_ROW_STEPS;
    let next = fits.then(|| InForce::clone(&known).then(steps.iter().cloned()).ok()).flatten();
    if next.is_some_and(|next| site.policies.go_on(next)) {
        let policy = site.policy();
        site.sessions.follow(&policy.session);
        site.sessions.renew();
        info!(version = %policy.version, "a member proves that a newer policy is in force: this node goes by it");
    }
}

/// What is in force is in the data folder, also what a joiner was shown before it had a record.
async fn write(node: &Arc<Node>, written: &mut Written) {
    let now = node.site.policies.now();
    let count = now.steps().len();
    if count > written.0 && write_steps(node, now.row()).await {
        written.0 = count;
    }
}

async fn write_steps(node: &Arc<Node>, steps: PolicyRow) -> bool {
    let (data, cluster_id) = (node.site.config.data.clone(), node.site.cluster_id);
    let writing = tokio::task::spawn_blocking(move || file::write(&data, cluster_id, steps)).await;
    match writing.unwrap_or_else(|fault| Err(std::io::Error::other(fault.to_string()))) {
        Ok(()) => true,
        Err(fault) => {
            warn!(%fault, file = file::POLICY_FILE, "the policy is not written down: a start before that goes by an older one until a member tells it");
            false
        }
    }
}

/// Judges this node's own evidence by the policy in force, as every other node will; once for each, and after a pause where it was not accepted yet.
pub(super) async fn judge(node: &Arc<Node>, judged: &mut Judged) {
    let site = &node.site;
    let in_force = site.policies.now();
    let steps = in_force.steps().len();
    let waits = judged.again.is_some_and(|(not_before, by)| by == steps && clock::now() < not_before);
    if steps <= judged.steps || waits || node.governance.unfit.get().is_some() {
        return;
    }
    judged.again = Some((clock::now() + AGAIN, steps));
    let (handshake, nonce) = (Digest(entropy::nonce(&site.entropy).0), entropy::nonce(&site.entropy));
    let keys = node.secrets.public().clone();
    let wanted = Wanted { role: Role::PeerResp, handshake, nonce, noise: keys.noise };
    let claim = Claim { role: Role::PeerResp, incarnation: node.incarnation, keys, handshake, nonce };
    let verdict = match attesting::answer(site, claim).await {
        Ok(answer) => attesting::judge(site, answer, wanted).await,
        Err(fault) => return warn!(%fault, "this node has no evidence to judge by the policy in force; trying again"),
    };
    match verdict {
        Ok(_fits) => *judged = Judged { steps, again: None },
        // Nobody can tell, for want of a document: others cannot either, and what is missing may come.
        Err(fault) if fault.finding() == Finding::CannotTell => {
            warn!(%fault, "nobody can tell whether this node satisfies the policy in force; trying again");
        }
        Err(fault) if is_of_the_staple(&fault) => {
            warn!(%fault, "the proof of release this node staples is not one for the policy in force: nobody accepts this node until another one is stapled");
        }
        Err(fault) => {
            error!(%fault, version = %in_force.policy().version, "the policy in force excludes this node: it ends");
            node.governance.unfit.get_or_init(|| Unfit::Excluded(fault.to_string()));
        }
    }
}

/// Whether what was refused is the proof of release that is stapled: another one makes this node fit. A revoked build stays revoked.
fn is_of_the_staple(fault: &SessionError) -> bool {
    match fault {
        SessionError::Rejected(Rejection::NotReleased(why)) => !matches!(**why, ReleaseError::Revoked { .. }),
        SessionError::Rejected(Rejection::ReleaseProofMissing) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paper_that_can_be_replaced_excludes_no_machine_and_a_revoked_build_does() {
        let refused = |why: ReleaseError| SessionError::Rejected(Rejection::NotReleased(Box::new(why)));
        // Governors took a signer off: every staple of the cluster has its bundle.
        let stranger = refused(ReleaseError::Stranger { at: 0, who: "a key that is gone".into() });
        assert_eq!(stranger.finding(), Finding::Bad, "for others it is no release");
        assert!(is_of_the_staple(&stranger));
        assert!(is_of_the_staple(&refused(ReleaseError::TooFewSigners { signed: 1, threshold: 2 })));
        assert!(is_of_the_staple(&SessionError::Rejected(Rejection::ReleaseProofMissing)));
        let revoked = ReleaseError::Revoked { build: "ringwall 9".into(), reason: "a hole".into(), at_s: 1 };
        assert!(!is_of_the_staple(&refused(revoked)));
        assert!(!is_of_the_staple(&SessionError::Rejected(Rejection::VlekNotAccepted)));
    }
}
