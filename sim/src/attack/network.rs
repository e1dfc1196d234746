//! Attacks with the network: addresses are exchanged, datagrams are reordered, repeated and withheld, somebody stands in the middle, another cluster answers.
//!
//! Decides: R9, R10, A2 and G4 against real processes. Trusts: nothing. Out of scope: hostile bytes (`strangers.rs`).
//! Protocol sections 2.1, 3 and 5.3.

use super::report::Report;
use super::stage::{Ground, Stage, leader_slot, length_of, line_of, said};
use super::{KEY, SPACE};
use crate::demo::DemoError;
use crate::impostor::{Impostor, relay};
use crate::weather::Forecast;
use ringwall_client::{Client, Credential, NamespaceHandle, WriteError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(8);
/// Writes in bad weather.
const ROUNDS: u64 = 24;
const SECRET: &str = "meet me at nine under the clock";

/// R9. The addresses of two members are exchanged: whoever dials one reaches the other.
pub(super) async fn swapped(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ground = stage.shared().await?;
    let before = ground.voters().await?;
    let leader = leader_slot(&before)?;
    let [one, other] = ground.others(leader)[..] else { return Err(DemoError::Broken("two followers".into())) };
    let user = Credential::generate();
    let everybody: Vec<u8> = ground.cluster.slots().collect();
    let direct: Vec<_> = everybody.iter().map(|slot| ground.cluster.address(*slot)).collect();
    let client = Client::connect(ground.options(&user, &direct, WAIT)?).await?;
    let wallet = client.namespace(SPACE).await?;
    wallet.put(KEY, "1").await?;
    let marks: Vec<(u8, usize)> = everybody.iter().map(|slot| (*slot, length_of(&ground.cluster.log(*slot)))).collect();
    ground.tap(one).aim(ground.cluster.address(other));
    ground.tap(other).aim(ground.cluster.address(one));
    report.did(format!("exchanged the addresses of nodes {one} and {other}: members that dial one of them reach the other"));
    // What the last acknowledged write says, and after it what writes say of which nobody knows whether they were applied.
    let mut possible = vec![b"1".to_vec()];
    for value in [b"2"] {
        match wallet.put(KEY, *value).await {
            Ok(_) => possible = vec![value.to_vec()],
            Err(fault) => {
                possible.push(value.to_vec());
                report.answered(format!("a write was not acknowledged meanwhile: {fault}"));
            }
        }
    }
    for (slot, mark) in marks {
        let refused = line_of(&ground.cluster.log(slot), mark, &["session refused", "session of a node refused"], Duration::ZERO).await;
        if let Some(line) = refused {
            report.answered(format!("node {slot} would not be taken for another, or take another for one: {}", said(&line)));
        }
    }
    ground.fair();
    let after = ground.voters().await?;
    unchanged(&mut report, ground, &user, &possible).await?;
    let same = |status: &ringwall_client::ClusterStatus| {
        let mut all: Vec<u64> = status.voters.iter().map(|voter| voter.incarnation.0).collect();
        all.sort_unstable();
        all
    };
    match same(&before) == same(&after) {
        true => report.answered("the membership is the same three incarnations: it holds keys, and addresses are hints"),
        false => report.won("the membership changed"),
    }
    report.remains("refused sessions in the nodes' logs, with the incarnation that answered and the one that was meant");
    report.finished()
}

async fn unchanged(report: &mut Report, ground: &Ground, user: &Credential, possible: &[Vec<u8>]) -> Result<(), DemoError> {
    let mut at = 0;
    for slot in ground.cluster.slots() {
        let found = match ground.ask(user, &[slot], WAIT).await {
            Ok(found) => found.unwrap_or_default(),
            Err(why) => return Err(DemoError::Broken(format!("node {slot} does not answer: {why}\n{}", ground.logs()))),
        };
        // A write nobody heard of may still be applied, between two looks too; none is ever taken back.
        match possible.iter().position(|value| *value == found) {
            Some(now) if now >= at => at = now,
            _ => report.won(format!("node {slot} says {found:?}; possible is {possible:?}, seen was number {at}")),
        }
    }
    report.answered("every node says what was acknowledged last, or what was sent after it, and none goes back");
    Ok(())
}

/// R10. Datagrams come in another order, old ones come again; then the answers to a write are withheld until the client tries again elsewhere.
pub(super) async fn bad_weather(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ground = stage.shared().await?;
    ground.voters().await?;
    let user = Credential::generate();
    let slots: Vec<u8> = ground.cluster.slots().collect();
    let client = Client::connect(ground.options(&user, &ground.through_taps(&slots), Duration::from_secs(30))?).await?;
    let wallet = client.namespace(SPACE).await?;
    wallet.put(KEY, "0").await?;
    let met =
        || -> u64 { slots.iter().map(|slot| ground.tap(*slot).weather().tally()).map(|tally| tally.repeated + tally.reordered).sum() };
    let before = met();
    slots.iter().for_each(|slot| ground.tap(*slot).weather().set(Forecast::RESTLESS));
    let counted = count_up(&wallet, ROUNDS).await;
    ground.fair();
    let passed = met() - before;
    report.did(format!("repeated and reordered {passed} datagrams between all nodes and the client, who counted to {ROUNDS} meanwhile"));
    match counted {
        Ok(count) if count == ROUNDS => report.answered(format!("each step was taken once: the counter is {count}")),
        Ok(count) => report.won(format!("the counter is {count} after {ROUNDS} steps")),
        Err(fault) => report.won(format!("a step was refused that was the only one of its kind: {fault}")),
    }
    withheld(&mut report, ground, &client, &wallet).await?;
    report.remains("the client's numbers in the replicated bookkeeping: the retry found the outcome of the first try");
    report.finished()
}

/// Adds one so many times, each time on the condition that nobody else did.
async fn count_up(wallet: &NamespaceHandle, rounds: u64) -> Result<u64, DemoError> {
    let gone = || DemoError::Broken("the counter is gone".into());
    for _ in 0..rounds {
        let found = wallet.get(KEY).await?.ok_or_else(gone)?;
        let count: u64 = String::from_utf8_lossy(&found.value).parse().unwrap_or(0);
        wallet.compare_and_set(KEY, found.version, (count + 1).to_string()).await?;
    }
    let found = wallet.get(KEY).await?.ok_or_else(gone)?;
    Ok(String::from_utf8_lossy(&found.value).parse().unwrap_or(0))
}

async fn withheld(report: &mut Report, ground: &Ground, client: &Client, wallet: &NamespaceHandle) -> Result<(), DemoError> {
    let serving = client.status().await?.slot.0;
    let found = wallet.get(KEY).await?.ok_or_else(|| DemoError::Broken("the counter is gone".into()))?;
    let members: Vec<SocketAddr> = ground.cluster.slots().map(|slot| ground.cluster.address(slot)).collect();
    ground.tap(serving).weather().withhold_from_all_but(&members);
    let outcome = wallet.compare_and_set(KEY, found.version, "once").await;
    ground.fair();
    report.did(format!(
        "let a conditional write reach node {serving} and withheld every answer to the client, until the client sent it again elsewhere"
    ));
    let now = wallet.get(KEY).await?.map(|found| found.value);
    match (outcome, now.as_deref() == Some(b"once")) {
        (Ok(_), true) => report.answered("the retry was known by its number and gave the first try's outcome: written, once"),
        (Err(WriteError::Conflict { .. }), true) => {
            report.won("the write was applied, then tried again as a new one: the client is told that it failed, though it did not");
        }
        (Err(WriteError::OutcomeUnknown { .. }), there) => {
            return Err(DemoError::Broken(format!(
                "nobody answered the retry, so nothing is shown (the value is there: {there})\n{}",
                ground.logs()
            )));
        }
        (outcome, there) => report.won(format!("the outcome is {outcome:?}, and the value is there: {there}")),
    }
    Ok(())
}

/// A2. A man in the middle shows a genuine node's evidence as his own; and one who only passes frames on, under a TLS of his own.
pub(super) async fn between(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ground = stage.shared().await?;
    let node = ground.cluster.address(leader_slot(&ground.voters().await?)?);
    let middle = Impostor::before(ground.cluster.card(), node);
    report.did("stood between a client and a genuine member, with keys of his own; asked that member for evidence with the client's nonce");
    let at: SocketAddr = middle.address.parse().map_err(|_| DemoError::Broken("an impostor has an address".into()))?;
    let options = ground.options(&Credential::generate(), &[at], Duration::from_secs(6))?;
    let outcome = async {
        let client = Client::connect(options).await?;
        client.namespace(SPACE).await?.put(KEY, SECRET).await?;
        Ok::<_, DemoError>(())
    };
    let outcome = outcome.await;
    match (outcome, middle.heard(SECRET.as_bytes())) {
        (_, true) => report.won(format!("the client believed the borrowed evidence and sent its secret to the attacker: {SECRET:?}")),
        (Err(fault), false) => report.answered(fault.to_string()),
        (Ok(()), false) => return Err(DemoError::Broken("the client wrote, and the attacker heard nothing".into())),
    }
    let frames = Arc::new(AtomicUsize::new(0));
    let passing = relay::start(node, Arc::clone(&frames)).await.ok_or_else(|| DemoError::Broken("no port is free".into()))?;
    let options = ground.options(&Credential::generate(), &[passing], Duration::from_secs(6))?;
    let outcome = Client::connect(options).await;
    report.did(format!("then passed {} frames on unchanged, under a TLS connection of his own", frames.load(Ordering::Relaxed)));
    report.tried("a handshake that is bound to another TLS connection", outcome.map(drop));
    report.remains("the refusal at the client names both keys, or both hashes; the member saw a session that asked for evidence and left");
    report.finished()
}

/// G4. The operator founds a cluster of his own on the same genuine machines, and sends the user there.
pub(super) async fn another_cluster(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let theirs = stage.founded("another-cluster")?;
    let ground = stage.shared().await?;
    let user = Credential::generate();
    let (pinned, got) = (ground.cluster.card().genesis.cluster_id(), theirs.card().genesis.cluster_id());
    report.did(format!("founded cluster {got} with the same image on listed hardware, and answered there instead of {pinned}"));
    let options = ground.options(&user, &[theirs.address(1)], Duration::from_secs(8))?;
    let outcome = async {
        let client = Client::connect(options).await?;
        client.namespace(SPACE).await?.put(KEY, SECRET).await?;
        Ok::<_, DemoError>(())
    };
    report.tried("writing there", outcome.await);
    let mut card = ground.cluster.card().clone();
    card.policy.min_svn = card.policy.min_svn.saturating_add(1);
    report.did("handed out the true card with another policy in it");
    report.tried("reading that card", card.pinned());
    report.remains("the cluster id the client pinned, beside the one it was shown");
    report.finished()
}
