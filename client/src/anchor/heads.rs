//! The newest head of the release log a client has verified, and the proof that a log lied.
//!
//! Decides: of two heads of one log the one with more entries is kept, and of two of one size the one that was witnessed later; a head of another log takes the
//! place of any, since the policy that names the log decides which one counts. A proof of a fork is a file anybody verifies who knows the log's key.
//! Trusts: heads `attest` verified. Out of scope: whether one head continues another (`attest`), the log (`sim`, its operator). Protocol section 8, "Releases".

use super::evidence::ReadEvidenceError;
use ringwall_attest::release::log::checkpoint;
use ringwall_attest::release::{LogError, Rule, RuleError, VerifierKey, verify_fork};
use ringwall_wire::codec::Message as _;
use ringwall_wire::limits::FORK_PROOF_BYTES;
use ringwall_wire::policy::ReleaseSigners;
use ringwall_wire::receipt::Misdeed;
use ringwall_wire::release::{ForkProof, LogHead, Note};
use sha2::{Digest as _, Sha256};
use std::io::Read as _;
use std::path::Path;

/// Name of the log and number of entries, as a note that was verified says them.
fn place(note: &Note) -> Option<(&str, u64)> {
    let mut lines = std::str::from_utf8(note).ok()?.lines();
    Some((lines.next()?, lines.next()?.parse().ok()?))
}

/// The head to keep of one that is kept and one that was verified now.
pub fn newer_head<'a>(kept: &'a LogHead, seen: &'a LogHead) -> &'a LogHead {
    match (place(&kept.note), place(&seen.note)) {
        (Some((one, kept_size)), Some((other, size))) if one == other && (size, seen.since_s) <= (kept_size, kept.since_s) => kept,
        (_, Some(_)) => seen,
        (_, None) => kept,
    }
}

/// A file that proves that a release log lied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogForkFile(pub ForkProof);

impl LogForkFile {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.encode();
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads the bytes of a file; none when they are damaged or something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, checksum) = bytes.split_last_chunk::<32>()?;
        let intact = bytes.len() <= FORK_PROOF_BYTES && Sha256::digest(body).as_slice() == checksum;
        intact.then(|| ForkProof::decode(body).ok().map(LogForkFile)).flatten()
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ReadEvidenceError> {
        let failed = |source| ReadEvidenceError::Io { path: path.into(), source };
        let mut bytes = Vec::new();
        std::fs::File::open(path).map_err(failed)?.take(FORK_PROOF_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::from_bytes(&bytes).ok_or_else(|| ReadEvidenceError::Malformed { path: path.into() })
    }

    /// What it shows, by the sizes alone: fewer entries than before, or others.
    pub fn misdeed(&self) -> Misdeed {
        match (place(&self.0.older), place(&self.0.newer)) {
            (Some((_, older)), Some((_, newer))) if newer < older => Misdeed::Rollback,
            _ => Misdeed::Fork,
        }
    }

    /// Verifies it under a policy's rule about releases, which names the log: what the log did, in words. None when it did nothing wrong that the two checkpoints show:
    /// that a revocation was replaced by another one shows in the lists alone.
    pub fn verify(&self, rule: &ReleaseSigners) -> Result<Option<String>, LogForkFault> {
        match verify_fork(&self.0, &Rule::read(rule)?) {
            Ok(()) => {}
            Err(lied @ (LogError::Forked { .. } | LogError::Shrank { .. })) => return Ok(Some(lied.to_string())),
            Err(fault) => return Err(fault.into()),
        }
        let key = VerifierKey::parse(&rule.log).map_err(LogError::Note)?;
        let revoked = |note: &Note| -> Result<u64, LogForkFault> {
            let text = std::str::from_utf8(note).map_err(|_| LogError::Checkpoint { what: "it is no text" })?;
            Ok(checkpoint(text, &key)?.revoked.map_or(0, |(count, _)| count))
        };
        let (older, newer) = (revoked(&self.0.older)?, revoked(&self.0.newer)?);
        Ok((newer < older)
            .then(|| format!("the log took back revocations: the older checkpoint names {older} of them, the newer one {newer}")))
    }
}

/// Why nobody can say whether a proof shows something.
#[derive(Debug, thiserror::Error)]
pub enum LogForkFault {
    /// The policy's rule about releases.
    #[error("the policy's rule about releases cannot be used: {0}")]
    Rule(#[from] RuleError),
    /// A checkpoint is not the log's, or the path leads nowhere.
    #[error(transparent)]
    Log(#[from] LogError),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_sim::release::{MintedLog, Publisher};
    use ringwall_wire::bounded::{Blob, Text};
    use ringwall_wire::ids::Digest;
    use ringwall_wire::release::{ConsistencyPath, Revoked, RevokedBuild};

    fn head(log: &str, size: u64, since_s: u64) -> LogHead {
        LogHead { note: Blob::new(format!("{log}\n{size}\nAAAA\n").into_bytes()).unwrap(), since_s }
    }

    #[test]
    fn the_head_with_more_entries_is_kept_and_another_log_takes_its_place() {
        let kept = head("log", 10, 5);
        for (seen, stays) in
            [(head("log", 9, 9), true), (head("log", 10, 5), true), (head("log", 10, 6), false), (head("log", 11, 4), false)]
        {
            let newest = newer_head(&kept, &seen);
            assert_eq!(*newest == kept, stays || seen == kept, "{seen:?}");
        }
        let other = head("another", 1, 1);
        assert_eq!(*newer_head(&kept, &other), other);
        let nonsense = LogHead { note: Blob::new(b"nothing".to_vec()).unwrap(), since_s: 99 };
        assert_eq!(*newer_head(&kept, &nonsense), kept);
    }

    #[test]
    fn whoever_knows_the_log_sees_what_it_did() {
        let mut honest = Publisher::default();
        let rule = honest.rule();
        let older = honest.log.clone();
        honest.log.append_leaf(Digest([3; 32]));
        let shows = |older: &MintedLog, newer: &MintedLog, path: ConsistencyPath| {
            LogForkFile(ForkProof { older: older.head(&[], 5), newer: newer.head(&[], 6), path }).verify(&rule)
        };
        let path = honest.log.consistency(older.size(), honest.log.size());
        assert_eq!(shows(&older, &honest.log, path.clone()).unwrap(), None, "it only grew");
        assert!(shows(&honest.log, &older, ConsistencyPath::default()).unwrap().unwrap().contains("shrank"));
        let mut other = older.clone();
        other.append_leaf(Digest([4; 32]));
        assert!(shows(&honest.log, &other, ConsistencyPath::default()).unwrap().unwrap().contains("two histories"));
        let mut revoking = older.clone();
        let what = RevokedBuild::Build(Text::new("bad").unwrap());
        revoking.revoke(Revoked { what, reason: Text::new("it leaks").unwrap(), at_s: 1 });
        assert!(shows(&revoking, &honest.log, path).unwrap().unwrap().contains("took back revocations"));
        let stranger = MintedLog::new("another.example/log");
        assert!(matches!(shows(&older, &stranger, ConsistencyPath::default()), Err(LogForkFault::Log(_))));
    }

    #[test]
    fn a_proof_survives_its_file_and_damage_is_told() {
        let (older, newer) = (head("log", 10, 5).note, head("log", 9, 6).note);
        let file = LogForkFile(ForkProof { older, newer, path: Default::default() });
        assert_eq!(file.misdeed(), Misdeed::Rollback);
        let bytes = file.to_bytes();
        assert_eq!(LogForkFile::from_bytes(&bytes), Some(file));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(LogForkFile::from_bytes(&damaged), None, "byte {at}");
        }
    }
}
