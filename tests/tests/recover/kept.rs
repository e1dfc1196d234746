//! Sessions that another machine keeps: the process that custodians answered dies, and one like it goes on with their answers.
//!
//! Decides: with real processes, that nobody answers twice, here or on another machine; that who answered is told after a crash as before it; that of two processes with one set of
//! answers one serves and the other one ends; that a keeper that is gone is named, and what to do. Trusts: custodians of this suite. Out of scope: every order of
//! events (`node/src/recover/keeper/tests.rs`).

use super::interrupted::{late_disk, let_go, pipe};
use super::{PATIENCE, World, disks};
use ringwall_tests::local;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, Epoch};
use ringwall_wire::recovery::{RecoveryAccount, SignedOffer};
use ringwall_wire::text::read_hex_vec;
use serde_json::json;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// The machine that keeps.
const KEEPER: u8 = 2;

fn digest(signed: &SignedOffer) -> Digest {
    Digest(signed.offer.digest())
}

impl World {
    /// A cluster that is dead; the machine of slot 2 gives its disk and keeps sessions. What `recover start` needs to be told.
    async fn with_keeper() -> (Self, Vec<OsString>) {
        let mut world = World::start().await;
        world.put("key", "value").await;
        world.kill_all();
        world.cluster.assist(KEEPER).unwrap();
        let address = world.cluster.address(KEEPER).to_string();
        let flags = ["--assist", &address, "--keep", &address].map(OsString::from).to_vec();
        (world, flags)
    }

    /// Waits for another offer than `before` in this slot, of the same session, and judges it as every custodian would.
    async fn offered_again(&self, slot: u8, before: &SignedOffer) -> SignedOffer {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = std::fs::read(self.papers(slot).join("offer")).ok().and_then(|bytes| SignedOffer::decode(&bytes).ok());
            if let Some(signed) = found.filter(|signed| signed.offer.earlier.contains(&digest(before))) {
                self.holders[0].judge_offer(&self.cluster_id(), &signed).unwrap();
                assert_eq!((signed.offer.session, &signed.offer.kem), (before.offer.session, &before.offer.kem));
                assert_eq!(signed.offer.keepers, before.offer.keepers);
                assert_ne!(signed.offer.sig, before.offer.sig, "it is a process of its own");
                return signed;
            }
            assert!(Instant::now() < until, "no other offer in slot {slot}: {}\n{}", self.told(slot), local::logs(&self.cluster));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn submitted(&mut self, slot: u8, offer: &SignedOffer, names: &[&str]) {
        let key = offer.offer.sig.to_string();
        let told = self.told_where(slot, "answers", |told| told["key"] == json!(key) && told["submitted"] == json!(names)).await;
        assert_eq!(told["session"], json!(offer.offer.session.to_string()), "{told}");
    }

    /// The answers of a node that is dead, carried to another one.
    fn carry_answers(&self, from: u8, to: u8) {
        let (from, to) = (self.papers(from).join("answers"), self.papers(to).join("answers"));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// The account of the epoch that a node began.
fn account(papers: &Path) -> RecoveryAccount {
    let published = std::fs::read_to_string(papers.join("epochs.log")).unwrap();
    let line = published.lines().last().unwrap();
    RecoveryAccount::decode(&read_hex_vec(line.split(' ').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_the_process_and_the_machine_it_was_given_to() {
    let (mut world, flags) = World::with_keeper().await;
    world.cluster.recover(1, &flags).unwrap();
    let first = world.offer(1).await;
    assert_eq!((first.offer.keepers.len(), first.offer.keepers[0].slot.0, first.offer.earlier.len()), (1, KEEPER, 0));
    world.answer(1, &first, (1, 1), None);
    world.submitted(1, &first, &["custodian 1"]).await;
    world.cluster.kill(1);

    // Without its keeper nothing is given up by itself, and what was answered stays.
    world.cluster.recover(1, &flags[..2]).unwrap();
    assert_eq!(world.ended_with(1).await, 18, "{}", local::logs(&world.cluster));
    local::log_says(&world.cluster, 1, "nobody can finish it without the keeper in slot 2").await;

    // In the same place: nobody is asked twice, and who answered is told before anybody does anything.
    world.cluster.recover(1, &flags).unwrap();
    let second = world.offered_again(1, &first).await;
    world.submitted(1, &second, &["custodian 1"]).await;
    let told = world.told(1);
    assert_eq!((&told["step"], &told["earlier"]), (&json!("shares"), &json!([digest(&first).to_string()])), "{told}");
    assert_eq!((&told["keepers"][0]["slot"], &told["keepers"][0]["told"]), (&json!(KEEPER), &json!("keeps the session")), "{told}");
    world.cluster.kill(1);

    // On another machine, of the other vendor, with what is left of the first one's papers.
    world.carry_answers(1, 3);
    world.cluster.recover(3, &flags).unwrap();
    let third = world.offered_again(3, &second).await;
    assert_eq!((third.offer.slot.0, third.offer.earlier.len()), (3, 2));
    world.submitted(3, &third, &["custodian 1"]).await;
    // The second custodian answers, too, what the process before had offered.
    world.answer(3, &second, (2, 2), None);
    world.told_where(3, "service", |told| told["step"] == "serving").await;
    local::log_says(&world.cluster, KEEPER, "the word is given that this process finishes").await;
    world.holds("key", "value").await;
    let account = account(&world.papers(3));
    assert_eq!((account.epoch, account.offer, account.custodians.len()), (Epoch(2), digest(&third), 2), "the record says who finished");
    world.cluster.restart(1).unwrap();
    world.cluster.restart(2).unwrap();
    let client = world.client().await;
    local::voters(&client, &world.cluster, 3).await;
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_with_the_same_answers_one_serves() {
    let (mut world, flags) = World::with_keeper().await;
    world.cluster.recover(1, &flags).unwrap();
    let offer = world.offer(1).await;
    world.answer(1, &offer, (1, 1), None);
    world.submitted(1, &offer, &["custodian 1"]).await;
    // The host holds it still when it has the keys, and lets another machine go on with the same answers.
    let late = late_disk(&world.papers(1));
    pipe(&late);
    world.answer(1, &offer, (2, 2), None);
    world.told_where(1, "the keys", |told| told["step"] == "claims").await;
    world.carry_answers(1, 3);
    world.cluster.recover(3, &flags).unwrap();
    world.told_where(3, "service", |told| told["step"] == "serving").await;
    assert!(world.cluster.is_running(1), "both live\n{}", local::logs(&world.cluster));
    let_go(&late).await;
    assert_eq!(world.ended_with(1).await, 18, "{}", local::logs(&world.cluster));
    let told = world.told(1);
    assert!(told["ended"].as_str().is_some_and(|why| why.contains("another process went on with this session")), "{told}");
    assert!(!world.papers(1).join("epochs.log").exists(), "nothing was begun");
    // Asked once more, the keeper gives nothing, and says why.
    world.cluster.recover(1, &flags[2..]).unwrap();
    assert_eq!(world.ended_with(1).await, 18, "{}", local::logs(&world.cluster));
    local::log_says(&world.cluster, 1, "it gave its word for a session already").await;
    world.holds("key", "value").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_gone_is_named_and_a_new_session_begins_without_it() {
    let (mut world, flags) = World::with_keeper().await;
    let copy = world.copy_disk(KEEPER, "copy-2");
    let flags: Vec<OsString> = flags[2..].iter().cloned().chain(disks(&[&copy])).collect();
    world.cluster.kill(KEEPER);
    world.cluster.recover(1, &flags).unwrap();
    assert_eq!(world.ended_with(1).await, 18, "{}", local::logs(&world.cluster));
    local::log_says(&world.cluster, 1, "does not keep the session").await;

    world.cluster.assist(KEEPER).unwrap();
    world.cluster.recover(1, &flags).unwrap();
    let first = world.offer(1).await;
    world.answer(1, &first, (1, 1), None);
    world.submitted(1, &first, &["custodian 1"]).await;
    world.cluster.kill(KEEPER);
    world.answer(1, &first, (2, 2), None);
    let lacks = |told: &serde_json::Value| told["keepers"][0]["told"].as_str().is_some_and(|told| told.contains("cannot be finished"));
    let told =
        world.told_where(1, "the keeper that is gone", |told| told["submitted"].as_array().map_or(0, Vec::len) == 2 && lacks(told)).await;
    assert_ne!(told["step"], "serving", "{told}");
    // It is started anew, and is another one.
    world.cluster.assist(KEEPER).unwrap();
    assert_eq!(world.ended_with(1).await, 18, "{}", local::logs(&world.cluster));
    let told = world.told(1);
    assert!(told["ended"].as_str().is_some_and(|why| why.contains("slot 2") && why.contains("all custodians answer again")), "{told}");

    world.cluster.recover(1, &flags).unwrap();
    let second = world.offer(1).await;
    assert_eq!((second.offer.replaces, second.offer.earlier.len()), (Some(first.offer.session), 0));
    let told = world.told_where(1, "a new session", |told| told["session"] == json!(second.offer.session.to_string())).await;
    assert_eq!(told["submitted"], json!([]), "{told}");
    world.answer(1, &second, (1, 1), None);
    world.answer(1, &second, (2, 2), None);
    world.told_where(1, "service", |told| told["step"] == "serving").await;
    world.holds("key", "value").await;
}
