//! What readers see: a consistent look at the state as of one applied index.
//!
//! Decides: visibility (records past their time are gone at once, removed rows later). Trusts: the state machine.
//! Out of scope: waiting for an index (`replica`). Protocol section 5.

use crate::machine::custody::Custody;
use crate::machine::generations::{Generations, KeyRow};
use crate::machine::history::History;
use crate::machine::log_tree::{Kept, LogTree};
use crate::machine::policy::Governed;
use crate::machine::roster::Roster;
use crate::machine::rows::{self, ChainValue, RecordHead, SpaceValue};
use crate::machine::users::WINDOW_MS;
use crate::machine::{store, users};
use crate::report::ReadError;
use ringwall_wire::admission::{Admission, AdmitPropose, Endorse, IncarnationCert};
use ringwall_wire::codec::{DecodeError, Field};
use ringwall_wire::command::{SealedRecord, WrappedKey};
use ringwall_wire::ids::{DeviceTag, Digest, Epoch, Incarnation, KeyEpoch, KeyTag, OwnerMark, Revision, SpaceTag, UserTag};
use ringwall_wire::receipt::{EpochStart, TreeHead, TreePoint};
use ringwall_wire::request::KeyMode;
use ringwall_wire::tree;
use ringwall_wire::user::{AuditRow, UserRow};
use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

/// A record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Revision that last changed the key.
    pub version: Revision,
    /// The sealed name and value.
    pub record: SealedRecord,
    /// Group time at which it ends, Unix milliseconds; 0 = never.
    pub expires_at_ms: u64,
}

/// A namespace as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceRow {
    /// Key mode.
    pub mode: KeyMode,
    /// Commitment to the user's part of its keys; none in cluster mode.
    pub commit: Option<Digest>,
    /// Its data key, wrapped.
    pub dek: WrappedKey,
    /// Whose it is.
    pub owner: OwnerMark,
    /// Revision it was made at.
    pub revision: Revision,
}

/// A page of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Records in the order of their key tags.
    pub records: Vec<(KeyTag, StoredRecord)>,
    /// Whether more follow after the last.
    pub more: bool,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEvent {
    /// Revision of the change; the keys of a batch share it.
    pub revision: Revision,
    /// Where.
    pub space: SpaceTag,
    /// Which key.
    pub key: KeyTag,
    /// The new record; for a removal the record that was removed, whose sealed name says which key it was.
    pub record: Arc<SealedRecord>,
    /// Whether the key was removed or has expired.
    pub removed: bool,
}

/// What an incarnation is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberStanding {
    /// Admitted, and the newest of its slot.
    Live,
    /// A newer incarnation of its slot was admitted; it counts until it leaves the membership.
    Superseded,
    /// Out for good.
    Retired,
}

/// An incarnation as the log records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub incarnation: Incarnation,
    /// What it is.
    pub cert: IncarnationCert,
    /// What it is allowed.
    pub standing: MemberStanding,
    /// What its admission was decided by; none for a founder.
    pub admission: Option<Admission>,
}

/// A joiner that is proposed and not admitted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalRow {
    /// Log index of the proposal.
    pub admit_index: u64,
    /// The proposal.
    pub propose: AdmitPropose,
    /// Verdicts so far, one a voter.
    pub endorsements: Vec<Endorse>,
}

/// The log tree at the moment a view shows.
#[derive(Clone, Debug)]
pub(crate) struct PublishedTree {
    pub(crate) tree: LogTree,
    pub(crate) head: TreeHead,
}

impl PublishedTree {
    pub(crate) fn of(tree: &LogTree) -> Self {
        PublishedTree { head: tree.head(), tree: tree.clone() }
    }
}

impl Default for PublishedTree {
    fn default() -> Self {
        Self::of(&LogTree::default())
    }
}

/// What is known of the moment a view shows, beside its rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) applied: u64,
    pub(crate) term: u64,
    pub(crate) tree: Arc<PublishedTree>,
    pub(crate) revision: Revision,
    pub(crate) time_ms: u64,
    pub(crate) roster: Arc<Roster>,
    pub(crate) generations: Arc<Generations>,
    pub(crate) custody: Arc<Custody>,
    pub(crate) governed: Arc<Governed>,
    pub(crate) voters: Arc<BTreeSet<Incarnation>>,
}

impl Published {
    /// IN10: what of this would be less in `next`.
    pub(crate) fn goes_back(&self, next: &Published) -> Option<&'static str> {
        let tree = |shown: &Published| shown.tree.head.size;
        let (policy, svn) = self.governed.marks();
        let (next_policy, next_svn) = next.governed.marks();
        let back = [
            ("the applied index", next.applied < self.applied),
            ("the term", next.term < self.term),
            ("the log tree", tree(next) < tree(self)),
            ("the revision", next.revision < self.revision),
            ("the time", next.time_ms < self.time_ms),
            ("the epoch", self.roster.epoch > next.roster.epoch),
            ("the key epoch", next.generations.newest() < self.generations.newest()),
            ("the oldest key epoch", next.generations.oldest() < self.generations.oldest()),
            ("the custody epoch", next.custody.newest < self.custody.newest),
            ("the active custody epoch", next.custody.active_epoch() < self.custody.active_epoch()),
            ("the policy version", next_policy < policy),
            ("the least security version", next_svn < svn),
        ];
        back.iter().find(|(_, back)| *back).map(|(what, _)| *what)
    }

    /// Whether the record does not say yet what becomes of this index as an admission.
    pub(crate) fn is_open(&self, admit_index: u64) -> bool {
        admit_index > self.applied || self.roster.may_be_admitted(admit_index, self.applied)
    }
}

/// The state as of one applied index. Cheap to make; it holds back clean-up of old data while it lives, so do not keep it for long.
pub struct View {
    pub(crate) published: Published,
    pub(crate) rows: store::Snapshot,
    pub(crate) history: Arc<RwLock<History>>,
}

impl View {
    /// Index of the last applied entry.
    pub fn applied(&self) -> u64 {
        self.published.applied
    }

    /// Its term.
    pub fn term(&self) -> u64 {
        self.published.term
    }

    /// The log tree.
    pub fn tree(&self) -> TreeHead {
        self.published.tree.head
    }

    /// The log tree as it was at `size`; none when it is larger than now, or what is needed is no longer kept.
    pub fn tree_at(&self, size: u64) -> Result<Option<TreePoint>, ReadError> {
        if size >= self.published.tree.head.size {
            let TreeHead { size: now, root, .. } = self.published.tree.head;
            return Ok((size == now).then_some(TreePoint { size, root }));
        }
        let root = tree::root_at(&self.nodes(), size).map_err(fenced)?;
        Ok(root.map(|root| TreePoint { size, root }))
    }

    /// The consistency path from the log tree at `from` to now; none when `from` is beyond now, or what is needed is no longer kept.
    pub fn consistency(&self, from: u64) -> Result<Option<Vec<Digest>>, ReadError> {
        match self.published.tree.head.size {
            size if from > size => Ok(None),
            size => tree::prove_consistency(&self.nodes(), from, size).map_err(fenced),
        }
    }

    fn nodes(&self) -> Kept<'_> {
        Kept { tree: &self.published.tree.tree, rows: &self.rows }
    }

    /// Changes a namespace has seen, and the digest of the chain over them; 0 and zeros before the first, and where there is no such namespace.
    pub fn chain(&self, space: &SpaceTag) -> Result<(u64, Digest), ReadError> {
        let row = self.rows.read(&rows::chain_key(space), |row| row.map(ChainValue::from_bytes).transpose());
        let chain = row.map_err(fenced)?.map_err(fenced)?.unwrap_or(ChainValue::START);
        Ok((chain.seq, chain.digest))
    }

    /// Newest revision.
    pub fn revision(&self) -> Revision {
        self.published.revision
    }

    /// Group time, Unix milliseconds: never goes back.
    pub fn time_ms(&self) -> u64 {
        self.published.time_ms
    }

    /// The record of a key, unless it is absent or past its time.
    pub fn get(&self, space: &SpaceTag, key: &KeyTag) -> Result<Option<StoredRecord>, ReadError> {
        let row = self.rows.read(&rows::record_key(space, key), |row| row.map(rows::take_record).transpose());
        let record = row.map_err(fenced)?.map_err(fenced)?.filter(|record| self.visible(record));
        Ok(if record.is_some() && self.is_erased(space)? { None } else { record })
    }

    /// Whether the namespace was erased and some of its records are still to be removed.
    fn is_erased(&self, space: &SpaceTag) -> Result<bool, ReadError> {
        match self.published.generations.erasures {
            0 => Ok(false),
            _ => self.rows.read(&rows::sweep_key(space), |row| row.is_some()).map_err(fenced),
        }
    }

    fn visible(&self, record: &StoredRecord) -> bool {
        RecordHead { version: record.version, expires_at_ms: record.expires_at_ms }.visible(self.published.time_ms)
    }

    /// A namespace.
    pub fn space(&self, space: &SpaceTag) -> Result<Option<SpaceRow>, ReadError> {
        let row = self.rows.read(&rows::space_key(space), |row| row.map(SpaceValue::from_bytes).transpose());
        let value = row.map_err(fenced)?.map_err(fenced)?;
        Ok(value.map(space_row))
    }

    /// At most `limit` namespaces in the order of their tags, after `after`, and whether more follow.
    pub fn spaces(&self, after: Option<&SpaceTag>, limit: usize) -> Result<(Vec<(SpaceTag, SpaceRow)>, bool), ReadError> {
        let start = match after {
            Some(after) => [rows::space_key(after), vec![0]].concat(),
            None => vec![rows::SPACES],
        };
        let (page, more) = self.rows.range(&start, &rows::table_end(rows::SPACES), limit).map_err(fenced)?;
        let page = page.iter().map(|(key, value)| named_space(key, value)).collect::<Result<Vec<_>, _>>();
        Ok((page.map_err(fenced)?, more))
    }

    /// Live master keys as the log names them, oldest first; new data keys are wrapped under the last.
    pub fn key_rows(&self) -> Vec<KeyRow> {
        self.published.generations.rows().copied().collect()
    }

    /// The master key new data keys are wrapped under.
    pub fn newest_key(&self) -> KeyEpoch {
        self.published.generations.newest()
    }

    /// Group time at which it became that, Unix milliseconds, and of the first erasure since then.
    pub fn rotated(&self) -> (u64, Option<u64>) {
        (self.published.generations.rotated_ms, self.published.generations.erased_ms)
    }

    /// Namespaces erased so far: when it rises, keys of namespaces that were unwrapped before are not to be used any more.
    pub fn erasures(&self) -> u64 {
        self.published.generations.erasures
    }

    /// Shares: what is active, what waits.
    pub fn custody(&self) -> Arc<Custody> {
        Arc::clone(&self.published.custody)
    }

    /// The policy in force, how it came to be, and what waits.
    pub fn governance(&self) -> Arc<Governed> {
        Arc::clone(&self.published.governed)
    }

    /// When the epoch began with a recovery, Unix milliseconds by the time of the state; 0 where it did not, or where that is not known.
    pub fn recovered_ms(&self) -> Result<u64, ReadError> {
        // The window in which nobody is restored began with it.
        let row = self.rows.read(&[rows::RESTORES_CLOSED], |row| row.map(u64::from_bytes).transpose());
        Ok(row.map_err(fenced)?.map_err(fenced)?.map_or(0, |until_ms| until_ms.saturating_sub(WINDOW_MS)))
    }

    /// A user on record.
    pub fn user(&self, user: &UserTag) -> Result<Option<UserRow>, ReadError> {
        let row = self.rows.read(&rows::user_key(user), |row| row.map(UserRow::from_bytes).transpose());
        row.map_err(fenced)?.map_err(fenced)
    }

    /// At most `limit` rows of a user's audit trail after number `after`, in order; rows that are no longer kept are left out.
    pub fn audit(&self, user: &UserTag, after: u64, limit: usize) -> Result<Vec<AuditRow>, ReadError> {
        let (start, end) = (rows::audit_key(user, after.saturating_add(1)), [rows::audit_key(user, u64::MAX), vec![0]].concat());
        let (page, _) = self.rows.range(&start, &end, limit).map_err(fenced)?;
        page.iter().map(|(_, row)| AuditRow::from_bytes(row).map_err(fenced)).collect()
    }

    /// At most `limit` records of a namespace in the order of their tags, after `after`.
    pub fn scan(&self, space: &SpaceTag, after: Option<&KeyTag>, limit: usize) -> Result<Page, ReadError> {
        let mut next = match after {
            Some(after) => [rows::record_key(space, after), vec![0]].concat(),
            None => rows::record_key(space, &KeyTag([0; 16])),
        };
        let end = rows::records_end(space);
        let mut records = Vec::new();
        if self.is_erased(space)? {
            return Ok(Page { records, more: false });
        }
        loop {
            let want = limit.saturating_sub(records.len()).saturating_add(1);
            let (page, more) = self.rows.range(&next, &end, want).map_err(fenced)?;
            for (key, value) in &page {
                let (_, tag) = rows::split_record(key).map_err(fenced)?;
                let record = rows::take_record(value).map_err(fenced)?;
                if self.visible(&record) {
                    records.push((tag, record));
                }
            }
            if records.len() > limit {
                records.truncate(limit);
                return Ok(Page { records, more: true });
            }
            match page.last() {
                Some((last, _)) if more => next = [last.as_slice(), &[0]].concat(),
                _ => return Ok(Page { records, more: false }),
            }
        }
    }

    /// Changes of `space` after `after`, oldest first, and the revision through which they are complete. At most `limit`, except that
    /// a revision is never cut in two. None when history that far back is gone.
    pub fn changes(&self, space: &SpaceTag, after: Revision, limit: usize) -> Option<(Vec<ChangeEvent>, Revision)> {
        let history = self.history.read().expect("nobody panics with the lock held");
        history.changes(space, after, self.published.revision, limit)
    }

    /// Whether records wait to be removed because their namespace was erased, or because their time has come, as of `now_ms` or the group's time, whichever is later.
    pub fn expired_waiting(&self, now_ms: u64) -> Result<bool, ReadError> {
        let start = rows::expiry_key(0, &SpaceTag([0; 16]), &KeyTag([0; 16]));
        let end = rows::expiry_end(now_ms.max(self.published.time_ms));
        let (due, _) = self.rows.range(&start, &end, 1).map_err(fenced)?;
        let (swept, _) = self.rows.range(&[rows::SWEEP], &rows::table_end(rows::SWEEP), 1).map_err(fenced)?;
        Ok(!(due.is_empty() && swept.is_empty()))
    }

    /// Every incarnation on record, oldest first.
    pub fn members(&self) -> Vec<MemberRow> {
        self.published.roster.members.values().cloned().collect()
    }

    /// One incarnation.
    pub fn member(&self, incarnation: Incarnation) -> Option<MemberRow> {
        self.published.roster.members.get(&incarnation).cloned()
    }

    /// A joiner that waits for verdicts.
    pub fn proposal(&self, admit_index: u64) -> Option<ProposalRow> {
        self.published.roster.proposals.get(&admit_index).cloned()
    }

    /// Epoch of the group; none before it is founded.
    pub fn epoch(&self) -> Option<Epoch> {
        self.published.roster.epoch
    }

    /// How the epochs after `known` began, oldest first.
    pub fn epochs_after(&self, known: Epoch) -> Vec<EpochStart> {
        self.published.roster.epochs.iter().filter(|start| start.epoch > known).cloned().collect()
    }

    /// Voters, as far as the membership is applied.
    pub fn voters(&self) -> Vec<Incarnation> {
        self.published.voters.iter().copied().collect()
    }
}

fn named_space(key: &[u8], value: &[u8]) -> Result<(SpaceTag, SpaceRow), DecodeError> {
    Ok((rows::split_space(key)?, space_row(SpaceValue::from_bytes(value)?)))
}

fn space_row(value: SpaceValue) -> SpaceRow {
    let SpaceValue { mode, commit, dek, owner, revision, .. } = value;
    SpaceRow { mode, commit, dek, owner, revision }
}

/// Whether a device is on record and not revoked.
pub fn device_counts(row: &UserRow, device: &DeviceTag) -> bool {
    users::counts(row, device)
}

fn fenced(why: impl std::fmt::Display) -> ReadError {
    ReadError::Fenced(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::policy::tests::founding;
    use ringwall_wire::ids::PolicyVersion;
    use ringwall_wire::policy::PolicyDoc;

    #[test]
    fn nothing_that_is_shown_goes_back() {
        let now = || Published {
            applied: 9,
            term: 3,
            tree: grown(4),
            revision: Revision(5),
            time_ms: 7,
            roster: roster(1),
            governed: governed(6, 8),
            ..Published::default()
        };
        fn grown(leaves: u8) -> Arc<PublishedTree> {
            let mut tree = LogTree::default();
            (0..leaves).for_each(|leaf| drop(tree.push(Digest([leaf; 32]))));
            Arc::new(PublishedTree::of(&tree))
        }
        fn roster(epoch: u32) -> Arc<Roster> {
            Arc::new(Roster { epoch: Some(Epoch(epoch)), ..Roster::default() })
        }
        fn governed(version: u64, min_svn: u32) -> Arc<Governed> {
            let policy = PolicyDoc { version: PolicyVersion(version), min_svn, ..founding() };
            Arc::new(Governed::new(Some(Arc::new(policy))))
        }
        assert_eq!(Published::default().goes_back(&now()), None);
        assert_eq!(now().goes_back(&now()), None);
        for (what, back) in [
            ("the applied index", Published { applied: 8, ..now() }),
            ("the term", Published { term: 2, ..now() }),
            ("the log tree", Published { tree: grown(3), ..now() }),
            ("the revision", Published { revision: Revision(4), ..now() }),
            ("the time", Published { time_ms: 6, ..now() }),
            ("the epoch", Published { roster: roster(0), ..now() }),
            ("the epoch", Published { roster: Arc::default(), ..now() }),
            ("the policy version", Published { governed: governed(5, 9), ..now() }),
            ("the least security version", Published { governed: governed(7, 7), ..now() }),
        ] {
            assert_eq!(now().goes_back(&back), Some(what));
        }
    }
}
