//! A member whose record puts another policy in force, with real signatures, a real replica and evidence of a simulated machine.
//!
//! Decides: what the member goes by, what it writes down, what ends, and that one that is excluded ends itself; what the leader proposes by itself; what a
//! process learns that is no member yet. Trusts: `ringwall_sim` to mint evidence. Out of scope: the record's own rules (`consensus`).

#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::attesting::{self, Claim, Wanted};
use crate::join::endorse::place;
use crate::peers::serve::gate_tests::alone_at;
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_attest::SessionError;
use ringwall_channel::NodeSecrets;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::CommandBody;
use ringwall_wire::evidence::Role;
use ringwall_wire::governance::{PolicyCommand, PolicyFault, PolicyOutcome, PolicyRow, PolicyStep, PolicyWithdrawal};
use ringwall_wire::ids::{Digest, Incarnation, Nonce, PolicyVersion, SigPublic, Signature};
use ringwall_wire::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::session::RefusalCode;

fn governors() -> [SigningKey; 2] {
    [1, 2].map(|number| SigningKey::from_bytes(&[number; 32]))
}

/// The simulated world's policy under two governors, who must both sign; what loosens waits so long.
pub(crate) fn founding(timelock_s: u32) -> PolicyDoc {
    let keys = governors().iter().map(|key| SigPublic(key.verifying_key().to_bytes())).collect();
    let governance = Governance { keys: List::new(keys).unwrap(), threshold: 2, timelock_s, lease_s: 0 };
    PolicyDoc { governance, ..ringwall_sim::world::policy() }
}

/// The policy after `old`, and the step to it.
pub(crate) fn step(old: &PolicyDoc, change: impl FnOnce(&mut PolicyDoc)) -> (PolicyDoc, SignedPolicy) {
    let mut new = PolicyDoc { version: PolicyVersion(old.version.0 + 1), ..old.clone() };
    change(&mut new);
    let policy = Blob::new(new.encode()).unwrap();
    let mut signed = SignedPolicy { replaces: Some(Digest(old.digest())), policy, signatures: List::default() };
    let words = signed.signed_words();
    for key in governors() {
        let (public, signature) = (SigPublic(key.verifying_key().to_bytes()), Signature(key.sign(&words).to_bytes()));
        signed.signatures.push(Approval { key: public, signature }).unwrap();
    }
    (new, signed)
}

pub(crate) fn shorter(policy: &mut PolicyDoc) {
    policy.session.reattest_s -= 1;
}

pub(crate) fn longer(policy: &mut PolicyDoc) {
    policy.session.reattest_s += 1;
}

pub(crate) fn steps(signed: &[&SignedPolicy]) -> PolicyRow {
    List::new(signed.iter().map(|signed| PolicyStep { signed: (*signed).clone(), notice: None }).collect()).unwrap()
}

/// The one voter of a group founded with this policy, and its folder.
pub(crate) async fn member(policy: PolicyDoc) -> (Arc<Node>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut site = place::site_under(policy, ("genoa-1", 1), &[]);
    place::change(&mut site, |site| site.config.data = folder.path().to_owned());
    (alone_at(folder.path(), site).await, folder)
}

/// One look of the task that follows the record.
async fn look(node: &Arc<Node>) {
    catch_up(node).await;
    follow::judge(node, &mut follow::Judged::default()).await;
}

pub(crate) async fn bring(node: &Arc<Node>, command: PolicyCommand) -> PolicyOutcome {
    asks::bring(node, command).await.unwrap()
}

/// What governors sign to withdraw a change.
pub(crate) fn withdrawal(node: &Node, change: Digest) -> PolicyCommand {
    let mut word = PolicyWithdrawal { cluster_id: node.site.cluster_id, change, signatures: List::default() };
    let words = word.signed_words();
    for key in governors() {
        let (public, signature) = (SigPublic(key.verifying_key().to_bytes()), Signature(key.sign(&words).to_bytes()));
        word.signatures.push(Approval { key: public, signature }).unwrap();
    }
    PolicyCommand::Withdraw(word)
}

async fn propose(node: &Arc<Node>, signed: &SignedPolicy) -> PolicyOutcome {
    bring(node, PolicyCommand::propose(signed.clone())).await
}

#[tokio::test]
async fn what_the_record_has_in_force_is_gone_by_written_down_and_ends_sessions() {
    let first = founding(60);
    let (node, folder) = member(first.clone()).await;
    let renewals = node.site.sessions.renewals();
    look(&node).await;
    assert!(!renewals.has_changed().unwrap() && !folder.path().join(file::POLICY_FILE).exists(), "nothing changed");

    let (second, signed) = step(&first, shorter);
    let index = node.replica.applied();
    let weak = SignedPolicy { signatures: List::new(signed.signatures[..1].to_vec()).unwrap(), ..signed.clone() };
    assert_eq!(propose(&node, &weak).await, PolicyOutcome::Refused(PolicyFault::TooFew));
    assert_eq!(node.replica.applied(), index, "what nobody approved is not proposed");
    assert_eq!(propose(&node, &signed).await, PolicyOutcome::InForce(PolicyVersion(2)));
    look(&node).await;
    let now = node.site.policies.now();
    assert_eq!((now.digest(), now.row()), (Digest(second.digest()), steps(&[&signed])));
    assert!(renewals.has_changed().unwrap());
    assert_eq!(node.site.sessions.limit().as_secs(), u64::from(second.session.reattest_s));
    assert_eq!(node.governance.unfit.get(), None, "its own evidence satisfies it");
    // The next start goes by it, whatever the card says.
    let started = file::at_start(folder.path(), node.site.cluster_id, &first, &List::default()).unwrap();
    assert_eq!(started.now().digest(), now.digest());
    let other = file::at_start(folder.path(), ringwall_wire::ids::ClusterId([9; 32]), &first, &List::default()).unwrap();
    assert_eq!(other.now().digest(), Digest(first.digest()), "another cluster's file");
    let index = node.replica.applied();
    assert_eq!(propose(&node, &signed).await, PolicyOutcome::InForce(PolicyVersion(2)));
    assert_eq!(node.replica.applied(), index, "what would change nothing is not proposed");
    node.replica.shutdown().await;
}

#[tokio::test]
async fn one_that_the_policy_in_force_excludes_ends_itself() {
    let first = founding(60);
    let (node, _folder) = member(first.clone()).await;
    let (_, signed) = step(&first, |policy| policy.snp.chips = List::default());
    assert_eq!(propose(&node, &signed).await, PolicyOutcome::InForce(PolicyVersion(2)));
    look(&node).await;
    assert!(matches!(node.governance.unfit.get(), Some(Unfit::Excluded(rule)) if rule.contains("chip")), "{:?}", node.governance.unfit);
    node.replica.shutdown().await;
}

#[tokio::test]
async fn a_record_of_another_row_than_was_shown_ends_a_node() {
    let first = founding(60);
    let (node, _folder) = member(first.clone()).await;
    let (_, aside) = step(&first, |policy| policy.session.reattest_s -= 2);
    assert!(node.site.policies.go_on(judges::walk(&node.site.cluster_id, &first, steps(&[&aside])).unwrap()));
    let (_, signed) = step(&first, shorter);
    // By a leader that was not shown the other one: this one would not propose it.
    let step = CommandBody::Policy(Box::new(PolicyCommand::propose(signed)));
    node.replica.propose(step).await.unwrap();
    look(&node).await;
    assert_eq!(node.governance.unfit.get(), Some(&Unfit::OtherSteps));
    assert_eq!(node.site.policies.now().digest(), Digest(PolicyDoc::decode(&aside.policy).unwrap().digest()), "it does not go back");
    node.replica.shutdown().await;
}

#[tokio::test]
async fn the_leader_has_what_waited_come_into_force_and_brings_again_what_the_record_lost() {
    let first = founding(0);
    let (node, _folder) = member(first.clone()).await;
    let (second, to_second) = step(&first, longer);
    let (third, to_third) = step(&second, shorter);
    // As after a recovery whose log ended before them.
    assert!(node.site.policies.go_on(judges::walk(&node.site.cluster_id, &first, steps(&[&to_second, &to_third])).unwrap()));
    let leading = tokio::spawn(lead::run(Arc::clone(&node)));
    let mut changes = node.replica.governance();
    let reached = async {
        while node.replica.view().unwrap().governance().count() < 2 {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), reached).await.unwrap();
    assert_eq!(node.replica.view().unwrap().governance().in_force(), Some(&third));
    leading.abort();
    node.replica.shutdown().await;
}

#[tokio::test]
async fn while_a_step_that_was_in_force_is_not_on_record_again_nothing_leads_elsewhere() {
    let first = founding(60);
    let (node, _folder) = member(first.clone()).await;
    let (_, lost) = step(&first, longer);
    let (_, aside) = step(&first, shorter);
    // As after a recovery whose log ended before it: it loosens, so that it waits again.
    assert!(node.site.policies.go_on(judges::walk(&node.site.cluster_id, &first, steps(&[&lost])).unwrap()));
    let index = node.replica.applied();
    for command in [PolicyCommand::propose(aside.clone()), withdrawal(&node, lost.change())] {
        let refused = asks::bring(&node, command).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::OrderRefused, "{refused:?}");
    }
    assert_eq!(node.replica.applied(), index, "nothing was proposed");
    let by_user = asks::bring(&node, PolicyCommand::Enact(lost.change())).await.unwrap_err();
    assert_eq!(by_user.code, RefusalCode::NotAuthorized, "the leader brings changes into force, nobody else");
    assert!(matches!(propose(&node, &lost).await, PolicyOutcome::Pending(_)), "the lost step itself may come");
    look(&node).await;
    assert_eq!(node.governance.unfit.get(), None);
    node.replica.shutdown().await;
}

/// An answer of a node with this policy, in a session of its own, and whether another one accepts it.
async fn judged(by: &Arc<crate::context::Site>, of: &Arc<crate::context::Site>, role: Role) -> Result<Digest, SessionError> {
    let keys = NodeSecrets::generate(&mut *(of.entropy)()).public().clone();
    let (handshake, nonce, noise) = (Digest([3; 32]), Nonce([4; 32]), keys.noise);
    let incarnation = if role == Role::JoinInit { Incarnation(0) } else { Incarnation::new(of.epoch(), 7) };
    let mut answer = attesting::answer(of, Claim { role, incarnation, keys, handshake, nonce }).await.unwrap();
    answer.steps = cell::after(&answer.policy, &answer.steps, Some(&by.policies.now().digest()));
    let peer = attesting::judge(by, answer, Wanted { role, handshake, nonce, noise }).await?;
    if role == Role::JoinResp {
        learn(by, peer.steps());
    }
    Ok(Digest(peer.policy().digest()))
}

#[tokio::test]
async fn nodes_that_are_not_equally_far_judge_each_other_by_the_newer_policy_and_a_joiner_learns_it() {
    let first = founding(60);
    let site = |chip, slot| place::site_under(first.clone(), (chip, slot), &[]);
    let (ahead, behind, excluded) = (site("genoa-1", 1), site("turin-1", 2), site("tdx-1", 3));
    let (second, to_second) = step(&first, |policy| policy.tdx.platforms = List::default());
    assert!(ahead.policies.go_on(judges::walk(&ahead.cluster_id, &first, steps(&[&to_second])).unwrap()));
    let newer = Digest(second.digest());
    assert_eq!(judged(&ahead, &behind, Role::PeerInit).await, Ok(newer), "bound to the older, judged by the newer");
    assert!(matches!(judged(&ahead, &excluded, Role::PeerInit).await, Err(SessionError::Rejected(_))), "lagging is no way around it");
    assert_eq!(judged(&behind, &ahead, Role::PeerInit).await, Ok(newer));
    assert!(
        matches!(judged(&behind, &ahead, Role::JoinInit).await, Err(SessionError::PolicyUnrelated { .. })),
        "whoever asks to join shows a change that is not in force here: it may wait, or be withdrawn"
    );
    assert_eq!(judged(&ahead, &behind, Role::JoinInit).await, Ok(newer), "one that lags is judged by what is in force");
    assert_eq!(behind.policies.now().digest(), Digest(first.digest()), "who answers teaches nothing");
    assert_eq!(judged(&behind, &ahead, Role::JoinResp).await, Ok(newer));
    assert_eq!(behind.policies.now().digest(), newer, "whoever dials goes by what is proved to it");
}
