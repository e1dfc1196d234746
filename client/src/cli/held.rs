//! The newest policy a verification begins from: the card's, or what this user's client remembers of the cluster.
//!
//! Decides: of the two the one that goes on where the other ends; two that go on differently are told and neither is used. The record beside the credential
//! is read and its changes are judged again; nothing is written, so that a verification leaves no trace of who made it.
//! Trusts: the card, as far as its reader does; nothing in the record but what its changes prove. Out of scope: judging nodes (`verify.rs`), keeping the
//! record (`anchor/files.rs`). Protocol section 8, PC9.

use super::args::SharedOptions;
use super::exit::Trouble;
use super::show;
use crate::anchor::{AnchorError, AnchorFiles, newer_policy, verified};
use ringwall_wire::ids::ClusterId;
use ringwall_wire::known::KnownPolicy;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What a node has to go by, or follow from.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The policy; none where the cluster id alone is pinned.
    known: Option<Newest>,
    /// Version of the card's, where the record has a newer one.
    card_version: Option<u64>,
}

#[derive(Debug)]
struct Newest {
    record: KnownPolicy,
    version: u64,
    /// The record that has it; none where the card does.
    file: Option<PathBuf>,
}

impl Held {
    /// The newest policy that is known of this cluster: `card` is what a card pins.
    pub(super) fn find(shared: &SharedOptions, card: Option<KnownPolicy>, cluster_id: ClusterId) -> Result<Self, Trouble> {
        let file = shared.credential.as_deref().map(|path| AnchorFiles::beside(path, &cluster_id).path("policy"));
        let kept = file.as_deref().map(|file| kept(file, &cluster_id)).transpose()?.flatten();
        let (record, file) = match (card.clone(), kept) {
            (None, None) => return Ok(Held::default()),
            (None, Some(kept)) => (kept, file),
            (Some(card), None) => (card, None),
            (Some(card), Some(kept)) => {
                let newest = newer_policy(&card, &kept).map_err(AnchorError::PoliciesForked)?;
                let file = file.filter(|_| newest.digest() != card.digest());
                (newest, file)
            }
        };
        let card_version = card.filter(|_| file.is_some()).map(|card| version(&card, "the card")).transpose()?;
        let version = version(&record, &file.as_deref().unwrap_or(Path::new("the card")).display().to_string())?;
        Ok(Held { known: Some(Newest { record, version, file }), card_version })
    }

    /// The policy, and the changes that led to it.
    pub(super) fn record(&self) -> Option<&KnownPolicy> {
        self.known.as_ref().map(|newest| &newest.record)
    }

    /// Which it is, for people; empty where none is held.
    pub(super) fn words(&self) -> String {
        let Some(Newest { version, file, .. }) = &self.known else { return String::new() };
        let words = match (file, self.card_version) {
            (None, _) => format!("held to policy version {version} of the card"),
            (Some(file), None) => format!("held to policy version {version}, which {} remembers", file.display()),
            (Some(file), Some(card)) => {
                format!("held to policy version {version}, which {} remembers; the card is older and says version {card}", file.display())
            }
        };
        show::wrap(&words, 2)
    }

    /// The same as fields; none where none is held.
    pub(super) fn json(&self) -> Option<Value> {
        self.known.as_ref().map(|Newest { version, file, .. }| match file {
            None => json!({ "version": version, "from": "card" }),
            Some(file) => json!({ "version": version, "from": "anchor", "file": file.display().to_string() }),
        })
    }
}

/// The record in this file, after its changes were judged; none when there is none.
fn kept(file: &Path, cluster_id: &ClusterId) -> Result<Option<KnownPolicy>, Trouble> {
    let Some(kept) = AnchorFiles::read_policy(file)? else { return Ok(None) };
    if kept.cluster_id != *cluster_id {
        return Err(malformed(file, "it is about another cluster"));
    }
    verified(kept, cluster_id).map(Some).map_err(|fault| malformed(file, &fault.to_string()))
}

fn version(known: &KnownPolicy, place: &str) -> Result<u64, Trouble> {
    known.policy().map(|policy| policy.version.0).map_err(|fault| malformed(Path::new(place), &fault.to_string()))
}

fn malformed(file: &Path, why: &str) -> Trouble {
    let words =
        format!("{} is no record of this cluster's policy: {why}. Restore it from a copy; moving it away begins anew", file.display());
    Trouble::new("RW-C-ANCHOR-MALFORMED", words)
}
