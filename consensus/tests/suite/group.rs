//! Three replicas in one process: election, writes, reads, partitions, loss of the leader, catch-up, snapshots, replacement.
//!
//! Decides: that what was acknowledged stays, on every replica the same. Every wait is for a condition and bounded by tries.
//! Trusts: the wires of `rig`. Out of scope: evidence and sessions.

use crate::rig::*;
use ringwall_consensus::{MembershipError, Role, member_of};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{CommandBody, Outcome};
use ringwall_wire::ids::{Incarnation, Revision};
use ringwall_wire::request::Expect;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_elects_writes_and_reads() {
    let group = Group::start(3).await;
    assert_eq!(group.write(open_space(SPACE)).await, Outcome::Applied(Revision(1)));
    assert_eq!(group.write(put(1, 1, 7, b"one", Expect::Absent)).await, Outcome::Applied(Revision(2)));
    for replica in group.all().into_values() {
        let view = linear(&replica).await;
        let found = view.get(&SPACE, &key(7)).unwrap().unwrap();
        assert_eq!((&*found.record.value, found.version), (&b"one"[..], Revision(2)), "any member reads what was acknowledged");
    }
    let metrics = group.leader().await.metrics();
    assert_eq!((metrics.voters.len(), metrics.learners.len(), metrics.joint), (3, 0, false));
    group.assert_identical().await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_forwards_writes() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    let leader = group.leader().await.metrics().me;
    let follower = group.all().into_iter().find(|(id, _)| *id != leader).unwrap().1;
    let mut outcome = None;
    for _ in 0..TRIES {
        if let Ok(applied) = follower.write(vec![put(1, 1, 7, b"one", Expect::Any)]).await {
            outcome = Some(applied.outcomes[0]);
            break;
        }
    }
    assert_eq!(outcome, Some(Outcome::Applied(Revision(2))));
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_the_leader_loses_no_acknowledged_write() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    for seq in 1..=40 {
        group.write(put(1, seq, seq, b"before", Expect::Absent)).await;
    }
    let leader = group.leader().await.metrics().me;
    group.kill(leader).await;
    for seq in 41..=80 {
        group.write(put(1, seq, seq, b"after", Expect::Absent)).await;
    }
    let view = linear(&group.leader().await).await;
    assert_eq!(view.scan(&SPACE, None, 1_000).unwrap().records.len(), 80);
    group.assert_identical().await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_answers_no_reads_and_loses_its_writes() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    let old = group.leader().await;
    let id = old.metrics().me;
    group.isolate(id);
    assert!(old.read_index().await.is_err(), "without a quorum there is no linearizable read");
    let lost = tokio::spawn({
        let old = old.clone();
        async move { old.propose(CommandBody::Writes(List::new(vec![put(9, 1, 99, b"lost", Expect::Any)]).unwrap().into())).await }
    });
    wait_for("another leader", || group.all().iter().any(|(other, replica)| *other != id && replica.metrics().role == Role::Leader)).await;
    assert_eq!(group.write(put(1, 1, 7, b"kept", Expect::Absent)).await, Outcome::Applied(Revision(2)));
    group.heal();
    assert!(lost.await.unwrap().is_err(), "what no quorum saw is not acknowledged");
    group.assert_identical().await;
    let view = linear(&group.leader().await).await;
    assert!(view.get(&SPACE, &key(99)).unwrap().is_none());
    assert!(view.get(&SPACE, &key(7)).unwrap().is_some());
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_partition_does_not_disturb_the_leader() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    let leader = group.leader().await;
    let (id, term) = (leader.metrics().me, leader.metrics().term);
    let follower = group.all().into_keys().find(|other| *other != id).unwrap();
    group.isolate(follower);
    for seq in 1..=200 {
        group.write(put(1, seq, seq, b"meanwhile", Expect::Any)).await;
    }
    group.heal();
    group.assert_identical().await;
    let now = group.leader().await.metrics();
    assert_eq!(now.me, id, "pre-vote: whoever could not win does not raise the term");
    assert_eq!(now.term, term);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_follower_catches_up_by_snapshot() {
    let group = Group::start_with(3, |options| {
        options.snapshot_entries = 50;
        options.keep_entries = 10;
        options.overlay_bytes = 64 * 1024;
    })
    .await;
    group.write(open_space(SPACE)).await;
    let leader = group.leader().await.metrics().me;
    let follower = group.all().into_keys().find(|other| *other != leader).unwrap();
    group.isolate(follower);
    for seq in 1..=300 {
        group.write(put(1, seq, seq % 90, &[seq as u8; 900], Expect::Any)).await;
    }
    group.heal();
    group.assert_identical().await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_the_same_bytes_on_every_replica() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    for seq in 1..=100 {
        group.write(put_ttl(1, seq, seq % 30, b"value", Expect::Any, (seq % 3) as u32 * 100)).await;
        group.write(delete(2, seq, seq % 7)).await;
    }
    let index = group.leader().await.read_index().await.unwrap();
    let mut files = Vec::new();
    for (id, replica) in group.all() {
        retry_ok(|| replica.wait_applied(index)).await;
        let at = replica.snapshot().await.unwrap();
        assert_eq!(at, index, "nothing is written meanwhile");
        files.push(std::fs::read(group.folder(id).join(format!("snapshot-{at:016}"))).unwrap());
    }
    assert!(files[0].len() > 1_000);
    assert!(files.iter().all(|file| *file == files[0]));
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_replaced_under_load() {
    let group = std::sync::Arc::new(
        Group::start_with(3, |options| {
            options.snapshot_entries = 100;
            options.keep_entries = 20;
        })
        .await,
    );
    group.write(open_space(SPACE)).await;
    let load = tokio::spawn({
        let group = std::sync::Arc::clone(&group);
        async move {
            for seq in 1..=400 {
                let outcome = group.write(put(1, seq, seq, b"load", Expect::Absent)).await;
                assert!(matches!(outcome, Outcome::Applied(_)), "{seq}: {outcome:?}");
            }
        }
    });
    let leader = group.leader().await.metrics().me;
    let old = group.all().into_keys().find(|other| *other != leader).unwrap();
    let slot = group.get(old).metrics().voters.iter().find(|voter| voter.incarnation == old).unwrap().member.slot;
    group.kill(old).await;
    let new = group.join(slot.0, Some(old)).await;
    assert_eq!(group.command(CommandBody::Retire(old)).await.outcomes, [Outcome::Done]);
    load.await.unwrap();
    let metrics = group.leader().await.metrics();
    let voters: Vec<Incarnation> = metrics.voters.iter().map(|voter| voter.incarnation).collect();
    assert!(voters.contains(&new) && !voters.contains(&old) && voters.len() == 3);
    let view = linear(&group.leader().await).await;
    assert_eq!(view.scan(&SPACE, None, 1_000).unwrap().records.len(), 400);
    group.assert_identical().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_change_of_leader_is_applied_once() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    let first = group.write(put(1, 1, 7, b"x", Expect::Absent)).await;
    let leader = group.leader().await.metrics().me;
    group.kill(leader).await;
    let again = group.write(put(1, 1, 7, b"x", Expect::Absent)).await;
    assert_eq!(first, again, "the recorded outcome, not a conflict");
    let view = linear(&group.leader().await).await;
    assert_eq!(view.revision(), Revision(2));
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lossy_wires_lose_nothing_acknowledged() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    group.wires.faults.lock().unwrap().lossy = 50;
    for seq in 1..=150 {
        let outcome = group.write(put(1, seq, seq, b"value", Expect::Absent)).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{seq}: {outcome:?}");
    }
    group.heal();
    group.assert_identical().await;
    let view = linear(&group.leader().await).await;
    assert_eq!(view.scan(&SPACE, None, 1_000).unwrap().records.len(), 150);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_before_a_shutdown() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    let old = group.leader().await;
    old.hand_over().await.unwrap();
    assert_ne!(old.metrics().role, Role::Leader);
    assert_ne!(group.leader().await.metrics().me, old.metrics().me);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_has_not_heard_of_its_promotion_still_votes() {
    let group = Group::start(2).await;
    group.write(open_space(SPACE)).await;
    let cert = cert(3, group.next());
    let new = group.admit(&cert, None).await;
    group.open(new).await;
    group
        .retry(|leader| {
            let member = member_of(&cert);
            async move { leader.admit_learner(new, member).await }
        })
        .await;
    let leader = group.leader().await;
    wait_for("the learner catches up", || {
        let metrics = leader.metrics();
        metrics.replication.iter().any(|(id, index)| *id == new && *index == metrics.last_index)
    })
    .await;
    group.isolate(new);
    leader.promote(new, None).await.unwrap();
    group.kill(leader.metrics().me).await;
    group.heal();
    // Two of three voters are there; one of them does not know that it is one.
    assert_eq!(group.write(put(1, 1, 7, b"x", Expect::Any)).await, Outcome::Applied(Revision(2)));
    group.assert_identical().await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incarnation_that_was_not_admitted_cannot_become_a_learner() {
    let group = Group::start(1).await;
    let leader = group.leader().await;
    let stranger = cert(2, 77);
    let refused = leader.admit_learner(Incarnation::new(EPOCH, 999), member_of(&stranger)).await;
    assert!(refused.is_err());
    // Admitted under one key, added under another.
    let id = group.admit(&stranger, None).await;
    assert!(leader.admit_learner(id, member_of(&cert(2, 78))).await.is_err());
    assert!(leader.promote(id, None).await.is_err(), "nobody becomes a voter without having been a learner");
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_live_incarnation_that_has_caught_up_becomes_a_voter() {
    /// A change that should be refused at once; one that is carried out would wait for a member that never answers.
    async fn refused(step: impl Future<Output = Result<(), MembershipError>>) -> MembershipError {
        let done = tokio::time::timeout(std::time::Duration::from_secs(30), step).await;
        done.expect("it is not carried out").expect_err("it is refused")
    }
    let group = Group::start(1).await;
    group.write(open_space(SPACE)).await;
    let leader = group.leader().await;
    // A learner that nobody has heard of lacks everything.
    let first = cert(2, group.next());
    let silent = group.admit(&first, None).await;
    leader.admit_learner(silent, member_of(&first)).await.unwrap();
    for seq in 1..=70 {
        group.write(put(1, seq, seq, b"x", Expect::Any)).await;
    }
    let why = refused(leader.promote(silent, None)).await;
    assert!(matches!(why, MembershipError::Lagging { incarnation, lag, .. } if incarnation == silent && lag > 64), "{why:?}");
    // Another one is admitted to its slot: the first is still on record, and not live.
    let next = group.admit(&cert(2, group.next()), Some(silent)).await;
    assert_ne!(next, silent);
    let why = refused(leader.promote(silent, None)).await;
    assert!(matches!(why, MembershipError::NotAdmitted(id) if id == silent), "{why:?}");
    leader.remove(silent).await.unwrap();
    let why = refused(leader.admit_learner(silent, member_of(&first))).await;
    assert!(matches!(why, MembershipError::NotAdmitted(id) if id == silent), "{why:?}");
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_used_once() {
    let group = Group::start(1).await;
    let id = group.leader().await.metrics().me;
    group.kill(id).await;
    let options = ringwall_consensus::Options::new(group.folder(id), CLUSTER, id, std::sync::Arc::new(|| 0));
    let again = ringwall_consensus::Replica::open(options, std::sync::Arc::new(Nobody)).await;
    assert!(matches!(again, Err(ringwall_consensus::OpenError::NotEmpty(_))), "there is no edge from disk to voter");
}
