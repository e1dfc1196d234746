//! The story itself.
//!
//! Decides: what is shown and in which order; each number is measured. Trusts: the cluster's answers only after the client verified
//! the node that gives them. Out of scope: printing (`say.rs`), processes (`cluster.rs`).

use super::disk;
use super::gap::Writer;
use super::say::Say;
use super::{DemoError, NODE_WORD};
use crate::cluster::{Launch, LocalCluster, Machine, tail};
use ringwall_client::{Client, ClusterStatus, Credential, Options, Timeouts, Verification};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Machines of the three slots; the last is Intel's.
const MACHINES: [&str; 3] = ["genoa-1", "turin-1", "tdx-1"];
/// Bound of every wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// What each of two users keeps.
const ALICE: &[u8] = b"alice: the spare key is under the third stone";
const BOB: &[u8] = b"bob: the treasure map is in the blue tin";

/// Tells it all.
pub(super) async fn tell(say: &Say, folder: &Path, keep: bool) -> Result<(), DemoError> {
    let begun = Instant::now();
    say.heading("Three nodes on this machine, as three processes: two AMD SEV-SNP, one Intel TDX (simulated)");
    let launch = Launch::this_program(NODE_WORD)?;
    let machines = MACHINES.map(Machine::honest);
    let wait = say.working("founding the cluster, nodes attest each other and join");
    let mut cluster = LocalCluster::start(folder, launch, &machines)?;
    let watcher = client(&cluster, None).await?;
    let status = wait_for_voters(&watcher, &cluster, 3).await?;
    wait.finish_and_clear();
    say.line(&format!("Cluster {} is up after {:.1} s.", cluster.card().genesis.cluster_id(), begun.elapsed().as_secs_f64()));
    members(say, &status);

    say.heading("Before it sends a byte, the client verifies each node down to the vendor's root");
    let mut verified = Vec::new();
    for slot in cluster.slots() {
        verified.push(verify(say, &cluster, slot).await?);
    }

    say.heading("Two users write and read");
    let (alice, bob) = (client(&cluster, None).await?, client(&cluster, None).await?);
    let (alices, bobs) = (alice.namespace("notes").await?, bob.namespace("notes").await?);
    alices.put("secret", ALICE).await?;
    bobs.put("secret", BOB).await?;
    for (name, namespace) in [("alice", &alices), ("bob", &bobs)] {
        let found = namespace.get("secret").await?.ok_or_else(|| DemoError::Broken(format!("{name}'s note is gone")))?;
        say.line(&format!("{name:<5} reads back: {:?}", String::from_utf8_lossy(&found.value)));
    }
    say.line("Same key name, same namespace name: each user has keys of their own, neither can name the other's.");

    let searched = show_disk(say, &cluster)?;
    let failed = lose_the_leader(say, &mut cluster, &watcher, &alice).await?;
    for (name, namespace, note) in [("alice", &alices, ALICE), ("bob", &bobs, BOB)] {
        match namespace.get("secret").await? {
            Some(found) if found.value == note => {}
            _ => return Err(DemoError::Broken(format!("{name}'s note changed"))),
        }
    }
    say.line("Both users' notes are as they were.");
    say.heading(&format!("Done in {:.1} s", begun.elapsed().as_secs_f64()));
    say.result(&json!({
        "ok": true,
        "cluster": cluster.card().genesis.cluster_id().to_string(),
        "seconds": begun.elapsed().as_secs_f64(),
        "verified": verified,
        "disk": searched,
        "failure": failed,
    }));
    if keep {
        keep_running(say, &cluster).await;
    }
    Ok(())
}

async fn client(cluster: &LocalCluster, slot: Option<u8>) -> Result<Client, DemoError> {
    let mut options = Options::from_card(cluster.card(), crate::anchors(), Credential::generate())?;
    options.addresses = match slot {
        Some(slot) => vec![cluster.address(slot).to_string()],
        None => cluster.addresses(),
    };
    options.timeouts = Timeouts { dial: Duration::from_secs(5), answer: Duration::from_secs(2), deadline: PATIENCE };
    Ok(Client::connect(options).await?)
}

async fn wait_for_voters(client: &Client, cluster: &LocalCluster, voters: usize) -> Result<ClusterStatus, DemoError> {
    let until = Instant::now() + PATIENCE;
    let mut seen = String::from("no status");
    while Instant::now() < until {
        match client.status().await {
            Ok(status) if status.voters.len() == voters && status.learners.is_empty() && status.leader.0 != 0 => return Ok(status),
            Ok(status) => seen = format!("{} voters, {} learners", status.voters.len(), status.learners.len()),
            Err(error) => seen = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let logs: Vec<String> = cluster.slots().map(|slot| format!("-- node {slot}:\n{}", tail(&cluster.log(slot)))).collect();
    Err(DemoError::Waited { seconds: PATIENCE.as_secs(), what: "all voters", seen, logs: logs.join("\n") })
}

fn members(say: &Say, status: &ClusterStatus) {
    for voter in status.voters.iter() {
        let part = if voter.incarnation == status.leader { "leader" } else { "follower" };
        say.line(&format!(
            "  slot {}  {:<12} incarnation {:>15}  {:<8}  {}",
            voter.slot, voter.vendor, voter.incarnation.0, part, voter.address
        ));
    }
}

async fn verify(say: &Say, cluster: &LocalCluster, slot: u8) -> Result<serde_json::Value, DemoError> {
    let client = client(cluster, Some(slot)).await?;
    let Verification { vendor, measurement, steps, incarnation, chip, .. } = &*client.verification();
    say.line(&format!("Node {slot} ({vendor}, build {measurement}):"));
    for step in steps {
        say.line(&format!("  - {step}"));
    }
    let chip: String = chip.to_string().chars().take(16).collect();
    Ok(
        json!({ "slot": slot, "vendor": vendor.to_string(), "build": measurement, "incarnation": incarnation.0, "chip": chip, "steps": steps.len() }),
    )
}

fn show_disk(say: &Say, cluster: &LocalCluster) -> Result<serde_json::Value, DemoError> {
    say.heading("What the operator of node 1 finds on its disk");
    let found = disk::search(&cluster.data_folder(1), &[ALICE, BOB, b"treasure", b"third stone"])?;
    say.line(&format!("  {} files, {} bytes. A stretch of the log:", found.files, found.bytes));
    say.line(&disk::dump(&found.sample));
    if !found.hits.is_empty() {
        return Err(DemoError::Broken(format!("a plaintext is on disk: {:?}", found.hits)));
    }
    say.line("  The users' notes occur in them 0 times. What the users read is above.");
    Ok(json!({ "files": found.files, "bytes": found.bytes, "plaintext_hits": found.hits.len() }))
}

async fn lose_the_leader(say: &Say, cluster: &mut LocalCluster, watcher: &Client, user: &Client) -> Result<serde_json::Value, DemoError> {
    say.heading("The leader's machine loses power (SIGKILL) while a client writes");
    let namespace = user.namespace("counter").await?;
    let writer = Writer::start(namespace.clone());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let status = wait_for_voters(watcher, cluster, 3).await?;
    let leader = status.voters.iter().find(|voter| voter.incarnation == status.leader);
    let leader = leader.ok_or_else(|| DemoError::Broken("the leader is not a voter".into()))?.clone();
    cluster.kill(leader.slot.0);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let written = writer.finish().await?;
    say.line(&format!("Killed the leader (slot {}, {}). Two of three go on.", leader.slot, leader.vendor));
    say.line(&format!("Longest gap between two acknowledged writes: {} ms.", written.gap.as_millis()));

    let other_vendor = if cluster.chip(leader.slot.0).starts_with("tdx") { "genoa-2" } else { "tdx-2" };
    say.heading(&format!("It comes back on another CPU of the other vendor ({other_vendor}), with nothing but its own evidence"));
    let restarted = Instant::now();
    let wait = say.working("the new node attests, joins, catches up and becomes a voter");
    cluster.restart_on(leader.slot.0, Machine::honest(other_vendor))?;
    let status = wait_for_replacement(watcher, cluster, &leader).await?;
    wait.finish_and_clear();
    let rejoined = restarted.elapsed();
    say.line(&format!(
        "A voter again after {:.1} s, as a new incarnation with new keys; the old one is out for good.",
        rejoined.as_secs_f64()
    ));
    members(say, &status);
    verify(say, cluster, leader.slot.0).await?;

    let mut lost = 0;
    let items = namespace.list("count/").with_values().all().await?;
    for number in 0..written.count {
        let at = items.binary_search_by(|item| item.key.as_slice().cmp(format!("count/{number:08}").as_bytes()));
        lost += u64::from(!at.is_ok_and(|at| items[at].value == number.to_string().as_bytes()));
    }
    say.line(&format!("{} writes were acknowledged before, during and after; {lost} of them are lost.", written.count));
    if lost > 0 {
        return Err(DemoError::Broken(format!("{lost} acknowledged writes are lost")));
    }
    Ok(json!({
        "killed_slot": leader.slot.0,
        "gap_ms": written.gap.as_millis() as u64,
        "rejoin_ms": rejoined.as_millis() as u64,
        "acknowledged": written.count,
        "lost": lost,
    }))
}

async fn wait_for_replacement(
    client: &Client,
    cluster: &LocalCluster,
    old: &ringwall_wire::session::MemberHint,
) -> Result<ClusterStatus, DemoError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = wait_for_voters(client, cluster, 3).await?;
        if !status.voters.iter().any(|voter| voter.incarnation == old.incarnation) {
            return Ok(status);
        }
        if Instant::now() >= until {
            let logs = tail(&cluster.log(old.slot.0));
            return Err(DemoError::Waited { seconds: PATIENCE.as_secs(), what: "the replacement", seen: "the old member".into(), logs });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn keep_running(say: &Say, cluster: &LocalCluster) {
    let card = cluster.card_path().display().to_string();
    say.heading("The cluster keeps running until you press Ctrl-C. In another terminal:");
    say.line("  alias ringwall='cargo run --quiet --bin ringwall-sim --'");
    say.line(&format!("  export RINGWALL_CARD={card}"));
    say.line("  ringwall init --credential my.credential      # a key of your own, kept in a file only you can read");
    say.line("  export RINGWALL_CREDENTIAL=$PWD/my.credential");
    say.line("  echo 'meet me at nine' | ringwall put notes today");
    say.line("  ringwall get notes today");
    say.line("  ringwall list notes; ringwall status; ringwall verify --explain");
    std::future::pending::<()>().await;
}
