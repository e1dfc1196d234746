//! Drills and their receipts, in words and as JSON.
//!
//! Decides: layout and words. A receipt is shown only once it was judged; what a node says of a drill that is under way is shown as its word.
//! Trusts: the library. Out of scope: exit codes, asking (`drill.rs`).

use super::show;
use crate::custodian::drill::JudgedReceipt;
use ringwall_attest::date;
use ringwall_wire::custodian::{RecoveryProgress, RecoveryStep};
use ringwall_wire::drill::{DrillAnswer, DrillOutcome, DrillReceipt, DrillRow, DrillStep};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::CustodianId;
use serde_json::{Value, json};

/// What a node says of drills.
pub(super) struct Standing<'a> {
    pub(super) card: &'a ClusterCard,
    pub(super) row: Option<&'a DrillRow>,
    pub(super) progress: Option<&'a RecoveryProgress>,
    pub(super) judged: Option<&'a JudgedReceipt>,
}

fn name(card: &ClusterCard, id: &CustodianId) -> String {
    let named = card.genesis.template.custodians.iter().find(|custodian| custodian.id() == *id);
    named.map_or_else(|| id.to_string(), |custodian| custodian.name.to_string())
}

fn names(card: &ClusterCard, ids: &[CustodianId]) -> String {
    match ids {
        [] => "nobody".into(),
        ids => ids.iter().map(|id| name(card, id)).collect::<Vec<_>>().join(", "),
    }
}

impl Standing<'_> {
    /// Why no progress is told of a drill that has no receipt.
    fn silence(&self) -> &'static str {
        match self.row.map(|row| row.ended) {
            Some(false) => "being judged at this moment, or lost with the node that held it: then begin another one",
            _ => "none is under way",
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        match (self.row, self.progress) {
            (None, _) => text.push_str("no drill of the active dealing was ever begun: `ringwall drill begin` asks for one\n"),
            (Some(row), Some(progress)) => text.push_str(&show::wrap(
                &format!(
                    "drill {:.16} is under way, begun {} for {}; answered: {}",
                    progress.session.to_string(),
                    date(row.at_ms / 1_000),
                    name(self.card, &row.begun.asked_by),
                    names(self.card, &progress.submitted)
                ),
                4,
            )),
            (Some(row), None) => text.push_str(&show::wrap(
                &format!("newest drill begun {} for {}; {}", date(row.at_ms / 1_000), name(self.card, &row.begun.asked_by), self.silence()),
                4,
            )),
        }
        if let Some(judged) = self.judged {
            text.push_str("the last that has a receipt:\n");
            text.push_str(&receipt_text(self.card, judged));
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let step = |step: RecoveryStep| match step {
            RecoveryStep::Shares => "shares",
            RecoveryStep::Drilled => "drilled",
            RecoveryStep::Ended => "ended",
            _ => "judging",
        };
        json!({
            "begun_at_ms": self.row.map(|row| row.at_ms),
            "asked_by": self.row.map(|row| name(self.card, &row.begun.asked_by)),
            "session": self.row.map(|row| row.begun.session.to_string()),
            "has_receipt": self.row.map(|row| row.ended),
            "under_way": self.progress.map(|progress| json!({
                "step": step(progress.step),
                "answered": progress.submitted.iter().map(|id| name(self.card, id)).collect::<Vec<_>>(),
            })),
            "last": self.judged.map(|judged| receipt_json(self.card, judged)),
        })
    }
}

fn answer_words(answer: &DrillAnswer) -> String {
    match answer {
        DrillAnswer::Given(after_ms) => format!("answered after {}", span(*after_ms)),
        DrillAnswer::Refused(fault) => format!("ANSWERED WRONGLY: {}", fault.words()),
        DrillAnswer::Silent => "did not answer before the end".into(),
    }
}

fn span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..600_000 => format!("{} s", ms / 1_000),
        _ => format!("{} min", ms / 60_000),
    }
}

const fn step_words(step: DrillStep) -> &'static str {
    match step {
        DrillStep::Shares => "shares came in",
        DrillStep::Opened => "they were combined and opened the shadow",
        DrillStep::Read => "the disk was read and its state computed",
        DrillStep::Compared => "it was compared",
    }
}

fn outcome_words(receipt: &DrillReceipt) -> String {
    match &receipt.outcome {
        DrillOutcome::Passed(seen) => format!(
            "PASSED: the shares opened the shadow; the disk of incarnation {} gave a log of {} entries that holds the {} of the copy and agrees with {} head(s) \
             custodians had seen. {} of {} voters' disks were not read.",
            show::short(seen.disk),
            seen.found.size,
            seen.copy.size,
            seen.anchors,
            seen.unread,
            seen.voters
        ),
        DrillOutcome::Failed(fault) => format!("DID NOT PASS: {}.", fault.words()),
    }
}

/// A judged receipt, for people.
pub(super) fn receipt_text(card: &ClusterCard, judged: &JudgedReceipt) -> String {
    let (receipt, node) = (judged.receipt(), judged.node());
    let mut text = show::wrap(
        &format!(
            "drill {:.16} of dealing {}, cluster {}, log index {}, {} to {}",
            receipt.session.to_string(),
            receipt.custody_epoch,
            receipt.cluster_id,
            receipt.index,
            date(receipt.begun_at_ms / 1_000),
            date(receipt.ended_at_ms / 1_000)
        ),
        4,
    );
    text.push_str(&show::wrap(&outcome_words(receipt), 4));
    text.push_str(&show::wrap(&format!("{} good shares, {} recover:", receipt.given(), receipt.threshold), 4));
    for word in receipt.custodians.iter() {
        text.push_str(&show::wrap(&format!("  {}: {}", name(card, &word.custodian), answer_words(&word.answer)), 8));
    }
    for lap in receipt.laps.iter() {
        text.push_str(&format!("    {}: {}\n", step_words(lap.step), span(lap.took_ms)));
    }
    text.push_str(&show::wrap(
        &format!(
            "Signed by a genuine node: {}, build {} (security version {}), judged as of {}. It calls itself incarnation {}.",
            node.vendor,
            node.measurement,
            node.svn,
            date(judged.attested_s()),
            show::short(receipt.by)
        ),
        4,
    ));
    text
}

/// The same for programs.
pub(super) fn receipt_json(card: &ClusterCard, judged: &JudgedReceipt) -> Value {
    let receipt = judged.receipt();
    let answer = |answer: &DrillAnswer| match answer {
        DrillAnswer::Given(after_ms) => json!({ "answered": true, "after_ms": after_ms }),
        DrillAnswer::Refused(fault) => json!({ "answered": false, "refused": fault.words() }),
        DrillAnswer::Silent => json!({ "answered": false }),
    };
    let compared = match &receipt.outcome {
        DrillOutcome::Failed(_) => None,
        DrillOutcome::Passed(seen) => Some(json!({
            "disk": seen.disk.0, "entries": seen.found.size, "root": seen.found.root.to_string(), "copy_entries": seen.copy.size,
            "anchors": seen.anchors, "voters": seen.voters, "unread": seen.unread,
        })),
    };
    let why = match &receipt.outcome {
        DrillOutcome::Failed(fault) => Some(fault.words()),
        DrillOutcome::Passed(_) => None,
    };
    json!({
        "cluster": receipt.cluster_id.to_string(),
        "epoch": receipt.epoch.0,
        "custody_epoch": receipt.custody_epoch.0,
        "session": receipt.session.to_string(),
        "incarnation": receipt.by.0,
        "index": receipt.index,
        "begun_at_ms": receipt.begun_at_ms,
        "ended_at_ms": receipt.ended_at_ms,
        "threshold": receipt.threshold,
        "custodians": receipt.custodians.iter().map(|word| json!({
            "custodian": word.custodian.to_string(), "name": name(card, &word.custodian), "answer": answer(&word.answer),
        })).collect::<Vec<_>>(),
        "steps": receipt.laps.iter().map(|lap| json!({ "step": step_words(lap.step), "took_ms": lap.took_ms })).collect::<Vec<_>>(),
        "passed": why.is_none(),
        "why": why,
        "compared": compared,
        "node": show::verification_json(judged.node()),
        "attested_s": judged.attested_s(),
    })
}
