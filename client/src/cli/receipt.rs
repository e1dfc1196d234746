//! `ringwall receipt`: what was confirmed, shown and compared; evidence of a rollback or a fork, verified without a network.
//!
//! Decides: exit codes: 0 for evidence that proves what it says, 3 for a file that proves nothing, 12 where its signers cannot be judged, 13 for
//! two anchors that contradict each other. Trusts: the library, and the roots of trust it is given. Out of scope: the judging (`anchor/evidence.rs`).

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::{input, show};
use crate::Anchors;
use crate::anchor::{Anchor, AnchorFiles, Contradiction, Findings, LogForkFile, Misdeed, Receipt, merge, read_evidence, read_log_fork};
use crate::card::{newest_policy, read_card};
use clap::Subcommand;
use ringwall_attest::date;
use ringwall_wire::ids::ClusterId;
use ringwall_wire::policy::ReleaseRule;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Verbs of `ringwall receipt`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptVerb {
    /// Verify a file of evidence: two receipts of one cluster, or two checkpoints of one release log, that cannot both be true
    Verify {
        /// The file
        file: PathBuf,
    },
    /// Show what this user's devices remember of a cluster
    Show {
        /// An anchor file; without it the one beside the credential
        file: Option<PathBuf>,
    },
    /// Compare what two devices, or two users, remember of a cluster
    Compare {
        /// An anchor file
        one: PathBuf,
        /// Another one
        other: PathBuf,
    },
}

/// Runs the verb.
pub(crate) fn run(shared: &SharedOptions, anchors: &Anchors, verb: ReceiptVerb) -> Result<Exit, Trouble> {
    match verb {
        ReceiptVerb::Verify { file } => verify(shared, anchors, &file),
        ReceiptVerb::Show { file } => {
            let file = match file {
                Some(file) => file,
                None => files(shared)?.path("anchor"),
            };
            let anchor = read(&file)?;
            match shared.json {
                true => show::line(anchor_json(&anchor).to_string())?,
                false => show::print(anchor_text(&anchor).as_bytes())?,
            }
            Ok(Exit::Done)
        }
        ReceiptVerb::Compare { one, other } => compare(shared, &read(&one)?, &read(&other)?),
    }
}

/// The files beside the credential, for the pinned cluster.
fn files(shared: &SharedOptions) -> Result<AnchorFiles, Trouble> {
    let cluster_id: ClusterId = match (&shared.card, shared.cluster) {
        (Some(card), expected) => read_card(card, expected)?.genesis.cluster_id(),
        (None, Some(cluster)) => cluster,
        (None, None) => return Err(Trouble::new("RW-C-USAGE", "name an anchor file, or pin a cluster with --card or --cluster")),
    };
    Ok(AnchorFiles::beside(input::credential_path(shared)?, &cluster_id))
}

fn read(path: &Path) -> Result<Anchor, Trouble> {
    let missing = || Trouble::new("RW-C-NOT-FOUND", format!("there is no anchor at {}: nothing was confirmed yet", path.display()));
    AnchorFiles::read_anchor(path)?.ok_or_else(missing)
}

/// A proof that a release log lied: it counts for whoever relies on that log, so the card's policy has to name it.
fn log_lied(shared: &SharedOptions, proof: &LogForkFile, path: &Path) -> Result<Exit, Trouble> {
    let card =
        shared.card.as_deref().ok_or_else(|| Trouble::new("RW-C-USAGE", "name the card: its policy says which log the proof is about"))?;
    let policy = newest_policy(&read_card(card, shared.cluster)?);
    let ReleaseRule::Demanded(signers) = &policy.release else {
        return Err(Trouble::new("RW-C-USAGE", "the card's policy names no release log: the proof is about nothing it relies on"));
    };
    let (exit, object, text) = match proof.verify(signers) {
        Ok(Some(what)) => {
            let misdeed = name(proof.misdeed());
            let words = match proof.misdeed() {
                Misdeed::Rollback => {
                    "Both checkpoints are signed by the log that the card's policy names, and as many of its named witnesses as must cosign each cosigned the \
                     smaller one after they had cosigned the larger one. Of an honest log no honest witness does that."
                }
                Misdeed::Fork => "Both checkpoints are signed by the log that the card's policy names. No honest log signs both.",
            };
            let object = json!({ "proven": true, "misdeed": misdeed, "what": what, "log": "release" });
            (Exit::Done, object, format!("{}: {misdeed}: {what}\n{}", path.display(), show::wrap(words, 2)))
        }
        Ok(None) => nothing(path, "an honest log may have signed both: nothing shows that the later one has less, or other revocations"),
        Err(fault) => nothing(path, &fault.to_string()),
    };
    match shared.json {
        true => show::line(object.to_string())?,
        false => show::print(text.as_bytes())?,
    }
    Ok(exit)
}

fn nothing(path: &Path, why: &str) -> (Exit, Value, String) {
    (Exit::Evidence, json!({ "proven": false, "undecided": false, "why": why }), format!("{}: proves nothing: {why}\n", path.display()))
}

fn verify(shared: &SharedOptions, anchors: &Anchors, path: &Path) -> Result<Exit, Trouble> {
    if let Ok(proof) = read_log_fork(path) {
        return log_lied(shared, &proof, path);
    }
    let evidence = read_evidence(path)?;
    let (exit, object, text) = match evidence.verify(anchors) {
        Ok(found) => (Exit::Done, findings_json(&found), findings_text(&found, path)),
        Err(fault) => {
            let exit = if fault.is_undecided() { Exit::CannotTell } else { Exit::Evidence };
            let object = json!({ "proven": false, "undecided": fault.is_undecided(), "why": fault.to_string() });
            (exit, object, format!("{}: proves nothing: {fault}\n", path.display()))
        }
    };
    match shared.json {
        true => show::line(object.to_string())?,
        false => show::print(text.as_bytes())?,
    }
    Ok(exit)
}

fn name(misdeed: Misdeed) -> &'static str {
    match misdeed {
        Misdeed::Rollback => "ROLLBACK_DETECTED",
        Misdeed::Fork => "FORK_DETECTED",
    }
}

fn findings_json(found: &Findings) -> Value {
    json!({
        "proven": true,
        "misdeed": name(found.misdeed),
        "what": found.contradiction.to_string(),
        "cluster": found.cluster_id.to_string(),
        "known_by": found.known_by.0,
        "got_by": found.got_by.0,
        "known_attested_s": found.attested_s.0,
        "got_attested_s": found.attested_s.1,
    })
}

fn findings_text(found: &Findings, path: &Path) -> String {
    let (known_s, got_s) = found.attested_s;
    let words = format!(
        "Incarnation {} of cluster {} signed the first receipt, incarnation {} the second. Both were genuine members of it by their evidence, judged anew \
         as of {} and {}. No honest history of the cluster has both receipts in it.",
        found.known_by,
        found.cluster_id,
        found.got_by,
        date(known_s),
        date(got_s)
    );
    format!("{}: {}: {}\n{}", path.display(), name(found.misdeed), found.contradiction, show::wrap(&words, 2))
}

fn compare(shared: &SharedOptions, one: &Anchor, other: &Anchor) -> Result<Exit, Trouble> {
    let (exit, relation, words) = match merge(one, other) {
        Err((what @ Contradiction::OtherCluster { .. }, _)) => {
            return Err(Trouble::new("RW-C-USAGE", format!("the anchors are of two clusters: {what}")));
        }
        Err((what, _)) => {
            let words = format!("{}: {what}. Keep both files: both were signed by members of this cluster", name(what.misdeed()));
            (Exit::Detected, "contradiction", words)
        }
        Ok(_) => relation(&one.newest, &other.newest),
    };
    match shared.json {
        true => show::line(json!({ "relation": relation, "words": words }).to_string())?,
        false => show::line(words)?,
    }
    Ok(exit)
}

fn relation(one: &Receipt, other: &Receipt) -> (Exit, &'static str, String) {
    let (left, right) = (&one.head, &other.head);
    let place = |head: &ringwall_wire::receipt::ReceiptHead| (head.epoch.0, head.tree.size);
    let more = left.tree.size.abs_diff(right.tree.size);
    let newer = |which| {
        format!(
            "nothing contradicts; the {which} has seen {more} entries more. That one continues the other is proven when the device with the \
             older anchor connects next"
        )
    };
    match place(left).cmp(&place(right)) {
        std::cmp::Ordering::Equal => (Exit::Done, "same", "both have seen the same log".into()),
        std::cmp::Ordering::Less => (Exit::Done, "second newer", newer("second")),
        std::cmp::Ordering::Greater => (Exit::Done, "first newer", newer("first")),
    }
}

fn anchor_json(anchor: &Anchor) -> Value {
    let receipt = |receipt: &Receipt| {
        let head = &receipt.head;
        let space = |mark: &ringwall_wire::receipt::SpaceMark| json!({ "space": mark.space.to_string(), "changes": mark.seq, "digest": mark.digest.to_string() });
        json!({
            "cluster": head.cluster_id.to_string(),
            "epoch": head.epoch.0,
            "index": head.index,
            "term": head.term,
            "tree_size": head.tree.size,
            "tree_root": head.tree.root.to_string(),
            "incarnation": head.incarnation.0,
            "user": receipt.leaf.user.to_string(),
            "spaces": receipt.leaf.spaces.iter().map(space).collect::<Vec<_>>(),
        })
    };
    json!({ "newest": receipt(&anchor.newest), "others": anchor.others.iter().map(receipt).collect::<Vec<_>>() })
}

fn anchor_text(anchor: &Anchor) -> String {
    let head = &anchor.newest.head;
    let mut text = format!(
        "cluster {}\nepoch {}, {} entries (the last has index {}, term {})\nroot {}\nsigned by incarnation {} for user {}\n",
        head.cluster_id, head.epoch, head.tree.size, head.index, head.term, head.tree.root, head.incarnation, anchor.newest.leaf.user
    );
    for receipt in anchor.receipts() {
        for mark in receipt.leaf.spaces.iter() {
            let at = receipt.head.tree.size;
            text.push_str(&format!("namespace {}: {} changes at {at} entries, chain {}\n", mark.space, mark.seq, mark.digest));
        }
    }
    text
}
