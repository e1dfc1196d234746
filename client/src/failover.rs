//! Failover against scripted nodes: what a client does when nodes break, refuse, lie or forget.
//!
//! Decides: nothing; each test is one promise of protocol section 3, step 7 (T-P7 in product.md: re-attest the next node, retry without
//! doubling a write). Trusts: the scripted world's bookkeeping. Compiled for tests only. Out of scope: bytes on the wire (`tests/`).
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::scripted::{Mode, client, client_at, timeouts, world};
use crate::{ConnectError, ReadError, Revision, WatchError, WriteError};
use ringwall_wire::limits::{SESSION_IN_FLIGHT, SESSION_WATCHES};
use ringwall_wire::session::RefusalCode;
use std::time::{Duration, Instant};

#[tokio::test]
async fn operations_do_what_they_say() {
    let world = world(&[("a", Mode::Serves)]);
    let client = client(&world, 2_000).await.unwrap();
    let notes = client.namespace("notes").await.unwrap();
    let first = notes.put("k", "1").await.unwrap();
    assert_eq!(notes.get("k").await.unwrap().unwrap().version, first);
    let second = notes.compare_and_set("k", first, "2").await.unwrap();
    match notes.compare_and_set("k", first, "3").await {
        Err(WriteError::Conflict { mutation: 0, current }) => assert_eq!(current, second),
        other => panic!("{other:?}"),
    }
    let batch = notes.batch().put("a/1", "x").unwrap().put("a/2", "y").unwrap().require("k", crate::Expect::Version(second)).unwrap();
    let third = batch.commit().await.unwrap();
    let keys: Vec<Vec<u8>> = notes.list("a/").page_entries(1).all().await.unwrap().into_iter().map(|item| item.key).collect();
    assert_eq!(keys, [b"a/1".to_vec(), b"a/2".to_vec()]);
    notes.delete("k").await.unwrap();
    assert!(notes.get("k").await.unwrap().is_none());
    assert!(client.revision() > third);
    assert_eq!(client.verification().address, "a");
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_anything_is_sent() {
    let world = world(&[("a", Mode::Serves)]);
    let notes = client(&world, 2_000).await.unwrap().namespace("notes").await.unwrap();
    assert!(matches!(notes.put("k", vec![0; 1024 * 1024 + 1]).await, Err(WriteError::ValueTooLarge { .. })));
    assert!(matches!(notes.put(vec![0; 1025], "v").await, Err(WriteError::KeyTooLong { .. })));
    assert!(matches!(notes.get(vec![0; 1025]).await, Err(ReadError::KeyTooLong { .. })));
    assert!(matches!(notes.batch().commit().await, Err(WriteError::BatchShape { .. })));
    let twice = notes.batch().put("k", "1").unwrap().put("k", "2");
    assert!(matches!(twice, Err(WriteError::BatchShape { .. })));
    let mut batch = notes.batch();
    for number in 0..128 {
        batch = batch.put(format!("{number}"), "v").unwrap();
    }
    assert!(matches!(batch.put("one more", "v"), Err(WriteError::BatchTooLarge { mutations: 129, .. })));
    let wide = notes.batch().put("a", vec![0; 1024 * 1024]).unwrap().put("b", vec![0; 256 * 1024]);
    assert!(matches!(wide, Err(WriteError::BatchTooLarge { .. })));
    assert!(world.lock().unwrap().submissions.is_empty(), "something was sent");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_sent_again_with_the_same_bytes_and_applied_once() {
    let world = world(&[("a", Mode::LosesAnswer), ("b", Mode::Serves)]);
    let notes = client_at(&world, "a", 2_000).await.namespace("notes").await.unwrap();
    let version = notes.put("k", "v").await.unwrap();
    let world = world.lock().unwrap();
    assert_eq!(world.applied.len(), 1, "a write was doubled");
    assert_eq!(world.submissions.len(), 2);
    assert_eq!(world.submissions[0].1, world.submissions[1].1, "the retry carried other bookkeeping");
    assert_eq!(world.submissions[0].2, world.submissions[1].2);
    assert_eq!(world.submissions[0].0, world.submissions[1].0, "the retry came under another name");
    assert_eq!(version, Revision(1));
    assert_eq!(world.dials.last().unwrap().0, "b", "the client did not move on");
}

#[tokio::test]
async fn nodes_that_cannot_serve_are_left_for_the_next() {
    let codes = [RefusalCode::NotMember, RefusalCode::ShuttingDown, RefusalCode::Fenced, RefusalCode::Unavailable];
    let modes = codes.into_iter().map(Mode::Says).chain([Mode::Breaks, Mode::Silent, Mode::Garbage, Mode::Unasked]);
    for mode in modes {
        let world = world(&[("a", mode), ("b", Mode::Serves)]);
        let notes = client_at(&world, "a", 4_000).await.namespace("notes").await.unwrap();
        notes.put("k", "v").await.unwrap_or_else(|fault| panic!("{mode:?}: {fault}"));
        assert_eq!(notes.get("k").await.unwrap().unwrap().value, b"v", "{mode:?}");
        let world = world.lock().unwrap();
        assert_eq!(world.applied.len(), 1, "{mode:?} doubled a write");
        assert_eq!(world.dials.iter().map(|(address, _)| address.as_str()).collect::<Vec<_>>(), ["a", "b"], "{mode:?}");
    }
}

#[tokio::test]
async fn a_node_whose_machine_is_gone_is_left_long_before_the_answer_is_due() {
    let world = world(&[("a", Mode::Gone), ("b", Mode::Serves)]);
    world.lock().unwrap().hints = vec!["b".into()];
    let patient = crate::Timeouts { answer: Duration::from_secs(20), deadline: Duration::from_secs(20), ..timeouts(0) };
    let scripted = crate::scripted::Scripted(std::sync::Arc::clone(&world));
    let client = crate::Client::over(scripted, vec!["a".into()], patient, crate::scripted::principal()).await.unwrap();
    let notes = client.namespace("notes").await.unwrap();
    let started = Instant::now();
    notes.put("k", "v").await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(world.lock().unwrap().applied.len(), 1);
}

#[tokio::test]
async fn a_silent_address_does_not_hold_up_the_next_one() {
    let world = world(&[("a", Mode::Serves), ("b", Mode::Void), ("c", Mode::Serves)]);
    let slow = crate::Timeouts { dial: Duration::from_secs(30), answer: Duration::from_millis(150), deadline: Duration::from_secs(4) };
    let scripted = crate::scripted::Scripted(std::sync::Arc::clone(&world));
    let nodes = ["a", "b", "c"].map(String::from).to_vec();
    let client = crate::Client::over(scripted, nodes, slow, crate::scripted::principal()).await.unwrap();
    let notes = client.namespace("notes").await.unwrap();
    for at in ["a", "b", "c", "a", "b", "c"] {
        // Whichever serves now goes away, so that sooner or later the silent one is next in order.
        let serving = notes.client().verification().address.clone();
        world.lock().unwrap().nodes.insert(serving.clone(), Mode::Says(RefusalCode::Unavailable));
        let other = if serving == "a" { "c" } else { "a" };
        world.lock().unwrap().nodes.insert(other.into(), Mode::Serves);
        notes.put(at, "v").await.expect("30 s of silence at one address took the time of the others");
    }
    assert!(world.lock().unwrap().reached.iter().any(|address| address == "b"), "the silent address was never next");
}

#[tokio::test]
async fn a_node_that_was_reached_may_take_its_time_for_evidence() {
    let world = world(&[("a", Mode::Throttled(800)), ("b", Mode::Throttled(800))]);
    let patient = crate::Timeouts { dial: Duration::from_secs(5), ..timeouts(5_000) };
    let scripted = crate::scripted::Scripted(std::sync::Arc::clone(&world));
    let client = crate::Client::over(scripted, vec!["a".into(), "b".into()], patient, crate::scripted::principal()).await.unwrap();
    client.namespace("notes").await.unwrap().put("k", "v").await.unwrap();
    assert_eq!(world.lock().unwrap().reached.len(), 1, "a throttled machine was asked for evidence twice");
}

#[tokio::test]
async fn a_busy_node_is_asked_again_without_a_new_session() {
    let world = world(&[("a", Mode::SaysOnce(RefusalCode::Busy, 3)), ("b", Mode::Serves)]);
    let notes = client_at(&world, "a", 4_000).await.namespace("notes").await.unwrap();
    notes.put("k", "v").await.unwrap();
    assert_eq!(world.lock().unwrap().dials.len(), 1);
}

#[tokio::test]
async fn a_definite_refusal_is_told_at_once_and_nothing_is_retried() {
    let world = world(&[("a", Mode::Says(RefusalCode::NoNamespace)), ("b", Mode::Serves)]);
    let notes = client_at(&world, "a", 4_000).await.namespace("notes").await.unwrap();
    assert!(matches!(notes.put("k", "v").await, Err(WriteError::NoNamespace { .. })));
    assert!(matches!(notes.get("k").await, Err(ReadError::NoNamespace { .. })));
    assert_eq!(world.lock().unwrap().dials.len(), 1);
}

#[tokio::test]
async fn a_full_disk_is_told_at_once_and_as_unknown_when_an_earlier_try_may_have_been_applied() {
    let full = world(&[("a", Mode::Says(RefusalCode::NoRoom)), ("b", Mode::Serves)]);
    let notes = client_at(&full, "a", 4_000).await.namespace("notes").await.unwrap();
    let fault = notes.put("k", "v").await.unwrap_err();
    assert_eq!(fault.code(), "RW-C-NODE-NO-ROOM", "{fault}");
    assert_eq!(full.lock().unwrap().submissions.len(), 1);

    let lost = world(&[("a", Mode::Breaks), ("b", Mode::Says(RefusalCode::NoRoom))]);
    let notes = client_at(&lost, "a", 4_000).await.namespace("notes").await.unwrap();
    match notes.put("k", "v").await {
        Err(WriteError::OutcomeUnknown { submissions: 2, .. }) => {}
        other => panic!("the first try may have been applied: {other:?}"),
    }
}

#[tokio::test]
async fn a_node_whose_evidence_was_refused_is_not_asked_again_and_others_are() {
    let world = world(&[("a", Mode::BadEvidence), ("b", Mode::Breaks), ("c", Mode::Serves)]);
    for _ in 0..6 {
        let client = client(&world, 2_000).await.unwrap();
        let notes = client.namespace("notes").await.unwrap();
        notes.put("k", "v").await.unwrap();
        let mut world = world.lock().unwrap();
        assert!(world.dials.iter().filter(|(address, _)| address == "a").count() <= 1, "{:?}", world.dials);
        world.dials.clear();
    }
}

#[tokio::test]
async fn refused_evidence_everywhere_fails_at_once_with_the_reason() {
    let world = world(&[("a", Mode::BadEvidence), ("b", Mode::BadEvidence)]);
    let started = Instant::now();
    let fault = client(&world, 10_000).await.unwrap_err();
    assert!(matches!(fault, ConnectError::Evidence { .. }), "{fault}");
    assert_eq!(fault.code(), "RW-C-EVIDENCE");
    assert_eq!(fault.tried().len(), 2);
    assert!(started.elapsed() < Duration::from_secs(2), "waited for the deadline");
    assert_eq!(world.lock().unwrap().dials.len(), 2);
}

#[tokio::test]
async fn a_refused_user_is_told_at_once() {
    let world = world(&[("a", Mode::NoUser), ("b", Mode::NoUser)]);
    assert!(matches!(client(&world, 10_000).await, Err(ConnectError::NotAuthorized { .. })));
    assert_eq!(world.lock().unwrap().dials.len(), 1);
}

#[tokio::test]
async fn nobody_there_ends_at_the_deadline_with_every_address() {
    let world = world(&[("a", Mode::Down), ("b", Mode::Down)]);
    let started = Instant::now();
    match client(&world, 400).await.unwrap_err() {
        ConnectError::Unavailable { tried, .. } => assert_eq!(tried.len(), 2),
        other => panic!("{other}"),
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_sent_write_without_an_answer_has_an_unknown_outcome_and_a_read_is_unavailable() {
    let world = world(&[("a", Mode::Silent)]);
    let notes = client_at(&world, "a", 600).await.namespace("notes").await.unwrap();
    let (put, get) = tokio::join!(notes.put("k", "v"), notes.get("k"));
    match put {
        Err(WriteError::OutcomeUnknown { submissions, .. }) => assert!(submissions >= 2, "{submissions}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(get, Err(ReadError::Session(ConnectError::Unavailable { .. }))), "{get:?}");
}

#[tokio::test]
async fn a_write_that_was_never_sent_is_unavailable_not_unknown() {
    let world = world(&[("a", Mode::Breaks)]);
    let notes = client_at(&world, "a", 500).await.namespace("notes").await.unwrap();
    let _ = notes.get("k").await;
    world.lock().unwrap().nodes.insert("a".into(), Mode::Down);
    // The first one may have been given up with a session just opened: this one loses it, and gets no other.
    let _ = notes.get("k").await;
    assert!(matches!(notes.put("k", "v").await, Err(WriteError::Session(ConnectError::Unavailable { .. }))));
    assert!(world.lock().unwrap().submissions.is_empty());
}

#[tokio::test]
async fn a_given_up_write_no_longer_holds_the_window() {
    let world = world(&[("a", Mode::Silent)]);
    let notes = client_at(&world, "a", 400).await.namespace("notes").await.unwrap();
    assert!(matches!(notes.put("k", "v").await, Err(WriteError::OutcomeUnknown { .. })));
    world.lock().unwrap().nodes.insert("a".into(), Mode::Serves);
    notes.put("k", "w").await.unwrap();
    let world = world.lock().unwrap();
    let last = world.submissions.last().unwrap().1;
    assert_eq!((last.seq, last.acked), (2, 2), "the next write must fence the one that was given up");
}

#[tokio::test]
async fn a_forgotten_client_starts_under_a_new_name_and_nothing_is_lost() {
    let world = world(&[("a", Mode::Serves)]);
    let client = client(&world, 3_000).await.unwrap();
    let notes = client.namespace("notes").await.unwrap();
    notes.put("k", "1").await.unwrap();
    let old = world.lock().unwrap().dials[0].1;
    world.lock().unwrap().forgotten.push(old);
    let writes = (0..20).map(|number| {
        let notes = notes.clone();
        tokio::spawn(async move { notes.put(format!("{number}"), "2").await })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
    let world = world.lock().unwrap();
    assert_eq!(world.applied.len(), 21);
    assert!(world.applied.iter().skip(1).all(|(name, _)| *name != old));
    assert_eq!(world.applied[1].1, 1, "numbers start anew under a new name");
}

#[tokio::test]
async fn a_write_sent_before_the_client_was_forgotten_has_an_unknown_outcome() {
    let world = world(&[("a", Mode::LosesAnswer)]);
    let notes = client_at(&world, "a", 3_000).await.namespace("notes").await.unwrap();
    let name = world.lock().unwrap().dials[0].1;
    let put = tokio::spawn({
        let notes = notes.clone();
        async move { notes.put("k", "v").await }
    });
    while world.lock().unwrap().applied.is_empty() {
        tokio::task::yield_now().await;
    }
    world.lock().unwrap().forgotten.push(name);
    match put.await.unwrap() {
        Err(WriteError::OutcomeUnknown { submissions: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
    notes.put("k", "w").await.unwrap();
    assert_eq!(world.lock().unwrap().applied.len(), 2);
}

#[tokio::test]
async fn a_refusal_that_leaves_the_outcome_open_is_told_even_after_one_submission() {
    let world = world(&[("a", Mode::SaysOnce(RefusalCode::OutcomeUnknown, 1))]);
    let notes = client_at(&world, "a", 3_000).await.namespace("notes").await.unwrap();
    let name = world.lock().unwrap().dials[0].1;
    match notes.put("k", "v").await {
        Err(WriteError::OutcomeUnknown { submissions: 1, .. }) => {}
        other => panic!("the node may have applied it on a try of its own, yet it was numbered anew: {other:?}"),
    }
    assert!(world.lock().unwrap().applied.is_empty());
    notes.put("k", "w").await.unwrap();
    let world = world.lock().unwrap();
    assert_eq!((world.applied.len(), world.submissions.len()), (1, 2));
    assert_ne!(world.applied[0].0, name, "the name the cluster forgot is still in use");
}

#[tokio::test]
async fn a_session_ends_when_the_policy_wants_fresh_evidence_and_what_was_unanswered_is_asked_again() {
    let world = world(&[("a", Mode::Silent)]);
    world.lock().unwrap().reattest = Some(Duration::from_millis(600));
    let patient = crate::Timeouts { answer: Duration::from_secs(20), deadline: Duration::from_secs(20), ..timeouts(0) };
    let patient = crate::Timeouts { dial: Duration::from_secs(2), ..patient };
    let scripted = crate::scripted::Scripted(std::sync::Arc::clone(&world));
    let client = crate::Client::over(scripted, vec!["a".into()], patient, crate::scripted::principal()).await.unwrap();
    let notes = client.namespace("notes").await.unwrap();
    let put = tokio::spawn({
        let notes = notes.clone();
        async move { notes.put("k", "v").await }
    });
    while world.lock().unwrap().submissions.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.lock().unwrap().nodes.insert("a".into(), Mode::Serves);
    let put = tokio::time::timeout(Duration::from_secs(5), put).await.expect("the old session was kept");
    put.unwrap().unwrap();
    let world = world.lock().unwrap();
    assert!(world.dials.len() >= 2, "{:?}", world.dials);
    assert_eq!((world.applied.len(), world.submissions.len()), (1, 2));
    assert_eq!(world.submissions[0], world.submissions[1], "the retry has other bytes or another name");
}

#[tokio::test]
async fn an_idle_session_that_is_too_old_is_not_used_again() {
    let world = world(&[("a", Mode::Serves)]);
    world.lock().unwrap().reattest = Some(Duration::from_millis(100));
    let notes = client(&world, 3_000).await.unwrap().namespace("notes").await.unwrap();
    tokio::time::sleep(Duration::from_millis(350)).await;
    let before = world.lock().unwrap().dials.len();
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(world.lock().unwrap().dials.len(), before, "nobody wants anything, and a session was opened");
    notes.put("k", "v").await.unwrap();
    assert!(world.lock().unwrap().dials.len() > before, "the old session was used");
}

#[tokio::test]
async fn an_answer_older_than_a_confirmed_write_bans_the_node() {
    let world = world(&[("a", Mode::Serves), ("b", Mode::Serves)]);
    let notes = client_at(&world, "a", 3_000).await.namespace("notes").await.unwrap();
    for value in ["1", "2", "3"] {
        notes.put("k", value).await.unwrap();
    }
    world.lock().unwrap().nodes.insert("a".into(), Mode::Old);
    assert_eq!(notes.get("k").await.unwrap().unwrap().value, b"3", "a rolled-back node was believed");
    assert_eq!(notes.client().verification().address, "b");
    world.lock().unwrap().nodes.insert("b".into(), Mode::Old);
    let fault = notes.get("k").await.unwrap_err();
    assert_eq!(fault.code(), "RW-C-WENT-BACK", "{fault}");
}

#[tokio::test]
async fn many_tasks_share_one_session_and_its_window() {
    let world = world(&[("a", Mode::Serves)]);
    let notes = client(&world, 5_000).await.unwrap().namespace("notes").await.unwrap();
    let puts = (0..1_000).map(|number: u32| {
        let notes = notes.clone();
        tokio::spawn(async move { notes.put(number.to_be_bytes(), "v").await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap().unwrap();
    }
    let world = world.lock().unwrap();
    assert_eq!(world.dials.len(), 1);
    assert_eq!(world.applied.len(), 1_000);
    assert!(world.submissions.iter().all(|(_, once, _)| once.seq - once.acked < SESSION_IN_FLIGHT as u64));
}

#[tokio::test]
async fn no_more_questions_are_outstanding_than_a_session_may_have() {
    let world = world(&[("a", Mode::Silent)]);
    let notes = client_at(&world, "a", 300).await.namespace("notes").await.unwrap();
    let puts: Vec<_> = (0..600u32)
        .map(|number| {
            let notes = notes.clone();
            tokio::spawn(async move { notes.put(number.to_be_bytes(), "v").await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.lock().unwrap().unanswered, SESSION_IN_FLIGHT);
    for put in puts {
        assert!(put.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_watch_goes_on_after_a_change_of_node_without_gap_or_repeat() {
    let world = world(&[("a", Mode::Serves), ("b", Mode::Serves)]);
    let notes = client_at(&world, "a", 3_000).await.namespace("notes").await.unwrap();
    let mut watch = notes.watch("", Revision(0)).await.unwrap();
    for number in 1..=3u64 {
        notes.put(format!("{number}"), "v").await.unwrap();
        assert_eq!(watch.next().await.unwrap().unwrap().revision, Revision(number));
    }
    world.lock().unwrap().nodes.insert("a".into(), Mode::LosesAnswer);
    for number in 4..=6u64 {
        notes.put(format!("{number}"), "v").await.unwrap();
        assert_eq!(watch.next().await.unwrap().unwrap().revision, Revision(number));
    }
    assert_eq!(watch.through(), Revision(6));
    let watched = world.lock().unwrap().watched.clone();
    assert_eq!(watched.len(), 2, "{watched:?}");
    assert!(watched[1] >= Revision(3), "{watched:?}");
}

#[tokio::test]
async fn a_slow_reader_of_a_watch_misses_nothing_and_is_not_buffered_without_limit() {
    let world = world(&[("a", Mode::Serves)]);
    let notes = client(&world, 3_000).await.unwrap().namespace("notes").await.unwrap();
    let mut watch = notes.watch("", Revision(0)).await.unwrap();
    for number in 1..=60u64 {
        notes.put(format!("{number}"), "v").await.unwrap();
    }
    for number in 1..=60u64 {
        let change = tokio::time::timeout(Duration::from_secs(2), watch.next()).await.expect("the watch stopped");
        assert_eq!(change.unwrap().unwrap().revision, Revision(number));
    }
    assert!(world.lock().unwrap().watched.len() >= 2, "the watch was never paused");
}

#[tokio::test]
async fn a_client_has_as_many_watches_as_a_session_may_and_dropped_ones_make_room() {
    let world = world(&[("a", Mode::Serves)]);
    let notes = client(&world, 3_000).await.unwrap().namespace("notes").await.unwrap();
    let mut watches = Vec::new();
    for _ in 0..SESSION_WATCHES {
        watches.push(notes.watch("", Revision(0)).await.unwrap());
    }
    assert!(matches!(notes.watch("", Revision(0)).await, Err(WatchError::TooMany { .. })));
    watches.pop();
    notes.watch("", Revision(0)).await.unwrap();
}

#[tokio::test]
async fn a_closed_client_ends_every_wait() {
    let world = world(&[("a", Mode::Silent)]);
    let client = client_at(&world, "a", 20_000).await;
    let notes = client.namespace("notes").await.unwrap();
    let get = tokio::spawn({
        let notes = notes.clone();
        async move { notes.get("k").await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    client.close().await;
    assert!(matches!(get.await.unwrap(), Err(ReadError::Session(ConnectError::Closed))));
    assert!(matches!(notes.get("k").await, Err(ReadError::Session(ConnectError::Closed))));
    assert_eq!(timeouts(5).deadline, Duration::from_millis(5));
}
