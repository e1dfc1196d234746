//! Key modes against scripted nodes: what leaves a client in each of them, and in which order.
//!
//! Decides: nothing; each test is one promise of protocol section 7.4. The scripted nodes store what they are sent, so what they hold is what a
//! cluster would. Trusts: the scripted world's bookkeeping. Compiled for tests only. Out of scope: real nodes (`tests/tests/modes.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::scripted::{Mode, Scripted, client, client_at, principal, timeouts, world};
use crate::{Client, KeyMode, NamespaceError, PutOptions, ReadError, Revision, WatchError, WriteError};
use ringwall_wire::limits::{SESSION_PARTS, USER_NAME_BYTES, USER_VALUE_BYTES};
use ringwall_wire::request::{Op, Unlock};

#[tokio::test]
async fn in_user_mode_everything_works_and_nothing_readable_leaves() {
    let world = world(&[("a", Mode::Serves)]);
    let client = client(&world, 2_000).await.unwrap();
    let notes = client.open_with("notes", KeyMode::User).await.unwrap();
    let first = notes.put("a/one", "first value").await.unwrap();
    assert_eq!(notes.get("a/one").await.unwrap().unwrap().value, b"first value");
    assert!(notes.get("a/two").await.unwrap().is_none());
    let second = notes.compare_and_set("a/one", first, "second value").await.unwrap();
    assert!(matches!(notes.compare_and_set("a/one", first, "x").await, Err(WriteError::Conflict { current, .. }) if current == second));
    let batch = notes.batch().put("b/zwei", "2").unwrap().put("a/three", "3").unwrap();
    assert!(
        matches!(notes.batch().put("k", "1").unwrap().put("k", "2"), Err(WriteError::BatchShape { .. })),
        "equal names are found to be equal"
    );
    batch.commit().await.unwrap();
    for (prefix, want) in [("", vec!["a/one", "a/three", "b/zwei"]), ("a/", vec!["a/one", "a/three"]), ("c", vec![])] {
        let items = notes.list(prefix).page_entries(1).with_values().all().await.unwrap();
        let keys: Vec<String> = items.iter().map(|item| String::from_utf8(item.key.clone()).unwrap()).collect();
        assert_eq!(keys, want, "prefix {prefix:?}");
        assert!(items.iter().all(|item| !item.value.is_empty()));
    }
    let after: Vec<Vec<u8>> = notes.list("a/").after("a/one").unwrap().all().await.unwrap().into_iter().map(|item| item.key).collect();
    assert_eq!(after, [b"a/three".to_vec()]);
    let mut watch = notes.watch("b/", Revision(0)).await.unwrap();
    let change = watch.next().await.unwrap().unwrap();
    assert_eq!((change.key, change.value), (b"b/zwei".to_vec(), Some(b"2".to_vec())));
    notes.delete("b/zwei").await.unwrap();
    let change = watch.next().await.unwrap().unwrap();
    assert_eq!((change.key, change.value), (b"b/zwei".to_vec(), None));

    let world = world.lock().unwrap();
    assert_eq!(world.keys.len(), 2);
    let holds = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    for (name, (_, value)) in &world.keys {
        for word in [&b"one"[..], b"three", b"second", b"value"] {
            assert!(!holds(name, word) && !holds(value, word), "{word:?} left the client");
        }
    }
    assert!(world.asked.iter().all(|(_, op)| !matches!(op, Op::Unlock(_))), "no part of a key leaves in user mode");
}

#[tokio::test]
async fn what_was_altered_in_user_mode_is_no_value_and_no_absent_key() {
    let world = world(&[("a", Mode::Serves)]);
    let client = client(&world, 2_000).await.unwrap();
    let notes = client.open_with("notes", KeyMode::User).await.unwrap();
    notes.put("one", "1").await.unwrap();
    notes.put("two", "2").await.unwrap();
    {
        // The cluster exchanges two values.
        let mut world = world.lock().unwrap();
        let values: Vec<(u64, Vec<u8>)> = world.keys.values().rev().cloned().collect();
        for (slot, value) in world.keys.values_mut().zip(values) {
            *slot = value;
        }
    }
    assert!(matches!(notes.get("one").await, Err(ReadError::NotAuthentic { what: "value", .. })));
    {
        let mut world = world.lock().unwrap();
        world.keys.insert(b"not sealed".to_vec(), (9, b"x".to_vec()));
    }
    assert!(matches!(notes.list("").all().await, Err(ReadError::NotAuthentic { what: "name", .. })));
    let mut watch = client.open_with("notes", KeyMode::User).await.unwrap().watch("", Revision(0)).await.unwrap();
    assert!(watch.next().await.unwrap().is_ok());
    {
        let mut world = world.lock().unwrap();
        for event in &mut world.history {
            event.key = ringwall_session::ops::read_key(b"not sealed").unwrap();
        }
    }
    let mut watch = notes.watch("", Revision(0)).await.unwrap();
    assert!(matches!(watch.next().await, Some(Err(WatchError::NotAuthentic { .. }))));
}

#[tokio::test]
async fn sizes_in_user_mode_are_refused_before_anything_is_sent() {
    let world = world(&[("a", Mode::Serves)]);
    let notes = client(&world, 2_000).await.unwrap().open_with("notes", KeyMode::User).await.unwrap();
    let (long, large) = (vec![0; USER_NAME_BYTES + 1], vec![0; USER_VALUE_BYTES + 1]);
    assert!(matches!(notes.put(&long, "v").await, Err(WriteError::KeyTooLong { .. })));
    assert!(matches!(notes.put("k", large.clone()).await, Err(WriteError::ValueTooLarge { .. })));
    assert!(matches!(notes.get(&long).await, Err(ReadError::KeyTooLong { .. })));
    assert!(matches!(notes.batch().put_with("k", large, PutOptions::default()), Err(WriteError::ValueTooLarge { .. })));
    notes.put(vec![7; USER_NAME_BYTES], vec![1; USER_VALUE_BYTES]).await.unwrap();
    assert_eq!(notes.get(vec![7; USER_NAME_BYTES]).await.unwrap().unwrap().value.len(), USER_VALUE_BYTES);
}

#[tokio::test]
async fn in_dual_mode_every_session_is_given_the_part_before_it_is_asked() {
    let world = world(&[("a", Mode::Serves), ("b", Mode::Serves)]);
    let client = client_at(&world, "a", 5_000).await;
    let notes = client.open_with("notes", KeyMode::Dual).await.unwrap();
    notes.put("k", "v").await.unwrap();
    world.lock().unwrap().nodes.insert("a".into(), Mode::Breaks);
    assert_eq!(notes.get("k").await.unwrap().unwrap().value, b"v");
    let world = world.lock().unwrap();
    let parts = |address: &str| -> Vec<Unlock> {
        let asked = world.asked.iter().filter(|(asked, _)| asked == address);
        asked.filter_map(|(_, op)| if let Op::Unlock(unlock) = op { Some(unlock.clone()) } else { None }).collect()
    };
    assert_eq!(parts("a"), parts("b"), "each node was given the part once");
    let part = principal().user_key.unwrap().part(&principal().cluster_id, &principal().user, "notes");
    assert!(parts("b")[0].part.same(&part));
    let first = world.asked.iter().find(|(address, _)| address == "b").unwrap();
    assert!(matches!(first.1, Op::Unlock(_)), "{first:?}");
}

#[tokio::test]
async fn without_the_users_key_there_is_one_mode() {
    let world = world(&[("a", Mode::Serves)]);
    let nobody = crate::client::Principal { user_key: None, ..principal() };
    let client = Client::over(Scripted(std::sync::Arc::clone(&world)), vec!["a".into()], timeouts(2_000), nobody).await.unwrap();
    for mode in [KeyMode::Dual, KeyMode::User] {
        assert!(matches!(client.open_with("notes", mode).await, Err(NamespaceError::NoUserKey { mode: asked }) if asked == mode));
    }
    assert!(client.namespace("notes").await.is_ok());
    assert_eq!(world.lock().unwrap().asked.len(), 1, "nothing was sent for the others");
}

#[tokio::test]
async fn parts_in_one_session_are_bounded() {
    let world = world(&[("a", Mode::Serves)]);
    let client = client(&world, 2_000).await.unwrap();
    for number in 0..SESSION_PARTS {
        client.open_with(&format!("n{number}"), KeyMode::Dual).await.unwrap();
    }
    client.open_with("n0", KeyMode::Dual).await.unwrap();
    let refused = client.open_with("one more", KeyMode::Dual).await.unwrap_err();
    assert!(matches!(refused, NamespaceError::TooManyUnlocked { most: SESSION_PARTS }), "{refused}");
}
