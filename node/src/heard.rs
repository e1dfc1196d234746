//! What this node heard of the release log: the newest head it verified, in whoever's proof, with the revocations it names.
//!
//! Decides: what is remembered is the head that says the most; a node that staples an older one is judged by it: refused if its build was revoked
//! since, admitted if it merely lags. Where more was revoked, every session is opened anew. Two heads that no honest log shows are kept, in `release.fork`.
//! `release.heard` in the data folder is the proof it came in: a start does not forget. It proves itself, and is judged again under each rule.
//! Trusts: nobody with the file: an operator who takes it away has a node hear anew. Out of scope: judging (`ringwall_attest::release`), the proof this node
//! hands out (`stapling`). Protocol section 8, "Releases"; layout: docs/formats.md.

use crate::folders;
use crate::stapling::Proof;
use ringwall_attest::release::{Heard, Ran, ReleaseError};
use ringwall_attest::{AppraisedPeer, Claims, Rejection, SessionError};
use ringwall_wire::codec::{Field as _, Message as _};
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::{FORK_PROOF_BYTES, RELEASE_PROOF_BYTES};
use ringwall_wire::policy::{ReleaseRule, ReleaseSigners};
use ringwall_wire::release::ForkProof;
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::{error, info, warn};

/// Its name in the data folder.
pub const HEARD_FILE: &str = "release.heard";
/// The next one while it is written.
const BESIDE: &str = "release.heard.new";
/// Two heads that contradict each other, in the data folder; the first such pair stays.
pub const FORK_FILE: &str = "release.fork";
/// It while it is written.
const FORK_BESIDE: &str = "release.fork.new";

/// What a node heard. Without a folder it is forgotten with the process.
#[derive(Debug, Default)]
pub struct HeardCell {
    folder: Option<PathBuf>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The proof it came in; empty where nothing was heard.
    proof: Proof,
    /// What it says under the rule of this digest.
    judged: Option<(Digest, Option<Arc<Heard>>)>,
}

impl Kept {
    fn under(&mut self, rule: &ReleaseSigners) -> Option<Arc<Heard>> {
        if self.proof.is_empty() {
            return None;
        }
        let digest = digest(rule);
        match &self.judged {
            Some((by, heard)) if *by == digest => heard.clone(),
            _ => {
                let heard = Heard::of(&self.proof, rule).ok().map(Arc::new);
                self.judged = Some((digest, heard.clone()));
                heard
            }
        }
    }
}

fn digest(rule: &ReleaseSigners) -> Digest {
    Digest(Sha256::digest(rule.to_bytes()).into())
}

impl HeardCell {
    /// What the data folder remembers. A file that cannot be read is left aside.
    pub fn at_start(data: &Path) -> Self {
        let proof = match folders::read_most(&data.join(HEARD_FILE), RELEASE_PROOF_BYTES) {
            Ok(bytes) => Proof::new(bytes.unwrap_or_default()).unwrap_or_else(|_| {
                warn!(file = HEARD_FILE, "what was heard of the release log is larger than any proof and is left aside");
                Proof::default()
            }),
            Err(fault) => {
                warn!(file = HEARD_FILE, %fault, "what was heard of the release log cannot be read and is left aside");
                Proof::default()
            }
        };
        HeardCell { folder: Some(data.to_owned()), kept: Mutex::new(Kept { proof, judged: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was heard of this rule's log.
    pub fn under(&self, rule: &ReleaseSigners) -> Option<Arc<Heard>> {
        self.lock().under(rule)
    }

    /// Remembers what `proof` shows, if that is more than what is known. Gives how many revocations are new.
    pub(crate) fn hear(&self, proof: &Proof, rule: &ReleaseSigners) -> u64 {
        let mut kept = self.lock();
        if kept.proof == *proof {
            return 0;
        }
        let Ok(heard) = Heard::of(proof, rule) else { return 0 };
        let before = kept.under(rule);
        if before.as_ref().is_some_and(|before| !heard.says_more_than(before)) {
            return 0;
        }
        let new = heard.revoked().saturating_sub(before.map_or(0, |before| before.revoked()));
        let entries = heard.checkpoint().size;
        *kept = Kept { proof: proof.clone(), judged: Some((digest(rule), Some(Arc::new(heard)))) };
        // Under the lock, so that an older one is not written last.
        let written = self.folder.as_deref().map_or(Ok(()), |folder| write(folder, proof));
        drop(kept);
        if let Err(fault) = written {
            warn!(%fault, file = HEARD_FILE, "what was heard of the release log is not written down: a start forgets it");
        }
        match new {
            0 => {}
            new => info!(entries, new, "the release log says that more was revoked: all sessions are opened anew"),
        }
        new
    }

    /// Judges a proof of release that a node showed and that holds by itself: what was heard must allow it.
    pub(crate) fn judge(&self, peer: &AppraisedPeer, proof: &Proof) -> Result<(), SessionError> {
        let ReleaseRule::Demanded(rule) = &peer.policy().release else { return Ok(()) };
        let Some(heard) = self.under(rule) else { return Ok(()) };
        let ran = match peer.appraised().claims() {
            Claims::Snp(claims) => Ran::Snp(claims.measurement),
            Claims::Tdx(claims) => Ran::Tdx(claims.tuple.clone()),
        };
        let Some(build) = peer.policy().measurements.iter().find(|build| *build.id == *peer.appraised().measurement()) else {
            return Ok(());
        };
        heard.allows(proof, rule, build, &ran).map_err(|why| {
            if let ReleaseError::Fork { proof, .. } | ReleaseError::RevocationTakenBack { proof, .. } = &why {
                self.lied(proof);
            }
            SessionError::Rejected(Rejection::NotReleased(Box::new(why)))
        })
    }

    /// Keeps two heads of which one is a lie; the first such pair stays. What is no pair was cut off, or put there to keep them out.
    fn lied(&self, proof: &ForkProof) {
        let Some(folder) = &self.folder else { return };
        let file = folder.join(FORK_FILE);
        let there = folders::read_most(&file, FORK_PROOF_BYTES).ok().flatten();
        if there.is_some_and(|bytes| ForkProof::decode(&bytes).is_ok()) {
            return;
        }
        match folders::replace(&folders::anew(), &folder.join(FORK_BESIDE), &file, &proof.encode()) {
            Ok(()) => error!(file = FORK_FILE, "the release log lied: both heads are kept; show them to everybody who relies on that log"),
            Err(fault) => error!(%fault, file = FORK_FILE, "the release log lied, and the two heads could not be kept"),
        }
    }
}

fn write(folder: &Path, proof: &Proof) -> io::Result<()> {
    folders::replace(&folders::anew(), &folder.join(BESIDE), &folder.join(HEARD_FILE), proof)
}

#[cfg(test)]
mod tests;
