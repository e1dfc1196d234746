//! Nodes in this process that staple different heads of one log, and what a node that heard more makes of them.
//!
//! Decides: who lags is admitted, who was revoked is not, whatever head it shows; a log that lied is refused and the proof kept.
//! Trusts: proofs `ringwall-sim` mints. Out of scope: what a proof proves by itself (`attest/tests/negative/release.rs`).
#![allow(clippy::unwrap_used)]

use super::*;
use crate::attesting::{self, Claim, Wanted};
use crate::context::Site;
use crate::governance::InForce;
use crate::join::endorse::place;
use crate::stapling::Staple;
use ringwall_attest::release::LogError;
use ringwall_channel::NodeSecrets;
use ringwall_sim::release::{MintedLog, Publisher, statement_of};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::evidence::Role;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{Incarnation, Nonce};
use ringwall_wire::policy::{PolicyDoc, SignedPolicy};
use ringwall_wire::release::{ReleaseProof, Revoked, RevokedBuild};

/// A cluster whose policy demands releases, and its publisher.
struct Scene {
    publisher: Publisher,
    policy: PolicyDoc,
    proof: ReleaseProof,
    size: u64,
    now_s: u64,
    folder: tempfile::TempDir,
}

fn revocation(build: &str) -> Revoked {
    Revoked { what: RevokedBuild::Build(Text::new(build).unwrap()), reason: Text::new("it leaks").unwrap(), at_s: 1 }
}

impl Scene {
    fn new() -> Self {
        let now_s = crate::clock::system()() / 1_000;
        let mut publisher = Publisher::default();
        let mut policy = ringwall_sim::world::policy();
        policy.release = publisher.demanded();
        let proof = publisher.publish(&statement_of(&policy.measurements[0]), now_s);
        let size = publisher.log.size();
        Scene { publisher, policy, proof, size, now_s, folder: tempfile::tempdir().unwrap() }
    }

    fn rule(&self) -> ReleaseSigners {
        self.publisher.rule()
    }

    /// The proof with the log's newest head, cosigned so many seconds from now; no path leads to it from any other.
    fn refreshed(&self, later_s: u64) -> ReleaseProof {
        let mut proof = self.proof.clone();
        self.publisher.refresh(&mut proof, self.size, &[], self.now_s + later_s);
        proof
    }

    /// A node that staples this proof.
    fn node(&self, slot: u8, proof: &ReleaseProof) -> Arc<Site> {
        let chip = ["genoa-1", "turin-1", "tdx-1"][usize::from(slot) - 1];
        let mut site = place::site_under(self.policy.clone(), (chip, slot), &[]);
        let file = self.folder.path().join(format!("proof-{slot}"));
        std::fs::write(&file, proof.encode()).unwrap();
        place::change(&mut site, |site| site.config.staple = Staple::open(file).unwrap());
        site
    }
}

/// Whether one node accepts another that plays this part.
async fn judged(by: &Arc<Site>, of: &Arc<Site>, role: Role) -> Result<(), SessionError> {
    judged_after(by, of, role, None).await
}

/// The same where pages of changes came first, and led to this policy.
async fn judged_after(by: &Arc<Site>, of: &Arc<Site>, role: Role, ahead: Option<PolicyDoc>) -> Result<(), SessionError> {
    let keys = NodeSecrets::generate(&mut *(of.entropy)()).public().clone();
    let (handshake, nonce, noise) = (Digest([3; 32]), Nonce([4; 32]), keys.noise);
    let incarnation = if role == Role::JoinInit { Incarnation(0) } else { Incarnation::new(of.epoch(), 7) };
    let answer = attesting::answer(of, Claim { role, incarnation, keys, handshake, nonce }).await.unwrap();
    attesting::judge_from(by, answer, Wanted { role, handshake, nonce, noise }, ahead).await.map(drop)
}

fn why(judged: Result<(), SessionError>) -> Option<ReleaseError> {
    match judged {
        Err(SessionError::Rejected(Rejection::NotReleased(why))) => Some(*why),
        _ => None,
    }
}

#[tokio::test]
async fn a_node_of_a_revoked_build_is_refused_whatever_head_it_shows() {
    let mut scene = Scene::new();
    let build = scene.policy.measurements[0].id.to_string();
    let before = scene.proof.clone();
    scene.publisher.log.revoke(revocation(&build));
    let (member, joiner, shows) = (scene.node(1, &before), scene.node(2, &before), scene.node(3, &scene.refreshed(0)));
    for role in [Role::JoinInit, Role::PeerInit, Role::PeerResp] {
        assert_eq!(judged(&member, &joiner, role).await, Ok(()), "nobody heard of anything");
    }
    let mut renewals = member.sessions.renewals();
    renewals.mark_unchanged();
    // A node shows the revocation of its own build: it is refused for it, and heard.
    assert!(matches!(why(judged(&member, &shows, Role::PeerInit).await), Some(ReleaseError::Revoked { .. })));
    assert!(renewals.has_changed().unwrap(), "whoever has a session is judged anew");
    for role in [Role::JoinInit, Role::PeerInit, Role::PeerResp] {
        let refused = why(judged(&member, &joiner, role).await);
        assert!(matches!(refused, Some(ReleaseError::Revoked { .. })), "{role:?}: {refused:?}");
    }
    for role in [Role::PeerInit, Role::PeerResp] {
        let refused = why(judged_after(&member, &joiner, role, Some(scene.policy.clone())).await);
        assert!(matches!(refused, Some(ReleaseError::Revoked { .. })), "pages before it change nothing: {refused:?}");
    }
    renewals.mark_unchanged();
    assert!(judged(&member, &shows, Role::PeerInit).await.is_err());
    assert!(!renewals.has_changed().unwrap(), "what is known ends nothing again");
    assert_eq!(judged(&joiner, &member, Role::JoinResp).await, Ok(()), "one that heard nothing goes by what it is shown");
}

/// A change that governors signed and that waits names another log: its head is nothing that was heard of the log in force.
#[tokio::test]
async fn a_change_that_is_shown_does_not_make_a_node_forget() {
    let mut scene = Scene::new();
    let before = scene.proof.clone();
    scene.publisher.log.revoke(revocation("another build"));
    let member = scene.node(1, &before);
    assert_eq!(judged(&member, &scene.node(3, &scene.refreshed(0)), Role::PeerInit).await, Ok(()));
    let revoked = || member.heard.under(&scene.rule()).map(|heard| heard.revoked());
    assert_eq!(revoked(), Some(1));
    let mut other = Publisher { log: MintedLog::new("log.example/other"), ..Publisher::default() };
    other.log.append_leaf(Digest([1; 32]));
    let proof = other.publish(&statement_of(&scene.policy.measurements[0]), scene.now_s);
    let mut waits = PolicyDoc { release: other.demanded(), ..scene.policy.clone() };
    waits.version.0 += 1;
    let policy = Blob::new(waits.encode()).unwrap();
    let signed = SignedPolicy { replaces: Some(Digest(scene.policy.digest())), policy, signatures: List::default() };
    let shows = scene.node(2, &proof);
    assert!(shows.policies.go_on(InForce::by(&scene.policy, [PolicyStep { signed, notice: None }]).unwrap()));
    let accepted = judged_after(&member, &shows, Role::PeerInit, Some(waits)).await;
    assert_eq!(accepted, Ok(()), "its evidence stands for the change");
    assert_eq!(revoked(), Some(1), "what was heard stays");
}

#[tokio::test]
async fn what_was_heard_counts_for_a_node_that_brings_pages_of_policy_changes_too() {
    let mut scene = Scene::new();
    let build = scene.policy.measurements[0].id.to_string();
    let before = scene.proof.clone();
    scene.publisher.log.revoke(revocation(&build));
    let (member, peer, shows) = (scene.node(1, &before), scene.node(2, &before), scene.node(3, &scene.refreshed(0)));
    let ahead = || Some(scene.policy.clone());
    assert_eq!(judged_after(&member, &peer, Role::PeerInit, ahead()).await, Ok(()), "nobody heard of anything");
    assert!(matches!(why(judged_after(&member, &shows, Role::PeerInit, ahead()).await), Some(ReleaseError::Revoked { .. })));
    assert_eq!(member.heard.under(&scene.rule()).unwrap().revoked(), 1, "it is heard");
    let refused = why(judged_after(&member, &peer, Role::PeerInit, ahead()).await);
    assert!(matches!(refused, Some(ReleaseError::Revoked { .. })), "pages are no way around it: {refused:?}");
}

#[tokio::test]
async fn a_node_that_lags_is_locked_out_by_nobody() {
    let mut scene = Scene::new();
    let old = scene.proof.clone();
    scene.publisher.log.append_leaf(Digest([3; 32]));
    scene.publisher.log.revoke(revocation("another build"));
    let newer = scene.refreshed(0);
    let (ahead, behind, third) = (scene.node(1, &newer), scene.node(2, &old), scene.node(3, &newer));
    assert_eq!(judged(&ahead, &third, Role::PeerInit).await, Ok(()));
    assert_eq!(ahead.heard.under(&scene.rule()).unwrap().revoked(), 1);
    assert_eq!(judged(&behind, &third, Role::PeerInit).await, Ok(()), "nothing leads to it, and that is no lie");
    for role in [Role::JoinInit, Role::PeerInit] {
        assert_eq!(judged(&ahead, &behind, role).await, Ok(()), "an older head of a build nobody revoked");
        assert_eq!(judged(&behind, &ahead, role).await, Ok(()));
    }
    assert_eq!(ahead.heard.under(&scene.rule()).unwrap().checkpoint().size, 3, "nothing older takes its place");
}

#[tokio::test]
async fn a_log_that_lied_is_refused_and_the_proof_kept() {
    let mut scene = Scene::new();
    let mut forked = Scene::new();
    let before = scene.proof.clone();
    scene.publisher.log.append_leaf(Digest([3; 32]));
    forked.publisher.log.append_leaf(Digest([4; 32]));
    let data = tempfile::tempdir().unwrap();
    let mut member = scene.node(1, &before);
    place::change(&mut member, |site| site.heard = HeardCell::at_start(data.path()));
    std::fs::write(data.path().join(FORK_FILE), b"cut off").unwrap();
    assert_eq!(judged(&member, &scene.node(2, &scene.refreshed(0)), Role::PeerInit).await, Ok(()));
    let refused = why(judged(&member, &scene.node(2, &forked.refreshed(0)), Role::PeerInit).await);
    assert!(matches!(refused, Some(ReleaseError::Fork { error: LogError::Forked { .. }, .. })), "{refused:?}");
    let kept = ForkProof::decode(&std::fs::read(data.path().join(FORK_FILE)).unwrap()).unwrap();
    let rule = ringwall_attest::release::Rule::read(&scene.rule()).unwrap();
    assert!(ringwall_attest::release::verify_fork(&kept, &rule).is_err());
    // The same witnesses cosigned fewer entries later than they had cosigned more: that is no lagging node.
    let mut shrunk = scene.proof.clone();
    let shorter = Scene::new();
    shorter.publisher.refresh(&mut shrunk, shorter.size, &[], scene.now_s + 30);
    let refused = why(judged(&member, &scene.node(3, &shrunk), Role::JoinInit).await);
    assert!(matches!(refused, Some(ReleaseError::Fork { error: LogError::Shrank { .. }, .. })), "{refused:?}");
    assert_eq!(judged(&member, &scene.node(3, &before), Role::JoinInit).await, Ok(()), "one that lags honestly still comes in");
}

#[tokio::test]
async fn what_was_heard_outlasts_the_process_and_is_judged_again() {
    let mut scene = Scene::new();
    let build = scene.policy.measurements[0].id.to_string();
    let before = scene.proof.clone();
    scene.publisher.log.revoke(revocation(&build));
    let data = tempfile::tempdir().unwrap();
    let proof = Proof::new(scene.refreshed(0).encode()).unwrap();
    let rule = scene.rule();
    assert_eq!(HeardCell::at_start(data.path()).hear(&proof, &rule), 1);
    let mut member = scene.node(1, &before);
    place::change(&mut member, |site| site.heard = HeardCell::at_start(data.path()));
    assert!(matches!(why(judged(&member, &scene.node(2, &before), Role::JoinInit).await), Some(ReleaseError::Revoked { .. })));
    // Under the rule of another policy it says nothing, and it comes back with the first.
    let mut other = rule.clone();
    other.log = Text::new(ringwall_sim::release::MintedLog::new("log.example/other").vkey()).unwrap();
    let again = HeardCell::at_start(data.path());
    assert!(again.under(&other).is_none() && again.under(&rule).is_some());
    let few = ReleaseSigners { witness_threshold: 3, ..rule.clone() };
    scene.publisher.cosigning = 2;
    let bare = Proof::new(scene.refreshed(0).encode()).unwrap();
    assert_eq!(HeardCell::default().hear(&bare, &few), 0, "too few witnesses vouch for it");
    for damaged in [b"nothing".to_vec(), proof[..proof.len() - 1].to_vec(), vec![0; RELEASE_PROOF_BYTES + 1]] {
        std::fs::write(data.path().join(HEARD_FILE), damaged).unwrap();
        assert!(HeardCell::at_start(data.path()).under(&rule).is_none());
    }
}
