//! Attacks on admission: a machine that must not be a member asks to be one, and with it for the cluster's keys.
//!
//! Decides: A7 and K1 against three real processes: the slot's member is killed first, so that nothing but evidence stands in the way. A joiner whose program
//! is the attacker's would not judge itself first, so its first piece of evidence, which it judges, is honest, and all others are not.
//! Trusts: the nodes' logs to say who was granted keys. Out of scope: what clients refuse (`evidence.rs`). Protocol section 4.3.

use super::report::Report;
use super::stage::{Ground, Stage, length_of, line_of, said};
use crate::cluster::Machine;
use crate::demo::DemoError;
use ringwall_client::Credential;
use ringwall_wire::without::{Defence, left_out};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(12);
/// The slot that is freed.
const SLOT: u8 = 3;
/// What a log says of a node that holds the cluster's keys.
const GRANTED: &str = "this life has its name";

struct Joiner {
    chip: &'static str,
    behaviour: &'static [&'static str],
    what: &'static str,
}

/// Starts the joiner in the freed slot; what came of it.
async fn joins(report: &mut Report, ground: &mut Ground, joiner: &Joiner) -> Result<(), DemoError> {
    let behaviour = joiner.behaviour.iter().map(|word| (*word).to_owned()).collect();
    let mark = length_of(&ground.cluster.log(SLOT));
    let marks: Vec<(u8, usize)> = ground.others(SLOT).into_iter().map(|slot| (slot, length_of(&ground.cluster.log(slot)))).collect();
    ground.cluster.restart_on(SLOT, Machine { chip: joiner.chip.into(), behaviour })?;
    report.did(format!("killed the member in slot {SLOT} and started {} in its place, asking to join", joiner.what));
    let answer =
        line_of(&ground.cluster.log(SLOT), mark, &[GRANTED, "a member refuses this node", "refused by the cluster's policy"], WAIT).await;
    match answer {
        Some(line) if line.contains(GRANTED) => {
            report.won(format!("{} was admitted and holds the cluster's keys: {}", joiner.what, said(&line)))
        }
        Some(line) => report.answered(format!("the joiner was told: {}", said(&line))),
        None => return Err(DemoError::Broken(format!("the joiner was neither refused nor admitted\n{}", ground.logs()))),
    }
    for (slot, mark) in marks {
        let words = ["join session failed", "a joiner is not endorsed", "session of a node refused"];
        if let Some(line) = line_of(&ground.cluster.log(slot), mark, &words, Duration::ZERO).await {
            report.answered(format!("node {slot}: {}", said(&line)));
            report.remains(format!("that line in the log of node {slot}"));
        }
    }
    ground.cluster.kill(SLOT);
    Ok(())
}

async fn all(stage: &mut Stage, joiners: &[Joiner]) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ground = stage.shared().await?;
    ground.voters().await?;
    for joiner in joiners {
        joins(&mut report, ground, joiner).await?;
        if !report.held() {
            return report.finished();
        }
    }
    ground.heal(SLOT).await?;
    let watcher = ground.client(&Credential::generate(), &[1, 2, SLOT]).await?;
    let status = watcher.status().await?;
    report.answered(format!("an honest machine was admitted to the slot afterwards; {} voters, none of them a liar", status.voters.len()));
    report.finished()
}

/// A7. Guests their host can read.
pub(super) async fn debugged(stage: &mut Stage) -> Result<Report, DemoError> {
    all(
        stage,
        &[
            Joiner { chip: "turin-1", behaviour: &["--lie", "SnpDebug"], what: "an AMD guest that may be debugged" },
            Joiner { chip: "tdx-2", behaviour: &["--lie", "TdxDebug"], what: "an Intel TD that may be debugged" },
            Joiner { chip: "turin-2", behaviour: &["--lie", "SnpVmpl"], what: "a guest that speaks from a lower privilege level" },
        ],
    )
    .await
}

/// K1. Evidence of a chip nobody listed, and forged evidence.
pub(super) async fn unlisted(stage: &mut Stage) -> Result<Report, DemoError> {
    let what = "a genuine machine on a chip the policy does not list";
    let stranger = match left_out(Defence::ChipList) {
        false => Joiner { chip: "turin-2", behaviour: &["--then-chip", "turin-9"], what },
        // A program that leaves the rule out does not refuse itself, and needs no honest first piece.
        true => Joiner { chip: "turin-9", behaviour: &[], what },
    };
    let clone =
        Joiner { chip: "turin-2", behaviour: &["--lie", "SnpClonedChip"], what: "a machine that gives itself the id of a listed chip" };
    let forger = Joiner { chip: "turin-2", behaviour: &["--lie", "Signature"], what: "a machine whose evidence nobody signed" };
    all(stage, &[stranger, clone, forger]).await
}
