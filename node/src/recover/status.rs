//! How a recovery stands, in a file and on the terminal.
//!
//! Decides: what is told: step, whose shares are in, what was refused, which loss is asked, why it ended. Everybody may read it; nothing in it is secret and nothing
//! rests on it (custodians read `progress`, which is signed).
//! Trusts: nothing. Out of scope: deciding. Protocol section 6.2.

use crate::recover::papers::FOLDER;
use crate::recover::session::Session;
use ringwall_wire::custodian::{RecoveryProgress, RecoveryStep};
use ringwall_wire::recovery::{AbsentVoter, AuditWhat, RefusedShare};
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;

/// The file, in the folder of papers.
pub(crate) const FILE: &str = "status.json";
/// Bytes of it that are read.
const BYTES: u64 = 256 * 1024;

/// How it stands.
pub(crate) struct Standing(Value);

fn step(step: RecoveryStep) -> (&'static str, &'static str) {
    match step {
        RecoveryStep::Shares => ("shares", "waits for custodians' shares: give them `offer`, put their answers into `inbox`"),
        RecoveryStep::Claims => ("claims", "the keys are there; the disks are read"),
        RecoveryStep::Loss => ("loss", "too few disks: bring more into `disks`, or have every custodian accept the loss"),
        RecoveryStep::Witnesses => ("published", "the start of the epoch is written down; the new lineage begins"),
        RecoveryStep::Serving => ("serving", "the new epoch serves"),
        RecoveryStep::Drilled => ("drilled", "the drill ended well"),
        RecoveryStep::Ended => ("ended", "it ended without a result"),
    }
}

fn absent(voter: &AbsentVoter) -> Value {
    json!({ "slot": voter.slot.0, "incarnation": voter.incarnation.0 })
}

impl Standing {
    pub(crate) fn of(session: &Session, progress: &RecoveryProgress, (unseal, keepers): (&str, Vec<Value>), fault: Option<String>) -> Self {
        let manifest = session.manifest();
        let name = |id: &ringwall_wire::ids::CustodianId| {
            manifest.member(id).map_or_else(|| id.to_string(), |member| member.custodian.name.to_string())
        };
        let refused = session.audit.events().iter().filter_map(|event| match &event.what {
            AuditWhat::Refused(RefusedShare { custodian, fault }) => Some(json!({ "custodian": name(custodian), "why": fault.words() })),
            _ => None,
        });
        let (code, words) = step(progress.step);
        let asked = session.audit.events().iter().rev().find_map(|event| match &event.what {
            AuditWhat::LossAsked(asked) => Some(asked),
            _ => None,
        });
        let loss = progress.loss.map(|terms| {
            let absent = asked.filter(|asked| asked.terms == terms).map(|asked| asked.absent.iter().map(absent).collect::<Vec<_>>());
            json!({
                "voters": terms.voters, "missing": terms.missing, "entries": terms.chosen.size, "claims": terms.claims.to_string(),
                "absent": absent, "accepted": session.accepted().map(name).collect::<Vec<_>>(),
            })
        });
        let replaces = session.offer().replaces.map(|earlier| earlier.to_string());
        Standing(json!({
            "step": code,
            "words": words,
            "session": progress.session.to_string(),
            "replaces": replaces,
            "slot": session.offer().slot.0,
            "key": session.offer().sig.to_string(),
            "earlier": session.offer().earlier.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "keepers": keepers,
            "cluster": session.offer().cluster_id.to_string(),
            "epoch": session.offer().epoch.0,
            "custody_epoch": session.offer().custody_epoch.0,
            "threshold": manifest.threshold,
            "unseal": unseal,
            "submitted": progress.submitted.iter().map(name).collect::<Vec<_>>(),
            "refused": refused.collect::<Vec<_>>(),
            "loss": loss,
            "ended": fault,
        }))
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(&self.0).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

/// Before there is a session: whose disk is being fetched.
pub(crate) fn fetching(address: &str) -> Vec<u8> {
    Standing(json!({ "step": "assist", "words": "a machine that assists gives its disk; the log says how far it is", "address": address }))
        .to_bytes()
}

/// The status of the recovery in a data folder, as it was written last; none if there was none.
pub fn read(data: &Path) -> std::io::Result<Option<String>> {
    match std::fs::File::open(data.join(FOLDER).join(FILE)) {
        Ok(file) => {
            let mut text = String::new();
            file.take(BYTES).read_to_string(&mut text)?;
            Ok(Some(text))
        }
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}
