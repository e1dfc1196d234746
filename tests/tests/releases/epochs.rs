//! Recoveries in the release log: who publishes them, who is told, and what somebody who reads the log is shown.
//!
//! Decides: nothing; each test is a promise of protocol sections 6.2 (DR6) and 8: a cluster is recovered without its log, and says so until the start of its epoch is
//! public; two recoveries of one epoch that are both public are shown with both entries. Log, witnesses and nodes are processes.
//! Trusts: the simulated roots. Out of scope: recovery itself (`recover.rs`), each rule of a proof (`attest/tests`).

use super::{CANNOT_TELL, DETECTED, Makers, now_s};
use crate::three;
use ringwall_attest::release::verify_published;
use ringwall_client::anchor::AnchorFiles;
use ringwall_client::{Client, Credential, Publicity, Recovery};
use ringwall_sim::cluster::LocalOptions;
use ringwall_sim::guarded::{Guarded, SLOTS, copy_disk, disks};
use ringwall_tests::local::PATIENCE;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation};
use ringwall_wire::receipt::{EpochStart, TreePoint};
use ringwall_wire::recovery::RecoveryAccount;
use ringwall_wire::text::hex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Unusable input.
const FILE: i32 = 10;
const CLUSTER: ClusterId = ClusterId([7; 32]);

/// A line of `epochs.log`: the recoveries of one epoch differ in their reasons.
fn line(epoch: u32, again: &str) -> String {
    let account = RecoveryAccount {
        cluster_id: CLUSTER,
        epoch: Epoch(epoch),
        offer: Digest([1; 32]),
        manifest: Digest([2; 32]),
        custodians: List::default(),
        unsealed: None,
        claims: Digest([3; 32]),
        chosen: Incarnation::new(Epoch(epoch - 1), 7),
        loss: None,
        again: Text::new(again).unwrap(),
        audit: Digest([4; 32]),
    };
    let previous = TreePoint { size: 9, root: Digest([5; 32]) };
    let account_digest = Digest(account.digest());
    let start = EpochStart { cluster_id: CLUSTER, epoch: Epoch(epoch), previous, account: account_digest, witnesses: List::default() };
    format!("{} {}\n", hex(&start.encode()), hex(&account.encode()))
}

#[test]
fn two_recoveries_of_one_epoch_are_shown_to_whoever_reads_the_log() {
    let makers = Makers::publish(3);
    makers.write("one.log", line(2, "") + &line(3, ""));
    makers.write("two.log", line(2, "somebody else's"));
    let url = makers.log().url().to_owned();
    let publish = |files: &str, out: &str| format!("release publish-epochs {files} --log-url {url} --policy policy.toml --out {out}");
    let read = format!("release epochs --log-url {url} --policy policy.toml");

    let told = makers.done(&publish("one.log", "published"));
    assert_eq!((&told["entries"][0]["index"], &told["entries"][1]["epoch"]), (&1.into(), &3.into()), "{told}");
    let proof = std::fs::read(makers.path("published")).unwrap();
    let published = verify_published(&proof, &makers.rule()).unwrap();
    assert!(published.entries().len() == 2 && published.since_s().abs_diff(now_s()) < 600);
    assert_eq!(makers.done(&publish("one.log", "published"))["entries"][0]["index"], 1, "handed in again it keeps its place");

    let told = makers.done(&format!("{read} --known one.log --known two.log"));
    assert_eq!((told["entries"].as_array().unwrap().len(), &told["missing"][0]["epoch"]), (2, &2.into()), "{told}");
    makers.done(&publish("two.log", "other"));
    makers.fails(&format!("{read} --cluster {CLUSTER} --evidence twice"), DETECTED, "2 recoveries of epoch 2");
    let twice = verify_published(&std::fs::read(makers.path("twice")).unwrap(), &makers.rule()).unwrap();
    assert_eq!(twice.entries().iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 3]);
    let other = ClusterId([8; 32]);
    assert_eq!(makers.done(&format!("{read} --cluster {other}"))["entries"].as_array().unwrap().len(), 0, "of another cluster");

    // What clients would not believe is not written.
    makers.write("late.log", line(5, ""));
    makers.log().misbehave("stall", b"").unwrap();
    makers.fails(&publish("late.log", "published"), CANNOT_TELL, "run the command again");
    makers.log().misbehave("honest", b"").unwrap();
    (0..2).for_each(|witness| drop(makers.log().witness_misbehave(witness, "stall").unwrap()));
    makers.write("three.log", line(4, ""));
    makers.fails(&publish("three.log", "published"), CANNOT_TELL, "1 of the named witnesses");
    makers.fails(&format!("{read} --cluster {CLUSTER}"), CANNOT_TELL, "1 of the named witnesses");
    assert_eq!(std::fs::read(makers.path("published")).unwrap().len(), proof.len());
    let torn = line(4, "");
    makers.write("torn.log", &torn[..torn.len() - 3]);
    makers.fails(&publish("torn.log", "published"), FILE, "line 1");
    let account = line(4, "another").split_once(' ').unwrap().1.to_owned();
    makers.write("swapped.log", format!("{} {account}", line(4, "").split_once(' ').unwrap().0));
    makers.fails(&publish("swapped.log", "published"), FILE, "not the one the start names");
}

/// Opens a session of one user, with the anchor that is kept, and gives what it was told of recoveries.
async fn told(world: &Guarded, user: &Credential, files: &AnchorFiles) -> Vec<Recovery> {
    let mut options = world.options(user, &[1]).unwrap();
    options.anchor = Arc::new(files.clone());
    let client = Client::connect(options).await.unwrap_or_else(|fault| panic!("{fault}\n{}", world.logs()));
    let told = client.verification().recovered.clone();
    client.namespace("notes").await.unwrap().put("todo", "water the plants").await.unwrap();
    client.close().await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_recovered_without_its_log_and_clients_are_told_until_it_is_public() {
    let makers = Makers::publish(3);
    makers.done(&makers.staple_line("proof"));
    let options = LocalOptions {
        policy: Some(makers.policy()),
        release_proof: Some(makers.path("proof")),
        rotate_s: Some((1_000_000, 1_000_000)),
        ..LocalOptions::default()
    };
    let whole = |fault: ringwall_sim::demo::DemoError| -> ! { panic!("{fault}") };
    let mut world = Guarded::start(&makers.path("cluster"), three::launch(), options).unwrap_or_else(|fault| whole(fault));
    world.voters().await.unwrap_or_else(|fault| whole(fault));
    world.accept_shares(1, &SLOTS).await.unwrap_or_else(|fault| whole(fault));
    let (user, files) = (Credential::generate(), AnchorFiles::beside(&makers.path("me"), &world.cluster_id()));
    assert!(told(&world, &user, &files).await.is_empty(), "nothing was recovered");

    world.kill_all();
    let other = makers.path("copy-2");
    copy_disk(&world.cluster.data_folder(2), &other).unwrap();
    makers.log().misbehave("stall", b"").unwrap();
    world.cluster.recover(1, &disks(&[&other])).unwrap();
    let offer = world.offer(1).await.unwrap_or_else(|fault| whole(fault));
    for number in [1, 2] {
        world.answer(1, &offer, (number, number), None).unwrap();
    }
    world.told_where(1, "service", |told| told["step"] == "serving").await.unwrap_or_else(|fault| whole(fault));

    // The log shows nothing: the cluster serves all the same, and every session says so.
    let [news] = &told(&world, &user, &files).await[..] else { panic!("one recovery") };
    assert_eq!((news.start.epoch, &news.publicity, news.is_news), (Epoch(2), &Publicity::NotShown, true));
    assert!(news.began_s.abs_diff(now_s()) < 600, "{}", news.began_s);
    let [again] = &told(&world, &user, &files).await[..] else { panic!("one recovery") };
    assert!(again.is_hidden() && !again.is_news && again.words(now_s()).contains("NOT YET PUBLIC"));
    let talk = world.dial(1, 1).await.unwrap_or_else(|fault| whole(fault));
    assert_eq!(talk.ready.recovered.as_ref().map(|told| told.start.clone()), Some(news.start.clone()), "custodians are told the same");

    makers.log().misbehave("honest", b"").unwrap();
    let data = world.cluster.data_folder(1);
    let (papers, data) = (world.papers(1).display().to_string(), data.display().to_string());
    let published = makers.done(&format!(
        "release publish-epochs {papers}/epochs.log --dealing {data}/recovery.blob --log-url {} --policy policy.toml --out {data}/release.published",
        makers.log().url()
    ));
    let until = Instant::now() + PATIENCE;
    loop {
        let [recovery] = &told(&world, &user, &files).await[..] else { panic!("one recovery") };
        match &recovery.publicity {
            Publicity::Public { index, .. } => {
                assert_eq!(published["entries"][0]["index"], *index);
                break;
            }
            other => assert!(Instant::now() < until, "{other:?}\n{}", world.logs()),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
