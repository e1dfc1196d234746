//! A member sleeps through its own retirement, and ends by itself when it wakes.
//!
//! Decides: over real processes, a follower and then the leader stand still (SIGSTOP) until another machine has their place and they are
//! retired; awake, each is shown its successor by a member, fences itself with that word and exit code 20, and nobody else does.
//! Trusts: nothing. Out of scope: what makes it believe (`consensus/tests/suite/retired.rs`). Protocol section 4.6.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_sim::cluster::{LocalCluster, Machine, Rival, tail};
use ringwall_tests::local::{self, PATIENCE};
use rustix::process::Signal;
use std::path::Path;
use std::time::{Duration, Instant};
use three::Three;

const PAUSE: Duration = Duration::from_millis(40);

fn all_logs(cluster: &LocalCluster, rivals: &[Rival]) -> String {
    let rivals: String = rivals.iter().map(|rival| format!("-- {}:\n{}\n", rival.log.display(), tail(&rival.log))).collect();
    local::logs(cluster) + &rivals
}

/// Waits until one of these logs says `words` of the incarnation `who`.
async fn says_of(logs: &[&Path], words: &str, who: &str) -> bool {
    let until = Instant::now() + PATIENCE;
    let mut said = false;
    while !said && Instant::now() < until {
        let text: String = logs.iter().map(|log| std::fs::read_to_string(log).unwrap_or_default()).collect();
        said = text.lines().any(|line| line.contains(words) && line.contains(who));
        tokio::time::sleep(PAUSE).await;
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sleeps_through_its_retirement_ends_by_itself() {
    let mut three = Three::start().await;
    let mut rivals: Vec<Rival> = Vec::new();
    for (round, chip) in ["genoa-2", "tdx-2"].into_iter().enumerate() {
        let before = local::voters(&three.user, &three.cluster, 3).await;
        let leads = |slot: u8| before.voters.iter().any(|voter| voter.slot.0 == slot && voter.incarnation == before.leader);
        // Whoever still is the process this cluster started: first one that follows, then one that leads, if the newcomer does not.
        let mut slots: Vec<u8> = three.cluster.slots().filter(|slot| three.cluster.pid(*slot).is_some()).collect();
        slots.sort_by_key(|slot| leads(*slot) == (round == 0));
        let slot = slots[0];
        let old = before.voters.iter().find(|voter| voter.slot.0 == slot).unwrap().incarnation;
        three.cluster.signal(slot, Signal::STOP);
        rivals.push(three.cluster.rival(slot, &format!("newcomer-{round}"), &Machine::honest(chip), None, &[]).unwrap());
        let others: Vec<String> =
            three.cluster.slots().filter(|other| *other != slot).map(|other| three.cluster.address(other).to_string()).collect();
        let mut options = local::options(&three.cluster);
        options.addresses = others.into_iter().chain(rivals.iter().map(|rival| rival.address.to_string())).collect();
        three.user = local::try_client(options).await.unwrap_or_else(|fault| panic!("{fault}\n{}", all_logs(&three.cluster, &rivals)));
        local::status_where(&three.user, &three.cluster, "the newcomer to vote", |now| {
            now.voters.len() == 3 && now.learners.is_empty() && now.voters.iter().all(|voter| voter.incarnation != old)
        })
        .await;
        let files: Vec<_> = three.cluster.slots().map(|slot| three.cluster.log(slot)).collect();
        let logs: Vec<&Path> =
            files.iter().map(std::path::PathBuf::as_path).chain(rivals.iter().map(|rival| rival.log.as_path())).collect();
        assert!(says_of(&logs, "retired", &old.to_string()).await, "never retired\n{}", all_logs(&three.cluster, &rivals));
        assert_eq!(three.cluster.exit_code(slot), None, "it is asleep");

        three.cluster.signal(slot, Signal::CONT);
        let until = Instant::now() + PATIENCE;
        while three.cluster.exit_code(slot).is_none() {
            assert!(Instant::now() < until, "it goes on, retired:\n{}", all_logs(&three.cluster, &rivals));
            tokio::time::sleep(PAUSE).await;
        }
        assert_eq!(three.cluster.exit_code(slot), Some(20), "{}", all_logs(&three.cluster, &rivals));
        let log = std::fs::read_to_string(three.cluster.log(slot)).unwrap();
        // What lay in its sockets while it slept may tell it first that it is superseded.
        let shown = log.contains("it stood still while incarnation") && log.contains("and was retired");
        assert!(shown || log.contains("this incarnation is out"), "{log}");
        three.cluster.kill(slot);
        // The others serve on: nobody else ended.
        let voters = local::voters(&three.user, &three.cluster, 3).await.voters;
        assert!(voters.iter().all(|voter| voter.incarnation != old));
        assert!(rivals.iter_mut().all(Rival::is_running));
    }
    let running = three.cluster.slots().filter(|slot| three.cluster.pid(*slot).is_some()).count();
    assert_eq!(running, 1, "two of the first three were retired");
}
