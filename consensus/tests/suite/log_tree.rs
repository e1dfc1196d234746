//! The log tree over a group: one root for one size, whoever is asked, however it came by its state; and what becomes of a member that is given
//! another log than its leader has.
//!
//! Decides: roots, paths and namespace chains are equal on all replicas, after a change of leader and after a snapshot; entries that come with
//! another root are refused by type; entries that were changed on the way are noticed before their member goes on.
//! Trusts: the wires of `rig`. Out of scope: the tree alone (`machine/log_tree/tests.rs`), receipts.

use crate::rig::*;
use ringwall_consensus::{Replica, View};
use ringwall_wire::bounded::SharedBlob;
use ringwall_wire::ids::{Digest, Incarnation};
use ringwall_wire::peer::{AppendCall, Ballot, EntryPayload, PeerAnswer, PeerCall};
use ringwall_wire::receipt::TreePoint;
use ringwall_wire::request::Expect;
use ringwall_wire::session::RefusalCode;
use ringwall_wire::tree::is_consistent;
use std::sync::atomic::{AtomicU64, Ordering};

async fn write(group: &Group, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        group.write(put(1, seq, seq % 7, &seq.to_be_bytes(), Expect::Any)).await;
    }
}

/// Every root of a view; each size proves itself to be part of the last.
fn roots(view: &View) -> Vec<Digest> {
    let now = view.tree();
    assert_eq!(now.size, view.applied() + 1, "one leaf an entry");
    let root = |size| view.tree_at(size).unwrap().unwrap().root;
    let roots: Vec<Digest> = (1..=now.size).map(root).collect();
    for (first, root) in (1..).zip(&roots) {
        let path = view.consistency(first).unwrap().unwrap();
        assert!(is_consistent(first, root, now.size, &now.root, &path), "{first} to {}", now.size);
    }
    roots
}

async fn one_history(group: &Group) {
    group.assert_identical().await;
    let mut all = Vec::new();
    for replica in group.all().into_values() {
        let view = linear(&replica).await;
        all.push((roots(&view), view.chain(&SPACE).unwrap()));
    }
    let shortest = all.iter().map(|(roots, _)| roots.len()).min().unwrap();
    for (roots, chain) in &all {
        assert_eq!(roots.get(..shortest), all[0].0.get(..shortest));
        assert_eq!(*chain, all[0].1, "one chain over the namespace");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_size_has_one_root_on_every_member_also_after_a_snapshot() {
    let group = Group::start_with(3, |options| {
        options.snapshot_entries = 40;
        options.keep_entries = 4;
    })
    .await;
    group.write(open_space(SPACE)).await;
    write(&group, 1..=150).await;
    one_history(&group).await;
    let leader = group.leader().await.metrics().me;
    group.kill(leader).await;
    write(&group, 151..=180).await;
    // It comes with an empty folder, and begins with a snapshot.
    group.join(4, None).await;
    write(&group, 181..=330).await;
    one_history(&group).await;
    let (seq, _) = linear(&group.leader().await).await.chain(&SPACE).unwrap();
    assert_eq!(seq, 330, "every change was counted once");
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_counts_what_happened_to_it_and_nothing_else() {
    let group = Group::start(1).await;
    group.write(open_space(SPACE)).await;
    let chain = || async { linear(&group.leader().await).await.chain(&SPACE).unwrap() };
    assert_eq!(chain().await, (0, Digest([0; 32])));
    group.write(put(1, 1, 7, b"one", Expect::Any)).await;
    let one = chain().await;
    assert_eq!(one.0, 1);
    group.write(put(1, 1, 7, b"one", Expect::Any)).await;
    group.write(put(1, 2, 7, b"two", Expect::Absent)).await;
    group.write(delete(1, 3, 8)).await;
    assert_eq!(chain().await, one, "a retry, a conflict and a delete of nothing change nothing");
    group.write(delete(1, 4, 7)).await;
    let two = chain().await;
    assert_eq!(two.0, 2);
    group.write(put_ttl(1, 5, 7, b"short", Expect::Any, 1)).await;
    group.clock.fetch_add(5_000, std::sync::atomic::Ordering::Relaxed);
    group.command(ringwall_wire::command::CommandBody::Expire).await;
    assert_eq!(chain().await.0, 4, "put, and gone by its time");
    group.stop().await;
}

async fn follower(group: &Group) -> (Incarnation, Replica) {
    let leader = group.leader().await.metrics().me;
    group.all().into_iter().find(|(id, _)| *id != leader).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_with_another_root_are_refused_by_type() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    write(&group, 1..=20).await;
    let (id, replica) = follower(&group).await;
    let leader = group.leader().await;
    let view = linear(&replica).await;
    let TreePoint { size, root } = view.tree_at(9).unwrap().unwrap();
    let metrics = leader.metrics();
    let ballot = Ballot { term: metrics.term, leader: metrics.me, committed: true };
    let call = |tree| AppendCall { ballot, previous: None, entries: Default::default(), committed: None, tree: Some(tree) };
    let answer = replica.answer(metrics.me, PeerCall::Append(call(TreePoint { size, root: Digest([1; 32]) }))).await;
    assert!(matches!(&answer, PeerAnswer::Refused(refusal) if refusal.code == RefusalCode::OtherHistory), "{answer:?}");
    let answer = replica.answer(metrics.me, PeerCall::Append(call(TreePoint { size, root }))).await;
    assert!(!matches!(&answer, PeerAnswer::Refused(_)), "{answer:?}");
    // Two words about one size that is not reached.
    let beyond = |byte| call(TreePoint { size: 1 << 40, root: Digest([byte; 32]) });
    let _first = replica.answer(metrics.me, PeerCall::Append(beyond(1))).await;
    let answer = replica.answer(metrics.me, PeerCall::Append(beyond(2))).await;
    assert!(matches!(&answer, PeerAnswer::Refused(refusal) if refusal.code == RefusalCode::OtherHistory), "{answer:?}");
    // A member that reaches a size where its leader has another root stops: nobody can tell from here which of the two is wrong.
    *group.wires.edit.lock().unwrap() = Some((id, |call| {
        if let PeerCall::Append(AppendCall { tree: Some(tree), .. }) = call {
            tree.root.0[0] ^= 1;
        }
    }));
    let before = replica.metrics().applied;
    for seq in 21..=30 {
        group.write(put(1, seq, seq, b"more", Expect::Any)).await;
    }
    wait_for("the member to stop", || replica.metrics().fenced.is_some()).await;
    let stopped = replica.metrics();
    assert!(stopped.fenced.as_ref().is_some_and(|why| why.contains("has another root here")), "{}", summary(&stopped));
    assert!(stopped.applied <= before + 2, "nobody was shown the state beyond: {}", summary(&stopped));
    *group.wires.edit.lock().unwrap() = None;
    group.kill(id).await;
    one_history(&group).await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_changed_on_the_way_stop_their_member() {
    let group = Group::start(3).await;
    group.write(open_space(SPACE)).await;
    write(&group, 1..=5).await;
    let (id, replica) = follower(&group).await;
    let from = replica.metrics().applied;
    *group.wires.edit.lock().unwrap() = Some((id, |call| {
        let PeerCall::Append(AppendCall { entries, .. }) = call else { return };
        let mut changed = std::mem::take(entries).into_vec();
        for entry in &mut changed {
            if let EntryPayload::Command(bytes) = &mut entry.payload {
                let mut other = bytes.to_vec();
                *other.last_mut().unwrap() ^= 1;
                *bytes = SharedBlob::new(other).unwrap();
            }
        }
        *entries = ringwall_wire::bounded::List::new(changed).unwrap();
    }));
    write(&group, 6..=6).await;
    wait_for("the changed entry to be applied, or refused", || {
        let metrics = replica.metrics();
        metrics.applied > from || metrics.fenced.is_some()
    })
    .await;
    *group.wires.edit.lock().unwrap() = None;
    write(&group, 7..=40).await;
    let leader = group.leader().await.metrics();
    let stopped = replica.metrics();
    assert!(stopped.fenced.is_some() || stopped.applied <= from + 3, "it went on: {} after {}", summary(&stopped), summary(&leader));
    assert!(replica.linear_view().await.is_err(), "and serves no read");
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_not_as_announced_is_refused() {
    /// Snapshots that arrived whole.
    static WHOLE: AtomicU64 = AtomicU64::new(0);
    let group = Group::start_with(3, |options| {
        options.snapshot_entries = 50;
        options.keep_entries = 10;
    })
    .await;
    group.write(open_space(SPACE)).await;
    let (id, replica) = follower(&group).await;
    // Every byte of it is what the leader has, and its announcement is of other bytes.
    *group.wires.edit.lock().unwrap() = Some((id, |call| match call {
        PeerCall::SnapshotBegin(head) => head.digest.0[0] ^= 1,
        PeerCall::SnapshotPart(chunk) if chunk.last => _ = WHOLE.fetch_add(1, Ordering::Relaxed),
        _ => {}
    }));
    // The first one is answered before the leader sends it again.
    let tried_twice = || WHOLE.load(Ordering::Relaxed) >= 2;
    let mut before = 0;
    for round in 0..5 {
        group.isolate(id);
        write(&group, 300 * round + 1..=300 * (round + 1)).await;
        before = replica.metrics().applied;
        group.heal();
        // A leader that makes its snapshot a little later still has the entries themselves; then the member is cut off once more.
        wait_for("a second try, or entries in its place", || tried_twice() || replica.metrics().applied > before).await;
        if tried_twice() {
            break;
        }
        group.assert_identical().await;
    }
    assert!(tried_twice(), "the leader never sends a snapshot");
    let now = replica.metrics();
    assert_eq!((now.applied, &now.fenced), (before, &None), "it was taken in, or its member stopped: {}", summary(&now));
    *group.wires.edit.lock().unwrap() = None;
    group.assert_identical().await;
    assert!(replica.metrics().applied > before);
    group.stop().await;
}
