//! An anchor in files beside a credential.
//!
//! Decides: `BASE.anchor` is replaced whole (written beside, synced, renamed, folder synced) under an exclusive lock on `BASE.lock`, so that two
//! processes of one user never lose each other's; what is there is read again and merged, never overwritten by less. `BASE.signer-ID` is written
//! before an anchor that needs it. `BASE.detected` is the evidence of the first detection; while it lies there, no session is opened. `BASE.policy` is the newest
//! policy that was verified, with the changes that led to it; it is replaced by a longer record alone. `BASE.log-head` is
//! the newest head of the release log, `BASE.log-lied` the proof that this log lied; while that lies there, no session is opened either.
//! Trusts: the file system to keep files and locks. Out of scope: what is in them (`ringwall_session::anchor`). docs/formats.md, "Receipts".

use super::proofs::{read_evidence, read_log_fork};
use crate::checksummed::{self, NotRead};
use crate::private::{private, sync_folder};
use ringwall_session::anchor::{
    AnchorError, AnchorStore, EvidenceFile, KeptAnchor, KeptGovernance, LogForkFile, merge, newer_head, newer_policy,
};
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{ClusterId, Incarnation};
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::limits::{ANCHOR_BYTES, EXCHANGE_ROW_BYTES, KNOWN_POLICY_BYTES, LOG_HEAD_BYTES};
use ringwall_wire::receipt::{Anchor, Misdeed, Signer};
use ringwall_wire::release::LogHead;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The files.
#[derive(Clone, Debug)]
pub struct AnchorFiles {
    base: PathBuf,
}

impl AnchorFiles {
    /// The files that belong to a credential file and a cluster: `CREDENTIAL.CLUSTER16`, with endings.
    pub fn beside(credential: &Path, cluster_id: &ClusterId) -> Self {
        let mut base = credential.as_os_str().to_owned();
        base.push(format!(".{:.16}", cluster_id.to_string()));
        AnchorFiles { base: base.into() }
    }

    /// Where the file with this ending is.
    pub fn path(&self, ending: &str) -> PathBuf {
        let mut path = self.base.as_os_str().to_owned();
        path.push(".");
        path.push(ending);
        path.into()
    }

    /// Reads an anchor file; none when there is none.
    pub fn read_anchor(path: &Path) -> Result<Option<Anchor>, AnchorError> {
        read_summed(path, ANCHOR_BYTES)
    }

    /// Reads the record of a policy; none when there is none.
    pub fn read_policy(path: &Path) -> Result<Option<KnownPolicy>, AnchorError> {
        read_summed(path, KNOWN_POLICY_BYTES)
    }

    fn lock(&self) -> Result<File, AnchorError> {
        let path = self.path("lock");
        let file = private().write(true).create(true).truncate(false).open(&path);
        file.and_then(|file| file.lock().map(|()| file)).map_err(|source| AnchorError::Io { path, source })
    }

    fn signer_path(&self, incarnation: Incarnation) -> PathBuf {
        self.path(&format!("signer-{:016x}", incarnation.0))
    }

    fn signers(&self, anchor: &Anchor) -> Result<Vec<Signer>, AnchorError> {
        let mut names: Vec<Incarnation> = anchor.receipts().map(|receipt| receipt.head.incarnation).collect();
        names.sort();
        names.dedup();
        let mut signers = Vec::new();
        for incarnation in names {
            // One that is gone weakens evidence, and nothing else.
            let bytes = read(&self.signer_path(incarnation), EXCHANGE_ROW_BYTES)?.unwrap_or_default();
            signers.push(Signer { incarnation, exchange: Blob::new(bytes).unwrap_or_default() });
        }
        Ok(signers)
    }

    /// Removes proofs of signers the anchor no longer needs.
    fn tidy(&self, anchor: &Anchor) {
        let Some(folder) = self.base.parent() else { return };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Some(start) = self.path("signer-").file_name().map(|name| name.to_string_lossy().into_owned()) else { return };
        let needed = |name: &str| anchor.receipts().any(|receipt| name == format!("{start}{:016x}", receipt.head.incarnation.0));
        for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with(&start) && !needed(&name) {
                // One that stays is in nobody's way.
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}

impl AnchorStore for AnchorFiles {
    fn load(&self) -> Result<KeptAnchor, AnchorError> {
        let _held = self.lock()?;
        let path = self.path("detected");
        let detected = path.exists().then(|| {
            // One that cannot be read still says that the matter is not settled.
            let misdeed = read_evidence(&path).map_or(Misdeed::Rollback, |evidence| evidence.0.misdeed);
            (misdeed, path.display().to_string())
        });
        let anchor = Self::read_anchor(&self.path("anchor"))?;
        let signers = anchor.as_ref().map(|anchor| self.signers(anchor)).transpose()?.unwrap_or_default();
        Ok(KeptAnchor { anchor, signers, detected })
    }

    fn save(&self, anchor: &Anchor, signers: &[Signer]) -> Result<(), AnchorError> {
        let _held = self.lock()?;
        let path = self.path("anchor");
        let before = Self::read_anchor(&path)?;
        let merged = match &before {
            Some(before) => merge(before, anchor).map_err(AnchorError::Contradiction)?,
            None => anchor.clone(),
        };
        if before.as_ref() == Some(&merged) {
            return Ok(());
        }
        for signer in signers.iter().filter(|signer| !self.signer_path(signer.incarnation).exists()) {
            replace(&self.signer_path(signer.incarnation), &signer.exchange)?;
        }
        replace(&path, &checksummed::to_bytes(&merged))?;
        self.tidy(&merged);
        Ok(())
    }

    fn detected(&self, evidence: &EvidenceFile) -> Result<String, AnchorError> {
        let _held = self.lock()?;
        let path = self.path("detected");
        if !path.exists() {
            replace(&path, &evidence.to_bytes())?;
        }
        Ok(path.display().to_string())
    }

    fn governed(&self) -> Result<KeptGovernance, AnchorError> {
        let _held = self.lock()?;
        let path = self.path("log-lied");
        let detected = path.exists().then(|| {
            let misdeed = read_log_fork(&path).map_or(Misdeed::Fork, |proof| proof.misdeed());
            (misdeed, path.display().to_string())
        });
        let head = read_summed(&self.path("log-head"), LOG_HEAD_BYTES)?;
        Ok(KeptGovernance { policy: Self::read_policy(&self.path("policy"))?, head, detected })
    }

    fn save_policy(&self, policy: &KnownPolicy) -> Result<KnownPolicy, AnchorError> {
        let _held = self.lock()?;
        let path = self.path("policy");
        let before = Self::read_policy(&path)?;
        let newest = match &before {
            Some(before) => newer_policy(before, policy)?,
            None => policy.clone(),
        };
        if before.as_ref() != Some(&newest) {
            replace(&path, &checksummed::to_bytes(&newest))?;
        }
        Ok(newest)
    }

    fn save_head(&self, head: &LogHead) -> Result<(), AnchorError> {
        let _held = self.lock()?;
        let path = self.path("log-head");
        let before: Option<LogHead> = read_summed(&path, LOG_HEAD_BYTES)?;
        match &before {
            Some(before) if newer_head(before, head) == before => Ok(()),
            _ => replace(&path, &checksummed::to_bytes(head)),
        }
    }

    fn log_lied(&self, proof: &LogForkFile) -> Result<String, AnchorError> {
        let _held = self.lock()?;
        let path = self.path("log-lied");
        if !path.exists() {
            replace(&path, &proof.to_bytes())?;
        }
        Ok(path.display().to_string())
    }
}

/// At most `most` bytes of a file; none when there is none.
fn read(path: &Path, most: usize) -> Result<Option<Vec<u8>>, AnchorError> {
    let failed = |source| AnchorError::Io { path: path.into(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(failed(fault)),
    };
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() > most {
        true => Err(AnchorError::Malformed { path: path.into() }),
        false => Ok(Some(bytes)),
    }
}

/// A message with its checksum behind it; none when there is no file.
fn read_summed<M: Message>(path: &Path, most: usize) -> Result<Option<M>, AnchorError> {
    match checksummed::read(path, most) {
        Ok(message) => Ok(Some(message)),
        Err(NotRead::Io(fault)) if fault.kind() == ErrorKind::NotFound => Ok(None),
        Err(NotRead::Io(source)) => Err(AnchorError::Io { path: path.into(), source }),
        Err(NotRead::Unread(_)) => Err(AnchorError::Malformed { path: path.into() }),
    }
}

/// Puts a file in place of what is there, whole or not at all, on stable storage when this returns.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), AnchorError> {
    let failed = |source| AnchorError::Io { path: path.into(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = private().write(true).create(true).truncate(true).open(&beside).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    sync_folder(path).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_session::anchor::PoliciesForked;
    use ringwall_wire::bounded::List;
    use ringwall_wire::governance::PolicyStep;
    use ringwall_wire::ids::PolicyVersion;
    use ringwall_wire::policy::{PolicyDoc, SignedPolicy};

    const CLUSTER: ClusterId = ClusterId([7; 32]);

    /// `known` with one change more: to this version, with this delay.
    fn then(known: &KnownPolicy, version: u64, timelock_s: u32) -> KnownPolicy {
        let mut policy = PolicyDoc { version: PolicyVersion(version), ..known.policy().unwrap() };
        policy.governance.timelock_s = timelock_s;
        let policy = Blob::new(policy.encode()).unwrap();
        let signed = SignedPolicy { replaces: Some(known.digest()), policy, signatures: List::default() };
        known.followed_by(&[PolicyStep { signed, notice: None }]).unwrap()
    }

    #[test]
    fn what_is_kept_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = AnchorFiles::beside(&folder.path().join("me"), &CLUSTER);
        let first = KnownPolicy { cluster_id: CLUSTER, founding: ringwall_sim::world::policy(), steps: Default::default() };
        let second = then(&first, 2, 5);
        assert_eq!(files.governed().unwrap().policy, None);
        assert_eq!(files.save_policy(&second).unwrap(), second);
        assert_eq!(files.save_policy(&first).unwrap(), second, "an older record adds nothing");
        assert_eq!(files.governed().unwrap().policy.unwrap(), second);
        let third = then(&second, 3, 1);
        assert_eq!(files.save_policy(&third).unwrap(), third);
        let fork = files.save_policy(&then(&second, 4, 9));
        assert!(matches!(fork, Err(AnchorError::PoliciesForked(PoliciesForked { after: 2, ours: 3, theirs: 4 }))), "{fork:?}");
        assert_eq!(files.governed().unwrap().policy.unwrap(), third);
        let path = files.path("policy");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(files.governed(), Err(AnchorError::Malformed { .. })), "a damaged record is no record of nothing");
    }
}
