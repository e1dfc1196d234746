//! The items of a snapshot, read from front to back.
//!
//! Decides: lengths are compared with their limit before memory is reserved, kinds may only go up, row keys must rise, the end says how many items there were,
//! and nothing follows it. Rows a reader has no use for are counted and left alone. What a record seals is not looked into.
//! Trusts: nothing. Out of scope: whether it is the cluster's (`file.rs`), opening records (`import.rs`). docs/formats.md, "Snapshots".

use ringwall_wire::backup::{SNAPSHOT_MAGIC, item, table};
use ringwall_wire::codec::{DecodeError, Field, Reader};
use ringwall_wire::command::{SealedRecord, WrappedKey};
use ringwall_wire::ids::{Digest, Epoch, KeyTag, Revision, SpaceTag};
use ringwall_wire::limits::SNAPSHOT_ITEM_BYTES;
use ringwall_wire::peer::{LogPosition, Membership};
use ringwall_wire::request::KeyMode;
use std::io::{self, Read};

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// They end early, or the system refused.
    #[error("the snapshot cannot be read to its end: {0}")]
    Io(#[from] io::Error),
    /// It begins as something else.
    #[error("it does not begin as a snapshot of this version does; read it with the release that wrote it")]
    Magic,
    /// An item is longer than any can be, or empty.
    #[error("item {item} says it has {bytes} bytes, an item has 1 to {most}")]
    Length {
        /// Which, from 0.
        item: u64,
        /// Its length.
        bytes: u32,
        /// Limit.
        most: usize,
    },
    /// An item is not what may stand there.
    #[error("item {item}: {what}")]
    Order {
        /// Which, from 0.
        item: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An item has a content that is none.
    #[error("item {item}: {source}")]
    Content {
        /// Which, from 0.
        item: u64,
        /// What is wrong.
        source: DecodeError,
    },
}

/// What the snapshot says of itself, as far as a reader needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Epoch.
    pub(crate) epoch: Option<Epoch>,
    /// Last entry.
    pub(crate) applied: Option<LogPosition>,
    /// Newest revision.
    pub(crate) revision: Revision,
    /// Group time, Unix milliseconds.
    pub(crate) time_ms: u64,
}

/// A namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Which.
    pub(crate) space: SpaceTag,
    /// Its mode.
    pub(crate) mode: KeyMode,
    /// Commitment to the user's part of its keys.
    pub(crate) commit: Option<Digest>,
}

/// A record, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Where.
    pub(crate) space: SpaceTag,
    /// Under which key.
    pub(crate) key: KeyTag,
    /// Group time at which it ends; 0 = never.
    pub(crate) expires_at_ms: u64,
    /// Name and value.
    pub(crate) record: SealedRecord,
}

/// One item that a reader can use.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Space(Space),
    Record(Box<Stored>),
    /// Something else.
    Other,
}

/// How many there are of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Members on record.
    pub members: u64,
    /// Namespaces.
    pub namespaces: u64,
    /// Records, expired ones that are not removed yet among them.
    pub records: u64,
    /// Users on record.
    pub users: u64,
}

/// A snapshot under a reader's eyes.
pub(crate) struct Snapshot<R> {
    input: R,
    start: Start,
    counted: Counted,
    items: u64,
    kind: u8,
    last: Vec<u8>,
    over: bool,
}

impl<R: Read> Snapshot<R> {
    /// Reads what stands in front.
    pub(crate) fn open(mut input: R) -> Result<Self, SnapshotError> {
        let mut magic = [0; 4];
        input.read_exact(&mut magic)?;
        if magic != SNAPSHOT_MAGIC {
            return Err(SnapshotError::Magic);
        }
        let start = Start { epoch: None, applied: None, revision: Revision(0), time_ms: 0 };
        let mut state = Snapshot { input, start, counted: Counted::default(), items: 0, kind: item::META, last: Vec::new(), over: false };
        let (kind, bytes) = state.next_item()?;
        if kind != item::META {
            return Err(SnapshotError::Order { item: 0, what: "a snapshot begins with what it is" });
        }
        state.start = start_of(&bytes).map_err(|source| SnapshotError::Content { item: 0, source })?;
        Ok(state)
    }

    /// What it says of itself.
    pub(crate) fn start(&self) -> &Start {
        &self.start
    }

    /// What it was read from.
    pub(crate) fn into_input(self) -> R {
        self.input
    }

    /// The next item; none after the last one, which the end was compared with.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, SnapshotError> {
        if self.over {
            return Ok(None);
        }
        let at = self.items;
        let (kind, bytes) = self.next_item()?;
        if kind < self.kind || kind == item::META {
            return Err(SnapshotError::Order { item: at, what: "its kind stands before that of the item in front of it" });
        }
        self.kind = kind;
        let content = |source| SnapshotError::Content { item: at, source };
        match kind {
            item::ROW => self.row(at, &bytes),
            item::MEMBER => {
                self.counted.members = self.counted.members.saturating_add(1);
                Ok(Some(Item::Other))
            }
            item::PROPOSAL | item::DEALING | item::GOVERNED | item::CLIENT | item::EVENT | item::TREE => Ok(Some(Item::Other)),
            item::END if u64::from_bytes(&bytes).map_err(content)? == at => {
                self.over = true;
                match self.input.read(&mut [0])? {
                    0 => Ok(None),
                    _ => Err(SnapshotError::Order { item: at, what: "something follows the end" }),
                }
            }
            item::END => Err(SnapshotError::Order { item: at, what: "the end counts another number of items" }),
            _ => Err(SnapshotError::Order { item: at, what: "nobody knows this kind" }),
        }
    }

    /// Reads what is left, for whoever wants to know that it is whole.
    pub(crate) fn finish(&mut self) -> Result<Counted, SnapshotError> {
        while self.next()?.is_some() {}
        Ok(self.counted)
    }

    fn row(&mut self, at: u64, bytes: &[u8]) -> Result<Option<Item>, SnapshotError> {
        let no_row = || SnapshotError::Order { item: at, what: "it is no row" };
        let (len, rest) = bytes.split_first().ok_or_else(no_row)?;
        let (key, value) = rest.split_at_checked(usize::from(*len)).ok_or_else(no_row)?;
        if key <= self.last.as_slice() {
            return Err(SnapshotError::Order { item: at, what: "its row stands before the one in front of it" });
        }
        self.last.clear();
        self.last.extend_from_slice(key);
        let content = |source| SnapshotError::Content { item: at, source };
        Ok(Some(match key.split_first() {
            Some((&table::SPACES, key)) => {
                self.counted.namespaces = self.counted.namespaces.saturating_add(1);
                Item::Space(space_of(key, value).map_err(content)?)
            }
            Some((&table::RECORDS, key)) => {
                self.counted.records = self.counted.records.saturating_add(1);
                Item::Record(Box::new(record_of(key, value).map_err(content)?))
            }
            Some((&table::USERS, _)) => {
                self.counted.users = self.counted.users.saturating_add(1);
                Item::Other
            }
            Some(_) => Item::Other,
            None => return Err(no_row()),
        }))
    }

    fn next_item(&mut self) -> Result<(u8, Vec<u8>), SnapshotError> {
        let mut head = [0; 4];
        self.input.read_exact(&mut head)?;
        let bytes = u32::from_be_bytes(head);
        let len = usize::try_from(bytes).ok().filter(|len| (1..=SNAPSHOT_ITEM_BYTES).contains(len));
        let len = len.ok_or(SnapshotError::Length { item: self.items, bytes, most: SNAPSHOT_ITEM_BYTES })?;
        let mut kind = [0];
        self.input.read_exact(&mut kind)?;
        let mut content = vec![0; len.saturating_sub(1)];
        self.input.read_exact(&mut content)?;
        self.items = self.items.saturating_add(1);
        let [kind] = kind;
        Ok((kind, content))
    }
}

/// The first fields of what a snapshot says of itself; what follows them is the members'.
fn start_of(bytes: &[u8]) -> Result<Start, DecodeError> {
    let mut input = Reader::new(bytes);
    let (epoch, applied) = (<Option<Epoch> as Field>::take(&mut input)?, <Option<LogPosition> as Field>::take(&mut input)?);
    let _membership_at = <Option<LogPosition> as Field>::take(&mut input)?;
    let _membership = Membership::take(&mut input)?;
    Ok(Start { epoch, applied, revision: Revision::take(&mut input)?, time_ms: u64::take(&mut input)? })
}

/// A namespace's row: mode, commitment, wrapped key; what follows them is the members'.
fn space_of(key: &[u8], value: &[u8]) -> Result<Space, DecodeError> {
    let space = SpaceTag::from_bytes(key)?;
    let mut input = Reader::new(value);
    let (mode, commit) = (KeyMode::take(&mut input)?, <Option<Digest> as Field>::take(&mut input)?);
    let _wrapped = WrappedKey::take(&mut input)?;
    Ok(Space { space, mode, commit })
}

fn record_of(key: &[u8], value: &[u8]) -> Result<Stored, DecodeError> {
    let mut place = Reader::new(key);
    let (space, key) = (SpaceTag::take(&mut place)?, KeyTag::take(&mut place)?);
    place.finish()?;
    let mut input = Reader::new(value);
    let _version = Revision::take(&mut input)?;
    let (expires_at_ms, record) = (u64::take(&mut input)?, SealedRecord::take(&mut input)?);
    input.finish()?;
    Ok(Stored { space, key, expires_at_ms, record })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use ringwall_wire::bounded::{Blob, List};
    use ringwall_wire::ids::{ClientTag, KeyEpoch, OwnerMark};

    /// A snapshot as members write it, with these rows.
    pub(crate) fn snapshot(index: u64, rows: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut out = SNAPSHOT_MAGIC.to_vec();
        let mut put = |kind: u8, bytes: &[u8]| {
            out.extend_from_slice(&u32::try_from(bytes.len() + 1).unwrap().to_be_bytes());
            out.push(kind);
            out.extend_from_slice(bytes);
        };
        let mut meta = Vec::new();
        Some(Epoch(1)).put(&mut meta);
        Some(LogPosition { term: 2, index }).put(&mut meta);
        Option::<LogPosition>::None.put(&mut meta);
        Membership { configs: List::default(), members: List::default() }.put(&mut meta);
        Revision(7).put(&mut meta);
        1_000_u64.put(&mut meta);
        meta.extend_from_slice(b"what is the members'");
        put(item::META, &meta);
        for (key, value) in rows {
            put(item::ROW, &[&[u8::try_from(key.len()).unwrap()], key.as_slice(), value].concat());
        }
        put(item::END, &(rows.len() as u64 + 1).to_be_bytes());
        out
    }

    /// Rows of a namespace in cluster mode and of one record in it.
    pub(crate) fn space_row(space: SpaceTag, mode: KeyMode, commit: Option<Digest>) -> (Vec<u8>, Vec<u8>) {
        let mut value = Vec::new();
        mode.put(&mut value);
        commit.put(&mut value);
        WrappedKey { key_epoch: KeyEpoch(1), iv: [0; 24], commit: [0; 32], ciphertext: [0; 48] }.put(&mut value);
        OwnerMark([0; 16]).put(&mut value);
        ([&[table::SPACES], space.0.as_slice()].concat(), value)
    }

    pub(crate) fn record_row(space: SpaceTag, key: KeyTag, record: &SealedRecord, expires_at_ms: u64) -> (Vec<u8>, Vec<u8>) {
        let mut value = Vec::new();
        Revision(3).put(&mut value);
        expires_at_ms.put(&mut value);
        record.put(&mut value);
        ([&[table::RECORDS], space.0.as_slice(), &key.0].concat(), value)
    }

    fn two_rows() -> Vec<u8> {
        let (space, key) = (SpaceTag([1; 16]), KeyTag([2; 16]));
        let record = SealedRecord {
            client: ClientTag([3; 16]),
            seq: 4,
            iv: [5; 24],
            commit: [6; 32],
            name: Blob::new(vec![7; 84]).unwrap(),
            value: Blob::new(vec![8; 84]).unwrap(),
        };
        snapshot(9, &[space_row(space, KeyMode::Cluster, None), record_row(space, key, &record, 0)])
    }

    fn counted(bytes: &[u8]) -> Result<Counted, SnapshotError> {
        Snapshot::open(bytes)?.finish()
    }

    #[test]
    fn a_whole_snapshot_is_read_to_its_end() {
        let bytes = two_rows();
        let state = Snapshot::open(bytes.as_slice()).unwrap();
        assert_eq!((state.start().applied.unwrap().index, state.start().revision, state.start().time_ms), (9, Revision(7), 1_000));
        assert_eq!(counted(&bytes).unwrap(), Counted { members: 0, namespaces: 1, records: 1, users: 0 });
    }

    #[test]
    fn what_is_cut_off_goes_on_or_is_out_of_order_is_refused() {
        let bytes = two_rows();
        for length in 0..bytes.len() {
            assert!(counted(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
        assert!(matches!(counted(&[bytes.as_slice(), &[0]].concat()), Err(SnapshotError::Order { .. })), "something follows");
        let (one, two) = (SpaceTag([1; 16]), SpaceTag([2; 16]));
        let rows = |first, second| snapshot(9, &[space_row(first, KeyMode::Cluster, None), space_row(second, KeyMode::Cluster, None)]);
        assert!(counted(&rows(one, two)).is_ok());
        assert!(matches!(counted(&rows(two, one)), Err(SnapshotError::Order { item: 2, .. })));
        assert!(matches!(counted(&rows(one, one)), Err(SnapshotError::Order { item: 2, .. })), "a row twice");
    }

    #[test]
    fn a_length_is_compared_before_memory_is_reserved() {
        let mut bytes = SNAPSHOT_MAGIC.to_vec();
        bytes.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(Snapshot::open(bytes.as_slice()), Err(SnapshotError::Length { bytes: u32::MAX, .. })));
        let mut empty = SNAPSHOT_MAGIC.to_vec();
        empty.extend_from_slice(&[0; 4]);
        assert!(matches!(Snapshot::open(empty.as_slice()), Err(SnapshotError::Length { bytes: 0, .. })));
    }
}
