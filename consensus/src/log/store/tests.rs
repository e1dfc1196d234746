//! The log's interface to Raft: what fences, and what a fenced one takes.
//!
//! Decides: votes and entries are held to what was written before (IN1, IN3), and nothing is queued once the member is fenced (IN8).
//! Trusts: the writer. Out of scope: what the writer does to the disk (`consensus/tests/suite/storage.rs`).
#![allow(clippy::unwrap_used)]
use super::*;
use ringwall_wire::ids::{Epoch, Incarnation};

fn store(dir: &tempfile::TempDir) -> LogStore {
    LogStore::create(Ground::real(dir.path()), 64 * 1024, 1024).unwrap()
}

fn ballot(term: u64, leader: u64, committed: bool) -> Vote {
    types::vote(&Ballot { term, leader: Incarnation::new(Epoch(1), leader), committed })
}

#[tokio::test]
async fn a_second_vote_in_a_term_fences() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = store(&dir);
    for vote in [ballot(2, 1, false), ballot(2, 1, true), ballot(3, 2, false), ballot(3, 1, true), ballot(4, 2, false)] {
        log.save_vote(&vote).await.unwrap();
    }
    assert!(log.ground.fence.reason().is_none());
    assert!(log.save_vote(&ballot(4, 1, false)).await.is_err());
    assert!(log.ground.fence.reason().unwrap().contains("IN1"));
    let (dir, back) = (tempfile::tempdir().unwrap(), ballot(1, 2, true));
    let mut log = store(&dir);
    log.save_vote(&ballot(2, 1, false)).await.unwrap();
    assert!(log.save_vote(&back).await.is_err(), "nor does a term go back");
}

#[tokio::test]
async fn taking_back_what_is_committed_fences() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = store(&dir);
    let at = |index| types::log_id(&LogPosition { term: 1, index });
    let entries = (0..4).map(|index| Entry { log_id: at(index), payload: EntryPayload::Blank });
    log.append(entries, IOFlushed::noop()).await.unwrap();
    log.save_committed(Some(at(2))).await.unwrap();
    log.truncate_after(Some(at(2))).await.unwrap();
    assert!(log.ground.fence.reason().is_none());
    assert!(log.truncate_after(Some(at(1))).await.is_err());
    assert!(log.ground.fence.reason().unwrap().contains("IN3"));
}

#[tokio::test]
async fn an_entry_that_does_not_follow_the_last_fences() {
    let at = |index| types::log_id(&LogPosition { term: 1, index });
    let entry = |index| Entry { log_id: at(index), payload: EntryPayload::Blank };
    for other in [1, 3, 7] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = store(&dir);
        log.append([entry(0), entry(1)], IOFlushed::noop()).await.unwrap();
        assert!(log.append([entry(other)], IOFlushed::noop()).await.is_err(), "entry {other} after entry 1");
        assert!(log.ground.fence.reason().unwrap().contains("log append"));
        assert_eq!(log.last().unwrap().index, 1);
    }
}

#[tokio::test]
async fn behind_a_fence_the_log_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = store(&dir);
    log.save_vote(&ballot(2, 1, false)).await.unwrap();
    // Not a fault of the log: its writer knows of none and would write on.
    log.ground.fence.raise("something else went wrong");
    assert!(log.save_vote(&ballot(3, 1, false)).await.is_err(), "a vote of a fenced member is a promise it may break");
    let entry = Entry { log_id: types::log_id(&LogPosition { term: 2, index: 0 }), payload: EntryPayload::Blank };
    assert!(log.append([entry], IOFlushed::noop()).await.is_err(), "so is an entry");
    assert!(log.truncate_after(None).await.is_err() && log.purge(types::log_id(&LogPosition { term: 2, index: 0 })).await.is_err());
    let found = crate::log::recover::recover(&crate::disk::OsDisk, dir.path()).unwrap();
    assert_eq!(found.vote.map(|vote| vote.term), Some(2), "nothing of it is on the disk");
}
