//! `ringwall release publish-epochs` and `epochs`: recoveries and dealings in the release log.
//!
//! Decides: what is published is read from what a recovery wrote down, from a verified member, or from a recovery file; a proof that clients would not believe is not
//! written. Whoever reads the log is told of two recoveries of one epoch, with both entries as a proof, and whether the log has what is known.
//! Trusts: the library. Out of scope: the log (`crate::release`), showing the proof to clients (nodes). docs/runbooks/recovery.md.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::policy::{say, write_new};
use super::release::policy;
use super::release_args::{Epochs, PublishEpochs};
use super::release_log::replace;
use super::release_verify::refusal;
use super::verbs::connect;
use crate::Anchors;
use crate::card::read_card;
use crate::release::http::Http;
use crate::release::publish::{OfCluster, prove};
use crate::release::staple::StapleFault;
use crate::release::tiles::TileLog;
use ringwall_attest::date;
use ringwall_attest::release::{ReleaseError, Rule, verify_published};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::RecoveryFile;
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::limits::{EPOCHS, RECOVERY_FILE_BYTES};
use ringwall_wire::policy::{ReleaseRule, ReleaseSigners};
use ringwall_wire::receipt::EpochStart;
use ringwall_wire::recovery::RecoveryAccount;
use ringwall_wire::release::{LogEntry, Logged, LoggedCustody, LoggedEpoch};
use ringwall_wire::text::read_hex_vec;
use serde_json::{Value, json};
use std::path::Path;

/// Bytes of a file of epoch starts: as many as a cluster has epochs, each tried a few times, with its account.
const EPOCHS_FILE_BYTES: usize = 4 * EPOCHS * 64 * 1024;

/// The rule that names log and witnesses.
fn rule(path: &Path) -> Result<ReleaseSigners, Trouble> {
    match policy(path)?.release {
        ReleaseRule::Demanded(rule) => Ok(rule),
        ReleaseRule::NotDemanded => {
            Err(Trouble::new("RW-C-POLICY-RELEASE", "the policy names no release log: nothing can be public by it"))
        }
    }
}

fn read_rule(rule: &ReleaseSigners) -> Result<Rule, Trouble> {
    Rule::read(rule).map_err(|fault| refusal(&ReleaseError::Rule(fault)))
}

/// The starts in a file as a recovery writes it: on each line a start and its account, which the start names.
fn starts(path: &Path) -> Result<Vec<EpochStart>, Trouble> {
    let wrong = |line: usize, what: &str| {
        Trouble::new("RW-C-INPUT", format!("{}: line {line}: {what}; take `recovery/epochs.log` as it is", path.display()))
    };
    let bytes = bounded_file(path, EPOCHS_FILE_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(1, "it is no text"))?;
    let mut found = Vec::new();
    for (line, words) in (1..).zip(text.lines()) {
        let (start, account) = words.split_once(' ').ok_or_else(|| wrong(line, "it does not hold a start and an account"))?;
        let start = read_hex_vec(start).and_then(|bytes| EpochStart::decode(&bytes).ok());
        let account = read_hex_vec(account).and_then(|bytes| RecoveryAccount::decode(&bytes).ok());
        let (Some(start), Some(account)) = (start, account) else {
            return Err(wrong(line, "it holds no start of an epoch, or no account"));
        };
        if start.account != Digest(account.digest()) || (start.cluster_id, start.epoch) != (account.cluster_id, account.epoch) {
            return Err(wrong(line, "the account is not the one the start names"));
        }
        found.push(start);
    }
    Ok(found)
}

fn dealing(path: &Path) -> Result<LogEntry, Trouble> {
    let bytes = bounded_file(path, RECOVERY_FILE_BYTES)?;
    let wrong = |fault| Trouble::new("RW-C-DEALING-MALFORMED", format!("{}: no recovery file: {fault}", path.display()));
    let manifest = RecoveryFile::decode(&bytes).map_err(wrong)?.manifest.manifest;
    Ok(LogEntry::custody(manifest.cluster_id, Digest(manifest.digest())))
}

/// Hands entries in, waits for a checkpoint that has them, and writes the proof down.
pub(super) async fn publish(shared: &SharedOptions, anchors: Anchors, arguments: &PublishEpochs) -> Result<Exit, Trouble> {
    let rule = rule(&arguments.policy)?;
    let read = read_rule(&rule)?;
    let mut entries = Vec::new();
    for path in &arguments.epochs {
        entries.extend(starts(path)?.iter().map(LogEntry::epoch_start));
    }
    if arguments.member {
        let client = connect(shared, anchors).await?;
        let told = client.verification();
        client.close().await;
        let newest =
            told.recovered.last().ok_or_else(|| Trouble::new("RW-C-NOT-FOUND", "no epoch of this cluster began with a recovery"))?;
        entries.push(LogEntry::epoch_start(&newest.start));
    }
    for path in &arguments.dealing {
        entries.push(dealing(path)?);
    }
    if entries.is_empty() {
        return Err(Trouble::new("RW-C-NOT-FOUND", "the files name no start of an epoch"));
    }
    one_cluster(shared, &entries)?;
    let log = TileLog::new(&arguments.log_url, Http::new());
    for entry in &entries {
        log.add(&entry.encode())?;
    }
    let proof = prove(&log, &read, &log.renewed()?, &entries).map_err(|fault| match fault {
        StapleFault::NoEntry { .. } => Trouble::new(
            "RW-C-CANNOT-TELL",
            "the log took the entries, and its newest checkpoint does not have them: run the command again",
        ),
        fault => fault.into(),
    })?;
    let proof = proof.encode();
    let published = verify_published(&proof, &rule).map_err(|fault| refusal(&fault))?;
    replace(&arguments.out, &proof)?;
    let shown = arguments.out.display().to_string();
    let mut lines: Vec<String> = published.entries().iter().map(|(index, entry)| line(*index, entry)).collect();
    lines.push(format!(
        "{shown}: public since {} at the latest; put it into the data folder of each node as release.published",
        date(published.since_s())
    ));
    let objects: Vec<Value> = published.entries().iter().map(|(index, entry)| object(*index, entry)).collect();
    say(shared.json, &lines.join("\n"), json!({ "written": shown, "since_s": published.since_s(), "entries": objects }))
}

/// All entries are of one cluster: the pinned one where one is pinned.
fn one_cluster(shared: &SharedOptions, entries: &[LogEntry]) -> Result<(), Trouble> {
    let mut of = entries.iter().filter_map(|entry| match &entry.what {
        Logged::EpochStart(LoggedEpoch { cluster_id, .. }) | Logged::Custody(LoggedCustody { cluster_id, .. }) => Some(*cluster_id),
        Logged::Release(_) | Logged::PolicyChange(_) => None,
    });
    let pinned = pinned(shared)?.or_else(|| of.next());
    match of.find(|cluster| Some(*cluster) != pinned) {
        None => Ok(()),
        Some(other) => Err(Trouble::new("RW-C-OTHER-CLUSTER", format!("a record is of cluster {other}, not of the one that is meant"))),
    }
}

fn pinned(shared: &SharedOptions) -> Result<Option<ClusterId>, Trouble> {
    match &shared.card {
        Some(path) => Ok(Some(read_card(path, shared.cluster)?.genesis.cluster_id())),
        None => Ok(shared.cluster),
    }
}

fn line(index: u64, entry: &LogEntry) -> String {
    match &entry.what {
        Logged::EpochStart(LoggedEpoch { epoch, record, .. }) => {
            format!("entry {index}: epoch {epoch} began with a recovery, record {record}")
        }
        Logged::Custody(LoggedCustody { manifest, .. }) => format!("entry {index}: a dealing, manifest {manifest}"),
        Logged::Release(_) | Logged::PolicyChange(_) => format!("entry {index}: of another kind"),
    }
}

fn object(index: u64, entry: &LogEntry) -> Value {
    match &entry.what {
        Logged::EpochStart(LoggedEpoch { epoch, record, .. }) => json!({ "index": index, "epoch": epoch.0, "record": record.to_string() }),
        Logged::Custody(LoggedCustody { manifest, .. }) => json!({ "index": index, "manifest": manifest.to_string() }),
        Logged::Release(_) | Logged::PolicyChange(_) => json!({ "index": index }),
    }
}

/// Shows what the log has of one cluster.
pub(super) fn list(shared: &SharedOptions, arguments: &Epochs) -> Result<Exit, Trouble> {
    let rule = rule(&arguments.policy)?;
    let read = read_rule(&rule)?;
    let mut known = Vec::new();
    for path in &arguments.known {
        known.extend(starts(path)?);
    }
    let cluster = pinned(shared)?.or_else(|| known.first().map(|start| start.cluster_id));
    let usage = || Trouble::new("RW-C-USAGE", "say which cluster is meant: --card, --cluster or --known");
    let cluster = cluster.ok_or_else(usage)?;
    let log = TileLog::new(&arguments.log_url, Http::new());
    let note = log.checkpoint()?;
    let found = OfCluster::read(&log, &read, &note, &cluster)?;
    let has = |start: &EpochStart| found.entries.iter().find(|(_, entry)| *entry == LogEntry::epoch_start(start)).map(|(index, _)| *index);
    let missing: Vec<&EpochStart> = known.iter().filter(|start| has(start).is_none()).collect();

    let mut lines: Vec<String> = found.entries.iter().map(|(index, entry)| line(*index, entry)).collect();
    // Anybody may have entries added, so many that an older one is not looked at any more.
    let lacks = if found.from == 0 { "NOT in the log" } else { "NOT among the entries that were looked at" };
    lines.extend(missing.iter().map(|start| format!("{lacks}: epoch {}, record {}", start.epoch, Digest(start.digest()))));
    lines.push(format!("entries {} to {} were looked at", found.from, found.checkpoint.size));
    let objects: Vec<Value> = found.entries.iter().map(|(index, entry)| object(*index, entry)).collect();
    let absent: Vec<Value> =
        missing.iter().map(|start| json!({ "epoch": start.epoch.0, "record": Digest(start.digest()).to_string() })).collect();
    let conflicts = found.conflicts();
    let epochs: Vec<u32> = conflicts.iter().map(|(epoch, _)| epoch.0).collect();
    let told = json!({ "entries": objects, "missing": absent, "from": found.from, "size": found.checkpoint.size, "twice": epochs });
    say(shared.json, &lines.join("\n"), told)?;

    let Some((epoch, entries)) = conflicts.into_iter().next() else { return Ok(Exit::Done) };
    let words =
        format!("the log has {} recoveries of epoch {epoch}: at most one of them is the cluster that is gone on with", entries.len());
    let Some(path) = &arguments.evidence else {
        return Err(Trouble::new("RW-C-FORK-DETECTED", format!("{words}; keep the proof with --evidence FILE")));
    };
    let two = entries.get(..2).unwrap_or_default();
    let proof = prove(&log, &read, &note, two)?.encode();
    let _holds = verify_published(&proof, &rule).map_err(|fault| refusal(&fault))?;
    write_new(path, &proof)?;
    Err(Trouble::new(
        "RW-C-FORK-DETECTED",
        format!("{words}; two of the entries, with their places in the log, are kept in {}", path.display()),
    ))
}
