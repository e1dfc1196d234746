//! Attacks with time: a leader is put to sleep, clocks are frozen, a guest is opened for debugging after it attested.
//!
//! Decides: R7 against three real processes, R8 with a machine whose clock stands, A15 with a machine that turns while a session is open.
//! Trusts: nothing but this program's own clock. Out of scope: disks (`disks.rs`). Protocol sections 3.1, 4.5 and 8.

use super::report::Report;
use super::stage::{Stage, leader_slot};
use super::{KEY, SPACE};
use crate::answering::{self, NOW_S, SESSION};
use crate::demo::DemoError;
use crate::impostor::{Act, Impostor};
use crate::{Lie, anchors};
use ringwall_attest::date;
use ringwall_client::{Client, Credential, Options, Timeouts};
use rustix::process::Signal;
use std::time::Duration;

/// How long a reader waits for a leader that was asleep.
const READER: Duration = Duration::from_secs(4);
/// How long a writer waits for a new leader.
const WRITER: Duration = Duration::from_secs(20);
/// Days after which everything a vendor said of a machine is out of date.
const DAYS: u64 = 40;

/// R7. The leader sleeps, the others elect another one and acknowledge a write; the old leader wakes, still cut off, and is asked first.
pub(super) async fn paused(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ground = stage.shared().await?;
    let leader = leader_slot(&ground.voters().await?)?;
    let others = ground.others(leader);
    let user = Credential::generate();
    let home = ground.cluster.address(leader);
    let reader = Client::connect(ground.options(&user, &[home], READER)?).await?;
    let wallet = reader.namespace(SPACE).await?;
    wallet.put(KEY, "100").await?;
    report.did(format!("opened a session with node {leader}, which leads; the balance is 100"));

    ground.cluster.signal(leader, Signal::STOP);
    ground.tap(leader).weather().cut_all(true);
    others.iter().for_each(|slot| ground.tap(*slot).weather().cut(home));
    let writer = Client::connect(ground.options(&user, &ground.through_taps(&others), WRITER)?).await?;
    writer.namespace(SPACE).await?.put(KEY, "0").await?;
    report.did(format!("put node {leader} to sleep and cut it off; the others elected another leader and acknowledged balance = 0"));

    ground.cluster.signal(leader, Signal::CONT);
    let seen = wallet.get(KEY).await;
    report.did(format!("woke node {leader}, which has heard of nothing, and read the balance from it"));
    match seen {
        Ok(Some(found)) if found.value == b"100" => report.won(format!("node {leader} answered from the past: the balance is 100")),
        Ok(found) => report.answered(format!(
            "the answer was not from the past: {:?}",
            found.map(|found| String::from_utf8_lossy(&found.value).into_owned())
        )),
        Err(fault) => report.answered(format!("node {leader} asked for a majority, had none, and did not answer: {fault}")),
    }
    ground.fair();
    let status = ground.voters().await?;
    let found = ground.ask(&user, &[leader], WRITER).await.map_err(DemoError::Broken)?;
    match found.as_deref() == Some(b"0") {
        true => report.answered(format!("reunited, node {leader} says 0")),
        false => report.won(format!("reunited, node {leader} says {found:?}")),
    }
    report.remains(format!("the new term in the log ({} now) and the change of leader in every node's log", status.term));
    report.finished()
}

/// R8. A host keeps its machines' clocks, and everything the vendor says about them, at an old date.
pub(super) async fn frozen_clocks(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let later_s = NOW_S + DAYS * 86_400;
    report.did(format!("stopped the clocks of the machines at {}, with the vendor's lists and statements of that day", date(NOW_S)));
    for chip in ["genoa-1", "tdx-1"] {
        let node = answering::node(chip);
        let answer = node.answers(SESSION);
        let judged = |now_s| answering::judge_with(&answer, SESSION, node.genesis.cluster_id(), &anchors(), now_s);
        if let Err(fault) = judged(NOW_S) {
            return Err(DemoError::Broken(format!("{chip} was not believed on its day: {fault}")));
        }
        let outcome = judged(later_s);
        report.tried(&format!("{chip}, judged by a client whose own clock says {}", date(later_s)), outcome);
    }
    report.did("left nothing to the clocks of the machines besides: terms, votes, reads and numbers of writes have none in them");
    report.remains("the refusal names the date that ran out and the clock it was compared with; `ringwall verify --save` keeps the answer");
    report.finished()
}

/// A15. A machine attests honestly; then its host opens it for debugging while a session is open.
pub(super) async fn turned(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let member = Impostor::start(Act::ShortSessions);
    let mut options = Options::pinned(member.cluster_id, vec![member.address.clone()], anchors(), Credential::generate());
    let patience = Duration::from_secs(8);
    options.timeouts = Timeouts { dial: patience, answer: patience, deadline: patience };
    let client = Client::connect(options).await?;
    let wallet = client.namespace(SPACE).await?;
    wallet.put(KEY, "100").await?;
    let asked = member.asked();
    member.turn(Lie::SnpDebug);
    report.did(
        "let a session begin with an honest machine, then opened the guest for debugging; the policy lets evidence serve for one second",
    );
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let outcome = wallet.put(KEY, "secret after the turn").await;
    let heard = member.heard(b"secret after the turn");
    match (outcome, heard) {
        (Err(fault), false) => report.answered(format!("the session ended with its time and the machine had to attest again: {fault}")),
        (outcome, heard) => report.won(format!("the client went on: {outcome:?}; the machine heard the secret: {heard}")),
    }
    if member.asked() == asked {
        report.won("the machine was never asked again");
    }
    report.remains("the refusal with the field that changed; nothing of the user's was sent after the turn");
    report.finished()
}
