//! The journal of what a custodian's keys authorised: entries are added at the end, each naming the digest of the one before.
//!
//! Decides: an entry is on stable storage before what it speaks of leaves the folder. A last entry that was cut off while it was written is
//! nobody's word and makes room for the next; anything else that does not fit (another digest, a number that jumps, bytes between) is refused:
//! somebody edited the file.
//! Trusts: the file system to keep the end: what was cut away at an entry's border cannot be seen. Whoever wants to compare keeps the head that
//! `custodian status` shows. Out of scope: what the entries mean (`ceremony`). docs/formats.md, "Files of a custodian".

use super::home::{Home, HomeError};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Digest, Nonce};
use ringwall_wire::keeping::{DealingName, JournalEntry, JournalEvent};
use ringwall_wire::limits::{JOURNAL_ENTRIES, JOURNAL_ENTRY_BYTES};

/// Name of the file.
const FILE: &str = "journal";
/// Bytes before an entry: its length, and the length once more with every bit turned over. An edited length would otherwise make all that follows look like
/// an entry that was cut off.
const FRAME_BYTES: usize = 8;
/// Most bytes of the file.
const FILE_BYTES: usize = JOURNAL_ENTRIES * (JOURNAL_ENTRY_BYTES + FRAME_BYTES);

/// Why the journal is not used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// An entry is no entry.
    #[error("entry {number} of the journal is no entry ({source}): the file was changed. Put it back from a copy of the folder")]
    Malformed {
        /// Its number.
        number: u64,
        /// What is wrong.
        source: DecodeError,
    },
    /// An entry does not follow the one before.
    #[error(
        "entry {number} of the journal does not follow the one before it: an entry was changed, taken out or put in. Put the file back from a copy"
    )]
    Broken {
        /// Its number.
        number: u64,
    },
    /// There is no room.
    #[error("the journal has {JOURNAL_ENTRIES} entries, the most it can have; keep the folder and begin a new one")]
    Full,
}

impl JournalError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            JournalError::Home(fault) => fault.code(),
            JournalError::Malformed { .. } | JournalError::Broken { .. } => "RW-C-CUSTODIAN-JOURNAL",
            JournalError::Full => "RW-C-CUSTODIAN-JOURNAL-FULL",
        }
    }
}

/// The journal as it stands.
#[derive(Debug)]
pub struct Journal {
    entries: Vec<JournalEntry>,
    /// Bytes of whole entries.
    len: u64,
    /// Bytes of an entry that was cut off.
    torn: usize,
}

impl Journal {
    /// Reads it; an empty one where there is none.
    pub fn read(home: &Home) -> Result<Self, JournalError> {
        let bytes = home.read(FILE, FILE_BYTES)?.unwrap_or_default();
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, JournalError> {
        let mut journal = Journal { entries: Vec::new(), len: 0, torn: 0 };
        let mut rest = bytes;
        // Zeros are what a file system leaves where it made room for an entry that never came.
        while rest.iter().any(|byte| *byte != 0) {
            let number = journal.next_number();
            let Some((frame, after)) = rest.split_first_chunk::<FRAME_BYTES>() else { break };
            let (len, again) = frame.split_at(FRAME_BYTES / 2);
            // The length came, and nothing after it.
            if again.iter().chain(after).all(|byte| *byte == 0) {
                break;
            }
            if len.iter().zip(again).any(|(byte, turned)| *byte != !turned) {
                return Err(JournalError::Broken { number });
            }
            let len = len.iter().fold(0, |len: usize, byte| len << 8 | usize::from(*byte));
            if len > JOURNAL_ENTRY_BYTES {
                let source = DecodeError::TooLong { what: "journal entry", len, max: JOURNAL_ENTRY_BYTES };
                return Err(JournalError::Malformed { number, source });
            }
            // The end of the file came first.
            let Some((body, after)) = after.split_at_checked(len) else { break };
            let entry = JournalEntry::decode(body).map_err(|source| JournalError::Malformed { number, source })?;
            if entry.number != number || entry.previous != journal.head() {
                return Err(JournalError::Broken { number });
            }
            journal.entries.push(entry);
            journal.len = journal.len.saturating_add((FRAME_BYTES + body.len()) as u64);
            rest = after;
        }
        journal.torn = rest.len();
        Ok(journal)
    }

    fn next_number(&self) -> u64 {
        (self.entries.len() as u64).saturating_add(1)
    }

    /// Digest of the last entry; zeros where there is none.
    pub fn head(&self) -> Digest {
        self.entries.last().map_or(Digest([0; 32]), |entry| Digest(entry.digest()))
    }

    /// The entries, the oldest first.
    pub fn entries(&self) -> &[JournalEntry] {
        &self.entries
    }

    /// Whether the last run was cut off while it wrote an entry.
    pub fn was_cut_off(&self) -> bool {
        self.torn > 0
    }

    /// Adds an entry; it is on stable storage when this returns.
    pub fn add(&mut self, home: &Home, at_s: u64, event: JournalEvent) -> Result<(), JournalError> {
        if self.entries.len() >= JOURNAL_ENTRIES {
            return Err(JournalError::Full);
        }
        let entry = JournalEntry { number: self.next_number(), at_s, previous: self.head(), event };
        let body = entry.encode();
        let len = u32::try_from(body.len()).expect("an entry is short");
        let frame = [len.to_be_bytes(), (!len).to_be_bytes()].concat();
        home.append(FILE, self.len, &[frame.as_slice(), body.as_slice()].concat())?;
        self.len = self.len.saturating_add((FRAME_BYTES + body.len()) as u64);
        self.torn = 0;
        self.entries.push(entry);
        Ok(())
    }

    /// The sessions that were answered with a share of this dealing of this cluster, or with a loss accepted, the oldest first, each with its time.
    pub fn answered(&self, cluster_id: &ClusterId, custody_epoch: CustodyEpoch) -> impl Iterator<Item = (u64, Nonce)> {
        let of_it = move |dealing: &DealingName| dealing.cluster_id == *cluster_id && dealing.custody_epoch == custody_epoch;
        self.entries.iter().filter_map(move |entry| match &entry.event {
            JournalEvent::Submitted(released) if of_it(&released.dealing) => Some((entry.at_s, released.session)),
            JournalEvent::LossAccepted(taken) if of_it(&taken.dealing) => Some((entry.at_s, taken.terms.session)),
            _ => None,
        })
    }

    /// When a share was released to this session before.
    pub fn released_to(&self, session: &Nonce) -> Option<u64> {
        self.entries.iter().find_map(|entry| match &entry.event {
            JournalEvent::Submitted(released) if released.session == *session => Some(entry.at_s),
            _ => None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::custodian::cut;

    fn event(number: u8) -> JournalEvent {
        JournalEvent::Accepted(DealingName {
            cluster_id: ClusterId([number; 32]),
            custody_epoch: CustodyEpoch(1),
            manifest: Digest([2; 32]),
        })
    }

    fn written(folder: &tempfile::TempDir) -> (Home, Vec<u8>) {
        let home = Home::create(&folder.path().join("me")).unwrap();
        let mut journal = Journal::read(&home).unwrap();
        for number in 1..=3 {
            journal.add(&home, 7, event(number)).unwrap();
        }
        let bytes = home.read(FILE, FILE_BYTES).unwrap().unwrap();
        (home, bytes)
    }

    #[test]
    fn entries_follow_each_other_and_survive_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let (home, _) = written(&folder);
        let mut journal = Journal::read(&home).unwrap();
        assert_eq!(journal.entries().iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(journal.entries()[2].previous, Digest(journal.entries()[1].digest()));
        journal.add(&home, 8, JournalEvent::Relocked).unwrap();
        assert_eq!(Journal::read(&home).unwrap().head(), journal.head());
    }

    #[test]
    fn every_edit_is_noticed_and_a_torn_end_is_not_one() {
        let folder = tempfile::tempdir().unwrap();
        let (_, bytes) = written(&folder);
        let whole = bytes.len() / 3;
        for at in 0..bytes.len() {
            let mut edited = bytes.clone();
            edited[at] ^= 1;
            // The last entry's own bytes are vouched for by nothing yet but by their meaning.
            if at < 2 * whole + FRAME_BYTES {
                assert!(Journal::parse(&edited).is_err(), "byte {at}");
            }
        }
        assert!(Journal::parse(&[&bytes[..whole], &bytes[2 * whole..]].concat()).is_err(), "an entry is gone");
        assert!(Journal::parse(&[&bytes[..], &bytes[whole..2 * whole]].concat()).is_err(), "an entry came twice");
        let journal = Journal::parse(&[&bytes[..], &[0; 300]].concat()).unwrap();
        assert_eq!((journal.entries().len(), journal.was_cut_off()), (3, true), "room that was never filled");
        for cut in 2 * whole + 1..bytes.len() {
            let journal = Journal::parse(&bytes[..cut]).unwrap();
            assert_eq!((journal.entries().len(), journal.was_cut_off()), (2, true), "cut {cut}");
        }
    }

    #[test]
    fn an_entry_that_was_cut_off_makes_room_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (home, _) = written(&folder);
        let mut cuts = 0;
        for at in 0..32 {
            let mut journal = Journal::read(&home).unwrap();
            let before = journal.entries().len();
            let done = cut::after(at, || journal.add(&home, 9, event(9)));
            let after = Journal::read(&home).unwrap();
            assert!(after.entries().len() == before || after.entries().len() == before + 1, "cut {at}");
            if done.is_ok() {
                cuts = at;
                break;
            }
        }
        assert!(cuts >= 3, "only {cuts} places to cut at");
    }
}
