//! `ringwall workload-key audit`: what was granted, refused and changed, and that the chain over it is whole.
//!
//! Decides: nothing is shown before all of it was chained to its head; a chain known from before must be continued (`--since`).
//! Trusts: the cluster that was verified; a governor's key opens the chain. Out of scope: what is written down. Protocol section 10.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::show;
use super::verbs::{self, options};
use super::workload_key::trouble;
use crate::policy::GovernorKey;
use crate::workload::{Audit, anywhere};
use crate::{Anchors, Credential};
use clap::Args;
use ringwall_wire::ids::{Digest, Vendor};
use ringwall_wire::workload::{AuditEntry, AuditEvent, WorkloadPurpose, audit_chain};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `workload-key audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// Show entries of this key alone; all are verified
    pub(crate) name: Option<String>,
    /// Governor's key file
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// A head that was shown before, as NUMBER:DIGEST; the chain must go on from it
    #[arg(long, value_name = "HEAD", value_parser = head)]
    pub(crate) since: Option<(u64, Digest)>,
}

fn head(text: &str) -> Result<(u64, Digest), String> {
    let wrong = || "a head is a number, a colon and 64 hex digits, as `audit` shows it".to_owned();
    let (number, digest) = text.split_once(':').ok_or_else(wrong)?;
    Ok((number.parse().map_err(|_| wrong())?, digest.parse().map_err(|_| wrong())?))
}

/// Reads, verifies, shows.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, arguments: &AuditArguments) -> Result<Exit, Trouble> {
    let governor = GovernorKey::read(&arguments.key)?;
    let options = options(shared, anchors, Credential::generate())?;
    let spinner = verbs::spinner(shared, "reading the audit chain");
    let audit = anywhere(&options, WorkloadPurpose::Governor, async |session| session.audit(&governor).await).await;
    spinner.finish_and_clear();
    let audit = audit.map_err(trouble)?;
    if let Some((number, digest)) = arguments.since {
        continues(&audit, number, &digest)?;
    }
    let shown = audit.entries.iter().filter(|entry| arguments.name.as_deref().is_none_or(|name| *entry.name == *name));
    for entry in shown {
        match shared.json {
            true => show::line(object(entry).to_string())?,
            false => show::line(line(entry))?,
        }
    }
    let (kept, head) = (audit.entries.len(), format!("{}:{}", audit.count, audit.head));
    match shared.json {
        true => show::line(json!({ "verified": true, "entries": audit.count, "kept": kept, "head": head }).to_string())?,
        false => show::line(format!("chain verified: {} entries, {kept} kept, head {head}", audit.count))?,
    }
    Ok(Exit::Done)
}

/// Whether the chain goes on from a head that is known.
fn continues(audit: &Audit, number: u64, digest: &Digest) -> Result<(), Trouble> {
    let mut at = audit.before;
    let mut seq = audit.entries.first().map_or(audit.count, |first| first.seq.saturating_sub(1));
    let mut found = (seq == number).then_some(at);
    for entry in &audit.entries {
        at = audit_chain(&at, entry);
        seq = entry.seq;
        if seq == number {
            found = Some(at);
        }
    }
    match found {
        Some(found) if found == *digest => Ok(()),
        Some(_) => Err(Trouble::new(
            "RW-C-AUDIT-FORK",
            format!("entry {number} of the chain is another one than was seen before: keep both heads"),
        )),
        None if number > audit.count => {
            let words = format!("the chain has {} entries, {number} were seen before: it was rolled back", audit.count);
            Err(Trouble::new("RW-C-AUDIT-ROLLBACK", words))
        }
        None => Err(Trouble::new("RW-C-AUDIT-GONE", format!("entry {number} is no longer kept; compare more often"))),
    }
}

fn event(event: &AuditEvent) -> (&'static str, String) {
    match event {
        AuditEvent::Created(policy) => ("created", format!("policy {policy}")),
        AuditEvent::PolicySet(policy) => ("policy", format!("policy {policy}")),
        AuditEvent::Granted => ("granted", String::new()),
        AuditEvent::Refused(fault) => ("refused", fault.code().to_owned()),
    }
}

fn vendor(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Amd => "amd",
        Vendor::Intel => "intel",
    }
}

fn line(entry: &AuditEntry) -> String {
    let (what, detail) = event(&entry.event);
    let mut line =
        format!("{}\t{}\t{}\tversion {}\t{what}", entry.seq, entry.at_ms, show::words(entry.name.as_bytes()), entry.policy_version);
    if !detail.is_empty() {
        line.push_str(&format!(" {detail}"));
    }
    if let Some(subject) = &entry.subject {
        line.push_str(&format!("\t{} chip {} measured {}", vendor(subject.vendor), subject.chip, subject.measurement));
    }
    if let Some(user) = &entry.user {
        line.push_str(&format!("\tuser tag {user}"));
    }
    if entry.unrecorded > 0 {
        line.push_str(&format!("\tafter {} refusals that were not written down", entry.unrecorded));
    }
    line
}

fn object(entry: &AuditEntry) -> Value {
    let (what, detail) = event(&entry.event);
    json!({
        "seq": entry.seq,
        "at_ms": entry.at_ms,
        "name": &*entry.name,
        "policy_version": entry.policy_version,
        "event": what,
        "detail": detail,
        "vendor": entry.subject.map(|subject| vendor(subject.vendor)),
        "chip": entry.subject.map(|subject| subject.chip.to_string()),
        "measurement": entry.subject.map(|subject| subject.measurement.to_string()),
        "user_tag": entry.user.map(|user| user.to_string()),
        "member": entry.by.0,
        "unrecorded": entry.unrecorded,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::sample::{Sample as _, Source};

    fn chain(entries: u64) -> Audit {
        let mut source = Source::new(3);
        let mut audit = Audit::default();
        for seq in 1..=entries {
            let entry = AuditEntry { seq, ..AuditEntry::sample(&mut source) };
            audit.head = audit_chain(&audit.head, &entry);
            audit.entries.push(entry);
            audit.count = seq;
        }
        audit
    }

    #[test]
    fn a_chain_goes_on_from_every_head_it_had_and_from_no_other() {
        let whole = chain(4);
        assert!(continues(&whole, 0, &Digest([0; 32])).is_ok());
        for length in 1..=4 {
            let earlier = chain(length);
            assert!(continues(&whole, length, &earlier.head).is_ok());
            assert_eq!(continues(&whole, length, &Digest([9; 32])).unwrap_err().code, "RW-C-AUDIT-FORK");
        }
        assert_eq!(continues(&whole, 5, &whole.head).unwrap_err().code, "RW-C-AUDIT-ROLLBACK");
        let mut cut = whole.clone();
        cut.before = chain(2).head;
        cut.entries.drain(..2);
        assert!(continues(&cut, 2, &chain(2).head).is_ok());
        assert!(continues(&cut, 4, &whole.head).is_ok());
        assert_eq!(continues(&cut, 1, &chain(1).head).unwrap_err().code, "RW-C-AUDIT-GONE");
    }

    #[test]
    fn heads_are_read_as_they_are_shown() {
        let digest = Digest([7; 32]);
        assert_eq!(head(&format!("12:{digest}")), Ok((12, digest)));
        for wrong in ["", "12", "12:", ":00", "x:00", "12:0g"] {
            assert!(head(wrong).is_err(), "{wrong}");
        }
    }
}
