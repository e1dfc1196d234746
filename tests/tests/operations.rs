//! Every operation a client has, against three real node processes.
//!
//! Decides: what users can rely on: values to 1 MiB, versions, atomic batches, pages, watches, expiry, separation of users.
//! Trusts: the simulated roots. Out of scope: failures (`failover.rs`), refusals (`refusals.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::{Expect, PutOptions, Revision, WriteError};
use ringwall_tests::local;
use std::time::{Duration, Instant};
use three::Three;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_writes_reads_lists_and_deletes() {
    let three = Three::start().await;
    let client = local::client(&three.cluster).await;
    let notes = client.namespace("notes").await.unwrap();
    assert!(notes.get("a").await.unwrap().is_none());
    let first = notes.put("a", "one").await.unwrap();
    let second = notes.put("a", "two").await.unwrap();
    assert!(second > first);
    let found = notes.get("a").await.unwrap().unwrap();
    assert_eq!((found.value.as_slice(), found.version), (&b"two"[..], second));

    // Every size class and its edges, up to the limit; keys are bytes.
    for size in [0, 1, 63, 64, 65, 256, 257, 4096, 65_536, 1 << 20] {
        let value: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        notes.put([0xff, 0x00, size as u8], value.clone()).await.unwrap();
        assert_eq!(notes.get([0xff, 0x00, size as u8]).await.unwrap().unwrap().value, value, "{size} bytes");
    }
    let too_large = notes.put("big", vec![0; (1 << 20) + 1]).await.unwrap_err();
    assert!(matches!(too_large, WriteError::ValueTooLarge { .. }), "{too_large}");

    notes.delete("a").await.unwrap();
    assert!(notes.get("a").await.unwrap().is_none());
    assert!(notes.delete_with("a", Expect::Present).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn compare_and_set_lets_one_of_two_win() {
    let three = Three::start().await;
    let client = local::client(&three.cluster).await;
    let notes = client.namespace("cas").await.unwrap();
    let version = notes.put("k", "0").await.unwrap();
    let (one, two) = tokio::join!(notes.compare_and_set("k", version, "one"), notes.compare_and_set("k", version, "two"));
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    let lost = one.err().or(two.err()).unwrap();
    let now = notes.get("k").await.unwrap().unwrap().version;
    assert!(matches!(&lost, WriteError::Conflict { current, .. } if *current == now), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_happens_as_a_whole_or_not_at_all() {
    let three = Three::start().await;
    let client = local::client(&three.cluster).await;
    let notes = client.namespace("batch").await.unwrap();
    let done = notes.batch().put("x", "1").unwrap().put("y", "2").unwrap().require("z", Expect::Absent).unwrap().commit().await.unwrap();
    let (x, y) = (notes.get("x").await.unwrap().unwrap(), notes.get("y").await.unwrap().unwrap());
    assert_eq!((x.version, y.version), (done, done));
    let refused =
        notes.batch().put("x", "9").unwrap().require("y", Expect::Absent).unwrap().delete("w", Expect::Any).unwrap().commit().await;
    assert!(matches!(refused, Err(WriteError::Conflict { .. })), "{refused:?}");
    assert_eq!(notes.get("x").await.unwrap().unwrap().value, b"1");
    assert_eq!(notes.get("y").await.unwrap().unwrap().value, b"2");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_order_by_prefix_and_in_pages() {
    let three = Three::start().await;
    let client = local::client(&three.cluster).await;
    let notes = client.namespace("list").await.unwrap();
    for number in 0..57 {
        notes.put(format!("a/{number:03}"), number.to_string()).await.unwrap();
    }
    notes.put("b/0", "other").await.unwrap();
    let all = notes.list("a/").with_values().page_entries(10).all().await.unwrap();
    let keys: Vec<String> = all.iter().map(|item| String::from_utf8(item.key.clone()).unwrap()).collect();
    assert_eq!(keys, (0..57).map(|number| format!("a/{number:03}")).collect::<Vec<_>>());
    assert!(all.iter().enumerate().all(|(at, item)| item.value == at.to_string().as_bytes()));
    let after = notes.list("a/").after("a/054").unwrap().all().await.unwrap();
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|item| item.value.is_empty()));
    notes.delete("a/000").await.unwrap();
    notes.put("a/0005", "between").await.unwrap();
    let start: Vec<Vec<u8>> = notes.list("a/00").all().await.unwrap().into_iter().map(|item| item.key).take(2).collect();
    assert_eq!(start, [b"a/0005".to_vec(), b"a/001".to_vec()]);
    assert!(notes.list("none/").all().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_every_change_once_and_in_order() {
    let three = Three::start().await;
    let writer = local::client_of(&three.cluster, 1).await;
    let notes = writer.namespace("watch").await.unwrap();
    let start = notes.put("w/start", "s").await.unwrap();
    let mut watch = notes.watch("w/", start).await.unwrap();
    let mut expected = Vec::new();
    for number in 0..40_u32 {
        let key = format!("w/{}", number % 7);
        match number % 5 {
            4 => {
                let gone = notes.get(&key).await.unwrap().is_some();
                let revision = notes.delete(&key).await.unwrap();
                if gone {
                    expected.push((key.into_bytes(), revision, None));
                }
            }
            _ => {
                let revision = notes.put(&key, number.to_string()).await.unwrap();
                expected.push((key.into_bytes(), revision, Some(number.to_string().into_bytes())));
            }
        }
        notes.put("elsewhere", "x").await.unwrap();
    }
    for wanted in expected {
        let change = tokio::time::timeout(local::PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((change.key, change.revision, change.value), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_expire_and_watchers_are_told() {
    let three = Three::start().await;
    let client = local::client(&three.cluster).await;
    let notes = client.namespace("ttl").await.unwrap();
    let put = notes.put_with("short", "v", PutOptions { ttl_s: 1, ..PutOptions::default() }).await.unwrap();
    notes.put("long", "v").await.unwrap();
    let mut watch = notes.watch("short", put).await.unwrap();
    let until = Instant::now() + local::PATIENCE;
    while notes.get("short").await.unwrap().is_some() {
        assert!(Instant::now() < until, "the value never expired");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let change = tokio::time::timeout(local::PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((change.key.as_slice(), change.value), (&b"short"[..], None));
    assert!(notes.get("long").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_namespaces_do_not_see_each_other() {
    let three = Three::start().await;
    let (alice, bob) = (local::client(&three.cluster).await, local::client(&three.cluster).await);
    let (alices, bobs) = (alice.namespace("same").await.unwrap(), bob.namespace("same").await.unwrap());
    let elsewhere = alice.namespace("other").await.unwrap();
    alices.put("k", "alice").await.unwrap();
    assert!(bobs.get("k").await.unwrap().is_none());
    assert!(elsewhere.get("k").await.unwrap().is_none());
    bobs.put("k", "bob").await.unwrap();
    assert_eq!(alices.get("k").await.unwrap().unwrap().value, b"alice");
    assert_eq!(bobs.list("").all().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_serves_and_a_read_sees_the_last_write_of_any() {
    let three = Three::start().await;
    let credential = ringwall_client::Credential::generate();
    let mut handles = Vec::new();
    for slot in three.cluster.slots() {
        let mut options = local::options(&three.cluster);
        options.credential = credential.clone();
        options.addresses = vec![three.cluster.address(slot).to_string()];
        handles.push(ringwall_client::Client::connect(options).await.unwrap().namespace("shared").await.unwrap());
    }
    let mut last = Revision(0);
    for round in 0..30_usize {
        let revision = handles[round % 3].put("k", round.to_string()).await.unwrap();
        assert!(revision > last);
        last = revision;
        for handle in &handles {
            let found = handle.get("k").await.unwrap().unwrap();
            assert_eq!((found.value, found.version), (round.to_string().into_bytes(), revision));
        }
    }
}
