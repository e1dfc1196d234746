//! What readers see: a consistent look at the state as of one applied index.
//!
//! Decides: visibility (records past their time are gone at once, removed rows later). Trusts: the state machine.
//! Out of scope: waiting for an index (`replica`). Protocol section 5.

use ringwall_wire::admission::{AdmitPropose, Endorse, IncarnationCert};
use ringwall_wire::command::{SealedRecord, WrappedKey};
use ringwall_wire::ids::{Incarnation, KeyTag, Revision, SpaceTag};
use ringwall_wire::request::KeyMode;
use std::sync::Arc;

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
    /// Its data key, wrapped.
    pub dek: WrappedKey,
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

/// The state as of one applied index. Cheap to make; holds back clean-up of old data while it lives, so do not keep it for long.
pub struct View {}

impl View {
    /// Index of the last applied entry.
    pub fn applied(&self) -> u64 {
        todo!()
    }

    /// Newest revision.
    pub fn revision(&self) -> Revision {
        todo!()
    }

    /// Group time, Unix milliseconds: never goes back.
    pub fn time_ms(&self) -> u64 {
        todo!()
    }

    /// The record of a key, unless it is absent or past its time.
    pub fn get(&self, _space: &SpaceTag, _key: &KeyTag) -> Result<Option<StoredRecord>, crate::ReadError> {
        todo!()
    }

    /// A namespace.
    pub fn space(&self, _space: &SpaceTag) -> Result<Option<SpaceRow>, crate::ReadError> {
        todo!()
    }

    /// At most `limit` records of a namespace in the order of their tags, after `after`.
    pub fn scan(&self, _space: &SpaceTag, _after: Option<&KeyTag>, _limit: usize) -> Result<Page, crate::ReadError> {
        todo!()
    }

    /// Changes of `space` after `after`, oldest first, at most `limit`, never cutting a revision in two unless it alone exceeds the limit; and the revision through which
    /// they are complete. None when history that far back is gone.
    pub fn changes(&self, _space: &SpaceTag, _after: Revision, _limit: usize) -> Option<(Vec<ChangeEvent>, Revision)> {
        todo!()
    }

    /// Whether records wait to be removed because their time has come.
    pub fn expired_waiting(&self) -> Result<bool, crate::ReadError> {
        todo!()
    }

    /// Every incarnation on record, oldest first.
    pub fn members(&self) -> Vec<MemberRow> {
        todo!()
    }

    /// One incarnation.
    pub fn member(&self, _incarnation: Incarnation) -> Option<MemberRow> {
        todo!()
    }

    /// A joiner that waits for verdicts.
    pub fn proposal(&self, _admit_index: u64) -> Option<ProposalRow> {
        todo!()
    }
}
