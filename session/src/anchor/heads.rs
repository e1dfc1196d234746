//! The newest head of the release log a client has verified, and the proof that a log lied.
//!
//! Decides: of two heads of one log the one with more entries is kept, of two of one size the one with more revocations, then the one that was witnessed
//! later; a head of another log, which is one of another name or key, takes the place of any, since the policy that names the log decides which one counts.
//! A proof that a log lied is a file anybody verifies who knows the log's and its witnesses' keys; two heads of an honest log prove nothing in any order.
//! Trusts: heads `attest` verified. Out of scope: whether one head continues another (`attest`), the log (`sim`, its operator). Protocol section 8, "Releases".

use crate::checksummed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringwall_attest::release::log::{Checkpoint, checkpoint};
use ringwall_attest::release::{LogError, Rule, RuleError, VerifierKey, verify_fork};
use ringwall_wire::limits::FORK_PROOF_BYTES;
use ringwall_wire::policy::ReleaseSigners;
use ringwall_wire::receipt::Misdeed;
use ringwall_wire::release::{ForkProof, LogHead, Note};

/// A log, by its name and the id of the key that signed the head.
type Log<'a> = (&'a str, Option<[u8; 4]>);

/// The log of a note that was verified, and how many entries and revocations the note names.
fn place(note: &Note) -> Option<(Log<'_>, (u64, u64))> {
    let note = std::str::from_utf8(note).ok()?;
    let (text, signatures) = note.rsplit_once("\n\n").unwrap_or((note, ""));
    let mut lines = text.lines();
    let (origin, size) = (lines.next()?, lines.next()?.parse().ok()?);
    let revoked = lines.find_map(|line| line.strip_prefix("ringwall-revoked ")?.split(' ').next()?.parse().ok());
    // The log's own line is the first of its name: a head is kept as `Released::head` gives it.
    let own = signatures.lines().find_map(|line| line.strip_prefix("\u{2014} ")?.strip_prefix(origin)?.strip_prefix(' '));
    let signer = own.and_then(|line| STANDARD.decode(line).ok()?.first_chunk::<4>().copied());
    Some(((origin, signer), (size, revoked.unwrap_or(0))))
}

/// The head to keep of one that is kept and one that was verified now.
pub fn newer_head<'a>(kept: &'a LogHead, seen: &'a LogHead) -> &'a LogHead {
    match (place(&kept.note), place(&seen.note)) {
        (Some((one, before)), Some((other, now))) if one == other && (now, seen.since_s) <= (before, kept.since_s) => kept,
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
        checksummed::to_bytes(&self.0)
    }

    /// Reads the bytes of a file; none when they are damaged or something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        checksummed::from_bytes(bytes, FORK_PROOF_BYTES).ok().map(LogForkFile)
    }

    /// What it says was done, by the sizes alone: fewer entries than before, or others. Whether it was done, [`LogForkFile::verify`] says.
    pub fn misdeed(&self) -> Misdeed {
        match (place(&self.0.older), place(&self.0.newer)) {
            (Some((_, (older, _))), Some((_, (newer, _)))) if newer < older => Misdeed::Rollback,
            _ => Misdeed::Fork,
        }
    }

    /// Verifies it under a policy's rule about releases, which names the log and its witnesses: what the log did, in words. None when it did nothing wrong that the
    /// two checkpoints show: that a revocation was replaced by another one and more were added shows in the lists alone.
    pub fn verify(&self, rule: &ReleaseSigners) -> Result<Option<String>, LogForkFault> {
        match verify_fork(&self.0, &Rule::read(rule)?) {
            Ok(()) => {}
            // A smaller checkpoint that nothing shows to be the later one.
            Err(LogError::NoPath { older, newer }) if newer < older => {}
            Err(lied @ (LogError::Forked { .. } | LogError::Shrank { .. })) => return Ok(Some(lied.to_string())),
            Err(fault) => return Err(fault.into()),
        }
        let key = VerifierKey::parse(&rule.log).map_err(LogError::Note)?;
        let read = |note: &Note| -> Result<Checkpoint, LogForkFault> {
            let text = std::str::from_utf8(note).map_err(|_| LogError::Checkpoint { what: "it is no text" })?;
            Ok(checkpoint(text, &key)?)
        };
        Ok(taken_back(&read(&self.0.older)?, &read(&self.0.newer)?))
    }
}

/// How two checkpoints of one history show that revocations were taken back: revoking adds no entry, so that the one with more entries is the later one,
/// and of two of one size the one with more revocations; and there is one list of each length.
fn taken_back(older: &Checkpoint, newer: &Checkpoint) -> Option<String> {
    if let (Some((before, list)), Some((now, other))) = (older.revoked, newer.revoked)
        && before == now
        && list != other
    {
        return Some(format!("the log took back revocations: both checkpoints name {now} of them, and not the same ones"));
    }
    let count = |of: &Checkpoint| of.revoked.map_or(0, |(count, _)| count);
    let (before, now) = (count(older), count(newer));
    (older.size < newer.size && now < before)
        .then(|| format!("the log took back revocations: the older checkpoint names {before} of them, the newer one {now}"))
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

    fn revocation(name: &str) -> Revoked {
        Revoked { what: RevokedBuild::Build(Text::new(name).unwrap()), reason: Text::new("it leaks").unwrap(), at_s: 1 }
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
    fn of_two_heads_of_one_size_the_one_with_more_revocations_is_kept() {
        let mut publisher = Publisher::default();
        let bare = publisher.remembered(9);
        publisher.log.revoke(revocation("bad"));
        let revoking = publisher.remembered(5);
        assert_eq!(*newer_head(&revoking, &bare), revoking, "cosigned later, and older all the same");
        assert_eq!(*newer_head(&bare, &revoking), revoking);
        let again = publisher.remembered(6);
        assert_eq!(*newer_head(&revoking, &again), again);
    }

    #[test]
    fn a_log_of_the_same_name_and_another_key_is_another_log() {
        let mut publisher = Publisher::default();
        publisher.log.append_leaf(Digest([3; 32]));
        let kept = publisher.remembered(9);
        // The same text with the line of another key: what a log that was begun anew under its old name signs.
        let text = String::from_utf8(kept.note.to_vec()).unwrap();
        let (text, _) = text.rsplit_once("\n\n").unwrap();
        let smaller = text.replacen("\n2\n", "\n1\n", 1);
        let line = |id: u8| format!("\u{2014} log.example/releases {}\n", STANDARD.encode([id; 68]));
        let anew = LogHead { note: Blob::new(format!("{smaller}\n\n{}", line(7)).into_bytes()).unwrap(), since_s: 1 };
        assert_eq!(*newer_head(&kept, &anew), anew);
        let larger = LogHead { note: Blob::new(format!("{text}\n\n{}{}", line(7), line(8)).into_bytes()).unwrap(), since_s: 1 };
        assert_eq!(*newer_head(&larger, &anew), larger, "the first line of its name is the log's");
    }

    #[test]
    fn whoever_knows_the_log_sees_what_it_did() {
        let mut honest = Publisher::default();
        let (rule, witnesses) = (honest.rule(), honest.witnesses.clone());
        let older = honest.log.clone();
        honest.log.append_leaf(Digest([3; 32]));
        let cosigned =
            |first: Note, second: Note, path: ConsistencyPath| LogForkFile(ForkProof { older: first, newer: second, path }).verify(&rule);
        let shows = |first: &MintedLog, second: &MintedLog, path: ConsistencyPath| cosigned(first.head(&[], 5), second.head(&[], 6), path);
        let path = honest.log.consistency(older.size(), honest.log.size());
        assert_eq!(shows(&older, &honest.log, path.clone()).unwrap(), None, "it only grew");
        assert_eq!(shows(&honest.log, &older, ConsistencyPath::default()).unwrap(), None, "two honest heads, the newer one first");
        // Two of three witnesses cosigned the smaller head after they had cosigned the larger one themselves.
        let large = honest.log.head(&witnesses, 5);
        let lied = cosigned(large.clone(), older.head(&witnesses[..2], 6), ConsistencyPath::default());
        assert!(lied.unwrap().unwrap().contains("shrank"));
        for (few, at_s) in [(1, 6), (2, 5), (3, 4)] {
            let small = older.head(&witnesses[..few], at_s);
            assert_eq!(cosigned(large.clone(), small, ConsistencyPath::default()).unwrap(), None, "{few} at {at_s}");
        }
        let mut other = older.clone();
        other.append_leaf(Digest([4; 32]));
        assert!(shows(&honest.log, &other, ConsistencyPath::default()).unwrap().unwrap().contains("two histories"));
        let stranger = MintedLog::new("another.example/log");
        assert!(matches!(shows(&older, &stranger, ConsistencyPath::default()), Err(LogForkFault::Log(_))));
    }

    #[test]
    fn revocations_were_taken_back_where_the_later_head_has_fewer_or_others() {
        let honest = Publisher::default();
        let (rule, older) = (honest.rule(), honest.log);
        let shows = |first: &MintedLog, second: &MintedLog, path: ConsistencyPath| {
            LogForkFile(ForkProof { older: first.head(&[], 5), newer: second.head(&[], 6), path }).verify(&rule).unwrap()
        };
        let mut grown = older.clone();
        grown.append_leaf(Digest([3; 32]));
        let path = grown.consistency(older.size(), grown.size());
        let (mut revoking, mut others) = (older.clone(), older.clone());
        revoking.revoke(revocation("bad"));
        others.revoke(revocation("good"));
        assert!(shows(&revoking, &grown, path).unwrap().contains("took back revocations"));
        assert_eq!(shows(&revoking, &older, ConsistencyPath::default()), None, "revoking adds no entry: this is its older head");
        assert!(shows(&revoking, &others, ConsistencyPath::default()).unwrap().contains("not the same ones"));
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
