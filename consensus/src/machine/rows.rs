//! Rows of the ordered store: their keys and their encodings.
//!
//! Decides: one byte names the table, then come fixed-width fields in big-endian, so that byte order is the order we scan in.
//! Trusts: nothing it decodes. Out of scope: where rows live (`store`). Layout: docs/formats.md, "State".

use crate::machine::view::StoredRecord;
use ringwall_wire::backup::table;
use ringwall_wire::codec::{DecodeError, Field, Reader};
use ringwall_wire::command::{SealedRecord, WrappedKey};
use ringwall_wire::ids::{Digest, KeyTag, OwnerMark, Revision, SpaceTag, UserTag};
use ringwall_wire::receipt;
use ringwall_wire::request::KeyMode;
use ringwall_wire::spared::{Part, spared};

/// Table of namespaces: `1 space`.
pub(crate) const SPACES: u8 = table::SPACES;
/// Table of records: `2 space key`.
pub(crate) const RECORDS: u8 = table::RECORDS;
/// Index of records by the time they end: `3 time space key`, no value. Derived: not part of snapshots.
pub(crate) const EXPIRY: u8 = 3;
/// Table of the chains over the changes of namespaces: `4 space`.
pub(crate) const CHAINS: u8 = 4;
/// Table of complete tiles of the log tree: `5 level index`.
pub(crate) const TILES: u8 = 5;
/// Table of erased namespaces: `6 space`, no value. Their names are not used again.
pub(crate) const ERASED: u8 = 6;
/// Erased namespaces whose records are not all removed yet: `7 space`, no value.
pub(crate) const SWEEP: u8 = 7;
/// Table of users: `8 user`.
pub(crate) const USERS: u8 = table::USERS;
/// Table of their audit trails: `9 user number`.
pub(crate) const AUDITS: u8 = 9;
/// Until when nobody is restored: `10`, `u64` group time. There from the first recovery on.
pub(crate) const RESTORES_CLOSED: u8 = 10;
/// Table of workload keys: `32 name`.
pub(crate) const WORKLOAD_HEADS: u8 = 32;
/// Table of the policies they are granted under: `33 name`, canonical bytes.
pub(crate) const WORKLOAD_POLICIES: u8 = 33;
/// Table of the entries of the audit chain: `34 number`.
pub(crate) const WORKLOAD_AUDIT_ROWS: u8 = 34;
/// Table of requests that have an entry: `35 request`.
pub(crate) const WORKLOAD_REQUESTS: u8 = 35;
/// Table of what keys were asked for in this minute: `36 name`.
pub(crate) const WORKLOAD_METERS: u8 = 36;
/// Where the audit chain stands: `37`.
pub(crate) const WORKLOAD_CHAIN: u8 = 37;
/// Ranges of rows that are in snapshots: first byte, and first byte after.
pub(crate) const IN_SNAPSHOTS: [(u8, u8); 3] = [(SPACES, EXPIRY), (CHAINS, RESTORES_CLOSED + 1), (WORKLOAD_HEADS, WORKLOAD_CHAIN + 1)];

ringwall_wire::record! {
    /// A namespace as stored.
    pub struct SpaceValue {
        /// Key mode.
        pub mode: KeyMode,
        /// Commitment to the user's part of its keys; none in cluster mode.
        pub commit: Option<Digest>,
        /// Its wrapped data key.
        pub dek: WrappedKey,
        /// Whose it is.
        pub owner: OwnerMark,
        /// Revision it was made at.
        pub revision: Revision,
        /// Newest activity of any client of it whose bookkeeping was dropped.
        pub evict_floor: Revision,
    }
}

ringwall_wire::record! {
    /// How many changes a namespace has seen, and the chain over them.
    #[derive(Copy)]
    pub struct ChainValue {
        /// Changes of keys.
        pub seq: u64,
        /// Newest digest.
        pub digest: Digest,
    }
}

impl ChainValue {
    /// Before the first change.
    pub(crate) const START: ChainValue = ChainValue { seq: 0, digest: Digest([0; 32]) };

    /// After one more change: `op` happened to `key`, by the change number `place` of the entry whose payload hashes to `payload`.
    pub(crate) fn step(&mut self, op: u8, key: &KeyTag, payload: &Digest, place: u32) {
        self.seq += 1;
        if spared(Part::Receipts) {
            return;
        }
        self.digest = receipt::chain(&self.digest, op, &key.0, payload, place, self.seq);
    }
}

/// First fields of a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) version: Revision,
    pub(crate) expires_at_ms: u64,
}

impl RecordHead {
    /// Whether readers see the record at group time `now_ms`.
    pub(crate) fn visible(&self, now_ms: u64) -> bool {
        self.expires_at_ms == 0 || self.expires_at_ms > now_ms
    }
}

pub(crate) fn space_key(space: &SpaceTag) -> Vec<u8> {
    of_space(SPACES, space)
}

pub(crate) fn chain_key(space: &SpaceTag) -> Vec<u8> {
    of_space(CHAINS, space)
}

pub(crate) fn erased_key(space: &SpaceTag) -> Vec<u8> {
    of_space(ERASED, space)
}

pub(crate) fn sweep_key(space: &SpaceTag) -> Vec<u8> {
    of_space(SWEEP, space)
}

/// Key of a row that is named by its namespace alone.
fn of_space(table: u8, space: &SpaceTag) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    key.push(table);
    space.put(&mut key);
    key
}

/// First byte string above every row of a table.
pub(crate) fn table_end(table: u8) -> [u8; 1] {
    [table.saturating_add(1)]
}

/// The namespace of a row that is named by it alone.
pub(crate) fn split_space(key: &[u8]) -> Result<SpaceTag, DecodeError> {
    let mut input = Reader::new(key);
    let _table = u8::take(&mut input)?;
    let space = SpaceTag::take(&mut input)?;
    input.finish()?;
    Ok(space)
}

pub(crate) fn user_key(user: &UserTag) -> Vec<u8> {
    let mut key = vec![USERS];
    user.put(&mut key);
    key
}

pub(crate) fn audit_key(user: &UserTag, seq: u64) -> Vec<u8> {
    let mut key = vec![AUDITS];
    user.put(&mut key);
    seq.put(&mut key);
    key
}

pub(crate) fn tile_key(level: u8, index: u64) -> Vec<u8> {
    let mut key = vec![TILES, level];
    index.put(&mut key);
    key
}

pub(crate) fn record_key(space: &SpaceTag, key: &KeyTag) -> Vec<u8> {
    let mut out = Vec::with_capacity(33);
    out.push(RECORDS);
    space.put(&mut out);
    key.put(&mut out);
    out
}

/// First byte string above every record of `space`.
pub(crate) fn records_end(space: &SpaceTag) -> Vec<u8> {
    let mut out = record_key(space, &KeyTag([0xff; 16]));
    out.push(0);
    out
}

pub(crate) fn expiry_key(at_ms: u64, space: &SpaceTag, key: &KeyTag) -> Vec<u8> {
    let mut out = Vec::with_capacity(41);
    out.push(EXPIRY);
    at_ms.put(&mut out);
    space.put(&mut out);
    key.put(&mut out);
    out
}

/// First byte string above every expiry up to `at_ms`.
pub(crate) fn expiry_end(at_ms: u64) -> Vec<u8> {
    let mut out = expiry_key(at_ms, &SpaceTag([0xff; 16]), &KeyTag([0xff; 16]));
    out.push(0);
    out
}

/// Time, namespace and key of an expiry row.
pub(crate) fn split_expiry(key: &[u8]) -> Result<(u64, SpaceTag, KeyTag), DecodeError> {
    let mut input = Reader::new(key);
    let _table = u8::take(&mut input)?;
    let parts = (u64::take(&mut input)?, SpaceTag::take(&mut input)?, KeyTag::take(&mut input)?);
    input.finish()?;
    Ok(parts)
}

/// Namespace and key of a record row.
pub(crate) fn split_record(key: &[u8]) -> Result<(SpaceTag, KeyTag), DecodeError> {
    let mut input = Reader::new(key);
    let _table = u8::take(&mut input)?;
    let parts = (SpaceTag::take(&mut input)?, KeyTag::take(&mut input)?);
    input.finish()?;
    Ok(parts)
}

/// Encodes a stored record.
pub(crate) fn put_record(head: RecordHead, record: &SealedRecord) -> Vec<u8> {
    // Exactly: rows stay in memory, and what is longer than its bytes takes one allocation more to share.
    let mut out = Vec::with_capacity(head.version.size() + head.expires_at_ms.size() + record.size());
    head.version.put(&mut out);
    head.expires_at_ms.put(&mut out);
    record.put(&mut out);
    out
}

/// Reads the first fields of a stored record.
pub(crate) fn take_head(bytes: &[u8]) -> Result<RecordHead, DecodeError> {
    let mut input = Reader::new(bytes);
    Ok(RecordHead { version: Revision::take(&mut input)?, expires_at_ms: u64::take(&mut input)? })
}

/// Reads a stored record.
pub(crate) fn take_record(bytes: &[u8]) -> Result<StoredRecord, DecodeError> {
    let mut input = Reader::new(bytes);
    let (version, expires_at_ms) = (Revision::take(&mut input)?, u64::take(&mut input)?);
    let record = SealedRecord::take(&mut input)?;
    input.finish()?;
    Ok(StoredRecord { version, record, expires_at_ms })
}
